/* spot.c - finding, filling and emptying the place of one key. */
#include "store/spot.h"

#include "store/deadlines.h"

struct store_spot store_spot_of(const struct store *store, const struct store_key *key)
{
    assert(key->database < STORE_DATABASES && key->slot < STORE_SLOTS);
    struct store_spot spot = {.key = key, .hash = store_key_hash(store, key)};
    spot.place = store_table_find(store, key, spot.hash);
    spot.entry = spot.place ? store_word_entry(*spot.place) : NULL;
    return spot;
}

struct store_spot store_spot_for(struct store *store, const struct store_key *key,
                                 enum store_type type, bool creates)
{
    store_view_before(store, key);
    struct store_spot spot = store_spot_of(store, key);
    if (!spot.entry && creates)
        store_spot_fill(store, &spot, store_entry_create_empty(store, key, type));
    assert(!spot.entry || store_entry_type(spot.entry) == type);
    return spot;
}

void store_spot_fill(struct store *store, struct store_spot *spot, struct store_entry *entry)
{
    entry->epoch = store->epoch; /* what was there before was kept, or nothing was */
    if (spot->place) {
        store_table_replace(spot->place, entry);
    } else {
        store_table_insert(store, spot->key->slot, spot->hash, entry);
        store->keys[spot->key->database]++;
    }
    spot->entry = entry;
}

void store_spot_detach(struct store *store, struct store_spot *spot)
{
    store_table_remove(store, spot->key->slot, spot->hash, spot->place);
    store_deadline_drop(store, spot->entry);
    store->keys[spot->key->database]--;
}

void store_spot_remove(struct store *store, struct store_spot *spot)
{
    store_spot_detach(store, spot);
    store_entry_destroy(store, spot->entry);
}

void store_spot_set_deadline(struct store *store, struct store_spot *spot, int64_t deadline_us)
{
    if (store_entry_deadline_us(spot->entry) == deadline_us)
        return;
    if (!(spot->entry->flags & ENTRY_DUE)) {
        assert(spot->place); /* who fills a new place makes room for the deadline before */
        store_spot_fill(store, spot, store_entry_with_due(store, spot->entry));
    }
    unsigned above = store_due_above(spot->key->slot, spot->hash);
    store_deadline_set(store, spot->entry, above, deadline_us);
}
