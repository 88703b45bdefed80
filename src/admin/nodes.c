/* NODE LIST: the members, what each is there for, and whether this node hears it. */
#include "admin/inside.h"

#define PAIRS 9

static void pair(struct reply *reply, const char *name, const char *value)
{
    reply_text(reply, name);
    reply_text(reply, value);
}

bool admin_hears(struct server_call *call, struct node_id id)
{
    return node_id_equal(id, node_formation(call->node)->self) ||
           peer_is_up(node_peers(call->node), peer_at(id, 0), WIRE_LINK_CONTROL);
}

static void tell(struct server_call *call, const struct control_catalogue *catalogue,
                 const struct control_node *node)
{
    struct reply *reply = call->reply;
    const struct node_member *member = &node->member;
    reply_map(reply, PAIRS);
    reply_text(reply, "id");
    reply_integer(reply, (int64_t)member->id.value);
    pair(reply, "addr", member->client_address);
    pair(reply, "site", member->site);
    pair(reply, "zone", member->zone);
    pair(reply, "host", member->host);
    pair(reply, "state", admin_hears(call, member->id) ? "up" : "down");
    pair(reply, "duty", control_duty_word(catalogue, node));
    reply_text(reply, "replicas");
    reply_integer(reply, (int64_t)control_replicas_on(catalogue, member->id));
    reply_text(reply, "since_ms"); /* of the duty */
    if (node->since_us)
        reply_integer(reply, node->since_us / 1000);
    else
        reply_null(reply);
}

/* Those who were removed are told at last: their numbers are taken for ever. */
void admin_serve_nodes(struct server_call *call)
{
    const struct admin *admin = call->owner;
    const struct control_catalogue *catalogue = control_catalogue(admin->control);
    if (!node_is_started(call->node)) {
        reply_error(call->reply, "TRYAGAIN this node waits for the nodes named by --join");
        return;
    }
    reply_array(call->reply, catalogue->node_count);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < catalogue->node_count; i++)
            if ((catalogue->members[i].duty == CONTROL_DUTY_REMOVED) == pass)
                tell(call, catalogue, &catalogue->members[i]);
}
