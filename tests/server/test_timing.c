/* Networks that are slower than a data centre's, and nodes of different profiles (decision 0046).
 */
#include "stage.h"

#include <string.h>

static void far_apart(struct stage *stage, uint64_t one_way_ns)
{
    for (unsigned i = 0; i < stage->options.nodes; i++)
        for (unsigned k = 0; k < stage->options.nodes; k++)
            if (i != k)
                world_delay(stage->world, stage->nodes[i].machine, stage->nodes[k].machine,
                            one_way_ns, one_way_ns);
}

/* A round is begun each millisecond while somebody waits for one, and each answer takes 160:
 * RAFT-11 needs the start of a round that was answered. */
static void rounds_are_confirmed_far_away(void **state)
{
    (void)state;
    struct stage *stage = stage_formed_with(
        &(struct stage_options){.nodes = 3, .readindex_reads = true, .hold_ns = 5 * STAGE_SECOND});
    unsigned client = stage_connect(stage, stage_leader(stage));
    unsigned other = stage_connect(stage, stage_leader(stage));
    assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
    far_apart(stage, 80 * STAGE_MS);
    stage_run(stage, 2 * STAGE_SECOND);
    stage_say(stage, client, "GET a");
    for (unsigned i = 0; i < 1000; i++) { /* somebody asks in each millisecond */
        stage_say(stage, other, "GET a");
        stage_run(stage, STAGE_MS);
    }
    assert_string_equal("1", stage_reply(stage, client, STAGE_MS));
    stage_destroy(stage);
}

/* ---- profiles ---- */

static void watch_leases(struct stage *stage, unsigned node)
{
    (void)node;
    unsigned held = 0;
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        struct replica *replica = stage_replica(stage, i, GROUP_DEFAULT);
        struct io *io = world_io(stage->world, stage->nodes[i].machine, 0);
        held += replica && raft_lease_is_valid(replica_raft(replica), io_now_ns(io));
    }
    assert_true(held <= 1); /* RAFT-10 */
}

static void hand_over(struct stage *stage, unsigned from, unsigned to)
{
    struct replica_id other = replica_self(stage_replica(stage, to, GROUP_DEFAULT));
    struct replica_turn *turn = node_begin_turn(worker_node(stage->nodes[from].worker));
    replica_transfer(stage_replica(stage, from, GROUP_DEFAULT), turn, other);
}

/* The leader waits for seconds, the others promise 400 ms: its lease is no longer than that. */
static void a_patient_leader_trusts_no_impatient_voter(void **state)
{
    (void)state;
    struct node_timing wan = node_timing_of(cluster_timing_find("wan"));
    unsigned led = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct stage *stage = stage_create(&(struct stage_options){.nodes = 3, .seed = seed});
        stage->nodes[seed % 3].timing = &wan;
        stage->watch = watch_leases;
        for (unsigned i = 0; i < 3; i++)
            assert_true(stage_start(stage, i));
        assert_true(stage_wait(stage, stage_has_leader, NULL, 20 * STAGE_SECOND));
        stage_run(stage, 2 * STAGE_SECOND);
        hand_over(stage, stage_leader(stage), seed % 3);
        stage_run(stage, 2 * STAGE_SECOND);
        unsigned leader = stage_leader(stage);
        led += leader == seed % 3;
        stage_isolate(stage, leader);
        stage_wait(stage, stage_has_other_leader, &leader, 10 * STAGE_SECOND);
        stage_run(stage, 5 * STAGE_SECOND);
        stage_destroy(stage);
    }
    assert_true(led > 0); /* else this says nothing */
}

/* As long as the default, which has its own numbers. */
static void lan_is_the_default(void **state)
{
    (void)state;
    struct node_timing lan = node_timing_of(cluster_timing_find("lan"));
    assert_memory_equal(&lan, &node_timing_default, sizeof lan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_are_confirmed_far_away),
        cmocka_unit_test(a_patient_leader_trusts_no_impatient_voter),
        cmocka_unit_test(lan_is_the_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
