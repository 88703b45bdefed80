#include "base/durations.h"

const uint64_t durations_end_us[DURATIONS_BUCKETS - 1] = {
    50,    100,    200,    500,    1000,    2000,    5000,    10000,   20000,
    50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000};

void durations_add(struct durations *durations, uint64_t ns)
{
    size_t bucket = 0;
    while (bucket < DURATIONS_BUCKETS - 1 && ns > durations_end_us[bucket] * 1000)
        bucket++;
    durations->count++;
    durations->sum_ns += ns;
    durations->in[bucket]++;
}

void durations_join(struct durations *durations, const struct durations *more)
{
    durations->count += more->count;
    durations->sum_ns += more->sum_ns;
    for (size_t i = 0; i < DURATIONS_BUCKETS; i++)
        durations->in[i] += more->in[i];
}
