/* Judging what everybody has found: of each group its leader's word counts, and each replica's own
 * of itself; where no leader answers, that is what is found, and who is missing. ADMIN-3 */
#include "admin/inside.h"

#include "base/memory.h"

#include <stdlib.h>

struct admin_told {
    struct cluster_finding finding;
    struct node_id by;
};

static bool has_answered(const struct admin_inquiry *inquiry, struct node_id node)
{
    for (size_t i = 0; i < inquiry->asked_count; i++)
        if (node_id_equal(inquiry->asked[i], node))
            return true;
    return false;
}

static void add_id(struct node_id *list, size_t *count, struct node_id node)
{
    for (size_t i = 0; i < *count; i++)
        if (node_id_equal(list[i], node))
            return;
    list[(*count)++] = node;
}

static void take_findings(struct admin_inquiry *inquiry, const struct admin_findings *findings,
                          struct node_id by)
{
    inquiry->told = memory_resize(inquiry->told,
                                  (inquiry->count + findings->count + 1) * sizeof *inquiry->told);
    for (size_t i = 0; i < findings->count; i++)
        inquiry->told[inquiry->count++] = (struct admin_told){findings->list[i], by};
}

static int by_group(const void *a, const void *b)
{
    const struct cluster_finding *one = &((const struct admin_told *)a)->finding;
    const struct cluster_finding *other = &((const struct admin_told *)b)->finding;
    if (one->group.value != other->group.value)
        return one->group.value < other->group.value ? -1 : 1;
    if (one->rule != other->rule)
        return one->rule < other->rule ? -1 : 1;
    if (one->node.value != other->node.value)
        return one->node.value < other->node.value ? -1 : 1;
    return 0;
}

/* A worker of a node that answers through another one is not missed: what it leads is. */
void admin_inquire(struct admin_inquiry *inquiry, const struct control_answer *answers,
                   size_t count)
{
    struct node_id self = node_formation(inquiry->admin->node)->self;
    struct admin_findings findings = {0};
    inquiry->asked = memory_zeroed(count + 1, sizeof *inquiry->asked);
    inquiry->not_asked = memory_zeroed(count + 1, sizeof *inquiry->not_asked);
    add_id(inquiry->asked, &inquiry->asked_count, self);
    admin_find(inquiry->admin, &inquiry->target.scope, &findings);
    take_findings(inquiry, &findings, self);
    for (size_t i = 0; i < count; i++) {
        findings.count = 0;
        if (!answers[i].is_there ||
            !admin_read_findings(slice_of_buffer(&answers[i].bytes), &findings))
            continue;
        add_id(inquiry->asked, &inquiry->asked_count, answers[i].node);
        take_findings(inquiry, &findings, answers[i].node);
    }
    for (size_t i = 0; i < count; i++)
        if (!has_answered(inquiry, answers[i].node))
            add_id(inquiry->not_asked, &inquiry->not_asked_count, answers[i].node);
    qsort(inquiry->told, inquiry->count, sizeof *inquiry->told, by_group);
    memory_free(findings.list);
}

/* ---- judging a group ---- */

struct span {
    const struct admin_told *first;
    size_t count;
};

static struct span span_of(const struct admin_inquiry *inquiry, struct group_id group)
{
    size_t low = 0, high = inquiry->count, end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (inquiry->told[middle].finding.group.value < group.value)
            low = middle + 1;
        else
            high = middle;
    }
    for (end = low; end < inquiry->count; end++)
        if (!group_id_equal(inquiry->told[end].finding.group, group))
            break;
    return (struct span){inquiry->told + low, end - low};
}

/* That of the highest term; NULL: none. */
static const struct admin_told *newest(const struct span *span, enum cluster_rule rule)
{
    const struct admin_told *found = NULL;
    for (size_t i = 0; i < span->count; i++)
        if (span->first[i].finding.rule == rule &&
            (!found || span->first[i].finding.need > found->finding.need))
            found = &span->first[i];
    return found;
}

bool admin_is_of_node(enum cluster_rule rule)
{
    return rule == CLUSTER_WHY_DISK_FULL || rule == CLUSTER_WHY_DISK_STALLED ||
           rule == CLUSTER_WHY_DAMAGED || rule == CLUSTER_WHY_UNREACHED ||
           rule == CLUSTER_WHY_SUSPECTED;
}

/* The leader's word, or a replica's of itself. */
static bool counts(const struct admin_told *told, const struct admin_told *led)
{
    const struct cluster_finding *finding = &told->finding;
    bool is_own = finding->replica.value && node_id_equal(finding->node, told->by);
    if (cluster_why_is_well(finding->rule) || admin_is_of_node(finding->rule))
        return false;
    if (finding->rule == CLUSTER_WHY_UNLED)
        return led && !node_id_equal(led->by, told->by);
    return is_own || (led && node_id_equal(led->by, told->by));
}

static bool waits_for_all(const struct admin_inquiry *inquiry, struct group_id group)
{
    const struct control_partition *partition = catalogue_find_group(inquiry->catalogue, group);
    const struct control_keyspace *keyspace =
        partition ? catalogue_find_id(inquiry->catalogue, partition->keyspace) : NULL;
    return keyspace && keyspace->contract.ack == CLUSTER_ACK_ALL;
}

/* Who receives a snapshot knows how much of it is there; and that a replica is down says that it is
 * out of the in-sync set, where the contract does not ask for that set. */
static bool is_said_better(const struct admin_inquiry *inquiry, const struct span *span,
                           const struct cluster_finding *finding)
{
    bool loads = finding->rule == CLUSTER_WHY_BOOTSTRAPPING && !finding->need;
    bool is_out = finding->rule == CLUSTER_WHY_OUT_OF_SYNC && !inquiry->target.replica.value &&
                  !waits_for_all(inquiry, finding->group);
    for (size_t i = 0; (loads || is_out) && i < span->count; i++) {
        const struct cluster_finding *other = &span->first[i].finding;
        bool better =
            loads ? other->rule == finding->rule && other->need : other->rule == CLUSTER_WHY_DOWN;
        if (better && replica_id_equal(other->replica, finding->replica))
            return true;
    }
    return false;
}

static bool is_asked_for(const struct admin_target *target, const struct cluster_finding *finding)
{
    bool is_of_all = !finding->replica.value || finding->rule == CLUSTER_WHY_CHANGE;
    struct node_id node = {target->scope.id};
    if (is_of_all)
        return true;
    if (target->replica.value)
        return replica_id_equal(finding->replica, target->replica);
    return target->scope.kind != ADMIN_SCOPE_NODE || node_id_equal(finding->node, node);
}

static void put(struct admin_inquiry *inquiry, const struct cluster_finding *finding)
{
    if (is_asked_for(&inquiry->target, finding))
        admin_add_finding(&inquiry->out, finding);
}

static int64_t unled_since(const struct span *span)
{
    int64_t since_ms = 0;
    for (size_t i = 0; i < span->count; i++) {
        const struct cluster_finding *finding = &span->first[i].finding;
        bool is = finding->rule == CLUSTER_WHY_UNLED && finding->since_ms;
        if (is && (!since_ms || finding->since_ms < since_ms))
            since_ms = finding->since_ms;
    }
    return since_ms;
}

/* Nobody leads it, as far as anybody says. */
static void put_unled(struct admin_inquiry *inquiry, const struct cluster_group *group,
                      struct cluster_finding finding)
{
    finding.need = group->joint && group->old_election > group->election ? group->old_election
                                                                         : group->election;
    for (size_t i = 0; i < group->vote_count; i++)
        finding.have += (group->votes[i].votes || group->votes[i].voted) &&
                        has_answered(inquiry, group->votes[i].node);
    put(inquiry, &finding);
    finding.rule = CLUSTER_WHY_MISSING;
    finding.have = finding.need = 0;
    for (size_t i = 0; i < group->vote_count; i++) {
        finding.peer = group->votes[i].node;
        finding.since_ms = admin_unreached_since_ms(inquiry->admin, finding.peer);
        if ((group->votes[i].votes || group->votes[i].voted) &&
            !has_answered(inquiry, finding.peer))
            put(inquiry, &finding);
    }
}

/* Its leader did not answer: because there is none, or because it cannot be asked from here. */
static void judge_unled(struct admin_inquiry *inquiry, const struct cluster_group *group,
                        const struct span *span, struct group_id id)
{
    const struct admin_told *follows = newest(span, CLUSTER_WHY_FOLLOWS);
    struct node_id leader = follows ? follows->finding.peer : group->leader;
    struct cluster_finding finding = {.rule = CLUSTER_WHY_NO_LEADER, .group = id};
    if (leader.value && !has_answered(inquiry, leader)) {
        finding.rule = CLUSTER_WHY_NOT_ASKED;
        finding.peer = leader;
        finding.since_ms = admin_unreached_since_ms(inquiry->admin, leader);
        put(inquiry, &finding);
        return;
    }
    finding.since_ms = unled_since(span);
    put_unled(inquiry, group, finding);
}

/* What a node has found of a group that the catalogue here does not know was in the scope there. */
static bool is_in(const struct admin_inquiry *inquiry, struct group_id id,
                  const struct cluster_group *group)
{
    const struct admin_scope *scope = &inquiry->target.scope;
    const struct control_partition *partition = catalogue_find_group(inquiry->catalogue, id);
    if (!partition || partition->dropped)
        return !partition;
    if (scope->kind == ADMIN_SCOPE_KEYSPACE)
        return partition->keyspace == scope->id;
    if (scope->kind == ADMIN_SCOPE_PARTITION)
        return id.value == scope->id;
    bool is = raft_find_member_on(&partition->wanted, (struct node_id){scope->id});
    for (size_t i = 0; i < group->vote_count; i++)
        is = is || group->votes[i].node.value == scope->id;
    return is;
}

static void note_since(struct admin_inquiry *inquiry, int64_t since_ms)
{
    inquiry->is_known = inquiry->is_known && since_ms;
    if (since_ms > inquiry->since_ms)
        inquiry->since_ms = since_ms;
}

/* Of a keyspace or partition the leader says it for all, else each replica is of its own. */
static void note_well(struct admin_inquiry *inquiry, const struct span *span,
                      const struct admin_told *led)
{
    const struct admin_target *target = &inquiry->target;
    bool whole = target->scope.kind != ADMIN_SCOPE_NODE && !target->replica.value;
    if (whole && led)
        note_since(inquiry, led->finding.since_ms);
    for (size_t i = 0; !whole && i < span->count; i++) {
        const struct cluster_finding *finding = &span->first[i].finding;
        if (finding->rule == CLUSTER_WHY_READY && led &&
            node_id_equal(span->first[i].by, led->by) && is_asked_for(target, finding))
            note_since(inquiry, finding->since_ms);
    }
}

static void judge_group(struct admin_inquiry *inquiry, struct group_id id)
{
    struct cluster_group group;
    control_see_group(inquiry->admin->control, id, &group);
    if (!is_in(inquiry, id, &group))
        return;
    struct span span = span_of(inquiry, id);
    const struct admin_told *led = newest(&span, CLUSTER_WHY_LED);
    inquiry->groups++;
    inquiry->leader = led ? led->by : (struct node_id){0};
    note_well(inquiry, &span, led);
    if (!led)
        judge_unled(inquiry, &group, &span, id);
    for (size_t i = 0; i < span.count; i++)
        if (counts(&span.first[i], led) && !is_said_better(inquiry, &span, &span.first[i].finding))
            put(inquiry, &span.first[i].finding);
}

/* ---- judging the whole ---- */

/* Those of the catalogue; and what nodes have told of and the catalogue here does not know, say
 * after a start without a quorum of `system`. */
static void judge_listed(struct admin_inquiry *inquiry)
{
    const struct cluster_finding *last = NULL;
    for (size_t i = 0; i < inquiry->catalogue->partition_count; i++)
        judge_group(inquiry, inquiry->catalogue->partitions[i].group);
    for (size_t i = 0; i < inquiry->count; i++) {
        const struct cluster_finding *finding = &inquiry->told[i].finding;
        bool again = last && group_id_equal(last->group, finding->group);
        if (admin_is_of_node(finding->rule) || again ||
            catalogue_find_group(inquiry->catalogue, finding->group))
            continue;
        last = finding;
        judge_group(inquiry, finding->group);
    }
}

static bool carries(const struct admin_inquiry *inquiry, struct node_id node)
{
    const struct control_catalogue *catalogue = inquiry->catalogue;
    struct cluster_group group;
    if (inquiry->target.scope.kind == ADMIN_SCOPE_NODE)
        return inquiry->target.scope.id == node.value;
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        control_see_group(inquiry->admin->control, catalogue->partitions[i].group, &group);
        if (!is_in(inquiry, catalogue->partitions[i].group, &group))
            continue;
        for (size_t k = 0; k < group.vote_count; k++)
            if (node_id_equal(group.votes[k].node, node))
                return true;
    }
    return !catalogue->partition_count;
}

static bool is_there(const struct admin_inquiry *inquiry, const struct cluster_finding *finding)
{
    for (size_t i = 0; i < inquiry->out.count; i++)
        if (inquiry->out.list[i].rule == finding->rule &&
            node_id_equal(inquiry->out.list[i].node, finding->node))
            return true;
    return false;
}

/* That it is gone, and since when, says more than that it is suspected. */
static bool is_known_gone(const struct admin_inquiry *inquiry, struct node_id node)
{
    for (size_t i = 0; i < inquiry->out.count; i++) {
        const struct cluster_finding *finding = &inquiry->out.list[i];
        bool is_peer =
            finding->rule == CLUSTER_WHY_MISSING || finding->rule == CLUSTER_WHY_NOT_ASKED;
        bool is = is_peer ? node_id_equal(finding->peer, node)
                          : finding->rule == CLUSTER_WHY_DOWN && node_id_equal(finding->node, node);
        if (is && finding->since_ms)
            return true;
    }
    return false;
}

/* Who asks about one replica does not ask who else is silent. */
static bool is_elsewhere(const struct admin_inquiry *inquiry, struct node_id node)
{
    const struct admin_target *target = &inquiry->target;
    const struct control_partition *partition =
        catalogue_find_group(inquiry->catalogue, (struct group_id){target->scope.id});
    return target->replica.value &&
           !(partition &&
             node_id_equal(raft_node_of(partition_wanted(partition), target->replica), node));
}

static void judge_node(struct admin_inquiry *inquiry, const struct cluster_finding *finding)
{
    bool is_suspicion = finding->rule == CLUSTER_WHY_SUSPECTED;
    bool is_said = is_suspicion &&
                   (is_known_gone(inquiry, finding->node) || is_elsewhere(inquiry, finding->node));
    if (carries(inquiry, finding->node) && !is_there(inquiry, finding) && !is_said)
        admin_add_finding(&inquiry->out, finding);
}

static void judge_nodes(struct admin_inquiry *inquiry)
{
    const struct admin_scope *scope = &inquiry->target.scope;
    struct node_id node = {scope->id};
    for (size_t i = 0; i < inquiry->count; i++)
        if (admin_is_of_node(inquiry->told[i].finding.rule))
            judge_node(inquiry, &inquiry->told[i].finding);
    if (scope->kind != ADMIN_SCOPE_NODE || has_answered(inquiry, node))
        return;
    struct cluster_finding finding = {.rule = CLUSTER_WHY_UNREACHED,
                                      .node = node_formation(inquiry->admin->node)->self,
                                      .peer = node,
                                      .since_ms = admin_unreached_since_ms(inquiry->admin, node)};
    admin_add_finding(&inquiry->out, &finding);
}

/* Who asks about one replica may wonder why it does not vote. */
static void judge_reader(struct admin_inquiry *inquiry)
{
    const struct admin_target *target = &inquiry->target;
    const struct control_partition *partition =
        catalogue_find_group(inquiry->catalogue, (struct group_id){target->scope.id});
    struct cluster_finding finding = {.rule = CLUSTER_WHY_LEARNER,
                                      .group = {target->scope.id},
                                      .replica = target->replica,
                                      .need = 1};
    if (!target->replica.value || !partition_reads(partition, target->replica))
        return;
    finding.node = raft_node_of(&partition->wanted, target->replica);
    admin_add_finding(&inquiry->out, &finding);
}

static int by_rule(const void *a, const void *b)
{
    const struct cluster_finding *one = a, *other = b;
    if (one->rule != other->rule)
        return one->rule < other->rule ? -1 : 1;
    if (one->group.value != other->group.value)
        return one->group.value < other->group.value ? -1 : 1;
    return one->replica.value < other->replica.value ? -1
                                                     : one->replica.value > other->replica.value;
}

void admin_judge(struct admin_inquiry *inquiry, bool is_sure)
{
    struct cluster_finding unsure = {.rule = CLUSTER_WHY_UNCONFIRMED};
    inquiry->is_known = true;
    if (inquiry->target.scope.kind == ADMIN_SCOPE_PARTITION)
        judge_group(inquiry, (struct group_id){inquiry->target.scope.id});
    else
        judge_listed(inquiry);
    judge_nodes(inquiry);
    judge_reader(inquiry);
    if (!is_sure)
        admin_add_finding(&inquiry->out, &unsure);
    if (inquiry->out.count)
        qsort(inquiry->out.list, inquiry->out.count, sizeof inquiry->out.list[0], by_rule);
}

/* Its leader answers, and has no such member. */
bool admin_is_nobody(const struct admin_inquiry *inquiry)
{
    const struct admin_target *target = &inquiry->target;
    struct span span = span_of(inquiry, (struct group_id){target->scope.id});
    bool is_led = newest(&span, CLUSTER_WHY_LED);
    for (size_t i = 0; i < span.count; i++)
        if (replica_id_equal(span.first[i].finding.replica, target->replica))
            return false;
    return target->replica.value && is_led;
}

void admin_inquiry_deinit(struct admin_inquiry *inquiry)
{
    memory_free(inquiry->told);
    memory_free(inquiry->asked);
    memory_free(inquiry->not_asked);
    memory_free(inquiry->out.list);
}
