/* MULTI, EXEC, WATCH, WAIT and ACK, through the leader and through another node. */
#include "stage.h"

#include <string.h>

#define ask stage_ask

static void expect(struct stage *stage, unsigned client, const char *request, const char *reply)
{
    const char *got = ask(stage, client, request);
    if (strcmp(got, reply) != 0)
        fail_msg("%s: \"%s\" instead of \"%s\"", request, got, reply);
}

static void expect_prefix(struct stage *stage, unsigned client, const char *request,
                          const char *prefix)
{
    const char *got = ask(stage, client, request);
    if (strncmp(got, prefix, strlen(prefix)) != 0)
        fail_msg("%s: \"%s\" does not begin with \"%s\"", request, got, prefix);
}

/* The same scene at a client of the leader and at one that is forwarded. */
static void on_each_side(void (*scene)(struct stage *stage, unsigned client, unsigned other))
{
    for (unsigned side = 0; side < 2; side++) {
        struct stage *stage = stage_formed(3);
        unsigned leader = stage_leader(stage);
        unsigned node = side ? stage_follower(stage) : leader;
        scene(stage, stage_connect(stage, node), stage_connect(stage, leader));
        assert_true(stage_wait(stage, stage_is_converged, NULL, 20 * STAGE_SECOND));
        stage_destroy(stage);
    }
}

static void a_transaction_scene(struct stage *stage, unsigned client, unsigned other)
{
    expect(stage, client, "MULTI", "OK");
    expect(stage, client, "SET a 1", "QUEUED");
    expect(stage, client, "INCR a", "QUEUED");
    expect(stage, client, "LPUSH a x", "QUEUED");
    expect(stage, client, "GET a", "QUEUED");
    expect(stage, other, "GET a", "nil");
    uint64_t before =
        raft_view(replica_raft(stage_replica(stage, stage_leader(stage), GROUP_DEFAULT)))
            ->last_index;
    expect_prefix(stage, client, "EXEC", "OK 2 -WRONGTYPE");
    uint64_t after =
        raft_view(replica_raft(stage_replica(stage, stage_leader(stage), GROUP_DEFAULT)))
            ->last_index;
    assert_int_equal(before + 1, after); /* REPLICA-7: one entry */
    expect(stage, other, "GET a", "2");
    expect_prefix(stage, client, "EXEC", "-ERR EXEC without MULTI");
    expect(stage, client, "MULTI", "OK");
    expect_prefix(stage, client, "MULTI", "-ERR MULTI calls can not be nested");
    expect_prefix(stage, client, "WATCH a", "-ERR WATCH inside MULTI");
    expect(stage, client, "EXEC", "");
}

static void a_transaction_is_one_entry(void **state)
{
    (void)state;
    on_each_side(a_transaction_scene);
}

static void an_abort_scene(struct stage *stage, unsigned client, unsigned other)
{
    expect(stage, client, "MULTI", "OK");
    expect(stage, client, "SET a 1", "QUEUED");
    expect_prefix(stage, client, "NOSUCH", "-ERR unknown command");
    expect(stage, client, "blpop l 0",
           "-ERR unknown command 'blpop': not available here; use the same command without B, "
           "again while its answer is empty");
    expect_prefix(stage, client, "EXEC", "-EXECABORT");
    expect(stage, client, "MULTI", "OK");
    expect(stage, client, "SET a 1", "QUEUED");
    expect_prefix(stage, client, "GET", "-ERR wrong number");
    expect_prefix(stage, client, "EXEC", "-EXECABORT");
    expect(stage, client, "MULTI", "OK");
    expect(stage, client, "SET a 1", "QUEUED");
    expect(stage, client, "DISCARD", "OK");
    expect_prefix(stage, client, "DISCARD", "-ERR DISCARD without MULTI");
    expect(stage, other, "GET a", "nil");
}

static void what_is_wrong_aborts(void **state)
{
    (void)state;
    on_each_side(an_abort_scene);
}

static void a_watch_scene(struct stage *stage, unsigned client, unsigned other)
{
    expect(stage, client, "SET a 1", "OK");
    expect(stage, client, "WATCH a b", "OK");
    expect(stage, client, "GET a", "1");
    expect(stage, client, "MULTI", "OK");
    expect(stage, client, "SET a 2", "QUEUED");
    expect(stage, client, "EXEC", "OK"); /* nobody came between */
    expect(stage, client, "WATCH a b", "OK");
    expect(stage, other, "SET b 9", "OK");
    expect(stage, client, "MULTI", "OK");
    expect(stage, client, "SET a 3", "QUEUED");
    expect(stage, client, "EXEC", "nil");
    expect(stage, other, "GET a", "2");
    expect(stage, client, "MULTI", "OK"); /* the watch ended with that EXEC */
    expect(stage, client, "SET a 4", "QUEUED");
    expect(stage, client, "EXEC", "OK");
    expect(stage, client, "WATCH a", "OK");
    expect(stage, other, "SET a 5", "OK");
    expect(stage, client, "UNWATCH", "OK");
    expect(stage, client, "MULTI", "OK");
    expect(stage, client, "SET a 6", "QUEUED");
    expect(stage, client, "EXEC", "OK");
}

static void a_change_of_a_watched_key_aborts(void **state)
{
    (void)state;
    on_each_side(a_watch_scene);
}

/* A new leader knows nothing of what was watched: it cannot vouch for it. */
static void a_new_leader_aborts_what_was_watched(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), node = stage_follower(stage);
    unsigned client = stage_connect(stage, node);
    expect(stage, client, "SET a 1", "OK");
    expect(stage, client, "WATCH a", "OK");
    stage_kill(stage, leader);
    assert_true(stage_wait(stage, stage_has_other_leader, &leader, 10 * STAGE_SECOND));
    expect(stage, client, "MULTI", "OK");
    expect(stage, client, "SET a 2", "QUEUED");
    expect(stage, client, "EXEC", "nil");
    expect(stage, client, "GET a", "1");
    stage_destroy(stage);
}

static void a_wait_scene(struct stage *stage, unsigned client, unsigned other)
{
    expect(stage, other, "SET z 1", "OK");
    expect(stage, client, "WAIT 0 100", "2"); /* nothing written here: everybody has that */
    expect(stage, client, "SET a 1", "OK");
    expect(stage, client, "WAIT 2 1000", "2");
    expect(stage, client, "WAIT QUORUM 1000", "3");
    expect(stage, client, "WAIT ALL 1000", "3");
    expect(stage, client, "WAITAOF 1 2 1000", "1 2");
    expect_prefix(stage, client, "WAIT x 1", "-ERR value is not an integer");
    expect_prefix(stage, client, "WAITAOF 2 1 100",
                  "-ERR value is not an integer or out of range; WAITAOF takes 0 or 1");
    expect_prefix(stage, client, "WAIT 1 -1", "-ERR timeout is negative");
    expect(stage, client, "WAIT QUORUM",
           "-ERR wrong number of arguments for 'wait' command: WAIT number|QUORUM|ALL ms");
    expect(stage, client, "SELECT 16",
           "-ERR DB index is out of range: SELECT takes 0 to 15, or a name of KEYSPACE LIST");
    expect(stage, client, "ACK", "quorum");
    expect(stage, client, "ACK all", "OK");
    expect(stage, client, "SET a 2", "OK");
    expect(stage, client, "ACK semisync:1", "OK");
    expect(stage, client, "ACK", "semisync:1");
    expect(stage, client, "ACK async",
           "-ERR a connection may ask for more than its keyspace promises (quorum, FAILOVER safe), "
           "not for less: ACK all works, and KEYSPACE ALTER to FAILOVER available allows this one");
    expect_prefix(stage, client, "ACK nothing", "-ERR ACK is");
}

static void waits_count_disks(void **state)
{
    (void)state;
    on_each_side(a_wait_scene);
}

/* One follower is gone: quorum goes on; who asks for more is told, never with a number that is too
 * low. */
static void what_is_missing_is_told(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, stage_leader(stage));
    expect(stage, client, "SET a 1", "OK");
    stage_kill(stage, stage_follower(stage));
    expect(stage, client, "SET a 2", "OK");
    expect(stage, client, "WAIT 2 300", "1");
    expect(stage, client, "WAIT QUORUM 300", "2");
    expect_prefix(stage, client, "WAIT ALL 300", "-NOREPLICAS");
    stage_run(stage, STAGE_SECOND);
    expect(stage, client, "ACK all", "OK");
    expect_prefix(stage, client, "SET a 3", "-NOREPLICAS 2 of 3"); /* SHORT refuse */
    stage_run(stage, 2 * STAGE_SECOND); /* it is out of the in-sync set (R15) */
    expect(stage, client, "SET a 2", "OK");
    expect_prefix(stage, client, "WAIT ALL 300", "-NOREPLICAS"); /* that counts every voter */
    expect(stage, client, "ACK quorum", "OK");
    expect(stage, client, "GET a", "2");
    stage_destroy(stage);
}

/* A write that is on a quorum, but not on all, when the follower goes: it is answered when that one
 * has left the in-sync set, not before; and once it is back, all are waited for again (R15). */
static void a_write_for_all_that_a_lost_follower_misses(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, stage_leader(stage));
    expect(stage, client, "ACK all", "OK");
    expect(stage, client, "SET a 1", "OK");
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    stage_kill(stage, follower);
    stage_say(stage, client, "SET a 2");
    assert_string_equal("(none)", stage_reply(stage, client, 1500 * STAGE_MS));
    assert_string_equal("OK", stage_reply(stage, client, 2 * STAGE_SECOND));
    assert_non_null(strstr(stage->nodes[leader].lines, "is out of the in-sync set"));
    assert_true(stage_start(stage, follower));
    stage_run(stage, 3 * STAGE_SECOND);
    assert_non_null(strstr(stage->nodes[leader].lines, "is back in the in-sync set"));
    stage_isolate(stage, follower);
    stage_say(stage, client, "SET a 3");
    assert_string_equal("(none)", stage_reply(stage, client, 1500 * STAGE_MS));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_is_one_entry),
        cmocka_unit_test(what_is_wrong_aborts),
        cmocka_unit_test(a_change_of_a_watched_key_aborts),
        cmocka_unit_test(a_new_leader_aborts_what_was_watched),
        cmocka_unit_test(waits_count_disks),
        cmocka_unit_test(what_is_missing_is_told),
        cmocka_unit_test(a_write_for_all_that_a_lost_follower_misses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
