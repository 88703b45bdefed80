/* history.h - what the simulated clients did and saw, key by key.
 *
 * An operation has a beginning and an end in the one order of all happenings of a run. Its outcome:
 * DONE (the reply is known), REFUSED (the server promised that it had and will have no effect; it
 * is left out of the history, so that an effect of it makes the history impossible), UNKNOWN (it
 * may take effect at any later time, or never).
 *
 * Values are kept as rolling hashes, which APPEND and RPUSH can lengthen without the bytes. */
#ifndef HOLDFAST_SIM_HISTORY_H
#define HOLDFAST_SIM_HISTORY_H

#include "base/bytes.h"

#include <stdio.h>

#define HISTORY_NEVER      UINT64_MAX
#define HISTORY_KEYS_MAX   4096
#define HISTORY_NAME_SIZE  16
#define HISTORY_SLOTS_MAX  24
#define HISTORY_SPACES_MAX 4   /* keyspaces, numbered from 0 */
#define HISTORY_KEY_LENGTH 120 /* operations before a key is retired for a fresh one */
#define HISTORY_UNKNOWNS   5   /* the same for writes of unknown fate: they make checking hard */

enum key_kind {
    KEY_STRING,  /* SET in its forms, APPEND, GET, DEL */
    KEY_COUNTER, /* INCRBY, SET, GET, DEL */
    KEY_LIST,    /* RPUSH, LRANGE, DEL */
    KEY_LEASE,   /* strings with deadlines */
    KEY_PAIR,    /* two counters that only transactions change, both alike: one counter */
};

enum operation_kind {
    OPERATION_SET,
    OPERATION_SET_NX,
    OPERATION_SET_XX,
    OPERATION_SET_GET,
    OPERATION_GET,
    OPERATION_DEL,
    OPERATION_ADD,
    OPERATION_APPEND,
    OPERATION_PUSH,
    OPERATION_RANGE,
    OPERATION_EXPIRE,
    OPERATION_CAS, /* SET of a value that was watched and read: `expected` */
};

enum operation_outcome {
    OUTCOME_PENDING,
    OUTCOME_DONE,
    OUTCOME_REFUSED,
    OUTCOME_UNKNOWN,
};

/* A string: hash and length of its bytes. A counter: its number. A list: hash of its elements, how
 * many. A plain answer: number. */
struct value {
    bool present;
    uint64_t number, length;
};

struct operation {
    enum operation_kind kind;
    enum operation_outcome outcome;
    uint64_t invoked, returned; /* places in the order of happenings; NEVER */
    uint64_t invoked_ns, returned_ns;
    uint32_t after; /* the previous one of its connection on this key, plus 1; 0: none */
    uint16_t connection, node;
    struct value argument, result, expected;
    uint64_t ttl_ns;  /* SET, EXPIRE of a lease; 0: none */
    uint64_t written; /* the number of the value in a text that nobody else writes; 0: none */
};

struct history_key {
    enum key_kind kind;
    unsigned space, life; /* the keyspace, and which life of it */
    char name[HISTORY_NAME_SIZE];
    struct operation *operations; /* owned */
    uint32_t count, capacity;
    uint32_t unknown; /* writes whose fate is not known */
    bool retired;
};

struct history {
    struct history_key keys[HISTORY_KEYS_MAX];
    uint32_t key_count;
    uint32_t slots[HISTORY_SLOTS_MAX]; /* the living key of each slot */
    unsigned lives[HISTORY_SPACES_MAX];
    uint32_t names[HISTORY_SPACES_MAX]; /* keys in this life */
    uint32_t slot_count;
    uint64_t happenings;
    uint64_t done, refused, unknown;
};

struct operation_id {
    uint32_t key, operation;
};

struct history *history_create(void);
void history_destroy(struct history *history);

/* A slot always has one living key of this kind. */
void history_add_slot(struct history *history, enum key_kind kind, unsigned space);
/* Every slot of the keyspace gets a fresh key; names begin anew. */
void history_begin_life(struct history *history, unsigned space, unsigned life);
unsigned history_space_of_slot(const struct history *history, uint32_t slot);
/* The living key of a slot; a used-up one is replaced first. */
uint32_t history_key_of_slot(struct history *history, uint32_t slot);

/* `draft`: kind, connection, node, argument, ttl_ns. */
struct operation_id history_invoke(struct history *history, uint32_t key,
                                   const struct operation *draft, uint64_t now_ns);
struct operation *history_operation(struct history *history, struct operation_id id);
/* `result` is used with DONE. */
void history_return(struct history *history, struct operation_id id, enum operation_outcome outcome,
                    const struct value *result, uint64_t now_ns);
bool operation_writes(enum operation_kind kind);

/* ---- values ---- */

struct value value_of_string(struct slice bytes);
struct value value_of_number(uint64_t number);
struct value value_append(struct value value, struct value more); /* strings */
struct value value_push(struct value list, struct value element); /* lists */
bool value_equal(struct value a, struct value b);

void history_print_key(const struct history_key *key, FILE *out);

#endif
