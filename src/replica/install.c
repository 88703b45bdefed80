/* install.c - the store built anew from a snapshot, one's own or one that came from a peer, and the
 * log that begins anew behind that. */
#include "replica/replica.h"

#include "base/memory.h"
#include "replica/bootstrap/bootstrap.h"
#include "replica/log/log.h"

#define LOAD_RETRY_NS 1000000000u

void replica_append_mark(struct replica *replica, struct replica_turn *turn, uint64_t index,
                         uint64_t term)
{
    struct wal_record record = {
        .kind = WAL_MARK, .group = replica->options.group, .index = index, .term = term};
    wal_append(turn->wal, &record, WAL_SYNC_ALWAYS);
}

bool replica_wants_snapshot(const struct replica *replica)
{
    const struct raft_view *view = raft_view(replica->raft);
    return view->role != RAFT_LEADER && view->offered_index > view->commit;
}

/* ---- what the log will lose ---- */

/* The first entry that the log will lose: one that the snapshot's history has not. 0: none. */
static uint64_t first_lost(const struct replica *replica, const struct snapshot_meta *meta,
                           const struct raft_term_start *terms, size_t count)
{
    const struct raft_view *view = raft_view(replica->raft);
    size_t row = 0;
    if (raft_term_at(replica->raft, meta->index) == meta->term)
        return 0; /* the log has its last entry, and stays */
    for (uint64_t index = view->commit + 1; index <= view->last_index; index++) {
        while (row + 1 < count && terms[row + 1].first_index <= index)
            row++;
        if (index > meta->index || raft_term_at(replica->raft, index) != terms[row].term)
            return index;
    }
    return 0;
}

static void set_aside_lost(struct replica *replica, struct replica_turn *turn)
{
    struct bootstrap_receiving *receiving = &replica->bootstrap->receiving;
    const struct snapshot_meta *meta = snapshot_receive_meta(receiving->writer);
    struct bootstrap_origin origin;
    struct raft_term_start *terms;
    size_t count;
    if (bootstrap_read_sections(meta, &origin, &terms, &count)) {
        bootstrap_end_receiving(replica->bootstrap);
        return;
    }
    struct raft_term_start last = {meta->term, meta->index};
    uint64_t void_from = 0, from = first_lost(replica, meta, terms, count);
    enum raft_kinship kinship = raft_judge_snapshot(replica->raft, last, terms, count, &void_from);
    memory_free(terms);
    if (kinship != RAFT_KINSHIP_SAME) { /* RAFT-19 */
        struct raft_event event = {.kind = RAFT_FOUND_VOID, .index = void_from};
        bootstrap_refuse(replica->bootstrap, turn);
        if (kinship == RAFT_KINSHIP_VOID)
            replica_step(replica, turn, &event);
        return;
    }
    if (from) {
        replica_set_aside(replica, turn, from, raft_view(replica->raft)->last_term);
        replica_save_state(replica, turn); /* synced, whatever the group's level */
    }
    receiving->ticket = from ? wal_next_ticket(turn->wal) : wal_durable_ticket(turn->wal);
}

/* R10: set aside durably before the snapshot gets its name: from then on the next start may drop
 * what is set aside. */
static void confirm_received(struct replica *replica, struct replica_turn *turn)
{
    struct bootstrap_receiving *receiving = &replica->bootstrap->receiving;
    if (!receiving->ticket)
        set_aside_lost(replica, turn);
    if (receiving->ticket && receiving->writer &&
        wal_durable_ticket(turn->wal) >= receiving->ticket)
        snapshot_confirm(receiving->writer);
}

/* ---- the new store ---- */

/* BOOT-5: the log begins anew, durably, behind what a snapshot has: the record comes before every
 * later entry, and without it the next start finds the same from the snapshot alone. */
static void begin_log_anew(struct replica *replica, struct replica_turn *turn,
                           const struct bootstrap_origin *origin)
{
    entries_truncate(&replica->entries, 0);
    replica->reader_first = 0;
    replica->clock.last_entry_us = origin->time_us;
    replica_append_mark(replica, turn, origin->index, origin->term);
}

/* False: raft does not take it; nothing has changed. */
static bool install_in_raft(struct replica *replica, struct replica_turn *turn,
                            const struct bootstrap_origin *origin)
{
    const struct raft_view *view = raft_view(replica->raft);
    struct raft_event event = {.kind = RAFT_SNAPSHOT_INSTALLED,
                               .index = origin->index,
                               .term = origin->term,
                               .configurations = &origin->configuration,
                               .term_count = replica->bootstrap->term_count,
                               .terms = replica->bootstrap->terms};
    if (view->commit >= origin->index)
        return false;
    replica->is_installing = true; /* what is cut now was set aside before */
    replica_step(replica, turn, &event);
    replica->is_installing = false;
    if (view->commit < origin->index)
        return false;
    if (view->first_index == origin->index + 1 && view->last_index == origin->index)
        begin_log_anew(replica, turn, origin);
    return true;
}

/* All that was written to the log before is durable (R3): its tickets are told. */
static bool log_is_quiet(const struct replica *replica)
{
    return !replica->unnoted && replica->reported_ticket >= replica->written_ticket;
}

static void take_store(struct replica *replica, struct replica_turn *turn, struct store *store,
                       const struct bootstrap_origin *origin)
{
    bool rebuilds = replica->rebuilding;
    bool installs = install_in_raft(replica, turn, origin);
    bootstrap_forget_origins(replica->bootstrap);
    if (!rebuilds && !installs) {
        store_destroy(store); /* the log has brought it here meanwhile */
        return;
    }
    bootstrap_end_writing(replica->bootstrap, turn->snapshots);
    store_destroy(replica->store);
    replica->store = store;
    replica->executed = origin->index;
    replica->executed_us = origin->time_us;
    replica->log_size = replica->bootstrap->log_between = 0;
    replica->rebuilding = false;
}

/* ---- loading ---- */

/* R4: none of them reaches back to where the log begins. */
static void give_up(struct replica *replica, struct replica_turn *turn)
{
    replica->bootstrap->newest = 0;
    if (replica_wants_snapshot(replica))
        return; /* the next one comes from a peer */
    replica->rebuilding &= raft_view(replica->raft)->first_index > 1;
    turn->damaged |= replica->rebuilding;
}

static void begin_load(struct replica *replica, struct replica_turn *turn, uint64_t index)
{
    struct bootstrap *bootstrap = replica->bootstrap;
    if (turn->now_ns < bootstrap->load_retry_ns)
        return;
    enum status status = bootstrap_load_begin(bootstrap, turn, replica->options.group, index);
    if (status == STATUS_NOT_FOUND)
        give_up(replica, turn);
}

static void load(struct replica *replica, struct replica_turn *turn)
{
    struct store *store;
    struct bootstrap_origin origin;
    struct bootstrap *bootstrap = replica->bootstrap;
    if (replica_wants_snapshot(replica) && !log_is_quiet(replica))
        return;
    enum status status = bootstrap_load(bootstrap, turn, &store, &origin);
    if (status == STATUS_DAMAGED)
        bootstrap->load_retry_ns = turn->now_ns + LOAD_RETRY_NS;
    if (status == STATUS_END)
        take_store(replica, turn, store, &origin);
}

static struct bootstrap_want want_of(const struct replica *replica)
{
    const struct raft_view *view = raft_view(replica->raft);
    return (struct bootstrap_want){.group = replica->options.group,
                                   .self = replica->options.self,
                                   .leader = view->offered_by,
                                   .leader_node = replica_node_of(replica, view->offered_by),
                                   .least = view->offered_index,
                                   .members = raft_configuration(replica->raft)};
}

bool replica_load_on(struct replica *replica, struct replica_turn *turn)
{
    struct bootstrap *bootstrap = replica->bootstrap;
    struct bootstrap_want want = want_of(replica);
    if (bootstrap_is_loading(bootstrap)) {
        load(replica, turn);
    } else if (replica_wants_snapshot(replica)) {
        if (bootstrap->receiving.state == BOOTSTRAP_SETTLING)
            confirm_received(replica, turn);
        if (bootstrap_receive(bootstrap, turn, &want) == STATUS_END)
            begin_load(replica, turn, want.least);
    } else if (replica->rebuilding) {
        begin_load(replica, turn, raft_view(replica->raft)->first_index - 1);
    } else {
        if (bootstrap->receiving.state != BOOTSTRAP_IDLE)
            bootstrap_end_receiving(bootstrap); /* the log was enough */
        return false;
    }
    return true;
}

void replica_receive_snapshot(struct replica *replica, struct replica_turn *turn,
                              struct peer_id from, enum wire_kind kind,
                              const struct wire_snapshot *message)
{
    struct bootstrap_want want = want_of(replica);
    if (!turn->snapshots || !turn->snapshots->files ||
        !replica_id_equal(message->to, replica->options.self)) /* R5 */
        return;
    if (kind == WIRE_SNAPSHOT_ASK)
        bootstrap_hear_ask(replica->bootstrap, turn, from, message);
    else
        bootstrap_hear_answer(replica->bootstrap, turn, &want, kind, message);
    if (replica->options.awake && list_is_empty(replica->options.awake))
        list_append(turn->awake, replica->options.awake);
}

/* The newest one here: its mark is what the leader has named, which holds whatever history it is of
 * (raft_judge_snapshot). */
bool replica_offer(struct replica *replica, struct replica_turn *turn, struct wire_frame *frame,
                   struct raft_message *offer)
{
    const struct snapshot *newer, *older;
    if (!turn->snapshots || !turn->snapshots->files)
        return false;
    snapshots_newest_two(turn->snapshots->files, replica->options.group, &newer, &older);
    if (!newer || newer->meta.index < offer->index ||
        newer->meta.index > raft_view(replica->raft)->last_index)
        return false;
    offer->index = newer->meta.index;
    offer->log_term = newer->meta.term;
    wire_add_raft(frame, offer, NULL, 0);
    return true;
}
