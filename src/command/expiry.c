/* expiry.c - when keys end. Clients speak of seconds and milliseconds, the store of microseconds of
 * group time; a rest is rounded up, so that nobody is told 0 of a living key. */
#include "command/call.h"

#define US_PER_MS 1000

/* ---- reading amounts ---- */

static bool to_ms(int64_t amount, bool seconds, int64_t *ms)
{
    return !__builtin_mul_overflow(amount, seconds ? 1000 : 1, ms);
}

bool command_deadline(struct command_call *call, const struct expiry_amount *amount,
                      int64_t *deadline_us)
{
    int64_t value, us;
    if (!amount->text)
        return true;
    if (slice_to_i64(*amount->text, &value)) {
        command_fail(call, "ERR value is not an integer or out of range");
        return false;
    }
    if (value <= 0 || !to_ms(value, amount->seconds, &us) ||
        __builtin_mul_overflow(us, US_PER_MS, &us) ||
        __builtin_add_overflow(us, amount->absolute ? 0 : call->now_us, &us) || us <= 0) {
        command_fail_expire_time(call);
        return false;
    }
    *deadline_us = us;
    return true;
}

/* ---- EXPIRE and its kin ---- */

struct expire_conditions {
    bool if_none, if_some, if_later, if_sooner;
};

static void fail_option(struct command_call *call, struct slice option)
{
    call->failed = true;
    reply_error(call->reply, "ERR Unsupported option %.*s",
                (int)(option.size < 128 ? option.size : 128), (const char *)option.at);
}

static bool take_conditions(struct command_call *call, struct expire_conditions *conditions)
{
    for (size_t i = 3; i < call->count; i++) {
        struct slice word = call->arguments[i];
        if (slice_is_word(word, "NX"))
            conditions->if_none = true;
        else if (slice_is_word(word, "XX"))
            conditions->if_some = true;
        else if (slice_is_word(word, "GT"))
            conditions->if_later = true;
        else if (slice_is_word(word, "LT"))
            conditions->if_sooner = true;
        else {
            fail_option(call, word);
            return false;
        }
    }
    const char *error = NULL;
    if (conditions->if_none &&
        (conditions->if_some || conditions->if_later || conditions->if_sooner))
        error = "ERR NX and XX, GT or LT options at the same time are not compatible";
    else if (conditions->if_later && conditions->if_sooner)
        error = "ERR GT and LT options at the same time are not compatible";
    if (error)
        command_fail(call, error);
    return !error;
}

/* A key without deadline ends later than all others. */
static bool conditions_hold(const struct expire_conditions *conditions, int64_t old_us,
                            int64_t new_us)
{
    if (conditions->if_none && old_us)
        return false;
    if (conditions->if_some && !old_us)
        return false;
    if (conditions->if_later && (!old_us || new_us <= old_us))
        return false;
    return !conditions->if_sooner || !old_us || new_us < old_us;
}

/* Unlike SET's, an amount may lie in the past; only what no clock can say is an error. */
static bool take_moment(struct command_call *call, bool seconds, bool absolute, int64_t *us)
{
    int64_t value;
    if (!command_integer(call, 2, &value))
        return false;
    bool fits = to_ms(value, seconds, &value);
    if (fits && __builtin_mul_overflow(value, US_PER_MS, us)) {
        *us = INT64_MIN; /* far past: a deletion; far future does not fit */
        fits = value < 0;
    }
    if (fits && !absolute && __builtin_add_overflow(*us, call->now_us, us)) {
        *us = INT64_MIN;
        fits = value < 0;
    }
    if (!fits)
        command_fail_expire_time(call);
    return fits;
}

static void expire_key(struct command_call *call, const struct store_key *key, int64_t deadline_us)
{
    if (deadline_us <= call->now_us || deadline_us <= 0) {
        store_remove(call->store, key);
        command_ship_deletion(call, key->bytes);
    } else {
        store_set_deadline(call->store, key, deadline_us);
        command_ship_deadline(call, key->bytes, deadline_us);
    }
}

static void expire(struct command_call *call, bool seconds, bool absolute)
{
    struct expire_conditions conditions = {0};
    struct store_key key = command_key(call, 1);
    int64_t deadline_us;
    if (!take_conditions(call, &conditions) || !take_moment(call, seconds, absolute, &deadline_us))
        return;
    const struct store_entry *entry = command_lookup(call, &key);
    if (!entry || !conditions_hold(&conditions, store_entry_deadline_us(entry), deadline_us)) {
        reply_integer(call->reply, 0);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    expire_key(call, &key, deadline_us);
    reply_integer(call->reply, 1);
}

static void execute_expire(struct command_call *call)
{
    expire(call, true, false);
}

static void execute_pexpire(struct command_call *call)
{
    expire(call, false, false);
}

static void execute_expireat(struct command_call *call)
{
    expire(call, true, true);
}

static void execute_pexpireat(struct command_call *call)
{
    expire(call, false, true);
}

static void execute_persist(struct command_call *call)
{
    struct store_key key = command_key(call, 1);
    const struct store_entry *entry = command_lookup(call, &key);
    if (!entry || !store_entry_deadline_us(entry)) {
        reply_integer(call->reply, 0);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    store_set_deadline(call->store, &key, 0);
    command_ship_deadline(call, key.bytes, 0);
    reply_integer(call->reply, 1);
}

/* Only in effects: key, raw deadline; 0 takes it away. */
static void execute_deadline(struct command_call *call)
{
    struct store_key key = command_key(call, 1);
    struct slice raw = call->arguments[2];
    int64_t deadline_us = raw.size == 8 ? (int64_t)load_u64(raw.at) : -1;
    if (deadline_us < 0 || !store_set_deadline(call->store, &key, deadline_us))
        command_fail(call, "ERR deadline in an effect");
}

/* ---- asking ---- */

static int64_t ms_of(int64_t us)
{
    return us / US_PER_MS + (us % US_PER_MS > 0);
}

/* -2: no key, -1: no deadline. */
static void reply_deadline(struct command_call *call, bool seconds, bool absolute)
{
    struct store_key key = command_key(call, 1);
    const struct store_entry *entry = command_lookup(call, &key);
    int64_t deadline_us = entry ? store_entry_deadline_us(entry) : 0;
    if (!deadline_us) {
        reply_integer(call->reply, entry ? -1 : -2);
        return;
    }
    int64_t ms = ms_of(absolute ? deadline_us : deadline_us - call->now_us);
    reply_integer(call->reply, seconds ? (ms + 500) / 1000 : ms);
}

static void execute_ttl(struct command_call *call)
{
    reply_deadline(call, true, false);
}

static void execute_pttl(struct command_call *call)
{
    reply_deadline(call, false, false);
}

static void execute_expiretime(struct command_call *call)
{
    reply_deadline(call, true, true);
}

static void execute_pexpiretime(struct command_call *call)
{
    reply_deadline(call, false, true);
}

/* ---- rows ---- */

#define WRITE      (COMMAND_WRITE | COMMAND_FAST)
#define READ       (COMMAND_READ | COMMAND_FAST)
#define FAST_WRITE "@keyspace @write @fast"
#define FAST_READ  "@keyspace @read @fast"

static const struct command rows[] = {
    {NUMBER_EXPIRE, "EXPIRE", -3, WRITE, 1, 1, 1, FAST_WRITE, "Let a key end after some seconds",
     "generic", "1.0.0", execute_expire, 0},
    {NUMBER_PEXPIRE, "PEXPIRE", -3, WRITE, 1, 1, 1, FAST_WRITE,
     "Let a key end after some milliseconds", "generic", "2.6.0", execute_pexpire, 0},
    {NUMBER_EXPIREAT, "EXPIREAT", -3, WRITE, 1, 1, 1, FAST_WRITE,
     "Let a key end at a second of Unix time", "generic", "1.2.0", execute_expireat, 0},
    {NUMBER_PEXPIREAT, "PEXPIREAT", -3, WRITE, 1, 1, 1, FAST_WRITE,
     "Let a key end at a millisecond of Unix time", "generic", "2.6.0", execute_pexpireat, 0},
    {NUMBER_PERSIST, "PERSIST", 2, WRITE, 1, 1, 1, FAST_WRITE, "Let a key stay for ever", "generic",
     "2.2.0", execute_persist, 0},
    {NUMBER_TTL, "TTL", 2, READ, 1, 1, 1, FAST_READ, "Answer the seconds a key has left", "generic",
     "1.0.0", execute_ttl, 0},
    {NUMBER_PTTL, "PTTL", 2, READ, 1, 1, 1, FAST_READ, "Answer the milliseconds a key has left",
     "generic", "2.6.0", execute_pttl, 0},
    {NUMBER_EXPIRETIME, "EXPIRETIME", 2, READ, 1, 1, 1, FAST_READ,
     "Answer the second of Unix time at which a key ends", "generic", "7.0.0", execute_expiretime,
     0},
    {NUMBER_PEXPIRETIME, "PEXPIRETIME", 2, READ, 1, 1, 1, FAST_READ,
     "Answer the millisecond of Unix time at which a key ends", "generic", "7.0.0",
     execute_pexpiretime, 0},
    {NUMBER_DEADLINE, "_DEADLINE", 3, WRITE | COMMAND_INTERNAL | COMMAND_EFFECT, 1, 1, 1,
     FAST_WRITE, "The absolute deadline of a key", "generic", "1.0.0", execute_deadline, 0},
};

struct command_family command_family_expiry(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
