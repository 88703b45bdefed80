/* ledger.h - what a node has cut from its logs although it may have been acknowledged (R10). The
 * room's own door; used by src/replica, node/, control/ and server/.
 *
 * FAILOVER available lets a write be answered before its commit. When another leader goes on
 * without it, the replica that had it must drop it; before that it sets it aside:
 *
 *   raft: truncate -> ledger_set_aside -> record in the log, ahead of the entries that replace it
 *                                      -> cut in memory -> file DIR/ledger/GROUP-TERM.cut
 *
 * The record stands in the same log before the new entries, so whoever finds those after a crash
 * finds the record too. A file of all records of one cut follows in the background; after a start
 * both are read and what is there twice counts once, by (group, term, index).
 *
 * Promises.
 * LEDGER-1  An entry that may have been acknowledged is in the log as set aside before what
 * replaces it can be durable.
 * LEDGER-2  It is judged: acknowledged, not, or possibly; "possibly" wherever nobody knows.
 * LEDGER-3  What is set aside stays, over restarts, until it is discarded; then it stays away.
 * LEDGER-4  It counts as lost only once the group has committed a later term without it; what the
 * group has committed after all is restored, and not lost.
 * LEDGER-5  Whoever led and may lack the end of that term says so at each start that follows, until
 * eight more such terms have come: the record is there though nobody else could tell.
 * Non-promises: entries whose level needed the commit are not kept, since nobody was told of them;
 * of an entry that was no longer in memory only its index and term are kept. */
#ifndef HOLDFAST_REPLICA_LEDGER_LEDGER_H
#define HOLDFAST_REPLICA_LEDGER_LEDGER_H

#include "base/ids.h"
#include "base/status.h"
#include "command/command.h"
#include "io/io.h"
#include "wal/wal.h"
#include "wire/wire.h"

#define LEDGER_CUTS_MAX   65536
#define LEDGER_MEMORY_MAX (256u << 20) /* bytes of entries; past it only what they were is kept */

enum ledger_verdict {
    LEDGER_ACKNOWLEDGED = 1,
    LEDGER_NOT, /* the leader that it was written through had not answered it */
    LEDGER_POSSIBLY,
    LEDGER_RESTORED, /* committed after all: others still had it, or it was only not known here */
};

/* What the group's log has of a term, as far as it is committed. */
struct ledger_span {
    uint64_t first, last; /* 0, 0: nothing */
    bool whole;           /* a later term is committed, too: nothing will be added */
};

struct ledger_item {
    uint64_t index;
    int64_t time_us; /* group time of the write; 0: not known */
    uint8_t ack;     /* wire_ack */
    enum ledger_verdict verdict;
    struct slice bytes; /* the entry (wire_entry_take), owned; empty: not kept */
};

/* What was cut of one term of one group on this node. */
struct ledger_cut {
    struct group_id group;
    uint64_t term;
    int64_t cut_us; /* wall clock of this node, when the first of it was cut */
    bool discarded; /* only this note of it is left */
    bool decided;   /* what is not restored is lost for good. LEDGER-4 */
    bool unsaved, unreported;
    uint64_t version; /* rises with each change */
    struct ledger_item *items;
    size_t count, capacity; /* in the order of their indexes */
};

/* What a replica has to tell of leaderships, for the records of the cluster. */
enum ledger_note_kind {
    LEDGER_LED =
        1, /* it leads `term`, after `node` in `old_term` (value 0: it never heard of it) */
    LEDGER_RETURNED, /* it led `old_term`, or its log ended there when it started, and all of that
                        term is decided: cut or committed */
    LEDGER_SEEN,     /* it followed `node` in `old_term`, and another leader since */
};
struct ledger_note {
    enum ledger_note_kind kind;
    struct group_id group;
    uint64_t term, old_term;
    struct node_id node;
    bool restarted; /* RETURNED: since it led: it does not know what it had answered */
    bool may_lack;  /* and the machine too, or a sync failed: the end of its log may be missing */
    bool led; /* it led `old_term`, as far as it knows: a record is due though nobody else says */
};

struct ledger;

/* `dir` (copied) need not exist; `tag` is the one io tag used. */
struct ledger *ledger_create(struct io *io, const char *dir, uint64_t tag,
                             const struct command_table *commands);
void ledger_destroy(struct ledger *ledger);

/* Recovery: each WAL_SET_ASIDE in log order, then once the files. INVALID: not such a record.
 * Blocks. */
MUST_USE enum status ledger_recover(struct ledger *ledger, const struct wal_record *record);
/* Of several workers of the node each loads the files of its own groups. */
void ledger_load(struct ledger *ledger, unsigned worker, unsigned workers);

/* One entry that is about to be cut: appends the record to the open batch of `wal`, then keeps it.
 * `bytes` is borrowed; empty: not at hand. LEDGER-1 */
struct ledger_loss {
    struct group_id group;
    uint64_t term, index;
    enum ledger_verdict verdict;
    struct slice bytes;
};
void ledger_set_aside(struct ledger *ledger, struct wal *wal, enum wal_sync sync,
                      const struct ledger_loss *loss, int64_t wall_us);

size_t ledger_count(const struct ledger *ledger); /* of cuts, discarded ones too */
const struct ledger_cut *ledger_at(const struct ledger *ledger, size_t i);
const struct ledger_cut *ledger_find(const struct ledger *ledger, struct group_id group,
                                     uint64_t term);
/* What another node kept of the same cut; `item` is copied. */
void ledger_merge(struct ledger *ledger, struct group_id group, uint64_t term,
                  const struct ledger_item *item);
size_t ledger_verdicts(const struct ledger_cut *cut, enum ledger_verdict verdict);
/* What the group has committed of the term; nothing happens to a cut that is not there, or decided.
 * LEDGER-4 */
void ledger_decide(struct ledger *ledger, struct group_id group, uint64_t term,
                   const struct ledger_span *span);
/* An unsure election has made void what the group had committed of terms before `term`, from
 * `index` on (RAFT-19): what was called restored there has to be decided anew. LEDGER-4 */
void ledger_make_void(struct ledger *ledger, struct group_id group, uint64_t term, uint64_t index);
/* False: there is no such cut, or it is discarded already. LEDGER-3 */
bool ledger_discard(struct ledger *ledger, struct group_id group, uint64_t term);
/* A cut that has changed since it was last called reported; NULL: none. */
const struct ledger_cut *ledger_unreported(const struct ledger *ledger);
void ledger_set_reported(struct ledger *ledger, struct group_id group, uint64_t term);
/* Notes, the oldest first; past LEDGER_NOTES_MAX the newest are dropped. NULL: none. */
#define LEDGER_NOTES_MAX 16384
void ledger_add_note(struct ledger *ledger, const struct ledger_note *note);
const struct ledger_note *ledger_first_note(const struct ledger *ledger);
void ledger_drop_note(struct ledger *ledger);

bool ledger_is_saved(const struct ledger *ledger); /* all that is in memory is in files */
bool ledger_handle_event(struct ledger *ledger, const struct io_event *event);
void ledger_tick(struct ledger *ledger, uint64_t now_ns);
uint64_t ledger_deadline_ns(const struct ledger *ledger);

#endif
