/* Whom this node reaches, and since when it does not: a leader that was elected since knows less
 * long that somebody is missing. */
#include "admin/inside.h"

#include "base/memory.h"

#include <stdio.h>

struct admin_sight {
    struct node_id node;
    int64_t lost_ms; /* 0: it is reached */
};

static struct admin_sight *find(const struct admin *admin, struct node_id node)
{
    for (size_t i = 0; i < admin->sight_count; i++)
        if (node_id_equal(admin->sights[i].node, node))
            return &admin->sights[i];
    return NULL;
}

static void look_at(struct admin *admin, struct node *node, struct node_id id, int64_t wall_ms)
{
    struct admin_sight *sight = find(admin, id);
    bool up = peer_is_up(node_peers(node), peer_at(id, 0), WIRE_LINK_CONTROL);
    if (!sight) {
        admin->sights =
            memory_resize(admin->sights, (admin->sight_count + 1) * sizeof *admin->sights);
        sight = &admin->sights[admin->sight_count++];
        *sight = (struct admin_sight){.node = id};
    }
    if (up)
        sight->lost_ms = 0;
    else if (!sight->lost_ms)
        sight->lost_ms = wall_ms;
}

/* An event: the node knows it of itself (CONTROL-19). */
static void tell_disk(struct admin *admin, struct node *node, int64_t wall_ms)
{
    static const char *const words[] = {"the disk is well again", "the disk is full",
                                        "the disk stands still: a sync took longer than a second"};
    struct node_id self = node_formation(node)->self;
    char name[64];
    snprintf(name, sizeof name, "disk-%llu-%u-%llx", (unsigned long long)self.value, admin->worker,
             (unsigned long long)wall_ms);
    struct control_event event = {.name = name,
                                  .kind = "disk",
                                  .node = self,
                                  .at_ms = wall_ms,
                                  .text = words[node_disk(node)]};
    if (control_tell_event(admin->control, &event))
        admin->disk_told = node_disk(node);
}

void admin_look_at_nodes(struct admin *admin, struct node *node)
{
    const struct node_formation *formation = node_formation(node);
    int64_t wall_ms = node_turn(node)->wall_us / 1000;
    for (size_t i = 0; i < formation->member_count; i++)
        if (!node_id_equal(formation->members[i].id, formation->self))
            look_at(admin, node, formation->members[i].id, wall_ms);
    if (node_disk(node) == NODE_DISK_WELL)
        admin->disk_sick_since_ms = 0;
    else if (!admin->disk_sick_since_ms)
        admin->disk_sick_since_ms = wall_ms;
    if (node_disk(node) != admin->disk_told)
        tell_disk(admin, node, wall_ms);
}

int64_t admin_unreached_since_ms(const struct admin *admin, struct node_id node)
{
    const struct admin_sight *sight = find(admin, node);
    return sight ? sight->lost_ms : 0;
}

bool admin_reaches(const struct admin *admin, struct node_id node)
{
    return node_id_equal(node, node_formation(admin->node)->self) ||
           peer_is_up(node_peers(admin->node), peer_at(node, 0), WIRE_LINK_CONTROL);
}
