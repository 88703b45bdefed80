/* The table of ONCE: what was put stays known or closed, and is never new again (ONCE-1); what it
 * holds is counted in the digest and comes back from its bytes. */
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEED    5
#define CLIENTS 40
#define NUMBERS 300

static struct slice name_of(char room[24], unsigned client)
{
    return slice_of(room, (size_t)snprintf(room, 24, "client-%u", client));
}

static void put(struct store *store, const char *client, uint64_t number, uint64_t open,
                const char *reply, int64_t now_us)
{
    struct store_once_request request = {slice_of_text(client), number, open};
    store_once_put(store, &request, slice_of_text(reply), now_us);
}

static enum store_once_state look(const struct store *store, const char *client, uint64_t number)
{
    struct slice reply;
    return store_once_find(store, slice_of_text(client), number, &reply);
}

static struct store *copy_of(const struct store *store)
{
    struct buffer bytes;
    struct store *copy = store_create(SEED);
    buffer_init(&bytes, 1u << 30);
    assert_int_equal(STATUS_OK, store_once_encode(store, &bytes));
    assert_int_equal(STATUS_OK, store_once_decode(copy, slice_of_buffer(&bytes)));
    buffer_deinit(&bytes);
    return copy;
}

/* Numbers come in any order near the highest; each is put once and looked for ever after. */
static void never_new_again(void **state)
{
    static bool done[CLIENTS][NUMBERS];
    uint64_t highest[CLIENTS] = {0};
    struct store *store = store_create(SEED);
    struct random random;
    char room[24], text[32];
    (void)state;
    random_init(&random, 1);
    for (int64_t now = 1; now <= 20000; now++) {
        unsigned client = (unsigned)random_below(&random, CLIENTS);
        uint64_t low = highest[client] > 30 ? highest[client] - 30 : 0;
        uint64_t number = low + 1 + random_below(&random, 33);
        struct slice reply, name = name_of(room, client);
        if (number >= NUMBERS)
            continue;
        size_t size =
            (size_t)snprintf(text, sizeof text, "%u:%llu", client, (unsigned long long)number);
        enum store_once_state found = store_once_find(store, name, number, &reply);
        if (done[client][number])
            assert_int_not_equal(STORE_ONCE_NEW, found);
        if (found == STORE_ONCE_KNOWN)
            assert_true(done[client][number] && slice_equal(reply, slice_of(text, size)));
        if (found != STORE_ONCE_NEW)
            continue;
        struct store_once_request request = {name, number, random_below(&random, 4) ? 0 : number};
        store_once_put(store, &request, slice_of(text, size), now);
        done[client][number] = true;
        highest[client] = number > highest[client] ? number : highest[client];
    }
    struct store *copy = copy_of(store);
    assert_true(store_digest(store) == store_digest(copy));
    assert_int_equal(CLIENTS, store_once_clients(copy));
    store_destroy(store);
    store_destroy(copy);
}

static void the_window(void **state)
{
    struct store *store = store_create(SEED);
    (void)state;
    for (uint64_t i = 2; i <= STORE_ONCE_WINDOW + 1; i++)
        put(store, "c", i, 0, "x", (int64_t)i);
    assert_int_equal(STORE_ONCE_NEW, look(store, "c", 1)); /* it may still be on its way */
    put(store, "c", STORE_ONCE_WINDOW + 2, 0, "x", 100);
    assert_int_equal(STORE_ONCE_CLOSED, look(store, "c", 1));
    assert_int_equal(STORE_ONCE_CLOSED, look(store, "c", 2));
    assert_int_equal(STORE_ONCE_KNOWN, look(store, "c", 3));
    put(store, "c", 100, 90, "x", 101);
    assert_int_equal(STORE_ONCE_CLOSED, look(store, "c", 89)); /* the client said so */
    assert_int_equal(STORE_ONCE_NEW, look(store, "c", 90));
    assert_int_equal(STORE_ONCE_KNOWN, look(store, "c", 100));
    store_destroy(store);
}

static void silence(void **state)
{
    struct store *store = store_create(SEED);
    (void)state;
    put(store, "old", 5, 0, "x", 1000);
    put(store, "young", 1, 0, "x", 2000);
    put(store, "third", 1, 0, "x", 1000 + STORE_ONCE_IDLE_US);
    assert_int_equal(2, store_once_clients(store));
    assert_int_equal(STORE_ONCE_CLOSED, look(store, "old", 5));
    assert_int_equal(STORE_ONCE_CLOSED, look(store, "old", 1));
    assert_int_equal(STORE_ONCE_NEW, look(store, "old", 6));
    assert_int_equal(STORE_ONCE_KNOWN, look(store, "young", 1));
    struct store *copy = copy_of(store);
    assert_true(store_digest(store) == store_digest(copy));
    put(store, "old", 6, 0, "x", 1001 + STORE_ONCE_IDLE_US);
    put(copy, "old", 6, 0, "x", 1001 + STORE_ONCE_IDLE_US);
    assert_true(store_digest(store) == store_digest(copy));
    assert_int_equal(3, store_once_clients(copy));
    store_destroy(store);
    store_destroy(copy);
}

static void clearing_keys_keeps_it(void **state)
{
    struct store *store = store_create(SEED), *empty = store_create(SEED);
    (void)state;
    put(store, "c", 1, 0, "x", 1);
    store_clear(store);
    assert_int_equal(STORE_ONCE_KNOWN, look(store, "c", 1));
    assert_true(store_digest(store) != store_digest(empty));
    store_once_clear(store);
    assert_int_equal(STORE_ONCE_NEW, look(store, "c", 1));
    assert_true(store_digest(store) == store_digest(empty));
    store_destroy(store);
    store_destroy(empty);
}

/* As many clients as may be, and one more; when the first has been silent for long, there is room.
 */
static void bounds(void **state)
{
    struct store *store = store_create(SEED);
    char room[24];
    (void)state;
    for (unsigned i = 0; i < STORE_ONCE_CLIENTS_MAX; i++) {
        assert_true(store_once_has_room(store, name_of(room, i), 1));
        struct store_once_request request = {name_of(room, i), 1, 0};
        store_once_put(store, &request, slice_of_text("+OK\r\n"), 1 + i);
    }
    assert_false(store_once_has_room(store, slice_of_text("one more"), 200000));
    assert_true(store_once_has_room(store, name_of(room, 0), 200000));
    assert_true(store_once_has_room(store, slice_of_text("one more"), 1 + STORE_ONCE_IDLE_US));
    put(store, "one more", 1, 0, "x", 1 + STORE_ONCE_IDLE_US);
    assert_int_equal(STORE_ONCE_CLIENTS_MAX, store_once_clients(store));
    struct store *copy = copy_of(store);
    assert_true(store_digest(store) == store_digest(copy));
    assert_true(store_memory_bytes(store) < 64u << 20);
    store_destroy(store);
    store_destroy(copy);
}

static void large_replies_silence_the_longest_unused(void **state)
{
    struct store *store = store_create(SEED);
    char *text = memory_zeroed(1, STORE_ONCE_REPLY_MAX), room[24];
    unsigned fit = STORE_ONCE_BYTES_MAX / (STORE_ONCE_REPLY_MAX + 24);
    (void)state;
    for (unsigned i = 0; i <= fit; i++) {
        struct store_once_request request = {name_of(room, i), 1, 0};
        store_once_put(store, &request, slice_of(text, STORE_ONCE_REPLY_MAX), 1 + i);
    }
    assert_int_equal(fit, store_once_clients(store));
    assert_int_equal(STORE_ONCE_CLOSED, look(store, "client-0", 1));
    assert_int_equal(STORE_ONCE_KNOWN, look(store, "client-1", 1));
    store_destroy(store);
    memory_free(text);
}

/* Bytes from anywhere are harmless: cut off at each place, and with each byte changed. */
static void garbage(void **state)
{
    struct store *store = store_create(SEED), *other = store_create(SEED);
    struct buffer bytes;
    (void)state;
    put(store, "a", 5, 0, "x", 1000);
    put(store, "b", 1, 0, "reply", 1000 + STORE_ONCE_IDLE_US);
    put(store, "b", 2, 0, "more", 1001 + STORE_ONCE_IDLE_US);
    buffer_init(&bytes, 1u << 20);
    assert_int_equal(STATUS_OK, store_once_encode(store, &bytes));
    for (size_t size = 1; size < bytes.size; size++)
        assert_int_equal(STATUS_INVALID, store_once_decode(other, slice_of(bytes.at, size)));
    for (size_t i = 0; i < bytes.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes.at[i] ^= (uint8_t)(1u << bit);
            if (!store_once_decode(other, slice_of_buffer(&bytes)))
                store_once_clear(other);
            bytes.at[i] ^= (uint8_t)(1u << bit);
        }
    }
    bytes.size_max = bytes.size + 3;
    size_t before = bytes.size;
    assert_int_equal(STATUS_TOO_LARGE, store_once_encode(store, &bytes));
    assert_int_equal(before, bytes.size);
    assert_int_equal(STATUS_OK, store_once_decode(other, slice_of(NULL, 0)));
    buffer_deinit(&bytes);
    store_destroy(store);
    store_destroy(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_new_again),
        cmocka_unit_test(the_window),
        cmocka_unit_test(silence),
        cmocka_unit_test(clearing_keys_keeps_it),
        cmocka_unit_test(bounds),
        cmocka_unit_test(large_replies_silence_the_longest_unused),
        cmocka_unit_test(garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
