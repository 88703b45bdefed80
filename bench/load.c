/* bench-load: connects, runs batches until the time or the count is over, reports. */
#include "load.h"
#include "base/memory.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    TICK_MS = 100
};

void load_fail(struct load *load, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!load->failure[0])
        vsnprintf(load->failure, sizeof load->failure, format, arguments);
    va_end(arguments);
    load->stopping = true;
}

static void make_value(struct load *load)
{
    load->value = memory_allocate(load->settings.value_size);
    for (uint64_t i = 0; i < load->settings.value_size; i++)
        load->value[i] = (uint8_t)('a' + random_below(&load->random, 26));
}

static void read_acked(struct load *load)
{
    FILE *file = fopen(load->settings.ack_path, "r");
    long size = file && !fseek(file, 0, SEEK_END) ? ftell(file) : -1;
    if (size < 0) {
        load_fail(load, "cannot read %s", load->settings.ack_path);
    } else {
        rewind(file);
        load->acked = memory_allocate((size_t)size);
        load->acked_size = fread(load->acked, 1, (size_t)size, file);
    }
    if (file)
        fclose(file);
}

static void write_acked(struct load *load)
{
    FILE *file = fopen(load->settings.ack_path, "w");
    uint64_t size = load->next_number < load->acked_size ? load->next_number : load->acked_size;
    bool written = file && (!size || fwrite(load->acked, 1, size, file) == size);
    if (file)
        written = fclose(file) == 0 && written;
    if (!written)
        load_fail(load, "cannot write %s", load->settings.ack_path);
}

static void open_connections(struct load *load)
{
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->connections = memory_zeroed(load->settings.connections, sizeof *load->connections);
    for (size_t i = 0; i < load->settings.connections; i++)
        load->connections[i].fd = -1;
    for (size_t i = 0; i < load->settings.connections && !load->failure[0]; i++)
        if (!load_connect(load, &load->connections[i], i))
            return;
}

static bool is_waiting(const struct load *load)
{
    for (size_t i = 0; i < load->settings.connections; i++)
        if (load->connections[i].awaited)
            return true;
    return false;
}

static void turn(struct load *load, uint64_t *heard_ns)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(load->epoll, events, EVENTS_MAX, TICK_MS);
    uint64_t now_ns = load_now_ns(), done = load->done;
    double seconds = load->settings.seconds;
    if (seconds > 0 && (double)(now_ns - load->began_ns) >= seconds * 1e9)
        load->stopping = true;
    for (int i = 0; i < count; i++)
        load_on_ready(load, events[i].data.ptr, events[i].events);
    if (load->done != done)
        *heard_ns = now_ns;
    if (now_ns - *heard_ns > LOAD_SILENCE_S * 1000000000ull)
        load_fail(load, "no answer for %d seconds", LOAD_SILENCE_S);
}

static void run(struct load *load)
{
    for (size_t i = 0; i < load->settings.pid_count; i++)
        load->cpu_before_ns[i] = load_cpu_ns(load->settings.pids[i]);
    load->began_ns = load_now_ns();
    uint64_t heard_ns = load->began_ns;
    for (size_t i = 0; i < load->settings.connections && !load->stopping; i++)
        load_start_batch(load, &load->connections[i]);
    while (!load->failure[0] && is_waiting(load))
        turn(load, &heard_ns);
    load->ended_ns = load_now_ns();
}

int main(int count, char **words)
{
    static struct load load;
    const char *why;
    signal(SIGPIPE, SIG_IGN);
    if (!load_settings_read(&load.settings, count, words, &why)) {
        fprintf(stderr, "bench-load: not understood: %s\n", why);
        load_print_usage();
        return 2;
    }
    random_init(&load.random, load.settings.seed);
    make_value(&load);
    if (load.settings.operation == LOAD_VERIFY)
        read_acked(&load);
    open_connections(&load);
    if (!load.failure[0])
        run(&load);
    if (load.settings.operation == LOAD_UNIQ && load.settings.ack_path)
        write_acked(&load);
    load_report(&load);
    for (size_t i = 0; i < load.settings.connections; i++)
        load_disconnect(&load.connections[i]);
    memory_free(load.connections);
    memory_free(load.value);
    memory_free(load.acked);
    close(load.epoll);
    return load.failure[0] ? 1 : 0;
}
