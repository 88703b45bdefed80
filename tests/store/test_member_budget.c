/* What members cost: bytes of memory for each, and work for a single change of a huge collection.
 * Time is reported, not asserted. This program has its own base/memory, which counts. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define HUGE 100000u

/* The one piece of mutable global state: a test's counters, because base/memory takes no argument
 * for them. */
static size_t allocations, allocated_bytes;

void *memory_allocate(size_t size)
{
    allocations++;
    allocated_bytes += size;
    return malloc(size ? size : 1);
}

void *memory_zeroed(size_t count, size_t size)
{
    allocations++;
    allocated_bytes += count * size;
    return calloc(count ? count : 1, size ? size : 1);
}

void *memory_resize(void *memory, size_t size)
{
    allocations++;
    allocated_bytes += size;
    return realloc(memory, size ? size : 1);
}

void memory_free(void *memory)
{
    free(memory);
}

char *memory_copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(memory_allocate(size), text, size);
}

void fatal(const char *format, ...)
{
    fputs(format, stderr);
    abort();
}

enum kind {
    HASH,
    SET,
    SCORED,
    SCORED_ASCENDING,
    LIST_MIDDLE,
    KINDS
};
static const char *const kind_names[KINDS] = {"hash", "set", "sorted set", "sorted set, ascending",
                                              "list, middle"};

static struct store_key the_key(void)
{
    return store_key_of(0, slice_of_text("collection"));
}

/* Eight bytes; ten in a hash. */
static struct slice name_of(char room[16], enum kind kind, unsigned i)
{
    const char *format = kind == HASH ? "f:%08u" : "%08u";
    return slice_of(room, (size_t)snprintf(room, 16, format, i * 7919u % 100000000u));
}

static void put(struct store *store, const struct store_key *key, enum kind kind, unsigned i)
{
    char room[16];
    struct slice name = name_of(room, kind, i);
    switch (kind) {
    case HASH: store_member_put(store, key, STORE_HASH, name, slice_of_text("0123456789")); break;
    case SET: store_member_put(store, key, STORE_SET, name, slice_of(NULL, 0)); break;
    case SCORED: store_scored_put(store, key, name, (double)(i * 2654435761u)); break;
    case SCORED_ASCENDING: store_scored_put(store, key, name, i); break;
    case LIST_MIDDLE:
    case KINDS:
        if (i)
            store_list_insert(store, key, i / 2, name);
        else
            store_list_push(store, key, true, name);
        break;
    }
}

static void take(struct store *store, const struct store_key *key, enum kind kind, unsigned i)
{
    char room[16];
    if (kind == HASH || kind == SET)
        assert_true(store_member_remove(store, key, name_of(room, kind, i)));
    else if (kind == LIST_MIDDLE)
        store_list_remove(store, key, i / 2);
    else
        assert_true(store_scored_remove(store, key, name_of(room, kind, i)));
}

/* Bytes of the value alone, for each member. */
static double bytes_each(enum kind kind, unsigned members, size_t values)
{
    struct store *store = store_create(1);
    uint64_t empty = store_memory_bytes(store), pages = 0;
    for (size_t v = 0; v < values; v++) {
        char text[32];
        struct store_key key =
            store_key_of(0, slice_of(text, (size_t)snprintf(text, sizeof text, "key:%08zu", v)));
        store_put_string(store, &key, slice_of_text("x"), 0);
    }
    pages = store_memory_bytes(store) - empty;
    for (size_t v = 0; v < values; v++) {
        char text[32];
        struct store_key key =
            store_key_of(0, slice_of(text, (size_t)snprintf(text, sizeof text, "key:%08zu", v)));
        assert_true(store_remove(store, &key));
        for (unsigned i = 0; i < members; i++)
            put(store, &key, kind, i);
    }
    double each = (double)(store_memory_bytes(store) - empty - pages) / (double)values / members;
    store_destroy(store);
    return each;
}

static void check_bytes(const char *what, enum kind kind, unsigned members, size_t values,
                        double bound)
{
    double each = bytes_each(kind, members, values);
    print_message("bytes per member, %s of %u: %.1f\n", what, members, each);
    assert_true(each <= bound);
}

static void test_memory_of_members(void **state)
{
    (void)state;
    check_bytes("hash of 10 + 10 bytes", HASH, 10, 2000, 38);
    check_bytes("hash of 10 + 10 bytes", HASH, 1000, 50, 33);
    check_bytes("hash of 10 + 10 bytes", HASH, HUGE, 1, 33);
    check_bytes("set of integers", SET, 10, 2000, 24);
    check_bytes("set of integers", SET, 1000, 50, 17);
    check_bytes("set of integers", SET, HUGE, 1, 17);
    check_bytes("sorted set", SCORED, 10, 2000, 28);
    check_bytes("sorted set", SCORED, 1000, 50, 50);
    check_bytes("sorted set", SCORED, HUGE, 1, 50);
    check_bytes("sorted set, ascending", SCORED_ASCENDING, HUGE, 1, 50);
}

struct work {
    size_t allocations, bytes;
};

static void measure(struct work *most, size_t before, size_t bytes_before)
{
    size_t allocated = allocations - before, bytes = allocated_bytes - bytes_before;
    most->allocations = allocated > most->allocations ? allocated : most->allocations;
    most->bytes = bytes > most->bytes ? bytes : most->bytes;
}

static double per_member(const struct store *store, uint64_t base, unsigned members)
{
    return (double)(store_memory_bytes(store) - base) / members;
}

/* Leaves that are nearly empty are merged and small ones shrink: what a huge collection leaves
 * behind is not much larger than if it had never been huge. */
enum {
    FEWS = 3
};
static const unsigned fews[FEWS] = {2000, 100, 10};
static const double few_bounds[KINDS][FEWS] = {
    [HASH] = {54, 60, 80},        [SET] = {25, 30, 40},
    [SCORED] = {80, 90, 60},      [SCORED_ASCENDING] = {66, 80, 80},
    [LIST_MIDDLE] = {14, 20, 45},
};

static void check_left(enum kind kind, const double left[FEWS])
{
    print_message("bytes per member that is left over, %s:", kind_names[kind]);
    for (size_t f = 0; f < FEWS; f++)
        print_message(" %.1f of %u", left[f], fews[f]);
    print_message("\n");
    for (size_t f = 0; f < FEWS; f++)
        assert_true(left[f] <= few_bounds[kind][f]);
}

/* STORE-3: in a collection that grows from nothing to 100000 members and shrinks again, no single
 * change allocates (and so moves) more than a few leaves and nodes. */
static void test_no_change_is_large(void **state)
{
    (void)state;
    for (enum kind kind = HASH; kind < KINDS; kind++) {
        struct store *store = store_create(1);
        struct store_key key = the_key();
        struct work puts = {0}, removals = {0};
        double left[FEWS] = {0};
        put(store, &key, kind, 0); /* with the page of its slot */
        uint64_t base = store_memory_bytes(store);
        for (unsigned i = 1; i < HUGE; i++) {
            size_t before = allocations, bytes = allocated_bytes;
            put(store, &key, kind, i);
            measure(&puts, before, bytes);
        }
        store_validate(store);
        for (unsigned i = HUGE; i-- > 0;) {
            size_t before = allocations, bytes = allocated_bytes;
            take(store, &key, kind, kind == LIST_MIDDLE ? i : (HUGE - 1 - i));
            measure(&removals, before, bytes);
            for (size_t f = 0; f < FEWS; f++)
                if (i == fews[f])
                    left[f] = per_member(store, base, i);
        }
        assert_int_equal(store_count(store, 0), 0);
        print_message("most in one step, %s: put %zu allocations, %zu bytes; "
                      "removal %zu allocations, %zu bytes\n",
                      kind_names[kind], puts.allocations, puts.bytes, removals.allocations,
                      removals.bytes);
        assert_true(puts.allocations <= 60 && puts.bytes <= 32768);
        assert_true(removals.allocations <= 20 && removals.bytes <= 16384);
        check_left(kind, left);
        store_destroy(store);
    }
}

/* An element of a megabyte is not moved because a small one comes or goes beside it. */
static void test_neighbours_of_a_giant(void **state)
{
    static uint8_t giant[1 << 20];
    struct store *store = store_create(1);
    struct store_key key = the_key();
    (void)state;
    store_list_push(store, &key, true, slice_of(giant, sizeof giant));
    for (unsigned i = 0; i < 2000; i++) {
        size_t index = i % 3 ? store_list_length(store_find(store, &key)) / 2 : i / 3;
        size_t before = allocated_bytes;
        store_list_insert(store, &key, index, slice_of_text("dwarf"));
        if (i % 5 == 4)
            store_list_remove(store, &key, i / 3 == index ? index : 0);
        assert_true(allocated_bytes - before < 32768);
    }
    store_validate(store);
    store_destroy(store);
}

/* What is pushed, or comes in ascending order, leaves full leaves behind. */
static void test_what_comes_in_order_is_packed(void **state)
{
    struct store *store = store_create(1);
    struct store_key key = the_key();
    char room[16];
    (void)state;
    for (unsigned i = 0; i < HUGE; i++)
        store_list_push(store, &key, false, name_of(room, SET, i));
    double each = (double)store_memory_bytes(store) / HUGE;
    print_message("bytes per element of 8 that is pushed: %.2f\n", each);
    assert_true(each <= 9.5);
    store_destroy(store);
}

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void look(struct store *store, enum kind kind, unsigned i)
{
    struct store_key key = the_key();
    struct store_entry *entry = store_find(store, &key);
    char room[16];
    double score;
    if (kind == HASH || kind == SET)
        assert_true(store_member_find(store, entry, name_of(room, kind, i), NULL));
    else if (kind == LIST_MIDDLE)
        (void)store_list_at(entry, i);
    else
        assert_true(store_scored_find(store, entry, name_of(room, kind, i), &score));
}

static void test_time_is_reported(void **state)
{
    static const unsigned sizes[] = {10, 100, HUGE};
    (void)state;
    for (enum kind kind = HASH; kind < KINDS; kind++)
        for (size_t s = 0; s < 3; s++) {
            struct store *store = store_create(1);
            struct store_key key = the_key();
            unsigned size = sizes[s], rounds = HUGE / size;
            double start = now_ns(), put_ns, look_ns, total = (double)size * rounds;
            for (unsigned round = 0; round < rounds; round++) {
                store_remove(store, &key);
                for (unsigned i = 0; i < size; i++)
                    put(store, &key, kind, i);
            }
            put_ns = (now_ns() - start) / total;
            start = now_ns();
            for (unsigned round = 0; round < rounds; round++)
                for (unsigned i = 0; i < size; i++)
                    look(store, kind, i);
            look_ns = (now_ns() - start) / total;
            print_message("ns of %s at %u: put new %.0f, find %.0f\n", kind_names[kind], size,
                          put_ns, look_ns);
            store_destroy(store);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_of_members),
        cmocka_unit_test(test_no_change_is_large),
        cmocka_unit_test(test_neighbours_of_a_giant),
        cmocka_unit_test(test_what_comes_in_order_is_packed),
        cmocka_unit_test(test_time_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
