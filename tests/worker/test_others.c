/* WORKER-2, and nodes of several workers: each group on its worker, requests and connections find
 * the way. */
#include "base/memory.h"
#include "tests/server/stage.h"

#include "server/server.h"

#include <stdio.h>
#include <string.h>

static struct stage *stage_of(unsigned nodes, unsigned workers)
{
    return stage_formed_with(&(struct stage_options){.nodes = nodes, .workers = workers});
}

static bool has_group(struct stage *stage, unsigned node, unsigned worker, uint64_t group)
{
    struct node *share = worker_node(stage_worker(stage, node, worker));
    return node_group(share, (struct group_id){group}) != NULL;
}

static uint64_t connections(struct stage *stage, unsigned node, unsigned worker)
{
    struct server_facts facts;
    server_facts(worker_server(stage_worker(stage, node, worker)), &facts);
    return facts.connections;
}

static void a_group_lives_on_one_worker(void **state)
{
    struct stage *stage = stage_of(3, 2);
    (void)state;
    for (unsigned node = 0; node < 3; node++) {
        assert_true(has_group(stage, node, 0, 0) && !has_group(stage, node, 0, 1));
        assert_true(has_group(stage, node, 1, 1) && !has_group(stage, node, 1, 0));
    }
    stage_destroy(stage);
}

/* It goes with the replies that were still to be sent and with what it had sent behind its first
 * key, and its id goes with it. */
static void a_connection_moves_to_its_first_key(void **state)
{
    struct stage *stage = stage_of(1, 2);
    unsigned client = stage_connect(stage, 0);
    (void)state;
    char id[16];
    assert_string_equal("PONG", stage_ask(stage, client, "PING"));
    snprintf(id, sizeof id, "%s", stage_ask(stage, client, "CLIENT ID"));
    assert_int_equal(1, connections(stage, 0, 0));
    static const char words[] = "ECHO x\r\nSET a 1\r\nINCR a\r\nCLIENT ID\r\n";
    stage_send(stage, client, words, sizeof words - 1);
    assert_string_equal("x", stage_reply(stage, client, STAGE_SECOND));
    assert_string_equal("OK", stage_reply(stage, client, STAGE_SECOND));
    assert_string_equal("2", stage_reply(stage, client, STAGE_SECOND));
    assert_string_equal(id, stage_reply(stage, client, STAGE_SECOND));
    assert_int_equal(0, connections(stage, 0, 0));
    assert_int_equal(1, connections(stage, 0, 1));
    stage_destroy(stage);
}

/* KEYSPACE is asked from anywhere; groups 2 .. 5 live on workers 0 and 1 of each node. */
static void make_keyspace(struct stage *stage, unsigned client)
{
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE CREATE many PARTITIONS 4"));
}

static void select_many(struct stage *stage, unsigned client)
{
    char reply[64] = "";
    for (unsigned i = 0; i < 100 && strcmp(reply, "OK") != 0; i++)
        snprintf(reply, sizeof reply, "%s", stage_ask(stage, client, "SELECT many"));
    assert_string_equal("OK", reply);
}

static void set_keys(struct stage *stage, unsigned client, unsigned count)
{
    char request[64];
    for (unsigned i = 0; i < count; i++) {
        snprintf(request, sizeof request, "SET key%u %u", i, i);
        assert_string_equal("OK", stage_ask(stage, client, request));
    }
}

static void assert_keys(struct stage *stage, unsigned client, unsigned count)
{
    char request[64], value[16];
    for (unsigned i = 0; i < count; i++) {
        snprintf(request, sizeof request, "GET key%u", i);
        snprintf(value, sizeof value, "%u", i);
        assert_string_equal(value, stage_ask(stage, client, request));
    }
}

static void keys_of_all_partitions_are_found(void **state)
{
    struct stage *stage = stage_of(3, 2);
    unsigned clients[3];
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        clients[i] = stage_connect(stage, i);
    make_keyspace(stage, clients[0]);
    for (unsigned i = 0; i < 3; i++)
        select_many(stage, clients[i]);
    set_keys(stage, clients[0], 20);
    for (unsigned i = 0; i < 3; i++)
        assert_keys(stage, clients[i], 20);
    stage_destroy(stage);
}

static bool is_ready(struct stage *stage, void *argument)
{
    unsigned node = *(unsigned *)argument;
    for (unsigned i = 0; i < stage->nodes[node].workers; i++)
        if (!worker_is_ready(stage_worker(stage, node, i)))
            return false;
    return true;
}

/* The others of its node are there again, each in its own time (WORKER-2); nodes need not have the
 * same number of workers. */
static void a_node_comes_back(void **state)
{
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3, .workers = 2});
    unsigned node = 1;
    (void)state;
    stage->nodes[0].workers = 3;
    stage->nodes[2].workers = 1;
    for (unsigned i = 0; i < 3; i++)
        assert_true(stage_start(stage, i));
    for (unsigned i = 0; i < 3; i++)
        assert_true(stage_wait(stage, is_ready, &i, 20 * STAGE_SECOND));
    unsigned client = stage_connect(stage, 0);
    make_keyspace(stage, client);
    select_many(stage, client);
    set_keys(stage, client, 10);
    stage_kill(stage, node);
    assert_true(stage_start(stage, node));
    assert_true(stage_wait(stage, is_ready, &node, 20 * STAGE_SECOND));
    unsigned again = stage_connect(stage, node);
    select_many(stage, again);
    assert_keys(stage, again, 10);
    stage_destroy(stage);
}

/* WORKER-3: elsewhere its groups would have no log, and vote anew. */
static void another_number_of_workers_is_refused(void **state)
{
    struct stage *stage = stage_of(1, 2);
    unsigned client = stage_connect(stage, 0), node = 0;
    (void)state;
    assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
    for (unsigned workers = 1; workers <= 3; workers += 2) {
        stage_kill(stage, 0);
        stage->nodes[0].workers = workers;
        assert_false(stage_start(stage, 0));
        assert_non_null(strstr(stage->nodes[0].why, "start it with --workers 2"));
    }
    stage->nodes[0].workers = 2;
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, is_ready, &node, 20 * STAGE_SECOND));
    assert_string_equal("1", stage_ask(stage, stage_connect(stage, 0), "GET a"));
    stage_destroy(stage);
}

/* ---- a node answers as one ---- */

static bool says(struct stage *stage, unsigned client, const char *request, const char *text)
{
    return strstr(stage_ask(stage, client, request), text) != NULL;
}

/* One client on each worker of the leader of default. */
static void every_worker_tells_of_all(void **state)
{
    struct stage *stage = stage_of(3, 2);
    unsigned leader = stage_leader(stage), other = stage_connect(stage, (leader + 1) % 3),
             first = stage_connect(stage, leader), second = stage_connect(stage, leader);
    (void)state;
    make_keyspace(stage, other);
    select_many(stage, other);
    set_keys(stage, other, 20);
    assert_string_equal("OK", stage_ask(stage, first, "CLIENT SETNAME first"));
    assert_string_equal("OK", stage_ask(stage, second, "CLIENT SETNAME second"));
    assert_string_equal("OK", stage_ask(stage, second, "SET a 1"));
    assert_int_equal(1, connections(stage, leader, 0)); /* it has asked for no key */
    assert_int_equal(1, connections(stage, leader, 1));
    for (unsigned i = 0; i < 2; i++) {
        unsigned client = i ? second : first;
        assert_true(says(stage, client, "ROLE", "master"));
        assert_true(says(stage, client, "INFO", "role:master"));
        assert_true(says(stage, client, "INFO", "partitions_here=4,partitions=4"));
        assert_true(says(stage, client, "INFO", "tcp_port:6379"));
        assert_true(says(stage, client, "INFO", "connected_clients:2"));
        assert_true(says(stage, client, "CLIENT LIST", "name=first"));
        assert_true(says(stage, client, "CLIENT LIST", "name=second"));
        for (unsigned group = 0; group < 6; group++) {
            char text[32];
            snprintf(text, sizeof text, "\"id\":%u,\"slots\"", group);
            assert_true(says(stage, client, "STATUS", text));
        }
    }
    stage_destroy(stage);
}

struct asked {
    struct worker *worker;
    struct metrics_sample *samples[WORKER_COUNT_MAX];
    size_t count;
};

static bool has_samples(struct stage *stage, void *argument)
{
    struct asked *asked = argument;
    (void)stage;
    asked->count = worker_take_samples(asked->worker, asked->samples);
    return asked->count != 0;
}

/* A question that was asked again before it was answered is answered once, by the newest. */
static void worker_0_gathers_the_numbers(void **state)
{
    struct stage *stage = stage_of(1, 3);
    struct asked asked = {.worker = stage_worker(stage, 0, 0)};
    (void)state;
    assert_false(has_samples(stage, &asked));
    worker_ask_samples(asked.worker);
    worker_ask_samples(asked.worker);
    assert_true(stage_wait(stage, has_samples, &asked, STAGE_SECOND));
    assert_int_equal(3, asked.count);
    for (size_t i = 0; i < asked.count; i++)
        memory_free(asked.samples[i]);
    assert_false(has_samples(stage, &asked));
    worker_ask_samples(asked.worker); /* and nobody takes them */
    stage_destroy(stage);
}

static bool worker_0_is_ready(struct stage *stage, void *argument)
{
    (void)argument;
    return worker_is_ready(stage_worker(stage, 0, 0));
}

static bool worker_0_is_unready(struct stage *stage, void *argument)
{
    return !worker_0_is_ready(stage, argument);
}

/* Group 1 is on worker 1, which alone sees that it has no leader any more. */
static void worker_0_speaks_for_all(void **state)
{
    struct stage *stage = stage_of(3, 2);
    (void)state;
    assert_true(stage_wait(stage, worker_0_is_ready, NULL, 20 * STAGE_SECOND));
    stage_isolate(stage, 0);
    assert_true(stage_wait(stage, worker_0_is_unready, NULL, 20 * STAGE_SECOND));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_lives_on_one_worker),
        cmocka_unit_test(a_connection_moves_to_its_first_key),
        cmocka_unit_test(keys_of_all_partitions_are_found),
        cmocka_unit_test(a_node_comes_back),
        cmocka_unit_test(every_worker_tells_of_all),
        cmocka_unit_test(worker_0_gathers_the_numbers),
        cmocka_unit_test(worker_0_speaks_for_all),
        cmocka_unit_test(another_number_of_workers_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
