/* Keys past their deadline come in the order of deadlines, equal ones in the order of keys, on
 * every replica. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct store_key key_number(char *room, unsigned i)
{
    size_t size = (size_t)snprintf(room, 32, i % 3 ? "%u" : "{same slot}%u", i);
    return store_key_of((uint8_t)(i % 2), slice_of(room, size));
}

static void put(struct store *store, unsigned i, int64_t deadline_us)
{
    char room[32];
    struct store_key key = key_number(room, i);
    store_put_string(store, &key, slice_of_text("v"), deadline_us);
}

/* Whether `a` comes before `b` by deadline, slot, hash. */
static bool is_in_order(struct store *store, const struct store_key *a, const struct store_key *b)
{
    int64_t x = store_entry_deadline_us(store_find(store, a));
    int64_t y = store_entry_deadline_us(store_find(store, b));
    if (x != y)
        return x < y;
    if (a->slot != b->slot)
        return a->slot < b->slot;
    return store_key_hash(store, a) < store_key_hash(store, b);
}

static void test_nothing_is_due(void **state)
{
    struct store *store = store_create(1);
    struct store_key keys[2];
    (void)state;
    assert_int_equal(store_next_deadline_us(store), INT64_MAX);
    assert_int_equal(store_find_expired(store, INT64_MAX, keys, 2), 0);
    put(store, 1, 10);
    put(store, 2, 0);
    assert_int_equal(store_next_deadline_us(store), 10);
    assert_int_equal(store_find_expired(store, 9, keys, 2), 0);
    assert_int_equal(store_find_expired(store, 10, keys, 0), 0);
    assert_int_equal(store_find_expired(store, 10, keys, 2), 1);
    store_destroy(store);
}

static void test_order_with_many_ties(void **state)
{
    enum {
        KEYS = 5000,
        MAX = 700
    };
    struct store *store = store_create(1), *other = store_create(1);
    struct store_key keys[MAX], others[MAX];
    (void)state;
    for (unsigned i = 0; i < KEYS; i++) {
        put(store, i, 1 + i % 4);
        put(other, KEYS - 1 - i, 99);
    }
    for (unsigned i = 0; i < KEYS; i++)
        put(other, i, 1 + i % 4);
    for (unsigned removed = 0; removed < KEYS;) {
        size_t found = store_find_expired(store, 4, keys, MAX);
        assert_int_equal(found, KEYS - removed < MAX ? KEYS - removed : MAX);
        assert_int_equal(store_find_expired(other, 4, others, MAX), found);
        for (size_t i = 0; i < found; i++) {
            assert_true(slice_equal(keys[i].bytes, others[i].bytes));
            assert_int_equal(keys[i].database, others[i].database);
            assert_int_equal(keys[i].slot, store_slot(keys[i].bytes));
            assert_true(i == 0 || is_in_order(store, &keys[i - 1], &keys[i]));
        }
        for (size_t i = 0; i < found; i++, removed++) {
            assert_true(store_remove(other, &keys[i]));
            assert_true(store_remove(store, &keys[i])); /* its own bytes name it */
        }
        store_validate(store);
    }
    assert_int_equal(store_count_deadlines(store, 0) + store_count_deadlines(store, 1), 0);
    store_destroy(other);
    store_destroy(store);
}

static void test_more_deadlines_than_a_room_has(void **state)
{
    enum {
        KEYS = 300000,
        MAX = 1000
    };
    struct store *store = store_create(1);
    struct store_key *keys = memory_allocate(MAX * sizeof *keys);
    struct random random;
    int64_t last = 0;
    (void)state;
    random_init(&random, 9);
    for (unsigned i = 0; i < KEYS; i++)
        put(store, i, 1 + (int64_t)random_below(&random, 1 << 30));
    for (unsigned i = 0; i < KEYS; i += 3)
        put(store, i, i % 2 ? 0 : 1 + (int64_t)random_below(&random, 1 << 30));
    store_validate(store);
    for (size_t found = 1; found;) {
        found = store_find_expired(store, INT64_MAX, keys, MAX);
        for (size_t i = 0; i < found; i++) {
            int64_t deadline = store_entry_deadline_us(store_find(store, &keys[i]));
            assert_true(deadline >= last);
            last = deadline;
        }
        for (size_t i = 0; i < found; i++)
            assert_true(store_remove(store, &keys[i]));
    }
    assert_int_equal(store_next_deadline_us(store), INT64_MAX);
    store_validate(store);
    store_clear(store);
    memory_free(keys);
    store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_due),
        cmocka_unit_test(test_order_with_many_ties),
        cmocka_unit_test(test_more_deadlines_than_a_room_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
