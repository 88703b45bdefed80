/* sorted_set_remove.c - members leave sorted sets by rank, score or bytes, and at their ends. All
 * of it ships as ranks. */
#include "command/call.h"

#include <assert.h>

/* ---- ranks ---- */

/* The member's name may be handed over as the store holds it. */
static void remove_at(struct command_call *call, const struct store_key *key, size_t rank)
{
    struct store_scored_walk walk;
    struct slice member;
    double score;
    store_scored_walk_init(&walk, store_find(call->store, key), rank, false);
    bool there = store_scored_walk_next(&walk, &member, &score);
    assert(there);
    store_scored_remove(call->store, key, member);
}

/* 0 < count; the room for what ships was asked for with RANKS_SIZE. */
#define RANKS_SIZE (2 * 21)
static void remove_ranks(struct command_call *call, const struct store_key *key, size_t all,
                         size_t from, size_t count)
{
    char first[21], last[21];
    if (count == all)
        store_remove(call->store, key);
    for (size_t i = 0; i < count && count < all; i++)
        remove_at(call, key, from);
    struct slice shipped[3] = {key->bytes, slice_of(first, text_of_i64((int64_t)from, first)),
                               slice_of(last, text_of_i64((int64_t)(from + count - 1), last))};
    command_ship(call, NUMBER_ZREMRANGEBYRANK, shipped, 3);
}

static void remove_range(struct command_call *call, enum command_range_kind kind)
{
    struct command_range range = {.kind = kind};
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    size_t from = 0, count = 0;
    if (!command_take_range(call, 2, 3, &range) ||
        !command_lookup_typed(call, &key, STORE_SORTED_SET, &entry))
        return;
    if (entry)
        command_resolve_range(entry, &range, &from, &count);
    if (!count) {
        command_reply_unchanged(call, 0);
        return;
    }
    if (!command_can_change(call, RANKS_SIZE))
        return;
    remove_ranks(call, &key, store_scored_count(entry), from, count);
    reply_integer(call->reply, (int64_t)count);
}

static void execute_zremrangebyrank(struct command_call *call)
{
    remove_range(call, RANGE_RANK);
}

static void execute_zremrangebyscore(struct command_call *call)
{
    remove_range(call, RANGE_SCORE);
}

static void execute_zremrangebylex(struct command_call *call)
{
    remove_range(call, RANGE_LEX);
}

/* ---- ends ---- */

/* The `wanted` lowest or highest members, or all there are. */
static struct command_ranks end_ranks(const struct store_entry *entry, bool highest, int64_t wanted)
{
    size_t all = store_scored_count(entry);
    size_t count = (uint64_t)wanted < all ? (size_t)wanted : all;
    return (struct command_ranks){.entry = entry,
                                  .from = highest ? all - count : 0,
                                  .count = count,
                                  .reversed = highest,
                                  .with_scores = true};
}

/* One member is answered flat in both protocols, as Redis does. */
static void reply_popped(struct command_call *call, const struct command_ranks *ranks, bool counted)
{
    struct store_scored_walk walk;
    struct slice member;
    double score;
    if (counted) {
        command_reply_ranks(call, ranks);
        return;
    }
    store_scored_walk_init(&walk, ranks->entry, ranks->from, false);
    bool there = store_scored_walk_next(&walk, &member, &score);
    assert(there);
    reply_array(call->reply, 2);
    reply_bulk(call->reply, member);
    reply_double(call->reply, score);
}

static void pop(struct command_call *call, bool highest)
{
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    int64_t wanted = 1;
    if (call->count > 3) {
        command_fail_syntax(call);
        return;
    }
    if ((call->count == 3 && !command_amount(call, 2, &wanted)) ||
        !command_lookup_typed(call, &key, STORE_SORTED_SET, &entry))
        return;
    if (!entry || !wanted) {
        reply_array(call->reply, 0);
        return;
    }
    if (!command_can_change(call, RANKS_SIZE))
        return;
    const struct command_ranks ranks = end_ranks(entry, highest, wanted);
    reply_popped(call, &ranks, call->count == 3);
    remove_ranks(call, &key, store_scored_count(entry), ranks.from, ranks.count);
}

static void execute_zpopmin(struct command_call *call)
{
    pop(call, false);
}

static void execute_zpopmax(struct command_call *call)
{
    pop(call, true);
}

static void execute_zmpop(struct command_call *call)
{
    struct command_pop wanted;
    struct store_key key;
    struct store_entry *entry = NULL;
    if (!command_take_pop(call, "MIN", "MAX", &wanted))
        return;
    for (size_t i = 0; i < wanted.keys && !entry; i++) {
        key = command_key(call, 2 + i);
        if (!command_lookup_typed(call, &key, STORE_SORTED_SET, &entry))
            return;
    }
    if (!entry) {
        reply_null_array(call->reply);
        return;
    }
    if (!command_can_change(call, RANKS_SIZE))
        return;
    struct command_ranks ranks = end_ranks(entry, wanted.at_second, wanted.count);
    ranks.paired = true;
    reply_array(call->reply, 2);
    reply_bulk(call->reply, key.bytes);
    command_reply_ranks(call, &ranks);
    remove_ranks(call, &key, store_scored_count(entry), ranks.from, ranks.count);
}

/* ---- rows ---- */

#define POP        (COMMAND_WRITE | COMMAND_FAST)
#define SLOW_WRITE "@write @sortedset @slow"
#define FAST_WRITE "@write @sortedset @fast"

static const struct command rows[] = {
    {NUMBER_ZREMRANGEBYRANK, "ZREMRANGEBYRANK", 4, COMMAND_WRITE | COMMAND_EFFECT, 1, 1, 1,
     SLOW_WRITE, "Remove members by rank", "sorted-set", "2.0.0", execute_zremrangebyrank, 0},
    {NUMBER_ZREMRANGEBYSCORE, "ZREMRANGEBYSCORE", 4, COMMAND_WRITE, 1, 1, 1, SLOW_WRITE,
     "Remove members by score", "sorted-set", "1.2.0", execute_zremrangebyscore, 0},
    {NUMBER_ZREMRANGEBYLEX, "ZREMRANGEBYLEX", 4, COMMAND_WRITE, 1, 1, 1, SLOW_WRITE,
     "Remove members of one score by their bytes", "sorted-set", "2.8.9", execute_zremrangebylex,
     0},
    {NUMBER_ZPOPMIN, "ZPOPMIN", -2, POP, 1, 1, 1, FAST_WRITE,
     "Take the members with the lowest scores", "sorted-set", "5.0.0", execute_zpopmin, 0},
    {NUMBER_ZPOPMAX, "ZPOPMAX", -2, POP, 1, 1, 1, FAST_WRITE,
     "Take the members with the highest scores", "sorted-set", "5.0.0", execute_zpopmax, 0},
    {NUMBER_ZMPOP, "ZMPOP", -4, COMMAND_WRITE | COMMAND_COUNTED_1, 0, 0, 0, SLOW_WRITE,
     "Take members from an end of the first sorted set that is there", "sorted-set", "7.0.0",
     execute_zmpop, 0},
};

struct command_family command_family_sorted_set_remove(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
