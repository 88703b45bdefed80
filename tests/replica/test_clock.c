/* REPLICA-4: group time rises strictly, runs with the monotonic clock, and a wall clock that jumps
 * moves it by 5 % at most. R12 */
#include "replica/log/log.h"

#include "base/random.h"

#include <cmocka.h>

#define SECOND_US 1000000ll
#define SECOND_NS 1000000000ull

static void starts_at_the_median_or_the_last_entry(void **state)
{
    (void)state;
    struct group_clock clock = {.last_entry_us = 500};
    group_clock_start(&clock, SECOND_NS, 900);
    assert_int_equal(900, group_clock_read(&clock, SECOND_NS, 900));
    clock.last_entry_us = 2000; /* the new leader's clock is behind its log */
    group_clock_start(&clock, SECOND_NS, 900);
    assert_int_equal(2000, group_clock_read(&clock, SECOND_NS, 900));
    assert_int_equal(2001, group_clock_next_entry(&clock, SECOND_NS, 900));
}

static void entries_of_one_instant_differ(void **state)
{
    (void)state;
    struct group_clock clock = {0};
    group_clock_start(&clock, 0, 1000);
    int64_t before = 0;
    for (unsigned i = 0; i < 100; i++) { /* the monotonic clock stands still */
        int64_t time_us = group_clock_next_entry(&clock, 0, 1000);
        assert_true(time_us > before); /* REPLICA-4 */
        before = clock.last_entry_us = time_us;
    }
}

/* What one second of the monotonic clock adds when the voters' median is `off_us` away. */
static int64_t second_with_median(int64_t off_us)
{
    struct group_clock clock = {0};
    group_clock_start(&clock, 0, 1000 * SECOND_US);
    return group_clock_read(&clock, SECOND_NS, 1001 * SECOND_US + off_us) - 1000 * SECOND_US;
}

static void jumps_move_it_slowly(void **state)
{
    (void)state;
    assert_int_equal(SECOND_US, second_with_median(0));
    assert_int_equal(SECOND_US + SECOND_US / 20, second_with_median(86400 * SECOND_US));
    assert_int_equal(SECOND_US - SECOND_US / 20, second_with_median(-86400 * SECOND_US));
    assert_int_equal(SECOND_US + 1000, second_with_median(1000)); /* near: reached at once */
}

/* It comes to the median however far that is, and without stepping over it. */
static void reaches_the_median(void **state)
{
    (void)state;
    struct group_clock clock = {0};
    uint64_t now_ns = 0;
    group_clock_start(&clock, 0, 0);
    for (unsigned i = 0; i < 250; i++) {
        now_ns += SECOND_NS;
        int64_t median_us = (int64_t)(now_ns / 1000) + 10 * SECOND_US;
        assert_true(group_clock_read(&clock, now_ns, median_us) <= median_us);
    }
    assert_int_equal((int64_t)(now_ns / 1000) + 10 * SECOND_US, clock.value_us);
}

/* Reading often must not lose the microseconds' rests. */
static void many_small_steps_are_one_large_one(void **state)
{
    (void)state;
    struct group_clock clock = {0};
    group_clock_start(&clock, 0, 0);
    for (uint64_t now_ns = 0; now_ns <= SECOND_NS; now_ns += 777)
        (void)group_clock_read(&clock, now_ns, (int64_t)(now_ns / 1000));
    int64_t off = group_clock_read(&clock, SECOND_NS, SECOND_US) - SECOND_US;
    assert_true(off > -3 && off < 3);
}

static void random_jumps(void **state)
{
    (void)state;
    struct random random;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        random_init(&random, seed);
        struct group_clock clock = {.last_entry_us = (int64_t)random_below(&random, 100000)};
        uint64_t now_ns = random_below(&random, SECOND_NS);
        group_clock_start(&clock, now_ns, (int64_t)random_below(&random, 200000));
        uint64_t start_ns = now_ns;
        int64_t start_us = clock.value_us, last_us = clock.last_entry_us;
        for (unsigned i = 0; i < 300; i++) {
            now_ns += random_below(&random, 3) ? random_below(&random, 5000000) : 0;
            int64_t median_us = (int64_t)random_below(&random, 1ull << 40) - (1ll << 39);
            int64_t time_us = group_clock_next_entry(&clock, now_ns, median_us);
            assert_true(time_us > last_us); /* REPLICA-4 */
            last_us = clock.last_entry_us = time_us;
        }
        int64_t passed_us = (int64_t)((now_ns - start_ns) / 1000);
        int64_t moved_us = clock.value_us - start_us;
        assert_true(moved_us <= passed_us + passed_us / 20 + 1);
        assert_true(moved_us >= passed_us - passed_us / 20 - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_at_the_median_or_the_last_entry),
        cmocka_unit_test(entries_of_one_instant_differ),
        cmocka_unit_test(jumps_move_it_slowly),
        cmocka_unit_test(reaches_the_median),
        cmocka_unit_test(many_small_steps_are_one_large_one),
        cmocka_unit_test(random_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
