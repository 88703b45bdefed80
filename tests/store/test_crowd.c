/* Keys that want to be in one place: one slot for all, equal tags, equal hashes. Slower is fine,
 * wrong is not. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SEED     42
#define KEY_SIZE 32
#define ONE_SLOT 40000
#define TAGS     60
#define EQUAL    3000

struct crowd {
    struct store *store;
    size_t count;
    char (*keys)[KEY_SIZE]; /* owned; all of KEY_SIZE bytes */
};

static struct store_key crowd_key(const struct crowd *crowd, size_t i)
{
    return store_key_of((uint8_t)(i % 2), slice_of(crowd->keys[i], KEY_SIZE));
}

static void crowd_init(struct crowd *crowd, size_t count)
{
    crowd->store = store_create(SEED);
    crowd->count = count;
    crowd->keys = memory_zeroed(count, KEY_SIZE);
}

static void crowd_deinit(struct crowd *crowd)
{
    memory_free(crowd->keys);
    store_destroy(crowd->store);
}

static void put(struct crowd *crowd, size_t i)
{
    struct store_key key = crowd_key(crowd, i);
    store_put_string(crowd->store, &key, slice_of(crowd->keys[i], 20), (int64_t)(i % 3));
}

static void check_present(struct crowd *crowd, size_t i, bool is_present)
{
    struct store_key key = crowd_key(crowd, i);
    struct store_entry *entry = store_find(crowd->store, &key);
    assert_int_equal(entry != NULL, is_present);
    if (entry)
        assert_true(slice_equal(store_entry_key(entry), key.bytes));
}

static size_t count_by_walk(struct crowd *crowd, size_t max)
{
    struct store_entry *entries[STORE_WALK_MAX + 16];
    uint8_t databases[STORE_WALK_MAX + 16];
    struct store_entry **seen = memory_zeroed(crowd->count, sizeof *seen);
    uint64_t cursor = 0;
    size_t total = 0, count;
    do {
        cursor = store_walk(crowd->store, cursor, max, entries, databases, &count);
        for (size_t i = 0; i < count; i++)
            seen[total++ % crowd->count] = entries[i];
    } while (cursor);
    for (size_t i = 1; i < total && total <= crowd->count; i++)
        assert_ptr_not_equal(seen[i], seen[i - 1]);
    memory_free(seen);
    return total;
}

/* Puts all, looks at all, removes all in another order; nothing is left over. */
static void live_through(struct crowd *crowd)
{
    uint64_t empty = store_memory_bytes(crowd->store);
    size_t count = crowd->count, step = count * 3 / 5 | 1;
    for (size_t i = 0; i < count; i++) {
        put(crowd, i);
        if ((i & (i + 1)) == 0)
            store_validate(crowd->store);
    }
    store_validate(crowd->store);
    for (size_t i = 0; i < count; i++)
        check_present(crowd, i, true);
    assert_int_equal(count_by_walk(crowd, 10), count);
    assert_int_equal(count_by_walk(crowd, STORE_WALK_MAX), count);
    while (count % step == 0)
        step += 2;
    for (size_t i = 0, at = 0; i < count; i++, at = (at + step) % count) {
        struct store_key key = crowd_key(crowd, at);
        if (!store_remove(crowd->store, &key))
            continue; /* the step met it before */
        if (i % (count / 16 + 1) == 0)
            store_validate(crowd->store);
        check_present(crowd, at, false);
    }
    for (size_t i = 0; i < count; i++) {
        struct store_key key = crowd_key(crowd, i);
        store_remove(crowd->store, &key);
    }
    store_clear(crowd->store); /* gives back the spare blocks of deadlines */
    assert_true(store_memory_bytes(crowd->store) == empty);
}

static void test_one_slot_for_all(void **state) /* STORE-3 */
{
    struct crowd crowd;
    (void)state;
    crowd_init(&crowd, ONE_SLOT);
    for (size_t i = 0; i < ONE_SLOT; i++)
        snprintf(crowd.keys[i], KEY_SIZE, "{tag}%026zu", i);
    live_through(&crowd);
    crowd_deinit(&crowd);
}

static void test_equal_tags(void **state)
{
    struct crowd crowd;
    (void)state;
    crowd_init(&crowd, TAGS);
    for (size_t i = 0, tried = 0; i < TAGS; tried++) {
        snprintf(crowd.keys[i], KEY_SIZE, "{tag}%026zu", tried);
        struct store_key key = crowd_key(&crowd, i);
        i += store_key_hash(crowd.store, &key) >> 48 == 0xabcd;
    }
    live_through(&crowd);
    crowd_deinit(&crowd);
}

/* XXH3 multiplies the two halves of 16 bytes, each with a secret added: who knows the seed makes
 * one factor zero, and the other half no longer matters. */
static void equal_hash_key(char *key, size_t i)
{
    uint64_t secret, database_seed = SEED + i % 2 * 0x9e3779b97f4a7c15u;
    char rest[KEY_SIZE];
    memcpy(&secret, XXH3_kSecret, sizeof secret);
    secret += database_seed;
    memcpy(key, &secret, sizeof secret);
    snprintf(rest, sizeof rest, "%08zu{tag}...........", i);
    memcpy(key + sizeof secret, rest, KEY_SIZE - sizeof secret);
}

static void test_equal_hashes(void **state)
{
    struct crowd crowd;
    (void)state;
    crowd_init(&crowd, EQUAL);
    for (size_t i = 0; i < EQUAL; i++)
        equal_hash_key(crowd.keys[i], i);
    for (size_t i = 2; i < EQUAL; i++) {
        struct store_key key = crowd_key(&crowd, i), first = crowd_key(&crowd, i % 2);
        assert_int_equal(key.slot, first.slot);
        assert_true(store_key_hash(crowd.store, &key) == store_key_hash(crowd.store, &first));
    }
    live_through(&crowd);
    crowd_deinit(&crowd);
}

static void test_equal_hashes_among_others(void **state)
{
    struct crowd crowd;
    (void)state;
    crowd_init(&crowd, EQUAL);
    for (size_t i = 0; i < EQUAL; i++)
        if (i % 4 < 2)
            equal_hash_key(crowd.keys[i], i);
        else
            snprintf(crowd.keys[i], KEY_SIZE, "{tag}%026zu", i);
    live_through(&crowd);
    for (size_t i = 0; i < EQUAL; i++)
        put(&crowd, i);
    store_clear_database(crowd.store, 0);
    store_validate(crowd.store);
    assert_int_equal(store_count(crowd.store, 0), 0);
    assert_int_equal(store_count(crowd.store, 1), EQUAL / 2);
    for (size_t i = 0; i < EQUAL; i++)
        check_present(&crowd, i, i % 2);
    crowd_deinit(&crowd);
}

/* STORE-4: keys of one hash come together, however small the pieces are; changes beside it. */
static void test_view_of_equal_hashes(void **state)
{
    struct crowd crowd;
    struct buffer out;
    struct store_piece piece;
    uint64_t keys = 0, content = 0;
    (void)state;
    crowd_init(&crowd, TAGS);
    for (size_t i = 0; i < TAGS; i++)
        equal_hash_key(crowd.keys[i], i);
    for (size_t i = 0; i < TAGS; i += 3)
        put(&crowd, i);
    uint64_t digest = store_digest(crowd.store);
    buffer_init(&out, 1 << 20);
    struct store_view *view = store_view_begin(crowd.store, 1 << 20);
    do {
        for (size_t i = 0; i < TAGS; i += 2) {
            struct store_key key = crowd_key(&crowd, i);
            (void)store_remove(crowd.store, &key);
            put(&crowd, i + 1);
        }
    } while (store_view_next(view, STORE_SLOTS - 1, 1, &out, &piece) == STATUS_OK);
    store_view_end(view);
    struct store *copy = store_create(SEED);
    assert_int_equal(store_load(copy, slice_of_buffer(&out), &keys, &content), STATUS_OK);
    assert_int_equal(keys, TAGS / 3);
    assert_true(store_digest(copy) == digest);
    store_destroy(copy);
    buffer_deinit(&out);
    crowd_deinit(&crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_slot_for_all),
        cmocka_unit_test(test_equal_tags),
        cmocka_unit_test(test_equal_hashes),
        cmocka_unit_test(test_equal_hashes_among_others),
        cmocka_unit_test(test_view_of_equal_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
