/* snapshot.c - where the log begins, and how one that is too far behind gets a new beginning
 * (dissertation 5.1 to 5.3; R3, R10).
 *
 *     leader: next < first_index --OFFER--> follower: has it? --ANSWER granted--> appends go on
 *                                           follower: wants it (view.offered_index), its caller
 *                                           gets the bytes somewhere --INSTALLED--> ACCEPT
 *
 * An offer is sent again until it is answered with all of it, so a lost ACCEPT does not matter. The
 * term table is never shortened: terms of compacted entries are known, and logs are compared as if
 * nothing had been taken away. */
#include "raft/state.h"

#include <assert.h>

void raft_handle_compacted(struct raft *raft, uint64_t index)
{
    struct raft_view *view = &raft->view;
    if (index < view->first_index)
        return;
    assert(index <= view->commit && index <= view->persisted); /* RAFT-14 */
    view->first_index = index + 1;
    raft_configuration_compacted(raft, index);
}

/* ---- leader ---- */

void raft_handle_snapshot_sent(struct raft *raft, const struct raft_event *event)
{
    struct peer *peer = raft_peer(raft, event->from);
    if (raft->view.role != RAFT_LEADER || !peer || event->index > raft->view.last_index)
        return;
    raft_begin_catch_up(raft, peer);
    raft_start_probing(peer);
    peer->probe_sent = true;
    peer->probe_ns = raft->now_ns;
    peer->snapshot = event->index;
}

void raft_handle_snapshot_answer(struct raft *raft, const struct raft_message *message)
{
    struct peer *peer = raft_peer(raft, message->from);
    if (!peer)
        return;
    if (message->term > raft->view.term) {
        raft_become_follower(raft, message->term, (struct replica_id){0});
        return;
    }
    if (raft->view.role != RAFT_LEADER || message->term != raft->view.term)
        return;
    if (message->written > raft->view.last_index) {
        raft->ignored++;
        return;
    }
    raft_peer_answered(raft, peer, message);
}

/* ---- follower ---- */

static bool has_entry(const struct raft *raft, uint64_t index, uint64_t term)
{
    return index <= raft->view.last_index && raft_term_at(raft, index) == term;
}

/* What a snapshot holds is committed: whoever has its last entry has all of it. */
static void follow_snapshot(struct raft *raft, uint64_t index)
{
    if (index > raft->matched)
        raft->matched = index;
    raft_follow_commit(raft, index);
}

static void answer_offer(struct raft *raft, const struct raft_message *offer)
{
    struct raft_message answer = raft_message_to(raft, RAFT_SNAPSHOT_ANSWER, offer->from);
    bool current = offer->term == raft->view.term;
    answer.index = offer->index;
    answer.granted = current && raft->matched >= offer->index;
    answer.written = answer.granted ? raft->matched : 0;
    answer.persisted = answer.granted ? raft_counted_persisted(raft) : 0;
    answer.unsure = raft->view.unsure;
    answer.round = current ? raft->leader_round : 0;
    raft_send_when_saved(raft, &answer);
}

void raft_handle_snapshot_offer(struct raft *raft, const struct raft_message *message)
{
    struct raft_view *view = &raft->view;
    if (message->term < view->term) {
        answer_offer(raft, message); /* tells the old leader of the newer term */
        return;
    }
    if (!raft_hear_leader(raft, message->term, message->from, message->round) ||
        !raft_meet_history(raft, &message->history))
        return;
    if (message->acked > view->acked)
        view->acked = message->acked;
    if (has_entry(raft, message->index, message->log_term)) {
        follow_snapshot(raft, message->index);
    } else if (message->index <= view->commit && raft_is_doubted(raft)) {
        raft_find_void(raft, message->index);
        return;
    } else if (message->index <= view->commit) { /* RAFT-7: not from a leader of this cluster */
        raft->ignored++;
        return;
    } else {
        view->offered_index = message->index;
        view->offered_term = message->log_term;
        view->offered_by = message->from;
    }
    answer_offer(raft, message);
}

static bool terms_are_possible(const struct raft *raft, const struct raft_event *event)
{
    uint64_t term = 0, index = 0, void_from;
    if (event->term_count == 0 || !event->terms)
        return false;
    for (size_t i = 0; i < event->term_count; i++) {
        if (event->terms[i].term <= term || event->terms[i].first_index <= index)
            return false;
        term = event->terms[i].term;
        index = event->terms[i].first_index;
    }
    struct raft_term_start last = {event->term, event->index};
    return index <= event->index && term == event->term &&
           raft_judge_snapshot(raft, last, event->terms, event->term_count, &void_from) ==
               RAFT_KINSHIP_SAME; /* RAFT-7 */
}

static bool snapshot_is_possible(const struct raft *raft, const struct raft_event *event)
{
    const struct raft_configuration *configuration = event->configurations;
    return event->index < UINT64_MAX / 2 && event->term < UINT64_MAX / 2 && configuration &&
           configuration->index <= event->index && raft_configuration_is_valid(configuration) &&
           terms_are_possible(raft, event);
}

/* The log ends before the snapshot or is another one behind the commit: it begins anew. */
static void replace_log(struct raft *raft, const struct raft_event *event)
{
    struct raft_view *view = &raft->view;
    if (view->last_index > view->commit)
        raft_log_truncate(raft, view->commit + 1); /* RAFT-14: the caller hears of it */
    raft_term_table_load(&raft->terms, event->terms, event->term_count);
    view->first_index = event->index + 1;
    view->last_index = view->persisted = event->index;
    view->last_term = event->term;
    raft_configuration_replace(raft, event->configurations);
}

void raft_handle_snapshot_installed(struct raft *raft, const struct raft_event *event)
{
    struct raft_view *view = &raft->view;
    if (event->index <= view->commit || view->role == RAFT_LEADER)
        return; /* nothing that is not here */
    if (!snapshot_is_possible(raft, event)) {
        raft->ignored++;
        return;
    }
    if (event->term > view->term || view->role != RAFT_FOLLOWER)
        raft_become_follower(raft, event->term > view->term ? event->term : view->term,
                             (struct replica_id){0});
    if (!has_entry(raft, event->index, event->term))
        replace_log(raft, event);
    if (view->persisted < event->index)
        view->persisted = event->index;
    follow_snapshot(raft, event->index);
    raft_send_accept(raft);
}
