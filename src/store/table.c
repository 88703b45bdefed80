/* table.c - pages of slots, and the trie of segments that a crowded slot has (see table.h). */
#include "store/table.h"

/* An entry with its hash, while tags of another depth are worked out. */
struct rehashed {
    uint64_t hash, word;
};

static struct store_page *page_of(const struct store *store, uint32_t slot)
{
    return store->pages[slot / STORE_PAGE_SLOTS];
}

static struct store_node *node_of(uint64_t word)
{
    return store_word_pointer(word);
}

uint64_t *store_table_find(const struct store *store, const struct store_key *key, uint64_t hash)
{
    const struct store_page *page = page_of(store, key->slot);
    if (!page)
        return NULL;
    uint64_t word = page->words[key->slot % STORE_PAGE_SLOTS];
    unsigned depth = 0;
    for (; word & WORD_NODE; depth++)
        word = node_of(word)->words[store_hash_branch(hash, depth)];
    return word ? store_segment_find(word, store_hash_tag(hash, depth), key) : NULL;
}

static uint64_t entry_hash(const struct store *store, uint64_t word)
{
    const struct store_entry *entry = store_word_entry(word);
    return store_hash(store->seed, entry->database, store_entry_key_inline(entry));
}

/* Appends the entries of a segment to `out`, with hashes; returns how many. */
static size_t rehash(const struct store *store, uint64_t segment, struct rehashed *out)
{
    const struct store_segment *head = store_segment_head(segment);
    const struct store_bucket *buckets = store_segment_buckets(segment);
    size_t count = 0;
    for (size_t i = 0; i < head->homes; i++)
        for (unsigned j = 0; j < buckets[i].count; j++)
            out[count++].word = buckets[i].words[j];
    for (size_t i = 0; i < head->spilled; i++)
        out[count++].word = *store_segment_spilled(segment, i);
    for (size_t i = 0; i < count; i++)
        __builtin_prefetch(store_word_pointer(out[i].word));
    for (size_t i = 0; i < count; i++)
        out[i].hash = entry_hash(store, out[i].word);
    return count;
}

static uint64_t tagged(const struct rehashed *entry, unsigned depth)
{
    return store_word_of(store_word_pointer(entry->word), store_hash_tag(entry->hash, depth));
}

/* A full segment becomes a node. Only here are keys hashed again: once each time that their number
 * grows sixteenfold, at most SEGMENT_KEYS_MAX of them at once (STORE-3). */
static uint64_t split(struct store *store, uint64_t segment, unsigned depth)
{
    struct rehashed entries[SEGMENT_KEYS_MAX];
    uint64_t words[SEGMENT_KEYS_MAX];
    assert(store_segment_head(segment)->keys <= SEGMENT_KEYS_MAX && depth < DEPTH_MAX);
    struct store_node *node = store_room_take(store, sizeof *node);
    *node = (struct store_node){.keys = rehash(store, segment, entries)};
    for (unsigned branch = 0; branch < NODE_WORDS; branch++) {
        size_t count = 0;
        for (size_t i = 0; i < node->keys; i++)
            if (store_hash_branch(entries[i].hash, depth) == branch)
                words[count++] = tagged(&entries[i], depth + 1);
        if (count)
            node->words[branch] = store_segment_build(store, words, count);
    }
    store_segment_free(store, segment);
    return store_word_of(node, 0) | WORD_NODE;
}

static uint64_t *slot_word(struct store *store, uint32_t slot)
{
    struct store_page **page = &store->pages[slot / STORE_PAGE_SLOTS];
    if (!*page) {
        *page = store_room_take(store, sizeof **page);
        **page = (struct store_page){.present = {0}};
    }
    unsigned at = slot % STORE_PAGE_SLOTS;
    (*page)->present[at / 64] |= 1ull << at % 64;
    return &(*page)->words[at];
}

void store_table_insert(struct store *store, uint16_t slot, uint64_t hash,
                        struct store_entry *entry)
{
    uint64_t *word = slot_word(store, slot);
    unsigned depth = 0;
    for (;;) {
        bool is_full = *word && !(*word & WORD_NODE) && depth < DEPTH_MAX &&
                       store_segment_head(*word)->keys >= SEGMENT_KEYS_MAX;
        if (is_full)
            *word = split(store, *word, depth);
        if (!(*word & WORD_NODE))
            break;
        struct store_node *node = node_of(*word);
        node->keys++;
        word = &node->words[store_hash_branch(hash, depth++)];
    }
    store_segment_add(store, word, store_word_of(entry, store_hash_tag(hash, depth)));
}

/* Moves all that hangs below `word` to `out` and frees nodes and segments. At most DEPTH_MAX calls
 * deep. */
static size_t dissolve(struct store *store, uint64_t word, struct rehashed *out)
{
    size_t count = 0;
    if (!word)
        return 0;
    if (!(word & WORD_NODE)) {
        count = rehash(store, word, out);
        store_segment_free(store, word);
        return count;
    }
    struct store_node *node = node_of(word);
    for (unsigned i = 0; i < NODE_WORDS; i++)
        count += dissolve(store, node->words[i], out + count);
    store_room_give(store, node, sizeof *node);
    return count;
}

static uint64_t merge(struct store *store, uint64_t node, unsigned depth)
{
    struct rehashed entries[NODE_KEYS_MIN];
    uint64_t words[NODE_KEYS_MIN];
    assert(node_of(node)->keys <= NODE_KEYS_MIN);
    size_t count = dissolve(store, node, entries);
    for (size_t i = 0; i < count; i++)
        words[i] = tagged(&entries[i], depth);
    return store_segment_build(store, words, count);
}

void store_table_remove(struct store *store, uint16_t slot, uint64_t hash, uint64_t *place)
{
    struct store_page **page = &store->pages[slot / STORE_PAGE_SLOTS];
    uint64_t *root = &(*page)->words[slot % STORE_PAGE_SLOTS], *word = root, *sparse = NULL;
    unsigned sparse_depth = 0;
    for (unsigned depth = 0; *word & WORD_NODE; depth++) {
        struct store_node *node = node_of(*word);
        node->keys--;
        if (node->keys <= NODE_KEYS_MIN && !sparse) {
            sparse = word;
            sparse_depth = depth;
        }
        word = &node->words[store_hash_branch(hash, depth)];
    }
    store_segment_remove(store, word, place);
    if (sparse)
        *sparse = merge(store, *sparse, sparse_depth);
    if (*root)
        return;
    unsigned at = slot % STORE_PAGE_SLOTS;
    (*page)->present[at / 64] &= ~(1ull << at % 64);
    if (store_page_next(*page, 0) < STORE_PAGE_SLOTS)
        return;
    store_room_give(store, *page, sizeof **page);
    *page = NULL;
}

void store_table_replace(uint64_t *place, struct store_entry *entry)
{
    *place = store_word_of(entry, store_word_above(*place));
}

static void clear_segment(struct store *store, uint64_t segment)
{
    const struct store_segment *head = store_segment_head(segment);
    const struct store_bucket *buckets = store_segment_buckets(segment);
    for (size_t i = 0; i < head->homes; i++)
        for (unsigned j = 0; j < buckets[i].count; j++)
            store_entry_destroy(store, store_word_entry(buckets[i].words[j]));
    for (size_t i = 0; i < head->spilled; i++)
        store_entry_destroy(store, store_word_entry(*store_segment_spilled(segment, i)));
    store_segment_free(store, segment);
}

static void clear_word(struct store *store, uint64_t word)
{
    if (!word)
        return;
    if (!(word & WORD_NODE)) {
        clear_segment(store, word);
        return;
    }
    struct store_node *node = node_of(word);
    for (unsigned i = 0; i < NODE_WORDS; i++)
        clear_word(store, node->words[i]);
    store_room_give(store, node, sizeof *node);
}

void store_table_clear(struct store *store)
{
    for (size_t i = 0; i < STORE_PAGES; i++) {
        struct store_page *page = store->pages[i];
        if (!page)
            continue;
        for (size_t j = 0; j < STORE_PAGE_SLOTS; j++)
            clear_word(store, page->words[j]);
        store_room_give(store, page, sizeof *page);
        store->pages[i] = NULL;
    }
}

static size_t validate_word(uint64_t word, unsigned depth)
{
    size_t keys = 0;
    if (!word)
        return 0;
    if (!(word & WORD_NODE)) {
        store_segment_validate(word);
        keys = store_segment_head(word)->keys;
        assert(keys <= SEGMENT_KEYS_MAX || depth == DEPTH_MAX); /* STORE-3 */
        return keys;
    }
    const struct store_node *node = node_of(word);
    for (unsigned i = 0; i < NODE_WORDS; i++)
        keys += validate_word(node->words[i], depth + 1);
    assert(keys == node->keys && keys > NODE_KEYS_MIN && depth < DEPTH_MAX);
    return keys;
}

void store_table_validate(const struct store *store)
{
    for (uint32_t i = 0; i < STORE_PAGES; i++) {
        const struct store_page *page = store->pages[i];
        bool used = false;
        for (size_t j = 0; page && j < STORE_PAGE_SLOTS; j++) {
            validate_word(page->words[j], 0);
            assert((page->words[j] != 0) == (page->present[j / 64] >> j % 64 & 1));
            used |= page->words[j] != 0;
        }
        assert(!page || used);
    }
}
