/* range.c - parts of strings, by byte. */
#include "command/call.h"

static bool lookup_string(struct command_call *call, struct store_key *key,
                          struct store_entry **entry)
{
    *key = command_key(call, 1);
    return command_lookup_typed(call, key, STORE_STRING, entry);
}

static void execute_setrange(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    struct slice part = call->arguments[3];
    int64_t offset;
    if (!command_integer(call, 2, &offset))
        return;
    if (offset < 0) {
        command_fail(call, "ERR offset is out of range");
        return;
    }
    if (!lookup_string(call, &key, &entry))
        return;
    if (!part.size) {
        command_reply_unchanged(call, entry ? (int64_t)store_entry_string(entry).size : 0);
        return;
    }
    if (!command_string_fits(call, (uint64_t)offset, part.size) || !command_can_change(call, 0))
        return;
    size_t size = store_write_string(call->store, &key, (size_t)offset, part);
    command_ship_request(call);
    reply_integer(call->reply, (int64_t)size);
}

static void execute_getrange(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    int64_t first, last;
    size_t from, count;
    if (!command_integer(call, 2, &first) || !command_integer(call, 3, &last) ||
        !lookup_string(call, &key, &entry))
        return;
    struct slice part = entry ? store_entry_string(entry) : slice_of(NULL, 0);
    if (!command_is_backwards(first, last) &&
        command_text_span(first, last, part.size, &from, &count))
        reply_bulk(call->reply, slice_of(part.at + from, count));
    else
        reply_text(call->reply, "");
}

/* ---- rows ---- */

#define READ "@read @string @slow"

static const struct command rows[] = {
    {NUMBER_SETRANGE, "SETRANGE", 4, COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_EFFECT, 1, 1, 1,
     "@write @string @slow", "Overwrite a part of a string, with zero bytes where it was shorter",
     "string", "2.2.0", execute_setrange, 0},
    {NUMBER_GETRANGE, "GETRANGE", 4, COMMAND_READ, 1, 1, 1, READ, "Answer a part of a string",
     "string", "2.4.0", execute_getrange, 0},
    {NUMBER_SUBSTR, "SUBSTR", 4, COMMAND_READ, 1, 1, 1, READ,
     "Answer a part of a string: the old name of GETRANGE", "string", "1.0.0", execute_getrange, 0},
};

struct command_family command_family_range(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
