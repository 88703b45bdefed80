/* The point-in-time view (STORE-4): random writes go on while it is taken; what it gives, loaded
 * into an empty store, is what the store was when it began. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"
#include "tests/store/writes.h"

#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PLENTY ((size_t)1 << 30)

/* ---- one view, taken in pieces ---- */

struct taken {
    struct buffer bytes;
    uint64_t keys, content;
    struct store_position next; /* where the next piece must begin */
};

static void taken_init(struct taken *taken)
{
    *taken = (struct taken){.keys = 0};
    buffer_init(&taken->bytes, PLENTY);
}

/* False at the end of `slot_last`. */
static bool take_piece(struct store_view *view, uint16_t slot_last, size_t size_max,
                       struct taken *taken)
{
    struct store_piece piece;
    enum status status = store_view_next(view, slot_last, size_max, &taken->bytes, &piece);
    if (status == STATUS_END) {
        assert_true(taken->next.slot > slot_last);
        return false;
    }
    assert_int_equal(status, STATUS_OK);
    assert_int_equal(piece.first.slot, taken->next.slot);
    assert_true(piece.first.hash == taken->next.hash);
    assert_true(piece.last.slot <= slot_last);
    taken->next = (struct store_position){piece.last.slot, piece.last.hash + 1};
    if (!taken->next.hash)
        taken->next.slot++;
    taken->keys += piece.keys;
    taken->content += piece.content;
    return true;
}

static uint64_t count_all(const struct store *store)
{
    uint64_t keys = 0;
    for (uint8_t i = 0; i < STORE_DATABASES; i++)
        keys += store_count(store, i);
    return keys;
}

static void check_taken(const struct taken *taken, uint64_t seed, uint64_t digest)
{
    struct store *copy = store_create(seed);
    uint64_t keys = 0, content = 0;
    struct slice records = slice_of_buffer(&taken->bytes);
    assert_int_equal(store_load(copy, records, &keys, &content), STATUS_OK);
    store_validate(copy);
    assert_true(store_digest(copy) == digest);
    assert_int_equal(keys, taken->keys);
    assert_int_equal(count_all(copy), keys);
    assert_true(content == taken->content);
    assert_true(store_content(copy, 0, STORE_SLOTS - 1) == content);
    store_destroy(copy);
}

/* ---- random writes beside it ---- */

struct run {
    uint64_t seed;
    unsigned before;        /* writes before the view begins */
    unsigned between;       /* at most so many between two pieces */
    size_t size_max;        /* of a piece */
    uint32_t clears_in;     /* one of so many writes empties something; 0: none */
    unsigned names, crowds; /* keys; how many of ten of them share one slot */
};

static void run_view(const struct run *run)
{
    struct writes writes;
    struct taken taken;
    writes_init(&writes, run->seed, run->names, run->crowds);
    for (unsigned i = 0; i < run->before; i++)
        writes_one(&writes);
    writes.clears_in = run->clears_in;
    uint64_t digest = store_digest(writes.store), seed = writes.hash_seed;
    uint64_t content = store_content(writes.store, 0, STORE_SLOTS - 1);
    struct store_view *view = store_view_begin(writes.store, PLENTY);
    taken_init(&taken);
    while (taken.next.slot < STORE_SLOTS) {
        uint64_t count = random_below(&writes.random, run->between + 1);
        for (uint64_t i = 0; i < count; i++)
            writes_one(&writes);
        uint64_t step = random_below(&writes.random, 4) ? 512 : STORE_SLOTS;
        uint64_t slot_last = (taken.next.slot / step + 1) * step - 1;
        size_t size_max = random_below(&writes.random, run->size_max);
        assert_true(take_piece(view, (uint16_t)slot_last, size_max, &taken));
    }
    for (unsigned i = 0; i < 2000; i++)
        writes_one(&writes); /* behind the cursor nothing is kept */
    assert_true(store_view_memory_bytes(view) < (run->clears_in ? PLENTY : 64 << 10));
    assert_false(take_piece(view, STORE_SLOTS - 1, 1, &taken));
    store_view_end(view);
    assert_true(taken.content == content);
    check_taken(&taken, seed, digest);
    store_validate(writes.store);
    buffer_deinit(&taken.bytes);
    writes_deinit(&writes);
}

static void what_the_view_gives_is_what_was(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        run_view(&(struct run){seed, 3000, 40, 3000, 0, 1500, 3});
        run_view(&(struct run){seed, 2000, 200, 20000, 400, 1000, 0});
        run_view(&(struct run){seed, 4000, 60, 4000, 3000, 1500, 10});
        run_view(&(struct run){seed, 30, 400, 50, 0, 2000, 5}); /* nearly all is new */
    }
    run_view(&(struct run){99, 0, 300, 50, 0, 100, 5});
    run_view(&(struct run){99, 500, 0, 50, 0, 100, 5});
}

static void an_empty_store_has_an_empty_view(void **state)
{
    struct store *store = store_create(1);
    struct store_view *view = store_view_begin(store, PLENTY);
    struct taken taken;
    (void)state;
    taken_init(&taken);
    while (take_piece(view, STORE_SLOTS - 1, 100, &taken))
        ;
    assert_int_equal(taken.bytes.size, 0);
    store_view_end(view);
    store_destroy(store);
}

/* What views that ended early have marked deceives none of those that follow. */
static void views_that_ended_early_leave_nothing(void **state)
{
    struct writes writes;
    struct taken taken;
    (void)state;
    writes_init(&writes, 17, 600, 3);
    for (unsigned i = 0; i < 3000; i++)
        writes_one(&writes);
    for (unsigned round = 0; round < 100; round++) {
        while (!store_view_may_begin(writes.store))
            writes_one(&writes);
        uint64_t digest = store_digest(writes.store);
        struct store_view *view = store_view_begin(writes.store, PLENTY);
        bool is_whole = round % 33 > 29; /* three in a row, and thirty that are not */
        size_t pieces = is_whole ? SIZE_MAX : random_below(&writes.random, 4);
        taken_init(&taken);
        for (size_t i = 0; i < pieces && take_piece(view, STORE_SLOTS - 1, 2000, &taken); i++)
            for (unsigned j = 0; j < 30; j++)
                writes_one(&writes);
        for (unsigned j = 0; j < 30; j++)
            writes_one(&writes);
        store_view_end(view);
        if (is_whole)
            check_taken(&taken, writes.hash_seed, digest);
        buffer_deinit(&taken.bytes);
    }
    writes_deinit(&writes);
}

/* FLUSHALL in the middle costs nothing and hides nothing; writes after it are not seen. */
static void clearing_hands_the_tables_over(void **state)
{
    struct writes writes;
    struct taken taken;
    (void)state;
    writes_init(&writes, 5, 500, 3);
    for (unsigned i = 0; i < 2000; i++)
        writes_one(&writes);
    uint64_t digest = store_digest(writes.store);
    struct store_view *view = store_view_begin(writes.store, PLENTY);
    taken_init(&taken);
    assert_true(take_piece(view, STORE_SLOTS - 1, 1000, &taken));
    uint64_t aside = store_view_memory_bytes(view), before = store_memory_bytes(writes.store);
    store_clear(writes.store);
    assert_int_equal(count_all(writes.store), 0);
    assert_true(store_view_memory_bytes(view) >= aside + before);
    for (unsigned i = 0; i < 500; i++)
        writes_one(&writes);
    store_clear(writes.store);
    while (take_piece(view, STORE_SLOTS - 1, 1000, &taken))
        ;
    store_view_end(view);
    check_taken(&taken, writes.hash_seed, digest);
    buffer_deinit(&taken.bytes);
    writes_deinit(&writes);
}

static void past_its_bound_it_is_given_up(void **state)
{
    struct store *store = store_create(2);
    struct store_view *view = NULL;
    struct store_piece piece;
    struct buffer out;
    char name[32];
    (void)state;
    buffer_init(&out, PLENTY);
    for (unsigned i = 0; i < 40000; i++) {
        snprintf(name, sizeof name, "key%u", i % 20000);
        struct store_key key = store_key_of(0, slice_of_text(name));
        store_put_string(store, &key, slice_of_text("v"), 0);
        if (i == 19999)
            view = store_view_begin(store, 200000);
        assert_true(!view || store_view_memory_bytes(view) < 300000);
    }
    assert_int_equal(store_view_next(view, 5, 1, &out, &piece), STATUS_TOO_LARGE);
    assert_int_equal(store_view_next(view, 5, 1, &out, &piece), STATUS_TOO_LARGE);
    assert_int_equal(store_count(store, 0), 20000);
    store_clear(store);
    store_view_end(view);
    view = store_view_begin(store, 200000); /* another one may follow */
    assert_int_equal(store_view_next(view, STORE_SLOTS - 1, 1, &out, &piece), STATUS_OK);
    store_view_end(view);
    buffer_deinit(&out);
    store_destroy(store);
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
    struct store *store = store_create(2);
    struct store_key key = store_key_of(0, slice_of_text("a"));
    struct store_piece piece;
    struct buffer out;
    uint8_t big[1000] = {0};
    (void)state;
    buffer_init(&out, 500);
    assert_int_equal(buffer_append(&out, "front", 5), STATUS_OK);
    store_put_string(store, &key, slice_of(big, sizeof big), 0);
    struct store_view *view = store_view_begin(store, PLENTY);
    assert_int_equal(store_view_next(view, STORE_SLOTS - 1, 1, &out, &piece), STATUS_TOO_LARGE);
    assert_int_equal(out.size, 5);
    store_view_end(view);
    buffer_deinit(&out);
    store_destroy(store);
}

/* R20: another replica with the same contents gives the same bytes, cut in the same places. */
static void two_replicas_give_the_same_bytes(void **state)
{
    struct writes writes;
    struct taken one, two;
    uint64_t keys = 0, content = 0;
    (void)state;
    writes_init(&writes, 7, 800, 3);
    for (unsigned i = 0; i < 4000; i++)
        writes_one(&writes);
    struct store *copy = store_create(writes.hash_seed);
    taken_init(&one);
    taken_init(&two);
    struct store_view *view = store_view_begin(writes.store, PLENTY);
    while (take_piece(view, STORE_SLOTS - 1, 2000, &one))
        ;
    store_view_end(view);
    writes_touch(copy, &writes.random); /* splits and detours */
    assert_int_equal(store_load(copy, slice_of_buffer(&one.bytes), &keys, &content), STATUS_OK);
    view = store_view_begin(copy, PLENTY);
    while (take_piece(view, STORE_SLOTS - 1, 2000, &two))
        ;
    store_view_end(view);
    assert_true(slice_equal(slice_of_buffer(&one.bytes), slice_of_buffer(&two.bytes)));
    assert_true(store_content(copy, 100, 5000) == store_content(writes.store, 100, 5000));
    buffer_deinit(&one.bytes);
    buffer_deinit(&two.bytes);
    store_destroy(copy);
    writes_deinit(&writes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_view_gives_is_what_was),
        cmocka_unit_test(an_empty_store_has_an_empty_view),
        cmocka_unit_test(views_that_ended_early_leave_nothing),
        cmocka_unit_test(clearing_hands_the_tables_over),
        cmocka_unit_test(past_its_bound_it_is_given_up),
        cmocka_unit_test(a_full_buffer_is_left_as_it_was),
        cmocka_unit_test(two_replicas_give_the_same_bytes),
    };
    return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
