/* Who may not come in, and what it costs us. PEER-4, bug class 45. */
#include "tests/peer/world.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Each test: nodes 1 and 2 are up, and a stranger on another host says something to node 2. */
static struct io_stream stranger_connect(struct world *world)
{
    struct io_stream stream;
    struct io *io = fake_io(world->network, STRANGER);
    assert_int_equal(io_connect(io, world_address(2), 1, &stream), STATUS_OK);
    return stream;
}

static bool stranger_is_out(struct world *world, struct io_stream stream)
{
    uint8_t bytes[4096];
    size_t got;
    struct io *io = fake_io(world->network, STRANGER);
    enum status status = STATUS_OK;
    while (status == STATUS_OK)
        status = io_read(io, stream, bytes, sizeof bytes, &got);
    return status == STATUS_CLOSED;
}

static void stranger_say(struct world *world, struct io_stream stream, struct slice bytes)
{
    size_t wrote = 0;
    enum status status = io_write(fake_io(world->network, STRANGER), stream, &bytes, 1, &wrote);
    assert_true(status == STATUS_CLOSED || wrote == bytes.size);
}

static void stranger_leave(struct world *world, struct io_stream stream)
{
    io_close(fake_io(world->network, STRANGER), stream);
}

static void members_are_unharmed(struct world *world)
{
    assert_true(world_is_up(world, 1, 2) && world_is_up(world, 2, 1));
    for (unsigned link = 0; link < 2; link++) {
        assert_int_equal(world->told[2][1].down[link], 0);
        assert_int_equal(world->told[1][2].down[link], 0);
    }
    uint64_t before = world->told[2][1].messages[0];
    assert_true(world_send(world, 1, 2, WIRE_LINK_DATA));
    world_run(world, 5);
    assert_int_equal(world->told[2][1].messages[0], before + 1);
}

static struct wire_hello good_hello(void)
{
    return (struct wire_hello){.cluster = {11, 22},
                               .from = {1},
                               .to = {2},
                               .incarnation = 5,
                               .workers = 1,
                               .link = WIRE_LINK_DATA,
                               .client_address = "x:1"};
}

#define REFUSAL_MS 60100 /* after so long the next one is told by itself */

/* Says hello; expects to be put out with `line`. */
static void refused_with(struct world *world, struct wire_hello hello, const char *line)
{
    struct buffer bytes;
    struct wire_frame frame;
    world_run(world, REFUSAL_MS); /* a line, not a count */
    unsigned lines = world->lines[2];
    struct io_stream stream = stranger_connect(world);
    buffer_init(&bytes, 1u << 20);
    wire_frame_open(&frame, &bytes);
    wire_add_hello(&frame, &hello);
    wire_frame_close(&frame);
    world_run(world, 2);
    stranger_say(world, stream, slice_of_buffer(&bytes));
    world_run(world, 10);
    assert_true(stranger_is_out(world, stream));
    assert_int_equal(world->lines[2], lines + 1);
    assert_non_null(strstr(world->line[2], line));
    assert_non_null(strstr(world->line[2], "h3:"));
    stranger_leave(world, stream);
    buffer_deinit(&bytes);
}

static void hellos_that_do_not_fit(void **state) /* PEER-4 */
{
    (void)state;
    struct world *world = world_of(2);
    struct wire_hello hello = good_hello();
    hello.cluster.low = 23;
    refused_with(world, hello, "another cluster");
    hello = good_hello();
    hello.to.value = 3;
    refused_with(world, hello, "another node");
    hello = good_hello();
    hello.from.value = 7;
    refused_with(world, hello, "not known");
    hello.from.value = 2;
    refused_with(world, hello, "not known"); /* ourselves */
    members_are_unharmed(world);
    world_destroy(world);
}

static void the_higher_id_may_not_connect(void **state)
{
    (void)state;
    struct world *world = world_of(3);
    struct wire_hello hello = good_hello();
    hello.from.value = 3;
    refused_with(world, hello, "higher id");
    assert_int_equal(world->told[2][3].down[0], 0);
    members_are_unharmed(world);
    world_destroy(world);
}

/* Says `bytes`; expects to be put out with `line` ("" : any). */
static void garbage_refused_with(struct world *world, struct slice bytes, const char *line)
{
    world_run(world, REFUSAL_MS); /* a line, not a count */
    struct io_stream stream = stranger_connect(world);
    world_run(world, 2);
    stranger_say(world, stream, bytes);
    world_run(world, 10);
    assert_true(stranger_is_out(world, stream));
    assert_non_null(strstr(world->line[2], line));
    stranger_leave(world, stream);
}

static void first_bytes_that_are_no_hello(void **state) /* PEER-4 */
{
    (void)state;
    struct world *world = world_of(2);
    uint8_t header[WIRE_FRAME_HEADER_SIZE] = {0};
    struct buffer bytes;
    struct wire_frame frame;
    garbage_refused_with(world, slice_of_text("GET / HTTP/1.1\r\n\r\n"), "this version");
    garbage_refused_with(world, slice_of_text("*1\r\n$4\r\nPING\r\n"), "");
    store_u32(header, 200u << 20); /* announces much: must not be waited for */
    header[4] = 1;
    garbage_refused_with(world, slice_of(header, sizeof header), "more than a hello");
    store_u32(header, 100);
    header[4] = 9;
    garbage_refused_with(world, slice_of(header, 5), "this version");
    buffer_init(&bytes, 1u << 20);
    wire_frame_open(&frame, &bytes);
    wire_add_idle(&frame);
    wire_frame_close(&frame);
    garbage_refused_with(world, slice_of_buffer(&bytes), "begin with a hello");
    bytes.at[bytes.size - 1] ^= 1;
    garbage_refused_with(world, slice_of_buffer(&bytes), "damaged");
    buffer_deinit(&bytes);
    members_are_unharmed(world);
    world_destroy(world);
}

static void random_first_bytes(void **state) /* PEER-4 */
{
    (void)state;
    struct random random;
    struct world *world = world_of(2);
    random_init(&random, 9);
    for (unsigned i = 0; i < 200; i++) {
        uint8_t bytes[3000];
        size_t size = 1 + random_below(&random, sizeof bytes);
        struct io_stream stream = stranger_connect(world);
        world_run(world, 2);
        for (size_t at = 0; at < size; at++)
            bytes[at] = (uint8_t)random_next(&random);
        stranger_say(world, stream, slice_of(bytes, size));
        world_run(world, 3);
        stranger_leave(world, stream);
    }
    world_run(world, 10);
    assert_int_equal(fake_open_streams(fake_io(world->network, 1)), 3);
    assert_int_equal(world->lines[2], 1); /* a flood is a line, and a count a minute later */
    world_run(world, REFUSAL_MS);
    assert_int_equal(world->lines[2], 2);
    assert_non_null(strstr(world->line[2], " more connections were refused, the last from h3:"));
    world_run(world, 2 * REFUSAL_MS);
    assert_int_equal(world->lines[2], 2);
    members_are_unharmed(world);
    world_destroy(world);
}

static void a_silent_stranger_has_two_seconds(void **state) /* PEER-4 */
{
    (void)state;
    struct world *world = world_of(2);
    struct io_stream stream = stranger_connect(world);
    world_run(world, 1900);
    stranger_say(world, stream, slice_of_text("\x88")); /* a byte does not buy more time */
    assert_false(stranger_is_out(world, stream));
    world_run(world, 150);
    assert_true(stranger_is_out(world, stream));
    assert_non_null(strstr(world->line[2], "in time"));
    stranger_leave(world, stream);
    members_are_unharmed(world);
    world_destroy(world);
}

static void strangers_do_not_crowd_out_members(void **state) /* PEER-4 */
{
    (void)state;
    struct world *world = world_of(2);
    struct io_stream streams[200];
    for (unsigned i = 0; i < 200; i++)
        streams[i] = stranger_connect(world);
    world_run(world, 3);
    assert_int_equal(fake_open_streams(fake_io(world->network, 1)), 3 + 64);
    world_start(world, 3);
    world_meet(world, 2, 3);
    world_stop(world, 1);
    world_start(world, 1);
    world_meet(world, 1, 2); /* connects into the crowd */
    world_until_up(world, 1, 2, 100);
    world_until_up(world, 2, 3, 100);
    world_run(world, 2100);
    assert_int_equal(fake_open_streams(fake_io(world->network, 1)), 1 + 4);
    for (unsigned i = 0; i < 200; i++)
        stranger_leave(world, streams[i]);
    world_destroy(world);
}

static void nobody_is_known_yet(void **state)
{
    (void)state;
    struct world *world = world_create(4);
    world_start(world, 1);
    world_start(world, 2);
    peer_add(world->sets[0], (struct node_id){2}, world_address(2));
    world_run(world, 500);
    assert_false(world_is_up(world, 1, 2));
    assert_non_null(strstr(world->line[2], "not known"));
    world_meet(world, 1, 2);
    assert_true(world_until_up(world, 1, 2, 200) <= 110);
    world_destroy(world);
}

static void of_two_clusters(void **state) /* both sides check */
{
    (void)state;
    struct world *world = world_create(4);
    struct peer_options options = world_options(world, 1);
    options.cluster.high = 99;
    world_start_as(world, 1, options);
    world_start(world, 2);
    world_meet(world, 1, 2);
    world_run(world, 1000);
    assert_false(world_is_up(world, 1, 2));
    assert_int_equal(world->told[1][2].up[0] + world->told[2][1].up[0], 0);
    assert_non_null(strstr(world->line[2], "another cluster"));
    world_destroy(world);
}

/* Two clusters that were given one another's addresses must not knock for ever at full pace: each
 * knock is a connection that node 2 accepts. */
static void who_is_refused_knocks_more_rarely(void **state)
{
    (void)state;
    struct world *world = world_create(4);
    struct peer_options options = world_options(world, 1);
    options.cluster.high = 99;
    world_start_as(world, 1, options);
    world_start(world, 2);
    peer_add(world->sets[0], (struct node_id){2}, world_address(2));
    world_run(world, 1000);
    uint64_t early = fake_accepts(fake_io(world->network, 1));
    assert_true(early >= 2 * 8); /* two links, eight times at full pace */
    world_run(world, 60000);
    uint64_t late = fake_accepts(fake_io(world->network, 1)) - early;
    assert_in_range(late, 1, 2 * 16); /* not 1200 */
    world_destroy(world);
}

/* The address of node 2 leads to node 3: node 3 refuses, since the hello names node 2. */
static void another_node_at_the_address(void **state)
{
    (void)state;
    struct world *world = world_create(4);
    world_start(world, 1);
    world_start(world, 3);
    peer_add(world->sets[0], (struct node_id){2}, world_address(3));
    peer_add(world->sets[2], (struct node_id){1}, world_address(1));
    world_run(world, 1000);
    assert_int_equal(world->told[1][2].up[0] + world->told[3][1].up[0], 0);
    assert_non_null(strstr(world->line[3], "looks for another node"));
    world_destroy(world);
}

/* ---- a listener that answers wrongly; host 3 plays it ---- */

static void answered_with(struct wire_hello hello, const char *line)
{
    char why[128];
    struct world *world = world_create(4);
    struct io *io = fake_io(world->network, STRANGER);
    struct io_stream listener;
    struct io_event events[16];
    struct buffer bytes;
    struct wire_frame frame;
    buffer_init(&bytes, 1u << 20);
    wire_frame_open(&frame, &bytes);
    wire_add_hello(&frame, &hello);
    wire_frame_close(&frame);
    assert_int_equal(io_listen(io, "h3:1", 1, &listener, why), STATUS_OK);
    world_start(world, 1);
    peer_add(world->sets[0], (struct node_id){2}, "h3:1");
    world_run(world, 2);
    size_t count = fake_gather(io, events, 16);
    assert_int_equal(count, 2); /* both links */
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(events[i].kind, IO_ACCEPTED);
        stranger_say(world, events[i].stream, slice_of_buffer(&bytes));
    }
    world_run(world, 10);
    if (line)
        assert_non_null(strstr(world->line[1], line));
    assert_int_equal(world->told[1][2].up[0], line == NULL);
    assert_int_equal(world->told[1][2].up[1], 0);
    buffer_deinit(&bytes);
    world_destroy(world);
}

static void wrong_answers(void **state) /* PEER-4 */
{
    (void)state;
    const struct wire_hello good = {.cluster = {11, 22},
                                    .from = {2},
                                    .to = {1},
                                    .workers = 1,
                                    .link = WIRE_LINK_DATA,
                                    .client_address = ""};
    struct wire_hello hello = good;
    answered_with(hello, NULL); /* right for one link, wrong for the other */
    hello.cluster.high = 1;
    answered_with(hello, "another cluster");
    hello = good;
    hello.from.value = 3;
    answered_with(hello, "it is another node");
    hello = good;
    hello.to.value = 3;
    answered_with(hello, "looks for another node");
}

/* ---- a member that goes mad: node 1 is up, and what it sends is written by hand ---- */

static void member_says(const void *bytes, size_t size, const char *line)
{
    struct world *world = world_of(2);
    struct io_stream stream;
    struct io *io = fake_io(world->network, STRANGER);
    struct wire_hello hello = good_hello();
    struct buffer all;
    struct wire_frame frame;
    buffer_init(&all, 1u << 24);
    wire_frame_open(&frame, &all);
    wire_add_hello(&frame, &hello);
    wire_frame_close(&frame);
    assert_int_equal(buffer_append(&all, bytes, size), STATUS_OK);
    assert_int_equal(io_connect(io, world_address(2), 1, &stream), STATUS_OK);
    world_run(world, 2);
    stranger_say(world, stream, slice_of_buffer(&all));
    world_run(world, 1); /* it takes node 1's place, says its piece, and is put out */
    for (unsigned i = 0; i < 20 && !stranger_is_out(world, stream); i++)
        world_run(world, 1);
    assert_true(stranger_is_out(world, stream));
    assert_non_null(strstr(world->line[2], line));
    assert_int_equal(world->told[2][1].down[1], 0); /* the other link does not care */
    stranger_leave(world, stream);
    world_until_up(world, 1, 2, 300);
    buffer_deinit(&all);
    world_destroy(world);
}

static void members_that_go_mad(void **state) /* PEER-4 */
{
    (void)state;
    struct buffer bytes;
    struct wire_frame frame;
    struct wire_hello hello = good_hello();
    uint8_t header[WIRE_FRAME_HEADER_SIZE] = {0};
    buffer_init(&bytes, 1u << 20);
    wire_frame_open(&frame, &bytes);
    wire_add_hello(&frame, &hello);
    wire_frame_close(&frame);
    member_says(bytes.at, bytes.size, "hello twice");
    bytes.at[bytes.size - 1] ^= 1;
    member_says(bytes.at, bytes.size, "damaged");
    store_u32(header, WIRE_FRAME_SIZE_MAX + 1);
    header[4] = 1;
    member_says(header, sizeof header, "malformed");
    store_u32(header, 1000);
    header[4] = 2;
    member_says(header, sizeof header, "this version");
    buffer_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellos_that_do_not_fit),
        cmocka_unit_test(the_higher_id_may_not_connect),
        cmocka_unit_test(first_bytes_that_are_no_hello),
        cmocka_unit_test(random_first_bytes),
        cmocka_unit_test(a_silent_stranger_has_two_seconds),
        cmocka_unit_test(strangers_do_not_crowd_out_members),
        cmocka_unit_test(nobody_is_known_yet),
        cmocka_unit_test(of_two_clusters),
        cmocka_unit_test(who_is_refused_knocks_more_rarely),
        cmocka_unit_test(another_node_at_the_address),
        cmocka_unit_test(wrong_answers),
        cmocka_unit_test(members_that_go_mad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
