/* effect.c - what a command did, as bytes of a log entry, and back into a store.
 *
 *     varint   count of commands, 1 ..
 *     command: varint number · u8 database · varint argument count · arguments
 *     argument: varint size · bytes
 *
 * Valid: 1. the count is met exactly by the bytes. 2. every number is known and its row has
 * COMMAND_EFFECT. 3. database < STORE_DATABASES. 4. the argument count, with the name, fits the
 * arity. 5. no argument is larger than a value may be. Versions: numbers and arguments of a row
 * never change their meaning; a new meaning takes a new number. */
#include "base/memory.h"
#include "command/call.h"

#include <assert.h>

#define ARGUMENTS_INLINE 32

/* ---- writing ---- */

void effect_add(struct effect *effect, uint16_t number, uint8_t database,
                const struct slice *arguments, size_t count)
{
    size_t size = 3 * VARINT_SIZE_MAX + 1;
    for (size_t i = 0; i < count; i++)
        size += VARINT_SIZE_MAX + arguments[i].size;
    enum status status = buffer_reserve(effect->out, size);
    assert(!status); /* whoever changes asks for the room first: command_can_change */
    uint8_t *at = effect->out->at + effect->out->size;
    at += varint_store(at, number);
    *at++ = database;
    at += varint_store(at, count);
    for (size_t i = 0; i < count; i++) {
        at += varint_store(at, arguments[i].size);
        if (arguments[i].size)
            memcpy(at, arguments[i].at, arguments[i].size);
        at += arguments[i].size;
    }
    effect->out->size = (size_t)(at - effect->out->at);
    effect->count++;
}

size_t effect_count_store(const struct effect *effect, uint8_t at[VARINT_SIZE_MAX])
{
    assert(effect->count > 0);
    return varint_store(at, effect->count);
}

/* ---- reading ---- */

struct effect_reader {
    const struct command_table *table;
    struct slice rest;
    uint64_t left;

    const struct command *command;
    uint8_t database;
    struct slice *arguments; /* [0] is the name; `inlined` or owned */
    size_t count, capacity;
    struct slice inlined[ARGUMENTS_INLINE];
};

static enum status reader_init(struct effect_reader *reader, const struct command_table *table,
                               struct slice payload)
{
    reader->table = table;
    reader->rest = payload;
    reader->left = 0;
    reader->arguments = reader->inlined;
    reader->capacity = ARGUMENTS_INLINE;
    enum status status = varint_take(&reader->rest, &reader->left);
    return !status && reader->left ? STATUS_OK : STATUS_INVALID;
}

static void reader_deinit(struct effect_reader *reader)
{
    if (reader->arguments != reader->inlined)
        memory_free(reader->arguments);
}

/* The count has been checked against the bytes that are there: an argument takes one at least. */
static void reserve_arguments(struct effect_reader *reader, size_t count)
{
    if (count <= reader->capacity)
        return;
    reader_deinit(reader);
    reader->arguments = memory_allocate(count * sizeof *reader->arguments);
    reader->capacity = count;
}

static enum status take_argument(struct effect_reader *reader, struct slice *argument)
{
    uint64_t size;
    if (varint_take(&reader->rest, &size) || size > STORE_VALUE_SIZE_MAX)
        return STATUS_INVALID;
    return slice_take(&reader->rest, (size_t)size, argument);
}

static enum status take_row(struct effect_reader *reader, uint64_t *arguments)
{
    uint64_t number;
    struct slice database;
    if (varint_take(&reader->rest, &number) || slice_take(&reader->rest, 1, &database) ||
        varint_take(&reader->rest, arguments))
        return STATUS_INVALID;
    reader->command = command_by_number(reader->table, number);
    reader->database = database.at[0];
    if (!reader->command || !(reader->command->flags & COMMAND_EFFECT) ||
        reader->database >= STORE_DATABASES || *arguments > RESP_ARGUMENTS_MAX ||
        *arguments > reader->rest.size ||
        !command_arity_fits(reader->command, (size_t)*arguments + 1))
        return STATUS_INVALID;
    return STATUS_OK;
}

/* OK: the next command; END: all were there and nothing else; INVALID. */
static enum status reader_next(struct effect_reader *reader)
{
    uint64_t arguments;
    if (!reader->left)
        return reader->rest.size ? STATUS_INVALID : STATUS_END;
    if (take_row(reader, &arguments))
        return STATUS_INVALID;
    reader->count = (size_t)arguments + 1;
    reserve_arguments(reader, reader->count);
    reader->arguments[0] = slice_of_text(reader->command->name);
    for (size_t i = 1; i < reader->count; i++)
        if (take_argument(reader, &reader->arguments[i]))
            return STATUS_INVALID;
    reader->left--;
    return STATUS_OK;
}

enum status command_check(const struct command_table *table, struct slice payload)
{
    struct effect_reader reader;
    enum status status = reader_init(&reader, table, payload);
    while (!status)
        status = reader_next(&reader);
    reader_deinit(&reader);
    return status == STATUS_END ? STATUS_OK : STATUS_INVALID;
}

enum status command_effect_each(const struct command_table *table, struct slice payload,
                                void (*each)(void *owner, const struct command *command,
                                             uint8_t database, const struct slice *arguments,
                                             size_t count),
                                void *owner)
{
    struct effect_reader reader;
    enum status status = reader_init(&reader, table, payload);
    while (!status) {
        status = reader_next(&reader);
        if (!status)
            each(owner, reader.command, reader.database, reader.arguments, reader.count);
    }
    reader_deinit(&reader);
    return status == STATUS_END ? STATUS_OK : STATUS_INVALID;
}

/* COMMAND-1: the rows run as they did on the leader. An error there cannot be: the leader shipped
 * what had succeeded; if one is met, the stores differed before. */
static enum status apply_row(const struct effect_reader *reader, struct store *store,
                             int64_t time_us)
{
    struct command_call call = {.table = reader->table,
                                .command = reader->command,
                                .store = store,
                                .database = reader->database,
                                .now_us = time_us,
                                .arguments = reader->arguments,
                                .count = reader->count,
                                .may_write = true};
    call.command->execute(&call);
    return call.failed ? STATUS_INVALID : STATUS_OK;
}

enum status command_apply(const struct command_table *table, struct store *store,
                          struct slice payload, int64_t time_us)
{
    struct effect_reader reader;
    enum status status = reader_init(&reader, table, payload);
    while (!status) {
        status = reader_next(&reader);
        if (!status)
            status = apply_row(&reader, store, time_us);
    }
    reader_deinit(&reader);
    return status == STATUS_END ? STATUS_OK : STATUS_INVALID;
}

/* ---- keys ---- */

struct key_hashes {
    uint64_t *at;
    size_t max, count;
    bool whole;
};

static void collect_hashes(const struct effect_reader *reader, const struct store *store,
                           struct key_hashes *hashes)
{
    size_t at = 0;
    if (reader->command->flags & COMMAND_WHOLE)
        hashes->whole = true;
    while ((at = command_next_key(reader->command, reader->arguments, reader->count, at)) != 0) {
        if (hashes->count == hashes->max) {
            hashes->whole = true;
            return;
        }
        struct store_key key = store_key_of(reader->database, reader->arguments[at]);
        hashes->at[hashes->count++] = store_key_hash(store, &key);
    }
}

enum status command_effect_keys(const struct command_table *table, const struct store *store,
                                struct slice payload, uint64_t *hashes, size_t max, size_t *count,
                                bool *whole)
{
    struct effect_reader reader;
    struct key_hashes found = {.at = hashes, .max = max};
    enum status status = reader_init(&reader, table, payload);
    while (!status) {
        status = reader_next(&reader);
        if (!status)
            collect_hashes(&reader, store, &found);
    }
    reader_deinit(&reader);
    if (status != STATUS_END)
        return STATUS_INVALID;
    *count = found.count;
    *whole = found.whole;
    return STATUS_OK;
}

bool command_effect_guess_key(struct slice payload, struct store_key *key)
{
    uint64_t commands, number, arguments, size;
    struct slice database, bytes;
    if (varint_take(&payload, &commands) || varint_take(&payload, &number) ||
        slice_take(&payload, 1, &database) || varint_take(&payload, &arguments) || !arguments ||
        varint_take(&payload, &size) || slice_take(&payload, (size_t)size, &bytes))
        return false;
    *key = store_key_of(database.at[0], bytes);
    return true;
}

/* ---- active expiry ---- */

size_t command_expire(const struct command_table *table, struct store *store, int64_t now_us,
                      size_t max, struct effect *effect)
{
    struct command_call call = {
        .table = table, .store = store, .now_us = now_us, .effect = effect, .may_write = true};
    for (size_t removed = 0; removed < max; removed++) {
        struct store_key key;
        if (store_next_deadline_us(store) > now_us || !store_find_expired(store, now_us, &key, 1))
            return removed;
        call.database = key.database;
        if (!command_remove_expired(&call, &key))
            return removed;
    }
    return max;
}
