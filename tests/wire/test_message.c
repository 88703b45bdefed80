/* Frames and messages: round trips, ranges, APPEND entries. WIRE-1, WIRE-2, WIRE-3. */
#include "tests/wire/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void round_trips(void **state) /* WIRE-2 */
{
    (void)state;
    struct sample sample;
    struct buffer bytes;
    sample_init(&sample, 11);
    buffer_init(&bytes, 1u << 24);
    for (int i = 0; i < 20000; i++) {
        struct wire_message sent, got;
        struct wire_frame frame;
        struct slice messages;
        size_t size;
        sample_message(&sample, &sent);
        buffer_reset(&bytes);
        wire_frame_open(&frame, &bytes);
        sample_add(&frame, &sent);
        wire_frame_close(&frame);
        assert_int_equal(wire_frame_take(slice_of_buffer(&bytes), &size, &messages), STATUS_OK);
        assert_int_equal(size, bytes.size);
        assert_int_equal(wire_message_take(&messages, &got), STATUS_OK);
        assert_true(sample_messages_equal(&sent, &got));
        assert_int_equal(wire_message_take(&messages, &got), STATUS_END);
    }
    buffer_deinit(&bytes);
    sample_deinit(&sample);
}

static void many_messages_and_frames_in_one_buffer(void **state)
{
    (void)state;
    struct buffer bytes;
    struct wire_frame frame;
    buffer_init(&bytes, 1u << 20);
    for (uint64_t f = 0; f < 10; f++) {
        wire_frame_open(&frame, &bytes);
        for (uint64_t m = 0; m < f; m++)
            wire_add_forward_close(&frame, f * 100 + m);
        assert_int_equal(wire_frame_is_empty(&frame), f == 0);
        wire_frame_close(&frame); /* the empty one leaves nothing */
    }
    struct slice rest = slice_of_buffer(&bytes), messages;
    for (uint64_t f = 1; f < 10; f++) {
        size_t size;
        struct wire_message message;
        assert_int_equal(wire_frame_take(rest, &size, &messages), STATUS_OK);
        for (uint64_t m = 0; m < f; m++) {
            assert_int_equal(wire_message_take(&messages, &message), STATUS_OK);
            assert_int_equal(message.forward_close.session, f * 100 + m);
        }
        assert_int_equal(wire_message_take(&messages, &message), STATUS_END);
        rest = slice_of(rest.at + size, rest.size - size);
    }
    assert_int_equal(rest.size, 0);
    buffer_deinit(&bytes);
}

static void a_frame_says_how_much_is_needed(void **state)
{
    (void)state;
    struct buffer bytes;
    struct wire_frame frame;
    struct slice messages;
    buffer_init(&bytes, 1u << 20);
    wire_frame_open(&frame, &bytes);
    wire_add_idle(&frame);
    wire_frame_close(&frame);
    for (size_t have = 0; have < bytes.size; have++) {
        size_t size = 0;
        assert_int_equal(wire_frame_take(slice_of(bytes.at, have), &size, &messages), STATUS_AGAIN);
        assert_int_equal(size, have < 4 ? WIRE_FRAME_HEADER_SIZE : bytes.size);
    }
    buffer_deinit(&bytes);
}

static enum status take_bytes(const uint8_t *at, size_t size)
{
    struct slice messages;
    size_t needed;
    return wire_frame_take(slice_of(at, size), &needed, &messages);
}

static void a_bad_header_is_refused_at_its_first_bytes(void **state) /* WIRE-1 */
{
    (void)state;
    uint8_t header[WIRE_FRAME_HEADER_SIZE] = {0};
    assert_int_equal(take_bytes(header, 4), STATUS_INVALID); /* length 0 */
    store_u32(header, WIRE_FRAME_HEADER_SIZE);               /* no message in it */
    assert_int_equal(take_bytes(header, 4), STATUS_INVALID);
    store_u32(header, WIRE_FRAME_SIZE_MAX + 1);
    assert_int_equal(take_bytes(header, 4), STATUS_INVALID);
    store_u32(header, WIRE_FRAME_SIZE_MAX);
    assert_int_equal(take_bytes(header, 4), STATUS_AGAIN);
    header[4] = 2;
    assert_int_equal(take_bytes(header, 5), STATUS_FOREIGN); /* WIRE-2 */
    header[4] = 1;
    header[7] = 1;
    assert_int_equal(take_bytes(header, 7), STATUS_AGAIN);
    assert_int_equal(take_bytes(header, 8), STATUS_INVALID);
}

static void each_flipped_bit_is_seen(void **state)
{
    (void)state;
    struct sample sample;
    struct buffer bytes;
    struct wire_frame frame;
    struct wire_message message;
    sample_init(&sample, 3);
    buffer_init(&bytes, 1u << 20);
    wire_frame_open(&frame, &bytes);
    do
        sample_message(&sample, &message);
    while (message.kind != WIRE_HELLO);
    sample_add(&frame, &message);
    wire_frame_close(&frame);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_not_equal(take_bytes(bytes.at, bytes.size), STATUS_OK);
        bytes.at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    buffer_deinit(&bytes);
    sample_deinit(&sample);
}

/* ---- one field wrong at a time; the checksum is right ---- */

struct change {
    const char *name;
    enum wire_kind kind;
    size_t at; /* in the message, its header included */
    uint8_t value;
};

static void message_of(enum wire_kind kind, struct wire_message *out)
{
    static const uint8_t request[] = {2, 3, 'G', 'E', 'T', 1, 'k'};
    static const struct wire_beat beat = {.from = {1}, .to = {2}, .term = 1};
    *out = (struct wire_message){.kind = kind};
    switch (kind) {
    case WIRE_HELLO:
        out->hello = (struct wire_hello){.from = {1},
                                         .to = {2},
                                         .workers = 2,
                                         .link = WIRE_LINK_DATA,
                                         .client_address = "10.0.0.1:6379"};
        break;
    case WIRE_RAFT:
        out->raft.message = (struct raft_message){.kind = RAFT_VOTE, .from = {1}, .to = {2}};
        break;
    case WIRE_HEARTBEAT:
    case WIRE_HEARTBEAT_ANSWER:
        out->heartbeat.count = 1;
        out->heartbeat.beats = slice_of(&beat, sizeof beat);
        break;
    case WIRE_FORWARD:
        out->forward = (struct wire_forward){.sequence = 1, .request = {request, sizeof request}};
        break;
    case WIRE_FORWARD_REPLY:
        out->forward_reply =
            (struct wire_forward_reply){.sequence = 1, .outcome = WIRE_OUTCOME_REFUSED};
        break;
    case WIRE_SNAPSHOT_ASK:
    case WIRE_SNAPSHOT_HEADER:
    case WIRE_SNAPSHOT_PART:
    case WIRE_SNAPSHOT_NONE:
        out->snapshot = (struct wire_snapshot){.from = {1}, .to = {2}};
        if (kind == WIRE_SNAPSHOT_HEADER || kind == WIRE_SNAPSHOT_PART)
            out->snapshot.bytes = slice_of(request, sizeof request);
        if (kind == WIRE_SNAPSHOT_PART)
            out->snapshot.size = sizeof request;
        break;
    case WIRE_IDLE:
    case WIRE_FORWARD_CLOSE: break;
    }
}

static enum status take_changed(enum wire_kind kind, size_t at, uint8_t value)
{
    struct buffer bytes;
    struct wire_frame frame;
    struct wire_message message;
    struct slice messages;
    size_t size;
    buffer_init(&bytes, 1u << 20);
    message_of(kind, &message);
    wire_frame_open(&frame, &bytes);
    sample_add(&frame, &message);
    wire_frame_close(&frame);
    bytes.at[WIRE_FRAME_HEADER_SIZE + at] = value;
    sample_repair(bytes.at, bytes.size);
    assert_int_equal(wire_frame_take(slice_of_buffer(&bytes), &size, &messages), STATUS_OK);
    enum status status = wire_message_take(&messages, &message);
    buffer_deinit(&bytes);
    return status;
}

static const struct change CHANGES[] = {
    {"kind 0", WIRE_IDLE, 0, 0},
    {"kind 9", WIRE_IDLE, 0, 9},
    {"header not zero", WIRE_IDLE, 3, 1},
    {"idle with a body that is not there", WIRE_IDLE, 4, 1},
    {"close too short", WIRE_FORWARD_CLOSE, 4, 7},
    {"hello from nobody", WIRE_HELLO, 8 + 16, 0},
    {"hello to nobody", WIRE_HELLO, 8 + 24, 0},
    {"worker past the count", WIRE_HELLO, 8 + 40, 2},
    {"no such link", WIRE_HELLO, 8 + 48, 3},
    {"hello not zero", WIRE_HELLO, 8 + 55, 1},
    {"address with a line feed", WIRE_HELLO, 8 + 56, '\n'},
    {"bytes behind the address", WIRE_HELLO, 8 + 56 + 30, 'x'},
    {"raft kind 0", WIRE_RAFT, 8, 0},
    {"raft kind 10", WIRE_RAFT, 8, 10},
    {"raft flags", WIRE_RAFT, 9, 16},
    {"raft not zero", WIRE_RAFT, 15, 1},
    {"raft from nobody", WIRE_RAFT, 8 + 16, 0},
    {"raft to nobody", WIRE_RAFT, 8 + 24, 0},
    {"term too high", WIRE_RAFT, 8 + 39, 255},
    {"index too high", WIRE_RAFT, 8 + 47, 255},
    {"log term too high", WIRE_RAFT, 8 + 55, 255},
    {"last index too high", WIRE_RAFT, 8 + 63, 255},
    {"commit too high", WIRE_RAFT, 8 + 71, 255},
    {"acked too high", WIRE_RAFT, 8 + 79, 255},
    {"written too high", WIRE_RAFT, 8 + 87, 255},
    {"persisted too high", WIRE_RAFT, 8 + 95, 255},
    {"round too high", WIRE_RAFT, 8 + 103, 255},
    {"append of term 0", WIRE_RAFT, 8, RAFT_APPEND},
    {"count too high", WIRE_HEARTBEAT, 8 + 8, 2},
    {"count too low", WIRE_HEARTBEAT, 8 + 8, 0},
    {"count far too high", WIRE_HEARTBEAT, 8 + 11, 255},
    {"unknown state of a node", WIRE_HEARTBEAT, 8 + 12, 4},
    {"heartbeat not zero", WIRE_HEARTBEAT, 8 + 13, 1},
    {"beat from nobody", WIRE_HEARTBEAT, 8 + 16 + 8, 0},
    {"beat to nobody", WIRE_HEARTBEAT, 8 + 16 + 16, 0},
    {"beat's term too high", WIRE_HEARTBEAT, 8 + 16 + 31, 255},
    {"beat that agrees", WIRE_HEARTBEAT, 8 + 16 + 48, 1},
    {"answer that says who is behind", WIRE_HEARTBEAT_ANSWER, 8 + 16 + 55, 1},
    {"beat that agrees too much", WIRE_HEARTBEAT, 8 + 16 + 48, 2},
    {"answer neither yes nor no", WIRE_HEARTBEAT_ANSWER, 8 + 16 + 48, 2},
    {"sequence 0", WIRE_FORWARD, 8 + 16, 0},
    {"forward with an ack of 17", WIRE_FORWARD, 8 + 28, 17 << WIRE_FORWARD_ACK},
    {"token not a number", WIRE_FORWARD, 8 + 47, 255},
    {"no arguments", WIRE_FORWARD, 8 + 48, 0},
    {"more arguments than there are", WIRE_FORWARD, 8 + 48, 3},
    {"fewer arguments than there are", WIRE_FORWARD, 8 + 48, 1},
    {"argument longer than the request", WIRE_FORWARD, 8 + 53, 2},
    {"reply with a token that is none", WIRE_FORWARD_REPLY, 8 + 47, 255},
    {"reply to 0", WIRE_FORWARD_REPLY, 8 + 8, 0},
    {"outcome 0", WIRE_FORWARD_REPLY, 8 + 28, 0},
    {"outcome 4", WIRE_FORWARD_REPLY, 8 + 28, 4},
    {"snapshot from nobody", WIRE_SNAPSHOT_ASK, 8 + 8, 0},
    {"snapshot to nobody", WIRE_SNAPSHOT_HEADER, 8 + 16, 0},
    {"snapshot's index too high", WIRE_SNAPSHOT_NONE, 8 + 31, 255},
    {"snapshot's term too high", WIRE_SNAPSHOT_ASK, 8 + 39, 255},
    {"again neither yes nor no", WIRE_SNAPSHOT_ASK, 8 + 48, 2},
    {"a header again", WIRE_SNAPSHOT_HEADER, 8 + 48, 1},
    {"snapshot not zero", WIRE_SNAPSHOT_ASK, 8 + 55, 1},
    {"an ask with a place", WIRE_SNAPSHOT_ASK, 8 + 56, 1},
    {"a part past its chunk", WIRE_SNAPSHOT_PART, 8 + 56, 1},
    {"a chunk that is too large", WIRE_SNAPSHOT_PART, 8 + 71, 255},
    {"reply not zero", WIRE_FORWARD_REPLY, 8 + 31, 1},
};

static void wrong_fields_are_refused(void **state) /* WIRE-1 */
{
    (void)state;
    for (enum wire_kind kind = WIRE_HELLO; kind <= WIRE_FORWARD_CLOSE; kind++)
        assert_int_equal(take_changed(kind, 0, (uint8_t)kind), STATUS_OK); /* unchanged */
    for (enum wire_kind kind = WIRE_SNAPSHOT_ASK; kind <= WIRE_SNAPSHOT_NONE; kind++)
        assert_int_equal(take_changed(kind, 0, (uint8_t)kind), STATUS_OK);
    for (size_t i = 0; i < sizeof CHANGES / sizeof CHANGES[0]; i++) {
        const struct change *change = &CHANGES[i];
        if (take_changed(change->kind, change->at, change->value) != STATUS_INVALID)
            fail_msg("accepted: %s", change->name);
    }
}

/* ---- entries of an APPEND ---- */

struct planned_entry {
    uint64_t group, index, term;
};

static enum status take_append(struct raft_message message, const struct planned_entry *entries,
                               size_t count, size_t damaged_at)
{
    struct buffer bytes, logged;
    struct wire_frame frame;
    struct slice messages;
    struct wire_message got;
    size_t size;
    const struct slice nothing[2] = {{NULL, 0}, {NULL, 0}};
    buffer_init(&bytes, 1u << 20);
    buffer_init(&logged, 1u << 20);
    for (size_t i = 0; i < count; i++) {
        struct wire_entry entry = {.kind = WIRE_ENTRY_NOOP,
                                   .group = {entries[i].group},
                                   .index = entries[i].index,
                                   .term = entries[i].term};
        assert_int_equal(wire_entry_encode(&entry, nothing, &logged), STATUS_OK);
    }
    if (damaged_at)
        logged.at[damaged_at] ^= 1;
    struct slice all = slice_of_buffer(&logged);
    message.kind = RAFT_APPEND;
    message.group.value = 5;
    message.from.value = 1;
    message.to.value = 2;
    wire_frame_open(&frame, &bytes);
    wire_add_raft(&frame, &message, &all, 1);
    wire_frame_close(&frame);
    assert_int_equal(wire_frame_take(slice_of_buffer(&bytes), &size, &messages), STATUS_OK);
    enum status status = wire_message_take(&messages, &got);
    buffer_deinit(&bytes);
    buffer_deinit(&logged);
    return status;
}

static void entries_of_an_append_are_checked(void **state) /* WIRE-3 */
{
    (void)state;
    const struct raft_message two = {.term = 4, .index = 9, .log_term = 2, .last_index = 11};
    const struct raft_message none = {.term = 4, .index = 9, .log_term = 2, .last_index = 9};
    const struct planned_entry good[] = {{5, 10, 2}, {5, 11, 4}};
    const struct planned_entry gap[] = {{5, 10, 2}, {5, 12, 4}};
    const struct planned_entry late[] = {{5, 11, 2}, {5, 12, 4}};
    const struct planned_entry falls[] = {{5, 10, 3}, {5, 11, 2}};
    const struct planned_entry below[] = {{5, 10, 1}, {5, 11, 2}};
    const struct planned_entry above[] = {{5, 10, 2}, {5, 11, 5}};
    const struct planned_entry other[] = {{5, 10, 2}, {6, 11, 4}};
    assert_int_equal(take_append(two, good, 2, 0), STATUS_OK);
    assert_int_equal(take_append(none, NULL, 0, 0), STATUS_OK);
    assert_int_equal(take_append(two, good, 1, 0), STATUS_INVALID);
    assert_int_equal(take_append(two, NULL, 0, 0), STATUS_INVALID);
    assert_int_equal(take_append(none, good, 2, 0), STATUS_INVALID);
    assert_int_equal(take_append(two, gap, 2, 0), STATUS_INVALID);
    assert_int_equal(take_append(two, late, 2, 0), STATUS_INVALID);
    assert_int_equal(take_append(two, falls, 2, 0), STATUS_INVALID);
    assert_int_equal(take_append(two, below, 2, 0), STATUS_INVALID);
    assert_int_equal(take_append(two, above, 2, 0), STATUS_INVALID);
    assert_int_equal(take_append(two, other, 2, 0), STATUS_INVALID);
    assert_int_equal(take_append(two, good, 2, 48), STATUS_INVALID);
    assert_int_equal(take_append(two, good, 2, 4), STATUS_INVALID);
    assert_int_equal(take_append(two, good, 2, WIRE_ENTRY_HEADER_SIZE), STATUS_INVALID);
}

static void a_request_keeps_its_arguments(void **state)
{
    (void)state;
    const struct slice sent[3] = {slice_of_text("SET"), slice_of_text(""), slice_of_text("value")};
    struct slice got[3];
    size_t count;
    struct buffer bytes;
    buffer_init(&bytes, 1u << 20);
    wire_request_encode(sent, 3, &bytes);
    struct slice request = slice_of_buffer(&bytes);
    assert_int_equal(wire_request_take(request, got, 2, &count), STATUS_INVALID);
    assert_int_equal(wire_request_take(request, got, 3, &count), STATUS_OK);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(slice_equal(sent[i], got[i]));
    for (size_t size = 0; size < request.size; size++)
        assert_int_equal(wire_request_take(slice_of(bytes.at, size), got, 3, &count),
                         STATUS_INVALID);
    buffer_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(many_messages_and_frames_in_one_buffer),
        cmocka_unit_test(a_frame_says_how_much_is_needed),
        cmocka_unit_test(a_bad_header_is_refused_at_its_first_bytes),
        cmocka_unit_test(each_flipped_bit_is_seen),
        cmocka_unit_test(wrong_fields_are_refused),
        cmocka_unit_test(entries_of_an_append_are_checked),
        cmocka_unit_test(a_request_keeps_its_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
