/* inside.h - what the files of snapshot/ share; private to it. */
#ifndef HOLDFAST_SNAPSHOT_INSIDE_H
#define HOLDFAST_SNAPSHOT_INSIDE_H

#include "snapshot/format.h"

#define SNAPSHOT_STEP_SIZE  ((size_t)64 << 10)   /* records taken in one step */
#define SNAPSHOT_PACK_SIZE  ((size_t)256 << 10)  /* bytes packed, or written, in one step */
#define SNAPSHOT_SYNC_SIZE  ((uint64_t)8 << 20)  /* written before a sync is started on the way */
#define SNAPSHOT_AHEAD_SIZE ((uint64_t)32 << 20) /* written past what is synced */
#define SNAPSHOT_KEPT       2
#define SNAPSHOT_SPARES_MAX 3 /* of a group */

enum snapshot_tag {
    SNAPSHOT_TAG_WRITER = 0, /* + number of the writer */
    SNAPSHOT_TAG_READER = SNAPSHOT_TAG_WRITER + SNAPSHOT_WRITERS_MAX,
    SNAPSHOT_TAG_REMOVE = SNAPSHOT_TAG_READER + SNAPSHOT_READERS_MAX,
};
_Static_assert((int)SNAPSHOT_TAG_REMOVE < SNAPSHOT_TAGS, "the tags are of one range");

/* A file with what its header and table say; shared by the list, writers and readers. */
struct snapshot_file {
    struct snapshot snapshot; /* first: the door's pointer is this one's */
    unsigned refs;
    bool is_bad;                   /* a chunk was damaged: it does not count any more */
    uint64_t seed;                 /* of its checksums */
    struct buffer header;          /* owned */
    struct snapshot_chunk *chunks; /* owned */
    size_t capacity;
    char path[IO_PATH_SIZE];
};

struct snapshots {
    struct io *io;
    char *dir; /* owned */
    struct cluster_id cluster;
    uint64_t tag;
    unsigned share, shares;
    size_t aside_max;
    struct snapshot_file **files; /* owned; sorted by (group, index) */
    size_t count, capacity;
    struct snapshot_file **spares; /* owned; of a spare `path` is the draft's */
    size_t spare_count;
    char **complaints; /* owned, each too */
    size_t complaint_count;
    struct snapshot_writer *writers[SNAPSHOT_WRITERS_MAX]; /* owned */
    struct snapshot_reader *readers[SNAPSHOT_READERS_MAX]; /* owned */
    uint64_t drafts;                                       /* numbers given to drafts */
};

enum snapshot_state {
    SNAPSHOT_FILLING,    /* chunks come */
    SNAPSHOT_SETTLING,   /* all is written, not all is synced */
    SNAPSHOT_WAITING,    /* for snapshot_confirm */
    SNAPSHOT_PUBLISHING, /* its name is under way */
    SNAPSHOT_PUBLISHED,
    SNAPSHOT_FAILED,
};

struct snapshot_writer {
    struct snapshots *snapshots;
    unsigned number;
    enum snapshot_state state;
    bool confirmed;
    bool ended;          /* by its owner, while its name is under way */
    enum status failure; /* FAILED */
    char why[SNAPSHOT_WHY_SIZE];
    struct snapshot_file *file;
    char draft[IO_PATH_SIZE];
    struct io_file handle;
    uint64_t written, sync_started, synced; /* bytes of the draft */
    bool syncing;
    struct buffer table;            /* chunk headers */
    struct snapshot_packer *packer; /* owned; NULL: it is received */
    struct snapshot_chunk *outline; /* owned; what its chunks will be; NULL: not known */
    uint32_t outline_count;
    struct snapshot_reader *reuse; /* owned; a file that has the next chunk; NULL: none */
    bool reads;                    /* that chunk is asked of it */
};

/* ---- list.c ---- */

/* Takes the bytes of `header`, which are valid, and leaves it empty. */
struct snapshot_file *snapshot_file_create(const struct snapshots *snapshots,
                                           struct buffer *header);
struct snapshot_file *snapshot_file_ref(struct snapshot_file *file);
void snapshot_file_unref(struct snapshot_file *file);
/* The next chunk: DAMAGED unless it goes on where the one before ended. Fills in its offset. */
MUST_USE enum status snapshot_file_add(struct snapshot_file *file,
                                       const struct snapshot_chunk_header *header);
const char *snapshot_file_name(const struct snapshot_file *file); /* without its directory */

void snapshot_list_add(struct snapshots *snapshots, struct snapshot_file *file); /* takes the ref */
void snapshot_list_prune(struct snapshots *snapshots, struct group_id group);
/* It does not count any more; `why` is kept for snapshots_complaint. */
void snapshot_list_spoil(struct snapshots *snapshots, struct snapshot_file *file, const char *why);
void snapshot_list_complain(struct snapshots *snapshots, const char *why);
void snapshot_list_deinit(struct snapshots *snapshots);

/* Writes "name: text" and gives the status back. */
enum status snapshot_say(enum status status, char why[SNAPSHOT_WHY_SIZE], const char *name,
                         const char *text);

/* ---- pack.c: from a view to chunks, a bounded piece at a time ---- */

struct snapshot_packer *snapshot_packer_create(struct store *store, size_t aside_max);
void snapshot_packer_destroy(struct snapshot_packer *packer); /* ends its view; NULL is fine */
/* Does a piece of work. OK; END: all chunks are made; TOO_LARGE. */
MUST_USE enum status snapshot_packer_step(struct snapshot_packer *packer);
/* A chunk is made: its header but for `number`, and its payload, borrowed until
 * snapshot_packer_next. NULL: not yet. */
struct snapshot_chunk_header *snapshot_packer_chunk(struct snapshot_packer *packer,
                                                    struct slice *payload);
void snapshot_packer_next(struct snapshot_packer *packer); /* that chunk was used */

/* ---- draft.c: a file under way; a failure is remembered and given by every later call ---- */

MUST_USE enum status snapshot_draft_open(struct snapshots *snapshots, struct group_id group,
                                         struct buffer *header, const char *ending,
                                         struct snapshot_writer **out, char why[SNAPSHOT_WHY_SIZE]);
MUST_USE enum status snapshot_draft_write(struct snapshot_writer *writer,
                                          const struct slice *pieces, size_t count);
/* True: too much is not synced yet. Starts syncs on the way. */
bool snapshot_draft_is_ahead(struct snapshot_writer *writer);
/* All chunks are written: table and footer. */
MUST_USE enum status snapshot_draft_finish(struct snapshot_writer *writer);
/* What comes after finish. As snapshot_step. */
MUST_USE enum status snapshot_draft_settle(struct snapshot_writer *writer);
enum status snapshot_draft_fail(struct snapshot_writer *writer, enum status status,
                                const char *text);
void snapshot_draft_handle_event(struct snapshot_writer *writer, const struct io_event *event);

/* ---- spare.c ---- */

void snapshot_spares_add(struct snapshots *snapshots, struct snapshot_file *file); /* takes it */
void snapshot_spares_drop(struct snapshots *snapshots, struct group_id group);
void snapshot_spares_deinit(struct snapshots *snapshots);

/* ---- write.c, read.c ---- */

/* The checked bytes of an equal chunk of another file, as the next one. As
 * snapshot_receive_chunk. */
MUST_USE enum status snapshot_receive_copy(struct snapshot_writer *writer, struct slice bytes,
                                           char why[SNAPSHOT_WHY_SIZE]);
/* As snapshot_reader_open, of a file that need not be listed. */
MUST_USE enum status snapshot_reader_open_file(struct snapshots *snapshots,
                                               struct snapshot_file *file,
                                               struct snapshot_reader **out,
                                               char why[SNAPSHOT_WHY_SIZE]);

void snapshot_writer_destroy(struct snapshot_writer *writer); /* its draft stays */
void snapshot_reader_handle_event(struct snapshot_reader *reader, const struct io_event *event);
void snapshot_readers_deinit(struct snapshots *snapshots);

/* DAMAGED unless `bytes` are the whole chunk that `chunk` describes. */
MUST_USE enum status snapshot_chunk_check(const struct snapshot_chunk *chunk, uint64_t seed,
                                          uint32_t number, struct slice bytes);

#endif
