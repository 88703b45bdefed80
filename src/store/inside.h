/* inside.h - the store's own state and its memory; private to store/. */
#ifndef HOLDFAST_STORE_INSIDE_H
#define HOLDFAST_STORE_INSIDE_H

#include "base/memory.h"
#include "store/store.h"

#include <assert.h>

#define STORE_PAGE_SLOTS 128
#define STORE_PAGES      (STORE_SLOTS / STORE_PAGE_SLOTS)

/* The roots of neighbouring slots: a page exists when one of its slots has a key, so that a store
 * of few slots is small. */
struct store_page {
    uint64_t words[STORE_PAGE_SLOTS];        /* see table.h; 0: no key in the slot */
    uint64_t present[STORE_PAGE_SLOTS / 64]; /* a bit for each slot with keys, not all 0 */
};

/* The first slot of the page at or behind `at` that has keys; STORE_PAGE_SLOTS: none. */
static inline unsigned store_page_next(const struct store_page *page, unsigned at)
{
    for (unsigned i = at / 64, shift = at % 64; i < STORE_PAGE_SLOTS / 64; i++, shift = 0) {
        uint64_t left = page->present[i] >> shift;
        if (left)
            return i * 64 + shift + (unsigned)__builtin_ctzll(left);
    }
    return STORE_PAGE_SLOTS;
}

/* A heap of all entries with a deadline, in blocks that never move (deadlines.c). */
struct store_deadlines {
    struct store_due ***rooms; /* owned; rooms[i] is an array of blocks */
    uint32_t room_count;       /* capacity of `rooms` */
    uint32_t block_count;
    uint32_t count;
};

struct store {
    uint64_t seed;
    uint64_t memory_bytes; /* what the allocator was asked for, its own overhead included */
    uint64_t keys[STORE_DATABASES];
    uint64_t with_deadline[STORE_DATABASES];
    struct store_deadlines deadlines;
    struct store_view *view;     /* the open one, borrowed; NULL: none */
    uint8_t epoch;               /* of the view that is open and looks at these tables; else 0 */
    uint8_t epoch_last;          /* the last one that a view had */
    uint8_t epochs;              /* that entries may have: the last so many */
    struct store_position wiped; /* up to here none has, while they are wiped */
    struct store_once *once;     /* owned; NULL: empty */
    struct store_page *pages[STORE_PAGES];
};

uint64_t store_hash(uint64_t seed, uint8_t database, struct slice bytes);

/* Every change of a key (create, change, remove; a rename is one of two keys) begins with this
 * call, before anything of the entry is touched: an open view then keeps what the key was. Pointers
 * into the store stay good. view.c */
void store_view_keep(struct store *store, const struct store_key *key);
static inline void store_view_before(struct store *store, const struct store_key *key)
{
    if (__builtin_expect(store->view != NULL, 0))
        store_view_keep(store, key);
}
/* What a keep of a key of this slot will look at, at first and then: for memory_touch; NULL:
 * nothing. */
const void *store_view_touched(const struct store *store, uint32_t slot, bool first);
/* The same before all keys go: an open view takes the tables over, and the store is empty. */
void store_view_take_all(struct store *store);

/* What an allocator of 16-byte steps and 8 bytes of overhead really uses for `size` bytes. Asking
 * for all of it makes the room known without storing it: sizes of one step may overwrite one
 * another in place. */
static inline size_t store_room_size(size_t size)
{
    size_t room = (size + 8 + 15) & ~(size_t)15;
    return room < 32 ? 32 : room;
}

static inline void *store_room_take(struct store *store, size_t size)
{
    size_t room = store_room_size(size);
    store->memory_bytes += room;
    return memory_allocate(room - 8);
}

static inline void store_room_give(struct store *store, void *memory, size_t size)
{
    store->memory_bytes -= store_room_size(size);
    memory_free(memory);
}

#endif
