/* cluster.h - a few rafts in one process, with a network and disks that the test holds in its
 * hands.
 *
 * The disk model: every record (entries, truncation by overwriting, term and vote) is volatile
 * until it is persisted; a crash takes all that is not. The oracles (promises of raft.h) are
 * checked after every step; a breach ends the test through `fail`. */
#ifndef HOLDFAST_TEST_RAFT_CLUSTER_H
#define HOLDFAST_TEST_RAFT_CLUSTER_H

#include "raft/raft.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLICAS_MAX       7
#define ENTRIES_MAX        4096
#define APPEND_MAX         64
#define PACKETS_MAX        4096
#define RECORDS_MAX        1024
#define CONFIGURATIONS_MAX 256
#define TERMS_MAX          8192
#define READS_MAX          64
#define BASE_TERMS_MAX     1024

#define MILLISECOND 1000000ull

struct entry {
    uint64_t term, value; /* value 0: no-op */
    size_t configuration; /* 1 + its place in the cluster's list; 0: not one */
};

enum packet_kind {
    PACKET_MESSAGE = 1,
    PACKET_BEAT,
    PACKET_BEAT_ANSWER
};

struct packet {
    enum packet_kind kind;
    uint64_t from, to;
    struct raft_message message; /* beats: term, round, commit, granted, wall_us */
    struct entry entries[APPEND_MAX];
};

struct record {
    uint64_t ticket, version; /* version > 0: term and vote; else the entry at `index` */
    uint64_t index;
    struct entry entry;
    struct raft_state state;
};

struct replica {
    struct raft *raft; /* NULL: down */
    struct raft_outputs outputs;
    struct entry log[ENTRIES_MAX + 1];
    uint64_t base, last; /* what a snapshot holds; its entries are spoilt in the log */
    struct raft_term_start base_terms[BASE_TERMS_MAX]; /* of the newest snapshot, durable */
    size_t base_term_count;
    /* The disk. A snapshot is durable when it is made. */
    struct entry durable_log[ENTRIES_MAX + 1];
    uint64_t durable_base, durable_last;
    struct raft_state durable_state;
    struct record records[RECORDS_MAX]; /* not yet durable */
    size_t record_count;
    uint64_t next_ticket;
    bool ever_started;
    bool begins_anew; /* RAFT-19: now */
    bool power_lost;  /* since it was last started: it will be unsure */
    /* Clocks. */
    int64_t drift_ppm, wall_offset_us;
    /* What was last seen, for the trace and the oracles. */
    struct raft_view seen, traced;
    bool round_wanted;
    uint8_t priority;
};

struct read {
    bool waiting;
    uint64_t replica, term, round, index, must_see;
};

struct cluster {
    size_t count;
    struct replica replicas[REPLICAS_MAX + 1]; /* by replica id, from 1 */
    struct raft_options options;               /* what all replicas share */
    struct raft_configuration configurations[CONFIGURATIONS_MAX];
    size_t configuration_count; /* [0]: the initial one */
    bool leaves_joint;          /* a leader that is told to leave a joint configuration does so */
    uint64_t now_ns;
    uint64_t seed;
    struct packet packets[PACKETS_MAX];
    size_t packet_count;
    bool cut[REPLICAS_MAX + 1][REPLICAS_MAX + 1];
    uint64_t next_value;
    /* Oracles. */
    uint64_t leader_of[TERMS_MAX];
    struct entry committed[ENTRIES_MAX + 1];
    uint64_t committed_last;
    struct read reads[READS_MAX];
    uint64_t reads_confirmed;
    /* Where the trace goes; NULL: nowhere. `fail` does not return. */
    void (*trace)(void *hook, const char *line);
    void (*fail)(void *hook, const char *what);
    void *hook;
};

/* `configuration` is the initial one; replicas 1 .. count are created, members or not. */
struct cluster *cluster_create(size_t count, const struct raft_configuration *configuration,
                               uint64_t seed);
void cluster_destroy(struct cluster *cluster);
struct raft_configuration cluster_voters(size_t voters, size_t learners, uint32_t commit,
                                         uint32_t election);

void cluster_start(struct cluster *cluster, uint64_t id); /* the first time, and after a crash */
void cluster_crash(struct cluster *cluster, uint64_t id);
/* A crash that takes up to `entries` of the newest durable ones, and what is on the links. */
void cluster_lose_power(struct cluster *cluster, uint64_t id, uint64_t entries);
bool cluster_is_unsure(const struct cluster *cluster, uint64_t id); /* or will be */
void cluster_step(struct cluster *cluster, uint64_t id, struct raft_event *event);
void cluster_event(struct cluster *cluster, uint64_t id, enum raft_event_kind kind);
void cluster_tick(struct cluster *cluster, uint64_t id);
void cluster_transfer(struct cluster *cluster, uint64_t id, uint64_t to); /* 0: to the best */
void cluster_round(struct cluster *cluster, uint64_t id);
bool cluster_propose(struct cluster *cluster, uint64_t id);
bool cluster_propose_configuration(struct cluster *cluster, uint64_t id,
                                   const struct raft_configuration *configuration);
bool cluster_leave(struct cluster *cluster, uint64_t id); /* a joint configuration */
void cluster_persist(struct cluster *cluster, uint64_t id, size_t records); /* the oldest ones */
void cluster_compact(struct cluster *cluster, uint64_t id, uint64_t index);
bool cluster_install(struct cluster *cluster, uint64_t id); /* what is offered; false: nothing */
void cluster_lost(struct cluster *cluster, uint64_t id, uint64_t peer);
void cluster_read(struct cluster *cluster, uint64_t id);

void cluster_deliver(struct cluster *cluster, size_t place); /* and takes it out */
void cluster_drop(struct cluster *cluster, size_t place);
void cluster_duplicate(struct cluster *cluster, size_t place);

/* Persists and delivers until nothing moves; time stands still. */
void cluster_settle(struct cluster *cluster);
/* Time goes on for `ns` with ticks, rounds every tenth of the election timeout, and a settled
 * cluster. */
void cluster_run(struct cluster *cluster, uint64_t ns);

uint64_t cluster_leader(const struct cluster *cluster); /* of the highest term; 0: none */
uint64_t cluster_now_of(const struct cluster *cluster, uint64_t id);
const struct raft_view *cluster_view(const struct cluster *cluster, uint64_t id);
void cluster_check_logs(struct cluster *cluster); /* RAFT-3 between all pairs */

#endif
