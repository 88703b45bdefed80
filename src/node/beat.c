/* Heartbeats, R6: one message for each pair of workers that share groups, listing every group that
 * the sender leads. NODE-4 */
#include "node/inside.h"

#include "base/memory.h"

#define LEVEL_BEHIND 1

static void add_beat(struct beats *beats, const struct wire_beat *beat)
{
    if (beats->count == beats->capacity) {
        beats->capacity = beats->capacity ? 2 * beats->capacity : 16;
        beats->at = memory_resize(beats->at, beats->capacity * sizeof *beats->at);
    }
    beats->at[beats->count++] = *beat;
}

static struct beats *beats_to(struct node *node, struct peer_id to)
{
    for (size_t i = 0; i < node->beats_count; i++)
        if (peer_id_equal(node->beats[i].to, to))
            return &node->beats[i];
    node->beats = memory_resize(node->beats, (node->beats_count + 1) * sizeof *node->beats);
    node->beats[node->beats_count] = (struct beats){.to = to};
    return &node->beats[node->beats_count++];
}

/* What the receiver is behind, and one; 0: a build of an earlier level takes no more than that. */
static uint64_t behind_of(const struct node *node, const struct replica *replica,
                          struct replica_id member)
{
    struct raft_progress progress;
    if (node->level < LEVEL_BEHIND || raft_progress(replica_raft(replica), member, &progress))
        return 0; /* this replica itself */
    uint64_t bytes = replica_peer_behind(replica, &progress);
    return bytes + 1 < WIRE_BEHIND_UNKNOWN ? bytes + 1 : WIRE_BEHIND_UNKNOWN;
}

static void gather(struct node *node, const struct replica *replica)
{
    const struct raft_view *view = raft_view(replica_raft(replica));
    const struct raft_configuration *configuration = raft_configuration(replica_raft(replica));
    if (view->role != RAFT_LEADER)
        return; /* no quorum answers: it has just stepped down */
    for (size_t m = 0; m < configuration->member_count; m++) {
        const struct raft_member *member = &configuration->members[m];
        struct wire_beat beat = {.group = replica_group(replica),
                                 .from = view->leader,
                                 .to = member->replica,
                                 .term = view->term,
                                 .round = view->round,
                                 .commit = view->commit,
                                 .behind = behind_of(node, replica, member->replica)};
        if (!node_id_equal(member->node, node->formation.self))
            add_beat(beats_to(node, peer_of(node->peers, member->node, beat.group)), &beat);
    }
}

/* ---- what they say of their nodes ---- */

/* Clients of what it led would wait until it has loaded. What is at rest is current. */
static bool is_loading(const struct node *node)
{
    const struct list *link = node->started ? node->awake.next : &node->awake;
    for (; link != &node->awake; link = link->next)
        if (!replica_is_current(list_item(link, struct group, awake)->replica))
            return true;
    return false;
}

static uint8_t own_state(const struct node *node)
{
    bool unfit = node_disk(node) != NODE_DISK_WELL || is_loading(node);
    return (uint8_t)((node->ends ? WIRE_NODE_ENDS : 0) | (unfit ? WIRE_NODE_FULL : 0));
}

static void note_state(struct node *node, struct node_id from, uint8_t state)
{
    size_t i = 0;
    while (i < node->state_count && !node_id_equal(node->states[i].node, from))
        i++;
    if (i == NODE_MEMBERS_MAX)
        return;
    node->states[i] = (struct node_state){from, state};
    node->state_count += i == node->state_count;
}

unsigned node_state_of(const struct node *node, struct node_id id)
{
    for (size_t i = 0; i < node->state_count; i++)
        if (node_id_equal(node->states[i].node, id))
            return node->states[i].state;
    return 0;
}

/* ---- sending and receiving ---- */

void node_send_beats(struct node *node)
{
    struct replica_turn *turn = &node->turn;
    node->last_beat_ns = turn->now_ns;
    node->stirred = false;
    awake_note_leading(node); /* who was elected just now is listed, too */
    struct replica *next[REPLICA_FETCH_MAX];
    for (struct list *link = node->leading.next; link != &node->leading;) {
        size_t count = 0;
        for (; link != &node->leading && count < REPLICA_FETCH_MAX; link = link->next)
            next[count++] = list_item(link, struct group, leading)->replica;
        replica_fetch(next, count);
        for (size_t i = 0; i < count; i++) {
            replica_begin_round(next[i], turn);
            gather(node, next[i]);
        }
    }
    turn->round_wanted = false; /* this was it */
    for (size_t i = 0; i < node->beats_count; i++) {
        struct beats *beats = &node->beats[i];
        struct wire_frame *frame =
            beats->count ? peer_frame(node->peers, beats->to, WIRE_LINK_CONTROL) : NULL;
        if (frame)
            wire_add_heartbeat(frame, false, own_state(node), turn->wall_us, beats->at,
                               (uint32_t)beats->count);
        beats->count = 0;
    }
}

void beats_deinit(struct node *node)
{
    for (size_t i = 0; i < node->beats_count; i++)
        memory_free(node->beats[i].at);
    memory_free(node->beats);
    memory_free(node->answers.at);
}

/* The groups of the next beats; returns of how many beats, 0: none is left. */
static size_t look_ahead(struct node *node, struct slice beats)
{
    struct replica *next[REPLICA_FETCH_MAX];
    struct wire_beat beat;
    size_t seen = 0, count = 0;
    for (; seen < REPLICA_FETCH_MAX && wire_beat_take(&beats, &beat) == STATUS_OK; seen++) {
        struct replica *replica = node_group(node, beat.group);
        if (replica)
            next[count++] = replica;
    }
    replica_fetch(next, count);
    return seen;
}

static void receive_beat(struct node *node, struct peer_id from, const struct wire_beat *beat,
                         int64_t wall_us, bool answer)
{
    struct replica *replica = node_group(node, beat->group);
    if (!replica || !replica_id_equal(beat->to, replica_self(replica))) /* R5 */
        return;
    replica_heard(replica, beat->from, from.node);
    replica_beat(replica, &node->turn, beat, wall_us, answer);
    if (answer)
        return;
    const struct raft_view *view = raft_view(replica_raft(replica));
    bool agreed = raft_agrees(replica_raft(replica), beat->from, beat->term); /* RAFT-5 */
    struct wire_beat said = {.group = beat->group,
                             .from = beat->to,
                             .to = beat->from,
                             .term = view->term,
                             .round = beat->round,
                             .agreed = agreed};
    add_beat(&node->answers, &said);
}

/* One group's beat is as good as another's: all leave together. */
static void note_round_trip(struct node *node, struct node_id from, struct slice beats)
{
    struct wire_beat beat;
    if (wire_beat_take(&beats, &beat))
        return;
    struct replica *replica = node_group(node, beat.group);
    if (replica && beat.agreed)
        sight_note_round_trip(node, from, raft_round_began_ns(replica_raft(replica), beat.round));
}

void node_receive_beats(struct node *node, struct peer_id from, const struct wire_message *message)
{
    struct wire_beat beat;
    struct slice beats = message->heartbeat.beats;
    bool answer = message->kind == WIRE_HEARTBEAT_ANSWER;
    size_t ahead = 0;
    note_state(node, from.node, message->heartbeat.state);
    if (answer)
        note_round_trip(node, from.node, beats);
    node->answers.count = 0;
    for (;;) {
        if (!ahead)
            ahead = look_ahead(node, beats);
        if (!ahead || wire_beat_take(&beats, &beat))
            break;
        ahead--;
        receive_beat(node, from, &beat, message->heartbeat.wall_us, answer);
    }
    struct beats *answers = &node->answers;
    struct wire_frame *frame =
        answers->count ? peer_frame(node->peers, from, WIRE_LINK_CONTROL) : NULL;
    if (frame)
        wire_add_heartbeat(frame, true, own_state(node), node->turn.wall_us, answers->at,
                           (uint32_t)answers->count);
}
