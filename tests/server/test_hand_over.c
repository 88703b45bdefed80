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

static uint64_t term_of_default(struct stage *stage)
{
    unsigned leader = stage_leader(stage);
    return raft_view(replica_raft(stage_replica(stage, leader, GROUP_DEFAULT)))->term;
}

/* All at once, and one without others: they end, soon. */
static void who_has_nobody_to_hand_over_to_ends(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 5; nodes += 2) {
        struct stage *stage = stage_formed(nodes);
        unsigned client = stage_connect(stage, stage_leader(stage));
        assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
        uint64_t term = term_of_default(stage);
        for (unsigned i = 0; i < nodes; i++) {
            worker_stop(stage->nodes[i].worker);
            stage_run(stage, 2 * STAGE_MS);
        }
        for (unsigned i = 0; i < nodes; i++)
            assert_true(stage_wait(stage, has_ended, &i, 6 * STAGE_SECOND));
        for (unsigned i = 0; i < nodes; i++)
            assert_true(stage_start(stage, i));
        assert_true(stage_wait(stage, stage_has_leader, NULL, 20 * STAGE_SECOND));
        assert_true(term_of_default(stage) <= term + 1); /* nobody hands over to who ends, too */
        client = stage_connect(stage, stage_leader(stage));
        assert_string_equal("1", stage_ask(stage, client, "GET a"));
        stage_destroy(stage);
    }
}

/* ---- ACK all (R15) ---- */

/* Killed, it would keep each write waiting for 2 s. */
static void a_follower_says_that_it_stops(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        unsigned leader = stage_leader(stage), other = stage_follower(stage);
        unsigned client = stage_connect(stage, leader);
        assert_string_equal("OK", stage_ask(stage, client, "ACK all"));
        assert_string_equal("1", stage_ask(stage, client, "INCR n"));
        assert_true(slowest_while_it_stops(stage, client, other) < 200 * STAGE_MS);
        assert_non_null(strstr(stage->nodes[leader].lines, "is out of the in-sync set"));
        assert_true(stage_start(stage, other));
        stage_run(stage, 5 * STAGE_SECOND);
        assert_non_null(strstr(stage->nodes[leader].lines, "is back in the in-sync set"));
        stage_destroy(stage);
    }
}

/* ---- a full disk ---- */

static const char *set_large(struct stage *stage, unsigned client)
{
    static char value[16000];
    static const char head[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16000\r\n";
    memset(value, 'v', sizeof value);
    stage_send(stage, client, head, sizeof head - 1);
    stage_send(stage, client, value, sizeof value);
    stage_send(stage, client, "\r\n", 2);
    return stage_reply(stage, client, 5 * STAGE_SECOND);
}

static void fill(struct stage *stage, unsigned node)
{
    world_disk_capacity(stage->world, stage->nodes[node].machine,
                        world_disk_used(stage->world, stage->nodes[node].machine));
}

/* Writes through the node whose disk is full go on by themselves: another one leads. */
static void a_full_leader_hands_over(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
        unsigned changes = 0, last = leader;
        fill(stage, leader);
        for (unsigned i = 0; i < 400; i++) {
            const char *reply = set_large(stage, client);
            assert_true(reply[0] == 'O' || strncmp(reply, "-MISCONF", 8) == 0);
            stage_run(stage, 20 * STAGE_MS);
            changes += stage_leader(stage) != last && stage_leader(stage) != STAGE_NONE;
            last = stage_leader(stage) == STAGE_NONE ? last : stage_leader(stage);
        }
        assert_true(stage_leader(stage) != leader);
        assert_string_equal("OK", set_large(stage, client));
        assert_int_equal(1, changes); /* and it stays there */
        assert_non_null(strstr(stage->nodes[leader].lines, "goes to nodes that have room"));
        stage_destroy(stage);
    }
}

/* Nobody has room: the leader stays, refuses, and answers reads. */
static void full_everywhere(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
    for (unsigned i = 0; i < 3; i++)
        fill(stage, i);
    for (unsigned i = 0; i < 400; i++) {
        const char *reply = set_large(stage, client);
        assert_true(reply[0] == 'O' || strncmp(reply, "-MISCONF", 8) == 0);
        stage_run(stage, 20 * STAGE_MS);
    }
    assert_int_equal(leader, stage_leader(stage));
    assert_true(strncmp(set_large(stage, client), "-MISCONF", 8) == 0);
    assert_string_equal("1", stage_ask(stage, client, "GET a"));
    stage_destroy(stage);
}

/* ---- a disk that stands still ---- */

static void hold(struct stage *stage, unsigned node, bool held)
{
    world_hold_syncs(stage->world, stage->nodes[node].machine, held);
}

/* NODE-11: nobody is elected twice, clients wait for nothing, and it leads again only when it was
 * well for ten seconds. */
static void a_stalled_leader_hands_over(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        unsigned leader = stage_leader(stage), other = stage_follower(stage);
        unsigned client = stage_connect(stage, other);
        uint64_t term = term_of_default(stage);
        hold(stage, leader, true);
        for (unsigned i = 0; i < 200; i++) {
            stage_say(stage, client, "INCR n");
            const char *reply = stage_reply(stage, client, STAGE_SECOND);
            assert_true(reply[0] != '-' && reply[0] != '(');
            stage_run(stage, 20 * STAGE_MS);
            hold(stage, leader, i < 150);
        }
        assert_true(stage_leader(stage) != leader);
        assert_int_equal(term + 1, term_of_default(stage));
        assert_non_null(strstr(stage->nodes[leader].lines, "has not ended a sync"));
        assert_int_equal(NODE_DISK_STALLED, node_disk(worker_node(stage->nodes[leader].worker)));
        assert_non_null(strstr(stage_ask(stage, client, "WHY KEYSPACE default"), "disk-stalled"));
        assert_non_null(strstr(stage_ask(stage, client, "EVENTS"), "the disk stands still"));
        stage_run(stage, 11 * STAGE_SECOND);
        assert_int_equal(NODE_DISK_WELL, node_disk(worker_node(stage->nodes[leader].worker)));
        assert_int_equal(term + 1, term_of_default(stage));
        stage_destroy(stage);
    }
}

/* Leadership is handed to nobody whose disk stands still, too. */
static void stalled_everywhere(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    uint64_t term = term_of_default(stage);
    assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
    for (unsigned i = 0; i < 3; i++)
        hold(stage, i, true);
    stage_say(stage, client, "SET a 2");
    assert_string_equal("(none)", stage_reply(stage, client, 3 * STAGE_SECOND));
    assert_int_equal(leader, stage_leader(stage));
    for (unsigned i = 0; i < 3; i++)
        hold(stage, i, false);
    assert_string_equal("OK", stage_reply(stage, client, STAGE_SECOND));
    assert_int_equal(term, term_of_default(stage));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_waits_for_an_election),
        cmocka_unit_test(who_has_nobody_to_hand_over_to_ends),
        cmocka_unit_test(a_follower_says_that_it_stops),
        cmocka_unit_test(a_full_leader_hands_over),
        cmocka_unit_test(full_everywhere),
        cmocka_unit_test(a_stalled_leader_hands_over),
        cmocka_unit_test(stalled_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
