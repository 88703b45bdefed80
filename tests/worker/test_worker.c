/* WORKER-1: a worker waits for nothing but its events, sets the timer that wakes it, and does not
 * turn without need. */
#include "tests/server/stage.h"

#include "wal/wal.h"

#include <string.h>

static uint64_t wakeups(struct stage *stage, unsigned node)
{
    return world_counters(stage->world, stage->nodes[node].machine).wakeups;
}

/* Nobody says anything: what a node owes by the clock happens all the same. */
static void the_timer_wakes_it(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
    assert_true(stage_start(stage, 0));
    unsigned client = stage_connect(stage, 0);
    stage_say(stage, client, "GET a"); /* held: no other event comes */
    uint64_t before_ns = world_now_ns(stage->world);
    assert_memory_equal("-TRYAGAIN", stage_reply(stage, client, 3 * STAGE_SECOND),
                        9); /* WORKER-1 */
    assert_true(world_now_ns(stage->world) - before_ns < 3 * STAGE_SECOND / 2);
    stage_destroy(stage);
}

/* In a cut-off cluster of one formed node nothing comes in: terms still rise, keys still expire. */
static void time_goes_on_alone(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(1);
    unsigned client = stage_connect(stage, 0);
    assert_string_equal("OK", stage_ask(stage, client, "SET a 1 PX 500"));
    struct replica *replica = stage_replica(stage, 0, GROUP_DEFAULT);
    assert_int_equal(1, store_count(replica_store(replica), 0));
    stage_run(stage, 2 * STAGE_SECOND);
    assert_int_equal(0, store_count(replica_store(replica), 0)); /* WORKER-1 */
    stage_destroy(stage);
}

static void it_rests_when_there_is_nothing_to_do(void **state)
{
    (void)state;
    struct stage *one = stage_formed(1), *three = stage_formed(3);
    stage_run(one, STAGE_SECOND);
    stage_run(three, STAGE_SECOND);
    uint64_t alone = wakeups(one, 0), leader = wakeups(three, stage_leader(three));
    uint64_t follower = wakeups(three, stage_follower(three));
    stage_run(one, 10 * STAGE_SECOND);
    stage_run(three, 10 * STAGE_SECOND);
    alone = wakeups(one, 0) - alone;
    leader = wakeups(three, stage_leader(three)) - leader;
    follower = wakeups(three, stage_follower(three)) - follower;
    assert_true(alone < 10 * 40); /* a heartbeat's pace and the look for expired keys */
    assert_true(leader < 10 * 150);
    assert_true(follower < 10 * 100);
    stage_destroy(one);
    stage_destroy(three);
}

/* A turn without events changes nothing and asks for nothing at once. */
static void an_empty_turn_is_harmless(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage);
    uint64_t sends = world_counters(stage->world, stage->nodes[leader].machine).sends;
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(worker_turn(stage->nodes[leader].worker, NULL, 0));
        worker_validate(stage->nodes[leader].worker);
    }
    assert_true(world_counters(stage->world, stage->nodes[leader].machine).sends - sends <= 4);
    stage_destroy(stage);
}

/* ---- a graceful end ---- */

static bool has_ended(struct stage *stage, void *argument)
{
    return !stage->nodes[*(unsigned *)argument].worker;
}

static void stopping_answers_what_waits(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    assert_string_equal("OK", stage_ask(stage, client, "SET n 0"));
    uint64_t before = replica_executed(stage_replica(stage, leader, GROUP_DEFAULT));
    for (unsigned i = 0; i < 20; i++)
        stage_say(stage, client, "INCR n");
    while (replica_executed(stage_replica(stage, leader, GROUP_DEFAULT)) < before + 20)
        stage_run(stage, 10000);
    worker_stop(stage->nodes[leader].worker);
    char expected[16];
    for (unsigned i = 1; i <= 20; i++) {
        snprintf(expected, sizeof expected, "%u", i);
        assert_string_equal(expected, stage_reply(stage, client, 5 * STAGE_SECOND));
    }
    assert_true(stage_wait(stage, has_ended, &leader, 5 * STAGE_SECOND));
    assert_string_equal("", stage->nodes[leader].why);
    assert_true(stage_start(stage, leader));
    assert_true(stage_wait(stage, stage_is_converged, NULL, 20 * STAGE_SECOND));
    stage_destroy(stage);
}

/* Cut off from everybody, with a write that nobody will answer: it ends all the same. */
static void stopping_has_a_deadline(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    assert_string_equal("OK", stage_ask(stage, client, "SET n 0"));
    stage_isolate(stage, leader);
    stage_say(stage, client, "INCR n");
    stage_run(stage, 5 * STAGE_MS);
    worker_stop(stage->nodes[leader].worker);
    assert_true(stage_wait(stage, has_ended, &leader, 6 * STAGE_SECOND));
    stage_destroy(stage);
}

/* ---- what the operator reads ---- */

static void it_tells_what_happens(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    stage_run(stage, STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++) {
        assert_non_null(strstr(stage->nodes[i].lines, "leads keyspace default"));
        assert_non_null(strstr(stage->nodes[i].lines, "ready\n"));
        assert_true(worker_is_ready(stage->nodes[i].worker));
    }
    stage_destroy(stage);
}

/* Nodes without a replica of `default` ask any member: that is no news of who leads. */
static void a_guessed_leader_is_not_told(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 5, .seed = seed});
        char line[32];
        snprintf(line, sizeof line, "node %u (", stage_leader(stage) + 1);
        stage_run(stage, STAGE_SECOND);
        for (unsigned i = 0; i < 5; i++) {
            const char *told = strstr(stage->nodes[i].lines, "node ");
            assert_true(i >= 3 || told);
            assert_true(!told || strstr(told, line));
            assert_non_null(strstr(stage->nodes[i].lines, "ready\n"));
        }
        stage_destroy(stage);
    }
}

static void why_it_is_not_ready(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
    assert_true(stage_start(stage, 0));
    stage_run(stage, STAGE_SECOND);
    assert_string_equal("not part of a cluster yet", worker_unready(stage->nodes[0].worker));
    stage_destroy(stage);
    stage = stage_formed(3);
    unsigned old = stage_leader(stage);
    stage_isolate(stage, old);
    stage_run(stage, 3 * STAGE_SECOND);
    assert_string_equal("no leader", worker_unready(stage->nodes[old].worker));
    stage_heal(stage);
    assert_true(stage_wait(stage, stage_is_converged, NULL, 10 * STAGE_SECOND));
    assert_null(worker_unready(stage->nodes[old].worker));
    stage_destroy(stage);
}

static void addresses_that_cannot_be(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 1});
    snprintf(stage->nodes[0].listen, sizeof stage->nodes[0].listen, "nonsense");
    assert_false(stage_start(stage, 0));
    assert_string_equal("--listen 'nonsense' is not HOST:PORT", stage->nodes[0].why);
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_timer_wakes_it),
        cmocka_unit_test(time_goes_on_alone),
        cmocka_unit_test(it_rests_when_there_is_nothing_to_do),
        cmocka_unit_test(an_empty_turn_is_harmless),
        cmocka_unit_test(stopping_answers_what_waits),
        cmocka_unit_test(stopping_has_a_deadline),
        cmocka_unit_test(it_tells_what_happens),
        cmocka_unit_test(a_guessed_leader_is_not_told),
        cmocka_unit_test(why_it_is_not_ready),
        cmocka_unit_test(addresses_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
