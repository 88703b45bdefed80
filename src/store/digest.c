/* digest.c - what two stores have in common, whatever the order in which it came to be (STORE-2).
 */
#include "store/once.h"
#include "store/table.h"

#include "base/checksum.h"

/* Elements have one order for one content, which lists are given and the others have by nature. */
static uint64_t tree_digest(const struct store_tree *tree)
{
    struct store_tree_walk walk = {.tree = tree};
    struct slice element;
    uint64_t digest = tree->length;
    while (store_tree_walk_next(&walk, &element))
        digest = checksum_seeded(element.at, element.size, digest);
    return digest;
}

static uint64_t value_digest(const struct store_entry *entry)
{
    if (store_entry_type(entry) != STORE_STRING)
        return tree_digest(store_entry_tree(entry));
    struct slice string = store_entry_string(entry);
    return checksum(string.at, string.size);
}

/* `placed->hash` stands for seed, database and key, but two keys may share it: the key is digested
 * once more. */
static uint64_t entry_digest(const struct store_placed *placed)
{
    const struct store_entry *entry = placed->entry;
    struct slice key = store_entry_key_inline(entry);
    uint64_t parts[] = {
        placed->hash,
        checksum_seeded(key.at, key.size, entry->database),
        (uint64_t)store_entry_type(entry),
        (uint64_t)store_entry_deadline_us(entry),
        value_digest(entry),
    };
    return checksum(parts, sizeof parts);
}

uint64_t store_digest(const struct store *store)
{
    uint64_t digest = store_once_digest(store);
    struct store_span span;
    struct store_crowd crowd;
    store_crowd_init(&crowd);
    bool more = store_span_from(store, 0, 0, &span);
    for (; more; more = store_span_next(store, &span)) {
        store_crowd_gather(&crowd, store, &span);
        for (size_t i = 0; i < crowd.count; i++)
            digest += entry_digest(&crowd.at[i]); /* STORE-2: a sum has no order */
    }
    store_crowd_deinit(&crowd);
    return digest;
}
