/* What each node carries: how many replicas, and of which partitions it is the first candidate; for
 * the planner (cluster_plan), as far as the catalogue says. */
#include "control/inside.h"

size_t partition_nodes(const struct control_catalogue *catalogue,
                       const struct control_partition *partition,
                       struct node_id out[RAFT_MEMBERS_MAX])
{
    const struct raft_configuration *wanted = partition_wanted(partition);
    const struct control_keyspace *keyspace = catalogue_find_id(catalogue, partition->keyspace);
    size_t count = wanted->member_count;
    for (size_t i = 0; i < count; i++)
        out[i] = wanted->members[i].node;
    if (count || !keyspace)
        return count;
    while (count < keyspace->contract.replicas && count < catalogue->node_count) {
        out[count] = catalogue->members[count].member.id;
        count++;
    }
    return count;
}

static struct cluster_member *place_of(const struct control_catalogue *catalogue,
                                       struct node_id node)
{
    for (size_t i = 0; i < catalogue->place_count; i++)
        if (node_id_equal(catalogue->nodes[i].id, node))
            return &catalogue->nodes[i];
    return NULL;
}

/* A partition as it was born has no first candidate: whoever was elected leads it. */
void load_count(struct control_catalogue *catalogue)
{
    struct node_id nodes[RAFT_MEMBERS_MAX];
    for (size_t i = 0; i < catalogue->place_count; i++) {
        const struct control_node *node = catalogue_find_node(catalogue, catalogue->nodes[i].id);
        catalogue->nodes[i].weight = node && node->weight ? node->weight : CONTROL_WEIGHT_DEFAULT;
        catalogue->nodes[i].replicas = catalogue->nodes[i].leads = 0;
    }
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        const struct control_partition *partition = &catalogue->partitions[i];
        size_t count = partition->dropped ? 0 : partition_nodes(catalogue, partition, nodes);
        for (size_t k = 0; k < count; k++) {
            struct cluster_member *place = place_of(catalogue, nodes[k]);
            if (!place)
                continue;
            place->replicas++;
            place->leads += k == 0 && partition_wanted(partition)->member_count;
        }
    }
}

static void shift(const struct control_catalogue *catalogue, struct node_id node, bool is_first,
                  int by)
{
    struct cluster_member *place = place_of(catalogue, node);
    if (!place)
        return;
    place->replicas += (unsigned)by;
    if (is_first)
        place->leads += (unsigned)by;
}

void load_move(const struct control_catalogue *catalogue, const struct raft_configuration *was,
               const struct node_id *nodes, size_t count)
{
    for (size_t i = 0; i < was->member_count; i++)
        shift(catalogue, was->members[i].node, was->members[i].priority > 0, -1);
    for (size_t i = 0; i < count; i++)
        shift(catalogue, nodes[i], i == 0, 1);
}
