#include "wal/log.h"

#include "base/memory.h"

#include <assert.h>

static void read_free(struct wal_read *read)
{
    buffer_deinit(&read->entries);
    memory_free(read->bytes);
    memory_free(read);
}

/* ---- one step: the batches of one stretch of one segment ---- */

static void step_plan(struct wal_read *read, const struct wal_group *group, size_t at)
{
    const struct wal_place *place = &group->places[at];
    size_t rest = read->size_max > read->entries.size ? read->size_max - read->entries.size : 0;
    size_t limit = rest < WAL_READ_STEP_SIZE ? rest : WAL_READ_STEP_SIZE;
    read->segment = place->segment;
    read->offset = place->offset;
    read->size = place->used;
    read->places[0] = *place;
    read->place_count = 1;
    while (++at < group->count && read->place_count < WAL_READ_PLACES_MAX) {
        const struct wal_place *next = &group->places[at];
        uint64_t size = (uint64_t)next->offset + next->used - read->offset;
        if (next->segment != place->segment || next->first != next[-1].last + 1 || size > limit)
            return;
        read->size = size;
        read->places[read->place_count++] = *next;
    }
}

static bool slot_find(const struct wal *wal, size_t *slot)
{
    for (*slot = 0; *slot < WAL_READS_MAX; ++*slot)
        if (!wal->reads[*slot])
            return true;
    return false;
}

static void step_start(struct wal *wal, struct wal_read *read)
{
    const struct wal_group *group = wal_group_find(wal, read->group);
    size_t at, slot;
    bool full = read->count && read->entries.size >= read->size_max;
    if (full || !wal_place_find(group, read->next, &at)) {
        read->phase = WAL_READ_DONE;
        return;
    }
    read->phase = WAL_READ_WAITING;
    if (!slot_find(wal, &slot))
        return;
    step_plan(read, group, at);
    read->bytes = memory_allocate(read->size);
    read->phase = WAL_READ_UNDER_WAY;
    read->segment->reads++;
    wal->reads[slot] = read;
    io_file_read_start(wal->io, read->segment->file, read->bytes, read->size, read->offset,
                       wal->tag + WAL_TAG_READ + slot);
}

/* ---- what came ---- */

struct collected { /* of one place: where its entries begin in read->entries */
    uint64_t base;
    size_t *starts;
    size_t count, capacity;
};

static void entry_collect(struct wal_read *read, struct collected *collected,
                          const struct wal_record *record)
{
    uint64_t at = record->index < collected->base ? 0 : record->index - collected->base;
    if (at < collected->count) { /* it makes the later ones void */
        read->entries.size = collected->starts[at];
        collected->count = at;
    }
    if (record->index < collected->base || at != collected->count)
        return;
    if (collected->count == collected->capacity) {
        collected->capacity = collected->capacity ? collected->capacity * 2 : 64;
        collected->starts =
            memory_resize(collected->starts, collected->capacity * sizeof *collected->starts);
    }
    assert(collected->starts && collected->count < collected->capacity);
    collected->starts[collected->count++] = read->entries.size;
    enum status status = buffer_append(&read->entries, record->payload.at, record->payload.size);
    assert(status == STATUS_OK);
}

/* True when the reading ends here: no more fits. */
static bool size_keep(struct wal_read *read, struct collected *collected)
{
    bool full = false;
    while (read->entries.size > read->size_max && collected->count > (read->count ? 0 : 1)) {
        read->entries.size = collected->starts[--collected->count];
        full = true;
    }
    return full;
}

/* WAL-4: a batch and its records are checked against the place where they must be. */
static enum status place_collect(const struct wal *wal, struct wal_read *read,
                                 const struct wal_place *place, bool *full)
{
    const uint8_t *at = read->bytes + (place->offset - read->offset);
    struct wal_batch_header header;
    struct wal_record record;
    if (wal_batch_header_load(at, &header) || header.file_id != read->segment->file_id ||
        header.life != read->segment->header.life || header.offset != place->offset ||
        header.used != place->used || !wal_log_id_equal(header.log, wal->log) ||
        !wal_batch_holds(at, &header))
        return STATUS_DAMAGED;
    struct collected collected = {.base = read->next > place->first ? read->next : place->first};
    struct wal_cursor cursor = wal_cursor_of(at, header.used);
    while (wal_cursor_next(&cursor, &record))
        if (record.kind == WAL_ENTRY && group_id_equal(record.group, read->group) &&
            record.index <= place->last)
            entry_collect(read, &collected, &record);
    bool whole = collected.count && collected.base + collected.count - 1 == place->last;
    *full = size_keep(read, &collected);
    read->count += collected.count;
    read->next = collected.base + collected.count;
    memory_free(collected.starts);
    return whole ? STATUS_OK : STATUS_DAMAGED;
}

static void step_finish(struct wal *wal, struct wal_read *read, const struct io_event *event)
{
    bool full = false;
    if (event->status || event->position < read->size)
        read->status = STATUS_DAMAGED;
    for (size_t i = 0; !read->status && !full && i < read->place_count; i++)
        read->status = place_collect(wal, read, &read->places[i], &full);
    memory_free(read->bytes);
    read->bytes = NULL;
    if (read->status || full)
        read->phase = WAL_READ_DONE;
    else
        step_start(wal, read);
}

static void waiting_start(struct wal *wal)
{
    for (size_t i = 0; i < wal->groups.capacity; i++) {
        const struct wal_group *group = wal->groups.at[i];
        if (group && group->read && group->read->phase == WAL_READ_WAITING)
            step_start(wal, group->read);
    }
}

enum status wal_read_event(struct wal *wal, size_t slot, const struct io_event *event)
{
    struct wal_read *read = slot < WAL_READS_MAX ? wal->reads[slot] : NULL;
    if (!read)
        return STATUS_OK;
    wal->reads[slot] = NULL;
    read->segment->reads--;
    if (read->ended)
        read_free(read);
    else
        step_finish(wal, read, event);
    waiting_start(wal);
    if (!wal->failed)
        wal_recycle(wal);
    return STATUS_OK;
}

/* ---- the owner's calls ---- */

enum status wal_read_start(struct wal *wal, struct group_id id, uint64_t first, size_t size_max)
{
    size_t at;
    struct wal_group *group = wal_group_find(wal, id);
    assert(wal->phase == WAL_READY);
    if (!group || !wal_place_find(group, first, &at))
        return STATUS_NOT_FOUND;
    assert(!group->read);
    group->read = memory_zeroed(1, sizeof *group->read);
    group->read->group = id;
    group->read->next = first;
    group->read->size_max = size_max;
    buffer_init(&group->read->entries, WAL_OPEN_BATCH_SIZE_MAX + size_max);
    step_start(wal, group->read);
    return STATUS_OK;
}

enum status wal_read_result(struct wal *wal, struct group_id id, struct slice *entries,
                            size_t *count)
{
    const struct wal_group *group = wal_group_find(wal, id);
    assert(group && group->read);
    const struct wal_read *read = group->read;
    if (read->phase != WAL_READ_DONE)
        return STATUS_AGAIN;
    if (read->status)
        return read->status;
    *entries = slice_of_buffer(&read->entries);
    *count = read->count;
    return STATUS_OK;
}

void wal_read_end(struct wal *wal, struct group_id id)
{
    struct wal_group *group = wal_group_find(wal, id);
    assert(group && group->read);
    if (group->read->phase == WAL_READ_UNDER_WAY)
        group->read->ended = true;
    else
        read_free(group->read);
    group->read = NULL;
}

/* After the files are closed. What the io still reads into cannot be freed: a read that outlives
 * its log is left to the end of the process. */
void wal_reads_deinit(struct wal *wal)
{
    for (size_t i = 0; i < wal->groups.capacity; i++) {
        const struct wal_group *group = wal->groups.at[i];
        if (group && group->read)
            wal_read_end(wal, group->id);
    }
    for (size_t i = 0; i < WAL_READS_MAX; i++)
        if (wal->reads[i] && io_file_reads_pending(wal->io, wal->reads[i]->segment->file) == 0)
            read_free(wal->reads[i]);
}
