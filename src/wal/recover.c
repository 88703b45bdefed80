#include "wal/log.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

/* ---- batches ---- */

static bool is_of_life(const struct wal *wal, const struct wal_segment *segment,
                       const struct wal_batch_header *header)
{
    return header->life == segment->header.life ||
           ((wal->faults & WAL_FAULT_STALE_SEGMENT) && header->life < segment->header.life);
}

/* NOT_FOUND: no valid batch is there (V2, V3). On OK the batch lies in the window. */
static enum status batch_load(struct wal *wal, struct wal_segment *segment, uint64_t offset,
                              struct wal_batch_header *header, const uint8_t **at)
{
    enum status status = wal_window_load(wal, segment, offset, WAL_BATCH_HEADER_SIZE, at);
    if (status)
        return status == STATUS_END ? STATUS_NOT_FOUND : status;
    if (wal_batch_header_load(*at, header) || header->file_id != segment->file_id ||
        !is_of_life(wal, segment, header) || header->offset != offset ||
        !wal_log_id_equal(header->log, wal->log)) /* WAL-4 */
        return STATUS_NOT_FOUND;
    status = wal_window_load(wal, segment, offset, header->used, at);
    if (status)
        return status == STATUS_END ? STATUS_NOT_FOUND : status;
    return wal_batch_holds(*at, header) ? STATUS_OK : STATUS_NOT_FOUND;
}

static void batch_accept(struct wal *wal, const struct wal_batch_header *header, const uint8_t *at)
{
    bool opening = header->flags & WAL_FLAG_OPENING;
    wal->recovery.batch = *header;
    wal->recovery.cursor = wal_cursor_of(at, header->used);
    wal->recovery.handing_out = !opening || wal->chain.count == 1;
    wal->end = (uint64_t)header->offset + header->length;
    wal->last_checksum = header->checksum;
    wal->sequence = header->sequence;
    wal->durable_position = header->durable_through;
}

static bool batch_follows(const struct wal *wal, const struct wal_batch_header *header)
{
    bool stale = (wal->faults & WAL_FAULT_STALE_SEGMENT) &&
                 header->life < wal_last_segment(wal)->header.life;
    return stale ||
           (header->previous == wal->last_checksum && header->sequence > wal->sequence); /* V5 */
}

static enum status batch_take(struct wal *wal, struct wal_segment *segment, uint64_t offset)
{
    struct wal_batch_header header;
    const uint8_t *at;
    enum status status = batch_load(wal, segment, offset, &header, &at);
    if (!status)
        batch_accept(wal, &header, at);
    return status;
}

/* V5: where the batch before ends, or at the next block (a sync came in between). Both only after a
 * write that failed. */
static enum status find_in_segment(struct wal *wal, uint64_t *offset, uint64_t *sequence)
{
    struct wal_segment *segment = wal_last_segment(wal);
    struct wal_batch_header header;
    const uint8_t *at;
    uint64_t places[2] = {wal->end, wal_round_up(wal->end, IO_BLOCK_SIZE)};
    *sequence = 0;
    for (size_t i = 0; i < 2; i++) {
        enum status status = batch_load(wal, segment, places[i], &header, &at);
        if (status && status != STATUS_NOT_FOUND)
            return status;
        if (!status && batch_follows(wal, &header) && header.sequence > *sequence) {
            *offset = places[i];
            *sequence = header.sequence;
        }
    }
    return STATUS_OK;
}

static enum status next_in_segment(struct wal *wal)
{
    uint64_t offset = 0, sequence = 0;
    enum status status = find_in_segment(wal, &offset, &sequence);
    if (status)
        return status;
    return sequence ? batch_take(wal, wal_last_segment(wal), offset) : STATUS_NOT_FOUND;
}

/* A segment of a higher life whose opening batch follows, with a sequence above `sequence`. */
static bool find_segment(const struct wal *wal, uint64_t sequence, size_t *at)
{
    const struct wal_files *found = &wal->recovery.found;
    bool any = false;
    for (size_t i = 0; i < found->count; i++) {
        const struct wal_segment *segment = found->at[i];
        if (!segment->opens || segment->header.life <= wal_last_segment(wal)->header.life ||
            !batch_follows(wal, &segment->opening) || segment->opening.sequence <= sequence)
            continue;
        sequence = segment->opening.sequence;
        *at = i;
        any = true;
    }
    return any;
}

static enum status segment_begin(struct wal *wal, size_t found_at)
{
    struct wal_segment *segment = wal->recovery.found.at[found_at];
    if (!segment->opens)
        return STATUS_NOT_FOUND;
    wal_files_add(&wal->chain, wal_files_remove(&wal->recovery.found, found_at));
    return batch_take(wal, segment, WAL_SEGMENT_HEADER_SIZE);
}

#define UNSETTLED_BYTES (16 * IO_BLOCK_SIZE)

/* Planted: the first later batch of this segment that is whole, whatever lies before it. Only
 * without SYNC always are there two that no sync has settled. */
static enum status fault_next_unsettled(struct wal *wal)
{
    uint64_t offset = wal_round_up(wal->end, WAL_BATCH_ALIGN), last = offset + UNSETTLED_BYTES;
    struct wal_batch_header header;
    const uint8_t *at;
    for (; offset < last; offset += WAL_BATCH_ALIGN) {
        enum status status = batch_load(wal, wal_last_segment(wal), offset, &header, &at);
        if (status && status != STATUS_NOT_FOUND)
            return status;
        if (!status && header.sequence > wal->sequence)
            return batch_take(wal, wal_last_segment(wal), offset);
    }
    return STATUS_NOT_FOUND;
}

static enum status next_batch(struct wal *wal)
{
    uint64_t offset = 0, sequence = 0;
    size_t found_at = 0;
    enum status status = find_in_segment(wal, &offset, &sequence);
    if (status)
        return status;
    if (find_segment(wal, sequence, &found_at))
        return segment_begin(wal, found_at);
    if (!sequence && (wal->faults & WAL_FAULT_BATCHES_UNSETTLED))
        return fault_next_unsettled(wal);
    return sequence ? batch_take(wal, wal_last_segment(wal), offset) : STATUS_NOT_FOUND;
}

/* ---- the beginning ---- */

/* Looked at once: the walk asks at each batch whether a segment follows it. */
static enum status openings_load(struct wal *wal)
{
    const struct wal_files *found = &wal->recovery.found;
    const uint8_t *at;
    for (size_t i = 0; i < found->count; i++) {
        struct wal_segment *segment = found->at[i];
        if (!segment->header.life)
            continue;
        enum status status =
            batch_load(wal, segment, WAL_SEGMENT_HEADER_SIZE, &segment->opening, &at);
        if (status && status != STATUS_NOT_FOUND)
            return status;
        segment->opens = !status && (segment->opening.flags & WAL_FLAG_OPENING);
    }
    return STATUS_OK;
}

/* The file of the highest life below `below`. */
static bool newest_below(const struct wal_files *found, uint64_t below, size_t *at)
{
    uint64_t life = 0;
    for (size_t i = 0; i < found->count; i++)
        if (found->at[i]->header.life < below && found->at[i]->header.life > life) {
            life = found->at[i]->header.life;
            *at = i;
        }
    return life != 0;
}

/* V4: walks the newest segment alone, for the `first life` that its batches say; then all is as
 * before. */
static enum status first_life_find(struct wal *wal)
{
    struct wal_files *found = &wal->recovery.found;
    uint64_t below = WAL_NEVER;
    size_t at = 0;
    enum status status = STATUS_NOT_FOUND;
    while (status == STATUS_NOT_FOUND && newest_below(found, below, &at)) {
        below = found->at[at]->header.life;
        status = segment_begin(wal, at);
    }
    while (!status) {
        if (wal->recovery.batch.first_life > wal->first_life)
            wal->first_life = wal->recovery.batch.first_life;
        status = next_in_segment(wal);
    }
    if (wal->chain.count)
        wal_files_add(found, wal_files_remove(&wal->chain, 0));
    wal->recovery.cursor = (struct wal_cursor){0};
    wal->end = wal->last_checksum = wal->sequence = wal->durable_position = 0;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* DAMAGED: it must be there and is not. NOT_FOUND: no file has a valid header, or the first batch
 * does not hold. */
static enum status first_segment(struct wal *wal)
{
    const struct wal_files *found = &wal->recovery.found;
    enum status status = openings_load(wal);
    if (!status)
        status = first_life_find(wal);
    if (status)
        return status;
    for (size_t i = 0; i < found->count; i++)
        if (wal->first_life && found->at[i]->header.life == wal->first_life)
            return segment_begin(wal, i);
    return wal->first_life ? STATUS_DAMAGED : STATUS_NOT_FOUND;
}

/* ---- the end ---- */

/* The file where the walk stopped. */
static uint64_t damaged_file_id(const struct wal *wal, const struct wal_scan *scan)
{
    const struct wal_files *found = &wal->recovery.found;
    if (wal_last_segment(wal))
        return wal_last_segment(wal)->file_id;
    for (size_t i = 0; i < found->count; i++)
        if (wal->first_life && found->at[i]->header.life == wal->first_life)
            return found->at[i]->file_id;
    return scan->segment->file_id;
}

static void say_damaged(const struct wal *wal, const struct wal_scan *scan, char why[WAL_WHY_SIZE])
{
    char groups[80];
    wal_groups_text(wal, groups, sizeof groups);
    snprintf(
        why, WAL_WHY_SIZE,
        "%016llx.wal offset %llu: damaged, foreign or missing, though %016llx.wal offset %llu says "
        "that it was durable; %s may have records there",
        (unsigned long long)damaged_file_id(wal, scan),
        (unsigned long long)(wal->chain.count ? wal->end : 0),
        (unsigned long long)scan->segment->file_id, (unsigned long long)scan->offset, groups);
}

static enum status refuse(struct wal *wal, enum status status, char why[WAL_WHY_SIZE])
{
    wal->phase = WAL_REFUSED;
    if (status == STATUS_DAMAGED)
        snprintf(why, WAL_WHY_SIZE,
                 "the first segment (life %llu) is missing or its header is damaged; all groups "
                 "may have records there",
                 (unsigned long long)wal->first_life);
    else
        snprintf(why, WAL_WHY_SIZE, "a file of it cannot be read");
    return status;
}

/* WAL-3: the walk ended at x. A torn tail, unless something valid says that x was durable. */
static enum status judge_end(struct wal *wal, char why[WAL_WHY_SIZE])
{
    struct wal_scan scan;
    const struct wal_segment *last = wal_last_segment(wal);
    uint64_t x =
        last ? wal_position(last->header.life, wal->end) : wal_position(wal->first_life, 0);
    enum status status = wal_scan_behind(wal, &scan);
    if (status)
        return refuse(wal, STATUS_IO, why);
    if (scan.durable_through > x) {
        say_damaged(wal, &scan, why);
        wal->phase = WAL_REFUSED;
        return STATUS_DAMAGED;
    }
    wal_run_judge(wal, x);
    wal->tail_was_cut = scan.saw_tail;
    wal->was_empty = !last;
    wal->phase = WAL_RECOVERED;
    return STATUS_END;
}

static bool record_take(struct wal *wal, struct wal_record *out)
{
    struct wal_recovery *recovery = &wal->recovery;
    struct wal_place place = {.segment = wal_last_segment(wal),
                              .offset = recovery->batch.offset,
                              .used = recovery->batch.used};
    struct wal_record record;
    while (wal_cursor_next(&recovery->cursor, &record)) {
        wal_note_record(wal, &record, &place);
        if (recovery->handing_out && (unsigned)record.kind < WAL_KIND_RUN) {
            *out = record;
            return true;
        }
    }
    return false;
}

enum status wal_recover_next(struct wal *wal, struct wal_record *out, char why[WAL_WHY_SIZE])
{
    assert(wal->phase == WAL_RECOVERING);
    while (!record_take(wal, out)) {
        enum status status = wal->chain.count ? next_batch(wal) : first_segment(wal);
        if (status == STATUS_NOT_FOUND)
            return judge_end(wal, why);
        if (status)
            return refuse(wal, status, why);
    }
    return STATUS_OK;
}

/* ---- ready for appending ---- */

static enum status first_spare_ensure(struct wal *wal)
{
    if (!wal->has_log) {
        wal->log = (struct wal_log_id){io_random(wal->io), io_random(wal->io)};
        wal->has_log = true;
    }
    return wal->chain.count || wal->spares.count ? STATUS_OK : wal_spare_create(wal);
}

/* The cut needs no write: the next batch, at the cut, differs from whatever was there, and V5 leads
 * to nothing behind it (WAL-3). All that was recovered is on the disk: wal_open refreshed the
 * files. */
enum status wal_recover_end(struct wal *wal, char why[WAL_WHY_SIZE])
{
    struct wal_files *found = &wal->recovery.found;
    assert(wal->phase == WAL_RECOVERED);
    enum status status = found->count ? io_dir_sync(wal->io, wal->dir) : STATUS_OK;
    while (found->count)
        wal_spare_keep(wal, wal_files_remove(found, found->count - 1));
    memory_free(wal->recovery.window.bytes);
    wal->recovery.window = (struct wal_window){0};
    if (!status)
        status = wal->failed ? STATUS_IO : first_spare_ensure(wal);
    if (status) {
        wal->phase = WAL_REFUSED;
        snprintf(why, WAL_WHY_SIZE, "it cannot be begun: %s", status_text(status));
        return status;
    }
    if (wal->chain.count) /* V6 */
        wal->durable_position = wal_position(wal_last_segment(wal)->header.life, wal->end);
    wal->end = wal_round_up(wal->end, IO_BLOCK_SIZE);
    wal->phase = WAL_READY;
    wal_run_begin(wal);
    wal_prepare_consider(wal, io_now_ns(wal->io));
    return STATUS_OK;
}

bool wal_was_empty(const struct wal *wal)
{
    return wal->was_empty;
}

bool wal_tail_was_cut(const struct wal *wal)
{
    return wal->tail_was_cut;
}
