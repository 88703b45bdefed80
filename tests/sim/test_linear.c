/* test_linear.c - the judge judged: histories that have an order, and histories that have none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/history.h"
#include "sim/linear.h"

#define MS 1000000ull

struct stage {
    struct history *history;
    uint64_t now_ns;
};

static struct stage stage_open(enum key_kind kind)
{
    struct stage stage = {.history = history_create(), .now_ns = MS};
    history_add_slot(stage.history, kind, 0);
    return stage;
}

static struct operation_id begin(struct stage *stage, uint16_t connection, enum operation_kind kind,
                                 uint64_t number)
{
    struct operation draft = {
        .kind = kind, .connection = connection, .argument = value_of_number(number)};
    stage->now_ns += MS;
    return history_invoke(stage->history, 0, &draft, stage->now_ns);
}

static void end(struct stage *stage, struct operation_id id, struct value result)
{
    stage->now_ns += MS;
    history_return(stage->history, id, OUTCOME_DONE, &result, stage->now_ns);
}

static void do_now(struct stage *stage, uint16_t connection, enum operation_kind kind,
                   uint64_t number, struct value result)
{
    end(stage, begin(stage, connection, kind, number), result);
}

static enum linear_answer judge(struct stage *stage)
{
    uint32_t stuck;
    enum linear_answer answer = linear_check(&stage->history->keys[0], 10 * MS, 100000, &stuck);
    history_destroy(stage->history);
    return answer;
}

static const struct value absent = {.present = false};
static const struct value ok = {.present = false};

static void test_a_stale_read_is_found(void **state)
{
    (void)state;
    struct stage stage = stage_open(KEY_COUNTER);
    do_now(&stage, 1, OPERATION_SET, 1, ok);
    do_now(&stage, 1, OPERATION_SET, 2, ok);
    do_now(&stage, 2, OPERATION_GET, 0, value_of_number(1));
    assert_int_equal(LINEAR_NO, judge(&stage));
}

static void test_concurrent_operations_may_be_in_any_order(void **state)
{
    (void)state;
    struct stage stage = stage_open(KEY_COUNTER);
    struct operation_id one = begin(&stage, 1, OPERATION_SET, 1);
    struct operation_id two = begin(&stage, 2, OPERATION_SET, 2);
    end(&stage, two, ok);
    do_now(&stage, 3, OPERATION_GET, 0, value_of_number(2));
    do_now(&stage, 3, OPERATION_GET, 0, value_of_number(1));
    end(&stage, one, ok);
    assert_int_equal(LINEAR_YES, judge(&stage));
}

static void test_an_unknown_write_may_come_late_but_once(void **state)
{
    (void)state;
    for (uint64_t seen = 1; seen <= 2; seen++) {
        struct stage stage = stage_open(KEY_COUNTER);
        struct operation_id add = begin(&stage, 1, OPERATION_ADD, 1);
        history_return(stage.history, add, OUTCOME_UNKNOWN, NULL, stage.now_ns);
        do_now(&stage, 2, OPERATION_GET, 0, absent);
        do_now(&stage, 2, OPERATION_GET, 0, value_of_number(seen));
        assert_int_equal(seen == 1 ? LINEAR_YES : LINEAR_NO, judge(&stage));
    }
}

static void test_a_refused_write_has_no_effect(void **state)
{
    (void)state;
    struct stage stage = stage_open(KEY_COUNTER);
    struct operation_id add = begin(&stage, 1, OPERATION_ADD, 1);
    history_return(stage.history, add, OUTCOME_REFUSED, NULL, stage.now_ns);
    do_now(&stage, 2, OPERATION_GET, 0, value_of_number(1));
    assert_int_equal(LINEAR_NO, judge(&stage));
}

static void test_a_connection_keeps_its_order(void **state)
{
    (void)state;
    struct stage stage = stage_open(KEY_COUNTER);
    struct operation_id first = begin(&stage, 1, OPERATION_ADD, 1);
    struct operation_id second = begin(&stage, 1, OPERATION_ADD, 10);
    end(&stage, first, value_of_number(11));
    end(&stage, second, value_of_number(10));
    assert_int_equal(LINEAR_NO, judge(&stage));
}

/* What is gone does not come back, and does not go early. */
static void test_deadlines(void **state)
{
    (void)state;
    static const struct {
        uint64_t first_ms;
        bool first_present;
        uint64_t second_ms;
        bool second_present;
        enum linear_answer answer;
    } rows[] = {
        {10, true, 20, true, LINEAR_YES},     {10, false, 20, false, LINEAR_NO},
        {10, true, 300, false, LINEAR_YES},   {10, true, 300, true, LINEAR_NO},
        {100, false, 110, false, LINEAR_YES}, {100, false, 101, true, LINEAR_NO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stage stage = stage_open(KEY_LEASE);
        struct operation_id set = begin(&stage, 1, OPERATION_SET, 7);
        history_operation(stage.history, set)->ttl_ns = 100 * MS;
        end(&stage, set, ok);
        uint64_t base_ns = stage.now_ns;
        stage.now_ns = base_ns + rows[i].first_ms * MS;
        do_now(&stage, 2, OPERATION_GET, 0, rows[i].first_present ? value_of_number(7) : absent);
        stage.now_ns = base_ns + rows[i].second_ms * MS;
        do_now(&stage, 2, OPERATION_GET, 0, rows[i].second_present ? value_of_number(7) : absent);
        assert_int_equal(rows[i].answer, judge(&stage));
    }
}

static void test_appended_values_are_those_of_the_whole(void **state)
{
    (void)state;
    struct value first = value_of_string(slice_of_text("hold"));
    struct value whole = value_append(first, value_of_string(slice_of_text("fast")));
    assert_true(value_equal(whole, value_of_string(slice_of_text("holdfast"))));
    assert_false(value_equal(whole, value_of_string(slice_of_text("holdfist"))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stale_read_is_found),
        cmocka_unit_test(test_concurrent_operations_may_be_in_any_order),
        cmocka_unit_test(test_an_unknown_write_may_come_late_but_once),
        cmocka_unit_test(test_a_refused_write_has_no_effect),
        cmocka_unit_test(test_a_connection_keeps_its_order),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_appended_values_are_those_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
