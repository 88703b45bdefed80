/* From worker to worker: a connection that would be forwarded at each request goes to where its
 * first key is, with what it has sent and what it has still to be sent. It goes once: keys of other
 * groups are forwarded from there. */
#include "server/inside.h"

#include "base/memory.h"

#include <assert.h>

/* What comes with the stream: one allocation. */
struct luggage {
    uint64_t id, keyspace, opened_ns, heard_ns;
    uint8_t database, ack;
    int protocol;
    char name[CLIENT_NAME_SIZE], library[CLIENT_NAME_SIZE], library_version[CLIENT_NAME_SIZE];
    size_t unsent, unread; /* bytes: replies, then requests */
    uint8_t bytes[];
};

/* Nothing of it is under way here, and nothing that it said holds for this worker alone. */
static bool is_free(const struct client *client)
{
    return !client->session.count && !client->transaction.open && !client->transaction.watched &&
           !client->late && !client->closing && !client->held && !client->tokens.count;
}

bool client_moves(struct server *server, struct client *client, struct group_id group)
{
    struct peer_set *peers = node_peers(server->node);
    if (client->settled || server->options.workers == 1 || !peers ||
        group_id_equal(group, GROUP_SYSTEM)) /* that is asked from anywhere, by the way */
        return false;
    struct peer_id peer = peer_of(peers, node_formation(server->node)->self, group);
    client->settled = true;
    if (peer.worker == server->options.worker || !is_free(client) || server->draining ||
        !peer_is_up(peers, peer, WIRE_LINK_DATA))
        return false;
    client->moves = true;
    client->moves_to = peer.worker;
    return true;
}

void client_move(struct server *server, struct client *client)
{
    struct session *session = &client->session;
    size_t unsent = session->out.size - session->sent, unread = client->input.size;
    struct luggage *luggage = memory_zeroed(1, sizeof *luggage + unsent + unread);
    assert(!session->count);
    *luggage = (struct luggage){.id = client->id,
                                .keyspace = client->keyspace,
                                .opened_ns = client->opened_ns,
                                .heard_ns = client->heard_ns,
                                .database = client->database,
                                .ack = client->ack,
                                .protocol = client->protocol,
                                .unsent = unsent,
                                .unread = unread};
    memcpy(luggage->name, client->name, sizeof luggage->name);
    memcpy(luggage->library, client->library, sizeof luggage->library);
    memcpy(luggage->library_version, client->library_version, sizeof luggage->library_version);
    if (unsent)
        memcpy(luggage->bytes, session->out.at + session->sent, unsent);
    if (unread)
        memcpy(luggage->bytes + unsent, client->input.at, unread);
    if (!io_stream_give(server->io, client->stream, client->moves_to, server->options.tag, luggage))
        memory_free(luggage);
    client_close(server, client); /* its stream is void by now */
    server->facts.connections_total--;
}

/* Its keyspace may be newer than the catalogue of this worker: then that is asked for first. */
static void look_for_keyspace(struct server *server, struct client *client)
{
    const struct control_catalogue *catalogue = control_catalogue(server->options.control);
    if (client->keyspace != KEYSPACE_DEFAULT && !catalogue_find_id(catalogue, client->keyspace))
        client->select_ticket = control_ask(server->options.control);
}

void client_arrive(struct server *server, const struct io_event *event)
{
    struct luggage *luggage = event->message;
    struct client *client = client_accept(server, event->stream);
    if (client) {
        client->id = luggage->id;
        client->keyspace = luggage->keyspace;
        client->opened_ns = luggage->opened_ns;
        client->heard_ns = luggage->heard_ns;
        client->database = luggage->database;
        client->ack = luggage->ack;
        client->protocol = luggage->protocol;
        client->settled = true;
        memcpy(client->name, luggage->name, sizeof client->name);
        memcpy(client->library, luggage->library, sizeof client->library);
        memcpy(client->library_version, luggage->library_version, sizeof client->library_version);
        bool fits =
            !buffer_append(&client->session.out, luggage->bytes, luggage->unsent) &&
            !buffer_append(&client->input, luggage->bytes + luggage->unsent, luggage->unread);
        assert(fits); /* it fitted there */
        client->session.released = luggage->unsent;
        look_for_keyspace(server, client);
        client_parse(server, client);
    }
    memory_free(luggage);
}
