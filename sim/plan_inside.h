/* plan_inside.h - private to plan.c and plan_faults.c. */
#ifndef HOLDFAST_SIM_PLAN_INSIDE_H
#define HOLDFAST_SIM_PLAN_INSIDE_H

#include "sim/plan.h"

#define PLAN_REPAIRS_MAX 64

struct plan_repair {
    uint64_t at_ns;
    enum plan_fault fault; /* KILL stands for everything after which a node must be started */
    unsigned a, b;
};

struct plan {
    struct cluster *cluster;
    struct world *world;
    struct machine_id clients;
    struct random random;
    enum plan_fault enabled[PLAN_FAULTS];
    size_t enabled_count;
    uint64_t gap_max_ns, length_max_ns; /* between faults; until a repair */
    uint64_t next_ns;
    struct plan_repair repairs[PLAN_REPAIRS_MAX];
    size_t repair_count;
    uint64_t counts[PLAN_FAULTS];
    uint32_t wrong_clocks; /* nodes whose wall clock has jumped */
    int64_t jumped_us[CLUSTER_NODES_MAX];
    bool cuts_change; /* the next leader that has changed its group, and not committed that */
    bool healed, mends_clocks, trace;
};

uint64_t plan_below(struct plan *plan, uint64_t bound);
uint64_t plan_between(struct plan *plan, uint64_t min, uint64_t max);
void plan_say(struct plan *plan, const char *text, unsigned node);
/* Undoes `fault` after 10 ms to what this plan has drawn as longest; _within: after 10 ms to
 * `max_ns`. When the list is full another one is undone at once. */
void plan_repair_later(struct plan *plan, enum plan_fault fault, unsigned a, unsigned b);
void plan_repair_within(struct plan *plan, enum plan_fault fault, unsigned a, unsigned b,
                        uint64_t max_ns);

/* plan_faults.c */
void plan_break(struct plan *plan, enum plan_fault fault);
void plan_repair(struct plan *plan, const struct plan_repair *repair);
void plan_mend_node(struct plan *plan, unsigned node); /* disk, clock, speed */

#endif
