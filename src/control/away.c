/* away.c - a member that is down for longer than --replace-after is given up until it is back: its
 * replicas are wanted elsewhere (R18). The leader of `system` watches and says so by a report, as
 * any node reports (report.c); what follows from it is one entry (duty.c). The leaders of the
 * partitions have to agree: one that hears its peer does not let go of it (reconcile.c).
 *
 *     serves --down for replace-after, its place can be taken--> away --heard again--> serves
 *
 * Who is back before its copies were replaced is called back: they are caught up (CONTROL-17). */
#include "control/inside.h"

#include <stdio.h>
#include <stdlib.h>

#define KIND          "away:"
#define LOOK_EVERY_NS (1000 * 1000000ull)

static struct silence *silence_of(struct control *control, struct node_id node)
{
    struct away *away = &control->away;
    for (size_t i = 0; i < away->count; i++)
        if (node_id_equal(away->silences[i].node, node))
            return &away->silences[i];
    if (away->count == NODE_MEMBERS_MAX)
        away->count = 0; /* whoever was removed since is among them: counted anew */
    away->silences[away->count] = (struct silence){.node = node};
    return &away->silences[away->count++];
}

static void say(struct control *control, struct node_id node, const char *word)
{
    char key[CONTROL_REPORT_KEY_SIZE];
    snprintf(key, sizeof key, KIND "%llu", (unsigned long long)node.value);
    if (control_is_reported(control, key))
        (void)control_report(control, key, slice_of_text(word));
}

/* The same machine, rack or house as far as it has a name: what fails together. */
static bool share_domain(const struct node_member *a, const struct node_member *b)
{
    if (a->zone[0] || b->zone[0])
        return strcmp(a->site, b->site) == 0 && strcmp(a->zone, b->zone) == 0;
    return a->host[0] && strcmp(a->host, b->host) == 0;
}

/* R18: one fault domain at a time. */
static bool another_is_replaced(const struct control_catalogue *catalogue,
                                const struct control_node *node)
{
    for (size_t i = 0; i < catalogue->node_count; i++) {
        const struct control_node *other = &catalogue->members[i];
        if (other->duty == CONTROL_DUTY_AWAY && !share_domain(&other->member, &node->member) &&
            duty_is_replaced(catalogue, other->member.id))
            return true;
    }
    return false;
}

static void look_at(struct control *control, const struct control_node *node, uint64_t passed_ns)
{
    const struct control_catalogue *catalogue = &control->catalogue;
    struct node_id id = node->member.id;
    struct silence *silence = silence_of(control, id);
    bool up = peer_is_up(node_peers(control->node), peer_at(id, 0), WIRE_LINK_CONTROL);
    silence->ns = up ? 0 : silence->ns + passed_ns;
    if (up && node->duty == CONTROL_DUTY_AWAY)
        say(control, id, "back");
    if (node->duty != CONTROL_DUTY_SERVES || silence->ns < control->options.replace_after_ns ||
        another_is_replaced(catalogue, node) || !duty_may_go(catalogue, id))
        return;
    say(control, id, "gone");
}

static bool leads_system(struct control *control)
{
    struct replica *replica = node_group(control->node, GROUP_SYSTEM);
    return replica && replica_is_serving(replica);
}

/* What this node slept through, as a machine that was paused, is no silence of others: a look
 * counts as one pause of its own at most. */
void away_tick(struct control *control)
{
    struct away *away = &control->away;
    uint64_t now_ns = node_turn(control->node)->now_ns;
    if (!control->options.replace_after_ns || !control->has_catalogue || now_ns < away->next_ns)
        return;
    uint64_t passed_ns = now_ns - away->looked_ns;
    away->looked_ns = now_ns;
    away->next_ns = now_ns + LOOK_EVERY_NS;
    if (!leads_system(control)) {
        away->count = 0;
        return;
    }
    if (passed_ns > 2 * LOOK_EVERY_NS)
        passed_ns = 2 * LOOK_EVERY_NS;
    for (size_t i = 0; i < control->catalogue.node_count; i++)
        if (!node_id_equal(control->catalogue.members[i].member.id,
                           node_formation(control->node)->self))
            look_at(control, &control->catalogue.members[i], passed_ns);
}
