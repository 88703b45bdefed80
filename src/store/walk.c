/* walk.c - SCAN's way through the store.
 *
 *     cursor: slot 14 bits | first 40 bits of the hash | part 9 bits
 *
 * A cursor is a place in the order of keys and not in memory, so a key that is there throughout is
 * met whatever splits, merges, comes or goes (WALK below in the tests). Keys with the same slot and
 * 40 bits of hash are a group, answered as a whole. A group that is larger than the answer can hold
 * (somebody knows the seed) is answered in parts of STORE_WALK_MAX; only then can a removal within
 * the group during the walk hide a key. The top bit is never set: some clients read cursors as
 * signed numbers. */
#include "store/table.h"

#define PREFIX_BITS 40
#define PART_BITS   9
#define PARTS_MAX   (1u << PART_BITS)
#define ANSWER_MAX  (STORE_WALK_MAX + 16)

struct answer {
    struct store_entry **entries;
    uint8_t *databases;
    size_t count, max;
    uint64_t group; /* of the last entry seen: slot and prefix */
    size_t group_begin;
    uint64_t part; /* of the group, with which the answer begins */
    uint64_t skip; /* entries of this group that earlier parts had */
    uint64_t next; /* cursor */
};

static uint64_t group_of(uint32_t slot, uint64_t hash)
{
    return (uint64_t)slot << PREFIX_BITS | hash >> (64 - PREFIX_BITS);
}

/* The answer is full in the middle of a group: the group waits for the next answer, unless it is
 * alone. */
static bool cut(struct answer *answer)
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

/* False when the answer is complete and `next` is set. */
static bool answer_entry(struct answer *answer, uint32_t slot, const struct store_placed *placed)
{
    uint64_t group = group_of(slot, placed->hash);
    if (group != answer->group) {
        if (answer->count >= answer->max) {
            answer->next = group << PART_BITS;
            return false;
        }
        answer->group = group;
        answer->group_begin = answer->count;
        answer->part = answer->skip = 0;
    }
    if (answer->skip) {
        answer->skip--;
        return true;
    }
    if (answer->count == ANSWER_MAX)
        return cut(answer);
    answer->databases[answer->count] = placed->entry->database;
    answer->entries[answer->count++] = placed->entry;
    return true;
}

static bool answer_span(struct answer *answer, const struct store *store,
                        const struct store_span *span, uint64_t from)
{
    struct store_crowd crowd;
    bool more = true;
    store_crowd_init(&crowd);
    store_crowd_gather(&crowd, store, span);
    store_crowd_sort(&crowd);
    for (size_t i = 0; i < crowd.count && more; i++)
        if (group_of(span->slot, crowd.at[i].hash) >= from)
            more = answer_entry(answer, span->slot, &crowd.at[i]);
    store_crowd_deinit(&crowd);
    return more;
}

uint64_t store_walk(const struct store *store, uint64_t cursor, size_t max,
                    struct store_entry *entries[STORE_WALK_MAX + 16],
                    uint8_t databases[STORE_WALK_MAX + 16], size_t *count)
{
    uint64_t from = cursor << 1 >> (PART_BITS + 1), part = cursor % PARTS_MAX;
    struct answer answer = {.entries = entries, .databases = databases, .group = from};
    answer.max = max < 1 ? 1 : max > STORE_WALK_MAX ? STORE_WALK_MAX : max;
    answer.part = part;
    answer.skip = part * STORE_WALK_MAX;
    struct store_span span;
    uint32_t slot = (uint32_t)(from >> PREFIX_BITS);
    bool more = store_span_from(store, slot, from << (64 - PREFIX_BITS), &span);
    while (more) {
        if (!answer_span(&answer, store, &span, from))
            break;
        more = store_span_next(store, &span);
    }
    *count = answer.count;
    return answer.next;
}

uint64_t store_cursor_at(unsigned slot)
{
    return (uint64_t)slot << (PREFIX_BITS + PART_BITS);
}

unsigned store_cursor_slot(uint64_t cursor)
{
    return (unsigned)(cursor >> (PREFIX_BITS + PART_BITS)) % STORE_SLOTS;
}
