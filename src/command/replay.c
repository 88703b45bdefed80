/* What a failover has cut runs again, entry by entry (R10). The effect says what the entry did to
 * the keys as they were then; whether it can do so to what they hold now is tried on copies of them
 * first, so that nothing is done by halves. */
#include "command/call.h"

/* ---- keys ---- */

struct keys {
    void (*each)(void *owner, const struct store_key *key);
    void *owner;
    bool whole;
};

static void give_keys(void *owner, const struct command *command, uint8_t database,
                      const struct slice *arguments, size_t count)
{
    struct keys *keys = owner;
    size_t at = 0;
    keys->whole |= (command->flags & COMMAND_WHOLE) != 0;
    while ((at = command_next_key(command, arguments, count, at)) != 0) {
        struct store_key key = store_key_of(database, arguments[at]);
        keys->each(keys->owner, &key);
    }
    bool copies = command->number == NUMBER_COPY_FROM && arguments[3].size == 1 &&
                  arguments[3].at[0] < STORE_DATABASES;
    if (copies) { /* its source is no key of the row: it may be of another database */
        struct store_key from = store_key_of(arguments[3].at[0], arguments[2]);
        keys->each(keys->owner, &from);
    }
}

enum status command_replay_keys(const struct command_table *table, struct slice payload,
                                void (*each)(void *owner, const struct store_key *key), void *owner,
                                bool *whole)
{
    struct keys keys = {.each = each, .owner = owner};
    enum status status = command_effect_each(table, payload, give_keys, &keys);
    *whole = keys.whole;
    return status;
}

/* ---- trying ---- */

struct trial {
    const struct command_table *table;
    struct store *store, *copy;
    struct buffer record;
    int64_t now_us;
    bool fits, repeated;
};

static void copy_key(void *owner, const struct store_key *key)
{
    struct trial *trial = owner;
    uint64_t keys = 0, content = 0;
    struct store_entry *entry = store_find(trial->store, key);
    int64_t deadline_us = entry ? store_entry_deadline_us(entry) : 0;
    if (!entry || (deadline_us && deadline_us <= trial->now_us) || store_find(trial->copy, key))
        return;
    buffer_reset(&trial->record);
    trial->fits &= !store_encode(entry, &trial->record) &&
                   !store_load(trial->copy, slice_of_buffer(&trial->record), &keys, &content);
}

static void run_row(struct store *store, const struct command_table *table, int64_t now_us,
                    const struct command *command, uint8_t database, const struct slice *arguments,
                    size_t count, bool *fits)
{
    struct command_call call = {.table = table,
                                .command = command,
                                .store = store,
                                .database = database,
                                .now_us = now_us,
                                .arguments = arguments,
                                .count = count,
                                .may_write = true};
    command->execute(&call);
    *fits &= !call.failed;
}

/* The cut write stood behind ONCE: its client may have sent it again, and that ran. */
static void try_once(struct trial *trial, const struct slice *words)
{
    struct slice reply;
    int64_t number = 0;
    if (slice_to_i64(words[2], &number) || number < 1)
        trial->fits = false;
    else if (store_once_find(trial->store, words[1], (uint64_t)number, &reply) != STORE_ONCE_NEW)
        trial->repeated = true;
    else
        trial->fits &= store_once_has_room(trial->store, words[1], trial->now_us);
}

static void try_row(void *owner, const struct command *command, uint8_t database,
                    const struct slice *arguments, size_t count)
{
    struct trial *trial = owner;
    if (command->number == NUMBER_ONCE)
        try_once(trial, arguments);
    else if (trial->fits)
        run_row(trial->copy, trial->table, trial->now_us, command, database, arguments, count,
                &trial->fits);
}

enum command_replay_state command_replay_try(const struct command_table *table, struct store *store,
                                             struct slice payload, int64_t now_us)
{
    bool whole;
    struct trial trial = {.table = table,
                          .store = store,
                          .copy = store_create_beside(store),
                          .now_us = now_us,
                          .fits = true};
    buffer_init(&trial.record, SIZE_MAX);
    trial.fits &= !command_replay_keys(table, payload, copy_key, &trial, &whole);
    if (trial.fits)
        trial.fits &= !command_effect_each(table, payload, try_row, &trial);
    buffer_deinit(&trial.record);
    store_destroy(trial.copy);
    return trial.repeated ? COMMAND_REPLAY_REPEATED
           : trial.fits   ? COMMAND_REPLAY_FITS
                          : COMMAND_REPLAY_DIFFERS;
}

/* ---- running ---- */

static void remove_past(void *owner, const struct store_key *key)
{
    struct command_call *call = owner;
    struct store_entry *entry = store_find(call->store, key);
    if (entry && !call->refused && !call->failed && command_is_past(call, entry))
        (void)!command_remove_expired(call, key);
}

/* What a numbered request answered is kept from now on: times of the table rise. */
static void run_again(void *owner, const struct command *command, uint8_t database,
                      const struct slice *arguments, size_t count)
{
    struct command_call *call = owner;
    struct slice words[6];
    char now[24];
    bool fits = true;
    if (command->number == NUMBER_ONCE) {
        memcpy(words, arguments, sizeof words);
        words[4] = slice_of(now, text_of_i64(call->now_us, now));
        arguments = words;
    }
    run_row(call->store, call->table, call->now_us, command, database, arguments, count, &fits);
    call->failed |= !fits;
    effect_add(call->effect, command->number, database, arguments + 1, count - 1);
}

static void execute_replay(struct command_call *call)
{
    bool whole;
    struct slice payload = call->arguments[1];
    /* Refused, not failed: what did not run may run later, and ONCE is not to remember it. */
    call->refused =
        command_replay_try(call->table, call->store, payload, call->now_us) != COMMAND_REPLAY_FITS;
    if (!call->refused)
        call->refused |=
            command_replay_keys(call->table, payload, remove_past, call, &whole) != STATUS_OK;
    if (call->refused || call->failed || !command_can_change(call, 64))
        return;
    (void)!command_effect_each(call->table, payload, run_again, call);
    reply_integer(call->reply, 1);
}

const struct command command_replay = {.name = "_REPLAY",
                                       .arity = 2,
                                       .flags = COMMAND_WRITE | COMMAND_INTERNAL,
                                       .execute = execute_replay};
