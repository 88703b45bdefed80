/* SNAP-1: a crash at any call, of the process or of the machine, leaves the old or the new one. */
#include "tests/snapshot/stage.h"

static void prepare(struct stage *stage, uint64_t seed)
{
    stage_init(stage, seed);
    assert_status(STATUS_OK, stage_open(stage));
    stage->writes.names = 12; /* few chunks: few calls */
    stage_write_some(stage, 600);
    for (uint64_t index = 10; index <= 20; index += 10) {
        assert_status(STATUS_END, stage_snapshot(stage, index));
        stage_write_some(stage, 100);
    }
    while (stage_turn(stage))
        ;
}

/* After a crash: what is there is whole, no draft is left, and it goes on. */
static void expect_old_or_new(struct stage *stage, bool was_published)
{
    stage_close(stage);
    assert_status(STATUS_OK, stage_open(stage));
    uint64_t newest = stage_check(stage);
    assert_true(newest == 30 || (newest == 20 && !was_published)); /* SNAP-4 */
    assert_int_equal(0, stage_count_files(stage, ".tmp"));
    const struct snapshot *newer, *older;
    snapshots_newest_two(stage->snapshots, STAGE_GROUP, &newer, &older);
    assert_non_null(older);
    assert_status(STATUS_END, stage_snapshot(stage, 40));
    while (stage_turn(stage))
        ;
    assert_int_equal(40, stage_check(stage));
    assert_int_equal(2, stage_count_files(stage, ".snap"));
}

/* False: the snapshot was done before that call. */
static bool crash_at(uint64_t seed, uint64_t nth, bool power)
{
    struct stage stage;
    prepare(&stage, seed);
    world_crash_at_call(stage.world, stage.machine, nth, power);
    bool was_published = stage_snapshot(&stage, 30) == STATUS_END;
    while (!stage.died && stage_turn(&stage))
        ;
    bool died = stage.died;
    if (!died)
        stage_crash(&stage, power);
    expect_old_or_new(&stage, was_published);
    stage_deinit(&stage);
    return died;
}

static void at_every_call(bool power)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        uint64_t nth = 1;
        while (crash_at(seed, nth, power))
            nth++;
        assert_true(nth > 8);
    }
}

static void the_process_dies_at_every_call(void **state)
{
    (void)state;
    at_every_call(false);
}

static void the_power_goes_at_every_call(void **state)
{
    (void)state;
    at_every_call(true);
}

/* Not at a call but between events: while a sync, the naming or a removal is under way. */
static void at_every_turn(bool power)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct stage stage;
        struct snapshot_writer *writer;
        struct snapshot_meta meta = stage_meta(30);
        prepare(&stage, seed);
        stage_mark(&stage, 30);
        assert_status(STATUS_OK, snapshot_begin(stage.snapshots, &meta, stage.writes.store, &writer,
                                                stage.why));
        snapshot_confirm(writer);
        unsigned turns = (unsigned)(seed % 5);
        enum status status = STATUS_OK;
        while (status != STATUS_END) {
            status = snapshot_step(writer, stage.why);
            if (status == STATUS_AGAIN && (turns-- == 0 || !stage_turn(&stage)))
                break;
        }
        stage_crash(&stage, power);
        expect_old_or_new(&stage, status == STATUS_END);
        stage_deinit(&stage);
    }
}

static void the_process_dies_in_between(void **state)
{
    (void)state;
    at_every_turn(false);
}

static void the_power_goes_in_between(void **state)
{
    (void)state;
    at_every_turn(true);
}

/* SNAP-4: a name that only a dead process knew is made durable before it is said to be there. */
static void what_a_start_has_found_survives_the_power(void **state)
{
    unsigned found = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct stage stage;
        struct snapshot_writer *writer;
        struct snapshot_meta meta = stage_meta(30);
        prepare(&stage, seed);
        stage_mark(&stage, 30);
        assert_status(STATUS_OK, snapshot_begin(stage.snapshots, &meta, stage.writes.store, &writer,
                                                stage.why));
        snapshot_confirm(writer);
        for (unsigned waits = 0; waits < 2;) { /* for its sync, then for its name */
            if (snapshot_step(writer, stage.why) != STATUS_AGAIN)
                continue;
            if (++waits == 1)
                assert_true(stage_turn(&stage));
        }
        stage_crash(&stage, false);
        assert_status(STATUS_OK, stage_open(&stage));
        uint64_t newest = stage_check(&stage);
        found += newest == 30;
        stage_crash(&stage, true);
        assert_status(STATUS_OK, stage_open(&stage));
        assert_int_equal(newest, stage_check(&stage));
        stage_deinit(&stage);
    }
    assert_true(found > 20 && found < 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_process_dies_at_every_call),
        cmocka_unit_test(the_power_goes_at_every_call),
        cmocka_unit_test(the_process_dies_in_between),
        cmocka_unit_test(the_power_goes_in_between),
        cmocka_unit_test(what_a_start_has_found_survives_the_power),
    };
    return cmocka_run_group_tests_name("snapshot crash", tests, NULL, NULL);
}
