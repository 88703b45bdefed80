/* The sentence of health. */
#include "holdfast/health.h"
#include "tests/holdfast/views.h"

#include <cmocka.h>

static struct health health_of_views(const struct own_view *views, size_t count)
{
    json_t *made[3] = {0};
    for (size_t i = 0; i < count; i++)
        made[i] = make_view(&views[i]);
    json_t *merged = merge_views(made, count);
    struct health health = health_of(merged);
    json_decref(merged);
    for (size_t i = 0; i < count; i++)
        json_decref(made[i]);
    return health;
}

static void test_all_is_well(void **state)
{
    (void)state;
    struct own_view views[] = {healthy_view(1), healthy_view(2), healthy_view(3)};
    struct health health = health_of_views(views, 3);
    assert_true(health.good);
    assert_string_equal(health.sentence,
                        "3 of 3 nodes up; every partition has a leader; can lose 1 node");
}

static void test_a_node_is_down(void **state)
{
    (void)state;
    struct own_view views[] = {healthy_view(1), healthy_view(2)};
    for (int i = 0; i < 2; i++)
        views[i].up = "uud";
    views[0].states[2] = "down";
    struct health health = health_of_views(views, 2);
    assert_false(health.good);
    assert_string_equal(health.sentence,
                        "2 of 3 nodes up (node 3 at n3:1 is down); every partition "
                        "has a leader; can lose no node");
}

static void test_the_majority_is_down(void **state)
{
    (void)state;
    struct own_view views[] = {healthy_view(3)};
    views[0].up = "ddu";
    struct health health = health_of_views(views, 1);
    assert_false(health.good);
    assert_string_equal(health.sentence, "1 of 3 nodes up; no leader for 1 partition (default/1); "
                                         "reads and writes are refused until a majority is back");
}

static void test_a_replica_catches_up(void **state)
{
    (void)state;
    struct own_view views[] = {healthy_view(1), healthy_view(2), healthy_view(3)};
    views[1].states[1] = "catching_up";
    struct health health = health_of_views(views, 3);
    assert_false(health.good);
    assert_string_equal(
        health.sentence,
        "3 of 3 nodes up; every partition has a leader; replica 1/2 is catching_up: "
        "node 2 says so; can lose no node");
}

/* All are there, and nobody leads yet: nothing is lost that must come back. */
static void test_nobody_leads(void **state)
{
    (void)state;
    struct own_view views[] = {healthy_view(1), healthy_view(2), healthy_view(3)};
    for (int i = 0; i < 3; i++) {
        views[i].leader = 0;
        views[i].states[i] = "catching_up";
    }
    struct health health = health_of_views(views, 3);
    assert_false(health.good);
    assert_non_null(strstr(health.sentence, "; reads and writes wait until a leader is elected"));
    assert_null(strstr(health.sentence, "majority"));
}

static void test_a_state_that_nobody_knows(void **state)
{
    (void)state;
    struct own_view views[] = {healthy_view(2), healthy_view(3)};
    struct health health = health_of_views(views, 2);
    assert_false(health.good);
    assert_non_null(strstr(health.sentence, "; the state of replica 1/1 is unknown: neither it"));
}

static void test_a_full_disk(void **state)
{
    (void)state;
    struct own_view views[] = {healthy_view(1), healthy_view(2), healthy_view(3)};
    views[1].disk = "full";
    struct health health = health_of_views(views, 3);
    assert_false(health.good);
    assert_non_null(strstr(health.sentence, "; the disk of node 2 at n2:1 is full: while"));
    views[2].disk = "full";
    health = health_of_views(views, 3);
    assert_non_null(strstr(health.sentence, "; the disks of 2 nodes are full: while"));
}

/* ACK local, FAILOVER safe: the leader alone is its quorum, and an election needs all. */
static struct health health_of_one_copy(const struct own_view *view)
{
    json_t *made = make_view(view);
    json_t *keyspace = json_array_get(json_object_get(made, "keyspaces"), 0);
    json_object_set_new(keyspace, "commit_quorum", json_integer(1));
    json_object_set_new(keyspace, "election_quorum", json_integer(3));
    json_t *merged = merge_views(&made, 1);
    struct health health = health_of(merged);
    json_decref(merged);
    json_decref(made);
    return health;
}

static void test_quorums_of_the_contract(void **state)
{
    (void)state;
    for (int down = 0; down < 3; down++) {
        struct own_view view = healthy_view(1);
        view.up = down == 0 ? "uuu" : down == 1 ? "uud" : "udd";
        for (int i = 3 - down; i < 3; i++)
            view.states[i] = "down";
        struct health health = health_of_one_copy(&view);
        assert_null(strstr(health.sentence, "writes are refused"));
        assert_non_null(strstr(health.sentence, "can lose no node"));
    }
}

/* The same keyspace without its leader: two followers are a majority, and may not elect. */
static void test_only_the_leader_helps(void **state)
{
    (void)state;
    for (int down = 1; down < 3; down++) {
        struct own_view view = healthy_view(3);
        view.up = down == 1 ? "duu" : "ddu";
        view.leader = 0;
        for (int i = 0; i < down; i++)
            view.states[i] = "down";
        struct health health = health_of_one_copy(&view);
        assert_null(strstr(health.sentence, "majority"));
        assert_non_null(
            strstr(health.sentence,
                   down == 1 ? "; default/1 waits for node 1 at n1:1: its contract lets nobody "
                               "lead without that one"
                             : "; reads and writes of default/1 are refused until 2 more of its "
                               "replicas are back"));
    }
}

static void test_no_cluster_yet(void **state)
{
    const char *text = "{\"cluster_id\":null,\"nodes\":[],\"keyspaces\":[],\"partitions\":[]}";
    (void)state;
    json_t *view = merge_read_view(text, strlen(text)), *merged = merge_views(&view, 1);
    struct health health = health_of(merged);
    assert_false(health.good);
    assert_string_equal(health.sentence, "this node is not part of a cluster yet");
    json_decref(merged);
    json_decref(view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_is_well),
        cmocka_unit_test(test_a_node_is_down),
        cmocka_unit_test(test_the_majority_is_down),
        cmocka_unit_test(test_a_replica_catches_up),
        cmocka_unit_test(test_quorums_of_the_contract),
        cmocka_unit_test(test_only_the_leader_helps),
        cmocka_unit_test(test_no_cluster_yet),
        cmocka_unit_test(test_nobody_leads),
        cmocka_unit_test(test_a_full_disk),
        cmocka_unit_test(test_a_state_that_nobody_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
