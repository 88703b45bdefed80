/* rename.c - a value goes to another key, or a copy of it does. */
#include "store/spot.h"

/* `entry` takes the place of whatever is at `key`. */
static void place(struct store *store, const struct store_key *key, struct store_entry *entry,
                  int64_t deadline_us)
{
    struct store_spot spot = store_spot_of(store, key);
    if (spot.entry) {
        store_spot_remove(store, &spot);
        spot.place = NULL;
    }
    store_spot_fill(store, &spot, entry);
    store_spot_set_deadline(store, &spot, deadline_us);
}

static bool is_same(const struct store_key *a, const struct store_key *b)
{
    return a->database == b->database && slice_equal(a->bytes, b->bytes);
}

void store_rename(struct store *store, const struct store_key *from, const struct store_key *to)
{
    struct store_spot source = store_spot_of(store, from);
    assert(source.entry && !is_same(from, to));
    store_view_before(store, from);
    store_view_before(store, to);
    int64_t deadline_us = store_entry_deadline_us(source.entry);
    store_spot_detach(store, &source);
    place(store, to, store_entry_move(store, source.entry, to), deadline_us);
}

void store_copy(struct store *store, const struct store_key *from, const struct store_key *to)
{
    struct store_spot source = store_spot_of(store, from);
    assert(source.entry && !is_same(from, to));
    store_view_before(store, to);
    int64_t deadline_us = store_entry_deadline_us(source.entry);
    place(store, to, store_entry_copy(store, source.entry, to), deadline_us);
}
