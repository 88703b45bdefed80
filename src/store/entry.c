#include "store/entry.h"

size_t store_entry_size_of(unsigned flags, size_t key_size, size_t value_size)
{
    size_t inside = flags & ENTRY_OUTSIDE ? 0 : value_size;
    return ENTRY_HEAD_SIZE + store_entry_parts_size(flags) + key_size + inside;
}

size_t store_entry_size(const struct store_entry *entry)
{
    return store_entry_size_of(entry->flags, store_entry_key_inline(entry).size, entry->value_size);
}

static void set_wide_key_size(struct store_entry *entry, size_t size)
{
    uint8_t *behind = entry->body + store_entry_parts_size(entry->flags);
    store_u32(behind - sizeof(uint32_t), (uint32_t)size);
}

struct store_entry *store_entry_create(struct store *store, const struct store_key *key,
                                       unsigned flags, size_t value_size)
{
    assert(key->bytes.size <= STORE_KEY_SIZE_MAX && value_size <= STORE_VALUE_SIZE_MAX);
    assert(key->database < STORE_DATABASES);
    bool wide = key->bytes.size > ENTRY_KEY_SMALL_MAX;
    if (wide)
        flags |= ENTRY_WIDE_KEY;
    struct store_entry *entry =
        store_room_take(store, store_entry_size_of(flags, key->bytes.size, value_size));
    entry->flags = (uint8_t)flags;
    entry->database = key->database;
    entry->epoch = 0;
    entry->key_size = wide ? 0 : (uint16_t)key->bytes.size;
    entry->value_size = (uint32_t)value_size;
    if (wide)
        set_wide_key_size(entry, key->bytes.size);
    if (flags & ENTRY_DUE)
        store_entry_set_due(entry, 0, ENTRY_NO_POSITION);
    if (key->bytes.size)
        memcpy(entry->body + store_entry_parts_size(flags), key->bytes.at, key->bytes.size);
    return entry;
}

struct store_entry *store_entry_create_empty(struct store *store, const struct store_key *key,
                                             enum store_type type)
{
    assert(type == STORE_LIST || type == STORE_HASH || type == STORE_SET ||
           type == STORE_SORTED_SET);
    struct store_entry *entry = store_entry_create(store, key, type, 0);
    if (type == STORE_SORTED_SET)
        store_entry_scored(entry)->by_member = NULL;
    *store_entry_tree(entry) = (struct store_tree){.is_ordered = type != STORE_LIST};
    return entry;
}

static void free_shell(struct store *store, struct store_entry *entry)
{
    store_room_give(store, entry, store_entry_size(entry));
}

void store_entry_destroy(struct store *store, struct store_entry *entry)
{
    assert(store_entry_position(entry) == ENTRY_NO_POSITION);
    if (store_entry_type(entry) != STORE_STRING)
        store_tree_destroy(store, store_entry_tree(entry));
    if (store_entry_type(entry) == STORE_SORTED_SET)
        store_scored_drop_members(store, store_entry_scored(entry));
    if (entry->flags & ENTRY_OUTSIDE) {
        struct store_outside *outside = store_entry_outside(entry);
        store_room_give(store, outside->at, outside->capacity);
    }
    free_shell(store, entry);
}

/* Another entry with the same value under `key`: both have hold of it, so that one of them must go
 * or get its own. The deadline is not taken along. */
static struct store_entry *shared_under(struct store *store, const struct store_entry *entry,
                                        const struct store_key *key, unsigned flags)
{
    struct store_entry *other = store_entry_create(store, key, flags, entry->value_size);
    memcpy(other->body, entry->body, store_entry_due_at(flags));
    if (store_entry_type(entry) == STORE_STRING && !(flags & ENTRY_OUTSIDE))
        memcpy(store_entry_value(other), store_entry_value(entry), entry->value_size);
    return other;
}

struct store_entry *store_entry_with_due(struct store *store, struct store_entry *entry)
{
    assert(!(entry->flags & ENTRY_DUE));
    struct store_key key = {.database = entry->database, .bytes = store_entry_key_inline(entry)};
    unsigned flags = (entry->flags & ~ENTRY_WIDE_KEY) | ENTRY_DUE;
    struct store_entry *moved = shared_under(store, entry, &key, flags);
    free_shell(store, entry);
    return moved;
}

struct store_entry *store_entry_move(struct store *store, struct store_entry *entry,
                                     const struct store_key *key)
{
    assert(store_entry_position(entry) == ENTRY_NO_POSITION);
    struct store_entry *moved = shared_under(store, entry, key, entry->flags & ~ENTRY_WIDE_KEY);
    free_shell(store, entry);
    return moved;
}

struct store_entry *store_entry_copy(struct store *store, const struct store_entry *entry,
                                     const struct store_key *key)
{
    unsigned dropped = store_entry_deadline_us(entry) ? ENTRY_WIDE_KEY : ENTRY_WIDE_KEY | ENTRY_DUE;
    unsigned flags = entry->flags & ~dropped;
    struct store_entry *copy = shared_under(store, entry, key, flags);
    if (flags & ENTRY_OUTSIDE) {
        uint8_t *at = store_room_take(store, entry->value_size);
        memcpy(at, store_entry_value(entry), entry->value_size);
        *store_entry_outside(copy) =
            (struct store_outside){.at = at, .capacity = entry->value_size};
    }
    if (store_entry_type(entry) != STORE_STRING)
        *store_entry_tree(copy) = store_tree_copy(store, store_entry_tree(entry));
    if (store_entry_type(entry) == STORE_SORTED_SET)
        store_scored_copy_members(store, store_entry_scored(copy));
    return copy;
}

struct store_entry *store_entry_with_outside(struct store *store, struct store_entry *entry,
                                             size_t capacity)
{
    assert(store_entry_type(entry) == STORE_STRING && !(entry->flags & ENTRY_OUTSIDE));
    struct store_key key = {.database = entry->database, .bytes = store_entry_key_inline(entry)};
    unsigned flags = (entry->flags & ~ENTRY_WIDE_KEY) | ENTRY_OUTSIDE;
    struct store_entry *moved = store_entry_create(store, &key, flags, entry->value_size);
    uint8_t *at = store_room_take(store, capacity);
    memcpy(at, store_entry_value(entry), entry->value_size);
    *store_entry_outside(moved) = (struct store_outside){.at = at, .capacity = capacity};
    if (flags & ENTRY_DUE)
        store_entry_set_due(moved, store_entry_deadline_us(entry), store_entry_position(entry));
    free_shell(store, entry);
    return moved;
}

enum store_type store_entry_type(const struct store_entry *entry)
{
    return (enum store_type)(entry->flags & ENTRY_TYPE);
}

struct slice store_entry_key(const struct store_entry *entry)
{
    return store_entry_key_inline(entry);
}

uint8_t *store_entry_value(const struct store_entry *entry)
{
    if (entry->flags & ENTRY_OUTSIDE)
        return store_entry_outside(entry)->at;
    struct slice key = store_entry_key_inline(entry);
    return (uint8_t *)(uintptr_t)(key.at + key.size);
}

struct slice store_entry_string(const struct store_entry *entry)
{
    assert(store_entry_type(entry) == STORE_STRING);
    return slice_of(store_entry_value(entry), entry->value_size);
}

int64_t store_entry_deadline_us(const struct store_entry *entry)
{
    if (!(entry->flags & ENTRY_DUE))
        return 0;
    return (int64_t)load_u64(entry->body + store_entry_due_at(entry->flags));
}

uint32_t store_entry_position(const struct store_entry *entry)
{
    if (!(entry->flags & ENTRY_DUE))
        return ENTRY_NO_POSITION;
    return load_u32(entry->body + store_entry_due_at(entry->flags) + sizeof(uint64_t));
}

void store_entry_set_position(struct store_entry *entry, uint32_t position)
{
    store_u32(entry->body + store_entry_due_at(entry->flags) + sizeof(uint64_t), position);
}

void store_entry_set_due(struct store_entry *entry, int64_t deadline_us, uint32_t position)
{
    assert(entry->flags & ENTRY_DUE);
    store_u64(entry->body + store_entry_due_at(entry->flags), (uint64_t)deadline_us);
    store_entry_set_position(entry, position);
}

bool store_entry_is(const struct store_entry *entry, const struct store_key *key)
{
    return entry->database == key->database &&
           slice_equal(store_entry_key_inline(entry), key->bytes);
}

struct store_name store_entry_name(const struct store_entry *entry)
{
    return (struct store_name){store_entry_key_inline(entry), entry->database};
}

int store_name_compare(struct store_name a, struct store_name b)
{
    size_t common = a.bytes.size < b.bytes.size ? a.bytes.size : b.bytes.size;
    int order = common ? memcmp(a.bytes.at, b.bytes.at, common) : 0;
    if (order)
        return order;
    if (a.bytes.size != b.bytes.size)
        return a.bytes.size < b.bytes.size ? -1 : 1;
    return (int)a.database - (int)b.database;
}

int store_entry_compare(const struct store_entry *a, const struct store_entry *b)
{
    return store_name_compare(store_entry_name(a), store_entry_name(b));
}
