/* The states of replicas as seen from this node, and since when: each look compares with the last
 * one. */
#include "admin/inside.h"

#include "base/memory.h"

#include <stdio.h>

#define LOOK_EVERY_NS (100 * 1000000ull) /* at as many groups as follow; at more, less often */
#define LOOK_GROUPS   128
#define SEEN_FIRST    16
#define STEADY_MS     1000 /* for so long a state holds before it is an event */

/* A replica in the state in which it was last seen. In a table by group and replica, of which at
 * most half is used. */
struct admin_seen {
    struct group_id group; /* replica 0: a free place */
    struct replica_id replica;
    enum admin_state state, told; /* told: of the last event about it */
    int64_t since_ms;
    int64_t marks_ms[ADMIN_MARKS]; /* since when; 0: it is not so */
};

static enum admin_state own_state(const struct replica *replica)
{
    const struct raft_view *view = raft_view(replica_raft(replica));
    if (replica_bootstrap_percent(replica) >= 0)
        return ADMIN_STATE_BOOTSTRAPPING;
    bool current =
        replica_applied(replica) + ADMIN_LAG_ENTRIES_MAX >= replica_known_commit(replica);
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
    if (progress.snapshot_index)
        return ADMIN_STATE_BOOTSTRAPPING;
    return progress.persisted + ADMIN_LAG_ENTRIES_MAX < view->commit ? ADMIN_STATE_LAGGING
                                                                     : ADMIN_STATE_READY;
}

const char *admin_state_name(enum admin_state state)
{
    static const char *const names[] = {"unknown", "bootstrapping", "catching_up",
                                        "ready",   "lagging",       "down"};
    return names[state];
}

const char *admin_own_state(const struct replica *replica)
{
    return admin_state_name(own_state(replica));
}

const char *admin_state_because(const struct replica *replica, enum admin_state state, bool self)
{
    bool led = raft_view(replica_raft(replica))->leader.value != 0;
    switch (state) {
    case ADMIN_STATE_BOOTSTRAPPING: return "it loads a snapshot";
    case ADMIN_STATE_CATCHING_UP: return led ? "it applies its log" : "it waits for a leader";
    case ADMIN_STATE_READY: return self ? "it has applied its log" : "its log is current";
    case ADMIN_STATE_LAGGING: return "its log is behind the leader's";
    case ADMIN_STATE_DOWN: return "it does not answer the leader's heartbeats";
    default: return "";
    }
}

/* Where it is, or would be. */
static struct admin_seen *place_of(struct admin_seen *table, size_t capacity, struct group_id group,
                                   struct replica_id replica)
{
    uint64_t hash = (group.value * 31 + replica.value) * 0x9E3779B97F4A7C15u >> 32;
    size_t i = hash & (capacity - 1);
    while (table[i].replica.value &&
           !(group_id_equal(table[i].group, group) && replica_id_equal(table[i].replica, replica)))
        i = (i + 1) & (capacity - 1);
    return &table[i];
}

/* What was seen of groups that are not here any more is forgotten on the way. */
static void grow(struct admin *admin, struct node *node)
{
    struct admin_seen *old = admin->seen;
    size_t count = 0, old_capacity = admin->seen_capacity, capacity = SEEN_FIRST;
    for (size_t i = 0; i < old_capacity; i++)
        count += old[i].replica.value && node_group(node, old[i].group);
    while (capacity < 4 * (count + 1))
        capacity *= 2;
    admin->seen = memory_zeroed(capacity, sizeof *admin->seen);
    admin->seen_capacity = capacity;
    admin->seen_count = count;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].replica.value && node_group(node, old[i].group))
            *place_of(admin->seen, capacity, old[i].group, old[i].replica) = old[i];
    memory_free(old);
}

int64_t admin_state_since_ms(const struct admin *admin, struct group_id group,
                             struct replica_id replica, enum admin_state state)
{
    if (!admin->seen_capacity)
        return 0;
    const struct admin_seen *seen = place_of(admin->seen, admin->seen_capacity, group, replica);
    return seen->replica.value && seen->state == state ? seen->since_ms : 0;
}

/* Of another node's replica only its leader knows, and what that one says goes before: who did not
 * lead when the state began has nothing to tell. */
static void tell(struct admin *admin, struct node *node, const struct replica *replica,
                 const struct raft_member *member, struct admin_seen *seen)
{
    bool self = node_id_equal(member->node, node_formation(node)->self);
    bool leads = raft_view(replica_raft(replica))->role == RAFT_LEADER;
    char name[80], text[CONTROL_LINE_SIZE];
    if (seen->state == ADMIN_STATE_UNKNOWN || seen->told == ADMIN_STATE_UNKNOWN ||
        (self && leads)) {
        seen->told = seen->state;
        return;
    }
    snprintf(name, sizeof name, "state-%llu-%llu-%llx-%llx", (unsigned long long)seen->group.value,
             (unsigned long long)seen->replica.value,
             (unsigned long long)node_formation(node)->self.value,
             (unsigned long long)seen->since_ms);
    snprintf(text, sizeof text, "%s -> %s: %s", admin_state_name(seen->told),
             admin_state_name(seen->state), admin_state_because(replica, seen->state, self));
    struct control_event event = {.name = name,
                                  .kind = "state",
                                  .node = member->node,
                                  .group = seen->group,
                                  .has_group = true,
                                  .replica = seen->replica,
                                  .at_ms = seen->since_ms,
                                  .text = text};
    if (control_tell_event(admin->control, &event))
        seen->told = seen->state;
}

int64_t admin_mark_since_ms(const struct admin *admin, struct group_id group,
                            struct replica_id replica, enum admin_mark mark)
{
    if (!admin->seen_capacity)
        return 0;
    const struct admin_seen *seen = place_of(admin->seen, admin->seen_capacity, group, replica);
    return seen->replica.value ? seen->marks_ms[mark] : 0;
}

/* ---- looking ---- */

static const struct cluster_contract *contract_of(const struct admin *admin, struct group_id group)
{
    const struct control_catalogue *catalogue = control_catalogue(admin->control);
    const struct control_partition *partition = catalogue_find_group(catalogue, group);
    const struct control_keyspace *keyspace =
        partition && partition->keyspace > KEYSPACE_DEFAULT
            ? catalogue_find_id(catalogue, partition->keyspace)
            : NULL;
    return keyspace ? &keyspace->contract : &cluster_contract_default;
}

/* As the server asks before a write (SHORT). */
unsigned admin_copies_needed(const struct admin *admin, const struct replica *replica)
{
    const struct cluster_contract *contract = contract_of(admin, replica_group(replica));
    unsigned commit = raft_configuration(replica_raft(replica))->commit_quorum;
    unsigned copies = contract->ack == CLUSTER_ACK_ALL        ? replica_voters_in_sync(replica)
                      : contract->ack == CLUSTER_ACK_SEMISYNC ? cluster_ack_copies(contract)
                                                              : 0;
    return copies > commit ? copies : commit;
}

bool admin_degrades(const struct admin *admin, struct group_id group)
{
    return contract_of(admin, group)->short_of == CLUSTER_SHORT_DEGRADE;
}

static bool is_marked(const struct admin *admin, const struct replica *replica,
                      const struct raft_member *member, bool self, uint64_t now_ns,
                      enum admin_mark mark)
{
    switch (mark) {
    case ADMIN_MARK_OUT_OF_SYNC: return member->out_of_sync;
    case ADMIN_MARK_LEARNER: return member->kind == RAFT_LEARNER;
    case ADMIN_MARK_UNLED: return self && !raft_view(replica_raft(replica))->leader.value;
    case ADMIN_MARK_SHORT:
        return self && replica_is_serving(replica) &&
               replica_voters_heard(replica, now_ns) < admin_copies_needed(admin, replica);
    case ADMIN_MARKS: break;
    }
    return false;
}

static void look(struct admin *admin, struct node *node, const struct replica *replica,
                 const struct raft_member *member, enum admin_state state)
{
    bool self = node_id_equal(member->node, node_formation(node)->self);
    uint64_t now_ns = node_turn(node)->now_ns;
    int64_t wall_ms = node_turn(node)->wall_us / 1000;
    struct group_id group = replica_group(replica);
    if (2 * admin->seen_count >= admin->seen_capacity)
        grow(admin, node);
    struct admin_seen *seen = place_of(admin->seen, admin->seen_capacity, group, member->replica);
    if (!seen->replica.value) {
        *seen = (struct admin_seen){.group = group,
                                    .replica = member->replica,
                                    .state = state,
                                    .told = ADMIN_STATE_UNKNOWN, /* until it has lasted */
                                    .since_ms = wall_ms};
        admin->seen_count++;
    }
    for (enum admin_mark mark = 0; mark < ADMIN_MARKS; mark++) {
        bool is = is_marked(admin, replica, member, self, now_ns, mark);
        seen->marks_ms[mark] = !is ? 0 : seen->marks_ms[mark] ? seen->marks_ms[mark] : wall_ms;
    }
    if (seen->state != state) {
        seen->state = state;
        seen->since_ms = wall_ms;
    } else if (seen->told != state && wall_ms >= seen->since_ms + STEADY_MS) {
        tell(admin, node, replica, member, seen);
    }
}

void admin_tick(struct admin *admin, struct node *node)
{
    const struct replica_turn *turn = node_turn(node);
    if (!node_is_started(node) || turn->now_ns < admin->next_look_ns)
        return;
    admin->next_look_ns = turn->now_ns + LOOK_EVERY_NS * (1 + node_group_count(node) / LOOK_GROUPS);
    admin_look_at_nodes(admin, node);
    for (size_t i = 0; i < node_group_count(node); i++) {
        const struct replica *replica = node_group_at(node, i);
        const struct raft_configuration *members = raft_configuration(replica_raft(replica));
        for (size_t k = 0; k < members->member_count; k++) {
            const struct raft_member *member = &members->members[k];
            bool self = node_id_equal(member->node, node_formation(node)->self);
            look(admin, node, replica, member, admin_state_of(replica, member, self, turn->now_ns));
        }
    }
}

void admin_deinit(struct admin *admin)
{
    memory_free(admin->seen);
    admin->seen = NULL;
    admin->seen_count = admin->seen_capacity = 0;
    memory_free(admin->sights);
    admin->sights = NULL;
    admin->sight_count = 0;
    admin_forget_alerts(admin);
    admin_forget_shares(admin);
}
