/* inside.h - private to node/. */
#ifndef HOLDFAST_NODE_INSIDE_H
#define HOLDFAST_NODE_INSIDE_H

#include "node/node.h"

#define NODE_PARTITIONS_MAX 4096 /* known, here or elsewhere */
#define NODE_DROPPED_MAX    4096 /* ids kept one by one */

struct placed {
    struct node_partition partition;
    enum status doubt;    /* recovery: a record of it did not fit */
    bool here, lives;     /* lives: its replica is among the groups */
    struct node_id hint;  /* of who leads; 0: none */
    uint64_t campaign_ns; /* the first candidate of a new group asks for votes then; 0: no more */
};

struct node {
    struct io *io;
    struct node_options options;
    char *dir, *peer_listen, *client_address; /* owned copies behind options */
    struct wal *wal;
    struct peer_set *peers;
    struct replica_turn turn;
    struct raft_outputs outputs;
    struct buffer scratch;
    struct node_formation formation;
    bool formed, started, born; /* born: formed in this run */
    struct node_promise promise;
    uint64_t identity_ticket; /* of the newest identity record; 0: all durable */
    uint64_t clean_ticket;
    uint64_t incarnation;
    size_t group_count;
    struct replica *groups[NODE_GROUPS_MAX];
    struct node_id hints[2]; /* leaders of system and default, where they are not here */
    /* partitions beyond those two, in the order of their ids */
    struct placed *placed;
    size_t placed_count;
    uint64_t placed_ticket;   /* of the newest note of what is placed here; 0: durable */
    struct group_id *dropped; /* ids of groups that were here and never come back, ascending */
    size_t dropped_count;
    struct group_id dropped_through; /* so are all up to this one that are not placed here */
    uint64_t next_beat_ns, last_beat_ns, last_batch_ns;
    bool apply_again, gate_shut;
    char failure[NODE_WHY_SIZE];
};

enum {
    IDENTITY_PROMISE = 1,
    IDENTITY_FORMATION = 2,
    IDENTITY_PLACED = 3
};

/* identity.c */
/* How many of `members` nodes carry the system group and the default keyspace (DESIGN section 9).
 */
size_t identity_system_voters(size_t members);
size_t identity_default_voters(size_t members);

/* groups.c */
void node_create_groups(struct node *node);
struct replica *node_create_replica(struct node *node, const struct node_partition *partition);

/* placed.c */
struct placed *placed_find(const struct node *node, struct group_id group);
/* The durable note: which partitions are here, which were. */
void placed_encode(const struct node *node, struct buffer *out);
/* Recovery: brings the groups into agreement with the note. */
MUST_USE enum status placed_recover(struct node *node, struct slice bytes);
bool placed_is_dropped(const struct node *node, struct group_id group);
/* The note is durable: groups that waited for it begin. */
void placed_log_moved(struct node *node);
/* Once a note is durable: the records of dropped groups hold up no segment any more. */
void placed_release(struct node *node);
void placed_tick(struct node *node);
uint64_t placed_deadline_ns(const struct node *node);
void placed_deinit(struct node *node);

/* beat.c */
void node_send_beats(struct node *node);
void node_receive_beats(struct node *node, struct node_id from, const struct wire_message *message);

void node_fail(struct node *node, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
