/* holdfast dev: options, the loop, the end. */
#include "holdfast/dev.h"

#include "base/memory.h"
#include "holdfast/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_MS  100
#define WATCH_MS 500
#define PORT_MAX (65535 - DEV_PEER_MORE - DEV_NODES_MAX)

struct dev_options {
    long nodes, port; /* 0: not given */
    const char *dir;
};

static void print_help(void)
{
    printf(
        "holdfast dev [--nodes N] [--dir DIR] [--port P]   a local cluster in the foreground\n\n"
        "Runs N nodes (default 3, at most %d) on 127.0.0.1, clients at P (default 6379), P+1, ...\n"
        "Data stays in DIR (default ./holdfast-dev) and is there again at the next start.\n"
        "A node that dies is restarted. Ctrl-C or q stops all nodes and keeps the data.\n",
        DEV_NODES_MAX);
}

/* ---- options ---- */

static int take_option(struct dev_options *options, int letter, char **words)
{
    if (letter == 'd') {
        options->dir = optarg;
        return optarg[0] ? 0 : complain(EXIT_USAGE, "--dir is empty; give a directory");
    }
    if (letter == 'n')
        return parse_number(optarg, 1, DEV_NODES_MAX, &options->nodes) == 0
                   ? 0
                   : complain(EXIT_USAGE, "--nodes '%.20s': give 1 to %d", optarg, DEV_NODES_MAX);
    if (letter == 'p')
        return parse_number(optarg, 1, PORT_MAX, &options->port) == 0
                   ? 0
                   : complain(EXIT_USAGE, "--port '%.20s': give 1 to %d (nodes meet at port + %d)",
                              optarg, PORT_MAX, DEV_PEER_MORE);
    return complain_option("dev ", letter, words);
}

/* -1: go on; else the exit code. */
static int read_options(struct dev_options *options, int count, char **words)
{
    static const struct option known[] = {{"nodes", required_argument, NULL, 'n'},
                                          {"dir", required_argument, NULL, 'd'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int letter;
    optind = 0;
    while ((letter = getopt_long(count, words, "+:h", known, NULL)) != -1) {
        if (letter == 'h') {
            print_help();
            return EXIT_GOOD;
        }
        int code = take_option(options, letter, words);
        if (code)
            return code;
    }
    if (optind < count)
        return complain(EXIT_USAGE, "dev takes no '%.60s'; holdfast dev --help shows its use",
                        words[optind]);
    return -1;
}

/* The nodes remember their addresses: a directory keeps its number of nodes and its ports. */
static int settle_shape(struct dev *dev, const struct dev_options *options)
{
    struct place_shape kept = {options->nodes ? options->nodes : 3,
                               options->port ? options->port : 6379};
    dev->dir = options->dir;
    dev->has_shape = place_read_shape(dev->dir, &kept) == 0;
    if ((options->nodes && options->nodes != kept.nodes) ||
        (options->port && options->port != kept.port))
        return complain(EXIT_USAGE,
                        "%s holds a cluster of --nodes %ld --port %ld: give these, or another "
                        "--dir",
                        dev->dir, kept.nodes, kept.port);
    dev->count = (size_t)kept.nodes;
    dev->port = kept.port;
    return EXIT_GOOD;
}

/* ---- before the first node ---- */

static void name_node(struct dev *dev, size_t i)
{
    struct dev_node *node = &dev->nodes[i];
    long port = dev->port + (long)i;
    node->number = (int)i + 1;
    node->log_fd = -1;
    node->applied = node->lag = -1;
    snprintf(node->role, sizeof node->role, "-");
    snprintf(node->state, sizeof node->state, "-");
    snprintf(node->dir, sizeof node->dir, "%.4000s/node%zu/data", dev->dir, i + 1);
    snprintf(node->log_path, sizeof node->log_path, "%.4000s/node%zu/log", dev->dir, i + 1);
    snprintf(node->address, sizeof node->address, "127.0.0.1:%ld", port);
    snprintf(node->peer_address, sizeof node->peer_address, "127.0.0.1:%ld", port + DEV_PEER_MORE);
    snprintf(node->http_address, sizeof node->http_address, "127.0.0.1:%ld", port + DEV_HTTP_MORE);
    size_t used = strlen(dev->join);
    snprintf(dev->join + used, sizeof dev->join - used, "%s%s", i ? "," : "", node->address);
}

static int make_node_dir(const struct dev *dev, struct dev_node *node)
{
    char path[PLACE_PATH_SIZE];
    snprintf(path, sizeof path, "%.4000s/node%d", dev->dir, node->number);
    if (mkdir(path, 0755) != 0 && errno != EEXIST)
        return complain(EXIT_TROUBLE, "cannot make the directory %s: %s; give another --dir", path,
                        strerror(errno));
    node->log_fd = open(node->log_path, O_RDONLY | O_CLOEXEC);
    if (node->log_fd >= 0)
        lseek(node->log_fd, 0, SEEK_END); /* what earlier runs wrote is no news */
    return EXIT_GOOD;
}

static int open_signals(void)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGWINCH};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        sigaddset(&set, wanted[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN); /* who reads our lines may leave; the cluster stays */
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int prepare(struct dev *dev, const struct dev_options *options)
{
    if (place_beside("holdfastd", dev->program))
        return complain(EXIT_TROUBLE, "there is no holdfastd beside this program; run `make`");
    if (place_lock(options->dir))
        return EXIT_TROUBLE;
    int code = settle_shape(dev, options);
    if (code)
        return code;
    struct place_shape shape = {(long)dev->count, dev->port};
    if (children_check_ports(dev) || (!dev->has_shape && place_write_shape(dev->dir, shape)))
        return EXIT_TROUBLE;
    for (size_t i = 0; i < dev->count; i++) {
        name_node(dev, i);
        code = make_node_dir(dev, &dev->nodes[i]);
        if (code)
            return code;
    }
    dev->signals = open_signals();
    return EXIT_GOOD;
}

/* ---- the loop ---- */

static void look(struct dev *dev)
{
    watch_nodes(dev);
    if (!dev->was_ready && watch_is_ready(dev)) {
        dev->was_ready = true;
        logs_say(dev, "ready: redis-cli -p %ld", dev->port);
    }
}

/* False: a signal asks for the end. Returns early for a key. */
static bool wait_a_tick(struct dev *dev, struct screen *screen)
{
    struct pollfd polled[] = {{.fd = dev->signals, .events = POLLIN},
                              {.fd = screen ? STDIN_FILENO : -1, .events = POLLIN}};
    struct signalfd_siginfo got;
    if (poll(polled, 2, TICK_MS) <= 0 || !polled[0].revents)
        return true;
    if (read(dev->signals, &got, sizeof got) != sizeof got)
        return true;
    if (got.ssi_signo == SIGWINCH)
        screen_resize(screen);
    return got.ssi_signo == SIGCHLD || got.ssi_signo == SIGWINCH;
}

static void run(struct dev *dev, struct screen *screen)
{
    uint64_t look_at = 0;
    do {
        children_tend(dev);
        logs_read(dev);
        if (now_ms() >= look_at) {
            look(dev);
            look_at = now_ms() + (dev->was_ready ? WATCH_MS : TICK_MS);
        }
        if (screen)
            screen_draw(screen, dev);
    } while (wait_a_tick(dev, screen) && (!screen || screen_obey(screen, dev)));
}

int dev_main(int count, char **words)
{
    struct dev_options options = {.dir = "./holdfast-dev"};
    int code = read_options(&options, count, words);
    if (code >= 0)
        return code;
    struct dev *dev = memory_zeroed(1, sizeof *dev);
    code = prepare(dev, &options);
    if (code == EXIT_GOOD) {
        setvbuf(stdout, NULL, _IOLBF, 0);
        struct screen *screen =
            isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) ? screen_open() : NULL;
        dev->live = screen != NULL;
        run(dev, screen);
        screen_close(screen);
        dev->live = false;
        logs_say(dev, "stopping %zu node%s; the data stays in %s", dev->count,
                 dev->count == 1 ? "" : "s", dev->dir);
        children_stop(dev);
    }
    memory_free(dev);
    return code;
}
