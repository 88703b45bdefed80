/* ONCE in a server: what stands behind it goes the way of any write. Its fate may be unknown for a
 * while, but not its effect: it is sent again, here or to the next leader, as long as a write may
 * wait (SERVER-7). */
#include "server/inside.h"

enum routed once_start(struct server *server, struct client *client, const struct command *command,
                       const struct slice *arguments, size_t count)
{
    struct store_once_request request;
    char why[COMMAND_ONCE_WHY_SIZE];
    if (!command_take_once(server->commands, arguments, count, &request, why))
        return routed_answer(server, client, why);
    return route_data(server, client, command, arguments, count);
}

bool once_unwrap(const struct server *server, struct routed_call *call,
                 struct store_once_request *request)
{
    char why[COMMAND_ONCE_WHY_SIZE];
    size_t inner = command_take_once(server->commands, call->arguments, call->count, request, why);
    if (!inner)
        return false;
    call->arguments += inner;
    call->count -= inner;
    call->command = command_find(server->commands, call->arguments[0]);
    return true;
}

bool once_goes_again(struct server *server, struct session *session, struct pending *pending)
{
    uint64_t now_ns = node_turn(server->node)->now_ns;
    if (!pending->once || session->remote || !pending->request.size ||
        now_ns > pending->since_ns + server->options.ack_timeout_ns)
        return false;
    if (pending->staged)
        session_unstage(session);
    buffer_reset(&pending->own);
    pending->kind = PENDING_REROUTE;
    pending->unsure = true;
    server->fresh = true;
    route_hold(server, client_of_session(session));
    return true;
}
