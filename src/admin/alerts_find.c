/* What is so now that may be an alert: what WHY finds, and of the cluster what its leader knows.
 * Each thing has one teller, see inside.h. */
#include "admin/inside.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>

#define DRAINED_LONG_MS (3600 * 1000ll)
#define COUNT_EVERY_NS  (10 * 1000000000ull)

struct finder {
    struct admin *admin;
    admin_take_condition *take;
    int64_t wall_ms;
};

/* ---- what WHY finds ---- */

static void take_finding(const struct finder *finder, enum cluster_alert_kind kind,
                         const struct cluster_finding *finding)
{
    const struct control_catalogue *catalogue = control_catalogue(finder->admin->control);
    const struct control_keyspace *keyspace = catalogue_find_keyspace(catalogue, finding->group);
    const struct node_member *peer = node_member(finder->admin->node, finding->peer);
    bool is_unreached = finding->rule == CLUSTER_WHY_UNREACHED;
    struct admin_condition condition = {.kind = kind,
                                        .has_group = !admin_is_of_node(finding->rule),
                                        .group = finding->group,
                                        .replica = finding->replica,
                                        .node = is_unreached ? finding->peer : finding->node,
                                        .since_ms = finding->since_ms,
                                        .progress = finding->have};
    struct buffer text;
    buffer_init(&text, sizeof condition.text - 1);
    cluster_why_tell(finding,
                     keyspace                                       ? keyspace->name
                     : group_id_equal(finding->group, GROUP_SYSTEM) ? "system"
                                                                    : "default",
                     peer ? peer->client_address : "", &text);
    snprintf(condition.text, sizeof condition.text, "%.*s", (int)text.size, (const char *)text.at);
    buffer_deinit(&text);
    finder->take(finder->admin, &condition);
}

/* Of the voters that this node reaches the first one tells. False: that is another, or this node
 * has no vote. */
static bool tells_unled(const struct admin *admin, const struct cluster_group *group,
                        uint64_t *reached)
{
    struct node_id self = node_formation(admin->node)->self;
    bool votes = false, first = true;
    *reached = 0;
    for (size_t i = 0; i < group->vote_count; i++) {
        const struct cluster_vote *vote = &group->votes[i];
        if (!(vote->votes || vote->voted) || !admin_reaches(admin, vote->node))
            continue;
        ++*reached;
        votes |= node_id_equal(vote->node, self);
        first &= vote->node.value >= self.value;
    }
    return votes && first;
}

/* That is what a replica finds without a leader: whether there is one elsewhere it cannot know. */
static void take_unled(const struct finder *finder, const struct cluster_finding *unled)
{
    struct cluster_finding finding = *unled;
    struct cluster_group group;
    control_see_group(finder->admin->control, unled->group, &group);
    if (!tells_unled(finder->admin, &group, &finding.have))
        return;
    finding.rule = CLUSTER_WHY_NO_LEADER;
    finding.replica.value = finding.node.value = finding.peer.value = 0;
    finding.need =
        group.joint && group.old_election > group.election ? group.old_election : group.election;
    take_finding(finder, CLUSTER_ALERT_NO_LEADER, &finding);
}

/* A replica whose whole node is down is not told of beside that node. */
static bool is_said_better(const struct finder *finder, const struct cluster_finding *finding)
{
    return finding->rule == CLUSTER_WHY_DOWN && !admin_reaches(finder->admin, finding->node);
}

static void take_findings(const struct finder *finder)
{
    struct admin_findings findings = {0};
    struct admin_scope all = {ADMIN_SCOPE_ALL, 0};
    enum cluster_alert_kind kind;
    admin_find(finder->admin, &all, &findings);
    for (size_t i = 0; i < findings.count; i++) {
        const struct cluster_finding *finding = &findings.list[i];
        if (finding->rule == CLUSTER_WHY_UNLED)
            take_unled(finder, finding);
        else if (cluster_alert_of(finding, &kind) && !is_said_better(finder, finding))
            take_finding(finder, kind, finding);
    }
    memory_free(findings.list);
}

/* ---- of the cluster, on the leader of `system` ---- */

static void take_text(const struct finder *finder, enum cluster_alert_kind kind,
                      struct node_id node, int64_t since_ms, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static void take_text(const struct finder *finder, enum cluster_alert_kind kind,
                      struct node_id node, int64_t since_ms, const char *format, ...)
{
    struct admin_condition condition = {.kind = kind, .node = node, .since_ms = since_ms};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(condition.text, sizeof condition.text, format, arguments);
    va_end(arguments);
    finder->take(finder->admin, &condition);
}

static void since_text(int64_t since_ms, char out[CLUSTER_TIME_SIZE])
{
    if (since_ms > 0)
        cluster_time_text(since_ms, out);
    else
        snprintf(out, CLUSTER_TIME_SIZE, "?"); /* ADMIN-2 */
}

static void take_duty(const struct finder *finder, const struct control_node *node)
{
    const struct control_catalogue *catalogue = control_catalogue(finder->admin->control);
    unsigned long long id = node->member.id.value;
    int64_t since_ms = node->since_us / 1000;
    size_t replicas = control_replicas_on(catalogue, node->member.id);
    char since[CLUSTER_TIME_SIZE];
    since_text(since_ms, since);
    if (node->duty == CONTROL_DUTY_AWAY)
        take_text(finder, CLUSTER_ALERT_NODE_AWAY, node->member.id, since_ms,
                  "node %llu at %s was down for too long and is given up since %s until it is "
                  "back; %zu replicas have yet to leave it",
                  id, node->member.client_address, since, replicas);
    else if (node->duty == CONTROL_DUTY_DRAINS && since_ms &&
             finder->wall_ms >= since_ms + DRAINED_LONG_MS)
        take_text(finder, CLUSTER_ALERT_NODE_DRAINED, node->member.id, since_ms,
                  "node %llu at %s is drained since %s; %zu replicas have yet to leave it", id,
                  node->member.client_address, since, replicas);
}

/* Who is drained, given up or removed and has nothing left may be stopped. */
static void take_sight(const struct finder *finder, const struct control_node *node)
{
    struct admin *admin = finder->admin;
    struct node_id self = node_formation(admin->node)->self, id = node->member.id;
    struct node_sight sight = {0};
    struct cluster_finding finding = {.rule = CLUSTER_WHY_UNREACHED, .node = self, .peer = id};
    char since[CLUSTER_TIME_SIZE];
    bool is_expected = node->duty == CONTROL_DUTY_SERVES ||
                       control_replicas_on(control_catalogue(admin->control), id) > 0;
    if (node_id_equal(id, self) || !is_expected)
        return;
    if (!admin_reaches(admin, id)) {
        finding.since_ms = admin_unreached_since_ms(admin, id);
        take_finding(finder, CLUSTER_ALERT_NODE_DOWN, &finding);
    } else if (node_look(admin->node, id, &sight) && sight.suspected_since_ms) {
        since_text(sight.suspected_since_ms, since);
        take_text(
            finder, CLUSTER_ALERT_NODE_SUSPECTED, id, sight.suspected_since_ms,
            "node %llu at %s is suspected by node %llu since %s: it is silent for longer than "
            "usual, and its link stands",
            (unsigned long long)id.value, node->member.client_address,
            (unsigned long long)self.value, since);
    }
}

/* They are counted anew when `system` has changed, and not too often: all records are read. */
static void take_losses(const struct finder *finder, const struct replica *system)
{
    struct admin *admin = finder->admin;
    uint64_t now_ns = node_turn(admin->node)->now_ns;
    uint64_t commit = raft_view(replica_raft(system))->commit;
    if (commit != admin->losses_commit && now_ns >= admin->next_count_ns) {
        admin->losses_open = control_losses_open(admin->control);
        admin->losses_commit = commit;
        admin->next_count_ns = now_ns + COUNT_EVERY_NS;
    }
    if (admin->losses_open)
        take_text(finder, CLUSTER_ALERT_LOSS, (struct node_id){0}, 0,
                  "%zu record%s of lost writes wait%s to be settled", admin->losses_open,
                  admin->losses_open == 1 ? "" : "s", admin->losses_open == 1 ? "s" : "");
}

static void take_of_cluster(const struct finder *finder)
{
    struct admin *admin = finder->admin;
    const struct control_catalogue *catalogue = control_catalogue(admin->control);
    const struct replica *system = node_group(admin->node, GROUP_SYSTEM);
    if (!system || !replica_is_serving(system))
        return;
    for (size_t i = 0; i < catalogue->node_count; i++) {
        if (catalogue->members[i].duty == CONTROL_DUTY_REMOVED)
            continue;
        take_duty(finder, &catalogue->members[i]);
        take_sight(finder, &catalogue->members[i]);
    }
    take_losses(finder, system);
    if (control_may_raise(catalogue))
        take_text(finder, CLUSTER_ALERT_FEATURE_LEVEL, (struct node_id){0}, 0,
                  "the cluster is at feature level %u, and all of its nodes can read level %u",
                  catalogue->level, CONTROL_FEATURE_LEVEL);
}

void admin_find_conditions(struct admin *admin, admin_take_condition *take)
{
    struct finder finder = {
        .admin = admin, .take = take, .wall_ms = node_turn(admin->node)->wall_us / 1000};
    take_findings(&finder);
    take_of_cluster(&finder);
}
