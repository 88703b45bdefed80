/* The server: its thread, its listener, and the paths. */
#include "http/inside.h"

#include "base/memory.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIVE_NS     (5 * 1000000000ull) /* a worker that has not turned for so long is stuck */
#define BODY_MAX    1024
#define HEADERS_MAX 8192
#define TIMEOUT_S   5
#define BACKLOG     128
#define WAITING_MAX 16 /* requests for metrics at one time */
#define PATIENCE_S  2
#define PAGE_TYPE   "text/plain; version=0.0.4; charset=utf-8"
#define JSON_TYPE   "application/json"
#define JSON_MAX    (64u << 10)
#define METHODS     (EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_OPTIONS)

/* A path that asks for a role. */
struct route {
    struct http *http;
    enum health_kind kind;
};
#define ROUTES (sizeof paths / sizeof paths[0])
static const struct {
    const char *path;
    enum health_kind kind;
} paths[] = {{"/primary", HEALTH_PRIMARY},
             {"/leader", HEALTH_PRIMARY},
             {"/replica", HEALTH_REPLICA},
             {"/read-only", HEALTH_READ_ONLY},
             {"/health", HEALTH_RUNNING}};

struct http {
    struct event_base *base;
    struct evhttp *server;
    struct event *stop, *given, *late;
    int stop_fd, given_fd;
    struct http_facts *facts; /* borrowed */
    pthread_t thread;
    struct evhttp_request *waiting[WAITING_MAX]; /* for a page of metrics */
    size_t waiting_count;
    pthread_mutex_t lock; /* of `page` and `fresh` */
    struct buffer page;
    struct http_map *fresh; /* not looked at yet; NULL: none */
    struct http_map *map;   /* the thread's own; NULL: not part of a cluster */
    struct route routes[ROUTES];
};

uint64_t http_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* HEAD and OPTIONS get the code alone. */
static void send_answer(struct evhttp_request *request, bool good, const char *type,
                        struct slice text)
{
    struct evbuffer *body = evbuffer_new();
    bool shows = evhttp_request_get_command(request) == EVHTTP_REQ_GET;
    if (!body || (shows && evbuffer_add(body, text.at, text.size)))
        fatal("no memory for an answer");
    if (shows)
        evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
    evhttp_send_reply(request, good ? 200 : 503, good ? "OK" : "Service Unavailable", body);
    evbuffer_free(body);
}

static void answer(struct evhttp_request *request, bool good, const char *yes, const char *no)
{
    char line[HTTP_WHY_SIZE];
    snprintf(line, sizeof line, "%s\n", good ? yes : no);
    send_answer(request, good, "text/plain", slice_of_text(line));
}

/* HTTP-1 */
bool http_is_live(const struct http_facts *facts)
{
    bool live = true;
    for (unsigned i = 0; i == 0 || i < facts->workers; i++)
        live &= http_now_ns() < atomic_load(&facts->turn_ns[i]) + LIVE_NS;
    return live;
}

static void on_livez(struct evhttp_request *request, void *argument)
{
    struct http *http = argument;
    answer(request, http_is_live(http->facts), "live", "the worker does not turn");
}

static void on_readyz(struct evhttp_request *request, void *argument)
{
    struct http *http = argument;
    const char *reason = atomic_load(&http->facts->reason);
    answer(request, atomic_load(&http->facts->ready), "ready", reason ? reason : "starting");
}

/* ---- roles ---- */

static void take_map(struct http *http)
{
    struct http_map *old = NULL;
    pthread_mutex_lock(&http->lock);
    if (http->fresh) {
        old = http->map;
        http->map = http->fresh;
        http->fresh = NULL;
    }
    pthread_mutex_unlock(&http->lock);
    memory_free(old);
}

static void on_role(struct evhttp_request *request, void *argument)
{
    const struct route *route = argument;
    struct http *http = route->http;
    struct question question;
    struct buffer json;
    char why[HTTP_WHY_SIZE];
    bool good = false;
    buffer_init(&json, JSON_MAX);
    take_map(http);
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    if (question_read(route->kind, query, &question, why))
        good = health_judge(http->facts, http->map, &question, &json);
    else
        health_refuse(why, &json);
    send_answer(request, good, JSON_TYPE, slice_of_buffer(&json));
    buffer_deinit(&json);
}

void http_give_map(struct http *http, struct http_map *map)
{
    pthread_mutex_lock(&http->lock);
    struct http_map *old = http->fresh;
    http->fresh = map;
    pthread_mutex_unlock(&http->lock);
    memory_free(old);
}

/* ---- metrics ---- */

/* A request whose client has left meanwhile is freed by the same calls. */
static void refuse_waiting(struct http *http)
{
    while (http->waiting_count)
        evhttp_send_error(http->waiting[--http->waiting_count], HTTP_SERVUNAVAIL,
                          "the worker gives no numbers");
}

static void on_late(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    refuse_waiting(argument);
}

/* HTTP-1: it waits in a list, the thread goes on. */
static void on_metrics(struct evhttp_request *request, void *argument)
{
    struct http *http = argument;
    struct timeval patience = {.tv_sec = PATIENCE_S};
    if (http->waiting_count == WAITING_MAX) {
        evhttp_send_error(request, HTTP_SERVUNAVAIL, "too many ask for metrics at one time");
        return;
    }
    if (!http->waiting_count)
        evtimer_add(http->late, &patience);
    http->waiting[http->waiting_count++] = request;
    atomic_store(&http->facts->metrics_wanted, true);
}

static void swap_pages(struct buffer *one, struct buffer *other)
{
    struct buffer kept = *one;
    *one = *other;
    *other = kept;
}

static void on_given(evutil_socket_t fd, short what, void *argument)
{
    struct http *http = argument;
    uint64_t count;
    struct buffer page;
    (void)what;
    (void)!read(fd, &count, sizeof count);
    buffer_init(&page, SIZE_MAX);
    pthread_mutex_lock(&http->lock);
    swap_pages(&page, &http->page);
    pthread_mutex_unlock(&http->lock);
    evtimer_del(http->late);
    while (http->waiting_count && page.size)
        send_answer(http->waiting[--http->waiting_count], true, PAGE_TYPE, slice_of_buffer(&page));
    buffer_deinit(&page);
}

void http_give_metrics(struct http *http, struct buffer *page)
{
    uint64_t one = 1;
    pthread_mutex_lock(&http->lock);
    swap_pages(page, &http->page);
    pthread_mutex_unlock(&http->lock);
    buffer_deinit(page); /* one that nobody took in time */
    if (write(http->given_fd, &one, sizeof one) != sizeof one)
        fatal("cannot hand over metrics");
}

static void on_other(struct evhttp_request *request, void *argument)
{
    (void)argument;
    evhttp_send_error(
        request, HTTP_NOTFOUND,
        "there are /livez, /readyz, /health, /primary, /replica, /read-only, /metrics");
}

static void on_stop(evutil_socket_t fd, short what, void *argument)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(((struct http *)argument)->base);
}

static void *run(void *argument)
{
    struct http *http = argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    event_base_dispatch(http->base);
    return NULL;
}

/* HOST:PORT, an IPv6 host in brackets, into its parts. */
static bool split(const char *address, char host[64], const char **port)
{
    const char *colon = strrchr(address, ':');
    size_t size = colon ? (size_t)(colon - address) : 0;
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    if (!size || size >= 64 || !digits || digits > 5 || colon[1 + digits] ||
        strtol(colon + 1, NULL, 10) > 65535)
        return false;
    bool bracketed = address[0] == '[' && address[size - 1] == ']';
    snprintf(host, 64, "%.*s", (int)(size - 2 * bracketed), address + bracketed);
    *port = colon + 1;
    return true;
}

/* libevent's own way to bind writes to stderr what went wrong, and forgets it. -1: errno says why.
 */
static int open_listener(const struct addrinfo *at)
{
    int one = 1, descriptor = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -1;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(descriptor, at->ai_addr, at->ai_addrlen) == 0 && listen(descriptor, BACKLOG) == 0)
        return descriptor;
    int number = errno;
    close(descriptor);
    errno = number;
    return -1;
}

static const char *why_not_listening(int number)
{
    switch (number) {
    case EADDRINUSE: return "is in use: stop what listens there, or give another";
    case EADDRNOTAVAIL: return "is not of this machine: give an address that `ip address` lists";
    case EACCES: return "is not permitted: give a port above 1023, or start as root";
    }
    return strerror(number);
}

static enum status bind_address(struct http *http, const char *address, char why[128])
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *at = NULL;
    char host[64];
    const char *port;
    if (!split(address, host, &port)) {
        snprintf(why, 128, "--http-listen '%.60s' is not HOST:PORT", address);
        return STATUS_INVALID;
    }
    if (getaddrinfo(strcmp(host, "*") == 0 ? "0.0.0.0" : host, port, &wanted, &at)) {
        snprintf(why, 128, "--http-listen %.40s: no such host; give an address of this machine",
                 address);
        return STATUS_INVALID;
    }
    int descriptor = open_listener(at), number = errno;
    freeaddrinfo(at);
    if (descriptor >= 0) {
        if (evhttp_accept_socket(http->server, descriptor))
            fatal("cannot set up HTTP");
        return STATUS_OK;
    }
    snprintf(why, 128, "--http-listen %.46s %.64s", address, why_not_listening(number));
    return number == EADDRINUSE ? STATUS_IN_USE : STATUS_IO;
}

static void destroy(struct http *http)
{
    refuse_waiting(http);
    event_free(http->stop);
    event_free(http->given);
    event_free(http->late);
    evhttp_free(http->server);
    event_base_free(http->base);
    close(http->stop_fd);
    close(http->given_fd);
    buffer_deinit(&http->page);
    memory_free(http->fresh);
    memory_free(http->map);
    pthread_mutex_destroy(&http->lock);
    memory_free(http);
}

/* What is made before anything can be refused; the machine has no descriptors or no memory when it
 * cannot be. */
static struct http *create(struct http_facts *facts)
{
    struct http *http = memory_zeroed(1, sizeof *http);
    http->facts = facts;
    buffer_init(&http->page, SIZE_MAX);
    http->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    http->given_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    http->base = event_base_new();
    if (http->stop_fd < 0 || http->given_fd < 0 || !http->base ||
        pthread_mutex_init(&http->lock, NULL))
        fatal("cannot set up HTTP");
    http->server = evhttp_new(http->base);
    http->stop = event_new(http->base, http->stop_fd, EV_READ, on_stop, http);
    http->given = event_new(http->base, http->given_fd, EV_READ | EV_PERSIST, on_given, http);
    http->late = evtimer_new(http->base, on_late, http);
    if (!http->server || !http->stop || !http->given || !http->late ||
        event_add(http->stop, NULL) || event_add(http->given, NULL))
        fatal("cannot set up HTTP");
    return http;
}

enum status http_start(const char *address, struct http_facts *facts, struct http **out,
                       char why[128])
{
    struct http *http = create(facts);
    evhttp_set_allowed_methods(http->server, METHODS);
    evhttp_set_max_body_size(http->server, BODY_MAX);
    evhttp_set_max_headers_size(http->server, HEADERS_MAX);
    evhttp_set_timeout(http->server, TIMEOUT_S);
    evhttp_set_cb(http->server, "/livez", on_livez, http);
    evhttp_set_cb(http->server, "/readyz", on_readyz, http);
    evhttp_set_cb(http->server, "/metrics", on_metrics, http);
    for (size_t i = 0; i < ROUTES; i++) {
        http->routes[i] = (struct route){http, paths[i].kind};
        evhttp_set_cb(http->server, paths[i].path, on_role, &http->routes[i]);
    }
    evhttp_set_gencb(http->server, on_other, http);
    enum status status = bind_address(http, address, why);
    if (status == STATUS_OK && pthread_create(&http->thread, NULL, run, http))
        fatal("cannot start the HTTP thread");
    if (status) {
        destroy(http);
        return status;
    }
    *out = http;
    return STATUS_OK;
}

void http_stop(struct http *http)
{
    uint64_t one = 1;
    if (!http)
        return;
    if (write(http->stop_fd, &one, sizeof one) != sizeof one)
        fatal("cannot stop the HTTP thread");
    pthread_join(http->thread, NULL);
    destroy(http);
}
