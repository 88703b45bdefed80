/* hash.c - hashes: fields with values. What counts ships as its result, as fields that are set: the
 * arithmetic of another machine may differ. */
#include "command/call.h"

#include <math.h>

static bool lookup_hash(struct command_call *call, struct store_key *key,
                        struct store_entry **entry)
{
    *key = command_key(call, 1);
    return command_lookup_typed(call, key, STORE_HASH, entry);
}

/* False: the hash or the field is absent. */
static bool find_field(const struct command_call *call, const struct store_entry *entry,
                       struct slice field, struct slice *value)
{
    return entry && store_member_find(call->store, entry, field, value);
}

static void reply_field(struct command_call *call, const struct store_entry *entry,
                        struct slice field)
{
    struct slice value;
    if (find_field(call, entry, field, &value))
        reply_bulk(call->reply, value);
    else
        reply_null(call->reply);
}

/* ---- setting ---- */

/* Returns how many fields are new; false: failed or refused. */
static bool set_fields(struct command_call *call, int64_t *created)
{
    struct store_key key;
    struct store_entry *entry;
    if (call->count % 2) {
        command_fail_arity(call);
        return false;
    }
    if (!lookup_hash(call, &key, &entry) || !command_can_change(call, 0))
        return false;
    *created = 0;
    for (size_t i = 2; i < call->count; i += 2)
        *created += store_member_put(call->store, &key, STORE_HASH, call->arguments[i],
                                     call->arguments[i + 1]);
    command_ship(call, NUMBER_HSET, call->arguments + 1, call->count - 1);
    return true;
}

static void execute_hset(struct command_call *call)
{
    int64_t created;
    if (set_fields(call, &created))
        reply_integer(call->reply, created);
}

static void execute_hmset(struct command_call *call)
{
    int64_t created;
    if (set_fields(call, &created))
        reply_ok(call->reply);
}

static void set_one(struct command_call *call, const struct store_key *key, struct slice field,
                    struct slice value)
{
    struct slice shipped[3] = {key->bytes, field, value};
    store_member_put(call->store, key, STORE_HASH, field, value);
    command_ship(call, NUMBER_HSET, shipped, 3);
}

static void execute_hsetnx(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (!lookup_hash(call, &key, &entry))
        return;
    if (find_field(call, entry, call->arguments[2], NULL)) {
        reply_integer(call->reply, 0);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    set_one(call, &key, call->arguments[2], call->arguments[3]);
    reply_integer(call->reply, 1);
}

static bool has_any_field(const struct command_call *call, const struct store_entry *entry)
{
    for (size_t i = 2; i < call->count; i++)
        if (find_field(call, entry, call->arguments[i], NULL))
            return true;
    return false;
}

static void execute_hdel(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (!lookup_hash(call, &key, &entry))
        return;
    if (!has_any_field(call, entry)) {
        command_reply_unchanged(call, 0);
        return;
    }
    command_remove_members(call, &key, entry);
}

/* ---- counting ---- */

static void execute_hincrby(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    struct slice now;
    int64_t step, value = 0;
    char text[21];
    if (!command_integer(call, 3, &step) || !lookup_hash(call, &key, &entry))
        return;
    if (find_field(call, entry, call->arguments[2], &now) && slice_to_i64(now, &value)) {
        command_fail(call, "ERR hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(value, step, &value)) {
        command_fail(call, "ERR increment or decrement would overflow");
        return;
    }
    if (!command_can_change(call, sizeof text))
        return;
    set_one(call, &key, call->arguments[2], slice_of(text, text_of_i64(value, text)));
    reply_integer(call->reply, value);
}

static bool take_float_step(struct command_call *call, long double *step)
{
    const char *error = NULL;
    if (!command_read_float(call->arguments[3], step))
        error = "ERR value is not a valid float";
    else if (isinf(*step))
        error = "ERR value is NaN or Infinity";
    if (error)
        command_fail(call, error);
    return !error;
}

static void execute_hincrbyfloat(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    struct slice now;
    long double step, value = 0;
    char text[COMMAND_FLOAT_TEXT_MAX];
    if (!take_float_step(call, &step) || !lookup_hash(call, &key, &entry))
        return;
    if (find_field(call, entry, call->arguments[2], &now) && !command_read_float(now, &value)) {
        command_fail(call, "ERR hash value is not a float");
        return;
    }
    value += step;
    if (isnan(value) || isinf(value)) {
        command_fail(call, "ERR increment would produce NaN or Infinity");
        return;
    }
    if (!command_can_change(call, sizeof text))
        return;
    struct slice result = slice_of(text, command_write_float(value, text));
    set_one(call, &key, call->arguments[2], result);
    reply_bulk(call->reply, result);
}

/* ---- reading ---- */

static void execute_hget(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (lookup_hash(call, &key, &entry))
        reply_field(call, entry, call->arguments[2]);
}

static void execute_hmget(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (!lookup_hash(call, &key, &entry))
        return;
    reply_array(call->reply, call->count - 2);
    for (size_t i = 2; i < call->count; i++)
        reply_field(call, entry, call->arguments[i]);
}

static void reply_all(struct command_call *call, bool names, bool values)
{
    struct store_member members[STORE_WALK_ROOM];
    struct store_key key;
    struct store_entry *entry;
    uint64_t cursor = 0;
    size_t count;
    if (!lookup_hash(call, &key, &entry))
        return;
    count = entry ? store_member_count(entry) : 0;
    if (names && values)
        reply_map(call->reply, count);
    else
        reply_array(call->reply, count);
    while (entry) {
        cursor = store_member_walk(call->store, entry, cursor, STORE_WALK_MAX, members, &count);
        for (size_t i = 0; i < count; i++) {
            if (names)
                reply_bulk(call->reply, members[i].name);
            if (values)
                reply_bulk(call->reply, members[i].value);
        }
        if (!cursor)
            return;
    }
}

static void execute_hgetall(struct command_call *call)
{
    reply_all(call, true, true);
}

static void execute_hkeys(struct command_call *call)
{
    reply_all(call, true, false);
}

static void execute_hvals(struct command_call *call)
{
    reply_all(call, false, true);
}

static void execute_hexists(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (lookup_hash(call, &key, &entry))
        reply_integer(call->reply, find_field(call, entry, call->arguments[2], NULL));
}

static void execute_hlen(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (lookup_hash(call, &key, &entry))
        reply_integer(call->reply, entry ? (int64_t)store_member_count(entry) : 0);
}

static void execute_hstrlen(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    struct slice value;
    if (!lookup_hash(call, &key, &entry))
        return;
    bool there = find_field(call, entry, call->arguments[2], &value);
    reply_integer(call->reply, there ? (int64_t)value.size : 0);
}

/* ---- rows ---- */

#define PUT        (COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST)
#define FAST       (COMMAND_READ | COMMAND_FAST)
#define FAST_WRITE "@write @hash @fast"
#define FAST_READ  "@read @hash @fast"
#define SLOW_READ  "@read @hash @slow"

static const struct command rows[] = {
    {NUMBER_HSET, "HSET", -4, PUT | COMMAND_EFFECT, 1, 1, 1, FAST_WRITE, "Set fields of a hash",
     "hash", "2.0.0", execute_hset, 0},
    {NUMBER_HMSET, "HMSET", -4, PUT, 1, 1, 1, FAST_WRITE, "Set fields of a hash and answer OK",
     "hash", "2.0.0", execute_hmset, 0},
    {NUMBER_HSETNX, "HSETNX", 4, PUT, 1, 1, 1, FAST_WRITE,
     "Set a field of a hash that does not have it", "hash", "2.0.0", execute_hsetnx, 0},
    {NUMBER_HDEL, "HDEL", -3, COMMAND_WRITE | COMMAND_FAST | COMMAND_EFFECT, 1, 1, 1, FAST_WRITE,
     "Remove fields of a hash, and with the last one the key", "hash", "2.0.0", execute_hdel, 0},
    {NUMBER_HINCRBY, "HINCRBY", 4, PUT, 1, 1, 1, FAST_WRITE,
     "Add to an integer in a field; an absent field counts as 0", "hash", "2.0.0", execute_hincrby,
     0},
    {NUMBER_HINCRBYFLOAT, "HINCRBYFLOAT", 4, PUT, 1, 1, 1, FAST_WRITE,
     "Add to a number with a fraction in a field; an absent field counts as 0", "hash", "2.6.0",
     execute_hincrbyfloat, 0},
    {NUMBER_HGET, "HGET", 3, FAST, 1, 1, 1, FAST_READ, "Answer the value of a field", "hash",
     "2.0.0", execute_hget, 0},
    {NUMBER_HMGET, "HMGET", -3, FAST, 1, 1, 1, FAST_READ, "Answer the values of many fields",
     "hash", "2.0.0", execute_hmget, 0},
    {NUMBER_HGETALL, "HGETALL", 2, COMMAND_READ, 1, 1, 1, SLOW_READ,
     "Answer all fields of a hash with their values", "hash", "2.0.0", execute_hgetall, 0},
    {NUMBER_HKEYS, "HKEYS", 2, COMMAND_READ, 1, 1, 1, SLOW_READ, "Answer all fields of a hash",
     "hash", "2.0.0", execute_hkeys, 0},
    {NUMBER_HVALS, "HVALS", 2, COMMAND_READ, 1, 1, 1, SLOW_READ, "Answer all values of a hash",
     "hash", "2.0.0", execute_hvals, 0},
    {NUMBER_HEXISTS, "HEXISTS", 3, FAST, 1, 1, 1, FAST_READ, "Answer whether a hash has a field",
     "hash", "2.0.0", execute_hexists, 0},
    {NUMBER_HLEN, "HLEN", 2, FAST, 1, 1, 1, FAST_READ, "Answer how many fields a hash has", "hash",
     "2.0.0", execute_hlen, 0},
    {NUMBER_HSTRLEN, "HSTRLEN", 3, FAST, 1, 1, 1, FAST_READ,
     "Answer how many bytes the value of a field has", "hash", "3.2.0", execute_hstrlen, 0},
};

struct command_family command_family_hash(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
