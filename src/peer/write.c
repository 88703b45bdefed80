#include "peer/inside.h"

#include <assert.h>

size_t connection_waiting(const struct connection *connection)
{
    size_t waiting = connection->out.size - connection->sent;
    if (connection->frame_is_open && wire_frame_is_empty(&connection->frame))
        waiting -= WIRE_FRAME_HEADER_SIZE;
    return waiting;
}

static size_t open_size(const struct connection *connection)
{
    return connection->frame_is_open ? connection->out.size - connection->frame.start : 0;
}

static void close_frame(struct connection *connection)
{
    if (connection->frame_is_open)
        wire_frame_close(&connection->frame);
    connection->frame_is_open = false;
}

struct wire_frame *connection_frame(struct peer_set *set, struct connection *connection)
{
    /* The other side believes a frame only when it is whole: large ones cost it memory. */
    if (open_size(connection) > FRAME_TARGET)
        close_frame(connection);
    if (!connection->frame_is_open) {
        wire_frame_open(&connection->frame, &connection->out);
        connection->frame_is_open = true;
        list_remove(&connection->dirty);
        list_append(&set->dirty, &connection->dirty);
    }
    return &connection->frame;
}

struct wire_frame *peer_frame(struct peer_set *set, struct peer_id peer, enum wire_link link)
{
    struct connection *connection = set_up_connection(set, peer, link);
    if (!connection)
        return NULL;
    if (connection_waiting(connection) >= set->options.buffered_max + OVERRUN_MAX) {
        /* PEER-2. A loss in silence, with the link up, would break PEER-1. */
        line_say(set, "%s link to node %llu closed: more than %zu MiB queued; it is opened again",
                 link_name(link), (unsigned long long)peer.node.value,
                 (set->options.buffered_max + OVERRUN_MAX) >> 20);
        connection_lose(set, connection);
        return NULL;
    }
    return connection_frame(set, connection);
}

size_t peer_room(const struct peer_set *set, struct peer_id peer, enum wire_link link)
{
    const struct connection *connection = set_up_connection(set, peer, link);
    if (!connection)
        return 0;
    size_t waiting = connection_waiting(connection);
    if (waiting >= set->options.buffered_max)
        return 0;
    size_t room = set->options.buffered_max - waiting, open = open_size(connection);
    size_t fits =
        open + FRAME_MARGIN < WIRE_FRAME_SIZE_MAX ? WIRE_FRAME_SIZE_MAX - FRAME_MARGIN - open : 0;
    return room < fits ? room : fits;
}

size_t peer_waiting(const struct peer_set *set, struct peer_id id, enum wire_link link)
{
    const struct connection *connection = set_up_connection(set, id, link);
    return connection ? connection_waiting(connection) : 0;
}

static void set_blocked(struct peer_set *set, struct connection *connection, bool blocked)
{
    if (connection->blocked != blocked)
        io_want_write(set->io, connection->stream, blocked);
    connection->blocked = blocked;
}

/* Keeps the memory of ordinary turns, not that of one great entry. */
void empty_buffer(struct buffer *buffer)
{
    buffer_reset(buffer);
    if (buffer->capacity > KEPT_SIZE)
        buffer_deinit(buffer);
}

void connection_write(struct peer_set *set, struct connection *connection, uint64_t now_ns)
{
    size_t wrote = 0;
    close_frame(connection);
    list_remove(&connection->dirty);
    if (connection->out.size == 0)
        return;
    if (connection->is_local) {
        local_write(set, connection);
        return;
    }
    struct slice rest =
        slice_of(connection->out.at + connection->sent, connection->out.size - connection->sent);
    enum status status = io_write(set->io, connection->stream, &rest, 1, &wrote);
    if (status != STATUS_OK && status != STATUS_AGAIN) {
        connection_lose(set, connection);
        return;
    }
    if (status == STATUS_OK) {
        assert(wrote <= rest.size);
        connection->sent += wrote;
        connection->sent_ns = now_ns;
    }
    bool done = connection->sent == connection->out.size;
    set_blocked(set, connection, !done);
    if (done) {
        connection->sent = 0;
        empty_buffer(&connection->out);
    } else if (connection->sent > connection->out.size / 2) {
        /* Moves less than was sent since the last time, so a byte is moved once on average. */
        buffer_consume(&connection->out, connection->sent);
        connection->sent = 0;
    }
}

void peer_flush(struct peer_set *set)
{
    if (list_is_empty(&set->dirty))
        return;
    uint64_t now_ns = io_now_ns(set->io);
    while (!list_is_empty(&set->dirty)) {
        struct connection *connection = list_item(set->dirty.next, struct connection, dirty);
        if (connection->blocked) { /* WRITABLE will tell; trying now would be a call in vain */
            close_frame(connection);
            list_remove(&connection->dirty);
        } else {
            connection_write(set, connection, now_ns);
        }
    }
}
