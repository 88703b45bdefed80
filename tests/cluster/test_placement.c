/* Where replicas go (CLUSTER-3), by example; against all that is possible: test_plan.c. */
#include "base/memory.h"
#include "base/random.h"
#include "cluster/cluster.h"

#include <stdio.h>

#include <cmocka.h>

static void make_nodes(struct cluster_member *nodes, size_t count, size_t hosts, size_t sites)
{
    for (size_t i = 0; i < count; i++) {
        nodes[i] = (struct cluster_member){.id = {i + 1}};
        snprintf(nodes[i].host, sizeof nodes[i].host, "h%zu", i % hosts);
        snprintf(nodes[i].site, sizeof nodes[i].site, "s%zu", i % sites);
    }
}

static bool all_differ(const struct cluster_place *place, unsigned replicas)
{
    for (unsigned i = 0; i < replicas; i++)
        for (unsigned k = 0; k < i; k++)
            if (place->members[i].value == place->members[k].value)
                return false;
    return true;
}

static void test_round_robin(void **state)
{
    struct cluster_contract contract = {.replicas = 3, .partitions = 8};
    struct cluster_member nodes[5];
    struct cluster_place places[8];
    unsigned leads[6] = {0}, end = 0;
    (void)state;
    make_nodes(nodes, 5, 5, 1);
    cluster_place(&contract, nodes, 5, 3, places);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(all_differ(&places[i], 3));
        assert_int_equal(end, places[i].first_slot); /* no slot is left out or given twice */
        end = places[i].last_slot + 1;
        leads[places[i].members[0].value]++;
    }
    assert_int_equal(CLUSTER_SLOTS, end);
    for (unsigned i = 1; i <= 5; i++)
        assert_in_range(leads[i], 1, 2);
    assert_int_equal(4, places[0].members[0].value); /* begins with `turn` */
}

static void test_spreads_over_hosts(void **state)
{
    struct cluster_contract contract = {.replicas = 3, .partitions = 6};
    struct cluster_member nodes[6];
    struct cluster_place places[6];
    (void)state;
    make_nodes(nodes, 6, 3, 1); /* two nodes on each host */
    cluster_place(&contract, nodes, 6, 0, places);
    for (unsigned i = 0; i < 6; i++) {
        bool seen[3] = {false};
        for (unsigned k = 0; k < 3; k++)
            seen[(places[i].members[k].value - 1) % 3] = true;
        assert_true(seen[0] && seen[1] && seen[2]);
    }
}

static void test_too_few_hosts(void **state)
{
    struct cluster_contract contract = {.replicas = 3, .partitions = 1};
    struct cluster_member nodes[4];
    struct cluster_place place;
    (void)state;
    make_nodes(nodes, 4, 2, 1);
    cluster_place(&contract, nodes, 4, 0, &place);
    assert_true(all_differ(&place, 3));
    assert_int_equal(2, cluster_domain_count(nodes, 4, CLUSTER_SPREAD_HOST));
    assert_int_equal(0, cluster_domain_count(nodes, 4, CLUSTER_SPREAD_ZONE)); /* nobody names one */
}

static void test_preferred_site_leads(void **state)
{
    struct cluster_contract contract = {.replicas = 3, .partitions = 4, .prefer_site = "s1"};
    struct cluster_member nodes[6];
    struct cluster_place places[4];
    (void)state;
    make_nodes(nodes, 6, 6, 3); /* s1 has nodes 2 and 5 */
    cluster_place(&contract, nodes, 6, 0, places);
    unsigned leads[7] = {0};
    for (unsigned i = 0; i < 4; i++)
        leads[places[i].members[0].value]++;
    assert_int_equal(2, leads[2]);
    assert_int_equal(2, leads[5]);
}

/* ---- load ---- */

static void count_places(const struct cluster_place *places, unsigned partitions, unsigned replicas,
                         unsigned *carried, unsigned *led)
{
    for (unsigned i = 0; i < partitions; i++) {
        led[places[i].members[0].value]++;
        for (unsigned k = 0; k < replicas; k++)
            carried[places[i].members[k].value]++;
    }
}

/* Twice the weight, twice the copies and the leads. */
static void test_weight(void **state)
{
    struct cluster_contract contract = {.replicas = 2, .partitions = 60};
    struct cluster_member nodes[5];
    struct cluster_place places[60];
    unsigned carried[6] = {0}, led[6] = {0};
    (void)state;
    make_nodes(nodes, 5, 5, 1);
    for (size_t i = 0; i < 5; i++)
        nodes[i].weight = i ? 100 : 200;
    cluster_place(&contract, nodes, 5, 0, places);
    count_places(places, 60, 2, carried, led);
    assert_in_range(carried[1], 39, 41);
    assert_in_range(led[1], 19, 21);
    for (unsigned i = 2; i <= 5; i++) {
        assert_in_range(carried[i], 19, 21);
        assert_in_range(led[i], 9, 11);
    }
}

/* What is there already counts: the empty node gets the copies first. The leads of a keyspace are
 * even by themselves. */
static void test_load_that_is_there(void **state)
{
    struct cluster_contract contract = {.replicas = 3, .partitions = 4};
    struct cluster_member nodes[4];
    struct cluster_place places[4];
    unsigned carried[5] = {0}, led[5] = {0};
    (void)state;
    make_nodes(nodes, 4, 4, 1);
    for (size_t i = 0; i < 3; i++)
        nodes[i].replicas = 8, nodes[i].leads = (unsigned)(3 - i);
    cluster_place(&contract, nodes, 4, 2, places);
    count_places(places, 4, 3, carried, led);
    assert_int_equal(4, carried[4]);
    for (unsigned i = 1; i <= 4; i++)
        assert_int_equal(1, led[i]);
}

#define PARTITIONS_MAX 5

/* What the leads cost when partition i is led by the one of its members that stands at (choice /
 * R^i) mod R: weights divide 600. UINT64_MAX: PREFER is given up where it need not be. */
static uint64_t cost_of(const struct cluster_contract *contract, const struct cluster_member *nodes,
                        const struct cluster_place *places, unsigned choice)
{
    uint64_t cost = 0, led[9] = {0};
    for (unsigned i = 0; i < contract->partitions; i++, choice /= contract->replicas) {
        const struct cluster_place *place = &places[i];
        uint64_t id = place->members[choice % contract->replicas].value;
        const char *site = contract->prefer_site;
        if (site[0] && strcmp(nodes[place->members[0].value - 1].site, site) == 0 &&
            strcmp(nodes[id - 1].site, site) != 0)
            return UINT64_MAX;
        cost += ++led[id] * (600 / nodes[id - 1].weight);
    }
    return cost;
}

/* CLUSTER-3: no other choice of leaders from the same places is more even over weight. */
static void test_leads_are_even(void **state)
{
    struct random random;
    (void)state;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct cluster_member nodes[8];
        struct cluster_place places[PARTITIONS_MAX];
        random_init(&random, seed);
        size_t count = 2 + random_below(&random, 7);
        struct cluster_contract contract = {
            .replicas = 1 + (unsigned)random_below(&random, count < 3 ? count : 3),
            .partitions = 1 + (unsigned)random_below(&random, PARTITIONS_MAX)};
        make_nodes(nodes, count, 1 + random_below(&random, count), 1 + random_below(&random, 3));
        if (random_below(&random, 3) == 0)
            snprintf(contract.prefer_site, sizeof contract.prefer_site, "s0");
        for (size_t i = 0; i < count; i++) {
            nodes[i].weight = 100 * (1 + (unsigned)random_below(&random, 3));
            nodes[i].leads = (unsigned)random_below(&random, 9);
            nodes[i].replicas = (unsigned)random_below(&random, 9);
        }
        cluster_place(&contract, nodes, count, seed, places);
        unsigned choices = 1;
        for (unsigned i = 0; i < contract.partitions; i++)
            choices *= contract.replicas;
        uint64_t taken = cost_of(&contract, nodes, places, 0);
        for (unsigned choice = 1; choice < choices; choice++)
            if (cost_of(&contract, nodes, places, choice) < taken)
                fail_msg("seed %llu: choice %u is more even", (unsigned long long)seed, choice);
    }
}

static void test_growth(void **state)
{
    static const struct {
        unsigned voters;
        size_t nodes;
        unsigned most, wanted;
    } table[] = {{1, 1, 5, 1}, {1, 2, 5, 1}, {1, 3, 5, 3}, {3, 4, 5, 3}, {3, 5, 5, 5},
                 {3, 9, 3, 3}, {1, 5, 5, 5}, {3, 2, 5, 3}, {5, 3, 5, 5}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(table[i].wanted, /* CLUSTER-5 */
                         cluster_growth(table[i].voters, table[i].nodes, table[i].most));
}

static void test_another_size(void **state)
{
    struct cluster_contract contract = {.replicas = 3, .partitions = 1};
    struct cluster_member nodes[6];
    struct node_id now[2] = {{5}, {2}}, out[5];
    (void)state;
    make_nodes(nodes, 6, 3, 1); /* two nodes on each host: 2 and 5 share one */
    cluster_resize(&contract, nodes, 6, 0, now, 2, out);
    assert_int_equal(5, out[0].value); /* CLUSTER-5: who has it keeps it ... */
    assert_int_equal(1, out[1].value); /* CLUSTER-6: ... one on each host */
    assert_int_equal(3, out[2].value);
    contract.replicas = 1;
    cluster_resize(&contract, nodes, 6, 3, now, 2, out);
    assert_int_equal(5, out[0].value);
    contract.replicas = 3;
    cluster_resize(&contract, nodes, 6, 0, now, 1, out); /* the other hosts first */
    assert_int_equal(1, out[1].value);
    assert_int_equal(3, out[2].value);
}

/* Another SPREAD or PREFER: who stands in the way goes, who need not stays. */
static void test_another_place(void **state)
{
    struct cluster_contract contract = {.replicas = 3, .partitions = 1};
    struct cluster_member nodes[6];
    struct node_id now[3] = {{5}, {2}, {1}}, out[3];
    (void)state;
    make_nodes(nodes, 6, 3, 1);
    cluster_resize(&contract, nodes, 6, 0, now, 3, out); /* 5 and 2 share a host, 3 has another */
    assert_int_equal(5, out[0].value);
    assert_int_equal(1, out[1].value);
    assert_int_equal(3, out[2].value);
    for (int i = 0; i < 6; i++)
        snprintf(nodes[i].site, sizeof nodes[i].site, "%s", i < 3 ? "north" : "south");
    cluster_resize(&contract, nodes, 6, 0, now, 3, out); /* a host of that name in each site */
    assert_memory_equal(now, out, sizeof now);
    snprintf(contract.prefer_site, sizeof contract.prefer_site, "north");
    cluster_resize(&contract, nodes, 6, 0, now, 3, out); /* 2 is of the north */
    assert_int_equal(2, out[0].value);
    assert_int_equal(5, out[1].value);
    assert_int_equal(1, out[2].value);
    struct node_id south[3] = {{4}, {5}, {6}};
    cluster_resize(&contract, nodes, 6, 0, south, 3, out); /* none is */
    assert_int_equal(1, out[0].value);
    assert_int_equal(4, out[1].value);
    assert_int_equal(5, out[2].value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_place),      cmocka_unit_test(test_weight),
        cmocka_unit_test(test_load_that_is_there), cmocka_unit_test(test_leads_are_even),
        cmocka_unit_test(test_round_robin),        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_another_size),       cmocka_unit_test(test_spreads_over_hosts),
        cmocka_unit_test(test_too_few_hosts),      cmocka_unit_test(test_preferred_site_leads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
