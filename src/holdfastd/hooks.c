#include "holdfastd/hooks.h"

#include "base/memory.h"
#include "holdfastd/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE     512
#define NUMBER_SIZE   24
#define WORDS         10
#define LOOK_AGAIN_MS 50 /* where the kernel has no descriptors of processes */

struct hook {
    const char *path; /* borrowed; "" : none */
    size_t waiting_count;
    struct worker_change waiting[HOOKS_WAITING_MAX]; /* the first is the next */
    /* what runs; the thread's alone */
    pid_t process;  /* 0: nothing */
    int descriptor; /* of the process; -1: the kernel gives none */
    uint64_t deadline_ns;
    bool killed;
    struct worker_change running;
};

struct hooks {
    struct hook all[WORKER_NEWS_COUNT];
    uint64_t limit_ns;
    pthread_mutex_t lock; /* of what waits */
    int wake;
    atomic_bool ends;
    uint64_t end_ns; /* the thread's: when what still runs is killed */
    pthread_t thread;
};

static const char *const events[WORKER_NEWS_COUNT] = {[WORKER_NEWS_LEADER] = "leader-change",
                                                      [WORKER_NEWS_STATE] = "state-change",
                                                      [WORKER_NEWS_ALERT] = "alert"};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- what waits ---- */

/* Names of alerts are static: equal ones are the same. */
static bool is_same(const struct worker_change *a, const struct worker_change *b)
{
    return group_id_equal(a->partition, b->partition) && a->alert == b->alert &&
           (!a->alert ||
            (node_id_equal(a->node, b->node) && replica_id_equal(a->replica, b->replica)));
}

/* HOOK-3: of a partition, or an alert, the newest alone waits, in the place of the one before. */
static struct worker_change *find_place(struct hook *hook, const struct worker_change *change)
{
    for (size_t i = 0; i < hook->waiting_count; i++)
        if (is_same(&hook->waiting[i], change))
            return &hook->waiting[i];
    return hook->waiting_count < HOOKS_WAITING_MAX ? &hook->waiting[hook->waiting_count++] : NULL;
}

/* HOOK-1: nothing is waited for but the lock, which is held for moments. */
bool hooks_give(struct hooks *hooks, enum worker_news news, const struct worker_change *change)
{
    uint64_t one = 1;
    pthread_mutex_lock(&hooks->lock);
    struct worker_change *place = find_place(&hooks->all[news], change);
    if (place)
        *place = *change;
    pthread_mutex_unlock(&hooks->lock);
    if (place)
        (void)!write(hooks->wake, &one, sizeof one);
    return place != NULL;
}

static bool take_waiting(struct hooks *hooks, struct hook *hook)
{
    pthread_mutex_lock(&hooks->lock);
    bool waits = hook->waiting_count > 0;
    if (waits) {
        hook->running = hook->waiting[0];
        hook->waiting_count--;
        memmove(hook->waiting, hook->waiting + 1, hook->waiting_count * sizeof hook->waiting[0]);
    }
    pthread_mutex_unlock(&hooks->lock);
    return waits;
}

static size_t count_waiting(struct hooks *hooks)
{
    size_t count = 0;
    pthread_mutex_lock(&hooks->lock);
    for (size_t i = 0; i < WORKER_NEWS_COUNT; i++)
        count += hooks->all[i].waiting_count;
    pthread_mutex_unlock(&hooks->lock);
    return count;
}

/* ---- running ---- */

static void complain(const struct hooks *hooks, const struct hook *hook, const char *what)
{
    char line[LINE_SIZE];
    if (hook->running.alert)
        snprintf(line, sizeof line, "the hook %.200s, run for the alert %s, %s", hook->path,
                 hook->running.alert, what);
    else
        snprintf(line, sizeof line,
                 "the hook %.200s, run for %s of partition %" PRIu64 " of %s, %s", hook->path,
                 events[hook - hooks->all], hook->running.partition.value, hook->running.keyspace,
                 what);
    log_line(line);
}

/* 0, or an error number. */
static int spawn(const char *path, char *const words[], pid_t *process)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE); /* this process ignores them, and a child would go on doing so */
    sigaddset(&usual, SIGHUP);
    if (posix_spawn_file_actions_init(&actions) || posix_spawnattr_init(&attributes) ||
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) ||
        posix_spawn_file_actions_adddup2(&actions, 2, 1) ||
        posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1) ||
        posix_spawnattr_setsigmask(&attributes, &none) ||
        posix_spawnattr_setsigdefault(&attributes, &usual) ||
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                  POSIX_SPAWN_SETSIGDEF))
        fatal("no memory to start a hook");
    int number = posix_spawn(process, path, &actions, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return number;
}

/* "-" where there is nothing to name. */
static void number_text(uint64_t number, bool is, char out[NUMBER_SIZE])
{
    if (is)
        snprintf(out, NUMBER_SIZE, "%" PRIu64, number);
    else
        snprintf(out, NUMBER_SIZE, "-");
}

struct words {
    char path[LINE_SIZE], event[LINE_SIZE / 16], what[LINE_SIZE / 16];
    char severity[LINE_SIZE / 16], alert[LINE_SIZE / 8];
    char partition[NUMBER_SIZE], replica[NUMBER_SIZE], node[NUMBER_SIZE], term[NUMBER_SIZE];
    char *at[WORDS + 1];
};

/* The order that hooks.h promises. `change` is borrowed for as long as the words. */
static void put_words(struct words *words, struct worker_change *change)
{
    char *of_change[] = {change->keyspace, words->partition, words->what, words->node,
                         words->term,      change->address,  NULL};
    char *of_alert[] = {words->what,      words->severity,  words->alert,
                        change->keyspace, words->partition, words->replica,
                        words->node,      change->text,     NULL};
    size_t count = 0;
    words->at[count++] = words->path;
    words->at[count++] = words->event;
    for (char **word = change->alert ? of_alert : of_change; *word; word++)
        words->at[count++] = *word;
    words->at[count] = NULL;
}

static void make_words(const struct hook *hook, const char *event, struct worker_change *change,
                       struct words *words)
{
    bool is_alert = change->alert != NULL, has_group = strcmp(change->keyspace, "-") != 0;
    snprintf(words->path, sizeof words->path, "%s", hook->path);
    snprintf(words->event, sizeof words->event, "%s", event);
    snprintf(words->what, sizeof words->what, "%s", change->what);
    snprintf(words->severity, sizeof words->severity, "%s", is_alert ? change->severity : "");
    snprintf(words->alert, sizeof words->alert, "%s", is_alert ? change->alert : "");
    number_text(change->partition.value, !is_alert || has_group, words->partition);
    number_text(change->replica.value, change->replica.value != 0, words->replica);
    number_text(change->node.value, !is_alert || change->node.value, words->node);
    number_text(change->term, true, words->term);
    put_words(words, change);
}

static void start(struct hooks *hooks, struct hook *hook)
{
    struct words words;
    char what[LINE_SIZE / 2];
    make_words(hook, events[hook - hooks->all], &hook->running, &words);
    int number = spawn(hook->path, words.at, &hook->process);
    if (number) {
        hook->process = 0;
        snprintf(what, sizeof what, "cannot be started: %s; it must be a program, or begin with #!",
                 strerror(number));
        complain(hooks, hook, what);
        return;
    }
    hook->descriptor = pidfd_open(hook->process, 0);
    hook->deadline_ns = now_ns() + hooks->limit_ns;
    hook->killed = false;
}

static void end(struct hooks *hooks, struct hook *hook, int result)
{
    char what[LINE_SIZE / 2];
    if (hook->descriptor >= 0)
        close(hook->descriptor);
    hook->process = 0;
    if (hook->killed)
        return; /* the line was written then */
    if (WIFSIGNALED(result))
        snprintf(what, sizeof what, "was ended by signal %d", WTERMSIG(result));
    else
        snprintf(what, sizeof what, "ended with exit code %d", WEXITSTATUS(result));
    if (result)
        complain(hooks, hook, what);
}

/* As the first process of a container this one is also given the orphans of others; nobody else
 * waits for them. */
static void reap(struct hooks *hooks)
{
    int result = 0;
    pid_t process;
    while ((process = waitpid(-1, &result, WNOHANG)) > 0)
        for (size_t i = 0; i < WORKER_NEWS_COUNT; i++)
            if (hooks->all[i].process == process)
                end(hooks, &hooks->all[i], result);
}

/* HOOK-2 */
static void kill_late(struct hooks *hooks, struct hook *hook, uint64_t now)
{
    char what[LINE_SIZE / 4];
    bool late = now >= hook->deadline_ns || (hooks->end_ns && now >= hooks->end_ns);
    if (!hook->process || hook->killed || !late)
        return;
    snprintf(what, sizeof what, "%s, and was killed",
             now >= hook->deadline_ns ? "took too long" : "ran when the time to end was over");
    complain(hooks, hook, what);
    hook->killed = true;
    (void)kill(-hook->process, SIGKILL);
}

/* ---- the thread ---- */

static int patience_ms(const struct hooks *hooks, uint64_t now)
{
    uint64_t first_ns = UINT64_MAX;
    bool blind = false;
    for (size_t i = 0; i < WORKER_NEWS_COUNT; i++) {
        const struct hook *hook = &hooks->all[i];
        if (!hook->process)
            continue;
        blind |= hook->descriptor < 0;
        if (!hook->killed && hook->deadline_ns < first_ns)
            first_ns = hook->deadline_ns;
        if (!hook->killed && hooks->end_ns && hooks->end_ns < first_ns)
            first_ns = hooks->end_ns;
    }
    int patience = -1;
    if (first_ns != UINT64_MAX)
        patience = first_ns > now ? (int)((first_ns - now) / 1000000 + 1) : 0;
    return blind && (patience < 0 || patience > LOOK_AGAIN_MS) ? LOOK_AGAIN_MS : patience;
}

static void wait_for_something(struct hooks *hooks)
{
    struct pollfd polled[1 + WORKER_NEWS_COUNT] = {{.fd = hooks->wake, .events = POLLIN}};
    uint64_t count;
    for (size_t i = 0; i < WORKER_NEWS_COUNT; i++) {
        const struct hook *hook = &hooks->all[i];
        polled[1 + i] =
            (struct pollfd){.fd = hook->process ? hook->descriptor : -1, .events = POLLIN};
    }
    if (poll(polled, 1 + WORKER_NEWS_COUNT, patience_ms(hooks, now_ns())) > 0)
        (void)!read(hooks->wake, &count, sizeof count);
}

static bool runs(const struct hooks *hooks)
{
    bool any = false;
    for (size_t i = 0; i < WORKER_NEWS_COUNT; i++)
        any |= hooks->all[i].process != 0;
    return any;
}

/* HOOK-2: one at a time. */
static void start_waiting(struct hooks *hooks)
{
    for (size_t i = 0; i < WORKER_NEWS_COUNT; i++) {
        struct hook *hook = &hooks->all[i];
        while (!hook->process && take_waiting(hooks, hook))
            start(hooks, hook);
    }
}

static bool is_over(struct hooks *hooks, uint64_t now)
{
    if (!atomic_load(&hooks->ends))
        return false;
    if (!hooks->end_ns)
        hooks->end_ns = now + hooks->limit_ns;
    return !runs(hooks) && (now >= hooks->end_ns || !count_waiting(hooks));
}

static void *run(void *argument)
{
    struct hooks *hooks = argument;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    while (!is_over(hooks, now_ns())) {
        if (!hooks->end_ns || now_ns() < hooks->end_ns)
            start_waiting(hooks);
        if (runs(hooks) || !atomic_load(&hooks->ends))
            wait_for_something(hooks);
        reap(hooks);
        for (size_t i = 0; i < WORKER_NEWS_COUNT; i++)
            kill_late(hooks, &hooks->all[i], now_ns());
    }
    return NULL;
}

/* ---- life ---- */

struct hooks *hooks_start(const struct hooks_options *options)
{
    bool any = false;
    for (size_t i = 0; i < WORKER_NEWS_COUNT; i++)
        any |= options->paths[i][0] != 0;
    if (!any)
        return NULL;
    struct hooks *hooks = memory_zeroed(1, sizeof *hooks);
    hooks->limit_ns = options->limit_ns ? options->limit_ns : HOOKS_LIMIT_NS;
    for (size_t i = 0; i < WORKER_NEWS_COUNT; i++)
        hooks->all[i].path = options->paths[i];
    hooks->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hooks->wake < 0 || pthread_mutex_init(&hooks->lock, NULL) ||
        pthread_create(&hooks->thread, NULL, run, hooks))
        fatal("cannot start the thread of the hooks");
    return hooks;
}

void hooks_stop(struct hooks *hooks)
{
    char line[LINE_SIZE];
    uint64_t one = 1;
    if (!hooks)
        return;
    atomic_store(&hooks->ends, true);
    (void)!write(hooks->wake, &one, sizeof one);
    pthread_join(hooks->thread, NULL);
    assert(!runs(hooks));
    if (count_waiting(hooks)) {
        snprintf(line, sizeof line, "%zu hooks were not run: the time to end was over",
                 count_waiting(hooks));
        log_line(line);
    }
    close(hooks->wake);
    pthread_mutex_destroy(&hooks->lock);
    memory_free(hooks);
}
