/* The walk: keys that are there throughout are seen, whatever comes, goes, splits or melts in
 * between. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define STABLE 600
#define GUESTS 20000

struct scene {
    struct store *store;
    struct random random;
    unsigned guests; /* guest keys 0 .. guests - 1 are there, all below `gone` no more */
    unsigned gone;
    unsigned seen[STABLE];
};

/* Two of three keys share one slot. */
static struct store_key key_of(char *room, const char *kind, unsigned i)
{
    size_t size = (size_t)snprintf(room, 40, i % 3 ? "{crowd}%s%u" : "%s%u", kind, i);
    return store_key_of((uint8_t)(i % 16), slice_of(room, size));
}

static void come(struct scene *scene, unsigned count)
{
    char room[40];
    for (; count && scene->guests < GUESTS; count--) {
        struct store_key key = key_of(room, "guest", scene->guests++);
        store_put_string(scene->store, &key, slice_of_text("g"), 0);
    }
}

static void go(struct scene *scene, unsigned count)
{
    char room[40];
    for (; count && scene->gone < scene->guests; count--) {
        struct store_key key = key_of(room, "guest", scene->gone++);
        assert_true(store_remove(scene->store, &key));
    }
}

static void see(struct scene *scene, const struct store_entry *entry, uint8_t database)
{
    struct slice key = store_entry_key(entry);
    const char *stable = "stable";
    const uint8_t *at = memmem(key.at, key.size, stable, strlen(stable));
    int64_t i;
    if (!at)
        return;
    at += strlen(stable);
    assert_int_equal(slice_to_i64(slice_of(at, (size_t)(key.at + key.size - at)), &i), STATUS_OK);
    assert_int_equal(database, i % 16);
    scene->seen[i]++;
}

static void scene_init(struct scene *scene, uint64_t seed)
{
    char room[40];
    *scene = (struct scene){.store = store_create(seed)};
    random_init(&scene->random, seed);
    for (unsigned i = 0; i < STABLE; i++) {
        struct store_key key = key_of(room, "stable", i);
        store_put_string(scene->store, &key, slice_of_text("s"), 0);
    }
}

/* One walk with `max` keys a step; `come_max` guests come and `go_max` go between steps. */
static void walk_with_changes(struct scene *scene, size_t max, unsigned come_max, unsigned go_max)
{
    struct store_entry *entries[STORE_WALK_MAX + 16];
    uint8_t databases[STORE_WALK_MAX + 16];
    uint64_t cursor = 0, last = 0;
    size_t count;
    memset(scene->seen, 0, sizeof scene->seen);
    do {
        last = cursor;
        cursor = store_walk(scene->store, cursor, max, entries, databases, &count);
        assert_true(cursor == 0 || cursor > last);
        assert_true(cursor < (uint64_t)1 << 63);
        assert_true(count >= 1 || cursor == 0);
        assert_true(count <= max + 15);
        for (size_t i = 0; i < count; i++)
            see(scene, entries[i], databases[i]);
        come(scene, (unsigned)random_below(&scene->random, come_max + 1));
        go(scene, (unsigned)random_below(&scene->random, go_max + 1));
    } while (cursor);
    for (unsigned i = 0; i < STABLE; i++)
        assert_int_equal(scene->seen[i], 1);
}

static void test_stable_keys_are_seen(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct scene scene;
        scene_init(&scene, seed);
        walk_with_changes(&scene, 1, 30, 0); /* crowded slots split */
        walk_with_changes(&scene, 10, 10, 10);
        walk_with_changes(&scene, 1, 0, 60); /* and melt */
        walk_with_changes(&scene, 64, 500, 500);
        walk_with_changes(&scene, 7, 0, 0);
        store_validate(scene.store);
        store_destroy(scene.store);
    }
}

static void test_any_cursor_is_harmless(void **state)
{
    struct scene scene;
    struct store_entry *entries[STORE_WALK_MAX + 16];
    uint8_t databases[STORE_WALK_MAX + 16];
    size_t count;
    (void)state;
    scene_init(&scene, 1);
    for (int i = 0; i < 20000; i++) {
        uint64_t cursor = random_next(&scene.random) >> random_below(&scene.random, 64);
        size_t max = random_below(&scene.random, 100);
        store_walk(scene.store, cursor, max, entries, databases, &count);
        assert_true(count <= STORE_WALK_MAX + 16);
    }
    store_walk(scene.store, UINT64_MAX, 10, entries, databases, &count);
    assert_int_equal(count, 0);
    store_destroy(scene.store);
}

static void test_an_empty_store(void **state)
{
    struct store *store = store_create(1);
    struct store_entry *entries[STORE_WALK_MAX + 16];
    uint8_t databases[STORE_WALK_MAX + 16];
    size_t count = 9;
    (void)state;
    assert_int_equal(store_walk(store, 0, 10, entries, databases, &count), 0);
    assert_int_equal(count, 0);
    store_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stable_keys_are_seen),
        cmocka_unit_test(test_any_cursor_is_harmless),
        cmocka_unit_test(test_an_empty_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
