/* At most one election for each real fault, and none without one, on networks that lose and delay
 * (decision 0046). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sim/cluster.h"

#define NODES  3
#define GROUPS 2 /* system and default */
#define MS     WORLD_MS
#define MINUTE (60 * WORLD_SECOND)

struct scene {
    struct world *world;
    struct cluster *cluster;
    struct verdict verdict;
};

struct network {
    uint64_t delay_min_ns, delay_max_ns; /* one way */
    uint32_t lost_per_million;           /* segments that are sent again */
    uint64_t late_min_ns, late_max_ns;   /* and come so much later */
};

static void pass(struct scene *scene, uint64_t ns)
{
    struct world_turn turn;
    uint64_t until_ns = world_now_ns(scene->world) + ns;
    for (;;) {
        enum world_step step = world_step(scene->world, until_ns, &turn);
        if (step == WORLD_TURN)
            cluster_turn(scene->cluster, &turn);
        else if (step == WORLD_DIED)
            cluster_died(scene->cluster, &turn);
        else
            return;
    }
}

static void open_scene(struct scene *scene, uint64_t seed, const struct network *network,
                       const struct node_timing *timing)
{
    struct world_options options = world_options_calm(seed);
    options.delay_min_ns = network->delay_min_ns;
    options.delay_max_ns = network->delay_max_ns;
    struct cluster_options cluster = {
        .nodes = NODES, .sites = NODES, .timing = timing, .quiet = true};
    *scene = (struct scene){.world = world_create(&options)};
    scene->cluster = cluster_create(scene->world, &cluster, &scene->verdict);
    for (unsigned i = 0; i < NODES; i++)
        cluster_start(scene->cluster, i);
    pass(scene, 30 * WORLD_SECOND);
    assert_true(cluster_leader(scene->cluster) != CLUSTER_NODES_MAX);
    world_spikes(scene->world, network->lost_per_million, network->late_min_ns,
                 network->late_max_ns);
}

static void close_scene(struct scene *scene)
{
    cluster_destroy(scene->cluster);
    world_destroy(scene->world);
}

/* Of both groups, since the beginning. */
static uint64_t elections(struct scene *scene)
{
    uint64_t sum = 0;
    for (uint64_t id = 0; id < GROUPS; id++) {
        uint64_t term = 0;
        for (unsigned i = 0; i < NODES; i++) {
            struct worker *worker = scene->cluster->nodes[i].workers[0];
            struct replica *replica =
                worker ? node_group(worker_node(worker), (struct group_id){id}) : NULL;
            if (replica && raft_view(replica_raft(replica))->term > term)
                term = raft_view(replica_raft(replica))->term;
        }
        sum += term;
    }
    return sum;
}

/* How often a node of those that run was suspected by another. */
static uint64_t suspicions(struct scene *scene)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < NODES; i++)
        for (uint64_t id = 1; scene->cluster->nodes[i].workers[0] && id <= NODES; id++) {
            struct node_sight sight;
            if (node_look(worker_node(scene->cluster->nodes[i].workers[0]), (struct node_id){id},
                          &sight))
                sum += sight.suspicions;
        }
    return sum;
}

/* ---- without a fault ---- */

static const struct network flaky = {MS / 2, 5 * MS, 20000, 5 * MS, 150 * MS};
static const struct network bad = {MS / 2, 20 * MS, 200000, 20 * MS, 300 * MS};

static void a_flaky_network_elects_nobody(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct scene scene;
        open_scene(&scene, seed, &flaky, NULL);
        uint64_t before = elections(&scene);
        pass(&scene, 30 * MINUTE);
        assert_int_equal(before, elections(&scene));
        assert_int_equal(0, suspicions(&scene));
        close_scene(&scene);
    }
}

/* Worse than any floor allows for: suspicions come, and become rare as it is learnt. None elects.
 */
static void a_bad_network_is_learnt(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct scene scene;
        open_scene(&scene, seed, &bad, NULL);
        uint64_t before = elections(&scene);
        pass(&scene, 30 * MINUTE);
        assert_int_equal(before, elections(&scene));
        assert_in_range(suspicions(&scene), 1, 150);
        close_scene(&scene);
    }
}

/* ---- one fault after the other ---- */

enum fault {
    KILLED,
    PAUSED,
    ISOLATED,
    DEAF, /* it is heard, and hears nobody */
    DUMB, /* it hears, and nobody hears it */
    FAULTS
};

static void cut(struct scene *scene, unsigned node, bool to, bool from)
{
    struct machine_id at = scene->cluster->nodes[node].machine;
    for (unsigned i = 0; i < NODES; i++) {
        struct machine_id other = scene->cluster->nodes[i].machine;
        if (i != node && to)
            world_cut(scene->world, other, at);
        if (i != node && from)
            world_cut(scene->world, at, other);
    }
}

static void strike(struct scene *scene, enum fault fault, unsigned node)
{
    switch (fault) {
    case KILLED: cluster_kill(scene->cluster, node); break;
    case PAUSED: world_pause(scene->world, scene->cluster->nodes[node].machine); break;
    case ISOLATED: cut(scene, node, true, true); break;
    case DEAF: cut(scene, node, true, false); break;
    default: cut(scene, node, false, true); break;
    }
}

static void mend(struct scene *scene, enum fault fault, unsigned node)
{
    if (fault == KILLED)
        cluster_start(scene->cluster, node);
    if (fault == PAUSED)
        world_resume(scene->world, scene->cluster->nodes[node].machine);
    world_heal_all(scene->world);
}

/* How many groups that node leads: so many elections its fault may cost. */
static unsigned led_by(struct scene *scene, unsigned node)
{
    unsigned count = 0;
    for (uint64_t id = 0; id < GROUPS; id++) {
        struct worker *worker = scene->cluster->nodes[node].workers[0];
        count +=
            raft_view(replica_raft(node_group(worker_node(worker), (struct group_id){id})))->role ==
            RAFT_LEADER;
    }
    return count;
}

/* The promise is 400 ms. A deaf leader is followed until it gives up for want of answers. */
static const uint64_t takeover_most_ns[FAULTS] = {600 * MS, 600 * MS, 600 * MS, 1000 * MS,
                                                  650 * MS};

static void one_fault(struct scene *scene, uint64_t seed, enum fault fault)
{
    unsigned leader = cluster_leader(scene->cluster), led = led_by(scene, leader);
    uint64_t before = elections(scene), began_ns = world_now_ns(scene->world);
    strike(scene, fault, leader);
    unsigned next = leader;
    while (world_now_ns(scene->world) < began_ns + 5 * WORLD_SECOND) {
        pass(scene, 10 * MS);
        next = cluster_leader(scene->cluster);
        if (next != leader && next != CLUSTER_NODES_MAX)
            break;
    }
    if (next == leader || next == CLUSTER_NODES_MAX)
        fail_msg("seed %llu, fault %d: nobody took over", (unsigned long long)seed, fault);
    uint64_t took_ns = world_now_ns(scene->world) - began_ns;
    if (took_ns > takeover_most_ns[fault])
        fail_msg("seed %llu, fault %d: another led after %llu ms", (unsigned long long)seed, fault,
                 (unsigned long long)(took_ns / MS));
    pass(scene, 5 * WORLD_SECOND);
    mend(scene, fault, leader);
    pass(scene, 15 * WORLD_SECOND);
    if (elections(scene) - before > led)
        fail_msg("seed %llu, fault %d: %llu elections, and it led %u groups",
                 (unsigned long long)seed, fault, (unsigned long long)(elections(scene) - before),
                 led);
}

static void each_fault_costs_one_election(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct scene scene;
        open_scene(&scene, seed, &flaky, NULL);
        for (enum fault fault = 0; fault < FAULTS; fault++)
            one_fault(&scene, seed, fault);
        close_scene(&scene);
    }
}

/* ---- three sites ---- */

static const struct network far = {78 * MS, 82 * MS, 1000, 200 * MS, 1000 * MS};

/* A site is cut off for a moment: what is lost is sent again within 1.5 s. */
static void blink(struct scene *scene, unsigned minute)
{
    unsigned leader = cluster_leader(scene->cluster);
    unsigned node = minute % 2 || leader == CLUSTER_NODES_MAX ? minute / 2 % NODES : leader;
    cut(scene, node, true, true);
    pass(scene, (300 + minute % 7 * 80) * MS);
    world_heal_all(scene->world);
}

static uint64_t elections_of_a_day(const char *profile, unsigned hours)
{
    struct scene scene;
    struct node_timing timing = node_timing_of(cluster_timing_find(profile));
    open_scene(&scene, 1, &far, &timing);
    uint64_t before = elections(&scene);
    for (unsigned minute = 0; minute < hours * 60; minute++) {
        pass(&scene, MINUTE);
        if (minute % 10 == 0)
            blink(&scene, minute / 10);
    }
    uint64_t after = elections(&scene);
    close_scene(&scene);
    return after - before;
}

/* One way 80 ms; one segment in a thousand has to be sent again, and every ten minutes one of the
 * sites is cut off for less than a second. */
static void a_day_of_three_sites(void **state)
{
    (void)state;
    assert_int_equal(0, elections_of_a_day("wan", 24));
    assert_true(elections_of_a_day("lan", 2) > 0); /* else this network says nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flaky_network_elects_nobody),
        cmocka_unit_test(a_bad_network_is_learnt),
        cmocka_unit_test(each_fault_costs_one_election),
        cmocka_unit_test(a_day_of_three_sites),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
