/* inside.h - private to metrics/. */
#ifndef HOLDFAST_METRICS_INSIDE_H
#define HOLDFAST_METRICS_INSIDE_H

#include "metrics/metrics.h"

enum metrics_state {
    METRICS_BOOTSTRAPPING,
    METRICS_CATCHING_UP,
    METRICS_READY,
    METRICS_STATES
};
extern const char *const metrics_state_names[METRICS_STATES];

enum metrics_follower_state {
    METRICS_FOLLOWER_BOOTSTRAPPING,
    METRICS_FOLLOWER_LAGGING,
    METRICS_FOLLOWER_READY,
    METRICS_FOLLOWER_DOWN,
    METRICS_FOLLOWER_STATES
};
extern const char *const metrics_follower_state_names[METRICS_FOLLOWER_STATES];

/* A member of a group that is led here, as its leader sees it. */
struct metrics_follower {
    struct node_id node;
    bool heard; /* else nothing is known of it */
    enum metrics_follower_state state;
    bool progresses;
    uint64_t lag_entries, lag_ns;
    uint64_t lag_bytes; /* REPLICA_UNKNOWN: nobody can say */
};

struct metrics_partition {
    struct group_id group;
    uint64_t keyspace; /* its id */
    bool led;          /* a leader is known */
    bool loads;        /* receives or loads a snapshot, */
    unsigned percent;  /* so much of it */
    uint64_t leads;    /* 0 or 1 */
    enum metrics_state state;
    uint64_t lease_ns; /* that it still has as leader */
    /* Of a follower, behind its leader; REPLICA_UNKNOWN: it cannot say. */
    uint64_t lag_entries, lag_bytes, lag_ns;
    bool progresses;
    uint64_t term, commit, applied, last, elections, keys, bytes;
    struct replica_counts counts;
    size_t first_follower, follower_count; /* in metrics_sample.followers */
};

struct metrics_keyspace {
    uint64_t id;
    char name[CLUSTER_NAME_SIZE];
    unsigned partitions, replicas;
};

struct metrics_link {
    struct node_id node;
    bool up[2]; /* data, control */
    uint64_t resets[2];
};

struct metrics_sample {
    unsigned worker;
    struct durations turns;
    struct replica_tally tally;
    uint64_t up_ns, incarnation;
    struct node_id self; /* 0: part of no cluster yet */
    struct cluster_id cluster;
    char site[NODE_NAME_SIZE], zone[NODE_NAME_SIZE], host[NODE_NAME_SIZE];
    char address[IO_ADDRESS_SIZE];
    struct server_facts server;
    struct wal_facts log;
    uint64_t room, free_bytes;
    bool disk_is_full, free_is_known;
    unsigned alerts[CLUSTER_SEVERITIES];
    size_t link_count, keyspace_count, partition_count, follower_count;
    struct metrics_link *links; /* owned, as the next three */
    struct metrics_keyspace *keyspaces;
    struct metrics_partition *partitions;
    struct metrics_follower *followers;
};

/* text.c */
enum metrics_type {
    METRICS_GAUGE,
    METRICS_COUNTER,
    METRICS_HISTOGRAM
};

/* HELP and TYPE; the family's values follow at once. `name` without "holdfast_". */
void metrics_family(struct buffer *out, const char *name, enum metrics_type type, const char *help);
/* One label's value with what the format wants escaped, in quotes. */
void metrics_quoted(struct buffer *out, const char *text);
/* The values of a histogram; `labels` as they stand in the braces, "" for none. */
void metrics_durations(struct buffer *out, const char *name, const char *labels,
                       const struct durations *durations);
/* A family of one value without labels. */
void metrics_one(struct buffer *out, const char *name, enum metrics_type type, const char *help,
                 uint64_t value);

/* partitions.c: what is labelled with a keyspace */
void metrics_render_keyspaces(const struct metrics_sample *const *samples, size_t count,
                              struct buffer *out);

#endif
