/* A node joins a cluster that runs, and what grows with it: `default` and `system` from one voter
 * to three in one joint change (R18), and to five (CONTROL-11, CONTROL-12). */
#include "tests/server/stage.h"

#include <string.h>

static struct stage *alone_of(unsigned nodes)
{
    struct stage *stage = stage_create(&(struct stage_options){.nodes = nodes});
    stage->nodes[0].join[0] = 0;
    for (unsigned i = 1; i < nodes; i++)
        snprintf(stage->nodes[i].join, sizeof stage->nodes[i].join, "%s", stage->nodes[0].listen);
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, stage_has_leader, NULL, 20 * STAGE_SECOND));
    return stage;
}

static bool is_ready(struct stage *stage, void *argument)
{
    unsigned node = *(unsigned *)argument;
    return stage->nodes[node].worker && worker_is_ready(stage->nodes[node].worker);
}

static void join(struct stage *stage, unsigned node)
{
    assert_true(stage_start(stage, node));
    if (!stage_wait(stage, is_ready, &node, 20 * STAGE_SECOND))
        fail_msg("node %u: %s\n%s\n%s", node, stage->nodes[node].why, stage->nodes[node].lines,
                 stage->nodes[node].worker ? worker_unready(stage->nodes[node].worker) : "");
}

static unsigned voters_of(struct stage *stage, unsigned node, struct group_id group)
{
    struct replica *replica = stage_replica(stage, node, group);
    return replica ? replica_voters(replica) : 0;
}

static void one_grows_to_three(void **state)
{
    (void)state;
    struct stage *stage = alone_of(3);
    unsigned client = stage_connect(stage, 0);
    for (unsigned i = 0; i < 50; i++) {
        char request[64];
        snprintf(request, sizeof request, "SET k%u v%u", i, i);
        assert_string_equal("OK", stage_ask(stage, client, request));
    }
    join(stage, 1);
    assert_int_equal(1, voters_of(stage, 0, GROUP_DEFAULT)); /* R18: never two */
    assert_null(stage_replica(stage, 1, GROUP_DEFAULT));
    unsigned other = stage_connect(stage, 1);
    assert_string_equal("v7", stage_ask(stage, other, "GET k7"));
    join(stage, 2);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(3, voters_of(stage, i, GROUP_DEFAULT));
        assert_int_equal(3, voters_of(stage, i, GROUP_SYSTEM));
    }
    const char *info = stage_ask(stage, client, "KEYSPACE INFO default");
    assert_non_null(strstr(info, "replicas 3"));
    assert_non_null(strstr(info, "state settled"));
    /* Three voters: one may go. */
    unsigned leader = stage_leader(stage);
    stage_kill(stage, leader);
    assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
    unsigned third = stage_connect(stage, stage_leader(stage));
    for (unsigned i = 0; i < 50; i++) {
        char request[64], value[16];
        snprintf(request, sizeof request, "GET k%u", i);
        snprintf(value, sizeof value, "v%u", i);
        assert_string_equal(value, stage_ask(stage, third, request));
    }
    assert_string_equal("OK", stage_ask(stage, third, "SET after 1"));
    /* A restart knows the others without asking, and the log its configuration. REPLICA-8 */
    assert_true(stage_start(stage, leader));
    assert_true(stage_wait(stage, is_ready, &leader, 20 * STAGE_SECOND));
    assert_true(stage_wait(stage, stage_is_converged, NULL, 20 * STAGE_SECOND));
    stage_destroy(stage);
}

/* ---- five nodes, and changes of contracts ---- */

static void settle(struct stage *stage, unsigned client, const char *keyspace)
{
    char request[64];
    snprintf(request, sizeof request, "KEYSPACE INFO %s", keyspace);
    for (unsigned i = 0; i < 100; i++) {
        if (!strstr(stage_ask(stage, client, request), "state changing"))
            return;
        stage_run(stage, 100 * STAGE_MS);
    }
    fail_msg("%s", stage_ask(stage, client, request));
}

static void expect_quorums(struct stage *stage, struct group_id group, unsigned voters,
                           unsigned commit, unsigned election)
{
    unsigned found = 0;
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        struct replica *replica = stage_replica(stage, i, group);
        if (!replica)
            continue;
        const struct raft_configuration *now = raft_configuration(replica_raft(replica));
        assert_false(now->joint);
        assert_int_equal(voters, now->member_count);
        assert_int_equal(commit, now->commit_quorum);
        assert_int_equal(election, now->election_quorum);
        found++;
    }
    assert_int_equal(voters, found); /* and nowhere else */
}

static void five_grow_and_change(void **state)
{
    const struct group_id carts = {2};
    (void)state;
    struct stage *stage = alone_of(5);
    unsigned client = stage_connect(stage, 0);
    for (unsigned i = 1; i < 5; i++)
        join(stage, i);
    expect_quorums(stage, GROUP_SYSTEM, 5, 3, 3);
    expect_quorums(stage, GROUP_DEFAULT, 3, 2, 2);
    /* R2: quorums change through a joint configuration. */
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE carts REPLICAS 3 DB 3"));
    assert_string_equal("OK", stage_ask(stage, client, "SELECT 3"));
    assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER carts ACK local"));
    assert_non_null(strstr(stage_ask(stage, client, "KEYSPACE EXPLAIN carts"), "changing: "));
    settle(stage, client, "carts");
    assert_null(strstr(stage_ask(stage, client, "KEYSPACE EXPLAIN carts"), "changing: "));
    stage_run(stage, STAGE_SECOND);
    expect_quorums(stage, carts, 3, 1, 3);
    /* More copies, on nodes that had none; then fewer, and they are gone. */
    assert_string_equal("OK",
                        stage_ask(stage, client, "KEYSPACE ALTER carts REPLICAS 5 ACK quorum"));
    settle(stage, client, "carts");
    stage_run(stage, STAGE_SECOND);
    expect_quorums(stage, carts, 5, 3, 3);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER carts REPLICAS 2"));
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER carts REPLICAS 5"));
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER carts REPLICAS 2"));
    settle(stage, client, "carts");
    stage_run(stage, 2 * STAGE_SECOND);
    expect_quorums(stage, carts, 2, 2, 2);
    /* R5: who comes back comes under a new id, also after a start. NODE-9 */
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER carts REPLICAS 3"));
    settle(stage, client, "carts");
    for (unsigned i = 0; i < 5; i++) {
        stage_kill(stage, i);
        join(stage, i);
    }
    stage_run(stage, 2 * STAGE_SECOND);
    expect_quorums(stage, carts, 3, 2, 2);
    client = stage_connect(stage, 2);
    assert_string_equal("OK", stage_ask(stage, client, "SELECT carts"));
    assert_string_equal("1", stage_ask(stage, client, "GET a"));
    stage_destroy(stage);
}

static void alter(struct stage *stage, unsigned client, const char *contract)
{
    char request[64];
    snprintf(request, sizeof request, "KEYSPACE ALTER carts %s", contract);
    assert_string_equal("OK", stage_ask(stage, client, request));
    settle(stage, client, "carts");
}

/* One append brings it more configurations than a replica takes at a time. */
static void a_learner_takes_many_configurations(void **state)
{
    (void)state;
    struct stage *stage = alone_of(3);
    unsigned client = stage_connect(stage, 0);
    join(stage, 1);
    join(stage, 2);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE carts REPLICAS 2"));
    for (unsigned i = 0; i < 8; i++)
        alter(stage, client, i % 2 ? "ACK quorum" : "ACK local");
    alter(stage, client, "REPLICAS 3");
    stage_run(stage, STAGE_SECOND);
    expect_quorums(stage, (struct group_id){2}, 3, 2, 2);
    stage_destroy(stage);
}

/* R5: while a node is down its replica goes, and another one of it is wanted. */
static void who_was_removed_unseen_comes_anew(void **state)
{
    (void)state;
    struct stage *stage = alone_of(3);
    unsigned client = stage_connect(stage, 0);
    join(stage, 1);
    join(stage, 2);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE carts"));
    stage_kill(stage, 1); /* the one that stays is node 3 */
    stage_run(stage, 2 * STAGE_SECOND);
    alter(stage, client, "REPLICAS 1");
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER carts REPLICAS 3"));
    stage_run(stage, STAGE_SECOND);
    assert_true(stage_start(stage, 1));
    settle(stage, client, "carts");
    stage_run(stage, STAGE_SECOND);
    expect_quorums(stage, (struct group_id){2}, 3, 2, 2);
    stage_destroy(stage);
}

/* A change that did not come to its end is taken back: the same replicas, under the same ids. */
static void a_change_is_taken_back(void **state)
{
    (void)state;
    struct stage *stage = alone_of(3);
    unsigned client = stage_connect(stage, 0);
    join(stage, 1);
    join(stage, 2);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE carts"));
    stage_run(stage, STAGE_SECOND);
    stage_kill(stage, 1);
    stage_kill(stage, 2);
    (void)stage_start(stage, 1);
    assert_true(stage_wait(stage, stage_has_leader, NULL, 20 * STAGE_SECOND));
    client = stage_connect(stage, 0);
    for (unsigned i = 0; i < 6; i++) {
        assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER carts REPLICAS 1"));
        assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER carts REPLICAS 3"));
        stage_run(stage, i * 10 * STAGE_MS);
    }
    assert_true(stage_start(stage, 2));
    settle(stage, client, "carts");
    stage_run(stage, STAGE_SECOND);
    expect_quorums(stage, (struct group_id){2}, 3, 2, 2);
    stage_destroy(stage);
}

/* ---- who may join ---- */

static bool has_stopped(struct stage *stage, void *argument)
{
    return !stage->nodes[*(unsigned *)argument].worker;
}

/* At whatever call it dies: the same node comes back, and its id is given once (CONTROL-11). */
static void who_dies_while_it_joins_is_the_same_node(void **state)
{
    (void)state;
    for (unsigned call = 1; call < 40; call += 3) {
        struct stage *stage = alone_of(2);
        world_crash_at_call(stage->world, stage->nodes[1].machine, call, call % 2);
        (void)stage_start(stage, 1);
        stage_run(stage, 3 * STAGE_SECOND);
        world_crash_at_call(stage->world, stage->nodes[1].machine, 0, false);
        if (!stage->nodes[1].worker) {
            stage_power_cut(stage, 1); /* what a process left behind must bear that, too */
            assert_true(stage_start(stage, 1));
        }
        assert_true(stage_wait(stage, is_ready, &(unsigned){1}, 20 * STAGE_SECOND));
        const struct node_formation *formation =
            node_formation(worker_node(stage->nodes[0].worker));
        assert_int_equal(2, formation->member_count);
        assert_int_equal(2, formation->members[1].id.value);
        stage_destroy(stage);
    }
}

static void a_wiped_node_is_not_taken_for_itself(void **state)
{
    (void)state;
    struct stage *stage = alone_of(2);
    unsigned wiped = 1;
    join(stage, wiped);
    stage_power_cut(stage, wiped);
    world_wipe_disk(stage->world, stage->nodes[wiped].machine);
    assert_true(stage_start(stage, wiped));
    assert_true(stage_wait(stage, has_stopped, &wiped, 5 * STAGE_SECOND)); /* CONTROL-2 */
    assert_non_null(strstr(stage->nodes[wiped].why, "is already node 2"));
    stage_destroy(stage);
}

/* ---- the list of --join ---- */

static size_t members_of(struct stage *stage, unsigned node)
{
    return node_formation(worker_node(stage->nodes[node].worker))->member_count;
}

/* Nobody was taken in: the member that would be dead for good is the harm. */
static void expect_turned_away(struct stage *stage, const char *line)
{
    assert_true(stage_start(stage, 1));
    assert_true(stage_wait(stage, has_stopped, &(unsigned){1}, 5 * STAGE_SECOND));
    if (!strstr(stage->nodes[1].why, line))
        print_error("said: %s\n", stage->nodes[1].why);
    assert_non_null(strstr(stage->nodes[1].why, line));
    assert_int_equal(1, members_of(stage, 0));
}

static struct stage *alone_known_as(const char *listen, const char *known, const char *peer)
{
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 2});
    struct stage_node *first = &stage->nodes[0];
    memcpy(stage->nodes[1].join, first->listen, sizeof first->listen);
    snprintf(first->listen, sizeof first->listen, "%s", listen);
    snprintf(first->peer_listen, sizeof first->peer_listen, "%s", peer);
    snprintf(first->join, sizeof first->join, "%s", known);
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, stage_has_leader, NULL, 20 * STAGE_SECOND));
    return stage;
}

/* NODE-5 holds a member to its list at each start, so one that fails there must not be taken in. */
static void a_member_under_another_name(void **state)
{
    (void)state;
    struct stage *stage = alone_known_as("0.0.0.0:6379", "localhost:6379", "10.0.0.1:16379");
    expect_turned_away(
        stage, "10.0.0.1:6379 is known to its cluster as localhost:6379: name it so in --join");
    stage_destroy(stage);
    /* A name that it has from its own list is as good as any. */
    stage = alone_known_as("0.0.0.0:6379", "10.0.0.1:6379", "10.0.0.1:16379");
    join(stage, 1);
    assert_int_equal(2, members_of(stage, 0));
    stage_destroy(stage);
}

static void a_member_that_is_everywhere(void **state)
{
    static const char *const places[][3] = {{"0.0.0.0:6379", "", "0.0.0.0:16379"},
                                            {"0.0.0.0:6379", "", "10.0.0.1:16379"},
                                            {"10.0.0.1:6379", "", "0.0.0.0:16379"}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stage *stage = alone_known_as(places[i][0], places[i][1], places[i][2]);
        char line[160];
        snprintf(line, sizeof line, "node 1 is known to its cluster as %s (%s between nodes)",
                 places[i][0], places[i][2]);
        expect_turned_away(stage, line);
        assert_non_null(strstr(stage->nodes[1].why, "start that node with --listen"));
        /* The cure. */
        snprintf(stage->nodes[0].listen, sizeof stage->nodes[0].listen, "10.0.0.1:6379");
        snprintf(stage->nodes[0].peer_listen, sizeof stage->nodes[0].peer_listen, "10.0.0.1:16379");
        stage_kill(stage, 0);
        assert_true(stage_start(stage, 0));
        assert_true(stage_wait(stage, stage_has_leader, NULL, 20 * STAGE_SECOND));
        join(stage, 1);
        assert_int_equal(2, members_of(stage, 0));
        stage_destroy(stage);
    }
}

/* Silent, or without a cluster: it may become a member yet, and until then nobody is taken in. */
static void a_list_with_one_that_is_no_member(void **state)
{
    (void)state;
    for (unsigned runs = 0; runs < 2; runs++) {
        struct stage *stage = alone_of(3);
        snprintf(stage->nodes[1].join, sizeof stage->nodes[1].join, "%s,%s", stage->nodes[0].listen,
                 stage->nodes[2].listen);
        if (runs) {
            snprintf(stage->nodes[2].join, sizeof stage->nodes[2].join, "10.0.0.9:6379");
            assert_true(stage_start(stage, 2));
        }
        assert_true(stage_start(stage, 1));
        stage_run(stage, 3 * STAGE_SECOND);
        assert_non_null(strstr(stage->nodes[1].lines,
                               "waiting for 10.0.0.3:6379, named by --join, to be a member"));
        assert_int_equal(1, members_of(stage, 0));
        if (runs)
            stage_kill(stage, 2);
        memcpy(stage->nodes[2].join, stage->nodes[0].listen, sizeof stage->nodes[0].listen);
        join(stage, 2);
        assert_true(stage_wait(stage, is_ready, &(unsigned){1}, 20 * STAGE_SECOND));
        assert_int_equal(3, members_of(stage, 0));
        stage_destroy(stage);
    }
}

/* Which of two clusters would take it in was chance. */
static void a_list_of_two_clusters(void **state)
{
    (void)state;
    struct stage *stage = alone_of(3);
    stage->nodes[2].join[0] = 0;
    assert_true(stage_start(stage, 2));
    stage_run(stage, STAGE_SECOND);
    snprintf(stage->nodes[1].join, sizeof stage->nodes[1].join, "%s,%s", stage->nodes[0].listen,
             stage->nodes[2].listen);
    expect_turned_away(stage, "name members of one cluster");
    assert_int_equal(1, members_of(stage, 2));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_grows_to_three),
        cmocka_unit_test(five_grow_and_change),
        cmocka_unit_test(a_learner_takes_many_configurations),
        cmocka_unit_test(who_was_removed_unseen_comes_anew),
        cmocka_unit_test(a_change_is_taken_back),
        cmocka_unit_test(who_dies_while_it_joins_is_the_same_node),
        cmocka_unit_test(a_wiped_node_is_not_taken_for_itself),
        cmocka_unit_test(a_member_under_another_name),
        cmocka_unit_test(a_member_that_is_everywhere),
        cmocka_unit_test(a_list_with_one_that_is_no_member),
        cmocka_unit_test(a_list_of_two_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
