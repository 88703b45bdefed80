/* shown.c - what a replica shows to threads that share nothing else with its worker: until when it
 * may answer as leader, and how far it is behind the one that it follows.
 *
 * The data of a follower are as old as the last moment at which all was applied that its leader had
 * called committed by then. Under load there is always something on its way, so one word of the
 * leader is remembered at a time: when that much is applied, the replica was level with it. */
#include "replica/replica.h"

#include "replica/log/log.h"

#define LOOKS_MAX 8 /* of a reader, while the worker writes */
#define STILL_NS  (5 * 1000000000ull)

/* ---- written by the worker ---- */

void shown_init(struct replica *replica)
{
    struct shown *shown = &replica->shown;
    shown->at = replica->options.shown ? replica->options.shown : &shown->own;
    replica_hide(shown->at);
    shown->behind = REPLICA_UNKNOWN;
    shared_set(&shown->at->group, replica->options.group.value + 1);
}

void replica_hide(struct replica_shown *shown)
{
    shared_set(&shown->lease_until_ns, 0);
    shared_set(&shown->group, 0);
    shared_set(&shown->term, 0);
    shared_set(&shown->flags, 0);
    shared_set(&shown->heard_ns, 0);
    shared_set(&shown->level_ns, 0);
    shared_set(&shown->lag_entries, REPLICA_UNKNOWN);
    shared_set(&shown->lag_bytes, REPLICA_UNKNOWN);
}

static void show_flags(struct replica *replica)
{
    const struct raft_view *view = raft_view(replica->raft);
    uint64_t flags = 0;
    if (view->role == RAFT_LEADER)
        flags |= REPLICA_SHOWN_LEADS;
    if (replica_bootstrap_percent(replica) >= 0 || replica_begins_anew(replica))
        flags |= REPLICA_SHOWN_LOADS;
    if (view->unsure)
        flags |= REPLICA_SHOWN_UNSURE;
    shared_set(&replica->shown.at->flags, flags);
}

/* What it knew as a follower says nothing of a leader, nor of what it follows next. */
static void change_role(struct replica *replica, bool leads)
{
    struct shown *shown = &replica->shown;
    shown->mark = shown->begun = shown->begun_term = 0;
    shown->behind = REPLICA_UNKNOWN;
    shared_set(&shown->at->heard_ns, 0);
    shared_set(&shown->at->level_ns, 0);
    shared_set(&shown->at->lag_entries, leads ? 0 : REPLICA_UNKNOWN);
    shared_set(&shown->at->lag_bytes, leads ? 0 : REPLICA_UNKNOWN);
    show_flags(replica);
}

/* REPLICA-10: in the step that gives the lease up, and links write later in the turn. The term
 * never changes beside a lease, so that a reader can tell whose it is. */
void shown_step(struct replica *replica)
{
    const struct raft_view *view = raft_view(replica->raft);
    struct replica_shown *at = replica->shown.at;
    bool leads = view->role == RAFT_LEADER;
    uint64_t lease_ns = replica_is_serving(replica) ? view->lease_until_ns : 0;
    if (shared_get(&at->term) != view->term) {
        shared_set(&at->lease_until_ns, 0);
        shared_set(&at->term, view->term);
    }
    shared_set(&at->lease_until_ns, lease_ns);
    if (leads != ((shared_get(&at->flags) & REPLICA_SHOWN_LEADS) != 0))
        change_role(replica, leads);
}

static void show_lag(struct replica *replica)
{
    struct shown *shown = &replica->shown;
    uint64_t applied = replica_applied(replica), last = raft_view(replica->raft)->last_index;
    uint64_t here = shown->said < last ? shown->said : last;
    uint64_t bytes = positions_between(&replica->entries.positions, applied, here);
    if (shown->said > last && bytes != REPLICA_UNKNOWN)
        bytes = shown->behind == REPLICA_UNKNOWN ? REPLICA_UNKNOWN : bytes + shown->behind;
    shared_set(&shown->at->lag_entries, shown->said > applied ? shown->said - applied : 0);
    shared_set(&shown->at->lag_bytes, bytes);
}

/* Before it has committed in its own term, a leader may not know of all that was acknowledged. */
static void note_level(struct replica *replica, uint64_t commit, uint64_t now_ns)
{
    struct shown *shown = &replica->shown;
    const struct raft_view *view = raft_view(replica->raft);
    if (shown->begun_term != view->term && raft_term_at(replica->raft, view->commit) != view->term)
        return;
    shown->begun_term = view->term;
    shown->begun = commit;
    shown->begun_ns = now_ns;
    if (replica_applied(replica) >= commit) {
        shown->mark = 0;
        shared_set(&shown->at->level_ns, now_ns);
    } else if (!shown->mark) {
        shown->mark = commit;
        shown->mark_ns = now_ns;
    }
}

void shown_hear(struct replica *replica, const struct replica_turn *turn,
                const struct shown_word *word)
{
    const struct raft_view *view = raft_view(replica->raft);
    struct shown *shown = &replica->shown;
    if (view->role != RAFT_FOLLOWER || view->term != word->term ||
        !replica_id_equal(view->leader, word->from))
        return;
    if (word->term != shown->said_term || word->commit > shown->said)
        shown->said = word->commit;
    shown->said_term = word->term;
    if (word->says_behind)
        shown->behind = word->behind == WIRE_BEHIND_UNKNOWN ? REPLICA_UNKNOWN : word->behind - 1;
    shared_set(&shown->at->heard_ns, turn->now_ns);
    show_flags(replica);
    note_level(replica, word->commit, turn->now_ns);
    show_lag(replica);
}

void shown_apply(struct replica *replica, const struct replica_turn *turn)
{
    struct shown *shown = &replica->shown;
    uint64_t applied = replica_applied(replica);
    if (applied == shown->applied)
        return;
    shown->applied = applied;
    shown->applied_ns = turn->now_ns;
    if (raft_view(replica->raft)->role != RAFT_FOLLOWER)
        return;
    if (shown->mark && applied >= shown->mark) {
        shared_set(&shown->at->level_ns, shown->mark_ns);
        shown->mark = shown->begun > applied ? shown->begun : 0;
        shown->mark_ns = shown->begun_ns;
    }
    show_lag(replica);
}

/* ---- the door ---- */

const struct replica_shown *replica_shown(const struct replica *replica)
{
    return replica->shown.at;
}

bool replica_is_progressing(const struct replica *replica, uint64_t now_ns)
{
    const struct shown *shown = &replica->shown;
    return shared_get(&shown->at->lag_entries) == 0 || now_ns < shown->applied_ns + STILL_NS;
}

bool replica_peer_is_progressing(const struct raft_progress *progress, uint64_t commit,
                                 uint64_t now_ns)
{
    return progress->persisted >= commit || now_ns < progress->advanced_ns + STILL_NS;
}

uint64_t replica_peer_behind(const struct replica *replica, const struct raft_progress *progress)
{
    uint64_t commit = raft_view(replica->raft)->commit;
    if (progress->written >= commit)
        return 0;
    return progress->written
               ? positions_between(&replica->entries.positions, progress->written, commit)
               : REPLICA_UNKNOWN;
}

/* ---- read by any thread ---- */

static bool read_once(const struct replica_shown *shown, struct replica_sight *out)
{
    uint64_t group = shared_get(&shown->group), term = shared_get(&shown->term);
    uint64_t lease_ns = shared_get(&shown->lease_until_ns);
    uint64_t flags = shared_get(&shown->flags);
    *out = (struct replica_sight){.group = {group - 1},
                                  .term = term,
                                  .lease_until_ns = lease_ns,
                                  .heard_ns = shared_get(&shown->heard_ns),
                                  .level_ns = shared_get(&shown->level_ns),
                                  .lag_entries = shared_get(&shown->lag_entries),
                                  .lag_bytes = shared_get(&shown->lag_bytes),
                                  .leads = (flags & REPLICA_SHOWN_LEADS) != 0,
                                  .loads = (flags & REPLICA_SHOWN_LOADS) != 0,
                                  .unsure = (flags & REPLICA_SHOWN_UNSURE) != 0};
    return shared_get(&shown->term) == term && shared_get(&shown->group) == group;
}

bool replica_look(const struct replica_shown *shown, struct replica_sight *out)
{
    if (!shared_get(&shown->group))
        return false;
    for (unsigned i = 0; i < LOOKS_MAX; i++)
        if (read_once(shown, out))
            return out->group.value + 1 != 0;
    out->lease_until_ns = 0; /* it changes all the time: then it leads nothing for long */
    return true;
}
