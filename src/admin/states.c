/* The states of replicas as seen from this node, and since when: each look compares with the last
 * one. */
#include "admin/inside.h"

#include "base/memory.h"

#define LOOK_EVERY_NS (100 * 1000000ull)

/* A replica in the state in which it was last seen. */
struct admin_seen {
    struct group_id group;
    struct replica_id replica;
    enum admin_state state;
    int64_t since_ms;
};

static enum admin_state own_state(const struct replica *replica)
{
    const struct raft_view *view = raft_view(replica_raft(replica));
    bool current = replica_applied(replica) + ADMIN_LAG_ENTRIES_MAX >= view->commit;
    /* Before it has heard of a commit nobody can say how much is missing. */
    return current && view->commit > 0 ? ADMIN_STATE_READY : ADMIN_STATE_CATCHING_UP;
}

enum admin_state admin_state_of(const struct replica *replica, const struct raft_member *member,
                                bool self, uint64_t now_ns)
{
    const struct raft *raft = replica_raft(replica);
    const struct raft_view *view = raft_view(raft);
    struct raft_progress progress;
    if (self)
        return own_state(replica);
    if (view->role != RAFT_LEADER || raft_progress(raft, member->replica, &progress))
        return ADMIN_STATE_UNKNOWN;
    if (!progress.last_contact_ns ||
        now_ns > progress.last_contact_ns + ADMIN_SILENT_MS_MAX * 1000000ull)
        return ADMIN_STATE_DOWN;
    return progress.persisted + ADMIN_LAG_ENTRIES_MAX < view->commit ? ADMIN_STATE_LAGGING
                                                                     : ADMIN_STATE_READY;
}

const char *admin_state_name(enum admin_state state)
{
    static const char *const names[] = {"unknown", "catching_up", "ready", "lagging", "down"};
    return names[state];
}

const char *admin_state_because(const struct replica *replica, enum admin_state state, bool self)
{
    bool led = raft_view(replica_raft(replica))->leader.value != 0;
    switch (state) {
    case ADMIN_STATE_CATCHING_UP: return led ? "it applies its log" : "it waits for a leader";
    case ADMIN_STATE_READY: return self ? "it has applied its log" : "its log is current";
    case ADMIN_STATE_LAGGING: return "its log is behind the leader's";
    case ADMIN_STATE_DOWN: return "it does not answer the leader's heartbeats";
    default: return "";
    }
}

static struct admin_seen *find(const struct admin *admin, struct group_id group,
                               struct replica_id replica)
{
    for (size_t i = 0; i < admin->seen_count; i++)
        if (group_id_equal(admin->seen[i].group, group) &&
            replica_id_equal(admin->seen[i].replica, replica))
            return &admin->seen[i];
    return NULL;
}

int64_t admin_state_since_ms(const struct admin *admin, struct group_id group,
                             struct replica_id replica, enum admin_state state)
{
    const struct admin_seen *seen = find(admin, group, replica);
    return seen && seen->state == state ? seen->since_ms : 0;
}

static void look(struct admin *admin, const struct replica *replica,
                 const struct raft_member *member, enum admin_state state, int64_t wall_ms)
{
    struct admin_seen *seen = find(admin, replica_group(replica), member->replica);
    if (!seen) {
        admin->seen = memory_resize(admin->seen, (admin->seen_count + 1) * sizeof *admin->seen);
        seen = &admin->seen[admin->seen_count++];
        *seen = (struct admin_seen){replica_group(replica), member->replica, state, wall_ms};
    }
    if (seen->state == state)
        return;
    seen->state = state;
    seen->since_ms = wall_ms;
}

void admin_tick(struct admin *admin, struct node *node)
{
    const struct replica_turn *turn = node_turn(node);
    if (!node_is_started(node) || turn->now_ns < admin->next_look_ns)
        return;
    admin->next_look_ns = turn->now_ns + LOOK_EVERY_NS;
    for (size_t i = 0; i < node_group_count(node); i++) {
        const struct replica *replica = node_group_at(node, i);
        const struct raft_configuration *members = raft_configuration(replica_raft(replica));
        for (size_t k = 0; k < members->member_count; k++) {
            const struct raft_member *member = &members->members[k];
            bool self = node_id_equal(member->node, node_formation(node)->self);
            look(admin, replica, member, admin_state_of(replica, member, self, turn->now_ns),
                 turn->wall_us / 1000);
        }
    }
}

void admin_deinit(struct admin *admin)
{
    memory_free(admin->seen);
    admin->seen = NULL;
    admin->seen_count = 0;
}
