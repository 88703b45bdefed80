#include "holdfast/sights.h"

#include "holdfast/list.h"
#include "holdfast/merge.h"

#include <string.h>

static void say_node(const json_t *node, struct buffer *out)
{
    buffer_print(out, "node %lld at %s", (long long)merge_number(node, "id"),
                 merge_text(node, "addr"));
}

static void tell_suspicions(const json_t *node, struct buffer *out)
{
    size_t i;
    json_t *by;
    json_array_foreach(json_object_get(node, "suspected_by"), i, by)
    {
        char room[LIST_NUMBER_SIZE];
        say_node(node, out);
        buffer_print(out, " is suspected by node %lld since %s (phi %.1f)\n",
                     (long long)merge_number(by, "node"),
                     list_time(merge_number(by, "since_ms"), room),
                     json_number_value(json_object_get(by, "phi")));
    }
}

static void say_times(const json_t *times, struct buffer *out)
{
    buffer_print(out, "heartbeats each %lld ms, elections after %lld to %lld ms",
                 (long long)merge_number(times, "heartbeat_ms"),
                 (long long)merge_number(times, "election_min_ms"),
                 (long long)merge_number(times, "election_max_ms"));
}

static bool has_profile(const json_t *node, const char *profile)
{
    return strcmp(merge_text(json_object_get(node, "timing"), "profile"), profile) == 0;
}

/* One line of all nodes from `first` on that have its profile. */
static void tell_profile(const json_t *nodes, size_t first, struct buffer *out)
{
    const json_t *timing = json_object_get(json_array_get(nodes, first), "timing");
    const char *profile = merge_text(timing, "profile");
    size_t i, count = 0;
    json_t *node;
    buffer_print(out, "timing %s (", profile);
    say_times(timing, out);
    buffer_print(out, ") on node");
    json_array_foreach(nodes, i, node)
    {
        if (has_profile(node, profile))
            buffer_print(out, "%s %lld", count++ ? "," : "", (long long)merge_number(node, "id"));
    }
    buffer_print(out, "\n");
}

static void tell_profiles(const json_t *nodes, struct buffer *out)
{
    size_t i;
    json_t *node;
    json_array_foreach(nodes, i, node)
    {
        const json_t *timing = json_object_get(node, "timing");
        bool told = !json_is_object(timing);
        for (size_t k = 0; k < i && !told; k++)
            told = has_profile(json_array_get(nodes, k), merge_text(timing, "profile"));
        if (!told)
            tell_profile(nodes, i, out);
    }
}

/* Only where they are others than those that it runs with. */
static void tell_suggested(const json_t *node, struct buffer *out)
{
    const json_t *timing = json_object_get(node, "timing");
    const json_t *suggested = json_object_get(timing, "suggested");
    const char *profile = merge_text(suggested, "profile");
    if (!json_is_object(suggested) || strcmp(profile, merge_text(timing, "profile")) == 0)
        return;
    say_node(node, out);
    buffer_print(out, " measures round trips of %.1f ms: ",
                 json_number_value(json_object_get(timing, "slow_round_trip_ms")));
    if (json_is_string(json_object_get(suggested, "profile")))
        buffer_print(out, "--timing %s suits them (", profile);
    else
        buffer_print(out, "no profile of --timing suits them, it would take (");
    say_times(suggested, out);
    buffer_print(out, ")\n");
}

static void tell_pauses(const json_t *node, struct buffer *out)
{
    const json_t *pauses = json_object_get(node, "pauses");
    long long count = (long long)merge_number(pauses, "count");
    char room[LIST_NUMBER_SIZE];
    if (count <= 0)
        return;
    say_node(node, out);
    buffer_print(out, " stood still %lld time%s since its start, the last until %s, for %lld ms\n",
                 count, count == 1 ? "" : "s", list_time(merge_number(pauses, "last_at_ms"), room),
                 (long long)merge_number(pauses, "last_ms"));
}

void sights_tell(const json_t *merged, struct buffer *out)
{
    const json_t *nodes = json_object_get(merged, "nodes");
    size_t i;
    json_t *node;
    json_array_foreach(nodes, i, node)
    {
        tell_suspicions(node, out);
    }
    tell_profiles(nodes, out);
    json_array_foreach(nodes, i, node)
    {
        tell_suggested(node, out);
        tell_pauses(node, out);
    }
}
