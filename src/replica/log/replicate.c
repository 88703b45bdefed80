/* Send to followers, receive from the leader, and turn what the log and the links say into raft
 * events. */
#include "replica/log/log.h"

#include "base/memory.h"

#include <assert.h>

#define SEND_PIECES_MAX    512
#define SEND_BYTES_MAX     (1u << 20)
#define READ_BYTES         (1u << 20)
#define CONFIGURATIONS_MAX 8    /* of one append; what is behind them comes again */
#define PREFERRED_LAG_MAX  1000 /* entries: on their way, no more */

/* ---- leader ---- */

/* Entries first .. *last as pieces, merged where they lie side by side; lowers *last to what fits.
 */
static size_t gather(const struct replica *replica, uint64_t first, uint64_t *last, size_t room,
                     struct slice pieces[SEND_PIECES_MAX], size_t *bytes)
{
    size_t count = 0;
    uint64_t index = first;
    *bytes = 0;
    for (; index <= *last; index++) {
        struct slice entry = entries_at(&replica->entries, index);
        if (*bytes + entry.size > room && *bytes)
            break;
        bool adjacent = count && pieces[count - 1].at + pieces[count - 1].size == entry.at;
        if (!adjacent && count == SEND_PIECES_MAX)
            break;
        if (adjacent)
            pieces[count - 1].size += entry.size;
        else
            pieces[count++] = entry;
        *bytes += entry.size;
    }
    *last = index - 1;
    return count;
}

static void send_to(struct replica *replica, struct replica_turn *turn,
                    const struct raft_member *member)
{
    struct raft_message message;
    uint64_t first, last;
    struct peer_id peer = peer_of(turn->peers, member->node, replica->options.group);
    struct wire_frame *frame = peer_frame(turn->peers, peer, WIRE_LINK_DATA);
    size_t room = peer_room(turn->peers, peer, WIRE_LINK_DATA);
    if (!frame)
        return;
    if (room < SEND_BYTES_MAX) {
        replica->send_again = true;
        return;
    }
    enum raft_next next =
        raft_next_append(replica->raft, member->replica, false, &message, &first, &last);
    if (next == RAFT_NEXT_SNAPSHOT && replica_offer(replica, turn, frame, &message)) {
        struct raft_event offered = {
            .kind = RAFT_SNAPSHOT_SENT, .from = member->replica, .index = message.index};
        replica_step(replica, turn, &offered);
    }
    if (next != RAFT_NEXT_ENTRIES)
        return;
    if (last >= first && !entries_have(&replica->entries, first)) {
        if (replica->reader == LOG_READER_NONE) {
            replica->reader_peer = member->replica;
            replica->reader_message = message;
            replica_read_log(replica, turn, LOG_READER_PEER, first, READ_BYTES);
        }
        replica->send_again = true;
        return;
    }
    struct slice pieces[SEND_PIECES_MAX];
    size_t bytes = 0, count = 0;
    if (last >= first)
        count = gather(replica, first, &last, SEND_BYTES_MAX, pieces, &bytes);
    else
        last = message.index;
    message.last_index = last;
    wire_add_raft(frame, &message, pieces, count);
    if (count)
        IO_NOTE(turn->io, "send");
    if (last > replica->sent_through)
        replica->sent_through = last;
    struct raft_event event = {
        .kind = RAFT_SENT, .from = member->replica, .index = last, .bytes = bytes};
    replica_step(replica, turn, &event);
    replica->send_again |= last < raft_view(replica->raft)->last_index;
}

/* R10: once a turn, so that the appends of this turn carry it. */
static void tell_acknowledged(struct replica *replica, struct replica_turn *turn)
{
    struct raft_event event = {.kind = RAFT_ACKNOWLEDGED, .index = replica->acknowledged};
    if (replica->acknowledged > raft_view(replica->raft)->acked)
        replica_step(replica, turn, &event);
}

void replica_send(struct replica *replica, struct replica_turn *turn)
{
    if (raft_view(replica->raft)->role != RAFT_LEADER)
        return;
    tell_acknowledged(replica, turn);
    const struct raft_configuration *configuration = raft_configuration(replica->raft);
    replica->send_again = false;
    for (size_t i = 0; i < configuration->member_count; i++)
        if (!replica_id_equal(configuration->members[i].replica, replica->options.self))
            send_to(replica, turn, &configuration->members[i]);
    replica->unsent_bytes = 0;
    replica->sent_through = raft_view(replica->raft)->last_index;
}

size_t replica_unsent_bytes(const struct replica *replica)
{
    return replica->unsent_bytes;
}

bool replica_is_settled(const struct replica *replica)
{
    const struct raft_view *view = raft_view(replica->raft);
    return view->role != RAFT_LEADER || view->commit >= replica->sent_through;
}

bool replica_may_rest(const struct replica *replica)
{
    const struct raft_view *view = raft_view(replica->raft);
    bool persists = replica->unnoted || replica->state_ticket ||
                    replica->reported_ticket < replica->written_ticket ||
                    replica->reader != LOG_READER_NONE;
    bool applies = replica->executed < view->commit ||
                   (raft_is_serving(replica->raft) && replica->serving_term != view->term);
    bool sends = view->role == RAFT_LEADER && (replica->unsent_bytes || replica->send_again ||
                                               view->commit < replica->sent_through);
    return !persists && !applies && !sends && replica_is_at_rest(replica);
}

/* ---- follower ---- */

/* Reads terms and configurations out of entries that wire/ has checked. Of more configurations than
 * there is room for, the append ends before the first: `message` and `entries` are shortened. */
static size_t survey(struct replica *replica, struct raft_message *message, struct slice *entries,
                     uint64_t indexes[CONFIGURATIONS_MAX],
                     struct raft_configuration configurations[CONFIGURATIONS_MAX])
{
    size_t count = (size_t)(message->last_index - message->index), found = 0;
    struct slice rest = *entries;
    if (count > replica->entry_terms_capacity) {
        replica->entry_terms_capacity = count;
        replica->entry_terms = memory_resize(replica->entry_terms, count * sizeof(uint64_t));
    }
    for (size_t i = 0; i < count; i++) {
        struct wire_entry entry;
        size_t before = entries->size - rest.size;
        if (wire_entry_take_checked(&rest, &entry))
            return SIZE_MAX;
        replica->entry_terms[i] = entry.term;
        if (entry.kind != WIRE_ENTRY_CONFIGURATION)
            continue;
        if (found == CONFIGURATIONS_MAX) {
            message->last_index = message->index + i;
            entries->size = before;
            return found;
        }
        if (raft_configuration_decode(entry.payload, &configurations[found]))
            return SIZE_MAX;
        configurations[found].index = entry.index;
        indexes[found++] = entry.index;
    }
    return found;
}

/* REPLICA-6: one append for the memory that feeds raft's windows and for the log whose ticket its
 * accept waits for. */
static void keep(struct replica *replica, struct replica_turn *turn, struct slice entries,
                 uint64_t from)
{
    struct wire_entry entry;
    IO_NOTE(turn->io, "accept");
    while (entries.size && wire_entry_take_checked(&entries, &entry) == STATUS_OK) {
        if (entry.index < from)
            continue;
        /* REPLICA-6: in memory and in the log batch before raft can say an accept */
        struct buffer *room = entries_room(&replica->entries, entry.bytes.size);
        uint8_t *at = room->at + room->size;
        if (buffer_append(room, entry.bytes.at, entry.bytes.size))
            fatal("an arena chunk was smaller than what was asked for");
        entries_add(&replica->entries, entry.index, slice_of(at, entry.bytes.size));
        replica->clock.last_entry_us = entry.time_us;
        replica_log_entry(replica, turn, &entry, slice_of(at, entry.bytes.size));
    }
}

void replica_receive(struct replica *replica, struct replica_turn *turn,
                     const struct raft_message *message, struct slice entries)
{
    struct raft_event event = {.kind = RAFT_RECEIVE, .message = *message, .from = message->from};
    uint64_t indexes[CONFIGURATIONS_MAX];
    struct raft_configuration configurations[CONFIGURATIONS_MAX];
    if (message->kind == RAFT_APPEND && message->last_index > message->index) {
        size_t found = survey(replica, &event.message, &entries, indexes, configurations);
        if (found == SIZE_MAX)
            return;
        event.entry_terms = replica->entry_terms;
        event.configuration_count = found;
        event.configuration_indexes = indexes;
        event.configurations = configurations;
    }
    if (message->kind == RAFT_APPEND && wal_disk_is_full(turn->wal) && entries.size &&
        wal_room(turn->wal) < WAL_RESERVE / 2 + entries.size)
        return; /* cannot be kept: as if it had been lost on the way */
    replica_step(replica, turn, &event);
    if (message->kind != RAFT_APPEND)
        return;
    replica_hear_acknowledged(replica, message);
    uint64_t from = entries.size ? raft_view(replica->raft)->accepted_from : 0;
    if (from) {
        keep(replica, turn, entries, from);
        replica->unnoted = true;
    }
    struct shown_word word = {
        .from = message->from, .term = message->term, .commit = message->commit};
    shown_hear(replica, turn, &word);
}

/* ---- heartbeats, links, log ---- */

void replica_fetch(struct replica *const *replicas, size_t count)
{
    const struct raft *rafts[REPLICA_FETCH_MAX];
    assert(count <= REPLICA_FETCH_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct replica *replica = replicas[i];
        const void *const lines[] = {&replica->options,     &replica->raft,
                                     &replica->executed,    &replica->written_ticket,
                                     &replica->told_term,   &replica->heard,
                                     &replica->flight.role, &replica->next_expiry_ns,
                                     replica->shown.at,     &replica->shown.said};
        for (size_t k = 0; k < sizeof lines / sizeof lines[0]; k++)
            memory_touch(lines[k]);
    }
    for (size_t i = 0; i < count; i++)
        rafts[i] = replicas[i]->raft;
    raft_fetch(rafts, count);
}

void replica_beat(struct replica *replica, struct replica_turn *turn, const struct wire_beat *beat,
                  int64_t wall_us, bool answer)
{
    struct raft_event event = {.kind = answer ? RAFT_HEARTBEAT_ANSWER : RAFT_HEARTBEAT,
                               .from = beat->from,
                               .term = beat->term,
                               .round = beat->round,
                               .commit = beat->commit,
                               .agreed = beat->agreed};
    event.message.wall_us = wall_us;
    replica_step(replica, turn, &event);
    struct shown_word word = {.from = beat->from,
                              .term = beat->term,
                              .commit = beat->commit,
                              .says_behind = beat->behind,
                              .behind = beat->behind};
    if (!answer)
        shown_hear(replica, turn, &word);
}

void replica_begin_round(struct replica *replica, struct replica_turn *turn)
{
    struct raft_event event = {.kind = RAFT_ROUND};
    replica_step(replica, turn, &event);
}

void replica_peer_changed(struct replica *replica, struct replica_turn *turn, struct node_id node,
                          bool refused)
{
    (void)refused;
    const struct raft_configuration *configuration = raft_configuration(replica->raft);
    for (size_t i = 0; i < configuration->member_count; i++) {
        if (!node_id_equal(configuration->members[i].node, node))
            continue;
        struct raft_event event = {.kind = RAFT_PEER_LOST,
                                   .from = configuration->members[i].replica};
        replica_step(replica, turn, &event);
    }
}

void replica_suspect_leader(struct replica *replica, struct replica_turn *turn, struct node_id node)
{
    const struct raft_view *view = raft_view(replica->raft);
    struct raft_event event = {.kind = RAFT_PEER_LOST, .from = view->leader};
    if (view->role != RAFT_LEADER && view->leader.value &&
        node_id_equal(replica_leader_node(replica), node)) {
        replica_step(replica, turn, &event);
        replica->flight.suspicion = REPLICA_LEADER_SUSPECTED;
    }
}

void replica_log_moved(struct replica *replica, struct replica_turn *turn)
{
    uint64_t durable = wal_durable_ticket(turn->wal);
    if (replica->configuration_ticket <= durable)
        replica->configuration_ticket = 0;
    /* RAFT-5, REPLICA-9: a configuration is synced at every level, and until it is, what stands
     * before it may be of a stricter one. Else "persisted" means written at these levels. */
    if (replica_sync(replica) != WAL_SYNC_ALWAYS && !replica->configuration_ticket)
        durable = wal_written_ticket(turn->wal);
    if (replica->state_ticket && wal_durable_ticket(turn->wal) >= replica->state_ticket) {
        replica->state_ticket = 0;
        struct raft_event saved = {.kind = RAFT_STATE_SAVED, .version = replica->state_version};
        replica_step(replica, turn, &saved);
    }
    if (replica->reported_ticket < replica->written_ticket && durable > replica->reported_ticket) {
        replica->reported_ticket = durable;
        struct raft_event event = {.kind = RAFT_PERSISTED, .ticket = durable};
        replica_step(replica, turn, &event);
    }
    replica_take_log_read(replica, turn);
}

void replica_step_down(struct replica *replica, struct replica_turn *turn)
{
    struct raft_event event = {.kind = RAFT_STEP_DOWN};
    replica_step(replica, turn, &event);
}

bool replica_hand_over(struct replica *replica, struct replica_turn *turn)
{
    const struct raft_view *view = raft_view(replica->raft);
    struct raft_event event = {.kind = RAFT_TRANSFER};
    if (view->role != RAFT_LEADER || replica_voters_heard(replica, turn->now_ns) < 2)
        return false;
    if (!view->transfer_to.value)
        replica_step(replica, turn, &event);
    return true;
}

bool replica_is_ready(const struct replica *replica, struct replica_id other, uint64_t now_ns)
{
    struct raft_progress progress;
    if (!replica_is_serving(replica) || raft_progress(replica->raft, other, &progress))
        return false;
    uint64_t silent_ns = replica->options.election_timeout_min_ns / 2;
    return now_ns < progress.last_contact_ns + silent_ns && !progress.probing &&
           !progress.snapshot_index && progress.lag <= PREFERRED_LAG_MAX;
}

bool replica_is_waited_for(const struct replica *replica)
{
    const struct raft_member *self =
        raft_find_member(raft_configuration(replica->raft), replica->options.self);
    struct replica_id leader = raft_view(replica->raft)->leader;
    if (!leader.value || replica_id_equal(leader, replica->options.self))
        return false;
    return self && self->kind == RAFT_VOTER && !self->out_of_sync;
}

struct replica_id replica_preferred(const struct replica *replica, uint64_t now_ns)
{
    const struct raft_configuration *configuration = raft_configuration(replica->raft);
    const struct raft_member *preferred = NULL, *self = NULL;
    for (size_t i = 0; i < configuration->member_count; i++) {
        const struct raft_member *member = &configuration->members[i];
        if (replica_id_equal(member->replica, replica->options.self))
            self = member;
        if (member->kind == RAFT_VOTER && (!preferred || member->priority > preferred->priority))
            preferred = member;
    }
    bool other = self && preferred && preferred->priority > self->priority;
    bool ready =
        other && !configuration->joint && replica_is_ready(replica, preferred->replica, now_ns);
    return ready ? preferred->replica : (struct replica_id){0};
}

void replica_transfer(struct replica *replica, struct replica_turn *turn, struct replica_id to)
{
    struct raft_event event = {.kind = RAFT_TRANSFER, .from = to};
    replica_step(replica, turn, &event);
}

void replica_campaign(struct replica *replica, struct replica_turn *turn)
{
    struct raft_event event = {.kind = RAFT_CAMPAIGN};
    replica_step(replica, turn, &event);
}
