/* node.h - one worker's share of a node: its log, its links, its groups, and the phases of the
 * turn. Floor 6; used by control/, server/, admin/, worker/.
 *
 *   gather events -> decide (node_handle_event, node_next; the server executes) -> persist and send
 * (node_persist)
 *                 -> apply (node_apply) -> the server releases replies -> node_flush
 *
 * Promises.
 * NODE-1  Nothing that a group decides leaves before the order of raft.h's duties says so: what
 * must be durable first is held by raft itself. NODE-2  A batch leaves when no earlier batch of
 * this log is unsettled, or 500 us after the last one, or at 64 KiB; it cannot stall
 * (node_deadline_ns names the moment). NODE-3  Identity (cluster, node, members) and promises are
 * durable before anybody hears of them. NODE-4  One heartbeat message for each pair of workers that
 * share groups; only groups that it lists and that the answer does not dispute are confirmed (R6).
 * NODE-5  A damaged log, a lost identity or a log of another cluster stops the node with one line;
 * it never runs on a guess. NODE-6  A group that is placed here does nothing before the note of its
 * birth is durable. NODE-7  A dropped group is forgotten durably: its records in the log are passed
 * over, and its id never comes back here (R5). NODE-8  The phases of a turn look at the groups that
 * have something to do, and at no other. NODE-9  A replica that was removed here, and any of the
 * same group with a lower id, never comes back (R5). NODE-10  A member whose log is damaged or lost
 * begins anew in an empty one: nothing of the old one is used again, and it has no replica before
 * the catalogue says that the cluster has taken it back (R4). NODE-11  A leader whose disk is full,
 * or has not ended a sync for a second, hands over to a voter whose disk does, if there is one; it
 * is handed nothing until its disk was well for ten. Non-promises: it knows nothing of
 * clients. */
#ifndef HOLDFAST_NODE_NODE_H
#define HOLDFAST_NODE_NODE_H

#include "base/ids.h"
#include "base/status.h"
#include "cluster/cluster.h"
#include "command/command.h"
#include "io/io.h"
#include "peer/peer.h"
#include "replica/replica.h"

#define NODE_MEMBERS_MAX 64
#define NODE_NAME_SIZE   64
#define NODE_WHY_SIZE    640
#define NODE_GROUPS_MAX  4096
#define GROUP_DEFAULT    ((struct group_id){1})

struct node_member {
    struct node_id id;
    char client_address[WIRE_ADDRESS_SIZE], peer_address[WIRE_ADDRESS_SIZE];
    char site[NODE_NAME_SIZE], zone[NODE_NAME_SIZE], host[NODE_NAME_SIZE];
};

/* What a node is, for ever: written once when its cluster forms or it joins; again when a node of
 * one moves, and with each node that joins later. */
struct node_formation {
    struct cluster_id cluster;
    struct node_id self;
    size_t member_count;
    size_t founder_count; /* the first so many formed the cluster; 0: all of them */
    /* Not 0: the log of this node was damaged or lost, and with this ticket it asks to be taken
     * back; what the formation or an earlier catalogue gave it counts no more (NODE-10). Before:
     * the ticket that the cluster knew it by, 0 of one that formed it. */
    uint64_t anew, before;
    struct node_member members[NODE_MEMBERS_MAX]; /* ascending ids */
};

/* A promise to one former (DESIGN section 9): kept until formed. */
struct node_promise {
    char former[WIRE_ADDRESS_SIZE]; /* "" : none */
    struct cluster_id cluster;
    uint64_t list_hash;
};

/* A request to a running cluster to be taken in: kept until joined, so that the same node may ask
 * again after a crash and nobody else in its name. */
struct node_join {
    struct cluster_id cluster;
    uint64_t ticket; /* 0: none */
};

/* A partition, wherever it is placed; `system` and `default` only where the formation does not. */
struct node_partition {
    struct group_id group;
    enum wal_sync sync;
    struct raft_configuration initial; /* with which its replica here begins: that of the group's
                                          birth, the first member being the first candidate, or one
                                          in which it is a learner; no members: none is here */
    size_t node_count;
    struct node_id nodes[RAFT_MEMBERS_MAX]; /* where its replicas are or will be: whom to ask */
};

struct node_timing {
    uint64_t heartbeat_ns, election_min_ns, election_max_ns, batch_gap_ns;
    uint64_t drift_ppm, max_skew_us;
};
extern const struct node_timing node_timing_default; /* lan's */
struct node_timing node_timing_of(const struct cluster_timing *profile);

struct node_options {
    const char *dir;
    const char *peer_listen;    /* "" : none, a node of one */
    const char *client_address; /* as others may reach us */
    const struct command_table *commands;
    struct node_timing timing;
    bool lease_reads;
    size_t cache_size_max;     /* of a group; 0: 4 MiB. All groups together: about 16 MiB */
    uint64_t wal_segment_size; /* 0: default */
    /* A replica writes a snapshot after so many bytes of log, and after so long with any; 0:
     * defaults (64 MiB, 10 min). */
    uint64_t snapshot_log_bytes, snapshot_period_ns;
    /* io tags: 16, 65536, 16 and one of them */
    uint64_t tag_wal, tag_peer, tag_snapshots, tag_ledger;
    unsigned timer_peer;
    unsigned worker, workers; /* which share of the node this is; 0 workers: 1 */
    uint32_t faults;          /* enum replica_fault; 0 in a program */
    /* NODE_GROUPS_MAX places, zeroed, in which its replicas are shown to other threads; borrowed
     * for life. NULL: nobody looks. */
    struct replica_shown *shown;
};

struct node;

/* Opens or makes the directory and recovers. `why` is one line for people. AGAIN: what was found
 * there is damaged, and from the next call on the directory begins anew (NODE-10): the process
 * opens all of it once more. Blocks. */
MUST_USE enum status node_open(struct io *io, const struct node_options *options, struct node **out,
                               char why[NODE_WHY_SIZE]);
void node_destroy(struct node *node);

/* Their bytes, in the log and in answers to probes. decode: INVALID or FOREIGN (a newer version).
 */
void node_encode_promise(const struct node_promise *promise, struct buffer *out);
void node_encode_formation(const struct node_formation *formation, struct buffer *out);
void node_encode_join(const struct node_join *join, struct buffer *out);
MUST_USE enum status node_decode_join(struct slice bytes, struct node_join *out);
MUST_USE enum status node_decode_promise(struct slice bytes, struct node_promise *out);
MUST_USE enum status node_decode_formation(struct slice bytes, struct node_formation *out);

bool node_is_formed(const struct node *node);
const struct node_formation *node_formation(const struct node *node); /* NULL before */
/* With how many replicas `default` began (R18); what it grew to is in the catalogue. */
size_t node_first_replicas(const struct node_formation *formation);
const struct node_promise *node_promise(const struct node *node);
const struct node_join *node_join(const struct node *node);

/* All are appended to the log; node_is_saved says when they are durable. */
void node_save_promise(struct node *node, const struct node_promise *promise);
void node_save_join(struct node *node, const struct node_join *join);
void node_save_formation(struct node *node, const struct node_formation *formation);
/* Another worker of this node has the formation: saved in this one's log, too, if it is not there
 * yet. Not once it is started. */
void node_take_formation(struct node *node, const struct node_formation *formation);
/* For a cluster of one that is not started: nobody else knows where it was, so it may be elsewhere
 * now. The id stays. */
void node_save_move(struct node *node, const struct node_member *self);
/* Another node has joined: known from now on, links and all, at the next start too. Again: nothing.
 */
void node_add_member(struct node *node, const struct node_member *member);
/* It was removed from the cluster. It is forgotten when its room is needed; until then it may hear
 * here what has become of it, and hand on what its clients ask. */
void node_forget_member(struct node *node, struct node_id id);
/* The same, and another member is at its address now: no link goes there any more. */
void node_unlink_member(struct node *node, struct node_id id);
bool node_is_saved(const struct node *node);
/* Starts groups and links of a formation; only once node_is_saved: what recovery found in the page
 * cache of a killed process counts as durable from then on, not before. */
void node_start(struct node *node);
bool node_is_started(const struct node *node);

/* ---- the turn ---- */

struct replica_turn *node_begin_turn(struct node *node); /* reads the clocks */
/* Something came in: what is asked now must not be judged by the clocks of a turn that was stopped
 * before it came (a machine that was paused, a disk that hung). */
void node_look_at_clock(struct node *node);
struct replica_turn *node_turn(struct node *node);                       /* of the turn under way */
bool node_handle_event(struct node *node, const struct io_event *event); /* false: not its own */
/* Handles what the links brought; hands out what is the server's: forwards, UP, DOWN, LINE. False:
 * no more. */
bool node_next(struct node *node, struct peer_happening *out);
void node_tick(struct node *node);
void node_apply(struct node *node);
void node_persist(struct node *node);
/* The end of a turn: writes each link once, and lets groups rest that have nothing left to do. */
void node_flush(struct node *node);
uint64_t node_deadline_ns(const struct node *node);
/* A line for the operator, about snapshots; false: none. */
bool node_take_line(struct node *node, char out[NODE_WHY_SIZE]);
/* "" or one line: the node must stop. */
const char *node_failure(const struct node *node);
/* The node is being stopped: says so to the others, and hands over what it leads. True while it
 * still leads something that others could, or a leader that is there still waits for its copies
 * (R15). */
bool node_hand_over(struct node *node);
/* If this node leads the group and another one is to lead it by its configuration: hands over as
 * soon as that one can take it, without waiting until it has been there for a while. */
void node_prefer_soon(struct node *node, struct group_id group);
/* Writes the note of a clean end; node_is_clean when it is durable. */
void node_end(struct node *node);
bool node_is_clean(const struct node *node);

/* ---- groups and links, for the server and for status ---- */

struct replica *node_group(struct node *node, struct group_id group); /* NULL: no replica here */
size_t node_group_count(const struct node *node);
struct replica *node_group_at(struct node *node, size_t i);
/* Makes a partition known; one that is placed here and is new comes to life once that is durable
 * (NODE-6). Again: where to ask for it is brought up to date. One that was dropped here stays
 * dropped; so does a replica that was removed, and each with a lower id (NODE-9). */
void node_add_partition(struct node *node, const struct node_partition *partition);
/* The group goes on without its replica here, which is forgotten like a dropped one, but for what
 * it may have answered and cannot know to be committed (LEDGER-1); one with a higher id may come
 * (NODE-9). */
void node_remove_replica(struct node *node, struct group_id group);
/* Ends the group here and forgets it for good (NODE-7). */
void node_drop_partition(struct node *node, struct group_id group);
/* Whether groups of that id live on this worker, if they are placed on this node. */
bool node_owns(const struct node *node, struct group_id group);
/* True when the group lives here, or will as soon as its birth is durable. */
bool node_is_placed(const struct node *node, struct group_id group);
/* Who leads a group, from its replica here or from who was refused elsewhere: {0} when unknown. */
struct node_id node_known_leader_of(struct node *node, struct group_id group);
/* The same, and where nothing is known a member that is up: it leads, or knows who does. */
struct node_id node_leader_of(struct node *node, struct group_id group);
/* What a refusal says: what the replica here knows, or where the catalogue says that one is. What
 * this node was told by a third one it does not hand on: two without a replica could send each
 * other's requests to and fro for ever. */
struct node_id node_leader_to_tell(struct node *node, struct group_id group);
/* The same as the worker to ask; node 0: unknown, or this worker itself. */
struct peer_id node_leader_elsewhere(struct node *node, struct group_id group);
void node_hint_leader(struct node *node, struct group_id group, struct node_id leader);
struct peer_set *node_peers(struct node *node);
/* How another node is heard by this worker. False: it never was, or it is this one. */
struct node_sight {
    int64_t suspected_since_ms; /* wall clock; 0: it is not suspected */
    uint64_t suspicions;        /* since the start */
    uint32_t phi;               /* thousandths: how unlikely its silence is */
    unsigned reported;          /* failed writes that an outside observer counted, lately */
    uint64_t silent_ns;
    uint64_t round_trip_ns, slow_round_trip_ns; /* of heartbeats that this node leads with; 0: not
                                                   known. Slow: few are slower */
};
bool node_look(const struct node *node, struct node_id id, struct node_sight *out);
/* Of this worker's groups. */
const struct node_timing *node_timing(const struct node *node);
/* What the cluster's nodes may use towards each other (R21); 0 until the catalogue is known. */
void node_set_level(struct node *node, unsigned level);
/* An outside observer counted so many failed writes to it: suspicion, never proof (CLUSTER-12).
 * False: no such member, or this node. */
bool node_report_failures(struct node *node, struct node_id id, unsigned failed);
/* This process stood still for so long before its turn: nobody was silent meanwhile. */
void node_note_pause(struct node *node, uint64_t ns);
struct node_pauses {
    uint64_t count, last_ns; /* since the start; how long the last one was */
    int64_t last_us;         /* when it was over, by the wall clock */
};
const struct node_pauses *node_pauses(const struct node *node);
/* The disk of this worker's log. Stalled: a sync took longer than a second, of late. */
enum node_disk {
    NODE_DISK_WELL = 0,
    NODE_DISK_FULL,
    NODE_DISK_STALLED
};
enum node_disk node_disk(const struct node *node);
/* What another node last said of itself: bits of enum wire_node_state. */
unsigned node_state_of(const struct node *node, struct node_id id);
struct wal *node_wal(struct node *node);
struct ledger *node_ledger(struct node *node); /* replica/ledger/ledger.h */
const struct node_member *node_member(const struct node *node,
                                      struct node_id id); /* NULL: unknown */
uint64_t node_incarnation(const struct node *node);
/* How many groups the last turn looked at (NODE-8). */
size_t node_awake_count(const struct node *node);
void node_validate(struct node *node);

#endif
