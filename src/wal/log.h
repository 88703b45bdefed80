/* log.h - what a log is made of. Private to wal/.
 *
 *     files      open.c, segment.c   segments in the order of their lives, spares, preparing
 *     groups     group.c             where a group's entries are, its last state, what is released
 *     recovery   recover.c, scan.c   the walk to the last batch; was anything behind it durable?
 *     batch      batch.c             the open batch and the opening batch
 *     flush      flush.c             write, sync, tickets, events, deadlines
 *     reads      read.c              entries back from the disk */
#ifndef HOLDFAST_WAL_LOG_H
#define HOLDFAST_WAL_LOG_H

#include "wal/format.h"

#define WAL_READS_MAX           12         /* at the device at a time; more of them wait */
#define WAL_SPARES_MAX          2          /* more are removed instead of recycled */
#define WAL_FIRST_SEGMENT_SIZE  (4u << 20) /* written while the program starts: small */
#define WAL_PREPARE_RETRY_NS    1000000000u
#define WAL_OPEN_BATCH_SIZE_MAX ((size_t)WAL_RECORD_SIZE_MAX + 2 * WAL_BATCH_SIZE_MAX)
#define WAL_NEVER               UINT64_MAX

enum wal_tag {
    WAL_TAG_SYNC = 0,
    WAL_TAG_PREPARE,
    WAL_TAG_READ = 4,
    WAL_TAGS = 16
};

enum wal_phase {
    WAL_RECOVERING,
    WAL_RECOVERED, /* wal_recover_next answered END */
    WAL_REFUSED,   /* damaged: nothing may be appended */
    WAL_READY,
};

struct wal_segment {
    uint64_t file_id, size;
    struct io_file file;
    struct wal_segment_header header; /* the life that is or was in it; life 0: no valid header */
    struct wal_batch_header opening;  /* during recovery, if `opens` */
    bool opens;                       /* the opening batch is valid */
    size_t places;                    /* entries' places in it that somebody still needs */
    bool has_set_aside;               /* records of that kind that are nowhere else yet */
    unsigned reads;                   /* under way; it is not recycled meanwhile */
};

/* An array of segments; the pointers are owned by the array that holds them. */
struct wal_files {
    struct wal_segment **at;
    size_t count, capacity;
};

/* The entries `first` .. `last` of a group are in one batch. */
struct wal_place {
    uint64_t first, last;
    struct wal_segment *segment; /* shared with wal->chain */
    uint32_t offset, used;       /* of the batch */
};

struct wal_group {
    struct group_id id;
    uint64_t released;
    bool has_state;
    struct buffer state;      /* payload of the last STATE that was written */
    struct wal_place *places; /* in order of index, without overlap; [dropped, count) are in use */
    size_t dropped, count, capacity;
    struct wal_read *read; /* owned; NULL: none */
};

struct wal_groups { /* open addressing; capacity is a power of two */
    struct wal_group **at;
    size_t count, capacity;
};

struct wal_identity {
    uint64_t index;
    struct buffer payload;
};

/* The batch that is being filled: room for a header, then records. */
struct wal_batch {
    struct buffer bytes;
    uint32_t count;
    bool always, interval; /* some record wants its sync at once; soon */
    bool lax;              /* of some the owner goes by the written ticket, or tells others */
};

struct wal_window { /* a piece of a file in memory, for reading forward */
    struct wal_segment *segment;
    uint64_t offset;
    size_t size, capacity;
    uint8_t *bytes;
};

struct wal_recovery {
    struct wal_files found; /* every file that is not in the chain (yet) */
    struct wal_window window;
    struct wal_batch_header batch;
    struct wal_cursor cursor;
    bool handing_out; /* the records of this batch are the owner's */
};

enum wal_read_phase {
    WAL_READ_WAITING,
    WAL_READ_UNDER_WAY,
    WAL_READ_DONE
};

#define WAL_READ_PLACES_MAX 64
#define WAL_READ_STEP_SIZE  (1u << 20) /* of one read of the device, unless one batch is more */

struct wal_read {
    enum wal_read_phase phase;
    enum status status;
    struct group_id group;
    uint64_t next; /* the next entry that is wanted */
    size_t size_max, count;
    struct buffer entries;
    struct wal_segment *segment; /* pinned while under way */
    uint64_t offset;
    size_t size;
    uint8_t *bytes; /* the io's while under way */
    struct wal_place places[WAL_READ_PLACES_MAX];
    size_t place_count;
    bool ended; /* wal_read_end came while under way: freed at READ_DONE */
};

struct wal {
    struct io *io;
    char *dir;
    uint64_t segment_size, tag, interval_ns;
    uint32_t faults;
    enum wal_phase phase;
    bool was_empty, tail_was_cut, failed;

    struct wal_log_id log;
    bool has_log;
    uint64_t next_file_id, next_life;
    struct wal_files chain;  /* the segments of the log, oldest first; the last one is written to */
    struct wal_files spares; /* ready to become segments */

    /* Where the log ends: the next batch goes to `end` of the last segment of the chain. */
    uint64_t end, last_checksum;
    uint64_t sequence;           /* of the last batch that was written, or tried */
    uint64_t first_life;         /* as the newest batch says */
    uint64_t first_life_durable; /* as the newest synced one says */

    struct wal_batch open;
    uint64_t written_ticket, durable_ticket;
    uint64_t durable_position; /* what the next batch says as durable_through */
    bool unsynced;     /* bytes of the last segment were written since the last sync was started */
    bool lax_unsynced; /* among them some that owners go by once they are written */
    bool syncing;
    uint64_t sync_ticket, sync_position, sync_began_ns;
    uint64_t interval_due_ns;
    uint64_t turn_ns, waits_since_ns; /* the open batch has records since then; 0: not measured */

    bool preparing, disk_is_full;
    uint64_t prepare_file_id, prepare_wanted, prepare_retry_ns;

    bool holds_set_aside; /* some segment has them */
    struct wal_groups groups;
    struct wal_identity *identities;
    size_t identity_count;
    struct buffer run;  /* payload of the last RUN record that was written or recovered */
    bool run_clean;     /* a CLEAN record came after it */
    bool may_have_lost; /* as judged when recovery ended */
    bool run_doubts;    /* the record of this run has no boot id */
    struct {
        struct io_file file;
        bool is_open;
        uint64_t position; /* as the file says; WAL_NEVER: behind all */
    } doubt;

    struct wal_read *reads[WAL_READS_MAX];
    struct wal_facts facts;
    struct wal_recovery recovery;
};

static inline struct wal_segment *wal_last_segment(const struct wal *wal)
{
    return wal->chain.count ? wal->chain.at[wal->chain.count - 1] : NULL;
}

/* ---- segment.c ---- */

void wal_files_add(struct wal_files *files, struct wal_segment *segment);
struct wal_segment *wal_files_remove(struct wal_files *files, size_t at); /* keeps the order */
void wal_files_close(struct wal *wal, struct wal_files *files);
void wal_files_deinit(struct wal_files *files);

void wal_file_path(const struct wal *wal, uint64_t file_id, char path[IO_PATH_SIZE]);
/* A draft is what a crash leaves of a file that was being prepared. */
bool wal_file_id_of_name(const char *name, uint64_t *out, bool *is_draft);

/* Opens the file `file_id`, learns its size; reads no byte of it. */
MUST_USE enum status wal_segment_open(struct wal *wal, uint64_t file_id, struct wal_segment **out);

uint64_t
wal_segment_size_now(const struct wal *wal); /* what the next one should have on this disk */
MUST_USE enum status wal_spare_create(struct wal *wal); /* blocks; for the first start */
bool wal_spare_find(const struct wal *wal, uint64_t size,
                    size_t *at); /* the smallest that has `size` */
void wal_spare_keep(struct wal *wal,
                    struct wal_segment *segment); /* as a spare, or removed; takes it */
void wal_prepare_consider(struct wal *wal,
                          uint64_t now_ns); /* starts to prepare a spare if one is wanted */
MUST_USE enum status wal_prepare_done(struct wal *wal, enum status status);
uint64_t wal_first_life_needed(const struct wal *wal);
void wal_recycle(struct wal *wal); /* what is older than the durable `first life` becomes spare */

/* ---- group.c ---- */

struct wal_group *wal_group_find(const struct wal *wal, struct group_id id); /* NULL: unknown */
void wal_groups_deinit(struct wal *wal);

/* A record at `place` is in the log now: keeps what later calls need of it. */
void wal_note_record(struct wal *wal, const struct wal_record *record,
                     const struct wal_place *place);
/* Index into group->places of the one with entry `index`. */
bool wal_place_find(const struct wal_group *group, uint64_t index, size_t *at);
void wal_groups_text(const struct wal *wal, char *text,
                     size_t size); /* "groups 0 3 7", cut with ... */

/* ---- batch.c ---- */

void wal_batch_init(struct wal_batch *batch);
void wal_batch_reset(struct wal_batch *batch);
void wal_batch_add(struct wal_batch *batch, uint8_t kind, const struct wal_record *record);
void wal_opening_build(struct wal *wal, struct wal_batch *opening);
size_t wal_opening_size(
    const struct wal *wal); /* header of the segment and opening batch, in whole blocks */
uint64_t wal_batch_end(const struct wal_batch *batch,
                       uint64_t offset); /* with padding, if it begins at `offset` */
/* doubt.c */
void wal_doubt_find(struct wal *wal);                    /* what the last run left */
void wal_doubt_note(struct wal *wal, uint64_t position); /* of the log; WAL_NEVER: of all of it */
void wal_doubt_settle(struct wal *wal);                  /* a sync is done */
void wal_doubt_close(struct wal *wal);

void wal_run_judge(struct wal *wal,
                   uint64_t end);    /* the log ends there: how did the last run end? */
void wal_run_begin(struct wal *wal); /* puts this run's RUN record into the open batch */
void wal_freed_add(struct wal_batch *batch);

/* ---- flush.c ---- */

void wal_sync_begin(struct wal *wal);

/* ---- scan.c ---- */

/* Makes [offset, offset + size) of the segment readable at *out until the next call. END: the file
 * is shorter. */
MUST_USE enum status wal_window_load(struct wal *wal, struct wal_segment *segment, uint64_t offset,
                                     size_t size, const uint8_t **out);

struct wal_scan {
    uint64_t durable_through; /* the furthest that any batch header behind the end says */
    bool saw_tail; /* there are batches of the cut part: of the last life or a later one */
    struct wal_segment *segment; /* where the furthest statement stands */
    uint64_t offset;
};

/* Reads everything that the walk did not: the rest of the chain's last segment and all files that
 * are not in the chain. */
MUST_USE enum status wal_scan_behind(struct wal *wal, struct wal_scan *out);

/* ---- read.c ---- */

MUST_USE enum status wal_read_event(struct wal *wal, size_t slot, const struct io_event *event);
void wal_reads_deinit(struct wal *wal);

#endif
