/* set.c - sets, one at a time. */
#include "command/call.h"

static bool lookup_set(struct command_call *call, struct store_key *key, struct store_entry **entry)
{
    *key = command_key(call, 1);
    return command_lookup_typed(call, key, STORE_SET, entry);
}

static bool has_member(const struct command_call *call, const struct store_entry *entry,
                       struct slice member)
{
    return entry && store_member_find(call->store, entry, member, NULL);
}

static bool put_member(struct command_call *call, const struct store_key *key, struct slice member)
{
    return store_member_put(call->store, key, STORE_SET, member, slice_of(NULL, 0));
}

/* ---- changing ---- */

/* Does the set have all (`wanted`) or none of the request's members? */
static bool has_only(const struct command_call *call, const struct store_entry *entry, bool wanted)
{
    for (size_t i = 2; i < call->count; i++)
        if (has_member(call, entry, call->arguments[i]) != wanted)
            return false;
    return true;
}

static void execute_sadd(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    int64_t added = 0;
    if (!lookup_set(call, &key, &entry))
        return;
    if (has_only(call, entry, true)) {
        command_reply_unchanged(call, 0);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    for (size_t i = 2; i < call->count; i++)
        added += put_member(call, &key, call->arguments[i]);
    command_ship_request(call);
    reply_integer(call->reply, added);
}

static void execute_srem(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (!lookup_set(call, &key, &entry))
        return;
    if (has_only(call, entry, false)) {
        command_reply_unchanged(call, 0);
        return;
    }
    command_remove_members(call, &key, entry);
}

/* Ships as what it is made of. */
static void move_member(struct command_call *call, const struct store_key *from,
                        const struct store_key *to)
{
    struct slice member = call->arguments[3];
    struct slice taken[2] = {from->bytes, member}, given[2] = {to->bytes, member};
    store_member_remove(call->store, from, member);
    command_ship(call, NUMBER_SREM, taken, 2);
    if (put_member(call, to, member))
        command_ship(call, NUMBER_SADD, given, 2);
}

static void execute_smove(struct command_call *call)
{
    struct store_key from = command_key(call, 1), to = command_key(call, 2);
    struct store_entry *source, *destination;
    if (!command_lookup_typed(call, &from, STORE_SET, &source))
        return;
    if (!source) {
        reply_integer(call->reply, 0);
        return;
    }
    if (!command_lookup_typed(call, &to, STORE_SET, &destination))
        return;
    bool there = has_member(call, source, call->arguments[3]);
    if (there && source != destination) {
        if (!command_can_change(call, call->arguments[3].size + from.bytes.size + to.bytes.size))
            return;
        move_member(call, &from, &to);
    }
    reply_integer(call->reply, there);
}

/* ---- reading ---- */

static void execute_sismember(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (lookup_set(call, &key, &entry))
        reply_integer(call->reply, has_member(call, entry, call->arguments[2]));
}

static void execute_smismember(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (!lookup_set(call, &key, &entry))
        return;
    reply_array(call->reply, call->count - 2);
    for (size_t i = 2; i < call->count; i++)
        reply_integer(call->reply, has_member(call, entry, call->arguments[i]));
}

static void execute_scard(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (lookup_set(call, &key, &entry))
        reply_integer(call->reply, entry ? (int64_t)store_member_count(entry) : 0);
}

void command_reply_set(struct command_call *call, const struct store *store,
                       const struct store_entry *entry)
{
    struct store_member members[STORE_WALK_ROOM];
    uint64_t cursor = 0;
    size_t count;
    reply_set(call->reply, entry ? store_member_count(entry) : 0);
    while (entry) {
        cursor = store_member_walk(store, entry, cursor, STORE_WALK_MAX, members, &count);
        for (size_t i = 0; i < count; i++)
            reply_bulk(call->reply, members[i].name);
        if (!cursor)
            return;
    }
}

static void execute_smembers(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (lookup_set(call, &key, &entry))
        command_reply_set(call, call->store, entry);
}

/* ---- rows ---- */

#define FAST_WRITE (COMMAND_WRITE | COMMAND_FAST)
#define FAST_READ  (COMMAND_READ | COMMAND_FAST)
#define WRITES     "@write @set @fast"
#define READS      "@read @set @fast"

static const struct command rows[] = {
    {NUMBER_SADD, "SADD", -3, FAST_WRITE | COMMAND_DENY_OOM | COMMAND_EFFECT, 1, 1, 1, WRITES,
     "Add members to a set", "set", "1.0.0", execute_sadd, 0},
    {NUMBER_SREM, "SREM", -3, FAST_WRITE | COMMAND_EFFECT, 1, 1, 1, WRITES,
     "Remove members of a set, and with the last one the key", "set", "1.0.0", execute_srem, 0},
    {NUMBER_SMOVE, "SMOVE", 4, FAST_WRITE, 1, 2, 1, WRITES, "Move a member from a set to a set",
     "set", "1.0.0", execute_smove, 0},
    {NUMBER_SISMEMBER, "SISMEMBER", 3, FAST_READ, 1, 1, 1, READS,
     "Answer whether a set has a member", "set", "1.0.0", execute_sismember, 0},
    {NUMBER_SMISMEMBER, "SMISMEMBER", -3, FAST_READ, 1, 1, 1, READS,
     "Answer which of the members a set has", "set", "6.2.0", execute_smismember, 0},
    {NUMBER_SCARD, "SCARD", 2, FAST_READ, 1, 1, 1, READS, "Answer how many members a set has",
     "set", "1.0.0", execute_scard, 0},
    {NUMBER_SMEMBERS, "SMEMBERS", 2, COMMAND_READ, 1, 1, 1, "@read @set @slow",
     "Answer all members of a set", "set", "1.0.0", execute_smembers, 0},
};

struct command_family command_family_set(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
