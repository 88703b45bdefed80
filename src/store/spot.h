/* spot.h - where a key is, found once and then used for looking, moving and putting; private to
 * store/. */
#ifndef HOLDFAST_STORE_SPOT_H
#define HOLDFAST_STORE_SPOT_H

#include "store/entry.h"

struct store_spot {
    const struct store_key *key; /* borrowed */
    uint64_t hash;
    uint64_t *place;           /* NULL: absent */
    struct store_entry *entry; /* NULL: absent */
};

struct store_spot store_spot_of(const struct store *store, const struct store_key *key);

/* The same for a change: an open view has seen the key, and what is there is of this type. It is
 * created, still empty, when absent and `creates`. */
struct store_spot store_spot_for(struct store *store, const struct store_key *key,
                                 enum store_type type, bool creates);

/* `entry` takes the place of what was found, or a new one. */
void store_spot_fill(struct store *store, struct store_spot *spot, struct store_entry *entry);
/* Takes the key and its deadline out; the entry is left to the caller. */
void store_spot_detach(struct store *store, struct store_spot *spot);
void store_spot_remove(struct store *store, struct store_spot *spot); /* destroys the entry too */
void store_spot_set_deadline(struct store *store, struct store_spot *spot, int64_t deadline_us);

#endif
