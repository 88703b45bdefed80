/* listener.c - the address at which other nodes reach this one. It is taken before anything is
 * decided, and the set of peers, which must know its cluster, comes later: who connects in between
 * waits unread, as in the kernel's own queue. Closed, he would take it for a refusal and make
 * growing pauses (PEER-3). */
#include "peer/inside.h"

#include "base/memory.h"

#include <assert.h>
#include <string.h>

struct peer_listener {
    struct io *io;
    uint64_t tag;
    struct io_stream stream;
    size_t waiting_count;
    struct io_stream waiting[STRANGERS_MAX]; /* in the order in which they came */
};

enum status peer_listen(struct io *io, uint64_t tag, const char *address,
                        struct peer_listener **out, char why[128])
{
    struct io_stream stream;
    enum status status = io_listen(io, address, tag + LISTENER_SLOT, &stream, why);
    if (status)
        return status;
    struct peer_listener *listener = memory_zeroed(1, sizeof *listener);
    *listener = (struct peer_listener){.io = io, .tag = tag + LISTENER_SLOT, .stream = stream};
    *out = listener;
    return STATUS_OK;
}

/* As among strangers, the oldest goes: he has most likely given up. */
static void wait_in_line(struct peer_listener *listener, struct io_stream stream)
{
    struct io_stream *waiting = listener->waiting;
    if (listener->waiting_count == STRANGERS_MAX) {
        io_close(listener->io, waiting[0]);
        listener->waiting_count--;
        memmove(waiting, waiting + 1, listener->waiting_count * sizeof *waiting);
    }
    waiting[listener->waiting_count++] = stream;
}

bool peer_listener_handle_event(struct peer_listener *listener, const struct io_event *event)
{
    if (event->kind != IO_ACCEPTED || event->tag != listener->tag || event->message)
        return false;
    wait_in_line(listener, event->stream);
    return true;
}

void peer_adopt(struct peer_set *set, struct peer_listener *listener)
{
    assert(!set->listener.generation && listener->tag == set->options.tag + LISTENER_SLOT);
    set->listener = listener->stream;
    for (size_t i = 0; i < listener->waiting_count; i++)
        (void)connection_accept(set, listener->waiting[i]);
    memory_free(listener);
}

void peer_listener_destroy(struct peer_listener *listener)
{
    if (!listener)
        return;
    for (size_t i = 0; i < listener->waiting_count; i++)
        io_close(listener->io, listener->waiting[i]);
    io_close(listener->io, listener->stream);
    memory_free(listener);
}
