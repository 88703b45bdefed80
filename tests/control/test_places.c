/* Where partitions are in a whole cluster, and what PARTITION EXPLAIN says of it: nodes that name
 * their fault domains, and their weight. */
#include "tests/server/stage.h"

#include <string.h>

static bool are_ready(struct stage *stage, void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (!stage->nodes[i].worker || !worker_is_ready(stage->nodes[i].worker))
            return false;
    return true;
}

/* The nodes have their names by then. */
static void start_all(struct stage *stage)
{
    for (unsigned i = 0; i < stage->options.nodes; i++)
        assert_true(stage_start(stage, i));
    assert_true(stage_wait(stage, are_ready, NULL, 20 * STAGE_SECOND));
}

static void expect(struct stage *stage, unsigned client, const char *request, const char *says)
{
    for (unsigned i = 0; i < 200; i++) {
        if (strstr(stage_ask(stage, client, request), says))
            return;
        stage_run(stage, 100 * STAGE_MS);
    }
    fail_msg("'%s' is not in: %s", says, stage_ask(stage, client, request));
}

static bool is_on_three_zones(struct stage *stage, void *unused)
{
    bool right = true;
    (void)unused;
    for (unsigned i = 0; i < 5; i++)
        right &= (i == 0 || i > 2) == (stage_replica(stage, i, GROUP_DEFAULT) != NULL);
    return right;
}

/* CLUSTER-6: the first three of five would be in one zone. */
static void default_is_placed_over_zones(void **state)
{
    static const char *const zones[] = {"a", "a", "a", "b", "c"};
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 5});
    for (unsigned i = 0; i < 5; i++)
        stage->nodes[i].zone = zones[i];
    start_all(stage);
    unsigned client = stage_connect(stage, 2);
    expect(stage, client, "KEYSPACE INFO default", "nodes 1 4 5 state settled");
    expect(stage, client, "KEYSPACE INFO system", "nodes 1 2 3 4 5 state settled");
    expect(stage, client, "PARTITION EXPLAIN 1", "zone: a 1, b 1, c 1; siblings differ by one");
    expect(stage, client, "PARTITION EXPLAIN 1", "plan: nothing would move");
    assert_true(stage_wait(stage, is_on_three_zones, NULL, 20 * STAGE_SECOND));
    assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
    /* A new keyspace goes by the zones, too, and by SPREAD. */
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE carts SPREAD zone"));
    expect(stage, client, "PARTITION EXPLAIN 2", "zone: a 1, b 1, c 1");
    expect(stage, client, "KEYSPACE CREATE x SPREAD zone REPLICAS 4",
           "needs 4 zones, and the nodes have 3: REPLICAS 3 works, or no SPREAD");
    expect(stage, client, "KEYSPACE CREATE x SPREAD host", "none said --host");
    for (unsigned i = 0; i < 5; i++) { /* NODE-9: births that have gone stay away */
        stage_kill(stage, i);
        assert_true(stage_start(stage, i));
        assert_true(stage_wait(stage, are_ready, NULL, 20 * STAGE_SECOND));
    }
    assert_true(is_on_three_zones(stage, NULL));
    assert_string_equal("1", stage_ask(stage, stage_connect(stage, 1), "GET a"));
    stage_destroy(stage);
}

static void births_stay_where_nobody_is_asked(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 5});
    start_all(stage);
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE INFO default", "nodes 1 2 3 state settled");
    expect(stage, client, "PARTITION EXPLAIN 1", "zone: no node names one");
    stage_destroy(stage);
}

/* A founder, one that says another weight at its next start, and one that joins. */
static void weights_are_known(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
    stage->nodes[0].join[0] = 0;
    for (unsigned i = 1; i < 3; i++)
        snprintf(stage->nodes[i].join, sizeof stage->nodes[i].join, "%s", stage->nodes[0].listen);
    stage->nodes[0].weight = 300;
    stage->nodes[2].weight = 50;
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, stage_has_leader, NULL, 20 * STAGE_SECOND));
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "PARTITION EXPLAIN 1", "node 1: has a copy; 2 replicas at weight 300");
    assert_true(stage_start(stage, 1));
    expect(stage, client, "STATUS", "\"id\":2");
    assert_true(stage_start(stage, 2));
    assert_true(stage_wait(stage, are_ready, NULL, 20 * STAGE_SECOND));
    expect(stage, client, "PARTITION EXPLAIN 1", "at weight 50");
    expect(stage, client, "PARTITION EXPLAIN 1", "at weight 100");
    stage_kill(stage, 1);
    stage->nodes[1].weight = 700;
    assert_true(stage_start(stage, 1));
    expect(stage, client, "PARTITION EXPLAIN 1", "at weight 700");
    stage_destroy(stage);
}

/* What is placed counts for what is placed next, also within one ALTER. */
static void copies_that_come_are_spread(void **state)
{
    unsigned carried[6] = {0};
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 5});
    start_all(stage);
    unsigned client = stage_connect(stage, 0);
    assert_string_equal("OK",
                        stage_ask(stage, client, "KEYSPACE CREATE wide PARTITIONS 10 REPLICAS 1"));
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER wide REPLICAS 2"));
    const char *info = stage_ask(stage, client, "KEYSPACE INFO wide");
    for (const char *at = info; (at = strstr(at, "nodes ")) != NULL; at++) {
        unsigned first = 0, second = 0;
        assert_int_equal(2, sscanf(at, "nodes %u %u", &first, &second));
        carried[first]++;
        carried[second]++;
    }
    /* `default` is on the first three: the others get one more. */
    for (unsigned i = 1; i <= 5; i++)
        assert_in_range(carried[i], 3, 5);
    stage_destroy(stage);
}

static void refusals(void **state)
{
    static const struct {
        const char *request, *says;
    } table[] = {
        {"PARTITION", "arguments for 'partition' command: EXPLAIN"},
        {"PARTITION EXPLAIN", "PARTITION takes EXPLAIN partition"},
        {"PARTITION EXPLAIN 1 2", "TRANSFER partition TO node"},
        {"PARTITION LOOK 1", "PARTITION knows EXPLAIN"},
        {"PARTITION EXPLAIN 77", "there is no partition '77': KEYSPACE INFO name shows those"},
        {"PARTITION EXPLAIN -1", "there is no partition '-1'"},
        {"PARTITION EXPLAIN carts", "there is no partition 'carts'"},
        {"PARTITION EXPLAIN 2", "there is no partition '2'"},
    };
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 1);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE gone"));
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE DROP gone"));
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *reply = stage_ask(stage, client, table[i].request);
        if (reply[0] != '-' || !strstr(reply, table[i].says))
            fail_msg("%s: %s", table[i].request, reply);
    }
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_is_placed_over_zones),
        cmocka_unit_test(births_stay_where_nobody_is_asked),
        cmocka_unit_test(weights_are_known),
        cmocka_unit_test(copies_that_come_are_spread),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
