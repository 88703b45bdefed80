/* change.c - which configuration may follow which, and what leads to a wanted one
 * (dissertation 4.1, 4.3; R2, R15, R18).
 *
 *     now --voters or quorums change--> joint --committed: view.leave_joint--> the new one
 *     now --learners, priorities, the in-sync set--> the new one
 *
 * One change at a time: the next configuration is refused until the last one is committed. */
#include "raft/state.h"

#include <assert.h>

/* Each voter of `a` in half `a_half` is one of `b` in `b_half`. */
static bool voters_are_within(const struct raft_configuration *a, enum half a_half,
                              const struct raft_configuration *b, enum half b_half)
{
    for (size_t i = 0; i < a->member_count; i++) {
        const struct raft_member *other = raft_find_member(b, a->members[i].replica);
        if (raft_votes_in(&a->members[i], a_half) && !(other && raft_votes_in(other, b_half)))
            return false;
    }
    return true;
}

static bool halves_agree(const struct raft_configuration *a, enum half a_half,
                         const struct raft_configuration *b, enum half b_half)
{
    return raft_quorum_size(a, QUORUM_COMMIT, a_half) ==
               raft_quorum_size(b, QUORUM_COMMIT, b_half) &&
           raft_quorum_size(a, QUORUM_ELECTION, a_half) ==
               raft_quorum_size(b, QUORUM_ELECTION, b_half) &&
           voters_are_within(a, a_half, b, b_half) && voters_are_within(b, b_half, a, a_half);
}

/* Voters and quorums change through a joint configuration only (RAFT-15): with (C, E) even one
 * voter more is not safe in one step. Learners, priorities and the in-sync set may change at once,
 * also while joint. */
bool raft_configuration_may_follow(const struct raft_configuration *now,
                                   const struct raft_configuration *next)
{
    if (!raft_configuration_is_valid(next))
        return false;
    if (now->joint && next->joint)
        return halves_agree(now, HALF_NEW, next, HALF_NEW) &&
               halves_agree(now, HALF_OLD, next, HALF_OLD);
    return halves_agree(now, HALF_NEW, next, next->joint ? HALF_OLD : HALF_NEW);
}

/* One change at a time, and only after an entry of the own term is committed: two leaders could
 * else each append a configuration whose quorums do not meet (RAFT-15). */
void raft_handle_propose_configuration(struct raft *raft, const struct raft_event *event)
{
    const struct raft_configuration *now = raft_configuration(raft);
    if (!raft_is_serving(raft) || !event->configurations || now->index > raft->view.commit ||
        !raft_configuration_may_follow(now, event->configurations))
        return;
    raft_log_append(raft, raft->view.term);
    raft_configuration_activate(raft, event->configurations, raft->view.last_index);
}

static struct raft_member *find(struct raft_configuration *c, struct replica_id replica)
{
    for (size_t i = 0; i < c->member_count; i++)
        if (replica_id_equal(c->members[i].replica, replica))
            return &c->members[i];
    return NULL;
}

/* The wanted members alone, checked; NULL: they are possible. */
static const char *take_wanted(const struct raft_configuration *now,
                               const struct raft_configuration *wanted, bool even,
                               struct raft_configuration *out)
{
    size_t with_data = 0;
    *out = (struct raft_configuration){.commit_quorum = wanted->commit_quorum,
                                       .election_quorum = wanted->election_quorum,
                                       .sync = wanted->sync ? wanted->sync : now->sync};
    if (wanted->member_count > RAFT_MEMBERS_MAX)
        return "too many members";
    for (size_t i = 0; i < wanted->member_count; i++) {
        const struct raft_member *member = &wanted->members[i];
        const struct raft_member *before = raft_find_member(now, member->replica);
        struct raft_member *place = &out->members[out->member_count++];
        *place = *member;
        place->old_kind = 0;
        place->out_of_sync = before && before->out_of_sync && raft_votes_in(place, HALF_NEW);
        with_data += member->kind == RAFT_VOTER;
    }
    size_t voters = raft_voter_count(out, HALF_NEW);
    if (with_data == 0)
        return "no voter has the data";
    if ((voters == 2 || voters == 4) && !even)
        return "two or four voters were not asked for";
    return raft_configuration_is_valid(out)
               ? NULL
               : "a member is named twice or has no id, or the quorums "
                 "do not overlap";
}

/* The new half is there; adds the old one. False: too many members. */
static bool join(const struct raft_configuration *now, struct raft_configuration *out)
{
    out->joint = true;
    out->old_commit_quorum = now->commit_quorum;
    out->old_election_quorum = now->election_quorum;
    for (size_t i = 0; i < now->member_count; i++) {
        struct raft_member *member = find(out, now->members[i].replica);
        if (!member && !raft_votes_in(&now->members[i], HALF_NEW))
            continue; /* a learner that goes */
        if (!member) {
            if (out->member_count == RAFT_MEMBERS_MAX)
                return false;
            member = &out->members[out->member_count++];
            *member = now->members[i];
            member->kind = (enum raft_member_kind)0;
        }
        member->old_kind = now->members[i].kind;
    }
    for (size_t i = 0; i < out->member_count; i++) {
        struct raft_member *member = &out->members[i];
        const struct raft_member *before = raft_find_member(now, member->replica);
        member->out_of_sync = before && before->out_of_sync && raft_member_is_voter(member);
    }
    return true;
}

static bool members_equal(const struct raft_configuration *a, const struct raft_configuration *b)
{
    if (a->member_count != b->member_count)
        return false;
    for (size_t i = 0; i < a->member_count; i++) {
        const struct raft_member *left = &a->members[i];
        const struct raft_member *right = raft_find_member(b, left->replica);
        if (!right || left->kind != right->kind || left->priority != right->priority ||
            !node_id_equal(left->node, right->node))
            return false;
    }
    return true;
}

enum status raft_configuration_change(const struct raft_configuration *now,
                                      const struct raft_configuration *wanted, bool even,
                                      struct raft_configuration *out, const char **why)
{
    struct raft_configuration next;
    *why = now->joint ? "another change is under way" : take_wanted(now, wanted, even, &next);
    if (*why)
        return STATUS_INVALID;
    if (!halves_agree(now, HALF_NEW, &next, HALF_NEW)) {
        if (!join(now, &next))
            *why = "too many members on the way";
    } else if (members_equal(now, &next) && now->sync == next.sync) {
        *why = "nothing changes";
    }
    if (*why)
        return STATUS_INVALID;
    assert(raft_configuration_may_follow(now, &next)); /* RAFT-15 */
    *out = next;
    return STATUS_OK;
}

void raft_configuration_leave(const struct raft_configuration *joint,
                              struct raft_configuration *out)
{
    assert(joint->joint);
    struct raft_configuration next = {.commit_quorum = joint->commit_quorum,
                                      .election_quorum = joint->election_quorum,
                                      .sync = joint->sync};
    for (size_t i = 0; i < joint->member_count; i++) {
        if (!joint->members[i].kind)
            continue;
        struct raft_member *member = &next.members[next.member_count++];
        *member = joint->members[i];
        member->old_kind = (enum raft_member_kind)0;
        member->out_of_sync = member->out_of_sync && raft_votes_in(member, HALF_NEW);
    }
    *out = next;
}

enum status raft_configuration_set_sync(const struct raft_configuration *now,
                                        struct replica_id voter, bool in_sync,
                                        struct raft_configuration *out)
{
    struct raft_configuration next = *now;
    struct raft_member *member = find(&next, voter);
    if (!member || !raft_member_is_voter(member) || member->out_of_sync != in_sync)
        return STATUS_INVALID;
    member->out_of_sync = !in_sync;
    next.index = 0;
    *out = next;
    return STATUS_OK;
}
