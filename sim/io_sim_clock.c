/* io_sim_clock.c - io.h: clock and chance, timers, messages between workers, counters. */
#include "sim/parts.h"

#include "base/memory.h"

#include <assert.h>

/* ---- the machine's clock ---- */

static uint64_t scale(uint64_t ns, int32_t drift_ppm)
{
    return ns + (uint64_t)((int64_t)ns / 1000000 * drift_ppm) +
           (uint64_t)((int64_t)ns % 1000000 * drift_ppm / 1000000);
}

uint64_t machine_now_ns(const struct machine *machine)
{
    return machine->clock_base_ns +
           scale(machine->world->now_ns - machine->clock_from_ns, machine->drift_ppm);
}

uint64_t machine_to_virtual_ns(const struct machine *machine, uint64_t clock_ns)
{
    if (clock_ns <= machine->clock_base_ns)
        return machine->clock_from_ns;
    uint64_t shown = clock_ns - machine->clock_base_ns;
    if (shown > UINT64_MAX / 2)
        return SIM_NEVER_NS;
    uint64_t run = scale(shown, -machine->drift_ppm);
    while (scale(run, machine->drift_ppm) < shown)
        run += 1 + (shown - scale(run, machine->drift_ppm)) / 2;
    return machine->clock_from_ns + run;
}

void machine_set_clock(struct machine *machine, uint64_t base_ns, int32_t drift_ppm)
{
    assert(drift_ppm >= -1000 && drift_ppm <= 1000);
    machine->clock_base_ns = base_ns;
    machine->clock_from_ns = machine->world->now_ns;
    machine->drift_ppm = drift_ppm;
}

uint64_t io_now_ns(struct io *io)
{
    uint64_t held_ns = io->held_clock_ns;
    if (held_ns && !io->held) {
        io->held_clock_ns = 0;
        return held_ns;
    }
    return machine_now_ns(
        io->machine); /* IO-5: only a reboot sets the base back, and the io is dead then */
}

int64_t io_wall_us(struct io *io)
{
    return SIM_WALL_START_US + (int64_t)(io->world->now_ns / 1000) + io->machine->wall_offset_us;
}

uint64_t io_random(struct io *io)
{
    return random_next(&io->random);
}

void io_boot_id(struct io *io, char out[IO_BOOT_ID_SIZE])
{
    memcpy(out, io->machine->boot_id, IO_BOOT_ID_SIZE);
}

/* ---- timers ---- */

void timers_init(struct io *io)
{
    for (unsigned i = 0; i < IO_TIMERS_MAX; i++) {
        io->timers[i].io = io;
        io->timers[i].happening.kind = HAPPENING_TIMER;
        io->timers[i].deadline_ns = SIM_NEVER_NS;
    }
    io->timers_from_ns = SIM_NEVER_NS;
}

static unsigned earliest_timer(const struct io *io)
{
    unsigned best = 0;
    for (unsigned i = 1; i < IO_TIMERS_MAX; i++)
        if (io->timers[i].deadline_ns < io->timers[best].deadline_ns)
            best = i;
    return best;
}

bool timers_are_due(struct io *io)
{
    uint64_t now_ns = machine_now_ns(io->machine);
    if (io->timers_from_ns > now_ns)
        return false;
    io->timers_from_ns = io->timers[earliest_timer(io)].deadline_ns;
    return io->timers_from_ns <= now_ns;
}

bool timers_take_due(struct io *io, unsigned *timer)
{
    if (!timers_are_due(io))
        return false;
    *timer = earliest_timer(io);
    io->timers[*timer].deadline_ns = SIM_NEVER_NS;
    return true;
}

static void schedule_timer(struct timer *timer)
{
    struct world *world = timer->io->world;
    uint64_t at_ns = machine_to_virtual_ns(timer->io->machine, timer->deadline_ns);
    agenda_put(&world->agenda, &timer->happening, at_ns > world->now_ns ? at_ns : world->now_ns);
}

void io_timer_set(struct io *io, unsigned timer, uint64_t deadline_ns)
{
    assert(timer < IO_TIMERS_MAX);
    struct timer *slot = &io->timers[timer];
    if (deadline_ns == SIM_NEVER_NS) {
        io_timer_cancel(io, timer);
        return;
    }
    bool is_later = happening_is_due(&slot->happening) && deadline_ns >= slot->deadline_ns;
    slot->deadline_ns = deadline_ns;
    if (deadline_ns < io->timers_from_ns)
        io->timers_from_ns = deadline_ns;
    if (!is_later && !io->dead) /* one that moved later looks again when its old time comes */
        schedule_timer(slot);
}

void io_timer_cancel(struct io *io, unsigned timer)
{
    assert(timer < IO_TIMERS_MAX);
    io->timers[timer].deadline_ns = SIM_NEVER_NS;
    agenda_drop(&io->world->agenda, &io->timers[timer].happening);
}

void timer_happens(struct timer *timer)
{
    if (timer->deadline_ns == SIM_NEVER_NS)
        return; /* it was handed out already */
    if (machine_now_ns(timer->io->machine) < timer->deadline_ns) {
        schedule_timer(timer);
        return;
    }
    io_notify(timer->io);
}

void timers_schedule_again(struct io *io)
{
    for (unsigned i = 0; i < IO_TIMERS_MAX; i++)
        if (happening_is_due(&io->timers[i].happening))
            schedule_timer(&io->timers[i]);
}

/* ---- messages ---- */

void message_lose(struct machine *machine, void *body)
{
    if (!body)
        return;
    struct lost_message *lost = memory_allocate(sizeof *lost);
    lost->message = body;
    list_append(&machine->lost_messages, &lost->link);
}

struct message *message_send(struct io *io, struct io *receiver, uint64_t tag, void *body)
{
    struct world *world = io->world;
    unsigned worker = receiver->worker;
    struct message *post = memory_zeroed(1, sizeof *post);
    post->happening.kind = HAPPENING_MESSAGE;
    post->io = receiver;
    post->tag = tag;
    post->message = body;
    list_append(&receiver->messages, &post->in_io);
    uint64_t at_ns = world->now_ns + random_below(&world->turns, SIM_POST_MAX_NS);
    if (at_ns < io->post_arrives_ns[worker]) /* one sender's messages keep their order */
        at_ns = io->post_arrives_ns[worker];
    io->post_arrives_ns[worker] = at_ns;
    agenda_put(&world->agenda, &post->happening, at_ns);
    io->machine->counters.messages++;
    return post;
}

void io_post(struct io *io, unsigned worker, uint64_t tag, void *message)
{
    assert(worker < io->machine->worker_count);
    struct io *receiver = io->machine->ios[worker];
    if (io_is_gone(io) || receiver->dead)
        message_lose(io->machine, message);
    else
        (void)message_send(io, receiver, tag, message);
}

void message_happens(struct message *message)
{
    struct io *io = message->io;
    struct pending_event pending = {
        .event = {.kind = IO_MESSAGE, .tag = message->tag, .message = message->message}};
    if (message->brings_stream) {
        pending.event.kind = IO_ACCEPTED;
        pending.event.stream = message->stream;
    }
    list_remove(&message->in_io);
    memory_free(message);
    world_trace(io->world, TRACE_MESSAGE, io->machine, io->worker, 0, 0);
    io_pend(io, &pending);
}

/* Those under way and those that were not handed out. */
void messages_lose(struct io *io)
{
    for (size_t i = 0; i < io->pending_count; i++) {
        const struct pending_event *pending =
            &io->pending[(io->pending_head + i) & (io->pending_capacity - 1)];
        message_lose(io->machine, pending->event.message);
    }
    io->pending_count = 0;
    while (!list_is_empty(&io->messages)) {
        struct message *message = list_item(io->messages.next, struct message, in_io);
        agenda_drop(&io->world->agenda, &message->happening);
        list_remove(&message->in_io);
        message_lose(io->machine, message->message);
        memory_free(message);
    }
}

void io_counters(struct io *io, struct io_counters *out)
{
    *out = io->counters;
}
