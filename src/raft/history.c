/* history.c - what an election of unsure voters makes void (R4).
 *
 * Its leader has the longest log that was left, and what was committed behind that is lost. Those
 * who do not vote (learners, and who was one when it was cut off) may have it still. Nobody asks
 * them, so they must give it up: the first entry of that leader marks where the new history begins,
 * every later leader names it, and who has committed past it without having it knows that it stands
 * in the old one.
 *
 *     leader of term U, first entry at s  --APPEND, history U@s-->  has U@s: one of us
 *                                                                   committed less than s: goes on,
 *                                                                     and matches from 0
 *                                                                   else void_from s: BEGIN_ANEW
 *
 * A voter is never struck: its log was not longer than the winner's, for it voted for it. It is
 * enough that leaders know the history: the record of it stands in a log before the entry U@s, so
 * whoever has that entry after a crash has the record. */
#include "raft/state.h"

#include <assert.h>

static bool has_history(const struct raft *raft, const struct raft_history *history)
{
    return raft_term_at(raft, history->index) == history->term;
}

struct raft_history raft_own_history(const struct raft *raft)
{
    const struct raft_history *history = &raft->view.history;
    return has_history(raft, history) ? *history : (struct raft_history){0};
}

/* It stays until the caller has set aside what is void: no leader can bring it back. */
void raft_find_void(struct raft *raft, uint64_t from)
{
    if (raft->view.role == RAFT_LEADER || from > raft->view.commit)
        return;
    raft->view.void_from = from;
    raft->view.offered_index = 0;
}

bool raft_meet_history(struct raft *raft, const struct raft_history *history)
{
    struct raft_view *view = &raft->view;
    raft->met_term = view->term;
    if (view->void_from)
        return false;
    if (history->term > view->history.term) {
        view->history = *history;
        raft_state_changed(raft);
    }
    if (history->term == 0 || has_history(raft, history))
        return true;
    if (view->commit >= history->index) { /* RAFT-19 */
        raft_find_void(raft, history->index);
        return false;
    }
    if (!raft_is_doubted(raft))
        raft->matched = 0;
    raft->doubted_term = view->term;
    return true;
}

bool raft_commit_holds(const struct raft *raft)
{
    const struct raft_view *view = &raft->view;
    bool said = raft->met_term == view->term && raft->matched >= view->commit;
    return !view->void_from && (view->role == RAFT_LEADER || said);
}

void raft_handle_begin_anew(struct raft *raft, const struct raft_event *event)
{
    struct raft_view *view = &raft->view;
    assert(view->void_from && event->configurations);
    if (view->role != RAFT_FOLLOWER)
        raft_become_follower(raft, view->term, (struct replica_id){0});
    raft->terms.count = 0;
    raft->ticket_count = 0; /* RAFT-6 */
    raft->old_last = raft->matched = 0;
    view->first_index = 1;
    view->last_index = view->last_term = view->commit = view->persisted = 0;
    view->told_commit = 0;
    view->everywhere = view->acked = view->offered_index = view->void_from = 0;
    raft_configuration_replace(raft, event->configurations);
}

/* ---- snapshots ---- */

static bool table_has(const struct raft_term_start *terms, size_t count,
                      const struct raft_history *history)
{
    for (size_t i = 0; i < count; i++)
        if (terms[i].term == history->term)
            return terms[i].first_index == history->index;
    return false;
}

/* Any member may send one, and who stands in a void history does not know it yet. What has the
 * first entry of the newest history is of it; so is what the leader itself has named. */
static bool is_of_history(const struct raft *raft, struct raft_term_start last,
                          const struct raft_term_start *terms, size_t count)
{
    const struct raft_view *view = &raft->view;
    bool named = last.first_index == view->offered_index && last.term == view->offered_term;
    return view->history.term == 0 || named || table_has(terms, count, &view->history);
}

enum raft_kinship raft_judge_snapshot(const struct raft *raft, struct raft_term_start last,
                                      const struct raft_term_start *terms, size_t term_count,
                                      uint64_t *void_from)
{
    struct term_table table = {.starts = (struct raft_term_start *)(uintptr_t)terms,
                               .count = term_count};
    uint64_t commit = raft->view.commit;
    uint64_t most = commit < last.first_index ? commit : last.first_index, index = most;
    if (!is_of_history(raft, last, terms, term_count))
        return RAFT_KINSHIP_FOREIGN;
    while (index &&
           raft_term_table_at(&table, last.first_index, index) != raft_term_at(raft, index))
        index--;
    if (index == most)
        return RAFT_KINSHIP_SAME;
    *void_from = index + 1;
    return RAFT_KINSHIP_VOID;
}
