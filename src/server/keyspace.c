/* Which keyspace a connection has open, and which of its partitions a request is for. */
#include "server/inside.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- SELECT ---- */

/* What is watched is watched at the leader of the keyspace that would be left. */
static void open_keyspace(struct server_call *call, uint64_t keyspace, uint8_t database)
{
    struct client *client = call->owner;
    if (client->keyspace != keyspace && client->transaction.watched) {
        reply_error(call->reply, "ERR this connection watches keys: EXEC or UNWATCH before another "
                                 "keyspace is opened");
        return;
    }
    client->keyspace = keyspace;
    client->database = database;
    reply_ok(call->reply);
}

static void select_found(struct server_call *call, const struct control_keyspace *keyspace,
                         int64_t number)
{
    struct slice word = call->arguments[1];
    if (!keyspace && number >= 0)
        open_keyspace(call, KEYSPACE_DEFAULT, (uint8_t)number);
    else if (!keyspace)
        reply_error(call->reply, "ERR there is no keyspace '%.*s': KEYSPACE LIST shows all",
                    (int)(word.size < 64 ? word.size : 64), (const char *)word.at);
    else if (keyspace->id == KEYSPACE_SYSTEM)
        reply_error(call->reply, "ERR keyspace system is the cluster's own: KEYSPACE and NODE are "
                                 "the way to it");
    else
        open_keyspace(call, keyspace->id, 0);
}

/* Database 0 and `default` are the same on every node for ever. What else a number or a name stands
 * for, this node must be sure of: with an old catalogue it would write to the wrong place. */
void keyspace_serve_select(struct server_call *call)
{
    struct client *client = call->owner;
    struct slice word = call->arguments[1];
    struct control *control = call->server->options.control;
    int64_t number = -1;
    bool is_number = slice_to_i64(word, &number) == STATUS_OK;
    if (!is_number && !cluster_name_is_valid(word)) {
        reply_error(call->reply,
                    "ERR value is not an integer or out of range: SELECT takes 0 to "
                    "%d, or a name of KEYSPACE LIST",
                    STORE_DATABASES - 1);
        return;
    }
    if (is_number && (number < 0 || number >= STORE_DATABASES)) {
        reply_error(call->reply,
                    "ERR DB index is out of range: SELECT takes 0 to %d, or a name "
                    "of KEYSPACE LIST",
                    STORE_DATABASES - 1);
        return;
    }
    if (number == 0 || slice_is_word(word, "default")) {
        select_found(call, NULL, 0);
        return;
    }
    if (!client->select_ticket)
        client->select_ticket = control_ask(control);
    call->later = !control_is_confirmed(control, client->select_ticket);
    if (call->later)
        return;
    client->select_ticket = 0;
    const struct control_catalogue *catalogue = control_catalogue(control);
    select_found(call,
                 is_number ? catalogue_find_database(catalogue, (unsigned)number)
                           : catalogue_find_name(catalogue, word),
                 is_number ? number : -1);
}

/* ---- the partition of a request ---- */

static bool refuse(char why[ROUTE_WHY_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool refuse(char why[ROUTE_WHY_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, ROUTE_WHY_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* A request whose partition is being looked for: all of its keys must be in one. */
struct search {
    const struct control_catalogue *catalogue;
    const struct control_keyspace *keyspace;
    const struct control_partition *found; /* NULL: no key seen yet */
    char *why;                             /* ROUTE_WHY_SIZE */
};

static bool look_at_key(struct search *search, struct slice key)
{
    const struct control_partition *partition =
        catalogue_find_slot(search->catalogue, search->keyspace->id, store_slot(key));
    if (!partition)
        return refuse(search->why, "ERR keyspace %s has no partition for slot %u",
                      search->keyspace->name, store_slot(key));
    if (search->found && search->found != partition)
        return refuse(search->why,
                      "CROSSSLOT Keys in request don't hash to the same slot: they are in "
                      "partitions %llu and %llu of keyspace %s; a common {tag} brings them "
                      "together",
                      (unsigned long long)search->found->group.value,
                      (unsigned long long)partition->group.value, search->keyspace->name);
    search->found = partition;
    return true;
}

static bool look_at_request(struct search *search, const struct command *command,
                            const struct slice *arguments, size_t count)
{
    size_t at = 0;
    if (command->flags & COMMAND_WHOLE)
        return refuse(search->why,
                      "ERR %s looks at keys that it does not name, and keyspace %s has %u "
                      "partitions: here or in MULTI that works only in keyspaces of one",
                      command->name, search->keyspace->name, search->keyspace->contract.partitions);
    while ((at = command_next_key(command, arguments, count, at)) != 0)
        if (!look_at_key(search, arguments[at]))
            return false;
    return true;
}

/* What EXEC sends: two numbers, then for each request how many words, and the words. */
static bool look_at_transaction(struct search *search, const struct command_table *commands,
                                const struct slice *arguments, size_t count)
{
    for (size_t at = 3; at < count;) {
        int64_t words = 0;
        if (slice_to_i64(arguments[at++], &words) || words < 1 || (uint64_t)words > count - at)
            return refuse(search->why, "ERR the transaction cannot be read");
        const struct command *command = command_find(commands, arguments[at]);
        if (command && !look_at_request(search, command, arguments + at, (size_t)words))
            return false;
        at += (size_t)words;
    }
    return true;
}

/* WATCH sends a number in front of its keys; WAIT has none. */
static bool look_at_routed(struct search *search, const struct command_table *commands,
                           const struct command *command, const struct slice *arguments,
                           size_t count)
{
    if (strcmp(command->name, "EXEC") == 0)
        return look_at_transaction(search, commands, arguments, count);
    if (strcmp(command->name, "WATCH") != 0)
        return true;
    for (size_t i = 2; i < count; i++)
        if (!look_at_key(search, arguments[i]))
            return false;
    return true;
}

/* SCAN goes on in the partition at whose slots its cursor stands. */
static bool look_at_cursor(struct search *search, struct slice word)
{
    int64_t cursor = 0;
    if (slice_to_i64(word, &cursor) || cursor < 0)
        cursor = 0; /* the command itself says what is wrong with it */
    search->found = catalogue_find_slot(search->catalogue, search->keyspace->id,
                                        store_cursor_slot((uint64_t)cursor));
    return true;
}

uint64_t keyspace_beyond(struct server *server, struct group_id group)
{
    if (group.value <= GROUP_DEFAULT.value)
        return 0;
    const struct control_partition *partition =
        catalogue_find_group(control_catalogue(server->options.control), group);
    bool last = !partition || partition->last_slot + 1 == STORE_SLOTS;
    return last ? 0 : store_cursor_at(partition->last_slot + 1);
}

static bool find_by_keys(struct server *server, struct search *search,
                         const struct command *command, const struct slice *arguments, size_t count)
{
    bool found = false;
    if (command->flags & COMMAND_ROUTED)
        found = look_at_routed(search, server->commands, command, arguments, count);
    else if (strcmp(command->name, "SCAN") == 0)
        found = look_at_cursor(search, arguments[1]);
    else
        found = look_at_request(search, command, arguments, count);
    if (found && !search->found) /* no keys: any partition can tell */
        search->found = catalogue_find_slot(search->catalogue, search->keyspace->id, 0);
    return found;
}

/* COPY ... DB n: a number that stands for another keyspace, or for `default` from within one. */
static bool crosses(const struct control_catalogue *catalogue, const struct client *client,
                    const struct command *command, const struct slice *arguments, size_t count)
{
    int64_t number;
    if (strcmp(command->name, "COPY") != 0)
        return false;
    for (size_t i = 3; i + 1 < count; i++) {
        if (!slice_is_word(arguments[i], "DB") || slice_to_i64(arguments[i + 1], &number))
            continue;
        if (client->keyspace != KEYSPACE_DEFAULT)
            return true;
        return number > 0 && number < STORE_DATABASES &&
               catalogue_find_database(catalogue, (unsigned)number);
    }
    return false;
}

bool keyspace_takes(struct server *server, const struct client *client,
                    const struct command *command, const struct slice *arguments, size_t count,
                    char why[ROUTE_WHY_SIZE])
{
    const struct control_catalogue *catalogue = control_catalogue(server->options.control);
    return !(command->flags & COMMAND_WHOLE) ||
           !crosses(catalogue, client, command, arguments, count) ||
           refuse(why, "ERR COPY from one keyspace to another is refused");
}

bool keyspace_find_group(struct server *server, const struct client *client,
                         const struct command *command, const struct slice *arguments, size_t count,
                         struct group_id *group, char why[ROUTE_WHY_SIZE])
{
    const struct control_catalogue *catalogue = control_catalogue(server->options.control);
    struct routed_call inner = {command, arguments, count, NULL};
    struct store_once_request once;
    if ((command->flags & COMMAND_ONCE) && once_unwrap(server, &inner, &once))
        return keyspace_find_group(server, client, inner.command, inner.arguments, inner.count,
                                   group, why);
    *group = command->flags & COMMAND_SYSTEM ? GROUP_SYSTEM : GROUP_DEFAULT;
    if (command->flags & COMMAND_SYSTEM)
        return true;
    if (!keyspace_takes(server, client, command, arguments, count, why))
        return false;
    if (client->keyspace == KEYSPACE_DEFAULT)
        return true;
    const struct control_keyspace *keyspace = catalogue_find_id(catalogue, client->keyspace);
    if (!keyspace) { /* of a connection that came from another worker: records are kept for ever */
        (void)control_ask(server->options.control);
        return refuse(why, "TRYAGAIN this node has not heard of the connection's keyspace yet; the "
                           "command did not run");
    }
    if (keyspace->dropped)
        return refuse(why, "ERR keyspace %s was dropped: SELECT another one", keyspace->name);
    struct search search = {catalogue, keyspace, NULL, why};
    if (keyspace->contract.partitions == 1)
        search.found = catalogue_find_slot(catalogue, keyspace->id, 0);
    else if (!find_by_keys(server, &search, command, arguments, count))
        return false;
    if (!search.found)
        return refuse(why, "ERR keyspace %s has no partition", keyspace->name);
    *group = search.found->group;
    return true;
}

struct store *keyspace_store_here(struct server *server, const struct client *client,
                                  const struct store_key *key)
{
    struct group_id group = GROUP_DEFAULT;
    if (client->keyspace != KEYSPACE_DEFAULT) {
        const struct control_partition *partition = catalogue_find_slot(
            control_catalogue(server->options.control), client->keyspace, key->slot);
        if (!partition)
            return NULL;
        group = partition->group;
    }
    struct replica *replica = node_group(server->node, group);
    return replica && replica_is_serving(replica) ? replica_store(replica) : NULL;
}
