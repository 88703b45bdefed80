/* Reports of nodes to `system` (CONTROL-8): from any node, over a change of leader, once each. */
#include "base/memory.h"
#include "control/control.h"
#include "server/inside.h"
#include "tests/server/stage.h"

#include <string.h>

static struct control *control_of(struct stage *stage, unsigned node)
{
    return stage_server(stage, node)->options.control;
}

static unsigned system_leader(struct stage *stage)
{
    unsigned node = 0;
    while (node < 3 && !(stage->nodes[node].worker &&
                         replica_is_serving(stage_replica(stage, node, GROUP_SYSTEM))))
        node++;
    assert_true(node < 3);
    return node;
}

static bool nothing_waits(struct stage *stage, void *key)
{
    for (unsigned i = 0; i < 3; i++)
        if (stage->nodes[i].worker && !control_is_reported(control_of(stage, i), key))
            return false;
    return true;
}

/* What a node's replica of `system` has of a kind, as KEY=TEXT with a space between. */
static const char *told_by(struct stage *stage, unsigned node, const char *kind, char *text)
{
    struct control_reported *found;
    struct store *store = replica_store(stage_replica(stage, node, GROUP_SYSTEM));
    size_t count = control_reported(store, kind, &found), used = 0;
    text[0] = 0;
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, STAGE_TEXT_SIZE - used, "%s%.*s=%.*s", i ? " " : "",
                                 (int)found[i].key.size, (const char *)found[i].key.at,
                                 (int)found[i].text.size, (const char *)found[i].text.at);
    memory_free(found);
    return text;
}

static void say(struct stage *stage, unsigned node, const char *key, const char *text)
{
    assert_true(control_report(control_of(stage, node), key, slice_of_text(text)));
}

static void a_report_of_any_node_is_kept_by_all(void **state)
{
    char text[STAGE_TEXT_SIZE], key[32];
    (void)state;
    struct stage *stage = stage_formed(3);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "loss:%u", i);
        say(stage, i, key, "first");
        stage_run(stage, STAGE_MS);
        assert_true(stage_wait(stage, nothing_waits, key, STAGE_SECOND));
    }
    say(stage, 1, "loss:0", "second"); /* the newest text, in the place of the first */
    assert_true(stage_wait(stage, nothing_waits, (void *)"loss:0", STAGE_SECOND));
    stage_run(stage, STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal("loss:0=second loss:1=first loss:2=first",
                            told_by(stage, i, "loss:", text));
        assert_string_equal("", told_by(stage, i, "failover:", text));
    }
    stage_destroy(stage);
}

static void a_report_outlives_the_leader(void **state)
{
    char text[STAGE_TEXT_SIZE];
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned old = system_leader(stage), other = (old + 1) % 3;
    stage_isolate(stage, old);
    say(stage, old, "loss:old", "cut off");
    say(stage, other, "loss:other", "while nobody leads");
    stage_run(stage, 5 * STAGE_SECOND);
    assert_false(control_is_reported(control_of(stage, old), "loss:old"));
    assert_true(control_is_reported(control_of(stage, other), "loss:other"));
    stage_heal(stage);
    assert_true(stage_wait(stage, nothing_waits, (void *)"loss:old", 5 * STAGE_SECOND));
    stage_run(stage, STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal("loss:other=while nobody leads loss:old=cut off",
                            told_by(stage, i, "loss:", text));
    stage_destroy(stage);
}

/* Every turn until the answer: killed at each, the report is there once or not at all, and once
 * after it was said again. */
static void a_report_is_there_once(void **state)
{
    char text[STAGE_TEXT_SIZE];
    (void)state;
    for (unsigned ms = 0; ms < 6; ms++) {
        struct stage *stage = stage_formed(3);
        unsigned leader = system_leader(stage), other = (leader + 1) % 3;
        say(stage, other, "loss:x", "it");
        stage_run(stage, ms * STAGE_MS);
        stage_kill(stage, leader);
        assert_true(stage_wait(stage, nothing_waits, (void *)"loss:x", 10 * STAGE_SECOND));
        assert_true(stage_start(stage, leader));
        stage_run(stage, 2 * STAGE_SECOND);
        for (unsigned i = 0; i < 3; i++)
            assert_string_equal("loss:x=it", told_by(stage, i, "loss:", text));
        stage_destroy(stage);
    }
}

static void what_waits_is_bounded(void **state)
{
    static char large[CONTROL_REPORT_TEXT_MAX + 1];
    char key[32];
    (void)state;
    struct stage *stage = stage_formed(3);
    struct control *control = control_of(stage, 0);
    assert_false(control_report(control, "other:1", slice_of_text("x")));
    assert_false(control_report(control, "loss:", slice_of_text("x")));
    assert_false(control_report(control, "loss:1", slice_of(large, sizeof large)));
    for (unsigned i = 0; i < CONTROL_REPORTS_MAX; i++) {
        snprintf(key, sizeof key, "loss:%u", i);
        say(stage, 0, key, "x");
    }
    assert_false(control_report(control, "loss:more", slice_of_text("x")));
    say(stage, 0, "loss:0", "y"); /* takes no room of its own */
    stage_run(stage, 30 * STAGE_SECOND);
    assert_true(nothing_waits(stage, (void *)"loss:255"));
    assert_true(control_report(control, "loss:more", slice_of_text("x")));
    stage_destroy(stage);
}

static void the_oldest_failovers_go(void **state)
{
    char key[32];
    struct control_reported *found;
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0);
    for (unsigned i = 0; i < CONTROL_FAILOVERS_MAX + 2; i++) {
        snprintf(key, sizeof key, "REPORT failover:%u x", i);
        assert_string_equal("OK", stage_ask(stage, client, key));
    }
    stage_run(stage, STAGE_SECOND);
    struct store *store = replica_store(stage_replica(stage, 1, GROUP_SYSTEM));
    assert_int_equal(CONTROL_FAILOVERS_MAX, control_reported(store, "failover:", &found));
    assert_true(slice_equal(slice_of_text("failover:2"), found[0].key));
    memory_free(found);
    assert_string_equal("-ERR nodes report failovers, losses and copies that are short, "
                        "and nothing else",
                        stage_ask(stage, client, "REPORT keyspace:1 x"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_of_any_node_is_kept_by_all),
        cmocka_unit_test(a_report_outlives_the_leader),
        cmocka_unit_test(a_report_is_there_once),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(the_oldest_failovers_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
