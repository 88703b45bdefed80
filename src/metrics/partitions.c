/* What is labelled with a keyspace: sums for each, and while there are few the partitions
 * themselves. */
#include "metrics/inside.h"

#include "base/memory.h"

#include <stddef.h>

#define NS_PER_SECOND 1e9

struct sum {
    const char *name;              /* of the keyspace, borrowed */
    uint64_t partitions, replicas; /* as the contract says */
    uint64_t here, leaders, unled, loading, elections, keys, bytes;
    uint64_t lag_entries, lag_ns; /* the most of any follower of what is led here */
};

struct column { /* one family: a number of each row */
    const char *name, *help;
    size_t offset;
    enum metrics_type type;
};

static const struct column of_keyspaces[] = {
    {"keyspace_partitions", "Partitions of the keyspace, by its contract.",
     offsetof(struct sum, partitions), METRICS_GAUGE},
    {"keyspace_replicas", "Copies of each partition, by the contract.",
     offsetof(struct sum, replicas), METRICS_GAUGE},
    {"keyspace_replicas_here", "Replicas of the keyspace on this node.", offsetof(struct sum, here),
     METRICS_GAUGE},
    {"keyspace_leaders_here", "Partitions of the keyspace that this node leads.",
     offsetof(struct sum, leaders), METRICS_GAUGE},
    {"keyspace_leaderless_here", "Replicas on this node that know of no leader.",
     offsetof(struct sum, unled), METRICS_GAUGE},
    {"keyspace_bootstrapping_here", "Replicas on this node that receive or load a snapshot.",
     offsetof(struct sum, loading), METRICS_GAUGE},
    {"keyspace_elections_total", "Elections in which replicas of this node were candidates.",
     offsetof(struct sum, elections), METRICS_COUNTER},
    {"keyspace_keys_here", "Keys in the replicas of this node, expired ones too.",
     offsetof(struct sum, keys), METRICS_GAUGE},
    {"keyspace_memory_bytes", "Memory of the keys in the replicas of this node, estimated.",
     offsetof(struct sum, bytes), METRICS_GAUGE},
    {"keyspace_lag_entries_most",
     "Entries that the slowest follower of what is led here has yet to make durable.",
     offsetof(struct sum, lag_entries), METRICS_GAUGE},
};

static const struct column of_partitions[] = {
    {"partition_leader", "1 when this node leads the partition.",
     offsetof(struct metrics_partition, leads), METRICS_GAUGE},
    {"partition_term", "Term of the partition's group.", offsetof(struct metrics_partition, term),
     METRICS_GAUGE},
    {"partition_commit_index", "Highest index known to be committed.",
     offsetof(struct metrics_partition, commit), METRICS_GAUGE},
    {"partition_applied_index", "Highest index that is committed and applied here.",
     offsetof(struct metrics_partition, applied), METRICS_GAUGE},
    {"partition_last_index", "Last index of this replica's log.",
     offsetof(struct metrics_partition, last), METRICS_GAUGE},
    {"partition_elections_total", "Elections in which this replica was a candidate.",
     offsetof(struct metrics_partition, elections), METRICS_COUNTER},
};

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static uint64_t number_at(const void *row, size_t offset)
{
    uint64_t number;
    memcpy(&number, (const char *)row + offset, sizeof number);
    return number;
}

/* The first two are there before the catalogue is. */
static const char *name_of(const struct metrics_sample *sample, uint64_t keyspace)
{
    for (size_t i = 0; i < sample->keyspace_count; i++)
        if (sample->keyspaces[i].id == keyspace)
            return sample->keyspaces[i].name;
    return keyspace == KEYSPACE_SYSTEM ? "system" : keyspace == KEYSPACE_DEFAULT ? "default" : "";
}

static void add_partition(struct sum *sum, const struct metrics_sample *sample,
                          const struct metrics_partition *partition)
{
    sum->here++;
    sum->leaders += partition->leads;
    sum->unled += !partition->led;
    sum->loading += partition->loads;
    sum->elections += partition->elections;
    sum->keys += partition->keys;
    sum->bytes += partition->bytes;
    for (size_t i = 0; i < partition->follower_count; i++) {
        const struct metrics_follower *follower = &sample->followers[partition->first_follower + i];
        if (follower->lag_entries > sum->lag_entries)
            sum->lag_entries = follower->lag_entries;
        if (follower->lag_ns > sum->lag_ns)
            sum->lag_ns = follower->lag_ns;
    }
}

static struct sum sum_of(const struct metrics_sample *const *samples, size_t count, size_t at)
{
    const struct metrics_keyspace *keyspace = &samples[0]->keyspaces[at];
    struct sum sum = {
        .name = keyspace->name, .partitions = keyspace->partitions, .replicas = keyspace->replicas};
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < samples[i]->partition_count; k++)
            if (samples[i]->partitions[k].keyspace == keyspace->id)
                add_partition(&sum, samples[i], &samples[i]->partitions[k]);
    return sum;
}

static void render_sums(const struct sum *sums, size_t count, struct buffer *out)
{
    for (size_t i = 0; i < COUNT_OF(of_keyspaces); i++) {
        const struct column *column = &of_keyspaces[i];
        metrics_family(out, column->name, column->type, column->help);
        for (size_t k = 0; k < count; k++) {
            buffer_print(out, "holdfast_%s{keyspace=", column->name);
            metrics_quoted(out, sums[k].name);
            buffer_print(out, "} %llu\n", (unsigned long long)number_at(&sums[k], column->offset));
        }
    }
    metrics_family(out, "keyspace_lag_seconds_most", METRICS_GAUGE,
                   "Since when the slowest follower of what is led here is behind.");
    for (size_t k = 0; k < count; k++) {
        buffer_print(out, "holdfast_keyspace_lag_seconds_most{keyspace=");
        metrics_quoted(out, sums[k].name);
        buffer_print(out, "} %.6f\n", (double)sums[k].lag_ns / NS_PER_SECOND);
    }
}

static void add_labels(struct buffer *out, const struct metrics_sample *sample,
                       const struct metrics_partition *partition)
{
    buffer_print(out, "{keyspace=");
    metrics_quoted(out, name_of(sample, partition->keyspace));
    buffer_print(out, ",partition=\"%llu\"", (unsigned long long)partition->group.value);
}

static void render_column(const struct metrics_sample *const *samples, size_t count,
                          const struct column *column, struct buffer *out)
{
    metrics_family(out, column->name, column->type, column->help);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < samples[i]->partition_count; k++) {
            const struct metrics_partition *partition = &samples[i]->partitions[k];
            buffer_print(out, "holdfast_%s", column->name);
            add_labels(out, samples[i], partition);
            buffer_print(out, "} %llu\n", (unsigned long long)number_at(partition, column->offset));
        }
}

/* `in_time`: seconds, else entries. A follower that never answered is left out (METRICS-2). */
static void render_lags(const struct metrics_sample *sample,
                        const struct metrics_partition *partition, bool in_time, struct buffer *out)
{
    for (size_t i = 0; i < partition->follower_count; i++) {
        const struct metrics_follower *follower = &sample->followers[partition->first_follower + i];
        if (!follower->heard)
            continue;
        buffer_print(out, "holdfast_follower_lag_%s", in_time ? "seconds" : "entries");
        add_labels(out, sample, partition);
        buffer_print(out, ",node=\"%llu\"} ", (unsigned long long)follower->node.value);
        if (in_time)
            buffer_print(out, "%.6f\n", (double)follower->lag_ns / NS_PER_SECOND);
        else
            buffer_print(out, "%llu\n", (unsigned long long)follower->lag_entries);
    }
}

static void render_partitions(const struct metrics_sample *const *samples, size_t count,
                              struct buffer *out)
{
    for (size_t i = 0; i < COUNT_OF(of_partitions); i++)
        render_column(samples, count, &of_partitions[i], out);
    for (int in_time = 0; in_time < 2; in_time++) {
        if (in_time)
            metrics_family(out, "follower_lag_seconds", METRICS_GAUGE,
                           "Since when the follower is behind; 0 when it is not.");
        else
            metrics_family(out, "follower_lag_entries", METRICS_GAUGE,
                           "Committed entries that the follower has yet to make durable.");
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k < samples[i]->partition_count; k++)
                render_lags(samples[i], &samples[i]->partitions[k], in_time, out);
    }
}

void metrics_render_keyspaces(const struct metrics_sample *const *samples, size_t count,
                              struct buffer *out)
{
    size_t keyspaces = samples[0]->keyspace_count, partitions = 0;
    struct sum *sums = memory_zeroed(keyspaces + 1, sizeof *sums);
    for (size_t i = 0; i < keyspaces; i++)
        sums[i] = sum_of(samples, count, i);
    render_sums(sums, keyspaces, out);
    memory_free(sums);
    for (size_t i = 0; i < count; i++)
        partitions += samples[i]->partition_count;
    metrics_one(out, "partitions_here", METRICS_GAUGE,
                "Replicas on this node; past 64 only the sums of the keyspaces are shown.",
                partitions);
    if (partitions <= METRICS_PARTITIONS_MAX) /* METRICS-1 */
        render_partitions(samples, count, out);
}
