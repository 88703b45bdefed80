/* aside.c - a leftist heap of records for each slot (Crane 1972; Knuth, volume 3, 5.2.3): putting
 * and dropping are logarithmic each time, and nothing is ever moved to a larger place (STORE-3). */
#include "store/aside.h"

#include "store/entry.h"

struct node {
    uint64_t hash;
    struct node *left, *right; /* owned; none of them is before this one */
    uint32_t rank;             /* nodes from here on to the right, never more than to the left */
    uint32_t size;
    uint8_t record[];
};

struct page {
    struct node *roots[STORE_PAGE_SLOTS]; /* NULL: nothing */
    uint32_t used;                        /* slots with something in them, > 0 */
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

static void free_node(struct store_aside *aside, struct node *node)
{
    give(aside, node, sizeof *node + node->size);
}

/* To the left a heap may be as deep as it has nodes: what is there goes to the right, link by link.
 */
static void free_heap(struct store_aside *aside, struct node *node)
{
    while (node) {
        struct node *next = node->left;
        if (next) {
            node->left = next->right;
            next->right = node;
        } else {
            next = node->right;
            free_node(aside, node);
        }
        node = next;
    }
}

void store_aside_destroy(struct store_aside *aside)
{
    if (!aside)
        return;
    for (size_t i = 0; i < STORE_PAGES; i++) {
        struct page *page = aside->pages[i];
        if (!page)
            continue;
        for (size_t j = 0; j < STORE_PAGE_SLOTS; j++)
            free_heap(aside, page->roots[j]);
        give(aside, page, sizeof *page);
    }
    assert(aside->bytes == sizeof *aside);
    memory_free(aside);
}

static struct node **root_of(const struct store_aside *aside, uint32_t slot)
{
    struct page *page = aside->pages[slot / STORE_PAGE_SLOTS];
    return page ? &page->roots[slot % STORE_PAGE_SLOTS] : NULL;
}

static struct slice record_of(const struct node *node)
{
    return slice_of(node->record, node->size);
}

static bool is_before(const struct node *a, const struct node *b)
{
    if (a->hash != b->hash)
        return a->hash < b->hash;
    return store_name_compare(store_record_name(record_of(a)), store_record_name(record_of(b))) < 0;
}

static uint32_t rank_of(const struct node *node)
{
    return node ? node->rank : 0;
}

/* As many calls deep as both have ranks, which are logarithms. */
static struct node *merge(struct node *a, struct node *b)
{
    if (!a || !b)
        return a ? a : b;
    struct node *first = is_before(b, a) ? b : a, *second = first == a ? b : a;
    struct node *right = merge(first->right, second);
    bool swaps = rank_of(first->left) < right->rank;
    first->right = swaps ? first->left : right;
    first->left = swaps ? right : first->left;
    first->rank = rank_of(first->right) + 1;
    return first;
}

static struct node **make_root(struct store_aside *aside, uint32_t slot)
{
    struct page **page = &aside->pages[slot / STORE_PAGE_SLOTS];
    if (!*page) {
        *page = take(aside, sizeof **page);
        **page = (struct page){.used = 0};
    }
    struct node **root = &(*page)->roots[slot % STORE_PAGE_SLOTS];
    (*page)->used += !*root;
    return root;
}

void store_aside_put(struct store_aside *aside, uint32_t slot, uint64_t hash, struct slice record)
{
    struct node **root = make_root(aside, slot);
    struct node *node = take(aside, sizeof *node + record.size);
    *node = (struct node){.hash = hash, .rank = 1, .size = (uint32_t)record.size};
    memcpy(node->record, record.at, record.size);
    *root = merge(*root, node);
}

void store_aside_drop(struct store_aside *aside, uint32_t slot)
{
    struct page **page = &aside->pages[slot / STORE_PAGE_SLOTS];
    struct node **root = root_of(aside, slot), *node = root ? *root : NULL;
    assert(node);
    *root = merge(node->left, node->right);
    free_node(aside, node);
    if (*root || --(*page)->used)
        return;
    give(aside, *page, sizeof **page);
    *page = NULL;
}

const void *store_aside_root(const struct store_aside *aside, uint32_t slot)
{
    return root_of(aside, slot);
}

const void *store_aside_least(const struct store_aside *aside, uint32_t slot)
{
    struct node **root = root_of(aside, slot);
    return root ? *root : NULL;
}

bool store_aside_find(const struct store_aside *aside, uint32_t first, uint32_t last,
                      uint32_t *slot)
{
    for (uint32_t at = first; at <= last; at++) {
        struct node **root = root_of(aside, at);
        if (!root) {
            at |= STORE_PAGE_SLOTS - 1;
        } else if (*root) {
            *slot = at;
            return true;
        }
    }
    return false;
}

bool store_aside_first(const struct store_aside *aside, uint32_t slot, struct store_kept *out)
{
    const struct node *node = store_aside_least(aside, slot);
    if (node)
        *out = (struct store_kept){.hash = node->hash, .record = record_of(node)};
    return node != NULL;
}
