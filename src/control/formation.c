/* Deciding who forms, and when. Facts come from probes; everything decided is durable before it
 * counts (CONTROL-1). */
#include "control/inside.h"

#include <stdarg.h>
#include <stdio.h>

void formation_fail(struct control *control, const char *format, ...)
{
    va_list arguments;
    if (control->failure[0])
        return;
    va_start(arguments, format);
    vsnprintf(control->failure, sizeof control->failure, format, arguments);
    va_end(arguments);
}

void formation_wait(struct control *control, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(control->waits_for, sizeof control->waits_for, format, arguments);
    va_end(arguments);
}

const struct probe *formation_self(const struct control *control)
{
    for (size_t i = 0; i < control->probe_count; i++)
        if (control->probes[i].is_self)
            return &control->probes[i];
    return NULL;
}

/* ---- a cluster of one (CONTROL-3) ---- */

static void copy_text(char *out, size_t room, const char *text)
{
    snprintf(out, room, "%s", text);
}

void formation_describe_self(const struct control *control, struct node_member *out)
{
    copy_text(out->client_address, sizeof out->client_address, control->client_address);
    copy_text(out->peer_address, sizeof out->peer_address, control->peer_address);
    copy_text(out->site, sizeof out->site, control->site);
    copy_text(out->zone, sizeof out->zone, control->zone);
    copy_text(out->host, sizeof out->host, control->host);
}

static void form_alone(struct control *control)
{
    static struct node_formation const none;
    struct node_formation formation = none;
    formation.cluster = (struct cluster_id){io_random(control->io), io_random(control->io)};
    formation.self = formation.members[0].id = (struct node_id){1};
    formation.member_count = 1;
    formation_describe_self(control, &formation.members[0]);
    node_save_formation(control->node, &formation);
}

/* ---- somebody has formed already ---- */

/* The cluster that this node promised to form with is there: it is a member, or it joins now. */
static void join_found(struct control *control)
{
    struct node_formation *found = &control->found;
    const struct node_promise *promise = node_promise(control->node);
    const struct node_member *me = NULL;
    const char *address = join_address(control);
    for (size_t i = 0; i < found->member_count; i++)
        if (strcmp(found->members[i].client_address, address) == 0)
            me = &found->members[i];
    if (me && cluster_id_equal(promise->cluster, found->cluster)) {
        found->self = me->id;
        found->anew = found->before = 0;
        node_save_formation(control->node, found);
    } else if (promise->former[0]) {
        formation_fail(control,
                       "this directory has promised %s to form a cluster with it, and the cluster "
                       "%016llx that answers is another one: give an empty --dir to join that",
                       promise->former, (unsigned long long)found->cluster.high);
    } else if (me && !node_join(control->node)->ticket && !control->options.begins_anew) {
        formation_fail(control, /* CONTROL-2 */
                       "this directory is empty, but %s is already node %llu of cluster %016llx: "
                       "its log and votes are lost; bring the old directory back, or if it is "
                       "gone for good, start once with --begin-anew yes",
                       address, (unsigned long long)me->id.value,
                       (unsigned long long)found->cluster.high);
    } else if (join_is_possible(control)) {
        join_step(control);
    }
}

/* ---- forming ---- */

/* False: somebody is missing, and waits_for says who. */
static bool everyone_answers(struct control *control, const struct probe *self)
{
    for (size_t i = 0; i < control->probe_count; i++) {
        const struct probe *probe = &control->probes[i];
        if (probe->answer == PROBE_SILENT) {
            formation_wait(control,
                           probe->no_such_host
                               ? "%s does not resolve (asked for by --join); trying again"
                               : "waiting for %s to answer (every address of --join must)",
                           probe->address);
            return false;
        }
        if (self && probe->other_list) {
            formation_wait(control,
                           "%s was started with another --join list: give all nodes the same",
                           probe->address);
            return false;
        }
    }
    return true;
}

static void form(struct control *control, const struct probe *self)
{
    static struct node_formation const none;
    struct node_formation formation = none;
    formation.cluster = node_promise(control->node)->cluster;
    formation.member_count = control->probe_count;
    for (size_t i = 0; i < control->probe_count; i++) {
        const struct probe *probe = &control->probes[i];
        formation.members[i] = probe->facts;
        formation.members[i].id = (struct node_id){i + 1};
        copy_text(formation.members[i].client_address, sizeof formation.members[i].client_address,
                  probe->address);
        if (probe == self)
            formation.self = formation.members[i].id;
    }
    node_save_formation(control->node, &formation);
}

/* This node has the lowest address: collect a durable promise of everyone, its own first. */
static void lead_formation(struct control *control, const struct probe *self)
{
    const struct node_promise *mine = node_promise(control->node);
    if (!mine->former[0]) {
        struct node_promise promise = {.cluster = {io_random(control->io), io_random(control->io)},
                                       .list_hash = control->list_hash};
        copy_text(promise.former, sizeof promise.former, self->address);
        node_save_promise(control->node, &promise);
        return;
    }
    if (!node_is_saved(control->node))
        return;
    for (size_t i = 0; i < control->probe_count; i++) {
        const struct probe *probe = &control->probes[i];
        if (probe == self)
            continue;
        bool ours = probe->answer == PROBE_PROMISED && probe->promise_saved &&
                    cluster_id_equal(probe->promise.cluster, mine->cluster);
        if (!ours) {
            formation_wait(control, "waiting for the promise of %s", probe->address);
            return;
        }
    }
    form(control, self);
}

/* One of the addresses is this node's own, and it will answer itself soon. */
static bool is_in_list(const struct control *control)
{
    for (size_t i = 0; i < control->probe_count; i++)
        if (strcmp(control->probes[i].address, control->client_address) == 0)
            return true;
    return false;
}

void formation_step(struct control *control)
{
    struct node *node = control->node;
    if (node_is_started(node) || control->failure[0])
        return;
    if (node_is_formed(node)) { /* recovered, or decided in this run */
        if (node_is_saved(node) && directory_fits(control))
            node_start(node);
        return;
    }
    if (!control->probe_count && control->options.begins_anew) {
        formation_fail(control, "this directory has not been a member's yet, and --begin-anew "
                                "needs --join: name the members of the cluster");
        return;
    }
    if (!control->probe_count) {
        form_alone(control);
        return;
    }
    const struct probe *self = formation_self(control);
    if (control->has_found && (self || !is_in_list(control))) {
        join_found(control);
        return;
    }
    if (!everyone_answers(control, self))
        return;
    /* A promise outlives the list under which it was given: who promised another former waits for
     * it. CONTROL-1 */
    const char *former = node_promise(node)->former;
    if (!self)
        formation_wait(control,
                       "waiting for %s to be in a cluster, which this node joins then; to form one "
                       "with it instead, give all nodes a --join list with %s in it",
                       control->probes[0].address, control->client_address);
    else if (former[0] && strcmp(former, control->probes[0].address) != 0)
        formation_wait(control,
                       "waiting for %s, which this node has promised to follow: give all nodes "
                       "the --join list that they had",
                       former);
    else if (self != &control->probes[0])
        formation_wait(control, "waiting for %s to form the cluster", control->probes[0].address);
    else
        lead_formation(control, self);
}
