/* layout.h - sizes of the bodies and a pen that writes and reads fields one after the other.
 * Private to wire/. The bytes of each body stand beside its encoder in message_add.c. */
#ifndef HOLDFAST_WIRE_LAYOUT_H
#define HOLDFAST_WIRE_LAYOUT_H

#include "wire/wire.h"

#define WIRE_VERSION             1
#define WIRE_MESSAGE_HEADER_SIZE 8

#define WIRE_HELLO_SIZE         (56 + WIRE_ADDRESS_SIZE)
#define WIRE_RAFT_SIZE          120
#define WIRE_RAFT_HISTORY_SIZE  16
#define WIRE_HEARTBEAT_SIZE     16
#define WIRE_BEAT_SIZE          56
#define WIRE_FORWARD_SIZE       48
#define WIRE_FORWARD_REPLY_SIZE 48
#define WIRE_FORWARD_CLOSE_SIZE 8
#define WIRE_SNAPSHOT_SIZE      88
#define WIRE_CHUNK_SIZE_MAX     (1ull << 32)

/* Positions, terms and rounds end here, so that one past any of them is still a number. */
#define WIRE_NUMBER_MAX ((uint64_t)INT64_MAX)

/* What both sides of a message demand: the sender asserts it, the receiver refuses the rest. */
bool wire_hello_is_valid(const struct wire_hello *hello);
bool wire_raft_is_valid(const struct raft_message *message);
bool wire_beat_is_valid(const struct wire_beat *beat, bool answer);
bool wire_forward_is_valid(const struct wire_forward *forward);
bool wire_forward_reply_is_valid(const struct wire_forward_reply *reply);
bool wire_snapshot_is_valid(enum wire_kind kind, const struct wire_snapshot *snapshot);
bool wire_request_is_valid(struct slice request);

static inline void put_u8(uint8_t **at, uint8_t value)
{
    *(*at)++ = value;
}
static inline void put_u16(uint8_t **at, uint16_t value)
{
    store_u16(*at, value);
    *at += 2;
}
static inline void put_u32(uint8_t **at, uint32_t value)
{
    store_u32(*at, value);
    *at += 4;
}
static inline void put_u64(uint8_t **at, uint64_t value)
{
    store_u64(*at, value);
    *at += 8;
}
static inline void put_zeros(uint8_t **at, size_t count)
{
    memset(*at, 0, count);
    *at += count;
}
static inline void put_slice(uint8_t **at, struct slice bytes)
{
    if (bytes.size)
        memcpy(*at, bytes.at, bytes.size);
    *at += bytes.size;
}

static inline uint8_t get_u8(const uint8_t **at)
{
    return *(*at)++;
}
static inline uint16_t get_u16(const uint8_t **at)
{
    uint16_t value = load_u16(*at);
    *at += 2;
    return value;
}
static inline uint32_t get_u32(const uint8_t **at)
{
    uint32_t value = load_u32(*at);
    *at += 4;
    return value;
}
static inline uint64_t get_u64(const uint8_t **at)
{
    uint64_t value = load_u64(*at);
    *at += 8;
    return value;
}
static inline bool get_zeros(const uint8_t **at, size_t count)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < count; i++)
        seen |= (*at)[i];
    *at += count;
    return seen == 0;
}

#endif
