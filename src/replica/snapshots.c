/* snapshots.c - what a replica's snapshots mean for its store and its log. */
#include "replica/replica.h"

#include "replica/bootstrap/bootstrap.h"
#include "replica/log/log.h"

#define HELD_PART 4 /* so many times what one is due for: then nobody is waited for */
#define HELD_MORE (4ull << 20)
#define OWN_PART  4 /* less than that part of what it holds up is its own: it is idle */
#define SILENT_PART                                                                                \
    10 /* of the longest election time-out: who was not heard for longer is away                   \
        */

bool replica_is_loading(const struct replica *replica)
{
    return replica->rebuilding || bootstrap_is_loading(replica->bootstrap);
}

void replica_start_snapshots(struct replica *replica, struct replica_turn *turn)
{
    const struct raft_view *view = raft_view(replica->raft);
    replica->bootstrap->looked_ns = turn->now_ns;
    if (replica->begins_anew)
        replica_append_mark(replica, turn, view->last_index, view->last_term);
    if (view->first_index > 1)
        wal_release(turn->wal, replica->options.group, view->first_index - 1);
}

void replica_reset_store(struct replica *replica, struct replica_turn *turn)
{
    bootstrap_end_writing(replica->bootstrap, turn->snapshots);
    bootstrap_end_loading(replica->bootstrap);
    store_clear(replica->store);
    store_once_clear(replica->store);
    replica->executed = replica->log_size = 0;
    replica->rebuilding = raft_view(replica->raft)->first_index > 1 || replica->bootstrap->newest;
    if (replica->reader == LOG_READER_APPLY)
        replica->reader_first = 0; /* what it brings is not what is wanted now */
}

/* R3: a draft past the cut is of a state that never was. */
void replica_cut_snapshot(struct replica *replica, struct replica_turn *turn, uint64_t from)
{
    if (replica->bootstrap->writer && replica->bootstrap->mark >= from)
        bootstrap_end_writing(replica->bootstrap, turn->snapshots);
}

/* ---- regular ones ---- */

/* R3: confirmed when what it holds is committed here, and this log durable through it. Below
 * WAL_SYNC_ALWAYS "persisted" means written: a record that is synced says the rest. */
static void confirm(struct replica *replica, struct replica_turn *turn)
{
    struct bootstrap *bootstrap = replica->bootstrap;
    const struct raft_view *view = raft_view(replica->raft);
    if (bootstrap->confirmed)
        return;
    bool holds = bootstrap->mark <= view->commit && bootstrap->mark <= view->persisted;
    if (holds && replica_sync(replica) != WAL_SYNC_ALWAYS && !bootstrap->ticket) {
        replica_save_state(replica, turn);
        bootstrap->ticket = wal_next_ticket(turn->wal);
    }
    holds &= wal_durable_ticket(turn->wal) >= bootstrap->ticket;
    if (!holds && !(turn->faults & REPLICA_FAULT_SNAPSHOT_UNCOMMITTED))
        return;
    bootstrap->confirmed = true; /* BOOT-3 */
    snapshot_confirm(bootstrap->writer);
    turn->snapshots->next_step_ns = turn->now_ns;
}

static struct bootstrap_mark mark_now(const struct replica *replica,
                                      const struct replica_turn *turn)
{
    return (struct bootstrap_mark){
        .group = replica->options.group,
        .index = replica->executed,
        .term = raft_term_at(replica->raft, replica->executed),
        .time_us = replica->executed_us,
        .hash_seed = replica->options.hash_seed,
        .store = replica->store,
        .raft = replica->raft,
        .log_size = replica->log_size,
        .log_held = wal_held_size(turn->wal, replica->options.group),
    };
}

static void consider(struct replica *replica, struct replica_turn *turn)
{
    if (replica->executed <= replica->bootstrap->newest)
        return;
    struct bootstrap_mark mark = mark_now(replica, turn);
    if (!bootstrap_is_due(replica->bootstrap, turn->snapshots, &mark, turn->now_ns))
        return;
    bootstrap_begin(replica->bootstrap, turn, &mark);
    if (turn->faults & REPLICA_FAULT_VIEW_TORN)
        store_tear_view(replica->store);
}

/* ---- what the log may let go of ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What others here still need: who is a little behind, or loads a snapshot now, goes on from the
 * log; as long as that does not hold up too much. */
static uint64_t needed_by_others(const struct replica *replica, const struct replica_turn *turn)
{
    uint64_t index = UINT64_MAX;
    uint64_t silence_ns = SILENT_PART * replica->options.election_timeout_max_ns;
    const struct raft_configuration *configuration = raft_configuration(replica->raft);
    for (size_t i = 0; i < configuration->member_count; i++) {
        struct raft_progress progress;
        if (raft_progress(replica->raft, configuration->members[i].replica, &progress) ||
            progress.last_contact_ns + silence_ns < turn->now_ns)
            continue;
        index = least(index, progress.snapshot_index ? progress.snapshot_index : progress.written);
    }
    return index;
}

/* BOOT-4: up to the older of two snapshots, so that a damaged file costs a longer replay and not
 * the replica. Past a bound nobody else is waited for; and where little of what is held up is the
 * group's own, one is enough: an idle group must not hold up the log of the others for ever. */
static void release(struct replica *replica, struct replica_turn *turn)
{
    const struct snapshot *newer, *older;
    const struct raft_view *view = raft_view(replica->raft);
    uint64_t due = bootstrap_due_size(turn->snapshots, replica->store);
    uint64_t held = wal_held_size(turn->wal, replica->options.group);
    uint64_t own = replica->bootstrap->log_between + replica->log_size;
    bool holds_up = held > HELD_PART * due + HELD_MORE;
    snapshots_newest_two(turn->snapshots->files, replica->options.group, &newer, &older);
    const struct snapshot *through = holds_up && own < held / OWN_PART ? newer : older;
    if (!through)
        return;
    uint64_t index =
        least(least(through->meta.index, replica->executed), least(view->commit, view->persisted));
    if (!holds_up)
        index = least(index, needed_by_others(replica, turn));
    if (index < view->first_index)
        return;
    struct raft_event event = {.kind = RAFT_COMPACTED, .index = index};
    replica_step(replica, turn, &event);
    wal_release(turn->wal, replica->options.group, index);
}

/* ---- from turn to turn ---- */

static void write_on(struct replica *replica, struct replica_turn *turn)
{
    struct bootstrap *bootstrap = replica->bootstrap;
    uint64_t before = bootstrap->log_size;
    confirm(replica, turn);
    if (bootstrap_write(bootstrap, turn)) {
        replica->log_size -= before; /* what came since is behind it */
        bootstrap->log_between = before;
    }
    if (bootstrap->writer && turn->snapshots->next_step_ns < turn->snapshots->wake_ns)
        turn->snapshots->wake_ns = turn->snapshots->next_step_ns;
}

void replica_rest(struct replica *replica, struct replica_turn *turn)
{
    struct bootstrap *bootstrap = replica->bootstrap;
    if (replica_begins_anew(replica)) {
        replica_begin_anew(replica, turn);
        return;
    }
    if (!turn->snapshots || !turn->snapshots->files)
        return;
    bootstrap_send(bootstrap, turn);
    bool loads = replica_load_on(replica, turn);
    replica_measure(replica, turn);
    if (loads)
        return;
    if (bootstrap->writer)
        write_on(replica, turn);
    else if (!turn->snapshots->is_writing)
        consider(replica, turn);
    if (bootstrap->newest && !bootstrap->writer)
        release(replica, turn);
}

bool replica_is_at_rest(const struct replica *replica)
{
    const struct bootstrap *bootstrap = replica->bootstrap;
    return !replica_is_loading(replica) && !bootstrap->writer && !bootstrap->sending.reader &&
           !replica_wants_snapshot(replica) && !replica_begins_anew(replica);
}
