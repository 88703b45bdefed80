/* HTTP-1: /livez asks whether the worker turns, and nothing else. Real sockets, port of the
 * kernel's choice. */
#include "tests/http/client.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void live_is_not_ready(void **state)
{
    struct http_facts facts = {0};
    uint16_t port;
    char page[2048];
    (void)state;
    struct http *http = start(&facts, &port);
    atomic_store(&facts.turn_ns[0], now_ns());
    assert_int_equal(200, code_of(port, "GET", "/livez")); /* HTTP-1: no leader, no quorum: lives */
    assert_int_equal(503, code_of(port, "GET", "/readyz"));
    atomic_store(&facts.reason, "no leader");
    ask(port, "GET /readyz HTTP/1.0\r\n\r\n", page);
    assert_non_null(strstr(page, "\r\n\r\nno leader\n"));
    atomic_store(&facts.ready, true);
    assert_int_equal(200, code_of(port, "GET", "/readyz"));
    assert_int_equal(200, code_of(port, "HEAD", "/readyz"));
    atomic_store(&facts.turn_ns[0], now_ns() - 6 * SECOND_NS);
    assert_int_equal(503, code_of(port, "GET", "/livez")); /* HTTP-1: it does not turn any more */
    assert_int_equal(200, code_of(port, "GET", "/readyz"));
    http_stop(http);
}

static void other_requests(void **state)
{
    struct http_facts facts = {0};
    uint16_t port;
    char answer[2048];
    (void)state;
    struct http *http = start(&facts, &port);
    assert_int_equal(404, code_of(port, "GET", "/"));
    assert_int_equal(404, code_of(port, "GET", "/livez/x"));
    int code = code_of(port, "POST", "/livez");
    assert_true(code == 405 || code == 501);
    ask(port, "*1\r\n$4\r\nPING\r\n\r\n", answer); /* a client at the wrong port */
    assert_true(!answer[0] || strstr(answer, " 400 "));
    atomic_store(&facts.turn_ns[0], now_ns());
    assert_int_equal(200, code_of(port, "GET", "/livez"));
    http_stop(http);
}

static void addresses_that_cannot_be(void **state)
{
    static const char *const bad[] = {"", "127.0.0.1", "127.0.0.1:", ":80x", "127.0.0.1:99999"};
    struct http_facts facts = {0};
    struct http *http = NULL;
    char why[128] = "", taken[32];
    uint16_t port;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(STATUS_INVALID, http_start(bad[i], &facts, &http, why));
        assert_non_null(strstr(why, "is not HOST:PORT"));
    }
    struct http *first = start(&facts, &port);
    snprintf(taken, sizeof taken, "127.0.0.1:%u", port);
    assert_int_equal(STATUS_IN_USE, http_start(taken, &facts, &http, why));
    assert_non_null(strstr(why, "in use: stop what listens there"));
    assert_int_equal(STATUS_INVALID, http_start("no..such..host:80", &facts, &http, why));
    assert_non_null(strstr(why, "no such host"));
    http_stop(first);
    http_stop(NULL);
}

/* ---- metrics: the test is the worker ---- */

struct asker {
    uint16_t port;
    char answer[2048];
    pthread_t thread;
};

static void *ask_for_metrics(void *argument)
{
    struct asker *asker = argument;
    ask(asker->port, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        asker->answer);
    return NULL;
}

static void begin_to_ask(struct asker *asker, uint16_t port)
{
    asker->port = port;
    assert_int_equal(0, pthread_create(&asker->thread, NULL, ask_for_metrics, asker));
}

static bool is_wanted(struct http_facts *facts)
{
    uint64_t end_ns = now_ns() + 8 * SECOND_NS;
    while (!atomic_load(&facts->metrics_wanted) && now_ns() < end_ns)
        sched_yield();
    return atomic_exchange(&facts->metrics_wanted, false);
}

static void metrics_are_given(void **state)
{
    struct http_facts facts = {0};
    struct asker asker = {0};
    struct buffer page;
    uint16_t port;
    (void)state;
    struct http *http = start(&facts, &port);
    for (int i = 0; i < 2; i++) { /* a page is for whoever waits: the second asks again */
        begin_to_ask(&asker, port);
        assert_true(is_wanted(&facts));
        buffer_init(&page, 100);
        assert_int_equal(STATUS_OK, buffer_append(&page, i ? "two 2\n" : "one 1\n", 6));
        http_give_metrics(http, &page);
        assert_int_equal(0, page.size);
        pthread_join(asker.thread, NULL);
        assert_memory_equal("HTTP/1.1 200 OK\r\n", asker.answer, 17);
        assert_non_null(strstr(asker.answer, "Content-Type: text/plain; version=0.0.4"));
        assert_non_null(strstr(asker.answer, i ? "\r\n\r\ntwo 2\n" : "\r\n\r\none 1\n"));
    }
    http_stop(http);
}

static void a_stuck_worker_gives_none(void **state)
{
    struct http_facts facts = {0};
    struct asker askers[20] = {{0}};
    uint16_t port;
    (void)state;
    struct http *http = start(&facts, &port);
    atomic_store(&facts.turn_ns[0], now_ns());
    for (size_t i = 0; i < 20; i++) /* some past the most that may wait */
        begin_to_ask(&askers[i], port);
    assert_true(is_wanted(&facts));
    assert_int_equal(200, code_of(port, "GET", "/livez")); /* HTTP-1 */
    for (size_t i = 0; i < 20; i++) {
        pthread_join(askers[i].thread, NULL);
        assert_memory_equal("HTTP/1.1 503 ", askers[i].answer, 13);
    }
    http_stop(http);
}

/* Who waits when the program ends is told, or his connection ends. */
static void an_end_with_a_waiter(void **state)
{
    struct http_facts facts = {0};
    struct asker asker = {0};
    uint16_t port;
    (void)state;
    struct http *http = start(&facts, &port);
    begin_to_ask(&asker, port);
    assert_true(is_wanted(&facts));
    http_stop(http);
    pthread_join(asker.thread, NULL);
    assert_true(!asker.answer[0] || strstr(asker.answer, " 503 "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_is_not_ready),         cmocka_unit_test(other_requests),
        cmocka_unit_test(addresses_that_cannot_be),  cmocka_unit_test(metrics_are_given),
        cmocka_unit_test(a_stuck_worker_gives_none), cmocka_unit_test(an_end_with_a_waiter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
