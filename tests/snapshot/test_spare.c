/* SNAP-6: chunks of a snapshot that was not received to its end are used again. */
#include "tests/snapshot/stage.h"

#include "base/memory.h"

#include <string.h>

/* One that sends, and one that receives and is interrupted. */
struct course {
    struct stage from, to;
    struct snapshot_reader *reader;
    struct snapshot_writer *writer;
    struct buffer outline;
};

static void open_source(struct course *course)
{
    const struct snapshot *newer, *older;
    snapshots_newest_two(course->from.snapshots, STAGE_GROUP, &newer, &older);
    assert_status(STATUS_OK, snapshot_reader_open(course->from.snapshots, newer, &course->reader,
                                                  course->from.why));
    buffer_reset(&course->outline);
    snapshot_outline_store(newer, &course->outline);
}

static void begin(struct course *course, uint64_t seed)
{
    stage_init(&course->from, seed);
    stage_init(&course->to, seed + 1000);
    buffer_init(&course->outline, 1 << 20);
    assert_status(STATUS_OK, stage_open(&course->from));
    assert_status(STATUS_OK, stage_open(&course->to));
    stage_write_some(&course->from, 300);
    assert_status(STATUS_END, stage_snapshot(&course->from, 10));
    open_source(course);
}

static void end(struct course *course)
{
    snapshot_reader_close(course->reader);
    buffer_deinit(&course->outline);
    stage_deinit(&course->from);
    stage_deinit(&course->to);
}

static const struct snapshot *sent(const struct course *course)
{
    return snapshot_reader_of(course->reader);
}

static void begin_receiving(struct course *course)
{
    assert_status(STATUS_OK,
                  snapshot_receive_begin(course->to.snapshots, STAGE_GROUP, sent(course)->header,
                                         &course->writer, course->to.why));
}

/* The next chunk from the source. */
static void receive_one(struct course *course)
{
    struct slice bytes;
    enum status status = STATUS_AGAIN;
    snapshot_read_start(course->reader, snapshot_receive_next(course->writer));
    while ((status = snapshot_read_result(course->reader, &bytes, course->from.why)) ==
           STATUS_AGAIN)
        assert_true(stage_turn(&course->from));
    assert_status(STATUS_OK, status);
    while ((status = snapshot_receive_chunk(course->writer, bytes, course->to.why)) == STATUS_AGAIN)
        assert_true(stage_turn(&course->to));
    assert_status(STATUS_OK, status);
}

/* Takes all that is here, and the rest from the source; returns how many came from there. */
static uint32_t receive_rest(struct course *course)
{
    uint32_t received = 0, count = sent(course)->count;
    assert_status(STATUS_OK, snapshot_receive_outline(course->writer,
                                                      slice_of_buffer(&course->outline), count));
    while (snapshot_receive_next(course->writer) < count) {
        enum status status = STATUS_NOT_FOUND;
        if (!snapshot_receive_missing(course->writer, 1))
            status = snapshot_receive_reuse(course->writer, course->to.why);
        if (status == STATUS_AGAIN) {
            assert_true(stage_turn(&course->to));
        } else if (status == STATUS_NOT_FOUND) {
            receive_one(course);
            received++;
        }
    }
    assert_status(STATUS_OK, snapshot_receive_end(course->writer, count, sent(course)->keys,
                                                  sent(course)->content, course->to.why));
    snapshot_confirm(course->writer);
    assert_status(STATUS_END, stage_drive(&course->to, course->writer));
    return received;
}

/* What is there in the end loads, and is what was sent. */
static void expect_equal(struct course *course)
{
    const struct snapshot *newer, *older;
    struct store *store = store_create(STAGE_SEED);
    snapshots_newest_two(course->to.snapshots, STAGE_GROUP, &newer, &older);
    assert_status(STATUS_OK, snapshot_load(course->to.snapshots, newer, store, course->to.why));
    assert_true(newer->content == sent(course)->content);
    assert_true(newer->size == sent(course)->size);
    store_destroy(store);
    while (stage_turn(&course->to))
        ;
    assert_int_equal(0, stage_count_files(&course->to, ".part")); /* nothing is left over */
}

enum end {
    KEPT,
    CLOSED,
    KILLED,
    CUT
};

static void interrupt(struct course *course, enum end how)
{
    if (how == KEPT) {
        snapshot_receive_keep(course->writer);
        return;
    }
    if (how != CLOSED)
        stage_crash(&course->to, how == CUT);
    else
        stage_close(&course->to);
    assert_status(STATUS_OK, stage_open(&course->to));
}

static void an_interrupted_one_goes_on(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        for (enum end how = KEPT; how <= CUT; how++) {
            struct course course;
            begin(&course, seed);
            begin_receiving(&course);
            uint32_t count = sent(&course)->count, some = 1 + (uint32_t)seed % (count - 1);
            for (uint32_t i = 0; i < some; i++)
                receive_one(&course);
            interrupt(&course, how);
            begin_receiving(&course);
            uint32_t rest = receive_rest(&course);
            assert_true(rest == count - some || (how == CUT && rest >= count - some)); /* SNAP-6 */
            expect_equal(&course);
            end(&course);
        }
}

#define ENTRY 40 /* of an outline; the first 16 bytes say where the chunk ends */

/* Chunks of the outline now that the one before has not. */
static uint32_t count_new(const struct buffer *before, const struct buffer *now)
{
    uint32_t count = 0;
    static const uint8_t first[16] = {0xff};
    for (size_t i = 0; i < now->size; i += ENTRY) {
        bool is_new = true;
        const uint8_t *behind = i ? now->at + i - ENTRY : first;
        for (size_t k = 0; k < before->size && is_new; k += ENTRY)
            is_new = memcmp(now->at + i, before->at + k, ENTRY) != 0 ||
                     memcmp(behind, k ? before->at + k - ENTRY : first, 16) != 0;
        count += is_new;
    }
    return count;
}

/* Of a later mark only what has changed since is asked for. */
static void another_mark_has_most_of_it(void **state)
{
    (void)state;
    struct course course;
    struct buffer before;
    begin(&course, 1);
    begin_receiving(&course);
    uint32_t count = sent(&course)->count;
    before = course.outline;
    buffer_init(&course.outline, 1 << 20);
    for (uint32_t i = 0; i < count; i++)
        receive_one(&course);
    snapshot_receive_keep(course.writer);
    stage_write_some(&course.from, 2);
    assert_status(STATUS_END, stage_snapshot(&course.from, 20));
    snapshot_reader_close(course.reader);
    open_source(&course);
    begin_receiving(&course);
    uint32_t changed = count_new(&before, &course.outline);
    assert_true(changed > 0 && changed < sent(&course)->count);
    assert_int_equal(changed, receive_rest(&course)); /* SNAP-6 */
    expect_equal(&course);
    buffer_deinit(&before);
    end(&course);
}

static void a_malformed_outline_is_refused(void **state)
{
    (void)state;
    struct course course;
    begin(&course, 3);
    begin_receiving(&course);
    struct slice bytes = slice_of_buffer(&course.outline);
    uint32_t count = sent(&course)->count;
    assert_status(STATUS_DAMAGED, snapshot_receive_outline(course.writer, bytes, count + 1));
    assert_status(STATUS_DAMAGED, snapshot_receive_outline(course.writer, bytes, 0));
    bytes.size--;
    assert_status(STATUS_DAMAGED, snapshot_receive_outline(course.writer, bytes, count));
    assert_int_equal(2, snapshot_receive_missing(course.writer, 2));
    assert_false(snapshot_receive_may_reuse(course.writer));
    snapshot_end(course.writer);
    end(&course);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interrupted_one_goes_on),
        cmocka_unit_test(another_mark_has_most_of_it),
        cmocka_unit_test(a_malformed_outline_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
