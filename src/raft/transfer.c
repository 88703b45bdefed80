/* transfer.c - a leader hands over (dissertation 3.10; R11, R17).
 *
 *     no proposals --all is answered, target matches all--> no lease, RUN_NOW --a higher term-->
 * follower
 *                  --one election timeout--> leads on   --one election timeout--> leads on, the
 * lease comes with the next round
 *
 * Who waits for an answer of this leader gets it before another may begin: all of the log is
 * committed, a round begun after the last read is confirmed, and for levels that ask for more
 * copies than the commit, every voter in sync has them, or half of the time is over.
 *
 * The promise that voters gave this leader must not refuse the one it hands over to, so the
 * campaign that it asks for passes them over. A RUN_NOW may be late: by then this leader may lead
 * on with a new lease. Therefore the number of its round stands still while it hands over and is in
 * all messages of that campaign. Who has heard a later round takes them for ordinary ones. */
#include "raft/state.h"

#include <assert.h>

static bool was_heard(const struct raft *raft, size_t place, unsigned timeouts)
{
    return raft->now_ns <
           raft->peers[place].contact_ns + timeouts * raft->options.election_timeout_max_ns;
}

/* Not a learner, not a witness, not one on its way out or unsure. */
static bool can_lead(const struct raft *raft, size_t place)
{
    const struct raft_member *member = &raft_configuration(raft)->members[place];
    if (raft_self_is_witness(raft) && raft->peers[place].next < raft->view.first_index)
        return false; /* it has no snapshot to help that one with */
    return place != raft->self_place && member->kind == RAFT_VOTER && !raft->peers[place].unsure;
}

/* At once: heard of lately. */
static bool can_take_over(const struct raft *raft, size_t place)
{
    return can_lead(raft, place) && was_heard(raft, place, 1);
}

/* R17: the most advanced one; among equals the priority decides, then the lower id. */
static bool is_better(const struct raft *raft, size_t a, size_t b)
{
    const struct raft_member *members = raft_configuration(raft)->members;
    if (raft->peers[a].written != raft->peers[b].written)
        return raft->peers[a].written > raft->peers[b].written;
    if (members[a].priority != members[b].priority)
        return members[a].priority > members[b].priority;
    return members[a].replica.value < members[b].replica.value;
}

static size_t best_candidate(const struct raft *raft)
{
    size_t best = raft->peer_count;
    for (size_t i = 0; i < raft->peer_count; i++)
        if (can_take_over(raft, i) && (best == raft->peer_count || is_better(raft, i, best)))
            best = i;
    return best;
}

static size_t wanted_candidate(const struct raft *raft, struct replica_id to)
{
    for (size_t i = 0; i < raft->peer_count; i++)
        if (replica_id_equal(raft->peers[i].replica, to) && can_take_over(raft, i))
            return i;
    return raft->peer_count;
}

/* It hears no quorum and leads no more; perhaps it is heard nevertheless (a network that is broken
 * one way), and then those who hear it keep a promise to nobody. It has no lease in this term from
 * here on, so that whoever it asks may run at once (RAFT-13). */
void raft_ask_another_to_lead(struct raft *raft)
{
    size_t best = raft->peer_count;
    for (size_t i = 0; i < raft->peer_count; i++)
        if (can_lead(raft, i) && was_heard(raft, i, 2) &&
            (best == raft->peer_count || is_better(raft, i, best)))
            best = i;
    if (best == raft->peer_count)
        return;
    struct raft_message message = raft_message_to(raft, RAFT_RUN_NOW, raft->peers[best].replica);
    message.transfer = true;
    message.round = raft->view.round;
    raft_send(raft, &message);
}

/* How many voters of the half could give their votes: heard of lately, and sure. */
static size_t voters_at_hand(const struct raft *raft, enum half half)
{
    const struct raft_configuration *now = raft_configuration(raft);
    size_t count = 0;
    for (size_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];
        bool heard = i == raft->self_place ||
                     (!peer->unsure &&
                      raft->now_ns < peer->contact_ns + raft->options.election_timeout_min_ns);
        count += heard && raft_votes_in(&now->members[i], half);
    }
    return count;
}

bool raft_can_be_followed(const struct raft *raft)
{
    const struct raft_configuration *now = raft_configuration(raft);
    return raft->view.role == RAFT_LEADER && raft->transfer_failed_term != raft->view.term &&
           best_candidate(raft) < raft->peer_count &&
           voters_at_hand(raft, HALF_NEW) >= raft_quorum_size(now, QUORUM_ELECTION, HALF_NEW) &&
           (!now->joint ||
            voters_at_hand(raft, HALF_OLD) >= raft_quorum_size(now, QUORUM_ELECTION, HALF_OLD));
}

void raft_handle_transfer(struct raft *raft, struct replica_id to)
{
    struct raft_view *view = &raft->view;
    if (view->role != RAFT_LEADER || raft_is_transferring(raft) ||
        view->last_index < view->term_start)
        return;
    raft->transfer_to_any = to.value == 0;
    size_t place = to.value ? wanted_candidate(raft, to) : best_candidate(raft);
    if (place == raft->peer_count)
        return;
    view->transfer_to = raft->peers[place].replica;
    raft->transfer_ns = raft->now_ns;
    raft->transfer_end_ns = raft->now_ns + raft->options.election_timeout_min_ns;
    raft->run_now_ns = 0;
    raft->outputs->round_wanted = true;
}

static uint64_t patience_end_ns(const struct raft *raft)
{
    return raft->transfer_ns + raft->options.election_timeout_min_ns / 2;
}

uint64_t raft_transfer_deadline_ns(const struct raft *raft)
{
    bool patient = !raft->run_now_ns && raft->now_ns < patience_end_ns(raft);
    return patient ? patience_end_ns(raft) : raft->transfer_end_ns;
}

/* RAFT-20. A witness has nobody to answer (R14), and its tail may wait for the other to be
 * committed. */
static bool has_answered_all(const struct raft *raft)
{
    const struct raft_view *view = &raft->view;
    if (raft_self_is_witness(raft))
        return true;
    return view->commit >= view->last_index && view->confirmed_start_ns > raft->transfer_ns &&
           (raft->now_ns >= patience_end_ns(raft) ||
            raft_acked_by(raft, RAFT_COPIES_ALL, true) >= view->last_index);
}

static void send_run_now(struct raft *raft, const struct peer *peer)
{
    struct raft_message message = raft_message_to(raft, RAFT_RUN_NOW, peer->replica);
    if (!raft->run_now_ns)
        raft->transfer_end_ns = raft->now_ns + raft->options.election_timeout_min_ns;
    raft->view.lease_until_ns = 0; /* before anybody is allowed to run: R11 */
    assert(raft_self_is_witness(raft) || raft->view.commit == raft->view.last_index); /* RAFT-20 */
    message.transfer = true;
    message.round = raft->view.round;
    raft->run_now_ns = raft->now_ns;
    raft_send(raft, &message);
}

/* R14: it won with a tail that no reachable voter with data has, and gives that away. After each
 * attempt a round is confirmed first: without a quorum it must be able to step down. */
void raft_hand_over_tail(struct raft *raft)
{
    if (raft_self_is_witness(raft) && raft->view.confirmed_start_ns >= raft->elected_ns)
        raft_handle_transfer(raft, (struct replica_id){0});
}

/* Leads on. The count of silence begins anew: nobody was asked for a round meanwhile. */
void raft_end_transfer(struct raft *raft)
{
    if (raft_has_handed_over(raft))
        raft->elected_ns = raft->now_ns;
    raft->view.transfer_to = (struct replica_id){0};
    raft->transfer_failed_term = raft->view.term;
    raft->outputs->round_wanted = true;
}

/* RUN_NOW may be lost: again after a while. Another candidate is looked for until the first one is
 * sent. */
void raft_transfer_tick(struct raft *raft)
{
    struct raft_view *view = &raft->view;
    uint64_t pause = raft->options.election_timeout_min_ns / 4;
    if (!raft_is_transferring(raft))
        return;
    if (raft->transfer_to_any && raft->run_now_ns == 0) {
        size_t best = best_candidate(raft);
        if (best < raft->peer_count)
            view->transfer_to = raft->peers[best].replica;
    }
    struct peer *peer = raft_peer(raft, view->transfer_to);
    if (!peer || raft->now_ns >= raft->transfer_end_ns) {
        raft_end_transfer(raft);
        return;
    }
    bool waits = raft->run_now_ns && raft->now_ns < raft->run_now_ns + pause;
    bool early =
        view->confirmed_round == view->round && view->confirmed_start_ns <= raft->transfer_ns;
    raft->outputs->round_wanted |= early && raft->now_ns > raft->transfer_ns;
    if (peer->written >= view->last_index && !waits && (raft->run_now_ns || has_answered_all(raft)))
        send_run_now(raft, peer);
}
