/* admin.h - what operators and clients ask about the node: INFO, ROLE, CONFIG, STATUS. Floor 9;
 * handed down as verbs by worker/.
 *
 * STATUS answers one JSON text: this node's own view (DESIGN section 9 names its fields; `holdfast
 * status` merges the views of all nodes). Promises. ADMIN-1 ROLE and INFO say master only while the
 * lease of `default` is valid at the moment of the answer (R11). ADMIN-2 what is not known is
 * absent or null, never 0. ADMIN-3 WHY names what stands in the way of whatever is not as it should
 * be, as far as a node that can be asked knows it; who could not be asked is named, too. */
#ifndef HOLDFAST_ADMIN_ADMIN_H
#define HOLDFAST_ADMIN_ADMIN_H

#include "control/control.h"
#include "server/server.h"

struct admin_option {
    const char *name, *value;
}; /* as CONFIG GET shows them */

struct admin {
    const struct admin_option *options; /* borrowed for life */
    size_t option_count;
    const char *dir, *version;
    uint64_t process;        /* its id, for INFO */
    struct control *control; /* borrowed, as the next three */
    struct io *io;
    struct node *node;
    struct server *server;
    /* shares.c: what the other workers of this node have to say */
    unsigned worker, workers;     /* which of how many */
    uint32_t others;              /* bits of those that can be asked */
    uint64_t tag;                 /* io tags used: tag .. tag + ADMIN_TAGS - 1 */
    struct admin_question *asked; /* owned; NULL at first */
    /* states.c: since when each replica is in its state; all zero at first */
    struct admin_seen *seen; /* owned */
    size_t seen_count, seen_capacity;
    uint64_t next_look_ns;
    /* sights.c; the same */
    struct admin_sight *sights; /* owned */
    size_t sight_count;
    enum node_disk disk_told;
    int64_t disk_sick_since_ms; /* 0: it is well */
    /* confirm.c: what the leader of `system` is asked, since when, and by whom lately */
    uint64_t ticket, asked_ns, wanted_ns;
};

#define ADMIN_TAGS (2 * PEER_WORKERS_MAX)

/* What another worker asked or answered; false: not for this part. */
bool admin_handle_event(struct admin *admin, const struct io_event *event);
/* CLIENT LIST of all workers, for the server: see server_options. */
bool admin_tell_clients(void *admin, struct server_call *call, struct buffer *out);

struct server_verbs admin_verbs(struct admin *admin);

/* Once a turn: notices in which state each replica is, so that STATUS can say since when; cheap, it
 * looks ten times a second. Without it since_ms is null. */
void admin_tick(struct admin *admin, struct node *node);
/* The state of this node's own replica: its name, static. */
const char *admin_own_state(const struct replica *replica);
void admin_deinit(struct admin *admin);

#endif
