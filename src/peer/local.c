/* local.c - between the workers of one node: links made of messages, and connections that belong to
 * another worker. */
#include "peer/inside.h"

#include "base/memory.h"

#include <assert.h>

/* ---- connections that belong to another worker ---- */

struct guest { /* comes with a connection that was given */
    struct wire_hello hello;
};

bool local_give(struct peer_set *set, struct connection *connection, const struct wire_hello *hello)
{
    bool ours = cluster_id_equal(hello->cluster, set->options.cluster) &&
                node_id_equal(hello->to, set->options.self);
    if (!ours || hello->to_worker == set->options.worker ||
        hello->to_worker >= set->options.workers)
        return false;
    struct guest *guest = memory_allocate(sizeof *guest);
    guest->hello = *hello;
    if (!io_stream_give(set->io, connection->stream, hello->to_worker,
                        set->options.tag + LISTENER_SLOT, guest))
        memory_free(guest);
    connection_lose(set, connection); /* its stream is void by now */
    return true;
}

void local_adopt(struct peer_set *set, const struct io_event *event)
{
    struct guest *guest = event->message;
    struct wire_message message = {.kind = WIRE_HELLO, .hello = guest->hello};
    memory_free(guest);
    connection_greet(set, connection_accept(set, event->stream), &message);
}

/* ---- links to the other workers ---- */

static void link_up(struct peer_set *set, struct peer_link *link)
{
    struct connection *connection = connection_open(set, CONNECTION_UP);
    connection->is_local = true;
    connection->link = link;
    link->connection = connection;
    link_changed(set, link);
}

void peer_set_local(struct peer_set *set, unsigned worker, bool up)
{
    struct peer_node *node = set_node(set, peer_at(set->options.self, worker));
    for (size_t i = 0; node && i < 2; i++) {
        struct peer_link *link = &node->links[i];
        if (up && !link->connection)
            link_up(set, link);
        else if (!up && link->connection)
            connection_lose(set, link->connection);
    }
}

/* PEER-1: io_post keeps the order of one sender's messages. */
void local_write(struct peer_set *set, struct connection *connection)
{
    struct buffer *out = &connection->out;
    struct peer_post *post = memory_allocate(sizeof *post + out->size);
    *post = (struct peer_post){
        .worker = set->options.worker, .kind = connection->link->kind, .size = out->size};
    memcpy(post->bytes, out->at, out->size);
    empty_buffer(out);
    io_post(set->io, connection->link->node->id.worker, set->options.tag + LISTENER_SLOT, post);
}

void local_receive(struct peer_set *set, struct peer_post *post)
{
    list_init(&post->link);
    list_append(&set->posts, &post->link);
}

struct connection *local_connection(const struct peer_set *set, const struct peer_post *post)
{
    return set_up_connection(set, peer_at(set->options.self, post->worker), post->kind);
}

void local_deinit(struct peer_set *set)
{
    reader_release(&set->reader);
    while (!list_is_empty(&set->posts)) {
        struct peer_post *post = list_item(set->posts.next, struct peer_post, link);
        list_remove(&post->link);
        memory_free(post);
    }
}
