#include "wal/log.h"

#include <assert.h>

#define U(x) ((unsigned long long)(x))

static void files_dump(const struct wal_files *files, const char *role, struct buffer *text)
{
    for (size_t i = 0; i < files->count; i++) {
        const struct wal_segment *segment = files->at[i];
        buffer_print(text, "%s %016llx.wal size %llu life %llu first %llu places %zu reads %u\n",
                     role, U(segment->file_id), U(segment->size), U(segment->header.life),
                     U(segment->header.first_life), segment->places, segment->reads);
    }
}

void wal_dump(const struct wal *wal, struct buffer *text)
{
    buffer_print(text, "written %llu durable %llu end %llu sequence %llu open %u%s%s%s%s\n",
                 U(wal->written_ticket), U(wal->durable_ticket), U(wal->end), U(wal->sequence),
                 wal->open.count, wal->syncing ? " syncing" : "",
                 wal->preparing ? " preparing" : "", wal->disk_is_full ? " full" : "",
                 wal->failed ? " failed" : "");
    files_dump(&wal->chain, "segment", text);
    files_dump(&wal->spares, "spare", text);
    for (size_t i = 0; i < wal->groups.capacity; i++) {
        const struct wal_group *group = wal->groups.at[i];
        if (!group)
            continue;
        bool any = group->count > group->dropped;
        buffer_print(
            text, "group %llu released %llu entries %llu..%llu batches %zu\n", U(group->id.value),
            U(group->released), U(any ? group->places[group->dropped].first : 0),
            U(any ? group->places[group->count - 1].last : 0), group->count - group->dropped);
    }
}

static size_t places_validate(const struct wal *wal, const struct wal_segment *segment)
{
    size_t count = 0;
    for (size_t i = 0; i < wal->groups.capacity; i++) {
        const struct wal_group *group = wal->groups.at[i];
        for (size_t k = group ? group->dropped : 0; group && k < group->count; k++) {
            const struct wal_place *place = &group->places[k];
            assert(place->first <= place->last && place->last > group->released);
            assert(k == group->dropped || place[-1].last < place->first);
            assert((uint64_t)place->offset + place->used <= place->segment->size);
            count += place->segment == segment;
        }
    }
    return count;
}

void wal_validate(const struct wal *wal)
{
    const struct wal_segment *last = wal_last_segment(wal);
    if (wal->phase != WAL_READY)
        return;
    assert(wal->durable_ticket <= wal->written_ticket);
    assert(!wal->syncing || wal->sync_ticket <= wal->written_ticket);
    assert(!(wal->syncing && wal->unsynced)); /* nothing is written while a sync is in flight */
    assert(!last || wal->end <= last->size);
    assert(!last || wal->durable_position <= wal_position(last->header.life, wal->end)); /* V6 */
    assert(wal->recovery.found.count == 0);
    for (size_t i = 0; i < wal->chain.count; i++) {
        const struct wal_segment *segment = wal->chain.at[i];
        assert(segment->places == places_validate(wal, segment));
        assert(i == 0 || wal->chain.at[i - 1]->header.life < segment->header.life);
    }
}
