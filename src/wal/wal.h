/* wal.h - one segmented write-ahead log for all groups of a worker: the durable truth. Floor 4;
 * used by replica/, node/, worker/.
 *
 * Records of many groups are collected in one batch a turn; wal_flush writes the batch with one
 * write and starts one sync; the sync's completion is an event of a later turn. One sync is in
 * flight at a time; what arrives meanwhile is the next batch.
 *
 *     wal_append, wal_append ...  wal_flush              SYNCED -> wal_handle_event
 *     -------------------------> [ batch, ticket 7 ] --> wal_durable_ticket() = 7
 *
 * Promises.
 * WAL-1  What a ticket covers is on the disk when wal_durable_ticket reaches it: no power cut takes
 *        it away.
 * WAL-2  Recovery gives back, in order, every record of every durable batch, and of later batches a
 *        prefix of the log.
 * WAL-3  R7: damage at x is a torn tail if and only if no valid batch says durable_through > x;
 *        then everything from x on is cut. Otherwise recovery ends with DAMAGED and names file,
 *        offset and the groups that may have records there. Nothing is cut.
 * WAL-4  A record is valid at one place only: its checksum covers the cluster (the log's own random
 *        id), file id, segment life number, offset, group, index. A block of an older life, of
 *        another file or offset is never read as new.
 * WAL-5  With WAL_SYNC_ALWAYS in a batch, the next batch begins on a new block of IO_BLOCK_SIZE: a
 *        torn write cannot touch durable records.
 * WAL-6  Term, vote, configuration and identity records are synced whatever the group's sync level
 *        says.
 * WAL-7  A failed sync is fatal (the caller stops the process); it is never tried again. A full
 *        disk is not: flush answers NO_SPACE, keeps the batch and may be called again.
 * Non-promises: it does not know what entries mean; it never frees a segment on its own
 * (wal_release). Damage of the very last batches, which nothing later calls durable, looks like a
 * torn tail.
 *
 * Layout: see format.h (bytes, validity rules, what a crash can leave). Positions are (life number
 * << 32 | offset). Sources: DESIGN section 6 hot-path decisions, section 10 R4, R7; ALICE (OSDI
 * 14); fsync failures (ATC 20). */
#ifndef HOLDFAST_WAL_WAL_H
#define HOLDFAST_WAL_WAL_H

#include "base/bytes.h"
#include "base/durations.h"
#include "base/ids.h"
#include "base/status.h"
#include "io/io.h"

#define WAL_SEGMENT_SIZE_DEFAULT (64u << 20)
#define WAL_SEGMENT_SIZE_MIN     (256u << 10)
#define WAL_BATCH_SIZE_MAX       (8u << 20) /* wal_batch_size() at or past it: flush first */
#define WAL_RECORD_SIZE_MAX      (513u << 20)
#define WAL_WHY_SIZE             256

enum wal_sync {
    WAL_SYNC_ALWAYS = 0,
    WAL_SYNC_INTERVAL,
    WAL_SYNC_OS
};

enum wal_record_kind {
    /* An encoded log entry; one at index i makes all earlier ones at >= i of that group void. */
    WAL_ENTRY = 1,
    /* A group's term, vote, ... as its owner encodes it; the last one counts. */
    WAL_STATE,
    /* The node's own (promise, cluster, node id, incarnation ...); group is 0 and unused; the last
     * one of each `index` counts (index = which identity record). */
    WAL_IDENTITY,
    /* The group's log begins anew behind `index`, whose term is `term`: a snapshot has everything
     * through there, and all entries before the record are void. */
    WAL_MARK,
    /* An entry of `index` and `term` that the next entries of its group cut, kept for the ledger.
     * Its segment stays until wal_release_set_aside. */
    WAL_SET_ASIDE = 8,
};

struct wal;

/* Faults built in on purpose, bits of replica_fault: what recovery must not take for the log. */
enum wal_fault {
    WAL_FAULT_STALE_SEGMENT = 1 << 17, /* batches that an earlier life left in a segment's file */
    WAL_FAULT_BATCHES_UNSETTLED = 1 << 19, /* batches behind one that is torn */
};

struct wal_options {
    const char *dir; /* WAL's own directory; made when missing */
    /* 0: default; rounded up to blocks. When the disk is small a smaller one is taken (an eighth of
     * the free space, at least WAL_SEGMENT_SIZE_MIN). */
    uint64_t segment_size;
    uint64_t tag;         /* all io tags of the log are tag + 0 .. tag + 15 */
    uint64_t interval_ns; /* WAL_SYNC_INTERVAL: the longest time from a write to its sync's start */
    uint32_t faults;      /* enum wal_fault; 0 in a program */
};

struct wal_record {
    enum wal_record_kind kind;
    struct group_id group;
    uint64_t index;       /* ENTRY, MARK: log index; IDENTITY: which one; else 0 */
    uint64_t term;        /* ENTRY, MARK: its term; else 0 */
    struct slice payload; /* borrowed until the next wal_recover_next or wal_recover_end */
};

/* Opens or makes the log. `why` is one line for people on failure: DAMAGED, FOREIGN, IN_USE,
 * NO_SPACE, IO. Blocks. */
MUST_USE enum status wal_open(struct io *io, const struct wal_options *options, struct wal **out,
                              char why[WAL_WHY_SIZE]);
void wal_close(struct wal *wal); /* does not flush; NULL is fine */

/* Recovery, pulled by the owner right after wal_open, until END; DAMAGED says where in `why` and
 * nothing may be appended afterwards. Blocks. wal_recover_end must follow END; it readies the log
 * for appending.
 *
 * What is recovered is on the disk, whatever became of earlier syncs (io_file_refresh); its names
 * are when wal_durable_ticket reaches 1. wal_recover_end puts the note of this start,
 * with the boot id, into the open batch, so there is always something to flush; until ticket 1 is
 * durable nobody outside may be told anything that rests on recovered or unsynced records (R4). */
MUST_USE enum status wal_recover_next(struct wal *wal, struct wal_record *out,
                                      char why[WAL_WHY_SIZE]);
MUST_USE enum status wal_recover_end(struct wal *wal, char why[WAL_WHY_SIZE]);

/* These count after END. Empty: there was no segment, or none whose first batch got whole. */
bool wal_was_empty(const struct wal *wal);
bool wal_tail_was_cut(const struct wal *wal); /* a torn tail was cut during recovery */
/* True when something that an earlier run had written and not synced may be missing (R4): it did
 * not end with wal_mark_clean, and its boot id differs from this one's, or a sync failed. Every
 * later start says so, too, until wal_run_settle: the owner has noted it where it matters. */
bool wal_may_have_lost(const struct wal *wal);
void wal_run_settle(struct wal *wal); /* appends; again, or without a doubt: nothing */

/* Appends one record to the open batch (bytes are copied). The sync level is that of the group;
 * WAL_STATE and WAL_IDENTITY are always WAL_SYNC_ALWAYS. */
void wal_append(struct wal *wal, const struct wal_record *record, enum wal_sync sync);

/* Somebody outside is told of what is in the open batch once it is written, whatever its level: a
 * sync of it that fails leaves a doubt, too. */
void wal_note_told(struct wal *wal);

size_t wal_batch_size(const struct wal *wal); /* bytes in the open batch; 0: nothing to flush */

/* Writes the open batch if there is one and no sync is in flight; starts its sync (by level).
 * *ticket becomes the batch's number. AGAIN: nothing written (empty, a sync is in flight, or the
 * next segment is not ready yet). NO_SPACE: kept; call again later. IO: fatal for the caller. */
MUST_USE enum status wal_flush(struct wal *wal, uint64_t *ticket);
/* Once a turn, whether it flushes or not: how long batches wait is measured by it. `now_ns` is the
 * turn's. */
void wal_note_turn(struct wal *wal, uint64_t now_ns);

/* Tickets are 1, 2, 3 ...; the ticket that the open batch will get is wal_next_ticket. written: in
 * the kernel. durable: synced. A batch of WAL_SYNC_OS records only starts no sync: its ticket gets
 * durable with the next sync of whatever kind; owners of such groups go by the written ticket. */
uint64_t wal_next_ticket(const struct wal *wal);
uint64_t wal_written_ticket(const struct wal *wal);
uint64_t wal_durable_ticket(const struct wal *wal);

/* True if the event was the log's (its tag range); then tickets, prepared segments and reads have
 * moved on. IO: the device failed. */
bool wal_handle_event(struct wal *wal, const struct io_event *event, enum status *status);

/* When the log wants to be called again (interval syncs, retry of preparing a segment); UINT64_MAX:
 * never. */
uint64_t wal_deadline_ns(const struct wal *wal);
void wal_tick(struct wal *wal, uint64_t now_ns);

/* Bytes that can be appended without a new segment; writes from clients are refused below
 * WAL_RESERVE, which is kept for term, vote and the entries of a leader elsewhere. */
#define WAL_RESERVE (128u << 10)
uint64_t wal_room(const struct wal *wal);
/* The last attempt to prepare a segment failed for want of space; wal_tick tries each second. */
bool wal_disk_is_full(const struct wal *wal);
/* For how long the sync that is under way has been; 0: none is. */
uint64_t wal_sync_age_ns(const struct wal *wal, uint64_t now_ns);

/* What the log has done since it was opened, for whoever measures. A sync's time is from its start
 * to the turn that hears of its end; a wait is from the turn with a batch's first record to the one
 * that writes it, by wal_note_turn. */
struct wal_facts {
    uint64_t batches, written_bytes; /* with headers and padding */
    struct durations syncs, waits;
};
const struct wal_facts *wal_facts(const struct wal *wal);

/* Each segment begins with the state of every group and every identity record, so that older
 * segments can go. The owner hands over the newest payloads as it appends them (the log keeps a
 * copy of the last STATE of each group and of each IDENTITY). */

/* Reads entries `first` .. of `group` back from the disk, as many whole entries as fit `size_max`
 * bytes (at least one), into a buffer of the log's; one such read for each group at a time.
 * Completion: wal_handle_event, then wal_read_result. NOT_FOUND: no such entry. */
MUST_USE enum status wal_read_start(struct wal *wal, struct group_id group, uint64_t first,
                                    size_t size_max);
/* AGAIN while under way. OK: *entries holds `*count` payloads one after the other (each entry
 * begins with its own length), borrowed until wal_read_end. DAMAGED: the bytes on the disk do not
 * hold (the caller stops and says so). */
MUST_USE enum status wal_read_result(struct wal *wal, struct group_id group, struct slice *entries,
                                     size_t *count);
void wal_read_end(struct wal *wal, struct group_id group);

/* Entries of `group` up to and including `index` are no longer needed; segments that nobody needs
 * are recycled. Not remembered by the log: after a start the owner says it again, and recovery may
 * hand out entries that were released. */
void wal_release(struct wal *wal, struct group_id group, uint64_t index);

/* True: some segment is held by records of WAL_SET_ASIDE that were written or recovered. The owner
 * releases them, all that are in segments by now, when he has each of them durable elsewhere. */
bool wal_holds_set_aside(const struct wal *wal);
void wal_release_set_aside(struct wal *wal);

/* Bytes of the segments from the oldest one that the group's entries hold to the one before the
 * newest: that one is held by whoever writes. */
uint64_t wal_held_size(const struct wal *wal, struct group_id group);

/* Appends the note of a clean end; after it is durable the process may exit. */
void wal_mark_clean(struct wal *wal);

void wal_dump(const struct wal *wal, struct buffer *text); /* for people and tests */
void wal_validate(const struct wal *wal);                  /* asserts its own relations */

#endif
