/* A leader whose disk is full refuses writes, so it hands over to a voter that has room. One that
 * has none stays where it is: then nobody has, or nobody is there. It waits a moment first: a disk
 * that is full for an instant is no reason to make clients wait for another leader. */
#include "node/inside.h"

#include <stdio.h>

#define FULL_FOR_NS   (500 * 1000000ull)
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

/* No deadline of its own: a leader has a turn with each heartbeat. */
void room_tick(struct node *node)
{
    uint64_t now_ns = node->turn.now_ns;
    if (!wal_disk_is_full(node->wal)) {
        node->full_since_ns = 0;
        return;
    }
    if (!node->full_since_ns)
        node->full_since_ns = now_ns;
    if (now_ns < node->full_since_ns + FULL_FOR_NS || now_ns < node->next_room_ns)
        return;
    node->next_room_ns = now_ns + LOOK_EVERY_NS;
    for (struct list *link = node->leading.next; link != &node->leading; link = link->next) {
        struct replica *replica = list_item(link, struct group, leading)->replica;
        struct replica_id to = room_find(node, replica);
        if (to.value)
            replica_transfer(replica, &node->turn, to);
        node->handed_over += to.value != 0;
    }
}

bool room_take_line(struct node *node, char out[NODE_WHY_SIZE])
{
    if (!node->handed_over)
        return false;
    snprintf(out, NODE_WHY_SIZE,
             "the disk of %s is full: leadership of %zu partition%s goes to nodes that have room",
             node->dir, node->handed_over, node->handed_over == 1 ? "" : "s");
    node->handed_over = 0;
    return true;
}
