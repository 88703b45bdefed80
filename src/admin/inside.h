/* inside.h - private to admin/. */
#ifndef HOLDFAST_ADMIN_INSIDE_H
#define HOLDFAST_ADMIN_INSIDE_H

#include "admin/admin.h"

/* Appends this node's view as one JSON object. */
void admin_status(struct server_call *call, struct buffer *out);

/* ---- states.c: what a replica is doing, as seen from this node ---- */

#define ADMIN_SILENT_MS_MAX   1500 /* a follower that answers no heartbeat for longer is down */
#define ADMIN_LAG_ENTRIES_MAX 1000 /* one that is further behind is lagging, or catching up */

enum admin_state {
    ADMIN_STATE_UNKNOWN = 0, /* of another node's replica, and this one does not lead */
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
