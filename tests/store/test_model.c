/* Random operations on a store and on a naive model of it: what one answers, the other must answer.
 * The keys are chosen so that single slots become crowded (nodes come and go), and each run grows
 * and shrinks several times. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DATABASES       3
#define NAMES           900
#define KEYS            (DATABASES * NAMES)
#define OPERATIONS      30000
#define WIDE_KEY_SIZE   70000
#define EXPIRED_AT_ONCE 40

struct model_key {
    struct store_key key;
    uint8_t *name; /* owned */
    bool is_present, is_list;
    int64_t deadline_us;
    struct buffer value;     /* of a string; of a list: all elements, one behind the other */
    size_t *sizes, elements; /* of a list */
};

struct model {
    struct store *store;
    struct random random;
    uint64_t seed;
    struct model_key keys[KEYS];
};

static size_t name_of(unsigned i, char *out, size_t size)
{
    const char *formats[] = {"key:%u", "{crowd}%u", "{other}some longer name of a key %u"};
    return (size_t)snprintf(out, size, formats[i % 5 < 3 ? 1 : i % 5 - 3 ? 2 : 0], i);
}

static void model_init(struct model *model, uint64_t seed)
{
    model->seed = seed;
    model->store = store_create(seed * 77);
    random_init(&model->random, seed);
    for (unsigned i = 0; i < KEYS; i++) {
        struct model_key *key = &model->keys[i];
        char text[64];
        size_t size = name_of(i / DATABASES, text, sizeof text);
        *key = (struct model_key){.name = memory_zeroed(1, WIDE_KEY_SIZE)};
        memcpy(key->name, text, size);
        if (i / DATABASES == 7)
            size = 0;
        if (i / DATABASES == 13)
            size = WIDE_KEY_SIZE;
        key->key = store_key_of((uint8_t)(i % DATABASES), slice_of(key->name, size));
        buffer_init(&key->value, 1 << 24);
    }
}

static void key_forget(struct model_key *key)
{
    key->is_present = key->is_list = false;
    key->deadline_us = 0;
    key->elements = 0;
    buffer_deinit(&key->value);
    memory_free(key->sizes);
    key->sizes = NULL;
}

static void model_deinit(struct model *model)
{
    for (unsigned i = 0; i < KEYS; i++) {
        key_forget(&model->keys[i]);
        memory_free(model->keys[i].name);
    }
    store_destroy(model->store);
}

static struct slice random_value(struct model *model, uint8_t *room, size_t room_size)
{
    uint64_t dice = random_below(&model->random, 100);
    size_t max = dice < 80 ? 100 : dice < 98 ? 3000 : room_size;
    size_t size = random_below(&model->random, max + 1);
    uint8_t first = (uint8_t)random_next(&model->random);
    for (size_t i = 0; i < size; i++)
        room[i] = (uint8_t)(first + i * 7);
    return slice_of(room, size);
}

static void put(struct model *model, struct model_key *key)
{
    static const size_t room_size = 40000;
    uint8_t *room = memory_allocate(room_size);
    struct slice value = random_value(model, room, room_size);
    int64_t deadline = 0;
    if (random_below(&model->random, 3) == 0)
        deadline = (int64_t)random_below(&model->random, 50) + 1;
    store_put_string(model->store, &key->key, value, deadline);
    key_forget(key);
    key->is_present = true;
    key->deadline_us = deadline;
    assert_int_equal(buffer_append(&key->value, value.at, value.size), STATUS_OK);
    memory_free(room);
}

static void append(struct model *model, struct model_key *key)
{
    uint8_t room[4000];
    struct slice more = random_value(model, room, sizeof room);
    if (key->is_list)
        return;
    key->is_present = true;
    assert_int_equal(buffer_append(&key->value, more.at, more.size), STATUS_OK);
    assert_int_equal(store_append_string(model->store, &key->key, more), key->value.size);
}

static void push(struct model *model, struct model_key *key)
{
    uint8_t room[4000];
    struct slice element = random_value(model, room, sizeof room);
    bool at_head = random_below(&model->random, 2);
    if (key->is_present && !key->is_list)
        return;
    key->is_present = key->is_list = true;
    size_t old = key->value.size, at = at_head ? 0 : key->elements;
    assert_int_equal(buffer_append(&key->value, element.at, element.size), STATUS_OK);
    if (at_head && element.size) {
        memmove(key->value.at + element.size, key->value.at, old);
        memcpy(key->value.at, element.at, element.size);
    }
    key->sizes = memory_resize(key->sizes, (key->elements + 1) * sizeof *key->sizes);
    memmove(key->sizes + at + 1, key->sizes + at, (key->elements - at) * sizeof *key->sizes);
    key->sizes[at] = element.size;
    key->elements++;
    size_t length = store_list_push(model->store, &key->key, at_head, element);
    assert_int_equal(length, key->elements);
}

static void set_deadline(struct model *model, struct model_key *key)
{
    int64_t deadline = (int64_t)random_below(&model->random, 60) - 5;
    assert_int_equal(store_set_deadline(model->store, &key->key, deadline), key->is_present);
    if (key->is_present)
        key->deadline_us = deadline;
}

static void remove_key(struct model *model, struct model_key *key)
{
    assert_int_equal(store_remove(model->store, &key->key), key->is_present);
    key_forget(key);
}

static void clear(struct model *model)
{
    unsigned database = (unsigned)random_below(&model->random, DATABASES + 1);
    if (database == DATABASES)
        store_clear(model->store);
    else
        store_clear_database(model->store, (uint8_t)database);
    for (unsigned i = 0; i < KEYS; i++)
        if (database == DATABASES || i % DATABASES == database)
            key_forget(&model->keys[i]);
}

/* Phases of growing and of shrinking, so that segments split and nodes melt. */
static void operate(struct model *model, unsigned turn)
{
    struct model_key *key = &model->keys[random_below(&model->random, KEYS)];
    bool is_growing = turn / 5000 % 2 == 0;
    uint64_t dice = random_below(&model->random, 100);
    if (dice < (is_growing ? 10u : 70u))
        remove_key(model, key);
    else if (dice < 80)
        put(model, key);
    else if (dice < 87)
        append(model, key);
    else if (dice < 94)
        push(model, key);
    else
        set_deadline(model, key);
    if (random_below(&model->random, 6000) == 0)
        clear(model);
}

static void check_list(const struct model_key *key, const struct store_entry *entry)
{
    struct store_list_walk walk;
    struct slice element;
    size_t offset = 0, index = 0;
    assert_int_equal(store_list_length(entry), key->elements);
    store_list_walk_init(&walk, entry, 0);
    for (; store_list_walk_next(&walk, &element); index++) {
        struct slice expected = slice_of(key->value.at + offset, key->sizes[index]);
        assert_true(slice_equal(element, expected));
        assert_true(slice_equal(store_list_at(entry, index), expected));
        offset += expected.size;
    }
    assert_int_equal(index, key->elements);
}

static void check_key(struct model *model, const struct model_key *key)
{
    struct store_entry *entry = store_find(model->store, &key->key);
    assert_int_equal(entry != NULL, key->is_present);
    if (!entry)
        return;
    assert_true(slice_equal(store_entry_key(entry), key->key.bytes));
    assert_int_equal(store_entry_deadline_us(entry), key->deadline_us);
    assert_int_equal(store_entry_type(entry), key->is_list ? STORE_LIST : STORE_STRING);
    if (key->is_list)
        check_list(key, entry);
    else
        assert_true(slice_equal(store_entry_string(entry), slice_of_buffer(&key->value)));
}

static void check_counts(struct model *model)
{
    uint64_t keys[DATABASES] = {0}, deadlines[DATABASES] = {0};
    for (unsigned i = 0; i < KEYS; i++) {
        keys[i % DATABASES] += model->keys[i].is_present;
        deadlines[i % DATABASES] += model->keys[i].deadline_us != 0;
    }
    for (uint8_t i = 0; i < DATABASES; i++) {
        assert_int_equal(store_count(model->store, i), keys[i]);
        assert_int_equal(store_count_deadlines(model->store, i), deadlines[i]);
    }
}

/* Another store gets the same contents by another way: another order, detours, lists from the back.
 */
static void copy_key(struct model *model, struct store *copy, const struct model_key *key)
{
    size_t end = key->value.size;
    if (!key->is_present)
        return;
    for (size_t i = key->elements; i-- > 0;) {
        end -= key->sizes[i];
        struct slice element = slice_of(key->value.at + end, key->sizes[i]);
        store_list_push(copy, &key->key, true, element);
    }
    if (!key->is_list) {
        size_t part = random_below(&model->random, key->value.size + 1);
        store_put_string(copy, &key->key, slice_of_text("another value"), 5);
        store_put_string(copy, &key->key, slice_of(key->value.at, part), 0);
        struct slice rest = slice_of(key->value.at + part, key->value.size - part);
        store_append_string(copy, &key->key, rest);
    }
    assert_true(store_set_deadline(copy, &key->key, key->deadline_us));
}

static void check_digest(struct model *model) /* STORE-2 */
{
    struct store *copy = store_create(model->seed * 77);
    for (unsigned i = KEYS; i-- > 0;) {
        if (random_below(&model->random, 2)) {
            store_put_string(copy, &model->keys[i].key, slice_of_text("gone"), 9);
            assert_true(store_remove(copy, &model->keys[i].key));
        }
        copy_key(model, copy, &model->keys[i]);
    }
    assert_true(store_digest(copy) == store_digest(model->store));
    store_destroy(copy);
}

struct met {
    struct store_key key;
    uint64_t hash;
};

static int compare_met(const struct met *a, const struct met *b)
{
    if (a->key.slot != b->key.slot)
        return a->key.slot < b->key.slot ? -1 : 1;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    size_t common = a->key.bytes.size < b->key.bytes.size ? a->key.bytes.size : b->key.bytes.size;
    return memcmp(a->key.bytes.at, b->key.bytes.at, common);
}

static void check_walk(struct model *model)
{
    struct store_entry *entries[STORE_WALK_MAX + 16];
    uint8_t databases[STORE_WALK_MAX + 16];
    uint64_t cursor = 0, total = 0;
    size_t count, max = random_below(&model->random, STORE_WALK_MAX) + 1;
    struct met last = {.hash = 0};
    do {
        cursor = store_walk(model->store, cursor, max, entries, databases, &count);
        for (size_t i = 0; i < count; i++, total++) {
            struct met met = {.key = store_key_of(databases[i], store_entry_key(entries[i]))};
            met.hash = store_key_hash(model->store, &met.key);
            assert_ptr_equal(store_find(model->store, &met.key), entries[i]);
            assert_true(total == 0 || compare_met(&last, &met) < 0);
            last = met;
        }
    } while (cursor);
    for (uint8_t i = 0; i < DATABASES; i++)
        total -= store_count(model->store, i);
    assert_int_equal(total, 0);
}

static void check_expired(struct model *model)
{
    struct store_key keys[EXPIRED_AT_ONCE];
    int64_t now = (int64_t)random_below(&model->random, 60) - 5, earliest = INT64_MAX;
    size_t expected = 0, found;
    for (unsigned i = 0; i < KEYS; i++) {
        int64_t deadline = model->keys[i].deadline_us;
        expected += deadline && deadline <= now;
        if (deadline && deadline < earliest)
            earliest = deadline;
    }
    assert_int_equal(store_next_deadline_us(model->store), earliest);
    found = store_find_expired(model->store, now, keys, EXPIRED_AT_ONCE);
    assert_int_equal(found, expected < EXPIRED_AT_ONCE ? expected : EXPIRED_AT_ONCE);
    int64_t last = INT64_MIN;
    for (size_t i = 0; i < found; i++) {
        const struct store_entry *entry = store_find(model->store, &keys[i]);
        assert_non_null(entry);
        assert_true(store_entry_deadline_us(entry) >= last);
        last = store_entry_deadline_us(entry);
        assert_true(last <= now);
    }
}

static void check_all(struct model *model)
{
    store_validate(model->store);
    for (unsigned i = 0; i < KEYS; i++)
        check_key(model, &model->keys[i]);
    check_counts(model);
    check_digest(model);
    check_walk(model);
    check_expired(model);
}

/* A hint about keys that are there or not: nothing is seen of it, and no byte outside is touched.
 */
static void look_ahead(struct model *model)
{
    struct store_ahead ahead = {.count = 0};
    size_t count = random_below(&model->random, STORE_PREFETCH_MAX + 1);
    for (size_t i = 0; i < count; i++)
        store_ahead_add(&ahead, model->store, &model->keys[random_below(&model->random, KEYS)].key);
    store_prefetch(&ahead);
}

static void run(uint64_t seed)
{
    struct model *model = memory_allocate(sizeof *model);
    model_init(model, seed);
    for (unsigned turn = 0; turn < OPERATIONS; turn++) {
        look_ahead(model);
        operate(model, turn);
        check_key(model, &model->keys[random_below(&model->random, KEYS)]);
        if (turn % 2500 == 2499)
            check_all(model);
    }
    for (unsigned i = 0; i < KEYS; i++)
        remove_key(model, &model->keys[i]);
    check_all(model);
    model_deinit(model);
    memory_free(model);
}

static void test_random_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++)
        run(seed);
}

static void test_digest_sees_every_part(void **state)
{
    struct store *store = store_create(3);
    struct store_key a = store_key_of(0, slice_of_text("a")), b = store_key_of(1, a.bytes);
    uint64_t seen[8];
    size_t count = 0;
    (void)state;
    seen[count++] = store_digest(store);
    store_put_string(store, &a, slice_of_text("x"), 0);
    seen[count++] = store_digest(store);
    store_put_string(store, &a, slice_of_text("y"), 0);
    seen[count++] = store_digest(store);
    store_put_string(store, &a, slice_of_text("y"), 1);
    seen[count++] = store_digest(store);
    assert_true(store_remove(store, &a));
    store_put_string(store, &b, slice_of_text("y"), 1);
    seen[count++] = store_digest(store);
    store_list_push(store, &a, true, slice_of_text("y"));
    seen[count++] = store_digest(store);
    store_list_push(store, &a, true, slice_of_text("z"));
    seen[count++] = store_digest(store);
    assert_true(store_remove(store, &a));
    store_list_push(store, &a, true, slice_of_text("z"));
    store_list_push(store, &a, true, slice_of_text("y"));
    seen[count++] = store_digest(store);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_digest_sees_every_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
