/* Which reads must wait for which commit. The table is conservative: two keys in one slot make a
 * read wait for the newer of both writes, never for less. */
#include "replica/log/log.h"

#include "base/memory.h"

void gate_table_init(struct gate_table *table)
{
    *table = (struct gate_table){.newest = NULL};
}

void gate_table_deinit(struct gate_table *table)
{
    memory_free(table->newest);
}

void gate_table_note(struct gate_table *table, uint64_t hash, uint64_t index)
{
    if (!table->newest)
        table->newest = memory_zeroed(GATE_SLOTS, sizeof *table->newest);
    table->newest[hash % GATE_SLOTS] = index;
}

void gate_table_note_whole(struct gate_table *table, uint64_t index)
{
    table->whole = index;
}

uint64_t gate_table_newest(const struct gate_table *table, uint64_t hash)
{
    uint64_t newest = table->newest ? table->newest[hash % GATE_SLOTS] : 0;
    return newest > table->whole ? newest : table->whole;
}

/* ---- copies ---- */

static bool is_voter(const struct raft_member *member)
{
    return member->kind == RAFT_VOTER || member->kind == RAFT_WITNESS ||
           member->old_kind == RAFT_VOTER || member->old_kind == RAFT_WITNESS;
}

unsigned replica_voters(const struct replica *replica)
{
    const struct raft_configuration *configuration = raft_configuration(replica->raft);
    unsigned count = 0;
    for (size_t i = 0; i < configuration->member_count; i++)
        count += is_voter(&configuration->members[i]);
    return count;
}

static bool is_self(const struct replica *replica, const struct raft_member *member)
{
    return replica_id_equal(member->replica, replica->options.self);
}

/* By another on its node, in the middle of a change, or by this one. */
static bool is_replaced(const struct replica *replica, size_t place)
{
    const struct raft_configuration *configuration = raft_configuration(replica->raft);
    struct node_id node = configuration->members[place].node;
    bool replaced = node_id_equal(node, raft_node_of(configuration, replica->options.self));
    for (size_t i = place + 1; i < configuration->member_count; i++)
        replaced |= node_id_equal(node, configuration->members[i].node);
    return replaced;
}

unsigned replica_copies_elsewhere(const struct replica *replica, uint64_t index)
{
    const struct raft_configuration *configuration = raft_configuration(replica->raft);
    unsigned count = 0;
    for (size_t i = 0; i < configuration->member_count; i++) {
        const struct raft_member *member = &configuration->members[i];
        struct raft_progress progress;
        if (is_voter(member) && !is_replaced(replica, i) &&
            !raft_progress(replica->raft, member->replica, &progress))
            count += progress.persisted >= index;
    }
    return count;
}

unsigned replica_copies(const struct replica *replica, uint64_t index)
{
    const struct raft_member *self =
        raft_find_member(raft_configuration(replica->raft), replica->options.self);
    bool counts = self && is_voter(self); /* not one that leads on until it is out */
    return replica_copies_elsewhere(replica, index) +
           (counts && raft_view(replica->raft)->persisted >= index);
}

unsigned replica_voters_heard(const struct replica *replica, uint64_t now_ns)
{
    const struct raft_configuration *configuration = raft_configuration(replica->raft);
    unsigned count = 0;
    for (size_t i = 0; i < configuration->member_count; i++) {
        const struct raft_member *member = &configuration->members[i];
        struct raft_progress progress;
        if (is_voter(member) &&
            (is_self(replica, member) ||
             (!raft_progress(replica->raft, member->replica, &progress) &&
              progress.last_contact_ns + replica->options.election_timeout_max_ns > now_ns)))
            count++;
    }
    return count;
}

unsigned replica_voters_in_sync(const struct replica *replica)
{
    const struct raft_configuration *configuration = raft_configuration(replica->raft);
    unsigned count = 0;
    for (size_t i = 0; i < configuration->member_count; i++)
        count += is_voter(&configuration->members[i]) && !configuration->members[i].out_of_sync;
    return count;
}

/* ---- acknowledging ---- */

/* A batch is in the kernel whole or not at all; of the open one nothing is. */
static uint64_t written_through(const struct replica *replica, const struct replica_turn *turn)
{
    return wal_written_ticket(turn->wal) >= replica->written_ticket ? replica->noted
                                                                    : replica->noted_before;
}

void replica_note_acknowledged(struct replica *replica, const struct replica_gate *gate)
{
    bool is_early = gate->early && gate->wrote && gate->term == replica->led_term &&
                    gate->index > raft_view(replica->raft)->commit;
    if (!is_early)
        return;
    entries_mark(&replica->entries, gate->index); /* past the commit: it is in memory */
    if (gate->index > replica->acknowledged)
        replica->acknowledged = gate->index;
}

/* How far the copies that the level asks for go, as the leader sees it. */
static uint64_t acknowledged_by(const struct replica *replica, const struct replica_turn *turn,
                                uint8_t ack)
{
    switch (ack) {
    case WIRE_ACK_ASYNC: return written_through(replica, turn);
    case WIRE_ACK_QUORUM: return raft_view(replica->raft)->commit;
    case WIRE_ACK_ALL: return raft_acked_by(replica->raft, RAFT_COPIES_ALL, true);
    default: return raft_acked_by(replica->raft, ack, true);
    }
}

static bool wants_more_than_commit(const struct replica *replica, uint8_t ack)
{
    return ack == WIRE_ACK_ALL ||
           (ack < WIRE_ACK_ASYNC && ack > raft_configuration(replica->raft)->commit_quorum);
}

bool gate_may_open_early(const struct replica *replica, const struct replica_gate *gate)
{
    return gate->early && gate->ack != WIRE_ACK_QUORUM &&
           !wants_more_than_commit(replica, gate->ack);
}

/* R2: what comes before the commit needs the lease, read after the append (R11); what comes after
 * it, the copies. Of both only the leader that it was written through can tell. */
static enum replica_gate_state write_gate(const struct replica *replica,
                                          const struct replica_turn *turn,
                                          const struct replica_gate *gate, uint64_t now_ns)
{
    const struct raft_view *view = raft_view(replica->raft);
    bool committed = view->commit >= gate->index;
    /* Committed at that index in another term: ours was cut and can never come back. */
    if (committed && raft_term_at(replica->raft, gate->index) != gate->term)
        return REPLICA_GATE_CUT;
    bool more = wants_more_than_commit(replica, gate->ack);
    if (committed && !more)
        return REPLICA_GATE_OPEN;
    bool planted = turn->faults & REPLICA_FAULT_EARLY_SAFE;
    uint8_t ack = planted ? 1 : gate->ack;
    bool early = planted || gate_may_open_early(replica, gate);
    bool leads = view->role == RAFT_LEADER && view->term == gate->term;
    if (!leads || (!committed && !early) || acknowledged_by(replica, turn, ack) < gate->index)
        return REPLICA_GATE_WAITS;
    return committed || raft_lease_is_valid(replica->raft, now_ns) ? REPLICA_GATE_OPEN
                                                                   : REPLICA_GATE_UNCONFIRMED;
}

/* ---- the gate ---- */

enum replica_gate_state replica_gate(const struct replica *replica, const struct replica_turn *turn,
                                     const struct replica_gate *gate, uint64_t now_ns)
{
    const struct raft_view *view = raft_view(replica->raft);
    if (turn->faults & REPLICA_FAULT_LEASE_BEFORE)
        now_ns = turn->began_ns;
    if (gate->wrote && (turn->faults & REPLICA_FAULT_ACK_EARLY))
        return REPLICA_GATE_OPEN;
    if (gate->wrote)
        return write_gate(replica, turn, gate, now_ns);
    if (view->role != RAFT_LEADER || view->term != gate->term)
        return REPLICA_GATE_LOST;
    if (view->commit < gate->index && !(turn->faults & REPLICA_FAULT_DIRTY_READ))
        return REPLICA_GATE_WAITS;
    if (turn->faults & REPLICA_FAULT_READ_UNCONFIRMED)
        return REPLICA_GATE_OPEN;
    if (replica->options.lease_reads && raft_lease_is_valid(replica->raft, now_ns))
        return REPLICA_GATE_OPEN;
    /* Equal is not enough: two happenings of one instant have no order. REPLICA-1, RAFT-11 */
    if (view->confirmed_start_ns > gate->asked_ns)
        return REPLICA_GATE_OPEN;
    return REPLICA_GATE_UNCONFIRMED;
}
