#include "command/call.h"
#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>

/* Behind every argument of an effect stands at most a size; in front of a command stand number,
 * database and count. Every family ships at most one command for each argument. */
#define ARGUMENT_OVERHEAD (2 * VARINT_SIZE_MAX)
#define EFFECT_OVERHEAD   64

/* Items in one command of an effect; even, so that pairs stay together. */
#define ITEMS_MAX (64u << 10)
_Static_assert(ITEMS_MAX % 2 == 0 && ITEMS_MAX < RESP_ARGUMENTS_MAX, "as a request may have");

struct store_entry *command_lookup(const struct command_call *call, const struct store_key *key)
{
    struct store_entry *entry = store_find(call->store, key);
    if (entry && call->reply && command_is_past(call, entry))
        return NULL;
    return entry;
}

bool command_lookup_typed(struct command_call *call, const struct store_key *key,
                          enum store_type type, struct store_entry **entry)
{
    *entry = command_lookup(call, key);
    if (!*entry || store_entry_type(*entry) == type)
        return true;
    command_fail_type(call);
    return false;
}

bool command_lookup_unnamed(struct command_call *call, const struct store_key *key,
                            struct store_entry **entry)
{
    *entry = store_find(call->store, key);
    if (!*entry || !call->reply || !command_is_past(call, *entry))
        return true;
    *entry = NULL;
    return !call->effect || command_remove_expired(call, key);
}

const char *command_type_name(enum store_type type)
{
    switch (type) {
    case STORE_STRING: return "string";
    case STORE_LIST: return "list";
    case STORE_HASH: return "hash";
    case STORE_SET: return "set";
    case STORE_SORTED_SET: return "zset";
    }
    return "none";
}

bool command_integer(struct command_call *call, size_t argument, int64_t *value)
{
    if (!slice_to_i64(call->arguments[argument], value))
        return true;
    command_fail(call, "ERR value is not an integer or out of range");
    return false;
}

bool command_integer_between(struct command_call *call, size_t argument, int64_t low, int64_t high,
                             const char *error, int64_t *value)
{
    bool is_integer = !slice_to_i64(call->arguments[argument], value);
    if (is_integer && *value >= low && *value <= high)
        return true;
    if (error || !is_integer) {
        command_fail(call, error ? error : "ERR value is not an integer or out of range");
        return false;
    }
    call->failed = true;
    reply_error(call->reply,
                "ERR value is out of range, value must between %" PRId64 " and %" PRId64, low,
                high);
    return false;
}

bool command_amount(struct command_call *call, size_t argument, int64_t *value)
{
    return command_integer_between(call, argument, 0, INT64_MAX,
                                   "ERR value is out of range, must be positive", value);
}

/* Only the count may follow, once. */
static bool take_pop_count(struct command_call *call, size_t from, int64_t *count)
{
    bool counted = from + 1 < call->count && slice_is_word(call->arguments[from], "COUNT");
    if (counted && !command_integer_between(call, from + 1, 1, INT64_MAX,
                                            "ERR count should be greater than 0", count))
        return false;
    if (from + (counted ? 2 : 0) == call->count)
        return true;
    command_fail_syntax(call);
    return false;
}

bool command_take_pop(struct command_call *call, const char *first, const char *second,
                      struct command_pop *pop)
{
    int64_t keys;
    if (!command_integer_between(call, 1, 1, INT64_MAX, "ERR numkeys should be greater than 0",
                                 &keys))
        return false;
    if ((uint64_t)keys >= call->count - 2) {
        command_fail_syntax(call);
        return false;
    }
    size_t word = 2 + (size_t)keys;
    *pop = (struct command_pop){.keys = (size_t)keys, .count = 1};
    pop->at_second = slice_is_word(call->arguments[word], second);
    if (!pop->at_second && !slice_is_word(call->arguments[word], first)) {
        command_fail_syntax(call);
        return false;
    }
    return take_pop_count(call, word + 1, &pop->count);
}

bool command_span(int64_t first, int64_t last, size_t length, size_t *from, size_t *count)
{
    int64_t end = (int64_t)length;
    if (first < 0)
        first = first + end < 0 ? 0 : first + end;
    if (last < 0)
        last += end;
    if (last >= end)
        last = end - 1;
    if (first > last)
        return false;
    *from = (size_t)first;
    *count = (size_t)(last - first) + 1;
    return true;
}

bool command_text_span(int64_t first, int64_t last, size_t length, size_t *from, size_t *count)
{
    if (last < 0)
        last = last + (int64_t)length < 0 ? 0 : last + (int64_t)length;
    return command_span(first, last, length, from, count);
}

bool command_string_fits(struct command_call *call, uint64_t offset, uint64_t size)
{
    uint64_t limit = call->value_size_max ? call->value_size_max : STORE_VALUE_SIZE_MAX;
    if (offset <= limit && size <= limit - offset)
        return true;
    command_fail(call, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

void command_fail(struct command_call *call, const char *error)
{
    call->failed = true;
    reply_error(call->reply, "%s", error);
}

void command_fail_syntax(struct command_call *call)
{
    command_fail(call, "ERR syntax error");
}

void command_fail_type(struct command_call *call)
{
    command_fail(call, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

/* Error texts name the command in lower case, as it stands in Redis' table. */
void command_fail_naming(struct command_call *call, const char *head, const char *tail)
{
    char name[32];
    size_t size = 0;
    for (const char *from = call->command->name; *from && size < sizeof name - 1; from++)
        name[size++] = (char)(*from >= 'A' && *from <= 'Z' ? *from + 32 : *from);
    name[size] = '\0';
    call->failed = true;
    reply_error(call->reply, "%s'%s'%s", head, name, tail);
}

void command_fail_arity(struct command_call *call)
{
    command_fail_naming(call, "ERR wrong number of arguments for ", " command");
}

void command_fail_expire_time(struct command_call *call)
{
    command_fail_naming(call, "ERR invalid expire time in ", " command");
}

static bool reserve_effect(struct command_call *call, size_t size)
{
    if (!buffer_reserve(call->effect->out, size))
        return true;
    command_fail(call, "ERR the command is too large for one log entry");
    return false;
}

bool command_can_change(struct command_call *call, size_t more)
{
    if (!call->effect)
        return true; /* COMMAND-2: only behind this question is anything shipped */
    if (!call->may_write) {
        call->refused = true;
        return false;
    }
    size_t size = more + EFFECT_OVERHEAD + call->count * ARGUMENT_OVERHEAD;
    for (size_t i = 1; i < call->count; i++)
        size += call->arguments[i].size;
    return reserve_effect(call, size);
}

void command_note_unchanged(struct command_call *call)
{
    if (!call->reply)
        call->failed = true;
}

void command_reply_unchanged(struct command_call *call, int64_t value)
{
    command_note_unchanged(call);
    reply_integer(call->reply, value);
}

void command_ship(struct command_call *call, uint16_t number, const struct slice *arguments,
                  size_t count)
{
    if (call->effect)
        effect_add(call->effect, number, call->database, arguments, count);
}

void command_ship_request(struct command_call *call)
{
    command_ship(call, call->command->number, call->arguments + 1, call->count - 1);
}

void command_ship_deletion(struct command_call *call, struct slice key)
{
    command_ship(call, NUMBER_DEL, &key, 1);
}

void command_ship_string(struct command_call *call, struct slice key, struct slice value,
                         int64_t deadline_us)
{
    uint8_t raw[8];
    store_u64(raw, (uint64_t)deadline_us);
    struct slice arguments[3] = {key, value, slice_of(raw, sizeof raw)};
    if (deadline_us)
        command_ship(call, NUMBER_SET_UNTIL, arguments, 3);
    else
        command_ship(call, NUMBER_SET, arguments, 2);
}

void command_ship_deadline(struct command_call *call, struct slice key, int64_t deadline_us)
{
    uint8_t raw[8];
    store_u64(raw, (uint64_t)deadline_us);
    struct slice arguments[2] = {key, slice_of(raw, sizeof raw)};
    command_ship(call, NUMBER_DEADLINE, arguments, 2);
}

void command_ship_items(struct command_call *call, uint16_t number, struct slice key,
                        const struct slice *items, size_t count)
{
    if (!call->effect)
        return;
    size_t part_max = count < ITEMS_MAX ? count : ITEMS_MAX;
    struct slice *arguments = memory_allocate((part_max + 1) * sizeof *arguments);
    arguments[0] = key;
    for (size_t i = 0; i < count; i += part_max) {
        size_t part = count - i < part_max ? count - i : part_max;
        memcpy(arguments + 1, items + i, part * sizeof *items);
        command_ship(call, number, arguments, part + 1);
    }
    memory_free(arguments);
}

size_t command_items_size(struct slice key, const struct slice *items, size_t count)
{
    size_t commands = count / ITEMS_MAX + 1;
    size_t size = commands * (key.size + EFFECT_OVERHEAD) + count * VARINT_SIZE_MAX;
    for (size_t i = 0; i < count; i++)
        size += items[i].size;
    return size;
}

void command_remove_members(struct command_call *call, const struct store_key *key,
                            const struct store_entry *entry)
{
    int64_t removed = 0;
    if (!command_can_change(call, 0))
        return;
    /* With its last member the key goes, and another one cannot come in between. */
    for (size_t i = 2, left = store_member_count(entry); i < call->count && left; i++) {
        bool there = store_member_remove(call->store, key, call->arguments[i]);
        removed += there;
        left -= there;
    }
    command_ship_request(call);
    reply_integer(call->reply, removed);
}

bool command_remove_expired(struct command_call *call, const struct store_key *key)
{
    if (!call->may_write) {
        call->refused = true;
        return false;
    }
    if (!reserve_effect(call, key->bytes.size + ARGUMENT_OVERHEAD + EFFECT_OVERHEAD))
        return false;
    effect_add(call->effect, NUMBER_DEL, key->database, &key->bytes, 1);
    /* The key may point into the entry that goes: its copy stands at the end of the effect. */
    const struct buffer *out = call->effect->out;
    struct store_key copy = *key;
    copy.bytes.at = out->at + out->size - key->bytes.size;
    return store_remove(call->store, &copy);
}

/* A key past its deadline is gone when its deletion is in the log, not when somebody looks at the
 * clock: a later leader may have an earlier one. Hence the deletion in front, for reads too, and
 * all of it before the command itself, which then meets living keys only (COMMAND-5). */
static bool remove_expired_keys(struct command_call *call)
{
    size_t at = 0;
    while ((at = command_next_key(call->command, call->arguments, call->count, at)) != 0) {
        struct store_key key = command_key(call, at);
        struct store_entry *entry = store_find(call->store, &key);
        if (entry && command_is_past(call, entry) && !command_remove_expired(call, &key))
            return false;
    }
    return true;
}

void command_run(struct command_call *call)
{
    if (call->effect && store_next_deadline_us(call->store) <= call->now_us &&
        !remove_expired_keys(call))
        return;
    call->command->execute(call);
}

/* COMMAND-3: time and place come with the call; a row has nothing else to ask. */
void command_execute(struct command_call *call)
{
    const struct command *command = call->command;
    assert(command->execute && call->reply);
    assert(call->effect || !(command->flags & COMMAND_WRITE));
    assert(command_arity_fits(command, call->count) && call->database < STORE_DATABASES);
    call->refused = call->failed = false;
    if (call->once)
        command_execute_once(call);
    else
        command_run(call);
}
