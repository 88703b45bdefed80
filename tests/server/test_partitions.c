/* Requests to several partitions: one answer, in its place (SERVER-1), and no promise that a part
 * of it breaks (SERVER-2). */
#include "tests/server/stage.h"

#include <string.h>

#define KEYS 40

static void expect(struct stage *stage, unsigned client, const char *request, const char *reply)
{
    assert_string_equal(reply, stage_ask(stage, client, request));
}

static unsigned leader_of(struct stage *stage, uint64_t group)
{
    for (unsigned i = 0; i < 3; i++) {
        struct replica *replica = stage_replica(stage, i, (struct group_id){group});
        if (replica && replica_is_serving(replica))
            return i;
    }
    return STAGE_NONE;
}

static bool all_lead(struct stage *stage, void *partitions)
{
    for (unsigned i = 0; i < *(unsigned *)partitions; i++)
        if (leader_of(stage, 2 + i) == STAGE_NONE)
            return false;
    return true;
}

/* A cluster with a keyspace of so many partitions, opened, and k0 .. k39 in it. */
static struct stage *wide_stage(unsigned partitions, unsigned *client)
{
    char request[64];
    struct stage *stage = stage_formed(3);
    *client = stage_connect(stage, 1);
    snprintf(request, sizeof request, "KEYSPACE CREATE wide PARTITIONS %u", partitions);
    expect(stage, *client, request, "OK");
    assert_true(stage_wait(stage, all_lead, &partitions, 5 * STAGE_SECOND));
    expect(stage, *client, "SELECT wide", "OK");
    for (unsigned i = 0; i < KEYS; i++)
        stage_say(stage, *client, "SET k%u v%u", i, i);
    for (unsigned i = 0; i < KEYS; i++)
        assert_string_equal("OK", stage_reply(stage, *client, 5 * STAGE_SECOND));
    return stage;
}

static unsigned words_in(const char *reply)
{
    unsigned count = *reply != 0;
    for (; *reply; reply++)
        count += *reply == ' ';
    return count;
}

static void one_answer_of_many(void **state)
{
    unsigned client;
    (void)state;
    struct stage *stage = wide_stage(12, &client);
    expect(stage, client, "DBSIZE", "40");
    assert_int_equal(KEYS, words_in(stage_ask(stage, client, "KEYS k*")));
    assert_int_equal(10, words_in(stage_ask(stage, client, "KEYS k3*")) - 1);
    expect(stage, client, "MGET k7 k1 none k39 k7 k0", "v7 v1 nil v39 v7 v0");
    expect(stage, client, "EXISTS k1 k2 k3 none k1", "4");
    expect(stage, client, "TOUCH k1 k2 k3 none", "3");
    expect(stage, client, "DEL k1 k2 k3 none", "3");
    expect(stage, client, "UNLINK k4 k5", "2");
    expect(stage, client, "DBSIZE", "35");
    for (unsigned i = 0; i < 10; i++)
        assert_memory_equal("k", stage_ask(stage, client, "RANDOMKEY"), 1);
    assert_memory_equal("-ERR syntax error", stage_ask(stage, client, "FLUSHDB never"), 17);
    expect(stage, client, "FLUSHDB", "OK");
    expect(stage, client, "DBSIZE", "0");
    expect(stage, client, "RANDOMKEY", "nil");
    stage_destroy(stage);
}

/* In their places between other requests, whatever answers first. */
static void answers_keep_their_order(void **state)
{
    unsigned client;
    (void)state;
    struct stage *stage = wide_stage(12, &client);
    for (unsigned i = 0; i < 20; i++) {
        stage_say(stage, client, "PING");
        stage_say(stage, client, "SET k%u w%u", i, i);
        stage_say(stage, client, "MGET k%u k39 k%u", i, i + 1);
        stage_say(stage, client, "DBSIZE");
    }
    for (unsigned i = 0; i < 20; i++) {
        char expected[32];
        assert_string_equal("PONG", stage_reply(stage, client, 5 * STAGE_SECOND));
        assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
        snprintf(expected, sizeof expected, "w%u v39 v%u", i, i + 1); /* SERVER-1, SERVER-2 */
        assert_string_equal(expected, stage_reply(stage, client, 5 * STAGE_SECOND));
        assert_string_equal("40", stage_reply(stage, client, 5 * STAGE_SECOND));
    }
    stage_destroy(stage);
}

/* Requests that alternate between leaders do not wait for each other. */
static void nodes_are_asked_side_by_side(void **state)
{
    unsigned client;
    (void)state;
    struct stage *stage = wide_stage(3, &client);
    uint64_t start_ns = world_now_ns(stage->world);
    for (unsigned i = 0; i < KEYS; i++)
        stage_say(stage, client, "GET k%u", i);
    for (unsigned i = 0; i < KEYS; i++) {
        char expected[8];
        snprintf(expected, sizeof expected, "v%u", i);
        assert_string_equal(expected, stage_reply(stage, client, 5 * STAGE_SECOND));
    }
    /* 1 ms; one node after the other would be a round trip for each change of the leader: 6 ms. */
    assert_true(world_now_ns(stage->world) - start_ns < 3 * STAGE_MS);
    stage_destroy(stage);
}

static void wait_asks_every_partition(void **state)
{
    unsigned client;
    (void)state;
    struct stage *stage = wide_stage(12, &client);
    expect(stage, client, "WAIT 2 1000", "2");
    expect(stage, client, "WAIT ALL 1000", "3");
    expect(stage, client, "WAITAOF 1 2 1000", "1 2");
    unsigned other = stage_connect(stage, 0); /* has written nothing */
    expect(stage, other, "SELECT wide", "OK");
    expect(stage, other, "WAIT 2 1000", "2");
    /* One disk stands still: whatever is written, two have it. */
    world_hold_syncs(stage->world, stage->nodes[2].machine, true);
    for (unsigned i = 0; i < KEYS; i++) {
        stage_say(stage, client, "SET k%u x", i);
        assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    }
    assert_memory_equal("-NOREPLICAS", stage_ask(stage, client, "WAIT ALL 300"), 11);
    expect(stage, client, "WAIT 2 300", "1"); /* the least of all */
    stage_destroy(stage);
}

/* The leader of one partition is cut off: what the others did is not denied. */
static void a_part_that_fails(void **state)
{
    unsigned client;
    char request[512] = "DEL";
    (void)state;
    struct stage *stage = wide_stage(3, &client);
    unsigned gone = leader_of(stage, 2) == 1 ? leader_of(stage, 3) : leader_of(stage, 2);
    for (unsigned i = 0; i < KEYS; i++)
        snprintf(request + strlen(request), sizeof request - strlen(request), " k%u", i);
    stage_isolate(stage, gone);
    stage_say(stage, client, "%s", request);
    const char *reply = stage_reply(stage, client, 10 * STAGE_SECOND);
    assert_memory_equal("-UNKNOWNOUTCOME 2 of 3 partitions ran the command", reply,
                        49); /* SERVER-2 */
    assert_non_null(strstr(reply, "; partition "));
    /* Reads go to the next leader. */
    unsigned partitions = 3;
    assert_true(stage_wait(stage, all_lead, &partitions, 5 * STAGE_SECOND));
    stage_run(stage, 2 * STAGE_SECOND);
    const char *size = stage_ask(stage, client, "DBSIZE");
    assert_int_not_equal('-', size[0]);
    stage_destroy(stage);
}

static bool leads(struct stage *stage, void *wanted)
{
    const unsigned *leaders = wanted;
    for (unsigned i = 0; i < 3; i++)
        if (leader_of(stage, 2 + i) != leaders[i])
            return false;
    return true;
}

/* A node comes back after a failure: it leads again what the placement gave it, and no write fails
 * on the way. */
static void leadership_returns(void **state)
{
    unsigned client, leaders[3], partitions = 3, gone;
    (void)state;
    struct stage *stage = wide_stage(3, &client);
    for (unsigned i = 0; i < 3; i++)
        leaders[i] = leader_of(stage, 2 + i);
    assert_true(leaders[0] != leaders[1] && leaders[1] != leaders[2] && leaders[0] != leaders[2]);
    gone = leaders[0] == 1 ? leaders[1] : leaders[0]; /* the client's node stays */
    stage_kill(stage, gone);
    assert_true(stage_wait(stage, all_lead, &partitions, 5 * STAGE_SECOND));
    assert_true(stage_start(stage, gone));
    stage_run(stage, 5 * STAGE_SECOND);
    assert_false(leads(stage, leaders)); /* not at once: it might go again */
    for (unsigned i = 0; i < 200; i++) {
        stage_say(stage, client, "SET k%u %u", i % KEYS, i);
        assert_string_equal("OK", stage_reply(stage, client, STAGE_SECOND));
        stage_run(stage, 100 * STAGE_MS);
    }
    assert_true(leads(stage, leaders));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_answer_of_many),
        cmocka_unit_test(answers_keep_their_order),
        cmocka_unit_test(nodes_are_asked_side_by_side),
        cmocka_unit_test(wait_asks_every_partition),
        cmocka_unit_test(a_part_that_fails),
        cmocka_unit_test(leadership_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
