/* counter.c - strings read as numbers. An integer ships as the step, which is deterministic; a
 * float ships as its result, because the arithmetic of another machine may differ. */
#include "command/call.h"

#include <math.h>

static void add_to_key(struct command_call *call, int64_t step)
{
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    int64_t value = 0;
    char text[21], step_text[21];
    if (!command_lookup_typed(call, &key, STORE_STRING, &entry))
        return;
    if (entry && slice_to_i64(store_entry_string(entry), &value)) {
        command_fail(call, "ERR value is not an integer or out of range");
        return;
    }
    if (__builtin_add_overflow(value, step, &value)) {
        command_fail(call, "ERR increment or decrement would overflow");
        return;
    }
    if (!command_can_change(call, sizeof step_text))
        return;
    int64_t deadline_us = entry ? store_entry_deadline_us(entry) : 0;
    store_put_string(call->store, &key, slice_of(text, text_of_i64(value, text)), deadline_us);
    struct slice shipped[2] = {key.bytes, slice_of(step_text, text_of_i64(step, step_text))};
    command_ship(call, NUMBER_INCRBY, shipped, 2);
    reply_integer(call->reply, value);
}

static void execute_incr(struct command_call *call)
{
    add_to_key(call, 1);
}

static void execute_decr(struct command_call *call)
{
    add_to_key(call, -1);
}

static void execute_incrby(struct command_call *call)
{
    int64_t step;
    if (command_integer(call, 2, &step))
        add_to_key(call, step);
}

static void execute_decrby(struct command_call *call)
{
    int64_t step;
    if (!command_integer(call, 2, &step))
        return;
    if (step == INT64_MIN) {
        command_fail(call, "ERR decrement would overflow");
        return;
    }
    add_to_key(call, -step);
}

/* ---- floats ---- */

static void execute_incrbyfloat(struct command_call *call)
{
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    long double value = 0, step;
    char text[COMMAND_FLOAT_TEXT_MAX];
    if (!command_lookup_typed(call, &key, STORE_STRING, &entry))
        return;
    if ((entry && !command_read_float(store_entry_string(entry), &value)) ||
        !command_read_float(call->arguments[2], &step)) {
        command_fail(call, "ERR value is not a valid float");
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
    int64_t deadline_us = entry ? store_entry_deadline_us(entry) : 0;
    store_put_string(call->store, &key, result, deadline_us);
    command_ship_string(call, key.bytes, result, deadline_us);
    reply_bulk(call->reply, result);
}

/* ---- rows ---- */

#define FLAGS      (COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST)
#define CATEGORIES "@write @string @fast"

static const struct command rows[] = {
    {NUMBER_INCR, "INCR", 2, FLAGS, 1, 1, 1, CATEGORIES, "Add one to an integer", "string", "1.0.0",
     execute_incr, 0},
    {NUMBER_DECR, "DECR", 2, FLAGS, 1, 1, 1, CATEGORIES, "Take one from an integer", "string",
     "1.0.0", execute_decr, 0},
    {NUMBER_INCRBY, "INCRBY", 3, FLAGS | COMMAND_EFFECT, 1, 1, 1, CATEGORIES,
     "Add to an integer; an absent key counts as 0", "string", "1.0.0", execute_incrby, 0},
    {NUMBER_DECRBY, "DECRBY", 3, FLAGS, 1, 1, 1, CATEGORIES,
     "Take from an integer; an absent key counts as 0", "string", "1.0.0", execute_decrby, 0},
    {NUMBER_INCRBYFLOAT, "INCRBYFLOAT", 3, FLAGS, 1, 1, 1, CATEGORIES,
     "Add to a number with a fraction; an absent key counts as 0", "string", "2.6.0",
     execute_incrbyfloat, 0},
};

struct command_family command_family_counter(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
