/* STATUS: this node's view as JSON (DESIGN section 9, and `node`, `host`, `commit`, `waits_for` for
 * `holdfast status`). What it cannot know is null (ADMIN-2): only a leader knows its followers, and
 * not what they applied. */
#include "admin/inside.h"

/* ADMIN-2: each node knows its own disk only. */
static const char *disk_of(struct server_call *call, const struct admin_view *view,
                           struct node_id id)
{
    if (!node_id_equal(id, node_formation(call->node)->self))
        return "null";
    return view->disk_is_full ? "\"full\"" : view->disk_is_stalled ? "\"stalled\"" : "\"ok\"";
}

static void add_number(struct buffer *out, const char *name, bool known, uint64_t value)
{
    if (known)
        buffer_print(out, ",\"%s\":%llu", name, (unsigned long long)value);
    else
        buffer_print(out, ",\"%s\":null", name);
}

static void add_milliseconds(struct buffer *out, const char *name, uint64_t ns)
{
    if (ns)
        buffer_print(out, ",\"%s\":%.2f", name, (double)ns / 1e6);
    else
        buffer_print(out, ",\"%s\":null", name);
}

/* As this worker hears it: nobody hears itself. */
static void add_sight(struct server_call *call, struct node_id id, struct buffer *out)
{
    struct node_sight sight = {0};
    bool known = node_look(call->node, id, &sight);
    if (known)
        buffer_print(out, ",\"phi\":%u.%u", sight.phi / 1000, sight.phi / 100 % 10);
    else
        buffer_print(out, ",\"phi\":null");
    add_number(out, "suspected_since_ms", sight.suspected_since_ms > 0,
               (uint64_t)sight.suspected_since_ms);
    add_number(out, "reported_failures", known, sight.reported);
    add_milliseconds(out, "round_trip_ms", sight.round_trip_ns);
}

static void add_nodes(struct server_call *call, const struct admin_view *view, struct buffer *out)
{
    const struct admin *admin = call->owner;
    const struct control_catalogue *catalogue = control_catalogue(admin->control);
    const struct node_formation *formation = node_formation(call->node);
    bool first = true;
    for (size_t i = 0; formation && i < formation->member_count; i++) {
        const struct node_member *member = &formation->members[i];
        const struct control_node *node = control_member(catalogue, member->id);
        if (node && node->duty == CONTROL_DUTY_REMOVED)
            continue;
        buffer_print(out, "%s{\"id\":%llu,\"addr\":", first ? "" : ",",
                     (unsigned long long)member->id.value);
        first = false;
        admin_add_text(out, member->client_address);
        buffer_print(out, ",\"site\":");
        admin_add_text(out, member->site);
        buffer_print(out, ",\"zone\":");
        admin_add_text(out, member->zone);
        buffer_print(out, ",\"host\":");
        admin_add_text(out, member->host);
        buffer_print(out, ",\"state\":\"%s\",\"duty\":\"%s\",\"disk\":%s",
                     admin_hears(call, member->id) ? "up" : "down",
                     node ? control_duty_word(catalogue, node) : "serves",
                     disk_of(call, view, member->id));
        add_sight(call, member->id, out);
        buffer_print(out, "}");
    }
}

/* A learner is on its way to be something else; a reader stays one. */
static const char *member_role(struct server_call *call, const struct replica *replica,
                               const struct raft_member *member)
{
    const struct admin *admin = call->owner;
    const struct control_partition *partition =
        catalogue_find_group(control_catalogue(admin->control), replica_group(replica));
    if (replica_id_equal(raft_view(replica_raft(replica))->leader, member->replica))
        return "leader";
    if (member->kind == RAFT_VOTER)
        return "follower";
    return partition_reads(partition, member->replica) ? "reader" : "learner";
}

/* Lag is how far a follower's durable log is behind the leader's commit; its time is known only
 * when it is none, or silent. */
static void add_lag(struct buffer *out, const struct raft *raft, const struct raft_member *member,
                    bool self, uint64_t now_ns)
{
    const struct raft_view *view = raft_view(raft);
    struct raft_progress progress = {0};
    bool leads = view->role == RAFT_LEADER;
    bool known =
        leads &&
        (self || (!raft_progress(raft, member->replica, &progress) && progress.last_contact_ns));
    uint64_t lag =
        !self && view->commit > progress.persisted ? view->commit - progress.persisted : 0;
    uint64_t silent_ms = !self && known && now_ns > progress.last_contact_ns
                             ? (now_ns - progress.last_contact_ns) / 1000000
                             : 0;
    bool down = silent_ms > ADMIN_SILENT_MS_MAX;
    add_number(out, "lag_entries", known, lag);
    add_number(out, "lag_ms", known && (down || !lag), down ? silent_ms : 0);
}

/* Only of one's own replica, and while it is not current. */
static void add_progress(struct buffer *out, const struct replica *replica, uint64_t now_ns)
{
    struct replica_progress progress;
    if (!replica || !replica_progress(replica, now_ns, &progress))
        return;
    add_number(out, "percent", true, progress.percent);
    add_number(out, "bytes_per_second", progress.has_rate, progress.bytes_per_second);
    add_number(out, "eta_ms", progress.has_eta, progress.eta_ms);
}

static void add_replica(struct server_call *call, struct buffer *out, struct replica *replica,
                        const struct raft_member *member)
{
    const struct raft *raft = replica_raft(replica);
    uint64_t now_ns = node_turn(call->node)->now_ns;
    bool self = node_id_equal(member->node, node_formation(call->node)->self);
    enum admin_state state = admin_state_of(replica, member, self, now_ns);
    int64_t since_ms =
        admin_state_since_ms(call->owner, replica_group(replica), member->replica, state);
    buffer_print(out, "{\"id\":%llu,\"node\":%llu,\"role\":\"%s\"",
                 (unsigned long long)member->replica.value, (unsigned long long)member->node.value,
                 member_role(call, replica, member));
    if (state == ADMIN_STATE_UNKNOWN)
        buffer_print(out, ",\"state\":null,\"since_ms\":null,\"because\":null");
    else
        buffer_print(out, ",\"state\":\"%s\"", admin_state_name(state));
    if (state != ADMIN_STATE_UNKNOWN) {
        add_number(out, "since_ms", since_ms > 0, (uint64_t)since_ms);
        buffer_print(out, ",\"because\":\"%s\"", admin_state_because(replica, state, self));
    }
    add_progress(out, self ? replica : NULL, now_ns);
    add_number(out, "applied", self, replica_applied(replica));
    add_lag(out, raft, member, self, now_ns);
    buffer_print(out, "}");
}

/* The own replica, on its way through a log in which it is no member yet. */
static void add_newcomer(struct server_call *call, struct buffer *out, struct replica *replica)
{
    struct replica_progress progress;
    struct raft_member self = {.replica = replica_self(replica),
                               .node = node_formation(call->node)->self,
                               .kind = RAFT_LEARNER};
    const struct raft_configuration *configuration = raft_configuration(replica_raft(replica));
    if (raft_find_member(configuration, self.replica) ||
        !replica_progress(replica, node_turn(call->node)->now_ns, &progress))
        return;
    buffer_print(out, "%s", configuration->member_count ? "," : "");
    add_replica(call, out, replica, &self);
}

static void add_partition(struct server_call *call, struct buffer *out, struct replica *replica)
{
    const struct raft *raft = replica_raft(replica);
    const struct raft_configuration *configuration = raft_configuration(raft);
    struct node_id leader = replica_leader_node(replica);
    admin_status_place(call, replica_group(replica), out);
    buffer_print(out, ",\"leader\":");
    if (leader.value)
        buffer_print(out, "%llu", (unsigned long long)leader.value);
    else
        buffer_print(out, "null");
    buffer_print(out, ",\"term\":%llu,\"commit\":%llu,\"replicas\":[",
                 (unsigned long long)raft_view(raft)->term,
                 (unsigned long long)raft_view(raft)->commit);
    for (size_t i = 0; i < configuration->member_count; i++) {
        buffer_print(out, "%s", i ? "," : "");
        add_replica(call, out, replica, &configuration->members[i]);
    }
    add_newcomer(call, out, replica);
    buffer_print(out, "]}");
}

void admin_status_partitions(struct server_call *call, struct buffer *out)
{
    struct admin *admin = call->owner;
    admin->next_look_ns = 0; /* a state that is told is a state that was seen */
    admin_tick(admin, call->node);
    for (size_t i = 0; node_is_started(call->node) && i < node_group_count(call->node); i++) {
        buffer_print(out, "%s", i ? "," : "");
        add_partition(call, out, node_group_at(call->node, i));
    }
}

/* Those that this node tells; holdfast status adds them up. */
static void add_alerts(const struct admin_view *view, struct buffer *out)
{
    buffer_print(out, ",\"alerts\":{");
    for (int i = CLUSTER_SEVERITIES - 1; i >= 0; i--)
        buffer_print(out, "\"%s\":%u%s", cluster_severity_word((enum cluster_severity)i),
                     view->alerts[i], i ? "," : "}");
}

void admin_status(struct server_call *call, const struct admin_view *view, struct buffer *out)
{
    const struct node_formation *formation = node_formation(call->node);
    bool started = node_is_started(call->node);
    const struct admin *admin = call->owner;
    bool first = true;
    if (formation)
        buffer_print(out, "{\"cluster_id\":\"%016llx%016llx\",\"node\":%llu",
                     (unsigned long long)formation->cluster.high,
                     (unsigned long long)formation->cluster.low,
                     (unsigned long long)formation->self.value);
    else
        buffer_print(out, "{\"cluster_id\":null,\"node\":null");
    buffer_print(out, ",\"nodes\":[");
    if (started)
        add_nodes(call, view, out);
    buffer_print(out, "]");
    if (started)
        admin_status_timing(call, out);
    if (started)
        add_alerts(view, out);
    buffer_print(out, ",\"keyspaces\":");
    admin_status_keyspaces(call, out);
    buffer_print(out, ",\"waits_for\":");
    admin_add_text(out, control_waits_for(admin->control));
    buffer_print(out, ",\"partitions\":[");
    for (unsigned i = 0; i < view->count; i++) {
        struct slice text = view->shares[i] ? view->shares[i]->text : slice_of(NULL, 0);
        if (!text.size)
            continue;
        buffer_print(out, "%s", first ? "" : ",");
        (void)!buffer_append(out, text.at, text.size);
        first = false;
    }
    buffer_print(out, "]}");
}
