/* One client, one SET to a follower, and everything that is noted until all nodes have applied it.
 */
#include "sim/journey.h"

#include "sim/cluster.h"

#include "resp/resp.h"

#define NODES     3
#define NOTES_MAX 256

struct journey {
    struct world *world;
    struct cluster *cluster;
    struct machine_id machine;
    struct io *io;
    struct io_stream stream;
    bool connected, answered;
};

static void client_event(struct journey *journey, const struct io_event *event)
{
    char bytes[256];
    size_t got = 0;
    journey->connected |= event->kind == IO_CONNECTED && event->status == STATUS_OK;
    if (event->kind == IO_READABLE &&
        io_read(journey->io, journey->stream, (uint8_t *)bytes, sizeof bytes, &got) == STATUS_OK)
        journey->answered = got == 5 && memcmp(bytes, "+OK\r\n", 5) == 0;
}

static void pass(struct journey *journey, uint64_t for_ns)
{
    struct world_turn turn;
    uint64_t until_ns = world_now_ns(journey->world) + for_ns;
    while (world_step(journey->world, until_ns, &turn) == WORLD_TURN) {
        if (turn.machine.value != journey->machine.value) {
            cluster_turn(journey->cluster, &turn);
            continue;
        }
        for (size_t i = 0; i < turn.count; i++)
            client_event(journey, &turn.events[i]);
    }
}

static void ask(struct journey *journey)
{
    struct slice words[] = {slice_of_text("SET"), slice_of_text("key"), slice_of_text("value")};
    struct buffer out;
    size_t wrote = 0;
    buffer_init(&out, 1024);
    resp_request(&out, words, 3);
    struct slice piece = slice_of_buffer(&out);
    if (io_write(journey->io, journey->stream, &piece, 1, &wrote) != STATUS_OK)
        journey->connected = false;
    buffer_deinit(&out);
}

/* ---- the text ---- */

static bool same(const struct world_note *a, const struct world_note *b)
{
    return a->machine.value == b->machine.value && strcmp(a->stage, b->stage) == 0 &&
           strcmp(a->function, b->function) == 0;
}

static bool was_said(const struct world_note *notes, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (same(&notes[i], &notes[at]))
            return true;
    return false;
}

static const char *path_in_project(const char *file)
{
    const char *src = strstr(file, "src/");
    return src ? src : file;
}

static const char *role_of(const struct cluster *cluster, struct machine_id machine, unsigned entry)
{
    unsigned node = cluster_node_of(cluster, machine);
    if (node == cluster_leader(cluster))
        return "leader";
    return node == entry ? "entry node" : "follower";
}

static int tell(const struct journey *journey, const struct world_note *notes, size_t count,
                unsigned entry, FILE *out)
{
    static const char *const stages[] = {"receive", "parse",   "route",      "forward",
                                         "propose", "persist", "send",       "accept",
                                         "commit",  "apply",   "acknowledge"};
    bool met[sizeof stages / sizeof stages[0]] = {false};
    size_t missing = 0;
    fprintf(out, "One SET, sent to a node that does not lead, in a cluster of three.\n");
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < sizeof stages / sizeof stages[0]; k++)
            met[k] |= strcmp(notes[i].stage, stages[k]) == 0;
        if (!was_said(notes, i))
            fprintf(out, "%-12s %-11s  %-28s %s\n",
                    role_of(journey->cluster, notes[i].machine, entry), notes[i].stage,
                    path_in_project(notes[i].file), notes[i].function);
    }
    for (size_t k = 0; k < sizeof stages / sizeof stages[0]; k++) {
        if (!met[k])
            fprintf(stderr, "journey: nobody noted the stage %s\n", stages[k]);
        missing += !met[k];
    }
    return missing > 0 || !journey->answered;
}

int journey_run(FILE *out)
{
    struct world_note notes[NOTES_MAX];
    struct verdict verdict = {.failed = false};
    struct world_options options = world_options_calm(3);
    struct journey journey = {.world = world_create(&options)};
    struct cluster_options cluster = {.nodes = NODES};
    int outcome = 1;
    journey.cluster = cluster_create(journey.world, &cluster, &verdict);
    journey.machine = world_add_machine(journey.world, &(struct world_machine){.host = "10.0.1.1"});
    for (unsigned i = 0; i < NODES; i++)
        cluster_start(journey.cluster, i);
    world_start_process(journey.world, journey.machine, 1);
    journey.io = world_io(journey.world, journey.machine, 0);
    pass(&journey, 5 * WORLD_SECOND);
    unsigned entry = (cluster_leader(journey.cluster) + 1) % NODES;
    if (io_connect(journey.io, journey.cluster->nodes[entry].listen, 0, &journey.stream) ==
        STATUS_OK) {
        pass(&journey, WORLD_SECOND);
        world_take_notes(journey.world, notes, NOTES_MAX);
        if (journey.connected)
            ask(&journey);
        pass(&journey, WORLD_SECOND);
        outcome = tell(&journey, notes, world_note_count(journey.world), entry, out);
    }
    cluster_destroy(journey.cluster);
    world_destroy(journey.world);
    return outcome;
}
