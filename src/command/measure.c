/* measure.c - how much a short request is about to make of collections. It has the limit of what a
 * request may carry (record 0032), and is refused before anything is made. */
#include "command/call.h"

/* What an element costs beside its bytes: putting it into a collection takes about as long as
 * receiving, summing and logging so many. */
#define ELEMENT_COST 64

void command_measure_init(struct command_measure *measure, struct command_call *call)
{
    *measure = (struct command_measure){.call = call, .left = UINT64_MAX};
    if (call->effect && call->value_size_max) /* what is applied was judged by who proposed it */
        measure->left = 2 * (uint64_t)call->value_size_max;
    measure->is_limited = measure->left != UINT64_MAX;
}

/* False: too much. */
static bool take(struct command_measure *measure, size_t size)
{
    if (measure->left < size)
        measure->exceeded = true;
    else
        measure->left -= size;
    return !measure->exceeded;
}

static void add_members(struct command_measure *measure, const struct store_entry *entry)
{
    struct store_member members[STORE_WALK_ROOM];
    uint64_t cursor = 0;
    size_t count;
    do {
        cursor =
            store_member_walk(measure->call->store, entry, cursor, STORE_WALK_MAX, members, &count);
        for (size_t i = 0; i < count; i++)
            if (!take(measure, members[i].name.size + members[i].value.size))
                return;
    } while (cursor);
}

static void add_elements(struct command_measure *measure, const struct store_entry *entry)
{
    struct store_list_walk walk;
    struct slice element;
    store_list_walk_init(&walk, entry, 0);
    while (store_list_walk_next(&walk, &element) && take(measure, element.size))
        ;
}

void command_measure_ranks(struct command_measure *measure, const struct store_entry *entry,
                           size_t from, size_t count)
{
    struct store_scored_walk walk;
    struct slice member;
    double score;
    if (!measure->is_limited || !count || !take(measure, count * ELEMENT_COST))
        return;
    store_scored_walk_init(&walk, entry, from, false);
    while (count-- && store_scored_walk_next(&walk, &member, &score) && take(measure, member.size))
        ;
}

/* The number alone tells of most that is too much: then no element is looked at. */
void command_measure_add(struct command_measure *measure, const struct store_entry *entry)
{
    if (!measure->is_limited || measure->exceeded || !entry)
        return;
    switch (store_entry_type(entry)) {
    case STORE_STRING: take(measure, store_entry_string(entry).size); break;
    case STORE_LIST:
        if (take(measure, store_list_length(entry) * ELEMENT_COST))
            add_elements(measure, entry);
        break;
    case STORE_SORTED_SET:
        command_measure_ranks(measure, entry, 0, store_scored_count(entry));
        break;
    case STORE_HASH:
    case STORE_SET:
        if (take(measure, store_member_count(entry) * ELEMENT_COST))
            add_members(measure, entry);
        break;
    }
}

void command_measure_items(struct command_measure *measure, const struct slice *items, size_t count)
{
    if (!measure->is_limited || !take(measure, count * ELEMENT_COST))
        return;
    for (size_t i = 0; i < count && take(measure, items[i].size); i++)
        ;
}

bool command_measure_fits(struct command_measure *measure)
{
    if (measure->exceeded)
        command_fail(measure->call,
                     "ERR this would make more of other keys than twice the maximum size of a "
                     "string (proto-max-bulk-len; each element counts 64 bytes more): nothing was "
                     "done; do it in parts");
    return !measure->exceeded;
}
