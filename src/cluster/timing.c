/* Profiles of heartbeat and election times, and which of them suits round trips that were measured.
 * An election takes two round trips of its own, and a message that is lost comes a few later. */
#include "cluster/cluster.h"

#include <string.h>

#define NS_PER_MS   1000000ull
#define ROUND_TRIPS 10 /* in the shortest election timeout */

const struct cluster_timing cluster_timings[CLUSTER_TIMINGS] = {
    {"lan", 60 * NS_PER_MS, 400 * NS_PER_MS, 800 * NS_PER_MS},
    {"wan", 80 * NS_PER_MS, 2000 * NS_PER_MS, 4000 * NS_PER_MS},
};

const struct cluster_timing *cluster_timing_find(const char *name)
{
    for (size_t i = 0; i < CLUSTER_TIMINGS; i++)
        if (strcmp(cluster_timings[i].name, name) == 0)
            return &cluster_timings[i];
    return NULL;
}

const struct cluster_timing *cluster_timing_for(uint64_t round_trip_ns)
{
    for (size_t i = 0; i < CLUSTER_TIMINGS; i++)
        if (cluster_timings[i].election_min_ns >= ROUND_TRIPS * round_trip_ns)
            return &cluster_timings[i];
    return NULL;
}

/* In whole hundreds of milliseconds, and never below the first profile. */
struct cluster_timing cluster_timing_suggest(uint64_t round_trip_ns)
{
    const uint64_t step = 100 * NS_PER_MS, least = cluster_timings[0].election_min_ns;
    uint64_t min_ns = (ROUND_TRIPS * round_trip_ns + step - 1) / step * step;
    min_ns = min_ns > least ? min_ns : least;
    uint64_t beat_ns = min_ns * 3 / 20, most = cluster_timings[CLUSTER_TIMINGS - 1].heartbeat_ns;
    return (struct cluster_timing){"", beat_ns < most ? beat_ns : most, min_ns, 2 * min_ns};
}
