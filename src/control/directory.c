/* A directory goes with one node: under another address it would speak for somebody else. NODE-5 */
#include "control/inside.h"

bool control_is_any_host(const char *address)
{
    return strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0 ||
           strncmp(address, "*:", 2) == 0 || address[0] == ':';
}

/* Who listens on every address of its machine is known to the others by one of them: then the port
 * is all that can be compared. */
static bool is_same_place(const char *given, const char *known)
{
    const char *given_port = strrchr(given, ':'), *known_port = strrchr(known, ':');
    if (control_is_any_host(given) && given_port && known_port)
        return strcmp(given_port, known_port) == 0;
    return strcmp(given, known) == 0;
}

/* ---- a cluster of one ---- */

/* NULL: --join is empty or names this node alone. */
static const char *other_in_list(const struct control *control)
{
    if (control->probe_count == 1 &&
        is_same_place(control->client_address, control->probes[0].address))
        return NULL;
    for (size_t i = 0; i < control->probe_count; i++)
        if (!is_same_place(control->client_address, control->probes[i].address))
            return control->probes[i].address;
    return control->probe_count ? control->probes[0].address : NULL;
}

/* What it is called from now on; a host that is as good as the one before leaves the name alone. */
static void describe_alone(const struct control *control, const struct node_member *known,
                           struct node_member *out)
{
    const char *listed = control->probe_count ? control->probes[0].address : known->client_address;
    *out = (struct node_member){.id = known->id};
    formation_describe_self(control, out);
    if (is_same_place(out->client_address, listed))
        memcpy(out->client_address, listed, strlen(listed) + 1);
    if (is_same_place(out->peer_address, known->peer_address))
        memcpy(out->peer_address, known->peer_address, sizeof out->peer_address);
}

static bool is_same_member(const struct node_member *a, const struct node_member *b)
{
    return strcmp(a->client_address, b->client_address) == 0 &&
           strcmp(a->peer_address, b->peer_address) == 0 && strcmp(a->site, b->site) == 0 &&
           strcmp(a->zone, b->zone) == 0 && strcmp(a->host, b->host) == 0;
}

static bool fits_alone(struct control *control, const struct node_formation *formation)
{
    const struct node_member *self = &formation->members[0];
    const char *other = other_in_list(control);
    struct node_member now;
    if (other) {
        formation_fail(
            control,
            "this directory is a cluster of one (%016llx, node %llu at %s), which cannot "
            "join %s in this version: start it without --join, or give another --dir",
            (unsigned long long)formation->cluster.high, (unsigned long long)self->id.value,
            self->client_address, other);
        return false;
    }
    describe_alone(control, self, &now);
    if (is_same_member(&now, self))
        return true;
    node_save_move(control->node, &now);
    return false;
}

/* ---- a member of several ---- */

static bool is_member(const struct node_formation *formation, const char *address)
{
    for (size_t i = 0; i < formation->member_count; i++)
        if (strcmp(formation->members[i].client_address, address) == 0)
            return true;
    return false;
}

/* The others connect to the address that they know, so a member that is elsewhere would be dead to
 * them without a word. */
static bool fits_member(struct control *control, const struct node_formation *formation,
                        const struct node_member *self)
{
    unsigned long long id = self->id.value, cluster = formation->cluster.high;
    if (!is_same_place(control->client_address, self->client_address))
        formation_fail(control,
                       "this directory is that of node %llu at %s, but --listen says %s: start it "
                       "with --listen %s, or give the directory of %s",
                       id, self->client_address, control->client_address, self->client_address,
                       control->client_address);
    else if (!is_same_place(control->peer_address, self->peer_address))
        formation_fail(control,
                       "the others reach node %llu at %s, but --peer-listen says %s: start it with "
                       "--peer-listen %s",
                       id, self->peer_address, control->peer_address, self->peer_address);
    for (size_t i = 0; i < control->probe_count; i++)
        if (!is_member(formation, control->probes[i].address))
            formation_fail(control,
                           "this directory is that of node %llu of cluster %016llx, of which %s, "
                           "named by --join, is no member: give the --join list that it was formed "
                           "with, or another --dir",
                           id, cluster, control->probes[i].address);
    return !control->failure[0];
}

bool directory_fits(struct control *control)
{
    const struct node_formation *formation = node_formation(control->node);
    if (formation->member_count == 1)
        return fits_alone(control, formation);
    return fits_member(control, formation, node_member(control->node, formation->self));
}
