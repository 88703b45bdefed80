#include "stage.h"

#include "base/memory.h"
#include "resp/resp.h"

#include <string.h>

/* ---- life ---- */

struct stage *stage_create(const struct stage_options *options)
{
    struct world_options world = world_options_calm(options->seed ? options->seed : 1);
    struct stage *stage = memory_zeroed(1, sizeof *stage);
    char join[sizeof stage->nodes[0].join] = "";
    size_t used = 0;
    stage->options = *options;
    stage->world = world_create(&world);
    for (unsigned i = 0; i < options->nodes; i++) {
        struct stage_node *node = &stage->nodes[i];
        char host[IO_ADDRESS_SIZE];
        snprintf(host, sizeof host, "10.0.0.%u", i + 1);
        node->machine = world_add_machine(stage->world, &(struct world_machine){.host = host});
        node->workers = options->workers ? options->workers : 1;
        snprintf(node->listen, sizeof node->listen, "10.0.0.%u:6379", i + 1);
        snprintf(node->peer_listen, sizeof node->peer_listen, "10.0.0.%u:16379", i + 1);
        used +=
            (size_t)snprintf(join + used, sizeof join - used, "%s%s", i ? "," : "", node->listen);
    }
    for (unsigned i = 0; options->nodes > 1 && i < options->nodes; i++)
        memcpy(stage->nodes[i].join, join, sizeof join);
    stage->clients_machine =
        world_add_machine(stage->world, &(struct world_machine){.host = "10.0.1.1"});
    world_start_process(stage->world, stage->clients_machine, 1);
    return stage;
}

static void destroy_workers(struct stage *stage, struct stage_node *node)
{
    void *message;
    for (unsigned i = STAGE_OTHERS_MAX; i-- > 0;) {
        worker_destroy(node->others[i]);
        node->others[i] = NULL;
    }
    worker_destroy(node->worker);
    node->worker = NULL;
    while ((message = world_take_lost_message(stage->world, node->machine)) != NULL)
        memory_free(message);
}

struct worker *stage_worker(struct stage *stage, unsigned node, unsigned worker)
{
    return worker ? stage->nodes[node].others[worker - 1] : stage->nodes[node].worker;
}

static bool is_formed(struct stage *stage, void *unused)
{
    (void)unused;
    if (stage_leader(stage) == STAGE_NONE)
        return false;
    for (unsigned i = 0; i < stage->options.nodes; i++)
        for (unsigned k = 0; k < stage->nodes[i].workers; k++)
            if (!stage_worker(stage, i, k) || !worker_is_ready(stage_worker(stage, i, k)))
                return false;
    return true;
}

struct stage *stage_formed_with(const struct stage_options *options)
{
    struct stage *stage = stage_create(options);
    for (unsigned i = 0; i < options->nodes; i++)
        assert_true(stage_start(stage, i));
    assert_true(stage_wait(stage, is_formed, NULL, 20 * STAGE_SECOND));
    return stage;
}

struct stage *stage_formed(unsigned nodes)
{
    return stage_formed_with(&(struct stage_options){.nodes = nodes});
}

void stage_destroy(struct stage *stage)
{
    for (unsigned i = 0; i < stage->options.nodes; i++) { /* reads under way end with the process */
        world_crash_process(stage->world, stage->nodes[i].machine);
        destroy_workers(stage, &stage->nodes[i]);
    }
    for (unsigned i = 0; i < stage->client_count; i++) {
        buffer_deinit(&stage->clients[i].input);
        buffer_deinit(&stage->clients[i].output);
    }
    world_destroy(stage->world);
    memory_free(stage);
}

/* ---- nodes ---- */

static void listen_to(struct stage_node *node)
{
    char line[WORKER_LINE_SIZE];
    while (node->worker && worker_take_line(node->worker, line)) {
        size_t used = strlen(node->lines);
        snprintf(node->lines + used, sizeof node->lines - used, "%s\n", line);
    }
}

static void hear_changes(struct stage_node *node, struct worker *worker)
{
    static const char *const names[WORKER_NEWS_COUNT] = {"leader", "state", "alert"};
    struct worker_change change;
    for (int i = 0; i < WORKER_NEWS_COUNT; i++) {
        enum worker_news news = (enum worker_news)i;
        while (!node->holds_changes && worker_next_change(worker, news, &change)) {
            size_t used = strlen(node->changes);
            if (change.alert)
                snprintf(node->changes + used, sizeof node->changes - used,
                         "alert %s %s %s %s %llu\n", change.what, change.severity, change.alert,
                         change.keyspace, (unsigned long long)change.node.value);
            else
                snprintf(node->changes + used, sizeof node->changes - used,
                         "%s %s %llu %s %llu %s\n", names[i], change.keyspace,
                         (unsigned long long)change.partition.value, change.what,
                         (unsigned long long)change.node.value, change.address);
            worker_change_is_told(worker, news, &change);
        }
    }
}

static void bury(struct stage *stage, struct stage_node *node)
{
    destroy_workers(stage, node);
    world_bury(stage->world, node->machine);
}

static enum status create_workers(struct stage *stage, struct stage_node *node,
                                  struct worker_options *options)
{
    enum status status = STATUS_OK;
    for (unsigned i = 0; !status && i < node->workers; i++) {
        struct worker **worker = i ? &node->others[i - 1] : &node->worker;
        options->worker = i;
        status =
            worker_create(world_io(stage->world, node->machine, i), options, worker, node->why);
        if (status)
            *worker = NULL;
    }
    if (status)
        destroy_workers(stage, node);
    return status;
}

bool stage_start(struct stage *stage, unsigned at)
{
    struct stage_node *node = &stage->nodes[at];
    assert_null(node->worker);
    world_power_on(stage->world, node->machine);
    world_start_process(stage->world, node->machine, node->workers);
    struct worker_options options = {
        .dir = "/node",
        .listen = node->listen,
        .peer_listen = node->peer_listen,
        .join = node->join,
        .begins_anew = node->begins_anew,
        .site = node->site,
        .zone = node->zone,
        .host = node->host,
        .weight = node->weight,
        .readindex_reads = stage->options.readindex_reads,
        .wal_segment_size = 1u << 20,
        .bulk_size_max = stage->options.bulk_size_max,
        .snapshot_log_bytes = stage->options.snapshot_log_bytes,
        .snapshot_period_ns = stage->options.snapshot_period_ns,
        .replace_after_ns = stage->options.replace_after_ns,
        .hold_ns = stage->options.hold_ns,
        .ack_timeout_ns = stage->options.ack_timeout_ns,
        .timing = node->timing ? node->timing : stage->options.timing,
        .workers = node->workers,
        .watches = {stage->options.watches, stage->options.watches, stage->options.watches},
        .faults = stage->options.faults};
    node->why[0] = node->lines[0] = node->changes[0] = 0;
    enum status status = create_workers(stage, node, &options);
    if (status == STATUS_AGAIN) { /* NODE-10 */
        memcpy(node->anew, node->why, sizeof node->anew);
        world_stop_process(stage->world, node->machine);
        world_start_process(stage->world, node->machine, node->workers);
        node->why[0] = 0;
        status = create_workers(stage, node, &options);
    }
    if (!status)
        return true;
    if (world_is_running(stage->world, node->machine))
        world_stop_process(stage->world, node->machine);
    return false;
}

void stage_kill(struct stage *stage, unsigned at)
{
    world_crash_process(stage->world, stage->nodes[at].machine);
    bury(stage, &stage->nodes[at]);
}

void stage_power_cut(struct stage *stage, unsigned at)
{
    world_power_cut(stage->world, stage->nodes[at].machine);
    bury(stage, &stage->nodes[at]);
}

void stage_isolate(struct stage *stage, unsigned at)
{
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (i != at)
            world_cut_both(stage->world, stage->nodes[at].machine, stage->nodes[i].machine);
}

void stage_heal(struct stage *stage)
{
    world_heal_all(stage->world);
}

void stage_step_down(struct stage *stage, unsigned at)
{
    struct node *node = worker_node(stage->nodes[at].worker);
    struct replica_turn *turn = node_begin_turn(node);
    for (size_t i = 0; i < node_group_count(node); i++)
        replica_step_down(node_group_at(node, i), turn);
}

struct replica *stage_replica(struct stage *stage, unsigned at, struct group_id group)
{
    struct worker *worker =
        stage_worker(stage, at, (unsigned)(group.value % stage->nodes[at].workers));
    if (!worker || !node_is_started(worker_node(worker)))
        return NULL;
    return node_group(worker_node(worker), group);
}

struct server *stage_server(struct stage *stage, unsigned at)
{
    return worker_server(stage->nodes[at].worker);
}

unsigned stage_leader(struct stage *stage)
{
    unsigned leader = STAGE_NONE;
    uint64_t term = 0;
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        struct replica *replica = stage_replica(stage, i, GROUP_DEFAULT);
        if (!replica || !replica_is_serving(replica))
            continue;
        if (raft_view(replica_raft(replica))->term <= term)
            continue;
        term = raft_view(replica_raft(replica))->term;
        leader = i;
    }
    return leader;
}

unsigned stage_follower(struct stage *stage)
{
    unsigned leader = stage_leader(stage);
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (i != leader && stage->nodes[i].worker)
            return i;
    return STAGE_NONE;
}

static bool group_is_converged(struct stage *stage, struct group_id group)
{
    struct replica *first = NULL;
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        struct replica *replica = stage_replica(stage, i, group);
        if (!replica)
            continue;
        const struct raft_view *view = raft_view(replica_raft(replica));
        if (replica_executed(replica) != view->last_index || view->commit != view->last_index)
            return false;
        if (!first)
            first = replica;
        if (replica_executed(replica) != replica_executed(first) ||
            store_digest(replica_store(replica)) != store_digest(replica_store(first)))
            return false;
    }
    return first != NULL;
}

bool stage_is_converged(struct stage *stage, void *unused)
{
    (void)unused;
    return group_is_converged(stage, GROUP_SYSTEM) && group_is_converged(stage, GROUP_DEFAULT);
}

/* ---- clients' side of the network ---- */

static struct io *clients_io(struct stage *stage)
{
    return world_io(stage->world, stage->clients_machine, 0);
}

static void pump(struct stage *stage, struct stage_client *client)
{
    while (client->connected && client->output.size) {
        size_t wrote = 0;
        struct slice piece = slice_of_buffer(&client->output);
        if (io_write(clients_io(stage), client->stream, &piece, 1, &wrote) != STATUS_OK)
            break;
        buffer_consume(&client->output, wrote);
    }
    if (client->connected)
        io_want_write(clients_io(stage), client->stream, client->output.size > 0);
}

static void hear(struct stage *stage, struct stage_client *client)
{
    size_t got = 0;
    if (client->deaf)
        return;
    assert_int_equal(STATUS_OK, buffer_reserve(&client->input, 65536));
    enum status status = io_read(clients_io(stage), client->stream,
                                 client->input.at + client->input.size, 65536, &got);
    if (status == STATUS_OK)
        client->input.size += got;
    client->ended |= status == STATUS_CLOSED;
}

static void clients_turn(struct stage *stage, const struct world_turn *turn)
{
    for (size_t i = 0; i < turn->count; i++) {
        const struct io_event *event = &turn->events[i];
        struct stage_client *client = &stage->clients[event->tag];
        if (!client->open)
            continue;
        if (event->kind == IO_CONNECTED)
            client->connected = event->status == STATUS_OK;
        if (event->kind == IO_CONNECTED && event->status)
            client->ended = true;
        if (event->kind == IO_CLOSED)
            client->ended = true;
        if (event->kind == IO_READABLE)
            hear(stage, client);
        pump(stage, client);
    }
}

/* ---- time ---- */

static void node_turned(struct stage *stage, const struct world_turn *turn)
{
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        struct stage_node *node = &stage->nodes[i];
        if (node->machine.value != turn->machine.value || !node->worker)
            continue;
        struct worker *worker = stage_worker(stage, i, turn->worker);
        bool lives = worker_turn(worker, turn->events, turn->count);
        if (!world_is_running(stage->world, node->machine))
            return; /* an armed crash took it: WORLD_DIED follows */
        listen_to(node);
        hear_changes(node, worker);
        if (!lives) {
            snprintf(node->why, sizeof node->why, "%s", worker_failure(worker));
            world_stop_process(stage->world, node->machine);
            bury(stage, node);
            return;
        }
        worker_validate(worker);
        if (stage->watch)
            stage->watch(stage, i);
    }
}

static void node_died(struct stage *stage, const struct world_turn *turn)
{
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        if (stage->nodes[i].machine.value != turn->machine.value)
            continue;
        stage->nodes[i].deaths++;
        bury(stage, &stage->nodes[i]);
    }
}

static void step(struct stage *stage, uint64_t until_ns)
{
    struct world_turn turn;
    enum world_step what = world_step(stage->world, until_ns, &turn);
    if (what == WORLD_DIED)
        node_died(stage, &turn);
    else if (what == WORLD_TURN && turn.machine.value == stage->clients_machine.value)
        clients_turn(stage, &turn);
    else if (what == WORLD_TURN)
        node_turned(stage, &turn);
}

bool stage_wait(struct stage *stage, stage_condition *holds, void *argument, uint64_t ns)
{
    uint64_t until_ns = world_now_ns(stage->world) + ns;
    while (!holds(stage, argument)) {
        if (world_now_ns(stage->world) >= until_ns)
            return false;
        step(stage, until_ns);
    }
    return true;
}

static bool never(struct stage *stage, void *unused)
{
    (void)stage;
    (void)unused;
    return false;
}

void stage_run(struct stage *stage, uint64_t ns)
{
    (void)stage_wait(stage, never, NULL, ns);
}

bool stage_has_leader(struct stage *stage, void *unused)
{
    (void)unused;
    return stage_leader(stage) != STAGE_NONE;
}

bool stage_has_other_leader(struct stage *stage, void *argument)
{
    unsigned leader = stage_leader(stage);
    return leader != STAGE_NONE && leader != *(unsigned *)argument;
}

/* ---- clients ---- */

unsigned stage_connect(struct stage *stage, unsigned node)
{
    assert_true(stage->client_count < STAGE_CLIENTS_MAX);
    unsigned number = stage->client_count++;
    struct stage_client *client = &stage->clients[number];
    buffer_init(&client->input, 1u << 30);
    buffer_init(&client->output, 1u << 30);
    client->open = true;
    assert_int_equal(STATUS_OK, io_connect(clients_io(stage), stage->nodes[node].listen, number,
                                           &client->stream));
    return number;
}

void stage_disconnect(struct stage *stage, unsigned number)
{
    struct stage_client *client = &stage->clients[number];
    io_close(clients_io(stage), client->stream);
    client->open = client->connected = false;
    client->ended = true;
}

void stage_deafen(struct stage *stage, unsigned number, bool deaf)
{
    struct stage_client *client = &stage->clients[number];
    client->deaf = deaf;
    io_pause_read(clients_io(stage), client->stream, deaf);
}

void stage_send(struct stage *stage, unsigned number, const void *bytes, size_t size)
{
    struct stage_client *client = &stage->clients[number];
    assert_int_equal(STATUS_OK, buffer_append(&client->output, bytes, size));
    pump(stage, client);
}

void stage_send_large(struct stage *stage, unsigned number, const char *key, size_t size)
{
    char head[64];
    char *value = memory_allocate(size);
    memset(value, 'v', size);
    int used = snprintf(head, sizeof head, "*3\r\n$3\r\nSET\r\n$%zu\r\n%s\r\n$%zu\r\n", strlen(key),
                        key, size);
    stage_send(stage, number, head, (size_t)used);
    stage_send(stage, number, value, size);
    stage_send(stage, number, "\r\n", 2);
    memory_free(value);
}

void stage_say(struct stage *stage, unsigned number, const char *format, ...)
{
    char line[STAGE_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line - 2, format, arguments);
    va_end(arguments);
    assert_true(size > 0 && (size_t)size < sizeof line - 2);
    memcpy(line + size, "\r\n", 2);
    stage_send(stage, number, line, (size_t)size + 2);
}

static void add(struct stage_client *client, const char *text, size_t size)
{
    size_t used = strlen(client->reply), room = sizeof client->reply - used - 2;
    if (used)
        client->reply[used++] = ' ';
    if (size > room)
        size = room;
    memcpy(client->reply + used, text, size);
    client->reply[used + size] = 0;
}

static void add_item(struct stage_client *client, const struct resp_item *item)
{
    char text[256];
    if (item->type == '_') {
        add(client, "nil", 3);
    } else if (item->type == ':') {
        snprintf(text, sizeof text, "%lld", (long long)item->integer);
        add(client, text, strlen(text));
    } else if (item->type == '-') {
        snprintf(text, sizeof text, "-%.*s", (int)(item->bytes.size < 200 ? item->bytes.size : 200),
                 (const char *)item->bytes.at);
        add(client, text, strlen(text));
    } else if (item->type != '*' && item->type != '%' && item->type != '~') {
        add(client, (const char *)item->bytes.at, item->bytes.size);
    }
}

static bool has_reply(struct stage *stage, void *argument)
{
    struct stage_client *client = argument;
    size_t size;
    (void)stage;
    return resp_reply_size(slice_of_buffer(&client->input), &size) != STATUS_AGAIN || client->ended;
}

const char *stage_reply(struct stage *stage, unsigned number, uint64_t ns)
{
    struct stage_client *client = &stage->clients[number];
    struct resp_item item;
    size_t size = 0;
    if (!stage_wait(stage, has_reply, client, ns))
        return "(none)";
    enum status status = resp_reply_size(slice_of_buffer(&client->input), &size);
    if (status == STATUS_AGAIN)
        return "(closed)";
    assert_int_equal(STATUS_OK, status);
    struct slice rest = slice_of(client->input.at, size);
    client->reply[0] = 0;
    while (rest.size && resp_item_take(&rest, &item) == STATUS_OK)
        add_item(client, &item);
    buffer_consume(&client->input, size);
    return client->reply;
}

const char *stage_ask(struct stage *stage, unsigned number, const char *request)
{
    stage_say(stage, number, "%s", request);
    return stage_reply(stage, number, 10 * STAGE_SECOND);
}

static bool has_ended(struct stage *stage, void *argument)
{
    (void)stage;
    return ((struct stage_client *)argument)->ended;
}

bool stage_is_closed(struct stage *stage, unsigned number, uint64_t ns)
{
    return stage_wait(stage, has_ended, &stage->clients[number], ns);
}
