/* A leader whose disk is sick hands over to a voter whose disk is well (NODE-11): full, it refuses
 * writes; without an end to its syncs it is one disk less for each commit, and its log fills
 * memory. Where no other is well it stays where it is. It waits a moment first: a disk that is
 * full, or stands still, for an instant is no reason to make clients wait for another leader.
 * Meanwhile it hears whether the others are any better.
 *
 * A disk is well again after so long without trouble: else leadership would follow each hiccup. */
#include "node/inside.h"

#include <stdio.h>

#define SICK_FOR_NS   (500 * 1000000ull)
#define STALLED_NS    (1000 * 1000000ull)
#define WELL_AFTER_NS (10000 * 1000000ull)
#define LOOK_EVERY_NS (1000 * 1000000ull)

struct replica_id room_find(const struct node *node, const struct replica *replica)
{
    const struct raft_configuration *now = raft_configuration(replica_raft(replica));
    for (size_t i = 0; i < now->member_count; i++) {
        const struct raft_member *member = &now->members[i];
        if (member->kind == RAFT_VOTER && !node_state_of(node, member->node) &&
            replica_is_ready(replica, member->replica, node->turn.now_ns))
            return member->replica;
    }
    return (struct replica_id){0};
}

enum node_disk node_disk(const struct node *node)
{
    if (wal_disk_is_full(node->wal))
        return NODE_DISK_FULL;
    return node->stalled_ns ? NODE_DISK_STALLED : NODE_DISK_WELL;
}

static void look_at_syncs(struct node *node, uint64_t now_ns)
{
    if (wal_sync_age_ns(node->wal, now_ns) >= STALLED_NS)
        node->stalled_ns = now_ns;
    else if (now_ns >= node->stalled_ns + WELL_AFTER_NS)
        node->stalled_ns = 0;
}

/* It is sick for long enough. */
static bool is_sick(struct node *node, uint64_t now_ns)
{
    look_at_syncs(node, now_ns);
    if (node_disk(node) == NODE_DISK_WELL)
        node->sick_since_ns = 0;
    else if (!node->sick_since_ns)
        node->sick_since_ns = now_ns;
    return node->sick_since_ns && now_ns >= node->sick_since_ns + SICK_FOR_NS;
}

/* No deadline of its own: a leader has a turn with each heartbeat. */
void room_tick(struct node *node)
{
    uint64_t now_ns = node->turn.now_ns;
    if (!is_sick(node, now_ns) || now_ns < node->next_room_ns)
        return;
    node->next_room_ns = now_ns + LOOK_EVERY_NS;
    for (struct list *link = node->leading.next; link != &node->leading; link = link->next) {
        struct replica *replica = list_item(link, struct group, leading)->replica;
        struct replica_id to = room_find(node, replica); /* NODE-11 */
        if (to.value)
            replica_transfer(replica, &node->turn, to);
        node->handed_over += to.value != 0;
    }
}

bool room_take_line(struct node *node, char out[NODE_WHY_SIZE])
{
    if (!node->handed_over)
        return false;
    bool full = node_disk(node) == NODE_DISK_FULL;
    snprintf(out, NODE_WHY_SIZE,
             "the disk of %s %s: leadership of %zu partition%s goes to nodes %s", node->dir,
             full ? "is full" : "has not ended a sync for a second", node->handed_over,
             node->handed_over == 1 ? "" : "s", full ? "that have room" : "whose disk does");
    node->handed_over = 0;
    return true;
}
