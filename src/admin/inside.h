/* inside.h - private to admin/. */
#ifndef HOLDFAST_ADMIN_INSIDE_H
#define HOLDFAST_ADMIN_INSIDE_H

#include "admin/admin.h"

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
    bool disk_is_full;
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
    bool disk_is_full;
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
/* Wall clock at which it was first seen in `state`; 0: not known (ADMIN-2). */
int64_t admin_state_since_ms(const struct admin *admin, struct group_id group,
                             struct replica_id replica, enum admin_state state);

#endif
