/* Sorted sets: random operations beside a plain array, small and huge, growing and shrinking;
 * ranks, ranges, walks and scans are compared with a sorted copy of it. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HASH_SEED 6
#define NAMES_MAX 10000

struct member {
    struct slice name; /* owned */
    double score;
    bool is_present;
};

struct model {
    struct store *store;
    struct store_key key;
    struct random random;
    struct member *members; /* owned */
    struct member **sorted; /* owned; what is present, when it was last needed */
    size_t member_count, present;
    unsigned scores; /* how many different ones, so that many are equal */
};

static struct slice name_create(size_t i)
{
    char text[32];
    size_t text_size = (size_t)snprintf(text, sizeof text, i % 4 ? "player:%zu" : "%zu", i);
    size_t size = i % 700 == 699 ? 2500 : i % 50 == 49 ? 150 : text_size;
    if (i == 5)
        size = text_size = 0;
    uint8_t *bytes = memory_zeroed(1, size);
    memcpy(bytes, text, text_size);
    return slice_of(bytes, size);
}

static void model_init(struct model *model, uint64_t seed, size_t members, unsigned scores)
{
    *model = (struct model){.store = store_create(HASH_SEED), .member_count = members};
    model->key = store_key_of(2, slice_of_text("scores"));
    model->scores = scores;
    model->members = memory_zeroed(members, sizeof *model->members);
    model->sorted = memory_zeroed(members, sizeof *model->sorted);
    random_init(&model->random, seed);
    for (size_t i = 0; i < members; i++)
        model->members[i].name = name_create(i);
}

static void model_deinit(struct model *model)
{
    for (size_t i = 0; i < model->member_count; i++)
        memory_free((void *)(uintptr_t)model->members[i].name.at);
    memory_free(model->members);
    memory_free(model->sorted);
    store_destroy(model->store);
}

static double random_score(struct model *model)
{
    uint64_t dice = random_below(&model->random, model->scores);
    static const double special[] = {0.0,  -0.0,   INFINITY, -INFINITY, 1e308,
                                     -1e9, 5e-324, -5e-324,  0.1,       -0.1};
    if (dice < sizeof special / sizeof *special)
        return special[dice];
    return ((double)dice - model->scores / 2.0) / 8;
}

static void put(struct model *model, struct member *member)
{
    double score = random_score(model);
    bool is_new = store_scored_put(model->store, &model->key, member->name, score);
    assert_int_equal(is_new, !member->is_present);
    model->present += is_new;
    member->is_present = true;
    member->score = score == 0 ? 0.0 : score;
}

static void remove_member(struct model *model, struct member *member)
{
    bool removed = store_scored_remove(model->store, &model->key, member->name);
    assert_int_equal(removed, member->is_present);
    model->present -= removed;
    member->is_present = false;
}

static struct member *random_member(struct model *model)
{
    return &model->members[random_below(&model->random, model->member_count)];
}

static struct store_entry *entry_of(const struct model *model)
{
    struct store_entry *entry = store_find(model->store, &model->key);
    assert_int_equal(entry != NULL, model->present > 0); /* no set is empty */
    return entry;
}

static int compare_names(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.at, b.at, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_members(const void *a, const void *b)
{
    const struct member *x = *(struct member *const *)a, *y = *(struct member *const *)b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return compare_names(x->name, y->name);
}

static void sort(struct model *model)
{
    size_t count = 0;
    for (size_t i = 0; i < model->member_count; i++)
        if (model->members[i].is_present)
            model->sorted[count++] = &model->members[i];
    assert_int_equal(count, model->present);
    qsort(model->sorted, count, sizeof *model->sorted, compare_members);
}

static void check_member(const struct model *model, const struct member *member)
{
    double score = -1;
    struct store_entry *entry = entry_of(model);
    if (!entry)
        return;
    assert_int_equal(store_scored_count(entry), model->present);
    bool found = store_scored_find(model->store, entry, member->name, &score);
    assert_int_equal(found, member->is_present);
    if (found)
        assert_memory_equal(&score, &member->score, sizeof score); /* never -0.0 */
}

static void check_walk(struct model *model, const struct store_entry *entry, size_t rank,
                       bool downwards)
{
    struct store_scored_walk walk;
    struct slice name;
    double score;
    size_t left = rank >= model->present ? 0 : downwards ? rank + 1 : model->present - rank;
    store_scored_walk_init(&walk, entry, rank, downwards);
    for (size_t at = rank; store_scored_walk_next(&walk, &name, &score); left--) {
        assert_true(left > 0);
        assert_true(slice_equal(name, model->sorted[at]->name));
        assert_true(score == model->sorted[at]->score);
        at = downwards ? at - 1 : at + 1;
    }
    assert_int_equal(left, 0);
}

static void check_below(struct model *model, const struct store_entry *entry, double score)
{
    size_t lower = 0, equal = 0;
    for (size_t i = 0; i < model->present; i++) {
        lower += model->sorted[i]->score < score;
        equal += model->sorted[i]->score == score;
    }
    assert_int_equal(store_scored_below(entry, score, false), lower);
    assert_int_equal(store_scored_below(entry, score, true), lower + equal);
}

static void check_scan(struct model *model, const struct store_entry *entry)
{
    struct store_member found[STORE_WALK_ROOM];
    uint64_t cursor = 0;
    size_t count, total = 0, max = random_below(&model->random, 2 * STORE_WALK_MAX);
    struct store *names = store_create(1);
    struct store_key key = store_key_of(0, slice_of_text("seen"));
    do {
        cursor = store_scored_scan(model->store, entry, cursor, max, found, &count);
        for (size_t i = 0; i < count; i++, total++) {
            double score = NAN;
            assert_true(store_scored_find(model->store, entry, found[i].name, &score));
            assert_true(score == found[i].score);
            assert_true(store_member_put(names, &key, STORE_SET, found[i].name, slice_of(NULL, 0)));
        }
    } while (cursor);
    assert_int_equal(total, model->present);
    store_destroy(names);
}

static void check_digest(struct model *model) /* STORE-2 */
{
    struct store *copy = store_create(HASH_SEED);
    for (size_t i = model->member_count; i-- > 0;) {
        const struct member *member = &model->members[i];
        if (random_below(&model->random, 3) == 0)
            store_scored_put(copy, &model->key, member->name, random_score(model));
        if (member->is_present)
            store_scored_put(copy, &model->key, member->name, member->score);
        else
            store_scored_remove(copy, &model->key, member->name);
    }
    store_set_deadline(copy, &model->key, store_entry_deadline_us(entry_of(model)));
    store_validate(copy);
    assert_true(store_digest(copy) == store_digest(model->store));
    store_destroy(copy);
}

static void check_all(struct model *model)
{
    const struct store_entry *entry = entry_of(model);
    store_validate(model->store);
    if (!entry)
        return;
    sort(model);
    for (size_t i = 0; i < model->member_count; i++)
        check_member(model, &model->members[i]);
    for (size_t i = 0; i < model->present; i++)
        assert_int_equal(store_scored_rank(model->store, entry, model->sorted[i]->name), i);
    check_walk(model, entry, 0, false);
    check_walk(model, entry, model->present - 1, true);
    for (size_t i = 0; i < 10; i++) {
        check_walk(model, entry, random_below(&model->random, model->present + 2), i % 2);
        check_below(model, entry, random_score(model));
    }
    check_scan(model, entry);
    check_digest(model);
}

static void run(uint64_t seed, size_t members, unsigned scores)
{
    static struct model model;
    model_init(&model, seed, members, scores);
    uint64_t empty = store_memory_bytes(model.store);
    for (size_t turn = 0; turn < 12 * members; turn++) {
        bool is_growing = turn / (2 * members) % 2 == 0;
        if (random_below(&model.random, 10) < (is_growing ? 8 : 1))
            put(&model, random_member(&model));
        else
            remove_member(&model, random_member(&model));
        check_member(&model, random_member(&model));
        if (turn % (members + members / 3 + 1) == 0)
            check_all(&model);
    }
    for (size_t i = 0; i < members; i++)
        remove_member(&model, &model.members[i]);
    assert_true(store_memory_bytes(model.store) == empty);
    model_deinit(&model);
}

static void test_random_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        run(seed, 6, 12);
        run(seed, 60, 1);
        run(seed, 110, 200);
        run(seed, 400, seed == 2 ? 1 : 50);
        run(seed, 2500, seed == 3 ? 12 : 100000);
    }
    run(7, NAMES_MAX, 1000);
}

/* ZRANGEBYLEX: all members have one score, and ranges are of bytes. */
static void test_below_a_member(void **state)
{
    static struct model model;
    (void)state;
    for (size_t members = 1; members <= 4000; members = members * 3 + 1) {
        model_init(&model, members, members, 1);
        for (size_t i = 0; i < members; i++)
            if (i % 3 != 1)
                put(&model, &model.members[i]);
        sort(&model);
        const struct store_entry *entry = entry_of(&model);
        for (size_t i = 0; i < members; i += members / 100 + 1) {
            struct slice name = model.members[i].name;
            size_t below = 0;
            while (below < model.present && compare_names(model.sorted[below]->name, name) < 0)
                below++;
            bool is_there = i % 3 != 1;
            assert_int_equal(store_scored_below_member(entry, name, false), below);
            assert_int_equal(store_scored_below_member(entry, name, true), below + is_there);
        }
        assert_int_equal(store_scored_below_member(entry, slice_of(NULL, 0), false), 0);
        model_deinit(&model);
    }
}

/* A member that is there throughout is met, whatever its score does and whatever form the set has:
 * it shrinks to a few members and grows again while it is walked. */
static void test_scan_beside_changes(void **state)
{
    static struct model model;
    struct store_member found[STORE_WALK_ROOM];
    size_t count;
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        model_init(&model, seed, 600, 50);
        size_t *seen = memory_zeroed(model.member_count, sizeof *seen);
        for (size_t i = 0; i < model.member_count; i++)
            put(&model, &model.members[i]);
        uint64_t cursor = 0;
        for (size_t step = 0; step == 0 || cursor; step++) {
            cursor = store_scored_scan(model.store, entry_of(&model), cursor, 2, found, &count);
            for (size_t i = 0; i < model.member_count; i++)
                for (size_t j = 0; j < count; j++)
                    seen[i] += slice_equal(model.members[i].name, found[j].name);
            for (size_t i = 0; i < model.member_count; i++) {
                if (i % 20 == 0 || step % 5 == 0)
                    put(&model, &model.members[i]);
                else if (step % 5 == 2 && model.members[i].is_present)
                    remove_member(&model, &model.members[i]);
            }
            store_validate(model.store);
        }
        for (size_t i = 0; i < model.member_count; i += 20)
            assert_int_equal(seen[i], 1);
        memory_free(seen);
        model_deinit(&model);
    }
}

/* Names that the store itself handed out, by a walk or by a scan. */
static void test_removing_by_borrowed_names(void **state)
{
    static struct model model;
    struct store_member found[STORE_WALK_ROOM];
    (void)state;
    model_init(&model, 3, 3000, 100);
    for (size_t i = 0; i < model.member_count; i++)
        put(&model, &model.members[i]);
    while (model.present) {
        struct store_scored_walk walk;
        struct slice name;
        double score;
        size_t count, rank = random_below(&model.random, model.present);
        store_scored_walk_init(&walk, entry_of(&model), rank, model.present % 2);
        assert_true(store_scored_walk_next(&walk, &name, &score));
        if (model.present % 3 == 0) {
            store_scored_scan(model.store, entry_of(&model), 0, 1, found, &count);
            name = found[0].name;
        }
        assert_true(store_scored_remove(model.store, &model.key, name));
        model.present--;
        if (model.present % 100 == 0)
            store_validate(model.store);
    }
    assert_null(store_find(model.store, &model.key));
    model_deinit(&model);
}

static void test_digest_sees_every_part(void **state) /* STORE-2 */
{
    static const struct {
        const char *name;
        double score;
    } contents[] = {{"a", 0}, {"b", 0},        {"a", 1},     {"a", -1},
                    {"", 0},  {"a", INFINITY}, {"a", 5e-324}};
    uint64_t seen[8];
    size_t count = sizeof contents / sizeof *contents;
    struct store_key key = store_key_of(0, slice_of_text("key"));
    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct store *store = store_create(HASH_SEED);
        store_scored_put(store, &key, slice_of_text(contents[i].name), contents[i].score);
        seen[i] = store_digest(store);
        for (size_t j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
        store_destroy(store);
    }
}

static void test_sets_keep_their_deadline(void **state)
{
    static struct model model;
    (void)state;
    model_init(&model, 3, 1000, 100);
    for (size_t i = 0; i < model.member_count; i++) {
        put(&model, &model.members[i]);
        if (i == 3)
            assert_true(store_set_deadline(model.store, &model.key, 99));
    }
    assert_int_equal(store_entry_deadline_us(entry_of(&model)), 99);
    check_all(&model);
    assert_true(store_remove(model.store, &model.key));
    assert_int_equal(store_count_deadlines(model.store, 2), 0);
    model_deinit(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_below_a_member),
        cmocka_unit_test(test_scan_beside_changes),
        cmocka_unit_test(test_removing_by_borrowed_names),
        cmocka_unit_test(test_digest_sees_every_part),
        cmocka_unit_test(test_sets_keep_their_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
