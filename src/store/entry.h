/* entry.h - one key with its value in one piece of memory; private to store/.
 *
 *     flags 1 | database 4 bits, epoch 4 bits | key size 2 | value size 4 | parts | key | value
 *
 * The epoch is that of the view in which the entry was last put into its place or kept (view.c).
 * The parts are there when the flags say so, in this order: the tree of a LIST, HASH or SET (24
 * bytes), the trees of a SORTED_SET (32) or the place of an outside string (16); the deadline with
 * its position in the heap (12); the size of a wide key (4). A plain small string has none: 8 bytes
 * of header in front of key and value. The room of a deadline stays when the deadline goes (it is
 * then 0), so that setting and dropping it again does not move the entry. */
#ifndef HOLDFAST_STORE_ENTRY_H
#define HOLDFAST_STORE_ENTRY_H

#include "store/tree.h"

enum store_entry_flags {
    ENTRY_TYPE = 7,      /* enum store_type */
    ENTRY_DUE = 8,       /* has room for a deadline */
    ENTRY_OUTSIDE = 16,  /* the string has an allocation of its own */
    ENTRY_WIDE_KEY = 32, /* the key is longer than 65535 bytes */
};

struct store_entry {
    uint8_t flags;
    uint8_t database : 4;
    uint8_t epoch : 4;   /* 0: of no view */
    uint16_t key_size;   /* 0 with ENTRY_WIDE_KEY */
    uint32_t value_size; /* of a STRING */
    uint8_t body[];
};

struct store_outside {
    uint8_t *at; /* owned */
    uint64_t capacity;
};

/* See scored.c. */
struct store_scored {
    struct store_tree by_score;
    struct store_tree *by_member; /* owned; NULL while the set is small */
};

#define ENTRY_DUE_SIZE      12
#define ENTRY_NO_POSITION   UINT32_MAX
#define ENTRY_KEY_SMALL_MAX UINT16_MAX
#define ENTRY_HEAD_SIZE     offsetof(struct store_entry, body)
_Static_assert(offsetof(struct store_entry, body) == 8, "16 + 64 bytes fit in a 96-byte chunk");
_Static_assert(STORE_DATABASES <= 16, "4 bits");
_Static_assert(STORE_VALUE_SIZE_MAX <= UINT32_MAX && STORE_KEY_SIZE_MAX <= UINT32_MAX,
               "sizes of an entry have 32 bits");

static inline size_t store_entry_due_at(unsigned flags)
{
    if ((flags & ENTRY_TYPE) == STORE_STRING)
        return flags & ENTRY_OUTSIDE ? sizeof(struct store_outside) : 0;
    bool is_scored = (flags & ENTRY_TYPE) == STORE_SORTED_SET;
    return is_scored ? sizeof(struct store_scored) : sizeof(struct store_tree);
}

static inline size_t store_entry_parts_size(unsigned flags)
{
    size_t size = store_entry_due_at(flags);
    if (flags & ENTRY_DUE)
        size += ENTRY_DUE_SIZE;
    if (flags & ENTRY_WIDE_KEY)
        size += sizeof(uint32_t);
    return size;
}

static inline struct slice store_entry_key_inline(const struct store_entry *entry)
{
    size_t parts = store_entry_parts_size(entry->flags), size = entry->key_size;
    if (entry->flags & ENTRY_WIDE_KEY)
        size = load_u32(entry->body + parts - sizeof(uint32_t));
    return slice_of(entry->body + parts, size);
}

static inline struct store_outside *store_entry_outside(const struct store_entry *entry)
{
    return (struct store_outside *)(uintptr_t)entry->body;
}

/* The elements of all types but STRING; of a SORTED_SET by score. */
static inline struct store_tree *store_entry_tree(const struct store_entry *entry)
{
    return (struct store_tree *)(uintptr_t)entry->body;
}

static inline struct store_scored *store_entry_scored(const struct store_entry *entry)
{
    return (struct store_scored *)(uintptr_t)entry->body;
}

/* The allocated size of an entry; a value counts when it is inside. */
size_t store_entry_size(const struct store_entry *entry);
size_t store_entry_size_of(unsigned flags, size_t key_size, size_t value_size);

/* `flags` without ENTRY_WIDE_KEY. The value's bytes, the outside place and the trees are left for
 * the caller to fill in; there is no deadline yet. */
struct store_entry *store_entry_create(struct store *store, const struct store_key *key,
                                       unsigned flags, size_t value_size);
/* Of a type that is not STRING, with nothing in it yet. */
struct store_entry *store_entry_create_empty(struct store *store, const struct store_key *key,
                                             enum store_type type);
/* Frees the value too. The entry is in no heap any more. */
void store_entry_destroy(struct store *store, struct store_entry *entry);

/* The same entry, moved to a place with room for a deadline; frees the old one. */
struct store_entry *store_entry_with_due(struct store *store, struct store_entry *entry);

/* The same value under another key, without deadline but with room for one if there was one: the
 * old entry, which is in no heap any more, is freed, or (copy) stays as it is. A copy is linear in
 * the value. */
struct store_entry *store_entry_move(struct store *store, struct store_entry *entry,
                                     const struct store_key *key);
struct store_entry *store_entry_copy(struct store *store, const struct store_entry *entry,
                                     const struct store_key *key);

/* The same string, moved to an allocation of its own with `capacity` bytes. */
struct store_entry *store_entry_with_outside(struct store *store, struct store_entry *entry,
                                             size_t capacity);

/* The bytes of a STRING, wherever they are. */
uint8_t *store_entry_value(const struct store_entry *entry);

uint32_t store_entry_position(const struct store_entry *entry);
void store_entry_set_due(struct store_entry *entry, int64_t deadline_us, uint32_t position);
void store_entry_set_position(struct store_entry *entry, uint32_t position);

bool store_entry_is(const struct store_entry *entry, const struct store_key *key);

/* The order behind equal hashes: bytes, then databases. */
struct store_name {
    struct slice bytes;
    uint8_t database;
};
int store_name_compare(struct store_name a, struct store_name b);
int store_entry_compare(const struct store_entry *a, const struct store_entry *b);
struct store_name store_entry_name(const struct store_entry *entry);
/* Of a record that store_encode wrote. record.c */
struct store_name store_record_name(struct slice record);

/* scored.c: frees the tree by member, if there is one; copies it from another entry's. */
void store_scored_drop_members(struct store *store, struct store_scored *scored);
void store_scored_copy_members(struct store *store, struct store_scored *scored);

/* Asserts the relations within the value. members.c, scored.c */
void store_entry_validate_members(const struct store *store, const struct store_entry *entry);
void store_entry_validate_scored(const struct store *store, const struct store_entry *entry);

#endif
