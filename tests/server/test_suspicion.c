/* What follows from a suspicion, what does not, and what this process missed itself (decision
 * 0046).
 */
#include "stage.h"

#include <string.h>

static struct node *node_at(struct stage *stage, unsigned at)
{
    return worker_node(stage->nodes[at].worker);
}

struct pair {
    unsigned who, whom;
};

static bool suspects(struct stage *stage, void *argument)
{
    const struct pair *pair = argument;
    struct node_sight sight;
    return node_look(node_at(stage, pair->who), (struct node_id){pair->whom + 1}, &sight) &&
           sight.suspected_since_ms;
}

/* What would be sent to a leader that is silent may be lost with it; what is held has had no
 * effect, and runs at the next one. */
static void a_suspected_leader_gets_no_requests(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        unsigned leader = stage_leader(stage), other = stage_follower(stage);
        unsigned client = stage_connect(stage, other);
        assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
        stage_isolate(stage, leader);
        struct pair pair = {other, leader};
        assert_true(stage_wait(stage, suspects, &pair, STAGE_SECOND));
        assert_int_equal(leader, stage_leader(stage)); /* nobody was elected yet */
        stage_say(stage, client, "SET a 2");
        assert_string_equal("OK", stage_reply(stage, client, 2 * STAGE_SECOND));
        stage_heal(stage);
        for (unsigned i = 0; i < 3; i++) {
            struct pair each = {i, (i + 1) % 3};
            stage_run(stage, 3 * STAGE_SECOND);
            assert_false(suspects(stage, &each));
        }
        assert_non_null(strstr(stage->nodes[other].lines, "is suspected: nothing was heard"));
        assert_non_null(strstr(stage->nodes[other].lines, "is heard again"));
        stage_destroy(stage);
    }
}

/* CLUSTER-11: a suspicion has its line where something depends on that node, until it is heard. */
static void why_names_a_suspected_node(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), other = stage_follower(stage);
    unsigned client = stage_connect(stage, other);
    char line[64], request[32];
    snprintf(line, sizeof line, "node %u is suspected by node %u", leader + 1, other + 1);
    snprintf(request, sizeof request, "WHY NODE %u", other + 1);
    assert_null(strstr(stage_ask(stage, client, "WHY KEYSPACE default"), "suspected"));
    world_pause(stage->world, stage->nodes[leader].machine);
    struct pair pair = {other, leader};
    assert_true(stage_wait(stage, suspects, &pair, STAGE_SECOND));
    const char *told = stage_ask(stage, client, "WHY KEYSPACE default");
    assert_non_null(strstr(told, line));
    assert_non_null(strstr(told, "(phi "));
    assert_null(strstr(stage_ask(stage, client, request), line)); /* of that node nothing is so */
    world_resume(stage->world, stage->nodes[leader].machine);
    stage_run(stage, 2 * STAGE_SECOND);
    assert_null(strstr(stage_ask(stage, client, "WHY KEYSPACE default"), "suspected"));
    stage_destroy(stage);
}

/* SERVER-3: who waited in vain is told why, where the node knows it. */
static void a_lost_majority_is_named(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned other = stage_follower(stage), client = stage_connect(stage, other);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE carts"));
    stage_isolate(stage, other);
    stage_run(stage, 3 * STAGE_SECOND);
    const char *hears = "has no leader: this node hears 1 of its 3 voters, and an election needs "
                        "2; the command did not run";
    const char *told = stage_ask(stage, client, "SET a 1");
    assert_memory_equal("-TRYAGAIN partition 1 of default ", told, 33);
    assert_non_null(strstr(told, hears));
    told = stage_ask(stage, client, "SELECT carts");
    assert_memory_equal("-TRYAGAIN partition 0 of system ", told, 32);
    assert_non_null(strstr(told, hears));
    stage_heal(stage);
    stage_run(stage, 3 * STAGE_SECOND);
    assert_string_equal("OK", stage_ask(stage, client, "SELECT carts"));
    stage_isolate(stage, other);
    stage_run(stage, 3 * STAGE_SECOND);
    told = stage_ask(stage, client, "GET a");
    assert_memory_equal("-TRYAGAIN partition 2 of carts ", told, 31);
    stage_destroy(stage);
}

/* It heard nobody for seconds, and knows that it is its own doing. */
static void a_pause_is_nobodys_silence(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned other = stage_follower(stage);
    stage_run(stage, 2 * STAGE_SECOND);
    assert_int_equal(0, node_pauses(node_at(stage, other))->count);
    world_pause(stage->world, stage->nodes[other].machine);
    stage_run(stage, 900 * STAGE_MS); /* no link is given up */
    world_resume(stage->world, stage->nodes[other].machine);
    stage_run(stage, 2 * STAGE_SECOND);
    assert_non_null(strstr(stage->nodes[other].lines, "this process stood still for"));
    assert_null(strstr(stage->nodes[other].lines, "is suspected"));
    const struct node_pauses *pauses = node_pauses(node_at(stage, other));
    assert_int_equal(1, pauses->count);
    assert_in_range(pauses->last_ns, 700 * STAGE_MS, 1000 * STAGE_MS);
    unsigned client = stage_connect(stage, other);
    assert_non_null(strstr(stage_ask(stage, client, "STATUS"), "\"pauses\":{\"count\":1,"));
    stage_destroy(stage);
}

/* The host of all three was suspended: nobody said anything, and nobody is to blame. */
static void all_slept(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    stage_run(stage, 2 * STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++)
        world_pause(stage->world, stage->nodes[i].machine);
    stage_run(stage, 700 * STAGE_MS);
    for (unsigned i = 0; i < 3; i++)
        world_resume(stage->world, stage->nodes[i].machine);
    stage_run(stage, 5 * STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++)
        assert_null(strstr(stage->nodes[i].lines, "is suspected"));
    stage_destroy(stage);
}

/* CLUSTER-12: whatever is reported, a node that is heard is not suspected, and nobody is elected.
 */
static void a_report_is_no_proof(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), other = stage_follower(stage);
    unsigned client = stage_connect(stage, other);
    char request[64], found[64];
    snprintf(request, sizeof request, "NODE REPORT %u FAILED 1000", leader + 1);
    for (unsigned i = 0; i < 50; i++) {
        assert_string_equal("OK", stage_ask(stage, client, request));
        stage_run(stage, 100 * STAGE_MS);
    }
    assert_int_equal(leader, stage_leader(stage));
    assert_null(strstr(stage->nodes[other].lines, "is suspected"));
    snprintf(found, sizeof found, "\"reported_failures\":%u", CLUSTER_REPORTS_MAX);
    assert_non_null(strstr(stage_ask(stage, client, "STATUS"), found));
    snprintf(request, sizeof request, "NODE REPORT %u FAILED 1", other + 1);
    assert_non_null(strstr(stage_ask(stage, client, request), "-ERR there is no other node"));
    assert_non_null(strstr(stage_ask(stage, client, "NODE REPORT 9 FAILED 1"), "-ERR there is no"));
    assert_non_null(strstr(stage_ask(stage, client, "NODE REPORT 1"), "-ERR give NODE REPORT"));
    assert_non_null(strstr(stage_ask(stage, client, "NODE REPORT 1 FAILED x"), "-ERR give"));
    stage_destroy(stage);
}

/* A leader knows the round trips, and says what would suit them; who leads nothing says null. */
static void status_suggests_times(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    stage_run(stage, 2 * STAGE_SECOND);
    unsigned client = stage_connect(stage, stage_leader(stage));
    const char *told = stage_ask(stage, client, "STATUS");
    assert_non_null(strstr(told, "\"timing\":{\"profile\":\"lan\",\"heartbeat_ms\":60,"));
    assert_non_null(strstr(told, "\"suggested\":{\"profile\":\"lan\",\"heartbeat_ms\":60,"));
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 3; k++)
            if (i != k)
                world_delay(stage->world, stage->nodes[i].machine, stage->nodes[k].machine,
                            30 * STAGE_MS, 30 * STAGE_MS);
    stage_run(stage, 20 * STAGE_SECOND);
    told = stage_ask(stage, client, "STATUS");
    assert_non_null(strstr(told, "\"suggested\":{\"profile\":\"wan\",\"heartbeat_ms\":80,"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suspected_leader_gets_no_requests),
        cmocka_unit_test(why_names_a_suspected_node),
        cmocka_unit_test(a_lost_majority_is_named),
        cmocka_unit_test(a_pause_is_nobodys_silence),
        cmocka_unit_test(all_slept),
        cmocka_unit_test(a_report_is_no_proof),
        cmocka_unit_test(status_suggests_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
