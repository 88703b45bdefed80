/* What a contract says of itself, sentence by sentence (CLUSTER-4). */
#include "cluster/cluster.h"

#include <cmocka.h>

static const struct {
    struct cluster_contract contract;
    const char *says[6]; /* each must stand in the text */
} table[] = {
    {{.replicas = 3, .partitions = 1, .ack = CLUSTER_ACK_QUORUM},
     {"answered when it is on the disk of 2 of 3 replicas",
      "survives the loss of any 1 of the 3 nodes that carry it, and a crash and a power cut of all",
      "lost: nothing that was acknowledged, unless 2 nodes lose their disks",
      "after one failure: reads and writes go on; if the leader is lost, another takes over",
      "after two failures: reads and writes stop until 2 of the 3 nodes are up"}},
    {{.replicas = 1, .partitions = 1, .ack = CLUSTER_ACK_QUORUM},
     {"1 of 1 replicas", "a crash and a power cut of every node, not the loss of the node's disk",
      "lost: everything, if the node's disk is lost",
      "after one failure: reads and writes stop until the node is back"}},
    {{.replicas = 3,
      .readers_min = 1,
      .readers_max = 4,
      .partitions = 1,
      .ack = CLUSTER_ACK_QUORUM},
     {"on the disk of 2 of 3 replicas", "unless 2 nodes lose their disks",
      "readers: 1..4 more copies of each partition, on other nodes. They never vote",
      "stop until 2 of the 3 nodes are up"}},
    {{.replicas = 2, .partitions = 1, .ack = CLUSTER_ACK_QUORUM},
     {"after one failure: reads and writes stop until 2 of the 2 nodes are up"}},
    {{.replicas = 3, .partitions = 1, .ack = CLUSTER_ACK_LOCAL},
     {"is on the disk of the leader", "not the loss of the leader's disk",
      "lost: what no follower had yet",
      "after one failure: reads and writes go on while the leader lives; if the leader is lost, "
      "nobody takes over by itself: all stops until 3 of the 3 nodes are up",
      "after two failures: reads and writes go on while the leader lives"}},
    {{.replicas = 5, .partitions = 1, .ack = CLUSTER_ACK_SEMISYNC, .followers = 1},
     {"the leader and of 1 of its followers", "survives the loss of any 1 of the 5",
      "after one failure: reads and writes go on; if the leader is lost, another takes over",
      "after two failures: reads and writes go on while the leader lives"}},
    {{.replicas = 3, .partitions = 1, .ack = CLUSTER_ACK_ALL},
     {"every replica in the in-sync set, never less than 2 of 3",
      "survives the loss of any 1 of the 3",
      "after one failure: reads and writes go on; if the leader is lost, another",
      "after two failures: reads and writes stop until 2 of the 3 nodes are up"}},
    {{.replicas = 3,
      .partitions = 1,
      .ack = CLUSTER_ACK_SEMISYNC,
      .followers = 2,
      .short_of = CLUSTER_SHORT_DEGRADE},
     {"after one failure: reads and writes go on", "with fewer copies (SHORT degrade)",
      "short: while fewer than 3 replicas are in reach, a write is answered with the 2 of its"}},
    {{.replicas = 3, .partitions = 1, .ack = CLUSTER_ACK_QUORUM, .short_of = CLUSTER_SHORT_DEGRADE},
     {"short: SHORT degrade changes nothing here"}},
    {{.replicas = 3,
      .partitions = 1,
      .ack = CLUSTER_ACK_ASYNC,
      .failover = CLUSTER_FAILOVER_AVAILABLE},
     {"is written at the leader; no disk need have it", "with the leader it may go",
      "a failover may cut acknowledged writes that fewer than 2 of 3 replicas had",
      "after one failure: reads and writes go on; if the leader is lost, another takes over",
      "after two failures: reads and writes stop until 2 of the 3 nodes are up"}},
    {{.replicas = 3,
      .partitions = 1,
      .ack = CLUSTER_ACK_QUORUM,
      .sync = CLUSTER_SYNC_INTERVAL,
      .interval_ms = 2000},
     {"is written, not yet synced, at 2 of 3 replicas", "and a crash of the processes of all",
      "A power cut of 2 machines at once may take back the last 2000 ms"}},
    {{.replicas = 1,
      .partitions = 1,
      .ack = CLUSTER_ACK_QUORUM,
      .sync = CLUSTER_SYNC_INTERVAL,
      .interval_ms = 1000},
     {"a crash of the processes of every node, not",
      " A power cut may take back the last 1000 ms"}},
    {{.replicas = 3, .partitions = 1, .ack = CLUSTER_ACK_LOCAL, .sync = CLUSTER_SYNC_OS},
     {"A power cut of the leader's machine may take back what was acknowledged"}},
    {{.replicas = 3, .partitions = 1, .ack = CLUSTER_ACK_QUORUM, .sync = CLUSTER_SYNC_OS},
     {"A power cut of 2 machines at once may take back what was acknowledged and not yet"}},
};

static void test_sentences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct buffer text;
        buffer_init(&text, 1u << 16);
        cluster_explain(&table[i].contract, &text);
        assert_int_equal(STATUS_OK, buffer_append(&text, "", 1));
        for (size_t k = 0; k < 6 && table[i].says[k]; k++)
            if (!strstr((char *)text.at, table[i].says[k]))
                fail_msg("row %zu: '%s' is not in:\n%s", i, table[i].says[k], (char *)text.at);
        buffer_deinit(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
