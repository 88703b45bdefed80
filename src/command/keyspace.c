/* keyspace.c - commands on all keys of a database: counting, listing, clearing. */
#include "command/call.h"

#include <assert.h>

/* ---- listing ---- */

struct key_filter {
    const struct slice *pattern; /* NULL: all */
    const struct slice *type;
};

struct key_page {
    struct store_entry *entries[STORE_WALK_MAX + 16];
    uint8_t databases[STORE_WALK_MAX + 16];
    size_t count;
    uint64_t next;
};

/* One page of the walk without keys past their deadline. The leader removes those first, which
 * makes the page another one: walk again. False: refused or failed. */
static bool take_page(struct command_call *call, uint64_t cursor, size_t max, struct key_page *page)
{
    for (;;) {
        page->next =
            store_walk(call->store, cursor, max, page->entries, page->databases, &page->count);
        const struct store_entry *expired = NULL;
        for (size_t i = 0; i < page->count && !expired; i++)
            if (page->databases[i] == call->database && command_is_past(call, page->entries[i]))
                expired = page->entries[i];
        if (!expired || !call->effect)
            return true;
        struct store_key key = store_key_of(call->database, store_entry_key(expired));
        if (!command_remove_expired(call, &key))
            return false;
    }
}

static bool passes(const struct command_call *call, const struct key_filter *filter,
                   const struct key_page *page, size_t i)
{
    const struct store_entry *entry = page->entries[i];
    if (page->databases[i] != call->database || command_is_past(call, entry))
        return false;
    if (filter->type && !slice_is_word(*filter->type, command_type_name(store_entry_type(entry))))
        return false;
    return !filter->pattern || command_glob(*filter->pattern, store_entry_key(entry), false);
}

/* A refused call replies nothing, a failed one its error only, which stands behind the keys. */
static void take_back_keys(struct reply *reply, size_t start, size_t keys_end)
{
    struct buffer *out = reply->out;
    if (reply->overflowed)
        return;
    if (out->size > keys_end)
        memmove(out->at + start, out->at + keys_end, out->size - keys_end);
    out->size -= keys_end - start;
}

/* Replies the keys from *cursor on until `want` keys have been looked at, leaves the next cursor
 * there, and says how many were replied. False: refused or failed. */
static bool reply_keys(struct command_call *call, const struct key_filter *filter, size_t want,
                       uint64_t *cursor, size_t *replied)
{
    size_t seen = 0, start = call->reply->out->size;
    *replied = 0;
    do {
        struct key_page page;
        size_t max = want - seen < STORE_WALK_MAX ? want - seen : STORE_WALK_MAX;
        size_t keys_end = call->reply->out->size;
        if (!take_page(call, *cursor, max, &page)) {
            take_back_keys(call->reply, start, keys_end);
            return false;
        }
        for (size_t i = 0; i < page.count; i++)
            if (passes(call, filter, &page, i)) {
                reply_bulk(call->reply, store_entry_key(page.entries[i]));
                ++*replied;
            }
        *cursor = page.next;
        seen += page.count;
    } while (*cursor && seen < want);
    return true;
}

/* The count stands in front of the keys and is known behind them: the header is written last and
 * moved. `start` is where the keys begin, `keys_end` where the header does. */
static void move_header(struct reply *reply, size_t start, size_t keys_end)
{
    uint8_t header[64];
    struct buffer *out = reply->out;
    if (reply->overflowed)
        return;
    size_t size = out->size - keys_end;
    assert(size <= sizeof header);
    memcpy(header, out->at + keys_end, size);
    memmove(out->at + start + size, out->at + start, keys_end - start);
    memcpy(out->at + start, header, size);
}

static void execute_keys(struct command_call *call)
{
    const struct key_filter filter = {.pattern = &call->arguments[1]};
    size_t start = call->reply->out->size, replied;
    uint64_t cursor = 0;
    if (!reply_keys(call, &filter, SIZE_MAX, &cursor, &replied))
        return;
    size_t keys_end = call->reply->out->size;
    reply_array(call->reply, replied);
    move_header(call->reply, start, keys_end);
}

/* ---- SCAN ---- */

/* Only digits: a cursor is what we gave out. An empty one counts as 0, as in Redis. */
static bool read_cursor(struct slice text, uint64_t *cursor)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint64_t digit = (uint64_t)text.at[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *cursor = value;
    return true;
}

static void reply_cursor(struct reply *reply, uint64_t cursor)
{
    uint8_t text[20], *at = text + sizeof text;
    do {
        *--at = (uint8_t)('0' + cursor % 10);
        cursor /= 10;
    } while (cursor);
    reply_bulk(reply, slice_of(at, (size_t)(text + sizeof text - at)));
}

static bool take_scan_option(struct command_call *call, size_t i, struct key_filter *filter,
                             int64_t *want)
{
    struct slice word = call->arguments[i];
    bool more = i + 1 < call->count;
    if (more && slice_is_word(word, "COUNT")) {
        if (!command_integer(call, i + 1, want))
            return false;
        if (*want >= 1)
            return true;
    } else if (more && slice_is_word(word, "MATCH")) {
        filter->pattern = &call->arguments[i + 1];
        return true;
    } else if (more && slice_is_word(word, "TYPE")) {
        filter->type = &call->arguments[i + 1];
        return true;
    }
    command_fail_syntax(call);
    return false;
}

static void execute_scan(struct command_call *call)
{
    struct key_filter filter = {0};
    size_t start = call->reply->out->size, replied;
    uint64_t cursor;
    int64_t want = 10;
    if (!read_cursor(call->arguments[1], &cursor)) {
        command_fail(call, "ERR invalid cursor");
        return;
    }
    for (size_t i = 2; i < call->count; i += 2)
        if (!take_scan_option(call, i, &filter, &want))
            return;
    if (!reply_keys(call, &filter, (size_t)want, &cursor, &replied))
        return;
    size_t keys_end = call->reply->out->size;
    reply_array(call->reply, 2);
    reply_cursor(call->reply, cursor);
    reply_array(call->reply, replied);
    move_header(call->reply, start, keys_end);
}

/* ---- counting and clearing ---- */

/* Keys past their deadline count until their deletion is in the log, as in Redis. */
static void execute_dbsize(struct command_call *call)
{
    reply_integer(call->reply, (int64_t)store_count(call->store, call->database));
}

static bool flush_fits(struct command_call *call)
{
    if (call->count == 1 || (call->count == 2 && (slice_is_word(call->arguments[1], "ASYNC") ||
                                                  slice_is_word(call->arguments[1], "SYNC"))))
        return true;
    command_fail_syntax(call);
    return false;
}

static bool is_empty(const struct store *store)
{
    for (uint8_t database = 0; database < STORE_DATABASES; database++)
        if (store_count(store, database))
            return false;
    return true;
}

static void execute_flushall(struct command_call *call)
{
    if (!flush_fits(call))
        return;
    if (!is_empty(call->store)) {
        if (!command_can_change(call, 0))
            return;
        store_clear(call->store);
        command_ship(call, NUMBER_FLUSHALL, NULL, 0);
    }
    reply_ok(call->reply);
}

static void execute_flushdb(struct command_call *call)
{
    if (!flush_fits(call))
        return;
    if (store_count(call->store, call->database)) {
        if (!command_can_change(call, 0))
            return;
        store_clear_database(call->store, call->database);
        command_ship(call, NUMBER_FLUSHDB, NULL, 0);
    }
    reply_ok(call->reply);
}

/* ---- rows ---- */

#define FLUSH    (COMMAND_WRITE | COMMAND_WHOLE | COMMAND_EFFECT)
#define READ     (COMMAND_READ | COMMAND_WHOLE)
#define CLEARING "@keyspace @write @slow @dangerous"

static const struct command rows[] = {
    {NUMBER_DBSIZE, "DBSIZE", 1, READ | COMMAND_FAST, 0, 0, 0, "@keyspace @read @fast",
     "Answer how many keys the database has", "server", "1.0.0", execute_dbsize, 0},
    {NUMBER_FLUSHALL, "FLUSHALL", -1, FLUSH, 0, 0, 0, CLEARING, "Delete all keys of all databases",
     "server", "1.0.0", execute_flushall, 0},
    {NUMBER_FLUSHDB, "FLUSHDB", -1, FLUSH, 0, 0, 0, CLEARING, "Delete all keys of the database",
     "server", "1.0.0", execute_flushdb, 0},
    {NUMBER_KEYS, "KEYS", 2, READ, 0, 0, 0, "@keyspace @read @slow @dangerous",
     "List the keys that match a pattern", "generic", "1.0.0", execute_keys, 0},
    {NUMBER_SCAN, "SCAN", -2, READ, 0, 0, 0, "@keyspace @read @slow",
     "List keys page by page, from a cursor on", "generic", "2.8.0", execute_scan, 0},
};

struct command_family command_family_keyspace(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
