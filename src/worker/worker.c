/* The order of a turn; nothing else. */
#include "worker/inside.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    TIMER_WORKER = 0,
    TIMER_PEER = 1
};
#define HAND_OVER_NS 1000000000ull

static void say(struct worker *worker, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct worker *worker, const char *format, ...)
{
    va_list arguments;
    if (worker->line_count == WORKER_LINES_MAX)
        return; /* nobody reads: the oldest lines are the ones that explain */
    size_t at = (worker->line_first + worker->line_count++) % WORKER_LINES_MAX;
    va_start(arguments, format);
    vsnprintf(worker->lines[at], WORKER_LINE_SIZE, format, arguments);
    va_end(arguments);
}

bool worker_take_line(struct worker *worker, char out[WORKER_LINE_SIZE])
{
    if (!worker->line_count)
        return false;
    memcpy(out, worker->lines[worker->line_first], WORKER_LINE_SIZE);
    worker->line_first = (worker->line_first + 1) % WORKER_LINES_MAX;
    worker->line_count--;
    return true;
}

/* ---- life ---- */

static const char *or_else(const char *text, const char *other)
{
    return text && text[0] ? text : other;
}

static enum status create_control(struct worker *worker, const struct worker_options *options,
                                  char why[WORKER_LINE_SIZE])
{
    struct control_options control = {
        .join = worker->others.self ? "" : or_else(options->join, ""),
        .client_address = or_else(options->client_address, options->listen),
        .peer_address = or_else(options->peer_address, options->peer_listen),
        .site = or_else(options->site, ""),
        .zone = or_else(options->zone, ""),
        .host = or_else(options->host, ""),
        .follows = worker->others.self != 0,
        .begins_anew = options->begins_anew,
        .replace_after_ns = options->replace_after_ns,
        .weight = options->weight,
        .tag = TAG_CONTROL,
    };
    return control_create(worker->io, &control, &worker->control, why);
}

static enum status open_node(struct worker *worker, const struct worker_options *options,
                             char why[WORKER_LINE_SIZE])
{
    struct node_options node = {
        .dir = options->dir,
        .peer_listen = or_else(options->peer_listen, ""),
        .client_address = or_else(options->client_address, options->listen),
        .commands = worker->commands,
        .timing = options->timing ? *options->timing : node_timing_default,
        .lease_reads = !options->readindex_reads,
        .wal_segment_size = options->wal_segment_size,
        .tag_wal = TAG_WAL,
        .snapshot_log_bytes = options->snapshot_log_bytes,
        .snapshot_period_ns = options->snapshot_period_ns,
        .tag_peer = TAG_PEER,
        .tag_snapshots = TAG_SNAPSHOT,
        .tag_ledger = TAG_LEDGER,
        .timer_peer = TIMER_PEER,
        .worker = worker->others.self,
        .workers = worker->others.count,
        .faults = options->faults,
        .shown = options->replicas_shown,
    };
    return node_open(worker->io, &node, &worker->node, why);
}

/* With port 0 the address is known only now. */
static enum status listen_to_clients(struct worker *worker, const struct worker_options *options,
                                     char why[WORKER_LINE_SIZE])
{
    const char *address = or_else(options->client_address, options->listen);
    const char *port = strrchr(address, ':');
    char line[128] = "", real[IO_ADDRESS_SIZE];
    if (worker->others.self) { /* worker 0 accepts, and gives */
        control_attach(worker->control, worker->node, address);
        return STATUS_OK;
    }
    enum status status = server_listen(worker->server, options->listen, line);
    if (status) {
        snprintf(why, WORKER_LINE_SIZE, "--listen %s", line);
        return status;
    }
    server_address(worker->server, real);
    control_attach(worker->control, worker->node, port && strcmp(port, ":0") == 0 ? real : address);
    return STATUS_OK;
}

/* Until another one leads; the default is for a data centre. */
static uint64_t hold_of(const struct node_timing *timing)
{
    bool is_long = timing && timing->election_max_ns > node_timing_default.election_max_ns;
    return is_long ? 2 * timing->election_max_ns : 0;
}

static enum status build(struct worker *worker, const struct worker_options *options,
                         char why[WORKER_LINE_SIZE])
{
    enum status status = create_control(worker, options, why);
    if (status)
        return status;
    worker->admin = (struct admin){.options = options->shown,
                                   .option_count = options->shown_count,
                                   .dir = options->dir,
                                   .version = "0.1.0",
                                   .process = options->process,
                                   .control = worker->control,
                                   .io = worker->io,
                                   .tells_news = options->watches[WORKER_NEWS_ALERT],
                                   .worker = worker->others.self,
                                   .workers = worker->others.count,
                                   .tag = TAG_ADMIN};
    struct server_verbs tables[] = {admin_verbs(&worker->admin)};
    worker->commands = server_build_table(tables, 1, &worker->rows);
    status = open_node(worker, options, why);
    if (status)
        return status;
    struct server_options server = {.tag = TAG_SERVER,
                                    .bulk_size_max = options->bulk_size_max,
                                    .hold_ns = options->hold_ns ? options->hold_ns
                                                                : hold_of(options->timing),
                                    .ack_timeout_ns = options->ack_timeout_ns,
                                    .faults = options->faults,
                                    .worker = worker->others.self,
                                    .workers = worker->others.count,
                                    .control = worker->control,
                                    .tell_clients = admin_tell_clients,
                                    .clients_owner = &worker->admin};
    worker->server = server_create(worker->io, worker->node, worker->commands, tables, 1, &server);
    worker->admin.node = worker->node;
    worker->admin.server = worker->server;
    status = listen_to_clients(worker, options, why);
    if (status)
        return status;
    node_begin_turn(worker->node);
    return STATUS_OK;
}

enum status worker_create(struct io *io, const struct worker_options *options, struct worker **out,
                          char why[WORKER_LINE_SIZE])
{
    struct worker *worker = memory_zeroed(1, sizeof *worker);
    worker->io = io;
    worker->others =
        (struct others){.self = options->worker, .count = options->workers ? options->workers : 1};
    worker->lines = memory_zeroed(WORKER_LINES_MAX, sizeof *worker->lines);
    memcpy(worker->watch.wanted, options->watches, sizeof worker->watch.wanted);
    enum status status = build(worker, options, why);
    if (status) {
        worker_destroy(worker);
        return status;
    }
    io_timer_set(io, TIMER_WORKER, io_now_ns(io));
    *out = worker;
    return STATUS_OK;
}

void worker_destroy(struct worker *worker)
{
    if (!worker)
        return;
    server_destroy(worker->server);
    node_destroy(worker->node);
    control_destroy(worker->control);
    admin_deinit(&worker->admin);
    others_deinit(worker);
    watch_deinit(worker);
    command_table_destroy(worker->commands);
    memory_free(worker->rows);
    memory_free(worker->lines);
    memory_free(worker);
}

/* ---- what the operator reads ---- */

static void tell_disk(struct worker *worker)
{
    bool full = wal_disk_is_full(node_wal(worker->node));
    if (full == worker->said_full)
        return;
    worker->said_full = full;
    if (full)
        say(worker,
            "the disk of %s is full: what is left of the log's files is filled, then "
            "writes are refused; reads go on. Free some space, no restart is needed",
            worker->admin.dir);
    else
        say(worker, "the disk of %s has room again: writes are taken", worker->admin.dir);
}

static void tell_leader(struct worker *worker)
{
    struct node_id leader = node_known_leader_of(worker->node, GROUP_DEFAULT);
    bool mine = GROUP_DEFAULT.value % worker->others.count == worker->others.self;
    if (mine && !node_id_equal(leader, worker->leader) && leader.value) {
        const struct node_member *member = node_member(worker->node, leader);
        say(worker, "node %llu (%s) leads keyspace default", (unsigned long long)leader.value,
            member ? member->client_address : "?");
        worker->leader = leader;
    }
    if (worker->others.self)
        return;
    if (!worker->said_ready && worker_is_ready(worker)) {
        worker->said_ready = true;
        say(worker, "ready");
    }
}

static void tell(struct worker *worker)
{
    const char *waits_for = control_waits_for(worker->control);
    char line[SERVER_LINE_SIZE];
    char node_line[NODE_WHY_SIZE];
    if (server_take_line(worker->server, line))
        say(worker, "%s", line);
    while (node_take_line(worker->node, node_line))
        say(worker, "%s", node_line);
    char failover[CONTROL_LINE_SIZE];
    while (control_take_line(worker->control, failover))
        say(worker, "%s", failover);
    char event[CONTROL_LINE_SIZE];
    while (control_take_event(worker->control, event))
        say(worker, "%s", event);
    char alert[CONTROL_LINE_SIZE];
    while (admin_take_line(&worker->admin, alert))
        say(worker, "%s", alert);
    if (strcmp(waits_for, worker->waits_for) != 0) {
        snprintf(worker->waits_for, sizeof worker->waits_for, "%s", waits_for);
        if (waits_for[0])
            say(worker, "%s", waits_for);
    }
    tell_disk(worker);
    if (!node_is_started(worker->node))
        return;
    tell_leader(worker);
}

/* ---- the turn ---- */

static void hear_peers(struct worker *worker)
{
    struct peer_happening happening;
    while (node_next(worker->node, &happening)) {
        if (happening.kind == PEER_LINE)
            say(worker, "%s", happening.line);
        if (!control_handle_peer(worker->control, &happening))
            server_handle_peer(worker->server, &happening);
    }
}

static void handle_events(struct worker *worker, const struct io_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct io_event *event = &events[i];
        if (server_handle_event(worker->server, event))
            continue;
        if (node_handle_event(worker->node, event)) {
            hear_peers(worker); /* what a link brought is borrowed until its next event */
            continue;
        }
        if (!control_handle_event(worker->control, event) &&
            !admin_handle_event(&worker->admin, event))
            (void)others_handle_event(worker, event);
    }
}

static const char *first_failure(const struct worker *worker)
{
    const char *line = node_failure(worker->node);
    return line[0] ? line : control_failure(worker->control);
}

/* WORKER-1: what is due without an event has its moment here. Returns the time, the turn's end. */
static uint64_t set_timer(struct worker *worker)
{
    uint64_t deadline = node_deadline_ns(worker->node);
    uint64_t others[] = {server_deadline_ns(worker->server), control_deadline_ns(worker->control),
                         worker->stopping ? worker->stop_deadline_ns : UINT64_MAX};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i] < deadline)
            deadline = others[i];
    uint64_t now_ns = io_now_ns(worker->io);
    worker->due_ns = deadline > now_ns ? deadline : now_ns;
    if (deadline == UINT64_MAX)
        io_timer_cancel(worker->io, TIMER_WORKER);
    else
        io_timer_set(worker->io, TIMER_WORKER, deadline);
    return now_ns;
}

/* Others lead before anything is closed: their clients notice nothing. */
static bool hands_over(struct worker *worker, uint64_t now_ns)
{
    return now_ns < worker->hand_over_until_ns && node_hand_over(worker->node);
}

/* Hands over, answers what waits, then the clean mark; at the latest after the deadline. */
static bool end_step(struct worker *worker)
{
    uint64_t now_ns = node_turn(worker->node)->now_ns;
    if (!worker->ending && hands_over(worker, now_ns))
        return false;
    bool drained = server_drain(worker->server) || now_ns >= worker->stop_deadline_ns;
    if (drained && !worker->ending) {
        worker->ending = true;
        worker->stop_deadline_ns = now_ns + 2000000000;
        node_end(worker->node);
        node_persist(worker->node);
    }
    return worker->ending && (node_is_clean(worker->node) || now_ns >= worker->stop_deadline_ns);
}

/* What is read in a turn came after the wait for the events of the turn before it began. This long
 * it may have lain since: the two turns' being late, and the time that the one before took; a
 * process that was stopped, or got no processor, shows in either. */
static uint64_t note_lag(struct worker *worker, uint64_t begun_ns)
{
    bool is_late = worker->due_ns && begun_ns > worker->due_ns;
    uint64_t late_ns = is_late ? begun_ns - worker->due_ns : 0;
    server_begin_turn(worker->server, worker->lag_ns + late_ns);
    return late_ns;
}

/* So long that others may have begun an election meanwhile: the machine was paused, or this process
 * got no processor. The clock counts the time that a machine is suspended. */
static void note_pause(struct worker *worker, uint64_t ns)
{
    if (!node_is_started(worker->node) || ns < node_timing(worker->node)->election_min_ns)
        return;
    node_note_pause(worker->node, ns);
    say(worker, "this process stood still for %llu ms: its machine was paused, or gave it no time",
        (unsigned long long)(ns / 1000000));
}

bool worker_turn(struct worker *worker, const struct io_event *events, size_t count)
{
    uint64_t begun_ns = node_begin_turn(worker->node)->now_ns;
    uint64_t late_ns = note_lag(worker, begun_ns);
    note_pause(worker, worker->took_ns + late_ns);
    handle_events(worker, events, count);
    server_run(worker->server);
    hear_peers(worker);
    node_tick(worker->node);
    control_tick(worker->control);
    others_tick(worker);
    node_persist(worker->node);
    node_apply(worker->node);
    server_tick(worker->server);
    node_persist(worker->node); /* what was held and now ran */
    server_release(worker->server);
    node_flush(worker->node);
    admin_tick(&worker->admin, worker->node);
    admin_watch(&worker->admin);
    watch_tick(worker);
    tell(worker);
    if (first_failure(worker)[0]) {
        snprintf(worker->failure, sizeof worker->failure, "%s", first_failure(worker));
        watch_end(worker);
        return false;
    }
    if (worker->stopping && end_step(worker)) {
        others_end(worker);
        watch_end(worker);
        return false;
    }
    uint64_t took_ns = set_timer(worker) - begun_ns;
    worker->lag_ns = late_ns + took_ns;
    worker->took_ns = took_ns;
    durations_add(&worker->turns, took_ns);
    return true;
}

void worker_stop(struct worker *worker)
{
    if (worker->stopping)
        return;
    worker->stopping = true;
    worker->stop_deadline_ns = io_now_ns(worker->io) + 3000000000ull;
    worker->hand_over_until_ns = io_now_ns(worker->io) + HAND_OVER_NS;
    io_timer_set(worker->io, TIMER_WORKER, io_now_ns(worker->io));
}

const char *worker_failure(const struct worker *worker)
{
    return worker->failure;
}

const char *worker_unready(const struct worker *worker)
{
    struct node *node = worker->node;
    if (!node_is_started(node))
        return "not part of a cluster yet";
    if (!node_leader_of(node, GROUP_DEFAULT).value)
        return "no leader";
    for (size_t i = 0; i < node_group_count(node); i++) {
        struct replica *replica = node_group_at(node, i);
        const struct raft_view *view = raft_view(replica_raft(replica));
        if (!view->leader.value)
            return "no leader";
        if (view->commit < 1 || replica_applied(replica) + 1000 < replica_known_commit(replica) ||
            replica_bootstrap_percent(replica) >= 0)
            return "not every replica on this node has caught up";
    }
    const char *unready = control_unready(worker->control);
    return unready ? unready : others_unready(worker);
}

bool worker_is_ready(const struct worker *worker)
{
    return !worker_unready(worker);
}

bool worker_is_settled(const struct worker *worker)
{
    return control_is_settled(worker->control);
}

struct metrics_sample *worker_measure(struct worker *worker)
{
    struct metrics_of parts = {
        worker->io,        worker->server,      worker->node,   worker->control,
        worker->admin.dir, worker->others.self, &worker->turns, {0}};
    admin_count_alerts(&worker->admin, parts.alerts);
    return metrics_take(&parts);
}

struct node *worker_node(struct worker *worker)
{
    return worker->node;
}

const struct control_catalogue *worker_catalogue(const struct worker *worker)
{
    return control_catalogue(worker->control);
}

struct server *worker_server(struct worker *worker)
{
    return worker->server;
}

struct control *worker_control(struct worker *worker)
{
    return worker->control;
}

void worker_validate(struct worker *worker)
{
    node_validate(worker->node);
}
