/* cluster.h - what a keyspace promises, and where its replicas go. Pure. Floor 1; used by control/,
 * server/, admin/.
 *
 * A contract is read from the words of KEYSPACE CREATE, checked against the nodes that there are,
 * and then only looked at: which quorums it needs (R2), which nodes carry which partition, and what
 * it means in plain words.
 *
 *   words --cluster_contract_read--> contract --cluster_contract_check--> placement, quorums, text
 *
 * Promises.
 * CLUSTER-1  A contract that contradicts itself, or that the nodes cannot keep, is refused with one
 * sentence that says what would work. CLUSTER-2  Commit and election quorum of a contract overlap:
 * C + E > N and 2E > N (R2). CLUSTER-3  A placement puts a partition on as many different nodes as
 * the contract says, its first members (the first candidates) round-robin, and is a function of its
 * arguments alone. CLUSTER-4  What cluster_explain says follows from the contract: who reads it and
 * the code that keeps it get the numbers of the same functions. CLUSTER-5  Growth by itself goes
 * from 1 to 3 to 5 voters, never through two or four, never down; a partition that is placed anew
 * keeps the nodes that it has. Non-promises: it knows nothing of states, moves or repair; it counts
 * nodes, up or down. Sources: DESIGN sections 2 and 10 (R1, R2, R18); flexible quorums: Howard,
 * Malkhi, Spiegelman 2016. */
#ifndef HOLDFAST_CLUSTER_CLUSTER_H
#define HOLDFAST_CLUSTER_CLUSTER_H

#include "base/bytes.h"
#include "base/ids.h"
#include "base/status.h"

#define CLUSTER_NAME_SIZE      64 /* of keyspaces and of sites, zones, hosts */
#define CLUSTER_LINE_SIZE      320
#define CLUSTER_WORD_SIZE      96
#define CLUSTER_REPLICAS_MAX   16
#define CLUSTER_PARTITIONS_MAX 4096
#define CLUSTER_SLOTS          16384
#define CLUSTER_DATABASES      16 /* numbers that SELECT takes; 0 is always `default` */

enum cluster_ack {
    CLUSTER_ACK_ASYNC = 0,
    CLUSTER_ACK_LOCAL,
    CLUSTER_ACK_SEMISYNC,
    CLUSTER_ACK_QUORUM,
    CLUSTER_ACK_ALL
};
enum cluster_failover {
    CLUSTER_FAILOVER_SAFE = 0,
    CLUSTER_FAILOVER_AVAILABLE
};
enum cluster_sync {
    CLUSTER_SYNC_ALWAYS = 0,
    CLUSTER_SYNC_INTERVAL,
    CLUSTER_SYNC_OS
};
enum cluster_short {
    CLUSTER_SHORT_REFUSE = 0,
    CLUSTER_SHORT_DEGRADE
};
enum cluster_spread {
    CLUSTER_SPREAD_NODE = 0, /* none was asked for */
    CLUSTER_SPREAD_HOST,
    CLUSTER_SPREAD_ZONE,
    CLUSTER_SPREAD_SITE
};

/* Of MODE leader, READ strong: there is no other yet. */
struct cluster_contract {
    unsigned replicas;   /* 0 until checked: as many as `default` would have */
    unsigned partitions; /* 1 .. CLUSTER_PARTITIONS_MAX */
    enum cluster_ack ack;
    unsigned followers; /* k of semisync:k; 0 else */
    enum cluster_failover failover;
    enum cluster_sync sync;
    unsigned interval_ms; /* of SYNC interval; 0 else */
    enum cluster_short short_of;
    unsigned database; /* that opens it; 0: none */
    enum cluster_spread spread;
    char prefer_site[CLUSTER_NAME_SIZE]; /* where first candidates go; "" : anywhere */
};

struct cluster_member {
    struct node_id id;
    char site[CLUSTER_NAME_SIZE], zone[CLUSTER_NAME_SIZE], host[CLUSTER_NAME_SIZE];
};

/* ---- contract.c ---- */

extern const struct cluster_contract cluster_contract_default;

/* Letters, digits, '-', '_' and '.', 1 to 63 of them. */
bool cluster_name_is_valid(struct slice name);

/* Reads options (MODE leader REPLICAS 3 ...) on top of *contract. INVALID: `why` says which word
 * and what would be right; *contract is then of no use. */
MUST_USE enum status cluster_contract_read(const struct slice *words, size_t count,
                                           struct cluster_contract *contract,
                                           char why[CLUSTER_LINE_SIZE]);

/* Fills in what was left open and looks at the whole. INVALID as above. CLUSTER-1 */
MUST_USE enum status cluster_contract_check(struct cluster_contract *contract,
                                            const struct cluster_member *nodes, size_t count,
                                            char why[CLUSTER_LINE_SIZE]);

/* R2. `contract` has been checked. */
unsigned cluster_commit_quorum(const struct cluster_contract *contract);
unsigned cluster_election_quorum(const struct cluster_contract *contract);
/* On how many voters, the leader among them, a write is persisted before it is acknowledged; never
 * less than the commit quorum where FAILOVER is safe. 0: written by the leader, not synced. */
unsigned cluster_ack_copies(const struct cluster_contract *contract);

/* ---- words.c: each option as it stands in records and answers ---- */

const char *cluster_ack_word(const struct cluster_contract *contract, char out[CLUSTER_WORD_SIZE]);
const char *cluster_sync_word(const struct cluster_contract *contract, char out[CLUSTER_WORD_SIZE]);
const char *cluster_failover_word(const struct cluster_contract *contract);
const char *cluster_short_word(const struct cluster_contract *contract);
const char *cluster_spread_word(const struct cluster_contract *contract);

/* ---- explain.c ---- */

/* One sentence or two a line, each line with its subject in front: what an acknowledged write
 * survives, what may be lost, who may be read, what stops after one and two failures. CLUSTER-4 */
void cluster_explain(const struct cluster_contract *contract, struct buffer *out);

/* ---- placement.c ---- */

struct cluster_place {
    unsigned first_slot, last_slot;
    struct node_id members[CLUSTER_REPLICAS_MAX]; /* contract.replicas of them; the first candidate
                                                     in front */
};

/* `turn` rises from keyspace to keyspace, so that not every first partition begins at the first
 * node. The contract has been checked against the same nodes. CLUSTER-3 */
void cluster_place(const struct cluster_contract *contract, const struct cluster_member *nodes,
                   size_t count, uint64_t turn, struct cluster_place *places);
/* Where a partition is to be that is at now[0 .. now_count): it stays wherever it is, as far as the
 * contract wants so many and SPREAD and PREFER allow; what is missing goes to nodes of domains that
 * it has not, in the order of `nodes` from the `turn`-th on. The first is of the preferred site.
 * `out` has room for contract.replicas, which has been checked against `nodes`. CLUSTER-5 */
void cluster_resize(const struct cluster_contract *contract, const struct cluster_member *nodes,
                    size_t count, uint64_t turn, const struct node_id *now, size_t now_count,
                    struct node_id *out);
/* R18: how many voters a keyspace that grows by itself wants with so many nodes: 1, 3 or 5, at most
 * `most`, never fewer than `voters`. CLUSTER-5 */
unsigned cluster_growth(unsigned voters, size_t nodes, unsigned most);
/* How many different values the nodes have at that level; a node that names none is its own. */
size_t cluster_domain_count(const struct cluster_member *nodes, size_t count,
                            enum cluster_spread level);

#endif
