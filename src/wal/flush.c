#include "wal/log.h"

#include <assert.h>

static const uint8_t ZEROS[IO_BLOCK_SIZE];

/* ---- sync ---- */

/* Nothing is written while a sync is in flight, so it covers all that was written; what comes next
 * begins on a new block: a torn write there cannot touch what this sync makes durable (WAL-1,
 * WAL-5). */
void wal_sync_begin(struct wal *wal)
{
    struct wal_segment *segment = wal_last_segment(wal);
    assert(wal->unsynced && !wal->syncing);
    wal->syncing = true;
    wal->unsynced = false;
    wal->interval_due_ns = WAL_NEVER;
    wal->sync_ticket = wal->written_ticket;
    wal->sync_began_ns = io_now_ns(wal->io);
    wal->sync_position = wal_position(segment->header.life, wal->end);
    if (wal->lax_unsynced)
        wal_doubt_note(wal, wal->sync_position);
    wal->lax_unsynced = false;
    io_file_sync_start(wal->io, segment->file, wal->end, wal->tag + WAL_TAG_SYNC);
    wal->end = wal_round_up(wal->end, IO_BLOCK_SIZE);
}

static enum status sync_done(struct wal *wal, enum status status)
{
    if (status) {
        wal->failed = true; /* WAL-7: a second sync would lie */
        return STATUS_IO;
    }
    wal->syncing = false;
    durations_add(&wal->facts.syncs, io_now_ns(wal->io) - wal->sync_began_ns);
    wal->durable_ticket = wal->sync_ticket; /* WAL-1 */
    wal->durable_position = wal->sync_position;
    wal->first_life_durable = wal->first_life;
    wal_doubt_settle(wal);
    wal_recycle(wal);
    return wal->failed ? STATUS_IO : STATUS_OK;
}

/* ---- write ---- */

struct target { /* where the pieces of one write go */
    struct wal_segment *segment;
    uint64_t life, first_life;
    uint64_t checksum; /* of the batch before */
    uint64_t offset;
    struct slice pieces[6]; /* header, two batches with their padding, the rest of a block */
    size_t count;
};

static void target_add(struct target *target, const void *at, size_t size)
{
    if (!size)
        return;
    target->pieces[target->count++] = slice_of(at, size);
    target->offset += size;
}

static void target_add_batch(struct wal *wal, struct target *target, struct wal_batch *batch,
                             uint16_t flags)
{
    size_t used = batch->bytes.size;
    size_t length = wal_batch_end(batch, target->offset) - target->offset;
    struct wal_batch_header header = {
        .flags = flags | (batch->always ? WAL_FLAG_ALWAYS : 0),
        .log = wal->log,
        .file_id = target->segment->file_id,
        .life = target->life,
        .first_life = target->first_life,
        .offset = (uint32_t)target->offset,
        .length = (uint32_t)length,
        .used = (uint32_t)used,
        .count = batch->count,
        .sequence =
            ++wal->sequence, /* a failed write may be whole on the disk: the later one counts */
        .durable_through = wal->durable_position,
        .previous = target->checksum,
    };
    wal_batch_seal(batch->bytes.at, &header);
    target_add(target, batch->bytes.at, used);
    target_add(target, ZEROS, length - used);
    target->checksum = header.checksum;
    wal->facts.written_bytes += length;
    wal->facts.batches++;
}

/* Zeros to the end of the block, where the next batch will be: the kernel would first read what
 * else is in the block, from the disk, in the middle of a turn. */
static void target_fill_block(struct target *target)
{
    size_t size = wal_round_up(target->offset, IO_BLOCK_SIZE) - target->offset;
    if (size)
        target->pieces[target->count++] = slice_of(ZEROS, size);
}

static void batch_note(struct wal *wal, const struct wal_batch *batch, struct wal_segment *segment,
                       uint64_t offset)
{
    struct wal_place place = {
        .segment = segment, .offset = (uint32_t)offset, .used = (uint32_t)batch->bytes.size};
    struct wal_cursor cursor = wal_cursor_of(batch->bytes.at, batch->bytes.size);
    struct wal_record record;
    while (wal_cursor_next(&cursor, &record))
        wal_note_record(wal, &record, &place);
}

static void target_written(struct wal *wal, const struct target *target)
{
    wal->end = target->offset;
    wal->last_checksum = target->checksum;
    wal->first_life = target->first_life;
    wal->unsynced = true;
}

static enum status write_batch(struct wal *wal, struct wal_batch *batch)
{
    uint64_t start = wal->end;
    struct target target = {.segment = wal_last_segment(wal),
                            .life = wal_last_segment(wal)->header.life,
                            .first_life = wal_first_life_needed(wal),
                            .checksum = wal->last_checksum,
                            .offset = start};
    target_add_batch(wal, &target, batch, 0);
    target_fill_block(&target);
    enum status status =
        io_file_write(wal->io, target.segment->file, target.pieces, target.count, start);
    if (status)
        return status;
    batch_note(wal, batch, target.segment, start);
    target_written(wal, &target);
    return STATUS_OK;
}

/* A segment's header, its opening batch and the open batch go to the spare in one write. */
static enum status write_first_batch(struct wal *wal, size_t spare_at)
{
    uint8_t bytes[WAL_SEGMENT_HEADER_SIZE];
    struct wal_segment *spare = wal->spares.at[spare_at];
    uint64_t first_life = wal_first_life_needed(wal), life = wal->next_life++;
    struct wal_segment_header header = {.version = WAL_VERSION,
                                        .log = wal->log,
                                        .file_id = spare->file_id,
                                        .life = life,
                                        .first_life = first_life,
                                        .size = spare->size};
    struct target target = {
        .segment = spare, .life = life, .first_life = first_life, .checksum = wal->last_checksum};
    struct wal_batch opening;
    wal_segment_header_store(bytes, &header);
    wal_opening_build(wal, &opening);
    target_add(&target, bytes, sizeof bytes);
    target_add_batch(wal, &target, &opening, WAL_FLAG_OPENING);
    uint64_t open_offset = target.offset;
    target_add_batch(wal, &target, &wal->open, 0);
    target_fill_block(&target);
    enum status status = io_file_write(wal->io, spare->file, target.pieces, target.count, 0);
    buffer_deinit(&opening.bytes);
    if (status)
        return status;
    spare->header = header;
    wal_files_add(&wal->chain, wal_files_remove(&wal->spares, spare_at));
    batch_note(wal, &wal->open, spare, open_offset);
    target_written(wal, &target);
    return STATUS_OK;
}

/* ---- flush ---- */

/* The last block of a segment is kept for write_freed. */
static bool open_batch_fits(const struct wal *wal)
{
    const struct wal_segment *segment = wal_last_segment(wal);
    return segment && wal_batch_end(&wal->open, wal->end) + IO_BLOCK_SIZE <= segment->size;
}

/* On a full disk old segments that were released can become spares only when that is durable, and
 * there may be no segment to say it in but this one. OK: said, and being synced; AGAIN: there is
 * nothing to say or no room. */
static enum status write_freed(struct wal *wal)
{
    struct wal_batch batch;
    struct wal_segment *last = wal_last_segment(wal);
    if (!last || wal->syncing || wal_first_life_needed(wal) <= wal->first_life ||
        wal->end + IO_BLOCK_SIZE > last->size)
        return STATUS_AGAIN;
    wal_batch_init(&batch);
    wal_freed_add(&batch);
    enum status status = write_batch(wal, &batch);
    buffer_deinit(&batch.bytes);
    if (!status)
        wal_sync_begin(wal);
    return status;
}

static enum status no_spare(struct wal *wal, uint64_t size)
{
    wal->prepare_wanted = size;
    wal_prepare_consider(wal, io_now_ns(wal->io));
    if (!wal->disk_is_full)
        return STATUS_AGAIN;
    enum status status = write_freed(wal);
    return status == STATUS_IO ? status : STATUS_NO_SPACE;
}

/* The old segment is durable before anything is in the new one: a valid opening batch proves that
 * all before it is there. */
static enum status start_segment(struct wal *wal)
{
    size_t spare_at = 0;
    uint64_t size = wal_batch_end(&wal->open, wal_opening_size(wal)) + IO_BLOCK_SIZE;
    if (wal->unsynced) {
        wal_sync_begin(wal);
        return STATUS_AGAIN;
    }
    if (!wal_spare_find(wal, size, &spare_at))
        return no_spare(wal, size);
    enum status status = write_first_batch(wal, spare_at);
    if (status)
        return status;
    wal->prepare_wanted = 0;
    wal->open.always = true; /* a segment begins durable, whatever is in its first batch */
    wal_prepare_consider(wal, io_now_ns(wal->io));
    return STATUS_OK;
}

static void sync_by_level(struct wal *wal)
{
    if (wal->open.always)
        wal_sync_begin(wal); /* WAL-6 */
    else if (wal->open.interval && wal->interval_due_ns == WAL_NEVER)
        wal->interval_due_ns = io_now_ns(wal->io) + wal->interval_ns;
}

void wal_note_turn(struct wal *wal, uint64_t now_ns)
{
    wal->turn_ns = now_ns;
    if (wal->open.count && !wal->waits_since_ns)
        wal->waits_since_ns = now_ns;
}

static void measure_wait(struct wal *wal)
{
    if (wal->waits_since_ns)
        durations_add(&wal->facts.waits, wal->turn_ns - wal->waits_since_ns);
    wal->waits_since_ns = 0;
}

enum status wal_flush(struct wal *wal, uint64_t *ticket)
{
    assert(wal->phase == WAL_READY);
    if (wal->failed)
        return STATUS_IO;
    if (!wal->open.count || wal->syncing)
        return STATUS_AGAIN;
    enum status status = open_batch_fits(wal) ? write_batch(wal, &wal->open) : start_segment(wal);
    if (status == STATUS_AGAIN || status == STATUS_NO_SPACE)
        return status; /* WAL-7: the batch is kept */
    if (status) {
        wal->failed = true;
        return STATUS_IO;
    }
    wal->written_ticket++;
    IO_NOTE(wal->io, "persist");
    wal->lax_unsynced |= wal->open.lax;
    sync_by_level(wal);
    measure_wait(wal);
    wal_batch_reset(&wal->open);
    *ticket = wal->written_ticket;
    return STATUS_OK;
}

uint64_t wal_next_ticket(const struct wal *wal)
{
    return wal->written_ticket + 1;
}

uint64_t wal_written_ticket(const struct wal *wal)
{
    return wal->written_ticket;
}

uint64_t wal_durable_ticket(const struct wal *wal)
{
    return wal->durable_ticket;
}

/* ---- events and deadlines ---- */

bool wal_handle_event(struct wal *wal, const struct io_event *event, enum status *status)
{
    bool completion =
        event->kind == IO_SYNCED || event->kind == IO_FILE_DONE || event->kind == IO_READ_DONE;
    if (!completion || event->tag < wal->tag || event->tag - wal->tag >= WAL_TAGS)
        return false;
    uint64_t own = event->tag - wal->tag;
    *status = STATUS_OK;
    if (event->kind == IO_SYNCED && wal->syncing)
        *status = sync_done(wal, event->status);
    else if (event->kind == IO_FILE_DONE && wal->preparing)
        *status = wal_prepare_done(wal, event->status);
    else if (event->kind == IO_READ_DONE && own >= WAL_TAG_READ)
        *status = wal_read_event(wal, own - WAL_TAG_READ, event);
    if (*status)
        wal->failed = true;
    return true;
}

uint64_t wal_deadline_ns(const struct wal *wal)
{
    uint64_t retry = wal->prepare_retry_ns ? wal->prepare_retry_ns : WAL_NEVER;
    uint64_t due = wal->syncing ? WAL_NEVER : wal->interval_due_ns;
    if (wal->failed)
        return WAL_NEVER;
    return due < retry ? due : retry;
}

void wal_tick(struct wal *wal, uint64_t now_ns)
{
    if (wal->failed || wal->phase != WAL_READY)
        return;
    if (wal->interval_due_ns <= now_ns && wal->unsynced && !wal->syncing)
        wal_sync_begin(wal);
    if (wal->prepare_retry_ns && wal->prepare_retry_ns <= now_ns)
        wal_prepare_consider(wal, now_ns);
    if (wal->disk_is_full && write_freed(wal) == STATUS_IO)
        wal->failed = true; /* the next flush says so */
}

/* ---- room ---- */

uint64_t wal_room(const struct wal *wal)
{
    uint64_t taken = wal->open.bytes.size + 2 * IO_BLOCK_SIZE, room = 0;
    uint64_t opening = wal_opening_size(wal) + IO_BLOCK_SIZE;
    if (wal_last_segment(wal))
        room += wal_last_segment(wal)->size - wal->end;
    for (size_t i = 0; i < wal->spares.count; i++)
        if (wal->spares.at[i]->size > opening)
            room += wal->spares.at[i]->size - opening;
    return room > taken ? room - taken : 0;
}

const struct wal_facts *wal_facts(const struct wal *wal)
{
    return &wal->facts;
}

uint64_t wal_sync_age_ns(const struct wal *wal, uint64_t now_ns)
{
    return wal->syncing && now_ns > wal->sync_began_ns ? now_ns - wal->sync_began_ns : 0;
}

bool wal_disk_is_full(const struct wal *wal)
{
    return wal->disk_is_full;
}
