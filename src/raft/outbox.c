/* outbox.c - messages of this step, and those that wait until term and vote are durable. */
#include "raft/state.h"

struct raft_message raft_message_to(const struct raft *raft, enum raft_message_kind kind,
                                    struct replica_id to)
{
    return (struct raft_message){
        .kind = kind,
        .group = raft->options.group,
        .from = raft->options.self,
        .to = to,
        .term = raft->view.term,
    };
}

/* A full outbox loses the message: every exchange is repeated anyway, and one step that fills it is
 * not a normal one. */
void raft_send(struct raft *raft, const struct raft_message *message)
{
    struct raft_outputs *outputs = raft->outputs;
    if (outputs->message_count < RAFT_MESSAGES_MAX)
        outputs->messages[outputs->message_count++] = *message;
}

/* The newest message to a peer replaces an older one of its kind: only the newest is still true. */
static struct held *find_slot(struct raft *raft, const struct raft_message *message)
{
    struct held *slot = NULL;
    for (size_t i = 0; i < RAFT_HELD_MAX; i++) {
        struct held *held = &raft->held[i];
        if (held->version && held->message.kind == message->kind &&
            replica_id_equal(held->message.to, message->to))
            return held;
        if (!held->version && !slot)
            slot = held;
    }
    return slot;
}

void raft_send_when_saved(struct raft *raft, const struct raft_message *message)
{
    struct held *slot = find_slot(raft, message);
    if (raft_is_saved(raft)) { /* RAFT-5 */
        if (slot)
            slot->version = 0;
        raft_send(raft, message);
        return;
    }
    if (slot)
        *slot = (struct held){*message, raft->term_version};
}

void raft_release_held(struct raft *raft)
{
    for (size_t i = 0; i < RAFT_HELD_MAX; i++) {
        struct held *held = &raft->held[i];
        if (held->version && held->version <= raft->view.saved_version) {
            raft_send(raft, &held->message);
            held->version = 0;
        }
    }
}

void raft_drop_held(struct raft *raft)
{
    for (size_t i = 0; i < RAFT_HELD_MAX; i++)
        raft->held[i].version = 0;
}
