/* command.h - the command table and the commands on data. Pure. Floor 2; used by replica/, server/,
 * admin/.
 *
 * One row for each command: number, name, arity, flags, keys, words for COMMAND DOCS, and for data
 * commands `execute`. In the log family the leader executes a command when it appends it, on the
 * newest state, with the entry's own time; what the entry carries is its *effect*: a list of
 * commands that is deterministic (an expiry becomes an absolute deadline; a key found past its
 * deadline becomes a deletion in front of it). Followers run the same `execute` over the effect,
 * with neither reply nor effect to write.
 *
 * Promises. COMMAND-1 applying the effect to a store equal to the one before execution gives a
 * store equal to the one after it. COMMAND-2 a command that changed nothing leaves an empty effect
 * (then it is a read: gate and lease, section 2). COMMAND-3 no command looks at a clock, draws at
 * random or does I/O. COMMAND-4 numbers are append-only (golden file). COMMAND-5 execute never
 * fails half way: an error reply means that the store is unchanged (but for removed expired keys,
 * which are in the effect). ONCE-2 a call with `once` whose number is known answers what was
 * answered and changes nothing; what runs is remembered by the same effect. Adding a family: one
 * file with its rows and functions; a line in table.c. */
#ifndef HOLDFAST_COMMAND_COMMAND_H
#define HOLDFAST_COMMAND_COMMAND_H

#include "base/bytes.h"
#include "base/status.h"
#include "resp/resp.h"
#include "store/store.h"

struct command_table;
struct command_call;

enum command_flag {
    COMMAND_WRITE = 1 << 0, /* may change data */
    COMMAND_READ = 1 << 1,  /* looks at data */
    COMMAND_ADMIN = 1 << 2,
    COMMAND_FAST = 1 << 3,
    COMMAND_WHOLE = 1 << 4,      /* touches keys that it does not name: DBSIZE, FLUSHALL, SCAN,
                                    KEYS, SORT with BY */
    COMMAND_CONNECTION = 1 << 5, /* served where the connection is; no execute */
    COMMAND_DENY_OOM = 1 << 6,
    COMMAND_LOADING = 1 << 7, /* answered while the node is not ready */
    COMMAND_NO_AUTH = 1 << 8,
    COMMAND_INTERNAL = 1 << 9,   /* only inside effects, never from a client: command_find, _at and
                                    _count do not know it */
    COMMAND_EFFECT = 1 << 10,    /* may stand in an effect: reads and the rest may not */
    COMMAND_COUNTED_1 = 1 << 11, /* argument 1 says how many keys follow it (ZUNION) */
    COMMAND_COUNTED_2 = 1 << 12, /* argument 2 does; the row's own keys stand in front (ZUNIONSTORE)
                                  */
    COMMAND_STORES = 1 << 13,    /* the word behind STORE is a key too (SORT) */
    COMMAND_ROUTED = 1 << 14, /* goes to the leader like a data command, but server/ runs it: WAIT,
                                 WATCH, EXEC */
    COMMAND_NO_QUEUE = 1 << 15,   /* runs at once also between MULTI and EXEC */
    COMMAND_SYSTEM = 1 << 16,     /* of the system keyspace, whatever the connection has opened */
    COMMAND_HIDDEN = 1 << 17,     /* found by its name, listed nowhere */
    COMMAND_ONCE = 1 << 18,       /* stands in front of a request: command_take_once */
    COMMAND_PARTITIONS = 1 << 19, /* over several partitions it runs in each, and the answers become
                                     one: its keys are apart, or it is about all of them */
    COMMAND_PEER = 1 << 20,       /* COMMAND_CONNECTION: another node may ask it of this one */
};

struct command {
    uint16_t number;  /* for ever; 0 is never used */
    const char *name; /* upper case */
    int8_t arity;     /* with the name; negative: at least */
    uint32_t flags;
    int8_t first_key, last_key, key_step;       /* 0,0,0: none; last_key -1: to the end */
    const char *categories;                     /* "@read @string @fast" */
    const char *summary, *group, *since;        /* for COMMAND DOCS */
    void (*execute)(struct command_call *call); /* data commands */
    int serve; /* COMMAND_CONNECTION: the owner's own number for it */
};

/* The built-in data commands and `extra` rows (borrowed for life; what higher floors serve: PING,
 * HELLO, CLIENT, INFO ...; their numbers are 1000 and up, their names at most 23 bytes). Two rows
 * of one name or number are our mistake. */
struct command_table *command_table_create(const struct command *extra, size_t count);
void command_table_destroy(struct command_table *table);
const struct command *command_find(const struct command_table *table,
                                   struct slice name); /* any case; NULL: unknown */
const struct command *command_by_number(const struct command_table *table,
                                        uint64_t number); /* NULL: unknown */
size_t command_count(const struct command_table *table);
const struct command *command_at(const struct command_table *table,
                                 size_t i); /* in order of names */

/* A command of Redis that is not here, in any case. *use: what does its work here; NULL: nothing
 * does. */
bool command_is_absent(struct slice name, const char **use);

/* False: wrong number of arguments. */
bool command_arity_fits(const struct command *command, size_t count);
/* The keys of a request one after the other: the index of the first key behind argument `after`; 0
 * begins, and 0 is the answer behind the last. */
size_t command_next_key(const struct command *command, const struct slice *arguments, size_t count,
                        size_t after);
/* Does a request touch keys that it does not name? SORT and COPY do with some of their options. */
bool command_is_whole(const struct command *command, const struct slice *arguments, size_t count);

/* ---- effects: the payload of an entry of kind `commands` ----
 * bytes: varint count of commands (1 ..), then for each: varint number, u8 database, varint
 * argument count (without the name), and each argument as varint size + bytes. */
struct effect {
    struct buffer *out; /* borrowed: commands are appended; the count goes in front of it, see
                           effect_count_store. Its size_max is the largest effect: a command that
                           would pass it gets an error reply before anything is changed */
    uint32_t count;     /* of commands so far */
};
void effect_add(struct effect *effect, uint16_t number, uint8_t database,
                const struct slice *arguments, size_t count);
/* How many bytes the count takes in front, and writes it. count > 0. */
size_t effect_count_store(const struct effect *effect, uint8_t at[VARINT_SIZE_MAX]);

/* ---- execution ---- */

struct command_call {
    const struct command_table *table;
    const struct command *command;
    struct store *store;
    uint8_t database;
    int64_t now_us; /* group time of the entry to be; deadlines and expiry are judged by it */
    const struct slice *arguments; /* [0] is the name; borrowed */
    size_t count;
    const struct store_once_request *once; /* ONCE-2; NULL: runs whenever it comes */
    uint64_t beyond;       /* SCAN: the cursor with which the keyspace goes on behind this store; 0:
                              nothing does */
    size_t value_size_max; /* of the leader: no command makes a longer string; 0:
                              STORE_VALUE_SIZE_MAX. What is applied was judged by who proposed it */
    struct reply *reply;   /* NULL while applying */
    struct effect *effect; /* NULL while applying. NULL with a reply: a replica that serves a read
                              without being leader; keys past their deadline are hidden, not
                              removed */
    bool may_write; /* false: the log takes no entry now (disk full): a call that would need one
                       sets `refused`, changes nothing, replies nothing */
    bool refused;
    bool failed; /* an error was met: replied to a client; while applying, the replica differs */
};

/* Leader: runs the call; afterwards effect->count == 0 means that nothing is to be appended. Arity
 * has been checked. */
void command_execute(struct command_call *call);

/* ONCE client-id number [OPEN lowest] request: where the request begins in the arguments (at least
 * 4); the request itself is checked. 0: it cannot be, `why` is the error. */
#define COMMAND_ONCE_WHY_SIZE 160
/* Names of clients that begin with this byte are the server's own. */
#define COMMAND_ONCE_OWN 0
size_t command_take_once(const struct command_table *table, const struct slice *arguments,
                         size_t count, struct store_once_request *request,
                         char why[COMMAND_ONCE_WHY_SIZE]);

/* Follower, restart: applies the payload of an entry. INVALID: the bytes are not a well-formed
 * effect of known commands: nothing of it may be assumed (the caller checks the entry's checksum
 * first, so this is a version or programming fault: it stops the replica). */
MUST_USE enum status command_apply(const struct command_table *table, struct store *store,
                                   struct slice payload, int64_t time_us);
/* The same check without applying: for what arrives from a peer. */
MUST_USE enum status command_check(const struct command_table *table, struct slice payload);
/* Calls `each` for every command of an effect, in order; what it gets is borrowed for the call. */
MUST_USE enum status command_effect_each(const struct command_table *table, struct slice payload,
                                         void (*each)(void *owner, const struct command *command,
                                                      uint8_t database,
                                                      const struct slice *arguments, size_t count),
                                         void *owner);
/* Calls for each key that an effect writes: fills hashes with store_key_hash of them, up to max;
 * *whole: every key (FLUSHALL, or more keys than max). For the gate. */
MUST_USE enum status command_effect_keys(const struct command_table *table,
                                         const struct store *store, struct slice payload,
                                         uint64_t *hashes, size_t max, size_t *count, bool *whole);

/* The first argument of the effect's first command as a key, for store_prefetch: a guess, right for
 * nearly all. False: there is none. */
bool command_effect_guess_key(struct slice payload, struct store_key *key);

/* ---- what was cut, once more (R10) ---- */

/* Calls `each` for every key that an effect reads or writes; *whole: it is about all keys. */
MUST_USE enum status command_replay_keys(const struct command_table *table, struct slice payload,
                                         void (*each)(void *owner, const struct store_key *key),
                                         void *owner, bool *whole);
enum command_replay_state {
    COMMAND_REPLAY_FITS,
    COMMAND_REPLAY_DIFFERS,  /* the keys hold what it cannot be applied to, or would not change */
    COMMAND_REPLAY_REPEATED, /* it stood behind ONCE, and its client has sent it again */
};
/* Would the effect run on what the store holds now? Tried on copies of its keys. */
enum command_replay_state command_replay_try(const struct command_table *table, struct store *store,
                                             struct slice payload, int64_t now_us);
/* Not in the table: argument 1 is an effect. If it FITS it runs as one, and is the new effect; else
 * the call is refused. */
extern const struct command command_replay;

/* The deletion of up to `max` expired keys as an effect (active expiry): returns how many. Removes
 * them from the store too. */
size_t command_expire(const struct command_table *table, struct store *store, int64_t now_us,
                      size_t max, struct effect *effect);

/* Does `text` match a pattern of *, ?, [a-z], [^a] and backslash, as KEYS reads it? Never more than
 * pattern times text steps. */
bool command_glob(struct slice pattern, struct slice text, bool any_case);

/* COMMAND, COMMAND COUNT | INFO | DOCS | LIST | GETKEYS. */
void command_describe(const struct command_table *table, const struct slice *arguments,
                      size_t count, struct reply *reply);

#endif
