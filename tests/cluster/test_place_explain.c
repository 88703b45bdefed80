/* What is said of a place (CLUSTER-7): by example, and against counts of the place itself. */
#include "base/memory.h"
#include "base/random.h"
#include "cluster/cluster.h"

#include <stdio.h>

#include <cmocka.h>

static struct cluster_member node_at(uint64_t id, const char *site, const char *zone,
                                     const char *host)
{
    struct cluster_member node = {.id = {id}, .weight = 100};
    snprintf(node.site, sizeof node.site, "%s", site);
    snprintf(node.zone, sizeof node.zone, "%s", zone);
    snprintf(node.host, sizeof node.host, "%s", host);
    return node;
}

/* The caller frees it. */
static char *explained(const struct cluster_ask *ask)
{
    struct buffer text;
    buffer_init(&text, 1u << 16);
    cluster_explain_place(ask, &text);
    (void)!buffer_append(&text, "", 1);
    return (char *)text.at;
}

static void expect(const struct cluster_ask *ask, const char *const *lines)
{
    char *text = explained(ask);
    for (; *lines; lines++)
        if (!strstr(text, *lines))
            fail_msg("'%s' is not in:\n%s", *lines, text);
    memory_free(text);
}

static const struct cluster_contract three = {
    .replicas = 3, .partitions = 1, .ack = CLUSTER_ACK_QUORUM};

static void test_a_place_that_is_best(void **state)
{
    struct cluster_member nodes[] = {node_at(1, "north", "a", "h1"), node_at(2, "north", "b", "h2"),
                                     node_at(3, "south", "c", "h3"),
                                     node_at(4, "south", "c", "h4")};
    const struct node_id now[] = {{1}, {2}, {3}};
    const struct cluster_ask ask = {
        .contract = &three, .nodes = nodes, .count = 4, .now = now, .now_count = 3};
    (void)state;
    nodes[0].leads = nodes[0].replicas = 1;
    char *text = explained(&ask);
    assert_string_equal(
        "node 1: has a copy, first candidate for the lead, the only copy in zone north/a; 1 "
        "replica at weight 100, first candidate of 1\n"
        "node 2: has a copy, the only copy in zone north/b; 0 replicas at weight 100, first "
        "candidate of 0\n"
        "node 3: has a copy, the only copy in site south; 0 replicas at weight 100, first "
        "candidate of 0\n"
        "node 4: no copy: zone south/c has 1 of 3; 0 replicas at weight 100, first candidate of "
        "0\n"
        "site: north 2, south 1; siblings differ by one copy at most; 2 sites: one of them must "
        "hold 2 of 3 copies, a majority\n"
        "zone: north/a 1, north/b 1, south/c 1; siblings differ by one copy at most; none holds a "
        "majority\n"
        "host: north/a/h1 1, north/b/h2 1, south/c/h3 1, south/c/h4 0; siblings differ by one copy "
        "at most; none holds a majority\n"
        "contract: 3 replicas, SPREAD none: the nodes can keep it\n"
        "plan: nothing would move\n",
        text);
    memory_free(text);
}

/* A node of a zone that had none has come since. */
static void test_a_place_that_could_be_better(void **state)
{
    const struct cluster_member nodes[] = {node_at(1, "", "a", ""), node_at(2, "", "a", ""),
                                           node_at(3, "", "b", ""), node_at(4, "", "c", "")};
    const struct node_id now[] = {{1}, {2}, {3}};
    const struct cluster_ask ask = {
        .contract = &three, .nodes = nodes, .count = 4, .now = now, .now_count = 3};
    static const char *const lines[] = {
        "node 1: has a copy; 0 replicas",
        "node 2: has a copy, would go elsewhere: zone a has 2 and needs 1;",
        "node 3: has a copy, the only copy in zone b;",
        "node 4: planned anew it would get a copy: zone c has none;",
        "site: no node names one\n",
        "zone: a 2, b 1, c 0; uneven, and planned anew they would not be; one holds 2 of 3 copies, "
        "a majority: planned anew none would\n",
        "host: no node names one\n",
        "plan: planned anew, 1 copy would move\n",
        NULL};
    (void)state;
    expect(&ask, lines);
}

static void test_what_stands_in_the_way(void **state)
{
    struct cluster_member nodes[] = {node_at(1, "north", "", ""), node_at(2, "north", "", ""),
                                     node_at(3, "south", "", ""), node_at(4, "south", "", ""),
                                     node_at(5, "south", "", "")};
    const struct node_id now[] = {{3}, {1}, {9}};
    struct cluster_contract contract = three;
    struct cluster_ask ask = {.contract = &contract,
                              .nodes = nodes,
                              .count = 5,
                              .now = now,
                              .now_count = 3,
                              .memory_needed = 100};
    static const char *const lines[] = {
        "node 3: has a copy, first candidate for the lead in the preferred site, the only copy in "
        "site south;",
        "node 1: has a copy, the only copy in site north, leaves, and no other node can take it;",
        "node 9: is gone; its copy goes elsewhere\n",
        "node 2: no copy: it leaves;",
        "node 4: no copy: it has no room for one;",
        "node 5: planned anew it would get a copy: one has to go there, and it is the least "
        "loaded;",
        "contract: the nodes cannot keep it: 1 node has no room for another copy",
        NULL};
    (void)state;
    snprintf(contract.prefer_site, sizeof contract.prefer_site, "south");
    nodes[0].leaves = nodes[1].leaves = true;
    nodes[2].leads = 1;
    nodes[3].memory_room = 99;
    nodes[4].memory_room = 100;
    expect(&ask, lines);
}

/* A new partition: where it would be put. */
static void test_a_new_place(void **state)
{
    struct cluster_member nodes[] = {node_at(1, "", "", "h1"), node_at(2, "", "", "h1"),
                                     node_at(3, "", "", "h2")};
    struct cluster_contract contract = {
        .replicas = 2, .partitions = 1, .ack = CLUSTER_ACK_QUORUM, .spread = CLUSTER_SPREAD_HOST};
    const struct cluster_ask ask = {.contract = &contract, .nodes = nodes, .count = 3};
    static const char *const lines[] = {
        "node 2: would get a copy, first candidate for the lead, the only copy in host h1, of "
        "equal places the least loaded; 4 replicas",
        "node 3: would get a copy, the only copy in host h2, of equal places the least loaded",
        "node 1: no copy: host h1 has 1 of 2; 9 replicas",
        "host: h1 1, h2 1; siblings differ by one copy at most; none holds a majority\n",
        "contract: 2 replicas, SPREAD host: the nodes can keep it\n",
        NULL};
    (void)state;
    nodes[0].replicas = 9;
    nodes[1].replicas = 4;
    nodes[2].leads = 1;
    expect(&ask, lines);
}

/* ---- counts ---- */

static const char *line_of(const char *text, const char *subject)
{
    char begins[32];
    snprintf(begins, sizeof begins, "\n%s: ", subject);
    const char *line = strstr(text, begins);
    assert_non_null(line);
    return line + 1;
}

static bool line_has(const char *line, const char *word)
{
    const char *found = strstr(line, word);
    return found && found < strchr(line, '\n');
}

/* The most copies in a zone of the place; hosts and sites are not named. */
static unsigned most_in_zone(const struct cluster_member *nodes, size_t count,
                             const struct node_id *members, size_t copies)
{
    unsigned most = 0, in[8] = {0};
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < copies; k++)
            if (members[k].value == nodes[i].id.value) {
                unsigned *zone = &in[nodes[i].zone[0] ? 1 + nodes[i].zone[1] - '0' : 0];
                most = ++*zone > most ? *zone : most;
            }
    return most;
}

/* "none holds a majority" is said where none does, "must" where a plan could not do better. */
static void test_what_is_said_is_so(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct cluster_member nodes[7];
        struct cluster_plan plan;
        struct node_id now[7];
        struct random random;
        random_init(&random, seed);
        struct cluster_contract contract = {.partitions = 1, .ack = CLUSTER_ACK_QUORUM};
        struct cluster_ask ask = {.contract = &contract, .nodes = nodes, .now = now};
        ask.count = 2 + random_below(&random, 6);
        contract.replicas = 2 + (unsigned)random_below(&random, ask.count - 1);
        for (size_t i = 0; i < ask.count; i++) {
            char zone[8] = {'z', (char)('0' + random_below(&random, 4)), 0};
            nodes[i] = node_at(i + 1, "", random_below(&random, 9) ? zone : "", "");
        }
        for (size_t i = 0; i < ask.count && ask.now_count < contract.replicas; i++)
            if (random_below(&random, 3) || ask.count - i == contract.replicas - ask.now_count)
                now[ask.now_count++] = nodes[i].id;
        cluster_plan(&ask, &plan);
        char *text = explained(&ask);
        const char *zone = line_of(text, "zone");
        unsigned half = contract.replicas / 2;
        unsigned most = most_in_zone(nodes, ask.count, now, ask.now_count);
        unsigned best = most_in_zone(nodes, ask.count, plan.members, plan.count);
        if (!line_has(zone, "no node names one") && !line_has(zone, "there is only one")) {
            assert_int_equal(most <= half, line_has(zone, "none holds a majority"));
            assert_int_equal(most > half && best > half, line_has(zone, "one of them must hold"));
            assert_int_equal(most > half && best <= half,
                             line_has(zone, "planned anew none would"));
        }
        bool same = true;
        for (size_t i = 0; i < plan.count; i++) {
            bool kept = false;
            for (size_t k = 0; k < ask.now_count; k++)
                kept |= now[k].value == plan.members[i].value;
            same &= kept;
        }
        assert_int_equal(same, line_has(line_of(text, "plan"), "nothing would move"));
        memory_free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_place_that_is_best),
        cmocka_unit_test(test_a_place_that_could_be_better),
        cmocka_unit_test(test_what_stands_in_the_way),
        cmocka_unit_test(test_a_new_place),
        cmocka_unit_test(test_what_is_said_is_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
