#include "wal/log.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static size_t slot_of(const struct wal_groups *groups, struct group_id id)
{
    size_t slot = (id.value * 0x9E3779B97F4A7C15u >> 20) & (groups->capacity - 1);
    while (groups->at[slot] && !group_id_equal(groups->at[slot]->id, id))
        slot = (slot + 1) & (groups->capacity - 1);
    return slot;
}

struct wal_group *wal_group_find(const struct wal *wal, struct group_id id)
{
    return wal->groups.capacity ? wal->groups.at[slot_of(&wal->groups, id)] : NULL;
}

static void groups_grow(struct wal_groups *groups)
{
    struct wal_groups larger = {.count = groups->count,
                                .capacity = groups->capacity ? groups->capacity * 2 : 16};
    larger.at = memory_zeroed(larger.capacity, sizeof *larger.at);
    for (size_t i = 0; i < groups->capacity; i++)
        if (groups->at[i])
            larger.at[slot_of(&larger, groups->at[i]->id)] = groups->at[i];
    memory_free(groups->at);
    *groups = larger;
}

static struct wal_group *group_ensure(struct wal *wal, struct group_id id)
{
    struct wal_group *group = wal_group_find(wal, id);
    if (group)
        return group;
    if (wal->groups.count * 2 >= wal->groups.capacity)
        groups_grow(&wal->groups);
    group = memory_zeroed(1, sizeof *group);
    group->id = id;
    buffer_init(&group->state, WAL_RECORD_SIZE_MAX);
    wal->groups.at[slot_of(&wal->groups, id)] = group;
    wal->groups.count++;
    return group;
}

void wal_groups_deinit(struct wal *wal)
{
    for (size_t i = 0; i < wal->groups.capacity; i++) {
        struct wal_group *group = wal->groups.at[i];
        if (!group)
            continue;
        buffer_deinit(&group->state);
        memory_free(group->places);
        memory_free(group);
    }
    memory_free(wal->groups.at);
    for (size_t i = 0; i < wal->identity_count; i++)
        buffer_deinit(&wal->identities[i].payload);
    memory_free(wal->identities);
}

static void payload_keep(struct buffer *into, struct slice payload)
{
    buffer_reset(into);
    enum status status = buffer_append(into, payload.at, payload.size);
    assert(status == STATUS_OK);
}

static void identity_keep(struct wal *wal, const struct wal_record *record)
{
    size_t i = 0;
    while (i < wal->identity_count && wal->identities[i].index != record->index)
        i++;
    if (i == wal->identity_count) {
        wal->identities =
            memory_resize(wal->identities, ++wal->identity_count * sizeof *wal->identities);
        wal->identities[i].index = record->index;
        buffer_init(&wal->identities[i].payload, WAL_RECORD_SIZE_MAX);
    }
    payload_keep(&wal->identities[i].payload, record->payload);
}

/* ---- places ---- */

static void places_void(struct wal_group *group, uint64_t from)
{
    while (group->count > group->dropped && group->places[group->count - 1].first >= from)
        group->places[--group->count].segment->places--;
    if (group->count == group->dropped)
        return;
    struct wal_place *last = &group->places[group->count - 1];
    if (last->last >= from)
        last->last = from - 1;
    if (last->last <= group->released)
        group->places[--group->count].segment->places--;
}

static void places_make_room(struct wal_group *group)
{
    if (group->dropped > 32 && group->dropped > group->count / 2) {
        group->count -= group->dropped;
        memmove(group->places, group->places + group->dropped,
                group->count * sizeof *group->places);
        group->dropped = 0;
    }
    if (group->count < group->capacity)
        return;
    group->capacity = group->capacity ? group->capacity * 2 : 8;
    group->places = memory_resize(group->places, group->capacity * sizeof *group->places);
}

static void entry_note(struct wal_group *group, uint64_t index, const struct wal_place *place)
{
    struct wal_place *last =
        group->count > group->dropped ? &group->places[group->count - 1] : NULL;
    if (last && last->last >= index) {
        places_void(group, index);
        last = group->count > group->dropped ? &group->places[group->count - 1] : NULL;
    }
    if (index <= group->released) /* the group began anew further back: it is needed again */
        group->released = index ? index - 1 : 0;
    if (last && last->last + 1 == index && last->segment == place->segment &&
        last->offset == place->offset) {
        last->last = index;
        return;
    }
    places_make_room(group);
    assert(group->places && group->count < group->capacity);
    last = &group->places[group->count++];
    *last = *place;
    last->first = last->last = index;
    place->segment->places++;
}

bool wal_place_find(const struct wal_group *group, uint64_t index, size_t *at)
{
    size_t low = group->dropped, high = group->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (group->places[middle].last < index)
            low = middle + 1;
        else
            high = middle;
    }
    *at = low;
    return low < group->count && group->places[low].first <= index;
}

void wal_release(struct wal *wal, struct group_id id, uint64_t index)
{
    struct wal_group *group = group_ensure(wal, id);
    if (index <= group->released)
        return;
    group->released = index;
    while (group->dropped < group->count && group->places[group->dropped].last <= index)
        group->places[group->dropped++].segment->places--;
}

bool wal_holds_set_aside(const struct wal *wal)
{
    return wal->holds_set_aside;
}

void wal_release_set_aside(struct wal *wal)
{
    for (size_t i = 0; i < wal->chain.count; i++)
        wal->chain.at[i]->has_set_aside = false;
    wal->holds_set_aside = false;
}

uint64_t wal_held_size(const struct wal *wal, struct group_id id)
{
    const struct wal_group *group = wal_group_find(wal, id);
    uint64_t size = 0;
    if (!group || group->dropped == group->count)
        return 0;
    const struct wal_segment *first = group->places[group->dropped].segment;
    for (size_t i = wal->chain.count; i-- > 1 && wal->chain.at[i] != first;)
        size += wal->chain.at[i - 1]->size;
    return size;
}

/* What was before is void, and what comes next has a gap before it. */
static void mark_note(struct wal_group *group, uint64_t index)
{
    places_void(group, 0);
    group->released = index;
}

/* ---- notes ---- */

void wal_note_record(struct wal *wal, const struct wal_record *record,
                     const struct wal_place *place)
{
    switch ((unsigned)record->kind) {
    case WAL_ENTRY: entry_note(group_ensure(wal, record->group), record->index, place); break;
    case WAL_MARK: mark_note(group_ensure(wal, record->group), record->index); break;
    case WAL_STATE: {
        struct wal_group *group = group_ensure(wal, record->group);
        group->has_state = true;
        payload_keep(&group->state, record->payload);
        break;
    }
    case WAL_IDENTITY: identity_keep(wal, record); break;
    case WAL_KIND_RUN:
        payload_keep(&wal->run, record->payload);
        wal->run_clean = false;
        break;
    case WAL_KIND_CLEAN: wal->run_clean = true; break;
    case WAL_SET_ASIDE: wal->holds_set_aside = place->segment->has_set_aside = true; break;
    default: break;
    }
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void wal_groups_text(const struct wal *wal, char *text, size_t size)
{
    uint64_t *ids = memory_allocate(wal->groups.count * sizeof *ids);
    size_t count = 0, used = (size_t)snprintf(text, size, "groups");
    for (size_t i = 0; i < wal->groups.capacity; i++)
        if (wal->groups.at[i])
            ids[count++] = wal->groups.at[i]->id.value;
    qsort(ids, count, sizeof *ids, by_value);
    if (!count)
        snprintf(text + used, size - used, " not known");
    for (size_t i = 0; i < count; i++) {
        if (size - used < 32) {
            snprintf(text + used, size - used, " ...");
            break;
        }
        used += (size_t)snprintf(text + used, size - used, " %llu", (unsigned long long)ids[i]);
    }
    memory_free(ids);
}
