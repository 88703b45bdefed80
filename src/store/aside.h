/* aside.h - what keys were before their first change under a view, as records in the order of keys
 * until the view takes them; private to store/.
 *
 *     page[slot / 128] -> heap of the slot -> record, the least (hash, key, database) first
 *
 * Nobody looks a key up here: its entry says whether it was kept (see view.c). */
#ifndef HOLDFAST_STORE_ASIDE_H
#define HOLDFAST_STORE_ASIDE_H

#include "store/inside.h"

struct store_aside;

struct store_kept {
    uint64_t hash;
    struct slice record; /* as store_encode writes it */
};

struct store_aside *store_aside_create(void);
void store_aside_destroy(struct store_aside *aside); /* NULL is fine */
uint64_t store_aside_bytes(const struct store_aside *aside);

/* Copies the record. Logarithmic in what is kept of this slot. */
void store_aside_put(struct store_aside *aside, uint32_t slot, uint64_t hash, struct slice record);
/* What a put of this slot begins with, and then looks at: for memory_touch; NULL: nothing is there
 * yet. */
const void *store_aside_root(const struct store_aside *aside, uint32_t slot);
const void *store_aside_least(const struct store_aside *aside, uint32_t slot);
/* The first slot in first .. last of which something is kept; false: none. */
bool store_aside_find(const struct store_aside *aside, uint32_t first, uint32_t last,
                      uint32_t *slot);
/* The least of the slot, good until the next put or drop; false: nothing. */
bool store_aside_first(const struct store_aside *aside, uint32_t slot, struct store_kept *out);
void store_aside_drop(struct store_aside *aside, uint32_t slot); /* the least, which is there */

#endif
