/* SERVER-2, R16: a forwarded request goes out again only when its first receiver proved that it did
 * not append it. SERVER-3: who finds no leader is told so, and nothing has happened. */
#include "stage.h"

#include "server/inside.h"
#include "wal/wal.h"

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

static uint64_t executed(struct stage *stage, unsigned node)
{
    return replica_executed(stage_replica(stage, node, GROUP_DEFAULT));
}

static struct server_facts facts_of(struct stage *stage, unsigned node)
{
    struct server_facts facts;
    server_facts(stage_server(stage, node), &facts);
    return facts;
}

/* The request is on its way when its leader gives up: it is refused with the proof, goes to the
 * next leader, and runs exactly once. */
static void refused_and_sent_again(void **state)
{
    (void)state;
    uint64_t refused = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct stage *stage = stage_formed_with(
            &(struct stage_options){.nodes = 3, .seed = seed, .hold_ns = 5 * STAGE_SECOND});
        unsigned leader = stage_leader(stage), follower = stage_follower(stage);
        unsigned client = stage_connect(stage, follower);
        assert_string_equal("1", stage_ask(stage, client, "INCR n"));
        for (unsigned i = 0; i < 5; i++)
            stage_say(stage, client, "INCR n");
        while (!facts_of(stage, follower).forwarded_total ||
               facts_of(stage, follower).forwarded_total < 6)
            stage_run(stage, 10000);
        stage_step_down(stage, leader);
        char expected[16];
        for (unsigned i = 2; i <= 6; i++) {
            snprintf(expected, sizeof expected, "%u", i);
            assert_string_equal(expected, stage_reply(stage, client, 5 * STAGE_SECOND));
        }
        uint64_t here = facts_of(stage, follower).refused_total; /* SERVER-2 */
        assert_in_range(here, 0, 1000); /* asked again at a pace, not as fast as the link is */
        refused += here;
        assert_string_equal("6", stage_ask(stage, client, "GET n"));
        stage_destroy(stage);
    }
    assert_true(refused > 0);
}

/* The link breaks when the leader has the write already: nobody here can know that. */
static void link_lost_after_the_write(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    unsigned client = stage_connect(stage, follower);
    assert_string_equal("1", stage_ask(stage, client, "INCR n"));
    struct wanted wanted = {leader, executed(stage, leader) + 1};
    stage_say(stage, client, "INCR n");
    stage_say(stage, client, "GET n");
    assert_true(stage_wait(stage, has_executed, &wanted, STAGE_SECOND));
    assert_true(world_reset_connections(stage->world, stage->nodes[leader].machine,
                                        stage->nodes[follower].machine) > 0);
    assert_memory_equal("-UNKNOWNOUTCOME", stage_reply(stage, client, 5 * STAGE_SECOND), 15);
    assert_string_equal("2",
                        stage_reply(stage, client, 5 * STAGE_SECOND)); /* a read may go again */
    assert_string_equal("2", stage_ask(stage, client, "GET n")); /* SERVER-2: once, not twice */
    assert_int_equal(1, facts_of(stage, follower).unknown_total);
    stage_destroy(stage);
}

/* The same, but the write never arrived; the answer is the same, the counter is not. */
static void link_lost_before_the_write(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    unsigned client = stage_connect(stage, follower);
    assert_string_equal("1", stage_ask(stage, client, "INCR n"));
    world_cut(stage->world, stage->nodes[follower].machine, stage->nodes[leader].machine);
    stage_say(stage, client, "INCR n");
    assert_memory_equal("-UNKNOWNOUTCOME", stage_reply(stage, client, 8 * STAGE_SECOND), 15);
    world_reset_connections(stage->world, stage->nodes[leader].machine,
                            stage->nodes[follower].machine);
    stage_heal(stage);
    assert_string_equal("1", stage_ask(stage, client, "GET n"));
    stage_destroy(stage);
}

/* The leader stops for a while when it has handed the write on: the others commit it, and the
 * follower cannot know. */
static void leader_paused_after_the_write(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    unsigned client = stage_connect(stage, follower);
    assert_string_equal("1", stage_ask(stage, client, "INCR n"));
    struct wanted wanted = {leader, executed(stage, leader) + 1};
    stage_say(stage, client, "INCR n");
    assert_true(stage_wait(stage, has_executed, &wanted, STAGE_SECOND));
    world_pause(stage->world, stage->nodes[leader].machine);
    assert_memory_equal("-UNKNOWNOUTCOME", stage_reply(stage, client, 5 * STAGE_SECOND), 15);
    assert_true(stage_wait(stage, stage_has_other_leader, &leader, 5 * STAGE_SECOND));
    assert_string_equal("2", stage_ask(stage, client, "GET n")); /* SERVER-2 */
    world_resume(stage->world, stage->nodes[leader].machine);
    assert_true(stage_wait(stage, stage_is_converged, NULL, 10 * STAGE_SECOND));
    assert_string_equal("2", stage_ask(stage, client, "GET n"));
    stage_destroy(stage);
}

/* ---- the leader's side: in order, and after one refusal nothing more of that epoch ---- */

static void receive(struct stage *stage, unsigned leader, uint32_t epoch, uint64_t sequence,
                    const char *word, const char *key)
{
    struct buffer request;
    struct slice arguments[2] = {slice_of_text(word), slice_of_text(key)};
    buffer_init(&request, 4096);
    wire_request_encode(arguments, 2, &request);
    struct wire_forward forward = {.group = GROUP_DEFAULT,
                                   .session = 12345,
                                   .epoch = epoch,
                                   .sequence = sequence,
                                   .flags = WIRE_FORWARD_WRITE,
                                   .request = slice_of_buffer(&request)};
    forward_receive(stage_server(stage, leader),
                    peer_at((struct node_id){stage_follower(stage) + 1}, 0), &forward,
                    slice_of(NULL, 0));
    buffer_deinit(&request);
}

static void nothing_runs_behind_a_refusal(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage);
    stage_run(stage, STAGE_SECOND);
    uint64_t before = executed(stage, leader);
    node_begin_turn(worker_node(stage->nodes[leader].worker));
    receive(stage, leader, 1, 1, "INCR", "n");
    assert_int_equal(before + 1, executed(stage, leader));
    receive(stage, leader, 1, 2, "NOSUCH", "n"); /* of a newer node: refused */
    receive(stage, leader, 1, 3, "INCR", "n");
    assert_int_equal(before + 1, executed(stage, leader)); /* SERVER-2 */
    receive(stage, leader, 2, 1, "INCR", "n");             /* the origin begins again */
    assert_int_equal(before + 2, executed(stage, leader));
    receive(stage, leader, 1, 4, "INCR", "n"); /* late, of the old epoch */
    assert_int_equal(before + 2, executed(stage, leader));
    receive(stage, leader, 2, 3, "INCR", "n"); /* one is missing before it */
    receive(stage, leader, 2, 4, "INCR", "n");
    assert_int_equal(before + 2, executed(stage, leader));
    assert_true(stage_wait(stage, stage_is_converged, NULL, STAGE_SECOND));
    stage_destroy(stage);
}

/* ---- the refused request comes to a node that has no room for it ---- */

static void say_large(struct stage *stage, unsigned client, unsigned size)
{
    static const char head[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n";
    static char value[65536];
    char line[32];
    memset(value, 'x', sizeof value);
    stage_send(stage, client, head, sizeof head - 1);
    stage_send(stage, client, line, (size_t)snprintf(line, sizeof line, "$%u\r\n", size));
    stage_send(stage, client, value, size);
    stage_send(stage, client, "\r\n", 2);
}

/* Fills the log of a follower to within what is kept for term and vote. */
static void fill_log(struct stage *stage, unsigned client, unsigned node)
{
    struct wal *wal = node_wal(worker_node(stage->nodes[node].worker));
    world_disk_capacity(stage->world, stage->nodes[node].machine,
                        world_disk_used(stage->world, stage->nodes[node].machine));
    for (unsigned i = 0; i < 200 && !(wal_disk_is_full(wal) && wal_room(wal) < WAL_RESERVE); i++) {
        say_large(stage, client, 16000);
        assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
        stage_run(stage, 5 * STAGE_MS);
    }
    assert_true(wal_disk_is_full(wal) && wal_room(wal) < WAL_RESERVE);
}

static void refused_and_no_room_here(void **state)
{
    (void)state;
    unsigned met = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct stage *stage = stage_formed_with(
            &(struct stage_options){.nodes = 3, .seed = seed, .hold_ns = 5 * STAGE_SECOND});
        unsigned leader = stage_leader(stage), follower = stage_follower(stage);
        unsigned third = 3 - leader - follower, client = stage_connect(stage, follower);
        fill_log(stage, client, follower);
        stage_step_down(stage, leader);
        world_cut_both(stage->world, stage->nodes[leader].machine, stage->nodes[third].machine);
        stage_say(stage, client, "SET k 1");
        const char *reply = stage_reply(stage, client, 10 * STAGE_SECOND);
        if (strncmp(reply, "-MISCONF", 8) == 0) /* said by the follower, which leads now */
            met++;
        else
            assert_true(strcmp(reply, "OK") == 0 || strncmp(reply, "-TRYAGAIN", 9) == 0 ||
                        strncmp(reply, "-UNKNOWNOUTCOME", 15) == 0);
        stage_destroy(stage);
    }
    assert_true(met > 0);
}

static bool has_one_connection(struct stage *stage, void *node)
{
    return facts_of(stage, *(unsigned *)node).connections == 1;
}

/* A client that leaves takes nothing with it but its own requests. */
static void client_leaves_with_forwards_under_way(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned follower = stage_follower(stage);
    unsigned leaver = stage_connect(stage, follower), other = stage_connect(stage, follower);
    assert_string_equal("1", stage_ask(stage, leaver, "INCR n"));
    for (unsigned i = 0; i < 50; i++)
        stage_say(stage, leaver, "INCR n");
    stage_run(stage, 500000);
    stage_disconnect(stage, leaver);
    assert_string_equal("OK", stage_ask(stage, other, "SET a 1"));
    assert_string_equal("1", stage_ask(stage, other, "GET a"));
    assert_true(stage_wait(stage, has_one_connection, &follower, STAGE_SECOND));
    stage_destroy(stage);
}

/* ---- SERVER-3 ---- */

static void held_without_a_leader(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage), third = 0;
    while (third == leader || third == follower)
        third++;
    unsigned client = stage_connect(stage, follower);
    assert_string_equal("OK", stage_ask(stage, client, "SET a 0"));
    stage_kill(stage, leader);
    stage_kill(stage, third);
    stage_run(stage, 2 * STAGE_SECOND); /* the lost leader is noticed */
    uint64_t asked_ns = world_now_ns(stage->world);
    stage_say(stage, client, "SET a 1");
    stage_say(stage, client, "PING");
    assert_memory_equal("-TRYAGAIN", stage_reply(stage, client, 5 * STAGE_SECOND), 9);
    uint64_t held_ns = world_now_ns(stage->world) - asked_ns;
    assert_true(held_ns >= STAGE_SECOND && held_ns < 3 * STAGE_SECOND / 2); /* hold_ns */
    assert_string_equal("PONG", stage_reply(stage, client, STAGE_SECOND));
    assert_true(stage_start(stage, leader));
    assert_true(stage_start(stage, third));
    assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
    stage_run(stage, 5 * STAGE_SECOND);
    assert_string_equal("0", stage_ask(stage, client, "GET a")); /* SERVER-3: no effect */
    stage_destroy(stage);
}

/* A request that waits for a leader runs as soon as there is one. */
static void held_until_there_is_a_leader(void **state)
{
    (void)state;
    struct stage *stage =
        stage_formed_with(&(struct stage_options){.nodes = 3, .hold_ns = 10 * STAGE_SECOND});
    unsigned leader = stage_leader(stage), client = stage_connect(stage, stage_follower(stage));
    assert_string_equal("PONG", stage_ask(stage, client, "PING"));
    stage_kill(stage, leader);
    stage_run(stage, 5 * STAGE_MS);
    stage_say(stage, client, "SET a 1");
    stage_say(stage, client, "GET a");
    const char *reply = stage_reply(stage, client, 8 * STAGE_SECOND);
    if (strcmp(reply, "OK") != 0) /* it was sent to the dead leader first */
        assert_memory_equal("-UNKNOWNOUTCOME", reply, 15);
    reply = stage_reply(stage, client, 8 * STAGE_SECOND);
    assert_true(strcmp(reply, "1") == 0 || strcmp(reply, "nil") == 0);
    stage_destroy(stage);
}

static void before_formation(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
    assert_true(stage_start(stage, 0));
    unsigned client = stage_connect(stage, 0);
    assert_string_equal("PONG", stage_ask(stage, client, "PING"));
    assert_memory_equal("-TRYAGAIN", stage_ask(stage, client, "SET a 1"), 9);
    assert_true(stage_start(stage, 1));
    assert_true(stage_start(stage, 2));
    assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
    assert_string_equal("nil", stage_ask(stage, client, "GET a"));
    stage_destroy(stage);
}

/* Two nodes without a replica that believe of each other that it leads: each refuses, and neither
 * says what it believes (SERVER-2). */
static void hints_that_go_round(void **state)
{
    (void)state;
    struct group_id group = {GROUP_DEFAULT.value + 1};
    struct stage *stage = stage_formed(5);
    unsigned client = stage_connect(stage, 0), without[4], count = 0;
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE k REPLICAS 1"));
    stage_run(stage, 2 * STAGE_SECOND);
    for (unsigned i = 0; i < 5; i++)
        if (!stage_replica(stage, i, group))
            without[count++] = i;
    assert_int_equal(4, count);
    for (unsigned i = 0; i < 3; i++)
        node_hint_leader(stage_server(stage, without[i])->node, group,
                         (struct node_id){without[i == 1 ? 2 : 1] + 1});
    unsigned other = stage_connect(stage, without[0]);
    assert_string_equal("OK", stage_ask(stage, other, "SELECT k"));
    assert_string_equal("OK", stage_ask(stage, other, "SET a 1"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_and_sent_again),
        cmocka_unit_test(link_lost_after_the_write),
        cmocka_unit_test(link_lost_before_the_write),
        cmocka_unit_test(leader_paused_after_the_write),
        cmocka_unit_test(nothing_runs_behind_a_refusal),
        cmocka_unit_test(refused_and_no_room_here),
        cmocka_unit_test(client_leaves_with_forwards_under_way),
        cmocka_unit_test(held_without_a_leader),
        cmocka_unit_test(held_until_there_is_a_leader),
        cmocka_unit_test(before_formation),
        cmocka_unit_test(hints_that_go_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
