#include "holdfastd/service.h"

#include "base/memory.h"
#include "holdfastd/log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY_MS   1000 /* at the facts; the watchdog may want more */
#define EXTEND_US       30000000
#define WORK_MIN        20 /* milliseconds of computing, or as many pieces of 32 KiB read */
#define BLOCKS_PER_WORK 64 /* of 512 bytes, as the kernel counts them */
#define SEND_TIMEOUT_S  1

/* ---- deciding ---- */

static void add(char out[SERVICE_TEXT_SIZE], const char *line)
{
    size_t size = strlen(out);
    snprintf(out + size, SERVICE_TEXT_SIZE - size, "%s%s", size ? "\n" : "", line);
}

static void add_status(struct service_said *said, const char *status, char out[SERVICE_TEXT_SIZE])
{
    char line[SERVICE_TEXT_SIZE];
    if (strcmp(said->status, status) == 0)
        return;
    snprintf(said->status, sizeof said->status, "%s", status);
    snprintf(line, sizeof line, "STATUS=%.200s", status);
    add(out, line);
}

static void decide_recovering(struct service_said *said, const struct service_view *view,
                              char out[SERVICE_TEXT_SIZE])
{
    char line[64];
    add_status(said, "recovers its log", out);
    if (!said->began)
        said->work = view->work;
    said->began = true;
    if (view->work < said->work + WORK_MIN) /* SERVICE-3 */
        return;
    said->work = view->work;
    snprintf(line, sizeof line, "EXTEND_TIMEOUT_USEC=%d", EXTEND_US);
    add(out, line);
}

static void decide_running(struct service_said *said, const struct service_view *view,
                           char out[SERVICE_TEXT_SIZE])
{
    char status[SERVICE_TEXT_SIZE];
    if (!said->ready)
        add(out, "READY=1"); /* SERVICE-1: whatever view->ready says */
    said->ready = true;
    snprintf(status, sizeof status, "not ready: %.200s", view->reason ? view->reason : "starting");
    add_status(said, view->ready ? "ready" : status, out);
    if (!said->watchdog_ns || view->now_ns < said->next_watchdog_ns || !view->turns)
        return;
    said->next_watchdog_ns = view->now_ns + said->watchdog_ns / 4;
    add(out, "WATCHDOG=1"); /* SERVICE-2 */
}

void service_decide(struct service_said *said, const struct service_view *view,
                    char out[SERVICE_TEXT_SIZE])
{
    out[0] = 0;
    if (view->phase == SERVICE_RECOVERING)
        decide_recovering(said, view, out);
    else if (view->phase == SERVICE_RUNNING)
        decide_running(said, view, out);
    else if (!said->stopping) {
        said->stopping = true;
        add(out, "STOPPING=1");
        add_status(said, "hands over what it leads, then ends", out);
    }
}

/* ---- looking ---- */

struct service {
    struct sockaddr_un address;
    socklen_t address_size;
    int socket, wake;
    bool complained; /* of a socket that takes nothing */
    struct service_said said;
    atomic_int phase;
    _Atomic(struct http_facts *) facts; /* borrowed; NULL before RUNNING */
    atomic_bool ends;
    pthread_t thread;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now); /* that of the facts */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t ms_of(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_usec / 1000;
}

static uint64_t measure_work(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage))
        return 0;
    return ms_of(usage.ru_utime) + ms_of(usage.ru_stime) +
           (uint64_t)usage.ru_inblock / BLOCKS_PER_WORK;
}

static bool all_turn(struct http_facts *facts, uint64_t now, uint64_t within_ns)
{
    for (unsigned i = 0; i == 0 || i < facts->workers; i++)
        if (atomic_load(&facts->turn_ns[i]) + within_ns < now)
            return false;
    return true;
}

static struct service_view look(struct service *service)
{
    struct service_view view = {.phase = (enum service_phase)atomic_load(&service->phase),
                                .now_ns = now_ns()};
    struct http_facts *facts = atomic_load(&service->facts);
    if (view.phase == SERVICE_RECOVERING) {
        view.work = measure_work();
    } else if (facts) {
        /* Half of what it may be silent: who is stuck is ended after one and a half of it. */
        view.turns = all_turn(facts, view.now_ns, service->said.watchdog_ns / 2);
        view.ready = atomic_load(&facts->ready);
        view.reason = atomic_load(&facts->reason);
    }
    return view;
}

/* ---- telling ---- */

static bool send_text(struct service *service, const char *text)
{
    ssize_t sent = sendto(service->socket, text, strlen(text), MSG_NOSIGNAL,
                          (const struct sockaddr *)&service->address, service->address_size);
    char line[SERVICE_WHY_SIZE];
    if (sent < 0 && !service->complained) {
        snprintf(line, sizeof line,
                 "the service manager cannot be told at %s%.100s: %s; it is tried again",
                 service->address.sun_path[0] ? "" : "@",
                 service->address.sun_path + !service->address.sun_path[0], strerror(errno));
        log_line(line);
    }
    service->complained = sent < 0;
    return sent >= 0;
}

static void tell(struct service *service)
{
    char text[SERVICE_TEXT_SIZE];
    struct service_said before = service->said;
    struct service_view view = look(service);
    service_decide(&service->said, &view, text);
    if (text[0] && !send_text(service, text))
        service->said = before;
}

static int patience_ms(const struct service *service)
{
    uint64_t watchdog_ms = service->said.watchdog_ns / 8 / 1000000;
    if (!service->said.watchdog_ns || watchdog_ms > LOOK_EVERY_MS)
        return LOOK_EVERY_MS;
    return watchdog_ms ? (int)watchdog_ms : 1;
}

static void *run(void *argument)
{
    struct service *service = argument;
    struct pollfd woken = {.fd = service->wake, .events = POLLIN};
    uint64_t count;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (!atomic_load(&service->ends)) {
        tell(service);
        if (poll(&woken, 1, patience_ms(service)) > 0)
            (void)!read(service->wake, &count, sizeof count);
    }
    tell(service); /* what came with the end */
    return NULL;
}

static void wake(struct service *service)
{
    uint64_t one = 1;
    (void)!write(service->wake, &one, sizeof one);
}

/* ---- life ---- */

/* False: neither a path nor an abstract name, or too long for one. */
static bool read_address(const char *name, struct service *service)
{
    size_t size = strlen(name);
    struct sockaddr_un *address = &service->address;
    if ((name[0] != '/' && name[0] != '@') || size < 2 || size >= sizeof address->sun_path)
        return false;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, name, size);
    if (name[0] == '@')
        address->sun_path[0] = 0;
    service->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return true;
}

/* 0: it may be silent. */
static uint64_t read_watchdog_ns(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *process = getenv("WATCHDOG_PID");
    if (!us || (process && strtoll(process, NULL, 10) != getpid()))
        return 0;
    unsigned long long value = strtoull(us, NULL, 10);
    return value < UINT64_MAX / 1000 ? value * 1000 : 0;
}

static void forget_environment(void)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

static void open_descriptors(struct service *service)
{
    struct timeval limit = {.tv_sec = SEND_TIMEOUT_S};
    service->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    service->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (service->socket < 0 || service->wake < 0 ||
        setsockopt(service->socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit))
        fatal("cannot make a socket for the service manager: %s", strerror(errno));
}

enum status service_start(struct service **out, char why[SERVICE_WHY_SIZE])
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct service *service = NULL;
    enum status status = STATUS_OK;
    if (name) {
        service = memory_zeroed(1, sizeof *service);
        service->said.watchdog_ns = read_watchdog_ns();
        if (!read_address(name, service)) {
            snprintf(why, SERVICE_WHY_SIZE,
                     "NOTIFY_SOCKET '%.100s' is neither a path nor @ and a name: the service "
                     "manager is told nothing",
                     name);
            memory_free(service);
            service = NULL;
            status = STATUS_INVALID;
        }
    }
    forget_environment();
    if (status)
        return status;
    if (service) {
        open_descriptors(service);
        if (pthread_create(&service->thread, NULL, run, service))
            fatal("cannot start the thread for the service manager");
    }
    *out = service;
    return STATUS_OK;
}

void service_say_ready(struct service *service, struct http_facts *facts)
{
    if (!service)
        return;
    atomic_store(&service->facts, facts);
    atomic_store(&service->phase, SERVICE_RUNNING);
    wake(service);
}

void service_say_stopping(struct service *service)
{
    if (!service)
        return;
    atomic_store(&service->phase, SERVICE_STOPPING);
    wake(service);
}

void service_stop(struct service *service, const char *last)
{
    char text[SERVICE_TEXT_SIZE];
    if (!service)
        return;
    service_say_stopping(service);
    atomic_store(&service->ends, true);
    wake(service);
    pthread_join(service->thread, NULL);
    assert(atomic_load(&service->phase) == SERVICE_STOPPING);
    snprintf(text, sizeof text, "STATUS=%.200s", last);
    if (last[0])
        (void)send_text(service, text);
    close(service->socket);
    close(service->wake);
    memory_free(service);
}
