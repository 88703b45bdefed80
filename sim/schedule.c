/* schedule.c - time: the next happening, the next worker, its events. */
#include "sim/parts.h"

#include "base/memory.h"

#include <assert.h>

/* ---- who may turn ---- */

static void runnable_add(struct io *io)
{
    struct world *world = io->world;
    if (io->runnable_place != 0)
        return;
    if (world->runnable_count == world->runnable_capacity) {
        world->runnable_capacity =
            world->runnable_capacity == 0 ? 16 : world->runnable_capacity * 2;
        world->runnable =
            memory_resize(world->runnable, world->runnable_capacity * sizeof(struct io *));
    }
    world->runnable[world->runnable_count++] = io;
    io->runnable_place = world->runnable_count;
}

static void runnable_remove(struct io *io)
{
    struct world *world = io->world;
    if (io->runnable_place == 0)
        return;
    struct io *last = world->runnable[--world->runnable_count];
    world->runnable[io->runnable_place - 1] = last;
    last->runnable_place = io->runnable_place;
    io->runnable_place = 0;
}

void io_unschedule(struct io *io)
{
    agenda_drop(&io->world->agenda, &io->wake);
    runnable_remove(io);
}

void io_notify(struct io *io)
{
    struct world *world = io->world;
    if (io->dead || io->machine->paused || io->runnable_place != 0 || happening_is_due(&io->wake))
        return;
    uint64_t at_ns = world->now_ns + random_below(&world->turns, SIM_WAKE_MAX_NS);
    agenda_put(&world->agenda, &io->wake, at_ns > io->busy_until_ns ? at_ns : io->busy_until_ns);
}

/* ---- what is pending ---- */

void io_pend(struct io *io, const struct pending_event *event)
{
    if (io->pending_count == io->pending_capacity) {
        size_t capacity = io->pending_capacity == 0 ? 16 : io->pending_capacity * 2;
        struct pending_event *pending = memory_allocate(capacity * sizeof *pending);
        for (size_t i = 0; i < io->pending_count; i++)
            pending[i] = io->pending[(io->pending_head + i) & (io->pending_capacity - 1)];
        memory_free(io->pending);
        io->pending = pending;
        io->pending_capacity = capacity;
        io->pending_head = 0;
    }
    io->pending[(io->pending_head + io->pending_count++) & (io->pending_capacity - 1)] = *event;
    io_notify(io);
}

void io_pend_simple(struct io *io, enum io_event_kind kind, enum status status, uint64_t tag,
                    uint64_t position)
{
    struct pending_event pending = {
        .event = {.kind = kind, .status = status, .tag = tag, .position = position}};
    io_pend(io, &pending);
}

static bool has_ready_stream(struct io *io)
{
    while (!list_is_empty(&io->ready)) {
        struct stream *stream = list_item(io->ready.next, struct stream, ready);
        if (stream_has_events(stream))
            return true;
        list_remove(&stream->ready);
    }
    return false;
}

bool io_has_pending(struct io *io)
{
    return io->held || io->pending_count > 0 || has_ready_stream(io) || timers_are_due(io);
}

/* ---- making the events of a turn: only here does an io hand anything out (IO-1) ---- */

/* By deadline, as they would have come one by one. */
static size_t gather_timers(struct io *io, struct io_event *events, size_t max)
{
    size_t count = 0;
    unsigned timer;
    while (count < max && timers_take_due(io, &timer))
        events[count++] = (struct io_event){.kind = IO_TIMER, .tag = timer};
    return count;
}

/* False when what it is about is gone: IO-2. */
static bool complete_event(struct io *io, struct pending_event *pending)
{
    if (pending->subject == SUBJECT_FILE)
        return file_is_open(io, pending->index, pending->generation);
    if (pending->subject != SUBJECT_STREAM)
        return true;
    struct io_stream handle = {pending->index, pending->generation};
    struct stream *stream = stream_at(io, handle);
    if (stream == NULL)
        return false;
    pending->event.tag = stream->tag;
    pending->event.stream = handle;
    if (pending->event.kind == IO_CONNECTED && pending->event.status != STATUS_OK)
        stream_free(stream);
    return true;
}

static size_t gather_pending(struct io *io, struct io_event *events, size_t max)
{
    size_t count = 0;
    while (count < max && io->pending_count > 0) {
        struct pending_event pending = io->pending[io->pending_head];
        io->pending_head = (io->pending_head + 1) & (io->pending_capacity - 1);
        io->pending_count--;
        if (complete_event(io, &pending))
            events[count++] = pending.event;
        else
            io->counters.late_completions++;
    }
    return count;
}

/* Each ready stream once; who was served goes to the end, so that a full array starves nobody. */
static size_t gather_streams(struct io *io, struct io_event *events, size_t max)
{
    struct list served;
    size_t count = 0;
    list_init(&served);
    while (!list_is_empty(&io->ready) && count < max) {
        struct stream *stream = list_item(io->ready.next, struct stream, ready);
        size_t made = stream_events(stream, events + count, max - count);
        list_remove(&stream->ready);
        if (made > 0)
            list_append(&served, &stream->ready);
        count += made;
    }
    while (!list_is_empty(&served)) {
        struct list *link = served.next;
        list_remove(link);
        list_append(&io->ready, link);
    }
    return count;
}

static size_t take_held(struct io *io, struct io_event *events)
{
    size_t count = io->held_count;
    memcpy(events, io->held, count * sizeof *events);
    memory_free(io->held);
    io->held = NULL;
    return count;
}

static size_t gather(struct io *io, struct io_event *events, size_t max)
{
    if (io->held)
        return take_held(io, events);
    bool timers_first = random_next(&io->world->turns) % 2 == 0;
    size_t count = timers_first ? gather_timers(io, events, max) : 0;
    count += gather_pending(io, events + count, max - count);
    count += gather_streams(io, events + count, max - count);
    if (!timers_first)
        count += gather_timers(io, events + count, max - count);
    if (count > 0) {
        io->counters.wakeups++;
        io->machine->counters.wakeups++;
        io->machine->counters.events += count;
        world_trace(io->world, TRACE_TURN, io->machine, io->worker, count, 0);
    }
    return count;
}

static bool hears_of(struct io *io, const struct io_event *events, size_t count,
                     struct machine_id machine)
{
    for (size_t i = 0; i < count; i++) {
        const struct stream *stream =
            events[i].kind == IO_READABLE ? stream_at(io, events[i].stream) : NULL;
        const struct end *other = stream && stream->end ? end_other(stream->end) : NULL;
        if (other && other->machine && other->machine->id.value == machine.value)
            return true;
    }
    return machine.value == 0;
}

/* Messages between workers are not held: who dies meanwhile would lose them unseen. */
static bool may_stop_in(struct io *io, const struct io_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (events[i].message)
            return false;
    return io->machine->stops_in_turn && hears_of(io, events, count, io->machine->stops_for);
}

/* The turn that has just gathered `count` events goes on when its process does. */
static void hold_turn(struct io *io, const struct io_event *events, size_t count)
{
    io->held = memory_allocate(count * sizeof *io->held);
    io->held_count = count;
    io->held_clock_ns = machine_now_ns(io->machine);
    memcpy(io->held, events, count * sizeof *events);
    world_pause(io->world, io->machine->id);
}

/* ---- happenings ---- */

static void wake_happens(struct io *io)
{
    if (!io->machine->paused)
        runnable_add(io);
}

static void happen(struct happening *happening)
{
    switch (happening->kind) {
    case HAPPENING_WAKE: wake_happens(list_item(happening, struct io, wake)); break;
    case HAPPENING_TIMER: timer_happens(list_item(happening, struct timer, happening)); break;
    case HAPPENING_ARRIVE: flow_arrives(list_item(happening, struct flow, arrive)); break;
    case HAPPENING_CREDIT: flow_has_credit(list_item(happening, struct flow, credit)); break;
    case HAPPENING_GIVE_UP: flow_gives_up(list_item(happening, struct flow, give_up)); break;
    case HAPPENING_DIAL: connection_dials_on(list_item(happening, struct connection, dial)); break;
    case HAPPENING_TASK: task_happens(list_item(happening, struct task, happening)); break;
    case HAPPENING_MESSAGE: message_happens(list_item(happening, struct message, happening)); break;
    }
}

static void run_due(struct world *world)
{
    struct happening *first;
    while ((first = agenda_first(&world->agenda)) != NULL && first->at_ns <= world->now_ns) {
        agenda_drop(&world->agenda, first);
        happen(first);
    }
}

/* False when nothing is left to happen before `until_ns`. */
static bool advance(struct world *world, uint64_t until_ns)
{
    const struct happening *first = agenda_first(&world->agenda);
    if (first == NULL || first->at_ns > until_ns) {
        if (until_ns != WORLD_FOREVER && until_ns > world->now_ns)
            world->now_ns = until_ns;
        return false;
    }
    world->now_ns = first->at_ns;
    return true;
}

/* ---- the door ---- */

/* What the last turn left undone (unread bytes, a full array) makes another. */
static void settle_last_turn(struct world *world)
{
    struct io *io = world->turned;
    world->turned = NULL;
    if (io != NULL && !io->dead && io_has_pending(io))
        io_notify(io);
}

/* Now and then a thread runs before all that is on its way to it has come: a short batch. */
static size_t draw_batch(struct world *world)
{
    uint64_t draw = random_next(&world->turns);
    return draw % 16 == 0 ? 2 + (draw >> 8) % 7 : IO_EVENTS_MAX;
}

static void charge_turn(struct io *io)
{
    struct world *world = io->world;
    const struct machine *machine = io->machine;
    io->busy_until_ns =
        world->now_ns + draw_between(&world->turns, machine->turn_min_ns, machine->turn_max_ns);
    world->turned = io;
}

static bool hand_out(struct world *world, struct world_turn *turn)
{
    struct io *io = world->runnable[random_below(&world->turns, world->runnable_count)];
    runnable_remove(io);
    size_t count = gather(io, world->events, draw_batch(world));
    if (count == 0)
        return false;
    if (may_stop_in(io, world->events, count)) {
        io->machine->stops_in_turn = false;
        hold_turn(io, world->events, count);
        return false;
    }
    charge_turn(io);
    *turn = (struct world_turn){.machine = io->machine->id,
                                .worker = io->worker,
                                .io = io,
                                .events = world->events,
                                .count = count};
    return true;
}

static bool take_dying(struct world *world, struct world_turn *turn)
{
    struct machine *machine = world->dying;
    if (machine == NULL)
        return false;
    bool power = machine->dying_of_power;
    if (power)
        machine_power_off(machine);
    else
        process_end(machine, END_CRASH);
    *turn = (struct world_turn){.machine = machine->id, .power = power};
    return true;
}

bool world_end_dying(struct world *world)
{
    struct world_turn turn;
    return take_dying(world, &turn);
}

enum world_step world_step(struct world *world, uint64_t until_ns, struct world_turn *turn)
{
    if (take_dying(world, turn))
        return WORLD_DIED;
    settle_last_turn(world);
    for (;;) {
        run_due(world);
        if (world->runnable_count > 0) {
            if (hand_out(world, turn))
                return WORLD_TURN;
        } else if (!advance(world, until_ns)) {
            return WORLD_QUIET;
        }
    }
}

/* The last turn of this io took its time: without it a reader that ignores its bytes would stop the
 * clock. */
static void pass_turn(struct world *world, const struct io *io)
{
    while (world->now_ns < io->busy_until_ns) {
        (void)advance(world, io->busy_until_ns);
        run_due(world);
    }
}

size_t world_gather(struct world *world, struct io *io, struct io_event *events, size_t max,
                    uint64_t until_ns)
{
    assert(max > 0);
    settle_last_turn(world);
    pass_turn(world, io);
    for (;;) {
        run_due(world);
        if (!io->dead && !io->machine->paused && io_has_pending(io)) {
            size_t count = gather(io, events, max);
            if (count > 0) {
                runnable_remove(io);
                charge_turn(io);
                return count;
            }
        }
        if (!advance(world, until_ns))
            return 0;
    }
}
