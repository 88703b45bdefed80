/* What keys cost: resident bytes, allocations, and (reported, not asserted) time. This program has
 * its own base/memory, which counts. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define KEYS       1000000u
#define KEY_SIZE   16
#define VALUE_SIZE 64

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define IS_GLIBC_HEAP false
#else
#define IS_GLIBC_HEAP true
#endif

/* The one piece of mutable global state: a test's counter, because base/memory takes no argument
 * for one. */
static size_t allocations;

void *memory_allocate(size_t size)
{
    allocations++;
    return malloc(size ? size : 1);
}

void *memory_zeroed(size_t count, size_t size)
{
    allocations++;
    return calloc(count ? count : 1, size ? size : 1);
}

void *memory_resize(void *memory, size_t size)
{
    allocations++;
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

static struct store_key key_number(char *room, unsigned i)
{
    snprintf(room, KEY_SIZE + 1, "key:%012u", i);
    return store_key_of(0, slice_of(room, KEY_SIZE));
}

static void put_number(struct store *store, unsigned i, size_t value_size)
{
    char key[32], value[256];
    memset(value, (int)i, sizeof value);
    struct store_key at = key_number(key, i);
    store_put_string(store, &at, slice_of(value, value_size), 0);
}

static size_t heap_bytes(void)
{
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

static size_t resident_bytes(void)
{
    size_t pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%*u %zu", &pages), 1);
    fclose(statm);
    return pages * 4096;
}

static double per_key(size_t bytes, size_t keys)
{
    return (double)bytes / (double)keys;
}

static void test_memory_of_a_million_keys(void **state)
{
    (void)state;
    size_t heap = heap_bytes(), resident = resident_bytes();
    struct store *store = store_create(1);
    for (unsigned i = 0; i < KEYS; i++)
        put_number(store, i, VALUE_SIZE);
    heap = heap_bytes() - heap;
    resident = resident_bytes() - resident;
    double estimate = per_key(store_memory_bytes(store), KEYS);
    print_message("bytes per key of %u + %u: heap %.1f, resident %.1f, estimate %.1f\n", KEY_SIZE,
                  VALUE_SIZE, per_key(heap, KEYS), per_key(resident, KEYS), estimate);
    assert_true(estimate <= 125);
    if (IS_GLIBC_HEAP) {
        assert_true(per_key(heap, KEYS) <= 125);
        assert_true(per_key(resident, KEYS) <= 145);
        assert_true(estimate >= per_key(heap, KEYS) * 0.97);
        assert_true(estimate <= per_key(heap, KEYS) * 1.03);
    }
    store_destroy(store);
}

/* Whatever the number of keys, none may be far from the budget: the growth of segments goes in
 * steps. */
static void test_memory_at_every_size(void **state)
{
    struct store *store = store_create(1);
    double worst = 0;
    unsigned worst_at = 0;
    (void)state;
    for (unsigned i = 0; i < KEYS / 2; i++) {
        put_number(store, i, VALUE_SIZE);
        double now = per_key(store_memory_bytes(store), i + 1);
        if (i >= 100000 && now > worst) {
            worst = now;
            worst_at = i + 1;
        }
    }
    print_message("worst bytes per key from 100000 keys on: %.1f at %u\n", worst, worst_at);
    assert_true(worst <= 145);
    store_destroy(store);
}

static void test_a_small_store_is_small(void **state)
{
    struct store *store = store_create(1);
    (void)state;
    put_number(store, 1, VALUE_SIZE);
    assert_true(store_memory_bytes(store) < 4096);
    store_destroy(store);
}

static void test_overwriting_allocates_nothing(void **state)
{
    struct store *store = store_create(1);
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        put_number(store, i, VALUE_SIZE);
    size_t before = allocations;
    for (unsigned i = 0; i < 1000; i++)
        put_number(store, i, VALUE_SIZE);
    assert_int_equal(allocations, before);
    for (unsigned i = 0; i < 1000; i++) {
        char room[32];
        struct store_key key = key_number(room, i);
        assert_non_null(store_find(store, &key));
    }
    assert_int_equal(allocations, before);
    store_destroy(store);
}

static void test_deadlines_set_again_allocate_nothing(void **state)
{
    struct store *store = store_create(1);
    char room[32];
    (void)state;
    struct store_key key = key_number(room, 1);
    store_put_string(store, &key, slice_of_text("value"), 5);
    size_t before = allocations;
    for (int64_t i = 0; i < 100; i++)
        store_put_string(store, &key, slice_of_text("VALUE"), i % 3);
    assert_int_equal(allocations, before);
    store_destroy(store);
}

static void test_a_new_key_allocates_once(void **state)
{
    struct store *store = store_create(1);
    size_t first = 0, late = 0; /* allocations beside the entry itself */
    (void)state;
    for (unsigned i = 0; i < KEYS / 2; i++) {
        size_t before = allocations;
        put_number(store, i, VALUE_SIZE);
        first += allocations - before - 1;
        late += i >= KEYS / 4 ? allocations - before - 1 : 0;
    }
    double each = 1 + per_key(first, KEYS / 2), each_late = 1 + per_key(late, KEYS / 4);
    print_message("allocations per new key: %.3f, in a large store %.3f\n", each, each_late);
    assert_true(each < 1.3 && each_late < 1.15);
    store_destroy(store);
}

/* STORE-3: growing a slot with all the keys never moves more than one segment at a time. */
static void test_no_step_allocates_much(void **state)
{
    struct store *store = store_create(1);
    size_t most = 0, most_bytes = 0;
    char room[32];
    (void)state;
    for (unsigned i = 0; i < 300000; i++) {
        size_t before = allocations;
        uint64_t bytes = store_memory_bytes(store);
        size_t size = (size_t)snprintf(room, sizeof room, "{tag}%u", i);
        struct store_key key = store_key_of(0, slice_of(room, size));
        store_put_string(store, &key, slice_of_text("v"), (int64_t)i + 1);
        uint64_t grown = store_memory_bytes(store) - bytes;
        most = allocations - before > most ? allocations - before : most;
        if ((int64_t)grown > (int64_t)most_bytes)
            most_bytes = grown;
    }
    print_message("most in one step: %zu allocations, %zu bytes\n", most, most_bytes);
    assert_true(most <= 40 && most_bytes <= 32768);
    store_destroy(store);
}

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static char *random_keys(unsigned count)
{
    char *keys = malloc((size_t)count * KEY_SIZE + 1);
    unsigned *order = malloc(count * sizeof *order);
    struct random random;
    random_init(&random, 5);
    for (unsigned i = 0; i < count; i++) {
        unsigned j = (unsigned)random_below(&random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (unsigned i = 0; i < count; i++)
        snprintf(keys + (size_t)i * KEY_SIZE, KEY_SIZE + 1, "key:%012u", order[i]);
    free(order);
    return keys;
}

static double time_puts(struct store *store, const char *keys, unsigned count)
{
    char value[VALUE_SIZE] = {1};
    double start = now_ns();
    for (unsigned i = 0; i < count; i++) {
        struct slice bytes = slice_of(keys + (size_t)i * KEY_SIZE, KEY_SIZE);
        struct store_key key = store_key_of(0, bytes);
        store_put_string(store, &key, slice_of(value, sizeof value), 0);
    }
    return (now_ns() - start) / count;
}

static double time_finds(struct store *store, const char *keys, unsigned count)
{
    uint64_t sum = 0;
    double start = now_ns();
    for (unsigned i = count; i-- > 0;) {
        struct slice bytes = slice_of(keys + (size_t)i * KEY_SIZE, KEY_SIZE);
        struct store_key key = store_key_of(0, bytes);
        sum += store_entry_string(store_find(store, &key)).at[0];
    }
    double each = (now_ns() - start) / count;
    assert_int_equal(sum, count);
    return each;
}

static double time_slots(const char *keys, unsigned count)
{
    unsigned sum = 0;
    double start = now_ns();
    for (unsigned i = 0; i < count; i++)
        sum += store_slot(slice_of(keys + (size_t)i * KEY_SIZE, KEY_SIZE));
    double each = (now_ns() - start) / count;
    assert_true(sum > 0);
    return each;
}

static void test_time_is_reported(void **state)
{
    char *keys = random_keys(KEYS);
    struct store *store = store_create(1);
    (void)state;
    double fresh = time_puts(store, keys, KEYS), again = time_puts(store, keys, KEYS);
    double find = time_finds(store, keys, KEYS), slot = time_slots(keys, KEYS);
    print_message("ns at 1M keys, random: slot %.1f, set new %.0f, overwrite %.0f, get %.0f\n",
                  slot, fresh, again, find);
    store_clear(store);
    time_puts(store, keys, 10000);
    again = time_puts(store, keys, 10000);
    find = time_finds(store, keys, 10000);
    print_message("ns at 10k keys, random: overwrite %.0f, get %.0f\n", again, find);
    store_destroy(store);
    free(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_of_a_million_keys),
        cmocka_unit_test(test_memory_at_every_size),
        cmocka_unit_test(test_a_small_store_is_small),
        cmocka_unit_test(test_overwriting_allocates_nothing),
        cmocka_unit_test(test_deadlines_set_again_allocate_nothing),
        cmocka_unit_test(test_a_new_key_allocates_once),
        cmocka_unit_test(test_no_step_allocates_much),
        cmocka_unit_test(test_time_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
