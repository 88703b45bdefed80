/* events.c - what has become of nodes and replicas, as reports (CONTROL-8), and EVENTS, which tells
 * them. Who knows of a transition says it: a replica's own node of its loading and catching up, the
 * leader of its group that it is down or behind, every node with a replica of `system` of a node's
 * duty. Where several know, all say it under one key, and it is there once (CONTROL-19).
 *
 * A record: JSON, version 1, under event:NAME. */
#include "control/inside.h"

#include "base/memory.h"

#include <jansson.h>

#include <stdio.h>

#define KIND           "event:"
#define RECORD_VERSION 1
#define EVENT_COUNT    100 /* told when nobody says how many */

/* ---- what this node reports ---- */

static json_t *or_null(uint64_t number, bool known)
{
    return known ? json_integer((json_int_t)number) : json_null();
}

bool control_tell_event(struct control *control, const struct control_event *event)
{
    char key[CONTROL_REPORT_KEY_SIZE];
    if (control->reports.count >= CONTROL_REPORTS_MAX / 2)
        return false; /* what was lost goes before what happened */
    snprintf(key, sizeof key, KIND "%s", event->name);
    json_t *root =
        json_pack("{s:i,s:I,s:s,s:o,s:o,s:o,s:s}", "version", RECORD_VERSION, "at_ms",
                  (json_int_t)event->at_ms, "kind", event->kind, "node",
                  or_null(event->node.value, event->node.value), "partition",
                  or_null(event->group.value, event->has_group), "replica",
                  or_null(event->replica.value, event->replica.value), "text", event->text);
    char text[CONTROL_REPORT_TEXT_MAX];
    size_t size = json_dumpb(root, text, sizeof text, JSON_COMPACT);
    bool taken = size <= sizeof text && control_report(control, key, slice_of(text, size));
    json_decref(root);
    return taken;
}

/* ---- duties ---- */

static void tell_duty(struct control *control, const struct control_node *node)
{
    static const char *const words[] = {"serves again", "is drained: its replicas go elsewhere",
                                        "is down for long and given up until it is back",
                                        "was removed for good"};
    char name[64], text[CONTROL_LINE_SIZE];
    snprintf(name, sizeof name, "duty-%llu-%llx", (unsigned long long)node->member.id.value,
             (unsigned long long)node->since_us);
    snprintf(text, sizeof text, "node %llu (%s) %s", (unsigned long long)node->member.id.value,
             node->member.client_address, words[node->duty]);
    struct control_event event = {.name = name,
                                  .kind = "duty",
                                  .node = node->member.id,
                                  .at_ms = node->since_us / 1000,
                                  .text = text};
    (void)control_tell_event(control, &event);
}

void events_compare(struct control *control, const struct control_catalogue *newer)
{
    const struct control_catalogue *older = &control->catalogue;
    if (control->options.follows || !control->has_catalogue ||
        !node_group(control->node, GROUP_SYSTEM))
        return;
    for (size_t i = 0; i < newer->node_count; i++) {
        const struct control_node *node = &newer->members[i];
        const struct control_node *before = catalogue_find_node(older, node->member.id);
        if (before && before->since_us != node->since_us)
            tell_duty(control, node);
    }
}

/* ---- EVENTS [COUNT n] [keyspace], on the leader of `system` ---- */

struct events {
    struct command_call *call;
    struct control_catalogue catalogue;
    int64_t count;
    const struct control_keyspace *keyspace; /* NULL: all */
};

static bool fail(struct command_call *call, const char *error)
{
    call->failed = true;
    reply_error(call->reply, "%s", error);
    return false;
}

/* False: the error was replied. */
static bool take_arguments(struct events *events)
{
    struct command_call *call = events->call;
    size_t at = 1;
    events->count = EVENT_COUNT;
    if (at < call->count && slice_is_word(call->arguments[at], "COUNT")) {
        if (at + 1 == call->count || slice_to_i64(call->arguments[at + 1], &events->count) ||
            events->count < 1)
            return fail(call, "ERR COUNT takes a number from 1 on");
        at += 2;
    }
    if (at + 1 < call->count)
        return fail(call, "ERR EVENTS takes [COUNT n] [keyspace]");
    if (at == call->count)
        return true;
    events->keyspace = catalogue_find_name(&events->catalogue, call->arguments[at]);
    return events->keyspace || fail(call, "ERR there is no such keyspace: KEYSPACE LIST shows all");
}

static const struct control_keyspace *keyspace_of(const struct events *events, const json_t *record)
{
    const json_t *number = json_object_get(record, "partition");
    struct group_id group = {(uint64_t)json_integer_value(number)};
    const struct control_partition *partition =
        json_is_integer(number) ? catalogue_find_group(&events->catalogue, group) : NULL;
    return partition ? catalogue_find_id(&events->catalogue, partition->keyspace) : NULL;
}

static void tell_number(struct reply *reply, const json_t *record, const char *name)
{
    const json_t *value = json_object_get(record, name);
    reply_text(reply, name);
    if (json_is_integer(value))
        reply_integer(reply, json_integer_value(value));
    else
        reply_null(reply);
}

static void tell_text(struct reply *reply, const char *name, const char *text)
{
    reply_text(reply, name);
    if (text)
        reply_text(reply, text);
    else
        reply_null(reply);
}

static void tell_event(const struct events *events, const json_t *record)
{
    struct reply *reply = events->call->reply;
    const struct control_keyspace *keyspace = keyspace_of(events, record);
    reply_map(reply, 7);
    tell_number(reply, record, "at_ms");
    tell_text(reply, "kind", json_string_value(json_object_get(record, "kind")));
    tell_text(reply, "keyspace", keyspace ? keyspace->name : NULL);
    tell_number(reply, record, "partition");
    tell_number(reply, record, "replica");
    tell_number(reply, record, "node");
    tell_text(reply, "text", json_string_value(json_object_get(record, "text")));
}

/* The newest first. */
static void tell_all(const struct events *events)
{
    struct control_reported *records;
    size_t count = control_reported(events->call->store, KIND, &records);
    json_t *chosen = json_array();
    for (size_t i = count; i > 0 && (int64_t)json_array_size(chosen) < events->count; i--) {
        struct slice text = records[i - 1].text;
        json_t *record = json_loadb((const char *)text.at, text.size, 0, NULL);
        if (record && (!events->keyspace || keyspace_of(events, record) == events->keyspace))
            json_array_append(chosen, record);
        json_decref(record);
    }
    reply_array(events->call->reply, json_array_size(chosen));
    for (size_t i = 0; i < json_array_size(chosen); i++)
        tell_event(events, json_array_get(chosen, i));
    json_decref(chosen);
    memory_free(records);
}

void control_execute_events(struct command_call *call)
{
    struct events events = {.call = call};
    catalogue_init(&events.catalogue);
    catalogue_read_store(&events.catalogue, call->store);
    if (take_arguments(&events))
        tell_all(&events);
    catalogue_deinit(&events.catalogue);
}
