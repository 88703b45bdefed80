/* gossip.c - who is a member, asked of whoever can be reached while the leader of `system` is not
 * heard: it may be a node that joined while this one was away. Such a leader is a stranger here,
 * its links are refused, and what it sends is the only way to hear that it is none (CONTROL-15).
 *
 *     NODE PROBE, to one member after the other -> the members as that one knows them
 */
#include "control/inside.h"

#include "base/memory.h"

#define GOSSIP_EVERY_NS (1000 * 1000000ull)

static bool hears_leader(const struct control *control, uint64_t now_ns)
{
    const struct replica *replica = node_group(control->node, GROUP_SYSTEM);
    return replica ? replica_leader_node(replica).value != 0
                   : now_ns < control->next_ask_ns + GOSSIP_EVERY_NS;
}

static bool ask(struct control *control, struct node_id node)
{
    struct slice words[] = {slice_of_text("NODE"), slice_of_text("PROBE")};
    struct question question = {.session = QUESTION_SESSION(QUESTION_GOSSIP),
                                .epoch = control->gossip.epoch + 1,
                                .words = words,
                                .count = 2};
    struct node_id self = node_formation(control->node)->self;
    if (node_id_equal(node, self) ||
        !question_send(control, peer_of(node_peers(control->node), node, GROUP_SYSTEM), &question))
        return false;
    control->gossip.epoch++;
    return true;
}

void gossip_tick(struct control *control)
{
    struct gossip *gossip = &control->gossip;
    const struct node_formation *formation = node_formation(control->node);
    uint64_t now_ns = node_turn(control->node)->now_ns;
    bool hears = hears_leader(control, now_ns), begins = !gossip->next_ns;
    if (!hears && !begins && now_ns < gossip->next_ns)
        return;
    gossip->next_ns = now_ns + GOSSIP_EVERY_NS;
    bool asked = hears || begins;
    for (size_t i = 0; !asked && i < formation->member_count; i++)
        asked = ask(control, formation->members[gossip->turn++ % formation->member_count].id);
}

/* False: it is no member itself, or says something else. */
static bool read_members(struct slice reply, struct node_formation *out)
{
    struct resp_item item, items[PROBE_REPLY_ITEMS];
    if (resp_item_take(&reply, &item) || item.type != '*' || item.integer != PROBE_REPLY_ITEMS)
        return false;
    for (size_t i = 0; i < PROBE_REPLY_ITEMS; i++)
        if (resp_item_take(&reply, &items[i]))
            return false;
    return slice_is_word(items[0].bytes, "member") &&
           node_decode_formation(items[7].bytes, out) == STATUS_OK;
}

bool gossip_handle_peer(struct control *control, const struct wire_forward_reply *reply)
{
    if (reply->session != QUESTION_SESSION(QUESTION_GOSSIP))
        return false;
    if (reply->epoch != control->gossip.epoch || reply->outcome != WIRE_OUTCOME_DONE)
        return true;
    struct node_formation *found = memory_zeroed(1, sizeof *found);
    if (read_members(reply->reply, found))
        for (size_t i = 0; i < found->member_count; i++)
            node_add_member(control->node, &found->members[i]);
    memory_free(found);
    return true;
}

uint64_t gossip_deadline_ns(const struct control *control)
{
    uint64_t next_ns = control->gossip.next_ns;
    bool hears = hears_leader(control, node_turn(control->node)->now_ns);
    return hears || !next_ns ? UINT64_MAX : next_ns;
}
