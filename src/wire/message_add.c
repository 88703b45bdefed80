/* Bodies, byte by byte. Numbers are u64 unless said; "0 x n" are zero bytes.
 *
 *   HELLO          cluster high, low; from; to; incarnation; u32 worker, u32 workers; u8 link, 0 x
 * 7; address (64 bytes, the rest of them zero) IDLE           nothing RAFT           u8 kind, u8
 * flags (1 granted, 2 transfer, 4 unsure, 8 everybody, 16 history), 0 x 6; group; from; to; term;
 * index; log_term; last_index; commit; acked; written; persisted; round; lease_remaining_ns; i64
 * wall_us; with flag 16: term and index of the history; then the entries of an APPEND HEARTBEAT i64
 * wall_us; u32 count, u8 state, 0 x 3; count times: group; from; to; term; round; commit; and
 * ..ANSWER   u8 agreed, u56 behind FORWARD        group; session; sequence; u32 epoch, u8 flags, u8
 * database, 0 x 2; token term, index; the request FORWARD_REPLY session; sequence; leader; u32
 * epoch, u8 outcome, 0 x 3; token term, index; the reply FORWARD_CLOSE  session
 *
 * SNAPSHOT_*     group; from; to; index; term; u32 chunk, u32 count; u8 again, 0 x 7; offset;
 * size; keys; content; then the bytes
 *
 * Version 1 grew before it was released: raft kinds 8 and 9 (snapshot offer, answer), flags 4,
 * 8 and 16, what a receiver of heartbeats is behind. A build that does not know them finds the
 * frame INVALID and drops the link; it guesses nothing. */
#include "wire/layout.h"

#include <assert.h>

/* Makes room for a whole message and writes its header; answers where the body goes. */
static uint8_t *message_begin(struct wire_frame *frame, enum wire_kind kind, size_t body_size)
{
    struct buffer *out = frame->out;
    assert(body_size <= WIRE_FRAME_SIZE_MAX);
    enum status status = buffer_reserve(out, WIRE_MESSAGE_HEADER_SIZE + body_size);
    assert(status == STATUS_OK); /* the caller keeps to the room of its link */
    uint8_t *at = out->at + out->size;
    out->size += WIRE_MESSAGE_HEADER_SIZE + body_size;
    put_u8(&at, (uint8_t)kind);
    put_zeros(&at, 3);
    put_u32(&at, (uint32_t)body_size);
    return at;
}

void wire_add_hello(struct wire_frame *frame, const struct wire_hello *hello)
{
    assert(wire_hello_is_valid(hello));
    uint8_t *at = message_begin(frame, WIRE_HELLO, WIRE_HELLO_SIZE);
    put_u64(&at, hello->cluster.high);
    put_u64(&at, hello->cluster.low);
    put_u64(&at, hello->from.value);
    put_u64(&at, hello->to.value);
    put_u64(&at, hello->incarnation);
    put_u32(&at, hello->worker);
    put_u32(&at, hello->workers);
    put_u8(&at, (uint8_t)hello->link);
    put_zeros(&at, 1);
    put_u16(&at, hello->to_worker);
    put_zeros(&at, 4);
    size_t length = strlen(hello->client_address);
    put_slice(&at, slice_of(hello->client_address, length));
    put_zeros(&at, WIRE_ADDRESS_SIZE - length);
}

void wire_add_idle(struct wire_frame *frame)
{
    message_begin(frame, WIRE_IDLE, 0);
}

static uint8_t raft_flags(const struct raft_message *message)
{
    return (uint8_t)((message->granted ? 1 : 0) | (message->transfer ? 2 : 0) |
                     (message->unsure ? 4 : 0) | (message->everybody ? 8 : 0) |
                     (message->history.term ? 16 : 0));
}

void wire_add_raft(struct wire_frame *frame, const struct raft_message *message,
                   const struct slice *entries, size_t pieces)
{
    size_t fixed = WIRE_RAFT_SIZE + (message->history.term ? WIRE_RAFT_HISTORY_SIZE : 0);
    size_t size = fixed;
    for (size_t i = 0; i < pieces; i++) {
        assert(entries[i].size <= WIRE_FRAME_SIZE_MAX - size);
        size += entries[i].size;
    }
    assert(wire_raft_is_valid(message));
    assert(message->kind == RAFT_APPEND || size == fixed);
    uint8_t *at = message_begin(frame, WIRE_RAFT, size);
    put_u8(&at, (uint8_t)message->kind);
    put_u8(&at, raft_flags(message));
    put_zeros(&at, 6);
    put_u64(&at, message->group.value);
    put_u64(&at, message->from.value);
    put_u64(&at, message->to.value);
    put_u64(&at, message->term);
    put_u64(&at, message->index);
    put_u64(&at, message->log_term);
    put_u64(&at, message->last_index);
    put_u64(&at, message->commit);
    put_u64(&at, message->acked);
    put_u64(&at, message->written);
    put_u64(&at, message->persisted);
    put_u64(&at, message->round);
    put_u64(&at, message->lease_remaining_ns);
    put_u64(&at, (uint64_t)message->wall_us);
    if (message->history.term) {
        put_u64(&at, message->history.term);
        put_u64(&at, message->history.index);
    }
    for (size_t i = 0; i < pieces; i++)
        put_slice(&at, entries[i]);
}

static void beat_put(uint8_t **at, const struct wire_beat *beat)
{
    put_u64(at, beat->group.value);
    put_u64(at, beat->from.value);
    put_u64(at, beat->to.value);
    put_u64(at, beat->term);
    put_u64(at, beat->round);
    put_u64(at, beat->commit);
    put_u64(at, (uint64_t)beat->agreed | beat->behind << 8);
}

void wire_add_heartbeat(struct wire_frame *frame, bool answer, uint8_t state, int64_t wall_us,
                        const struct wire_beat *beats, uint32_t count)
{
    assert(count <= WIRE_BEATS_MAX && state <= WIRE_NODE_STATES);
    uint8_t *at = message_begin(frame, answer ? WIRE_HEARTBEAT_ANSWER : WIRE_HEARTBEAT,
                                WIRE_HEARTBEAT_SIZE + (size_t)count * WIRE_BEAT_SIZE);
    put_u64(&at, (uint64_t)wall_us);
    put_u32(&at, count);
    put_u8(&at, state);
    put_zeros(&at, 3);
    for (uint32_t i = 0; i < count; i++) {
        assert(wire_beat_is_valid(&beats[i], answer));
        beat_put(&at, &beats[i]);
    }
}

void wire_add_forward(struct wire_frame *frame, const struct wire_forward *forward)
{
    assert(wire_forward_is_valid(forward));
    assert(forward->request.size <= WIRE_FRAME_SIZE_MAX - WIRE_FORWARD_SIZE);
    uint8_t *at = message_begin(frame, WIRE_FORWARD, WIRE_FORWARD_SIZE + forward->request.size);
    put_u64(&at, forward->group.value);
    put_u64(&at, forward->session);
    put_u64(&at, forward->sequence);
    put_u32(&at, forward->epoch);
    put_u8(&at, forward->flags);
    put_u8(&at, forward->database);
    put_u16(&at, forward->waited_ms);
    put_u64(&at, forward->token_term);
    put_u64(&at, forward->token_index);
    put_slice(&at, forward->request);
}

void wire_add_forward_reply(struct wire_frame *frame, const struct wire_forward_reply *reply)
{
    assert(wire_forward_reply_is_valid(reply));
    assert(reply->reply.size <= WIRE_FRAME_SIZE_MAX - WIRE_FORWARD_REPLY_SIZE);
    uint8_t *at =
        message_begin(frame, WIRE_FORWARD_REPLY, WIRE_FORWARD_REPLY_SIZE + reply->reply.size);
    put_u64(&at, reply->session);
    put_u64(&at, reply->sequence);
    put_u64(&at, reply->leader.value);
    put_u32(&at, reply->epoch);
    put_u8(&at, (uint8_t)reply->outcome);
    put_zeros(&at, 3);
    put_u64(&at, reply->token_term);
    put_u64(&at, reply->token_index);
    put_slice(&at, reply->reply);
}

void wire_add_snapshot(struct wire_frame *frame, enum wire_kind kind,
                       const struct wire_snapshot *snapshot)
{
    assert(wire_snapshot_is_valid(kind, snapshot));
    assert(snapshot->bytes.size <= WIRE_FRAME_SIZE_MAX - WIRE_SNAPSHOT_SIZE);
    uint8_t *at = message_begin(frame, kind, WIRE_SNAPSHOT_SIZE + snapshot->bytes.size);
    put_u64(&at, snapshot->group.value);
    put_u64(&at, snapshot->from.value);
    put_u64(&at, snapshot->to.value);
    put_u64(&at, snapshot->index);
    put_u64(&at, snapshot->term);
    put_u32(&at, snapshot->chunk);
    put_u32(&at, snapshot->count);
    put_u8(&at, snapshot->again);
    put_zeros(&at, 7);
    put_u64(&at, snapshot->offset);
    put_u64(&at, snapshot->size);
    put_u64(&at, snapshot->keys);
    put_u64(&at, snapshot->content);
    put_slice(&at, snapshot->bytes);
}

void wire_add_forward_close(struct wire_frame *frame, uint64_t session)
{
    uint8_t *at = message_begin(frame, WIRE_FORWARD_CLOSE, WIRE_FORWARD_CLOSE_SIZE);
    put_u64(&at, session);
}
