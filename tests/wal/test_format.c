/* The bytes: headers and records go out and come back, a record holds at one place only, and old
 * logs stay readable. */
#include "tests/wal/harness.h"
#include "wal/format.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define GOLDEN    "tests/wal/golden.hex"
#define FILE_1    "/wal/0000000000000001.wal"
#define LINE_SIZE 32

static struct wal_batch_header header_at(uint64_t offset)
{
    return (struct wal_batch_header){.flags = WAL_FLAG_ALWAYS,
                                     .log = {1, 2},
                                     .file_id = 3,
                                     .life = 4,
                                     .first_life = 2,
                                     .offset = (uint32_t)offset,
                                     .length = 4096,
                                     .sequence = 9,
                                     .durable_through = 77,
                                     .previous = 78};
}

/* Two records, sealed. */
static void batch_make(uint8_t *at, struct wal_batch_header *header)
{
    struct wal_record one = {.kind = WAL_ENTRY,
                             .group = {5},
                             .index = 6,
                             .term = 7,
                             .payload = slice_of_text("the first payload")};
    struct wal_record two = {.kind = WAL_STATE, .group = {8}, .payload = slice_of(NULL, 0)};
    size_t used = WAL_BATCH_HEADER_SIZE;
    wal_record_store(at + used, WAL_ENTRY, &one);
    used += wal_record_room(one.payload.size);
    wal_record_store(at + used, WAL_STATE, &two);
    used += wal_record_room(0);
    header->used = (uint32_t)used;
    header->count = 2;
    wal_batch_seal(at, header);
}

static void a_batch_goes_out_and_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[4096] = {0}, again[4096];
    struct wal_batch_header header = header_at(8192), loaded;
    struct wal_record record;
    batch_make(bytes, &header);
    assert_int_equal(wal_batch_header_load(bytes, &loaded), STATUS_OK);
    assert_true(wal_batch_holds(bytes, &loaded));
    memcpy(again, bytes, sizeof again);
    wal_batch_seal(again, &loaded); /* each field came back: the same bytes again */
    assert_memory_equal(again, bytes, sizeof again);
    struct wal_cursor cursor = wal_cursor_of(bytes, loaded.used);
    assert_true(wal_cursor_next(&cursor, &record));
    assert_int_equal(record.kind, WAL_ENTRY);
    assert_int_equal(record.group.value, 5);
    assert_int_equal(record.index, 6);
    assert_int_equal(record.term, 7);
    assert_true(slice_equal(record.payload, slice_of_text("the first payload")));
    assert_true(wal_cursor_next(&cursor, &record));
    assert_int_equal(record.kind, WAL_STATE);
    assert_false(wal_cursor_next(&cursor, &record));
}

static void a_record_holds_at_one_place_only(void **state)
{
    (void)state;
    uint8_t bytes[4096] = {0};
    struct wal_batch_header header = header_at(8192);
    batch_make(bytes, &header);
    for (unsigned i = 0; i < 6; i++) {
        struct wal_batch_header other = header;
        other.log.low += i == 0;
        other.log.high += i == 1;
        other.file_id += i == 2;
        other.life += i == 3;
        other.offset += i == 4 ? 4096 : 0;
        other.body += i == 5;
        assert_false(wal_batch_holds(bytes, &other)); /* WAL-4 */
    }
    assert_true(wal_batch_holds(bytes, &header));
}

/* Lengths come from the disk: none may lead outside. */
static void lying_lengths_are_refused(void **state)
{
    (void)state;
    const uint32_t lengths[] = {0, 1, 16, 18, 1000, 0x7fffffff, 0xfffffff0, 0xffffffff};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct wal_batch_header header = header_at(8192);
        uint8_t bytes[4096] = {0};
        batch_make(bytes, &header);
        uint8_t *exact = memory_allocate(header.used);
        memcpy(exact, bytes, header.used);
        store_u32(exact + WAL_BATCH_HEADER_SIZE + 8, lengths[i]);
        assert_false(wal_batch_holds(exact, &header));
        header.count = 1000;
        assert_false(wal_batch_holds(exact, &header));
        memory_free(exact);
    }
}

static void a_segment_header_goes_out_and_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[WAL_SEGMENT_HEADER_SIZE], again[WAL_SEGMENT_HEADER_SIZE];
    struct wal_segment_header loaded, header = {.version = WAL_VERSION,
                                                .log = {1, 2},
                                                .file_id = 3,
                                                .life = 9,
                                                .first_life = 4,
                                                .size = 1u << 20};
    wal_segment_header_store(bytes, &header);
    assert_int_equal(wal_segment_header_load(bytes, &loaded), STATUS_OK);
    wal_segment_header_store(again, &loaded);
    assert_memory_equal(again, bytes, sizeof again);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 1;
        assert_int_equal(wal_segment_header_load(bytes, &loaded), STATUS_DAMAGED);
        bytes[i] ^= 1;
    }
    header.version = 7;
    wal_segment_header_store(bytes, &header);
    assert_int_equal(wal_segment_header_load(bytes, &loaded), STATUS_FOREIGN);
}

/* ---- golden bytes ---- */

static void golden_work(struct harness *h)
{
    harness_init(h, 42);
    assert_true(harness_open(h));
    harness_append(h, WAL_IDENTITY, 0, 24, WAL_SYNC_ALWAYS);
    harness_append(h, WAL_STATE, 1, 16, WAL_SYNC_ALWAYS);
    harness_settle(h);
    harness_append(h, WAL_ENTRY, 1, 33, WAL_SYNC_ALWAYS);
    harness_append(h, WAL_ENTRY, 2, 8, WAL_SYNC_INTERVAL);
    harness_settle(h);
    harness_append(h, WAL_ENTRY, 2, 50, WAL_SYNC_OS);
    assert_int_equal(harness_flush(h), STATUS_OK);
    harness_append(h, WAL_ENTRY, 2, 51, WAL_SYNC_OS);
    assert_int_equal(harness_flush(h), STATUS_OK);
    wal_mark_clean(h->wal);
    harness_settle(h);
    harness_crash(h, FAKE_LOSE_ALL);
}

static void golden_write(const uint8_t *bytes, size_t size)
{
    static const uint8_t zeros[LINE_SIZE];
    FILE *file = fopen(GOLDEN, "w");
    assert_non_null(file);
    for (size_t at = 0; at < size; at += LINE_SIZE) {
        if (memcmp(bytes + at, zeros, LINE_SIZE) == 0)
            continue;
        fprintf(file, "%06zx ", at);
        for (size_t i = 0; i < LINE_SIZE; i++)
            fprintf(file, "%02x", bytes[at + i]);
        fputc('\n', file);
    }
    fclose(file);
}

static void golden_read(uint8_t *bytes, size_t size)
{
    char line[128];
    FILE *file = fopen(GOLDEN, "r");
    if (!file)
        fail_msg("cannot read %s: run in the source root, or with REWRITE=1", GOLDEN);
    while (fgets(line, sizeof line, file)) {
        size_t at = strtoul(line, NULL, 16);
        assert_true(at + LINE_SIZE <= size && strlen(line) > 7 + 2 * LINE_SIZE);
        for (size_t i = 0; i < LINE_SIZE; i++) {
            char digits[3] = {line[7 + 2 * i], line[8 + 2 * i], 0};
            bytes[at + i] = (uint8_t)strtoul(digits, NULL, 16);
        }
    }
    fclose(file);
}

static void golden_bytes_stay(void **state)
{
    (void)state;
    struct harness h;
    size_t size;
    golden_work(&h);
    const uint8_t *bytes = fake_io_bytes(h.io, FILE_1, &size);
    if (getenv("REWRITE"))
        golden_write(bytes, size);
    uint8_t *golden = memory_zeroed(1, size);
    golden_read(golden, size);
    assert_memory_equal(bytes, golden, size);
    memory_free(golden);
    harness_deinit(&h);
}

static void golden_bytes_are_read(void **state)
{
    (void)state;
    struct harness h;
    golden_work(&h);
    uint8_t *golden = memory_zeroed(1, WAL_SEGMENT_SIZE_MIN + 512);
    golden_read(golden, WAL_SEGMENT_SIZE_MIN + 512);
    fake_io_put(h.io, FILE_1, golden, WAL_SEGMENT_SIZE_MIN + 512);
    memory_free(golden);
    assert_true(harness_open(&h)); /* compares each record */
    assert_int_equal(h.count, 6);
    assert_false(wal_may_have_lost(h.wal));
    harness_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_goes_out_and_comes_back),
        cmocka_unit_test(a_record_holds_at_one_place_only),
        cmocka_unit_test(lying_lengths_are_refused),
        cmocka_unit_test(a_segment_header_goes_out_and_comes_back),
        cmocka_unit_test(golden_bytes_stay),
        cmocka_unit_test(golden_bytes_are_read),
    };
    return cmocka_run_group_tests_name("wal format", tests, NULL, NULL);
}
