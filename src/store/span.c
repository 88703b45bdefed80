/* span.c - from front to back, one home bucket at a time. A position is a (slot, hash), not a
 * pointer: nothing that changes in between can invalidate it, and each step finds its way from the
 * root again. */
#include "store/table.h"

#include "base/memory.h"

#include <stdlib.h>

/* The last hash with the same first `bits` bits. */
static uint64_t last_with_prefix(uint64_t hash, unsigned bits)
{
    return bits == 0 ? UINT64_MAX : hash | ((UINT64_MAX >> (bits - 1)) >> 1);
}

/* The last tag of a home: the next home begins at the next tag, rounded up. */
static unsigned last_tag(unsigned home, unsigned homes)
{
    unsigned next = (((home + 1) << TAG_BITS) + homes - 1) / homes;
    return next - 1;
}

static void span_at(uint64_t root, uint64_t hash, struct store_span *span)
{
    unsigned depth = 0;
    uint64_t word = root;
    for (; word & WORD_NODE; depth++) {
        const struct store_node *node = store_word_pointer(word);
        word = node->words[store_hash_branch(hash, depth)];
    }
    span->segment = word;
    span->last = last_with_prefix(hash, NODE_BITS * depth);
    if (!word)
        return;
    unsigned homes = store_word_above(word), behind = 64 - TAG_BITS - NODE_BITS * depth;
    span->home = store_tag_home(store_hash_tag(hash, depth), homes);
    uint64_t before = depth ? hash >> (64 - NODE_BITS * depth) << (64 - NODE_BITS * depth) : 0;
    uint64_t tag = last_tag(span->home, homes);
    span->last = last_with_prefix(before | tag << behind, NODE_BITS * depth + TAG_BITS);
}

static bool span_is_empty(const struct store_span *span)
{
    return !span->segment || !store_segment_buckets(span->segment)[span->home].count;
}

bool store_span_within(const struct store *store, uint32_t slot, uint64_t hash, uint32_t slot_last,
                       struct store_span *span)
{
    for (; slot <= slot_last; slot++, hash = 0) {
        const struct store_page *page = store->pages[slot / STORE_PAGE_SLOTS];
        unsigned next = page ? store_page_next(page, slot % STORE_PAGE_SLOTS) : STORE_PAGE_SLOTS;
        if (next != slot % STORE_PAGE_SLOTS) { /* none here: to it, or to the next page */
            slot = (slot & ~(STORE_PAGE_SLOTS - 1u)) + next - 1;
            continue;
        }
        uint64_t root = page->words[next];
        span->slot = slot;
        for (bool more = true; more; more = ++hash != 0) {
            span_at(root, hash, span);
            if (!span_is_empty(span))
                return true;
            hash = span->last;
        }
    }
    return false;
}

bool store_span_from(const struct store *store, uint32_t slot, uint64_t hash,
                     struct store_span *span)
{
    return store_span_within(store, slot, hash, STORE_SLOTS - 1, span);
}

bool store_span_next(const struct store *store, struct store_span *span)
{
    if (span->last == UINT64_MAX)
        return store_span_from(store, span->slot + 1, 0, span);
    return store_span_from(store, span->slot, span->last + 1, span);
}

void store_crowd_init(struct store_crowd *crowd)
{
    crowd->at = crowd->few;
    crowd->count = 0;
    crowd->capacity = CROWD_FEW;
}

void store_crowd_deinit(struct store_crowd *crowd)
{
    if (crowd->at != crowd->few)
        memory_free(crowd->at);
    store_crowd_init(crowd);
}

static void crowd_reserve(struct store_crowd *crowd, size_t capacity)
{
    if (capacity <= crowd->capacity)
        return;
    store_crowd_deinit(crowd);
    crowd->at = memory_allocate(capacity * sizeof *crowd->at);
    crowd->capacity = capacity;
}

static void crowd_add(struct store_crowd *crowd, const struct store *store, uint64_t word)
{
    struct store_entry *entry = store_word_entry(word);
    struct slice key = store_entry_key_inline(entry);
    uint64_t hash = store_hash(store->seed, entry->database, key);
    assert(crowd->count < crowd->capacity);
    crowd->at[crowd->count++] = (struct store_placed){.hash = hash, .entry = entry};
}

/* Keys side by side in the table lie anywhere in memory. The next home is asked for before this one
 * is read: it is what follows. What this one has behind its first lines may be past the end of its
 * memory, and is not loaded but prefetched (see prefetch.c). */
static void touch_entries(const struct store_span *span)
{
    const struct store_bucket *home = store_segment_buckets(span->segment) + span->home;
    for (unsigned i = 0; i < home->count; i++)
        memory_touch(store_word_pointer(home->words[i]));
    if (span->home + 1 < store_word_above(span->segment))
        for (unsigned i = 0; i < home[1].count; i++)
            memory_touch(store_word_pointer(home[1].words[i]));
    for (unsigned i = 0; i < home->count; i++)
        __builtin_prefetch((const uint8_t *)store_word_pointer(home->words[i]) + 64);
}

void store_crowd_gather(struct store_crowd *crowd, const struct store *store,
                        const struct store_span *span)
{
    const struct store_bucket *home = &store_segment_buckets(span->segment)[span->home];
    size_t spilled = home->spilled ? store_segment_head(span->segment)->spilled : 0;
    crowd->count = 0;
    touch_entries(span);
    crowd_reserve(crowd, home->count + (size_t)home->spilled);
    for (unsigned i = 0; i < home->count; i++)
        crowd_add(crowd, store, home->words[i]);
    for (size_t i = 0; i < spilled; i++) {
        uint64_t word = *store_segment_spilled(span->segment, i);
        unsigned homes = store_word_above(span->segment);
        if (store_tag_home(store_word_above(word), homes) == span->home)
            crowd_add(crowd, store, word);
    }
}

static bool is_behind(const struct store_placed *a, const struct store_placed *b)
{
    if (a->hash != b->hash)
        return a->hash > b->hash;
    return store_entry_compare(a->entry, b->entry) > 0;
}

static int compare_placed(const void *a, const void *b)
{
    return (int)is_behind(a, b) - (int)is_behind(b, a);
}

/* Few at a time: a home has seven, and more only with what it spilled. */
void store_crowd_sort(struct store_crowd *crowd)
{
    if (crowd->count > CROWD_FEW) {
        qsort(crowd->at, crowd->count, sizeof *crowd->at, compare_placed);
        return;
    }
    for (size_t i = 1; i < crowd->count; i++) {
        struct store_placed placed = crowd->at[i];
        size_t at = i;
        for (; at && is_behind(&crowd->at[at - 1], &placed); at--)
            crowd->at[at] = crowd->at[at - 1];
        crowd->at[at] = placed;
    }
}
