/* holdfastd: options, its workers, their threads and loops, their end. */
#include "base/memory.h"
#include "holdfastd/hooks.h"
#include "holdfastd/log.h"
#include "holdfastd/options.h"
#include "holdfastd/service.h"
#include "http/http.h"
#include "io/real.h"
#include "worker/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

_Static_assert(WORKER_COUNT_MAX <= HTTP_WORKERS_MAX, "each has its place in the facts");

#define LOOK_EVERY_NS (20 * 1000000ull)

/* A signal handler can only reach what is global: the one exception to "no global state". */
static atomic_bool stop_asked;
static struct io *signal_io; /* style: set once before the handler is installed, read by it */

/* Async-signal-safe, and from any thread. Worker 0 wakes the others. */
static void stop_all(void)
{
    atomic_store(&stop_asked, true);
    io_wake(signal_io);
}

static void on_signal(int number)
{
    (void)number;
    stop_all();
}

/* Nobody is served yet, and a log that is being read may be left at any point. The kernel ends by
 * itself any process but the first one of a container. */
static void on_early_signal(int number)
{
    (void)number;
    _exit(0);
}

static void install_early_signals(void)
{
    struct sigaction action = {.sa_handler = on_early_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

static void install_signals(struct io *io)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    signal_io = io;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

static int fail(const char *line)
{
    fprintf(stderr, "holdfastd: %s\n", line);
    return 1;
}

#define DESCRIPTORS_MIN 64 /* log, links, health, and some clients */

/* Ten thousand connections need descriptors; what the system grants is taken. False: too few. */
static bool raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return true;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) && getrlimit(RLIMIT_NOFILE, &limit))
            return true;
    }
    return limit.rlim_cur >= DESCRIPTORS_MIN;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* What the kernel knows of this process. */
static struct metrics_process measure_process(bool ready)
{
    struct metrics_process process = {.version = "0.1.0", .ready = ready};
    struct rusage usage;
    unsigned long pages = 0;
    FILE *memory = fopen("/proc/self/statm", "re");
    if (memory && fscanf(memory, "%*u %lu", &pages) == 1)
        process.resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    if (memory)
        (void)fclose(memory);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        process.cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    return process;
}

/* ---- one worker, on its thread ---- */

struct program;

struct share { /* of the node */
    struct program *program;
    unsigned number;
    struct worker *worker;
    pthread_t thread;      /* not of worker 0: that one has the first thread */
    uint64_t next_look_ns; /* of worker 0: is this node ready? */
};

struct program {
    unsigned count;
    struct share shares[WORKER_COUNT_MAX];
    struct io *ios[WORKER_COUNT_MAX];
    struct replica_shown *shown[WORKER_COUNT_MAX]; /* owned; NODE_GROUPS_MAX of each worker */
    uint64_t map_epoch; /* worker 0's: of the catalogue that the health thread has; + 1 */
    struct http_facts facts;
    struct http *http;
    struct service *service; /* borrowed, as the next; NULL: none */
    struct hooks *hooks;
};

static void give_changes(struct share *share)
{
    struct worker_change change;
    for (int i = 0; share->program->hooks && i < WORKER_NEWS_COUNT; i++) {
        enum worker_news news = (enum worker_news)i;
        while (worker_next_change(share->worker, news, &change) &&
               hooks_give(share->program->hooks, news, &change))
            worker_change_is_told(share->worker, news, &change);
    }
}

/* Worker 0, once it is part of a cluster. */
static void give_map(struct share *share)
{
    struct program *program = share->program;
    struct node *node = worker_node(share->worker);
    const struct control_catalogue *catalogue = worker_catalogue(share->worker);
    if (program->map_epoch == catalogue->epoch + 1 || !node_is_started(node))
        return;
    program->map_epoch = catalogue->epoch + 1;
    http_give_map(program->http, http_map_of(catalogue, node_formation(node)->self));
}

/* Whether a worker is ready takes a look at each of its groups: not in every turn. */
static void publish(struct share *share)
{
    struct http_facts *facts = &share->program->facts;
    char line[WORKER_LINE_SIZE];
    uint64_t now_ns = io_now_ns(share->program->ios[share->number]);
    if (share->number == 0 && now_ns >= share->next_look_ns) { /* it knows of the others */
        share->next_look_ns = now_ns + LOOK_EVERY_NS;
        const char *reason = worker_unready(share->worker);
        atomic_store_explicit(&facts->reason, reason, memory_order_relaxed);
        atomic_store_explicit(&facts->ready, !reason, memory_order_relaxed);
        give_map(share);
    }
    atomic_store_explicit(&facts->turn_ns[share->number], now_ns, memory_order_relaxed);
    while (worker_take_line(share->worker, line))
        log_line(line);
    give_changes(share);
}

/* Worker 0: the page, once all workers have given their numbers. */
static void give_metrics(struct share *share)
{
    struct http_facts *facts = &share->program->facts;
    struct metrics_sample *samples[WORKER_COUNT_MAX];
    if (atomic_load_explicit(&facts->metrics_wanted, memory_order_relaxed) &&
        atomic_exchange(&facts->metrics_wanted, false))
        worker_ask_samples(share->worker);
    size_t count = worker_take_samples(share->worker, samples);
    if (!count)
        return;
    struct metrics_process process = measure_process(atomic_load(&facts->ready));
    struct buffer page;
    buffer_init(&page, METRICS_PAGE_SIZE_MAX);
    metrics_render(&process, (const struct metrics_sample *const *)samples, count, &page);
    for (size_t i = 0; i < count; i++)
        memory_free(samples[i]);
    http_give_metrics(share->program->http, &page);
}

static void stop(struct share *share)
{
    struct program *program = share->program;
    if (share->number == 0)
        service_say_stopping(program->service);
    worker_stop(share->worker);
    for (unsigned i = 1; share->number == 0 && i < program->count; i++)
        io_wake(program->ios[i]);
}

static void loop(struct share *share)
{
    enum {
        TIMER_ALIVE = 2
    };
    struct worker *worker = share->worker;
    struct io *io = share->program->ios[share->number];
    struct io_event events[IO_EVENTS_MAX];
    uint64_t alive_ns = 0;
    size_t count = 0;
    bool stopping = false;
    while (worker_turn(worker, events, count)) {
        uint64_t now_ns = io_now_ns(io);
        if (now_ns >= alive_ns) { /* a turn at least each 200 ms, so that /livez means something */
            publish(share);
            alive_ns = now_ns + 200 * 1000000ull;
            io_timer_set(io, TIMER_ALIVE, alive_ns);
        }
        if (share->number == 0)
            give_metrics(share);
        count = io_gather(io, events, IO_EVENTS_MAX);
        if (!stopping && atomic_load_explicit(&stop_asked, memory_order_relaxed)) {
            stop(share);
            stopping = true;
        }
    }
    publish(share);
    if (worker_failure(worker)[0])
        stop_all(); /* a node is all of its workers, or none */
}

static void *run(void *argument)
{
    loop(argument);
    return NULL;
}

/* ---- all of them ---- */

/* And where their workers' replicas are shown. */
static void create_ios(struct program *program, const struct options *options)
{
    const char *boot_id_file = options_get(options, "boot-id-file");
    struct io_real_options io_options = {.boot_id_file = boot_id_file[0] ? boot_id_file : NULL};
    for (unsigned i = 0; i < program->count; i++) {
        io_options.worker = i;
        program->ios[i] = io_create(&io_options);
        program->shown[i] = memory_zeroed(NODE_GROUPS_MAX, sizeof *program->shown[i]);
        program->facts.shown[i] = program->shown[i];
    }
    program->facts.shown_count = NODE_GROUPS_MAX;
    io_connect_workers(program->ios, program->count);
}

static enum status create_workers(struct program *program, const struct options *options,
                                  char why[WORKER_LINE_SIZE])
{
    enum status status = STATUS_OK;
    struct node_timing timing = node_timing_of(options_timing(options));
    struct worker_options worker_options = {
        .dir = options_get(options, "dir"),
        .listen = options_get(options, "listen"),
        .peer_listen = options_get(options, "peer-listen"),
        .join = options_get(options, "join"),
        .begins_anew = strcmp(options_get(options, "begin-anew"), "yes") == 0,
        .replace_after_ns = options_replace_after_ns(options),
        .site = options_get(options, "site"),
        .zone = options_get(options, "zone"),
        .host = options_get(options, "host"),
        .weight = (unsigned)options_size(options, "weight"),
        .timing = &timing,
        .wal_segment_size = options_size(options, "wal-segment-size"),
        .snapshot_log_bytes = options_size(options, "snapshot-log-bytes"),
        .snapshot_period_ns = options_size(options, "snapshot-seconds") * 1000000000ull,
        .bulk_size_max = options_size(options, "proto-max-bulk-len"),
        .shown = options->shown,
        .shown_count = options->shown_count,
        .process = (uint64_t)getpid(),
        .workers = program->count,
        .watches = {[WORKER_NEWS_LEADER] = options_get(options, "on-leader-change")[0] != 0,
                    [WORKER_NEWS_STATE] = options_get(options, "on-state-change")[0] != 0,
                    [WORKER_NEWS_ALERT] = options_get(options, "on-alert")[0] != 0},
    };
    for (unsigned i = 0; !status && i < program->count; i++) {
        worker_options.worker = i;
        worker_options.replicas_shown = program->shown[i];
        program->shares[i] = (struct share){.program = program, .number = i};
        status = worker_create(program->ios[i], &worker_options, &program->shares[i].worker, why);
    }
    return status;
}

/* The first thread is worker 0's. */
static void run_all(struct program *program)
{
    for (unsigned i = 1; i < program->count; i++)
        if (pthread_create(&program->shares[i].thread, NULL, run, &program->shares[i]))
            fatal("cannot start the thread of worker %u", i);
    loop(&program->shares[0]);
    for (unsigned i = 1; i < program->count; i++)
        pthread_join(program->shares[i].thread, NULL);
}

/* `why`: the failure that ended it; "" else. */
static int tell_end(const struct program *program, char why[WORKER_LINE_SIZE])
{
    for (unsigned i = 0; i < program->count && !why[0]; i++)
        snprintf(why, WORKER_LINE_SIZE, "%s", worker_failure(program->shares[i].worker));
    if (why[0])
        return fail(why);
    log_line("stopped");
    return 0;
}

static void destroy_all(struct program *program)
{
    void *message;
    http_stop(program->http);
    for (unsigned i = 0; i < program->count; i++)
        worker_destroy(program->shares[i].worker);
    for (unsigned i = 0; i < program->count; i++)
        while ((message = io_take_lost_message(program->ios[i])) != NULL)
            memory_free(message);
    for (unsigned i = 0; i < program->count; i++) {
        io_destroy(program->ios[i]);
        memory_free(program->shown[i]);
    }
}

/* AGAIN: a log was damaged, and everything is to be opened once more. */
static enum status open_all(struct program *program, const struct options *options,
                            char why[WORKER_LINE_SIZE])
{
    *program = (struct program){.count = options_workers(options)};
    program->facts.workers = program->count;
    create_ios(program, options);
    enum status status = create_workers(program, options, why);
    if (!status)
        status =
            http_start(options_get(options, "http-listen"), &program->facts, &program->http, why);
    return status;
}

static struct hooks *start_hooks(const struct options *options)
{
    struct hooks_options hooks = {
        .paths = {[WORKER_NEWS_LEADER] = options_get(options, "on-leader-change"),
                  [WORKER_NEWS_STATE] = options_get(options, "on-state-change"),
                  [WORKER_NEWS_ALERT] = options_get(options, "on-alert")}};
    return hooks_start(&hooks);
}

/* It is open. Returns the exit code. */
static int run_program(struct program *program, const struct options *options,
                       char why[WORKER_LINE_SIZE])
{
    why[0] = 0; /* what an earlier attempt has said */
    install_signals(program->ios[0]);
    program->hooks = start_hooks(options);
    log_line("started");
    service_say_ready(program->service, &program->facts); /* SERVICE-1 */
    run_all(program);
    hooks_stop(program->hooks);
    return tell_end(program, why);
}

static int serve(const struct options *options)
{
    struct program program;
    struct service *service = NULL;
    char why[WORKER_LINE_SIZE] = "", unheard[SERVICE_WHY_SIZE];
    int code = 1;
    enum status status;
    if (service_start(&service, unheard))
        log_line(unheard);
    while ((status = open_all(&program, options, why)) == STATUS_AGAIN) {
        log_line(why);
        destroy_all(&program);
    }
    program.service = service;
    if (status)
        fail(why);
    else
        code = run_program(&program, options, why);
    service_stop(service, why);
    destroy_all(&program);
    return code;
}

int main(int count, char **words)
{
    struct options options = {0};
    char why[400] = "";
    install_early_signals();
    if (options_read(&options, count, words, why)) {
        fprintf(stderr, "holdfastd: %s\n", why);
        return 2;
    }
    if (options.help)
        options_print_help();
    if (options.version)
        printf("holdfastd 0.1.0\n");
    if (options.help || options.version)
        return 0;
    if (!raise_descriptors())
        return fail("too few file descriptors: raise ulimit -n (at least 64)");
    return serve(&options);
}
