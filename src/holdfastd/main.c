/* holdfastd: options, one worker, its loop, its end. */
#include "holdfastd/options.h"
#include "http/http.h"
#include "io/real.h"
#include "worker/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* A signal handler can only reach what is global: the one exception to "no global state". */
static volatile sig_atomic_t stop_asked;
static struct io *signal_io; /* style: set once before the handler is installed, read by it */

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
    io_wake(signal_io);
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

static void log_line(const char *line)
{
    struct timespec now;
    struct tm parts;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    fprintf(stderr, "%s.%03ldZ %s\n", text, now.tv_nsec / 1000000, line);
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

static void publish(struct worker *worker, struct io *io, struct http_facts *facts)
{
    char line[WORKER_LINE_SIZE];
    const char *reason = worker_unready(worker);
    atomic_store_explicit(&facts->reason, reason, memory_order_relaxed);
    atomic_store_explicit(&facts->ready, !reason, memory_order_relaxed);
    atomic_store_explicit(&facts->turn_ns, io_now_ns(io), memory_order_relaxed);
    while (worker_take_line(worker, line))
        log_line(line);
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

static void give_metrics(struct worker *worker, struct http *http, bool ready)
{
    struct metrics_process process = measure_process(ready);
    struct metrics_sample *sample = worker_measure(worker);
    const struct metrics_sample *samples[] = {sample};
    struct buffer page;
    buffer_init(&page, METRICS_PAGE_SIZE_MAX);
    metrics_render(&process, samples, 1, &page);
    metrics_destroy(sample);
    http_give_metrics(http, &page);
}

static void loop(struct worker *worker, struct io *io, struct http_facts *facts, struct http *http)
{
    enum {
        TIMER_ALIVE = 2
    };
    struct io_event events[IO_EVENTS_MAX];
    uint64_t alive_ns = 0;
    size_t count = 0;
    while (worker_turn(worker, events, count)) {
        uint64_t now_ns = io_now_ns(io);
        if (now_ns >= alive_ns) { /* a turn at least each 200 ms, so that /livez means something */
            publish(worker, io, facts);
            alive_ns = now_ns + 200 * 1000000ull;
            io_timer_set(io, TIMER_ALIVE, alive_ns);
        }
        if (atomic_load_explicit(&facts->metrics_wanted, memory_order_relaxed) &&
            atomic_exchange(&facts->metrics_wanted, false))
            give_metrics(worker, http, atomic_load(&facts->ready));
        count = io_gather(io, events, IO_EVENTS_MAX);
        if (stop_asked)
            worker_stop(worker);
    }
    publish(worker, io, facts);
}

static int serve(const struct options *options)
{
    struct http_facts facts = {0};
    char why[WORKER_LINE_SIZE] = "";
    const char *boot_id_file = options_get(options, "boot-id-file");
    struct io_real_options io_options = {.boot_id_file = boot_id_file[0] ? boot_id_file : NULL};
    struct io *io = io_create(&io_options);
    struct worker_options worker_options = {
        .dir = options_get(options, "dir"),
        .listen = options_get(options, "listen"),
        .peer_listen = options_get(options, "peer-listen"),
        .join = options_get(options, "join"),
        .site = options_get(options, "site"),
        .zone = options_get(options, "zone"),
        .host = options_get(options, "host"),
        .wal_segment_size = options_size(options, "wal-segment-size"),
        .snapshot_log_bytes = options_size(options, "snapshot-log-bytes"),
        .snapshot_period_ns = options_size(options, "snapshot-seconds") * 1000000000ull,
        .bulk_size_max = options_size(options, "proto-max-bulk-len"),
        .shown = options->shown,
        .shown_count = options->shown_count,
        .process = (uint64_t)getpid(),
    };
    struct worker *worker = NULL;
    struct http *http = NULL;
    int code = 1;
    if (worker_create(io, &worker_options, &worker, why)) {
        fail(why);
    } else if (http_start(options_get(options, "http-listen"), &facts, &http, why)) {
        fail(why);
    } else {
        install_signals(io);
        log_line("started");
        loop(worker, io, &facts, http);
        code = worker_failure(worker)[0] ? fail(worker_failure(worker)) : 0;
        if (!code)
            log_line("stopped");
    }
    http_stop(http);
    worker_destroy(worker);
    io_destroy(io);
    return code;
}

int main(int count, char **words)
{
    struct options options = {0};
    char why[400] = "";
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
