/* prefetch.c - what a find waits for, fetched for many keys at once: page word, bucket and entry
 * are three misses one after the other for one key, and three for a whole batch of them; a fourth
 * for the tenth of the keys that their home spilled.
 */
#include "store/table.h"

#include "base/memory.h"

struct ahead {
    uint64_t hash, segment;
    unsigned tag;
    bool spilled; /* if it is there at all */
};

struct found {
    const uint8_t *at[STORE_PREFETCH_MAX];
    size_t count;
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

static void fetch_entry(struct found *found, uint64_t word)
{
    const uint8_t *entry = store_word_pointer(word);
    if (found->count == STORE_PREFETCH_MAX)
        return;
    memory_touch(entry);
    found->at[found->count++] = entry;
}

static void fetch_entries(struct ahead *ahead, struct found *found)
{
    const struct store_bucket *home = home_of(ahead);
    unsigned matches = store_bucket_matches(home, ahead->tag);
    ahead->spilled = !matches && home->spilled;
    if (ahead->spilled) {
        memory_touch(store_segment_head(ahead->segment));
        memory_touch(store_segment_buckets(ahead->segment) + store_word_above(ahead->segment));
    }
    for (; matches; matches &= matches - 1)
        fetch_entry(found, home->words[__builtin_ctz(matches)]);
}

static void fetch_spilled(const struct ahead *ahead, struct found *found)
{
    size_t spilled = store_segment_head(ahead->segment)->spilled;
    for (size_t i = 0; i < spilled; i++) {
        uint64_t word = *store_segment_spilled(ahead->segment, i);
        if (store_word_above(word) == ahead->tag)
            fetch_entry(found, word);
    }
}

void store_prefetch(const struct store *store, const struct store_key *keys, size_t count)
{
    struct ahead ahead[STORE_PREFETCH_MAX];
    struct found found;
    found.count = 0; /* the rest is written before it is read */
    assert(count <= STORE_PREFETCH_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct store_page *page = store->pages[keys[i].slot / STORE_PAGE_SLOTS];
        if (page)
            memory_touch(&page->words[keys[i].slot % STORE_PAGE_SLOTS]);
        ahead[i].hash = store_key_hash(store, &keys[i]);
    }
    for (size_t i = 0; i < count; i++) {
        find_segment(store, keys[i].slot, &ahead[i]);
        if (ahead[i].segment)
            memory_touch(home_of(&ahead[i]));
    }
    for (size_t i = 0; i < count; i++)
        if (ahead[i].segment)
            fetch_entries(&ahead[i], &found);
    for (size_t i = 0; i < count; i++)
        if (ahead[i].segment && ahead[i].spilled)
            fetch_spilled(&ahead[i], &found);
    /* A small key has its value in the line behind it; that may be past the end of its memory. */
    for (size_t i = 0; i < found.count; i++)
        __builtin_prefetch(found.at[i] + 64, 1);
}
