/* Damage is noticed wherever it is; what is not ours is named; chunks go to another node. */
#include "base/checksum.h"
#include "base/memory.h"
#include "snapshot/format.h"
#include "tests/snapshot/stage.h"

static void begin(struct stage *stage, uint64_t seed, unsigned names)
{
    stage_init(stage, seed);
    assert_status(STATUS_OK, stage_open(stage));
    stage->writes.names = names;
    stage_write_some(stage, names * 6);
}

static const struct snapshot *newest(struct stage *stage)
{
    const struct snapshot *newer, *older;
    snapshots_newest_two(stage->snapshots, STAGE_GROUP, &newer, &older);
    return newer;
}

static uint8_t *file_bytes(struct stage *stage, uint64_t index, size_t *size)
{
    char path[IO_PATH_SIZE];
    size_t room = 16u << 20;
    uint8_t *bytes = memory_allocate(room);
    stage_path(index, path);
    assert_status(STATUS_OK,
                  world_disk_read(stage->world, stage->machine, path, bytes, room, 0, size));
    return bytes;
}

/* The file's bytes become these; the directory is opened anew. */
static void replace(struct stage *stage, uint64_t index, struct slice bytes)
{
    char path[IO_PATH_SIZE];
    struct io_file file;
    stage_path(index, path);
    stage_close(stage);
    enum status removed = io_file_remove(stage_io(stage), path);
    assert_true(removed == STATUS_OK || removed == STATUS_NOT_FOUND);
    assert_status(STATUS_OK, io_file_open(stage_io(stage), path, IO_FILE_CREATE, &file));
    assert_status(STATUS_OK, io_file_write(stage_io(stage), file, &bytes, 1, 0));
    io_file_close(stage_io(stage), file);
    assert_status(STATUS_OK, stage_open(stage));
}

/* SNAP-2: it is not listed, or the load says so; and there is a line that names it. */
static void expect_refused(struct stage *stage)
{
    const struct snapshot *snapshot = newest(stage);
    if (snapshot) {
        struct store *store = store_create(STAGE_SEED);
        assert_status(STATUS_DAMAGED, snapshot_load(stage->snapshots, snapshot, store, stage->why));
        store_destroy(store);
        assert_null(newest(stage));
    }
    const char *line = snapshots_complaint(stage->snapshots, 0);
    assert_non_null(line);
    assert_non_null(strstr(line, "000000000000000a.snap: "));
    assert_null(snapshots_complaint(stage->snapshots, 1));
}

static void every_changed_byte_is_noticed(void **state)
{
    struct stage stage;
    size_t size;
    (void)state;
    begin(&stage, 1, 20);
    assert_status(STATUS_END, stage_snapshot(&stage, 10));
    uint8_t *bytes = file_bytes(&stage, 10, &size);
    assert_true(newest(&stage)->count > 4);
    for (size_t at = 0; at < size; at++) {
        uint8_t flip = (uint8_t)(1 << at % 8);
        bytes[at] ^= flip;
        replace(&stage, 10, slice_of(bytes, size));
        expect_refused(&stage);
        bytes[at] ^= flip;
    }
    replace(&stage, 10, slice_of(bytes, size));
    assert_int_equal(10, stage_check(&stage));
    memory_free(bytes);
    stage_deinit(&stage);
}

static void every_other_length_is_noticed(void **state)
{
    struct stage stage;
    size_t size;
    (void)state;
    begin(&stage, 1, 20);
    assert_status(STATUS_END, stage_snapshot(&stage, 10));
    uint8_t *bytes = file_bytes(&stage, 10, &size);
    for (size_t cut = 0; cut < size + 200; cut += cut % 7 + 1) {
        if (cut == size)
            continue;
        memset(bytes + size, 0, 200);
        replace(&stage, 10, slice_of(bytes, cut));
        expect_refused(&stage);
    }
    memory_free(bytes);
    stage_deinit(&stage);
}

/* A whole file under another name, of another cluster, of a newer format. */
static void what_is_not_ours_is_named(void **state)
{
    struct stage stage;
    size_t size;
    (void)state;
    begin(&stage, 1, 20);
    assert_status(STATUS_END, stage_snapshot(&stage, 20));
    uint8_t *bytes = file_bytes(&stage, 20, &size);
    replace(&stage, 10, slice_of(bytes, size));
    assert_int_equal(20, newest(&stage)->meta.index);
    assert_non_null(strstr(snapshots_complaint(stage.snapshots, 0), "another snapshot"));
    store_u64(bytes + 24, 0x2223);
    store_u64(bytes + 120, checksum(bytes, 120));
    replace(&stage, 20, slice_of(bytes, size));
    assert_null(newest(&stage));
    assert_non_null(strstr(snapshots_complaint(stage.snapshots, 1), "another cluster"));
    store_u32(bytes + 8, SNAPSHOT_VERSION + 1);
    store_u64(bytes + 120, checksum(bytes, 120));
    replace(&stage, 20, slice_of(bytes, size));
    assert_non_null(strstr(snapshots_complaint(stage.snapshots, 1), "newer format"));
    assert_int_equal(2, stage_count_files(&stage, ".snap")); /* they stay for people */
    memory_free(bytes);
    stage_deinit(&stage);
}

static void names_of_others_are_left_alone(void **state)
{
    static const char *const names[] = {"notes.txt", "0000000000000005-00000000000000zz.snap",
                                        "0000000000000005-000000000000000a.snap.old",
                                        "0000000000000005.tmp"};
    struct stage stage;
    char path[IO_PATH_SIZE];
    struct io_file file;
    (void)state;
    begin(&stage, 1, 20);
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, STAGE_DIR "/%s", names[i]);
        assert_status(STATUS_OK, io_file_open(stage_io(&stage), path, IO_FILE_CREATE, &file));
        io_file_close(stage_io(&stage), file);
    }
    stage_close(&stage);
    assert_status(STATUS_OK, stage_open(&stage));
    assert_null(snapshots_complaint(stage.snapshots, 0));
    char *list;
    size_t count;
    assert_status(STATUS_OK, io_dir_list(stage_io(&stage), STAGE_DIR, &list, &count));
    assert_int_equal(4, count);
    memory_free(list);
    stage_deinit(&stage);
}

/* The older one is there for this: the damaged one no longer counts, and goes with the next. */
static void a_damaged_one_leaves_the_older(void **state)
{
    struct stage stage;
    size_t size;
    (void)state;
    begin(&stage, 1, 20);
    assert_status(STATUS_END, stage_snapshot(&stage, 10));
    assert_status(STATUS_END, stage_snapshot(&stage, 20));
    uint8_t *bytes = file_bytes(&stage, 20, &size);
    bytes[newest(&stage)->chunks[1].offset + SNAPSHOT_CHUNK_HEADER_SIZE] ^= 1;
    replace(&stage, 20, slice_of(bytes, size));
    struct store *store = store_create(STAGE_SEED);
    assert_int_equal(20, newest(&stage)->meta.index);
    assert_status(STATUS_DAMAGED, snapshot_load(stage.snapshots, newest(&stage), store, stage.why));
    store_destroy(store);
    assert_int_equal(10, newest(&stage)->meta.index);
    assert_status(STATUS_END, stage_snapshot(&stage, 20)); /* the same mark again: in its place */
    assert_int_equal(20, newest(&stage)->meta.index);
    stage_close(&stage);
    assert_status(STATUS_OK, stage_open(&stage));
    assert_int_equal(20, stage_check(&stage));
    memory_free(bytes);
    stage_deinit(&stage);
}

/* Every checksum holds and the sums do, but the table is of other chunks. */
static void a_table_that_says_otherwise_is_noticed(void **state)
{
    struct stage stage;
    size_t size;
    (void)state;
    begin(&stage, 1, 20);
    assert_status(STATUS_END, stage_snapshot(&stage, 10));
    uint8_t *bytes = file_bytes(&stage, 10, &size);
    const struct snapshot *snapshot = newest(&stage);
    uint64_t seed = snapshot_header_seed(snapshot->header);
    size_t table_size = (size_t)snapshot->count * SNAPSHOT_CHUNK_HEADER_SIZE;
    uint8_t *table = bytes + size - SNAPSHOT_FOOTER_SIZE - table_size;
    for (unsigned i = 0; i < 2; i++) {
        struct snapshot_chunk_header header;
        uint8_t *at = table + (size_t)i * SNAPSHOT_CHUNK_HEADER_SIZE;
        assert_status(STATUS_OK, snapshot_chunk_header_load(at, seed, &header));
        header.chunk.content += i ? 1 : UINT64_MAX;
        snapshot_chunk_store(at, seed, &header);
    }
    store_u64(bytes + size - SNAPSHOT_FOOTER_SIZE + 48, checksum_seeded(table, table_size, seed));
    store_u64(bytes + size - 8, checksum_seeded(bytes + size - SNAPSHOT_FOOTER_SIZE, 72, seed));
    replace(&stage, 10, slice_of(bytes, size));
    assert_non_null(newest(&stage));
    expect_refused(&stage);
    memory_free(bytes);
    stage_deinit(&stage);
}

/* ---- to another node ---- */

static struct slice read_chunk(struct stage *stage, struct snapshot_reader *reader, uint32_t number)
{
    struct slice bytes = slice_of(NULL, 0);
    snapshot_read_start(reader, number);
    assert_status(STATUS_AGAIN, snapshot_read_result(reader, &bytes, stage->why));
    assert_true(stage_turn(stage));
    assert_status(STATUS_OK, snapshot_read_result(reader, &bytes, stage->why));
    return bytes;
}

struct transfer {
    struct stage from, to;
    struct snapshot_reader *reader;
    struct snapshot_writer *writer;
};

static void transfer_begin(struct transfer *transfer, unsigned names)
{
    begin(&transfer->from, 3, names);
    stage_init(&transfer->to, 4);
    assert_status(STATUS_OK, stage_open(&transfer->to));
    assert_status(STATUS_END, stage_snapshot(&transfer->from, 10));
    transfer->to.marks[0] = transfer->from.marks[0];
    transfer->to.mark_count = 1;
    assert_status(STATUS_OK, snapshot_reader_open(transfer->from.snapshots, newest(&transfer->from),
                                                  &transfer->reader, transfer->from.why));
    assert_status(STATUS_OK, snapshot_receive_begin(transfer->to.snapshots, STAGE_GROUP,
                                                    snapshot_reader_of(transfer->reader)->header,
                                                    &transfer->writer, transfer->to.why));
}

static void transfer_chunks(struct transfer *transfer, uint32_t end)
{
    while (snapshot_receive_next(transfer->writer) < end) {
        uint32_t number = snapshot_receive_next(transfer->writer);
        struct slice bytes = read_chunk(&transfer->from, transfer->reader, number);
        enum status status = snapshot_receive_chunk(transfer->writer, bytes, transfer->to.why);
        if (status == STATUS_AGAIN)
            assert_true(stage_turn(&transfer->to));
        else
            assert_status(STATUS_OK, status);
    }
}

static enum status transfer_end(struct transfer *transfer)
{
    const struct snapshot *snapshot = snapshot_reader_of(transfer->reader);
    enum status status = snapshot_receive_end(transfer->writer, snapshot->count, snapshot->keys,
                                              snapshot->content, transfer->to.why);
    snapshot_confirm(transfer->writer);
    return status ? status : stage_drive(&transfer->to, transfer->writer);
}

static void transfer_close(struct transfer *transfer)
{
    snapshot_end(transfer->writer);
    snapshot_reader_close(transfer->reader);
    stage_deinit(&transfer->from);
    stage_deinit(&transfer->to);
}

static void what_was_sent_is_the_same_file(void **state)
{
    struct transfer transfer;
    size_t size, other_size;
    (void)state;
    transfer_begin(&transfer, 300);
    uint32_t count = snapshot_reader_of(transfer.reader)->count;
    transfer_chunks(&transfer, count / 2);
    /* the sender's own newer ones push it out of its directory; the reader keeps it */
    for (uint64_t index = 20; index <= 40; index += 10)
        assert_status(STATUS_END, stage_snapshot(&transfer.from, index));
    while (stage_turn(&transfer.from))
        ;
    assert_int_equal(2, stage_count_files(&transfer.from, ".snap"));
    transfer_chunks(&transfer, count);
    assert_int_equal(0, stage_check(&transfer.to));
    assert_status(STATUS_END, transfer_end(&transfer));
    assert_int_equal(10, stage_check(&transfer.to));
    uint8_t *bytes = file_bytes(&transfer.to, 10, &size);
    struct stage again;
    begin(&again, 3, 300);
    assert_status(STATUS_END, stage_snapshot(&again, 10));
    uint8_t *other = file_bytes(&again, 10, &other_size);
    assert_int_equal(size, other_size);
    assert_memory_equal(bytes, other, size);
    memory_free(bytes);
    memory_free(other);
    stage_deinit(&again);
    transfer_close(&transfer);
}

/* Another source with the same mark goes on where the first one stopped (R20). */
static void another_source_sends_the_rest(void **state)
{
    struct transfer transfer;
    struct stage other;
    (void)state;
    transfer_begin(&transfer, 300);
    uint32_t count = snapshot_reader_of(transfer.reader)->count;
    transfer_chunks(&transfer, count / 3);
    stage_init(&other, 8);
    assert_status(STATUS_OK, stage_open(&other));
    writes_touch(other.writes.store, &other.writes.random);
    assert_status(STATUS_OK, snapshot_load(transfer.from.snapshots, newest(&transfer.from),
                                           other.writes.store, other.why));
    assert_status(STATUS_END, stage_snapshot(&other, 10));
    snapshot_reader_close(transfer.reader);
    struct stage first = transfer.from;
    transfer.from = other;
    assert_status(STATUS_OK, snapshot_reader_open(other.snapshots, newest(&other), &transfer.reader,
                                                  other.why));
    transfer_chunks(&transfer, count);
    assert_status(STATUS_END, transfer_end(&transfer));
    assert_int_equal(10, stage_check(&transfer.to));
    transfer_close(&transfer);
    stage_deinit(&first);
}

static void chunks_that_came_damaged_are_asked_again(void **state)
{
    struct transfer transfer;
    uint8_t copy[64 << 10];
    (void)state;
    transfer_begin(&transfer, 40);
    for (uint32_t number = 0; number < 3; number++) {
        struct slice bytes = read_chunk(&transfer.from, transfer.reader, number);
        assert_true(bytes.size < sizeof copy);
        memcpy(copy, bytes.at, bytes.size);
        for (size_t at = 0; at < bytes.size; at++) {
            copy[at] ^= 0x10;
            assert_status(STATUS_DAMAGED,
                          snapshot_receive_chunk(transfer.writer, slice_of(copy, bytes.size),
                                                 transfer.to.why));
            copy[at] ^= 0x10;
        }
        for (size_t size = 0; size < bytes.size; size += 5)
            assert_status(
                STATUS_DAMAGED,
                snapshot_receive_chunk(transfer.writer, slice_of(copy, size), transfer.to.why));
        assert_status(STATUS_OK, snapshot_receive_chunk(transfer.writer, slice_of(copy, bytes.size),
                                                        transfer.to.why));
        assert_status(STATUS_DAMAGED,
                      snapshot_receive_chunk(transfer.writer, slice_of(copy, bytes.size),
                                             transfer.to.why)); /* twice */
    }
    transfer_chunks(&transfer, snapshot_reader_of(transfer.reader)->count - 1);
    assert_status(STATUS_DAMAGED, transfer_end(&transfer)); /* one is missing */
    assert_non_null(strstr(transfer.to.why, "what the sender has"));
    snapshot_end(transfer.writer);
    transfer.writer = NULL;
    while (stage_turn(&transfer.to))
        ;
    assert_int_equal(0, stage_count_files(&transfer.to, ".tmp"));
    assert_int_equal(0, stage_count_files(&transfer.to, ".snap"));
    transfer_close(&transfer);
}

static void what_cannot_be_received_is_refused(void **state)
{
    struct stage stage;
    struct snapshot_writer *writer;
    struct snapshot_meta meta = stage_meta(10);
    struct buffer header;
    (void)state;
    begin(&stage, 1, 20);
    assert_status(STATUS_END, stage_snapshot(&stage, 10));
    buffer_init(&header, SNAPSHOT_HEADER_MAX);
    assert_status(STATUS_OK, snapshot_header_store(STAGE_CLUSTER, &meta, &header));
    struct slice bytes = slice_of_buffer(&header);
    struct group_id other = {6};
    assert_status(STATUS_EXISTS,
                  snapshot_receive_begin(stage.snapshots, STAGE_GROUP, bytes, &writer, stage.why));
    assert_status(STATUS_INVALID,
                  snapshot_receive_begin(stage.snapshots, other, bytes, &writer, stage.why));
    header.at[50] ^= 1;
    assert_status(STATUS_DAMAGED,
                  snapshot_receive_begin(stage.snapshots, STAGE_GROUP, bytes, &writer, stage.why));
    buffer_reset(&header);
    struct cluster_id foreign = {1, 1};
    assert_status(STATUS_OK, snapshot_header_store(foreign, &meta, &header));
    assert_status(STATUS_FOREIGN,
                  snapshot_receive_begin(stage.snapshots, STAGE_GROUP, slice_of_buffer(&header),
                                         &writer, stage.why));
    buffer_deinit(&header);
    stage_deinit(&stage);
}

/* Chunk by chunk into a store, as a running replica does it. */
static void chunks_are_loaded_one_by_one(void **state)
{
    struct stage stage;
    struct snapshot_reader *reader;
    (void)state;
    begin(&stage, 2, 300);
    assert_status(STATUS_END, stage_snapshot(&stage, 10));
    struct store *store = store_create(STAGE_SEED);
    assert_status(STATUS_OK,
                  snapshot_reader_open(stage.snapshots, newest(&stage), &reader, stage.why));
    const struct snapshot *snapshot = snapshot_reader_of(reader);
    for (uint32_t i = 0; i < snapshot->count; i++)
        assert_status(STATUS_OK, snapshot_chunk_load(&snapshot->chunks[i],
                                                     read_chunk(&stage, reader, i), store));
    assert_true(store_digest(store) == stage.marks[0].digest);
    assert_status(STATUS_DAMAGED, /* its keys are there already */
                  snapshot_chunk_load(&snapshot->chunks[0], read_chunk(&stage, reader, 0), store));
    for (unsigned i = 0; i < 3; i++) { /* N4: it must unpack to what it says */
        struct snapshot_chunk chunk = snapshot->chunks[0];
        struct store *other = store_create(STAGE_SEED);
        chunk.keys += i == 0;
        chunk.content += i == 1;
        chunk.raw_size += i == 2;
        assert_status(STATUS_DAMAGED,
                      snapshot_chunk_load(&chunk, read_chunk(&stage, reader, 0), other));
        store_destroy(other);
    }
    store_destroy(store);
    snapshot_reader_close(reader);
    stage_deinit(&stage);
}

static void a_damaged_chunk_is_not_sent(void **state)
{
    struct stage stage;
    struct snapshot_reader *reader;
    struct slice bytes;
    char path[IO_PATH_SIZE];
    (void)state;
    begin(&stage, 2, 100);
    assert_status(STATUS_END, stage_snapshot(&stage, 10));
    assert_status(STATUS_OK,
                  snapshot_reader_open(stage.snapshots, newest(&stage), &reader, stage.why));
    stage_path(10, path);
    assert_true(world_damage(stage.world, stage.machine, path, WORLD_DAMAGE_ZERO,
                             newest(&stage)->chunks[2].offset));
    snapshot_read_start(reader, 2);
    assert_true(stage_turn(&stage));
    assert_status(STATUS_DAMAGED, snapshot_read_result(reader, &bytes, stage.why));
    assert_non_null(strstr(stage.why, "000000000000000a.snap: "));
    assert_null(newest(&stage));
    snapshot_reader_close(reader);
    stage_deinit(&stage);
}

/* A reader that is closed while it reads keeps its place until the read is done. */
static void a_closed_reader_waits_for_its_read(void **state)
{
    struct stage stage;
    struct snapshot_reader *readers[SNAPSHOT_READERS_MAX], *more;
    (void)state;
    begin(&stage, 2, 100);
    assert_status(STATUS_END, stage_snapshot(&stage, 10));
    for (size_t i = 0; i < SNAPSHOT_READERS_MAX; i++)
        assert_status(STATUS_OK, snapshot_reader_open(stage.snapshots, newest(&stage), &readers[i],
                                                      stage.why));
    snapshot_read_start(readers[1], 0);
    snapshot_reader_close(readers[1]);
    assert_status(STATUS_IN_USE,
                  snapshot_reader_open(stage.snapshots, newest(&stage), &more, stage.why));
    while (stage_turn(&stage))
        ;
    assert_status(STATUS_OK,
                  snapshot_reader_open(stage.snapshots, newest(&stage), &readers[1], stage.why));
    snapshot_read_start(readers[1], 0); /* the directory is closed in the middle of it */
    stage_crash(&stage, false);
    stage_deinit(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_changed_byte_is_noticed),
        cmocka_unit_test(every_other_length_is_noticed),
        cmocka_unit_test(what_is_not_ours_is_named),
        cmocka_unit_test(names_of_others_are_left_alone),
        cmocka_unit_test(a_damaged_one_leaves_the_older),
        cmocka_unit_test(a_table_that_says_otherwise_is_noticed),
        cmocka_unit_test(what_was_sent_is_the_same_file),
        cmocka_unit_test(another_source_sends_the_rest),
        cmocka_unit_test(chunks_that_came_damaged_are_asked_again),
        cmocka_unit_test(what_cannot_be_received_is_refused),
        cmocka_unit_test(chunks_are_loaded_one_by_one),
        cmocka_unit_test(a_damaged_chunk_is_not_sent),
        cmocka_unit_test(a_closed_reader_waits_for_its_read),
    };
    return cmocka_run_group_tests_name("snapshot read", tests, NULL, NULL);
}
