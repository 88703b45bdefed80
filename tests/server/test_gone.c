/* Requests that were delayed: by a pause of the process, by a hold, by large replies. What a client
 * may have given up has no effect later than that (SERVER-6), and nobody waits twice. */
#include "stage.h"

#include "base/memory.h"

#include <string.h>

static const char *ask(struct stage *stage, unsigned client, const char *request)
{
    return stage_ask(stage, client, request);
}

/* The leader stops with a write of a client unread; the client leaves and writes something else
 * through another node. When the old leader goes on, the first write must not come after the
 * second. */
static void a_write_does_not_outlive_its_client(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        unsigned old = stage_leader(stage), client = stage_connect(stage, old);
        unsigned other = stage_connect(stage, stage_follower(stage));
        assert_string_equal("1", ask(stage, client, "RPUSH l 1"));
        world_pause(stage->world, stage->nodes[old].machine);
        stage_say(stage, client, "RPUSH l 2");
        stage_run(stage, STAGE_SECOND);
        stage_disconnect(stage, client);
        assert_true(stage_wait(stage, stage_has_other_leader, &old, 10 * STAGE_SECOND));
        assert_string_equal("2", ask(stage, other, "RPUSH l 3"));
        world_resume(stage->world, stage->nodes[old].machine);
        assert_true(stage_wait(stage, stage_is_converged, NULL, 20 * STAGE_SECOND));
        stage_run(stage, 2 * STAGE_SECOND);
        assert_string_equal("1 3", ask(stage, other, "LRANGE l 0 -1")); /* SERVER-6 */
        stage_destroy(stage);
    }
}

/* Stopped between the events of a turn and their handling: a clock that was read before says
 * nothing. */
static void a_write_that_a_turn_held_does_not_outlive_its_client(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        unsigned node = stage_follower(stage), client = stage_connect(stage, node);
        unsigned other = stage_connect(stage, stage_leader(stage));
        struct machine_id machine = stage->nodes[node].machine;
        assert_string_equal("1", ask(stage, client, "RPUSH l 1"));
        world_pause_in_turn(stage->world, machine, stage->clients_machine);
        stage_say(stage, client, "RPUSH l 2");
        stage_run(stage, STAGE_SECOND);
        stage_disconnect(stage, client);
        assert_string_equal("2", ask(stage, other, "RPUSH l 3"));
        stage_run(stage, STAGE_SECOND);
        world_resume(stage->world, machine);
        assert_true(stage_wait(stage, stage_is_converged, NULL, 20 * STAGE_SECOND));
        stage_run(stage, 2 * STAGE_SECOND);
        assert_string_equal("1 3", ask(stage, other, "LRANGE l 0 -1")); /* SERVER-6 */
        stage_destroy(stage);
    }
}

/* Nobody stopped it, but its turns are long, and what is read in one came before the last. */
static void a_write_in_long_turns_does_not_outlive_its_client(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        unsigned node = stage_follower(stage), client = stage_connect(stage, node);
        unsigned other = stage_connect(stage, stage_leader(stage));
        assert_string_equal("1", ask(stage, client, "RPUSH l 1"));
        world_turn_cost(stage->world, stage->nodes[node].machine, 600 * STAGE_MS, 700 * STAGE_MS);
        stage_run(stage, STAGE_SECOND);
        stage_say(stage, client, "RPUSH l 2");
        stage_run(stage, 20 * STAGE_MS);
        stage_disconnect(stage, client);
        assert_string_equal("2", ask(stage, other, "RPUSH l 3"));
        stage_run(stage, 5 * STAGE_SECOND);
        world_turn_cost(stage->world, stage->nodes[node].machine, 0, 0);
        assert_true(stage_wait(stage, stage_is_converged, NULL, 20 * STAGE_SECOND));
        stage_run(stage, 2 * STAGE_SECOND);
        assert_string_equal("1 3", ask(stage, other, "LRANGE l 0 -1")); /* SERVER-6 */
        stage_destroy(stage);
    }
}

/* Passed on at once, but the leader's turns are long; what its client writes there meanwhile is not
 * followed by what it had given up. */
static void a_write_in_a_long_turn_of_the_leader_comes_first_or_not_at_all(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct stage *stage = stage_formed_with(
            &(struct stage_options){.nodes = 3, .seed = seed, .hold_ns = 150 * STAGE_MS});
        unsigned leader = stage_leader(stage), node = stage_follower(stage);
        unsigned client = stage_connect(stage, node);
        unsigned other = stage_connect(stage, 3 - leader - node);
        char list[32];
        assert_string_equal("1", ask(stage, client, "RPUSH l 1"));
        assert_string_equal("PONG", ask(stage, other, "PING"));
        world_turn_cost(stage->world, stage->nodes[leader].machine, 280 * STAGE_MS, 320 * STAGE_MS);
        stage_run(stage, 200 * STAGE_MS);
        stage_say(stage, client, "RPUSH l 2");
        stage_run(stage, 5 * STAGE_MS);
        stage_disconnect(stage, client);
        stage_say(stage, other, "RPUSH l 3");
        stage_run(stage, 2 * STAGE_SECOND);
        world_turn_cost(stage->world, stage->nodes[leader].machine, 0, 0);
        (void)stage_reply(stage, other, 10 * STAGE_SECOND);
        assert_true(stage_wait(stage, stage_is_converged, NULL, 20 * STAGE_SECOND));
        snprintf(list, sizeof list, "%s", ask(stage, other, "LRANGE l 0 -1"));
        assert_string_not_equal("1 3 2", list); /* SERVER-6 */
        stage_destroy(stage);
    }
}

/* Held for want of a leader; the client leaves before there is one. */
static void a_held_write_does_not_outlive_its_client(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct stage *stage = stage_formed_with(
            &(struct stage_options){.nodes = 3, .seed = seed, .hold_ns = 5 * STAGE_SECOND});
        unsigned old = stage_leader(stage), node = stage_follower(stage);
        unsigned client = stage_connect(stage, node), other = stage_connect(stage, node);
        stage_kill(stage, old);
        stage_run(stage, 100 * STAGE_MS); /* the follower knows it: the link is gone */
        stage_say(stage, client, "SET a late");
        stage_say(stage, other, "SET b waits");
        stage_run(stage, 50 * STAGE_MS);
        stage_disconnect(stage, client);
        assert_string_equal("OK", stage_reply(stage, other, 5 * STAGE_SECOND));
        stage_run(stage, 2 * STAGE_SECOND);
        assert_string_equal("nil", ask(stage, other, "GET a")); /* SERVER-6 */
        stage_destroy(stage);
    }
}

/* No leader will come: who sent ten at once waits one hold_ns, not ten. */
static void pipelined_requests_wait_together(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned node = stage_follower(stage), client = stage_connect(stage, node);
    for (unsigned i = 0; i < 3; i++)
        if (i != node)
            stage_kill(stage, i);
    stage_run(stage, 2 * STAGE_SECOND);
    uint64_t begin = world_now_ns(stage->world);
    for (unsigned i = 0; i < 10; i++)
        stage_say(stage, client, i == 5 ? "PING" : "SET a 1");
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(0, strncmp(i == 5 ? "PONG" : "-TRYAGAIN",
                                    stage_reply(stage, client, 5 * STAGE_SECOND), i == 5 ? 4 : 9));
    assert_true(world_now_ns(stage->world) - begin < 1500 * STAGE_MS);
    stage_destroy(stage);
}

/* ---- large replies to clients of another node ---- */

#define LARGE_SIZE (1u << 20)
#define LARGE_GETS 300

static void set_large_value(struct stage *stage, unsigned client)
{
    stage_send_large(stage, client, "m", LARGE_SIZE);
    assert_string_equal("OK", stage_reply(stage, client, 20 * STAGE_SECOND));
}

static size_t most_staged;

/* What the leader holds for clients of other nodes (SERVER-4). */
static void watch_staged(struct stage *stage, unsigned node)
{
    size_t staged = stage_server(stage, node) ? server_staged_bytes(stage_server(stage, node)) : 0;
    most_staged = staged > most_staged ? staged : most_staged;
}

static void slow_readers_elsewhere_harm_nobody(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), node = stage_follower(stage), readers[4];
    unsigned other = stage_connect(stage, leader);
    set_large_value(stage, other);
    most_staged = 0;
    stage->watch = watch_staged;
    for (unsigned i = 0; i < 4; i++) {
        readers[i] = stage_connect(stage, node);
        stage_deafen(stage, readers[i], true);
        for (unsigned k = 0; k < LARGE_GETS; k++)
            stage_say(stage, readers[i], "GET m");
    }
    for (unsigned i = 0; i < 20; i++) {
        assert_string_equal("OK", ask(stage, other, "SET a 1"));
        stage_run(stage, 100 * STAGE_MS);
    }
    assert_int_equal(leader, stage_leader(stage));
    assert_true(most_staged <
                4 * (20u << 20)); /* of each reader: 16 MiB and the reply that was too much */
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_does_not_outlive_its_client),
        cmocka_unit_test(a_write_that_a_turn_held_does_not_outlive_its_client),
        cmocka_unit_test(a_write_in_long_turns_does_not_outlive_its_client),
        cmocka_unit_test(a_write_in_a_long_turn_of_the_leader_comes_first_or_not_at_all),
        cmocka_unit_test(a_held_write_does_not_outlive_its_client),
        cmocka_unit_test(pipelined_requests_wait_together),
        cmocka_unit_test(slow_readers_elsewhere_harm_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
