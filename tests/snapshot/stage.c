#include "tests/snapshot/stage.h"

#include "base/memory.h"

void stage_init(struct stage *stage, uint64_t seed)
{
    struct world_options options = world_options_calm(seed);
    struct world_machine host = {.host = "10.0.0.1"};
    *stage = (struct stage){.died = false};
    stage->world = world_create(&options);
    stage->machine = world_add_machine(stage->world, &host);
    writes_init(&stage->writes, seed, 400, 3);
    store_destroy(stage->writes.store);
    stage->writes.hash_seed = STAGE_SEED;
    stage->writes.store = store_create(STAGE_SEED);
}

void stage_deinit(struct stage *stage)
{
    stage_close(stage);
    writes_deinit(&stage->writes);
    world_destroy(stage->world);
}

struct io *stage_io(const struct stage *stage)
{
    return world_io(stage->world, stage->machine, 0);
}

enum status stage_open(struct stage *stage)
{
    struct snapshots_options options = {
        .dir = STAGE_DIR, .cluster = STAGE_CLUSTER, .tag = STAGE_TAG};
    if (!world_is_on(stage->world, stage->machine))
        world_power_on(stage->world, stage->machine);
    if (!world_is_running(stage->world, stage->machine)) {
        world_start_process(stage->world, stage->machine, 1);
        stage->died = false;
    }
    assert_status(STATUS_OK, io_dir_make(stage_io(stage), "/data"));
    assert_status(STATUS_OK, io_dir_sync(stage_io(stage), "/"));
    return snapshots_open(stage_io(stage), &options, &stage->snapshots, stage->why);
}

void stage_close(struct stage *stage)
{
    snapshots_close(stage->snapshots);
    stage->snapshots = NULL;
}

void stage_crash(struct stage *stage, bool power)
{
    if (power)
        world_power_cut(stage->world, stage->machine);
    else
        world_crash_process(stage->world, stage->machine);
    stage_close(stage);
}

bool stage_turn(struct stage *stage)
{
    struct world_turn turn;
    uint64_t until = world_now_ns(stage->world) + STAGE_TURN;
    switch (world_step(stage->world, until, &turn)) {
    case WORLD_QUIET: return false;
    case WORLD_DIED: stage->died = true; return false;
    case WORLD_TURN: break;
    }
    for (size_t i = 0; i < turn.count; i++)
        assert_true(snapshots_handle_event(stage->snapshots, &turn.events[i]));
    snapshots_validate(stage->snapshots);
    return true;
}

struct snapshot_meta stage_meta(uint64_t index)
{
    struct snapshot_meta meta = {
        .group = STAGE_GROUP,
        .index = index,
        .term = 3,
        .time_us = 1700000000000000 + (int64_t)index,
        .hash_seed = STAGE_SEED,
    };
    meta.sections[SNAPSHOT_CONFIGURATION] = slice_of_text("who votes");
    meta.sections[SNAPSHOT_TERM_TABLE] = slice_of_text("1:1 2:7 3:9");
    return meta;
}

void stage_mark(struct stage *stage, uint64_t index)
{
    assert_true(stage->mark_count < STAGE_MARKS);
    stage->marks[stage->mark_count++] =
        (struct stage_mark){index, store_digest(stage->writes.store)};
}

void stage_write_some(struct stage *stage, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        writes_one(&stage->writes);
}

enum status stage_drive(struct stage *stage, struct snapshot_writer *writer)
{
    for (unsigned i = 0; i < 100000; i++) {
        enum status status = snapshot_step(writer, stage->why);
        snapshots_validate(stage->snapshots);
        if (status != STATUS_OK && status != STATUS_AGAIN)
            return status;
        stage_write_some(stage, 2);
        if (status == STATUS_AGAIN && !stage_turn(stage))
            return STATUS_AGAIN;
    }
    fail_msg("it never ends");
    return STATUS_INVALID;
}

enum status stage_snapshot(struct stage *stage, uint64_t index)
{
    struct snapshot_writer *writer;
    struct snapshot_meta meta = stage_meta(index);
    stage_mark(stage, index);
    enum status status =
        snapshot_begin(stage->snapshots, &meta, stage->writes.store, &writer, stage->why);
    if (status)
        return status;
    snapshot_confirm(writer);
    status = stage_drive(stage, writer);
    if (!stage->died)
        snapshot_end(writer);
    return status;
}

static void check_one(struct stage *stage, const struct snapshot *snapshot)
{
    struct store *store = store_create(STAGE_SEED);
    struct snapshot_meta meta = stage_meta(snapshot->meta.index);
    assert_true(snapshot->meta.time_us == meta.time_us);
    assert_true(snapshot->meta.hash_seed == STAGE_SEED);
    for (size_t i = 0; i < SNAPSHOT_SECTIONS; i++)
        assert_true(slice_equal(snapshot->meta.sections[i], meta.sections[i]));
    enum status status = snapshot_load(stage->snapshots, snapshot, store, stage->why);
    if (status)
        fail_msg("%s", stage->why);
    bool is_known = false;
    for (size_t i = 0; i < stage->mark_count; i++)
        is_known |= stage->marks[i].index == snapshot->meta.index &&
                    stage->marks[i].digest == store_digest(store); /* SNAP-3 */
    assert_true(is_known);
    assert_true(store_content(store, 0, STORE_SLOTS - 1) == snapshot->content);
    store_destroy(store);
}

uint64_t stage_check(struct stage *stage)
{
    const struct snapshot *newer, *older;
    snapshots_validate(stage->snapshots);
    assert_null(snapshots_complaint(stage->snapshots, 0));
    snapshots_newest_two(stage->snapshots, STAGE_GROUP, &newer, &older);
    if (older)
        check_one(stage, older);
    if (newer)
        check_one(stage, newer);
    return newer ? newer->meta.index : 0;
}

unsigned stage_count_files(const struct stage *stage, const char *ending)
{
    char path[IO_PATH_SIZE];
    unsigned count = 0;
    for (size_t i = 0; world_disk_file(stage->world, stage->machine, i, path); i++) {
        size_t size = strlen(path), tail = strlen(ending);
        count += size > tail && strcmp(path + size - tail, ending) == 0;
    }
    return count;
}

void stage_path(uint64_t index, char path[IO_PATH_SIZE])
{
    snprintf(path, IO_PATH_SIZE, STAGE_DIR "/%016llx-%016llx.snap",
             (unsigned long long)STAGE_GROUP.value, (unsigned long long)index);
}
