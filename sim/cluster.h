/* cluster.h - machines that run the whole node behind worker/worker.h in a simulated world.
 *
 * The world says whose turn it is, the cluster gives it to that node's worker. Nodes are numbered
 * from 0. After each turn the oracles look at the node (oracle.h).
 *
 *     cluster_create -> cluster_start of each node -> cluster_turn for every WORLD_TURN of a node,
 *     cluster_died for every WORLD_DIED -> cluster_destroy */
#ifndef HOLDFAST_SIM_CLUSTER_H
#define HOLDFAST_SIM_CLUSTER_H

#include "sim/oracle.h"
#include "sim/verdict.h"
#include "sim/world.h"

#include "worker/worker.h"

#define CLUSTER_NODES_MAX   ORACLE_NODES_MAX
#define CLUSTER_WORKERS_MAX 3 /* of one node */

enum cluster_state {
    CLUSTER_DOWN,
    CLUSTER_UP,
    CLUSTER_REFUSED, /* its log is damaged and it said so: down for good */
};

struct cluster_node {
    struct machine_id machine;
    enum cluster_state state;
    struct worker *workers[CLUSTER_WORKERS_MAX]; /* NULL unless UP */
    unsigned worker_count;                       /* of this process, and of the next */
    char listen[IO_ADDRESS_SIZE], peer_listen[IO_ADDRESS_SIZE];
    char site[8], zone[8], host[8]; /* "": not said */
    char why[WORKER_LINE_SIZE];     /* why it stopped or did not start */
    bool sync_fails;                /* a sync of it is going to fail: it may stop, once */
    bool disk_full;                 /* it may refuse to start */
    bool damaged;                   /* bits of its log have rotted: refusing to start is right */
    uint64_t turns;
};

struct cluster_options {
    unsigned nodes;
    unsigned founders; /* the first so many; the others join them. 0: all */
    unsigned sites;    /* the nodes are of so many, in turn, s0 the first; 0: they name none */
    uint32_t faults;   /* enum replica_fault */
    bool readindex_reads;
    const struct node_timing *timing;                /* NULL: the default; outlives the cluster */
    unsigned workers;                                /* of each node; 0: 1 */
    bool workers_differ;                             /* from node to node */
    uint64_t snapshot_log_bytes, snapshot_period_ns; /* 0: defaults */
    uint64_t replace_after_ns;                       /* 0: nobody is replaced by itself */
    unsigned validate_every; /* turns of a node between two linear checks; 0: 2048 */
    bool quiet;              /* no oracles in turns: for counting costs */
};

struct losses; /* losses.h */

struct cluster {
    struct world *world;
    struct cluster_options options;
    struct verdict *verdict;
    struct cluster_node nodes[CLUSTER_NODES_MAX];
    struct oracle *oracle;
    struct losses *losses; /* the caller's; NULL: none */
    char join[CLUSTER_NODES_MAX * IO_ADDRESS_SIZE];
    bool talks; /* lines of the nodes' logs go to stderr */
};

struct cluster *cluster_create(struct world *world, const struct cluster_options *options,
                               struct verdict *verdict);
void cluster_destroy(struct cluster *cluster);

/* Powers the machine on if need be and starts its process; nothing when it is up or refused. */
void cluster_start(struct cluster *cluster, unsigned node);
void cluster_kill(struct cluster *cluster, unsigned node); /* kill -9 */
void cluster_power_cut(struct cluster *cluster, unsigned node);

/* The number of the node on a machine; CLUSTER_NODES_MAX: none. */
unsigned cluster_node_of(const struct cluster *cluster, struct machine_id machine);
void cluster_turn(struct cluster *cluster, const struct world_turn *turn);
void cluster_died(struct cluster *cluster, const struct world_turn *turn);

/* The worker of a node that is up and has `group`, or would have it. */
struct worker *cluster_worker(const struct cluster *cluster, unsigned node, struct group_id group);
/* The node that serves `default` in the highest term; CLUSTER_NODES_MAX: none. */
unsigned cluster_leader(const struct cluster *cluster);
bool cluster_is_formed(const struct cluster *cluster, unsigned node);
/* Nodes that began anew are in `default` again as somebody else, or not at all. */
bool cluster_has_taken_back(const struct cluster *cluster);
/* Every node carries what it is to carry, and every group has the members that it is to have. */
bool cluster_is_settled(const struct cluster *cluster);
/* All living nodes have executed the same entries of every group, and their stores are equal. */
bool cluster_is_converged(const struct cluster *cluster);
/* What is not settled: node/worker, the epoch of its catalogue, why. */
void cluster_describe_changes(const struct cluster *cluster, char *text, size_t size);
/* Where each replica stands, in one line. */
void cluster_describe(const struct cluster *cluster, char *text, size_t size);

#endif
