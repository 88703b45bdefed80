/* What each turn is compared with. */
#include "sim/oracle.h"

#include "base/memory.h"
#include "sim/marks.h"

#define GROUPS        ORACLE_GROUPS_MAX
#define DIGESTS       2048 /* a ring; half of it for the ends of logs */
#define DIGEST_EVERY  8    /* indexes: digests are linear in the keys */
#define COMPARE_DEPTH 512  /* entries of two logs looked at */

struct election {
    uint64_t term;
    unsigned node;
    uint32_t below; /* its voters, by place, that came back with a smaller term than this */
    struct raft_configuration voters;
};

struct digest {
    uint64_t index, value;
    uint64_t configured; /* index of the configuration in force there */
    unsigned node;
};

struct group_oracle {
    struct election *elections; /* owned; ascending terms */
    size_t election_count, election_capacity;
    uint64_t *terms; /* owned; of the committed entries, by index */
    uint64_t committed, term_capacity;
    struct raft_history history; /* begun by the last election of unsure voters */
    struct marks marks;
    struct digest digests[DIGESTS];
};

/* A replica whose log was damaged: neither it nor an earlier one is seen again (R4). What it had
 * said was counted, and counts on. */
struct gone {
    struct replica_id replica;
    uint64_t persisted, term; /* UINT64_MAX: what it said last nobody has looked at */
};

struct watch { /* what a node said of a group when it was last looked at */
    uint64_t commit, term;
    uint64_t led_term;
    uint64_t highest_term; /* ever: a restart does not begin it anew */
    uint64_t persisted, persisted_term;
    uint64_t digested;
    uint64_t snapshot, snapshot_term; /* mark of the newest one */
    int64_t entry_us;
    struct replica_id replica; /* a later one of the same group knows nothing of this one (R5) */
    struct gone gone;
    bool fresh;        /* of a new process, not looked at yet */
    bool died_in_turn; /* what it did and said in that one nobody has looked at */
};

struct oracle {
    struct verdict *verdict;
    unsigned nodes;
    struct group_oracle *groups[GROUPS]; /* by id; owned; NULL: not met yet */
    struct watch watches[ORACLE_NODES_MAX][GROUPS];
    uint64_t digests, unsure_elections;
};

struct oracle *oracle_create(unsigned nodes, struct verdict *verdict)
{
    struct oracle *oracle = memory_zeroed(1, sizeof *oracle);
    oracle->nodes = nodes;
    oracle->verdict = verdict;
    return oracle;
}

void oracle_destroy(struct oracle *oracle)
{
    if (!oracle)
        return;
    for (size_t i = 0; i < GROUPS; i++) {
        if (!oracle->groups[i])
            continue;
        memory_free(oracle->groups[i]->elections);
        memory_free(oracle->groups[i]->terms);
        memory_free(oracle->groups[i]);
    }
    memory_free(oracle);
}

/* ---- RAFT-1, RAFT-3, RAFT-5, RAFT-17 ---- */

/* R4: led by the longest log that was left. What is behind its end, or was written in its place, is
 * lost, and the leader says that it does not know what. */
static void forget_lost(struct oracle *oracle, size_t at, const struct raft *raft)
{
    struct group_oracle *group = oracle->groups[at];
    uint64_t last = raft_view(raft)->last_index;
    group->committed = group->committed < last ? group->committed : last;
    while (group->committed &&
           raft_term_at(raft, group->committed) != group->terms[group->committed])
        group->committed--;
    memset(group->digests, 0, sizeof group->digests);
    group->history = (struct raft_history){raft_view(raft)->term, raft_view(raft)->term_start};
    oracle->unsure_elections++;
}

/* A leader of an older term may come late, and need not have what newer ones have committed. */
static void check_complete(struct oracle *oracle, unsigned node, size_t at, const struct raft *raft)
{
    const struct group_oracle *group = oracle->groups[at];
    uint64_t term = raft_view(raft)->term;
    for (size_t i = 0; i < group->election_count; i++)
        if (group->elections[i].term > term)
            return;
    if (group->committed && raft_term_at(raft, group->committed) != group->terms[group->committed])
        verdict_fail(
            oracle->verdict, "complete-leader",
            "node %u leads group %zu in term %llu and lacks entry %llu of term %llu, which "
            "was committed",
            node, at, (unsigned long long)term, (unsigned long long)group->committed,
            (unsigned long long)group->terms[group->committed]);
}

static void note_leader(struct oracle *oracle, unsigned node, size_t at, const struct raft *raft)
{
    uint64_t term = raft_view(raft)->term;
    struct group_oracle *group = oracle->groups[at];
    for (size_t i = group->election_count; i-- > 0;) {
        struct election *election = &group->elections[i];
        if (election->term != term)
            continue;
        if (election->node != node)
            verdict_fail(oracle->verdict, "one-leader",
                         "nodes %u and %u both lead group %zu in term %llu", election->node, node,
                         at, (unsigned long long)term);
        return;
    }
    if (raft_view(raft)->unsure_election)
        forget_lost(oracle, at, raft);
    else
        check_complete(oracle, node, at, raft);
    if (group->election_count == group->election_capacity) {
        group->election_capacity = group->election_capacity ? 2 * group->election_capacity : 32;
        group->elections =
            memory_resize(group->elections, group->election_capacity * sizeof *group->elections);
    }
    group->elections[group->election_count++] =
        (struct election){.term = term, .node = node, .voters = *raft_configuration(raft)};
}

/* In one half of the configuration that elected: so many may not remember, and no more. */
static bool may_forget(const struct election *election, bool old)
{
    const struct raft_configuration *voters = &election->voters;
    unsigned count = 0, below = 0;
    for (size_t i = 0; i < voters->member_count; i++) {
        const struct raft_member *member = &voters->members[i];
        bool votes = (old ? member->old_kind : member->kind) == RAFT_VOTER;
        count += votes;
        below += votes && (election->below & 1u << i);
    }
    return below + (old ? voters->old_election_quorum : voters->election_quorum) <= count;
}

/* A quorum made its term durable before its leader led: fewer than that may come back with less. */
static void check_terms(struct oracle *oracle, size_t at, const struct replica *replica)
{
    const struct raft *raft = replica_raft(replica);
    uint64_t term = raft_view(raft)->term;
    struct group_oracle *group = oracle->groups[at];
    for (size_t i = 0; i < group->election_count; i++) {
        struct election *election = &group->elections[i];
        if (election->term <= term)
            continue;
        for (size_t place = 0; place < election->voters.member_count; place++)
            if (replica_id_equal(election->voters.members[place].replica, replica_self(replica)))
                election->below |= 1u << place;
        if (!may_forget(election, false) || (election->voters.joint && !may_forget(election, true)))
            verdict_fail(oracle->verdict, "durable-votes",
                         "group %zu: term %llu was led by node %u, but no quorum remembers it", at,
                         (unsigned long long)election->term, election->node);
    }
}

/* ---- RAFT-8, RAFT-9, RAFT-15 ---- */

struct having { /* of what: the entry `index`, or without one the term */
    const struct oracle *oracle;
    size_t at;
    uint64_t index, term;
};

static bool has(const struct having *what, struct replica_id replica)
{
    for (unsigned node = 0; node < what->oracle->nodes; node++) {
        const struct watch *watch = &what->oracle->watches[node][what->at];
        if (replica_id_equal(watch->gone.replica, replica))
            return what->index ? watch->gone.persisted >= what->index
                               : watch->gone.term >= what->term;
        if (replica_id_equal(watch->replica, replica))
            return watch->died_in_turn || (what->index ? watch->persisted >= what->index
                                                       : watch->highest_term >= what->term);
    }
    return false;
}

static bool half_has(const struct having *what, const struct raft_configuration *c, bool old)
{
    uint32_t quorum = what->index ? old ? c->old_commit_quorum : c->commit_quorum
                      : old       ? c->old_election_quorum
                                  : c->election_quorum;
    for (size_t i = 0; i < c->member_count && quorum; i++) {
        enum raft_member_kind kind = old ? c->members[i].old_kind : c->members[i].kind;
        quorum -= (kind == RAFT_VOTER || kind == RAFT_WITNESS) && has(what, c->members[i].replica);
    }
    return quorum == 0;
}

static bool quorum_has(const struct having *what, const struct raft_configuration *c)
{
    return half_has(what, c, false) && (!c->joint || half_has(what, c, true));
}

/* Counted once more, from what each node said of itself in its own turns. A configuration that
 * came in this turn, behind the commit, may not have been in force then. */
static void check_quorums(struct oracle *oracle, unsigned node, size_t at,
                          const struct replica *replica)
{
    const struct watch *watch = &oracle->watches[node][at];
    const struct raft *raft = replica_raft(replica);
    const struct raft_view *view = raft_view(raft);
    const struct raft_configuration *now = raft_configuration(raft);
    const struct raft_configuration *then = raft_configuration_at(raft, view->commit);
    struct having led = {oracle, at, 0, view->term}, kept = {oracle, at, view->commit, 0};
    if (view->role != RAFT_LEADER || replica_sync(replica) != WAL_SYNC_ALWAYS)
        return;
    bool is_new = watch->led_term != view->term && view->last_index == view->term_start;
    if (is_new && !quorum_has(&led, now))
        verdict_fail(oracle->verdict, "election-quorum",
                     "node %u leads group %zu in term %llu, of which no quorum has heard", node, at,
                     (unsigned long long)view->term);
    if (view->commit > watch->commit && raft_term_at(raft, view->commit) == view->term &&
        !quorum_has(&kept, now) && !(then && now->index > view->commit && quorum_has(&kept, then)))
        verdict_fail(oracle->verdict, "commit-quorum",
                     "node %u group %zu: entry %llu is committed, and no quorum has it", node, at,
                     (unsigned long long)view->commit);
}

/* ---- RAFT-3, RAFT-7 ---- */

static void check_commit(struct oracle *oracle, unsigned node, size_t at,
                         const struct replica *replica)
{
    struct group_oracle *group = oracle->groups[at];
    struct watch *watch = &oracle->watches[node][at];
    const struct raft_view *view = raft_view(replica_raft(replica));
    if (view->commit < watch->commit && !group->history.term) /* RAFT-19 */
        verdict_fail(oracle->verdict, "commit", "node %u group %zu: commit went from %llu to %llu",
                     node, at, (unsigned long long)watch->commit, (unsigned long long)view->commit);
    if (view->commit >= group->term_capacity) {
        group->term_capacity = 2 * view->commit + 1024;
        group->terms = memory_resize(group->terms, group->term_capacity * sizeof *group->terms);
    }
    for (uint64_t i = watch->commit + 1; i <= view->commit; i++) {
        uint64_t term = raft_term_at(replica_raft(replica), i);
        if (i > group->committed) {
            group->terms[i] = term;
            group->committed = i;
        } else if (group->terms[i] != term) {
            verdict_fail(oracle->verdict, "log-matching",
                         "node %u group %zu: entry %llu is committed with term %llu, elsewhere it "
                         "was committed with term %llu",
                         node, at, (unsigned long long)i, (unsigned long long)term,
                         (unsigned long long)group->terms[i]);
        }
    }
    watch->commit = view->commit;
}

static void compare_group(struct oracle *oracle, const struct raft *a, const struct raft *b,
                          size_t at)
{
    uint64_t last = raft_view(a)->last_index, other = raft_view(b)->last_index;
    uint64_t i = last < other ? last : other, floor = i > COMPARE_DEPTH ? i - COMPARE_DEPTH : 0;
    while (i > floor && raft_term_at(a, i) != raft_term_at(b, i))
        i--;
    for (; i > floor; i--)
        if (raft_term_at(a, i) != raft_term_at(b, i))
            verdict_fail(oracle->verdict, "log-matching",
                         "group %zu: two logs differ at %llu and agree behind it", at,
                         (unsigned long long)i);
}

void oracle_compare_logs(struct oracle *oracle, struct group_id group, struct node *one,
                         struct node *other)
{
    struct replica *a = node_group(one, group);
    struct replica *b = node_group(other, group);
    if (a && b)
        compare_group(oracle, replica_raft(a), replica_raft(b), group.value);
}

/* ---- REPLICA-4, REPLICA-5 ---- */

static struct digest *digest_of(struct group_oracle *group, uint64_t index)
{
    return &group->digests[index / DIGEST_EVERY * 2 % DIGESTS + (index % DIGEST_EVERY != 0)];
}

static void compare_digests(struct oracle *oracle, size_t at, const struct digest *one,
                            const struct digest *other)
{
    oracle->digests++;
    if (one->value != other->value)
        verdict_fail(oracle->verdict, "equal-state",
                     "group %zu: nodes %u and %u differ at entry %llu", at, one->node, other->node,
                     (unsigned long long)one->index);
    if (one->configured != other->configured)
        verdict_fail(oracle->verdict, "equal-configuration",
                     "group %zu: at entry %llu node %u goes by the configuration of %llu, node %u "
                     "by that of %llu",
                     at, (unsigned long long)one->index, one->node,
                     (unsigned long long)one->configured, other->node,
                     (unsigned long long)other->configured);
}

static void check_digest(struct oracle *oracle, unsigned node, size_t at, struct replica *replica)
{
    struct watch *watch = &oracle->watches[node][at];
    uint64_t index = replica_executed(replica);
    const struct raft_view *view = raft_view(replica_raft(replica));
    if (index == watch->digested || index > view->commit)
        return; /* seen already; or executed ahead of the commit, and may be cut */
    watch->digested = index;
    if (index % DIGEST_EVERY && index != view->last_index)
        return;
    const struct raft_configuration *configuration =
        raft_configuration_at(replica_raft(replica), index);
    if (!configuration)
        return; /* its log begins behind: a snapshot is on its way */
    struct digest *digest = digest_of(oracle->groups[at], index);
    struct digest now = {index, store_digest(replica_store(replica)), configuration->index, node};
    if (digest->index == index)
        compare_digests(oracle, at, digest, &now);
    else
        *digest = now;
}

static void check_times(struct oracle *oracle, unsigned node, size_t at,
                        const struct replica *replica)
{
    struct watch *watch = &oracle->watches[node][at];
    const struct raft_view *view = raft_view(replica_raft(replica));
    int64_t entry_us = replica_last_entry_us(replica);
    bool same_term = view->role == RAFT_LEADER && view->term == watch->term;
    if (same_term && entry_us < watch->entry_us)
        verdict_fail(oracle->verdict, "entry-times", "node %u group %zu: entry times go back", node,
                     at);
    watch->entry_us = entry_us;
}

/* ---- SNAP-5, BOOT-3 ---- */

static void check_snapshot(struct oracle *oracle, unsigned node, size_t at, struct node *inside)
{
    const struct snapshot *newer, *older;
    struct watch *watch = &oracle->watches[node][at];
    struct group_oracle *group = oracle->groups[at];
    snapshots_newest_two(node_turn(inside)->snapshots->files, (struct group_id){at}, &newer,
                         &older);
    if (!newer ||
        (newer->meta.index == watch->snapshot && newer->meta.term == watch->snapshot_term))
        return;
    watch->snapshot = newer->meta.index;
    watch->snapshot_term = newer->meta.term;
    marks_compare(&group->marks, oracle->verdict, node, newer);
    if (newer->meta.term >= group->history.term &&
        !oracle_is_committed(oracle, (struct group_id){at}, newer->meta.index, newer->meta.term))
        verdict_fail(oracle->verdict, "committed-snapshot",
                     "node %u group %zu: there is a snapshot of entry %llu, which is not committed",
                     node, at, (unsigned long long)newer->meta.index);
}

/* ---- the looks ---- */

/* What it has committed may be void, and it has not heard of that yet (RAFT-19): of no use to
 * compare. Once it has the new history everything is looked at again. */
static bool is_of_the_past(struct oracle *oracle, unsigned node, size_t at, const struct raft *raft)
{
    struct watch *watch = &oracle->watches[node][at];
    const struct raft_history *history = &oracle->groups[at]->history;
    if (!history->term || raft_term_at(raft, history->index) == history->term)
        return false;
    watch->commit = watch->digested = 0;
    return true;
}

static void look(struct oracle *oracle, unsigned node, struct node *inside, struct replica *replica)
{
    size_t at = replica_group(replica).value;
    struct watch *watch = &oracle->watches[node][at];
    const struct raft *raft = replica_raft(replica);
    const struct raft_view *view = raft_view(raft);
    watch->persisted = view->persisted;
    if (view->term > watch->highest_term)
        watch->highest_term = view->term;
    if (view->role == RAFT_LEADER)
        note_leader(oracle, node, at, raft);
    check_quorums(oracle, node, at, replica);
    if (view->role == RAFT_LEADER)
        watch->led_term = view->term;
    if (!is_of_the_past(oracle, node, at, raft)) {
        check_commit(oracle, node, at, replica);
        check_digest(oracle, node, at, replica);
        check_snapshot(oracle, node, at, inside);
    }
    check_times(oracle, node, at, replica);
    watch->term = view->term;
    watch->persisted_term = raft_term_at(raft, view->persisted);
}

/* WAL-1; without SYNC always a power cut may take what was called persisted, but then the replica
 * must know of its doubt (R4). */
static void check_persisted(struct oracle *oracle, unsigned node, size_t at,
                            const struct replica *replica)
{
    struct watch *watch = &oracle->watches[node][at];
    uint64_t term = replica ? raft_term_at(replica_raft(replica), watch->persisted) : 0;
    if (!watch->persisted || term >= watch->persisted_term)
        return; /* a higher one: a later leader has replaced it, in the turn that was the last */
    if (replica && raft_view(replica_raft(replica))->last_term > watch->persisted_term)
        return; /* the same, and its log is shorter */
    if (replica && replica_sync(replica) != WAL_SYNC_ALWAYS &&
        raft_view(replica_raft(replica))->unsure)
        return;
    verdict_fail(oracle->verdict, "durability",
                 "node %u group %zu: entry %llu of term %llu was durable and is gone (term %llu "
                 "there now, log ends at %llu)",
                 node, at, (unsigned long long)watch->persisted,
                 (unsigned long long)watch->persisted_term, (unsigned long long)term,
                 replica ? (unsigned long long)raft_view(replica_raft(replica))->last_index : 0ull);
}

void oracle_started(struct oracle *oracle, unsigned node)
{
    for (size_t at = 0; at < GROUPS; at++) {
        struct watch *watch = &oracle->watches[node][at];
        watch->commit = watch->digested = watch->term = watch->snapshot = 0;
        watch->fresh = true;
    }
}

void oracle_died(struct oracle *oracle, unsigned node)
{
    for (size_t at = 0; at < GROUPS; at++)
        oracle->watches[node][at].died_in_turn = true;
}

void oracle_began_anew(struct oracle *oracle, unsigned node)
{
    for (size_t at = 0; at < GROUPS; at++) {
        struct watch *watch = &oracle->watches[node][at];
        bool unknown = watch->died_in_turn;
        struct gone gone = {.replica = watch->replica,
                            .persisted = unknown ? UINT64_MAX : watch->persisted,
                            .term = unknown ? UINT64_MAX : watch->highest_term};
        *watch = (struct watch){.replica = watch->replica, .gone = gone, .fresh = true};
    }
}

/* The first look at a group of a process: what did the disk give back? Without a replica: a group
 * that was dropped has none. */
static void look_first(struct oracle *oracle, unsigned node, size_t at,
                       const struct replica *replica)
{
    oracle->watches[node][at].fresh = oracle->watches[node][at].died_in_turn = false;
    check_persisted(oracle, node, at, replica);
    if (replica)
        check_terms(oracle, at, replica);
}

void oracle_dropped(struct oracle *oracle, unsigned node, struct node *inside)
{
    for (uint64_t at = 0; at < GROUPS; at++) {
        struct watch *watch = &oracle->watches[node][at];
        struct group_id group = {at};
        if (watch->replica.value && node_owns(inside, group) && !node_group(inside, group))
            watch->died_in_turn = true;
    }
}

/* `system` or `default` is not on this node. It was let go of while the process ran: seen so, or
 * perhaps in the turn in which the process died. Else its log has lost it. */
static void look_absent(struct oracle *oracle, unsigned node, size_t at)
{
    struct watch *watch = &oracle->watches[node][at];
    if (watch->fresh && !watch->died_in_turn)
        look_first(oracle, node, at, NULL);
    *watch = (struct watch){.replica = watch->replica, .gone = watch->gone};
}

void oracle_turned(struct oracle *oracle, unsigned node, struct node *inside)
{
    if (!node_is_started(inside))
        return;
    for (uint64_t at = 0; at <= GROUP_DEFAULT.value; at++)
        if (node_owns(inside, (struct group_id){at}) && !node_group(inside, (struct group_id){at}))
            look_absent(oracle, node, at);
    for (size_t i = 0; i < node_group_count(inside); i++) {
        struct replica *replica = node_group_at(inside, i);
        uint64_t at = replica_group(replica).value;
        if (at >= GROUPS)
            continue;
        if (!oracle->groups[at])
            oracle->groups[at] = memory_zeroed(1, sizeof *oracle->groups[at]);
        struct watch *watch = &oracle->watches[node][at];
        if (!replica_id_equal(watch->replica, replica_self(replica)))
            *watch = (struct watch){.replica = replica_self(replica), .gone = watch->gone};
        if (watch->replica.value <= watch->gone.replica.value)
            verdict_fail(
                oracle->verdict, "readmission",
                "node %u group %llu: replica %llu is there again after its log was damaged", node,
                (unsigned long long)at, (unsigned long long)watch->replica.value);
        if (watch->fresh)
            look_first(oracle, node, at, replica);
        look(oracle, node, inside, replica);
    }
}

bool oracle_is_committed(const struct oracle *oracle, struct group_id group, uint64_t index,
                         uint64_t term)
{
    const struct group_oracle *at = group.value < GROUPS ? oracle->groups[group.value] : NULL;
    return at && index && index <= at->committed && at->terms[index] == term;
}

struct oracle_facts oracle_facts(const struct oracle *oracle)
{
    struct oracle_facts facts = {.digests = oracle->digests,
                                 .unsure_elections = oracle->unsure_elections};
    for (size_t i = 0; i < GROUPS; i++) {
        if (!oracle->groups[i])
            continue;
        facts.leaders += oracle->groups[i]->election_count;
        facts.committed += oracle->groups[i]->committed;
        facts.snapshots += oracle->groups[i]->marks.compared;
        if (i > GROUP_DEFAULT.value && oracle->groups[i]->election_count)
            facts.failovers += oracle->groups[i]->election_count - 1;
    }
    return facts;
}
