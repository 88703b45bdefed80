/* What each fault does, and how it is undone. */
#include "sim/plan_inside.h"

#include "wal/format.h"

#include <stdio.h>

#define MS        WORLD_MS
#define STOPS_MAX 40 /* looks for a successor of a stopped leader: then it goes on without */

static struct machine_id machine(const struct plan *plan, unsigned node)
{
    return plan->cluster->nodes[node].machine;
}

static unsigned nodes(const struct plan *plan)
{
    return plan->cluster->options.nodes;
}

/* Every second fault goes to the leader: that is where it hurts. */
static unsigned pick(struct plan *plan)
{
    unsigned leader = cluster_leader(plan->cluster);
    if (leader < nodes(plan) && plan_below(plan, 2))
        return leader;
    return (unsigned)plan_below(plan, nodes(plan));
}

static unsigned pick_other(struct plan *plan, unsigned node)
{
    return (node + 1 + (unsigned)plan_below(plan, nodes(plan) - 1)) % nodes(plan);
}

/* ---- processes and power ---- */

static void take_down(struct plan *plan, unsigned node, bool power)
{
    if (power)
        cluster_power_cut(plan->cluster, node);
    else
        cluster_kill(plan->cluster, node);
    plan_repair_later(plan, PLAN_KILL, node, 0);
}

static void take_all_down(struct plan *plan, bool power)
{
    for (unsigned i = 0; i < nodes(plan); i++)
        take_down(plan, i, power);
}

/* A leader in the middle of a turn with requests, until another one leads and has acknowledged
 * writes, and before the clients have given up: what it answers then must not be from before. */
static void pause_in_turn(struct plan *plan, unsigned node)
{
    unsigned leader = cluster_leader(plan->cluster);
    if (leader < nodes(plan))
        node = leader;
    world_pause_in_turn(plan->world, machine(plan, node),
                        plan_below(plan, 8) ? plan->clients : (struct machine_id){0});
    plan_repair_within(plan, PLAN_PAUSE_IN_TURN, node, 0, 600 * MS);
}

/* A stopped leader waits for its successor, and then leaves it some time for writes. False: it
 * waits on. */
static bool goes_on(struct plan *plan, unsigned node, unsigned waited)
{
    if (plan->healed || waited == STOPS_MAX || plan->repair_count + 1 >= PLAN_REPAIRS_MAX) {
        world_resume(plan->world, machine(plan, node));
        return true;
    }
    bool leads = cluster_leader(plan->cluster) == node;
    plan_repair_within(plan, PLAN_PAUSE_IN_TURN, node, leads ? waited + 1 : STOPS_MAX,
                       leads ? 200 * MS : 800 * MS);
    return false;
}

static void break_process(struct plan *plan, enum plan_fault fault, unsigned node)
{
    switch (fault) {
    case PLAN_KILL:
    case PLAN_POWER: take_down(plan, node, fault == PLAN_POWER); break;
    case PLAN_KILL_ALL:
    case PLAN_POWER_ALL: take_all_down(plan, fault == PLAN_POWER_ALL); break;
    case PLAN_KILL_AT_CALL:
    case PLAN_POWER_AT_CALL:
        world_crash_at_call(plan->world, machine(plan, node), 1 + plan_below(plan, 200),
                            fault == PLAN_POWER_AT_CALL);
        break;
    case PLAN_PAUSE:
        world_pause(plan->world, machine(plan, node));
        plan_repair_later(plan, fault, node, 0);
        break;
    case PLAN_PAUSE_IN_TURN: pause_in_turn(plan, node); break;
    default: /* PLAN_SLOW_TURNS */
        world_turn_cost(plan->world, machine(plan, node), MS, 1 + plan_between(plan, MS, 30 * MS));
        plan_repair_later(plan, fault, node, 0);
    }
}

/* ---- network ---- */

/* One node reaches everybody, the others only it. */
static void cut_into_bridge(struct plan *plan, unsigned bridge, bool cut)
{
    for (unsigned i = 0; i < nodes(plan); i++)
        for (unsigned k = i + 1; k < nodes(plan); k++) {
            if (i == bridge || k == bridge)
                continue;
            if (cut)
                world_cut_both(plan->world, machine(plan, i), machine(plan, k));
            else
                world_heal_both(plan->world, machine(plan, i), machine(plan, k));
        }
}

static void isolate(struct plan *plan, unsigned node, bool cut)
{
    for (unsigned i = 0; i < nodes(plan); i++) {
        if (i == node)
            continue;
        if (cut)
            world_cut_both(plan->world, machine(plan, i), machine(plan, node));
        else
            world_heal_both(plan->world, machine(plan, i), machine(plan, node));
    }
}

static bool changes_a_group(const struct plan *plan, unsigned at)
{
    const struct cluster_node *node = &plan->cluster->nodes[at];
    for (unsigned i = 0; i < node->worker_count; i++) {
        struct node *inside = node->workers[i] ? worker_node(node->workers[i]) : NULL;
        for (size_t k = 0; inside && node_is_started(inside) && k < node_group_count(inside); k++) {
            const struct raft *raft = replica_raft(node_group_at(inside, k));
            const struct raft_view *view = raft_view(raft);
            uint64_t index = raft_configuration(raft)->index;
            if (raft_is_serving(raft) && index > view->commit &&
                raft_term_at(raft, index) == view->term)
                return true;
        }
    }
    return false;
}

/* A leader with a configuration that nobody else has yet: others go on without it, and it must be
 * rolled back. */
void plan_turned(struct plan *plan, struct machine_id id)
{
    unsigned at = 0;
    if (!plan->cuts_change || plan->healed)
        return;
    while (machine(plan, at).value != id.value)
        at++;
    if (plan->cluster->nodes[at].state != CLUSTER_UP || !world_is_running(plan->world, id) ||
        !changes_a_group(plan, at))
        return;
    plan->cuts_change = false;
    isolate(plan, at, true);
    plan_repair_within(plan, PLAN_ISOLATE, at, 0, 4000 * MS);
}

static void break_network(struct plan *plan, enum plan_fault fault, unsigned node)
{
    unsigned other = pick_other(plan, node);
    struct machine_id a = machine(plan, node), b = machine(plan, other);
    switch (fault) {
    case PLAN_CUT_ONE_WAY: world_cut(plan->world, a, b); break;
    case PLAN_CUT_BOTH: world_cut_both(plan->world, a, b); break;
    case PLAN_ISOLATE: isolate(plan, node, true); break;
    case PLAN_BRIDGE: cut_into_bridge(plan, node, true); break;
    case PLAN_CUT_CHANGE: plan->cuts_change = true; return;
    case PLAN_CUT_CLIENTS: world_cut_both(plan->world, a, plan->clients); break;
    case PLAN_RESET:
        world_reset_connections(plan->world, a, plan_below(plan, 3) ? b : plan->clients);
        return;
    case PLAN_HALF_OPEN: world_half_open(plan->world, a, b); return;
    case PLAN_SPIKES:
        world_spikes(plan->world, 20000, 5 * MS, 5 * MS + plan_below(plan, 300 * MS));
        break;
    default: /* PLAN_SLOW_LINK */
        world_delay(plan->world, a, b, MS, MS + plan_below(plan, 80 * MS));
    }
    plan_repair_later(plan, fault, node, other);
}

/* ---- disks ---- */

/* True: an older use of the file's space begins here; what stood there before says nothing of what
 * stands in front of it. */
static bool is_of_old(const uint8_t *block, uint64_t *newest)
{
    struct wal_batch_header header;
    if (wal_batch_header_load(block, &header))
        return false; /* inside a batch */
    bool is_old = header.sequence < *newest;
    *newest = header.sequence;
    return is_old;
}

/* The newest file of the log, and how far it is written. */
static bool find_log(struct plan *plan, unsigned node, char path[IO_PATH_SIZE], uint64_t *written)
{
    uint8_t block[IO_BLOCK_SIZE];
    char candidate[IO_PATH_SIZE];
    *written = 0;
    for (size_t nth = 0; world_disk_file(plan->world, machine(plan, node), nth, candidate); nth++) {
        uint64_t size = 0, newest = 0;
        size_t got = 0;
        size_t length = strlen(candidate);
        if (length < 4 || strcmp(candidate + length - 4, ".wal") != 0)
            continue;
        while (world_disk_read(plan->world, machine(plan, node), candidate, block, sizeof block,
                               size, &got) == STATUS_OK &&
               got == sizeof block && load_u32(block) != 0 && !is_of_old(block, &newest))
            size += sizeof block;
        if (size > *written) {
            *written = size;
            memcpy(path, candidate, sizeof candidate);
        }
    }
    return *written > 64 * IO_BLOCK_SIZE;
}

/* In the first half of a log file, so that what follows says that this was durable (R7). */
static void rot(struct plan *plan, unsigned node)
{
    static const enum world_damage kinds[] = {WORLD_DAMAGE_BIT, WORLD_DAMAGE_ZERO,
                                              WORLD_DAMAGE_OTHER};
    char path[IO_PATH_SIZE];
    uint64_t written = 0;
    for (unsigned i = 0; i < nodes(plan); i++)
        if (plan->cluster->nodes[i].damaged)
            return; /* one at a time: what is lost twice is lost */
    if (plan->cluster->nodes[node].state != CLUSTER_UP || !find_log(plan, node, path, &written))
        return;
    cluster_kill(plan->cluster, node);
    uint64_t block = 1 + plan_below(plan, written / IO_BLOCK_SIZE / 2);
    if (world_damage(plan->world, machine(plan, node), path, kinds[plan_below(plan, 3)],
                     block * IO_BLOCK_SIZE))
        plan->cluster->nodes[node].damaged = true;
    plan_repair_later(plan, PLAN_KILL, node, 0);
}

static void break_disk(struct plan *plan, enum plan_fault fault, unsigned node)
{
    struct machine_id at = machine(plan, node);
    switch (fault) {
    case PLAN_SLOW_DISK:
        world_slow_disk(plan->world, at, MS, MS + plan_below(plan, 300 * MS));
        break;
    case PLAN_STALL_DISK: world_stall_disk(plan->world, at, plan_below(plan, 3000 * MS)); return;
    case PLAN_HOLD_SYNCS: world_hold_syncs(plan->world, at, true); break;
    case PLAN_SYNC_FAILS:
        plan->cluster->nodes[node].sync_fails = true;
        world_fail_sync(plan->world, at, 1 + plan_below(plan, 20));
        return;
    case PLAN_DISK_FULL:
        plan->cluster->nodes[node].disk_full = true;
        world_disk_capacity(plan->world, at,
                            world_disk_used(plan->world, at) + plan_below(plan, 1u << 20));
        break;
    default: /* PLAN_BIT_ROT */ rot(plan, node); return;
    }
    plan_repair_later(plan, fault, node, 0);
}

/* ---- clocks ---- */

static void break_clock(struct plan *plan, enum plan_fault fault, unsigned node)
{
    if (fault == PLAN_CLOCK_RATE) {
        world_clock_rate(plan->world, machine(plan, node), (int32_t)plan_below(plan, 801) - 400);
        return;
    }
    uint32_t wrong = plan->wrong_clocks | 1u << node;
    if ((unsigned)__builtin_popcount(wrong) > (nodes(plan) - 1) / 2)
        return; /* a majority of right clocks is what R12 needs */
    plan->wrong_clocks = wrong;
    int64_t by_us = (int64_t)plan_below(plan, 1000000);
    if (plan_below(plan, 3) == 0)
        by_us *= 3600;
    by_us = plan_below(plan, 2) ? by_us : -by_us;
    plan->jumped_us[node] += by_us;
    world_clock_jump(plan->world, machine(plan, node), by_us);
}

/* ---- the two doors ---- */

void plan_break(struct plan *plan, enum plan_fault fault)
{
    unsigned node = pick(plan);
    plan_say(plan, plan_fault_names[fault], node);
    if (fault <= PLAN_SLOW_TURNS)
        break_process(plan, fault, node);
    else if (fault <= PLAN_SLOW_LINK)
        break_network(plan, fault, node);
    else if (fault == PLAN_CLOCK_JUMP || fault == PLAN_CLOCK_RATE)
        break_clock(plan, fault, node);
    else
        break_disk(plan, fault, node);
}

static void mend_link(struct plan *plan, struct machine_id a, struct machine_id b)
{
    struct world_options calm = world_options_calm(0);
    world_delay(plan->world, a, b, calm.delay_min_ns, calm.delay_max_ns);
}

/* With a node gone for good, or two voters only, wrong clocks and short logs may leave nobody who
 * may lead (R12). */
static void mend_clock(struct plan *plan, unsigned node)
{
    bool gone = plan->mends_clocks;
    for (unsigned i = 0; i < nodes(plan); i++)
        gone |= plan->cluster->nodes[i].damaged;
    if (gone && plan->jumped_us[node])
        world_clock_jump(plan->world, machine(plan, node), -plan->jumped_us[node]);
}

void plan_mend_node(struct plan *plan, unsigned node)
{
    struct world_options calm = world_options_calm(0);
    struct machine_id at = machine(plan, node);
    world_slow_disk(plan->world, at, calm.disk_min_ns, calm.disk_max_ns);
    world_hold_syncs(plan->world, at, false);
    world_fail_sync(plan->world, at, 0);
    world_disk_capacity(plan->world, at, 0);
    plan->cluster->nodes[node].disk_full = false;
    world_crash_at_call(plan->world, at, 0, false);
    world_turn_cost(plan->world, at, calm.turn_min_ns, calm.turn_max_ns);
    world_resume(plan->world, at);
    mend_clock(plan, node);
}

void plan_repair(struct plan *plan, const struct plan_repair *repair)
{
    struct world_options calm = world_options_calm(0);
    bool counts = repair->fault == PLAN_PAUSE_IN_TURN; /* then `b` is no node */
    struct machine_id a = machine(plan, repair->a), b = counts ? a : machine(plan, repair->b);
    switch (repair->fault) {
    case PLAN_KILL: cluster_start(plan->cluster, repair->a); break;
    case PLAN_PAUSE: world_resume(plan->world, a); break;
    case PLAN_PAUSE_IN_TURN:
        if (!goes_on(plan, repair->a, repair->b))
            return;
        break;
    case PLAN_CUT_ONE_WAY:
    case PLAN_CUT_BOTH: world_heal_both(plan->world, a, b); break;
    case PLAN_ISOLATE: isolate(plan, repair->a, false); break;
    case PLAN_BRIDGE: cut_into_bridge(plan, repair->a, false); break;
    case PLAN_CUT_CLIENTS: world_heal_both(plan->world, a, plan->clients); break;
    case PLAN_SPIKES: world_spikes(plan->world, 0, 0, 0); break;
    case PLAN_SLOW_LINK: mend_link(plan, a, b); break;
    case PLAN_SLOW_TURNS:
        world_turn_cost(plan->world, a, calm.turn_min_ns, calm.turn_max_ns);
        break;
    case PLAN_SLOW_DISK: world_slow_disk(plan->world, a, calm.disk_min_ns, calm.disk_max_ns); break;
    case PLAN_HOLD_SYNCS: world_hold_syncs(plan->world, a, false); break;
    case PLAN_DISK_FULL:
        plan->cluster->nodes[repair->a].disk_full = false;
        world_disk_capacity(plan->world, a, 0);
        break;
    default: break;
    }
    plan_say(plan, "repaired", repair->a);
}
