/* string.c - strings and the deadlines of keys. */
#include "store/deadlines.h"

#define OUTSIDE_FROM_PUT                                                                           \
    16384                       /* longer values live outside: a deadline then moves only the key  \
                                 */
#define OUTSIDE_FROM_APPEND 512 /* a value that grows past this gets room to grow */

/* Where a key is, found once and then used for looking, moving and putting. */
struct spot {
    const struct store_key *key;
    uint64_t hash;
    uint64_t *place;           /* NULL: absent */
    struct store_entry *entry; /* NULL: absent */
};

static struct spot spot_of(const struct store *store, const struct store_key *key)
{
    assert(key->database < STORE_DATABASES && key->slot < STORE_SLOTS);
    struct spot spot = {.key = key, .hash = store_key_hash(store, key)};
    spot.place = store_table_find(store, key, spot.hash);
    spot.entry = spot.place ? store_word_entry(*spot.place) : NULL;
    return spot;
}

/* `entry` takes the place of what was found, or a new one. */
static void spot_fill(struct store *store, struct spot *spot, struct store_entry *entry)
{
    if (spot->place) {
        store_table_replace(spot->place, entry);
    } else {
        store_table_insert(store, spot->key->slot, spot->hash, entry);
        store->keys[spot->key->database]++;
    }
    spot->entry = entry;
}

static void spot_set_deadline(struct store *store, struct spot *spot, int64_t deadline_us)
{
    if (store_entry_deadline_us(spot->entry) == deadline_us)
        return;
    if (!(spot->entry->flags & ENTRY_DUE))
        spot_fill(store, spot, store_entry_with_due(store, spot->entry));
    unsigned above = store_due_above(spot->key->slot, spot->hash);
    store_deadline_set(store, spot->entry, above, deadline_us);
}

/* Whether a string of `size` bytes can be written where the old value is. */
static bool can_hold(const struct store_entry *entry, size_t size)
{
    if (store_entry_type(entry) != STORE_STRING)
        return false;
    if (entry->flags & ENTRY_OUTSIDE) {
        size_t capacity = store_entry_outside(entry)->capacity;
        return size <= capacity && size >= capacity / 2;
    }
    size_t key_size = store_entry_key_inline(entry).size;
    size_t now = store_entry_size_of(entry->flags, key_size, entry->value_size);
    size_t then = store_entry_size_of(entry->flags, key_size, size);
    return size <= OUTSIDE_FROM_PUT && store_room_size(now) == store_room_size(then);
}

static struct store_entry *create_string(struct store *store, const struct store_key *key,
                                         size_t size, bool has_deadline)
{
    unsigned flags = STORE_STRING | (has_deadline ? ENTRY_DUE : 0);
    if (size <= OUTSIDE_FROM_PUT)
        return store_entry_create(store, key, flags, size);
    struct store_entry *entry = store_entry_create(store, key, flags | ENTRY_OUTSIDE, size);
    uint8_t *at = store_room_take(store, size);
    *store_entry_outside(entry) = (struct store_outside){.at = at, .capacity = size};
    return entry;
}

void store_put_string(struct store *store, const struct store_key *key, struct slice value,
                      int64_t deadline_us)
{
    assert(value.size <= STORE_VALUE_SIZE_MAX);
    struct spot spot = spot_of(store, key);
    struct store_entry *old = spot.entry;
    if (!old || !can_hold(old, value.size)) {
        spot_fill(store, &spot, create_string(store, key, value.size, deadline_us != 0));
        if (old) {
            store_deadline_drop(store, old);
            store_entry_destroy(store, old);
        }
    }
    spot.entry->value_size = (uint32_t)value.size;
    if (value.size)
        memcpy(store_entry_value(spot.entry), value.at, value.size);
    spot_set_deadline(store, &spot, deadline_us);
}

/* More room than is needed, in proportion: what is copied stays constant per appended byte. */
static size_t grown_capacity(size_t size)
{
    size_t capacity = size + size / 2;
    return capacity < STORE_VALUE_SIZE_MAX ? capacity : STORE_VALUE_SIZE_MAX;
}

static void grow_outside(struct store *store, struct store_entry *entry, size_t size)
{
    struct store_outside *outside = store_entry_outside(entry);
    if (size <= outside->capacity)
        return;
    size_t capacity = grown_capacity(size);
    store->memory_bytes -= store_room_size(outside->capacity);
    store->memory_bytes += store_room_size(capacity);
    outside->at = memory_resize(outside->at, store_room_size(capacity) - 8);
    outside->capacity = capacity;
}

/* A short value moves to the next size; a longer one moves out, where it has room to grow. */
static struct store_entry *grow_inside(struct store *store, const struct store_key *key,
                                       struct store_entry *entry, size_t size)
{
    if (size > OUTSIDE_FROM_APPEND) {
        entry = store_entry_with_outside(store, entry, grown_capacity(size));
        store_deadline_moved(store, entry);
        return entry;
    }
    unsigned flags = entry->flags & ~ENTRY_WIDE_KEY;
    struct store_entry *grown = store_entry_create(store, key, flags, size);
    memcpy(store_entry_value(grown), store_entry_value(entry), entry->value_size);
    if (flags & ENTRY_DUE) {
        store_entry_set_due(grown, store_entry_deadline_us(entry), store_entry_position(entry));
        store_entry_set_due(entry, 0, ENTRY_NO_POSITION);
        store_deadline_moved(store, grown);
    }
    store_entry_destroy(store, entry);
    return grown;
}

size_t store_append_string(struct store *store, const struct store_key *key, struct slice more)
{
    struct spot spot = spot_of(store, key);
    if (!spot.entry) {
        store_put_string(store, key, more, 0);
        return more.size;
    }
    assert(store_entry_type(spot.entry) == STORE_STRING);
    size_t before = spot.entry->value_size, size = before + more.size;
    assert(size <= STORE_VALUE_SIZE_MAX);
    if (spot.entry->flags & ENTRY_OUTSIDE)
        grow_outside(store, spot.entry, size);
    else if (!can_hold(spot.entry, size))
        spot_fill(store, &spot, grow_inside(store, key, spot.entry, size));
    spot.entry->value_size = (uint32_t)size;
    if (more.size)
        memcpy(store_entry_value(spot.entry) + before, more.at, more.size);
    return size;
}

bool store_set_deadline(struct store *store, const struct store_key *key, int64_t deadline_us)
{
    struct spot spot = spot_of(store, key);
    if (!spot.entry)
        return false;
    spot_set_deadline(store, &spot, deadline_us);
    return true;
}

/* STORE-1: looking moves nothing; an entry moves only when it is itself put, lengthened or given
 * its first deadline. The door promises less, so that the table may also move entries some day. */
struct store_entry *store_find(struct store *store, const struct store_key *key)
{
    return spot_of(store, key).entry;
}

bool store_remove(struct store *store, const struct store_key *key)
{
    struct spot spot = spot_of(store, key);
    if (!spot.entry)
        return false;
    store_table_remove(store, key->slot, spot.hash, spot.place);
    store_deadline_drop(store, spot.entry);
    store_entry_destroy(store, spot.entry);
    store->keys[key->database]--;
    return true;
}
