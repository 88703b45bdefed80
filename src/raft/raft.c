/* raft.c - birth, end and the one step: which event goes to which part. */
#include "raft/raft.h"

#include "base/memory.h"
#include "raft/state.h"

#include <assert.h>

static void load_log(struct raft *raft, const struct raft_restart *restart)
{
    struct raft_view *view = &raft->view;
    raft_term_table_load(&raft->terms, restart->terms, restart->term_count);
    view->first_index = restart->snapshot_index + 1;
    view->commit = restart->snapshot_index;
    if (restart->commit > view->commit)
        view->commit = restart->commit;
    raft->matched = view->commit;
    view->last_index = view->persisted = restart->last_index;
    view->last_term = raft_term_at(raft, view->last_index);
    view->term = restart->term;
    raft->vote = restart->vote;
    if (view->last_term >
        view->term) { /* a record that was written before its term's: never voted in it */
        view->term = view->last_term;
        raft->vote = (struct replica_id){0};
        raft->term_version = view->state_version = 1;
    }
    view->history = restart->history;
    view->unsure = restart->unsure;
    if (view->unsure) {
        raft->old_last = view->last_index;
        view->state_version = 1; /* it is to be saved, too */
    }
}

/* An empty configuration stands before the first one of the log: if that is rolled back this
 * replica knows nobody. */
static void load_configurations(struct raft *raft, const struct raft_restart *restart)
{
    struct raft_configuration nobody = {0};
    assert(restart->configuration_count > 0);
    if (restart->configurations[0].index > restart->snapshot_index)
        raft_configuration_activate(raft, &nobody, 0);
    for (size_t i = 0; i < restart->configuration_count; i++)
        raft_configuration_activate(raft, &restart->configurations[i],
                                    restart->configurations[i].index);
}

/* The first wait. After a restart the pre-votes run while votes are withheld, so that the real ones
 * fall on its end. */
static void start_waiting(struct raft *raft)
{
    uint64_t min = raft->options.election_timeout_min_ns;
    raft->election_timeout_ns = raft_draw_timeout(raft);
    raft->deadline_ns = raft->now_ns + raft->election_timeout_ns;
    if (raft_is_alone(raft)) {
        raft->deadline_ns = raft->now_ns;
    } else if (raft->options.restarted) {
        raft->view.withheld_until_ns = raft->now_ns + min; /* RAFT-10 */
        raft->deadline_ns = raft->now_ns + min / 2 + random_below(&raft->random, min / 2 + 1);
    }
}

static void update_deadline(struct raft *raft)
{
    struct raft_view *view = &raft->view;
    if (raft_is_transferring(raft))
        view->deadline_ns = raft_transfer_deadline_ns(raft);
    else if (view->role == RAFT_LEADER)
        view->deadline_ns = raft_quorum_contact_ns(raft) + raft->options.election_timeout_max_ns;
    else if (view->role == RAFT_PRE_CANDIDATE && raft->pre_vote_won)
        view->deadline_ns = raft->vote_at_ns;
    else
        view->deadline_ns =
            raft_may_campaign(raft) || view->leader.value ? raft->deadline_ns : UINT64_MAX;
}

struct raft *raft_create(const struct raft_options *options, const struct raft_restart *restart)
{
    assert(options->self.value != 0 && options->election_timeout_min_ns > 0);
    assert(options->election_timeout_max_ns >= options->election_timeout_min_ns);
    assert(options->drift_ppm < 1000000 && options->inflight_entries_max > 0);
    assert(restart->snapshot_index <= restart->last_index);
    assert(restart->commit <= restart->last_index);
    struct raft *raft = memory_zeroed(1, sizeof *raft);
    raft->options = *options;
    raft->now_ns = restart->now_ns;
    random_init(&raft->random, options->random_seed);
    load_log(raft, restart);
    load_configurations(raft, restart);
    start_waiting(raft);
    update_deadline(raft);
    raft_validate(raft);
    return raft;
}

void raft_destroy(struct raft *raft)
{
    if (!raft)
        return;
    raft_term_table_deinit(&raft->terms);
    memory_free(raft->configurations);
    memory_free(raft);
}

static void receive(struct raft *raft, const struct raft_event *event)
{
    const struct raft_message *message = &event->message;
    if (!raft_message_is_possible(raft, event)) {
        raft->ignored++;
        return;
    }
    switch (message->kind) {
    case RAFT_PRE_VOTE: raft_handle_pre_vote(raft, message); break;
    case RAFT_PRE_VOTE_ANSWER: raft_handle_pre_vote_answer(raft, message); break;
    case RAFT_VOTE: raft_handle_vote(raft, message); break;
    case RAFT_VOTE_ANSWER: raft_handle_vote_answer(raft, message); break;
    case RAFT_APPEND: raft_handle_append(raft, event); break;
    case RAFT_ACCEPT: raft_handle_accept(raft, message); break;
    case RAFT_RUN_NOW: raft_handle_run_now(raft, message); break;
    case RAFT_SNAPSHOT_OFFER: raft_handle_snapshot_offer(raft, message); break;
    case RAFT_SNAPSHOT_ANSWER: raft_handle_snapshot_answer(raft, message); break;
    }
}

static void lose_peer(struct raft *raft, struct replica_id replica)
{
    struct peer *peer = raft_peer(raft, replica);
    if (raft->view.role == RAFT_LEADER) {
        if (peer && !peer->probing)
            raft_start_probing(peer);
        else if (peer)
            peer->probe_sent = false;
    } else if (raft->heard_ns && replica_id_equal(raft->heard_from, replica)) {
        raft_handle_leader_lost(raft);
    }
}

/* Those who follow hold their promise for a while yet: another should be the first to ask, not this
 * one. */
static void step_down(struct raft *raft)
{
    if (raft->view.role != RAFT_LEADER)
        return;
    raft_become_follower(raft, raft->view.term, (struct replica_id){0});
    raft->deadline_ns = raft->now_ns + raft->options.election_timeout_max_ns;
}

static void acknowledged(struct raft *raft, uint64_t index)
{
    if (raft->view.role != RAFT_LEADER)
        return;
    assert(index <= raft->view.last_index);
    if (index > raft->view.acked)
        raft->view.acked = index;
}

static void dispatch(struct raft *raft, const struct raft_event *event)
{
    switch (event->kind) {
    case RAFT_TICK: raft_election_tick(raft); break;
    case RAFT_RECEIVE: receive(raft, event); break;
    case RAFT_PROPOSE: raft_handle_propose(raft); break;
    case RAFT_PROPOSE_CONFIGURATION: raft_handle_propose_configuration(raft, event); break;
    case RAFT_WRITTEN: raft_handle_written(raft, event->ticket); break;
    case RAFT_PERSISTED: raft_handle_persisted(raft, event->ticket); break;
    case RAFT_STATE_SAVED: raft_handle_state_saved(raft, event->version); break;
    case RAFT_SENT: raft_handle_sent(raft, event); break;
    case RAFT_ROUND: raft_handle_round(raft); break;
    case RAFT_HEARTBEAT: raft_handle_heartbeat(raft, event); break;
    case RAFT_HEARTBEAT_ANSWER: raft_handle_heartbeat_answer(raft, event); break;
    case RAFT_PEER_LOST: lose_peer(raft, event->from); break;
    case RAFT_ACKNOWLEDGED: acknowledged(raft, event->index); break;
    case RAFT_STEP_DOWN: step_down(raft); break;
    case RAFT_COMPACTED: raft_handle_compacted(raft, event->index); break;
    case RAFT_SNAPSHOT_SENT: raft_handle_snapshot_sent(raft, event); break;
    case RAFT_SNAPSHOT_INSTALLED: raft_handle_snapshot_installed(raft, event); break;
    case RAFT_TRANSFER: raft_handle_transfer(raft, event->from); break;
    case RAFT_FOUND_VOID: raft_find_void(raft, event->index); break;
    case RAFT_BEGIN_ANEW: raft_handle_begin_anew(raft, event); break;
    case RAFT_CAMPAIGN: raft_campaign(raft); break;
    }
}

static void announce_state(struct raft *raft)
{
    if (raft->announced_version == raft->view.state_version)
        return;
    raft->announced_version = raft->view.state_version;
    raft->outputs->save_state = true;
    raft->outputs->state_version = raft->view.state_version;
}

void raft_step(struct raft *raft, const struct raft_event *event, struct raft_outputs *outputs)
{
    outputs->truncate_from = 0;
    outputs->save_state = outputs->round_wanted = false;
    outputs->state_version = 0;
    outputs->message_count = 0;
    raft->outputs = outputs;
    raft->view.accepted_from = 0;
    if (event->now_ns > raft->now_ns)
        raft->now_ns = event->now_ns;
    raft->wall_us = event->wall_us;
    dispatch(raft, event);
    raft_check_sure(raft);
    raft_transfer_tick(raft);
    announce_state(raft);
    update_deadline(raft);
    const struct raft_configuration *configuration = raft_configuration(raft);
    raft->view.leave_joint =
        configuration->joint && raft_is_serving(raft) && configuration->index <= raft->view.commit;
    raft->outputs = NULL;
}

static void fetch_lines(const void *from, const void *to)
{
    for (const uint8_t *at = from; at < (const uint8_t *)to; at += 64)
        memory_touch(at);
}

void raft_fetch(const struct raft *const *rafts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fetch_lines(rafts[i], rafts[i]->peers);
        fetch_lines(&rafts[i]->heard_ns, &rafts[i]->round_starts[1]);
        memory_touch(&rafts[i]->ticket_first);
    }
    for (size_t i = 0; i < count; i++) {
        const struct raft *raft = rafts[i];
        const struct raft_configuration *configuration = raft_configuration(raft);
        fetch_lines(configuration, &configuration->members[raft->peer_count]);
        for (size_t k = 0; k < raft->peer_count && raft->view.role == RAFT_LEADER; k++)
            fetch_lines(&raft->peers[k], raft->peers[k].batches);
    }
}

const struct raft_view *raft_view(const struct raft *raft)
{
    return &raft->view;
}

uint64_t raft_term_at(const struct raft *raft, uint64_t index)
{
    return raft_term_table_at(&raft->terms, raft->view.last_index, index);
}

size_t raft_term_starts(const struct raft *raft, uint64_t index,
                        const struct raft_term_start **starts)
{
    *starts = raft->terms.starts;
    return raft_term_table_rows(&raft->terms, index);
}
