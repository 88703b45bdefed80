/* persistence.c - what is durable: the state record (term, vote) and the log's tickets. */
#include "raft/state.h"

#include <assert.h>

/* version, term, vote, self. Version 2 is the same and says that the replica is unsure. Versions 3
 * and 4 are 1 and 2 of a group that had an unsure election: then term and index of its history. */
#define STATE_VERSION         1
#define STATE_VERSION_UNSURE  2
#define STATE_VERSION_HISTORY 2 /* so much more */
#define STATE_SIZE            25
#define STATE_SIZE_HISTORY    41

void raft_state_encode(const struct raft *raft, struct buffer *out)
{
    uint8_t bytes[STATE_SIZE_HISTORY];
    bool history = raft->view.history.term != 0;
    bytes[0] = raft->view.unsure ? STATE_VERSION_UNSURE : STATE_VERSION;
    if (history)
        bytes[0] += STATE_VERSION_HISTORY;
    store_u64(bytes + 1, raft->view.term);
    store_u64(bytes + 9, raft->vote.value);
    store_u64(bytes + 17, raft->options.self.value);
    store_u64(bytes + 25, raft->view.history.term);
    store_u64(bytes + 33, raft->view.history.index);
    enum status status = buffer_append(out, bytes, history ? STATE_SIZE_HISTORY : STATE_SIZE);
    assert(status == STATUS_OK);
}

size_t raft_state_size(struct slice bytes)
{
    unsigned version = bytes.size ? bytes.at[0] : 0;
    if (version < STATE_VERSION || version > STATE_VERSION_UNSURE + STATE_VERSION_HISTORY)
        return 0;
    size_t size = version > STATE_VERSION_HISTORY ? STATE_SIZE_HISTORY : STATE_SIZE;
    return size <= bytes.size ? size : 0;
}

enum status raft_state_decode(struct slice bytes, struct raft_state *out)
{
    if (!bytes.size || raft_state_size(bytes) != bytes.size)
        return STATUS_INVALID;
    unsigned version = bytes.at[0];
    bool history = version > STATE_VERSION_HISTORY;
    struct raft_state state = {
        .term = load_u64(bytes.at + 1),
        .vote = {load_u64(bytes.at + 9)},
        .self = {load_u64(bytes.at + 17)},
        .unsure = version % STATE_VERSION_HISTORY == 0,
    };
    if (history)
        state.history = (struct raft_history){load_u64(bytes.at + 25), load_u64(bytes.at + 33)};
    if (state.self.value == 0 || (history && !(state.history.term && state.history.index)))
        return STATUS_INVALID;
    *out = state;
    return STATUS_OK;
}

void raft_state_changed(struct raft *raft)
{
    raft->view.state_version++; /* raft_step tells the caller once, at its end */
}

void raft_handle_state_saved(struct raft *raft, uint64_t version)
{
    assert(version <= raft->view.state_version);
    if (version <= raft->view.saved_version)
        return;
    raft->view.saved_version = version;
    raft_release_held(raft);
    raft_evaluate_votes(raft); /* the own vote counts from now on */
}

static struct ticket *ticket_at(struct raft *raft, uint32_t place)
{
    return &raft->tickets[(raft->ticket_first + place) % RAFT_TICKETS_MAX];
}

/* When the ring is full the newest two writes become one: `persisted` moves later, never too early.
 */
void raft_handle_written(struct raft *raft, uint64_t ticket)
{
    struct ticket *last = raft->ticket_count ? ticket_at(raft, raft->ticket_count - 1) : NULL;
    assert(!last || last->ticket <= ticket);
    if (!last || (last->ticket != ticket && raft->ticket_count < RAFT_TICKETS_MAX))
        last = ticket_at(raft, raft->ticket_count++);
    *last = (struct ticket){ticket, raft->view.last_index};
}

void raft_handle_persisted(struct raft *raft, uint64_t ticket)
{
    uint64_t persisted = raft->view.persisted;
    while (raft->ticket_count && ticket_at(raft, 0)->ticket <= ticket) {
        uint64_t index = ticket_at(raft, 0)->last_index;
        if (index > persisted)
            persisted = index;
        raft->ticket_first = (raft->ticket_first + 1) % RAFT_TICKETS_MAX;
        raft->ticket_count--;
    }
    if (persisted == raft->view.persisted)
        return;
    assert(persisted <= raft->view.last_index); /* RAFT-6 */
    raft->view.persisted = persisted;
    if (raft->view.role == RAFT_LEADER)
        raft_try_commit(raft);
    else
        raft_send_accept(raft);
}

void raft_log_append(struct raft *raft, uint64_t term)
{
    raft->view.last_index++;
    raft->view.last_term = term;
    raft_term_table_append(&raft->terms, term, raft->view.last_index);
}

/* A write that is under way covers the entries before the cut only: what comes to stand at the same
 * indexes later is not in it. Lowering the tickets is what makes the late completion harmless
 * (RAFT-6). */
void raft_log_truncate(struct raft *raft, uint64_t from)
{
    struct raft_view *view = &raft->view;
    assert(from > view->commit && from <= view->last_index); /* RAFT-7 */
    assert(view->role != RAFT_LEADER);                       /* RAFT-2 */
    for (uint32_t i = 0; i < raft->ticket_count; i++)
        if (ticket_at(raft, i)->last_index >= from)
            ticket_at(raft, i)->last_index = from - 1;
    if (view->persisted >= from)
        view->persisted = from - 1;
    if (view->everywhere >= from)
        view->everywhere = from - 1;
    if (raft->old_last >= from)
        raft->old_last = from - 1;
    raft_term_table_truncate(&raft->terms, from);
    view->last_index = from - 1;
    view->last_term = raft_term_at(raft, view->last_index);
    raft_configuration_truncate(raft, from);
    raft->outputs->truncate_from = from;
}
