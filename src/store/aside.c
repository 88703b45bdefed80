/* aside.c - a heap of records for each slot (see aside.h). */
#include "store/aside.h"

#include "store/entry.h"

#define HEAP_FIRST 4

struct record {
    uint32_t size;
    uint8_t bytes[];
};

struct node {
    uint64_t hash;
    struct record *record; /* owned */
};

struct heap {
    struct node *nodes; /* owned; NULL with the last one gone */
    uint32_t count, capacity;
};

struct page {
    struct heap heaps[STORE_PAGE_SLOTS];
    uint32_t used; /* heaps with something in them, > 0 */
};

struct store_aside {
    uint64_t bytes;
    struct page *pages[STORE_PAGES];
};

struct store_aside *store_aside_create(void)
{
    struct store_aside *aside = memory_zeroed(1, sizeof *aside);
    aside->bytes = sizeof *aside;
    return aside;
}

uint64_t store_aside_bytes(const struct store_aside *aside)
{
    return aside->bytes;
}

static void *take(struct store_aside *aside, size_t size)
{
    aside->bytes += store_room_size(size);
    return memory_allocate(size);
}

static void give(struct store_aside *aside, void *memory, size_t size)
{
    aside->bytes -= store_room_size(size);
    memory_free(memory);
}

static void free_record(struct store_aside *aside, struct record *record)
{
    give(aside, record, sizeof *record + record->size);
}

static struct heap *heap_of(const struct store_aside *aside, uint32_t slot)
{
    struct page *page = aside->pages[slot / STORE_PAGE_SLOTS];
    return page ? &page->heaps[slot % STORE_PAGE_SLOTS] : NULL;
}

static void free_heap(struct store_aside *aside, struct heap *heap)
{
    if (heap->capacity)
        give(aside, heap->nodes, heap->capacity * sizeof *heap->nodes);
    *heap = (struct heap){.nodes = NULL};
}

void store_aside_destroy(struct store_aside *aside)
{
    if (!aside)
        return;
    for (size_t i = 0; i < STORE_PAGES; i++) {
        struct page *page = aside->pages[i];
        for (size_t j = 0; page && j < STORE_PAGE_SLOTS; j++) {
            for (uint32_t k = 0; k < page->heaps[j].count; k++)
                free_record(aside, page->heaps[j].nodes[k].record);
            free_heap(aside, &page->heaps[j]);
        }
        if (page)
            give(aside, page, sizeof *page);
    }
    assert(aside->bytes == sizeof *aside);
    memory_free(aside);
}

static struct slice bytes_of(const struct node *node)
{
    return slice_of(node->record->bytes, node->record->size);
}

static bool is_before(const struct node *a, const struct node *b)
{
    if (a->hash != b->hash)
        return a->hash < b->hash;
    return store_name_compare(store_record_name(bytes_of(a)), store_record_name(bytes_of(b))) < 0;
}

static struct heap *make_heap(struct store_aside *aside, uint32_t slot)
{
    struct page **page = &aside->pages[slot / STORE_PAGE_SLOTS];
    if (!*page) {
        *page = take(aside, sizeof **page);
        memset(*page, 0, sizeof **page);
    }
    struct heap *heap = &(*page)->heaps[slot % STORE_PAGE_SLOTS];
    (*page)->used += !heap->count;
    return heap;
}

static void reserve_one(struct store_aside *aside, struct heap *heap)
{
    if (heap->count < heap->capacity)
        return;
    uint32_t capacity = heap->capacity ? 2 * heap->capacity : HEAP_FIRST;
    struct node *nodes = take(aside, capacity * sizeof *nodes);
    if (heap->count) {
        memcpy(nodes, heap->nodes, heap->count * sizeof *nodes);
        give(aside, heap->nodes, heap->capacity * sizeof *nodes);
    }
    heap->nodes = nodes;
    heap->capacity = capacity;
}

void store_aside_put(struct store_aside *aside, uint32_t slot, uint64_t hash, struct slice record)
{
    struct heap *heap = make_heap(aside, slot);
    reserve_one(aside, heap);
    struct node node = {.hash = hash, .record = take(aside, sizeof *node.record + record.size)};
    node.record->size = (uint32_t)record.size;
    memcpy(node.record->bytes, record.at, record.size);
    uint32_t at = heap->count++;
    for (; at && is_before(&node, &heap->nodes[(at - 1) / 2]); at = (at - 1) / 2)
        heap->nodes[at] = heap->nodes[(at - 1) / 2];
    heap->nodes[at] = node;
}

const void *store_aside_heap(const struct store_aside *aside, uint32_t slot)
{
    return heap_of(aside, slot);
}

const void *store_aside_end(const struct store_aside *aside, uint32_t slot)
{
    const struct heap *heap = heap_of(aside, slot);
    return heap && heap->count ? &heap->nodes[heap->count - 1] : NULL;
}

static uint32_t lesser_child(const struct heap *heap, uint32_t at)
{
    uint32_t child = 2 * at + 1;
    bool other = child + 1 < heap->count && is_before(&heap->nodes[child + 1], &heap->nodes[child]);
    return child + other;
}

void store_aside_drop(struct store_aside *aside, uint32_t slot)
{
    struct heap *heap = heap_of(aside, slot);
    assert(heap && heap->count);
    free_record(aside, heap->nodes[0].record);
    struct node node = heap->nodes[--heap->count];
    uint32_t at = 0;
    while (2 * at + 1 < heap->count) {
        uint32_t child = lesser_child(heap, at);
        if (!is_before(&heap->nodes[child], &node))
            break;
        heap->nodes[at] = heap->nodes[child];
        at = child;
    }
    heap->nodes[at] = node; /* of an empty one: its own place, not counted */
    if (heap->count)
        return;
    free_heap(aside, heap);
    struct page **page = &aside->pages[slot / STORE_PAGE_SLOTS];
    if (--(*page)->used)
        return;
    give(aside, *page, sizeof **page);
    *page = NULL;
}

bool store_aside_find(const struct store_aside *aside, uint32_t first, uint32_t last,
                      uint32_t *slot)
{
    for (uint32_t at = first; at <= last; at++) {
        const struct heap *heap = heap_of(aside, at);
        if (!heap) {
            at |= STORE_PAGE_SLOTS - 1;
        } else if (heap->count) {
            *slot = at;
            return true;
        }
    }
    return false;
}

bool store_aside_first(const struct store_aside *aside, uint32_t slot, struct store_kept *out)
{
    const struct heap *heap = heap_of(aside, slot);
    if (!heap || !heap->count)
        return false;
    *out = (struct store_kept){.hash = heap->nodes[0].hash, .record = bytes_of(&heap->nodes[0])};
    return true;
}
