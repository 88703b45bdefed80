#include "holdfast/dev.h"
#include "holdfast/verbs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_LIMIT_MS   10000
#define STEADY_AFTER_MS 10000 /* who ran so long starts again without delay the next time */

/* ---- ports ---- */

static bool port_is_free(long port)
{
    int one = 1, descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one); /* as the server does */
    bool is_free = bind(descriptor, (struct sockaddr *)&address, sizeof address) == 0 &&
                   listen(descriptor, 1) == 0;
    close(descriptor);
    return is_free;
}

int children_check_ports(const struct dev *dev)
{
    static const struct {
        long more;
        const char *what;
    } kinds[] = {{0, "clients"}, {DEV_HTTP_MORE, "health"}, {DEV_PEER_MORE, "other nodes"}};
    for (size_t i = 0; i < dev->count; i++)
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            long port = dev->port + (long)i + kinds[k].more;
            if (port_is_free(port))
                continue;
            complain(EXIT_TROUBLE,
                     "port %ld (node %zu, for %s) is in use: stop what listens there, or choose "
                     "another base port with --port%s",
                     port, i + 1, kinds[k].what, dev->has_shape ? " and another --dir" : "");
            return -1;
        }
    return 0;
}

/* ---- starting ---- */

static void become_node(const struct dev *dev, const struct dev_node *node, pid_t parent)
{
    sigset_t none;
    const char *arguments[] = {dev->program,       "--dir",         node->dir,
                               "--listen",         node->address,   "--peer-listen",
                               node->peer_address, "--http-listen", node->http_address,
                               "--join",           dev->join,       NULL};
    if (dev->count == 1)
        arguments[9] = NULL;
    /* However we end, no node outlives us. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    setpgid(0, 0); /* Ctrl-C is for us alone: the nodes are stopped in order */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDONLY);
    int log = open(node->log_path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(127);
    execv(dev->program, (char **)arguments);
    dprintf(2, "cannot start %s: %s\n", dev->program, strerror(errno));
    _exit(127);
}

int children_start(struct dev *dev, struct dev_node *node)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become_node(dev, node, parent);
    if (pid < 0) {
        node->restart_at_ms = now_ms() + RESTART_DELAY_MAX_MS;
        logs_say(dev, "node %d cannot start: %s", node->number, strerror(errno));
        return -1;
    }
    node->pid = pid;
    node->started_ms = now_ms();
    logs_say(dev, "node %d: pid %d at %s", node->number, (int)pid, node->address);
    return 0;
}

/* ---- an end, and a new start ---- */

static void notice_end(struct dev *dev, struct dev_node *node, int result)
{
    uint64_t now = now_ms();
    char how[64];
    if (WIFSIGNALED(result))
        snprintf(how, sizeof how, "was ended by signal %d (%s)", WTERMSIG(result),
                 strsignal(WTERMSIG(result)));
    else
        snprintf(how, sizeof how, "ended with exit code %d", WEXITSTATUS(result));
    if (now - node->started_ms >= STEADY_AFTER_MS || node->delay_ms == 0)
        node->delay_ms = RESTART_DELAY_MIN_MS;
    else
        node->delay_ms *= 2;
    if (node->delay_ms > RESTART_DELAY_MAX_MS)
        node->delay_ms = RESTART_DELAY_MAX_MS;
    node->pid = 0;
    node->restarts++;
    node->restart_at_ms = now + node->delay_ms;
    logs_say(dev, "node %d %s; starts again in %u ms", node->number, how, node->delay_ms);
}

void children_tend(struct dev *dev)
{
    for (size_t i = 0; i < dev->count; i++) {
        struct dev_node *node = &dev->nodes[i];
        int result = 0;
        if (node->pid && waitpid(node->pid, &result, WNOHANG) == node->pid) {
            logs_read(dev); /* its last words come before the news of its end */
            notice_end(dev, node, result);
        }
        if (!node->pid && now_ms() >= node->restart_at_ms)
            (void)children_start(dev, node);
    }
}

void children_kill(struct dev *dev, struct dev_node *node)
{
    if (!node->pid)
        return;
    logs_say(dev, "killing node %d (kill -9 %d)", node->number, (int)node->pid);
    kill(node->pid, SIGKILL);
}

/* ---- the end ---- */

static size_t signal_all(struct dev *dev, int number)
{
    size_t alive = 0;
    for (size_t i = 0; i < dev->count; i++) {
        struct dev_node *node = &dev->nodes[i];
        if (node->pid && waitpid(node->pid, NULL, WNOHANG) == node->pid)
            node->pid = 0;
        if (!node->pid)
            continue;
        alive++;
        if (number)
            kill(node->pid, number);
    }
    return alive;
}

/* True: the user asked a second time. */
static bool wait_for_signal(const struct dev *dev, int timeout_ms)
{
    struct pollfd polled = {.fd = dev->signals, .events = POLLIN};
    struct signalfd_siginfo got;
    if (poll(&polled, 1, timeout_ms) <= 0 || read(dev->signals, &got, sizeof got) != sizeof got)
        return false;
    return got.ssi_signo == SIGINT || got.ssi_signo == SIGTERM;
}

void children_stop(struct dev *dev)
{
    uint64_t deadline = now_ms() + STOP_LIMIT_MS;
    size_t alive = signal_all(dev, SIGTERM);
    while (alive > 0) {
        uint64_t now = now_ms();
        if (now >= deadline || wait_for_signal(dev, (int)(deadline - now)))
            break;
        alive = signal_all(dev, 0);
    }
    if (alive > 0)
        logs_say(dev, "%zu node%s did not stop in time: kill -9", alive, alive == 1 ? "" : "s");
    (void)signal_all(dev, SIGKILL);
    for (size_t i = 0; i < dev->count; i++)
        if (dev->nodes[i].pid && waitpid(dev->nodes[i].pid, NULL, 0) == dev->nodes[i].pid)
            dev->nodes[i].pid = 0;
}
