/* admin.h - what operators and clients ask about the node: INFO, ROLE, CONFIG, STATUS. Floor 9;
 * handed down as verbs by worker/.
 *
 * STATUS answers one JSON text: this node's own view (DESIGN section 9 names its fields; `holdfast
 * status` merges the views of all nodes). Promises. ADMIN-1 ROLE and INFO say master only while the
 * lease of `default` is valid at the moment of the answer (R11). ADMIN-2 what is not known is
 * absent or null, never 0. ADMIN-3 WHY names what stands in the way of whatever is not as it should
 * be, as far as a node that can be asked knows it; who could not be asked is named, too. ADMIN-5
 * ALERTS tells what every node that can be asked has raised, each thing once, and who could not be
 * asked; each raise and each end is one event, one line of the log, and news for who asks
 * (decision 0049). */
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
    int64_t disk_sick_since_ms;  /* 0: it is well */
    struct admin_alerts *alerts; /* alerts.c; owned; NULL at first */
    bool tells_news;             /* somebody asks admin_next_alert */
    /* alerts_find.c: losses that wait, as of a commit of `system`, and when they are counted again
     */
    size_t losses_open;
    uint64_t losses_commit, next_count_ns;
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

/* ---- alerts: what somebody must hear of now (CLUSTER-15) ---- */

#define ADMIN_ALERTS_MAX 1024 /* of one worker at once; more are not told */

struct admin_alert {
    bool is_raised; /* false: cleared */
    const struct cluster_alert_rule *rule;
    bool has_group;
    struct group_id group;
    struct replica_id replica; /* 0: none, as the node */
    struct node_id node;
    char keyspace[CLUSTER_NAME_SIZE]; /* "": none */
    int64_t since_ms, raised_ms;      /* wall clock; since: of the condition, 0: not known */
    char text[CLUSTER_LINE_SIZE];     /* as WHY says it */
};

/* Once a turn: looks once a second at what is so; tells each raise and each end as an event. */
void admin_watch(struct admin *admin);
/* The next line about them for the operator's log; false: none. */
bool admin_take_line(struct admin *admin, char out[CONTROL_LINE_SIZE]);
/* News for hooks: the newest of an alert; false: none. Borrowed until the next admin_watch; the
 * same again until admin_alert_is_told. */
const struct admin_alert *admin_next_alert(struct admin *admin);
void admin_alert_is_told(struct admin *admin, const struct admin_alert *alert);
/* How many of this worker's are raised. */
void admin_count_alerts(const struct admin *admin, unsigned out[CLUSTER_SEVERITIES]);

#endif
