/* The page: what is of the whole node first. Sums over its workers. */
#include "metrics/inside.h"

#include <stddef.h>
#include <stdio.h>

#define NS_PER_SECOND   1e9
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static const struct {
    const char *name, *help;
    size_t offset; /* in struct server_facts */
    enum metrics_type type;
} of_clients[] = {
    {"connections", "Clients that are connected.", offsetof(struct server_facts, connections),
     METRICS_GAUGE},
    {"connections_total", "Clients that were accepted.",
     offsetof(struct server_facts, connections_total), METRICS_COUNTER},
    {"held_connections", "Clients whose request waits for a leader.",
     offsetof(struct server_facts, held), METRICS_GAUGE},
    {"commands_total", "Requests of clients of this node.",
     offsetof(struct server_facts, commands_total), METRICS_COUNTER},
    {"writes_acknowledged_total",
     "Requests that changed something and were acknowledged by this node as leader.",
     offsetof(struct server_facts, writes_acknowledged_total), METRICS_COUNTER},
    {"forwarded_total", "Requests that went on to the leader's node.",
     offsetof(struct server_facts, forwarded_total), METRICS_COUNTER},
    {"forwards_refused_total", "Forwarded requests that the other node proved not to have run.",
     offsetof(struct server_facts, refused_total), METRICS_COUNTER},
    {"unknown_outcomes_total", "Answers that nobody can tell whether a write happened.",
     offsetof(struct server_facts, unknown_total), METRICS_COUNTER},
};

static void render_label(struct buffer *out, const char *name, const char *value)
{
    buffer_print(out, ",%s=", name);
    metrics_quoted(out, value);
}

static void render_node(const struct metrics_process *process, const struct metrics_sample *first,
                        struct buffer *out)
{
    metrics_family(out, "node_info", METRICS_GAUGE, "Who this node is; always 1.");
    buffer_print(out, "holdfast_node_info{node=\"");
    if (first->self.value) /* METRICS-2 */
        buffer_print(out, "%llu\",cluster=\"%016llx%016llx", (unsigned long long)first->self.value,
                     (unsigned long long)first->cluster.high,
                     (unsigned long long)first->cluster.low);
    else
        buffer_print(out, "\",cluster=\"");
    buffer_print(out, "\"");
    render_label(out, "address", first->address);
    render_label(out, "version", process->version);
    render_label(out, "site", first->site);
    render_label(out, "zone", first->zone);
    render_label(out, "host", first->host);
    buffer_print(out, "} 1\n");
    metrics_family(out, "uptime_seconds", METRICS_GAUGE, "Time since the process began to serve.");
    buffer_print(out, "holdfast_uptime_seconds %.3f\n", (double)first->up_ns / NS_PER_SECOND);
    metrics_one(out, "ready", METRICS_GAUGE, "1 when /readyz answers 200.", process->ready);
    metrics_family(out, "cpu_seconds_total", METRICS_COUNTER,
                   "User and system time of the process.");
    buffer_print(out, "holdfast_cpu_seconds_total %.6f\n", process->cpu_seconds);
    metrics_one(out, "resident_bytes", METRICS_GAUGE, "Resident memory of the process.",
                process->resident_bytes);
}

static uint64_t fact_at(const struct server_facts *facts, size_t offset)
{
    uint64_t number;
    memcpy(&number, (const char *)facts + offset, sizeof number);
    return number;
}

static void render_clients(const struct metrics_sample *const *samples, size_t count,
                           struct buffer *out)
{
    for (size_t i = 0; i < COUNT_OF(of_clients); i++) {
        uint64_t sum = 0;
        for (size_t k = 0; k < count; k++)
            sum += fact_at(&samples[k]->server, of_clients[i].offset);
        metrics_one(out, of_clients[i].name, of_clients[i].type, of_clients[i].help, sum);
    }
    metrics_family(out, "errors_total", METRICS_COUNTER,
                   "Error replies made on this node, by their first word.");
    for (size_t kind = 0; kind < SERVER_ERRORS; kind++) {
        uint64_t sum = 0;
        for (size_t k = 0; k < count; k++)
            sum += samples[k]->server.errors[kind];
        buffer_print(out, "holdfast_errors_total{prefix=\"%s\"} %llu\n", server_error_names[kind],
                     (unsigned long long)sum);
    }
}

/* As all workers see a node together: up when it is for each, lost as often as for all. */
static struct metrics_link join_links(const struct metrics_sample *const *samples, size_t count,
                                      size_t at)
{
    struct metrics_link link = samples[0]->links[at];
    for (size_t i = 1; i < count; i++)
        for (size_t k = 0; k < samples[i]->link_count; k++) {
            const struct metrics_link *other = &samples[i]->links[k];
            if (!node_id_equal(other->node, link.node))
                continue;
            for (int kind = 0; kind < 2; kind++) {
                link.up[kind] = link.up[kind] && other->up[kind];
                link.resets[kind] += other->resets[kind];
            }
        }
    return link;
}

static void render_links(const struct metrics_sample *const *samples, size_t count,
                         struct buffer *out)
{
    static const char *const kinds[] = {"data", "control"};
    for (int resets = 0; resets < 2; resets++) {
        const char *name = resets ? "link_resets_total" : "link_up";
        if (resets)
            metrics_family(out, name, METRICS_COUNTER, "How often the link was lost.");
        else
            metrics_family(out, name, METRICS_GAUGE,
                           "1 when the link to the other node is up, from every worker.");
        for (size_t i = 0; i < 2 * samples[0]->link_count; i++) {
            struct metrics_link link = join_links(samples, count, i / 2);
            buffer_print(out, "holdfast_%s{node=\"%llu\",link=\"%s\"} %llu\n", name,
                         (unsigned long long)link.node.value, kinds[i % 2],
                         (unsigned long long)(resets ? link.resets[i % 2] : link.up[i % 2]));
        }
    }
}

static void render_times(struct buffer *out, const char *name, const char *help,
                         const struct durations *durations)
{
    metrics_family(out, name, METRICS_HISTOGRAM, help);
    metrics_durations(out, name, "", durations);
}

static void render_log(const struct metrics_sample *const *samples, size_t count,
                       struct buffer *out)
{
    struct wal_facts log = {0};
    uint64_t room = 0;
    bool full = false;
    for (size_t i = 0; i < count; i++) {
        const struct wal_facts *one = &samples[i]->log;
        log.batches += one->batches;
        log.written_bytes += one->written_bytes;
        durations_join(&log.syncs, &one->syncs);
        durations_join(&log.waits, &one->waits);
        room += samples[i]->room;
        full |= samples[i]->disk_is_full;
    }
    metrics_one(out, "log_batches_total", METRICS_COUNTER, "Batches written to the log.",
                log.batches);
    metrics_one(out, "log_written_bytes_total", METRICS_COUNTER,
                "Bytes written to the log, with headers and padding.", log.written_bytes);
    render_times(out, "log_sync_seconds",
                 "Time from the start of a sync of the log to the turn that hears of its end.",
                 &log.syncs);
    render_times(out, "log_wait_seconds",
                 "Time from a batch's first record to the turn that writes it.", &log.waits);
    metrics_one(out, "log_room_bytes", METRICS_GAUGE,
                "Bytes that the log takes without another file.", room);
    metrics_one(out, "disk_full", METRICS_GAUGE,
                "1 when the last attempt to make a file of the log found no space.", full);
    if (samples[0]->free_is_known) /* METRICS-2 */
        metrics_one(out, "disk_free_bytes", METRICS_GAUGE, "Free space of the log's file system.",
                    samples[0]->free_bytes);
}

static void render_turns(const struct metrics_sample *const *samples, size_t count,
                         struct buffer *out)
{
    metrics_family(out, "turn_seconds", METRICS_HISTOGRAM, "Time that a worker's turns took.");
    for (size_t i = 0; i < count; i++) {
        char label[32];
        snprintf(label, sizeof label, "worker=\"%u\"", samples[i]->worker);
        metrics_durations(out, "turn_seconds", label, &samples[i]->turns);
    }
}

static void render_failovers(const struct metrics_sample *const *samples, size_t count,
                             struct buffer *out)
{
    struct durations times = {0};
    metrics_family(out, "failovers_total", METRICS_COUNTER,
                   "Failovers that made a replica of this node the leader, by how the old one was "
                   "missed.");
    for (unsigned why = 0; why < REPLICA_SUSPICIONS; why++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += samples[i]->tally.failovers[why];
        buffer_print(out, "holdfast_failovers_total{reason=\"%s\"} %llu\n",
                     replica_suspicion_name((enum replica_suspicion)why), (unsigned long long)sum);
    }
    for (size_t i = 0; i < count; i++)
        durations_join(&times, &samples[i]->tally.failover_times);
    render_times(out, "failover_seconds",
                 "Time from the old leader's last word to the new one's serving.", &times);
}

static void render_alerts(const struct metrics_sample *const *samples, size_t count,
                          struct buffer *out)
{
    metrics_family(out, "alerts", METRICS_GAUGE, "Alerts that this node tells now.");
    for (int severity = 0; severity < CLUSTER_SEVERITIES; severity++) {
        unsigned sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += samples[i]->alerts[severity];
        buffer_print(out, "holdfast_alerts{severity=\"%s\"} %u\n",
                     cluster_severity_word((enum cluster_severity)severity), sum);
    }
}

void metrics_render(const struct metrics_process *process,
                    const struct metrics_sample *const *samples, size_t count, struct buffer *out)
{
    render_node(process, samples[0], out);
    render_clients(samples, count, out);
    render_links(samples, count, out);
    render_log(samples, count, out);
    render_turns(samples, count, out);
    render_failovers(samples, count, out);
    render_alerts(samples, count, out);
    metrics_render_keyspaces(samples, count, out);
}
