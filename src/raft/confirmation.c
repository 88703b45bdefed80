/* confirmation.c - rounds of heartbeats: confirmed leadership, lease, check-quorum
 * (dissertation 6.2, 6.4; R2, R6, R11). */
#include "raft/state.h"

#include <assert.h>

#define ROUNDS_OPEN (RAFT_ROUNDS_MAX / 2)

static uint64_t lease_ns(const struct raft *raft)
{
    uint64_t min = raft->options.election_timeout_min_ns, most = raft->options.lease_max_ns;
    min = most && most < min ? most : min; /* RAFT-10 */
    return min - (uint64_t)((unsigned __int128)min * raft->options.drift_ppm / 1000000);
}

void raft_start_rounds(struct raft *raft)
{
    raft->elected_ns = raft->now_ns;
    raft->view.confirmed_round = raft->view.round; /* no round of this term yet */
    raft->view.confirmed_start_ns = 0;
    raft->view.lease_until_ns = 0;
    raft->outputs->round_wanted = true;
}

/* A round counts as long as its start is remembered. Where answers take longer than so many rounds,
 * each would come too late: the more are open, the longer the next one is in coming. */
static bool too_many_are_open(const struct raft *raft)
{
    const struct raft_view *view = &raft->view;
    if (view->round - view->confirmed_round < ROUNDS_OPEN)
        return false;
    uint64_t first_ns = raft->round_starts[(view->round - ROUNDS_OPEN + 1) % RAFT_ROUNDS_MAX];
    uint64_t last_ns = raft->round_starts[view->round % RAFT_ROUNDS_MAX];
    return raft->now_ns - last_ns < 2 * (last_ns - first_ns) / ROUNDS_OPEN;
}

void raft_handle_round(struct raft *raft)
{
    if (raft->view.role != RAFT_LEADER)
        return;
    raft_check_quorum(raft);
    if (raft->view.role != RAFT_LEADER)
        return;
    if (raft_has_handed_over(raft))
        return; /* RAFT-13: the number stays, so that nobody hears a later one */
    if (too_many_are_open(raft))
        return; /* it is said again, of the time at which it began */
    raft->view.round++;
    raft->round_starts[raft->view.round % RAFT_ROUNDS_MAX] = raft->now_ns;
    raft_check_stalled(raft);
    raft_note_behind(raft);
    raft_try_confirm(raft);
}

/* A round is confirmed when N - E + 1 voters have answered it or a later one: they meet every
 * election quorum, so nobody was elected before it began without one of them knowing (RAFT-11), and
 * nobody will be while their promise runs (RAFT-10). */
void raft_try_confirm(struct raft *raft)
{
    struct raft_view *view = &raft->view;
    uint64_t rounds[RAFT_MEMBERS_MAX];
    for (size_t i = 0; i < raft->peer_count; i++)
        rounds[i] = i == raft->self_place ? view->round : raft->peers[i].round;
    uint64_t round = raft_quorum_value(raft, QUORUM_CONFIRMATION, rounds);
    if (round <= view->confirmed_round || view->round - round >= RAFT_ROUNDS_MAX ||
        raft_has_handed_over(raft))
        return;
    assert(round <= view->round);
    view->confirmed_round = round;
    view->confirmed_start_ns = raft->round_starts[round % RAFT_ROUNDS_MAX];
    view->lease_until_ns = view->confirmed_start_ns + lease_ns(raft);
    raft_hand_over_tail(raft);
}

void raft_confirm(struct raft *raft, struct peer *peer, uint64_t round)
{
    peer->contact_ns = raft->now_ns;
    if (round > raft->view.round || round <= peer->round)
        return;
    peer->round = round;
    raft_try_confirm(raft);
}

/* It needs nobody to confirm it: not so when it leads a configuration without itself (4.2.2). */
static bool is_enough_alone(const struct raft *raft)
{
    uint64_t present[RAFT_MEMBERS_MAX] = {0};
    if (raft->self_place < raft->peer_count)
        present[raft->self_place] = 1;
    return raft_quorum_value(raft, QUORUM_CONFIRMATION, present) != 0;
}

uint64_t raft_quorum_contact_ns(const struct raft *raft)
{
    if (is_enough_alone(raft))
        return raft->now_ns;
    uint64_t start = raft->view.confirmed_start_ns;
    return start > raft->elected_ns ? start : raft->elected_ns;
}

/* A leader that no quorum answers must not keep clients waiting for writes that cannot commit
 * (dissertation 6.2). */
void raft_check_quorum(struct raft *raft)
{
    uint64_t limit = raft_quorum_contact_ns(raft) + raft->options.election_timeout_max_ns;
    if (raft_has_handed_over(raft))
        return; /* its end is near, and a new count begins there */
    if (raft->now_ns < limit)
        return;
    raft_ask_another_to_lead(raft);
    raft_become_follower(raft, raft->view.term, (struct replica_id){0});
}

void raft_handle_heartbeat(struct raft *raft, const struct raft_event *event)
{
    if (event->term < raft->view.term || event->term == 0 || event->from.value == 0)
        return; /* the caller answers with our term */
    if (replica_id_equal(event->from, raft->options.self)) {
        raft->ignored++;
        return;
    }
    if (raft_hear_leader(raft, event->term, event->from, event->round))
        raft_follow_commit(raft, event->commit);
}

void raft_handle_heartbeat_answer(struct raft *raft, const struct raft_event *event)
{
    struct peer *peer = raft_peer(raft, event->from);
    if (!peer || peer == &raft->peers[raft->self_place])
        return;
    if (event->term > raft->view.term)
        raft_become_follower(raft, event->term, (struct replica_id){0});
    if (raft->view.role != RAFT_LEADER || event->term != raft->view.term)
        return;
    raft_note_clock(raft, peer, event->message.wall_us);
    if (peer->probing && peer->next >= raft->view.first_index)
        peer->probe_sent = false; /* it is there and has not matched yet: ask again */
    if (!event->agreed)
        return;
    raft_confirm(raft, peer, event->round);
}

uint64_t raft_round_began_ns(const struct raft *raft, uint64_t round)
{
    const struct raft_view *view = &raft->view;
    bool is_known =
        view->role == RAFT_LEADER && round <= view->round && view->round - round < RAFT_ROUNDS_MAX;
    return is_known ? raft->round_starts[round % RAFT_ROUNDS_MAX] : 0;
}

bool raft_lease_is_valid(const struct raft *raft, uint64_t now_ns)
{
    return raft_is_serving(raft) && now_ns < raft->view.lease_until_ns;
}

bool raft_is_serving(const struct raft *raft)
{
    const struct raft_view *view = &raft->view;
    return view->role == RAFT_LEADER && view->commit >= view->term_start &&
           !raft_is_transferring(raft) && !raft_self_is_witness(raft); /* RAFT-18 */
}

bool raft_agrees(const struct raft *raft, struct replica_id leader, uint64_t term)
{
    const struct raft_view *view = &raft->view;
    return view->role == RAFT_FOLLOWER && view->term == term &&
           replica_id_equal(view->leader, leader) && raft_is_saved(raft); /* RAFT-5 */
}
