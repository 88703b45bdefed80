/* world.c - the world and its machines: making, ending, looking, tracing. */
#include "sim/parts.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

#define LOOPBACK_MIN_NS 5000
#define LOOPBACK_MAX_NS 30000

struct world_options world_options_calm(uint64_t seed)
{
    return (struct world_options){
        .seed = seed,
        .delay_min_ns = 40000,
        .delay_max_ns = 250000,
        .spike_min_ns = 200 * WORLD_MS,
        .spike_max_ns = 800 * WORLD_MS,
        .accept_delay_max_ns = 100000,
        .give_up_ns = 60 * WORLD_SECOND,
        .turn_min_ns = 3000,
        .turn_max_ns = 60000,
        .disk_min_ns = 80000,
        .disk_max_ns = 900000,
        .disk_bytes_per_second = 400 * 1000000ull,
        .trace_records = 4096,
    };
}

uint64_t draw_between(struct random *random, uint64_t min, uint64_t max)
{
    return max > min ? min + random_below(random, max - min + 1) : min;
}

struct world *world_create(const struct world_options *options)
{
    struct world *world = memory_zeroed(1, sizeof *world);
    world->options = *options;
    agenda_init(&world->agenda);
    trace_init(&world->trace, options->trace_records);
    random_init(&world->network, checksum_seeded("network", 7, options->seed));
    random_init(&world->disk, checksum_seeded("disk", 4, options->seed));
    random_init(&world->turns, checksum_seeded("turns", 5, options->seed));
    list_init(&world->connections);
    world->events = memory_allocate(IO_EVENTS_MAX * sizeof *world->events);
    return world;
}

/* ---- machines ---- */

struct machine *world_machine(struct world *world, struct machine_id id)
{
    assert(id.value > 0 && id.value <= world->machine_count);
    return world->machines[id.value - 1];
}

struct machine *world_machine_of_host(struct world *world, const char *host)
{
    for (size_t i = 0; i < world->machine_count; i++)
        if (strcmp(world->machines[i]->host, host) == 0)
            return world->machines[i];
    return NULL;
}

/* Paths between the newest machine and all, itself included. */
static void add_paths(struct world *world)
{
    const struct world_options *options = &world->options;
    size_t count = world->machine_count;
    struct machine *newest = world->machines[count - 1];
    newest->paths = memory_zeroed(count, sizeof(struct path));
    for (size_t i = 0; i < count; i++) {
        struct machine *machine = world->machines[i];
        if (machine != newest)
            machine->paths = memory_resize(machine->paths, count * sizeof(struct path));
        struct path path = {options->delay_min_ns, options->delay_max_ns, false};
        machine->paths[count - 1] = newest->paths[i] = path;
    }
    newest->paths[count - 1] = (struct path){LOOPBACK_MIN_NS, LOOPBACK_MAX_NS, false};
}

struct machine_id world_add_machine(struct world *world, const struct world_machine *options)
{
    assert(world->machine_count < WORLD_MACHINES_MAX && strchr(options->host, ':') == NULL);
    assert(world_machine_of_host(world, options->host) == NULL);
    size_t count = ++world->machine_count;
    struct machine *machine = memory_zeroed(1, sizeof *machine);
    world->machines = memory_resize(world->machines, count * sizeof(struct machine *));
    world->machines[count - 1] = machine;
    machine->world = world;
    machine->id.value = (uint32_t)count;
    snprintf(machine->host, sizeof machine->host, "%s", options->host);
    machine->wall_offset_us = options->wall_offset_us;
    machine->drift_ppm = options->drift_ppm;
    machine->turn_min_ns = world->options.turn_min_ns;
    machine->turn_max_ns = world->options.turn_max_ns;
    machine->disk_min_ns = world->options.disk_min_ns;
    machine->disk_max_ns = world->options.disk_max_ns;
    machine->next_port = 32768;
    list_init(&machine->listeners);
    list_init(&machine->lost_messages);
    disk_init(&machine->disk, random_next(&world->disk));
    machine->disk.capacity = options->disk_capacity;
    machine->disk.keep_old = world->options.keep_old_blocks;
    machine->disk.garbage_per_million = world->options.garbage_per_million;
    add_paths(world);
    machine_boot(machine);
    return machine->id;
}

static void machine_destroy(struct machine *machine)
{
    process_end(machine, END_CRASH);
    machine_bury(machine);
    while (!list_is_empty(&machine->lost_messages)) {
        struct lost_message *lost =
            list_item(machine->lost_messages.next, struct lost_message, link);
        list_remove(&lost->link);
        memory_free(lost);
    }
    disk_deinit(&machine->disk);
    memory_free(machine->paths);
    memory_free(machine);
}

void world_destroy(struct world *world)
{
    if (world == NULL)
        return;
    for (size_t i = 0; i < world->machine_count; i++)
        process_end(world->machines[i], END_CRASH);
    while (!list_is_empty(&world->connections))
        connection_free(list_item(world->connections.next, struct connection, link));
    for (size_t i = 0; i < world->machine_count; i++)
        machine_destroy(world->machines[i]);
    memory_free(world->machines);
    memory_free(world->runnable);
    memory_free(world->events);
    agenda_deinit(&world->agenda);
    trace_deinit(&world->trace);
    memory_free(world);
}

/* ---- looking ---- */

uint64_t world_now_ns(const struct world *world)
{
    return world->now_ns;
}

struct io *world_io(struct world *world, struct machine_id id, unsigned worker)
{
    const struct machine *machine = world_machine(world, id);
    return worker < machine->worker_count ? machine->ios[worker] : NULL;
}

bool world_is_running(struct world *world, struct machine_id id)
{
    const struct machine *machine = world_machine(world, id);
    return machine->running && !machine->dying;
}

bool world_is_on(struct world *world, struct machine_id id)
{
    return world_machine(world, id)->on;
}

struct world_counters world_counters(struct world *world, struct machine_id id)
{
    return world_machine(world, id)->counters;
}

enum status world_disk_read(struct world *world, struct machine_id id, const char *path,
                            uint8_t *into, size_t size, uint64_t offset, size_t *got)
{
    char normal[IO_PATH_SIZE];
    const struct disk *disk = &world_machine(world, id)->disk;
    if (path_normalize(path, normal) != STATUS_OK)
        return STATUS_NOT_FOUND;
    const struct inode *inode = disk_find(disk, normal);
    if (inode == NULL || inode->is_directory)
        return STATUS_NOT_FOUND;
    *got = inode_read(inode, into, size, offset);
    return STATUS_OK;
}

bool world_disk_file(struct world *world, struct machine_id id, size_t nth, char path[IO_PATH_SIZE])
{
    const struct names *names = &world_machine(world, id)->disk.names;
    for (size_t i = 0; i < names->count; i++) {
        if (names->list[i].inode->is_directory || nth-- > 0)
            continue;
        snprintf(path, IO_PATH_SIZE, "%s", names->list[i].path);
        return true;
    }
    return false;
}

uint64_t world_disk_used(struct world *world, struct machine_id id)
{
    return world_machine(world, id)->disk.used;
}

enum status world_probe_lock(struct world *world, struct machine_id id, const char *path)
{
    char name[IO_PATH_SIZE + 8], normal[IO_PATH_SIZE];
    snprintf(name, sizeof name, "%.*s/lock", IO_PATH_SIZE, path);
    if (path_normalize(name, normal) != STATUS_OK)
        return STATUS_OK;
    const struct inode *inode = disk_find(&world_machine(world, id)->disk, normal);
    return inode != NULL && inode->lock_holder != NULL ? STATUS_IN_USE : STATUS_OK;
}

/* ---- trace ---- */

void world_trace(struct world *world, enum trace_kind kind, const struct machine *machine,
                 uint64_t a, uint64_t b, uint64_t sum)
{
    struct trace_record record = {.at_ns = world->now_ns,
                                  .kind = kind,
                                  .machine = machine == NULL ? 0 : machine->id.value,
                                  .a = a,
                                  .b = b,
                                  .sum = sum};
    trace_add(&world->trace, &record);
}

uint64_t world_trace_hash(const struct world *world)
{
    return world->trace.hash;
}

void world_trace_note(struct world *world, struct machine_id machine, const char *text,
                      uint64_t number)
{
    struct trace_record record = {
        .at_ns = world->now_ns, .kind = TRACE_NOTE, .machine = machine.value, .a = number};
    snprintf(record.text, sizeof record.text, "%s", text);
    trace_add(&world->trace, &record);
}

void world_trace_print(const struct world *world, FILE *out, size_t count)
{
    trace_print(&world->trace, out, count);
}

/* ---- notes ---- */

void world_take_notes(struct world *world, struct world_note *notes, size_t max)
{
    world->notes = notes;
    world->note_count = 0;
    world->note_max = max;
}

size_t world_note_count(const struct world *world)
{
    return world->note_count;
}

void io_note(struct io *io, const char *stage, const char *file, const char *function)
{
    struct world *world = io->world;
    if (!world->notes || world->note_count == world->note_max)
        return;
    world->notes[world->note_count++] =
        (struct world_note){world->now_ns, io->machine->id, stage, file, function};
}
