/* member_walk.c - walks over members with a cursor, as walk.c has them over keys.
 *
 *     cursor: hash 32 bits | part 9 bits
 *
 * A cursor is a place in the order of members, which is the same in small and in large values: a
 * member that is there throughout is met whatever comes or goes. */
#include "store/members.h"

#define PART_BITS 9
#define PARTS_MAX (1u << PART_BITS)

void store_member_answer_init(struct store_member_answer *answer, struct store_member *members,
                              uint64_t cursor, size_t max)
{
    *answer = (struct store_member_answer){.members = members, .from = cursor >> PART_BITS};
    answer->max = max < 1 ? 1 : max > STORE_WALK_MAX ? STORE_WALK_MAX : max;
    answer->group = answer->from;
    answer->part = cursor % PARTS_MAX;
    answer->skip = answer->part * STORE_WALK_MAX;
}

/* The answer is full in the middle of a group, as in walk.c. */
static bool cut(struct store_member_answer *answer)
{
    if (answer->group_begin) {
        answer->count = answer->group_begin;
        answer->next = answer->group << PART_BITS;
        return false;
    }
    if (answer->part + 1 == PARTS_MAX)
        return true; /* the cursor cannot say more: the rest of such a group is left out */
    answer->count = STORE_WALK_MAX;
    answer->next = answer->group << PART_BITS | (answer->part + 1);
    return false;
}

bool store_member_answer_add(struct store_member_answer *answer, uint32_t hash,
                             const struct store_member *member)
{
    if (hash < answer->from)
        return true;
    if (hash != answer->group) {
        if (answer->count >= answer->max) {
            answer->next = (uint64_t)hash << PART_BITS;
            return false;
        }
        answer->group = hash;
        answer->group_begin = answer->count;
        answer->part = answer->skip = 0;
    }
    if (answer->skip) {
        answer->skip--;
        return true;
    }
    if (answer->count == STORE_WALK_ROOM)
        return cut(answer);
    answer->members[answer->count++] = *member;
    return true;
}

void store_members_answer(struct store_members members, struct store_member_answer *answer)
{
    if (answer->from > UINT32_MAX)
        return;
    struct store_element probe = {.head_size = MEMBER_HASH_SIZE};
    struct store_path path;
    struct slice element;
    store_u32(probe.head, __builtin_bswap32((uint32_t)answer->from));
    store_path_search(members.tree, &probe, false, &path);
    struct store_tree_walk walk = {.tree = members.tree};
    walk.index = store_path_rank(members.tree, &path);
    while (store_tree_walk_next(&walk, &element)) {
        struct store_member member = store_member_in(members, element);
        if (!store_member_answer_add(answer, store_member_hash_in(element), &member))
            return;
    }
}
