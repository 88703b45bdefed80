/* Keys as bytes: the layout, byte by byte; the way back; bytes that are not records. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"
#include "tests/store/writes.h"

#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEED  9
#define LARGE ((size_t)1 << 30)

static struct store_key key_of(uint8_t database, const char *name)
{
    return store_key_of(database, slice_of_text(name));
}

static void expect_record(struct store *store, const struct store_key *key, const char *hex)
{
    struct buffer out;
    char text[512] = "";
    buffer_init(&out, LARGE);
    assert_int_equal(store_encode(store_find(store, key), &out), STATUS_OK);
    for (size_t i = 0; i < out.size; i++)
        snprintf(text + 2 * i, sizeof text - 2 * i, "%02x", out.at[i]);
    assert_string_equal(text, hex);
    struct store *copy = store_create(SEED);
    uint64_t keys = 0, content = 0;
    assert_int_equal(store_load(copy, slice_of_buffer(&out), &keys, &content), STATUS_OK);
    assert_int_equal(keys, 1);
    assert_true(content == store_content(copy, key->slot, key->slot));
    store_validate(copy);
    struct buffer again;
    buffer_init(&again, LARGE);
    assert_int_equal(store_encode(store_find(copy, key), &again), STATUS_OK);
    assert_true(slice_equal(slice_of_buffer(&out), slice_of_buffer(&again)));
    buffer_deinit(&again);
    buffer_deinit(&out);
    store_destroy(copy);
}

/* These bytes are in snapshots: they change only with a new version of those. */
static void the_layout_is_this(void **state)
{
    struct store *store = store_create(SEED);
    struct store_key string = key_of(0, "k"), due = key_of(15, "due"), list = key_of(2, "list");
    (void)state;
    store_put_string(store, &string, slice_of_text("value"), 0);
    expect_record(store, &string, "010000016b0576616c7565");
    store_put_string(store, &due, slice_of(NULL, 0), -2);
    expect_record(store, &due, "010f01feffffffffffffff0364756500");
    store_list_push(store, &list, false, slice_of_text("b"));
    store_list_push(store, &list, true, slice_of_text("a"));
    store_list_push(store, &list, false, slice_of(NULL, 0));
    expect_record(store, &list, "020200046c697374030161016200");
    struct store_key hash = key_of(0, "h"), set = key_of(0, "s"), sorted = key_of(0, "z");
    store_member_put(store, &hash, STORE_HASH, slice_of_text("f"), slice_of_text("v1"));
    store_member_put(store, &hash, STORE_HASH, slice_of_text("g"), slice_of(NULL, 0));
    expect_record(store, &hash, "0300000168020167000166027631");
    store_member_put(store, &set, STORE_SET, slice_of_text("one"), slice_of(NULL, 0));
    store_member_put(store, &set, STORE_SET, slice_of_text("two"), slice_of(NULL, 0));
    expect_record(store, &set, "040000017302036f6e650374776f");
    store_scored_put(store, &sorted, slice_of_text("high"), 1.5);
    store_scored_put(store, &sorted, slice_of_text("low"), -2);
    expect_record(store, &sorted, "050000017a0200000000000000c0036c6f77000000000000f83f0468696768");
    store_destroy(store);
}

static void a_buffer_without_room_is_left_alone(void **state)
{
    struct store *store = store_create(SEED);
    struct store_key key = key_of(0, "list");
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        store_list_push(store, &key, false, slice_of_text("element"));
    for (size_t max = 0; max < 600; max += 7) {
        struct buffer out;
        buffer_init(&out, max);
        assert_int_equal(store_encode(store_find(store, &key), &out), STATUS_TOO_LARGE);
        assert_int_equal(out.size, 0);
        buffer_deinit(&out);
    }
    store_destroy(store);
}

/* ---- bytes that are not records ---- */

static enum status load(uint64_t seed, const uint8_t *bytes, size_t size)
{
    struct store *store = store_create(seed);
    uint8_t *exact = memory_allocate(size); /* so that a sanitizer sees one byte too many */
    uint64_t keys = 0, content = 0;
    memcpy(exact, bytes, size);
    enum status status = store_load(store, slice_of(exact, size), &keys, &content);
    memory_free(exact);
    if (!status)
        assert_true(content == store_content(store, 0, STORE_SLOTS - 1));
    store_validate(store);
    store_destroy(store);
    return status;
}

static void refused(const char *hex)
{
    uint8_t bytes[256];
    size_t size = strlen(hex) / 2;
    for (size_t i = 0; i < size; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    assert_int_equal(load(SEED, bytes, size), STATUS_INVALID);
}

static void malformed_records_are_refused(void **state)
{
    (void)state;
    refused("000000016b0161");                 /* no type */
    refused("060000016b0161");                 /* a type that is not known */
    refused("011000016b0161");                 /* database 16 */
    refused("010002016b0161");                 /* neither with nor without a deadline */
    refused("0100010000000000000000016b0161"); /* a deadline that is none */
    refused("010000016b8100");                 /* a size longer than needed */
    refused("010000016bffffffffffffffffff01"); /* a size past everything */
    refused("010000ffffffff0f");               /* a key past the end */
    refused("020000016b00");                   /* an empty list */
    refused("020000016bffffffff0f0161");       /* fewer elements than it says */
    refused("030000016b00");                   /* an empty hash */
    refused("030000016b02016101780161017a");   /* a field twice */
    refused("0300000168020166027631016700");   /* fields in another order */
    refused("050000017a02000000000000f03f0161000000000000e03f0162"); /* scores likewise */
    refused("050000017a02000000000000f03f0162000000000000f03f0161"); /* members of one score */
    refused("030000016b010161");                                     /* a field without a value */
    refused("040000016b0201610161");                                 /* a member twice */
    refused("050000016b01000000000000f87f0161");                     /* a score that is no number */
    refused("050000016b0100000000000000800161");                     /* -0.0 */
    refused("050000016b020000000000000000016100000000000000000161"); /* a member twice */
    refused("010000016b0161010000016b0162");                         /* a key twice */
    refused("010000016b016101"); /* half a record behind a whole one */
}

static void every_cut_is_refused(void **state)
{
    struct store *store = store_create(SEED);
    struct store_key key = key_of(1, "name");
    struct buffer out;
    (void)state;
    for (unsigned i = 0; i < 20; i++)
        store_list_push(store, &key, false, slice_of_text("element"));
    assert_true(store_set_deadline(store, &key, 77));
    buffer_init(&out, LARGE);
    assert_int_equal(store_encode(store_find(store, &key), &out), STATUS_OK);
    for (size_t size = 1; size < out.size; size++)
        assert_int_equal(load(SEED, out.at, size), STATUS_INVALID);
    assert_int_equal(load(SEED, out.at, out.size), STATUS_OK);
    buffer_deinit(&out);
    store_destroy(store);
}

static void whole(struct store *store, struct buffer *out)
{
    struct store_view *view = store_view_begin(store, LARGE);
    struct store_piece piece;
    buffer_init(out, LARGE);
    while (store_view_next(view, STORE_SLOTS - 1, LARGE, out, &piece) == STATUS_OK)
        ;
    store_view_end(view);
}

/* Refused or taken for other contents; nothing else. */
static void bytes_from_anywhere_are_harmless(void **state)
{
    struct writes writes;
    struct buffer records;
    unsigned refusals = 0;
    (void)state;
    writes_init(&writes, 3, 60, 3);
    for (unsigned i = 0; i < 300; i++)
        writes_one(&writes);
    whole(writes.store, &records);
    assert_int_equal(load(writes.hash_seed, records.at, records.size), STATUS_OK);
    for (unsigned i = 0; i < 4000; i++) {
        size_t at = random_below(&writes.random, records.size), size = records.size;
        uint8_t before = records.at[at];
        records.at[at] = (uint8_t)random_next(&writes.random);
        if (i % 4 == 0)
            size = random_below(&writes.random, size + 1);
        refusals += load(writes.hash_seed, records.at, size) != STATUS_OK;
        if (i % 16)
            records.at[at] = before; /* some stay for the next */
    }
    assert_true(refusals > 1000);
    buffer_deinit(&records);
    writes_deinit(&writes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_layout_is_this),
        cmocka_unit_test(a_buffer_without_room_is_left_alone),
        cmocka_unit_test(malformed_records_are_refused),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(bytes_from_anywhere_are_harmless),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
