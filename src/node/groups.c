/* Which groups live here, and finding them by their ids; at formation the system group and the
 * default keyspace, by one rule on every node. */
#include "node/inside.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <assert.h>

#define CACHE_SIZE_ALL   (16u << 20)
#define CACHE_SIZE_LEAST (64u << 10)

/* Replica ids of the first members are 1, 2, 3 in the order of node ids: the same on every node
 * without a message. */
static void first_voters(const struct node_formation *formation, size_t voters,
                         struct raft_configuration *out)
{
    memset(out, 0, sizeof *out);
    uint32_t majority = (uint32_t)(voters / 2 + 1);
    out->commit_quorum = out->election_quorum = majority; /* R2: quorum, available, all */
    out->member_count = voters;
    for (size_t i = 0; i < voters; i++)
        out->members[i] = (struct raft_member){
            .replica = {i + 1}, .node = formation->members[i].id, .kind = RAFT_VOTER};
}

/* A group and its log belong to one worker, by one rule on every node (peer_of). */
bool node_owns(const struct node *node, struct group_id group)
{
    return group.value % node->options.workers == node->options.worker;
}

struct replica_id groups_self_in(const struct node *node,
                                 const struct raft_configuration *configuration)
{
    return raft_replica_on(configuration, node->formation.self);
}

static uint64_t seed_of(const struct node *node, struct group_id group)
{
    uint64_t parts[3] = {node->formation.cluster.high, node->formation.cluster.low, group.value};
    return checksum(parts, sizeof parts);
}

/* ---- the set of groups ---- */

/* The top bits of this product: ids that follow each other get places of their own. */
static struct group **bucket_of(const struct node *node, struct group_id id)
{
    unsigned bits = (unsigned)__builtin_ctzll(node->group_capacity);
    return &node->buckets[id.value * 0x9E3779B97F4A7C15u >> (64 - bits)];
}

static void grow(struct node *node)
{
    size_t capacity = node->group_capacity ? 2 * node->group_capacity : 8;
    node->groups = memory_resize(node->groups, capacity * sizeof(struct group *));
    node->due = memory_resize(node->due, capacity * sizeof(struct group *));
    memory_free(node->buckets);
    node->buckets = memory_zeroed(capacity, sizeof(struct group *));
    node->group_capacity = capacity;
    for (size_t i = 0; i < node->group_count; i++) {
        struct group **bucket = bucket_of(node, node->groups[i]->id);
        node->groups[i]->next = *bucket;
        *bucket = node->groups[i];
    }
}

/* Entries are kept in memory for peers that lag a little; a thousand groups keep not much more than
 * ten. */
static void share_cache(struct node *node)
{
    size_t share = CACHE_SIZE_ALL / (node->group_count + 1);
    node->cache_share = share > CACHE_SIZE_LEAST ? share : CACHE_SIZE_LEAST;
}

static struct group *add(struct node *node, struct group_id id)
{
    assert(node->group_count < NODE_GROUPS_MAX);
    if (node->group_count == node->group_capacity)
        grow(node);
    struct group *group = memory_zeroed(1, sizeof *group);
    struct group **bucket = bucket_of(node, id);
    group->id = id;
    group->next = *bucket;
    *bucket = group;
    node->groups[node->group_count++] = group;
    awake_add(node, group);
    share_cache(node);
    return group;
}

struct group *group_find(const struct node *node, struct group_id id)
{
    struct group *group = node->group_count ? *bucket_of(node, id) : NULL;
    while (group && !group_id_equal(group->id, id))
        group = group->next;
    return group;
}

/* ---- what other threads see ---- */

static struct replica_shown *find_place(struct node *node)
{
    struct replica_sight sight;
    while (node->options.shown && node->shown_next < NODE_GROUPS_MAX) {
        struct replica_shown *place = &node->options.shown[node->shown_next++];
        if (!replica_look(place, &sight))
            return place;
    }
    return NULL;
}

static void leave_place(struct node *node, struct group *group)
{
    if (!group->shown)
        return;
    replica_hide(group->shown);
    size_t place = (size_t)(group->shown - node->options.shown);
    if (place < node->shown_next)
        node->shown_next = place;
}

void group_remove(struct node *node, struct group *group)
{
    struct group **at = bucket_of(node, group->id);
    size_t i = 0;
    while (*at != group)
        at = &(*at)->next;
    *at = group->next;
    awake_remove(node, group);
    while (node->groups[i] != group)
        i++;
    node->group_count--;
    memmove(node->groups + i, node->groups + i + 1,
            (node->group_count - i) * sizeof node->groups[0]);
    replica_retire(group->replica, &node->turn);
    leave_place(node, group);
    memory_free(group);
    share_cache(node);
    node->turn.moved++; /* who waits for a reply of it hears of its end */
}

void groups_deinit(struct node *node)
{
    for (size_t i = 0; i < node->group_count; i++) {
        replica_destroy(node->groups[i]->replica);
        leave_place(node, node->groups[i]);
        memory_free(node->groups[i]);
    }
    memory_free(node->groups);
    memory_free(node->buckets);
    memory_free(node->due);
}

/* ---- births ---- */

struct replica *node_create_replica(struct node *node, const struct node_partition *partition)
{
    const struct node_timing *timing = &node->options.timing;
    struct replica_options options = {
        .group = partition->group,
        .self = groups_self_in(node, &partition->initial),
        .node = node->formation.self,
        .sync = partition->sync,
        .hash_seed = seed_of(node, partition->group),
        .initial = &partition->initial,
        .election_timeout_min_ns = timing->election_min_ns,
        .election_timeout_max_ns = timing->election_max_ns,
        .lease_max_ns = node_timing_default.election_min_ns,
        .drift_ppm = timing->drift_ppm,
        .max_skew_us = timing->max_skew_us,
        .random_seed = io_random(node->io),
        .lease_reads = node->options.lease_reads,
        .cache_size_max = node->options.cache_size_max,
        .cache_share = &node->cache_share,
    };
    struct group *group = add(node, partition->group);
    options.awake = &group->awake;
    options.shown = group->shown = find_place(node);
    group->replica = replica_create(&options);
    if (node->snapshots.files && !node->started) /* recovering */
        replica_recover_snapshot(group->replica, node->snapshots.files);
    return group->replica;
}

static void create_group(struct node *node, struct group_id group, size_t voters)
{
    struct node_partition partition = {.group = group, .sync = WAL_SYNC_ALWAYS};
    first_voters(&node->formation, voters, &partition.initial);
    if (node_owns(node, group) && groups_self_in(node, &partition.initial).value)
        (void)node_create_replica(node, &partition);
}

size_t groups_founders(const struct node_formation *formation)
{
    return formation->founder_count ? formation->founder_count : formation->member_count;
}

size_t node_first_replicas(const struct node_formation *formation)
{
    return identity_default_voters(groups_founders(formation));
}

/* Those who joined later have no part in it: what they carry is noted in placed.c. */
void node_create_groups(struct node *node)
{
    size_t members = groups_founders(&node->formation);
    if (node->formation.anew) /* NODE-10 */
        return;
    create_group(node, GROUP_SYSTEM, identity_system_voters(members));
    create_group(node, GROUP_DEFAULT, identity_default_voters(members));
}

struct replica *node_group(struct node *node, struct group_id id)
{
    struct group *group = group_find(node, id);
    return group ? group->replica : NULL;
}

size_t node_group_count(const struct node *node)
{
    return node->group_count;
}

struct replica *node_group_at(struct node *node, size_t i)
{
    return node->groups[i]->replica;
}

/* ---- who leads ---- */

static struct node_id *hint_of(struct node *node, struct group_id group)
{
    if (group.value <= GROUP_DEFAULT.value)
        return &node->hints[group.value];
    struct placed *placed = placed_find(node, group);
    return placed ? &placed->hint : NULL;
}

void node_hint_leader(struct node *node, struct group_id group, struct node_id leader)
{
    struct node_id *hint = hint_of(node, group);
    if (hint)
        *hint = leader;
}

static bool is_reachable(const struct node *node, struct node_id id, struct group_id group)
{
    return id.value && !sight_is_suspected(node, id) &&
           peer_is_up(node->peers, peer_of(node->peers, id, group), WIRE_LINK_DATA);
}

/* Where the catalogue says that it is, or will be; another worker of this node is the nearest. */
static struct node_id any_of_placed(const struct node *node, const struct placed *placed)
{
    const struct node_partition *partition = &placed->partition;
    struct node_id found = {0};
    for (size_t i = 0; i < partition->node_count; i++) {
        struct node_id id = partition->nodes[i];
        bool nearest = node_id_equal(id, node->formation.self);
        if ((nearest || !found.value) && is_reachable(node, id, partition->group))
            found = id;
    }
    for (size_t i = 0; !found.value && i < partition->initial.member_count; i++)
        if (is_reachable(node, partition->initial.members[i].node, partition->group))
            found = partition->initial.members[i].node;
    return found;
}

/* Where `system` and `default` began. */
static struct node_id any_founder(const struct node *node, struct group_id group)
{
    size_t count = groups_founders(&node->formation);
    size_t voters = group.value == GROUP_SYSTEM.value ? identity_system_voters(count)
                                                      : identity_default_voters(count);
    struct node_id found = {0};
    for (size_t i = 0; i < voters; i++) {
        struct node_id id = node->formation.members[i].id;
        bool nearest = node_id_equal(id, node->formation.self);
        if ((nearest || !found.value) && is_reachable(node, id, group))
            found = id;
    }
    return found;
}

/* Any member knows the leader or refuses with a hint. Before this node has seen the catalogue, it
 * is known of `system` and `default` where they began, and by then they may be elsewhere: whoever
 * is up may know more. */
static struct node_id any_member(const struct node *node, struct group_id group)
{
    const struct placed *placed = placed_find(node, group);
    struct node_id id = placed ? any_of_placed(node, placed) : (struct node_id){0};
    if (id.value || group.value > GROUP_DEFAULT.value)
        return id;
    id = any_founder(node, group);
    for (size_t i = 0; !id.value && i < node->formation.member_count; i++)
        if (is_reachable(node, node->formation.members[i].id, group))
            id = node->formation.members[i].id;
    return id;
}

/* Who votes hears of each leader. Who has just come, or is on its way out, may never do so. */
static bool would_know(const struct replica *replica)
{
    const struct raft_member *self =
        raft_find_member(raft_configuration(replica_raft(replica)), replica_self(replica));
    return replica_leader_node(replica).value || (self && self->kind == RAFT_VOTER);
}

struct node_id node_known_leader_of(struct node *node, struct group_id group)
{
    struct replica *replica = node_group(node, group);
    if (!node->started)
        return (struct node_id){0};
    if (replica && would_know(replica))
        return replica_leader_node(replica);
    const struct node_id *hint = hint_of(node, group);
    return hint && is_reachable(node, *hint, group) ? *hint : (struct node_id){0};
}

struct node_id node_leader_of(struct node *node, struct group_id group)
{
    struct node_id known = node_known_leader_of(node, group);
    const struct replica *replica = node_group(node, group);
    if (known.value || !node->started || (replica && would_know(replica)))
        return known;
    return any_member(node, group);
}

struct node_id node_leader_to_tell(struct node *node, struct group_id group)
{
    const struct replica *replica = node_group(node, group);
    if (!node->started)
        return (struct node_id){0};
    return replica && would_know(replica) ? replica_leader_node(replica) : any_member(node, group);
}

struct peer_id node_leader_elsewhere(struct node *node, struct group_id group)
{
    struct node_id leader = node_leader_of(node, group);
    if (!leader.value || (node_id_equal(leader, node->formation.self) && node_owns(node, group)))
        return (struct peer_id){0};
    if (sight_is_suspected(node, leader))
        return (struct peer_id){0}; /* what waits here has had no effect; what is sent may have */
    return peer_of(node->peers, leader, group);
}
