/* latency.h - counts of durations in buckets whose width is a 64th of their power of two. */
#ifndef HOLDFAST_BENCH_LATENCY_H
#define HOLDFAST_BENCH_LATENCY_H

#include <stdint.h>

#define LATENCY_STEPS   64 /* buckets in each power of two */
#define LATENCY_BUCKETS (64 * LATENCY_STEPS)

struct latency {
    uint64_t counts[LATENCY_BUCKETS];
    uint64_t total, worst_ns;
};

void latency_count(struct latency *latency, uint64_t ns);

/* The lower bound of the bucket that holds this part (0 to 1) of all counts; 0 when there are none.
 */
double latency_quantile_us(const struct latency *latency, double part);

#endif
