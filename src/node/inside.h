/* inside.h - private to node/. */
#ifndef HOLDFAST_NODE_INSIDE_H
#define HOLDFAST_NODE_INSIDE_H

#include "base/list.h"
#include "node/node.h"
#include "replica/ledger/ledger.h"

#define NODE_PARTITIONS_MAX 65536 /* known, here or elsewhere */
#define NODE_DROPPED_MAX    4096  /* ids kept one by one */

/* A group that lives here. It is awake while something happens to it or is still to be done, and
 * the phases of the turn look at those alone: with a thousand groups a turn costs what the busy
 * ones cost (NODE-8). */
struct group {
    struct group_id id;
    struct replica *replica; /* owned */
    struct group *next;      /* in its bucket */
    struct list awake;       /* in node.awake; else alone */
    struct list leading;     /* in node.leading; else alone */
    uint64_t due_ns;     /* never later than its deadline: deadlines mostly move away, and a heap
                            that followed each move would be all that a heartbeat does */
    size_t place;        /* in node.due */
    uint64_t willing_ns; /* leads: since then another could that is wanted; 0: none */
    unsigned returns;    /* how often it was handed to that one */
    bool is_asked;       /* to hand over to that one without waiting */
    struct replica_shown *shown; /* its place among the node's; NULL: none */
};

/* Heartbeats to one worker of another node, or answers, before they are put into its frame. */
struct beats {
    struct peer_id to;
    struct wire_beat *at; /* owned */
    size_t count, capacity;
};

struct placed {
    struct node_partition partition;
    enum status doubt;    /* recovery: a record of it did not fit */
    bool here, lives;     /* lives: its replica is among the groups */
    struct node_id hint;  /* of who leads; 0: none */
    uint64_t campaign_ns; /* the first candidate of a new group asks for votes then; 0: no more */
};

/* The highest id of a replica that this node had of a group and that was removed (R5). */
struct removed {
    struct group_id group;
    struct replica_id replica;
};

struct node_state {
    struct node_id node;
    uint8_t state; /* enum wire_node_state */
};

/* sight.c: another node, as this one hears it. */
struct seen {
    struct node_id node;
    struct cluster_detector detector;
    uint64_t suspected_ns;                     /* since when; 0: it is not */
    int64_t suspected_us;                      /* the same by the wall clock */
    uint64_t suspicions;                       /* how many there were */
    uint64_t round_trip_ns, round_trip_off_ns; /* usual, and how far from it usually; 0: unknown */
    char line[128];                            /* not told yet; "" : none */
    uint64_t up_ns;                            /* its last link came up */
};

/* sign.c: what the file beside the logs says. */
struct node_sign {
    bool is_there, has_formation;
    bool fresh; /* the logs of that number are still to be begun */
    unsigned workers;
    uint64_t log;    /* which logs count: wal.N; 0: wal */
    uint64_t ticket; /* by which the cluster knows this node; 0: it formed it */
    struct node_formation formation;
};

struct node {
    struct io *io;
    struct node_options options;
    char *dir, *peer_listen, *client_address; /* owned copies behind options */
    struct wal *wal;
    struct replica_snapshots snapshots;
    uint64_t next_look_ns; /* is a snapshot due? */
    size_t next_look;      /* of the groups at rest: the one to look at next */
    size_t said_complaints;
    unsigned level; /* of features */
    struct ledger *ledger;
    struct peer_listener *listener; /* until there is a set of peers */
    struct peer_set *peers;
    struct replica_turn turn;
    struct raft_outputs outputs;
    struct buffer scratch;
    struct node_formation formation;
    bool formed, started, born; /* born: formed in this run */
    struct node_promise promise;
    struct node_join join;
    struct node_sign sign;    /* of worker 0, as it was at the start */
    uint64_t identity_ticket; /* of the newest identity record; 0: all durable */
    uint64_t clean_ticket;
    uint64_t incarnation;
    size_t group_count, group_capacity;
    struct group **groups;  /* in the order of their births */
    struct group **buckets; /* by id; as many as group_capacity, a power of two */
    struct group **due;     /* a heap by due_ns, each group once */
    struct list awake, leading;
    size_t cache_share;  /* bytes of entries for each group */
    size_t shown_next;   /* no place before it is free to show a group in */
    size_t awake_count;  /* of the last turn, for tests */
    struct beats *beats; /* one for each peer that there were any for */
    size_t beats_count;
    struct beats answers;
    struct node_id hints[2]; /* leaders of system and default, where they are not here */
    /* partitions beyond those two, in the order of their ids */
    enum status first_doubts[2]; /* as placed.doubt, of the two that the formation gives */
    struct placed *placed;
    size_t placed_count, placed_capacity;
    size_t placed_waiting;    /* for their note to be durable */
    bool placed_changed;      /* the note is to be written anew: once a turn */
    uint64_t placed_ticket;   /* of the newest note of what is placed here; 0: durable */
    struct group_id *dropped; /* ids of groups that were here and never come back, ascending */
    size_t dropped_count;
    struct removed *removed;
    size_t removed_count;
    struct group_id dropped_through; /* so are all up to this one that are not placed here */
    uint64_t next_prefer_ns;
    struct node_state states[NODE_MEMBERS_MAX]; /* as the others last said */
    size_t state_count;
    struct seen seen[NODE_MEMBERS_MAX];
    size_t seen_count;
    struct node_pauses pauses;
    bool ends;                            /* it is being stopped */
    uint64_t sick_since_ns, next_room_ns; /* the disk; 0: it is well */
    uint64_t stalled_ns;                  /* when a sync was last seen not to end; 0: not lately */
    size_t handed_over;                   /* for want of room, not yet told */
    uint64_t next_campaign_ns;            /* the first among `placed`; UINT64_MAX: none */
    uint64_t last_beat_ns, last_batch_ns;
    bool stirred; /* a group was awake at the end of a turn since the last heartbeats */
    bool apply_again, gate_shut;
    char failure[NODE_WHY_SIZE];
};

enum {
    IDENTITY_PROMISE = 1,
    IDENTITY_FORMATION = 2,
    IDENTITY_PLACED = 3,
    IDENTITY_JOIN = 4
};

/* identity.c */
/* How many of `members` nodes carry the system group and the default keyspace (DESIGN section 9).
 */
size_t identity_system_voters(size_t members);
size_t identity_default_voters(size_t members);

/* recover.c */
/* A name is durable when the directory that holds it has been synced. */
MUST_USE enum status node_make_dir(struct node *node, const char *path);

/* rest.c */
/* Opens the directory of the snapshots, once the cluster is known. `why` is one line. Blocks. */
MUST_USE enum status node_open_snapshots(struct node *node, char why[NODE_WHY_SIZE]);
bool node_handle_snapshot_event(struct node *node, const struct io_event *event);
/* What has no hurry, after everything else of a turn. */
void node_rest(struct node *node);
uint64_t node_rest_deadline_ns(const struct node *node);

/* sign.c */
/* What worker 0's (or another's) sign says; without one, the highest number among the logs. */
void sign_load(struct node *node, unsigned worker, struct node_sign *out);
/* This worker's, of the node as it is; in the background. */
void sign_save_start(struct node *node);
MUST_USE enum status sign_write(struct node *node, const struct node_sign *sign); /* blocks */
/* NODE-10: what was found is damaged, `why` says so. AGAIN: the next start finds an empty log, and
 * `why` tells it. Blocks. */
bool sign_can_begin_anew(const struct node *node);
enum status sign_begin_anew(struct node *node, char why[NODE_WHY_SIZE]);
void node_log_dir(const struct node *node, char path[IO_PATH_SIZE]);
void node_snapshots_dir(const struct node *node, char path[IO_PATH_SIZE]);

/* share.c */
/* Before the directory is locked, as that makes a file: FOREIGN with one line. */
MUST_USE enum status node_check_owner(struct node *node, char why[NODE_WHY_SIZE]);
/* Worker 0, before any log is opened: INVALID with one line. */
MUST_USE enum status node_check_share(struct node *node, char why[NODE_WHY_SIZE]);
/* A directory inside --dir could not be made. */
void node_say_unmade(const char *path, enum status status, char why[NODE_WHY_SIZE]);
/* DAMAGED, with what was found. */
enum status node_say_lost_log(const struct node *node, char why[NODE_WHY_SIZE]);

/* groups.c */
void node_create_groups(struct node *node);
size_t groups_founders(const struct node_formation *formation);
/* The replica of this node in it; 0: none. */
struct replica_id groups_self_in(const struct node *node,
                                 const struct raft_configuration *configuration);
struct replica *node_create_replica(struct node *node, const struct node_partition *partition);
/* NULL: not here. */
struct group *group_find(const struct node *node, struct group_id id);
/* Ends its replica, too. */
void group_remove(struct node *node, struct group *group);
void groups_deinit(struct node *node);

/* awake.c */
void awake_add(struct node *node, struct group *group); /* a new one: awake, and due at once */
void awake_remove(struct node *node, struct group *group);
void awake_mark(struct node *node, struct group *group);
void awake_mark_leading(struct node *node); /* a link is there again: they have much to send */
void awake_tick(struct node *node);         /* the timers that are due */
void awake_note_leading(struct node *node); /* who began or ceased to lead since the last time */
/* Behind all that the turn did: who has nothing left to do rests. */
void awake_rest(struct node *node);
uint64_t awake_deadline_ns(const struct node *node);
void awake_validate(const struct node *node);

/* placed.c */
struct placed *placed_find(const struct node *node, struct group_id group);
/* The durable note: which partitions are here, which were. */
void placed_encode(const struct node *node, struct buffer *out);
/* Recovery: brings the groups into agreement with the note. */
MUST_USE enum status placed_recover(struct node *node, struct slice bytes);
bool placed_is_dropped(const struct node *node, struct group_id group);
/* Dropped, or its replica here was removed. */
bool placed_is_gone(const struct node *node, struct group_id group);
/* The note is durable: groups that waited for it begin. */
void placed_log_moved(struct node *node);
/* Once a note is durable: the records of dropped groups hold up no segment any more. */
void placed_release(struct node *node);
void placed_tick(struct node *node);
void placed_save(struct node *node); /* what changed in this turn, as one note */
void placed_deinit(struct node *node);

/* sight.c */
void sight_hear(struct node *node, struct node_id id);
void sight_refuse(struct node *node, struct node_id id);
void sight_link_up(struct node *node, struct node_id id);
/* Its links have been up for an election timeout: if it was started just now, its vote is free. */
bool sight_is_steady(const struct node *node, struct node_id id);
/* An answer to what was sent at `began_ns`; 0: nobody knows when. */
void sight_note_round_trip(struct node *node, struct node_id id, uint64_t began_ns);
bool sight_is_suspected(const struct node *node, struct node_id id);
void sight_tick(struct node *node);
uint64_t sight_deadline_ns(const struct node *node);
/* This process stood still for so long until now. */
void sight_sleep(struct node *node, uint64_t ns);
bool sight_take_line(struct node *node, char out[NODE_WHY_SIZE]);

/* prefer.c; node_prefer_soon: node.h */
void prefer_tick(struct node *node);

/* room.c */
void room_tick(struct node *node);
/* A voter that could lead at once, on a node that says neither that its disk is full nor that it is
 * being stopped; 0: none. */
struct replica_id room_find(const struct node *node, const struct replica *replica);
/* A line for the operator; false: none. */
bool room_take_line(struct node *node, char out[NODE_WHY_SIZE]);

/* beat.c */
void node_send_beats(struct node *node);
void node_receive_beats(struct node *node, struct peer_id from, const struct wire_message *message);
void beats_deinit(struct node *node);

void node_fail(struct node *node, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
