/* REPLICA-2 and REPLICA-6: starting again, leading again, catching up from memory and from disk. */
#include "tests/server/stage.h"

#include "base/memory.h"
#include "replica/log/log.h"

#include <string.h>

#define VALUE_SIZE 100000

static void set_large_value(struct stage *stage, unsigned client, unsigned key)
{
    char *value = memory_allocate(VALUE_SIZE);
    char head[64];
    memset(value, 'a' + (int)(key % 26), VALUE_SIZE);
    int size =
        snprintf(head, sizeof head, "*3\r\n$3\r\nSET\r\n$5\r\nk%04u\r\n$%d\r\n", key, VALUE_SIZE);
    stage_send(stage, client, head, (size_t)size);
    stage_send(stage, client, value, VALUE_SIZE);
    stage_send(stage, client, "\r\n", 2);
    assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    memory_free(value);
}

/* ---- REPLICA-2 ---- */

static void watch_serving(struct stage *stage, unsigned node)
{
    struct replica *replica = stage_replica(stage, node, GROUP_DEFAULT);
    if (!replica || !replica_is_serving(replica))
        return;
    const struct raft_view *view = raft_view(replica_raft(replica));
    assert_int_equal(view->last_index, replica_executed(replica)); /* REPLICA-2 */
    assert_true(view->commit >= view->term_start);
    assert_true(raft_term_at(replica_raft(replica), view->commit) == view->term);
}

/* More than one turn may apply: a client that asks at once sees everything or waits. */
static void nothing_is_served_half_applied(void **state)
{
    enum {
        KEYS = 60
    };
    (void)state;
    struct stage *stage = stage_formed(1);
    unsigned client = stage_connect(stage, 0);
    for (unsigned i = 0; i < KEYS; i++)
        set_large_value(stage, client, i);
    stage_kill(stage, 0);
    assert_true(stage_start(stage, 0));
    stage->watch = watch_serving;
    client = stage_connect(stage, 0);
    assert_string_equal("60", stage_ask(stage, client, "DBSIZE")); /* REPLICA-2 */
    assert_string_equal("1", stage_ask(stage, client, "EXISTS k0059"));
    stage_destroy(stage);
}

/* Entries of the old term that nobody has called committed yet: the new leader serves them. */
static void new_leader_has_everything_acknowledged(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        stage->watch = watch_serving;
        unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
        unsigned acknowledged = 0;
        for (unsigned i = 1; i <= 200; i++)
            stage_say(stage, client, "SET last %u", i);
        while (acknowledged < 20 + seed * 10 &&
               strcmp("OK", stage_reply(stage, client, STAGE_SECOND)) == 0)
            acknowledged++;
        stage_kill(stage, leader);
        assert_true(stage_wait(stage, stage_has_other_leader, &leader, 10 * STAGE_SECOND));
        unsigned other = stage_connect(stage, stage_leader(stage));
        int64_t last = 0;
        const char *reply = stage_ask(stage, other, "GET last");
        assert_int_equal(STATUS_OK, slice_to_i64(slice_of_text(reply), &last));
        assert_true(last >= acknowledged && last <= 200);
        stage_destroy(stage);
    }
}

/* ---- REPLICA-6 ---- */

/* Power goes everywhere at once: what was acknowledged was on two disks. */
static void power_cut_of_everybody(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        unsigned client = stage_connect(stage, stage_leader(stage)), acknowledged = 0;
        for (unsigned i = 1; i <= 400; i++)
            stage_say(stage, client, "SET k%u %u", i, i);
        while (acknowledged < seed * 7 &&
               strcmp("OK", stage_reply(stage, client, STAGE_SECOND)) == 0)
            acknowledged++;
        for (unsigned i = 0; i < 3; i++)
            stage_power_cut(stage, i);
        for (unsigned i = 0; i < 3; i++)
            assert_true(stage_start(stage, i));
        assert_true(stage_wait(stage, stage_has_leader, NULL, 20 * STAGE_SECOND));
        client = stage_connect(stage, stage_leader(stage));
        char line[32], expected[16];
        for (unsigned i = 1; i <= acknowledged; i++) {
            snprintf(line, sizeof line, "GET k%u", i);
            snprintf(expected, sizeof expected, "%u", i);
            assert_string_equal(expected, stage_ask(stage, client, line)); /* REPLICA-6 */
        }
        stage_destroy(stage);
    }
}

static void check_memory(struct stage *stage, unsigned node)
{
    struct replica *replica = stage_replica(stage, node, GROUP_DEFAULT);
    if (!replica)
        return;
    size_t unapplied = 0;
    for (uint64_t i = replica_applied(replica) + 1; i <= replica->entries.last; i++)
        unapplied += entries_have(&replica->entries, i) ? entries_at(&replica->entries, i).size : 0;
    assert_true(replica->entries.size <= replica->options.cache_size_max + unapplied);
}

/* A follower was away for longer than memory reaches back: it is fed from the disk; the leader that
 * was cut off rebuilds its store from its own disk. */
static void fed_from_the_disk(void **state)
{
    enum {
        KEYS = 400 /* 40 MB: more than the 32 MiB that are kept */
    };
    (void)state;
    struct stage *stage = stage_formed(3);
    stage->watch = check_memory; /* REPLICA-6 */
    unsigned away = stage_follower(stage), leader = stage_leader(stage);
    unsigned client = stage_connect(stage, leader);
    stage_kill(stage, away);
    for (unsigned i = 0; i < KEYS; i++)
        set_large_value(stage, client, i);
    assert_false(entries_have(&stage_replica(stage, leader, GROUP_DEFAULT)->entries, 2));
    assert_true(stage_start(stage, away));
    assert_true(stage_wait(stage, stage_is_converged, NULL, 60 * STAGE_SECOND));
    stage_isolate(stage, leader);
    stage_say(stage, client, "DEL k0001 k0002");
    stage_run(stage, 20 * STAGE_MS);
    assert_true(stage_wait(stage, stage_has_other_leader, &leader, 10 * STAGE_SECOND));
    stage_heal(stage);
    assert_true(stage_wait(stage, stage_is_converged, NULL, 60 * STAGE_SECOND)); /* REPLICA-3 */
    assert_string_equal("400", stage_ask(stage, stage_connect(stage, leader), "DBSIZE"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_served_half_applied),
        cmocka_unit_test(new_leader_has_everything_acknowledged),
        cmocka_unit_test(power_cut_of_everybody),
        cmocka_unit_test(fed_from_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
