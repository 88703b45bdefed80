/* connection.c - the life of one connection: connect or accept, hello, up, gone. */
#include "peer/inside.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

#define REFUSALS_FREE 8 /* in a row at full pace: perhaps it will know us in a moment */
#define DOUBLINGS_MAX 6 /* then the pause grows no more: 6.4 s of 100 ms */

const char *link_name(enum wire_link kind)
{
    return kind == WIRE_LINK_DATA ? "data" : "control";
}

bool link_is_up(const struct peer_link *link)
{
    return link->connection && link->connection->state == CONNECTION_UP;
}

bool link_connects(const struct peer_set *set, const struct peer_link *link)
{
    return set->options.self.value < link->node->id.node.value && !link->node->is_gone;
}

bool connection_is_stranger(const struct connection *connection)
{
    return connection->state == CONNECTION_GREETING && connection->accepted;
}

void link_changed(struct peer_set *set, struct peer_link *link)
{
    list_remove(&link->changed);
    list_append(&set->changed, &link->changed);
}

/* ---- slots ---- */

static uint64_t connection_tag(const struct peer_set *set, const struct connection *connection)
{
    return set->options.tag + connection->slot + (uint64_t)connection->generation * SLOTS;
}

struct connection *connection_open(struct peer_set *set, enum connection_state state)
{
    for (unsigned slot = LISTENER_SLOT + 1; slot < SLOTS; slot++) {
        struct connection *connection = &set->connections[slot];
        if (connection->state != CONNECTION_FREE)
            continue;
        if (slot >= set->slots_used)
            set->slots_used = slot + 1;
        connection->state = state;
        connection->needed = WIRE_FRAME_HEADER_SIZE;
        buffer_init(&connection->partial, WIRE_FRAME_SIZE_MAX);
        buffer_init(&connection->out,
                    set->options.buffered_max + OVERRUN_MAX + WIRE_FRAME_SIZE_MAX);
        list_init(&connection->ready);
        list_init(&connection->dirty);
        return connection;
    }
    assert(!"there are more slots than links and strangers");
    return NULL;
}

static void connection_close(struct peer_set *set, struct connection *connection)
{
    unsigned slot = connection->slot, generation = (connection->generation + 1) % GENERATIONS;
    if (connection->state == CONNECTION_UP)
        connection->link->resets++;
    if (connection_is_stranger(connection))
        set->stranger_count--;
    if (!connection->is_local)
        io_close(set->io, connection->stream);
    reader_forget(&set->reader, connection);
    list_remove(&connection->ready);
    list_remove(&connection->dirty);
    buffer_deinit(&connection->partial);
    buffer_deinit(&connection->out);
    *connection = (struct connection){.slot = slot, .generation = generation};
}

/* ---- losing ---- */

static uint64_t pause_ns(const struct peer_set *set, const struct peer_link *link)
{
    unsigned doublings = link->refusals > REFUSALS_FREE ? link->refusals - REFUSALS_FREE : 0;
    return set->options.retry_ns << (doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX);
}

static void link_lost(struct peer_set *set, struct peer_link *link)
{
    link->connection = NULL;
    link_changed(set, link);
    if (!link_connects(set, link))
        return;
    uint64_t now_ns = io_now_ns(set->io), again_ns = link->attempt_ns + pause_ns(set, link);
    link->connect_at_ns = again_ns > now_ns ? again_ns : now_ns;
    deadline_want(set, link->connect_at_ns);
}

/* We said hello and were shown the door: a node of another cluster will not think better of it
 * soon.
 */
static bool was_refused(const struct peer_set *set, const struct connection *connection)
{
    return connection->state == CONNECTION_GREETING && !connection->accepted &&
           io_now_ns(set->io) < connection->deadline_ns;
}

void connection_lose(struct peer_set *set, struct connection *connection)
{
    struct peer_link *link = connection->link;
    if (link)
        link->refusals = was_refused(set, connection) ? link->refusals + 1 : 0;
    connection_close(set, connection);
    if (link)
        link_lost(set, link);
}

void connection_refuse(struct peer_set *set, struct connection *connection, const char *why)
{
    char address[IO_ADDRESS_SIZE];
    if (connection->link) {
        line_say(set, "%s link to node %llu closed: it %s; it is opened again",
                 link_name(connection->link->kind),
                 (unsigned long long)connection->link->node->id.node.value, why);
    } else {
        io_stream_address(set->io, connection->stream, false, address);
        line_refusal(set, address, why);
    }
    connection_lose(set, connection);
}

void link_close(struct peer_set *set, struct peer_link *link)
{
    if (link->connection)
        connection_close(set, link->connection);
    link->connection = NULL;
}

/* ---- greeting ---- */

static void send_hello(struct peer_set *set, struct connection *connection)
{
    const struct peer_link *link = connection->link;
    struct wire_hello hello = {
        .cluster = set->options.cluster,
        .from = set->options.self,
        .to = link->node->id.node,
        .incarnation = set->options.incarnation,
        .worker = set->options.worker,
        .workers = set->options.workers,
        .to_worker = (uint16_t)link->node->id.worker,
        .link = link->kind,
    };
    memcpy(hello.client_address, set->client_address, WIRE_ADDRESS_SIZE);
    wire_add_hello(connection_frame(set, connection), &hello);
    connection_write(set, connection, io_now_ns(set->io));
}

/* Why this hello is not welcome; NULL when it is. `link` is where it belongs. PEER-4. */
static const char *hello_trouble(const struct peer_set *set, const struct connection *connection,
                                 const struct wire_hello *hello, struct peer_link **link)
{
    struct peer_node *node = set_node(set, peer_at(hello->from, hello->worker));
    if (!cluster_id_equal(hello->cluster, set->options.cluster))
        return "is of another cluster";
    if (!node_id_equal(hello->to, set->options.self))
        return "looks for another node";
    if (hello->to_worker != set->options.worker)
        return "looks for a worker that this node has not";
    if (connection->link && connection->link->node != node)
        return "is another node";
    if (!node)
        return "is not known here";
    *link = &node->links[hello->link - WIRE_LINK_DATA];
    if (connection->link && connection->link != *link)
        return "answers on another link";
    if (connection->accepted && link_connects(set, *link))
        return "has the higher id and should wait for us to connect";
    return NULL;
}

static void become_up(struct peer_set *set, struct connection *connection, struct peer_link *link,
                      const struct wire_hello *hello)
{
    uint64_t now_ns = io_now_ns(set->io);
    if (connection_is_stranger(connection))
        set->stranger_count--;
    /* The other side would not connect anew if it still had the older one: that is half-open. */
    if (link->connection != connection)
        link_close(set, link);
    link->is_newer = link->told_up;
    link->refusals = 0;
    connection->state = CONNECTION_UP;
    connection->link = link;
    connection->heard_ns = connection->sent_ns = now_ns;
    link->connection = connection;
    if (link->incarnation != 0 && link->incarnation != hello->incarnation)
        link->is_other_incarnation = true;
    link->incarnation = hello->incarnation;
    memcpy(link->node->client_address, hello->client_address, WIRE_ADDRESS_SIZE);
    link_changed(set, link);
    deadline_want(set, now_ns + set->options.idle_ns);
}

void connection_greet(struct peer_set *set, struct connection *connection,
                      const struct wire_message *message)
{
    struct peer_link *link = NULL;
    const char *trouble = "did not begin with a hello";
    if (message->kind == WIRE_HELLO && connection->accepted &&
        local_give(set, connection, &message->hello))
        return;
    if (message->kind == WIRE_HELLO &&
        cluster_id_equal(message->hello.cluster, set->options.cluster))
        set_workers(set, message->hello.from, message->hello.workers);
    if (message->kind == WIRE_HELLO)
        trouble = hello_trouble(set, connection, &message->hello, &link);
    if (trouble) {
        connection_refuse(set, connection, trouble);
        return;
    }
    become_up(set, connection, link, &message->hello);
    if (connection->accepted)
        send_hello(set, connection);
}

/* ---- accepting ---- */

static struct connection *oldest_stranger(struct peer_set *set)
{
    struct connection *oldest = NULL;
    for (unsigned slot = 0; slot < set->slots_used; slot++) {
        struct connection *connection = &set->connections[slot];
        if (connection_is_stranger(connection) &&
            (!oldest || connection->deadline_ns < oldest->deadline_ns))
            oldest = connection;
    }
    return oldest;
}

struct connection *connection_accept(struct peer_set *set, struct io_stream stream)
{
    /* The oldest goes, not the newest: a member says hello at once, so it is hardly ever it. */
    if (set->stranger_count == STRANGERS_MAX)
        connection_refuse(set, oldest_stranger(set), "waited too long among too many to say hello");
    struct connection *connection = connection_open(set, CONNECTION_GREETING);
    connection->accepted = true;
    connection->stream = stream;
    connection->deadline_ns = io_now_ns(set->io) + STRANGER_NS;
    set->stranger_count++;
    io_stream_start(set->io, stream, connection_tag(set, connection));
    deadline_want(set, connection->deadline_ns);
    return connection;
}

/* ---- connecting ---- */

void link_connect(struct peer_set *set, struct peer_link *link)
{
    assert(!link->connection && link_connects(set, link));
    struct connection *connection = connection_open(set, CONNECTION_CONNECTING);
    uint64_t now_ns = io_now_ns(set->io);
    connection->link = link;
    connection->deadline_ns = now_ns + set->options.connect_timeout_ns;
    link->connection = connection;
    link->attempt_ns = now_ns;
    enum status status = io_connect(set->io, link->node->address, connection_tag(set, connection),
                                    &connection->stream);
    if (status) {
        line_say(set, "node %llu: cannot connect to %s: %s",
                 (unsigned long long)link->node->id.node.value, link->node->address,
                 status_text(status));
        connection_lose(set, connection);
        return;
    }
    deadline_want(set, connection->deadline_ns);
}

/* A host that answers "nobody listens here" is alive and its process is not: news for raft (R11).
 */
static void attempt_failed(struct peer_set *set, struct connection *connection, enum status status)
{
    struct peer_link *link = connection->link;
    uint64_t now_ns = io_now_ns(set->io);
    bool refused = (status == STATUS_CLOSED || status == STATUS_IO || status == STATUS_REFUSED) &&
                   now_ns < connection->deadline_ns;
    if (refused && (link->refused_ns == 0 || now_ns - link->refused_ns >= REFUSED_EVERY_NS)) {
        link->refused_ns = now_ns;
        link->is_refused = true;
    }
    connection_lose(set, connection);
}

void connection_connected(struct peer_set *set, struct connection *connection, enum status status)
{
    if (connection->state != CONNECTION_CONNECTING)
        return;
    if (status) {
        attempt_failed(set, connection, status);
        return;
    }
    connection->state = CONNECTION_GREETING;
    connection->deadline_ns = io_now_ns(set->io) + set->options.connect_timeout_ns;
    deadline_want(set, connection->deadline_ns);
    send_hello(set, connection);
}
