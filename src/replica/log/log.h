/* log.h - the inside of a replica of the log family; the room's own door. Used by src/replica only.
 */
#ifndef HOLDFAST_REPLICA_LOG_LOG_H
#define HOLDFAST_REPLICA_LOG_LOG_H

#include "base/list.h"
#include "replica/replica.h"
#include "store/store.h"

/* ---- where an index is in the log, in bytes ---- */

struct position {
    uint64_t index, bytes; /* of all entries behind `begin` through this one */
};

struct positions {
    struct position begin, end; /* what is before `begin` is not known; the newest entry */
    struct position *marks;     /* owned; NULL before the first: most partitions are idle */
    size_t count;
    uint64_t unmarked; /* bytes since the last mark */
};

void positions_deinit(struct positions *positions);
/* Nothing is known of what stands before or at `index`. */
void positions_begin(struct positions *positions, uint64_t index);
void positions_add(struct positions *positions, uint64_t index, size_t size); /* the next one */
void positions_truncate(struct positions *positions, uint64_t from);
/* Bytes of the entries after + 1 .. through, as far as they are there: exact to some 64 KiB near
 * the end, farther back to a part of the distance. UINT64_MAX: it does not reach back so far. */
uint64_t positions_between(const struct positions *positions, uint64_t after, uint64_t through);

/* ---- entries kept in memory: one owner of their bytes; everybody else borrows until the next trim
 * or truncate ---- */

struct entries {
    struct slice *ring;         /* by index & (capacity - 1) */
    uint8_t *marks;             /* beside it: acknowledged before its commit */
    size_t capacity;            /* a power of two */
    uint64_t first, last;       /* kept: first .. last; empty when last + 1 == first */
    struct list chunks;         /* the first is small, the next ones larger */
    size_t size;                /* bytes of the entries kept */
    size_t size_max;            /* of the last trim: chunks are a part of it */
    struct positions positions; /* of all that passed through, kept or not */
};

void entries_init(struct entries *entries);
void entries_deinit(struct entries *entries);
/* A buffer with room for `size` bytes whose memory will not move; entry bytes are appended to it,
 * then entries_add names them. */
struct buffer *entries_room(struct entries *entries, size_t size);
/* `index` is last + 1, or any index when empty. */
void entries_add(struct entries *entries, uint64_t index, struct slice bytes);
bool entries_have(const struct entries *entries, uint64_t index);
struct slice entries_at(const struct entries *entries, uint64_t index);
void entries_mark(struct entries *entries, uint64_t index);
bool entries_is_marked(const struct entries *entries, uint64_t index);
void entries_truncate(struct entries *entries, uint64_t from);
/* Drops entries from the front up to `through` while more than `size_max` bytes are kept. */
void entries_trim(struct entries *entries, uint64_t through, size_t size_max);

/* ---- group time (R12) ---- */

struct group_clock {
    int64_t value_us; /* at read_ns */
    uint64_t read_ns;
    int64_t last_entry_us; /* of the newest entry in the log */
};
void group_clock_start(struct group_clock *clock, uint64_t now_ns, int64_t median_us);
int64_t group_clock_read(struct group_clock *clock, uint64_t now_ns, int64_t median_us);
int64_t group_clock_next_entry(struct group_clock *clock, uint64_t now_ns, int64_t median_us);

/* ---- keys with uncommitted writes: conservative, fixed size ---- */

#define GATE_SLOTS 8192
struct gate_table {
    uint64_t *newest; /* index of the newest write whose key falls into the slot; NULL before the
                         first: of a thousand partitions most are idle */
    uint64_t whole;   /* of the newest write to every key */
};
void gate_table_init(struct gate_table *table);
void gate_table_deinit(struct gate_table *table);
void gate_table_note(struct gate_table *table, uint64_t hash, uint64_t index);
void gate_table_note_whole(struct gate_table *table, uint64_t index);
uint64_t gate_table_newest(const struct gate_table *table, uint64_t hash);
bool gate_may_open_early(const struct replica *replica, const struct replica_gate *gate);

/* ---- what is seen of a failover (flight.c) ---- */

struct flight {
    enum raft_role role;      /* after the last step */
    struct replica_id leader; /* heard last; 0: none since the start */
    uint64_t heard_ns, begun_ns;
    unsigned attempts;
    enum replica_suspicion suspicion;
    struct replica_flight draft, record; /* of the candidacy under way; of the last failover */
    struct replica_flight_cut cut;
    bool is_open;         /* the record is not complete */
    uint64_t first_index; /* of the first write of its term; 0: none yet */
    unsigned news;
};
/* After each step of raft; when the leader may have begun to serve; before entries go. */
void flight_step(struct replica *replica, struct replica_turn *turn,
                 const struct raft_event *event);
void flight_serve(struct replica *replica, struct replica_turn *turn);
void flight_cut(struct replica *replica, struct replica_turn *turn, uint64_t from);

/* ---- what is shown to other threads (shown.c) ---- */

struct shown {
    struct replica_shown own, *at;        /* at: where it is shown */
    uint64_t said, said_term, behind;     /* by its leader: committed; bytes that it lacks */
    uint64_t begun, begun_ns, begun_term; /* the newest word of one that knows all, and when */
    uint64_t mark, mark_ns;       /* a word of it that was not applied yet when it came; 0: none */
    uint64_t applied, applied_ns; /* the last move */
};

/* What a leader says with a heartbeat or an append. */
struct shown_word {
    struct replica_id from;
    uint64_t term, commit;
    bool says_behind;
    uint64_t behind; /* wire_beat */
};

void shown_init(struct replica *replica);
/* After each step of raft; after a leader's word was stepped; after something was applied. */
void shown_step(struct replica *replica);
void shown_hear(struct replica *replica, const struct replica_turn *turn,
                const struct shown_word *word);
void shown_apply(struct replica *replica, const struct replica_turn *turn);

/* ---- the replica ---- */

enum log_reader {
    LOG_READER_NONE = 0,
    LOG_READER_APPLY,
    LOG_READER_PEER,
    LOG_READER_WALK
};

struct bootstrap; /* replica/bootstrap: the snapshots of a replica */

#define REPLICA_OWED_MAX 8

struct replica {
    struct bootstrap *bootstrap; /* owned */
    struct replica_options options;
    struct raft_configuration initial;
    struct raft *raft;
    struct store *store;
    struct entries entries;
    struct group_clock clock;
    struct gate_table gates;
    struct raft_event propose_event; /* made once: an event is large, and proposals are many */
    uint64_t executed;               /* newest entry whose effect is in the store */
    int64_t executed_us;             /* its time */
    uint64_t fetched;        /* the keys of the entries through this one were fetched ahead */
    uint64_t executed_bytes; /* of all entries that it has executed or applied; only rises */
    uint64_t log_size;       /* bytes of the entries executed since the newest snapshot */
    bool clock_started;      /* in this leadership */
    uint64_t serving_term;   /* 0: not serving */
    uint64_t state_version, state_ticket; /* saving; 0: none under way */
    uint8_t append_ack;                   /* of the entry that is appended next */
    bool unnoted; /* entries in the open log batch that raft has not been told of */
    uint64_t written_ticket, reported_ticket;
    uint64_t noted, noted_before; /* newest index of that ticket's batch; of the batches before */
    uint64_t acknowledged;        /* leader: newest index acknowledged before its commit */
    uint64_t old_term; /* led by it, or at its start the log's last, and not yet decided; 0: none */
    bool old_is_recovered, old_may_lack; /* not led since its start; its end may be missing */
    /* Terms that it led, ascending, of which a power cut or a failed sync may have taken the end:
     * durable (LEDGER-5). The first `owed_told` are to be told of. */
    uint64_t owed[REPLICA_OWED_MAX];
    size_t owed_count, owed_told;
    uint64_t told_term; /* of the leadership that the ledger was told of */
    uint64_t known_leader_term, before_leader_term; /* whom it followed or was, and before that */
    struct node_id known_leader, before_leader;
    uint64_t seen_term;     /* of the leader whose predecessor the ledger was told of */
    uint64_t noted_history; /* its term: of the newest that the ledger was told of */
    uint64_t led_term;      /* the newest that it has led since its start; 0: none */
    uint64_t heard_term, heard_acknowledged; /* what appends of that term said */
    bool has_early; /* recovery: an entry that could be acknowledged before its commit */
    uint64_t configuration_ticket; /* of the newest configuration: synced at every level; 0: is */
    struct replica_id heard;       /* the last one heard that the configuration here lacks */
    struct node_id heard_at;
    uint64_t median_read_ns; /* the turn in which median_us was read */
    int64_t median_us;
    uint64_t sent_through; /* leader: newest index sent to any peer in this term */
    size_t unsent_bytes;
    bool send_again; /* a peer could have been sent more, had its link or the log had room */
    struct flight flight;
    struct shown shown;
    struct replica_counts counts;
    uint64_t next_expiry_ns;
    enum log_reader reader; /* the one disk read under way */
    struct replica_id reader_peer;
    struct raft_message reader_message;
    uint64_t reader_first;
    struct replica_walk *walk; /* borrowed; NULL: none */
    /* recovery */
    struct raft_restart restart;
    struct raft_term_start *terms;
    struct raft_configuration *configurations;
    size_t term_capacity, configuration_capacity;
    uint64_t scanned;     /* the last entry that the log gave */
    uint64_t base_term;   /* of the entry behind which the log begins */
    bool has_base;        /* that place is known */
    bool on_base;         /* the log has the entry there */
    bool is_installing;   /* raft takes a snapshot: what it cuts was set aside before */
    bool rebuilding;      /* the store is empty until a snapshot has been loaded */
    bool begins_anew;     /* the log's new beginning is to be noted */
    uint64_t anew_ticket; /* of the log batch from which on everything before it is void; 0: not */
    /* scratch for appends received */
    uint64_t *entry_terms;
    size_t entry_terms_capacity;
};

/* One raft step with its duties done (raft.h); `event` gets the turn's time. */
void replica_step(struct replica *replica, struct replica_turn *turn, struct raft_event *event);
/* Leader: puts one entry at the end of the log: memory, log batch, raft. */
void replica_append(struct replica *replica, struct replica_turn *turn, enum wire_entry_kind kind,
                    int64_t time_us, const struct slice payload[2]);
/* The same with another event than a plain proposal. */
void replica_append_event(struct replica *replica, struct replica_turn *turn,
                          enum wire_entry_kind kind, int64_t time_us, const struct slice payload[2],
                          struct raft_event *event);
/* The store has the entry's effect from now on; with its time and size, which the next snapshot
 * says (SNAP-5). */
void replica_note_executed(struct replica *replica, uint64_t index, int64_t time_us, size_t size);
/* Puts the bytes of an entry into the log batch; a configuration is synced at every level. */
void replica_log_entry(struct replica *replica, struct replica_turn *turn,
                       const struct wire_entry *entry, struct slice bytes);
/* Leader: the group time of the entry that comes next (R12). */
int64_t replica_next_us(struct replica *replica, struct replica_turn *turn);
/* A joint configuration is committed and can be left now; leaves it if so. */
bool replica_must_leave(const struct replica *replica);
void replica_leave_joint(struct replica *replica, struct replica_turn *turn);
/* Bytes of applied entries that are kept for peers now. */
size_t replica_cache_size(const struct replica *replica);
/* The store is dropped and built anew: from the newest snapshot, then from the log. */
void replica_reset_store(struct replica *replica, struct replica_turn *turn);
/* What was written of a snapshot past `from` is dropped: that part of the log is cut. */
void replica_cut_snapshot(struct replica *replica, struct replica_turn *turn, uint64_t from);
/* True while the store is being built anew: nothing is applied. */
bool replica_is_loading(const struct replica *replica);
/* Appends term and vote once more: a record that is synced, whatever the group's level. */
void replica_save_state(struct replica *replica, struct replica_turn *turn);
/* By the configuration here, or by what a leader that is not in it was heard from; 0: unknown. */
struct node_id replica_node_of(const struct replica *replica, struct replica_id id);
void replica_append_mark(struct replica *replica, struct replica_turn *turn, uint64_t index,
                         uint64_t term);
/* A peer's next entry is gone: completes the offer with the newest snapshot and adds it to `frame`.
 * False: there is none. */
bool replica_offer(struct replica *replica, struct replica_turn *turn, struct wire_frame *frame,
                   struct raft_message *offer);
/* The leader has offered one that has more than what is committed here. */
bool replica_wants_snapshot(const struct replica *replica);
/* A step of receiving or loading; false: neither is wanted. */
bool replica_load_on(struct replica *replica, struct replica_turn *turn);
void replica_measure(struct replica *replica, const struct replica_turn *turn); /* progress.c */
/* anew.c. An unsure election has made void what is committed here (RAFT-19); a step of giving it
 * up. */
bool replica_begins_anew(const struct replica *replica);
void replica_begin_anew(struct replica *replica, struct replica_turn *turn);
void replica_start_snapshots(struct replica *replica, struct replica_turn *turn);
/* cut.c. Before the entries at and past `from` are dropped; last_term: that of the last of them. */
void replica_set_aside(struct replica *replica, struct replica_turn *turn, uint64_t from,
                       uint64_t last_term);
/* Before it begins anew: what is committed from `from` on was never cut, and is lost all the same.
 */
void replica_set_aside_void(struct replica *replica, struct replica_turn *turn, uint64_t from);
void replica_hear_acknowledged(struct replica *replica, const struct raft_message *append);
/* After a step: leaderships that began, or are decided. */
void replica_note_leaderships(struct replica *replica, struct replica_turn *turn);
/* Starts the one background read of the log unless one is under way. */
void replica_read_log(struct replica *replica, struct replica_turn *turn, enum log_reader reader,
                      uint64_t first, size_t size_max);
/* What was read from the disk for the walk. */
void replica_walk_read(struct replica *replica, struct slice entries, size_t count);
/* A finished read: to whom it belongs. False: none finished. */
void replica_take_log_read(struct replica *replica, struct replica_turn *turn);

#endif
