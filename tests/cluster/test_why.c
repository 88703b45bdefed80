/* CLUSTER-11: each reason is one line with its rule, whom it waits for, and since when. */
#include "cluster/cluster.h"

#include <cmocka.h>

#define AT 1795338301000 /* 2026-11-22T09:05:01Z */

static const struct {
    struct cluster_finding finding;
    const char *line;
} table[] = {
    {{.rule = CLUSTER_WHY_NO_LEADER, .group = {2}, .since_ms = AT, .have = 1, .need = 2},
     "partition 2 of carts has no leader since 2026-11-22T09:05:01Z: an election needs 2 of its "
     "voters, and 1 can be asked"},
    {{.rule = CLUSTER_WHY_MISSING, .group = {2}, .peer = {3}},
     "partition 2 of carts waits for node 3 at h:1, a voter, which cannot be reached (since when "
     "is not known)"},
    {{.rule = CLUSTER_WHY_NOT_ASKED, .group = {2}, .peer = {3}, .since_ms = AT},
     "partition 2 of carts is led by node 3 at h:1, which cannot be asked from here since "
     "2026-11-22T09:05:01Z: what it knows is missing here"},
    {{.rule = CLUSTER_WHY_SHORT, .group = {2}, .node = {1}, .since_ms = AT, .have = 2, .need = 3},
     "partition 2 of carts is read-only since 2026-11-22T09:05:01Z: 2 copies can be reached, and a "
     "write needs 3 (SHORT refuse)"},
    {{.rule = CLUSTER_WHY_DISK_FULL, .node = {1}, .since_ms = AT},
     "node 1 has a full disk since 2026-11-22T09:05:01Z: what is left of its log's files is "
     "filled, "
     "then it takes no writes; free some space, no restart is needed"},
    {{.rule = CLUSTER_WHY_UNREACHED, .node = {1}, .peer = {3}, .since_ms = AT},
     "node 3 at h:1 cannot be reached from node 1 since 2026-11-22T09:05:01Z"},
    {{.rule = CLUSTER_WHY_SUSPECTED, .node = {2}, .peer = {3}, .since_ms = AT, .have = 9876},
     "node 2 is suspected by node 3 at h:1 since 2026-11-22T09:05:01Z: nothing is heard of it (phi "
     "9.8), and no requests are handed on to it until something is"},
    {{.rule = CLUSTER_WHY_DOWN,
      .group = {2},
      .replica = {3},
      .node = {3},
      .peer = {1},
      .since_ms = AT},
     "replica 2/3 of carts, on node 3, is down: its leader, node 1 at h:1, has not heard it since "
     "2026-11-22T09:05:01Z"},
    {{.rule = CLUSTER_WHY_BOOTSTRAPPING,
      .group = {2},
      .replica = {3},
      .node = {3},
      .since_ms = AT,
      .have = 40,
      .need = 100},
     "replica 2/3 of carts, on node 3, is not ready since 2026-11-22T09:05:01Z: it receives a "
     "snapshot, 40 % of it are there"},
    {{.rule = CLUSTER_WHY_LEARNER,
      .group = {2},
      .replica = {4},
      .node = {3},
      .since_ms = AT,
      .have = 7},
     "replica 2/4 of carts, on node 3, does not vote yet since 2026-11-22T09:05:01Z: 7 entries are "
     "missing; the new copies become voters together, when all have caught up"},
    {{.rule = CLUSTER_WHY_OUT_OF_SYNC, .group = {2}, .replica = {3}, .node = {3}, .since_ms = AT},
     "replica 2/3 of carts, on node 3, is out of the in-sync set since 2026-11-22T09:05:01Z: ACK "
     "all does not wait for it until it has everything"},
    {{.rule = CLUSTER_WHY_CHANGE,
      .group = {2},
      .replica = {4},
      .node = {1},
      .peer = {3},
      .since_ms = AT,
      .need = 1},
     "partition 2 of carts changes its members and waits for node 3 at h:1, which cannot be "
     "reached since 2026-11-22T09:05:01Z"},
    {{.rule = CLUSTER_WHY_CHANGE, .group = {2}, .node = {1}},
     "partition 2 of carts changes its members: its leader, node 1, has yet to commit that"},
    {{.rule = CLUSTER_WHY_CHANGE, .group = {2}, .node = {1}, .need = 1},
     "partition 2 of carts changes its members: its leader, node 1, is done with that, and waits "
     "for the leader of keyspace system to hear of it"},
};

static void test_sentences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct buffer text;
        buffer_init(&text, 4096);
        cluster_why_tell(&table[i].finding, "carts", "h:1", &text);
        (void)!buffer_append(&text, "", 1);
        assert_string_equal(table[i].line, (const char *)text.at);
        buffer_deinit(&text);
    }
}

/* Of none of them is a name or a line missing, and none has two. */
static void test_each_rule_has_a_word(void **state)
{
    (void)state;
    for (unsigned rule = 1; rule < CLUSTER_WHY_END; rule++) {
        struct cluster_finding finding = {
            .rule = (enum cluster_rule)rule, .group = {2}, .replica = {3}, .node = {1}};
        struct buffer text;
        buffer_init(&text, 4096);
        assert_string_not_equal("unknown", cluster_why_word(finding.rule));
        for (unsigned other = 1; other < rule; other++)
            assert_string_not_equal(cluster_why_word(finding.rule),
                                    cluster_why_word((enum cluster_rule)other));
        cluster_why_tell(&finding, "carts", "", &text);
        assert_true(text.size > 0);
        buffer_deinit(&text);
    }
    assert_string_equal("unknown", cluster_why_word(CLUSTER_WHY_END));
    assert_string_equal("unknown", cluster_why_word((enum cluster_rule)0));
}

static void test_times(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } times[] = {{0, "1970-01-01T00:00:00Z"},
                 {951782399999, "2000-02-28T23:59:59Z"},
                 {951782400000, "2000-02-29T00:00:00Z"},
                 {951868800000, "2000-03-01T00:00:00Z"},
                 {1735689599000, "2024-12-31T23:59:59Z"},
                 {4107542400000, "2100-03-01T00:00:00Z"},
                 {-1000, "1969-12-31T23:59:59Z"}};
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char text[CLUSTER_TIME_SIZE];
        cluster_time_text(times[i].ms, text);
        assert_string_equal(times[i].text, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_each_rule_has_a_word),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
