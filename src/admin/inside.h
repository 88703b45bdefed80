/* inside.h - private to admin/. */
#ifndef HOLDFAST_ADMIN_INSIDE_H
#define HOLDFAST_ADMIN_INSIDE_H

#include "admin/admin.h"

/* ---- timing.c ---- */
/* A member of STATUS: how long elections wait here, what round trips were measured, what suits
 * them, and how often this process stood still. */
void admin_status_timing(struct server_call *call, struct buffer *out);

/* ---- shares.c: what each worker of this node has to say, put together ---- */

enum admin_share_kind { /* what is asked for beside the numbers that every share has */
    SHARE_NUMBERS = 0,
    SHARE_COUNTS,     /* keys of each group */
    SHARE_DIGESTS,    /* of each group of one keyspace */
    SHARE_PARTITIONS, /* text: the objects of STATUS, with commas between them */
    SHARE_CLIENTS,    /* text: the lines of CLIENT LIST */
};

struct admin_count {
    struct group_id group;
    uint64_t keys, deadlines, digest;
};

/* The replica of keyspace default, on the worker that has it. */
struct admin_default {
    bool is_here;
    uint64_t lease_until_ns; /* clock of io; 0: it does not serve as leader */
    uint64_t term, commit, applied;
    struct node_id leader; /* 0: unknown */
    uint64_t keys[STORE_DATABASES], deadlines[STORE_DATABASES];
    size_t member_count;
    struct {
        struct node_id node;
        uint64_t persisted;
    } members[RAFT_MEMBERS_MAX];
};

/* One allocation: it goes from worker to worker. */
struct admin_share {
    uint32_t ticket;
    struct server_facts facts;
    char address[IO_ADDRESS_SIZE]; /* where the worker listens */
    uint64_t incarnation, memory_bytes;
    uint64_t durable, written, room; /* of its log: batches, bytes */
    bool disk_is_full, disk_is_stalled;
    unsigned alerts[CLUSTER_SEVERITIES]; /* that it has raised */
    struct admin_default first;
    size_t count;
    struct admin_count *counts; /* behind the share, as the text */
    struct slice text;
};

/* All shares together. One that did not come in time is NULL, and in no sum (ADMIN-2). Borrowed
 * until the end of the turn. */
struct admin_view {
    struct admin_share **shares; /* by worker */
    unsigned count;
    struct server_facts facts; /* sums, but started_ns */
    uint64_t memory_bytes, durable, written, room;
    bool disk_is_full, disk_is_stalled;
    unsigned alerts[CLUSTER_SEVERITIES];
    const struct admin_share *lowest;  /* worker 0's, which listens; else the first that came */
    const struct admin_default *first; /* NULL: not known, or not on this node */
};

/* True: here is what all workers say, or did in time. False: they are asked, `call->later` is set.
 * `keyspace`: of SHARE_DIGESTS. */
MUST_USE bool admin_ask(struct server_call *call, enum admin_share_kind kind, uint64_t keyspace,
                        struct admin_view *out);

void admin_forget_shares(struct admin *admin);

/* info.c */
void admin_serve_info(struct server_call *call);
void admin_serve_role(struct server_call *call);

/* nodes.c */
void admin_serve_nodes(struct server_call *call);
/* It is this node, or this one is in touch with it. */
void admin_serve_report(struct server_call *call);
bool admin_hears(struct server_call *call, struct node_id id);

/* status.c */
/* Appends this node's view as one JSON object. */
void admin_status(struct server_call *call, const struct admin_view *view, struct buffer *out);
/* The partitions of this worker, for SHARE_PARTITIONS. */
void admin_status_partitions(struct server_call *call, struct buffer *out);

/* text.c */
/* A JSON string: names and addresses come from flags. */
void admin_add_text(struct buffer *out, const char *text);

/* keyspaces.c */
/* The list of STATUS; empty before this node knows any. */
void admin_status_keyspaces(struct server_call *call, struct buffer *out);
/* The beginning of a partition's object: keyspace, id, slots. */
void admin_status_place(struct server_call *call, struct group_id group, struct buffer *out);
/* INFO keyspace: what the replicas of this node hold. */
void admin_info_keyspaces(struct server_call *call, const struct admin_view *view,
                          struct buffer *out);

/* loss.c */
void admin_serve_loss(struct server_call *call);
void admin_serve_ledger(struct server_call *call);

/* ---- states.c: what a replica is doing, as seen from this node ---- */

#define ADMIN_SILENT_MS_MAX   1500 /* a follower that answers no heartbeat for longer is down */
#define ADMIN_LAG_ENTRIES_MAX 1000 /* one that is further behind is lagging, or catching up */

enum admin_state {
    ADMIN_STATE_UNKNOWN = 0,   /* of another node's replica, and this one does not lead */
    ADMIN_STATE_BOOTSTRAPPING, /* receives or loads a snapshot: it votes, and serves nothing */
    ADMIN_STATE_CATCHING_UP,
    ADMIN_STATE_READY,
    ADMIN_STATE_LAGGING,
    ADMIN_STATE_DOWN,
};

enum admin_state admin_state_of(const struct replica *replica, const struct raft_member *member,
                                bool self, uint64_t now_ns);
const char *admin_state_name(enum admin_state state);
const char *admin_state_because(const struct replica *replica, enum admin_state state, bool self);
/* What else is noticed of a replica, and since when. */
enum admin_mark {
    ADMIN_MARK_OUT_OF_SYNC = 0, /* of the in-sync set (R15) */
    ADMIN_MARK_LEARNER,
    ADMIN_MARK_UNLED, /* the one here knows no leader */
    ADMIN_MARK_SHORT, /* the one here leads, and has too few copies for its ACK */
    ADMIN_MARKS
};
/* Wall clock since which it has been so; 0: it is not so, or not known. */
int64_t admin_mark_since_ms(const struct admin *admin, struct group_id group,
                            struct replica_id replica, enum admin_mark mark);
/* Leader: how many copies a write with the contract's ACK needs now. */
unsigned admin_copies_needed(const struct admin *admin, const struct replica *replica);
bool admin_degrades(const struct admin *admin, struct group_id group); /* SHORT */

/* Wall clock at which it was first seen in `state`; 0: not known (ADMIN-2). */
int64_t admin_state_since_ms(const struct admin *admin, struct group_id group,
                             struct replica_id replica, enum admin_state state);

/* ---- sights.c: the links to other nodes and the disk, and since when they are as they are ---- */

void admin_look_at_nodes(struct admin *admin, struct node *node);
/* Wall clock since which that node cannot be reached from here; 0: it can be, or is not known. */
int64_t admin_unreached_since_ms(const struct admin *admin, struct node_id node);
bool admin_reaches(const struct admin *admin, struct node_id node); /* or is this one */

/* ---- confirm.c ---- */

/* True: the catalogue here is as new as the leader of `system` can say, or `is_sure` is false, for
 * that one does not answer. False: it is asked, and call->later is set. Stays true until
 * admin_confirm_end, with which whoever asked has his answer. */
MUST_USE bool admin_confirm(struct server_call *call, bool *is_sure);
void admin_confirm_end(struct server_call *call);

/* ---- whatif.c ---- */

void admin_serve_whatif(struct server_call *call);

/* ---- why_find.c: what this worker knows of reasons ---- */

/* Of what is asked: a keyspace, a partition, a node. */
enum admin_scope_kind {
    ADMIN_SCOPE_KEYSPACE = 0,
    ADMIN_SCOPE_PARTITION,
    ADMIN_SCOPE_NODE,
    ADMIN_SCOPE_ALL /* asked by this worker alone, for alerts */
};
struct admin_scope {
    enum admin_scope_kind kind;
    uint64_t id;
};
struct admin_findings {
    struct cluster_finding *list; /* owned */
    size_t count, capacity;
};
void admin_add_finding(struct admin_findings *findings, const struct cluster_finding *finding);
/* Appends what is known here of the groups in that scope, good and bad. */
void admin_find(struct admin *admin, const struct admin_scope *scope,
                struct admin_findings *findings);
/* WHY FACTS kind id, as one node asks another: writes and reads what admin_find has found. */
void admin_tell_findings(const struct admin_findings *findings, struct reply *reply);
/* False: bytes of another version; `findings` has none of them. */
bool admin_read_findings(struct slice bytes, struct admin_findings *findings);

/* ---- why_judge.c: what stands in the way, from what everybody has found ---- */

struct admin_target {
    struct admin_scope scope;
    struct replica_id replica; /* 0: none in particular */
};

struct admin_told; /* a finding, and who said it */
struct admin_inquiry {
    struct admin *admin;
    const struct control_catalogue *catalogue;
    struct admin_target target;
    struct admin_told *told; /* owned; by group */
    size_t count;
    struct node_id *asked, *not_asked; /* owned */
    size_t asked_count, not_asked_count;
    struct admin_findings out; /* what is wrong, in the order of its rules */
    size_t groups;             /* that were judged */
    struct node_id leader;     /* of the last of them; 0: none */
    int64_t since_ms;          /* nothing is: since when; 0: not known */
    bool is_known;             /* `since_ms` is of all of it */
};

/* `admin`, `catalogue` and `target` are set, the rest is 0. Takes what is found here and what the
 * others have answered. */
void admin_inquire(struct admin_inquiry *inquiry, const struct control_answer *answers,
                   size_t count);
void admin_inquiry_deinit(struct admin_inquiry *inquiry);
/* It is about a replica that its group does not have. */
bool admin_is_nobody(const struct admin_inquiry *inquiry);
/* is_sure: of the catalogue. ADMIN-3 */
void admin_judge(struct admin_inquiry *inquiry, bool is_sure);
/* What it is about is a node, and not a partition. */
bool admin_is_of_node(enum cluster_rule rule);

/* ---- why.c ---- */

void admin_serve_why(struct server_call *call);
/* The same behind the name of what is asked for: KEYSPACE WHY name. Others of these verbs: false,
 * and nothing was done. */
bool admin_serves_why(struct server_call *call);
void admin_pass_but_why(struct server_call *call);

/* ---- alerts_find.c: what is so now that may be an alert, as far as it is this worker's to tell
 * ----
 *
 * Each thing has one teller: a partition its leader; the cluster and its nodes the leader of
 * `system`; its own disk each worker; a partition without a leader the first of its voters that
 * reach each other. */

struct admin_condition {
    enum cluster_alert_kind kind;
    bool has_group;
    struct group_id group;
    struct replica_id replica; /* 0: none, as the node */
    struct node_id node;
    int64_t since_ms; /* wall clock; 0: not known */
    uint64_t progress;
    char text[CLUSTER_LINE_SIZE];
};
typedef void admin_take_condition(struct admin *admin, const struct admin_condition *condition);
void admin_find_conditions(struct admin *admin, admin_take_condition *take);

/* ---- alerts.c: those that are raised ---- */

void admin_forget_alerts(struct admin *admin);
/* Those of this worker, as ALERTS FACTS answers. */
void admin_tell_alerts(const struct admin *admin, struct reply *reply);
/* alerts_tell.c */
void admin_serve_alerts(struct server_call *call);

#define ADMIN_ALERT_ITEMS                                                                          \
    10 /* severity, name, keyspace, partition or -1, replica, node, since_ms,                      \
          raised_ms, text, cure */

#endif
