/* HTTP-2: /primary is 200 while the lease runs, and not a moment longer, whoever wrote it down
 * when; and what /replica, /read-only and /health ask. The test is the workers. */
#include "tests/http/client.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PLACES 16
#define MS     1000000ull

struct stage {
    struct replica_shown places[PLACES];
    struct http_facts facts;
    struct http *http;
    uint16_t port;
};

static struct replica_shown *show(struct stage *stage, size_t place, uint64_t group, uint64_t term)
{
    struct replica_shown *shown = &stage->places[place];
    replica_hide(shown);
    shared_set(&shown->term, term);
    shared_set(&shown->group, group + 1);
    return shown;
}

static struct replica_shown *lead(struct stage *stage, size_t place, uint64_t group)
{
    struct replica_shown *shown = show(stage, place, group, 7);
    shared_set(&shown->flags, REPLICA_SHOWN_LEADS);
    shared_set(&shown->lag_entries, 0);
    shared_set(&shown->lag_bytes, 0);
    shared_set(&shown->lease_until_ns, now_ns() + 60 * SECOND_NS);
    return shown;
}

static struct replica_shown *follow(struct stage *stage, size_t place, uint64_t group)
{
    struct replica_shown *shown = show(stage, place, group, 7);
    shared_set(&shown->lag_entries, 0);
    shared_set(&shown->lag_bytes, 0);
    shared_set(&shown->heard_ns, now_ns() + 60 * SECOND_NS); /* the test takes its time */
    shared_set(&shown->level_ns, now_ns());
    return shown;
}

/* default has partition 1, carts has 10 and 11; what was dropped is not there. */
static struct http_map *map_of_two(void)
{
    struct control_keyspace keyspaces[] = {{.id = 0, .name = "system"},
                                           {.id = 1, .name = "default"},
                                           {.id = 5, .name = "Carts"},
                                           {.id = 6, .name = "gone", .dropped = true}};
    struct control_partition partitions[] = {{.group = {0}, .keyspace = 0},
                                             {.group = {1}, .keyspace = 1},
                                             {.group = {10}, .keyspace = 5},
                                             {.group = {11}, .keyspace = 5},
                                             {.group = {12}, .keyspace = 6, .dropped = true}};
    struct control_catalogue catalogue = {.keyspace_count = 4,
                                          .keyspaces = keyspaces,
                                          .partition_count = 5,
                                          .partitions = partitions};
    return http_map_of(&catalogue, (struct node_id){3});
}

static struct stage *begin(void)
{
    struct stage *stage = memory_zeroed(1, sizeof *stage);
    stage->facts.shown[0] = stage->places;
    stage->facts.shown_count = PLACES;
    stage->http = start(&stage->facts, &stage->port);
    atomic_store(&stage->facts.turn_ns[0], now_ns() + 60 * SECOND_NS);
    http_give_map(stage->http, map_of_two());
    return stage;
}

static void end(struct stage *stage)
{
    http_stop(stage->http);
    memory_free(stage);
}

static int get(struct stage *stage, const char *path)
{
    return code_of(stage->port, "GET", path);
}

/* The body, in the caller's memory. */
static const char *body_of(struct stage *stage, const char *path, char page[2048])
{
    char request[256];
    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
    ask(stage->port, request, page);
    const char *body = strstr(page, "\r\n\r\n");
    return body ? body + 4 : "";
}

static void a_leader_is_primary(void **state)
{
    char page[2048];
    (void)state;
    struct stage *stage = begin();
    assert_int_equal(503, get(stage, "/primary")); /* nothing is here */
    lead(stage, 0, 1);
    assert_int_equal(200, get(stage, "/primary"));
    assert_int_equal(200, get(stage, "/leader"));
    assert_int_equal(200, get(stage, "/read-only"));
    assert_int_equal(503, get(stage, "/replica"));
    assert_int_equal(200, code_of(stage->port, "HEAD", "/primary"));
    assert_int_equal(200, code_of(stage->port, "OPTIONS", "/primary"));
    assert_int_equal(503, code_of(stage->port, "OPTIONS", "/replica"));
    const char *body = body_of(stage, "/primary", page);
    assert_non_null(strstr(page, "Content-Type: application/json"));
    assert_non_null(strstr(body, "{\"ok\":true,\"node\":3,"));
    assert_non_null(
        strstr(body, "\"keyspace\":\"default\",\"partitions\":1,\"here\":1,\"leads\":1,"));
    assert_non_null(
        strstr(body, "\"role\":\"leader\",\"state\":\"ready\",\"term\":7,\"lease_ms\":5"));
    end(stage);
}

/* Only a GET has a body: whoever keeps the connection would take it for the next answer. */
static void head_and_options_have_no_body(void **state)
{
    static const char *const methods[] = {"HEAD", "OPTIONS"};
    static const char *const paths[] = {"/primary", "/replica", "/livez", "/readyz", "/health"};
    (void)state;
    struct stage *stage = begin();
    lead(stage, 0, 1);
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 5; k++) {
            char request[128], answer[2048];
            snprintf(request, sizeof request, "%s %s HTTP/1.0\r\n\r\n", methods[i], paths[k]);
            ask(stage->port, request, answer);
            const char *rest = strstr(answer, "\r\n\r\n");
            assert_non_null(rest);
            assert_string_equal("\r\n\r\n", rest);
        }
    end(stage);
}

/* HTTP-2: nobody writes it down anew when it ends, as when the process was stopped. An answer is
 * made between the moment before it was asked for and the moment after it came. */
static void a_lease_ends_by_itself(void **state)
{
    char page[2048];
    (void)state;
    struct stage *stage = begin();
    struct replica_shown *shown = lead(stage, 0, 1);
    uint64_t until_ns = now_ns() + 150 * MS, before_ns = 0, after_ns;
    unsigned good = 0;
    shared_set(&shown->lease_until_ns, until_ns);
    while (before_ns < until_ns) {
        before_ns = now_ns();
        int code = get(stage, "/primary");
        after_ns = now_ns();
        if (after_ns < until_ns)
            assert_int_equal(200, code);
        if (before_ns >= until_ns)
            assert_int_equal(503, code);
        good += code == 200;
    }
    assert_true(good > 0);
    assert_non_null(strstr(body_of(stage, "/primary", page), "its lease on partition 1 is over"));
    assert_int_equal(503, get(stage, "/read-only"));
    assert_int_equal(200, get(stage, "/health"));
    shared_set(&shown->lease_until_ns, 0); /* taken back, or not serving yet */
    assert_non_null(strstr(body_of(stage, "/primary", page), "it does not lead partition 1"));
    end(stage);
}

static void of_several_partitions_all_are_led(void **state)
{
    char page[2048];
    (void)state;
    struct stage *stage = begin();
    lead(stage, 0, 1);
    lead(stage, 3, 10);
    assert_int_equal(503, get(stage, "/primary?keyspace=carts"));
    assert_non_null(strstr(body_of(stage, "/replica?keyspace=carts", page),
                           "it has a replica of 1 of 2 partitions"));
    struct replica_shown *second = follow(stage, 9, 11);
    assert_int_equal(503, get(stage, "/primary?keyspace=carts"));
    assert_int_equal(200, get(stage, "/replica?keyspace=carts"));
    assert_int_equal(200, get(stage, "/read-only?keyspace=CARTS")); /* names in any case */
    const char *body = body_of(stage, "/primary?keyspace=carts", page);
    assert_non_null(strstr(body, "it does not lead partition 11"));
    assert_non_null(strstr(body, "\"keyspace\":\"Carts\",\"partitions\":2,\"here\":2,\"leads\":1,"
                                 "\"ready\":1,"));
    assert_int_equal(200, get(stage, "/primary?partition=10"));
    assert_int_equal(200, get(stage, "/primary?keyspace=carts&partition=10"));
    assert_int_equal(503, get(stage, "/primary?partition=11"));
    assert_int_equal(200, get(stage, "/replica?partition=11"));
    lead(stage, 9, 11);
    assert_int_equal(200, get(stage, "/primary?keyspace=carts"));
    assert_int_equal(503, get(stage, "/replica?keyspace=carts"));
    shared_set(&second->lease_until_ns, now_ns()); /* one of them is enough */
    assert_int_equal(503, get(stage, "/primary?keyspace=carts"));
    end(stage);
}

static void a_replica_within_its_lag(void **state)
{
    char page[2048];
    (void)state;
    struct stage *stage = begin();
    struct replica_shown *shown = follow(stage, 0, 1);
    assert_int_equal(200, get(stage, "/replica"));
    assert_int_equal(503, get(stage, "/primary"));
    shared_set(&shown->lag_entries, 500);
    shared_set(&shown->lag_bytes, 3000);
    assert_int_equal(200, get(stage, "/replica"));
    assert_int_equal(200, get(stage, "/replica?lag=3000"));
    assert_int_equal(503, get(stage, "/replica?lag=2999"));
    assert_int_equal(200, get(stage, "/replica?lag=3kB"));
    assert_int_equal(503, get(stage, "/replica?lag=2KB"));
    assert_int_equal(200, get(stage, "/read-only?lag=1MB"));
    shared_set(&shown->lag_entries, 1500);
    assert_int_equal(503, get(stage, "/replica"));
    assert_int_equal(200, get(stage, "/replica?lag=1GB")); /* who says what is enough is asked */
    shared_set(&shown->lag_bytes, REPLICA_UNKNOWN);
    assert_int_equal(503, get(stage, "/replica?lag=1GB"));
    assert_non_null(strstr(body_of(stage, "/replica?lag=1GB", page), "\"lag_bytes\":null"));
    shared_set(&shown->level_ns, now_ns() - 2 * SECOND_NS);
    assert_int_equal(200, get(stage, "/replica?lag=10000ms"));
    assert_int_equal(503, get(stage, "/replica?lag=1999ms"));
    shared_set(&shown->level_ns, 0);
    assert_int_equal(503, get(stage, "/replica?lag=10000ms"));
    end(stage);
}

static void a_replica_that_cannot_serve(void **state)
{
    static const struct {
        uint64_t flags;
        const char *why;
    } rows[] = {{REPLICA_SHOWN_LOADS, "partition 1 is loaded from a snapshot"},
                {REPLICA_SHOWN_UNSURE, "partition 1 may lack entries after a power cut"}};
    char page[2048];
    (void)state;
    struct stage *stage = begin();
    struct replica_shown *shown = follow(stage, 0, 1);
    for (size_t i = 0; i < 2; i++) {
        shared_set(&shown->flags, rows[i].flags);
        assert_int_equal(503, get(stage, "/replica?lag=1GB"));
        assert_non_null(strstr(body_of(stage, "/replica", page), rows[i].why));
        assert_int_equal(200, get(stage, "/health"));
    }
    shared_set(&shown->flags, 0);
    shared_set(&shown->heard_ns, now_ns() - 2 * SECOND_NS); /* stopped, or cut off */
    assert_int_equal(503, get(stage, "/replica"));
    assert_int_equal(503, get(stage, "/replica?lag=1GB"));
    assert_non_null(strstr(body_of(stage, "/replica", page), "was not heard for 1.5 s"));
    shared_set(&shown->heard_ns, now_ns() + SECOND_NS);
    assert_int_equal(200, get(stage, "/replica"));
    end(stage);
}

static void who_runs_is_healthy(void **state)
{
    struct http_facts facts = {0};
    uint16_t port;
    char page[2048];
    (void)state;
    struct http *alone = start(&facts, &port);
    atomic_store(&facts.turn_ns[0], now_ns());
    assert_int_equal(503, code_of(port, "GET", "/health")); /* in no cluster */
    assert_int_equal(503, code_of(port, "GET", "/primary"));
    ask(port, "GET /primary HTTP/1.0\r\n\r\n", page);
    assert_non_null(strstr(page, "not part of a cluster yet"));
    http_stop(alone);
    struct stage *stage = begin();
    assert_int_equal(200, get(stage, "/health")); /* whatever it carries */
    assert_int_equal(503, get(stage, "/health?keyspace=carts"));
    show(stage, 0, 10, 1);
    assert_int_equal(200, get(stage, "/health?keyspace=carts"));
    atomic_store(&stage->facts.turn_ns[0], now_ns() - 6 * SECOND_NS);
    assert_int_equal(503, get(stage, "/health"));
    end(stage);
}

static void what_cannot_be_asked(void **state)
{
    static const struct {
        const char *path, *why;
    } rows[] = {
        {"/primary?keyspace=none", "knows of no such keyspace or partition"},
        {"/primary?keyspace=gone", "knows of no such keyspace or partition"},
        {"/primary?partition=12", "knows of no such keyspace or partition"},
        {"/primary?partition=1&keyspace=carts", "knows of no such keyspace or partition"},
        {"/primary?partition=x", "partition takes a number"},
        {"/primary?partition=", "partition takes a number"},
        {"/primary?keyspace=", "keyspace takes a name"},
        {"/primary?keyspce=default", "unknown parameter"},
        {"/primary?keyspace", "the query cannot be read"},
        {"/replica?lag=", "lag takes bytes"},
        {"/replica?lag=MB", "lag takes bytes"},
        {"/replica?lag=1TB", "lag takes bytes"},
        {"/replica?lag=-1", "lag takes bytes"},
        {"/replica?lag=1000000000000000000", "lag takes bytes"},
    };
    char page[2048];
    (void)state;
    struct stage *stage = begin();
    lead(stage, 0, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *body = body_of(stage, rows[i].path, page);
        assert_memory_equal("HTTP/1.", page, 7);
        assert_non_null(strstr(page, " 503 "));
        if (!strstr(body, rows[i].why))
            fail_msg("%s: %s", rows[i].path, body);
    }
    assert_int_equal(200, get(stage, "/primary?keyspace=default"));
    int code = code_of(stage->port, "POST", "/primary");
    assert_true(code == 405 || code == 501);
    end(stage);
}

/* A newer map takes the place of the one before, asked for or not. */
static void maps_follow_each_other(void **state)
{
    (void)state;
    struct stage *stage = begin();
    struct control_catalogue nothing = {0}; /* system and default are known before their records */
    lead(stage, 0, 1);
    lead(stage, 1, 10);
    assert_int_equal(200, get(stage, "/primary?partition=10"));
    for (unsigned i = 0; i < 3; i++)
        http_give_map(stage->http, http_map_of(&nothing, (struct node_id){3}));
    assert_int_equal(503, get(stage, "/primary?partition=10"));
    assert_int_equal(200, get(stage, "/primary"));
    http_give_map(stage->http, map_of_two());
    assert_int_equal(200, get(stage, "/primary?partition=10"));
    http_give_map(stage->http, map_of_two());
    end(stage);
}

/* ---- one writes while another reads ---- */

struct writer {
    struct replica_shown *shown;
    atomic_bool ends;
    pthread_t thread;
};

/* In each term it has a lease that ends in that term's own microsecond, then none. */
static void *write_on(void *argument)
{
    struct writer *writer = argument;
    for (uint64_t term = 1; !atomic_load(&writer->ends); term++) {
        shared_set(&writer->shown->lease_until_ns, 0);
        shared_set(&writer->shown->term, term);
        shared_set(&writer->shown->lease_until_ns, term * 1000);
    }
    return NULL;
}

/* HTTP-2: no lease is taken for that of another term. */
static void a_lease_belongs_to_its_term(void **state)
{
    struct replica_shown shown = {.group = {2}};
    struct writer writer = {.shown = &shown};
    struct replica_sight sight = {0};
    uint64_t end_ns = now_ns() + 20 * SECOND_NS;
    unsigned leases = 0;
    (void)state;
    assert_int_equal(0, pthread_create(&writer.thread, NULL, write_on, &writer));
    while ((leases < 100000 || sight.term < 100000) && now_ns() < end_ns) {
        assert_true(replica_look(&shown, &sight));
        leases += sight.lease_until_ns != 0;
        assert_true(!sight.lease_until_ns || sight.lease_until_ns == sight.term * 1000);
    }
    atomic_store(&writer.ends, true);
    pthread_join(writer.thread, NULL);
    assert_true(leases > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_is_primary),
        cmocka_unit_test(head_and_options_have_no_body),
        cmocka_unit_test(a_lease_ends_by_itself),
        cmocka_unit_test(of_several_partitions_all_are_led),
        cmocka_unit_test(a_replica_within_its_lag),
        cmocka_unit_test(a_replica_that_cannot_serve),
        cmocka_unit_test(who_runs_is_healthy),
        cmocka_unit_test(what_cannot_be_asked),
        cmocka_unit_test(maps_follow_each_other),
        cmocka_unit_test(a_lease_belongs_to_its_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
