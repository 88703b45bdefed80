#include "base/bytes.h"

#include "base/random.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void numbers_as_redis_reads_them(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-1", -1},
                {"42", 42},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "01",
                                      "-0",
                                      "--1",
                                      "1a",
                                      "0x1",
                                      "1.0",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      "123456789012345678901234567890"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t value = 5;
        char text[21];
        assert_int_equal(STATUS_OK, slice_to_i64(slice_of_text(good[i].text), &value));
        assert_true(value == good[i].value);
        size_t size = text_of_i64(value, text);
        assert_true(slice_equal(slice_of(text, size), slice_of_text(good[i].text)));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t value = 5;
        assert_int_equal(STATUS_INVALID, slice_to_i64(slice_of_text(bad[i]), &value));
        assert_int_equal(5, value); /* outputs stay untouched */
    }
}

static void texts_of_numbers(void **state)
{
    struct random random;
    (void)state;
    random_init(&random, 1);
    for (unsigned i = 0; i < 20000; i++) {
        int64_t value = (int64_t)(random_next(&random) >> random_below(&random, 64)), again;
        char text[21], expected[32];
        value = i % 2 ? value : -value;
        size_t size = text_of_i64(value, text);
        snprintf(expected, sizeof expected, "%" PRId64, value);
        assert_true(slice_equal(slice_of(text, size), slice_of_text(expected)));
        assert_int_equal(STATUS_OK, slice_to_i64(slice_of(text, size), &again));
        assert_true(again == value);
    }
}

static void words(void **state)
{
    (void)state;
    assert_true(slice_is_word(slice_of_text("get"), "GET"));
    assert_true(slice_is_word(slice_of_text("GeT"), "gEt"));
    assert_false(slice_is_word(slice_of_text("ge"), "GET"));
    assert_false(slice_is_word(slice_of_text("gets"), "GET"));
    assert_false(slice_is_word(slice_of("ge\0", 3), "GE"));
    assert_false(slice_is_word(slice_of_text("g@t"), "g`t"));
    assert_true(slice_is_word(slice_of(NULL, 0), ""));
}

static void varints(void **state)
{
    struct random random;
    (void)state;
    random_init(&random, 1);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t value = random_next(&random) >> random_below(&random, 64), again = 0;
        uint8_t bytes[VARINT_SIZE_MAX];
        size_t size = varint_store(bytes, value);
        assert_int_equal(varint_size(value), size);
        for (size_t cut = 0; cut < size; cut++) {
            struct slice part = slice_of(bytes, cut);
            assert_int_equal(STATUS_INVALID, varint_take(&part, &again));
        }
        struct slice whole = slice_of(bytes, size);
        assert_int_equal(STATUS_OK, varint_take(&whole, &again));
        assert_true(again == value);
        assert_int_equal(0, whole.size);
    }
}

/* One value has one spelling: formats that are compared byte by byte depend on it. */
static void varints_that_are_longer_than_needed(void **state)
{
    static const uint8_t zero[] = {0x80, 0x00}, one[] = {0x81, 0x80, 0x00};
    static const uint8_t over[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    static const uint8_t endless[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                      0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    uint64_t value;
    (void)state;
    struct slice from = slice_of(zero, sizeof zero);
    assert_int_equal(STATUS_INVALID, varint_take(&from, &value));
    from = slice_of(one, sizeof one);
    assert_int_equal(STATUS_INVALID, varint_take(&from, &value));
    from = slice_of(over, sizeof over);
    assert_int_equal(STATUS_INVALID, varint_take(&from, &value));
    from = slice_of(endless, sizeof endless);
    assert_int_equal(STATUS_INVALID, varint_take(&from, &value));
}

static void buffers_never_pass_their_maximum(void **state)
{
    struct buffer buffer;
    uint8_t bytes[100] = {0};
    (void)state;
    buffer_init(&buffer, 250);
    assert_int_equal(STATUS_OK, buffer_append(&buffer, bytes, 100));
    assert_int_equal(STATUS_OK, buffer_append(&buffer, bytes, 100));
    assert_int_equal(STATUS_TOO_LARGE, buffer_append(&buffer, bytes, 51));
    assert_int_equal(200, buffer.size);
    assert_int_equal(STATUS_OK, buffer_append(&buffer, bytes, 50));
    assert_int_equal(250, buffer.size);
    assert_true(buffer.capacity <= 250);
    assert_int_equal(STATUS_TOO_LARGE, buffer_reserve(&buffer, SIZE_MAX)); /* no overflow */
    assert_int_equal(STATUS_TOO_LARGE, buffer_reserve(&buffer, 1));
    assert_int_equal(STATUS_OK, buffer_append(&buffer, NULL, 0));
    buffer_consume(&buffer, 249);
    assert_int_equal(1, buffer.size);
    buffer_reset(&buffer);
    assert_int_equal(0, buffer.size);
    buffer_deinit(&buffer);
    assert_int_equal(STATUS_OK, buffer_append(&buffer, bytes, 100)); /* usable again */
    buffer_deinit(&buffer);
}

static void buffers_keep_what_is_behind(void **state)
{
    struct buffer buffer;
    (void)state;
    buffer_init(&buffer, 1000);
    assert_int_equal(STATUS_OK, buffer_append(&buffer, "hello world", 11));
    buffer_consume(&buffer, 6);
    assert_true(slice_equal(slice_of_buffer(&buffer), slice_of_text("world")));
    buffer_consume(&buffer, 0);
    buffer_consume(&buffer, 5);
    assert_int_equal(0, buffer.size);
    buffer_deinit(&buffer);
}

static void slices_are_taken_from_the_front(void **state)
{
    struct slice from = slice_of_text("abcdef"), part;
    (void)state;
    assert_int_equal(STATUS_OK, slice_take(&from, 2, &part));
    assert_true(slice_equal(part, slice_of_text("ab")));
    assert_int_equal(STATUS_INVALID, slice_take(&from, 5, &part));
    assert_int_equal(STATUS_INVALID, slice_take(&from, SIZE_MAX, &part));
    assert_true(slice_equal(from, slice_of_text("cdef")));
    assert_int_equal(STATUS_OK, slice_take(&from, 4, &part));
    assert_int_equal(STATUS_OK, slice_take(&from, 0, &part));
}

static void doubles_are_short_and_read_back(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0"},
        {1, "1"},
        {-17, "-17"},
        {0.1, "0.1"},
        {-0.5, "-0.5"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {3.14159265358979, "3.14159265358979"},
        {1683456789.1234, "1683456789.1234"},
        {123456.7891234567, "1.234567891234567e+5"},
        {1e-5, "0.00001"},
        {0.000123, "0.000123"},
        {1e-7, "1e-7"},
        {1.5e-9, "1.5e-9"},
        {9007199254740992, "9007199254740992"},
        {4611686018427387904, "4611686018427387904"},
        {4.7e18, "4.7e+18"},
        {1e21, "1e+21"},
        {123456789012345680000.0, "123456789012345680000"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {5e-324, "5e-324"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
    };
    char text[TEXT_OF_DOUBLE_MAX + 1];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        text[text_of_double(cases[i].value, text)] = '\0';
        assert_string_equal(text, cases[i].text);
    }
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 100000; i++) {
        double value;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&value, &bits, sizeof value);
        size_t size = text_of_double(value, text);
        assert_true(size < TEXT_OF_DOUBLE_MAX);
        text[size] = '\0';
        assert_true(isnan(value) || strtod(text, NULL) == value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_as_redis_reads_them),
        cmocka_unit_test(texts_of_numbers),
        cmocka_unit_test(words),
        cmocka_unit_test(varints),
        cmocka_unit_test(varints_that_are_longer_than_needed),
        cmocka_unit_test(buffers_never_pass_their_maximum),
        cmocka_unit_test(buffers_keep_what_is_behind),
        cmocka_unit_test(slices_are_taken_from_the_front),
        cmocka_unit_test(doubles_are_short_and_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
