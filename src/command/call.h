/* call.h - what the families share: keys, errors, the step from looking to changing, what goes into
 * the effect. Private to command/.
 *
 * The shape of every write: read the arguments, look, decide; if there is something to change, ask
 * `command_can_change`; then change the store, ship the effect and reply. Nothing is replied or
 * changed before that question, so that a refused call leaves no trace. */
#ifndef HOLDFAST_COMMAND_CALL_H
#define HOLDFAST_COMMAND_CALL_H

#include "command/command.h"

/* Numbers are for ever and in every log ever written (COMMAND-4). Data commands 1 .. 999, those of
 * effects first because numbers below 128 take one byte; rows of higher floors from 1000 on. */
enum command_number {
    NUMBER_SET = 1,
    NUMBER_DEL = 2,
    NUMBER_INCRBY = 3,
    NUMBER_APPEND = 4,
    NUMBER_MSET = 5,
    NUMBER_RPUSH = 6,
    NUMBER_LPUSH = 7,
    NUMBER_SET_UNTIL = 8,
    NUMBER_DEADLINE = 9,
    NUMBER_FLUSHALL = 10,
    NUMBER_FLUSHDB = 11,
    /* Numbers up to 127 are kept for effects of families to come. */
    NUMBER_GET = 128,
    NUMBER_SETNX = 129,
    NUMBER_SETEX = 130,
    NUMBER_PSETEX = 131,
    NUMBER_GETSET = 132,
    NUMBER_GETDEL = 133,
    NUMBER_GETEX = 134,
    NUMBER_STRLEN = 135,
    NUMBER_MGET = 136,
    NUMBER_MSETNX = 137,
    NUMBER_INCR = 138,
    NUMBER_DECR = 139,
    NUMBER_DECRBY = 140,
    NUMBER_INCRBYFLOAT = 141,
    NUMBER_UNLINK = 142,
    NUMBER_EXISTS = 143,
    NUMBER_TOUCH = 144,
    NUMBER_TYPE = 145,
    NUMBER_EXPIRE = 146,
    NUMBER_PEXPIRE = 147,
    NUMBER_EXPIREAT = 148,
    NUMBER_PEXPIREAT = 149,
    NUMBER_PERSIST = 150,
    NUMBER_TTL = 151,
    NUMBER_PTTL = 152,
    NUMBER_EXPIRETIME = 153,
    NUMBER_PEXPIRETIME = 154,
    NUMBER_RPUSHX = 155,
    NUMBER_LPUSHX = 156,
    NUMBER_LRANGE = 157,
    NUMBER_LLEN = 158,
    NUMBER_LINDEX = 159,
    NUMBER_DBSIZE = 160,
    NUMBER_KEYS = 161,
    NUMBER_SCAN = 162,
};

/* One file, one family. */
struct command_family {
    const struct command *rows;
    size_t count;
};
struct command_family command_family_string(void);
struct command_family command_family_counter(void);
struct command_family command_family_key(void);
struct command_family command_family_expiry(void);
struct command_family command_family_list(void);
struct command_family command_family_keyspace(void);

/* ---- looking ---- */

static inline struct store_key command_key(const struct command_call *call, size_t argument)
{
    return store_key_of(call->database, call->arguments[argument]);
}

static inline bool command_is_past(const struct command_call *call, const struct store_entry *entry)
{
    int64_t deadline_us = store_entry_deadline_us(entry);
    return deadline_us && deadline_us <= call->now_us;
}

/* The entry of a key; NULL: absent, or hidden because only the leader may remove it. */
struct store_entry *command_lookup(const struct command_call *call, const struct store_key *key);

/* The same with the type that the command needs; false: WRONGTYPE was replied. */
bool command_lookup_typed(struct command_call *call, const struct store_key *key,
                          enum store_type type, struct store_entry **entry);

/* "string", "list": TYPE, and the filter of SCAN. */
const char *command_type_name(enum store_type type);

/* An integer argument; false: the error was replied. */
bool command_integer(struct command_call *call, size_t argument, int64_t *value);

/* ---- failing ---- */

void command_fail(struct command_call *call, const char *error); /* "ERR ..." */
void command_fail_syntax(struct command_call *call);
void command_fail_arity(struct command_call *call);
void command_fail_expire_time(struct command_call *call);

/* ---- changing ---- */

/* Asked before the first change. True: go on; room for the effect is there: all arguments of the
 * request once, and `more` bytes. False: refused or failed; return at once. */
bool command_can_change(struct command_call *call, size_t more);

/* Adds to the effect; nothing while applying. */
void command_ship(struct command_call *call, uint16_t number, const struct slice *arguments,
                  size_t count);
/* The request itself is the effect. */
void command_ship_request(struct command_call *call);
void command_ship_deletion(struct command_call *call, struct slice key);
/* SET, or SET with a deadline. */
void command_ship_string(struct command_call *call, struct slice key, struct slice value,
                         int64_t deadline_us);
void command_ship_deadline(struct command_call *call, struct slice key, int64_t deadline_us);

/* Removes a key found past its deadline and ships its deletion; false: refused or failed. */
bool command_remove_expired(struct command_call *call, const struct store_key *key);

/* ---- deadlines ---- */

/* `amount` in seconds or milliseconds, from now or absolute, to microseconds of group time. False:
 * not an integer, not positive, or past the end of time: the error was replied. */
struct expiry_amount {
    const struct slice *text; /* NULL: none given */
    bool seconds, absolute;
};
bool command_deadline(struct command_call *call, const struct expiry_amount *amount,
                      int64_t *deadline_us);

#endif
