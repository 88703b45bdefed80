/* ADMIN-3: WHY names what stands in the way, by which rule, whom it waits for, and since when; who
 * cannot be asked is named; and where all is well it says so. */
#include "tests/server/stage.h"

#include <stdlib.h>
#include <string.h>

#define LOG "/node/wal/0/0000000000000001.wal"

static const struct group_id carts = {2};

static const char *why(struct stage *stage, unsigned client, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static const char *why(struct stage *stage, unsigned client, const char *format, ...)
{
    char request[96];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(request, sizeof request, format, arguments);
    va_end(arguments);
    return stage_ask(stage, client, request);
}

static void expect(const char *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void expect(const char *reply, const char *format, ...)
{
    char says[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(says, sizeof says, format, arguments);
    va_end(arguments);
    if (!strstr(reply, says))
        fail_msg("%s\nnot: %s", reply, says);
}

static bool says(const char *reply, const char *what)
{
    return strstr(reply, what) != NULL;
}

/* The first time in the list of findings; 0: null. */
static long long since_of(const char *reply, const char *rule)
{
    const char *at = strstr(reply, rule);
    assert_non_null(at);
    at = strstr(at, "since_ms ");
    assert_non_null(at);
    return strtoll(at + strlen("since_ms "), NULL, 10);
}

static long long wall_ms(struct stage *stage, unsigned node)
{
    return node_turn(worker_node(stage->nodes[node].worker))->wall_us / 1000;
}

struct waited {
    unsigned client;
    const char *request, *says;
};

static bool is_said(struct stage *stage, void *argument)
{
    const struct waited *waited = argument;
    return says(stage_ask(stage, waited->client, waited->request), waited->says);
}

static void wait_for(struct stage *stage, unsigned client, const char *request, const char *what)
{
    struct waited waited = {client, request, what};
    if (!stage_wait(stage, is_said, &waited, 20 * STAGE_SECOND))
        expect(stage_ask(stage, client, request), "%s", what);
}

static unsigned leader_of(struct stage *stage, struct group_id group)
{
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        struct replica *replica = stage_replica(stage, i, group);
        if (replica && replica_is_serving(replica))
            return i;
    }
    return STAGE_NONE;
}

static bool is_led(struct stage *stage, void *argument)
{
    return leader_of(stage, *(struct group_id *)argument) != STAGE_NONE;
}

static void wait_led(struct stage *stage)
{
    struct group_id group = carts;
    assert_true(stage_wait(stage, is_led, &group, 20 * STAGE_SECOND));
}

/* ---- nothing ---- */

static void all_is_well(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(4); /* the fourth carries nothing */
    stage_run(stage, 2 * STAGE_SECOND);
    for (unsigned i = 0; i < 4; i++) {
        unsigned client = stage_connect(stage, i);
        const char *reply = why(stage, client, "KEYSPACE WHY default");
        expect(reply, "nothing: every copy of its 1 partition is ready since 20");
        expect(reply, "not_asked ready_since_ms 1");
        expect(why(stage, client, "why partition 1"), "nothing: every copy of its 1 partition");
        reply = why(stage, client, "REPLICA WHY 1/2");
        expect(reply, "nothing: it is ready since 20");
        expect(reply, " and votes; node %u leads", stage_leader(stage) + 1);
        expect(why(stage, client, "NODE WHY 2"), "nothing: its 2 replicas are ready since 20");
        expect(why(stage, client, "NODE WHY 4"), "nothing: it carries no replica");
    }
    stage_destroy(stage);
}

static void wrong_words_name_their_cure(void **state)
{
    static const struct {
        const char *request, *says;
    } table[] = {
        {"KEYSPACE WHY", "KEYSPACE WHY takes one"},
        {"KEYSPACE WHY nosuch", "'nosuch': there is no such keyspace; KEYSPACE LIST"},
        {"NODE WHY 9", "'9': there is no such node; holdfast status"},
        {"NODE WHY two", "'two': there is no such node"},
        {"REPLICA WHY 1", "'1': a replica is PARTITION/REPLICA, as 2/1"},
        {"REPLICA WHY 1/", "a replica is PARTITION/REPLICA"},
        {"REPLICA WHY 7/1", "'7/1': there is no such partition; KEYSPACE INFO"},
        {"REPLICA WHY 1/9", "partition 1 has no replica 9: holdfast status --json"},
        {"REPLICA LIST", "unknown subcommand 'LIST': REPLICA knows MOVE, ADD, REMOVE and WHY"},
        {"WHY", "arguments for 'why' command: KEYSPACE, NODE"},
        {"WHY PARTITION x", "'x': a partition is named by its number"},
        {"WHY CLUSTER 1", "'CLUSTER': WHY takes KEYSPACE name, NODE id"},
        {"WHY FACTS KEYSPACE x", "WHY FACTS takes KEYSPACE, PARTITION or NODE"},
    };
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 2);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *reply = stage_ask(stage, client, table[i].request);
        if (memcmp(reply, "-ERR ", 5) != 0 || !says(reply, table[i].says))
            fail_msg("%s: %s", table[i].request, reply);
    }
    stage_destroy(stage);
}

/* ---- somebody is down ---- */

/* Both survivors name it with one time, that of its death, also after another one leads. */
static void a_dead_node_is_named(void **state)
{
    (void)state;
    for (unsigned leads = 0; leads < 2; leads++) {
        struct stage *stage = stage_formed(3);
        stage_run(stage, STAGE_SECOND);
        unsigned victim = leads ? stage_leader(stage) : stage_follower(stage);
        long long died_ms = wall_ms(stage, victim);
        char down[64];
        stage_kill(stage, victim);
        stage_run(stage, 4 * STAGE_SECOND);
        for (unsigned i = 0; i < 3; i++) {
            if (i == victim)
                continue;
            unsigned client = stage_connect(stage, i);
            const char *reply = why(stage, client, "KEYSPACE WHY default");
            snprintf(down, sizeof down, "rule down partition 1 replica %u node %u peer %u",
                     victim + 1, victim + 1, stage_leader(stage) + 1);
            expect(reply, "%s", down);
            expect(reply, "not_asked %u ready_since_ms nil", victim + 1);
            expect(reply, "is down: its leader, node %u at 10.0.0.%u:6379, has not heard it since",
                   stage_leader(stage) + 1, stage_leader(stage) + 1);
            assert_in_range(since_of(reply, "rule down") - died_ms + 500, 0, 750);
            reply = why(stage, client, "NODE WHY %u", victim + 1);
            expect(reply, "rule unreached partition nil replica nil node %u peer %u", i + 1,
                   victim + 1);
            assert_in_range(since_of(reply, "rule unreached") - died_ms + 500, 0, 750);
            expect(reply, "%s", down);
            expect(why(stage, client, "REPLICA WHY 1/%u", victim + 1), "%s", down);
            snprintf(down, sizeof down, "REPLICA WHY 1/%u", i + 1);
            expect(why(stage, client, "%s", down), "nothing: it is ready since");
        }
        stage_destroy(stage);
    }
}

static void no_leader_and_who_is_missing(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    stage_run(stage, STAGE_SECOND);
    for (unsigned i = 1; i < 3; i++)
        stage_kill(stage, i);
    stage_run(stage, 5 * STAGE_SECOND);
    unsigned client = stage_connect(stage, 0);
    const char *reply = why(stage, client, "KEYSPACE WHY default");
    expect(reply, "partition 1 of default has no leader since 20");
    expect(reply, "an election needs 2 of its voters, and 1 can be asked");
    expect(reply, "rule missing partition 1 replica nil node nil peer 2 since_ms 1");
    expect(reply, "rule missing partition 1 replica nil node nil peer 3 since_ms 1");
    expect(reply, "the leader of keyspace system cannot be asked");
    expect(reply, "asked 1 not_asked 2 3");
    assert_false(says(reply, "nothing"));
    stage_destroy(stage);
}

/* The other nodes are well; this one is cut off, and says that it cannot know. */
static void who_is_cut_off_says_so(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned cut = stage_follower(stage), leader = stage_leader(stage), third = 3 - cut - leader;
    stage_run(stage, STAGE_SECOND);
    world_cut_both(stage->world, stage->nodes[cut].machine, stage->nodes[leader].machine);
    stage_run(stage, 3 * STAGE_SECOND);
    unsigned client = stage_connect(stage, cut);
    const char *reply = why(stage, client, "KEYSPACE WHY default");
    expect(reply, "rule not-asked partition 1 replica nil node nil peer %u since_ms 1",
           stage_leader(stage) + 1);
    expect(reply, "not_asked %u ", leader + 1);
    /* Who reaches both knows the rest: the leader has not heard it. */
    client = stage_connect(stage, third);
    reply = why(stage, client, "REPLICA WHY 1/%u", cut + 1);
    expect(reply, "rule down partition 1 replica %u node %u peer %u", cut + 1, cut + 1, leader + 1);
    expect(reply, "hears no leader");
    stage_destroy(stage);
}

/* ---- too few copies ---- */

static void short_of_copies(void **state)
{
    static const struct {
        const char *contract, *rule, *line;
    } table[] = {
        {"ACK semisync:2", "rule short partition 2", "is read-only since"},
        {"ACK semisync:2 SHORT degrade", "rule degraded partition 2",
         "acknowledges writes with fewer copies than its ACK since"},
        {"ACK all", "rule out-of-sync partition 2", "is out of the in-sync set since"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct stage *stage = stage_formed(3);
        unsigned client = stage_connect(stage, 0);
        char request[96];
        snprintf(request, sizeof request, "KEYSPACE CREATE carts REPLICAS 3 %s", table[i].contract);
        assert_string_equal("OK", stage_ask(stage, client, request));
        wait_led(stage);
        unsigned victim = (leader_of(stage, carts) + 1) % 3;
        stage_run(stage, STAGE_SECOND);
        long long died_ms = wall_ms(stage, victim);
        stage_kill(stage, victim);
        client = stage_connect(stage, (victim + 1) % 3);
        wait_for(stage, client, "KEYSPACE WHY carts", table[i].line);
        const char *reply = why(stage, client, "KEYSPACE WHY carts");
        expect(reply, "%s", table[i].rule);
        expect(reply, "rule down partition 2 replica");
        expect(reply, "on node %u, is down", victim + 1);
        assert_in_range(since_of(reply, table[i].rule) - died_ms + 1000, 0, 6000);
        assert_true(stage_start(stage, victim));
        wait_for(stage, client, "KEYSPACE WHY carts", "nothing: every copy");
        stage_destroy(stage);
    }
}

/* ---- a change of members ---- */

static void a_growth_that_waits(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0), spare = STAGE_NONE;
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE carts REPLICAS 2"));
    wait_led(stage);
    stage_run(stage, STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++)
        if (!stage_replica(stage, i, carts))
            spare = i;
    assert_int_not_equal(STAGE_NONE, spare);
    long long died_ms = wall_ms(stage, spare);
    stage_kill(stage, spare);
    client = stage_connect(stage, leader_of(stage, carts));
    stage_run(stage, 3 * STAGE_SECOND);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER carts REPLICAS 3"));
    stage_run(stage, 3 * STAGE_SECOND);
    const char *reply = why(stage, client, "KEYSPACE WHY carts");
    expect(reply, "rule change partition 2 replica 3 node %u peer %u", leader_of(stage, carts) + 1,
           spare + 1);
    expect(reply,
           "changes its members and waits for node %u at 10.0.0.%u:6379, which cannot be "
           "reached since 20",
           spare + 1, spare + 1);
    assert_in_range(since_of(reply, "rule change") - died_ms + 1000, 0, 3000);
    expect(reply, "rule learner partition 2 replica 3 node %u", spare + 1);
    expect(why(stage, client, "REPLICA WHY 2/3"), "does not vote yet since 20");
    expect(why(stage, client, "NODE WHY %u", spare + 1), "rule change partition 2 replica 3");
    assert_true(stage_start(stage, spare));
    wait_for(stage, client, "KEYSPACE WHY carts",
             "nothing: every copy of its 1 partition is ready");
    stage_destroy(stage);
}

/* ---- what a node says of itself ---- */

static void one_that_is_to_be_taken_back(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, stage_leader(stage));
    for (unsigned i = 0; i < 20; i++)
        assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
    stage_run(stage, STAGE_SECOND);
    stage_kill(stage, 2);
    stage_run(stage, 2 * STAGE_SECOND);
    assert_true(world_damage(stage->world, stage->nodes[2].machine, LOG, WORLD_DAMAGE_ZERO,
                             20 * IO_BLOCK_SIZE));
    stage_kill(stage, 1); /* so nobody can take it back */
    assert_true(stage_start(stage, 2));
    stage_run(stage, 3 * STAGE_SECOND);
    client = stage_connect(stage, 0);
    const char *reply = why(stage, client, "NODE WHY 3");
    expect(reply, "rule damaged partition nil replica nil node 3");
    expect(reply, "its log was damaged or lost, and it waits for the leader of system");
    expect(why(stage, client, "KEYSPACE WHY default"), "rule damaged");
    assert_true(stage_start(stage, 1));
    wait_for(stage, client, "NODE WHY 3", "nothing: its 2 replicas are ready since");
    stage_destroy(stage);
}

/* R4: SYNC os, its power was cut, and it cannot reach the others. */
static void one_that_is_unsure(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0);
    char request[32];
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE lax REPLICAS 3 SYNC os"));
    assert_string_equal("OK", stage_ask(stage, client, "SELECT lax"));
    assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
    stage_run(stage, STAGE_SECOND);
    unsigned victim = (leader_of(stage, carts) + 1) % 3;
    stage_power_cut(stage, victim);
    stage_isolate(stage, victim);
    assert_true(stage_start(stage, victim));
    stage_run(stage, 2 * STAGE_SECOND);
    client = stage_connect(stage, victim);
    struct replica *replica = stage_replica(stage, victim, carts);
    assert_true(raft_view(replica_raft(replica))->unsure);
    snprintf(request, sizeof request, "REPLICA WHY 2/%u", (unsigned)replica_self(replica).value);
    expect(stage_ask(stage, client, request), "rule unsure partition 2 replica");
    expect(stage_ask(stage, client, request), "neither votes nor leads");
    stage_heal(stage);
    wait_for(stage, client, request, "nothing: it is ready since");
    stage_destroy(stage);
}

static const char *set_large(struct stage *stage, unsigned client)
{
    stage_send_large(stage, client, "k", 16000);
    return stage_reply(stage, client, 5 * STAGE_SECOND);
}

static void a_full_disk(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, stage_leader(stage));
    for (unsigned i = 0; i < 3; i++)
        world_disk_capacity(stage->world, stage->nodes[i].machine,
                            world_disk_used(stage->world, stage->nodes[i].machine));
    for (unsigned i = 0; i < 400; i++) {
        (void)set_large(stage, client);
        stage_run(stage, 20 * STAGE_MS);
    }
    assert_memory_equal("-MISCONF", set_large(stage, client), 8);
    unsigned leader = stage_leader(stage);
    expect(why(stage, client, "KEYSPACE WHY default"),
           "rule disk-full partition nil replica nil node %u peer nil since_ms 1", leader + 1);
    expect(why(stage, client, "NODE WHY %u", leader + 1), "node %u has a full disk since 20",
           leader + 1);
    stage_destroy(stage);
}

/* ---- many partitions, many workers ---- */

static void each_worker_is_asked(void **state)
{
    (void)state;
    struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .workers = 2});
    unsigned client = stage_connect(stage, 0), victim;
    assert_string_equal("OK",
                        stage_ask(stage, client, "KEYSPACE CREATE carts REPLICAS 3 PARTITIONS 4"));
    wait_for(stage, client, "KEYSPACE WHY carts", "nothing: every copy of its 4 partitions");
    victim = 2;
    stage_kill(stage, victim);
    stage_run(stage, 4 * STAGE_SECOND);
    client = stage_connect(stage, 1);
    const char *reply = why(stage, client, "WHY KEYSPACE carts");
    for (unsigned i = 0; i < 4; i++)
        expect(reply, "rule down partition %u replica", 2 + i);
    assert_false(says(reply, "no-leader"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_well),
        cmocka_unit_test(wrong_words_name_their_cure),
        cmocka_unit_test(a_dead_node_is_named),
        cmocka_unit_test(no_leader_and_who_is_missing),
        cmocka_unit_test(who_is_cut_off_says_so),
        cmocka_unit_test(short_of_copies),
        cmocka_unit_test(a_growth_that_waits),
        cmocka_unit_test(one_that_is_to_be_taken_back),
        cmocka_unit_test(one_that_is_unsure),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(each_worker_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
