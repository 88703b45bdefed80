/* A node with an empty directory joins a cluster that runs. It keeps a ticket before it asks, so
 * that after a crash it is the same node that asks again; the cluster gives it an id and writes it
 * down; once a member shows it in the list of nodes, that list becomes its own (CONTROL-11). */
#include "control/inside.h"

#include <stdio.h>

const char *join_address(const struct control *control)
{
    const struct probe *self = formation_self(control);
    return self ? self->address : control->client_address;
}

/* Who listens on every address of its machine is reached by the other nodes where its clients reach
 * it. */
static void peer_address(const struct control *control, char out[2 * WIRE_ADDRESS_SIZE])
{
    const char *peer = control->peer_address, *client = join_address(control);
    const char *port = strrchr(peer, ':'), *end = strrchr(client, ':');
    if (control_is_any_host(peer) && port && end)
        snprintf(out, 2 * WIRE_ADDRESS_SIZE, "%.*s%s", (int)(end - client), client, port);
    else
        snprintf(out, 2 * WIRE_ADDRESS_SIZE, "%s", peer);
}

bool join_wants(const struct control *control, const struct probe *probe)
{
    return node_join(control->node)->ticket && node_is_saved(control->node) &&
           !node_is_formed(control->node) && !control->joined.value && !probe->is_self &&
           probe->answer == PROBE_MEMBER;
}

void join_request(const struct control *control, struct buffer *out)
{
    char ticket[24], peer[2 * WIRE_ADDRESS_SIZE];
    snprintf(ticket, sizeof ticket, "%016llx",
             (unsigned long long)node_join(control->node)->ticket);
    peer_address(control, peer);
    struct slice words[] = {slice_of_text("MEMBER"),      slice_of_text("JOIN"),
                            slice_of_text(ticket),        slice_of_text(join_address(control)),
                            slice_of_text(peer),          slice_of_text(control->site),
                            slice_of_text(control->zone), slice_of_text(control->host),
                            slice_of_text("ANEW")};
    size_t count = sizeof words / sizeof words[0];
    resp_request(out, words, control->options.begins_anew ? count : count - 1);
}

/* What is not a refusal for good is asked again. */
void join_answer(struct control *control, const struct resp_item *item)
{
    if (item->type == ':' && item->integer > 0)
        control->joined.value = (uint64_t)item->integer;
    else if (item->type == '-' && item->bytes.size > 4 && memcmp(item->bytes.at, "ERR ", 4) == 0)
        formation_fail(control, "%.*s", (int)(item->bytes.size - 4),
                       (const char *)item->bytes.at + 4);
}

void join_step(struct control *control)
{
    struct node_formation *found = &control->found;
    const struct node_join *join = node_join(control->node);
    const struct node_member *me = NULL;
    if (!join->ticket) {
        struct node_join mine = {.cluster = found->cluster, .ticket = io_random(control->io) | 1};
        node_save_join(control->node, &mine);
        return;
    }
    if (!cluster_id_equal(join->cluster, found->cluster)) {
        formation_fail(
            control,
            "this directory has asked cluster %016llx to be taken in, but %016llx answers "
            "at the --join addresses: give the addresses of the first, or another --dir",
            (unsigned long long)join->cluster.high, (unsigned long long)found->cluster.high);
        return;
    }
    for (size_t i = 0; i < found->member_count; i++)
        if (node_id_equal(found->members[i].id, control->joined))
            me = &found->members[i];
    if (!me) {
        formation_wait(control, "waiting for cluster %016llx to take this node in",
                       (unsigned long long)found->cluster.high);
        return;
    }
    found->self = me->id;
    /* What was said of him who answered; in a place that was another's nothing of that is here. */
    found->anew = control->options.begins_anew ? join->ticket : 0;
    found->before = 0;
    node_save_formation(control->node, found);
}

/* Whoever is asked for a place must be known by one. False: the failure says so. */
bool join_is_possible(struct control *control)
{
    if (!control_is_any_host(join_address(control)))
        return true;
    formation_fail(control,
                   "--listen %s is every address of this machine, and the cluster must know one: "
                   "add that one to --join too, or listen on it",
                   control->client_address);
    return false;
}
