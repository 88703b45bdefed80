#include "sim/agenda.h"

#include "base/memory.h"

#include <assert.h>
#include <string.h>

void agenda_init(struct agenda *agenda)
{
    memset(agenda, 0, sizeof *agenda);
}

void agenda_deinit(struct agenda *agenda)
{
    memory_free(agenda->heap);
    memset(agenda, 0, sizeof *agenda);
}

/* SIM-1: by number, never by place in memory. */
static bool is_before(const struct happening *a, const struct happening *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void set_place(struct agenda *agenda, size_t index, struct happening *happening)
{
    agenda->heap[index] = happening;
    happening->place = index + 1;
}

static void rise(struct agenda *agenda, size_t index)
{
    struct happening *moving = agenda->heap[index];
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!is_before(moving, agenda->heap[parent]))
            break;
        set_place(agenda, index, agenda->heap[parent]);
        index = parent;
    }
    set_place(agenda, index, moving);
}

static void sink(struct agenda *agenda, size_t index)
{
    struct happening *moving = agenda->heap[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= agenda->count)
            break;
        if (child + 1 < agenda->count && is_before(agenda->heap[child + 1], agenda->heap[child]))
            child++;
        if (!is_before(agenda->heap[child], moving))
            break;
        set_place(agenda, index, agenda->heap[child]);
        index = child;
    }
    set_place(agenda, index, moving);
}

void agenda_put(struct agenda *agenda, struct happening *happening, uint64_t at_ns)
{
    assert(happening->kind != 0);
    happening->at_ns = at_ns;
    happening->order = agenda->next_order++;
    if (happening->place == 0) {
        if (agenda->count == agenda->capacity) {
            agenda->capacity = agenda->capacity == 0 ? 64 : agenda->capacity * 2;
            agenda->heap =
                memory_resize(agenda->heap, agenda->capacity * sizeof(struct happening *));
        }
        set_place(agenda, agenda->count++, happening);
    }
    rise(agenda, happening->place - 1);
    sink(agenda, happening->place - 1);
}

void agenda_drop(struct agenda *agenda, struct happening *happening)
{
    if (happening->place == 0)
        return;
    size_t index = happening->place - 1;
    struct happening *last = agenda->heap[--agenda->count];
    happening->place = 0;
    if (last == happening)
        return;
    set_place(agenda, index, last);
    rise(agenda, index);
    sink(agenda, last->place - 1);
}

struct happening *agenda_first(const struct agenda *agenda)
{
    return agenda->count == 0 ? NULL : agenda->heap[0];
}
