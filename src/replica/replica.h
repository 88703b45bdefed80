/* replica.h - one replica of one partition: executes, logs, replicates, applies, and says when a
 * reply may go out. Floor 5; used by node/ and server/.
 *
 * The one write path (DESIGN section 2): the leader executes a command at append, on the newest
 * state; the entry carries the effect; the reply waits behind a gate. Followers apply at commit
 * only. Reads are gated the same way.
 *
 *   replica_execute -> store changed, entry encoded once -> log batch (wal) and frames (peer) ->
 * commit -> gate opens
 *
 * Promises.
 * REPLICA-1  No reply leaves before its gate is open: a write's entry is committed in its own term,
 * or its contract allows an earlier answer and the lease holds after the append; a read's every
 * touched key is committed and leadership was confirmed after the read ran (lease checked at
 * release, or a later round). R11, section 2. REPLICA-2  A new leader executes nothing before its
 * term's no-op is committed and everything before it applied. REPLICA-3  Executed entries that are
 * cut leave no trace: the store is dropped and rebuilt from the log (R3). REPLICA-4  Entry times
 * rise strictly in a log; wall-clock jumps within a term have no effect on group time (R12).
 * REPLICA-5  Replicas of one group with the same executed index have the same digest. REPLICA-6  A
 * follower's log holds what the leader sent before an accept says so; memory of entries is bounded
 * (cache_size_max past what is not applied yet); who lags more is fed from the disk. REPLICA-7  A
 * transaction's writes are one entry: all of them or none, nothing in between. REPLICA-8  A
 * configuration is an entry of the log: in force from its append on, synced at every sync level,
 * gone when it is cut; a restart finds the newest one in the log. REPLICA-9  The newest
 * configuration says how the entries behind it are synced: a level that rises holds for everything
 * before it once it is committed, one that falls from a durable entry on; a start after a power cut
 * judges by it (R4). REPLICA-10  A lease that is shown to other threads counts until its own end,
 * however late they look, and no longer than it is held: it is taken back before anything leaves
 * that lets another replica lead. Non-promises: it keeps no connections and no order between
 * requests; it never points to its worker.
 *
 * Life: replica_create; replica_recover_* for each log record; replica_start; then steps with a
 * `struct replica_turn`. */
#ifndef HOLDFAST_REPLICA_REPLICA_H
#define HOLDFAST_REPLICA_REPLICA_H

#include "base/durations.h"
#include "base/ids.h"
#include "base/shared.h"
#include "base/status.h"
#include "command/command.h"
#include "io/io.h"
#include "peer/peer.h"
#include "raft/raft.h"
#include "snapshot/snapshot.h"
#include "wal/wal.h"
#include "wire/wire.h"

struct replica;
struct replica_shown;
struct ledger; /* replica/ledger/ledger.h */

struct replica_options {
    struct group_id group;
    struct replica_id self;
    struct node_id node;
    enum wal_sync sync; /* at the group's birth: until a configuration says another */
    uint64_t hash_seed; /* of the partition, equal on all replicas */
    const struct raft_configuration *initial; /* of the group's birth; copied */
    uint64_t election_timeout_min_ns, election_timeout_max_ns;
    uint64_t lease_max_ns; /* as raft_options */
    uint64_t drift_ppm, max_skew_us, random_seed;
    bool lease_reads;      /* no: strong reads by ReadIndex rounds */
    size_t cache_size_max; /* bytes of applied entries kept for peers, */
    const size_t
        *cache_share;   /* but not more than the owner has for each now; NULL: no such bound */
    struct list *awake; /* the owner's: joins turn->awake with each step; NULL: nobody asks */
    struct replica_shown *shown; /* where other threads look; outlives it; NULL: nobody does */
};

/* What the replicas of a node share for their snapshots: the node's, lent to each turn. One is
 * written at a time. */
struct replica_snapshots {
    struct snapshots *files; /* NULL: before the node knows its cluster */
    /* One is due after so many bytes of log (or as many as the store has, if that is more), and
     * after so long with any. */
    uint64_t log_bytes, period_ns;
    bool is_writing;
    uint64_t next_step_ns;        /* not before; UINT64_MAX: an event comes first */
    uint64_t wake_ns;             /* out: when replica_rest is to be called again */
    char line[SNAPSHOT_WHY_SIZE]; /* out: for the operator; "": nothing */
};

/* Of all replicas of a worker since it began; numbers that only rise. */
#define REPLICA_SUSPICIONS 5
struct replica_tally {
    uint64_t failovers[REPLICA_SUSPICIONS]; /* that made one of them the leader, by why */
    struct durations failover_times;        /* from the old leader's last word to serving */
};

/* What a step may use; made anew for each turn by the node. Everything is borrowed. */
struct replica_turn {
    struct io *io;
    uint64_t began_ns;
    uint64_t
        now_ns; /* of then, or of what came in since; checks of the lease read the clock afresh */
    int64_t wall_us;
    struct wal *wal;
    struct peer_set *peers;
    struct replica_snapshots *snapshots; /* NULL: none */
    struct ledger *ledger;               /* NULL: what is cut is forgotten (tests) */
    const struct command_table *commands;
    struct raft_outputs *outputs; /* scratch */
    struct buffer *scratch;       /* scratch for effects */
    struct list *awake;           /* out: whose step may have left something to do; the owner's */
    /* out, for who waits at gates: commit, confirmed round, term or role of some replica have
     * moved; a copy of something has arrived at some disk. They only rise. */
    uint64_t moved, copied;
    uint64_t flights;           /* out: some replica has news of a failover. It only rises */
    struct replica_tally tally; /* out */
    bool round_wanted;          /* out: a heartbeat round should begin this turn */
    bool damaged;               /* out: the log on the disk does not hold; the node must stop */
    uint32_t faults;            /* planted faults, see replica_fault; 0 in a program */
};

/* Faults built in on purpose for `make planted`: each must be found by the simulator. */
enum replica_fault {
    REPLICA_FAULT_VOTE_UNSYNCED = 1 << 0,    /* a vote is answered before it is durable */
    REPLICA_FAULT_ACK_EARLY = 1 << 1,        /* a write is acknowledged before commit */
    REPLICA_FAULT_READ_UNCONFIRMED = 1 << 2, /* a read is served without confirming leadership */
    REPLICA_FAULT_NO_TRUNCATE = 1 << 3,      /* executed entries that were cut stay in the store */
    REPLICA_FAULT_DIRTY_READ = 1 << 4, /* a read does not wait for the commit of what it saw */
    REPLICA_FAULT_FORWARD_TWICE =
        1 << 5, /* server: a forwarded write is sent again after the link broke */
    REPLICA_FAULT_LOCAL_EXPIRY = 1 << 6, /* replicas expire by their own clock */
    REPLICA_FAULT_SMALL_QUORUM = 1 << 7, /* one vote elects */
    REPLICA_FAULT_LEASE_BEFORE = 1 << 8, /* the lease is judged by a time before the read ran */
    REPLICA_FAULT_UNSURE_VOTES = 1 << 9, /* who may have lost entries votes as if he had not */
    REPLICA_FAULT_CONFIGURATION_KEPT = RAFT_FAULT_CONFIGURATION_KEPT,
    REPLICA_FAULT_LEARNER_COUNTED = RAFT_FAULT_LEARNER_COUNTED,
    REPLICA_FAULT_JOINT_IGNORED = RAFT_FAULT_JOINT_IGNORED,
    REPLICA_FAULT_STALE_SEGMENT = WAL_FAULT_STALE_SEGMENT,
    REPLICA_FAULT_BATCHES_UNSETTLED = WAL_FAULT_BATCHES_UNSETTLED,
    REPLICA_FAULT_EARLY_SAFE = 1 << 18, /* FAILOVER safe: a write is acknowledged when only the
                                           leader has it persisted */
    REPLICA_FAULT_SNAPSHOT_UNCOMMITTED = 1 << 10, /* a snapshot does not wait for the commit */
    REPLICA_FAULT_VIEW_TORN = 1 << 16,      /* what changes during a snapshot is not kept for it */
    REPLICA_FAULT_LEDGER_DROPPED = 1 << 14, /* what is cut is not set aside */
    REPLICA_FAULT_ONCE_MISSING = 1 << 15,   /* a snapshot leaves out the table of ONCE */
};

struct replica *replica_create(const struct replica_options *options);
void replica_destroy(struct replica *replica);
/* The same for one that has been running in a node that goes on: its log is no longer read. */
void replica_retire(struct replica *replica, struct replica_turn *turn);

/* Recovery. First the newest snapshot that holds, into the store (blocks; what is damaged is named
 * by snapshots_complaint). Then the log's records, in their order. INVALID: what the record says
 * cannot be. DAMAGED: the log begins behind every snapshot that holds (R4). */
void replica_recover_snapshot(struct replica *replica, struct snapshots *files);
MUST_USE enum status replica_recover_entry(struct replica *replica,
                                           const struct wal_record *record);
MUST_USE enum status replica_recover_mark(struct replica *replica, const struct wal_record *record);
MUST_USE enum status replica_recover_state(struct replica *replica,
                                           const struct wal_record *record);
/* After the last record; not for one that is new here. DAMAGED: as above. */
MUST_USE enum status replica_recover_end(struct replica *replica);
/* Ends recovery; `born`: the group is new on this node (nothing was recovered, nothing may be
 * withheld). */
void replica_start(struct replica *replica, struct replica_turn *turn, bool born);

struct replica_id replica_self(const struct replica *replica);
struct group_id replica_group(const struct replica *replica);
enum wal_sync replica_sync(const struct replica *replica);
const struct raft *replica_raft(const struct replica *replica);
struct store *replica_store(struct replica *replica);
uint64_t replica_executed(const struct replica *replica);
uint64_t replica_applied(const struct replica *replica); /* min(executed, commit) */
bool replica_is_serving(const struct replica *replica);  /* leader, and REPLICA-2 holds */
/* The node of the leader that this replica knows, value 0: none. */
struct node_id replica_leader_node(const struct replica *replica);

/* ---- events ---- */

void replica_tick(struct replica *replica, struct replica_turn *turn);
uint64_t replica_deadline_ns(const struct replica *replica);
void replica_receive(struct replica *replica, struct replica_turn *turn,
                     const struct raft_message *message, struct slice entries);
/* Before a message or beat of `from` is stepped: a leader that this replica's configuration does
 * not know yet is answered at the node from which it speaks. */
void replica_heard(struct replica *replica, struct replica_id from, struct node_id node);
void replica_beat(struct replica *replica, struct replica_turn *turn, const struct wire_beat *beat,
                  int64_t wall_us, bool answer);
/* Before the beats of many: asks memory for what their steps read. Changes nothing. */
#define REPLICA_FETCH_MAX 16
void replica_fetch(struct replica *const *replicas, size_t count);
void replica_begin_round(struct replica *replica, struct replica_turn *turn);
void replica_peer_changed(struct replica *replica, struct replica_turn *turn, struct node_id node,
                          bool refused);
/* A follower of a leader there asks for votes early; its promise to that leader stands (R11). */
void replica_suspect_leader(struct replica *replica, struct replica_turn *turn,
                            struct node_id node);
void replica_log_moved(struct replica *replica,
                       struct replica_turn *turn); /* durable ticket or a read moved */
void replica_step_down(struct replica *replica, struct replica_turn *turn);
/* Leader: hands leadership to the best of the others (R11, dissertation 3.10); to be called again
 * in later turns while it answers true. False: it does not lead, or nobody else is there. */
bool replica_hand_over(struct replica *replica, struct replica_turn *turn);
/* Leader: that member is heard of and has nearly the whole log. */
bool replica_is_ready(const struct replica *replica, struct replica_id other, uint64_t now_ns);
/* Another one leads, and its writes at ACK all wait for the copy that is here (R15). */
bool replica_is_waited_for(const struct replica *replica);
/* Leader: the member that the placement wants to lead, where that is another one, it is heard of
 * and has the whole log; value 0: none. */
struct replica_id replica_preferred(const struct replica *replica, uint64_t now_ns);
/* Leader: hands leadership to that member; nothing happens if it cannot take it. */
void replica_transfer(struct replica *replica, struct replica_turn *turn, struct replica_id to);
/* Asks for votes without waiting for a time-out: the first candidate of a new group. */
void replica_campaign(struct replica *replica, struct replica_turn *turn);

/* ---- membership (REPLICA-8) ---- */

/* Leader: proposes what leads to the members and quorums of `wanted` (raft_configuration_change;
 * `even`: two or four voters are meant). A joint configuration is left by whoever leads when it is
 * committed, without being asked. AGAIN: not now: not serving, or the last change is not committed.
 * INVALID: `why` says why, in static words. */
MUST_USE enum status replica_change(struct replica *replica, struct replica_turn *turn,
                                    const struct raft_configuration *wanted, bool even,
                                    const char **why);
/* Leader: puts a voter out of the in-sync set or back (R15). AGAIN as above; INVALID: not a voter,
 * or it is so already. */
MUST_USE enum status replica_set_sync(struct replica *replica, struct replica_turn *turn,
                                      struct replica_id voter, bool in_sync);

/* Tells raft which log batch holds what was appended; before each flush of the log. */
void replica_note_written(struct replica *replica, struct replica_turn *turn);

/* The keys of what replica_apply will apply, for store_prefetch: of the first ones, until `ahead`
 * is full. */
void replica_look_ahead(struct replica *replica, struct store_ahead *ahead);
/* Applies what is committed, up to a budget; true: more is waiting. */
bool replica_apply(struct replica *replica, struct replica_turn *turn);

/* What has no hurry, after the turn's replies are on their way: a piece of a snapshot. */
void replica_rest(struct replica *replica, struct replica_turn *turn);
/* A message about snapshots. */
void replica_receive_snapshot(struct replica *replica, struct replica_turn *turn,
                              struct peer_id from, enum wire_kind kind,
                              const struct wire_snapshot *message);
/* While its store is received or loaded: how much of it, 0 to 100; else -1. It votes meanwhile, and
 * serves nothing. */
int replica_bootstrap_percent(const struct replica *replica);
/* It has loaded its store, and executed all but the last of what is committed as far as it knows.
 */
bool replica_is_current(const struct replica *replica);
/* How far one is that is not current: with its snapshot, else with its log. */
struct replica_progress {
    unsigned percent;       /* a snapshot: 50 received, 100 loaded; a log: of what is committed */
    bool has_rate, has_eta; /* what follows is known: it was watched long enough, and gets on */
    uint64_t bytes_per_second, eta_ms; /* by the last seconds */
};
/* False: it is current, or nobody knows how much is missing. */
MUST_USE bool replica_progress(const struct replica *replica, uint64_t now_ns,
                               struct replica_progress *out);
/* The highest commit index that it knows of; not all of it need be here. */
uint64_t replica_known_commit(const struct replica *replica);
bool replica_is_at_rest(const struct replica *replica); /* nothing of that is under way */

/* Leader: puts new entries for each peer into the open frames; `limit` bounds bytes for each peer.
 */
void replica_send(struct replica *replica, struct replica_turn *turn);
/* Leader: bytes proposed and not yet sent; whether an earlier batch waits for its quorum (hot-path
 * decision 2). */
size_t replica_unsent_bytes(const struct replica *replica);
bool replica_is_settled(const struct replica *replica);

/* Nothing to send, to report, to apply or to wait for but an event or its deadline: the phases of a
 * turn may pass over it (until its next step). */
bool replica_may_rest(const struct replica *replica);

/* ---- requests ---- */

enum replica_outcome {
    REPLICA_RAN,         /* reply written; the gate says when it may go out */
    REPLICA_NOT_SERVING, /* nothing happened: not leader or not ready */
    REPLICA_NO_SPACE,    /* nothing happened: the log takes no writes now */
};

struct replica_gate {
    uint64_t index, term; /* waits for the commit of `index`; a write: of this term. index 0:
                             nothing to wait for */
    uint64_t asked_ns;    /* a read: when it ran; leadership must be confirmed after it */
    bool wrote;
    /* Set by the caller: what a write is acknowledged with, wire_ack but not CONTRACT; and whether
     * that may come before the commit (FAILOVER available). */
    uint8_t ack;
    bool early;
};

/* Runs one request on the leader. `call` has command, arguments, count, database and reply set;
 * `gate` has ack and early, and gets the rest. */
enum replica_outcome replica_execute(struct replica *replica, struct replica_turn *turn,
                                     struct command_call *call, struct replica_gate *gate);
/* Several as a transaction (REPLICA-7); one gate for all. NO_SPACE: none of them changed anything.
 */
enum replica_outcome replica_execute_all(struct replica *replica, struct replica_turn *turn,
                                         struct command_call *calls, size_t count,
                                         struct replica_gate *gate);

/* Leader: a number that changes whenever a key of that store_key_hash may have changed in this term
 * (it may also change when it has not: keys share it). For WATCH. */
uint64_t replica_key_version(const struct replica *replica, uint64_t hash);

/* Leader: on how many replicas, itself included, everything up to `index` is durable, as far as it
 * has heard; voters only. */
unsigned replica_copies(const struct replica *replica, uint64_t index);
unsigned replica_copies_elsewhere(const struct replica *replica, uint64_t index); /* not here */
/* How many voters there are, and how many of them have been heard of within the longest election
 * time-out, itself included. */
unsigned replica_voters(const struct replica *replica);
unsigned replica_voters_in_sync(const struct replica *replica); /* R15: those ACK all waits for */
unsigned replica_voters_heard(const struct replica *replica, uint64_t now_ns);

enum replica_gate_state {
    REPLICA_GATE_OPEN,
    REPLICA_GATE_WAITS,       /* for the commit */
    REPLICA_GATE_UNCONFIRMED, /* a read waits for a lease or a round */
    REPLICA_GATE_CUT,         /* a write: provably not in the log and never will be */
    REPLICA_GATE_LOST,        /* a read: this node no longer leads; nothing happened */
};
/* `now_ns`: a reading of the clock that is younger than the execution (R11). */
enum replica_gate_state replica_gate(const struct replica *replica, const struct replica_turn *turn,
                                     const struct replica_gate *gate, uint64_t now_ns);
/* The write behind an open gate is being acknowledged: followers hear how far (R10). */
void replica_note_acknowledged(struct replica *replica, const struct replica_gate *gate);

/* ---- reading the log once more ---- */

struct replica_walk {
    uint64_t next; /* the entry that comes next; set by the caller */
    void (*each)(void *owner, const struct wire_entry *entry);
    void *owner;
    bool lost; /* the log does not reach back so far, or cannot be read */
};
/* `walk` is the caller's until replica_walk_end, or the replica's end. One at a time. */
void replica_walk_begin(struct replica *replica, struct replica_walk *walk);
void replica_walk_end(struct replica *replica);
/* Gives on about `size_max` bytes of entries from memory; what is only on the disk comes in later
 * turns. True: all are given, uncommitted ones too, or it is lost. */
bool replica_walk_on(struct replica *replica, struct replica_turn *turn, size_t size_max);
/* The first entry here of a later term than `term`, in the log or before it; 0: none. */
uint64_t replica_first_after(const struct replica *replica, uint64_t term);

/* ---- what was set aside (R10) ---- */

struct ledger_span; /* replica/ledger/ledger.h */
/* What the group has committed of that term, as far as it is known here; false: this replica cannot
 * say. */
bool replica_committed_of(const struct replica *replica, uint64_t term, struct ledger_span *out);
/* Before a replica that its group does without is forgotten: what it has and does not know to be
 * committed goes into the ledger, whether it is lost or not. LEDGER-1, LEDGER-4 */
void replica_set_aside_rest(struct replica *replica, struct replica_turn *turn);

/* ---- failovers ---- */

enum replica_suspicion {
    REPLICA_LEADER_SILENT,       /* not heard for an election time-out */
    REPLICA_LEADER_REFUSED,      /* its node refused or reset the link */
    REPLICA_LEADER_HANDED_OVER,  /* it asked this replica to lead */
    REPLICA_LEADER_ASKED_TO_RUN, /* another candidate did: this one's log is better (R17) */
    REPLICA_LEADER_SUSPECTED,    /* it was silent for longer than usual (CLUSTER-12) */
};
const char *replica_suspicion_name(enum replica_suspicion suspicion);

struct replica_flight_vote {
    struct node_id node;
    bool granted;
    uint64_t index, term; /* of the voter's last entry */
    uint64_t at_ns;
};

/* How this replica came to lead after another leader, or after itself. Times are readings of
 * io_now_ns; 0: not yet. */
struct replica_flight {
    uint64_t term;
    struct node_id previous;
    enum replica_suspicion suspicion;
    uint64_t heard_ns;              /* the old leader, last */
    uint64_t begun_ns;              /* the first attempt since then */
    unsigned attempts;              /* this replica's own */
    uint64_t last_index, last_term; /* of the own log when it ran */
    size_t vote_count;              /* of the others */
    struct replica_flight_vote votes[RAFT_MEMBERS_MAX];
    uint64_t elected_ns, serving_ns, first_write_ns; /* the first write was acknowledged */
};

/* What was dropped from the end of the own log for a newer leader's. */
struct replica_flight_cut {
    uint64_t term; /* of that leader */
    uint64_t from, entries, executed;
};

/* News is there when a failover's leader serves, again with its first write, and after a cut; until
 * it is told, or something newer is in its place. */
enum replica_news {
    REPLICA_NEWS_FAILOVER = 1,
    REPLICA_NEWS_CUT = 2
};
unsigned replica_news(const struct replica *replica); /* of enum replica_news */
void replica_news_told(struct replica *replica, enum replica_news news);
const struct replica_flight *replica_flight(const struct replica *replica);
const struct replica_flight_cut *replica_flight_cut(const struct replica *replica);

/* Since its start; numbers that only rise. */
struct replica_counts {
    uint64_t failovers;   /* in which it became the leader */
    uint64_t cut_entries; /* from the end of its log, for another leader's */
    /* Writes among them that may have been acknowledged before their commit, and were set aside. */
    uint64_t cut_acknowledged, cut_unacknowledged, cut_possibly;
};
const struct replica_counts *replica_counts(const struct replica *replica);

/* ---- what other threads may read ---- */

#define REPLICA_UNKNOWN UINT64_MAX
/* Who is further behind is not ready; of whom nothing was heard for so long is down. */
#define REPLICA_READY_LAG 1000 /* entries */
#define REPLICA_SILENT_NS 1500000000ull

enum replica_shown_flag {
    REPLICA_SHOWN_LEADS = 1,
    REPLICA_SHOWN_LOADS = 2,
    REPLICA_SHOWN_UNSURE = 4
};

/* One replica, written by its worker alone, read by any thread at any time with replica_look.
 * Zeroed: nobody's. */
struct replica_shown {
    struct shared group; /* + 1; 0: nobody's */
    struct shared term, lease_until_ns, heard_ns, level_ns, lag_entries, lag_bytes, flags;
};

/* Times are readings of io_now_ns, and 0 where there was none. */
struct replica_sight {
    struct group_id group;
    uint64_t term;
    uint64_t lease_until_ns;         /* leader, and it may serve: until then nobody else leads */
    uint64_t heard_ns;               /* follower: its leader, last */
    uint64_t level_ns;               /* follower: its data have all that was committed then */
    uint64_t lag_entries, lag_bytes; /* committed by its leader and not applied here, as far as it
                                        has heard; REPLICA_UNKNOWN: it has not, or cannot say */
    bool leads, loads, unsure; /* loads: it receives or loads a snapshot, or begins anew (R4) */
};

/* False: nobody's. What it says belongs together: one group, one term. */
bool replica_look(const struct replica_shown *shown, struct replica_sight *out);
/* Nobody's from now on. By the worker that shows it, when the replica is gone. */
void replica_hide(struct replica_shown *shown);
/* Its own, also where no other thread looks. */
const struct replica_shown *replica_shown(const struct replica *replica);
/* It lacks nothing that it has heard of, or has applied something within five seconds. */
bool replica_is_progressing(const struct replica *replica, uint64_t now_ns);
/* Leader: the same of a member, by what raft_progress says of it: it accepts or persists. */
bool replica_peer_is_progressing(const struct raft_progress *progress, uint64_t commit,
                                 uint64_t now_ns);
/* Leader: bytes of the committed entries that the member has not accepted, as far as is known; of
 * what is no longer near the log's end an estimate. REPLICA_UNKNOWN: its next entry is gone from
 * the log, or it has not answered yet. */
uint64_t replica_peer_behind(const struct replica *replica, const struct raft_progress *progress);

/* ---- for people and tests ---- */
/* The time of the newest entry in the log (REPLICA-4). */
int64_t replica_last_entry_us(const struct replica *replica);
void replica_validate(const struct replica *replica);

#endif
