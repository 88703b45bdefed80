/* sorted_set_algebra.c - what sorted sets have in common, together, and apart; sets take part with
 * scores of 1.
 *
 * The STORE forms are their own effects. Equal sets come to equal results on every machine: doubles
 * are multiplied and added as IEEE 754 says, in an order that the sets alone decide, and the
 * product is rounded before it is added (`weigh`). */
#include "base/memory.h"
#include "command/call.h"

#include <math.h>
#include <stdlib.h>

enum algebra {
    ALGEBRA_UNION,
    ALGEBRA_INTER,
    ALGEBRA_DIFF
};
enum aggregate {
    AGGREGATE_SUM,
    AGGREGATE_MIN,
    AGGREGATE_MAX
};

struct source {
    const struct store_entry *entry; /* NULL: absent, an empty one */
    double weight;
    size_t count, place;
};

struct combination {
    struct command_call *call;
    enum algebra algebra;
    enum aggregate aggregate;
    bool stores, only_counts, with_scores;
    size_t first;           /* argument: the number of keys */
    struct source *sources; /* owned */
    size_t source_count;
    uint64_t limit; /* of ZINTERCARD */
};

/* ---- sources ---- */

static bool is_scored(const struct store_entry *entry)
{
    return store_entry_type(entry) == STORE_SORTED_SET;
}

static bool load_source(struct command_call *call, size_t argument, struct source *source)
{
    struct store_key key = command_key(call, argument);
    const struct store_entry *entry = command_lookup(call, &key);
    *source = (struct source){.entry = entry, .weight = 1, .place = argument};
    if (!entry)
        return true;
    if (!is_scored(entry) && store_entry_type(entry) != STORE_SET) {
        command_fail_type(call);
        return false;
    }
    source->count = is_scored(entry) ? store_scored_count(entry) : store_member_count(entry);
    return true;
}

static bool load_sources(struct combination *combination)
{
    struct command_call *call = combination->call;
    size_t first = combination->first;
    int64_t count;
    if (!command_integer(call, first, &count))
        return false;
    if (count < 1) {
        command_fail_naming(call, "ERR at least 1 input key is needed for ", " command");
        return false;
    }
    if ((uint64_t)count > call->count - first - 1) {
        command_fail_syntax(call);
        return false;
    }
    combination->source_count = (size_t)count;
    combination->sources = memory_zeroed(combination->source_count, sizeof(struct source));
    for (size_t i = 0; i < combination->source_count; i++)
        if (!load_source(call, first + 1 + i, &combination->sources[i]))
            return false;
    return true;
}

/* ---- options ---- */

static bool take_weights(struct combination *combination, size_t from)
{
    for (size_t i = 0; i < combination->source_count; i++)
        if (!command_read_double(combination->call->arguments[from + i],
                                 &combination->sources[i].weight)) {
            command_fail(combination->call, "ERR weight value is not a float");
            return false;
        }
    return true;
}

static bool take_aggregate(struct combination *combination, struct slice word)
{
    if (slice_is_word(word, "SUM"))
        combination->aggregate = AGGREGATE_SUM;
    else if (slice_is_word(word, "MIN"))
        combination->aggregate = AGGREGATE_MIN;
    else if (slice_is_word(word, "MAX"))
        combination->aggregate = AGGREGATE_MAX;
    else {
        command_fail_syntax(combination->call);
        return false;
    }
    return true;
}

static bool take_limit(struct combination *combination, size_t argument)
{
    int64_t limit;
    if (!command_integer_between(combination->call, argument, 0, INT64_MAX,
                                 "ERR LIMIT can't be negative", &limit))
        return false;
    combination->limit = limit ? (uint64_t)limit : UINT64_MAX;
    return true;
}

/* One option from argument *i on, which moves behind it. */
static bool take_option(struct combination *combination, size_t *i)
{
    struct command_call *call = combination->call;
    struct slice word = call->arguments[*i];
    size_t behind = call->count - *i - 1, sources = combination->source_count, from = *i + 1;
    bool weighs = combination->algebra != ALGEBRA_DIFF && !combination->only_counts;
    if (weighs && behind >= sources && slice_is_word(word, "WEIGHTS")) {
        *i = from + sources;
        return take_weights(combination, from);
    }
    if (weighs && behind && slice_is_word(word, "AGGREGATE")) {
        *i = from + 1;
        return take_aggregate(combination, call->arguments[from]);
    }
    if (combination->only_counts && behind && slice_is_word(word, "LIMIT")) {
        *i = from + 1;
        return take_limit(combination, from);
    }
    if (!combination->stores && !combination->only_counts && slice_is_word(word, "WITHSCORES")) {
        *i = from;
        combination->with_scores = true;
        return true;
    }
    command_fail_syntax(call);
    return false;
}

static bool take_options(struct combination *combination)
{
    size_t i = combination->first + 1 + combination->source_count;
    while (i < combination->call->count)
        if (!take_option(combination, &i))
            return false;
    return true;
}

/* ---- scores ---- */

/* Apart, so that no compiler makes one operation of this and an addition: it would round once where
 * others round twice. */
__attribute__((noinline)) static double weigh(double weight, double score)
{
    double product = weight * score;
    return isnan(product) ? 0 : product;
}

static double aggregate(enum aggregate how, double a, double b)
{
    double sum = a + b;
    switch (how) {
    case AGGREGATE_SUM: return isnan(sum) ? 0 : sum; /* infinities of two signs */
    case AGGREGATE_MIN: return b < a ? b : a;
    case AGGREGATE_MAX: return b > a ? b : a;
    }
    return a;
}

static bool find_score(const struct combination *combination, const struct source *source,
                       struct slice member, double *score)
{
    const struct store *store = combination->call->store;
    *score = 1;
    if (!source->entry)
        return false;
    if (is_scored(source->entry))
        return store_scored_find(store, source->entry, member, score);
    return store_member_find(store, source->entry, member, NULL);
}

/* ---- walking one source ---- */

struct source_page {
    struct store_member members[STORE_WALK_ROOM];
    size_t count;
    uint64_t cursor;
};

/* Pages until the cursor is 0 again; all members have a score. */
static void next_page(const struct store *store, const struct source *source,
                      struct source_page *page)
{
    if (is_scored(source->entry)) {
        page->cursor = store_scored_scan(store, source->entry, page->cursor, STORE_WALK_MAX,
                                         page->members, &page->count);
        return;
    }
    page->cursor = store_member_walk(store, source->entry, page->cursor, STORE_WALK_MAX,
                                     page->members, &page->count);
    for (size_t i = 0; i < page->count; i++)
        page->members[i].score = 1;
}

/* ---- the three of them ---- */

static void put(struct command_result *result, struct slice member, double score)
{
    store_scored_put(result->store, &result->key, member, score);
}

static void unite(const struct combination *combination, const struct source *source,
                  struct command_result *result)
{
    struct source_page page = {.cursor = 0};
    do {
        next_page(combination->call->store, source, &page);
        for (size_t i = 0; i < page.count; i++) {
            const struct store_member *member = &page.members[i];
            const struct store_entry *entry = command_result_entry(result);
            double score = weigh(source->weight, member->score), before;
            if (entry && store_scored_find(result->store, entry, member->name, &before))
                score = aggregate(combination->aggregate, before, score);
            put(result, member->name, score);
        }
    } while (page.cursor);
}

/* True: all sources have the member; *score: what comes of its scores. */
static bool is_common(const struct combination *combination, const struct store_member *member,
                      double *score)
{
    const struct source *sources = combination->sources;
    double other;
    *score = weigh(sources[0].weight, member->score);
    for (size_t i = 1; i < combination->source_count; i++) {
        if (!find_score(combination, &sources[i], member->name, &other))
            return false;
        *score = aggregate(combination->aggregate, *score, weigh(sources[i].weight, other));
    }
    return true;
}

static bool is_alone(const struct combination *combination, const struct store_member *member,
                     double *score)
{
    double other;
    *score = member->score;
    for (size_t i = 1; i < combination->source_count; i++)
        if (find_score(combination, &combination->sources[i], member->name, &other))
            return false;
    return true;
}

/* Members of the first source that pass; `result` NULL: only counted, up to the limit. */
static uint64_t sift(const struct combination *combination, struct command_result *result)
{
    struct source_page page = {.cursor = 0};
    uint64_t count = 0;
    bool common = combination->algebra == ALGEBRA_INTER;
    if (!combination->sources[0].entry)
        return 0;
    do {
        next_page(combination->call->store, &combination->sources[0], &page);
        for (size_t i = 0; i < page.count; i++) {
            double score;
            if (!(common ? is_common : is_alone)(combination, &page.members[i], &score))
                continue;
            if (result)
                put(result, page.members[i].name, score);
            else if (count + 1 == combination->limit)
                return combination->limit;
            count++;
        }
    } while (page.cursor);
    return count;
}

static int compare_sources(const void *left, const void *right)
{
    const struct source *a = left, *b = right;
    int order = (a->count > b->count) - (a->count < b->count);
    return order ? order : (a->place > b->place) - (a->place < b->place);
}

/* The smallest first: the fewest members are looked up, and sums come out in Redis' order. */
static void order_sources(struct combination *combination)
{
    if (combination->algebra != ALGEBRA_DIFF)
        qsort(combination->sources, combination->source_count, sizeof *combination->sources,
              compare_sources);
}

static void combine(const struct combination *combination, struct command_result *result)
{
    if (combination->algebra != ALGEBRA_UNION) {
        sift(combination, result);
        return;
    }
    for (size_t i = 0; i < combination->source_count; i++)
        if (combination->sources[i].entry)
            unite(combination, &combination->sources[i], result);
}

/* ---- answers ---- */

static void answer_result(const struct combination *combination)
{
    struct command_call *call = combination->call;
    struct command_result result;
    command_result_init(&result, call);
    combine(combination, &result);
    const struct store_entry *entry = command_result_entry(&result);
    const struct command_ranks ranks = {.entry = entry,
                                        .count = entry ? store_scored_count(entry) : 0,
                                        .with_scores = combination->with_scores};
    if (combination->stores)
        command_store_result(call, &result);
    else
        command_reply_ranks(call, &ranks);
    command_result_deinit(&result);
}

/* Of all but a union the first is looked at as a whole. */
static bool fits(const struct combination *combination)
{
    struct command_measure measure;
    command_measure_init(&measure, combination->call);
    size_t count = combination->algebra == ALGEBRA_UNION ? combination->source_count : 1;
    for (size_t i = 0; i < count; i++)
        command_measure_add(&measure, combination->sources[i].entry);
    return command_measure_fits(&measure);
}

static void answer(struct combination combination)
{
    combination.first = combination.stores ? 2 : 1;
    combination.limit = UINT64_MAX;
    if (load_sources(&combination) && take_options(&combination)) {
        order_sources(&combination);
        if (combination.only_counts)
            reply_integer(combination.call->reply, (int64_t)sift(&combination, NULL));
        else if (!combination.stores || fits(&combination))
            answer_result(&combination);
    }
    memory_free(combination.sources);
}

static void execute_zunion(struct command_call *call)
{
    answer((struct combination){.call = call, .algebra = ALGEBRA_UNION});
}

static void execute_zinter(struct command_call *call)
{
    answer((struct combination){.call = call, .algebra = ALGEBRA_INTER});
}

static void execute_zdiff(struct command_call *call)
{
    answer((struct combination){.call = call, .algebra = ALGEBRA_DIFF});
}

static void execute_zunionstore(struct command_call *call)
{
    answer((struct combination){.call = call, .algebra = ALGEBRA_UNION, .stores = true});
}

static void execute_zinterstore(struct command_call *call)
{
    answer((struct combination){.call = call, .algebra = ALGEBRA_INTER, .stores = true});
}

static void execute_zdiffstore(struct command_call *call)
{
    answer((struct combination){.call = call, .algebra = ALGEBRA_DIFF, .stores = true});
}

static void execute_zintercard(struct command_call *call)
{
    answer((struct combination){.call = call, .algebra = ALGEBRA_INTER, .only_counts = true});
}

/* ---- rows ---- */

#define READ       (COMMAND_READ | COMMAND_COUNTED_1)
#define STORES     (COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_EFFECT | COMMAND_COUNTED_2)
#define SLOW_READ  "@read @sortedset @slow"
#define SLOW_WRITE "@write @sortedset @slow"

static const struct command rows[] = {
    {NUMBER_ZUNION, "ZUNION", -3, READ, 0, 0, 0, SLOW_READ,
     "Answer the members that any of the sorted sets has", "sorted-set", "6.2.0", execute_zunion,
     0},
    {NUMBER_ZINTER, "ZINTER", -3, READ, 0, 0, 0, SLOW_READ,
     "Answer the members that all sorted sets have", "sorted-set", "6.2.0", execute_zinter, 0},
    {NUMBER_ZDIFF, "ZDIFF", -3, READ, 0, 0, 0, SLOW_READ,
     "Answer the members of the first sorted set that no other has", "sorted-set", "6.2.0",
     execute_zdiff, 0},
    {NUMBER_ZUNIONSTORE, "ZUNIONSTORE", -4, STORES, 1, 1, 1, SLOW_WRITE,
     "Store the members that any of the sorted sets has", "sorted-set", "2.0.0",
     execute_zunionstore, 0},
    {NUMBER_ZINTERSTORE, "ZINTERSTORE", -4, STORES, 1, 1, 1, SLOW_WRITE,
     "Store the members that all sorted sets have", "sorted-set", "2.0.0", execute_zinterstore, 0},
    {NUMBER_ZDIFFSTORE, "ZDIFFSTORE", -4, STORES, 1, 1, 1, SLOW_WRITE,
     "Store the members of the first sorted set that no other has", "sorted-set", "6.2.0",
     execute_zdiffstore, 0},
    {NUMBER_ZINTERCARD, "ZINTERCARD", -3, READ, 0, 0, 0, SLOW_READ,
     "Count the members that all sorted sets have, up to a limit", "sorted-set", "7.0.0",
     execute_zintercard, 0},
};

struct command_family command_family_sorted_set_algebra(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
