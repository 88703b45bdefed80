/* contract_streams.c - listening, connecting, bytes, ends. */
#include "contract_parts.h"

#include "base/memory.h"

enum {
    LISTENER = 100,
    CLIENT = 200,
    SERVER = 300,
    OTHER = 400
};

/* The client belongs to io 0, listener and server to io 1. */
struct line {
    struct io *near, *far;
    struct io_stream listener, client, server;
    char address[IO_ADDRESS_SIZE];
};

static struct io_stream listen_somewhere(struct io *io, char address[IO_ADDRESS_SIZE])
{
    char wanted[IO_ADDRESS_SIZE], why[128];
    struct io_stream listener;
    snprintf(wanted, sizeof wanted, "%s:0", contract_host());
    assert_status(STATUS_OK, io_listen(io, wanted, LISTENER, &listener, why));
    io_stream_address(io, listener, true, address);
    return listener;
}

/* Connected and accepted; the server is not started yet. */
static struct line open_line(void)
{
    struct line line = {.near = contract_io(0), .far = contract_io(1)};
    line.listener = listen_somewhere(line.far, line.address);
    assert_status(STATUS_OK, io_connect(line.near, line.address, CLIENT, &line.client));
    struct io_event event = wait_event(line.near, IO_CONNECTED, CLIENT);
    assert_status(STATUS_OK, event.status);
    line.server = wait_event(line.far, IO_ACCEPTED, LISTENER).stream;
    assert_true(line.server.generation != 0);
    return line;
}

static struct line open_started_line(void)
{
    struct line line = open_line();
    io_stream_start(line.far, line.server, SERVER);
    return line;
}

static void send_text(struct io *io, struct io_stream stream, const char *text)
{
    struct slice piece = slice_of_text(text);
    size_t wrote;
    assert_status(STATUS_OK, io_write(io, stream, &piece, 1, &wrote));
    assert_int_equal(piece.size, wrote);
}

/* Reads exactly `text`, waiting for it. */
static void expect_text(struct io *io, struct io_stream stream, uint64_t tag, const char *text)
{
    uint8_t bytes[256];
    size_t have = 0, want = strlen(text);
    while (have < want) {
        size_t got = 0;
        wait_event(io, IO_READABLE, tag);
        enum status status = io_read(io, stream, bytes + have, want - have, &got);
        if (status == STATUS_AGAIN)
            continue;
        assert_status(STATUS_OK, status);
        assert_in_range(got, 1, want - have);
        have += got;
    }
    assert_memory_equal(text, bytes, want);
}

/* ---- listening and connecting ---- */

static void port_zero_takes_a_free_port(void **state)
{
    char one[IO_ADDRESS_SIZE], other[IO_ADDRESS_SIZE];
    size_t host = strlen(contract_host());
    (void)state;
    listen_somewhere(contract_io(0), one);
    listen_somewhere(contract_io(0), other);
    assert_memory_equal(contract_host(), one, host);
    assert_int_equal(':', one[host]);
    assert_true(one[host + 1] >= '1' && one[host + 1] <= '9');
    assert_string_not_equal(one, other);
}

static void a_port_has_one_listener(void **state)
{
    char address[IO_ADDRESS_SIZE], why[128] = "";
    struct io_stream listener = listen_somewhere(contract_io(0), address), second;
    (void)state;
    assert_status(STATUS_IN_USE, io_listen(contract_io(1), address, OTHER, &second, why));
    assert_true(strlen(why) > 0);
    io_close(contract_io(0), listener);
    assert_status(STATUS_OK, io_listen(contract_io(1), address, OTHER, &second, why));
}

static const char *const unreadable[] = {
    "",
    "nonsense",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:port",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
    "::1:80",
    "[127.0.0.1:80",
    "[::1]80",
    "127.0.0.1:123456",
    "a-host-name-that-is-longer-than-any-address-that-the-door-takes.test:80",
};

static void addresses_that_cannot_be_read_are_invalid(void **state)
{
    struct io_stream stream;
    char why[128];
    (void)state;
    for (size_t i = 0; i < sizeof unreadable / sizeof unreadable[0]; i++) {
        why[0] = 0;
        assert_status(STATUS_INVALID,
                      io_listen(contract_io(0), unreadable[i], OTHER, &stream, why));
        assert_true(strlen(why) > 0);
        assert_status(STATUS_INVALID, io_connect(contract_io(0), unreadable[i], OTHER, &stream));
    }
    assert_hush(contract_io(0));
}

static void a_refused_connection_is_an_event(void **state)
{
    char address[IO_ADDRESS_SIZE];
    struct io *io = contract_io(0);
    struct io_stream stream;
    uint8_t byte;
    size_t got;
    (void)state;
    io_close(contract_io(1), listen_somewhere(contract_io(1), address));
    assert_status(STATUS_OK, io_connect(io, address, CLIENT, &stream));
    assert_status(STATUS_CLOSED, wait_event(io, IO_CONNECTED, CLIENT).status);
    assert_status(STATUS_CLOSED, io_read(io, stream, &byte, 1, &got)); /* it is closed already */
    io_close(io, stream);
    assert_hush(io);
}

static void a_connection_given_up_is_silent(void **state)
{
    char address[IO_ADDRESS_SIZE];
    struct io_stream stream;
    (void)state;
    listen_somewhere(contract_io(1), address);
    assert_status(STATUS_OK, io_connect(contract_io(0), address, CLIENT, &stream));
    io_close(contract_io(0), stream);
    assert_hush(contract_io(0));
}

static void an_accepted_stream_waits_for_its_start(void **state)
{
    struct line line = open_line();
    (void)state;
    send_text(line.near, line.client, "early");
    assert_hush(line.far);
    io_stream_start(line.far, line.server, SERVER);
    expect_text(line.far, line.server, SERVER, "early");
}

static void an_accepted_stream_may_be_closed_unstarted(void **state)
{
    struct line line = open_line();
    uint8_t byte;
    size_t got;
    (void)state;
    io_close(line.far, line.server);
    wait_event(line.near, IO_READABLE, CLIENT);
    assert_status(STATUS_CLOSED, io_read(line.near, line.client, &byte, 1, &got));
    assert_hush(line.far);
}

static void both_sides_know_both_addresses(void **state)
{
    struct line line = open_line();
    char here[IO_ADDRESS_SIZE], there[IO_ADDRESS_SIZE];
    (void)state;
    io_stream_address(line.near, line.client, false, there);
    assert_string_equal(line.address, there);
    io_stream_address(line.near, line.client, true, here);
    io_stream_address(line.far, line.server, false, there);
    assert_string_equal(here, there);
    io_stream_address(line.far, line.server, true, there);
    assert_string_equal(line.address, there);
}

static void a_closed_listener_refuses(void **state)
{
    struct line line = open_started_line();
    struct io_stream late;
    (void)state;
    io_close(line.far, line.listener);
    assert_status(STATUS_OK, io_connect(line.near, line.address, OTHER, &late));
    assert_status(STATUS_CLOSED, wait_event(line.near, IO_CONNECTED, OTHER).status);
    send_text(line.near, line.client, "still here"); /* what it accepted lives on */
    expect_text(line.far, line.server, SERVER, "still here");
}

static void accepting_goes_on_after_a_want_of_descriptors(void **state)
{
    char address[IO_ADDRESS_SIZE];
    struct io_stream stream;
    (void)state;
    if (!contract_fail_accepts(true))
        skip();
    listen_somewhere(contract_io(1), address);
    assert_status(STATUS_OK, io_connect(contract_io(0), address, CLIENT, &stream));
    uint64_t before = counters_of(contract_io(1)).wakeups;
    assert_hush(contract_io(1));
    assert_true(counters_of(contract_io(1)).wakeups - before < 10); /* it does not spin */
    contract_fail_accepts(false);
    wait_event(contract_io(1), IO_ACCEPTED, LISTENER);
}

/* ---- bytes ---- */

static void gathered_pieces_arrive_in_order(void **state)
{
    struct line line = open_started_line();
    struct slice pieces[] = {slice_of_text("one "), slice_of(NULL, 0), slice_of_text("two "),
                             slice_of_text("three")};
    size_t wrote;
    (void)state;
    assert_status(STATUS_OK, io_write(line.near, line.client, pieces, 4, &wrote));
    assert_int_equal(13, wrote);
    expect_text(line.far, line.server, SERVER, "one two three");
    send_text(line.far, line.server, "answer");
    expect_text(line.near, line.client, CLIENT, "answer");
}

static void as_many_pieces_as_allowed(void **state)
{
    struct line line = open_started_line();
    struct slice pieces[IO_WRITE_PIECES_MAX];
    char text[IO_WRITE_PIECES_MAX + 1] = {0};
    size_t wrote;
    (void)state;
    for (size_t i = 0; i < IO_WRITE_PIECES_MAX; i++) {
        text[i] = (char)('!' + i);
        pieces[i] = slice_of(&text[i], 1);
    }
    assert_status(STATUS_OK, io_write(line.near, line.client, pieces, IO_WRITE_PIECES_MAX, &wrote));
    assert_int_equal(IO_WRITE_PIECES_MAX, wrote);
    expect_text(line.far, line.server, SERVER, text);
}

static void nothing_to_read_is_again_and_silent(void **state)
{
    struct line line = open_started_line();
    uint8_t byte;
    size_t got = 77;
    (void)state;
    assert_status(STATUS_AGAIN, io_read(line.far, line.server, &byte, 1, &got));
    assert_int_equal(77, got); /* untouched */
    assert_hush(line.far);
    send_text(line.near, line.client, "x");
    expect_text(line.far, line.server, SERVER, "x");
    assert_hush(line.far);
}

static void unread_bytes_are_reported_again(void **state)
{
    struct line line = open_started_line();
    (void)state;
    send_text(line.near, line.client, "abc");
    expect_text(line.far, line.server, SERVER, "a"); /* each waits for a READABLE of its own */
    expect_text(line.far, line.server, SERVER, "b");
    wait_event(line.far, IO_READABLE, SERVER);
    wait_event(line.far, IO_READABLE, SERVER);
    expect_text(line.far, line.server, SERVER, "c");
    assert_hush(line.far);
}

static void a_paused_stream_is_not_reported(void **state)
{
    struct line line = open_started_line();
    (void)state;
    io_pause_read(line.far, line.server, true);
    send_text(line.near, line.client, "later");
    assert_hush(line.far);
    io_pause_read(line.far, line.server, false);
    expect_text(line.far, line.server, SERVER, "later");
}

/* ---- a slow reader ---- */

struct flood {
    uint8_t block[64 << 10];
    size_t sent, received;
};

static uint8_t flood_byte(size_t at)
{
    return (uint8_t)(at * 7 + (at >> 10));
}

/* Until the stream takes no more. */
static void send_flood(struct line *line, struct flood *flood)
{
    for (;;) {
        size_t wrote = 0;
        for (size_t i = 0; i < sizeof flood->block; i++)
            flood->block[i] = flood_byte(flood->sent + i);
        struct slice piece = slice_of(flood->block, sizeof flood->block);
        enum status status = io_write(line->near, line->client, &piece, 1, &wrote);
        if (status == STATUS_AGAIN)
            return;
        assert_status(STATUS_OK, status);
        assert_in_range(wrote, 1, piece.size);
        flood->sent += wrote;
        assert_true(flood->sent < (256u << 20));
    }
}

static void receive_flood(struct line *line, struct flood *flood)
{
    while (flood->received < flood->sent) {
        size_t got = 0;
        wait_event(line->far, IO_READABLE, SERVER);
        enum status status =
            io_read(line->far, line->server, flood->block, sizeof flood->block, &got);
        if (status == STATUS_AGAIN)
            continue;
        assert_status(STATUS_OK, status);
        for (size_t i = 0; i < got; i++)
            if (flood->block[i] != flood_byte(flood->received + i))
                fail_msg("byte %zu differs", flood->received + i);
        flood->received += got;
    }
}

/* What is on its way into the other side's buffers goes on without us: full is full only when it
 * stays so. */
static void fill_line(struct line *line, struct flood *flood)
{
    struct io_event event;
    size_t before;
    do {
        before = flood->sent;
        send_flood(line, flood);
        assert_int_equal(0, contract_gather(line->near, &event, 1, CONTRACT_HUSH_MS));
    } while (flood->sent != before);
}

static void a_full_stream_says_when_it_takes_more(void **state)
{
    struct line line = open_started_line();
    struct flood *flood = memory_zeroed(1, sizeof *flood);
    (void)state;
    fill_line(&line, flood);
    assert_true(flood->sent > 0);
    io_want_write(line.near, line.client, true);
    assert_hush(line.near); /* wanted, but there is no room */
    receive_flood(&line, flood);
    wait_event(line.near, IO_WRITABLE, CLIENT);
    wait_event(line.near, IO_WRITABLE, CLIENT); /* as long as it is wanted */
    send_flood(&line, flood);
    receive_flood(&line, flood);
    io_want_write(line.near, line.client, false);
    assert_hush(line.near);
    memory_free(flood);
}

static void a_paused_stream_still_reports_writable(void **state)
{
    struct line line = open_started_line();
    (void)state;
    io_pause_read(line.near, line.client, true);
    io_want_write(line.near, line.client, true);
    wait_event(line.near, IO_WRITABLE, CLIENT);
    io_want_write(line.near, line.client, false);
    assert_hush(line.near);
}

/* ---- ends ---- */

static void the_end_comes_after_the_bytes(void **state)
{
    struct line line = open_started_line();
    uint8_t byte;
    size_t got;
    (void)state;
    send_text(line.near, line.client, "last words");
    io_close(line.near, line.client);
    expect_text(line.far, line.server, SERVER, "last words");
    wait_event(line.far, IO_READABLE, SERVER);
    assert_status(STATUS_CLOSED, io_read(line.far, line.server, &byte, 1, &got));
    assert_status(STATUS_CLOSED, io_read(line.far, line.server, &byte, 1, &got));
    assert_hush(line.far); /* no more READABLE */
    io_close(line.far, line.server);
}

static void an_end_that_nobody_reads_is_told_once(void **state)
{
    struct line line = open_started_line();
    uint8_t byte;
    size_t got;
    (void)state;
    io_pause_read(line.far, line.server, true);
    send_text(line.near, line.client, "unread");
    assert_false(io_stream_has_ended(line.far, line.server));
    io_close(line.near, line.client);
    wait_event(line.far, IO_CLOSED, SERVER);
    assert_true(io_stream_has_ended(line.far, line.server)); /* bytes before it are unread */
    assert_hush(line.far);
    io_pause_read(line.far, line.server, false);
    expect_text(line.far, line.server, SERVER, "unread");
    wait_event(line.far, IO_READABLE, SERVER);
    assert_status(STATUS_CLOSED, io_read(line.far, line.server, &byte, 1, &got));
}

static void writing_to_nobody_ends_closed(void **state)
{
    struct line line = open_started_line();
    struct slice piece = slice_of_text("hello?");
    enum status status = STATUS_OK;
    (void)state;
    io_close(line.far, line.server);
    for (unsigned i = 0; i < 1000 && status != STATUS_CLOSED; i++) {
        struct io_event event;
        size_t wrote;
        contract_gather(line.near, &event, 1, 5); /* the news takes its time */
        status = io_write(line.near, line.client, &piece, 1, &wrote);
    }
    assert_status(STATUS_CLOSED, status); /* and no signal killed us */
}

static void no_event_comes_after_close(void **state)
{
    struct line line = open_started_line();
    uint8_t byte;
    size_t count;
    struct slice piece = slice_of_text("x");
    (void)state;
    send_text(line.near, line.client, "never read");
    io_want_write(line.far, line.server, true);
    io_close(line.far, line.server);
    assert_hush(line.far);
    assert_status(STATUS_CLOSED, io_read(line.far, line.server, &byte, 1, &count));
    assert_status(STATUS_CLOSED, io_write(line.far, line.server, &piece, 1, &count));
    io_want_write(line.far, line.server, true);
    io_pause_read(line.far, line.server, false);
    io_close(line.far, line.server);
    io_close(line.far, (struct io_stream){0, 0});
    assert_hush(line.far);
}

/* IO-2: an old handle never reaches the stream that took its place. */
static void old_handles_do_not_touch_new_streams(void **state)
{
    struct line line = open_started_line();
    struct io_stream old = line.client, young;
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        io_close(line.near, old);
        io_close(line.far, line.server);
        assert_status(STATUS_OK, io_connect(line.near, line.address, CLIENT, &young));
        wait_event(line.near, IO_CONNECTED, CLIENT);
        line.server = wait_event(line.far, IO_ACCEPTED, LISTENER).stream;
        io_stream_start(line.far, line.server, SERVER);
        assert_false(old.index == young.index && old.generation == young.generation);
        io_pause_read(line.near, old, true);
        io_close(line.near, old);
        send_text(line.far, line.server, "to the young one");
        expect_text(line.near, young, CLIENT, "to the young one");
        old = young;
    }
}

static void many_streams_live_side_by_side(void **state)
{
    enum {
        STREAMS = 300
    };
    struct io_stream clients[STREAMS];
    char address[IO_ADDRESS_SIZE];
    (void)state;
    struct io_stream old = listen_somewhere(contract_io(0), address);
    io_close(contract_io(0), old); /* one of the many takes its place */
    listen_somewhere(contract_io(1), address);
    for (unsigned i = 0; i < STREAMS; i++) {
        assert_status(STATUS_OK, io_connect(contract_io(0), address, CLIENT + i, &clients[i]));
        assert_status(STATUS_OK, wait_event(contract_io(0), IO_CONNECTED, CLIENT + i).status);
        struct io_stream server = wait_event(contract_io(1), IO_ACCEPTED, LISTENER).stream;
        io_stream_start(contract_io(1), server, 1000 + i);
        send_text(contract_io(1), server, "hi");
    }
    io_pause_read(contract_io(0), old, true); /* IO-2 */
    io_close(contract_io(0), old);
    for (unsigned i = STREAMS; i-- > 0;) {
        expect_text(contract_io(0), clients[i], CLIENT + i, "hi");
        io_close(contract_io(0), clients[i]);
    }
    assert_hush(contract_io(0));
    assert_int_equal(STREAMS, counters_of(contract_io(1)).accepts);
}

static void calls_are_counted(void **state)
{
    struct line line = open_started_line();
    struct io_counters before = counters_of(line.near);
    (void)state;
    send_text(line.near, line.client, "12345");
    send_text(line.near, line.client, "678");
    struct io_counters after = counters_of(line.near);
    assert_int_equal(2, after.writes - before.writes);
    assert_int_equal(8, after.written_bytes - before.written_bytes);
    expect_text(line.far, line.server, SERVER, "12345678");
    assert_true(counters_of(line.far).reads >= 1);
    assert_int_equal(1, counters_of(line.far).accepts);
}

/* ---- from worker to worker ---- */

/* What was unread comes with it, and so does what is sent later; the old handle is void. */
static void a_given_stream_goes_on_at_its_new_worker(void **state)
{
    struct line line = open_started_line();
    uint8_t byte;
    size_t got;
    int baggage;
    (void)state;
    send_text(line.near, line.client, "before");
    wait_event(line.far, IO_READABLE, SERVER);
    assert_true(io_stream_give(line.far, line.server, 0, OTHER, &baggage));
    assert_false(io_stream_give(line.far, line.server, 0, OTHER, &baggage));
    assert_status(STATUS_CLOSED, io_read(line.far, line.server, &byte, 1, &got));
    struct io_event event = wait_event(line.near, IO_ACCEPTED, OTHER);
    assert_ptr_equal(&baggage, event.message);
    send_text(line.near, line.client, " and after");
    assert_hush(line.far);
    io_stream_start(line.near, event.stream, SERVER);
    expect_text(line.near, event.stream, SERVER, "before and after");
    send_text(line.near, event.stream, "back");
    expect_text(line.near, line.client, CLIENT, "back");
    io_close(line.near, line.client);
    wait_event(line.near, IO_READABLE, SERVER);
    assert_status(STATUS_CLOSED, io_read(line.near, event.stream, &byte, 1, &got));
}

static void messages_and_given_streams_keep_their_order(void **state)
{
    struct line line = open_line();
    int one, other;
    (void)state;
    io_post(line.far, 0, 1, &one);
    assert_true(io_stream_give(line.far, line.server, 0, 2, NULL));
    io_post(line.far, 0, 3, &other);
    assert_ptr_equal(&one, wait_event(line.near, IO_MESSAGE, 1).message);
    io_close(line.near, wait_event(line.near, IO_ACCEPTED, 2).stream);
    assert_ptr_equal(&other, wait_event(line.near, IO_MESSAGE, 3).message);
}

static void a_stream_that_was_given_to_nobody_ends(void **state)
{
    struct line line = open_line();
    (void)state;
    assert_true(io_stream_give(line.far, line.server, 0, OTHER, NULL));
    assert_true(io_stream_give(line.near, line.client, 1, OTHER, NULL));
    contract_destroy(1);
    contract_destroy(0);
}

int run_stream_tests(void)
{
    const struct CMUnitTest tests[] = {
        in_world(port_zero_takes_a_free_port),
        in_world(a_port_has_one_listener),
        in_world(addresses_that_cannot_be_read_are_invalid),
        in_world(a_refused_connection_is_an_event),
        in_world(a_connection_given_up_is_silent),
        in_world(an_accepted_stream_waits_for_its_start),
        in_world(an_accepted_stream_may_be_closed_unstarted),
        in_world(both_sides_know_both_addresses),
        in_world(a_closed_listener_refuses),
        in_world(accepting_goes_on_after_a_want_of_descriptors),
        in_world(gathered_pieces_arrive_in_order),
        in_world(as_many_pieces_as_allowed),
        in_world(nothing_to_read_is_again_and_silent),
        in_world(unread_bytes_are_reported_again),
        in_world(a_paused_stream_is_not_reported),
        in_world(a_full_stream_says_when_it_takes_more),
        in_world(a_paused_stream_still_reports_writable),
        in_world(the_end_comes_after_the_bytes),
        in_world(an_end_that_nobody_reads_is_told_once),
        in_world(writing_to_nobody_ends_closed),
        in_world(no_event_comes_after_close),
        in_world(old_handles_do_not_touch_new_streams),
        in_world(many_streams_live_side_by_side),
        in_world(calls_are_counted),
        in_world(a_given_stream_goes_on_at_its_new_worker),
        in_world(messages_and_given_streams_keep_their_order),
        in_world(a_stream_that_was_given_to_nobody_ends),
    };
    return cmocka_run_group_tests_name("streams", tests, NULL, NULL);
}
