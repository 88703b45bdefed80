/* tree.h - a sequence of byte strings in a tree: what lists, hashes, sets and sorted sets are made
 * of; private to store/.
 *
 *     inner node: count, capacity | (child, elements below it, guide) ...
 *     leaf: capacity, begin, end, count | ... [varint size, bytes] [varint size, bytes] ...
 *
 * Leaves hold packed elements; inner nodes know how many elements hang below each child, so that an
 * index is found by counts. A small value is one leaf and nothing else. All leaves are equally
 * deep. A leaf has its room in front of the elements or behind them, where it was last needed. An
 * element that is larger than a leaf has a leaf of its own.
 *
 * An ordered tree is one whose elements ascend by their bytes. Its inner nodes also know the first
 * eight bytes below each child, its guide: a search then reads one leaf. Who needs another order
 * writes it into the front of the element (a hash, a score), most significant byte first.
 *
 * A change moves bytes within one leaf, or allocates a few leaves and one node of each level
 * (STORE-3): leaves and nodes are split when full and merged with a neighbour when nearly empty. */
#ifndef HOLDFAST_STORE_TREE_H
#define HOLDFAST_STORE_TREE_H

#include "store/inside.h"

#define TREE_FANOUT 32
#define TREE_LEVELS 14 /* of inner nodes: 32^13 leaves do not fit in memory */

struct store_leaf {
    uint32_t capacity; /* of `bytes` */
    uint32_t begin, end;
    uint32_t count; /* > 0 */
    uint8_t bytes[];
};

#define LEAF_HEAD_SIZE    sizeof(struct store_leaf)
#define LEAF_ROOM_LIST    (2048 - 8 - LEAF_HEAD_SIZE) /* with the allocator's overhead, 2 KiB */
#define LEAF_ROOM_ORDERED (1024 - 8 - LEAF_HEAD_SIZE) /* shorter: it is searched from its front */
#define LEAF_ROOM_FIRST   48

struct store_branch {
    void *child;    /* owned: a leaf at level 1, else an inner node */
    uint64_t count; /* elements below, > 0 */
    uint64_t guide; /* of the first element below; 0 in a tree that is not ordered */
};

struct store_inner {
    uint32_t count; /* > 0 */
    uint32_t capacity;
    struct store_branch branches[];
};

struct store_tree {
    void *root; /* owned: a leaf when level is 0, else an inner node; NULL when empty */
    uint64_t length;
    uint32_t level;
    bool is_ordered;
};

/* The bytes of an element before they are in a leaf: head, name and value, one behind the other.
 * Slices borrowed. */
#define ELEMENT_HEAD_MAX 16
struct store_element {
    uint8_t head[ELEMENT_HEAD_MAX];
    size_t head_size;
    struct slice name, value;
    bool is_by_name; /* searching for it, only head and name count: the value may be another */
};

/* A place in a tree: the way from the root to a leaf, and an element in it. Good until the tree
 * changes. */
struct store_path {
    struct store_inner *inners[TREE_LEVELS]; /* of levels 1 .. tree->level */
    uint32_t children[TREE_LEVELS];          /* the way goes on here */
    struct store_leaf *leaf;                 /* NULL: the tree is empty */
    size_t offset;                           /* of the element; leaf->end: behind the last one */
    size_t index;                            /* elements of the leaf in front of it */
};

/* The element at `*offset`, and the offset behind it. */
static inline struct slice store_leaf_read(const struct store_leaf *leaf, size_t *offset)
{
    struct slice rest = slice_of(leaf->bytes + *offset, leaf->end - *offset), element;
    uint64_t size = rest.size ? rest.at[0] : 0;
    if (size < 128) {
        element = slice_of(rest.at + 1, size);
    } else {
        enum status status = varint_take(&rest, &size);
        assert(status == STATUS_OK);
        element = slice_of(rest.at, size);
    }
    *offset = (size_t)(element.at + element.size - leaf->bytes);
    assert(*offset <= leaf->end);
    return element;
}

static inline size_t store_leaf_used(const struct store_leaf *leaf)
{
    return leaf->end - leaf->begin;
}

/* More than this has only a leaf of a single element: what a change moves is bounded (STORE-3). */
static inline size_t store_leaf_room(const struct store_tree *tree)
{
    return tree->is_ordered ? LEAF_ROOM_ORDERED : LEAF_ROOM_LIST;
}

/* What an inner node keeps of an element: smaller elements never have a larger guide. */
static inline uint64_t store_guide_of(struct slice element)
{
    if (element.size >= sizeof(uint64_t))
        return __builtin_bswap64(load_u64(element.at));
    uint64_t guide = 0;
    for (size_t i = 0; i < element.size; i++)
        guide |= (uint64_t)element.at[i] << (56 - 8 * i);
    return guide;
}

/* ---- leaf.c: one leaf ---- */

/* Its capacity is at least this; the room that the allocator gives anyway is used. */
struct store_leaf *store_leaf_create(struct store *store, size_t capacity);
void store_leaf_destroy(struct store *store, struct store_leaf *leaf);
size_t store_element_size(const struct store_element *element); /* with the size in front */
/* Puts `element` (NULL: nothing) in place of the `cut` bytes at *at, which moves with them. False:
 * there is no room for it. `count` is the caller's. */
bool store_leaf_put(struct store_leaf *leaf, size_t *at, size_t cut,
                    const struct store_element *element);
/* The same into another leaf with room for at least `capacity` bytes; frees the old one. Keeps the
 * room in front of the elements when `room_in_front`. */
struct store_leaf *store_leaf_refit(struct store *store, struct store_leaf *leaf, size_t capacity,
                                    bool room_in_front, size_t *at);
/* A leaf of the elements between two offsets. */
struct store_leaf *store_leaf_slice(struct store *store, const struct store_leaf *leaf,
                                    size_t begin, size_t end, size_t capacity);

/* ---- branch.c: inner nodes, along a path ---- */

/* Hangs a node of `level` - 1 in beside the path's child of `level`; nodes that are full are split.
 * The counts of the path's own nodes are put right from that level on. */
void store_branch_add(struct store *store, struct store_tree *tree, struct store_path *path,
                      uint32_t level, void *node, bool before);
/* Takes the path's child of `level` out, not freeing it; nodes that are nearly empty are merged. */
void store_branch_drop(struct store *store, struct store_tree *tree, struct store_path *path,
                       uint32_t level);
/* Another node in place of the path's child of `level` (tree->level + 1: the root). */
void store_branch_set(struct store_tree *tree, const struct store_path *path, uint32_t level,
                      void *node);
/* Works counts and guides of the path's children out again, from `level` up. */
void store_branch_refresh(const struct store_tree *tree, const struct store_path *path,
                          uint32_t level);

/* ---- tree.c ---- */

void store_path_to_leaf(const struct store_tree *tree, size_t *index, struct store_path *path);
/* The element `index`; the length: behind the last one. */
void store_path_to(const struct store_tree *tree, size_t index, struct store_path *path);
void store_path_to_end(const struct store_tree *tree, bool at_head, struct store_path *path);
/* In an ordered tree: the first element that is not below the head and name of `probe` (`above`:
 * the first above them). */
void store_path_search(const struct store_tree *tree, const struct store_element *probe, bool above,
                       struct store_path *path);
/* How many elements are in front of it. */
size_t store_path_rank(const struct store_tree *tree, const struct store_path *path);
/* False: behind the last element of its leaf. */
bool store_path_element(const struct store_path *path, struct slice *element);

struct store_tree_walk {
    const struct store_tree *tree;
    const struct store_leaf *leaf; /* NULL: not found yet */
    size_t offset, index;
};
bool store_tree_walk_leaf(struct store_tree_walk *walk); /* to the leaf of `index` */
static inline bool store_tree_walk_next(struct store_tree_walk *walk, struct slice *element)
{
    bool is_inside = walk->leaf && walk->offset < walk->leaf->end;
    if (!is_inside && !store_tree_walk_leaf(walk))
        return false;
    *element = store_leaf_read(walk->leaf, &walk->offset);
    walk->index++;
    return true;
}

void store_tree_destroy(struct store *store, struct store_tree *tree);
struct store_tree store_tree_copy(struct store *store, const struct store_tree *tree);
void store_tree_validate(const struct store_tree *tree);

/* ---- change.c: one element at a path, which is not good afterwards ---- */

/* In front of what is there. The caller keeps the order of an ordered tree. */
void store_tree_insert(struct store *store, struct store_tree *tree, struct store_path *path,
                       const struct store_element *element);
void store_tree_replace(struct store *store, struct store_tree *tree, struct store_path *path,
                        const struct store_element *element);
void store_tree_remove(struct store *store, struct store_tree *tree, struct store_path *path);
/* `count` elements from one end: leaf by leaf. */
void store_tree_cut(struct store *store, struct store_tree *tree, bool at_head, size_t count);

#endif
