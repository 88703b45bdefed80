/* cut.c - what may have been acknowledged is set aside before it is cut (R10, LEDGER-1). */
#include "replica/ledger/ledger.h"
#include "replica/log/log.h"

/* LEDGER-2. The leader of that term knows which of its entries it has answered, if it has not been
 * restarted since; who followed it knows what its appends said. */
static enum ledger_verdict judge(const struct replica *replica, const struct wire_entry *entry)
{
    if (replica->led_term == entry->term)
        return entries_is_marked(&replica->entries, entry->index) ? LEDGER_ACKNOWLEDGED
                                                                  : LEDGER_NOT;
    bool covered =
        replica->heard_term == entry->term && entry->index <= replica->heard_acknowledged;
    return covered ? LEDGER_ACKNOWLEDGED : LEDGER_POSSIBLY;
}

/* `is_void`: it was committed, so it may have been acknowledged whatever its level. */
static void set_aside(struct replica *replica, struct replica_turn *turn, uint64_t index,
                      uint64_t term, bool is_void)
{
    struct ledger_loss loss = {
        .group = replica->options.group, .term = term, .index = index, .verdict = LEDGER_POSSIBLY};
    if (entries_have(&replica->entries, index)) {
        struct slice bytes = entries_at(&replica->entries, index), from = bytes;
        struct wire_entry entry;
        if (wire_entry_take_checked(&from, &entry) || entry.kind != WIRE_ENTRY_COMMANDS ||
            !(is_void || (entry.ack & WIRE_ACK_EARLY)))
            return;
        loss.term = entry.term;
        loss.verdict = judge(replica, &entry);
        loss.bytes = bytes;
    } else if (!replica->has_early && !is_void) {
        return;
    }
    ledger_set_aside(turn->ledger, turn->wal, replica_sync(replica), &loss, turn->wall_us);
    replica->counts.cut_acknowledged += loss.verdict == LEDGER_ACKNOWLEDGED;
    replica->counts.cut_unacknowledged += loss.verdict == LEDGER_NOT;
    replica->counts.cut_possibly += loss.verdict == LEDGER_POSSIBLY;
}

void replica_set_aside(struct replica *replica, struct replica_turn *turn, uint64_t from,
                       uint64_t last_term)
{
    if (!turn->ledger || (turn->faults & REPLICA_FAULT_LEDGER_DROPPED))
        return;
    for (uint64_t index = from; index <= replica->entries.last; index++)
        set_aside(replica, turn, index, last_term, false);
}

void replica_set_aside_void(struct replica *replica, struct replica_turn *turn, uint64_t from)
{
    const struct raft_view *view = raft_view(replica->raft);
    if (!turn->ledger || (turn->faults & REPLICA_FAULT_LEDGER_DROPPED))
        return;
    for (uint64_t index = from; index <= view->last_index; index++)
        set_aside(replica, turn, index, raft_term_at(replica->raft, index), index <= view->commit);
}

bool replica_committed_of(const struct replica *replica, uint64_t term, struct ledger_span *out)
{
    const struct raft_view *view = raft_view(replica->raft);
    const struct raft_term_start *starts;
    size_t count = raft_term_starts(replica->raft, view->commit, &starts);
    if (!raft_commit_holds(replica->raft))
        return false;
    *out = (struct ledger_span){.whole = count && starts[count - 1].term > term};
    for (size_t i = 0; i < count; i++)
        if (starts[i].term == term) {
            out->first = starts[i].first_index;
            out->last = i + 1 < count ? starts[i + 1].first_index - 1 : view->commit;
        }
    return true;
}

/* What an append says goes with the entries of its sender's term. A new leader's first appends may
 * come before they cut anything: what the old one said counts until they do. */
void replica_hear_acknowledged(struct replica *replica, const struct raft_message *append)
{
    const struct raft_view *view = raft_view(replica->raft);
    if (append->term != view->term || append->term != view->last_term)
        return;
    if (replica->heard_term != append->term)
        replica->heard_acknowledged = 0;
    replica->heard_term = append->term;
    if (append->acked > replica->heard_acknowledged)
        replica->heard_acknowledged = append->acked;
}

/* ---- leaderships ---- */

static void know_leader(struct replica *replica)
{
    const struct raft_view *view = raft_view(replica->raft);
    if (!view->leader.value || replica->known_leader_term == view->term)
        return;
    replica->before_leader_term = replica->known_leader_term;
    replica->before_leader = replica->known_leader;
    replica->known_leader_term = view->term;
    replica->known_leader = replica_leader_node(replica);
}

/* What the leader of the term before had answered, this one may lack: nobody knows until that one
 * is back. */
static void note_led(struct replica *replica, struct replica_turn *turn)
{
    const struct raft_view *view = raft_view(replica->raft);
    if (view->role != RAFT_LEADER || replica->told_term == view->term || !view->term_start ||
        view->commit < view->term_start)
        return;
    replica->told_term = view->term;
    struct ledger_note note = {.kind = LEDGER_LED,
                               .group = replica->options.group,
                               .term = view->term,
                               .old_term = raft_term_at(replica->raft, view->term_start - 1)};
    if (replica->before_leader_term == note.old_term)
        note.node = replica->before_leader;
    if (note.old_term && !node_id_equal(note.node, replica->options.node))
        ledger_add_note(turn->ledger, &note);
    replica->old_term = view->term;
    replica->old_is_recovered = replica->old_may_lack = false;
}

static bool is_owed(const struct replica *replica)
{
    size_t count = replica->owed_count;
    return count && replica->owed[count - 1] == replica->old_term;
}

/* In the log of `term`, or set aside, is all that this replica had of the old one. */
static void tell_returned(struct replica *replica, struct replica_turn *turn, uint64_t term)
{
    struct ledger_note note = {.kind = LEDGER_RETURNED,
                               .group = replica->options.group,
                               .term = term,
                               .old_term = replica->old_term,
                               .node = replica->options.node,
                               .restarted = replica->old_is_recovered,
                               .may_lack = replica->old_may_lack,
                               .led = replica->old_may_lack && is_owed(replica)};
    ledger_add_note(turn->ledger, &note);
    replica->old_term = 0;
}

/* LEDGER-5: at each start once more, for it is not known here whether the cluster has heard of it.
 */
static void tell_owed(struct replica *replica, struct replica_turn *turn)
{
    const struct raft_view *view = raft_view(replica->raft);
    uint64_t reached = raft_term_at(replica->raft, view->commit);
    if (!replica->owed_told || replica->owed[replica->owed_told - 1] >= reached)
        return;
    for (size_t i = 0; i < replica->owed_told; i++) {
        struct ledger_note note = {.kind = LEDGER_RETURNED,
                                   .group = replica->options.group,
                                   .term = reached,
                                   .old_term = replica->owed[i],
                                   .node = replica->options.node,
                                   .restarted = true,
                                   .may_lack = true,
                                   .led = true};
        ledger_add_note(turn->ledger, &note);
    }
    replica->owed_told = 0;
}

/* Committed in a later term: what this replica had of the old one is in the log or cut. */
static void note_returned(struct replica *replica, struct replica_turn *turn)
{
    const struct raft_view *view = raft_view(replica->raft);
    if (replica->old_term && view->last_term > replica->old_term &&
        raft_term_at(replica->raft, view->commit) > replica->old_term)
        tell_returned(replica, turn, view->last_term);
}

/* It has nothing of a later term than its own, either. */
void replica_set_aside_rest(struct replica *replica, struct replica_turn *turn)
{
    const struct raft_view *view = raft_view(replica->raft);
    replica_set_aside_void(replica, turn, view->void_from ? view->void_from : view->commit + 1);
    if (turn->ledger && replica->old_term)
        tell_returned(replica, turn, view->term + 1);
}

/* A leader that was restarted may not know whom it comes after, itself included: who followed that
 * one does. */
static void note_seen(struct replica *replica, struct replica_turn *turn)
{
    const struct raft_view *view = raft_view(replica->raft);
    if (replica->seen_term == replica->known_leader_term || view->role == RAFT_LEADER ||
        raft_term_at(replica->raft, view->commit) < replica->known_leader_term)
        return;
    replica->seen_term = replica->known_leader_term;
    struct ledger_note note = {.kind = LEDGER_SEEN,
                               .group = replica->options.group,
                               .term = replica->known_leader_term,
                               .old_term = replica->before_leader_term,
                               .node = replica->before_leader};
    if (note.old_term && note.node.value)
        ledger_add_note(turn->ledger, &note);
}

/* LEDGER-4: what was called restored may be void since. */
static void note_history(struct replica *replica, struct replica_turn *turn)
{
    const struct raft_history *history = &raft_view(replica->raft)->history;
    if (replica->noted_history == history->term)
        return;
    replica->noted_history = history->term;
    ledger_make_void(turn->ledger, replica->options.group, history->term, history->index);
}

void replica_note_leaderships(struct replica *replica, struct replica_turn *turn)
{
    if (!turn->ledger)
        return;
    note_history(replica, turn);
    know_leader(replica);
    note_seen(replica, turn);
    tell_owed(replica, turn);
    note_returned(replica, turn);
    note_led(replica, turn);
}
