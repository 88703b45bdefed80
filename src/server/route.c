/* Where a request runs: here, on the leader's node, or later (held). */
#include "server/inside.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

void route_push_reply(struct server *server, struct session *session, struct pending *pending,
                      const struct reply *reply, size_t before)
{
    if (reply->overflowed) {
        /* More than a connection may hold: the command ran, its reply cannot be told. */
        reply->out->size = before;
        struct reply short_one = {.out = reply->out, .protocol = 2};
        reply_error(&short_one, "ERR the command ran, but its reply is larger than 1 GiB");
    }
    pending->size = reply->out->size - before;
    portion_note(server, session, pending->size);
    if (reply->failed)
        server_note_error(server, slice_of(reply->out->at + before, pending->size));
    bool alone =
        !session->count && !session->remote && !pending->scatter && pending->kind == PENDING_READY;
    if (!alone) {
        session_push(server, session, pending);
        return;
    }
    session->released = session->out.size; /* nothing waits: no need to queue */
    if (pending->once)
        buffer_deinit(&pending->request);
}

/* ---- served where the client is ---- */

static bool is_served_here(const struct server *server, const struct command *command)
{
    size_t table = (size_t)command->serve >> 16, row = (size_t)command->serve & 0xffff;
    return command->flags & COMMAND_CONNECTION ||
           (command->flags & COMMAND_SYSTEM && server->tables[table].verbs[row].serve);
}

bool route_serve_peer(struct server *server, struct session *session, struct pending *pending,
                      const struct command *command, const struct slice *arguments, size_t count)
{
    struct reply reply = session_reply(session, pending, pending->protocol);
    size_t before = reply.out->size;
    size_t table = (size_t)command->serve >> 16, row = (size_t)command->serve & 0xffff;
    struct server_call call = {.server = server,
                               .node = server->node,
                               .io = server->io,
                               .owner = server->tables[table].owner,
                               .command = command,
                               .arguments = arguments,
                               .count = count,
                               .reply = &reply};
    pending->kind = PENDING_READY;
    server->tables[table].verbs[row].serve(&call);
    if (call.pass) {
        buffer_deinit(&pending->own);
        return false;
    }
    route_push_reply(server, session, pending, &reply, before);
    return true;
}

static enum routed serve_verb(struct server *server, struct client *client,
                              const struct command *command, const struct slice *arguments,
                              size_t count)
{
    struct pending pending = {.kind = PENDING_READY};
    struct reply reply = session_reply(&client->session, &pending, client->protocol);
    size_t before = reply.out->size;
    size_t table = (size_t)command->serve >> 16, row = (size_t)command->serve & 0xffff;
    struct server_call call = {.server = server,
                               .node = server->node,
                               .io = server->io,
                               .owner = table ? server->tables[table].owner : client,
                               .command = command,
                               .arguments = arguments,
                               .count = count,
                               .reply = &reply};
    server->tables[table].verbs[row].serve(&call);
    client->works = call.later && call.works;
    if (call.later || call.pass)
        buffer_deinit(&pending.own);
    if (call.later)
        return ROUTED_HOLD;
    if (call.pass)
        return route_data(server, client, command, arguments, count);
    route_push_reply(server, &client->session, &pending, &reply, before);
    return ROUTED_DONE;
}

static void refuse_unknown(struct reply *reply, const struct slice *arguments, size_t count)
{
    char words[160] = "";
    size_t used = 0;
    const char *use;
    if (command_is_absent(arguments[0], &use)) {
        reply_error(reply, "ERR unknown command '%.*s': not available here%s%s",
                    (int)arguments[0].size, (const char *)arguments[0].at, use ? "; " : "",
                    use ? use : "");
        return;
    }
    for (size_t i = 1; i < count && used < 128; i++) {
        int size = (int)(arguments[i].size < 128 - used ? arguments[i].size : 128 - used);
        used += (size_t)snprintf(words + used, sizeof words - used, "'%.*s' ", size,
                                 (const char *)arguments[i].at);
    }
    reply_error(reply, "ERR unknown command '%.*s', with args beginning with: %s",
                (int)(arguments[0].size < 128 ? arguments[0].size : 128),
                (const char *)arguments[0].at, words);
}

/* What the command takes, where it is not what Redis users know. NULL: Redis says no more. */
static const char *form_of(const struct command *command)
{
    static const struct {
        const char *name, *form;
    } forms[] = {{"WAIT", "WAIT number|QUORUM|ALL ms"},
                 {"WAITAOF", "WAITAOF 0|1 number ms"},
                 {"ONCE", "ONCE client number [OPEN lowest] command ..."},
                 {"SELECT", "SELECT number|name"}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(forms[i].name, command->name) == 0)
            return forms[i].form;
    /* Of these the summary begins with the words that may come next. */
    bool has_verbs = (command->flags & COMMAND_ADMIN) && command->arity == -2;
    return has_verbs ? command->summary : NULL;
}

static void refuse(struct server *server, struct client *client, const struct command *command,
                   const struct slice *arguments, size_t count)
{
    struct pending pending = {.kind = PENDING_READY};
    struct reply reply = session_reply(&client->session, &pending, client->protocol);
    size_t before = reply.out->size;
    char name[64];
    if (command) {
        for (size_t i = 0; i < sizeof name - 1; i++) {
            char c = command->name[i];
            name[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
            if (!c)
                break;
        }
        name[sizeof name - 1] = 0;
        const char *form = form_of(command);
        reply_error(&reply, "ERR wrong number of arguments for '%s' command%s%s", name,
                    form ? ": " : "", form ? form : "");
    } else {
        refuse_unknown(&reply, arguments, count);
    }
    route_push_reply(server, &client->session, &pending, &reply, before);
}

static void queue(struct server *server, struct client *client, const struct command *command,
                  const struct slice *arguments, size_t count)
{
    struct pending pending = {.kind = PENDING_READY};
    struct reply reply = session_reply(&client->session, &pending, client->protocol);
    size_t before = reply.out->size;
    char why[ROUTE_WHY_SIZE];
    if (keyspace_takes(server, client, command, arguments, count, why)) {
        transaction_queue(client, command, arguments, count, &reply);
    } else {
        client->transaction.failed = true;
        reply_error(&reply, "%s", why);
    }
    route_push_reply(server, &client->session, &pending, &reply, before);
}

/* ---- run here ---- */

static void tell_lost(struct server *server, struct session *session, struct pending *pending)
{
    struct reply reply = session_reply(session, pending, pending->protocol);
    size_t before = reply.out->size;
    pending->kind = PENDING_READY;
    reply_error(&reply,
                TOKEN_LOST " a failover cut writes that this connection was told of, see LOSS SHOW "
                           "%llu-%llu; this command did not run",
                (unsigned long long)pending->group.value, (unsigned long long)pending->token.term);
    route_push_reply(server, session, pending, &reply, before);
}

bool route_run(struct server *server, struct session *session, struct pending *pending,
               const struct command *command, const struct slice *arguments, size_t count)
{
    struct replica *replica = node_group(server->node, pending->group);
    if (!replica || !replica_is_serving(replica))
        return false;
    if (token_is_lost(session, replica, pending)) {
        tell_lost(server, session, pending);
        return true;
    }
    if (pending->writes)
        keyspace_choose_ack(server, replica, pending);
    struct routed_call routed = {command, arguments, count, NULL};
    struct store_once_request once;
    if (pending->once && !once_unwrap(server, &routed, &once))
        return false;
    if (command->flags & COMMAND_ROUTED)
        return routed_run(server, session, pending, &routed);
    struct reply reply = session_reply(session, pending, pending->protocol);
    size_t before = reply.out->size;
    if (pending->writes && !routed_has_copies(server, replica, pending, &reply)) {
        pending->kind = PENDING_READY;
        route_push_reply(server, session, pending, &reply, before);
        return true;
    }
    struct command_call call = {.command = routed.command,
                                .database = pending->database,
                                .arguments = routed.arguments,
                                .count = routed.count,
                                .once = pending->once ? &once : NULL,
                                .beyond = keyspace_beyond(server, pending->group),
                                .value_size_max = server->options.bulk_size_max,
                                .reply = &reply};
    struct replica_turn *turn = node_turn(server->node);
    enum replica_outcome outcome = replica_execute(replica, turn, &call, &pending->gate);
    if (outcome == REPLICA_NOT_SERVING) {
        buffer_deinit(&pending->own);
        return false;
    }
    pending->kind = PENDING_GATED;
    session_note_write(server, session, pending);
    if (outcome == REPLICA_NO_SPACE) {
        reply_error(&reply, ROUTE_NO_SPACE);
        pending->kind = PENDING_READY;
    }
    route_push_reply(server, session, pending, &reply, before);
    return true;
}

/* ---- the decision ---- */

/* It was never handed to anybody (SERVER-3), but for a verb that works by itself. */
static const char *why_late(const struct server *server, const struct client *client)
{
    if (client->works)
        return "UNKNOWNOUTCOME what was asked for is under way and took too long";
    if (client->ended)
        return "TRYAGAIN the client had left before the command could run; it did not run";
    return node_is_started(server->node)
               ? "TRYAGAIN no leader answered in time; the command did not run"
               : "TRYAGAIN this node waits for the nodes named by --join; the command did not run";
}

static enum routed refuse_with(struct server *server, struct client *client, const char *why)
{
    struct pending pending = {.kind = PENDING_READY};
    struct reply reply = session_reply(&client->session, &pending, client->protocol);
    size_t before = reply.out->size;
    reply_error(&reply, "%s", why);
    route_push_reply(server, &client->session, &pending, &reply, before);
    return ROUTED_DONE;
}

/* What waits for the catalogue waits for keyspace system. */
static bool waits_for(struct server *server, struct client *client, const struct command *command,
                      const struct slice *arguments, size_t count, struct group_id *group)
{
    char why[ROUTE_WHY_SIZE];
    *group = GROUP_SYSTEM;
    if (client->select_ticket || is_served_here(server, command))
        return true;
    return (!(command->flags & COMMAND_PARTITIONS) || client->keyspace == KEYSPACE_DEFAULT) &&
           keyspace_find_group(server, client, command, arguments, count, group, why);
}

static enum routed refuse_late(struct server *server, struct client *client,
                               const struct command *command, const struct slice *arguments,
                               size_t count)
{
    struct group_id group;
    char why[ROUTE_WHY_SIZE];
    bool told = !client->works && !client->ended &&
                waits_for(server, client, command, arguments, count, &group) &&
                unled_tell(server, group, why);
    return refuse_with(server, client, told ? why : why_late(server, client));
}

enum routed route_data(struct server *server, struct client *client, const struct command *command,
                       const struct slice *arguments, size_t count)
{
    if (client->late)
        return refuse_late(server, client, command, arguments, count);
    if (client->select_ticket &&
        !control_is_confirmed(server->options.control, client->select_ticket))
        return ROUTED_HOLD; /* its keyspace may be newer than the catalogue here */
    client->select_ticket = 0;
    struct scatter *scatter =
        command->flags & COMMAND_PARTITIONS && client->keyspace != KEYSPACE_DEFAULT
            ? scatter_plan(server, client, command, arguments, count)
            : NULL;
    if (scatter)
        return scatter_start(server, client, scatter, command, arguments, count);
    struct group_id group;
    char why[ROUTE_WHY_SIZE];
    if (!keyspace_find_group(server, client, command, arguments, count, &group, why))
        return refuse_with(server, client, why);
    if (client_moves(server, client, group))
        return ROUTED_HOLD;
    IO_NOTE(server->io, "route");
    struct replica *replica = node_group(server->node, group);
    bool here = replica && replica_is_serving(replica);
    struct peer_id target = {0};
    if (!here)
        target = node_leader_elsewhere(server->node, group);
    if (lane_is_awaited(client, group, target))
        return ROUTED_HOLD;
    struct pending pending = {.group = group,
                              .database = client->database,
                              .protocol = client->protocol,
                              .writes = command->flags & COMMAND_WRITE,
                              .once = command->flags & COMMAND_ONCE,
                              .ack = client->ack,
                              .token = token_of(client, group),
                              .since_ns = node_turn(server->node)->now_ns};
    if (command->flags & COMMAND_ROUTED)
        pending.since_ns += wait_patience_ns(command, arguments, count);
    if (!here && (!node_formation(server->node) || !target.node.value))
        return ROUTED_HOLD;
    if (here && portion_defers(server, &client->session,
                               &(struct portion_request){group, client->database, command,
                                                         arguments, count})) {
        portion_wait(server, client, true);
        return ROUTED_HOLD;
    }
    if (!here || pending.once) {
        buffer_init(&pending.request, REPLY_SIZE_MAX);
        wire_request_encode(arguments, count, &pending.request);
    }
    bool done = here ? route_run(server, &client->session, &pending, command, arguments, count)
                     : forward_send(server, client, &pending, target);
    if (!done)
        buffer_deinit(&pending.request);
    return done ? ROUTED_DONE : ROUTED_HOLD;
}

enum routed route_request(struct server *server, struct client *client,
                          const struct slice *arguments, size_t count)
{
    const struct command *command = command_find(server->commands, arguments[0]);
    server->facts.commands_total++;
    if (!command || command->flags & COMMAND_INTERNAL) {
        client->transaction.failed |= client->transaction.open;
        refuse(server, client, NULL, arguments, count);
        return ROUTED_DONE;
    }
    if (!command_arity_fits(command, count)) {
        client->transaction.failed |= client->transaction.open;
        refuse(server, client, command, arguments, count);
        return ROUTED_DONE;
    }
    if (client->transaction.open && !(command->flags & COMMAND_NO_QUEUE)) {
        queue(server, client, command, arguments, count);
        return ROUTED_DONE;
    }
    enum routed routed =
        is_served_here(server, command)   ? serve_verb(server, client, command, arguments, count)
        : command->flags & COMMAND_ROUTED ? routed_start(server, client, command, arguments, count)
        : command->flags & COMMAND_ONCE   ? once_start(server, client, command, arguments, count)
                                          : route_data(server, client, command, arguments, count);
    if (routed == ROUTED_HOLD && client->late)
        return refuse_late(server, client, command, arguments, count); /* SELECT waits too */
    if (routed == ROUTED_HOLD && !client->moves)
        route_hold(server, client);
    return routed;
}

/* ---- held requests ---- */

#define GROUP_BITS 4096 /* ids that are so far apart are taken for one */

void route_hold(struct server *server, struct client *client)
{
    if (client->held)
        return;
    client->held = true;
    client->held_since_ns = node_turn(server->node)->now_ns;
    list_append(&server->held, &client->held_link);
    server->facts.held++;
}

static void release_hold(struct server *server, struct client *client)
{
    client->held = false;
    portion_wait(server, client, false);
    list_remove(&client->held_link);
    server->facts.held--;
}

/* The first held request has waited long enough, and all that stand behind it came while it waited:
 * they are answered together. */
static void give_up(struct server *server, struct client *client)
{
    release_hold(server, client);
    client->select_ticket = 0;
    client->late = true;
    client_parse(server, client);
    client->late = client->ended;
    if (client->at_end && !client->held)
        client_end_input(server, client); /* it is not told again */
}

void route_look_for_end(struct server *server, struct client *client)
{
    if (!client->ended && io_stream_has_ended(server->io, client->stream))
        client->ended = client->late = true;
}

static const char too_late[] = "TRYAGAIN no leader answered in time; the command did not run";
static const char still_unknown[] =
    "UNKNOWNOUTCOME no leader answered in time: the write may or may not have happened; ONCE with "
    "the same number tells";

static void fail_late(struct server *server, struct session *session, struct pending *pending)
{
    char why[ROUTE_WHY_SIZE];
    if (pending->unsure)
        session_fail(server, session, pending, still_unknown);
    else
        session_fail(server, session, pending,
                     unled_tell(server, pending->group, why) ? why : too_late);
}

/* Requests that the old leader refused go first, in their order. True: none is left. */
static bool reroute(struct server *server, struct client *client, uint64_t now_ns)
{
    struct session *session = &client->session;
    bool all = true;
    uint64_t answered[GROUP_BITS / 64] = {0};   /* groups of which a later request was */
    for (size_t i = session->count; i-- > 0;) { /* newest first: is anything behind it answered? */
        struct pending *pending = session_at(session, i);
        uint64_t *word = &answered[pending->group.value % GROUP_BITS / 64];
        uint64_t bit = 1ull << (pending->group.value % 64);
        if (pending->kind == PENDING_FORWARDED)
            return false; /* its fate decides what may be sent again */
        uint64_t patience_ns =
            pending->unsure ? server->options.ack_timeout_ns : server->options.hold_ns;
        bool late = client->ended || now_ns > pending->since_ns + patience_ns;
        /* What is answered behind an ONCE changes nothing for it: where that ran, so had this. */
        bool overtaken = *word & bit && !pending->once;
        if (pending->kind == PENDING_REROUTE && (overtaken || late))
            fail_late(server, session, pending);
        *word |= pending->kind == PENDING_READY || pending->kind == PENDING_GATED ? bit : 0;
    }
    for (size_t i = 0, sent = 0; i < session->count && all; i++) {
        struct pending *pending = session_at(session, i);
        if (pending->kind == PENDING_REROUTE)
            all = sent++ < client->forwards_max && forward_again(server, client, pending);
    }
    return all;
}

void route_retry(struct server *server, struct client *client)
{
    uint64_t now_ns = node_turn(server->node)->now_ns;
    route_look_for_end(server, client); /* whichever keyspace it waits for (SERVER-6) */
    if (!reroute(server, client, now_ns))
        return;
    if (!client->input.size) {
        release_hold(server, client);
        client_parse(server, client);
        return;
    }
    bool waited = now_ns > client->held_since_ns + server->options.hold_ns;
    if (client->ended || (waited && !client->deferred)) {
        give_up(server, client);
        return;
    }
    uint64_t since_ns = client->held_since_ns;
    size_t before = client->input.size;
    release_hold(server, client);
    client_parse(server, client);
    if (client->held && client->input.size == before && !client->works)
        client->held_since_ns = since_ns; /* the same request still waits */
}

void route_retry_held(struct server *server)
{
    /* Who must go on waiting is appended again: each is looked at once. */
    for (uint64_t left = server->facts.held; left && !list_is_empty(&server->held); left--) {
        struct client *client = list_item(server->held.next, struct client, held_link);
        list_remove(&client->held_link);
        list_append(&server->held, &client->held_link);
        route_retry(server, client);
    }
}
