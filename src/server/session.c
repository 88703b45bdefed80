/* Pending replies in order. A reply that is known when nothing before it waits elsewhere is written
 * straight into the client's buffer ("staged"); others keep their own bytes until their turn comes.
 */
#include "server/inside.h"

#include "base/memory.h"

#include <assert.h>

void session_init(struct session *session, bool remote)
{
    memset(session, 0, sizeof *session);
    session->remote = remote;
    list_init(&session->busy);
    buffer_init(&session->out, REPLY_SIZE_MAX);
}

static void pending_deinit(struct pending *pending)
{
    buffer_deinit(&pending->own);
    buffer_deinit(&pending->request);
    memory_free(pending->wait);
    scatter_unref(pending->scatter);
}

void session_deinit(struct session *session)
{
    while (session->count)
        session_pop(session);
    list_remove(&session->busy);
    memory_free(session->ring);
    buffer_deinit(&session->out);
    watches_deinit(&session->watches);
    memory_free(session->writes.at);
}

struct pending *session_at(struct session *session, size_t i)
{
    assert(i < session->count);
    return &session->ring[(session->head + i) & (session->capacity - 1)];
}

static void grow(struct session *session)
{
    size_t capacity = session->capacity ? session->capacity * 2 : 4;
    struct pending *ring = memory_allocate(capacity * sizeof *ring);
    for (size_t i = 0; i < session->count; i++)
        ring[i] = *session_at(session, i);
    memory_free(session->ring);
    session->ring = ring;
    session->capacity = capacity;
    session->head = 0;
}

struct pending *session_push(struct server *server, struct session *session,
                             const struct pending *pending)
{
    if (session->count == session->capacity)
        grow(session);
    session->count++;
    struct pending *slot = session_at(session, session->count - 1);
    *slot = *pending;
    session->unstaged += !slot->staged;
    if (session->count == 1)
        list_append(&server->busy, &session->busy);
    server->fresh = true;
    return slot;
}

void session_pop(struct session *session)
{
    struct pending *pending = session_at(session, 0);
    session->unstaged -= !pending->staged;
    pending_deinit(pending);
    session->head = (session->head + 1) & (session->capacity - 1);
    session->count--;
    if (!session->count)
        list_remove(&session->busy);
}

/* ---- what was written ---- */

static struct written *written_place(const struct writes *writes, struct group_id group)
{
    size_t i = group.value & (writes->capacity - 1); /* ids of one keyspace follow each other */
    while (writes->at[i].used && !group_id_equal(writes->at[i].group, group))
        i = (i + 1) & (writes->capacity - 1);
    return &writes->at[i];
}

static void grow_writes(struct writes *writes)
{
    struct writes larger = {.count = writes->count,
                            .capacity = writes->capacity ? 2 * writes->capacity : 2};
    larger.at = memory_zeroed(larger.capacity, sizeof *larger.at);
    for (size_t i = 0; i < writes->capacity; i++)
        if (writes->at[i].used)
            *written_place(&larger, writes->at[i].group) = writes->at[i];
    memory_free(writes->at);
    *writes = larger;
}

void session_note_group(struct session *session, struct group_id group, uint64_t index,
                        uint64_t term)
{
    struct writes *writes = &session->writes;
    if (2 * writes->count >= writes->capacity)
        grow_writes(writes);
    struct written *written = written_place(writes, group);
    writes->count += !written->used;
    if (index || !written->used)
        *written = (struct written){group, true, index, term};
}

const struct written *session_written(const struct session *session, struct group_id group)
{
    if (!session->writes.capacity)
        return NULL;
    const struct written *written = written_place(&session->writes, group);
    return written->used ? written : NULL;
}

void session_note_write(struct server *server, struct session *session, struct pending *pending)
{
    if (pending->kind != PENDING_GATED || !pending->gate.wrote)
        return;
    session_note_group(session, pending->group, pending->gate.index, pending->gate.term);
    server->acks_wanted |= pending->gate.ack != WIRE_ACK_QUORUM;
}

/* While every pending reply is staged the next one may be staged behind them. */
struct reply session_reply(struct session *session, struct pending *scratch, int protocol)
{
    scratch->staged = session->unstaged == 0 && !scratch->scatter;
    if (!scratch->staged)
        buffer_init(&scratch->own, REPLY_SIZE_MAX);
    return (struct reply){.out = scratch->staged ? &session->out : &scratch->own,
                          .protocol = protocol};
}

void session_set_reply(struct pending *pending, struct slice bytes)
{
    assert(!pending->staged);
    buffer_deinit(&pending->own);
    buffer_init(&pending->own, REPLY_SIZE_MAX);
    if (buffer_append(&pending->own, bytes.at, bytes.size))
        pending->own.size = 0;
    pending->kind = PENDING_READY;
}

/* Each staged reply gets bytes of its own, all in one pass: a session with a thousand of them loses
 * them all when a leadership goes (SERVER-4). */
void session_unstage(struct session *session)
{
    size_t at = session->released;
    for (size_t i = 0; i < session->count; i++) {
        struct pending *pending = session_at(session, i);
        if (!pending->staged)
            continue; /* and nothing is staged behind it */
        buffer_init(&pending->own, REPLY_SIZE_MAX);
        if (buffer_append(&pending->own, session->out.at + at, pending->size))
            pending->own.size = 0; /* cannot be: it fitted in `out` */
        at += pending->size;
        pending->staged = false;
        session->unstaged++;
    }
    session->out.size = session->released;
}

void session_fail(struct server *server, struct session *session, struct pending *pending,
                  const char *error)
{
    struct buffer bytes;
    buffer_init(&bytes, 1024);
    struct reply reply = {.out = &bytes, .protocol = 2};
    reply_error(&reply, "%s", error);
    if (pending->staged)
        session_unstage(session);
    session_set_reply(pending, slice_of_buffer(&bytes));
    pending->kind = PENDING_READY;
    server_note_error(server, slice_of_buffer(&bytes));
    server->facts.unknown_total += strncmp(error, "UNKNOWNOUTCOME", 14) == 0;
    buffer_deinit(&bytes);
}

/* ---- gates ---- */

static const char unknown_outcome[] =
    "UNKNOWNOUTCOME the leader changed or was too slow: the write may or may not have happened";
static const char cut[] = "TRYAGAIN the leader changed; the write did not happen";
static const char lost[] = "TRYAGAIN the leader changed while reading";

static bool is_late(const struct server *server, const struct pending *pending, uint64_t now_ns)
{
    return now_ns > pending->since_ns + server->options.ack_timeout_ns;
}

/* An answer for another node instead of an error for a client: it may route the request again. */
static enum wire_outcome outcome_of(enum replica_gate_state state)
{
    return state == REPLICA_GATE_CUT || state == REPLICA_GATE_LOST ? WIRE_OUTCOME_REFUSED
                                                                   : WIRE_OUTCOME_DONE;
}

/* Its replica is not here any more: the keyspace was dropped, or the copy is elsewhere by now. */
static void settle_without(struct server *server, struct session *session, struct pending *pending,
                           enum wire_outcome *outcome)
{
    if (forward_is_dropped(server, pending->group)) {
        session_fail(server, session, pending, SESSION_DROPPED);
        return;
    }
    *outcome = pending->writes ? WIRE_OUTCOME_UNKNOWN : WIRE_OUTCOME_REFUSED;
    session_fail(server, session, pending, pending->writes ? unknown_outcome : lost);
}

/* False: the gate stays shut for now. */
static bool settle(struct server *server, struct session *session, struct pending *pending,
                   enum wire_outcome *outcome)
{
    struct replica_turn *turn = node_turn(server->node);
    struct replica *replica = node_group(server->node, pending->group);
    if (!replica) {
        settle_without(server, session, pending, outcome);
        return true;
    }
    enum replica_gate_state state = replica_gate(replica, turn, &pending->gate, server->release_ns);
    *outcome = outcome_of(state);
    if (state == REPLICA_GATE_OPEN) {
        replica_note_acknowledged(replica, &pending->gate);
        return true;
    }
    turn->round_wanted |= state == REPLICA_GATE_UNCONFIRMED;
    bool waits = state == REPLICA_GATE_WAITS || state == REPLICA_GATE_UNCONFIRMED;
    if (!waits && once_goes_again(server, session, pending))
        return false;
    if (waits) {
        if (!is_late(server, pending, server->release_ns))
            return false;
        *outcome = WIRE_OUTCOME_UNKNOWN;
        session_fail(server, session, pending, pending->writes ? unknown_outcome : lost);
        return true;
    }
    session_fail(server, session, pending, state == REPLICA_GATE_CUT ? cut : lost);
    return true;
}

static struct slice reply_of(const struct session *session, const struct pending *pending)
{
    return pending->staged ? slice_of(session->out.at + session->released, pending->size)
                           : slice_of_buffer(&pending->own);
}

/* SERVER-7: it was sent before, too. What a later attempt says of itself is not true of the first:
 * that one may have run, or may yet. */
static bool promises_too_much(const struct session *session, const struct pending *pending)
{
    static const char *const refusals[] = {"-TRYAGAIN", "-NOREPLICAS", "-MISCONF"};
    struct slice reply = reply_of(session, pending);
    for (size_t i = 0; pending->unsure && i < sizeof refusals / sizeof refusals[0]; i++)
        if (reply.size > strlen(refusals[i]) &&
            memcmp(reply.at, refusals[i], strlen(refusals[i])) == 0)
            return true;
    return false;
}

/* The oldest reply is known and its gate open: hand it on. */
static void hand_on(struct server *server, struct session *session, struct pending *pending,
                    enum wire_outcome outcome)
{
    struct buffer *out = &session->out;
    IO_NOTE(server->io, "acknowledge");
    if (promises_too_much(session, pending))
        session_fail(server, session, pending, unknown_outcome);
    server->facts.writes_acknowledged_total +=
        pending->kind == PENDING_GATED && pending->gate.wrote && outcome == WIRE_OUTCOME_DONE;
    struct token token = token_of_write(pending);
    if (!session->remote && token.index && outcome == WIRE_OUTCOME_DONE)
        token_note(client_of_session(session), &token);
    if (pending->scatter) {
        scatter_take(server, session, pending);
    } else if (session->remote) {
        forward_emit(server, forward_remote_of(session), pending, reply_of(session, pending),
                     outcome);
        session->released += pending->staged ? pending->size : 0;
    } else if (pending->staged) {
        session->released += pending->size;
    } else if (buffer_append(out, pending->own.at, pending->own.size) == STATUS_OK) {
        session->released = out->size; /* nothing is staged behind an unstaged one */
    }
    session_pop(session);
}

/* SERVER-1: from the front, and not past the first whose gate is shut. */
void session_release(struct server *server, struct session *session)
{
    while (session->count) {
        struct pending *pending = session_at(session, 0);
        enum wire_outcome outcome = WIRE_OUTCOME_DONE;
        if (pending->kind == PENDING_FORWARDED || pending->kind == PENDING_REROUTE)
            break;
        if (pending->kind == PENDING_REFUSED)
            outcome = WIRE_OUTCOME_REFUSED;
        bool waits =
            (pending->kind == PENDING_GATED && !settle(server, session, pending, &outcome)) ||
            (pending->kind == PENDING_WAIT && !wait_settle(server, session, pending));
        if (waits) {
            server->acks_wanted |=
                pending->kind == PENDING_WAIT || pending->gate.ack != WIRE_ACK_QUORUM;
            break;
        }
        hand_on(server, session, pending, outcome);
    }
    if (session->remote && session->released == session->out.size) {
        buffer_reset(&session->out);
        session->released = 0;
    } else if (session->remote && session->released > UNSENT_PAUSE) {
        buffer_consume(&session->out, session->released);
        session->released = 0;
    }
}
