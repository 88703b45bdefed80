/* sorted_set_range.c - ZRANGE and its kin, counting and storing ranges. */
#include "command/call.h"

struct range_options {
    bool stores;
    bool any_order, any_kind; /* ZRANGE and ZRANGESTORE: REV, BYSCORE and BYLEX are options */
    struct command_range range;
    bool with_scores;
    int64_t skip, limit; /* limit -1: all */
};

/* ---- options ---- */

/* Options of one word. */
static bool take_flag(struct slice word, struct range_options *options)
{
    struct command_range *range = &options->range;
    if (!options->stores && slice_is_word(word, "WITHSCORES"))
        options->with_scores = true;
    else if (options->any_order && !range->reversed && slice_is_word(word, "REV"))
        range->reversed = true;
    else if (options->any_kind && range->kind == RANGE_RANK && slice_is_word(word, "BYLEX"))
        range->kind = RANGE_LEX;
    else if (options->any_kind && range->kind == RANGE_RANK && slice_is_word(word, "BYSCORE"))
        range->kind = RANGE_SCORE;
    else
        return false;
    return true;
}

static bool options_fit(struct command_call *call, const struct range_options *options)
{
    const char *error = NULL;
    if (options->limit != -1 && options->range.kind == RANGE_RANK)
        error = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or "
                "BYLEX";
    else if (options->with_scores && options->range.kind == RANGE_LEX)
        error = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
    if (error)
        command_fail(call, error);
    return !error;
}

/* Behind the two bounds, which begin at argument `first`. */
static bool take_options(struct command_call *call, size_t first, struct range_options *options)
{
    options->limit = -1;
    for (size_t i = first + 2; i < call->count; i++) {
        if (take_flag(call->arguments[i], options))
            continue;
        if (i + 2 >= call->count || !slice_is_word(call->arguments[i], "LIMIT")) {
            command_fail_syntax(call);
            return false;
        }
        if (!command_integer(call, i + 1, &options->skip) ||
            !command_integer(call, i + 2, &options->limit))
            return false;
        i += 2;
    }
    bool swapped = options->range.reversed && options->range.kind != RANGE_RANK;
    return options_fit(call, options) &&
           command_take_range(call, first + swapped, first + !swapped, &options->range);
}

/* ---- ranges ---- */

/* LIMIT, from the end on with which the answer begins. */
static void apply_limit(const struct range_options *options, struct command_ranks *ranks)
{
    uint64_t skip = (uint64_t)options->skip, limit = (uint64_t)options->limit;
    if (options->range.kind == RANGE_RANK)
        return;
    if (options->skip < 0 || skip >= ranks->count) {
        ranks->count = 0;
        return;
    }
    if (!ranks->reversed)
        ranks->from += skip;
    ranks->count -= skip;
    if (options->limit < 0 || limit >= ranks->count)
        return;
    if (ranks->reversed)
        ranks->from += ranks->count - limit;
    ranks->count = limit;
}

static struct command_ranks find_ranks(const struct store_entry *entry,
                                       const struct range_options *options)
{
    struct command_ranks ranks = {
        .entry = entry, .reversed = options->range.reversed, .with_scores = options->with_scores};
    if (entry) {
        command_resolve_range(entry, &options->range, &ranks.from, &ranks.count);
        apply_limit(options, &ranks);
    }
    return ranks;
}

static void answer(struct command_call *call, struct range_options options)
{
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    if (!take_options(call, 2, &options) ||
        !command_lookup_typed(call, &key, STORE_SORTED_SET, &entry))
        return;
    const struct command_ranks ranks = find_ranks(entry, &options);
    command_reply_ranks(call, &ranks);
}

static void answer_fixed(struct command_call *call, enum command_range_kind kind, bool reversed)
{
    answer(call, (struct range_options){.range = {.kind = kind, .reversed = reversed}});
}

static void execute_zrange(struct command_call *call)
{
    answer(call, (struct range_options){.any_order = true, .any_kind = true});
}

static void execute_zrevrange(struct command_call *call)
{
    answer_fixed(call, RANGE_RANK, true);
}

static void execute_zrangebyscore(struct command_call *call)
{
    answer_fixed(call, RANGE_SCORE, false);
}

static void execute_zrevrangebyscore(struct command_call *call)
{
    answer_fixed(call, RANGE_SCORE, true);
}

static void execute_zrangebylex(struct command_call *call)
{
    answer_fixed(call, RANGE_LEX, false);
}

static void execute_zrevrangebylex(struct command_call *call)
{
    answer_fixed(call, RANGE_LEX, true);
}

/* ---- ZRANGESTORE ---- */

static void collect(const struct command_ranks *ranks, struct command_result *result)
{
    struct store_scored_walk walk;
    struct slice member;
    double score;
    if (!ranks->count)
        return;
    store_scored_walk_init(&walk, ranks->entry, ranks->from, false);
    for (size_t i = 0; i < ranks->count && store_scored_walk_next(&walk, &member, &score); i++)
        store_scored_put(result->store, &result->key, member, score);
}

/* Its own effect: equal sets have equal ranges. */
static void execute_zrangestore(struct command_call *call)
{
    struct range_options options = {.stores = true, .any_order = true, .any_kind = true};
    struct store_key key = command_key(call, 2);
    struct store_entry *entry;
    struct command_result result;
    if (!take_options(call, 3, &options) ||
        !command_lookup_typed(call, &key, STORE_SORTED_SET, &entry))
        return;
    const struct command_ranks ranks = find_ranks(entry, &options);
    struct command_measure measure;
    command_measure_init(&measure, call);
    command_measure_ranks(&measure, ranks.entry, ranks.from, ranks.count);
    if (!command_measure_fits(&measure))
        return;
    command_result_init(&result, call);
    collect(&ranks, &result);
    command_store_result(call, &result);
    command_result_deinit(&result);
}

/* ---- counting ---- */

static void count_range(struct command_call *call, enum command_range_kind kind)
{
    struct command_range range = {.kind = kind};
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    size_t from, count = 0;
    if (!command_take_range(call, 2, 3, &range) ||
        !command_lookup_typed(call, &key, STORE_SORTED_SET, &entry))
        return;
    if (entry)
        command_resolve_range(entry, &range, &from, &count);
    reply_integer(call->reply, (int64_t)count);
}

static void execute_zcount(struct command_call *call)
{
    count_range(call, RANGE_SCORE);
}

static void execute_zlexcount(struct command_call *call)
{
    count_range(call, RANGE_LEX);
}

/* ---- rows ---- */

#define SLOW_READ "@read @sortedset @slow"
#define FAST_READ "@read @sortedset @fast"
#define FAST      (COMMAND_READ | COMMAND_FAST)

static const struct command rows[] = {
    {NUMBER_ZRANGE, "ZRANGE", -4, COMMAND_READ, 1, 1, 1, SLOW_READ,
     "Answer members by rank, by score or by bytes, from either end", "sorted-set", "1.2.0",
     execute_zrange, 0},
    {NUMBER_ZREVRANGE, "ZREVRANGE", -4, COMMAND_READ, 1, 1, 1, SLOW_READ,
     "Answer members by rank, the highest first", "sorted-set", "1.2.0", execute_zrevrange, 0},
    {NUMBER_ZRANGEBYSCORE, "ZRANGEBYSCORE", -4, COMMAND_READ, 1, 1, 1, SLOW_READ,
     "Answer members by score", "sorted-set", "1.0.5", execute_zrangebyscore, 0},
    {NUMBER_ZREVRANGEBYSCORE, "ZREVRANGEBYSCORE", -4, COMMAND_READ, 1, 1, 1, SLOW_READ,
     "Answer members by score, the highest first", "sorted-set", "2.2.0", execute_zrevrangebyscore,
     0},
    {NUMBER_ZRANGEBYLEX, "ZRANGEBYLEX", -4, COMMAND_READ, 1, 1, 1, SLOW_READ,
     "Answer members of one score by their bytes", "sorted-set", "2.8.9", execute_zrangebylex, 0},
    {NUMBER_ZREVRANGEBYLEX, "ZREVRANGEBYLEX", -4, COMMAND_READ, 1, 1, 1, SLOW_READ,
     "Answer members of one score by their bytes, the highest first", "sorted-set", "2.8.9",
     execute_zrevrangebylex, 0},
    {NUMBER_ZRANGESTORE, "ZRANGESTORE", -5, COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_EFFECT, 1, 2,
     1, "@write @sortedset @slow", "Store members by rank, by score or by bytes", "sorted-set",
     "6.2.0", execute_zrangestore, 0},
    {NUMBER_ZCOUNT, "ZCOUNT", 4, FAST, 1, 1, 1, FAST_READ,
     "Count the members with scores between two bounds", "sorted-set", "2.0.0", execute_zcount, 0},
    {NUMBER_ZLEXCOUNT, "ZLEXCOUNT", 4, FAST, 1, 1, 1, FAST_READ,
     "Count the members of one score between two bounds", "sorted-set", "2.8.9", execute_zlexcount,
     0},
};

struct command_family command_family_sorted_set_range(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
