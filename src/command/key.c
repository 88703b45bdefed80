/* key.c - commands on keys of any type. */
#include "command/call.h"

/* What ships are the keys that were there, in runs that stand side by side in the request: no list
 * has to be put together. */
static void remove_keys(struct command_call *call)
{
    size_t run = 1;
    int64_t removed = 0;
    for (size_t i = 1; i <= call->count; i++) {
        bool there = false;
        if (i < call->count) {
            struct store_key key = command_key(call, i);
            there = store_remove(call->store, &key);
        }
        removed += there;
        if (there)
            continue;
        if (i > run)
            command_ship(call, NUMBER_DEL, call->arguments + run, i - run);
        run = i + 1;
    }
    if (!call->reply && removed < (int64_t)call->count - 1)
        call->failed = true; /* COMMAND-1: what is shipped was there */
    reply_integer(call->reply, removed);
}

static bool any_key_exists(const struct command_call *call)
{
    for (size_t i = 1; i < call->count; i++) {
        struct store_key key = command_key(call, i);
        if (command_lookup(call, &key))
            return true;
    }
    return false;
}

static void execute_del(struct command_call *call)
{
    if (!call->may_write && !any_key_exists(call))
        reply_integer(call->reply, 0);
    else if (command_can_change(call, 0))
        remove_keys(call);
}

static void execute_exists(struct command_call *call)
{
    int64_t found = 0;
    for (size_t i = 1; i < call->count; i++) {
        struct store_key key = command_key(call, i);
        found += command_lookup(call, &key) != NULL;
    }
    reply_integer(call->reply, found);
}

static void execute_type(struct command_call *call)
{
    struct store_key key = command_key(call, 1);
    const struct store_entry *entry = command_lookup(call, &key);
    reply_status(call->reply, entry ? command_type_name(store_entry_type(entry)) : "none");
}

/* ---- rows ---- */

#define FAST_READ "@keyspace @read @fast"

static const struct command rows[] = {
    {NUMBER_DEL, "DEL", -2, COMMAND_WRITE | COMMAND_EFFECT | COMMAND_PARTITIONS, 1, -1, 1,
     "@keyspace @write @slow", "Delete keys", "generic", "1.0.0", execute_del, 0},
    {NUMBER_UNLINK, "UNLINK", -2, COMMAND_WRITE | COMMAND_FAST | COMMAND_PARTITIONS, 1, -1, 1,
     "@keyspace @write @fast", "Delete keys", "generic", "4.0.0", execute_del, 0},
    {NUMBER_EXISTS, "EXISTS", -2, COMMAND_READ | COMMAND_FAST | COMMAND_PARTITIONS, 1, -1, 1,
     FAST_READ, "Count which of the keys are there", "generic", "1.0.0", execute_exists, 0},
    {NUMBER_TOUCH, "TOUCH", -2, COMMAND_READ | COMMAND_FAST | COMMAND_PARTITIONS, 1, -1, 1,
     FAST_READ, "Count which of the keys are there, as if they had been used", "generic", "3.2.1",
     execute_exists, 0},
    {NUMBER_TYPE, "TYPE", 2, COMMAND_READ | COMMAND_FAST, 1, 1, 1, FAST_READ,
     "Answer what kind of value a key holds", "generic", "1.0.0", execute_type, 0},
};

struct command_family command_family_key(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
