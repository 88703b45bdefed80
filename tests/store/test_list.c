/* Lists: long ones, wide ones, from both ends, by index and by walk. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define LONG 200000

static struct store_key list_key(void)
{
    return store_key_of(0, slice_of_text("list"));
}

static struct slice number(char *room, int value)
{
    return slice_of(room, (size_t)snprintf(room, 16, "%d", value));
}

/* The list holds the numbers first .. first + length - 1. */
static void check_numbers(struct store *store, int first, size_t length)
{
    struct store_key key = list_key();
    struct store_entry *entry = store_find(store, &key);
    struct store_list_walk walk;
    struct slice element;
    size_t index = 0;
    char room[16];
    assert_int_equal(store_list_length(entry), length);
    store_list_walk_init(&walk, entry, 0);
    for (; store_list_walk_next(&walk, &element); index++)
        assert_true(slice_equal(element, number(room, first + (int)index)));
    assert_int_equal(index, length);
}

static void test_long_from_the_back(void **state)
{
    struct store *store = store_create(1);
    struct store_key key = list_key();
    char room[16];
    (void)state;
    for (int i = 0; i < LONG; i++)
        assert_int_equal(store_list_push(store, &key, false, number(room, i)), i + 1);
    check_numbers(store, 0, LONG);
    store_validate(store);
    store_destroy(store);
}

static void test_long_from_both_ends(void **state)
{
    struct store *store = store_create(1);
    struct store_key key = list_key();
    struct random random;
    char room[16];
    int first = 0, end = 0;
    (void)state;
    random_init(&random, 3);
    while (end - first < LONG) {
        bool at_head = random_below(&random, 3) == 0;
        int value = at_head ? --first : end++;
        store_list_push(store, &key, at_head, number(room, value));
    }
    check_numbers(store, first, LONG);
    struct store_entry *entry = store_find(store, &key);
    for (int i = 0; i < 20000; i++) {
        size_t index = random_below(&random, LONG);
        struct slice expected = number(room, first + (int)index);
        assert_true(slice_equal(store_list_at(entry, index), expected));
    }
    store_validate(store);
    store_destroy(store);
}

static void test_a_walk_begins_anywhere(void **state)
{
    struct store *store = store_create(1);
    struct store_key key = list_key();
    struct store_list_walk walk;
    struct slice element;
    char room[16];
    (void)state;
    for (int i = 0; i < 3000; i++)
        store_list_push(store, &key, false, number(room, i));
    struct store_entry *entry = store_find(store, &key);
    for (int from = 0; from < 3000; from += 7) {
        store_list_walk_init(&walk, entry, (size_t)from);
        for (int i = from; i < from + 300 && i < 3000; i++) {
            assert_true(store_list_walk_next(&walk, &element));
            assert_true(slice_equal(element, number(room, i)));
        }
    }
    store_list_walk_init(&walk, entry, 3000);
    assert_false(store_list_walk_next(&walk, &element));
    store_list_walk_init(&walk, entry, SIZE_MAX);
    assert_false(store_list_walk_next(&walk, &element));
    store_destroy(store);
}

static void test_elements_of_all_sizes(void **state)
{
    static const size_t sizes[] = {0,    1,    127,  128,   1000,  1995,   1998,
                                   1999, 2000, 2001, 16383, 16384, 300000, 3};
    enum {
        SIZES = sizeof sizes / sizeof sizes[0]
    };
    struct store *store = store_create(1);
    struct store_key key = list_key();
    uint8_t *bytes = memory_zeroed(300000, 1);
    (void)state;
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < SIZES; i++)
            store_list_push(store, &key, false, slice_of(bytes, sizes[i]));
    for (int round = 0; round < 10; round++)
        for (int i = SIZES; i-- > 0;)
            store_list_push(store, &key, true, slice_of(bytes, sizes[i]));
    struct store_entry *entry = store_find(store, &key);
    for (size_t i = 0; i < 20 * SIZES; i++)
        assert_int_equal(store_list_at(entry, i).size, sizes[i % SIZES]);
    store_validate(store);
    assert_true(store_remove(store, &key));
    assert_int_equal(store_count(store, 0), 0);
    memory_free(bytes);
    store_destroy(store);
}

static void test_many_short_lists_are_small(void **state)
{
    struct store *store = store_create(1);
    char room[16];
    (void)state;
    for (int i = 0; i < 10000; i++) {
        struct store_key key = store_key_of(0, number(room, i));
        store_list_push(store, &key, false, slice_of_text("one element"));
    }
    assert_true(store_memory_bytes(store) / 10000 < 400);
    store_validate(store);
    store_destroy(store);
}

static void test_a_list_has_a_deadline(void **state)
{
    struct store *store = store_create(1);
    struct store_key key = list_key(), expired;
    char room[16];
    (void)state;
    for (int i = 0; i < 5000; i++) {
        store_list_push(store, &key, false, number(room, i));
        if (i == 300)
            assert_true(store_set_deadline(store, &key, 12));
    }
    assert_int_equal(store_find_expired(store, 12, &expired, 1), 1);
    check_numbers(store, 0, 5000);
    store_validate(store);
    store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_from_the_back),
        cmocka_unit_test(test_long_from_both_ends),
        cmocka_unit_test(test_a_walk_begins_anywhere),
        cmocka_unit_test(test_elements_of_all_sizes),
        cmocka_unit_test(test_many_short_lists_are_small),
        cmocka_unit_test(test_a_list_has_a_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
