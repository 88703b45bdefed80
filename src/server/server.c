/* The set of clients: life, events, the release phase of the turn. */
#include "server/inside.h"

#include "base/memory.h"

#include <stdio.h>

#define CLIENTS_MAX_DEFAULT  10000
#define MISDIRECTED_EVERY_NS (60000 * 1000000ull)
#define WALK_NS              (20 * 1000000ull) /* how often time-outs are looked at */

/* ---- the command table ---- */

static struct server_verbs own_verbs(void)
{
    return (struct server_verbs){.verbs = server_own_verbs, .count = server_own_verb_count};
}

struct command_table *server_build_table(const struct server_verbs *tables, size_t count,
                                         struct command **rows)
{
    struct server_verbs all[SERVER_VERBS_MAX] = {own_verbs()};
    size_t row_count = server_own_verb_count, used = 0;
    for (size_t i = 0; i < count; i++) {
        all[i + 1] = tables[i];
        row_count += tables[i].count;
    }
    struct command *extra = memory_zeroed(row_count, sizeof *extra);
    for (size_t t = 0; t <= count; t++)
        for (size_t i = 0; i < all[t].count; i++) {
            extra[used] = all[t].verbs[i].row;
            extra[used++].serve = (int)(t << 16 | i);
        }
    *rows = extra;
    return command_table_create(extra, row_count);
}

/* ---- life ---- */

struct server *server_create(struct io *io, struct node *node, const struct command_table *commands,
                             const struct server_verbs *tables, size_t count,
                             const struct server_options *options)
{
    struct server *server = memory_zeroed(1, sizeof *server);
    server->io = io;
    server->node = node;
    server->commands = commands;
    server->options = *options;
    if (!server->options.workers)
        server->options.workers = 1;
    server->next_client_id = server->options.worker;
    if (!server->options.hold_ns)
        server->options.hold_ns = 1000000000;
    if (!server->options.ack_timeout_ns)
        server->options.ack_timeout_ns = 5000000000;
    server->tables[0] = own_verbs();
    for (size_t i = 0; i < count; i++)
        server->tables[i + 1] = tables[i];
    server->table_count = count + 1;
    server->client_capacity =
        (uint32_t)(options->clients_max ? options->clients_max : CLIENTS_MAX_DEFAULT);
    server->clients = memory_zeroed(server->client_capacity, sizeof(struct client *));
    server->remotes = memory_zeroed(REMOTE_BUCKETS, sizeof(struct remote *));
    server->read_buffer = memory_allocate(ARRIVED_MAX);
    resp_parser_init(&server->ahead, server->options.bulk_size_max);
    list_init(&server->busy);
    list_init(&server->dirty);
    list_init(&server->held);
    list_init(&server->portion.remotes);
    server->facts.started_ns = io_now_ns(io);
    return server;
}

void server_destroy(struct server *server)
{
    if (!server)
        return;
    for (uint32_t i = 0; i < server->client_capacity; i++) {
        if (server->clients[i] && server->clients[i]->used)
            client_close(server, server->clients[i]);
        memory_free(server->clients[i]);
    }
    forward_drop_all(server);
    memory_free(server->clients);
    memory_free(server->remotes);
    memory_free(server->read_buffer);
    resp_parser_deinit(&server->ahead);
    memory_free(server->forward_arguments);
    memory_free(server->leaders);
    memory_free(server);
}

enum status server_listen(struct server *server, const char *address, char why[128])
{
    enum status status =
        io_listen(server->io, address, server->options.tag, &server->listener, why);
    server->listening = status == STATUS_OK;
    return status;
}

void server_address(const struct server *server, char out[IO_ADDRESS_SIZE])
{
    io_stream_address(server->io, server->listener, true, out);
}

/* ---- events ---- */

bool server_handle_event(struct server *server, const struct io_event *event)
{
    uint64_t tag = server->options.tag;
    if (event->tag < tag || event->tag > tag + server->client_capacity)
        return false;
    if (event->kind == IO_ACCEPTED) {
        if (event->message)
            client_arrive(server, event);
        else
            (void)client_accept(server, event->stream);
        return true;
    }
    if (event->kind != IO_READABLE && event->kind != IO_WRITABLE && event->kind != IO_CLOSED)
        return false;
    if (event->tag == tag)
        return true;
    struct client *client = server->clients[event->tag - tag - 1];
    bool same = client && client->used && event->stream.index == client->stream.index &&
                event->stream.generation == client->stream.generation;
    if (same) { /* else: of a connection that an earlier event of this turn closed */
        if (event->kind == IO_READABLE)
            client->heard_ns = node_turn(server->node)->now_ns;
        client_event(server, client, event);
    }
    return true;
}

void server_run(struct server *server)
{
    client_run_arrivals(server);
}

uint64_t server_age_ns(const struct server *server)
{
    return server->lag_ns + (node_turn(server->node)->now_ns - server->turn_ns);
}

bool server_is_in_doubt(const struct server *server)
{
    return node_turn(server->node)->now_ns < server->doubt_until_ns ||
           server_age_ns(server) > DOUBT_NS;
}

void server_begin_turn(struct server *server, uint64_t lag_ns)
{
    uint64_t now_ns = node_turn(server->node)->now_ns;
    server->turn_ns = now_ns;
    server->lag_ns = lag_ns;
    if (lag_ns > DOUBT_NS)
        server->doubt_until_ns = now_ns + DOUBT_NS; /* not everything is read in one turn */
}

void server_handle_peer(struct server *server, const struct peer_happening *happening)
{
    const struct wire_message *message = &happening->message;
    struct peer_id peer = peer_at(happening->node, happening->worker);
    if (happening->kind == PEER_DOWN && happening->link == WIRE_LINK_DATA) {
        forward_link_down(server, peer);
        forward_drop_origin(server, peer);
    }
    if (happening->kind != PEER_MESSAGE)
        return;
    if (message->kind == WIRE_FORWARD) {
        node_look_at_clock(server->node);
        forward_receive(server, peer, &message->forward, happening->behind);
    } else if (message->kind == WIRE_FORWARD_REPLY)
        forward_answered(server, &message->forward_reply);
    else if (message->kind == WIRE_FORWARD_CLOSE)
        forward_close_remote(server, peer, message->forward_close.session);
}

void server_tick(struct server *server)
{
    portion_serve(server);
}

/* ---- release ---- */

/* Whether a gate may have opened or a leadership may have gone since the last time. */
static bool gates_moved(struct server *server)
{
    const struct replica_turn *turn = node_turn(server->node);
    uint64_t written = wal_written_ticket(node_wal(server->node));
    bool moved =
        turn->moved != server->moved ||
        (server->acks_wanted && (turn->copied != server->copied || written != server->written));
    server->moved = turn->moved;
    server->copied = turn->copied;
    server->written = written;
    return moved;
}

static void walk_busy(struct server *server)
{
    struct list *link = server->busy.next;
    while (link != &server->busy) {
        struct session *session = list_item(link, struct session, busy);
        link = link->next;
        size_t before = session->released;
        session_release(server, session);
        if (!session->remote && session->released != before)
            client_mark_dirty(server, client_of_session(session));
    }
}

/* A forward whose target no longer leads, or that nobody answers in time. The old leader gets a
 * moment to answer by itself (a hand-over); then a read goes elsewhere, and a write's fate is
 * unknown (SERVER-2). */
static bool is_abandoned(struct server *server, const struct pending *pending, uint64_t now_ns)
{
    return now_ns > pending->since_ns + server->options.ack_timeout_ns ||
           leader_has_moved(server, pending, now_ns);
}

static void expire_session(struct server *server, struct session *session, uint64_t now_ns)
{
    static const char late[] = "UNKNOWNOUTCOME the leader did not answer in time: the write may or "
                               "may not have happened";
    for (size_t i = 0; i < session->count; i++) {
        struct pending *pending = session_at(session, i);
        if (pending->kind != PENDING_FORWARDED || !is_abandoned(server, pending, now_ns))
            continue;
        server->fresh = true;
        lane_leave(client_of_session(session), pending);
        if (pending->writes) {
            if (!once_goes_again(server, session, pending))
                session_fail(server, session, pending, late);
        } else {
            pending->kind = PENDING_REROUTE;
            route_hold(server, client_of_session(session));
        }
    }
}

static void expire_forwards(struct server *server, uint64_t now_ns)
{
    for (struct list *link = server->busy.next; link != &server->busy; link = link->next) {
        struct session *session = list_item(link, struct session, busy);
        if (session->unstaged)
            expire_session(server, session, now_ns);
    }
}

void server_release(struct server *server)
{
    server->release_ns = io_now_ns(server->io); /* R11: younger than everything that has run */
    bool moved = gates_moved(server);
    bool due = server->release_ns >= server->next_walk_ns;
    if (due)
        expire_forwards(server, server->release_ns);
    if (server->fresh || moved || due) {
        server->fresh = server->acks_wanted = false;
        walk_busy(server);
    }
    if (due)
        server->next_walk_ns = server->release_ns + WALK_NS;
    while (!list_is_empty(&server->dirty))
        client_write(server, list_item(server->dirty.next, struct client, dirty));
    portion_end_turn(server);
}

uint64_t server_deadline_ns(const struct server *server)
{
    if (server->fresh || portion_is_due(server))
        return 0;
    const struct misdirected *misdirected = &server->misdirected;
    uint64_t line_ns = misdirected->count ? misdirected->next_ns : UINT64_MAX;
    bool waits = !list_is_empty(&server->busy) || !list_is_empty(&server->held) ||
                 !list_is_empty(&server->portion.remotes);
    return waits && server->next_walk_ns < line_ns ? server->next_walk_ns : line_ns;
}

bool server_drain(struct server *server)
{
    if (server->listening)
        io_close(server->io, server->listener);
    server->listening = false;
    server->draining = true;
    return list_is_empty(&server->busy) && list_is_empty(&server->dirty) &&
           list_is_empty(&server->held) && list_is_empty(&server->portion.remotes);
}

bool server_take_line(struct server *server, char out[SERVER_LINE_SIZE])
{
    struct misdirected *misdirected = &server->misdirected;
    uint64_t now_ns = node_turn(server->node)->now_ns;
    if (!misdirected->count || now_ns < misdirected->next_ns)
        return false;
    snprintf(out, SERVER_LINE_SIZE,
             "closed %llu connection%s that sent POST or Host:, the last from %s: an HTTP client, "
             "or a page in a browser that tries to send commands",
             (unsigned long long)misdirected->count, misdirected->count == 1 ? "" : "s",
             misdirected->address);
    misdirected->count = 0;
    misdirected->next_ns = now_ns + MISDIRECTED_EVERY_NS;
    return true;
}

const struct command_table *server_commands(const struct server *server)
{
    return server->commands;
}
