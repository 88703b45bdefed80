/* pick.c - random members of collections: HRANDFIELD, SRANDMEMBER, SPOP, ZRANDMEMBER. */
#include "base/memory.h"
#include "command/call.h"

#include <assert.h>
#include <stdlib.h>

/* ---- chance ---- */

void command_chance(const struct command_call *call, const struct store_key *key,
                    struct random *random)
{
    random_init(random, store_key_hash(call->store, key) ^ (uint64_t)call->now_us);
}

static int compare_numbers(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* Draws until all are different: few rounds, since at most half of the numbers are wanted. */
static void pick_few(struct random *random, uint64_t count, uint64_t *picked, size_t want)
{
    for (size_t have = 0; have < want;) {
        for (size_t i = have; i < want; i++)
            picked[i] = random_below(random, count);
        qsort(picked, want, sizeof *picked, compare_numbers);
        have = 1;
        for (size_t i = 1; i < want; i++)
            if (picked[i] != picked[have - 1])
                picked[have++] = picked[i];
    }
}

/* All numbers but those of `left_out`, which are ascending. */
static void take_others(uint64_t count, const uint64_t *left_out, size_t out, uint64_t *picked)
{
    for (uint64_t number = 0, at = 0; number < count; number++)
        if (at < out && left_out[at] == number)
            at++;
        else
            *picked++ = number;
}

void command_pick(struct random *random, uint64_t count, uint64_t *picked, size_t want)
{
    size_t out = (size_t)count - want;
    assert(want <= count);
    if (want <= count / 2) {
        pick_few(random, count, picked, want);
        return;
    }
    uint64_t *left_out = memory_allocate(out * sizeof *left_out);
    pick_few(random, count, left_out, out);
    take_others(count, left_out, out, picked);
    memory_free(left_out);
}

/* ---- members by number ---- */

static size_t count_of(const struct store_entry *entry)
{
    return store_entry_type(entry) == STORE_SORTED_SET ? store_scored_count(entry)
                                                       : store_member_count(entry);
}

static void member_at(const struct store *store, const struct store_entry *entry, uint64_t index,
                      struct store_member *member)
{
    struct store_scored_walk walk;
    if (store_entry_type(entry) == STORE_SORTED_SET) {
        store_scored_walk_init(&walk, entry, (size_t)index, false);
        bool there = store_scored_walk_next(&walk, &member->name, &member->score);
        assert(there);
    } else {
        store_member_at(store, entry, (size_t)index, &member->name, &member->value);
    }
}

static void reply_member(struct command_call *call, const struct store_entry *entry, uint64_t index,
                         bool with_value)
{
    struct store_member member;
    member_at(call->store, entry, index, &member);
    if (with_value)
        reply_pair(call->reply);
    reply_bulk(call->reply, member.name);
    if (!with_value)
        return;
    if (store_entry_type(entry) == STORE_HASH)
        reply_bulk(call->reply, member.value);
    else
        reply_double(call->reply, member.score);
}

static void reply_header(struct command_call *call, size_t count, bool with_values)
{
    if (with_values)
        reply_pairs(call->reply, count);
    else
        reply_array(call->reply, count);
}

/* ---- reading ---- */

/* The shortest member takes 6 bytes of a reply: more than these fit into none, and nobody is to
 * count so far to find out. */
static bool fits_reply(struct command_call *call, uint64_t count)
{
    if (count <= call->reply->out->size_max / 6)
        return true;
    command_fail(call, "ERR value is out of range");
    return false;
}

/* Any member any number of times. */
static void reply_repeating(struct command_call *call, const struct store_entry *entry,
                            struct random *random, uint64_t count, bool with_values)
{
    if (!fits_reply(call, count))
        return;
    reply_header(call, (size_t)count, with_values);
    for (uint64_t i = 0; i < count && !call->reply->overflowed; i++)
        reply_member(call, entry, random_below(random, count_of(entry)), with_values);
}

/* Members that differ, at most all. */
static void reply_differing(struct command_call *call, const struct store_entry *entry,
                            struct random *random, uint64_t wanted, bool with_values)
{
    size_t all = count_of(entry), count = wanted < all ? (size_t)wanted : all;
    uint64_t *picked = memory_allocate(count * sizeof *picked);
    command_pick(random, all, picked, count);
    reply_header(call, count, with_values);
    for (size_t i = 0; i < count; i++)
        reply_member(call, entry, picked[i], with_values);
    memory_free(picked);
}

static void reply_many(struct command_call *call, enum store_type type, int64_t wanted,
                       bool with_values)
{
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    struct random random;
    if (!command_lookup_typed(call, &key, type, &entry))
        return;
    command_chance(call, &key, &random);
    if (!entry || !wanted)
        reply_array(call->reply, 0);
    else if (wanted < 0)
        reply_repeating(call, entry, &random, 0 - (uint64_t)wanted, with_values);
    else
        reply_differing(call, entry, &random, (uint64_t)wanted, with_values);
}

static void reply_one(struct command_call *call, enum store_type type)
{
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    struct random random;
    if (!command_lookup_typed(call, &key, type, &entry))
        return;
    if (!entry) {
        reply_null(call->reply);
        return;
    }
    command_chance(call, &key, &random);
    reply_member(call, entry, random_below(&random, count_of(entry)), false);
}

/* `word` NULL: there are no values to ask for. */
static void answer_random(struct command_call *call, enum store_type type, const char *word)
{
    int64_t wanted;
    if (call->count == 2) {
        reply_one(call, type);
        return;
    }
    if (!command_integer_between(call, 2, -INT64_MAX, INT64_MAX, NULL, &wanted))
        return;
    bool with_values = call->count == 4 && word && slice_is_word(call->arguments[3], word);
    if (call->count > 3 && !with_values)
        command_fail_syntax(call);
    else if (with_values && (wanted < -INT64_MAX / 2 || wanted > INT64_MAX / 2))
        command_fail(call, "ERR value is out of range");
    else
        reply_many(call, type, wanted, with_values);
}

static void execute_hrandfield(struct command_call *call)
{
    answer_random(call, STORE_HASH, "WITHVALUES");
}

static void execute_srandmember(struct command_call *call)
{
    answer_random(call, STORE_SET, NULL);
}

static void execute_zrandmember(struct command_call *call)
{
    answer_random(call, STORE_SORTED_SET, "WITHSCORES");
}

/* ---- SPOP ---- */

/* Names borrowed from the store, in the order of `picked`. */
static struct slice *names_of(const struct command_call *call, const struct store_entry *entry,
                              const uint64_t *picked, size_t count)
{
    struct slice *names = memory_allocate(count * sizeof *names);
    for (size_t i = 0; i < count; i++)
        store_member_at(call->store, entry, (size_t)picked[i], &names[i], NULL);
    return names;
}

/* The highest number first: those below it stay what they are. */
static void remove_numbers(struct command_call *call, const struct store_key *key,
                           const uint64_t *picked, size_t count)
{
    struct slice name;
    for (size_t i = count; i > 0; i--) {
        store_member_at(call->store, store_find(call->store, key), (size_t)picked[i - 1], &name,
                        NULL);
        store_member_remove(call->store, key, name);
    }
}

/* Ships what was picked, as SREM; `alone`: replied without an array. */
static void pop_some(struct command_call *call, const struct store_key *key,
                     const struct store_entry *entry, size_t count, bool alone)
{
    struct random random;
    uint64_t *picked = memory_allocate(count * sizeof *picked);
    command_chance(call, key, &random);
    command_pick(&random, store_member_count(entry), picked, count);
    struct slice *names = names_of(call, entry, picked, count);
    if (command_can_change(call, command_items_size(key->bytes, names, count))) {
        if (!alone)
            reply_set(call->reply, count);
        for (size_t i = 0; i < count; i++)
            reply_bulk(call->reply, names[i]);
        command_ship_items(call, NUMBER_SREM, key->bytes, names, count);
        remove_numbers(call, key, picked, count);
    }
    memory_free(names);
    memory_free(picked);
}

static void pop_all(struct command_call *call, const struct store_key *key,
                    const struct store_entry *entry)
{
    if (!command_can_change(call, 0))
        return;
    command_reply_set(call, call->store, entry);
    store_remove(call->store, key);
    command_ship_deletion(call, key->bytes);
}

static void execute_spop(struct command_call *call)
{
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    int64_t wanted = 1;
    bool alone = call->count == 2;
    if (call->count > 3) {
        command_fail_syntax(call);
        return;
    }
    if ((!alone && !command_amount(call, 2, &wanted)) ||
        !command_lookup_typed(call, &key, STORE_SET, &entry))
        return;
    if (alone && !entry)
        reply_null(call->reply);
    else if (!entry || !wanted)
        reply_set(call->reply, 0);
    else if (!alone && (uint64_t)wanted >= store_member_count(entry))
        pop_all(call, &key, entry);
    else
        pop_some(call, &key, entry, (size_t)wanted, alone);
}

/* ---- rows ---- */

static const struct command rows[] = {
    {NUMBER_HRANDFIELD, "HRANDFIELD", -2, COMMAND_READ, 1, 1, 1, "@read @hash @slow",
     "Answer random fields of a hash", "hash", "6.2.0", execute_hrandfield, 0},
    {NUMBER_SRANDMEMBER, "SRANDMEMBER", -2, COMMAND_READ, 1, 1, 1, "@read @set @slow",
     "Answer random members of a set", "set", "1.0.0", execute_srandmember, 0},
    {NUMBER_SPOP, "SPOP", -2, COMMAND_WRITE | COMMAND_FAST, 1, 1, 1, "@write @set @fast",
     "Take random members out of a set", "set", "1.0.0", execute_spop, 0},
    {NUMBER_ZRANDMEMBER, "ZRANDMEMBER", -2, COMMAND_READ, 1, 1, 1, "@read @sortedset @slow",
     "Answer random members of a sorted set", "sorted-set", "6.2.0", execute_zrandmember, 0},
};

struct command_family command_family_pick(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
