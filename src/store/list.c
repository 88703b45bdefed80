/* list.c - lists: a tree in the order of its elements, which are nothing but their bytes. */
#include "store/spot.h"

static struct store_element element_of(struct slice bytes)
{
    assert(bytes.size <= STORE_VALUE_SIZE_MAX);
    return (struct store_element){.value = bytes};
}

/* The list at a key that is there. */
static struct store_tree *list_for(struct store *store, const struct store_key *key,
                                   struct store_spot *spot)
{
    *spot = store_spot_for(store, key, STORE_LIST, false);
    assert(spot->entry);
    return store_entry_tree(spot->entry);
}

size_t store_list_push(struct store *store, const struct store_key *key, bool at_head,
                       struct slice element)
{
    struct store_element pushed = element_of(element);
    struct store_spot spot = store_spot_for(store, key, STORE_LIST, true);
    struct store_tree *tree = store_entry_tree(spot.entry);
    struct store_path path;
    store_path_to_end(tree, at_head, &path);
    store_tree_insert(store, tree, &path, &pushed);
    return tree->length;
}

size_t store_list_length(const struct store_entry *entry)
{
    assert(store_entry_type(entry) == STORE_LIST);
    return store_entry_tree(entry)->length;
}

void store_list_walk_init(struct store_list_walk *walk, const struct store_entry *entry,
                          size_t index)
{
    assert(store_entry_type(entry) == STORE_LIST);
    *walk = (struct store_list_walk){.entry = entry, .index = index};
}

bool store_list_walk_next(struct store_list_walk *walk, struct slice *element)
{
    struct store_tree_walk inside = {.tree = store_entry_tree(walk->entry),
                                     .leaf = walk->node,
                                     .offset = walk->offset,
                                     .index = walk->index};
    bool more = store_tree_walk_next(&inside, element);
    walk->node = inside.leaf;
    walk->offset = inside.offset;
    walk->index = inside.index;
    return more;
}

struct slice store_list_at(const struct store_entry *entry, size_t index)
{
    struct store_path path;
    struct slice element = slice_of(NULL, 0);
    assert(index < store_list_length(entry));
    store_path_to(store_entry_tree(entry), index, &path);
    bool found = store_path_element(&path, &element);
    assert(found);
    return element;
}

static void remove_at(struct store *store, struct store_spot *spot, struct store_path *path)
{
    struct store_tree *tree = store_entry_tree(spot->entry);
    store_tree_remove(store, tree, path);
    if (!tree->length)
        store_spot_remove(store, spot);
}

bool store_list_pop(struct store *store, const struct store_key *key, bool at_head,
                    struct buffer *out)
{
    struct store_spot spot = store_spot_for(store, key, STORE_LIST, false);
    struct store_path path;
    struct slice element;
    if (!spot.entry)
        return false;
    const struct store_tree *tree = store_entry_tree(spot.entry);
    store_path_to(tree, at_head ? 0 : tree->length - 1, &path);
    bool found = store_path_element(&path, &element);
    assert(found);
    if (out) {
        enum status status = buffer_append(out, element.at, element.size);
        assert(status == STATUS_OK); /* the caller's bound leaves room for an element */
    }
    remove_at(store, &spot, &path);
    return true;
}

void store_list_keep(struct store *store, const struct store_key *key, size_t first, size_t last)
{
    struct store_spot spot;
    struct store_tree *tree = list_for(store, key, &spot);
    assert(first <= last && last < tree->length);
    store_tree_cut(store, tree, false, tree->length - 1 - last);
    store_tree_cut(store, tree, true, first);
}

void store_list_replace(struct store *store, const struct store_key *key, size_t index,
                        struct slice element)
{
    struct store_element put = element_of(element);
    struct store_spot spot;
    struct store_tree *tree = list_for(store, key, &spot);
    struct store_path path;
    assert(index < tree->length);
    store_path_to(tree, index, &path);
    store_tree_replace(store, tree, &path, &put);
}

void store_list_remove(struct store *store, const struct store_key *key, size_t index)
{
    struct store_spot spot;
    const struct store_tree *tree = list_for(store, key, &spot);
    struct store_path path;
    assert(index < tree->length);
    store_path_to(tree, index, &path);
    remove_at(store, &spot, &path);
}

void store_list_insert(struct store *store, const struct store_key *key, size_t index,
                       struct slice element)
{
    struct store_element put = element_of(element);
    struct store_spot spot;
    struct store_tree *tree = list_for(store, key, &spot);
    struct store_path path;
    assert(index <= tree->length);
    store_path_to(tree, index, &path);
    store_tree_insert(store, tree, &path, &put);
}
