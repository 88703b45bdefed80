/* Apply what is committed, in log order, from memory or from the disk. */
#include "replica/log/log.h"

#include "base/memory.h"

#define APPLY_BYTES_MAX (1u << 20) /* of one turn: heartbeats must not wait for a long log */
#define READ_BYTES      (1u << 20)

void replica_read_log(struct replica *replica, struct replica_turn *turn, enum log_reader reader,
                      uint64_t first, size_t size_max)
{
    if (replica->reader != LOG_READER_NONE)
        return;
    if (wal_read_start(turn->wal, replica->options.group, first, size_max) != STATUS_OK)
        return; /* not yet in the kernel: asked again next turn */
    replica->reader = reader;
    replica->reader_first = first;
}

void replica_note_executed(struct replica *replica, uint64_t index, int64_t time_us, size_t size)
{
    replica->executed = index;
    replica->executed_us = time_us;
    replica->log_size += size;
    replica->executed_bytes += size;
}

/* REPLICA-5: what a replica holds comes from the entries alone, in their order and at their times;
 * no clock of its own, no key removed that no entry removes. */
static enum status apply_one(struct replica *replica, struct replica_turn *turn, struct slice bytes,
                             bool is_checked)
{
    struct wire_entry entry;
    size_t size = bytes.size;
    enum status status =
        is_checked ? wire_entry_take_checked(&bytes, &entry) : wire_entry_take(&bytes, &entry);
    if (!status && entry.index != replica->executed + 1)
        status = STATUS_INVALID;
    if (!status && entry.kind == WIRE_ENTRY_COMMANDS)
        status = command_apply(turn->commands, replica->store, entry.payload, entry.time_us);
    if (status)
        return status;
    replica_note_executed(replica, entry.index, entry.time_us, size);
    IO_NOTE(turn->io, "apply");
    return STATUS_OK;
}

/* From here on the leader executes: everything of earlier terms is committed and applied
 * (REPLICA-2). */
static void begin_serving(struct replica *replica)
{
    const struct raft_view *view = raft_view(replica->raft);
    if (replica->serving_term == view->term || !raft_is_serving(replica->raft))
        return;
    if (replica->executed != view->last_index)
        return;
    gate_table_deinit(&replica->gates);
    gate_table_init(&replica->gates);
    replica->serving_term = view->term;
    replica->next_expiry_ns = 0;
}

/* Planted: what has expired by this node's own clock goes, without an entry. */
static void fault_local_expiry(struct replica *replica, struct replica_turn *turn)
{
    struct effect effect = {.out = turn->scratch};
    buffer_reset(turn->scratch);
    command_expire(turn->commands, replica->store, turn->wall_us, 100, &effect);
}

void replica_look_ahead(struct replica *replica, struct store_ahead *ahead)
{
    uint64_t commit = raft_view(replica->raft)->commit, index = replica->executed + 1;
    if (replica_is_loading(replica))
        return;
    for (; index <= commit && !store_ahead_is_full(ahead) && entries_have(&replica->entries, index);
         index++) {
        struct wire_entry entry;
        struct slice bytes = entries_at(&replica->entries, index);
        struct store_key key;
        if (!wire_entry_take_checked(&bytes, &entry) && entry.kind == WIRE_ENTRY_COMMANDS &&
            command_effect_guess_key(entry.payload, &key))
            store_ahead_add(ahead, replica->store, &key);
    }
    replica->fetched = index - 1;
}

static void fetch_next(struct replica *replica)
{
    struct store_ahead ahead;
    ahead.count = 0;
    replica_look_ahead(replica, &ahead);
    if (ahead.count > 1)
        store_prefetch(&ahead);
}

size_t replica_cache_size(const struct replica *replica)
{
    size_t most = replica->options.cache_size_max;
    const size_t *share = replica->options.cache_share;
    return share && *share < most ? *share : most;
}

bool replica_apply(struct replica *replica, struct replica_turn *turn)
{
    const struct raft_view *view = raft_view(replica->raft);
    size_t applied = 0;
    if (replica_is_loading(replica))
        return false;
    while (replica->executed < view->commit && applied < APPLY_BYTES_MAX) {
        if (!entries_have(&replica->entries, replica->executed + 1)) {
            replica_read_log(replica, turn, LOG_READER_APPLY, replica->executed + 1, READ_BYTES);
            return false;
        }
        if (replica->fetched <= replica->executed)
            fetch_next(replica);
        struct slice bytes = entries_at(&replica->entries, replica->executed + 1);
        if (apply_one(replica, turn, bytes, true)) {
            turn->damaged = true;
            return false;
        }
        applied += bytes.size;
    }
    if ((turn->faults & REPLICA_FAULT_LOCAL_EXPIRY) && !replica_is_serving(replica))
        fault_local_expiry(replica, turn);
    begin_serving(replica);
    flight_serve(replica, turn);
    shown_step(replica);
    shown_apply(replica, turn);
    uint64_t applied_index = replica_applied(replica);
    entries_trim(&replica->entries, applied_index, replica_cache_size(replica));
    return replica->executed < view->commit;
}

static void apply_read(struct replica *replica, struct replica_turn *turn, struct slice entries,
                       size_t count)
{
    uint64_t commit = raft_view(replica->raft)->commit;
    if (replica->reader_first != replica->executed + 1 || replica_is_loading(replica))
        return; /* the store was dropped meanwhile */
    for (size_t i = 0; i < count && replica->executed < commit; i++) {
        struct slice entry;
        if (slice_take(&entries, wire_entry_length(entries), &entry) ||
            apply_one(replica, turn, entry, false)) {
            turn->damaged = true;
            return;
        }
    }
    shown_apply(replica, turn);
}

static void send_read(struct replica *replica, struct replica_turn *turn, struct slice entries,
                      size_t count)
{
    const struct raft_view *view = raft_view(replica->raft);
    struct raft_message *message = &replica->reader_message;
    bool current = view->role == RAFT_LEADER && view->term == message->term && count &&
                   message->index + 1 == replica->reader_first;
    if (!current)
        return;
    struct raft_progress progress;
    if (raft_progress(replica->raft, replica->reader_peer, &progress) ||
        progress.next != replica->reader_first)
        return;
    message->last_index = message->index + count;
    message->commit = view->commit;
    message->round = view->round;
    const struct raft_configuration *configuration = raft_configuration(replica->raft);
    for (size_t i = 0; i < configuration->member_count; i++) {
        const struct raft_member *member = &configuration->members[i];
        if (!replica_id_equal(member->replica, replica->reader_peer))
            continue;
        struct peer_id peer = peer_of(turn->peers, member->node, replica->options.group);
        struct wire_frame *frame = peer_frame(turn->peers, peer, WIRE_LINK_DATA);
        if (!frame || peer_room(turn->peers, peer, WIRE_LINK_DATA) < entries.size)
            return;
        wire_add_raft(frame, message, &entries, 1);
        struct raft_event event = {.kind = RAFT_SENT,
                                   .from = replica->reader_peer,
                                   .index = message->last_index,
                                   .bytes = entries.size};
        replica_step(replica, turn, &event);
        return;
    }
}

void replica_take_log_read(struct replica *replica, struct replica_turn *turn)
{
    struct slice entries;
    size_t count = 0;
    if (replica->reader == LOG_READER_NONE)
        return;
    enum status status = wal_read_result(turn->wal, replica->options.group, &entries, &count);
    if (status == STATUS_AGAIN)
        return;
    enum log_reader reader = replica->reader;
    replica->reader = LOG_READER_NONE;
    if (status)
        turn->damaged = true;
    else if (reader == LOG_READER_APPLY)
        apply_read(replica, turn, entries, count);
    else if (reader == LOG_READER_WALK)
        replica_walk_read(replica, entries, count);
    else
        send_read(replica, turn, entries, count);
    wal_read_end(turn->wal, replica->options.group);
}
