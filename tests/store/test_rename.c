/* Values of all types change their keys and are copied. Each key's value is known as a recipe, how
 * it was made and in how many steps it was changed since: a store that is cooked anew from the
 * recipes must have the same digest, so a copy shares nothing with what it was copied from. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HASH_SEED     3
#define KEYS          24
#define KINDS         7
#define WIDE_KEY_SIZE 70000
#define STRING_MAX    40000

struct recipe {
    struct store_key key;
    uint8_t *name; /* owned */
    bool is_present;
    unsigned kind, size, steps;
    int64_t deadline_us;
};

struct model {
    struct store *store;
    struct random random;
    struct recipe recipes[KEYS];
    uint8_t text[STRING_MAX];
};

static void model_init(struct model *model, uint64_t seed)
{
    model->store = store_create(HASH_SEED);
    random_init(&model->random, seed);
    for (unsigned i = 0; i < KEYS; i++) {
        struct recipe *recipe = &model->recipes[i];
        *recipe = (struct recipe){.name = memory_zeroed(1, WIDE_KEY_SIZE)};
        size_t size =
            (size_t)snprintf((char *)recipe->name, 32, i % 2 ? "{tag}%u" : "key:%u", i / 3);
        if (i / 3 == 5)
            size = WIDE_KEY_SIZE;
        recipe->key = store_key_of((uint8_t)(i % 3), slice_of(recipe->name, size));
    }
    for (size_t i = 0; i < sizeof model->text; i++)
        model->text[i] = (uint8_t)(i * 7 + i / 256);
}

static void model_deinit(struct model *model)
{
    for (unsigned i = 0; i < KEYS; i++)
        memory_free(model->recipes[i].name);
    store_destroy(model->store);
}

static struct slice number(char room[24], unsigned value)
{
    return slice_of(room, (size_t)snprintf(room, 24, "%u", value * 2654435761u));
}

/* The element or member number `i` of a collection. */
static void add(const struct model *model, struct store *store, const struct recipe *recipe,
                unsigned i)
{
    char room[24];
    struct slice name = number(room, i);
    const struct store_key *key = &recipe->key;
    switch (recipe->kind) {
    case 2: store_list_push(store, key, i % 2, name); break;
    case 3: store_member_put(store, key, STORE_HASH, name, slice_of(model->text, i % 300)); break;
    case 4: store_member_put(store, key, STORE_SET, name, slice_of(NULL, 0)); break;
    case 5: store_scored_put(store, key, name, (double)(i % 17)); break;
    case 6: store_scored_put(store, key, name, -(double)i); break;
    default: store_append_string(store, key, name); break;
    }
}

static void cook(const struct model *model, struct store *store, const struct recipe *recipe)
{
    if (recipe->kind == 0)
        store_put_string(store, &recipe->key, slice_of(model->text, recipe->size % 100), 0);
    if (recipe->kind == 1)
        store_put_string(store, &recipe->key, slice_of(model->text, recipe->size * 20), 0);
    for (unsigned i = 0; recipe->kind > 1 && i < recipe->size; i++)
        add(model, store, recipe, i);
}

static void step(const struct model *model, struct store *store, const struct recipe *recipe,
                 unsigned i)
{
    char room[24];
    add(model, store, recipe, 100000 + i);
    if (recipe->kind == 2)
        store_list_replace(store, &recipe->key, 0, slice_of(model->text, i));
    if (recipe->kind == 3 || recipe->kind == 4)
        store_member_remove(store, &recipe->key, number(room, i));
    if (recipe->kind > 4)
        store_scored_put(store, &recipe->key, number(room, i), i);
}

static struct recipe *random_recipe(struct model *model)
{
    return &model->recipes[random_below(&model->random, KEYS)];
}

static void forget(struct recipe *recipe)
{
    *recipe = (struct recipe){.key = recipe->key, .name = recipe->name};
}

static void make(struct model *model, struct recipe *recipe)
{
    static const unsigned sizes[] = {1, 9, 60, 120, 1900};
    store_remove(model->store, &recipe->key);
    forget(recipe);
    recipe->is_present = true;
    recipe->kind = (unsigned)random_below(&model->random, KINDS);
    recipe->size = sizes[random_below(&model->random, 5)];
    cook(model, model->store, recipe);
    if (random_below(&model->random, 2)) {
        recipe->deadline_us = (int64_t)random_below(&model->random, 40) - 3;
        assert_true(store_set_deadline(model->store, &recipe->key, recipe->deadline_us));
    }
}

static void change(struct model *model, struct recipe *recipe)
{
    if (recipe->is_present)
        step(model, model->store, recipe, recipe->steps++);
}

static void clear(struct model *model)
{
    uint64_t database = random_below(&model->random, 4);
    if (database == 3)
        store_clear(model->store);
    else
        store_clear_database(model->store, (uint8_t)database);
    for (unsigned i = 0; i < KEYS; i++)
        if (database == 3 || i % 3 == database)
            forget(&model->recipes[i]);
}

/* A hint about values of all types changes nothing. */
static void look_ahead(struct model *model)
{
    struct store_ahead ahead = {.count = 0};
    while (!store_ahead_is_full(&ahead))
        store_ahead_add(&ahead, model->store, &random_recipe(model)->key);
    store_prefetch(&ahead);
}

static void take_over(struct recipe *to, const struct recipe *from)
{
    to->is_present = true;
    to->kind = from->kind;
    to->size = from->size;
    to->steps = from->steps;
    to->deadline_us = from->deadline_us;
}

static void rename_or_copy(struct model *model, bool is_copy)
{
    struct recipe *from = random_recipe(model), *to = random_recipe(model);
    if (from == to || !from->is_present)
        return;
    take_over(to, from);
    if (is_copy) {
        store_copy(model->store, &from->key, &to->key);
        return;
    }
    store_rename(model->store, &from->key, &to->key);
    forget(from);
    assert_null(store_find(model->store, &from->key));
}

static void check_all(struct model *model)
{
    struct store *anew = store_create(HASH_SEED);
    store_validate(model->store);
    for (unsigned i = 0; i < KEYS; i++) {
        const struct recipe *recipe = &model->recipes[i];
        const struct store_entry *entry = store_find(model->store, &recipe->key);
        assert_int_equal(entry != NULL, recipe->is_present);
        if (!entry)
            continue;
        assert_true(slice_equal(store_entry_key(entry), recipe->key.bytes));
        assert_int_equal(store_entry_deadline_us(entry), recipe->deadline_us);
        cook(model, anew, recipe);
        for (unsigned j = 0; j < recipe->steps; j++)
            step(model, anew, recipe, j);
        store_set_deadline(anew, &recipe->key, recipe->deadline_us);
    }
    for (uint8_t i = 0; i < 3; i++) {
        assert_int_equal(store_count(anew, i), store_count(model->store, i));
        assert_int_equal(store_count_deadlines(anew, i), store_count_deadlines(model->store, i));
    }
    assert_int_equal(store_next_deadline_us(anew), store_next_deadline_us(model->store));
    assert_true(store_digest(anew) == store_digest(model->store));
    store_destroy(anew);
}

static void test_random_renames_and_copies(void **state)
{
    static struct model model;
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        model_init(&model, seed);
        for (unsigned turn = 0; turn < 2000; turn++) {
            uint64_t dice = random_below(&model.random, 10);
            look_ahead(&model);
            if (dice < 2)
                make(&model, random_recipe(&model));
            else if (dice < 6)
                change(&model, random_recipe(&model));
            else
                rename_or_copy(&model, dice < 8);
            if (turn % 331 == 330)
                clear(&model);
            if (turn % 151 == 0)
                check_all(&model);
        }
        check_all(&model);
        model_deinit(&model);
    }
}

/* A large value changes its key without being touched: nothing of it is allocated again. */
static void test_renaming_moves_nothing(void **state)
{
    struct store *store = store_create(1);
    struct store_key from = store_key_of(0, slice_of_text("from"));
    struct store_key to = store_key_of(9, slice_of_text("to"));
    char room[24];
    (void)state;
    for (unsigned i = 0; i < 50000; i++)
        store_list_push(store, &from, false, number(room, i));
    uint64_t before = store_memory_bytes(store);
    const uint8_t *element = store_list_at(store_find(store, &from), 25000).at;
    store_rename(store, &from, &to);
    assert_ptr_equal(store_list_at(store_find(store, &to), 25000).at, element);
    assert_true(store_memory_bytes(store) < before + 4096); /* the new slot has its page */
    store_copy(store, &to, &from);
    assert_ptr_not_equal(store_list_at(store_find(store, &from), 25000).at, element);
    store_validate(store);
    store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_renames_and_copies),
        cmocka_unit_test(test_renaming_moves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
