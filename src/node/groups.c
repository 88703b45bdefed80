/* Which groups live here: at formation the system group and the default keyspace, by one rule on
 * every node. */
#include "node/inside.h"

#include "base/checksum.h"

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

static struct replica_id self_in(const struct node *node,
                                 const struct raft_configuration *configuration)
{
    for (size_t i = 0; i < configuration->member_count; i++)
        if (node_id_equal(configuration->members[i].node, node->formation.self))
            return configuration->members[i].replica;
    return (struct replica_id){0};
}

static uint64_t seed_of(const struct node *node, struct group_id group)
{
    uint64_t parts[3] = {node->formation.cluster.high, node->formation.cluster.low, group.value};
    return checksum(parts, sizeof parts);
}

static void create_group(struct node *node, struct group_id group, size_t voters)
{
    struct raft_configuration configuration;
    first_voters(&node->formation, voters, &configuration);
    struct replica_id self = self_in(node, &configuration);
    if (!self.value)
        return;
    const struct node_timing *timing = &node->options.timing;
    struct replica_options options = {
        .group = group,
        .self = self,
        .node = node->formation.self,
        .sync = WAL_SYNC_ALWAYS,
        .hash_seed = seed_of(node, group),
        .initial = &configuration,
        .election_timeout_min_ns = timing->election_min_ns,
        .election_timeout_max_ns = timing->election_max_ns,
        .drift_ppm = timing->drift_ppm,
        .max_skew_us = timing->max_skew_us,
        .random_seed = io_random(node->io),
        .lease_reads = node->options.lease_reads,
        .cache_size_max = node->options.cache_size_max,
    };
    node->groups[node->group_count++] = replica_create(&options);
}

void node_create_groups(struct node *node)
{
    size_t members = node->formation.member_count;
    create_group(node, GROUP_SYSTEM, identity_system_voters(members));
    create_group(node, GROUP_DEFAULT, identity_default_voters(members));
}

struct replica *node_group(struct node *node, struct group_id group)
{
    for (size_t i = 0; i < node->group_count; i++)
        if (group_id_equal(replica_group(node->groups[i]), group))
            return node->groups[i];
    return NULL;
}

size_t node_group_count(const struct node *node)
{
    return node->group_count;
}

struct replica *node_group_at(struct node *node, size_t i)
{
    return node->groups[i];
}

void node_hint_leader(struct node *node, struct group_id group, struct node_id leader)
{
    if (group.value < 2)
        node->hints[group.value] = leader;
}

struct node_id node_known_leader_of(struct node *node, struct group_id group)
{
    struct replica *replica = node_group(node, group);
    if (!node->started)
        return (struct node_id){0};
    if (replica)
        return replica_leader_node(replica);
    if (group.value < 2 && node->hints[group.value].value &&
        peer_is_up(node->peers, node->hints[group.value], WIRE_LINK_DATA))
        return node->hints[group.value];
    return (struct node_id){0};
}

struct node_id node_leader_of(struct node *node, struct group_id group)
{
    struct node_id known = node_known_leader_of(node, group);
    if (known.value || !node->started || node_group(node, group))
        return known;
    size_t voters = group.value == 0 ? identity_system_voters(node->formation.member_count)
                                     : identity_default_voters(node->formation.member_count);
    for (size_t i = 0; i < voters; i++) /* any member knows the leader or refuses with a hint */
        if (peer_is_up(node->peers, node->formation.members[i].id, WIRE_LINK_DATA))
            return node->formation.members[i].id;
    return (struct node_id){0};
}
