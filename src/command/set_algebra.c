/* set_algebra.c - what sets have in common, together, and apart. The STORE forms are their own
 * effects: over equal sets they come to equal results, and the request is shorter than most. */
#include "base/memory.h"
#include "command/call.h"

struct set_sources {
    const struct store_entry **at; /* owned; NULL: absent, an empty set */
    size_t count;
};

/* From argument `first` on. False: one is no set. */
static bool sources_init(struct set_sources *sources, struct command_call *call, size_t first,
                         size_t count)
{
    sources->at = memory_allocate(count * sizeof *sources->at);
    sources->count = count;
    for (size_t i = 0; i < count; i++) {
        struct store_key key = command_key(call, first + i);
        struct store_entry *entry;
        if (!command_lookup_typed(call, &key, STORE_SET, &entry)) {
            memory_free(sources->at);
            return false;
        }
        sources->at[i] = entry;
    }
    return true;
}

static void sources_deinit(struct set_sources *sources)
{
    memory_free(sources->at);
}

static bool has(const struct store *store, const struct store_entry *entry, struct slice member)
{
    return entry && store_member_find(store, entry, member, NULL);
}

/* Do all sources but `apart` have the member, or, when not `wanted`, does none? */
static bool others_agree(const struct store *store, const struct set_sources *sources, size_t apart,
                         struct slice member, bool wanted)
{
    for (size_t i = 0; i < sources->count; i++)
        if (i != apart && has(store, sources->at[i], member) != wanted)
            return false;
    return true;
}

/* The source with the fewest members; its index is the count when one has none. */
static size_t smallest(const struct set_sources *sources)
{
    size_t found = 0;
    for (size_t i = 0; i < sources->count; i++) {
        if (!sources->at[i])
            return sources->count;
        if (store_member_count(sources->at[i]) < store_member_count(sources->at[found]))
            found = i;
    }
    return found;
}

/* Calls `visit` for the members of one source that all others have, or do not have, until it
 * answers false. */
struct set_visit {
    const struct store *store;
    const struct set_sources *sources;
    size_t from;
    bool others_have;
    bool (*visit)(void *of, struct slice member);
    void *of;
};

static void visit_members(const struct set_visit *visit)
{
    struct store_member members[STORE_WALK_ROOM];
    const struct store_entry *entry = visit->sources->at[visit->from];
    uint64_t cursor = 0;
    size_t count;
    do {
        cursor = store_member_walk(visit->store, entry, cursor, STORE_WALK_MAX, members, &count);
        for (size_t i = 0; i < count; i++)
            if (others_agree(visit->store, visit->sources, visit->from, members[i].name,
                             visit->others_have) &&
                !visit->visit(visit->of, members[i].name))
                return;
    } while (cursor);
}

static bool put_into_result(void *of, struct slice member)
{
    struct command_result *result = of;
    store_member_put(result->store, &result->key, STORE_SET, member, slice_of(NULL, 0));
    return true;
}

/* ---- the three of them ---- */

enum set_operation {
    SET_INTER,
    SET_UNION,
    SET_DIFF
};

static void combine(const struct store *store, const struct set_sources *sources,
                    enum set_operation operation, struct command_result *result)
{
    struct set_visit visit = {
        .store = store, .sources = sources, .visit = put_into_result, .of = result};
    if (operation == SET_INTER) {
        visit.from = smallest(sources);
        visit.others_have = true;
        if (visit.from < sources->count)
            visit_members(&visit);
    } else if (operation == SET_DIFF) {
        if (sources->at[0])
            visit_members(&visit);
    } else {
        for (size_t i = 0; i < sources->count; i++) {
            struct set_sources one = {.at = &sources->at[i], .count = 1};
            visit.sources = &one;
            if (sources->at[i])
                visit_members(&visit);
        }
    }
}

/* Of an intersection the smallest, of a difference the first is looked at as a whole. */
static bool fits(struct command_call *call, const struct set_sources *sources,
                 enum set_operation operation)
{
    struct command_measure measure;
    command_measure_init(&measure, call);
    size_t first = operation == SET_INTER ? smallest(sources) : 0;
    size_t end = operation == SET_UNION ? sources->count : first + 1;
    for (size_t i = first; i < end && i < sources->count; i++)
        command_measure_add(&measure, sources->at[i]);
    return command_measure_fits(&measure);
}

static void answer(struct command_call *call, enum set_operation operation, bool stores)
{
    size_t first = stores ? 2 : 1;
    struct set_sources sources;
    struct command_result result;
    if (!sources_init(&sources, call, first, call->count - first))
        return;
    if (stores && !fits(call, &sources, operation)) {
        sources_deinit(&sources);
        return;
    }
    command_result_init(&result, call);
    combine(call->store, &sources, operation, &result);
    if (stores)
        command_store_result(call, &result);
    else
        command_reply_set(call, result.store, command_result_entry(&result));
    command_result_deinit(&result);
    sources_deinit(&sources);
}

static void execute_sinter(struct command_call *call)
{
    answer(call, SET_INTER, false);
}

static void execute_sunion(struct command_call *call)
{
    answer(call, SET_UNION, false);
}

static void execute_sdiff(struct command_call *call)
{
    answer(call, SET_DIFF, false);
}

static void execute_sinterstore(struct command_call *call)
{
    answer(call, SET_INTER, true);
}

static void execute_sunionstore(struct command_call *call)
{
    answer(call, SET_UNION, true);
}

static void execute_sdiffstore(struct command_call *call)
{
    answer(call, SET_DIFF, true);
}

/* ---- SINTERCARD ---- */

struct member_count {
    uint64_t count, limit;
};

static bool count_one(void *of, struct slice member)
{
    struct member_count *count = of;
    (void)member;
    return ++count->count < count->limit;
}

static bool take_limit(struct command_call *call, size_t from, uint64_t *limit)
{
    int64_t asked = 0;
    for (size_t i = from; i < call->count; i += 2) {
        if (i + 1 == call->count || !slice_is_word(call->arguments[i], "LIMIT")) {
            command_fail_syntax(call);
            return false;
        }
        if (!command_integer_between(call, i + 1, 0, INT64_MAX, "ERR LIMIT can't be negative",
                                     &asked))
            return false;
    }
    *limit = asked ? (uint64_t)asked : UINT64_MAX;
    return true;
}

static bool take_key_count(struct command_call *call, size_t *keys)
{
    int64_t count;
    if (!command_integer_between(call, 1, 1, INT64_MAX, "ERR numkeys should be greater than 0",
                                 &count))
        return false;
    if ((uint64_t)count > call->count - 2) {
        command_fail(call, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    *keys = (size_t)count;
    return true;
}

static void execute_sintercard(struct command_call *call)
{
    struct member_count count = {0};
    struct set_sources sources;
    size_t keys;
    if (!take_key_count(call, &keys) || !take_limit(call, 2 + keys, &count.limit) ||
        !sources_init(&sources, call, 2, keys))
        return;
    struct set_visit visit = {.store = call->store,
                              .sources = &sources,
                              .from = smallest(&sources),
                              .others_have = true,
                              .visit = count_one,
                              .of = &count};
    if (visit.from < sources.count)
        visit_members(&visit);
    sources_deinit(&sources);
    reply_integer(call->reply, (int64_t)count.count);
}

/* ---- rows ---- */

#define STORES     (COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_EFFECT)
#define SLOW_READ  "@read @set @slow"
#define SLOW_WRITE "@write @set @slow"

static const struct command rows[] = {
    {NUMBER_SINTER, "SINTER", -2, COMMAND_READ, 1, -1, 1, SLOW_READ,
     "Answer the members that all sets have", "set", "1.0.0", execute_sinter, 0},
    {NUMBER_SUNION, "SUNION", -2, COMMAND_READ, 1, -1, 1, SLOW_READ,
     "Answer the members that any of the sets has", "set", "1.0.0", execute_sunion, 0},
    {NUMBER_SDIFF, "SDIFF", -2, COMMAND_READ, 1, -1, 1, SLOW_READ,
     "Answer the members of the first set that no other has", "set", "1.0.0", execute_sdiff, 0},
    {NUMBER_SINTERSTORE, "SINTERSTORE", -3, STORES, 1, -1, 1, SLOW_WRITE,
     "Store the members that all sets have", "set", "1.0.0", execute_sinterstore, 0},
    {NUMBER_SUNIONSTORE, "SUNIONSTORE", -3, STORES, 1, -1, 1, SLOW_WRITE,
     "Store the members that any of the sets has", "set", "1.0.0", execute_sunionstore, 0},
    {NUMBER_SDIFFSTORE, "SDIFFSTORE", -3, STORES, 1, -1, 1, SLOW_WRITE,
     "Store the members of the first set that no other has", "set", "1.0.0", execute_sdiffstore, 0},
    {NUMBER_SINTERCARD, "SINTERCARD", -3, COMMAND_READ | COMMAND_COUNTED_1, 0, 0, 0, SLOW_READ,
     "Count the members that all sets have, up to a limit", "set", "7.0.0", execute_sintercard, 0},
};

struct command_family command_family_set_algebra(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
