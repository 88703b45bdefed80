/* The catalogue as a node keeps it: the newest view that it has heard of stays (CONTROL-7), and
 * what is not committed is no view at all. */
#include "control/inside.h"
#include "tests/server/stage.h"

#include <string.h>

/* A second follower beside the node's own, so that the test can tell it what the leader answered.
 */
static struct control *second_control(struct stage *stage, unsigned node)
{
    struct control *control = NULL;
    char why[CONTROL_LINE_SIZE];
    struct control_options options = {.join = "",
                                      .client_address = "",
                                      .peer_address = "",
                                      .site = "",
                                      .zone = "",
                                      .host = "",
                                      .tag = 9ull << 40};
    struct io *io = world_io(stage->world, stage->nodes[node].machine, 0);
    assert_int_equal(STATUS_OK, control_create(io, &options, &control, why));
    control_attach(control, worker_node(stage->nodes[node].worker), stage->nodes[node].listen);
    return control;
}

static void add_record(struct reply *reply, const struct record *record)
{
    reply_text(reply, record->key);
    reply_text(reply, record->text);
}

/* An answer of the leader: keyspace `name` at `epoch`. */
static void tell(struct control *control, const char *name, uint64_t epoch)
{
    struct control_keyspace keyspace = {.id = 9, .contract = cluster_contract_default};
    struct control_catalogue counters = {.epoch = epoch, .next_keyspace = 10, .next_group = 10};
    struct record records[2];
    struct buffer bytes;
    buffer_init(&bytes, 1u << 16);
    struct reply reply = {.out = &bytes, .protocol = 2};
    snprintf(keyspace.name, sizeof keyspace.name, "%s", name);
    record_of_keyspace(&records[0], &keyspace);
    record_of_counters(&records[1], &counters);
    reply_array(&reply, 4);
    add_record(&reply, &records[0]);
    add_record(&reply, &records[1]);
    control->is_asking = true;
    struct peer_happening happening = {
        .kind = PEER_MESSAGE,
        .message = {.kind = WIRE_FORWARD_REPLY,
                    .forward_reply = {.session = UINT64_MAX,
                                      .epoch = control->ask_epoch,
                                      .outcome = WIRE_OUTCOME_DONE,
                                      .reply = slice_of_buffer(&bytes)}}};
    assert_true(control_handle_peer(control, &happening));
    buffer_deinit(&bytes);
}

static bool knows(const struct control *control, const char *name)
{
    return catalogue_find_name(control_catalogue(control), slice_of_text(name)) != NULL;
}

static void the_newest_view_stays(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE old"));
    stage_run(stage, STAGE_SECOND);
    struct control *control = second_control(stage, 1);
    tell(control, "told", 50);
    assert_true(knows(control, "told"));
    follow_tick(control); /* the replica here has applied less: epoch 1 */
    assert_true(knows(control, "told"));
    tell(control, "late", 49); /* an answer that was overtaken */
    assert_true(knows(control, "told"));
    tell(control, "newer", 51);
    assert_true(knows(control, "newer"));
    control_destroy(control);
    stage_destroy(stage);
}

/* The leader of `system` executes before the commit: a keyspace that is never committed leaves no
 * group behind, and its ids go to the next one. */
static void what_is_not_committed_is_no_view(void **state)
{
    (void)state;
    struct group_id phantom = {2};
    struct stage *stage = stage_formed(3);
    stage_run(stage, STAGE_SECOND);
    unsigned leader = 0;
    while (!replica_is_serving(stage_replica(stage, leader, GROUP_SYSTEM)))
        leader++;
    unsigned cut_off = stage_connect(stage, leader), other = stage_connect(stage, (leader + 1) % 3);
    assert_string_equal("PONG", stage_ask(stage, cut_off, "PING"));
    stage_isolate(stage, leader);
    stage_say(stage, cut_off, "KEYSPACE CREATE phantom REPLICAS 1");
    stage_run(stage, 300 * STAGE_MS);
    struct store *store = replica_store(stage_replica(stage, leader, GROUP_SYSTEM));
    struct store_key key = store_key_of(0, slice_of_text("partition:2"));
    assert_non_null(store_find(store, &key)); /* executed ... */
    assert_null(stage_replica(stage, leader, phantom));
    stage_run(stage, 2 * STAGE_SECOND);
    stage_heal(stage);
    assert_string_equal("OK", stage_ask(stage, other, "KEYSPACE CREATE real REPLICAS 3"));
    stage_run(stage, 2 * STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++) {
        struct replica *replica = stage_replica(stage, i, phantom);
        assert_non_null(replica);
        assert_int_equal(3, raft_configuration(replica_raft(replica))->member_count);
    }
    stage_destroy(stage);
}

/* The leader of `system` cannot be heard; another member can, and knows of a node that came since
 * (CONTROL-15). */
static void members_by_hearsay(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    stage_run(stage, STAGE_SECOND);
    unsigned leader = 0;
    while (!replica_is_serving(stage_replica(stage, leader, GROUP_SYSTEM)))
        leader++;
    unsigned cut_off = (leader + 1) % 3, other = (leader + 2) % 3;
    struct node *hears = worker_node(stage->nodes[cut_off].worker);
    struct node_member joined = {
        .id = {9}, .client_address = "10.0.0.9:6379", .peer_address = "10.0.0.9:16379"};
    node_add_member(worker_node(stage->nodes[other].worker), &joined);
    stage_run(stage, 3 * STAGE_SECOND);
    assert_null(node_member(hears, joined.id)); /* whoever hears the leader asks nobody */
    world_cut_both(stage->world, stage->nodes[leader].machine, stage->nodes[cut_off].machine);
    stage_run(stage, 5 * STAGE_SECOND);
    assert_non_null(node_member(hears, joined.id));
    assert_string_equal("10.0.0.9:16379", node_member(hears, joined.id)->peer_address);
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_view_stays),
        cmocka_unit_test(what_is_not_committed_is_no_view),
        cmocka_unit_test(members_by_hearsay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
