/* keyspace.c - commands on all keys of a database: listing, picking, counting, clearing. */
#include "command/call.h"

/* ---- listing ---- */

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

static bool passes(const struct command_call *call, const struct command_scan *filter,
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
static bool reply_keys(struct command_call *call, const struct command_scan *filter, size_t want,
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

static void execute_keys(struct command_call *call)
{
    const struct command_scan filter = {.pattern = &call->arguments[1]};
    size_t start = call->reply->out->size, replied;
    uint64_t cursor = 0;
    if (!reply_keys(call, &filter, SIZE_MAX, &cursor, &replied))
        return;
    size_t header = call->reply->out->size;
    reply_array(call->reply, replied);
    command_header_first(call->reply, start, header);
}

static void execute_scan(struct command_call *call)
{
    struct command_scan scan = {.of_keys = true};
    size_t start = call->reply->out->size, replied;
    uint64_t cursor;
    if (!command_take_cursor(call, 1, &cursor) || !command_take_scan(call, 2, &scan) ||
        !reply_keys(call, &scan, (size_t)scan.want, &cursor, &replied))
        return;
    size_t header = call->reply->out->size;
    reply_array(call->reply, 2);
    command_reply_cursor(call->reply, cursor ? cursor : call->beyond);
    reply_array(call->reply, replied);
    command_header_first(call->reply, start, header);
}

/* ---- one of them ---- */

/* One of the page's keys of this database; NULL: it has none. */
static const struct store_entry *pick_key(const struct command_call *call,
                                          const struct key_page *page, struct random *random)
{
    const struct command_scan any = {0};
    const struct store_entry *picked = NULL;
    uint64_t seen = 0;
    for (size_t i = 0; i < page->count; i++)
        if (passes(call, &any, page, i) && random_below(random, ++seen) == 0)
            picked = page->entries[i];
    return picked;
}

/* Begins at a place of the walk that chance says, and goes round once at most. Keys behind a gap
 * are picked more often than others; nobody is promised better. */
static void execute_randomkey(struct command_call *call)
{
    struct store_key nowhere = store_key_of(call->database, slice_of(NULL, 0));
    struct random random;
    struct key_page page;
    command_chance(call, &nowhere, &random);
    uint64_t cursor = random_next(&random) >> 1;
    for (unsigned rounds = 0; rounds < 2 && store_count(call->store, call->database);) {
        if (!take_page(call, cursor, STORE_WALK_MAX, &page))
            return;
        const struct store_entry *picked = pick_key(call, &page, &random);
        if (picked) {
            reply_bulk(call->reply, store_entry_key(picked));
            return;
        }
        cursor = page.next;
        rounds += !cursor;
    }
    reply_null(call->reply);
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

#define FLUSH    (COMMAND_WRITE | COMMAND_WHOLE | COMMAND_EFFECT | COMMAND_PARTITIONS)
#define PAGE     (COMMAND_READ | COMMAND_WHOLE) /* SCAN goes on in the next partition by itself */
#define READ     (PAGE | COMMAND_PARTITIONS)
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
    {NUMBER_SCAN, "SCAN", -2, PAGE, 0, 0, 0, "@keyspace @read @slow",
     "List keys page by page, from a cursor on", "generic", "2.8.0", execute_scan, 0},
    {NUMBER_RANDOMKEY, "RANDOMKEY", 1, READ, 0, 0, 0, "@keyspace @read @slow",
     "Answer some key of the database", "generic", "1.0.0", execute_randomkey, 0},
};

struct command_family command_family_keyspace(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
