/* Who leads the groups that requests are on their way to, and since when this node knows. */
#include "server/inside.h"

#include "base/memory.h"

#define LEADERS_MAX                                                                                \
    4096 /* places, by the id of the group; two groups of one place displace each other */
#define HAND_OVER_NS (100 * 1000000ull)

/* A group seen for the first time has its leader since just now: nothing is hurried. */
static struct leader_seen *seen_of(struct server *server, struct group_id group, uint64_t now_ns)
{
    if (!server->leaders)
        server->leaders = memory_zeroed(LEADERS_MAX, sizeof *server->leaders);
    struct leader_seen *seen = &server->leaders[group.value % LEADERS_MAX];
    if (!seen->since_ns || !group_id_equal(seen->group, group))
        *seen = (struct leader_seen){.group = group, .since_ns = now_ns};
    return seen;
}

static const struct leader_seen *look(struct server *server, struct group_id group, uint64_t now_ns)
{
    struct leader_seen *seen = seen_of(server, group, now_ns);
    if (seen->looked_ns == now_ns)
        return seen;
    seen->looked_ns = now_ns;
    struct node_id leader = node_leader_of(server->node, group);
    if (leader.value && !node_id_equal(leader, seen->leader)) {
        seen->leader = leader;
        seen->since_ns = now_ns;
    }
    return seen;
}

/* The old leader gets a moment to answer by itself (a hand-over). */
bool leader_has_moved(struct server *server, const struct pending *pending, uint64_t now_ns)
{
    const struct leader_seen *seen = look(server, pending->group, now_ns);
    return seen->leader.value && !node_id_equal(seen->leader, pending->target.node) &&
           seen->since_ns > pending->since_ns && now_ns > seen->since_ns + HAND_OVER_NS;
}
