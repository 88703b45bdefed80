/* copy.c - a value under another key. */
#include "command/call.h"

/* ---- RENAME ---- */

static void rename_key(struct command_call *call, bool if_absent)
{
    struct store_key from = command_key(call, 1), to = command_key(call, 2);
    if (!command_lookup(call, &from)) {
        command_fail(call, "ERR no such key");
        return;
    }
    bool same = slice_equal(from.bytes, to.bytes);
    bool renames = !same && !(if_absent && command_lookup(call, &to));
    if (!renames) {
        command_note_unchanged(call);
    } else {
        if (!command_can_change(call, 0))
            return;
        store_rename(call->store, &from, &to);
        command_ship(call, NUMBER_RENAME, call->arguments + 1, 2);
    }
    if (if_absent)
        reply_integer(call->reply, renames);
    else
        reply_ok(call->reply);
}

static void execute_rename(struct command_call *call)
{
    rename_key(call, false);
}

static void execute_renamenx(struct command_call *call)
{
    rename_key(call, true);
}

/* ---- COPY ---- */

struct copy_options {
    bool replace;
    int64_t database;
};

static bool take_copy_options(struct command_call *call, struct copy_options *options)
{
    for (size_t i = 3; i < call->count; i++) {
        if (slice_is_word(call->arguments[i], "REPLACE")) {
            options->replace = true;
        } else if (slice_is_word(call->arguments[i], "DB") && i + 1 < call->count) {
            if (!command_integer_between(call, ++i, INT32_MIN, INT32_MAX,
                                         "ERR value is not an integer or out of range",
                                         &options->database))
                return false;
            if (options->database < 0 || options->database >= STORE_DATABASES) {
                command_fail(call, "ERR DB index is out of range");
                return false;
            }
        } else {
            command_fail_syntax(call);
            return false;
        }
    }
    return true;
}

/* The effect belongs to the database that it changes; where the value came from is an argument. */
static void ship_copy(struct command_call *call, const struct store_key *from,
                      const struct store_key *to)
{
    struct slice arguments[3] = {to->bytes, from->bytes, slice_of(&from->database, 1)};
    if (call->effect)
        effect_add(call->effect, NUMBER_COPY_FROM, to->database, arguments, 3);
}

static bool fits(struct command_call *call, const struct store_key *from)
{
    struct command_measure measure;
    command_measure_init(&measure, call);
    command_measure_add(&measure, store_find(call->store, from));
    return command_measure_fits(&measure);
}

static void execute_copy(struct command_call *call)
{
    struct copy_options options = {.database = call->database};
    struct store_entry *there;
    if (!take_copy_options(call, &options))
        return;
    struct store_key from = command_key(call, 1), to = command_key(call, 2);
    to.database = (uint8_t)options.database;
    if (from.database == to.database && slice_equal(from.bytes, to.bytes)) {
        command_fail(call, "ERR source and destination objects are the same");
        return;
    }
    if (!command_lookup(call, &from)) {
        reply_integer(call->reply, 0);
        return;
    }
    if (!command_lookup_unnamed(call, &to, &there))
        return;
    if (there && !options.replace) {
        reply_integer(call->reply, 0);
        return;
    }
    if (!fits(call, &from) || !command_can_change(call, 1))
        return;
    store_copy(call->store, &from, &to);
    ship_copy(call, &from, &to);
    reply_integer(call->reply, 1);
}

/* Only in effects: the new key, the old one, and the database of the old one as a byte. */
static void execute_copy_from(struct command_call *call)
{
    struct store_key to = command_key(call, 1), from = command_key(call, 2);
    struct slice database = call->arguments[3];
    from.database = database.size == 1 ? database.at[0] : STORE_DATABASES;
    bool same = from.database == to.database && slice_equal(from.bytes, to.bytes);
    if (from.database >= STORE_DATABASES || same || !command_lookup(call, &from))
        command_fail(call, "ERR copy in an effect");
    else
        store_copy(call->store, &from, &to);
}

/* ---- rows ---- */

#define SLOW_WRITE "@keyspace @write @slow"

/* A COPY that changes nothing may have looked at a key of another database, which its row cannot
 * name: with DB its reply waits as if for all keys. */
static const struct command rows[] = {
    {NUMBER_RENAME, "RENAME", 3, COMMAND_WRITE | COMMAND_EFFECT, 1, 2, 1, SLOW_WRITE,
     "Give a value another key, whatever that key held", "generic", "1.0.0", execute_rename, 0},
    {NUMBER_RENAMENX, "RENAMENX", 3, COMMAND_WRITE | COMMAND_FAST, 1, 2, 1,
     "@keyspace @write @fast", "Give a value another key, if that key holds nothing", "generic",
     "1.0.0", execute_renamenx, 0},
    {NUMBER_COPY, "COPY", -3, COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_WHOLE, 1, 2, 1, SLOW_WRITE,
     "Copy a value to another key or database", "generic", "6.2.0", execute_copy, 0},
    {NUMBER_COPY_FROM, "_COPYFROM", 4, COMMAND_WRITE | COMMAND_INTERNAL | COMMAND_EFFECT, 1, 1, 1,
     SLOW_WRITE, "A copy of a key of any database", "generic", "1.0.0", execute_copy_from, 0},
};

struct command_family command_family_copy(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
