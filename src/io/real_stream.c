/* real_stream.c - TCP connections and listeners.
 *
 * A stream has two libevent events: `readable` (level-triggered) and `writable` (only while wanted
 * or connecting). While nobody reads it, libevent is not asked, since a level-triggered end would
 * wake the loop for ever; a small epoll beside it, one-shot for each stream, watches for the end
 * and for resets. `stream_register` derives all of it from the stream's state.
 *
 *     FREE --listen--> LISTENING --close--> FREE
 *     FREE --connect--> CONNECTING --> OPEN --close--> FREE         FREE --accepted--> OPEN (not
 * started) */
#include "io/real_private.h"

#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#define BACKLOG 512
#define KEEPALIVE_IDLE_S                                                                           \
    300 /* a client whose machine vanished is noticed some time, not held for ever */
#define WATCH_BATCH 32

static void on_readable(evutil_socket_t descriptor, short what, void *argument);
static void watch_end(struct stream *stream, bool on);
static void on_writable(evutil_socket_t descriptor, short what, void *argument);

/* ---- the table ---- */

/* IO-2: NULL for a stream that is gone, also when another has its place. */
static struct stream *stream_at(struct io *io, struct io_stream handle)
{
    unsigned chunk = handle.index / REAL_STREAM_CHUNK;
    if (handle.generation == 0 || chunk >= io->chunks_count)
        return NULL;
    struct stream *stream = &io->chunks[chunk][handle.index % REAL_STREAM_CHUNK];
    if (stream->handle.generation != handle.generation || stream->state == STREAM_FREE)
        return NULL;
    return stream;
}

static bool grow_table(struct io *io)
{
    if (io->chunks_count == REAL_STREAM_CHUNKS_MAX)
        return false;
    struct stream *chunk = memory_zeroed(REAL_STREAM_CHUNK, sizeof *chunk);
    for (unsigned i = 0; i < REAL_STREAM_CHUNK; i++) {
        chunk[i].io = io;
        chunk[i].descriptor = -1;
        chunk[i].handle.index = io->chunks_count * REAL_STREAM_CHUNK + i;
        chunk[i].handle.generation = 1;
        list_append(&io->free_streams, &chunk[i].link);
    }
    io->chunks[io->chunks_count++] = chunk;
    return true;
}

/* NULL when the table is full. */
static struct stream *stream_create(struct io *io, enum stream_state state)
{
    if (list_is_empty(&io->free_streams) && !grow_table(io))
        return NULL;
    struct stream *stream = list_item(io->free_streams.next, struct stream, link);
    list_remove(&stream->link);
    stream->state = state;
    return stream;
}

static void stream_attach(struct stream *stream, int descriptor)
{
    struct event_base *base = stream->io->base;
    stream->descriptor = descriptor;
    event_assign(&stream->readable, base, descriptor, EV_READ | EV_PERSIST, on_readable, stream);
    event_assign(&stream->writable, base, descriptor, EV_WRITE | EV_PERSIST, on_writable, stream);
}

/* Takes the descriptor away, as after a failed attempt. */
static void stream_detach(struct stream *stream)
{
    if (stream->descriptor < 0)
        return;
    event_del(&stream->readable);
    event_del(&stream->writable);
    close(stream->descriptor);
    stream->descriptor = -1;
    stream->reading = stream->writing = stream->watching = false;
}

/* Takes the open descriptor away from the loop. */
static int stream_release(struct stream *stream)
{
    int descriptor = stream->descriptor;
    if (stream->watching)
        watch_end(stream, false);
    event_del(&stream->readable);
    event_del(&stream->writable);
    stream->descriptor = -1;
    return descriptor;
}

static void stream_destroy(struct stream *stream)
{
    struct io *io = stream->io;
    struct io_stream next = stream->handle;
    if (stream->state == STREAM_CONNECTING && stream->descriptor < 0 && stream->failure)
        event_del(&stream->writable); /* was made active to tell the failure */
    stream_detach(stream);
    memory_free(stream->addresses);
    list_remove(&stream->link);
    if (++next.generation == 0)
        next.generation = 1;
    memset(stream, 0, sizeof *stream);
    stream->io = io;
    stream->descriptor = -1;
    stream->handle = next;
    list_append(&io->free_streams, &stream->link);
}

/* ---- what is watched ---- */

static void watch_end(struct stream *stream, bool on)
{
    struct epoll_event event = {.events = EPOLLONESHOT | (stream->ended ? 0 : EPOLLRDHUP)};
    event.data.u64 = (uint64_t)stream->handle.index << 32 | stream->handle.generation;
    /* Trouble is met again by whoever writes; it must not stop the rest. */
    (void)epoll_ctl(stream->io->watch_descriptor, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
                    stream->descriptor, &event);
    stream->watching = on;
}

static void set_event(struct event *event, bool *is, bool wanted)
{
    if (*is == wanted)
        return;
    if (wanted)
        event_add(event, NULL);
    else
        event_del(event);
    *is = wanted;
}

/* Call it after each change of what it reads. */
static void stream_register(struct stream *stream)
{
    bool open = stream->state == STREAM_OPEN && stream->started;
    bool listening = stream->state == STREAM_LISTENING && list_is_empty(&stream->link);
    bool idle = stream->paused || stream->ended;
    bool watching = open && idle && !stream->closed_told;
    if (stream->descriptor < 0)
        return;
    set_event(&stream->readable, &stream->reading, (open || listening) && !idle);
    set_event(&stream->writable, &stream->writing,
              stream->state == STREAM_CONNECTING || (open && stream->wants_write));
    if (stream->watching != watching)
        watch_end(stream, watching);
}

static void emit_stream(struct stream *stream, enum io_event_kind kind, enum status status)
{
    emit(stream->io,
         (struct io_event){
             .kind = kind, .status = status, .tag = stream->tag, .stream = stream->handle});
}

static void on_watch(evutil_socket_t descriptor, short what, void *argument)
{
    struct io *io = argument;
    struct epoll_event events[WATCH_BATCH];
    size_t room = io->max - io->count;
    (void)what;
    int n = epoll_wait(descriptor, events, room < WATCH_BATCH ? (int)room : WATCH_BATCH, 0);
    for (int i = 0; i < n; i++) {
        uint64_t word = events[i].data.u64;
        struct stream *stream =
            stream_at(io, (struct io_stream){(uint32_t)(word >> 32), (uint32_t)word});
        if (!stream || !stream->watching)
            continue;
        stream->closed_told = true;
        stream_register(stream);
        emit_stream(stream, IO_CLOSED, STATUS_OK);
    }
}

/* ---- connecting ---- */

static enum status connect_failure(int number)
{
    return number == ECONNREFUSED || number == ECONNRESET ? STATUS_CLOSED : STATUS_IO;
}

static void set_option(int descriptor, int level, int name, int value)
{
    /* Each is an improvement that the stream can do without. */
    (void)setsockopt(descriptor, level, name, &value, sizeof value);
}

static void set_stream_options(int descriptor)
{
    set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
}

/* Starts with the next address that can be started with; false when none is left. */
static bool connect_next(struct stream *stream)
{
    struct addresses *all = stream->addresses;
    while (all && all->next < all->count) {
        struct sockaddr_storage *at = &all->list[all->next].at;
        socklen_t size = all->list[all->next++].size;
        int descriptor = socket(at->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (descriptor < 0) {
            stream->failure = STATUS_IO;
            continue;
        }
        set_stream_options(descriptor);
        /* EINTR: it goes on by itself, like EINPROGRESS. */
        if (connect(descriptor, (struct sockaddr *)at, size) == 0 || errno == EINPROGRESS ||
            errno == EINTR) {
            stream->failure = STATUS_OK;
            stream_attach(stream, descriptor);
            stream_register(stream);
            return true;
        }
        stream->failure = connect_failure(errno);
        close(descriptor);
    }
    return false;
}

/* The outcome is an event even when it is known at once. */
static void connect_or_fail(struct stream *stream)
{
    if (connect_next(stream))
        return;
    if (stream->failure == STATUS_OK)
        stream->failure = STATUS_NOT_FOUND; /* no such host */
    event_assign(&stream->writable, stream->io->base, -1, EV_WRITE, on_writable, stream);
    event_active(&stream->writable, EV_WRITE, 0);
}

void streams_finish_lookup(struct io *io, struct job *job)
{
    struct stream *stream = stream_at(io, job->stream);
    if (stream) {
        stream->addresses = job->answers;
        job->answers = NULL;
        connect_or_fail(stream);
    } else {
        io->counters.late_completions++; /* IO-2 */
    }
    job_destroy(job);
}

enum status io_connect(struct io *io, const char *address, uint64_t tag, struct io_stream *out)
{
    struct addresses *addresses;
    if (!address_resolve(address, false, false, &addresses))
        return STATUS_INVALID;
    struct stream *stream = stream_create(io, STREAM_CONNECTING);
    if (!stream) {
        memory_free(addresses);
        return STATUS_IO;
    }
    stream->tag = tag;
    stream->started = true;
    stream->addresses = addresses;
    *out = stream->handle;
    if (addresses) {
        connect_or_fail(stream);
    } else {
        struct job *job = job_create(JOB_LOOKUP, tag);
        job->stream = stream->handle;
        snprintf(job->path, sizeof job->path, "%s", address);
        lane_submit(&io->lanes[LANE_LOOKUP], job);
    }
    return STATUS_OK;
}

static void finish_connecting(struct stream *stream)
{
    if (stream->failure == STATUS_OK) {
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(stream->descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
            error = errno;
        if (error == 0) {
            memory_free(stream->addresses);
            stream->addresses = NULL;
            stream->state = STREAM_OPEN;
            stream_register(stream);
            emit_stream(stream, IO_CONNECTED, STATUS_OK);
            return;
        }
        stream_detach(stream);
        if (connect_next(stream))
            return;
        stream->failure = connect_failure(error);
    }
    emit_stream(stream, IO_CONNECTED, stream->failure);
    stream_destroy(stream);
}

static void on_writable(evutil_socket_t descriptor, short what, void *argument)
{
    struct stream *stream = argument;
    (void)descriptor, (void)what;
    if (stream->state == STREAM_CONNECTING)
        finish_connecting(stream);
    else
        emit_stream(stream, IO_WRITABLE, STATUS_OK);
}

/* ---- listening ---- */

static int open_listener(const struct sockaddr_storage *at, socklen_t size)
{
    int descriptor = socket(at->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -1;
    set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    set_stream_options(descriptor); /* accepted ones inherit them: no calls for each */
    if (bind(descriptor, (const struct sockaddr *)at, size) == 0 &&
        listen(descriptor, BACKLOG) == 0)
        return descriptor;
    int number = errno;
    close(descriptor);
    errno = number;
    return -1;
}

static const char *why_not_listening(int number)
{
    switch (number) {
    case EADDRINUSE: return "is in use: stop what listens there, or give another";
    case EADDRNOTAVAIL: return "is not of this machine: give an address that `ip address` lists";
    case EACCES: return "is not permitted: give a port above 1023, or start as root";
    }
    return strerror(number);
}

enum status io_listen(struct io *io, const char *address, uint64_t tag, struct io_stream *out,
                      char why[128])
{
    struct addresses *addresses;
    if (!address_resolve(address, true, true, &addresses)) {
        snprintf(why, 128, "'%.60s' is not HOST:PORT", address);
        return STATUS_INVALID;
    }
    if (!addresses) {
        snprintf(why, 128, "%.60s: no such host; give an address of this machine", address);
        return STATUS_INVALID;
    }
    int descriptor = open_listener(&addresses->list[0].at, addresses->list[0].size);
    int number = errno;
    memory_free(addresses);
    if (descriptor < 0) {
        snprintf(why, 128, "%.60s %.64s", address, why_not_listening(number));
        return number == EADDRINUSE ? STATUS_IN_USE : STATUS_IO;
    }
    struct stream *stream = stream_create(io, STREAM_LISTENING);
    if (!stream) {
        close(descriptor);
        snprintf(why, 128, "%.60s: too many streams", address);
        return STATUS_IO;
    }
    stream->tag = tag;
    stream_attach(stream, descriptor);
    stream_register(stream);
    *out = stream->handle;
    return STATUS_OK;
}

/* Out of descriptors or memory: the connections wait in the backlog, and the loop must not spin on
 * them. */
static void rest_listener(struct stream *listener)
{
    struct io *io = listener->io;
    list_append(&io->resting_listeners, &listener->link);
    stream_register(listener);
    if (io->resume_ns == UINT64_MAX)
        io->resume_ns = io_now_ns(io) + REAL_ACCEPT_PAUSE_NS;
}

void streams_resume_accepting(struct io *io, uint64_t now_ns)
{
    assert(io->resume_ns <= now_ns);
    io->resume_ns = UINT64_MAX;
    while (!list_is_empty(&io->resting_listeners)) {
        struct stream *listener = list_item(io->resting_listeners.next, struct stream, link);
        list_remove(&listener->link);
        stream_register(listener);
    }
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct stream *listener)
{
    struct io *io = listener->io;
    int descriptor = accept4(listener->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            rest_listener(listener);
        return errno == ECONNABORTED || errno == EINTR;
    }
    struct stream *stream = stream_create(io, STREAM_OPEN);
    if (!stream) {
        close(descriptor);
        rest_listener(listener);
        return false;
    }
    stream_attach(stream, descriptor);
    io->counters.accepts++;
    emit(io,
         (struct io_event){.kind = IO_ACCEPTED, .tag = listener->tag, .stream = stream->handle});
    return true;
}

static void on_readable(evutil_socket_t descriptor, short what, void *argument)
{
    struct stream *stream = argument;
    (void)descriptor, (void)what;
    if (stream->state == STREAM_OPEN) {
        emit_stream(stream, IO_READABLE, STATUS_OK);
        return;
    }
    for (unsigned i = 0; i < REAL_ACCEPTS_PER_GATHER && !is_full(stream->io); i++)
        if (!accept_one(stream))
            break;
}

/* ---- from worker to worker ---- */

bool io_stream_give(struct io *io, struct io_stream handle, unsigned worker, uint64_t tag,
                    void *message)
{
    struct stream *stream = stream_at(io, handle);
    if (!stream || stream->state != STREAM_OPEN)
        return false;
    struct post post = {.tag = tag, .message = message, .descriptor = stream_release(stream)};
    stream_destroy(stream);
    mailbox_post(io, worker, &post);
    return true;
}

void streams_take(struct io *io, const struct post *post)
{
    struct stream *stream = stream_create(io, STREAM_OPEN);
    if (!stream)
        fatal("no room for a connection that another worker gave");
    stream_attach(stream, post->descriptor);
    emit(io, (struct io_event){.kind = IO_ACCEPTED,
                               .tag = post->tag,
                               .stream = stream->handle,
                               .message = post->message});
}

void io_stream_start(struct io *io, struct io_stream handle, uint64_t tag)
{
    struct stream *stream = stream_at(io, handle);
    if (!stream)
        return;
    stream->tag = tag;
    stream->started = true;
    stream_register(stream);
}

/* ---- bytes ---- */

static void meet_end(struct stream *stream)
{
    stream->ended = true;
    if (stream->watching)
        watch_end(stream, false); /* it waited for less */
    stream_register(stream);
}

enum status io_read(struct io *io, struct io_stream handle, uint8_t *into, size_t size, size_t *got)
{
    struct stream *stream = stream_at(io, handle);
    ssize_t n;
    assert(size > 0);
    if (!stream || stream->ended)
        return STATUS_CLOSED;
    if (stream->state != STREAM_OPEN)
        return STATUS_AGAIN;
    io->counters.reads++;
    do
        n = recv(stream->descriptor, into, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *got = (size_t)n;
        return STATUS_OK;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return STATUS_AGAIN;
    if (n < 0)
        stream->closed_told = true; /* a reset: there is no worse to come */
    meet_end(stream);
    return STATUS_CLOSED;
}

static enum status send_pieces(struct stream *stream, const struct slice *pieces, size_t count,
                               size_t *wrote)
{
    struct iovec vectors[IO_WRITE_PIECES_MAX];
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = count};
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    ssize_t n;
    for (size_t i = 0; i < count; i++)
        vectors[i] = (struct iovec){(void *)(uintptr_t)pieces[i].at, pieces[i].size};
    do
        n = count == 1 ? send(stream->descriptor, pieces[0].at, pieces[0].size, flags)
                       : sendmsg(stream->descriptor, &message, flags);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? STATUS_AGAIN : STATUS_CLOSED;
    *wrote = (size_t)n;
    return STATUS_OK;
}

enum status io_write(struct io *io, struct io_stream handle, const struct slice *pieces,
                     size_t count, size_t *wrote)
{
    struct stream *stream = stream_at(io, handle);
    assert(count <= IO_WRITE_PIECES_MAX);
    if (!stream)
        return STATUS_CLOSED;
    if (stream->state != STREAM_OPEN)
        return STATUS_AGAIN;
    io->counters.writes++;
    enum status status = send_pieces(stream, pieces, count, wrote);
    if (status == STATUS_OK)
        io->counters.written_bytes += *wrote;
    return status;
}

void io_want_write(struct io *io, struct io_stream handle, bool wanted)
{
    struct stream *stream = stream_at(io, handle);
    if (!stream)
        return;
    stream->wants_write = wanted;
    stream_register(stream);
}

void io_pause_read(struct io *io, struct io_stream handle, bool paused)
{
    struct stream *stream = stream_at(io, handle);
    if (!stream)
        return;
    stream->paused = paused;
    stream_register(stream);
}

bool io_stream_has_ended(struct io *io, struct io_stream handle)
{
    const struct stream *stream = stream_at(io, handle);
    if (!stream)
        return true;
    struct pollfd asked = {.fd = stream->descriptor, .events = POLLRDHUP};
    return poll(&asked, 1, 0) == 1 && (asked.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

void io_close(struct io *io, struct io_stream handle)
{
    struct stream *stream = stream_at(io, handle);
    if (stream)
        stream_destroy(stream);
}

void io_stream_address(struct io *io, struct io_stream handle, bool local,
                       char out[IO_ADDRESS_SIZE])
{
    struct stream *stream = stream_at(io, handle);
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    out[0] = 0;
    if (!stream || stream->descriptor < 0)
        return;
    struct sockaddr *at = (struct sockaddr *)&address;
    int failed = local ? getsockname(stream->descriptor, at, &size)
                       : getpeername(stream->descriptor, at, &size);
    if (!failed)
        address_format(&address, out);
}

/* ---- life ---- */

void streams_init(struct io *io)
{
    list_init(&io->free_streams);
    list_init(&io->resting_listeners);
    io->watch_descriptor = epoll_create1(EPOLL_CLOEXEC);
    if (io->watch_descriptor < 0)
        fatal("cannot make an epoll: %s", strerror(errno));
    event_assign(&io->watch, io->base, io->watch_descriptor, EV_READ | EV_PERSIST, on_watch, io);
    event_add(&io->watch, NULL);
}

void streams_deinit(struct io *io)
{
    for (unsigned i = 0; i < io->chunks_count * REAL_STREAM_CHUNK; i++) {
        struct stream *stream = &io->chunks[i / REAL_STREAM_CHUNK][i % REAL_STREAM_CHUNK];
        if (stream->state != STREAM_FREE)
            stream_destroy(stream);
    }
    for (unsigned i = 0; i < io->chunks_count; i++)
        memory_free(io->chunks[i]);
    event_del(&io->watch);
    close(io->watch_descriptor);
}
