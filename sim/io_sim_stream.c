/* io_sim_stream.c - io.h: streams, over the connections of network.h. */
/* SIM-2: without a fault the calls below do what io.h says; the contract suite judges both. */
#include "sim/parts.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static const struct io_stream stream_nobody = {UINT32_MAX, 1};

/* ---- slots ---- */

static struct stream *stream_make(struct io *io, enum stream_kind kind)
{
    if (io->free_stream_count == 0) {
        if (io->stream_count == io->stream_capacity) {
            io->stream_capacity = io->stream_capacity == 0 ? 16 : io->stream_capacity * 2;
            io->streams = memory_resize(io->streams, io->stream_capacity * sizeof(struct stream *));
            io->free_streams =
                memory_resize(io->free_streams, io->stream_capacity * sizeof(uint32_t));
        }
        struct stream *stream = memory_zeroed(1, sizeof *stream);
        stream->io = io;
        stream->index = (uint32_t)io->stream_count;
        list_init(&stream->ready);
        io->streams[io->stream_count++] = stream;
        io->free_streams[io->free_stream_count++] = stream->index;
    }
    struct stream *stream = io->streams[io->free_streams[--io->free_stream_count]];
    stream->generation++;
    stream->kind = kind;
    stream->tag = 0;
    stream->started = stream->paused = stream->wants_write = stream->closed_told = stream->met_end =
        false;
    stream->end = NULL;
    stream->listener = NULL;
    return stream;
}

void stream_free(struct stream *stream)
{
    struct io *io = stream->io;
    list_remove(&stream->ready);
    stream->kind = STREAM_FREE;
    stream->end = NULL;
    stream->listener = NULL;
    io->free_streams[io->free_stream_count++] = stream->index;
}

static struct io_stream handle_of(const struct stream *stream)
{
    return (struct io_stream){stream->index, stream->generation};
}

struct stream *stream_at(struct io *io, struct io_stream handle)
{
    if (handle.index >= io->stream_count)
        return NULL;
    struct stream *stream = io->streams[handle.index];
    return stream->generation == handle.generation && stream->kind != STREAM_FREE ? stream : NULL;
}

void streams_deinit(struct io *io)
{
    for (size_t i = 0; i < io->stream_count; i++)
        memory_free(io->streams[i]);
    memory_free(io->streams);
    memory_free(io->free_streams);
}

static void stream_close(struct stream *stream, bool reset)
{
    if (stream->kind == STREAM_LISTENER)
        listener_close(stream->listener);
    else if (stream->end != NULL)
        end_close(stream->end, reset);
    stream_free(stream);
}

void streams_close_all(struct io *io, bool clean)
{
    struct random *random = &io->world->network;
    for (size_t i = 0; i < io->stream_count; i++)
        if (io->streams[i]->kind != STREAM_FREE)
            stream_close(io->streams[i], !clean && random_next(random) % 4 == 0);
}

/* ---- what there is to report ---- */

static bool is_readable(const struct stream *stream)
{
    struct end *end = stream->end;
    return stream->started && !stream->paused && !stream->met_end && end != NULL &&
           end->state == END_OPEN && (end_other(end)->out.arrived > 0 || end->ended || end->reset);
}

static bool is_writable(const struct stream *stream)
{
    const struct end *end = stream->end;
    return stream->started && stream->wants_write && end != NULL && end->state == END_OPEN &&
           (end->reset || (!end->out.full && flow_room(&end->out) > 0));
}

/* A reset is news even to who has read the end. */
static bool is_closed_unread(const struct stream *stream)
{
    const struct end *end = stream->end;
    return stream->started && (stream->paused || stream->met_end) && !stream->closed_told &&
           end != NULL && end->state == END_OPEN &&
           (end->reset || (end->ended && !stream->met_end));
}

bool stream_has_events(const struct stream *stream)
{
    if (stream->kind == STREAM_LISTENER)
        return stream->listener->acceptable_count > 0 && !stream->io->machine->accepts_fail;
    return is_readable(stream) || is_writable(stream) || is_closed_unread(stream);
}

void stream_touch(struct stream *stream)
{
    if (stream == NULL || !stream_has_events(stream))
        return;
    if (list_is_empty(&stream->ready))
        list_append(&stream->io->ready, &stream->ready);
    io_notify(stream->io);
}

static size_t accept_events(struct stream *listener, struct io_event *events, size_t max)
{
    struct io *io = listener->io;
    struct connection *connection;
    size_t count = 0;
    while (count < max && (connection = listener_accept(listener->listener)) != NULL) {
        struct stream *stream = stream_make(io, STREAM_CONNECTION);
        stream->end = &connection->ends[1];
        stream->end->stream = stream;
        io->counters.accepts++;
        io->machine->counters.accepts++;
        world_trace(io->world, TRACE_ACCEPTED, io->machine, connection->ends[1].port,
                    connection->ends[0].port, 0);
        events[count++] = (struct io_event){
            .kind = IO_ACCEPTED, .tag = listener->tag, .stream = handle_of(stream)};
    }
    return count;
}

size_t stream_events(struct stream *stream, struct io_event *events, size_t max)
{
    size_t count = 0;
    if (stream->kind == STREAM_LISTENER)
        return stream->io->machine->accepts_fail ? 0 : accept_events(stream, events, max);
    struct io_event event = {.tag = stream->tag, .stream = handle_of(stream)};
    bool readable = is_readable(stream), writable = is_writable(stream);
    if (max == 1 && readable && writable) /* no room for both */
        readable = random_next(&stream->io->world->turns) % 2 == 0;
    if (readable) {
        event.kind = IO_READABLE;
        events[count++] = event;
    }
    if (writable && count < max) {
        event.kind = IO_WRITABLE;
        events[count++] = event;
    }
    if (count < max && is_closed_unread(stream)) {
        stream->closed_told = true;
        event.kind = IO_CLOSED;
        events[count++] = event;
    }
    return count;
}

/* ---- addresses ---- */

struct address {
    char host[IO_ADDRESS_SIZE];
    uint16_t port;
    bool is_loopback, is_any;
};

static bool parse_address(const char *text, struct address *out)
{
    const char *colon = strrchr(text, ':');
    if (strlen(text) >= IO_ADDRESS_SIZE || colon == NULL || colon == text || colon[1] == 0 ||
        strlen(colon + 1) > 5 || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    if (port > UINT16_MAX)
        return false;
    memcpy(out->host, text, (size_t)(colon - text));
    out->host[colon - text] = 0;
    out->port = (uint16_t)port;
    out->is_loopback = strcmp(out->host, "127.0.0.1") == 0 || strcmp(out->host, "localhost") == 0;
    out->is_any = strcmp(out->host, "0.0.0.0") == 0 || strcmp(out->host, "*") == 0;
    return strpbrk(out->host, ":[]") == NULL; /* no machine here has an IPv6 address */
}

/* ---- listening and connecting ---- */

static bool is_port_taken(const struct machine *machine, uint16_t port)
{
    for (const struct list *link = machine->listeners.next; link != &machine->listeners;
         link = link->next)
        if (list_item(link, struct listener, link)->port == port)
            return true;
    return false;
}

static uint16_t port_for_listener(struct machine *machine)
{
    do {
        machine->next_port =
            machine->next_port >= 65535 ? 32768 : (uint16_t)(machine->next_port + 1);
    } while (is_port_taken(machine, machine->next_port));
    return machine->next_port;
}

enum status io_listen(struct io *io, const char *text, uint64_t tag, struct io_stream *out,
                      char why[128])
{
    struct machine *machine = io->machine;
    struct address address;
    if (!parse_address(text, &address)) {
        snprintf(why, 128, "'%.60s' is not HOST:PORT", text);
        return STATUS_INVALID;
    }
    if (io_is_gone(io)) {
        *out = stream_nobody;
        return STATUS_OK;
    }
    if (!address.is_loopback && !address.is_any && strcmp(address.host, machine->host) != 0) {
        snprintf(why, 128, "%.80s is not an address of this machine", address.host);
        return STATUS_IO;
    }
    if (address.port != 0 && is_port_taken(machine, address.port)) {
        snprintf(why, 128, "%.60s is in use", text);
        return STATUS_IN_USE;
    }
    struct stream *stream = stream_make(io, STREAM_LISTENER);
    struct listener *listener = memory_zeroed(1, sizeof *listener);
    stream->tag = tag;
    stream->listener = listener;
    listener->stream = stream;
    listener->port = address.port != 0 ? address.port : port_for_listener(machine);
    listener->loopback_only = address.is_loopback;
    listener->any_host = address.is_any;
    list_init(&listener->waiting);
    list_append(&machine->listeners, &listener->link);
    *out = handle_of(stream);
    return STATUS_OK;
}

enum status io_connect(struct io *io, const char *text, uint64_t tag, struct io_stream *out)
{
    struct address address;
    if (!parse_address(text, &address) || address.port == 0)
        return STATUS_INVALID;
    if (!io_touches_outside(io)) {
        *out = stream_nobody;
        return STATUS_OK;
    }
    struct machine *machine = io->machine;
    bool loopback = address.is_loopback || address.is_any;
    struct machine *to = loopback ? machine : world_machine_of_host(io->world, address.host);
    struct connection *connection = connection_dial(machine, to, address.port);
    struct stream *stream = stream_make(io, STREAM_CONNECTION);
    connection->loopback = loopback;
    snprintf(connection->dialled, sizeof connection->dialled, "%s", text);
    stream->tag = tag;
    stream->started = true;
    stream->end = &connection->ends[0];
    stream->end->stream = stream;
    machine->counters.connects++;
    *out = handle_of(stream);
    return STATUS_OK;
}

void io_stream_start(struct io *io, struct io_stream handle, uint64_t tag)
{
    struct stream *stream = stream_at(io, handle);
    if (stream == NULL || stream->kind != STREAM_CONNECTION)
        return;
    stream->tag = tag;
    stream->started = true;
    stream_touch(stream);
}

/* The other worker has the stream at once, and hears of it when the message is there: in between
 * nothing of it is told, as it was not started. */
bool io_stream_give(struct io *io, struct io_stream handle, unsigned worker, uint64_t tag,
                    void *message)
{
    struct stream *stream = stream_at(io, handle);
    assert(worker < io->machine->worker_count);
    struct io *receiver = io->machine->ios[worker];
    if (io_is_gone(io) || stream == NULL || stream->end == NULL || stream->end->state != END_OPEN)
        return false;
    struct end *end = stream->end;
    stream_free(stream);
    end->stream = NULL;
    if (receiver->dead) {
        end_close(end, true);
        message_lose(io->machine, message);
        return true;
    }
    struct stream *given = stream_make(receiver, STREAM_CONNECTION);
    given->end = end;
    end->stream = given;
    struct message *post = message_send(io, receiver, tag, message);
    post->brings_stream = true;
    post->stream = handle_of(given);
    return true;
}

/* ---- bytes ---- */

enum status io_read(struct io *io, struct io_stream handle, uint8_t *into, size_t size, size_t *got)
{
    struct stream *stream = stream_at(io, handle);
    if (stream == NULL)
        return io_is_gone(io) ? STATUS_AGAIN : STATUS_CLOSED;
    struct end *end = stream->end;
    if (end == NULL)
        return STATUS_CLOSED;
    if (end->state != END_OPEN)
        return STATUS_AGAIN;
    if (stream->met_end)
        return STATUS_CLOSED;
    io->counters.reads++;
    io->machine->counters.receives++;
    size_t taken = flow_take(end, into, size);
    if (taken == 0) {
        if (!end->ended && !end->reset)
            return STATUS_AGAIN;
        stream->met_end = true;
        stream->closed_told |= end->reset;
        return STATUS_CLOSED;
    }
    io->machine->counters.received_bytes += taken;
    world_trace(io->world, TRACE_RECEIVE, io->machine, end->port, taken, 0);
    *got = taken;
    return STATUS_OK;
}

static size_t total_size(const struct slice *pieces, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += pieces[i].size;
    return total;
}

static uint64_t checksum_pieces(const struct slice *pieces, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum = checksum_seeded(pieces[i].at, pieces[i].size, sum);
    return sum;
}

static enum status write_open(struct io *io, struct end *end, const struct slice *pieces,
                              size_t count, size_t total, size_t *wrote)
{
    size_t room = end->out.full ? 0 : flow_room(&end->out);
    size_t size = total < room ? total : room;
    if (size < total)
        end->out.full = true;
    if (size == 0 && total > 0)
        return STATUS_AGAIN;
    if (size > 0)
        flow_send(end, pieces, count, size);
    io->counters.written_bytes += size;
    io->machine->counters.sent_bytes += size;
    world_trace(io->world, TRACE_SEND, io->machine, end->port, size,
                checksum_pieces(pieces, count));
    *wrote = size;
    return STATUS_OK;
}

enum status io_write(struct io *io, struct io_stream handle, const struct slice *pieces,
                     size_t count, size_t *wrote)
{
    assert(count <= IO_WRITE_PIECES_MAX);
    size_t total = total_size(pieces, count);
    if (!io_touches_outside(io)) {
        *wrote = total;
        return STATUS_OK;
    }
    const struct stream *stream = stream_at(io, handle);
    if (stream == NULL || stream->end == NULL)
        return STATUS_CLOSED;
    struct end *end = stream->end;
    if (end->state != END_OPEN)
        return STATUS_AGAIN;
    io->counters.writes++;
    io->machine->counters.sends++;
    if (is_due_now(&io->machine->fail_send_in) && !end->reset) {
        world_trace(io->world, TRACE_FAULT, io->machine, TRACE_SEND, end->port, 0);
        end_set_reset(end);
        flow_send_mark(end, SEGMENT_RESET);
    }
    if (end->reset)
        return STATUS_CLOSED;
    return write_open(io, end, pieces, count, total, wrote);
}

/* ---- the rest ---- */

void io_want_write(struct io *io, struct io_stream handle, bool wanted)
{
    struct stream *stream = stream_at(io, handle);
    if (stream == NULL)
        return;
    stream->wants_write = wanted;
    stream_touch(stream);
}

void io_pause_read(struct io *io, struct io_stream handle, bool paused)
{
    struct stream *stream = stream_at(io, handle);
    if (stream == NULL)
        return;
    stream->paused = paused;
    stream_touch(stream);
}

bool io_stream_has_ended(struct io *io, struct io_stream handle)
{
    const struct stream *stream = stream_at(io, handle);
    return stream == NULL || stream->end == NULL || stream->end->ended || stream->end->reset;
}

void io_close(struct io *io, struct io_stream handle)
{
    struct stream *stream = stream_at(io, handle);
    if (stream == NULL || io_is_gone(io))
        return;
    world_trace(io->world, TRACE_CLOSE, io->machine, stream->end == NULL ? 0 : stream->end->port, 0,
                0);
    stream_close(stream, false);
}

static void write_address(const struct connection *connection, const struct end *end,
                          char out[IO_ADDRESS_SIZE])
{
    const char *host = connection->loopback ? "127.0.0.1" : end->machine->host;
    snprintf(out, IO_ADDRESS_SIZE, "%.57s:%u", host, end->port);
}

void io_stream_address(struct io *io, struct io_stream handle, bool local,
                       char out[IO_ADDRESS_SIZE])
{
    const struct stream *stream = stream_at(io, handle);
    out[0] = 0;
    if (stream == NULL)
        return;
    if (stream->kind == STREAM_LISTENER) {
        const struct listener *listener = stream->listener;
        const char *host = listener->any_host        ? "0.0.0.0"
                           : listener->loopback_only ? "127.0.0.1"
                                                     : io->machine->host;
        snprintf(out, IO_ADDRESS_SIZE, "%.57s:%u", host, local ? listener->port : 0);
        return;
    }
    struct end *end = stream->end;
    if (end == NULL)
        return;
    const struct end *asked = local ? end : end_other(end);
    if (asked->machine == NULL)
        snprintf(out, IO_ADDRESS_SIZE, "%s", end->connection->dialled);
    else
        write_address(end->connection, asked, out);
}
