/* The other workers of this node: who has begun, and what worker 0 tells them.
 *
 *   worker 0: formed, durable, begins -> FORMATION -> the others: save it in their logs, begin
 *   each:     begins                  -> BEGUN -> the others: the link to it is up
 *   worker 0: a newer catalogue       -> LOOK  -> the others: ask for it now, not in a second
 *   each:     ends                    -> ENDED -> the others: the link to it is down
 *
 * WORKER-2: io_post keeps the order of one sender, so BEGUN is there before anything else of it;
 * and a worker that has not heard BEGUN of another sends it nothing. */
#include "worker/inside.h"

#include "base/memory.h"

#include <assert.h>

enum others_message {
    OTHERS_FORMATION,
    OTHERS_BEGUN,
    OTHERS_ENDED,
    OTHERS_LOOK
};
#define TAG_OF(message, from) (TAG_OTHERS + (uint64_t)(message)*PEER_WORKERS_MAX + (from))

static void post(struct worker *worker, unsigned to, enum others_message message, void *body)
{
    io_post(worker->io, to, TAG_OF(message, worker->others.self), body);
}

static void post_all(struct worker *worker, enum others_message message)
{
    for (unsigned to = 0; to < worker->others.count; to++)
        if (to != worker->others.self)
            post(worker, to, message, NULL);
}

/* ---- receiving ---- */

static void set_begun(struct worker *worker, unsigned other, bool begun)
{
    struct others *others = &worker->others;
    others->begun = begun ? others->begun | 1u << other : others->begun & ~(1u << other);
    if (node_is_started(worker->node))
        peer_set_local(node_peers(worker->node), other, begun);
}

static void take(struct worker *worker, enum others_message message, unsigned from, void *body)
{
    switch (message) {
    case OTHERS_FORMATION:
        if (!node_is_started(worker->node))
            node_take_formation(worker->node, body);
        worker->others.may_begin = true;
        break;
    case OTHERS_BEGUN: set_begun(worker, from, true); break;
    case OTHERS_ENDED: set_begun(worker, from, false); break;
    case OTHERS_LOOK: control_look_again(worker->control); break;
    }
}

bool others_handle_event(struct worker *worker, const struct io_event *event)
{
    uint64_t number = event->tag - TAG_OTHERS;
    bool mine = event->kind == IO_MESSAGE && event->tag >= TAG_OTHERS &&
                number < (OTHERS_LOOK + 1) * PEER_WORKERS_MAX;
    if (mine)
        take(worker, (enum others_message)(number / PEER_WORKERS_MAX),
             (unsigned)(number % PEER_WORKERS_MAX), event->message);
    if (event->kind == IO_ACCEPTED) /* given by one who did not know that nobody is here yet */
        io_close(worker->io, event->stream);
    if (event->kind == IO_MESSAGE || event->kind == IO_ACCEPTED)
        memory_free(event->message);
    return event->kind == IO_MESSAGE || event->kind == IO_ACCEPTED;
}

/* ---- beginning ---- */

/* Their connections to other nodes need the links, so the formation goes out as soon as this worker
 * has begun by it. */
static void tell_formation(struct worker *worker)
{
    for (unsigned to = 1; to < worker->others.count; to++) {
        struct node_formation *formation = memory_allocate(sizeof *formation);
        *formation = *node_formation(worker->node);
        post(worker, to, OTHERS_FORMATION, formation);
    }
}

static void begin(struct worker *worker)
{
    struct others *others = &worker->others;
    assert(node_is_saved(worker->node)); /* WORKER-2 */
    others->told = true;
    post_all(worker, OTHERS_BEGUN);
    if (others->self == 0)
        tell_formation(worker);
    for (unsigned other = 0; other < others->count; other++)
        if (others->begun >> other & 1)
            peer_set_local(node_peers(worker->node), other, true);
}

void others_tick(struct worker *worker)
{
    struct others *others = &worker->others;
    struct node *node = worker->node;
    if (others->count == 1)
        return;
    if (others->may_begin && !node_is_started(node) && node_is_saved(node))
        node_start(node);
    if (!node_is_started(node))
        return;
    if (!others->told)
        begin(worker);
    uint64_t epoch = control_catalogue(worker->control)->epoch;
    if (others->self == 0 && epoch != others->epoch) {
        others->epoch = epoch;
        post_all(worker, OTHERS_LOOK);
    }
}

void others_end(struct worker *worker)
{
    if (worker->others.told)
        post_all(worker, OTHERS_ENDED);
}
