/* Nodes come and go; a turn is handed to its worker. */
#include "sim/cluster.h"

#include "sim/losses.h"

#include "base/memory.h"

#include <stdio.h>

#define GROUPS_SHOWN 24
#define VALIDATED    2 /* groups of a node looked into after each of its turns, by turn */

static void destroy_workers(struct cluster_node *node)
{
    for (unsigned i = CLUSTER_WORKERS_MAX; i-- > 0;) {
        worker_destroy(node->workers[i]);
        node->workers[i] = NULL;
    }
}

struct cluster *cluster_create(struct world *world, const struct cluster_options *options,
                               struct verdict *verdict)
{
    struct cluster *cluster = memory_zeroed(1, sizeof *cluster);
    cluster->world = world;
    cluster->options = *options;
    if (!cluster->options.founders)
        cluster->options.founders = options->nodes;
    if (!cluster->options.validate_every)
        cluster->options.validate_every = 2048;
    cluster->verdict = verdict;
    cluster->oracle = oracle_create(options->nodes, verdict);
    size_t used = 0;
    for (unsigned i = 0; i < options->nodes; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        char host[IO_ADDRESS_SIZE];
        snprintf(host, sizeof host, "10.0.0.%u", i + 1);
        node->machine = world_add_machine(world, &(struct world_machine){.host = host});
        node->worker_count = options->workers ? options->workers : 1;
        if (options->workers_differ)
            node->worker_count = 1 + (node->worker_count + i) % CLUSTER_WORKERS_MAX;
        if (options->sites) { /* zones of one name in several sites; two nodes on a host */
            snprintf(node->site, sizeof node->site, "s%u", i % options->sites);
            snprintf(node->zone, sizeof node->zone, "z%u", i % (options->sites + 1));
            snprintf(node->host, sizeof node->host, "h%u",
                     i / (options->sites * (options->sites + 1)) / 2);
        }
        snprintf(node->listen, sizeof node->listen, "10.0.0.%u:6379", i + 1);
        snprintf(node->peer_listen, sizeof node->peer_listen, "10.0.0.%u:16379", i + 1);
        if (i < cluster->options.founders)
            used += (size_t)snprintf(cluster->join + used, sizeof cluster->join - used, "%s%s",
                                     i ? "," : "", node->listen);
    }
    return cluster;
}

void cluster_destroy(struct cluster *cluster)
{
    if (!cluster)
        return;
    for (unsigned i = 0; i < cluster->options.nodes;
         i++) { /* reads under way end with the process */
        world_crash_process(cluster->world, cluster->nodes[i].machine);
        destroy_workers(&cluster->nodes[i]);
    }
    oracle_destroy(cluster->oracle);
    memory_free(cluster);
}

/* ---- life ---- */

static void tell(struct cluster *cluster, unsigned at)
{
    struct cluster_node *node = &cluster->nodes[at];
    char line[WORKER_LINE_SIZE];
    for (unsigned i = 0; i < CLUSTER_WORKERS_MAX; i++)
        while (node->workers[i] && worker_take_line(node->workers[i], line))
            if (cluster->talks)
                fprintf(stderr, "%12.3f ms node %u/%u: %s\n",
                        (double)world_now_ns(cluster->world) / 1e6, at, i, line);
}

static void refused(struct cluster *cluster, unsigned at)
{
    struct cluster_node *node = &cluster->nodes[at];
    bool passing = node->sync_fails || node->disk_full;
    node->state = node->damaged && !passing ? CLUSTER_REFUSED : CLUSTER_DOWN;
    world_stop_process(cluster->world, node->machine);
    if (cluster->talks)
        fprintf(stderr, "%12.3f ms node %u does not start: %s\n",
                (double)world_now_ns(cluster->world) / 1e6, at, node->why);
    if (!node->sync_fails && !node->disk_full && !node->damaged)
        verdict_fail(cluster->verdict, "start", "node %u does not start: %s", at, node->why);
    else if (!node->why[0])
        verdict_fail(cluster->verdict, "start", "node %u does not start and does not say why", at);
    node->sync_fails = false;
}

/* Only what the plan has damaged begins anew. */
static void begins_anew(struct cluster *cluster, unsigned at)
{
    struct cluster_node *node = &cluster->nodes[at];
    if (cluster->talks)
        fprintf(stderr, "%12.3f ms node %u: %s\n", (double)world_now_ns(cluster->world) / 1e6, at,
                node->why);
    if (!node->damaged)
        verdict_fail(cluster->verdict, "start", "node %u begins anew: %s", at, node->why);
    oracle_began_anew(cluster->oracle, at);
    world_stop_process(cluster->world, node->machine);
    world_start_process(cluster->world, node->machine, node->worker_count);
    node->why[0] = 0;
}

/* A cluster of one is founded without asking anybody. */
static const char *joins(const struct cluster *cluster, const struct cluster_node *node)
{
    return cluster->options.founders == 1 && node == &cluster->nodes[0] ? "" : cluster->join;
}

/* AGAIN: its log was damaged, and the next process begins anew. Else what is not OK is refused, or
 * an armed crash came first. */
static enum status create_workers(struct cluster *cluster, struct cluster_node *node)
{
    struct worker_options options = {.dir = "/node",
                                     .listen = node->listen,
                                     .peer_listen = node->peer_listen,
                                     .join = joins(cluster, node),
                                     .site = node->site,
                                     .zone = node->zone,
                                     .host = node->host,
                                     .readindex_reads = cluster->options.readindex_reads,
                                     .timing = cluster->options.timing,
                                     .wal_segment_size = 1u << 20,
                                     .snapshot_log_bytes = cluster->options.snapshot_log_bytes,
                                     .snapshot_period_ns = cluster->options.snapshot_period_ns,
                                     .replace_after_ns = cluster->options.replace_after_ns,
                                     .faults = cluster->options.faults,
                                     .workers = node->worker_count};
    enum status status = STATUS_OK;
    for (unsigned i = 0; !status && i < node->worker_count; i++) {
        options.worker = i;
        struct io *io = world_io(cluster->world, node->machine, i);
        status = worker_create(io, &options, &node->workers[i], node->why);
        if (status)
            node->workers[i] = NULL;
    }
    if (status)
        destroy_workers(node);
    return status;
}

static void bury(struct cluster *cluster, unsigned at)
{
    struct cluster_node *node = &cluster->nodes[at];
    void *message;
    destroy_workers(node);
    while ((message = world_take_lost_message(cluster->world, node->machine)) != NULL)
        memory_free(message);
    if (node->state == CLUSTER_UP)
        node->state = CLUSTER_DOWN;
    world_bury(cluster->world, node->machine);
}

void cluster_start(struct cluster *cluster, unsigned at)
{
    struct cluster_node *node = &cluster->nodes[at];
    if (node->state != CLUSTER_DOWN)
        return;
    world_power_on(cluster->world, node->machine);
    node->sync_fails = world_sync_will_fail(cluster->world, node->machine);
    world_start_process(cluster->world, node->machine, node->worker_count);
    node->why[0] = 0;
    enum status status = create_workers(cluster, node);
    if (status == STATUS_AGAIN && world_is_running(cluster->world, node->machine)) {
        begins_anew(cluster, at);
        status = create_workers(cluster, node);
    }
    if (status) {
        if (world_is_running(cluster->world, node->machine))
            refused(cluster, at);
        else if (world_end_dying(cluster->world)) /* an armed crash came first */
            bury(cluster, at);
        return;
    }
    node->state = CLUSTER_UP;
    tell(cluster, at);
    oracle_started(cluster->oracle, at);
}

void cluster_kill(struct cluster *cluster, unsigned at)
{
    world_crash_process(cluster->world, cluster->nodes[at].machine);
    bury(cluster, at);
}

void cluster_power_cut(struct cluster *cluster, unsigned at)
{
    world_power_cut(cluster->world, cluster->nodes[at].machine);
    bury(cluster, at);
}

void cluster_died(struct cluster *cluster, const struct world_turn *turn)
{
    unsigned at = cluster_node_of(cluster, turn->machine);
    if (at == CLUSTER_NODES_MAX)
        return;
    if (cluster->talks)
        fprintf(stderr, "%12.3f ms node %u dies at a call%s\n",
                (double)world_now_ns(cluster->world) / 1e6, at, turn->power ? ", power cut" : "");
    oracle_died(cluster->oracle, at);
    bury(cluster, at);
}

/* ---- turns ---- */

unsigned cluster_node_of(const struct cluster *cluster, struct machine_id machine)
{
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        if (cluster->nodes[i].machine.value == machine.value)
            return i;
    return CLUSTER_NODES_MAX;
}

/* A node that stops by itself must have a reason that the plan gave it. */
static void stopped(struct cluster *cluster, unsigned at, const struct worker *worker)
{
    struct cluster_node *node = &cluster->nodes[at];
    snprintf(node->why, sizeof node->why, "%s", worker_failure(worker));
    tell(cluster, at);
    if (cluster->talks)
        fprintf(stderr, "%12.3f ms node %u stops: %s\n", (double)world_now_ns(cluster->world) / 1e6,
                at, node->why);
    if (!node->sync_fails && !node->damaged)
        verdict_fail(cluster->verdict, "stop", "node %u stopped by itself: %s", at, node->why);
    node->sync_fails = false;
    world_stop_process(cluster->world, node->machine);
    bury(cluster, at);
}

static void validate(const struct cluster *cluster, struct cluster_node *node,
                     struct worker *worker)
{
    struct node *inside = worker_node(worker);
    size_t groups = node_is_started(inside) ? node_group_count(inside) : 0;
    for (size_t i = 0; i < VALIDATED && i < groups; i++)
        replica_validate(node_group_at(inside, (node->turns + i) % groups));
    if (++node->turns % cluster->options.validate_every == 0)
        worker_validate(worker);
}

void cluster_turn(struct cluster *cluster, const struct world_turn *turn)
{
    unsigned at = cluster_node_of(cluster, turn->machine);
    struct cluster_node *node = &cluster->nodes[at];
    struct worker *worker = node->workers[turn->worker];
    if (!worker)
        return;
    size_t groups = node_group_count(worker_node(worker));
    bool lives = worker_turn(worker, turn->events, turn->count);
    if (!world_is_running(cluster->world, node->machine))
        return; /* an armed crash took it in the middle: what it believes is void */
    if (!lives) {
        stopped(cluster, at, worker);
        return;
    }
    tell(cluster, at);
    if (cluster->options.quiet)
        return;
    validate(cluster, node, worker);
    oracle_turned(cluster->oracle, at, worker_node(worker));
    if (node_group_count(worker_node(worker)) < groups)
        oracle_dropped(cluster->oracle, at, worker_node(worker));
    if (cluster->losses)
        losses_turned(cluster->losses, at, worker_node(worker));
}

/* ---- looking ---- */

struct worker *cluster_worker(const struct cluster *cluster, unsigned at, struct group_id group)
{
    const struct cluster_node *node = &cluster->nodes[at];
    return node->workers[group.value % node->worker_count];
}

bool cluster_is_formed(const struct cluster *cluster, unsigned at)
{
    const struct cluster_node *node = &cluster->nodes[at];
    for (unsigned i = 0; i < node->worker_count; i++)
        if (!node->workers[i] || !node_is_started(worker_node(node->workers[i])))
            return false;
    return true;
}

static struct replica *replica_at(const struct cluster *cluster, unsigned at, struct group_id group)
{
    if (!cluster_is_formed(cluster, at))
        return NULL;
    return node_group(worker_node(cluster_worker(cluster, at, group)), group);
}

unsigned cluster_leader(const struct cluster *cluster)
{
    unsigned leader = CLUSTER_NODES_MAX;
    uint64_t term = 0;
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        struct replica *replica = replica_at(cluster, i, GROUP_DEFAULT);
        const struct raft_view *view = replica ? raft_view(replica_raft(replica)) : NULL;
        if (view && replica_is_serving(replica) && view->term > term) {
            term = view->term;
            leader = i;
        }
    }
    return leader;
}

static struct node_id id_of(const struct cluster *cluster, unsigned at)
{
    return node_formation(worker_node(cluster->nodes[at].workers[0]))->self;
}

bool cluster_has_taken_back(const struct cluster *cluster)
{
    unsigned leader = cluster_leader(cluster);
    if (leader == CLUSTER_NODES_MAX)
        return false;
    const struct raft_configuration *now =
        raft_configuration(replica_raft(replica_at(cluster, leader, GROUP_DEFAULT)));
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        if (!cluster->nodes[i].damaged || !cluster_is_formed(cluster, i))
            continue;
        struct replica *replica = replica_at(cluster, i, GROUP_DEFAULT);
        for (size_t m = 0; m < now->member_count; m++)
            if (node_id_equal(now->members[m].node, id_of(cluster, i)) &&
                (!replica || !replica_id_equal(now->members[m].replica, replica_self(replica))))
                return false;
    }
    return true;
}

static bool is_at_end(const struct replica *replica)
{
    const struct raft_view *view = raft_view(replica_raft(replica));
    return replica_executed(replica) == view->last_index && view->commit == view->last_index;
}

/* Every member that can be there is, and all are equal. */
static bool group_is_converged(const struct cluster *cluster, struct group_id group)
{
    struct replica *first = NULL;
    size_t there = 0;
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        struct replica *replica = replica_at(cluster, i, group);
        there += cluster->nodes[i].state == CLUSTER_REFUSED || replica;
        if (!replica)
            continue; /* a group of three on five nodes */
        first = first ? first : replica;
        if (!is_at_end(replica) || replica_executed(replica) != replica_executed(first) ||
            store_digest(replica_store(replica)) != store_digest(replica_store(first)))
            return false;
    }
    return first && there >= raft_configuration(replica_raft(first))->member_count;
}

/* With a node gone for good, or begun anew, groups with contracts of their own may lack their
 * quorum. */
static bool is_judged(struct group_id group, bool all_there)
{
    return all_there || group.value <= GROUP_DEFAULT.value;
}

static bool worker_is_converged(const struct cluster *cluster, struct worker *worker,
                                bool all_there)
{
    struct node *node = worker_node(worker);
    for (size_t i = 0; i < node_group_count(node); i++) {
        struct group_id group = replica_group(node_group_at(node, i));
        if (is_judged(group, all_there) && !group_is_converged(cluster, group))
            return false;
    }
    return true;
}

bool cluster_is_settled(const struct cluster *cluster)
{
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        for (unsigned w = 0; w < cluster->nodes[i].worker_count; w++) {
            struct worker *worker = cluster->nodes[i].workers[w];
            if (cluster->nodes[i].state == CLUSTER_REFUSED)
                continue;
            if (!worker || !worker_is_ready(worker) || !worker_is_settled(worker))
                return false;
        }
    return true;
}

bool cluster_is_converged(const struct cluster *cluster)
{
    bool all_there = true;
    for (unsigned i = 0; i < cluster->options.nodes; i++) {
        bool gone = cluster->nodes[i].state == CLUSTER_REFUSED;
        all_there &= !cluster->nodes[i].damaged;
        if (!gone && !cluster_is_formed(cluster, i))
            return false;
    }
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        for (unsigned w = 0; cluster_is_formed(cluster, i) && w < CLUSTER_WORKERS_MAX; w++) {
            struct worker *worker = cluster->nodes[i].workers[w];
            if (worker && !worker_is_converged(cluster, worker, all_there))
                return false;
        }
    return true;
}

static size_t name_members(char *text, size_t size, const struct raft_configuration *of)
{
    size_t used = 0;
    for (size_t i = 0; i < of->member_count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, " %llu@%llu",
                                 (unsigned long long)of->members[i].replica.value,
                                 (unsigned long long)of->members[i].node.value);
    return used;
}

/* Of the changes of a worker's catalogue the first that is not done; or nothing. */
static size_t describe_change(char *text, size_t size, struct worker *worker)
{
    const struct control_catalogue *catalogue = worker_catalogue(worker);
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        const struct control_partition *partition = &catalogue->partitions[i];
        const struct replica *replica = node_group(worker_node(worker), partition->group);
        bool open = partition->settled < partition->change && !partition->dropped;
        if (!open && (!replica || !partition->change || partition->dropped))
            continue;
        const struct raft_configuration *has =
            replica ? raft_configuration(replica_raft(replica)) : NULL;
        size_t used = 0;
        if (!open && has && !has->joint && has->member_count == partition->wanted.member_count)
            continue;
        used += (size_t)snprintf(text, size, "; partition %llu wants",
                                 (unsigned long long)partition->group.value);
        used += name_members(text + used, size - used, &partition->wanted);
        if (has && used < size) {
            used += (size_t)snprintf(text + used, size - used, ", replica %llu has%s",
                                     (unsigned long long)replica_self(replica).value,
                                     has->joint ? " (joint)" : "");
            used += used < size ? name_members(text + used, size - used, has) : 0;
        }
        return used < size ? used : size;
    }
    return 0;
}

void cluster_describe_changes(const struct cluster *cluster, char *text, size_t size)
{
    size_t used = 0;
    text[0] = 0;
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        for (unsigned w = 0; w < cluster->nodes[i].worker_count && used < size; w++) {
            struct worker *worker = cluster->nodes[i].workers[w];
            const char *unready = worker ? worker_unready(worker) : "it does not run";
            if (cluster->nodes[i].state == CLUSTER_REFUSED ||
                (worker && !unready && worker_is_settled(worker)))
                continue;
            used +=
                (size_t)snprintf(text + used, size - used, "\nnode %u/%u, catalogue %llu: %s", i, w,
                                 (unsigned long long)(worker ? worker_catalogue(worker)->epoch : 0),
                                 unready ? unready : "a change is under way");
            if (worker && used < size)
                used += describe_change(text + used, size - used, worker);
        }
}

void cluster_describe(const struct cluster *cluster, char *text, size_t size)
{
    static const char letters[] = "FPCL";
    size_t used = 0;
    for (unsigned i = 0; i < cluster->options.nodes; i++)
        for (uint64_t group = 0; group < GROUPS_SHOWN && used < size; group++) {
            struct replica *replica = replica_at(cluster, i, (struct group_id){group});
            const struct raft_view *view = replica ? raft_view(replica_raft(replica)) : NULL;
            if (view)
                used += (size_t)snprintf(
                    text + used, size - used, " %u/%llu:%c t%llu x%llu c%llu l%llu", i,
                    (unsigned long long)group, letters[view->role], (unsigned long long)view->term,
                    (unsigned long long)replica_executed(replica), (unsigned long long)view->commit,
                    (unsigned long long)view->last_index);
        }
}
