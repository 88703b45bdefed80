/* flight.c - what this replica saw of a failover in which it became the leader: when the old one
 * was last heard, why nobody waited for it any longer, who voted with which log, and when writes
 * went on. Raft gives the facts, the turn the times. */
#include "replica/replica.h"

#include "replica/log/log.h"

/* A leader is there: whatever was suspected is over. */
static void hear(struct flight *flight, struct replica_id leader, uint64_t now_ns)
{
    flight->leader = leader;
    flight->heard_ns = now_ns;
    flight->begun_ns = 0;
    flight->attempts = 0;
    flight->suspicion = REPLICA_LEADER_SILENT;
}

static void add_vote(struct replica *replica, const struct raft_message *message, uint64_t now_ns)
{
    struct replica_flight *draft = &replica->flight.draft;
    if (draft->vote_count == RAFT_MEMBERS_MAX)
        return;
    draft->votes[draft->vote_count++] =
        (struct replica_flight_vote){raft_node_of(raft_configuration(replica->raft), message->from),
                                     message->granted, message->index, message->log_term, now_ns};
}

static void take_message(struct replica *replica, const struct raft_message *message,
                         uint64_t now_ns)
{
    struct flight *flight = &replica->flight;
    const struct raft_view *view = raft_view(replica->raft);
    if (message->kind == RAFT_APPEND && view->role == RAFT_FOLLOWER && view->leader.value)
        hear(flight, view->leader, now_ns);
    else if (message->kind == RAFT_RUN_NOW)
        flight->suspicion =
            message->transfer ? REPLICA_LEADER_HANDED_OVER : REPLICA_LEADER_ASKED_TO_RUN;
    else if (message->kind == RAFT_VOTE_ANSWER && message->term == flight->draft.term &&
             flight->role == RAFT_CANDIDATE)
        add_vote(replica, message, now_ns);
}

static void begin(struct replica *replica, uint64_t now_ns)
{
    struct flight *flight = &replica->flight;
    const struct raft_view *view = raft_view(replica->raft);
    if (!flight->begun_ns)
        flight->begun_ns = now_ns;
    flight->attempts++;
    flight->draft = (struct replica_flight){
        .previous = raft_node_of(raft_configuration(replica->raft), flight->leader),
        .suspicion = flight->suspicion,
        .heard_ns = flight->heard_ns,
        .begun_ns = flight->begun_ns,
        .attempts = flight->attempts,
        .last_index = view->last_index,
        .last_term = view->last_term};
}

/* Nobody was heard before: the first election since this process began is no failover. */
static void become_leader(struct replica *replica, uint64_t now_ns)
{
    struct flight *flight = &replica->flight;
    flight->is_open = flight->leader.value != 0;
    flight->record = flight->draft;
    flight->record.term = raft_view(replica->raft)->term;
    flight->record.elected_ns = now_ns;
    flight->first_index = 0;
    flight->news &= ~(unsigned)REPLICA_NEWS_FAILOVER;
    hear(flight, replica->options.self, now_ns);
}

static void change_role(struct replica *replica, uint64_t now_ns)
{
    struct flight *flight = &replica->flight;
    const struct raft_view *view = raft_view(replica->raft);
    enum raft_role before = flight->role;
    flight->role = view->role;
    if (before == RAFT_LEADER) {
        flight->is_open = false;
        flight->heard_ns = now_ns;
    }
    if (before == RAFT_FOLLOWER && view->role != RAFT_FOLLOWER)
        begin(replica, now_ns);
    if (view->role == RAFT_CANDIDATE) {
        flight->draft.term = view->term;
        flight->draft.vote_count = 0;
    }
    if (view->role == RAFT_LEADER)
        become_leader(replica, now_ns);
}

static void look_at_first_write(struct replica *replica, struct replica_turn *turn,
                                const struct raft_event *event)
{
    struct flight *flight = &replica->flight;
    const struct raft_view *view = raft_view(replica->raft);
    if (event->kind == RAFT_PROPOSE && flight->record.serving_ns && !flight->first_index)
        flight->first_index = view->last_index;
    if (!flight->first_index ||
        (view->commit < flight->first_index && replica->acknowledged < flight->first_index))
        return;
    flight->record.first_write_ns = turn->now_ns;
    flight->is_open = false;
    flight->news |= REPLICA_NEWS_FAILOVER;
    turn->flights++;
}

void flight_step(struct replica *replica, struct replica_turn *turn, const struct raft_event *event)
{
    struct flight *flight = &replica->flight;
    const struct raft_view *view = raft_view(replica->raft);
    if (event->kind == RAFT_RECEIVE)
        take_message(replica, &event->message, turn->now_ns);
    else if (event->kind == RAFT_HEARTBEAT && view->role == RAFT_FOLLOWER && view->leader.value)
        hear(flight, view->leader, turn->now_ns);
    else if (event->kind == RAFT_PEER_LOST && replica_id_equal(event->from, flight->leader))
        flight->suspicion = REPLICA_LEADER_REFUSED;
    if (view->role != flight->role)
        change_role(replica, turn->now_ns);
    if (flight->is_open)
        look_at_first_write(replica, turn, event);
}

void flight_serve(struct replica *replica, struct replica_turn *turn)
{
    struct flight *flight = &replica->flight;
    if (!flight->is_open || flight->record.serving_ns || !replica_is_serving(replica))
        return;
    flight->record.serving_ns = turn->now_ns;
    flight->news |= REPLICA_NEWS_FAILOVER;
    turn->flights++;
    replica->counts.failovers++;
    turn->tally.failovers[flight->record.suspicion]++;
    durations_add(&turn->tally.failover_times, turn->now_ns - flight->record.heard_ns);
}

void flight_cut(struct replica *replica, struct replica_turn *turn, uint64_t from)
{
    struct flight *flight = &replica->flight;
    if (replica->entries.last < from)
        return;
    flight->cut = (struct replica_flight_cut){
        .term = raft_view(replica->raft)->term,
        .from = from,
        .entries = replica->entries.last - from + 1,
        .executed = replica->executed >= from ? replica->executed - from + 1 : 0};
    flight->news |= REPLICA_NEWS_CUT;
    turn->flights++;
    replica->counts.cut_entries += flight->cut.entries;
}

/* ---- the door ---- */

const char *replica_suspicion_name(enum replica_suspicion suspicion)
{
    static const char *const names[REPLICA_SUSPICIONS] = {"timeout", "refused link", "hand-over",
                                                          "asked to run", "silence"};
    return names[suspicion];
}

const struct replica_counts *replica_counts(const struct replica *replica)
{
    return &replica->counts;
}

unsigned replica_news(const struct replica *replica)
{
    return replica->flight.news;
}

void replica_news_told(struct replica *replica, enum replica_news news)
{
    replica->flight.news &= ~(unsigned)news;
}

const struct replica_flight *replica_flight(const struct replica *replica)
{
    return &replica->flight.record;
}

const struct replica_flight_cut *replica_flight_cut(const struct replica *replica)
{
    return &replica->flight.cut;
}
