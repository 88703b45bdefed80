/* Hashes and sets: random operations beside a naive model, small and huge, growing and shrinking;
 * their order, their walks, and names whose hashes are equal. */
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

#define HASH_SEED 5
#define NAMES_MAX 20000
#define NAME_SIZE 32
#define VALUE_MAX 20000

struct name {
    struct slice bytes; /* owned */
    bool is_present;
    struct buffer value;
};

struct model {
    struct store *store;
    struct store_key key;
    enum store_type type;
    struct random random;
    struct name *names; /* owned */
    size_t name_count, present;
    unsigned large; /* of 1000 values, how many are larger than a leaf */
    uint8_t room[VALUE_MAX];
};

/* Of all sizes, the empty one too; some begin like others and some are longer than a leaf. */
static struct slice name_create(size_t i)
{
    size_t size = i % 500 == 499 ? 1500 : 0;
    char text[NAME_SIZE];
    size_t text_size = (size_t)snprintf(text, sizeof text, i % 3 ? "%zu" : "member:%08zu", i);
    if (i == 7)
        text_size = 0;
    if (size < text_size)
        size = text_size;
    uint8_t *bytes = memory_zeroed(1, size);
    memcpy(bytes, text, text_size);
    return slice_of(bytes, size);
}

static void model_init(struct model *model, uint64_t seed, enum store_type type, size_t names)
{
    *model = (struct model){.store = store_create(HASH_SEED), .type = type, .name_count = names};
    model->key = store_key_of(1, slice_of_text("members"));
    model->names = memory_zeroed(names, sizeof *model->names);
    random_init(&model->random, seed);
    for (size_t i = 0; i < names; i++) {
        model->names[i].bytes = name_create(i);
        buffer_init(&model->names[i].value, VALUE_MAX);
    }
}

static void model_deinit(struct model *model)
{
    for (size_t i = 0; i < model->name_count; i++) {
        memory_free((void *)(uintptr_t)model->names[i].bytes.at);
        buffer_deinit(&model->names[i].value);
    }
    memory_free(model->names);
    store_destroy(model->store);
}

static struct slice random_value(struct model *model)
{
    uint64_t dice = random_below(&model->random, 1000);
    size_t max = dice < model->large ? VALUE_MAX : dice < 800 ? 20 : 150;
    size_t size = model->type == STORE_SET ? 0 : random_below(&model->random, max);
    memset(model->room, (int)random_next(&model->random), size);
    return slice_of(model->room, size);
}

static void put(struct model *model, struct name *name)
{
    struct slice value = random_value(model);
    bool is_new = store_member_put(model->store, &model->key, model->type, name->bytes, value);
    assert_int_equal(is_new, !name->is_present);
    model->present += is_new;
    name->is_present = true;
    buffer_reset(&name->value);
    assert_int_equal(buffer_append(&name->value, value.at, value.size), STATUS_OK);
}

static void remove_name(struct model *model, struct name *name)
{
    bool removed = store_member_remove(model->store, &model->key, name->bytes);
    assert_int_equal(removed, name->is_present);
    model->present -= removed;
    name->is_present = false;
}

static struct store_entry *entry_of(const struct model *model)
{
    struct store_entry *entry = store_find(model->store, &model->key);
    assert_int_equal(entry != NULL, model->present > 0); /* no collection is empty */
    return entry;
}

static void check_name(const struct model *model, const struct name *name)
{
    struct slice value = slice_of(NULL, 1);
    struct store_entry *entry = entry_of(model);
    if (!entry)
        return;
    assert_int_equal(store_member_count(entry), model->present);
    bool found = store_member_find(model->store, entry, name->bytes, &value);
    assert_int_equal(found, name->is_present);
    assert_int_equal(store_member_find(model->store, entry, name->bytes, NULL), found);
    if (found)
        assert_true(slice_equal(value, slice_of_buffer(&name->value)));
}

static struct name *random_name(struct model *model)
{
    return &model->names[random_below(&model->random, model->name_count)];
}

/* A walk gives all members once, and the order of their indexes. */
static void check_walk(struct model *model, const struct store_entry *entry)
{
    struct store_member members[STORE_WALK_ROOM];
    uint64_t cursor = 0;
    size_t count, total = 0, max = random_below(&model->random, 2 * STORE_WALK_MAX);
    do {
        cursor = store_member_walk(model->store, entry, cursor, max, members, &count);
        for (size_t i = 0; i < count; i++, total++) {
            struct slice name, value, found;
            store_member_at(model->store, entry, total, &name, &value);
            assert_true(slice_equal(name, members[i].name));
            assert_true(slice_equal(value, members[i].value));
            assert_true(store_member_find(model->store, entry, name, &found));
            assert_true(slice_equal(value, found));
        }
        assert_true(count <= STORE_WALK_ROOM && (count > 0 || !cursor));
    } while (cursor);
    assert_int_equal(total, model->present);
}

/* STORE-2: another store gets the same members in another order, with detours. */
static void check_digest(struct model *model, const struct store_entry *entry)
{
    struct store *copy = store_create(HASH_SEED);
    for (size_t i = model->name_count; i-- > 0;) {
        const struct name *name = &model->names[i];
        bool is_detour = random_below(&model->random, 4) == 0;
        if (!name->is_present && !is_detour)
            continue;
        store_member_put(copy, &model->key, model->type, name->bytes,
                         model->type == STORE_HASH && is_detour ? slice_of_text("detour")
                                                                : slice_of_buffer(&name->value));
        if (!name->is_present)
            assert_true(store_member_remove(copy, &model->key, name->bytes));
        else
            store_member_put(copy, &model->key, model->type, name->bytes,
                             slice_of_buffer(&name->value));
    }
    store_validate(copy);
    assert_true(store_digest(copy) == store_digest(model->store));
    struct store_entry *other = store_find(copy, &model->key);
    for (size_t i = 0; i < model->present; i++) {
        struct slice name, same;
        store_member_at(model->store, entry, i, &name, NULL);
        store_member_at(copy, other, i, &same, NULL);
        assert_true(slice_equal(name, same));
    }
    store_destroy(copy);
}

static void check_all(struct model *model)
{
    const struct store_entry *entry = entry_of(model);
    store_validate(model->store);
    if (!entry)
        return;
    assert_int_equal(store_entry_type(entry), model->type);
    for (size_t i = 0; i < model->name_count; i++)
        check_name(model, &model->names[i]);
    check_walk(model, entry);
    check_digest(model, entry);
}

static void run(uint64_t seed, enum store_type type, size_t names, unsigned large)
{
    static struct model model;
    model_init(&model, seed, type, names);
    model.large = large;
    uint64_t empty = store_memory_bytes(model.store);
    for (size_t turn = 0; turn < 12 * names; turn++) {
        bool is_growing = turn / (2 * names) % 2 == 0;
        struct name *name = random_name(&model);
        if (random_below(&model.random, 10) < (is_growing ? 8 : 1))
            put(&model, name);
        else
            remove_name(&model, name);
        check_name(&model, random_name(&model));
        if (turn % (names + names / 3 + 1) == 0)
            check_all(&model);
    }
    for (size_t i = 0; i < names; i++)
        remove_name(&model, &model.names[i]);
    assert_true(store_memory_bytes(model.store) == empty);
    model_deinit(&model);
}

static void test_random_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        enum store_type type = seed % 2 ? STORE_HASH : STORE_SET;
        run(seed, type, 5, 0);
        run(seed, type, 40, seed == 3 ? 300 : 0);
        run(seed, type, 300, 20);
        run(seed, type, 3000, seed == 5 ? 50 : 0);
    }
    run(7, STORE_HASH, NAMES_MAX, 0);
    run(8, STORE_SET, NAMES_MAX, 0);
}

/* Members that are there throughout are met, whatever changes between two steps of a walk. */
static void test_walk_beside_changes(void **state)
{
    static struct model model;
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        model_init(&model, seed, STORE_SET, 2000);
        uint8_t *seen = memory_zeroed(model.name_count, 1);
        for (size_t i = 0; i < model.name_count; i += 2)
            put(&model, &model.names[i]);
        struct store_member members[STORE_WALK_ROOM];
        uint64_t cursor = 0;
        size_t count;
        do {
            cursor = store_member_walk(model.store, entry_of(&model), cursor, 10, members, &count);
            for (size_t i = 0; i < count; i++) {
                size_t at = 0;
                while (!slice_equal(model.names[at].bytes, members[i].name))
                    at++;
                seen[at]++;
            }
            for (size_t i = 0; i < 40; i++) { /* grows, then shrinks; only odd ones come and go */
                struct name *name = &model.names[random_below(&model.random, 1000) * 2 + 1];
                if (cursor >> 40 ? name->is_present : !name->is_present)
                    name->is_present ? remove_name(&model, name) : put(&model, name);
            }
        } while (cursor);
        for (size_t i = 0; i < model.name_count; i += 2)
            assert_int_equal(seen[i], 1);
        memory_free(seen);
        model_deinit(&model);
    }
}

static void test_any_cursor_is_harmless(void **state)
{
    static struct model model;
    struct store_member members[STORE_WALK_ROOM];
    size_t count;
    (void)state;
    model_init(&model, 3, STORE_HASH, 500);
    for (size_t i = 0; i < model.name_count; i++)
        put(&model, &model.names[i]);
    for (size_t i = 0; i < 5000; i++) {
        uint64_t cursor = random_next(&model.random) >> random_below(&model.random, 64);
        uint64_t next =
            store_member_walk(model.store, entry_of(&model), cursor, 7, members, &count);
        assert_true(count <= STORE_WALK_ROOM && next < (uint64_t)1 << 63);
    }
    store_member_walk(model.store, entry_of(&model), UINT64_MAX, 7, members, &count);
    assert_int_equal(count, 0);
    model_deinit(&model);
}

/* XXH3 multiplies the two halves of 16 bytes, each with a secret added: who knows the seed makes
 * one factor zero, and the other half no longer matters (test_crowd.c). */
static struct slice equal_name(char room[NAME_SIZE], size_t i)
{
    uint64_t secret;
    memcpy(&secret, XXH3_kSecret, sizeof secret);
    secret += HASH_SEED + STORE_DATABASES * 0x9e3779b97f4a7c15u;
    memcpy(room, &secret, sizeof secret);
    snprintf(room + sizeof secret, NAME_SIZE - sizeof secret, "%08zu...............", i);
    return slice_of(room, NAME_SIZE);
}

static size_t walk_counting(const struct store *store, const struct store_entry *entry, size_t max)
{
    struct store_member members[STORE_WALK_ROOM];
    uint64_t cursor = 0;
    size_t count, total = 0;
    do {
        cursor = store_member_walk(store, entry, cursor, max, members, &count);
        total += count;
    } while (cursor);
    return total;
}

static void test_equal_hashes(void **state)
{
    static const size_t counts[] = {2, 60, 79, 80, 81, 128, 3000};
    char room[NAME_SIZE];
    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        struct store *store = store_create(HASH_SEED);
        struct store_key key = store_key_of(0, slice_of_text("set"));
        for (size_t i = 0; i < counts[c]; i++)
            assert_true(
                store_member_put(store, &key, STORE_SET, equal_name(room, i), slice_of(NULL, 0)));
        for (size_t i = 0; i < 500; i++)
            store_member_put(store, &key, STORE_SET,
                             slice_of(room, (size_t)snprintf(room, sizeof room, "%zu", i)),
                             slice_of(NULL, 0));
        store_validate(store);
        const struct store_entry *entry = store_find(store, &key);
        assert_int_equal(walk_counting(store, entry, 1), counts[c] + 500);
        assert_int_equal(walk_counting(store, entry, 50), counts[c] + 500);
        for (size_t i = 0; i < counts[c]; i++) {
            assert_true(store_member_remove(store, &key, equal_name(room, i)));
            assert_false(store_member_remove(store, &key, equal_name(room, i)));
        }
        assert_int_equal(walk_counting(store, entry, 50), 500);
        store_validate(store);
        store_destroy(store);
    }
}

static void add_one(struct store *store, const char *name, const char *value)
{
    struct store_key key = store_key_of(0, slice_of_text("key"));
    if (value)
        store_member_put(store, &key, STORE_HASH, slice_of_text(name), slice_of_text(value));
    else
        store_member_put(store, &key, STORE_SET, slice_of_text(name), slice_of(NULL, 0));
}

static void test_digest_sees_every_part(void **state) /* STORE-2 */
{
    static const char *const contents[][2] = {
        {"a", NULL}, {"b", NULL}, {"a", ""},  {"a", "b"},
        {"b", "a"},  {"ab", ""},  {"", "ab"}, {"", ""},
    };
    uint64_t seen[16];
    size_t count = sizeof contents / sizeof *contents;
    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct store *store = store_create(HASH_SEED);
        add_one(store, contents[i][0], contents[i][1]);
        seen[i] = store_digest(store);
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
        store_destroy(store);
    }
}

/* A name that the store itself handed out may be removed by it. */
static void test_removing_by_borrowed_names(void **state)
{
    static struct model model;
    (void)state;
    model_init(&model, 4, STORE_HASH, 2000);
    for (size_t i = 0; i < model.name_count; i++)
        put(&model, &model.names[i]);
    while (model.present) {
        struct slice name;
        size_t index = random_below(&model.random, model.present);
        store_member_at(model.store, entry_of(&model), index, &name, NULL);
        assert_true(store_member_remove(model.store, &model.key, name));
        model.present--;
    }
    assert_null(store_find(model.store, &model.key));
    store_validate(model.store);
    model_deinit(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_walk_beside_changes),
        cmocka_unit_test(test_any_cursor_is_harmless),
        cmocka_unit_test(test_equal_hashes),
        cmocka_unit_test(test_digest_sees_every_part),
        cmocka_unit_test(test_removing_by_borrowed_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
