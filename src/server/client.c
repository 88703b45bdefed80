/* Clients' connections: accept, read, parse, write. */
#include "server/inside.h"

#include "base/memory.h"

#include <stdio.h>

struct client *client_of_session(struct session *session)
{
    return (struct client *)((char *)session - offsetof(struct client, session));
}

uint64_t client_session_id(const struct client *client)
{
    return (uint64_t)client->generation << 32 | client->index;
}

struct client *client_find(struct server *server, uint64_t session_id)
{
    uint32_t index = (uint32_t)session_id, generation = (uint32_t)(session_id >> 32);
    if (index >= server->client_capacity)
        return NULL;
    struct client *client = server->clients[index];
    return client && client->used && client->generation == generation ? client : NULL;
}

static struct client *take_slot(struct server *server)
{
    for (uint32_t i = 0; i < server->client_capacity; i++) {
        uint32_t at = (server->free_hint + i) % server->client_capacity;
        struct client *client = server->clients[at];
        if (client && client->used)
            continue;
        if (!client) {
            client = server->clients[at] = memory_zeroed(1, sizeof *client);
            client->index = at;
        }
        server->free_hint = at + 1;
        return client;
    }
    return NULL;
}

struct client *client_accept(struct server *server, struct io_stream stream)
{
    static const char full[] = "-ERR max number of clients reached\r\n";
    struct client *client = take_slot(server);
    if (!client) {
        struct slice line = slice_of(full, sizeof full - 1);
        size_t wrote;
        (void)!io_write(server->io, stream, &line, 1, &wrote);
        io_close(server->io, stream);
        return NULL;
    }
    uint32_t index = client->index, generation = client->generation + 1;
    memset(client, 0, sizeof *client);
    client->index = index;
    client->generation = generation;
    client->used = true;
    client->stream = stream;
    client->protocol = 2;
    client->keyspace = KEYSPACE_DEFAULT;
    client->id = server->next_client_id += server->options.workers; /* no other worker's */
    client->epoch = 1;
    client->forwards_max = FORWARDS_FIRST;
    client->opened_ns = node_turn(server->node)->now_ns;
    client->doubted = server_is_in_doubt(server);
    session_init(&client->session, false);
    resp_parser_init(&client->parser, server->options.bulk_size_max);
    transaction_init(&client->transaction);
    buffer_init(&client->input, INPUT_SIZE_MAX);
    list_init(&client->dirty);
    list_init(&client->held_link);
    server->facts.connections++;
    server->facts.connections_total++;
    io_stream_start(server->io, stream, server->options.tag + 1 + index);
    return client;
}

void client_close(struct server *server, struct client *client)
{
    lanes_close(server, client);
    io_close(server->io, client->stream);
    list_remove(&client->dirty);
    list_remove(&client->held_link);
    portion_wait(server, client, false);
    server->facts.held -= client->held;
    session_deinit(&client->session);
    resp_parser_deinit(&client->parser);
    transaction_deinit(&client->transaction);
    tokens_deinit(&client->tokens);
    buffer_deinit(&client->input);
    client->used = false;
    if (client->index < server->free_hint)
        server->free_hint = client->index;
    server->facts.connections--;
}

void client_mark_dirty(struct server *server, struct client *client)
{
    if (list_is_empty(&client->dirty))
        list_append(&server->dirty, &client->dirty);
}

/* Replies that other nodes have yet to give come whether there is room or not. */
static bool has_enough_forwards(const struct client *client)
{
    return client->session.unstaged >= client->forwards_max;
}

bool client_has_enough(const struct client *client)
{
    const struct session *session = &client->session;
    return session->count > PENDING_PAUSE || session->out.size - session->sent > UNSENT_PAUSE ||
           has_enough_forwards(client);
}

/* A client that does not read its replies is not read from (SERVER-4). */
void client_set_pause(struct server *server, struct client *client)
{
    bool waits = client->held && (client->ended || client->input.size > READ_SIZE);
    bool pause = waits || client->closing || client_has_enough(client);
    if (pause == client->paused)
        return;
    client->paused = pause;
    io_pause_read(server->io, client->stream, pause);
}

static void want_write(struct server *server, struct client *client, bool wanted)
{
    if (client->wants_write == wanted)
        return;
    client->wants_write = wanted;
    io_want_write(server->io, client->stream, wanted);
}

/* The other side sends no more: what it asked for is still answered. */
void client_end_input(struct server *server, struct client *client)
{
    if (client->held) { /* its requests are answered first, and not run (SERVER-6) */
        client->ended = client->late = client->at_end = true;
        client_set_pause(server, client);
        return;
    }
    if (!client->session.count && client->session.sent == client->session.out.size) {
        client_close(server, client);
        return;
    }
    client->closing = true;
    client_set_pause(server, client);
}

/* Frees what a large reply took, keeps what small ones reuse. */
static void trim_out(struct session *session)
{
    if (session->out.capacity > 4 * READ_SIZE)
        buffer_deinit(&session->out);
    else
        buffer_reset(&session->out);
    session->sent = session->released = 0;
}

void client_write(struct server *server, struct client *client)
{
    struct session *session = &client->session;
    list_remove(&client->dirty);
    if (session->released > session->sent) {
        struct slice piece =
            slice_of(session->out.at + session->sent, session->released - session->sent);
        size_t wrote = 0;
        enum status status = io_write(server->io, client->stream, &piece, 1, &wrote);
        if (status == STATUS_CLOSED) {
            client_close(server, client);
            return;
        }
        session->sent += status == STATUS_OK ? wrote : 0;
    }
    want_write(server, client, session->sent < session->released);
    if (session->sent == session->out.size) {
        trim_out(session);
        if (client->closing && !session->count) {
            client_close(server, client);
            return;
        }
    } else if (session->sent > UNSENT_PAUSE) {
        buffer_consume(&session->out, session->sent);
        session->released -= session->sent;
        session->sent = 0;
    }
    bool was_paused = client->paused;
    client_set_pause(server, client);
    if (was_paused && !client->paused && client->input.size)
        client_parse(server, client);
}
