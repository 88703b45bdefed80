/* Merging the views of three nodes: who knows what best, and what nobody knows. */
#include "tests/holdfast/views.h"

#include <cmocka.h>

struct stage {
    json_t *views[3];
    json_t *merged;
};

static void merge(struct stage *stage, const struct own_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++)
        stage->views[i] = views[i].node ? make_view(&views[i]) : NULL;
    stage->merged = merge_views(stage->views, count);
}

static void end(struct stage *stage, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_decref(stage->views[i]);
    json_decref(stage->merged);
}

static json_t *partition(const struct stage *stage)
{
    return json_array_get(json_object_get(stage->merged, "partitions"), 0);
}

static json_t *replica(const struct stage *stage, int id)
{
    return merge_find(json_object_get(partition(stage), "replicas"), "id", id);
}

static const char *state_of_node(const struct stage *stage, int id)
{
    return merge_text(merge_find(json_object_get(stage->merged, "nodes"), "id", id), "state");
}

static bool is_null(const json_t *object, const char *name)
{
    return json_is_null(json_object_get(object, name));
}

static void test_each_knows_its_own(void **state)
{
    (void)state;
    struct stage stage = {0};
    struct own_view views[] = {healthy_view(2), healthy_view(1), healthy_view(3)};
    merge(&stage, views, 3);
    assert_int_equal(merge_number(partition(&stage), "leader"), 1);
    assert_int_equal(merge_number(replica(&stage, 1), "applied"), 9);
    assert_int_equal(merge_number(replica(&stage, 3), "applied"), 7);     /* by node 3 */
    assert_int_equal(merge_number(replica(&stage, 3), "lag_entries"), 2); /* by the leader */
    assert_string_equal(merge_text(replica(&stage, 3), "because"), "node 3 says so");
    end(&stage, 3);
}

static void test_the_answer_has_exactly_the_fixed_fields(void **state)
{
    static const char *const wanted[] = {"id",      "node",    "role",        "state", "since_ms",
                                         "because", "applied", "lag_entries", "lag_ms"};
    (void)state;
    struct stage stage = {0};
    struct own_view views[] = {healthy_view(2)};
    merge(&stage, views, 1);
    size_t i = 0;
    const char *name;
    json_t *value;
    json_object_foreach(replica(&stage, 3), name, value)
    {
        assert_string_equal(name, wanted[i++]);
    }
    assert_int_equal(i, 9);
    assert_int_equal(json_object_size(partition(&stage)), 6); /* without commit */
    end(&stage, 1);
}

static const char *disk_of(const struct stage *stage, int id)
{
    return merge_text(merge_find(json_object_get(stage->merged, "nodes"), "id", id), "disk");
}

static void test_a_node_knows_its_own_disk_only(void **state) /* ADMIN-2 */
{
    (void)state;
    struct stage stage = {0};
    struct own_view views[] = {healthy_view(1), healthy_view(2)};
    views[1].disk = "full";
    merge(&stage, views, 2);
    assert_string_equal(disk_of(&stage, 1), "ok");
    assert_string_equal(disk_of(&stage, 2), "full");
    assert_string_equal(disk_of(&stage, 3), "-");
    end(&stage, 2);
}

static void test_unknown_is_null(void **state)
{
    (void)state;
    struct stage stage = {0};
    struct own_view views[] = {
        healthy_view(2), {0}, {0}}; /* neither the leader nor node 3 answers */
    merge(&stage, views, 3);
    const json_t *third = replica(&stage, 3), *second = replica(&stage, 2);
    assert_true(is_null(third, "state") && is_null(third, "applied"));
    assert_true(is_null(third, "lag_entries") && is_null(third, "lag_ms"));
    assert_string_equal(merge_text(second, "state"), "ready");
    assert_true(is_null(second, "lag_entries")); /* a follower does not know how far behind it is */
    end(&stage, 3);
}

/* It is paused or cut off from the others; its own word about itself is old or partial. */
static void test_a_leader_sees_who_is_down(void **state)
{
    (void)state;
    struct stage stage = {0};
    struct own_view views[] = {healthy_view(1), healthy_view(3)};
    views[0].states[2] = "down";
    merge(&stage, views, 2);
    assert_string_equal(merge_text(replica(&stage, 3), "state"), "down");
    assert_int_equal(merge_number(replica(&stage, 3), "applied"), 7);
    end(&stage, 2);
}

static void test_the_leader_of_the_higher_term_is_right(void **state)
{
    (void)state;
    struct stage stage = {0};
    struct own_view views[] = {healthy_view(1), healthy_view(2), healthy_view(3)};
    views[1].leader = 2;
    views[1].term = 5;
    views[2].leader = 2;
    views[2].term = 5;
    merge(&stage, views, 3);
    assert_int_equal(merge_number(partition(&stage), "leader"), 2);
    assert_int_equal(merge_number(partition(&stage), "term"), 5);
    assert_string_equal(merge_text(replica(&stage, 1), "role"), "follower");
    end(&stage, 3);
}

static void test_who_knows_a_leader_counts_before_who_knows_a_later_term(void **state)
{
    (void)state;
    struct stage stage = {0};
    struct own_view views[] = {healthy_view(3), healthy_view(1)};
    views[0].leader = 0; /* a lonely candidate */
    views[0].term = 9;
    merge(&stage, views, 2);
    assert_int_equal(merge_number(partition(&stage), "leader"), 1);
    end(&stage, 2);
}

static void test_nodes_that_do_not_answer_us(void **state)
{
    (void)state;
    struct stage stage = {0};
    struct own_view views[] = {healthy_view(1), {0}, healthy_view(3)};
    views[0].up = "udu";
    views[2].up = "udu";
    merge(&stage, views, 3);
    assert_string_equal(state_of_node(&stage, 2), "down");
    end(&stage, 3);
    views[2].up = "uuu"; /* its peers hear it: only we cannot reach it */
    merge(&stage, views, 3);
    assert_string_equal(state_of_node(&stage, 2), "up");
    end(&stage, 3);
}

static void test_another_cluster_behind_an_address(void **state)
{
    (void)state;
    struct stage stage = {0};
    struct own_view views[] = {healthy_view(1), healthy_view(2)};
    views[0].up = "udu";
    views[1].cluster = "stranger";
    views[1].leader = 2;
    views[1].term = 99;
    merge(&stage, views, 2);
    assert_int_equal(merge_number(partition(&stage), "leader"), 1);
    assert_string_equal(state_of_node(&stage, 2), "down");
    assert_true(is_null(replica(&stage, 2), "applied"));
    end(&stage, 2);
}

static void test_leaders_are_counted_by_id(void **state)
{
    (void)state;
    json_t *merged = json_loads("{\"partitions\":[{\"keyspace\":\"y\",\"id\":5,\"leader\":1},"
                                "{\"keyspace\":\"y\",\"id\":6,\"leader\":2},"
                                "{\"keyspace\":\"y\",\"id\":7,\"leader\":0}]}",
                                0, NULL);
    json_t *one = json_loads("[{\"partition\":6}]", 0, NULL); /* 5 was of another y */
    json_t *more = json_loads("[{\"partition\":6},{\"partition\":7},{\"partition\":8}]", 0, NULL);
    assert_int_equal(merge_count_led(merged, one), 1);
    assert_int_equal(merge_count_led(merged, more), 1);
    assert_int_equal(merge_count_led(NULL, more), 0);
    assert_int_equal(merge_count_led(merged, NULL), 0);
    json_decref(merged);
    json_decref(one);
    json_decref(more);
}

static void test_texts_that_are_no_view(void **state)
{
    static const char *const texts[] = {"",
                                        "x",
                                        "[]",
                                        "{}",
                                        "{\"nodes\":[],\"keyspaces\":[]}",
                                        "{\"nodes\":{},\"keyspaces\":[],\"partitions\":[]}",
                                        "{\"nodes\":[],\"keyspaces\":[],\"partitions\":[]} more"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_null(merge_read_view(texts[i], strlen(texts[i])));
}

/* Another version, or a stranger, may say anything inside the right frame. */
static void test_views_with_nonsense_inside(void **state)
{
    static const char *const texts[] = {
        "{\"cluster_id\":7,\"node\":\"x\",\"nodes\":[1,null,{}],\"keyspaces\":[3],"
        "\"partitions\":[0,{},{\"id\":1,\"replicas\":5},{\"id\":2,\"replicas\":[[],{}]}]}",
        "{\"nodes\":[],\"keyspaces\":[],\"partitions\":[{\"id\":1,\"leader\":\"me\"}]}"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        json_t *views[] = {merge_read_view(texts[i], strlen(texts[i])), NULL};
        assert_non_null(views[0]);
        json_t *merged = merge_views(views, 2);
        assert_non_null(merged);
        json_decref(merged);
        json_decref(views[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_knows_its_own),
        cmocka_unit_test(test_the_answer_has_exactly_the_fixed_fields),
        cmocka_unit_test(test_a_node_knows_its_own_disk_only),
        cmocka_unit_test(test_unknown_is_null),
        cmocka_unit_test(test_a_leader_sees_who_is_down),
        cmocka_unit_test(test_the_leader_of_the_higher_term_is_right),
        cmocka_unit_test(test_who_knows_a_leader_counts_before_who_knows_a_later_term),
        cmocka_unit_test(test_nodes_that_do_not_answer_us),
        cmocka_unit_test(test_another_cluster_behind_an_address),
        cmocka_unit_test(test_leaders_are_counted_by_id),
        cmocka_unit_test(test_texts_that_are_no_view),
        cmocka_unit_test(test_views_with_nonsense_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
