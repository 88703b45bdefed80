/* How fast a bootstrap goes, and when nobody knows. */
#include "replica/bootstrap/bootstrap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND 1000000000ull

static void note(struct bootstrap_meter *meter, uint64_t at_ns, uint64_t done, uint64_t bytes)
{
    struct bootstrap_point point = {
        .at_ns = at_ns, .phase = BOOTSTRAP_RECEIVES, .done = done, .of = 1000, .bytes = bytes};
    bootstrap_meter_note(meter, &point);
}

static void what_is_not_known_is_not_told(void **state)
{
    (void)state;
    struct replica_progress progress;
    struct bootstrap_meter meter = {0};
    assert_false(bootstrap_meter_tell(&meter, SECOND, &progress));
    struct bootstrap_point unsized = {.at_ns = SECOND};
    bootstrap_meter_note(&meter, &unsized);
    assert_false(bootstrap_meter_tell(&meter, SECOND, &progress));
    bootstrap_meter_reset(&meter);
    note(&meter, SECOND, 100, 5000);
    assert_true(bootstrap_meter_tell(&meter, SECOND + 1, &progress));
    assert_int_equal(10, progress.percent);
    assert_false(progress.has_rate);
    assert_true(bootstrap_meter_tell(&meter, 2 * SECOND, &progress)); /* nothing came since */
    assert_true(progress.has_rate && progress.bytes_per_second == 0);
    assert_false(progress.has_eta);
}

static void the_last_seconds_count(void **state)
{
    (void)state;
    struct replica_progress progress;
    struct bootstrap_meter meter = {0};
    for (uint64_t i = 0; i <= 100; i++) /* 10 s of one, */
        note(&meter, SECOND + i * SECOND / 10, i, 1000 * i);
    assert_true(bootstrap_meter_tell(&meter, 11 * SECOND, &progress));
    assert_int_equal(10, progress.percent);
    assert_int_equal(10000, progress.bytes_per_second);
    assert_int_equal(90000, progress.eta_ms);
    for (uint64_t i = 1; i <= 50; i++) /* then 5 s of ten times as much */
        note(&meter, 11 * SECOND + i * SECOND / 10, 100 + 10 * i, 100000 + 10000 * i);
    assert_true(bootstrap_meter_tell(&meter, 16 * SECOND, &progress));
    assert_int_equal(60, progress.percent);
    assert_int_equal(100000, progress.bytes_per_second);
    assert_int_equal(4000, progress.eta_ms);
}

static void who_begins_again_is_measured_anew(void **state)
{
    (void)state;
    struct replica_progress progress;
    struct bootstrap_meter meter = {0};
    note(&meter, SECOND, 500, 5000);
    note(&meter, 2 * SECOND, 10, 100);
    assert_true(bootstrap_meter_tell(&meter, 2 * SECOND + 1, &progress));
    assert_int_equal(1, progress.percent);
    assert_false(progress.has_rate);
    bootstrap_meter_reset(&meter);
    assert_false(bootstrap_meter_tell(&meter, 2 * SECOND, &progress));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_known_is_not_told),
        cmocka_unit_test(the_last_seconds_count),
        cmocka_unit_test(who_begins_again_is_measured_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
