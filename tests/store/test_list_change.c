/* Lists that change in the middle: random operations beside a plain array, through phases of growth
 * and of shrinking, and the same contents by another way. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ELEMENT_MAX 30000
#define LENGTH_MAX  6000
#define HASH_SEED   9

struct element {
    uint8_t *bytes; /* owned */
    size_t size;
};

struct model {
    struct store *store;
    struct store_key key;
    struct random random;
    struct element elements[LENGTH_MAX];
    size_t length;
    unsigned large; /* of 1000 elements, how many are larger than a leaf */
    uint8_t room[ELEMENT_MAX];
};

static void model_init(struct model *model, uint64_t seed, unsigned large)
{
    model->store = store_create(HASH_SEED);
    model->key = store_key_of(3, slice_of_text("list"));
    model->length = 0;
    model->large = large;
    random_init(&model->random, seed);
}

static struct slice random_element(struct model *model)
{
    bool is_large = random_below(&model->random, 1000) < model->large;
    uint64_t dice = random_below(&model->random, 100);
    size_t max = is_large ? ELEMENT_MAX : dice < 80 ? 30 : dice < 96 ? 200 : 1500;
    size_t size = random_below(&model->random, max);
    uint8_t first = (uint8_t)random_next(&model->random);
    for (size_t i = 0; i < size; i++)
        model->room[i] = (uint8_t)(first + i * 7);
    return slice_of(model->room, size);
}

static void model_insert(struct model *model, size_t index, struct slice bytes)
{
    struct element *at = &model->elements[index];
    memmove(at + 1, at, (model->length - index) * sizeof *at);
    at->bytes = memory_allocate(bytes.size);
    at->size = bytes.size;
    memcpy(at->bytes, bytes.at, bytes.size);
    model->length++;
}

static void model_remove(struct model *model, size_t index)
{
    struct element *at = &model->elements[index];
    memory_free(at->bytes);
    model->length--;
    memmove(at, at + 1, (model->length - index) * sizeof *at);
}

static struct slice model_at(const struct model *model, size_t index)
{
    return slice_of(model->elements[index].bytes, model->elements[index].size);
}

static void model_deinit(struct model *model)
{
    while (model->length)
        model_remove(model, model->length - 1);
    store_destroy(model->store);
}

/* Near the last place more often than not: leaves fill and empty. */
static size_t random_index(struct model *model, size_t bound)
{
    uint64_t dice = random_below(&model->random, 10);
    if (dice == 0)
        return 0;
    if (dice == 1)
        return bound - 1;
    return random_below(&model->random, dice < 5 ? bound : bound / 3 + 1);
}

static void push(struct model *model)
{
    bool at_head = random_below(&model->random, 2);
    struct slice bytes = random_element(model);
    size_t length = store_list_push(model->store, &model->key, at_head, bytes);
    model_insert(model, at_head ? 0 : model->length, bytes);
    assert_int_equal(length, model->length);
}

static void insert(struct model *model)
{
    struct slice bytes = random_element(model);
    if (!model->length) {
        push(model);
        return;
    }
    size_t index = random_index(model, model->length + 1);
    store_list_insert(model->store, &model->key, index, bytes);
    model_insert(model, index, bytes);
}

static void replace(struct model *model)
{
    struct slice bytes = random_element(model);
    if (!model->length)
        return;
    size_t index = random_index(model, model->length);
    store_list_replace(model->store, &model->key, index, bytes);
    model_remove(model, index);
    model_insert(model, index, bytes);
}

static void remove_one(struct model *model)
{
    if (!model->length)
        return;
    size_t index = random_index(model, model->length);
    store_list_remove(model->store, &model->key, index);
    model_remove(model, index);
}

static void pop(struct model *model)
{
    bool at_head = random_below(&model->random, 2), is_wanted = random_below(&model->random, 2);
    size_t index = at_head || !model->length ? 0 : model->length - 1;
    struct buffer out;
    buffer_init(&out, ELEMENT_MAX + 1);
    assert_int_equal(buffer_append(&out, "x", 1), STATUS_OK);
    bool popped = store_list_pop(model->store, &model->key, at_head, is_wanted ? &out : NULL);
    assert_int_equal(popped, model->length > 0);
    if (popped && is_wanted) {
        struct slice behind = slice_of(out.at + 1, out.size - 1);
        assert_true(slice_equal(behind, model_at(model, index)));
    } else {
        assert_int_equal(out.size, 1);
    }
    if (popped)
        model_remove(model, index);
    buffer_deinit(&out);
}

static void keep(struct model *model)
{
    if (!model->length)
        return;
    size_t first = random_below(&model->random, model->length / 8 + 1);
    size_t last = model->length - 1 - random_below(&model->random, model->length / 8 + 1);
    if (last < first)
        last = first;
    store_list_keep(model->store, &model->key, first, last);
    while (model->length > last + 1)
        model_remove(model, model->length - 1);
    for (; first; first--)
        model_remove(model, 0);
}

static void operate(struct model *model, bool is_growing)
{
    uint64_t dice = random_below(&model->random, 1000);
    if (model->length == LENGTH_MAX || dice < (is_growing ? 1u : 3u))
        keep(model);
    else if (dice < (is_growing ? 700u : 200u))
        random_below(&model->random, 3) ? insert(model) : push(model);
    else if (dice < 800)
        random_below(&model->random, 3) ? remove_one(model) : pop(model);
    else
        replace(model);
}

static void check_one(struct model *model)
{
    const struct store_entry *entry = store_find(model->store, &model->key);
    assert_int_equal(entry != NULL, model->length > 0); /* no list is empty */
    if (!entry)
        return;
    size_t index = random_below(&model->random, model->length);
    assert_int_equal(store_list_length(entry), model->length);
    assert_true(slice_equal(store_list_at(entry, index), model_at(model, index)));
}

static void check_walk(const struct model *model, const struct store_entry *entry, size_t index)
{
    struct store_list_walk walk;
    struct slice element;
    store_list_walk_init(&walk, entry, index);
    for (; store_list_walk_next(&walk, &element); index++)
        assert_true(slice_equal(element, model_at(model, index)));
    assert_int_equal(index, model->length);
}

/* The same list, pushed alone, in a new store. */
static void check_digest(const struct model *model) /* STORE-2 */
{
    struct store *copy = store_create(HASH_SEED);
    for (size_t i = 0; i < model->length; i++)
        store_list_push(copy, &model->key, false, model_at(model, i));
    assert_true(store_digest(copy) == store_digest(model->store));
    store_destroy(copy);
}

static void check_all(struct model *model)
{
    const struct store_entry *entry = store_find(model->store, &model->key);
    store_validate(model->store);
    check_digest(model);
    assert_int_equal(store_count(model->store, 3), model->length > 0);
    if (!entry)
        return;
    check_walk(model, entry, 0);
    check_walk(model, entry, random_below(&model->random, model->length));
}

static void run(uint64_t seed, unsigned large, unsigned phase)
{
    static struct model model;
    model_init(&model, seed, large);
    uint64_t empty = store_memory_bytes(model.store);
    for (unsigned turn = 0; turn < 10 * phase; turn++) {
        operate(&model, turn / phase % 2 == 0);
        check_one(&model);
        if (turn % 1009 == 0)
            check_all(&model);
    }
    while (model.length) {
        remove_one(&model);
        if (model.length % 101 == 0)
            check_all(&model);
    }
    assert_true(store_memory_bytes(model.store) == empty);
    model_deinit(&model);
}

static void test_random_changes(void **state)
{
    (void)state;
    run(1, 0, 3000);
    run(2, 5, 3000);
    run(3, 300, 1500);
    run(4, 0, 60);
    run(5, 40, 300);
}

static struct slice number(char *room, size_t value)
{
    return slice_of(room, (size_t)snprintf(room, 24, "%zu", value));
}

/* What is put in at one place, over and over, does not leave leaves of single elements behind. */
static void test_one_place_stays_packed(void **state)
{
    char room[24];
    (void)state;
    for (size_t where = 0; where < 3; where++) {
        struct store *store = store_create(1);
        struct store_key key = store_key_of(0, slice_of_text("list"));
        store_list_push(store, &key, true, slice_of_text("first"));
        store_list_push(store, &key, false, slice_of_text("last"));
        for (size_t i = 0; i < 20000; i++) {
            size_t length = i + 2, index = where == 0 ? 1 : where == 1 ? length - 1 : length / 2;
            store_list_insert(store, &key, index, number(room, 10000 + i));
        }
        store_validate(store);
        assert_true(store_memory_bytes(store) < 20000 * 6 * 7 / 4 + 4096);
        for (size_t i = 20000; i > 100; i--)
            store_list_remove(store, &key, (i * 7919) % i);
        store_validate(store);
        assert_true(store_memory_bytes(store) < 8192);
        store_destroy(store);
    }
}

/* Giants have leaves of their own; what comes in front of one, and what was divided for one that
 * has gone, is packed all the same. */
static void test_giants_leave_no_gaps(void **state)
{
    static uint8_t giant[5000];
    struct store *store = store_create(1);
    struct store_key key = store_key_of(0, slice_of_text("list"));
    char room[24];
    (void)state;
    store_list_push(store, &key, true, slice_of_text("first"));
    store_list_push(store, &key, false, slice_of(giant, sizeof giant));
    for (size_t i = 0; i < 3000; i++)
        store_list_insert(store, &key, i + 1, number(room, 10000 + i));
    store_validate(store);
    assert_true(store_memory_bytes(store) < 40000);
    for (size_t i = 0; i < 2000; i++) { /* upwards, then downwards */
        size_t index = i < 1000 ? i * 3 : (2000 - i) * 3;
        store_list_insert(store, &key, index, slice_of(giant, sizeof giant));
        store_list_remove(store, &key, index);
        assert_true(store_memory_bytes(store) < 40000);
    }
    store_validate(store);
    store_destroy(store);
}

/* A queue needs memory for what is in it, however much has gone through. */
static void test_a_queue_stays_small(void **state)
{
    struct store *store = store_create(1);
    struct store_key key = store_key_of(0, slice_of_text("queue"));
    struct buffer out;
    char room[24];
    size_t popped = 0;
    (void)state;
    buffer_init(&out, 64);
    for (size_t i = 0; i < 100000; i++) {
        bool is_draining = i / 1000 % 2;
        store_list_push(store, &key, false, number(room, i));
        for (size_t left = is_draining ? 2 : 0; left && popped <= i; left--) {
            buffer_reset(&out);
            if (!store_list_pop(store, &key, true, &out))
                break;
            assert_true(slice_equal(slice_of_buffer(&out), number(room, popped++)));
        }
        assert_true(i < 3000 || store_memory_bytes(store) < 24000);
    }
    store_validate(store);
    buffer_deinit(&out);
    store_destroy(store);
}

/* Nor is all of it moved each time: where its end is full, it moves to the front as a whole. */
static void test_a_queue_seldom_moves(void **state)
{
    struct store *store = store_create(1);
    struct store_key key = store_key_of(0, slice_of_text("queue"));
    size_t moves = 0;
    (void)state;
    for (size_t i = 0; i < 100; i++)
        store_list_push(store, &key, false, slice_of_text("element"));
    const struct store_entry *entry = store_find(store, &key);
    for (size_t i = 0; i < 5000; i++) {
        const uint8_t *last = store_list_at(entry, 99).at;
        assert_true(store_list_pop(store, &key, true, NULL));
        store_list_push(store, &key, false, slice_of_text("element"));
        moves += store_list_at(entry, 98).at != last;
    }
    assert_true(moves < 500);
    store_destroy(store);
}

static void test_keeping_part_of_a_long_list(void **state)
{
    struct store *store = store_create(1);
    struct store_key key = store_key_of(0, slice_of_text("list"));
    char room[24];
    (void)state;
    for (size_t i = 0; i < 300000; i++)
        store_list_push(store, &key, false, number(room, i));
    store_list_keep(store, &key, 0, 299999);
    store_list_keep(store, &key, 100000, 200099);
    const struct store_entry *entry = store_find(store, &key);
    assert_int_equal(store_list_length(entry), 100100);
    assert_true(slice_equal(store_list_at(entry, 5), number(room, 100005)));
    store_validate(store);
    store_list_keep(store, &key, 50, 50);
    assert_true(slice_equal(store_list_at(entry, 0), number(room, 100050)));
    store_validate(store);
    assert_true(store_memory_bytes(store) < 4096);
    store_list_remove(store, &key, 0);
    assert_null(store_find(store, &key));
    store_destroy(store);
}

static void test_changed_lists_keep_their_deadline(void **state)
{
    struct store *store = store_create(1);
    struct store_key key = store_key_of(0, slice_of_text("list"));
    (void)state;
    store_list_push(store, &key, false, slice_of_text("a"));
    assert_true(store_set_deadline(store, &key, 77));
    store_list_insert(store, &key, 1, slice_of_text("b"));
    store_list_replace(store, &key, 0, slice_of_text("c"));
    assert_true(store_list_pop(store, &key, true, NULL));
    assert_int_equal(store_entry_deadline_us(store_find(store, &key)), 77);
    store_validate(store);
    assert_true(store_list_pop(store, &key, false, NULL));
    assert_false(store_list_pop(store, &key, false, NULL));
    assert_int_equal(store_count_deadlines(store, 0), 0);
    store_validate(store);
    store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_changes),
        cmocka_unit_test(test_one_place_stays_packed),
        cmocka_unit_test(test_giants_leave_no_gaps),
        cmocka_unit_test(test_a_queue_stays_small),
        cmocka_unit_test(test_a_queue_seldom_moves),
        cmocka_unit_test(test_keeping_part_of_a_long_list),
        cmocka_unit_test(test_changed_lists_keep_their_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
