/* Power cuts and process crashes at every io call, with every mixture of blocks that a disk can
 * leave; then once more. */
#include "tests/wal/harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct sweep {
    uint64_t seed;
    size_t steps;
    bool releases, lazy;
    uint64_t cut_every;
    uint64_t space;   /* 0: plenty */
    bool writes_fail; /* now and then one finds no space, with a part of its bytes on the disk */
};

static void harness_begin(struct harness *harness, const struct sweep *sweep)
{
    harness_init(harness, sweep->seed);
    harness->releases = sweep->releases;
    harness->lazy = sweep->lazy;
    harness->writes_fail = sweep->writes_fail;
    if (sweep->space)
        fake_io_set_space(harness->io, sweep->space);
}

/* On a full disk what is needed must be released for the rest to find room. */
static void settle(struct harness *harness, const struct sweep *sweep)
{
    if (!sweep->space) {
        harness_settle(harness);
        return;
    }
    fake_io_set_space(harness->io, 1u << 30);
    fake_io_advance(harness->io, 1000000000u);
    harness_settle(harness);
    fake_io_set_space(harness->io, sweep->space);
}

static uint64_t calls_of_whole_work(const struct sweep *sweep)
{
    struct harness harness;
    harness_begin(&harness, sweep);
    assert_true(harness_open(&harness));
    harness_work(&harness, sweep->steps);
    settle(&harness, sweep);
    uint64_t calls = fake_io_calls_all(harness.io);
    harness_deinit(&harness);
    return calls;
}

/* After a first crash: work again, crash again at some call, and what is durable is there (WAL-1,
 * WAL-2, WAL-3). */
static void again(struct harness *harness, const struct sweep *sweep)
{
    for (unsigned i = 0; i < 2; i++) {
        fake_io_cut_at(harness->io,
                       fake_io_calls_all(harness->io) + 1 + random_below(&harness->random, 120));
        if (harness_open(harness)) {
            harness_work(harness, sweep->steps / 4);
            settle(harness, sweep);
        }
        harness_crash(harness, (enum fake_loss)random_below(&harness->random, 4));
    }
    assert_true(harness_open(harness));
    harness_append(harness, WAL_ENTRY, 0, 100, WAL_SYNC_ALWAYS);
    settle(harness, sweep);
    assert_int_equal(harness->durable, harness->count);
    harness_crash(harness, FAKE_LOSE_ALL);
    assert_true(harness_open(harness));
}

static void crash_at(const struct sweep *sweep, uint64_t cut, enum fake_loss loss, uint64_t choice)
{
    struct harness harness;
    harness_begin(&harness, sweep);
    fake_io_cut_at(harness.io, cut);
    if (harness_open(&harness)) {
        harness_work(&harness, sweep->steps);
        settle(&harness, sweep);
    }
    random_init(&harness.random, choice);
    harness_crash(&harness, loss);
    again(&harness, sweep);
    harness_deinit(&harness);
}

static void sweep_run(const struct sweep *sweep)
{
    uint64_t calls = calls_of_whole_work(sweep);
    for (uint64_t cut = 1; cut <= calls + 1; cut += sweep->cut_every) {
        crash_at(sweep, cut, FAKE_LOSE_NOTHING, cut);
        crash_at(sweep, cut, FAKE_LOSE_ALL, cut);
        crash_at(sweep, cut, FAKE_KEEP_LAST, cut);
        for (uint64_t choice = 0; choice < 3; choice++)
            crash_at(sweep, cut, FAKE_LOSE_SOME, cut * 3 + choice);
    }
}

static void power_cut_at_every_call(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++)
        sweep_run(&(struct sweep){.seed = seed, .steps = 150, .cut_every = 1});
}

/* Batches share blocks; only what a sync covered must survive, and no later write may touch that
 * (WAL-1). */
static void power_cut_at_every_call_without_always(void **state)
{
    (void)state;
    for (uint64_t seed = 31; seed <= 32; seed++)
        sweep_run(&(struct sweep){.seed = seed, .steps = 200, .lazy = true, .cut_every = 1});
}

/* A recycled segment's old bytes never come back (WAL-4), and nothing that is still needed is
 * overwritten. */
static void power_cut_at_every_call_with_recycling(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed <= 12; seed++)
        sweep_run(&(struct sweep){.seed = seed, .steps = 500, .releases = true, .cut_every = 3});
}

static void power_cut_at_every_call_on_a_full_disk(void **state)
{
    (void)state;
    sweep_run(&(struct sweep){.seed = 21,
                              .steps = 400,
                              .releases = true,
                              .cut_every = 3,
                              .space = 5 * WAL_SEGMENT_SIZE_MIN,
                              .writes_fail = true});
    sweep_run(&(struct sweep){.seed = 22, .steps = 150, .cut_every = 2, .writes_fail = true});
}

/* Killed with a sync under way; then nth sync of the next starts fails, again and again; then the
 * power goes. What a start calls durable is (WAL-1). */
static void syncs_that_fail_at_a_start(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct sweep sweep = {.seed = seed, .steps = 60, .lazy = seed % 2};
        struct harness harness;
        harness_begin(&harness, &sweep);
        assert_true(harness_open(&harness));
        harness_work(&harness, sweep.steps);
        harness_crash(&harness, FAKE_LOSE_NOTHING);
        harness.syncs_fail = true;
        for (unsigned i = 0; i < 3; i++) {
            fake_io_fail(harness.io, FAKE_SYNC, 1 + random_below(&harness.random, 4), STATUS_IO);
            if (harness_open(&harness))
                harness_work(&harness, 10);
            harness_crash(&harness, FAKE_LOSE_NOTHING);
        }
        harness.syncs_fail = false;
        assert_true(harness_open(&harness));
        harness_append(&harness, WAL_ENTRY, 0, 100, WAL_SYNC_ALWAYS);
        settle(&harness, &sweep);
        harness_crash(&harness, FAKE_LOSE_ALL);
        assert_true(harness_open(&harness));
        harness_deinit(&harness);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cut_at_every_call),
        cmocka_unit_test(power_cut_at_every_call_without_always),
        cmocka_unit_test(power_cut_at_every_call_with_recycling),
        cmocka_unit_test(power_cut_at_every_call_on_a_full_disk),
        cmocka_unit_test(syncs_that_fail_at_a_start),
    };
    return cmocka_run_group_tests_name("wal crash", tests, NULL, NULL);
}
