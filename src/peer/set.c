/* set.c - the set of nodes that are kept in touch with, and the events of their streams. */
#include "peer/inside.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

static void use_default(uint64_t *option, uint64_t value)
{
    if (*option == 0)
        *option = value;
}

static struct peer_node *node_create(struct peer_id id, const char *address, unsigned workers)
{
    struct peer_node *node = memory_zeroed(1, sizeof *node);
    node->id = id;
    node->workers = workers;
    node->address = memory_copy_text(address);
    for (size_t i = 0; i < 2; i++) {
        node->links[i].node = node;
        node->links[i].kind = (enum wire_link)(WIRE_LINK_DATA + i);
        list_init(&node->links[i].changed);
    }
    return node;
}

struct peer_set *peer_create(struct io *io, const struct peer_options *options)
{
    struct peer_set *set = memory_zeroed(1, sizeof *set);
    assert(options->self.value != 0 && options->timer < IO_TIMERS_MAX);
    set->io = io;
    set->options = *options;
    if (options->client_address) {
        assert(strlen(options->client_address) < WIRE_ADDRESS_SIZE);
        snprintf(set->client_address, WIRE_ADDRESS_SIZE, "%s", options->client_address);
    }
    set->options.client_address = set->client_address;
    use_default(&set->options.idle_ns, 200 * NS_PER_MS);
    use_default(&set->options.silence_ns, 1200 * NS_PER_MS);
    use_default(&set->options.retry_ns, 100 * NS_PER_MS);
    use_default(&set->options.connect_timeout_ns, 500 * NS_PER_MS);
    if (set->options.buffered_max == 0)
        set->options.buffered_max = WIRE_FRAME_SIZE_MAX + (64u << 20);
    if (set->options.workers == 0)
        set->options.workers = 1;
    assert(set->options.worker < set->options.workers && set->options.workers <= PEER_WORKERS_MAX);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        set->connections[slot].slot = slot;
    list_init(&set->posts);
    list_init(&set->ready);
    list_init(&set->dirty);
    list_init(&set->changed);
    set->reader.room = memory_allocate(READ_SIZE);
    buffer_init(&set->reader.whole, WIRE_FRAME_SIZE_MAX);
    set->lines.tokens = LINES_MAX;
    set->lines.refilled_ns = io_now_ns(io);
    set->armed_ns = UINT64_MAX;
    for (unsigned worker = 0; worker < set->options.workers; worker++)
        if (worker != set->options.worker)
            set->nodes[set->node_count++] =
                node_create(peer_at(set->options.self, worker), "", set->options.workers);
    return set;
}

static void node_destroy(struct peer_set *set, struct peer_node *node)
{
    for (size_t i = 0; i < 2; i++) {
        link_close(set, &node->links[i]);
        list_remove(&node->links[i].changed);
    }
    memory_free(node->address);
    memory_free(node);
}

void peer_destroy(struct peer_set *set)
{
    if (!set)
        return;
    while (set->node_count)
        node_destroy(set, set->nodes[--set->node_count]);
    local_deinit(set);
    for (unsigned slot = 0; slot < set->slots_used; slot++)
        if (set->connections[slot].state != CONNECTION_FREE)
            connection_lose(set, &set->connections[slot]);
    if (set->listener.generation)
        io_close(set->io, set->listener);
    io_timer_cancel(set->io, set->options.timer);
    buffer_deinit(&set->reader.whole);
    memory_free(set->reader.room);
    memory_free(set);
}

void peer_listen_address(const struct peer_set *set, char out[IO_ADDRESS_SIZE])
{
    out[0] = '\0';
    if (set->listener.generation)
        io_stream_address(set->io, set->listener, true, out);
}

/* ---- who is known ---- */

struct peer_node *set_node(const struct peer_set *set, struct peer_id id)
{
    for (size_t i = 0; i < set->node_count; i++)
        if (peer_id_equal(set->nodes[i]->id, id))
            return set->nodes[i];
    return NULL;
}

struct connection *set_up_connection(const struct peer_set *set, struct peer_id id,
                                     enum wire_link link)
{
    struct peer_node *node = set_node(set, id);
    assert(link == WIRE_LINK_DATA || link == WIRE_LINK_CONTROL);
    if (!node || !link_is_up(&node->links[link - WIRE_LINK_DATA]))
        return NULL;
    return node->links[link - WIRE_LINK_DATA].connection;
}

static void node_move(struct peer_set *set, struct peer_node *node, const char *address)
{
    if (strcmp(node->address, address) == 0)
        return;
    memory_free(node->address);
    node->address = memory_copy_text(address);
    for (size_t i = 0; i < 2; i++) {
        if (!link_connects(set, &node->links[i]))
            continue; /* the other side connects, from wherever it is */
        if (node->links[i].connection)
            connection_lose(set, node->links[i].connection);
        link_connect(set, &node->links[i]);
    }
}

static void node_connect(struct peer_set *set, struct peer_node *node)
{
    for (size_t i = 0; i < 2; i++)
        if (link_connects(set, &node->links[i]) && !node->links[i].connection)
            link_connect(set, &node->links[i]);
}

static void add_worker(struct peer_set *set, struct peer_id id, const char *address,
                       unsigned workers)
{
    if (set->node_count == PEER_PEERS_MAX) {
        line_say(set, "node %llu: no link, there are %d peers already",
                 (unsigned long long)id.node.value, PEER_PEERS_MAX);
        return;
    }
    struct peer_node *node = node_create(id, address, workers);
    set->nodes[set->node_count++] = node;
    node_connect(set, node);
}

void peer_add(struct peer_set *set, struct node_id id, const char *address)
{
    if (node_id_equal(id, set->options.self))
        return;
    if (!set_node(set, peer_at(id, 0))) {
        add_worker(set, peer_at(id, 0), address, 1);
        return;
    }
    for (size_t i = 0; i < set->node_count; i++)
        if (node_id_equal(set->nodes[i]->id.node, id))
            node_move(set, set->nodes[i], address);
}

/* Its node was started anew with fewer workers, or with more again. */
static void set_gone(struct peer_set *set, struct peer_node *node, bool is_gone)
{
    if (node->is_gone == is_gone)
        return;
    node->is_gone = is_gone;
    for (size_t i = 0; is_gone && i < 2; i++)
        if (node->links[i].connection)
            connection_lose(set, node->links[i].connection);
    node_connect(set, node);
}

void set_workers(struct peer_set *set, struct node_id id, unsigned workers)
{
    const struct peer_node *first = set_node(set, peer_at(id, 0));
    if (!first || node_id_equal(id, set->options.self) || first->workers == workers ||
        workers > PEER_WORKERS_MAX)
        return;
    for (unsigned worker = 0; worker < workers; worker++)
        if (!set_node(set, peer_at(id, worker)))
            add_worker(set, peer_at(id, worker), first->address, workers);
    for (size_t i = 0; i < set->node_count; i++) {
        struct peer_node *node = set->nodes[i];
        if (!node_id_equal(node->id.node, id))
            continue;
        node->workers = workers;
        set_gone(set, node, node->id.worker >= workers);
    }
}

void peer_remove(struct peer_set *set, struct node_id id)
{
    for (size_t i = 0; i < set->node_count;) {
        if (node_id_equal(set->nodes[i]->id.node, id) && !node_id_equal(id, set->options.self)) {
            node_destroy(set, set->nodes[i]);
            set->nodes[i] = set->nodes[--set->node_count];
        } else {
            i++;
        }
    }
}

struct peer_id peer_of(const struct peer_set *set, struct node_id id, struct group_id group)
{
    unsigned workers = set->options.workers;
    if (!node_id_equal(id, set->options.self)) {
        const struct peer_node *node = set_node(set, peer_at(id, 0));
        workers = node ? node->workers : 1;
    }
    return peer_at(id, (unsigned)(group.value % workers));
}

const struct peer_id *peer_known(const struct peer_set *set, size_t i)
{
    return i < set->node_count ? &set->nodes[i]->id : NULL;
}

bool peer_is_up(const struct peer_set *set, struct peer_id id, enum wire_link link)
{
    return set_up_connection(set, id, link) != NULL;
}

uint64_t peer_resets(const struct peer_set *set, struct node_id id, enum wire_link link)
{
    uint64_t resets = 0;
    for (size_t i = 0; i < set->node_count; i++)
        if (node_id_equal(set->nodes[i]->id.node, id))
            resets += set->nodes[i]->links[link - WIRE_LINK_DATA].resets;
    return resets;
}

const char *peer_client_address(const struct peer_set *set, struct node_id id)
{
    const struct peer_node *node = set_node(set, peer_at(id, 0));
    return node ? node->client_address : "";
}

/* ---- events ---- */

static void handle_stream(struct peer_set *set, const struct io_event *event)
{
    uint64_t offset = event->tag - set->options.tag;
    struct connection *connection = &set->connections[offset % SLOTS];
    if (offset % SLOTS == LISTENER_SLOT) {
        if (event->kind == IO_ACCEPTED && event->message)
            local_adopt(set, event);
        else if (event->kind == IO_ACCEPTED)
            (void)connection_accept(set, event->stream);
        else if (event->kind == IO_MESSAGE)
            local_receive(set, event->message);
        return;
    }
    if (connection->state == CONNECTION_FREE || connection->generation != offset / SLOTS)
        return; /* gathered before the connection was closed */
    switch (event->kind) {
    case IO_CONNECTED: connection_connected(set, connection, event->status); break;
    case IO_WRITABLE: connection_write(set, connection, io_now_ns(set->io)); break;
    case IO_CLOSED: connection->ended = true; /* fall through */
    case IO_READABLE:
        if (connection->state != CONNECTION_CONNECTING)
            connection_mark_ready(set, connection);
        break;
    default: break;
    }
}

bool peer_handle_event(struct peer_set *set, const struct io_event *event)
{
    switch (event->kind) {
    case IO_TIMER:
        if (event->tag != set->options.timer)
            return false;
        set->timer_fired = true;
        return true;
    case IO_READABLE:
    case IO_WRITABLE:
    case IO_ACCEPTED:
    case IO_CONNECTED:
    case IO_CLOSED:
    case IO_MESSAGE:
        if (event->tag < set->options.tag || event->tag - set->options.tag >= SLOTS * GENERATIONS)
            return false;
        handle_stream(set, event);
        return true;
    default: return false;
    }
}

/* ---- relations ---- */

static void validate_connection(const struct peer_set *set, const struct connection *connection)
{
    (void)set;
    if (connection->state == CONNECTION_FREE)
        return;
    assert(connection->is_local || connection->stream.generation != 0);
    assert(connection_is_stranger(connection) == (connection->link == NULL));
    assert(!connection->link || connection->link->connection == connection);
    assert(connection->sent <= connection->out.size);
    assert(connection->partial.size == 0 || connection->partial.size < connection->needed);
    assert(!connection_is_stranger(connection) ||
           connection->partial.size <= STRANGER_BYTES_MAX); /* PEER-4 */
}

void peer_validate(const struct peer_set *set)
{
    size_t strangers = 0;
    for (unsigned slot = 0; slot < set->slots_used; slot++) {
        validate_connection(set, &set->connections[slot]);
        strangers += connection_is_stranger(&set->connections[slot]);
    }
    assert(strangers == set->stranger_count && strangers <= STRANGERS_MAX); /* PEER-4 */
    for (size_t i = 0; i < 2 * set->node_count; i++) {
        const struct peer_link *link = &set->nodes[i / 2]->links[i % 2];
        assert(!link->connection || link->connection->link == link);
        assert(!link->is_newer || link->told_up);
        assert(link->told_up == link_is_up(link) || !list_is_empty(&link->changed)); /* PEER-1 */
    }
    assert(!set->reader.from || set->reader.from->state != CONNECTION_FREE);
}
