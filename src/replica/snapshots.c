/* snapshots.c - what a replica's snapshots mean for its store and its log. */
#include "replica/replica.h"

#include "replica/bootstrap/bootstrap.h"
#include "replica/log/log.h"

#define LOAD_RETRY_NS 1000000000u

bool replica_is_loading(const struct replica *replica)
{
    return replica->rebuilding || bootstrap_is_loading(replica->bootstrap);
}

static void append_mark(struct replica *replica, struct replica_turn *turn, uint64_t index,
                        uint64_t term)
{
    struct wal_record record = {
        .kind = WAL_MARK, .group = replica->options.group, .index = index, .term = term};
    wal_append(turn->wal, &record, WAL_SYNC_ALWAYS);
}

void replica_start_snapshots(struct replica *replica, struct replica_turn *turn)
{
    const struct raft_view *view = raft_view(replica->raft);
    replica->bootstrap->looked_ns = turn->now_ns;
    if (replica->begins_anew)
        append_mark(replica, turn, view->last_index, view->last_term);
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

/* ---- building the store anew ---- */

/* BOOT-2: none of them reaches back to where the log begins. */
static void give_up(struct replica *replica, struct replica_turn *turn)
{
    replica->rebuilding = raft_view(replica->raft)->first_index > 1;
    turn->damaged |= replica->rebuilding;
}

static void load(struct replica *replica, struct replica_turn *turn)
{
    struct store *store;
    struct bootstrap_origin origin;
    struct bootstrap *bootstrap = replica->bootstrap;
    if (!bootstrap_is_loading(bootstrap)) {
        if (turn->now_ns < bootstrap->retry_ns)
            return;
        uint64_t least = raft_view(replica->raft)->first_index - 1;
        enum status status = bootstrap_load_begin(bootstrap, turn, replica->options.group, least);
        if (status == STATUS_NOT_FOUND)
            give_up(replica, turn);
        return;
    }
    enum status status = bootstrap_load(bootstrap, turn, &store, &origin);
    if (status == STATUS_DAMAGED)
        bootstrap->retry_ns = turn->now_ns + LOAD_RETRY_NS;
    if (status != STATUS_END)
        return;
    store_destroy(replica->store);
    replica->store = store;
    replica->executed = origin.index;
    replica->executed_us = origin.time_us;
    replica->rebuilding = false;
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
    if (holds && replica->options.sync != WAL_SYNC_ALWAYS && !bootstrap->ticket) {
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
}

static void write_on(struct replica *replica, struct replica_turn *turn)
{
    struct bootstrap *bootstrap = replica->bootstrap;
    uint64_t before = bootstrap->log_size;
    confirm(replica, turn);
    if (!bootstrap_write(bootstrap, turn))
        return;
    replica->log_size -= before; /* what came since is behind it */
}

void replica_rest(struct replica *replica, struct replica_turn *turn)
{
    struct bootstrap *bootstrap = replica->bootstrap;
    if (!turn->snapshots || !turn->snapshots->files)
        return;
    if (replica_is_loading(replica)) {
        load(replica, turn);
    } else if (bootstrap->writer) {
        write_on(replica, turn);
    } else if (!turn->snapshots->is_writing) {
        consider(replica, turn);
    }
}

bool replica_is_at_rest(const struct replica *replica)
{
    return !replica_is_loading(replica) && !replica->bootstrap->writer;
}
