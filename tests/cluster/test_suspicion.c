/* CLUSTER-12, and the profiles: silence drawn at random, and the moments at which it becomes a
 * suspicion. A failure names the seed. */
#include "base/random.h"
#include "cluster/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define MS    1000000ull
#define SEEDS 3000

static const struct cluster_patience patience = {120 * MS, 300 * MS, 800 * MS};

static struct cluster_detector fresh(void)
{
    struct cluster_detector detector;
    cluster_detector_init(&detector, &patience);
    return detector;
}

/* Heard so often, each time after a gap of `min` to `max`; returns when the last one came. */
static uint64_t hear(struct cluster_detector *detector, struct random *random, unsigned times,
                     uint64_t min_ns, uint64_t max_ns)
{
    uint64_t now_ns = detector->heard_ns ? detector->heard_ns : 1000 * MS;
    for (unsigned i = 0; i < times; i++) {
        now_ns += min_ns + random_below(random, max_ns - min_ns + 1);
        cluster_detector_hear(detector, now_ns);
    }
    return now_ns;
}

/* ---- the bounds ---- */

static void check(uint64_t seed, const struct cluster_detector *detector, uint64_t heard_ns)
{
    uint64_t due_ns = cluster_detector_due_ns(detector) - heard_ns;
    if (due_ns < patience.floor_ns || due_ns > patience.ceiling_ns) /* CLUSTER-12 */
        fail_msg("seed %llu: suspected after %llu us", (unsigned long long)seed,
                 (unsigned long long)(due_ns / 1000));
    if (cluster_detector_suspects(detector, heard_ns + due_ns - 1) ||
        !cluster_detector_suspects(detector, heard_ns + due_ns))
        fail_msg("seed %llu: not at the moment that it says", (unsigned long long)seed);
    bool is_inside = due_ns > patience.floor_ns && due_ns < patience.ceiling_ns;
    uint32_t phi = cluster_detector_phi(detector, heard_ns + due_ns);
    if (is_inside && (phi < CLUSTER_PHI - 40 || phi > CLUSTER_PHI + 340)) /* the mean has 301 */
        fail_msg("seed %llu: phi is %u there", (unsigned long long)seed, phi);
}

static void suspicion_begins_between_floor_and_ceiling(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random random;
        struct cluster_detector detector = fresh();
        random_init(&random, seed);
        uint64_t max_ns = (1 + random_below(&random, 700)) * MS;
        uint64_t now_ns = 0;
        for (unsigned i = 0; i < 5; i++) {
            now_ns = hear(&detector, &random, 1 + (unsigned)random_below(&random, 40), 0, max_ns);
            check(seed, &detector, now_ns);
            if (random_below(&random, 3) == 0)
                cluster_detector_report(&detector, (unsigned)random_below(&random, 20), now_ns,
                                        10000 * MS);
            check(seed, &detector, now_ns);
        }
    }
}

static void phi_only_rises_in_silence(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct random random;
        struct cluster_detector detector = fresh();
        random_init(&random, seed);
        uint64_t now_ns = hear(&detector, &random, 50, 10 * MS, 10 * MS + seed * MS);
        uint32_t last = 0;
        for (uint64_t t = 0; t < 2000 * MS; t += 3 * MS) {
            uint32_t phi = cluster_detector_phi(&detector, now_ns + t);
            assert_true(phi >= last);
            last = phi;
        }
        assert_true(last >= CLUSTER_PHI);
        cluster_detector_hear(&detector, now_ns + 2000 * MS);
        assert_false(cluster_detector_suspects(&detector, now_ns + 2000 * MS)); /* CLUSTER-12 */
        assert_int_equal(0, cluster_detector_phi(&detector, now_ns + 2000 * MS));
    }
}

/* ---- what is usual ---- */

static uint64_t patience_of(const struct cluster_detector *detector)
{
    return cluster_detector_due_ns(detector) - detector->heard_ns;
}

/* An even network is judged at the floor, an uneven one later, and it becomes even again. */
static void it_learns_what_is_usual(void **state)
{
    (void)state;
    struct random random;
    struct cluster_detector detector = fresh();
    random_init(&random, 7);
    hear(&detector, &random, 100, 60 * MS, 70 * MS);
    assert_true(patience_of(&detector) == patience.floor_ns);
    hear(&detector, &random, 100, 20 * MS, 280 * MS);
    assert_true(patience_of(&detector) > 450 * MS);
    hear(&detector, &random, 100, 60 * MS, 70 * MS);
    assert_true(patience_of(&detector) == patience.floor_ns);
}

/* Megabytes pass, then only heartbeats: the first of those is no news of a death. */
static void a_busy_link_may_fall_idle(void **state)
{
    (void)state;
    struct random random;
    struct cluster_detector detector = fresh();
    random_init(&random, 7);
    uint64_t now_ns = hear(&detector, &random, 100000, 0, MS / 10);
    assert_true(patience_of(&detector) >= patience.floor_ns);
    assert_true(cluster_detector_phi(&detector, now_ns + 130 * MS) < 1000);
    assert_true(detector.count == CLUSTER_GAPS_MAX);
}

/* A node that was down for an hour is no slow one. */
static void a_fault_is_no_gap(void **state)
{
    (void)state;
    struct random random;
    struct cluster_detector detector = fresh();
    random_init(&random, 7);
    hear(&detector, &random, 100, 60 * MS, 70 * MS);
    uint64_t usual = patience_of(&detector);
    hear(&detector, &random, 1, 3600000 * MS, 3600000 * MS);
    assert_true(patience_of(&detector) == usual);
}

/* ---- what others say, and what this process missed ---- */

static void a_report_is_no_proof(void **state)
{
    (void)state;
    struct random random;
    struct cluster_detector detector = fresh();
    random_init(&random, 7);
    uint64_t now_ns = hear(&detector, &random, 200, 20 * MS, 280 * MS);
    uint64_t usual = patience_of(&detector), last = usual;
    for (unsigned failed = 1; failed <= 1000; failed *= 10) {
        cluster_detector_report(&detector, failed, now_ns, 10000 * MS);
        assert_true(patience_of(&detector) < last || patience_of(&detector) == patience.floor_ns);
        last = patience_of(&detector);
        assert_false(cluster_detector_suspects(&detector, now_ns + patience.floor_ns - 1));
    }
    assert_true(last == patience.floor_ns);
    now_ns = hear(&detector, &random, 200, 20 * MS, 280 * MS); /* and it goes by */
    assert_true(patience_of(&detector) > 450 * MS);
}

static void a_refusal_counts_until_it_is_heard(void **state)
{
    (void)state;
    struct random random;
    struct cluster_detector detector = fresh();
    random_init(&random, 7);
    cluster_detector_refuse(&detector);
    assert_false(cluster_detector_suspects(&detector, UINT64_MAX - 1)); /* never heard */
    hear(&detector, &random, 200, 20 * MS, 280 * MS);
    uint64_t usual = patience_of(&detector);
    cluster_detector_refuse(&detector);
    assert_true(patience_of(&detector) == patience.floor_ns);
    hear(&detector, &random, 1, 60 * MS, 60 * MS);
    assert_true(patience_of(&detector) > usual / 2 && patience_of(&detector) > patience.floor_ns);
}

static void own_sleep_is_nobodys_silence(void **state)
{
    (void)state;
    struct random random;
    struct cluster_detector detector = fresh();
    random_init(&random, 7);
    uint64_t now_ns = hear(&detector, &random, 100, 60 * MS, 70 * MS);
    uint64_t woken_ns = now_ns + 5000 * MS;
    assert_true(cluster_detector_suspects(&detector, woken_ns));
    cluster_detector_sleep(&detector, 4950 * MS, woken_ns);
    assert_false(cluster_detector_suspects(&detector, woken_ns));
    assert_true(cluster_detector_suspects(&detector, woken_ns + patience.floor_ns));
    cluster_detector_sleep(&detector, 99999 * MS, woken_ns);
    assert_true(detector.heard_ns == woken_ns);
}

/* ---- profiles ---- */

static void the_profile_follows_the_round_trip(void **state)
{
    (void)state;
    assert_string_equal("lan", cluster_timing_for(0)->name);
    assert_string_equal("lan", cluster_timing_for(40 * MS)->name);
    assert_string_equal("wan", cluster_timing_for(41 * MS)->name);
    assert_string_equal("wan", cluster_timing_for(200 * MS)->name);
    assert_null(cluster_timing_for(201 * MS));
    assert_non_null(cluster_timing_find("wan"));
    assert_null(cluster_timing_find("WAN"));
    struct cluster_timing lan = cluster_timing_suggest(MS / 10),
                          far = cluster_timing_suggest(301 * MS);
    assert_true(lan.election_min_ns == cluster_timings[0].election_min_ns);
    assert_true(lan.heartbeat_ns == cluster_timings[0].heartbeat_ns);
    assert_true(far.election_min_ns == 3100 * MS && far.election_max_ns == 6200 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suspicion_begins_between_floor_and_ceiling),
        cmocka_unit_test(phi_only_rises_in_silence),
        cmocka_unit_test(it_learns_what_is_usual),
        cmocka_unit_test(a_busy_link_may_fall_idle),
        cmocka_unit_test(a_fault_is_no_gap),
        cmocka_unit_test(a_report_is_no_proof),
        cmocka_unit_test(a_refusal_counts_until_it_is_heard),
        cmocka_unit_test(own_sleep_is_nobodys_silence),
        cmocka_unit_test(the_profile_follows_the_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
