/* INFO, ROLE, CONFIG GET (ECOSYSTEM 1.3 and 1.5). */
#include "admin/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ADMIN-1 */
static bool leads(struct server_call *call, struct replica *replica)
{
    return replica && replica_is_serving(replica) &&
           raft_lease_is_valid(replica_raft(replica), io_now_ns(call->io));
}

static void split_address(const char *address, char host[64], int *port)
{
    const char *colon = strrchr(address, ':');
    size_t size = colon ? (size_t)(colon - address) : strlen(address);
    bool bracketed = size >= 2 && address[0] == '[' && address[size - 1] == ']';
    snprintf(host, 64, "%.*s", (int)(size - 2 * bracketed), address + bracketed);
    int64_t number = 0;
    (void)!(colon && slice_to_i64(slice_of_text(colon + 1), &number) == STATUS_OK);
    *port = (int)number;
}

static const struct node_member *leader_member(struct server_call *call)
{
    struct node_id leader = node_is_started(call->node) ? node_leader_of(call->node, GROUP_DEFAULT)
                                                        : (struct node_id){0};
    return leader.value ? node_member(call->node, leader) : NULL;
}

static void role_of_master(struct server_call *call, struct replica *replica)
{
    const struct raft *raft = replica_raft(replica);
    const struct raft_configuration *configuration = raft_configuration(raft);
    char host[64], text[24];
    int port;
    size_t others = 0;
    for (size_t i = 0; i < configuration->member_count; i++)
        others += !node_id_equal(configuration->members[i].node, node_formation(call->node)->self);
    reply_array(call->reply, 3);
    reply_text(call->reply, "master");
    reply_integer(call->reply, (int64_t)raft_view(raft)->commit);
    reply_array(call->reply, others);
    for (size_t i = 0; i < configuration->member_count; i++) {
        const struct raft_member *member = &configuration->members[i];
        const struct node_member *node = node_member(call->node, member->node);
        struct raft_progress progress = {0};
        if (node_id_equal(member->node, node_formation(call->node)->self))
            continue;
        (void)!raft_progress(raft, member->replica, &progress);
        split_address(node ? node->client_address : "", host, &port);
        reply_array(call->reply, 3);
        reply_text(call->reply, host);
        snprintf(text, sizeof text, "%d", port);
        reply_text(call->reply, text);
        snprintf(text, sizeof text, "%llu", (unsigned long long)progress.persisted);
        reply_text(call->reply, text);
    }
}

static void serve_role(struct server_call *call)
{
    struct replica *replica =
        node_is_started(call->node) ? node_group(call->node, GROUP_DEFAULT) : NULL;
    if (leads(call, replica)) {
        role_of_master(call, replica);
        return;
    }
    const struct node_member *leader = leader_member(call);
    char host[64] = "";
    int port = 0;
    if (leader)
        split_address(leader->client_address, host, &port);
    reply_array(call->reply, 5);
    reply_text(call->reply, "slave");
    reply_text(call->reply, host);
    reply_integer(call->reply, port);
    reply_text(call->reply, leader ? "connected" : "connect");
    reply_integer(call->reply, replica ? (int64_t)replica_applied(replica) : -1);
}

/* ---- INFO ---- */

static bool wants(const struct server_call *call, const char *section)
{
    if (call->count == 1)
        return true;
    for (size_t i = 1; i < call->count; i++)
        if (slice_is_word(call->arguments[i], section) ||
            slice_is_word(call->arguments[i], "all") ||
            slice_is_word(call->arguments[i], "everything") ||
            slice_is_word(call->arguments[i], "default"))
            return true;
    return false;
}

static void info_server(struct server_call *call, struct buffer *out)
{
    const struct admin *admin = call->owner;
    struct server_facts facts;
    char address[IO_ADDRESS_SIZE], host[64];
    int port;
    server_facts(call->server, &facts);
    server_address(call->server, address);
    split_address(address, host, &port);
    uint64_t up = (node_turn(call->node)->now_ns - facts.started_ns) / 1000000000;
    admin_add(out,
              "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nos:Linux\r\n"
              "arch_bits:64\r\nprocess_id:%d\r\nrun_id:%040llx\r\ntcp_port:%d\r\n"
              "uptime_in_seconds:%llu\r\nuptime_in_days:%llu\r\nholdfast_version:%s\r\n\r\n",
              (int)admin->process, (unsigned long long)node_incarnation(call->node), port,
              (unsigned long long)up, (unsigned long long)(up / 86400), admin->version);
    admin_add(out,
              "# Clients\r\nconnected_clients:%llu\r\nblocked_clients:%llu\r\nmaxclients:10000\r\n"
              "\r\n",
              (unsigned long long)facts.connections, (unsigned long long)facts.held);
}

static void info_persistence(struct server_call *call, struct buffer *out)
{
    struct wal *wal = node_wal(call->node);
    admin_add(out,
              "# Persistence\r\nloading:0\r\nwal_durable_batch:%llu\r\nwal_written_batch:%llu\r\n"
              "wal_room_bytes:%llu\r\nwal_disk_full:%d\r\n\r\n",
              (unsigned long long)wal_durable_ticket(wal),
              (unsigned long long)wal_written_ticket(wal), (unsigned long long)wal_room(wal),
              wal_disk_is_full(wal));
}

static void info_stats(struct server_call *call, struct buffer *out)
{
    struct server_facts facts;
    server_facts(call->server, &facts);
    admin_add(out,
              "# Stats\r\ntotal_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n"
              "total_error_replies:%llu\r\nforwarded_requests:%llu\r\nrefused_forwards:%llu\r\n"
              "unknown_outcomes:%llu\r\nheld_connections:%llu\r\n\r\n",
              (unsigned long long)facts.connections_total, (unsigned long long)facts.commands_total,
              (unsigned long long)facts.errors_total, (unsigned long long)facts.forwarded_total,
              (unsigned long long)facts.refused_total, (unsigned long long)facts.unknown_total,
              (unsigned long long)facts.held);
}

static void info_replication(struct server_call *call, struct buffer *out)
{
    struct replica *replica =
        node_is_started(call->node) ? node_group(call->node, GROUP_DEFAULT) : NULL;
    const struct node_member *leader = leader_member(call);
    char host[64] = "";
    int port = 0;
    if (leader)
        split_address(leader->client_address, host, &port);
    const struct raft_view *view = replica ? raft_view(replica_raft(replica)) : NULL;
    uint64_t offset = view ? view->commit : 0;
    if (leads(call, replica))
        admin_add(out, "# Replication\r\nrole:master\r\nconnected_slaves:%zu\r\n",
                  raft_configuration(replica_raft(replica))->member_count - 1);
    else
        admin_add(out,
                  "# Replication\r\nrole:slave\r\nmaster_host:%s\r\nmaster_port:%d\r\n"
                  "master_link_status:%s\r\nmaster_sync_in_progress:0\r\nslave_read_only:1\r\n"
                  "slave_repl_offset:%llu\r\n",
                  host, port, leader ? "up" : "down",
                  (unsigned long long)(replica ? replica_applied(replica) : 0));
    admin_add(out, "master_repl_offset:%llu\r\nterm:%llu\r\n\r\n", (unsigned long long)offset,
              (unsigned long long)(view ? view->term : 0));
}

static void info_memory(struct server_call *call, struct buffer *out)
{
    uint64_t bytes = 0;
    for (size_t i = 0; node_is_started(call->node) && i < node_group_count(call->node); i++)
        bytes += store_memory_bytes(replica_store(node_group_at(call->node, i)));
    admin_add(out,
              "# Memory\r\nused_memory:%llu\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\r\n",
              (unsigned long long)bytes);
}

static void serve_info(struct server_call *call)
{
    struct buffer text;
    buffer_init(&text, 1u << 20);
    if (wants(call, "server") || wants(call, "clients"))
        info_server(call, &text);
    if (wants(call, "memory"))
        info_memory(call, &text);
    if (wants(call, "persistence"))
        info_persistence(call, &text);
    if (wants(call, "stats"))
        info_stats(call, &text);
    if (wants(call, "replication"))
        info_replication(call, &text);
    if (wants(call, "cluster"))
        admin_add(&text, "# Cluster\r\ncluster_enabled:0\r\n\r\n");
    if (wants(call, "keyspace"))
        admin_info_keyspaces(call, &text);
    reply_verbatim(call->reply, slice_of_buffer(&text));
    buffer_deinit(&text);
}

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
    struct buffer text;
    buffer_init(&text, 1u << 24);
    admin_status(call, &text);
    reply_bulk(call->reply, slice_of_buffer(&text));
    buffer_deinit(&text);
}

static void digest_text(struct replica *replica, char out[17])
{
    snprintf(out, 17, "%016llx", (unsigned long long)store_digest(replica_store(replica)));
}

static bool is_of(const struct control_catalogue *catalogue, struct group_id group,
                  const struct control_keyspace *keyspace)
{
    const struct control_partition *partition = catalogue_find_group(catalogue, group);
    return partition && partition->keyspace == keyspace->id;
}

/* Partition and digest in turn, of the replicas that are here. */
static void digests_of_keyspace(struct server_call *call)
{
    const struct admin *admin = call->owner;
    const struct control_catalogue *catalogue = control_catalogue(admin->control);
    const struct control_keyspace *keyspace = catalogue_find_name(catalogue, call->arguments[2]);
    size_t found = 0;
    char text[17];
    if (!keyspace) {
        reply_error(call->reply, "ERR no such keyspace");
        return;
    }
    for (int pass = 0; pass < 2; pass++) {
        if (pass)
            reply_map(call->reply, found);
        for (size_t i = 0; i < node_group_count(call->node); i++) {
            struct replica *replica = node_group_at(call->node, i);
            if (!is_of(catalogue, replica_group(replica), keyspace))
                continue;
            found += !pass;
            if (!pass)
                continue;
            digest_text(replica, text);
            reply_integer(call->reply, (int64_t)replica_group(replica).value);
            reply_text(call->reply, text);
        }
    }
}

/* Equal on replicas that have applied the same entries (STORE-2). Linear in the keys, and the node
 * does nothing else meanwhile: for tests and drills. */
static void serve_debug(struct server_call *call)
{
    char text[17];
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
    struct replica *replica = node_group(call->node, GROUP_DEFAULT);
    if (!replica) {
        reply_error(call->reply, "ERR this node has no replica of keyspace default");
        return;
    }
    digest_text(replica, text);
    reply_status(call->reply, text);
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
    else
        reply_error(call->reply, "ERR unknown subcommand '%.*s'. Try holdfast status.",
                    (int)(word.size < 64 ? word.size : 64), (const char *)word.at);
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
    ROW(1201, "INFO", -1, "Tells about this node.", serve_info),
    ROW(1202, "ROLE", 1, "master while this node's lease on `default` is valid, else slave.",
        serve_role),
    ROW(1203, "CONFIG", -2, "Shows options (GET).", serve_config),
    ROW(1204, "STATUS", 1, "This node's view of the cluster as JSON.", serve_status),
    ROW(1206, "DEBUG", -2, "DIGEST: of what this replica holds; stops the node while it counts.",
        serve_debug),
    ROW(1205, "NODE", -2, "What nodes ask each other before they are a cluster.", serve_node),
    {.row = {.number = 1207,
             .name = "KEYSPACE",
             .arity = -2,
             .flags = COMMAND_WRITE | COMMAND_WHOLE | COMMAND_ADMIN | COMMAND_SYSTEM,
             .categories = "@admin @slow @dangerous",
             .summary = "Creates, shows, explains and drops keyspaces.",
             .group = "server",
             .since = "1.0.0",
             .execute = control_execute_keyspace}},
    {.row = {.number = 2030,
             .name = "LOSS",
             .arity = -2,
             .flags = COMMAND_READ | COMMAND_WHOLE | COMMAND_ADMIN | COMMAND_SYSTEM,
             .categories = "@admin @slow @dangerous",
             .summary = "Lists, shows and discards acknowledged writes that a failover has cut.",
             .group = "server",
             .since = "1.0.0",
             .execute = control_execute_loss},
     .serve = admin_serve_loss},
    {.row = {.number = 2031,
             .name = "LEDGER",
             .arity = 4,
             .flags = COMMAND_CONNECTION | COMMAND_ADMIN | COMMAND_PEER | COMMAND_HIDDEN,
             .categories = "@admin @slow @dangerous",
             .summary = "What this node has set aside of one term of one partition.",
             .group = "server",
             .since = "1.0.0"},
     .serve = admin_serve_ledger},
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
