/* LEDGER-1, LEDGER-2, LEDGER-3: what a leader had answered and another went on without is set
 * aside, judged, kept over restarts and crashes, and stays away once it is discarded. */
#include "replica/ledger/ledger.h"

#include "replica/replica.h"
#include "tests/server/failover.h"

#include <string.h>

static struct ledger *ledger_of(struct stage *stage, unsigned at)
{
    return node_ledger(worker_node(stage->nodes[at].worker));
}

static bool is_saved(struct stage *stage, void *argument)
{
    struct ledger *ledger = ledger_of(stage, *(unsigned *)argument);
    bool saved = ledger_count(ledger) > 0;
    for (size_t i = 0; i < ledger_count(ledger); i++)
        saved = saved && !ledger_at(ledger, i)->unsaved;
    return saved;
}

/* No segment is held for what is in a file. */
static bool log_is_free(struct stage *stage, void *argument)
{
    struct node *node = worker_node(stage->nodes[*(unsigned *)argument].worker);
    return !wal_holds_set_aside(node_wal(node));
}

/* The old leader is cut off; it answers one write at async and another waits in vain at quorum;
 * then another leads and writes. */
struct scene {
    struct stage *stage;
    unsigned old;
    uint64_t term;
};

static struct scene cut_off_with(const struct stage_options *options)
{
    struct scene scene = {.stage = stage_formed_with(options)};
    struct stage *stage = scene.stage;
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE CREATE fast ACK async FAILOVER available", "OK");
    assert_true(stage_wait(stage, has_leader, NULL, 5 * STAGE_SECOND));
    scene.old = leader(stage);
    scene.term = raft_view(replica_raft(stage_replica(stage, scene.old, FAST_GROUP)))->term;
    client = stage_connect(stage, scene.old);
    unsigned careful = stage_connect(stage, scene.old);
    expect(stage, careful, "SELECT fast", "OK");
    expect(stage, careful, "ACK quorum", "OK");
    expect(stage, client, "SELECT fast", "OK");
    expect(stage, client, "SET k 0", "OK");
    stage_run(stage, 100 * STAGE_MS);
    stage_isolate(stage, scene.old);
    stage_say(stage, client, "SET lost 1");
    assert_string_equal("OK", stage_reply(stage, client, 100 * STAGE_MS));
    stage_say(stage, client, "INCR count");
    assert_string_equal("1", stage_reply(stage, client, 100 * STAGE_MS));
    stage_say(stage, careful, "SET waits 1");
    assert_string_equal("(none)", stage_reply(stage, careful, 100 * STAGE_MS));
    assert_true(stage_wait(stage, has_leader_but, &scene.old, 10 * STAGE_SECOND));
    return scene;
}

static struct scene cut_off(void)
{
    return cut_off_with(&(struct stage_options){.nodes = 3});
}

static bool has_commands(const struct ledger_item *item, const char *key)
{
    return item->bytes.size && memmem(item->bytes.at, item->bytes.size, key, strlen(key));
}

static void expect_cut(struct scene *scene, enum ledger_verdict verdict)
{
    const struct ledger_cut *cut =
        ledger_find(ledger_of(scene->stage, scene->old), FAST_GROUP, scene->term);
    assert_non_null(cut);
    assert_int_equal(2, cut->count); /* not the one that nobody was told of */
    assert_true(has_commands(&cut->items[0], "lost"));
    assert_true(has_commands(&cut->items[1], "count"));
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(verdict, cut->items[i].verdict);
    for (unsigned i = 0; i < 3; i++)
        if (i != scene->old)
            assert_int_equal(0, ledger_count(ledger_of(scene->stage, i)));
}

static void acknowledged_and_cut(void **state)
{
    (void)state;
    struct scene scene = cut_off();
    stage_heal(scene.stage);
    assert_true(stage_wait(scene.stage, is_saved, &scene.old, 10 * STAGE_SECOND));
    expect_cut(&scene, LEDGER_ACKNOWLEDGED); /* LEDGER-2 */
    assert_true(stage_wait(scene.stage, log_is_free, &scene.old, STAGE_SECOND));
    stage_kill(scene.stage, scene.old);
    assert_true(stage_start(scene.stage, scene.old));
    expect_cut(&scene, LEDGER_ACKNOWLEDGED); /* LEDGER-3 */
    stage_power_cut(scene.stage, scene.old);
    assert_true(stage_start(scene.stage, scene.old));
    expect_cut(&scene, LEDGER_ACKNOWLEDGED);
    stage_destroy(scene.stage);
}

/* Who was restarted before its entries were cut cannot know which of them it had answered. */
static void a_restarted_leader_does_not_know(void **state)
{
    (void)state;
    struct scene scene = cut_off();
    stage_kill(scene.stage, scene.old);
    stage_heal(scene.stage);
    assert_true(stage_start(scene.stage, scene.old));
    assert_true(stage_wait(scene.stage, is_saved, &scene.old, 10 * STAGE_SECOND));
    expect_cut(&scene, LEDGER_POSSIBLY); /* LEDGER-2 */
    stage_destroy(scene.stage);
}

static void discarded_stays_away(void **state)
{
    (void)state;
    struct scene scene = cut_off();
    stage_heal(scene.stage);
    assert_true(stage_wait(scene.stage, is_saved, &scene.old, 10 * STAGE_SECOND));
    assert_true(ledger_discard(ledger_of(scene.stage, scene.old), FAST_GROUP, scene.term));
    assert_false(ledger_discard(ledger_of(scene.stage, scene.old), FAST_GROUP, scene.term));
    assert_true(stage_wait(scene.stage, is_saved, &scene.old, 10 * STAGE_SECOND));
    stage_kill(scene.stage, scene.old);
    assert_true(stage_start(scene.stage, scene.old));
    const struct ledger_cut *cut =
        ledger_find(ledger_of(scene.stage, scene.old), FAST_GROUP, scene.term);
    assert_true(cut && cut->discarded && !cut->count); /* LEDGER-3: the log still has the records */
    stage_destroy(scene.stage);
}

/* LEDGER-1: power goes at each write and sync while the old leader follows the new one: wherever
 * the new entries are durable, so is what they cut. */
static void the_record_comes_first(void **state)
{
    (void)state;
    for (unsigned call = 1; call <= 24; call++) {
        struct scene scene = cut_off();
        world_crash_at_call(scene.stage->world, scene.stage->nodes[scene.old].machine, call, true);
        stage_heal(scene.stage);
        stage_run(scene.stage, 3 * STAGE_SECOND);
        if (!scene.stage->nodes[scene.old].worker)
            assert_true(stage_start(scene.stage, scene.old));
        assert_true(stage_wait(scene.stage, is_saved, &scene.old, 10 * STAGE_SECOND));
        const struct ledger_cut *cut =
            ledger_find(ledger_of(scene.stage, scene.old), FAST_GROUP, scene.term);
        assert_true(cut && cut->count == 2); /* LEDGER-1 */
        stage_destroy(scene.stage);
    }
}

/* Until the new leader's log begins behind all that the old one has. */
static void write_past(struct scene *scene)
{
    char line[32];
    struct stage *stage = scene->stage;
    uint64_t last = fast_view(stage, scene->old)->last_index;
    stage_run(stage, 10 * STAGE_SECOND); /* nobody waits for the old one any more */
    unsigned at = (scene->old + 1) % 3, client = stage_connect(stage, at);
    expect(stage, client, "SELECT fast", "OK");
    for (unsigned i = 0; i < 600 && fast_view(stage, at)->first_index <= last + 1; i++) {
        snprintf(line, sizeof line, "SET k%u v%u", i % 20, i);
        expect(stage, client, line, "OK");
    }
    assert_true(fast_view(stage, at)->first_index > last + 1);
}

static bool has_installed(struct stage *stage, void *argument)
{
    unsigned old = *(unsigned *)argument;
    return has_leader(stage, NULL) && stage_replica(stage, old, FAST_GROUP) &&
           fast_view(stage, old)->commit == fast_view(stage, leader(stage))->commit;
}

/* LEDGER-1, R10: the same where a snapshot takes the place of the old leader's log: whatever call
 * is the last one, what it cut is still there. */
static void what_a_snapshot_cuts(void **state)
{
    (void)state;
    for (unsigned call = 0; call <= 120; call += 4) {
        struct scene scene = cut_off_with(&(struct stage_options){
            .nodes = 3, .snapshot_log_bytes = 2000, .snapshot_period_ns = 30 * STAGE_SECOND});
        struct stage *stage = scene.stage;
        write_past(&scene);
        uint64_t last = fast_view(stage, scene.old)->last_index;
        world_crash_at_call(stage->world, stage->nodes[scene.old].machine, call, call % 8);
        stage_heal(stage);
        stage_run(stage, 3 * STAGE_SECOND);
        world_crash_at_call(stage->world, stage->nodes[scene.old].machine, 0, false);
        if (!stage->nodes[scene.old].worker)
            assert_true(stage_start(stage, scene.old));
        assert_true(stage_wait(stage, has_installed, &scene.old, 30 * STAGE_SECOND));
        assert_true(fast_view(stage, scene.old)->first_index > last + 1); /* by a snapshot */
        const struct ledger_cut *cut =
            ledger_find(ledger_of(stage, scene.old), FAST_GROUP, scene.term);
        assert_true(cut && cut->count == 2); /* LEDGER-1 */
        assert_true(has_commands(&cut->items[0], "lost"));
        stage_destroy(stage);
    }
}

/* ---- what is void since (RAFT-19) ---- */

static void add(struct ledger *ledger, uint64_t term, uint64_t index)
{
    struct ledger_item item = {.index = index, .verdict = LEDGER_POSSIBLY};
    ledger_merge(ledger, FAST_GROUP, term, &item);
}

static void expect_verdicts(const struct ledger *ledger, uint64_t term, bool decided,
                            enum ledger_verdict first, enum ledger_verdict second)
{
    const struct ledger_cut *cut = ledger_find(ledger, FAST_GROUP, term);
    assert_int_equal(decided, cut->decided);
    assert_int_equal(first, cut->items[0].verdict);
    assert_int_equal(second, cut->items[1].verdict);
}

/* LEDGER-4: it was restored, and an election has made that void. */
static void restored_and_void_since(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(1);
    struct ledger *ledger = ledger_of(stage, 0);
    const struct ledger_span all = {.first = 4, .last = 7}, left = {4, 5, .whole = true};
    for (uint64_t term = 3; term <= 5; term += 2) {
        add(ledger, term, 5);
        add(ledger, term, 6);
        ledger_decide(ledger, FAST_GROUP, term, &all);
    }
    ledger_make_void(ledger, FAST_GROUP, 5, 6);
    expect_verdicts(ledger, 3, false, LEDGER_RESTORED, LEDGER_POSSIBLY);
    expect_verdicts(ledger, 5, true, LEDGER_RESTORED, LEDGER_RESTORED); /* of that leader itself */
    ledger_decide(ledger, FAST_GROUP, 3, &left);
    ledger_make_void(ledger, FAST_GROUP, 5, 6); /* a start hears it again */
    expect_verdicts(ledger, 3, true, LEDGER_RESTORED, LEDGER_POSSIBLY);
    stage_destroy(stage);
}

static bool is_decided(struct stage *stage, void *argument)
{
    const struct scene *scene = argument;
    return ledger_find(ledger_of(stage, scene->old), FAST_GROUP, scene->term)->decided;
}

static bool has_fast(struct stage *stage, void *node)
{
    return stage_replica(stage, *(unsigned *)node, FAST_GROUP) != NULL;
}

/* LEDGER-4: what its snapshot has was committed, and may be void since: a replica says nothing of
 * it before its leader has met it. */
static void who_has_not_met_its_leader_cannot_say(void **state)
{
    (void)state;
    struct stage *stage = stage_formed_with(&(struct stage_options){
        .nodes = 3, .snapshot_log_bytes = 2000, .snapshot_period_ns = STAGE_SECOND});
    struct scene scene = {.stage = stage};
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE CREATE fast ACK async FAILOVER available", "OK");
    assert_true(stage_wait(stage, has_leader, NULL, 5 * STAGE_SECOND));
    expect(stage, client, "SELECT fast", "OK");
    for (unsigned i = 0; i < 60; i++)
        expect(stage, client, "SET k v", "OK");
    stage_run(stage, 5 * STAGE_SECOND);
    scene.old = (leader(stage) + 1) % 3;
    scene.term = fast_view(stage, scene.old)->last_term;
    stage_isolate(stage, scene.old);
    stage_kill(stage, scene.old);
    assert_true(stage_start(stage, scene.old));
    assert_true(stage_wait(stage, has_fast, &scene.old, STAGE_SECOND));
    assert_true(fast_view(stage, scene.old)->commit > 10); /* of its snapshot */
    add(ledger_of(stage, scene.old), scene.term, 10);
    assert_false(stage_wait(stage, is_decided, &scene, 2 * STAGE_SECOND));
    stage_heal(stage);
    assert_true(stage_wait(stage, is_decided, &scene, 10 * STAGE_SECOND));
    const struct ledger_cut *cut = ledger_find(ledger_of(stage, scene.old), FAST_GROUP, scene.term);
    assert_int_equal(LEDGER_RESTORED, cut->items[0].verdict);
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_and_cut),
        cmocka_unit_test(a_restarted_leader_does_not_know),
        cmocka_unit_test(discarded_stays_away),
        cmocka_unit_test(the_record_comes_first),
        cmocka_unit_test(what_a_snapshot_cuts),
        cmocka_unit_test(restored_and_void_since),
        cmocka_unit_test(who_has_not_met_its_leader_cannot_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
