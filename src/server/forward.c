/* Forwarding, R16. The origin keeps each request until it is answered; the leader runs them in the
 * order of (epoch, sequence) and, once it has refused one, refuses all that follow in that epoch:
 * so a refusal proves that nothing from there on was appended. */
#include "server/inside.h"

#include "base/checksum.h"
#include "base/memory.h"

#define AGAIN_NS (5 * 1000000ull)

/* ---- origin ---- */

static bool link_takes(struct server *server, struct peer_id target, size_t size)
{
    struct peer_set *peers = node_peers(server->node);
    return peers && peer_is_up(peers, target, WIRE_LINK_DATA) &&
           peer_room(peers, target, WIRE_LINK_DATA) > size + 4096;
}

/* ONCE may come at any time: it has one effect, and its client says which is the newest. */
static uint16_t waited_ms(const struct server *server, const struct client *client,
                          const struct pending *pending)
{
    uint64_t ms = (node_turn(server->node)->now_ns - client->heard_ns) / 1000000;
    return pending->once ? 0 : ms < UINT16_MAX ? (uint16_t)(ms + 1) : UINT16_MAX;
}

static void put_on_link(struct server *server, struct client *client, struct pending *pending)
{
    struct wire_forward forward = {.group = pending->group,
                                   .session = client_session_id(client),
                                   .epoch = pending->epoch,
                                   .sequence = pending->sequence,
                                   .flags =
                                       (uint8_t)((pending->protocol == 3 ? WIRE_FORWARD_RESP3 : 0) |
                                                 (pending->writes ? WIRE_FORWARD_WRITE : 0) |
                                                 pending->ack << WIRE_FORWARD_ACK),
                                   .database = pending->database,
                                   .waited_ms = waited_ms(server, client, pending),
                                   .token_term = pending->token.term,
                                   .token_index = pending->token.index,
                                   .request = slice_of_buffer(&pending->request)};
    wire_add_forward(peer_frame(node_peers(server->node), pending->target, WIRE_LINK_DATA),
                     &forward);
    server->facts.forwarded_total++;
    IO_NOTE(server->io, "forward");
}

bool forward_send(struct server *server, struct client *client, struct pending *pending,
                  struct peer_id target)
{
    if (!link_takes(server, target, pending->request.size))
        return false;
    lane_enter(client, pending, target);
    if (pending->writes)
        session_note_group(&client->session, pending->group, 0, 0);
    buffer_init(&pending->own, REPLY_SIZE_MAX);
    pending->staged = false;
    put_on_link(server, client, session_push(server, &client->session, pending));
    return true;
}

/* What the session knows of its writes and watches goes along, or a WATCH would be forgotten and a
 * WAIT would not ask for this write. */
static void lend(struct session *to, struct session *from)
{
    to->watches = from->watches;
    to->writes = from->writes;
    from->watches = (struct watches){0};
    from->writes = (struct writes){0};
}

static bool run_again(struct server *server, struct session *session, struct pending *pending)
{
    struct slice arguments[64], *all = arguments, request = slice_of_buffer(&pending->request);
    size_t count = 0, max = 64;
    if (request.size / 2 > max) {
        max = request.size; /* an argument takes at least one byte */
        all = memory_allocate(max * sizeof *all);
    }
    struct session aside;
    bool ran = false;
    session_init(&aside, true); /* every reply becomes pending there, also a ready one */
    lend(&aside, session);
    if (wire_request_take(request, all, max, &count) == STATUS_OK && count) {
        struct pending run = *pending;
        run.scatter = NULL;
        buffer_init(&run.own, REPLY_SIZE_MAX);
        buffer_init(&run.request, REPLY_SIZE_MAX);
        const struct command *command = command_find(server->commands, all[0]);
        ran = command && route_run(server, &aside, &run, command, all, count);
    }
    if (ran) {
        struct pending *done = session_at(&aside, 0);
        session_set_reply(pending, slice_of(aside.out.at, done->size));
        pending->kind = done->kind;
        pending->wait = done->wait;
        done->wait = NULL;
        pending->gate = done->gate;
    }
    lend(session, &aside);
    session_deinit(&aside);
    if (all != arguments)
        memory_free(all);
    return ran;
}

bool forward_is_dropped(struct server *server, struct group_id group)
{
    const struct control_partition *partition =
        catalogue_find_group(control_catalogue(server->options.control), group);
    return partition && partition->dropped;
}

/* Who has just refused it will do so again, at the pace of the link, until there is a leader. */
static bool is_too_early(struct server *server, const struct pending *pending)
{
    struct node_id known = node_known_leader_of(server->node, pending->group);
    return node_turn(server->node)->now_ns < pending->again_ns &&
           (!known.value || node_id_equal(known, pending->target.node));
}

bool forward_again(struct server *server, struct client *client, struct pending *pending)
{
    if (forward_is_dropped(server, pending->group)) {
        session_fail(server, &client->session, pending, SESSION_DROPPED);
        server->fresh = true;
        return true;
    }
    if (is_too_early(server, pending))
        return false;
    struct replica *replica = node_group(server->node, pending->group);
    struct peer_id here = {0};
    if (replica && replica_is_serving(replica))
        return !lane_is_awaited(client, pending->group, here) &&
               run_again(server, &client->session, pending);
    struct peer_id target = node_leader_elsewhere(server->node, pending->group);
    if (!target.node.value || lane_is_awaited(client, pending->group, target) ||
        !link_takes(server, target, pending->request.size))
        return false;
    lane_enter(client, pending, target);
    put_on_link(server, client, pending);
    return true;
}

static struct pending *find_forward(struct client *client, uint32_t epoch, uint64_t sequence)
{
    struct session *session = &client->session;
    for (size_t i = 0; i < session->count; i++) {
        struct pending *pending = session_at(session, i);
        if (pending->kind == PENDING_FORWARDED && pending->epoch == epoch &&
            pending->sequence == sequence)
            return pending;
    }
    return NULL;
}

static const char unknown_outcome[] =
    "UNKNOWNOUTCOME the leader was lost: the write may or may not have happened";

/* So many requests go out at once that replies like this one fit (SERVER-4). */
static void learn_reply_size(struct client *client, size_t size)
{
    size_t fit = UNSENT_PAUSE / (size + 1);
    if (client->forwards_max < PENDING_PAUSE)
        client->forwards_max++;
    if (client->forwards_max > fit)
        client->forwards_max = fit > FORWARDS_MIN ? fit : FORWARDS_MIN;
}

static void hear_token(struct client *client, const struct pending *pending,
                       const struct wire_forward_reply *reply)
{
    struct token token = {
        .group = pending->group, .term = reply->token_term, .index = reply->token_index};
    const size_t size = sizeof "-" TOKEN_LOST - 1;
    if (reply->reply.size > size && memcmp(reply->reply.at, "-" TOKEN_LOST, size) == 0)
        token_forget(client, &pending->token);
    token_note(client, &token);
}

void forward_answered(struct server *server, const struct wire_forward_reply *reply)
{
    struct client *client = client_find(server, reply->session);
    struct pending *pending = client ? find_forward(client, reply->epoch, reply->sequence) : NULL;
    if (!pending)
        return; /* the client left, or we have given it up */
    server->fresh = true;
    lane_leave(client, pending);
    if (reply->outcome == WIRE_OUTCOME_DONE) {
        learn_reply_size(client, reply->reply.size);
        hear_token(client, pending, reply);
        session_set_reply(pending, reply->reply);
    } else if (reply->outcome == WIRE_OUTCOME_UNKNOWN) {
        if (!once_goes_again(server, &client->session, pending))
            session_fail(server, &client->session, pending, unknown_outcome);
    } else { /* SERVER-2: the proof that it was not appended */
        node_hint_leader(server->node, pending->group, reply->leader);
        if (node_id_equal(reply->leader, pending->target.node))
            client->forwards_max = FORWARDS_MIN; /* it leads, and has enough of us for now */
        else
            pending->again_ns = node_turn(server->node)->now_ns + AGAIN_NS;
        lane_break(client, pending->target); /* it refuses all of this epoch */
        pending->kind = PENDING_REROUTE;
        server->facts.refused_total++;
        route_hold(server, client);
    }
}

/* Nobody can tell any more what became of writes on that link; reads have no effect and may go
 * elsewhere. */
void forward_link_down(struct server *server, struct peer_id peer)
{
    for (uint32_t i = 0; i < server->client_capacity; i++) {
        struct client *client = server->clients[i];
        if (!client || !client->used)
            continue;
        struct session *session = &client->session;
        lane_break(client, peer);
        for (size_t k = 0; k < session->count; k++) {
            struct pending *pending = session_at(session, k);
            if (pending->kind != PENDING_FORWARDED || !peer_id_equal(pending->target, peer))
                continue;
            bool again = !pending->writes || (server->options.faults & REPLICA_FAULT_FORWARD_TWICE);
            server->fresh = true;
            lane_leave(client, pending);
            if (!again) {
                if (!once_goes_again(server, session, pending))
                    session_fail(server, session, pending, unknown_outcome);
                continue;
            }
            pending->kind = PENDING_REROUTE;
            route_hold(server, client);
        }
    }
}

/* ---- leader ---- */

struct remote *forward_remote_of(struct session *session)
{
    return (struct remote *)((char *)session - offsetof(struct remote, session));
}

static struct remote **bucket_of(struct server *server, struct peer_id origin, uint64_t id)
{
    uint64_t parts[3] = {origin.node.value, origin.worker, id};
    return &server->remotes[checksum(parts, sizeof parts) % REMOTE_BUCKETS];
}

static struct remote **find_remote(struct server *server, struct peer_id origin, uint64_t id)
{
    struct remote **at = bucket_of(server, origin, id);
    while (*at && !((*at)->id == id && peer_id_equal((*at)->origin, origin)))
        at = &(*at)->next;
    return at;
}

static void unlink_remote(struct remote **at)
{
    struct remote *remote = *at;
    *at = remote->next;
    list_remove(&remote->waits);
    buffer_deinit(&remote->aside);
    session_deinit(&remote->session);
    memory_free(remote);
}

void forward_close_remote(struct server *server, struct peer_id origin, uint64_t id)
{
    struct remote **at = find_remote(server, origin, id);
    if (*at)
        unlink_remote(at);
}

static struct remote *take_remote(struct server *server, struct peer_id origin,
                                  const struct wire_forward *forward)
{
    struct remote **at = find_remote(server, origin, forward->session);
    if (*at)
        return *at;
    struct remote *remote = memory_zeroed(1, sizeof *remote);
    session_init(&remote->session, true);
    buffer_init(&remote->aside, REPLY_SIZE_MAX);
    list_init(&remote->waits);
    remote->origin = origin;
    remote->id = forward->session;
    *at = remote;
    return remote;
}

void forward_emit(struct server *server, struct remote *remote, struct pending *pending,
                  struct slice reply, enum wire_outcome outcome)
{
    struct wire_frame *frame = peer_frame(node_peers(server->node), remote->origin, WIRE_LINK_DATA);
    if (!frame || pending->epoch != remote->epoch)
        return;
    struct wire_forward_reply answer = {.session = remote->id,
                                        .epoch = pending->epoch,
                                        .sequence = pending->sequence,
                                        .outcome = outcome};
    static const char large[] = "-ERR the command ran, but its reply is too large to be forwarded; "
                                "ask the leader itself\r\n";
    if (reply.size > REPLY_FORWARD_MAX ||
        reply.size + 4096 > peer_room(node_peers(server->node), remote->origin, WIRE_LINK_DATA))
        reply = slice_of(large, sizeof large - 1);
    if (outcome == WIRE_OUTCOME_DONE) {
        struct token token = token_of_write(pending);
        answer.reply = reply;
        answer.token_term = token.term;
        answer.token_index = token.index;
    }
    if (outcome == WIRE_OUTCOME_REFUSED) {
        remote->refusing = true;
        answer.leader = node_leader_to_tell(server->node, pending->group);
    }
    wire_add_forward_reply(frame, &answer);
}

struct slice *forward_scratch(struct server *server, size_t count)
{
    if (count > server->forward_arguments_capacity) {
        server->forward_arguments_capacity = count;
        server->forward_arguments =
            memory_resize(server->forward_arguments, count * sizeof *server->forward_arguments);
    }
    return server->forward_arguments;
}

static bool run_forwarded(struct server *server, struct remote *remote, struct pending *pending,
                          const struct wire_forward *forward)
{
    size_t count = 0, max = forward->request.size + 1;
    struct slice *arguments = forward_scratch(server, max);
    if (wire_request_take(forward->request, arguments, max, &count) || !count)
        return false;
    const struct command *command = command_find(server->commands, arguments[0]);
    if (!command || (command->flags & COMMAND_INTERNAL) || !command_arity_fits(command, count))
        return false; /* a newer node's command: refused, with nothing done */
    if (command->flags & COMMAND_PEER &&
        route_serve_peer(server, &remote->session, pending, command, arguments, count))
        return true;
    if (command->flags & COMMAND_CONNECTION)
        return false;
    pending->writes = command->flags & COMMAND_WRITE;
    pending->once = command->flags & COMMAND_ONCE;
    return route_run(server, &remote->session, pending, command, arguments, count);
}

/* SERVER-6: one that lay here for long goes back to where its client is, if that may have given up
 * by now: what it wrote elsewhere since then must not come before this. */
static bool is_too_late(const struct server *server, const struct wire_forward *forward)
{
    uint64_t age_ns = server_age_ns(server);
    return forward->flags & WIRE_FORWARD_WRITE && forward->waited_ms && age_ns > DOUBT_NS &&
           age_ns + forward->waited_ms * 1000000ull > server->options.hold_ns;
}

static void guess(struct server *server, struct store_ahead *ahead,
                  const struct wire_forward *forward)
{
    struct slice key;
    struct replica *replica = node_group(server->node, forward->group);
    if (!replica || !replica_is_serving(replica) || !wire_request_guess_key(forward->request, &key))
        return;
    struct store_key found = store_key_of(forward->database, key);
    store_ahead_add(ahead, replica_store(replica), &found);
}

/* As for the requests of clients here (input.c): the keys of the next ones, in whatever group, are
 * fetched side by side. Returns of how many, > 0. */
static size_t look_ahead(struct server *server, const struct wire_forward *first,
                         struct slice behind)
{
    struct store_ahead ahead;
    struct wire_message message;
    size_t forwards = 1;
    ahead.count = 0;
    guess(server, &ahead, first);
    while (behind.size && forwards < STORE_PREFETCH_MAX && !wire_message_take(&behind, &message)) {
        if (message.kind != WIRE_FORWARD)
            continue;
        guess(server, &ahead, &message.forward);
        forwards++;
    }
    if (ahead.count > 1)
        store_prefetch(&ahead);
    return forwards;
}

void forward_receive(struct server *server, struct peer_id origin,
                     const struct wire_forward *forward, struct slice behind)
{
    if (!server->forwards_ahead)
        server->forwards_ahead = look_ahead(server, forward, behind);
    server->forwards_ahead--;
    struct remote *remote = take_remote(server, origin, forward);
    IO_NOTE(server->io, "receive");
    bool late = is_too_late(server, forward);
    if (late || !portion_takes_aside(server, remote, forward))
        forward_run(server, remote, forward, late);
}

void forward_run(struct server *server, struct remote *remote, const struct wire_forward *forward,
                 bool refused)
{
    if (forward->epoch < remote->epoch)
        return; /* left behind by its origin */
    if (forward->epoch > remote->epoch) {
        remote->epoch = forward->epoch;
        remote->expected = 1;
        remote->refusing = false;
    }
    struct pending pending = {.group = forward->group,
                              .database = forward->database,
                              .protocol = forward->flags & WIRE_FORWARD_RESP3 ? 3 : 2,
                              .ack = forward->flags >> WIRE_FORWARD_ACK,
                              .token = {.group = forward->group,
                                        .term = forward->token_term,
                                        .index = forward->token_index},
                              .epoch = forward->epoch,
                              .sequence = forward->sequence,
                              .since_ns = node_turn(server->node)->now_ns};
    bool in_order = forward->sequence == remote->expected && forward->database < STORE_DATABASES;
    remote->expected = forward->sequence + 1;
    if (!remote->refusing && in_order && !refused &&
        run_forwarded(server, remote, &pending, forward))
        return;
    /* Refused from here on; the refusal stands in line behind the answers of what did run. */
    remote->refusing = true;
    pending.kind = PENDING_REFUSED;
    (void)session_reply(&remote->session, &pending, 2);
    session_push(server, &remote->session, &pending);
}

size_t server_staged_bytes(const struct server *server)
{
    size_t bytes = 0;
    for (size_t i = 0; i < REMOTE_BUCKETS; i++)
        for (const struct remote *remote = server->remotes[i]; remote; remote = remote->next)
            bytes += remote->session.out.size + remote->aside.size;
    return bytes;
}

void forward_drop_origin(struct server *server, struct peer_id origin)
{
    for (size_t i = 0; i < REMOTE_BUCKETS; i++)
        for (struct remote **at = &server->remotes[i]; *at;)
            if (peer_id_equal((*at)->origin, origin))
                unlink_remote(at);
            else
                at = &(*at)->next;
}

void forward_drop_all(struct server *server)
{
    for (size_t i = 0; i < REMOTE_BUCKETS; i++)
        while (server->remotes[i])
            unlink_remote(&server->remotes[i]);
}
