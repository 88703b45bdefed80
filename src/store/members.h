/* members.h - members by their hash, each with a value or without; private to store/. What hashes,
 * sets and large sorted sets have in common.
 *
 *     element: hash u32, most significant byte first | [varint size of the name] | name | value
 *
 * They are an ordered tree. The order is (32 bits of the hash, size of the name if it is there,
 * bytes): a hash alone would do but for equal ones, and a cursor of a walk has no room for more.
 * The hash is that of a database of its own, so that a value may move to another key. Names have
 * their size when a value follows. */
#ifndef HOLDFAST_STORE_MEMBERS_H
#define HOLDFAST_STORE_MEMBERS_H

#include "store/entry.h"

struct store_members {
    struct store_tree *tree; /* borrowed */
    bool has_values;
};

#define MEMBER_HASH_SIZE 4

uint32_t store_member_hash(const struct store *store, struct slice name);
struct store_member store_member_in(struct store_members members, struct slice element);
static inline uint32_t store_member_hash_in(struct slice element)
{
    assert(element.size >= MEMBER_HASH_SIZE);
    return __builtin_bswap32(load_u32(element.at));
}

bool store_members_find(const struct store *store, struct store_members members, struct slice name,
                        struct slice *value);
/* True: it is new. */
bool store_members_put(struct store *store, struct store_members members, struct slice name,
                       struct slice value);
/* The place of a member, or where it would be; whether it is there. */
bool store_members_search(const struct store *store, struct store_members members,
                          struct slice name, struct store_path *path);
void store_members_validate(const struct store *store, struct store_members members);

/* ---- walks with a cursor: groups of equal hashes ---- */

struct store_member_answer {
    struct store_member *members; /* STORE_WALK_ROOM */
    size_t count, max;
    uint64_t from;  /* the group with which it begins */
    uint64_t group; /* of the last member seen */
    size_t group_begin;
    uint64_t part; /* of the group, with which the answer begins */
    uint64_t skip; /* members of this group that earlier parts had */
    uint64_t next; /* cursor */
};

void store_member_answer_init(struct store_member_answer *answer, struct store_member *members,
                              uint64_t cursor, size_t max);
/* Members come in their order; those in front of `from` are passed over. False: the answer is
 * complete and `next` is set. */
bool store_member_answer_add(struct store_member_answer *answer, uint32_t hash,
                             const struct store_member *member);
void store_members_answer(struct store_members members, struct store_member_answer *answer);

#endif
