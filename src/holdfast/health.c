#include "holdfast/health.h"

#include "holdfast/merge.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct count {
    size_t nodes, up, leaderless, quorumless, unready;
    const json_t *first_down, *first_leaderless, *first_unready;
    json_int_t first_unready_partition;
    int spare; /* nodes that may still fail before some partition stops */
};

static void say(struct health *health, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct health *health, const char *format, ...)
{
    size_t used = strlen(health->sentence);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(health->sentence + used, sizeof health->sentence - used, format, arguments);
    va_end(arguments);
}

static bool is_up(const json_t *merged, json_int_t node)
{
    const json_t *found = merge_find(json_object_get(merged, "nodes"), "id", node);
    return strcmp(merge_text(found, "state"), "up") == 0;
}

static void count_nodes(const json_t *merged, struct count *count)
{
    size_t i;
    json_t *node;
    json_array_foreach(json_object_get(merged, "nodes"), i, node)
    {
        bool up = is_up(merged, merge_number(node, "id"));
        count->nodes++;
        count->up += up;
        if (!up && !count->first_down)
            count->first_down = node;
    }
}

static void count_partition(const json_t *merged, const json_t *partition, struct count *count)
{
    int voters = 0, ready = 0;
    size_t i;
    json_t *replica;
    json_array_foreach(json_object_get(partition, "replicas"), i, replica)
    {
        bool good = strcmp(merge_text(replica, "state"), "ready") == 0 &&
                    is_up(merged, merge_number(replica, "node"));
        bool votes = strcmp(merge_text(replica, "role"), "learner") != 0;
        voters += votes;
        ready += votes && good;
        count->unready += !good;
        if (!good && !count->first_unready) {
            count->first_unready = replica;
            count->first_unready_partition = merge_number(partition, "id");
        }
    }
    int spare = ready - (voters / 2 + 1);
    if (spare < count->spare)
        count->spare = spare;
    count->quorumless += spare < 0;
    if (!is_up(merged, merge_number(partition, "leader"))) {
        count->leaderless++;
        if (!count->first_leaderless)
            count->first_leaderless = partition;
    }
}

static void say_nodes(struct health *health, const struct count *count)
{
    say(health, "%zu of %zu node%s up", count->up, count->nodes, count->nodes == 1 ? "" : "s");
    if (count->up + 1 == count->nodes)
        say(health, " (node %lld at %s is down)", (long long)merge_number(count->first_down, "id"),
            merge_text(count->first_down, "addr"));
}

static void say_partitions(struct health *health, const struct count *count)
{
    if (!count->leaderless)
        say(health, "; every partition has a leader");
    else
        say(health, "; no leader for %zu partition%s (%s/%lld%s)", count->leaderless,
            count->leaderless == 1 ? "" : "s", merge_text(count->first_leaderless, "keyspace"),
            (long long)merge_number(count->first_leaderless, "id"),
            count->leaderless == 1 ? "" : " ...");
    if (count->unready && count->up == count->nodes)
        say(health, "; replica %lld/%lld is %s: %s", (long long)count->first_unready_partition,
            (long long)merge_number(count->first_unready, "id"),
            merge_text(count->first_unready, "state"), merge_text(count->first_unready, "because"));
    if (count->quorumless)
        say(health, "; writes are refused until a majority is back");
    else if (count->spare == 0)
        say(health, "; can lose no %snode", count->nodes == 1 ? "" : "more ");
    else
        say(health, "; can lose %d more node%s", count->spare, count->spare == 1 ? "" : "s");
}

struct health health_of(const json_t *merged)
{
    struct health health = {0};
    struct count count = {.spare = INT_MAX};
    json_t *partitions = json_object_get(merged, "partitions"), *partition;
    size_t i;
    count_nodes(merged, &count);
    json_array_foreach(partitions, i, partition)
    {
        count_partition(merged, partition, &count);
    }
    if (!count.nodes || !json_array_size(partitions)) {
        say(&health, "this node is not part of a cluster yet");
        return health;
    }
    say_nodes(&health, &count);
    say_partitions(&health, &count);
    health.good = count.up == count.nodes && !count.leaderless && !count.unready;
    return health;
}
