#include "command/call.h"

#include <assert.h>

/* Behind every argument of an effect stands at most a size; in front of a command stand number,
 * database and count. Every family ships at most one command for each argument. */
#define ARGUMENT_OVERHEAD (2 * VARINT_SIZE_MAX)
#define EFFECT_OVERHEAD   64

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
    command_fail(call, "WRONGTYPE Operation against a key holding the wrong kind of value");
    return false;
}

const char *command_type_name(enum store_type type)
{
    switch (type) {
    case STORE_STRING: return "string";
    case STORE_LIST: return "list";
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

void command_fail(struct command_call *call, const char *error)
{
    call->failed = true;
    reply_error(call->reply, "%s", error);
}

void command_fail_syntax(struct command_call *call)
{
    command_fail(call, "ERR syntax error");
}

/* Error texts name the command in lower case, as it stands in Redis' table. */
static void fail_naming(struct command_call *call, const char *format_head, const char *format_tail)
{
    char name[32];
    size_t size = 0;
    for (const char *from = call->command->name; *from && size < sizeof name - 1; from++)
        name[size++] = (char)(*from >= 'A' && *from <= 'Z' ? *from + 32 : *from);
    name[size] = '\0';
    call->failed = true;
    reply_error(call->reply, "%s'%s'%s", format_head, name, format_tail);
}

void command_fail_arity(struct command_call *call)
{
    fail_naming(call, "ERR wrong number of arguments for ", " command");
}

void command_fail_expire_time(struct command_call *call)
{
    fail_naming(call, "ERR invalid expire time in ", " command");
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

bool command_remove_expired(struct command_call *call, const struct store_key *key)
{
    if (!call->may_write) {
        call->refused = true;
        return false;
    }
    if (!reserve_effect(call, key->bytes.size + ARGUMENT_OVERHEAD + EFFECT_OVERHEAD))
        return false;
    command_ship_deletion(call, key->bytes);
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
    size_t first, step;
    size_t count = command_keys(call->command, call->count, &first, &step);
    for (size_t i = 0; i < count; i++) {
        struct store_key key = command_key(call, first + i * step);
        struct store_entry *entry = store_find(call->store, &key);
        if (entry && command_is_past(call, entry) && !command_remove_expired(call, &key))
            return false;
    }
    return true;
}

/* COMMAND-3: time and place come with the call; a row has nothing else to ask. */
void command_execute(struct command_call *call)
{
    const struct command *command = call->command;
    assert(command->execute && call->reply);
    assert(call->effect || !(command->flags & COMMAND_WRITE));
    assert(command_arity_fits(command, call->count) && call->database < STORE_DATABASES);
    call->refused = call->failed = false;
    if (call->effect && store_next_deadline_us(call->store) <= call->now_us &&
        !remove_expired_keys(call))
        return;
    command->execute(call);
}
