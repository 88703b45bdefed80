/* CONTROL-1 .. CONTROL-4: how a cluster comes to be, whoever starts first and whoever dies at
 * which step. */
#include "tests/server/stage.h"

#include "base/memory.h"
#include "control/control.h"
#include "store/store.h"

#include <string.h>

static const struct node_formation *formation_of(struct stage *stage, unsigned node)
{
    struct worker *worker = stage->nodes[node].worker;
    return worker ? node_formation(worker_node(worker)) : NULL;
}

/* Everybody is a member of one cluster, in which it has its own id. CONTROL-1 */
static void check_one_cluster(struct stage *stage)
{
    const struct node_formation *first = NULL;
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        const struct node_formation *formation = formation_of(stage, i);
        if (!formation)
            continue;
        first = first ? first : formation;
        assert_true(cluster_id_equal(first->cluster, formation->cluster));
        assert_int_equal(stage->options.nodes, formation->member_count);
        assert_int_equal(i + 1, formation->self.value);
        for (unsigned k = 0; k < formation->member_count; k++) {
            assert_int_equal(k + 1, formation->members[k].id.value);
            assert_string_equal(stage->nodes[k].listen, formation->members[k].client_address);
            assert_string_equal(stage->nodes[k].peer_listen, formation->members[k].peer_address);
        }
    }
}

static bool all_formed(struct stage *stage, void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (!stage->nodes[i].worker || !node_is_started(worker_node(stage->nodes[i].worker)))
            return false;
    return true;
}

static void wait_formed(struct stage *stage)
{
    assert_true(stage_wait(stage, all_formed, NULL, 20 * STAGE_SECOND));
    assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
    check_one_cluster(stage);
}

static void any_start_order(void **state)
{
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                          {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    (void)state;
    for (unsigned order = 0; order < 6; order++) {
        struct stage *stage = stage_create(&(struct stage_options){.nodes = 3, .seed = order + 1});
        for (unsigned i = 0; i < 3; i++) {
            assert_false(all_formed(stage, NULL));
            assert_true(stage_start(stage, orders[order][i]));
            stage_run(stage, order % 2 ? 700 * STAGE_MS : 0);
        }
        wait_formed(stage);
        stage_destroy(stage);
    }
}

static void five_nodes(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(5);
    check_one_cluster(stage);
    stage_destroy(stage);
}

static void alone_it_forms_without_asking(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 1});
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, stage_has_leader, NULL, STAGE_SECOND)); /* CONTROL-3 */
    assert_int_equal(0, world_counters(stage->world, stage->nodes[0].machine).connects);
    check_one_cluster(stage);
    stage_destroy(stage);
}

static void alone_nobody_begins_anew(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 1});
    stage->nodes[0].begins_anew = true;
    (void)stage_start(stage, 0);
    stage_run(stage, STAGE_SECOND);
    assert_null(stage->nodes[0].worker);
    assert_non_null(strstr(stage->nodes[0].why, "--begin-anew needs --join"));
    stage->nodes[0].begins_anew = false;
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, stage_has_leader, NULL, STAGE_SECOND));
    stage->nodes[0].begins_anew = true; /* what has an identity keeps it */
    stage_kill(stage, 0);
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
    stage_destroy(stage);
}

/* ---- dying on the way ---- */

/* The text file that says whose directory it is. */
static bool has_sign(struct stage *stage, unsigned node)
{
    uint8_t bytes[8];
    size_t got;
    return world_disk_read(stage->world, stage->nodes[node].machine, "/node/identity", bytes,
                           sizeof bytes, 0, &got) == STATUS_OK;
}

/* The victim dies at its nth call that changes the outside, and is started again. False: it lived
 * to the end. */
static bool die_and_form(unsigned victim, unsigned nth, bool power)
{
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
    world_crash_at_call(stage->world, stage->nodes[victim].machine, nth, power);
    for (unsigned i = 0; i < 3; i++) {
        bool started = stage_start(stage, i);
        assert_true(started || i == victim);
    }
    (void)stage_wait(stage, all_formed, NULL, 2 * STAGE_SECOND);
    stage_run(stage, 50 * STAGE_MS); /* a turn that the crash cut short believes what it did */
    bool died = stage->nodes[victim].deaths > 0 || !stage->nodes[victim].worker;
    world_crash_at_call(stage->world, stage->nodes[victim].machine, 0, false);
    if (!stage->nodes[victim].worker) {
        stage_power_cut(stage, victim); /* what a process left behind must bear that, too */
        bool started = stage_start(stage, victim);
        if (!started)
            print_error("node %u, call %u: %s\n", victim, nth, stage->nodes[victim].why);
        assert_true(started);
    }
    wait_formed(stage); /* CONTROL-1 */
    stage_run(stage, STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++)
        assert_true(has_sign(stage, i));
    stage_destroy(stage);
    return died;
}

static void sweep(unsigned victim, bool power)
{
    unsigned nth = 1;
    while (die_and_form(victim, nth, power) && nth < 400)
        nth++;
    assert_true(nth > 10);
}

static void former_dies_at_each_step(void **state)
{
    (void)state;
    sweep(0, false);
}

static void promiser_dies_at_each_step(void **state)
{
    (void)state;
    sweep(1, false);
}

static void power_of_the_former_goes_at_each_step(void **state)
{
    (void)state;
    sweep(0, true);
}

static void power_of_a_promiser_goes_at_each_step(void **state)
{
    (void)state;
    sweep(2, true);
}

/* ---- lists ---- */

static void other_list_is_refused_by_name(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
    snprintf(stage->nodes[1].join, sizeof stage->nodes[1].join, "10.0.0.1:6379,10.0.0.2:6379");
    for (unsigned i = 0; i < 3; i++)
        assert_true(stage_start(stage, i));
    stage_run(stage, 5 * STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++)
        assert_null(formation_of(stage, i));
    assert_non_null(strstr(stage->nodes[0].lines, "10.0.0.2:6379 was started with another --join"));
    assert_non_null(strstr(stage->nodes[1].lines, "10.0.0.1:6379 was started with another --join"));
    stage_kill(stage, 1);
    memcpy(stage->nodes[1].join, stage->nodes[0].join, sizeof stage->nodes[0].join);
    assert_true(stage_start(stage, 1));
    wait_formed(stage);
    stage_destroy(stage);
}

static void lists_that_cannot_be(void **state)
{
    static const struct {
        const char *join, *why;
    } cases[] = {
        {"10.0.0.1:6379,10.0.0.1:6379", "names 10.0.0.1:6379 twice"},
        {"10.0.0.1", "'10.0.0.1' is not HOST:PORT"},
        {"10.0.0.1:6379,:5", "':5' is not HOST:PORT"},
        {"10.0.0.1:", "'10.0.0.1:' is not HOST:PORT"},
    };
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 1});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(stage->nodes[0].join, sizeof stage->nodes[0].join, "%s", cases[i].join);
        assert_false(stage_start(stage, 0));
        assert_non_null(strstr(stage->nodes[0].why, cases[i].why));
    }
    snprintf(stage->nodes[0].join, sizeof stage->nodes[0].join, "10.0.0.7:1");
    assert_true(stage_start(stage, 0)); /* its own address is not among them */
    stage_run(stage, 3 * STAGE_SECOND);
    assert_non_null(strstr(stage->nodes[0].lines, "waiting for 10.0.0.7:1"));
    stage_destroy(stage);
}

static bool has_promised(struct stage *stage, void *argument)
{
    struct worker *worker = stage->nodes[*(unsigned *)argument].worker;
    return node_promise(worker_node(worker))->former[0] && node_is_saved(worker_node(worker));
}

/* Two nodes have promised the first one, and are started again with a list of their own: their
 * promise still binds them. */
static void promise_binds_over_a_new_list(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct stage *stage = stage_create(&(struct stage_options){.nodes = 3, .seed = seed});
        for (unsigned i = 0; i < 3; i++)
            assert_true(stage_start(stage, i));
        unsigned both[2] = {1, 2};
        assert_true(stage_wait(stage, has_promised, &both[0], 5 * STAGE_SECOND));
        assert_true(stage_wait(stage, has_promised, &both[1], 5 * STAGE_SECOND));
        assert_null(formation_of(stage, 1));
        stage_kill(stage, 0);
        for (unsigned i = 1; i < 3; i++) {
            stage_kill(stage, i);
            snprintf(stage->nodes[i].join, sizeof stage->nodes[i].join,
                     "10.0.0.2:6379,10.0.0.3:6379");
            assert_true(stage_start(stage, i));
        }
        stage_run(stage, 3 * STAGE_SECOND);
        assert_null(formation_of(stage, 1)); /* CONTROL-1 */
        assert_null(formation_of(stage, 2));
        assert_non_null(strstr(stage->nodes[1].lines, "10.0.0.1:6379"));
        stage_destroy(stage);
    }
}

/* A promise is shown, not given again, whoever asks and however often. */
static void promise_is_given_once(void **state)
{
    static const char *const askers[] = {
        "NODE PROMISE 10.0.0.2:6379 0123456789abcdef0123456789abcdef 0000000000000000",
        "NODE PROMISE 10.0.0.1:6379 0123456789abcdef0123456789abcdef 0000000000000000",
    };
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
    for (unsigned i = 0; i < 3; i++)
        assert_true(stage_start(stage, i));
    unsigned node = 2, client = stage_connect(stage, node);
    for (size_t i = 0; i < 2; i++) /* another former; another list */
        assert_memory_equal("empty", stage_ask(stage, client, askers[i]), 5);
    assert_true(stage_wait(stage, has_promised, &node, 5 * STAGE_SECOND));
    struct cluster_id before = node_promise(worker_node(stage->nodes[node].worker))->cluster;
    for (size_t i = 0; i < 2; i++) {
        const char *reply = stage_ask(stage, client, askers[i]);
        assert_true(strncmp(reply, "promised", 8) == 0 || strncmp(reply, "member", 6) == 0);
    }
    struct cluster_id after = node_promise(worker_node(stage->nodes[node].worker))->cluster;
    assert_true(cluster_id_equal(before, after)); /* CONTROL-1 */
    wait_formed(stage);
    assert_true(cluster_id_equal(before, formation_of(stage, node)->cluster));
    stage_destroy(stage);
}

/* ---- CONTROL-2 ---- */

static bool has_stopped(struct stage *stage, void *argument)
{
    return !stage->nodes[*(unsigned *)argument].worker;
}

static bool has_started(struct stage *stage, void *argument)
{
    struct worker *worker = stage->nodes[*(unsigned *)argument].worker;
    return worker && node_is_started(worker_node(worker));
}

static void wiped_member_stops(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned wiped = stage_follower(stage);
    stage_power_cut(stage, wiped);
    world_wipe_disk(stage->world, stage->nodes[wiped].machine);
    assert_true(stage_start(stage, wiped));
    assert_true(stage_wait(stage, has_stopped, &wiped, 5 * STAGE_SECOND)); /* CONTROL-2 */
    char line[64];
    snprintf(line, sizeof line, "%s is already node %u", stage->nodes[wiped].listen, wiped + 1);
    assert_non_null(strstr(stage->nodes[wiped].why, "this directory is empty"));
    assert_non_null(strstr(stage->nodes[wiped].why, line));
    assert_string_equal("OK",
                        stage_ask(stage, stage_connect(stage, stage_leader(stage)), "SET a 1"));
    stage_destroy(stage);
}

/* It was not asked when the cluster formed, and its list names it: it joins. */
static void stranger_is_taken_in(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 4});
    for (unsigned i = 0; i < 3; i++) {
        snprintf(stage->nodes[i].join, sizeof stage->nodes[i].join,
                 "10.0.0.1:6379,10.0.0.2:6379,10.0.0.3:6379");
        assert_true(stage_start(stage, i));
    }
    assert_true(stage_wait(stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
    assert_true(stage_start(stage, 3));
    assert_true(stage_wait(stage, has_started, &(unsigned){3}, 5 * STAGE_SECOND));
    assert_int_equal(4, node_formation(worker_node(stage->nodes[3].worker))->self.value);
    stage_destroy(stage);
}

/* ---- a directory and the options of another start: NODE-5 ---- */

static void expect_stop(struct stage *stage, unsigned node, const char *line)
{
    assert_true(stage_start(stage, node));
    assert_true(stage_wait(stage, has_stopped, &node, 5 * STAGE_SECOND)); /* NODE-5 */
    if (!strstr(stage->nodes[node].why, line))
        print_error("said: %s\n", stage->nodes[node].why);
    assert_non_null(strstr(stage->nodes[node].why, line));
}

static void a_cluster_of_one_joins_nobody(void **state)
{
    static const char *const lists[] = {"10.0.0.1:6379,10.0.0.2:6379,10.0.0.3:6379",
                                        "10.0.0.2:6379"};
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 1});
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, stage_has_leader, NULL, STAGE_SECOND));
    for (size_t i = 0; i < 2; i++) {
        stage_kill(stage, 0);
        snprintf(stage->nodes[0].join, sizeof stage->nodes[0].join, "%s", lists[i]);
        expect_stop(stage, 0, "this directory is a cluster of one");
        assert_non_null(strstr(stage->nodes[0].why, "cannot join 10.0.0.2:6379"));
        snprintf(stage->nodes[0].join, sizeof stage->nodes[0].join, "10.0.0.1:6379");
        assert_true(stage_start(stage, 0)); /* its own address is no other */
        assert_true(stage_wait(stage, stage_has_leader, NULL, STAGE_SECOND));
    }
    stage_destroy(stage);
}

/* What `system` says of node 1. */
static bool is_catalogued_at(struct stage *stage, void *address)
{
    struct replica *replica = stage_replica(stage, 0, GROUP_SYSTEM);
    struct store_key key = store_key_of(0, slice_of_text("node:1"));
    struct store_entry *entry = replica ? store_find(replica_store(replica), &key) : NULL;
    char text[1024];
    struct slice bytes = entry ? store_entry_string(entry) : slice_of_text("");
    snprintf(text, sizeof text, "%.*s", (int)bytes.size, (const char *)bytes.at);
    return strstr(text, address) != NULL;
}

static void a_cluster_of_one_moves(void **state)
{
    char moved[] = "10.0.0.1:7001";
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 1});
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, stage_has_leader, NULL, STAGE_SECOND));
    assert_string_equal("OK", stage_ask(stage, stage_connect(stage, 0), "SET kept yes"));
    assert_true(stage_wait(stage, is_catalogued_at, stage->nodes[0].listen, STAGE_SECOND));
    struct cluster_id cluster = formation_of(stage, 0)->cluster;
    stage_kill(stage, 0);
    snprintf(stage->nodes[0].listen, sizeof stage->nodes[0].listen, "%s", moved);
    for (unsigned round = 0; round < 2; round++) {
        assert_true(stage_start(stage, 0));
        assert_true(stage_wait(stage, stage_has_leader, NULL, 2 * STAGE_SECOND));
        check_one_cluster(stage); /* at its new address */
        assert_true(cluster_id_equal(cluster, formation_of(stage, 0)->cluster));
        assert_true(stage_wait(stage, is_catalogued_at, moved, STAGE_SECOND));
        unsigned client = stage_connect(stage, 0);
        assert_string_equal("yes", stage_ask(stage, client, "GET kept"));
        assert_non_null(strstr(stage_ask(stage, client, "STATUS"), moved));
        stage_power_cut(stage, 0); /* where it is, is durable before it serves */
    }
    stage_destroy(stage);
}

static void a_member_stays_where_the_others_know_it(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned moved = stage_follower(stage);
    struct stage_node *node = &stage->nodes[moved], before = *node;
    char line[2 * IO_ADDRESS_SIZE];
    stage_kill(stage, moved);
    snprintf(node->peer_listen, sizeof node->peer_listen, "10.0.0.%u:7999", moved + 1);
    snprintf(line, sizeof line, "with --peer-listen %s", before.peer_listen);
    expect_stop(stage, moved, line);
    memcpy(node->peer_listen, before.peer_listen, sizeof before.peer_listen);
    snprintf(node->listen, sizeof node->listen, "10.0.0.%u:7998", moved + 1);
    snprintf(line, sizeof line, "with --listen %s", before.listen);
    expect_stop(stage, moved, line);
    memcpy(node->listen, before.listen, sizeof before.listen);
    snprintf(node->join, sizeof node->join, "%s,10.0.0.9:6379", before.listen);
    expect_stop(stage, moved, "10.0.0.9:6379, named by --join, is no member");
    node->join[0] = 0; /* it knows the others from its log */
    assert_true(stage_start(stage, moved));
    assert_true(stage_wait(stage, stage_is_converged, NULL, 10 * STAGE_SECOND));
    stage_destroy(stage);
}

static bool joiner_waits(struct stage *stage, void *unused)
{
    (void)unused;
    return strstr(stage->nodes[2].lines, "waiting for 10.0.0.1:6379 to be in a cluster");
}

static bool joiner_is_ready(struct stage *stage, void *unused)
{
    (void)unused;
    return stage->nodes[2].worker && worker_is_ready(stage->nodes[2].worker);
}

/* Who is not in its own list joins, whoever starts first. */
static void a_list_without_this_node(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
    for (unsigned i = 0; i < 2; i++)
        snprintf(stage->nodes[i].join, sizeof stage->nodes[i].join, "10.0.0.1:6379,10.0.0.2:6379");
    snprintf(stage->nodes[2].join, sizeof stage->nodes[2].join, "10.0.0.1:6379");
    assert_true(stage_start(stage, 2));
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, joiner_waits, NULL, 10 * STAGE_SECOND));
    assert_non_null(strstr(stage->nodes[2].lines, "a --join list with 10.0.0.3:6379 in it"));
    assert_null(formation_of(stage, 2));
    assert_true(stage_start(stage, 1));
    assert_true(stage_wait(stage, joiner_is_ready, NULL, 20 * STAGE_SECOND));
    assert_true(cluster_id_equal(formation_of(stage, 0)->cluster, formation_of(stage, 2)->cluster));
    assert_int_equal(3, formation_of(stage, 2)->self.value);
    stage_destroy(stage);
}

static void a_host_that_does_not_exist(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 1});
    snprintf(stage->nodes[0].join, sizeof stage->nodes[0].join, "10.0.0.1:6379,nowhere:6379");
    assert_true(stage_start(stage, 0));
    stage_run(stage, 3 * STAGE_SECOND);
    assert_non_null(strstr(stage->nodes[0].lines, "nowhere:6379 does not resolve"));
    stage_destroy(stage);
}

/* ---- CONTROL-4 ---- */

/* How many of the catalogue's keys are in a store. */
static size_t records_in(struct replica *replica)
{
    static const char *const keys[] = {"node:1",     "node:2",     "node:3",
                                       "keyspace:0", "keyspace:1", "partition:1"};
    size_t found = 0;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct store_key key = store_key_of(0, slice_of_text(keys[i]));
        found += store_find(replica_store(replica), &key) != NULL;
    }
    return found;
}

static void watch_catalogue(struct stage *stage, unsigned node)
{
    struct replica *replica = stage_replica(stage, node, GROUP_SYSTEM);
    size_t found = replica ? records_in(replica) : 0;
    assert_true(found == 0 || found == 6); /* CONTROL-4 */
}

static bool all_have_the_catalogue(struct stage *stage, void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 3; i++) {
        struct replica *replica = stage_replica(stage, i, GROUP_SYSTEM);
        if (!replica || records_in(replica) != 6)
            return false;
    }
    return stage_is_converged(stage, NULL);
}

static void catalogue_is_one_entry(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
    stage->watch = watch_catalogue;
    for (unsigned i = 0; i < 3; i++)
        assert_true(stage_start(stage, i));
    assert_true(stage_wait(stage, all_have_the_catalogue, NULL, 20 * STAGE_SECOND));
    uint64_t executed = replica_executed(stage_replica(stage, 0, GROUP_SYSTEM));
    assert_int_equal(1 + raft_view(replica_raft(stage_replica(stage, 0, GROUP_SYSTEM)))->term,
                     executed); /* a no-op for each term, and this one */
    stage_run(stage, 3 * STAGE_SECOND);
    assert_int_equal(executed, replica_executed(stage_replica(stage, 0, GROUP_SYSTEM)));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_start_order),
        cmocka_unit_test(five_nodes),
        cmocka_unit_test(alone_it_forms_without_asking),
        cmocka_unit_test(alone_nobody_begins_anew),
        cmocka_unit_test(other_list_is_refused_by_name),
        cmocka_unit_test(lists_that_cannot_be),
        cmocka_unit_test(promise_binds_over_a_new_list),
        cmocka_unit_test(promise_is_given_once),
        cmocka_unit_test(wiped_member_stops),
        cmocka_unit_test(stranger_is_taken_in),
        cmocka_unit_test(a_cluster_of_one_joins_nobody),
        cmocka_unit_test(a_cluster_of_one_moves),
        cmocka_unit_test(a_member_stays_where_the_others_know_it),
        cmocka_unit_test(a_list_without_this_node),
        cmocka_unit_test(a_host_that_does_not_exist),
        cmocka_unit_test(catalogue_is_one_entry),
        cmocka_unit_test(former_dies_at_each_step),
        cmocka_unit_test(promiser_dies_at_each_step),
        cmocka_unit_test(power_of_the_former_goes_at_each_step),
        cmocka_unit_test(power_of_a_promiser_goes_at_each_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
