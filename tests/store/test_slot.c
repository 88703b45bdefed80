/* Slots: the vectors of the Redis cluster specification, and the folded CRC against the plain one.
 */
#include "base/random.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static unsigned slot(const char *text)
{
    return store_slot(slice_of_text(text));
}

static uint16_t plain_crc16(const uint8_t *at, size_t size)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint16_t)(at[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

static void test_known_slots(void **state)
{
    (void)state;
    assert_int_equal(slot("123456789"), 0x31c3 % STORE_SLOTS);
    assert_int_equal(slot("foo"), 12182);
    assert_int_equal(slot("bar"), 5061);
    assert_int_equal(slot(""), 0);
}

static void test_tags(void **state)
{
    (void)state;
    assert_int_equal(slot("{user1000}.following"), slot("user1000"));
    assert_int_equal(slot("{user1000}.followers"), slot("user1000"));
    assert_int_equal(slot("a{foo}b{bar}"), slot("foo"));
    assert_int_equal(slot("foo{{bar}}zap"), slot("{bar"));
    assert_int_equal(slot("foo{bar}{zap}"), slot("bar"));
    assert_int_equal(slot("}{foo}"), slot("foo"));
    assert_int_equal(slot("foo{}{bar}"), plain_crc16((const uint8_t *)"foo{}{bar}", 10) % 16384);
    assert_int_equal(slot("foo{bar"), plain_crc16((const uint8_t *)"foo{bar", 7) % 16384);
    assert_int_equal(slot("foo{"), plain_crc16((const uint8_t *)"foo{", 4) % 16384);
    assert_int_equal(slot("{}"), plain_crc16((const uint8_t *)"{}", 2) % 16384);
}

static void test_folding_equals_the_plain_crc(void **state)
{
    struct random random;
    uint8_t bytes[80];
    (void)state;
    random_init(&random, 7);
    for (int round = 0; round < 20000; round++) {
        size_t size = random_below(&random, sizeof bytes + 1);
        for (size_t i = 0; i < size; i++) {
            uint8_t byte = (uint8_t)random_next(&random);
            bytes[i] = byte == '{' ? 'x' : byte;
        }
        unsigned expected = plain_crc16(bytes, size) % STORE_SLOTS;
        assert_int_equal(store_slot(slice_of(bytes, size)), expected);
    }
}

static void test_key_hash(void **state)
{
    (void)state;
    struct store *a = store_create(1), *b = store_create(1), *c = store_create(2);
    struct store_key key = store_key_of(0, slice_of_text("key"));
    struct store_key other = store_key_of(1, slice_of_text("key"));
    assert_int_equal(key.slot, store_slot(slice_of_text("key")));
    assert_true(store_key_hash(a, &key) == store_key_hash(b, &key));
    assert_true(store_key_hash(a, &key) != store_key_hash(c, &key));
    assert_true(store_key_hash(a, &key) != store_key_hash(a, &other));
    store_destroy(a);
    store_destroy(b);
    store_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_slots),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_folding_equals_the_plain_crc),
        cmocka_unit_test(test_key_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
