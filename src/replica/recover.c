/* recover.c - from the newest snapshot and the log to a replica that may start.
 *
 *     snapshots   older (index o)     newest (index n): in the store
 *     log               [f ............................... last]
 *
 * Raft's log begins behind the base: 0, o or n, the first of them from which the log goes on
 * (base + 1 >= f). Entries up to the base are passed over; what follows counts while the log has
 * the base's own entry. At the end the log must have n's entry, too: if it has another one there or
 * ends before, a crash came between a received snapshot and the log's new beginning; then the log
 * begins anew behind n, for n is committed (R3). */
#include "replica/replica.h"

#include "base/memory.h"
#include "replica/bootstrap/bootstrap.h"
#include "replica/log/log.h"

#include <assert.h>
#include <stdio.h>

static const struct bootstrap_origin *newest_origin(const struct replica *replica)
{
    const struct bootstrap *bootstrap = replica->bootstrap;
    return bootstrap->origin_count ? &bootstrap->origins[bootstrap->origin_count - 1] : NULL;
}

void replica_recover_snapshot(struct replica *replica, struct snapshots *files)
{
    bootstrap_recover(replica->bootstrap, files, replica->options.group, replica->options.hash_seed,
                      &replica->store);
    const struct bootstrap_origin *origin = newest_origin(replica);
    if (origin)
        replica->executed = origin->index;
}

/* ---- the base ---- */

static void recover_term(struct replica *replica, uint64_t term, uint64_t index)
{
    struct raft_restart *restart = &replica->restart;
    if (restart->term_count && replica->terms[restart->term_count - 1].term == term)
        return;
    if (restart->term_count == replica->term_capacity) {
        replica->term_capacity = replica->term_capacity ? 2 * replica->term_capacity : 16;
        replica->terms =
            memory_resize(replica->terms, replica->term_capacity * sizeof *replica->terms);
    }
    replica->terms[restart->term_count++] = (struct raft_term_start){term, index};
}

/* The log goes on behind `origin`; NULL: from the very first entry. */
static void set_base(struct replica *replica, const struct bootstrap_origin *origin)
{
    struct raft_restart *restart = &replica->restart;
    const struct bootstrap *bootstrap = replica->bootstrap;
    uint64_t index = origin ? origin->index : 0;
    entries_truncate(&replica->entries, 0);
    restart->snapshot_index = restart->last_index = index;
    restart->term_count = 0;
    restart->configuration_count = 1;
    replica->configurations[0] = origin ? origin->configuration : replica->initial;
    if (!origin)
        replica->configurations[0].index = 0;
    for (size_t i = 0; i < bootstrap->term_count && bootstrap->terms[i].first_index <= index; i++)
        recover_term(replica, bootstrap->terms[i].term, bootstrap->terms[i].first_index);
    replica->base_term = origin ? origin->term : 0;
    replica->has_base = true;
}

/* The smallest place at or past `index` behind which a log may begin. */
static bool find_base(struct replica *replica, uint64_t index)
{
    const struct bootstrap *bootstrap = replica->bootstrap;
    const struct bootstrap_origin *origin = NULL;
    for (size_t i = bootstrap->origin_count; i-- > 0;)
        if (bootstrap->origins[i].index >= index)
            origin = &bootstrap->origins[i];
    if (index && !origin)
        return false;
    set_base(replica, index ? origin : NULL);
    replica->on_base = replica->restart.snapshot_index == index;
    return true;
}

/* ---- records ---- */

/* An entry at `index` makes everything at and past it void. */
static void recover_truncate(struct replica *replica, uint64_t index)
{
    struct raft_restart *restart = &replica->restart;
    entries_truncate(&replica->entries, index);
    while (restart->term_count && replica->terms[restart->term_count - 1].first_index >= index)
        restart->term_count--;
    while (restart->configuration_count > 1 &&
           replica->configurations[restart->configuration_count - 1].index >= index)
        restart->configuration_count--;
    restart->last_index = index - 1;
}

static enum status recover_configuration(struct replica *replica, const struct wire_entry *entry)
{
    struct raft_restart *restart = &replica->restart;
    struct raft_configuration configuration;
    enum status status = raft_configuration_decode(entry->payload, &configuration);
    if (status)
        return status;
    configuration.index = entry->index;
    if (restart->configuration_count == replica->configuration_capacity) {
        replica->configuration_capacity *= 2;
        replica->configurations =
            memory_resize(replica->configurations,
                          replica->configuration_capacity * sizeof *replica->configurations);
    }
    replica->configurations[restart->configuration_count++] = configuration;
    return STATUS_OK;
}

static enum status recover_keep(struct replica *replica, const struct wire_entry *entry,
                                struct slice bytes)
{
    struct raft_restart *restart = &replica->restart;
    if (restart->term_count && replica->terms[restart->term_count - 1].term > entry->term) {
        replica->on_base = false; /* of an older log that was cut before the base */
        return restart->snapshot_index ? STATUS_OK : STATUS_INVALID;
    }
    recover_term(replica, entry->term, entry->index);
    restart->last_index = entry->index;
    replica->has_early |= (entry->ack & WIRE_ACK_EARLY) != 0;
    replica->clock.last_entry_us = entry->time_us;
    if (entry->index > replica->executed)
        replica->log_size += bytes.size;
    else
        replica->bootstrap->log_between += bytes.size;
    struct buffer *room = entries_room(&replica->entries, bytes.size);
    uint8_t *at = room->at + room->size;
    if (buffer_append(room, bytes.at, bytes.size))
        return STATUS_INVALID;
    entries_add(&replica->entries, entry->index, slice_of(at, bytes.size));
    entries_trim(&replica->entries, entry->index, replica_cache_size(replica));
    if (entry->kind == WIRE_ENTRY_CONFIGURATION)
        return recover_configuration(replica, entry);
    return STATUS_OK;
}

/* Kept, so it is looked at with its own checksum: what comes here may be sent and applied. */
static enum status recover_above(struct replica *replica, const struct wal_record *record)
{
    struct slice from = record->payload;
    struct wire_entry entry;
    enum status status = wire_entry_take(&from, &entry);
    if (status)
        return status;
    if (entry.index != record->index || entry.term != record->term || from.size ||
        entry.group.value != replica->options.group.value)
        return STATUS_INVALID;
    recover_truncate(replica, entry.index);
    return replica->on_base ? recover_keep(replica, &entry, record->payload) : STATUS_OK;
}

enum status replica_recover_entry(struct replica *replica, const struct wal_record *record)
{
    if (record->index < 1 || (replica->scanned && record->index > replica->scanned + 1))
        return STATUS_INVALID;
    replica->scanned = record->index;
    /* The first ones that are left may be of a tail that was cut. */
    if (!replica->has_base && !find_base(replica, record->index - 1))
        return STATUS_OK;
    uint64_t base = replica->restart.snapshot_index;
    if (record->index > base)
        return recover_above(replica, record);
    /* A snapshot has it: nothing of it counts but its place and term, and these are the record's,
     * whose checksum the log has looked at. */
    recover_truncate(replica, base + 1);
    replica->on_base = record->index == base && record->term == replica->base_term;
    return STATUS_OK;
}

enum status replica_recover_mark(struct replica *replica, const struct wal_record *record)
{
    if (!find_base(replica, record->index))
        return STATUS_DAMAGED;
    replica->scanned = record->index;
    return replica->on_base && replica->base_term != record->term ? STATUS_INVALID : STATUS_OK;
}

/* Behind raft's own state stand the terms that are owed, 8 bytes each. */
static enum status recover_owed(struct replica *replica, struct slice owed)
{
    if (owed.size % sizeof(uint64_t) || owed.size > sizeof replica->owed)
        return STATUS_INVALID;
    replica->owed_count = owed.size / sizeof(uint64_t);
    for (size_t i = 0; i < replica->owed_count; i++)
        replica->owed[i] = load_u64(owed.at + i * sizeof(uint64_t));
    return STATUS_OK;
}

enum status replica_recover_state(struct replica *replica, const struct wal_record *record)
{
    struct raft_state state;
    struct slice bytes = record->payload;
    size_t size = raft_state_size(bytes);
    enum status status = raft_state_decode(slice_of(bytes.at, size), &state);
    if (status)
        return status;
    if (state.self.value < replica->options.self.value)
        return STATUS_OK; /* of one that was removed here before this one came (R5) */
    if (!replica_id_equal(state.self, replica->options.self))
        return STATUS_INVALID;
    replica->restart.term = state.term;
    replica->restart.vote = state.vote;
    replica->restart.unsure = state.unsure;
    replica->restart.history = state.history;
    return recover_owed(replica, slice_of(bytes.at + size, bytes.size - size));
}

/* ---- the end ---- */

static uint64_t recovered_term_at(const struct replica *replica, uint64_t index)
{
    const struct raft_restart *restart = &replica->restart;
    uint64_t term = 0;
    for (size_t i = 0; i < restart->term_count && replica->terms[i].first_index <= index; i++)
        term = replica->terms[i].term;
    return index <= restart->last_index ? term : 0;
}

/* The log has the first entry of a newer history, and the snapshot reaches past it without: it is
 * void, and its removal was not durable (RAFT-19). */
static bool is_void(const struct replica *replica, const struct bootstrap_origin *origin)
{
    const struct bootstrap *bootstrap = replica->bootstrap;
    const struct raft_history *history = &replica->restart.history;
    if (!history->term || recovered_term_at(replica, history->index) != history->term ||
        origin->index < history->index)
        return false;
    for (size_t i = 0; i < bootstrap->term_count; i++)
        if (bootstrap->terms[i].term == history->term)
            return false;
    return true;
}

static void drop_snapshots(struct replica *replica)
{
    bootstrap_forget_origins(replica->bootstrap);
    replica->bootstrap->newest = 0;
    store_clear(replica->store);
    store_once_clear(replica->store);
    replica->executed = 0;
}

/* BOOT-2: what starts has the store of its newest snapshot and a log that goes on from there. */
enum status replica_recover_end(struct replica *replica)
{
    const struct bootstrap_origin *origin = newest_origin(replica);
    if (origin && is_void(replica, origin)) {
        drop_snapshots(replica);
        origin = NULL;
    }
    if (!replica->has_base && replica->scanned)
        return STATUS_DAMAGED; /* R4 */
    if (!replica->has_base)
        set_base(replica, NULL);
    if (origin && recovered_term_at(replica, origin->index) != origin->term) {
        set_base(replica, origin);
        replica->log_size = replica->bootstrap->log_between = 0;
        replica->begins_anew = true;
    }
    if (origin && replica->clock.last_entry_us < origin->time_us)
        replica->clock.last_entry_us = origin->time_us;
    if (origin) {
        replica->executed_us = origin->time_us;
        replica->restart.commit = origin->index;
    }
    assert(replica->executed <= replica->restart.last_index);
    return STATUS_OK;
}
