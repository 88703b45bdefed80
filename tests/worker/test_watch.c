/* WORKER-4: what hooks are told of leaders and states. */
#include "tests/server/stage.h"

#include <stdio.h>
#include <string.h>

static struct stage *stage_of(unsigned nodes, unsigned workers)
{
    return stage_formed_with(
        &(struct stage_options){.nodes = nodes, .workers = workers, .watches = true});
}

/* One line of what a node would have told its hooks. */
struct wanted {
    unsigned node;
    char line[160];
};

static struct wanted wanted_of(struct stage *stage, unsigned node, const char *what,
                               unsigned leader)
{
    struct wanted wanted = {.node = node};
    if (leader == STAGE_NONE)
        snprintf(wanted.line, sizeof wanted.line, "leader default 1 %s 0 -\n", what);
    else
        snprintf(wanted.line, sizeof wanted.line, "leader default 1 %s %u %s\n", what, leader + 1,
                 stage->nodes[leader].listen);
    return wanted;
}

static bool is_told(struct stage *stage, void *argument)
{
    const struct wanted *wanted = argument;
    return strstr(stage->nodes[wanted->node].changes, wanted->line);
}

/* A failing test shows what was told instead. */
static void wait_told(struct stage *stage, struct wanted wanted)
{
    if (!stage_wait(stage, is_told, &wanted, 5 * STAGE_SECOND))
        assert_string_equal(wanted.line, stage->nodes[wanted.node].changes);
}

static void a_failover_is_told_everywhere(void **state)
{
    (void)state;
    struct stage *stage = stage_of(3, 1);
    unsigned old = stage_leader(stage), third = 0;
    for (unsigned i = 0; i < 3; i++)
        wait_told(stage, wanted_of(stage, i, i == old ? "leader" : "follower", old));
    stage_isolate(stage, old);
    assert_true(stage_wait(stage, stage_has_other_leader, &old, 5 * STAGE_SECOND));
    unsigned leader = stage_leader(stage);
    for (unsigned i = 0; i < 3; i++)
        third = i != old && i != leader ? i : third;
    wait_told(stage, wanted_of(stage, leader, "leader", leader));
    wait_told(stage, wanted_of(stage, third, "follower", leader));
    wait_told(stage, wanted_of(stage, old, "follower", STAGE_NONE)); /* it gave up by itself */
    stage_heal(stage);
    wait_told(stage, wanted_of(stage, old, "follower", leader));
    stage_destroy(stage);
}

/* Nobody asked for a while: the newest is told, once. */
static void the_newest_alone_is_told(void **state)
{
    (void)state;
    struct stage *stage = stage_of(3, 1);
    unsigned old = stage_leader(stage);
    stage_run(stage, STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++) {
        stage->nodes[i].holds_changes = true;
        stage->nodes[i].changes[0] = 0;
    }
    unsigned last = old;
    for (unsigned times = 0; times < 3; times++) {
        unsigned leader = last;
        stage_isolate(stage, leader);
        assert_true(stage_wait(stage, stage_has_other_leader, &leader, 5 * STAGE_SECOND));
        last = stage_leader(stage);
        stage_heal(stage);
        assert_true(stage_wait(stage, stage_is_converged, NULL, 10 * STAGE_SECOND));
        stage_run(stage, STAGE_SECOND);
    }
    last = stage_leader(stage);
    for (unsigned i = 0; i < 3; i++) {
        stage->nodes[i].holds_changes = false;
        struct wanted wanted = wanted_of(stage, i, i == last ? "leader" : "follower", last);
        wait_told(stage, wanted);
        const char *first = strstr(stage->nodes[i].changes, "leader default");
        assert_memory_equal(wanted.line, first, strlen(wanted.line)); /* WORKER-4 */
        assert_null(strstr(first + 1, "leader default"));
    }
    stage_destroy(stage);
}

static bool has_ended(struct stage *stage, void *argument)
{
    return !stage->nodes[*(unsigned *)argument].worker;
}

/* Who is stopped leads nothing at the end, also when there is nobody to hand over to. */
static void who_ends_leads_nothing(void **state)
{
    (void)state;
    for (unsigned nodes = 1; nodes <= 3; nodes += 2) {
        struct stage *stage = stage_of(nodes, 1);
        unsigned leader = stage_leader(stage);
        wait_told(stage, wanted_of(stage, leader, "leader", leader));
        stage->nodes[leader].changes[0] = 0;
        worker_stop(stage->nodes[leader].worker);
        assert_true(stage_wait(stage, has_ended, &leader, 8 * STAGE_SECOND));
        const char *changes = stage->nodes[leader].changes;
        assert_non_null(strstr(changes, "leader default 1 follower ")); /* WORKER-4 */
        assert_null(strstr(changes, "leader default 1 leader "));
        stage_destroy(stage);
    }
}

static bool is_ready(struct stage *stage, void *argument)
{
    const char *changes = stage->nodes[*(unsigned *)argument].changes;
    return strstr(changes, "state default 1 ready ");
}

static void states_are_told(void **state)
{
    (void)state;
    struct stage *stage = stage_of(3, 1);
    unsigned node = stage_follower(stage);
    assert_true(stage_wait(stage, is_ready, &node, 5 * STAGE_SECOND));
    stage_kill(stage, node);
    assert_true(stage_start(stage, node));
    assert_true(stage_wait(stage, is_ready, &node, 10 * STAGE_SECOND));
    const char *changes = stage->nodes[node].changes;
    assert_non_null(strstr(changes, "state default 1 catching_up "));
    assert_true(strstr(changes, "state default 1 catching_up ") <
                strstr(changes, "state default 1 ready "));
    stage_destroy(stage);
}

static bool is_dropped(struct stage *stage, void *argument)
{
    unsigned node = *(unsigned *)argument;
    return strstr(stage->nodes[node].changes, "state carts 2 dropped ") &&
           strstr(stage->nodes[node].changes, "leader carts 2 follower 0 -\n");
}

static bool leads_carts(struct stage *stage, void *argument)
{
    return strstr(stage->nodes[*(unsigned *)argument].changes, "leader carts 2 leader ");
}

/* A keyspace that is dropped again: told once, then forgotten. */
static void a_partition_that_goes(void **state)
{
    (void)state;
    struct stage *stage = stage_of(1, 2);
    unsigned node = 0, client = stage_connect(stage, node);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE carts"));
    assert_true(stage_wait(stage, leads_carts, &node, 5 * STAGE_SECOND));
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE DROP carts"));
    assert_true(stage_wait(stage, is_dropped, &node, 10 * STAGE_SECOND));
    size_t size = strlen(stage->nodes[node].changes);
    stage_run(stage, 2 * STAGE_SECOND);
    assert_null(strstr(stage->nodes[node].changes + size, "carts"));
    stage_destroy(stage);
}

static void who_asks_for_nothing_is_told_nothing(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(1);
    struct worker_change change;
    stage_run(stage, STAGE_SECOND);
    assert_false(worker_next_change(stage->nodes[0].worker, WORKER_NEWS_LEADER, &change));
    assert_false(worker_next_change(stage->nodes[0].worker, WORKER_NEWS_STATE, &change));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failover_is_told_everywhere),
        cmocka_unit_test(the_newest_alone_is_told),
        cmocka_unit_test(who_ends_leads_nothing),
        cmocka_unit_test(states_are_told),
        cmocka_unit_test(a_partition_that_goes),
        cmocka_unit_test(who_asks_for_nothing_is_told_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
