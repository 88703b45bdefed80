/* call.h - what the families share: keys, errors, the step from looking to changing, what goes into
 * the effect. Private to command/.
 *
 * The shape of every write: read the arguments, look, decide; if there is something to change, ask
 * `command_can_change`; then change the store, ship the effect and reply. Nothing is replied or
 * changed before that question, so that a refused call leaves no trace. */
#ifndef HOLDFAST_COMMAND_CALL_H
#define HOLDFAST_COMMAND_CALL_H

#include "base/random.h"
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
    NUMBER_SETRANGE = 12,
    NUMBER_SETBIT = 13,
    NUMBER_BITOP = 14,
    NUMBER_BITFIELD = 15,
    NUMBER_RENAME = 16,
    NUMBER_COPY_FROM = 17,
    NUMBER_LPOP = 18,
    NUMBER_RPOP = 19,
    NUMBER_LSET = 20,
    NUMBER_LREM = 21,
    NUMBER_LTRIM = 22,
    NUMBER_LINSERT = 23,
    NUMBER_LMOVE = 24,
    NUMBER_HSET = 25,
    NUMBER_HDEL = 26,
    NUMBER_SADD = 27,
    NUMBER_SREM = 28,
    NUMBER_SINTERSTORE = 29,
    NUMBER_SUNIONSTORE = 30,
    NUMBER_SDIFFSTORE = 31,
    NUMBER_ZPUT = 32,
    NUMBER_ZREM = 33,
    NUMBER_ZREMRANGEBYRANK = 34,
    NUMBER_ZRANGESTORE = 35,
    NUMBER_ZUNIONSTORE = 36,
    NUMBER_ZINTERSTORE = 37,
    NUMBER_ZDIFFSTORE = 38,
    NUMBER_ONCE = 39,
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
    NUMBER_GETRANGE = 163,
    NUMBER_SUBSTR = 164,
    NUMBER_GETBIT = 165,
    NUMBER_BITCOUNT = 166,
    NUMBER_BITPOS = 167,
    NUMBER_BITFIELD_RO = 168,
    NUMBER_RENAMENX = 169,
    NUMBER_COPY = 170,
    NUMBER_RANDOMKEY = 171,
    NUMBER_OBJECT = 172,
    NUMBER_SORT = 173,
    NUMBER_SORT_RO = 174,
    NUMBER_RPOPLPUSH = 175,
    NUMBER_LMPOP = 176,
    NUMBER_LPOS = 177,
    NUMBER_HMSET = 178,
    NUMBER_HSETNX = 179,
    NUMBER_HGET = 180,
    NUMBER_HMGET = 181,
    NUMBER_HGETALL = 182,
    NUMBER_HEXISTS = 183,
    NUMBER_HLEN = 184,
    NUMBER_HSTRLEN = 185,
    NUMBER_HKEYS = 186,
    NUMBER_HVALS = 187,
    NUMBER_HINCRBY = 188,
    NUMBER_HINCRBYFLOAT = 189,
    NUMBER_HRANDFIELD = 190,
    NUMBER_HSCAN = 191,
    NUMBER_SISMEMBER = 192,
    NUMBER_SMISMEMBER = 193,
    NUMBER_SMEMBERS = 194,
    NUMBER_SCARD = 195,
    NUMBER_SPOP = 196,
    NUMBER_SRANDMEMBER = 197,
    NUMBER_SMOVE = 198,
    NUMBER_SINTER = 199,
    NUMBER_SUNION = 200,
    NUMBER_SDIFF = 201,
    NUMBER_SINTERCARD = 202,
    NUMBER_SSCAN = 203,
    NUMBER_ZADD = 204,
    NUMBER_ZINCRBY = 205,
    NUMBER_ZSCORE = 206,
    NUMBER_ZMSCORE = 207,
    NUMBER_ZCARD = 208,
    NUMBER_ZCOUNT = 209,
    NUMBER_ZLEXCOUNT = 210,
    NUMBER_ZRANGE = 211,
    NUMBER_ZREVRANGE = 212,
    NUMBER_ZRANGEBYSCORE = 213,
    NUMBER_ZREVRANGEBYSCORE = 214,
    NUMBER_ZRANGEBYLEX = 215,
    NUMBER_ZREVRANGEBYLEX = 216,
    NUMBER_ZRANK = 217,
    NUMBER_ZREVRANK = 218,
    NUMBER_ZREMRANGEBYSCORE = 219,
    NUMBER_ZREMRANGEBYLEX = 220,
    NUMBER_ZPOPMIN = 221,
    NUMBER_ZPOPMAX = 222,
    NUMBER_ZMPOP = 223,
    NUMBER_ZRANDMEMBER = 224,
    NUMBER_ZUNION = 225,
    NUMBER_ZINTER = 226,
    NUMBER_ZDIFF = 227,
    NUMBER_ZINTERCARD = 228,
    NUMBER_ZSCAN = 229,
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
struct command_family command_family_list_pop(void);
struct command_family command_family_list_change(void);
struct command_family command_family_range(void);
struct command_family command_family_bits(void);
struct command_family command_family_bitfield(void);
struct command_family command_family_copy(void);
struct command_family command_family_object(void);
struct command_family command_family_sort(void);
struct command_family command_family_hash(void);
struct command_family command_family_set(void);
struct command_family command_family_set_algebra(void);
struct command_family command_family_sorted_set(void);
struct command_family command_family_sorted_set_range(void);
struct command_family command_family_sorted_set_remove(void);
struct command_family command_family_sorted_set_algebra(void);
struct command_family command_family_pick(void);
struct command_family command_family_scan(void);
struct command_family command_family_keyspace(void);
struct command_family command_family_once(void);

/* What command_execute does with a call of ONCE, and with any other. */
void command_execute_once(struct command_call *call);
void command_run(struct command_call *call);

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

/* The same for a key that no place of the request names, so that nobody has looked yet whether it
 * has ended (BY and GET of SORT, another database). False: refused or failed; else the key may be
 * of any type. */
bool command_lookup_unnamed(struct command_call *call, const struct store_key *key,
                            struct store_entry **entry);

/* ---- arguments ---- */

/* An integer argument; false: the error was replied. */
bool command_integer(struct command_call *call, size_t argument, int64_t *value);
/* The same within bounds; `error` for whatever is none, NULL: the usual ones. */
bool command_integer_between(struct command_call *call, size_t argument, int64_t low, int64_t high,
                             const char *error, int64_t *value);
/* 0 and up: how many. */
bool command_amount(struct command_call *call, size_t argument, int64_t *value);

/* What LMPOP and ZMPOP ask for: keys from argument 2 on, which of two ends, how many items. */
struct command_pop {
    size_t keys;
    bool at_second;
    int64_t count;
};
bool command_take_pop(struct command_call *call, const char *first, const char *second,
                      struct command_pop *pop);

/* Places first .. last of `length`, negative ones from the end, as a run from *from on; false: it
 * is empty. */
bool command_span(int64_t first, int64_t last, size_t length, size_t *from, size_t *count);

/* The same as strings and bits have it: an end in front of the first means the first. */
bool command_text_span(int64_t first, int64_t last, size_t length, size_t *from, size_t *count);

/* Both counted from the end, and the wrong way round: empty, however short the string. */
static inline bool command_is_backwards(int64_t first, int64_t last)
{
    return first < 0 && last < 0 && first > last;
}

/* A place counted in bits; with `unit` > 0 also "#3": in units of so many bits. */
bool command_bit_offset(struct command_call *call, size_t argument, unsigned unit,
                        uint64_t *offset);

/* May `size` bytes stand at `offset` of a string? False: the error was replied. Only where the
 * command is proposed: a replica that applies it has no limit of its own (COMMAND-1). */
bool command_string_fits(struct command_call *call, uint64_t offset, uint64_t size);

/* A number as strtold or strtod reads it, "inf" included, without leading space; none that is too
 * large or too small for its type. */
bool command_read_float(struct slice text, long double *value);
bool command_read_double(struct slice text, double *value);
/* The end of a range: what is too large is infinite. */
bool command_read_bound(struct slice text, double *value);
/* What SORT sorts by. Here as in the end of a range space may stand in front, and nothing is 0. */
bool command_read_weight(struct slice text, double *value);

/* Plain notation, 17 places, without the zeros at the end: at most this many bytes. */
#define COMMAND_FLOAT_TEXT_MAX (5 * 1024)
size_t command_write_float(long double value, char text[COMMAND_FLOAT_TEXT_MAX]);

/* ---- failing ---- */

void command_fail(struct command_call *call, const char *error); /* "ERR ..." */
void command_fail_syntax(struct command_call *call);
void command_fail_type(struct command_call *call);
/* The command's name in quotes, in lower case, between two texts. */
void command_fail_naming(struct command_call *call, const char *head, const char *tail);
void command_fail_arity(struct command_call *call);
void command_fail_expire_time(struct command_call *call);

/* ---- changing ---- */

/* Asked before the first change. True: go on; room for the effect is there: all arguments of the
 * request once, and `more` bytes. False: refused or failed; return at once. */
bool command_can_change(struct command_call *call, size_t more);

/* Instead of that question, where there is nothing to change. An effect always changes something:
 * one that does not was shipped by a store that differed from this one (COMMAND-1). */
void command_note_unchanged(struct command_call *call);
void command_reply_unchanged(struct command_call *call, int64_t value);

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
/* `key` with all `items` behind it, in as many commands as it takes: one of an effect has no more
 * arguments than a request may have. Pairs are not torn. */
void command_ship_items(struct command_call *call, uint16_t number, struct slice key,
                        const struct slice *items, size_t count);
/* What these need, as `more` for command_can_change. */
size_t command_items_size(struct slice key, const struct slice *items, size_t count);

/* Removes a key found past its deadline and ships its deletion; false: refused or failed. */
bool command_remove_expired(struct command_call *call, const struct store_key *key);

/* ---- chance ---- */

/* COMMAND-3: nothing is drawn. What a random pick picks follows from the entry's time and the key,
 * which has a secret in its hash; two calls at one time on one key pick alike. Nobody needs more of
 * it, since what ships is the pick. */
void command_chance(const struct command_call *call, const struct store_key *key,
                    struct random *random);
/* `want` different numbers below `count`, ascending; want <= count. */
void command_pick(struct random *random, uint64_t count, uint64_t *picked, size_t want);

/* ---- scanning ---- */

struct command_scan {
    bool of_keys;                /* SCAN: may have TYPE */
    const struct slice *pattern; /* NULL: all */
    const struct slice *type;
    int64_t want; /* how many are to be looked at, > 0 */
};
bool command_take_cursor(struct command_call *call, size_t argument, uint64_t *cursor);
/* The options from argument `from` on. */
bool command_take_scan(struct command_call *call, size_t from, struct command_scan *scan);
void command_reply_cursor(struct reply *reply, uint64_t cursor);

/* ---- replies whose size is known at their end ---- */

/* Moves the header, written last at `header`, in front of what has been replied since `start`. For
 * reads: nobody applies them. */
void command_header_first(struct reply *reply, size_t start, size_t header);

/* ---- collections ---- */

/* All members of a set; `entry` of `store`, NULL: none. */
void command_reply_set(struct command_call *call, const struct store *store,
                       const struct store_entry *entry);

/* A part of a sorted set as a request says it: by rank, by score, or by bytes where all scores are
 * the same. */
enum command_range_kind {
    RANGE_RANK,
    RANGE_SCORE,
    RANGE_LEX
};
struct command_bound {
    int64_t rank;       /* negative: from the end */
    double score;       /* also -inf and +inf */
    struct slice bytes; /* with `infinite` 0 */
    int infinite;       /* -1: before all, 1: behind all */
    bool open;          /* without the bound itself */
};
struct command_range {
    enum command_range_kind kind;
    bool reversed; /* ranks are counted, and members answered, from the highest */
    struct command_bound low, high;
};
/* False: a bound is malformed; the error was replied. */
bool command_take_range(struct command_call *call, size_t low, size_t high,
                        struct command_range *range);
/* The ranks *from .. *from + *count - 1, from the lowest, that the range means. */
void command_resolve_range(const struct store_entry *entry, const struct command_range *range,
                           size_t *from, size_t *count);
/* Those ranks, the highest first when `reversed`. Scores stand beside the members, in RESP3 in
 * pairs.
 */
struct command_ranks {
    const struct store_entry *entry; /* NULL: none */
    size_t from, count;
    bool reversed, with_scores;
    bool paired; /* in RESP2, too */
};
void command_reply_ranks(struct command_call *call, const struct command_ranks *ranks);

/* What is about to be made of other keys: everything that goes into it is added, then it fits, or
 * the error was replied. Nothing is limited while applying. */
struct command_measure {
    struct command_call *call;
    uint64_t left; /* bytes */
    bool is_limited, exceeded;
};
void command_measure_init(struct command_measure *measure, struct command_call *call);
void command_measure_add(struct command_measure *measure, const struct store_entry *entry);
void command_measure_ranks(struct command_measure *measure, const struct store_entry *entry,
                           size_t from, size_t count);
void command_measure_items(struct command_measure *measure, const struct slice *items,
                           size_t count);
bool command_measure_fits(struct command_measure *measure);

/* A set or sorted set that is being put together, under one key of a store of its own. */
struct command_result {
    struct store *store; /* owned */
    struct store_key key;
};
void command_result_init(struct command_result *result, const struct command_call *call);
void command_result_deinit(struct command_result *result);
const struct store_entry *command_result_entry(const struct command_result *result);
/* Puts it under the request's first key, in place of whatever is there, ships the request and
 * replies how many members there are; none: the key goes. */
void command_store_result(struct command_call *call, const struct command_result *result);

/* HDEL, SREM: removes the members named from argument 2 on; some of them are there. Ships the
 * request and replies how many went. */
void command_remove_members(struct command_call *call, const struct store_key *key,
                            const struct store_entry *entry);

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
