/* Links between members: up, order, loss, silence, replacement, room. PEER-1, PEER-2, PEER-3. */
#include "base/random.h"
#include "tests/peer/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void three_nodes_come_up(void **state)
{
    (void)state;
    struct world *world = world_of(3);
    for (unsigned a = 1; a <= 3; a++)
        for (unsigned b = 1; b <= 3; b++)
            for (unsigned link = 0; link < 2; link++) {
                assert_int_equal(world->told[a][b].up[link], a != b);
                assert_int_equal(world->told[a][b].down[link], 0);
                assert_int_equal(world->told[a][b].other_incarnation[link], 0);
            }
    assert_string_equal(peer_client_address(world->sets[0], (struct node_id){3}), "c3:6379");
    assert_string_equal(peer_client_address(world->sets[2], (struct node_id){1}), "c1:6379");
    assert_string_equal(peer_client_address(world->sets[2], (struct node_id){9}), "");
    assert_null(peer_frame(world->sets[0], peer_at((struct node_id){9}, 0), WIRE_LINK_DATA));
    world_destroy(world);
}

static void everybody_sends(struct world *world, enum wire_link link)
{
    for (unsigned a = 1; a <= 3; a++)
        for (unsigned b = 1; b <= 3; b++)
            if (a != b)
                assert_true(world_send(world, a, b, link));
}

static void messages_keep_their_order(void **state) /* PEER-1 */
{
    (void)state;
    struct world *world = world_of(3);
    for (unsigned turn = 0; turn < 300; turn++) {
        for (unsigned i = 0; i < turn % 40; i++)
            everybody_sends(world, WIRE_LINK_DATA + (i & 1));
        world_turn(world);
    }
    world_run(world, 50);
    for (unsigned a = 1; a <= 3; a++)
        for (unsigned b = 1; b <= 3; b++)
            for (unsigned link = 0; link < 2; link++) /* links that stay up lose nothing */
                assert_int_equal(world->told[b][a].messages[link], world->sent[a][b][link]);
    assert_true(world->largest_batch > 10);
    world_destroy(world);
}

static void one_turn_is_one_write(void **state)
{
    (void)state;
    struct world *world = world_of(2);
    struct io *io = fake_io(world->network, 0);
    world_run(world, 3);
    uint64_t before = fake_write_calls(io), timers = fake_timer_sets(io);
    for (unsigned turn = 0; turn < 50; turn++) {
        for (unsigned i = 0; i < 20; i++)
            assert_true(world_send(world, 1, 2, WIRE_LINK_DATA));
        world_turn(world);
    }
    assert_int_equal(fake_write_calls(io) - before, 50);
    assert_true(fake_timer_sets(io) - timers <= 1); /* traffic does not touch the timer */
    world_destroy(world);
}

static void idle_links_stay_up(void **state) /* PEER-3 */
{
    (void)state;
    struct world *world = world_of(3);
    world_run(world, 10000);
    for (unsigned a = 1; a <= 3; a++)
        for (unsigned b = 1; b <= 3; b++)
            for (unsigned link = 0; link < 2; link++) {
                assert_int_equal(world->told[a][b].down[link], 0);
                assert_int_equal(world->told[a][b].messages[link], 0);
            }
    world_destroy(world);
}

static void a_kill_is_seen_at_once(void **state)
{
    (void)state;
    struct world *world = world_of(2);
    world_run(world, 150); /* the last attempt is longer ago than retry_ns */
    world_stop(world, 2);
    world_run(world, 4);
    for (unsigned link = 0; link < 2; link++) {
        assert_int_equal(world->told[1][2].down[link], 1);
        assert_true(world->told[1][2].refused[link] >= 1);
    }
    unsigned before = world->told[1][2].refused[0];
    world_run(world, 1000); /* a refusal each retry_ns, not more */
    assert_in_range(world->told[1][2].refused[0] - before, 8, 20);
    assert_int_equal(world->told[1][2].down[0], 1);
    assert_int_equal(peer_room(world->sets[0], peer_at((struct node_id){2}, 0), WIRE_LINK_DATA), 0);
    assert_null(peer_frame(world->sets[0], peer_at((struct node_id){2}, 0), WIRE_LINK_DATA));

    world_start(world, 2);
    world_meet(world, 1, 2);
    assert_true(world_until_up(world, 1, 2, 200) <= 105); /* PEER-3: retry_ns */
    for (unsigned link = 0; link < 2; link++) {
        assert_int_equal(world->told[1][2].up[link], 2);
        assert_int_equal(world->told[1][2].other_incarnation[link], 1);
        assert_int_equal(world->told[2][1].other_incarnation[link], 0);
    }
    world_destroy(world);
}

static void the_acceptor_sees_a_kill_too(void **state)
{
    (void)state;
    struct world *world = world_of(2);
    world_stop(world, 1);
    world_run(world, 2);
    assert_int_equal(world->told[2][1].down[0], 1);
    assert_int_equal(world->told[2][1].down[1], 1);
    world_start(world, 1);
    world_meet(world, 1, 2);
    world_until_up(world, 1, 2, 50);
    assert_int_equal(world->told[2][1].other_incarnation[0], 1);
    world_destroy(world);
}

static void a_cut_is_noticed_and_healed(void **state) /* PEER-3, bug class 14 */
{
    (void)state;
    struct world *world = world_of(3);
    world_cut(world, 1, 2, true);
    world_run(world, 1000);
    assert_int_equal(world->told[1][2].down[0], 0);
    world_run(world, 500);
    for (unsigned link = 0; link < 2; link++) {
        assert_int_equal(world->told[1][2].down[link], 1);
        assert_int_equal(world->told[2][1].down[link], 1);
        assert_int_equal(world->told[1][3].down[link], 0);
    }
    assert_int_equal(world->told[1][2].refused[0], 0); /* no answer is not a refusal */
    assert_non_null(strstr(world->line[1], "node 2"));
    assert_non_null(strstr(world->line[1], "silent"));
    world_run(world, 5000);
    assert_int_equal(world->told[1][2].down[0], 1);
    world_cut(world, 1, 2, false);
    assert_true(world_until_up(world, 1, 2, 700) <= 610); /* PEER-3 */
    world_destroy(world);
}

static void a_short_cut_loses_nothing(void **state) /* PEER-1 */
{
    (void)state;
    struct world *world = world_of(2);
    world_cut(world, 1, 2, true);
    for (unsigned i = 0; i < 500; i++)
        assert_true(world_send(world, 1, 2, WIRE_LINK_DATA));
    world_run(world, 900);
    world_cut(world, 1, 2, false);
    world_run(world, 300);
    assert_int_equal(world->told[2][1].messages[0], 500);
    assert_int_equal(world->told[2][1].down[0], 0);
    world_destroy(world);
}

static void one_direction_cut(void **state) /* PEER-3: half-open on one side only */
{
    (void)state;
    struct world *world = world_of(2);
    fake_cut(world->network, 1, 0, true); /* node 1 hears nothing of node 2 */
    world_run(world, 1500);
    assert_int_equal(world->told[1][2].down[0], 1);
    assert_int_equal(world->told[2][1].down[0], 1); /* the end could still be said that way */
    fake_cut(world->network, 1, 0, false);
    world_until_up(world, 1, 2, 700);
    world_destroy(world);
}

/* Node 1 restarts behind a cut: node 2 still has the older connections when the newer ones come. */
static void a_newer_connection_replaces_the_older(void **state)
{
    (void)state;
    struct world *world = world_of(2);
    world_cut(world, 1, 2, true);
    world_stop(world, 1); /* its end is never heard of */
    world_start(world, 1);
    world_meet(world, 1, 2);
    world_run(world, 300);
    assert_int_equal(world->told[2][1].down[0], 0);
    world_cut(world, 1, 2, false);
    world_until_up(world, 1, 2, 700);
    world_run(world, 20);
    for (unsigned link = 0; link < 2; link++) {
        assert_int_equal(world->told[2][1].down[link], 1);
        assert_int_equal(world->told[2][1].up[link], 2);
        assert_int_equal(world->told[2][1].other_incarnation[link], 1);
    }
    assert_true(world_send(world, 1, 2, WIRE_LINK_DATA));
    world_run(world, 5);
    assert_int_equal(world->told[2][1].messages[0], 1);
    assert_int_equal(fake_open_streams(fake_io(world->network, 1)), 3); /* listener and two */
    world_destroy(world);
}

static void large_frames_arrive_in_pieces(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        5u << 20, 1,      100,        70000, (256u << 10) - 1, 3000000, 256u << 10, (1u << 20) + 17,
        5000,     262000, (2u << 20), 1};
    struct world *world = world_of(2);
    uint64_t total = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_true(world_send_bytes(world, 2, 1, sizes[i]));
        assert_true(world_send(world, 2, 1, WIRE_LINK_DATA));
        assert_true(world_send_bytes(world, 1, 2, sizes[i]));
        total += sizes[i];
        if (i % 3 == 0)
            world_turn(world);
    }
    for (unsigned ms = 0; ms < 2000 && world->told[1][2].bytes[0] < total; ms++)
        world_turn(world);
    world_run(world, 300);
    assert_int_equal(world->told[1][2].bytes[0], total);
    assert_int_equal(world->told[2][1].bytes[0], total);
    assert_int_equal(world->told[1][2].next[0], sizeof sizes / sizeof sizes[0]);
    assert_int_equal(world->told[1][2].down[0] + world->told[2][1].down[0], 0);
    world_destroy(world);
}

static void room_is_bounded(void **state) /* PEER-2 */
{
    (void)state;
    struct world *world = world_create(1);
    const struct node_id two = {2};
    world->buffered_max = 1u << 20;
    world_start(world, 1);
    world_start(world, 2);
    world_meet(world, 1, 2);
    world_until_up(world, 1, 2, 100);
    world_run(world, 2);
    assert_int_equal(peer_room(world->sets[0], peer_at(two, 0), WIRE_LINK_DATA), 1u << 20);
    world_cut(world, 1, 2, true);
    for (unsigned i = 0; i < 11; i++) { /* only the last passes the limit */
        assert_in_range(peer_room(world->sets[0], peer_at(two, 0), WIRE_LINK_DATA), 1, 1u << 20);
        assert_true(world_send_bytes(world, 1, 2, 100000));
    }
    assert_int_equal(peer_room(world->sets[0], peer_at(two, 0), WIRE_LINK_DATA), 0);
    assert_int_equal(peer_room(world->sets[0], peer_at(two, 0), WIRE_LINK_CONTROL), 1u << 20);
    world_run(world, 100);
    assert_in_range(peer_room(world->sets[0], peer_at(two, 0), WIRE_LINK_DATA), 1, 64u << 10);
    world_cut(world, 1, 2, false);
    world_run(world, 100);
    assert_int_equal(peer_room(world->sets[0], peer_at(two, 0), WIRE_LINK_DATA), 1u << 20);
    assert_int_equal(world->told[2][1].bytes[0], 1100000);
    world_destroy(world);
}

static void who_does_not_ask_for_room_loses_the_link(void **state) /* PEER-1, PEER-2 */
{
    (void)state;
    struct world *world = world_create(1);
    unsigned taken = 0;
    world->buffered_max = 1u << 20;
    world_start(world, 1);
    world_start(world, 2);
    world_meet(world, 1, 2);
    world_until_up(world, 1, 2, 100);
    world_run(world, 2);
    world_cut(world, 1, 2, true);
    while (world_send_bytes(world, 1, 2, 1u << 20))
        taken++;
    assert_int_equal(taken, 17);
    assert_false(peer_is_up(world->sets[0], peer_at((struct node_id){2}, 0), WIRE_LINK_DATA));
    world_run(world, 5);
    assert_int_equal(world->told[1][2].down[0], 1);
    assert_int_equal(world->told[1][2].down[1], 0);
    assert_non_null(strstr(world->line[1], "data link to node 2 closed: more than "));
    world_destroy(world);
}

static void a_blocked_link_is_not_written_to(void **state)
{
    (void)state;
    struct world *world = world_of(2);
    world_cut(world, 1, 2, true);
    assert_true(world_send_bytes(world, 1, 2, 200000)); /* more than the kernel takes */
    world_run(world, 5);
    uint64_t before = fake_write_calls(fake_io(world->network, 0));
    for (unsigned i = 0; i < 50; i++) {
        assert_true(world_send(world, 1, 2, WIRE_LINK_DATA));
        world_turn(world);
    }
    assert_int_equal(fake_write_calls(fake_io(world->network, 0)), before);
    world_cut(world, 1, 2, false);
    world_run(world, 50);
    assert_int_equal(world->told[2][1].messages[0], 51);
    world_destroy(world);
}

static void one_busy_link_does_not_starve_another(void **state)
{
    (void)state;
    struct world *world = world_of(3);
    for (unsigned i = 0; i < 40; i++)
        assert_true(world_send_bytes(world, 1, 3, 250000));
    for (unsigned turn = 0; turn < 20; turn++) {
        assert_true(world_send(world, 2, 3, WIRE_LINK_DATA));
        world_run(world, 1);
    }
    world_run(world, 10);
    assert_int_equal(world->told[3][2].messages[0], 20);
    world_run(world, 500);
    assert_int_equal(world->told[3][1].bytes[0], 40u * 250000);
    world_destroy(world);
}

static void removed_and_moved(void **state)
{
    (void)state;
    struct world *world = world_of(3);
    peer_remove(world->sets[0], (struct node_id){2});
    world_run(world, 50);
    assert_false(world_is_up(world, 2, 1));
    assert_int_equal(world->told[1][2].down[0], 0); /* nothing of it comes afterwards */
    assert_true(world_is_up(world, 1, 3));
    assert_int_equal(world->told[2][1].down[0], 1);
    memset(&world->told[1][2], 0, sizeof(struct told));
    peer_add(world->sets[0], (struct node_id){2}, "h1:9"); /* nobody listens there */
    world_run(world, 50);
    assert_int_equal(world->told[1][2].refused[0], 1);
    peer_add(world->sets[0], (struct node_id){2}, world_address(2));
    world_until_up(world, 1, 2, 100);
    peer_add(world->sets[0], (struct node_id){1}, world_address(1)); /* itself */
    peer_add(world->sets[0], (struct node_id){2}, "not an address");
    world_run(world, 300);
    assert_non_null(strstr(world->line[1], "cannot connect to not an address"));
    assert_int_equal(world->told[1][2].down[0], 1);
    world_destroy(world);
}

/* A frame may be open while the deadlines or the other side take the link down. */
static void a_link_lost_with_an_open_frame(void **state)
{
    (void)state;
    struct world *world = world_of(2);
    struct io_event events[16];
    struct peer_happening happening;
    world_send(world, 1, 2, WIRE_LINK_DATA);
    world_stop(world, 2);
    fake_step(world->network, MS);
    size_t count = fake_gather(fake_io(world->network, 0), events, 16);
    for (size_t i = 0; i < count; i++) {
        assert_true(peer_handle_event(world->sets[0], &events[i]));
        world_send(world, 1, 2, WIRE_LINK_DATA);
        world_send(world, 1, 2, WIRE_LINK_CONTROL);
    }
    peer_flush(world->sets[0]); /* meets the end first */
    assert_false(peer_is_up(world->sets[0], peer_at((struct node_id){2}, 0), WIRE_LINK_DATA));
    peer_validate(world->sets[0]);
    for (count = 0; peer_next(world->sets[0], &happening); count++)
        assert_int_equal(happening.kind, PEER_DOWN);
    assert_int_equal(count, 2);
    world_destroy(world);
}

/* We slept: the timer is told of before the bytes that arrived meanwhile. They count. */
static void silence_is_judged_after_reading(void **state) /* PEER-3 */
{
    (void)state;
    struct world *world = world_of(2);
    struct io_event events[16];
    struct peer_happening happening;
    world_run(world, 10);
    world_send(world, 2, 1, WIRE_LINK_DATA);
    world_send(world, 2, 1, WIRE_LINK_CONTROL);
    peer_flush(world->sets[1]);
    for (unsigned i = 0; i < 3; i++)
        fake_step(world->network, 1000 * MS);
    size_t count = fake_gather(fake_io(world->network, 0), events, 16), messages = 0;
    assert_int_equal(events[0].kind, IO_TIMER);
    assert_int_equal(count, 3);
    assert_true(peer_handle_event(world->sets[0], &events[0]));
    for (; peer_next(world->sets[0], &happening); messages++)
        assert_int_equal(happening.kind, PEER_MESSAGE);
    assert_int_equal(messages, 2);
    assert_true(peer_is_up(world->sets[0], peer_at((struct node_id){2}, 0), WIRE_LINK_DATA));
    world_destroy(world);
}

/* Events that were gathered before a stream was closed may come after its slot has a new tenant. */
static void late_events_are_passed_over(void **state)
{
    (void)state;
    struct world *world = world_of(2);
    struct io_event event = {.kind = IO_CONNECTED, .status = STATUS_CLOSED};
    world_run(world, 10);
    for (uint64_t slot = 1; slot < 256; slot++)
        for (uint64_t generation = 1; generation < 256; generation += 50)
            for (event.kind = IO_READABLE; event.kind <= IO_CLOSED; event.kind++) {
                event.tag = WORLD_TAG + slot + generation * 256;
                if (event.kind != IO_ACCEPTED)
                    assert_true(peer_handle_event(world->sets[0], &event));
            }
    event.kind = IO_READABLE;
    event.tag = WORLD_TAG + 65536;
    assert_false(peer_handle_event(world->sets[0], &event)); /* not ours */
    event.tag = WORLD_TAG - 1;
    assert_false(peer_handle_event(world->sets[0], &event));
    event = (struct io_event){.kind = IO_TIMER, .tag = WORLD_TIMER + 1};
    assert_false(peer_handle_event(world->sets[0], &event));
    event = (struct io_event){.kind = IO_SYNCED, .tag = WORLD_TAG + 1};
    assert_false(peer_handle_event(world->sets[0], &event));
    world_run(world, 10);
    assert_int_equal(world->told[1][2].down[0] + world->told[1][2].down[1], 0);
    world_destroy(world);
}

static void restart(struct world *world, unsigned node)
{
    world_stop(world, node);
    memset(world->sent[node], 0, sizeof world->sent[node]);
    for (unsigned other = 1; other <= 3; other++)
        memset(world->told[other][node].next, 0, sizeof world->told[other][node].next);
    world_start(world, node);
    for (unsigned other = 1; other <= 3; other++)
        if (other != node)
            world_meet(world, node, other);
}

static void something_happens(struct world *world, struct random *random)
{
    unsigned a = 1 + (unsigned)random_below(random, 3);
    unsigned b = 1 + (a + (unsigned)random_below(random, 2)) % 3;
    switch (random_below(random, 5)) {
    case 0: fake_cut(world->network, a - 1, b - 1, true); break;
    case 1: world_cut(world, a, b, false); break;
    case 2: restart(world, a); break;
    case 3: world_send_bytes(world, a, b, 1 + random_below(random, 700000)); break;
    default:
        for (unsigned i = 0; i < 30; i++)
            world_send(world, a, b, WIRE_LINK_DATA + (i & 1));
    }
}

/* Cuts, kills and traffic in random order: order and pairing are asserted at each happening; in the
 * end everything is up again. */
static void swarm(void **state) /* PEER-1, PEER-3 */
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct random random;
        struct world *world = world_of(3);
        random_init(&random, seed);
        for (unsigned step = 0; step < 60; step++) {
            something_happens(world, &random);
            world_run(world, random_below(&random, 300));
        }
        for (unsigned a = 1; a <= 3; a++)
            world_cut(world, a, a % 3 + 1, false);
        world_run(world, 1300); /* what is half-open is noticed */
        for (unsigned a = 1; a <= 3; a++)
            world_until_up(world, a, a % 3 + 1, 700);
        world_destroy(world);
    }
}

/* Before a node knows its cluster it listens already: who connects then is not turned away, which
 * would make him pause (PEER-3), but waits until there is a set. */
static void who_connects_before_there_is_a_set_waits(void **state)
{
    (void)state;
    struct world *world = world_create(7);
    struct io *io = fake_io(world->network, 1);
    struct peer_options options = world_options(world, 2);
    struct peer_listener *listener = NULL;
    struct io_event events[IO_EVENTS_MAX];
    size_t accepted = 0;
    char why[128];
    world_start(world, 1);
    assert_int_equal(STATUS_OK, peer_listen(io, options.tag, world_address(2), &listener, why));
    world_meet(world, 1, 2);
    for (unsigned ms = 0; ms < 300; ms++) {
        world_turn(world);
        size_t count = fake_gather(io, events, IO_EVENTS_MAX);
        for (size_t i = 0; i < count; i++)
            accepted += peer_listener_handle_event(listener, &events[i]);
    }
    assert_int_equal(2, accepted);
    assert_int_equal(0, world->told[1][2].refused[0]);
    world->sets[1] = peer_create(io, &options);
    peer_adopt(world->sets[1], listener);
    world_meet(world, 1, 2);
    assert_in_range(world_until_up(world, 1, 2, 200), 0, 20); /* the same connections */
    world_destroy(world);
}

/* Strangers cost a descriptor each, and no more than so many. */
static void those_who_wait_are_bounded(void **state)
{
    (void)state;
    struct world *world = world_create(8);
    struct io *io = fake_io(world->network, 1), *other = fake_io(world->network, STRANGER);
    struct peer_listener *listener = NULL;
    struct io_event events[IO_EVENTS_MAX];
    struct io_stream stream;
    char why[128];
    assert_int_equal(STATUS_OK, peer_listen(io, WORLD_TAG, world_address(2), &listener, why));
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(STATUS_OK, io_connect(other, world_address(2), i, &stream));
        fake_step(world->network, MS);
        size_t count = fake_gather(io, events, IO_EVENTS_MAX);
        for (size_t k = 0; k < count; k++)
            assert_true(peer_listener_handle_event(listener, &events[k]));
        (void)fake_gather(other, events, IO_EVENTS_MAX);
    }
    assert_in_range(fake_open_streams(io), 2, 65); /* PEER-4 */
    peer_listener_destroy(listener);
    assert_int_equal(0, fake_open_streams(io));
    fake_kill(world->network, STRANGER);
    world_destroy(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_nodes_come_up),
        cmocka_unit_test(messages_keep_their_order),
        cmocka_unit_test(one_turn_is_one_write),
        cmocka_unit_test(idle_links_stay_up),
        cmocka_unit_test(a_kill_is_seen_at_once),
        cmocka_unit_test(the_acceptor_sees_a_kill_too),
        cmocka_unit_test(a_cut_is_noticed_and_healed),
        cmocka_unit_test(a_short_cut_loses_nothing),
        cmocka_unit_test(one_direction_cut),
        cmocka_unit_test(a_newer_connection_replaces_the_older),
        cmocka_unit_test(large_frames_arrive_in_pieces),
        cmocka_unit_test(room_is_bounded),
        cmocka_unit_test(who_does_not_ask_for_room_loses_the_link),
        cmocka_unit_test(a_blocked_link_is_not_written_to),
        cmocka_unit_test(one_busy_link_does_not_starve_another),
        cmocka_unit_test(removed_and_moved),
        cmocka_unit_test(a_link_lost_with_an_open_frame),
        cmocka_unit_test(silence_is_judged_after_reading),
        cmocka_unit_test(late_events_are_passed_over),
        cmocka_unit_test(who_connects_before_there_is_a_set_waits),
        cmocka_unit_test(those_who_wait_are_bounded),
        cmocka_unit_test(swarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
