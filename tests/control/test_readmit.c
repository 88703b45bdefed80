/* A member whose log is damaged or lost begins anew and is taken back (NODE-10, CONTROL-14, R4). */
#include "tests/server/stage.h"

#include "base/memory.h"

#include <string.h>

#define LOG         "/node/wal/0/0000000000000001.wal" /* of `system`, and of one worker all */
#define DEFAULT_LOG "/node/wal/1/0000000000000001.wal"
#define KEYS        20
#define VICTIM      2

static bool is_ready(struct stage *stage, void *argument)
{
    unsigned node = *(unsigned *)argument;
    return stage->nodes[node].worker && worker_is_ready(stage->nodes[node].worker) &&
           worker_is_settled(stage->nodes[stage_leader(stage) % 3].worker);
}

static void wait_back(struct stage *stage, unsigned node)
{
    if (!stage_wait(stage, is_ready, &node, 30 * STAGE_SECOND))
        fail_msg("node %u: %s\n%s\n%s", node, stage->nodes[node].why, stage->nodes[node].lines,
                 stage->nodes[node].worker ? worker_unready(stage->nodes[node].worker) : "");
}

static void write_keys(struct stage *stage, const char *name)
{
    unsigned client = stage_connect(stage, stage_leader(stage));
    for (unsigned i = 0; i < KEYS; i++) {
        char request[96];
        snprintf(request, sizeof request, "SET %s%u v%u", name, i, i);
        assert_string_equal("OK", stage_ask(stage, client, request));
    }
    stage_disconnect(stage, client);
}

static void read_keys(struct stage *stage, unsigned node, const char *name)
{
    unsigned client = stage_connect(stage, node);
    for (unsigned i = 0; i < KEYS; i++) {
        char request[96], value[16];
        snprintf(request, sizeof request, "GET %s%u", name, i);
        snprintf(value, sizeof value, "v%u", i);
        assert_string_equal(value, stage_ask(stage, client, request));
    }
    stage_disconnect(stage, client);
}

/* Three nodes with data on all of them; the victim is down, and its log no longer holds. */
static struct stage *damaged(unsigned workers)
{
    struct stage *stage =
        stage_formed_with(&(struct stage_options){.nodes = 3, .workers = workers});
    write_keys(stage, "a");
    assert_true(stage_wait(stage, stage_is_converged, NULL, 10 * STAGE_SECOND));
    stage_kill(stage, VICTIM);
    assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
    assert_true(world_damage(stage->world, stage->nodes[VICTIM].machine,
                             workers > 1 ? DEFAULT_LOG : LOG, WORLD_DAMAGE_ZERO,
                             20 * IO_BLOCK_SIZE));
    return stage;
}

static struct replica_id replica_of(struct stage *stage, unsigned node, struct group_id group)
{
    struct replica *replica = stage_replica(stage, node, group);
    return replica ? replica_self(replica) : (struct replica_id){0};
}

/* Under a replica id of its own, in the place of the one that is void; and then it counts: with
 * another node gone, it and the third are the majority. */
static void it_is_taken_back(struct stage *stage)
{
    wait_back(stage, VICTIM);
    assert_true(stage_wait(stage, stage_is_converged, NULL, 20 * STAGE_SECOND));
    assert_true(replica_of(stage, VICTIM, GROUP_DEFAULT).value > 3);
    assert_true(replica_of(stage, VICTIM, GROUP_SYSTEM).value > 3);
    const struct raft_configuration *now =
        raft_configuration(replica_raft(stage_replica(stage, VICTIM, GROUP_DEFAULT)));
    assert_int_equal(3, now->member_count);
    assert_false(now->joint);
    unsigned other = stage_leader(stage) == 0 ? 0 : stage_leader(stage) == 1 ? 1 : 0;
    stage_kill(stage, other);
    assert_true(stage_wait(stage, stage_has_leader, NULL, 20 * STAGE_SECOND));
    write_keys(stage, "b");
    read_keys(stage, VICTIM, "a");
    read_keys(stage, VICTIM, "b");
}

static void damage_is_begun_anew(void **state)
{
    (void)state;
    struct stage *stage = damaged(1);
    assert_true(stage_start(stage, VICTIM));
    assert_non_null(strstr(stage->nodes[VICTIM].anew, "0000000000000001.wal offset 81920"));
    assert_non_null(strstr(stage->nodes[VICTIM].anew, "node 3 begins anew"));
    write_keys(stage, "c"); /* while it comes */
    it_is_taken_back(stage);
    read_keys(stage, VICTIM, "c");
    stage_destroy(stage);
}

static void with_two_workers(void **state)
{
    (void)state;
    struct stage *stage = damaged(2);
    assert_true(stage_start(stage, VICTIM));
    wait_back(stage, VICTIM);
    write_keys(stage, "b");
    read_keys(stage, VICTIM, "a");
    read_keys(stage, VICTIM, "b");
    stage_destroy(stage);
}

/* Its new log is damaged, too: the same once more, in the next one. */
static void twice(void **state)
{
    (void)state;
    struct stage *stage = damaged(1);
    assert_true(stage_start(stage, VICTIM));
    wait_back(stage, VICTIM);
    write_keys(stage, "c");
    assert_true(stage_wait(stage, stage_is_converged, NULL, 10 * STAGE_SECOND));
    struct replica_id before = replica_of(stage, VICTIM, GROUP_DEFAULT);
    stage_kill(stage, VICTIM);
    assert_true(world_damage(stage->world, stage->nodes[VICTIM].machine,
                             "/node/wal.1/0/0000000000000001.wal", WORLD_DAMAGE_ZERO,
                             10 * IO_BLOCK_SIZE));
    assert_true(stage_start(stage, VICTIM));
    assert_non_null(strstr(stage->nodes[VICTIM].anew, "wal.1"));
    it_is_taken_back(stage);
    assert_true(replica_of(stage, VICTIM, GROUP_DEFAULT).value > before.value);
    stage_destroy(stage);
}

/* ---- dying on the way ---- */

/* At its nth call that changes the outside: of the process that finds the damage, or of the next
 * one, once it has opened the directory. False: it lived to the end. */
static bool die_on_the_way(unsigned nth, bool power, bool later)
{
    struct stage *stage = damaged(1);
    if (!later)
        world_crash_at_call(stage->world, stage->nodes[VICTIM].machine, nth, power);
    bool started = stage_start(stage, VICTIM);
    if (started && later)
        world_crash_at_call(stage->world, stage->nodes[VICTIM].machine, nth, power);
    if (started)
        stage_run(stage, 3 * STAGE_SECOND);
    bool died = stage->nodes[VICTIM].deaths > 0 || !stage->nodes[VICTIM].worker;
    world_crash_at_call(stage->world, stage->nodes[VICTIM].machine, 0, false);
    if (!stage->nodes[VICTIM].worker && !stage_start(stage, VICTIM))
        fail_msg("after death at call %u: %s", nth, stage->nodes[VICTIM].why);
    it_is_taken_back(stage);
    stage_destroy(stage);
    return died;
}

static void die_at_each_call(bool power)
{
    unsigned first = 1, nth = 1;
    while (die_on_the_way(first, power, false))
        first++;
    assert_true(first > 4);
    while (nth < 200 && die_on_the_way(nth, power, true))
        nth += nth < 24 ? 1 : 29;
    assert_true(nth > 40);
}

static void killed_at_each_call(void **state)
{
    (void)state;
    die_at_each_call(false);
}

static void power_cut_at_each_call(void **state)
{
    (void)state;
    die_at_each_call(true);
}

/* ---- a directory that is lost for good ---- */

static void wipe(struct stage *stage, unsigned node)
{
    char *names = NULL;
    size_t count = 0;
    world_start_process(stage->world, stage->nodes[node].machine, 1);
    struct io *io = world_io(stage->world, stage->nodes[node].machine, 0);
    assert_int_equal(STATUS_OK, io_file_remove(io, "/node/identity"));
    assert_int_equal(STATUS_OK, io_dir_list(io, "/node/wal/0", &names, &count));
    const char *name = names;
    for (size_t i = 0; i < count; i++, name += strlen(name) + 1) {
        char path[IO_PATH_SIZE];
        snprintf(path, sizeof path, "/node/wal/0/%s", name);
        assert_int_equal(STATUS_OK, io_file_remove(io, path));
    }
    memory_free(names);
    world_stop_process(stage->world, stage->nodes[node].machine);
}

/* Told to, an empty directory takes its place: once, and again when that one is lost, too. */
static void a_wiped_directory(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    write_keys(stage, "a");
    for (unsigned i = 0; i < 2; i++) {
        struct replica_id before = replica_of(stage, VICTIM, GROUP_DEFAULT);
        stage_kill(stage, VICTIM);
        assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
        wipe(stage, VICTIM);
        stage->nodes[VICTIM].begins_anew = false;
        (void)stage_start(stage, VICTIM);
        stage_run(stage, 3 * STAGE_SECOND);
        assert_null(stage->nodes[VICTIM].worker);
        assert_non_null(strstr(stage->nodes[VICTIM].why, "start once with --begin-anew yes"));
        stage->nodes[VICTIM].begins_anew = true;
        assert_true(stage_start(stage, VICTIM));
        wait_back(stage, VICTIM);
        assert_true(replica_of(stage, VICTIM, GROUP_DEFAULT).value > before.value);
        stage_kill(stage, VICTIM); /* its log has all of its history, also what was before it */
        assert_true(stage_start(stage, VICTIM));
        wait_back(stage, VICTIM);
        assert_string_equal("", stage->nodes[VICTIM].why);
    }
    it_is_taken_back(stage);
    stage_destroy(stage);
}

/* ---- what is not taken back ---- */

/* The only copy of a partition: made again with nothing in it, it would say that there never was
 * anything. */
static void the_only_copy(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, stage_leader(stage));
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE one REPLICAS 1"));
    assert_string_equal("OK", stage_ask(stage, client, "SELECT one"));
    assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
    unsigned holder = 0;
    while (!stage_replica(stage, holder, (struct group_id){2}))
        holder++;
    stage_kill(stage, holder);
    assert_true(world_damage(stage->world, stage->nodes[holder].machine, LOG, WORLD_DAMAGE_ZERO,
                             4 * IO_BLOCK_SIZE));
    assert_true(stage_start(stage, holder));
    assert_non_null(strstr(stage->nodes[holder].anew, "begins anew"));
    wait_back(stage, holder);
    assert_null(stage_replica(stage, holder, (struct group_id){2}));
    client = stage_connect(stage, holder);
    assert_string_equal("OK", stage_ask(stage, client, "SELECT one"));
    assert_int_equal('-', stage_ask(stage, client, "GET a")[0]);
    stage_destroy(stage);
}

/* Nobody could give a cluster of one its data back. */
static void alone(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(1);
    write_keys(stage, "a");
    stage_kill(stage, 0);
    assert_true(world_damage(stage->world, stage->nodes[0].machine, LOG, WORLD_DAMAGE_ZERO,
                             20 * IO_BLOCK_SIZE));
    assert_false(stage_start(stage, 0));
    assert_non_null(strstr(stage->nodes[0].why, "offset 81920: damaged"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_begun_anew),
        cmocka_unit_test(with_two_workers),
        cmocka_unit_test(twice),
        cmocka_unit_test(killed_at_each_call),
        cmocka_unit_test(power_cut_at_each_call),
        cmocka_unit_test(alone),
        cmocka_unit_test(the_only_copy),
        cmocka_unit_test(a_wiped_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
