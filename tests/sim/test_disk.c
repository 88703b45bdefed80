/* test_disk.c - what crashes, power cuts and bad disks leave: IO-3, IO-4. */
#include "stage.h"

#include "base/memory.h"

#define SEEDS 200
#define B     IO_BLOCK_SIZE

/* A synced file "/f" of four blocks of 'o', its name durable. */
static struct io_file make_old_file(const struct stage *stage)
{
    struct io_file file = stage_make_file(io_a(stage), "/f");
    stage_fill(io_a(stage), file, 'o', 4 * B, 0);
    assert_status(STATUS_OK, stage_sync(stage, io_a(stage), file));
    assert_status(STATUS_OK, io_dir_sync(io_a(stage), "/"));
    return file;
}

/* ---- IO-3 ---- */

static void a_process_crash_keeps_written_bytes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) { /* IO-3 */
        struct stage stage = stage_open(seed);
        struct io_file file = stage_make_file(io_a(&stage), "/f");
        stage_fill(io_a(&stage), file, 'n', 4 * B, 0);
        if (seed % 2 == 0)
            io_file_sync_start(io_a(&stage), file, 1, 1);
        world_crash_process(stage.world, stage.a);
        assert_int_equal('n', stage_look(&stage, "/f", 0, B));
        assert_int_equal('n', stage_look(&stage, "/f", 3 * B, B));
        stage_close(&stage);
    }
}

/* The sync of the dead process may not have happened: the next one must cover its blocks. */
static void a_sync_after_a_crash_covers_what_was_written_before(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        struct io_file file = make_old_file(&stage);
        stage_fill(io_a(&stage), file, 'n', 4 * B, 0);
        io_file_sync_start(io_a(&stage), file, 1, 1);
        world_crash_process(stage.world, stage.a);
        world_start_process(stage.world, stage.a, 1);
        assert_status(STATUS_OK, io_file_open(io_a(&stage), "/f", IO_FILE_WRITE, &file));
        assert_status(STATUS_OK, stage_sync(&stage, io_a(&stage), file));
        world_power_cut(stage.world, stage.a);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal('n', stage_look(&stage, "/f", i * B, B));
        stage_close(&stage);
    }
}

static void a_power_cut_leaves_synced_bytes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) { /* IO-3 */
        struct stage stage = stage_open(seed);
        make_old_file(&stage);
        world_power_cut(stage.world, stage.a);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal('o', stage_look(&stage, "/f", i * B, B));
        stage_close(&stage);
    }
}

/* Old, new, or the first sectors new and the rest old: nothing else. */
static char look_block(const struct stage *stage, unsigned block)
{
    char whole = stage_look(stage, "/f", block * B, B);
    if (whole != '?')
        return whole;
    bool is_old = false;
    for (unsigned sector = 0; sector < B / 512; sector++) {
        char letter = stage_look(stage, "/f", block * B + sector * 512, 512);
        assert_true(letter == 'o' || (letter == 'n' && !is_old));
        is_old = letter == 'o';
    }
    return 't';
}

static void a_power_cut_loses_any_subset_and_tears(void **state)
{
    unsigned all_old = 0, all_new = 0, torn = 0, holes = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) { /* IO-3 */
        struct stage stage = stage_open(seed);
        char seen[5] = {0};
        stage_fill(io_a(&stage), make_old_file(&stage), 'n', 4 * B, 0);
        world_power_cut(stage.world, stage.a);
        for (unsigned i = 0; i < 4; i++) {
            seen[i] = look_block(&stage, i);
            assert_non_null(strchr("ont", seen[i]));
        }
        all_old += strcmp(seen, "oooo") == 0;
        all_new += strcmp(seen, "nnnn") == 0;
        torn += strchr(seen, 't') != NULL;
        holes += seen[0] == 'o' && seen[3] == 'n';
        stage_close(&stage);
    }
    assert_true(all_old > 5 && all_new > 5 && torn > 20 && holes > 5);
}

static void a_sync_covers_only_what_was_written_before_it(void **state)
{
    unsigned lost = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) { /* IO-3 */
        struct stage stage = stage_open(seed);
        struct io_file file = make_old_file(&stage);
        stage_fill(io_a(&stage), file, 's', B, 0);
        io_file_sync_start(io_a(&stage), file, 1, 1);
        stage_fill(io_a(&stage), file, 'n', B, 0);
        stage_fill(io_a(&stage), file, 'n', B, B);
        assert_int_equal(IO_SYNCED,
                         stage_await(&stage, io_a(&stage), IO_SYNCED, WORLD_SECOND).kind);
        world_power_cut(stage.world, stage.a);
        assert_int_not_equal('o', stage_look(&stage, "/f", 0, 512)); /* at least what was covered */
        lost += stage_look(&stage, "/f", 0, B) != 'n';
        lost += stage_look(&stage, "/f", B, B) != 'n';
        stage_close(&stage);
    }
    assert_true(lost > SEEDS / 2);
}

static void a_sync_in_flight_covers_any_subset(void **state)
{
    unsigned whole = 0, nothing = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        struct io_file file = make_old_file(&stage);
        stage_fill(io_a(&stage), file, 'n', 4 * B, 0);
        io_file_sync_start(io_a(&stage), file, 1, 1);
        world_power_cut(stage.world, stage.a);
        unsigned fresh = 0;
        for (unsigned i = 0; i < 4; i++)
            fresh += look_block(&stage, i) == 'n';
        whole += fresh == 4;
        nothing += fresh == 0;
        stage_close(&stage);
    }
    assert_true(whole > 5 && nothing > 5);
}

static void the_size_of_a_file_is_volatile_too(void **state)
{
    unsigned shorter = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        stage_fill(io_a(&stage), make_old_file(&stage), 'n', 2 * B, 4 * B);
        world_power_cut(stage.world, stage.a);
        assert_int_equal('o', stage_look(&stage, "/f", 3 * B, B));
        shorter += stage_look(&stage, "/f", 6 * B - 1, 1) == 0;
        stage_close(&stage);
    }
    assert_true(shorter > 20 && shorter < SEEDS - 5);
}

static void noise_comes_only_where_it_is_allowed(void **state)
{
    struct world_options options = world_options_calm(1);
    (void)state;
    options.garbage_per_million = 1000000;
    struct stage stage = stage_open_with(&options);
    struct io_file file = make_old_file(&stage);
    stage_fill(io_a(&stage), file, 'n', B, B);
    world_power_cut(stage.world, stage.a);
    assert_int_equal('o', stage_look(&stage, "/f", 0, B)); /* synced: never */
    assert_int_equal('?', stage_look(&stage, "/f", B, 64));
    stage_close(&stage);
}

/* ---- names ---- */

static void names_are_durable_after_the_sync_of_their_directory(void **state)
{
    unsigned lost = 0, back = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        struct io *io = io_a(&stage);
        make_old_file(&stage);
        assert_status(STATUS_OK, io_dir_make(io, "/d"));
        stage_make_file(io, "/d/kept");
        assert_status(STATUS_OK, io_dir_sync(io, "/"));
        assert_status(STATUS_OK, io_dir_sync(io, "/d"));
        stage_make_file(io, "/d/new");
        assert_status(STATUS_OK, io_file_remove(io, "/f"));
        world_power_cut(stage.world, stage.a);
        assert_int_equal(0, stage_look(&stage, "/d/kept", 0, 1)); /* empty, but there: */
        char path[IO_PATH_SIZE];
        assert_true(world_disk_file(stage.world, stage.a, 0, path));
        assert_string_equal("/d/kept", path);
        uint8_t byte;
        size_t got;
        lost += world_disk_read(stage.world, stage.a, "/d/new", &byte, 1, 0, &got) != STATUS_OK;
        back += stage_look(&stage, "/f", 0, B) == 'o';
        stage_close(&stage);
    }
    assert_true(lost > 20 && lost < SEEDS - 20 && back > 20 && back < SEEDS - 20);
}

static void a_file_needs_its_directory(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        struct io *io = io_a(&stage);
        char path[IO_PATH_SIZE];
        assert_status(STATUS_OK, io_dir_make(io, "/d"));
        stage_make_file(io, "/d/x");
        assert_status(STATUS_OK, io_dir_sync(io, "/d")); /* but never "/" */
        world_power_cut(stage.world, stage.a);
        world_power_on(stage.world, stage.a);
        world_start_process(stage.world, stage.a, 1);
        bool is_there = world_disk_file(stage.world, stage.a, 0, path);
        char *names;
        size_t count;
        enum status status = io_dir_list(io_a(&stage), "/d", &names, &count);
        if (status == STATUS_OK)
            memory_free(names);
        assert_status(is_there ? STATUS_OK : STATUS_NOT_FOUND, status);
        stage_close(&stage);
    }
}

static void a_rename_is_atomic(void **state)
{
    unsigned moved = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        make_old_file(&stage);
        assert_status(STATUS_OK, io_file_rename(io_a(&stage), "/f", "/g"));
        world_power_cut(stage.world, stage.a);
        bool is_f = stage_look(&stage, "/f", 0, B) == 'o',
             is_g = stage_look(&stage, "/g", 0, B) == 'o';
        assert_true(is_f != is_g);
        moved += is_g;
        stage_close(&stage);
    }
    assert_true(moved > 20 && moved < SEEDS - 20);
}

/* Without a sync of the bytes a durable name may lead to nothing. */
static void a_rename_does_not_sync_bytes(void **state)
{
    unsigned empty = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        struct io_file file = stage_make_file(io_a(&stage), "/f.tmp");
        stage_fill(io_a(&stage), file, 'n', B, 0);
        assert_status(STATUS_OK, io_file_rename(io_a(&stage), "/f.tmp", "/f"));
        assert_status(STATUS_OK, io_dir_sync(io_a(&stage), "/"));
        world_power_cut(stage.world, stage.a);
        empty += stage_look(&stage, "/f", 0, B) != 'n';
        stage_close(&stage);
    }
    assert_true(empty > 20);
}

/* ---- saves and prepares ---- */

static void save(const struct stage *stage, char letter)
{
    uint8_t bytes[3 * B];
    memset(bytes, letter, sizeof bytes);
    io_file_save_start(io_a(stage), "/vote", slice_of(bytes, sizeof bytes), 1);
}

static void a_save_is_whole_at_any_moment(void **state)
{
    unsigned fresh = 0, drafts = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        char path[IO_PATH_SIZE];
        save(&stage, 'o');
        assert_status(STATUS_OK,
                      stage_await(&stage, io_a(&stage), IO_FILE_DONE, WORLD_SECOND).status);
        save(&stage, 'n');
        stage_pass(&stage, seed * 5000);
        if (seed % 2 == 0)
            world_power_cut(stage.world, stage.a);
        else
            world_crash_process(stage.world, stage.a);
        char letter = stage_look(&stage, "/vote", 0, B);
        assert_true(letter == 'o' || letter == 'n');
        for (unsigned i = 1; i < 3; i++)
            assert_int_equal(letter, stage_look(&stage, "/vote", i * B, B));
        fresh += letter == 'n';
        drafts += world_disk_file(stage.world, stage.a, 1, path);
        stage_close(&stage);
    }
    assert_true(fresh > 20 && fresh < SEEDS - 20 && drafts > 5);
}

static void a_finished_save_or_prepare_is_durable(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        save(&stage, 'n');
        io_file_prepare_start(io_a(&stage), "/log", 64 << 20, 2);
        for (unsigned i = 0; i < 2; i++)
            assert_status(STATUS_OK,
                          stage_await(&stage, io_a(&stage), IO_FILE_DONE, WORLD_SECOND).status);
        world_power_cut(stage.world, stage.a);
        assert_int_equal('n', stage_look(&stage, "/vote", 0, B));
        assert_int_equal('0', stage_look(&stage, "/log", (64 << 20) - B, B));
        stage_close(&stage);
    }
}

/* ---- IO-4 and other errors ---- */

static void a_failed_sync_is_for_ever_and_lies_to_the_next_handle(void **state)
{
    unsigned lost = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        struct io *io = io_a(&stage);
        struct io_file file = make_old_file(&stage), again;
        struct slice piece = slice_of_text("x");
        stage_fill(io, file, 'n', B, 0);
        world_fail_sync(stage.world, stage.a, 1);
        assert_status(STATUS_IO, stage_sync(&stage, io, file));
        assert_status(STATUS_IO, stage_sync(&stage, io, file)); /* IO-4 */
        assert_status(STATUS_IO, io_file_write(io, file, &piece, 1, 0));
        assert_status(STATUS_OK, io_file_open(io, "/f", IO_FILE_WRITE, &again));
        assert_status(STATUS_OK, stage_sync(&stage, io, again)); /* the lie */
        assert_int_equal('n', stage_look(&stage, "/f", 0, B));   /* the page cache */
        world_power_cut(stage.world, stage.a);
        lost += stage_look(&stage, "/f", 0, B) != 'n';
        stage_close(&stage);
    }
    assert_true(lost > 20);
}

static void a_refreshed_file_shows_what_a_power_cut_leaves(void **state)
{
    unsigned lost = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        struct io *io = io_a(&stage);
        struct io_file file = make_old_file(&stage), again;
        stage_fill(io, file, 'n', B, 0);
        if (seed % 2) { /* else: what a dead process left */
            world_fail_sync(stage.world, stage.a, 1);
            assert_status(STATUS_IO, stage_sync(&stage, io, file));
        }
        assert_status(STATUS_OK, io_file_open(io, "/f", IO_FILE_WRITE, &again));
        assert_status(STATUS_OK, io_file_refresh(io, again));
        int seen = stage_look(&stage, "/f", 0, B);
        assert_true(seed % 2 || seen == 'n');
        world_power_cut(stage.world, stage.a);
        assert_int_equal(seen, stage_look(&stage, "/f", 0, B));
        lost += seen != 'n';
        stage_close(&stage);
    }
    assert_true(lost > 20);
}

static void a_full_disk_refuses_and_removing_makes_room(void **state)
{
    struct stage stage = stage_open(1);
    struct io *io = io_a(&stage);
    struct io_file file = stage_make_file(io, "/f");
    uint8_t byte = 'x';
    struct slice piece = slice_of(&byte, 1);
    uint64_t space;
    (void)state;
    world_disk_capacity(stage.world, stage.a, 4 * B);
    stage_fill(io, file, 'n', 4 * B, 0);
    assert_status(STATUS_NO_SPACE, io_file_write(io, file, &piece, 1, 4 * B));
    assert_status(STATUS_OK, io_file_write(io, file, &piece, 1, 2 * B)); /* has its place */
    io_file_prepare_start(io, "/p", B, 1);
    assert_status(STATUS_NO_SPACE, stage_await(&stage, io, IO_FILE_DONE, WORLD_SECOND).status);
    assert_status(STATUS_OK, io_file_remove(io, "/f"));
    assert_int_equal(4 * B, world_disk_used(stage.world, stage.a)); /* still open */
    io_file_close(io, file);
    assert_int_equal(0, world_disk_used(stage.world, stage.a));
    assert_status(STATUS_OK, io_space(io, "/", &space));
    assert_int_equal(4 * B, space);
    stage_close(&stage);
}

static void slow_stalled_and_held_disks(void **state)
{
    struct stage stage = stage_open(1);
    struct io *io = io_a(&stage);
    struct io_file file = make_old_file(&stage);
    (void)state;
    world_slow_disk(stage.world, stage.a, 50 * WORLD_MS, 60 * WORLD_MS);
    uint64_t begin = world_now_ns(stage.world);
    assert_status(STATUS_OK, stage_sync(&stage, io, file));
    assert_true(world_now_ns(stage.world) - begin >= 50 * WORLD_MS);
    io_file_sync_start(io, file, 0, 1);
    world_stall_disk(stage.world, stage.a, 3 * WORLD_SECOND);
    assert_int_equal(0, stage_await(&stage, io, IO_SYNCED, 2 * WORLD_SECOND).kind);
    assert_int_equal(IO_SYNCED, stage_await(&stage, io, IO_SYNCED, 2 * WORLD_SECOND).kind);
    world_hold_syncs(stage.world, stage.a, true);
    io_file_sync_start(io, file, 0, 1);
    assert_int_equal(0, stage_await(&stage, io, IO_SYNCED, 60 * WORLD_SECOND).kind);
    world_hold_syncs(stage.world, stage.a, false);
    assert_int_equal(IO_SYNCED, stage_await(&stage, io, IO_SYNCED, WORLD_SECOND).kind);
    stage_close(&stage);
}

/* ---- damage ---- */

static void damage_hits_the_named_block(void **state)
{
    struct world_options options = world_options_calm(1);
    (void)state;
    options.keep_old_blocks = true;
    struct stage stage = stage_open_with(&options);
    struct io_file file = make_old_file(&stage);
    stage_fill(io_a(&stage), file, 'p', B, B);
    assert_status(STATUS_OK, stage_sync(&stage, io_a(&stage), file));
    assert_true(world_damage(stage.world, stage.a, "/f", WORLD_DAMAGE_OLD, B));
    assert_int_equal('o', stage_look(&stage, "/f", B, B));
    assert_true(world_damage(stage.world, stage.a, "/f", WORLD_DAMAGE_ZERO, 2 * B));
    assert_int_equal('0', stage_look(&stage, "/f", 2 * B, B));
    assert_true(world_damage(stage.world, stage.a, "/f", WORLD_DAMAGE_BIT, 3 * B + 5));
    assert_int_equal('?', stage_look(&stage, "/f", 3 * B, B));
    stage_fill(io_a(&stage), file, 'q', B, 0);
    assert_false(world_damage(stage.world, stage.a, "/f", WORLD_DAMAGE_BIT, 0)); /* not synced */
    assert_false(world_damage(stage.world, stage.a, "/g", WORLD_DAMAGE_BIT, 0));
    assert_false(world_damage(stage.world, stage.a, "/f", WORLD_DAMAGE_BIT, 9 * B));
    assert_true(world_damage(stage.world, stage.a, "/f", WORLD_DAMAGE_OTHER, WORLD_ANYWHERE));
    stage_close(&stage);
}

static void a_wiped_disk_is_empty(void **state)
{
    struct stage stage = stage_open(1);
    char path[IO_PATH_SIZE];
    (void)state;
    make_old_file(&stage);
    world_crash_process(stage.world, stage.a);
    assert_true(world_disk_file(stage.world, stage.a, 0, path));
    world_wipe_disk(stage.world, stage.a);
    assert_false(world_disk_file(stage.world, stage.a, 0, path));
    world_start_process(stage.world, stage.a, 1);
    make_old_file(&stage);
    stage_close(&stage);
}

/* ---- sweeps ---- */

/* Appends synced blocks 'a', 'b', ...; returns how many were acknowledged. */
static unsigned run_appends(struct stage *stage)
{
    struct io *io = io_a(stage);
    struct io_file file;
    unsigned done = 0;
    if (io_file_open(io, "/f", IO_FILE_CREATE, &file) != STATUS_OK ||
        io_dir_sync(io, "/") != STATUS_OK)
        return 0;
    for (; done < 4; done++) {
        uint8_t bytes[B];
        struct slice piece = slice_of(bytes, B);
        memset(bytes, 'a' + (int)done, B);
        if (io_file_write(io, file, &piece, 1, done * B) != STATUS_OK)
            break;
        io_file_sync_start(io, file, (done + 1) * B, 1);
        struct io_event event = stage_await(stage, io, IO_SYNCED, WORLD_SECOND);
        if (event.kind != IO_SYNCED || event.status != STATUS_OK)
            break;
    }
    return done;
}

static void expect_appends(const struct stage *stage, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal('a' + (int)i, stage_look(stage, "/f", i * B, B));
}

static void every_disk_call_can_fail(void **state)
{
    uint64_t calls = 1;
    (void)state;
    for (uint64_t nth = 1; nth <= calls; nth++) {
        struct stage stage = stage_open(nth);
        world_fail_disk_call(stage.world, stage.a, nth, nth % 2 ? STATUS_IO : STATUS_NO_SPACE);
        unsigned done = run_appends(&stage);
        assert_true(done < 4);
        calls = nth == 1 ? 10 : calls; /* open, dir sync, 4 * (write, sync) */
        world_power_cut(stage.world, stage.a);
        expect_appends(&stage, done);
        stage_close(&stage);
    }
    struct stage stage = stage_open(1);
    assert_int_equal(4, run_appends(&stage));
    assert_int_equal(calls, world_counters(stage.world, stage.a).disk_calls);
    stage_close(&stage);
}

static void every_call_can_be_the_last(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 12; nth++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct stage stage = stage_open(seed);
            struct world_turn turn;
            world_crash_at_call(stage.world, stage.a, nth, seed % 2 == 0);
            unsigned done = run_appends(&stage);
            enum world_step step = world_step(stage.world, world_now_ns(stage.world), &turn);
            assert_int_equal(nth <= 10 ? WORLD_DIED : WORLD_QUIET, step);
            assert_int_equal(nth > 10, world_is_running(stage.world, stage.a));
            if (step == WORLD_DIED)
                assert_int_equal(seed % 2 != 0, world_is_on(stage.world, stage.a));
            expect_appends(&stage, done);
            stage_close(&stage);
        }
    }
}

static void many_empty_segments_cost_nothing(void **state)
{
    struct stage stage = stage_open(1);
    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        char path[64];
        snprintf(path, sizeof path, "/log-%u", i);
        io_file_prepare_start(io_a(&stage), path, 64 << 20, 1);
    }
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(IO_FILE_DONE,
                         stage_await(&stage, io_a(&stage), IO_FILE_DONE, WORLD_SECOND).kind);
    assert_true(world_disk_used(stage.world, stage.a) == 500ull * (64 << 20));
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_crash_keeps_written_bytes),
        cmocka_unit_test(a_sync_after_a_crash_covers_what_was_written_before),
        cmocka_unit_test(a_power_cut_leaves_synced_bytes),
        cmocka_unit_test(a_power_cut_loses_any_subset_and_tears),
        cmocka_unit_test(a_sync_covers_only_what_was_written_before_it),
        cmocka_unit_test(a_sync_in_flight_covers_any_subset),
        cmocka_unit_test(the_size_of_a_file_is_volatile_too),
        cmocka_unit_test(noise_comes_only_where_it_is_allowed),
        cmocka_unit_test(names_are_durable_after_the_sync_of_their_directory),
        cmocka_unit_test(a_file_needs_its_directory),
        cmocka_unit_test(a_rename_is_atomic),
        cmocka_unit_test(a_rename_does_not_sync_bytes),
        cmocka_unit_test(a_save_is_whole_at_any_moment),
        cmocka_unit_test(a_finished_save_or_prepare_is_durable),
        cmocka_unit_test(a_failed_sync_is_for_ever_and_lies_to_the_next_handle),
        cmocka_unit_test(a_refreshed_file_shows_what_a_power_cut_leaves),
        cmocka_unit_test(a_full_disk_refuses_and_removing_makes_room),
        cmocka_unit_test(slow_stalled_and_held_disks),
        cmocka_unit_test(damage_hits_the_named_block),
        cmocka_unit_test(a_wiped_disk_is_empty),
        cmocka_unit_test(every_disk_call_can_fail),
        cmocka_unit_test(every_call_can_be_the_last),
        cmocka_unit_test(many_empty_segments_cost_nothing),
    };
    return cmocka_run_group_tests_name("sim disk", tests, NULL, NULL);
}
