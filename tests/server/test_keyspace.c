/* Keyspaces beside `default`: created, opened, written through any node, kept over crashes, dropped
 * (CONTROL-5, CONTROL-6, CONTROL-7, NODE-6, NODE-7). */
#include "stage.h"

#include <stdlib.h>
#include <string.h>

#define CARTS "KEYSPACE CREATE carts MODE leader REPLICAS 3 ACK quorum DB 3"

static void expect(struct stage *stage, unsigned client, const char *request, const char *reply)
{
    const char *got = stage_ask(stage, client, request);
    if (strcmp(got, reply) != 0)
        fail_msg("%s: '%s', not '%s'", request, got, reply);
}

static void expect_prefix(struct stage *stage, unsigned client, const char *request,
                          const char *prefix)
{
    const char *got = stage_ask(stage, client, request);
    if (strncmp(got, prefix, strlen(prefix)) != 0)
        fail_msg("%s: '%s', not '%s ...'", request, got, prefix);
}

/* The node that serves `group`; STAGE_NONE. */
static unsigned leader_of(struct stage *stage, struct group_id group)
{
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        struct replica *replica = stage_replica(stage, i, group);
        if (replica && replica_is_serving(replica))
            return i;
    }
    return STAGE_NONE;
}

static const struct group_id first_group = {2}, second_group = {3};

static void a_keyspace_of_its_own(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned clients[3];
    for (unsigned i = 0; i < 3; i++)
        clients[i] = stage_connect(stage, i);
    expect(stage, clients[1], CARTS, "OK");
    for (unsigned i = 0; i < 3; i++) { /* CONTROL-7: acknowledged there, known everywhere */
        expect(stage, clients[i], "SELECT carts", "OK");
        stage_say(stage, clients[i], "SET k%u %u", i, i);
        assert_string_equal("OK", stage_reply(stage, clients[i], 5 * STAGE_SECOND));
    }
    expect(stage, clients[2], "MGET k0 k1 k2", "0 1 2");
    expect(stage, clients[2], "DBSIZE", "3");
    expect(stage, clients[2], "SELECT default", "OK");
    expect(stage, clients[2], "EXISTS k0", "0"); /* nothing of it is in `default` */
    expect(stage, clients[2], "SELECT 3", "OK");
    expect(stage, clients[2], "GET k0", "0"); /* DB 3 opens it */
    expect(stage, clients[2], "SELECT 4", "OK");
    expect(stage, clients[2], "EXISTS k0", "0"); /* a database of `default` */
    expect_prefix(stage, clients[2], "COPY a b DB 3", "-ERR COPY from one keyspace");
    expect(stage, clients[2], "COPY a b DB 5", "0");
    expect(stage, clients[0], "COPY k0 k9", "1");
    expect_prefix(stage, clients[0], "COPY k0 k9 DB 1", "-ERR COPY from one keyspace");
    stage_destroy(stage);
}

static void every_node_knows_at_once(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned maker = stage_connect(stage, 0), others[2];
    others[0] = stage_connect(stage, 1);
    others[1] = stage_connect(stage, 2);
    for (unsigned i = 0; i < 8; i++) {
        char name[32];
        stage_say(stage, maker, "KEYSPACE CREATE space%u", i);
        assert_string_equal("OK", stage_reply(stage, maker, 5 * STAGE_SECOND));
        snprintf(name, sizeof name, "SELECT space%u", i);
        expect(stage, others[i % 2], name, "OK"); /* CONTROL-7 */
    }
    expect_prefix(stage, others[0], "SELECT space9", "-ERR there is no keyspace");
    stage_destroy(stage);
}

/* A view that is a moment older, as a follower applies it, does not replace a newer one that the
 * leader told: what was opened stays open. */
static void an_older_view_is_passed_over(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        unsigned leader = leader_of(stage, GROUP_SYSTEM);
        unsigned maker = stage_connect(stage, leader),
                 other = stage_connect(stage, (leader + 1) % 3);
        for (unsigned i = 0; i < 12; i++)
            stage_say(stage, maker, "KEYSPACE CREATE space%u", i);
        for (unsigned i = 0; i < 12; i++) {
            assert_string_equal("OK", stage_reply(stage, maker, 5 * STAGE_SECOND));
            stage_say(stage, other, "SELECT space%u", i);
            stage_say(stage, other, "PING");
            stage_say(stage, other, "SET k %u", i);
            assert_string_equal("OK", stage_reply(stage, other, 5 * STAGE_SECOND));
            assert_string_equal("PONG", stage_reply(stage, other, 5 * STAGE_SECOND));
            assert_string_equal("OK", stage_reply(stage, other, 5 * STAGE_SECOND));
        }
        stage_destroy(stage);
    }
}

static bool group_is_led_by_another(struct stage *stage, void *argument)
{
    unsigned leader = leader_of(stage, first_group);
    return leader != STAGE_NONE && leader != *(unsigned *)argument;
}

static void a_killed_leader(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, CARTS, "OK");
    expect(stage, client, "SELECT carts", "OK");
    expect(stage, client, "SET k 1", "OK");
    unsigned leader = leader_of(stage, first_group);
    assert_int_not_equal(STAGE_NONE, leader);
    stage_kill(stage, leader);
    assert_true(stage_wait(stage, group_is_led_by_another, &leader, 5 * STAGE_SECOND));
    client = stage_connect(stage, (leader + 1) % 3);
    expect(stage, client, "SELECT carts", "OK");
    expect(stage, client, "GET k", "1");
    expect(stage, client, "SET k 2", "OK");
    assert_true(stage_start(stage, leader));
    stage_run(stage, 2 * STAGE_SECOND);
    client = stage_connect(stage, leader);
    expect(stage, client, "SELECT 3", "OK");
    expect(stage, client, "GET k", "2");
    stage_destroy(stage);
}

static bool has_group(struct stage *stage, void *argument)
{
    return leader_of(stage, *(struct group_id *)argument) != STAGE_NONE;
}

static void all_power_lost(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    struct group_id group = first_group;
    unsigned client = stage_connect(stage, 2);
    expect(stage, client, CARTS, "OK");
    expect(stage, client, "SELECT carts", "OK");
    for (unsigned i = 0; i < 50; i++) {
        stage_say(stage, client, "SET k%u %u", i, i);
        assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    }
    for (unsigned i = 0; i < 3; i++)
        stage_power_cut(stage, i);
    for (unsigned i = 0; i < 3; i++)
        assert_true(stage_start(stage, i));
    assert_true(stage_wait(stage, has_group, &group, 10 * STAGE_SECOND));
    client = stage_connect(stage, 1);
    expect(stage, client, "SELECT 3", "OK");
    expect(stage, client, "DBSIZE", "50");
    expect(stage, client, "GET k49", "49");
    stage_destroy(stage);
}

static bool group_is_gone(struct stage *stage, void *argument)
{
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (stage->nodes[i].worker && stage_replica(stage, i, *(struct group_id *)argument))
            return false;
    return true;
}

static void drop_and_create_again(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    struct group_id old = first_group, new = second_group;
    unsigned client = stage_connect(stage, 0), stale = stage_connect(stage, 1);
    expect(stage, client, CARTS, "OK");
    expect(stage, stale, "SELECT carts", "OK");
    expect(stage, stale, "SET k 1", "OK");
    expect(stage, client, "KEYSPACE DROP carts", "OK");
    assert_true(stage_wait(stage, group_is_gone, &old, 5 * STAGE_SECOND));
    expect_prefix(stage, stale, "GET k", "-ERR keyspace carts was dropp");
    expect(stage, client, CARTS, "OK"); /* the name and DB 3 are free again */
    assert_true(stage_wait(stage, has_group, &new, 5 * STAGE_SECOND)); /* CONTROL-6: a new id */
    assert_true(group_is_gone(stage, &old));
    expect_prefix(stage, stale, "GET k", "-ERR keyspace carts was dropp");
    expect(stage, stale, "SELECT carts", "OK");
    expect(stage, stale, "GET k", "nil");
    expect(stage, stale, "SET k 2", "OK");
    for (unsigned i = 0; i < 3; i++)
        stage_kill(stage, i);
    for (unsigned i = 0; i < 3; i++)
        assert_true(stage_start(stage, i)); /* NODE-7: the old records are passed over */
    assert_true(stage_wait(stage, has_group, &new, 10 * STAGE_SECOND));
    stage_run(stage, STAGE_SECOND);
    assert_true(group_is_gone(stage, &old));
    client = stage_connect(stage, 2);
    expect(stage, client, "SELECT 3", "OK");
    expect(stage, client, "GET k", "2");
    stage_destroy(stage);
}

/* Requests that are on their way while the keyspace goes are answered at once, with an error: they
 * do not wait for a leader that will never be. */
static void requests_during_a_drop(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        unsigned maker = stage_connect(stage, leader_of(stage, GROUP_SYSTEM));
        expect(stage, maker, CARTS, "OK");
        unsigned clients[3];
        for (unsigned i = 0; i < 3; i++) {
            clients[i] = stage_connect(stage, i);
            expect(stage, clients[i], "SELECT carts", "OK");
            expect(stage, clients[i], "SET k 1", "OK");
        }
        stage_say(stage, maker, "KEYSPACE DROP carts");
        for (unsigned i = 0; i < 30; i++) {
            stage_say(stage, clients[i % 3], i % 2 ? "SET k 2" : "GET k");
            stage_run(stage, STAGE_MS / 2);
        }
        for (unsigned i = 0; i < 30; i++) {
            const char *reply = stage_reply(stage, clients[i % 3], 500 * STAGE_MS);
            if (strcmp(reply, "OK") != 0 && reply[0] != '1' && reply[0] != '2' &&
                strncmp(reply, "-ERR ", 5) != 0)
                fail_msg("seed %u: '%s'", (unsigned)seed, reply);
        }
        assert_string_equal("OK", stage_reply(stage, maker, STAGE_SECOND));
        stage_destroy(stage);
    }
}

/* A node that was down meanwhile has the group in its log, and is told when it comes back. */
static void dropped_while_away(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    struct group_id group = first_group;
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, CARTS, "OK");
    expect(stage, client, "SELECT carts", "OK");
    expect(stage, client, "SET k 1", "OK");
    stage_kill(stage, 2);
    stage_run(stage, STAGE_SECOND);
    expect(stage, client, "KEYSPACE DROP carts", "OK");
    assert_true(stage_start(stage, 2));
    assert_true(stage_wait(stage, group_is_gone, &group, 10 * STAGE_SECOND));
    stage_kill(stage, 2);
    assert_true(stage_start(stage, 2));
    stage_run(stage, 2 * STAGE_SECOND);
    assert_true(group_is_gone(stage, &group));
    stage_destroy(stage);
}

/* `system` has three replicas: the other two nodes ask for the catalogue. */
static void a_node_without_the_catalogue(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(4);
    unsigned client = stage_connect(stage, 3);
    assert_null(stage_replica(stage, 3, GROUP_SYSTEM));
    expect(stage, client, "KEYSPACE CREATE wide REPLICAS 4 PARTITIONS 4", "OK");
    expect(stage, client, "SELECT wide", "OK");
    for (unsigned i = 0; i < 40; i++) {
        stage_say(stage, client, "SET k%u %u", i, i);
        assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    }
    for (uint64_t i = 2; i < 6; i++)
        assert_non_null(stage_replica(stage, 3, (struct group_id){i}));
    stage_destroy(stage);
}

/* Every key once, page by page, whatever node and partition each page is of. */
static void scan_all(struct stage *stage, unsigned client, unsigned keys)
{
    char cursor[32] = "0";
    bool seen[64] = {false};
    unsigned found = 0, pages = 0;
    do {
        stage_say(stage, client, "SCAN %s COUNT 7", cursor);
        char *at = (char *)stage_reply(stage, client, 5 * STAGE_SECOND), *rest = NULL;
        at = strtok_r(at, " ", &rest);
        assert_non_null(at);
        snprintf(cursor, sizeof cursor, "%s", at);
        while ((at = strtok_r(NULL, " ", &rest)) != NULL) {
            unsigned number = at[0] == 'k' ? (unsigned)strtoul(at + 1, NULL, 10) : 0;
            assert_true(number < 64 && !seen[number]);
            seen[number] = true;
            found++;
        }
    } while (strcmp(cursor, "0") != 0 && ++pages < 100);
    assert_int_equal(keys, found);
}

static void several_partitions(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 1);
    unsigned total = 0;
    expect(stage, client, "KEYSPACE CREATE wide PARTITIONS 3", "OK");
    expect(stage, client, "SELECT wide", "OK");
    for (unsigned i = 0; i < 60; i++)
        stage_say(stage, client, "SET k%u %u", i, i);
    for (unsigned i = 0; i < 60; i++)
        assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    for (unsigned i = 0; i < 60; i++) { /* SERVER-1, whichever leader each went to */
        char expected[16];
        stage_say(stage, client, "GET k%u", i);
        snprintf(expected, sizeof expected, "%u", i);
        assert_string_equal(expected, stage_reply(stage, client, 5 * STAGE_SECOND));
    }
    bool leads[3] = {false};
    for (uint64_t i = 2; i < 5; i++) {
        unsigned leader = leader_of(stage, (struct group_id){i});
        assert_int_not_equal(STAGE_NONE, leader);
        leads[leader] = true;
        uint64_t keys =
            store_count(replica_store(stage_replica(stage, leader, (struct group_id){i})), 0);
        assert_in_range(keys, 1, 59);
        total += (unsigned)keys;
    }
    assert_true(leads[0] && leads[1] && leads[2]); /* the first candidates were spread */
    assert_int_equal(60, total);
    expect_prefix(stage, client, "MSET k1 1 k2 2 k3 3 k4 4 k5 5", "-CROSSSLOT Keys in request don");
    expect(stage, client, "MSET {a}1 x {a}2 y", "OK");
    expect(stage, client, "MGET {a}1 {a}2", "x y");
    expect_prefix(stage, client, "SORT k1 BY k*", "-ERR SORT looks at keys");
    expect(stage, client, "DEL {a}1 {a}2", "2");
    scan_all(stage, client, 60);
    expect(stage, client, "SELECT default", "OK");
    expect(stage, client, "SET here 1", "OK");
    scan_all(stage, client, 1);
    stage_destroy(stage);
}

static void transactions(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 1);
    expect(stage, client, "KEYSPACE CREATE wide PARTITIONS 3", "OK");
    expect(stage, client, "MULTI", "OK");
    expect_prefix(stage, client, "KEYSPACE DROP wide", "-ERR KEYSPACE is not allowed");
    expect_prefix(stage, client, "SELECT wide", "-ERR SELECT is not allowed");
    expect_prefix(stage, client, "EXEC", "-EXECABORT");
    expect(stage, client, "SELECT wide", "OK");
    expect(stage, client, "SET {a}1 w", "OK");
    expect(stage, client, "WATCH {a}1", "OK");
    expect_prefix(stage, client, "SELECT default", "-ERR this connection watches");
    expect(stage, client, "MULTI", "OK");
    expect(stage, client, "SET {a}1 x", "QUEUED");
    expect(stage, client, "SET {a}2 y", "QUEUED");
    expect(stage, client, "EXEC", "OK OK");
    expect(stage, client, "MGET {a}1 {a}2", "x y");
    expect_prefix(stage, client, "WATCH k1 k2 k3 k4 k5", "-CROSSSLOT");
    expect(stage, client, "MULTI", "OK");
    for (unsigned i = 0; i < 5; i++) {
        stage_say(stage, client, "SET k%u x", i);
        assert_string_equal("QUEUED", stage_reply(stage, client, STAGE_SECOND));
    }
    expect_prefix(stage, client, "EXEC", "-CROSSSLOT");
    for (unsigned i = 0; i < 5; i++) {
        stage_say(stage, client, "EXISTS k%u", i);
        assert_string_equal("0", stage_reply(stage, client, STAGE_SECOND));
    }
    expect(stage, client, "MULTI", "OK");
    expect(stage, client, "DBSIZE", "QUEUED");
    expect_prefix(stage, client, "EXEC", "-ERR DBSIZE looks at keys");
    expect(stage, client, "SELECT default", "OK");
    expect(stage, client, "KEYSPACE CREATE numbered DB 5", "OK");
    expect(stage, client, "SELECT 5", "OK");
    expect(stage, client, "SELECT default", "OK");
    expect(stage, client, "MULTI", "OK");
    expect_prefix(stage, client, "COPY a b DB 5", "-ERR COPY from one keyspace to another");
    expect_prefix(stage, client, "EXEC", "-EXECABORT");
    expect(stage, client, "SELECT default", "OK");
    stage_destroy(stage);
}

static void expect_short(struct stage *stage, unsigned client, const char *request,
                         const char *words)
{
    for (unsigned i = 0; i < 100 && !strstr(stage_ask(stage, client, request), words); i++)
        stage_run(stage, 100 * STAGE_MS);
    if (!strstr(stage_ask(stage, client, request), words))
        fail_msg("%s: '%s' lacks '%s'", request, stage_ask(stage, client, request), words);
}

static bool has_said(struct stage *stage, void *words)
{
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (stage->nodes[i].worker && strstr(stage->nodes[i].lines, words))
            return true;
    return false;
}

/* SHORT degrade is said where it begins and where it ends, and KEYSPACE INFO shows it meanwhile,
 * whoever leads then. */
static void fewer_copies_are_told(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    struct group_id group = first_group;
    char begins[] = "keyspace soft: too few replicas", ends[] = "keyspace soft: no partition";
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE CREATE soft ACK all SHORT degrade", "OK");
    assert_true(stage_wait(stage, has_group, &group, 5 * STAGE_SECOND));
    expect_short(stage, client, "KEYSPACE INFO soft", "short_partitions 0");
    assert_false(has_said(stage, begins));
    unsigned leader = leader_of(stage, group), victim = leader ? leader : 2;
    stage_kill(stage, victim);
    assert_true(stage_wait(stage, has_said, begins, 9 * STAGE_SECOND));
    expect_short(stage, client, "KEYSPACE INFO soft", "short_partitions 1");
    expect(stage, client, "SELECT soft", "OK");
    expect(stage, client, "SET k 1", "OK");
    assert_true(stage_start(stage, victim));
    assert_true(stage_wait(stage, has_said, ends, 9 * STAGE_SECOND));
    expect_short(stage, client, "KEYSPACE INFO soft", "short_partitions 0");
    stage_destroy(stage);
}

/* ACK all is more than the commit: one silent replica stops the writes until it is out of the set
 * (R15), and with SHORT degrade not even so long. */
static void all_copies(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    struct group_id first = first_group, second = second_group;
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE CREATE hard ACK all", "OK");
    expect(stage, client, "KEYSPACE CREATE soft ACK all SHORT degrade", "OK");
    assert_true(stage_wait(stage, has_group, &first, 5 * STAGE_SECOND));
    assert_true(stage_wait(stage, has_group, &second, 5 * STAGE_SECOND));
    expect(stage, client, "SELECT hard", "OK");
    expect(stage, client, "SET k 1", "OK");
    expect(stage, client, "SELECT soft", "OK");
    expect(stage, client, "SET k 1", "OK");
    unsigned victim = STAGE_NONE;
    for (unsigned i = 1; i < 3; i++) /* a follower of both; the client's node stays */
        if (i != leader_of(stage, first) && i != leader_of(stage, second))
            victim = i;
    victim = victim == STAGE_NONE ? 2 : victim;
    stage_kill(stage, victim);
    stage_run(stage, STAGE_SECOND); /* it is not heard, and in the set for another second */
    expect(stage, client, "SET k 2", "OK");
    expect(stage, client, "SELECT hard", "OK");
    expect_prefix(stage, client, "SET k 2", "-NOREPLICAS 2 of 3");
    expect(stage, client, "GET k", "1");
    stage_run(stage, 2 * STAGE_SECOND);
    expect(stage, client, "SET k 2", "OK");
    stage_destroy(stage);
}

/* R15: a copy that dies while nothing is written is out of the set as well, before anything waits
 * for it, and in it again when it is back. */
static void a_copy_dies_while_nothing_is_written(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    struct group_id group = first_group;
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE CREATE all ACK all", "OK");
    assert_true(stage_wait(stage, has_group, &group, 5 * STAGE_SECOND));
    unsigned leader = leader_of(stage, group), victim = (leader + 1) % 3;
    client = stage_connect(stage, leader);
    expect(stage, client, "SELECT all", "OK");
    expect(stage, client, "SET k 1", "OK");
    stage_run(stage, STAGE_SECOND);
    stage_kill(stage, victim);
    stage_run(stage, 4 * STAGE_SECOND);
    expect(stage, client, "SET k 2", "OK");
    assert_int_equal(2, replica_voters_in_sync(stage_replica(stage, leader, group)));
    assert_true(stage_start(stage, victim));
    stage_run(stage, 4 * STAGE_SECOND);
    assert_int_equal(3, replica_voters_in_sync(stage_replica(stage, leader, group)));
    stage_destroy(stage);
}

/* The least that FAILOVER safe allows: the leader's disk alone, and nobody takes over by itself. */
static void local_and_safe(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    struct group_id group = first_group;
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE CREATE hot REPLICAS 3 ACK local", "OK");
    assert_true(stage_wait(stage, has_group, &group, 5 * STAGE_SECOND));
    unsigned leader = leader_of(stage, group);
    const struct raft_configuration *quorums =
        raft_configuration(replica_raft(stage_replica(stage, leader, group)));
    assert_int_equal(1, quorums->commit_quorum);
    assert_int_equal(3, quorums->election_quorum);
    client = stage_connect(stage, leader);
    expect(stage, client, "SELECT hot", "OK");
    expect(stage, client, "SET k 1", "OK");
    stage_kill(stage, (leader + 1) % 3);
    stage_kill(stage, (leader + 2) % 3);
    expect(stage, client, "SET k 2", "OK"); /* the leader alone is its quorum */
    assert_true(stage_start(stage, (leader + 1) % 3));
    assert_true(stage_start(stage, (leader + 2) % 3));
    stage_run(stage, 2 * STAGE_SECOND);
    stage_kill(stage, leader);
    stage_run(stage, 10 * STAGE_SECOND);
    assert_int_equal(STAGE_NONE, leader_of(stage, group)); /* an election needs all three */
    assert_true(stage_start(stage, leader));
    assert_true(stage_wait(stage, has_group, &group, 10 * STAGE_SECOND));
    client = stage_connect(stage, leader);
    expect(stage, client, "SELECT hot", "OK");
    expect(stage, client, "GET k", "2");
    stage_destroy(stage);
}

/* SYNC os: a power cut takes back what a follower had said it has. It is not asked about its log
 * again until a leader that was elected without it has brought it there (R4): so the other
 * follower, which never had the write, does not win with its vote. */
static void unsure_after_a_power_cut(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    struct group_id group = first_group;
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE CREATE quick SYNC os", "OK");
    assert_true(stage_wait(stage, has_group, &group, 5 * STAGE_SECOND));
    unsigned leader = leader_of(stage, group), cut = (leader + 1) % 3, late = (leader + 2) % 3;
    stage_run(stage, 3 * STAGE_SECOND);
    client = stage_connect(stage, leader);
    expect(stage, client, "SELECT quick", "OK");
    stage_isolate(stage, late);
    for (unsigned i = 0; i < 50; i++) {
        stage_say(stage, client, "SET k%u %u", i, i);
        assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    }
    stage_kill(stage, leader);
    stage_power_cut(stage, cut);
    stage_heal(stage);
    assert_true(stage_start(stage, cut));
    assert_false(stage_wait(stage, has_group, &group, 10 * STAGE_SECOND));
    assert_true(stage_start(stage, leader)); /* now everybody answers: the longest log wins */
    assert_true(stage_wait(stage, has_group, &group, 10 * STAGE_SECOND));
    client = stage_connect(stage, late);
    expect(stage, client, "SELECT quick", "OK");
    expect(stage, client, "DBSIZE", "50");
    expect(stage, client, "GET k49", "49");
    stage_destroy(stage);
}

/* REPLICA-9: what was written under SYNC always is answered when it is durable, though the level
 * falls meanwhile: the rest of the cluster agrees to that without this node's disk. */
static void a_level_that_falls(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    struct group_id group = first_group;
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE CREATE solo REPLICAS 1 SYNC always", "OK");
    assert_true(stage_wait(stage, has_group, &group, 5 * STAGE_SECOND));
    unsigned owner = leader_of(stage, group), other = (owner + 1) % 3;
    stage_step_down(stage, owner);
    stage_run(stage, 3 * STAGE_SECOND);
    assert_int_not_equal(owner, leader_of(stage, GROUP_SYSTEM));
    client = stage_connect(stage, owner);
    expect(stage, client, "SELECT solo", "OK");
    struct machine_id machine = stage->nodes[owner].machine;
    world_slow_disk(stage->world, machine, STAGE_SECOND, STAGE_SECOND);
    stage_say(stage, client, "SET a 1"); /* its sync is under way when the next two come together */
    stage_run(stage, 10 * STAGE_MS);
    stage_say(stage, client, "SET b 2");
    stage_say(stage, stage_connect(stage, other), "KEYSPACE ALTER solo SYNC os");
    assert_string_equal("OK", stage_reply(stage, client, 1200 * STAGE_MS));
    assert_int_equal(WAL_SYNC_OS, replica_sync(stage_replica(stage, owner, group)));
    assert_string_equal("(none)", stage_reply(stage, client, 500 * STAGE_MS));
    assert_string_equal("OK", stage_reply(stage, client, STAGE_SECOND));
    stage_destroy(stage);
}

static void one_node(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(1);
    struct group_id group = first_group;
    unsigned client = stage_connect(stage, 0);
    stage_run(stage, STAGE_SECOND); /* the first records */
    expect(stage, client, "KEYSPACE CREATE small DB 15 SYNC os", "OK");
    expect(stage, client, "SELECT 15", "OK");
    expect(stage, client, "SET k 1", "OK");
    expect_prefix(stage, client, "KEYSPACE CREATE more REPLICAS 2",
                  "-ERR REPLICAS 2 needs 2 nodes");
    stage_kill(stage, 0);
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, has_group, &group, 10 * STAGE_SECOND));
    client = stage_connect(stage, 0);
    expect(stage, client, "SELECT small", "OK");
    expect(stage, client, "GET k", "1");
    stage_destroy(stage);
}

/* A catalogue that cannot be asked says nothing: neither the old meaning of a number nor the new.
 */
static void no_catalogue_no_select(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 2);
    stage_kill(stage, 0);
    stage_kill(stage, 1);
    stage_run(stage, STAGE_SECOND);
    expect_prefix(stage, client, "SELECT 3", "-TRYAGAIN");
    expect(stage, client, "SELECT 0", "OK");
    stage_destroy(stage);
}

/* Crashes at every disk call of a node while a keyspace comes and goes: it comes back each time,
 * and ends with what the catalogue says (NODE-6, NODE-7). */
static void crash_anywhere(void **state)
{
    (void)state;
    unsigned crashes = 0;
    for (unsigned call = 1; call < 60; call++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = call});
        struct group_id old = first_group, new = second_group;
        unsigned decides = leader_of(stage, GROUP_SYSTEM), victim = (decides + 1) % 3;
        unsigned client = stage_connect(stage, decides);
        world_crash_at_call(stage->world, stage->nodes[victim].machine, call, call % 2);
        stage_say(stage, client, "KEYSPACE CREATE a");
        assert_string_equal("OK", stage_reply(stage, client, 10 * STAGE_SECOND));
        stage_say(stage, client, "KEYSPACE CREATE b");
        assert_string_equal("OK", stage_reply(stage, client, 10 * STAGE_SECOND));
        stage_say(stage, client, "KEYSPACE DROP a");
        assert_string_equal("OK", stage_reply(stage, client, 10 * STAGE_SECOND));
        stage_run(stage, STAGE_SECOND);
        for (unsigned i = 0; i < 2; i++) { /* the call may come only when all is quiet again */
            crashes += !stage->nodes[victim].worker;
            if (!stage->nodes[victim].worker)
                assert_true(stage_start(stage, victim));
            stage_run(stage, 3 * STAGE_SECOND);
        }
        assert_true(group_is_gone(stage, &old));
        for (unsigned i = 0; i < 3; i++)
            assert_non_null(stage_replica(stage, i, new));
        stage_destroy(stage);
    }
    assert_true(crashes > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_keyspace_of_its_own),
        cmocka_unit_test(every_node_knows_at_once),
        cmocka_unit_test(an_older_view_is_passed_over),
        cmocka_unit_test(a_killed_leader),
        cmocka_unit_test(all_power_lost),
        cmocka_unit_test(drop_and_create_again),
        cmocka_unit_test(requests_during_a_drop),
        cmocka_unit_test(dropped_while_away),
        cmocka_unit_test(a_node_without_the_catalogue),
        cmocka_unit_test(several_partitions),
        cmocka_unit_test(transactions),
        cmocka_unit_test(all_copies),
        cmocka_unit_test(fewer_copies_are_told),
        cmocka_unit_test(a_copy_dies_while_nothing_is_written),
        cmocka_unit_test(unsure_after_a_power_cut),
        cmocka_unit_test(a_level_that_falls),
        cmocka_unit_test(one_node),
        cmocka_unit_test(local_and_safe),
        cmocka_unit_test(no_catalogue_no_select),
        cmocka_unit_test(crash_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
