/* Why no leader answered, where this node knows it: of a group whose replica here hears fewer
 * voters than an election takes, nobody will lead until more are back. */
#include "server/inside.h"

#include <stdio.h>

/* Itself, and who was not silent for longer than usual. */
static bool hears(struct server *server, struct node_id node)
{
    struct node_sight sight;
    return node_id_equal(node, node_formation(server->node)->self) ||
           (node_look(server->node, node, &sight) && !sight.suspected_since_ms);
}

static const char *keyspace_name(struct server *server, struct group_id group)
{
    const struct control_catalogue *catalogue = control_catalogue(server->options.control);
    const struct control_partition *partition = catalogue_find_group(catalogue, group);
    const struct control_keyspace *keyspace =
        partition ? catalogue_find_id(catalogue, partition->keyspace) : NULL;
    if (keyspace)
        return keyspace->name;
    return group_id_equal(group, GROUP_SYSTEM) ? "system" : "default";
}

bool unled_tell(struct server *server, struct group_id group, char why[ROUTE_WHY_SIZE])
{
    struct replica *replica =
        node_is_started(server->node) ? node_group(server->node, group) : NULL;
    const struct raft_configuration *members =
        replica ? raft_configuration(replica_raft(replica)) : NULL;
    unsigned voters = 0, heard = 0;
    if (!members || members->joint || raft_view(replica_raft(replica))->leader.value)
        return false;
    for (size_t i = 0; i < members->member_count; i++) {
        bool votes = members->members[i].kind != RAFT_LEARNER;
        voters += votes;
        heard += votes && hears(server, members->members[i].node);
    }
    if (heard >= members->election_quorum)
        return false; /* an election is under way */
    snprintf(
        why, ROUTE_WHY_SIZE,
        "TRYAGAIN partition %llu of %s has no leader: this node hears %u of its %u voters, and "
        "an election needs %u; the command did not run",
        (unsigned long long)group.value, keyspace_name(server, group), heard, voters,
        members->election_quorum);
    return true;
}
