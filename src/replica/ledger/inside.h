/* inside.h - private to replica/ledger/. */
#ifndef HOLDFAST_REPLICA_LEDGER_INSIDE_H
#define HOLDFAST_REPLICA_LEDGER_INSIDE_H

#include "replica/ledger/ledger.h"

struct ledger {
    struct io *io;
    const struct command_table *commands;
    char *dir; /* owned */
    uint64_t tag;
    struct ledger_cut *cuts; /* in the order of (group, term) */
    size_t count, capacity;
    size_t memory; /* bytes of entries kept */
    struct ledger_note *notes;
    size_t first_note, note_count, note_capacity;
    bool made_dir;
    /* the one file that is being saved */
    bool is_saving, is_publishing;
    struct io_file file;
    struct group_id saving_group;
    uint64_t saving_term, saving_version;
    uint64_t retry_ns;
};

/* An item with the bytes that it shall keep; borrowed, copied. Known ones only gain: see merge. */
void ledger_add(struct ledger *ledger, struct ledger_cut *cut, const struct ledger_item *item);
/* Makes it when it is not there; NULL: as many as may be are. */
struct ledger_cut *ledger_ensure(struct ledger *ledger, struct group_id group, uint64_t term);
void ledger_forget_items(struct ledger *ledger, struct ledger_cut *cut);

/* text.c: the file of a cut */
void ledger_write(const struct ledger *ledger, const struct ledger_cut *cut, struct buffer *out);
/* INVALID: nothing of it is believed but what stood before the fault. */
MUST_USE enum status ledger_read(struct ledger *ledger, struct slice text);

#endif
