/* What the loss of nodes would mean, by the catalogue of this node, by the configurations of the
 * groups that it carries, and by whom it sees. */
#include "control/inside.h"

#include "base/memory.h"

#include <stdio.h>

/* ---- nodes ---- */

static enum cluster_sight sight_of(struct control *control, struct node_id node, bool is_sure)
{
    if (node_id_equal(node, node_formation(control->node)->self) ||
        peer_is_up(node_peers(control->node), peer_at(node, 0), WIRE_LINK_CONTROL))
        return CLUSTER_SIGHT_UP;
    return is_sure ? CLUSTER_SIGHT_DOWN : CLUSTER_SIGHT_NONE;
}

struct cluster_seen_node *control_see_nodes(struct control *control, bool is_sure, size_t *count)
{
    const struct control_catalogue *catalogue = &control->catalogue;
    struct cluster_seen_node *nodes = memory_zeroed(catalogue->node_count + 1, sizeof *nodes);
    *count = 0;
    for (size_t i = 0; i < catalogue->node_count; i++) {
        const struct node_member *member = &catalogue->members[i].member;
        struct cluster_member *out = &nodes[*count].member;
        if (catalogue->members[i].duty == CONTROL_DUTY_REMOVED)
            continue;
        out->id = member->id;
        memcpy(out->site, member->site, sizeof out->site);
        memcpy(out->zone, member->zone, sizeof out->zone);
        memcpy(out->host, member->host, sizeof out->host);
        nodes[(*count)++].sight = sight_of(control, member->id, is_sure);
    }
    return nodes;
}

/* ---- groups ---- */

/* Of a node that is there with two replicas, one half each as a rule, there is one vote in each. */
static void add_vote(struct cluster_group *group, struct node_id node, bool votes, bool voted)
{
    size_t i = 0;
    while (i < group->vote_count && !node_id_equal(group->votes[i].node, node))
        i++;
    if (i == CLUSTER_VOTES_MAX)
        return;
    if (i == group->vote_count)
        group->votes[group->vote_count++] = (struct cluster_vote){.node = node};
    group->votes[i].votes |= votes;
    group->votes[i].voted |= voted;
}

static bool is_voter(enum raft_member_kind kind)
{
    return kind == RAFT_VOTER || kind == RAFT_WITNESS;
}

/* R1: what is in the log of the replica here. */
static void take_configuration(const struct replica *replica, struct cluster_group *group)
{
    const struct raft_configuration *now = raft_configuration(replica_raft(replica));
    *group = (struct cluster_group){.joint = now->joint,
                                    .commit = now->commit_quorum,
                                    .election = now->election_quorum,
                                    .old_commit = now->old_commit_quorum,
                                    .old_election = now->old_election_quorum};
    for (size_t i = 0; i < now->member_count; i++)
        add_vote(group, now->members[i].node, is_voter(now->members[i].kind),
                 now->joint && is_voter(now->members[i].old_kind));
}

/* How far a change is stands in the logs of its group alone. */
static void take_before(const struct control_keyspace *keyspace,
                        const struct control_partition *partition, struct cluster_group *group)
{
    const struct cluster_contract *contract =
        keyspace->changing ? &keyspace->before : &keyspace->contract;
    size_t count = wanted_voters(&partition->before);
    bool fits = contract->replicas == count;
    group->joint = group->is_open = true;
    group->old_commit = fits ? cluster_commit_quorum(contract) : (unsigned)count / 2 + 1;
    group->old_election = fits ? cluster_election_quorum(contract) : (unsigned)count / 2 + 1;
    for (size_t i = 0; i < partition->before.member_count; i++)
        add_vote(group, partition->before.members[i].node, false,
                 is_voter(partition->before.members[i].kind));
}

/* Before their first change `system` and `default` are on the first nodes. */
static void take_record(const struct control_catalogue *catalogue,
                        const struct control_keyspace *keyspace,
                        const struct control_partition *partition, struct cluster_group *group)
{
    const struct raft_configuration *wanted = partition_wanted(partition);
    unsigned first = keyspace->contract.replicas;
    *group = (struct cluster_group){.commit = wanted->commit_quorum,
                                    .election = wanted->election_quorum};
    for (size_t i = 0; i < wanted->member_count; i++)
        add_vote(group, wanted->members[i].node, is_voter(wanted->members[i].kind), false);
    if (!wanted->member_count) {
        group->commit = group->election = first / 2 + 1;
        for (size_t i = 0; i < first && i < catalogue->node_count; i++)
            add_vote(group, catalogue->members[i].member.id, true, false);
    }
    if (partition->settled < partition->change && partition->before.member_count)
        take_before(keyspace, partition, group);
}

void control_see_group(struct control *control, struct group_id id, struct cluster_group *out)
{
    const struct replica *replica = node_group(control->node, id);
    const struct control_partition *partition = catalogue_find_group(&control->catalogue, id);
    const struct control_keyspace *keyspace =
        partition ? catalogue_find_id(&control->catalogue, partition->keyspace) : NULL;
    *out = (struct cluster_group){.joint = false};
    if (replica)
        take_configuration(replica, out);
    else if (keyspace)
        take_record(&control->catalogue, keyspace, partition, out);
    out->leader = node_known_leader_of(control->node, id);
}

static void look_at(struct control *control, const struct control_keyspace *keyspace,
                    const struct cluster_seen_node *nodes, size_t count,
                    struct cluster_outlook *outlook)
{
    const struct control_catalogue *catalogue = &control->catalogue;
    struct cluster_group group;
    cluster_outlook_init(outlook, &keyspace->contract,
                         keyspace->changing ? &keyspace->before : NULL, nodes, count);
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        const struct control_partition *partition = &catalogue->partitions[i];
        if (partition->keyspace != keyspace->id || partition->dropped)
            continue;
        control_see_group(control, partition->group, &group);
        if (group.vote_count)
            cluster_outlook_add(outlook, nodes, count, &group);
    }
}

size_t control_look_ahead(struct control *control, const struct cluster_seen_node *nodes,
                          size_t count, struct control_outlook **out)
{
    const struct control_catalogue *catalogue = &control->catalogue;
    size_t found = 0;
    *out = memory_zeroed(catalogue->keyspace_count + 1, sizeof **out);
    for (size_t i = 0; i < catalogue->keyspace_count; i++) {
        if (catalogue->keyspaces[i].dropped)
            continue;
        struct control_outlook *outlook = &(*out)[found++];
        outlook->keyspace = &catalogue->keyspaces[i];
        look_at(control, outlook->keyspace, nodes, count, &outlook->outlook);
    }
    return found;
}

/* ---- before something dangerous ---- */

void control_whatif(struct control *control, const struct node_id *lost, size_t count,
                    char why[CONTROL_LINE_SIZE])
{
    size_t node_count;
    struct cluster_seen_node *nodes = control_see_nodes(control, true, &node_count);
    struct control_outlook *outlooks;
    for (size_t i = 0; i < node_count; i++)
        for (size_t k = 0; k < count; k++)
            nodes[i].lost |= node_id_equal(nodes[i].member.id, lost[k]);
    size_t found = control_look_ahead(control, nodes, node_count, &outlooks);
    why[0] = 0;
    for (size_t i = 0; i < found && !why[0]; i++)
        (void)cluster_outlook_refuses(&outlooks[i].outlook, outlooks[i].keyspace->name, why);
    memory_free(outlooks);
    memory_free(nodes);
}
