/* faults.c - what the driver can do to networks, clocks and disks. Processes and power: process.c.
 */
#include "sim/parts.h"

#include <assert.h>

static void trace_pair(struct world *world, enum trace_kind kind, struct machine_id a,
                       struct machine_id b)
{
    world_trace(world, kind, world_machine(world, a), b.value, 0, 0);
}

/* ---- the network ---- */

static struct path *path_of(struct world *world, struct machine_id from, struct machine_id to)
{
    assert(to.value > 0 && to.value <= world->machine_count);
    return &world_machine(world, from)->paths[to.value - 1];
}

void world_cut(struct world *world, struct machine_id from, struct machine_id to)
{
    struct path *path = path_of(world, from, to);
    if (!path->cut)
        trace_pair(world, TRACE_CUT, from, to);
    path->cut = true;
}

void world_heal(struct world *world, struct machine_id from, struct machine_id to)
{
    struct path *path = path_of(world, from, to);
    if (!path->cut)
        return;
    path->cut = false;
    trace_pair(world, TRACE_HEAL, from, to);
    machine_heal(world_machine(world, from), world_machine(world, to));
}

void world_cut_both(struct world *world, struct machine_id a, struct machine_id b)
{
    world_cut(world, a, b);
    world_cut(world, b, a);
}

void world_heal_both(struct world *world, struct machine_id a, struct machine_id b)
{
    world_heal(world, a, b);
    world_heal(world, b, a);
}

void world_heal_all(struct world *world)
{
    for (size_t i = 0; i < world->machine_count; i++)
        for (size_t k = 0; k < world->machine_count; k++)
            world_heal(world, world->machines[i]->id, world->machines[k]->id);
}

void world_delay(struct world *world, struct machine_id from, struct machine_id to, uint64_t min_ns,
                 uint64_t max_ns)
{
    struct path *path = path_of(world, from, to);
    assert(min_ns <= max_ns);
    path->delay_min_ns = min_ns;
    path->delay_max_ns = max_ns;
}

void world_spikes(struct world *world, uint32_t per_million, uint64_t min_ns, uint64_t max_ns)
{
    assert(min_ns <= max_ns);
    world->options.spikes_per_million = per_million;
    world->options.spike_min_ns = min_ns;
    world->options.spike_max_ns = max_ns;
}

/* Calls end_set_reset for the sides that `hit_a` and `hit_b` say, of every connection that stands
 * between the two. */
static unsigned reset_between(struct world *world, struct machine_id a, struct machine_id b,
                              bool hit_b)
{
    const struct machine *first = world_machine(world, a), *second = world_machine(world, b);
    unsigned count = 0;
    struct list *list = &world->connections;
    for (struct list *link = list->next; link != list; link = link->next) {
        struct connection *connection = list_item(link, struct connection, link);
        for (unsigned side = 0; side < 2; side++) {
            struct end *end = &connection->ends[side], *other = end_other(end);
            bool standing = end->state == END_OPEN || end->state == END_WAITING;
            if (end->machine != first || other->machine != second || !standing || end->reset)
                continue;
            end_set_reset(end);
            if (hit_b && (other->state == END_OPEN || other->state == END_WAITING))
                end_set_reset(other);
            count++;
            break;
        }
    }
    trace_pair(world, TRACE_RESET, a, b);
    return count;
}

unsigned world_reset_connections(struct world *world, struct machine_id a, struct machine_id b)
{
    return reset_between(world, a, b, true);
}

unsigned world_half_open(struct world *world, struct machine_id gone, struct machine_id unaware)
{
    return reset_between(world, gone, unaware, false);
}

void world_fail_send(struct world *world, struct machine_id machine, uint64_t nth)
{
    world_machine(world, machine)->fail_send_in = nth;
}

void world_fail_accepts(struct world *world, struct machine_id id, bool failing)
{
    struct machine *machine = world_machine(world, id);
    machine->accepts_fail = failing;
    for (struct list *link = machine->listeners.next; link != &machine->listeners;
         link = link->next)
        stream_touch(list_item(link, struct listener, link)->stream);
}

/* ---- turns and clocks ---- */

void world_turn_cost(struct world *world, struct machine_id id, uint64_t min_ns, uint64_t max_ns)
{
    struct machine *machine = world_machine(world, id);
    assert(min_ns <= max_ns);
    machine->turn_min_ns = min_ns;
    machine->turn_max_ns = max_ns;
}

void world_clock_jump(struct world *world, struct machine_id id, int64_t by_us)
{
    struct machine *machine = world_machine(world, id);
    machine->wall_offset_us += by_us;
    world_trace(world, TRACE_CLOCK, machine, (uint64_t)by_us, 0, 0);
}

void world_clock_rate(struct world *world, struct machine_id id, int32_t drift_ppm)
{
    struct machine *machine = world_machine(world, id);
    machine_set_clock(machine, machine_now_ns(machine), drift_ppm);
    world_trace(world, TRACE_CLOCK, machine, 0, (uint64_t)(int64_t)drift_ppm, 0);
    for (unsigned i = 0; i < machine->worker_count; i++)
        timers_schedule_again(machine->ios[i]);
}

/* ---- the disk ---- */

/* A process that waits for many calls one after the other, as at its start, has been charged for
 * all of them: on a disk that is well again they take no longer than such calls do. */
static void charge_less(struct io *io, uint64_t most_ns)
{
    uint64_t until_ns = io->world->now_ns + most_ns;
    if (io->dead || io->busy_until_ns <= until_ns)
        return;
    io->busy_until_ns = until_ns;
    if (!happening_is_due(&io->wake))
        return;
    agenda_drop(&io->world->agenda, &io->wake);
    io_notify(io);
}

#define WELL_AGAIN_CALLS 1000

void world_slow_disk(struct world *world, struct machine_id id, uint64_t min_ns, uint64_t max_ns)
{
    struct machine *machine = world_machine(world, id);
    assert(min_ns <= max_ns);
    machine->disk_min_ns = min_ns;
    machine->disk_max_ns = max_ns;
    for (unsigned i = 0; i < machine->worker_count; i++)
        charge_less(machine->ios[i], WELL_AGAIN_CALLS * max_ns);
}

void world_stall_disk(struct world *world, struct machine_id machine, uint64_t for_ns)
{
    world_machine(world, machine)->stalled_until_ns = world->now_ns + for_ns;
}

void world_hold_syncs(struct world *world, struct machine_id id, bool held)
{
    struct machine *machine = world_machine(world, id);
    machine->syncs_held = held;
    for (unsigned i = 0; !held && i < machine->worker_count; i++)
        tasks_release_held(machine->ios[i]);
}

void world_fail_sync(struct world *world, struct machine_id machine, uint64_t nth)
{
    world_machine(world, machine)->fail_sync_in = nth;
}

bool world_sync_will_fail(struct world *world, struct machine_id machine)
{
    return world_machine(world, machine)->fail_sync_in > 0;
}

void world_fail_write(struct world *world, struct machine_id machine, uint64_t nth)
{
    world_machine(world, machine)->fail_write_in = nth;
}

void world_fail_disk_call(struct world *world, struct machine_id id, uint64_t nth,
                          enum status status)
{
    struct machine *machine = world_machine(world, id);
    assert(status == STATUS_IO || status == STATUS_NO_SPACE);
    machine->fail_disk_call_in = nth;
    machine->fail_disk_call_status = status;
}

void world_disk_capacity(struct world *world, struct machine_id machine, uint64_t bytes)
{
    world_machine(world, machine)->disk.capacity = bytes;
}

void world_limit_file_size(struct world *world, struct machine_id machine, uint64_t bytes)
{
    world_machine(world, machine)->disk.file_size_limit = bytes;
}

void world_wipe_disk(struct world *world, struct machine_id id)
{
    struct machine *machine = world_machine(world, id);
    struct disk *disk = &machine->disk, before = *disk;
    assert(!machine->running);
    disk_deinit(disk);
    disk_init(disk, random_next(&world->disk));
    disk->capacity = before.capacity;
    disk->file_size_limit = before.file_size_limit;
    disk->keep_old = before.keep_old;
    disk->garbage_per_million = before.garbage_per_million;
    world_trace(world, TRACE_DAMAGE, machine, WORLD_ANYWHERE, 0, 0);
}

/* ---- damage ---- */

static bool is_harmable(const struct inode *inode, uint64_t number)
{
    const struct block *block = inode_block(inode, number);
    return block != NULL && !block->dirty && block->durable != NULL &&
           block->content == block->durable && number * IO_BLOCK_SIZE < inode->size;
}

/* A synced block that was written; UINT64_MAX: none. The n-th of them in a ring that begins at
 * `from`, without `except`. */
static uint64_t find_harmable(const struct inode *inode, uint64_t from, uint64_t except)
{
    uint64_t count = inode->leaf_count * DISK_LEAF_BLOCKS;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = (from + i) % count;
        if (number != except && is_harmable(inode, number))
            return number;
    }
    return UINT64_MAX;
}

static bool damaged_bytes(struct world *world, const struct inode *inode, uint64_t number,
                          enum world_damage damage, uint8_t bytes[IO_BLOCK_SIZE])
{
    const struct block *block = inode_block(inode, number);
    uint64_t draw = random_next(&world->disk);
    memcpy(bytes, block->durable->bytes, IO_BLOCK_SIZE);
    switch (damage) {
    case WORLD_DAMAGE_BIT: bytes[draw / 8 % IO_BLOCK_SIZE] ^= (uint8_t)(1u << draw % 8); break;
    case WORLD_DAMAGE_ZERO: memset(bytes, 0, IO_BLOCK_SIZE); break;
    case WORLD_DAMAGE_OLD:
        if (!block->rewritten)
            return false;
        memset(bytes, 0, IO_BLOCK_SIZE);
        if (block->old != NULL)
            memcpy(bytes, block->old->bytes, IO_BLOCK_SIZE);
        break;
    case WORLD_DAMAGE_OTHER: {
        uint64_t other =
            find_harmable(inode, draw % (inode->leaf_count * DISK_LEAF_BLOCKS), number);
        if (other == UINT64_MAX)
            return false;
        memcpy(bytes, inode_block(inode, other)->durable->bytes, IO_BLOCK_SIZE);
        break;
    }
    }
    return memcmp(bytes, block->durable->bytes, IO_BLOCK_SIZE) != 0;
}

bool world_damage(struct world *world, struct machine_id id, const char *path,
                  enum world_damage damage, uint64_t offset)
{
    char normal[IO_PATH_SIZE];
    uint8_t bytes[IO_BLOCK_SIZE];
    struct machine *machine = world_machine(world, id);
    if (path_normalize(path, normal) != STATUS_OK)
        return false;
    struct inode *inode = disk_find(&machine->disk, normal);
    if (inode == NULL || inode->is_directory || inode->leaf_count == 0)
        return false;
    uint64_t number = offset / IO_BLOCK_SIZE;
    if (offset == WORLD_ANYWHERE) {
        uint64_t blocks = (inode->size + IO_BLOCK_SIZE - 1) / IO_BLOCK_SIZE;
        number = find_harmable(inode, random_below(&world->disk, blocks + 1), UINT64_MAX);
    }
    if (number == UINT64_MAX || !is_harmable(inode, number) ||
        !damaged_bytes(world, inode, number, damage, bytes))
        return false;
    block_set(inode_block(inode, number), bytes);
    world_trace(world, TRACE_DAMAGE, machine, damage, number, 0);
    return true;
}
