/* SERVER-7: what stands behind ONCE is sent again when its fate is unknown, and has one effect. */
#include "stage.h"

#include "server/inside.h"

#include <string.h>

struct wanted {
    unsigned node;
    uint64_t executed;
};

static bool has_executed(struct stage *stage, void *argument)
{
    const struct wanted *wanted = argument;
    struct replica *replica = stage_replica(stage, wanted->node, GROUP_DEFAULT);
    return replica && replica_executed(replica) >= wanted->executed;
}

static struct wanted one_more(struct stage *stage, unsigned node)
{
    struct replica *replica = stage_replica(stage, node, GROUP_DEFAULT);
    return (struct wanted){node, replica_executed(replica) + 1};
}

static uint64_t unknown_at(struct stage *stage, unsigned node)
{
    struct server_facts facts;
    server_facts(stage_server(stage, node), &facts);
    return facts.unknown_total;
}

static void any_node_answers_a_repetition(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    for (unsigned i = 0; i < 3; i++) {
        unsigned client = stage_connect(stage, i);
        assert_string_equal("1", stage_ask(stage, client, "ONCE c 1 INCR n"));
        assert_string_equal("1", stage_ask(stage, client, "GET n"));
    }
    assert_true(stage_wait(stage, stage_is_converged, NULL, 5 * STAGE_SECOND));
    stage_destroy(stage);
}

/* The link breaks when the leader has the write: it is asked again, and answers what it answered.
 */
static void link_lost_after_the_write(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    unsigned client = stage_connect(stage, follower);
    assert_string_equal("1", stage_ask(stage, client, "ONCE c 1 INCR n"));
    struct wanted wanted = one_more(stage, leader);
    stage_say(stage, client, "ONCE c 2 INCR n");
    stage_say(stage, client, "GET n");
    assert_true(stage_wait(stage, has_executed, &wanted, STAGE_SECOND));
    assert_true(world_reset_connections(stage->world, stage->nodes[leader].machine,
                                        stage->nodes[follower].machine) > 0);
    assert_string_equal("2", stage_reply(stage, client, 5 * STAGE_SECOND)); /* SERVER-7 */
    assert_string_equal("2", stage_reply(stage, client, 5 * STAGE_SECOND));
    assert_int_equal(0, unknown_at(stage, follower));
    stage_destroy(stage);
}

/* The leader is gone right after it executed, at each moment until the reply: the next one is
 * asked, and whether it has the entry or not, the counter and the answers say the same. */
static void leader_killed_with_the_write(void **state)
{
    (void)state;
    for (uint64_t after_us = 0; after_us < 1200; after_us += 100) {
        struct stage *stage = stage_formed(3);
        unsigned leader = stage_leader(stage), follower = stage_follower(stage);
        unsigned client = stage_connect(stage, follower);
        assert_string_equal("1", stage_ask(stage, client, "ONCE c 1 INCR n"));
        stage_say(stage, client, "ONCE c 2 INCR n");
        stage_say(stage, client, "ONCE c 3 INCR n");
        stage_run(stage, after_us * 1000);
        stage_kill(stage, leader);
        assert_string_equal("2", stage_reply(stage, client, 5 * STAGE_SECOND));
        assert_string_equal("3", stage_reply(stage, client, 5 * STAGE_SECOND));
        assert_string_equal("3", stage_ask(stage, client, "GET n"));
        assert_true(stage_start(stage, leader));
        assert_true(stage_wait(stage, stage_is_converged, NULL, 10 * STAGE_SECOND));
        stage_destroy(stage);
    }
}

/* The client is at the leader, which executes, is cut off, and loses what it executed: its own
 * client's request goes to the next leader. */
static void cut_off_with_its_client(void **state)
{
    (void)state;
    struct stage *stage =
        stage_formed_with(&(struct stage_options){.nodes = 3, .ack_timeout_ns = 20 * STAGE_SECOND});
    unsigned leader = stage_leader(stage);
    unsigned client = stage_connect(stage, leader), other = stage_connect(stage, (leader + 1) % 3);
    assert_string_equal("1", stage_ask(stage, client, "ONCE c 1 INCR n"));
    stage_isolate(stage, leader);
    stage_say(stage, client, "ONCE c 2 INCR n");
    stage_say(stage, client, "ONCE c 3 INCR n");
    assert_true(stage_wait(stage, stage_has_other_leader, &leader, 10 * STAGE_SECOND));
    assert_string_equal("101", stage_ask(stage, other, "INCRBY n 100"));
    stage_heal(stage);
    assert_string_equal("102", stage_reply(stage, client, 10 * STAGE_SECOND)); /* SERVER-7 */
    assert_string_equal("103", stage_reply(stage, client, 10 * STAGE_SECOND));
    assert_string_equal("103", stage_ask(stage, other, "GET n"));
    assert_string_equal("102", stage_ask(stage, other, "ONCE c 2 INCR n"));
    assert_true(stage_wait(stage, stage_is_converged, NULL, 10 * STAGE_SECOND));
    stage_destroy(stage);
}

/* Not for ever: after the time that any write has, its fate is unknown; asked again, it is told. */
static void patience_ends(void **state)
{
    (void)state;
    struct stage *stage =
        stage_formed_with(&(struct stage_options){.nodes = 3, .ack_timeout_ns = 3 * STAGE_SECOND});
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    unsigned client = stage_connect(stage, follower);
    assert_string_equal("1", stage_ask(stage, client, "ONCE c 1 INCR n"));
    struct wanted wanted = one_more(stage, leader);
    stage_say(stage, client, "ONCE c 2 INCR n");
    assert_true(stage_wait(stage, has_executed, &wanted, STAGE_SECOND));
    for (unsigned i = 0; i < 3; i++)
        if (i != follower)
            stage_kill(stage, i);
    assert_string_equal("(none)", stage_reply(stage, client, 2 * STAGE_SECOND));
    assert_memory_equal("-UNKNOWNOUTCOME", stage_reply(stage, client, 5 * STAGE_SECOND), 15);
    for (unsigned i = 0; i < 3; i++)
        if (i != follower)
            assert_true(stage_start(stage, i));
    assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
    assert_string_equal("2", stage_ask(stage, client, "ONCE c 2 INCR n"));
    assert_string_equal("2", stage_ask(stage, client, "GET n"));
    stage_destroy(stage);
}

/* A repetition reads an answer that may not be committed yet: it waits for the commit of what it
 * repeats, also when that changed no key. */
static void a_repetition_waits_for_the_commit(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage);
    unsigned client = stage_connect(stage, leader), other = stage_connect(stage, leader);
    assert_string_equal("0", stage_ask(stage, client, "DEL nothing"));
    assert_string_equal("nil", stage_ask(stage, other, "GET n"));
    stage_isolate(stage, leader);
    stage_say(stage, client, "ONCE c 1 DEL nothing");
    stage_say(stage, other, "ONCE c 1 DEL nothing");
    assert_string_equal("(none)", stage_reply(stage, other, 300 * STAGE_MS));
    assert_string_equal("(none)", stage_reply(stage, client, 300 * STAGE_MS));
    stage_heal(stage);
    assert_string_equal("0", stage_reply(stage, other, 10 * STAGE_SECOND));
    assert_string_equal("0", stage_reply(stage, client, 10 * STAGE_SECOND));
    stage_destroy(stage);
}

static void where_it_is_refused(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, stage_follower(stage));
    assert_string_equal("OK", stage_ask(stage, client, "MULTI"));
    assert_string_equal("-ERR ONCE is not allowed inside a transaction",
                        stage_ask(stage, client, "ONCE c 1 INCR n"));
    assert_memory_equal("-EXECABORT", stage_ask(stage, client, "EXEC"), 10);
    assert_string_equal(
        "-ERR wrong number of arguments for 'once' command: ONCE client number [OPEN "
        "lowest] command ...",
        stage_ask(stage, client, "ONCE c 1"));
    assert_memory_equal("-ERR ONCE is for commands that write",
                        stage_ask(stage, client, "ONCE c 1 PING"), 36);
    assert_memory_equal("-ERR ONCE is for commands that write",
                        stage_ask(stage, client, "ONCE c 1 ONCE d 1 INCR n"), 36);
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE carts PARTITIONS 4"));
    assert_string_equal("OK", stage_ask(stage, client, "SELECT carts"));
    assert_memory_equal("-CROSSSLOT", stage_ask(stage, client, "ONCE c 1 MSET a 1 b 2 c 3 d 4"),
                        10);
    assert_string_equal("1", stage_ask(stage, client, "ONCE c 1 INCR a"));
    assert_string_equal("1", stage_ask(stage, client, "ONCE c 1 INCR a"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_node_answers_a_repetition),
        cmocka_unit_test(link_lost_after_the_write),
        cmocka_unit_test(leader_killed_with_the_write),
        cmocka_unit_test(cut_off_with_its_client),
        cmocka_unit_test(patience_ends),
        cmocka_unit_test(a_repetition_waits_for_the_commit),
        cmocka_unit_test(where_it_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
