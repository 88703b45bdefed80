/* election.c - followers, pre-candidates, candidates: who may lead
 * (dissertation 3.4, 3.6.1, 4.2.3, 9.6; R11, R17).
 *
 *     follower --silence--> pre-candidate --E would vote--> (wait until E may vote) --> candidate
 * --E voted--> leader
 *
 * The promise: who has heard a leader gives no real vote for one minimum election timeout; the
 * leader's lease rests on that. A refused link makes the pre-vote start at once, so that the real
 * vote falls on the very end of the promises, not earlier. */
#include "raft/state.h"

#include <assert.h>

/* A witness lets the others try first (RAFT-18). */
uint64_t raft_draw_timeout(struct raft *raft)
{
    uint64_t min = raft->options.election_timeout_min_ns;
    uint64_t max = raft->options.election_timeout_max_ns;
    uint64_t wait = min + random_below(&raft->random, max - min + 1);
    return raft_self_is_witness(raft) ? wait + max : wait;
}

static uint64_t short_wait(const struct raft *raft)
{
    return raft->options.election_timeout_min_ns / 4;
}

static uint64_t draw_short_wait(struct raft *raft)
{
    return random_below(&raft->random, short_wait(raft) + 1);
}

/* Until when no real vote may be given to `candidate`. A former leader that asks again holds no
 * lease: none is owed to it. */
static uint64_t promise_end_ns(const struct raft *raft, struct replica_id candidate)
{
    uint64_t end = raft->view.withheld_until_ns;
    if (raft->heard_ns == 0 || replica_id_equal(raft->heard_from, candidate))
        return end;
    uint64_t heard_end = raft->heard_ns + raft->options.election_timeout_min_ns;
    return heard_end > end ? heard_end : end;
}

/* The leader itself asks for this campaign. It had given its lease up in `round` at the latest, so
 * the promise to it binds nobody (3.10) - but for who has heard a later round: it leads again. */
static bool promise_is_released(const struct raft *raft, const struct raft_message *message)
{
    uint64_t heard = raft->view.role == RAFT_LEADER ? raft->view.round : raft->leader_round;
    return message->transfer && message->term <= raft->view.term + 1 &&
           heard <= message->round; /* RAFT-13 */
}

/* What was promised before a restart is forgotten here, and nobody can release it. */
static uint64_t promise_remaining_ns(const struct raft *raft, const struct raft_message *message)
{
    uint64_t end = promise_is_released(raft, message) ? raft->view.withheld_until_ns
                                                      : promise_end_ns(raft, message->from);
    return end > raft->now_ns ? end - raft->now_ns : 0;
}

/* A leader is heard, or this is one that a quorum follows (dissertation 4.2.3). Asked for pre-votes
 * only: a link that was refused ends it early, a promise does not end with it. */
static bool leader_is_live(const struct raft *raft, struct replica_id candidate)
{
    uint64_t min = raft->options.election_timeout_min_ns;
    if (raft->view.role == RAFT_LEADER)
        return raft->now_ns < raft_quorum_contact_ns(raft) + min;
    if (raft->heard_ns == 0 || raft->leader_lost || replica_id_equal(raft->heard_from, candidate))
        return false;
    return raft->now_ns < raft->heard_ns + min;
}

static bool log_is_up_to_date(const struct raft *raft, uint64_t last_term, uint64_t last_index)
{
    if (last_term != raft->view.last_term)
        return last_term > raft->view.last_term;
    return last_index >= raft->view.last_index;
}

static void forget_asked(struct raft *raft)
{
    for (size_t i = 0; i < raft->peer_count; i++)
        raft->peers[i].asked = false;
}

static void set_term(struct raft *raft, uint64_t term, struct replica_id vote)
{
    assert(term >= raft->view.term);
    if (term == raft->view.term && replica_id_equal(vote, raft->vote))
        return;
    if (term > raft->view.term) {
        raft_drop_held(raft); /* nothing of an older term is worth sending */
        raft->matched = raft->view.commit;
        raft->leader_round = 0;
        forget_asked(raft);
    }
    raft->view.term = term;
    raft->vote = vote;
    raft_state_changed(raft);
    raft->term_version = raft->view.state_version;
}

static void leave_leadership(struct raft *raft)
{
    raft->view.term_start = 0;
    raft->view.lease_until_ns = 0;
    raft->view.transfer_to = (struct replica_id){0};
    raft->view.unsure_election = false;
    raft->matched = raft->view.commit;
}

void raft_become_follower(struct raft *raft, uint64_t term, struct replica_id leader)
{
    bool led = raft->view.role == RAFT_LEADER, deposed = led && term > raft->view.term;
    if (term > raft->view.term)
        set_term(raft, term, (struct replica_id){0});
    if (led)
        leave_leadership(raft);
    raft->view.role = RAFT_FOLLOWER;
    raft->view.leader = leader;
    raft->pre_vote_won = raft->transfer = false;
    if (leader.value)
        forget_asked(raft);
    raft->election_timeout_ns = raft_draw_timeout(raft);
    raft->deadline_ns = raft->now_ns + raft->election_timeout_ns;
    /* A mere higher term, of a voter that was cut off and won nothing: everybody else still holds
     * its promise to this one. */
    if (deposed && leader.value == 0)
        raft->deadline_ns = raft->now_ns + draw_short_wait(raft);
}

/* A message of the current or a newer term from its leader. False: another one leads this term, or
 * it has asked this replica to run. */
bool raft_hear_leader(struct raft *raft, uint64_t term, struct replica_id leader, uint64_t round)
{
    struct raft_view *view = &raft->view;
    bool campaigns = view->role == RAFT_PRE_CANDIDATE && raft->transfer;
    if (campaigns && term == view->term && round <= raft->transfer_round)
        return false; /* it waits for this campaign, which its own heartbeats must not end */
    bool known = term == view->term && view->leader.value != 0;
    if (known && !replica_id_equal(view->leader, leader)) { /* RAFT-1: two leaders in a term */
        raft->ignored++;
        return false;
    }
    if (!known || view->role != RAFT_FOLLOWER)
        raft_become_follower(raft, term, leader);
    raft->leader_lost = false;
    raft->heard_ns = raft->now_ns;
    raft->heard_from = leader;
    raft->deadline_ns = raft->now_ns + raft->election_timeout_ns;
    if (round > raft->leader_round)
        raft->leader_round = round;
    return true;
}

void raft_handle_leader_lost(struct raft *raft)
{
    raft->leader_lost = true;
    if (raft->view.role != RAFT_FOLLOWER || raft_self_is_witness(raft))
        return;
    uint64_t deadline = raft->now_ns + draw_short_wait(raft);
    if (deadline < raft->deadline_ns)
        raft->deadline_ns = deadline;
}

/* ---- pre-vote ---- */

static void ask_to_run(struct raft *raft, struct peer *peer)
{
    struct raft_message message = raft_message_to(raft, RAFT_RUN_NOW, peer->replica);
    peer->asked = true;
    raft_send(raft, &message);
}

/* Steps back for another candidate; tries again after `wait`. */
static void yield_to_other(struct raft *raft, uint64_t wait_ns)
{
    if (raft->view.role != RAFT_FOLLOWER)
        raft_become_follower(raft, raft->view.term, (struct replica_id){0});
    raft->deadline_ns = raft->now_ns + wait_ns;
}

static void become_candidate(struct raft *raft)
{
    struct peer *better = raft_find_better_clock(raft);
    if (better) {
        ask_to_run(raft, better);
        yield_to_other(raft, raft_draw_timeout(raft));
        return;
    }
    set_term(raft, raft->view.term + 1, raft->options.self);
    raft->view.role = RAFT_CANDIDATE;
    raft->view.leader = (struct replica_id){0};
    raft->view.elections++;
    raft->pre_vote_won = false;
    raft->deadline_ns = raft->now_ns + raft_draw_timeout(raft);
    for (size_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];
        peer->answered = peer->granted = i == raft->self_place;
        if (i == raft->self_place || !raft_is_voter(raft, i))
            continue;
        struct raft_message message = raft_message_to(raft, RAFT_VOTE, peer->replica);
        message.index = raft->view.last_index;
        message.log_term = raft->view.last_term;
        message.transfer = raft->transfer;
        message.round = raft->transfer ? raft->transfer_round : 0;
        message.everybody = raft->everybody;
        raft_send_when_saved(raft, &message);
    }
}

/* The other voter's clock may run faster or slower than this one while it waits. */
static uint64_t with_drift(const struct raft *raft, uint64_t remaining_ns)
{
    if (remaining_ns == 0)
        return 0;
    return remaining_ns + remaining_ns / 1000000 * 2 * raft->options.drift_ppm + 1000;
}

/* Everybody who may still answer gets a moment to do so: among the late ones may be the most
 * advanced log (R17) or the second clock that shows ours to be wrong (R12). A leader whose link was
 * refused is not waited for. */
static uint64_t answers_end_ns(const struct raft *raft)
{
    for (size_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];
        bool gone = raft->leader_lost && replica_id_equal(peer->replica, raft->heard_from);
        if (!peer->answered && !gone && raft_is_voter(raft, i))
            return raft->campaign_ns + raft->options.election_timeout_min_ns / 16;
    }
    return 0;
}

static void evaluate_pre_votes(struct raft *raft)
{
    uint64_t granted[RAFT_MEMBERS_MAX], ready[RAFT_MEMBERS_MAX];
    uint64_t answers_end = raft->transfer ? 0 : answers_end_ns(raft);
    uint64_t last_ready = 0;
    for (size_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];
        granted[i] = peer->granted && !peer->unsure;
        ready[i] = granted[i] ? UINT64_MAX - peer->ready_ns : 0;
        if (raft_is_voter(raft, i) && peer->ready_ns > last_ready)
            last_ready = peer->ready_ns;
    }
    bool sure = !raft->view.unsure && raft_quorum_value(raft, QUORUM_ELECTION, granted) != 0;
    if (!sure && !raft_everybody_granted(raft)) /* RAFT-17 */
        return;
    raft->pre_vote_won = true;
    raft->everybody = !sure;
    raft->vote_at_ns =
        sure ? UINT64_MAX - raft_quorum_value(raft, QUORUM_ELECTION, ready) : last_ready;
    if (raft->vote_at_ns < answers_end)
        raft->vote_at_ns = answers_end;
    if (raft->now_ns >= raft->vote_at_ns)
        become_candidate(raft);
}

/* Terms rise only after a won pre-vote (dissertation 9.6): who cannot win does not disturb. */
void raft_campaign(struct raft *raft)
{
    if (!raft_may_campaign(raft) || raft->view.role == RAFT_LEADER)
        return;
    raft->view.role = RAFT_PRE_CANDIDATE;
    raft->view.leader = (struct replica_id){0};
    raft->pre_vote_won = false;
    raft->campaign_ns = raft->now_ns;
    raft->deadline_ns = raft->now_ns + raft_draw_timeout(raft);
    for (size_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];
        peer->answered = peer->granted = i == raft->self_place;
        peer->clock_answered = peer->unsure = false;
        peer->ready_ns = 0;
        if (i == raft->self_place)
            peer->unsure = raft->view.unsure;
        if (i == raft->self_place)
            peer->ready_ns = raft->transfer ? raft->view.withheld_until_ns
                                            : promise_end_ns(raft, raft->options.self);
        if (i == raft->self_place || !raft_is_voter(raft, i))
            continue;
        struct raft_message message = raft_message_to(raft, RAFT_PRE_VOTE, peer->replica);
        message.term = raft->view.term + 1;
        message.index = raft->view.last_index;
        message.log_term = raft->view.last_term;
        message.transfer = raft->transfer;
        message.round = raft->transfer ? raft->transfer_round : 0;
        message.unsure = raft->view.unsure;
        raft_send(raft, &message);
    }
    evaluate_pre_votes(raft);
}

/* Between candidates with equal logs: priority, then the lower id. Both sides see the same answer,
 * so the votes do not split. */
static bool ranks_before(const struct raft *raft, const struct raft_message *message)
{
    const struct raft_configuration *configuration = raft_configuration(raft);
    uint8_t own = 0, other = 0;
    for (size_t i = 0; i < configuration->member_count; i++) {
        if (i == raft->self_place)
            own = configuration->members[i].priority;
        if (replica_id_equal(configuration->members[i].replica, message->from))
            other = configuration->members[i].priority;
    }
    return own != other ? other > own : message->from.value < raft->options.self.value;
}

/* The own campaign stands against the other's, whose log is as good or better: it goes on, unless
 * the other log is better, the other ranks first, or it has refused this one already. Real votes
 * that are under way are not given up for a rank. */
static bool own_campaign_goes_on(struct raft *raft, const struct raft_message *message)
{
    bool equal =
        message->log_term == raft->view.last_term && message->index == raft->view.last_index;
    if (raft->view.role == RAFT_CANDIDATE)
        return equal;
    if (raft->view.role != RAFT_PRE_CANDIDATE || !equal)
        return false;
    if (message->unsure != raft->view.unsure)
        return message->unsure; /* the sure one first */
    bool witness = raft_self_is_witness(raft);
    if (witness != raft_is_witness(raft, message->from))
        return !witness; /* RAFT-18 */
    if (ranks_before(raft, message))
        return false;
    struct peer *peer = raft_peer(raft, message->from);
    return !(peer && peer->answered && !peer->granted);
}

static bool would_vote(struct raft *raft, const struct raft_message *message, bool *live)
{
    *live = !promise_is_released(raft, message) && leader_is_live(raft, message->from);
    return !*live && message->term > raft->view.term &&
           log_is_up_to_date(raft, message->log_term, message->index) &&
           !own_campaign_goes_on(raft, message);
}

void raft_handle_pre_vote(struct raft *raft, const struct raft_message *message)
{
    bool live, granted = would_vote(raft, message, &live);
    uint64_t remaining = promise_remaining_ns(raft, message);
    struct raft_message answer = raft_message_to(raft, RAFT_PRE_VOTE_ANSWER, message->from);
    answer.granted = granted;
    answer.term = granted ? message->term : raft->view.term;
    answer.index = raft->view.last_index;
    answer.log_term = raft->view.last_term;
    answer.wall_us = raft->wall_us;
    answer.lease_remaining_ns = granted || live ? remaining : 0; /* refused for the log: 0 */
    answer.unsure = raft->view.unsure;
    bool can_win = raft->view.unsure || !message->unsure; /* else this one may yet be needed */
    if (granted && can_win && raft->view.role != RAFT_LEADER) {
        uint64_t wait = remaining + short_wait(raft) + draw_short_wait(raft);
        if (raft->view.role != RAFT_FOLLOWER || raft->deadline_ns < raft->now_ns + wait)
            yield_to_other(raft, wait);
    }
    raft_send(raft, &answer);
}

/* R17: more advanced than we are, or as advanced and with a higher priority. */
static bool should_run_instead(const struct raft *raft, const struct peer *peer)
{
    const struct raft_view *view = &raft->view;
    const struct raft_configuration *configuration = raft_configuration(raft);
    size_t place = (size_t)(peer - raft->peers);
    if (configuration->members[place].kind != RAFT_VOTER || peer->asked)
        return false;
    if (peer->unsure && raft_sure_voters_suffice(raft))
        return false;
    if (peer->last_term != view->last_term)
        return peer->last_term > view->last_term;
    if (peer->last_index != view->last_index)
        return peer->last_index > view->last_index;
    if (raft_self_is_witness(raft))
        return true; /* RAFT-18 */
    bool member = raft->self_place < raft->peer_count;
    uint8_t own = member ? configuration->members[raft->self_place].priority : 0;
    return configuration->members[place].priority > own;
}

static void note_answer(struct raft *raft, struct peer *peer, const struct raft_message *message)
{
    uint64_t remaining = message->lease_remaining_ns,
             most = 2 * raft->options.election_timeout_max_ns;
    if (remaining > most) /* a foreign number must not stop us for ever */
        remaining = most;
    peer->answered = true;
    peer->granted = message->granted;
    peer->unsure = message->unsure;
    peer->ready_ns = remaining ? raft->now_ns + with_drift(raft, remaining) : 0;
    peer->last_index = message->index;
    peer->last_term = message->log_term;
    raft_note_clock(raft, peer, message->wall_us);
    peer->clock_answered = true;
}

void raft_handle_pre_vote_answer(struct raft *raft, const struct raft_message *message)
{
    struct peer *peer = raft_peer(raft, message->from);
    if (!peer)
        return;
    if (!message->granted && message->term > raft->view.term) {
        bool live = message->lease_remaining_ns > 0;
        raft_become_follower(raft, message->term, (struct replica_id){0});
        if (!live) /* whoever made that term may be at its votes right now */
            raft->deadline_ns = raft->now_ns + short_wait(raft) + draw_short_wait(raft);
        return;
    }
    if (raft->view.role != RAFT_PRE_CANDIDATE)
        return;
    if (message->granted && message->term != raft->view.term + 1)
        return;
    note_answer(raft, peer, message);
    bool refused_for_leader = !message->granted && message->lease_remaining_ns > 0;
    if (!refused_for_leader && !raft->transfer && should_run_instead(raft, peer)) {
        ask_to_run(raft, peer);
        yield_to_other(raft, short_wait(raft));
        return;
    }
    evaluate_pre_votes(raft);
}

void raft_handle_run_now(struct raft *raft, const struct raft_message *message)
{
    bool known =
        replica_id_equal(raft->view.leader, message->from) ||
        (raft->view.leader.value == 0 && replica_id_equal(raft->heard_from, message->from));
    bool from_leader = message->transfer && message->term == raft->view.term && known &&
                       raft->leader_round <= message->round; /* RAFT-13 */
    if (raft->view.role == RAFT_LEADER || raft->view.role == RAFT_CANDIDATE || raft->pre_vote_won)
        return;
    if (!raft_peer(raft, message->from) || message->transfer != from_leader)
        return; /* a late one: that leader leads on, or another does */
    if (!from_leader && leader_is_live(raft, message->from))
        return;
    if (from_leader && raft->view.unsure)
        return;
    if (message->term > raft->view.term)
        raft_become_follower(raft, message->term, (struct replica_id){0});
    raft->transfer = from_leader;
    raft->transfer_round = message->round;
    raft_campaign(raft);
}

/* ---- vote ---- */

static void answer_vote(struct raft *raft, const struct raft_message *message, bool granted)
{
    struct raft_message answer = raft_message_to(raft, RAFT_VOTE_ANSWER, message->from);
    answer.granted = granted;
    answer.index = raft->view.last_index;
    answer.log_term = raft->view.last_term;
    answer.wall_us = raft->wall_us;
    answer.lease_remaining_ns = promise_remaining_ns(raft, message);
    answer.unsure = raft->view.unsure;
    raft_send_when_saved(raft, &answer); /* RAFT-5 */
}

/* While a promise runs a vote changes nothing here, not even the term (dissertation 4.2.3;
 * RAFT-10). */
static bool vote_is_promised_away(const struct raft *raft, const struct raft_message *message)
{
    if (raft->view.role == RAFT_LEADER && !promise_is_released(raft, message) &&
        leader_is_live(raft, message->from))
        return true;
    return promise_remaining_ns(raft, message) > 0;
}

void raft_handle_vote(struct raft *raft, const struct raft_message *message)
{
    if (message->term < raft->view.term || vote_is_promised_away(raft, message)) {
        answer_vote(raft, message, false);
        return;
    }
    if (message->term > raft->view.term)
        raft_become_follower(raft, message->term, (struct replica_id){0});
    bool free = raft->vote.value == 0 || replica_id_equal(raft->vote, message->from);
    bool granted = raft->view.role == RAFT_FOLLOWER && raft->view.leader.value == 0 && free &&
                   log_is_up_to_date(raft, message->log_term, message->index) &&
                   (!raft->view.unsure || message->everybody); /* RAFT-17 */
    if (granted) {
        set_term(raft, message->term, message->from);
        raft->deadline_ns = raft->now_ns + raft_draw_timeout(raft);
    }
    answer_vote(raft, message, granted);
}

static void become_leader(struct raft *raft)
{
    assert(replica_id_equal(raft->vote, raft->options.self)); /* RAFT-1 */
    assert(raft_is_saved(raft));
    assert(!raft->view.unsure || raft->everybody); /* RAFT-17 */
    raft->view.role = RAFT_LEADER;
    raft->view.unsure_election = raft->everybody;
    raft->view.leader = raft->options.self;
    raft->view.term_start = raft->view.last_index + 1;
    if (raft->view.acked >
        raft->view.last_index) /* another leader's entries: they never came here */
        raft->view.acked = raft->view.last_index;
    raft->view.offered_index = 0; /* appends have brought it meanwhile: a leader has what counts */
    raft->transfer = false;
    raft_drop_held(raft);
    if (raft->everybody) { /* RAFT-19 */
        raft->view.history = (struct raft_history){raft->view.term, raft->view.term_start};
        raft_state_changed(raft);
    }
    raft_reset_progress(raft);
    raft_start_rounds(raft);
}

/* Nobody can complete the quorum any more: no reason to wait the whole timeout out. */
static void give_up_when_lost(struct raft *raft)
{
    uint64_t possible[RAFT_MEMBERS_MAX];
    for (size_t i = 0; i < raft->peer_count; i++)
        possible[i] = raft->peers[i].granted || !raft->peers[i].answered;
    bool lost = false;
    for (size_t i = 0; i < raft->peer_count; i++)
        lost = lost || (raft->everybody && raft_is_voter(raft, i) && !possible[i]);
    if (!lost && raft_quorum_value(raft, QUORUM_ELECTION, possible) != 0)
        return;
    raft_become_follower(raft, raft->view.term, (struct replica_id){0});
    raft->deadline_ns = raft->now_ns + draw_short_wait(raft);
}

void raft_evaluate_votes(struct raft *raft)
{
    uint64_t granted[RAFT_MEMBERS_MAX];
    if (raft->view.role != RAFT_CANDIDATE || !raft_is_saved(raft))
        return;
    for (size_t i = 0; i < raft->peer_count; i++)
        granted[i] = raft->peers[i].granted;
    bool won = raft_quorum_value(raft, QUORUM_ELECTION, granted) != 0;
    if (won && (!raft->everybody || raft_everybody_granted(raft)))
        become_leader(raft);
    else
        give_up_when_lost(raft);
}

void raft_handle_vote_answer(struct raft *raft, const struct raft_message *message)
{
    struct peer *peer = raft_peer(raft, message->from);
    if (!peer)
        return;
    if (message->term > raft->view.term) {
        raft_become_follower(raft, message->term, (struct replica_id){0});
        return;
    }
    if (raft->view.role != RAFT_CANDIDATE || message->term != raft->view.term)
        return;
    raft_note_clock(raft, peer, message->wall_us);
    peer->answered = true;
    peer->granted = peer->granted || message->granted; /* a vote is never taken back */
    raft_evaluate_votes(raft);
}

void raft_election_tick(struct raft *raft)
{
    if (raft->view.role == RAFT_LEADER) {
        raft_check_quorum(raft);
        if (raft->view.role == RAFT_LEADER)
            raft_check_stalled(raft);
    } else if (raft->view.role == RAFT_PRE_CANDIDATE && raft->pre_vote_won) {
        if (raft->now_ns >= raft->vote_at_ns)
            become_candidate(raft);
    } else if (raft->now_ns >= raft->deadline_ns) {
        raft->transfer = false;
        if (raft_may_campaign(raft))
            raft_campaign(raft);
        else /* whom it has not heard for so long may have let go of it */
            raft->view.leader = (struct replica_id){0};
    }
}
