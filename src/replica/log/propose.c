/* Propose: execute on the newest state, encode the effect once, hand it to log and raft. */
#include "replica/log/log.h"

#include <assert.h>

void replica_note_written(struct replica *replica, struct replica_turn *turn)
{
    if (!replica->unnoted)
        return;
    replica->unnoted = false;
    if (replica->written_ticket != wal_next_ticket(turn->wal))
        replica->noted_before = replica->noted;
    replica->noted = raft_view(replica->raft)->last_index;
    replica->written_ticket = wal_next_ticket(turn->wal);
    struct raft_event event = {.kind = RAFT_WRITTEN, .ticket = replica->written_ticket};
    replica_step(replica, turn, &event);
}

/* The voters' median clock, once a turn: it moves slowly, and requests come by the thousand. */
static int64_t median_wall_us(struct replica *replica, const struct replica_turn *turn)
{
    if (replica->median_read_ns != turn->now_ns) {
        replica->median_read_ns = turn->now_ns;
        replica->median_us = raft_median_wall_us(replica->raft, turn->now_ns, turn->wall_us);
    }
    return replica->median_us;
}

int64_t replica_next_us(struct replica *replica, struct replica_turn *turn)
{
    return group_clock_next_entry(&replica->clock, turn->now_ns, median_wall_us(replica, turn));
}

/* Room is made first, so that the bytes never move: log, frames and readers borrow them. */
static struct slice encode(struct replica *replica, const struct wire_entry *entry,
                           const struct slice payload[2])
{
    size_t bound = WIRE_ENTRY_PREFIX_MAX + payload[0].size + payload[1].size;
    struct buffer *room = entries_room(&replica->entries, bound);
    size_t before = room->size;
    enum status status = wire_entry_encode(entry, payload, room);
    assert(status == STATUS_OK); /* sizes were bounded where the request came in */
    return slice_of(room->at + before, room->size - before);
}

void replica_log_entry(struct replica *replica, struct replica_turn *turn,
                       const struct wire_entry *entry, struct slice bytes)
{
    bool configuration = entry->kind == WIRE_ENTRY_CONFIGURATION; /* WAL-6, REPLICA-8 */
    struct wal_record record = {.kind = WAL_ENTRY,
                                .group = entry->group,
                                .index = entry->index,
                                .term = entry->term,
                                .payload = bytes};
    wal_append(turn->wal, &record, configuration ? WAL_SYNC_ALWAYS : replica_sync(replica));
    if (configuration)
        replica->configuration_ticket = wal_next_ticket(turn->wal);
}

void replica_append(struct replica *replica, struct replica_turn *turn, enum wire_entry_kind kind,
                    int64_t time_us, const struct slice payload[2])
{
    replica_append_event(replica, turn, kind, time_us, payload, &replica->propose_event);
}

void replica_append_event(struct replica *replica, struct replica_turn *turn,
                          enum wire_entry_kind kind, int64_t time_us, const struct slice payload[2],
                          struct raft_event *event)
{
    const struct raft_view *view = raft_view(replica->raft);
    struct wire_entry entry = {.kind = kind,
                               .group = replica->options.group,
                               .index = view->last_index + 1,
                               .term = view->term,
                               .time_us = time_us,
                               .ack = replica->append_ack};
    assert(time_us > replica->clock.last_entry_us); /* REPLICA-4 */
    struct slice bytes = encode(replica, &entry, payload);
    entries_add(&replica->entries, entry.index, bytes);
    replica->clock.last_entry_us = time_us;
    replica->unsent_bytes += bytes.size;
    replica_log_entry(replica, turn, &entry, bytes);
    if (entry.ack == (WIRE_ACK_ASYNC | WIRE_ACK_EARLY)) /* R10: answered once it is written */
        wal_note_told(turn->wal);
    event->bytes = bytes.size;
    replica_step(replica, turn, event);
    assert(view->last_index == entry.index);
    replica->unnoted = true;
}

static void note_keys(struct replica *replica, struct replica_turn *turn, struct slice payload,
                      uint64_t index)
{
    uint64_t hashes[64];
    size_t count = 0;
    bool whole = false;
    enum status status =
        command_effect_keys(turn->commands, replica->store, payload, hashes, 64, &count, &whole);
    if (status || whole || count == 64) { /* too many to name: every key waits */
        gate_table_note_whole(&replica->gates, index);
        return;
    }
    for (size_t i = 0; i < count; i++)
        gate_table_note(&replica->gates, hashes[i], index);
}

/* Appends what `effect` says as one entry; the store has it already. */
static uint64_t append_effect(struct replica *replica, struct replica_turn *turn,
                              const struct effect *effect, int64_t time_us)
{
    uint8_t count[VARINT_SIZE_MAX];
    struct slice payload[2] = {slice_of(count, effect_count_store(effect, count)),
                               slice_of_buffer(effect->out)};
    IO_NOTE(turn->io, "propose");
    replica_append(replica, turn, WIRE_ENTRY_COMMANDS, time_us, payload);
    replica->append_ack = 0;
    uint64_t index = raft_view(replica->raft)->last_index;
    struct slice bytes = entries_at(&replica->entries, index);
    replica_note_executed(replica, index, time_us, bytes.size);
    size_t size = payload[0].size + payload[1].size; /* the payload is the entry's end */
    note_keys(replica, turn, slice_of(bytes.at + bytes.size - size, size), index);
    return index;
}

/* The newest uncommitted write among the keys that a request touches. */
static uint64_t read_gate(const struct replica *replica, const struct command_call *call)
{
    size_t at = 0;
    if (command_is_whole(call->command, call->arguments, call->count))
        return raft_view(replica->raft)->last_index;
    uint64_t newest = replica->gates.whole;
    if (call->once) {
        struct store_key client = store_key_of(0, call->once->client); /* as _ONCE notes it */
        newest = gate_table_newest(&replica->gates, store_key_hash(replica->store, &client));
    }
    while ((at = command_next_key(call->command, call->arguments, call->count, at)) != 0) {
        struct store_key key = store_key_of(call->database, call->arguments[at]);
        uint64_t index = gate_table_newest(&replica->gates, store_key_hash(replica->store, &key));
        if (index > newest)
            newest = index;
    }
    return newest;
}

static bool log_has_room(const struct replica_turn *turn, const struct command_call *calls,
                         size_t count)
{
    size_t size = 0;
    if (!wal_disk_is_full(turn->wal))
        return true;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < calls[i].count; k++)
            size += calls[i].arguments[k].size;
    return wal_room(turn->wal) > WAL_RESERVE + size;
}

/* False: refused. Room was asked for all calls at once, so the first write is the one refused, and
 * nothing was changed before it. */
static bool run_calls(struct replica *replica, struct replica_turn *turn,
                      struct command_call *calls, size_t count, struct effect *effect)
{
    int64_t median_us = median_wall_us(replica, turn);
    int64_t now_us = turn->faults & REPLICA_FAULT_LOCAL_EXPIRY
                         ? turn->wall_us
                         : group_clock_next_entry(&replica->clock, turn->now_ns, median_us);
    bool may_write = log_has_room(turn, calls, count);
    for (size_t i = 0; i < count; i++) {
        struct command_call *call = &calls[i];
        call->table = turn->commands;
        call->store = replica->store;
        call->now_us = now_us;
        call->effect = effect;
        call->may_write = may_write;
        command_execute(call);
        if (call->refused)
            return false;
    }
    return true;
}

static uint64_t read_gate_of_all(const struct replica *replica, const struct command_call *calls,
                                 size_t count)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t index = read_gate(replica, &calls[i]);
        newest = index > newest ? index : newest;
    }
    return newest;
}

enum replica_outcome replica_execute_all(struct replica *replica, struct replica_turn *turn,
                                         struct command_call *calls, size_t count,
                                         struct replica_gate *gate)
{
    if (!replica_is_serving(replica))
        return REPLICA_NOT_SERVING;
    struct effect effect = {.out = turn->scratch};
    buffer_reset(turn->scratch);
    if (!run_calls(replica, turn, calls, count, &effect))
        return REPLICA_NO_SPACE;
    /* The turn's time: a round that confirms this read must begin in a later turn (replica_gate
     * asks for more, not as much). */
    *gate = (struct replica_gate){.term = replica->serving_term,
                                  .asked_ns = turn->now_ns,
                                  .ack = gate->ack,
                                  .early = gate->early};
    if (effect.count) {
        bool early = gate_may_open_early(replica, gate);
        replica->append_ack = (uint8_t)(gate->ack | (early ? WIRE_ACK_EARLY : 0));
        int64_t time_us = replica_next_us(replica, turn);
        gate->index = append_effect(replica, turn, &effect, time_us); /* REPLICA-7 */
        gate->wrote = true;
    } else { /* a write that wrote nothing is a read */
        gate->index = read_gate_of_all(replica, calls, count);
    }
    return REPLICA_RAN;
}

enum replica_outcome replica_execute(struct replica *replica, struct replica_turn *turn,
                                     struct command_call *call, struct replica_gate *gate)
{
    return replica_execute_all(replica, turn, call, 1, gate);
}

uint64_t replica_key_version(const struct replica *replica, uint64_t hash)
{
    return gate_table_newest(&replica->gates, hash);
}

/* Keys past their deadline that nobody touches: the leader deletes them by the log, a few at a
 * time. */
static void expire(struct replica *replica, struct replica_turn *turn)
{
    enum {
        EXPIRE_MAX = 200
    };
    replica->next_expiry_ns = turn->now_ns + 100 * 1000000ull;
    int64_t median_us = median_wall_us(replica, turn);
    int64_t now_us = group_clock_next_entry(&replica->clock, turn->now_ns, median_us);
    if (store_next_deadline_us(replica->store) > now_us || wal_disk_is_full(turn->wal))
        return;
    struct effect effect = {.out = turn->scratch};
    buffer_reset(turn->scratch);
    size_t expired = command_expire(turn->commands, replica->store, now_us, EXPIRE_MAX, &effect);
    if (!expired)
        return;
    append_effect(replica, turn, &effect, now_us);
    if (expired == EXPIRE_MAX)
        replica->next_expiry_ns = turn->now_ns + 1000000;
}

void replica_tick(struct replica *replica, struct replica_turn *turn)
{
    struct raft_event event = {.kind = RAFT_TICK};
    if (turn->now_ns >= raft_view(replica->raft)->deadline_ns)
        replica_step(replica, turn, &event);
    replica_leave_joint(replica, turn);
    if (replica_is_serving(replica) && turn->now_ns >= replica->next_expiry_ns)
        expire(replica, turn);
}
