/* INFO and ROLE: what all workers of this node say, put together (ECOSYSTEM 1.3). */
#include "admin/inside.h"

#include <stdio.h>

/* ADMIN-1 */
static bool leads(struct server_call *call, const struct admin_view *view)
{
    return view->first && io_now_ns(call->io) < view->first->lease_until_ns;
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

static const struct node_member *leader_member(struct server_call *call,
                                               const struct admin_view *view)
{
    struct node_id leader = view->first ? view->first->leader
                            : node_is_started(call->node)
                                ? node_leader_of(call->node, GROUP_DEFAULT)
                                : (struct node_id){0};
    return leader.value ? node_member(call->node, leader) : NULL;
}

static bool is_self(struct server_call *call, struct node_id id)
{
    return node_id_equal(id, node_formation(call->node)->self);
}

static void role_of_master(struct server_call *call, const struct admin_default *first)
{
    char host[64], text[24];
    int port;
    size_t others = 0;
    for (size_t i = 0; i < first->member_count; i++)
        others += !is_self(call, first->members[i].node);
    reply_array(call->reply, 3);
    reply_text(call->reply, "master");
    reply_integer(call->reply, (int64_t)first->commit);
    reply_array(call->reply, others);
    for (size_t i = 0; i < first->member_count; i++) {
        const struct node_member *node = node_member(call->node, first->members[i].node);
        if (is_self(call, first->members[i].node))
            continue;
        split_address(node ? node->client_address : "", host, &port);
        reply_array(call->reply, 3);
        reply_text(call->reply, host);
        snprintf(text, sizeof text, "%d", port);
        reply_text(call->reply, text);
        snprintf(text, sizeof text, "%llu", (unsigned long long)first->members[i].persisted);
        reply_text(call->reply, text);
    }
}

void admin_serve_role(struct server_call *call)
{
    struct admin_view view;
    if (!admin_ask(call, SHARE_NUMBERS, 0, &view))
        return;
    if (leads(call, &view)) {
        role_of_master(call, view.first);
        return;
    }
    const struct node_member *leader = leader_member(call, &view);
    char host[64] = "";
    int port = 0;
    if (leader)
        split_address(leader->client_address, host, &port);
    reply_array(call->reply, 5);
    reply_text(call->reply, "slave");
    reply_text(call->reply, host);
    reply_integer(call->reply, port);
    reply_text(call->reply, leader ? "connected" : "connect");
    reply_integer(call->reply, view.first ? (int64_t)view.first->applied : -1);
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

static void info_server(struct server_call *call, const struct admin_view *view, struct buffer *out)
{
    const struct admin *admin = call->owner;
    const struct server_facts *facts = &view->facts;
    char host[64];
    int port;
    split_address(view->lowest->address, host, &port);
    uint64_t up = (node_turn(call->node)->now_ns - facts->started_ns) / 1000000000;
    buffer_print(out,
                 "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nos:Linux\r\n"
                 "arch_bits:64\r\nprocess_id:%d\r\nrun_id:%040llx\r\ntcp_port:%d\r\n"
                 "uptime_in_seconds:%llu\r\nuptime_in_days:%llu\r\nholdfast_version:%s\r\n\r\n",
                 (int)admin->process, (unsigned long long)view->lowest->incarnation, port,
                 (unsigned long long)up, (unsigned long long)(up / 86400), admin->version);
    buffer_print(
        out,
        "# Clients\r\nconnected_clients:%llu\r\nblocked_clients:%llu\r\nmaxclients:10000\r\n"
        "\r\n",
        (unsigned long long)facts->connections, (unsigned long long)facts->held);
}

static void info_persistence(const struct admin_view *view, struct buffer *out)
{
    buffer_print(
        out,
        "# Persistence\r\nloading:0\r\nwal_durable_batch:%llu\r\nwal_written_batch:%llu\r\n"
        "wal_room_bytes:%llu\r\nwal_disk_full:%d\r\n\r\n",
        (unsigned long long)view->durable, (unsigned long long)view->written,
        (unsigned long long)view->room, view->disk_is_full);
}

static void info_stats(const struct admin_view *view, struct buffer *out)
{
    const struct server_facts *facts = &view->facts;
    buffer_print(out,
                 "# Stats\r\ntotal_connections_received:%llu\r\ntotal_commands_processed:%llu\r\n"
                 "total_error_replies:%llu\r\nforwarded_requests:%llu\r\nrefused_forwards:%llu\r\n"
                 "unknown_outcomes:%llu\r\nheld_connections:%llu\r\n\r\n",
                 (unsigned long long)facts->connections_total,
                 (unsigned long long)facts->commands_total, (unsigned long long)facts->errors_total,
                 (unsigned long long)facts->forwarded_total,
                 (unsigned long long)facts->refused_total, (unsigned long long)facts->unknown_total,
                 (unsigned long long)facts->held);
}

static void info_replication(struct server_call *call, const struct admin_view *view,
                             struct buffer *out)
{
    const struct admin_default *first = view->first;
    const struct node_member *leader = leader_member(call, view);
    char host[64] = "";
    int port = 0;
    if (leader)
        split_address(leader->client_address, host, &port);
    if (leads(call, view))
        buffer_print(out, "# Replication\r\nrole:master\r\nconnected_slaves:%zu\r\n",
                     first->member_count - 1);
    else
        buffer_print(out,
                     "# Replication\r\nrole:slave\r\nmaster_host:%s\r\nmaster_port:%d\r\n"
                     "master_link_status:%s\r\nmaster_sync_in_progress:0\r\nslave_read_only:1\r\n"
                     "slave_repl_offset:%llu\r\n",
                     host, port, leader ? "up" : "down",
                     (unsigned long long)(first ? first->applied : 0));
    buffer_print(out, "master_repl_offset:%llu\r\nterm:%llu\r\n\r\n",
                 (unsigned long long)(first ? first->commit : 0),
                 (unsigned long long)(first ? first->term : 0));
}

static void info_memory(const struct admin_view *view, struct buffer *out)
{
    buffer_print(
        out, "# Memory\r\nused_memory:%llu\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\r\n",
        (unsigned long long)view->memory_bytes);
}

void admin_serve_info(struct server_call *call)
{
    struct admin_view view;
    struct buffer text;
    if (!admin_ask(call, SHARE_COUNTS, 0, &view))
        return;
    buffer_init(&text, 1u << 20);
    if (wants(call, "server") || wants(call, "clients"))
        info_server(call, &view, &text);
    if (wants(call, "memory"))
        info_memory(&view, &text);
    if (wants(call, "persistence"))
        info_persistence(&view, &text);
    if (wants(call, "stats"))
        info_stats(&view, &text);
    if (wants(call, "replication"))
        info_replication(call, &view, &text);
    if (wants(call, "cluster"))
        buffer_print(&text, "# Cluster\r\ncluster_enabled:0\r\n\r\n");
    if (wants(call, "keyspace"))
        admin_info_keyspaces(call, &view, &text);
    reply_verbatim(call->reply, slice_of_buffer(&text));
    buffer_deinit(&text);
}
