/* replication.c - append, accept, progress, commit (dissertation 3.5, 3.6.2, 10.2.1).
 *
 * The leader knows of each peer: `written`, through where it matches; `next`, what it is sent next.
 * A probing peer gets one message at a time until one matches; then messages follow each other
 * without waiting, up to the window. */
#include "raft/state.h"

/* ---- the leader's side ---- */

static void clear_window(struct peer *peer)
{
    peer->inflight_bytes = 0;
    peer->batch_first = peer->batch_count = 0;
}

void raft_start_probing(struct peer *peer)
{
    peer->probing = true;
    peer->probe_sent = false;
    peer->next = peer->written + 1;
    clear_window(peer);
}

void raft_reset_progress(struct raft *raft)
{
    for (size_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];
        peer->written = peer->persisted = peer->round = peer->commit_sent = peer->snapshot = 0;
        peer->unsure = false;
        peer->catch_up_start_ns = peer->catch_up_rounds = 0;
        peer->behind_ns = peer->behind_index = 0;
        raft_start_probing(peer);
        peer->next = raft->view.last_index + 1; /* a guess that holds for a follower in step */
        peer->contact_ns = peer->stalled_ns = raft->now_ns;
        peer->moved_ns = peer->advanced_ns = raft->now_ns;
    }
}

/* Commit what a quorum of each half has durable, the own disk among them; only an entry of the own
 * term commits by being counted, and what stands before it with it (dissertation 3.6.2). */
void raft_try_commit(struct raft *raft)
{
    struct raft_view *view = &raft->view;
    uint64_t persisted[RAFT_MEMBERS_MAX];
    for (size_t i = 0; i < raft->peer_count; i++)
        persisted[i] = i == raft->self_place ? view->persisted : raft->peers[i].persisted;
    uint64_t index = raft_quorum_value(raft, QUORUM_COMMIT, persisted);
    if (index <= view->commit || raft_term_at(raft, index) != view->term) /* RAFT-4 */
        return;
    view->commit = index;
    /* Its own removal is committed: the others go on without it (dissertation 4.2.2). */
    if (raft_configuration(raft)->index <= index && !raft_self_is_voter(raft))
        raft_become_follower(raft, view->term, (struct replica_id){0});
}

void raft_handle_propose(struct raft *raft)
{
    const struct raft_view *view = &raft->view;
    bool no_op = view->last_index < view->term_start;
    if (view->role != RAFT_LEADER || raft_is_transferring(raft)) /* RAFT-13 */
        return;
    if (no_op || !raft_self_is_witness(raft)) /* RAFT-18 */
        raft_log_append(raft, raft->view.term);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static const struct peer *find_peer(const struct raft *raft, struct replica_id replica)
{
    for (size_t i = 0; i < raft->peer_count; i++)
        if (i != raft->self_place && replica_id_equal(raft->peers[i].replica, replica))
            return &raft->peers[i];
    return NULL;
}

/* The last entry the peer may be sent now; below `next`: none. */
static uint64_t window_end(const struct raft *raft, const struct peer *peer)
{
    uint64_t last = raft->view.last_index;
    if (peer->probing)
        return least(last, peer->next + RAFT_PROBE_ENTRIES_MAX - 1);
    if (peer->inflight_bytes >= raft->options.inflight_bytes_max)
        return peer->next - 1;
    return least(last, peer->written + raft->options.inflight_entries_max);
}

/* What the peer needs next was compacted away (dissertation 5, figure 5.3). */
static enum raft_next next_snapshot(const struct raft *raft, struct replica_id replica,
                                    struct raft_message *message)
{
    *message = raft_message_to(raft, RAFT_SNAPSHOT_OFFER, replica);
    message->index = raft->view.first_index - 1;
    message->log_term = raft_term_at(raft, message->index);
    message->acked = raft->view.acked;
    message->round = raft->view.round;
    message->history = raft_own_history(raft);
    return RAFT_NEXT_SNAPSHOT;
}

enum raft_next raft_next_append(const struct raft *raft, struct replica_id replica,
                                bool commit_only, struct raft_message *message, uint64_t *first,
                                uint64_t *last)
{
    const struct raft_view *view = &raft->view;
    const struct peer *peer = view->role == RAFT_LEADER ? find_peer(raft, replica) : NULL;
    if (!peer || (peer->probing && peer->probe_sent))
        return RAFT_NEXT_NOTHING;
    if (peer->next < view->first_index)
        return next_snapshot(raft, replica, message);
    uint64_t end = window_end(raft, peer);
    if (end < peer->next) {
        end = peer->next - 1;
        if (!peer->probing && !(commit_only && view->commit > peer->commit_sent))
            return RAFT_NEXT_NOTHING;
    }
    *message = raft_message_to(raft, RAFT_APPEND, replica);
    message->index = peer->next - 1;
    message->log_term = raft_term_at(raft, message->index);
    message->last_index = end;
    message->commit = view->commit;
    message->acked = view->acked;
    message->round = view->round;
    message->unsure = peer->unsure;
    message->persisted = raft_everywhere(raft);
    message->history = raft_own_history(raft);
    *first = peer->next;
    *last = end;
    return RAFT_NEXT_ENTRIES;
}

/* A full ring joins the newest two batches: their bytes leave the window a little later. */
static void add_batch(struct peer *peer, uint64_t index, uint64_t bytes)
{
    peer->inflight_bytes += bytes;
    if (peer->batch_count == RAFT_BATCHES_MAX) {
        struct batch *last =
            &peer->batches[(peer->batch_first + peer->batch_count - 1) % RAFT_BATCHES_MAX];
        last->index = index;
        last->bytes += bytes;
        return;
    }
    uint32_t place = (peer->batch_first + peer->batch_count++) % RAFT_BATCHES_MAX;
    peer->batches[place] = (struct batch){index, bytes};
}

static void release_batches(struct peer *peer, uint64_t written)
{
    while (peer->batch_count && peer->batches[peer->batch_first].index <= written) {
        peer->inflight_bytes -= peer->batches[peer->batch_first].bytes;
        peer->batch_first = (peer->batch_first + 1) % RAFT_BATCHES_MAX;
        peer->batch_count--;
    }
}

void raft_handle_sent(struct raft *raft, const struct raft_event *event)
{
    struct peer *peer = raft_peer(raft, event->from);
    if (raft->view.role != RAFT_LEADER || !peer || event->index > raft->view.last_index ||
        event->index + 1 < raft->view.first_index)
        return; /* entries read from disk may be sent after another leader has cut them */
    raft_begin_catch_up(raft, peer);
    peer->commit_sent = raft->view.commit;
    if (peer->probing) {
        peer->probe_sent = true;
        peer->probe_ns = raft->now_ns;
        return;
    }
    if (event->index < peer->next)
        return;
    if (peer->next == peer->written + 1)
        peer->stalled_ns = raft->now_ns; /* the wait for this peer begins here */
    peer->next = event->index + 1;
    add_batch(peer, event->index, event->bytes);
}

/* It has accepted all, and does not say that it is durable: its disk is slow, or what it said was
 * lost with a connection, and nobody would say it again. */
static bool may_be_silent(const struct raft *raft, const struct peer *peer, uint64_t wait)
{
    return !peer->probing && peer->next == peer->written + 1 && peer->persisted < peer->written &&
           raft->now_ns >= peer->moved_ns + wait;
}

/* Frames that were lost with a connection are never accepted: send again from what is known to
 * match. */
void raft_check_stalled(struct raft *raft)
{
    uint64_t wait = raft->options.election_timeout_min_ns / 2;
    for (size_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];
        if (i == raft->self_place)
            continue;
        if (peer->probing && peer->probe_sent && raft->now_ns >= peer->probe_ns + wait)
            peer->probe_sent = false;
        else if (!peer->probing && peer->next > peer->written + 1 &&
                 raft->now_ns >= peer->stalled_ns + wait)
            raft_start_probing(peer);
        else if (may_be_silent(raft, peer, wait)) {
            peer->moved_ns = raft->now_ns;
            raft_start_probing(peer); /* an append without entries; the answer says both */
        }
    }
}

static void peer_matched(struct raft *raft, struct peer *peer, const struct raft_message *message)
{
    if (message->written > peer->written) {
        peer->written = message->written;
        peer->stalled_ns = peer->moved_ns = peer->advanced_ns = raft->now_ns;
        release_batches(peer, peer->written);
    }
    if (peer->next <= peer->written)
        peer->next = peer->written + 1;
    /* A late answer that shows less than the probe asked for does not end the probing. */
    if (peer->probing && message->written + 1 >= peer->next) {
        peer->probing = peer->probe_sent = false;
        peer->next = peer->written + 1;
        peer->stalled_ns = raft->now_ns;
        clear_window(peer);
    }
    if (message->persisted > peer->persisted) {
        peer->persisted = message->persisted;
        peer->moved_ns = peer->advanced_ns = raft->now_ns;
        raft_try_commit(raft);
    }
    raft_note_progress(raft, peer);
}

/* A doubt that is news is answered with the commit index, also to who lacks nothing: nothing else
 * makes it sure, and nothing else lets it be counted. */
void raft_peer_answered(struct raft *raft, struct peer *peer, const struct raft_message *message)
{
    raft_confirm(raft, peer, message->round);
    bool doubts = raft_note_unsure(peer, message->unsure);
    if (message->granted)
        peer_matched(raft, peer, message);
    if (message->granted && doubts)
        raft_start_probing(peer);
}

/* One step back for each conflicting term, not for each entry (dissertation 3.5, last paragraphs).
 */
static void peer_rejected(struct raft *raft, struct peer *peer, const struct raft_message *message)
{
    uint64_t failed = message->index;
    if (peer->probing && failed != peer->next - 1)
        return; /* not the probe that is out */
    if (!peer->probing && failed <= peer->written) {
        raft_start_probing(
            peer); /* stale, or the peer has lost an unsynced tail: the probe will tell */
        return;
    }
    uint64_t hint = least(message->written, failed - 1);
    uint64_t match = raft_term_table_search(&raft->terms, hint, message->log_term);
    if (match < peer->written)
        peer->written = match;
    if (peer->persisted > peer->written)
        peer->persisted = peer->written;
    raft_start_probing(peer);
    peer->next = match + 1;
}

void raft_handle_accept(struct raft *raft, const struct raft_message *message)
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
    bool possible = message->granted ? message->written <= raft->view.last_index
                                     : message->index <= raft->view.last_index;
    if (!possible) {
        raft->ignored++;
        return;
    }
    raft_peer_answered(raft, peer, message);
    if (!message->granted)
        peer_rejected(raft, peer, message);
}

/* ---- the follower's side ---- */

/* Durable entries that this leader has not confirmed do not count. */
uint64_t raft_counted_persisted(const struct raft *raft)
{
    uint64_t index = least(raft->view.persisted, raft->matched);
    return raft_may_count(raft, index) ? index : 0;
}

/* What this replica has of the current leader's log. Before that leader's first message nobody
 * knows whether it has the same history. */
void raft_send_accept(struct raft *raft)
{
    const struct raft_view *view = &raft->view;
    if (view->role != RAFT_FOLLOWER || view->leader.value == 0)
        return;
    if (raft->met_term != view->term || view->void_from) /* RAFT-19 */
        return;
    struct raft_message message = raft_message_to(raft, RAFT_ACCEPT, view->leader);
    message.granted = true;
    message.written = raft->matched;
    message.persisted = raft_counted_persisted(raft);
    message.unsure = view->unsure;
    message.round = raft->leader_round;
    raft_send_when_saved(raft, &message);
}

static void reject_append(struct raft *raft, const struct raft_message *append)
{
    struct raft_message message = raft_message_to(raft, RAFT_ACCEPT, append->from);
    uint64_t limit = least(append->index ? append->index - 1 : 0, raft->view.last_index);
    message.index = append->index;
    message.written = raft_term_table_search(&raft->terms, limit, append->log_term);
    message.log_term = raft_term_at(raft, message.written);
    message.round = append->term == raft->view.term ? raft->leader_round : 0;
    message.unsure = raft->view.unsure;
    raft_send_when_saved(raft, &message);
}

void raft_follow_commit(struct raft *raft, uint64_t commit)
{
    if (commit > raft->view.told_commit)
        raft->view.told_commit = commit;
    commit = least(commit, raft->matched);
    if (commit <= raft->view.commit)
        return;
    raft->view.commit = commit;
    if (raft->view.offered_index <= commit)
        raft->view.offered_index = 0;
}

/* The first index of the message that is not in the log as it stands there; last_index + 1: all
 * are. */
static uint64_t find_news(const struct raft *raft, const struct raft_event *event)
{
    const struct raft_message *message = &event->message;
    uint64_t index = message->index + 1;
    while (index <= message->last_index && index <= raft->view.last_index &&
           raft_term_at(raft, index) == event->entry_terms[index - message->index - 1])
        index++;
    return index;
}

static void store_entries(struct raft *raft, const struct raft_event *event, uint64_t from)
{
    const struct raft_message *message = &event->message;
    size_t configuration = 0;
    if (from <= raft->view.last_index)
        raft_log_truncate(raft, from);
    for (uint64_t index = from; index <= message->last_index; index++)
        raft_log_append(raft, event->entry_terms[index - message->index - 1]);
    for (; configuration < event->configuration_count; configuration++)
        if (event->configuration_indexes[configuration] >= from)
            raft_configuration_activate(raft, &event->configurations[configuration],
                                        event->configuration_indexes[configuration]);
    raft->view.accepted_from = from;
}

static void accept_entries(struct raft *raft, const struct raft_event *event)
{
    const struct raft_message *message = &event->message;
    uint64_t news = find_news(raft, event);
    bool is_new = news <= message->last_index;
    if (is_new && news <= raft->view.commit && raft_is_doubted(raft)) {
        raft_find_void(raft, news);
        return;
    }
    if (is_new && news <= raft->view.commit) { /* RAFT-7: not from a leader of this cluster */
        raft->ignored++;
        return;
    }
    if (is_new)
        store_entries(raft, event, news);
    if (message->last_index > raft->matched)
        raft->matched = message->last_index;
    if (message->acked > raft->view.acked)
        raft->view.acked = message->acked;
    raft_hear_commit(raft, message);
    uint64_t everywhere = least(message->persisted, raft->matched);
    if (everywhere > raft->view.everywhere)
        raft->view.everywhere = everywhere;
    raft_follow_commit(raft, message->commit);
    if (!is_new) /* else the answer comes with the sync */
        raft_send_accept(raft);
}

void raft_handle_append(struct raft *raft, const struct raft_event *event)
{
    const struct raft_message *message = &event->message;
    if (message->term < raft->view.term) {
        reject_append(raft, message); /* tells the old leader of the newer term */
        return;
    }
    if (!raft_hear_leader(raft, message->term, message->from, message->round) ||
        !raft_meet_history(raft, &message->history))
        return;
    bool matches = message->index <= raft->view.last_index &&
                   raft_term_at(raft, message->index) == message->log_term; /* RAFT-3 */
    if (matches)
        accept_entries(raft, event);
    else
        reject_append(raft, message);
}
