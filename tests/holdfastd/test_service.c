/* What the service manager is told, and when: SERVICE-1..3. The test holds the other end. */
#include "holdfastd/service.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND_NS 1000000000ull

/* ---- deciding ---- */

static void recovering_asks_for_time_while_it_works(void **state)
{
    struct service_said said = {.began = false};
    struct service_view view = {.phase = SERVICE_RECOVERING, .work = 7};
    char text[SERVICE_TEXT_SIZE];
    (void)state;
    service_decide(&said, &view, text);
    assert_string_equal("STATUS=recovers its log", text);
    service_decide(&said, &view, text);
    assert_string_equal("", text); /* SERVICE-3: it hangs */
    view.work += 19;
    service_decide(&said, &view, text);
    assert_string_equal("", text);
    view.work += 1; /* slow work counts, too, once there is enough of it */
    service_decide(&said, &view, text);
    assert_string_equal("EXTEND_TIMEOUT_USEC=30000000", text);
    service_decide(&said, &view, text);
    assert_string_equal("", text);
}

static void ready_is_not_readyz(void **state)
{
    struct service_said said = {.began = true};
    struct service_view view = {.phase = SERVICE_RUNNING, .reason = "no leader"};
    char text[SERVICE_TEXT_SIZE];
    (void)state;
    service_decide(&said, &view, text);
    assert_string_equal("READY=1\nSTATUS=not ready: no leader", text); /* SERVICE-1 */
    service_decide(&said, &view, text);
    assert_string_equal("", text);
    view.ready = true;
    service_decide(&said, &view, text);
    assert_string_equal("STATUS=ready", text);
    view.ready = false;
    view.reason = NULL;
    service_decide(&said, &view, text);
    assert_string_equal("STATUS=not ready: starting", text);
    view.phase = SERVICE_STOPPING;
    service_decide(&said, &view, text);
    assert_string_equal("STOPPING=1\nSTATUS=hands over what it leads, then ends", text);
    service_decide(&said, &view, text);
    assert_string_equal("", text);
}

static void the_watchdog_wants_turns(void **state)
{
    struct service_said said = {.ready = true, .watchdog_ns = 8 * SECOND_NS};
    struct service_view view = {.phase = SERVICE_RUNNING, .ready = true, .now_ns = 100 * SECOND_NS};
    char text[SERVICE_TEXT_SIZE];
    (void)state;
    snprintf(said.status, sizeof said.status, "ready");
    service_decide(&said, &view, text);
    assert_string_equal("", text); /* SERVICE-2 */
    view.turns = true;
    service_decide(&said, &view, text);
    assert_string_equal("WATCHDOG=1", text);
    view.now_ns += 2 * SECOND_NS - 1;
    service_decide(&said, &view, text);
    assert_string_equal("", text);
    view.now_ns += 1;
    service_decide(&said, &view, text);
    assert_string_equal("WATCHDOG=1", text);
    said.watchdog_ns = 0;
    view.now_ns += 100 * SECOND_NS;
    service_decide(&said, &view, text);
    assert_string_equal("", text); /* nobody asked for it */
}

/* ---- the socket ---- */

struct manager {
    int socket;
    char name[108]; /* as NOTIFY_SOCKET has it */
};

static void listen_at(struct manager *manager, bool abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 8};
    snprintf(manager->name, sizeof manager->name, "%s/tmp/holdfast-notify-%d-%d",
             abstract ? "@" : "", (int)getpid(), (int)abstract);
    size_t size = strlen(manager->name);
    memcpy(address.sun_path, manager->name, size);
    if (abstract)
        address.sun_path[0] = 0;
    else
        unlink(manager->name);
    manager->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(manager->socket >= 0);
    setsockopt(manager->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(0, bind(manager->socket, (struct sockaddr *)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)));
}

static void close_manager(struct manager *manager)
{
    close(manager->socket);
    if (manager->name[0] == '/')
        unlink(manager->name);
}

static const char *hear(struct manager *manager, char text[SERVICE_TEXT_SIZE])
{
    ssize_t got = recv(manager->socket, text, SERVICE_TEXT_SIZE - 1, 0);
    text[got < 0 ? 0 : got] = 0;
    return text;
}

/* The first message with `wanted` in it; others are let pass. */
static void wait_for(struct manager *manager, const char *wanted)
{
    char text[SERVICE_TEXT_SIZE];
    do
        assert_true(hear(manager, text)[0]);
    while (!strstr(text, wanted));
}

static struct service *start(const struct manager *manager, const char *watchdog_us)
{
    struct service *service = NULL;
    char why[SERVICE_WHY_SIZE];
    setenv("NOTIFY_SOCKET", manager->name, 1);
    if (watchdog_us)
        setenv("WATCHDOG_USEC", watchdog_us, 1);
    assert_int_equal(STATUS_OK, service_start(&service, why));
    assert_non_null(service);
    assert_null(getenv("NOTIFY_SOCKET")); /* no child speaks in this name */
    assert_null(getenv("WATCHDOG_USEC"));
    return service;
}

static void a_life(bool abstract)
{
    struct manager manager;
    struct http_facts facts = {.workers = 1};
    char text[SERVICE_TEXT_SIZE];
    listen_at(&manager, abstract);
    struct service *service = start(&manager, NULL);
    assert_string_equal("STATUS=recovers its log", hear(&manager, text));
    service_say_ready(service, &facts);
    wait_for(&manager, "READY=1\nSTATUS=not ready: starting"); /* SERVICE-1 */
    atomic_store(&facts.reason, "no leader");
    wait_for(&manager, "STATUS=not ready: no leader");
    atomic_store(&facts.ready, true);
    wait_for(&manager, "STATUS=ready");
    service_say_stopping(service);
    assert_memory_equal("STOPPING=1\n", hear(&manager, text), 11);
    service_stop(service, "a disk failed");
    assert_string_equal("STATUS=a disk failed", hear(&manager, text));
    close_manager(&manager);
}

static void by_a_path(void **state)
{
    (void)state;
    a_life(false);
}

static void by_an_abstract_name(void **state)
{
    (void)state;
    a_life(true);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* SERVICE-2: of two workers one is stuck. Each answer to a change of the facts is another look, and
 * there are more of them than the watchdog would be due at. */
static void a_stuck_worker_is_not_covered_up(void **state)
{
    struct manager manager;
    struct http_facts facts = {.workers = 2};
    char text[SERVICE_TEXT_SIZE];
    (void)state;
    listen_at(&manager, true);
    atomic_store(&facts.turn_ns[0], now_ns() + 3600 * SECOND_NS);
    atomic_store(&facts.turn_ns[1], now_ns() + 3600 * SECOND_NS);
    struct service *service = start(&manager, "100000");
    service_say_ready(service, &facts);
    for (int i = 0; i < 3; i++)
        wait_for(&manager, "WATCHDOG=1");
    atomic_store(&facts.turn_ns[1], now_ns() - SECOND_NS);
    atomic_store(&facts.reason, "one");
    wait_for(&manager, "not ready: one"); /* the look under way may have begun before */
    for (int i = 0; i < 40; i++) {
        atomic_store(&facts.reason, i % 2 ? "one" : "two");
        assert_null(strstr(hear(&manager, text), "WATCHDOG"));
        assert_non_null(strstr(text, i % 2 ? "not ready: one" : "not ready: two"));
    }
    atomic_store(&facts.turn_ns[1], now_ns() + 3600 * SECOND_NS);
    wait_for(&manager, "WATCHDOG=1");
    service_stop(service, "");
    close_manager(&manager);
}

/* While the test computes, time is asked for. */
static void a_long_recovery(void **state)
{
    struct manager manager;
    struct pollfd polled;
    char text[SERVICE_TEXT_SIZE] = "";
    (void)state;
    listen_at(&manager, true);
    struct service *service = start(&manager, NULL);
    polled = (struct pollfd){.fd = manager.socket, .events = POLLIN};
    uint64_t end_ns = now_ns() + 8 * SECOND_NS;
    while (!strstr(text, "EXTEND_TIMEOUT_USEC=") && now_ns() < end_ns)
        if (poll(&polled, 1, 0) > 0)
            hear(&manager, text);
    assert_non_null(strstr(text, "EXTEND_TIMEOUT_USEC=30000000")); /* SERVICE-3 */
    service_stop(service, "");
    close_manager(&manager);
}

/* What could not be said, because nobody listened, is said once somebody does. */
static void a_manager_that_comes_later(void **state)
{
    struct manager manager;
    struct http_facts facts = {.workers = 1};
    char text[SERVICE_TEXT_SIZE], line[1024] = "";
    int ends[2], log = dup(STDERR_FILENO);
    (void)state;
    listen_at(&manager, false);
    close_manager(&manager);
    assert_int_equal(0, pipe(ends));
    assert_int_equal(STDERR_FILENO, dup2(ends[1], STDERR_FILENO));
    struct service *service = start(&manager, NULL);
    ssize_t got = read(ends[0], line, sizeof line - 1);
    assert_int_equal(STDERR_FILENO, dup2(log, STDERR_FILENO));
    assert_true(got > 0);
    assert_non_null(strstr(line, "the service manager cannot be told at /tmp/"));
    listen_at(&manager, false);
    assert_string_equal("STATUS=recovers its log", hear(&manager, text));
    service_say_ready(service, &facts);
    wait_for(&manager, "READY=1");
    service_stop(service, "");
    close_manager(&manager);
    close(log);
    close(ends[0]);
    close(ends[1]);
}

static void names_that_are_no_sockets(void **state)
{
    static const char *const bad[] = {"", "@", "/", "run/notify", "vsock:2:9999"};
    char why[SERVICE_WHY_SIZE], lengthy[200];
    struct service *service = NULL;
    (void)state;
    memset(lengthy, '/', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = 0;
    for (size_t i = 0; i <= sizeof bad / sizeof bad[0]; i++) {
        setenv("NOTIFY_SOCKET", i < sizeof bad / sizeof bad[0] ? bad[i] : lengthy, 1);
        assert_int_equal(STATUS_INVALID, service_start(&service, why));
        assert_non_null(strstr(why, "neither a path nor @"));
        assert_null(getenv("NOTIFY_SOCKET"));
    }
    assert_int_equal(STATUS_OK, service_start(&service, why));
    assert_null(service); /* nobody wants to hear */
    service_say_ready(service, NULL);
    service_say_stopping(service);
    service_stop(service, "");
}

/* Of another process: that of a shell that starts this one. */
static void a_watchdog_of_somebody_else(void **state)
{
    struct manager manager;
    struct http_facts facts = {.workers = 1};
    char text[SERVICE_TEXT_SIZE];
    (void)state;
    listen_at(&manager, true);
    setenv("WATCHDOG_PID", "1", 1);
    atomic_store(&facts.turn_ns[0], now_ns() + 3600 * SECOND_NS);
    struct service *service = start(&manager, "50000");
    assert_null(getenv("WATCHDOG_PID"));
    service_say_ready(service, &facts);
    do
        assert_null(strstr(hear(&manager, text), "WATCHDOG"));
    while (!strstr(text, "READY"));
    atomic_store(&facts.ready, true); /* a second of looks later */
    do
        assert_null(strstr(hear(&manager, text), "WATCHDOG"));
    while (!strstr(text, "STATUS=ready"));
    service_stop(service, "");
    close_manager(&manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recovering_asks_for_time_while_it_works),
        cmocka_unit_test(ready_is_not_readyz),
        cmocka_unit_test(the_watchdog_wants_turns),
        cmocka_unit_test(by_a_path),
        cmocka_unit_test(by_an_abstract_name),
        cmocka_unit_test(a_stuck_worker_is_not_covered_up),
        cmocka_unit_test(a_long_recovery),
        cmocka_unit_test(a_manager_that_comes_later),
        cmocka_unit_test(names_that_are_no_sockets),
        cmocka_unit_test(a_watchdog_of_somebody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
