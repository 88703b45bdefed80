/* Recording, and the arithmetic of values. */
#include "sim/history.h"

#include "base/memory.h"

#include <assert.h>

#define HASH_STEP 0x9e3779b97f4a7c15ull

struct history *history_create(void)
{
    return memory_zeroed(1, sizeof(struct history));
}

void history_destroy(struct history *history)
{
    if (!history)
        return;
    for (uint32_t i = 0; i < history->key_count; i++)
        memory_free(history->keys[i].operations);
    memory_free(history);
}

static uint32_t add_key(struct history *history, enum key_kind kind, unsigned space)
{
    static const char letters[] = "scltp";
    assert(history->key_count < HISTORY_KEYS_MAX);
    struct history_key *key = &history->keys[history->key_count];
    key->kind = kind;
    key->space = space;
    key->life = history->lives[space];
    snprintf(key->name, sizeof key->name, "%c%u", letters[kind], history->names[space]++);
    return history->key_count++;
}

void history_add_slot(struct history *history, enum key_kind kind, unsigned space)
{
    assert(history->slot_count < HISTORY_SLOTS_MAX && space < HISTORY_SPACES_MAX);
    history->slots[history->slot_count++] = add_key(history, kind, space);
}

unsigned history_space_of_slot(const struct history *history, uint32_t slot)
{
    return history->keys[history->slots[slot]].space;
}

void history_begin_life(struct history *history, unsigned space, unsigned life)
{
    history->lives[space] = life;
    history->names[space] = 0;
    for (uint32_t slot = 0; slot < history->slot_count; slot++) {
        struct history_key *key = &history->keys[history->slots[slot]];
        if (key->space != space || history->key_count == HISTORY_KEYS_MAX)
            continue;
        key->retired = true;
        history->slots[slot] = add_key(history, key->kind, space);
    }
}

uint32_t history_key_of_slot(struct history *history, uint32_t slot)
{
    struct history_key *key = &history->keys[history->slots[slot]];
    bool used_up = key->count >= HISTORY_KEY_LENGTH || key->unknown >= HISTORY_UNKNOWNS;
    if (used_up && history->key_count < HISTORY_KEYS_MAX) {
        key->retired = true;
        history->slots[slot] = add_key(history, key->kind, key->space);
    }
    return history->slots[slot];
}

/* The newest operation of the same connection on this key that is still to be answered. */
static uint32_t previous_of(const struct history_key *key, uint16_t connection)
{
    for (uint32_t i = key->count; i-- > 0;)
        if (key->operations[i].connection == connection)
            return i + 1;
    return 0;
}

struct operation_id history_invoke(struct history *history, uint32_t at,
                                   const struct operation *draft, uint64_t now_ns)
{
    struct history_key *key = &history->keys[at];
    if (key->count == key->capacity) {
        key->capacity = key->capacity ? 2 * key->capacity : 64;
        key->operations = memory_resize(key->operations, key->capacity * sizeof *key->operations);
    }
    struct operation *operation = &key->operations[key->count];
    *operation = *draft;
    operation->outcome = OUTCOME_PENDING;
    operation->invoked = ++history->happenings;
    operation->invoked_ns = now_ns;
    operation->returned = operation->returned_ns = HISTORY_NEVER;
    operation->after = previous_of(key, draft->connection);
    return (struct operation_id){at, key->count++};
}

struct operation *history_operation(struct history *history, struct operation_id id)
{
    return &history->keys[id.key].operations[id.operation];
}

bool operation_writes(enum operation_kind kind)
{
    return kind != OPERATION_GET && kind != OPERATION_RANGE;
}

void history_return(struct history *history, struct operation_id id, enum operation_outcome outcome,
                    const struct value *result, uint64_t now_ns)
{
    struct operation *operation = history_operation(history, id);
    assert(operation->outcome == OUTCOME_PENDING);
    operation->outcome = outcome;
    if (outcome == OUTCOME_UNKNOWN) {
        history->keys[id.key].unknown += operation_writes(operation->kind);
        history->unknown++;
        return;
    }
    operation->returned = ++history->happenings;
    operation->returned_ns = now_ns;
    history->done += outcome == OUTCOME_DONE;
    history->refused += outcome == OUTCOME_REFUSED;
    if (outcome == OUTCOME_DONE)
        operation->result = *result;
}

/* ---- values ---- */

struct value value_of_string(struct slice bytes)
{
    struct value value = {.present = true, .length = bytes.size};
    for (size_t i = 0; i < bytes.size; i++)
        value.number = value.number * HASH_STEP + bytes.at[i] + 1;
    return value;
}

struct value value_of_number(uint64_t number)
{
    return (struct value){.present = true, .number = number};
}

static uint64_t step_power(uint64_t exponent)
{
    uint64_t result = 1, base = HASH_STEP;
    for (; exponent; exponent >>= 1, base *= base)
        if (exponent & 1)
            result *= base;
    return result;
}

struct value value_append(struct value value, struct value more)
{
    return (struct value){.present = true,
                          .number = value.number * step_power(more.length) + more.number,
                          .length = value.length + more.length};
}

struct value value_push(struct value list, struct value element)
{
    return (struct value){.present = true,
                          .number = list.number * HASH_STEP + (element.number ^ element.length),
                          .length = list.length + 1};
}

bool value_equal(struct value a, struct value b)
{
    if (!a.present || !b.present)
        return a.present == b.present;
    return a.number == b.number && a.length == b.length;
}

/* ---- for people ---- */

static void print_value(const char *name, struct value value, FILE *out)
{
    if (value.present)
        fprintf(out, " %s=%016llx/%llu", name, (unsigned long long)value.number,
                (unsigned long long)value.length);
    else
        fprintf(out, " %s=absent", name);
}

void history_print_key(const struct history_key *key, FILE *out)
{
    static const char *const kinds[] = {"SET", "SET NX", "SET XX", "SET GET", "GET",    "DEL",
                                        "ADD", "APPEND", "PUSH",   "RANGE",   "EXPIRE", "CAS"};
    static const char *const outcomes[] = {"pending", "done", "refused", "unknown"};
    fprintf(out, "key %s of keyspace %u, life %u\n", key->name, key->space, key->life);
    for (uint32_t i = 0; i < key->count; i++) {
        const struct operation *operation = &key->operations[i];
        fprintf(out, "%4u %10.3f ms .. ", i, (double)operation->invoked_ns / 1e6);
        if (operation->returned_ns == HISTORY_NEVER)
            fprintf(out, "      never");
        else
            fprintf(out, "%10.3f ms", (double)operation->returned_ns / 1e6);
        fprintf(out, " connection %2u node %u %-7s %-7s", operation->connection, operation->node,
                kinds[operation->kind], outcomes[operation->outcome]);
        if (operation_writes(operation->kind))
            print_value("argument", operation->argument, out);
        if (operation->kind == OPERATION_CAS)
            print_value("expected", operation->expected, out);
        if (operation->outcome == OUTCOME_DONE)
            print_value("result", operation->result, out);
        if (operation->ttl_ns)
            fprintf(out, " ttl %llu ms", (unsigned long long)(operation->ttl_ns / 1000000));
        fprintf(out, "\n");
    }
}
