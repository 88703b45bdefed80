/* branch.c - inner nodes: children come and go beside a path, nodes split, merge and melt. */
#include "store/tree.h"

#define CAPACITY_FIRST 2
#define MERGE_BELOW    (TREE_FANOUT / 4)     /* a node with no more looks for a neighbour */
#define MERGED_MAX     (TREE_FANOUT / 4 * 3) /* with which it has at most this many */

static size_t inner_size(size_t capacity)
{
    return sizeof(struct store_inner) + capacity * sizeof(struct store_branch);
}

static struct store_inner *inner_create(struct store *store, uint32_t capacity)
{
    struct store_inner *inner = store_room_take(store, inner_size(capacity));
    *inner = (struct store_inner){.capacity = capacity};
    return inner;
}

static void inner_free(struct store *store, struct store_inner *inner)
{
    store_room_give(store, inner, inner_size(inner->capacity));
}

static void move_branches(struct store_inner *to, uint32_t at, struct store_inner *from,
                          uint32_t first, uint32_t count)
{
    memmove(to->branches + at, from->branches + first, count * sizeof *to->branches);
}

static uint64_t leaf_guide(const struct store_leaf *leaf)
{
    size_t offset = leaf->begin;
    return store_guide_of(store_leaf_read(leaf, &offset));
}

/* What a node's parent keeps of it. */
static struct store_branch branch_of(const struct store_tree *tree, uint32_t level, void *node)
{
    struct store_branch branch = {.child = node};
    if (!level) {
        const struct store_leaf *leaf = node;
        branch.count = leaf->count;
        branch.guide = tree->is_ordered ? leaf_guide(leaf) : 0;
        return branch;
    }
    const struct store_inner *inner = node;
    branch.guide = inner->branches[0].guide;
    for (uint32_t i = 0; i < inner->count; i++)
        branch.count += inner->branches[i].count;
    return branch;
}

void store_branch_set(struct store_tree *tree, const struct store_path *path, uint32_t level,
                      void *node)
{
    if (level > tree->level)
        tree->root = node;
    else
        path->inners[level]->branches[path->children[level]].child = node;
}

static void refresh_one(const struct store_tree *tree, const struct store_path *path,
                        uint32_t level)
{
    struct store_branch *branch = &path->inners[level]->branches[path->children[level]];
    *branch = branch_of(tree, level - 1, branch->child);
}

void store_branch_refresh(const struct store_tree *tree, const struct store_path *path,
                          uint32_t level)
{
    for (; level <= tree->level; level++)
        refresh_one(tree, path, level);
}

/* The same branches in a node of another capacity, which takes the old one's place. */
static void refit(struct store *store, struct store_tree *tree, struct store_path *path,
                  uint32_t level, uint32_t capacity)
{
    struct store_inner *inner = path->inners[level], *fit = inner_create(store, capacity);
    assert(inner->count <= capacity && capacity <= TREE_FANOUT);
    fit->count = inner->count;
    move_branches(fit, 0, inner, 0, inner->count);
    inner_free(store, inner);
    path->inners[level] = fit;
    store_branch_set(tree, path, level + 1, fit);
}

static void insert_branch(struct store_inner *inner, uint32_t at, struct store_branch branch)
{
    assert(inner->count < inner->capacity);
    move_branches(inner, at + 1, inner, at, inner->count - at);
    inner->branches[at] = branch;
    inner->count++;
}

static void add_root(struct store *store, struct store_tree *tree, void *node, bool before)
{
    struct store_inner *root = inner_create(store, CAPACITY_FIRST);
    insert_branch(root, 0, branch_of(tree, tree->level, tree->root));
    insert_branch(root, !before, branch_of(tree, tree->level, node));
    tree->root = root;
    tree->level++;
    assert(tree->level < TREE_LEVELS);
}

/* A full node gives half to a new neighbour behind it. */
static void add_to_full(struct store *store, struct store_tree *tree, struct store_path *path,
                        uint32_t level, struct store_branch branch, bool before)
{
    struct store_inner *inner = path->inners[level], *half = inner_create(store, TREE_FANOUT);
    uint32_t at = path->children[level] + !before, keep = TREE_FANOUT / 2;
    half->count = inner->count - keep;
    move_branches(half, 0, inner, keep, half->count);
    inner->count = keep;
    if (at <= keep)
        insert_branch(inner, at, branch);
    else
        insert_branch(half, at - keep, branch);
    store_branch_add(store, tree, path, level + 1, half, false);
}

void store_branch_add(struct store *store, struct store_tree *tree, struct store_path *path,
                      uint32_t level, void *node, bool before)
{
    if (level > tree->level) {
        add_root(store, tree, node, before);
        return;
    }
    struct store_inner *inner = path->inners[level];
    refresh_one(tree, path, level);
    struct store_branch branch = branch_of(tree, level - 1, node);
    if (inner->count == TREE_FANOUT) {
        add_to_full(store, tree, path, level, branch, before);
        return;
    }
    if (inner->count == inner->capacity)
        refit(store, tree, path, level, inner->capacity * 2);
    insert_branch(path->inners[level], path->children[level] + !before, branch);
    store_branch_refresh(tree, path, level + 1);
}

/* `right` is the neighbour of `left` under one parent; the path leads to one of them. */
static void merge(struct store *store, struct store_tree *tree, struct store_path *path,
                  uint32_t level, uint32_t left_at)
{
    struct store_inner *parent = path->inners[level + 1];
    struct store_inner *left = parent->branches[left_at].child;
    struct store_inner *right = parent->branches[left_at + 1].child;
    struct store_inner *both = inner_create(store, TREE_FANOUT);
    both->count = left->count + right->count;
    move_branches(both, 0, left, 0, left->count);
    move_branches(both, left->count, right, 0, right->count);
    inner_free(store, left);
    inner_free(store, right);
    parent->branches[left_at] = branch_of(tree, level, both);
    path->children[level + 1] = left_at + 1;
    store_branch_drop(store, tree, path, level + 1);
}

static bool can_merge(const struct store_inner *parent, uint32_t left_at)
{
    if (left_at + 1 >= parent->count)
        return false;
    const struct store_inner *left = parent->branches[left_at].child;
    const struct store_inner *right = parent->branches[left_at + 1].child;
    return left->count + right->count <= MERGED_MAX;
}

static void settle(struct store *store, struct store_tree *tree, struct store_path *path,
                   uint32_t level)
{
    struct store_inner *inner = path->inners[level];
    if (level < tree->level && inner->count <= MERGE_BELOW) {
        const struct store_inner *parent = path->inners[level + 1];
        uint32_t at = path->children[level + 1];
        if (at && can_merge(parent, at - 1)) {
            merge(store, tree, path, level, at - 1);
            return;
        }
        if (can_merge(parent, at)) {
            merge(store, tree, path, level, at);
            return;
        }
    }
    if (inner->count <= inner->capacity / 4)
        refit(store, tree, path, level, inner->capacity / 2);
    store_branch_refresh(tree, path, level + 1);
}

/* A root with one child is none. */
static void lower(struct store *store, struct store_tree *tree)
{
    while (tree->level && ((struct store_inner *)tree->root)->count == 1) {
        struct store_inner *root = tree->root;
        tree->root = root->branches[0].child;
        tree->level--;
        inner_free(store, root);
    }
}

void store_branch_drop(struct store *store, struct store_tree *tree, struct store_path *path,
                       uint32_t level)
{
    if (level > tree->level) {
        *tree = (struct store_tree){.is_ordered = tree->is_ordered};
        return;
    }
    struct store_inner *inner = path->inners[level];
    uint32_t at = path->children[level];
    inner->count--;
    move_branches(inner, at, inner, at + 1, inner->count - at);
    if (!inner->count) {
        inner_free(store, inner);
        store_branch_drop(store, tree, path, level + 1);
    } else {
        settle(store, tree, path, level);
    }
    lower(store, tree);
}
