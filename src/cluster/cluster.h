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
 * the contract says, the leads of the keyspace as even over weight as its places allow, and is a
 * function of its arguments alone. CLUSTER-4  What cluster_explain says follows from the contract:
 * who reads it and the code that keeps it get the numbers of the same functions. CLUSTER-5  Growth
 * by itself goes from 1 to 3 to 5 voters, never through two or four, never down; a partition that
 * is placed anew keeps the nodes that it has as far as CLUSTER-6 lets it, and all of them when
 * nothing has changed. CLUSTER-6  From the sites down, sibling fault domains differ by at most one
 * copy, and none of the highest level that allows it holds a majority, as far as the nodes do;
 * among the places of which that is true, a plan takes one that moves the fewest copies. CLUSTER-7
 * What cluster_explain_place says of the rules is counted on the place itself and on a plan for it.
 * CLUSTER-10  What the loss of nodes would mean is said as two bounds: it is between them whatever
 * the nodes that nobody sees are like, and where they differ nobody is told a number. CLUSTER-11  A
 * reason is one line that names the rule, whom it waits for, and since when; what of these is not
 * known is said to be so. CLUSTER-12  A node is suspected for its silence alone: never before the
 * floor, always from the ceiling on, and no more once it is heard. What others say of it moves that
 * moment between the two, and not beyond them. CLUSTER-13  Readers are on nodes that have no other
 * copy of their partition, as many as asked for or as such nodes there are, even over fault
 * domains, and one that can stay stays; they are in no quorum of a contract. CLUSTER-15  An alert
 * is raised once its condition has held at each look for the time of its rule, and cleared once it
 * has at none for the other time: each raise has one end. Time in which nobody looked counts for
 * neither, and a rule waits longer to raise than to clear. Non-promises: it knows
 * nothing of moves or repair, and of a copy not how far behind it is; it counts nodes, up or down.
 * Sources: DESIGN sections 2 and 10 (R1, R2, R11, R18), decisions 0040, 0045, 0046; flexible
 * quorums: Howard, Malkhi, Spiegelman 2016; phi accrual: Hayashibara, Defago, Yared, Katayama 2004.
 */
#ifndef HOLDFAST_CLUSTER_CLUSTER_H
#define HOLDFAST_CLUSTER_CLUSTER_H

#include "base/bytes.h"
#include "base/ids.h"
#include "base/status.h"

#define CLUSTER_NAME_SIZE      64 /* of keyspaces and of sites, zones, hosts */
#define CLUSTER_LINE_SIZE      320
#define CLUSTER_WORD_SIZE      96
#define CLUSTER_REPLICAS_MAX   16
#define CLUSTER_COPIES_MAX     12 /* with readers: the other places are for those that move */
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
    unsigned replicas; /* that vote; 0 until checked: as many as `default` would have */
    /* Copies beside them that never vote: so many at least, and by command so many at most. */
    unsigned readers_min, readers_max;
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

/* Fault domains are nested: a zone is one of its site, a host one of its zone, so the same name
 * elsewhere is another one. Nodes that name no site, or no zone, are together in one without a
 * name; a node that names no host is its own. */
struct cluster_member {
    struct node_id id;
    char site[CLUSTER_NAME_SIZE], zone[CLUSTER_NAME_SIZE], host[CLUSTER_NAME_SIZE];
    unsigned weight; /* its share beside the others; 0 counts as 1 */
    /* It gets nothing new, and keeps nothing that another one can take. */
    bool leaves;
    uint64_t memory_room, disk_room; /* bytes; 0: not known */
    unsigned replicas, leads; /* that it carries; of which partitions it is first candidate */
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
const char *cluster_readers_word(const struct cluster_contract *contract,
                                 char out[CLUSTER_WORD_SIZE]);
const char *cluster_failover_word(const struct cluster_contract *contract);
const char *cluster_short_word(const struct cluster_contract *contract);
const char *cluster_spread_word(const struct cluster_contract *contract);

/* ---- explain.c ---- */

/* One sentence or two a line, each line with its subject in front: what an acknowledged write
 * survives, what may be lost, who may be read, what stops after one and two failures. CLUSTER-4 */
void cluster_explain(const struct cluster_contract *contract, struct buffer *out);

/* ---- placement.c ---- */

/* Where is one partition to be? */
struct cluster_ask {
    const struct cluster_contract *contract; /* read; its replicas are said */
    const struct cluster_member *nodes;      /* borrowed, as the next ones */
    size_t count;
    uint64_t turn; /* of nodes that are equal in all else: the turn-th one first, and so on */
    const struct node_id *now; /* who has a copy, the first candidate in front, then who is rather
                                  to keep it; who is not of `nodes` is gone */
    size_t now_count;          /* 0: a new partition */
    const struct node_id *readers; /* who has a copy that does not vote; it may get to */
    size_t reader_count;
    uint64_t memory_needed, disk_needed; /* bytes of one copy; 0: not known */
};

struct cluster_plan {
    struct node_id members[CLUSTER_REPLICAS_MAX]; /* the first candidate in front, then those that
                                                     have a copy, in their order */
    size_t count;                                 /* fewer than replicas where there are no more */
    bool met;                                     /* the contract is kept by nodes that stay */
    char why[CLUSTER_LINE_SIZE];                  /* else one sentence that says what would work */
};

/* In this order: copies are apart as SPREAD says; none stays on a node that leaves; one is in the
 * preferred site; they are even over sites, in these over zones, in these over hosts; as few as
 * possible move; those that do go to the nodes with the least load for their weight. The first
 * candidate is of the preferred site; it stays the same where it can, else it is one that has a
 * copy and leads least. CLUSTER-6 */
void cluster_plan(const struct cluster_ask *ask, struct cluster_plan *plan);

struct cluster_place {
    unsigned first_slot, last_slot;
    struct node_id members[CLUSTER_REPLICAS_MAX]; /* contract.replicas of them; the first candidate
                                                     in front */
};

/* All partitions of a new keyspace. `turn` rises from keyspace to keyspace. The contract has been
 * checked against the same nodes. CLUSTER-3 */
void cluster_place(const struct cluster_contract *contract, const struct cluster_member *nodes,
                   size_t count, uint64_t turn, struct cluster_place *places);
/* The plan for one partition. `out` has room for contract.replicas, which has been checked against
 * the nodes. CLUSTER-5 */
void cluster_plan_voters(const struct cluster_ask *ask, struct node_id *out);
/* The plan for one partition that is at now[0 .. now_count). `out` has room for contract.replicas,
 * which has been checked against `nodes`. CLUSTER-5 */
void cluster_resize(const struct cluster_contract *contract, const struct cluster_member *nodes,
                    size_t count, uint64_t turn, const struct node_id *now, size_t now_count,
                    struct node_id *out);
/* The readers of one partition: at most `wanted` of those of ask->nodes that are none of `voters`.
 * Who has a reader keeps it where it can, else it is rather one that has a copy. `out` has room for
 * `wanted`. Returns how many. CLUSTER-12 */
size_t cluster_plan_readers(const struct cluster_ask *ask, const struct node_id *voters,
                            size_t voter_count, unsigned wanted, struct node_id *out);
/* How many readers a partition is to have that has `now` of them: the nearest of the contract. */
unsigned cluster_readers(const struct cluster_contract *contract, unsigned now);
/* R18: how many voters a keyspace that grows by itself wants with so many nodes: 1, 3 or 5, at most
 * `most`, never fewer than `voters`. CLUSTER-5 */
unsigned cluster_growth(unsigned voters, size_t nodes, unsigned most);

/* ---- domain.c ---- */

/* In how many domains of that level the nodes are that stay. Of sites and zones those with a name
 * alone: where a node is that names none, nobody knows. */
size_t cluster_domain_count(const struct cluster_member *nodes, size_t count,
                            enum cluster_spread level);

/* ---- place_explain.c ---- */

/* Why a partition is where it is (now_count 0: where it would be put), a line for each node and
 * each level of domains, with the subject in front; and what a plan for it would change. CLUSTER-7
 */
void cluster_explain_place(const struct cluster_ask *ask, struct buffer *out);

/* ---- lose.c, whatif.c, whatif_tell.c: what the loss of nodes would mean (CLUSTER-10) ----
 *
 *   LOSE node 2 AND zone b --cluster_lose_read--> nodes[].lost
 *   each keyspace: cluster_outlook_init -> cluster_outlook_add, each group -> bounds, lines */

enum cluster_sight { /* how a node is now, as whoever asks sees it */
    CLUSTER_SIGHT_NONE = 0,
    CLUSTER_SIGHT_UP,
    CLUSTER_SIGHT_DOWN
};

struct cluster_seen_node {
    struct cluster_member member;
    enum cluster_sight sight;
    bool lost; /* one of those that would be */
};

/* Reads LOSE node ID | zone NAME | site NAME | host NAME [AND ...] and marks whom it names.
 * INVALID: `why` says which word and what would be right; the marks are then of no use. */
MUST_USE enum status cluster_lose_read(const struct slice *words, size_t count,
                                       struct cluster_seen_node *nodes, size_t node_count,
                                       char why[CLUSTER_LINE_SIZE]);

#define CLUSTER_VOTES_MAX (2 * CLUSTER_REPLICAS_MAX)

struct cluster_vote { /* a member of a group; each node stands there once */
    struct node_id node;
    bool votes; /* in its configuration, of a joint one in the new half */
    bool voted; /* in the old half of a joint one; in neither: it is a learner */
};

struct cluster_group {
    bool joint;
    bool is_open; /* joint, and nobody here knows how far: it may be of one half, or still be */
    unsigned commit, election;         /* quorums */
    unsigned old_commit, old_election; /* of the old half */
    struct node_id leader;             /* 0: not known */
    size_t vote_count;
    struct cluster_vote votes[CLUSTER_VOTES_MAX];
};

struct cluster_range { /* equal: that is known */
    unsigned least, most;
};

struct cluster_outlook {                              /* of one keyspace, after the loss */
    const struct cluster_contract *contract, *before; /* borrowed; before: NULL, or while it changes
                                                         the contract of then */
    unsigned groups;
    /* How many of them: keep both quorums; lose one; take neither reads nor writes. */
    struct cluster_range keep, lose_commit, lose_election, stop;
    struct cluster_range new_stop, new_lose_election; /* that did not before the loss */
    /* Of how many acknowledged writes may be gone, if what is lost is lost with its disk; and
     * everything for certain. */
    struct cluster_range at_risk;
    unsigned gone;
    /* Of those that may go on: voters of the group that has the fewest; and so many more nodes may
     * fail, whichever they are, before one of them stops. */
    struct cluster_range copies, may_fail;
    size_t fewest_count; /* nodes whose loss would stop one, as few as that takes; 0: not known */
    struct node_id fewest[CLUSTER_VOTES_MAX];
    struct node_id down, unseen; /* a voter that is missed now, or may be; 0: none */
    size_t places_left;          /* nodes that would be left, or domains of SPREAD */
};

/* `before` as in the struct. Borrows the contracts. */
void cluster_outlook_init(struct cluster_outlook *outlook, const struct cluster_contract *contract,
                          const struct cluster_contract *before,
                          const struct cluster_seen_node *nodes, size_t count);
void cluster_outlook_add(struct cluster_outlook *outlook, const struct cluster_seen_node *nodes,
                         size_t count, const struct cluster_group *group);

/* Some partition goes on, or may. */
bool cluster_outlook_goes_on(const struct cluster_outlook *outlook);

struct cluster_levels {
    size_t count;
    char words[CLUSTER_REPLICAS_MAX + 4][CLUSTER_WORD_SIZE];
};
/* The ACK levels with which writes to the partitions that go on are acknowledged: those that work
 * for certain, or `maybe` those of which nobody can say. */
void cluster_outlook_acks(const struct cluster_outlook *outlook, bool maybe,
                          struct cluster_levels *out);

/* Lines for people, each with the keyspace in front. */
void cluster_outlook_tell(const struct cluster_outlook *outlook, const char *name,
                          struct buffer *out);
/* True: something that works now would stop, or might, or be lost; `why` is the sentence with which
 * to refuse. */
bool cluster_outlook_refuses(const struct cluster_outlook *outlook, const char *name,
                             char why[CLUSTER_LINE_SIZE]);

/* ---- why.c: reasons, as nodes tell them to each other and to people (CLUSTER-11) ---- */

/* In the order in which people are to read them. The numbers go from node to node: append only. */
enum cluster_rule {
    CLUSTER_WHY_NO_LEADER = 1,   /* have: voters that can be asked, need: votes of an election */
    CLUSTER_WHY_MISSING = 2,     /* a voter that it takes cannot be reached: peer */
    CLUSTER_WHY_NOT_ASKED = 3,   /* its leader, peer, cannot be asked */
    CLUSTER_WHY_NOT_SERVING = 4, /* its leader waits for a commit, or hands over to peer */
    CLUSTER_WHY_DISK_FULL = 5,
    CLUSTER_WHY_SHORT = 6,     /* writes are refused; have, need: copies */
    CLUSTER_WHY_DEGRADED = 7,  /* writes are acknowledged with fewer copies; have, need */
    CLUSTER_WHY_UNREACHED = 8, /* a node */
    CLUSTER_WHY_DAMAGED = 9,   /* a node begins anew, and is to be taken back */
    CLUSTER_WHY_DOWN = 10,     /* a replica, which peer, its leader, does not hear */
    CLUSTER_WHY_UNLED = 11,    /* a replica hears no leader, and there is one */
    CLUSTER_WHY_UNSURE = 12,
    CLUSTER_WHY_VOID = 13,
    CLUSTER_WHY_BOOTSTRAPPING = 14, /* have: percent, need: 100; need 0: not known here */
    CLUSTER_WHY_CATCHING_UP = 15,   /* have: entries that it has yet to apply */
    CLUSTER_WHY_LAGGING = 16,       /* have: entries that it has yet to make durable */
    CLUSTER_WHY_OUT_OF_SYNC = 17,
    CLUSTER_WHY_LEARNER = 18,     /* have: entries that it lacks; need 1: it is a reader */
    CLUSTER_WHY_CHANGE = 19,      /* a change of members waits for peer; have: entries
                                     that its copy lacks, need 1: it is not reached. Peer 0: for
                                     the leader; need 1: for that of `system` */
    CLUSTER_WHY_UNCONFIRMED = 20, /* of the catalogue: the leader of `system` does not answer */
    /* What is well. */
    CLUSTER_WHY_READY = 21,   /* a replica */
    CLUSTER_WHY_LED = 22,     /* a group: since all of it are ready; have: voters, need: term */
    CLUSTER_WHY_FOLLOWS = 23, /* a replica knows a leader, peer; need: term */
    /* Came later. */
    CLUSTER_WHY_DISK_STALLED = 24, /* of a node: its syncs do not end */
    CLUSTER_WHY_SUSPECTED = 25,    /* a node, by peer; have: phi in thousandths (CLUSTER-12) */
    CLUSTER_WHY_END
};

struct cluster_finding {
    enum cluster_rule rule;
    struct group_id group;
    struct replica_id replica; /* 0: of the group, or of the node alone */
    struct node_id node;       /* where that is, or who leads */
    struct node_id peer;       /* for whom it waits; 0: for nobody */
    int64_t since_ms;          /* wall clock; 0: not known */
    uint64_t have, need;
};

const char *cluster_why_word(enum cluster_rule rule);
/* True: nothing is wrong with it. */
bool cluster_why_is_well(enum cluster_rule rule);
/* The line, without its end. `keyspace` of its group; `address` of its peer, "" : not known. */
void cluster_why_tell(const struct cluster_finding *finding, const char *keyspace,
                      const char *address, struct buffer *out);
#define CLUSTER_TIME_SIZE 24
/* A wall clock as 2026-11-22T08:45:01Z. */
void cluster_time_text(int64_t ms, char out[CLUSTER_TIME_SIZE]);

/* ---- suspicion.c: a node that is silent may be down (CLUSTER-12) ----
 *
 *   each arrival --cluster_detector_hear--> the gaps between the last ones --now--> phi
 *
 * Phi is how unlikely the silence is, by the gaps that were usual: at 8, one in 10^8 gaps would be
 * as long. Many arrivals at once count as one each half pace, so that a busy link does not make
 * an idle one look dead. */

#define CLUSTER_PHI      8000 /* thousandths: suspected from here on */
#define CLUSTER_GAPS_MAX 64
#define CLUSTER_REPORTS_MAX                                                                        \
    8 /* failed writes that an outside observer may add to phi, one each                           \
       */

struct cluster_patience {
    uint64_t pace_ns; /* something is sent at least so often */
    uint64_t floor_ns, ceiling_ns;
};

struct cluster_detector {
    struct cluster_patience patience;
    uint64_t heard_ns;   /* when something last arrived; 0: never */
    uint64_t sampled_ns; /* the last arrival that began a gap */
    uint64_t after_ns;   /* suspected after so long a silence, floor <= it <= ceiling */
    uint64_t reported_until_ns;
    unsigned reported; /* failed writes, at most CLUSTER_REPORTS_MAX */
    bool refused;      /* nobody listened there, and nothing was heard since */
    size_t count, next;
    uint64_t sum_us, squares_us; /* of the gaps and of their squares */
    uint32_t gaps_us[CLUSTER_GAPS_MAX];
};

void cluster_detector_init(struct cluster_detector *detector,
                           const struct cluster_patience *patience);
/* Something arrived from it. */
void cluster_detector_hear(struct cluster_detector *detector, uint64_t now_ns);
/* A connection was refused: suspected from the floor on, until it is heard. */
void cluster_detector_refuse(struct cluster_detector *detector);
/* An outside observer counted so many failed writes to it; counts for `lasts_ns`. A later report
 * replaces it. */
void cluster_detector_report(struct cluster_detector *detector, unsigned failed, uint64_t now_ns,
                             uint64_t lasts_ns);
/* This process stood still for so long: it heard nobody, and nobody was silent. */
void cluster_detector_sleep(struct cluster_detector *detector, uint64_t ns, uint64_t now_ns);
/* Thousandths; what was never heard has none: 0. */
uint32_t cluster_detector_phi(const struct cluster_detector *detector, uint64_t now_ns);
/* When it is suspected if nothing arrives; UINT64_MAX: it was never heard. */
uint64_t cluster_detector_due_ns(const struct cluster_detector *detector);
bool cluster_detector_suspects(const struct cluster_detector *detector, uint64_t now_ns);

/* ---- timing.c: how long an election waits, for the network that there is ---- */

struct cluster_timing {
    const char *name;
    uint64_t heartbeat_ns, election_min_ns, election_max_ns;
};

#define CLUSTER_TIMINGS 2 /* lan, wan: shortest first */
extern const struct cluster_timing cluster_timings[CLUSTER_TIMINGS];

/* NULL: there is none of that name. */
const struct cluster_timing *cluster_timing_find(const char *name);
/* The shortest that suits round trips of up to `round_trip_ns`; NULL: none does. */
const struct cluster_timing *cluster_timing_for(uint64_t round_trip_ns);
/* The times that would suit them, whatever the profiles are. */
struct cluster_timing cluster_timing_suggest(uint64_t round_trip_ns);

/* ---- alerts.c: what somebody must hear of now (CLUSTER-15) ----
 *
 *   a condition at each look --cluster_alert_step--> raised ... cleared
 *
 * A rule that waits longer to raise than to clear lets whoever begins to tell of a condition, the
 * next leader say, raise it after the one before has cleared it. */

enum cluster_severity {
    CLUSTER_INFO,     /* there is something to do, and no hurry */
    CLUSTER_WARNING,  /* all is served; one failure more may change that */
    CLUSTER_CRITICAL, /* something is not served, or is about not to be */
    CLUSTER_SEVERITIES
};
const char *cluster_severity_word(enum cluster_severity severity);

enum cluster_alert_kind {
    CLUSTER_ALERT_NO_LEADER,
    CLUSTER_ALERT_READ_ONLY,
    CLUSTER_ALERT_NOT_SERVING,
    CLUSTER_ALERT_NODE_DOWN,
    CLUSTER_ALERT_DISK_FULL,
    CLUSTER_ALERT_DISK_STALLED,
    CLUSTER_ALERT_NODE_DAMAGED,
    CLUSTER_ALERT_LOSS,
    CLUSTER_ALERT_DEGRADED,
    CLUSTER_ALERT_REPLICA_DOWN,
    CLUSTER_ALERT_REPLICA_LAGGING,
    CLUSTER_ALERT_BOOTSTRAP_STUCK,
    CLUSTER_ALERT_CHANGE_STUCK,
    CLUSTER_ALERT_NODE_SUSPECTED,
    CLUSTER_ALERT_NODE_AWAY,
    CLUSTER_ALERT_NODE_DRAINED,
    CLUSTER_ALERT_FEATURE_LEVEL,
    CLUSTER_ALERTS
};

struct cluster_alert_rule {
    const char *name, *cure;
    enum cluster_severity severity;
    uint64_t raise_after_ns, clear_after_ns;
    uint64_t still_ns; /* > 0: it is about progress, and holds once that stood still for so long */
};
const struct cluster_alert_rule *cluster_alert_rule(enum cluster_alert_kind kind);
/* False: a finding of WHY that by itself is nothing to be told of. */
bool cluster_alert_of(const struct cluster_finding *finding, enum cluster_alert_kind *out);

#define CLUSTER_ALERT_LOOK_NS (2 * 1000000000ull) /* looks that are further apart count as this */

/* All zero at first. */
struct cluster_alert {
    bool is_raised;
    bool holds;         /* at the last look */
    uint64_t looked_ns; /* when that was; 0: never */
    uint64_t lasted_ns; /* for how long `holds` has been so */
    /* Of a rule with still_ns: how far it was at the last look, + 1; 0: it was not so. */
    uint64_t progress, stood_ns;
};

enum cluster_alert_change {
    CLUSTER_ALERT_SAME = 0,
    CLUSTER_ALERT_RAISED,
    CLUSTER_ALERT_CLEARED
};
/* A look at `now_ns`, which never falls. `progress` counts for rules with still_ns alone. */
enum cluster_alert_change cluster_alert_step(struct cluster_alert *alert,
                                             const struct cluster_alert_rule *rule, bool is_so,
                                             uint64_t progress, uint64_t now_ns);
/* Nothing is known of it that a zeroed one would not say. */
bool cluster_alert_is_over(const struct cluster_alert *alert);

#endif
