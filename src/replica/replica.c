/* Birth, start and the one way into raft. */
#include "replica/replica.h"

#include "base/memory.h"
#include "replica/bootstrap/bootstrap.h"
#include "replica/log/log.h"

#include <assert.h>

struct replica *replica_create(const struct replica_options *options)
{
    struct replica *replica = memory_zeroed(1, sizeof *replica);
    replica->options = *options;
    replica->initial = *options->initial;
    replica->options.initial = &replica->initial;
    replica->propose_event.kind = RAFT_PROPOSE;
    replica->store = store_create(options->hash_seed);
    entries_init(&replica->entries);
    gate_table_init(&replica->gates);
    replica->bootstrap = memory_zeroed(1, sizeof *replica->bootstrap);
    bootstrap_init(replica->bootstrap);
    shown_init(replica);
    replica->configuration_capacity = 4;
    replica->configurations = memory_zeroed(4, sizeof *replica->configurations);
    replica->configurations[0] = replica->initial;
    replica->configurations[0].index = 0;
    replica->restart.configuration_count = 1;
    return replica;
}

static void forget_recovery(struct replica *replica)
{
    memory_free(replica->terms);
    memory_free(replica->configurations);
    bootstrap_forget_origins(replica->bootstrap);
    replica->terms = NULL;
    replica->configurations = NULL;
}

void replica_destroy(struct replica *replica)
{
    if (!replica)
        return;
    if (replica->raft)
        raft_destroy(replica->raft);
    forget_recovery(replica);
    bootstrap_deinit(replica->bootstrap, NULL); /* a store with a view is not destroyed */
    memory_free(replica->bootstrap);
    store_destroy(replica->store);
    entries_deinit(&replica->entries);
    gate_table_deinit(&replica->gates);
    memory_free(replica->entry_terms);
    memory_free(replica);
}

void replica_retire(struct replica *replica, struct replica_turn *turn)
{
    if (replica->reader != LOG_READER_NONE)
        wal_read_end(turn->wal, replica->options.group);
    bootstrap_deinit(replica->bootstrap, turn->snapshots);
    replica_destroy(replica);
}

/* ---- the start ---- */

static enum wal_sync sync_in(const struct replica *replica,
                             const struct raft_configuration *configuration)
{
    uint8_t sync = configuration->sync;
    return sync ? (enum wal_sync)(sync - 1) : replica->options.sync;
}

/* REPLICA-9: a configuration is synced at every level, and all before it with it. So the newest one
 * in the log says how everything behind it was written, also what a power cut took. */
static enum wal_sync recovered_sync(const struct replica *replica)
{
    const struct raft_restart *restart = &replica->restart;
    return sync_in(replica, &replica->configurations[restart->configuration_count - 1]);
}

/* LEDGER-5. Whoever voted for itself in the term of its log's end has led it, as far as anybody can
 * tell from what is durable. */
static void start_owing(struct replica *replica, struct replica_turn *turn, bool led)
{
    uint64_t *owed = replica->owed, last = replica->old_term;
    bool is_owed = replica->owed_count && owed[replica->owed_count - 1] == last;
    replica->owed_told = replica->owed_count - is_owed;
    if (led && replica->old_may_lack && !is_owed) {
        if (replica->owed_count == REPLICA_OWED_MAX) { /* eight starts in a row told nobody of it */
            memmove(owed, owed + 1, (REPLICA_OWED_MAX - 1) * sizeof *owed);
            replica->owed_count--;
            replica->owed_told--;
        }
        owed[replica->owed_count++] = last;
        replica_save_state(replica, turn);
    }
    replica->old_may_lack |= is_owed;
}

void replica_start(struct replica *replica, struct replica_turn *turn, bool born)
{
    struct raft_restart *restart = &replica->restart;
    if (!replica->has_base && replica_recover_end(replica))
        fatal("a replica that was not recovered has a log");
    uint64_t last_term = restart->term_count ? replica->terms[restart->term_count - 1].term : 0;
    bool led = last_term > 0 && restart->term == last_term &&
               replica_id_equal(restart->vote, replica->options.self);
    if (restart->term < last_term)
        restart->term = last_term;
    restart->terms = replica->terms;
    restart->configurations = replica->configurations;
    restart->now_ns = turn->now_ns;
    /* R4: what was written and not synced may be missing after a power cut. */
    restart->unsure |= !born && recovered_sync(replica) != WAL_SYNC_ALWAYS &&
                       wal_may_have_lost(turn->wal); /* REPLICA-9 */
    if (turn->faults & REPLICA_FAULT_UNSURE_VOTES)
        restart->unsure = false;
    struct raft_options options = {
        .group = replica->options.group,
        .self = replica->options.self,
        .election_timeout_min_ns = replica->options.election_timeout_min_ns,
        .election_timeout_max_ns = replica->options.election_timeout_max_ns,
        .lease_max_ns = replica->options.lease_max_ns,
        .drift_ppm = replica->options.drift_ppm,
        .max_skew_us = replica->options.max_skew_us,
        .inflight_entries_max = 1u << 16,
        .inflight_bytes_max = 16u << 20,
        .random_seed = replica->options.random_seed,
        .faults = turn->faults,
        .restarted = !born,
    };
    replica->raft = raft_create(&options, restart);
    forget_recovery(replica);
    replica->old_term = last_term;
    replica->old_is_recovered = true;
    replica->old_may_lack = !born && wal_may_have_lost(turn->wal);
    start_owing(replica, turn, led);
    replica_start_snapshots(replica, turn);
    if (born && replica->initial.member_count == 1) {
        struct raft_event event = {.kind = RAFT_CAMPAIGN};
        replica_step(replica, turn, &event);
    }
}

/* ---- the one way into raft ---- */

static void drop_from(struct replica *replica, struct replica_turn *turn, uint64_t from,
                      uint64_t last_term)
{
    if (!replica->is_installing)
        replica_set_aside(replica, turn, from, last_term);
    flight_cut(replica, turn, from);
    entries_truncate(&replica->entries, from);
    if (replica->sent_through >= from)
        replica->sent_through = from - 1;
    if (replica->noted >= from)
        replica->noted = from - 1;
    if (replica->noted_before >= from)
        replica->noted_before = from - 1;
    replica_cut_snapshot(replica, turn, from);
    if (replica->executed >= from && !(turn->faults & REPLICA_FAULT_NO_TRUNCATE))
        replica_reset_store(replica, turn); /* REPLICA-3 */
    else if (replica->executed >= from)
        replica->executed = from - 1;
}

void replica_save_state(struct replica *replica, struct replica_turn *turn)
{
    uint8_t room[64 + sizeof replica->owed];
    struct buffer state = {.at = room, .capacity = sizeof room, .size_max = sizeof room};
    raft_state_encode(replica->raft, &state);
    for (size_t i = 0; i < replica->owed_count; i++)
        store_u64(room + state.size + i * sizeof(uint64_t), replica->owed[i]);
    state.size += replica->owed_count * sizeof(uint64_t);
    struct wal_record record = {
        .kind = WAL_STATE, .group = replica->options.group, .payload = slice_of_buffer(&state)};
    wal_append(turn->wal, &record, WAL_SYNC_ALWAYS); /* WAL-6 */
}

static void save_state(struct replica *replica, struct replica_turn *turn, uint64_t version)
{
    replica_save_state(replica, turn);
    replica->state_version = version;
    replica->state_ticket = wal_next_ticket(turn->wal);
}

struct node_id replica_node_of(const struct replica *replica, struct replica_id id)
{
    struct node_id node = raft_node_of(raft_configuration(replica->raft), id);
    if (node.value)
        return node;
    return id.value && replica_id_equal(id, replica->heard) ? replica->heard_at
                                                            : (struct node_id){0};
}

void replica_heard(struct replica *replica, struct replica_id from, struct node_id node)
{
    if (replica->heard.value == from.value || replica_node_of(replica, from).value)
        return;
    replica->heard = from;
    replica->heard_at = node;
}

static void send_message(struct replica *replica, struct replica_turn *turn,
                         const struct raft_message *message)
{
    enum wire_link link = message->kind == RAFT_ACCEPT || message->kind == RAFT_APPEND
                              ? WIRE_LINK_DATA
                              : WIRE_LINK_CONTROL;
    struct peer_id peer =
        peer_of(turn->peers, replica_node_of(replica, message->to), replica->options.group);
    struct wire_frame *frame = peer_frame(turn->peers, peer, link);
    if (frame)
        wire_add_raft(frame, message, NULL, 0);
}

static void note_role(struct replica *replica, struct replica_turn *turn)
{
    const struct raft_view *view = raft_view(replica->raft);
    if (view->role != RAFT_LEADER) {
        replica->serving_term = 0;
        replica->clock_started = false;
        replica->unsent_bytes = 0;
        return;
    }
    if (view->last_index < view->term_start && !replica->clock_started) {
        /* First thing in a term: the no-op (RAFT-4), stamped by the new leadership's own clock. */
        replica->clock_started = true;
        replica->acknowledged = 0;
        replica->led_term = view->term;
        replica->sent_through = view->last_index;
        int64_t median_us = raft_median_wall_us(replica->raft, turn->now_ns, turn->wall_us);
        group_clock_start(&replica->clock, turn->now_ns, median_us);
        int64_t time_us = group_clock_next_entry(&replica->clock, turn->now_ns, median_us);
        struct slice nothing[2] = {{NULL, 0}, {NULL, 0}};
        replica_append(replica, turn, WIRE_ENTRY_NOOP, time_us, nothing);
    }
}

/* Planted faults: each is a small lie at the one way into raft. */
static void fault_vote_unsynced(struct replica *replica, struct replica_turn *turn,
                                uint64_t version)
{
    struct raft_event saved = {.kind = RAFT_STATE_SAVED, .version = version};
    replica_step(replica, turn, &saved);
}

/* Everybody whom this candidate asks seems to have agreed. */
static void fault_small_quorum(struct replica *replica, struct replica_turn *turn)
{
    struct raft_message asked[RAFT_MEMBERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < turn->outputs->message_count && count < RAFT_MEMBERS_MAX; i++) {
        const struct raft_message *message = &turn->outputs->messages[i];
        if (message->kind == RAFT_VOTE || message->kind == RAFT_PRE_VOTE)
            asked[count++] = *message;
    }
    for (size_t i = 0; i < count; i++) {
        struct raft_message answer = asked[i];
        answer.kind = asked[i].kind == RAFT_VOTE ? RAFT_VOTE_ANSWER : RAFT_PRE_VOTE_ANSWER;
        answer.from = asked[i].to;
        answer.to = asked[i].from;
        answer.granted = true;
        answer.wall_us = turn->wall_us;
        struct raft_event event = {.kind = RAFT_RECEIVE, .message = answer, .from = answer.from};
        replica_step(replica, turn, &event);
    }
}

struct footing {
    enum raft_role role;
    uint64_t term, last_term, commit, confirmed_round, deadline_ns;
};

static struct footing footing_of(const struct replica *replica)
{
    const struct raft_view *view = raft_view(replica->raft);
    return (struct footing){
        view->role,       view->term, view->last_term, view->commit, view->confirmed_round,
        view->deadline_ns};
}

static bool has_to_send(const struct replica *replica)
{
    const struct raft_configuration *configuration = raft_configuration(replica->raft);
    struct raft_message message;
    uint64_t first, last;
    for (size_t i = 0; i < configuration->member_count; i++)
        if (raft_next_append(replica->raft, configuration->members[i].replica, false, &message,
                             &first, &last) != RAFT_NEXT_NOTHING)
            return true;
    return false;
}

/* A heartbeat that finds all as it was leaves nothing to do, and of a thousand groups most hear of
 * nothing else. */
static bool was_quiet(const struct replica *replica, const struct replica_turn *turn,
                      const struct raft_event *event, const struct footing *before)
{
    const struct raft_view *view = raft_view(replica->raft);
    const struct raft_outputs *outputs = turn->outputs;
    bool beat = event->kind == RAFT_HEARTBEAT || event->kind == RAFT_HEARTBEAT_ANSWER ||
                event->kind == RAFT_ROUND;
    return beat && view->role == before->role && view->term == before->term &&
           view->commit == before->commit && view->deadline_ns >= before->deadline_ns &&
           !outputs->message_count && !outputs->save_state && !outputs->truncate_from &&
           (view->role != RAFT_LEADER || !has_to_send(replica));
}

/* What others look at after a step: gates that may have opened, and whose turn it is. */
static void note_step(struct replica *replica, struct replica_turn *turn,
                      const struct raft_event *event, const struct footing *before)
{
    const struct raft_view *view = raft_view(replica->raft);
    struct list *awake = replica->options.awake;
    if (awake && list_is_empty(awake) && !was_quiet(replica, turn, event, before))
        list_append(turn->awake, awake);
    turn->moved += view->commit != before->commit || view->term != before->term ||
                   view->role != before->role || view->confirmed_round != before->confirmed_round;
    turn->copied += event->kind == RAFT_PERSISTED ||
                    (event->kind == RAFT_RECEIVE && (event->message.kind == RAFT_ACCEPT ||
                                                     event->message.kind == RAFT_SNAPSHOT_ANSWER));
}

void replica_step(struct replica *replica, struct replica_turn *turn, struct raft_event *event)
{
    event->now_ns = turn->now_ns;
    event->wall_us = turn->wall_us;
    struct raft_outputs *outputs = turn->outputs;
    struct footing before = footing_of(replica);
    raft_step(replica->raft, event, outputs);
    note_step(replica, turn, event, &before);
    flight_step(replica, turn, event);
    if (raft_view(replica->raft)->commit > before.commit)
        IO_NOTE(turn->io, "commit");
    if (outputs->truncate_from)
        drop_from(replica, turn, outputs->truncate_from, before.last_term);
    for (size_t i = 0; i < outputs->message_count; i++)
        send_message(replica, turn, &outputs->messages[i]);
    turn->round_wanted |= outputs->round_wanted;
    if (outputs->save_state) {
        uint64_t version = outputs->state_version;
        save_state(replica, turn, version);
        bool append = event->kind == RAFT_RECEIVE && event->message.kind == RAFT_APPEND;
        if ((turn->faults & REPLICA_FAULT_VOTE_UNSYNCED) && !append)
            fault_vote_unsynced(replica, turn, version);
    }
    if (turn->faults & REPLICA_FAULT_SMALL_QUORUM)
        fault_small_quorum(replica, turn);
    note_role(replica, turn);
    replica_note_leaderships(replica, turn);
    shown_step(replica);
}

/* ---- what others ask ---- */

struct replica_id replica_self(const struct replica *replica)
{
    return replica->options.self;
}

struct group_id replica_group(const struct replica *replica)
{
    return replica->options.group;
}

enum wal_sync replica_sync(const struct replica *replica)
{
    return sync_in(replica, raft_configuration(replica->raft));
}

const struct raft *replica_raft(const struct replica *replica)
{
    return replica->raft;
}

struct store *replica_store(struct replica *replica)
{
    return replica->store;
}

uint64_t replica_executed(const struct replica *replica)
{
    return replica->executed;
}

uint64_t replica_applied(const struct replica *replica)
{
    uint64_t commit = raft_view(replica->raft)->commit;
    return replica->executed < commit ? replica->executed : commit;
}

bool replica_is_serving(const struct replica *replica)
{
    return replica->serving_term && replica->serving_term == raft_view(replica->raft)->term &&
           raft_is_serving(replica->raft);
}

struct node_id replica_leader_node(const struct replica *replica)
{
    return replica_node_of(replica, raft_view(replica->raft)->leader);
}

uint64_t replica_deadline_ns(const struct replica *replica)
{
    uint64_t deadline = raft_view(replica->raft)->deadline_ns;
    if (replica_is_serving(replica) && replica->next_expiry_ns < deadline &&
        store_next_deadline_us(replica->store) != INT64_MAX) /* else nobody needs a look */
        deadline = replica->next_expiry_ns;
    return replica_must_leave(replica) ? 0 : deadline;
}

int64_t replica_last_entry_us(const struct replica *replica)
{
    return replica->clock.last_entry_us;
}

void replica_validate(const struct replica *replica)
{
    const struct raft_view *view = raft_view(replica->raft);
    raft_validate(replica->raft);
    assert(replica->executed <= view->last_index);
    if (replica_is_serving(replica))
        assert(replica->executed == view->last_index); /* REPLICA-2 */
    assert(replica->entries.last == view->last_index ||
           replica->entries.last + 1 == replica->entries.first);
}
