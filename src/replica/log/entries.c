/* Entries in arena chunks: encoded in place, freed from the front behind the slowest need. */
#include "replica/log/log.h"

#include "base/memory.h"

#include <assert.h>

#define CHUNK_SIZE_FIRST (2u << 10) /* an idle partition has a no-op or two */
#define CHUNK_SIZE_MAX   (256u << 10)
#define CHUNKS_MIN       4
#define RING_FIRST       16

struct chunk {
    struct list link;
    uint64_t last;        /* newest entry in it */
    struct buffer buffer; /* never grows: slices point into it */
};

static struct chunk *chunk_of(struct list *link)
{
    return list_item(link, struct chunk, link);
}

static void chunk_destroy(struct chunk *chunk)
{
    list_remove(&chunk->link);
    buffer_deinit(&chunk->buffer);
    memory_free(chunk);
}

void entries_init(struct entries *entries)
{
    *entries =
        (struct entries){.first = 1, .last = 0, .capacity = RING_FIRST, .size_max = SIZE_MAX};
    entries->ring = memory_allocate(entries->capacity * sizeof *entries->ring);
    entries->marks = memory_allocate(entries->capacity);
    list_init(&entries->chunks);
}

void entries_deinit(struct entries *entries)
{
    while (!list_is_empty(&entries->chunks))
        chunk_destroy(chunk_of(entries->chunks.next));
    memory_free(entries->ring);
    memory_free(entries->marks);
    positions_deinit(&entries->positions);
}

static size_t next_size(const struct entries *entries)
{
    if (list_is_empty(&entries->chunks))
        return CHUNK_SIZE_FIRST;
    size_t size = 8 * chunk_of(entries->chunks.previous)->buffer.capacity;
    size_t most = entries->size_max / CHUNKS_MIN; /* only whole chunks are given back */
    most = most < CHUNK_SIZE_FIRST ? CHUNK_SIZE_FIRST : most;
    most = most < CHUNK_SIZE_MAX ? most : CHUNK_SIZE_MAX;
    return size < most ? size : most;
}

struct buffer *entries_room(struct entries *entries, size_t size)
{
    if (!list_is_empty(&entries->chunks)) {
        struct chunk *chunk = chunk_of(entries->chunks.previous);
        if (chunk->buffer.capacity - chunk->buffer.size >= size)
            return &chunk->buffer;
    }
    size_t usual = next_size(entries), capacity = size > usual ? size : usual;
    struct chunk *chunk = memory_zeroed(1, sizeof *chunk);
    buffer_init(&chunk->buffer, capacity);
    chunk->buffer.at = memory_allocate(capacity);
    chunk->buffer.capacity = capacity;
    list_append(&entries->chunks, &chunk->link);
    return &chunk->buffer;
}

static void grow_ring(struct entries *entries)
{
    size_t capacity = entries->capacity * 2;
    struct slice *ring = memory_allocate(capacity * sizeof *ring);
    uint8_t *marks = memory_allocate(capacity);
    for (uint64_t i = entries->first; i <= entries->last; i++) {
        ring[i & (capacity - 1)] = entries->ring[i & (entries->capacity - 1)];
        marks[i & (capacity - 1)] = entries->marks[i & (entries->capacity - 1)];
    }
    memory_free(entries->ring);
    memory_free(entries->marks);
    entries->ring = ring;
    entries->marks = marks;
    entries->capacity = capacity;
}

void entries_add(struct entries *entries, uint64_t index, struct slice bytes)
{
    if (entries->last + 1 == entries->first) {
        entries->first = index;
        entries->last = index - 1;
        if (entries->positions.end.index + 1 != index)
            positions_begin(&entries->positions, index - 1);
    }
    assert(index == entries->last + 1);
    if (entries->last + 1 - entries->first == entries->capacity)
        grow_ring(entries);
    entries->ring[index & (entries->capacity - 1)] = bytes;
    entries->marks[index & (entries->capacity - 1)] = 0;
    entries->last = index;
    entries->size += bytes.size;
    positions_add(&entries->positions, index, bytes.size);
    chunk_of(entries->chunks.previous)->last = index;
}

bool entries_have(const struct entries *entries, uint64_t index)
{
    return index >= entries->first && index <= entries->last;
}

struct slice entries_at(const struct entries *entries, uint64_t index)
{
    assert(entries_have(entries, index));
    return entries->ring[index & (entries->capacity - 1)];
}

void entries_mark(struct entries *entries, uint64_t index)
{
    assert(entries_have(entries, index));
    entries->marks[index & (entries->capacity - 1)] = 1;
}

bool entries_is_marked(const struct entries *entries, uint64_t index)
{
    return entries_have(entries, index) && entries->marks[index & (entries->capacity - 1)];
}

void entries_truncate(struct entries *entries, uint64_t from)
{
    /* The bytes stay in their chunk until it goes: rare, and simpler than giving them back. */
    while (entries->last >= from && entries->last >= entries->first) {
        entries->size -= entries_at(entries, entries->last).size;
        entries->last--;
    }
    for (struct list *link = entries->chunks.next; link != &entries->chunks; link = link->next)
        if (chunk_of(link)->last > entries->last)
            chunk_of(link)->last = entries->last;
    positions_truncate(&entries->positions, from);
}

void entries_trim(struct entries *entries, uint64_t through, size_t size_max)
{
    entries->size_max = size_max;
    while (entries->first <= entries->last && entries->first <= through &&
           entries->size > size_max) {
        entries->size -= entries_at(entries, entries->first).size;
        entries->first++;
    }
    while (entries->chunks.next != entries->chunks.previous &&
           chunk_of(entries->chunks.next)->last < entries->first)
        chunk_destroy(chunk_of(entries->chunks.next));
}
