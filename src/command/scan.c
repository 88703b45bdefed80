/* scan.c - what SCAN and its kin share, and the walks through one collection: HSCAN, SSCAN, ZSCAN.
 */
#include "command/call.h"

#include <assert.h>

/* ---- cursors and options ---- */

/* Only digits: a cursor is what we gave out. An empty one counts as 0, as in Redis. */
bool command_take_cursor(struct command_call *call, size_t argument, uint64_t *cursor)
{
    struct slice text = call->arguments[argument];
    *cursor = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint64_t digit = (uint64_t)text.at[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(*cursor, 10, cursor) ||
            __builtin_add_overflow(*cursor, digit, cursor)) {
            command_fail(call, "ERR invalid cursor");
            return false;
        }
    }
    return true;
}

void command_reply_cursor(struct reply *reply, uint64_t cursor)
{
    uint8_t text[20], *at = text + sizeof text;
    do {
        *--at = (uint8_t)('0' + cursor % 10);
        cursor /= 10;
    } while (cursor);
    reply_bulk(reply, slice_of(at, (size_t)(text + sizeof text - at)));
}

static bool take_option(struct command_call *call, size_t i, struct command_scan *scan)
{
    struct slice word = call->arguments[i];
    bool more = i + 1 < call->count;
    if (more && slice_is_word(word, "COUNT")) {
        if (!command_integer(call, i + 1, &scan->want))
            return false;
        if (scan->want >= 1)
            return true;
    } else if (more && slice_is_word(word, "MATCH")) {
        scan->pattern = &call->arguments[i + 1];
        return true;
    } else if (more && scan->of_keys && slice_is_word(word, "TYPE")) {
        scan->type = &call->arguments[i + 1];
        return true;
    }
    command_fail_syntax(call);
    return false;
}

bool command_take_scan(struct command_call *call, size_t from, struct command_scan *scan)
{
    scan->want = 10;
    for (size_t i = from; i < call->count; i += 2)
        if (!take_option(call, i, scan))
            return false;
    return true;
}

/* The count stands in front of the items and is known behind them. */
void command_header_first(struct reply *reply, size_t start, size_t header)
{
    uint8_t bytes[64];
    struct buffer *out = reply->out;
    if (reply->overflowed)
        return;
    size_t size = out->size - header;
    assert(size <= sizeof bytes);
    memcpy(bytes, out->at + header, size);
    memmove(out->at + start + size, out->at + start, header - start);
    memcpy(out->at + start, bytes, size);
}

/* ---- one collection ---- */

static uint64_t walk(const struct command_call *call, const struct store_entry *entry,
                     uint64_t cursor, size_t max, struct store_member *members, size_t *count)
{
    if (store_entry_type(entry) == STORE_SORTED_SET)
        return store_scored_scan(call->store, entry, cursor, max, members, count);
    return store_member_walk(call->store, entry, cursor, max, members, count);
}

static void reply_member(struct command_call *call, enum store_type type,
                         const struct store_member *member)
{
    char text[TEXT_OF_DOUBLE_MAX];
    reply_bulk(call->reply, member->name);
    if (type == STORE_HASH)
        reply_bulk(call->reply, member->value);
    else if (type == STORE_SORTED_SET)
        reply_bulk(call->reply, slice_of(text, text_of_double(member->score, text)));
}

/* Members from the cursor on until so many have been looked at as were asked for. */
static size_t reply_members(struct command_call *call, const struct store_entry *entry,
                            const struct command_scan *scan, uint64_t *cursor)
{
    struct store_member members[STORE_WALK_ROOM];
    enum store_type type = store_entry_type(entry);
    size_t seen = 0, replied = 0, want = (size_t)scan->want, count;
    do {
        size_t max = want - seen < STORE_WALK_MAX ? want - seen : STORE_WALK_MAX;
        *cursor = walk(call, entry, *cursor, max, members, &count);
        for (size_t i = 0; i < count; i++)
            if (!scan->pattern || command_glob(*scan->pattern, members[i].name, false)) {
                reply_member(call, type, &members[i]);
                replied++;
            }
        seen += count;
    } while (*cursor && seen < want);
    return type == STORE_SET ? replied : 2 * replied;
}

static void scan_collection(struct command_call *call, enum store_type type)
{
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    struct command_scan scan = {0};
    uint64_t cursor;
    size_t items = 0, start = call->reply->out->size;
    if (!command_take_cursor(call, 2, &cursor) || !command_lookup_typed(call, &key, type, &entry) ||
        (entry && !command_take_scan(call, 3, &scan)))
        return;
    if (entry)
        items = reply_members(call, entry, &scan, &cursor);
    size_t header = call->reply->out->size;
    reply_array(call->reply, 2);
    command_reply_cursor(call->reply, entry ? cursor : 0);
    reply_array(call->reply, items);
    command_header_first(call->reply, start, header);
}

static void execute_hscan(struct command_call *call)
{
    scan_collection(call, STORE_HASH);
}

static void execute_sscan(struct command_call *call)
{
    scan_collection(call, STORE_SET);
}

static void execute_zscan(struct command_call *call)
{
    scan_collection(call, STORE_SORTED_SET);
}

/* ---- rows ---- */

static const struct command rows[] = {
    {NUMBER_HSCAN, "HSCAN", -3, COMMAND_READ, 1, 1, 1, "@read @hash @slow",
     "List fields and values of a hash page by page, from a cursor on", "hash", "2.8.0",
     execute_hscan, 0},
    {NUMBER_SSCAN, "SSCAN", -3, COMMAND_READ, 1, 1, 1, "@read @set @slow",
     "List members of a set page by page, from a cursor on", "set", "2.8.0", execute_sscan, 0},
    {NUMBER_ZSCAN, "ZSCAN", -3, COMMAND_READ, 1, 1, 1, "@read @sortedset @slow",
     "List members and scores of a sorted set page by page, from a cursor on", "sorted-set",
     "2.8.0", execute_zscan, 0},
};

struct command_family command_family_scan(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
