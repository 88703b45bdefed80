#include "holdfast/health.h"

#include "holdfast/merge.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct count {
    size_t nodes, up, full, leaderless, unready;
    const json_t *first_down, *first_full, *first_leaderless, *first_unready;
    json_int_t first_unready_partition;
    int spare;           /* nodes that may still fail before some partition stops */
    const json_t *stuck; /* the partition that most voters must come back for; NULL: none */
    int missing;         /* so many */
    bool single;         /* `default` has one copy only */
    bool majority;       /* it is a majority that it waits for */
    bool unread;         /* nobody leads it, and its reads ask the leader */
    const json_t *away;  /* the voter, where one is away */
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
        bool full = strcmp(merge_text(node, "disk"), "full") == 0;
        count->full += full;
        if (full && !count->first_full)
            count->first_full = node;
    }
}

/* The partition's; NULL: the node that was asked does not know it. */
static const json_t *keyspace_of(const json_t *merged, const json_t *partition)
{
    size_t i;
    json_t *keyspace;
    json_array_foreach(json_object_get(merged, "keyspaces"), i, keyspace)
    {
        if (strcmp(merge_text(keyspace, "name"), merge_text(partition, "keyspace")) == 0)
            return keyspace;
    }
    return NULL;
}

/* A majority where the node does not say (R2). */
static int quorum_of(const json_t *merged, const json_t *partition, const char *which, int voters)
{
    int quorum = (int)merge_number(keyspace_of(merged, partition), which);
    return quorum > 0 ? quorum : voters / 2 + 1;
}

/* More voters must be up than are, to elect a leader or to commit. */
static void note_stuck(const json_t *partition, const json_t *away, int missing, bool majority,
                       bool unread, struct count *count)
{
    if (missing <= count->missing)
        return;
    count->unread = unread;
    count->stuck = partition;
    count->missing = missing;
    count->majority = majority;
    count->away = away;
}

static void count_partition(const json_t *merged, const json_t *partition, struct count *count)
{
    int voters = 0, ready = 0, up = 0;
    const json_t *away = NULL;
    size_t i;
    json_t *replica;
    json_array_foreach(json_object_get(partition, "replicas"), i, replica)
    {
        bool is_there = is_up(merged, merge_number(replica, "node"));
        bool good = is_there && strcmp(merge_text(replica, "state"), "ready") == 0;
        const char *role = merge_text(replica, "role");
        bool votes = strcmp(role, "learner") != 0 && strcmp(role, "reader") != 0;
        voters += votes;
        ready += votes && good;
        up += votes && is_there;
        if (votes && !is_there)
            away = voters - up == 1 ? replica : NULL;
        count->unready += !good;
        if (!good && !count->first_unready) {
            count->first_unready = replica;
            count->first_unready_partition = merge_number(partition, "id");
        }
    }
    bool led = is_up(merged, merge_number(partition, "leader"));
    int elects = quorum_of(merged, partition, "election_quorum", voters);
    count->single |= voters == 1 && strcmp(merge_text(partition, "keyspace"), "default") == 0;
    int commits = quorum_of(merged, partition, "commit_quorum", voters);
    int needs = led ? commits : elects, spare = ready - elects;
    if (spare < 0 && led && ready >= commits)
        spare = 0; /* it lives as long as its leader */
    if (spare < count->spare)
        count->spare = spare;
    bool strong = strcmp(merge_text(keyspace_of(merged, partition), "read"), "strong") == 0;
    note_stuck(partition, away, needs - up, needs == voters / 2 + 1, !led && strong, count);
    if (!led) {
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

static void say_unready(struct health *health, const struct count *count)
{
    const json_t *replica = count->first_unready;
    long long partition = count->first_unready_partition, id = merge_number(replica, "id");
    const char *because = merge_text(replica, "because");
    if (json_is_string(json_object_get(replica, "state")))
        say(health, "; replica %lld/%lld is %s: %s", partition, id, merge_text(replica, "state"),
            because);
    else
        say(health, "; the state of replica %lld/%lld is unknown: %s", partition, id, because);
}

static void say_disks(struct health *health, const struct count *count)
{
    if (count->full == 1)
        say(health, "; the disk of node %lld at %s is full",
            (long long)merge_number(count->first_full, "id"),
            merge_text(count->first_full, "addr"));
    else if (count->full)
        say(health, "; the disks of %zu nodes are full", count->full);
    if (count->full)
        say(health, ": while such a node leads, writes are refused");
}

/* Where the contract asks for more than a majority, or for less, the majority is not the cure. */
static void say_stuck(struct health *health, const json_t *merged, const struct count *count)
{
    const char *keyspace = merge_text(count->stuck, "keyspace");
    long long partition = merge_number(count->stuck, "id");
    json_int_t node = merge_number(count->away, "node");
    const json_t *found = merge_find(json_object_get(merged, "nodes"), "id", node);
    const char *refused = count->unread ? "reads and writes" : "writes";
    if (count->majority)
        say(health, "; %s are refused until a majority is back", refused);
    else if (count->away)
        say(health,
            "; %s/%lld waits for node %lld at %s: its contract lets nobody lead without that one",
            keyspace, partition, (long long)node, merge_text(found, "addr"));
    else
        say(health, "; %s of %s/%lld are refused until %d more of its replicas %s back", refused,
            keyspace, partition, count->missing, count->missing == 1 ? "is" : "are");
}

static void say_partitions(struct health *health, const json_t *merged, const struct count *count)
{
    if (!count->leaderless)
        say(health, "; every partition has a leader");
    else
        say(health, "; no leader for %zu partition%s (%s/%lld%s)", count->leaderless,
            count->leaderless == 1 ? "" : "s", merge_text(count->first_leaderless, "keyspace"),
            (long long)merge_number(count->first_leaderless, "id"),
            count->leaderless == 1 ? "" : " ...");
    if (count->unready && count->up == count->nodes)
        say_unready(health, count);
    if (count->stuck)
        say_stuck(health, merged, count);
    else if (count->leaderless)
        say(health, "; reads and writes wait until a leader is elected");
    else if (count->spare <= 0)
        say(health, "; can lose no node");
    else
        say(health, "; can lose %d node%s", count->spare, count->spare == 1 ? "" : "s");
    if (count->single && count->nodes == 2)
        say(health, "; default has one copy until a third node joins");
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
    say_partitions(&health, merged, &count);
    say_disks(&health, &count);
    health.good = count.up == count.nodes && !count.leaderless && !count.unready && !count.full;
    return health;
}
