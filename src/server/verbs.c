/* What a client is told about itself: PING, HELLO, SELECT, CLIENT ... (ECOSYSTEM 1.1 to 1.3). */
#include "server/inside.h"

#include <stdio.h>

static struct client *client_of(struct server_call *call)
{
    return call->owner;
}

static void serve_ping(struct server_call *call)
{
    if (call->count > 2)
        reply_error(call->reply, "ERR wrong number of arguments for 'ping' command");
    else if (call->count == 2)
        reply_bulk(call->reply, call->arguments[1]);
    else
        reply_status(call->reply, "PONG");
}

static void serve_echo(struct server_call *call)
{
    reply_bulk(call->reply, call->arguments[1]);
}

static void serve_quit(struct server_call *call)
{
    reply_ok(call->reply);
    client_of(call)->closing = true;
}

static void serve_ok(struct server_call *call)
{
    reply_ok(call->reply);
}

static void serve_reset(struct server_call *call)
{
    struct client *client = client_of(call);
    client->protocol = 2;
    client->keyspace = KEYSPACE_DEFAULT;
    client->database = 0;
    client->name[0] = 0;
    client->ack = WIRE_ACK_CONTRACT;
    transaction_end(&client->transaction);
    reply_status(call->reply, "RESET");
}

/* There is one user, `default`, and it has no password: whoever names it is let in, whatever the
 * password; nobody else exists. False: an error was written. */
static bool let_in(struct server_call *call, struct slice user)
{
    if (slice_equal(user, slice_of_text("default")))
        return true;
    reply_error(call->reply, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

static void serve_auth(struct server_call *call)
{
    if (call->count > 3)
        reply_error(call->reply, "ERR syntax error");
    else if (call->count == 2)
        reply_error(call->reply,
                    "ERR AUTH <password> called without any password configured for the default "
                    "user. Are you sure your configuration is correct?");
    else if (let_in(call, call->arguments[1]))
        reply_ok(call->reply);
}

/* A page in a browser can make it send a request to any port, whose later lines are commands: what
 * begins like HTTP ends the connection before they run, without an answer. */
static void serve_http(struct server_call *call)
{
    struct misdirected *misdirected = &call->server->misdirected;
    io_stream_address(call->io, client_of(call)->stream, false, misdirected->address);
    misdirected->count++;
    client_of(call)->closing = true;
}

static void hello_facts(struct server_call *call, const struct client *client)
{
    struct replica *replica = node_group(call->node, GROUP_DEFAULT);
    reply_map(call->reply, 7);
    reply_text(call->reply, "server");
    reply_text(call->reply, "redis");
    reply_text(call->reply, "version");
    reply_text(call->reply, "7.0.15");
    reply_text(call->reply, "proto");
    reply_integer(call->reply, client->protocol);
    reply_text(call->reply, "id");
    reply_integer(call->reply, (int64_t)client->id);
    reply_text(call->reply, "mode");
    reply_text(call->reply, "standalone");
    reply_text(call->reply, "role");
    reply_text(call->reply, replica && replica_is_serving(replica) ? "master" : "replica");
    reply_text(call->reply, "modules");
    reply_array(call->reply, 0);
}

/* A name without spaces or control bytes; false: refused. */
static bool take_name(struct slice from, char out[CLIENT_NAME_SIZE])
{
    if (from.size >= CLIENT_NAME_SIZE)
        return false;
    for (size_t i = 0; i < from.size; i++)
        if (from.at[i] < '!' || from.at[i] > '~')
            return false;
    if (from.size)
        memcpy(out, from.at, from.size);
    out[from.size] = 0;
    return true;
}

static void serve_hello(struct server_call *call)
{
    struct client *client = client_of(call);
    const char *name = NULL;
    char chosen[CLIENT_NAME_SIZE];
    int64_t protocol = client->protocol;
    size_t i = 1;
    if (call->count > 1 &&
        (slice_to_i64(call->arguments[i++], &protocol) || protocol < 2 || protocol > 3)) {
        reply_error(call->reply, "NOPROTO unsupported protocol version");
        return;
    }
    for (; i < call->count; i++) {
        if (slice_is_word(call->arguments[i], "SETNAME") && i + 1 < call->count) {
            if (!take_name(call->arguments[++i], chosen)) {
                reply_error(call->reply, "ERR Client names cannot contain spaces, newlines or "
                                         "special characters.");
                return;
            }
            name = chosen;
        } else if (slice_is_word(call->arguments[i], "AUTH") && i + 2 < call->count) {
            if (!let_in(call, call->arguments[i + 1]))
                return;
            i += 2;
        } else {
            reply_error(call->reply, "ERR Syntax error in HELLO option '%.*s'",
                        (int)(call->arguments[i].size < 64 ? call->arguments[i].size : 64),
                        (const char *)call->arguments[i].at);
            return;
        }
    }
    if (name)
        snprintf(client->name, sizeof client->name, "%s", name);
    client->protocol = call->reply->protocol = (int)protocol;
    hello_facts(call, client);
}

/* ---- CLIENT ---- */

static void client_line(const struct server *server, const struct client *client, char out[512])
{
    char theirs[IO_ADDRESS_SIZE], ours[IO_ADDRESS_SIZE];
    io_stream_address(server->io, client->stream, false, theirs);
    io_stream_address(server->io, client->stream, true, ours);
    uint64_t now_ns = node_turn(server->node)->now_ns, age_ns = now_ns - client->opened_ns;
    uint64_t idle_ns = client->heard_ns ? now_ns - client->heard_ns : age_ns;
    snprintf(
        out, 512,
        "id=%llu addr=%s laddr=%s fd=%u name=%s age=%llu idle=%llu flags=N db=%u sub=0 "
        "psub=0 ssub=0 multi=-1 cmd=client user=default redir=-1 resp=%d lib-name=%s lib-ver=%s\n",
        (unsigned long long)client->id, theirs, ours, client->index, client->name,
        (unsigned long long)(age_ns / 1000000000), (unsigned long long)(idle_ns / 1000000000),
        client->database, client->protocol, client->library, client->library_version);
}

void server_tell_clients(struct server *server, struct buffer *out)
{
    char line[512];
    for (uint32_t i = 0; i < server->client_capacity; i++) {
        const struct client *client = server->clients[i];
        if (!client || !client->used)
            continue;
        client_line(server, client, line);
        (void)!buffer_append(out, line, strlen(line));
    }
}

static void client_list(struct server_call *call)
{
    const struct server_options *options = &call->server->options;
    struct buffer text;
    bool told = true;
    buffer_init(&text, REPLY_SIZE_MAX);
    if (options->tell_clients)
        told = options->tell_clients(options->clients_owner, call, &text);
    else
        server_tell_clients(call->server, &text);
    if (told)
        reply_verbatim(call->reply, slice_of_buffer(&text));
    buffer_deinit(&text);
}

static void client_setinfo(struct server_call *call, struct client *client)
{
    bool name = call->count == 4 && slice_is_word(call->arguments[2], "LIB-NAME");
    bool version = call->count == 4 && slice_is_word(call->arguments[2], "LIB-VER");
    if (!name && !version)
        reply_error(call->reply, "ERR syntax error");
    else if (take_name(call->arguments[3], name ? client->library : client->library_version))
        reply_ok(call->reply);
    else
        reply_error(call->reply, "ERR lib-name cannot contain spaces, newlines or special "
                                 "characters.");
}

static void client_help(struct server_call *call)
{
    static const char *const lines[] = {
        "CLIENT <subcommand> [<argument> ...]. Subcommands:",
        "GETNAME",
        "    The name of this connection.",
        "ID",
        "    The id of this connection.",
        "INFO",
        "    What LIST says of this connection.",
        "LIST",
        "    A line for each connection.",
        "NO-EVICT (ON|OFF), NO-TOUCH (ON|OFF)",
        "    Accepted; nothing is evicted.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Notes the client's library.",
        "SETNAME <name>",
        "    Names this connection.",
    };
    reply_array(call->reply, sizeof lines / sizeof *lines);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        reply_status(call->reply, lines[i]);
}

static void serve_client(struct server_call *call)
{
    struct client *client = client_of(call);
    struct slice word = call->arguments[1];
    char line[512];
    if (slice_is_word(word, "ID")) {
        reply_integer(call->reply, (int64_t)client->id);
    } else if (slice_is_word(word, "GETNAME")) {
        reply_text(call->reply, client->name);
    } else if (slice_is_word(word, "SETNAME") && call->count == 3) {
        if (take_name(call->arguments[2], client->name))
            reply_ok(call->reply);
        else
            reply_error(call->reply, "ERR Client names cannot contain spaces, newlines or "
                                     "special characters.");
    } else if (slice_is_word(word, "SETINFO")) {
        client_setinfo(call, client);
    } else if (slice_is_word(word, "INFO")) {
        client_line(call->server, client, line);
        reply_verbatim(call->reply, slice_of_text(line));
    } else if (slice_is_word(word, "LIST")) {
        client_list(call);
    } else if (slice_is_word(word, "HELP")) {
        client_help(call);
    } else if (slice_is_word(word, "NO-EVICT") || slice_is_word(word, "NO-TOUCH")) {
        reply_ok(call->reply);
    } else {
        reply_error(call->reply, "ERR unknown subcommand '%.*s'. Try CLIENT HELP.",
                    (int)(word.size < 64 ? word.size : 64), (const char *)word.at);
    }
}

static void serve_command(struct server_call *call)
{
    command_describe(call->server->commands, call->arguments, call->count, call->reply);
}

#define ROW(number_, name_, arity_, categories_, summary_, function)                               \
    {                                                                                              \
        .row = {.number = number_,                                                                 \
                .name = name_,                                                                     \
                .arity = arity_,                                                                   \
                .flags = COMMAND_CONNECTION | COMMAND_FAST | COMMAND_LOADING,                      \
                .categories = categories_,                                                         \
                .summary = summary_,                                                               \
                .group = "connection",                                                             \
                .since = "1.0.0"},                                                                 \
        .serve = function                                                                          \
    }

/* Runs at once between MULTI and EXEC. */
#define NOW_ROW(number_, name_, arity_, group_, summary_, function)                                \
    {                                                                                              \
        .row = {.number = number_,                                                                 \
                .name = name_,                                                                     \
                .arity = arity_,                                                                   \
                .flags = COMMAND_CONNECTION | COMMAND_FAST | COMMAND_NO_QUEUE,                     \
                .categories = "@fast",                                                             \
                .summary = summary_,                                                               \
                .group = group_,                                                                   \
                .since = "1.0.0"},                                                                 \
        .serve = function                                                                          \
    }

/* Goes to the leader: routed.c. */
#define ROUTED_ROW(number_, name_, arity_, flags_, first_, last_, step_, group_, summary_)         \
    {                                                                                              \
        .row = {.number = number_,                                                                 \
                .name = name_,                                                                     \
                .arity = arity_,                                                                   \
                .flags = COMMAND_ROUTED | (flags_),                                                \
                .first_key = first_,                                                               \
                .last_key = last_,                                                                 \
                .key_step = step_,                                                                 \
                .categories = "@slow",                                                             \
                .summary = summary_,                                                               \
                .group = group_,                                                                   \
                .since = "1.0.0"},                                                                 \
    }

#define HIDDEN_ROW(number_, name_, function)                                                       \
    {                                                                                              \
        .row = {.number = number_,                                                                 \
                .name = name_,                                                                     \
                .arity = -1,                                                                       \
                .flags = COMMAND_CONNECTION | COMMAND_FAST | COMMAND_LOADING | COMMAND_HIDDEN},    \
        .serve = function                                                                          \
    }

const struct server_verb server_own_verbs[] = {
    ROW(1001, "PING", -1, "@fast @connection", "Answers PONG, or the text given.", serve_ping),
    ROW(1002, "ECHO", 2, "@fast @connection", "Answers the text given.", serve_echo),
    NOW_ROW(1012, "MULTI", 1, "transactions", "Queues what follows, up to EXEC.",
            transaction_serve_multi),
    NOW_ROW(1013, "DISCARD", 1, "transactions", "Forgets what is queued and watched.",
            transaction_serve_discard),
    ROW(1014, "UNWATCH", 1, "@fast @transaction", "Forgets what is watched.",
        transaction_serve_unwatch),
    ROUTED_ROW(1015, "EXEC", -1, COMMAND_WRITE | COMMAND_NO_QUEUE, 0, 0, 0, "transactions",
               "Runs what is queued as one entry of the log."),
    ROUTED_ROW(1016, "WATCH", -2, COMMAND_READ | COMMAND_NO_QUEUE, 1, -1, 1, "transactions",
               "EXEC runs only if these keys are as they are now."),
    ROUTED_ROW(
        1017, "WAIT", 3, COMMAND_READ | COMMAND_PARTITIONS, 0, 0, 0, "generic",
        "On how many replicas the writes of this connection are; QUORUM and ALL: or an error."),
    ROUTED_ROW(1018, "WAITAOF", 4, COMMAND_READ | COMMAND_PARTITIONS, 0, 0, 0, "generic",
               "On how many disks the writes of this connection are."),
    {.row = {.number = 1022,
             .name = "ONCE",
             .arity = -4,
             .flags = COMMAND_WRITE | COMMAND_ONCE,
             .categories = "@write @slow",
             .summary = "Runs a write of a client at most once: a repetition of the same number "
                        "gets the answer of the first run.",
             .group = "generic",
             .since = "1.0.0"}},
    ROW(1019, "ACK", -1, "@fast @connection",
        "With how many copies a write of this connection is acknowledged.", keyspace_serve_ack),
    NOW_ROW(1003, "QUIT", -1, "connection", "Closes the connection.", serve_quit),
    NOW_ROW(1004, "RESET", 1, "connection", "Resets the connection.", serve_reset),
    ROW(1005, "SELECT", 2, "@fast @connection", "Opens a keyspace by its name or number.",
        keyspace_serve_select),
    ROW(1006, "HELLO", -1, "@fast @connection", "Chooses the protocol, 2 or 3.", serve_hello),
    ROW(1007, "AUTH", -2, "@fast @connection", "Authenticates the client.", serve_auth),
    ROW(1008, "CLIENT", -2, "@slow @connection", "Tells about and names connections.",
        serve_client),
    ROW(1009, "COMMAND", -1, "@slow @connection", "Describes the commands.", serve_command),
    ROW(1010, "READONLY", 1, "@fast @connection", "Accepted; every node serves every request.",
        serve_ok),
    ROW(1011, "READWRITE", 1, "@fast @connection", "Accepted; every node serves every request.",
        serve_ok),
    HIDDEN_ROW(1020, "POST", serve_http),
    HIDDEN_ROW(1021, "HOST:", serve_http),
};
const size_t server_own_verb_count = sizeof server_own_verbs / sizeof server_own_verbs[0];
