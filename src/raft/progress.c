/* progress.c - what a leader knows of the others: for those who wait for copies, for those who want
 * to make a learner a voter, and for status (dissertation 4.2.1; R15). */
#include "raft/state.h"

/* ---- catching up, in rounds ---- */

void raft_begin_catch_up(const struct raft *raft, struct peer *peer)
{
    if (peer->catch_up_start_ns || raft->view.last_index <= peer->written)
        return;
    peer->catch_up_start_ns = raft->now_ns;
    peer->catch_up_end = raft->view.last_index;
}

static void note_round(const struct raft *raft, struct peer *peer)
{
    if (!peer->catch_up_start_ns || peer->written < peer->catch_up_end)
        return;
    peer->catch_up_ns = raft->now_ns - peer->catch_up_start_ns;
    peer->catch_up_rounds++;
    peer->catch_up_start_ns = 0;
    raft_begin_catch_up(raft, peer);
}

/* A round that is never finished, or of which nothing is heard, is a long one; the one that follows
 * a long one is short when nothing came in meanwhile. */
static bool is_caught_up(const struct raft *raft, const struct peer *peer)
{
    uint64_t min = raft->options.election_timeout_min_ns;
    bool answers = raft->now_ns < peer->contact_ns + raft->options.election_timeout_max_ns;
    bool in_time = !peer->catch_up_start_ns || raft->now_ns < peer->catch_up_start_ns + min;
    bool is_short = peer->written >= raft->view.last_index || peer->catch_up_ns < min;
    return answers && in_time && peer->catch_up_rounds && is_short;
}

/* ---- lagging behind ---- */

void raft_note_behind(struct raft *raft)
{
    for (size_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];
        if (peer->behind_ns || peer->persisted >= raft->view.last_index)
            continue;
        peer->behind_ns = raft->now_ns;
        peer->behind_index = raft->view.last_index;
    }
}

void raft_note_progress(const struct raft *raft, struct peer *peer)
{
    note_round(raft, peer);
    if (peer->persisted >= peer->behind_index)
        peer->behind_ns = 0;
}

enum status raft_progress(const struct raft *raft, struct replica_id replica,
                          struct raft_progress *out)
{
    const struct raft_view *view = &raft->view;
    const struct peer *peer = NULL;
    for (size_t i = 0; i < raft->peer_count; i++)
        if (i != raft->self_place && replica_id_equal(raft->peers[i].replica, replica))
            peer = &raft->peers[i];
    if (!peer || view->role != RAFT_LEADER)
        return STATUS_NOT_FOUND;
    *out = (struct raft_progress){
        .written = peer->written,
        .persisted = peer->persisted,
        .next = peer->next,
        .last_contact_ns = peer->contact_ns,
        .inflight_bytes = peer->inflight_bytes,
        .snapshot_index = peer->snapshot > peer->written ? peer->snapshot : 0,
        .probing = peer->probing,
        .lag = view->last_index - peer->written,
        .catch_up_rounds = peer->catch_up_rounds,
        .catch_up_ns = peer->catch_up_ns,
        .caught_up = is_caught_up(raft, peer),
        .behind_since_ns = peer->behind_ns,
        .advanced_ns = peer->advanced_ns,
    };
    return STATUS_OK;
}

/* ---- copies ---- */

uint64_t raft_everywhere(const struct raft *raft)
{
    const struct raft_configuration *c = raft_configuration(raft);
    uint64_t index = raft->view.persisted;
    for (size_t i = 0; i < raft->peer_count; i++) {
        bool has_data = c->members[i].kind == RAFT_VOTER || c->members[i].old_kind == RAFT_VOTER;
        if (i != raft->self_place && has_data && raft->peers[i].persisted < index)
            index = raft->peers[i].persisted;
    }
    return index;
}

static uint64_t copy_of(const struct raft *raft, size_t place, bool persisted)
{
    const struct peer *peer = &raft->peers[place];
    if (place == raft->self_place)
        return persisted ? raft->view.persisted : raft->view.last_index;
    return persisted ? peer->persisted : peer->written;
}

/* RAFT-16: out from the commit on, back from the append on. */
static bool is_in_sync(const struct raft *raft, size_t place)
{
    const struct raft_member *member = &raft_configuration(raft)->members[place];
    const struct raft_member *committed =
        raft_find_member(raft_configuration_at(raft, raft->view.commit), member->replica);
    return !member->out_of_sync ||
           (committed && raft_member_is_voter(committed) && !committed->out_of_sync);
}

static uint64_t acked_by_all(const struct raft *raft, bool persisted)
{
    uint64_t index = copy_of(raft, raft->self_place, persisted);
    for (size_t i = 0; i < raft->peer_count; i++) {
        uint64_t copy = copy_of(raft, i, persisted);
        if (raft_is_voter(raft, i) && is_in_sync(raft, i) && copy < index)
            index = copy;
    }
    return index;
}

uint64_t raft_acked_by(const struct raft *raft, uint32_t copies, bool persisted)
{
    const struct raft_configuration *c = raft_configuration(raft);
    uint64_t highest[RAFT_MEMBERS_MAX];
    size_t count = 0;
    if (raft->view.role != RAFT_LEADER || raft->self_place == raft->peer_count || copies == 0)
        return 0;
    if (copies == RAFT_COPIES_ALL)
        return acked_by_all(raft, persisted);
    uint64_t own = copy_of(raft, raft->self_place, persisted);
    for (size_t i = 0; i < raft->peer_count; i++) {
        bool has_data = c->members[i].kind == RAFT_VOTER || c->members[i].old_kind == RAFT_VOTER;
        if (i == raft->self_place || !has_data)
            continue;
        uint64_t copy = copy_of(raft, i, persisted);
        size_t at = count++;
        for (; at > 0 && highest[at - 1] < copy; at--)
            highest[at] = highest[at - 1];
        highest[at] = copy;
    }
    if (copies == 1)
        return own;
    uint64_t others = copies - 2 < count ? highest[copies - 2] : 0;
    return others < own ? others : own;
}
