/* The other workers of this node: who has begun, and what worker 0 tells them.
 *
 *   worker 0: formed, durable, begins -> FORMATION -> the others: save it in their logs, begin
 *   each:     begins                  -> BEGUN -> the others: the link to it is up
 *   worker 0: a newer catalogue       -> LOOK  -> the others: ask for it now, not in a second
 *   each:     ready, or no more       -> STATE -> worker 0: so is the node
 *   worker 0: numbers are wanted      -> MEASURE -> the others -> SAMPLE -> worker 0: all together
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
    OTHERS_LOOK,
    OTHERS_STATE,
    OTHERS_MEASURE,
    OTHERS_SAMPLE
};
#define OTHERS_MESSAGES (OTHERS_SAMPLE + 1)
#define STATE_EVERY_NS  (100 * 1000000ull)

struct state {
    const char *unready; /* static words; NULL: ready */
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
    worker->admin.others = others->begun;
    others->unready[other] = "not every worker has begun";
    if (node_is_started(worker->node))
        peer_set_local(node_peers(worker->node), other, begun);
}

/* True: it is kept. One that was asked for before the last question is too old. */
static bool keep_sample(struct others *others, unsigned from, struct metrics_sample *sample)
{
    if (--others->asked[from] || !others->measures)
        return false;
    others->samples[from] = sample;
    return true;
}

/* True: `body` is kept. */
static bool take(struct worker *worker, enum others_message message, unsigned from, void *body)
{
    const struct state *state = body;
    switch (message) {
    case OTHERS_FORMATION:
        if (!node_is_started(worker->node))
            node_take_formation(worker->node, body);
        worker->others.may_begin = true;
        break;
    case OTHERS_BEGUN: set_begun(worker, from, true); break;
    case OTHERS_ENDED: set_begun(worker, from, false); break;
    case OTHERS_LOOK: control_look_again(worker->control); break;
    case OTHERS_STATE: worker->others.unready[from] = state->unready; break;
    case OTHERS_MEASURE: post(worker, from, OTHERS_SAMPLE, worker_measure(worker)); break;
    case OTHERS_SAMPLE: return keep_sample(&worker->others, from, body);
    }
    return false;
}

bool others_handle_event(struct worker *worker, const struct io_event *event)
{
    uint64_t number = event->tag - TAG_OTHERS;
    bool mine = event->kind == IO_MESSAGE && event->tag >= TAG_OTHERS &&
                number < OTHERS_MESSAGES * PEER_WORKERS_MAX;
    bool kept = false;
    if (mine)
        kept = take(worker, (enum others_message)(number / PEER_WORKERS_MAX),
                    (unsigned)(number % PEER_WORKERS_MAX), event->message);
    if (event->kind == IO_ACCEPTED) /* given by one who did not know that nobody is here yet */
        io_close(worker->io, event->stream);
    if (!kept && (event->kind == IO_MESSAGE || event->kind == IO_ACCEPTED))
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

/* ---- what worker 0 knows of all ---- */

static void say_state(struct worker *worker)
{
    struct others *others = &worker->others;
    uint64_t now_ns = node_turn(worker->node)->now_ns;
    if (others->self == 0 || now_ns < others->next_say_ns)
        return;
    bool first = !others->next_say_ns;
    const char *unready = worker_unready(worker);
    others->next_say_ns = now_ns + STATE_EVERY_NS;
    if (unready == others->said && !first)
        return;
    others->said = unready;
    struct state *state = memory_allocate(sizeof *state);
    state->unready = unready;
    post(worker, 0, OTHERS_STATE, state);
}

const char *others_unready(const struct worker *worker)
{
    const struct others *others = &worker->others;
    for (unsigned other = 0; other < others->count; other++) {
        if (other == others->self || others->self)
            continue;
        if (!(others->begun >> other & 1))
            return "not every worker has begun";
        if (others->unready[other])
            return others->unready[other];
    }
    return NULL;
}

static void drop_samples(struct others *others)
{
    for (unsigned other = 0; other < others->count; other++) {
        memory_free(others->samples[other]);
        others->samples[other] = NULL;
    }
}

void worker_ask_samples(struct worker *worker)
{
    struct others *others = &worker->others;
    drop_samples(others);
    others->measures = true;
    for (unsigned other = 0; other < others->count; other++)
        if (others->begun >> other & 1) {
            others->asked[other]++;
            post(worker, other, OTHERS_MEASURE, NULL);
        }
}

size_t worker_take_samples(struct worker *worker, struct metrics_sample *out[WORKER_COUNT_MAX])
{
    struct others *others = &worker->others;
    size_t count = 0;
    if (!others->measures)
        return 0;
    for (unsigned other = 0; other < others->count; other++)
        if (others->asked[other] && others->begun >> other & 1)
            return 0;
    out[count++] = worker_measure(worker);
    for (unsigned other = 0; other < others->count; other++) {
        if (others->samples[other])
            out[count++] = others->samples[other];
        others->samples[other] = NULL;
    }
    others->measures = false;
    return count;
}

void others_deinit(struct worker *worker)
{
    drop_samples(&worker->others);
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
    if (!others->told && node_is_saved(node)) /* a member may have come in with the first look */
        begin(worker);
    say_state(worker);
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
