/* store.h - the in-memory state of one partition: keys, values, deadlines. Pure. Floor 1; used by
 * command/ and replica/.
 *
 * Identity is (database, key); databases 0..15 live in one store. Keys are ordered by (slot, hash,
 * bytes): the seed of the hash belongs to the partition and is equal on all its replicas, so that
 * chunks of two replicas can be compared (R20), and SCAN, views and slot moves walk in that one
 * order. The seed is a secret: who knows it can make keys with equal hashes, which are slow (not
 * wrong). The store never looks at a clock: who asks says what time it is; an entry past its
 * deadline is still here until it is removed (the deletion is a log entry of its own).
 *
 *     slot -> segment of up to 320 keys -> bucket of 7 -> entry: header, deadline, key, value
 *             (a trie of segments        (one cache      (one allocation; long strings and
 *              when a slot is crowded)    line)            lists have more of their own)
 *
 * Cost: one bucket line of 64 bytes for up to 7 keys, one allocation for a small key: 16 + 64 bytes
 * need at most 150 resident bytes (110 to 125 are measured). A deadline costs 28 to 32 more. A
 * value of the same size, or another of the allocator's same step, is overwritten in place. It
 * grows and shrinks segment by segment: no operation takes time proportional to the keys.
 *
 * Promises. STORE-1 a pointer from find stays good until the next call that changes the store.
 * STORE-2 two stores that were given the same seed and the same contents have the same digest,
 * whatever the order of the operations. STORE-3 no call is linear in the number of keys but clear,
 * digest, validate and a whole walk.
 *
 * Not promised: that memory goes back to the system when keys go (the allocator decides).
 * Reserved: point-in-time view (bucket epochs). */
#ifndef HOLDFAST_STORE_STORE_H
#define HOLDFAST_STORE_STORE_H

#include "base/bytes.h"
#include "base/status.h"

#define STORE_DATABASES      16
#define STORE_SLOTS          16384
#define STORE_VALUE_SIZE_MAX (512u << 20)
#define STORE_KEY_SIZE_MAX   (512u << 20)

struct store;
struct store_entry; /* one key with its value; borrowed from the store */

enum store_type {
    STORE_STRING = 1,
    STORE_LIST = 2 /* hashes, sets, sorted sets, streams come later: keep numbers */
};

struct store_key {
    uint8_t database;
    uint16_t slot; /* store_slot(bytes) */
    struct slice bytes;
};

/* CRC16/XMODEM of the key or of its {tag}, mod 16384 (Redis cluster specification). */
uint16_t store_slot(struct slice key);
struct store_key store_key_of(uint8_t database, struct slice bytes);

/* A 64-bit digest of (database, key), equal on all replicas: for gate tables. */
uint64_t store_key_hash(const struct store *store, const struct store_key *key);

struct store *store_create(uint64_t hash_seed);
void store_destroy(struct store *store);

/* NULL when absent. */
struct store_entry *store_find(struct store *store, const struct store_key *key);

/* Nothing but a hint: brings what finds of these keys will touch into the processor's cache, the
 * misses of all side by side. Pays for batches of several keys that are used right afterwards. */
#define STORE_PREFETCH_MAX 32
void store_prefetch(const struct store *store, const struct store_key *keys, size_t count);

enum store_type store_entry_type(const struct store_entry *entry);
struct slice store_entry_key(const struct store_entry *entry);

/* Deadline in microseconds of group time; 0: none; any other number is one, negative ones too. */
int64_t store_entry_deadline_us(const struct store_entry *entry);

/* The bytes of a STRING. */
struct slice store_entry_string(const struct store_entry *entry);

/* Puts a string, in place of whatever is there; deadline_us 0: none. `value` may not point into the
 * store. Sizes within the maxima. */
void store_put_string(struct store *store, const struct store_key *key, struct slice value,
                      int64_t deadline_us);

/* Lengthens a string in place (amortised constant); creates it without deadline when absent. Keeps
 * its deadline. Returns the new size. The caller has checked type and maximum. */
size_t store_append_string(struct store *store, const struct store_key *key, struct slice more);

/* False when absent. */
bool store_set_deadline(struct store *store, const struct store_key *key, int64_t deadline_us);
bool store_remove(struct store *store, const struct store_key *key);

void store_clear(struct store *store); /* all databases */
void store_clear_database(struct store *store, uint8_t database);
uint64_t store_count(const struct store *store, uint8_t database); /* keys, the expired ones too */
uint64_t store_count_deadlines(const struct store *store, uint8_t database);
uint64_t store_memory_bytes(const struct store *store); /* estimate of resident bytes */

/* ---- lists: a deque; created by the first push, removed with the last element ---- */

size_t store_list_length(const struct store_entry *entry);
/* Returns the new length; creates the list. The caller has checked the type. */
size_t store_list_push(struct store *store, const struct store_key *key, bool at_head,
                       struct slice element);
/* The element at `index` (0 .. length-1); constant or logarithmic time. */
struct slice store_list_at(const struct store_entry *entry, size_t index);
/* Walks elements from `index` on: start, then next until it answers false. Linear in what is
 * walked. */
struct store_list_walk {
    const struct store_entry *entry;
    const void *node;
    size_t offset, index;
};
void store_list_walk_init(struct store_list_walk *walk, const struct store_entry *entry,
                          size_t index);
bool store_list_walk_next(struct store_list_walk *walk, struct slice *element);

/* ---- expiry: keys in order of their deadline ---- */

/* The earliest deadline; INT64_MAX: none. */
int64_t store_next_deadline_us(const struct store *store);
/* Up to `max` keys whose deadline is <= now_us, earliest first, equal ones in the order of keys:
 * the same on all replicas. Returns how many. Keys borrowed until the next change; one may be
 * handed to store_remove as it is. */
size_t store_find_expired(const struct store *store, int64_t now_us, struct store_key *keys,
                          size_t max);

/* ---- walking, in the order (slot, hash, bytes) ---- */

/* Cursor 0 begins; returns the next cursor, 0 at the end, always below 2^63. Any cursor is
 * harmless; `max` is brought into 1 .. STORE_WALK_MAX. Appends whole groups of colliding keys (same
 * slot, same 40 bits of hash): between 1 and max + a few entries, none at the end. Keys present
 * throughout a walk are seen at least once, whatever changes meanwhile. Entries borrowed until the
 * next change.
 *
 * A group of more than STORE_WALK_MAX + 16 keys, which only somebody who knows the seed can make,
 * comes in parts: a removal within it during the walk can then hide a key of it, and past 32768
 * keys the rest of it is left out. */
#define STORE_WALK_MAX 64
uint64_t store_walk(const struct store *store, uint64_t cursor, size_t max,
                    struct store_entry *entries[STORE_WALK_MAX + 16],
                    uint8_t databases[STORE_WALK_MAX + 16], size_t *count);

/* Order-independent digest of everything: databases, keys, types, values, deadlines (STORE-2).
 * Linear. */
uint64_t store_digest(const struct store *store);

void store_validate(const struct store *store); /* asserts its own relations; linear */

#endif
