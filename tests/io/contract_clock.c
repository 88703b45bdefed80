/* contract_clock.c - clock, chance, timers, messages between workers. */
#include "contract_parts.h"

#define MS 1000000ull

static void now_never_goes_back(void **state)
{
    struct io *io = contract_io(0);
    (void)state;
    uint64_t before = io_now_ns(io); /* IO-5 */
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t now = io_now_ns(io);
        assert_true(now >= before);
        before = now;
    }
}

static void now_and_wall_go_on_while_waiting(void **state)
{
    struct io *io = contract_io(0);
    (void)state;
    uint64_t now = io_now_ns(io);
    int64_t wall = io_wall_us(io);
    assert_true(wall > 0);
    io_timer_set(io, 0, now + 5 * MS);
    wait_event(io, IO_TIMER, 0);
    assert_true(io_now_ns(io) >= now + 5 * MS);
    assert_true(io_wall_us(io) > wall);
}

static void random_numbers_differ(void **state)
{
    uint64_t seen[64];
    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        seen[i] = io_random(contract_io(i % 2));
        for (unsigned j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    }
}

static void boot_id_is_one_text_for_the_machine(void **state)
{
    char one[IO_BOOT_ID_SIZE], other[IO_BOOT_ID_SIZE];
    (void)state;
    io_boot_id(contract_io(0), one);
    io_boot_id(contract_io(1), other);
    assert_true(strlen(one) > 0);
    assert_null(strpbrk(one, "\r\n"));
    assert_string_equal(one, other);
}

static void timers_fire_in_the_order_of_their_deadlines(void **state)
{
    static const unsigned order[] = {3, 1, 2};
    struct io *io = contract_io(0);
    (void)state;
    uint64_t begin = io_now_ns(io);
    io_timer_set(io, 2, begin + 15 * MS);
    io_timer_set(io, 3, begin + 5 * MS);
    io_timer_set(io, 1, begin + 10 * MS);
    for (unsigned i = 0; i < 3; i++) {
        struct io_event event;
        assert_int_equal(1, contract_gather(io, &event, 1, CONTRACT_WAIT_MS));
        assert_int_equal(IO_TIMER, event.kind);
        assert_int_equal(order[i], event.tag);
        assert_true(io_now_ns(io) >= begin + (i + 1) * 5 * MS);
    }
    assert_hush(io); /* each once */
}

static void a_timer_in_the_past_fires_at_the_next_gather(void **state)
{
    struct io *io = contract_io(0);
    struct io_event events[IO_TIMERS_MAX];
    (void)state;
    io_timer_set(io, 4, io_now_ns(io));
    io_timer_set(io, 0, 0);
    io_timer_set(io, 9, 1);
    /* IO-1: all of them, here, although each was due when it was set */
    assert_int_equal(3, contract_gather(io, events, IO_TIMERS_MAX, CONTRACT_WAIT_MS));
    assert_int_equal(0, events[0].tag);
    assert_int_equal(9, events[1].tag);
    assert_int_equal(4, events[2].tag);
}

static void setting_a_timer_again_moves_it(void **state)
{
    struct io *io = contract_io(0);
    (void)state;
    uint64_t begin = io_now_ns(io);
    io_timer_set(io, 5, begin + 1000000 * MS);
    io_timer_set(io, 6, begin + 2 * MS);
    io_timer_set(io, 5, begin + 3 * MS); /* earlier */
    io_timer_set(io, 6, begin + 8 * MS); /* later */
    wait_event(io, IO_TIMER, 5);
    assert_true(io_now_ns(io) >= begin + 3 * MS);
    wait_event(io, IO_TIMER, 6);
    assert_true(io_now_ns(io) >= begin + 8 * MS);
    assert_hush(io);
}

/* The io has already gone to sleep until a later one. */
static void an_earlier_deadline_overtakes_a_later_one(void **state)
{
    struct io *io = contract_io(0);
    int message;
    (void)state;
    uint64_t begin = io_now_ns(io);
    io_timer_set(io, 1, begin + 1000000 * MS);
    io_post(contract_io(1), 0, 0, &message);
    wait_event(io, IO_MESSAGE, 0);
    io_timer_set(io, 2, io_now_ns(io) + 2 * MS);
    wait_event(io, IO_TIMER, 2);
    assert_true(io_now_ns(io) < begin + CONTRACT_WAIT_MS * MS / 2);
}

static void a_timer_can_be_set_again_after_it_fired(void **state)
{
    struct io *io = contract_io(0);
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        uint64_t deadline = io_now_ns(io) + MS / 2;
        io_timer_set(io, 7, deadline);
        wait_event(io, IO_TIMER, 7);
        assert_true(io_now_ns(io) >= deadline);
    }
}

static void cancelled_timers_do_not_fire(void **state)
{
    struct io *io = contract_io(0);
    (void)state;
    io_timer_set(io, 0, io_now_ns(io) + 2 * MS);
    io_timer_set(io, 1, 0);
    io_timer_set(io, 2, UINT64_MAX); /* never */
    io_timer_cancel(io, 0);
    io_timer_cancel(io, 1);
    io_timer_cancel(io, 3); /* was not set */
    assert_hush(io);
}

static void timers_belong_to_one_io(void **state)
{
    (void)state;
    io_timer_set(contract_io(0), 1, 0);
    assert_hush(contract_io(1));
    wait_event(contract_io(0), IO_TIMER, 1);
}

static void a_message_reaches_its_worker(void **state)
{
    int one, other;
    (void)state;
    io_post(contract_io(0), 1, 0, &one);
    struct io_event event = wait_event(contract_io(1), IO_MESSAGE, 0);
    assert_ptr_equal(&one, event.message);
    io_post(contract_io(1), 0, 0, &other);
    event = wait_event(contract_io(0), IO_MESSAGE, 0);
    assert_ptr_equal(&other, event.message);
    assert_hush(contract_io(0));
    assert_hush(contract_io(1));
}

static void a_worker_can_post_to_itself(void **state)
{
    int it;
    (void)state;
    io_post(contract_io(1), 1, 0, &it);
    assert_ptr_equal(&it, wait_event(contract_io(1), IO_MESSAGE, 0).message);
}

/* "at most `max`": what does not fit comes at the next gathers, none twice. */
static void gather_never_exceeds_the_array(void **state)
{
    enum {
        MESSAGES = 200
    };
    static char messages[MESSAGES];
    bool seen[MESSAGES] = {0};
    unsigned count = 0;
    (void)state;
    for (unsigned i = 0; i < MESSAGES; i++)
        io_post(contract_io(0), 1, 0, &messages[i]);
    while (count < MESSAGES) {
        struct io_event events[3];
        size_t n = contract_gather(contract_io(1), events, 3, CONTRACT_WAIT_MS);
        assert_in_range(n, 1, 3);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(IO_MESSAGE, events[i].kind);
            size_t which = (size_t)((char *)events[i].message - messages);
            assert_true(which < MESSAGES && !seen[which]);
            seen[which] = true;
            count++;
        }
    }
    assert_hush(contract_io(1));
}

int run_clock_tests(void)
{
    const struct CMUnitTest tests[] = {
        in_world(now_never_goes_back),
        in_world(now_and_wall_go_on_while_waiting),
        in_world(random_numbers_differ),
        in_world(boot_id_is_one_text_for_the_machine),
        in_world(timers_fire_in_the_order_of_their_deadlines),
        in_world(a_timer_in_the_past_fires_at_the_next_gather),
        in_world(setting_a_timer_again_moves_it),
        in_world(an_earlier_deadline_overtakes_a_later_one),
        in_world(a_timer_can_be_set_again_after_it_fired),
        in_world(cancelled_timers_do_not_fire),
        in_world(timers_belong_to_one_io),
        in_world(a_message_reaches_its_worker),
        in_world(a_worker_can_post_to_itself),
        in_world(gather_never_exceeds_the_array),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
