/* One request to several partitions: each gets its part as a request of its own, with all that a
 * request has (forward, hold, gate, error), and the answers become one. The parts stand side by
 * side in the line of replies, so nothing overtakes them. A part is atomic, the whole is not
 * (docs/decisions/0025). */
#include "server/inside.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

#define SAID_SIZE 256

enum combine {
    COMBINE_SUM,   /* of numbers */
    COMBINE_LEAST, /* of numbers, each place apart */
    COMBINE_OK,
    COMBINE_ITEMS,  /* of arrays, one behind the other */
    COMBINE_PLACES, /* of arrays with an item for each key, in the order of the keys */
    COMBINE_ONE,    /* of those that are not null */
};

struct part {
    struct group_id group;
    size_t first, count; /* of its keys in scatter.keys */
};

struct piece {
    size_t offset, size;
};

struct scatter {
    size_t users; /* parts in the line of replies, and whoever builds it */
    enum combine combine;
    bool writes;
    int protocol;
    struct part *parts; /* owned, as all arrays here */
    size_t part_count, taken;
    size_t *keys; /* arguments that are keys, part by part */
    size_t key_count;
    int64_t numbers[2];
    size_t number_count;
    struct buffer items;
    size_t item_count;
    struct piece *pieces; /* PLACES: in items, by argument */
    size_t failed;
    bool differ;          /* the parts that failed do not say the same */
    char said[SAID_SIZE]; /* an error of one of them, */
    struct group_id failed_group;
};

static const struct {
    const char *name;
    enum combine combine;
} combines[] = {
    {"DBSIZE", COMBINE_SUM},  {"DEL", COMBINE_SUM},       {"EXISTS", COMBINE_SUM},
    {"FLUSHALL", COMBINE_OK}, {"FLUSHDB", COMBINE_OK},    {"KEYS", COMBINE_ITEMS},
    {"MGET", COMBINE_PLACES}, {"RANDOMKEY", COMBINE_ONE}, {"TOUCH", COMBINE_SUM},
    {"UNLINK", COMBINE_SUM},  {"WAIT", COMBINE_LEAST},    {"WAITAOF", COMBINE_LEAST},
};

static enum combine combine_of(const struct command *command)
{
    size_t i = 0;
    while (strcmp(combines[i].name, command->name) != 0) {
        i++;
        assert(i < sizeof combines / sizeof combines[0]); /* it has the flag, so it stands here */
    }
    return combines[i].combine;
}

void scatter_unref(struct scatter *scatter)
{
    if (!scatter || --scatter->users)
        return;
    memory_free(scatter->parts);
    memory_free(scatter->keys);
    memory_free(scatter->pieces);
    buffer_deinit(&scatter->items);
    memory_free(scatter);
}

/* ---- which partitions ---- */

static void add_part(struct scatter *scatter, struct group_id group)
{
    size_t count = scatter->part_count;
    if ((count & (count - 1)) == 0) /* a power of two: full */
        scatter->parts =
            memory_resize(scatter->parts, (count ? 2 * count : 1) * sizeof *scatter->parts);
    scatter->parts[scatter->part_count++] = (struct part){.group = group};
}

/* False: a slot has no partition. */
static bool take_all(struct scatter *scatter, const struct control_catalogue *catalogue,
                     uint64_t keyspace)
{
    for (unsigned slot = 0; slot < STORE_SLOTS;) {
        const struct control_partition *partition = catalogue_find_slot(catalogue, keyspace, slot);
        if (!partition)
            return false;
        add_part(scatter, partition->group);
        slot = partition->last_slot + 1;
    }
    return true;
}

/* Where this connection has written. Nowhere: any partition can say how many replicas there are. */
static bool take_written(struct scatter *scatter, const struct control_catalogue *catalogue,
                         const struct client *client)
{
    const struct writes *writes = &client->session.writes;
    for (size_t i = 0; i < writes->capacity; i++) {
        const struct control_partition *partition =
            writes->at[i].used ? catalogue_find_group(catalogue, writes->at[i].group) : NULL;
        if (partition && partition->keyspace == client->keyspace && !partition->dropped)
            add_part(scatter, partition->group);
    }
    const struct control_partition *any = catalogue_find_slot(catalogue, client->keyspace, 0);
    if (!scatter->part_count && any)
        add_part(scatter, any->group);
    return scatter->part_count > 0;
}

/* Which part each key is of, then the keys part by part. */
static void order_keys(struct scatter *scatter, const size_t *part_of, const size_t *keys)
{
    size_t first = 0;
    for (size_t i = 0; i < scatter->key_count; i++)
        scatter->parts[part_of[i]].count++;
    for (size_t i = 0; i < scatter->part_count; i++) {
        scatter->parts[i].first = first;
        first += scatter->parts[i].count;
        scatter->parts[i].count = 0;
    }
    for (size_t i = 0; i < scatter->key_count; i++) {
        struct part *part = &scatter->parts[part_of[i]];
        scatter->keys[part->first + part->count++] = keys[i];
    }
}

/* False: a key has no partition, or all are in one. */
static bool take_keys(struct scatter *scatter, const struct control_catalogue *catalogue,
                      uint64_t keyspace, const struct command *command,
                      const struct slice *arguments, size_t count)
{
    size_t *numbers =
        memory_zeroed(catalogue->partition_count, sizeof *numbers); /* of parts, + 1 */
    size_t *keys = memory_allocate(2 * count * sizeof *keys), *part_of = keys + count, at = 0;
    bool found = true;
    while (found && (at = command_next_key(command, arguments, count, at)) != 0) {
        const struct control_partition *partition =
            catalogue_find_slot(catalogue, keyspace, store_slot(arguments[at]));
        found = partition != NULL;
        if (!found)
            break;
        size_t *number = &numbers[partition - catalogue->partitions];
        if (!*number) {
            add_part(scatter, partition->group);
            *number = scatter->part_count;
        }
        part_of[scatter->key_count] = *number - 1;
        keys[scatter->key_count++] = at;
    }
    found &= scatter->part_count > 1;
    if (found) {
        scatter->keys = memory_allocate(scatter->key_count * sizeof *keys);
        order_keys(scatter, part_of, keys);
    }
    memory_free(keys);
    memory_free(numbers);
    return found;
}

/* Most requests are: nothing is to be taken for them. */
static bool is_in_one(const struct control_catalogue *catalogue, uint64_t keyspace,
                      const struct command *command, const struct slice *arguments, size_t count)
{
    const struct control_partition *first = NULL;
    size_t at = 0;
    while ((at = command_next_key(command, arguments, count, at)) != 0) {
        unsigned slot = store_slot(arguments[at]);
        if (!first)
            first = catalogue_find_slot(catalogue, keyspace, slot);
        if (!first || slot < first->first_slot || slot > first->last_slot)
            return false;
    }
    return first != NULL;
}

struct scatter *scatter_plan(struct server *server, const struct client *client,
                             const struct command *command, const struct slice *arguments,
                             size_t count)
{
    const struct control_catalogue *catalogue = control_catalogue(server->options.control);
    const struct control_keyspace *keyspace = catalogue_find_id(catalogue, client->keyspace);
    if (!keyspace || keyspace->dropped || keyspace->contract.partitions == 1 ||
        is_in_one(catalogue, keyspace->id, command, arguments, count))
        return NULL;
    struct scatter *scatter = memory_zeroed(1, sizeof *scatter);
    scatter->users = 1;
    scatter->combine = combine_of(command);
    scatter->writes = command->flags & COMMAND_WRITE;
    scatter->protocol = client->protocol;
    buffer_init(&scatter->items, REPLY_SIZE_MAX);
    bool found = command->flags & COMMAND_WHOLE ? take_all(scatter, catalogue, keyspace->id)
                 : command->flags & COMMAND_ROUTED
                     ? take_written(scatter, catalogue, client)
                     : take_keys(scatter, catalogue, keyspace->id, command, arguments, count);
    if (found && scatter->combine == COMBINE_PLACES)
        scatter->pieces = memory_zeroed(count, sizeof *scatter->pieces);
    if (found)
        return scatter;
    scatter_unref(scatter);
    return NULL;
}

/* ---- the parts go ---- */

/* Where the part runs; {0}: here, or nobody knows. */
static struct peer_id target_of(struct server *server, struct group_id group, bool *here)
{
    struct replica *replica = node_group(server->node, group);
    *here = replica && replica_is_serving(replica);
    return *here ? (struct peer_id){0} : node_leader_elsewhere(server->node, group);
}

/* What cannot go now waits as a refused forward does: nobody has it, and route.c sends it. */
static void start_part(struct server *server, struct client *client, struct scatter *scatter,
                       size_t place, const struct routed_call *call)
{
    bool here;
    struct group_id group = scatter->parts[place].group;
    struct peer_id target = target_of(server, group, &here);
    struct pending pending = {.group = group,
                              .database = client->database,
                              .protocol = client->protocol,
                              .writes = scatter->writes,
                              .ack = client->ack,
                              .since_ns = node_turn(server->node)->now_ns,
                              .scatter = scatter,
                              .part = place};
    if (call->command->flags & COMMAND_ROUTED)
        pending.since_ns += wait_patience_ns(call->command, call->arguments, call->count);
    scatter->users++;
    if (here &&
        route_run(server, &client->session, &pending, call->command, call->arguments, call->count))
        return;
    buffer_init(&pending.request, REPLY_SIZE_MAX);
    wire_request_encode(call->arguments, call->count, &pending.request);
    if (target.node.value && forward_send(server, client, &pending, target))
        return;
    buffer_init(&pending.own, REPLY_SIZE_MAX);
    pending.kind = PENDING_REROUTE;
    pending.staged = false;
    session_push(server, &client->session, &pending);
    route_hold(server, client);
}

static bool may_start(struct server *server, struct client *client, const struct scatter *scatter)
{
    bool here;
    for (size_t i = 0; i < scatter->part_count; i++) {
        struct group_id group = scatter->parts[i].group;
        if (lane_is_awaited(client, group, target_of(server, group, &here)))
            return false;
    }
    return node_formation(server->node) != NULL;
}

enum routed scatter_start(struct server *server, struct client *client, struct scatter *scatter,
                          const struct command *command, const struct slice *arguments,
                          size_t count)
{
    enum routed routed = ROUTED_HOLD;
    if (may_start(server, client, scatter)) {
        struct slice *words = memory_allocate(count * sizeof *words);
        memcpy(words, arguments, count * sizeof *words);
        for (size_t i = 0; i < scatter->part_count; i++) {
            const struct part *part = &scatter->parts[i];
            for (size_t k = 0; k < part->count; k++)
                words[1 + k] = arguments[scatter->keys[part->first + k]];
            struct routed_call call = {command, words, scatter->keys ? 1 + part->count : count,
                                       NULL};
            start_part(server, client, scatter, i, &call);
        }
        memory_free(words);
        routed = ROUTED_DONE;
    }
    scatter_unref(scatter);
    return routed;
}

/* ---- the answers come, in the order of the parts ---- */

static bool is_unknown(const char *error)
{
    return strncmp(error, "UNKNOWNOUTCOME", 14) == 0;
}

/* One is told; one that leaves something unknown before any other. */
static void note_error(struct scatter *scatter, struct slice text, struct group_id group)
{
    char said[SAID_SIZE];
    snprintf(said, sizeof said, "%.*s",
             (int)(text.size < sizeof said ? text.size : sizeof said - 1), (const char *)text.at);
    bool first = scatter->failed++ == 0;
    scatter->differ |= !first && strcmp(said, scatter->said) != 0;
    if (!first && (is_unknown(scatter->said) || !is_unknown(said)))
        return;
    memcpy(scatter->said, said, sizeof said);
    scatter->failed_group = group;
}

static void note_number(struct scatter *scatter, size_t place, int64_t number)
{
    int64_t *so_far = &scatter->numbers[place];
    if (scatter->combine == COMBINE_SUM)
        *so_far += number;
    else if (place >= scatter->number_count || number < *so_far)
        *so_far = number;
    if (place >= scatter->number_count)
        scatter->number_count = place + 1;
}

/* The bytes of each item, to be put where its key stands. */
static void note_places(struct scatter *scatter, const struct part *part, struct slice items)
{
    for (size_t i = 0; i < part->count; i++) {
        size_t size = 0, offset = scatter->items.size;
        if (resp_reply_size(items, &size) || buffer_append(&scatter->items, items.at, size))
            return;
        scatter->pieces[scatter->keys[part->first + i]] = (struct piece){offset, size};
        items = slice_of(items.at + size, items.size - size);
    }
}

static void note_one(struct server *server, struct scatter *scatter, struct slice reply)
{
    scatter->item_count++;
    if (io_random(server->io) % scatter->item_count)
        return;
    buffer_reset(&scatter->items);
    if (buffer_append(&scatter->items, reply.at, reply.size))
        buffer_reset(&scatter->items); /* cannot be: it fitted where it comes from */
}

static void note(struct server *server, struct scatter *scatter, const struct pending *pending)
{
    struct slice reply = slice_of_buffer(&pending->own), rest = reply;
    const struct part *part = &scatter->parts[pending->part];
    struct resp_item item;
    if (resp_item_take(&rest, &item)) {
        note_error(scatter, slice_of_text("ERR the answer cannot be read"), part->group);
    } else if (item.type == '-') {
        note_error(scatter, item.bytes, part->group);
    } else if (item.type == ':') {
        note_number(scatter, 0, item.integer);
    } else if (scatter->combine == COMBINE_LEAST) {
        for (size_t i = 0; i < 2 && !resp_item_take(&rest, &item); i++)
            note_number(scatter, i, item.integer);
    } else if (scatter->combine == COMBINE_PLACES) {
        note_places(scatter, part, rest);
    } else if (scatter->combine == COMBINE_ITEMS) {
        scatter->item_count += (size_t)item.integer;
        if (buffer_append(&scatter->items, rest.at, rest.size))
            note_error(scatter, slice_of_text("ERR the reply is larger than 1 GiB"), part->group);
    } else if (scatter->combine == COMBINE_ONE && item.type != '_') {
        note_one(server, scatter, reply);
    }
}

/* What some partitions have done cannot be called back: TRYAGAIN of another would be a lie. */
static void reply_failed(const struct scatter *scatter, struct reply *reply)
{
    const char *rest = strchr(scatter->said, ' ');
    unsigned long long group = scatter->failed_group.value;
    if (scatter->failed == scatter->part_count && !scatter->differ)
        reply_error(reply, "%s", scatter->said);
    else if (scatter->writes && scatter->failed < scatter->part_count)
        reply_error(reply,
                    "UNKNOWNOUTCOME %zu of %zu partitions ran the command, the others failed; "
                    "partition %llu: %s",
                    scatter->part_count - scatter->failed, scatter->part_count, group,
                    scatter->said);
    else
        reply_error(reply, "%.*s partition %llu:%s",
                    (int)(rest ? (size_t)(rest - scatter->said) : strlen(scatter->said)),
                    scatter->said, group, rest ? rest : "");
}

static void reply_bytes(struct reply *reply, struct slice bytes)
{
    if (bytes.size && buffer_append(reply->out, bytes.at, bytes.size))
        reply->overflowed = true;
}

static void reply_places(const struct scatter *scatter, struct reply *reply, size_t arguments)
{
    reply_array(reply, scatter->key_count);
    for (size_t i = 0; i < arguments; i++)
        reply_bytes(reply, slice_of(scatter->items.at + scatter->pieces[i].offset,
                                    scatter->pieces[i].size));
}

static void reply_whole(const struct scatter *scatter, struct reply *reply)
{
    if (scatter->failed) {
        reply_failed(scatter, reply);
        return;
    }
    switch (scatter->combine) {
    case COMBINE_LEAST:
        if (scatter->number_count > 1)
            reply_array(reply, scatter->number_count);
        for (size_t i = 0; i < scatter->number_count; i++)
            reply_integer(reply, scatter->numbers[i]);
        return;
    case COMBINE_SUM: reply_integer(reply, scatter->numbers[0]); return;
    case COMBINE_OK: reply_ok(reply); return;
    case COMBINE_PLACES: reply_places(scatter, reply, scatter->key_count + 1); return;
    case COMBINE_ITEMS: reply_array(reply, scatter->item_count); break;
    case COMBINE_ONE:
        if (!scatter->item_count)
            reply_null(reply);
        break;
    }
    reply_bytes(reply, slice_of_buffer(&scatter->items));
}

void scatter_take(struct server *server, struct session *session, const struct pending *pending)
{
    struct scatter *scatter = pending->scatter;
    note(server, scatter, pending);
    if (++scatter->taken < scatter->part_count)
        return;
    struct reply reply = {.out = &session->out, .protocol = scatter->protocol};
    size_t before = session->out.size;
    reply_whole(scatter, &reply);
    if (reply.overflowed) {
        session->out.size = before;
        reply = (struct reply){.out = &session->out, .protocol = 2};
        reply_error(&reply, "ERR the command ran, but its reply is larger than 1 GiB");
    }
    session->released = session->out.size; /* nothing is staged behind an unstaged one */
}
