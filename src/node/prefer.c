/* Leadership goes back to where the placement wants it. After a failure the leaders of a node's
 * partitions are elsewhere, and without this they would stay there when it is back: one node would
 * carry the writes of two.
 *
 * It is a hand-over like any other (RAFT-13): clients wait a moment and nothing fails. But a node
 * that comes and goes must not draw leadership to itself each time, so it has to be there for a
 * while, each time for twice as long. Who was asked for by a change of the placement goes first at
 * once. */
#include "node/inside.h"

#define LOOK_EVERY_NS (1000 * 1000000ull)
#define STEADY_NS     (10000 * 1000000ull)
#define DOUBLINGS_MAX 6
#define RETURNS_MAX   8 /* at one look: of hundreds, most go on meanwhile */

static bool is_due(const struct group *group, uint64_t now_ns)
{
    return now_ns >= group->willing_ns + (STEADY_NS << group->returns);
}

/* It is being stopped, or its disk is full. */
static bool is_unfit(const struct node *node, const struct replica *replica, struct replica_id to)
{
    const struct raft_configuration *now = raft_configuration(replica_raft(replica));
    return node_state_of(node, raft_node_of(now, to));
}

/* Who has just been started withholds its vote for a while (RAFT-10), and clients would wait. */
static bool is_steady(const struct node *node, const struct replica *replica, struct replica_id to)
{
    const struct raft_configuration *now = raft_configuration(replica_raft(replica));
    return sight_is_steady(node, raft_node_of(now, to));
}

/* No deadline of its own: a leader has a turn with each heartbeat. */
void prefer_tick(struct node *node)
{
    uint64_t now_ns = node->turn.now_ns;
    unsigned left = RETURNS_MAX;
    if (now_ns < node->next_prefer_ns)
        return;
    node->next_prefer_ns = now_ns + LOOK_EVERY_NS;
    for (struct list *link = node->leading.next; link != &node->leading; link = link->next) {
        struct group *group = list_item(link, struct group, leading);
        struct replica_id to = replica_preferred(group->replica, now_ns);
        if (!to.value || is_unfit(node, group->replica, to)) {
            group->willing_ns = 0;
            continue;
        }
        if (!group->willing_ns)
            group->willing_ns = now_ns;
        bool asked = group->is_asked && is_steady(node, group->replica, to);
        if (!left || !(asked || is_due(group, now_ns)))
            continue;
        left--;
        replica_transfer(group->replica, &node->turn, to);
        group->willing_ns = 0;
        group->returns += !group->is_asked && group->returns < DOUBLINGS_MAX;
        group->is_asked = false;
    }
}

void node_prefer_soon(struct node *node, struct group_id id)
{
    struct group *group = group_find(node, id);
    if (!group || group->is_asked || !replica_preferred(group->replica, node->turn.now_ns).value)
        return;
    group->is_asked = true;
    node->next_prefer_ns = 0;
}
