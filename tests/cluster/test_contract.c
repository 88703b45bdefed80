/* Contracts that are refused, with the sentence (CLUSTER-1); quorums of those that hold
 * (CLUSTER-2). */
#include "cluster/cluster.h"

#include <stdio.h>

#include <cmocka.h>

static size_t split(const char *text, struct slice words[32])
{
    size_t count = 0;
    while (*text) {
        size_t size = strcspn(text, " ");
        words[count++] = slice_of(text, size);
        text += size + (text[size] == ' ');
    }
    return count;
}

static enum status judge(const char *text, size_t node_count, struct cluster_contract *contract,
                         char why[CLUSTER_LINE_SIZE])
{
    struct slice words[32];
    struct cluster_member nodes[8] = {{.id = {0}}};
    for (size_t i = 0; i < node_count; i++) {
        nodes[i].id.value = i + 1;
        snprintf(nodes[i].zone, sizeof nodes[i].zone, "z%zu", i % 2);
        snprintf(nodes[i].site, sizeof nodes[i].site, "berlin");
        snprintf(nodes[i].host, sizeof nodes[i].host, "m%zu", i);
    }
    *contract = cluster_contract_default;
    why[0] = 0;
    enum status status = cluster_contract_read(words, split(text, words), contract, why);
    return status ? status : cluster_contract_check(contract, nodes, node_count, why);
}

/* Each refusal says what would work: the second column must stand in it. */
static void test_refusals(void **state)
{
    static const struct {
        const char *words, *says;
        size_t nodes;
    } table[] = {
        {"ACK async FAILOVER safe", "ACK local with FAILOVER safe works", 3},
        {"ACK async", "FAILOVER available", 3},
        {"REPLICAS 5", "REPLICAS 3 works", 3},
        {"REPLICAS 0", "from 1 to 16", 3},
        {"REPLICAS 17", "from 1 to 16", 3},
        {"REPLICAS three", "from 1 to 16", 3},
        {"REPLICAS 3 ACK semisync:3", "ACK semisync:2 or all works", 3},
        {"REPLICAS 1 ACK semisync:1", "ACK local works", 3},
        {"ACK semisync:0", "ACK local waits for the leader alone", 3},
        {"ACK semisync", "semisync:K, where K is a number of followers", 3},
        {"ACK semisync:", "semisync:K", 3},
        {"ACK majority", "async, local, quorum, all or semisync:K", 3},
        {"FAILOVER fast", "FAILOVER safe or available", 3},
        {"MODE leaderless", "give MODE leader", 3},
        {"MODE multileader", "give MODE leader", 3},
        {"MODE x", "MODE leader", 3},
        {"READ eventual", "give READ strong", 3},
        {"SYNC never", "always, interval:MS or os", 3},
        {"SYNC interval:10", "1000 to 3600000", 3},
        {"SHORT maybe", "refuse or degrade", 3},
        {"DB 0", "from 1 to 15", 3},
        {"DB none", "ALTER can only give it another, from 1 to 15", 3},
        {"DB 16", "from 1 to 15", 3},
        {"PARTITIONS 0", "from 1 to 4096", 3},
        {"PARTITIONS 4097", "from 1 to 4096", 3},
        {"SPREAD rack", "host, zone, site or none", 3},
        {"SPREAD zone REPLICAS 3", "REPLICAS 2 works", 3},
        {"SPREAD site REPLICAS 2", "REPLICAS 1 works", 3},
        {"PREFER site=paris", "no node was started with --site paris", 3},
        {"PREFER zone=z1", "PREFER site=NAME", 3},
        {"REPLICAS 3 REPLICAS 3", "given twice: give it once", 3},
        {"REPLICAS", "lacks its value: give one, as in REPLICAS 3", 3},
        {"ACK", "as in ACK quorum", 3},
        {"QUORUM 3", "is not known", 3},
        {"READERS 1", "READERS 0 works, or another node", 3},
        {"READERS 3..5", "needs 6 nodes, and the cluster has 5: READERS 2 works", 5},
        {"REPLICAS 2 READERS 3..2", "READERS 2..3 works", 8},
        {"READERS 16", "from 0 to 15, or two as in 1..3", 3},
        {"READERS -1", "from 0 to 15", 3},
        {"READERS 1..", "from 0 to 15", 3},
        {"READERS ..1", "from 0 to 15", 3},
        {"READERS 1...2", "from 0 to 15", 3},
        {"READERS many", "from 0 to 15", 3},
        {"READERS 0..10", "12 is the most: READERS 9 works", 3},
        {"REPLICAS 1 READERS 3", "READERS 2 works", 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct cluster_contract contract;
        char why[CLUSTER_LINE_SIZE];
        assert_int_equal(STATUS_INVALID, judge(table[i].words, table[i].nodes, &contract, why));
        if (!strstr(why, table[i].says))
            fail_msg("%s: %s", table[i].words, why);
    }
}

/* CLUSTER-1: a level that no node names says nothing of what fails together. */
static void test_spread_needs_names(void **state)
{
    static const char *const levels[] = {"host", "zone", "site"};
    struct cluster_member nodes[4] = {{.id = {1}}, {.id = {2}}, {.id = {3}}, {.id = {4}}};
    struct cluster_contract contract = {.replicas = 3, .partitions = 1, .ack = CLUSTER_ACK_QUORUM};
    char why[CLUSTER_LINE_SIZE], says[64];
    (void)state;
    for (int i = 0; i < 3; i++) {
        contract.spread = (enum cluster_spread)(CLUSTER_SPREAD_HOST + i);
        snprintf(says, sizeof says, "nodes with --%s NAME works, or no SPREAD", levels[i]);
        assert_int_equal(STATUS_INVALID, cluster_contract_check(&contract, nodes, 4, why));
        assert_non_null(strstr(why, says));
    }
    /* Beside one that is named, a node that names no host is its own ... */
    snprintf(nodes[0].host, sizeof nodes[0].host, "h");
    snprintf(nodes[1].host, sizeof nodes[1].host, "h");
    contract.spread = CLUSTER_SPREAD_HOST;
    assert_int_equal(STATUS_OK, cluster_contract_check(&contract, nodes, 4, why));
    contract.replicas = 4;
    assert_int_equal(STATUS_INVALID, cluster_contract_check(&contract, nodes, 4, why));
    assert_non_null(strstr(why, "needs 4 hosts, and the nodes have 3: REPLICAS 3 works"));
    /* ... and of a node that names no zone nobody knows in which it is. */
    contract = (struct cluster_contract){
        .replicas = 3, .ack = CLUSTER_ACK_QUORUM, .spread = CLUSTER_SPREAD_ZONE};
    snprintf(nodes[0].zone, sizeof nodes[0].zone, "a");
    snprintf(nodes[1].zone, sizeof nodes[1].zone, "b");
    assert_int_equal(STATUS_INVALID, cluster_contract_check(&contract, nodes, 4, why));
    assert_non_null(strstr(why, "needs 3 zones, and the nodes have 2: REPLICAS 2 works"));
    snprintf(nodes[2].site, sizeof nodes[2].site, "south"); /* the zone a of another site */
    snprintf(nodes[2].zone, sizeof nodes[2].zone, "a");
    assert_int_equal(STATUS_OK, cluster_contract_check(&contract, nodes, 4, why));
    /* PREFER a site in which SPREAD can put none */
    snprintf(nodes[3].site, sizeof nodes[3].site, "north");
    snprintf(contract.prefer_site, sizeof contract.prefer_site, "north");
    assert_int_equal(STATUS_INVALID, cluster_contract_check(&contract, nodes, 4, why));
    assert_non_null(strstr(why, "with --site north and a --zone"));
}

/* Who leaves is not counted. */
static void test_who_leaves_carries_nothing(void **state)
{
    struct cluster_member nodes[4] = {
        {.id = {1}, .host = "a", .site = "s"}, {.id = {2}, .host = "b"}, {.id = {3}}, {.id = {4}}};
    struct cluster_contract contract = {.replicas = 4, .ack = CLUSTER_ACK_QUORUM};
    char why[CLUSTER_LINE_SIZE];
    (void)state;
    assert_int_equal(STATUS_OK, cluster_contract_check(&contract, nodes, 4, why));
    nodes[0].leaves = true;
    assert_int_equal(STATUS_INVALID, cluster_contract_check(&contract, nodes, 4, why));
    assert_non_null(strstr(why, "REPLICAS 3 works"));
    contract.replicas = 3;
    snprintf(contract.prefer_site, sizeof contract.prefer_site, "s");
    assert_int_equal(STATUS_INVALID, cluster_contract_check(&contract, nodes, 4, why));
    assert_non_null(strstr(why, "or PREFER none"));
    contract.prefer_site[0] = 0;
    contract.spread = CLUSTER_SPREAD_HOST;
    assert_int_equal(STATUS_OK, cluster_contract_check(&contract, nodes, 4, why));
    nodes[1].leaves = true;
    contract.replicas = 2;
    assert_int_equal(STATUS_INVALID, cluster_contract_check(&contract, nodes, 4, why));
    assert_non_null(strstr(why, "none said --host"));
}

/* What INFO shows of a contract may be asked for again. */
static void test_words_that_are_shown_are_known(void **state)
{
    static const char *const spreads[] = {"none", "host"};
    static const char *const readers[] = {"0", "2", "1..7"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct cluster_contract contract;
        char why[CLUSTER_LINE_SIZE], words[64], word[CLUSTER_WORD_SIZE];
        snprintf(words, sizeof words, "READERS %s", readers[i]);
        assert_int_equal(STATUS_OK, judge(words, 5, &contract, why));
        assert_string_equal(readers[i], cluster_readers_word(&contract, word));
    }
    for (size_t i = 0; i < 2; i++) {
        struct cluster_contract contract;
        char why[CLUSTER_LINE_SIZE], words[64];
        snprintf(words, sizeof words, "REPLICAS 1 SPREAD %s", spreads[i]);
        assert_int_equal(STATUS_OK, judge(words, 3, &contract, why));
        assert_string_equal(spreads[i], cluster_spread_word(&contract));
    }
}

static void test_quorums(void **state)
{
    static const struct {
        const char *words;
        unsigned replicas, commit, election, copies;
    } table[] = {
        {"", 3, 2, 2, 2},
        {"REPLICAS 1", 1, 1, 1, 1},
        {"REPLICAS 2", 2, 2, 2, 2},
        {"REPLICAS 4", 4, 3, 3, 3},
        {"REPLICAS 5", 5, 3, 3, 3},
        {"REPLICAS 5 ACK all", 5, 3, 3, 5},
        {"REPLICAS 5 ACK semisync:1", 5, 2, 4, 2},
        {"REPLICAS 5 ACK semisync:2", 5, 3, 3, 3},
        {"REPLICAS 5 ACK semisync:4", 5, 3, 3, 5},
        {"REPLICAS 5 ACK local", 5, 1, 5, 1},
        {"REPLICAS 3 ACK local", 3, 1, 3, 1},
        {"REPLICAS 3 ACK local FAILOVER available", 3, 2, 2, 1},
        {"REPLICAS 3 ACK async FAILOVER available", 3, 2, 2, 0},
        {"REPLICAS 5 ACK semisync:1 FAILOVER available", 5, 3, 3, 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct cluster_contract contract;
        char why[CLUSTER_LINE_SIZE];
        assert_int_equal(STATUS_OK, judge(table[i].words, 7, &contract, why));
        assert_int_equal(table[i].replicas, contract.replicas);
        assert_int_equal(table[i].commit, cluster_commit_quorum(&contract));
        assert_int_equal(table[i].election, cluster_election_quorum(&contract));
        assert_int_equal(table[i].copies, cluster_ack_copies(&contract));
    }
}

/* R2 for every contract that can be written. */
static void test_quorums_overlap(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= CLUSTER_REPLICAS_MAX; n++)
        for (unsigned ack = 0; ack <= CLUSTER_ACK_ALL; ack++)
            for (unsigned k = 1; k < n; k++)
                for (unsigned failover = 0; failover < 2; failover++) {
                    struct cluster_contract contract = {.replicas = n,
                                                        .ack = (enum cluster_ack)ack,
                                                        .followers = k,
                                                        .failover =
                                                            (enum cluster_failover)failover};
                    unsigned c = cluster_commit_quorum(&contract);
                    unsigned e = cluster_election_quorum(&contract);
                    assert_true(c >= 1 && c <= n && e <= n && c + e > n && 2 * e > n);
                }
}

static void test_two_voters_are_asked_for(void **state)
{
    struct cluster_contract contract;
    char why[CLUSTER_LINE_SIZE];
    (void)state;
    assert_int_equal(STATUS_OK, judge("", 2, &contract, why));
    assert_int_equal(1, contract.replicas);
    assert_int_equal(STATUS_OK, judge("REPLICAS 2", 2, &contract, why));
    assert_int_equal(2, contract.replicas);
}

static void test_names(void **state)
{
    char longest[CLUSTER_NAME_SIZE + 1];
    (void)state;
    assert_true(cluster_name_is_valid(slice_of_text("Carts-2.old_1")));
    assert_false(cluster_name_is_valid(slice_of_text("")));
    assert_false(cluster_name_is_valid(slice_of_text("a b")));
    assert_false(cluster_name_is_valid(slice_of_text("a:b")));
    assert_false(cluster_name_is_valid(slice_of("a\0b", 3)));
    memset(longest, 'x', sizeof longest);
    assert_true(cluster_name_is_valid(slice_of(longest, 63)));
    assert_false(cluster_name_is_valid(slice_of(longest, 64)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spread_needs_names),
        cmocka_unit_test(test_who_leaves_carries_nothing),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_words_that_are_shown_are_known),
        cmocka_unit_test(test_quorums),
        cmocka_unit_test(test_quorums_overlap),
        cmocka_unit_test(test_two_voters_are_asked_for),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
