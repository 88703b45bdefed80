/* result.c - sets and sorted sets that commands put together: answered, or stored under a key. They
 * grow in a store of their own, so that what they are made of stays where it is. */
#include "command/call.h"

void command_result_init(struct command_result *result, const struct command_call *call)
{
    struct store_key key = store_key_of(call->database, slice_of(NULL, 0));
    /* A seed that clients cannot know, or they could make members that all collide. */
    result->store = store_create(store_key_hash(call->store, &key));
    result->key = store_key_of(0, slice_of(NULL, 0));
}

void command_result_deinit(struct command_result *result)
{
    store_destroy(result->store);
}

const struct store_entry *command_result_entry(const struct command_result *result)
{
    return store_find(result->store, &result->key);
}

static void put_members(struct command_call *call, const struct store_key *into,
                        const struct command_result *result, const struct store_entry *entry)
{
    struct store_member members[STORE_WALK_ROOM];
    uint64_t cursor = 0;
    size_t count;
    do {
        cursor = store_member_walk(result->store, entry, cursor, STORE_WALK_MAX, members, &count);
        for (size_t i = 0; i < count; i++)
            store_member_put(call->store, into, STORE_SET, members[i].name, slice_of(NULL, 0));
    } while (cursor);
}

static void put_scored(struct command_call *call, const struct store_key *into,
                       const struct store_entry *entry)
{
    struct store_scored_walk walk;
    struct slice member;
    double score;
    store_scored_walk_init(&walk, entry, 0, false);
    while (store_scored_walk_next(&walk, &member, &score))
        store_scored_put(call->store, into, member, score);
}

static size_t count_of(const struct store_entry *entry)
{
    if (!entry)
        return 0;
    return store_entry_type(entry) == STORE_SET ? store_member_count(entry)
                                                : store_scored_count(entry);
}

void command_store_result(struct command_call *call, const struct command_result *result)
{
    struct store_key into = command_key(call, 1);
    const struct store_entry *entry = command_result_entry(result);
    if (!entry && !command_lookup(call, &into)) {
        command_reply_unchanged(call, 0);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    store_remove(call->store, &into);
    if (entry && store_entry_type(entry) == STORE_SET)
        put_members(call, &into, result, entry);
    else if (entry)
        put_scored(call, &into, entry);
    command_ship_request(call);
    reply_integer(call->reply, (int64_t)count_of(entry));
}
