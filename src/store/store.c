/* store.c - the store as a whole. */
#include "store/deadlines.h"
#include "store/once.h"

struct store *store_create(uint64_t hash_seed)
{
    struct store *store = memory_zeroed(1, sizeof *store);
    store->seed = hash_seed;
    store->memory_bytes = store_room_size(sizeof *store);
    return store;
}

struct store *store_create_beside(const struct store *store)
{
    return store_create(store->seed);
}

void store_destroy(struct store *store)
{
    if (!store)
        return;
    assert(!store->view); /* it ends first */
    store_clear(store);
    store_once_clear(store);
    memory_free(store);
}

void store_clear(struct store *store)
{
    store_view_take_all(store);
    store_deadlines_clear(store);
    store_table_clear(store);
    memset(store->keys, 0, sizeof store->keys);
    assert(store->memory_bytes ==
           store_room_size(sizeof *store)); /* all that was taken was given */
}

static void remove_placed(struct store *store, uint32_t slot, const struct store_placed *placed)
{
    struct store_entry *entry = placed->entry;
    struct store_key key = {.database = entry->database,
                            .slot = (uint16_t)slot,
                            .bytes = store_entry_key_inline(entry)};
    uint64_t *place = store_table_find(store, &key, placed->hash);
    assert(place && store_word_entry(*place) == entry);
    store_view_before(store, &key);
    store_table_remove(store, key.slot, placed->hash, place);
    store_deadline_drop(store, entry);
    store->keys[key.database]--;
    store_entry_destroy(store, entry);
}

static bool is_alone(const struct store *store, uint8_t database)
{
    for (size_t i = 0; i < STORE_DATABASES; i++)
        if (i != database && store->keys[i])
            return false;
    return true;
}

void store_clear_database(struct store *store, uint8_t database)
{
    struct store_span span;
    struct store_crowd crowd;
    assert(database < STORE_DATABASES);
    if (is_alone(store, database)) {
        store_clear(store); /* an open view takes the whole, not key by key */
        return;
    }
    store_crowd_init(&crowd);
    bool more = store->keys[database] && store_span_from(store, 0, 0, &span);
    for (; more; more = store->keys[database] && store_span_next(store, &span)) {
        store_crowd_gather(&crowd, store, &span);
        for (size_t i = 0; i < crowd.count; i++)
            if (crowd.at[i].entry->database == database)
                remove_placed(store, span.slot, &crowd.at[i]);
    }
    store_crowd_deinit(&crowd);
}

uint64_t store_count(const struct store *store, uint8_t database)
{
    assert(database < STORE_DATABASES);
    return store->keys[database];
}

uint64_t store_count_deadlines(const struct store *store, uint8_t database)
{
    assert(database < STORE_DATABASES);
    return store->with_deadline[database];
}

uint64_t store_memory_bytes(const struct store *store)
{
    return store->memory_bytes + store_once_memory_bytes(store);
}

static void validate_value(const struct store *store, const struct store_entry *entry)
{
    switch (store_entry_type(entry)) {
    case STORE_STRING: return;
    case STORE_LIST: store_tree_validate(store_entry_tree(entry)); return;
    case STORE_HASH:
    case STORE_SET: store_entry_validate_members(store, entry); return;
    case STORE_SORTED_SET: store_entry_validate_scored(store, entry); return;
    }
    assert(false); /* no such type */
}

static void validate_entry(const struct store *store, uint32_t slot,
                           const struct store_placed *placed)
{
    const struct store_entry *entry = placed->entry;
    struct slice bytes = store_entry_key_inline(entry);
    struct store_key key = store_key_of(entry->database, bytes);
    assert(key.slot == slot);
    assert(placed->hash == store_key_hash(store, &key));
    const uint64_t *place = store_table_find(store, &key, placed->hash);
    assert(place && store_word_entry(*place) == entry);
    assert(!store_entry_deadline_us(entry) == (store_entry_position(entry) == ENTRY_NO_POSITION));
    validate_value(store, entry);
}

void store_validate(const struct store *store)
{
    uint64_t keys[STORE_DATABASES] = {0};
    struct store_span span;
    struct store_crowd crowd;
    store_table_validate(store);
    store_deadlines_validate(store);
    store_crowd_init(&crowd);
    bool more = store_span_from(store, 0, 0, &span);
    for (; more; more = store_span_next(store, &span)) {
        store_crowd_gather(&crowd, store, &span);
        for (size_t i = 0; i < crowd.count; i++) {
            assert(crowd.at[i].hash <= span.last);
            validate_entry(store, span.slot, &crowd.at[i]);
            keys[crowd.at[i].entry->database]++;
        }
    }
    store_crowd_deinit(&crowd);
    for (size_t i = 0; i < STORE_DATABASES; i++)
        assert(keys[i] == store->keys[i]);
}
