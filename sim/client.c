/* Connections: connect, send, receive, give up in time. What is asked: workload.c. */
#include "sim/client.h"

#include "sim/workload.h"

#include "base/memory.h"

#include <stdio.h>

#define WAITING_MAX 24 /* requests of one connection under way */
#define TIMER       0
#define READER_EVERY                                                                               \
    3 /* connections: one that only reads, so that no write of its own holds it up */
#define READER_MS   20 /* for each unanswered one it waits longer: so it asks on for seconds */
#define LEAVE_EVERY 50 /* requests */

enum connection_state {
    CONNECTION_CLOSED,
    CONNECTION_OPENING,
    CONNECTION_OPEN,
};

struct connection {
    enum connection_state state;
    struct io_stream stream;
    unsigned node;
    uint64_t next_ns;     /* of the next request, or of connecting again */
    uint64_t deadline_ns; /* of the oldest answer or of connecting; NEVER */
    uint64_t timeout_ns;
    struct request waiting[WAITING_MAX]; /* a ring */
    unsigned head, count;
    struct buffer input, output;
    unsigned space, life;
    bool entered; /* it has opened that keyspace */
    bool watches; /* `watched` was read under WATCH */
    struct operation_id watched;
    unsigned next_space; /* reading all: what this connection reads next */
    uint32_t next_key;
};

struct client {
    struct world *world;
    const struct cluster *cluster;
    struct machine_id machine;
    struct io *io;
    struct history *history;
    struct spaces *spaces;
    struct workload workload;
    struct client_options options;
    struct random random;
    struct verdict *verdict;
    struct connection connections[CLIENT_CONNECTIONS_MAX];
    bool paused, reading;
    bool spread; /* connection i talks to node i mod nodes */
    struct client_facts facts;
};

static uint64_t draw(struct client *client, uint64_t min, uint64_t max)
{
    return min + random_below(&client->random, max - min + 1);
}

struct client *client_create(struct world *world, const struct cluster *cluster,
                             struct history *history, struct spaces *spaces,
                             const struct client_options *options, uint64_t seed,
                             struct verdict *verdict)
{
    struct client *client = memory_zeroed(1, sizeof *client);
    client->world = world;
    client->cluster = cluster;
    client->history = history;
    client->spaces = spaces;
    client->options = *options;
    client->verdict = verdict;
    random_init(&client->random, seed ^ 0xc11e47);
    workload_init(&client->workload, history, spaces, options->read_percent, seed);
    client->machine = world_add_machine(world, &(struct world_machine){.host = "10.0.1.1"});
    world_start_process(world, client->machine, 1);
    client->io = world_io(world, client->machine, 0);
    for (unsigned i = 0; i < options->connections; i++) {
        struct connection *connection = &client->connections[i];
        connection->deadline_ns = HISTORY_NEVER;
        connection->next_ns = draw(client, 0, 100 * WORLD_MS);
        buffer_init(&connection->input, 16u << 20);
        buffer_init(&connection->output, 16u << 20);
    }
    io_timer_set(client->io, TIMER, io_now_ns(client->io));
    return client;
}

void client_destroy(struct client *client)
{
    if (!client)
        return;
    for (unsigned i = 0; i < client->options.connections; i++) {
        buffer_deinit(&client->connections[i].input);
        buffer_deinit(&client->connections[i].output);
    }
    workload_deinit(&client->workload);
    memory_free(client);
}

struct machine_id client_machine(const struct client *client)
{
    return client->machine;
}

/* ---- the end of a connection ---- */

static void lose(struct client *client, struct connection *connection)
{
    io_close(client->io, connection->stream);
    for (; connection->count; connection->count--) {
        workload_lose(&client->workload, &connection->waiting[connection->head],
                      world_now_ns(client->world));
        connection->head = (connection->head + 1) % WAITING_MAX;
    }
    buffer_reset(&connection->input);
    buffer_reset(&connection->output);
    connection->state = CONNECTION_CLOSED;
    connection->watches = false;
    connection->deadline_ns = HISTORY_NEVER;
    connection->next_ns = world_now_ns(client->world) + draw(client, WORLD_MS, 50 * WORLD_MS);
}

/* ---- out ---- */

/* The keyspace that it will open; a new connection is in `default` already. */
static void enter(struct client *client, struct connection *connection, unsigned space)
{
    connection->space = space;
    connection->life = client->spaces->at[space].life;
    connection->entered = space == 0;
}

static bool only_reads(const struct client *client, const struct connection *connection)
{
    return !client->spread && (connection - client->connections) % READER_EVERY == READER_EVERY - 1;
}

static void open_connection(struct client *client, unsigned at)
{
    struct connection *connection = &client->connections[at];
    unsigned nodes = client->cluster->options.nodes;
    if (client->spread)
        connection->node = at % nodes;
    else
        connection->node = (unsigned)random_below(&client->random, nodes);
    const char *address = client->cluster->nodes[connection->node].listen;
    uint64_t now_ns = world_now_ns(client->world);
    connection->next_ns = now_ns + 100 * WORLD_MS;
    if (io_connect(client->io, address, at, &connection->stream) != STATUS_OK)
        return;
    client->facts.connects++;
    enter(client, connection, client->reading ? 0 : spaces_pick(client->spaces));
    connection->state = CONNECTION_OPENING;
    connection->timeout_ns =
        draw(client, client->options.timeout_min_ns, client->options.timeout_max_ns);
    if (only_reads(client, connection)) /* it is still there when a stopped leader goes on */
        connection->timeout_ns *= 2;
    connection->deadline_ns = now_ns + connection->timeout_ns;
}

static void flush(struct client *client, struct connection *connection)
{
    struct buffer *output = &connection->output;
    while (output->size) {
        size_t wrote = 0;
        struct slice piece = slice_of_buffer(output);
        enum status status = io_write(client->io, connection->stream, &piece, 1, &wrote);
        if (status == STATUS_CLOSED) {
            lose(client, connection);
            return;
        }
        if (status != STATUS_OK)
            break;
        buffer_consume(output, wrote);
    }
    io_want_write(client->io, connection->stream, output->size > 0);
}

static struct request *push_request(struct client *client, struct connection *connection)
{
    unsigned at = (connection->head + connection->count) % WAITING_MAX;
    if (!connection->count)
        connection->deadline_ns = world_now_ns(client->world) + connection->timeout_ns;
    connection->count++;
    client->facts.requests++;
    struct request *request = &connection->waiting[at];
    memset(request, 0, sizeof *request);
    request->connection = (uint16_t)(connection - client->connections);
    request->node = (uint16_t)connection->node;
    request->space = (uint8_t)connection->space;
    request->life = connection->life;
    request->replies = 1;
    request->asked_ns = world_now_ns(client->world);
    return request;
}

static void set_next(struct client *client, struct connection *connection)
{
    uint64_t patience_ns = connection->count * READER_MS * WORLD_MS;
    connection->next_ns = world_now_ns(client->world) + patience_ns +
                          draw(client, client->options.think_min_ns, client->options.think_max_ns);
}

/* A reader asks at its pace, whatever is unanswered: what waits for a node that is stopped was
 * asked at all times of the stop. */
static bool may_ask(const struct client *client, const struct connection *connection)
{
    bool waits_not = only_reads(client, connection) && connection->entered;
    return !connection->count || (waits_not && connection->count < WAITING_MAX / 2);
}

static void ask_select(struct client *client, struct connection *connection)
{
    workload_ask_select(&client->workload, push_request(client, connection), &connection->output);
    flush(client, connection);
}

/* The first connection looks after the keyspaces; what was watched is set before anything else. */
static bool ask_special(struct client *client, struct connection *connection)
{
    bool asked = connection->watches;
    struct request *request = push_request(client, connection);
    if (connection->watches)
        workload_ask_cas(&client->workload, &connection->watched, request, &connection->output);
    else if (connection == client->connections)
        asked = workload_ask_change(&client->workload, request, &connection->output);
    connection->watches = false;
    if (asked)
        return true;
    connection->count--; /* it was nothing */
    client->facts.requests--;
    return false;
}

static void ask(struct client *client, struct connection *connection)
{
    unsigned count = 1;
    bool leaves = !client->spread && random_below(&client->random, LEAVE_EVERY) == 0;
    if (leaves || !spaces_is_open(client->spaces, connection->space, connection->life)) {
        lose(client, connection); /* on to another node */
        return;
    }
    if (!connection->entered) {
        ask_select(client, connection);
        return;
    }
    if (random_below(&client->random, 100) < client->options.pipeline_percent)
        count += (unsigned)random_below(&client->random, 12);
    if (ask_special(client, connection))
        count = 0;
    for (; count && connection->count < WAITING_MAX; count--) {
        struct request *request = push_request(client, connection);
        workload_ask(&client->workload, request, only_reads(client, connection),
                     &connection->output);
        if (request->kind == REQUEST_WATCH)
            break; /* its CAS comes next */
    }
    set_next(client, connection);
    flush(client, connection);
}

/* ---- reading everything ---- */

/* Keys of keyspaces that were dropped are not there any more. */
static bool is_read_last(const struct client *client, const struct connection *connection)
{
    const struct history_key *key = &client->history->keys[connection->next_key];
    return key->space == connection->next_space &&
           spaces_is_open(client->spaces, key->space, key->life);
}

static unsigned spaces_to_read(const struct client *client)
{
    return client->spaces->only_default ? 1 : client->spaces->count;
}

static bool has_read_all(const struct client *client, const struct connection *connection)
{
    return connection->next_space >= spaces_to_read(client);
}

/* Connections share the nodes among them; each reads all keys through its own, keyspace by
 * keyspace. */
static void ask_for_all(struct client *client, struct connection *connection)
{
    if (connection->space != connection->next_space && !connection->count &&
        !has_read_all(client, connection)) {
        enter(client, connection, connection->next_space);
        connection->entered = false;
    }
    if (!connection->entered) {
        if (!connection->count)
            ask_select(client, connection);
        return;
    }
    while (connection->next_key < client->history->key_count && connection->count < WAITING_MAX) {
        if (is_read_last(client, connection))
            workload_ask_for(&client->workload, connection->next_key,
                             push_request(client, connection), &connection->output);
        connection->next_key++;
    }
    if (connection->next_key == client->history->key_count && !connection->count) {
        connection->next_key = 0;
        do
            connection->next_space++;
        while (!has_read_all(client, connection) &&
               client->spaces->at[connection->next_space].state != SPACE_OPEN);
    }
    flush(client, connection);
}

/* ---- in ---- */

/* What the answer means for the connection itself. */
static void note_answer(struct connection *connection, const struct request *request, bool refused)
{
    if (request->kind == REQUEST_SELECT)
        connection->entered = !refused;
    connection->watches = request->kind == REQUEST_WATCH && !refused && !request->failed;
    if (connection->watches)
        connection->watched = request->ids[0];
}

/* False: the connection is gone. */
static bool take_answer(struct client *client, struct connection *connection, struct slice reply)
{
    if (!connection->count) {
        verdict_fail(client->verdict, "replies", "a reply without a request from node %u",
                     connection->node);
        return false;
    }
    struct request *request = &connection->waiting[connection->head];
    uint64_t now_ns = world_now_ns(client->world);
    bool wrote = false, refused = false, was_begun = request->replies > 1;
    const char *wrong =
        was_begun ? workload_begin_answer(request, reply)
                  : workload_answer(&client->workload, request, reply, now_ns, &wrote, &refused);
    if (wrong)
        verdict_fail(client->verdict, "replies", "node %u answered a request wrongly: %s: %.*s",
                     connection->node, wrong, (int)(reply.size < 80 ? reply.size : 80),
                     (const char *)reply.at);
    if (was_begun)
        return true;
    note_answer(connection, request, refused);
    if (wrote && request->asked_ns > client->facts.write_asked_ns[connection->node])
        client->facts.write_asked_ns[connection->node] = request->asked_ns;
    if (client->reading && refused)
        connection->next_key = 0; /* a final read must be answered: all once more */
    connection->head = (connection->head + 1) % WAITING_MAX;
    connection->count--;
    connection->deadline_ns = connection->count ? now_ns + connection->timeout_ns : HISTORY_NEVER;
    set_next(client, connection);
    return true;
}

static void take_answers(struct client *client, struct connection *connection)
{
    struct slice input = slice_of_buffer(&connection->input);
    size_t size = 0;
    enum status status;
    while ((status = resp_reply_size(input, &size)) == STATUS_OK) {
        if (!take_answer(client, connection, slice_of(input.at, size)))
            return;
        input = slice_of(input.at + size, input.size - size);
    }
    if (status == STATUS_INVALID)
        verdict_fail(client->verdict, "replies", "node %u sent bytes that are no reply",
                     connection->node);
    buffer_consume(&connection->input, connection->input.size - input.size);
}

static void receive(struct client *client, struct connection *connection)
{
    for (;;) {
        size_t got = 0;
        if (buffer_reserve(&connection->input, 4096))
            return;
        enum status status = io_read(client->io, connection->stream,
                                     connection->input.at + connection->input.size, 4096, &got);
        if (status == STATUS_AGAIN)
            break;
        if (status != STATUS_OK) {
            take_answers(client, connection);
            lose(client, connection);
            return;
        }
        connection->input.size += got;
    }
    take_answers(client, connection);
}

static void handle_event(struct client *client, const struct io_event *event)
{
    if (event->kind == IO_TIMER || event->tag >= client->options.connections)
        return;
    struct connection *connection = &client->connections[event->tag];
    if (connection->state == CONNECTION_CLOSED)
        return;
    if (event->kind == IO_CONNECTED && event->status == STATUS_OK) {
        connection->state = CONNECTION_OPEN;
        connection->deadline_ns = HISTORY_NEVER;
        connection->next_ns = world_now_ns(client->world);
        connection->next_key = 0;
        connection->next_space = 0;
    } else if (event->kind == IO_CONNECTED || event->kind == IO_CLOSED) {
        lose(client, connection);
    } else if (event->kind == IO_READABLE) {
        receive(client, connection);
    } else if (event->kind == IO_WRITABLE) {
        flush(client, connection);
    }
}

/* ---- the turn ---- */

static void act(struct client *client, unsigned at, uint64_t now_ns)
{
    struct connection *connection = &client->connections[at];
    if (now_ns >= connection->deadline_ns) {
        client->facts.timeouts++;
        lose(client, connection);
    }
    if (client->paused || now_ns < connection->next_ns)
        return;
    if (connection->state == CONNECTION_CLOSED)
        open_connection(client, at);
    else if (connection->state == CONNECTION_OPEN && client->reading &&
             !has_read_all(client, connection))
        ask_for_all(client, connection);
    else if (connection->state == CONNECTION_OPEN && may_ask(client, connection))
        ask(client, connection);
}

static uint64_t wakes_ns(const struct client *client, const struct connection *connection)
{
    bool asks =
        connection->state != CONNECTION_OPENING && may_ask(client, connection) && !client->paused;
    if (asks && client->reading && connection->state == CONNECTION_OPEN)
        asks = !has_read_all(client, connection);
    uint64_t next_ns = asks ? connection->next_ns : HISTORY_NEVER;
    return next_ns < connection->deadline_ns ? next_ns : connection->deadline_ns;
}

void client_turn(struct client *client, const struct world_turn *turn)
{
    uint64_t now_ns = world_now_ns(client->world), wake_ns = HISTORY_NEVER;
    for (size_t i = 0; i < turn->count; i++)
        handle_event(client, &turn->events[i]);
    for (unsigned i = 0; i < client->options.connections; i++) {
        act(client, i, now_ns);
        uint64_t next_ns = wakes_ns(client, &client->connections[i]);
        wake_ns = next_ns < wake_ns ? next_ns : wake_ns;
    }
    uint64_t wait_ns = wake_ns > now_ns ? wake_ns - now_ns : WORLD_MS / 10;
    if (wake_ns != HISTORY_NEVER)
        io_timer_set(client->io, TIMER, io_now_ns(client->io) + wait_ns);
}

/* ---- phases ---- */

void client_pause(struct client *client)
{
    client->paused = true;
}

bool client_is_idle(const struct client *client)
{
    for (unsigned i = 0; i < client->options.connections; i++)
        if (client->connections[i].count)
            return false;
    return true;
}

void client_spread(struct client *client)
{
    client->spread = true;
    for (unsigned i = 0; i < client->options.connections; i++)
        lose(client, &client->connections[i]);
    io_timer_set(client->io, TIMER, io_now_ns(client->io));
}

void client_read_all(struct client *client)
{
    client->paused = false;
    client->reading = true;
    client_spread(client);
    workload_end(&client->workload, world_now_ns(client->world));
    for (unsigned i = client->cluster->options.nodes; i < client->options.connections; i++)
        client->connections[i].next_ns = HISTORY_NEVER; /* one for each node is enough */
}

bool client_reading_is_done(const struct client *client)
{
    for (unsigned i = 0; i < client->cluster->options.nodes; i++) {
        const struct connection *connection = &client->connections[i];
        if (client->cluster->nodes[i].state == CLUSTER_REFUSED)
            continue;
        if (connection->state != CONNECTION_OPEN || connection->count ||
            !has_read_all(client, connection))
            return false;
    }
    return true;
}

struct client_facts client_facts(const struct client *client)
{
    return client->facts;
}
