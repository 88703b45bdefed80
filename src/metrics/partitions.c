/* What is labelled with a keyspace: sums for each, and while there are few the partitions
 * themselves. */
#include "metrics/inside.h"

#include "base/memory.h"

#include <stddef.h>
#include <stdio.h>

#define NS_PER_SECOND 1e9

struct sum {
    const char *name;              /* of the keyspace, borrowed */
    uint64_t partitions, replicas; /* as the contract says */
    uint64_t here, leaders, unled, loading, elections, keys, bytes, failovers, cut;
    uint64_t lag_entries, lag_bytes, lag_ns; /* the most of any follower of what is led here */
    uint64_t own_lag_ns;                     /* the most of any replica here that follows */
    uint64_t
        stalled; /* that are behind and do not progress: of those here and of those followers */
    uint64_t states[METRICS_STATES], follower_states[METRICS_FOLLOWER_STATES];
    uint64_t cut_acknowledged, cut_unacknowledged, cut_possibly;
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
    {"keyspace_lag_bytes_most",
     "Bytes of log that the slowest follower of what is led here has yet to accept.",
     offsetof(struct sum, lag_bytes), METRICS_GAUGE},
    {"keyspace_stalled_here",
     "Replicas here, and followers of what is led here, that are behind and have not moved for 5 "
     "s.",
     offsetof(struct sum, stalled), METRICS_GAUGE},
    {"keyspace_failovers_total", "Failovers that made a replica of this node the leader.",
     offsetof(struct sum, failovers), METRICS_COUNTER},
    {"keyspace_cut_entries_total",
     "Entries that replicas of this node cut from the end of their logs for another leader's.",
     offsetof(struct sum, cut), METRICS_COUNTER},
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

static void keep_most(uint64_t *most, uint64_t number)
{
    if (number > *most)
        *most = number;
}

/* One that never answered counts as down. */
static void add_follower(struct sum *sum, const struct metrics_follower *follower)
{
    if (!follower->heard) {
        sum->follower_states[METRICS_FOLLOWER_DOWN]++;
        return;
    }
    sum->follower_states[follower->state]++;
    sum->stalled += !follower->progresses && follower->state != METRICS_FOLLOWER_BOOTSTRAPPING;
    keep_most(&sum->lag_entries, follower->lag_entries);
    keep_most(&sum->lag_ns, follower->lag_ns);
    if (follower->lag_bytes != REPLICA_UNKNOWN)
        keep_most(&sum->lag_bytes, follower->lag_bytes);
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
    sum->failovers += partition->counts.failovers;
    sum->cut += partition->counts.cut_entries;
    sum->cut_acknowledged += partition->counts.cut_acknowledged;
    sum->cut_unacknowledged += partition->counts.cut_unacknowledged;
    sum->cut_possibly += partition->counts.cut_possibly;
    sum->states[partition->state]++;
    sum->stalled += !partition->progresses && !partition->leads && !partition->loads;
    if (partition->lag_ns != REPLICA_UNKNOWN)
        keep_most(&sum->own_lag_ns, partition->lag_ns);
    for (size_t i = 0; i < partition->follower_count; i++)
        add_follower(sum, &sample->followers[partition->first_follower + i]);
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

/* `own`: of the replicas here, else of the followers of what is led here. */
static void render_seconds(const struct sum *sums, size_t count, bool own, struct buffer *out)
{
    const char *name = own ? "keyspace_replica_lag_seconds_most" : "keyspace_lag_seconds_most";
    metrics_family(out, name, METRICS_GAUGE,
                   own ? "How old the oldest data of a replica here are that follows."
                       : "Since when the slowest follower of what is led here is behind.");
    for (size_t k = 0; k < count; k++) {
        buffer_print(out, "holdfast_%s{keyspace=", name);
        metrics_quoted(out, sums[k].name);
        buffer_print(out, "} %.6f\n",
                     (double)(own ? sums[k].own_lag_ns : sums[k].lag_ns) / NS_PER_SECOND);
    }
}

/* A family with a second label: numbers that stand side by side in the row. */
struct split {
    struct column column;
    const char *label;
    const char *const *values;
    size_t count;
};

static const char *const verdicts[] = {"yes", "no", "possibly"};
static const struct split by_state = {{"keyspace_state_here",
                                       "Replicas on this node, by their state.",
                                       offsetof(struct sum, states), METRICS_GAUGE},
                                      "state",
                                      metrics_state_names,
                                      METRICS_STATES};
static const struct split by_follower_state = {
    {"keyspace_followers", "Followers of what is led here, by their state.",
     offsetof(struct sum, follower_states), METRICS_GAUGE},
    "state",
    metrics_follower_state_names,
    METRICS_FOLLOWER_STATES};
static const struct split by_verdict = {
    {"keyspace_cut_writes_total",
     "Writes among the entries that were cut here that could be acknowledged before their commit, "
     "by whether they were.",
     offsetof(struct sum, cut_acknowledged), METRICS_COUNTER},
    "acknowledged",
    verdicts,
    COUNT_OF(verdicts)};

static void render_split(const struct sum *sums, size_t count, const struct split *split,
                         struct buffer *out)
{
    const struct column *column = &split->column;
    metrics_family(out, column->name, column->type, column->help);
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < split->count; i++) {
            buffer_print(out, "holdfast_%s{keyspace=", column->name);
            metrics_quoted(out, sums[k].name);
            buffer_print(
                out, ",%s=\"%s\"} %llu\n", split->label, split->values[i],
                (unsigned long long)number_at(&sums[k], column->offset + i * sizeof(uint64_t)));
        }
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
    render_seconds(sums, count, false, out);
    render_seconds(sums, count, true, out);
    render_split(sums, count, &by_state, out);
    render_split(sums, count, &by_follower_state, out);
    render_split(sums, count, &by_verdict, out);
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

/* A number of a replica that follows, or of a follower as its leader sees it. */
enum measure {
    LAG_ENTRIES,
    LAG_BYTES,
    LAG_SECONDS,
    PROGRESSING,
    MEASURES
};

struct lag {
    uint64_t entries, bytes, ns;
    bool progresses;
};

static const char *const measure_names[MEASURES] = {"lag_entries", "lag_bytes", "lag_seconds",
                                                    "progressing"};
static const char *const replica_helps[MEASURES] = {
    "Entries that its leader has committed and this replica has yet to apply.",
    "Bytes of log that its leader has committed and this replica has yet to apply.",
    "How old the replica's data are.",
    "1 when the replica lacks nothing, or has applied something within 5 s."};
static const char *const follower_helps[MEASURES] = {
    "Committed entries that the follower has yet to make durable.",
    "Bytes of committed log that the follower has yet to accept.",
    "Since when the follower is behind; 0 when it is not.",
    "1 when the follower lacks nothing, or has accepted or stored something within 5 s."};

/* Behind the labels. */
static void print_measure(struct buffer *out, const struct lag *lag, enum measure measure)
{
    switch (measure) {
    case LAG_ENTRIES: buffer_print(out, "} %llu\n", (unsigned long long)lag->entries); break;
    case LAG_BYTES: buffer_print(out, "} %llu\n", (unsigned long long)lag->bytes); break;
    case LAG_SECONDS: buffer_print(out, "} %.6f\n", (double)lag->ns / NS_PER_SECOND); break;
    default: buffer_print(out, "} %d\n", lag->progresses); break;
    }
}

/* METRICS-2 */
static bool is_known(const struct lag *lag, enum measure measure)
{
    return (measure != LAG_ENTRIES || lag->entries != REPLICA_UNKNOWN) &&
           (measure != LAG_BYTES || lag->bytes != REPLICA_UNKNOWN) &&
           (measure != LAG_SECONDS || lag->ns != REPLICA_UNKNOWN);
}

static void render_own(const struct metrics_sample *sample,
                       const struct metrics_partition *partition, enum measure measure,
                       struct buffer *out)
{
    struct lag lag = {partition->lag_entries, partition->lag_bytes, partition->lag_ns,
                      partition->progresses};
    if (partition->leads || partition->loads || !is_known(&lag, measure))
        return;
    buffer_print(out, "holdfast_replica_%s", measure_names[measure]);
    add_labels(out, sample, partition);
    print_measure(out, &lag, measure);
}

static void render_followers(const struct metrics_sample *sample,
                             const struct metrics_partition *partition, enum measure measure,
                             struct buffer *out)
{
    for (size_t i = 0; i < partition->follower_count; i++) {
        const struct metrics_follower *follower = &sample->followers[partition->first_follower + i];
        struct lag lag = {follower->lag_entries, follower->lag_bytes, follower->lag_ns,
                          follower->progresses};
        if (!follower->heard || !is_known(&lag, measure))
            continue;
        buffer_print(out, "holdfast_follower_%s", measure_names[measure]);
        add_labels(out, sample, partition);
        buffer_print(out, ",node=\"%llu\"", (unsigned long long)follower->node.value);
        print_measure(out, &lag, measure);
    }
}

/* Each of the two in turn, for all partitions: a family stands together. */
static void render_lags(const struct metrics_sample *const *samples, size_t count, bool own,
                        struct buffer *out)
{
    for (unsigned measure = 0; measure < MEASURES; measure++) {
        char name[64];
        snprintf(name, sizeof name, "%s_%s", own ? "replica" : "follower", measure_names[measure]);
        metrics_family(out, name, METRICS_GAUGE,
                       own ? replica_helps[measure] : follower_helps[measure]);
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k < samples[i]->partition_count; k++)
                (own ? render_own : render_followers)(samples[i], &samples[i]->partitions[k],
                                                      (enum measure)measure, out);
    }
}

static void print_states(struct buffer *out, const struct metrics_sample *sample,
                         const struct metrics_partition *partition)
{
    for (unsigned state = 0; state < METRICS_STATES; state++) {
        buffer_print(out, "holdfast_replica_state");
        add_labels(out, sample, partition);
        buffer_print(out, ",state=\"%s\"} %d\n", metrics_state_names[state],
                     partition->state == (enum metrics_state)state);
    }
}

static void print_lease(struct buffer *out, const struct metrics_sample *sample,
                        const struct metrics_partition *partition)
{
    if (!partition->leads)
        return;
    buffer_print(out, "holdfast_lease_remaining_seconds");
    add_labels(out, sample, partition);
    buffer_print(out, "} %.6f\n", (double)partition->lease_ns / NS_PER_SECOND);
}

static void print_bootstrap(struct buffer *out, const struct metrics_sample *sample,
                            const struct metrics_partition *partition)
{
    if (!partition->loads)
        return;
    buffer_print(out, "holdfast_replica_bootstrap_ratio");
    add_labels(out, sample, partition);
    buffer_print(out, "} %.2f\n", partition->percent / 100.0);
}

static void render_each(const struct metrics_sample *const *samples, size_t count,
                        void (*print)(struct buffer *out, const struct metrics_sample *sample,
                                      const struct metrics_partition *partition),
                        struct buffer *out)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < samples[i]->partition_count; k++)
            print(out, samples[i], &samples[i]->partitions[k]);
}

static void render_partitions(const struct metrics_sample *const *samples, size_t count,
                              struct buffer *out)
{
    for (size_t i = 0; i < COUNT_OF(of_partitions); i++)
        render_column(samples, count, &of_partitions[i], out);
    metrics_family(out, "replica_state", METRICS_GAUGE, "1 for the state that the replica is in.");
    render_each(samples, count, print_states, out);
    metrics_family(out, "replica_bootstrap_ratio", METRICS_GAUGE,
                   "How much of a snapshot the replica has received or loaded, while it does.");
    render_each(samples, count, print_bootstrap, out);
    metrics_family(out, "lease_remaining_seconds", METRICS_GAUGE,
                   "How long the leader's lease still runs; 0: it is over.");
    render_each(samples, count, print_lease, out);
    render_lags(samples, count, true, out);
    render_lags(samples, count, false, out);
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
