/* NODE LIST: the members, what each is there for, and whether this node hears it. */
#include "admin/inside.h"

#include <stdio.h>

#define PAIRS 13

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

/* As this node hears it: nobody hears itself. */
static void tell_sight(struct server_call *call, struct node_id id)
{
    struct reply *reply = call->reply;
    struct node_sight sight = {0};
    char phi[24];
    bool known = node_look(call->node, id, &sight);
    snprintf(phi, sizeof phi, "%u.%u", sight.phi / 1000, sight.phi / 100 % 10);
    reply_text(reply, "phi");
    if (known)
        reply_text(reply, phi);
    else
        reply_null(reply);
    reply_text(reply, "suspected_since_ms");
    if (sight.suspected_since_ms)
        reply_integer(reply, sight.suspected_since_ms);
    else
        reply_null(reply);
    reply_text(reply, "reported_failures");
    if (known)
        reply_integer(reply, sight.reported);
    else
        reply_null(reply);
}

static bool read_number(struct slice word, int64_t least, int64_t most, int64_t *out)
{
    return !slice_to_i64(word, out) && *out >= least && *out <= most;
}

/* NODE REPORT id FAILED n: to the node that is asked, and to no other: each judges what it hears
 * itself. */
void admin_serve_report(struct server_call *call)
{
    int64_t id, failed;
    bool well_formed = call->count == 5 && slice_is_word(call->arguments[3], "FAILED") &&
                       read_number(call->arguments[2], 1, INT64_MAX, &id) &&
                       read_number(call->arguments[4], 0, UINT32_MAX, &failed);
    if (!well_formed)
        reply_error(call->reply, "ERR give NODE REPORT id FAILED n: how many writes to that node "
                                 "failed, as somebody outside has counted");
    else if (!node_is_started(call->node) ||
             !node_report_failures(call->node, (struct node_id){(uint64_t)id}, (unsigned)failed))
        reply_error(call->reply,
                    "ERR there is no other node %lld that this one hears; NODE LIST shows all",
                    (long long)id);
    else
        reply_ok(call->reply);
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
    tell_sight(call, member->id);
    pair(reply, "duty", control_duty_word(catalogue, node));
    reply_text(reply, "features");
    reply_integer(reply, node->features);
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
