/* The page: what is of the whole node first. Sums over its workers. */
#include "metrics/inside.h"

#include <stddef.h>

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

/* Buckets of the format are sums: each holds all that is faster, too. */
static void render_syncs(const struct wal_facts *log, struct buffer *out)
{
    uint64_t through = 0;
    metrics_family(out, "log_sync_seconds", METRICS_HISTOGRAM,
                   "Time from the start of a sync of the log to the turn that hears of its end.");
    for (size_t i = 0; i < WAL_SYNC_BUCKETS - 1; i++) {
        through += log->syncs_in[i];
        buffer_print(out, "holdfast_log_sync_seconds_bucket{le=\"%g\"} %llu\n",
                     (double)wal_sync_bucket_us[i] / 1e6, (unsigned long long)through);
    }
    buffer_print(out, "holdfast_log_sync_seconds_bucket{le=\"+Inf\"} %llu\n",
                 (unsigned long long)log->syncs);
    buffer_print(out, "holdfast_log_sync_seconds_sum %.9f\nholdfast_log_sync_seconds_count %llu\n",
                 (double)log->syncs_ns / NS_PER_SECOND, (unsigned long long)log->syncs);
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
        log.syncs += one->syncs;
        log.syncs_ns += one->syncs_ns;
        for (size_t k = 0; k < WAL_SYNC_BUCKETS; k++)
            log.syncs_in[k] += one->syncs_in[k];
        room += samples[i]->room;
        full |= samples[i]->disk_is_full;
    }
    metrics_one(out, "log_batches_total", METRICS_COUNTER, "Batches written to the log.",
                log.batches);
    metrics_one(out, "log_written_bytes_total", METRICS_COUNTER,
                "Bytes written to the log, with headers and padding.", log.written_bytes);
    render_syncs(&log, out);
    metrics_one(out, "log_room_bytes", METRICS_GAUGE,
                "Bytes that the log takes without another file.", room);
    metrics_one(out, "disk_full", METRICS_GAUGE,
                "1 when the last attempt to make a file of the log found no space.", full);
    if (samples[0]->free_is_known) /* METRICS-2 */
        metrics_one(out, "disk_free_bytes", METRICS_GAUGE, "Free space of the log's file system.",
                    samples[0]->free_bytes);
}

void metrics_render(const struct metrics_process *process,
                    const struct metrics_sample *const *samples, size_t count, struct buffer *out)
{
    render_node(process, samples[0], out);
    render_clients(samples, count, out);
    render_links(samples, count, out);
    render_log(samples, count, out);
    metrics_render_keyspaces(samples, count, out);
}
