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

/* ---- the list of --join, which this node will be held to at each start (NODE-5) ---- */

/* A member under another name than the cluster has for it. */
static bool is_misnamed(const struct probe *probe)
{
    return probe->answer == PROBE_MEMBER && !probe->is_self && probe->known[0] &&
           strcmp(probe->known, probe->address) != 0;
}

/* Where the others would look for it is on their own machines. */
static bool is_everywhere(const struct node_member *member)
{
    return control_is_any_host(member->client_address) || control_is_any_host(member->peer_address);
}

static bool is_listed_well(const struct control *control, const struct probe *probe)
{
    const struct node_formation *found = &control->found;
    if (probe->is_self || strcmp(probe->address, join_address(control)) == 0)
        return true;
    if (probe->answer == PROBE_MEMBER)
        return !is_misnamed(probe) && cluster_id_equal(probe->cluster, found->cluster);
    for (size_t i = 0; i < found->member_count; i++)
        if (strcmp(found->members[i].client_address, probe->address) == 0)
            return true;
    return false;
}

/* NULL: all that is listed may be named by a member of the cluster. */
static const struct probe *find_stranger(const struct control *control)
{
    for (size_t i = 0; i < control->probe_count; i++)
        if (!is_listed_well(control, &control->probes[i]))
            return &control->probes[i];
    return NULL;
}

static const struct node_member *find_everywhere(const struct control *control)
{
    for (size_t i = 0; i < control->found.member_count; i++)
        if (is_everywhere(&control->found.members[i]))
            return &control->found.members[i];
    return NULL;
}

/* Who is taken in is a member for good, so it asks only with a list that it can be started with.
 * What is silent or has no cluster may still become a member, or be told from one. */
static void say_stranger(struct control *control, const struct probe *stranger)
{
    unsigned long long cluster = control->found.cluster.high;
    if (is_misnamed(stranger))
        formation_fail(control, "%s is known to its cluster as %s: name it so in --join",
                       stranger->address, stranger->known);
    else if (stranger->answer == PROBE_MEMBER && stranger->known[0])
        formation_fail(control,
                       "%s, named by --join, is a member of cluster %016llx, and another one is of "
                       "%016llx: name members of one cluster",
                       stranger->address, (unsigned long long)stranger->cluster.high, cluster);
    else
        formation_wait(control,
                       "waiting for %s, named by --join, to be a member of cluster %016llx, which "
                       "this node joins then; or leave it out of --join",
                       stranger->address, cluster);
}

static bool list_holds(struct control *control)
{
    const struct node_member *everywhere = find_everywhere(control);
    const struct probe *stranger = find_stranger(control);
    if (everywhere)
        formation_fail(control,
                       "node %llu is known to its cluster as %s (%s between nodes), every address "
                       "of its machine: start that node with --listen and --peer-listen on an "
                       "address that other nodes can reach",
                       (unsigned long long)everywhere->id.value, everywhere->client_address,
                       everywhere->peer_address);
    else if (stranger)
        say_stranger(control, stranger);
    return !everywhere && !stranger;
}

/* ---- asking ---- */

bool join_wants(const struct control *control, const struct probe *probe)
{
    return node_join(control->node)->ticket && node_is_saved(control->node) &&
           !node_is_formed(control->node) && !control->joined.value && !probe->is_self &&
           probe->answer == PROBE_MEMBER && !find_everywhere(control) && !find_stranger(control);
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
    if (!control->joined.value && !list_holds(control))
        return;
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
