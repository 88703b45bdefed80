/* WHATIF LOSE node ID [AND zone NAME ...]: what would be left, told by any node from its catalogue
 * and from whom it sees (CLUSTER-10). */
#include "admin/inside.h"

#include "base/memory.h"

#define TEXT_MAX (1u << 20)

struct answer {
    struct reply *reply;
    bool is_sure;
    const struct cluster_seen_node *nodes;
    size_t node_count;
    const struct control_outlook *outlooks;
    size_t count;
};

static void pair_ids(struct reply *reply, const char *name, const struct node_id *ids, size_t count)
{
    reply_text(reply, name);
    reply_array(reply, count);
    for (size_t i = 0; i < count; i++)
        reply_integer(reply, (int64_t)ids[i].value);
}

/* ADMIN-2: a number that is not known is null. */
static void pair_range(struct reply *reply, const char *name, struct cluster_range range)
{
    reply_text(reply, name);
    if (range.least == range.most)
        reply_integer(reply, range.least);
    else
        reply_null(reply);
}

static void pair_levels(struct reply *reply, const char *name,
                        const struct cluster_outlook *outlook, bool maybe)
{
    struct cluster_levels levels;
    cluster_outlook_acks(outlook, maybe, &levels);
    reply_text(reply, name);
    reply_array(reply, levels.count);
    for (size_t i = 0; i < levels.count; i++)
        reply_text(reply, levels.words[i]);
}

/* READ strong is the only level, and it works where a partition goes on. */
static void pair_reads(struct reply *reply, const struct cluster_outlook *outlook)
{
    bool works = outlook->stop.most < outlook->groups;
    reply_text(reply, "read");
    reply_array(reply, works);
    if (works)
        reply_text(reply, "strong");
}

#define KEYSPACE_PAIRS 14

static void tell_keyspace(struct reply *reply, const struct control_outlook *of)
{
    const struct cluster_outlook *outlook = &of->outlook;
    bool goes_on = cluster_outlook_goes_on(outlook);
    struct cluster_range nothing = {0, 1}; /* of a keyspace that stops there is nothing to say */
    reply_map(reply, KEYSPACE_PAIRS);
    reply_text(reply, "keyspace");
    reply_text(reply, of->keyspace->name);
    reply_text(reply, "partitions");
    reply_integer(reply, outlook->groups);
    pair_range(reply, "stop", outlook->stop);
    pair_range(reply, "lose_commit_quorum", outlook->lose_commit);
    pair_range(reply, "lose_election_quorum", outlook->lose_election);
    pair_range(reply, "keep_both", outlook->keep);
    pair_levels(reply, "ack", outlook, false);
    pair_levels(reply, "ack_perhaps", outlook, true);
    pair_reads(reply, outlook);
    pair_range(reply, "copies", goes_on ? outlook->copies : nothing);
    pair_range(reply, "may_fail", goes_on ? outlook->may_fail : nothing);
    pair_ids(reply, "fewest", outlook->fewest, outlook->fewest_count);
    pair_range(reply, "writes_at_risk", outlook->at_risk);
    reply_text(reply, "gone");
    reply_integer(reply, outlook->gone);
}

static void tell_nodes(const struct answer *answer, const char *name, bool lost,
                       enum cluster_sight sight)
{
    struct node_id *ids = memory_zeroed(answer->node_count + 1, sizeof *ids);
    size_t count = 0;
    for (size_t i = 0; i < answer->node_count; i++)
        if (lost ? answer->nodes[i].lost : answer->nodes[i].sight == sight)
            ids[count++] = answer->nodes[i].member.id;
    pair_ids(answer->reply, name, ids, count);
    memory_free(ids);
}

static void tell_text(const struct answer *answer)
{
    struct buffer text;
    buffer_init(&text, TEXT_MAX);
    if (!answer->is_sure)
        buffer_print(&text, "the leader of keyspace system does not answer: what is told here may "
                            "be old, and whom this node does not reach may be up\n");
    for (size_t i = 0; i < answer->count; i++)
        cluster_outlook_tell(&answer->outlooks[i].outlook, answer->outlooks[i].keyspace->name,
                             &text);
    reply_text(answer->reply, "text");
    reply_bulk(answer->reply, slice_of_buffer(&text));
    buffer_deinit(&text);
}

static void tell(const struct answer *answer)
{
    reply_map(answer->reply, 6);
    tell_nodes(answer, "lost", true, CLUSTER_SIGHT_NONE);
    tell_nodes(answer, "down", false, CLUSTER_SIGHT_DOWN);
    tell_nodes(answer, "unseen", false, CLUSTER_SIGHT_NONE);
    reply_text(answer->reply, "confirmed");
    reply_boolean(answer->reply, answer->is_sure);
    reply_text(answer->reply, "keyspaces");
    reply_array(answer->reply, answer->count);
    for (size_t i = 0; i < answer->count; i++)
        tell_keyspace(answer->reply, &answer->outlooks[i]);
    tell_text(answer);
}

static void look_ahead(struct server_call *call, bool is_sure)
{
    struct admin *admin = call->owner;
    struct control_outlook *outlooks;
    struct answer answer = {.reply = call->reply, .is_sure = is_sure};
    char why[CLUSTER_LINE_SIZE];
    struct cluster_seen_node *nodes =
        control_see_nodes(admin->control, is_sure, &answer.node_count);
    if (cluster_lose_read(call->arguments + 1, call->count - 1, nodes, answer.node_count, why)) {
        reply_error(call->reply, "ERR %s", why);
    } else {
        answer.nodes = nodes;
        answer.count = control_look_ahead(admin->control, nodes, answer.node_count, &outlooks);
        answer.outlooks = outlooks;
        tell(&answer);
        memory_free(outlooks);
    }
    memory_free(nodes);
}

void admin_serve_whatif(struct server_call *call)
{
    const struct admin *admin = call->owner;
    bool is_sure;
    if (!node_is_started(call->node)) {
        reply_error(call->reply, "TRYAGAIN this node waits for the nodes named by --join");
        return;
    }
    if (!admin_confirm(call, &is_sure))
        return;
    admin_confirm_end(call);
    if (control_catalogue(admin->control)->keyspace_count)
        look_ahead(call, is_sure);
    else
        reply_error(call->reply, "TRYAGAIN this node does not know the cluster's records yet: the "
                                 "leader of keyspace system does not answer");
}
