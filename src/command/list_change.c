/* list_change.c - elements of lists found by place or value: replaced, removed, put between. */
#include "base/memory.h"
#include "command/call.h"

static bool lookup_list(struct command_call *call, struct store_key *key,
                        struct store_entry **entry)
{
    *key = command_key(call, 1);
    return command_lookup_typed(call, key, STORE_LIST, entry);
}

/* ---- matches, a block at a time ---- */

#define BLOCK 128

/* Places of `element` in [begin, end), at most BLOCK wide, ascending. */
static size_t find_matches(const struct store_entry *entry, size_t begin, size_t end,
                           struct slice element, size_t matches[BLOCK])
{
    struct store_list_walk walk;
    struct slice found;
    size_t count = 0;
    store_list_walk_init(&walk, entry, begin);
    for (size_t i = begin; i < end && store_list_walk_next(&walk, &found); i++)
        if (slice_equal(found, element))
            matches[count++] = i;
    return count;
}

/* ---- LSET, LINSERT ---- */

static void execute_lset(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    int64_t index;
    if (!lookup_list(call, &key, &entry))
        return;
    if (!entry) {
        command_fail(call, "ERR no such key");
        return;
    }
    if (!command_integer(call, 2, &index))
        return;
    int64_t length = (int64_t)store_list_length(entry), place = index < 0 ? index + length : index;
    if (place < 0 || place >= length) {
        command_fail(call, "ERR index out of range");
        return;
    }
    if (!command_can_change(call, 0))
        return;
    store_list_replace(call->store, &key, (size_t)place, call->arguments[3]);
    command_ship_request(call);
    reply_ok(call->reply);
}

/* False: the list does not have it. */
static bool find_first(const struct store_entry *entry, struct slice element, size_t *place)
{
    struct store_list_walk walk;
    struct slice found;
    store_list_walk_init(&walk, entry, 0);
    for (*place = 0; store_list_walk_next(&walk, &found); ++*place)
        if (slice_equal(found, element))
            return true;
    return false;
}

static void execute_linsert(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    size_t place;
    bool behind = slice_is_word(call->arguments[2], "AFTER");
    if (!behind && !slice_is_word(call->arguments[2], "BEFORE")) {
        command_fail_syntax(call);
        return;
    }
    if (!lookup_list(call, &key, &entry))
        return;
    if (!entry || !find_first(entry, call->arguments[3], &place)) {
        command_reply_unchanged(call, entry ? -1 : 0);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    size_t length = store_list_length(entry);
    store_list_insert(call->store, &key, place + behind, call->arguments[4]);
    command_ship_request(call);
    reply_integer(call->reply, (int64_t)length + 1);
}

/* ---- LREM ---- */

/* Removes up to `max` of the matches, the highest place first, so that the others stay true:
 * counted from the first match or from the last. */
static size_t remove_matches(struct command_call *call, const struct store_key *key,
                             const size_t *matches, size_t count, size_t max, bool from_tail)
{
    size_t removed = count < max ? count : max;
    size_t end = from_tail ? count : removed;
    for (size_t i = 0; i < removed; i++)
        store_list_remove(call->store, key, matches[end - 1 - i]);
    return removed;
}

/* Blocks from the head or from the tail on; `length` shrinks as elements go, and with the last one
 * goes the key. */
static size_t remove_elements(struct command_call *call, const struct store_key *key, size_t length,
                              size_t max, bool from_tail)
{
    size_t matches[BLOCK], removed = 0, begin = 0, end = length;
    while (removed < max && begin < end) {
        size_t size = end - begin < BLOCK ? end - begin : BLOCK;
        size_t from = from_tail ? end - size : begin;
        const struct store_entry *entry = store_find(call->store, key);
        size_t count = find_matches(entry, from, from + size, call->arguments[3], matches);
        size_t gone = remove_matches(call, key, matches, count, max - removed, from_tail);
        removed += gone;
        if (from_tail) {
            end -= size;
        } else {
            begin += size - gone;
            end -= gone;
        }
    }
    return removed;
}

static void execute_lrem(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    int64_t wanted;
    size_t place;
    if (!command_integer(call, 2, &wanted) || !lookup_list(call, &key, &entry))
        return;
    if (!entry || !find_first(entry, call->arguments[3], &place)) {
        command_reply_unchanged(call, 0);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    uint64_t max = wanted < 0 ? 0 - (uint64_t)wanted : wanted ? (uint64_t)wanted : UINT64_MAX;
    size_t length = store_list_length(entry);
    size_t removed = remove_elements(call, &key, length, (size_t)max, wanted < 0);
    command_ship_request(call);
    reply_integer(call->reply, (int64_t)removed);
}

/* ---- LTRIM ---- */

static void execute_ltrim(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    int64_t first, last;
    size_t from, count;
    if (!command_integer(call, 2, &first) || !command_integer(call, 3, &last) ||
        !lookup_list(call, &key, &entry))
        return;
    size_t length = entry ? store_list_length(entry) : 0;
    bool some = command_span(first, last, length, &from, &count);
    if (!entry || (some && count == length)) {
        command_note_unchanged(call);
        reply_ok(call->reply);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    if (some)
        store_list_keep(call->store, &key, from, from + count - 1);
    else
        store_remove(call->store, &key);
    command_ship_request(call);
    reply_ok(call->reply);
}

/* ---- LPOS ---- */

struct position_search {
    int64_t rank;        /* not 0; negative: from the tail */
    int64_t count;       /* 0: all; -1: not asked for, and one place is answered alone */
    int64_t compare_max; /* 0: all */
};

static bool take_position_option(struct command_call *call, size_t i,
                                 struct position_search *search)
{
    struct slice word = call->arguments[i];
    bool more = i + 1 < call->count;
    if (more && slice_is_word(word, "RANK")) {
        if (!command_integer_between(call, i + 1, -INT64_MAX, INT64_MAX, NULL, &search->rank))
            return false;
        if (search->rank)
            return true;
        command_fail(call, "ERR RANK can't be zero: use 1 to start from the first match, 2 from "
                           "the second ... or use negative to start from the end of the list");
        return false;
    }
    if (more && slice_is_word(word, "COUNT"))
        return command_integer_between(call, i + 1, 0, INT64_MAX, "ERR COUNT can't be negative",
                                       &search->count);
    if (more && slice_is_word(word, "MAXLEN"))
        return command_integer_between(call, i + 1, 0, INT64_MAX, "ERR MAXLEN can't be negative",
                                       &search->compare_max);
    command_fail_syntax(call);
    return false;
}

/* Replies up to `max` places, and says how many. */
static size_t reply_places(struct command_call *call, const struct store_entry *entry,
                           const struct position_search *search, size_t max)
{
    bool from_tail = search->rank < 0;
    uint64_t skip = (uint64_t)(from_tail ? -search->rank : search->rank) - 1;
    size_t matches[BLOCK], length = store_list_length(entry), left = length, replied = 0;
    if (search->compare_max && (uint64_t)search->compare_max < left)
        left = (size_t)search->compare_max;
    for (size_t seen = 0; left && replied < max;) {
        size_t size = left < BLOCK ? left : BLOCK;
        size_t from = from_tail ? length - seen - size : seen;
        size_t count = find_matches(entry, from, from + size, call->arguments[2], matches);
        for (size_t i = 0; i < count && replied < max; i++) {
            if (skip) {
                skip--;
                continue;
            }
            reply_integer(call->reply, (int64_t)matches[from_tail ? count - 1 - i : i]);
            replied++;
        }
        seen += size;
        left -= size;
    }
    return replied;
}

static void reply_search(struct command_call *call, const struct store_entry *entry,
                         const struct position_search *search)
{
    size_t start = call->reply->out->size;
    if (search->count < 0) {
        if (!entry || !reply_places(call, entry, search, 1))
            reply_null(call->reply);
        return;
    }
    size_t max = search->count ? (size_t)search->count : SIZE_MAX;
    size_t replied = entry ? reply_places(call, entry, search, max) : 0;
    size_t header = call->reply->out->size;
    reply_array(call->reply, replied);
    command_header_first(call->reply, start, header);
}

static void execute_lpos(struct command_call *call)
{
    struct position_search search = {.rank = 1, .count = -1};
    struct store_key key;
    struct store_entry *entry;
    for (size_t i = 3; i < call->count; i += 2)
        if (!take_position_option(call, i, &search))
            return;
    if (lookup_list(call, &key, &entry))
        reply_search(call, entry, &search);
}

/* ---- rows ---- */

#define WRITE      (COMMAND_WRITE | COMMAND_EFFECT)
#define SLOW_WRITE "@write @list @slow"

static const struct command rows[] = {
    {NUMBER_LSET, "LSET", 4, WRITE | COMMAND_DENY_OOM, 1, 1, 1, SLOW_WRITE,
     "Replace the element at one place of a list", "list", "1.0.0", execute_lset, 0},
    {NUMBER_LREM, "LREM", 4, WRITE, 1, 1, 1, SLOW_WRITE,
     "Remove elements of one value from a list, from the head or the tail on", "list", "1.0.0",
     execute_lrem, 0},
    {NUMBER_LTRIM, "LTRIM", 4, WRITE, 1, 1, 1, SLOW_WRITE,
     "Remove what is not between two places of a list", "list", "1.0.0", execute_ltrim, 0},
    {NUMBER_LINSERT, "LINSERT", 5, WRITE | COMMAND_DENY_OOM, 1, 1, 1, SLOW_WRITE,
     "Put an element in front of or behind another one of a list", "list", "2.2.0", execute_linsert,
     0},
    {NUMBER_LPOS, "LPOS", -3, COMMAND_READ, 1, 1, 1, "@read @list @slow",
     "Find the places of an element in a list", "list", "6.0.6", execute_lpos, 0},
};

struct command_family command_family_list_change(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
