/* Open addressing over pointers, one allocation for each key; never grows. */
#include "base/memory.h"
#include "floor.h"

#include <string.h>

enum {
    SLOTS = 1 << 22
};

struct floor_record {
    uint32_t hash;
    uint16_t key_size, value_size;
    uint8_t bytes[];
};

static uint32_t hash_of(struct floor_text key)
{
    uint64_t hash = key.size, word;
    size_t i = 0;
    for (; i + sizeof word <= key.size; i += sizeof word) {
        memcpy(&word, key.at + i, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 29;
    }
    for (; i < key.size; i++)
        hash = (hash ^ key.at[i]) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(hash >> 32);
}

static bool is_of(const struct floor_record *record, uint32_t hash, struct floor_text key)
{
    return record->hash == hash && record->key_size == key.size &&
           memcmp(record->bytes, key.at, key.size) == 0;
}

static struct floor_record **place_of(const struct floor_store *store, uint32_t hash,
                                      struct floor_text key)
{
    uint32_t slot = hash & (SLOTS - 1);
    while (store->slots[slot] && !is_of(store->slots[slot], hash, key))
        slot = (slot + 1) & (SLOTS - 1);
    return &store->slots[slot];
}

void floor_store_open(struct floor_store *store)
{
    store->slots = memory_zeroed(SLOTS, sizeof *store->slots);
}

void floor_store_set(struct floor_store *store, struct floor_text key, struct floor_text value)
{
    uint32_t hash = hash_of(key);
    struct floor_record **place = place_of(store, hash, key), *record = *place;
    if (!record || record->value_size != value.size) {
        memory_free(record);
        *place = record = memory_allocate(sizeof *record + key.size + value.size);
        record->hash = hash;
        record->key_size = (uint16_t)key.size;
        record->value_size = (uint16_t)value.size;
        memcpy(record->bytes, key.at, key.size);
    }
    memcpy(record->bytes + key.size, value.at, value.size);
}

bool floor_store_get(const struct floor_store *store, struct floor_text key, struct floor_text *out)
{
    const struct floor_record *record = *place_of(store, hash_of(key), key);
    if (record)
        *out = (struct floor_text){record->bytes + record->key_size, record->value_size};
    return record;
}
