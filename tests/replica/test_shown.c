/* REPLICA-10: what a replica shows to other threads. A lease is nobody else's, is taken back in the
 * step that gives it up, and ends by itself; and how far a follower is behind. */
#include "tests/server/stage.h"

#include "replica/log/log.h"

#include <string.h>

static struct replica_sight sight_of(struct stage *stage, unsigned node, struct group_id group)
{
    struct replica_sight sight = {0};
    struct replica *replica = stage_replica(stage, node, group);
    if (replica)
        assert_true(replica_look(replica_shown(replica), &sight));
    return sight;
}

/* The clock of the node's machine: each has its own. */
static uint64_t clock_of(struct stage *stage, unsigned node)
{
    return io_now_ns(world_io(stage->world, stage->nodes[node].machine, 0));
}

static bool has_lease(struct stage *stage, unsigned node, struct group_id group)
{
    return stage->nodes[node].worker &&
           sight_of(stage, node, group).lease_until_ns > clock_of(stage, node);
}

/* ---- leases ---- */

struct leases {
    unsigned held;    /* looks that found one */
    unsigned holders; /* bits of nodes that had the one on `default` */
};

/* As another thread of each node would: at any moment, also while that node is stopped. */
static void watch_leases(struct stage *stage, unsigned node)
{
    struct group_id groups[2] = {GROUP_SYSTEM, GROUP_DEFAULT};
    struct leases *leases = stage->watched;
    (void)node;
    for (unsigned g = 0; g < 2; g++) {
        unsigned holders = 0;
        for (unsigned i = 0; i < stage->options.nodes; i++)
            if (has_lease(stage, i, groups[g]))
                holders |= 1u << i;
        assert_true((holders & (holders - 1)) == 0); /* REPLICA-10: one bit, or none */
        leases->held += holders != 0;
        leases->holders |= g ? holders : 0;
    }
}

static void replace_by_hand_over(struct stage *stage, unsigned leader)
{
    struct node *node = worker_node(stage->nodes[leader].worker);
    struct replica *replica = stage_replica(stage, leader, GROUP_DEFAULT);
    struct node_id other = {(leader + 1) % 3 + 1};
    replica_transfer(replica, node_begin_turn(node),
                     raft_replica_on(raft_configuration(replica_raft(replica)), other));
}

static void replace_by_cutting(struct stage *stage, unsigned leader)
{
    stage_isolate(stage, leader);
}

static void replace_by_pause(struct stage *stage, unsigned leader)
{
    world_pause(stage->world, stage->nodes[leader].machine);
}

static void replace_by_kill(struct stage *stage, unsigned leader)
{
    stage_kill(stage, leader);
}

static void replace_by_stop(struct stage *stage, unsigned leader)
{
    worker_stop(stage->nodes[leader].worker);
}

static void bring_back(struct stage *stage, unsigned node)
{
    stage_heal(stage);
    world_resume(stage->world, stage->nodes[node].machine);
    stage_run(stage, STAGE_SECOND);
    if (!stage->nodes[node].worker)
        assert_true(stage_start(stage, node));
    stage_run(stage, 2 * STAGE_SECOND);
}

/* However leadership moves, at no moment do two nodes show it. */
static void never_two_leases(void **state)
{
    static void (*const ways[])(struct stage * stage, unsigned leader) = {
        replace_by_hand_over, replace_by_cutting, replace_by_pause,
        stage_step_down,      replace_by_kill,    replace_by_stop};
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        struct leases leases = {0};
        stage->watched = &leases;
        stage->watch = watch_leases;
        for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
            unsigned leader = stage_leader(stage);
            ways[i](stage, leader);
            stage_wait(stage, stage_has_other_leader, &leader, 3 * STAGE_SECOND);
            bring_back(stage, leader);
            assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
        }
        assert_true(leases.held > 100);
        assert_true((leases.holders & (leases.holders - 1)) != 0);
        stage->watch = NULL;
        stage_destroy(stage);
    }
}

/* Another thread looks between any two instructions: not the turn's end takes it back, nor the next
 * one. */
static void given_up_at_once(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage);
    stage_run(stage, STAGE_SECOND);
    assert_true(has_lease(stage, leader, GROUP_DEFAULT));
    replace_by_hand_over(stage, leader);
    assert_true(sight_of(stage, leader, GROUP_DEFAULT).lease_until_ns == 0); /* REPLICA-10 */
    assert_true(stage_wait(stage, stage_has_other_leader, &leader, 5 * STAGE_SECOND));
    leader = stage_leader(stage);
    stage_run(stage, STAGE_SECOND);
    assert_true(has_lease(stage, leader, GROUP_DEFAULT));
    stage_step_down(stage, leader);
    assert_true(sight_of(stage, leader, GROUP_DEFAULT).lease_until_ns == 0); /* REPLICA-10 */
    stage_destroy(stage);
}

/* ---- lag ---- */

static void check_level(struct stage *stage, unsigned node, uint64_t entries_max)
{
    struct replica_sight sight = sight_of(stage, node, GROUP_DEFAULT);
    uint64_t now_ns = clock_of(stage, node);
    assert_true(sight.level_ns && sight.level_ns <= now_ns);
    assert_true(now_ns - sight.level_ns < 250 * STAGE_MS);
    assert_true(now_ns - sight.heard_ns < 200 * STAGE_MS);
    assert_true(sight.lag_entries < entries_max && sight.lag_bytes < entries_max * 200);
    assert_false(sight.leads || sight.loads || sight.unsure);
}

/* A follower whose turns are long never has all when it hears of more, and its data are still never
 * old. */
static void level_under_load(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    unsigned slow = stage_follower(stage);
    stage_run(stage, STAGE_SECOND);
    world_turn_cost(stage->world, stage->nodes[slow].machine, 30 * STAGE_MS, 40 * STAGE_MS);
    for (unsigned i = 0; i < 3000; i++) {
        assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
        for (unsigned node = 0; node < 3; node++)
            if (node != leader)
                check_level(stage, node, node == slow ? 1000 : 50);
    }
    stage_destroy(stage);
}

static bool has_all(struct stage *stage, void *argument)
{
    unsigned node = *(unsigned *)argument;
    struct replica_sight sight = sight_of(stage, node, GROUP_DEFAULT);
    return sight.lag_entries == 0 && sight.level_ns + 200 * STAGE_MS > clock_of(stage, node);
}

struct behind {
    unsigned node;
    uint64_t entries, bytes; /* the most that it said */
};

static void watch_behind(struct stage *stage, unsigned node)
{
    struct behind *behind = stage->watched;
    struct replica_sight sight = sight_of(stage, behind->node, GROUP_DEFAULT);
    if (node != behind->node || sight.lag_entries == REPLICA_UNKNOWN)
        return;
    behind->entries = sight.lag_entries > behind->entries ? sight.lag_entries : behind->entries;
    if (sight.lag_bytes != REPLICA_UNKNOWN && sight.lag_bytes > behind->bytes)
        behind->bytes = sight.lag_bytes;
}

/* Who was away does not know what it lacks, only since when; back again it hears how much. */
static void who_was_away_hears_what_it_lacks(void **state)
{
    enum {
        WRITES = 300,
        SIZE = 2000
    };
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    struct behind behind = {.node = stage_follower(stage)};
    stage_run(stage, STAGE_SECOND);
    stage_isolate(stage, behind.node);
    uint64_t cut_ns = clock_of(stage, behind.node);
    for (unsigned i = 0; i < WRITES; i++) {
        stage_send_large(stage, client, "k", SIZE);
        assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    }
    stage_run(stage, 3 * STAGE_SECOND);
    struct replica_sight sight = sight_of(stage, behind.node, GROUP_DEFAULT);
    assert_true(sight.level_ns <= cut_ns && sight.heard_ns <= cut_ns);
    stage->watched = &behind;
    stage->watch = watch_behind;
    stage_heal(stage);
    assert_true(stage_wait(stage, has_all, &behind.node, 10 * STAGE_SECOND));
    stage->watch = NULL;
    assert_in_range(behind.entries, WRITES / 2, WRITES + 50);
    assert_in_range(behind.bytes, WRITES / 2 * SIZE, WRITES * (SIZE + 200) * 2);
    stage_destroy(stage);
}

/* A process that begins knows nothing before its leader has spoken, and may not say zero. */
static void unknown_is_not_zero(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned follower = stage_follower(stage);
    stage_kill(stage, follower);
    stage_isolate(stage, follower);
    assert_true(stage_start(stage, follower));
    stage_run(stage, STAGE_SECOND);
    struct replica_sight sight = sight_of(stage, follower, GROUP_DEFAULT);
    assert_true(sight.lag_entries == REPLICA_UNKNOWN && sight.lag_bytes == REPLICA_UNKNOWN);
    assert_true(sight.level_ns == 0 && sight.heard_ns == 0 && sight.lease_until_ns == 0);
    stage_heal(stage);
    assert_true(stage_wait(stage, has_all, &follower, 10 * STAGE_SECOND));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_two_leases),    cmocka_unit_test(given_up_at_once),
        cmocka_unit_test(level_under_load),    cmocka_unit_test(who_was_away_hears_what_it_lacks),
        cmocka_unit_test(unknown_is_not_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
