/* agenda.h - what will happen and when: a binary heap of happenings that live inside the objects
 * they concern.
 *
 * Equal times happen in the order in which they were put, so the order never depends on addresses
 * or on the heap's shape. */
#ifndef HOLDFAST_SIM_AGENDA_H
#define HOLDFAST_SIM_AGENDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum happening_kind {
    HAPPENING_WAKE = 1, /* of an io */
    HAPPENING_TIMER,    /* of a timer */
    HAPPENING_ARRIVE,   /* of a flow: its first segment is at the other end */
    HAPPENING_CREDIT,   /* of a flow: the sender learns of room in the window */
    HAPPENING_GIVE_UP,  /* of a flow: the sender's kernel has waited long enough */
    HAPPENING_DIAL,     /* of a connection that is being made */
    HAPPENING_TASK,     /* of a disk task */
    HAPPENING_MESSAGE,  /* of a message between workers */
};

struct happening {
    uint64_t at_ns, order;
    size_t place; /* 1.. in the heap; 0: not on the agenda */
    enum happening_kind kind;
};

struct agenda {
    struct happening **heap; /* owned; the happenings belong to their objects */
    size_t count, capacity;
    uint64_t next_order;
};

void agenda_init(struct agenda *agenda);
void agenda_deinit(struct agenda *agenda);

/* Puts `happening` at `at_ns`; one that is there already moves. */
void agenda_put(struct agenda *agenda, struct happening *happening, uint64_t at_ns);
void agenda_drop(struct agenda *agenda, struct happening *happening); /* none there is fine */

/* NULL when there is nothing. It stays until dropped. */
struct happening *agenda_first(const struct agenda *agenda);

static inline bool happening_is_due(const struct happening *happening)
{
    return happening->place != 0;
}

#endif
