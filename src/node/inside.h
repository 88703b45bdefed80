/* inside.h - private to node/. */
#ifndef HOLDFAST_NODE_INSIDE_H
#define HOLDFAST_NODE_INSIDE_H

#include "node/node.h"

struct node_group {
    struct replica *replica;
    struct node_id leader_hint; /* where no replica knows */
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
    uint64_t next_beat_ns, last_beat_ns, last_batch_ns;
    bool apply_again, gate_shut;
    char failure[NODE_WHY_SIZE];
};

enum {
    IDENTITY_PROMISE = 1,
    IDENTITY_FORMATION = 2
};

/* identity.c */
/* How many of `members` nodes carry the system group and the default keyspace (DESIGN section 9).
 */
size_t identity_system_voters(size_t members);
size_t identity_default_voters(size_t members);

/* groups.c */
void node_create_groups(struct node *node);

/* beat.c */
void node_send_beats(struct node *node);
void node_receive_beats(struct node *node, struct node_id from, const struct wire_message *message);

void node_fail(struct node *node, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
