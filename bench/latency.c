#include "latency.h"

static unsigned bucket_of(uint64_t ns)
{
    if (ns < LATENCY_STEPS)
        return (unsigned)ns;
    unsigned shift = 57 - (unsigned)__builtin_clzll(ns); /* leaves seven bits, the first is 1 */
    return (shift + 1) * LATENCY_STEPS + (unsigned)((ns >> shift) - LATENCY_STEPS);
}

static uint64_t lower_bound_ns(unsigned bucket)
{
    unsigned power = bucket / LATENCY_STEPS, step = bucket % LATENCY_STEPS;
    return power ? (uint64_t)(LATENCY_STEPS + step) << (power - 1) : step;
}

void latency_count(struct latency *latency, uint64_t ns)
{
    latency->counts[bucket_of(ns)]++;
    latency->total++;
    if (ns > latency->worst_ns)
        latency->worst_ns = ns;
}

double latency_quantile_us(const struct latency *latency, double part)
{
    uint64_t wanted = (uint64_t)((double)latency->total * part), passed = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        passed += latency->counts[i];
        if (passed > wanted || (passed && passed == latency->total))
            return (double)lower_bound_ns(i) / 1000;
    }
    return 0;
}
