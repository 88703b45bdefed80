/* What a bad disk or a careless hand can do to the files: told from a torn tail (WAL-3), never read
 * as records (WAL-4). */
#include "tests/wal/harness.h"

#include "base/memory.h"
#include "wal/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FILE_1 "/wal/0000000000000001.wal"
#define FILE_2 "/wal/0000000000000002.wal"
#define FILE_3 "/wal/0000000000000003.wal"

/* Entry `i` (from 1) is the one record of a batch that is the block 1 + i of the first file (after
 * the note of the start); all of them are durable, and each says so of those before it. */
static void begin(struct harness *h, size_t entries)
{
    harness_init(h, 3);
    assert_true(harness_open(h));
    harness_settle(h);
    for (size_t i = 0; i < entries; i++) {
        harness_append(h, WAL_ENTRY, i % 2, 304,
                       WAL_SYNC_ALWAYS); /* no padding: each byte counts */
        harness_settle(h);
    }
    harness_crash(h, FAKE_LOSE_ALL);
}

/* Fills so many segments; closed afterwards. */
static void begin_segments(struct harness *h, size_t segments)
{
    harness_init(h, 3);
    assert_true(harness_open(h));
    for (size_t i = 0; i < segments * 8; i++) {
        harness_append(h, WAL_ENTRY, i % 2, 30000, WAL_SYNC_ALWAYS);
        harness_settle(h);
    }
    harness_crash(h, FAKE_LOSE_ALL);
}

/* What a test wrote into a file is what the disk has. */
static void damage_done(struct harness *h)
{
    char paths[64][IO_PATH_SIZE];
    size_t count = fake_io_names(h->io, paths, 64);
    for (size_t i = 0; i < count; i++)
        fake_io_damage_done(h->io, paths[i]);
}

static void expect(struct harness *h, enum status expected, size_t expected_records,
                   const char *expected_why)
{
    char why[WAL_WHY_SIZE] = "";
    size_t records = 0;
    uint64_t writes = fake_io_calls(h->io, FAKE_WRITE);
    damage_done(h);
    enum status status = harness_probe(h, why, &records);
    if (status != expected)
        fail_msg("%s (%s) instead of %s", status_text(status), why, status_text(expected));
    if (expected_why && !strstr(why, expected_why))
        fail_msg("\"%s\" does not say \"%s\"", why, expected_why);
    if (expected == STATUS_END)
        assert_int_equal(records, expected_records);
    uint64_t wrote = fake_io_calls(h->io, FAKE_WRITE) - writes;
    assert_in_range(wrote, 0, 2); /* `doubt` and back: nothing is cut or mended */
}

static uint8_t *bytes_of(struct harness *h, const char *path)
{
    size_t size;
    uint8_t *bytes = fake_io_bytes(h->io, path, &size);
    assert_non_null(bytes);
    return bytes;
}

static size_t block_of_entry(size_t i)
{
    return (1 + i) * IO_BLOCK_SIZE;
}

static size_t used_of(const uint8_t *batch)
{
    struct wal_batch_header header;
    assert_int_equal(wal_batch_header_load(batch, &header), STATUS_OK);
    return header.used;
}

static void every_byte_of_a_durable_batch_counts(void **state)
{
    (void)state;
    struct harness h;
    begin(&h, 5);
    uint8_t *batch = bytes_of(&h, FILE_1) + block_of_entry(3);
    size_t used = used_of(batch);
    char place[64];
    snprintf(place, sizeof place, "0000000000000001.wal offset %zu", block_of_entry(3));
    for (size_t i = 0; i < used; i++) {
        batch[i] ^= (uint8_t)(1 << i % 8);
        expect(&h, STATUS_DAMAGED, 0, place); /* WAL-3 */
        expect(&h, STATUS_DAMAGED, 0, "groups 0 1");
        batch[i] ^= (uint8_t)(1 << i % 8);
    }
    expect(&h, STATUS_END, 5, NULL);
    harness_deinit(&h);
}

static void every_byte_of_the_beginning_counts(void **state)
{
    (void)state;
    struct harness h;
    begin(&h, 2);
    uint8_t *bytes = bytes_of(&h, FILE_1);
    size_t used = WAL_SEGMENT_HEADER_SIZE + used_of(bytes + WAL_SEGMENT_HEADER_SIZE);
    for (size_t i = 0; i < used; i++) {
        bytes[i] ^= 0x10;
        expect(&h, STATUS_DAMAGED, 0, "0000000000000001.wal");
        bytes[i] ^= 0x10;
    }
    harness_deinit(&h);
}

/* Durable, but nothing says so: R7 takes it for a torn tail. */
static void damage_of_the_last_batch_is_a_torn_tail(void **state)
{
    (void)state;
    struct harness h;
    begin(&h, 5);
    uint8_t *batch = bytes_of(&h, FILE_1) + block_of_entry(5);
    size_t used = used_of(batch);
    for (size_t i = 0; i < used; i++) {
        batch[i] ^= 0x80;
        expect(&h, STATUS_END, 4, NULL); /* WAL-3 */
        batch[i] ^= 0x80;
    }
    expect(&h, STATUS_END, 5, NULL);
    harness_deinit(&h);
}

/* A tail of many batches of which none was synced: everything from the damage on is cut, valid or
 * not, and stays cut. */
static void an_unsynced_tail_is_cut_at_the_damage(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h, 3);
    assert_true(harness_open(&h));
    harness_append(&h, WAL_ENTRY, 1, 300, WAL_SYNC_ALWAYS);
    harness_settle(&h);
    size_t at[4];
    for (size_t i = 0; i < 4; i++) {
        at[i] = 2 * IO_BLOCK_SIZE + i * 448; /* 96 + 40 + 300 in steps of 64 */
        harness_append(&h, WAL_ENTRY, 1, 300, WAL_SYNC_OS);
        assert_int_equal(harness_flush(&h), STATUS_OK);
    }
    harness_crash(&h, FAKE_LOSE_NOTHING);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(used_of(bytes_of(&h, FILE_1) + at[i]), 440);
    bytes_of(&h, FILE_1)[at[1] + 200] ^= 1;
    fake_io_damage_done(h.io, FILE_1);
    expect(&h, STATUS_END, 2, NULL);
    assert_true(harness_open(&h));
    assert_true(wal_tail_was_cut(h.wal));
    assert_int_equal(h.count, 2);
    harness_append(&h, WAL_ENTRY, 1, 40, WAL_SYNC_ALWAYS);
    harness_settle(&h);
    harness_crash(&h, FAKE_LOSE_ALL);
    expect(&h, STATUS_END, 3, NULL); /* not 4: what was behind the damage does not come back */
    harness_deinit(&h);
}

/* Before the last sync they were unsynced; the statement of a later batch covers them. */
static void an_interval_batch_is_covered_by_the_sync_after_it(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h, 3);
    assert_true(harness_open(&h));
    harness_settle(&h);
    for (size_t i = 0; i < 3; i++) {
        harness_append(&h, WAL_ENTRY, 1, 300, WAL_SYNC_INTERVAL);
        assert_int_equal(harness_flush(&h), STATUS_OK);
    }
    harness_settle(&h);
    harness_append(&h, WAL_ENTRY, 1, 300, WAL_SYNC_INTERVAL);
    assert_int_equal(harness_flush(&h), STATUS_OK);
    harness_crash(&h, FAKE_LOSE_NOTHING);
    uint8_t *bytes = bytes_of(&h, FILE_1);
    bytes[2 * IO_BLOCK_SIZE + 448 + 200] ^= 1;
    expect(&h, STATUS_DAMAGED, 0, "0000000000000001.wal offset 8640"); /* WAL-3 */
    harness_deinit(&h);
}

static void two_blocks_swapped(void **state)
{
    (void)state;
    struct harness h;
    uint8_t kept[IO_BLOCK_SIZE];
    begin(&h, 6);
    uint8_t *bytes = bytes_of(&h, FILE_1);
    memcpy(kept, bytes + block_of_entry(2), sizeof kept);
    memcpy(bytes + block_of_entry(2), bytes + block_of_entry(4), sizeof kept);
    memcpy(bytes + block_of_entry(4), kept, sizeof kept);
    expect(&h, STATUS_DAMAGED, 0, NULL); /* WAL-4 */
    harness_deinit(&h);
}

static void a_valid_block_at_the_end_is_not_taken_twice(void **state)
{
    (void)state;
    struct harness h;
    begin(&h, 3);
    uint8_t *bytes = bytes_of(&h, FILE_1);
    for (size_t i = 0; i <= 3; i++) {
        memcpy(bytes + block_of_entry(4), bytes + block_of_entry(i), IO_BLOCK_SIZE);
        expect(&h, STATUS_END, 3, NULL); /* WAL-4 */
    }
    harness_deinit(&h);
}

static void each_block_zeroed(void **state)
{
    (void)state;
    struct harness h;
    uint8_t kept[IO_BLOCK_SIZE];
    begin(&h, 6);
    uint8_t *bytes = bytes_of(&h, FILE_1);
    for (size_t block = 0; block < block_of_entry(6); block += IO_BLOCK_SIZE) {
        memcpy(kept, bytes + block, sizeof kept);
        memset(bytes + block, 0, sizeof kept);
        expect(&h, STATUS_DAMAGED, 0, "0000000000000001.wal");
        memcpy(bytes + block, kept, sizeof kept);
    }
    harness_deinit(&h);
}

/* ---- whole files ---- */

static void an_older_file_restored(void **state)
{
    (void)state;
    struct harness h;
    size_t size;
    harness_init(&h, 3);
    assert_true(harness_open(&h));
    uint8_t *older = NULL;
    for (size_t i = 0; i < 20; i++) {
        harness_append(&h, WAL_ENTRY, 1, 30000, WAL_SYNC_ALWAYS);
        harness_settle(&h);
        if (i == 4) {
            const uint8_t *bytes = fake_io_bytes(h.io, FILE_1, &size);
            older = memcpy(memory_allocate(size), bytes, size);
        }
    }
    harness_crash(&h, FAKE_LOSE_ALL);
    memcpy(bytes_of(&h, FILE_1), older, size);
    expect(&h, STATUS_DAMAGED, 0, "0000000000000001.wal"); /* lost writes */
    memory_free(older);
    harness_deinit(&h);
}

static void a_segment_is_missing(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        struct harness h;
        char path[IO_PATH_SIZE];
        begin_segments(&h, 4);
        snprintf(path, sizeof path, "/wal/%016x.wal", i);
        fake_io_forget(h.io, path);
        expect(&h, STATUS_DAMAGED, 0, "missing");
        harness_deinit(&h);
    }
}

static void the_header_of_a_segment_is_damaged(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        struct harness h;
        char path[IO_PATH_SIZE];
        begin_segments(&h, 4);
        snprintf(path, sizeof path, "/wal/%016x.wal", i);
        bytes_of(&h, path)[50] ^= 4;
        expect(&h, STATUS_DAMAGED, 0, NULL);
        harness_deinit(&h);
    }
}

static void two_files_changed_places(void **state)
{
    (void)state;
    struct harness h;
    size_t size;
    begin_segments(&h, 3);
    uint8_t *bytes = fake_io_bytes(h.io, FILE_2, &size);
    fake_io_put(h.io, FILE_3, bytes, size);
    expect(&h, STATUS_DAMAGED, 0, "another file"); /* WAL-4 */
    harness_deinit(&h);
}

static void a_file_of_another_log(void **state)
{
    (void)state;
    struct harness h, other;
    size_t size;
    begin_segments(&h, 2);
    harness_init(&other, 99);
    assert_true(harness_open(&other));
    harness_settle(&other);
    harness_crash(&other, FAKE_LOSE_ALL);
    const uint8_t *bytes = fake_io_bytes(other.io, FILE_1, &size);
    fake_io_put(h.io, "/wal/00000000000000ff.wal", bytes, size);
    expect(&h, STATUS_FOREIGN, 0, "another log");
    harness_deinit(&other);
    harness_deinit(&h);
}

static void a_newer_version_is_named(void **state)
{
    (void)state;
    struct harness h;
    struct wal_segment_header header;
    begin(&h, 2);
    assert_int_equal(wal_segment_header_load(bytes_of(&h, FILE_1), &header), STATUS_OK);
    header.version = 2;
    wal_segment_header_store(bytes_of(&h, FILE_1), &header);
    expect(&h, STATUS_FOREIGN, 0, "format 2");
    harness_deinit(&h);
}

static void other_files_are_left_alone(void **state)
{
    (void)state;
    struct harness h;
    size_t size;
    const uint8_t bytes[16] = {1, 2, 3};
    begin(&h, 3);
    fake_io_put(h.io, "/wal/lock", bytes, sizeof bytes);
    fake_io_put(h.io, "/wal/0000000000000001.wal.old", bytes, sizeof bytes);
    fake_io_put(h.io, "/wal/0000000000000000.wal", bytes, sizeof bytes);
    fake_io_put(h.io, "/wal/0000000000000007.wal.tmp", bytes, sizeof bytes);
    expect(&h, STATUS_END, 3, NULL);
    assert_true(harness_open(&h));
    assert_non_null(fake_io_bytes(h.io, "/wal/lock", &size));
    assert_non_null(fake_io_bytes(h.io, "/wal/0000000000000001.wal.old", &size));
    assert_null(fake_io_bytes(h.io, "/wal/0000000000000007.wal.tmp", &size)); /* a draft's space */
    harness_deinit(&h);
}

/* A file that was being prepared when the machine died: of any length, with any bytes. */
static void a_half_prepared_file_does_no_harm(void **state)
{
    (void)state;
    const size_t sizes[] = {
        0, 1, 100, 4096, 100000, WAL_SEGMENT_SIZE_MIN, WAL_SEGMENT_SIZE_MIN + 5};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct harness h;
        begin(&h, 3);
        uint8_t *bytes = memory_zeroed(1, sizes[i] + 1);
        memset(bytes, (int)i * 17, sizes[i]);
        fake_io_put(h.io, "/wal/0000000000000009.wal", bytes, sizes[i]);
        memory_free(bytes);
        expect(&h, STATUS_END, 3, NULL);
        assert_true(harness_open(&h));
        for (size_t k = 0; k < 30; k++) {
            harness_append(&h, WAL_ENTRY, 1, 30000, WAL_SYNC_ALWAYS);
            harness_settle(&h);
        }
        harness_crash(&h, FAKE_LOSE_ALL);
        expect(&h, STATUS_END, 33, NULL);
        harness_deinit(&h);
    }
}

static void a_disk_that_cannot_be_read_is_told(void **state)
{
    (void)state;
    struct harness h;
    char why[WAL_WHY_SIZE] = "";
    size_t records;
    begin_segments(&h, 2);
    for (uint64_t nth = 1;; nth++) {
        uint64_t calls = fake_io_calls(h.io, FAKE_READ);
        fake_io_fail(h.io, FAKE_READ, nth, STATUS_IO);
        enum status status = harness_probe(&h, why, &records);
        if (fake_io_calls(h.io, FAKE_READ) - calls < nth)
            break;
        assert_int_equal(status, STATUS_IO);
        assert_non_null(strstr(why, "cannot be read"));
    }
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_of_a_durable_batch_counts),
        cmocka_unit_test(every_byte_of_the_beginning_counts),
        cmocka_unit_test(damage_of_the_last_batch_is_a_torn_tail),
        cmocka_unit_test(an_unsynced_tail_is_cut_at_the_damage),
        cmocka_unit_test(an_interval_batch_is_covered_by_the_sync_after_it),
        cmocka_unit_test(two_blocks_swapped),
        cmocka_unit_test(a_valid_block_at_the_end_is_not_taken_twice),
        cmocka_unit_test(each_block_zeroed),
        cmocka_unit_test(an_older_file_restored),
        cmocka_unit_test(a_segment_is_missing),
        cmocka_unit_test(the_header_of_a_segment_is_damaged),
        cmocka_unit_test(two_files_changed_places),
        cmocka_unit_test(a_file_of_another_log),
        cmocka_unit_test(a_newer_version_is_named),
        cmocka_unit_test(other_files_are_left_alone),
        cmocka_unit_test(a_half_prepared_file_does_no_harm),
        cmocka_unit_test(a_disk_that_cannot_be_read_is_told),
    };
    return cmocka_run_group_tests_name("wal damage", tests, NULL, NULL);
}
