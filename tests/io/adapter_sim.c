/* adapter_sim.c - the simulated io for the contract suite (SIM-2): one machine, two workers of one
 * process.
 */
#include "contract.h"

#include "sim/world.h"

#include <assert.h>
#include <stdlib.h>

static struct world *world;
static struct machine_id machine;

/* ---- faults ---- */

bool contract_fail_next_sync(void)
{
    world_fail_sync(world, machine, 1);
    return true;
}

bool contract_hold_syncs(bool held)
{
    world_hold_syncs(world, machine, held);
    return true;
}

bool contract_fail_accepts(bool failing)
{
    world_fail_accepts(world, machine, failing);
    return true;
}

bool contract_limit_file_size(uint64_t bytes)
{
    world_limit_file_size(world, machine, bytes);
    return true;
}

enum status contract_lock_elsewhere(const char *path)
{
    return world_probe_lock(world, machine, path);
}

/* ---- the world ---- */

/* SIM_SEED=n runs the suite on another one: the contract holds for all. */
static uint64_t seed_of_environment(void)
{
    const char *text = getenv("SIM_SEED");
    return text == NULL ? 1 : strtoull(text, NULL, 10);
}

void contract_open(void)
{
    struct world_options options = world_options_calm(seed_of_environment());
    struct world_machine host = {.host = "10.0.0.1"};
    world = world_create(&options);
    machine = world_add_machine(world, &host);
    world_start_process(world, machine, CONTRACT_IOS);
    enum status made = io_dir_make(contract_io(0), contract_dir());
    assert(made == STATUS_OK);
}

void contract_destroy(unsigned which)
{
    world_stop_worker(world, machine, which);
}

void contract_close(void)
{
    world_destroy(world);
    world = NULL;
}

struct io *contract_io(unsigned which)
{
    return world_io(world, machine, which);
}

const char *contract_dir(void)
{
    return "/node";
}

const char *contract_host(void)
{
    return "127.0.0.1";
}

size_t contract_gather(struct io *io, struct io_event *events, size_t max, unsigned wait_ms)
{
    return world_gather(world, io, events, max, world_now_ns(world) + wait_ms * WORLD_MS);
}
