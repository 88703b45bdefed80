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
 *              when a slot is crowded)    line)            collections have more of their own)
 *     list, hash, set, sorted set -> leaf of up to 1 or 2 KiB: packed elements
 *                                    (a tree of leaves when one is not enough)
 *
 * Cost: one bucket line of 64 bytes for up to 7 keys, one allocation for a small key: 16 + 64 bytes
 * need at most 150 resident bytes (110 to 125 are measured). A deadline costs 28 to 32 more. A
 * value of the same size, or another of the allocator's same step, is overwritten in place. It
 * grows and shrinks segment by segment: no operation takes time proportional to the keys. A member
 * costs about 7 bytes more than its own in a set, 11 in a hash; one of 8 bytes needs 45 in a sorted
 * set, 24 in a small one. An element larger than a leaf has a leaf of its own.
 *
 * Promises. STORE-1 a pointer from find stays good until the next call that changes the store.
 * STORE-2 two stores that were given the same seed and the same contents have the same digest,
 * whatever the order of the operations. STORE-3 no call is linear in the number of keys but clear,
 * digest, validate and a whole walk, nor in the elements of one value but these, a copy, and what
 * destroys the value (remove, or putting something in its place). STORE-4 a view gives each key
 * that the store had when it began once, as it was then, whatever changes meanwhile; or it says
 * that it was given up.
 *
 * Not promised: that memory goes back to the system when keys go (the allocator decides).
 * Reserved: bucket epochs. */
#ifndef HOLDFAST_STORE_STORE_H
#define HOLDFAST_STORE_STORE_H

#include "base/bytes.h"
#include "base/status.h"

#define STORE_DATABASES      16
#define STORE_SLOTS          16384
#define STORE_WALK_MAX       64
#define STORE_WALK_ROOM      (STORE_WALK_MAX + 16)
#define STORE_VALUE_SIZE_MAX (512u << 20)
#define STORE_KEY_SIZE_MAX   (512u << 20)

struct store;
struct store_entry; /* one key with its value; borrowed from the store */

enum store_type {
    STORE_STRING = 1,
    STORE_LIST = 2,
    STORE_HASH = 3,
    STORE_SET = 4,
    STORE_SORTED_SET = 5 /* 6 is kept for streams: numbers are in snapshots and digests */
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
struct store *store_create_beside(const struct store *store); /* empty, of the same seed */
void store_destroy(struct store *store);

/* NULL when absent. */
struct store_entry *store_find(struct store *store, const struct store_key *key);

/* Nothing but a hint: brings what finds of these keys, in one store or several, will touch into the
 * processor's cache, the misses of all side by side. Pays for batches of several keys that are used
 * right afterwards. */
#define STORE_PREFETCH_MAX 32
struct store_ahead {
    size_t count; /* set to 0 first; the rest is written before it is read */
    struct {
        const struct store *store;
        struct store_key key;
    } finds[STORE_PREFETCH_MAX];
};
static inline bool store_ahead_is_full(const struct store_ahead *ahead)
{
    return ahead->count == STORE_PREFETCH_MAX;
}
void store_ahead_add(struct store_ahead *ahead, const struct store *store,
                     const struct store_key *key); /* not when it is full */
void store_prefetch(const struct store_ahead *ahead);

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

/* Overwrites a string from `offset` on, where it is; what is missing in front of the offset or of
 * the end becomes zero bytes (no bytes: it only grows). Creates it without deadline when absent;
 * keeps its deadline. `bytes` may not point into the store. Returns the size. The caller has
 * checked type and maximum. */
size_t store_write_string(struct store *store, const struct store_key *key, size_t offset,
                          struct slice bytes);

/* False when absent. */
bool store_set_deadline(struct store *store, const struct store_key *key, int64_t deadline_us);
bool store_remove(struct store *store, const struct store_key *key);

void store_clear(struct store *store); /* all databases; the table of ONCE stays */
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

/* Removes an end of the list and, with the last element, the key. False: absent. `element` is
 * appended to `out` first (NULL: thrown away). */
bool store_list_pop(struct store *store, const struct store_key *key, bool at_head,
                    struct buffer *out);
/* Keeps elements first .. last (0-based, within the list, first <= last); the rest goes. Linear in
 * the leaves that go. */
void store_list_keep(struct store *store, const struct store_key *key, size_t first, size_t last);
/* `index` < length. Replacing and removing the element at `index`, inserting in front of it (index
 * == length: at the end). Linear in a leaf, logarithmic in the list. */
void store_list_replace(struct store *store, const struct store_key *key, size_t index,
                        struct slice element);
void store_list_remove(struct store *store, const struct store_key *key, size_t index);
void store_list_insert(struct store *store, const struct store_key *key, size_t index,
                       struct slice element);

/* ---- hashes and sets: members, in a hash each with a value ----
 *
 * Created by the first put, removed with the last member. Find, put, remove and at: logarithmic, to
 * the base of some 20, within one leaf of 1 KiB at the end. Members have one order, (32 bits of
 * their hash under the store's seed, bytes), the same on all replicas and under every key, so that
 * an index chosen by the leader means the same member everywhere.
 *
 * Names and elements given to a remove may be what the store has handed out; what is given to a
 * put, push, insert or replace may not point into the store. */
size_t store_member_count(const struct store_entry *entry);
/* False: absent. *value: of a hash; borrowed until the next change. NULL when not wanted. */
bool store_member_find(const struct store *store, const struct store_entry *entry,
                       struct slice member, struct slice *value);
/* Creates the key as `type` (HASH or SET) when absent; the caller has checked the type. True: the
 * member is new. A set's value is empty. */
bool store_member_put(struct store *store, const struct store_key *key, enum store_type type,
                      struct slice member, struct slice value);
bool store_member_remove(struct store *store, const struct store_key *key, struct slice member);
/* The member number `index` (0 .. count-1) in their order. For random picks. value may be NULL. */
void store_member_at(const struct store *store, const struct store_entry *entry, size_t index,
                     struct slice *member, struct slice *value);
/* Like store_walk, for HSCAN, SSCAN and whole walks: cursor 0 begins, 0 is the end; between 1 and
 * max + a few members, whole groups of equal hashes; members present throughout are seen at least
 * once whatever changes between the calls. A walk with cursors kept and nothing changed meanwhile
 * sees each member once. */
struct store_member {
    struct slice name, value;
    double score; /* of a sorted set; `value` is empty then */
};
uint64_t store_member_walk(const struct store *store, const struct store_entry *entry,
                           uint64_t cursor, size_t max,
                           struct store_member members[STORE_WALK_ROOM], size_t *count);

/* ---- sorted sets: members with a score, in the order (score, bytes) ----
 *
 * Scores are finite or infinite, never NaN (the caller has refused it); -0.0 is stored as 0.0.
 * Ranks are 0-based from the lowest. Everything is logarithmic, walks linear in what is walked. */
size_t store_scored_count(const struct store_entry *entry);
bool store_scored_find(const struct store *store, const struct store_entry *entry,
                       struct slice member, double *score); /* false: absent */
/* True: the member is new; else its score is replaced. Creates the key. */
bool store_scored_put(struct store *store, const struct store_key *key, struct slice member,
                      double score);
bool store_scored_remove(struct store *store, const struct store_key *key, struct slice member);
/* Of a member that is there. */
size_t store_scored_rank(const struct store *store, const struct store_entry *entry,
                         struct slice member);
/* How many members have a lower score (`or_equal`: or the same one): the rank where a range by
 * score begins. */
size_t store_scored_below(const struct store_entry *entry, double score, bool or_equal);
/* The same by bytes, for sets whose members all have one score (ZRANGEBYLEX). */
size_t store_scored_below_member(const struct store_entry *entry, struct slice member,
                                 bool or_equal);
/* Walks upwards or downwards from `rank` on; good until the next change. */
#define STORE_WALK_BACK 32
struct store_scored_walk {
    const struct store_entry *entry;
    const void *node;
    size_t offset, rank, left;
    bool downwards;
    uint32_t back_count; /* downwards: offsets that were passed and not yet answered */
    uint32_t back[STORE_WALK_BACK];
};
void store_scored_walk_init(struct store_scored_walk *walk, const struct store_entry *entry,
                            size_t rank, bool downwards);
bool store_scored_walk_next(struct store_scored_walk *walk, struct slice *member, double *score);
/* For ZSCAN, as store_member_walk. */
uint64_t store_scored_scan(const struct store *store, const struct store_entry *entry,
                           uint64_t cursor, size_t max,
                           struct store_member members[STORE_WALK_ROOM], size_t *count);

/* Moves a value with its deadline to another key of this store, replacing what is there; the source
 * goes (RENAME). Copies it (COPY). The source is there; keys differ. Linear in the value only for a
 * copy. */
void store_rename(struct store *store, const struct store_key *from, const struct store_key *to);
void store_copy(struct store *store, const struct store_key *from, const struct store_key *to);

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
uint64_t store_walk(const struct store *store, uint64_t cursor, size_t max,
                    struct store_entry *entries[STORE_WALK_MAX + 16],
                    uint8_t databases[STORE_WALK_MAX + 16], size_t *count);
/* The cursor that begins at a slot, and the slot at which a cursor stands: a keyspace of several
 * partitions is walked from one to the next. */
uint64_t store_cursor_at(unsigned slot);
unsigned store_cursor_slot(uint64_t cursor);

/* Order-independent digest of everything: databases, keys, types, values, deadlines, the table of
 * ONCE (STORE-2). Linear. */
uint64_t store_digest(const struct store *store);

/* ---- keys as bytes (R20): for snapshots, transfer, comparison ----
 *
 * A record is one key with its value and deadline; layout in record.c. The same contents under the
 * same seed are the same bytes on all replicas. The content hash of a set of keys is the sum of the
 * XXH3 of their records: it has no order, and can be had from a store or from the bytes alone. */

/* Appends the record of `entry`. TOO_LARGE: `out` may not grow so far; it is as before. */
MUST_USE enum status store_encode(const struct store_entry *entry, struct buffer *out);
/* Adds the keys of whole records to a store of their seed that has none of them. INVALID: malformed
 * bytes, members in another order than this seed gives, or a key twice; then some of the keys
 * before may be there. The numbers of keys and the content hash of what was added are added to
 * *keys and *content. Bytes from anywhere are harmless. */
MUST_USE enum status store_load(struct store *store, struct slice records, uint64_t *keys,
                                uint64_t *content);
/* Content hash of the slots first .. last as they are now. Linear in what is there. */
uint64_t store_content(const struct store *store, uint16_t first, uint16_t last);

/* ---- the point-in-time view ----
 *
 * What the store held when the view began, given out piece by piece in the order of keys while
 * writes go on. Nothing is copied at the beginning: a key that the view has not come to yet is
 * encoded and set aside right before its first change; the cursor takes it from there. One view may
 * be open. Not promised: that the first change of a large value within a view is cheap (it is
 * linear in that value). */
struct store_view;

struct store_position { /* in the order of keys; slot STORE_SLOTS: the end */
    uint32_t slot;
    uint64_t hash;
};

struct store_piece { /* everything in `first` .. `last`, both included */
    struct store_position first, last;
    uint64_t keys, content;
};

/* False: so many views in a row have ended before they came to their end that their traces must go
 * first. Each call wipes some; ask again later. */
bool store_view_may_begin(struct store *store);

/* It may begin. The store may not be destroyed before the view has ended. What is set aside takes
 * at most about `aside_max` bytes: past that the view is given up (writes never wait for it). */
struct store_view *store_view_begin(struct store *store, size_t aside_max);
void store_view_end(struct store_view *view); /* NULL is fine */
bool store_has_view(const struct store *store);

/* Appends the next records: whole keys, until `size_max` bytes are reached (by the last key, which
 * may go past it, and the piece ends with that key), the end of slot `slot_last`, or much work with
 * little output; the piece tells how far it came and may be without keys. END: all was given up to
 * `slot_last`. TOO_LARGE: the view was given up, or `out` may not grow so far. On trouble `out` is
 * as before. */
MUST_USE enum status store_view_next(struct store_view *view, uint16_t slot_last, size_t size_max,
                                     struct buffer *out, struct store_piece *piece);
/* A planted fault: what changes from now on is not kept for the view that is open, if one is. */
void store_tear_view(struct store *store);
uint64_t store_view_memory_bytes(const struct store_view *view); /* beside the store's own */

/* ---- ONCE: what clients have asked for by number, and what was answered ----
 *
 * Part of the partition's state beside its keys: written by entries alone, counted in the digest,
 * and not touched by store_clear (FLUSHALL deletes keys; what has run has run). A client is a name.
 * Of its last STORE_ONCE_WINDOW numbers the replies are kept; what is not kept any more is closed
 * and never runs. A client that asked for nothing for STORE_ONCE_IDLE_US of group time falls
 * silent: its replies go, its name and highest number stay, until STORE_ONCE_SILENT_MAX others fell
 * silent after it.
 *
 * ONCE-1 A number that was put is known, with its reply, or closed, as long as its client is
 * remembered; it is never new again. */
#define STORE_ONCE_WINDOW      64
#define STORE_ONCE_NAME_MAX    128
#define STORE_ONCE_REPLY_MAX   (64u << 10)
#define STORE_ONCE_BYTES_MAX   (32u << 20) /* of replies; then the longest unused go silent */
#define STORE_ONCE_CLIENTS_MAX 100000      /* with replies */
#define STORE_ONCE_SILENT_MAX  100000
#define STORE_ONCE_IDLE_US     (3600 * (int64_t)1000000)

enum store_once_state {
    STORE_ONCE_NEW,
    STORE_ONCE_KNOWN,
    STORE_ONCE_CLOSED
};

struct store_once_request {
    struct slice client;  /* 1 .. STORE_ONCE_NAME_MAX bytes */
    uint64_t number;      /* > 0 */
    uint64_t lowest_open; /* what the client still waits for; the replies below go. 0: not said */
};

/* KNOWN: *reply, borrowed until the next put. */
enum store_once_state store_once_find(const struct store *store, struct slice client,
                                      uint64_t number, struct slice *reply);
/* False: the client is new, and as many as may be have replies kept. */
bool store_once_has_room(const struct store *store, struct slice client, int64_t now_us);
/* The number is NEW; `reply` at most STORE_ONCE_REPLY_MAX bytes, not in the table; times rise. */
void store_once_put(struct store *store, const struct store_once_request *request,
                    struct slice reply, int64_t now_us);
uint64_t store_once_clients(const struct store *store); /* with replies */
void store_once_clear(struct store *store);

/* For the section SNAPSHOT_ONCE: appends the whole table as it is now, nothing for an empty one.
 * TOO_LARGE: `out` may not grow so far; it is as before. */
MUST_USE enum status store_once_encode(const struct store *store, struct buffer *out);
/* Into a store that has none. INVALID: malformed; then it still has none. No bytes: an empty one.
 */
MUST_USE enum status store_once_decode(struct store *store, struct slice bytes);

void store_validate(const struct store *store); /* asserts its own relations; linear */

#endif
