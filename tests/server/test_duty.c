/* Nodes are drained, called back, replaced, removed and given up while clients write (CONTROL-16,
 * CONTROL-17, CONTROL-18), and what becomes of them is told (CONTROL-19). */
#include "stage.h"

#include "control/control.h"

#include <stdlib.h>
#include <string.h>

#define KEYS 60

static void expect(struct stage *stage, unsigned client, const char *request, const char *reply)
{
    const char *got = stage_ask(stage, client, request);
    if (strcmp(got, reply) != 0)
        fail_msg("%s: '%s', not '%s'", request, got, reply);
}

static void expect_prefix(struct stage *stage, unsigned client, const char *request,
                          const char *prefix)
{
    const char *got = stage_ask(stage, client, request);
    if (strncmp(got, prefix, strlen(prefix)) != 0)
        fail_msg("%s: '%s', not '%s ...'", request, got, prefix);
}

static const struct control_catalogue *catalogue_on(struct stage *stage, unsigned node)
{
    return control_catalogue(worker_control(stage->nodes[node].worker));
}

/* The node `about`, as node `asked` knows it. */
struct look {
    unsigned asked, about;
    const char *duty;
};

static bool has_duty(struct stage *stage, void *argument)
{
    const struct look *look = argument;
    const struct control_catalogue *catalogue = catalogue_on(stage, look->asked);
    const struct control_node *node = control_member(catalogue, (struct node_id){look->about + 1});
    return node && strcmp(control_duty_word(catalogue, node), look->duty) == 0;
}

static bool all_settled(struct stage *stage, void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (stage->nodes[i].worker && !worker_is_settled(stage->nodes[i].worker))
            return false;
    return true;
}

static bool has_no_replicas(struct stage *stage, void *argument)
{
    unsigned node = *(unsigned *)argument;
    return node_group_count(worker_node(stage->nodes[node].worker)) == 0;
}

static void wait_for(struct stage *stage, unsigned asked, unsigned about, const char *duty)
{
    struct look look = {asked, about, duty};
    if (!stage_wait(stage, has_duty, &look, 60 * STAGE_SECOND))
        fail_msg("node %u does not become '%s'", about, duty);
}

static struct stage *stage_of_five(uint64_t replace_after_ns)
{
    struct stage *stage = stage_formed_with(
        &(struct stage_options){.nodes = 5, .replace_after_ns = replace_after_ns});
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE CREATE carts REPLICAS 3 PARTITIONS 4", "OK");
    expect(stage, client, "SELECT carts", "OK");
    for (unsigned i = 0; i < KEYS; i++) {
        stage_say(stage, client, "SET key%u %u", i, i);
        assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    }
    stage_disconnect(stage, client);
    return stage;
}

static void expect_all(struct stage *stage, unsigned node)
{
    unsigned client = stage_connect(stage, node);
    char request[32], value[16];
    expect(stage, client, "SELECT carts", "OK");
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(request, sizeof request, "GET key%u", i);
        snprintf(value, sizeof value, "%u", i);
        expect(stage, client, request, value);
    }
    stage_disconnect(stage, client);
}

static void a_node_is_drained(void **state)
{
    (void)state;
    for (unsigned drained = 0; drained < 5; drained++) {
        struct stage *stage = stage_of_five(0);
        unsigned client = stage_connect(stage, drained), asked = (drained + 1) % 5;
        char request[32];
        snprintf(request, sizeof request, "NODE DRAIN %u", drained + 1);
        expect(stage, client, "SELECT carts", "OK");
        expect(stage, client, request, "OK");
        expect(stage, client, request, "OK"); /* again: the same */
        for (unsigned i = 0; i < 200; i++) {  /* who retries nothing sees no error */
            stage_say(stage, client, "INCR visits");
            assert_int_equal(i + 1,
                             strtoul(stage_reply(stage, client, 5 * STAGE_SECOND), NULL, 10));
        }
        wait_for(stage, asked, drained, "drained");
        assert_true(stage_wait(stage, has_no_replicas, &drained, 10 * STAGE_SECOND));
        assert_true(stage_wait(stage, all_settled, NULL, 10 * STAGE_SECOND));
        expect(stage, client, "INCR visits", "201"); /* it hands requests on */
        /* who leads there hands over, and nobody has to find out that it has gone */
        assert_null(strstr(stage_ask(stage, client, "FAILOVERS COUNT 8"), "reason timeout"));
        assert_non_null(strstr(stage_ask(stage, client, "EVENTS COUNT 30"), "is drained: its"));
        assert_non_null(
            strstr(stage_ask(stage, client, "EVENTS COUNT 24"), "replicas are on nodes"));
        expect_all(stage, drained);
        expect_all(stage, asked);
        stage_destroy(stage);
    }
}

/* ---- under load: one counter on each node, always one request in flight ---- */

struct counter {
    unsigned client;
    unsigned long sent, answered;
};

struct load {
    struct counter counters[5];
    bool ending;
};

static void count_on(struct stage *stage, struct load *load, struct counter *counter)
{
    const char *reply = stage_reply(stage, counter->client, 0);
    if (strcmp(reply, "(none)") == 0)
        return;
    if (strtoul(reply, NULL, 10) != counter->sent)
        fail_msg("INCR %lu: '%s'", counter->sent, reply); /* who retries nothing sees no error */
    counter->answered = counter->sent;
    if (!load->ending) {
        stage_say(stage, counter->client, "INCR count%u", counter->client);
        counter->sent++;
    }
}

static bool go_on(struct stage *stage, struct load *load)
{
    bool idle = true;
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        count_on(stage, load, &load->counters[i]);
        idle = idle && load->counters[i].answered == load->counters[i].sent;
    }
    return idle;
}

static void load_begin(struct stage *stage, struct load *load)
{
    *load = (struct load){.ending = false};
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        struct counter *counter = &load->counters[i];
        counter->client = stage_connect(stage, i);
        expect(stage, counter->client, "SELECT carts", "OK");
        stage_say(stage, counter->client, "INCR count%u", counter->client);
        counter->sent = 1;
    }
}

struct load_look {
    struct load *load;
    struct look look;
};

static bool has_duty_under_load(struct stage *stage, void *argument)
{
    struct load_look *look = argument;
    (void)go_on(stage, look->load);
    return has_duty(stage, &look->look);
}

static void ask_under_load(struct stage *stage, struct load *load, unsigned asked, const char *verb,
                           unsigned about, const char *duty)
{
    struct load_look look = {load, {asked, about, duty}};
    unsigned client = stage_connect(stage, asked);
    char request[32];
    snprintf(request, sizeof request, "NODE %s %u", verb, about + 1);
    expect(stage, client, request, "OK");
    stage_disconnect(stage, client);
    if (!stage_wait(stage, has_duty_under_load, &look, 60 * STAGE_SECOND))
        fail_msg("node %u does not become '%s'", about, duty);
}

static bool is_idle(struct stage *stage, void *load)
{
    return go_on(stage, load);
}

static void each_node_in_turn_under_load(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(5);
    struct load load;
    unsigned client = stage_connect(stage, 0);
    expect(stage, client, "KEYSPACE CREATE carts REPLICAS 3 PARTITIONS 2", "OK");
    load_begin(stage, &load);
    for (unsigned i = 0; i < 5; i++) {
        ask_under_load(stage, &load, (i + 1) % 5, "DRAIN", i, "drained");
        ask_under_load(stage, &load, (i + 1) % 5, "UNDRAIN", i, "serves");
    }
    load.ending = true;
    assert_true(stage_wait(stage, is_idle, &load, 10 * STAGE_SECOND));
    stage_destroy(stage);
}

/* ---- PARTITION TRANSFER ---- */

static bool leads_carts(struct stage *stage, void *node)
{
    struct replica *replica = stage_replica(stage, *(unsigned *)node, (struct group_id){2});
    return replica && replica_is_serving(replica);
}

struct led_look {
    struct load *load;
    unsigned node;
};

static bool leads_under_load(struct stage *stage, void *argument)
{
    struct led_look *look = argument;
    (void)go_on(stage, look->load);
    return leads_carts(stage, &look->node);
}

/* Each node in turn leads, and clients see no error; and it stays there. */
static void a_partition_is_led_where_it_is_asked_for(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0);
    struct load load;
    char request[48];
    expect(stage, client, "KEYSPACE CREATE carts REPLICAS 3", "OK");
    load_begin(stage, &load);
    for (unsigned i = 0; i < 6; i++) {
        struct led_look look = {&load, i % 3};
        snprintf(request, sizeof request, "PARTITION TRANSFER 2 TO %u", i % 3 + 1);
        expect(stage, client, request, "OK");
        if (!stage_wait(stage, leads_under_load, &look, 2 * STAGE_SECOND))
            fail_msg("node %u does not lead", i % 3 + 1);
    }
    load.ending = true;
    assert_true(stage_wait(stage, is_idle, &load, 10 * STAGE_SECOND));
    stage_run(stage, 30 * STAGE_SECOND);
    assert_true(leads_carts(stage, &(unsigned){2}));
    expect_prefix(stage, client, "PARTITION TRANSFER 2 TO 9", "-ERR there is no node '9'");
    expect_prefix(stage, client, "PARTITION TRANSFER 7 TO 1", "-ERR there is no partition '7'");
    expect_prefix(stage, client, "PARTITION TRANSFER 2", "-ERR wrong number of arguments");
    expect_prefix(stage, client, "PARTITION MOVE 2", "-ERR unknown subcommand 'MOVE'");
    stage_destroy(stage);
    stage = stage_of_five(0);
    client = stage_connect(stage, 0);
    unsigned without = 0;
    while (stage_replica(stage, without, (struct group_id){2}))
        without++;
    snprintf(request, sizeof request, "PARTITION TRANSFER 2 TO %u", without + 1);
    expect_prefix(stage, client, request, "-ERR node ");
    expect(stage, client, "NODE DRAIN 1", "OK");
    expect_prefix(stage, client, "PARTITION TRANSFER 0 TO 1", "-ERR node 1 drains, so it leads");
    stage_destroy(stage);
}

static bool has_carts(struct stage *stage, void *node)
{
    struct replica *replica = stage_replica(stage, *(unsigned *)node, (struct group_id){2});
    return replica && raft_view(replica_raft(replica))->leader.value;
}

/* It withholds its vote for a while, and clients would wait for that. */
static void who_has_just_started_leads_a_moment_later(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0), old = 0;
    char request[48];
    expect(stage, client, "KEYSPACE CREATE carts REPLICAS 3", "OK");
    stage_run(stage, 2 * STAGE_SECOND);
    while (!leads_carts(stage, &old))
        old++;
    unsigned started = (old + 1) % 3, third = (old + 2) % 3;
    client = stage_connect(stage, third);
    expect(stage, client, "SELECT carts", "OK");
    stage_kill(stage, started);
    stage_run(stage, 3 * STAGE_SECOND);
    assert_true(stage_start(stage, started));
    assert_true(stage_wait(stage, has_carts, &started, 5 * STAGE_SECOND));
    snprintf(request, sizeof request, "PARTITION TRANSFER 2 TO %u", started + 1);
    expect(stage, client, request, "OK");
    uint64_t end = world_now_ns(stage->world) + 4 * STAGE_SECOND, longest = 0;
    while (world_now_ns(stage->world) < end) {
        uint64_t before = world_now_ns(stage->world);
        assert_true(strtoul(stage_ask(stage, client, "INCR visits"), NULL, 10) > 0);
        uint64_t took = world_now_ns(stage->world) - before;
        longest = took > longest ? took : longest;
    }
    assert_true(leads_carts(stage, &started));
    assert_in_range(longest, 0, 150 * STAGE_MS);
    stage_destroy(stage);
}

static bool both_know(struct stage *stage, void *argument)
{
    (void)argument;
    return worker_is_ready(stage->nodes[0].worker) && worker_is_ready(stage->nodes[1].worker);
}

/* Two nodes that lead nothing, and are taken for the first ones of `system`. */
static void drained_nodes_start_again(void **state)
{
    (void)state;
    struct stage *stage = stage_of_five(0);
    unsigned client = stage_connect(stage, 3);
    expect(stage, client, "NODE DRAIN 1", "OK");
    wait_for(stage, 3, 0, "drained");
    expect(stage, client, "NODE DRAIN 2", "OK");
    wait_for(stage, 3, 1, "drained");
    assert_true(stage_wait(stage, all_settled, NULL, 10 * STAGE_SECOND));
    for (unsigned round = 0; round < 8; round++) {
        stage_kill(stage, 0);
        stage_kill(stage, 1);
        assert_true(stage_start(stage, 0));
        stage_run(stage, round * 100 * STAGE_MS);
        assert_true(stage_start(stage, 1));
        assert_true(stage_wait(stage, both_know, NULL, 5 * STAGE_SECOND));
    }
    expect_all(stage, 0);
    stage_destroy(stage);
}

static void what_would_break_a_contract_is_refused(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 0);
    expect_prefix(stage, client, "NODE DRAIN 2",
                  "-ERR node 2 cannot be drained: keyspace default has 3 copies, and 2 nodes would "
                  "be left for them: let another node join first");
    expect_prefix(stage, client, "NODE REMOVE 2", "-ERR node 2 has 2 replicas yet: NODE DRAIN");
    expect_prefix(stage, client, "NODE REMOVE 2 FORCE", "-ERR node 2 cannot be removed: keyspace");
    expect_prefix(stage, client, "NODE DRAIN 9", "-ERR there is no node '9': NODE LIST");
    expect_prefix(stage, client, "NODE DRAIN", "-ERR wrong number of arguments");
    expect_prefix(stage, client, "NODE EXPLODE 1", "-ERR unknown subcommand 'EXPLODE'");
    expect_prefix(stage, client, "NODE RAISE 3", "-ERR wrong number of arguments");
    expect(stage, client, "KEYSPACE CREATE solo REPLICAS 1", "OK");
    bool named = false;
    for (unsigned i = 1; i <= 3; i++) {
        char request[32];
        snprintf(request, sizeof request, "NODE REMOVE %u", i);
        named |=
            strstr(stage_ask(stage, client, request), "of keyspace solo, which has one") != NULL;
    }
    assert_true(named);
    expect_prefix(stage, client, "NODE REPLACE 1 BY 1", "-ERR a node cannot take its own place");
    expect_prefix(stage, client, "REPLICA MOVE 1/1 TO 2",
                  "-ERR node 2 has a replica of partition 1");
    expect_prefix(stage, client, "REPLICA MOVE 7/1 TO 2", "-ERR there is no partition 7");
    expect_prefix(stage, client, "REPLICA MOVE x TO 2", "-ERR a replica is named");
    expect(stage, client, "SET a 1", "OK");
    stage_destroy(stage);
}

/* Called back before its copies were replaced: the same replicas, under their old ids. */
static void a_node_is_called_back(void **state)
{
    (void)state;
    struct stage *stage = stage_of_five(0);
    unsigned client = stage_connect(stage, 0);
    struct raft_configuration before[4];
    for (unsigned i = 0; i < 4; i++) /* where its copies would go, nobody is */
        before[i] = *partition_wanted(
            catalogue_find_group(catalogue_on(stage, 0), (struct group_id){2 + i}));
    stage_kill(stage, 3);
    stage_kill(stage, 4);
    expect(stage, client, "NODE DRAIN 2", "OK");
    stage_run(stage, 2 * STAGE_SECOND);
    wait_for(stage, 0, 1, "drains");
    unsigned open = 0; /* those whose new copy is to be where nobody is */
    for (unsigned i = 0; i < 4; i++) {
        const struct control_partition *partition =
            catalogue_find_group(catalogue_on(stage, 0), (struct group_id){2 + i});
        if (partition->settled < partition->change)
            open++;
        else
            before[i].member_count = 0;
    }
    assert_true(open > 0);
    expect(stage, client, "NODE UNDRAIN 2", "OK");
    wait_for(stage, 0, 1, "serves");
    assert_true(stage_start(stage, 3));
    assert_true(stage_start(stage, 4));
    assert_true(stage_wait(stage, all_settled, NULL, 30 * STAGE_SECOND));
    for (unsigned i = 0; i < 4; i++) {
        const struct raft_configuration *now = partition_wanted(
            catalogue_find_group(catalogue_on(stage, 0), (struct group_id){2 + i}));
        const struct raft_member *was = raft_find_member_on(&before[i], (struct node_id){2});
        if (was)
            assert_non_null(raft_find_member(now, was->replica));
    }
    expect_all(stage, 1);
    stage_destroy(stage);
}

static void one_node_takes_the_place_of_another(void **state)
{
    (void)state;
    struct stage *stage = stage_of_five(0);
    unsigned client = stage_connect(stage, 2);
    expect(stage, client, "NODE REPLACE 1 BY 5", "OK");
    wait_for(stage, 2, 0, "drained");
    assert_true(stage_wait(stage, all_settled, NULL, 10 * STAGE_SECOND));
    for (unsigned i = 0; i < 4; i++) {
        const struct control_partition *partition =
            catalogue_find_group(catalogue_on(stage, 2), (struct group_id){2 + i});
        if (raft_find_member_on(&partition->initial, (struct node_id){1}))
            assert_non_null(raft_find_member_on(&partition->wanted, (struct node_id){5}));
    }
    expect_all(stage, 0);
    stage_destroy(stage);
}

static void a_replica_is_moved(void **state)
{
    (void)state;
    struct stage *stage = stage_of_five(0);
    unsigned client = stage_connect(stage, 2);
    const struct control_partition *partition =
        catalogue_find_group(catalogue_on(stage, 2), (struct group_id){2});
    struct raft_member first = partition->initial.members[0];
    uint64_t to = 1;
    char request[48];
    while (raft_find_member_on(&partition->initial, (struct node_id){to}))
        to++;
    snprintf(request, sizeof request, "REPLICA MOVE 2/%u TO %u", (unsigned)first.replica.value,
             (unsigned)to);
    expect(stage, client, request, "OK");
    stage_run(stage, STAGE_SECOND);
    assert_true(stage_wait(stage, all_settled, NULL, 20 * STAGE_SECOND));
    partition = catalogue_find_group(catalogue_on(stage, 2), (struct group_id){2});
    assert_int_equal(partition->settled, partition->change);
    assert_non_null(raft_find_member_on(&partition->wanted, (struct node_id){to}));
    assert_null(raft_find_member_on(&partition->wanted, first.node));
    expect_all(stage, 0);
    stage_destroy(stage);
}

/* CONTROL-18 */
static void a_removed_node_does_not_come_back(void **state)
{
    (void)state;
    struct stage *stage = stage_of_five(0);
    unsigned client = stage_connect(stage, 0), there = stage_connect(stage, 4);
    expect(stage, client, "NODE DRAIN 5", "OK");
    wait_for(stage, 0, 4, "drained");
    expect(stage, client, "NODE REMOVE 5", "OK");
    wait_for(stage, 4, 4, "removed");
    expect(stage, there, "SET through the-removed", "OK"); /* until it is stopped */
    assert_false(worker_is_ready(stage->nodes[4].worker));
    expect_prefix(stage, client, "NODE UNDRAIN 5", "-ERR node 5 was removed");
    stage_kill(stage, 4);
    (void)stage_start(stage, 4);
    for (unsigned i = 0; i < 100 && !stage->nodes[4].why[0]; i++)
        stage_run(stage, STAGE_SECOND / 10);
    assert_non_null(strstr(stage->nodes[4].why, "node 5 was removed"));
    expect_all(stage, 0);
    stage_destroy(stage);
}

/* CONTROL-17 */
static void who_is_down_for_long_is_replaced(void **state)
{
    (void)state;
    struct stage *stage = stage_of_five(5 * STAGE_SECOND);
    unsigned client = stage_connect(stage, 0);
    stage_kill(stage, 3);
    wait_for(stage, 0, 3, "away");
    assert_true(stage_wait(stage, all_settled, NULL, 30 * STAGE_SECOND));
    for (unsigned i = 0; i < 4; i++)
        assert_null(raft_find_member_on(partition_wanted(catalogue_find_group(
                                            catalogue_on(stage, 0), (struct group_id){2 + i})),
                                        (struct node_id){4}));
    /* R18: `system` had five voters, and four are left: it is not made smaller by itself */
    assert_int_equal(0, catalogue_find_group(catalogue_on(stage, 0), GROUP_SYSTEM)->change);
    expect_all(stage, 0);
    assert_true(stage_start(stage, 3));
    wait_for(stage, 0, 3, "serves");
    expect(stage, client, "SET a 1", "OK");
    expect_all(stage, 3);
    stage_destroy(stage);
}

/* Its own leader hears it: who gave it up is the one that is cut off. */
static void who_is_heard_is_not_replaced(void **state)
{
    (void)state;
    struct stage *stage = stage_of_five(5 * STAGE_SECOND);
    unsigned system = STAGE_NONE;
    for (unsigned i = 0; i < 5; i++) {
        struct replica *replica = stage_replica(stage, i, GROUP_SYSTEM);
        if (replica && replica_is_serving(replica))
            system = i;
    }
    unsigned other = (system + 1) % 5;
    uint64_t changes[4];
    for (unsigned i = 0; i < 4; i++)
        changes[i] =
            catalogue_find_group(catalogue_on(stage, system), (struct group_id){2 + i})->settled;
    world_cut_both(stage->world, stage->nodes[system].machine, stage->nodes[other].machine);
    stage_run(stage, 20 * STAGE_SECOND);
    for (unsigned i = 0; i < 4; i++) {
        const struct control_partition *partition =
            catalogue_find_group(catalogue_on(stage, system), (struct group_id){2 + i});
        bool led_by_the_cut =
            raft_replica_on(&partition->initial, (struct node_id){system + 1}).value;
        if (!led_by_the_cut)
            assert_int_equal(partition->settled, changes[i]);
    }
    stage_heal(stage);
    wait_for(stage, system, other, "serves");
    expect_all(stage, other);
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_is_drained),
        cmocka_unit_test(each_node_in_turn_under_load),
        cmocka_unit_test(a_partition_is_led_where_it_is_asked_for),
        cmocka_unit_test(who_has_just_started_leads_a_moment_later),
        cmocka_unit_test(drained_nodes_start_again),
        cmocka_unit_test(what_would_break_a_contract_is_refused),
        cmocka_unit_test(a_node_is_called_back),
        cmocka_unit_test(one_node_takes_the_place_of_another),
        cmocka_unit_test(a_replica_is_moved),
        cmocka_unit_test(a_removed_node_does_not_come_back),
        cmocka_unit_test(who_is_down_for_long_is_replaced),
        cmocka_unit_test(who_is_heard_is_not_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
