/* Snapshots written beside a store that changes: what they hold, what they wait for, what stays. */
#include "base/memory.h"
#include "tests/snapshot/stage.h"

static void begin(struct stage *stage, uint64_t seed, unsigned writes)
{
    stage_init(stage, seed);
    assert_status(STATUS_OK, stage_open(stage));
    stage_write_some(stage, writes);
}

static void a_snapshot_is_the_store_of_its_moment(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct stage stage;
        begin(&stage, seed, seed == 6 ? 0 : 3000); /* an empty one, too */
        assert_status(STATUS_END, stage_snapshot(&stage, 10));
        assert_int_equal(10, stage_check(&stage));
        stage_close(&stage);
        assert_status(STATUS_OK, stage_open(&stage));
        assert_int_equal(10, stage_check(&stage));
        stage_deinit(&stage);
    }
}

/* R3: before it is confirmed there is no name. */
static void without_confirmation_it_waits(void **state)
{
    struct stage stage;
    struct snapshot_writer *writer;
    struct snapshot_meta meta = stage_meta(10);
    (void)state;
    begin(&stage, 1, 500);
    stage_mark(&stage, 10);
    assert_status(STATUS_OK,
                  snapshot_begin(stage.snapshots, &meta, stage.writes.store, &writer, stage.why));
    assert_status(STATUS_AGAIN, stage_drive(&stage, writer)); /* nothing more happens */
    assert_int_equal(0, stage_count_files(&stage, ".snap"));  /* SNAP-4 */
    assert_int_equal(0, stage_check(&stage));
    snapshot_confirm(writer);
    assert_status(STATUS_END, stage_drive(&stage, writer));
    assert_status(STATUS_END, snapshot_step(writer, stage.why));
    snapshot_end(writer);
    assert_int_equal(10, stage_check(&stage));
    stage_deinit(&stage);
}

static void nothing_is_published_before_its_sync(void **state)
{
    struct stage stage;
    struct snapshot_writer *writer;
    struct snapshot_meta meta = stage_meta(10);
    (void)state;
    begin(&stage, 1, 500);
    stage_mark(&stage, 10);
    world_hold_syncs(stage.world, stage.machine, true);
    assert_status(STATUS_OK,
                  snapshot_begin(stage.snapshots, &meta, stage.writes.store, &writer, stage.why));
    snapshot_confirm(writer);
    assert_status(STATUS_AGAIN, stage_drive(&stage, writer));
    assert_int_equal(0, stage_count_files(&stage, ".snap"));
    world_hold_syncs(stage.world, stage.machine, false);
    assert_status(STATUS_END, stage_drive(&stage, writer));
    snapshot_end(writer);
    assert_int_equal(10, stage_check(&stage));
    stage_deinit(&stage);
}

static void one_that_is_ended_leaves_nothing(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 60; steps += 3) {
        struct stage stage;
        struct snapshot_writer *writer;
        struct snapshot_meta meta = stage_meta(10);
        begin(&stage, 1, 300);
        assert_status(STATUS_OK, snapshot_begin(stage.snapshots, &meta, stage.writes.store, &writer,
                                                stage.why));
        snapshot_confirm(writer);
        stage_mark(&stage, 10);
        for (unsigned i = 0; i < steps; i++)
            if (snapshot_step(writer, stage.why) == STATUS_AGAIN && i % 2)
                (void)stage_turn(&stage);
        snapshot_end(writer);
        while (stage_turn(&stage))
            ;
        assert_int_equal(0, stage_count_files(&stage, ".tmp"));
        assert_int_equal(stage_check(&stage) ? 1 : 0, stage_count_files(&stage, ".snap"));
        assert_false(store_has_view(stage.writes.store));
        stage_deinit(&stage);
    }
}

static void the_newest_two_stay(void **state)
{
    struct stage stage;
    const struct snapshot *newer, *older;
    (void)state;
    begin(&stage, 3, 1000);
    for (uint64_t index = 10; index <= 60; index += 10) {
        assert_status(STATUS_END, stage_snapshot(&stage, index));
        while (stage_turn(&stage))
            ;
        assert_int_equal(index, stage_check(&stage));
        assert_int_equal(index == 10 ? 1 : 2, stage_count_files(&stage, ".snap"));
        stage_write_some(&stage, 300);
    }
    snapshots_newest_two(stage.snapshots, STAGE_GROUP, &newer, &older);
    assert_int_equal(60, newer->meta.index);
    assert_int_equal(50, older->meta.index);
    assert_status(STATUS_EXISTS, stage_snapshot(&stage, 60));
    assert_status(STATUS_EXISTS, stage_snapshot(&stage, 20));
    snapshots_forget(stage.snapshots, (struct group_id){6}); /* somebody else */
    assert_int_equal(60, stage_check(&stage));
    snapshots_forget(stage.snapshots, STAGE_GROUP);
    while (stage_turn(&stage))
        ;
    assert_int_equal(0, stage_count_files(&stage, ".snap"));
    assert_int_equal(0, stage_check(&stage));
    stage_deinit(&stage);
}

static void one_of_a_group_at_a_time(void **state)
{
    struct stage stage;
    struct snapshot_writer *writer, *other;
    struct snapshot_meta meta = stage_meta(10);
    struct store *store = store_create(STAGE_SEED);
    (void)state;
    begin(&stage, 1, 100);
    assert_status(STATUS_OK,
                  snapshot_begin(stage.snapshots, &meta, stage.writes.store, &writer, stage.why));
    assert_status(STATUS_IN_USE, snapshot_begin(stage.snapshots, &meta, store, &other, stage.why));
    meta.group.value++;
    assert_status(STATUS_IN_USE,
                  snapshot_begin(stage.snapshots, &meta, stage.writes.store, &other, stage.why));
    assert_status(STATUS_OK, snapshot_begin(stage.snapshots, &meta, store, &other, stage.why));
    snapshot_confirm(writer);
    snapshot_confirm(other);
    stage_mark(&stage, 10);
    assert_status(STATUS_END, stage_drive(&stage, other));
    snapshot_end(writer);
    snapshot_end(other);
    store_destroy(store);
    stage_deinit(&stage);
}

static void expect_same_chunks(struct stage *one, struct stage *two)
{
    const struct snapshot *a, *b, *none;
    snapshots_newest_two(one->snapshots, STAGE_GROUP, &a, &none);
    snapshots_newest_two(two->snapshots, STAGE_GROUP, &b, &none);
    assert_int_equal(a->count, b->count);
    assert_true(a->count > 3);
    for (uint32_t i = 0; i < a->count; i++) {
        assert_true(a->chunks[i].content == b->chunks[i].content);
        assert_true(a->chunks[i].keys == b->chunks[i].keys);
        assert_true(a->chunks[i].last.slot == b->chunks[i].last.slot);
        assert_true(a->chunks[i].last.hash == b->chunks[i].last.hash);
        assert_true(a->chunks[i].size == b->chunks[i].size);
    }
    assert_true(slice_equal(a->header, b->header));
}

/* SNAP-5: a replica that came to the same contents by another way has the same chunks. */
static void two_replicas_have_the_same_chunks(void **state)
{
    struct stage one, two;
    const struct snapshot *a, *none;
    (void)state;
    begin(&one, 4, 3000);
    begin(&two, 5, 0);
    assert_status(STATUS_END, stage_snapshot(&one, 10));
    snapshots_newest_two(one.snapshots, STAGE_GROUP, &a, &none);
    writes_touch(two.writes.store, &two.writes.random);
    assert_status(STATUS_OK, snapshot_load(one.snapshots, a, two.writes.store, one.why));
    assert_status(STATUS_END, stage_snapshot(&two, 10));
    expect_same_chunks(&one, &two);
    stage_deinit(&one);
    stage_deinit(&two);
}

/* Of `count` names in one slot, so that chunks are cut within it, those whose place is up to
 * `last`.
 */
static void fill_slot(struct store *store, const char *name, unsigned count, size_t size,
                      uint64_t last)
{
    char text[32];
    uint8_t bytes[1000];
    struct random random;
    random_init(&random, 9);
    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof text, "{slot}%s%u", name, i);
        struct store_key key = store_key_of(0, slice_of_text(text));
        if (store_key_hash(store, &key) > last)
            continue;
        for (size_t at = 0; at < size; at++)
            bytes[at] = (uint8_t)random_next(&random);
        store_put_string(store, &key, slice_of(bytes, size), 0);
    }
}

static void empty_slot(struct store *store, const char *name, unsigned count)
{
    char text[32];
    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof text, "{slot}%s%u", name, i);
        struct store_key key = store_key_of(0, slice_of_text(text));
        assert_true(store_remove(store, &key));
    }
}

/* Neither does the shape of the table say where a chunk ends, nor what comes while it is cut: so
 * many new keys in one place that a step gives nothing. */
static void chunks_within_a_slot_are_the_same(void **state)
{
    struct stage one, two;
    struct snapshot_writer *writer;
    struct snapshot_meta meta = stage_meta(10);
    (void)state;
    begin(&one, 4, 0);
    begin(&two, 5, 0);
    fill_slot(one.writes.store, "", 6000, 1000, UINT64_MAX);
    assert_status(STATUS_END, stage_snapshot(&one, 10));
    fill_slot(two.writes.store, "before", 30000, 1, UINT64_MAX);
    fill_slot(two.writes.store, "", 6000, 1000, UINT64_MAX);
    empty_slot(two.writes.store, "before", 30000);
    assert_status(STATUS_OK,
                  snapshot_begin(two.snapshots, &meta, two.writes.store, &writer, two.why));
    fill_slot(two.writes.store, "meanwhile", 3000000, 1, UINT64_MAX / 64);
    snapshot_confirm(writer);
    assert_status(STATUS_END, stage_drive(&two, writer));
    snapshot_end(writer);
    expect_same_chunks(&one, &two);
    stage_deinit(&one);
    stage_deinit(&two);
}

/* Chunks are cut within a range; a value larger than a chunk has one of its own; what can be packed
 * is packed. */
static void large_values_and_large_ranges(void **state)
{
    struct stage stage;
    const struct snapshot *newer, *older;
    size_t big = 9u << 20;
    uint8_t *bytes = memory_zeroed(1, big);
    char name[32];
    (void)state;
    begin(&stage, 6, 0);
    for (unsigned i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "{slot}%u", i);
        struct store_key key = store_key_of(0, slice_of_text(name));
        for (size_t at = 0; at < 100000; at++)
            bytes[at] = (uint8_t)random_next(&stage.writes.random);
        store_put_string(stage.writes.store, &key, slice_of(bytes, i == 30 ? big : 100000), 0);
    }
    assert_status(STATUS_END, stage_snapshot(&stage, 10));
    assert_int_equal(10, stage_check(&stage));
    snapshots_newest_two(stage.snapshots, STAGE_GROUP, &newer, &older);
    assert_true(newer->count > 4);
    assert_true(newer->raw_size > big + 5900000);
    assert_true(newer->size < big);
    memory_free(bytes);
    stage_deinit(&stage);
}

/* Each step is bounded: the largest write is a part of the chunk. */
static void steps_are_small(void **state)
{
    struct stage stage;
    struct snapshot_writer *writer;
    struct snapshot_meta meta = stage_meta(10);
    uint8_t bytes[1000];
    char name[32];
    uint64_t largest = 0, before;
    (void)state;
    begin(&stage, 6, 0);
    for (unsigned i = 0; i < 8000; i++) {
        snprintf(name, sizeof name, "key%u", i);
        struct store_key key = store_key_of(0, slice_of_text(name));
        for (size_t at = 0; at < sizeof bytes; at++)
            bytes[at] = (uint8_t)random_next(&stage.writes.random);
        store_put_string(stage.writes.store, &key, slice_of(bytes, sizeof bytes), 0);
    }
    assert_status(STATUS_OK,
                  snapshot_begin(stage.snapshots, &meta, stage.writes.store, &writer, stage.why));
    snapshot_confirm(writer);
    for (enum status status = STATUS_OK; status != STATUS_END;) {
        before = world_counters(stage.world, stage.machine).written_bytes;
        status = snapshot_step(writer, stage.why);
        uint64_t wrote = world_counters(stage.world, stage.machine).written_bytes - before;
        largest = wrote > largest ? wrote : largest;
        if (status == STATUS_AGAIN)
            assert_true(stage_turn(&stage));
    }
    snapshot_end(writer);
    assert_true(largest > 50000 && largest <= 256 << 10);
    stage_deinit(&stage);
}

/* ---- trouble ---- */

static void too_many_changes_give_it_up(void **state)
{
    struct stage stage;
    struct snapshot_writer *writer;
    struct snapshot_meta meta = stage_meta(10);
    struct snapshots_options options = {
        .dir = STAGE_DIR, .cluster = STAGE_CLUSTER, .tag = STAGE_TAG, .aside_max = 250000};
    (void)state;
    begin(&stage, 1, 3000);
    stage_close(&stage);
    assert_status(STATUS_OK,
                  snapshots_open(stage_io(&stage), &options, &stage.snapshots, stage.why));
    assert_status(STATUS_OK,
                  snapshot_begin(stage.snapshots, &meta, stage.writes.store, &writer, stage.why));
    stage_write_some(&stage, 6000);
    assert_status(STATUS_TOO_LARGE, stage_drive(&stage, writer));
    assert_non_null(strstr(stage.why, "too much changed"));
    snapshot_end(writer);
    while (stage_turn(&stage))
        ;
    assert_int_equal(0, stage_count_files(&stage, ".tmp"));
    assert_status(STATUS_END, stage_snapshot(&stage, 10)); /* calmer times */
    assert_int_equal(10, stage_check(&stage));
    stage_deinit(&stage);
}

/* One line, the draft goes, and the older one is what it was. */
static void expect_trouble(struct stage *stage, enum status expected)
{
    assert_status(expected, stage_snapshot(stage, 20));
    assert_true(strlen(stage->why) > 20 && !strchr(stage->why, '\n'));
    assert_non_null(strstr(stage->why, "0000000000000014.snap: "));
    world_disk_capacity(stage->world, stage->machine, 0);
    while (stage_turn(stage))
        ;
    assert_int_equal(0, stage_count_files(stage, ".tmp"));
    assert_int_equal(10, stage_check(stage));
    assert_status(STATUS_END, stage_snapshot(stage, 30));
    assert_int_equal(30, stage_check(stage));
}

static void a_full_disk_gives_one_line(void **state)
{
    (void)state;
    for (uint64_t room = 0; room < 48; room += 4) {
        struct stage stage;
        begin(&stage, 2, 3000);
        assert_status(STATUS_END, stage_snapshot(&stage, 10));
        uint64_t used = world_disk_used(stage.world, stage.machine);
        world_disk_capacity(stage.world, stage.machine, used + room * 1024);
        expect_trouble(&stage, STATUS_NO_SPACE);
        stage_deinit(&stage);
    }
}

static void a_disk_that_fails_gives_one_line(void **state)
{
    uint64_t calls = 0;
    (void)state;
    for (uint64_t nth = 1; calls == 0 || nth <= calls; nth++) {
        struct stage stage;
        begin(&stage, 2, 1000);
        assert_status(STATUS_END, stage_snapshot(&stage, 10));
        uint64_t before = world_counters(stage.world, stage.machine).disk_calls;
        if (calls == 0) {
            assert_status(STATUS_END, stage_snapshot(&stage, 20));
            calls = world_counters(stage.world, stage.machine).disk_calls - before;
            assert_true(calls > 5);
            nth = 0;
        } else {
            world_fail_disk_call(stage.world, stage.machine, nth, STATUS_IO);
            expect_trouble(&stage, STATUS_IO);
        }
        stage_deinit(&stage);
    }
}

static void a_failed_sync_is_not_tried_again(void **state)
{
    struct stage stage;
    (void)state;
    begin(&stage, 2, 1000);
    assert_status(STATUS_END, stage_snapshot(&stage, 10));
    world_fail_sync(stage.world, stage.machine, 1);
    expect_trouble(&stage, STATUS_IO);
    stage_deinit(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_the_store_of_its_moment),
        cmocka_unit_test(without_confirmation_it_waits),
        cmocka_unit_test(nothing_is_published_before_its_sync),
        cmocka_unit_test(one_that_is_ended_leaves_nothing),
        cmocka_unit_test(the_newest_two_stay),
        cmocka_unit_test(one_of_a_group_at_a_time),
        cmocka_unit_test(two_replicas_have_the_same_chunks),
        cmocka_unit_test(chunks_within_a_slot_are_the_same),
        cmocka_unit_test(large_values_and_large_ranges),
        cmocka_unit_test(steps_are_small),
        cmocka_unit_test(too_many_changes_give_it_up),
        cmocka_unit_test(a_full_disk_gives_one_line),
        cmocka_unit_test(a_disk_that_fails_gives_one_line),
        cmocka_unit_test(a_failed_sync_is_not_tried_again),
    };
    return cmocka_run_group_tests_name("snapshot write", tests, NULL, NULL);
}
