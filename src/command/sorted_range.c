/* sorted_range.c - parts of sorted sets: their bounds as requests say them, as ranks, as replies.
 */
#include "command/call.h"

/* ---- bounds ---- */

/* "1.5", "(1.5", "-inf". */
static bool read_score_bound(struct slice text, struct command_bound *bound)
{
    bound->open = text.size && text.at[0] == '(';
    if (bound->open)
        text = slice_of(text.at + 1, text.size - 1);
    return command_read_bound(text, &bound->score);
}

/* "[a", "(a", "-", "+". */
static bool read_lex_bound(struct slice text, struct command_bound *bound)
{
    uint8_t first = text.size ? text.at[0] : 0;
    if (first == '-' || first == '+') {
        bound->infinite = first == '-' ? -1 : 1;
        return text.size == 1;
    }
    bound->open = first == '(';
    bound->bytes = slice_of(text.at + 1, text.size ? text.size - 1 : 0);
    return bound->open || first == '[';
}

bool command_take_range(struct command_call *call, size_t low, size_t high,
                        struct command_range *range)
{
    struct slice low_text = call->arguments[low], high_text = call->arguments[high];
    range->low = range->high = (struct command_bound){.rank = 0};
    switch (range->kind) {
    case RANGE_RANK:
        return command_integer(call, low, &range->low.rank) &&
               command_integer(call, high, &range->high.rank);
    case RANGE_SCORE:
        if (read_score_bound(low_text, &range->low) && read_score_bound(high_text, &range->high))
            return true;
        command_fail(call, "ERR min or max is not a float");
        return false;
    case RANGE_LEX:
        if (read_lex_bound(low_text, &range->low) && read_lex_bound(high_text, &range->high))
            return true;
        command_fail(call, "ERR min or max not valid string range item");
        return false;
    }
    return false;
}

/* ---- ranks ---- */

/* How many members lie below the bound; with `itself` also those that equal it. */
static size_t below(const struct store_entry *entry, enum command_range_kind kind,
                    const struct command_bound *bound, bool itself)
{
    if (kind == RANGE_SCORE)
        return store_scored_below(entry, bound->score, itself);
    if (bound->infinite)
        return bound->infinite < 0 ? 0 : store_scored_count(entry);
    return store_scored_below_member(entry, bound->bytes, itself);
}

void command_resolve_range(const struct store_entry *entry, const struct command_range *range,
                           size_t *from, size_t *count)
{
    size_t all = store_scored_count(entry);
    *from = *count = 0;
    if (range->kind == RANGE_RANK) {
        if (command_span(range->low.rank, range->high.rank, all, from, count) && range->reversed)
            *from = all - *from - *count;
        return;
    }
    size_t end = below(entry, range->kind, &range->high, !range->high.open);
    *from = below(entry, range->kind, &range->low, range->low.open);
    *count = end > *from ? end - *from : 0;
}

/* ---- replies ---- */

void command_reply_ranks(struct command_call *call, const struct command_ranks *ranks)
{
    struct store_scored_walk walk;
    struct slice member;
    double score;
    if (!call->reply)
        return;
    if (ranks->with_scores && !ranks->paired)
        reply_pairs(call->reply, ranks->count);
    else
        reply_array(call->reply, ranks->count);
    if (!ranks->count)
        return;
    store_scored_walk_init(&walk, ranks->entry,
                           ranks->reversed ? ranks->from + ranks->count - 1 : ranks->from,
                           ranks->reversed);
    for (size_t i = 0; i < ranks->count && store_scored_walk_next(&walk, &member, &score); i++) {
        if (ranks->with_scores && ranks->paired)
            reply_array(call->reply, 2);
        else if (ranks->with_scores)
            reply_pair(call->reply);
        reply_bulk(call->reply, member);
        if (ranks->with_scores)
            reply_double(call->reply, score);
    }
}
