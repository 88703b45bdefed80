#include "tests/peer/world.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

const char *world_address(unsigned node)
{
    static const char *const addresses[] = {"h0:1", "h1:1", "h2:1"};
    return addresses[node - 1];
}

struct world *world_create(uint64_t seed)
{
    struct world *world = memory_zeroed(1, sizeof *world);
    world->network = fake_create(seed);
    return world;
}

void world_destroy(struct world *world)
{
    for (unsigned node = 1; node <= WORLD_NODES; node++)
        peer_destroy(world->sets[node - 1]);
    for (unsigned host = 0; host < WORLD_NODES; host++)
        assert_int_equal(fake_open_streams(fake_io(world->network, host)), 0);
    fake_destroy(world->network);
    memory_free(world);
}

struct peer_options world_options(const struct world *world, unsigned node)
{
    static const char *const clients[] = {"c1:6379", "c2:6379", "c3:6379"};
    return (struct peer_options){
        .cluster = {11, 22},
        .self = {node},
        .incarnation = world->incarnations[node - 1],
        .client_address = clients[node - 1],
        .tag = WORLD_TAG,
        .timer = WORLD_TIMER,
        .buffered_max = world->buffered_max,
    };
}

void world_start_as(struct world *world, unsigned node, struct peer_options options)
{
    char why[128];
    struct peer_listener *listener = NULL;
    struct io *io = fake_io(world->network, node - 1);
    assert_null(world->sets[node - 1]);
    world->sets[node - 1] = peer_create(io, &options);
    assert_int_equal(peer_listen(io, options.tag, world_address(node), &listener, why), STATUS_OK);
    peer_adopt(world->sets[node - 1], listener);
}

void world_start(struct world *world, unsigned node)
{
    world->incarnations[node - 1] += 100;
    world_start_as(world, node, world_options(world, node));
}

void world_stop(struct world *world, unsigned node)
{
    fake_kill(world->network, node - 1);
    peer_destroy(world->sets[node - 1]);
    world->sets[node - 1] = NULL;
    for (unsigned other = 1; other <= WORLD_NODES; other++)
        memset(&world->told[node][other], 0, sizeof(struct told));
}

void world_meet(struct world *world, unsigned a, unsigned b)
{
    if (world->sets[a - 1])
        peer_add(world->sets[a - 1], (struct node_id){b}, world_address(b));
    if (world->sets[b - 1])
        peer_add(world->sets[b - 1], (struct node_id){a}, world_address(a));
}

struct world *world_of(unsigned count)
{
    struct world *world = world_create(count);
    for (unsigned node = 1; node <= count; node++)
        world_start(world, node);
    for (unsigned a = 1; a <= count; a++)
        for (unsigned b = a + 1; b <= count; b++)
            world_meet(world, a, b);
    for (unsigned a = 1; a <= count; a++)
        for (unsigned b = a + 1; b <= count; b++)
            world_until_up(world, a, b, 200);
    return world;
}

/* ---- turns ---- */

static void tell_message(struct told *told, unsigned link, const struct wire_message *message)
{
    told->messages[link]++;
    if (message->kind == WIRE_FORWARD_CLOSE) { /* PEER-1: in order, none twice */
        assert_true(message->forward_close.session >= told->next[link]);
        told->next[link] = message->forward_close.session + 1;
    } else {
        struct slice reply = message->forward_reply.reply;
        assert_int_equal(message->kind, WIRE_FORWARD_REPLY);
        for (size_t i = 0; i < reply.size; i += 997)
            assert_int_equal(reply.at[i], (uint8_t)(i * 7));
        told->bytes[link] += reply.size;
    }
}

static void tell(struct world *world, unsigned at, const struct peer_happening *happening)
{
    struct told *told = &world->told[at][happening->node.value];
    unsigned link = happening->link - WIRE_LINK_DATA;
    switch (happening->kind) {
    case PEER_LINE:
        world->lines[at]++;
        snprintf(world->line[at], PEER_LINE_SIZE, "%s", happening->line);
        return;
    case PEER_UP:
        assert_int_equal(told->up[link], told->down[link]); /* PEER-1 */
        told->up[link]++;
        told->other_incarnation[link] += happening->other_incarnation;
        return;
    case PEER_DOWN:
        assert_int_equal(told->up[link], told->down[link] + 1); /* PEER-1: once for each loss */
        told->down[link]++;
        return;
    case PEER_REFUSED: told->refused[link]++; return;
    case PEER_HEARD:
        assert_int_equal(told->up[link], told->down[link] + 1);
        told->heard[link]++;
        return;
    case PEER_MESSAGE:
        assert_int_equal(told->up[link], told->down[link] + 1);
        tell_message(told, link, &happening->message);
        return;
    }
    fail();
}

static void node_turn(struct world *world, unsigned node)
{
    struct io_event events[256];
    struct peer_happening happening;
    size_t messages = 0;
    struct peer_set *set = world->sets[node - 1];
    size_t count = fake_gather(fake_io(world->network, node - 1), events, 256);
    for (size_t i = 0; i < count; i++)
        assert_true(peer_handle_event(set, &events[i]));
    while (peer_next(set, &happening)) {
        messages += happening.kind == PEER_MESSAGE;
        tell(world, node, &happening);
        peer_validate(set);
    }
    if (messages > world->largest_batch)
        world->largest_batch = messages;
    peer_flush(set);
    peer_validate(set);
}

void world_turn(struct world *world)
{
    fake_step(world->network, MS);
    for (unsigned node = 1; node <= WORLD_NODES; node++)
        if (world->sets[node - 1])
            node_turn(world, node);
}

void world_run(struct world *world, uint64_t ms)
{
    for (; ms > 0; ms--)
        world_turn(world);
}

void world_cut(struct world *world, unsigned a, unsigned b, bool cut)
{
    fake_cut(world->network, a - 1, b - 1, cut);
    fake_cut(world->network, b - 1, a - 1, cut);
}

bool world_is_up(const struct world *world, unsigned at, unsigned of)
{
    return peer_is_up(world->sets[at - 1], peer_at((struct node_id){of}, 0), WIRE_LINK_DATA) &&
           peer_is_up(world->sets[at - 1], peer_at((struct node_id){of}, 0), WIRE_LINK_CONTROL);
}

uint64_t world_until_up(struct world *world, unsigned a, unsigned b, uint64_t limit_ms)
{
    for (uint64_t ms = 0; ms < limit_ms; ms++) {
        if (world_is_up(world, a, b) && world_is_up(world, b, a))
            return ms;
        world_turn(world);
    }
    fail_msg("%u and %u are not up after %llu ms", a, b, (unsigned long long)limit_ms);
    return limit_ms;
}

/* ---- sending ---- */

bool world_send(struct world *world, unsigned from, unsigned to, enum wire_link link)
{
    struct wire_frame *frame =
        peer_frame(world->sets[from - 1], peer_at((struct node_id){to}, 0), link);
    if (!frame)
        return false;
    wire_add_forward_close(frame, world->sent[from][to][link - WIRE_LINK_DATA]++);
    return true;
}

bool world_send_bytes(struct world *world, unsigned from, unsigned to, size_t size)
{
    struct wire_frame *frame =
        peer_frame(world->sets[from - 1], peer_at((struct node_id){to}, 0), WIRE_LINK_DATA);
    if (!frame)
        return false;
    uint8_t *bytes = memory_allocate(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7);
    struct wire_forward_reply reply = {
        .sequence = 1, .outcome = WIRE_OUTCOME_DONE, .reply = slice_of(bytes, size)};
    wire_add_forward_reply(frame, &reply);
    memory_free(bytes);
    return true;
}
