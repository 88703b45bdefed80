/* sorted_set.c - sorted sets by member: scores set, added to, read. What ships are the scores that
 * came out, as the 8 bytes of a double. */
#include "base/memory.h"
#include "command/call.h"

#include <math.h>

static bool lookup_scored(struct command_call *call, struct store_key *key,
                          struct store_entry **entry)
{
    *key = command_key(call, 1);
    return command_lookup_typed(call, key, STORE_SORTED_SET, entry);
}

static bool find_score(const struct command_call *call, const struct store_entry *entry,
                       struct slice member, double *score)
{
    return entry && store_scored_find(call->store, entry, member, score);
}

/* ---- ZADD, ZINCRBY ---- */

struct zadd_options {
    bool if_absent, if_present, if_greater, if_less, count_changed, add;
};

struct zadd_pair {
    struct slice member;
    double score; /* asked for; then the one that the member has */
    bool changed;
};

struct zadd {
    struct zadd_options options;
    struct zadd_pair *pairs; /* owned */
    size_t count;
};

static bool take_flag(struct slice word, struct zadd_options *options)
{
    if (slice_is_word(word, "NX"))
        options->if_absent = true;
    else if (slice_is_word(word, "XX"))
        options->if_present = true;
    else if (slice_is_word(word, "GT"))
        options->if_greater = true;
    else if (slice_is_word(word, "LT"))
        options->if_less = true;
    else if (slice_is_word(word, "CH"))
        options->count_changed = true;
    else if (slice_is_word(word, "INCR"))
        options->add = true;
    else
        return false;
    return true;
}

static bool options_fit(struct command_call *call, const struct zadd_options *options,
                        size_t arguments)
{
    const char *error = NULL;
    if (!arguments || arguments % 2)
        error = "ERR syntax error";
    else if (options->if_absent && options->if_present)
        error = "ERR XX and NX options at the same time are not compatible";
    else if ((options->if_absent && (options->if_greater || options->if_less)) ||
             (options->if_greater && options->if_less))
        error = "ERR GT, LT, and/or NX options at the same time are not compatible";
    else if (options->add && arguments > 2)
        error = "ERR INCR option supports a single increment-element pair";
    if (error)
        command_fail(call, error);
    return !error;
}

/* False: a score is none. zadd->pairs is to be freed. */
static bool take_pairs(struct command_call *call, size_t from, struct zadd *zadd)
{
    zadd->count = (call->count - from) / 2;
    zadd->pairs = memory_allocate(zadd->count * sizeof *zadd->pairs);
    for (size_t i = 0; i < zadd->count; i++) {
        const struct slice *arguments = &call->arguments[from + 2 * i];
        zadd->pairs[i] = (struct zadd_pair){.member = arguments[1]};
        if (!command_read_double(arguments[0], &zadd->pairs[i].score)) {
            command_fail(call, "ERR value is not a valid float");
            return false;
        }
    }
    return true;
}

enum zadd_outcome {
    PAIR_STAYS,
    PAIR_IS_NEW,
    PAIR_CHANGES
};

/* What one pair does to the set as it is now. *score: what the member will have; NaN: nothing may
 * be done. */
static enum zadd_outcome judge_pair(const struct command_call *call,
                                    const struct store_entry *entry,
                                    const struct zadd_options *options,
                                    const struct zadd_pair *pair, double *score)
{
    double now;
    *score = pair->score;
    if (!find_score(call, entry, pair->member, &now))
        return options->if_present ? PAIR_STAYS : PAIR_IS_NEW;
    if (options->if_absent)
        return PAIR_STAYS;
    if (options->add)
        *score += now;
    if ((options->if_greater && *score <= now) || (options->if_less && *score >= now))
        return PAIR_STAYS;
    return *score == now ? PAIR_STAYS : PAIR_CHANGES;
}

/* Does any pair change the set? If none does now, none does after the others. */
static bool any_changes(const struct command_call *call, const struct store_entry *entry,
                        const struct zadd *zadd)
{
    double score;
    for (size_t i = 0; i < zadd->count; i++)
        if (judge_pair(call, entry, &zadd->options, &zadd->pairs[i], &score) != PAIR_STAYS)
            return true;
    return false;
}

/* Scores and members of what was put, in turns. */
static void ship_pairs(struct command_call *call, const struct store_key *key,
                       const struct zadd *zadd)
{
    struct slice *items = memory_allocate(2 * zadd->count * sizeof *items);
    size_t count = 0;
    for (size_t i = 0; i < zadd->count; i++)
        if (zadd->pairs[i].changed) {
            items[count++] = slice_of(&zadd->pairs[i].score, sizeof(double));
            items[count++] = zadd->pairs[i].member;
        }
    command_ship_items(call, NUMBER_ZPUT, key->bytes, items, count);
    memory_free(items);
}

/* Puts all pairs; how many members are new, and how many have another score. */
static void put_pairs(struct command_call *call, const struct store_key *key, struct zadd *zadd,
                      int64_t *added, int64_t *updated)
{
    for (size_t i = 0; i < zadd->count; i++) {
        struct zadd_pair *pair = &zadd->pairs[i];
        double score;
        const struct store_entry *entry = store_find(call->store, key);
        enum zadd_outcome outcome = judge_pair(call, entry, &zadd->options, pair, &score);
        if (outcome == PAIR_STAYS)
            continue;
        pair->score = score;
        pair->changed = true;
        store_scored_put(call->store, key, pair->member, score);
        *added += outcome == PAIR_IS_NEW;
        *updated += outcome == PAIR_CHANGES;
    }
    ship_pairs(call, key, zadd);
}

/* Without a pair that changes something there may be no key. */
static void reply_unchanged(struct command_call *call, const struct store_entry *entry,
                            const struct zadd *zadd)
{
    double score;
    const struct zadd_options *options = &zadd->options;
    if (!options->add)
        reply_integer(call->reply, 0);
    else if (!options->if_absent && !options->if_greater && !options->if_less &&
             find_score(call, entry, zadd->pairs[0].member, &score))
        reply_double(call->reply, score); /* plus 0 */
    else
        reply_null(call->reply);
}

static void put(struct command_call *call, struct zadd *zadd)
{
    struct store_key key;
    struct store_entry *entry;
    double score;
    int64_t added = 0, updated = 0;
    if (!lookup_scored(call, &key, &entry))
        return;
    judge_pair(call, entry, &zadd->options, &zadd->pairs[0], &score);
    if (isnan(score)) {
        command_fail(call, "ERR resulting score is not a number (NaN)");
        return;
    }
    if (!any_changes(call, entry, zadd)) {
        reply_unchanged(call, entry, zadd);
        return;
    }
    if (!command_can_change(call, zadd->count * 2 * sizeof(double)))
        return;
    put_pairs(call, &key, zadd, &added, &updated);
    if (zadd->options.add)
        reply_double(call->reply, zadd->pairs[0].score + 0.0); /* -0.0 is stored as 0.0 */
    else
        reply_integer(call->reply, added + (zadd->options.count_changed ? updated : 0));
}

static void add(struct command_call *call, bool adds)
{
    struct zadd zadd = {.options.add = adds};
    size_t from = 2;
    while (from < call->count && take_flag(call->arguments[from], &zadd.options))
        from++;
    if (options_fit(call, &zadd.options, call->count - from)) {
        if (take_pairs(call, from, &zadd))
            put(call, &zadd);
        memory_free(zadd.pairs);
    }
}

static void execute_zadd(struct command_call *call)
{
    add(call, false);
}

static void execute_zincrby(struct command_call *call)
{
    add(call, true);
}

/* Only in effects: key, then raw scores and members in turns. */
static void execute_zput(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (!lookup_scored(call, &key, &entry))
        return;
    bool fits = call->count % 2 == 0;
    for (size_t i = 2; i + 1 < call->count && fits; i += 2) {
        struct slice raw = call->arguments[i];
        double score = NAN;
        if (raw.size == sizeof score)
            memcpy(&score, raw.at, sizeof score);
        fits = !isnan(score);
        if (fits)
            store_scored_put(call->store, &key, call->arguments[i + 1], score);
    }
    if (!fits)
        command_fail(call, "ERR score in an effect");
}

/* ---- ZREM ---- */

static bool has_any_member(const struct command_call *call, const struct store_entry *entry)
{
    double score;
    for (size_t i = 2; i < call->count; i++)
        if (find_score(call, entry, call->arguments[i], &score))
            return true;
    return false;
}

static void execute_zrem(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    int64_t removed = 0;
    if (!lookup_scored(call, &key, &entry))
        return;
    if (!has_any_member(call, entry)) {
        command_reply_unchanged(call, 0);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    /* With its last member the set goes, and another one cannot come in between. */
    for (size_t i = 2, left = store_scored_count(entry); i < call->count && left; i++) {
        bool there = store_scored_remove(call->store, &key, call->arguments[i]);
        removed += there;
        left -= there;
    }
    command_ship_request(call);
    reply_integer(call->reply, removed);
}

/* ---- reading ---- */

static void reply_score(struct command_call *call, const struct store_entry *entry,
                        struct slice member)
{
    double score;
    if (find_score(call, entry, member, &score))
        reply_double(call->reply, score);
    else
        reply_null(call->reply);
}

static void execute_zscore(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (lookup_scored(call, &key, &entry))
        reply_score(call, entry, call->arguments[2]);
}

static void execute_zmscore(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (!lookup_scored(call, &key, &entry))
        return;
    reply_array(call->reply, call->count - 2);
    for (size_t i = 2; i < call->count; i++)
        reply_score(call, entry, call->arguments[i]);
}

static void execute_zcard(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (lookup_scored(call, &key, &entry))
        reply_integer(call->reply, entry ? (int64_t)store_scored_count(entry) : 0);
}

static bool take_with_score(struct command_call *call, bool *with_score)
{
    *with_score = call->count == 4;
    if (call->count > 4)
        command_fail_arity(call);
    else if (*with_score && !slice_is_word(call->arguments[3], "WITHSCORE"))
        command_fail_syntax(call);
    else
        return true;
    return false;
}

static void answer_rank(struct command_call *call, bool from_highest)
{
    struct store_key key;
    struct store_entry *entry;
    struct slice member = call->arguments[2];
    bool with_score;
    double score;
    if (!take_with_score(call, &with_score) || !lookup_scored(call, &key, &entry))
        return;
    if (!find_score(call, entry, member, &score)) {
        if (with_score)
            reply_null_array(call->reply);
        else
            reply_null(call->reply);
        return;
    }
    size_t rank = store_scored_rank(call->store, entry, member);
    if (from_highest)
        rank = store_scored_count(entry) - 1 - rank;
    if (with_score)
        reply_array(call->reply, 2);
    reply_integer(call->reply, (int64_t)rank);
    if (with_score)
        reply_double(call->reply, score);
}

static void execute_zrank(struct command_call *call)
{
    answer_rank(call, false);
}

static void execute_zrevrank(struct command_call *call)
{
    answer_rank(call, true);
}

/* ---- rows ---- */

#define PUT        (COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST)
#define FAST       (COMMAND_READ | COMMAND_FAST)
#define FAST_WRITE "@write @sortedset @fast"
#define FAST_READ  "@read @sortedset @fast"

static const struct command rows[] = {
    {NUMBER_ZADD, "ZADD", -4, PUT, 1, 1, 1, FAST_WRITE,
     "Add members with scores to a sorted set, or change scores, under conditions if asked",
     "sorted-set", "1.2.0", execute_zadd, 0},
    {NUMBER_ZINCRBY, "ZINCRBY", 4, PUT, 1, 1, 1, FAST_WRITE,
     "Add to the score of a member; an absent one counts as 0", "sorted-set", "1.2.0",
     execute_zincrby, 0},
    {NUMBER_ZREM, "ZREM", -3, COMMAND_WRITE | COMMAND_FAST | COMMAND_EFFECT, 1, 1, 1, FAST_WRITE,
     "Remove members of a sorted set, and with the last one the key", "sorted-set", "1.2.0",
     execute_zrem, 0},
    {NUMBER_ZSCORE, "ZSCORE", 3, FAST, 1, 1, 1, FAST_READ, "Answer the score of a member",
     "sorted-set", "1.2.0", execute_zscore, 0},
    {NUMBER_ZMSCORE, "ZMSCORE", -3, FAST, 1, 1, 1, FAST_READ, "Answer the scores of many members",
     "sorted-set", "6.2.0", execute_zmscore, 0},
    {NUMBER_ZCARD, "ZCARD", 2, FAST, 1, 1, 1, FAST_READ, "Answer how many members a sorted set has",
     "sorted-set", "1.2.0", execute_zcard, 0},
    {NUMBER_ZRANK, "ZRANK", -3, FAST, 1, 1, 1, FAST_READ,
     "Answer the rank of a member, the lowest score first", "sorted-set", "2.0.0", execute_zrank,
     0},
    {NUMBER_ZREVRANK, "ZREVRANK", -3, FAST, 1, 1, 1, FAST_READ,
     "Answer the rank of a member, the highest score first", "sorted-set", "2.0.0",
     execute_zrevrank, 0},
    {NUMBER_ZPUT, "_ZPUT", -4, COMMAND_WRITE | COMMAND_FAST | COMMAND_INTERNAL | COMMAND_EFFECT, 1,
     1, 1, FAST_WRITE, "Members of a sorted set with their scores", "sorted-set", "1.0.0",
     execute_zput, 0},
};

struct command_family command_family_sorted_set(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
