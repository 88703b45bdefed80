/* When something breaks, and for how long. What exactly breaks: plan_faults.c. */
#include "sim/plan_inside.h"
#include "sim/spaces.h"

#include "base/memory.h"

#include <stdio.h>

const char *const plan_fault_names[PLAN_FAULTS] = {
    "kill",       "kill-all",      "kill-at-call", "power",       "power-all",  "power-at-call",
    "pause",      "pause-in-turn", "slow-turns",   "cut-one-way", "cut-both",   "isolate",
    "bridge",     "cut-change",    "cut-clients",  "reset",       "half-open",  "spikes",
    "slow-link",  "slow-disk",     "stall-disk",   "hold-syncs",  "sync-fails", "disk-full",
    "clock-jump", "clock-rate",    "bit-rot",
};

static void only(struct plan *plan, const enum plan_fault *faults, size_t count, uint64_t gap_ns)
{
    memcpy(plan->enabled, faults, count * sizeof *faults);
    plan->enabled_count = count;
    plan->gap_max_ns = gap_ns;
}

/* In every second of them so long that the others' log lets go of what the one cut off would need:
 * what it has to give up it learns from a snapshot then. */
static void cut_leaders(struct plan *plan)
{
    static const enum plan_fault cuts[] = {PLAN_ISOLATE, PLAN_ISOLATE, PLAN_KILL, PLAN_PAUSE};
    bool for_long = plan_below(plan, 2);
    only(plan, cuts, for_long ? 1 : 4, (for_long ? 12 : 3) * WORLD_SECOND);
    if (for_long)
        plan->length_max_ns = 20 * WORLD_SECOND;
}

/* One plan in six stops leaders and does nothing else: each has a successor soon, and readers wait
 * at it meanwhile. Where losses are the aim, leaders are cut off. */
static void draw_kinds(struct plan *plan, uint64_t seed)
{
    static const enum plan_fault stops[] = {PLAN_PAUSE_IN_TURN};
    uint64_t share = 1 + plan_below(plan, 4); /* of 5: how many kinds take part */
    for (unsigned i = 0; i < PLAN_FAULTS; i++)
        if (plan_below(plan, 5) < share)
            plan->enabled[plan->enabled_count++] = (enum plan_fault)i;
    plan->gap_max_ns = plan_between(plan, 300 * WORLD_MS, 6 * WORLD_SECOND);
    bool only_stops = plan_below(plan, 6) == 0;
    if (spaces_aim_at_losses(seed))
        cut_leaders(plan);
    else if (only_stops)
        only(plan, stops, 1, 4 * WORLD_SECOND);
}

/* Who founds nothing comes while faults happen. What a cluster of one has on its disk is there
 * once: it does not rot. */
static void plan_joins(struct plan *plan)
{
    const struct cluster_options *options = &plan->cluster->options;
    for (unsigned i = options->founders; i < options->nodes; i++)
        plan->repairs[plan->repair_count++] = (struct plan_repair){
            world_now_ns(plan->world) + plan_below(plan, 25 * WORLD_SECOND), PLAN_KILL, i, 0};
    for (size_t i = 0; options->founders < options->nodes && i < plan->enabled_count; i++)
        if (plan->enabled[i] == PLAN_BIT_ROT)
            plan->enabled[i] = plan->enabled[--plan->enabled_count];
}

struct plan *plan_create(struct cluster *cluster, struct machine_id clients, uint64_t seed,
                         bool trace)
{
    struct plan *plan = memory_zeroed(1, sizeof *plan);
    plan->cluster = cluster;
    plan->world = cluster->world;
    plan->clients = clients;
    plan->trace = trace;
    random_init(&plan->random, seed ^ 0xfa017);
    plan->length_max_ns = plan_between(plan, 200 * WORLD_MS, 8 * WORLD_SECOND);
    draw_kinds(plan, seed);
    /* One in four begins before the cluster has formed. */
    plan->next_ns = world_now_ns(plan->world) + (plan_below(plan, 4) ? 3 * WORLD_SECOND : 0) +
                    plan_between(plan, 0, 2 * WORLD_SECOND);
    plan_joins(plan);
    return plan;
}

void plan_destroy(struct plan *plan)
{
    memory_free(plan);
}

uint64_t plan_below(struct plan *plan, uint64_t bound)
{
    return random_below(&plan->random, bound);
}

uint64_t plan_between(struct plan *plan, uint64_t min, uint64_t max)
{
    return min + plan_below(plan, max - min + 1);
}

void plan_say(struct plan *plan, const char *text, unsigned node)
{
    world_trace_note(plan->world, plan->cluster->nodes[node].machine, text, node);
    if (plan->trace)
        fprintf(stderr, "%12.3f ms fault: %s, node %u\n", (double)world_now_ns(plan->world) / 1e6,
                text, node);
}

/* ---- repairs ---- */

void plan_repair_within(struct plan *plan, enum plan_fault fault, unsigned a, unsigned b,
                        uint64_t max_ns)
{
    uint64_t at_ns = world_now_ns(plan->world) + plan_between(plan, 10 * WORLD_MS, max_ns);
    if (plan->repair_count == PLAN_REPAIRS_MAX)
        plan_repair(plan, &plan->repairs[--plan->repair_count]);
    plan->repairs[plan->repair_count++] = (struct plan_repair){at_ns, fault, a, b};
}

void plan_repair_later(struct plan *plan, enum plan_fault fault, unsigned a, unsigned b)
{
    plan_repair_within(plan, fault, a, b, plan->length_max_ns);
}

static void repair_due(struct plan *plan, uint64_t now_ns)
{
    for (size_t i = 0; i < plan->repair_count;) {
        struct plan_repair repair = plan->repairs[i];
        if (repair.at_ns > now_ns) {
            i++;
            continue;
        }
        plan->repairs[i] = plan->repairs[--plan->repair_count];
        plan_repair(plan, &repair);
    }
}

static bool will_start(const struct plan *plan, unsigned node)
{
    for (size_t i = 0; i < plan->repair_count; i++)
        if (plan->repairs[i].fault == PLAN_KILL && plan->repairs[i].a == node)
            return true;
    return false;
}

/* Nodes that stopped without being killed: armed crashes, failed syncs. */
void plan_revive(struct plan *plan)
{
    for (unsigned i = 0; i < plan->cluster->options.nodes; i++) {
        if (plan->cluster->nodes[i].state != CLUSTER_DOWN || will_start(plan, i))
            continue;
        if (plan->healed)
            cluster_start(plan->cluster, i);
        else
            plan_repair_later(plan, PLAN_KILL, i, 0);
    }
}

uint64_t plan_next_ns(const struct plan *plan)
{
    uint64_t next_ns = plan->next_ns;
    for (size_t i = 0; i < plan->repair_count; i++)
        if (plan->repairs[i].at_ns < next_ns)
            next_ns = plan->repairs[i].at_ns;
    return next_ns;
}

void plan_act(struct plan *plan)
{
    uint64_t now_ns = world_now_ns(plan->world);
    repair_due(plan, now_ns);
    plan_revive(plan);
    if (now_ns < plan->next_ns || plan->healed)
        return;
    if (plan->enabled_count) {
        enum plan_fault fault = plan->enabled[plan_below(plan, plan->enabled_count)];
        plan->counts[fault]++;
        plan_break(plan, fault);
    }
    plan->next_ns = now_ns + plan_between(plan, 10 * WORLD_MS, plan->gap_max_ns);
}

void plan_heal(struct plan *plan, bool clocks)
{
    plan->mends_clocks = clocks;
    plan->healed = true;
    plan->next_ns = WORLD_FOREVER;
    world_heal_all(plan->world);
    world_spikes(plan->world, 0, 0, 0);
    for (unsigned i = 0; i < plan->cluster->options.nodes; i++)
        plan_mend_node(plan, i); /* before processes start: they read on disks that are well */
    while (plan->repair_count)
        plan_repair(plan, &plan->repairs[--plan->repair_count]);
    plan_revive(plan);
}

const uint64_t *plan_counts(const struct plan *plan)
{
    return plan->counts;
}
