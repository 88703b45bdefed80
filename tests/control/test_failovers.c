/* CONTROL-9. The flight records of failovers, as FAILOVERS tells them from any node: why, who
 * voted, when writes went on, what was cut; and what is none. */
#include "control/control.h"
#include "tests/server/stage.h"

#include <string.h>

struct wanted {
    unsigned client;
    const char *request, *says;
};

static bool is_told(struct stage *stage, void *argument)
{
    const struct wanted *wanted = argument;
    return strstr(stage_ask(stage, wanted->client, wanted->request), wanted->says) != NULL;
}

static void expect(struct stage *stage, unsigned client, const char *request, const char *says)
{
    struct wanted wanted = {client, request, says};
    if (!stage_wait(stage, is_told, &wanted, 10 * STAGE_SECOND))
        fail_msg("%s: %s\n  not: %s", request, stage_ask(stage, client, request), says);
}

static void the_first_election_is_none(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 1);
    assert_string_equal("OK", stage_ask(stage, client, "SET k v"));
    stage_run(stage, 2 * STAGE_SECOND);
    assert_string_equal("", stage_ask(stage, client, "FAILOVERS"));
    stage_destroy(stage);
}

static void a_killed_leader(void **state)
{
    char previous[64], voted[128];
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned old = stage_leader(stage), client = stage_connect(stage, (old + 1) % 3);
    assert_string_equal("OK", stage_ask(stage, client, "SET k v"));
    stage_kill(stage, old);
    assert_true(stage_wait(stage, stage_has_other_leader, &old, 5 * STAGE_SECOND));
    expect(stage, client, "FAILOVERS default", "serving_after_ms");
    snprintf(previous, sizeof previous, " previous %u reason refused link ", old + 1);
    expect(stage, client, "FAILOVERS COUNT 1 default", previous);
    expect(stage, client, "FAILOVERS default", "first_write_after_ms nil votes node ");
    assert_string_equal("OK", stage_ask(stage, client, "SET k w"));
    snprintf(voted, sizeof voted, "votes node %u granted 1 last_index ",
             6 - (old + 1) - (stage_leader(stage) + 1));
    expect(stage, client, "FAILOVERS default", voted);
    stage_run(stage, STAGE_SECOND);
    assert_null(strstr(stage_ask(stage, client, "FAILOVERS default"), "first_write_after_ms nil"));
    assert_non_null(strstr(stage->nodes[stage_leader(stage)].lines,
                           "leads partition 1 of keyspace default in term "));
    assert_true(stage_start(stage, old));
    stage_destroy(stage);
}

/* The old leader executed what was never committed, and says what it cut when it is back. */
static void what_was_cut(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned old = stage_leader(stage);
    unsigned behind = stage_connect(stage, old), client = stage_connect(stage, (old + 1) % 3);
    assert_string_equal("OK", stage_ask(stage, behind, "SET k v"));
    assert_string_equal("v", stage_ask(stage, client, "GET k"));
    stage_isolate(stage, old);
    stage_say(stage, behind, "SET k w");
    assert_true(stage_wait(stage, stage_has_other_leader, &old, 10 * STAGE_SECOND));
    assert_string_equal("OK", stage_ask(stage, client, "SET k x"));
    expect(stage, client, "FAILOVERS default", "reason silence");
    assert_null(strstr(stage_ask(stage, client, "FAILOVERS default"), "cut node"));
    stage_heal(stage);
    char cut[64];
    snprintf(cut, sizeof cut, "cut node %u from ", old + 1);
    expect(stage, client, "FAILOVERS default", cut);
    expect(stage, client, "FAILOVERS default", "entries 1 executed 1");
    stage_destroy(stage);
}

static void handed_over(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned old = stage_leader(stage), client = stage_connect(stage, (old + 1) % 3);
    struct replica_turn *turn = node_turn(worker_node(stage->nodes[old].worker));
    assert_string_equal("OK", stage_ask(stage, client, "SET k v"));
    assert_true(replica_hand_over(stage_replica(stage, old, GROUP_DEFAULT), turn));
    assert_true(stage_wait(stage, stage_has_other_leader, &old, 5 * STAGE_SECOND));
    expect(stage, client, "FAILOVERS default", "reason hand-over");
    stage_destroy(stage);
}

static void forms(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0);
    assert_string_equal("", stage_ask(stage, client, "FAILOVERS COUNT 5"));
    assert_string_equal("", stage_ask(stage, client, "FAILOVERS COUNT 5 default"));
    assert_string_equal("", stage_ask(stage, client, "FAILOVERS default COUNT 5"));
    assert_string_equal("-ERR COUNT lacks its value: COUNT n, a number from 1 on",
                        stage_ask(stage, client, "FAILOVERS default COUNT"));
    assert_string_equal("-ERR COUNT lacks its value: COUNT n, a number from 1 on",
                        stage_ask(stage, client, "FAILOVERS COUNT"));
    assert_string_equal("-ERR COUNT takes a number from 1 on",
                        stage_ask(stage, client, "FAILOVERS COUNT 0"));
    assert_string_equal("-ERR there is no such keyspace: KEYSPACE LIST shows all",
                        stage_ask(stage, client, "FAILOVERS nosuch"));
    assert_string_equal("-ERR FAILOVERS takes [COUNT n] [keyspace]",
                        stage_ask(stage, client, "FAILOVERS default more"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_election_is_none),
        cmocka_unit_test(a_killed_leader),
        cmocka_unit_test(what_was_cut),
        cmocka_unit_test(handed_over),
        cmocka_unit_test(forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
