#include "wire/layout.h"

#include "base/checksum.h"

#include <assert.h>

#define ENTRY_FLAGS (WIRE_ENTRY_ONCE | WIRE_ENTRY_CONNECTION)

static size_t prefix_size(uint16_t flags)
{
    return WIRE_ENTRY_HEADER_SIZE + (flags & WIRE_ENTRY_ONCE ? 16 : 0) +
           (flags & WIRE_ENTRY_CONNECTION ? 16 : 0);
}

/* The first 8 bytes seed the checksum of all behind it: one pass covers the whole entry. */
static uint64_t entry_checksum(const uint8_t *entry, size_t size)
{
    return checksum_seeded(entry + 16, size - 16, load_u64(entry));
}

static bool entry_is_valid(const struct wire_entry *entry, size_t payload_size)
{
    return entry->kind >= WIRE_ENTRY_NOOP && entry->kind <= WIRE_ENTRY_INGEST &&
           (entry->flags & ~ENTRY_FLAGS) == 0 && entry->index >= 1 &&
           entry->index <= WIRE_NUMBER_MAX && entry->term >= 1 && entry->term <= WIRE_NUMBER_MAX &&
           (entry->kind != WIRE_ENTRY_NOOP || payload_size == 0);
}

enum status wire_entry_encode(const struct wire_entry *entry, const struct slice payload[2],
                              struct buffer *out)
{
    size_t prefix = prefix_size(entry->flags), room = WIRE_ENTRY_SIZE_MAX - prefix;
    if (payload[0].size > room || payload[1].size > room - payload[0].size)
        return STATUS_TOO_LARGE;
    size_t size = prefix + payload[0].size + payload[1].size;
    assert(entry_is_valid(entry, size - prefix));
    enum status status = buffer_reserve(out, size);
    if (status)
        return status;

    uint8_t *start = out->at + out->size, *at = start;
    put_u32(&at, (uint32_t)size);
    put_u8(&at, WIRE_VERSION);
    put_u8(&at, (uint8_t)entry->kind);
    put_u16(&at, entry->flags);
    at += 8; /* the checksum, once the rest stands */
    put_u64(&at, entry->group.value);
    put_u64(&at, entry->index);
    put_u64(&at, entry->term);
    put_u64(&at, (uint64_t)entry->time_us);
    put_u8(&at, entry->ack);
    put_zeros(&at, 7);
    if (entry->flags & WIRE_ENTRY_ONCE) {
        put_u64(&at, entry->once_client);
        put_u64(&at, entry->once_sequence);
    }
    if (entry->flags & WIRE_ENTRY_CONNECTION) {
        put_u64(&at, entry->connection_node);
        put_u64(&at, entry->connection);
    }
    put_slice(&at, payload[0]);
    put_slice(&at, payload[1]);
    store_u64(start + 8, entry_checksum(start, size));
    out->size += size;
    return STATUS_OK;
}

size_t wire_entry_length(struct slice from)
{
    if (from.size < 4)
        return 0;
    size_t length = load_u32(from.at);
    return length < WIRE_ENTRY_HEADER_SIZE || length > WIRE_ENTRY_SIZE_MAX ? 0 : length;
}

/* All fields of an entry whose checksum holds. */
static enum status entry_read(struct slice bytes, struct wire_entry *entry)
{
    const uint8_t *at = bytes.at + 5;
    entry->bytes = bytes;
    entry->kind = (enum wire_entry_kind)get_u8(&at);
    entry->flags = get_u16(&at);
    at += 8;
    entry->group.value = get_u64(&at);
    entry->index = get_u64(&at);
    entry->term = get_u64(&at);
    entry->time_us = (int64_t)get_u64(&at);
    entry->ack = get_u8(&at);
    size_t prefix = prefix_size(entry->flags);
    if (!get_zeros(&at, 7) || prefix > bytes.size || !entry_is_valid(entry, bytes.size - prefix))
        return STATUS_INVALID;
    if (entry->flags & WIRE_ENTRY_ONCE) {
        entry->once_client = get_u64(&at);
        entry->once_sequence = get_u64(&at);
    }
    if (entry->flags & WIRE_ENTRY_CONNECTION) {
        entry->connection_node = get_u64(&at);
        entry->connection = get_u64(&at);
    }
    entry->payload = slice_of(at, bytes.size - prefix);
    return STATUS_OK;
}

static enum status entry_take(struct slice *from, bool is_checked, struct wire_entry *out)
{
    size_t length = wire_entry_length(*from);
    if (length == 0 || length > from->size) /* WIRE-1 */
        return STATUS_INVALID;
    /* Before the checksum: another version may compute it in another way. */
    if (from->at[4] != WIRE_VERSION) /* WIRE-2 */
        return STATUS_FOREIGN;
    bool holds = is_checked || load_u64(from->at + 8) == entry_checksum(from->at, length);
    if (!holds) /* WIRE-3 */
        return STATUS_DAMAGED;
    struct wire_entry entry = {.kind = 0};
    enum status status = entry_read(slice_of(from->at, length), &entry);
    if (status)
        return status;
    *from = slice_of(from->at + length, from->size - length);
    *out = entry;
    return STATUS_OK;
}

enum status wire_entry_take(struct slice *from, struct wire_entry *out)
{
    return entry_take(from, false, out);
}

enum status wire_entry_take_checked(struct slice *from, struct wire_entry *out)
{
    return entry_take(from, true, out);
}
