/* process.c - processes and machines: start, crash, power. */
#include "sim/parts.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define CLOCK_START_MIN_NS (2 * WORLD_SECOND)
#define CLOCK_START_MAX_NS (90 * WORLD_SECOND)

/* ---- an io ---- */

static struct io *io_make(struct machine *machine, unsigned worker, unsigned workers)
{
    struct world *world = machine->world;
    struct io *io = memory_zeroed(1, sizeof *io);
    uint64_t who[4] = {world->options.seed, machine->id.value, machine->processes, worker};
    io->world = world;
    io->machine = machine;
    io->worker = worker;
    io->wake.kind = HAPPENING_WAKE;
    io->post_arrives_ns = memory_zeroed(workers, sizeof(uint64_t));
    list_init(&io->ready);
    list_init(&io->tasks);
    list_init(&io->messages);
    timers_init(io);
    random_init(&io->random, checksum(who, sizeof who));
    return io;
}

static void io_end(struct io *io, enum end_of_process end)
{
    if (io->dead)
        return;
    io_unschedule(io);
    for (unsigned i = 0; i < IO_TIMERS_MAX; i++)
        io_timer_cancel(io, i);
    tasks_end(io, end == END_CLEAN, end == END_POWER);
    streams_close_all(io, end == END_CLEAN);
    files_close_all(io);
    messages_lose(io);
    io->dead = true;
}

static void io_free(struct io *io)
{
    assert(io->dead);
    if (io->world->turned == io)
        io->world->turned = NULL;
    streams_deinit(io);
    memory_free(io->held);
    memory_free(io->files);
    memory_free(io->pending);
    memory_free(io->post_arrives_ns);
    memory_free(io);
}

/* ---- a process ---- */

bool io_touches_outside(struct io *io)
{
    struct machine *machine = io->machine;
    if (io_is_gone(io)) /* SIM-3 */
        return false;
    machine->counters.outside_calls++;
    if (!is_due_now(&machine->crash_in))
        return true;
    machine->dying = true;
    machine->dying_of_power = machine->crash_power;
    io->world->dying = machine;
    return false;
}

void process_end(struct machine *machine, enum end_of_process end)
{
    struct world *world = machine->world;
    if (!machine->running)
        return;
    world_trace(world, end == END_CLEAN ? TRACE_STOP : TRACE_CRASH, machine, end, 0, 0);
    for (unsigned i = 0; i < machine->worker_count; i++)
        io_end(machine->ios[i], end);
    machine->running = machine->paused = machine->dying = machine->stops_in_turn = false;
    machine->crash_in = 0;
    if (world->dying == machine)
        world->dying = NULL;
}

void machine_bury(struct machine *machine)
{
    assert(!machine->running);
    for (unsigned i = 0; i < machine->worker_count; i++)
        io_free(machine->ios[i]);
    memory_free(machine->ios);
    machine->ios = NULL;
    machine->worker_count = 0;
}

void world_start_process(struct world *world, struct machine_id id, unsigned workers)
{
    struct machine *machine = world_machine(world, id);
    assert(machine->on && !machine->running && workers > 0 && workers <= WORLD_WORKERS_MAX);
    machine_bury(machine);
    machine->processes++;
    machine->ios = memory_allocate(workers * sizeof(struct io *));
    machine->worker_count = workers;
    for (unsigned i = 0; i < workers; i++)
        machine->ios[i] = io_make(machine, i, workers);
    machine->running = true;
    world_trace(world, TRACE_START, machine, workers, machine->processes, 0);
}

void world_bury(struct world *world, struct machine_id id)
{
    struct machine *machine = world_machine(world, id);
    if (!machine->running)
        machine_bury(machine);
}

void world_crash_process(struct world *world, struct machine_id id)
{
    process_end(world_machine(world, id), END_CRASH);
}

void world_stop_process(struct world *world, struct machine_id id)
{
    process_end(world_machine(world, id), END_CLEAN);
}

void world_stop_worker(struct world *world, struct machine_id id, unsigned worker)
{
    struct machine *machine = world_machine(world, id);
    assert(worker < machine->worker_count);
    io_end(machine->ios[worker], END_CLEAN);
}

void *world_take_lost_message(struct world *world, struct machine_id id)
{
    struct machine *machine = world_machine(world, id);
    if (list_is_empty(&machine->lost_messages))
        return NULL;
    struct lost_message *lost = list_item(machine->lost_messages.next, struct lost_message, link);
    void *message = lost->message;
    list_remove(&lost->link);
    memory_free(lost);
    return message;
}

void world_crash_at_call(struct world *world, struct machine_id id, uint64_t nth, bool power)
{
    struct machine *machine = world_machine(world, id);
    machine->crash_in = nth;
    machine->crash_power = power;
}

/* ---- pause ---- */

void world_pause(struct world *world, struct machine_id id)
{
    struct machine *machine = world_machine(world, id);
    if (!machine->running || machine->paused)
        return;
    machine->paused = true;
    world_trace(world, TRACE_PAUSE, machine, 0, 0, 0);
    for (unsigned i = 0; i < machine->worker_count; i++)
        io_unschedule(machine->ios[i]);
}

void world_pause_in_turn(struct world *world, struct machine_id id, struct machine_id from)
{
    struct machine *machine = world_machine(world, id);
    machine->stops_for = from;
    machine->stops_in_turn = machine->running && !machine->paused;
}

void world_resume(struct world *world, struct machine_id id)
{
    struct machine *machine = world_machine(world, id);
    machine->stops_in_turn = false;
    if (!machine->paused)
        return;
    machine->paused = false;
    world_trace(world, TRACE_RESUME, machine, 0, 0, 0);
    for (unsigned i = 0; i < machine->worker_count; i++)
        if (io_has_pending(machine->ios[i]))
            io_notify(machine->ios[i]);
}

/* ---- power ---- */

void machine_power_off(struct machine *machine)
{
    struct world *world = machine->world;
    if (!machine->on)
        return;
    machine->on = false;
    machine_vanish_connections(machine);
    process_end(machine, END_POWER);
    uint64_t lost = disk_power_cut(&machine->disk);
    world_trace(world, TRACE_POWER_CUT, machine, lost, 0, 0);
}

void machine_boot(struct machine *machine)
{
    struct world *world = machine->world;
    machine->on = true;
    machine->boots++;
    uint64_t who[3] = {world->options.seed, machine->id.value, machine->boots};
    snprintf(machine->boot_id, sizeof machine->boot_id, "%016" PRIx64 "-%" PRIu32 "-%" PRIu64,
             checksum(who, sizeof who), machine->id.value, machine->boots);
    machine_set_clock(machine, draw_between(&world->turns, CLOCK_START_MIN_NS, CLOCK_START_MAX_NS),
                      machine->drift_ppm);
    machine->stalled_until_ns = 0;
    world_trace(world, TRACE_POWER_ON, machine, machine->boots, 0, 0);
}

void world_power_cut(struct world *world, struct machine_id id)
{
    machine_power_off(world_machine(world, id));
}

void world_power_on(struct world *world, struct machine_id id)
{
    struct machine *machine = world_machine(world, id);
    if (machine->on)
        return;
    machine_boot(machine);
    for (size_t i = 0; i < world->machine_count; i++)
        if (!path_is_cut(world->machines[i], machine))
            machine_heal(world->machines[i], machine);
}
