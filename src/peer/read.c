/* read.c - peer_next: what has arrived, taken apart message by message.
 *
 * Bytes are read into the one `room` and taken apart there. What is left of an incomplete frame at
 * the end of a link's turn moves into its `partial`; a frame that is larger than the room is
 * gathered in `partial` from the start, which grows as bytes arrive and not as announced. */
#include "peer/inside.h"

#include "base/memory.h"

#include <assert.h>

void connection_mark_ready(struct peer_set *set, struct connection *connection)
{
    list_remove(&connection->ready);
    list_append(&set->ready, &connection->ready);
}

void reader_forget(struct reader *reader, const struct connection *connection)
{
    if (reader->from != connection)
        return;
    reader->from = NULL;
    reader->bytes = reader->messages = (struct slice){NULL, 0};
}

void reader_release(struct reader *reader)
{
    empty_buffer(&reader->whole);
    memory_free(reader->post);
    reader->post = NULL;
}

static void stash(struct connection *connection, struct slice bytes)
{
    enum status status = buffer_append(&connection->partial, bytes.at, bytes.size);
    assert(status == STATUS_OK); /* fewer than a frame's size, and that was checked */
}

static void reading_begin(struct peer_set *set, struct connection *connection)
{
    struct reader *reader = &set->reader;
    list_remove(&connection->ready);
    reader->from = connection;
    reader->budget = READ_SIZE;
    reader->drained = false;
    reader->bytes = reader->messages = (struct slice){NULL, 0};
    if (connection->partial.size == 0 || connection->needed > READ_SIZE)
        return;
    memcpy(reader->room, connection->partial.at, connection->partial.size);
    reader->bytes = slice_of(reader->room, connection->partial.size);
    empty_buffer(&connection->partial);
}

/* Whole frames, all there. */
static void reading_begin_post(struct peer_set *set)
{
    struct reader *reader = &set->reader;
    struct peer_post *post = list_item(set->posts.next, struct peer_post, link);
    list_remove(&post->link);
    reader->post = post;
    reader->from = local_connection(set, post);
    reader->budget = 0;
    reader->drained = true;
    reader->messages = (struct slice){NULL, 0};
    reader->bytes = reader->from ? slice_of(post->bytes, post->size) : reader->messages;
}

static void reading_end(struct peer_set *set)
{
    struct reader *reader = &set->reader;
    struct connection *connection = reader->from;
    stash(connection, reader->bytes);
    reader_forget(reader, connection);
    if (connection->ended && reader->drained)
        connection_lose(set, connection);
}

/* One read of at most `size` bytes; false when the connection was lost. */
static bool read_some(struct peer_set *set, uint8_t *into, size_t size, size_t *got)
{
    struct reader *reader = &set->reader;
    struct connection *connection = reader->from;
    *got = 0;
    if (size > reader->budget)
        size = reader->budget;
    enum status status = io_read(set->io, connection->stream, into, size, got);
    if (status != STATUS_OK && status != STATUS_AGAIN) {
        connection_lose(set, connection);
        return false;
    }
    reader->drained = *got < size;
    reader->budget -= *got;
    if (*got) {
        connection->heard_ns = io_now_ns(set->io);
        connection->looked = false;
    }
    return true;
}

/* A stranger may not make us hold more than its hello needs, whatever it announces. */
static size_t room_size(const struct connection *connection)
{
    return connection_is_stranger(connection) ? STRANGER_BYTES_MAX : READ_SIZE;
}

static void fill_room(struct peer_set *set)
{
    struct reader *reader = &set->reader;
    size_t kept = reader->bytes.size, got;
    size_t size = room_size(reader->from);
    assert(kept < size);
    if (kept && reader->bytes.at != reader->room)
        memmove(reader->room, reader->bytes.at, kept);
    if (read_some(set, reader->room + kept, size - kept, &got))
        reader->bytes = slice_of(reader->room, kept + got);
}

static void fill_large_frame(struct peer_set *set)
{
    struct reader *reader = &set->reader;
    struct connection *connection = reader->from;
    struct buffer *partial = &connection->partial;
    size_t missing, got;
    stash(connection, reader->bytes);
    reader->bytes.size = 0;
    missing = connection->needed - partial->size;
    if (missing > READ_SIZE)
        missing = READ_SIZE;
    enum status status = buffer_reserve(partial, missing);
    assert(status == STATUS_OK);
    if (!read_some(set, partial->at + partial->size, missing, &got))
        return;
    partial->size += got;
    if (partial->size < connection->needed)
        return;
    struct buffer empty = reader->whole;
    reader->whole = *partial;
    *partial = empty;
    empty_buffer(partial);
    reader->bytes = slice_of_buffer(&reader->whole);
}

static void read_more(struct peer_set *set)
{
    struct reader *reader = &set->reader;
    if (reader->drained || reader->budget == 0) {
        reading_end(set); /* level-triggered: if there is more, the next gather says so */
        return;
    }
    if (reader->from->needed > READ_SIZE)
        fill_large_frame(set);
    else
        fill_room(set);
}

/* Finds the next whole frame among the bytes; false when more bytes are needed or the connection is
 * lost. */
static bool next_frame(struct peer_set *set)
{
    struct reader *reader = &set->reader;
    struct connection *connection = reader->from;
    size_t size = WIRE_FRAME_HEADER_SIZE;
    enum status status;
    if (connection->partial.size) /* a large frame, incomplete: `needed` is known */
        return false;
    status = wire_frame_take(reader->bytes, &size, &reader->messages);
    if (status == STATUS_OK) {
        reader->bytes = slice_of(reader->bytes.at + size, reader->bytes.size - size);
        connection->needed = WIRE_FRAME_HEADER_SIZE;
        return true;
    }
    if (status == STATUS_AGAIN) {
        connection->needed = size;
        if (size > room_size(connection) && connection_is_stranger(connection))
            connection_refuse(set, connection, "announced more than a hello");
        return false;
    }
    connection_refuse(set, connection,
                      status == STATUS_FOREIGN   ? "is not a holdfast node of this version (a "
                                                   "client at the peer port?)"
                      : status == STATUS_DAMAGED ? "sent a damaged frame"
                                                 : "sent something malformed");
    return false;
}

static bool next_message(struct peer_set *set, struct peer_happening *out)
{
    struct reader *reader = &set->reader;
    struct connection *connection = reader->from;
    if (wire_message_take(&reader->messages, &out->message) != STATUS_OK) {
        connection_refuse(set, connection, "sent a malformed message"); /* PEER-4 */
        return false;
    }
    if (connection->state == CONNECTION_GREETING) {
        connection_greet(set, connection, &out->message);
        return false;
    }
    if (out->message.kind == WIRE_HELLO) {
        connection_refuse(set, connection, "said hello twice");
        return false;
    }
    out->kind = out->message.kind == WIRE_IDLE ? PEER_HEARD : PEER_MESSAGE;
    out->node = connection->link->node->id.node;
    out->worker = connection->link->node->id.worker;
    out->link = connection->link->kind;
    out->behind = reader->messages;
    return true;
}

static bool read_step(struct peer_set *set, struct peer_happening *out)
{
    if (set->reader.messages.size)
        return next_message(set, out);
    if (!next_frame(set) && set->reader.from)
        read_more(set);
    return false;
}

/* ---- what is to be told besides messages ---- */

static bool next_line(struct peer_set *set, struct peer_happening *out)
{
    out->line = line_take(&set->lines);
    if (!out->line)
        return false;
    out->kind = PEER_LINE;
    out->node.value = 0;
    return true;
}

static enum peer_happening_kind change_of(struct peer_link *link, bool *other_incarnation)
{
    if (link->told_up && (link->is_newer || !link_is_up(link))) {
        link->told_up = link->is_newer = false; /* PEER-1: once for each loss */
        return PEER_DOWN;
    }
    if (!link->told_up && link_is_up(link)) {
        *other_incarnation = link->is_other_incarnation;
        link->told_up = true;
        link->is_other_incarnation = false;
        return PEER_UP;
    }
    if (link->is_refused) {
        link->is_refused = false;
        return PEER_REFUSED;
    }
    return 0;
}

static bool next_change(struct peer_set *set, struct peer_happening *out)
{
    while (!list_is_empty(&set->changed)) {
        struct peer_link *link = list_item(set->changed.next, struct peer_link, changed);
        out->kind = change_of(link, &out->other_incarnation);
        out->node = link->node->id.node;
        out->worker = link->node->id.worker;
        out->link = link->kind;
        if (out->kind)
            return true;
        list_remove(&link->changed);
    }
    return false;
}

/* Lines before the change that they explain; changes before messages, since a message after a hello
 * must follow its UP; deadlines last, when everything that has arrived has been heard. What was
 * handed out before lies in `whole` or `room` and has been dealt with by now. */
bool peer_next(struct peer_set *set, struct peer_happening *out)
{
    out->other_incarnation = false;
    for (;;) {
        if (next_line(set, out) || next_change(set, out))
            return true;
        if (set->reader.from) {
            if (read_step(set, out))
                return true;
        } else if (!list_is_empty(&set->ready)) {
            reader_release(&set->reader);
            reading_begin(set, list_item(set->ready.next, struct connection, ready));
        } else if (!list_is_empty(&set->posts)) {
            reader_release(&set->reader);
            reading_begin_post(set);
        } else if (set->timer_fired) {
            deadlines_run(set);
        } else {
            reader_release(&set->reader);
            return false;
        }
    }
}
