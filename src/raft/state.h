/* state.h - the insides of one raft, shared by the files of this folder only.
 *
 * Who owns what: election.c the role and the votes, clocks.c the voters' clocks, unsure.c and
 * history.c R4;
 * replication.c the log's shape and the peers' place in it; progress.c what is known of each;
 * snapshot.c where the log begins; confirmation.c the rounds; transfer.c the handing over;
 * configuration.c the stack of configurations, change.c what may follow one; persistence.c tickets
 * and saved state; outbox.c what leaves. */
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
    bool unsure; /* said so in this campaign, or since this replica leads */
    bool asked;  /* was sent RUN_NOW since a leader was last heard */

    bool clock_known, clock_answered; /* ever; in this campaign */
    int64_t clock_offset_us;          /* its wall clock minus our monotonic clock */

    /* Progress, while leader. persisted <= written < next <= last_index + 1. */
    uint64_t written, persisted, next;
    uint64_t round, commit_sent;
    uint64_t contact_ns, stalled_ns, probe_ns;
    uint64_t moved_ns;    /* the last news of what it has written or durable */
    uint64_t advanced_ns; /* the same, and nothing else */
    bool probing, probe_sent;
    uint64_t snapshot;                        /* the newest that was offered */
    uint64_t catch_up_start_ns, catch_up_end; /* the round under way; start 0: none */
    uint64_t catch_up_ns;
    uint32_t catch_up_rounds;
    uint64_t behind_ns, behind_index; /* since then it lacks this one; 0: nothing */
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
    uint64_t term_version;      /* of the state since which term and vote are what they are */
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

    /* Unsure (R4). */
    uint64_t old_last;               /* what of its log is from before the restart */
    uint64_t sure_term, sure_commit; /* to where a leader that knows must bring it */
    uint64_t met_term;               /* the leader of this term has sent an append or an offer */
    uint64_t doubted_term; /* of a leader whose history this log has not reached: `matched` counts
                              from 0, for what is committed here may be void */

    /* Candidate. */
    bool pre_vote_won;
    bool everybody;          /* won by an election that unsure voters take part in */
    bool transfer;           /* the leader asked for this campaign, */
    uint64_t transfer_round; /* and holds no lease since this round of its */
    uint64_t campaign_ns;    /* when its pre-vote began */
    uint64_t vote_at_ns;     /* pre-vote won: when enough voters are free to vote */

    /* Leader. */
    uint64_t elected_ns;
    uint64_t round_starts[RAFT_ROUNDS_MAX];
    bool transfer_to_any;
    uint64_t transfer_failed_term;         /* in which one came to nothing; 0: none has */
    uint64_t transfer_ns, transfer_end_ns; /* view.transfer_to: began; gives up */
    uint64_t run_now_ns;                   /* RUN_NOW was sent, 0: not */

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
enum half {
    HALF_NEW = 0,
    HALF_OLD
};
bool raft_votes_in(const struct raft_member *member, enum half half);
size_t raft_voter_count(const struct raft_configuration *configuration, enum half half);
size_t raft_quorum_size(const struct raft_configuration *c, enum quorum quorum, enum half half);
bool raft_configuration_is_valid(const struct raft_configuration *configuration);
bool raft_member_is_voter(const struct raft_member *member); /* in either half */
/* The highest v such that a quorum of the active configuration has values >= v, in each half;
 * `values` by place of the member. 0 without voters. */
uint64_t raft_quorum_value(const struct raft *raft, enum quorum quorum, const uint64_t *values);
void raft_configuration_activate(struct raft *raft, const struct raft_configuration *configuration,
                                 uint64_t index);
void raft_configuration_truncate(struct raft *raft, uint64_t from);
void raft_configuration_compacted(struct raft *raft, uint64_t index);
void raft_configuration_replace(struct raft *raft, const struct raft_configuration *configuration);
struct peer *raft_peer(struct raft *raft, struct replica_id replica); /* NULL: not a member */
bool raft_is_voter(const struct raft *raft, size_t place);
bool raft_is_witness(const struct raft *raft, struct replica_id replica);
static inline bool raft_self_is_witness(const struct raft *raft)
{
    return raft_is_witness(raft, raft->options.self);
}
bool raft_may_campaign(const struct raft *raft);
bool raft_is_alone(const struct raft *raft); /* the only voter, and always was */
static inline bool raft_self_is_voter(const struct raft *raft)
{
    return raft->self_place < raft->peer_count && raft_is_voter(raft, raft->self_place);
}

/* change.c */
bool raft_configuration_may_follow(const struct raft_configuration *now,
                                   const struct raft_configuration *next);
void raft_handle_propose_configuration(struct raft *raft, const struct raft_event *event);

/* progress.c */
void raft_begin_catch_up(const struct raft *raft, struct peer *peer); /* something was sent */
void raft_note_progress(const struct raft *raft, struct peer *peer);
void raft_note_behind(struct raft *raft); /* a round begins */

uint64_t raft_everywhere(const struct raft *raft); /* leader: see the view */

/* term_table.c */
void raft_term_table_load(struct term_table *table, const struct raft_term_start *starts,
                          size_t count);
void raft_term_table_deinit(struct term_table *table);
uint64_t raft_term_table_at(const struct term_table *table, uint64_t last_index, uint64_t index);
void raft_term_table_append(struct term_table *table, uint64_t term, uint64_t index);
void raft_term_table_truncate(struct term_table *table, uint64_t from);
/* The highest index <= limit whose term is <= term; 0: none. */
uint64_t raft_term_table_search(const struct term_table *table, uint64_t limit, uint64_t term);

size_t raft_term_table_rows(const struct term_table *table,
                            uint64_t index); /* that begin by then */

/* outbox.c */
struct raft_message raft_message_to(const struct raft *raft, enum raft_message_kind kind,
                                    struct replica_id to);
void raft_send(struct raft *raft, const struct raft_message *message);
void raft_send_when_saved(struct raft *raft, const struct raft_message *message); /* RAFT-5 */
void raft_release_held(struct raft *raft);
void raft_drop_held(struct raft *raft);

/* unsure.c */
bool raft_note_unsure(struct peer *peer, bool unsure);        /* leader; true: this is news */
bool raft_may_count(const struct raft *raft, uint64_t index); /* follower: say so to its leader */
void raft_hear_commit(struct raft *raft, const struct raft_message *append);
void raft_check_sure(struct raft *raft);
bool raft_sure_voters_suffice(const struct raft *raft); /* candidate */
bool raft_everybody_granted(const struct raft *raft);

/* history.c */
struct raft_history raft_own_history(const struct raft *raft); /* leader: what its messages say */
/* A leader's append or offer; false: it is passed over. */
bool raft_meet_history(struct raft *raft, const struct raft_history *history);
void raft_find_void(struct raft *raft, uint64_t from);
static inline bool raft_is_doubted(const struct raft *raft)
{
    return raft->doubted_term == raft->view.term;
}
void raft_handle_begin_anew(struct raft *raft, const struct raft_event *event);

/* persistence.c */
static inline bool raft_is_saved(const struct raft *raft) /* term and vote: RAFT-5 */
{
    return raft->view.saved_version >= raft->term_version;
}
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
uint64_t raft_draw_timeout(struct raft *raft);

/* clocks.c */
void raft_note_clock(struct raft *raft, struct peer *peer, int64_t wall_us);
struct peer *raft_find_better_clock(struct raft *raft); /* R12; NULL: none */

/* transfer.c */
void raft_handle_transfer(struct raft *raft, struct replica_id to);
void raft_ask_another_to_lead(struct raft *raft); /* before a leader without a quorum steps down */
void raft_transfer_tick(struct raft *raft);       /* after each event */
void raft_end_transfer(struct raft *raft);
uint64_t raft_transfer_deadline_ns(const struct raft *raft);
void raft_hand_over_tail(struct raft *raft); /* a round was confirmed */
/* Takes no proposal. */
static inline bool raft_is_transferring(const struct raft *raft)
{
    return raft->view.transfer_to.value != 0;
}

/* Somebody may run by now: no lease, no rounds (RAFT-13). */
static inline bool raft_has_handed_over(const struct raft *raft)
{
    return raft_is_transferring(raft) && raft->run_now_ns != 0;
}

/* replication.c */
void raft_reset_progress(struct raft *raft);
void raft_try_commit(struct raft *raft);
uint64_t raft_counted_persisted(const struct raft *raft);
void raft_send_accept(struct raft *raft);
void raft_handle_append(struct raft *raft, const struct raft_event *event);
void raft_follow_commit(struct raft *raft, uint64_t commit);
void raft_handle_accept(struct raft *raft, const struct raft_message *message);
void raft_handle_sent(struct raft *raft, const struct raft_event *event);
void raft_handle_propose(struct raft *raft);
void raft_check_stalled(struct raft *raft);
void raft_start_probing(struct peer *peer);

void raft_peer_answered(struct raft *raft, struct peer *peer, const struct raft_message *message);

/* snapshot.c */
void raft_handle_compacted(struct raft *raft, uint64_t index);
void raft_handle_snapshot_sent(struct raft *raft, const struct raft_event *event);
void raft_handle_snapshot_installed(struct raft *raft, const struct raft_event *event);
void raft_handle_snapshot_offer(struct raft *raft, const struct raft_message *message);
void raft_handle_snapshot_answer(struct raft *raft, const struct raft_message *message);

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
