#include "base/checksum.h"
#include "base/durations.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/status.h"

#include <string.h>

#include <cmocka.h>

static void one_seed_one_sequence(void **state)
{
    struct random a, b, c;
    unsigned equal = 0;
    (void)state;
    random_init(&a, 1);
    random_init(&b, 1);
    random_init(&c, 2);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t value = random_next(&a);
        assert_true(value == random_next(&b));
        equal += value == random_next(&c);
    }
    assert_int_equal(0, equal);
}

static void numbers_below_a_bound_are_even(void **state)
{
    struct random random;
    unsigned counts[7] = {0};
    (void)state;
    random_init(&random, 3);
    for (unsigned i = 0; i < 70000; i++) {
        uint64_t value = random_below(&random, 7);
        assert_true(value < 7);
        counts[value]++;
    }
    for (unsigned i = 0; i < 7; i++)
        assert_true(counts[i] > 9500 && counts[i] < 10500);
    assert_int_equal(0, random_below(&random, 1));
    assert_true(random_below(&random, UINT64_MAX) < UINT64_MAX);
}

/* On disk and on the wire: these values may never change. */
static void checksums_are_what_they_were(void **state)
{
    (void)state;
    assert_true(checksum("", 0) == 0x2d06800538d394c2ull);
    assert_true(checksum("a", 1) == checksum_seeded("a", 1, 0));
    assert_true(checksum_seeded("a", 1, 1) != checksum("a", 1));
    char bytes[300];
    memset(bytes, 'x', sizeof bytes);
    uint64_t before = checksum(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) { /* any byte counts */
        bytes[i] ^= 1;
        assert_true(checksum(bytes, sizeof bytes) != before);
        bytes[i] ^= 1;
    }
    assert_true(checksum(bytes, sizeof bytes) == before);
}

struct item {
    int number;
    struct list link;
};

static void lists(void **state)
{
    struct list head;
    struct item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    (void)state;
    list_init(&head);
    assert_true(list_is_empty(&head));
    for (int i = 0; i < 3; i++)
        list_append(&head, &items[i].link);
    list_remove(&items[1].link);
    list_remove(&items[1].link); /* again: nothing */
    assert_int_equal(0, list_item(head.next, struct item, link)->number);
    assert_int_equal(2, list_item(head.next->next, struct item, link)->number);
    assert_int_equal(2, list_item(head.previous, struct item, link)->number);
    assert_true(list_is_empty(&items[1].link));
    list_remove(&items[0].link);
    list_remove(&items[2].link);
    assert_true(list_is_empty(&head));
}

static void memory(void **state)
{
    (void)state;
    char *bytes = memory_zeroed(10, 10);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(0, bytes[i]);
    memset(bytes, 'x', 100);
    bytes = memory_resize(bytes, 1000);
    assert_int_equal('x', bytes[99]);
    memory_free(bytes);
    void *nothing = memory_allocate(0);
    assert_non_null(nothing);
    memory_free(nothing);
    memory_free(NULL);
    char *text = memory_copy_text("text");
    assert_string_equal("text", text);
    memory_free(text);
}

static void every_status_has_a_text(void **state)
{
    (void)state;
    for (int i = STATUS_OK; i <= STATUS_REFUSED; i++) {
        const char *text = status_text((enum status)i);
        assert_non_null(text);
        assert_true(strlen(text) > 1);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(text, status_text((enum status)k));
    }
}

static void durations_fall_into_buckets(void **state)
{
    struct durations durations = {0}, sum = {0};
    (void)state;
    durations_add(&durations, 0);
    durations_add(&durations, 50 * 1000); /* an end belongs to its bucket */
    durations_add(&durations, 50 * 1000 + 1);
    durations_add(&durations, 60 * 1000000000ull);
    assert_int_equal(2, durations.in[0]);
    assert_int_equal(1, durations.in[1]);
    assert_int_equal(1, durations.in[DURATIONS_BUCKETS - 1]);
    durations_join(&sum, &durations);
    durations_join(&sum, &durations);
    assert_int_equal(8, sum.count);
    assert_int_equal(4, sum.in[0]);
    assert_true(sum.sum_ns == 2 * (60 * 1000000000ull + 100 * 1000 + 1));
    for (size_t i = 1; i < DURATIONS_BUCKETS - 1; i++)
        assert_true(durations_end_us[i] > durations_end_us[i - 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_one_sequence),
        cmocka_unit_test(numbers_below_a_bound_are_even),
        cmocka_unit_test(checksums_are_what_they_were),
        cmocka_unit_test(lists),
        cmocka_unit_test(memory),
        cmocka_unit_test(every_status_has_a_text),
        cmocka_unit_test(durations_fall_into_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
