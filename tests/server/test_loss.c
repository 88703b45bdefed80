/* LOSS as an operator sees it, through any node: a record from the failover on, exact once the old
 * leader is back, key by key, until it is discarded (R10). */
#include "failover.h"

#include <string.h>

struct scene {
    struct stage *stage;
    unsigned old, other; /* nodes */
    unsigned client;     /* of `other` */
    char id[48];
};

/* A write is answered by a leader that is cut off, and another leads. */
static struct scene lost_write(void)
{
    struct scene scene = {.stage = stage_formed(3), .old = STAGE_NONE};
    struct stage *stage = scene.stage;
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE CREATE fast ACK async FAILOVER available", "OK");
    assert_true(stage_wait(stage, has_leader_but, &scene.old, 5 * STAGE_SECOND));
    scene.old = leader_but(stage, STAGE_NONE);
    snprintf(
        scene.id, sizeof scene.id, "2-%llu",
        (unsigned long long)raft_view(replica_raft(stage_replica(stage, scene.old, FAST_GROUP)))
            ->term);
    client = stage_connect(stage, scene.old);
    expect(stage, client, "SELECT fast", "OK");
    expect(stage, client, "SET k 0", "OK");
    stage_run(stage, 100 * STAGE_MS);
    stage_isolate(stage, scene.old);
    stage_say(stage, client, "SET lost 1");
    assert_string_equal("OK", stage_reply(stage, client, 100 * STAGE_MS));
    assert_true(stage_wait(stage, has_leader_but, &scene.old, 10 * STAGE_SECOND));
    scene.other = (scene.old + 1) % 3;
    scene.client = stage_connect(stage, scene.other);
    stage_run(stage, 3 * STAGE_SECOND);
    return scene;
}

static void unknown_until_the_old_leader_is_back(void **state)
{
    (void)state;
    struct scene scene = lost_write();
    char show[80];
    expect_list(scene.stage, scene.client, scene.id,
                "state unknown acknowledged nil"); /* never 0 for what nobody knows */
    expect_list(scene.stage, scene.client, scene.id, "which led, has not come back since");
    expect(scene.stage, scene.client, "LOSS LIST default", "");
    expect(scene.stage, scene.client, "LOSS LIST nothing", "-ERR there is no such keyspace");
    stage_heal(scene.stage);
    expect_list(scene.stage, scene.client, scene.id,
                "state exact acknowledged 1 not_acknowledged 0 possibly 0");
    expect_list(scene.stage, scene.client, scene.id, "is back and knows what it had answered");
    snprintf(show, sizeof show, "LOSS SHOW %s", scene.id);
    const char *shown = stage_ask(scene.stage, scene.client, show);
    if (!strstr(shown, "nodes_not_asked 0 writes key lost database 0 command SET lost 1 index") ||
        !strstr(shown, "level async judged acknowledged"))
        fail_msg("%s: %s", show, shown);
    const char *info = stage_ask(scene.stage, scene.client, "KEYSPACE INFO fast");
    assert_non_null(strstr(info, "losses_open 1"));
    stage_destroy(scene.stage);
}

static void discarded(void **state)
{
    (void)state;
    struct scene scene = lost_write();
    char request[80];
    stage_heal(scene.stage);
    expect_list(scene.stage, scene.client, scene.id, "state exact acknowledged 1");
    snprintf(request, sizeof request, "LOSS DISCARD %s", scene.id);
    expect(scene.stage, scene.client, request, "OK");
    for (unsigned i = 0; i < 100 && list_has(scene.stage, scene.client, scene.id, ""); i++)
        stage_run(scene.stage, 100 * STAGE_MS);
    assert_false(list_has(scene.stage, scene.client, scene.id, ""));
    stage_kill(scene.stage, scene.old);
    assert_true(stage_start(scene.stage, scene.old));
    stage_run(scene.stage, 3 * STAGE_SECOND);
    assert_false(list_has(scene.stage, scene.client, scene.id, "")); /* LEDGER-3 */
    stage_destroy(scene.stage);
}

/* A leader that was killed: nobody knows which of its answers it had given. */
static void a_killed_leader_does_not_know(void **state)
{
    (void)state;
    struct scene scene = lost_write();
    stage_kill(scene.stage, scene.old);
    stage_heal(scene.stage);
    assert_true(stage_start(scene.stage, scene.old));
    expect_list(scene.stage, scene.client, scene.id,
                "state possibly acknowledged 0 not_acknowledged 0 possibly 1");
    stage_destroy(scene.stage);
}

/* Who was told OK hears once that it is not so, on whichever node the connection is; the command
 * that meets it does not run. */
static void the_connection_is_told(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned none = STAGE_NONE, setup = stage_connect(stage, 0);
    expect(stage, setup, "KEYSPACE CREATE fast ACK async FAILOVER available", "OK");
    assert_true(stage_wait(stage, has_leader_but, &none, 5 * STAGE_SECOND));
    unsigned old = leader_but(stage, STAGE_NONE), entry = (old + 1) % 3;
    unsigned here = stage_connect(stage, old), there = stage_connect(stage, entry);
    unsigned reader = stage_connect(stage, old);
    expect(stage, here, "SELECT fast", "OK");
    expect(stage, there, "SELECT fast", "OK");
    expect(stage, reader, "SELECT fast", "OK");
    expect(stage, there, "SET k 0", "OK");
    stage_run(stage, 100 * STAGE_MS);
    stage_isolate(stage, old);
    stage_say(stage, here, "SET lost 1");
    assert_string_equal("OK", stage_reply(stage, here, 100 * STAGE_MS));
    assert_true(stage_wait(stage, has_leader_but, &old, 10 * STAGE_SECOND));
    stage_heal(stage);
    stage_run(stage, 2 * STAGE_SECOND);
    expect(stage, here, "INCR count", "-WRITELOST a failover cut writes");
    expect(stage, here, "EXISTS count", "0"); /* once, and it did not run */
    expect(stage, here, "INCR count", "1");
    expect(stage, there, "GET k", "0"); /* its own write is in the log */
    expect(stage, reader, "GET lost", "nil");
    stage_destroy(stage);
}

/* Nothing was lost: there is no record left once that is known. */
static void an_orderly_change_leaves_nothing(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0), none = STAGE_NONE;
    expect(stage, client, "KEYSPACE CREATE fast ACK async FAILOVER available", "OK");
    assert_true(stage_wait(stage, has_leader_but, &none, 5 * STAGE_SECOND));
    unsigned old = leader_but(stage, STAGE_NONE);
    replica_step_down(stage_replica(stage, old, FAST_GROUP),
                      node_turn(worker_node(stage->nodes[old].worker)));
    assert_true(stage_wait(stage, has_leader_but, &none, 10 * STAGE_SECOND));
    stage_run(stage, 3 * STAGE_SECOND);
    expect(stage, client, "LOSS LIST", "");
    assert_string_equal("", stage_ask(stage, client, "LOSS LIST"));
    expect(stage, client, "LOSS SHOW nonsense", "-ERR an id is PARTITION-TERM");
    expect(stage, client, "LOSS REVIVE 1", "-ERR LOSS knows");
    stage_destroy(stage);
}

static bool nothing_is_listed(struct stage *stage, unsigned node)
{
    unsigned client = stage_connect(stage, node);
    for (unsigned i = 0; i < 100; i++) {
        if (strcmp(stage_ask(stage, client, "LOSS LIST"), "") == 0)
            return true;
        stage_run(stage, 100 * STAGE_MS);
    }
    printf("%s\n", stage_ask(stage, client, "LOSS LIST"));
    return false;
}

static struct stage *stage_with_a_write(unsigned *leads)
{
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0), none = STAGE_NONE;
    expect(stage, client, "KEYSPACE CREATE fast ACK async FAILOVER available", "OK");
    assert_true(stage_wait(stage, has_leader_but, &none, 5 * STAGE_SECOND));
    *leads = leader_but(stage, STAGE_NONE);
    client = stage_connect(stage, *leads);
    expect(stage, client, "SELECT fast", "OK");
    expect(stage, client, "SET k 1", "OK");
    stage_run(stage, 300 * STAGE_MS);
    return stage;
}

/* Nobody is left who knows who led: all that any of them had is decided, and that is enough. */
static void killed_altogether(void **state)
{
    (void)state;
    unsigned leads, none = STAGE_NONE;
    struct stage *stage = stage_with_a_write(&leads);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 3; i++)
            stage_kill(stage, i);
        for (unsigned i = 0; i < 3; i++)
            assert_true(stage_start(stage, i));
        assert_true(stage_wait(stage, has_leader_but, &none, 10 * STAGE_SECOND));
        stage_run(stage, STAGE_SECOND);
    }
    assert_true(nothing_is_listed(stage, 0));
    stage_destroy(stage);
}

/* Who leads next has been restarted and does not know whom it follows: the third does. */
static void the_next_leader_was_restarted(void **state)
{
    (void)state;
    unsigned leads;
    struct stage *stage = stage_with_a_write(&leads);
    for (unsigned round = 0; round < 6; round++) {
        unsigned old = leader_but(stage, STAGE_NONE), next = (old + 1 + round % 2) % 3;
        stage_kill(stage, next);
        stage_kill(stage, old);
        assert_true(stage_start(stage, next));
        assert_true(stage_wait(stage, has_leader_but, &old, 10 * STAGE_SECOND));
        assert_true(stage_start(stage, old));
        stage_run(stage, 2 * STAGE_SECOND);
    }
    assert_true(nothing_is_listed(stage, 0));
    stage_destroy(stage);
}

/* A machine that went down may have lost what its disk had not got yet: nobody will ever know. */
static void a_power_cut_stays_unknown(void **state)
{
    (void)state;
    unsigned leads;
    struct stage *stage = stage_with_a_write(&leads);
    unsigned client = stage_connect(stage, (leads + 1) % 3);
    stage_power_cut(stage, leads);
    assert_true(stage_wait(stage, has_leader_but, &leads, 10 * STAGE_SECOND));
    assert_true(stage_start(stage, leads));
    stage_run(stage, 3 * STAGE_SECOND);
    const char *got = stage_ask(stage, client, "LOSS LIST fast");
    if (!strstr(got, "state unknown") || !strstr(got, "its log may lack the end"))
        fail_msg("%s", got);
    stage_destroy(stage);
}

static bool has_stopped(struct stage *stage, void *node)
{
    return !stage->nodes[*(unsigned *)node].worker;
}

/* The same for a disk that failed, with SYNC always: ACK async answers before the sync. */
static void a_failed_sync_stays_unknown(void **state)
{
    (void)state;
    unsigned leads;
    struct stage *stage = stage_with_a_write(&leads);
    unsigned client = stage_connect(stage, leads);
    expect(stage, client, "SELECT fast", "OK");
    world_fail_sync(stage->world, stage->nodes[leads].machine, 1);
    expect(stage, client, "SET k 2", "OK");
    assert_true(stage_wait(stage, has_stopped, &leads, STAGE_SECOND));
    client = stage_connect(stage, (leads + 1) % 3);
    assert_true(stage_wait(stage, has_leader_but, &leads, 10 * STAGE_SECOND));
    assert_true(stage_start(stage, leads));
    stage_run(stage, 3 * STAGE_SECOND);
    expect_words(stage, client, "LOSS LIST fast", "state unknown");
    expect_words(stage, client, "LOSS LIST fast", "or its disk failed: its log may lack the end");
    stage_destroy(stage);
}

static void lose_untold(uint64_t snapshot_period_ns)
{
    struct stage *stage = stage_formed_with(
        &(struct stage_options){.nodes = 3, .snapshot_period_ns = snapshot_period_ns});
    stage_run(stage, snapshot_period_ns + snapshot_period_ns / 5);
    unsigned client = stage_connect(stage, 0), none = STAGE_NONE;
    expect(stage, client, "KEYSPACE CREATE fast REPLICAS 1 ACK async FAILOVER available", "OK");
    assert_true(stage_wait(stage, has_leader_but, &none, 5 * STAGE_SECOND));
    unsigned leads = leader_but(stage, STAGE_NONE);
    client = stage_connect(stage, leads);
    expect(stage, client, "SELECT fast", "OK");
    world_hold_syncs(stage->world, stage->nodes[leads].machine, true);
    expect(stage, client, "SET k 1", "OK");
    uint64_t term = fast_view(stage, leads)->term;
    stage_power_cut(stage, leads);
    world_hold_syncs(stage->world, stage->nodes[leads].machine, false);
    stage_isolate(stage, leads);
    for (unsigned round = 0; round < 2; round++) {
        assert_true(stage_start(stage, leads));
        assert_true(stage_wait(stage, has_leader_but, &none, 5 * STAGE_SECOND));
        stage_run(stage, STAGE_SECOND);
        assert_true(fast_view(stage, leads)->commit >= fast_view(stage, leads)->term_start);
        stage_kill(stage, leads);
    }
    stage_heal(stage);
    assert_true(stage_start(stage, leads));
    char id[48];
    snprintf(id, sizeof id, "2-%llu", (unsigned long long)term);
    client = stage_connect(stage, (leads + 1) % 3);
    stage_run(stage, 3 * STAGE_SECOND);
    expect_list(stage, client, id, "state unknown");
    expect_list(stage, client, id, "its log may lack the end");
    stage_destroy(stage);
}

/* LEDGER-5: the same for a leader that follows itself, and dies again before it can tell anybody.
 */
static void a_loss_that_nobody_could_be_told_of(void **state)
{
    (void)state;
    lose_untold(0);
}

/* The catalogue with which it starts is that of a snapshot, and does not know the keyspace: what it
 * promises is asked later. */
static void a_loss_under_an_old_catalogue(void **state)
{
    (void)state;
    lose_untold(10 * STAGE_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_until_the_old_leader_is_back),
        cmocka_unit_test(discarded),
        cmocka_unit_test(the_connection_is_told),
        cmocka_unit_test(a_killed_leader_does_not_know),
        cmocka_unit_test(an_orderly_change_leaves_nothing),
        cmocka_unit_test(killed_altogether),
        cmocka_unit_test(the_next_leader_was_restarted),
        cmocka_unit_test(a_power_cut_stays_unknown),
        cmocka_unit_test(a_failed_sync_stays_unknown),
        cmocka_unit_test(a_loss_that_nobody_could_be_told_of),
        cmocka_unit_test(a_loss_under_an_old_catalogue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
