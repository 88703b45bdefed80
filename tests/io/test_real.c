/* test_real.c - what only the real io has: threads, signals, names, and peers that are not ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/real.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS      1000000ull
#define WAIT_NS 5000000000ull
#define HUSH_NS 40000000ull

enum {
    GUARD = 15,
    LISTENER = 100,
    SERVER = 200,
    CLIENT = 300
};

static int open_io(void **state)
{
    *state = io_create(&(struct io_real_options){.worker = 0});
    return 0;
}

static int close_io(void **state)
{
    io_destroy(*state);
    return 0;
}

/* False when nothing came in time. */
static bool next_event(struct io *io, struct io_event *event, uint64_t wait_ns)
{
    io_timer_set(io, GUARD, io_now_ns(io) + wait_ns);
    assert_int_equal(1, io_gather(io, event, 1));
    io_timer_cancel(io, GUARD);
    return event->kind != IO_TIMER || event->tag != GUARD;
}

static struct io_event wait_event(struct io *io, enum io_event_kind kind)
{
    struct io_event event;
    assert_true(next_event(io, &event, WAIT_NS));
    assert_int_equal(kind, event.kind);
    return event;
}

static void assert_hush(struct io *io)
{
    struct io_event event;
    assert_false(next_event(io, &event, HUSH_NS));
}

static struct io_counters counters_of(struct io *io)
{
    struct io_counters counters;
    io_counters(io, &counters);
    return counters;
}

static unsigned listen_on(struct io *io, const char *address)
{
    struct io_stream listener;
    char why[128], bound[IO_ADDRESS_SIZE];
    assert_int_equal(STATUS_OK, io_listen(io, address, LISTENER, &listener, why));
    io_stream_address(io, listener, true, bound);
    return (unsigned)strtoul(strrchr(bound, ':') + 1, NULL, 10);
}

/* A peer with plain calls of its own, and the stream that we have for it. */
static int connect_foreigner(struct io *io, struct io_stream *server)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_port = htons((uint16_t)listen_on(io, "127.0.0.1:0"));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(0, connect(peer, (struct sockaddr *)&at, sizeof at));
    *server = wait_event(io, IO_ACCEPTED).stream;
    io_stream_start(io, *server, SERVER);
    return peer;
}

static void reset(int peer)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(peer);
}

/* ---- foreign peers ---- */

static void a_half_closed_peer_still_gets_its_answer(void **state)
{
    struct io *io = *state;
    struct io_stream server;
    struct slice answer = slice_of_text("pong");
    char bytes[8];
    size_t n;
    int peer = connect_foreigner(io, &server);
    assert_int_equal(4, send(peer, "ping", 4, 0));
    shutdown(peer, SHUT_WR);
    wait_event(io, IO_READABLE);
    assert_int_equal(STATUS_OK, io_read(io, server, (uint8_t *)bytes, sizeof bytes, &n));
    wait_event(io, IO_READABLE);
    assert_int_equal(STATUS_CLOSED, io_read(io, server, (uint8_t *)bytes, sizeof bytes, &n));
    assert_hush(io);
    assert_int_equal(STATUS_OK, io_write(io, server, &answer, 1, &n));
    assert_int_equal(4, recv(peer, bytes, sizeof bytes, 0));
    close(peer);
    io_close(io, server);
    assert_hush(io);
}

static void a_half_closed_peer_that_goes_is_told(void **state)
{
    struct io *io = *state;
    struct io_stream server;
    uint8_t byte;
    size_t n;
    int peer = connect_foreigner(io, &server);
    shutdown(peer, SHUT_WR);
    wait_event(io, IO_READABLE);
    assert_int_equal(STATUS_CLOSED, io_read(io, server, &byte, 1, &n));
    assert_hush(io);
    reset(peer);
    assert_int_equal(SERVER, wait_event(io, IO_CLOSED).tag);
    assert_hush(io);
}

static void a_reset_is_told_while_nobody_reads(void **state)
{
    struct io *io = *state;
    struct io_stream server;
    int peer = connect_foreigner(io, &server);
    io_pause_read(io, server, true);
    assert_int_equal(3, send(peer, "abc", 3, 0));
    assert_hush(io);
    uint64_t before = counters_of(io).wakeups;
    reset(peer);
    assert_int_equal(SERVER, wait_event(io, IO_CLOSED).tag);
    assert_hush(io);
    assert_true(counters_of(io).wakeups - before < 10); /* nor does it spin */
    io_close(io, server);
}

static void a_reset_is_the_end_of_reading(void **state)
{
    struct io *io = *state;
    struct io_stream server;
    uint8_t byte;
    size_t n;
    reset(connect_foreigner(io, &server));
    wait_event(io, IO_READABLE);
    assert_int_equal(STATUS_CLOSED, io_read(io, server, &byte, 1, &n));
    assert_hush(io);
}

static void a_paused_reset_stream_can_be_written_off(void **state)
{
    struct io *io = *state;
    struct io_stream server;
    struct slice piece = slice_of_text("x");
    size_t n;
    int peer = connect_foreigner(io, &server);
    io_pause_read(io, server, true);
    io_want_write(io, server, true);
    wait_event(io, IO_WRITABLE);
    reset(peer);
    struct io_event event;
    do
        assert_true(next_event(io, &event, WAIT_NS));
    while (event.kind != IO_CLOSED);
    wait_event(io, IO_WRITABLE);
    assert_int_equal(STATUS_CLOSED, io_write(io, server, &piece, 1, &n));
    io_close(io, server);
    assert_hush(io);
}

/* Really out of descriptors; the suite only pretends. */
static void a_want_of_descriptors_passes(void **state)
{
    struct io *io = *state;
    struct sockaddr_in at = {.sin_family = AF_INET};
    struct rlimit before, none;
    at.sin_port = htons((uint16_t)listen_on(io, "127.0.0.1:0"));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &none));
    assert_int_equal(0, connect(peer, (struct sockaddr *)&at, sizeof at));
    assert_hush(io);
    assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &before));
    wait_event(io, IO_ACCEPTED);
    close(peer);
}

/* ---- names ---- */

static void names_are_looked_up_in_the_background(void **state)
{
    struct io *io = *state;
    char address[IO_ADDRESS_SIZE];
    struct io_stream client;
    snprintf(address, sizeof address, "localhost:%u", listen_on(io, "127.0.0.1:0"));
    assert_int_equal(STATUS_OK, io_connect(io, address, CLIENT, &client));
    io_stream_address(io, client, false, address);
    assert_string_equal("", address); /* not yet */
    for (unsigned seen = 0; seen < 2; seen++) {
        struct io_event event;
        assert_true(next_event(io, &event, WAIT_NS));
        assert_true(event.kind == IO_CONNECTED || event.kind == IO_ACCEPTED);
        assert_int_equal(STATUS_OK, event.status);
    }
}

static void an_unknown_host_is_an_event(void **state)
{
    struct io *io = *state;
    struct io_stream client;
    struct io_event event;
    assert_int_equal(STATUS_OK, io_connect(io, "no..such..host:80", CLIENT, &client));
    event = wait_event(io, IO_CONNECTED);
    assert_int_equal(STATUS_NOT_FOUND, event.status);
    assert_int_equal(CLIENT, event.tag);
    assert_hush(io);
}

static void a_late_lookup_is_dropped_and_counted(void **state)
{
    struct io *io = *state;
    struct io_stream client;
    assert_int_equal(STATUS_OK, io_connect(io, "localhost:1", CLIENT, &client));
    io_close(io, client);
    while (counters_of(io).late_completions == 0) /* IO-2 */
        assert_hush(io);
}

static void the_newer_protocol_works_too(void **state)
{
    struct io *io = *state;
    char address[IO_ADDRESS_SIZE], why[128];
    struct io_stream listener, client;
    if (io_listen(io, "[::1]:0", LISTENER, &listener, why) != STATUS_OK)
        skip();
    io_stream_address(io, listener, true, address);
    assert_memory_equal("[::1]:", address, 6);
    assert_int_equal(STATUS_OK, io_connect(io, address, CLIENT, &client));
    struct io_event event;
    do
        assert_true(next_event(io, &event, WAIT_NS));
    while (event.kind != IO_CONNECTED);
    assert_int_equal(STATUS_OK, event.status);
}

static void any_host_may_be_left_out_of_a_listener(void **state)
{
    struct io *io = *state;
    struct io_stream client;
    char address[IO_ADDRESS_SIZE];
    snprintf(address, sizeof address, "127.0.0.1:%u", listen_on(io, ":0"));
    assert_int_equal(STATUS_OK, io_connect(io, address, CLIENT, &client));
    assert_int_equal(STATUS_INVALID, io_connect(io, ":80", CLIENT, &client));
    wait_event(io, IO_ACCEPTED);
}

/* ---- waking ---- */

static struct io *woken_by_signal; /* a handler has no argument */

static void on_signal(int number)
{
    (void)number;
    io_wake(woken_by_signal);
}

static void a_signal_handler_can_wake(void **state)
{
    struct io *io = *state;
    woken_by_signal = io;
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    raise(SIGUSR1);
    assert_null(wait_event(io, IO_MESSAGE).message);
    assert_hush(io); /* what was not yet seen counts once */
    raise(SIGUSR1);
    assert_null(wait_event(io, IO_MESSAGE).message);
    signal(SIGUSR1, SIG_DFL);
}

struct player {
    struct io *io;
    unsigned other;
    uint64_t rounds;
    uint64_t sum;
};

/* Passes each number on, one larger, until the last. */
static void *play(void *argument)
{
    struct player *player = argument;
    for (uint64_t i = 0; i < player->rounds; i++) {
        struct io_event event;
        if (io_gather(player->io, &event, 1) != 1 || event.kind != IO_MESSAGE)
            return NULL;
        uint64_t number = (uint64_t)(uintptr_t)event.message;
        player->sum += number;
        io_post(player->io, player->other, 0, (void *)(uintptr_t)(number + 1));
    }
    return NULL;
}

static void threads_pass_messages(void **state)
{
    enum {
        ROUNDS = 2000
    };
    struct io *ios[2];
    struct player players[2];
    pthread_t thread;
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        ios[i] = io_create(&(struct io_real_options){.worker = i});
    io_connect_workers(ios, 2);
    for (unsigned i = 0; i < 2; i++)
        players[i] = (struct player){.io = ios[i], .other = 1 - i, .rounds = ROUNDS};
    pthread_create(&thread, NULL, play, &players[1]);
    io_post(ios[0], 1, 0, (void *)(uintptr_t)1);
    play(&players[0]);
    pthread_join(thread, NULL);
    /* 1 + 3 + 5 + ... and 2 + 4 + 6 + ... */
    assert_int_equal((uint64_t)ROUNDS * ROUNDS, players[1].sum);
    assert_int_equal((uint64_t)ROUNDS * (ROUNDS + 1), players[0].sum);
    io_destroy(ios[0]);
    io_destroy(ios[1]);
}

static void *wake_later(void *argument)
{
    io_wake(argument);
    return NULL;
}

static void a_thread_can_wake_who_waits(void **state)
{
    pthread_t thread;
    pthread_create(&thread, NULL, wake_later, *state);
    assert_null(wait_event(*state, IO_MESSAGE).message);
    pthread_join(thread, NULL);
}

/* ---- the rest ---- */

static void the_boot_id_can_come_from_a_file(void **state)
{
    char path[] = "/tmp/io-boot-XXXXXX", id[IO_BOOT_ID_SIZE];
    int descriptor = mkstemp(path);
    (void)state;
    assert_int_equal(9, write(descriptor, "boot-two\n", 9));
    close(descriptor);
    struct io *io = io_create(&(struct io_real_options){.boot_id_file = path});
    io_boot_id(io, id);
    assert_string_equal("boot-two", id);
    io_destroy(io);
    unlink(path);
}

/* A gate of half a millisecond must not become four: the best of some tries, since the machine is
 * shared. */
static void timers_are_finer_than_a_millisecond(void **state)
{
    struct io *io = *state;
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < 50 && best > MS; i++) {
        struct io_event event;
        uint64_t begin = io_now_ns(io);
        io_timer_set(io, 1, begin + MS / 2);
        assert_int_equal(1, io_gather(io, &event, 1));
        uint64_t took = io_now_ns(io) - begin;
        assert_true(took >= MS / 2);
        best = took < best ? took : best;
    }
    assert_true(best <= MS);
}

static void a_deadline_that_moves_away_costs_one_waking(void **state)
{
    struct io *io = *state;
    uint64_t begin = io_now_ns(io), before = counters_of(io).wakeups;
    io_timer_set(io, 2, begin + 20 * MS);
    for (unsigned i = 0; i < 20; i++) {
        io_timer_set(io, 1, begin + 5 * MS);
        io_timer_cancel(io, 1);
    }
    struct io_event event;
    assert_int_equal(1, io_gather(io, &event, 1));
    assert_int_equal(2, event.tag);
    assert_in_range(counters_of(io).wakeups - before, 1, 2);
}

static void destroying_nothing_is_fine(void **state)
{
    (void)state;
    io_destroy(NULL);
}

#define with_io(test) cmocka_unit_test_setup_teardown(test, open_io, close_io)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_io(a_half_closed_peer_still_gets_its_answer),
        with_io(a_half_closed_peer_that_goes_is_told),
        with_io(a_reset_is_told_while_nobody_reads),
        with_io(a_reset_is_the_end_of_reading),
        with_io(a_paused_reset_stream_can_be_written_off),
        with_io(a_want_of_descriptors_passes),
        with_io(names_are_looked_up_in_the_background),
        with_io(an_unknown_host_is_an_event),
        with_io(a_late_lookup_is_dropped_and_counted),
        with_io(the_newer_protocol_works_too),
        with_io(any_host_may_be_left_out_of_a_listener),
        with_io(a_signal_handler_can_wake),
        with_io(a_thread_can_wake_who_waits),
        cmocka_unit_test(threads_pass_messages),
        cmocka_unit_test(the_boot_id_can_come_from_a_file),
        with_io(timers_are_finer_than_a_millisecond),
        with_io(a_deadline_that_moves_away_costs_one_waking),
        cmocka_unit_test(destroying_nothing_is_fine),
    };
    return cmocka_run_group_tests_name("real", tests, NULL, NULL);
}
