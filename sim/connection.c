/* connection.c - how connections come to be, break and end: the two kernels' part in it. */
#include "sim/parts.h"

#include "base/memory.h"

#include <assert.h>

#define DIAL_PATIENCE_NS  (20 * WORLD_SECOND)
#define THANK_PATIENCE_NS (75 * WORLD_SECOND)
#define LOOKUP_MAX_NS     (20 * WORLD_MS)

uint64_t path_delay_ns(struct machine *from, struct machine *to)
{
    const struct path *path = &from->paths[to->id.value - 1];
    return draw_between(&from->world->network, path->delay_min_ns, path->delay_max_ns);
}

bool path_is_cut(const struct machine *from, const struct machine *to)
{
    return from->paths[to->id.value - 1].cut;
}

/* ---- life ---- */

void connection_free(struct connection *connection)
{
    struct world *world = connection->world;
    list_remove(&connection->link);
    assert(list_is_empty(&connection->waiting));
    agenda_drop(&world->agenda, &connection->dial);
    flow_deinit(&connection->ends[0].out, world);
    flow_deinit(&connection->ends[1].out, world);
    memory_free(connection);
}

static bool is_over(const struct end *end)
{
    return end->state == END_GONE || end->state == END_ABSENT;
}

static void free_if_over(struct connection *connection)
{
    if (is_over(&connection->ends[0]) && is_over(&connection->ends[1]))
        connection_free(connection);
}

static uint16_t free_port(struct machine *machine)
{
    machine->next_port = machine->next_port >= 65535 ? 32768 : (uint16_t)(machine->next_port + 1);
    return machine->next_port;
}

struct connection *connection_dial(struct machine *from, struct machine *to, uint16_t port)
{
    struct world *world = from->world;
    struct connection *connection = memory_zeroed(1, sizeof *connection);
    connection->world = world;
    list_append(&world->connections, &connection->link);
    list_init(&connection->waiting);
    for (unsigned side = 0; side < 2; side++) {
        connection->ends[side].connection = connection;
        flow_init(&connection->ends[side].out);
    }
    connection->ends[0].machine = from;
    connection->ends[0].state = END_DIALING;
    connection->ends[0].port = free_port(from);
    connection->ends[1].machine = to;
    connection->ends[1].port = port;
    connection->dial.kind = HAPPENING_DIAL;
    connection->dial_from_ns = world->now_ns;
    connection->stage = to == NULL ? DIAL_FAIL : DIAL_ASK;
    uint64_t wait =
        to == NULL ? random_below(&world->network, LOOKUP_MAX_NS) : path_delay_ns(from, to);
    agenda_put(&world->agenda, &connection->dial, world->now_ns + wait);
    return connection;
}

/* ---- dialling ---- */

static void leave_listener(struct connection *connection)
{
    struct listener *listener = connection->listener;
    if (listener == NULL)
        return;
    list_remove(&connection->waiting);
    listener->waiting_count--;
    listener->acceptable_count -= connection->is_acceptable;
    connection->listener = NULL;
}

static void tell_dialler(struct connection *connection, enum status status)
{
    struct stream *stream = connection->ends[0].stream;
    struct pending_event pending = {
        .event = {.kind = IO_CONNECTED, .status = status},
        .subject = SUBJECT_STREAM,
        .index = stream->index,
        .generation = stream->generation,
    };
    world_trace(connection->world, TRACE_CONNECTED, stream->io->machine, connection->ends[0].port,
                status, 0);
    io_pend(stream->io, &pending);
}

static void dial_fails(struct connection *connection, enum status status)
{
    struct end *client = &connection->ends[0], *server = &connection->ends[1];
    tell_dialler(connection, status);
    client->stream->end = NULL;
    client->stream = NULL;
    client->state = END_GONE;
    if (server->state == END_WAITING)
        end_vanish(server); /* frees it: both are gone now */
    else
        connection_free(connection);
}

static void dial_again(struct connection *connection)
{
    static const uint64_t after_s[] = {1, 3, 7, 15, 20};
    struct world *world = connection->world;
    uint64_t waited = world->now_ns - connection->dial_from_ns;
    if (waited >= DIAL_PATIENCE_NS) {
        dial_fails(connection, STATUS_IO);
        return;
    }
    size_t i = 0;
    while (after_s[i] * WORLD_SECOND <= waited)
        i++;
    agenda_put(&world->agenda, &connection->dial,
               connection->dial_from_ns + after_s[i] * WORLD_SECOND);
}

static void dial_next(struct connection *connection, enum dial_stage stage, struct end *from)
{
    struct world *world = connection->world;
    uint64_t delay = path_delay_ns(from->machine, end_other(from)->machine);
    if (stage == DIAL_THANK && world->options.accept_delay_max_ns > 0)
        delay += random_below(&world->network, world->options.accept_delay_max_ns);
    connection->stage = stage;
    agenda_put(&world->agenda, &connection->dial, world->now_ns + delay);
}

static void dial_asks(struct connection *connection)
{
    struct end *client = &connection->ends[0], *server = &connection->ends[1];
    if (path_is_cut(client->machine, server->machine) || !server->machine->on) {
        dial_again(connection);
        return;
    }
    struct listener *listener = listener_find(server->machine, server->port, connection->loopback);
    if (listener == NULL) {
        dial_next(connection, DIAL_REFUSE, server);
        return;
    }
    if (listener->waiting_count >= LISTENER_WAITING_MAX) {
        dial_again(connection);
        return;
    }
    server->state = END_WAITING;
    connection->listener = listener;
    list_append(&listener->waiting, &connection->waiting);
    listener->waiting_count++;
    dial_next(connection, DIAL_ANSWER, server);
}

static void dial_answers(struct connection *connection)
{
    struct end *client = &connection->ends[0], *server = &connection->ends[1];
    if (server->state == END_GONE) { /* its process or machine died meanwhile */
        server->state = END_ABSENT;
        server->reset = false;
        flow_silence(server);
        dial_next(connection, DIAL_ASK, client);
        return;
    }
    if (path_is_cut(server->machine, client->machine)) {
        dial_again(connection);
        return;
    }
    client->state = END_OPEN;
    tell_dialler(connection, STATUS_OK);
    dial_next(connection, DIAL_THANK, client);
}

static void dial_thanks(struct connection *connection)
{
    struct world *world = connection->world;
    struct end *client = &connection->ends[0], *server = &connection->ends[1];
    if (server->state != END_WAITING) {
        connection->stage = DIAL_DONE;
        return;
    }
    if (path_is_cut(client->machine, server->machine)) {
        if (world->now_ns - connection->dial_from_ns > THANK_PATIENCE_NS)
            end_vanish(server);
        else
            agenda_put(&world->agenda, &connection->dial, world->now_ns + WORLD_SECOND);
        return;
    }
    connection->stage = DIAL_DONE;
    connection->is_acceptable = true;
    connection->listener->acceptable_count++;
    stream_touch(connection->listener->stream);
}

static void dial_refuses(struct connection *connection)
{
    if (path_is_cut(connection->ends[1].machine, connection->ends[0].machine)) {
        connection->stage = DIAL_ASK;
        dial_again(connection);
        return;
    }
    dial_fails(connection, STATUS_CLOSED);
}

void connection_dials_on(struct connection *connection)
{
    const struct end *client = &connection->ends[0];
    world_trace(connection->world, TRACE_DIAL, client->machine, client->port, connection->stage, 0);
    switch (connection->stage) {
    case DIAL_ASK: dial_asks(connection); break;
    case DIAL_ANSWER: dial_answers(connection); break;
    case DIAL_REFUSE: dial_refuses(connection); break;
    case DIAL_THANK: dial_thanks(connection); break;
    case DIAL_FAIL: dial_fails(connection, STATUS_NOT_FOUND); break; /* no such host */
    case DIAL_DONE: assert(!"a finished dial does not happen");
    }
}

/* ---- ends ---- */

void end_set_reset(struct end *end)
{
    if (end->reset || is_over(end)) {
        if (end->state == END_GONE)
            flow_silence(end);
        return;
    }
    end->reset = true;
    flow_silence(end);
    stream_touch(end->stream);
}

static void stop_dialling(struct connection *connection)
{
    struct end *client = &connection->ends[0], *server = &connection->ends[1];
    agenda_drop(&connection->world->agenda, &connection->dial);
    client->state = END_GONE;
    if (server->state == END_WAITING)
        end_vanish(server);
    else
        connection_free(connection);
}

void end_close(struct end *end, bool reset)
{
    struct connection *connection = end->connection;
    struct random *random = &connection->world->network;
    end->stream = NULL;
    if (end->state == END_DIALING) {
        stop_dialling(connection);
        return;
    }
    reset = reset || end_other(end)->out.arrived > 0; /* bytes that nobody will read */
    if (!end->reset) {
        if (reset && random_next(random) % 2 == 0)
            flow_discard_travelling(end);
        flow_send_mark(end, reset ? SEGMENT_RESET : SEGMENT_END);
    }
    flow_discard_arrived(end);
    end->state = END_GONE;
    free_if_over(connection);
}

void end_vanish(struct end *end)
{
    struct connection *connection = end->connection;
    if (end->state == END_WAITING)
        leave_listener(connection);
    if (end->stream != NULL) {
        end->stream->end = NULL;
        end->stream = NULL;
    }
    if (end->state == END_DIALING) {
        stop_dialling(connection);
        return;
    }
    flow_silence(end);
    if (!is_over(end_other(end)))
        flow_discard_arrived(end);
    end->state = END_GONE;
    free_if_over(connection);
}

void machine_vanish_connections(struct machine *machine)
{
    struct list *list = &machine->world->connections;
    for (struct list *link = list->next, *next; link != list; link = next) {
        struct connection *connection = list_item(link, struct connection, link);
        bool is_first = connection->ends[0].machine == machine;
        bool is_second = connection->ends[1].machine == machine;
        next = link->next;
        if (is_first && is_second && connection->ends[0].state == END_OPEN &&
            !is_over(&connection->ends[1]))
            end_vanish(&connection->ends[1]);
        if (is_first && !is_over(&connection->ends[0]))
            end_vanish(&connection->ends[0]);
        else if (is_second && !is_over(&connection->ends[1]))
            end_vanish(&connection->ends[1]);
    }
}

/* ---- listeners ---- */

struct listener *listener_find(struct machine *machine, uint16_t port, bool loopback)
{
    for (struct list *link = machine->listeners.next; link != &machine->listeners;
         link = link->next) {
        struct listener *listener = list_item(link, struct listener, link);
        bool hears = listener->any_host || listener->loopback_only == loopback;
        if (listener->port == port && hears)
            return listener;
    }
    return NULL;
}

struct connection *listener_accept(struct listener *listener)
{
    struct list *link = listener->waiting.next;
    while (link != &listener->waiting) {
        struct connection *connection = list_item(link, struct connection, waiting);
        if (connection->is_acceptable) {
            leave_listener(connection);
            connection->ends[1].state = END_OPEN;
            return connection;
        }
        link = link->next;
    }
    return NULL;
}

void listener_close(struct listener *listener)
{
    while (!list_is_empty(&listener->waiting)) {
        struct connection *connection =
            list_item(listener->waiting.next, struct connection, waiting);
        if (connection->ends[0].state == END_DIALING) {
            end_vanish(&connection->ends[1]);
        } else {
            leave_listener(connection);
            end_close(&connection->ends[1], true);
        }
    }
    list_remove(&listener->link);
    memory_free(listener);
}

/* ---- healing ---- */

void machine_heal(struct machine *from, struct machine *to)
{
    struct list *list = &from->world->connections;
    for (struct list *link = list->next; link != list; link = link->next) {
        struct connection *connection = list_item(link, struct connection, link);
        for (unsigned side = 0; side < 2; side++) {
            struct end *end = &connection->ends[side];
            const struct machine *other = end_other(end)->machine;
            if (end->machine == from && other == to)
                flow_goes_on(&end->out);
            if (end->machine == to && other == from)
                flow_other_way_healed(&end->out);
        }
    }
}
