/* The log's own behaviour on a disk that does what it should, or is full, or fails a call. */
#include "tests/wal/harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct harness *begin(struct harness *harness)
{
    harness_init(harness, 7);
    assert_true(harness_open(harness));
    return harness;
}

static void reopen(struct harness *harness, enum fake_loss loss)
{
    harness_crash(harness, loss);
    assert_true(harness_open(harness));
}

static void an_empty_directory_is_an_empty_log(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    assert_true(wal_was_empty(h.wal));
    assert_false(wal_tail_was_cut(h.wal));
    assert_false(wal_may_have_lost(h.wal));
    assert_int_equal(wal_next_ticket(h.wal), 1);
    harness_settle(&h); /* the note of this start */
    reopen(&h, FAKE_LOSE_ALL);
    assert_false(wal_was_empty(h.wal));
    assert_int_equal(h.count, 0);
    harness_deinit(&h);
}

static void first_start_writes_little(void **state)
{
    (void)state;
    struct harness h;
    harness_init(&h, 7);
    h.segment_size = 0;
    assert_true(harness_open(&h));
    harness_append(&h, WAL_ENTRY, 1, 100, WAL_SYNC_ALWAYS);
    assert_int_equal(harness_flush(&h), STATUS_OK);
    size_t size = 0;
    assert_non_null(fake_io_bytes(h.io, "/wal/0000000000000001.wal", &size));
    assert_int_equal(size, (4u << 20) + 512); /* and the end mark */
    harness_settle(&h);                       /* prepares the next one in the background */
    assert_non_null(fake_io_bytes(h.io, "/wal/0000000000000002.wal", &size));
    assert_int_equal(size, WAL_SEGMENT_SIZE_DEFAULT + 512);
    harness_deinit(&h);
}

static void a_ticket_is_durable_only_after_its_sync(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    fake_io_hold(h.io, FAKE_SYNC, true);
    harness_append(&h, WAL_ENTRY, 1, 100, WAL_SYNC_ALWAYS);
    assert_int_equal(harness_flush(&h), STATUS_OK);
    while (harness_step(&h))
        ;
    assert_int_equal(wal_written_ticket(h.wal), 1);
    assert_int_equal(wal_durable_ticket(h.wal), 0); /* WAL-1 */
    harness_append(&h, WAL_ENTRY, 1, 100, WAL_SYNC_ALWAYS);
    assert_int_equal(harness_flush(&h), STATUS_AGAIN); /* one sync in flight */
    assert_true(wal_batch_size(h.wal) > 0);
    fake_io_hold(h.io, FAKE_SYNC, false);
    assert_true(harness_step(&h));
    assert_int_equal(wal_durable_ticket(h.wal), 1);
    harness_settle(&h);
    assert_int_equal(wal_durable_ticket(h.wal), 2);
    assert_int_equal(wal_batch_size(h.wal), 0);
    harness_deinit(&h);
}

static void groups_come_back_in_order(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    for (size_t round = 0; round < 30; round++) {
        for (uint64_t group = 0; group < HARNESS_GROUPS; group++)
            harness_append(&h, WAL_ENTRY, group, 10 + round * group, WAL_SYNC_ALWAYS);
        harness_append(&h, round % 2 ? WAL_STATE : WAL_IDENTITY, 3, 50, WAL_SYNC_ALWAYS);
        harness_settle(&h);
    }
    harness_truncate(&h, 2, 5);
    harness_append(&h, WAL_ENTRY, 2, 20, WAL_SYNC_ALWAYS);
    harness_settle(&h);
    size_t count = h.count;
    reopen(&h, FAKE_LOSE_ALL);
    assert_int_equal(h.count, count); /* WAL-2; harness_open compared them all */
    reopen(&h, FAKE_LOSE_NOTHING);
    assert_int_equal(h.count, count);
    harness_deinit(&h);
}

static size_t files_of(struct harness *h)
{
    char paths[64][IO_PATH_SIZE];
    return fake_io_names(h->io, paths, 64);
}

static void batches_go_on_in_the_next_segment(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    for (size_t i = 0; i < 60; i++) {
        harness_append(&h, WAL_ENTRY, i % 3, 30000, WAL_SYNC_ALWAYS);
        harness_settle(&h);
    }
    assert_true(files_of(&h) >= 8);
    size_t count = h.count;
    reopen(&h, FAKE_LOSE_ALL);
    assert_int_equal(h.count, count);
    harness_deinit(&h);
}

static void a_slow_disk_delays_the_next_segment(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    fake_io_hold(h.io, FAKE_PREPARE, true);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < 20 && status == STATUS_OK; i++) {
        harness_append(&h, WAL_ENTRY, 1, 30000, WAL_SYNC_ALWAYS);
        status = harness_flush(&h);
        while (harness_step(&h))
            ;
    }
    assert_int_equal(status, STATUS_AGAIN);
    assert_false(wal_disk_is_full(h.wal));
    assert_int_equal(h.durable, h.count - 1);
    fake_io_hold(h.io, FAKE_PREPARE, false);
    harness_settle(&h);
    assert_int_equal(h.durable, h.count);
    harness_deinit(&h);
}

static void a_record_larger_than_a_segment_gets_its_own(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    harness_append(&h, WAL_ENTRY, 1, 100, WAL_SYNC_ALWAYS);
    harness_settle(&h);
    harness_append(&h, WAL_ENTRY, 1, 3u << 20, WAL_SYNC_ALWAYS);
    harness_append(&h, WAL_ENTRY, 2, 40u << 20, WAL_SYNC_ALWAYS);
    harness_settle(&h);
    harness_append(&h, WAL_ENTRY, 1, 100, WAL_SYNC_ALWAYS);
    harness_settle(&h);
    assert_int_equal(h.durable, 4);
    reopen(&h, FAKE_LOSE_ALL);
    assert_int_equal(h.count, 4);
    harness_check_read(&h, 1, 1, 100u << 20);
    harness_check_read(&h, 2, 1, 1);
    harness_deinit(&h);
}

static void interval_syncs_when_it_is_due(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    harness_settle(&h);
    uint64_t syncs = fake_io_calls(h.io, FAKE_SYNC), ticket = wal_next_ticket(h.wal);
    harness_append(&h, WAL_ENTRY, 1, 100, WAL_SYNC_INTERVAL);
    assert_int_equal(harness_flush(&h), STATUS_OK);
    uint64_t due = wal_deadline_ns(h.wal);
    assert_int_equal(due, io_now_ns(h.io) + HARNESS_INTERVAL);
    fake_io_advance(h.io, HARNESS_INTERVAL / 2);
    harness_append(&h, WAL_ENTRY, 1, 100, WAL_SYNC_INTERVAL);
    assert_int_equal(harness_flush(&h), STATUS_OK); /* written at once, the due time stays */
    assert_int_equal(wal_written_ticket(h.wal), ticket + 1);
    assert_int_equal(wal_deadline_ns(h.wal), due);
    wal_tick(h.wal, io_now_ns(h.io));
    assert_false(harness_step(&h));
    wal_tick(h.wal, due);
    assert_true(harness_step(&h));
    assert_int_equal(wal_durable_ticket(h.wal), ticket + 1);
    assert_int_equal(fake_io_calls(h.io, FAKE_SYNC), syncs + 1);
    assert_int_equal(wal_deadline_ns(h.wal), UINT64_MAX);
    harness_deinit(&h);
}

static void os_is_never_synced_for_itself_but_by_others(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    harness_settle(&h);
    uint64_t ticket = wal_next_ticket(h.wal);
    for (size_t i = 0; i < 5; i++) {
        harness_append(&h, WAL_ENTRY, 2, 100, WAL_SYNC_OS);
        assert_int_equal(harness_flush(&h), STATUS_OK);
    }
    assert_int_equal(wal_deadline_ns(h.wal), UINT64_MAX);
    assert_false(harness_step(&h));
    assert_int_equal(wal_written_ticket(h.wal), ticket + 4);
    assert_int_equal(wal_durable_ticket(h.wal), ticket - 1);
    harness_append(&h, WAL_STATE, 2, 20, WAL_SYNC_OS); /* WAL-6 */
    assert_int_equal(harness_flush(&h), STATUS_OK);
    assert_true(harness_step(&h));
    assert_int_equal(wal_durable_ticket(h.wal), ticket + 5);
    harness_deinit(&h);
}

static void always_batches_fill_whole_blocks(void **state)
{
    (void)state;
    struct harness h;
    struct buffer text;
    begin(&h);
    buffer_init(&text, 1u << 16);
    for (size_t i = 0; i < 4; i++) {
        harness_append(&h, WAL_ENTRY, 1, 5000, WAL_SYNC_ALWAYS);
        assert_int_equal(harness_flush(&h), STATUS_OK);
        harness_step(&h);
        harness_step(&h);
        unsigned long long end = 1;
        buffer_reset(&text);
        wal_dump(h.wal, &text);
        const char *found = strstr((const char *)text.at, " end ");
        assert_int_equal(sscanf(found, " end %llu", &end), 1);
        assert_int_equal(end % IO_BLOCK_SIZE, 0); /* WAL-5 */
    }
    buffer_deinit(&text);
    harness_deinit(&h);
}

/* Recycled space is full of an older life: what the kernel would have to read of the last block of
 * a write is written with it. */
static void a_write_ends_with_its_block(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    harness_settle(&h);
    uint64_t ticket = 0;
    for (size_t i = 0; i < 20; i++) {
        harness_append(&h, WAL_ENTRY, 1, 100 + 97 * i, WAL_SYNC_OS);
        assert_int_equal(wal_flush(h.wal, &ticket), STATUS_OK);
        assert_int_equal(fake_io_written_end(h.io) % IO_BLOCK_SIZE, 0);
    }
    harness_settle(&h);
    reopen(&h, FAKE_LOSE_NOTHING); /* and the log goes on behind the batch, not behind the block */
    harness_deinit(&h);
}

/* ---- how the last run ended ---- */

static void unclean_is_told_from_clean(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    harness_settle(&h);
    reopen(&h, FAKE_LOSE_NOTHING);
    assert_false(wal_may_have_lost(h.wal)); /* the same boot: the page cache was there */
    harness_settle(&h);
    reopen(&h, FAKE_LOSE_ALL);
    assert_true(wal_may_have_lost(h.wal));
    wal_mark_clean(h.wal);
    harness_settle(&h);
    reopen(&h, FAKE_LOSE_ALL);
    assert_false(wal_may_have_lost(h.wal));
    harness_settle(&h);
    reopen(&h, FAKE_LOSE_ALL);
    assert_true(wal_may_have_lost(h.wal)); /* a start takes the mark away */
    harness_deinit(&h);
}

/* R4: whoever goes by this start must have noted it before a later one may forget it. */
static void a_doubt_stays_until_it_is_settled(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    harness_settle(&h);
    reopen(&h, FAKE_LOSE_ALL);
    assert_true(wal_may_have_lost(h.wal));
    harness_settle(&h);
    reopen(&h, FAKE_LOSE_NOTHING); /* killed before it was settled */
    assert_true(wal_may_have_lost(h.wal));
    wal_run_settle(h.wal);
    harness_settle(&h);
    wal_run_settle(h.wal);
    assert_int_equal(0, wal_batch_size(h.wal));
    reopen(&h, FAKE_LOSE_NOTHING);
    assert_false(wal_may_have_lost(h.wal));
    harness_deinit(&h);
}

static void write_under_a_failing_sync(struct harness *h, enum wal_sync sync)
{
    h->syncs_fail = true;
    harness_append(h, WAL_ENTRY, 1, 100, sync);
    assert_int_equal(STATUS_OK, harness_flush(h));
    if (sync != WAL_SYNC_ALWAYS)
        fake_io_advance(h->io, HARNESS_INTERVAL);
    wal_tick(h->wal, io_now_ns(h->io));
    fake_io_fail(h->io, FAKE_SYNC, 1, STATUS_IO);
}

static void written_under_a_failing_sync(struct harness *h, enum wal_sync sync)
{
    begin(h);
    harness_settle(h);
    write_under_a_failing_sync(h, sync);
}

/* On the same boot: what the failed sync left in the cache is not read any more. */
static void a_failed_sync_leaves_a_doubt(void **state)
{
    (void)state;
    struct harness h;
    written_under_a_failing_sync(&h, WAL_SYNC_INTERVAL);
    harness_settle(&h);
    assert_true(h.failed);
    reopen(&h, FAKE_LOSE_NOTHING);
    assert_true(wal_may_have_lost(h.wal));
    harness_settle(&h);
    reopen(&h, FAKE_LOSE_NOTHING);
    assert_true(wal_may_have_lost(h.wal)); /* not settled */
    wal_run_settle(h.wal);
    harness_settle(&h);
    reopen(&h, FAKE_LOSE_NOTHING);
    assert_false(wal_may_have_lost(h.wal));
    harness_deinit(&h);
}

/* Nobody hears of the failure. */
static void killed_under_a_sync_that_fails(void **state)
{
    (void)state;
    struct harness h;
    written_under_a_failing_sync(&h, WAL_SYNC_INTERVAL);
    struct io_event unheard;
    assert_true(fake_io_step(h.io, &unheard));
    reopen(&h, FAKE_LOSE_NOTHING);
    assert_true(wal_may_have_lost(h.wal));
    harness_deinit(&h);
}

/* The first start syncs what the run left, which fails; it is killed before call number `nth`. */
static bool loses_in_silence(uint64_t nth)
{
    struct harness h;
    struct wal *wal = NULL;
    char why[WAL_WHY_SIZE];
    struct wal_options options = {.dir = HARNESS_DIR, .segment_size = WAL_SEGMENT_SIZE_MIN};
    begin(&h);
    harness_settle(&h);
    harness_append(&h, WAL_ENTRY, 1, 100, WAL_SYNC_OS);
    assert_int_equal(STATUS_OK, harness_flush(&h));
    harness_crash(&h, FAKE_LOSE_NOTHING);
    fake_io_fail(h.io, FAKE_SYNC, 1, STATUS_IO);
    fake_io_cut_at(h.io, fake_io_calls_all(h.io) + nth);
    if (wal_open(h.io, &options, &wal, why) == STATUS_OK)
        wal_close(wal);
    harness_crash(&h, FAKE_LOSE_NOTHING);
    fake_io_fail(h.io, FAKE_SYNC, UINT64_MAX / 2, STATUS_OK); /* no more of them */
    assert_true(harness_open(&h));
    bool in_silence = h.count == 0 && !wal_may_have_lost(h.wal);
    harness_deinit(&h);
    return in_silence;
}

static void killed_twice_under_a_sync_that_fails(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 30; nth++)
        assert_false(loses_in_silence(nth));
}

static void killed_under_a_sync_that_would_not_have_failed(void **state)
{
    (void)state;
    struct harness h;
    written_under_a_failing_sync(&h, WAL_SYNC_INTERVAL);
    reopen(&h, FAKE_LOSE_NOTHING);
    assert_int_equal(1, h.count);
    assert_false(wal_may_have_lost(h.wal));
    harness_deinit(&h);
}

/* The owner has been told nothing of them. */
static void a_failed_sync_of_what_waits_for_it_leaves_no_doubt(void **state)
{
    (void)state;
    struct harness h;
    written_under_a_failing_sync(&h, WAL_SYNC_ALWAYS);
    harness_settle(&h);
    assert_true(h.failed);
    reopen(&h, FAKE_LOSE_NOTHING);
    assert_int_equal(0, h.count);
    assert_false(wal_may_have_lost(h.wal));
    harness_deinit(&h);
}

/* ACK async: the owner waits for the sync, a client was told before it. */
static void a_failed_sync_of_what_was_told_leaves_a_doubt(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    harness_settle(&h);
    wal_note_told(h.wal);
    write_under_a_failing_sync(&h, WAL_SYNC_ALWAYS);
    harness_settle(&h);
    assert_true(h.failed);
    reopen(&h, FAKE_LOSE_NOTHING);
    assert_int_equal(0, h.count);
    assert_true(wal_may_have_lost(h.wal));
    harness_deinit(&h);
}

static void the_boot_is_remembered_across_segments(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    h.releases = true;
    for (size_t i = 0; i < 40; i++) {
        harness_append(&h, WAL_ENTRY, 1, 30000, WAL_SYNC_ALWAYS);
        harness_settle(&h);
        harness_release(&h, 1, h.next_index[1] - 1);
    }
    assert_true(files_of(&h) <= 6);
    reopen(&h, FAKE_LOSE_ALL);
    assert_true(wal_may_have_lost(h.wal));
    harness_deinit(&h);
}

static void another_process_is_told(void **state)
{
    (void)state;
    struct harness h;
    char why[WAL_WHY_SIZE];
    size_t records;
    begin(&h);
    assert_int_equal(harness_probe(&h, why, &records), STATUS_IN_USE);
    assert_non_null(strstr(why, HARNESS_DIR));
    harness_close(&h);
    harness_deinit(&h);
}

/* ---- reading back ---- */

static void entries_are_read_back(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    harness_work(&h, 600);
    harness_settle(&h);
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t group = 0; group < HARNESS_GROUPS; group++)
            for (uint64_t first = 1; first <= h.next_index[group]; first += 3) {
                harness_check_read(&h, group, first, 1);
                harness_check_read(&h, group, first, 2000);
                harness_check_read(&h, group, first, 1u << 20);
            }
        if (round == 0)
            reopen(&h, FAKE_LOSE_NOTHING);
    }
    harness_check_read(&h, 0, h.next_index[0] + 5, 100);
    harness_deinit(&h);
}

/* More reads than the device gets at a time, some given up under way. */
static void many_groups_read_at_once(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    enum {
        GROUPS = 40
    };
    for (uint64_t group = 0; group < GROUPS; group++) {
        uint64_t value = group * 3;
        struct wal_record record = {
            .kind = WAL_ENTRY, .group = {100 + group}, .index = 1, .payload = slice_of(&value, 8)};
        wal_append(h.wal, &record, WAL_SYNC_ALWAYS);
    }
    harness_settle(&h);
    for (uint64_t group = 0; group < GROUPS; group++)
        assert_int_equal(wal_read_start(h.wal, (struct group_id){100 + group}, 1, 100), STATUS_OK);
    for (uint64_t group = 0; group < GROUPS; group += 4)
        wal_read_end(h.wal, (struct group_id){100 + group});
    while (harness_step(&h))
        ;
    for (uint64_t group = 0; group < GROUPS; group++) {
        struct slice entries;
        size_t count;
        if (group % 4 == 0)
            continue;
        struct group_id id = {100 + group};
        assert_int_equal(wal_read_result(h.wal, id, &entries, &count), STATUS_OK);
        assert_int_equal(count, 1);
        assert_int_equal(load_u64(entries.at), group * 3);
        wal_read_end(h.wal, id);
    }
    assert_int_equal(wal_read_start(h.wal, (struct group_id){100}, 1, 100), STATUS_OK);
    harness_deinit(&h); /* one is under way */
}

static void damage_is_found_by_a_read(void **state)
{
    (void)state;
    struct harness h;
    struct slice entries;
    size_t count, size;
    begin(&h);
    harness_append(&h, WAL_ENTRY, 1, 9000, WAL_SYNC_ALWAYS);
    harness_settle(&h);
    fake_io_bytes(h.io, "/wal/0000000000000001.wal", &size)[2 * IO_BLOCK_SIZE + 3] ^= 1;
    assert_int_equal(wal_read_start(h.wal, (struct group_id){1}, 1, 100), STATUS_OK);
    while (harness_step(&h))
        ;
    assert_int_equal(wal_read_result(h.wal, (struct group_id){1}, &entries, &count),
                     STATUS_DAMAGED); /* WAL-4 */
    wal_read_end(h.wal, (struct group_id){1});
    harness_deinit(&h);
}

/* ---- releasing ---- */

static void released_segments_are_used_again(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    h.releases = true;
    for (size_t i = 0; i < 200; i++) {
        harness_append(&h, WAL_ENTRY, i % 2, 20000, WAL_SYNC_ALWAYS);
        if (i % 50 == 0)
            harness_append(&h, WAL_STATE, i % 2, 20, WAL_SYNC_ALWAYS);
        harness_settle(&h);
        if (i % 10 == 9)
            for (uint64_t group = 0; group < 2; group++)
                harness_release(&h, group, h.next_index[group] - 2);
        assert_true(files_of(&h) <= 6);
    }
    assert_true(fake_io_calls(h.io, FAKE_PREPARE) <= 6);
    harness_check_read(&h, 0, h.next_index[0] - 1, 100);
    assert_int_equal(wal_read_start(h.wal, (struct group_id){0}, 1, 100), STATUS_NOT_FOUND);
    reopen(&h, FAKE_LOSE_ALL); /* states of the first segments are still known */
    harness_deinit(&h);
}

static void a_read_holds_its_segment(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    h.releases = true;
    harness_append(&h, WAL_ENTRY, 1, 100, WAL_SYNC_ALWAYS);
    harness_settle(&h);
    assert_int_equal(wal_read_start(h.wal, (struct group_id){1}, 1, 100), STATUS_OK);
    harness_release(&h, 1, 1);
    for (size_t i = 0; i < 30; i++) {
        harness_append(&h, WAL_ENTRY, 2, 30000, WAL_SYNC_ALWAYS);
        harness_settle(&h);
        harness_release(&h, 2, h.next_index[2] - 1);
    }
    struct slice entries;
    size_t count;
    assert_int_equal(wal_read_result(h.wal, (struct group_id){1}, &entries, &count), STATUS_OK);
    assert_int_equal(entries.size, 100);
    wal_read_end(h.wal, (struct group_id){1});
    harness_deinit(&h);
}

static void use_segments(struct harness *h)
{
    for (size_t i = 0; i < 30; i++) {
        harness_append(h, WAL_ENTRY, 2, 30000, WAL_SYNC_ALWAYS);
        harness_settle(h);
        harness_release(h, 2, h->next_index[2] - 1);
    }
}

/* LEDGER-3: records that are in no file yet hold their segment, over a start too. */
static void what_is_set_aside_holds_its_segment(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    h.releases = true;
    assert_false(wal_holds_set_aside(h.wal));
    harness_append(&h, WAL_SET_ASIDE, 1, 100, WAL_SYNC_ALWAYS);
    harness_settle(&h);
    for (unsigned start = 0; start < 3; start++) {
        assert_true(wal_holds_set_aside(h.wal));
        use_segments(&h);
        reopen(&h, FAKE_LOSE_ALL);
        assert_int_equal(h.set_aside, 1);
    }
    wal_release_set_aside(h.wal);
    assert_false(wal_holds_set_aside(h.wal));
    use_segments(&h);
    assert_true(files_of(&h) <= 6);
    reopen(&h, FAKE_LOSE_ALL);
    assert_int_equal(h.set_aside, 0);
    harness_deinit(&h);
}

/* ---- a full disk ---- */

static void fill(struct harness *h)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < 400 && !wal_disk_is_full(h->wal); i++) {
        harness_append(h, WAL_ENTRY, 1, 20000, WAL_SYNC_ALWAYS);
        status = harness_flush(h);
        while (harness_step(h))
            ;
        if (status == STATUS_NO_SPACE)
            return;
        assert_true(status == STATUS_OK || status == STATUS_AGAIN);
    }
}

static void a_full_disk_is_told_and_recovers(void **state)
{
    (void)state;
    struct harness h;
    begin(&h);
    fake_io_set_space(h.io, 1u << 20);
    fill(&h);
    assert_true(wal_disk_is_full(h.wal)); /* told while there is room in the last segment */
    assert_true(wal_room(h.wal) > 0);
    for (size_t i = 0; i < 20; i++) {
        harness_append(&h, WAL_ENTRY, 1, 20000, WAL_SYNC_ALWAYS);
        harness_flush(&h);
        while (harness_step(&h))
            ;
    }
    assert_int_equal(harness_flush(&h), STATUS_NO_SPACE); /* WAL-7 */
    assert_true(wal_batch_size(h.wal) > 20000);
    assert_true(wal_room(h.wal) < WAL_RESERVE);
    uint64_t attempts = fake_io_calls(h.io, FAKE_PREPARE), retry = wal_deadline_ns(h.wal);
    assert_true(retry <= io_now_ns(h.io) + 1000000000u);
    assert_int_equal(harness_flush(&h), STATUS_NO_SPACE);
    assert_int_equal(fake_io_calls(h.io, FAKE_PREPARE), attempts); /* not at each flush */
    fake_io_set_space(h.io, 64u << 20);
    wal_tick(h.wal, retry);
    fake_io_advance(h.io, 1000000000u);
    harness_settle(&h);
    assert_false(wal_disk_is_full(h.wal));
    assert_int_equal(h.durable, h.count);
    reopen(&h, FAKE_LOSE_ALL);
    harness_deinit(&h);
}

/* There is no segment left to say in it that old ones are free: the last block of the current one
 * is kept for that. */
static void a_full_disk_recovers_by_release(void **state)
{
    (void)state;
    for (unsigned idle = 0; idle < 2; idle++) {
        struct harness h;
        begin(&h);
        h.releases = true;
        fake_io_set_space(h.io, (1u << 20) + 4 * 512); /* four segments with their end marks */
        fill(&h);
        while (!idle && harness_flush(&h) != STATUS_NO_SPACE) {
            harness_append(&h, WAL_ENTRY, 1, 20000, WAL_SYNC_ALWAYS);
            while (harness_step(&h))
                ;
        }
        harness_release(&h, 1, h.model[h.durable - 1].index);
        fake_io_advance(h.io, 1000000000u);
        if (idle)
            wal_tick(h.wal, io_now_ns(h.io));
        harness_settle(&h);
        assert_false(wal_disk_is_full(h.wal));
        assert_int_equal(h.durable, h.count);
        reopen(&h, FAKE_LOSE_ALL);
        harness_deinit(&h);
    }
}

static void a_small_disk_gets_small_segments(void **state)
{
    (void)state;
    struct harness h;
    size_t size = 0;
    harness_init(&h, 7);
    h.segment_size = 0;
    fake_io_set_space(h.io, 80u << 20);
    assert_true(harness_open(&h));
    harness_settle(&h);
    assert_non_null(fake_io_bytes(h.io, "/wal/0000000000000002.wal", &size));
    assert_true(size <= 10u << 20 && size >= 9u << 20);
    harness_deinit(&h);
}

static void a_disk_without_room_for_the_first_segment_is_told(void **state)
{
    (void)state;
    struct harness h;
    char why[WAL_WHY_SIZE] = "";
    struct wal_record record;
    harness_init(&h, 7);
    fake_io_set_space(h.io, 100000);
    struct wal_options options = {.dir = HARNESS_DIR};
    assert_int_equal(wal_open(h.io, &options, &h.wal, why), STATUS_OK);
    assert_int_equal(wal_recover_next(h.wal, &record, why), STATUS_END);
    assert_int_equal(wal_recover_end(h.wal, why), STATUS_NO_SPACE);
    assert_non_null(strstr(why, "no space"));
    assert_int_equal(files_of(&h), 0);
    harness_deinit(&h);
}

/* ---- the Nth call fails ---- */

struct failure {
    enum fake_call call;
    enum status status;
};

static void check_failed_for_ever(struct harness *h, enum fake_call call)
{
    uint64_t syncs = fake_io_calls(h->io, FAKE_SYNC);
    assert_int_equal(harness_flush(h), STATUS_IO);
    wal_tick(h->wal, UINT64_MAX - 1);
    assert_int_equal(wal_deadline_ns(h->wal), UINT64_MAX);
    while (harness_step(h))
        ;
    assert_true(call != FAKE_SYNC || fake_io_calls(h->io, FAKE_SYNC) == syncs); /* WAL-7 */
}

/* False: there was no Nth call. */
static bool fail_nth(const struct failure *failure, uint64_t nth)
{
    struct harness h;
    harness_init(&h, 5);
    fake_io_fail(h.io, failure->call, nth, failure->status);
    char why[WAL_WHY_SIZE] = "";
    struct wal_options options = {.dir = HARNESS_DIR, .segment_size = 1, .tag = 100};
    struct wal_record record;
    enum status status = wal_open(h.io, &options, &h.wal, why);
    if (!status && wal_recover_next(h.wal, &record, why) == STATUS_END)
        status = wal_recover_end(h.wal, why);
    if (status) {
        assert_int_equal(status, failure->status);
        assert_true(why[0] != 0);
    } else {
        harness_work(&h, 250);
        harness_settle(&h);
        if (h.failed)
            check_failed_for_ever(&h, failure->call);
        assert_true(!h.failed || failure->status == STATUS_IO);
    }
    bool reached = fake_io_calls(h.io, failure->call) >= nth;
    harness_crash(&h, FAKE_LOSE_SOME);
    assert_true(harness_open(&h));
    harness_append(&h, WAL_ENTRY, 1, 100, WAL_SYNC_ALWAYS);
    harness_settle(&h);
    assert_int_equal(h.durable, h.count);
    harness_deinit(&h);
    return reached;
}

static void each_call_fails_once(void **state)
{
    (void)state;
    const struct failure failures[] = {
        {FAKE_WRITE, STATUS_IO},   {FAKE_WRITE, STATUS_NO_SPACE},   {FAKE_SYNC, STATUS_IO},
        {FAKE_PREPARE, STATUS_IO}, {FAKE_PREPARE, STATUS_NO_SPACE}, {FAKE_DIR_SYNC, STATUS_IO},
    };
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        uint64_t nth = 1;
        while (fail_nth(&failures[i], nth))
            nth++;
        assert_true(nth > 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_directory_is_an_empty_log),
        cmocka_unit_test(first_start_writes_little),
        cmocka_unit_test(a_ticket_is_durable_only_after_its_sync),
        cmocka_unit_test(groups_come_back_in_order),
        cmocka_unit_test(batches_go_on_in_the_next_segment),
        cmocka_unit_test(a_slow_disk_delays_the_next_segment),
        cmocka_unit_test(a_record_larger_than_a_segment_gets_its_own),
        cmocka_unit_test(interval_syncs_when_it_is_due),
        cmocka_unit_test(os_is_never_synced_for_itself_but_by_others),
        cmocka_unit_test(always_batches_fill_whole_blocks),
        cmocka_unit_test(a_write_ends_with_its_block),
        cmocka_unit_test(unclean_is_told_from_clean),
        cmocka_unit_test(a_doubt_stays_until_it_is_settled),
        cmocka_unit_test(a_failed_sync_leaves_a_doubt),
        cmocka_unit_test(killed_under_a_sync_that_fails),
        cmocka_unit_test(killed_twice_under_a_sync_that_fails),
        cmocka_unit_test(killed_under_a_sync_that_would_not_have_failed),
        cmocka_unit_test(a_failed_sync_of_what_waits_for_it_leaves_no_doubt),
        cmocka_unit_test(a_failed_sync_of_what_was_told_leaves_a_doubt),
        cmocka_unit_test(the_boot_is_remembered_across_segments),
        cmocka_unit_test(another_process_is_told),
        cmocka_unit_test(entries_are_read_back),
        cmocka_unit_test(many_groups_read_at_once),
        cmocka_unit_test(damage_is_found_by_a_read),
        cmocka_unit_test(released_segments_are_used_again),
        cmocka_unit_test(a_read_holds_its_segment),
        cmocka_unit_test(what_is_set_aside_holds_its_segment),
        cmocka_unit_test(a_full_disk_is_told_and_recovers),
        cmocka_unit_test(a_full_disk_recovers_by_release),
        cmocka_unit_test(a_small_disk_gets_small_segments),
        cmocka_unit_test(a_disk_without_room_for_the_first_segment_is_told),
        cmocka_unit_test(each_call_fails_once),
    };
    return cmocka_run_group_tests_name("wal log", tests, NULL, NULL);
}
