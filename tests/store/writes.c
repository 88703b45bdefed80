#include "tests/store/writes.h"

#include <stdio.h>

#define TEXT_MAX 4096

void writes_init(struct writes *writes, uint64_t seed, unsigned names, unsigned crowds)
{
    *writes = (struct writes){.hash_seed = seed * 31, .names = names, .crowds = crowds};
    random_init(&writes->random, seed);
    writes->store = store_create(writes->hash_seed);
}

void writes_deinit(struct writes *writes)
{
    store_destroy(writes->store);
}

static struct slice random_text(struct random *random, uint8_t room[TEXT_MAX])
{
    uint64_t dice = random_below(random, 100);
    size_t size = random_below(random, dice < 85 ? 40 : dice < 98 ? 600 : TEXT_MAX);
    uint8_t first = (uint8_t)random_next(random);
    for (size_t i = 0; i < size; i++)
        room[i] = (uint8_t)(first + i * 7);
    return slice_of(room, size);
}

static void write_string(struct writes *writes, const struct store_key *key, bool append)
{
    struct random *random = &writes->random;
    uint8_t room[TEXT_MAX];
    const struct store_entry *entry = store_find(writes->store, key);
    struct slice text = random_text(random, room);
    if (append && (!entry || store_entry_type(entry) == STORE_STRING)) {
        if (random_below(random, 2))
            store_append_string(writes->store, key, text);
        else
            store_write_string(writes->store, key, random_below(random, 50), text);
        return;
    }
    int64_t deadline = random_below(random, 3) ? 0 : (int64_t)random_below(random, 90) - 10;
    store_put_string(writes->store, key, text, deadline);
}

static void write_list(struct writes *writes, const struct store_key *key)
{
    uint8_t room[TEXT_MAX];
    const struct store_entry *entry = store_find(writes->store, key);
    if (entry && store_entry_type(entry) != STORE_LIST)
        return;
    for (uint64_t i = random_below(&writes->random, 12) + 1; i > 0; i--)
        store_list_push(writes->store, key, random_below(&writes->random, 2),
                        random_text(&writes->random, room));
}

/* Small names, so that members meet again; now and then so many that a value changes its form. */
static void write_members(struct writes *writes, const struct store_key *key, bool is_scored)
{
    struct random *random = &writes->random;
    const struct store_entry *entry = store_find(writes->store, key);
    enum store_type type = is_scored                 ? STORE_SORTED_SET
                           : random_below(random, 2) ? STORE_HASH
                                                     : STORE_SET;
    if (entry && store_entry_type(entry) != type)
        return;
    uint64_t count = random_below(random, random_below(random, 20) ? 10 : 600);
    for (uint64_t i = count; i > 0; i--) {
        uint8_t room[TEXT_MAX];
        char name[24];
        snprintf(name, sizeof name, "m%u", (unsigned)random_below(random, count + 5));
        struct slice member = slice_of_text(name);
        bool removes = random_below(random, 4) == 0 && store_find(writes->store, key);
        if (is_scored && removes)
            (void)store_scored_remove(writes->store, key, member);
        else if (is_scored)
            (void)store_scored_put(writes->store, key, member,
                                   (double)random_below(random, 40) / 8 - 2);
        else if (removes)
            (void)store_member_remove(writes->store, key, member);
        else
            (void)store_member_put(writes->store, key, type, member,
                                   type == STORE_SET ? slice_of(NULL, 0)
                                                     : random_text(random, room));
    }
}

static void change_list(struct writes *writes, const struct store_key *key)
{
    struct random *random = &writes->random;
    uint8_t room[TEXT_MAX];
    const struct store_entry *entry = store_find(writes->store, key);
    if (!entry || store_entry_type(entry) != STORE_LIST)
        return;
    size_t length = store_list_length(entry), index = random_below(random, length);
    switch (random_below(random, 5)) {
    case 0: (void)store_list_pop(writes->store, key, random_below(random, 2), NULL); break;
    case 1: store_list_keep(writes->store, key, index / 2, index); break;
    case 2: store_list_replace(writes->store, key, index, random_text(random, room)); break;
    case 3: store_list_remove(writes->store, key, index); break;
    case 4: store_list_insert(writes->store, key, index, random_text(random, room)); break;
    }
}

static struct store_key random_key(struct writes *writes, char name[48])
{
    uint64_t number = random_below(&writes->random, writes->names);
    const char *format = number % 10 < writes->crowds ? "{one}%u" : "key:%u";
    snprintf(name, 48, format, (unsigned)number);
    uint8_t database = (uint8_t)random_below(&writes->random, WRITES_DATABASES);
    return store_key_of(database, slice_of_text(name));
}

static void move(struct writes *writes, const struct store_key *key)
{
    char name[48];
    struct store_key to = random_key(writes, name);
    bool is_same = to.database == key->database && slice_equal(to.bytes, key->bytes);
    if (is_same || !store_find(writes->store, key))
        return;
    if (random_below(&writes->random, 2))
        store_rename(writes->store, key, &to);
    else
        store_copy(writes->store, key, &to);
}

static void clear(struct writes *writes)
{
    uint64_t database = random_below(&writes->random, WRITES_DATABASES + 1);
    if (database == WRITES_DATABASES)
        store_clear(writes->store);
    else
        store_clear_database(writes->store, (uint8_t)database);
}

static void expire(struct writes *writes)
{
    struct store_key keys[4];
    int64_t now = (int64_t)random_below(&writes->random, 40) - 10;
    size_t count = store_find_expired(writes->store, now, keys, 4);
    if (count)
        (void)store_remove(writes->store, &keys[0]);
}

void writes_one(struct writes *writes)
{
    struct random *random = &writes->random;
    char name[48];
    struct store_key key = random_key(writes, name);
    uint64_t dice = random_below(random, 100);
    if (dice < 22)
        (void)store_remove(writes->store, &key);
    else if (dice < 42)
        write_string(writes, &key, dice < 26);
    else if (dice < 50)
        (void)store_set_deadline(writes->store, &key, (int64_t)random_below(random, 60) - 5);
    else if (dice < 54)
        expire(writes);
    else if (dice < 64)
        change_list(writes, &key);
    else if (dice < 70)
        move(writes, &key);
    else if (dice < 86)
        write_members(writes, &key, dice < 76);
    else
        write_list(writes, &key);
    if (writes->clears_in && random_below(random, writes->clears_in) == 0)
        clear(writes);
}

void writes_touch(struct store *store, struct random *random)
{
    char name[48];
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < 900; i++) {
            snprintf(name, sizeof name, "{one}touched%u", i);
            struct store_key key = store_key_of(1, slice_of_text(name));
            if (pass)
                (void)store_remove(store, &key);
            else
                store_put_string(store, &key, slice_of_text("x"), (int64_t)random_below(random, 9));
        }
}
