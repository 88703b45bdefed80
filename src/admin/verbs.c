/* CONFIG GET, STATUS, DEBUG, NODE, and the rows of all verbs (ECOSYSTEM 1.3 and 1.5). */
#include "admin/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- CONFIG ---- */

/* A glob of the kind CONFIG GET uses most: a name, or a prefix with *. */
static bool name_matches(struct slice pattern, const char *name)
{
    if (pattern.size && pattern.at[pattern.size - 1] == '*') {
        size_t size = pattern.size - 1;
        return strlen(name) >= size && strncasecmp((const char *)pattern.at, name, size) == 0;
    }
    return slice_is_word(pattern, name);
}

static void serve_config(struct server_call *call)
{
    const struct admin *admin = call->owner;
    size_t found = 0;
    bool is_get = slice_is_word(call->arguments[1], "GET");
    if (is_get && call->count < 3) {
        reply_error(call->reply, "ERR wrong number of arguments for 'config|get' command");
        return;
    }
    if (!is_get) {
        reply_error(call->reply,
                    "ERR only CONFIG GET is available: options are given at start, see "
                    "holdfastd --help");
        return;
    }
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            reply_map(call->reply, found);
        for (size_t i = 0; i < admin->option_count; i++) {
            bool matches = false;
            for (size_t k = 2; k < call->count && !matches; k++)
                matches = name_matches(call->arguments[k], admin->options[i].name);
            found += matches && !pass;
            if (!matches || !pass)
                continue;
            reply_text(call->reply, admin->options[i].name);
            reply_text(call->reply, admin->options[i].value);
        }
    }
}

static void serve_status(struct server_call *call)
{
    struct admin_view view;
    struct buffer text;
    if (!admin_ask(call, SHARE_PARTITIONS, 0, &view))
        return;
    buffer_init(&text, 1u << 24);
    admin_status(call, &view, &text);
    reply_bulk(call->reply, slice_of_buffer(&text));
    buffer_deinit(&text);
}

static void digest_text(uint64_t digest, char out[17])
{
    snprintf(out, 17, "%016llx", (unsigned long long)digest);
}

/* Partition and digest in turn, of the replicas that are here. */
static void digests_of_keyspace(struct server_call *call)
{
    const struct admin *admin = call->owner;
    const struct control_keyspace *keyspace =
        catalogue_find_name(control_catalogue(admin->control), call->arguments[2]);
    struct admin_view view;
    size_t found = 0;
    char text[17];
    if (!keyspace) {
        reply_error(call->reply, "ERR no such keyspace");
        return;
    }
    if (!admin_ask(call, SHARE_DIGESTS, keyspace->id, &view))
        return;
    for (unsigned i = 0; i < view.count; i++)
        found += view.shares[i] ? view.shares[i]->count : 0;
    reply_map(call->reply, found);
    for (unsigned i = 0; i < view.count; i++)
        for (size_t k = 0; view.shares[i] && k < view.shares[i]->count; k++) {
            digest_text(view.shares[i]->counts[k].digest, text);
            reply_integer(call->reply, (int64_t)view.shares[i]->counts[k].group.value);
            reply_text(call->reply, text);
        }
}

/* Equal on replicas that have applied the same entries (STORE-2). Linear in the keys, and the node
 * does nothing else meanwhile: for tests and drills. */
static void serve_debug(struct server_call *call)
{
    char text[17];
    struct admin_view view;
    if (!slice_is_word(call->arguments[1], "DIGEST") || call->count > 3) {
        reply_error(call->reply, "ERR only DEBUG DIGEST [keyspace] is available");
        return;
    }
    if (!node_is_started(call->node)) {
        reply_error(call->reply, "TRYAGAIN this node waits for the nodes named by --join");
        return;
    }
    if (call->count == 3) {
        digests_of_keyspace(call);
        return;
    }
    if (!admin_ask(call, SHARE_DIGESTS, KEYSPACE_DEFAULT, &view))
        return;
    for (unsigned i = 0; i < view.count; i++)
        if (view.shares[i] && view.shares[i]->count) {
            digest_text(view.shares[i]->counts[0].digest, text);
            reply_status(call->reply, text);
            return;
        }
    reply_error(call->reply, "ERR this node has no replica of keyspace default");
}

static void serve_node(struct server_call *call)
{
    const struct admin *admin = call->owner;
    struct slice word = call->arguments[1];
    bool is_probe = slice_is_word(word, "PROBE"), is_promise = slice_is_word(word, "PROMISE");
    if ((is_probe && call->count != 2) || (is_promise && call->count != 5))
        reply_error(call->reply, "ERR wrong number of arguments for 'node|%s' command",
                    is_probe ? "probe" : "promise");
    else if (is_probe)
        control_answer(admin->control, call->reply);
    else if (is_promise)
        control_promise(admin->control, call->arguments, call->reply);
    else if (slice_is_word(word, "LIST") && call->count == 2)
        admin_serve_nodes(call);
    else if (slice_is_word(word, "REPORT"))
        admin_serve_report(call);
    else
        call->pass = !admin_serves_why(call); /* to the leader of `system` */
}

#define ROW(number_, name_, arity_, summary_, function)                                            \
    {                                                                                              \
        .row = {.number = number_,                                                                 \
                .name = name_,                                                                     \
                .arity = arity_,                                                                   \
                .flags = COMMAND_CONNECTION | COMMAND_ADMIN | COMMAND_LOADING,                     \
                .categories = "@admin @slow @dangerous",                                           \
                .summary = summary_,                                                               \
                .group = "server",                                                                 \
                .since = "1.0.0"},                                                                 \
        .serve = function                                                                          \
    }

static const struct server_verb rows[] = {
    ROW(1201, "INFO", -1, "Tells about this node.", admin_serve_info),
    ROW(1202, "ROLE", 1, "master while this node's lease on `default` is valid, else slave.",
        admin_serve_role),
    ROW(1203, "CONFIG", -2, "Shows options (GET).", serve_config),
    ROW(1204, "STATUS", 1, "This node's view of the cluster as JSON.", serve_status),
    ROW(1206, "DEBUG", -2, "DIGEST: of what this replica holds; stops the node while it counts.",
        serve_debug),
    {.row =
         {.number = 1205,
          .name = "NODE",
          .arity = -2,
          .flags = COMMAND_WRITE | COMMAND_WHOLE | COMMAND_ADMIN | COMMAND_SYSTEM |
                   COMMAND_LOADING | COMMAND_PEER,
          .categories = "@admin @slow @dangerous",
          .summary =
              "LIST, DRAIN, UNDRAIN, REPLACE, REMOVE and RAISE: the members of the cluster; WHY: "
              "what stands in a node's way; REPORT: failed writes, as somebody counted.",
          .group = "server",
          .since = "1.0.0",
          .execute = control_execute_node},
     .serve = serve_node},
    {.row = {.number = 2071,
             .name = "REPLICA",
             .arity = -2,
             .flags = COMMAND_WRITE | COMMAND_WHOLE | COMMAND_ADMIN | COMMAND_SYSTEM,
             .categories = "@admin @slow @dangerous",
             .summary = "MOVE: a replica to another node; ADD, REMOVE: a reader; WHY: what stands "
                        "in its way.",
             .group = "server",
             .since = "1.0.0",
             .execute = control_execute_replica},
     .serve = admin_pass_but_why},
    {.row = {.number = 1207,
             .name = "KEYSPACE",
             .arity = -2,
             .flags = COMMAND_WRITE | COMMAND_WHOLE | COMMAND_ADMIN | COMMAND_SYSTEM,
             .categories = "@admin @slow @dangerous",
             .summary =
                 "CREATE, LIST, INFO, EXPLAIN, WHY, ALTER and DROP: keyspaces and their contracts.",
             .group = "server",
             .since = "1.0.0",
             .execute = control_execute_keyspace},
     .serve = admin_pass_but_why},
    {.row = {.number = 2030,
             .name = "LOSS",
             .arity = -2,
             .flags = COMMAND_WRITE | COMMAND_WHOLE | COMMAND_ADMIN | COMMAND_SYSTEM,
             .categories = "@admin @slow @dangerous",
             .summary =
                 "LIST, SHOW, REPLAY and DISCARD: acknowledged writes that a failover has cut.",
             .group = "server",
             .since = "1.0.0",
             .execute = control_execute_loss},
     .serve = admin_serve_loss},
    {.row = {.number = 2031,
             .name = "LEDGER",
             .arity = -4,
             .flags = COMMAND_CONNECTION | COMMAND_ADMIN | COMMAND_PEER | COMMAND_HIDDEN,
             .categories = "@admin @slow @dangerous",
             .summary = "What this node has set aside of one term of one partition.",
             .group = "server",
             .since = "1.0.0"},
     .serve = admin_serve_ledger},
    ROW(2070, "WHATIF", -2, "LOSE node, host, zone or site ... [AND ...]: what would be left.",
        admin_serve_whatif),
    {.row = {.number = 2072,
             .name = "WHY",
             .arity = -2,
             .flags = COMMAND_CONNECTION | COMMAND_ADMIN | COMMAND_LOADING | COMMAND_PEER,
             .categories = "@admin @slow @dangerous",
             .summary = "KEYSPACE, NODE, PARTITION or REPLICA: what stands in its way, whom it "
                        "waits for, since when.",
             .group = "server",
             .since = "1.0.0"},
     .serve = admin_serve_why},
    {.row = {.number = 2073,
             .name = "ALERTS",
             .arity = -1,
             .flags = COMMAND_CONNECTION | COMMAND_ADMIN | COMMAND_LOADING | COMMAND_PEER,
             .categories = "@admin @slow @dangerous",
             .summary = "What is wrong now, since when, and what to do.",
             .group = "server",
             .since = "1.0.0"},
     .serve = admin_serve_alerts},
    {.row = {.number = 2041,
             .name = "FAILOVERS",
             .arity = -1,
             .flags = COMMAND_READ | COMMAND_WHOLE | COMMAND_ADMIN | COMMAND_SYSTEM,
             .categories = "@admin @slow @dangerous",
             .summary = "A record of each change of leader: why, who voted, how long it took, what "
                        "was cut.",
             .group = "server",
             .since = "1.0.0",
             .execute = control_execute_failovers}},
    {.row = {.number = 2042,
             .name = "EVENTS",
             .arity = -1,
             .flags = COMMAND_READ | COMMAND_WHOLE | COMMAND_ADMIN | COMMAND_SYSTEM,
             .categories = "@admin @slow @dangerous",
             .summary = "What has become of nodes and replicas, the newest first.",
             .group = "server",
             .since = "1.0.0",
             .execute = control_execute_events}},
    {.row = {.number = 2060,
             .name = "PARTITION",
             .arity = -2,
             .flags = COMMAND_WRITE | COMMAND_WHOLE | COMMAND_ADMIN | COMMAND_SYSTEM,
             .categories = "@admin @slow @dangerous",
             .summary = "EXPLAIN: why the copies of a partition are where they are; TRANSFER: "
                        "another node leads it.",
             .group = "server",
             .since = "1.0.0",
             .execute = control_execute_partition}},
    {.row = {.number = 2040,
             .name = "REPORT",
             .arity = 3,
             .flags =
                 COMMAND_WRITE | COMMAND_WHOLE | COMMAND_ADMIN | COMMAND_SYSTEM | COMMAND_HIDDEN,
             .categories = "@admin @slow @dangerous",
             .summary = "What a node reports to the cluster.",
             .group = "server",
             .since = "1.0.0",
             .execute = control_execute_report}},
    {.row = {.number = 2050,
             .name = "MEMBER",
             .arity = -2,
             .flags =
                 COMMAND_WRITE | COMMAND_WHOLE | COMMAND_ADMIN | COMMAND_SYSTEM | COMMAND_HIDDEN,
             .categories = "@admin @slow @dangerous",
             .summary = "What a node says that joins the cluster.",
             .group = "server",
             .since = "1.0.0",
             .execute = control_execute_member}},
};

struct server_verbs admin_verbs(struct admin *admin)
{
    return (struct server_verbs){
        .verbs = rows, .count = sizeof rows / sizeof rows[0], .owner = admin};
}
