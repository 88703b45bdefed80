/* admin.h - what operators and clients ask about the node: INFO, ROLE, CONFIG, STATUS. Floor 9;
 * handed down as verbs by worker/.
 *
 * STATUS answers one JSON text: this node's own view (DESIGN section 9 names its fields; `holdfast
 * status` merges the views of all nodes). Promises. ADMIN-1 ROLE and INFO say master only while the
 * lease of `default` is valid at the moment of the answer (R11). ADMIN-2 what is not known is
 * absent or null, never 0. */
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
    struct control *control; /* borrowed */
    /* states.c: since when each replica is in its state; all zero at first */
    struct admin_seen *seen; /* owned */
    size_t seen_count, seen_capacity;
    uint64_t next_look_ns;
};

struct server_verbs admin_verbs(struct admin *admin);

/* Once a turn: notices in which state each replica is, so that STATUS can say since when; cheap, it
 * looks ten times a second. Without it since_ms is null. */
void admin_tick(struct admin *admin, struct node *node);
void admin_deinit(struct admin *admin);

#endif
