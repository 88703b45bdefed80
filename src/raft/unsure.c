/* unsure.c - a replica that may have lost entries which it had said to be persisted (R4).
 *
 * A leader may have committed an entry by such a word. Who voted with the shorter log could elect
 * somebody without that entry. So the replica keeps out of elections until a leader has brought it
 * to its commit index: every leader has what was committed before its election, for that was won
 * without this replica's doubtful vote; and from the moment at which it knows of the doubt it does
 * not count the old word any more.
 *
 *     ACCEPT unsure -> the leader forgets `persisted` -> APPEND unsure, commit c -> persisted
 *     through c, and an entry of this term is committed -> sure
 *
 * When too few sure voters are left, nobody can know what was lost. Then every voter must answer;
 * the longest log wins (view.unsure_election). */
#include "raft/state.h"

/* ---- leader ---- */

void raft_note_unsure(struct raft *raft, struct peer *peer, bool unsure)
{
    if (unsure && !peer->unsure) {
        peer->persisted = 0; /* RAFT-17: it counts from what it gets from now on */
        raft_start_probing(peer);
    }
    peer->unsure = unsure;
    (void)raft;
}

/* ---- the unsure replica ---- */

void raft_hear_commit(struct raft *raft, const struct raft_message *append)
{
    if (!raft->view.unsure || !append->unsure || raft->sure_term == append->term)
        return;
    raft->sure_term = append->term;
    raft->sure_commit = append->commit;
}

void raft_check_sure(struct raft *raft)
{
    struct raft_view *view = &raft->view;
    bool led = view->role == RAFT_FOLLOWER && view->leader.value && raft->sure_term == view->term &&
               view->commit >= raft->sure_commit;
    if (!view->unsure || !(led || view->role == RAFT_LEADER))
        return;
    if (view->commit == 0 || raft_term_at(raft, view->commit) != view->term ||
        view->persisted < view->commit)
        return;
    view->unsure = false;
    raft_state_changed(raft);
    raft_send_accept(raft);
}

/* ---- elections ---- */

/* Whoever has not answered is taken for sure. */
bool raft_sure_voters_suffice(const struct raft *raft)
{
    uint64_t sure[RAFT_MEMBERS_MAX];
    for (size_t i = 0; i < raft->peer_count; i++)
        sure[i] = !raft->peers[i].unsure;
    return raft_quorum_value(raft, QUORUM_ELECTION, sure) != 0;
}

bool raft_everybody_granted(const struct raft *raft)
{
    for (size_t i = 0; i < raft->peer_count; i++)
        if (raft_is_voter(raft, i) && !raft->peers[i].granted)
            return false;
    return true;
}
