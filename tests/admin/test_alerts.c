/* ADMIN-5: ALERTS tells what every node has raised, each thing once, and names who could not be
 * asked; each raise and each end is an event, a line of the log, and news for hooks. */
#include "tests/server/failover.h"

#include <string.h>

static struct stage *stage_of(unsigned nodes)
{
    return stage_formed_with(&(struct stage_options){.nodes = nodes, .watches = true});
}

struct waited {
    unsigned client;
    const char *request, *says;
};

static bool is_said(struct stage *stage, void *argument)
{
    const struct waited *waited = argument;
    return strstr(stage_ask(stage, waited->client, waited->request), waited->says);
}

static void wait_for(struct stage *stage, unsigned client, const char *request, const char *what)
{
    struct waited waited = {client, request, what};
    if (!stage_wait(stage, is_said, &waited, 30 * STAGE_SECOND))
        expect_words(stage, client, request, what);
}

static unsigned count(const char *text, const char *what)
{
    unsigned found = 0;
    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
        found++;
    return found;
}

/* What all nodes have told their hooks, or the log of the operator. */
static unsigned count_told(struct stage *stage, const char *what)
{
    unsigned found = 0;
    for (unsigned i = 0; i < stage->options.nodes; i++)
        found += count(stage->nodes[i].changes, what);
    return found;
}

static unsigned count_lines(struct stage *stage, const char *what)
{
    unsigned found = 0;
    for (unsigned i = 0; i < stage->options.nodes; i++)
        found += count(stage->nodes[i].lines, what);
    return found;
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

static bool has_system_leader(struct stage *stage, void *unused)
{
    (void)unused;
    return system_leader(stage) != STAGE_NONE;
}

static void all_is_well(void **state)
{
    (void)state;
    struct stage *stage = stage_of(3);
    stage_run(stage, 120 * STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++) {
        unsigned client = stage_connect(stage, i);
        expect_words(stage, client, "ALERTS", "not_asked left_out 0 alerts text no alert");
        expect(stage, client, "alerts now", "-ERR ALERTS takes no arguments");
    }
    assert_int_equal(0, count_told(stage, "alert "));
    assert_int_equal(0, count_lines(stage, "alert "));
    stage_destroy(stage);
}

static void a_node_that_is_down(void **state)
{
    (void)state;
    struct stage *stage = stage_of(3);
    assert_true(stage_wait(stage, has_system_leader, NULL, 5 * STAGE_SECOND));
    unsigned leader = system_leader(stage), down = (leader + 1) % 3, other = (leader + 2) % 3;
    unsigned client = stage_connect(stage, other);
    char words[96];
    stage_kill(stage, down);
    stage_run(stage, 5 * STAGE_SECOND);
    expect_words(stage, client, "ALERTS", "alerts text no alert of those that could be asked");
    wait_for(stage, client, "ALERTS", "alert node-down severity critical");
    snprintf(words, sizeof words, "partition nil replica nil node %u since_ms 1", down + 1);
    expect_words(stage, client, "ALERTS", words);
    snprintf(words, sizeof words, "not_asked %u left_out 0", down + 1);
    expect_words(stage, client, "ALERTS", words);
    snprintf(words, sizeof words, "what only these nodes know is missing: %u", down + 1);
    expect_words(stage, client, "ALERTS", words);
    expect_words(stage, client, "ALERTS", "do start it again");
    expect_words(stage, client, "STATUS", "\"alerts\":{\"critical\":");
    wait_for(stage, client, "EVENTS COUNT 12", "kind alert keyspace nil partition nil");
    expect_words(stage, client, "EVENTS COUNT 12", "text raised node-down: node ");
    assert_true(stage_start(stage, down));
    wait_for(stage, client, "ALERTS", "alerts text no alert");
    wait_for(stage, client, "EVENTS COUNT 12", "text cleared node-down: node ");
    snprintf(words, sizeof words, "alert raised critical node-down - %u\n", down + 1);
    assert_int_equal(1, count_told(stage, words)); /* ADMIN-5: one teller */
    snprintf(words, sizeof words, "alert cleared critical node-down - %u\n", down + 1);
    assert_int_equal(1, count_told(stage, words));
    assert_int_equal(1, count_lines(stage, "critical alert node-down: "));
    assert_int_equal(1, count_lines(stage, "alert node-down is over: "));
    stage_destroy(stage);
}

static void what_is_short_is_nothing(void **state)
{
    (void)state;
    struct stage *stage = stage_of(3);
    for (unsigned times = 0; times < 3; times++) {
        stage_isolate(stage, times);
        stage_run(stage, 4 * STAGE_SECOND);
        stage_heal(stage);
        stage_run(stage, 10 * STAGE_SECOND);
    }
    assert_int_equal(0, count_told(stage, "node-down"));
    stage_destroy(stage);
}

/* Whoever leads next tells of it, after who led before has ended it: a pager hears raise and end in
 * turn. */
static void the_next_leader_tells_on(void **state)
{
    (void)state;
    struct stage *stage = stage_of(5);
    assert_true(stage_wait(stage, has_system_leader, NULL, 5 * STAGE_SECOND));
    unsigned leader = system_leader(stage), down = (leader + 1) % 5;
    unsigned client = stage_connect(stage, (leader + 2) % 5);
    stage_kill(stage, down);
    wait_for(stage, client, "ALERTS", "alert node-down severity critical");
    stage_step_down(stage, leader);
    stage_run(stage, 5 * STAGE_SECOND);
    assert_true(stage_wait(stage, has_system_leader, NULL, 5 * STAGE_SECOND));
    wait_for(stage, client, "ALERTS", "alert node-down severity critical");
    expect_words(stage, client, "ALERTS", "alerts alert node-down");
    assert_int_equal(1, count(stage_ask(stage, client, "ALERTS"), "alert node-down "));
    assert_true(stage_start(stage, down));
    wait_for(stage, client, "ALERTS", "alerts text no alert");
    stage_run(stage, 5 * STAGE_SECOND);
    assert_int_equal(count_told(stage, "alert raised critical node-down"),
                     count_told(stage, "alert cleared critical node-down"));
    stage_destroy(stage);
}

static void nobody_leads(void **state)
{
    (void)state;
    struct stage *stage = stage_of(3);
    stage_kill(stage, 1);
    stage_kill(stage, 2);
    unsigned client = stage_connect(stage, 0);
    wait_for(stage, client, "ALERTS",
             "alert no-leader severity critical keyspace default partition 1 replica nil node nil");
    expect_words(stage, client, "ALERTS", "partition 1 of default has no leader since 20");
    expect_words(stage, client, "ALERTS",
                 ": an election needs 2 of its voters, and 1 can be asked");
    expect_words(stage, client, "ALERTS", "keyspace system partition 0");
    expect_words(stage, client, "ALERTS", "not_asked 2 3 left_out 0");
    assert_true(stage_start(stage, 1));
    wait_for(stage, client, "EVENTS COUNT 12", "text cleared no-leader: partition 1 of default");
    assert_int_equal(1, count_told(stage, "alert raised critical no-leader default"));
    assert_int_equal(1, count_told(stage, "alert cleared critical no-leader default"));
    stage_destroy(stage);
}

static bool all_vote(struct stage *stage, void *unused)
{
    struct replica *replica = stage_replica(stage, 0, GROUP_SYSTEM);
    (void)unused;
    return replica && replica_voters(replica) == stage->options.nodes &&
           worker_is_settled(stage->nodes[0].worker);
}

#define UNLED "alert no-leader severity critical keyspace system"

/* Of two that reach each other one tells; of two halves of the network each; whoever asks when they
 * are together again is told once. */
static void nobody_leads_in_two_halves(void **state)
{
    (void)state;
    struct stage *stage = stage_of(5);
    assert_true(stage_wait(stage, all_vote, NULL, 20 * STAGE_SECOND));
    stage_kill(stage, 4);
    for (unsigned i = 0; i < 4; i++)
        world_cut_both(stage->world, stage->nodes[i % 2].machine, stage->nodes[2 + i / 2].machine);
    unsigned client = stage_connect(stage, 1), other = stage_connect(stage, 3);
    wait_for(stage, client, "ALERTS", UNLED);
    wait_for(stage, other, "ALERTS", UNLED);
    stage_run(stage, 5 * STAGE_SECOND);
    assert_int_equal(2, count_told(stage, "alert raised critical no-leader system")); /* ADMIN-5 */
    expect_words(stage, client, "ALERTS", "not_asked 3 4 5 left_out");
    stage_heal(stage);
    wait_for(stage, client, "ALERTS", "not_asked 5 left_out");
    assert_int_equal(1, count(stage_ask(stage, client, "ALERTS"), UNLED));
    wait_for(stage, client, "EVENTS COUNT 12", "text cleared no-leader: partition 0 of system");
    stage_destroy(stage);
}

static void lost_writes_that_wait(void **state)
{
    (void)state;
    struct stage *stage = stage_of(3);
    unsigned none = STAGE_NONE, client = stage_connect(stage, 0);
    char request[64];
    expect(stage, client, "KEYSPACE CREATE fast ACK async FAILOVER available", "OK");
    assert_true(stage_wait(stage, has_leader_but, &none, 5 * STAGE_SECOND));
    unsigned old = leader(stage);
    unsigned long long term = fast_view(stage, old)->term;
    client = stage_connect(stage, old);
    expect(stage, client, "SELECT fast", "OK");
    stage_run(stage, STAGE_SECOND);
    stage_isolate(stage, old);
    stage_say(stage, client, "SET lost 1");
    assert_string_equal("OK", stage_reply(stage, client, 100 * STAGE_MS));
    assert_true(stage_wait(stage, has_leader_but, &old, 10 * STAGE_SECOND));
    stage_heal(stage);
    client = stage_connect(stage, (old + 1) % 3);
    wait_for(stage, client, "ALERTS", "1 record of lost writes waits to be settled");
    snprintf(request, sizeof request, "LOSS DISCARD 2-%llu", term);
    stage_run(stage, 5 * STAGE_SECOND);
    expect_words(stage, client, request, "");
    wait_for(stage, client, "ALERTS", "alerts text no alert");
    assert_int_equal(1, count_told(stage, "alert cleared critical loss - 0\n"));
    stage_destroy(stage);
}

static void a_full_disk(void **state)
{
    (void)state;
    struct stage *stage = stage_of(1);
    unsigned client = stage_connect(stage, 0);
    struct world *world = stage->world;
    world_disk_capacity(world, stage->nodes[0].machine,
                        world_disk_used(world, stage->nodes[0].machine));
    for (unsigned i = 0; i < 400; i++) {
        stage_send_large(stage, client, "k", 16000);
        (void)stage_reply(stage, client, 5 * STAGE_SECOND);
        stage_run(stage, 20 * STAGE_MS);
    }
    wait_for(stage, client, "ALERTS", "alert disk-full severity critical");
    assert_int_equal(1, count_told(stage, "alert raised critical disk-full - 1\n"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(a_node_that_is_down),
        cmocka_unit_test(what_is_short_is_nothing),
        cmocka_unit_test(the_next_leader_tells_on),
        cmocka_unit_test(nobody_leads),
        cmocka_unit_test(nobody_leads_in_two_halves),
        cmocka_unit_test(lost_writes_that_wait),
        cmocka_unit_test(a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
