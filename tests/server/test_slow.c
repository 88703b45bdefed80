/* One slow or sick machine of three is its own trouble: clients of the others notice nothing
 * (BUG-CLASSES 15, 31, 35). Times are virtual, so a latency is exact. */
#include "stage.h"

#include "base/memory.h"

#include <string.h>

#define WRITES 60

static uint64_t elections_of(struct stage *stage, unsigned node)
{
    return raft_view(replica_raft(stage_replica(stage, node, GROUP_DEFAULT)))->term;
}

/* The longest of some writes, one after the other. */
static uint64_t slowest_write_ns(struct stage *stage, unsigned client)
{
    uint64_t slowest = 0;
    for (unsigned i = 0; i < WRITES; i++) {
        uint64_t begin = world_now_ns(stage->world);
        stage_say(stage, client, "SET k%u v", i);
        assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
        uint64_t took = world_now_ns(stage->world) - begin;
        slowest = took > slowest ? took : slowest;
        stage_run(stage, 100 * STAGE_MS);
    }
    return slowest;
}

struct slowness {
    bool leader, disk, link; /* of whom; what */
    uint64_t write_ns_most;
};

static void slow_down(struct stage *stage, const struct slowness *slowness)
{
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    struct machine_id machine = stage->nodes[slowness->leader ? leader : follower].machine;
    if (slowness->disk)
        world_slow_disk(stage->world, machine, 300 * STAGE_MS, 300 * STAGE_MS);
    struct machine_id a = stage->nodes[leader].machine, b = stage->nodes[follower].machine;
    if (slowness->link) {
        world_delay(stage->world, a, b, 100 * STAGE_MS, 150 * STAGE_MS);
        world_delay(stage->world, b, a, 100 * STAGE_MS, 150 * STAGE_MS);
    }
}

static void costs_no_more(const struct slowness *slowness)
{
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    uint64_t calm_ns = slowest_write_ns(stage, client);
    uint64_t term = elections_of(stage, leader);
    slow_down(stage, slowness);
    uint64_t slow_ns = slowest_write_ns(stage, client);
    assert_true(slow_ns <= calm_ns + slowness->write_ns_most);
    assert_int_equal(leader, stage_leader(stage));
    assert_int_equal(term, elections_of(stage, leader)); /* no election without need */
    stage_destroy(stage);
}

static void a_follower_with_a_slow_disk(void **state)
{
    (void)state;
    costs_no_more(&(struct slowness){.disk = true, .write_ns_most = 5 * STAGE_MS});
}

static void a_follower_behind_a_slow_link(void **state)
{
    (void)state;
    costs_no_more(&(struct slowness){.link = true, .write_ns_most = 5 * STAGE_MS});
}

/* Its followers' disks are a quorum without it. */
static void a_leader_with_a_slow_disk(void **state)
{
    (void)state;
    costs_no_more(&(struct slowness){.leader = true, .disk = true, .write_ns_most = 5 * STAGE_MS});
}

/* ---- damage that is met while the leader runs ---- */

#define LARGE_SIZE 60000
#define LARGE_KEYS 120 /* more than memory keeps */

static void set_large_values(struct stage *stage, unsigned client)
{
    char *line = memory_allocate(LARGE_SIZE + 64);
    for (unsigned i = 0; i < LARGE_KEYS; i++) {
        int size = snprintf(line, 64, "SET large%03u ", i);
        memset(line + size, 'a' + (int)(i % 26), LARGE_SIZE);
        memcpy(line + size + LARGE_SIZE, "\r\n", 2);
        stage_send(stage, client, line, (size_t)size + LARGE_SIZE + 2);
        assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    }
    memory_free(line);
}

static bool has_stopped(struct stage *stage, void *argument)
{
    return stage->nodes[*(unsigned *)argument].worker == NULL;
}

/* A follower was away; what it missed is damaged on the leader's disk. The leader reads it, stops
 * with a line, and sends none of it; the follower gets the same entries from the other one. */
static void damage_does_not_spread(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned away = stage_follower(stage), leader = stage_leader(stage);
    unsigned client = stage_connect(stage, leader), third = 3 - away - leader;
    stage_kill(stage, away);
    set_large_values(stage, client);
    assert_true(world_damage(stage->world, stage->nodes[leader].machine,
                             "/node/wal/0/0000000000000001.wal", WORLD_DAMAGE_BIT,
                             100 * IO_BLOCK_SIZE)); /* of what it missed */
    assert_true(stage_start(stage, away));
    assert_true(stage_wait(stage, has_stopped, &leader, 20 * STAGE_SECOND));
    assert_non_null(strstr(stage->nodes[leader].why, "does not hold"));
    assert_true(stage_wait(stage, stage_is_converged, NULL, 60 * STAGE_SECOND));
    assert_true(stage_leader(stage) == third);
    for (unsigned node = 0; node < 3; node++)
        if (node != leader)
            assert_string_equal("120", stage_ask(stage, stage_connect(stage, node), "DBSIZE"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_follower_with_a_slow_disk),
        cmocka_unit_test(a_follower_behind_a_slow_link),
        cmocka_unit_test(a_leader_with_a_slow_disk),
        cmocka_unit_test(damage_does_not_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
