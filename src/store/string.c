/* string.c - strings and the deadlines of keys. */
#include "store/deadlines.h"
#include "store/spot.h"

#define OUTSIDE_FROM_PUT                                                                           \
    16384                       /* longer values live outside: a deadline then moves only the key  \
                                 */
#define OUTSIDE_FROM_APPEND 512 /* a value that grows past this gets room to grow */

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
    store_view_before(store, key);
    struct store_spot spot = store_spot_of(store, key);
    struct store_entry *old = spot.entry;
    if (!old || !can_hold(old, value.size)) {
        store_spot_fill(store, &spot, create_string(store, key, value.size, deadline_us != 0));
        if (old) {
            store_deadline_drop(store, old);
            store_entry_destroy(store, old);
        }
    }
    spot.entry->value_size = (uint32_t)value.size;
    if (value.size)
        memcpy(store_entry_value(spot.entry), value.at, value.size);
    store_spot_set_deadline(store, &spot, deadline_us);
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

/* Room for `size` bytes, at least those that are there; what is new is for the caller to fill. */
static void lengthen(struct store *store, struct store_spot *spot, size_t size)
{
    assert(store_entry_type(spot->entry) == STORE_STRING && size <= STORE_VALUE_SIZE_MAX);
    if (spot->entry->flags & ENTRY_OUTSIDE)
        grow_outside(store, spot->entry, size);
    else if (!can_hold(spot->entry, size))
        store_spot_fill(store, spot, grow_inside(store, spot->key, spot->entry, size));
    spot->entry->value_size = (uint32_t)size;
}

size_t store_append_string(struct store *store, const struct store_key *key, struct slice more)
{
    struct store_spot spot = store_spot_of(store, key);
    if (!spot.entry) {
        store_put_string(store, key, more, 0);
        return more.size;
    }
    store_view_before(store, key);
    size_t before = spot.entry->value_size, size = before + more.size;
    lengthen(store, &spot, size);
    if (more.size)
        memcpy(store_entry_value(spot.entry) + before, more.at, more.size);
    return size;
}

size_t store_write_string(struct store *store, const struct store_key *key, size_t offset,
                          struct slice bytes)
{
    struct store_spot spot = store_spot_of(store, key);
    if (!spot.entry) {
        store_put_string(store, key, slice_of(NULL, 0), 0);
        spot = store_spot_of(store, key);
    } else {
        store_view_before(store, key);
    }
    size_t before = spot.entry->value_size, end = offset + bytes.size;
    if (end > before) {
        lengthen(store, &spot, end);
        memset(store_entry_value(spot.entry) + before, 0, end - before);
    }
    if (bytes.size)
        memcpy(store_entry_value(spot.entry) + offset, bytes.at, bytes.size);
    return spot.entry->value_size;
}

bool store_set_deadline(struct store *store, const struct store_key *key, int64_t deadline_us)
{
    struct store_spot spot = store_spot_of(store, key);
    if (!spot.entry)
        return false;
    store_view_before(store, key);
    store_spot_set_deadline(store, &spot, deadline_us);
    return true;
}

/* STORE-1: looking moves nothing; an entry moves only when it is itself put, lengthened or given
 * its first deadline. The door promises less, so that the table may also move entries some day. */
struct store_entry *store_find(struct store *store, const struct store_key *key)
{
    return store_spot_of(store, key).entry;
}

bool store_remove(struct store *store, const struct store_key *key)
{
    struct store_spot spot = store_spot_of(store, key);
    if (!spot.entry)
        return false;
    store_view_before(store, key);
    store_spot_remove(store, &spot);
    return true;
}
