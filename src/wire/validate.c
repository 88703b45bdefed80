#include "wire/layout.h"

/* The address ends up in logs and in replies to clients: printable, no spaces, terminated. */
static bool address_is_valid(const char address[WIRE_ADDRESS_SIZE])
{
    for (size_t i = 0; i < WIRE_ADDRESS_SIZE; i++) {
        if (address[i] == '\0')
            return true;
        if (address[i] <= ' ' || address[i] > '~')
            return false;
    }
    return false;
}

bool wire_hello_is_valid(const struct wire_hello *hello)
{
    return hello->from.value != 0 && hello->to.value != 0 && hello->worker < hello->workers &&
           (hello->link == WIRE_LINK_DATA || hello->link == WIRE_LINK_CONTROL) &&
           address_is_valid(hello->client_address);
}

static bool is_number(uint64_t value)
{
    return value <= WIRE_NUMBER_MAX;
}

/* What raft itself would ignore is let through; what would confuse arithmetic is not. */
bool wire_raft_is_valid(const struct raft_message *m)
{
    if (m->kind < RAFT_PRE_VOTE || m->kind > RAFT_SNAPSHOT_ANSWER)
        return false;
    if (m->from.value == 0 || m->to.value == 0)
        return false;
    if (!is_number(m->term) || !is_number(m->index) || !is_number(m->log_term) ||
        !is_number(m->last_index) || !is_number(m->commit) || !is_number(m->acked) ||
        !is_number(m->written) || !is_number(m->persisted) || !is_number(m->round))
        return false;
    if (m->history.term > m->term || !is_number(m->history.index) ||
        (m->history.term == 0) != (m->history.index == 0))
        return false;
    if (m->kind == RAFT_APPEND)
        return m->term >= 1 && m->log_term <= m->term && m->last_index >= m->index;
    return true;
}

bool wire_beat_is_valid(const struct wire_beat *beat, bool answer)
{
    return beat->from.value != 0 && beat->to.value != 0 && is_number(beat->term) &&
           is_number(beat->round) && is_number(beat->commit) &&
           beat->behind <= WIRE_BEHIND_UNKNOWN && (!beat->agreed || (answer && !beat->behind));
}

bool wire_forward_is_valid(const struct wire_forward *forward)
{
    unsigned ack = forward->flags >> WIRE_FORWARD_ACK;
    return forward->sequence >= 1 && is_number(forward->sequence) &&
           is_number(forward->token_term) && is_number(forward->token_index) &&
           (ack <= RAFT_MEMBERS_MAX || ack >= WIRE_ACK_ASYNC) &&
           wire_request_is_valid(forward->request);
}

bool wire_snapshot_is_valid(enum wire_kind kind, const struct wire_snapshot *s)
{
    bool has_bytes = kind == WIRE_SNAPSHOT_HEADER || kind == WIRE_SNAPSHOT_PART;
    if (s->from.value == 0 || s->to.value == 0 || !is_number(s->index) || !is_number(s->term) ||
        has_bytes != (s->bytes.size > 0) || (s->again && kind != WIRE_SNAPSHOT_ASK))
        return false;
    if (kind == WIRE_SNAPSHOT_PART)
        return s->size <= WIRE_CHUNK_SIZE_MAX && s->bytes.size <= s->size &&
               s->offset <= s->size - s->bytes.size;
    return s->offset == 0 && s->size == 0;
}

bool wire_forward_reply_is_valid(const struct wire_forward_reply *reply)
{
    return reply->sequence >= 1 && is_number(reply->sequence) && is_number(reply->token_term) &&
           is_number(reply->token_index) && reply->outcome >= WIRE_OUTCOME_DONE &&
           reply->outcome <= WIRE_OUTCOME_UNKNOWN;
}
