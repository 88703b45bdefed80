/* Entries: round trips, each field's range, damage. WIRE-1, WIRE-2. */
#include "tests/wire/sample.h"

#include "base/checksum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

static const struct slice NOTHING[2];

static void encode(const struct wire_entry *entry, struct buffer *out)
{
    size_t half = entry->payload.size / 3;
    struct slice pieces[2] = {
        slice_of(entry->payload.at, half),
        slice_of(entry->payload.at + half, entry->payload.size - half),
    };
    assert_int_equal(wire_entry_encode(entry, entry->payload.size ? pieces : NOTHING, out),
                     STATUS_OK);
}

static void round_trips(void **state) /* WIRE-2 */
{
    (void)state;
    struct sample sample;
    struct buffer bytes;
    sample_init(&sample, 7);
    buffer_init(&bytes, 1u << 20);
    for (int i = 0; i < 5000; i++) {
        struct wire_entry sent, got;
        sample_entry(&sample, &sent);
        buffer_reset(&bytes);
        encode(&sent, &bytes);
        struct slice rest = slice_of_buffer(&bytes);
        assert_int_equal(wire_entry_length(rest), bytes.size);
        assert_int_equal(wire_entry_take(&rest, &got), STATUS_OK);
        assert_true(sample_entries_equal(&sent, &got));
        assert_true(slice_equal(got.bytes, slice_of_buffer(&bytes)));
        assert_int_equal(rest.size, 0);
    }
    buffer_deinit(&bytes);
    sample_deinit(&sample);
}

static void several_in_a_row(void **state)
{
    (void)state;
    struct buffer bytes;
    struct wire_entry entry = {.kind = WIRE_ENTRY_NOOP, .term = 1}, got;
    buffer_init(&bytes, 1u << 20);
    for (entry.index = 1; entry.index <= 3; entry.index++)
        encode(&entry, &bytes);
    struct slice rest = slice_of_buffer(&bytes);
    for (uint64_t index = 1; index <= 3; index++) {
        assert_int_equal(wire_entry_take(&rest, &got), STATUS_OK);
        assert_int_equal(got.index, index);
    }
    assert_int_equal(wire_entry_take(&rest, &got), STATUS_INVALID);
    buffer_deinit(&bytes);
}

static void cut_off_is_invalid(void **state) /* WIRE-1 */
{
    (void)state;
    struct buffer bytes;
    struct wire_entry entry = {.kind = WIRE_ENTRY_COMMANDS, .index = 1, .term = 1}, got;
    entry.payload = slice_of_text("some bytes of a command");
    buffer_init(&bytes, 1u << 20);
    encode(&entry, &bytes);
    for (size_t size = 0; size < bytes.size; size++) {
        uint8_t *exact = malloc(size ? size : 1); /* so that the sanitizer sees a step past it */
        memcpy(exact, bytes.at, size);
        struct slice rest = slice_of(exact, size);
        assert_int_equal(wire_entry_take(&rest, &got), STATUS_INVALID);
        assert_int_equal(rest.size, size);
        free(exact);
    }
    buffer_deinit(&bytes);
}

static void each_flipped_bit_is_seen(void **state)
{
    (void)state;
    struct buffer bytes;
    struct wire_entry entry = {.kind = WIRE_ENTRY_COMMANDS, .index = 1, .term = 1}, got;
    entry.payload = slice_of_text("some bytes of a command");
    buffer_init(&bytes, 1u << 20);
    encode(&entry, &bytes);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        struct slice rest = slice_of_buffer(&bytes);
        enum status status = wire_entry_take(&rest, &got);
        if (bit / 8 < 4)
            assert_true(status == STATUS_INVALID || status == STATUS_DAMAGED);
        else
            assert_int_equal(status, bit / 8 == 4 ? STATUS_FOREIGN : STATUS_DAMAGED);
        bytes.at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    buffer_deinit(&bytes);
}

struct change {
    size_t at;
    uint8_t value;
};

static void wrong_fields_are_refused(void **state) /* WIRE-1 */
{
    (void)state;
    static const struct change changes[] = {
        {5, 0},    {5, 7},  {5, WIRE_ENTRY_NOOP},
        {6, 4},    {7, 1},  {24, 0},
        {31, 128}, {32, 0}, {39, 128},
        {49, 1},   {55, 1}, {6, WIRE_ENTRY_ONCE},
    };
    struct buffer bytes;
    struct wire_entry entry = {.kind = WIRE_ENTRY_COMMANDS, .index = 1, .term = 1}, got;
    entry.payload = slice_of_text("short");
    buffer_init(&bytes, 1u << 20);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        buffer_reset(&bytes);
        encode(&entry, &bytes);
        bytes.at[changes[i].at] = changes[i].value;
        store_u64(bytes.at + 8,
                  checksum_seeded(bytes.at + 16, bytes.size - 16, load_u64(bytes.at)));
        struct slice rest = slice_of_buffer(&bytes);
        assert_int_equal(wire_entry_take(&rest, &got), STATUS_INVALID);
    }
    buffer_deinit(&bytes);
}

static void another_version_is_foreign(void **state) /* WIRE-2 */
{
    (void)state;
    struct buffer bytes;
    struct wire_entry entry = {.kind = WIRE_ENTRY_NOOP, .index = 1, .term = 1}, got;
    buffer_init(&bytes, 1u << 20);
    encode(&entry, &bytes);
    bytes.at[4] = 2;
    struct slice rest = slice_of_buffer(&bytes);
    assert_int_equal(wire_entry_take(&rest, &got), STATUS_FOREIGN);
    buffer_deinit(&bytes);
}

static void too_large_is_refused_before_anything_is_read(void **state)
{
    (void)state;
    struct buffer bytes;
    struct wire_entry entry = {.kind = WIRE_ENTRY_COMMANDS, .index = 1, .term = 1};
    struct slice pieces[2] = {{NULL, WIRE_ENTRY_SIZE_MAX - WIRE_ENTRY_HEADER_SIZE}, {NULL, 1}};
    buffer_init(&bytes, SIZE_MAX / 2);
    assert_int_equal(wire_entry_encode(&entry, pieces, &bytes), STATUS_TOO_LARGE);
    pieces[1].size = SIZE_MAX;
    assert_int_equal(wire_entry_encode(&entry, pieces, &bytes), STATUS_TOO_LARGE);
    uint8_t length[4];
    store_u32(length, WIRE_ENTRY_SIZE_MAX + 1);
    assert_int_equal(wire_entry_length(slice_of(length, 4)), 0);
    store_u32(length, WIRE_ENTRY_HEADER_SIZE - 1);
    assert_int_equal(wire_entry_length(slice_of(length, 4)), 0);
    assert_int_equal(wire_entry_length(slice_of(length, 3)), 0);
    buffer_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(several_in_a_row),
        cmocka_unit_test(cut_off_is_invalid),
        cmocka_unit_test(each_flipped_bit_is_seen),
        cmocka_unit_test(wrong_fields_are_refused),
        cmocka_unit_test(another_version_is_foreign),
        cmocka_unit_test(too_large_is_refused_before_anything_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
