/* The bytes that other builds have written and will read: tests/golden/wire.txt. REWRITE=1 writes
 * the file anew; a change of a line there is a change of the format (R21). WIRE-2. */
#include "tests/wire/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define GOLDEN "tests/golden/wire.txt"

static void say(struct buffer *text, const char *name, const struct buffer *bytes)
{
    char line[200];
    size_t at = 0;
    int size = snprintf(line, sizeof line, "%s: %zu bytes\n", name, bytes->size);
    assert_int_equal(buffer_append(text, line, (size_t)size), STATUS_OK);
    while (at < bytes->size) {
        size_t used = (size_t)snprintf(line, sizeof line, "  %4zu", at);
        for (size_t i = 0; i < 16 && at < bytes->size; i++, at++)
            used += (size_t)snprintf(line + used, sizeof line - used, "%s%02x",
                                     i % 8 == 0 ? "  " : " ", bytes->at[at]);
        line[used++] = '\n';
        assert_int_equal(buffer_append(text, line, used), STATUS_OK);
    }
}

static void say_entry(struct buffer *text, const char *name, const struct wire_entry *entry)
{
    struct buffer bytes;
    const struct slice pieces[2] = {entry->payload, {NULL, 0}};
    buffer_init(&bytes, 1u << 20);
    assert_int_equal(wire_entry_encode(entry, pieces, &bytes), STATUS_OK);
    say(text, name, &bytes);
    buffer_deinit(&bytes);
}

static void say_message(struct buffer *text, const char *name, const struct wire_message *message)
{
    struct buffer bytes;
    struct wire_frame frame;
    buffer_init(&bytes, 1u << 20);
    wire_frame_open(&frame, &bytes);
    sample_add(&frame, message);
    wire_frame_close(&frame);
    say(text, name, &bytes);
    buffer_deinit(&bytes);
}

static const struct wire_entry PLAIN = {.kind = WIRE_ENTRY_COMMANDS,
                                        .group = {0x0102},
                                        .index = 0x0304,
                                        .term = 0x05,
                                        .time_us = 0x0607,
                                        .ack = 8,
                                        .payload = {(const uint8_t *)"payload", 7}};

static void say_entries(struct buffer *text)
{
    struct wire_entry entry = PLAIN;
    say_entry(text, "entry commands", &entry);
    entry.flags = WIRE_ENTRY_ONCE | WIRE_ENTRY_CONNECTION;
    entry.once_client = 0x11;
    entry.once_sequence = 0x12;
    entry.connection_node = 0x13;
    entry.connection = 0x14;
    say_entry(text, "entry commands, once and connection", &entry);
    entry = PLAIN;
    entry.kind = WIRE_ENTRY_NOOP;
    entry.payload.size = 0;
    say_entry(text, "entry noop", &entry);
}

static void say_raft(struct buffer *text)
{
    struct buffer entries;
    const struct slice pieces[2] = {PLAIN.payload, {NULL, 0}};
    buffer_init(&entries, 1u << 20);
    assert_int_equal(wire_entry_encode(&PLAIN, pieces, &entries), STATUS_OK);
    struct wire_message message = {.kind = WIRE_RAFT};
    message.raft.message = (struct raft_message){.kind = RAFT_APPEND,
                                                 .group = PLAIN.group,
                                                 .from = {1},
                                                 .to = {2},
                                                 .term = 6,
                                                 .index = PLAIN.index - 1,
                                                 .log_term = 4,
                                                 .last_index = PLAIN.index,
                                                 .commit = 0x21,
                                                 .acked = 0x22,
                                                 .round = 0x23};
    message.raft.entries = slice_of_buffer(&entries);
    say_message(text, "frame with an append of one entry", &message);
    message.raft.entries.size = 0;
    message.raft.message = (struct raft_message){.kind = RAFT_VOTE_ANSWER,
                                                 .group = {3},
                                                 .from = {2},
                                                 .to = {1},
                                                 .term = 6,
                                                 .index = 0x31,
                                                 .log_term = 5,
                                                 .written = 0x32,
                                                 .persisted = 0x33,
                                                 .lease_remaining_ns = 0x34,
                                                 .wall_us = 0x35,
                                                 .granted = true,
                                                 .transfer = true};
    say_message(text, "frame with a vote answer", &message);
    buffer_deinit(&entries);
}

static void say_snapshot(struct buffer *text)
{
    struct wire_message message = {.kind = WIRE_RAFT};
    message.raft.message = (struct raft_message){.kind = RAFT_SNAPSHOT_OFFER,
                                                 .group = {3},
                                                 .from = {1},
                                                 .to = {2},
                                                 .term = 6,
                                                 .index = 0x31,
                                                 .log_term = 5,
                                                 .acked = 0x32,
                                                 .round = 0x33};
    say_message(text, "frame with a snapshot offer", &message);
    message.raft.message = (struct raft_message){.kind = RAFT_SNAPSHOT_ANSWER,
                                                 .group = {3},
                                                 .from = {2},
                                                 .to = {1},
                                                 .term = 6,
                                                 .index = 0x31,
                                                 .written = 0x34,
                                                 .persisted = 0x35,
                                                 .round = 0x33,
                                                 .granted = true,
                                                 .unsure = true,
                                                 .everybody = true};
    say_message(text, "frame with a snapshot answer, all flags but transfer", &message);
}

static void say_links(struct buffer *text)
{
    const struct wire_beat beats[2] = {
        {.group = {1}, .from = {2}, .to = {3}, .term = 4, .round = 5, .commit = 6},
        {.group = {7}, .from = {8}, .to = {9}, .term = 10, .round = 11, .commit = 12, .agreed = 1},
    };
    struct wire_message message = {.kind = WIRE_HELLO};
    message.hello = (struct wire_hello){.cluster = {0x41, 0x42},
                                        .from = {0x43},
                                        .to = {0x44},
                                        .incarnation = 0x45,
                                        .worker = 1,
                                        .workers = 2,
                                        .link = WIRE_LINK_CONTROL,
                                        .client_address = "10.1.2.3:6379"};
    say_message(text, "frame with a hello", &message);
    message = (struct wire_message){.kind = WIRE_IDLE};
    say_message(text, "frame with an idle", &message);
    message = (struct wire_message){.kind = WIRE_HEARTBEAT};
    message.heartbeat.wall_us = 0x51;
    message.heartbeat.count = 1;
    message.heartbeat.beats = slice_of(beats, sizeof beats);
    say_message(text, "frame with a heartbeat of one group", &message);
    message.kind = WIRE_HEARTBEAT_ANSWER;
    message.heartbeat.count = 2;
    say_message(text, "frame with a heartbeat answer about two groups", &message);
    const struct wire_beat late = {
        .group = {1}, .from = {2}, .to = {3}, .term = 4, .commit = 6, .behind = 0x0d0e0f};
    message.kind = WIRE_HEARTBEAT;
    message.heartbeat.count = 1;
    message.heartbeat.beats = slice_of(&late, sizeof late);
    say_message(text, "frame with a heartbeat for one that is behind", &message);
}

static void say_forwards(struct buffer *text)
{
    static const uint8_t request[] = {2, 3, 'G', 'E', 'T', 1, 'k'};
    struct wire_message message = {.kind = WIRE_FORWARD};
    message.forward = (struct wire_forward){.group = {0x61},
                                            .session = 0x62,
                                            .epoch = 0x63,
                                            .sequence = 0x64,
                                            .flags = WIRE_FORWARD_RESP3,
                                            .database = 3,
                                            .waited_ms = 0x6566,
                                            .request = {request, sizeof request}};
    say_message(text, "frame with a forward", &message);
    message = (struct wire_message){.kind = WIRE_FORWARD_REPLY};
    message.forward_reply = (struct wire_forward_reply){.session = 0x62,
                                                        .epoch = 0x63,
                                                        .sequence = 0x64,
                                                        .outcome = WIRE_OUTCOME_DONE,
                                                        .leader = {0x65},
                                                        .reply = {(const uint8_t *)"+OK\r\n", 5}};
    say_message(text, "frame with a forward reply", &message);
    message = (struct wire_message){.kind = WIRE_FORWARD_CLOSE};
    message.forward_close.session = 0x66;
    say_message(text, "frame with a forward close", &message);
}

static void say_snapshots(struct buffer *text)
{
    struct wire_message message = {.kind = WIRE_SNAPSHOT_ASK};
    message.snapshot = (struct wire_snapshot){.group = {0x71},
                                              .from = {0x72},
                                              .to = {0x73},
                                              .index = 0x74,
                                              .term = 0x75,
                                              .chunk = 0x76,
                                              .count = 2,
                                              .again = true};
    say_message(text, "frame with a snapshot asked for", &message);
    message.kind = WIRE_SNAPSHOT_HEADER;
    message.snapshot.again = false;
    message.snapshot.keys = 0x77;
    message.snapshot.content = 0x78;
    message.snapshot.bytes = slice_of("header", 6);
    say_message(text, "frame with a snapshot's header", &message);
    message.kind = WIRE_SNAPSHOT_PART;
    message.snapshot.offset = 0x79;
    message.snapshot.size = 0x7a + 4;
    message.snapshot.bytes = slice_of("part", 4);
    say_message(text, "frame with a part of a snapshot", &message);
}

static void file_read(const char *path, struct buffer *out)
{
    char piece[4096];
    size_t got;
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot read %s: run in the source root, or with REWRITE=1", path);
    while ((got = fread(piece, 1, sizeof piece, file)) > 0)
        assert_int_equal(buffer_append(out, piece, got), STATUS_OK);
    fclose(file);
}

static void file_write(const char *path, const struct buffer *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text->at, 1, text->size, file), text->size);
    assert_int_equal(fclose(file), 0);
}

static void bytes_are_the_golden_ones(void **state)
{
    (void)state;
    struct buffer text, golden;
    buffer_init(&text, 1u << 20);
    buffer_init(&golden, 1u << 20);
    say_entries(&text);
    say_raft(&text);
    say_snapshot(&text);
    say_links(&text);
    say_forwards(&text);
    say_snapshots(&text);
    if (getenv("REWRITE"))
        file_write(GOLDEN, &text);
    file_read(GOLDEN, &golden);
    if (!slice_equal(slice_of_buffer(&text), slice_of_buffer(&golden)))
        fail_msg("the format has changed; it now gives:\n%.*s", (int)text.size,
                 (const char *)text.at);
    buffer_deinit(&text);
    buffer_deinit(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_are_the_golden_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
