/* NODE-5: a node that cannot trust its directory stops with one line. NODE-3: what it says of
 * itself is durable. */
#include "tests/server/stage.h"

#include "base/memory.h"
#include "node/inside.h"
#include "wal/wal.h"

#include <string.h>

/* ---- directories of a node that has run ---- */

static struct stage *stopped_node(void)
{
    struct stage *stage = stage_formed(1);
    unsigned client = stage_connect(stage, 0);
    char line[64];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(line, sizeof line, "SET k%u %0*u", i, 30, i);
        assert_string_equal("OK", stage_ask(stage, client, line));
    }
    stage_kill(stage, 0);
    return stage;
}

static void expect_refusal(struct stage *stage, const char *why)
{
    assert_false(stage_start(stage, 0)); /* NODE-5 */
    if (!strstr(stage->nodes[0].why, why))
        print_error("said: %s\n", stage->nodes[0].why);
    assert_non_null(strstr(stage->nodes[0].why, why));
    assert_null(strchr(stage->nodes[0].why, '\n'));
}

static void damaged_log(void **state)
{
    (void)state;
    struct stage *stage = stopped_node();
    assert_true(world_damage(stage->world, stage->nodes[0].machine,
                             "/node/wal/0/0000000000000001.wal", WORLD_DAMAGE_ZERO,
                             20 * IO_BLOCK_SIZE));
    expect_refusal(stage, "0000000000000001.wal offset 81920: damaged");
    stage_destroy(stage);
}

static void lost_log(void **state)
{
    (void)state;
    struct stage *stage = stopped_node();
    world_start_process(stage->world, stage->nodes[0].machine, 1);
    struct io *io = world_io(stage->world, stage->nodes[0].machine, 0);
    char path[IO_PATH_SIZE];
    for (unsigned i = 1; i < 9; i++) {
        snprintf(path, sizeof path, "/node/wal/0/%016x.wal", i);
        (void)!io_file_remove(io, path);
    }
    world_stop_process(stage->world, stage->nodes[0].machine);
    expect_refusal(stage, "belongs to a cluster but its log is gone");
    stage_destroy(stage);
}

static void directory_in_use(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(1);
    struct io *io = world_io(stage->world, stage->nodes[0].machine, 0);
    struct worker *second = NULL;
    char why[WORKER_LINE_SIZE] = "";
    struct worker_options options = {
        .dir = "/node", .listen = "10.0.0.1:7000", .peer_listen = "10.0.0.1:7001"};
    assert_int_not_equal(STATUS_OK, worker_create(io, &options, &second, why));
    assert_non_null(strstr(why, "/node"));
    assert_non_null(strstr(why, "in use"));
    stage_destroy(stage);
}

/* The disk fails while the node runs: it stops, and says which directory. */
static bool has_stopped(struct stage *stage, void *unused)
{
    (void)unused;
    return !stage->nodes[0].worker;
}

static void failing_disk(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 2; what++) {
        struct stage *stage = stage_formed(1);
        unsigned client = stage_connect(stage, 0);
        assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
        if (what)
            world_fail_sync(stage->world, stage->nodes[0].machine, 1);
        else
            world_fail_write(stage->world, stage->nodes[0].machine, 1);
        stage_say(stage, client, "SET a 2");
        assert_true(stage_wait(stage, has_stopped, NULL, 5 * STAGE_SECOND)); /* NODE-5 */
        assert_non_null(strstr(stage->nodes[0].why, "the log in /node c"));
        assert_string_equal("(closed)", stage_reply(stage, client, STAGE_SECOND));
        stage_destroy(stage);
    }
}

/* ---- logs that somebody else wrote ---- */

/* Writes `record` behind a formation of node 2 of 3 and tries to open the directory. */
static void open_with(const struct wal_record *record, bool formed, const char *expected)
{
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 1});
    struct node_formation *formation = memory_zeroed(1, sizeof *formation);
    struct buffer bytes;
    struct wal *wal;
    struct wal_record read;
    char why[WAL_WHY_SIZE] = "";
    uint64_t ticket;
    struct machine_id machine = stage->nodes[0].machine;
    world_start_process(stage->world, machine, 1);
    struct io *io = world_io(stage->world, machine, 0);
    assert_int_equal(STATUS_OK, io_dir_make(io, "/node"));
    assert_int_equal(STATUS_OK, io_dir_make(io, "/node/wal"));
    struct wal_options options = {.dir = "/node/wal/0", .segment_size = 1u << 20};
    assert_int_equal(STATUS_OK, wal_open(io, &options, &wal, why));
    assert_int_equal(STATUS_END, wal_recover_next(wal, &read, why));
    assert_int_equal(STATUS_OK, wal_recover_end(wal, why));
    buffer_init(&bytes, 65536);
    formation->cluster = (struct cluster_id){1, 2};
    formation->self = (struct node_id){2};
    formation->member_count = 3;
    for (size_t i = 0; i < 3; i++)
        formation->members[i].id = (struct node_id){i + 1};
    node_encode_formation(formation, &bytes);
    struct wal_record identity = {
        .kind = WAL_IDENTITY, .index = IDENTITY_FORMATION, .payload = slice_of_buffer(&bytes)};
    if (formed)
        wal_append(wal, &identity, WAL_SYNC_ALWAYS);
    wal_append(wal, record, WAL_SYNC_ALWAYS);
    assert_int_equal(STATUS_OK, wal_flush(wal, &ticket));
    wal_close(wal);
    world_stop_process(stage->world, machine);
    expect_refusal(stage, expected);
    buffer_deinit(&bytes);
    memory_free(formation);
    stage_destroy(stage);
}

static void records_that_do_not_fit(void **state)
{
    uint8_t entry[512], foreign[2] = {9, 0};
    struct buffer room = {.at = entry, .capacity = sizeof entry, .size_max = sizeof entry};
    struct slice nothing[2] = {{NULL, 0}, {NULL, 0}};
    struct wire_entry gap = {
        .kind = WIRE_ENTRY_NOOP, .group = GROUP_DEFAULT, .index = 5, .term = 1, .time_us = 1};
    (void)state;
    assert_int_equal(STATUS_OK, wire_entry_encode(&gap, nothing, &room));
    struct wal_record records[] = {
        {.kind = WAL_ENTRY, .group = {7}, .index = 1, .term = 1, .payload = slice_of_buffer(&room)},
        {.kind = WAL_ENTRY,
         .group = GROUP_DEFAULT,
         .index = 5,
         .term = 1,
         .payload = slice_of_buffer(&room)}, /* entries 1 .. 4 are missing */
        {.kind = WAL_ENTRY,
         .group = GROUP_DEFAULT,
         .index = 1,
         .term = 1,
         .payload = slice_of(entry, 20)},
        {.kind = WAL_STATE, .group = GROUP_DEFAULT, .payload = slice_of(entry, 3)},
        {.kind = WAL_IDENTITY, .index = 77, .payload = slice_of(entry, 3)},
        {.kind = WAL_IDENTITY, .index = IDENTITY_PROMISE, .payload = slice_of(foreign, 2)},
        {.kind = WAL_IDENTITY, .index = IDENTITY_FORMATION, .payload = slice_of(foreign, 2)},
        {.kind = WAL_MARK, .group = GROUP_DEFAULT, .index = 9, .term = 1}, /* of a lost snapshot */
    };
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
        open_with(&records[i], true, /* NODE-5 */
                  i == 1 || records[i].kind == WAL_MARK
                      ? "begins behind every snapshot of group 1 that holds (there is none)"
                      : "holds a record that does not fit");
    open_with(&records[1], false, "holds a record that does not fit"); /* no formation before it */
}

/* ---- directories of somebody else ---- */

static void make_file(struct io *io, const char *path)
{
    struct io_file file;
    assert_int_equal(STATUS_OK, io_file_open(io, path, IO_FILE_CREATE, &file));
    io_file_close(io, file);
}

/* Whether a node starts where `names` are; "/" at the end: a directory. */
static struct stage *stage_with(const char *const *names, size_t count)
{
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 1});
    struct machine_id machine = stage->nodes[0].machine;
    char path[IO_PATH_SIZE];
    stage->nodes[0].join[0] = 0;
    world_start_process(stage->world, machine, 1);
    struct io *io = world_io(stage->world, machine, 0);
    assert_int_equal(STATUS_OK, io_dir_make(io, "/node"));
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(names[i]);
        snprintf(path, sizeof path, "/node/%s", names[i]);
        if (names[i][size - 1] != '/') {
            make_file(io, path);
            continue;
        }
        path[strlen(path) - 1] = 0;
        assert_int_equal(STATUS_OK, io_dir_make(io, path));
    }
    world_stop_process(stage->world, machine);
    return stage;
}

static void directory_of_somebody_else(void **state)
{
    (void)state;
    static const char *const strange[] = {"PG_VERSION", "base/",     "node1/", "walrus",
                                          "locks",      "identity2", ".hidden"};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        const char *names[] = {"wal/", strange[i], "lock"};
        struct stage *stage = stage_with(names, i % 2 ? 2 : 3);
        char *list = NULL, line[160];
        size_t count = 0;
        snprintf(line, sizeof line,
                 "/node is not empty and is no directory of holdfast (it has %.*s): give another "
                 "--dir",
                 (int)strcspn(strange[i], "/"), strange[i]);
        expect_refusal(stage, line);
        world_start_process(stage->world, stage->nodes[0].machine, 1);
        struct io *io = world_io(stage->world, stage->nodes[0].machine, 0);
        assert_int_equal(STATUS_OK, io_dir_list(io, "/node", &list, &count));
        assert_int_equal(i % 2 ? 2 : 3, count); /* and nothing was put there */
        memory_free(list);
        world_stop_process(stage->world, stage->nodes[0].machine);
        stage_destroy(stage);
    }
}

/* What a first start that died leaves, and what file systems put there. */
static void directory_of_a_start_that_died(void **state)
{
    (void)state;
    static const char *const names[] = {"lost+found/",  "lock",       "identity.tmp",
                                        "identity.new", "snapshots/", "ledger/"};
    for (size_t count = 0; count <= sizeof names / sizeof names[0]; count++) {
        struct stage *stage = stage_with(names, count);
        assert_true(stage_start(stage, 0));
        assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
        stage_run(stage, 100 * STAGE_MS);
        stage_kill(stage, 0);
        world_start_process(stage->world, stage->nodes[0].machine, 1);
        make_file(world_io(stage->world, stage->nodes[0].machine, 0), "/node/notes");
        world_stop_process(stage->world, stage->nodes[0].machine);
        assert_true(stage_start(stage, 0)); /* it is ours by now, whatever people put there */
        stage_destroy(stage);
    }
}

/* ---- NODE-3 ---- */

static bool any_formed(struct stage *stage, void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (node_is_started(worker_node(stage->nodes[i].worker)))
            return true;
    return false;
}

/* As long as one promise is not on its disk nobody forms; a former whose formation is not on its
 * disk tells nobody. */
static void nothing_counts_before_it_is_durable(void **state)
{
    (void)state;
    for (unsigned slow = 0; slow < 3; slow++) {
        struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
        for (unsigned i = 0; i < 3; i++)
            assert_true(stage_start(stage, i));
        stage_run(stage, 10 * STAGE_MS); /* the note of its start is durable */
        world_hold_syncs(stage->world, stage->nodes[slow].machine, true);
        assert_false(stage_wait(stage, any_formed, NULL, 5 * STAGE_SECOND)); /* NODE-3 */
        world_hold_syncs(stage->world, stage->nodes[slow].machine, false);
        assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
        stage_destroy(stage);
    }
}

/* What recovery found in the page cache of a killed process is not durable yet: the entry was never
 * acknowledged, and is not now. */
static void recovered_records_are_synced_first(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    unsigned third = 3 - leader - follower, client = stage_connect(stage, leader);
    assert_string_equal("OK", stage_ask(stage, client, "SET a 0"));
    stage_kill(stage, third);
    world_hold_syncs(stage->world, stage->nodes[follower].machine, true);
    stage_say(stage, client, "SET a 1");
    stage_run(stage, 20 * STAGE_MS);
    stage_kill(stage, follower);
    assert_true(stage_start(stage, follower));
    assert_string_equal("(none)", stage_reply(stage, client, 300 * STAGE_MS)); /* NODE-3 */
    world_hold_syncs(stage->world, stage->nodes[follower].machine, false);
    assert_string_equal("OK", stage_reply(stage, client, 10 * STAGE_SECOND));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_log),
        cmocka_unit_test(lost_log),
        cmocka_unit_test(directory_in_use),
        cmocka_unit_test(directory_of_somebody_else),
        cmocka_unit_test(directory_of_a_start_that_died),
        cmocka_unit_test(failing_disk),
        cmocka_unit_test(records_that_do_not_fit),
        cmocka_unit_test(nothing_counts_before_it_is_durable),
        cmocka_unit_test(recovered_records_are_synced_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
