/* LOSS REPLAY: what a failover has cut is proposed again, each write once however often, through
 * which node and over which crash it is asked for; a key that was written since is named and left
 * alone, unless that is wanted (R10, CONTROL-13). */
#include "failover.h"

#include <string.h>

#define MANY 700 /* more than one turn of a replay takes */

struct scene {
    struct stage *stage;
    unsigned old, entry; /* nodes: that led and was cut off; of `client` */
    unsigned client;
    char id[48], replay[80], overwrite[96];
};

static unsigned connect_to(struct stage *stage, unsigned node)
{
    unsigned client = stage_connect(stage, node);
    expect(stage, client, "SELECT fast", "OK");
    return client;
}

/* `requests` lines are answered by a leader that is cut off; another leads, and it is back. */
static struct scene lost(const char *before, const char *request, unsigned times)
{
    struct scene scene = {.stage = stage_formed(3), .old = STAGE_NONE};
    struct stage *stage = scene.stage;
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE CREATE fast ACK async FAILOVER available", "OK");
    assert_true(stage_wait(stage, has_leader_but, &scene.old, 5 * STAGE_SECOND));
    scene.old = leader_but(stage, STAGE_NONE);
    const struct raft_view *view =
        raft_view(replica_raft(stage_replica(stage, scene.old, FAST_GROUP)));
    snprintf(scene.id, sizeof scene.id, "2-%llu", (unsigned long long)view->term);
    snprintf(scene.replay, sizeof scene.replay, "LOSS REPLAY %s", scene.id);
    snprintf(scene.overwrite, sizeof scene.overwrite, "%s OVERWRITE", scene.replay);
    client = connect_to(stage, scene.old);
    stage_ask(stage, client, before);
    stage_run(stage, 100 * STAGE_MS);
    stage_isolate(stage, scene.old);
    for (unsigned i = 0; i < times; i++)
        stage_say(stage, client, "%s", request);
    for (unsigned i = 0; i < times; i++)
        assert_true(stage_reply(stage, client, 200 * STAGE_MS)[0] != '-');
    assert_true(stage_wait(stage, has_leader_but, &scene.old, 10 * STAGE_SECOND));
    stage_heal(stage);
    scene.entry = (leader_but(stage, scene.old) + 1) % 3;
    scene.client = connect_to(stage, scene.entry);
    expect_list(scene.stage, scene.client, scene.id, "state exact");
    return scene;
}

static void is_proposed_again_once(void **state)
{
    (void)state;
    struct scene scene = lost("SET n 10", "INCR n", 3);
    expect(scene.stage, scene.client, "GET n", "10");
    expect_words(scene.stage, scene.client, scene.replay,
                 "replayed 3 replayed_before 0 not_acknowledged 0 skipped 0 nodes_not_asked 0 "
                 "writes 3 skipped_keys");
    expect(scene.stage, scene.client, "GET n", "13");
    expect_list(scene.stage, scene.client, scene.id, "state replayed");
    expect_words(scene.stage, connect_to(scene.stage, (scene.entry + 1) % 3), scene.replay,
                 "replayed 0 replayed_before 3 ");
    expect_words(scene.stage, connect_to(scene.stage, (scene.entry + 2) % 3), scene.overwrite,
                 "replayed 0 replayed_before 3 ");
    expect(scene.stage, scene.client, "GET n", "13");
    expect_words(scene.stage, scene.client, "KEYSPACE INFO fast", "losses_open 0");
    stage_destroy(scene.stage);
}

static void a_key_that_was_written_since_is_named(void **state)
{
    (void)state;
    struct scene scene = lost("SET other 0", "MSET k old j old", 1);
    expect(scene.stage, scene.client, "SET k new", "OK");
    expect_words(scene.stage, scene.client, scene.replay, "replayed 0 replayed_before 0 ");
    expect_words(scene.stage, scene.client, scene.replay,
                 "skipped 1 nodes_not_asked 0 writes 1 skipped_keys key k database 0 index ");
    expect_words(scene.stage, scene.client, scene.replay, "why changed since key j database 0");
    expect_words(scene.stage, scene.client, scene.replay,
                 "why skipped with another key of the same write");
    expect(scene.stage, scene.client, "GET k", "new");
    expect(scene.stage, scene.client, "EXISTS j", "0"); /* the two were one */
    expect_words(scene.stage, scene.client, scene.overwrite, "replayed 1 replayed_before 0 ");
    expect(scene.stage, scene.client, "GET k", "old");
    expect(scene.stage, scene.client, "GET j", "old");
    stage_destroy(scene.stage);
}

/* A key that was written and is gone, or came back to what it was, was changed. */
static void a_deletion_is_a_change(void **state)
{
    (void)state;
    struct scene scene = lost("SET other 0", "SET k old", 2);
    expect(scene.stage, scene.client, "SET k new", "OK");
    expect(scene.stage, scene.client, "DEL k", "1");
    expect_words(scene.stage, scene.client, scene.replay, "replayed 0 replayed_before 0 ");
    expect(scene.stage, scene.client, "EXISTS k", "0");
    stage_destroy(scene.stage);
}

static void a_transaction_is_one(void **state)
{
    (void)state;
    struct scene scene = lost("SET n 1", "MULTI\r\nINCR n\r\nSADD s a\r\nEXEC", 1);
    expect_words(scene.stage, scene.client, scene.replay, "replayed 1 ");
    expect(scene.stage, scene.client, "GET n", "2");
    expect(scene.stage, scene.client, "SISMEMBER s a", "1");
    stage_destroy(scene.stage);
}

/* What the keys hold now is not what the write can be applied to: nothing is done by halves. */
static void what_does_not_fit_is_left(void **state)
{
    (void)state;
    struct scene scene = lost("SET n 1", "MULTI\r\nSET n 2\r\nRPUSH l a\r\nEXEC", 1);
    expect(scene.stage, scene.client, "SET l text", "OK");
    expect_words(scene.stage, scene.client, scene.overwrite,
                 "why the write cannot be applied to what it holds now");
    expect(scene.stage, scene.client, "GET n", "1");
    expect(scene.stage, scene.client, "DEL l", "1");
    expect_words(scene.stage, scene.client, scene.overwrite, "replayed 1 ");
    expect(scene.stage, scene.client, "LRANGE l 0 -1", "a");
    stage_destroy(scene.stage);
}

/* Its client has sent it again meanwhile: it ran then. */
static void a_numbered_write_is_not_doubled(void **state)
{
    (void)state;
    struct scene scene = lost("SET n 1", "ONCE c 1 INCR n", 1);
    expect(scene.stage, scene.client, "ONCE c 1 INCR n", "2");
    expect_words(scene.stage, scene.client, scene.overwrite,
                 "why its client has sent the write again");
    expect(scene.stage, scene.client, "GET n", "2");
    stage_destroy(scene.stage);
}

static void from_two_nodes_at_once(void **state)
{
    (void)state;
    struct scene scene = lost("SET n 0", "INCR n", MANY);
    unsigned clients[3];
    for (unsigned i = 0; i < 3; i++)
        clients[i] = connect_to(scene.stage, i);
    for (unsigned i = 0; i < 3; i++)
        stage_say(scene.stage, clients[i], "%s", scene.replay);
    for (unsigned i = 0; i < 3; i++) {
        const char *got = stage_reply(scene.stage, clients[i], 20 * STAGE_SECOND);
        if (!strstr(got, i ? " skipped 0 " : " skipped 0 ") || !strstr(got, "writes 700"))
            fail_msg("%s", got);
    }
    expect(scene.stage, scene.client, "GET n", "700");
    stage_destroy(scene.stage);
}

static bool has_some(struct stage *stage, void *client)
{
    struct replica *replica = stage_replica(stage, leader_but(stage, STAGE_NONE), FAST_GROUP);
    (void)client;
    struct store_key key = store_key_of(0, slice_of_text("n"));
    struct store_entry *entry = replica ? store_find(replica_store(replica), &key) : NULL;
    struct slice value = entry ? store_entry_string(entry) : slice_of_text("0");
    return value.size > 1; /* ten of them and more */
}

/* The leader dies in the middle: whoever is asked goes on with the next one, and what has run does
 * not run again. */
static void a_crash_in_the_middle(void **state)
{
    (void)state;
    struct scene scene = lost("SET n 0", "INCR n", MANY);
    unsigned leads = leader_but(scene.stage, STAGE_NONE), entry = (leads + 1) % 3;
    unsigned client = connect_to(scene.stage, entry);
    stage_say(scene.stage, client, "%s", scene.replay);
    assert_true(stage_wait(scene.stage, has_some, NULL, 5 * STAGE_SECOND));
    assert_string_equal("(none)", stage_reply(scene.stage, client, 0));
    stage_kill(scene.stage, leads);
    const char *got = stage_reply(scene.stage, client, 20 * STAGE_SECOND);
    if (!strstr(got, " skipped 0 nodes_not_asked 1 writes "))
        fail_msg("%s", got);
    assert_true(stage_start(scene.stage, leads));
    stage_run(scene.stage, 2 * STAGE_SECOND);
    expect_words(scene.stage, client, scene.replay, "replayed_before 700 ");
    expect(scene.stage, client, "GET n", "700");
    assert_true(stage_wait(scene.stage, stage_is_converged, NULL, 20 * STAGE_SECOND));
    stage_destroy(scene.stage);
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    struct scene scene = lost("SET n 0", "INCR n", 1);
    expect(scene.stage, scene.client, "LOSS REPLAY 2-900", "-ERR there is no record 2-900");
    expect(scene.stage, scene.client, "LOSS SHOW 2-900", "-ERR there is no record 2-900");
    expect(scene.stage, scene.client, "LOSS DISCARD 9-1", "-ERR there is no record 9-1");
    expect(scene.stage, scene.client, "LOSS REPLAY 9-1", "-ERR there is no record 9-1");
    expect(scene.stage, scene.client, "LOSS REPLAY nonsense", "-ERR an id is PARTITION-TERM");
    expect(scene.stage, scene.client, "LOSS REPLAY 2-1 MAYBE", "-ERR LOSS knows");
    stage_destroy(scene.stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_proposed_again_once),
        cmocka_unit_test(a_key_that_was_written_since_is_named),
        cmocka_unit_test(a_deletion_is_a_change),
        cmocka_unit_test(a_transaction_is_one),
        cmocka_unit_test(what_does_not_fit_is_left),
        cmocka_unit_test(a_numbered_write_is_not_doubled),
        cmocka_unit_test(from_two_nodes_at_once),
        cmocka_unit_test(a_crash_in_the_middle),
        cmocka_unit_test(what_is_not_there_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
