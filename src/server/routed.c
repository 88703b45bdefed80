/* Requests that go to the leader and that this floor runs there: WAIT, WATCH, EXEC; and the check
 * that a write can get the copies it needs. */
#include "server/inside.h"

#include "base/memory.h"

#include <stdio.h>

static bool is_named(const struct command *command, const char *name)
{
    return strcmp(command->name, name) == 0;
}

/* ---- where the client is ---- */

enum routed routed_answer(struct server *server, struct client *client, const char *error)
{
    struct pending pending = {.kind = PENDING_READY};
    struct reply reply = session_reply(&client->session, &pending, client->protocol);
    size_t before = reply.out->size;
    reply_error(&reply, "%s", error);
    route_push_reply(server, &client->session, &pending, &reply, before);
    return ROUTED_DONE;
}

static enum routed start_exec(struct server *server, struct client *client,
                              const struct command *command, size_t count)
{
    struct transaction *transaction = &client->transaction;
    if (count != 1)
        return routed_answer(server, client, "ERR wrong number of arguments for 'exec' command");
    if (!transaction->open)
        return routed_answer(server, client, "ERR EXEC without MULTI");
    if (!transaction->failed)
        return transaction_exec(server, client, command);
    transaction_end(transaction);
    return routed_answer(server, client,
                         "EXECABORT Transaction discarded because of previous errors.");
}

enum routed routed_start(struct server *server, struct client *client,
                         const struct command *command, const struct slice *arguments, size_t count)
{
    if (is_named(command, "EXEC"))
        return start_exec(server, client, command, count);
    if (!is_named(command, "WATCH"))
        return route_data(server, client, command, arguments, count);
    if (client->transaction.open)
        return routed_answer(server, client, "ERR WATCH inside MULTI is not allowed");
    return transaction_watch(server, client, command, arguments, count);
}

/* ---- at the leader ---- */

/* The answer comes later: it gets bytes of its own, and what follows stands behind it. */
static void set_aside(struct pending *pending)
{
    buffer_deinit(&pending->own);
    buffer_init(&pending->own, REPLY_SIZE_MAX);
    pending->staged = false;
}

bool routed_run(struct server *server, struct session *session, struct pending *pending,
                const struct routed_call *call)
{
    struct replica *replica = node_group(server->node, pending->group);
    struct reply reply = session_reply(session, pending, pending->protocol);
    struct routed_call here = {call->command, call->arguments, call->count, &reply};
    size_t before = reply.out->size;
    bool waits = !is_named(call->command, "EXEC") && !is_named(call->command, "WATCH");
    pending->kind = PENDING_READY;
    bool ran = (pending->writes && !routed_has_copies(server, replica, pending, &reply)) ||
               (waits ? wait_run(server, session, pending, replica, &here)
                      : transaction_run(server, session, pending, replica, &here));
    if (!ran) {
        reply.out->size = before;
        buffer_deinit(&pending->own);
        return false;
    }
    session_note_write(server, session, pending);
    if (pending->kind == PENDING_WAIT)
        set_aside(pending);
    route_push_reply(server, session, pending, &reply, before);
    return true;
}

/* ---- SHORT refuse ---- */

static unsigned heard(struct server *server, const struct replica *replica)
{
    uint64_t now_ns = node_turn(server->node)->now_ns;
    if (server->heard_at_ns != now_ns ||
        !group_id_equal(server->heard_group, replica_group(replica))) {
        server->heard_at_ns = now_ns;
        server->heard_group = replica_group(replica);
        server->heard = replica_voters_heard(replica, now_ns);
    }
    return server->heard;
}

bool routed_has_copies(struct server *server, const struct replica *replica,
                       const struct pending *pending, struct reply *reply)
{
    unsigned reached = heard(server, replica), voters = replica_voters(replica);
    unsigned wanted = raft_configuration(replica_raft(replica))->commit_quorum;
    uint8_t ack = pending->gate.ack;
    unsigned copies = ack == WIRE_ACK_ALL    ? replica_voters_in_sync(replica)
                      : ack < WIRE_ACK_ASYNC ? ack
                                             : 0;
    wanted = copies > wanted ? copies : wanted;
    if (reached >= wanted)
        return true;
    reply_error(reply,
                "NOREPLICAS %u of %u replicas can be reached and the write needs %u; it did not "
                "happen",
                reached, voters, wanted);
    return false;
}
