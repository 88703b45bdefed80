/* inside.h - private to admin/. */
#ifndef HOLDFAST_ADMIN_INSIDE_H
#define HOLDFAST_ADMIN_INSIDE_H

#include "admin/admin.h"

/* Appends this node's view as one JSON object. */
void admin_status(struct server_call *call, struct buffer *out);

/* text.c */
void admin_add(struct buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string: names and addresses come from flags. */
void admin_add_text(struct buffer *out, const char *text);

/* keyspaces.c */
/* The list of STATUS; empty before this node knows any. */
void admin_status_keyspaces(struct server_call *call, struct buffer *out);
/* The beginning of a partition's object: keyspace, id, slots. */
void admin_status_place(struct server_call *call, struct group_id group, struct buffer *out);
/* INFO keyspace: what the replicas of this node hold. */
void admin_info_keyspaces(struct server_call *call, struct buffer *out);

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
