/* test_network.c - streams under cuts, resets, dead and paused processes, dead machines. */
#include "stage.h"

#include "base/memory.h"

#define SEEDS 50

static void bytes_arrive_after_the_delay_of_their_way(void **state)
{
    struct stage stage = stage_open(1);
    struct line line = stage_connect(&stage);
    char bytes[16];
    (void)state;
    world_delay(stage.world, stage.a, stage.b, 300 * WORLD_MS, 310 * WORLD_MS);
    uint64_t begin = world_now_ns(stage.world);
    assert_status(STATUS_OK, stage_send(io_a(&stage), line.client, "hello"));
    assert_int_equal(5, stage_receive(&stage, io_b(&stage), line.server, bytes, 5, WORLD_SECOND));
    assert_true(world_now_ns(stage.world) - begin >= 300 * WORLD_MS);
    assert_string_equal("hello", bytes);
    begin = world_now_ns(stage.world);
    assert_status(STATUS_OK, stage_send(io_b(&stage), line.server, "back"));
    assert_int_equal(4, stage_receive(&stage, io_a(&stage), line.client, bytes, 4, WORLD_SECOND));
    assert_true(world_now_ns(stage.world) - begin < 10 * WORLD_MS); /* the other way is as before */
    stage_close(&stage);
}

static void order_is_kept_and_boundaries_are_not(void **state)
{
    unsigned chunked = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        struct line line = stage_connect(&stage);
        char sent[1001] = "", got[1001];
        world_spikes(stage.world, 100000, 200 * WORLD_MS, WORLD_SECOND);
        for (unsigned i = 0; i < 100; i++) {
            char text[11];
            snprintf(text, sizeof text, "%010u", i);
            memcpy(sent + i * 10, text, 11);
            assert_status(STATUS_OK, stage_send(io_a(&stage), line.client, text));
        }
        assert_int_equal(
            1000, stage_receive(&stage, io_b(&stage), line.server, got, 1000, 5 * WORLD_SECOND));
        assert_string_equal(sent, got);
        chunked += world_counters(stage.world, stage.b).receives > 3;
        stage_close(&stage);
    }
    assert_true(chunked > SEEDS / 2);
}

static void a_full_window_stops_the_writer(void **state)
{
    struct stage stage = stage_open(1);
    struct line line = stage_connect(&stage);
    uint8_t *bytes = memory_zeroed(1, WORLD_WINDOW_BYTES + 100);
    struct slice piece = slice_of(bytes, WORLD_WINDOW_BYTES + 100);
    size_t wrote = 0, got;
    (void)state;
    assert_status(STATUS_OK, io_write(io_a(&stage), line.client, &piece, 1, &wrote));
    assert_int_equal(WORLD_WINDOW_BYTES, wrote);
    assert_status(STATUS_AGAIN, io_write(io_a(&stage), line.client, &piece, 1, &wrote));
    stage_await(&stage, io_b(&stage), IO_READABLE, WORLD_SECOND);
    assert_status(STATUS_OK, io_read(io_b(&stage), line.server, bytes, 10, &got));
    assert_status(STATUS_AGAIN,
                  io_write(io_a(&stage), line.client, &piece, 1, &wrote)); /* not yet */
    io_want_write(io_a(&stage), line.client, true);
    assert_int_equal(IO_WRITABLE,
                     stage_await(&stage, io_a(&stage), IO_WRITABLE, WORLD_SECOND).kind);
    assert_status(STATUS_OK, io_write(io_a(&stage), line.client, &piece, 1, &wrote));
    assert_int_equal(got, wrote);
    memory_free(bytes);
    stage_close(&stage);
}

/* ---- cuts ---- */

static void a_cut_holds_bytes_of_one_direction(void **state)
{
    struct stage stage = stage_open(1);
    struct line line = stage_connect(&stage);
    char bytes[16];
    (void)state;
    world_cut(stage.world, stage.a, stage.b);
    assert_status(STATUS_OK, stage_send(io_a(&stage), line.client, "one"));
    assert_status(STATUS_OK, stage_send(io_b(&stage), line.server, "up"));
    assert_int_equal(2, stage_receive(&stage, io_a(&stage), line.client, bytes, 2, WORLD_SECOND));
    assert_int_equal(0,
                     stage_receive(&stage, io_b(&stage), line.server, bytes, 6, 5 * WORLD_SECOND));
    assert_status(STATUS_OK, stage_send(io_a(&stage), line.client, "two"));
    world_heal(stage.world, stage.a, stage.b);
    assert_int_equal(6,
                     stage_receive(&stage, io_b(&stage), line.server, bytes, 6, 10 * WORLD_SECOND));
    assert_string_equal("onetwo", bytes);
    stage_close(&stage);
}

static void a_long_cut_kills_the_sending_side_alone(void **state)
{
    struct world_options options = world_options_calm(1);
    options.give_up_ns = 30 * WORLD_SECOND;
    struct stage stage = stage_open_with(&options);
    struct line line = stage_connect(&stage);
    (void)state;
    world_cut_both(stage.world, stage.a, stage.b);
    assert_status(STATUS_OK, stage_send(io_a(&stage), line.client, "lost"));
    assert_false(stage_ends(&stage, io_a(&stage), line.client, 29 * WORLD_SECOND));
    assert_true(stage_ends(&stage, io_a(&stage), line.client, 2 * WORLD_SECOND));
    assert_status(STATUS_CLOSED, stage_send(io_a(&stage), line.client, "x"));
    world_heal_all(stage.world);
    assert_false(stage_ends(&stage, io_b(&stage), line.server, 100 * WORLD_SECOND)); /* half-open */
    assert_status(STATUS_OK, stage_send(io_b(&stage), line.server, "anybody?"));
    assert_true(stage_ends(&stage, io_b(&stage), line.server, WORLD_SECOND));
    stage_close(&stage);
}

static void an_end_waits_for_healing_too(void **state)
{
    struct stage stage = stage_open(1);
    struct line line = stage_connect(&stage);
    (void)state;
    world_cut(stage.world, stage.a, stage.b);
    world_crash_process(stage.world, stage.a);
    assert_false(stage_ends(&stage, io_b(&stage), line.server, 10 * WORLD_SECOND));
    world_heal(stage.world, stage.a, stage.b);
    assert_true(stage_ends(&stage, io_b(&stage), line.server, 20 * WORLD_SECOND));
    stage_close(&stage);
}

/* ---- connecting ---- */

static struct io_event dial(const struct stage *stage, const char *address, uint64_t *took_ns)
{
    struct io_stream stream;
    uint64_t begin = world_now_ns(stage->world);
    assert_status(STATUS_OK, io_connect(io_a(stage), address, 5, &stream));
    struct io_event event = stage_await(stage, io_a(stage), IO_CONNECTED, 60 * WORLD_SECOND);
    assert_int_equal(IO_CONNECTED, event.kind);
    assert_int_equal(5, event.tag);
    *took_ns = world_now_ns(stage->world) - begin;
    return event;
}

static void dialling_the_dead_the_cut_and_the_unknown(void **state)
{
    struct stage stage = stage_open(1);
    uint64_t took;
    (void)state;
    assert_status(STATUS_CLOSED, dial(&stage, "b:7000", &took).status); /* nobody listens */
    assert_true(took < 5 * WORLD_MS);
    assert_status(STATUS_NOT_FOUND, dial(&stage, "nowhere:7000", &took).status);
    world_cut(stage.world, stage.b, stage.a);
    assert_status(STATUS_IO, dial(&stage, "b:7000", &took).status);
    assert_true(took >= 20 * WORLD_SECOND && took < 21 * WORLD_SECOND);
    world_heal_all(stage.world);
    world_power_cut(stage.world, stage.b);
    assert_status(STATUS_IO, dial(&stage, "b:7000", &took).status);
    assert_true(took >= 20 * WORLD_SECOND && took < 21 * WORLD_SECOND);
    stage_close(&stage);
}

static void a_dial_into_a_cut_succeeds_when_it_heals(void **state)
{
    struct stage stage = stage_open(1);
    struct io_stream listener, stream;
    char why[128];
    (void)state;
    assert_status(STATUS_OK, io_listen(io_b(&stage), "0.0.0.0:7000", 1, &listener, why));
    world_cut(stage.world, stage.a, stage.b);
    assert_status(STATUS_OK, io_connect(io_a(&stage), "b:7000", 5, &stream));
    assert_int_equal(0, stage_await(&stage, io_a(&stage), IO_CONNECTED, 4 * WORLD_SECOND).kind);
    world_heal(stage.world, stage.a, stage.b);
    struct io_event event = stage_await(&stage, io_a(&stage), IO_CONNECTED, 4 * WORLD_SECOND);
    assert_int_equal(IO_CONNECTED, event.kind);
    assert_status(STATUS_OK, event.status);
    assert_int_equal(IO_ACCEPTED,
                     stage_await(&stage, io_b(&stage), IO_ACCEPTED, WORLD_SECOND).kind);
    stage_close(&stage);
}

/* Whatever moment the listening process dies in, the dialler gets an answer and nothing is left
 * over. */
static void a_listener_may_die_at_any_moment(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4 * SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        struct io_stream listener, stream;
        char why[128];
        assert_status(STATUS_OK, io_listen(io_b(&stage), "b:7000", 1, &listener, why));
        assert_status(STATUS_OK, io_connect(io_a(&stage), "b:7000", 5, &stream));
        stage_pass(&stage, seed * 5000);
        if (seed % 2 == 0)
            world_crash_process(stage.world, stage.b);
        else
            world_power_cut(stage.world, stage.b);
        if (!stage_ends(&stage, io_a(&stage), stream, 25 * WORLD_SECOND)) {
            world_power_on(stage.world, stage.b);
            if (stage_send(io_a(&stage), stream, "x") == STATUS_OK)
                assert_true(stage_ends(&stage, io_a(&stage), stream, WORLD_SECOND));
        }
        stage_close(&stage);
    }
}

static void accepting_may_be_impossible_for_a_while(void **state)
{
    struct stage stage = stage_open(1);
    struct io_stream listener, stream;
    char why[128];
    (void)state;
    assert_status(STATUS_OK, io_listen(io_b(&stage), "b:7000", 1, &listener, why));
    world_fail_accepts(stage.world, stage.b, true);
    assert_status(STATUS_OK, io_connect(io_a(&stage), "b:7000", 5, &stream));
    assert_status(STATUS_OK, stage_await(&stage, io_a(&stage), IO_CONNECTED, WORLD_SECOND).status);
    assert_int_equal(0, stage_await(&stage, io_b(&stage), IO_ACCEPTED, WORLD_SECOND).kind);
    world_fail_accepts(stage.world, stage.b, false);
    assert_int_equal(IO_ACCEPTED,
                     stage_await(&stage, io_b(&stage), IO_ACCEPTED, WORLD_SECOND).kind);
    stage_close(&stage);
}

/* ---- resets and the dead ---- */

static void a_reset_kills_both_sides(void **state)
{
    struct stage stage = stage_open(1);
    struct line line = stage_connect(&stage);
    (void)state;
    assert_int_equal(1, world_reset_connections(stage.world, stage.b, stage.a));
    assert_int_equal(0, world_reset_connections(stage.world, stage.b, stage.a));
    assert_true(stage_ends(&stage, io_a(&stage), line.client, WORLD_MS));
    assert_true(stage_ends(&stage, io_b(&stage), line.server, WORLD_MS));
    assert_status(STATUS_CLOSED, stage_send(io_a(&stage), line.client, "x"));
    stage_close(&stage);
}

static void a_half_open_connection_is_noticed_by_sending(void **state)
{
    struct stage stage = stage_open(1);
    struct line line = stage_connect(&stage);
    (void)state;
    assert_int_equal(1, world_half_open(stage.world, stage.a, stage.b));
    assert_true(stage_ends(&stage, io_a(&stage), line.client, WORLD_MS));
    assert_false(stage_ends(&stage, io_b(&stage), line.server, 1000 * WORLD_SECOND));
    assert_status(STATUS_OK, stage_send(io_b(&stage), line.server, "x"));
    assert_true(stage_ends(&stage, io_b(&stage), line.server, WORLD_MS * 10));
    stage_close(&stage);
}

static void the_nth_send_fails(void **state)
{
    struct stage stage = stage_open(1);
    struct line line = stage_connect(&stage);
    (void)state;
    world_fail_send(stage.world, stage.a, 3);
    assert_status(STATUS_OK, stage_send(io_a(&stage), line.client, "1"));
    assert_status(STATUS_OK, stage_send(io_a(&stage), line.client, "2"));
    assert_status(STATUS_CLOSED, stage_send(io_a(&stage), line.client, "3"));
    assert_true(stage_ends(&stage, io_b(&stage), line.server, WORLD_SECOND));
    stage_close(&stage);
}

static void a_crash_shows_as_an_end_or_a_reset(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct stage stage = stage_open(seed);
        struct line line = stage_connect(&stage);
        world_crash_process(stage.world, stage.a);
        assert_true(stage_ends(&stage, io_b(&stage), line.server, WORLD_SECOND));
        io_close(io_b(&stage), line.server);
        stage_close(&stage);
    }
}

static void a_power_cut_is_silent_until_the_machine_is_back(void **state)
{
    struct stage stage = stage_open(1);
    struct line line = stage_connect(&stage);
    char before[IO_BOOT_ID_SIZE], after[IO_BOOT_ID_SIZE];
    (void)state;
    io_boot_id(io_a(&stage), before);
    world_power_cut(stage.world, stage.a);
    assert_status(STATUS_OK, stage_send(io_b(&stage), line.server, "x"));
    assert_false(stage_ends(&stage, io_b(&stage), line.server, 20 * WORLD_SECOND));
    world_power_on(stage.world, stage.a);
    assert_true(stage_ends(&stage, io_b(&stage), line.server, 30 * WORLD_SECOND));
    world_start_process(stage.world, stage.a, 1);
    io_boot_id(io_a(&stage), after);
    assert_string_not_equal(before, after);
    world_crash_process(stage.world, stage.a);
    world_start_process(stage.world, stage.a, 1);
    io_boot_id(io_a(&stage), before);
    assert_string_equal(before, after); /* a crash is no boot */
    stage_close(&stage);
}

static void a_paused_process_loses_nothing(void **state)
{
    struct stage stage = stage_open(1);
    struct line line = stage_connect(&stage);
    char bytes[16];
    (void)state;
    io_timer_set(io_b(&stage), 0, io_now_ns(io_b(&stage)) + WORLD_SECOND);
    uint64_t begin = io_now_ns(io_b(&stage));
    world_pause(stage.world, stage.b);
    assert_status(STATUS_OK, stage_send(io_a(&stage), line.client, "wait"));
    assert_int_equal(0,
                     stage_receive(&stage, io_b(&stage), line.server, bytes, 4, 5 * WORLD_SECOND));
    world_resume(stage.world, stage.b);
    assert_true(io_now_ns(io_b(&stage)) - begin >= 5 * WORLD_SECOND); /* IO-5 */
    assert_int_equal(4, stage_receive(&stage, io_b(&stage), line.server, bytes, 4, WORLD_SECOND));
    io_timer_set(io_b(&stage), 1, 0);
    assert_int_equal(IO_TIMER, stage_await(&stage, io_b(&stage), IO_TIMER, WORLD_MS).kind);
    stage_close(&stage);
}

/* ---- dead ios ---- */

/* SIM-3 */
static void a_dead_io_stays_callable(void **state)
{
    struct stage stage = stage_open(1);
    struct line line = stage_connect(&stage);
    struct io *io = io_a(&stage);
    struct io_file file = stage_make_file(io, "/f"), other;
    struct io_stream stream;
    struct slice piece = slice_of_text("x");
    char why[128], path[IO_PATH_SIZE];
    size_t got;
    uint8_t byte;
    int message;
    (void)state;
    io_post(io, 0, 0, &message);
    world_crash_process(stage.world, stage.a);
    assert_status(STATUS_OK, io_file_write(io, file, &piece, 1, 0));
    io_file_sync_start(io, file, 1, 1);
    io_file_save_start(io, "/save", piece, 1);
    assert_status(STATUS_OK, io_file_open(io, "/g", IO_FILE_CREATE, &other));
    assert_status(STATUS_OK, io_file_write(io, other, &piece, 1, 0));
    io_file_close(io, other);
    io_file_close(io, file);
    assert_status(STATUS_AGAIN, io_read(io, line.client, &byte, 1, &got));
    assert_status(STATUS_OK, stage_send(io, line.client, "x"));
    assert_status(STATUS_OK, io_connect(io, "b:7000", 1, &stream));
    assert_status(STATUS_OK, io_listen(io, "a:1", 1, &stream, why));
    io_close(io, line.client);
    io_timer_set(io, 0, 0);
    io_post(io, 0, 0, &message);
    assert_int_equal(0, stage_await(&stage, io, IO_TIMER, WORLD_SECOND).kind);
    for (unsigned i = 0; i < 2; i++)
        assert_ptr_equal(&message, world_take_lost_message(stage.world, stage.a));
    assert_null(world_take_lost_message(stage.world, stage.a));
    assert_true(world_disk_file(stage.world, stage.a, 0, path));
    assert_string_equal("/f", path);
    assert_false(world_disk_file(stage.world, stage.a, 1, path));
    world_bury(stage.world, stage.a);
    assert_null(io_a(&stage));
    stage_close(&stage);
}

/* ---- clocks ---- */

static void clocks_drift_and_jump(void **state)
{
    struct stage stage = stage_open(1);
    struct io *a = io_a(&stage), *b = io_b(&stage);
    (void)state;
    world_clock_rate(stage.world, stage.a, 1000);
    world_clock_rate(stage.world, stage.b, -1000);
    uint64_t begin_a = io_now_ns(a), begin_b = io_now_ns(b);
    int64_t wall = io_wall_us(a);
    io_timer_set(a, 0, begin_a + 100 * WORLD_SECOND);
    io_timer_set(b, 0, begin_b + 100 * WORLD_SECOND);
    stage_pass(&stage, 100 * WORLD_SECOND);
    assert_int_equal(begin_a + 100 * WORLD_SECOND + 100 * WORLD_MS, io_now_ns(a));
    assert_int_equal(begin_b + 100 * WORLD_SECOND - 100 * WORLD_MS, io_now_ns(b));
    assert_int_equal(1, world_counters(stage.world, stage.a).wakeups);
    assert_int_equal(0, world_counters(stage.world, stage.b).wakeups);
    world_clock_rate(stage.world, stage.b, 1000); /* the timer comes earlier now */
    assert_int_equal(IO_TIMER, stage_await(&stage, b, IO_TIMER, 100 * WORLD_MS).kind);
    assert_true(io_now_ns(b) >= begin_b + 100 * WORLD_SECOND);
    assert_in_range(io_wall_us(a) - wall, 100000000, 100200000);
    world_clock_jump(stage.world, stage.a, -3600000000ll);
    assert_true(io_wall_us(a) < wall);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_after_the_delay_of_their_way),
        cmocka_unit_test(order_is_kept_and_boundaries_are_not),
        cmocka_unit_test(a_full_window_stops_the_writer),
        cmocka_unit_test(a_cut_holds_bytes_of_one_direction),
        cmocka_unit_test(a_long_cut_kills_the_sending_side_alone),
        cmocka_unit_test(an_end_waits_for_healing_too),
        cmocka_unit_test(dialling_the_dead_the_cut_and_the_unknown),
        cmocka_unit_test(a_dial_into_a_cut_succeeds_when_it_heals),
        cmocka_unit_test(a_listener_may_die_at_any_moment),
        cmocka_unit_test(accepting_may_be_impossible_for_a_while),
        cmocka_unit_test(a_reset_kills_both_sides),
        cmocka_unit_test(a_half_open_connection_is_noticed_by_sending),
        cmocka_unit_test(the_nth_send_fails),
        cmocka_unit_test(a_crash_shows_as_an_end_or_a_reset),
        cmocka_unit_test(a_power_cut_is_silent_until_the_machine_is_back),
        cmocka_unit_test(a_paused_process_loses_nothing),
        cmocka_unit_test(a_dead_io_stays_callable),
        cmocka_unit_test(clocks_drift_and_jump),
    };
    return cmocka_run_group_tests_name("sim network", tests, NULL, NULL);
}
