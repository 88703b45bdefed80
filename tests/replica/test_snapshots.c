/* BOOT-1 to BOOT-5, SNAP-5: snapshots while it runs, a start from them, and what a crash between
 * makes of it; those of one mark. */
#include "tests/server/stage.h"

#include "base/random.h"
#include "replica/bootstrap/bootstrap.h"
#include "replica/log/log.h"

#include <string.h>

#define OFTEN .snapshot_log_bytes = 2000, .snapshot_period_ns = STAGE_SECOND / 500

static struct bootstrap *bootstrap_of(struct stage *stage, unsigned node)
{
    return stage_replica(stage, node, GROUP_DEFAULT)->bootstrap;
}

static void write_some(struct stage *stage, unsigned client, unsigned first, unsigned count)
{
    char line[64];
    for (unsigned i = first; i < first + count; i++) {
        snprintf(line, sizeof line, "SET k%u v%u", i % 100, i);
        assert_string_equal("OK", stage_ask(stage, client, line));
    }
}

static void expect_values(struct stage *stage, unsigned client, unsigned count)
{
    char line[64], expected[16];
    for (unsigned i = 0; i < 100 && i < count; i++) {
        unsigned last = i + (count - 1 - i) / 100 * 100;
        snprintf(line, sizeof line, "GET k%u", i);
        snprintf(expected, sizeof expected, "v%u", last);
        assert_string_equal(expected, stage_ask(stage, client, line));
    }
}

/* BOOT-2: what it starts with is the newest snapshot, and the log from there. */
static void a_start_from_a_snapshot(void **state)
{
    (void)state;
    struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 1, OFTEN});
    unsigned client = stage_connect(stage, 0);
    for (unsigned round = 0; round < 6; round++) {
        write_some(stage, client, round * 150, 150);
        uint64_t newest = bootstrap_of(stage, 0)->newest;
        assert_true(newest > 0);
        stage_kill(stage, 0);
        assert_true(stage_start(stage, 0));
        assert_true(stage_wait(stage, stage_has_leader, NULL, 5 * STAGE_SECOND));
        assert_true(bootstrap_of(stage, 0)->newest >= newest);
        assert_true(replica_executed(stage_replica(stage, 0, GROUP_DEFAULT)) >= newest);
        client = stage_connect(stage, 0);
        expect_values(stage, client, (round + 1) * 150);
    }
    stage_destroy(stage);
}

static void damage_snapshot(struct stage *stage, uint64_t index, uint64_t offset)
{
    char path[IO_PATH_SIZE];
    snprintf(path, sizeof path, "/node/snapshots/%016x-%016llx.snap", 1, (unsigned long long)index);
    assert_true(
        world_damage(stage->world, stage->nodes[0].machine, path, WORLD_DAMAGE_ZERO, offset));
}

/* Values that do not pack: the snapshot has more than one block. */
static void write_noise(struct stage *stage, unsigned client)
{
    struct random random;
    random_init(&random, 3);
    for (unsigned i = 0; i < 60; i++) {
        char line[400];
        int size = snprintf(line, sizeof line, "SET noise%u ", i);
        for (unsigned k = 0; k < 16; k++)
            size += snprintf(line + size, sizeof line - (size_t)size, "%016llx",
                             (unsigned long long)random_next(&random));
        assert_string_equal("OK", stage_ask(stage, client, line));
    }
}

/* BOOT-1: a damaged one is named, not used, be it the header or a chunk; the older one and the log
 * do as well. */
static void a_damaged_one(void **state)
{
    (void)state;
    for (uint64_t block = 0; block < 2; block++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 1, OFTEN});
        unsigned client = stage_connect(stage, 0);
        write_noise(stage, client);
        write_some(stage, client, 0, 400);
        uint64_t newest = bootstrap_of(stage, 0)->newest;
        stage_kill(stage, 0);
        damage_snapshot(stage, newest, block * IO_BLOCK_SIZE);
        assert_true(stage_start(stage, 0));
        assert_true(stage_wait(stage, stage_has_leader, NULL, 5 * STAGE_SECOND));
        assert_non_null(strstr(stage->nodes[0].lines, "damaged; it is not used"));
        client = stage_connect(stage, 0);
        expect_values(stage, client, 400); /* BOOT-1 */
        assert_string_equal("1", stage_ask(stage, client, "EXISTS noise59"));
        stage_destroy(stage);
    }
}

/* A full disk stops the snapshot and nothing else: a line says so, and later it is tried again. */
static void a_full_disk(void **state)
{
    (void)state;
    struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 1, OFTEN});
    struct stage_node *node = &stage->nodes[0];
    unsigned client = stage_connect(stage, 0);
    write_noise(stage, client);
    write_some(stage, client, 0, 100);
    uint64_t newest = bootstrap_of(stage, 0)->newest;
    assert_true(newest > 0);
    world_disk_capacity(stage->world, node->machine, world_disk_used(stage->world, node->machine));
    unsigned written = 100;
    while (written < 300 && !strstr(node->lines, "no snapshot was written ("))
        write_some(stage, client, written++, 1); /* there is room in the log */
    assert_non_null(strstr(node->lines, "no space left"));
    uint64_t stuck = bootstrap_of(stage, 0)->newest;
    stage_kill(stage, 0); /* while it is full */
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, stage_has_leader, NULL, 5 * STAGE_SECOND));
    client = stage_connect(stage, 0);
    expect_values(stage, client, written);
    world_disk_capacity(stage->world, node->machine, 0);
    stage_run(stage, 31 * STAGE_SECOND); /* its next try */
    write_some(stage, client, written, 100);
    assert_true(bootstrap_of(stage, 0)->newest > stuck);
    expect_values(stage, client, written + 100);
    stage_destroy(stage);
}

/* The store of a leader whose entries are cut is built anew at once, however long it waits before
 * it writes a snapshot again. */
static void a_cut_after_a_full_disk(void **state)
{
    (void)state;
    struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, OFTEN});
    unsigned leader = stage_leader(stage), old = leader, written = 100;
    struct stage_node *node = &stage->nodes[leader];
    unsigned client = stage_connect(stage, leader);
    write_noise(stage, client);
    write_some(stage, client, 0, 100);
    assert_true(bootstrap_of(stage, leader)->newest > 0);
    world_disk_capacity(stage->world, node->machine, world_disk_used(stage->world, node->machine));
    while (written < 300 && !strstr(node->lines, "no snapshot was written ("))
        write_some(stage, client, written++, 1);
    assert_non_null(strstr(node->lines, "no snapshot was written ("));
    world_disk_capacity(stage->world, node->machine, 0);
    stage_isolate(stage, leader);
    stage_say(stage, client, "SET lost x"); /* executed, and never committed */
    assert_true(stage_wait(stage, stage_has_other_leader, &leader, 10 * STAGE_SECOND));
    stage_heal(stage);
    assert_int_not_equal(old, stage_leader(stage));
    assert_true(stage_wait(stage, stage_is_converged, NULL, 5 * STAGE_SECOND));
    stage_destroy(stage);
}

/* Returns the number of the value that it could not write. */
static unsigned write_until_death(struct stage *stage, unsigned client, unsigned value)
{
    char line[64];
    for (; stage->nodes[0].worker; value++) {
        snprintf(line, sizeof line, "SET k%u v%u", value % 100, value);
        if (strcmp("OK", stage_ask(stage, client, line)) != 0)
            break;
    }
    return value;
}

/* BOOT-3: whatever call of a snapshot is the last one, what was acknowledged is there. */
static void crashes(uint64_t first_call, bool power)
{
    struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 1, OFTEN});
    unsigned client = stage_connect(stage, 0), written = 100;
    write_some(stage, client, 0, written);
    for (uint64_t call = first_call; call < first_call + 15; call++) {
        world_crash_at_call(stage->world, stage->nodes[0].machine, call, power);
        written = write_until_death(stage, client, written);
        if (stage->nodes[0].worker)
            stage_kill(stage, 0);
        assert_true(stage_start(stage, 0));
        assert_true(stage_wait(stage, stage_has_leader, NULL, 5 * STAGE_SECOND));
        client = stage_connect(stage, 0);
        write_some(stage, client, written++, 1); /* what was not answered may have happened */
        expect_values(stage, client, written);
    }
    assert_true(bootstrap_of(stage, 0)->newest > 100);
    stage_destroy(stage);
}

static void a_crash_at_every_call(void **state)
{
    (void)state;
    for (uint64_t call = 1; call < 150; call += 15)
        crashes(call, call / 15 % 2);
}

/* ---- from a peer ---- */

static uint64_t first_index(struct stage *stage, unsigned node)
{
    return raft_view(replica_raft(stage_replica(stage, node, GROUP_DEFAULT)))->first_index;
}

/* Writes until the leader's log begins behind `index`. */
static unsigned write_past(struct stage *stage, unsigned client, unsigned written, uint64_t index)
{
    unsigned leader = stage_leader(stage);
    for (unsigned i = 0; i < 60 && first_index(stage, leader) <= index; i++) {
        write_some(stage, client, written, 50);
        written += 50;
    }
    assert_true(first_index(stage, leader) > index);
    return written;
}

static bool is_whole(struct stage *stage, void *unused)
{
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (!stage->nodes[i].worker || !worker_is_ready(stage->nodes[i].worker))
            return false;
    return stage_is_converged(stage, unused);
}

static void converge(struct stage *stage)
{
    assert_true(stage_wait(stage, is_whole, NULL, 60 * STAGE_SECOND));
}

/* BOOT-4, BOOT-5: one that was away past the release gets a snapshot, and keeps it. */
static void who_was_away_catches_up(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct stage *stage =
            stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed, OFTEN});
        unsigned away = stage_follower(stage), client = stage_connect(stage, stage_leader(stage));
        write_some(stage, client, 0, 120);
        uint64_t last =
            raft_view(replica_raft(stage_replica(stage, away, GROUP_DEFAULT)))->last_index;
        stage_kill(stage, away);
        stage_run(stage, 10 * STAGE_SECOND); /* nobody waits for it any more */
        write_noise(stage, client);
        unsigned written = write_past(stage, client, 120, last + 5);
        assert_true(stage_start(stage, away));
        converge(stage);
        assert_true(first_index(stage, away) > last + 1); /* BOOT-5 */
        stage_kill(stage, away);
        assert_true(stage_start(stage, away));
        converge(stage);
        expect_values(stage, client, written);
        stage_destroy(stage);
    }
}

/* BOOT-5: whatever call is the last one while it gets its snapshot, it goes on from there. */
static void a_crash_while_it_is_received(void **state)
{
    (void)state;
    struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, OFTEN});
    unsigned away = stage_follower(stage), client = stage_connect(stage, stage_leader(stage));
    unsigned written = 100;
    write_noise(stage, client);
    write_some(stage, client, 0, written);
    for (uint64_t call = 1; call <= 60; call++) {
        struct replica *replica = stage_replica(stage, away, GROUP_DEFAULT);
        uint64_t last = raft_view(replica_raft(replica))->last_index;
        stage_kill(stage, away);
        stage_run(stage, 9 * STAGE_SECOND);
        written = write_past(stage, client, written, last + 1);
        assert_true(stage_start(stage, away));
        world_crash_at_call(stage->world, stage->nodes[away].machine, call, call % 2);
        stage_run(stage, 3 * STAGE_SECOND);
        world_crash_at_call(stage->world, stage->nodes[away].machine, 0, false);
        if (!stage->nodes[away].worker)
            assert_true(stage_start(stage, away));
        converge(stage); /* BOOT-5 */
    }
    stage_destroy(stage);
}

/* ---- of one mark ---- */

#define CARTS ((struct group_id){2})

static const struct snapshot *newest_of(struct stage *stage, unsigned node)
{
    const struct snapshot *newer, *older;
    struct node *inside = worker_node(stage->nodes[node].worker);
    snapshots_newest_two(node_turn(inside)->snapshots->files, CARTS, &newer, &older);
    return newer;
}

/* Every replica has one of the newest entry, which is a configuration. */
static bool all_end_with_a_change(struct stage *stage, void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        const struct raft *raft = replica_raft(stage_replica(stage, i, CARTS));
        const struct snapshot *newest = newest_of(stage, i);
        if (!newest || newest->meta.index != raft_view(raft)->last_index ||
            newest->meta.index != raft_configuration(raft)->index)
            return false;
    }
    return true;
}

/* SNAP-5: who proposed the last entry says the same of it as who applied it, also where it is none
 * of the store's. */
static void those_of_a_change_are_equal(void **state)
{
    (void)state;
    struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, OFTEN});
    unsigned client = stage_connect(stage, stage_leader(stage));
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE carts REPLICAS 3"));
    assert_string_equal("OK", stage_ask(stage, client, "SELECT carts"));
    write_some(stage, client, 0, 20);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER carts SYNC os"));
    assert_true(stage_wait(stage, all_end_with_a_change, NULL, 10 * STAGE_SECOND));
    const struct snapshot *one = newest_of(stage, 0);
    for (unsigned i = 1; i < 3; i++) {
        const struct snapshot *other = newest_of(stage, i);
        assert_true(one->meta.term == other->meta.term);
        assert_true(one->meta.time_us == other->meta.time_us);
        assert_true(slice_equal(one->header, other->header));
        assert_true(one->content == other->content);
        assert_true(one->size == other->size);
    }
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_of_a_change_are_equal),
        cmocka_unit_test(a_start_from_a_snapshot),
        cmocka_unit_test(a_damaged_one),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(a_cut_after_a_full_disk),
        cmocka_unit_test(a_crash_at_every_call),
        cmocka_unit_test(who_was_away_catches_up),
        cmocka_unit_test(a_crash_while_it_is_received),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
