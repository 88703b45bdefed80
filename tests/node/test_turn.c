/* NODE-1, NODE-2, NODE-4, NODE-8: what leaves a node, and when. */
#include "tests/server/stage.h"

#include "node/inside.h"
#include "peer/peer.h"

#include <string.h>

static const struct raft_view *view_of(struct stage *stage, unsigned node, struct group_id group)
{
    return raft_view(replica_raft(stage_replica(stage, node, group)));
}

static bool leads_both(struct stage *stage, void *argument)
{
    unsigned *node = argument;
    for (*node = 0; *node < 3; ++*node)
        if (view_of(stage, *node, GROUP_SYSTEM)->role == RAFT_LEADER &&
            view_of(stage, *node, GROUP_DEFAULT)->role == RAFT_LEADER)
            return true;
    return false;
}

/* A cluster in which one node leads both groups. */
static struct stage *stage_of_one_leader(unsigned *leader)
{
    for (uint64_t seed = 1; seed < 40; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        if (stage_wait(stage, leads_both, leader, 2 * STAGE_SECOND))
            return stage;
        stage_destroy(stage);
    }
    fail_msg("no seed gives one leader of both groups");
    return NULL;
}

/* ---- NODE-1 ---- */

static void watch_roles(struct stage *stage, unsigned node)
{
    struct group_id groups[2] = {GROUP_SYSTEM, GROUP_DEFAULT};
    /* A log has one sync under way: maybe only one of the groups gets so far. */
    for (unsigned i = 0; i < 2; i++) {
        struct replica *replica = stage_replica(stage, node, groups[i]);
        *(bool *)stage->watched |= replica && raft_view(replica_raft(replica))->role == RAFT_LEADER;
    }
}

/* A vote that is not on its disk elects nobody, not even for a moment. */
static void no_vote_leaves_before_it_is_durable(void **state)
{
    (void)state;
    unsigned leader;
    struct stage *stage = stage_of_one_leader(&leader);
    bool led = false;
    stage_run(stage, STAGE_SECOND); /* nothing is under way to the disks */
    stage_kill(stage, leader);
    for (unsigned i = 0; i < 3; i++)
        world_hold_syncs(stage->world, stage->nodes[i].machine, true);
    stage->watched = &led;
    stage->watch = watch_roles;
    stage_run(stage, 8 * STAGE_SECOND);
    assert_false(led); /* NODE-1 */
    for (unsigned i = 0; i < 3; i++)
        world_hold_syncs(stage->world, stage->nodes[i].machine, false);
    assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
    assert_true(led);
    stage_destroy(stage);
}

/* No disk but the leader's takes the entry: nobody is told that it is safe. Two take it: told. */
static void no_accept_leaves_before_it_is_durable(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    assert_string_equal("OK", stage_ask(stage, client, "SET a 0"));
    for (unsigned i = 0; i < 3; i++)
        world_hold_syncs(stage->world, stage->nodes[i].machine, i != leader);
    stage_say(stage, client, "SET a 1");
    assert_string_equal("(none)", stage_reply(stage, client, 500 * STAGE_MS)); /* NODE-1 */
    world_hold_syncs(stage->world, stage->nodes[stage_follower(stage)].machine, false);
    assert_string_equal("OK", stage_reply(stage, client, 500 * STAGE_MS));
    world_hold_syncs(stage->world, stage->nodes[leader].machine,
                     true); /* its own is one of three */
    stage_say(stage, client, "SET a 2");
    assert_string_equal("(none)", stage_reply(stage, client, 500 * STAGE_MS));
    stage_destroy(stage);
}

/* ---- NODE-2 ---- */

static uint64_t last_index(struct stage *stage, unsigned node)
{
    return raft_view(replica_raft(stage_replica(stage, node, GROUP_DEFAULT)))->last_index;
}

static void one_write_leaves_at_once(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    assert_string_equal("PONG", stage_ask(stage, client, "PING"));
    for (unsigned i = 0; i < 20; i++) {
        stage_run(stage, 7 * STAGE_MS);
        uint64_t before_ns = world_now_ns(stage->world);
        assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
        /* client, follower and back: 1 ms; two disks side by side: 0.9 ms; turns */
        assert_true(world_now_ns(stage->world) - before_ns < 3 * STAGE_MS); /* NODE-2 */
    }
    stage_destroy(stage);
}

/* Followers' disks stand still: batches stay unsettled, and yet everything is sent within the gap;
 * but many small writes share a batch. */
static void batches_wait_but_never_stall(void **state)
{
    enum {
        WRITES = 400
    };
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    unsigned client = stage_connect(stage, leader);
    assert_string_equal("OK", stage_ask(stage, client, "SET n 0"));
    for (unsigned i = 0; i < 3; i++)
        world_hold_syncs(stage->world, stage->nodes[i].machine, true);
    uint64_t before = last_index(stage, leader);
    uint64_t sends = world_counters(stage->world, stage->nodes[leader].machine).sends;
    for (unsigned i = 0; i < WRITES; i++) {
        stage_say(stage, client, "INCR n");
        stage_run(stage, 50000);
    }
    stage_run(stage, 3 * STAGE_MS);
    assert_int_equal(before + WRITES, last_index(stage, leader));
    assert_int_equal(before + WRITES, last_index(stage, follower)); /* NODE-2: not stalled */
    sends = world_counters(stage->world, stage->nodes[leader].machine).sends - sends;
    /* 23 ms: a batch each 500 us to two peers, heartbeats, idle messages */
    assert_true(sends < 2 * 46 + 30); /* NODE-2 */
    stage_destroy(stage);
}

/* ---- NODE-4 ---- */

/* Takes apart what node_send_beats put into the open frame to `to`. */
static void count_heartbeats(struct node *node, struct node_id to, unsigned *messages,
                             unsigned *beats)
{
    struct wire_frame *frame = peer_frame(node->peers, peer_at(to, 0), WIRE_LINK_CONTROL);
    struct wire_message message;
    assert_non_null(frame);
    struct slice bytes = slice_of(frame->out->at + frame->start + WIRE_FRAME_HEADER_SIZE,
                                  frame->out->size - frame->start - WIRE_FRAME_HEADER_SIZE);
    *messages = *beats = 0;
    while (wire_message_take(&bytes, &message) == STATUS_OK) {
        assert_int_equal(WIRE_HEARTBEAT, message.kind);
        ++*messages;
        *beats += message.heartbeat.count;
    }
}

static void one_message_for_each_pair(void **state)
{
    (void)state;
    unsigned leader, messages, beats;
    struct stage *stage = stage_of_one_leader(&leader);
    for (unsigned from = 0; from < 3; from++) {
        struct node *node = worker_node(stage->nodes[from].worker);
        node_begin_turn(node);
        node_send_beats(node);
        for (unsigned to = 0; to < 3; to++) {
            if (to == from)
                continue;
            count_heartbeats(node, (struct node_id){to + 1}, &messages, &beats);
            assert_int_equal(from == leader ? 1 : 0, messages); /* NODE-4 */
            assert_int_equal(from == leader ? 2 : 0, beats);
        }
        node_flush(node);
    }
    stage_destroy(stage);
}

/* Hands the leader an answer of `from` that agrees for some groups and disputes others. */
static void answer(struct stage *stage, unsigned leader, unsigned from, bool system, bool standard)
{
    struct node *node = worker_node(stage->nodes[leader].worker);
    struct group_id groups[2] = {GROUP_SYSTEM, GROUP_DEFAULT};
    struct wire_beat beats[2];
    struct wire_frame frame;
    struct wire_message message;
    struct buffer bytes;
    buffer_init(&bytes, 4096);
    for (unsigned i = 0; i < 2; i++) {
        const struct raft_view *view = view_of(stage, leader, groups[i]);
        beats[i] = (struct wire_beat){.group = groups[i],
                                      .from = {from + 1},
                                      .to = view->leader,
                                      .term = view->term,
                                      .round = view->round,
                                      .agreed = i == 0 ? system : standard};
    }
    wire_frame_open(&frame, &bytes);
    wire_add_heartbeat(&frame, true, 0, 0, beats, 2);
    struct slice from_frame =
        slice_of(bytes.at + WIRE_FRAME_HEADER_SIZE, bytes.size - WIRE_FRAME_HEADER_SIZE);
    assert_int_equal(STATUS_OK, wire_message_take(&from_frame, &message));
    node_receive_beats(node, peer_at((struct node_id){from + 1}, 0), &message);
    buffer_deinit(&bytes);
}

static void disputed_groups_are_not_confirmed(void **state)
{
    (void)state;
    unsigned leader;
    struct stage *stage = stage_of_one_leader(&leader);
    struct node *node = worker_node(stage->nodes[leader].worker);
    stage_isolate(stage, leader);
    stage_run(stage, 20 * STAGE_MS);
    node_begin_turn(node);
    node_send_beats(node);
    uint64_t system = view_of(stage, leader, GROUP_SYSTEM)->confirmed_round;
    uint64_t standard = view_of(stage, leader, GROUP_DEFAULT)->confirmed_round;
    assert_true(system < view_of(stage, leader, GROUP_SYSTEM)->round);
    for (unsigned i = 0; i < 3; i++)
        if (i != leader)
            answer(stage, leader, i, true, false);
    assert_int_equal(view_of(stage, leader, GROUP_SYSTEM)->round,
                     view_of(stage, leader, GROUP_SYSTEM)->confirmed_round);
    assert_int_equal(standard, view_of(stage, leader, GROUP_DEFAULT)->confirmed_round); /* NODE-4 */
    for (unsigned i = 0; i < 3; i++)
        if (i != leader)
            answer(stage, leader, i, true, true);
    assert_true(view_of(stage, leader, GROUP_DEFAULT)->confirmed_round > standard);
    stage_destroy(stage);
}

/* ---- NODE-8 ---- */

struct crowd {
    unsigned node;
    uint64_t turns, crowded; /* crowded: more groups were looked at than are written to */
};

static void count_crowds(struct stage *stage, unsigned node)
{
    struct crowd *crowd = stage->watched;
    if (node != crowd->node)
        return;
    crowd->turns++;
    crowd->crowded += node_awake_count(worker_node(stage->nodes[node].worker)) > 3;
}

static bool has_groups(struct stage *stage, void *count)
{
    for (unsigned i = 0; i < 3; i++)
        if (node_group_count(worker_node(stage->nodes[i].worker)) != *(size_t *)count)
            return false;
    return true;
}

/* One of three hundred groups is written to: only heartbeats, which are about all of them, make a
 * turn look at more than a few. */
static void a_turn_looks_at_the_busy_groups(void **state)
{
    enum {
        WRITES = 500
    };
    size_t groups = 302;
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE wide PARTITIONS 300"));
    assert_true(stage_wait(stage, has_groups, &groups, 5 * STAGE_SECOND));
    stage_run(stage, 3 * STAGE_SECOND);
    struct crowd crowd = {.node = leader};
    uint64_t start_ns = world_now_ns(stage->world);
    stage->watched = &crowd;
    stage->watch = count_crowds;
    for (unsigned i = 0; i < WRITES; i++)
        assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
    uint64_t rounds = (world_now_ns(stage->world) - start_ns) / (60 * STAGE_MS) + 2;
    assert_true(crowd.turns > 2 * WRITES);
    /* of each round: sent, two answers, and the rounds of two others; some end in two turns */
    assert_true(crowd.crowded <= 8 * rounds); /* NODE-8 */
    stage_destroy(stage);
}

/* What a thousand idle groups cost is the rounds of heartbeats: of a node with nothing to do half
 * as many, and no lease runs out in between. */
static void idle_groups_are_heard_of_half_as_often(void **state)
{
    enum {
        SECONDS = 6,
        ROUNDS = SECONDS * 1000 / 120
    };
    unsigned leader;
    (void)state;
    struct stage *stage = stage_of_one_leader(&leader);
    const struct raft_view *view = view_of(stage, leader, GROUP_DEFAULT);
    stage_run(stage, STAGE_SECOND);
    uint64_t before = view->round;
    for (unsigned i = 0; i < SECONDS * 10; i++) {
        stage_run(stage, STAGE_SECOND / 10);
        assert_true(view->lease_until_ns > world_now_ns(stage->world)); /* R11 */
    }
    assert_in_range(view->round - before, ROUNDS - 5, ROUNDS + 10);
    unsigned client = stage_connect(stage, leader);
    before = view->round;
    uint64_t end_ns = world_now_ns(stage->world) + STAGE_SECOND;
    while (world_now_ns(stage->world) < end_ns)
        assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
    assert_in_range(view->round - before, 14, 20); /* busy: each 60 ms */
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_vote_leaves_before_it_is_durable),
        cmocka_unit_test(no_accept_leaves_before_it_is_durable),
        cmocka_unit_test(one_write_leaves_at_once),
        cmocka_unit_test(batches_wait_but_never_stall),
        cmocka_unit_test(one_message_for_each_pair),
        cmocka_unit_test(disputed_groups_are_not_confirmed),
        cmocka_unit_test(a_turn_looks_at_the_busy_groups),
        cmocka_unit_test(idle_groups_are_heard_of_half_as_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
