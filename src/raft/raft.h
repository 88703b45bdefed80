/* raft.h - leader-based consensus of one group: pure. Floor 1; used by replica/log and node/.
 *
 * Purpose. Decides who leads, what is committed and since when leadership is confirmed. It owns no
 * bytes of entries, no clock, no socket: `raft_step(raft, event, outputs)` takes what happened
 * (with the time at which it happened) and says what to do. The same events in the same order give
 * the same outputs.
 *
 * The caller's duties after each step, in this order:
 *   1. outputs.truncate_from: drop its own entries at and past that index (and everything executed
 * from them, R3; what may have been acknowledged it sets aside first, R10).
 *   2. outputs.save_state: append raft_state_encode() to the log (always synced); when durable,
 * step RAFT_STATE_SAVED with the version.
 *   3. outputs.messages: send them, at once; raft itself holds back a message that must wait for a
 * save.
 *   4. outputs.round_wanted: begin a heartbeat round soon (this turn).
 *   5. Look at raft_view(): role, leader, term, commit may have moved. Apply what is committed.
 * Entries leave by pull: once a turn the caller asks raft_next_append for each peer, attaches the
 * entries' bytes (from memory or from disk), and steps RAFT_SENT. Heartbeats are one message for
 * each pair of nodes (R6): the caller steps RAFT_ROUND at its heartbeat pace, lists (group, term,
 * round) of all groups it leads, and turns what arrives into RAFT_HEARTBEAT /
 * RAFT_HEARTBEAT_ANSWER.
 *
 * Promises (each asserted here and proven by scripts, thesis tests and simulation; ids in
 * docs/invariants.md):
 *   RAFT-1  At most one leader in a term.
 *   RAFT-2  A leader never overwrites or deletes entries of its own log.
 *   RAFT-3  Logs that agree on (index, term) agree before it.
 *   RAFT-4  Only an entry of the current term commits by counting (fig. 8).
 *   RAFT-5  Term, vote and configuration are durable before any message that relies on them leaves.
 *   RAFT-6  A completion of a write counts only for entries not truncated since (the ABA of
 *           asynchronous storage).
 *   RAFT-7  Commit never goes back; nothing committed is truncated.
 *   RAFT-8  A learner is counted in no quorum.
 *   RAFT-9  Every voter of the configuration counts in the denominator, whatever its state (R1).
 *   RAFT-10 Lease: no other leader can be elected before lease_until_ns, on clocks of bounded drift
 *           (R11); a restarted voter withholds its vote for one full lease.
 *   RAFT-11 A read is confirmed only by a round begun after it.
 *   RAFT-12 (C, E) overlap: C + E > N and 2E > N.
 *   RAFT-13 A leader that hands over takes no proposal until it leads again, and has no lease from
 *           the moment when it asks the other to run; what it allowed the other is void for every
 *           voter that has heard a later round of it.
 *   RAFT-20 A leader with data asks another to run only when all of its log is committed and a
 * round begun after the last read is confirmed: who waits for it was answered. RAFT-14 The log
 * begins only behind what is committed and durable; an installed snapshot cuts nothing committed,
 * and what it cuts is told first. RAFT-15 Voters and quorums change through a joint configuration
 * only, one change at a time, and none before an entry of the own term is committed. RAFT-16 A
 * voter leaves the in-sync set only by a committed entry (R15). RAFT-17 An unsure replica votes and
 * leads only by an election that every voter answers, and its old log is counted only where a
 * leader that knows of the doubt has brought it to its commit index (R4). This needs links in
 * order: nothing that a replica has sent or was sent before its restart arrives after it. RAFT-19
 * What an unsure election made void is kept by nobody: a replica whose committed entries that
 * leader's log lacks says so, takes nothing more, and begins anew (R4). Only then does its commit
 * index go back. RAFT-18 A witness runs only when no voter with data has as good a log, and leads
 * only to hand over: it takes no proposal but its no-op and serves nothing (R14). Non-promises: it
 * does not keep a session's order, retry a proposal, or know what an entry does.
 *
 * Persistence is asynchronous: the caller writes entries to its log as "tickets" (RAFT_WRITTEN:
 * everything up to last_index is now in the write of this ticket), and later steps
 * RAFT_PERSISTED{ticket}. The leader's own write runs parallel to sending.
 *
 * Sources: Ongaro's dissertation 2014, chapters 3 to 6 (section numbers at each function); DESIGN
 * section 10 R1 to R6, R10, R11, R14, R15, R17, R18; flexible quorums: Howard, Malkhi, Spiegelman
 * 2016. */
#ifndef HOLDFAST_RAFT_RAFT_H
#define HOLDFAST_RAFT_RAFT_H

#include "base/bytes.h"
#include "base/ids.h"
#include "base/status.h"

#define RAFT_MEMBERS_MAX  16
#define RAFT_SYNC_MAX     3
#define RAFT_MESSAGES_MAX (4 * RAFT_MEMBERS_MAX) /* of one step */

enum raft_member_kind {
    RAFT_VOTER = 1,
    RAFT_LEARNER,
    RAFT_WITNESS /* a voter without state (R14): keeps the log's tail, leads only to hand it over */
};

struct raft_member {
    struct replica_id replica;
    struct node_id node;
    enum raft_member_kind kind;     /* in the new (or only) configuration */
    enum raft_member_kind old_kind; /* in the old half of a joint configuration; 0: absent there */
    uint8_t priority;               /* decides only among equals; 0 = ordinary */
    bool out_of_sync; /* voter: the ACK `all` does not wait for it (R15); it counts in every quorum
                       */
};

/* A set of members with its two quorums (R2). `joint`: both halves must agree; election and commit
 * satisfy both rules. */
struct raft_configuration {
    uint64_t index; /* of the entry that carries it; set by raft, not encoded */
    bool joint;
    uint32_t commit_quorum, election_quorum;         /* C and E of the new half */
    uint32_t old_commit_quorum, old_election_quorum; /* of the old half, joint only */
    uint8_t sync; /* the owner's: how entries are synced from this one on (RAFT_SYNC_MAX at most);
                     0: as at the group's birth. It goes along, and decides nothing here */
    size_t member_count;
    struct raft_member members[RAFT_MEMBERS_MAX];
};

/* Who has that id, who is on that node (of two the first); NULL: nobody. The id there; 0: none. */
const struct raft_member *raft_find_member(const struct raft_configuration *configuration,
                                           struct replica_id replica);
const struct raft_member *raft_find_member_on(const struct raft_configuration *configuration,
                                              struct node_id node);
struct replica_id raft_replica_on(const struct raft_configuration *configuration,
                                  struct node_id node);
/* Where that replica is; 0: it is no member. */
struct node_id raft_node_of(const struct raft_configuration *configuration,
                            struct replica_id replica);

/* The payload of a configuration entry. decode validates everything (counts, quorums, RAFT-12);
 * INVALID otherwise. */
void raft_configuration_encode(const struct raft_configuration *configuration, struct buffer *out);
MUST_USE enum status raft_configuration_decode(struct slice bytes, struct raft_configuration *out);

/* The configuration that leads from `now` to the wanted members and quorums of `wanted` (its
 * `joint` and old fields are not looked at): joint when voters or quorums change (dissertation 4.3,
 * R2), else the new one itself. Two or four voters must be asked for by `even` (R18). INVALID:
 * `why` says why, in words for people. Whether a new voter has caught up is the caller's to know
 * (raft_progress). */
MUST_USE enum status raft_configuration_change(const struct raft_configuration *now,
                                               const struct raft_configuration *wanted, bool even,
                                               struct raft_configuration *out, const char **why);
/* What follows a joint configuration: its new half. */
void raft_configuration_leave(const struct raft_configuration *joint,
                              struct raft_configuration *out);
/* `now` with a voter put out of the in-sync set or back (R15). INVALID: not a voter, or no change.
 */
MUST_USE enum status raft_configuration_set_sync(const struct raft_configuration *now,
                                                 struct replica_id voter, bool in_sync,
                                                 struct raft_configuration *out);

enum raft_role {
    RAFT_FOLLOWER = 0,
    RAFT_PRE_CANDIDATE,
    RAFT_CANDIDATE,
    RAFT_LEADER
};

/* Faults built in on purpose, bits of replica_fault. */
enum raft_fault {
    RAFT_FAULT_CONFIGURATION_KEPT = 1 << 11, /* a configuration that was cut stays in force */
    RAFT_FAULT_LEARNER_COUNTED = 1 << 12,    /* in every quorum */
    RAFT_FAULT_JOINT_IGNORED = 1 << 13,      /* the old half of a joint one is not asked */
};

struct raft_options {
    struct group_id group;
    struct replica_id self;
    uint64_t election_timeout_min_ns,
        election_timeout_max_ns; /* drawn anew for each wait; also the check-quorum period (min) */
    uint64_t lease_max_ns; /* the shortest promise that any voter may give, where those differ: the
                              lease is never longer; 0: min is every voter's */
    uint64_t drift_ppm;    /* clocks of two machines differ in rate by at most this; lease = that or
                              min, the shorter one, x (1 - drift) */
    uint64_t max_skew_us;  /* wall clock further off than this from the others': does not campaign
                              (R12); 0: unchecked */
    uint32_t inflight_entries_max; /* per peer, sent and not accepted */
    uint64_t inflight_bytes_max;
    uint64_t random_seed;
    uint32_t faults; /* enum raft_fault; 0 in a program */
    bool restarted;  /* not a new group: votes are withheld for one lease after start (R11) */
};

/* Unsure elections divide a group's log into histories. This names the newest of a log: the term of
 * that election's leader and the index at which its first entry stands. Zero: there was none. Two
 * logs that have that entry are of one history; what was committed before, and is not in a log that
 * has it, is void. */
struct raft_history {
    uint64_t term, index;
};

enum raft_message_kind {
    RAFT_PRE_VOTE = 1,    /* term (would-be), index/log_term: its last entry */
    RAFT_PRE_VOTE_ANSWER, /* granted; index/log_term: voter's last; wall_us; lease_remaining_ns */
    RAFT_VOTE,
    RAFT_VOTE_ANSWER, /* as above */
    RAFT_APPEND, /* persisted: see view.everywhere. index/log_term: previous entry; last_index: last
                    entry of this message; commit; acked; round. Bytes by caller */
    RAFT_ACCEPT, /* granted: matches through `written`, `persisted`; else rejected: index = previous
                  * index that failed, written = hint: highest index at which it may match, log_term
                  * = its term there; round echoed */
    RAFT_RUN_NOW, /* "campaign now": R17; transfer (dissertation 3.10): `round` is the last one in
                     which the leader's lease may have been confirmed */
    RAFT_SNAPSHOT_OFFER,  /* index, log_term: of the last entry in the leader's snapshot; acked;
                             round.  The bytes of snapshots are the caller's business */
    RAFT_SNAPSHOT_ANSWER, /* to the offer of `index`: granted: has all of it, matches through
                             `written`, `persisted`; else: not yet; round echoed */
};

/* Between replicas of one group, fixed size; wire/ gives it bytes. Fields that a kind does not name
 * are 0. */
struct raft_message {
    enum raft_message_kind kind;
    struct group_id group;
    struct replica_id from, to;
    uint64_t term;
    uint64_t index, log_term, last_index;
    uint64_t commit, acked; /* acked: the leader's highest acknowledged index (R10) */
    uint64_t written, persisted;
    uint64_t round;
    uint64_t lease_remaining_ns;
    int64_t wall_us;
    bool granted;
    bool transfer;  /* VOTE, PRE_VOTE, RUN_NOW: asked for by the leader, which holds no lease since
                       `round`: its promise does not refuse it, unless a later round was heard */
    bool unsure;    /* the sender may have lost entries (R4): what it grants holds only if everybody
                       answers. APPEND: the leader knows that of the receiver, and its commit is of
                       since then */
    bool everybody; /* VOTE: every voter has answered the pre-vote, and none has a better log */
    struct raft_history history; /* APPEND, SNAPSHOT_OFFER: of the leader's log */
};

enum raft_event_kind {
    RAFT_TICK = 1, /* time has passed */
    RAFT_RECEIVE,  /* message; for an APPEND: the caller has decoded and checked the entries;
                    * `entry_terms[0..count)` their terms,  `configurations`: see below. After the
                    * step, raft_view().accepted_from tells which entries to keep */
    RAFT_PROPOSE,  /* leader: one entry of `bytes` bytes goes to last_index + 1 in the current term
                      (the caller stores it) */
    RAFT_PROPOSE_CONFIGURATION, /* leader: the same, and it is `configuration`; active from append
                                   on (4.1) */
    RAFT_WRITTEN,               /* everything appended so far is part of the log write `ticket` */
    RAFT_PERSISTED,             /* that ticket and all before it are durable */
    RAFT_STATE_SAVED,           /* state `version` is durable */
    RAFT_SENT,                  /* peer was sent entries up to `index`, `bytes` in all */
    RAFT_ROUND,                 /* leader: a heartbeat round begins now */
    RAFT_HEARTBEAT,             /* from replica `from`: term, round, commit */
    RAFT_HEARTBEAT_ANSWER, /* from `from`: its term, the round it answers, agreed or not; its clock
                              in message.wall_us */
    RAFT_PEER_LOST,    /* the link to the node of `from` was refused or reset: hastens suspicion,
                          shortens no lease (R11) */
    RAFT_ACKNOWLEDGED, /* leader: the caller has acknowledged entries up to `index` to clients */
    RAFT_STEP_DOWN,    /* give up leadership (disk trouble, tests) */
    RAFT_COMPACTED, /* entries up to `index` are gone from the log, a valid snapshot has them (R3)
                     */
    RAFT_SNAPSHOT_SENT,      /* an OFFER of the snapshot at `index` went to peer `from` */
    RAFT_SNAPSHOT_INSTALLED, /* the snapshot at (`index`, `term`) is durable here and in the store,
                                and so is all that was written to the log before (R3); with
                                `configurations` (one, its .index set) and `terms` as of there.
                                After the step: first_index = index + 1: the log is empty and begins
                                there; else it has that entry already and stays */
    RAFT_TRANSFER,   /* leader: hand leadership to `from`, or with 0 to the best candidate (3.10).
                        Begun: view.transfer_to */
    RAFT_FOUND_VOID, /* raft_judge_snapshot said so, from `index` on: view.void_from is set */
    RAFT_BEGIN_ANEW, /* view.void_from is set, what is void was set aside, and it is durable that
                        log and snapshots count no more. The log is empty from now on;
                        `configurations`: the initial one */
    RAFT_CAMPAIGN,   /* start an election without waiting (first start of a group of one; tests) */
};

struct raft_term_start {
    uint64_t term, first_index;
};

struct raft_event {
    enum raft_event_kind kind;
    uint64_t now_ns;
    int64_t wall_us;             /* this node's wall clock; only compared, never trusted (R12) */
    struct raft_message message; /* RECEIVE */
    struct replica_id from;      /* HEARTBEAT*, SENT (the peer), PEER_LOST, TRANSFER (to whom) */
    uint64_t term, round, index, commit, ticket, version, bytes;
    bool agreed; /* HEARTBEAT_ANSWER */
    const uint64_t
        *entry_terms; /* RECEIVE of an APPEND: borrowed for the call; count = last_index - index */
    /* RECEIVE of an APPEND with configuration entries: their indexes and decoded contents,
     * ascending; borrowed for the call. */
    size_t configuration_count;
    const uint64_t *configuration_indexes;
    const struct raft_configuration *configurations; /* PROPOSE_CONFIGURATION: one */
    size_t term_count;                               /* SNAPSHOT_INSTALLED; borrowed for the call */
    const struct raft_term_start *terms;
};

struct raft_outputs {
    uint64_t truncate_from; /* 0: nothing */
    bool save_state;
    uint64_t state_version;
    bool round_wanted;
    size_t message_count;
    struct raft_message messages[RAFT_MESSAGES_MAX];
};

struct raft_view {
    enum raft_role role;
    uint64_t term;
    struct replica_id leader; /* 0: not known */
    uint64_t first_index;     /* of the log: what is before it is in a snapshot; 1 without */
    uint64_t last_index, last_term;
    uint64_t commit;
    uint64_t told_commit; /* the highest that a leader told of: past `commit` while entries of that
                             are not here; decides nothing */
    uint64_t persisted;   /* own log, durable through */
    uint64_t term_start;  /* leader: index of its no-op slot: the caller must PROPOSE a no-op first
                             thing in a term; 0: not yet */
    uint64_t accepted_from; /* after RECEIVE of APPEND: entries with index >= this and <= last_index
                               are new: store them; 0: none */
    uint64_t lease_until_ns; /* leader: see raft_lease_is_valid; 0: none */
    uint64_t round, confirmed_round;
    uint64_t confirmed_start_ns; /* when the newest confirmed round began: a read that came before
                                    it is confirmed */
    uint64_t deadline_ns;        /* step RAFT_TICK no later than this */
    uint64_t acked;              /* highest index known acknowledged to a client by any leader */
    uint64_t elections, state_version, saved_version;
    uint64_t withheld_until_ns; /* restarted: no vote before this */
    /* Leader, handing over: to whom; 0: not. It takes no proposals and has no lease meanwhile.
     * After one minimum election timeout it goes on leading. */
    struct replica_id transfer_to;
    /* Leader: the joint configuration is committed, and the caller must now step
     * PROPOSE_CONFIGURATION with raft_configuration_leave of it. So must the leader that follows
     * when this one fails before; nothing else ends a change. */
    bool leave_joint;
    /* A snapshot that is needed to go on, of a leader that has nothing older: get it, install it,
     * step SNAPSHOT_INSTALLED. 0: none. It stays wanted when the leader changes. */
    uint64_t offered_index, offered_term;
    struct replica_id offered_by;
    /* May have lost entries that it said were persisted (R4). It neither votes nor leads, but in an
     * election that everybody answers, until a leader has brought it to its commit index. In the
     * state record, too: a replica that stopped while unsure starts unsure. */
    bool unsure;
    /* Every voter with data has persisted the log through here, says the leader: a witness may let
     * go of it, as far as it is committed (RAFT_COMPACTED, without a snapshot). */
    uint64_t everywhere;
    struct raft_history history; /* the newest that is known; in the state record */
    /* Committed here, and a later unsure election went on without it: everything from this index on
     * is void (RAFT-19). Appends and offers are passed over until BEGIN_ANEW. 0: nothing. */
    uint64_t void_from;
    bool unsure_election; /* leader: came to power by such an election: what was lost is unknown */
};

struct raft;

/* A new replica, or one after restart. `configuration` is the newest in the log (its index set) or
 * the initial one. The log is described by the term table: `terms[i]` is (term, first index of that
 * term), ascending, from the first entry ever: the table is kept for ever, in snapshots too (R10);
 * last_index 0: empty log. Entries up to last_index are durable. The log may begin behind a
 * snapshot at snapshot_index, else 0. On restart commit is there, or at `commit` if a newer
 * snapshot says so: the rest is learnt again. Owned by the caller. */
struct raft_restart {
    uint64_t term;
    struct replica_id vote;
    bool unsure; /* entries that were persisted may be missing: R4 says when; or the state record
                    does */
    struct raft_history history; /* of the state record */
    uint64_t snapshot_index, last_index;
    uint64_t commit; /* known to be; 0: no more than the snapshot has */
    size_t term_count;
    const struct raft_term_start *terms;
    /* every configuration entry in the log, ascending (their .index set); the last is active. At
     * least one (the first may be the initial one, with index 0; behind a snapshot it must be the
     * one in force there). Borrowed for the call. */
    size_t configuration_count;
    const struct raft_configuration *configurations;
    uint64_t now_ns;
};
struct raft *raft_create(const struct raft_options *options, const struct raft_restart *restart);
void raft_destroy(struct raft *raft);

/* One step. `outputs` is reset first. Nothing from outside can make it assert: a message with
 * impossible content is ignored and counted. */
void raft_step(struct raft *raft, const struct raft_event *event, struct raft_outputs *outputs);

const struct raft_view *raft_view(const struct raft *raft);

/* Asks memory for what a heartbeat's step reads of each: of a thousand idle groups none is in the
 * cache. Changes nothing. */
void raft_fetch(const struct raft *const *rafts, size_t count);
const struct raft_configuration *raft_configuration(const struct raft *raft);
/* Also of entries that are only in the snapshot; 0: never was there. */
uint64_t raft_term_at(const struct raft *raft, uint64_t index);
/* For a snapshot at `index`: the configuration in force there (NULL: `index` is before the log's
 * first), and the rows of the term table through there. Both borrowed until the next step. */
const struct raft_configuration *raft_configuration_at(const struct raft *raft, uint64_t index);
size_t raft_term_starts(const struct raft *raft, uint64_t index,
                        const struct raft_term_start **starts);

/* What is committed here is what the group has: it leads, or the leader of this term has said so
 * since the start. Else a later history may have made it void (RAFT-19). */
bool raft_commit_holds(const struct raft *raft);

/* Whether a snapshot that came from a member may be taken. FOREIGN: it may be of a history that is
 * void; another source has a better one. VOID: it is right, and what is committed here is not, from
 * *void_from on. */
enum raft_kinship {
    RAFT_KINSHIP_SAME = 0,
    RAFT_KINSHIP_FOREIGN,
    RAFT_KINSHIP_VOID
};
enum raft_kinship raft_judge_snapshot(const struct raft *raft, struct raft_term_start last,
                                      const struct raft_term_start *terms, size_t term_count,
                                      uint64_t *void_from);

/* Leader, lease not over at `now_ns`, and its no-op committed. Checked after executing, not only
 * before (R11). */
bool raft_lease_is_valid(const struct raft *raft, uint64_t now_ns);

/* Leader, an entry of its own term is committed, and it is not handing over: it may execute and
 * serve. A proposal is refused while it hands over. */
bool raft_is_serving(const struct raft *raft);

/* Leader: another voter that stays could be elected now, and a hand-over in this term has not come
 * to nothing yet. A leader that a change removes hands over first: who is gone when the change is
 * done leaves the others to find that out (dissertation 3.10, 4.2.2). */
bool raft_can_be_followed(const struct raft *raft);

/* When the leader began that round of heartbeats; 0: another one leads, or it is too long ago. */
uint64_t raft_round_began_ns(const struct raft *raft, uint64_t round);

/* What to answer to a HEARTBEAT (from `leader`, `term`) after stepping it: agreed only when this
 * replica follows that leader in that term and the term is durable (RAFT-5). */
bool raft_agrees(const struct raft *raft, struct replica_id leader, uint64_t term);

/* What to send to `peer` next. NOTHING: there is nothing, or its window is full. ENTRIES: `message`
 * without entries (kind APPEND, prev, commit, round), and entries first .. last may go along (last
 * < first: an empty append, for commit or probing). The caller may send fewer: it lowers
 * message->last_index, and says so by RAFT_SENT. `commit_only`: also when merely the commit index
 * is news. SNAPSHOT: what it needs is not in the log any more; `message` is an OFFER of a snapshot
 * at first_index - 1. The caller raises index and log_term to the snapshot that it has, sends it
 * and steps RAFT_SNAPSHOT_SENT; until then it is asked for again. It may also do nothing: then that
 * peer waits. */
enum raft_next {
    RAFT_NEXT_NOTHING = 0,
    RAFT_NEXT_ENTRIES,
    RAFT_NEXT_SNAPSHOT
};
enum raft_next raft_next_append(const struct raft *raft, struct replica_id peer, bool commit_only,
                                struct raft_message *message, uint64_t *first, uint64_t *last);

/* Progress of a member as the leader sees it, for status and for deciding what memory to keep. */
struct raft_progress {
    uint64_t written, persisted, next, last_contact_ns, inflight_bytes;
    uint64_t snapshot_index; /* offered, and not there yet; 0: none */
    bool probing;
    /* Catching up goes in rounds: what the log had when one began, the next with what came in
     * meanwhile (4.2.1). caught_up: it answers, and the last round took less than the minimum
     * election timeout, as the one under way has until now, or it lacks nothing: it may become a
     * voter. */
    uint64_t lag; /* entries */
    uint32_t catch_up_rounds;
    uint64_t catch_up_ns; /* of the last round */
    bool caught_up;
    uint64_t behind_since_ns; /* it has not persisted what the log had then; 0: it has. To a
                                 heartbeat (R15: insync-timeout) */
    uint64_t advanced_ns;     /* when it last accepted or persisted something new, or this one began
                                 to lead */
};
MUST_USE enum status raft_progress(const struct raft *raft, struct replica_id peer,
                                   struct raft_progress *out);

/* Leader: the highest index that the leader and `copies` - 1 other voters with data have, durably
 * or at least received. RAFT_COPIES_ALL: every voter of the in-sync set (R15). 0: none, or no
 * leader. Whether that is committed is another question. It may go back: a voter turns out to be
 * unsure. */
#define RAFT_COPIES_ALL UINT32_MAX
uint64_t raft_acked_by(const struct raft *raft, uint32_t copies, bool persisted);

/* Median of the voters' wall clocks now, from the answers of the last election and heartbeats, own
 * clock included (R12). */
int64_t raft_median_wall_us(const struct raft *raft, uint64_t now_ns, int64_t own_wall_us);

/* The durable state record: term, vote, own replica id, unsure, history, format version. decode:
 * INVALID for anything else. */
void raft_state_encode(const struct raft *raft, struct buffer *out);
struct raft_state {
    uint64_t term;
    struct replica_id vote, self;
    bool unsure;
    struct raft_history history;
};
MUST_USE enum status raft_state_decode(struct slice bytes, struct raft_state *out);
/* How many bytes at the front of `bytes` are such a record, by its version; 0: none. */
size_t raft_state_size(struct slice bytes);

void raft_validate(
    const struct raft *raft); /* asserts all relations; run in every simulated turn */
void raft_dump(const struct raft *raft, struct buffer *text);

#endif
