/* Plans against all that is possible (CLUSTER-5, CLUSTER-6): clusters of up to seven nodes in trees
 * drawn at random, every set of their nodes weighed by what the rules say, written down here once
 * more. A failure names the seed. */
#include "base/random.h"
#include "cluster/cluster.h"

#include <stdio.h>

#include <cmocka.h>

#define NODES_MAX 7
#define SEEDS     30000

struct scene {
    uint64_t seed;
    struct random random;
    struct cluster_member nodes[NODES_MAX];
    struct cluster_contract contract;
    struct node_id now[NODES_MAX + 1];
    struct cluster_ask ask;
    unsigned allowed; /* bits of nodes that may have a copy */
};

static unsigned below(struct scene *scene, unsigned bound)
{
    return (unsigned)random_below(&scene->random, bound);
}

static bool one_in(struct scene *scene, unsigned bound)
{
    return below(scene, bound) == 0;
}

/* ---- drawing ---- */

/* Levels that nobody names, a few that somebody does not, and names that come again elsewhere. */
static void draw_name(struct scene *scene, unsigned domains, char prefix, char *out)
{
    out[0] = 0;
    if (domains && !one_in(scene, 12))
        snprintf(out, CLUSTER_NAME_SIZE, "%c%u", prefix, below(scene, domains));
}

static void draw_nodes(struct scene *scene)
{
    unsigned sites = below(scene, 4), zones = below(scene, 4), hosts = below(scene, 5);
    bool leave = one_in(scene, 3), full = one_in(scene, 5);
    scene->ask.count = 1 + below(scene, NODES_MAX);
    for (unsigned i = 0; i < scene->ask.count; i++) {
        struct cluster_member *node = &scene->nodes[i];
        *node = (struct cluster_member){.id = {i + 1}};
        draw_name(scene, sites, 's', node->site);
        draw_name(scene, zones, 'z', node->zone);
        draw_name(scene, hosts, 'h', node->host);
        node->weight = below(scene, 3) * 100;
        node->replicas = below(scene, 6);
        node->leads = below(scene, 4);
        node->leaves = leave && one_in(scene, 3);
        if (full && one_in(scene, 2))
            node->memory_room = 1 + below(scene, 20), node->disk_room = 1 + below(scene, 20);
    }
    scene->ask.memory_needed = full ? 10 : 0;
    scene->ask.disk_needed = full ? below(scene, 15) : 0;
}

static void draw_contract(struct scene *scene)
{
    scene->contract = (struct cluster_contract){
        .replicas = 1 + below(scene, 5), .partitions = 1, .ack = CLUSTER_ACK_QUORUM};
    if (one_in(scene, 3))
        scene->contract.spread = (enum cluster_spread)(1 + below(scene, 3));
    if (one_in(scene, 3))
        snprintf(scene->contract.prefer_site, CLUSTER_NAME_SIZE, "s%u", below(scene, 3));
}

/* Any of the nodes, and one that is no more. */
static void draw_now(struct scene *scene)
{
    unsigned first = below(scene, (unsigned)scene->ask.count);
    scene->ask.now_count = 0;
    if (one_in(scene, 3))
        return;
    for (unsigned i = 0; i < scene->ask.count; i++)
        if (one_in(scene, 2))
            scene->now[scene->ask.now_count++] =
                scene->nodes[(first + i * 5) % scene->ask.count].id;
    if (one_in(scene, 8))
        scene->now[scene->ask.now_count++] = (struct node_id){99};
    for (size_t i = 0; i < scene->ask.now_count; i++) /* each once */
        for (size_t k = 0; k < i; k++)
            if (scene->now[k].value == scene->now[i].value) {
                scene->ask.now_count = i;
                return;
            }
}

static void draw(struct scene *scene, uint64_t seed)
{
    *scene = (struct scene){.seed = seed};
    random_init(&scene->random, seed);
    scene->ask.contract = &scene->contract;
    scene->ask.nodes = scene->nodes;
    scene->ask.now = scene->now;
    scene->ask.turn = below(scene, 100);
    draw_nodes(scene);
    draw_contract(scene);
    draw_now(scene);
}

/* ---- the rules, once more ---- */

/* Sets of nodes are bits. */
static size_t size_of(unsigned set)
{
    size_t size = 0;
    for (; set; set &= set - 1)
        size++;
    return size;
}

static bool same(const struct cluster_member *a, const struct cluster_member *b, int level)
{
    bool site = strcmp(a->site, b->site) == 0;
    bool zone = site && strcmp(a->zone, b->zone) == 0;
    bool host = zone && a->host[0] && strcmp(a->host, b->host) == 0;
    return a == b || (level == CLUSTER_SPREAD_SITE   ? site
                      : level == CLUSTER_SPREAD_ZONE ? zone
                                                     : host);
}

/* Those of the set that share a domain with node i. */
static int64_t beside(const struct scene *scene, unsigned set, unsigned i, int level)
{
    int64_t count = 0;
    for (unsigned k = 0; k < scene->ask.count; k++)
        count += (set >> k & 1) && same(&scene->nodes[i], &scene->nodes[k], level);
    return count;
}

static int64_t place_in_now(const struct scene *scene, unsigned i)
{
    for (size_t k = 0; k < scene->ask.now_count; k++)
        if (scene->now[k].value == scene->nodes[i].id.value)
            return (int64_t)k;
    return -1;
}

static bool is_allowed(const struct scene *scene, unsigned i)
{
    const struct cluster_member *node = &scene->nodes[i];
    const struct cluster_ask *ask = &scene->ask;
    bool full = (node->memory_room && node->memory_room < ask->memory_needed) ||
                (node->disk_room && node->disk_room < ask->disk_needed);
    return place_in_now(scene, i) >= 0 || (!full && !node->leaves);
}

enum {
    SHARED,
    LEAVING,
    ELSEWHERE,
    SITES,
    ZONES,
    HOSTS,
    MOVES,
    KEPT,
    LOAD,
    COSTS
};

/* A sum of squares is the sum over members of what each shares with. */
static void weigh(const struct scene *scene, unsigned set, int64_t costs[COSTS])
{
    int spread = (int)scene->contract.spread;
    bool preferred = false;
    memset(costs, 0, COSTS * sizeof costs[0]);
    for (unsigned i = 0; i < scene->ask.count; i++) {
        const struct cluster_member *node = &scene->nodes[i];
        unsigned before = set & ((1u << i) - 1);
        int64_t now = place_in_now(scene, i);
        if (!(set >> i & 1))
            continue;
        bool unnamed = (spread == CLUSTER_SPREAD_SITE && !node->site[0]) ||
                       (spread == CLUSTER_SPREAD_ZONE && !node->zone[0]);
        costs[SHARED] += spread && (unnamed || beside(scene, before, i, spread));
        costs[LEAVING] += node->leaves;
        preferred |= strcmp(node->site, scene->contract.prefer_site) == 0;
        costs[SITES] += beside(scene, set, i, CLUSTER_SPREAD_SITE);
        costs[ZONES] += beside(scene, set, i, CLUSTER_SPREAD_ZONE);
        costs[HOSTS] += beside(scene, set, i, CLUSTER_SPREAD_HOST);
        costs[MOVES] += now < 0;
        costs[KEPT] += now < 0 ? 0 : now;
        costs[LOAD] += now >= 0 ? 0
                                : (2 * (int64_t)node->replicas + 1) * 1000000 /
                                      (node->weight ? node->weight : 1);
    }
    costs[ELSEWHERE] = scene->contract.prefer_site[0] && !preferred;
}

static int compare(const int64_t *a, const int64_t *b, int kinds)
{
    for (int i = 0; i < kinds; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

/* Sets that could be chosen: of allowed nodes, as many as there are to be or can be. */
static bool is_possible(const struct scene *scene, unsigned set)
{
    size_t most = size_of(scene->allowed);
    size_t wanted = scene->contract.replicas < most ? scene->contract.replicas : most;
    return !(set & ~scene->allowed) && size_of(set) == wanted;
}

static unsigned set_of(const struct scene *scene, const struct cluster_plan *plan)
{
    unsigned set = 0;
    for (size_t i = 0; i < plan->count; i++) {
        uint64_t id = plan->members[i].value;
        if (id < 1 || id > scene->ask.count || set >> (id - 1) & 1)
            fail_msg("seed %llu: node %llu is none of them, or comes twice",
                     (unsigned long long)scene->seed, (unsigned long long)id);
        set |= 1u << (id - 1);
    }
    return set;
}

/* ---- what must be true ---- */

static void expect_best(const struct scene *scene, unsigned set)
{
    int64_t costs[COSTS], other[COSTS];
    weigh(scene, set, costs);
    assert_true(is_possible(scene, set));
    for (unsigned each = 0; each < 1u << scene->ask.count; each++) {
        if (!is_possible(scene, each))
            continue;
        weigh(scene, each, other);
        if (compare(other, costs, COSTS) < 0)
            fail_msg("seed %llu: nodes %#x were chosen, and %#x are better",
                     (unsigned long long)scene->seed, set, each);
    }
}

/* A domain has more than one copy more than its sibling only where that one is full; said of
 * contracts that ask for nothing else. */
static void expect_even(const struct scene *scene, unsigned set)
{
    if (scene->contract.spread || scene->contract.prefer_site[0])
        return;
    for (unsigned i = 0; i < scene->ask.count; i++)
        if (scene->nodes[i].leaves)
            return;
    for (int level = CLUSTER_SPREAD_SITE; level > CLUSTER_SPREAD_NODE; level--)
        for (unsigned i = 0; i < scene->ask.count; i++)
            for (unsigned k = 0; k < scene->ask.count; k++) {
                bool siblings = level == CLUSTER_SPREAD_SITE ||
                                same(&scene->nodes[i], &scene->nodes[k], level + 1);
                bool full = beside(scene, set, k, level) == beside(scene, scene->allowed, k, level);
                if (siblings && !full &&
                    beside(scene, set, i, level) > beside(scene, set, k, level) + 1)
                    fail_msg("seed %llu: node %u has more around it than node %u",
                             (unsigned long long)scene->seed, i + 1, k + 1);
            }
}

static bool has_majority(const struct scene *scene, unsigned set, int level)
{
    for (unsigned i = 0; i < scene->ask.count; i++)
        if (beside(scene, set, i, level) > (int64_t)size_of(set) / 2)
            return true;
    return false;
}

/* Of the sets that keep what was asked for: if at some level one has no majority in a domain, the
 * plan has none at the first such level, from the sites down. */
static void expect_no_majority(const struct scene *scene, unsigned set)
{
    int64_t costs[COSTS], other[COSTS];
    weigh(scene, set, costs);
    for (int level = CLUSTER_SPREAD_SITE; level > CLUSTER_SPREAD_NODE; level--)
        for (unsigned each = 0; each < 1u << scene->ask.count; each++) {
            if (!is_possible(scene, each))
                continue;
            weigh(scene, each, other);
            if (compare(other, costs, SITES) != 0 || has_majority(scene, each, level))
                continue;
            if (has_majority(scene, set, level))
                fail_msg("seed %llu: a majority of %#x is in one domain, and of %#x is not",
                         (unsigned long long)scene->seed, set, each);
            return;
        }
}

static void expect_first(const struct scene *scene, const struct cluster_plan *plan)
{
    const struct cluster_member *first = &scene->nodes[plan->members[0].value - 1];
    const char *site = scene->contract.prefer_site;
    for (size_t i = 0; i < plan->count; i++) {
        const struct cluster_member *other = &scene->nodes[plan->members[i].value - 1];
        bool here = site[0] && strcmp(first->site, site) == 0;
        bool there = site[0] && strcmp(other->site, site) == 0;
        int64_t has = place_in_now(scene, (unsigned)(first - scene->nodes));
        int64_t had = place_in_now(scene, (unsigned)(other - scene->nodes));
        unsigned weight = first->weight ? first->weight : 1;
        unsigned others = other->weight ? other->weight : 1;
        bool better;
        if (first->leaves != other->leaves)
            better = first->leaves;
        else if (here != there)
            better = there;
        else if ((has == 0) != (had == 0))
            better = had == 0;
        else if ((has < 0) != (had < 0))
            better = has < 0;
        else
            better = (other->leads + 1) * weight < (first->leads + 1) * others;
        if (better)
            fail_msg("seed %llu: node %llu is first, and node %llu should be",
                     (unsigned long long)scene->seed, (unsigned long long)first->id.value,
                     (unsigned long long)other->id.value);
    }
}

static void expect_judgement(const struct scene *scene, const struct cluster_plan *plan)
{
    int64_t costs[COSTS];
    weigh(scene, set_of(scene, plan), costs);
    bool kept = plan->count == scene->contract.replicas && !costs[SHARED] && !costs[LEAVING] &&
                !costs[ELSEWHERE];
    if (plan->met && !kept)
        fail_msg("seed %llu: it is not met", (unsigned long long)scene->seed);
    if (!plan->met && kept &&
        !scene->contract.spread) /* SPREAD may lack names, and so be refused */
        fail_msg("seed %llu: it is met", (unsigned long long)scene->seed);
    assert_int_equal(plan->met, plan->why[0] == 0);
    if (!plan->met)
        assert_non_null(
            strstr(plan->why, scene->contract.prefer_site[0] && strncmp(plan->why, "PREFER", 6) == 0
                                  ? "PREFER none"
                                  : "work"));
}

/* CLUSTER-5, and CLUSTER-3: by its arguments alone, wherever they lie. */
static void expect_stable(const struct scene *scene, const struct cluster_plan *plan)
{
    struct scene again = *scene;
    struct cluster_plan second;
    again.ask.contract = &again.contract;
    again.ask.nodes = again.nodes;
    again.ask.now = again.now;
    cluster_plan(&again.ask, &second);
    assert_memory_equal(plan->members, second.members, sizeof plan->members);
    memcpy(again.now, plan->members, plan->count * sizeof again.now[0]);
    again.ask.now_count = plan->count;
    for (unsigned i = 0; i < again.ask.count; i++) /* they carry other things by then */
        again.nodes[i].replicas = below(&again, 9), again.nodes[i].leads = below(&again, 9);
    again.ask.turn = below(&again, 100);
    cluster_plan(&again.ask, &second);
    if (plan->count != second.count ||
        memcmp(plan->members, second.members, plan->count * sizeof plan->members[0]) != 0)
        fail_msg("seed %llu: planned again, it is another place", (unsigned long long)scene->seed);
}

/* ---- readers (CLUSTER-13) ---- */

static bool is_among(const struct node_id *nodes, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (nodes[i].value == id)
            return true;
    return false;
}

/* What speaks against a set of readers: the same sums, with SPREAD and PREFER left out, and who
 * reads already in front of who votes. */
static void weigh_readers(const struct scene *scene, unsigned set, int64_t costs[COSTS])
{
    struct scene bare = *scene;
    bare.contract.spread = CLUSTER_SPREAD_NODE;
    bare.contract.prefer_site[0] = 0;
    bare.ask.contract = &bare.contract;
    weigh(&bare, set, costs);
}

static void expect_best_readers(const struct scene *scene, unsigned free, unsigned set)
{
    int64_t costs[COSTS], other[COSTS];
    weigh_readers(scene, set, costs);
    for (unsigned each = 0; each < 1u << scene->ask.count; each++) {
        if ((each & ~free) || size_of(each) != size_of(set))
            continue;
        weigh_readers(scene, each, other);
        if (compare(other, costs, COSTS) < 0)
            fail_msg("seed %llu: readers are on %#x, and %#x are better",
                     (unsigned long long)scene->seed, set, each);
    }
}

static void draw_readers(struct scene *scene, struct node_id *readers)
{
    scene->ask.readers = readers;
    scene->ask.reader_count = 0;
    for (unsigned i = 0; i < scene->ask.count; i++)
        if (place_in_now(scene, i) < 0 && one_in(scene, 3))
            readers[scene->ask.reader_count++] = scene->nodes[i].id;
}

/* Everybody who has a copy in one row: those who rather keep it in front. */
static void put_in_a_row(const struct scene *scene, bool readers_first, struct scene *out)
{
    const struct cluster_ask *ask = &scene->ask;
    size_t first = readers_first ? 0 : ask->now_count;
    *out = *scene;
    out->ask.contract = &out->contract;
    out->ask.nodes = out->nodes;
    out->ask.now = out->now;
    out->ask.now_count = ask->now_count + ask->reader_count;
    out->ask.reader_count = 0;
    for (size_t i = 0; i < ask->reader_count; i++)
        out->now[first + i] = ask->readers[i];
    for (size_t i = 0; i < ask->now_count; i++)
        out->now[(readers_first ? ask->reader_count : 0) + i] = scene->now[i];
}

/* Returns how many stayed. */
static size_t expect_readers(struct scene *scene, unsigned wanted)
{
    struct scene row;
    struct cluster_plan plan, same;
    struct node_id out[NODES_MAX];
    unsigned free = 0, set = 0;
    size_t kept = 0;
    cluster_plan(&scene->ask, &plan);
    put_in_a_row(scene, false, &row); /* a voter is chosen among all copies */
    cluster_plan(&row.ask, &same);
    assert_int_equal(set_of(scene, &plan), set_of(&row, &same));
    size_t count = cluster_plan_readers(&scene->ask, plan.members, plan.count, wanted, out);
    put_in_a_row(scene, true, &row);
    for (unsigned i = 0; i < scene->ask.count; i++)
        if (!is_among(plan.members, plan.count, scene->nodes[i].id.value))
            free |= (unsigned)is_allowed(&row, i) << i;
    for (size_t i = 0; i < count; i++) {
        set |= 1u << (out[i].value - 1);
        kept += is_among(scene->ask.readers, scene->ask.reader_count, out[i].value);
    }
    assert_int_equal(size_of(set), count);
    assert_int_equal(set & ~free, 0); /* on none that has another copy */
    assert_int_equal(count, wanted < size_of(free) ? wanted : size_of(free));
    expect_best_readers(&row, free, set);
    return kept;
}

static void test_readers_against_all_sets(void **state)
{
    size_t kept = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct scene scene;
        struct node_id readers[NODES_MAX];
        draw(&scene, seed);
        draw_readers(&scene, readers);
        kept += expect_readers(&scene, below(&scene, 4));
    }
    assert_true(kept > SEEDS / 8);
}

static void test_how_many_readers(void **state)
{
    (void)state;
    struct cluster_contract contract = {.readers_min = 1, .readers_max = 3};
    for (unsigned now = 0; now < 6; now++)
        assert_int_equal(cluster_readers(&contract, now), now < 1 ? 1 : now > 3 ? 3 : now);
}

static void test_against_all_sets(void **state)
{
    unsigned met = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct scene scene;
        struct cluster_plan plan;
        draw(&scene, seed);
        for (unsigned i = 0; i < scene.ask.count; i++)
            scene.allowed |= (unsigned)is_allowed(&scene, i) << i;
        cluster_plan(&scene.ask, &plan);
        unsigned set = set_of(&scene, &plan);
        expect_best(&scene, set);
        expect_even(&scene, set);
        expect_no_majority(&scene, set);
        expect_judgement(&scene, &plan);
        expect_stable(&scene, &plan);
        if (plan.count)
            expect_first(&scene, &plan);
        met += plan.met;
    }
    assert_in_range(met, SEEDS / 4, SEEDS * 9 / 10); /* both are drawn */
}

/* Large trees: nothing grows past its tables, and it stays put. */
static void test_many_nodes(void **state)
{
    struct cluster_member nodes[64];
    struct random random;
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct cluster_contract contract = {.partitions = 1, .ack = CLUSTER_ACK_QUORUM};
        struct cluster_ask ask = {.contract = &contract, .nodes = nodes, .count = 64, .turn = seed};
        struct cluster_plan plan, second;
        random_init(&random, seed);
        contract.replicas = 1 + (unsigned)random_below(&random, 16);
        for (unsigned i = 0; i < 64; i++) {
            nodes[i] = (struct cluster_member){.id = {i + 1}};
            snprintf(nodes[i].site, CLUSTER_NAME_SIZE, "s%u", i % 3);
            snprintf(nodes[i].zone, CLUSTER_NAME_SIZE, "z%u", i % 7);
            snprintf(nodes[i].host, CLUSTER_NAME_SIZE, "h%u", i % 20);
            nodes[i].replicas = (unsigned)random_below(&random, 100);
        }
        cluster_plan(&ask, &plan);
        assert_true(plan.met);
        assert_int_equal(contract.replicas, plan.count);
        ask.now = plan.members;
        ask.now_count = plan.count;
        cluster_plan(&ask, &second);
        assert_memory_equal(plan.members, second.members, plan.count * sizeof plan.members[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_all_sets),
        cmocka_unit_test(test_readers_against_all_sets),
        cmocka_unit_test(test_how_many_readers),
        cmocka_unit_test(test_many_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
