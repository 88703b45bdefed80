/* CLUSTER-15: when an alert is raised and cleared, against all that was looked at, kept. A failure
 * names the seed. */
#include "base/random.h"
#include "cluster/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND 1000000000ull
#define SEEDS  2000
#define LOOKS  500

/* Everything that was seen; `at_ns` counts the time that was looked at alone. */
struct history {
    size_t count;
    bool is_so[LOOKS];
    uint64_t at_ns[LOOKS], progress[LOOKS];
};

static uint64_t counted(uint64_t ns)
{
    return ns < CLUSTER_ALERT_LOOK_NS ? ns : CLUSTER_ALERT_LOOK_NS;
}

static bool stood(const struct history *history, size_t at, uint64_t still_ns)
{
    size_t first = at;
    if (!history->is_so[at])
        return false;
    while (first > 0 && history->is_so[first - 1] &&
           history->progress[first - 1] == history->progress[at])
        first--;
    return history->at_ns[at] - history->at_ns[first] >= still_ns;
}

static bool held(const struct history *history, size_t at, const struct cluster_alert_rule *rule)
{
    return rule->still_ns ? stood(history, at, rule->still_ns) : history->is_so[at];
}

/* For how long it has been as it is at the last look. */
static uint64_t lasted(const struct history *history, const struct cluster_alert_rule *rule)
{
    size_t last = history->count - 1, first = last;
    while (first > 0 && held(history, first - 1, rule) == held(history, last, rule))
        first--;
    return history->at_ns[last] - history->at_ns[first];
}

static void look(const struct history *history, struct cluster_alert *alert,
                 const struct cluster_alert_rule *rule, uint64_t now_ns, unsigned seed)
{
    size_t at = history->count - 1;
    bool holds = held(history, at, rule), was = alert->is_raised;
    uint64_t wanted_ns = holds ? rule->raise_after_ns : rule->clear_after_ns;
    bool due = holds != was && lasted(history, rule) >= wanted_ns;
    enum cluster_alert_change change =
        cluster_alert_step(alert, rule, history->is_so[at], history->progress[at], now_ns);
    if ((change != CLUSTER_ALERT_SAME) != due || alert->is_raised != (due ? holds : was) ||
        (due && change != (holds ? CLUSTER_ALERT_RAISED : CLUSTER_ALERT_CLEARED)))
        fail_msg("seed %u, %s, look %zu: change %d, raised %d, held for %llu ms", seed, rule->name,
                 at, change, alert->is_raised,
                 (unsigned long long)(lasted(history, rule) / 1000000)); /* CLUSTER-15 */
}

/* Marks the kind that it was about if that was raised and cleared. */
static void one_history(unsigned seed, bool ended[CLUSTER_ALERTS])
{
    static struct history history;
    struct random random;
    struct cluster_alert alert = {0};
    uint64_t now_ns = SECOND, at_ns = 0, progress = 0;
    random_init(&random, seed);
    enum cluster_alert_kind kind = (enum cluster_alert_kind)random_below(&random, CLUSTER_ALERTS);
    const struct cluster_alert_rule *rule = cluster_alert_rule(kind);
    bool is_so = false;
    history.count = 0;
    for (size_t i = 0; i < LOOKS; i++) {
        uint64_t ns = random_below(&random, 16) ? SECOND : random_below(&random, 100 * SECOND);
        if (random_below(&random, rule->still_ns ? 200 : 12) == 0)
            is_so = !is_so;
        progress += random_below(&random, 200) == 0;
        now_ns += ns;
        at_ns += i ? counted(ns) : 0;
        history.is_so[i] = is_so;
        history.at_ns[i] = at_ns;
        history.progress[i] = progress;
        history.count = i + 1;
        bool was = alert.is_raised;
        look(&history, &alert, rule, now_ns, seed);
        ended[kind] |= was && !alert.is_raised;
    }
}

static void any_history(void **state)
{
    bool ended[CLUSTER_ALERTS] = {false};
    (void)state;
    for (unsigned seed = 1; seed <= SEEDS; seed++)
        one_history(seed, ended);
    for (int kind = 0; kind < CLUSTER_ALERTS; kind++)
        if (!ended[kind])
            fail_msg("%s was never raised and cleared",
                     cluster_alert_rule((enum cluster_alert_kind)kind)->name);
}

/* Looks each second at what is so or not; returns when it was raised or cleared, in seconds. */
static unsigned wait_for(struct cluster_alert *alert, const struct cluster_alert_rule *rule,
                         bool is_so, uint64_t *now_ns)
{
    for (unsigned seconds = 0; seconds < 1000; seconds++) {
        *now_ns += SECOND;
        if (cluster_alert_step(alert, rule, is_so, 7, *now_ns))
            return seconds;
    }
    return 1000;
}

static void each_rule(void **state)
{
    (void)state;
    for (int kind = 0; kind < CLUSTER_ALERTS; kind++) {
        const struct cluster_alert_rule *rule = cluster_alert_rule((enum cluster_alert_kind)kind);
        struct cluster_alert alert = {0};
        uint64_t now_ns = 0;
        assert_true(rule->raise_after_ns > rule->clear_after_ns); /* CLUSTER-15 */
        assert_true(rule->clear_after_ns > 0 && strlen(rule->cure) > 10);
        for (int other = 0; other < kind; other++)
            assert_string_not_equal(rule->name,
                                    cluster_alert_rule((enum cluster_alert_kind)other)->name);
        assert_int_equal((rule->raise_after_ns + rule->still_ns) / SECOND,
                         wait_for(&alert, rule, true, &now_ns));
        assert_true(alert.is_raised && !cluster_alert_is_over(&alert));
        assert_int_equal(rule->clear_after_ns / SECOND, wait_for(&alert, rule, false, &now_ns));
        assert_true(cluster_alert_is_over(&alert));
    }
}

/* A machine that was paused has looked at nothing. */
static void a_pause_raises_nothing(void **state)
{
    const struct cluster_alert_rule *rule = cluster_alert_rule(CLUSTER_ALERT_NODE_DOWN);
    struct cluster_alert alert = {0};
    (void)state;
    assert_int_equal(CLUSTER_ALERT_SAME, cluster_alert_step(&alert, rule, true, 0, SECOND));
    assert_int_equal(CLUSTER_ALERT_SAME, cluster_alert_step(&alert, rule, true, 0, 900 * SECOND));
    assert_int_equal(CLUSTER_ALERT_SAME, cluster_alert_step(&alert, rule, false, 0, 901 * SECOND));
}

static void what_moves_is_not_stuck(void **state)
{
    const struct cluster_alert_rule *rule = cluster_alert_rule(CLUSTER_ALERT_BOOTSTRAP_STUCK);
    struct cluster_alert alert = {0};
    (void)state;
    for (uint64_t second = 1; second < 2000; second++)
        assert_int_equal(CLUSTER_ALERT_SAME,
                         cluster_alert_step(&alert, rule, true, second / 100, second * SECOND));
}

static void which_findings_are_alerts(void **state)
{
    (void)state;
    for (int rule = 1; rule < CLUSTER_WHY_END; rule++) {
        struct cluster_finding finding = {.rule = (enum cluster_rule)rule, .need = 100};
        enum cluster_alert_kind kind = CLUSTER_ALERTS;
        bool is = cluster_alert_of(&finding, &kind);
        assert_true(is == (kind < CLUSTER_ALERTS));
        assert_false(is && cluster_why_is_well(finding.rule));
    }
    struct cluster_finding loads = {.rule = CLUSTER_WHY_BOOTSTRAPPING};
    enum cluster_alert_kind kind;
    assert_false(cluster_alert_of(&loads, &kind)); /* the replica itself says how much is there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_history),
        cmocka_unit_test(each_rule),
        cmocka_unit_test(a_pause_raises_nothing),
        cmocka_unit_test(what_moves_is_not_stuck),
        cmocka_unit_test(which_findings_are_alerts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
