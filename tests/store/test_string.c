/* Strings: in place, inside and outside of the entry, growing; and what a pointer from find is
 * worth. */
#include "base/memory.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct store_key key_named(const char *name)
{
    return store_key_of(0, slice_of_text(name));
}

static struct slice string_at(struct store *store, const char *name)
{
    struct store_key key = key_named(name);
    struct store_entry *entry = store_find(store, &key);
    assert_non_null(entry);
    return store_entry_string(entry);
}

static void put(struct store *store, const char *name, struct slice value, int64_t deadline_us)
{
    struct store_key key = key_named(name);
    store_put_string(store, &key, value, deadline_us);
}

static uint8_t *pattern(size_t size)
{
    uint8_t *bytes = memory_allocate(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 + (i >> 8));
    return bytes;
}

static void test_a_pointer_stays_good_without_changes(void **state) /* STORE-1 */
{
    struct store *store = store_create(1);
    struct store_entry *found[100], *entries[STORE_WALK_MAX + 16];
    uint8_t databases[STORE_WALK_MAX + 16];
    char name[16];
    size_t count;
    struct store_key keys[4];
    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "key%d", i);
        put(store, name, slice_of_text(name), i);
    }
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "key%d", i);
        struct store_key key = key_named(name);
        found[i] = store_find(store, &key);
    }
    store_digest(store);
    store_walk(store, 0, 10, entries, databases, &count);
    store_find_expired(store, 50, keys, 4);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "key%d", i);
        struct store_key key = key_named(name);
        assert_ptr_equal(store_find(store, &key), found[i]);
        assert_true(slice_equal(store_entry_string(found[i]), slice_of_text(name)));
    }
    store_destroy(store);
}

static void test_every_size_replaces_every_other(void **state)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 63, 64, 500, 513, 16383, 16384, 16385, 70000};
    enum {
        SIZES = sizeof sizes / sizeof sizes[0]
    };
    struct store *store = store_create(1);
    uint8_t *bytes = pattern(70000);
    (void)state;
    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < SIZES; j++)
            for (int due = 0; due < 4; due++) {
                put(store, "k", slice_of(bytes, sizes[i]), due & 1);
                put(store, "k", slice_of(bytes + 1, sizes[j] ? sizes[j] - 1 : 0), due & 2);
                struct slice expected = slice_of(bytes + 1, sizes[j] ? sizes[j] - 1 : 0);
                assert_true(slice_equal(string_at(store, "k"), expected));
                assert_int_equal(store_count_deadlines(store, 0), due >> 1);
                store_validate(store);
            }
    assert_int_equal(store_count(store, 0), 1);
    memory_free(bytes);
    store_destroy(store);
}

static void test_append_grows_with_constant_slack(void **state)
{
    struct store *store = store_create(1);
    struct store_key key = key_named("log");
    size_t size = 0, total = 1 << 20, step = 13;
    uint8_t *bytes = pattern(total + step);
    (void)state;
    for (; size < total; size += step)
        assert_int_equal(store_append_string(store, &key, slice_of(bytes + size, step)),
                         size + step);
    assert_true(slice_equal(string_at(store, "log"), slice_of(bytes, size)));
    assert_true(store_memory_bytes(store) < size + size / 2 + 8192);
    put(store, "log", slice_of_text("short"), 0);
    assert_true(store_memory_bytes(store) < 8192);
    store_validate(store);
    memory_free(bytes);
    store_destroy(store);
}

static void test_append_keeps_the_deadline(void **state)
{
    struct store *store = store_create(1);
    struct store_key key = key_named("k"), expired;
    (void)state;
    put(store, "k", slice_of_text("x"), 77);
    for (int i = 0; i < 2000; i++) {
        store_append_string(store, &key, slice_of_text("y"));
        assert_int_equal(store_entry_deadline_us(store_find(store, &key)), 77);
        assert_int_equal(store_find_expired(store, 77, &expired, 1), 1);
        assert_true(slice_equal(expired.bytes, key.bytes));
    }
    store_validate(store);
    assert_true(store_set_deadline(store, &key, 0));
    assert_int_equal(store_next_deadline_us(store), INT64_MAX);
    assert_int_equal(store_append_string(store, &key, slice_of_text("z")), 2002);
    store_destroy(store);
}

/* Beside a plain array: every place, within the string, across its end and far behind it. */
static void test_writing_anywhere(void **state)
{
    enum {
        SIZE_MAX_HERE = 40000
    };
    static const size_t offsets[] = {0,   1,   7,    63,    64,    100,  511,
                                     512, 600, 5000, 16380, 20000, 39000};
    static const size_t sizes[] = {0, 1, 2, 9, 70, 600, 900};
    struct store *store = store_create(1);
    struct store_key key = key_named("k");
    uint8_t *bytes = pattern(1000), *model = memory_zeroed(1, SIZE_MAX_HERE);
    size_t end = 0;
    (void)state;
    assert_int_equal(store_write_string(store, &key, 0, slice_of(NULL, 0)), 0);
    for (size_t i = 0; i < 13 * 7; i++) {
        size_t offset = offsets[i * 5 % 13], size = sizes[i % 7];
        memcpy(model + offset, bytes + i, size);
        end = offset + size > end ? offset + size : end;
        assert_int_equal(store_write_string(store, &key, offset, slice_of(bytes + i, size)), end);
        assert_true(slice_equal(string_at(store, "k"), slice_of(model, end)));
        if (i == 20)
            assert_true(store_set_deadline(store, &key, 77));
        store_validate(store);
    }
    assert_int_equal(store_entry_deadline_us(store_find(store, &key)), 77);
    memory_free(bytes);
    memory_free(model);
    store_destroy(store);
}

static void test_a_deadline_moves_any_entry(void **state)
{
    static const size_t key_sizes[] = {0, 3, 65535, 65536}, value_sizes[] = {0, 64, 20000};
    uint8_t *bytes = pattern(70000);
    (void)state;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++) {
            struct store *store = store_create(1);
            struct store_key key = store_key_of(3, slice_of(bytes, key_sizes[i]));
            struct slice value = slice_of(bytes + 9, value_sizes[j]);
            assert_false(store_set_deadline(store, &key, 5));
            store_put_string(store, &key, value, 0);
            assert_true(store_set_deadline(store, &key, -5));
            struct store_entry *entry = store_find(store, &key);
            assert_int_equal(store_entry_deadline_us(entry), -5);
            assert_true(slice_equal(store_entry_string(entry), value));
            assert_true(slice_equal(store_entry_key(entry), key.bytes));
            store_validate(store);
            store_destroy(store);
        }
    memory_free(bytes);
}

static void test_databases_are_apart(void **state)
{
    struct store *store = store_create(1);
    (void)state;
    for (uint8_t i = 0; i < STORE_DATABASES; i++) {
        struct store_key key = store_key_of(i, slice_of_text("same"));
        store_put_string(store, &key, slice_of(&i, 1), i);
    }
    store_clear_database(store, 4);
    for (uint8_t i = 0; i < STORE_DATABASES; i++) {
        struct store_key key = store_key_of(i, slice_of_text("same"));
        struct store_entry *entry = store_find(store, &key);
        assert_int_equal(store_count(store, i), i != 4);
        assert_int_equal(entry != NULL, i != 4);
        assert_true(!entry || store_entry_string(entry).at[0] == i);
    }
    store_validate(store);
    store_destroy(store);
}

static void test_a_string_replaces_a_list(void **state)
{
    struct store *store = store_create(1);
    struct store_key key = key_named("k");
    (void)state;
    for (int i = 0; i < 1000; i++)
        store_list_push(store, &key, true, slice_of_text("element"));
    assert_true(store_set_deadline(store, &key, 9));
    put(store, "k", slice_of_text("s"), 0);
    assert_true(slice_equal(string_at(store, "k"), slice_of_text("s")));
    assert_int_equal(store_count_deadlines(store, 0), 0);
    assert_true(store_memory_bytes(store) < 20000);
    store_validate(store);
    store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pointer_stays_good_without_changes),
        cmocka_unit_test(test_every_size_replaces_every_other),
        cmocka_unit_test(test_append_grows_with_constant_slack),
        cmocka_unit_test(test_append_keeps_the_deadline),
        cmocka_unit_test(test_writing_anywhere),
        cmocka_unit_test(test_a_deadline_moves_any_entry),
        cmocka_unit_test(test_databases_are_apart),
        cmocka_unit_test(test_a_string_replaces_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
