/* leaf.c - packed elements in one piece of memory (see tree.h). */
#include "store/tree.h"

struct store_leaf *store_leaf_create(struct store *store, size_t capacity)
{
    size_t room = store_room_size(LEAF_HEAD_SIZE + capacity) - 8 - LEAF_HEAD_SIZE;
    struct store_leaf *leaf = store_room_take(store, LEAF_HEAD_SIZE + room);
    assert(room <= UINT32_MAX);
    *leaf = (struct store_leaf){.capacity = (uint32_t)room};
    return leaf;
}

void store_leaf_destroy(struct store *store, struct store_leaf *leaf)
{
    store_room_give(store, leaf, LEAF_HEAD_SIZE + leaf->capacity);
}

static size_t bare_size(const struct store_element *element)
{
    return element->head_size + element->name.size + element->value.size;
}

size_t store_element_size(const struct store_element *element)
{
    size_t size = bare_size(element);
    return varint_size(size) + size;
}

static uint8_t *write_part(uint8_t *at, const void *bytes, size_t size)
{
    if (size)
        memcpy(at, bytes, size);
    return at + size;
}

static void write_element(uint8_t *at, const struct store_element *element)
{
    at += varint_store(at, bare_size(element));
    at = write_part(at, element->head, element->head_size);
    at = write_part(at, element->name.at, element->name.size);
    write_part(at, element->value.at, element->value.size);
}

static void shift_front(struct store_leaf *leaf, size_t *at, ptrdiff_t by)
{
    uint8_t *front = leaf->bytes + leaf->begin;
    memmove(front + by, front, *at - leaf->begin);
    leaf->begin = (uint32_t)((ptrdiff_t)leaf->begin + by);
    *at = (size_t)((ptrdiff_t)*at + by);
}

static void shift_back(struct store_leaf *leaf, size_t from, ptrdiff_t by)
{
    memmove(leaf->bytes + (ptrdiff_t)from + by, leaf->bytes + from, leaf->end - from);
    leaf->end = (uint32_t)((ptrdiff_t)leaf->end + by);
}

static void narrow(struct store_leaf *leaf, size_t *at, size_t cut, size_t less)
{
    if (*at - leaf->begin < leaf->end - *at - cut)
        shift_front(leaf, at, (ptrdiff_t)less);
    else
        shift_back(leaf, *at + cut, -(ptrdiff_t)less);
}

/* The elements in front of the place make room. When there are none behind it, they take all: a
 * queue, which loses in front what it gains behind, then moves seldom. */
static void widen_to_front(struct store_leaf *leaf, size_t *at, size_t cut, size_t more)
{
    bool is_append = *at + cut == leaf->end && *at > leaf->begin;
    shift_front(leaf, at, -(ptrdiff_t)(is_append ? leaf->begin : more));
    if (is_append)
        leaf->end = (uint32_t)(*at + cut + more);
}

static void widen_to_end(struct store_leaf *leaf, size_t *at, size_t cut, size_t more)
{
    bool is_prepend = *at == leaf->begin && *at + cut < leaf->end;
    size_t by = is_prepend ? leaf->capacity - leaf->end : more;
    shift_back(leaf, *at + cut, (ptrdiff_t)by);
    *at += by - more;
    if (is_prepend)
        leaf->begin = (uint32_t)*at;
}

/* The shorter side moves when it can. */
static bool widen(struct store_leaf *leaf, size_t *at, size_t cut, size_t more)
{
    size_t before = *at - leaf->begin, behind = leaf->end - *at - cut;
    bool has_front = leaf->begin >= more, has_end = leaf->capacity - leaf->end >= more;
    if (has_front && (before < behind || !has_end))
        widen_to_front(leaf, at, cut, more);
    else if (has_end)
        widen_to_end(leaf, at, cut, more);
    else
        return false;
    return true;
}

bool store_leaf_put(struct store_leaf *leaf, size_t *at, size_t cut,
                    const struct store_element *element)
{
    size_t size = element ? store_element_size(element) : 0;
    if (size <= cut)
        narrow(leaf, at, cut, cut - size);
    else if (!widen(leaf, at, cut, size - cut))
        return false;
    if (element)
        write_element(leaf->bytes + *at, element);
    return true;
}

struct store_leaf *store_leaf_slice(struct store *store, const struct store_leaf *leaf,
                                    size_t begin, size_t end, size_t capacity)
{
    struct store_leaf *part = store_leaf_create(store, capacity);
    part->end = (uint32_t)(end - begin);
    memcpy(part->bytes, leaf->bytes + begin, end - begin);
    for (size_t offset = begin; offset < end; part->count++)
        store_leaf_read(leaf, &offset);
    return part;
}

struct store_leaf *store_leaf_refit(struct store *store, struct store_leaf *leaf, size_t capacity,
                                    bool room_in_front, size_t *at)
{
    struct store_leaf *fit = store_leaf_create(store, capacity);
    size_t used = store_leaf_used(leaf), begin = room_in_front ? fit->capacity - used : 0;
    fit->begin = (uint32_t)begin;
    fit->end = (uint32_t)(begin + used);
    fit->count = leaf->count;
    memcpy(fit->bytes + begin, leaf->bytes + leaf->begin, used);
    *at = *at - leaf->begin + begin;
    store_leaf_destroy(store, leaf);
    return fit;
}
