/* state.h - the insides of one raft, shared by the files of this folder only.
 *
 * Who owns what: election.c the role and the votes; replication.c the log's shape and the peers'
 * progress; confirmation.c the rounds; configuration.c the stack of configurations; persistence.c
 * tickets and saved state; outbox.c what leaves. */
#ifndef HOLDFAST_RAFT_STATE_H
#define HOLDFAST_RAFT_STATE_H

#include "base/random.h"
#include "raft/raft.h"

#define RAFT_ROUNDS_MAX        64 /* rounds whose start is remembered */
#define RAFT_BATCHES_MAX       32 /* per peer: sent batches whose bytes are counted apart */
#define RAFT_TICKETS_MAX       64 /* log writes in flight, counted apart */
#define RAFT_HELD_MAX          (2 * RAFT_MEMBERS_MAX)
#define RAFT_PROBE_ENTRIES_MAX 64

struct batch {
    uint64_t index, bytes; /* the bytes of one or more sends that end at index */
};

/* One member of the active configuration, at the same place as in its `members`. Own replica
 * included. */
struct peer {
    struct replica_id replica;

    /* The campaign that runs: what it answered. */
    bool answered, granted;
    uint64_t ready_ns; /* from then on it may give its real vote */
    uint64_t last_index, last_term;
    bool asked; /* was sent RUN_NOW since a leader was last heard */

    bool clock_known, clock_answered; /* ever; in this campaign */
    int64_t clock_offset_us;          /* its wall clock minus our monotonic clock */

    /* Progress, while leader. persisted <= written < next <= last_index + 1. */
    uint64_t written, persisted, next;
    uint64_t round, commit_sent;
    uint64_t contact_ns, stalled_ns, probe_ns;
    bool probing, probe_sent;
    uint64_t inflight_bytes;
    uint32_t batch_first, batch_count; /* a ring */
    struct batch batches[RAFT_BATCHES_MAX];
};

struct term_table {
    struct raft_term_start *starts; /* owned; ascending in both fields */
    size_t count, capacity;
};

struct ticket {
    uint64_t ticket, last_index; /* lowered by a truncation: RAFT-6 */
};

struct held {
    struct raft_message message;
    uint64_t version; /* of the state that must be durable first; 0: free */
};

struct raft {
    struct raft_options options;
    struct raft_view view;
    struct random random;
    struct raft_outputs *outputs; /* borrowed while a step runs */
    uint64_t now_ns;
    int64_t wall_us;

    struct replica_id vote;
    uint64_t announced_version; /* the caller was asked to save this one */
    struct term_table terms;
    struct raft_configuration *configurations; /* owned; ascending by index; the last is active */
    size_t configuration_count, configuration_capacity;
    size_t peer_count, self_place; /* self_place == peer_count: not a member */
    struct peer peers[RAFT_MEMBERS_MAX];

    /* Follower. */
    uint64_t
        heard_ns; /* when a leader was last heard; 0: never. The promise of R11 runs from here */
    struct replica_id heard_from;
    bool leader_lost;      /* its link was refused or reset since */
    uint64_t leader_round; /* highest round heard in this term */
    uint64_t matched;      /* own log is the leader's log through here, in this term */
    uint64_t election_timeout_ns, deadline_ns;

    /* Candidate. */
    bool pre_vote_won, transfer;
    uint64_t campaign_ns; /* when its pre-vote began */
    uint64_t vote_at_ns;  /* pre-vote won: when enough voters are free to vote */

    /* Leader. */
    uint64_t elected_ns;
    uint64_t round_starts[RAFT_ROUNDS_MAX];

    uint32_t ticket_first, ticket_count; /* a ring */
    struct ticket tickets[RAFT_TICKETS_MAX];
    struct held held[RAFT_HELD_MAX];
    uint64_t ignored; /* messages with impossible content */
};

/* configuration.c */
enum quorum {
    QUORUM_COMMIT = 1,
    QUORUM_ELECTION,
    QUORUM_CONFIRMATION
};
bool raft_configuration_is_valid(const struct raft_configuration *configuration);
bool raft_member_is_voter(const struct raft_member *member); /* in either half */
/* The highest v such that a quorum has values >= v, in each half; `values` by place of the member.
 * 0 without voters. */
uint64_t raft_quorum_value(const struct raft_configuration *configuration, enum quorum quorum,
                           const uint64_t *values);
size_t raft_confirmation_count(const struct raft_configuration *configuration);
void raft_configuration_activate(struct raft *raft, const struct raft_configuration *configuration,
                                 uint64_t index);
void raft_configuration_truncate(struct raft *raft, uint64_t from);
void raft_configuration_committed(struct raft *raft);
bool raft_configuration_may_follow(const struct raft *raft, const struct raft_configuration *next);
struct peer *raft_peer(struct raft *raft, struct replica_id replica); /* NULL: not a member */
bool raft_is_voter(const struct raft *raft, size_t place);
bool raft_is_alone(const struct raft *raft); /* the only voter */
static inline bool raft_self_is_voter(const struct raft *raft)
{
    return raft->self_place < raft->peer_count && raft_is_voter(raft, raft->self_place);
}

/* term_table.c */
void raft_term_table_load(struct term_table *table, const struct raft_term_start *starts,
                          size_t count);
void raft_term_table_deinit(struct term_table *table);
uint64_t raft_term_table_at(const struct term_table *table, uint64_t last_index, uint64_t index);
void raft_term_table_append(struct term_table *table, uint64_t term, uint64_t index);
void raft_term_table_truncate(struct term_table *table, uint64_t from);
/* The highest index <= limit whose term is <= term; 0: none. */
uint64_t raft_term_table_search(const struct term_table *table, uint64_t limit, uint64_t term);

/* outbox.c */
struct raft_message raft_message_to(const struct raft *raft, enum raft_message_kind kind,
                                    struct replica_id to);
void raft_send(struct raft *raft, const struct raft_message *message);
void raft_send_when_saved(struct raft *raft, const struct raft_message *message); /* RAFT-5 */
void raft_release_held(struct raft *raft);
void raft_drop_held(struct raft *raft);

/* persistence.c */
void raft_state_changed(struct raft *raft);
void raft_handle_state_saved(struct raft *raft, uint64_t version);
void raft_handle_written(struct raft *raft, uint64_t ticket);
void raft_handle_persisted(struct raft *raft, uint64_t ticket);
void raft_log_append(struct raft *raft, uint64_t term);
void raft_log_truncate(struct raft *raft, uint64_t from);

/* checks.c */
bool raft_message_is_possible(const struct raft *raft, const struct raft_event *event);

/* election.c */
void raft_become_follower(struct raft *raft, uint64_t term, struct replica_id leader);
bool raft_hear_leader(struct raft *raft, uint64_t term, struct replica_id leader, uint64_t round);
void raft_campaign(struct raft *raft);
void raft_election_tick(struct raft *raft);
void raft_evaluate_votes(struct raft *raft);
void raft_handle_pre_vote(struct raft *raft, const struct raft_message *message);
void raft_handle_pre_vote_answer(struct raft *raft, const struct raft_message *message);
void raft_handle_vote(struct raft *raft, const struct raft_message *message);
void raft_handle_vote_answer(struct raft *raft, const struct raft_message *message);
void raft_handle_run_now(struct raft *raft, const struct raft_message *message);
void raft_handle_leader_lost(struct raft *raft);
void raft_note_clock(struct raft *raft, struct peer *peer, int64_t wall_us);
uint64_t raft_draw_timeout(struct raft *raft);

/* replication.c */
void raft_reset_progress(struct raft *raft);
void raft_try_commit(struct raft *raft);
void raft_send_accept(struct raft *raft);
void raft_handle_append(struct raft *raft, const struct raft_event *event);
void raft_follow_commit(struct raft *raft, uint64_t commit);
void raft_handle_accept(struct raft *raft, const struct raft_message *message);
void raft_handle_sent(struct raft *raft, const struct raft_event *event);
void raft_handle_propose(struct raft *raft);
void raft_handle_propose_configuration(struct raft *raft, const struct raft_event *event);
void raft_check_stalled(struct raft *raft);
void raft_start_probing(struct peer *peer);

/* confirmation.c */
void raft_start_rounds(struct raft *raft);
void raft_handle_round(struct raft *raft);
void raft_confirm(struct raft *raft, struct peer *peer, uint64_t round);
void raft_try_confirm(struct raft *raft);
void raft_handle_heartbeat(struct raft *raft, const struct raft_event *event);
void raft_handle_heartbeat_answer(struct raft *raft, const struct raft_event *event);
uint64_t raft_quorum_contact_ns(
    const struct raft *raft); /* leader: when a quorum was last known to follow */
void raft_check_quorum(struct raft *raft);

#endif
