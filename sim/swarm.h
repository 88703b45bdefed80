/* swarm.h - many seeds, `jobs` at a time, each in a process of its own, so that a failed assertion
 * or an endless loop is a finding like any other. */
#ifndef HOLDFAST_SIM_SWARM_H
#define HOLDFAST_SIM_SWARM_H

#include "sim/run.h"

#include <stdio.h>

#define SWARM_JOBS_MAX 64

struct swarm_options {
    unsigned jobs; /* seeds at a time, 1 .. SWARM_JOBS_MAX; 0: 1 */
    double minutes;
    uint64_t first_seed; /* 0: taken from the clock */
    uint32_t faults;
    const char *fault; /* its name; NULL: none */
    bool stop_at_find;
};

/* 0: clean; 1: something was found; 2: it could not run. */
int swarm_run(const struct swarm_options *options);

uint32_t swarm_fault_of_name(const char *name); /* 0: unknown */
void swarm_print_faults(FILE *out);
void swarm_print_run(const struct run_options *options, const struct run_result *result, FILE *out);

#endif
