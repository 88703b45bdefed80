/* inside.h - private to metrics/. */
#ifndef HOLDFAST_METRICS_INSIDE_H
#define HOLDFAST_METRICS_INSIDE_H

#include "metrics/metrics.h"

/* A member of a group that is led here, as its leader sees it. */
struct metrics_follower {
    struct node_id node;
    bool heard; /* else nothing is known of it */
    uint64_t lag_entries, lag_ns;
};

struct metrics_partition {
    struct group_id group;
    uint64_t keyspace; /* its id */
    bool led;          /* a leader is known */
    bool loads;        /* receives or loads a snapshot */
    uint64_t leads;    /* 0 or 1 */
    uint64_t term, commit, applied, last, elections, keys, bytes;
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
    uint64_t up_ns, incarnation;
    struct node_id self; /* 0: part of no cluster yet */
    struct cluster_id cluster;
    char site[NODE_NAME_SIZE], zone[NODE_NAME_SIZE], host[NODE_NAME_SIZE];
    char address[IO_ADDRESS_SIZE];
    struct server_facts server;
    struct wal_facts log;
    uint64_t room, free_bytes;
    bool disk_is_full, free_is_known;
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
/* A family of one value without labels. */
void metrics_one(struct buffer *out, const char *name, enum metrics_type type, const char *help,
                 uint64_t value);

/* partitions.c: what is labelled with a keyspace */
void metrics_render_keyspaces(const struct metrics_sample *const *samples, size_t count,
                              struct buffer *out);

#endif
