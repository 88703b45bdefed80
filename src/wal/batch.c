#include "wal/log.h"

#include "base/memory.h"

#include <assert.h>

#define RUN_SALT_SIZE 16

void wal_batch_init(struct wal_batch *batch)
{
    buffer_init(&batch->bytes, WAL_OPEN_BATCH_SIZE_MAX);
    wal_batch_reset(batch);
}

/* After an oversized record its memory goes back; the usual batch keeps its own. */
void wal_batch_reset(struct wal_batch *batch)
{
    if (batch->bytes.capacity > 2 * WAL_BATCH_SIZE_MAX)
        buffer_deinit(&batch->bytes);
    buffer_reset(&batch->bytes);
    enum status status = buffer_reserve(&batch->bytes, WAL_BATCH_HEADER_SIZE);
    assert(status == STATUS_OK);
    batch->bytes.size = WAL_BATCH_HEADER_SIZE;
    batch->count = 0;
    batch->always = batch->interval = batch->lax = false;
}

void wal_batch_add(struct wal_batch *batch, uint8_t kind, const struct wal_record *record)
{
    assert(record->payload.size <= WAL_RECORD_SIZE_MAX);
    size_t room = wal_record_room(record->payload.size);
    enum status status = buffer_reserve(&batch->bytes, room);
    assert(status == STATUS_OK); /* the owner flushes at WAL_BATCH_SIZE_MAX */
    wal_record_store(batch->bytes.at + batch->bytes.size, kind, record);
    batch->bytes.size += room;
    batch->count++;
}

/* WAL-5: a batch that will be synced ends with a block, so that no later write touches it. */
uint64_t wal_batch_end(const struct wal_batch *batch, uint64_t offset)
{
    return wal_round_up(offset + batch->bytes.size,
                        batch->always ? IO_BLOCK_SIZE : WAL_BATCH_ALIGN);
}

void wal_append(struct wal *wal, const struct wal_record *record, enum wal_sync sync)
{
    assert(wal->phase == WAL_READY);
    assert(record->kind >= WAL_ENTRY && (unsigned)record->kind < WAL_KIND_RUN);
    wal_batch_add(&wal->open, (uint8_t)record->kind, record);
    bool always = record->kind == WAL_STATE || record->kind == WAL_IDENTITY; /* WAL-6 */
    wal->open.always |= always || sync == WAL_SYNC_ALWAYS;
    wal->open.lax |= !always && sync != WAL_SYNC_ALWAYS;
    wal->open.interval |= sync == WAL_SYNC_INTERVAL;
}

void wal_note_told(struct wal *wal)
{
    wal->open.lax = true;
}

size_t wal_batch_size(const struct wal *wal)
{
    return wal->open.count ? wal->open.bytes.size : 0;
}

static void add_own(struct wal_batch *batch, uint8_t kind, struct slice payload)
{
    struct wal_record record = {.payload = payload};
    wal_batch_add(batch, kind, &record);
    batch->always = true;
}

void wal_freed_add(struct wal_batch *batch)
{
    add_own(batch, WAL_KIND_FREED, slice_of(NULL, 0));
}

void wal_run_judge(struct wal *wal, uint64_t end)
{
    char boot_id[IO_BOOT_ID_SIZE] = {0};
    io_boot_id(wal->io, boot_id);
    bool unclean = wal->run.size == RUN_SALT_SIZE + IO_BOOT_ID_SIZE && !wal->run_clean;
    bool same_boot = unclean && memcmp(wal->run.at + RUN_SALT_SIZE, boot_id, IO_BOOT_ID_SIZE) == 0;
    wal->may_have_lost = unclean && (!same_boot || wal->doubt.position > end);
}

/* The random bytes make this run's first batch unlike any that an earlier attempt left at the same
 * place (V5). */
static void run_add(struct wal *wal)
{
    uint8_t payload[RUN_SALT_SIZE + IO_BOOT_ID_SIZE] = {0};
    store_u64(payload, io_random(wal->io));
    store_u64(payload + 8, io_random(wal->io));
    char boot_id[IO_BOOT_ID_SIZE] = {0};
    io_boot_id(wal->io, boot_id);
    if (!wal->run_doubts)
        memcpy(payload + RUN_SALT_SIZE, boot_id, IO_BOOT_ID_SIZE);
    add_own(&wal->open, WAL_KIND_RUN, slice_of(payload, sizeof payload));
}

void wal_run_begin(struct wal *wal)
{
    wal->run_doubts = wal->may_have_lost;
    run_add(wal);
}

void wal_run_settle(struct wal *wal)
{
    if (!wal->run_doubts || wal->phase != WAL_READY)
        return;
    wal->run_doubts = wal->may_have_lost = false;
    run_add(wal);
}

void wal_mark_clean(struct wal *wal)
{
    assert(wal->phase == WAL_READY);
    add_own(&wal->open, WAL_KIND_CLEAN, slice_of(NULL, 0));
}

bool wal_may_have_lost(const struct wal *wal)
{
    return wal->may_have_lost;
}

/* Only what earlier batches hold: a state of the open batch stays behind the entries that came
 * before it (WAL-2). */
void wal_opening_build(struct wal *wal, struct wal_batch *opening)
{
    wal_batch_init(opening);
    opening->always = true;
    if (wal->run.size)
        add_own(opening, WAL_KIND_RUN, slice_of_buffer(&wal->run));
    if (wal->run.size && wal->run_clean)
        add_own(opening, WAL_KIND_CLEAN, slice_of(NULL, 0));
    for (size_t i = 0; i < wal->identity_count; i++) {
        struct wal_record record = {.index = wal->identities[i].index,
                                    .payload = slice_of_buffer(&wal->identities[i].payload)};
        wal_batch_add(opening, WAL_IDENTITY, &record);
    }
    for (size_t i = 0; i < wal->groups.capacity; i++) {
        const struct wal_group *group = wal->groups.at[i];
        if (!group || !group->has_state)
            continue;
        struct wal_record record = {.group = group->id, .payload = slice_of_buffer(&group->state)};
        wal_batch_add(opening, WAL_STATE, &record);
    }
}

size_t wal_opening_size(const struct wal *wal)
{
    size_t size = WAL_SEGMENT_HEADER_SIZE + WAL_BATCH_HEADER_SIZE;
    size += wal_record_room(wal->run.size) + wal_record_room(0);
    for (size_t i = 0; i < wal->identity_count; i++)
        size += wal_record_room(wal->identities[i].payload.size);
    for (size_t i = 0; i < wal->groups.capacity; i++)
        if (wal->groups.at[i] && wal->groups.at[i]->has_state)
            size += wal_record_room(wal->groups.at[i]->state.size);
    return wal_round_up(size, IO_BLOCK_SIZE);
}
