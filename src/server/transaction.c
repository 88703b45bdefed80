/* MULTI, EXEC, WATCH. The client's own node keeps what is queued; EXEC sends all of it as one
 * request to the leader, which runs it as one entry (REPLICA-7). What is watched lives with the
 * session at the leader: a leader that does not know of it cannot vouch for it, and EXEC answers
 * null.
 *
 *   EXEC, as the leader gets it: watch epoch, watched keys, then for each request: how many
 *   arguments, the arguments. WATCH: watch epoch, keys. An epoch is what is watched between two
 * ends (EXEC, DISCARD, UNWATCH) at the client's node. */
#include "server/inside.h"

#include "base/memory.h"

#include <stdio.h>

#define QUEUE_SIZE_MAX  (512u << 20)
#define QUEUE_COUNT_MAX (1u << 20)

void transaction_init(struct transaction *transaction)
{
    *transaction = (struct transaction){.epoch = 1};
    buffer_init(&transaction->requests, QUEUE_SIZE_MAX);
}

void transaction_deinit(struct transaction *transaction)
{
    buffer_deinit(&transaction->requests);
}

static void close_queue(struct transaction *transaction)
{
    transaction->open = transaction->failed = false;
    transaction->count = transaction->words = 0;
    buffer_deinit(&transaction->requests);
    buffer_init(&transaction->requests, QUEUE_SIZE_MAX);
}

void transaction_end(struct transaction *transaction)
{
    close_queue(transaction);
    transaction->watched = 0;
    transaction->epoch++;
}

/* ---- queueing, at the client's node ---- */

static enum status add_word(struct transaction *transaction, struct slice word)
{
    uint8_t size[VARINT_SIZE_MAX];
    size_t length = varint_store(size, word.size);
    transaction->words++;
    if (buffer_append(&transaction->requests, size, length))
        return STATUS_TOO_LARGE;
    return word.size ? buffer_append(&transaction->requests, word.at, word.size) : STATUS_OK;
}

static enum status add_request(struct transaction *transaction, const struct slice *arguments,
                               size_t count)
{
    char number[24];
    int size = snprintf(number, sizeof number, "%zu", count);
    enum status status = add_word(transaction, slice_of(number, (size_t)size));
    for (size_t i = 0; !status && i < count; i++)
        status = add_word(transaction, arguments[i]);
    transaction->count++;
    return status;
}

void transaction_queue(struct client *client, const struct command *command,
                       const struct slice *arguments, size_t count, struct reply *reply)
{
    struct transaction *transaction = &client->transaction;
    if (command->flags & (COMMAND_CONNECTION | COMMAND_ROUTED | COMMAND_SYSTEM | COMMAND_ONCE)) {
        transaction->failed = true;
        reply_error(reply, "ERR %s is not allowed inside a transaction", command->name);
        return;
    }
    /* It is to be one entry, as a request is. Of one that has failed nothing more is kept. */
    size_t size_max = client->parser.request_size_max;
    bool fits = transaction->failed || (transaction->count < QUEUE_COUNT_MAX &&
                                        !add_request(transaction, arguments, count) &&
                                        transaction->requests.size <= size_max);
    if (fits) {
        reply_status(reply, "QUEUED");
        return;
    }
    transaction->failed = true;
    reply_error(reply, "ERR transaction exceeds twice the maximum size of a string "
                       "(proto-max-bulk-len) or 1048576 commands");
}

void transaction_serve_multi(struct server_call *call)
{
    struct client *client = call->owner;
    if (client->transaction.open) {
        reply_error(call->reply, "ERR MULTI calls can not be nested");
        return;
    }
    client->transaction.open = true;
    reply_ok(call->reply);
}

void transaction_serve_discard(struct server_call *call)
{
    struct client *client = call->owner;
    if (!client->transaction.open) {
        reply_error(call->reply, "ERR DISCARD without MULTI");
        return;
    }
    transaction_end(&client->transaction);
    reply_ok(call->reply);
}

void transaction_serve_unwatch(struct server_call *call)
{
    struct client *client = call->owner;
    client->transaction.watched = 0;
    client->transaction.epoch++;
    reply_ok(call->reply);
}

/* ---- what is sent to the leader ---- */

static struct slice number_word(char text[24], uint64_t value)
{
    int size = snprintf(text, 24, "%llu", (unsigned long long)value);
    return slice_of(text, (size_t)size);
}

static struct slice *words_of(const struct transaction *transaction, char numbers[2][24],
                              size_t *count)
{
    struct slice *words = memory_allocate((3 + transaction->words) * sizeof *words);
    struct slice rest = slice_of_buffer(&transaction->requests);
    size_t used = 0;
    words[used++] = slice_of_text("EXEC");
    words[used++] = number_word(numbers[0], transaction->epoch);
    words[used++] = number_word(numbers[1], transaction->watched);
    for (size_t i = 0; i < transaction->words; i++) {
        uint64_t size = 0;
        struct slice word = {0};
        if (varint_take(&rest, &size) || slice_take(&rest, (size_t)size, &word))
            break; /* cannot be: it was written by add_word */
        words[used++] = word;
    }
    *count = used;
    return words;
}

enum routed transaction_exec(struct server *server, struct client *client,
                             const struct command *command)
{
    struct transaction *transaction = &client->transaction;
    char numbers[2][24];
    size_t count = 0;
    struct slice *words = words_of(transaction, numbers, &count);
    enum routed routed = route_data(server, client, command, words, count);
    memory_free(words);
    if (routed == ROUTED_DONE)
        transaction_end(transaction);
    return routed;
}

enum routed transaction_watch(struct server *server, struct client *client,
                              const struct command *command, const struct slice *arguments,
                              size_t count)
{
    struct transaction *transaction = &client->transaction;
    char number[24];
    struct slice *words = memory_allocate((count + 1) * sizeof *words);
    words[0] = arguments[0];
    words[1] = number_word(number, transaction->epoch);
    memcpy(words + 2, arguments + 1, (count - 1) * sizeof *words);
    enum routed routed = route_data(server, client, command, words, count + 1);
    memory_free(words);
    if (routed == ROUTED_DONE)
        transaction->watched += count - 1;
    return routed;
}

/* ---- at the leader: WATCH ---- */

static void forget_watches(struct watches *watches)
{
    memory_free(watches->list);
    *watches = (struct watches){0};
}

void watches_deinit(struct watches *watches)
{
    forget_watches(watches);
}

/* Watches of another epoch were ended by the client; what was seen in another term proves nothing
 * here. */
static void begin_epoch(struct watches *watches, uint64_t epoch, uint64_t term)
{
    if (watches->epoch != epoch || watches->term != term)
        forget_watches(watches);
    watches->epoch = epoch;
    watches->term = term;
}

static void add_watch(struct watches *watches, const struct watched *watched)
{
    if (watches->count == watches->capacity) {
        watches->capacity = watches->capacity ? watches->capacity * 2 : 4;
        watches->list = memory_resize(watches->list, watches->capacity * sizeof *watches->list);
    }
    watches->list[watches->count++] = *watched;
}

/* The version is of the newest write, committed or not: the reads that follow wait for it (gates),
 * and if it is cut the term changes with it. */
static bool run_watch(struct session *session, const struct pending *pending,
                      struct replica *replica, const struct routed_call *call)
{
    int64_t epoch = 0;
    if (call->count < 3 || slice_to_i64(call->arguments[1], &epoch))
        return false;
    begin_epoch(&session->watches, (uint64_t)epoch, raft_view(replica_raft(replica))->term);
    for (size_t i = 2; i < call->count; i++) {
        struct store_key key = store_key_of(pending->database, call->arguments[i]);
        uint64_t hash = store_key_hash(replica_store(replica), &key);
        struct watched watched = {.hash = hash, .version = replica_key_version(replica, hash)};
        add_watch(&session->watches, &watched);
    }
    reply_ok(call->reply);
    return true;
}

/* ---- at the leader: EXEC ---- */

static bool is_unchanged(const struct watches *watches, const struct replica *replica,
                         uint64_t epoch, uint64_t count)
{
    if (!count)
        return true;
    if (watches->epoch != epoch || watches->count != count ||
        watches->term != raft_view(replica_raft(replica))->term)
        return false;
    for (size_t i = 0; i < watches->count; i++)
        if (replica_key_version(replica, watches->list[i].hash) != watches->list[i].version)
            return false;
    return true;
}

/* NULL: malformed, or a command that this node does not have (another version sent it). */
static struct command_call *calls_of(struct server *server, const struct pending *pending,
                                     const struct routed_call *call, size_t *count)
{
    struct command_call *calls = memory_allocate(call->count * sizeof *calls);
    *count = 0;
    for (size_t at = 3; at < call->count;) {
        int64_t words = 0;
        bool good = !slice_to_i64(call->arguments[at++], &words) && words > 0 &&
                    (uint64_t)words <= call->count - at;
        const struct command *command =
            good ? command_find(server->commands, call->arguments[at]) : NULL;
        if (!command || !command->execute || !command_arity_fits(command, (size_t)words)) {
            memory_free(calls);
            return NULL;
        }
        calls[(*count)++] = (struct command_call){.command = command,
                                                  .database = pending->database,
                                                  .arguments = call->arguments + at,
                                                  .count = (size_t)words,
                                                  .value_size_max = server->options.bulk_size_max,
                                                  .reply = call->reply};
        at += (size_t)words;
    }
    return calls;
}

static bool run_all(struct server *server, struct pending *pending, struct replica *replica,
                    const struct routed_call *call)
{
    size_t count = 0, before = call->reply->out->size;
    struct command_call *calls = calls_of(server, pending, call, &count);
    if (!calls)
        return false;
    reply_array(call->reply, count);
    enum replica_outcome outcome = REPLICA_RAN;
    if (count)
        outcome =
            replica_execute_all(replica, node_turn(server->node), calls, count, &pending->gate);
    memory_free(calls);
    if (outcome == REPLICA_RAN && count)
        pending->kind = PENDING_GATED;
    if (outcome == REPLICA_NO_SPACE) {
        call->reply->out->size = before;
        reply_error(call->reply, ROUTE_NO_SPACE);
    }
    return outcome != REPLICA_NOT_SERVING;
}

static bool run_exec(struct server *server, struct session *session, struct pending *pending,
                     struct replica *replica, const struct routed_call *call)
{
    int64_t epoch = 0, watched = 0;
    if (call->count < 3 || slice_to_i64(call->arguments[1], &epoch) ||
        slice_to_i64(call->arguments[2], &watched))
        return false;
    bool unchanged = is_unchanged(&session->watches, replica, (uint64_t)epoch, (uint64_t)watched);
    forget_watches(&session->watches);
    if (unchanged)
        return run_all(server, pending, replica, call);
    reply_null_array(call->reply);
    return true;
}

bool transaction_run(struct server *server, struct session *session, struct pending *pending,
                     struct replica *replica, const struct routed_call *call)
{
    if (call->command->flags & COMMAND_WRITE)
        return run_exec(server, session, pending, replica, call);
    return run_watch(session, pending, replica, call);
}
