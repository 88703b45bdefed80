/* A steady load of SET from 50 connections to the leader. */
#include "sim/cost.h"

#include "sim/cluster.h"

#include "base/memory.h"
#include "resp/resp.h"

#define CONNECTIONS 50
#define WARM_UP     5000
#define OPERATIONS  20000

struct load {
    struct world *world;
    struct cluster *cluster;
    struct machine_id machine;
    struct io *io;
    struct io_stream streams[CONNECTIONS];
    struct buffer inputs[CONNECTIONS];
    unsigned waiting[CONNECTIONS]; /* answers */
    unsigned pipeline;
    unsigned target;
    uint64_t answered, asked;
    bool failed;
};

static void ask(struct load *load, unsigned at)
{
    struct buffer out;
    buffer_init(&out, 1u << 20);
    for (unsigned i = 0; i < load->pipeline; i++) {
        char key[24];
        snprintf(key, sizeof key, "key:%012llu", (unsigned long long)(load->asked++ % 10000));
        struct slice words[] = {slice_of_text("SET"), slice_of_text(key),
                                slice_of("0123456789abcdef0123456789abcdef"
                                         "0123456789abcdef0123456789abcdef",
                                         64)};
        resp_request(&out, words, 3);
    }
    struct slice piece = slice_of_buffer(&out);
    size_t wrote = 0;
    load->failed |= io_write(load->io, load->streams[at], &piece, 1, &wrote) != STATUS_OK ||
                    wrote != piece.size;
    load->waiting[at] = load->pipeline;
    buffer_deinit(&out);
}

static void receive(struct load *load, unsigned at)
{
    struct buffer *input = &load->inputs[at];
    size_t got = 0, size = 0;
    load->failed |= buffer_reserve(input, 4096) != STATUS_OK;
    if (io_read(load->io, load->streams[at], input->at + input->size, 4096, &got) != STATUS_OK)
        return;
    input->size += got;
    while (resp_reply_size(slice_of_buffer(input), &size) == STATUS_OK) {
        load->failed |= input->at[0] != '+';
        buffer_consume(input, size);
        load->answered++;
        load->waiting[at]--;
    }
    if (!load->waiting[at])
        ask(load, at);
}

static void load_turn(struct load *load, const struct world_turn *turn)
{
    for (size_t i = 0; i < turn->count; i++) {
        const struct io_event *event = &turn->events[i];
        if (event->kind == IO_CONNECTED && event->status == STATUS_OK)
            ask(load, (unsigned)event->tag);
        else if (event->kind == IO_READABLE)
            receive(load, (unsigned)event->tag);
        else
            load->failed = true;
    }
}

/* Until `answered` or the time is up. */
static void pass(struct load *load, uint64_t until_ns, uint64_t answered)
{
    struct world_turn turn;
    while (!load->failed && load->answered < answered) {
        if (world_step(load->world, until_ns, &turn) != WORLD_TURN)
            return;
        if (turn.machine.value == load->machine.value)
            load_turn(load, &turn);
        else
            cluster_turn(load->cluster, &turn);
    }
}

static void connect_all(struct load *load)
{
    world_start_process(load->world, load->machine, 1);
    load->io = world_io(load->world, load->machine, 0);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        buffer_init(&load->inputs[i], 1u << 20);
        load->failed |= io_connect(load->io, load->cluster->nodes[load->target].listen, i,
                                   &load->streams[i]) != STATUS_OK;
    }
}

static struct world_counters sum(const struct load *load, unsigned first, unsigned count)
{
    struct world_counters all = {0};
    for (unsigned i = first; i < first + count; i++) {
        struct world_counters one = world_counters(load->world, load->cluster->nodes[i].machine);
        all.sends += one.sends;
        all.receives += one.receives;
        all.wakeups += one.wakeups;
        all.syncs += one.syncs;
        all.file_writes += one.file_writes;
        all.written_bytes += one.written_bytes;
        all.sent_bytes += one.sent_bytes;
    }
    return all;
}

static void print_row(FILE *out, const char *who, const struct world_counters *before,
                      const struct world_counters *after)
{
    double each = 1000.0 / OPERATIONS;
    fprintf(out,
            "  %-9s sends %5.0f  receives %5.0f  wake-ups %5.0f  syncs %4.0f  writes %4.0f  "
            "log bytes %7.0f  sent bytes %7.0f\n",
            who, (double)(after->sends - before->sends) * each,
            (double)(after->receives - before->receives) * each,
            (double)(after->wakeups - before->wakeups) * each,
            (double)(after->syncs - before->syncs) * each,
            (double)(after->file_writes - before->file_writes) * each,
            (double)(after->written_bytes - before->written_bytes) * each,
            (double)(after->sent_bytes - before->sent_bytes) * each);
}

static int measure(FILE *out, unsigned nodes, unsigned pipeline)
{
    struct verdict verdict = {.failed = false};
    struct world_options options = world_options_calm(1);
    struct load load = {.world = world_create(&options), .pipeline = pipeline};
    struct cluster_options cluster = {.nodes = nodes, .quiet = true};
    load.cluster = cluster_create(load.world, &cluster, &verdict);
    load.machine = world_add_machine(load.world, &(struct world_machine){.host = "10.0.1.1"});
    for (unsigned i = 0; i < nodes; i++)
        cluster_start(load.cluster, i);
    pass(&load, 5 * WORLD_SECOND, UINT64_MAX);
    load.target = cluster_leader(load.cluster);
    load.failed |= load.target == CLUSTER_NODES_MAX;
    if (!load.failed) {
        connect_all(&load);
        pass(&load, WORLD_FOREVER, WARM_UP);
        struct world_counters leader = sum(&load, load.target, 1), all = sum(&load, 0, nodes);
        pass(&load, WORLD_FOREVER, WARM_UP + OPERATIONS);
        struct world_counters leader_after = sum(&load, load.target, 1);
        struct world_counters all_after = sum(&load, 0, nodes);
        fprintf(out,
                "SET of 64 bytes, %u node%s, %u connections, %u at a time; each 1000 operations:\n",
                nodes, nodes > 1 ? "s" : "", CONNECTIONS, pipeline);
        print_row(out, "leader", &leader, &leader_after);
        if (nodes > 1)
            print_row(out, "all nodes", &all, &all_after);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++)
        buffer_deinit(&load.inputs[i]);
    cluster_destroy(load.cluster);
    world_destroy(load.world);
    return load.failed || verdict.failed;
}

int cost_run(FILE *out)
{
    return measure(out, 1, 1) | measure(out, 3, 1) | measure(out, 3, 16);
}
