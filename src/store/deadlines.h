/* deadlines.h - all entries with a deadline, earliest first; private to store/. */
#ifndef HOLDFAST_STORE_DEADLINES_H
#define HOLDFAST_STORE_DEADLINES_H

#include "store/table.h"

/* `word` is the entry, with its slot and the first two bits of its hash above: the order of keys
 * begins with them, so that most ties are settled without touching the entries. */
struct store_due {
    int64_t deadline_us;
    uint64_t word;
};

static inline unsigned store_due_above(uint16_t slot, uint64_t hash)
{
    return (unsigned)slot << 2 | (unsigned)(hash >> 62);
}

/* Makes `deadline_us` (0: none) the deadline of an entry that has room for one. Logarithmic. */
void store_deadline_set(struct store *store, struct store_entry *entry, unsigned above,
                        int64_t deadline_us);
/* Takes an entry out of the heap, if it is there; it has no deadline afterwards. */
void store_deadline_drop(struct store *store, struct store_entry *entry);
/* The entry has moved to another place in memory, deadline and position with it. */
void store_deadline_moved(struct store *store, struct store_entry *entry);
/* Empties the heap and frees it. */
void store_deadlines_clear(struct store *store);
void store_deadlines_validate(const struct store *store);

#endif
