#include "wal/format.h"

#include "base/checksum.h"

#include <assert.h>

static const char SEGMENT_MAGIC[8] = {'H', 'F', 'W', 'A', 'L', 'S', 'E', 'G'};

#define SEGMENT_CHECKSUM_AT (WAL_SEGMENT_HEADER_SIZE - 8)
#define BATCH_CHECKSUM_AT   (WAL_BATCH_HEADER_SIZE - 8)

void wal_segment_header_store(uint8_t *at, const struct wal_segment_header *header)
{
    memset(at, 0, WAL_SEGMENT_HEADER_SIZE);
    memcpy(at, SEGMENT_MAGIC, sizeof SEGMENT_MAGIC);
    store_u32(at + 8, header->version);
    store_u64(at + 16, header->log.low);
    store_u64(at + 24, header->log.high);
    store_u64(at + 32, header->file_id);
    store_u64(at + 40, header->life);
    store_u64(at + 48, header->first_life);
    store_u64(at + 56, header->size);
    store_u64(at + SEGMENT_CHECKSUM_AT, checksum(at, SEGMENT_CHECKSUM_AT));
}

enum status wal_segment_header_load(const uint8_t *at, struct wal_segment_header *out)
{
    if (memcmp(at, SEGMENT_MAGIC, sizeof SEGMENT_MAGIC) != 0)
        return STATUS_DAMAGED;
    if (load_u64(at + SEGMENT_CHECKSUM_AT) != checksum(at, SEGMENT_CHECKSUM_AT))
        return STATUS_DAMAGED;
    *out = (struct wal_segment_header){
        .version = load_u32(at + 8),
        .log = {.low = load_u64(at + 16), .high = load_u64(at + 24)},
        .file_id = load_u64(at + 32),
        .life = load_u64(at + 40),
        .first_life = load_u64(at + 48),
        .size = load_u64(at + 56),
    };
    if (out->version > WAL_VERSION)
        return STATUS_FOREIGN;
    bool ordered = out->first_life > 0 && out->first_life <= out->life && out->life <= UINT32_MAX;
    return ordered ? STATUS_OK : STATUS_DAMAGED;
}

static void batch_header_store(uint8_t *at, struct wal_batch_header *header)
{
    store_u32(at, WAL_BATCH_MAGIC);
    store_u16(at + 4, WAL_VERSION);
    store_u16(at + 6, header->flags);
    store_u64(at + 8, header->log.low);
    store_u64(at + 16, header->log.high);
    store_u64(at + 24, header->file_id);
    store_u32(at + 32, (uint32_t)header->life);
    store_u32(at + 36, (uint32_t)header->first_life);
    store_u32(at + 40, header->offset);
    store_u32(at + 44, header->length);
    store_u32(at + 48, header->used);
    store_u32(at + 52, header->count);
    store_u64(at + 56, header->sequence);
    store_u64(at + 64, header->durable_through);
    store_u64(at + 72, header->previous);
    store_u64(at + 80, header->body);
    header->checksum = checksum(at, BATCH_CHECKSUM_AT);
    store_u64(at + BATCH_CHECKSUM_AT, header->checksum);
}

static bool batch_lengths_hold(const struct wal_batch_header *header)
{
    return header->used >= WAL_BATCH_HEADER_SIZE && header->used % WAL_RECORD_ALIGN == 0 &&
           header->length >= header->used && header->offset % WAL_BATCH_ALIGN == 0;
}

enum status wal_batch_header_load(const uint8_t *at, struct wal_batch_header *out)
{
    if (load_u32(at) != WAL_BATCH_MAGIC ||
        load_u64(at + BATCH_CHECKSUM_AT) != checksum(at, BATCH_CHECKSUM_AT))
        return STATUS_DAMAGED;
    *out = (struct wal_batch_header){
        .flags = load_u16(at + 6),
        .log = {.low = load_u64(at + 8), .high = load_u64(at + 16)},
        .file_id = load_u64(at + 24),
        .life = load_u32(at + 32),
        .first_life = load_u32(at + 36),
        .offset = load_u32(at + 40),
        .length = load_u32(at + 44),
        .used = load_u32(at + 48),
        .count = load_u32(at + 52),
        .sequence = load_u64(at + 56),
        .durable_through = load_u64(at + 64),
        .previous = load_u64(at + 72),
        .body = load_u64(at + 80),
        .checksum = load_u64(at + 88),
    };
    return batch_lengths_hold(out) ? STATUS_OK : STATUS_DAMAGED;
}

uint64_t wal_seed(struct wal_log_id log, uint64_t file_id, uint64_t life)
{
    uint64_t place[4] = {log.low, log.high, file_id, life};
    return checksum(place, sizeof place);
}

/* Offsets are multiples of 8; spread over all bits, neighbours get unlike seeds. */
static uint64_t seed_at(uint64_t seed, uint64_t offset)
{
    return seed ^ offset * 0x9E3779B97F4A7C15u;
}

static uint64_t digest_add(uint64_t digest, uint64_t sum)
{
    digest = (digest ^ sum) * 0xD6E8FEB86659FD93u;
    return digest ^ digest >> 32;
}

void wal_record_store(uint8_t *at, uint8_t kind, const struct wal_record *record)
{
    size_t size = record->payload.size, used = WAL_RECORD_HEADER_SIZE + size;
    store_u32(at + 8, (uint32_t)size);
    store_u32(at + 12, kind);
    store_u64(at + 16, record->group.value);
    store_u64(at + 24, record->index);
    store_u64(at + 32, record->term);
    if (size)
        memcpy(at + WAL_RECORD_HEADER_SIZE, record->payload.at, size);
    for (; used % WAL_RECORD_ALIGN; used++)
        at[used] = 0;
}

/* WAL-4: the seed binds the record to log, file, life and offset; the bytes hold group and index.
 */
static uint64_t record_checksum(const uint8_t *at, uint64_t seed)
{
    return checksum_seeded(at + 8, WAL_RECORD_HEADER_SIZE - 8 + load_u32(at + 8), seed);
}

void wal_batch_seal(uint8_t *at, struct wal_batch_header *header)
{
    uint64_t seed = wal_seed(header->log, header->file_id, header->life);
    size_t offset = WAL_BATCH_HEADER_SIZE;
    header->body = 0;
    while (offset < header->used) {
        uint8_t *record = at + offset;
        uint64_t sum = record_checksum(record, seed_at(seed, header->offset + offset));
        store_u64(record, sum);
        header->body = digest_add(header->body, sum);
        offset += wal_record_room(load_u32(record + 8));
    }
    assert(offset == header->used && batch_lengths_hold(header));
    batch_header_store(at, header);
}

bool wal_batch_holds(const uint8_t *at, const struct wal_batch_header *header)
{
    uint64_t seed = wal_seed(header->log, header->file_id, header->life), body = 0;
    size_t offset = WAL_BATCH_HEADER_SIZE;
    for (uint32_t i = 0; i < header->count; i++) {
        if (header->used - offset < WAL_RECORD_HEADER_SIZE)
            return false;
        const uint8_t *record = at + offset;
        size_t room = wal_record_room(load_u32(record + 8));
        if (room > header->used - offset)
            return false;
        uint64_t sum = record_checksum(record, seed_at(seed, header->offset + offset)); /* WAL-4 */
        if (sum != load_u64(record))
            return false;
        body = digest_add(body, sum);
        offset += room;
    }
    return offset == header->used && body == header->body;
}

bool wal_cursor_next(struct wal_cursor *cursor, struct wal_record *out)
{
    if (cursor->offset >= cursor->used)
        return false;
    const uint8_t *record = cursor->at + cursor->offset;
    size_t size = load_u32(record + 8);
    *out = (struct wal_record){
        .kind = (enum wal_record_kind)record[12],
        .group = {load_u64(record + 16)},
        .index = load_u64(record + 24),
        .term = load_u64(record + 32),
        .payload = slice_of(record + WAL_RECORD_HEADER_SIZE, size),
    };
    cursor->offset += wal_record_room(size);
    return true;
}
