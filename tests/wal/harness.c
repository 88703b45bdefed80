#include "tests/wal/harness.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

void payload_fill(uint8_t *at, size_t size, uint64_t number)
{
    store_u64(at, number);
    for (size_t i = 8; i < size; i += 8) {
        uint64_t word = (number + 1) * (i + 0x9E3779B97F4A7C15u);
        memcpy(at + i, &word, size - i < 8 ? size - i : 8);
    }
}

void harness_init(struct harness *harness, uint64_t seed)
{
    *harness = (struct harness){.segment_size = WAL_SEGMENT_SIZE_MIN};
    random_init(&harness->random, seed);
    harness->io = fake_io_create(seed);
    for (size_t i = 0; i < HARNESS_GROUPS; i++)
        harness->next_index[i] = 1;
}

void harness_deinit(struct harness *harness)
{
    harness_close(harness);
    fake_io_destroy(harness->io);
    memory_free(harness->model);
}

void harness_close(struct harness *harness)
{
    wal_close(harness->wal);
    harness->wal = NULL;
}

/* ---- what recovery must give back ---- */

struct view { /* number + 1 of the record that counts; 0: none */
    uint64_t entries[HARNESS_GROUPS][HARNESS_INDEX_MAX];
    uint64_t last_index[HARNESS_GROUPS], state[HARNESS_GROUPS], identity[8];
};

static void view_apply(struct view *view, const struct model_record *record, uint64_t number)
{
    switch (record->kind) {
    case WAL_ENTRY:
        assert_true(record->index < HARNESS_INDEX_MAX);
        for (uint64_t i = record->index; i <= view->last_index[record->group]; i++)
            view->entries[record->group][i] = 0;
        view->entries[record->group][record->index] = number + 1;
        view->last_index[record->group] = record->index;
        break;
    case WAL_STATE: view->state[record->group] = number + 1; break;
    case WAL_IDENTITY: view->identity[record->index] = number + 1; break;
    default: break;
    }
}

static bool view_equal(const struct harness *harness, const struct view *a, const struct view *b)
{
    for (size_t group = 0; group < HARNESS_GROUPS; group++) {
        uint64_t last = a->last_index[group] > b->last_index[group] ? a->last_index[group]
                                                                    : b->last_index[group];
        for (uint64_t i = harness->released[group] + 1; i <= last; i++)
            if (a->entries[group][i] != b->entries[group][i])
                return false;
    }
    return memcmp(a->state, b->state, sizeof a->state) == 0 &&
           memcmp(a->identity, b->identity, sizeof a->identity) == 0;
}

/* WAL-2 when old segments may be gone: some prefix of the model explains all that is still needed.
 */
static size_t prefix_that_explains(const struct harness *harness, const struct view *recovered)
{
    struct view *view = memory_zeroed(1, sizeof *view);
    size_t best = SIZE_MAX;
    for (size_t n = 0; n <= harness->count; n++) {
        if (n)
            view_apply(view, &harness->model[n - 1], n - 1);
        if (n >= harness->durable && view_equal(harness, view, recovered))
            best = n;
    }
    memory_free(view);
    return best;
}

static uint64_t record_check(const struct harness *harness, const struct wal_record *record)
{
    uint8_t *expected;
    assert_true(record->payload.size >= 8);
    uint64_t number = load_u64(record->payload.at);
    assert_true(number < harness->count);
    const struct model_record *model = &harness->model[number];
    assert_int_equal(record->kind, model->kind);
    assert_int_equal(record->group.value, model->group);
    assert_int_equal(record->index, model->index);
    assert_int_equal(record->term, model->term);
    assert_int_equal(record->payload.size, model->size);
    expected = memory_allocate(model->size);
    payload_fill(expected, model->size, number);
    assert_true(memcmp(expected, record->payload.at, model->size) == 0);
    memory_free(expected);
    return number;
}

static void model_cut(struct harness *harness, size_t count)
{
    harness->count = count;
    for (size_t i = 0; i < count; i++)
        harness->model[i].ticket = 1; /* what was recovered is durable with the first ticket */
    for (size_t i = 0; i < HARNESS_GROUPS; i++)
        harness->next_index[i] = harness->released[i] + 1;
    for (size_t i = 0; i < count; i++)
        if (harness->model[i].kind == WAL_ENTRY)
            harness->next_index[harness->model[i].group] = harness->model[i].index + 1;
}

static enum status recover(struct harness *harness)
{
    char why[WAL_WHY_SIZE] = "";
    struct view *view = memory_zeroed(1, sizeof *view);
    struct wal_record record;
    size_t count = 0;
    enum status status;
    harness->set_aside = 0;
    while ((status = wal_recover_next(harness->wal, &record, why)) == STATUS_OK) {
        harness->set_aside += record.kind == WAL_SET_ASIDE;
        uint64_t number = record_check(harness, &record);
        if (!harness->releases)
            assert_int_equal(number, count); /* WAL-2: in order, all */
        view_apply(view, &harness->model[number], number);
        count++;
    }
    if (status == STATUS_END) {
        if (harness->releases)
            count = prefix_that_explains(harness, view);
        assert_true(count != SIZE_MAX && count >= harness->durable); /* WAL-1 */
        model_cut(harness, count);
    } else if (!fake_io_is_off(harness->io)) {
        fail_msg("recovery: %s: %s", status_text(status), why);
    }
    memory_free(view);
    return status;
}

static struct wal_options options_of(const struct harness *harness)
{
    return (struct wal_options){.dir = HARNESS_DIR,
                                .segment_size = harness->segment_size,
                                .tag = 100,
                                .interval_ns = HARNESS_INTERVAL};
}

bool harness_open(struct harness *harness)
{
    char why[WAL_WHY_SIZE] = "";
    struct wal_options options = options_of(harness);
    enum status status = wal_open(harness->io, &options, &harness->wal, why);
    harness->failed = false;
    if (!status && recover(harness) == STATUS_END)
        status = wal_recover_end(harness->wal, why);
    if (fake_io_is_off(harness->io))
        return false;
    if (status && harness->syncs_fail) {
        assert_int_equal(status, STATUS_IO);
        return false;
    }
    if (status)
        fail_msg("open: %s: %s", status_text(status), why);
    for (uint64_t i = 0; i < HARNESS_GROUPS; i++)
        if (harness->releases && harness->released[i])
            wal_release(harness->wal, (struct group_id){i}, harness->released[i]);
    wal_validate(harness->wal);
    return true;
}

enum status harness_probe(struct harness *harness, char why[WAL_WHY_SIZE], size_t *records)
{
    struct wal_options options = options_of(harness);
    struct wal *wal = NULL;
    struct wal_record record;
    enum status status = wal_open(harness->io, &options, &wal, why);
    for (*records = 0; !status; ++*records)
        status = wal_recover_next(wal, &record, why);
    if (*records)
        --*records;
    wal_close(wal);
    struct random none;
    random_init(&none, 0);
    fake_io_crash(harness->io, FAKE_LOSE_NOTHING, &none);
    return status;
}

/* ---- appending ---- */

static struct model_record *model_add(struct harness *harness)
{
    if (harness->count == harness->capacity) {
        harness->capacity = harness->capacity ? harness->capacity * 2 : 256;
        harness->model = memory_resize(harness->model, harness->capacity * sizeof *harness->model);
    }
    return &harness->model[harness->count++];
}

void harness_append(struct harness *harness, enum wal_record_kind kind, uint64_t group, size_t size,
                    enum wal_sync sync)
{
    uint64_t number = harness->count;
    struct model_record *model = model_add(harness);
    *model = (struct model_record){.kind = kind,
                                   .group = group,
                                   .ticket = wal_next_ticket(harness->wal),
                                   .size = size < 8 ? 8 : size};
    if (kind == WAL_ENTRY) {
        model->index = harness->next_index[group]++;
        model->term = 1 + number / 10;
    } else if (kind == WAL_IDENTITY) {
        model->index = number % 3;
        model->group = 0;
    }
    uint8_t *payload = memory_allocate(model->size);
    payload_fill(payload, model->size, number);
    struct wal_record record = {.kind = kind,
                                .group = {model->group},
                                .index = model->index,
                                .term = model->term,
                                .payload = slice_of(payload, model->size)};
    wal_append(harness->wal, &record, sync);
    memory_free(payload);
}

void harness_truncate(struct harness *harness, uint64_t group, uint64_t back)
{
    uint64_t last = harness->next_index[group] - 1;
    uint64_t can = last - harness->released[group];
    harness->next_index[group] -= back < can ? back : can;
}

enum status harness_flush(struct harness *harness)
{
    uint64_t ticket = 0, next = wal_next_ticket(harness->wal);
    enum status status = wal_flush(harness->wal, &ticket);
    if (status == STATUS_OK) {
        assert_int_equal(ticket, next);
        assert_int_equal(wal_written_ticket(harness->wal), ticket);
    }
    harness->failed |= status == STATUS_IO;
    if (!harness->failed)
        wal_validate(harness->wal);
    return status;
}

static void durable_update(struct harness *harness)
{
    uint64_t durable = wal_durable_ticket(harness->wal);
    while (harness->durable < harness->count && harness->model[harness->durable].ticket <= durable)
        harness->durable++;
}

bool harness_step(struct harness *harness)
{
    struct io_event event;
    enum status status;
    if (!fake_io_step(harness->io, &event))
        return false;
    assert_true(wal_handle_event(harness->wal, &event, &status));
    harness->failed |= status != STATUS_OK;
    durable_update(harness);
    if (!harness->failed)
        wal_validate(harness->wal);
    return true;
}

static bool is_over(const struct harness *harness)
{
    return harness->failed || fake_io_is_off(harness->io);
}

void harness_settle(struct harness *harness)
{
    if (harness->writes_fail)
        fake_io_fail(harness->io, FAKE_WRITE, UINT64_MAX / 2, STATUS_OK); /* no more of them */
    for (size_t i = 0; i < 10000 && !is_over(harness); i++) {
        if (harness_flush(harness) == STATUS_IO || is_over(harness))
            return;
        if (harness_step(harness))
            continue;
        if (wal_batch_size(harness->wal) == 0 &&
            wal_durable_ticket(harness->wal) == wal_written_ticket(harness->wal))
            return;
        fake_io_advance(harness->io, HARNESS_INTERVAL);
        wal_tick(harness->wal, io_now_ns(harness->io));
        if (wal_batch_size(harness->wal) == 0 && !harness_step(harness))
            return; /* an interval has passed: only WAL_SYNC_OS is left */
    }
    if (!is_over(harness))
        fail_msg("the log does not come to rest");
}

void harness_release(struct harness *harness, uint64_t group, uint64_t index)
{
    if (index > harness->released[group])
        harness->released[group] = index;
    wal_release(harness->wal, (struct group_id){group}, index);
}

void harness_crash(struct harness *harness, enum fake_loss loss)
{
    harness_close(harness);
    fake_io_crash(harness->io, loss, &harness->random);
}

/* ---- random work ---- */

static size_t random_size(struct harness *harness)
{
    switch (random_below(&harness->random, 12)) {
    case 0: return 3000 + random_below(&harness->random, 9000);
    case 1: return 20000 + random_below(&harness->random, 50000);
    default: return 8 + random_below(&harness->random, 300);
    }
}

static void random_append(struct harness *harness)
{
    uint64_t group = random_below(&harness->random, HARNESS_GROUPS);
    enum wal_sync lazy = group < 4 ? WAL_SYNC_INTERVAL : WAL_SYNC_OS;
    enum wal_sync sync = harness->lazy ? lazy : (enum wal_sync)(group % 3);
    uint64_t choice = random_below(&harness->random, harness->lazy ? 100 : 20);
    if (choice == 0)
        harness_append(harness, WAL_STATE, group, 40, sync);
    else if (choice == 1)
        harness_append(harness, WAL_IDENTITY, 0, 60, sync);
    else if (choice == 2)
        harness_truncate(harness, group, 1 + random_below(&harness->random, 3));
    else
        harness_append(harness, WAL_ENTRY, group, random_size(harness), sync);
}

static void random_release(struct harness *harness)
{
    for (uint64_t group = 0; group < HARNESS_GROUPS; group++) {
        uint64_t last = harness->next_index[group] - 1;
        if (harness->releases && last > 2 && harness->durable == harness->count)
            harness_release(harness, group, last - random_below(&harness->random, 2));
    }
}

void harness_work(struct harness *harness, size_t steps)
{
    for (size_t i = 0; i < steps && !is_over(harness); i++) {
        uint64_t choice = random_below(&harness->random, 16);
        if (choice < 7) {
            random_append(harness);
        } else if (choice < 10) {
            if (harness->writes_fail && random_below(&harness->random, 4) == 0)
                fake_io_fail(harness->io, FAKE_WRITE, 1, STATUS_NO_SPACE);
            enum status status = harness_flush(harness);
            assert_true(status == STATUS_OK || status == STATUS_AGAIN || status == STATUS_IO ||
                        status == STATUS_NO_SPACE);
        } else if (choice < 14) {
            harness_step(harness);
        } else if (choice == 14) {
            fake_io_advance(harness->io, HARNESS_INTERVAL / 2);
            wal_tick(harness->wal, io_now_ns(harness->io));
        } else {
            random_release(harness);
        }
    }
}

/* ---- reading back ---- */

static const struct model_record *model_entry(const struct harness *harness, uint64_t group,
                                              uint64_t index, uint64_t *number)
{
    const struct model_record *found = NULL;
    for (size_t i = 0; i < harness->count; i++) {
        const struct model_record *record = &harness->model[i];
        if (record->kind != WAL_ENTRY || record->group != group || record->index > index)
            continue;
        found = record->index == index ? record : NULL;
        *number = i;
    }
    return found;
}

void harness_check_read(struct harness *harness, uint64_t group, uint64_t first, size_t size_max)
{
    struct group_id id = {group};
    struct slice entries;
    size_t count = 0, at = 0;
    uint64_t number = 0;
    enum status status = wal_read_start(harness->wal, id, first, size_max);
    if (!model_entry(harness, group, first, &number)) {
        assert_int_equal(status, STATUS_NOT_FOUND);
        return;
    }
    assert_int_equal(status, STATUS_OK);
    while ((status = wal_read_result(harness->wal, id, &entries, &count)) == STATUS_AGAIN)
        assert_true(harness_step(harness));
    assert_int_equal(status, STATUS_OK);
    assert_true(count > 0 && (entries.size <= size_max || count == 1));
    for (uint64_t i = 0; i < count; i++) {
        const struct model_record *model = model_entry(harness, group, first + i, &number);
        assert_non_null(model);
        assert_true(at + model->size <= entries.size);
        uint8_t *expected = memory_allocate(model->size);
        payload_fill(expected, model->size, number);
        assert_true(memcmp(expected, entries.at + at, model->size) == 0);
        memory_free(expected);
        at += model->size;
    }
    assert_int_equal(at, entries.size);
    const struct model_record *next = model_entry(harness, group, first + count, &number);
    assert_true(!next || entries.size + next->size > size_max);
    wal_read_end(harness->wal, id);
}
