/* checks.c - what a message must satisfy before it may change anything. What fails is ignored and
 * counted. */
#include "raft/state.h"

#include <assert.h>

#define INDEX_MAX (UINT64_MAX >> 1) /* so that index + 1 and sums of two never wrap */

static bool configurations_are_possible(const struct raft_event *event)
{
    for (size_t i = 0; i < event->configuration_count; i++) {
        uint64_t index = event->configuration_indexes[i];
        uint64_t floor = i ? event->configuration_indexes[i - 1] : event->message.index;
        if (index <= floor || index > event->message.last_index)
            return false;
        if (!raft_configuration_is_valid(&event->configurations[i]))
            return false;
    }
    return true;
}

static bool append_is_possible(const struct raft_event *event)
{
    const struct raft_message *m = &event->message;
    uint64_t term = m->log_term;
    if (m->last_index < m->index || (m->index == 0) != (m->log_term == 0))
        return false;
    if (m->last_index > m->index && !event->entry_terms)
        return false;
    for (uint64_t i = 0; i < m->last_index - m->index; i++) {
        if (event->entry_terms[i] < term || event->entry_terms[i] == 0)
            return false;
        term = event->entry_terms[i];
    }
    return term <= m->term && configurations_are_possible(event);
}

static bool accept_is_possible(const struct raft_message *m)
{
    if (m->granted)
        return m->persisted <= m->written;
    return m->written == 0 || m->written < m->index;
}

/* Before the first election everybody is in term 0, and may say so. */
static bool term_is_possible(const struct raft_message *m)
{
    return m->term > 0 || m->kind == RAFT_PRE_VOTE_ANSWER || m->kind == RAFT_RUN_NOW;
}

static bool is_known_kind(enum raft_message_kind kind)
{
    return kind >= RAFT_PRE_VOTE && kind <= RAFT_SNAPSHOT_ANSWER;
}

bool raft_message_is_possible(const struct raft *raft, const struct raft_event *event)
{
    const struct raft_message *m = &event->message;
    if (!is_known_kind(m->kind) || !term_is_possible(m) || m->from.value == 0)
        return false;
    if (!group_id_equal(m->group, raft->options.group) ||
        !replica_id_equal(m->to, raft->options.self) ||
        replica_id_equal(m->from, raft->options.self))
        return false;
    if (m->term > INDEX_MAX || m->index > INDEX_MAX || m->last_index > INDEX_MAX ||
        m->written > INDEX_MAX || m->persisted > INDEX_MAX || m->commit > INDEX_MAX ||
        m->acked > INDEX_MAX)
        return false;
    if (m->history.term > m->term || m->history.index > INDEX_MAX ||
        (m->history.term == 0) != (m->history.index == 0))
        return false;
    if (m->kind == RAFT_APPEND)
        return append_is_possible(event);
    if (m->kind == RAFT_ACCEPT)
        return accept_is_possible(m);
    if (m->kind == RAFT_SNAPSHOT_ANSWER)
        return m->persisted <= m->written;
    if (m->kind == RAFT_SNAPSHOT_OFFER)
        return m->index > 0 && m->log_term > 0 && m->log_term <= m->term;
    return m->log_term <= m->term;
}

/* ---- our own state ---- */

static void validate_log(const struct raft *raft)
{
    const struct raft_view *view = &raft->view;
    const struct term_table *terms = &raft->terms;
    assert(view->commit <= view->last_index);                                /* RAFT-7 */
    assert(view->first_index >= 1 && view->first_index - 1 <= view->commit); /* RAFT-14 */
    assert(view->first_index - 1 <= view->persisted);
    assert(view->everywhere <= view->last_index);
    assert(view->void_from <= view->commit); /* RAFT-19 */
    assert(view->offered_index == 0 || view->offered_index > view->commit);
    assert(view->persisted <= view->last_index && raft->matched <= view->last_index);
    assert((terms->count == 0) == (view->last_index == 0));
    for (size_t i = 0; i < terms->count; i++) {
        uint64_t before = i ? terms->starts[i - 1].term : 0;
        uint64_t index = i ? terms->starts[i - 1].first_index : 0;
        assert(terms->starts[i].term > before && terms->starts[i].first_index > index);
    }
    assert(raft_term_at(raft, view->last_index) == view->last_term);
    assert(view->last_term <= view->term);
    for (uint32_t i = 0; i < raft->ticket_count; i++) /* RAFT-6 */
        assert(raft->tickets[(raft->ticket_first + i) % RAFT_TICKETS_MAX].last_index <=
               view->last_index);
}

static void validate_configurations(const struct raft *raft)
{
    assert(raft->configuration_count > 0);
    for (size_t i = 0; i < raft->configuration_count; i++) {
        const struct raft_configuration *c = &raft->configurations[i];
        assert(c->member_count == 0 || raft_configuration_is_valid(c)); /* RAFT-12 */
        assert(c->index <= raft->view.last_index);
        assert(i == 0 || raft->configurations[i - 1].index < c->index);
        assert((i == 0) == (c->index < raft->view.first_index));
    }
    const struct raft_configuration *active = raft_configuration(raft);
    assert(raft->peer_count == active->member_count);
    for (size_t i = 0; i < raft->peer_count; i++)
        assert(replica_id_equal(raft->peers[i].replica, active->members[i].replica));
}

static void validate_leader(const struct raft *raft)
{
    const struct raft_view *view = &raft->view;
    assert(replica_id_equal(raft->vote, raft->options.self)); /* RAFT-1 */
    assert(replica_id_equal(view->leader, raft->options.self));
    assert(raft_is_saved(raft)); /* RAFT-5 */
    assert(!view->void_from);    /* RAFT-19 */
    assert(view->term_start > 0 && view->term_start <= view->last_index + 1);
    assert(!raft_has_handed_over(raft) || view->lease_until_ns == 0); /* RAFT-13 */
    for (size_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];
        assert(peer->persisted <= peer->written && peer->written < peer->next);
        assert(peer->next <= view->last_index + 1 && peer->round <= view->round);
        assert(!peer->probing || peer->inflight_bytes == 0);
    }
}

void raft_validate(const struct raft *raft)
{
    const struct raft_view *view = &raft->view;
    validate_log(raft);
    validate_configurations(raft);
    assert(view->saved_version <= view->state_version);
    assert(raft->term_version <= view->state_version);
    assert(!view->unsure || raft->old_last <= view->last_index);
    assert(raft->sure_term <= view->term);        /* RAFT-17: no leader to come knows yet */
    assert(view->confirmed_round <= view->round); /* RAFT-11 */
    if (view->role == RAFT_LEADER) {
        validate_leader(raft);
        return;
    }
    assert(view->term_start == 0 && view->lease_until_ns == 0); /* RAFT-10: only a leader has one */
    assert(!raft_is_transferring(raft) && !view->unsure_election);
    assert(view->commit <= raft->matched || raft_is_doubted(raft));
    assert(view->role == RAFT_FOLLOWER || view->leader.value == 0);
    assert(view->role != RAFT_CANDIDATE || replica_id_equal(raft->vote, raft->options.self));
}
