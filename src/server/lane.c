/* Lanes: what one client has on its way to each of the nodes that lead its partitions. Each lane
 * has its own order (R16); between lanes there is none, as there is none between partitions. */
#include "server/inside.h"

#include "base/memory.h"

static struct lane *find(struct client *client, struct peer_id target)
{
    for (size_t i = 0; i < client->lane_count; i++)
        if (peer_id_equal(client->lanes[i].target, target))
            return &client->lanes[i];
    return NULL;
}

/* The receiver knows then that nothing older is on its way. */
static void begin_epoch(struct client *client, struct lane *lane)
{
    lane->epoch = ++client->epoch;
    lane->next_sequence = 1;
    lane->count = 0;
    lane->groups = 0;
}

static uint64_t bit_of(struct group_id group)
{
    return 1ull << (group.value % 64);
}

void lane_enter(struct client *client, struct pending *pending, struct peer_id target)
{
    struct lane *lane = find(client, target);
    if (!lane) {
        client->lanes =
            memory_resize(client->lanes, (client->lane_count + 1) * sizeof *client->lanes);
        lane = &client->lanes[client->lane_count++];
        lane->target = target;
        begin_epoch(client, lane);
    } else if (lane->broken || lane->epoch == pending->epoch) {
        begin_epoch(client, lane); /* refused there in this epoch: to the same node, but anew */
    }
    lane->broken = false;
    pending->kind = PENDING_FORWARDED;
    pending->target = target;
    pending->epoch = lane->epoch;
    pending->sequence = lane->next_sequence++;
    lane->count++;
    lane->groups |= bit_of(pending->group);
}

void lane_leave(struct client *client, const struct pending *pending)
{
    struct lane *lane = find(client, pending->target);
    if (!lane || lane->epoch != pending->epoch || !lane->count)
        return; /* of an epoch that has ended */
    if (--lane->count == 0)
        lane->groups = 0;
}

void lane_break(struct client *client, struct peer_id target)
{
    struct lane *lane = find(client, target);
    if (lane)
        lane->broken = true;
}

static bool is_on_its_way(struct client *client, struct group_id group, struct peer_id to)
{
    struct session *session = &client->session;
    for (size_t i = 0; i < session->count; i++) {
        const struct pending *pending = session_at(session, i);
        if (pending->kind == PENDING_FORWARDED && group_id_equal(pending->group, group) &&
            peer_id_equal(pending->target, to))
            return true;
    }
    return false;
}

/* SERVER-2. The bits of a lane are a guess that never misses; only what they hit is looked for. */
bool lane_is_awaited(struct client *client, struct group_id group, struct peer_id target)
{
    for (size_t i = 0; i < client->lane_count; i++) {
        const struct lane *lane = &client->lanes[i];
        if (lane->count && lane->groups & bit_of(group) && !peer_id_equal(lane->target, target) &&
            is_on_its_way(client, group, lane->target))
            return true;
    }
    return false;
}

void lanes_close(struct server *server, struct client *client)
{
    struct peer_set *peers = node_peers(server->node);
    for (size_t i = 0; peers && i < client->lane_count; i++) {
        struct wire_frame *frame = peer_frame(peers, client->lanes[i].target, WIRE_LINK_DATA);
        if (frame && !client->lanes[i].broken)
            wire_add_forward_close(frame, client_session_id(client));
    }
    memory_free(client->lanes);
    client->lanes = NULL;
    client->lane_count = 0;
}
