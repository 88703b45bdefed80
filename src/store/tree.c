/* tree.c - finding a place in a tree, and the tree as a whole. */
#include "store/tree.h"

void store_path_to_leaf(const struct store_tree *tree, size_t *index, struct store_path *path)
{
    void *node = tree->root;
    for (uint32_t level = tree->level; level > 0; level--) {
        struct store_inner *inner = node;
        uint32_t child = 0;
        for (; child + 1 < inner->count && *index >= inner->branches[child].count; child++)
            *index -= inner->branches[child].count;
        path->inners[level] = inner;
        path->children[level] = child;
        node = inner->branches[child].child;
    }
    path->leaf = node;
}

void store_path_to(const struct store_tree *tree, size_t index, struct store_path *path)
{
    assert(index <= tree->length);
    store_path_to_leaf(tree, &index, path);
    path->index = index;
    path->offset = path->leaf ? path->leaf->begin : 0;
    for (; index; index--)
        store_leaf_read(path->leaf, &path->offset);
}

void store_path_to_end(const struct store_tree *tree, bool at_head, struct store_path *path)
{
    void *node = tree->root;
    for (uint32_t level = tree->level; level > 0; level--) {
        struct store_inner *inner = node;
        uint32_t child = at_head ? 0 : inner->count - 1;
        path->inners[level] = inner;
        path->children[level] = child;
        node = inner->branches[child].child;
    }
    path->leaf = node;
    path->offset = path->index = 0;
    if (!path->leaf)
        return;
    path->offset = at_head ? path->leaf->begin : path->leaf->end;
    path->index = at_head ? 0 : path->leaf->count;
}

/* ---- searching an ordered tree ---- */

struct search {
    const struct store_element *probe;
    uint64_t guide;
    unsigned unknown; /* low bits of the guide that a short probe does not have */
};

static void search_init(struct search *search, const struct store_element *probe)
{
    uint8_t first[sizeof(uint64_t)];
    size_t size = probe->head_size < sizeof first ? probe->head_size : sizeof first;
    size_t more = sizeof first - size < probe->name.size ? sizeof first - size : probe->name.size;
    assert(size > 0);
    memcpy(first, probe->head, size);
    if (more)
        memcpy(first + size, probe->name.at, more);
    search->probe = probe;
    search->unknown = (unsigned)(64 - 8 * (size + more));
    search->guide = store_guide_of(slice_of(first, size + more)) >> search->unknown;
}

/* The front of `element` against a part of the probe; it is taken off when they are equal. */
static int compare_part(struct slice *element, const void *part, size_t size)
{
    size_t common = element->size < size ? element->size : size;
    int order = common ? memcmp(element->at, part, common) : 0;
    if (order || common < size)
        return order ? order : -1;
    *element = slice_of(element->at + common, element->size - common);
    return 0;
}

static int compare(struct slice element, const struct search *search)
{
    const struct store_element *probe = search->probe;
    uint64_t guide = store_guide_of(element) >> search->unknown;
    if (guide != search->guide)
        return guide < search->guide ? -1 : 1;
    int order = compare_part(&element, probe->head, probe->head_size);
    if (!order)
        order = compare_part(&element, probe->name.at, probe->name.size);
    return order ? order : element.size > 0 && !probe->is_by_name;
}

/* Guides settle it unless they are equal: then the element itself is looked up. */
static bool begins_above(const struct store_branch *branch, uint32_t level,
                         const struct search *search)
{
    uint64_t guide = branch->guide >> search->unknown;
    if (guide != search->guide)
        return guide > search->guide;
    const void *node = branch->child;
    for (; level > 1; level--)
        node = ((const struct store_inner *)node)->branches[0].child;
    const struct store_leaf *leaf = node;
    size_t offset = leaf->begin;
    return compare(store_leaf_read(leaf, &offset), search) > 0;
}

/* The last child that does not begin above the probe, or the first one. */
static uint32_t child_for(const struct store_inner *inner, uint32_t level,
                          const struct search *search)
{
    uint32_t child = 0, behind = inner->count;
    while (behind - child > 1) {
        uint32_t middle = (child + behind) / 2;
        if (begins_above(&inner->branches[middle], level, search))
            behind = middle;
        else
            child = middle;
    }
    return child;
}

void store_path_search(const struct store_tree *tree, const struct store_element *probe, bool above,
                       struct store_path *path)
{
    struct search search;
    void *node = tree->root;
    search_init(&search, probe);
    for (uint32_t level = tree->level; level > 0; level--) {
        struct store_inner *inner = node;
        path->inners[level] = inner;
        path->children[level] = child_for(inner, level, &search);
        node = inner->branches[path->children[level]].child;
    }
    path->leaf = node;
    path->offset = path->index = 0;
    if (!path->leaf)
        return;
    path->offset = path->leaf->begin;
    for (size_t next = path->offset; next < path->leaf->end; path->index++) {
        int order = compare(store_leaf_read(path->leaf, &next), &search);
        if (order > 0 || (order == 0 && !above))
            break;
        path->offset = next;
    }
}

size_t store_path_rank(const struct store_tree *tree, const struct store_path *path)
{
    size_t rank = path->index;
    for (uint32_t level = tree->level; level > 0; level--)
        for (uint32_t i = 0; i < path->children[level]; i++)
            rank += path->inners[level]->branches[i].count;
    return rank;
}

bool store_path_element(const struct store_path *path, struct slice *element)
{
    size_t offset = path->offset;
    if (!path->leaf || offset == path->leaf->end)
        return false;
    *element = store_leaf_read(path->leaf, &offset);
    return true;
}

/* ---- the whole ---- */

bool store_tree_walk_leaf(struct store_tree_walk *walk)
{
    struct store_path path;
    if (walk->index >= walk->tree->length)
        return false;
    store_path_to(walk->tree, walk->index, &path);
    walk->leaf = path.leaf;
    walk->offset = path.offset;
    return true;
}

static size_t inner_size(const struct store_inner *inner)
{
    return sizeof *inner + inner->capacity * sizeof *inner->branches;
}

static void destroy_node(struct store *store, void *node, uint32_t level)
{
    if (!level) {
        store_leaf_destroy(store, node);
        return;
    }
    struct store_inner *inner = node;
    for (uint32_t i = 0; i < inner->count; i++)
        destroy_node(store, inner->branches[i].child, level - 1);
    store_room_give(store, inner, inner_size(inner));
}

void store_tree_destroy(struct store *store, struct store_tree *tree)
{
    if (tree->root)
        destroy_node(store, tree->root, tree->level);
    *tree = (struct store_tree){.is_ordered = tree->is_ordered};
}

static void *copy_node(struct store *store, const void *node, uint32_t level)
{
    if (!level) {
        const struct store_leaf *leaf = node;
        return store_leaf_slice(store, leaf, leaf->begin, leaf->end, store_leaf_used(leaf));
    }
    const struct store_inner *inner = node;
    struct store_inner *copy = store_room_take(store, inner_size(inner));
    memcpy(copy, inner, inner_size(inner));
    for (uint32_t i = 0; i < inner->count; i++)
        copy->branches[i].child = copy_node(store, inner->branches[i].child, level - 1);
    return copy;
}

struct store_tree store_tree_copy(struct store *store, const struct store_tree *tree)
{
    struct store_tree copy = *tree;
    if (tree->root)
        copy.root = copy_node(store, tree->root, tree->level);
    return copy;
}

static uint64_t validate_leaf(const struct store_tree *tree, const struct store_leaf *leaf,
                              struct slice *last)
{
    uint64_t count = 0;
    assert(leaf->begin < leaf->end && leaf->end <= leaf->capacity);
    for (size_t offset = leaf->begin; offset != leaf->end; count++) {
        struct slice element = store_leaf_read(leaf, &offset), rest = element;
        if (tree->is_ordered && last->at) {
            int order = compare_part(&rest, last->at, last->size);
            assert(order > 0 || (order == 0 && rest.size > 0));
        }
        *last = element;
    }
    assert(count == leaf->count);
    assert(count == 1 || store_leaf_used(leaf) <= store_leaf_room(tree)); /* STORE-3 */
    return count;
}

/* Counts the elements below a node; `*last` is the element in front of it. */
static uint64_t validate_node(const struct store_tree *tree, const void *node, uint32_t level,
                              struct slice *last, uint64_t *guide)
{
    if (!level) {
        const struct store_leaf *leaf = node;
        size_t offset = leaf->begin;
        *guide = tree->is_ordered ? store_guide_of(store_leaf_read(leaf, &offset)) : 0;
        return validate_leaf(tree, leaf, last);
    }
    const struct store_inner *inner = node;
    uint64_t count = 0;
    assert(inner->count > 0 && inner->count <= inner->capacity && inner->capacity <= TREE_FANOUT);
    for (uint32_t i = 0; i < inner->count; i++) {
        uint64_t first;
        uint64_t below = validate_node(tree, inner->branches[i].child, level - 1, last, &first);
        assert(below == inner->branches[i].count && first == inner->branches[i].guide);
        count += below;
    }
    *guide = inner->branches[0].guide;
    return count;
}

void store_tree_validate(const struct store_tree *tree)
{
    struct slice last = slice_of(NULL, 0);
    uint64_t guide;
    assert(tree->root && tree->length > 0);
    assert(!tree->level || ((const struct store_inner *)tree->root)->count > 1);
    assert(validate_node(tree, tree->root, tree->level, &last, &guide) == tree->length);
}
