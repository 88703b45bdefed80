/* KEYSPACE as the catalogue sees it: what is refused, what is told, which ids are given (CONTROL-5,
 * CONTROL-6). Sentences about contracts alone are in tests/cluster/. */
#include "tests/server/stage.h"

#include <string.h>

static void test_refusals(void **state)
{
    static const struct {
        const char *request, *says;
    } table[] = {
        {"KEYSPACE CREATE", "wrong number of arguments: KEYSPACE CREATE takes a name"},
        {"KEYSPACE ALTER carts", "takes the name of a keyspace, then what to change"},
        {"KEYSPACE MAKE x", "unknown subcommand 'MAKE'"},
        {"KEYSPACE CREATE a:b", "a keyspace has a name of"},
        {"KEYSPACE CREATE 12", "SELECT takes a number for a database"},
        {"KEYSPACE CREATE default", "keyspace default exists"},
        {"KEYSPACE CREATE SYSTEM", "keyspace SYSTEM exists"},
        {"KEYSPACE CREATE carts", "keyspace carts exists"},
        {"KEYSPACE CREATE x DB 3", "DB 3 opens keyspace carts"},
        {"KEYSPACE CREATE x REPLICAS 4", "REPLICAS 3 works"},
        {"KEYSPACE CREATE x ACK async", "FAILOVER available"},
        {"KEYSPACE DROP default", "belongs to every cluster and stays as it is: FLUSHALL"},
        {"KEYSPACE ALTER default ACK all", "KEYSPACE CREATE name ... makes another one"},
        {"KEYSPACE ALTER system SHORT degrade", "belongs to every cluster"},
        {"KEYSPACE", "arguments for 'keyspace' command: CREATE, LIST, INFO"},
        {"LOSS", "arguments for 'loss' command: LIST, SHOW"},
        {"NODE", "arguments for 'node' command: LIST, DRAIN"},
        {"KEYSPACE DROP x", "there is no keyspace 'x'"},
        {"KEYSPACE INFO x", "there is no keyspace 'x'"},
        {"KEYSPACE EXPLAIN x", "there is no keyspace 'x'"},
        {"KEYSPACE ALTER carts ACK semisync:3", "semisync:2"},
        {"KEYSPACE ALTER carts PREFER site=mars", "name a site that nodes have, or PREFER none"},
        {"KEYSPACE ALTER carts PARTITIONS 2",
         "a keyspace of 2 partitions under another name works"},
        {"KEYSPACE ALTER other DB 3", "DB 3 opens keyspace carts"},
    };
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 1);
    struct replica *system = stage_replica(stage, 1, GROUP_SYSTEM);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE carts DB 3"));
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE other"));
    stage_run(stage, STAGE_SECOND);
    uint64_t digest = store_digest(replica_store(system));
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *reply = stage_ask(stage, client, table[i].request);
        if (reply[0] != '-' || !strstr(reply, table[i].says))
            fail_msg("%s: %s", table[i].request, reply);
    }
    stage_run(stage, STAGE_SECOND);
    assert_true(digest == store_digest(replica_store(system))); /* COMMAND-5 */
    stage_destroy(stage);
}

static void test_answers(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 2);
    assert_string_equal("OK", stage_ask(stage, client,
                                        "KEYSPACE CREATE carts REPLICAS 3 ACK semisync:1 "
                                        "PARTITIONS 2 DB 7 SHORT degrade"));
    const char *info = stage_ask(stage, client, "KEYSPACE INFO carts");
    assert_non_null(strstr(info, "name carts id 2 mode leader replicas 3 partitions 2 ack "
                                 "semisync:1 failover safe read strong sync always short degrade "
                                 "db 7 spread none prefer"));
    assert_non_null(strstr(info, "commit_quorum 2 election_quorum 2"));
    assert_non_null(strstr(info, "partition 2 slots 0-8191 nodes"));
    assert_non_null(strstr(info, "partition 3 slots 8192-16383 nodes"));
    const char *list = stage_ask(stage, client, "KEYSPACE LIST");
    assert_non_null(strstr(list, "name system id 0"));
    assert_non_null(strstr(list, "name default id 1"));
    assert_non_null(strstr(list, "name carts id 2"));
    assert_non_null(strstr(stage_ask(stage, client, "KEYSPACE EXPLAIN default"),
                           "survives the loss of any 1 of the 3 nodes"));
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER carts ACK quorum DB 8"));
    info = stage_ask(stage, client, "KEYSPACE INFO carts");
    assert_non_null(strstr(info, "ack quorum"));
    assert_non_null(strstr(info, "db 8"));
    stage_destroy(stage);
}

static void test_ids_are_never_given_twice(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0);
    for (unsigned i = 2; i < 8; i++) {
        char id[32];
        assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE again"));
        snprintf(id, sizeof id, "name again id %u ", i);
        const char *info = stage_ask(stage, client, "KEYSPACE INFO again");
        assert_non_null(strstr(info, id)); /* CONTROL-6 */
        snprintf(id, sizeof id, "partition %u slots", i);
        assert_non_null(strstr(info, id));
        assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE DROP again"));
    }
    stage_destroy(stage);
}

/* A keyspace of 8 partitions is one entry (CONTROL-5). */
static void test_one_entry(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0);
    stage_run(stage, STAGE_SECOND);
    struct replica *system = stage_replica(stage, 0, GROUP_SYSTEM);
    uint64_t before = raft_view(replica_raft(system))->last_index;
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE wide PARTITIONS 8"));
    stage_run(stage, STAGE_SECOND);
    assert_int_equal(before + 1, raft_view(replica_raft(system))->last_index);
    stage_destroy(stage);
}

static void test_too_many(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(1);
    unsigned client = stage_connect(stage, 0);
    stage_run(stage, STAGE_SECOND); /* the first records */
    assert_memory_equal("-ERR node 1 would carry 4098",
                        stage_ask(stage, client, "KEYSPACE CREATE a PARTITIONS 4096"), 28);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE a PARTITIONS 100"));
    assert_memory_equal("-ERR node 1 would carry 4102",
                        stage_ask(stage, client, "KEYSPACE CREATE b PARTITIONS 4000"), 28);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE b PARTITIONS 400"));
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE DROP b"));
    assert_memory_equal("-ERR node 1 would carry 4102",
                        stage_ask(stage, client, "KEYSPACE CREATE b PARTITIONS 4000"), 28);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE b PARTITIONS 30"));
    stage_run(stage, 2 * STAGE_SECOND);
    assert_int_equal(2 + 130, node_group_count(worker_node(stage->nodes[0].worker)));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_ids_are_never_given_twice),
        cmocka_unit_test(test_one_entry),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
