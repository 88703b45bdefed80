/* The times by which this node judges others, and what suits the network that it sees. Only who
 * leads measures round trips (ADMIN-2). */
#include "admin/inside.h"

#define NS_PER_MS 1000000ull

static const char *profile_of(const struct node_timing *timing)
{
    for (size_t i = 0; i < CLUSTER_TIMINGS; i++)
        if (cluster_timings[i].election_min_ns == timing->election_min_ns)
            return cluster_timings[i].name;
    return "other";
}

/* Of a node that is heard; 0: none was measured. */
static uint64_t slowest_round_trip_ns(struct server_call *call)
{
    const struct node_formation *formation = node_formation(call->node);
    uint64_t slowest_ns = 0;
    for (size_t i = 0; i < formation->member_count; i++) {
        struct node_sight sight;
        bool known = node_look(call->node, formation->members[i].id, &sight);
        if (known && !sight.suspected_since_ms && sight.round_trip_ns &&
            sight.slow_round_trip_ns > slowest_ns)
            slowest_ns = sight.slow_round_trip_ns;
    }
    return slowest_ns;
}

static void add_suggested(struct buffer *out, uint64_t round_trip_ns)
{
    const struct cluster_timing *profile = cluster_timing_for(round_trip_ns);
    struct cluster_timing times = cluster_timing_suggest(round_trip_ns);
    if (!round_trip_ns) {
        buffer_print(out, ",\"slow_round_trip_ms\":null,\"suggested\":null");
        return;
    }
    buffer_print(out,
                 ",\"slow_round_trip_ms\":%.2f,\"suggested\":{\"profile\":%s%s%s,"
                 "\"heartbeat_ms\":%llu,\"election_min_ms\":%llu,\"election_max_ms\":%llu}",
                 (double)round_trip_ns / 1e6, profile ? "\"" : "", profile ? profile->name : "null",
                 profile ? "\"" : "", (unsigned long long)(times.heartbeat_ns / NS_PER_MS),
                 (unsigned long long)(times.election_min_ns / NS_PER_MS),
                 (unsigned long long)(times.election_max_ns / NS_PER_MS));
}

static void add_pauses(struct buffer *out, const struct node_pauses *pauses)
{
    buffer_print(out,
                 ",\"pauses\":{\"count\":%llu,\"last_ms\":", (unsigned long long)pauses->count);
    if (pauses->count)
        buffer_print(out, "%llu,\"last_at_ms\":%lld}",
                     (unsigned long long)(pauses->last_ns / NS_PER_MS),
                     (long long)(pauses->last_us / 1000));
    else
        buffer_print(out, "null,\"last_at_ms\":null}");
}

void admin_status_timing(struct server_call *call, struct buffer *out)
{
    const struct node_timing *timing = node_timing(call->node);
    buffer_print(out,
                 ",\"timing\":{\"profile\":\"%s\",\"heartbeat_ms\":%llu,"
                 "\"election_min_ms\":%llu,\"election_max_ms\":%llu",
                 profile_of(timing), (unsigned long long)(timing->heartbeat_ns / NS_PER_MS),
                 (unsigned long long)(timing->election_min_ns / NS_PER_MS),
                 (unsigned long long)(timing->election_max_ns / NS_PER_MS));
    add_suggested(out, slowest_round_trip_ns(call));
    buffer_print(out, "}");
    add_pauses(out, node_pauses(call->node));
}
