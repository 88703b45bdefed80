/* Changes of the group's configuration: the leader puts each into the log as an entry, where it is
 * in force from the append on (dissertation 4.1, 4.3). raft/ knows which may follow which; who
 * wants what is the caller's business. */
#include "replica/log/log.h"

#include <assert.h>

/* RAFT-15: one change at a time, by a leader that executes. Raft would refuse it without a word,
 * and by then the entry were in the log. */
static bool may_change(const struct replica *replica)
{
    const struct raft *raft = replica->raft;
    return replica_is_serving(replica) &&
           raft_configuration(raft)->index <= raft_view(raft)->commit;
}

/* It changes nothing in the store, so it counts as executed at once (REPLICA-2). */
static void propose(struct replica *replica, struct replica_turn *turn,
                    const struct raft_configuration *next)
{
    struct buffer bytes;
    buffer_init(&bytes, 4096);
    raft_configuration_encode(next, &bytes);
    struct slice payload[2] = {slice_of_buffer(&bytes), {NULL, 0}};
    struct raft_event event = {
        .kind = RAFT_PROPOSE_CONFIGURATION, .configuration_count = 1, .configurations = next};
    int64_t time_us = replica_next_us(replica, turn);
    replica_append_event(replica, turn, WIRE_ENTRY_CONFIGURATION, time_us, payload, &event);
    replica_note_executed(replica, raft_view(replica->raft)->last_index, time_us, event.bytes);
    buffer_deinit(&bytes);
}

enum status replica_change(struct replica *replica, struct replica_turn *turn,
                           const struct raft_configuration *wanted, bool even, const char **why)
{
    struct raft_configuration next;
    if (!may_change(replica))
        return STATUS_AGAIN;
    enum status status =
        raft_configuration_change(raft_configuration(replica->raft), wanted, even, &next, why);
    if (!status)
        propose(replica, turn, &next);
    return status;
}

enum status replica_set_sync(struct replica *replica, struct replica_turn *turn,
                             struct replica_id voter, bool in_sync)
{
    struct raft_configuration next;
    if (!may_change(replica))
        return STATUS_AGAIN;
    enum status status =
        raft_configuration_set_sync(raft_configuration(replica->raft), voter, in_sync, &next);
    if (!status)
        propose(replica, turn, &next);
    return status;
}

bool replica_must_leave(const struct replica *replica)
{
    return raft_view(replica->raft)->leave_joint && may_change(replica);
}

static bool stays(const struct replica *replica)
{
    const struct raft_member *self =
        raft_find_member(raft_configuration(replica->raft), replica->options.self);
    return self && self->kind == RAFT_VOTER;
}

/* Nothing else ends a change: so does the leader that follows when the one that began it fails, or
 * when that one has handed over because the change removes it. */
void replica_leave_joint(struct replica *replica, struct replica_turn *turn)
{
    struct raft_configuration next;
    if (!replica_must_leave(replica))
        return;
    if (!stays(replica) && raft_can_be_followed(replica->raft)) {
        replica_transfer(replica, turn, (struct replica_id){0});
        return;
    }
    raft_configuration_leave(raft_configuration(replica->raft), &next);
    propose(replica, turn, &next);
}
