/* contract_files.c - files, directories, background work. */
#include "contract_parts.h"

#include "base/memory.h"

enum {
    SYNC = 500,
    READ = 600,
    DONE = 700
};

/* A path in the world's directory; one of a few, so that two may be in one call. */
static const char *in_dir(const char *name)
{
    static char paths[4][IO_PATH_SIZE];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, IO_PATH_SIZE, "%s/%s", contract_dir(), name);
    return path;
}

static struct io_file open_file(const char *name, enum io_file_open_mode mode)
{
    struct io_file file;
    assert_status(STATUS_OK, io_file_open(contract_io(0), in_dir(name), mode, &file));
    assert_true(file.generation != 0);
    return file;
}

static void write_text(struct io_file file, const char *text, uint64_t offset)
{
    struct slice piece = slice_of_text(text);
    assert_status(STATUS_OK, io_file_write(contract_io(0), file, &piece, 1, offset));
}

static struct io_file make_file(const char *name, const char *text)
{
    struct io_file file = open_file(name, IO_FILE_CREATE);
    write_text(file, text, 0);
    return file;
}

static void expect_bytes(struct io_file file, const char *text, uint64_t offset)
{
    uint8_t bytes[256];
    size_t got;
    assert_status(STATUS_OK, io_file_read(contract_io(0), file, bytes, strlen(text), offset, &got));
    assert_int_equal(strlen(text), got);
    assert_memory_equal(text, bytes, got);
}

static void expect_file(const char *name, const char *text)
{
    struct io_file file = open_file(name, IO_FILE_READ);
    uint64_t size;
    assert_status(STATUS_OK, io_file_size(contract_io(0), file, &size));
    assert_int_equal(strlen(text), size);
    expect_bytes(file, text, 0);
    io_file_close(contract_io(0), file);
}

static bool is_listed(const char *dir, const char *name, size_t expected_count)
{
    char *names;
    size_t count;
    bool found = false;
    assert_status(STATUS_OK, io_dir_list(contract_io(0), dir, &names, &count));
    assert_int_equal(expected_count, count);
    const char *at = names;
    for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
        found |= strcmp(at, name) == 0;
    memory_free(names);
    return found;
}

static void start_save(const char *name, const char *text)
{
    char *bytes = memory_copy_text(text);
    io_file_save_start(contract_io(0), in_dir(name), slice_of(bytes, strlen(text)), DONE);
    memset(bytes, 'z', strlen(text)); /* it was copied */
    memory_free(bytes);
}

static enum status wait_done(void)
{
    return wait_event(contract_io(0), IO_FILE_DONE, DONE).status;
}

/* ---- open, write, read ---- */

static void create_wants_no_file_and_the_others_want_one(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file;
    uint64_t size = 1;
    (void)state;
    const char *path = in_dir("a");
    assert_status(STATUS_NOT_FOUND, io_file_open(io, path, IO_FILE_READ, &file));
    assert_status(STATUS_NOT_FOUND, io_file_open(io, path, IO_FILE_WRITE, &file));
    assert_status(STATUS_OK, io_file_open(io, path, IO_FILE_CREATE, &file));
    assert_status(STATUS_OK, io_file_size(io, file, &size));
    assert_int_equal(0, size);
    io_file_close(io, file);
    assert_status(STATUS_EXISTS, io_file_open(io, path, IO_FILE_CREATE, &file));
    assert_status(STATUS_NOT_FOUND, io_file_open(io, in_dir("no/a"), IO_FILE_CREATE, &file));
}

static void written_bytes_are_read_back(void **state)
{
    struct io *io = contract_io(0);
    (void)state;
    struct io_file file = make_file("a", "0123456789");
    write_text(file, "xyz", 4);
    expect_bytes(file, "0123xyz789", 0);
    expect_bytes(file, "yz7", 5);
    io_file_close(io, file);
    file = open_file("a", IO_FILE_WRITE); /* it is not emptied */
    write_text(file, "ab", 9);
    io_file_close(io, file);
    expect_file("a", "0123xyz78ab");
    file = open_file("a", IO_FILE_READ);
    io_file_close(io, file);
    io_file_close(io, file); /* again is fine */
}

static void a_read_is_short_at_the_end_only(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file = make_file("a", "abc");
    uint8_t bytes[16];
    size_t got = 99;
    (void)state;
    assert_status(STATUS_OK, io_file_read(io, file, bytes, 16, 1, &got));
    assert_int_equal(2, got);
    assert_status(STATUS_OK, io_file_read(io, file, bytes, 16, 3, &got));
    assert_int_equal(0, got);
    assert_status(STATUS_OK, io_file_read(io, file, bytes, 16, 1000, &got));
    assert_int_equal(0, got);
}

static void a_gap_reads_as_zeros(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file = make_file("a", "abc");
    uint8_t bytes[3] = {1, 1, 1};
    size_t got;
    uint64_t size;
    (void)state;
    write_text(file, "end", 10000);
    assert_status(STATUS_OK, io_file_size(io, file, &size));
    assert_int_equal(10003, size);
    assert_status(STATUS_OK, io_file_read(io, file, bytes, 3, 5000, &got));
    assert_int_equal(3, got);
    assert_memory_equal("\0\0\0", bytes, 3);
}

static void any_number_of_pieces_is_one_write(void **state)
{
    enum {
        PIECES = 3 * IO_WRITE_PIECES_MAX + 5
    };
    struct io *io = contract_io(0);
    struct slice pieces[PIECES];
    char text[PIECES + 1] = {0};
    (void)state;
    for (size_t i = 0; i < PIECES; i++) {
        text[i] = (char)('a' + i % 26);
        pieces[i] = i % 3 ? slice_of(&text[i], 1) : slice_of_text("");
        if (i % 3 == 0)
            text[i] = '-';
    }
    struct io_file file = open_file("a", IO_FILE_CREATE);
    uint64_t before = counters_of(io).file_writes;
    assert_status(STATUS_OK, io_file_write(io, file, pieces, PIECES, 0));
    assert_int_equal(1, counters_of(io).file_writes - before);
    size_t kept = 0;
    for (size_t i = 0; i < PIECES; i++)
        if (i % 3)
            text[kept++] = text[i];
    text[kept] = 0;
    expect_bytes(file, text, 0);
}

static void a_write_without_space_says_so(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file = open_file("a", IO_FILE_CREATE);
    struct slice piece = slice_of_text("too much");
    (void)state;
    if (!contract_limit_file_size(64 << 10))
        skip();
    assert_status(STATUS_OK, io_file_write(io, file, &piece, 1, 0));
    assert_status(STATUS_NO_SPACE, io_file_write(io, file, &piece, 1, 64 << 10));
    assert_status(STATUS_NO_SPACE, io_file_write(io, file, &piece, 1, (64 << 10) - 4));
    contract_limit_file_size(UINT64_MAX);
    assert_status(STATUS_OK, io_file_write(io, file, &piece, 1, 64 << 10)); /* not for ever */
}

/* ---- sync ---- */

static void a_sync_ends_with_its_tag_and_position(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file = make_file("a", "abc");
    (void)state;
    for (uint64_t i = 0; i < 10; i++) { /* IO-3 */
        io_file_sync_start(io, file, 1000 + i, SYNC + i);
        struct io_event event = wait_event(io, IO_SYNCED, SYNC + i);
        assert_status(STATUS_OK, event.status);
        assert_int_equal(1000 + i, event.position);
    }
    assert_hush(io);
    assert_int_equal(10, counters_of(io).syncs);
}

static void files_sync_side_by_side(void **state)
{
    struct io *io = contract_io(0);
    struct io_file one = make_file("a", "abc"), other = make_file("b", "abc");
    bool seen[2] = {false, false};
    (void)state;
    io_file_sync_start(io, one, 3, SYNC);
    io_file_sync_start(io, other, 3, SYNC + 1);
    for (unsigned i = 0; i < 2; i++) {
        struct io_event event;
        assert_int_equal(1, contract_gather(io, &event, 1, CONTRACT_WAIT_MS));
        assert_int_equal(IO_SYNCED, event.kind);
        assert_in_range(event.tag, SYNC, SYNC + 1);
        assert_false(seen[event.tag - SYNC]);
        seen[event.tag - SYNC] = true;
    }
}

static void writing_goes_on_during_a_sync(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file = make_file("a", "abc");
    (void)state;
    bool held = contract_hold_syncs(true);
    io_file_sync_start(io, file, 3, SYNC);
    write_text(file, "def", 3);
    expect_bytes(file, "abcdef", 0);
    if (held)
        assert_hush(io);
    contract_hold_syncs(false);
    assert_int_equal(3, wait_event(io, IO_SYNCED, SYNC).position);
}

/* IO-4 */
static void after_a_failed_sync_the_file_fails_for_ever(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file = make_file("a", "abc");
    struct slice piece = slice_of_text("x");
    uint8_t byte;
    uint64_t size;
    size_t got;
    (void)state;
    if (!contract_fail_next_sync())
        skip();
    io_file_sync_start(io, file, 3, SYNC);
    assert_status(STATUS_IO, wait_event(io, IO_SYNCED, SYNC).status);
    for (unsigned i = 1; i < 4; i++) {
        assert_status(STATUS_IO, io_file_write(io, file, &piece, 1, 0));
        assert_status(STATUS_IO, io_file_read(io, file, &byte, 1, 0, &got));
        assert_status(STATUS_IO, io_file_size(io, file, &size));
        io_file_sync_start(io, file, 3, SYNC + i);
        assert_status(STATUS_IO, wait_event(io, IO_SYNCED, SYNC + i).status);
        io_file_read_start(io, file, &byte, 1, 0, READ + i);
        assert_status(STATUS_IO, wait_event(io, IO_READ_DONE, READ + i).status);
    }
    struct io_file other = make_file("b", "abc"); /* only that file */
    io_file_sync_start(io, other, 3, SYNC);
    assert_status(STATUS_OK, wait_event(io, IO_SYNCED, SYNC).status);
}

static void what_was_refreshed_reads_as_it_was_written(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file = make_file("a", "abc");
    struct slice piece = slice_of_text("x");
    uint8_t bytes[4];
    size_t got;
    (void)state;
    assert_status(STATUS_OK, io_file_refresh(io, file));
    assert_status(STATUS_OK, io_file_read(io, file, bytes, sizeof bytes, 0, &got));
    assert_int_equal(3, got);
    assert_memory_equal("abc", bytes, 3);
    if (!contract_fail_next_sync())
        skip();
    assert_status(STATUS_IO, io_file_refresh(io, file));
    assert_status(STATUS_IO, io_file_refresh(io, file)); /* IO-4 */
    assert_status(STATUS_IO, io_file_write(io, file, &piece, 1, 0));
}

/* However long that takes: a thread does it, and nothing tells of it. */
static void wait_late_completion(struct io *io, uint64_t before)
{
    while (counters_of(io).late_completions == before)
        assert_hush(io);
    assert_hush(io);
    assert_int_equal(1, counters_of(io).late_completions - before);
}

/* IO-2 */
static void a_sync_of_a_closed_file_is_dropped_and_counted(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file = make_file("a", "abc");
    (void)state;
    uint64_t before = counters_of(io).late_completions;
    contract_hold_syncs(true);
    io_file_sync_start(io, file, 3, SYNC);
    io_file_close(io, file);
    struct io_file other = make_file("b", "abc"); /* may take its place, not its event */
    assert_hush(io);
    contract_hold_syncs(false);
    wait_late_completion(io, before);
    io_file_sync_start(io, other, 3, SYNC + 1);
    assert_status(STATUS_OK, wait_event(io, IO_SYNCED, SYNC + 1).status);
}

/* ---- background reads ---- */

static void a_background_read_fills_the_memory(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file = make_file("a", "abcdefgh");
    uint8_t one[4] = {0}, two[16] = {0};
    (void)state;
    assert_int_equal(0, io_file_reads_pending(io, file));
    io_file_read_start(io, file, one, 4, 2, READ);
    assert_int_equal(1, io_file_reads_pending(io, file));
    struct io_event event = wait_event(io, IO_READ_DONE, READ);
    assert_status(STATUS_OK, event.status);
    assert_int_equal(4, event.position);
    assert_memory_equal("cdef", one, 4);
    assert_int_equal(0, io_file_reads_pending(io, file));
    io_file_read_start(io, file, two, 16, 5, READ + 1);
    event = wait_event(io, IO_READ_DONE, READ + 1);
    assert_status(STATUS_OK, event.status);
    assert_int_equal(3, event.position);
    assert_memory_equal("fgh", two, 3);
}

static void several_background_reads_end_each_once(void **state)
{
    enum {
        READS = 20
    };
    struct io *io = contract_io(0);
    struct io_file file = make_file("a", "abcdefghijklmnopqrstuvwxyz");
    uint8_t bytes[READS];
    (void)state;
    for (unsigned i = 0; i < READS; i++)
        io_file_read_start(io, file, &bytes[i], 1, i, READ + i);
    assert_int_equal(READS, io_file_reads_pending(io, file));
    for (unsigned i = 0; i < READS; i++) {
        struct io_event event;
        assert_int_equal(1, contract_gather(io, &event, 1, CONTRACT_WAIT_MS));
        assert_int_equal(IO_READ_DONE, event.kind);
        assert_int_equal('a' + (event.tag - READ), bytes[event.tag - READ]);
    }
    assert_int_equal(0, io_file_reads_pending(io, file));
    assert_hush(io);
}

/* IO-2: the memory is the io's until none is pending. */
static void a_read_of_a_closed_file_is_dropped_and_counted(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file = make_file("a", "abc");
    uint8_t *bytes = memory_zeroed(1, 3);
    (void)state;
    uint64_t before = counters_of(io).late_completions;
    io_file_read_start(io, file, bytes, 3, 0, READ);
    io_file_close(io, file);
    assert_int_equal(1, io_file_reads_pending(io, file));
    for (unsigned i = 0; i < 100 && io_file_reads_pending(io, file) > 0; i++)
        assert_hush(io);
    assert_int_equal(0, io_file_reads_pending(io, file));
    memory_free(bytes);
    assert_int_equal(1, counters_of(io).late_completions - before);
}

/* ---- prepare and save ---- */

static void expect_zeros(const char *name, uint64_t size)
{
    struct io *io = contract_io(0);
    struct io_file file = open_file(name, IO_FILE_WRITE);
    uint8_t *bytes = memory_allocate(size + 1);
    size_t got;
    assert_status(STATUS_OK, io_file_read(io, file, bytes, size + 1, 0, &got));
    assert_int_equal(size, got);
    for (size_t i = 0; i < got; i++)
        assert_int_equal(0, bytes[i]);
    memory_free(bytes);
    io_file_close(io, file);
}

static void prepare_makes_zeros_and_replaces(void **state)
{
    static const uint64_t sizes[] = {IO_BLOCK_SIZE, (9u << 20) + 4096, 256u << 10};
    struct io *io = contract_io(0);
    (void)state;
    io_file_close(io, make_file("a", "this will go"));
    for (unsigned i = 0; i < 3; i++) {
        io_file_prepare_start(io, in_dir("a"), sizes[i], DONE);
        assert_status(STATUS_OK, wait_done());
        expect_zeros("a", sizes[i]);
        struct io_file file = open_file("a", IO_FILE_WRITE);
        write_text(file, "dirt", 100);
        io_file_close(io, file);
        assert_true(is_listed(contract_dir(), "a", 1));
    }
}

static void an_open_file_survives_its_replacement(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file = make_file("a", "old bytes");
    (void)state;
    io_file_prepare_start(io, in_dir("a"), IO_BLOCK_SIZE, DONE);
    assert_status(STATUS_OK, wait_done());
    expect_bytes(file, "old bytes", 0);
    expect_zeros("a", IO_BLOCK_SIZE);
}

static void a_failed_prepare_leaves_no_file(void **state)
{
    struct io *io = contract_io(0);
    (void)state;
    io_file_prepare_start(io, in_dir("no/such"), IO_BLOCK_SIZE, DONE);
    assert_status(STATUS_IO, wait_done());
    if (!contract_limit_file_size(1 << 20))
        skip();
    io_file_prepare_start(io, in_dir("a"), 2 << 20, DONE);
    assert_status(STATUS_NO_SPACE, wait_done());
    contract_limit_file_size(UINT64_MAX);
    assert_false(is_listed(contract_dir(), "a", 0));
    if (!contract_fail_next_sync())
        skip();
    io_file_prepare_start(io, in_dir("a"), 2 << 20, DONE);
    assert_status(STATUS_IO, wait_done());
    assert_false(is_listed(contract_dir(), "a", 0));
}

static void save_replaces_the_whole_file(void **state)
{
    static const char *const texts[] = {"first", "the second is longer", "", "3rd"};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        start_save("vote", texts[i]);
        assert_status(STATUS_OK, wait_done());
        expect_file("vote", texts[i]);
        assert_true(is_listed(contract_dir(), "vote", 1));
    }
}

static void saves_happen_in_order(void **state)
{
    (void)state;
    start_save("a", "one");
    start_save("a", "two");
    start_save("a", "three");
    for (unsigned i = 0; i < 3; i++)
        assert_status(STATUS_OK, wait_done());
    expect_file("a", "three");
}

static void a_failed_save_keeps_the_old_file(void **state)
{
    struct io *io = contract_io(0);
    (void)state;
    start_save("a", "old");
    assert_status(STATUS_OK, wait_done());
    io_file_save_start(io, in_dir("no/a"), slice_of_text("x"), DONE);
    assert_status(STATUS_IO, wait_done());
    if (!contract_limit_file_size(4096))
        skip();
    uint8_t *bytes = memory_zeroed(1, 8192);
    io_file_save_start(io, in_dir("a"), slice_of(bytes, 8192), DONE);
    memory_free(bytes);
    assert_status(STATUS_NO_SPACE, wait_done());
    contract_limit_file_size(UINT64_MAX);
    expect_file("a", "old");
    assert_true(is_listed(contract_dir(), "a", 1));
}

/* ---- names ---- */

static void remove_and_rename(void **state)
{
    struct io *io = contract_io(0);
    (void)state;
    io_file_close(io, make_file("a", "A"));
    io_file_close(io, make_file("b", "B"));
    assert_status(STATUS_OK, io_file_rename(io, in_dir("a"), in_dir("c")));
    assert_false(is_listed(contract_dir(), "a", 2));
    expect_file("c", "A");
    assert_status(STATUS_OK, io_file_rename(io, in_dir("c"), in_dir("b"))); /* replaces */
    expect_file("b", "A");
    assert_status(STATUS_NOT_FOUND, io_file_rename(io, in_dir("a"), in_dir("d")));
    assert_status(STATUS_OK, io_file_remove(io, in_dir("b")));
    assert_status(STATUS_NOT_FOUND, io_file_remove(io, in_dir("b")));
    assert_false(is_listed(contract_dir(), "b", 0));
}

static void publish_gives_a_name_in_place_of_another(void **state)
{
    struct io *io = contract_io(0);
    (void)state;
    io_file_close(io, make_file("draft", "new"));
    io_file_publish_start(io, in_dir("draft"), in_dir("a"), DONE);
    assert_status(STATUS_OK, wait_done());
    expect_file("a", "new");
    assert_false(is_listed(contract_dir(), "draft", 1));
    struct io_file old = open_file("a", IO_FILE_READ);
    io_file_close(io, make_file("draft", "newer"));
    io_file_publish_start(io, in_dir("draft"), in_dir("a"), DONE);
    assert_status(STATUS_OK, wait_done());
    expect_file("a", "newer");
    expect_bytes(old, "new", 0);
    io_file_publish_start(io, in_dir("draft"), in_dir("a"), DONE); /* there is none */
    assert_status(STATUS_IO, wait_done());
    expect_file("a", "newer");
    assert_hush(io);
}

static void a_background_removal_is_fine_with_nothing_there(void **state)
{
    struct io *io = contract_io(0);
    (void)state;
    struct io_file file = make_file("a", "abc");
    io_file_remove_start(io, in_dir("a"), DONE);
    assert_status(STATUS_OK, wait_done());
    assert_false(is_listed(contract_dir(), "a", 0));
    expect_bytes(file, "abc", 0); /* who has it open keeps it */
    io_file_remove_start(io, in_dir("a"), DONE);
    assert_status(STATUS_OK, wait_done());
    assert_status(STATUS_OK, io_dir_make(io, in_dir("d")));
    io_file_remove_start(io, in_dir("d"), DONE); /* not a file */
    assert_status(STATUS_IO, wait_done());
    assert_hush(io);
}

/* So that a name that is removed and given anew in one turn is there. */
static void names_change_in_order(void **state)
{
    struct io *io = contract_io(0);
    (void)state;
    io_file_close(io, make_file("a", "old"));
    io_file_close(io, make_file("b", "one"));
    io_file_remove_start(io, in_dir("a"), DONE);
    io_file_publish_start(io, in_dir("b"), in_dir("a"), DONE);
    io_file_publish_start(io, in_dir("a"), in_dir("c"), DONE);
    for (unsigned i = 0; i < 3; i++)
        assert_status(STATUS_OK, wait_done());
    expect_file("c", "one");
    assert_true(is_listed(contract_dir(), "c", 1));
}

static void a_removed_file_stays_for_who_has_it_open(void **state)
{
    struct io *io = contract_io(0);
    struct io_file file = make_file("a", "abc");
    (void)state;
    assert_status(STATUS_OK, io_file_remove(io, in_dir("a")));
    expect_bytes(file, "abc", 0);
    write_text(file, "d", 3);
    io_file_sync_start(io, file, 4, SYNC);
    assert_status(STATUS_OK, wait_event(io, IO_SYNCED, SYNC).status);
}

static void directories_are_made_and_listed(void **state)
{
    struct io *io = contract_io(0);
    char *names;
    size_t count;
    (void)state;
    assert_status(STATUS_OK, io_dir_make(io, in_dir("d")));
    assert_status(STATUS_OK, io_dir_make(io, in_dir("d"))); /* it is there */
    assert_status(STATUS_NOT_FOUND, io_dir_make(io, in_dir("no/d")));
    assert_false(is_listed(in_dir("d"), "", 0));
    io_file_close(io, make_file("d/one", "1"));
    io_file_close(io, make_file("d/two", "2"));
    assert_true(is_listed(in_dir("d"), "one", 2));
    assert_true(is_listed(in_dir("d"), "two", 2));
    assert_true(is_listed(contract_dir(), "d", 1));
    assert_status(STATUS_NOT_FOUND, io_dir_list(io, in_dir("no"), &names, &count));
    assert_status(STATUS_OK, io_dir_sync(io, in_dir("d")));
    assert_int_not_equal(STATUS_OK, io_dir_sync(io, in_dir("no")));
    assert_int_not_equal(STATUS_OK, io_dir_make(io, in_dir("d/one"))); /* a file of that name */
}

static void both_workers_see_the_same_files(void **state)
{
    struct io_file file;
    (void)state;
    io_file_close(contract_io(0), make_file("a", "abc"));
    assert_status(STATUS_OK, io_file_open(contract_io(1), in_dir("a"), IO_FILE_READ, &file));
    io_file_close(contract_io(1), file);
}

static void there_is_some_space(void **state)
{
    uint64_t bytes = 0;
    (void)state;
    assert_status(STATUS_OK, io_space(contract_io(0), contract_dir(), &bytes));
    assert_true(bytes > 0);
}

static void a_directory_has_one_lock(void **state)
{
    (void)state;
    assert_status(STATUS_OK, contract_lock_elsewhere(contract_dir()));
    assert_status(STATUS_OK, io_dir_lock(contract_io(0), contract_dir()));
    assert_status(STATUS_IN_USE, io_dir_lock(contract_io(1), contract_dir()));
    assert_status(STATUS_IN_USE, contract_lock_elsewhere(contract_dir()));
    assert_true(is_listed(contract_dir(), "lock", 1));
    assert_int_equal(STATUS_NOT_FOUND, io_dir_lock(contract_io(1), in_dir("no")));
    contract_destroy(0);
    assert_status(STATUS_OK, contract_lock_elsewhere(contract_dir()));
    assert_status(STATUS_OK, io_dir_lock(contract_io(1), contract_dir()));
}

static void an_io_may_end_in_the_middle_of_everything(void **state)
{
    struct io *io = contract_io(0);
    struct io_file one = make_file("a", "abc"), other = make_file("b", "abc");
    uint8_t bytes[3];
    struct io_stream stream;
    (void)state;
    io_file_sync_start(io, one, 3, SYNC);
    io_file_sync_start(io, other, 3, SYNC);
    io_file_read_start(io, one, bytes, 3, 0, READ);
    io_file_close(io, one);
    io_file_prepare_start(io, in_dir("p"), 3 << 20, DONE);
    io_file_prepare_start(io, in_dir("q"), 3 << 20, DONE);
    start_save("s", "saved or not");
    io_file_publish_start(io, in_dir("b"), in_dir("c"), DONE);
    io_file_remove_start(io, in_dir("a"), DONE);
    assert_status(STATUS_OK, io_connect(io, "127.0.0.1:1", 1, &stream));
    io_timer_set(io, 1, 0);
    contract_destroy(0);
}

int run_file_tests(void)
{
    const struct CMUnitTest tests[] = {
        in_world(create_wants_no_file_and_the_others_want_one),
        in_world(written_bytes_are_read_back),
        in_world(a_read_is_short_at_the_end_only),
        in_world(a_gap_reads_as_zeros),
        in_world(any_number_of_pieces_is_one_write),
        in_world(a_write_without_space_says_so),
        in_world(a_sync_ends_with_its_tag_and_position),
        in_world(files_sync_side_by_side),
        in_world(writing_goes_on_during_a_sync),
        in_world(after_a_failed_sync_the_file_fails_for_ever),
        in_world(what_was_refreshed_reads_as_it_was_written),
        in_world(a_sync_of_a_closed_file_is_dropped_and_counted),
        in_world(a_background_read_fills_the_memory),
        in_world(several_background_reads_end_each_once),
        in_world(a_read_of_a_closed_file_is_dropped_and_counted),
        in_world(prepare_makes_zeros_and_replaces),
        in_world(an_open_file_survives_its_replacement),
        in_world(a_failed_prepare_leaves_no_file),
        in_world(save_replaces_the_whole_file),
        in_world(saves_happen_in_order),
        in_world(a_failed_save_keeps_the_old_file),
        in_world(remove_and_rename),
        in_world(publish_gives_a_name_in_place_of_another),
        in_world(a_background_removal_is_fine_with_nothing_there),
        in_world(names_change_in_order),
        in_world(a_removed_file_stays_for_who_has_it_open),
        in_world(directories_are_made_and_listed),
        in_world(both_workers_see_the_same_files),
        in_world(there_is_some_space),
        in_world(a_directory_has_one_lock),
        in_world(an_io_may_end_in_the_middle_of_everything),
    };
    return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
