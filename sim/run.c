/* The phases of a run. */
#include "sim/run.h"

#include "sim/client.h"
#include "sim/linear.h"
#include "sim/losses.h"

#include "base/memory.h"

#include <stdio.h>

#define COMPARE_EVERY     256 /* turns between two comparisons of logs */
#define PROGRESS_MAX_NS   (20 * WORLD_SECOND)
#define CONVERGE_MAX_NS   (20 * WORLD_SECOND)
#define SETTLE_MAX_NS     (40 * WORLD_SECOND)
#define FINAL_READ_MAX_NS (30 * WORLD_SECOND)
#define TOLERANCE_NS      (WORLD_SECOND) /* of deadlines: group time against the world's */
#define STEPS_MAX         400000

struct run {
    const struct run_options *options;
    struct run_result *result;
    struct verdict verdict;
    struct random random;
    struct world *world;
    struct cluster *cluster;
    struct history *history;
    struct losses *losses;
    struct spaces spaces;
    struct client *client;
    struct plan *plan;
    uint64_t turns, healed_ns;
};

static uint64_t between(struct run *run, uint64_t min, uint64_t max)
{
    return min + random_below(&run->random, max - min + 1);
}

static void add_slots(struct run *run)
{
    static const enum key_kind kinds[] = {KEY_STRING, KEY_COUNTER, KEY_LIST,
                                          KEY_LEASE,  KEY_STRING,  KEY_PAIR};
    size_t count = between(run, 3, 8), first = between(run, 0, 5);
    for (size_t i = 0; i < count; i++)
        history_add_slot(run->history, kinds[(first + i) % 6], 0);
}

/* Three of four clusters write snapshots, by size, by time, or both; one in five of them several in
 * a second: most turns of such a run are pieces of snapshots. */
static void draw_snapshots(const struct run *run, struct cluster_options *cluster)
{
    struct random random;
    random_init(&random, run->options->seed ^ 0x54a9);
    if (random_below(&random, 4) == 0)
        return;
    cluster->snapshot_log_bytes = 500 + random_below(&random, 20000);
    cluster->snapshot_period_ns = WORLD_SECOND * (1 + random_below(&random, 20));
    if (random_below(&random, 5) == 0 || spaces_aim_at_losses(run->options->seed))
        cluster->snapshot_period_ns /= 50;
}

/* One run in two asks a quarter as often and goes on twice as long: as many faults in an hour, and
 * most of a run's cost is that of its requests. */
static bool is_sparse(const struct run *run)
{
    struct random random;
    random_init(&random, run->options->seed ^ 0x5ba25e);
    return random_below(&random, 2) == 0;
}

/* One cluster in three begins with one node, or with three of five; the others join it. */
static unsigned draw_founders(const struct run *run, unsigned nodes)
{
    struct random random;
    random_init(&random, run->options->seed ^ 0x901e5);
    if (random_below(&random, 3))
        return nodes;
    return nodes == 5 && random_below(&random, 2) ? 3 : 1;
}

/* The nodes of two clusters in three say where they are: in one site, or in up to as many as there
 * are nodes. */
static unsigned draw_sites(const struct run *run, unsigned nodes)
{
    struct random random;
    random_init(&random, run->options->seed ^ 0x517e5);
    return random_below(&random, 3) ? 1 + (unsigned)random_below(&random, nodes) : 0;
}

/* In one cluster in three whoever is down for long is replaced. */
static uint64_t draw_replacement_ns(const struct run *run)
{
    struct random random;
    random_init(&random, run->options->seed ^ 0x4e91ace);
    return random_below(&random, 3) ? 0 : (3 + random_below(&random, 20)) * WORLD_SECOND;
}

static void create(struct run *run)
{
    struct world_options world = world_options_calm(run->options->seed);
    world.give_up_ns = between(run, 5, 60) * WORLD_SECOND;
    world.garbage_per_million = random_below(&run->random, 2) ? 100000 : 0;
    world.trace_records = run->options->trace ? 4096 : 0;
    run->world = world_create(&world);
    struct cluster_options cluster = {.nodes = random_below(&run->random, 3) ? 3 : 5,
                                      .faults = run->options->faults,
                                      .readindex_reads = random_below(&run->random, 3) == 0,
                                      .workers_differ = run->options->seed % 5 == 0,
                                      .workers = 1 + (unsigned)(run->options->seed % 3)};
    cluster.founders = draw_founders(run, cluster.nodes);
    cluster.sites = draw_sites(run, cluster.nodes);
    cluster.replace_after_ns = draw_replacement_ns(run);
    draw_snapshots(run, &cluster);
    run->cluster = cluster_create(run->world, &cluster, &run->verdict);
    run->cluster->talks = run->options->trace;
    run->losses = run->cluster->losses = losses_create();
    run->history = history_create();
    add_slots(run);
    spaces_init(&run->spaces, run->history, cluster.nodes, cluster.founders, run->options->seed);
    run->spaces.sites = cluster.sites;
    uint64_t think_ns = between(run, 15, 100) * WORLD_MS * (is_sparse(run) ? 4 : 1);
    struct client_options client = {.connections = (unsigned)between(run, 5, 10),
                                    .think_min_ns = think_ns / 4,
                                    .think_max_ns = 2 * think_ns,
                                    .timeout_min_ns = WORLD_SECOND,
                                    .timeout_max_ns = 3 * WORLD_SECOND,
                                    .pipeline_percent = (unsigned)between(run, 0, 20),
                                    .read_percent = (unsigned)between(run, 20, 60)};
    run->client = client_create(run->world, run->cluster, run->history, &run->spaces, &client,
                                run->options->seed, &run->verdict);
    run->plan = plan_create(run->cluster, client_machine(run->client), run->options->seed,
                            run->options->trace);
}

static void destroy(struct run *run)
{
    plan_destroy(run->plan);
    cluster_destroy(run->cluster);
    client_destroy(run->client);
    history_destroy(run->history);
    losses_destroy(run->losses);
    world_destroy(run->world);
}

/* ---- time ---- */

static void compare_logs_of(struct run *run, unsigned a, unsigned b)
{
    for (uint64_t i = 0; i < ORACLE_GROUPS_MAX; i++) {
        struct group_id group = {i};
        oracle_compare_logs(run->cluster->oracle, group,
                            worker_node(cluster_worker(run->cluster, a, group)),
                            worker_node(cluster_worker(run->cluster, b, group)));
    }
}

static void compare_logs(struct run *run)
{
    unsigned a = (unsigned)(run->turns / COMPARE_EVERY) % run->cluster->options.nodes;
    unsigned b = (a + 1) % run->cluster->options.nodes;
    if (cluster_is_formed(run->cluster, a) && cluster_is_formed(run->cluster, b))
        compare_logs_of(run, a, b);
}

static void turn(struct run *run, const struct world_turn *turn)
{
    if (turn->machine.value == client_machine(run->client).value) {
        client_turn(run->client, turn);
    } else {
        cluster_turn(run->cluster, turn);
        plan_turned(run->plan, turn->machine);
    }
    if (++run->turns % COMPARE_EVERY == 0)
        compare_logs(run);
}

/* Until `until_ns`; the plan acts in between. */
static void pass(struct run *run, uint64_t until_ns)
{
    while (!run->verdict.failed) {
        struct world_turn happened;
        uint64_t next_ns = plan_next_ns(run->plan);
        bool last = until_ns <= next_ns;
        switch (world_step(run->world, last ? until_ns : next_ns, &happened)) {
        case WORLD_TURN: turn(run, &happened); break;
        case WORLD_DIED: cluster_died(run->cluster, &happened); break;
        case WORLD_QUIET:
            if (last)
                return;
            plan_act(run->plan);
        }
    }
}

/* True once `is_done` holds; looks every 20 ms of virtual time. */
static bool pass_until(struct run *run, bool (*is_done)(struct run *run), uint64_t max_ns)
{
    uint64_t end_ns = world_now_ns(run->world) + max_ns;
    while (!is_done(run) && !run->verdict.failed) {
        if (world_now_ns(run->world) >= end_ns)
            return false;
        pass(run, world_now_ns(run->world) + 20 * WORLD_MS);
        plan_revive(run->plan);
    }
    return true;
}

/* ---- the healed cluster ---- */

static bool quorum_is_alive(const struct run *run)
{
    unsigned alive = 0, count = run->cluster->options.nodes;
    for (unsigned i = 0; i < count; i++)
        alive += run->cluster->nodes[i].state != CLUSTER_REFUSED;
    return alive > count / 2;
}

/* Or has begun anew: a group of two voters has lost its quorum with it. */
static bool somebody_is_gone(const struct run *run)
{
    for (unsigned i = 0; i < run->cluster->options.nodes; i++)
        if (run->cluster->nodes[i].damaged)
            return true;
    return false;
}

/* A node that has not answered a write since the healing. */
static unsigned silent_node(const struct run *run)
{
    struct client_facts facts = client_facts(run->client);
    for (unsigned i = 0; i < run->cluster->options.nodes; i++) {
        bool down = run->cluster->nodes[i].state == CLUSTER_REFUSED;
        if (!down && facts.write_asked_ns[i] <= run->healed_ns)
            return i;
    }
    return CLUSTER_NODES_MAX;
}

static bool every_node_wrote(struct run *run)
{
    return silent_node(run) == CLUSTER_NODES_MAX;
}

static bool are_settled(struct run *run)
{
    return spaces_are_settled(&run->spaces);
}

static bool has_grown(struct run *run)
{
    return cluster_is_settled(run->cluster);
}

static bool has_taken_back(struct run *run)
{
    return cluster_has_taken_back(run->cluster);
}

static bool is_idle(struct run *run)
{
    return client_is_idle(run->client);
}

static bool is_converged(struct run *run)
{
    return cluster_is_converged(run->cluster);
}

static bool is_read(struct run *run)
{
    return client_reading_is_done(run->client);
}

/* node/group: role, term, executed, committed, last. */
static const char *describe(const struct run *run, char *text, size_t size)
{
    text[0] = 0;
    cluster_describe(run->cluster, text, size);
    return text;
}

/* What was answered early a moment ago is committed by then. */
static bool is_told(struct run *run)
{
    return cluster_is_converged(run->cluster) && losses_are_told(run->cluster);
}

static void fail_growth(struct run *run)
{
    char text[2000], changes[3000];
    cluster_describe_changes(run->cluster, changes, sizeof changes);
    verdict_fail(&run->verdict, "growth",
                 "healed, but a group does not get the members that it is to have:%s\n%s", changes,
                 describe(run, text, sizeof text));
}

static void check_progress(struct run *run)
{
    char text[2000];
    run->healed_ns = world_now_ns(run->world);
    plan_heal(run->plan, run->spaces.count > 1 || run->cluster->options.founders < 3);
    run->spaces.only_default = somebody_is_gone(run);
    spaces_settle(&run->spaces, run->healed_ns);
    client_spread(run->client);
    if (!pass_until(run, every_node_wrote, PROGRESS_MAX_NS))
        verdict_fail(&run->verdict, "progress",
                     "healed, but node %u has not answered a write within %llu s:%s",
                     silent_node(run), PROGRESS_MAX_NS / WORLD_SECOND,
                     describe(run, text, sizeof text));
    run->result->progress_ns = world_now_ns(run->world) - run->healed_ns;
    if (!run->spaces.only_default && !pass_until(run, are_settled, PROGRESS_MAX_NS))
        verdict_fail(&run->verdict, "progress", "healed, but a keyspace is not created or dropped");
    if (!run->spaces.only_default && !pass_until(run, has_grown, SETTLE_MAX_NS))
        fail_growth(run);
    if (!pass_until(run, has_taken_back, SETTLE_MAX_NS))
        verdict_fail(&run->verdict, "growth", "a node that began anew is not taken back:%s",
                     describe(run, text, sizeof text));
    client_pause(run->client);
    if (!pass_until(run, is_idle, 10 * WORLD_SECOND))
        verdict_fail(&run->verdict, "progress", "a client waits for ever");
    if (!pass_until(run, is_converged, CONVERGE_MAX_NS))
        verdict_fail(&run->verdict, "convergence", "replicas do not become equal:%s",
                     describe(run, text, sizeof text));
    client_read_all(run->client);
    if (!pass_until(run, is_read, FINAL_READ_MAX_NS))
        verdict_fail(&run->verdict, "progress", "final reads do not end");
    if (!run->spaces.only_default && !pass_until(run, is_told, PROGRESS_MAX_NS))
        verdict_fail(&run->verdict, "ledger",
                     "what a ledger has is not decided, or not in LOSS LIST");
}

static void check_losses(struct run *run)
{
    struct oracle_facts facts = oracle_facts(run->cluster->oracle);
    struct spaces_fate fate = {facts.unsure_elections > 0, facts.failovers > 0};
    if (run->spaces.only_default || !run->healed_ns)
        return;
    run->result->losses =
        losses_check(run->losses, run->cluster, run->history, &run->spaces, &fate);
}

static void check_history(struct run *run)
{
    /* A wrong clock can be the median of the few voters of an election: then only "what is gone
     * does not come back" can be asked of deadlines. */
    uint64_t tolerance_ns = plan_counts(run->plan)[PLAN_CLOCK_JUMP] ? HISTORY_NEVER : TOLERANCE_NS;
    struct oracle_facts facts = oracle_facts(run->cluster->oracle);
    struct spaces_fate fate = {facts.unsure_elections > 0, facts.failovers > 0};
    for (uint32_t i = 0; i < run->history->key_count; i++) {
        const struct history_key *key = &run->history->keys[i];
        uint32_t stuck = 0;
        run->result->unjudged += !spaces_is_strict(&run->spaces, key->space, &fate);
        if (!spaces_is_strict(&run->spaces, key->space, &fate))
            continue;
        enum linear_answer answer = linear_check(key, tolerance_ns, STEPS_MAX, &stuck);
        run->result->undecided += answer == LINEAR_UNDECIDED;
        if (answer != LINEAR_NO)
            continue;
        if (run->options->trace)
            history_print_key(key, stderr);
        verdict_fail(&run->verdict, "linearizable",
                     "key %s of %s: no order explains its history; stuck at operation %u of %u, at "
                     "%.3f ms",
                     key->name, run->spaces.at[key->space].name, stuck, key->count,
                     (double)key->operations[stuck].invoked_ns / 1e6);
    }
}

static void fill_result(struct run *run)
{
    struct run_result *result = run->result;
    struct oracle_facts facts = oracle_facts(run->cluster->oracle);
    result->verdict = run->verdict;
    result->trace_hash = world_trace_hash(run->world);
    result->simulated_ns = world_now_ns(run->world);
    result->nodes = run->cluster->options.nodes;
    memcpy(result->counts, plan_counts(run->plan), sizeof result->counts);
    result->elections = facts.leaders;
    result->committed = facts.committed;
    result->digests = facts.digests;
    result->snapshots = facts.snapshots;
    result->unsure_elections = facts.unsure_elections;
    result->spaces = run->spaces.count - 1;
    result->altered = run->spaces.altered;
    result->moved = run->spaces.moves.taken;
    result->joined = run->cluster->options.nodes - run->cluster->options.founders;
    result->keys = run->history->key_count;
    result->done = run->history->done;
    result->refused = run->history->refused;
    result->unknown = run->history->unknown;
    result->timeouts = client_facts(run->client).timeouts;
}

void run_seed(const struct run_options *options, struct run_result *result)
{
    struct run run = {.options = options, .result = result};
    memset(result, 0, sizeof *result);
    random_init(&run.random, options->seed);
    create(&run);
    for (unsigned i = 0; i < run.cluster->options.founders; i++)
        cluster_start(run.cluster, i);
    pass(&run, between(&run, 20, 80) * WORLD_SECOND * (is_sparse(&run) ? 2 : 1));
    if (!run.verdict.failed && quorum_is_alive(&run))
        check_progress(&run);
    /* A finding inside the nodes comes first; but what clients saw says more. */
    if (!run.verdict.failed)
        check_history(&run);
    if (!run.verdict.failed)
        check_losses(&run);
    fill_result(&run);
    destroy(&run);
}
