#include "tests/peer/fake_io.h"

#include "base/memory.h"
#include "base/random.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define STREAMS      512
#define SEND_ROOM    (64u << 10)
#define RECEIVE_ROOM (256u << 10)

enum fake_state {
    FAKE_FREE = 0,
    FAKE_LISTENING,
    FAKE_CONNECTING,
    FAKE_OPEN,
};

struct fake_stream {
    enum fake_state state;
    uint32_t generation;
    unsigned host, target; /* target: the host of the other side */
    char address[IO_ADDRESS_SIZE];
    uint64_t tag;
    bool started, wants_write, announced; /* announced: CONNECTED or ACCEPTED was handed out */
    bool failed, ended;                   /* connecting failed; the other side's end has come */
    struct io_stream other, listener;
    struct buffer sending, received;
};

struct io {
    struct fake_network *network;
    unsigned host;
    uint64_t timers[IO_TIMERS_MAX]; /* UINT64_MAX: not set */
    uint64_t write_calls, timer_sets, accepts;
};

struct fake_network {
    struct random random;
    uint64_t now_ns;
    bool cut[FAKE_IOS][FAKE_IOS];
    struct io ios[FAKE_IOS];
    struct fake_stream streams[STREAMS];
    unsigned next_port;
};

/* ---- the network ---- */

struct fake_network *fake_create(uint64_t seed)
{
    struct fake_network *network = memory_zeroed(1, sizeof *network);
    random_init(&network->random, seed);
    network->now_ns = 1000000000;
    for (unsigned i = 0; i < FAKE_IOS; i++) {
        network->ios[i] = (struct io){.network = network, .host = i};
        for (unsigned timer = 0; timer < IO_TIMERS_MAX; timer++)
            network->ios[i].timers[timer] = UINT64_MAX;
    }
    return network;
}

static void stream_free(struct fake_stream *stream)
{
    uint32_t generation = stream->generation;
    buffer_deinit(&stream->sending);
    buffer_deinit(&stream->received);
    *stream = (struct fake_stream){.generation = generation};
}

void fake_destroy(struct fake_network *network)
{
    for (unsigned i = 0; i < STREAMS; i++)
        stream_free(&network->streams[i]);
    memory_free(network);
}

struct io *fake_io(struct fake_network *network, unsigned which)
{
    return &network->ios[which];
}

void fake_cut(struct fake_network *network, unsigned from, unsigned to, bool cut)
{
    network->cut[from][to] = cut;
}

static struct fake_stream *stream_at(struct fake_network *network, struct io_stream handle)
{
    struct fake_stream *stream = &network->streams[handle.index];
    bool alive = handle.generation && stream->state && stream->generation == handle.generation;
    return alive ? stream : NULL;
}

static struct io_stream handle_of(struct fake_network *network, struct fake_stream *stream)
{
    return (struct io_stream){(uint32_t)(stream - network->streams), stream->generation};
}

static struct fake_stream *stream_create(struct io *io, enum fake_state state)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        struct fake_stream *stream = &io->network->streams[i];
        if (stream->state)
            continue;
        stream->state = state;
        stream->generation++;
        stream->host = io->host;
        buffer_init(&stream->sending, SEND_ROOM);
        buffer_init(&stream->received, RECEIVE_ROOM);
        return stream;
    }
    assert(!"enough streams for every test");
    return NULL;
}

static void establish(struct fake_network *network, struct fake_stream *from,
                      struct fake_stream *listener)
{
    struct fake_stream *accepted = stream_create(&network->ios[listener->host], FAKE_OPEN);
    accepted->listener = handle_of(network, listener);
    accepted->target = from->host;
    accepted->other = handle_of(network, from);
    snprintf(accepted->address, IO_ADDRESS_SIZE, "h%u:%u", from->host,
             40000 + network->next_port++);
    from->other = handle_of(network, accepted);
    from->state = FAKE_OPEN;
}

static void try_connect(struct fake_network *network, struct fake_stream *stream)
{
    if (network->cut[stream->host][stream->target] || network->cut[stream->target][stream->host])
        return;
    for (unsigned i = 0; i < STREAMS; i++) {
        struct fake_stream *listener = &network->streams[i];
        if (listener->state == FAKE_LISTENING && strcmp(listener->address, stream->address) == 0) {
            establish(network, stream, listener);
            return;
        }
    }
    stream->failed = true;
}

static void carry(struct fake_network *network, struct fake_stream *stream)
{
    struct fake_stream *other = stream_at(network, stream->other);
    if (network->cut[stream->host][stream->target])
        return;
    if (!other && network->cut[stream->target][stream->host])
        return;
    if (!other) { /* the end was said over a cut: whoever sends learns of it now */
        stream->ended = stream->ended || stream->sending.size;
        return;
    }
    size_t size = stream->sending.size, room = RECEIVE_ROOM - other->received.size;
    if (size > room)
        size = room;
    if (size > 1 && random_below(&network->random, 3) == 0)
        size = 1 + random_below(&network->random, size);
    enum status status = buffer_append(&other->received, stream->sending.at, size);
    assert(status == STATUS_OK);
    if (size)
        buffer_consume(&stream->sending, size);
}

void fake_step(struct fake_network *network, uint64_t ns)
{
    network->now_ns += ns;
    for (unsigned i = 0; i < STREAMS; i++) {
        struct fake_stream *stream = &network->streams[i];
        if (stream->state == FAKE_CONNECTING && !stream->failed)
            try_connect(network, stream);
        else if (stream->state == FAKE_OPEN)
            carry(network, stream);
    }
}

void fake_kill(struct fake_network *network, unsigned which)
{
    struct io *io = &network->ios[which];
    for (unsigned i = 0; i < STREAMS; i++)
        if (network->streams[i].state && network->streams[i].host == which)
            io_close(io, handle_of(network, &network->streams[i]));
    for (unsigned timer = 0; timer < IO_TIMERS_MAX; timer++)
        io->timers[timer] = UINT64_MAX;
}

size_t fake_open_streams(struct io *io)
{
    size_t count = 0;
    for (unsigned i = 0; i < STREAMS; i++)
        count += io->network->streams[i].state && io->network->streams[i].host == io->host;
    return count;
}

uint64_t fake_write_calls(struct io *io)
{
    return io->write_calls;
}

uint64_t fake_accepts(struct io *io)
{
    return io->accepts;
}

uint64_t fake_timer_sets(struct io *io)
{
    return io->timer_sets;
}

/* ---- gathering ---- */

struct gathering {
    struct io *io;
    struct io_event *events;
    size_t count, max;
};

static void emit(struct gathering *gathering, struct io_event event)
{
    if (gathering->count < gathering->max)
        gathering->events[gathering->count++] = event;
}

static void gather_stream(struct gathering *gathering, struct fake_stream *stream)
{
    struct fake_network *network = gathering->io->network;
    struct io_event event = {.tag = stream->tag, .stream = handle_of(network, stream)};
    struct fake_stream *listener = stream_at(network, stream->listener);
    if (listener && !stream->announced) {
        stream->announced = true;
        gathering->io->accepts++;
        event.tag = listener->tag;
        event.kind = IO_ACCEPTED;
        emit(gathering, event);
        return;
    }
    if (!stream->announced && (stream->failed || stream->state == FAKE_OPEN)) {
        stream->announced = stream->started = true;
        event.kind = IO_CONNECTED;
        event.status = stream->failed ? STATUS_CLOSED : STATUS_OK;
        emit(gathering, event);
        if (stream->failed)
            stream_free(stream);
        return;
    }
    if (stream->state != FAKE_OPEN || !stream->started)
        return;
    event.kind = IO_READABLE;
    if (stream->received.size || stream->ended)
        emit(gathering, event);
    event.kind = IO_WRITABLE;
    if (stream->wants_write && stream->sending.size < SEND_ROOM)
        emit(gathering, event);
}

size_t fake_gather(struct io *io, struct io_event *events, size_t max)
{
    struct gathering gathering = {.io = io, .events = events, .max = max};
    for (unsigned timer = 0; timer < IO_TIMERS_MAX; timer++) {
        if (io->timers[timer] > io->network->now_ns)
            continue;
        io->timers[timer] = UINT64_MAX;
        emit(&gathering, (struct io_event){.kind = IO_TIMER, .tag = timer});
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        struct fake_stream *stream = &io->network->streams[i];
        if (stream->state && stream->state != FAKE_LISTENING && stream->host == io->host)
            gather_stream(&gathering, stream);
    }
    return gathering.count;
}

/* ---- io.h ---- */

uint64_t io_now_ns(struct io *io)
{
    return io->network->now_ns;
}

void io_timer_set(struct io *io, unsigned timer, uint64_t deadline_ns)
{
    assert(timer < IO_TIMERS_MAX);
    io->timers[timer] = deadline_ns;
    io->timer_sets++;
}

void io_timer_cancel(struct io *io, unsigned timer)
{
    io->timers[timer] = UINT64_MAX;
}

enum status io_listen(struct io *io, const char *address, uint64_t tag, struct io_stream *out,
                      char why[128])
{
    struct fake_stream *listener = stream_create(io, FAKE_LISTENING);
    (void)why;
    snprintf(listener->address, IO_ADDRESS_SIZE, "%s", address);
    listener->tag = tag;
    *out = handle_of(io->network, listener);
    return STATUS_OK;
}

enum status io_connect(struct io *io, const char *address, uint64_t tag, struct io_stream *out)
{
    unsigned target;
    if (sscanf(address, "h%u:", &target) != 1 || target >= FAKE_IOS)
        return STATUS_INVALID;
    struct fake_stream *stream = stream_create(io, FAKE_CONNECTING);
    snprintf(stream->address, IO_ADDRESS_SIZE, "%s", address);
    stream->target = target;
    stream->tag = tag;
    *out = handle_of(io->network, stream);
    return STATUS_OK;
}

void io_stream_start(struct io *io, struct io_stream handle, uint64_t tag)
{
    struct fake_stream *stream = stream_at(io->network, handle);
    assert(stream && stream->host == io->host);
    stream->tag = tag;
    stream->started = true;
}

enum status io_read(struct io *io, struct io_stream handle, uint8_t *into, size_t size, size_t *got)
{
    struct fake_stream *stream = stream_at(io->network, handle);
    assert(stream && stream->host == io->host && size > 0);
    if (stream->received.size == 0)
        return stream->ended ? STATUS_CLOSED : STATUS_AGAIN;
    *got = size < stream->received.size ? size : stream->received.size;
    memcpy(into, stream->received.at, *got);
    buffer_consume(&stream->received, *got);
    return STATUS_OK;
}

enum status io_write(struct io *io, struct io_stream handle, const struct slice *pieces,
                     size_t count, size_t *wrote)
{
    struct fake_stream *stream = stream_at(io->network, handle);
    size_t total = 0;
    assert(stream && stream->host == io->host);
    io->write_calls++;
    if (stream->ended)
        return STATUS_CLOSED;
    for (size_t i = 0; i < count; i++) {
        size_t size = SEND_ROOM - stream->sending.size;
        if (size > pieces[i].size)
            size = pieces[i].size;
        enum status status = buffer_append(&stream->sending, pieces[i].at, size);
        assert(status == STATUS_OK);
        total += size;
    }
    if (total == 0)
        return STATUS_AGAIN;
    *wrote = total;
    return STATUS_OK;
}

void io_want_write(struct io *io, struct io_stream handle, bool wanted)
{
    struct fake_stream *stream = stream_at(io->network, handle);
    assert(stream && stream->host == io->host);
    stream->wants_write = wanted;
}

void io_close(struct io *io, struct io_stream handle)
{
    struct fake_stream *stream = stream_at(io->network, handle);
    if (!stream)
        return;
    assert(stream->host == io->host);
    struct fake_stream *other = stream_at(io->network, stream->other);
    if (other && !io->network->cut[io->host][other->host]) {
        size_t room = RECEIVE_ROOM - other->received.size;
        if (stream->sending.size <= room) {
            enum status status =
                buffer_append(&other->received, stream->sending.at, stream->sending.size);
            assert(status == STATUS_OK);
        }
        other->ended = true;
    }
    stream_free(stream);
}

void io_stream_address(struct io *io, struct io_stream handle, bool local,
                       char out[IO_ADDRESS_SIZE])
{
    struct fake_stream *stream = stream_at(io->network, handle);
    (void)local;
    snprintf(out, IO_ADDRESS_SIZE, "%s", stream ? stream->address : "");
}

/* The nodes of these tests have one worker each; more are tests/sim's. */
void io_post(struct io *io, unsigned worker, uint64_t tag, void *message)
{
    (void)io, (void)worker, (void)tag, (void)message;
    abort();
}

bool io_stream_give(struct io *io, struct io_stream stream, unsigned worker, uint64_t tag,
                    void *message)
{
    (void)io, (void)stream, (void)worker, (void)tag, (void)message;
    abort();
}
