#include "wire/layout.h"

static enum status hello_take(struct slice body, struct wire_hello *out)
{
    if (body.size != WIRE_HELLO_SIZE)
        return STATUS_INVALID;
    const uint8_t *at = body.at;
    out->cluster.high = get_u64(&at);
    out->cluster.low = get_u64(&at);
    out->from.value = get_u64(&at);
    out->to.value = get_u64(&at);
    out->incarnation = get_u64(&at);
    out->worker = get_u32(&at);
    out->workers = get_u32(&at);
    out->link = (enum wire_link)get_u8(&at);
    bool zero = get_zeros(&at, 1);
    out->to_worker = get_u16(&at);
    if (!get_zeros(&at, 4) || !zero)
        return STATUS_INVALID;
    memcpy(out->client_address, at, WIRE_ADDRESS_SIZE);
    if (!wire_hello_is_valid(out))
        return STATUS_INVALID;
    const uint8_t *rest = at + strlen(out->client_address);
    return get_zeros(&rest, (size_t)(at + WIRE_ADDRESS_SIZE - rest)) ? STATUS_OK : STATUS_INVALID;
}

/* WIRE-3: the follower stores these bytes as they are, so nothing about them is left to trust. */
static bool entries_hold(const struct raft_message *message, struct slice entries)
{
    uint64_t index = message->index, term = message->log_term;
    while (entries.size > 0) {
        struct wire_entry entry;
        if (wire_entry_take(&entries, &entry))
            return false;
        if (!group_id_equal(entry.group, message->group) || entry.index != index + 1 ||
            entry.term < term || entry.term > message->term)
            return false;
        index = entry.index;
        term = entry.term;
    }
    return index == message->last_index;
}

static enum status raft_take(struct slice body, struct raft_message *out, struct slice *entries)
{
    if (body.size < WIRE_RAFT_SIZE)
        return STATUS_INVALID;
    const uint8_t *at = body.at;
    out->kind = (enum raft_message_kind)get_u8(&at);
    uint8_t flags = get_u8(&at);
    if (flags > 31 || !get_zeros(&at, 6))
        return STATUS_INVALID;
    out->granted = flags & 1;
    out->transfer = flags & 2;
    out->unsure = flags & 4;
    out->everybody = flags & 8;
    out->group.value = get_u64(&at);
    out->from.value = get_u64(&at);
    out->to.value = get_u64(&at);
    out->term = get_u64(&at);
    out->index = get_u64(&at);
    out->log_term = get_u64(&at);
    out->last_index = get_u64(&at);
    out->commit = get_u64(&at);
    out->acked = get_u64(&at);
    out->written = get_u64(&at);
    out->persisted = get_u64(&at);
    out->round = get_u64(&at);
    out->lease_remaining_ns = get_u64(&at);
    out->wall_us = (int64_t)get_u64(&at);
    size_t fixed = WIRE_RAFT_SIZE + (flags & 16 ? WIRE_RAFT_HISTORY_SIZE : 0);
    if (body.size < fixed)
        return STATUS_INVALID;
    out->history = (struct raft_history){0};
    if (flags & 16) {
        out->history.term = get_u64(&at);
        out->history.index = get_u64(&at);
    }
    *entries = slice_of(at, body.size - fixed);
    if ((flags & 16) && out->history.term == 0)
        return STATUS_INVALID;
    if (!wire_raft_is_valid(out))
        return STATUS_INVALID;
    bool holds = out->kind == RAFT_APPEND ? entries_hold(out, *entries) : entries->size == 0;
    return holds ? STATUS_OK : STATUS_INVALID;
}

static bool beat_read(const uint8_t *at, bool answer, struct wire_beat *out)
{
    out->group.value = get_u64(&at);
    out->from.value = get_u64(&at);
    out->to.value = get_u64(&at);
    out->term = get_u64(&at);
    out->round = get_u64(&at);
    out->commit = get_u64(&at);
    uint64_t last = get_u64(&at);
    out->agreed = last & 1;
    out->behind = last >> 8;
    return (last & 0xff) <= 1 && wire_beat_is_valid(out, answer);
}

static enum status heartbeat_take(struct slice body, struct wire_message *out)
{
    bool answer = out->kind == WIRE_HEARTBEAT_ANSWER;
    if (body.size < WIRE_HEARTBEAT_SIZE)
        return STATUS_INVALID;
    const uint8_t *at = body.at;
    out->heartbeat.wall_us = (int64_t)get_u64(&at);
    out->heartbeat.count = get_u32(&at);
    out->heartbeat.state = get_u8(&at);
    if (!get_zeros(&at, 3) || out->heartbeat.state > WIRE_NODE_STATES ||
        out->heartbeat.count > WIRE_BEATS_MAX ||
        body.size != WIRE_HEARTBEAT_SIZE + (size_t)out->heartbeat.count * WIRE_BEAT_SIZE)
        return STATUS_INVALID;
    for (uint32_t i = 0; i < out->heartbeat.count; i++) {
        struct wire_beat beat;
        if (!beat_read(at + (size_t)i * WIRE_BEAT_SIZE, answer, &beat) || (answer && beat.behind))
            return STATUS_INVALID;
    }
    out->heartbeat.beats = slice_of(at, (size_t)out->heartbeat.count * WIRE_BEAT_SIZE);
    return STATUS_OK;
}

enum status wire_beat_take(struct slice *beats, struct wire_beat *out)
{
    struct slice bytes;
    struct wire_beat beat;
    if (beats->size == 0)
        return STATUS_END;
    if (beats->size < WIRE_BEAT_SIZE || !beat_read(beats->at, true, &beat))
        return STATUS_INVALID;
    *out = beat;
    return slice_take(beats, WIRE_BEAT_SIZE, &bytes);
}

static enum status forward_take(struct slice body, struct wire_forward *out)
{
    if (body.size < WIRE_FORWARD_SIZE)
        return STATUS_INVALID;
    const uint8_t *at = body.at;
    out->group.value = get_u64(&at);
    out->session = get_u64(&at);
    out->sequence = get_u64(&at);
    out->epoch = get_u32(&at);
    out->flags = get_u8(&at);
    out->database = get_u8(&at);
    out->waited_ms = get_u16(&at);
    out->token_term = get_u64(&at);
    out->token_index = get_u64(&at);
    out->request = slice_of(at, body.size - WIRE_FORWARD_SIZE);
    return wire_forward_is_valid(out) ? STATUS_OK : STATUS_INVALID;
}

static enum status forward_reply_take(struct slice body, struct wire_forward_reply *out)
{
    if (body.size < WIRE_FORWARD_REPLY_SIZE)
        return STATUS_INVALID;
    const uint8_t *at = body.at;
    out->session = get_u64(&at);
    out->sequence = get_u64(&at);
    out->leader.value = get_u64(&at);
    out->epoch = get_u32(&at);
    out->outcome = (enum wire_outcome)get_u8(&at);
    if (!get_zeros(&at, 3))
        return STATUS_INVALID;
    out->token_term = get_u64(&at);
    out->token_index = get_u64(&at);
    out->reply = slice_of(at, body.size - WIRE_FORWARD_REPLY_SIZE);
    return wire_forward_reply_is_valid(out) ? STATUS_OK : STATUS_INVALID;
}

static enum status snapshot_take(enum wire_kind kind, struct slice body, struct wire_snapshot *out)
{
    if (body.size < WIRE_SNAPSHOT_SIZE)
        return STATUS_INVALID;
    const uint8_t *at = body.at;
    out->group.value = get_u64(&at);
    out->from.value = get_u64(&at);
    out->to.value = get_u64(&at);
    out->index = get_u64(&at);
    out->term = get_u64(&at);
    out->chunk = get_u32(&at);
    out->count = get_u32(&at);
    uint8_t again = get_u8(&at);
    out->again = again;
    if (again > 1 || !get_zeros(&at, 7))
        return STATUS_INVALID;
    out->offset = get_u64(&at);
    out->size = get_u64(&at);
    out->keys = get_u64(&at);
    out->content = get_u64(&at);
    out->bytes = slice_of(at, body.size - WIRE_SNAPSHOT_SIZE);
    return wire_snapshot_is_valid(kind, out) ? STATUS_OK : STATUS_INVALID;
}

static enum status body_take(struct slice body, struct wire_message *out)
{
    switch (out->kind) {
    case WIRE_HELLO: return hello_take(body, &out->hello);
    case WIRE_IDLE: return body.size == 0 ? STATUS_OK : STATUS_INVALID;
    case WIRE_RAFT: return raft_take(body, &out->raft.message, &out->raft.entries);
    case WIRE_HEARTBEAT:
    case WIRE_HEARTBEAT_ANSWER: return heartbeat_take(body, out);
    case WIRE_FORWARD: return forward_take(body, &out->forward);
    case WIRE_FORWARD_REPLY: return forward_reply_take(body, &out->forward_reply);
    case WIRE_SNAPSHOT_ASK:
    case WIRE_SNAPSHOT_HEADER:
    case WIRE_SNAPSHOT_PART:
    case WIRE_SNAPSHOT_NONE: return snapshot_take(out->kind, body, &out->snapshot);
    case WIRE_FORWARD_CLOSE:
        if (body.size != WIRE_FORWARD_CLOSE_SIZE)
            return STATUS_INVALID;
        out->forward_close.session = load_u64(body.at);
        return STATUS_OK;
    }
    return STATUS_INVALID;
}

/* WIRE-1: `messages` is known to lie inside the frame; each step here only makes it smaller. */
enum status wire_message_take(struct slice *messages, struct wire_message *out)
{
    struct slice rest = *messages, header, body;
    if (rest.size == 0)
        return STATUS_END;
    if (slice_take(&rest, WIRE_MESSAGE_HEADER_SIZE, &header))
        return STATUS_INVALID;
    const uint8_t *at = header.at;
    enum wire_kind kind = (enum wire_kind)get_u8(&at);
    if (!get_zeros(&at, 3) || slice_take(&rest, get_u32(&at), &body))
        return STATUS_INVALID;
    /* style: `out` is written even when INVALID follows, as the door says: this is the hot path. */
    out->kind = kind;
    enum status status = body_take(body, out);
    if (status == STATUS_OK)
        *messages = rest;
    return status;
}
