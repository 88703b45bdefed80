/* flow.c - the bytes, ends and resets that travel from one end of a connection to the other. */
#include "sim/parts.h"

#include "base/memory.h"

#include <assert.h>

#define SEGMENT_BYTES_MAX  65536
#define SEGMENT_GAP_MAX_NS 20000
#define RETRY_FIRST_NS     (200 * WORLD_MS)
#define RETRY_MAX_NS       (120 * WORLD_SECOND)

static struct end *end_of(struct flow *flow)
{
    return list_item(flow, struct end, out);
}

static struct world *world_of(const struct end *end)
{
    return end->connection->world;
}

void flow_init(struct flow *flow)
{
    memset(flow, 0, sizeof *flow);
    flow->arrive.kind = HAPPENING_ARRIVE;
    flow->credit.kind = HAPPENING_CREDIT;
    flow->give_up.kind = HAPPENING_GIVE_UP;
}

void flow_deinit(struct flow *flow, struct world *world)
{
    agenda_drop(&world->agenda, &flow->arrive);
    agenda_drop(&world->agenda, &flow->credit);
    agenda_drop(&world->agenda, &flow->give_up);
    memory_free(flow->ring);
    memory_free(flow->segments);
}

/* ---- the ring ---- */

size_t flow_room(const struct flow *flow)
{
    return WORLD_WINDOW_BYTES - flow->size;
}

static void ring_grow(struct flow *flow, size_t more)
{
    size_t capacity = flow->capacity == 0 ? 512 : flow->capacity;
    while (capacity < flow->size + more)
        capacity *= 2;
    if (capacity == flow->capacity)
        return;
    uint8_t *ring = memory_allocate(capacity);
    size_t first =
        flow->capacity - flow->head < flow->size ? flow->capacity - flow->head : flow->size;
    if (flow->size > 0) {
        memcpy(ring, flow->ring + flow->head, first);
        memcpy(ring + first, flow->ring, flow->size - first);
    }
    memory_free(flow->ring);
    flow->ring = ring;
    flow->capacity = capacity;
    flow->head = 0;
}

static void ring_put(struct flow *flow, const uint8_t *bytes, size_t size)
{
    size_t at = (flow->head + flow->size) & (flow->capacity - 1);
    size_t first = flow->capacity - at < size ? flow->capacity - at : size;
    memcpy(flow->ring + at, bytes, first);
    memcpy(flow->ring, bytes + first, size - first);
    flow->size += size;
}

/* An idle connection keeps no memory. */
static void ring_drop(struct flow *flow, size_t size)
{
    flow->head = (flow->head + size) & (flow->capacity - 1);
    flow->size -= size;
    if (flow->size == 0) {
        memory_free(flow->ring);
        flow->ring = NULL;
        flow->capacity = flow->head = 0;
    }
}

/* ---- segments ---- */

static void arrange_arrival(struct end *from)
{
    struct flow *flow = &from->out;
    struct world *world = world_of(from);
    if (flow->held || flow->segment_count == 0 || happening_is_due(&flow->arrive))
        return;
    uint64_t at_ns = flow->segments[flow->segment_head].at_ns;
    agenda_put(&world->agenda, &flow->arrive, at_ns > world->now_ns ? at_ns : world->now_ns);
}

static void add_segment(struct flow *flow, enum segment_kind kind, size_t size, uint64_t at_ns)
{
    if (flow->segment_count == flow->segment_capacity) {
        size_t capacity = flow->segment_capacity == 0 ? 4 : flow->segment_capacity * 2;
        struct segment *segments = memory_allocate(capacity * sizeof *segments);
        for (size_t i = 0; i < flow->segment_count; i++)
            segments[i] = flow->segments[(flow->segment_head + i) & (flow->segment_capacity - 1)];
        memory_free(flow->segments);
        flow->segments = segments;
        flow->segment_capacity = capacity;
        flow->segment_head = 0;
    }
    if (at_ns < flow->last_at_ns)
        at_ns = flow->last_at_ns;
    flow->last_at_ns = at_ns;
    size_t place = (flow->segment_head + flow->segment_count++) & (flow->segment_capacity - 1);
    flow->segments[place] = (struct segment){.at_ns = at_ns, .size = (uint32_t)size, .kind = kind};
}

static uint64_t arrival_ns(struct end *from)
{
    struct world *world = world_of(from);
    uint64_t delay = path_delay_ns(from->machine, end_other(from)->machine);
    if (world->options.spikes_per_million > 0 &&
        random_below(&world->network, 1000000) < world->options.spikes_per_million)
        delay +=
            draw_between(&world->network, world->options.spike_min_ns, world->options.spike_max_ns);
    return world->now_ns + delay;
}

/* Cuts `size` bytes into pieces: mostly one, at times two or more at any boundary. */
static void add_byte_segments(struct end *from, size_t size)
{
    struct random *random = &world_of(from)->network;
    uint64_t at_ns = arrival_ns(from);
    while (size > 0) {
        size_t part = size < SEGMENT_BYTES_MAX ? size : SEGMENT_BYTES_MAX;
        if (part > 1 && random_next(random) % 8 == 0)
            part = 1 + random_below(random, part);
        add_segment(&from->out, SEGMENT_BYTES, part, at_ns);
        size -= part;
        if (size > 0)
            at_ns += random_below(random, SEGMENT_GAP_MAX_NS);
    }
}

void flow_send(struct end *from, const struct slice *pieces, size_t count, size_t size)
{
    struct flow *flow = &from->out;
    assert(size > 0 && size <= flow_room(flow));
    ring_grow(flow, size);
    size_t left = size;
    for (size_t i = 0; i < count && left > 0; i++) {
        size_t part = pieces[i].size < left ? pieces[i].size : left;
        if (part > 0)
            ring_put(flow, pieces[i].at, part);
        left -= part;
    }
    assert(left == 0);
    add_byte_segments(from, size);
    arrange_arrival(from);
}

void flow_send_mark(struct end *from, enum segment_kind kind)
{
    add_segment(&from->out, kind, 0, arrival_ns(from));
    arrange_arrival(from);
}

void flow_discard_travelling(struct end *from)
{
    struct flow *flow = &from->out;
    flow->segment_count = 0;
    if (flow->arrived == 0 && flow->size > 0)
        ring_drop(flow, flow->size);
    flow->size = flow->arrived;
    agenda_drop(&world_of(from)->agenda, &flow->arrive);
    agenda_drop(&world_of(from)->agenda, &flow->give_up);
    flow->held = false;
}

void flow_silence(struct end *from)
{
    flow_discard_travelling(from);
    agenda_drop(&world_of(from)->agenda, &from->out.credit);
    from->out.credit_held = false;
}

/* ---- the receiving side ---- */

/* The sender hears of room only after a while: that is when its stream is writable again. */
static void give_credit(struct end *to)
{
    struct end *from = end_other(to);
    struct flow *flow = &from->out;
    struct world *world = world_of(to);
    if (!flow->full || flow->credit_held || happening_is_due(&flow->credit))
        return;
    if (path_is_cut(to->machine, from->machine))
        flow->credit_held = true;
    else
        agenda_put(&world->agenda, &flow->credit,
                   world->now_ns + path_delay_ns(to->machine, from->machine));
}

size_t flow_take(struct end *to, uint8_t *into, size_t size)
{
    struct flow *flow = &end_other(to)->out;
    if (size > flow->arrived)
        size = flow->arrived;
    if (size == 0)
        return 0;
    size_t first = flow->capacity - flow->head < size ? flow->capacity - flow->head : size;
    memcpy(into, flow->ring + flow->head, first);
    memcpy(into + first, flow->ring, size - first);
    flow->arrived -= size;
    ring_drop(flow, size);
    give_credit(to);
    return size;
}

void flow_discard_arrived(struct end *to)
{
    struct flow *flow = &end_other(to)->out;
    size_t size = flow->arrived;
    flow->arrived = 0;
    if (size > 0)
        ring_drop(flow, size);
}

static void hold(struct end *from)
{
    struct world *world = world_of(from);
    struct flow *flow = &from->out;
    flow->held = true;
    flow->held_since_ns = world->now_ns;
    if (!happening_is_due(&flow->give_up))
        agenda_put(&world->agenda, &flow->give_up, world->now_ns + world->options.give_up_ns);
}

static void deliver_bytes(struct end *from, struct end *to, size_t size)
{
    struct world *world = world_of(from);
    struct flow *flow = &from->out;
    if (to->state == END_GONE || to->reset) {
        flow_discard_travelling(from);
        flow_send_mark(to, SEGMENT_RESET);
        return;
    }
    flow->arrived += size;
    stream_touch(to->stream);
    if (path_is_cut(to->machine, from->machine) && !happening_is_due(&flow->give_up))
        agenda_put(&world->agenda, &flow->give_up, world->now_ns + world->options.give_up_ns);
}

static void deliver(struct end *from, const struct segment *segment)
{
    struct end *to = end_other(from);
    world_trace(world_of(from), TRACE_ARRIVE, to->machine, to->port,
                segment->kind == SEGMENT_BYTES ? segment->size : (uint64_t)0 - segment->kind, 0);
    switch (segment->kind) {
    case SEGMENT_BYTES: deliver_bytes(from, to, segment->size); break;
    case SEGMENT_END:
        to->ended = true;
        stream_touch(to->stream);
        break;
    case SEGMENT_RESET: end_set_reset(to); break;
    }
}

void flow_arrives(struct flow *flow)
{
    struct end *from = end_of(flow);
    const struct machine *machine = end_other(from)->machine;
    assert(flow->segment_count > 0 && !flow->held);
    if (path_is_cut(from->machine, machine) || !machine->on) {
        hold(from);
        return;
    }
    struct segment segment = flow->segments[flow->segment_head];
    flow->segment_head = (flow->segment_head + 1) & (flow->segment_capacity - 1);
    flow->segment_count--;
    deliver(from, &segment);
    arrange_arrival(from);
}

/* ---- credit, patience, healing ---- */

void flow_has_credit(struct flow *flow)
{
    struct end *from = end_of(flow);
    if (path_is_cut(end_other(from)->machine, from->machine)) {
        flow->credit_held = true;
        return;
    }
    flow->full = false;
    stream_touch(from->stream);
}

void flow_gives_up(struct flow *flow)
{
    struct end *from = end_of(flow);
    world_trace(world_of(from), TRACE_GIVE_UP, from->machine, from->port, flow->size, 0);
    end_set_reset(from);
}

/* When the sender's kernel tries again: 200 ms after the loss, then after twice that, and so on. */
static uint64_t retry_ns(uint64_t since_ns, uint64_t now_ns)
{
    uint64_t wait = RETRY_FIRST_NS, at_ns = since_ns + wait;
    while (at_ns <= now_ns) {
        wait = wait * 2 < RETRY_MAX_NS ? wait * 2 : RETRY_MAX_NS;
        at_ns += wait;
    }
    return at_ns;
}

void flow_goes_on(struct flow *flow)
{
    struct end *from = end_of(flow);
    struct world *world = world_of(from);
    if (!flow->held)
        return;
    flow->held = false;
    agenda_drop(&world->agenda, &flow->give_up);
    uint64_t at_ns = retry_ns(flow->held_since_ns, world->now_ns) +
                     path_delay_ns(from->machine, end_other(from)->machine);
    if (at_ns > flow->last_at_ns)
        flow->last_at_ns = at_ns;
    agenda_put(&world->agenda, &flow->arrive, at_ns);
}

void flow_other_way_healed(struct flow *flow)
{
    struct end *from = end_of(flow);
    struct world *world = world_of(from);
    if (!flow->held)
        agenda_drop(&world->agenda, &flow->give_up);
    if (!flow->credit_held)
        return;
    flow->credit_held = false;
    agenda_put(&world->agenda, &flow->credit, retry_ns(world->now_ns, world->now_ns));
}
