/* change.c - one element of a tree comes, goes or is replaced. */
#include "store/tree.h"

static size_t within_room(const struct store_tree *tree, size_t capacity, size_t used)
{
    if (capacity > store_leaf_room(tree))
        capacity = store_leaf_room(tree);
    return capacity > used ? capacity : used;
}

/* A leaf grows by an eighth: what is in it stays for long, and memory counts. */
static size_t with_spare(const struct store_tree *tree, size_t used)
{
    return within_room(tree, used + used / 8, used);
}

/* The capacity for `used` bytes. A list's only leaf doubles, since lists are pushed to. */
static size_t capacity_for(const struct store_tree *tree, size_t used)
{
    if (tree->is_ordered || tree->level)
        return with_spare(tree, used);
    size_t capacity = used * 2 > LEAF_ROOM_FIRST ? used * 2 : LEAF_ROOM_FIRST;
    return within_room(tree, capacity, used);
}

/* Whether nothing of the tree is in front of the path's leaf (behind it). */
static bool is_edge(const struct store_tree *tree, const struct store_path *path, bool before)
{
    for (uint32_t level = 1; level <= tree->level; level++)
        if (path->children[level] != (before ? 0 : path->inners[level]->count - 1))
            return false;
    return true;
}

/* `more` elements have come into the path's leaf, which may have another first one now. */
static void account(struct store_tree *tree, const struct store_path *path, int64_t more)
{
    size_t offset = path->leaf->begin;
    bool is_first = tree->is_ordered;
    uint64_t guide = is_first ? store_guide_of(store_leaf_read(path->leaf, &offset)) : 0;
    for (uint32_t level = 1; level <= tree->level; level++) {
        struct store_branch *branch = &path->inners[level]->branches[path->children[level]];
        branch->count += (uint64_t)more;
        if (is_first)
            branch->guide = guide;
        is_first = is_first && path->children[level] == 0;
    }
    tree->length += (uint64_t)more;
}

static void refit(struct store *store, struct store_tree *tree, struct store_path *path,
                  size_t used)
{
    struct store_leaf *leaf = path->leaf;
    bool at_head = path->offset == leaf->begin && leaf->begin < leaf->end;
    size_t capacity = capacity_for(tree, used);
    path->leaf = store_leaf_refit(store, leaf, capacity, at_head, &path->offset);
    store_branch_set(tree, path, 1, path->leaf);
}

/* The path's leaf stays one; the path stays good. */
static void change_leaf(struct store *store, struct store_tree *tree, struct store_path *path,
                        size_t cut, const struct store_element *element)
{
    struct store_leaf *leaf = path->leaf;
    int64_t more = (element ? 1 : 0) - (cut ? 1 : 0);
    size_t before = store_leaf_used(leaf);
    size_t used = before - cut + (element ? store_element_size(element) : 0);
    if (!store_leaf_put(leaf, &path->offset, cut, element)) {
        (void)store_leaf_put(leaf, &path->offset, cut, NULL);
        refit(store, tree, path, used);
        bool fits = store_leaf_put(path->leaf, &path->offset, 0, element);
        assert(fits);
    } else if (used < before && used < leaf->capacity / 4) {
        refit(store, tree, path, used);
    }
    path->leaf->count = (uint32_t)(path->leaf->count + more);
    account(tree, path, more);
}

/* ---- leaves that are nearly empty ---- */

static void merge(struct store *store, struct store_tree *tree, struct store_path *path,
                  uint32_t left_at)
{
    struct store_branch *at = &path->inners[1]->branches[left_at];
    struct store_leaf *left = at[0].child, *right = at[1].child, *both;
    size_t used = store_leaf_used(right), sum = store_leaf_used(left) + used;
    both = store_leaf_slice(store, left, left->begin, left->end, capacity_for(tree, sum));
    memcpy(both->bytes + both->end, right->bytes + right->begin, used);
    both->end += (uint32_t)used;
    both->count += right->count;
    at[0].child = both;
    at[0].count += at[1].count;
    store_leaf_destroy(store, left);
    store_leaf_destroy(store, right);
    path->children[1] = left_at + 1;
    store_branch_drop(store, tree, path, 1);
}

static bool can_merge(const struct store_tree *tree, const struct store_inner *parent,
                      uint32_t left_at)
{
    if (left_at + 1 >= parent->count)
        return false;
    const struct store_branch *at = &parent->branches[left_at];
    size_t sum = store_leaf_used(at[0].child) + store_leaf_used(at[1].child);
    return sum <= store_leaf_room(tree) / 4 * 3;
}

/* A leaf that is less than a third full joins a neighbour. */
static void settle(struct store *store, struct store_tree *tree, struct store_path *path)
{
    if (!tree->level || store_leaf_used(path->leaf) > store_leaf_room(tree) / 3)
        return;
    uint32_t at = path->children[1];
    if (at && can_merge(tree, path->inners[1], at - 1))
        merge(store, tree, path, at - 1);
    else if (can_merge(tree, path->inners[1], at))
        merge(store, tree, path, at);
}

static void settle_at(struct store *store, struct store_tree *tree, size_t rank)
{
    struct store_path path;
    if (!tree->length)
        return;
    store_path_to(tree, rank < tree->length ? rank : tree->length - 1, &path);
    settle(store, tree, &path);
}

/* ---- elements that find no room ---- */

/* Two leaves of what is in front of `cut` in `whole` and behind it; both are freed: `whole` and,
 * when it is another, the path's leaf, whose place they take. */
static void split(struct store *store, struct store_tree *tree, struct store_path *path,
                  struct store_leaf *whole, size_t cut)
{
    size_t left_size = cut - whole->begin, right_size = whole->end - cut;
    struct store_leaf *left, *right;
    left = store_leaf_slice(store, whole, whole->begin, cut, with_spare(tree, left_size));
    right = store_leaf_slice(store, whole, cut, whole->end, with_spare(tree, right_size));
    if (whole != path->leaf)
        store_leaf_destroy(store, path->leaf);
    store_leaf_destroy(store, whole);
    store_branch_set(tree, path, 1, left);
    store_branch_add(store, tree, path, 1, right, false);
}

/* What is at the path and behind it gets a leaf of its own, to which the path then leads. */
static void divide(struct store *store, struct store_tree *tree, struct store_path *path)
{
    size_t rank = store_path_rank(tree, path);
    split(store, tree, path, path->leaf, path->offset);
    store_path_to(tree, rank, path);
}

/* In a leaf of its own. At the ends of a list it has room for what is pushed next. */
static void insert_alone(struct store *store, struct store_tree *tree, struct store_path *path,
                         const struct store_element *element)
{
    bool before = path->offset == path->leaf->begin, at_edge = is_edge(tree, path, before);
    size_t rank = store_path_rank(tree, path), size = store_element_size(element);
    if (at_edge && !tree->is_ordered && size < LEAF_ROOM_LIST)
        size = LEAF_ROOM_LIST;
    struct store_leaf *leaf = store_leaf_create(store, size);
    if (before)
        leaf->begin = leaf->end = leaf->capacity;
    size_t at = leaf->begin;
    bool fits = store_leaf_put(leaf, &at, 0, element);
    assert(fits);
    leaf->count = 1;
    store_branch_add(store, tree, path, 1, leaf, before);
    tree->length++;
    if (!at_edge)
        settle_at(store, tree, rank);
}

/* The offset that cuts a leaf into the most equal parts. */
static size_t middle_of(const struct store_leaf *leaf)
{
    size_t best = leaf->begin, offset = leaf->begin, best_size = SIZE_MAX;
    while (offset < leaf->end) {
        store_leaf_read(leaf, &offset);
        size_t left = offset - leaf->begin, right = leaf->end - offset;
        size_t larger = left > right ? left : right;
        if (larger < best_size && right) {
            best_size = larger;
            best = offset;
        }
    }
    return best;
}

static void insert_halving(struct store *store, struct store_tree *tree, struct store_path *path,
                           const struct store_element *element)
{
    const struct store_leaf *leaf = path->leaf;
    size_t size = store_leaf_used(leaf) + store_element_size(element);
    size_t at = path->offset - leaf->begin;
    struct store_leaf *whole = store_leaf_slice(store, leaf, leaf->begin, leaf->end, size);
    bool fits = store_leaf_put(whole, &at, 0, element);
    assert(fits);
    split(store, tree, path, whole, middle_of(whole));
    tree->length++;
}

static void insert_apart(struct store *store, struct store_tree *tree, struct store_path *path,
                         const struct store_element *element)
{
    const struct store_leaf *leaf = path->leaf;
    bool at_begin = path->offset == leaf->begin, at_end = path->offset == leaf->end;
    bool at_edge = (at_begin || at_end) && is_edge(tree, path, at_begin);
    bool is_large = store_element_size(element) > store_leaf_room(tree) / 2;
    bool is_beside_giant = store_leaf_used(leaf) > store_leaf_room(tree);
    if (is_large && !at_begin && !at_end)
        divide(store, tree, path);
    /* What comes in order leaves full leaves behind, and a giant is not copied for a dwarf. */
    if (is_large || is_beside_giant || at_edge)
        insert_alone(store, tree, path, element);
    else
        insert_halving(store, tree, path, element);
}

/* ---- the door ---- */

static void insert_first(struct store *store, struct store_tree *tree,
                         const struct store_element *element)
{
    size_t size = store_element_size(element), at = 0;
    struct store_leaf *leaf = store_leaf_create(store, capacity_for(tree, size));
    bool fits = store_leaf_put(leaf, &at, 0, element);
    assert(fits);
    leaf->count = 1;
    tree->root = leaf;
    tree->length = 1;
}

void store_tree_insert(struct store *store, struct store_tree *tree, struct store_path *path,
                       const struct store_element *element)
{
    if (!path->leaf)
        insert_first(store, tree, element);
    else if (store_leaf_used(path->leaf) + store_element_size(element) <= store_leaf_room(tree))
        change_leaf(store, tree, path, 0, element);
    else
        insert_apart(store, tree, path, element);
}

static size_t size_at(const struct store_path *path)
{
    size_t behind = path->offset;
    store_leaf_read(path->leaf, &behind);
    return behind - path->offset;
}

void store_tree_replace(struct store *store, struct store_tree *tree, struct store_path *path,
                        const struct store_element *element)
{
    size_t cut = size_at(path), rest = store_leaf_used(path->leaf) - cut;
    size_t size = store_element_size(element);
    if (path->leaf->count == 1 || rest + size <= store_leaf_room(tree)) {
        change_leaf(store, tree, path, cut, element);
        if (size < cut)
            settle(store, tree, path);
    } else {
        change_leaf(store, tree, path, cut, NULL);
        store_tree_insert(store, tree, path, element);
    }
}

void store_tree_remove(struct store *store, struct store_tree *tree, struct store_path *path)
{
    if (path->leaf->count > 1) {
        change_leaf(store, tree, path, size_at(path), NULL);
        settle(store, tree, path);
        return;
    }
    size_t rank = store_path_rank(tree, path);
    uint64_t length = tree->length - 1;
    store_leaf_destroy(store, path->leaf);
    store_branch_drop(store, tree, path, 1);
    tree->length = length;
    settle_at(store, tree, rank); /* both sides may be what a giant left of a leaf */
    if (rank)
        settle_at(store, tree, rank - 1);
}

/* Fewer elements than the leaf has, from one end of it. */
static void cut_leaf(struct store *store, struct store_tree *tree, struct store_path *path,
                     bool at_head, size_t count)
{
    struct store_leaf *leaf = path->leaf;
    size_t offset = leaf->begin;
    for (size_t i = at_head ? count : leaf->count - count; i > 0; i--)
        store_leaf_read(leaf, &offset);
    *(at_head ? &leaf->begin : &leaf->end) = (uint32_t)offset;
    path->offset = offset;
    leaf->count -= (uint32_t)count;
    if (store_leaf_used(leaf) < leaf->capacity / 4)
        refit(store, tree, path, store_leaf_used(leaf));
    account(tree, path, -(int64_t)count);
}

void store_tree_cut(struct store *store, struct store_tree *tree, bool at_head, size_t count)
{
    struct store_path path;
    assert(count <= tree->length);
    while (count) {
        store_path_to_end(tree, at_head, &path);
        size_t below = path.leaf->count;
        if (below > count) {
            cut_leaf(store, tree, &path, at_head, count);
            return;
        }
        uint64_t length = tree->length - below;
        store_leaf_destroy(store, path.leaf);
        store_branch_drop(store, tree, &path, 1);
        tree->length = length;
        count -= below;
    }
}
