/* prefetch.c - what a find waits for, fetched for many keys at once: page word, bucket and entry
 * are three misses one after the other for one key, and three for a whole batch of them. */
#include "store/table.h"

struct ahead {
    uint64_t hash, segment;
    unsigned tag;
};

static void find_segment(const struct store *store, uint32_t slot, struct ahead *ahead)
{
    const struct store_page *page = store->pages[slot / STORE_PAGE_SLOTS];
    uint64_t word = page ? page->words[slot % STORE_PAGE_SLOTS] : 0;
    unsigned depth = 0;
    for (; word & WORD_NODE; depth++) {
        const struct store_node *node = store_word_pointer(word);
        word = node->words[store_hash_branch(ahead->hash, depth)];
    }
    ahead->segment = word;
    ahead->tag = store_hash_tag(ahead->hash, depth);
}

static const struct store_bucket *home_of(const struct ahead *ahead)
{
    return store_segment_buckets(ahead->segment) +
           store_tag_home(ahead->tag, store_word_above(ahead->segment));
}

/* The key's line and the one behind it: a small key has its value there. */
static void fetch_entries(const struct ahead *ahead)
{
    const struct store_bucket *home = home_of(ahead);
    for (unsigned i = 0; i < home->count; i++) {
        if (store_word_above(home->words[i]) != ahead->tag)
            continue;
        const uint8_t *entry = store_word_pointer(home->words[i]);
        __builtin_prefetch(entry, 1);
        __builtin_prefetch(entry + 64, 1);
    }
}

void store_prefetch(const struct store *store, const struct store_key *keys, size_t count)
{
    struct ahead ahead[STORE_PREFETCH_MAX];
    assert(count <= STORE_PREFETCH_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct store_page *page = store->pages[keys[i].slot / STORE_PAGE_SLOTS];
        if (page)
            __builtin_prefetch(&page->words[keys[i].slot % STORE_PAGE_SLOTS]);
        ahead[i].hash = store_key_hash(store, &keys[i]);
    }
    for (size_t i = 0; i < count; i++) {
        find_segment(store, keys[i].slot, &ahead[i]);
        if (ahead[i].segment)
            __builtin_prefetch(home_of(&ahead[i]), 1);
    }
    for (size_t i = 0; i < count; i++)
        if (ahead[i].segment)
            fetch_entries(&ahead[i]);
}
