/* unsure.c - a replica that may have lost entries which it had said to be persisted (R4).
 *
 * A leader may have committed an entry by such a word. Who voted with the shorter log could elect
 * somebody without that entry. So the replica keeps out of elections until a leader has brought it
 * to its commit index: every leader has what was committed before its election, for that was won
 * without this replica's doubtful vote; and from the moment at which it knows of the doubt it does
 * not count the old word any more.
 *
 *     ACCEPT unsure -> the leader forgets `persisted` -> APPEND unsure, commit c -> persisted
 *     through c: counted -> an entry of this term is committed -> sure
 *
 * When too few sure voters are left, nobody can know what was lost. Then every voter must answer;
 * the longest log wins (view.unsure_election). */
#include "raft/state.h"

#include <assert.h>

/* ---- leader ---- */

bool raft_note_unsure(struct peer *peer, bool unsure)
{
    bool news = unsure && !peer->unsure;
    if (news)
        peer->persisted = 0; /* RAFT-17: what it has said before its restart counts no more */
    peer->unsure = unsure;
    return news;
}

/* ---- the unsure replica ---- */

void raft_hear_commit(struct raft *raft, const struct raft_message *append)
{
    if (!raft->view.unsure || !append->unsure || raft->sure_term == append->term)
        return;
    raft->sure_term = append->term;
    raft->sure_commit = append->commit;
}

static bool is_known(const struct raft *raft)
{
    return raft->sure_term == raft->view.term;
}

/* RAFT-17: what it gets counts. What it had before the restart does where it reaches the commit
 * index of a leader that knows: else a leader whose quorum needs this voter, and that has nothing
 * more to send, could never commit the first entry of its term (decision 0034). */
bool raft_may_count(const struct raft *raft, uint64_t index)
{
    return !raft->view.unsure || index > raft->old_last ||
           (is_known(raft) && index >= raft->sure_commit);
}

void raft_check_sure(struct raft *raft)
{
    struct raft_view *view = &raft->view;
    bool led = view->role == RAFT_FOLLOWER && view->leader.value && is_known(raft) &&
               view->commit >= raft->sure_commit;
    if (!view->unsure || !(led || view->role == RAFT_LEADER))
        return;
    if (view->commit == 0 || raft_term_at(raft, view->commit) != view->term ||
        view->persisted < view->commit)
        return;
    assert(view->role == RAFT_LEADER || view->persisted >= raft->sure_commit); /* RAFT-17 */
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
