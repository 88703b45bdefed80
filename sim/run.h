/* run.h - one seed: a cluster and its clients; faults (safety phase); then everything is healed and
 * must make progress, converge, and have every acknowledged write (liveness phase). */
#ifndef HOLDFAST_SIM_RUN_H
#define HOLDFAST_SIM_RUN_H

#include "sim/losses.h"
#include "sim/plan.h"
#include "sim/verdict.h"

struct run_options {
    uint64_t seed;
    uint32_t faults; /* enum replica_fault */
    bool trace;      /* faults, lines of the nodes and guilty keys go to stderr */
};

struct run_result {
    struct verdict verdict;
    uint64_t trace_hash;
    uint64_t simulated_ns;
    unsigned nodes;
    uint64_t counts[PLAN_FAULTS];
    uint64_t elections, committed, digests, snapshots;
    uint64_t done, refused, unknown, undecided, timeouts;
    uint64_t unsure_elections, spaces, altered, moved, joined, keys;
    uint64_t unjudged; /* keys whose contract lets acknowledged writes be lost, and it may have */
    struct losses_facts losses;
    uint64_t progress_ns; /* from healing until every node had answered a write */
};

void run_seed(const struct run_options *options, struct run_result *result);

#endif
