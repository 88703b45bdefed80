/* scored.c - sorted sets.
 *
 *     by score: score u64, most significant byte first, numbers in the order of scores | member
 *     by member: see members.h; the value is the same eight bytes
 *
 * A small set is the one leaf of the first tree, in which members are looked for one by one. When
 * it no longer fits, it gets the second tree, which says what score a member has. Members are then
 * in memory twice: packed twice they need less than once with a node and two pointers. */
#include "store/members.h"

#include "store/spot.h"

#include <stdlib.h>

#define SCORE_SIZE  8
#define SMALL_MAX   (LEAF_ROOM_ORDERED / (SCORE_SIZE + 1))
#define SMALL_AGAIN (LEAF_ROOM_ORDERED / 2) /* bytes; far from full: no coming and going */
#define SIGN_BIT    ((uint64_t)1 << 63)

/* Positive numbers have the order of their bits, negative ones the reverse. */
static uint64_t number_of(double score)
{
    uint64_t bits;
    assert(score == score); /* no NaN */
    if (score == 0)
        score = 0; /* -0.0 is 0.0 */
    memcpy(&bits, &score, sizeof bits);
    return bits & SIGN_BIT ? ~bits : bits | SIGN_BIT;
}

static double score_of(uint64_t number)
{
    uint64_t bits = number & SIGN_BIT ? number & ~SIGN_BIT : ~number;
    double score;
    memcpy(&score, &bits, sizeof score);
    return score;
}

static uint64_t number_in(struct slice element)
{
    assert(element.size >= SCORE_SIZE);
    return __builtin_bswap64(load_u64(element.at));
}

static struct slice member_in(struct slice element)
{
    return slice_of(element.at + SCORE_SIZE, element.size - SCORE_SIZE);
}

static struct store_element element_of(uint64_t number, struct slice member)
{
    struct store_element element = {.head_size = SCORE_SIZE, .name = member};
    store_u64(element.head, __builtin_bswap64(number));
    return element;
}

static struct store_scored *scored_of(const struct store_entry *entry)
{
    assert(store_entry_type(entry) == STORE_SORTED_SET);
    return store_entry_scored(entry);
}

static struct store_members members_of(const struct store_scored *scored)
{
    return (struct store_members){.tree = scored->by_member, .has_values = true};
}

/* ---- finding ---- */

static bool search_leaf(const struct store_tree *tree, struct slice member, struct store_path *path,
                        uint64_t *number)
{
    assert(!tree->level);
    store_path_to(tree, 0, path);
    for (size_t next = path->offset; path->leaf && next < path->leaf->end; path->index++) {
        path->offset = next;
        struct slice element = store_leaf_read(path->leaf, &next);
        if (slice_equal(member_in(element), member)) {
            *number = number_in(element);
            return true;
        }
    }
    return false;
}

static bool find_number(const struct store *store, const struct store_scored *scored,
                        struct slice member, uint64_t *number)
{
    struct store_path path;
    struct slice value;
    if (!scored->by_member)
        return search_leaf(&scored->by_score, member, &path, number);
    if (!store_members_find(store, members_of(scored), member, &value))
        return false;
    *number = number_in(value);
    return true;
}

/* The place of a member in the tree by score. */
static bool search(const struct store *store, const struct store_scored *scored,
                   struct slice member, struct store_path *path, uint64_t *number)
{
    if (!scored->by_member)
        return search_leaf(&scored->by_score, member, path, number);
    if (!find_number(store, scored, member, number))
        return false;
    struct store_element probe = element_of(*number, member);
    store_path_search(&scored->by_score, &probe, false, path);
    return true;
}

size_t store_scored_count(const struct store_entry *entry)
{
    return scored_of(entry)->by_score.length;
}

bool store_scored_find(const struct store *store, const struct store_entry *entry,
                       struct slice member, double *score)
{
    uint64_t number;
    if (!find_number(store, scored_of(entry), member, &number))
        return false;
    if (score)
        *score = score_of(number);
    return true;
}

size_t store_scored_rank(const struct store *store, const struct store_entry *entry,
                         struct slice member)
{
    const struct store_scored *scored = scored_of(entry);
    struct store_path path;
    uint64_t number;
    bool found = search(store, scored, member, &path, &number);
    assert(found);
    return store_path_rank(&scored->by_score, &path);
}

static size_t rank_of(const struct store_tree *tree, const struct store_element *probe, bool above)
{
    struct store_path path;
    store_path_search(tree, probe, above, &path);
    return store_path_rank(tree, &path);
}

size_t store_scored_below(const struct store_entry *entry, double score, bool or_equal)
{
    struct store_element probe = element_of(number_of(score) + or_equal, slice_of(NULL, 0));
    return rank_of(&scored_of(entry)->by_score, &probe, false);
}

size_t store_scored_below_member(const struct store_entry *entry, struct slice member,
                                 bool or_equal)
{
    const struct store_tree *tree = &scored_of(entry)->by_score;
    struct store_path first;
    struct slice element = slice_of(NULL, 0);
    store_path_to(tree, 0, &first);
    bool found = store_path_element(&first, &element);
    assert(found);
    struct store_element probe = element_of(number_in(element), member);
    return rank_of(tree, &probe, or_equal);
}

/* ---- the tree by member comes and goes ---- */

static void put_number(struct store *store, const struct store_scored *scored, struct slice member,
                       uint64_t number)
{
    uint8_t value[SCORE_SIZE];
    store_u64(value, __builtin_bswap64(number));
    store_members_put(store, members_of(scored), member, slice_of(value, sizeof value));
}

void store_scored_drop_members(struct store *store, struct store_scored *scored)
{
    if (!scored->by_member)
        return;
    store_tree_destroy(store, scored->by_member);
    store_room_give(store, scored->by_member, sizeof *scored->by_member);
    scored->by_member = NULL;
}

void store_scored_copy_members(struct store *store, struct store_scored *scored)
{
    const struct store_tree *shared = scored->by_member;
    if (!shared)
        return;
    scored->by_member = store_room_take(store, sizeof *scored->by_member);
    *scored->by_member = store_tree_copy(store, shared);
}

/* Right after the only leaf was split, so there are few (STORE-3). */
static void index_members(struct store *store, struct store_scored *scored)
{
    struct store_tree_walk walk = {.tree = &scored->by_score};
    struct slice element;
    scored->by_member = store_room_take(store, sizeof *scored->by_member);
    *scored->by_member = (struct store_tree){.is_ordered = true};
    assert(scored->by_score.length <= SMALL_MAX + 1);
    while (store_tree_walk_next(&walk, &element))
        put_number(store, scored, member_in(element), number_in(element));
}

static void choose_form(struct store *store, struct store_scored *scored)
{
    const struct store_tree *tree = &scored->by_score;
    if (!scored->by_member && tree->level)
        index_members(store, scored);
    else if (scored->by_member && !tree->level && store_leaf_used(tree->root) <= SMALL_AGAIN)
        store_scored_drop_members(store, scored);
}

/* ---- changing ---- */

bool store_scored_put(struct store *store, const struct store_key *key, struct slice member,
                      double score)
{
    struct store_spot spot = store_spot_for(store, key, STORE_SORTED_SET, true);
    struct store_scored *scored = scored_of(spot.entry);
    struct store_element element = element_of(number_of(score), member);
    struct store_path path;
    uint64_t number;
    assert(member.size <= STORE_VALUE_SIZE_MAX);
    bool is_new = !search(store, scored, member, &path, &number);
    if (!is_new && number == number_of(score))
        return false;
    if (!is_new)
        store_tree_remove(store, &scored->by_score, &path);
    store_path_search(&scored->by_score, &element, false, &path);
    store_tree_insert(store, &scored->by_score, &path, &element);
    if (scored->by_member)
        put_number(store, scored, member, number_of(score));
    choose_form(store, scored);
    return is_new;
}

bool store_scored_remove(struct store *store, const struct store_key *key, struct slice member)
{
    struct store_spot spot = store_spot_of(store, key);
    struct store_path path, member_path;
    uint64_t number;
    if (!spot.entry)
        return false;
    struct store_scored *scored = scored_of(spot.entry);
    if (!search(store, scored, member, &path, &number))
        return false;
    store_view_before(store, key);
    if (scored->by_member) { /* found in both before it goes: `member` may point to one of them */
        bool found = store_members_search(store, members_of(scored), member, &member_path);
        assert(found);
        store_tree_remove(store, scored->by_member, &member_path);
    }
    store_tree_remove(store, &scored->by_score, &path);
    if (scored->by_score.length)
        choose_form(store, scored);
    else
        store_spot_remove(store, &spot);
    return true;
}

/* ---- walks ---- */

void store_scored_walk_init(struct store_scored_walk *walk, const struct store_entry *entry,
                            size_t rank, bool downwards)
{
    size_t count = store_scored_count(entry);
    *walk = (struct store_scored_walk){.entry = entry, .rank = rank, .downwards = downwards};
    if (rank < count)
        walk->left = downwards ? rank + 1 : count - rank;
}

static bool next_up(struct store_scored_walk *walk, struct slice *element)
{
    struct store_tree_walk inside = {.tree = store_entry_tree(walk->entry),
                                     .leaf = walk->node,
                                     .offset = walk->offset,
                                     .index = walk->rank};
    bool more = store_tree_walk_next(&inside, element);
    walk->node = inside.leaf;
    walk->offset = inside.offset;
    walk->rank = inside.index;
    return more;
}

/* Elements are read forwards only: the offsets of up to STORE_WALK_BACK of them are kept. */
static void look_back(struct store_scored_walk *walk)
{
    struct store_path path;
    size_t index = walk->rank;
    store_path_to_leaf(store_entry_tree(walk->entry), &index, &path);
    size_t offset = path.leaf->begin;
    for (size_t i = 0; i <= index; i++) {
        if (i + STORE_WALK_BACK > index)
            walk->back[walk->back_count++] = (uint32_t)offset;
        store_leaf_read(path.leaf, &offset);
    }
    walk->node = path.leaf;
}

static bool next_down(struct store_scored_walk *walk, struct slice *element)
{
    if (!walk->back_count)
        look_back(walk);
    size_t offset = walk->back[--walk->back_count];
    *element = store_leaf_read(walk->node, &offset);
    walk->rank--;
    return true;
}

bool store_scored_walk_next(struct store_scored_walk *walk, struct slice *member, double *score)
{
    struct slice element = slice_of(NULL, 0);
    if (!walk->left)
        return false;
    bool found = walk->downwards ? next_down(walk, &element) : next_up(walk, &element);
    assert(found);
    walk->left--;
    *member = member_in(element);
    *score = score_of(number_in(element));
    return true;
}

struct hashed {
    struct store_member member;
    uint32_t hash;
};

static int compare_hashed(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;
    struct slice m = x->member.name, n = y->member.name;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (m.size != n.size)
        return m.size < n.size ? -1 : 1;
    return m.size ? memcmp(m.at, n.at, m.size) : 0;
}

/* A small set is brought into the order that a large one has. */
static void answer_small(const struct store *store, const struct store_tree *tree,
                         struct store_member_answer *answer)
{
    struct hashed all[SMALL_MAX];
    struct store_tree_walk walk = {.tree = tree};
    struct slice element;
    size_t count = 0;
    assert(tree->length <= SMALL_MAX);
    while (store_tree_walk_next(&walk, &element)) {
        struct slice name = member_in(element), value = slice_of(element.at, SCORE_SIZE);
        all[count].member = (struct store_member){.name = name, .value = value};
        all[count++].hash = store_member_hash(store, name);
    }
    qsort(all, count, sizeof *all, compare_hashed);
    for (size_t i = 0; i < count; i++)
        if (!store_member_answer_add(answer, all[i].hash, &all[i].member))
            return;
}

uint64_t store_scored_scan(const struct store *store, const struct store_entry *entry,
                           uint64_t cursor, size_t max,
                           struct store_member members[STORE_WALK_ROOM], size_t *count)
{
    const struct store_scored *scored = scored_of(entry);
    struct store_member_answer answer;
    store_member_answer_init(&answer, members, cursor, max);
    if (scored->by_member)
        store_members_answer(members_of(scored), &answer);
    else
        answer_small(store, &scored->by_score, &answer);
    for (size_t i = 0; i < answer.count; i++) {
        members[i].score = score_of(number_in(members[i].value));
        members[i].value = slice_of(NULL, 0);
    }
    *count = answer.count;
    return answer.next;
}

void store_entry_validate_scored(const struct store *store, const struct store_entry *entry)
{
    const struct store_scored *scored = scored_of(entry);
    struct store_tree_walk walk = {.tree = &scored->by_score};
    struct slice element;
    uint64_t number;
    assert(scored->by_score.is_ordered);
    store_tree_validate(&scored->by_score);
    assert(scored->by_member || !scored->by_score.level);
    if (scored->by_member) {
        store_members_validate(store, members_of(scored));
        assert(scored->by_member->length == scored->by_score.length);
    }
    while (store_tree_walk_next(&walk, &element)) {
        bool found = find_number(store, scored, member_in(element), &number);
        assert(found && number == number_in(element));
        assert(number_of(score_of(number)) == number);
    }
}
