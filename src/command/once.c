/* ONCE: a numbered request of a client runs at most once, and a repetition gets the answer of the
 * first run. What ran and what was answered travel in one entry: the effect of the request, and
 * behind it _ONCE with the reply as it is kept (resp.h). A request that changed nothing, or failed,
 * was answered too, and its entry is the _ONCE alone. */
#include "base/memory.h"
#include "command/call.h"

#include <stdio.h>

#define REPLY_TOO_LARGE                                                                            \
    "-ERR the command ran, and its reply is larger than 64 KiB: it was told to the first request " \
    "only\r\n"

/* ---- the form ---- */

static size_t refuse(char why[COMMAND_ONCE_WHY_SIZE], const char *head, struct slice word,
                     const char *tail)
{
    snprintf(why, COMMAND_ONCE_WHY_SIZE, "ERR %s'%.*s'%s", head,
             (int)(word.size < 40 ? word.size : 40), (const char *)word.at, tail);
    return 0;
}

static bool take_number(struct slice word, uint64_t *out)
{
    int64_t number;
    if (slice_to_i64(word, &number) || number < 1)
        return false;
    *out = (uint64_t)number;
    return true;
}

static bool may_be_repeated(const struct command *command)
{
    const uint32_t without = COMMAND_INTERNAL | COMMAND_SYSTEM | COMMAND_ROUTED | COMMAND_ONCE;
    return command->execute && (command->flags & COMMAND_WRITE) && !(command->flags & without);
}

size_t command_take_once(const struct command_table *table, const struct slice *arguments,
                         size_t count, struct store_once_request *request,
                         char why[COMMAND_ONCE_WHY_SIZE])
{
    size_t inner = 3;
    *request = (struct store_once_request){.client = arguments[1]};
    if (!request->client.size || request->client.size > STORE_ONCE_NAME_MAX)
        return refuse(why, "a client id has 1 to 128 bytes: ", request->client, "");
    if (request->client.at[0] == COMMAND_ONCE_OWN)
        return refuse(why, "a client id may not begin with a zero byte: ",
                      slice_of(request->client.at + 1, request->client.size - 1), "");
    if (!take_number(arguments[2], &request->number))
        return refuse(why, "ONCE takes sequence numbers from 1 on, not ", arguments[2],
                      ": ONCE client number [OPEN lowest] command");
    if (count > 5 && slice_is_word(arguments[3], "OPEN")) {
        if (!take_number(arguments[4], &request->lowest_open) ||
            request->lowest_open > request->number)
            return refuse(why, "OPEN takes the lowest number not answered yet, not ", arguments[4],
                          "");
        inner = 5;
    }
    const struct command *command = command_find(table, arguments[inner]);
    if (!command)
        return refuse(why, "unknown command ", arguments[inner], "");
    if (!command_arity_fits(command, count - inner))
        return refuse(why, "wrong number of arguments for ", arguments[inner], " command");
    if (!may_be_repeated(command))
        return refuse(why, "ONCE is for commands that write data: ", arguments[inner],
                      " is none, send it without ONCE");
    return inner;
}

/* ---- on the leader ---- */

/* Its client's name counts as a key of database 0: a repetition waits for the commit of what it
 * repeats. */
static void ship(struct command_call *call, struct slice reply)
{
    char numbers[3][24];
    const int64_t values[3] = {(int64_t)call->once->number, (int64_t)call->once->lowest_open,
                               call->now_us};
    struct slice arguments[5] = {call->once->client};
    for (size_t i = 0; i < 3; i++)
        arguments[1 + i] = slice_of(numbers[i], text_of_i64(values[i], numbers[i]));
    arguments[4] = reply;
    effect_add(call->effect, NUMBER_ONCE, 0, arguments, 5);
}

/* The room for what is kept is set aside before the command looks whether its own effect fits. */
static bool run_aside(struct command_call *call, struct reply *aside)
{
    struct reply *told = call->reply;
    struct buffer *out = call->effect->out;
    size_t room = STORE_ONCE_REPLY_MAX + STORE_ONCE_NAME_MAX + 16 * VARINT_SIZE_MAX;
    if (out->size_max - out->size < room) {
        command_fail(call, "ERR the command is too large for one log entry");
        return false;
    }
    out->size_max -= room;
    call->reply = aside;
    command_run(call);
    call->reply = told;
    out->size_max += room;
    return !call->refused;
}

static void run_first(struct command_call *call)
{
    struct buffer kept;
    buffer_init(&kept, call->reply->out->size_max);
    struct reply aside = {.out = &kept, .protocol = REPLY_KEPT};
    if (run_aside(call, &aside)) {
        bool fits = kept.size <= STORE_ONCE_REPLY_MAX && !aside.overflowed;
        struct slice reply = fits ? slice_of_buffer(&kept) : slice_of_text(REPLY_TOO_LARGE);
        store_once_put(call->store, call->once, reply, call->now_us);
        ship(call, reply);
        reply_kept(call->reply, slice_of_buffer(&kept));
        call->reply->overflowed |= aside.overflowed;
    }
    buffer_deinit(&kept);
}

static void fail_closed(struct command_call *call)
{
    struct slice client = call->once->client;
    call->failed = true;
    reply_error(call->reply,
                "FORGOTTEN number %llu of client '%.*s' is closed: it may have run, its reply is "
                "no longer kept, and it does not run now",
                (unsigned long long)call->once->number, (int)client.size, (const char *)client.at);
}

void command_execute_once(struct command_call *call)
{
    struct slice reply;
    switch (store_once_find(call->store, call->once->client, call->once->number, &reply)) {
    case STORE_ONCE_KNOWN: /* ONCE-2 */
        reply_kept(call->reply, reply);
        call->failed = call->reply->failed;
        return;
    case STORE_ONCE_CLOSED: fail_closed(call); return;
    case STORE_ONCE_NEW: break;
    }
    if (!call->may_write)
        call->refused = true;
    else if (store_once_has_room(call->store, call->once->client, call->now_us))
        run_first(call);
    else
        command_fail(call, "ERR 100000 clients have used ONCE on this partition within the last "
                           "hour, and more are not remembered: it did not run");
}

/* ---- wherever the entry is applied ---- */

/* _ONCE client number lowest-open time reply. What cannot be is not put. */
static void execute_keep(struct command_call *call)
{
    const struct slice *words = call->arguments;
    struct store_once_request request = {.client = words[1]};
    struct slice known;
    int64_t lowest_open, at_us;
    bool good = words[1].size && words[1].size <= STORE_ONCE_NAME_MAX &&
                take_number(words[2], &request.number) && !slice_to_i64(words[3], &lowest_open) &&
                lowest_open >= 0 && !slice_to_i64(words[4], &at_us) && at_us >= 0 &&
                words[5].size <= STORE_ONCE_REPLY_MAX &&
                store_once_find(call->store, words[1], request.number, &known) == STORE_ONCE_NEW;
    call->failed = !good;
    if (!good)
        return;
    request.lowest_open = (uint64_t)lowest_open;
    store_once_put(call->store, &request, words[5], at_us);
}

static const struct command rows[] = {
    {NUMBER_ONCE, "_ONCE", 6, COMMAND_WRITE | COMMAND_INTERNAL | COMMAND_EFFECT, 1, 1, 1,
     "@write @slow", "Keep the reply of a numbered request", "generic", "1.0.0", execute_keep, 0},
};

struct command_family command_family_once(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
