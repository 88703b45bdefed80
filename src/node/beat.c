/* Heartbeats, R6: one message for each pair of nodes, listing every group that the sender leads.
 * NODE-4 */
#include "node/inside.h"

#include "base/memory.h"

static size_t collect(struct node *node, struct node_id to, struct wire_beat *beats)
{
    size_t count = 0;
    for (size_t i = 0; i < node->group_count; i++) {
        const struct raft *raft = replica_raft(node->groups[i]);
        const struct raft_view *view = raft_view(raft);
        const struct raft_configuration *configuration = raft_configuration(raft);
        if (view->role != RAFT_LEADER)
            continue;
        for (size_t m = 0; m < configuration->member_count; m++) {
            if (!node_id_equal(configuration->members[m].node, to))
                continue;
            beats[count++] = (struct wire_beat){.group = replica_group(node->groups[i]),
                                                .from = view->leader,
                                                .to = configuration->members[m].replica,
                                                .term = view->term,
                                                .round = view->round,
                                                .commit = view->commit};
            break;
        }
    }
    return count;
}

void node_send_beats(struct node *node)
{
    struct wire_beat beats[NODE_GROUPS_MAX];
    struct replica_turn *turn = &node->turn;
    bool leads = false;
    turn->round_wanted = false;
    node->last_beat_ns = turn->now_ns;
    node->next_beat_ns = turn->now_ns + node->options.timing.heartbeat_ns;
    for (size_t i = 0; i < node->group_count; i++) {
        if (raft_view(replica_raft(node->groups[i]))->role != RAFT_LEADER)
            continue;
        leads = true;
        replica_begin_round(node->groups[i], turn);
    }
    turn->round_wanted = false; /* this was it */
    for (size_t i = 0; leads && i < node->formation.member_count; i++) {
        struct node_id to = node->formation.members[i].id;
        if (node_id_equal(to, node->formation.self))
            continue;
        struct wire_frame *frame = peer_frame(node->peers, to, WIRE_LINK_CONTROL);
        size_t count = frame ? collect(node, to, beats) : 0;
        if (count)
            wire_add_heartbeat(frame, false, turn->wall_us, beats, (uint32_t)count);
    }
}

static bool is_for(const struct raft *raft, const struct wire_beat *beat, struct node_id self)
{
    const struct raft_configuration *configuration = raft_configuration(raft);
    for (size_t i = 0; i < configuration->member_count; i++)
        if (node_id_equal(configuration->members[i].node, self))
            return replica_id_equal(configuration->members[i].replica, beat->to); /* R5 */
    return false;
}

void node_receive_beats(struct node *node, struct node_id from, const struct wire_message *message)
{
    struct wire_beat answers[NODE_GROUPS_MAX], beat;
    struct slice beats = message->heartbeat.beats;
    bool answer = message->kind == WIRE_HEARTBEAT_ANSWER;
    uint32_t count = 0;
    while (wire_beat_take(&beats, &beat) == STATUS_OK) {
        struct replica *replica = node_group(node, beat.group);
        if (!replica || !is_for(replica_raft(replica), &beat, node->formation.self))
            continue;
        replica_beat(replica, &node->turn, &beat, message->heartbeat.wall_us, answer);
        if (answer || count == NODE_GROUPS_MAX)
            continue;
        const struct raft_view *view = raft_view(replica_raft(replica));
        bool agreed = raft_agrees(replica_raft(replica), beat.from, beat.term); /* RAFT-5 */
        answers[count++] = (struct wire_beat){.group = beat.group,
                                              .from = beat.to,
                                              .to = beat.from,
                                              .term = view->term,
                                              .round = beat.round,
                                              .agreed = agreed};
    }
    struct wire_frame *frame = count ? peer_frame(node->peers, from, WIRE_LINK_CONTROL) : NULL;
    if (frame)
        wire_add_heartbeat(frame, true, node->turn.wall_us, answers, count);
}
