/* table.h - the ordered hash table: keys by (slot, hash, bytes, database); private to store/.
 *
 *     page[slot / 128] -> root word of the slot -> (node -> node ->) segment -> bucket -> entry
 *
 * A word is a pointer in its low 48 bits and something small above it. A root word, and each of the
 * 16 words of a node, is 0 (nothing), a node (the next 4 bits of the hash choose its word), or a
 * segment. At depth d of the trie, 4d bits of the hash are behind us, and the tag of an entry is
 * the next 16.
 *
 * A segment is an array of 64-byte buckets: `homes` of them share the tags in order (home = tag *
 * homes >> 16), and the spill buckets behind them take what a full home cannot. Since tags alone
 * say where an entry belongs, a segment is rebuilt at another size without touching entries; it is
 * never larger than SEGMENT_KEYS_MAX keys, so a rebuild is short (STORE-3). A full segment becomes
 * a node with up to 16 small segments, which is the only time that keys are hashed again; a node
 * with few keys becomes a segment. At DEPTH_MAX a segment grows without bound: only keys with 48
 * equal bits of hash meet there. */
#ifndef HOLDFAST_STORE_TABLE_H
#define HOLDFAST_STORE_TABLE_H

#include "store/entry.h"

#define BUCKET_ENTRIES    7
#define SEGMENT_KEYS_MAX  320
#define SEGMENT_HOMES_MAX 64
#define NODE_WORDS        16
#define NODE_BITS         4
#define NODE_KEYS_MIN     96 /* a node with no more becomes a segment */
#define TAG_BITS          16
#define DEPTH_MAX         ((64 - TAG_BITS) / NODE_BITS)

#define WORD_POINTER_BITS 48
#define WORD_POINTER      (((uint64_t)1 << WORD_POINTER_BITS) - 1)
#define WORD_NODE         ((uint64_t)1 << 63)

/* One cache line: entry words carry the tag above the pointer. */
struct store_bucket {
    uint64_t words[BUCKET_ENTRIES]; /* the first `count` */
    uint32_t epoch;                 /* reserved */
    uint32_t spilled : 24;          /* entries of this home in the spill; > 0 only when full */
    uint32_t count : 8;
};
_Static_assert(sizeof(struct store_bucket) == 64, "a bucket is a cache line");

/* Right in front of the first bucket, which is aligned to 64 bytes. */
struct store_segment {
    uint32_t keys;
    uint32_t spilled; /* entries in the spill buckets, which are filled from the front */
    uint32_t spills;  /* spill buckets */
    uint16_t homes;
    uint8_t behind; /* bytes from the start of the allocation to the first bucket */
};

struct store_node {
    uint64_t keys; /* in all that hangs below, > NODE_KEYS_MIN */
    uint64_t words[NODE_WORDS];
};

static inline void *store_word_pointer(uint64_t word)
{
    return (void *)(uintptr_t)(word & WORD_POINTER);
}

static inline struct store_entry *store_word_entry(uint64_t word)
{
    return store_word_pointer(word);
}

static inline unsigned store_word_above(uint64_t word)
{
    return (unsigned)(word >> WORD_POINTER_BITS);
}

static inline uint64_t store_word_of(const void *pointer, unsigned above)
{
    uintptr_t address = (uintptr_t)pointer;
    assert(address && address <= WORD_POINTER);
    return address | (uint64_t)above << WORD_POINTER_BITS;
}

/* Hash bits `depth` nodes deep: which word of the node, which tag. */
static inline unsigned store_hash_branch(uint64_t hash, unsigned depth)
{
    return (unsigned)(hash << (NODE_BITS * depth) >> (64 - NODE_BITS));
}

static inline unsigned store_hash_tag(uint64_t hash, unsigned depth)
{
    return (unsigned)(hash << (NODE_BITS * depth) >> (64 - TAG_BITS));
}

static inline unsigned store_tag_home(unsigned tag, unsigned homes)
{
    return tag * homes >> TAG_BITS;
}

static inline struct store_bucket *store_segment_buckets(uint64_t segment)
{
    return store_word_pointer(segment);
}

static inline struct store_segment *store_segment_head(uint64_t segment)
{
    return (struct store_segment *)store_word_pointer(segment) - 1;
}

/* One bit for each entry of the bucket with this tag. Without branches: where a key stands is
 * chance, and a mispredicted exit from a loop costs more than comparing all seven. */
static inline unsigned store_bucket_matches(const struct store_bucket *bucket, unsigned tag)
{
    unsigned matches = 0;
    for (unsigned i = 0; i < BUCKET_ENTRIES; i++)
        matches |= (unsigned)(store_word_above(bucket->words[i]) == tag) << i;
    return matches & ((1u << bucket->count) - 1);
}

/* The word of the spilled entry number `index`. */
static inline uint64_t *store_segment_spilled(uint64_t segment, size_t index)
{
    struct store_segment *head = store_segment_head(segment);
    struct store_bucket *first = store_segment_buckets(segment) + head->homes;
    return &first[index / BUCKET_ENTRIES].words[index % BUCKET_ENTRIES];
}

/* ---- segment.c: words of segments, entries by tag ---- */

/* A segment of the `count` > 0 entries; `words` carry their tags. */
uint64_t store_segment_build(struct store *store, const uint64_t *words, size_t count);
void store_segment_free(struct store *store, uint64_t segment); /* not the entries */
uint64_t *store_segment_find(uint64_t segment, unsigned tag, const struct store_key *key);
/* `*segment` may be 0; it changes when the segment has to be rebuilt. */
void store_segment_add(struct store *store, uint64_t *segment, uint64_t word);
/* Takes out the entry at `place`; `*segment` becomes 0 with the last one. */
void store_segment_remove(struct store *store, uint64_t *segment, uint64_t *place);
void store_segment_validate(uint64_t segment);

/* ---- table.c ---- */

/* The word that holds the entry of this key, or NULL; good until the next insert or remove. */
uint64_t *store_table_find(const struct store *store, const struct store_key *key, uint64_t hash);
/* The key is not there yet. */
void store_table_insert(struct store *store, uint16_t slot, uint64_t hash,
                        struct store_entry *entry);
/* `place` as found for this slot and hash; the entry itself is left to the caller. */
void store_table_remove(struct store *store, uint16_t slot, uint64_t hash, uint64_t *place);
/* Puts another entry of the same key in this place. */
void store_table_replace(uint64_t *place, struct store_entry *entry);
/* Frees all, entries too; they are in no heap any more. */
void store_table_clear(struct store *store);
void store_table_validate(const struct store *store);

/* ---- span.c: the table from front to back, one home bucket at a time ---- */

struct store_span {
    uint32_t slot;
    uint64_t last;    /* the last hash that belongs to it */
    uint64_t segment; /* a word, 0: nothing there */
    unsigned home;
};

struct store_placed {
    uint64_t hash;
    struct store_entry *entry;
};

#define CROWD_FEW 32

/* The entries of one span. */
struct store_crowd {
    struct store_placed *at;
    size_t count, capacity;
    struct store_placed few[CROWD_FEW]; /* `at` points here until more room is needed */
};

/* The first span with keys at or behind (slot, hash); false when there is none. A position stays
 * meaningful whatever changes meanwhile. */
bool store_span_from(const struct store *store, uint32_t slot, uint64_t hash,
                     struct store_span *span);
/* The same, up to the end of slot_last. */
bool store_span_within(const struct store *store, uint32_t slot, uint64_t hash, uint32_t slot_last,
                       struct store_span *span);
bool store_span_next(const struct store *store, struct store_span *span);

void store_crowd_init(struct store_crowd *crowd);
void store_crowd_deinit(struct store_crowd *crowd);
/* Replaces its contents by the span's entries, in no order. */
void store_crowd_gather(struct store_crowd *crowd, const struct store *store,
                        const struct store_span *span);
void store_crowd_sort(struct store_crowd *crowd); /* by hash, bytes, database */

#endif
