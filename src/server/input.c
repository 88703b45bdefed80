/* What clients send: reading, parsing, and one look ahead at the keys. */
#include "server/inside.h"

#include <assert.h>

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
    client_set_pause(server, client);
}

/* What is too large is answered at once; the rest of it goes unseen, and the stream goes on. */
static void refuse_large(struct server *server, struct client *client)
{
    if (client->transaction.open)
        client->transaction.failed = true;
    routed_answer(server, client, client->parser.too_large);
}

/* A guess that nothing depends on: the first argument is a key. */
static void guess(struct server *server, struct store_ahead *ahead, const struct client *client)
{
    const struct resp_parser *parser = &server->ahead;
    if (parser->count < 2 || store_ahead_is_full(ahead))
        return;
    struct store_key key = store_key_of(client->database, parser->arguments[1]);
    struct store *store = keyspace_store_here(server, client, &key);
    if (store)
        store_ahead_add(ahead, store, &key);
}

static struct slice arrival_bytes(const struct server *server, const struct arrival *arrival)
{
    return slice_of(server->read_buffer + arrival->offset, arrival->size);
}

/* Another one may have closed it. */
static bool is_present(const struct arrival *arrival)
{
    return arrival->client->used && arrival->client->generation == arrival->generation;
}

static void guess_first(struct server *server, struct store_ahead *ahead,
                        const struct arrival *arrival)
{
    size_t consumed, need;
    if (!is_present(arrival))
        return;
    resp_parser_restart(&server->ahead);
    if (!resp_parse(&server->ahead, arrival_bytes(server, arrival), &consumed, &need))
        guess(server, ahead, arrival->client);
}

/* Pipelined requests: the keys of the next ones are fetched side by side before the first of them
 * runs, and with them the next client's first: what look_across fetched of it is long gone again
 * when many clients send many. Returns of how many requests of this client. */
static size_t look_ahead(struct server *server, const struct client *client, struct slice bytes)
{
    struct store_ahead ahead;
    struct resp_parser *parser = &server->ahead;
    size_t requests = 0, consumed = 0, need = 0;
    ahead.count = 0;
    resp_parser_restart(parser);
    while (requests < STORE_PREFETCH_MAX && !resp_parse(parser, bytes, &consumed, &need)) {
        guess(server, &ahead, client);
        bytes = slice_of(bytes.at + consumed, bytes.size - consumed);
        requests++;
    }
    if (server->arrival_next < server->arrival_count)
        guess_first(server, &ahead, &server->arrivals[server->arrival_next]);
    if (ahead.count)
        store_prefetch(&ahead);
    return requests;
}

/* Consumes requests from `bytes`; returns how many bytes are done with. */
static size_t parse(struct server *server, struct client *client, struct slice bytes)
{
    size_t done = 0, ahead = 0;
    while (!client->closing && !client->held && done < bytes.size) {
        size_t consumed = 0, need = 0;
        if (client_has_enough(client))
            break;
        enum status status = resp_parse(
            &client->parser, slice_of(bytes.at + done, bytes.size - done), &consumed, &need);
        if (status == STATUS_TOO_LARGE)
            refuse_large(server, client);
        if (status == STATUS_TOO_LARGE || (status == STATUS_AGAIN && consumed)) {
            done += consumed;
            continue;
        }
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
    if (client->moves) {
        client_move(server, client);
        return;
    }
    if (!input->size && input->capacity > READ_SIZE)
        buffer_deinit(input);
    client_set_pause(server, client);
    client_mark_dirty(server, client);
}

/* SERVER-6: asked of the kernel only where what was read may be old, be it that the process was
 * stopped within this turn. */
static void look_if_old(struct server *server, struct client *client)
{
    if (client->doubted || server_is_in_doubt(server))
        route_look_for_end(server, client);
    client->doubted = false;
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
        client_end_input(server, client);
        return;
    }
    if (status == STATUS_OK) {
        node_look_at_clock(server->node);
        look_if_old(server, client);
        input->size += got;
        client_parse(server, client);
    }
}

/* ---- arrivals: what the clients of one turn have sent, side by side in one buffer ---- */

static void consume(struct server *server, struct client *client, struct slice bytes)
{
    look_if_old(server, client);
    size_t done = parse(server, client, bytes);
    if (done < bytes.size && buffer_append(&client->input, bytes.at + done, bytes.size - done))
        client->closing = true; /* cannot be: READ_SIZE is below the maximum */
    if (client->moves) {
        client_move(server, client);
        return;
    }
    client_set_pause(server, client);
    client_mark_dirty(server, client);
}

/* The first request of each, as look_ahead does it for the requests of one. */
static void look_across(struct server *server)
{
    struct store_ahead ahead;
    if (server->arrival_count < 2)
        return;
    ahead.count = 0;
    for (size_t i = 0; i < server->arrival_count; i++)
        guess_first(server, &ahead, &server->arrivals[i]);
    if (ahead.count)
        store_prefetch(&ahead);
}

void client_run_arrivals(struct server *server)
{
    if (server->arrival_count)
        node_look_at_clock(server->node); /* it may have been stopped since they were read */
    look_across(server);
    for (size_t i = 0; i < server->arrival_count; i++) {
        const struct arrival *arrival = &server->arrivals[i];
        struct client *client = arrival->client;
        server->arrival_next = i + 1;
        if (!is_present(arrival))
            continue;
        client->has_arrived = false;
        consume(server, client, arrival_bytes(server, arrival));
    }
    server->arrival_count = server->arrival_next = server->arrived = 0;
}

/* Most requests arrive whole: they are parsed where they were read, and the client owns no input
 * buffer. */
static void read_shared(struct server *server, struct client *client)
{
    size_t got = 0;
    if (server->arrival_count == ARRIVALS_MAX || ARRIVED_MAX - server->arrived < READ_SIZE)
        client_run_arrivals(server);
    enum status status =
        io_read(server->io, client->stream, server->read_buffer + server->arrived, READ_SIZE, &got);
    if (status == STATUS_CLOSED) {
        client_end_input(server, client);
        return;
    }
    if (status)
        return;
    node_look_at_clock(server->node);
    IO_NOTE(server->io, "receive");
    server->arrivals[server->arrival_count++] =
        (struct arrival){client, client->generation, server->arrived, got};
    server->arrived += got;
    client->has_arrived = true;
}

void client_event(struct server *server, struct client *client, const struct io_event *event)
{
    if (client->has_arrived)
        client_run_arrivals(server); /* in their order */
    if (!client->used)
        return;
    if (event->kind == IO_CLOSED) {
        /* Told while it is paused: what it sent before its end is still to be read, and after that
         * the end. If it is gone for good the next write finds out. */
        if (!client->paused)
            client_end_input(server, client);
    } else if (event->kind == IO_WRITABLE) {
        client_mark_dirty(server, client);
    } else if (event->kind == IO_READABLE && !client->paused) {
        if (client->input.size || client->held)
            read_into_own(server, client);
        else
            read_shared(server, client);
    }
}
