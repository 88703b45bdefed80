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

void client_accept(struct server *server, struct io_stream stream)
{
    static const char full[] = "-ERR max number of clients reached\r\n";
    struct client *client = take_slot(server);
    if (!client) {
        struct slice line = slice_of(full, sizeof full - 1);
        size_t wrote;
        (void)!io_write(server->io, stream, &line, 1, &wrote);
        io_close(server->io, stream);
        return;
    }
    uint32_t index = client->index, generation = client->generation + 1;
    memset(client, 0, sizeof *client);
    client->index = index;
    client->generation = generation;
    client->used = true;
    client->stream = stream;
    client->protocol = 2;
    client->id = ++server->next_client_id;
    client->epoch = 1;
    client->next_sequence = 1;
    client->forwards_max = FORWARDS_FIRST;
    client->opened_ns = node_turn(server->node)->now_ns;
    session_init(&client->session, false);
    resp_parser_init(&client->parser);
    buffer_init(&client->input, INPUT_SIZE_MAX);
    list_init(&client->dirty);
    list_init(&client->held_link);
    server->facts.connections++;
    server->facts.connections_total++;
    io_stream_start(server->io, stream, server->options.tag + 1 + index);
}

static void tell_forwards_closed(struct server *server, struct client *client)
{
    struct peer_set *peers = node_peers(server->node);
    if (!client->target.value || !peers)
        return;
    struct wire_frame *frame = peer_frame(peers, client->target, WIRE_LINK_DATA);
    if (frame)
        wire_add_forward_close(frame, client_session_id(client));
}

void client_close(struct server *server, struct client *client)
{
    tell_forwards_closed(server, client);
    io_close(server->io, client->stream);
    list_remove(&client->dirty);
    list_remove(&client->held_link);
    server->facts.held -= client->held;
    session_deinit(&client->session);
    resp_parser_deinit(&client->parser);
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

static bool has_enough(const struct client *client)
{
    const struct session *session = &client->session;
    return session->count > PENDING_PAUSE || session->out.size - session->sent > UNSENT_PAUSE ||
           has_enough_forwards(client);
}

/* A client that does not read its replies is not read from (SERVER-4). */
static void set_pause(struct server *server, struct client *client)
{
    bool pause = client->held || client->closing || has_enough(client);
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
static void end_input(struct server *server, struct client *client)
{
    if (!client->session.count && client->session.sent == client->session.out.size) {
        client_close(server, client);
        return;
    }
    client->closing = true;
    set_pause(server, client);
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
    set_pause(server, client);
    if (was_paused && !client->paused && client->input.size)
        client_parse(server, client);
}

/* ---- input ---- */

/* SERVER-5: a stream that cannot be understood ends; nobody else notices. */
/* SERVER-5: the stream is lost, and only this one. */
static void protocol_error(struct server *server, struct client *client)
{
    struct pending pending = {.kind = PENDING_READY};
    struct session *session = &client->session;
    struct reply reply = session_reply(session, &pending, client->protocol);
    size_t before = reply.out->size;
    reply_error(&reply, "ERR Protocol error: %s", client->parser.error);
    pending.size = reply.out->size - before;
    session_push(server, session, &pending);
    client->closing = true;
    set_pause(server, client);
}

/* Pipelined requests: the keys of the next ones are fetched side by side before the first of them
 * runs. A guess (the first argument is a key) that nothing depends on. Returns of how many. */
static size_t look_ahead(struct server *server, const struct client *client, struct slice bytes)
{
    struct store_key keys[STORE_PREFETCH_MAX];
    struct replica *replica = node_group(server->node, GROUP_DEFAULT);
    struct resp_parser *parser = &server->ahead;
    size_t requests = 0, count = 0, consumed = 0, need = 0;
    resp_parser_restart(parser);
    while (requests < STORE_PREFETCH_MAX && !resp_parse(parser, bytes, &consumed, &need)) {
        if (parser->count > 1)
            keys[count++] = store_key_of(client->database, parser->arguments[1]);
        bytes = slice_of(bytes.at + consumed, bytes.size - consumed);
        requests++;
    }
    if (count && replica && replica_is_serving(replica))
        store_prefetch(replica_store(replica), keys, count);
    return requests;
}

/* Consumes requests from `bytes`; returns how many bytes are done with. */
static size_t parse(struct server *server, struct client *client, struct slice bytes)
{
    size_t done = 0, ahead = 0;
    while (!client->closing && !client->held && done < bytes.size) {
        size_t consumed = 0, need = 0;
        if (has_enough(client))
            break;
        enum status status = resp_parse(
            &client->parser, slice_of(bytes.at + done, bytes.size - done), &consumed, &need);
        if (status == STATUS_AGAIN)
            break;
        if (status) {
            protocol_error(server, client);
            return bytes.size;
        }
        IO_NOTE(server->io, "parse");
        size_t after = done + consumed;
        if (ahead)
            ahead--;
        else if (after < bytes.size)
            ahead = look_ahead(server, client, slice_of(bytes.at + after, bytes.size - after));
        if (client->parser.count && route_request(server, client, client->parser.arguments,
                                                  client->parser.count) == ROUTED_HOLD)
            break; /* not consumed: it is parsed again when there is a leader */
        done = after;
    }
    return done;
}

void client_parse(struct server *server, struct client *client)
{
    struct buffer *input = &client->input;
    size_t done = parse(server, client, slice_of_buffer(input));
    buffer_consume(input, done);
    if (!input->size && input->capacity > READ_SIZE)
        buffer_deinit(input);
    set_pause(server, client);
    client_mark_dirty(server, client);
}

static void read_into_own(struct server *server, struct client *client)
{
    struct buffer *input = &client->input;
    size_t got = 0, room = input->capacity - input->size;
    size_t more = room > READ_SIZE ? room : READ_SIZE;
    if (buffer_reserve(input, more)) {
        client->parser.error = "request is too large";
        protocol_error(server, client);
        return;
    }
    enum status status = io_read(server->io, client->stream, input->at + input->size, more, &got);
    if (status == STATUS_CLOSED) {
        end_input(server, client);
        return;
    }
    if (status == STATUS_OK) {
        input->size += got;
        client_parse(server, client);
    }
}

/* Most requests arrive whole: they are parsed where they were read, and the client owns no input
 * buffer. */
static void read_shared(struct server *server, struct client *client)
{
    size_t got = 0;
    enum status status = io_read(server->io, client->stream, server->read_buffer, READ_SIZE, &got);
    if (status == STATUS_CLOSED) {
        end_input(server, client);
        return;
    }
    if (status)
        return;
    IO_NOTE(server->io, "receive");
    size_t done = parse(server, client, slice_of(server->read_buffer, got));
    if (done < got && buffer_append(&client->input, server->read_buffer + done, got - done))
        client->closing = true; /* cannot be: READ_SIZE is below the maximum */
    set_pause(server, client);
    client_mark_dirty(server, client);
}

void client_event(struct server *server, struct client *client, const struct io_event *event)
{
    if (event->kind == IO_CLOSED) {
        /* Told while it is paused: what it sent before its end is still to be read, and after that
         * the end. If it is gone for good the next write finds out. */
        if (!client->paused)
            end_input(server, client);
    } else if (event->kind == IO_WRITABLE) {
        client_mark_dirty(server, client);
    } else if (event->kind == IO_READABLE && !client->paused) {
        if (client->input.size)
            read_into_own(server, client);
        else
            read_shared(server, client);
    }
}
