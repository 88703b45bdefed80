/* REPLICA-6: the entries kept in memory are what was added, less what was cut and trimmed, and
 * their memory is bounded. A model: an array of checksummed texts. */
#include "replica/log/log.h"

#include "base/checksum.h"
#include "base/memory.h"
#include "base/random.h"

#include <cmocka.h>

#define INDEX_MAX 20000

struct model {
    uint64_t first, last; /* empty when last + 1 == first */
    size_t sizes[INDEX_MAX];
    uint64_t sums[INDEX_MAX];
};

static void add(struct entries *entries, struct model *model, uint64_t index, size_t size,
                uint64_t salt)
{
    uint8_t bytes[3000];
    struct buffer *room = entries_room(entries, size);
    uint8_t *at = room->at + room->size, *before = room->at;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(index + salt + i);
    assert_int_equal(STATUS_OK, buffer_append(room, bytes, size));
    assert_ptr_equal(before, room->at); /* memory of entries never moves */
    entries_add(entries, index, slice_of(at, size));
    if (model->last + 1 == model->first)
        model->first = index;
    model->last = index;
    model->sizes[index] = size;
    model->sums[index] = checksum(bytes, size);
}

static void compare(const struct entries *entries, const struct model *model)
{
    size_t total = 0;
    for (uint64_t i = model->first; i <= model->last; i++) {
        assert_true(entries_have(entries, i));
        struct slice bytes = entries_at(entries, i);
        assert_int_equal(model->sizes[i], bytes.size);
        assert_true(model->sums[i] == checksum(bytes.at, bytes.size));
        total += bytes.size;
    }
    assert_false(entries_have(entries, model->last + 1));
    assert_true(model->first == 0 || !entries_have(entries, model->first - 1));
    assert_int_equal(total, entries->size);
}

static void trim(struct entries *entries, struct model *model, uint64_t through, size_t size_max)
{
    size_t total = 0;
    for (uint64_t i = model->first; i <= model->last; i++)
        total += model->sizes[i];
    entries_trim(entries, through, size_max);
    while (model->first <= model->last && model->first <= through && total > size_max)
        total -= model->sizes[model->first++];
}

static void cut(struct entries *entries, struct model *model, uint64_t from)
{
    entries_truncate(entries, from);
    if (model->last >= from)
        model->last = from > model->first ? from - 1 : model->first - 1;
}

/* After a cut below what is kept the log goes on there: nothing is kept, the next index is new. */
static uint64_t next_index(const struct model *model, uint64_t cut_at)
{
    bool empty = model->last + 1 == model->first;
    return empty && cut_at && cut_at < model->first ? cut_at : model->last + 1;
}

static void random_walk(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct random random;
        struct entries entries;
        struct model *model = memory_zeroed(1, sizeof *model);
        uint64_t cut_at = 0;
        random_init(&random, seed);
        entries_init(&entries);
        model->first = 1;
        for (unsigned i = 0; i < 600 && model->last + 40 < INDEX_MAX; i++) {
            uint64_t kept = model->last + 1 - model->first;
            uint64_t pick = random_below(&random, 10);
            if (pick < 7) {
                for (uint64_t k = random_below(&random, 30); k > 0; k--)
                    add(&entries, model, next_index(model, cut_at), 1 + random_below(&random, 2999),
                        seed * 7 + i);
                cut_at = kept ? 0 : cut_at;
            } else if (pick < 9) {
                trim(&entries, model, model->first + random_below(&random, kept + 5),
                     random_below(&random, 100000));
            } else if (model->last) {
                uint64_t back = random_below(&random, 40);
                cut_at = model->last > back ? model->last - back : 1;
                cut(&entries, model, cut_at);
            }
            compare(&entries, model);
        }
        entries_deinit(&entries);
        memory_free(model);
    }
}

static void ring_grows(void **state)
{
    (void)state;
    struct entries entries;
    struct model *model = memory_zeroed(1, sizeof *model);
    entries_init(&entries);
    model->first = 1;
    size_t capacity = entries.capacity;
    for (uint64_t i = 1; i <= 700; i++) /* not at a multiple: the ring is wrapped when it grows */
        add(&entries, model, i, 10, 0);
    trim(&entries, model, 500, 0);
    for (uint64_t i = 701; i <= 9000; i++)
        add(&entries, model, i, 10, 0);
    assert_true(entries.capacity > capacity);
    compare(&entries, model);
    entries_deinit(&entries);
    memory_free(model);
}

/* ---- bytes between two indexes ---- */

static uint64_t between(const struct entries *entries, uint64_t after, uint64_t through)
{
    return positions_between(&entries->positions, after, through);
}

static void add_many(struct entries *entries, uint64_t *next, unsigned count, size_t size)
{
    static const uint8_t bytes[1u << 20];
    for (unsigned i = 0; i < count; i++, ++*next) {
        struct buffer *room = entries_room(entries, size);
        uint8_t *at = room->at + room->size;
        assert_int_equal(STATUS_OK, buffer_append(room, bytes, size));
        entries_add(entries, *next, slice_of(at, size));
        entries_trim(entries, *next, 4096);
    }
}

static void bytes_between_indexes(void **state)
{
    struct entries entries;
    uint64_t next = 1;
    (void)state;
    entries_init(&entries);
    assert_int_equal(0, between(&entries, 0, 0));
    add_many(&entries, &next, 1000, 100);
    assert_int_equal(100 * 1000, between(&entries, 0, 1000));
    assert_int_equal(100 * 20, between(&entries, 980, 1000));
    assert_int_equal(0, between(&entries, 1000, 1000));
    assert_int_equal(100 * 20, between(&entries, 980, 5000)); /* what is not there counts nothing */
    add_many(&entries, &next, 1, 1u << 20); /* a long one is itself, and no other looks longer */
    assert_int_equal(1u << 20, between(&entries, 1000, 1001));
    assert_int_equal(100 * 20, between(&entries, 980, 1000));
    add_many(&entries, &next, 100000, 500);
    assert_in_range(between(&entries, next - 101, next - 1), 50000, 50000);
    assert_in_range(between(&entries, 1, next - 1), 49000000, 53000000); /* far back: about */
    assert_in_range(between(&entries, 50001, next - 1), 24000000, 27000000);
    entries_truncate(&entries, 90002);
    assert_int_equal(0, between(&entries, 90001, 95000));
    next = 90002;
    add_many(&entries, &next, 100, 700);
    assert_in_range(between(&entries, 90001, 90101), 60000, 80000);
    entries_deinit(&entries);
}

/* Behind a snapshot nothing is known of what came before it. */
static void bytes_before_a_snapshot(void **state)
{
    struct entries entries;
    uint64_t next = 1;
    (void)state;
    entries_init(&entries);
    add_many(&entries, &next, 1000, 100);
    entries_truncate(&entries, 0);
    assert_int_equal(0, between(&entries, 1000, 1000));
    next = 5001;
    add_many(&entries, &next, 10, 100);
    assert_true(between(&entries, 4999, 5010) == UINT64_MAX);
    assert_int_equal(1000, between(&entries, 5000, 5010));
    entries_truncate(&entries, 5005);
    assert_int_equal(400, between(&entries, 5000, 5010));
    entries_deinit(&entries);
}

/* However many entries pass through, chunks in memory stay as few as what is kept needs. */
static void memory_is_bounded(void **state)
{
    (void)state;
    struct entries entries;
    struct model *model = memory_zeroed(1, sizeof *model);
    entries_init(&entries);
    model->first = 1;
    for (uint64_t i = 1; i < INDEX_MAX; i++) {
        add(&entries, model, i, 2500, 0);
        trim(&entries, model, i, 1u << 20);
        size_t chunks = 0, chunk_size = entries_room(&entries, 1)->capacity;
        for (struct list *link = entries.chunks.next; link != &entries.chunks; link = link->next)
            chunks++;
        assert_true(entries.size <= 1u << 20); /* REPLICA-6 */
        assert_true(chunks * chunk_size <= (1u << 20) + 3 * chunk_size);
    }
    entries_deinit(&entries);
    memory_free(model);
}

/* What is not applied yet is kept, however much it is. */
static void nothing_past_the_bound_is_trimmed(void **state)
{
    (void)state;
    struct entries entries;
    struct model *model = memory_zeroed(1, sizeof *model);
    entries_init(&entries);
    model->first = 1;
    for (uint64_t i = 1; i <= 1000; i++)
        add(&entries, model, i, 2500, 0);
    entries_trim(&entries, 10, 0);
    assert_false(entries_have(&entries, 10));
    assert_true(entries_have(&entries, 11));
    assert_true(entries_have(&entries, 1000));
    entries_deinit(&entries);
    memory_free(model);
}

/* Where little is to be kept the chunks are small: only whole ones are given back. */
static void little_is_kept_in_little(void **state)
{
    enum {
        KEPT = 64 << 10
    };
    struct entries entries;
    struct model *model = memory_zeroed(1, sizeof *model);
    (void)state;
    entries_init(&entries);
    model->first = 1;
    entries_trim(&entries, 0, KEPT);
    for (uint64_t i = 1; i < INDEX_MAX; i++) {
        size_t room = 0;
        add(&entries, model, i, 150, 0);
        trim(&entries, model, i, KEPT);
        for (struct list *link = entries.chunks.next; link != &entries.chunks; link = link->next)
            room++;
        assert_true(room <= 8); /* of a quarter of what is kept, at most */
    }
    compare(&entries, model);
    entries_deinit(&entries);
    memory_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walk),
        cmocka_unit_test(ring_grows),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(nothing_past_the_bound_is_trimmed),
        cmocka_unit_test(little_is_kept_in_little),
        cmocka_unit_test(bytes_between_indexes),
        cmocka_unit_test(bytes_before_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
