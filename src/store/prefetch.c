/* prefetch.c - what a find waits for, fetched for many keys at once: page word, bucket and entry
 * are three misses one after the other for one key, and three for a whole batch of them; a fourth
 * for the tenth of the keys that their home spilled.
 */
#include "store/table.h"

#include "base/memory.h"

struct track {
    uint64_t hash, segment;
    unsigned tag;
    bool spilled; /* if it is there at all */
};

struct found {
    const uint8_t *at[STORE_PREFETCH_MAX];
    size_t count;
};

static void find_segment(const struct store *store, uint32_t slot, struct track *track)
{
    const struct store_page *page = store->pages[slot / STORE_PAGE_SLOTS];
    uint64_t word = page ? page->words[slot % STORE_PAGE_SLOTS] : 0;
    unsigned depth = 0;
    for (; word & WORD_NODE; depth++) {
        const struct store_node *node = store_word_pointer(word);
        word = node->words[store_hash_branch(track->hash, depth)];
    }
    track->segment = word;
    track->tag = store_hash_tag(track->hash, depth);
}

static const struct store_bucket *home_of(const struct track *track)
{
    return store_segment_buckets(track->segment) +
           store_tag_home(track->tag, store_word_above(track->segment));
}

static void fetch_entry(struct found *found, uint64_t word)
{
    const uint8_t *entry = store_word_pointer(word);
    if (found->count == STORE_PREFETCH_MAX)
        return;
    memory_touch(entry);
    found->at[found->count++] = entry;
}

static void fetch_entries(struct track *track, struct found *found)
{
    const struct store_bucket *home = home_of(track);
    unsigned matches = store_bucket_matches(home, track->tag);
    track->spilled = !matches && home->spilled;
    if (track->spilled) {
        memory_touch(store_segment_head(track->segment));
        memory_touch(store_segment_buckets(track->segment) + store_word_above(track->segment));
    }
    for (; matches; matches &= matches - 1)
        fetch_entry(found, home->words[__builtin_ctz(matches)]);
}

static void fetch_spilled(const struct track *track, struct found *found)
{
    size_t spilled = store_segment_head(track->segment)->spilled;
    for (size_t i = 0; i < spilled; i++) {
        uint64_t word = *store_segment_spilled(track->segment, i);
        if (store_word_above(word) == track->tag)
            fetch_entry(found, word);
    }
}

void store_ahead_add(struct store_ahead *ahead, const struct store *store,
                     const struct store_key *key)
{
    assert(!store_ahead_is_full(ahead));
    ahead->finds[ahead->count].store = store;
    ahead->finds[ahead->count++].key = *key;
}

/* While a view is open a change looks at what is kept, too. */
static void fetch_kept(const struct store *store, const struct store_key *key, bool first)
{
    const void *at = store_view_touched(store, key->slot, first);
    if (at)
        memory_touch(at);
}

static void fetch_word(const struct store *store, const struct store_key *key, struct track *track)
{
    const struct store_page *page = store->pages[key->slot / STORE_PAGE_SLOTS];
    if (page)
        memory_touch(&page->words[key->slot % STORE_PAGE_SLOTS]);
    if (store->view)
        fetch_kept(store, key, true);
    track->hash = store_key_hash(store, key);
}

void store_prefetch(const struct store_ahead *ahead)
{
    struct track tracks[STORE_PREFETCH_MAX];
    struct found found;
    size_t count = ahead->count;
    found.count = 0; /* the rest is written before it is read */
    for (size_t i = 0; i < count; i++)
        fetch_word(ahead->finds[i].store, &ahead->finds[i].key, &tracks[i]);
    for (size_t i = 0; i < count; i++) {
        find_segment(ahead->finds[i].store, ahead->finds[i].key.slot, &tracks[i]);
        if (tracks[i].segment)
            memory_touch(home_of(&tracks[i]));
        if (ahead->finds[i].store->view)
            fetch_kept(ahead->finds[i].store, &ahead->finds[i].key, false);
    }
    for (size_t i = 0; i < count; i++)
        if (tracks[i].segment)
            fetch_entries(&tracks[i], &found);
    for (size_t i = 0; i < count; i++)
        if (tracks[i].segment && tracks[i].spilled)
            fetch_spilled(&tracks[i], &found);
    /* A small key has its value in the line behind it; that may be past the end of its memory. */
    for (size_t i = 0; i < found.count; i++)
        __builtin_prefetch(found.at[i] + 64, 1);
}
