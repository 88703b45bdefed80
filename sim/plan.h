/* plan.h - the faults of a run, drawn from its seed: each run enables a random subset, at its own
 * pace (swarm testing). What is broken is repaired after a while; plan_heal repairs everything.
 *
 * A plan keeps to what the cluster must bear: clocks of a minority are wrong by more than max-skew,
 * bits rot on one node at a time and in the middle of its log, drift stays under the declared one.
 */
#ifndef HOLDFAST_SIM_PLAN_H
#define HOLDFAST_SIM_PLAN_H

#include "sim/cluster.h"

#include "base/random.h"

enum plan_fault {
    PLAN_KILL,
    PLAN_KILL_ALL,
    PLAN_KILL_AT_CALL,
    PLAN_POWER,
    PLAN_POWER_ALL,
    PLAN_POWER_AT_CALL,
    PLAN_PAUSE,
    PLAN_PAUSE_IN_TURN,
    PLAN_SLOW_TURNS,
    PLAN_CUT_ONE_WAY,
    PLAN_CUT_BOTH,
    PLAN_ISOLATE,
    PLAN_BRIDGE,
    PLAN_CUT_CHANGE,
    PLAN_CUT_CLIENTS,
    PLAN_RESET,
    PLAN_HALF_OPEN,
    PLAN_SPIKES,
    PLAN_SLOW_LINK,
    PLAN_SLOW_DISK,
    PLAN_STALL_DISK,
    PLAN_HOLD_SYNCS,
    PLAN_SYNC_FAILS,
    PLAN_DISK_FULL,
    PLAN_CLOCK_JUMP,
    PLAN_CLOCK_RATE,
    PLAN_BIT_ROT,
    PLAN_FAULTS, /* how many */
};

extern const char *const plan_fault_names[PLAN_FAULTS];

struct plan;

struct plan *plan_create(struct cluster *cluster, struct machine_id clients, uint64_t seed,
                         bool trace);
void plan_destroy(struct plan *plan);

/* When plan_act wants to be called. */
uint64_t plan_next_ns(const struct plan *plan);
/* Repairs what is due, breaks something now and then, starts nodes that stopped. */
void plan_act(struct plan *plan);
/* After a turn of this machine: a fault may wait for what it shows. */
void plan_turned(struct plan *plan, struct machine_id machine);
/* No more faults; repairs everything but rotten logs, starts every node. `clocks`: wrong ones too.
 */
void plan_heal(struct plan *plan, bool clocks);
/* Starts nodes that are down; after healing too. */
void plan_revive(struct plan *plan);

const uint64_t *plan_counts(const struct plan *plan); /* PLAN_FAULTS numbers */

#endif
