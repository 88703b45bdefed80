/* snapshot.h - what a group's state was at a mark of its log, in files: to start from, to send to
 * a replica that is far behind, to compare (R20). Floor 4; used by replica/ and node/.
 *
 * The log is the truth, a snapshot is a shortcut. It says what entries 1 .. index made of the
 * store, with what else a replica must know to go on at index + 1: the configuration and the term
 * table at the mark, later the ONCE table and the ledger. A file is cut from a point-in-time view
 * while writes go on, a little in each turn; nothing here waits for a disk but what says "blocks".
 *
 *     view of the store ---> chunks of slot ranges ---> draft --sync, confirmed--> file
 *     at index               checksum, content hash     x.tmp                      x.snap
 *
 * How a replica uses it.
 * 1. When (say) 64 MiB of log have been applied since the newest one: in a turn, after apply, let
 *    index be the last entry in the store (a leader's: the last that it executed), and begin.
 *    The view is of that moment; later entries may change the store at once.
 * 2. Each turn: snapshot_step until it says AGAIN, or once, if the turn should be short.
 * 3. As soon as `index` is committed in this log AND the own WAL is durable through it:
 *    snapshot_confirm (R3). Before that the file has no name that anybody would read. If the log is
 *    cut before index, snapshot_end: the draft goes.
 * 4. After END: the log may be released up to the index of the OLDER one that snapshots_newest_two
 *    gives, so that a damaged file costs a longer replay and not the replica; raft is told
 *    (RAFT_COMPACTED). A replica that sends may keep more.
 * 5. At a start: snapshots_newest_two. Of those whose index + 1 is not before the log's first
 *    entry (one that came back after a power cut may be older) load the newer one into an empty
 *    store of its hash_seed. DAMAGED: drop the store, say `why`, take the older. Then the log from
 *    index + 1 on. Neither, and the log does not begin at 1: the replica is damaged (R4).
 * 6. A peer whose next entry is gone gets `header`, then chunk after chunk (snapshot_reader_*),
 *    then keys, content and the number of chunks. It begins at whatever number the receiver asks
 *    for; equal content hashes let another source go on with the rest. The receiver:
 *    snapshot_receive_*, then the same steps as above. It confirms when R10 has set aside what its
 *    log will lose; after END its log begins anew behind index, durably. A crash in between leaves
 *    a snapshot that is past the log's end, or that has another term at index than the log: then
 *    the snapshot is right, for it was committed. It is loaded chunk by chunk, with a reader and
 *    snapshot_chunk_load, or at the next start.
 *
 * Promises.
 * SNAP-1 A file with a name is whole: a crash at any call leaves the older ones and, perhaps, the
 *        new one, never a part of it. Drafts of a crash are removed when the directory is opened.
 * SNAP-2 A changed byte, a missing or foreign part, another cluster's, group's or version's file is
 *        noticed before anything of it is loaded, except a damaged chunk: the load stops there, and
 *        the store that was being filled is of no use. `why` names the file.
 * SNAP-3 What a snapshot holds is the store of one moment, each key once, with its deadline.
 * SNAP-4 It never says that it is valid before its bytes and its name are durable and it was
 *        confirmed (R3).
 * SNAP-5 Two replicas' snapshots of one mark have the same time and the same chunks (ranges, keys,
 *        content hashes), whatever was written beside them: chunks of one fit the header of
 * another. SNAP-6 A chunk that was received whole is there for the next try (a spare), also after a
 *        crash of the process: of one mark or another, from one source or another, an equal chunk
 * is copied and not asked for. Non-promises: a snapshot that is cut does not survive a crash. A key
 * is never split: one of 1 GiB is 1 GiB of work in one step.
 *
 * Layout: format.h. Sources: Raft dissertation 5 (the file is replaced, never changed); ALICE (OSDI
 * 14) for sync, rename, directory sync; DESIGN section 6 "durable truth", section 10 R3, R20, R21.
 */
#ifndef HOLDFAST_SNAPSHOT_SNAPSHOT_H
#define HOLDFAST_SNAPSHOT_SNAPSHOT_H

#include "base/bytes.h"
#include "base/ids.h"
#include "base/status.h"
#include "io/io.h"
#include "store/store.h"

#define SNAPSHOT_WHY_SIZE      256
#define SNAPSHOT_WRITERS_MAX   4 /* under way at a time, written and received ones together */
#define SNAPSHOT_READERS_MAX   4
#define SNAPSHOT_TAGS          16
#define SNAPSHOT_HEADER_MAX    (64u << 20)
#define SNAPSHOT_ASIDE_DEFAULT ((size_t)256 << 20)

struct snapshots; /* of one directory, for all groups of a worker */

struct snapshots_options {
    const char *dir; /* made when missing; its own */
    struct cluster_id cluster;
    uint64_t tag; /* all io tags are tag + 0 .. tag + SNAPSHOT_TAGS - 1 */
    unsigned share,
        shares;       /* groups whose id mod shares is share: other files are others'; 0: all */
    size_t aside_max; /* what changes during one may take; 0: SNAPSHOT_ASIDE_DEFAULT */
};

/* What stands beside the keys. The bytes are the caller's affair; empty ones are not stored. */
enum snapshot_section {
    SNAPSHOT_CONFIGURATION, /* raft_configuration_encode */
    SNAPSHOT_TERM_TABLE,
    SNAPSHOT_ONCE,
    SNAPSHOT_LEDGER,
    SNAPSHOT_SECTIONS
};

struct snapshot_meta {
    struct group_id group;
    uint64_t index, term;                     /* of the last entry that it holds */
    int64_t time_us;                          /* group time of that entry */
    uint64_t hash_seed;                       /* of the partition's store */
    struct slice sections[SNAPSHOT_SECTIONS]; /* borrowed */
};

struct snapshot_chunk {
    struct store_position first, last; /* what it covers; each begins where the one before ends */
    uint64_t keys, content;            /* content hash: store.h */
    uint64_t raw_size;                 /* of the records */
    uint64_t offset, size;             /* in the file, its own header included */
};

/* A valid file, read only. */
struct snapshot {
    struct snapshot_meta meta; /* slices point into `header` */
    struct slice header;       /* as it stands in the file; what a receiver begins with */
    uint64_t keys, content, raw_size, size;
    const struct snapshot_chunk *chunks;
    uint32_t count;
};

/* ---- the directory ---- */

/* Opens or makes the directory; removes drafts; reads headers and tables of what is there. `why` is
 * one line for people on failure: IO, INVALID (the name is too long), NO_SPACE. Blocks. */
MUST_USE enum status snapshots_open(struct io *io, const struct snapshots_options *options,
                                    struct snapshots **out, char why[SNAPSHOT_WHY_SIZE]);
/* What is under way is dropped; its drafts go at the next open. NULL is fine. */
void snapshots_close(struct snapshots *snapshots);

/* Files of the directory that cannot be used, each with one line that names it and says why; they
 * stay where they are. NULL past the last. Borrowed. */
const char *snapshots_complaint(const struct snapshots *snapshots, size_t number);

/* The newest and the one before, by term and index; *newer is NULL when there is none, *older when
 * there is only one. Borrowed until the next call that takes `snapshots` (the loading and reading
 * ones keep it). */
void snapshots_newest_two(const struct snapshots *snapshots, struct group_id group,
                          const struct snapshot **newer, const struct snapshot **older);

/* The group has left this node, or begins anew: its files go, in the background. None of it is
 * under way. */
void snapshots_forget(struct snapshots *snapshots, struct group_id group);

/* One of the group is being written or received, or gets its name though its writer was ended. */
bool snapshots_is_writing(const struct snapshots *snapshots, struct group_id group);

/* True if the event was of the tag range; then steps and reads may go on. */
bool snapshots_handle_event(struct snapshots *snapshots, const struct io_event *event);

void snapshots_dump(const struct snapshots *snapshots, struct buffer *text); /* for people */
void snapshots_validate(const struct snapshots *snapshots); /* asserts its own relations */

/* ---- writing one ---- */

struct snapshot_writer;

/* Begins the view of `store` now and a draft for it. EXISTS: there is one at that index or behind
 * it. IN_USE: all writers are taken, or one of this group is under way, or the store has a view.
 * NO_SPACE, IO: the draft cannot be made. The store must not be destroyed before snapshot_end. */
MUST_USE enum status snapshot_begin(struct snapshots *snapshots, const struct snapshot_meta *meta,
                                    struct store *store, struct snapshot_writer **out,
                                    char why[SNAPSHOT_WHY_SIZE]);

/* A bounded piece of work (about 64 KiB of records). OK: there is more to do. AGAIN: an event or
 * snapshot_confirm must come first. END: valid (SNAP-4). Otherwise it failed, `why` says so in one
 * line, and snapshot_end follows: NO_SPACE, IO, TOO_LARGE (more changed meanwhile than aside_max,
 * or a key is larger than a chunk can be). It may be begun anew; after IO the disk should be looked
 * at. */
MUST_USE enum status snapshot_step(struct snapshot_writer *writer, char why[SNAPSHOT_WHY_SIZE]);
void snapshot_confirm(struct snapshot_writer *writer); /* R3; at any time, once */

/* Frees it, in whatever state. What was not published yet is removed. NULL is fine. */
void snapshot_end(struct snapshot_writer *writer);

/* ---- receiving one ---- */

/* `header` as the sender's snapshot has it. INVALID, DAMAGED, FOREIGN; else as snapshot_begin. */
MUST_USE enum status snapshot_receive_begin(struct snapshots *snapshots, struct group_id group,
                                            struct slice header, struct snapshot_writer **out,
                                            char why[SNAPSHOT_WHY_SIZE]);
/* What its header says; borrowed until snapshot_end. */
const struct snapshot_meta *snapshot_receive_meta(const struct snapshot_writer *writer);
uint32_t snapshot_receive_next(const struct snapshot_writer *writer); /* number of the next chunk */
uint64_t snapshot_receive_bytes(const struct snapshot_writer *writer); /* of those before it */

/* That chunk, as snapshot_read_result gives it. Checked whole and written (not waited for).
 * DAMAGED: ask for it again. AGAIN: too much waits for its sync; offer it again after an event.
 * NO_SPACE, IO: it failed. */
MUST_USE enum status snapshot_receive_chunk(struct snapshot_writer *writer, struct slice bytes,
                                            char why[SNAPSHOT_WHY_SIZE]);
/* All chunks are here: what the sender says of the whole must hold, else DAMAGED. Then steps. */
MUST_USE enum status snapshot_receive_end(struct snapshot_writer *writer, uint32_t count,
                                          uint64_t keys, uint64_t content,
                                          char why[SNAPSHOT_WHY_SIZE]);

/* As snapshot_end, but the chunks stay as a spare of the group until one of it is valid here or its
 * files go (SNAP-6). Without any, or after a failure: snapshot_end. NULL is fine. */
void snapshot_receive_keep(struct snapshot_writer *writer);

/* ---- chunks that are here already ---- */

/* What a snapshot's chunks are, without their bytes: 40 bytes for each. */
void snapshot_outline_store(const struct snapshot *snapshot, struct buffer *out);

/* A spare or a file of the group is here: the outline is worth asking for. */
bool snapshot_receive_may_reuse(const struct snapshot_writer *writer);
/* DAMAGED: it is not one of `count` chunks, or there is one. */
MUST_USE enum status snapshot_receive_outline(struct snapshot_writer *writer, struct slice bytes,
                                              uint32_t count);
/* So many chunks from the next one on are not here, at most `most`; without an outline `most`. */
uint32_t snapshot_receive_missing(const struct snapshot_writer *writer, uint32_t most);
/* Takes the next chunk from what is here. OK: it was taken, or is to be looked for elsewhere.
 * AGAIN: an event comes first. NOT_FOUND: it must be asked for. NO_SPACE, IO: it failed. */
MUST_USE enum status snapshot_receive_reuse(struct snapshot_writer *writer,
                                            char why[SNAPSHOT_WHY_SIZE]);

/* ---- reading one ---- */

/* Everything into `store`, which is empty and has the meta's hash_seed. DAMAGED, IO: `why` names
 * the file, the store is of no use. Blocks. */
MUST_USE enum status snapshot_load(struct snapshots *snapshots, const struct snapshot *snapshot,
                                   struct store *store, char why[SNAPSHOT_WHY_SIZE]);

struct snapshot_reader;

/* Opens the file for reading in the background; it stays readable though it may be removed
 * meanwhile. IN_USE: all readers are taken. NOT_FOUND, IO. */
MUST_USE enum status snapshot_reader_open(struct snapshots *snapshots,
                                          const struct snapshot *snapshot,
                                          struct snapshot_reader **out,
                                          char why[SNAPSHOT_WHY_SIZE]);
const struct snapshot *snapshot_reader_of(const struct snapshot_reader *reader);
/* Chunk `number` (below count); one at a time. */
void snapshot_read_start(struct snapshot_reader *reader, uint32_t number);
/* AGAIN while under way. OK: the checked bytes, borrowed until the next read or close. DAMAGED, IO:
 * `why` names the file: neither load nor send it. */
MUST_USE enum status snapshot_read_result(struct snapshot_reader *reader, struct slice *bytes,
                                          char why[SNAPSHOT_WHY_SIZE]);
void snapshot_reader_close(struct snapshot_reader *reader); /* at any time; NULL is fine */

/* Unpacks the checked bytes of a chunk into a store. DAMAGED: they are not what the chunk says. */
MUST_USE enum status snapshot_chunk_load(const struct snapshot_chunk *chunk, struct slice bytes,
                                         struct store *store);

#endif
