/* deadline.c - the one timer: attempts to connect, greetings, idle messages, silence.
 *
 * The timer is only ever moved forward in time by itself: reading and writing push deadlines away
 * without touching it, and when it fires too early it finds nothing to do and looks for the next.
 */
#include "peer/inside.h"

void deadline_want(struct peer_set *set, uint64_t deadline_ns)
{
    if (deadline_ns >= set->armed_ns)
        return;
    set->armed_ns = deadline_ns;
    io_timer_set(set->io, set->options.timer, deadline_ns);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* PEER-3: the other side would be silent only if it were gone, since it too sends idle messages. */
static void check_silence(struct peer_set *set, struct connection *connection, uint64_t now_ns)
{
    if (now_ns < connection->heard_ns + set->options.silence_ns)
        return;
    if (!connection->looked) {
        /* Perhaps it was we who slept: what arrived meanwhile is read before it is judged. */
        connection->looked = true;
        set->timer_fired = true;
        connection_mark_ready(set, connection);
        return;
    }
    line_say(set, "%s link to node %llu closed: silent for %llu ms; it is opened again",
             link_name(connection->link->kind),
             (unsigned long long)connection->link->node->id.node.value,
             (unsigned long long)((now_ns - connection->heard_ns) / NS_PER_MS));
    connection_lose(set, connection);
}

static void check_idle(struct peer_set *set, struct connection *connection, uint64_t now_ns)
{
    if (now_ns < connection->sent_ns + set->options.idle_ns)
        return;
    connection->sent_ns = now_ns;
    if (connection_waiting(connection) == 0)
        wire_add_idle(connection_frame(set, connection));
    connection_write(set, connection, now_ns);
}

static void check_connection(struct peer_set *set, struct connection *connection, uint64_t now_ns)
{
    if (connection->state == CONNECTION_UP) {
        check_silence(set, connection, now_ns);
        if (connection->state == CONNECTION_UP)
            check_idle(set, connection, now_ns);
    } else if (now_ns >= connection->deadline_ns) {
        if (connection_is_stranger(connection))
            connection_refuse(set, connection, "said nothing in time");
        else
            connection_lose(set, connection);
    }
}

static uint64_t connection_deadline(const struct peer_set *set, const struct connection *connection)
{
    switch (connection->state) {
    case CONNECTION_FREE: break;
    case CONNECTION_CONNECTING:
    case CONNECTION_GREETING: return connection->deadline_ns;
    case CONNECTION_UP:
        if (connection->is_local)
            return UINT64_MAX;
        return earlier(connection->heard_ns + set->options.silence_ns,
                       connection->sent_ns + set->options.idle_ns);
    }
    return UINT64_MAX;
}

static uint64_t link_deadline(const struct peer_set *set, const struct peer_link *link)
{
    return !link->connection && link_connects(set, link) ? link->connect_at_ns : UINT64_MAX;
}

void deadlines_run(struct peer_set *set)
{
    uint64_t now_ns = io_now_ns(set->io), next_ns = UINT64_MAX;
    set->timer_fired = false;
    set->armed_ns = UINT64_MAX;
    for (unsigned slot = 0; slot < set->slots_used; slot++) {
        struct connection *connection = &set->connections[slot];
        if (connection_deadline(set, connection) <= now_ns)
            check_connection(set, connection, now_ns);
    }
    for (size_t i = 0; i < 2 * set->node_count; i++) {
        struct peer_link *link = &set->nodes[i / 2]->links[i % 2];
        if (link_deadline(set, link) <= now_ns)
            link_connect(set, link);
        next_ns = earlier(next_ns, link_deadline(set, link));
    }
    for (unsigned slot = 0; slot < set->slots_used; slot++)
        next_ns = earlier(next_ns, connection_deadline(set, &set->connections[slot]));
    next_ns = earlier(next_ns, line_refusals(set, now_ns));
    if (next_ns != UINT64_MAX && !set->timer_fired) /* fired again: another run comes at once */
        deadline_want(set, next_ns);
}
