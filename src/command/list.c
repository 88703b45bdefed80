/* list.c - lists. */
#include "command/call.h"

static bool lookup_list(struct command_call *call, struct store_key *key,
                        struct store_entry **entry)
{
    *key = command_key(call, 1);
    return command_lookup_typed(call, key, STORE_LIST, entry);
}

/* ---- pushing ---- */

static void push(struct command_call *call, bool at_head, bool must_exist)
{
    struct store_key key;
    struct store_entry *entry;
    if (!lookup_list(call, &key, &entry))
        return;
    if (!entry && must_exist) {
        reply_integer(call->reply, 0);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    size_t length = 0;
    for (size_t i = 2; i < call->count; i++)
        length = store_list_push(call->store, &key, at_head, call->arguments[i]);
    command_ship(call, at_head ? NUMBER_LPUSH : NUMBER_RPUSH, call->arguments + 1, call->count - 1);
    reply_integer(call->reply, (int64_t)length);
}

static void execute_rpush(struct command_call *call)
{
    push(call, false, false);
}

static void execute_lpush(struct command_call *call)
{
    push(call, true, false);
}

static void execute_rpushx(struct command_call *call)
{
    push(call, false, true);
}

static void execute_lpushx(struct command_call *call)
{
    push(call, true, true);
}

/* ---- reading ---- */

static void execute_llen(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (lookup_list(call, &key, &entry))
        reply_integer(call->reply, entry ? (int64_t)store_list_length(entry) : 0);
}

/* Negative ones count from the end. */
static int64_t place_of(int64_t index, int64_t length)
{
    return index < 0 ? index + length : index;
}

static void execute_lindex(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    int64_t index;
    if (!lookup_list(call, &key, &entry))
        return;
    if (!entry) {
        reply_null(call->reply);
        return;
    }
    if (!command_integer(call, 2, &index))
        return;
    int64_t length = (int64_t)store_list_length(entry);
    index = place_of(index, length);
    if (index < 0 || index >= length)
        reply_null(call->reply);
    else
        reply_bulk(call->reply, store_list_at(entry, (size_t)index));
}

static void reply_range(struct command_call *call, const struct store_entry *entry, int64_t first,
                        int64_t last)
{
    struct store_list_walk walk;
    struct slice element;
    int64_t left = last - first + 1;
    reply_array(call->reply, (size_t)left);
    store_list_walk_init(&walk, entry, (size_t)first);
    while (left-- > 0 && store_list_walk_next(&walk, &element))
        reply_bulk(call->reply, element);
}

static void execute_lrange(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    int64_t first, last;
    if (!command_integer(call, 2, &first) || !command_integer(call, 3, &last) ||
        !lookup_list(call, &key, &entry))
        return;
    int64_t length = entry ? (int64_t)store_list_length(entry) : 0;
    first = place_of(first, length);
    last = place_of(last, length);
    if (first < 0)
        first = 0;
    if (last >= length)
        last = length - 1;
    if (first > last)
        reply_array(call->reply, 0);
    else
        reply_range(call, entry, first, last);
}

/* ---- rows ---- */

#define WRITE      (COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST)
#define FAST_WRITE "@write @list @fast"
#define SLOW_READ  "@read @list @slow"

static const struct command rows[] = {
    {NUMBER_RPUSH, "RPUSH", -3, WRITE | COMMAND_EFFECT, 1, 1, 1, FAST_WRITE,
     "Add elements at the tail of a list", "list", "1.0.0", execute_rpush, 0},
    {NUMBER_LPUSH, "LPUSH", -3, WRITE | COMMAND_EFFECT, 1, 1, 1, FAST_WRITE,
     "Add elements at the head of a list, one after the other", "list", "1.0.0", execute_lpush, 0},
    {NUMBER_RPUSHX, "RPUSHX", -3, WRITE, 1, 1, 1, FAST_WRITE,
     "Add elements at the tail of a list that is there", "list", "2.2.0", execute_rpushx, 0},
    {NUMBER_LPUSHX, "LPUSHX", -3, WRITE, 1, 1, 1, FAST_WRITE,
     "Add elements at the head of a list that is there", "list", "2.2.0", execute_lpushx, 0},
    {NUMBER_LRANGE, "LRANGE", 4, COMMAND_READ, 1, 1, 1, SLOW_READ,
     "Answer the elements between two places of a list", "list", "1.0.0", execute_lrange, 0},
    {NUMBER_LLEN, "LLEN", 2, COMMAND_READ | COMMAND_FAST, 1, 1, 1, "@read @list @fast",
     "Answer how many elements a list has", "list", "1.0.0", execute_llen, 0},
    {NUMBER_LINDEX, "LINDEX", 3, COMMAND_READ, 1, 1, 1, SLOW_READ,
     "Answer the element at one place of a list", "list", "1.0.0", execute_lindex, 0},
};

struct command_family command_family_list(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
