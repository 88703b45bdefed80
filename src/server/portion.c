/* What one turn copies for large replies (SERVER-8). Whoever asks for more waits for a later turn,
 * in the order of coming; small requests beside them do not. A reply's size is not known before its
 * request ran: it is taken for large when the last one of this line was, or when a value that it
 * names is. */
#include "server/inside.h"

#include <assert.h>

#define PORTION_MAX       (4u << 20)  /* bytes of replies of a turn, before large ones wait */
#define LARGE_SIZE        (64u << 10) /* bytes of a reply */
#define LARGE_COUNT       1024        /* elements of a collection, whatever their size */
#define KEYS_MAX          64          /* of a request, that are looked at */
#define LINK_WAITING_MAX  (1u << 20)  /* on the link to a node, before large replies to it wait */
#define STAGED_REMOTE_MAX (16u << 20) /* replies that wait here for one client of another node */
#define ASIDE_MAX         (1u << 20)  /* requests of one client of another node that wait here */
#define LARGE_LATELY_NS   1000000000u /* links are looked at for so long after a large reply */

void portion_note(struct server *server, struct session *session, size_t size)
{
    server->portion.bytes += size;
    session->large = size > LARGE_SIZE;
    if (session->large)
        server->portion.lately_ns = node_turn(server->node)->now_ns + LARGE_LATELY_NS;
}

static bool is_large_value(struct store *store, const struct store_key *key)
{
    const struct store_entry *entry = store_find(store, key);
    if (!entry)
        return false;
    switch (store_entry_type(entry)) {
    case STORE_STRING: return store_entry_string(entry).size > LARGE_SIZE;
    case STORE_LIST: return store_list_length(entry) > LARGE_COUNT;
    case STORE_SORTED_SET: return store_scored_count(entry) > LARGE_COUNT;
    case STORE_HASH:
    case STORE_SET: return store_member_count(entry) > LARGE_COUNT;
    }
    return false;
}

static bool may_be_large(struct server *server, const struct session *session,
                         const struct portion_request *request)
{
    struct replica *replica = node_group(server->node, request->group);
    if (request->command->flags & COMMAND_WRITE || !replica || !replica_is_serving(replica))
        return false;
    if (session->large)
        return true;
    size_t key = 0;
    for (size_t i = 0; i < KEYS_MAX; i++) {
        key = command_next_key(request->command, request->arguments, request->count, key);
        if (!key)
            return false;
        struct store_key at = store_key_of(request->database, request->arguments[key]);
        if (is_large_value(replica_store(replica), &at))
            return true;
    }
    return true;
}

/* Somebody came earlier, or what a turn may take is taken. */
static bool is_spent(const struct server *server)
{
    const struct portion *portion = &server->portion;
    bool others = portion->clients || !list_is_empty(&portion->remotes);
    return portion->bytes >= PORTION_MAX || (others && !portion->serves);
}

bool portion_defers(struct server *server, const struct session *session,
                    const struct portion_request *request)
{
    return is_spent(server) && may_be_large(server, session, request);
}

/* ---- clients of this node: they are held ---- */

void portion_wait(struct server *server, struct client *client, bool waits)
{
    server->portion.clients += (size_t)waits - (size_t)client->deferred;
    client->deferred = waits;
}

/* ---- clients of other nodes: what they sent stands in line here ---- */

struct aside {
    struct wire_forward forward; /* without its request, which follows */
    uint64_t since_ns;
    size_t size;
    bool refused; /* there was no room for it */
};

static bool request_of(struct server *server, const struct wire_forward *forward,
                       struct portion_request *request)
{
    size_t count = 0;
    struct slice *arguments = forward_scratch(server, forward->request.size + 1);
    if (wire_request_take(forward->request, arguments, forward->request.size + 1, &count) || !count)
        return false;
    *request = (struct portion_request){.group = forward->group,
                                        .database = forward->database,
                                        .command = command_find(server->commands, arguments[0]),
                                        .arguments = arguments,
                                        .count = count};
    return request->command && command_arity_fits(request->command, count);
}

/* Large replies go at the pace of the link, and each client has room for some of its own. */
static bool has_to_wait(struct server *server, struct remote *remote,
                        const struct wire_forward *forward)
{
    const struct session *session = &remote->session;
    struct portion_request request;
    if (session->out.size - session->released > STAGED_REMOTE_MAX)
        return true;
    bool lately = node_turn(server->node)->now_ns < server->portion.lately_ns;
    bool crowded = lately && peer_waiting(node_peers(server->node), remote->origin,
                                          WIRE_LINK_DATA) > LINK_WAITING_MAX;
    return (crowded || is_spent(server)) && request_of(server, forward, &request) &&
           may_be_large(server, session, &request);
}

bool portion_takes_aside(struct server *server, struct remote *remote,
                         const struct wire_forward *forward)
{
    struct buffer *queue = &remote->aside;
    if (!queue->size && !has_to_wait(server, remote, forward))
        return false;
    struct aside aside = {.forward = *forward,
                          .since_ns = node_turn(server->node)->now_ns,
                          .size = forward->request.size,
                          .refused = queue->size + forward->request.size > ASIDE_MAX};
    if (aside.refused)
        aside.size = 0;
    if (!queue->size)
        list_append(&server->portion.remotes, &remote->waits);
    enum status status = buffer_append(queue, &aside, sizeof aside);
    if (!status)
        status = buffer_append(queue, forward->request.at, aside.size);
    assert(status == STATUS_OK); /* an origin has at most PENDING_PAUSE on their way */
    return true;
}

/* SERVER-6: a write that stood here for long goes back to where its client is. */
static bool is_too_old(const struct server *server, const struct aside *aside)
{
    return aside->forward.flags & WIRE_FORWARD_WRITE &&
           node_turn(server->node)->now_ns > aside->since_ns + DOUBT_NS;
}

/* Runs from the front until one has to wait. True: something ran. */
static bool serve(struct server *server, struct remote *remote)
{
    struct buffer *queue = &remote->aside;
    size_t done = 0;
    while (done < queue->size) {
        struct aside aside;
        memcpy(&aside, queue->at + done, sizeof aside);
        aside.forward.request = slice_of(queue->at + done + sizeof aside, aside.size);
        if (!aside.refused && has_to_wait(server, remote, &aside.forward))
            break;
        forward_run(server, remote, &aside.forward, aside.refused || is_too_old(server, &aside));
        done += sizeof aside + aside.size;
    }
    buffer_consume(queue, done);
    return done > 0;
}

static void serve_remotes(struct server *server)
{
    struct portion *portion = &server->portion;
    size_t count = 0;
    for (struct list *link = portion->remotes.next; link != &portion->remotes; link = link->next)
        count++;
    for (struct list *link = portion->remotes.next; count; count--) {
        struct remote *remote = list_item(link, struct remote, waits);
        link = link->next;
        if (!serve(server, remote))
            continue;
        portion->progress = true;
        list_remove(&remote->waits);
        if (remote->aside.size) /* the others first */
            list_append(&portion->remotes, &remote->waits);
        else
            buffer_deinit(&remote->aside);
    }
}

/* Another one is looked at first in each turn. */
static void rotate_held(struct server *server)
{
    if (list_is_empty(&server->held))
        return;
    struct list *first = server->held.next;
    list_remove(first);
    list_append(&server->held, first);
}

void portion_serve(struct server *server)
{
    struct portion *portion = &server->portion;
    portion->serves = true;
    portion->progress = false;
    portion->turns = !portion->turns;
    if (portion->turns)
        serve_remotes(server);
    route_retry_held(server);
    if (!portion->turns)
        serve_remotes(server);
    if (portion->clients)
        rotate_held(server);
    portion->serves = false;
}

bool portion_is_due(const struct server *server)
{
    const struct portion *portion = &server->portion;
    return portion->clients || (portion->progress && !list_is_empty(&portion->remotes));
}

void portion_end_turn(struct server *server)
{
    struct portion *portion = &server->portion;
    portion->last = portion->bytes;
    portion->bytes = 0;
}

size_t server_portion_bytes(const struct server *server)
{
    return server->portion.last;
}
