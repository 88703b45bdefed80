/* bootstrap.h - a replica's snapshots: when one is written, what a replica starts from, what it
 * loads while it runs; the room's own door. Used by src/replica only.
 *
 *     regular    write.c     the store at a mark, a little each turn; confirmed when the mark is
 *                            committed and the own log is durable through it (R3)
 *     start      origin.c    what stands beside the keys: configuration, term table, ONCE
 *     load       load.c      a snapshot into a fresh store while the replica runs
 *     send       send.c      to a replica whose next entry is gone, part by part as it asks
 *     receive    receive.c   from whoever has one: a source that falls silent is left for another
 *
 *         receiver  ASK (any at or past index) -->  source
 *                   <-- HEADER: mark, chunks, keys, content
 *                   ASK (mark, chunk, count) -->
 *                   <-- PART, PART, ... of as many chunks as were asked for
 *                   ASK again from the chunk where it stopped, of this source or another
 *         with chunks of an earlier try, or of an older snapshot:
 *                   ASK (mark, outline) -->
 *                   <-- PART of the outline: an equal chunk is copied, the others are asked for
 *
 * BOOT-1 What could not be loaded whole leaves nothing in the store; the older one is taken, and
 *        nothing else than what the log can go on from.
 * BOOT-2 A replica starts with the store of its newest snapshot that holds, and with a log that
 *        has, or begins behind, that snapshot's last entry; else it does not start (R4).
 * BOOT-3 A snapshot is valid only when its mark is committed in this log and the own log is durable
 *        through it (R3).
 * BOOT-4 The log lets go of what two snapshots have, not one; unless an idle group would hold up
 *        the log of the others.
 * BOOT-5 A log that begins anew behind a snapshot from a peer does so durably, after that snapshot
 *        is; a crash at any point leaves the old log and store, or the new ones.
 * BOOT-6 However often it is interrupted, by the end of either side, of the link, or by a newer
 *        mark: a chunk that was taken is asked for again only where the new mark has another one.
 * BOOT-7 The leader is asked last: any member that has one past what the leader's log begins with
 *        is as good.
 *
 * The room decides and works on files; what follows for log and raft is done by src/replica. */
#ifndef HOLDFAST_REPLICA_BOOTSTRAP_BOOTSTRAP_H
#define HOLDFAST_REPLICA_BOOTSTRAP_BOOTSTRAP_H

#include "replica/replica.h"
#include "store/store.h"

/* Where a log may begin: behind a snapshot. */
struct bootstrap_origin {
    uint64_t index, term;
    int64_t time_us;
    struct raft_configuration configuration; /* in force there, .index set */
};

/* One that a peer is sent. */
struct bootstrap_sending {
    struct snapshot_reader *reader; /* owned; NULL: none */
    struct replica_id self, to;
    struct peer_id peer;
    uint32_t next, through; /* the chunk under way; the first one that was not asked for */
    uint32_t chunk;         /* the one that the reader has or gets */
    bool is_read;           /* it was asked for */
    struct buffer outline;  /* asked for instead of chunks: what of it is on its way; else empty */
    uint64_t offset;        /* of the next part */
    uint64_t asked_ns, next_part_ns;
};

enum bootstrap_receiving_state {
    BOOTSTRAP_IDLE,
    BOOTSTRAP_ASKED,     /* for a header */
    BOOTSTRAP_RECEIVING, /* chunks */
    BOOTSTRAP_SETTLING,  /* all are here: synced, confirmed by src/replica (R10), named */
};

/* One that comes from a peer. */
struct bootstrap_receiving {
    enum bootstrap_receiving_state state;
    struct snapshot_writer *writer; /* owned; from RECEIVING on */
    uint64_t index, term;           /* its mark */
    uint32_t count;                 /* of chunks */
    uint64_t keys, content;
    struct buffer chunk; /* what has come of the next chunk */
    bool is_whole;       /* it waits for the disk */
    struct replica_id source;
    bool outlining; /* the outline is asked for, not chunks */
    bool jumped;    /* the source is to go on at another chunk than behind the last one asked for */
    unsigned refusals;  /* in a row */
    unsigned damaged;   /* so many times in a row did the next chunk not fit the header */
    uint64_t ticket;    /* SETTLING: of the log batch that has what was set aside; 0: not yet */
    uint64_t wanted_ns; /* IDLE: since when one is wanted; 0: not yet */
    uint64_t moved_ns;  /* when something last came, or was asked for */
    uint64_t retry_ns;
};

/* What was done of something that takes a while. */
enum bootstrap_phase {
    BOOTSTRAP_RECEIVES,
    BOOTSTRAP_LOADS,
    BOOTSTRAP_FOLLOWS, /* applies its log */
};
struct bootstrap_point {
    uint64_t at_ns; /* 0: nothing yet */
    enum bootstrap_phase phase;
    uint64_t done, of; /* chunks, each received and loaded; or entries */
    uint64_t bytes;    /* of this phase */
};
struct bootstrap_meter {
    struct bootstrap_point before, last, now; /* two looks, seconds apart, and the newest */
};

struct bootstrap {
    struct bootstrap_meter meter;
    struct bootstrap_sending sending;
    struct bootstrap_receiving receiving;
    uint64_t taken, reused; /* chunks that came from a peer, and that were here; they only rise */

    /* one of the own store, under way */
    struct snapshot_writer *writer; /* owned; NULL: none */
    uint64_t mark;                  /* its index */
    uint64_t log_size;              /* what was applied since the one before when it began */
    bool confirmed;
    uint64_t ticket; /* of the log batch that makes the log durable through the mark; 0: not asked
                        for; only below WAL_SYNC_ALWAYS */

    uint64_t log_between; /* bytes of the entries between the older and the newest one */
    uint64_t newest;      /* index of the newest valid one; 0: none */
    uint64_t looked_ns;   /* when that was so, or the start */
    uint64_t retry_ns;    /* after trouble with writing: not before */
    bool trouble_is_said;

    /* one that is being loaded */
    struct snapshot_reader *reader; /* owned; NULL: none */
    uint64_t load_retry_ns;         /* after damage: not before */
    struct store *store;            /* owned; what was loaded until now; NULL: nothing is loaded */
    uint32_t chunk;                 /* the next one */

    /* what the files say at a start, ascending; the last is in the store */
    struct bootstrap_origin origins[2];
    size_t origin_count;
    struct raft_term_start *terms; /* owned; as of the last origin */
    size_t term_count;
};

void bootstrap_init(struct bootstrap *bootstrap);
/* Ends what is under way; before the store that is written is destroyed or changed as a whole. */
void bootstrap_end_writing(struct bootstrap *bootstrap, struct replica_snapshots *share);
void bootstrap_end_loading(struct bootstrap *bootstrap);
/* `share`: NULL when the node goes, too. */
void bootstrap_deinit(struct bootstrap *bootstrap, struct replica_snapshots *share);

/* ---- origin.c ---- */

/* Fills in the sections of `meta` for its index; `bytes` owns what they point to. INVALID: the
 * mark is before the log's first entry. TOO_LARGE: what stands beside the keys. */
MUST_USE enum status bootstrap_sections(const struct raft *raft, const struct store *store,
                                        struct snapshot_meta *meta, struct buffer *bytes);
/* `terms` may be NULL; else it becomes an owned array. DAMAGED: the sections are malformed. */
MUST_USE enum status bootstrap_read_sections(const struct snapshot_meta *meta,
                                             struct bootstrap_origin *origin,
                                             struct raft_term_start **terms, size_t *term_count);
/* Loads the newest valid one into *store, which is empty (a damaged one costs the store: it is made
 * anew), and notes what a log may begin behind. Blocks. */
void bootstrap_recover(struct bootstrap *bootstrap, struct snapshots *files, struct group_id group,
                       uint64_t hash_seed, struct store **store);
void bootstrap_forget_origins(struct bootstrap *bootstrap);

/* ---- write.c ---- */

/* The state that may be written now. */
struct bootstrap_mark {
    struct group_id group;
    uint64_t index, term;
    int64_t time_us;
    uint64_t hash_seed;
    struct store *store;
    const struct raft *raft;
    uint64_t log_size; /* bytes applied since the newest snapshot */
    uint64_t log_held; /* bytes of the shared log that its entries hold up */
};

/* Bytes of log after which one is due. */
uint64_t bootstrap_due_size(const struct replica_snapshots *share, const struct store *store);
bool bootstrap_is_due(const struct bootstrap *bootstrap, const struct replica_snapshots *share,
                      const struct bootstrap_mark *mark, uint64_t now_ns);
void bootstrap_begin(struct bootstrap *bootstrap, struct replica_turn *turn,
                     const struct bootstrap_mark *mark);
/* A piece of it, if the pace allows one; true: it is valid now, and ended. */
bool bootstrap_write(struct bootstrap *bootstrap, struct replica_turn *turn);

/* ---- load.c ---- */

/* Begins to load the newest valid one whose index is at least `least`, into a store of its own.
 * NOT_FOUND: there is none. AGAIN: not now. */
MUST_USE enum status bootstrap_load_begin(struct bootstrap *bootstrap, struct replica_turn *turn,
                                          struct group_id group, uint64_t least);
/* OK: there is more to do. END: *store is whole and the caller's, *origin says what it is, and
 * the room's `terms` are as of there. DAMAGED: ended; another one may do. */
MUST_USE enum status bootstrap_load(struct bootstrap *bootstrap, struct replica_turn *turn,
                                    struct store **store, struct bootstrap_origin *origin);
bool bootstrap_is_loading(const struct bootstrap *bootstrap);

/* ---- send.c ---- */

void bootstrap_hear_ask(struct bootstrap *bootstrap, struct replica_turn *turn, struct peer_id from,
                        const struct wire_snapshot *ask);
/* A part, if one was asked for, the link has little to do and the pace allows it. */
void bootstrap_send(struct bootstrap *bootstrap, struct replica_turn *turn);
void bootstrap_end_sending(struct bootstrap *bootstrap);

/* ---- receive.c ---- */

struct bootstrap_want {
    struct group_id group;
    struct replica_id self, leader; /* leader: who offered it; asked first */
    struct node_id leader_node;     /* the members here may be of long before it; 0: unknown */
    uint64_t least;                 /* the index of the offer */
    const struct raft_configuration *members;
};

/* OK: under way. END: one at or past `least` is valid here. */
MUST_USE enum status bootstrap_receive(struct bootstrap *bootstrap, struct replica_turn *turn,
                                       const struct bootstrap_want *want);
/* HEADER, PART or NONE. */
void bootstrap_hear_answer(struct bootstrap *bootstrap, struct replica_turn *turn,
                           const struct bootstrap_want *want, enum wire_kind kind,
                           const struct wire_snapshot *answer);
/* What was received goes, */
void bootstrap_end_receiving(struct bootstrap *bootstrap);
/* or stays for the next try (SNAP-6). */
void bootstrap_pause_receiving(struct bootstrap *bootstrap);
/* What has come is of a history that is void, or the own state is: another one, a little later. */
void bootstrap_refuse(struct bootstrap *bootstrap, struct replica_turn *turn);
/* What is done of what is received or loaded; of: 0 before that is known. */
void bootstrap_point(const struct bootstrap *bootstrap, struct bootstrap_point *out);

/* ---- meter.c ---- */

void bootstrap_meter_note(struct bootstrap_meter *meter, const struct bootstrap_point *now);
void bootstrap_meter_reset(struct bootstrap_meter *meter);
/* False: nothing is measured. What was seen for less than half a second has no rate. */
MUST_USE bool bootstrap_meter_tell(const struct bootstrap_meter *meter, uint64_t now_ns,
                                   struct replica_progress *out);

#endif
