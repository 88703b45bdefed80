/* string.c - SET and its kin, GET and its kin, APPEND. */
#include "command/call.h"

/* ---- options of SET and GETEX ---- */

struct string_options {
    bool if_absent, if_present, get, keep, persist;
    struct expiry_amount expiry;
};

/* EX, PX, EXAT, PXAT with the amount behind it. One kind may be repeated, the last counts; two
 * kinds, or one beside KEEPTTL or PERSIST, are a mistake. */
static bool take_expiry_option(struct string_options *options, struct slice word,
                               const struct slice *next)
{
    struct expiry_amount expiry = {.text = next};
    if (slice_is_word(word, "EX"))
        expiry.seconds = true;
    else if (slice_is_word(word, "EXAT"))
        expiry.seconds = expiry.absolute = true;
    else if (slice_is_word(word, "PXAT"))
        expiry.absolute = true;
    else if (!slice_is_word(word, "PX"))
        return false;
    const struct expiry_amount *before = &options->expiry;
    if (!next || options->keep || options->persist ||
        (before->text &&
         (before->seconds != expiry.seconds || before->absolute != expiry.absolute)))
        return false;
    options->expiry = expiry;
    return true;
}

static bool take_set_flag(struct string_options *options, struct slice word)
{
    if (slice_is_word(word, "NX") && !options->if_present)
        options->if_absent = true;
    else if (slice_is_word(word, "XX") && !options->if_absent)
        options->if_present = true;
    else if (slice_is_word(word, "GET"))
        options->get = true;
    else if (slice_is_word(word, "KEEPTTL") && !options->expiry.text)
        options->keep = true;
    else
        return false;
    return true;
}

static bool take_getex_flag(struct string_options *options, struct slice word)
{
    if (!slice_is_word(word, "PERSIST") || options->expiry.text)
        return false;
    options->persist = true;
    return true;
}

static bool parse_options(struct command_call *call, size_t from,
                          bool (*take_flag)(struct string_options *, struct slice),
                          struct string_options *options)
{
    for (size_t i = from; i < call->count; i++) {
        const struct slice *next = i + 1 < call->count ? &call->arguments[i + 1] : NULL;
        if (take_flag(options, call->arguments[i]))
            continue;
        if (!take_expiry_option(options, call->arguments[i], next)) {
            command_fail_syntax(call);
            return false;
        }
        i++;
    }
    return true;
}

/* ---- SET ---- */

static void reply_string(struct command_call *call, const struct store_entry *entry)
{
    if (entry)
        reply_bulk(call->reply, store_entry_string(entry));
    else
        reply_null(call->reply);
}

/* The plain case, and the only one that followers meet often: no look before the write. */
static void set_plain(struct command_call *call, struct slice value)
{
    if (!command_can_change(call, 0))
        return;
    struct store_key key = command_key(call, 1);
    store_put_string(call->store, &key, value, 0);
    command_ship_string(call, key.bytes, value, 0);
    reply_ok(call->reply);
}

/* A deadline that has passed already is a deletion: nothing may be put that only a second entry
 * would take away again. */
static void put_or_remove(struct command_call *call, const struct store_key *key,
                          struct slice value, int64_t deadline_us)
{
    if (deadline_us && deadline_us <= call->now_us) {
        if (store_remove(call->store, key))
            command_ship_deletion(call, key->bytes);
        return;
    }
    store_put_string(call->store, key, value, deadline_us);
    command_ship_string(call, key->bytes, value, deadline_us);
}

/* `deadline_us` of the options, 0: none. True: the value was put (or removed as past). False: the
 * conditions did not hold, or an error or refusal; replies the old value when asked, nothing else.
 */
static bool set_value(struct command_call *call, struct slice value,
                      const struct string_options *options, int64_t deadline_us, bool *held)
{
    struct store_key key = command_key(call, 1);
    struct store_entry *entry = command_lookup(call, &key);
    *held = false;
    if (options->get && !command_lookup_typed(call, &key, STORE_STRING, &entry))
        return false;
    bool fits = entry ? !options->if_absent : !options->if_present;
    bool past = deadline_us && deadline_us <= call->now_us;
    bool changes = fits && (entry || !past);
    if (changes && !command_can_change(call, 0))
        return false;
    if (options->get)
        reply_string(call, entry);
    if (entry && options->keep)
        deadline_us = store_entry_deadline_us(entry);
    if (changes)
        put_or_remove(call, &key, value, deadline_us);
    *held = true;
    return fits;
}

static void execute_set(struct command_call *call)
{
    struct string_options options = {0};
    int64_t deadline_us = 0;
    bool held;
    if (call->count == 3) {
        set_plain(call, call->arguments[2]);
        return;
    }
    if (!parse_options(call, 3, take_set_flag, &options) ||
        !command_deadline(call, &options.expiry, &deadline_us))
        return;
    bool done = set_value(call, call->arguments[2], &options, deadline_us, &held);
    if (!held || options.get)
        return;
    if (done)
        reply_ok(call->reply);
    else
        reply_null(call->reply);
}

static void execute_setnx(struct command_call *call)
{
    const struct string_options options = {.if_absent = true};
    bool held, done = set_value(call, call->arguments[2], &options, 0, &held);
    if (held)
        reply_integer(call->reply, done);
}

static void set_for(struct command_call *call, bool seconds)
{
    const struct string_options options = {
        .expiry = {.text = &call->arguments[2], .seconds = seconds}};
    int64_t deadline_us = 0;
    bool held;
    if (!command_deadline(call, &options.expiry, &deadline_us))
        return;
    set_value(call, call->arguments[3], &options, deadline_us, &held);
    if (held)
        reply_ok(call->reply);
}

static void execute_setex(struct command_call *call)
{
    set_for(call, true);
}

static void execute_psetex(struct command_call *call)
{
    set_for(call, false);
}

static void execute_getset(struct command_call *call)
{
    const struct string_options options = {.get = true};
    bool held;
    set_value(call, call->arguments[2], &options, 0, &held);
}

/* Only in effects: key, value, raw deadline. */
static void execute_set_until(struct command_call *call)
{
    struct slice raw = call->arguments[3];
    int64_t deadline_us = raw.size == 8 ? (int64_t)load_u64(raw.at) : 0;
    if (deadline_us <= 0) {
        command_fail(call, "ERR deadline in an effect");
        return;
    }
    struct store_key key = command_key(call, 1);
    store_put_string(call->store, &key, call->arguments[2], deadline_us);
}

/* ---- many at once ---- */

static void put_pairs(struct command_call *call)
{
    for (size_t i = 1; i + 1 < call->count; i += 2) {
        struct store_key key = command_key(call, i);
        store_put_string(call->store, &key, call->arguments[i + 1], 0);
    }
    command_ship(call, NUMBER_MSET, call->arguments + 1, call->count - 1);
}

static void execute_mset(struct command_call *call)
{
    if (call->count % 2 == 0) {
        command_fail_arity(call);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    put_pairs(call);
    reply_ok(call->reply);
}

static void execute_msetnx(struct command_call *call)
{
    if (call->count % 2 == 0) {
        command_fail_arity(call);
        return;
    }
    for (size_t i = 1; i < call->count; i += 2) {
        struct store_key key = command_key(call, i);
        if (command_lookup(call, &key)) {
            reply_integer(call->reply, 0);
            return;
        }
    }
    if (!command_can_change(call, 0))
        return;
    put_pairs(call);
    reply_integer(call->reply, 1);
}

static void execute_mget(struct command_call *call)
{
    reply_array(call->reply, call->count - 1);
    for (size_t i = 1; i < call->count; i++) {
        struct store_key key = command_key(call, i);
        struct store_entry *entry = command_lookup(call, &key);
        if (entry && store_entry_type(entry) != STORE_STRING)
            entry = NULL;
        reply_string(call, entry);
    }
}

/* ---- reading ---- */

static bool lookup_string(struct command_call *call, struct store_key *key,
                          struct store_entry **entry)
{
    *key = command_key(call, 1);
    return command_lookup_typed(call, key, STORE_STRING, entry);
}

static void execute_get(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (lookup_string(call, &key, &entry))
        reply_string(call, entry);
}

static void execute_strlen(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (lookup_string(call, &key, &entry))
        reply_integer(call->reply, entry ? (int64_t)store_entry_string(entry).size : 0);
}

static void execute_getdel(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    if (!lookup_string(call, &key, &entry) || (entry && !command_can_change(call, 0)))
        return;
    reply_string(call, entry);
    if (entry && store_remove(call->store, &key))
        command_ship_deletion(call, key.bytes);
}

/* The new deadline of a living key: 0 takes it away, a past one the key. */
static void move_deadline(struct command_call *call, const struct store_key *key,
                          int64_t deadline_us)
{
    if (deadline_us && deadline_us <= call->now_us) {
        if (store_remove(call->store, key))
            command_ship_deletion(call, key->bytes);
    } else if (store_set_deadline(call->store, key, deadline_us)) {
        command_ship_deadline(call, key->bytes, deadline_us);
    }
}

static void execute_getex(struct command_call *call)
{
    struct string_options options = {0};
    struct store_key key;
    struct store_entry *entry;
    int64_t deadline_us = 0;
    if (!parse_options(call, 2, take_getex_flag, &options) || !lookup_string(call, &key, &entry))
        return;
    if (!entry) {
        reply_null(call->reply);
        return;
    }
    if (!command_deadline(call, &options.expiry, &deadline_us))
        return;
    bool changes = options.expiry.text || (options.persist && store_entry_deadline_us(entry));
    if (changes && !command_can_change(call, 0))
        return;
    reply_string(call, entry);
    if (changes)
        move_deadline(call, &key, deadline_us);
}

/* ---- APPEND ---- */

static void execute_append(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    struct slice more = call->arguments[2];
    if (!lookup_string(call, &key, &entry))
        return;
    size_t size = entry ? store_entry_string(entry).size : 0;
    if (!command_string_fits(call, size, more.size))
        return;
    if (!entry || more.size) {
        if (!command_can_change(call, 0))
            return;
        size = store_append_string(call->store, &key, more);
        command_ship_request(call);
    }
    reply_integer(call->reply, (int64_t)size);
}

/* ---- rows ---- */

#define WRITE  COMMAND_WRITE
#define READ   COMMAND_READ
#define FAST   COMMAND_FAST
#define OOM    COMMAND_DENY_OOM
#define EFFECT COMMAND_EFFECT

#define SLOW_WRITE "@write @string @slow"
#define FAST_WRITE "@write @string @fast"
#define FAST_READ  "@read @string @fast"

static const struct command rows[] = {
    {NUMBER_SET, "SET", -3, WRITE | OOM | EFFECT, 1, 1, 1, SLOW_WRITE,
     "Store a string, whatever the key held before, under conditions and with an expiry if asked",
     "string", "1.0.0", execute_set, 0},
    {NUMBER_SETNX, "SETNX", 3, WRITE | OOM | FAST, 1, 1, 1, FAST_WRITE,
     "Store a string where no key is", "string", "1.0.0", execute_setnx, 0},
    {NUMBER_SETEX, "SETEX", 4, WRITE | OOM, 1, 1, 1, SLOW_WRITE,
     "Store a string that expires after some seconds", "string", "2.0.0", execute_setex, 0},
    {NUMBER_PSETEX, "PSETEX", 4, WRITE | OOM, 1, 1, 1, SLOW_WRITE,
     "Store a string that expires after some milliseconds", "string", "2.6.0", execute_psetex, 0},
    {NUMBER_GETSET, "GETSET", 3, WRITE | OOM | FAST, 1, 1, 1, FAST_WRITE,
     "Store a string and answer what was there", "string", "1.0.0", execute_getset, 0},
    {NUMBER_GETDEL, "GETDEL", 2, WRITE | FAST, 1, 1, 1, FAST_WRITE,
     "Answer a string and delete its key", "string", "6.2.0", execute_getdel, 0},
    {NUMBER_GETEX, "GETEX", -2, WRITE | FAST, 1, 1, 1, FAST_WRITE,
     "Answer a string and change when its key expires", "string", "6.2.0", execute_getex, 0},
    {NUMBER_GET, "GET", 2, READ | FAST, 1, 1, 1, FAST_READ, "Answer the string of a key", "string",
     "1.0.0", execute_get, 0},
    {NUMBER_STRLEN, "STRLEN", 2, READ | FAST, 1, 1, 1, FAST_READ,
     "Answer how many bytes a string has", "string", "2.2.0", execute_strlen, 0},
    {NUMBER_APPEND, "APPEND", 3, WRITE | OOM | FAST | EFFECT, 1, 1, 1, FAST_WRITE,
     "Add bytes at the end of a string", "string", "2.0.0", execute_append, 0},
    {NUMBER_MGET, "MGET", -2, READ | FAST | COMMAND_PARTITIONS, 1, -1, 1, FAST_READ,
     "Answer the strings of many keys", "string", "1.0.0", execute_mget, 0},
    {NUMBER_MSET, "MSET", -3, WRITE | OOM | EFFECT, 1, -1, 2, SLOW_WRITE,
     "Store many strings as one change", "string", "1.0.1", execute_mset, 0},
    {NUMBER_MSETNX, "MSETNX", -3, WRITE | OOM, 1, -1, 2, SLOW_WRITE,
     "Store many strings as one change, if none of the keys is there", "string", "1.0.1",
     execute_msetnx, 0},
    {NUMBER_SET_UNTIL, "_SETUNTIL", 4, WRITE | COMMAND_INTERNAL | EFFECT, 1, 1, 1, SLOW_WRITE,
     "A string with its absolute deadline", "string", "1.0.0", execute_set_until, 0},
};

struct command_family command_family_string(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
