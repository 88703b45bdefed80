/* Cuts and their entries, in memory and in the log. */
#include "replica/ledger/inside.h"

#include "base/memory.h"

#include <assert.h>

/* ---- the record in the log: u8 version (1), u8 verdict, u8 ack, 5 zero bytes, i64 cut_us, the
 * entry or nothing; group, index and term stand in the record's header ---- */

#define RECORD_VERSION     1
#define RECORD_HEADER_SIZE 16
#define BATCH_BYTES_MAX    ((size_t)128 << 20) /* of the log: past it entries are only named */

struct ledger *ledger_create(struct io *io, const char *dir, uint64_t tag,
                             const struct command_table *commands)
{
    struct ledger *ledger = memory_zeroed(1, sizeof *ledger);
    ledger->io = io;
    ledger->commands = commands;
    ledger->dir = memory_copy_text(dir);
    ledger->tag = tag;
    return ledger;
}

void ledger_forget_items(struct ledger *ledger, struct ledger_cut *cut)
{
    for (size_t i = 0; i < cut->count; i++) {
        ledger->memory -= cut->items[i].bytes.size;
        memory_free((void *)cut->items[i].bytes.at);
    }
    memory_free(cut->items);
    cut->items = NULL;
    cut->count = cut->capacity = 0;
}

void ledger_destroy(struct ledger *ledger)
{
    if (!ledger)
        return;
    for (size_t i = 0; i < ledger->count; i++)
        ledger_forget_items(ledger, &ledger->cuts[i]);
    memory_free(ledger->cuts);
    memory_free(ledger->notes);
    memory_free(ledger->dir);
    memory_free(ledger);
}

/* ---- cuts ---- */

/* The place of (group, term): there, or where it would stand. */
static size_t place_of(const struct ledger *ledger, struct group_id group, uint64_t term)
{
    size_t low = 0, high = ledger->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct ledger_cut *cut = &ledger->cuts[middle];
        bool before =
            cut->group.value < group.value || (cut->group.value == group.value && cut->term < term);
        low = before ? middle + 1 : low;
        high = before ? high : middle;
    }
    return low;
}

static struct ledger_cut *find(const struct ledger *ledger, struct group_id group, uint64_t term)
{
    size_t at = place_of(ledger, group, term);
    bool is_there = at < ledger->count && group_id_equal(ledger->cuts[at].group, group) &&
                    ledger->cuts[at].term == term;
    return is_there ? &ledger->cuts[at] : NULL;
}

struct ledger_cut *ledger_ensure(struct ledger *ledger, struct group_id group, uint64_t term)
{
    struct ledger_cut *cut = find(ledger, group, term);
    if (cut || ledger->count == LEDGER_CUTS_MAX)
        return cut;
    if (ledger->count == ledger->capacity) {
        ledger->capacity = ledger->capacity ? 2 * ledger->capacity : 8;
        ledger->cuts = memory_resize(ledger->cuts, ledger->capacity * sizeof *ledger->cuts);
    }
    size_t at = place_of(ledger, group, term);
    memmove(ledger->cuts + at + 1, ledger->cuts + at, (ledger->count - at) * sizeof *ledger->cuts);
    ledger->count++;
    ledger->cuts[at] = (struct ledger_cut){.group = group, .term = term};
    return &ledger->cuts[at];
}

/* ---- entries of a cut ---- */

static size_t item_place(const struct ledger_cut *cut, uint64_t index)
{
    size_t at = cut->count; /* nearly always behind the last */
    while (at > 0 && cut->items[at - 1].index >= index)
        at--;
    return at;
}

/* What the leader itself knows stands above what a follower guesses (LEDGER-2), and what the
 * group's log has above both. */
static void merge(struct ledger *ledger, struct ledger_item *old, const struct ledger_item *item)
{
    if (old->verdict == LEDGER_POSSIBLY || item->verdict == LEDGER_RESTORED)
        old->verdict = item->verdict;
    if (old->bytes.size || !item->bytes.size)
        return;
    uint8_t *bytes = memory_allocate(item->bytes.size);
    memcpy(bytes, item->bytes.at, item->bytes.size);
    old->bytes = slice_of(bytes, item->bytes.size);
    old->time_us = item->time_us;
    old->ack = item->ack;
    ledger->memory += item->bytes.size;
}

void ledger_add(struct ledger *ledger, struct ledger_cut *cut, const struct ledger_item *item)
{
    struct ledger_item kept = *item, empty = *item;
    size_t at = item_place(cut, item->index);
    if (ledger->memory + kept.bytes.size > LEDGER_MEMORY_MAX)
        kept.bytes = slice_of(NULL, 0);
    empty.bytes = slice_of(NULL, 0);
    if (at == cut->count || cut->items[at].index != item->index) {
        if (cut->count == cut->capacity) {
            cut->capacity = cut->capacity ? 2 * cut->capacity : 8;
            cut->items = memory_resize(cut->items, cut->capacity * sizeof *cut->items);
        }
        memmove(cut->items + at + 1, cut->items + at, (cut->count - at) * sizeof *cut->items);
        cut->items[at] = empty;
        cut->count++;
        cut->decided = false;
    }
    merge(ledger, &cut->items[at], &kept);
    cut->version++;
    cut->unreported = true;
}

static struct ledger_item item_of(uint64_t index, enum ledger_verdict verdict, struct slice bytes)
{
    struct ledger_item item = {.index = index, .verdict = verdict};
    struct slice from = bytes;
    struct wire_entry entry;
    if (!bytes.size || wire_entry_take(&from, &entry))
        return item;
    item.time_us = entry.time_us;
    item.ack = entry.ack & (uint8_t)~WIRE_ACK_EARLY;
    item.bytes = bytes;
    return item;
}

static void take(struct ledger *ledger, const struct ledger_loss *loss, int64_t cut_us)
{
    struct ledger_cut *cut = ledger_ensure(ledger, loss->group, loss->term);
    struct ledger_item item = item_of(loss->index, loss->verdict, loss->bytes);
    if (!cut || cut->discarded)
        return;
    if (!cut->cut_us)
        cut->cut_us = cut_us;
    cut->unsaved = true;
    ledger_add(ledger, cut, &item);
}

/* It was committed, and an unsure election has made that void (R4): its fate is open again. */
static void reopen(struct ledger *ledger, const struct ledger_loss *loss)
{
    struct ledger_cut *cut = find(ledger, loss->group, loss->term);
    size_t at = cut ? item_place(cut, loss->index) : 0;
    if (!cut || at == cut->count || cut->items[at].index != loss->index)
        return;
    if (cut->items[at].verdict == LEDGER_RESTORED)
        cut->items[at].verdict = loss->verdict;
    cut->decided = false;
}

/* LEDGER-1: the caller's log gets the entries that replace this one behind it. */
void ledger_set_aside(struct ledger *ledger, struct wal *wal, enum wal_sync sync,
                      const struct ledger_loss *loss, int64_t wall_us)
{
    struct buffer payload;
    uint8_t header[RECORD_HEADER_SIZE] = {RECORD_VERSION, (uint8_t)loss->verdict};
    buffer_init(&payload, WAL_RECORD_SIZE_MAX);
    bool fits = wal_batch_size(wal) + loss->bytes.size < BATCH_BYTES_MAX;
    store_u64(header + 8, (uint64_t)wall_us);
    enum status status = buffer_append(&payload, header, sizeof header);
    if (!status && fits && loss->bytes.size)
        status = buffer_append(&payload, loss->bytes.at, loss->bytes.size);
    assert(status == STATUS_OK); /* an entry fits a record with room to spare */
    struct wal_record record = {.kind = WAL_SET_ASIDE,
                                .group = loss->group,
                                .index = loss->index,
                                .term = loss->term,
                                .payload = slice_of_buffer(&payload)};
    wal_append(wal, &record, sync);
    buffer_deinit(&payload);
    reopen(ledger, loss);
    take(ledger, loss, wall_us);
}

enum status ledger_recover(struct ledger *ledger, const struct wal_record *record)
{
    struct slice payload = record->payload;
    if (payload.size < RECORD_HEADER_SIZE || payload.at[1] < LEDGER_ACKNOWLEDGED ||
        payload.at[1] > LEDGER_POSSIBLY || !record->term || !record->index)
        return STATUS_INVALID;
    if (payload.at[0] != RECORD_VERSION)
        return STATUS_FOREIGN;
    struct ledger_loss loss = {
        .group = record->group,
        .term = record->term,
        .index = record->index,
        .verdict = (enum ledger_verdict)payload.at[1],
        .bytes = slice_of(payload.at + RECORD_HEADER_SIZE, payload.size - RECORD_HEADER_SIZE)};
    take(ledger, &loss, (int64_t)load_u64(payload.at + 8));
    return STATUS_OK;
}

void ledger_merge(struct ledger *ledger, struct group_id group, uint64_t term,
                  const struct ledger_item *item)
{
    struct ledger_cut *cut = ledger_ensure(ledger, group, term);
    if (cut)
        ledger_add(ledger, cut, item);
}

/* ---- what others ask ---- */

size_t ledger_count(const struct ledger *ledger)
{
    return ledger->count;
}

const struct ledger_cut *ledger_at(const struct ledger *ledger, size_t i)
{
    assert(i < ledger->count);
    return &ledger->cuts[i];
}

const struct ledger_cut *ledger_find(const struct ledger *ledger, struct group_id group,
                                     uint64_t term)
{
    return find(ledger, group, term);
}

size_t ledger_verdicts(const struct ledger_cut *cut, enum ledger_verdict verdict)
{
    size_t count = 0;
    for (size_t i = 0; i < cut->count; i++)
        count += cut->items[i].verdict == verdict;
    return count;
}

/* False: it is said of it already, or cannot be. */
static bool restore(struct ledger_item *item, const struct ledger_span *span)
{
    bool is_there = span->first && item->index >= span->first && item->index <= span->last;
    if (!is_there || item->verdict == LEDGER_RESTORED)
        return false;
    item->verdict = LEDGER_RESTORED;
    return true;
}

void ledger_decide(struct ledger *ledger, struct group_id group, uint64_t term,
                   const struct ledger_span *span)
{
    struct ledger_cut *cut = find(ledger, group, term);
    bool changed = false;
    if (!cut || cut->discarded || cut->decided)
        return;
    for (size_t i = 0; i < cut->count; i++)
        changed |= restore(&cut->items[i], span);
    cut->decided = span->whole || ledger_verdicts(cut, LEDGER_RESTORED) == cut->count;
    if (!changed && !cut->decided)
        return;
    cut->version++;
    cut->unsaved = cut->unreported = true;
}

static void make_void(struct ledger_cut *cut, uint64_t from)
{
    bool changed = false;
    for (size_t i = 0; i < cut->count; i++)
        if (cut->items[i].verdict == LEDGER_RESTORED && cut->items[i].index >= from) {
            cut->items[i].verdict = LEDGER_POSSIBLY; /* what it was before is not kept */
            changed = true;
        }
    if (!changed)
        return;
    cut->decided = false;
    cut->version++;
    cut->unsaved = cut->unreported = true;
}

void ledger_make_void(struct ledger *ledger, struct group_id group, uint64_t term, uint64_t index)
{
    for (size_t i = place_of(ledger, group, 0); i < ledger->count; i++) {
        struct ledger_cut *cut = &ledger->cuts[i];
        if (!group_id_equal(cut->group, group) || cut->term >= term)
            return;
        make_void(cut, index);
    }
}

/* LEDGER-3: the note that is left keeps records of the log from coming back after a start. */
bool ledger_discard(struct ledger *ledger, struct group_id group, uint64_t term)
{
    struct ledger_cut *cut = find(ledger, group, term);
    if (!cut || cut->discarded)
        return false;
    ledger_forget_items(ledger, cut);
    cut->discarded = cut->unsaved = true;
    cut->version++;
    cut->unreported = true;
    return true;
}

const struct ledger_cut *ledger_unreported(const struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->count; i++)
        if (ledger->cuts[i].unreported)
            return &ledger->cuts[i];
    return NULL;
}

void ledger_set_reported(struct ledger *ledger, struct group_id group, uint64_t term)
{
    struct ledger_cut *cut = find(ledger, group, term);
    if (cut)
        cut->unreported = false;
}

/* ---- notes ---- */

void ledger_add_note(struct ledger *ledger, const struct ledger_note *note)
{
    if (ledger->note_count == LEDGER_NOTES_MAX)
        return;
    if (ledger->first_note + ledger->note_count == ledger->note_capacity) {
        ledger->note_capacity = ledger->note_capacity ? 2 * ledger->note_capacity : 8;
        ledger->notes = memory_resize(ledger->notes, ledger->note_capacity * sizeof *ledger->notes);
    }
    ledger->notes[ledger->first_note + ledger->note_count++] = *note;
}

const struct ledger_note *ledger_first_note(const struct ledger *ledger)
{
    return ledger->note_count ? &ledger->notes[ledger->first_note] : NULL;
}

void ledger_drop_note(struct ledger *ledger)
{
    assert(ledger->note_count);
    ledger->first_note++;
    if (!--ledger->note_count)
        ledger->first_note = 0;
}
