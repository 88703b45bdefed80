/* ACK by contract and by connection: what is answered before its commit, under which lease, and
 * what never is (REPLICA-1, R2, R11). A leader is cut off from the others; its clients reach it. */
#include "failover.h"

#include <string.h>

#define LEASE_NS (400 * STAGE_MS) /* of node_timing_default: the shortest election time-out */

/* A keyspace of such a contract, and a client at its leader with key k = 0 committed there. */
static struct stage *stage_with(unsigned nodes, const char *contract, unsigned *client)
{
    struct stage *stage = stage_formed(nodes);
    char request[256];
    snprintf(request, sizeof request, "KEYSPACE CREATE fast %s", contract);
    expect(stage, stage_connect(stage, 0), request, "OK");
    assert_true(stage_wait(stage, has_leader, NULL, 5 * STAGE_SECOND));
    *client = stage_connect(stage, leader(stage));
    expect(stage, *client, "SELECT fast", "OK");
    expect(stage, *client, "SET k 0", "OK");
    stage_run(stage, 100 * STAGE_MS);
    return stage;
}

/* Answered at once under the lease, and not one moment longer; the cut takes it away. */
static void answered_before_the_commit(const char *contract)
{
    unsigned client;
    struct stage *stage = stage_with(3, contract, &client);
    stage_isolate(stage, leader(stage));
    stage_say(stage, client, "SET k 1");
    assert_string_equal("OK", stage_reply(stage, client, 100 * STAGE_MS));
    stage_say(stage, client, "GET k"); /* a strong read waits for the commit of what it saw */
    assert_string_equal("(none)", stage_reply(stage, client, LEASE_NS));
    stage_say(stage, client, "SET k 2"); /* the lease is over */
    assert_true(stage_reply(stage, client, 8 * STAGE_SECOND)[0] == '-');
    assert_true(stage_reply(stage, client, 8 * STAGE_SECOND)[0] == '-');
    stage_heal(stage);
    assert_true(stage_wait(stage, stage_is_converged, NULL, 20 * STAGE_SECOND));
    unsigned other = stage_connect(stage, 0);
    expect(stage, other, "SELECT fast", "OK");
    expect(stage, other, "GET k", "0"); /* acknowledged, and cut: the contract allows it */
    stage_destroy(stage);
}

static void async_is_answered_early(void **state)
{
    (void)state;
    answered_before_the_commit("ACK async FAILOVER available");
}

static void local_is_answered_early(void **state)
{
    (void)state;
    answered_before_the_commit("ACK local FAILOVER available");
}

/* The same cut where the contract or the connection wants a majority: no answer. */
static void waits_for_the_commit(void **state)
{
    (void)state;
    unsigned client;
    struct stage *stage = stage_with(3, "ACK quorum FAILOVER available", &client);
    stage_isolate(stage, leader(stage));
    stage_say(stage, client, "SET k 1");
    assert_string_equal("(none)", stage_reply(stage, client, LEASE_NS));
    stage_destroy(stage);
}

/* FAILOVER available: a connection chooses its own level, up and down. */
static void a_connection_chooses(void **state)
{
    (void)state;
    unsigned client;
    struct stage *stage = stage_with(3, "ACK async FAILOVER available", &client);
    expect(stage, client, "ACK", "async");
    expect(stage, client, "ACK quorum", "OK");
    expect(stage, client, "ACK", "quorum");
    stage_isolate(stage, leader(stage));
    stage_say(stage, client, "SET k 1");
    assert_string_equal("(none)", stage_reply(stage, client, 100 * STAGE_MS));
    unsigned second = stage_connect(stage, leader(stage));
    expect(stage, second, "SELECT fast", "OK");
    expect(stage, second, "ACK local", "OK");
    stage_say(stage, second, "SET k 2");
    assert_string_equal("OK", stage_reply(stage, second, 100 * STAGE_MS));
    stage_destroy(stage);
}

/* FAILOVER safe: never less than the contract, wherever the level was chosen. */
static void never_less_where_it_is_safe(void **state)
{
    (void)state;
    unsigned client;
    struct stage *stage = stage_with(3, "ACK async FAILOVER available", &client);
    expect(stage, client, "SELECT default", "OK");
    expect(stage, client, "ACK async", "-ERR a connection may ask for more");
    expect(stage, client, "ACK local", "-ERR a connection may ask for more");
    expect(stage, client, "ACK nonsense", "-ERR ACK is async");
    expect(stage, client, "ACK semisync:3",
           "-ERR ACK semisync:3 needs 3 followers, and this keyspace has 2: ACK semisync:2 or all");
    expect(stage, client, "ACK semisync:2", "OK");
    expect(stage, client, "SELECT fast", "OK");
    expect(stage, client, "ACK async", "OK");
    expect(stage, client, "SELECT default", "OK");
    unsigned leads = stage_leader(stage);
    unsigned there = stage_connect(stage, leads);
    expect(stage, there, "SELECT fast", "OK");
    expect(stage, there, "ACK async", "OK");
    expect(stage, there, "SELECT default", "OK");
    expect(stage, there, "SET k 0", "OK");
    stage_isolate(stage, leads);
    stage_say(stage, there, "SET k 1");
    assert_string_equal("(none)", stage_reply(stage, there, LEASE_NS));
    stage_destroy(stage);
}

/* A level that is asked for at one node holds at the leader elsewhere. */
static void a_level_is_forwarded(void **state)
{
    (void)state;
    unsigned client;
    struct stage *stage = stage_with(3, "ACK quorum FAILOVER available", &client);
    unsigned leads = leader(stage), entry = (leads + 1) % 3;
    unsigned there = stage_connect(stage, entry);
    expect(stage, there, "SELECT fast", "OK");
    expect(stage, there, "ACK all", "OK");
    expect(stage, there, "SET k 1", "OK");
    stage_kill(stage, (leads + 2) % 3);
    stage_run(stage, 2 * STAGE_SECOND);
    expect(stage, there, "SET k 2", "-NOREPLICAS 2 of 3");
    expect(stage, there, "ACK quorum", "OK");
    expect(stage, there, "SET k 3", "OK");
    stage_destroy(stage);
}

/* What a follower has heard: the highest index that was answered (R10). */
static bool everybody_knows(struct stage *stage, void *index)
{
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (raft_view(replica_raft(stage_replica(stage, i, FAST_GROUP)))->acked <
            *(uint64_t *)index)
            return false;
    return true;
}

static void followers_hear_what_was_answered(void **state)
{
    (void)state;
    unsigned client;
    struct stage *stage = stage_with(3, "ACK async FAILOVER available", &client);
    uint64_t first =
        raft_view(replica_raft(stage_replica(stage, leader(stage), FAST_GROUP)))->last_index;
    expect(stage, client, "SET k 1", "OK");
    expect(stage, client, "SET k 2", "OK"); /* its append carries the answer to the first */
    first++;
    assert_true(stage_wait(stage, everybody_knows, &first, 5 * STAGE_SECOND));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(async_is_answered_early),
        cmocka_unit_test(local_is_answered_early),
        cmocka_unit_test(waits_for_the_commit),
        cmocka_unit_test(a_connection_chooses),
        cmocka_unit_test(never_less_where_it_is_safe),
        cmocka_unit_test(a_level_is_forwarded),
        cmocka_unit_test(followers_hear_what_was_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
