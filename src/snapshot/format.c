#include "snapshot/format.h"

#include "base/checksum.h"

#include <assert.h>

static const uint8_t header_magic[8] = {'H', 'F', 'S', 'N', 'A', 'P', 'S', 'H'};
static const uint8_t footer_magic[8] = {'H', 'F', 'S', 'N', 'A', 'P', 'E', 'N'};

static bool is_zero(const uint8_t *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (at[i])
            return false;
    return true;
}

/* ---- header ---- */

static size_t sections_size(const struct snapshot_meta *meta)
{
    size_t size = 0;
    for (size_t i = 0; i < SNAPSHOT_SECTIONS; i++)
        if (meta->sections[i].size)
            size += SNAPSHOT_SECTION_HEAD_SIZE + meta->sections[i].size;
    return size;
}

static void sections_store(uint8_t *at, const struct snapshot_meta *meta)
{
    for (uint32_t i = 0; i < SNAPSHOT_SECTIONS; i++) {
        struct slice section = meta->sections[i];
        if (!section.size)
            continue;
        store_u32(at, i + 1);
        store_u32(at + 4, (uint32_t)section.size);
        memcpy(at + SNAPSHOT_SECTION_HEAD_SIZE, section.at, section.size);
        at += SNAPSHOT_SECTION_HEAD_SIZE + section.size;
    }
}

enum status snapshot_header_store(struct cluster_id cluster, const struct snapshot_meta *meta,
                                  struct buffer *out)
{
    size_t sections = sections_size(meta), size = SNAPSHOT_HEADER_SIZE + sections;
    if (size > SNAPSHOT_HEADER_MAX)
        return STATUS_TOO_LARGE;
    enum status status = buffer_reserve(out, size);
    if (status)
        return status;
    uint8_t *at = out->at + out->size;
    memset(at, 0, SNAPSHOT_HEADER_SIZE);
    memcpy(at, header_magic, sizeof header_magic);
    store_u32(at + 8, SNAPSHOT_VERSION);
    store_u32(at + 12, (uint32_t)size);
    store_u64(at + 16, cluster.high);
    store_u64(at + 24, cluster.low);
    store_u64(at + 32, meta->group.value);
    store_u64(at + 40, meta->index);
    store_u64(at + 48, meta->term);
    store_u64(at + 56, (uint64_t)meta->time_us);
    store_u64(at + 64, meta->hash_seed);
    sections_store(at + SNAPSHOT_HEADER_SIZE, meta);
    store_u64(at + 112, checksum(at + SNAPSHOT_HEADER_SIZE, sections));
    store_u64(at + 120, checksum(at, 120));
    out->size += size;
    return STATUS_OK;
}

enum status snapshot_header_size(struct slice bytes, size_t *size)
{
    if (bytes.size < SNAPSHOT_HEADER_SIZE || memcmp(bytes.at, header_magic, 8) != 0 ||
        load_u64(bytes.at + 120) != checksum(bytes.at, 120))
        return STATUS_DAMAGED;
    uint32_t version = load_u32(bytes.at + 8), whole = load_u32(bytes.at + 12);
    if (version != SNAPSHOT_VERSION)
        return version ? STATUS_FOREIGN : STATUS_DAMAGED;
    if (whole < SNAPSHOT_HEADER_SIZE || whole > SNAPSHOT_HEADER_MAX)
        return STATUS_DAMAGED;
    *size = whole;
    return STATUS_OK;
}

static enum status sections_load(struct slice from, struct snapshot_meta *out)
{
    uint32_t before = 0;
    while (from.size) {
        struct slice head, bytes;
        if (slice_take(&from, SNAPSHOT_SECTION_HEAD_SIZE, &head))
            return STATUS_DAMAGED;
        uint32_t kind = load_u32(head.at), size = load_u32(head.at + 4);
        if (kind <= before || kind > SNAPSHOT_SECTIONS || !size || slice_take(&from, size, &bytes))
            return STATUS_DAMAGED;
        out->sections[kind - 1] = bytes;
        before = kind;
    }
    return STATUS_OK;
}

enum status snapshot_header_load(struct slice bytes, struct cluster_id cluster,
                                 struct snapshot_meta *out)
{
    size_t size;
    enum status status = snapshot_header_size(bytes, &size);
    if (status)
        return status;
    if (bytes.size != size || !is_zero(bytes.at + 72, 40) ||
        load_u64(bytes.at + 112) !=
            checksum(bytes.at + SNAPSHOT_HEADER_SIZE, size - SNAPSHOT_HEADER_SIZE))
        return STATUS_DAMAGED;
    struct cluster_id found = {.high = load_u64(bytes.at + 16), .low = load_u64(bytes.at + 24)};
    if (!cluster_id_equal(found, cluster))
        return STATUS_FOREIGN;
    struct snapshot_meta meta = {
        .group = {load_u64(bytes.at + 32)},
        .index = load_u64(bytes.at + 40),
        .term = load_u64(bytes.at + 48),
        .time_us = (int64_t)load_u64(bytes.at + 56),
        .hash_seed = load_u64(bytes.at + 64),
    };
    struct slice sections = slice_of(bytes.at + SNAPSHOT_HEADER_SIZE, size - SNAPSHOT_HEADER_SIZE);
    if (sections_load(sections, &meta))
        return STATUS_DAMAGED;
    *out = meta;
    return STATUS_OK;
}

uint64_t snapshot_header_seed(struct slice header)
{
    assert(header.size >= SNAPSHOT_HEADER_SIZE);
    return checksum(header.at + 16, 56);
}

/* ---- chunk ---- */

void snapshot_chunk_store(uint8_t at[SNAPSHOT_CHUNK_HEADER_SIZE], uint64_t seed,
                          const struct snapshot_chunk_header *header)
{
    const struct snapshot_chunk *chunk = &header->chunk;
    memset(at, 0, SNAPSHOT_CHUNK_HEADER_SIZE);
    store_u32(at, SNAPSHOT_CHUNK_MAGIC);
    store_u32(at + 4, header->number);
    store_u32(at + 8, (uint32_t)header->codec);
    store_u64(at + 16, chunk->size - SNAPSHOT_CHUNK_HEADER_SIZE);
    store_u64(at + 24, chunk->raw_size);
    store_u32(at + 32, chunk->first.slot);
    store_u32(at + 36, chunk->last.slot);
    store_u64(at + 40, chunk->first.hash);
    store_u64(at + 48, chunk->last.hash);
    store_u64(at + 56, chunk->keys);
    store_u64(at + 64, chunk->content);
    store_u64(at + 72, header->body);
    store_u64(at + 88, checksum_seeded(at, 88, seed));
}

static bool chunk_makes_sense(const struct snapshot_chunk_header *header)
{
    const struct snapshot_chunk *chunk = &header->chunk;
    uint64_t payload = chunk->size - SNAPSHOT_CHUNK_HEADER_SIZE;
    if (chunk->first.slot > chunk->last.slot || chunk->last.slot >= STORE_SLOTS ||
        (chunk->first.slot == chunk->last.slot && chunk->first.hash > chunk->last.hash))
        return false;
    if (!chunk->keys || !chunk->raw_size || chunk->raw_size > SNAPSHOT_RAW_MAX)
        return false;
    return header->codec == SNAPSHOT_STORED
               ? payload == chunk->raw_size
               : header->codec == SNAPSHOT_ZSTD && payload < chunk->raw_size;
}

enum status snapshot_chunk_header_load(const uint8_t *at, uint64_t seed,
                                       struct snapshot_chunk_header *out)
{
    if (load_u32(at) != SNAPSHOT_CHUNK_MAGIC || load_u32(at + 12) || load_u64(at + 80) ||
        load_u64(at + 88) != checksum_seeded(at, 88, seed))
        return STATUS_DAMAGED;
    struct snapshot_chunk_header header = {
        .number = load_u32(at + 4),
        .codec = (enum snapshot_codec)load_u32(at + 8),
        .body = load_u64(at + 72),
        .chunk = {.size = load_u64(at + 16) + SNAPSHOT_CHUNK_HEADER_SIZE,
                  .raw_size = load_u64(at + 24),
                  .first = {load_u32(at + 32), load_u64(at + 40)},
                  .last = {load_u32(at + 36), load_u64(at + 48)},
                  .keys = load_u64(at + 56),
                  .content = load_u64(at + 64)},
    };
    if (!chunk_makes_sense(&header))
        return STATUS_DAMAGED;
    *out = header;
    return STATUS_OK;
}

/* ---- footer ---- */

void snapshot_footer_store(uint8_t at[SNAPSHOT_FOOTER_SIZE], uint64_t seed,
                           const struct snapshot_footer *footer)
{
    memset(at, 0, SNAPSHOT_FOOTER_SIZE);
    memcpy(at, footer_magic, sizeof footer_magic);
    store_u32(at + 8, SNAPSHOT_VERSION);
    store_u32(at + 12, footer->count);
    store_u64(at + 16, footer->keys);
    store_u64(at + 24, footer->content);
    store_u64(at + 32, footer->raw_size);
    store_u64(at + 40, footer->size);
    store_u64(at + 48, footer->table);
    store_u64(at + 72, checksum_seeded(at, 72, seed));
}

enum status snapshot_footer_load(const uint8_t *at, uint64_t seed, struct snapshot_footer *out)
{
    if (memcmp(at, footer_magic, 8) != 0 || load_u32(at + 8) != SNAPSHOT_VERSION ||
        !is_zero(at + 56, 16) || load_u64(at + 72) != checksum_seeded(at, 72, seed))
        return STATUS_DAMAGED;
    *out = (struct snapshot_footer){
        .count = load_u32(at + 12),
        .keys = load_u64(at + 16),
        .content = load_u64(at + 24),
        .raw_size = load_u64(at + 32),
        .size = load_u64(at + 40),
        .table = load_u64(at + 48),
    };
    return out->count <= SNAPSHOT_CHUNKS_MAX ? STATUS_OK : STATUS_DAMAGED;
}

struct store_position snapshot_position_after(struct store_position position)
{
    position.hash++;
    if (!position.hash)
        position.slot++;
    return position;
}
