/* WHATIF as a cluster tells it: from the records, from the configurations in logs, from whom the
 * node that is asked sees; and control_whatif, which dangerous verbs ask (CLUSTER-10). */
#include "base/memory.h"
#include "tests/server/stage.h"

#include <string.h>

static void expect(struct stage *stage, unsigned client, const char *request, const char *says)
{
    const char *reply = stage_ask(stage, client, request);
    if (!strstr(reply, says))
        fail_msg("%s: %s\nnot: %s", request, reply, says);
}

static void expect_not(struct stage *stage, unsigned client, const char *request, const char *says)
{
    const char *reply = stage_ask(stage, client, request);
    if (strstr(reply, says))
        fail_msg("%s: %s\nhas: %s", request, reply, says);
}

struct stop {
    unsigned client;
    const char *request, *says;
};

static bool is_said(struct stage *stage, void *argument)
{
    const struct stop *stop = argument;
    return strstr(stage_ask(stage, stop->client, stop->request), stop->says);
}

static void wait_for(struct stage *stage, unsigned client, const char *request, const char *says)
{
    struct stop stop = {client, request, says};
    if (!stage_wait(stage, is_said, &stop, 20 * STAGE_SECOND))
        expect(stage, client, request, says);
}

static void any_node_tells(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE one REPLICAS 1"));
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE carts ACK semisync:2"));
    stage_run(stage, STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++) {
        client = stage_connect(stage, i);
        expect(stage, client, "WHATIF LOSE node 2", "lost 2 down unseen confirmed 1 keyspaces");
        expect(stage, client, "WHATIF LOSE node 2",
               "keyspace default partitions 1 stop 0 lose_commit_quorum 0 lose_election_quorum 0 "
               "keep_both 1 ack quorum all ack_perhaps read strong copies 2 may_fail 0 fewest 1");
        expect(stage, client, "WHATIF LOSE node 2",
               "default: goes on with 2 copies; ACK quorum, all; READ strong");
        expect(stage, client, "WHATIF LOSE node 2",
               "carts: writes with its ACK semisync:2 are refused: they need 3 copies");
        expect(stage, client, "whatif lose node 1 and node 3",
               "default: reads and writes stop; too few voters are left for a commit");
    }
    stage_destroy(stage);
}

static void what_is_gone_is_said(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0), found = 0;
    char request[64];
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE one REPLICAS 1"));
    stage_run(stage, STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(request, sizeof request, "WHATIF LOSE node %u", i + 1);
        bool here = stage_replica(stage, i, (struct group_id){2});
        const char *reply = stage_ask(stage, client, request);
        assert_int_equal(here, strstr(reply, "one: every copy of 1 of 1 partition is among") != 0);
        assert_int_equal(here, strstr(reply, "one: reads and writes stop") != 0);
        found += here;
    }
    assert_int_equal(1, found);
    stage_destroy(stage);
}

/* Whom this node does not reach is down, as long as the leader of `system` answers; cut off from
 * it, nobody knows: no number is told (ADMIN-2). */
static void unknown_is_not_zero(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned other = stage_follower(stage), client = stage_connect(stage, stage_leader(stage));
    char request[64];
    stage_run(stage, STAGE_SECOND);
    stage_isolate(stage, other);
    snprintf(request, sizeof request, "down %u unseen confirmed 1", other + 1);
    wait_for(stage, client, "WHATIF LOSE node 1", request);
    unsigned cut = stage_connect(stage, other);
    snprintf(request, sizeof request, "WHATIF LOSE node %u", other + 1);
    wait_for(stage, cut, request, "confirmed 0");
    expect(stage, cut, request, "stop nil lose_commit_quorum nil lose_election_quorum nil");
    expect(stage, cut, request, "copies nil");
    expect(stage, cut, request, "the leader of keyspace system does not answer");
    expect(stage, cut, request, "default: may stop (nobody here sees whether node");
    expect_not(stage, cut, request, "stop 0");
    stage_destroy(stage);
}

static void a_node_that_waits_says_so(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
    assert_true(stage_start(stage, 0));
    stage_run(stage, STAGE_SECOND);
    unsigned client = stage_connect(stage, 0);
    assert_memory_equal("-TRYAGAIN", stage_ask(stage, client, "WHATIF LOSE node 1"), 9);
    assert_memory_equal("-TRYAGAIN", stage_ask(stage, client, "WHY KEYSPACE default"), 9);
    stage_destroy(stage);
}

static void refusals_name_their_cure(void **state)
{
    static const struct {
        const char *request, *says;
    } table[] = {{"WHATIF", "arguments for 'whatif' command"},
                 {"WHATIF node 2", "LOSE takes node ID, host NAME"},
                 {"WHATIF LOSE node 2 zone b", "LOSE takes node ID, host NAME"},
                 {"WHATIF LOSE node 9", "'9': there is no such node; holdfast status lists them"},
                 {"WHATIF LOSE site x", "no node was started with that --site"}};
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 1);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *reply = stage_ask(stage, client, table[i].request);
        if (memcmp(reply, "-ERR ", 5) != 0 || !strstr(reply, table[i].says))
            fail_msg("%s: %s", table[i].request, reply);
    }
    stage_destroy(stage);
}

/* ---- what a dangerous verb asks ---- */

static struct control *control_of(struct stage *stage, unsigned node)
{
    return worker_control(stage->nodes[node].worker);
}

static unsigned system_leader(struct stage *stage)
{
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        struct replica *replica = stage_replica(stage, i, GROUP_SYSTEM);
        if (replica && replica_is_serving(replica))
            return i;
    }
    return STAGE_NONE;
}

static void the_sentence_of_a_refusal(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    char why[CONTROL_LINE_SIZE], expected[64];
    stage_run(stage, STAGE_SECOND);
    unsigned leader = system_leader(stage), down = (leader + 1) % 3, last = (leader + 2) % 3;
    struct node_id lost = {last + 1};
    control_whatif(control_of(stage, leader), &lost, 1, why);
    assert_string_equal("", why);
    stage_kill(stage, down);
    stage_run(stage, 3 * STAGE_SECOND);
    leader = system_leader(stage);
    last = 3 - leader - down;
    lost.value = last + 1;
    control_whatif(control_of(stage, leader), &lost, 1, why);
    assert_non_null(
        strstr(why, "would stop: too few voters of 1 of its 1 partition would be left"));
    snprintf(expected, sizeof expected, "bring node %u back first", down + 1);
    assert_non_null(strstr(why, expected));
    lost.value = down + 1; /* who is down as it is may go */
    control_whatif(control_of(stage, leader), &lost, 1, why);
    assert_string_equal("", why);
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_node_tells),           cmocka_unit_test(what_is_gone_is_said),
        cmocka_unit_test(unknown_is_not_zero),      cmocka_unit_test(a_node_that_waits_says_so),
        cmocka_unit_test(refusals_name_their_cure), cmocka_unit_test(the_sentence_of_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
