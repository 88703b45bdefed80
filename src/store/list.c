/* list.c - a deque of byte strings: a tree whose leaves hold packed elements and whose inner nodes
 * know how many elements hang below each child.
 *
 *     leaf: next | capacity, begin, end, count | ... [varint size, bytes] [varint size, bytes] ...
 *
 * Pushing touches one path of the tree, an index is found by counts, a walk follows the leaves:
 * constant (amortised), logarithmic, linear in what is walked. All leaves are equally deep. A leaf
 * at the front fills its room from the back, one at the end from the front. An element that is
 * larger than a leaf has a leaf of its own. */
#include "store/table.h"

#define LEAF_ROOM_MAX   2000 /* with its header and the allocator's, 2 KiB */
#define LEAF_ROOM_FIRST 48
#define FANOUT          32
#define LEVELS_MAX      14 /* of inner nodes: 32^13 leaves do not fit in memory */

struct leaf {
    struct leaf *next;
    uint32_t capacity; /* of `bytes` */
    uint32_t begin, end;
    uint32_t count;
    uint8_t bytes[];
};

struct inner {
    uint64_t counts[FANOUT]; /* elements below each child */
    void *children[FANOUT];  /* owned: leaves at level 1, else inner nodes */
    uint32_t count;
};

static struct leaf *leaf_create(struct store *store, size_t capacity, bool at_head)
{
    struct leaf *leaf = store_room_take(store, sizeof *leaf + capacity);
    *leaf = (struct leaf){.capacity = (uint32_t)capacity};
    leaf->begin = leaf->end = at_head ? leaf->capacity : 0;
    return leaf;
}

static void leaf_destroy(struct store *store, struct leaf *leaf)
{
    store_room_give(store, leaf, sizeof *leaf + leaf->capacity);
}

static bool leaf_has_room(const struct leaf *leaf, size_t size, bool at_head)
{
    return at_head ? leaf->begin >= size : leaf->capacity - leaf->end >= size;
}

static void leaf_write(struct leaf *leaf, struct slice element, bool at_head)
{
    size_t prefix = varint_size(element.size), size = prefix + element.size;
    uint8_t *at = leaf->bytes + leaf->end;
    if (at_head) {
        leaf->begin -= (uint32_t)size;
        at = leaf->bytes + leaf->begin;
    } else {
        leaf->end += (uint32_t)size;
    }
    varint_store(at, element.size);
    if (element.size)
        memcpy(at + prefix, element.at, element.size);
    leaf->count++;
}

/* The element at `*offset`, and the offset behind it. */
static struct slice leaf_read(const struct leaf *leaf, size_t *offset)
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

/* The path from the root to the first or last leaf; path[level] is the inner node of that level. */
static struct leaf *descend(const struct store_deque *deque, bool at_head, struct inner **path)
{
    void *node = deque->root;
    for (uint64_t level = deque->level; level > 0; level--) {
        struct inner *inner = node;
        path[level] = inner;
        node = inner->children[at_head ? 0 : inner->count - 1];
    }
    return node;
}

static void inner_insert(struct inner *inner, void *child, uint64_t count, bool at_head)
{
    size_t at = at_head ? 0 : inner->count, behind = inner->count - at;
    memmove(inner->children + at + 1, inner->children + at, behind * sizeof *inner->children);
    memmove(inner->counts + at + 1, inner->counts + at, behind * sizeof *inner->counts);
    inner->children[at] = child;
    inner->counts[at] = count;
    inner->count++;
}

static struct inner *inner_create(struct store *store, void *child, uint64_t count)
{
    struct inner *inner = store_room_take(store, sizeof *inner);
    inner->count = 0;
    inner_insert(inner, child, count, false);
    return inner;
}

/* Hangs an empty leaf in at one end; nodes that are full stay as they are and get a neighbour. */
static void attach(struct store *store, struct store_deque *deque, struct leaf *leaf, bool at_head)
{
    struct inner *path[LEVELS_MAX];
    struct leaf *edge = descend(deque, at_head, path);
    void *child = leaf;
    if (at_head)
        leaf->next = edge;
    else
        edge->next = leaf;
    for (uint64_t level = 1; level <= deque->level; level++) {
        if (path[level]->count < FANOUT) {
            inner_insert(path[level], child, 0, at_head);
            return;
        }
        child = inner_create(store, child, 0);
    }
    struct inner *root = inner_create(store, deque->root, deque->length);
    inner_insert(root, child, 0, at_head);
    deque->root = root;
    deque->level++;
    assert(deque->level < LEVELS_MAX);
}

/* The only leaf of a short list grows, so that short lists are small. */
static struct leaf *grow_only_leaf(struct store *store, struct leaf *leaf, size_t need,
                                   bool at_head)
{
    size_t capacity = (size_t)leaf->capacity * 2, used = leaf->end - leaf->begin;
    if (capacity < used + need)
        capacity = used + need;
    if (capacity > LEAF_ROOM_MAX)
        capacity = LEAF_ROOM_MAX;
    struct leaf *grown = leaf_create(store, capacity, at_head);
    if (at_head)
        grown->begin -= (uint32_t)used;
    else
        grown->end += (uint32_t)used;
    memcpy(grown->bytes + grown->begin, leaf->bytes + leaf->begin, used);
    grown->count = leaf->count;
    leaf_destroy(store, leaf);
    return grown;
}

static struct leaf *make_room(struct store *store, struct store_deque *deque, size_t need,
                              bool at_head)
{
    struct inner *path[LEVELS_MAX];
    if (!deque->root) {
        size_t room = need > LEAF_ROOM_FIRST ? need : LEAF_ROOM_FIRST;
        deque->root = leaf_create(store, room, at_head);
        return deque->root;
    }
    struct leaf *leaf = descend(deque, at_head, path);
    if (leaf_has_room(leaf, need, at_head))
        return leaf;
    if (!deque->level && leaf->end - leaf->begin + need <= LEAF_ROOM_MAX) {
        deque->root = grow_only_leaf(store, leaf, need, at_head);
        return deque->root;
    }
    leaf = leaf_create(store, need > LEAF_ROOM_MAX ? need : LEAF_ROOM_MAX, at_head);
    attach(store, deque, leaf, at_head);
    return leaf;
}

static void count_pushed(struct store_deque *deque, bool at_head)
{
    struct inner *path[LEVELS_MAX];
    descend(deque, at_head, path);
    for (uint64_t level = deque->level; level > 0; level--)
        path[level]->counts[at_head ? 0 : path[level]->count - 1]++;
    deque->length++;
}

static struct store_entry *create_list(struct store *store, const struct store_key *key,
                                       uint64_t hash)
{
    struct store_entry *entry = store_entry_create(store, key, STORE_LIST, 0);
    *store_entry_deque(entry) = (struct store_deque){.root = NULL};
    store_table_insert(store, key->slot, hash, entry);
    store->keys[key->database]++;
    return entry;
}

size_t store_list_push(struct store *store, const struct store_key *key, bool at_head,
                       struct slice element)
{
    assert(element.size <= STORE_VALUE_SIZE_MAX);
    uint64_t hash = store_key_hash(store, key);
    uint64_t *place = store_table_find(store, key, hash);
    struct store_entry *entry = place ? store_word_entry(*place) : create_list(store, key, hash);
    assert(store_entry_type(entry) == STORE_LIST);
    struct store_deque *deque = store_entry_deque(entry);
    size_t need = varint_size(element.size) + element.size;
    leaf_write(make_room(store, deque, need, at_head), element, at_head);
    count_pushed(deque, at_head);
    return deque->length;
}

size_t store_list_length(const struct store_entry *entry)
{
    assert(store_entry_type(entry) == STORE_LIST);
    return store_entry_deque(entry)->length;
}

/* The leaf with element `*index`, which becomes its number within the leaf. */
static const struct leaf *leaf_with(const struct store_deque *deque, size_t *index)
{
    const void *node = deque->root;
    for (uint64_t level = deque->level; level > 0; level--) {
        const struct inner *inner = node;
        size_t child = 0;
        for (; *index >= inner->counts[child]; child++)
            *index -= inner->counts[child];
        node = inner->children[child];
    }
    return node;
}

void store_list_walk_init(struct store_list_walk *walk, const struct store_entry *entry,
                          size_t index)
{
    const struct store_deque *deque = store_entry_deque(entry);
    assert(store_entry_type(entry) == STORE_LIST);
    *walk = (struct store_list_walk){.entry = entry, .index = index};
    if (index >= deque->length)
        return;
    const struct leaf *leaf = leaf_with(deque, &index);
    walk->node = leaf;
    walk->offset = leaf->begin;
    for (; index; index--)
        leaf_read(leaf, &walk->offset);
}

bool store_list_walk_next(struct store_list_walk *walk, struct slice *element)
{
    const struct leaf *leaf = walk->node;
    if (walk->index >= store_entry_deque(walk->entry)->length)
        return false;
    if (walk->offset == leaf->end) {
        leaf = leaf->next;
        walk->node = leaf;
        walk->offset = leaf->begin;
    }
    *element = leaf_read(leaf, &walk->offset);
    walk->index++;
    return true;
}

struct slice store_list_at(const struct store_entry *entry, size_t index)
{
    struct store_list_walk walk;
    struct slice element = slice_of(NULL, 0);
    store_list_walk_init(&walk, entry, index);
    bool found = store_list_walk_next(&walk, &element);
    assert(found);
    return element;
}

static void destroy_node(struct store *store, void *node, uint64_t level)
{
    if (!level) {
        leaf_destroy(store, node);
        return;
    }
    struct inner *inner = node;
    for (uint32_t i = 0; i < inner->count; i++)
        destroy_node(store, inner->children[i], level - 1);
    store_room_give(store, inner, sizeof *inner);
}

void store_deque_destroy(struct store *store, struct store_deque *deque)
{
    if (deque->root)
        destroy_node(store, deque->root, deque->level);
}

/* Counts the elements below a node; `*leaf` is the leaf that the chain says comes next. */
static uint64_t validate_node(const void *node, uint64_t level, const struct leaf **leaf)
{
    uint64_t count = 0;
    if (!level) {
        assert(node == *leaf);
        size_t offset = (*leaf)->begin;
        for (; offset != (*leaf)->end; count++)
            leaf_read(*leaf, &offset);
        assert(count == (*leaf)->count && count > 0 && (*leaf)->end <= (*leaf)->capacity);
        *leaf = (*leaf)->next;
        return count;
    }
    const struct inner *inner = node;
    assert(inner->count > 0 && inner->count <= FANOUT);
    for (uint32_t i = 0; i < inner->count; i++) {
        assert(validate_node(inner->children[i], level - 1, leaf) == inner->counts[i]);
        count += inner->counts[i];
    }
    return count;
}

void store_deque_validate(const struct store_deque *deque)
{
    struct inner *path[LEVELS_MAX];
    const struct leaf *leaf = descend(deque, true, path);
    assert(deque->root && deque->length > 0);
    assert(validate_node(deque->root, deque->level, &leaf) == deque->length);
    assert(!leaf);
}
