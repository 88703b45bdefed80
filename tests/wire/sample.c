#include "tests/wire/sample.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <assert.h>

void sample_init(struct sample *sample, uint64_t seed)
{
    memset(sample, 0, sizeof *sample);
    random_init(&sample->random, seed);
    buffer_init(&sample->bytes, 1u << 24);
}

void sample_deinit(struct sample *sample)
{
    buffer_deinit(&sample->bytes);
}

static uint64_t below(struct sample *sample, uint64_t bound)
{
    return random_below(&sample->random, bound);
}

/* Small numbers and the largest ones are more interesting than those between. */
static uint64_t number(struct sample *sample)
{
    switch (below(sample, 4)) {
    case 0: return below(sample, 4);
    case 1: return (uint64_t)INT64_MAX - below(sample, 3);
    default: return random_next(&sample->random) >> (1 + below(sample, 60));
    }
}

static void fill(struct sample *sample, size_t size)
{
    enum status status = buffer_reserve(&sample->bytes, size);
    assert(status == STATUS_OK);
    for (size_t i = 0; i < size; i++)
        sample->bytes.at[sample->bytes.size++] = (uint8_t)below(sample, 256);
}

void sample_entry(struct sample *sample, struct wire_entry *out)
{
    *out = (struct wire_entry){
        .kind = (enum wire_entry_kind)(WIRE_ENTRY_NOOP + below(sample, 6)),
        .flags = (uint16_t)below(sample, 4),
        .group = {below(sample, 5)},
        .index = 1 + below(sample, 1000),
        .term = 1 + below(sample, 9),
        .time_us = (int64_t)random_next(&sample->random),
        .ack = (uint8_t)below(sample, 256),
    };
    if (out->flags & WIRE_ENTRY_ONCE) {
        out->once_client = random_next(&sample->random);
        out->once_sequence = random_next(&sample->random);
    }
    if (out->flags & WIRE_ENTRY_CONNECTION) {
        out->connection_node = random_next(&sample->random);
        out->connection = random_next(&sample->random);
    }
    buffer_reset(&sample->bytes);
    fill(sample, out->kind == WIRE_ENTRY_NOOP ? 0 : below(sample, 200));
    out->payload = slice_of_buffer(&sample->bytes);
}

static struct slice entries_of(struct sample *sample, struct raft_message *message)
{
    struct buffer entries;
    buffer_init(&entries, 1u << 20);
    message->term = 3 + below(sample, 1000);
    message->log_term = below(sample, message->term + 1);
    message->index = below(sample, 1000);
    message->last_index = message->index;
    uint64_t term = message->log_term ? message->log_term : 1;
    for (uint64_t left = below(sample, 6); left > 0; left--) {
        struct wire_entry entry;
        sample_entry(sample, &entry);
        entry.group = message->group;
        entry.index = ++message->last_index;
        entry.term = term += below(sample, message->term - term + 1);
        struct slice pieces[2] = {entry.payload, {NULL, 0}};
        enum status status = wire_entry_encode(&entry, pieces, &entries);
        assert(status == STATUS_OK);
    }
    buffer_reset(&sample->bytes);
    enum status status = buffer_append(&sample->bytes, entries.at, entries.size);
    assert(status == STATUS_OK);
    buffer_deinit(&entries);
    return slice_of_buffer(&sample->bytes);
}

static void raft_of(struct sample *sample, struct wire_message *out)
{
    struct raft_message *message = &out->raft.message;
    *message = (struct raft_message){
        .kind = (enum raft_message_kind)(RAFT_PRE_VOTE + below(sample, 9)),
        .group = {random_next(&sample->random)},
        .from = {1 + number(sample)},
        .to = {1 + number(sample)},
        .term = number(sample),
        .index = number(sample),
        .log_term = number(sample),
        .last_index = number(sample),
        .commit = number(sample),
        .acked = number(sample),
        .written = number(sample),
        .persisted = number(sample),
        .round = number(sample),
        .lease_remaining_ns = random_next(&sample->random),
        .wall_us = (int64_t)random_next(&sample->random),
        .granted = below(sample, 2),
        .transfer = below(sample, 2),
        .unsure = below(sample, 2),
        .everybody = below(sample, 2),
    };
    out->raft.entries = (struct slice){NULL, 0};
    if (message->kind == RAFT_APPEND)
        out->raft.entries = entries_of(sample, message);
}

static void heartbeat_of(struct sample *sample, struct wire_message *out)
{
    out->heartbeat.wall_us = (int64_t)random_next(&sample->random);
    out->heartbeat.count = (uint32_t)below(sample, 41);
    out->heartbeat.state = (uint8_t)below(sample, WIRE_NODE_STATES + 1);
    for (uint32_t i = 0; i < out->heartbeat.count; i++)
        sample->beats[i] = (struct wire_beat){
            .group = {random_next(&sample->random)},
            .from = {1 + number(sample)},
            .to = {1 + number(sample)},
            .term = number(sample),
            .round = number(sample),
            .commit = number(sample),
            .behind = out->kind == WIRE_HEARTBEAT ? number(sample) & WIRE_BEHIND_UNKNOWN : 0,
            .agreed = out->kind == WIRE_HEARTBEAT_ANSWER && below(sample, 2),
        };
    /* Decoding gives bytes, not beats: the sample borrows the array in that place. */
    out->heartbeat.beats = slice_of(sample->beats, out->heartbeat.count * sizeof(struct wire_beat));
}

static void forward_of(struct sample *sample, struct wire_forward *out)
{
    struct slice arguments[20];
    size_t count = 1 + below(sample, 20);
    struct buffer request;
    buffer_init(&request, 1u << 20);
    buffer_reset(&sample->bytes);
    fill(sample, 300);
    for (size_t i = 0; i < count; i++)
        arguments[i] = slice_of(sample->bytes.at, below(sample, 300));
    wire_request_encode(arguments, count, &request);
    buffer_reset(&sample->bytes);
    enum status status = buffer_append(&sample->bytes, request.at, request.size);
    assert(status == STATUS_OK);
    buffer_deinit(&request);
    *out = (struct wire_forward){
        .group = {random_next(&sample->random)},
        .session = random_next(&sample->random),
        .epoch = (uint32_t)random_next(&sample->random),
        .sequence = 1 + below(sample, INT64_MAX),
        .flags = (uint8_t)below(sample, 8),
        .database = (uint8_t)below(sample, 256),
        .waited_ms = (uint16_t)below(sample, 65536),
        .token_term = number(sample),
        .token_index = number(sample),
        .request = slice_of_buffer(&sample->bytes),
    };
}

static void forward_reply_of(struct sample *sample, struct wire_forward_reply *out)
{
    buffer_reset(&sample->bytes);
    fill(sample, below(sample, 300));
    *out = (struct wire_forward_reply){
        .session = random_next(&sample->random),
        .epoch = (uint32_t)random_next(&sample->random),
        .sequence = 1 + below(sample, INT64_MAX),
        .outcome = (enum wire_outcome)(1 + below(sample, 3)),
        .leader = {number(sample)},
        .token_term = number(sample),
        .token_index = number(sample),
        .reply = slice_of_buffer(&sample->bytes),
    };
}

static void hello_of(struct sample *sample, struct wire_hello *out)
{
    *out = (struct wire_hello){
        .cluster = {random_next(&sample->random), random_next(&sample->random)},
        .from = {1 + number(sample)},
        .to = {1 + number(sample)},
        .incarnation = random_next(&sample->random),
        .workers = 1 + (uint32_t)below(sample, 64),
        .link = (enum wire_link)(1 + below(sample, 2)),
    };
    out->worker = (uint32_t)below(sample, out->workers);
    size_t length = below(sample, WIRE_ADDRESS_SIZE);
    for (size_t i = 0; i < length; i++)
        out->client_address[i] = (char)('!' + below(sample, '~' - '!' + 1));
}

static void snapshot_of(struct sample *sample, enum wire_kind kind, struct wire_snapshot *out)
{
    *out = (struct wire_snapshot){.group = {number(sample)},
                                  .from = {1 + number(sample)},
                                  .to = {1 + number(sample)},
                                  .index = number(sample),
                                  .term = number(sample),
                                  .chunk = (uint32_t)below(sample, 1000),
                                  .count = (uint32_t)below(sample, 1000),
                                  .again = kind == WIRE_SNAPSHOT_ASK && below(sample, 2),
                                  .keys = random_next(&sample->random),
                                  .content = random_next(&sample->random)};
    if (kind == WIRE_SNAPSHOT_ASK || kind == WIRE_SNAPSHOT_NONE)
        return;
    static const uint8_t bytes[64] = "what a snapshot begins with";
    out->bytes = slice_of(bytes, 1 + below(sample, sizeof bytes));
    if (kind != WIRE_SNAPSHOT_PART)
        return;
    out->offset = below(sample, 1u << 20);
    out->size = out->offset + out->bytes.size + below(sample, 1000);
}

void sample_message(struct sample *sample, struct wire_message *out)
{
    memset(out, 0, sizeof *out);
    uint64_t kind = below(sample, WIRE_FORWARD_CLOSE + 4);
    out->kind =
        (enum wire_kind)(kind < WIRE_FORWARD_CLOSE ? WIRE_HELLO + kind
                                                   : WIRE_SNAPSHOT_ASK + kind - WIRE_FORWARD_CLOSE);
    switch (out->kind) {
    case WIRE_HELLO: hello_of(sample, &out->hello); break;
    case WIRE_IDLE: break;
    case WIRE_RAFT: raft_of(sample, out); break;
    case WIRE_HEARTBEAT:
    case WIRE_HEARTBEAT_ANSWER: heartbeat_of(sample, out); break;
    case WIRE_FORWARD: forward_of(sample, &out->forward); break;
    case WIRE_FORWARD_REPLY: forward_reply_of(sample, &out->forward_reply); break;
    case WIRE_SNAPSHOT_ASK:
    case WIRE_SNAPSHOT_HEADER:
    case WIRE_SNAPSHOT_PART:
    case WIRE_SNAPSHOT_NONE: snapshot_of(sample, out->kind, &out->snapshot); break;
    case WIRE_FORWARD_CLOSE: out->forward_close.session = random_next(&sample->random); break;
    }
}

void sample_add(struct wire_frame *frame, const struct wire_message *m)
{
    switch (m->kind) {
    case WIRE_HELLO: wire_add_hello(frame, &m->hello); break;
    case WIRE_IDLE: wire_add_idle(frame); break;
    case WIRE_RAFT: {
        /* In two pieces, cut anywhere: chunks of an arena do not end where entries end. */
        size_t half = m->raft.entries.size / 2;
        struct slice pieces[2] = {
            slice_of(m->raft.entries.at, half),
            slice_of(half ? m->raft.entries.at + half : m->raft.entries.at,
                     m->raft.entries.size - half),
        };
        wire_add_raft(frame, &m->raft.message, pieces, 2);
        break;
    }
    case WIRE_HEARTBEAT:
    case WIRE_HEARTBEAT_ANSWER:
        wire_add_heartbeat(
            frame, m->kind == WIRE_HEARTBEAT_ANSWER, m->heartbeat.state, m->heartbeat.wall_us,
            (const struct wire_beat *)(const void *)m->heartbeat.beats.at, m->heartbeat.count);
        break;
    case WIRE_FORWARD: wire_add_forward(frame, &m->forward); break;
    case WIRE_FORWARD_REPLY: wire_add_forward_reply(frame, &m->forward_reply); break;
    case WIRE_SNAPSHOT_ASK:
    case WIRE_SNAPSHOT_HEADER:
    case WIRE_SNAPSHOT_PART:
    case WIRE_SNAPSHOT_NONE: wire_add_snapshot(frame, m->kind, &m->snapshot); break;
    case WIRE_FORWARD_CLOSE: wire_add_forward_close(frame, m->forward_close.session); break;
    }
}

static bool hellos_equal(const struct wire_hello *a, const struct wire_hello *b)
{
    return cluster_id_equal(a->cluster, b->cluster) && node_id_equal(a->from, b->from) &&
           node_id_equal(a->to, b->to) && a->incarnation == b->incarnation &&
           a->worker == b->worker && a->workers == b->workers && a->link == b->link &&
           memcmp(a->client_address, b->client_address, WIRE_ADDRESS_SIZE) == 0;
}

static bool rafts_equal(const struct raft_message *a, const struct raft_message *b)
{
    return a->kind == b->kind && group_id_equal(a->group, b->group) &&
           replica_id_equal(a->from, b->from) && replica_id_equal(a->to, b->to) &&
           a->term == b->term && a->index == b->index && a->log_term == b->log_term &&
           a->last_index == b->last_index && a->commit == b->commit && a->acked == b->acked &&
           a->written == b->written && a->persisted == b->persisted && a->round == b->round &&
           a->lease_remaining_ns == b->lease_remaining_ns && a->wall_us == b->wall_us &&
           a->granted == b->granted && a->transfer == b->transfer && a->unsure == b->unsure &&
           a->everybody == b->everybody;
}

static bool beats_equal(const struct wire_beat *a, const struct wire_beat *b)
{
    return group_id_equal(a->group, b->group) && replica_id_equal(a->from, b->from) &&
           replica_id_equal(a->to, b->to) && a->term == b->term && a->round == b->round &&
           a->commit == b->commit && a->behind == b->behind && a->agreed == b->agreed;
}

/* `sent` borrows beats, `got` borrows bytes. */
static bool heartbeats_equal(const struct wire_message *sent, const struct wire_message *got)
{
    const struct wire_beat *beats =
        (const struct wire_beat *)(const void *)sent->heartbeat.beats.at;
    struct slice rest = got->heartbeat.beats;
    struct wire_beat beat;
    if (sent->heartbeat.wall_us != got->heartbeat.wall_us ||
        sent->heartbeat.count != got->heartbeat.count ||
        sent->heartbeat.state != got->heartbeat.state)
        return false;
    for (uint32_t i = 0; i < sent->heartbeat.count; i++)
        if (wire_beat_take(&rest, &beat) || !beats_equal(&beats[i], &beat))
            return false;
    return wire_beat_take(&rest, &beat) == STATUS_END;
}

static bool snapshots_equal(const struct wire_snapshot *a, const struct wire_snapshot *b)
{
    return group_id_equal(a->group, b->group) && replica_id_equal(a->from, b->from) &&
           replica_id_equal(a->to, b->to) && a->index == b->index && a->term == b->term &&
           a->chunk == b->chunk && a->count == b->count && a->again == b->again &&
           a->offset == b->offset && a->size == b->size && a->keys == b->keys &&
           a->content == b->content && slice_equal(a->bytes, b->bytes);
}

bool sample_messages_equal(const struct wire_message *sent, const struct wire_message *got)
{
    if (sent->kind != got->kind)
        return false;
    switch (sent->kind) {
    case WIRE_HELLO: return hellos_equal(&sent->hello, &got->hello);
    case WIRE_IDLE: return true;
    case WIRE_RAFT:
        return rafts_equal(&sent->raft.message, &got->raft.message) &&
               slice_equal(sent->raft.entries, got->raft.entries);
    case WIRE_HEARTBEAT:
    case WIRE_HEARTBEAT_ANSWER: return heartbeats_equal(sent, got);
    case WIRE_FORWARD: {
        const struct wire_forward *a = &sent->forward, *b = &got->forward;
        return group_id_equal(a->group, b->group) && a->session == b->session &&
               a->epoch == b->epoch && a->sequence == b->sequence && a->flags == b->flags &&
               a->database == b->database && a->waited_ms == b->waited_ms &&
               a->token_term == b->token_term && a->token_index == b->token_index &&
               slice_equal(a->request, b->request);
    }
    case WIRE_FORWARD_REPLY: {
        const struct wire_forward_reply *a = &sent->forward_reply, *b = &got->forward_reply;
        return a->session == b->session && a->epoch == b->epoch && a->sequence == b->sequence &&
               a->outcome == b->outcome && node_id_equal(a->leader, b->leader) &&
               a->token_term == b->token_term && a->token_index == b->token_index &&
               slice_equal(a->reply, b->reply);
    }
    case WIRE_SNAPSHOT_ASK:
    case WIRE_SNAPSHOT_HEADER:
    case WIRE_SNAPSHOT_PART:
    case WIRE_SNAPSHOT_NONE: return snapshots_equal(&sent->snapshot, &got->snapshot);
    case WIRE_FORWARD_CLOSE: return sent->forward_close.session == got->forward_close.session;
    }
    return false;
}

bool sample_entries_equal(const struct wire_entry *a, const struct wire_entry *b)
{
    return a->kind == b->kind && a->flags == b->flags && group_id_equal(a->group, b->group) &&
           a->index == b->index && a->term == b->term && a->time_us == b->time_us &&
           a->ack == b->ack && a->once_client == b->once_client &&
           a->once_sequence == b->once_sequence && a->connection_node == b->connection_node &&
           a->connection == b->connection && slice_equal(a->payload, b->payload);
}

static uint64_t touch(struct slice bytes)
{
    return bytes.size ? checksum(bytes.at, bytes.size) : 0;
}

static uint64_t entries_touch(const struct wire_message *message)
{
    struct slice entries = message->raft.entries;
    uint64_t index = message->raft.message.index, seen = 0;
    while (entries.size) { /* WIRE-3: none of this may fail for an accepted message */
        struct wire_entry entry;
        enum status status = wire_entry_take(&entries, &entry);
        assert(status == STATUS_OK && entry.index == ++index);
        assert(group_id_equal(entry.group, message->raft.message.group));
        seen += touch(entry.payload) + touch(entry.bytes);
    }
    return seen;
}

static uint64_t message_touch(const struct wire_message *message)
{
    uint64_t seen = 0;
    if (message->kind == WIRE_RAFT)
        seen = entries_touch(message);
    if (message->kind == WIRE_SNAPSHOT_HEADER || message->kind == WIRE_SNAPSHOT_PART)
        seen = touch(message->snapshot.bytes);
    if (message->kind == WIRE_FORWARD_REPLY)
        seen = touch(message->forward_reply.reply);
    if (message->kind == WIRE_FORWARD) {
        struct slice arguments[64];
        size_t count = 0;
        if (wire_request_take(message->forward.request, arguments, 64, &count) == STATUS_OK)
            for (size_t i = 0; i < count; i++)
                seen += touch(arguments[i]);
    }
    if (message->kind == WIRE_HEARTBEAT || message->kind == WIRE_HEARTBEAT_ANSWER) {
        struct slice beats = message->heartbeat.beats;
        struct wire_beat beat;
        for (uint32_t i = 0; i < message->heartbeat.count; i++) {
            enum status status = wire_beat_take(&beats, &beat);
            assert(status == STATUS_OK);
            seen += beat.commit;
        }
    }
    return seen;
}

size_t sample_decode(struct slice bytes)
{
    size_t count = 0, size;
    uint64_t seen = 0;
    struct slice messages;
    while (wire_frame_take(bytes, &size, &messages) == STATUS_OK) {
        struct wire_message message;
        while (wire_message_take(&messages, &message) == STATUS_OK) {
            seen += message_touch(&message);
            count++;
        }
        bytes = slice_of(bytes.at + size, bytes.size - size);
    }
    volatile uint64_t sink = seen; /* or else the reads could be optimised away */
    (void)sink;
    return count;
}

static void entries_repair(uint8_t *at, size_t size)
{
    while (size >= WIRE_ENTRY_HEADER_SIZE) {
        size_t length = wire_entry_length(slice_of(at, size));
        if (length == 0 || length > size)
            return;
        store_u64(at + 8, checksum_seeded(at + 16, length - 16, load_u64(at)));
        at += length;
        size -= length;
    }
}

void sample_repair(uint8_t *frame, size_t size)
{
    size_t at = WIRE_FRAME_HEADER_SIZE;
    if (size < at)
        return;
    while (size - at >= 8) {
        size_t body = load_u32(frame + at + 4);
        if (body > size - at - 8)
            break;
        if (frame[at] == WIRE_RAFT && body > 120)
            entries_repair(frame + at + 8 + 120, body - 120);
        at += 8 + body;
    }
    store_u32(frame, (uint32_t)size);
    store_u64(frame + 8, checksum_seeded(frame + 16, size - 16, load_u64(frame)));
}
