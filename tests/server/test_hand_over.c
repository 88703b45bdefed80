/* A node that is asked to stop hands its leaderships over first: nobody waits for an election. */
#include "stage.h"

#include <string.h>

static bool has_ended(struct stage *stage, void *argument)
{
    return stage->nodes[*(unsigned *)argument].worker == NULL;
}

/* Writes through `client` until the node has ended; the longest of them, in virtual time. */
static uint64_t slowest_while_it_stops(struct stage *stage, unsigned client, unsigned node)
{
    uint64_t slowest = 0;
    worker_stop(stage->nodes[node].worker);
    for (unsigned i = 0; i < 200 || stage->nodes[node].worker; i++) {
        uint64_t begin = world_now_ns(stage->world);
        stage_say(stage, client, "INCR n");
        const char *reply = stage_reply(stage, client, 5 * STAGE_SECOND);
        assert_true(reply[0] != '-' && reply[0] != '(');
        uint64_t took = world_now_ns(stage->world) - begin;
        slowest = took > slowest ? took : slowest;
        stage_run(stage, STAGE_MS);
    }
    return slowest;
}

static void nobody_waits_for_an_election(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        unsigned leader = stage_leader(stage), other = stage_follower(stage);
        unsigned client = stage_connect(stage, other);
        assert_string_equal("1", stage_ask(stage, client, "INCR n"));
        uint64_t slowest = slowest_while_it_stops(stage, client, leader);
        assert_true(slowest < 200 * STAGE_MS); /* the shortest election time-out is 400 */
        assert_string_equal("", stage->nodes[leader].why);
        assert_true(stage_leader(stage) != leader);
        assert_true(stage_start(stage, leader));
        assert_true(stage_wait(stage, stage_is_converged, NULL, 20 * STAGE_SECOND));
        stage_destroy(stage);
    }
}

/* All at once, and one without others: they end, soon. */
static void who_has_nobody_to_hand_over_to_ends(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 3; nodes += 2) {
        struct stage *stage = stage_formed(nodes);
        unsigned client = stage_connect(stage, stage_leader(stage));
        assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
        for (unsigned i = 0; i < nodes; i++)
            worker_stop(stage->nodes[i].worker);
        for (unsigned i = 0; i < nodes; i++)
            assert_true(stage_wait(stage, has_ended, &i, 6 * STAGE_SECOND));
        for (unsigned i = 0; i < nodes; i++)
            assert_true(stage_start(stage, i));
        assert_true(stage_wait(stage, stage_has_leader, NULL, 20 * STAGE_SECOND));
        client = stage_connect(stage, stage_leader(stage));
        assert_string_equal("1", stage_ask(stage, client, "GET a"));
        stage_destroy(stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_waits_for_an_election),
        cmocka_unit_test(who_has_nobody_to_hand_over_to_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
