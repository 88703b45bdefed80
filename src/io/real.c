/* real.c - the loop of the real io: gathering, other threads' completions and messages, chance and
 * counters. */
#include "io/real_private.h"

#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* ---- events ---- */

/* IO-1: whatever libevent calls ends here, as an event for the gather that runs it. */
void emit(struct io *io, struct io_event event)
{
    assert(io->count < io->max);
    io->events[io->count++] = event;
    if (is_full(io))
        event_base_loopbreak(io->base);
}

static void finish_job(struct io *io, struct job *job)
{
    switch (job->kind) {
    case JOB_SYNC:
    case JOB_READ: files_finish(io, job); return;
    case JOB_LOOKUP: streams_finish_lookup(io, job); return;
    case JOB_PREPARE:
    case JOB_SAVE:
    case JOB_PUBLISH:
    case JOB_REMOVE:
        emit(io, (struct io_event){.kind = IO_FILE_DONE, .status = job->status, .tag = job->tag});
        job_destroy(job);
        return;
    }
}

/* What other threads have brought, as far as there is room. */
static void deliver(struct io *io)
{
    while (!is_full(io) && !list_is_empty(&io->ready)) {
        struct job *job = list_item(io->ready.next, struct job, link);
        list_remove(&job->link);
        finish_job(io, job);
    }
    while (!is_full(io) && io->posts_next < io->posts_count) {
        const struct post *post = &io->posts[io->posts_next++];
        if (post->descriptor >= 0)
            streams_take(io, post);
        else
            emit(io,
                 (struct io_event){.kind = IO_MESSAGE, .tag = post->tag, .message = post->message});
    }
    if (!is_full(io) && atomic_load(&io->woken) && atomic_exchange(&io->woken, false))
        emit(io, (struct io_event){.kind = IO_MESSAGE});
}

size_t io_gather(struct io *io, struct io_event *events, size_t max)
{
    assert(max > 0);
    io->events = events;
    io->count = 0;
    io->max = max;
    deliver(io);
    timers_fire(io, io_now_ns(io));
    while (!is_full(io)) {
        int flags = EVLOOP_ONCE;
        if (io->count > 0)
            flags |= EVLOOP_NONBLOCK;
        else
            timers_arm(io);
        event_base_loop(io->base, flags);
        io->counters.wakeups++;
        if (io->count > 0)
            break;
        timers_fire(io, io_now_ns(io)); /* mostly the reason of an empty round */
        if (io->count > 0)
            break;
    }
    io->events = NULL;
    return io->count;
}

/* ---- the mailbox ---- */

static void ring(struct io *io)
{
    uint64_t one = 1;
    /* Can fail only when the counter is full, and then the bell rings anyhow. */
    ssize_t ignored = write(io->bell, &one, sizeof one);
    (void)ignored;
}

static void unlock_and_ring(struct io *io)
{
    bool first = !io->mailbox.rung;
    io->mailbox.rung = true;
    pthread_mutex_unlock(&io->mailbox.lock);
    if (first)
        ring(io);
}

void mailbox_add_done(struct io *io, struct job *job)
{
    pthread_mutex_lock(&io->mailbox.lock);
    list_append(&io->mailbox.done, &job->link);
    unlock_and_ring(io);
}

void mailbox_post(struct io *io, unsigned worker, const struct post *post)
{
    assert(worker < io->workers_count);
    struct io *target = io->workers[worker];
    struct mailbox *mailbox = &target->mailbox;
    pthread_mutex_lock(&mailbox->lock);
    if (mailbox->posts_count == mailbox->posts_capacity) {
        if (mailbox->posts_capacity >= REAL_POSTS_MAX)
            fatal("worker %u does not take its messages", worker);
        mailbox->posts_capacity = mailbox->posts_capacity ? 2 * mailbox->posts_capacity : 64;
        mailbox->posts =
            memory_resize(mailbox->posts, mailbox->posts_capacity * sizeof mailbox->posts[0]);
    }
    mailbox->posts[mailbox->posts_count++] = *post;
    unlock_and_ring(target);
}

void io_post(struct io *io, unsigned worker, uint64_t tag, void *message)
{
    mailbox_post(io, worker, &(struct post){.tag = tag, .message = message, .descriptor = -1});
}

static bool take_lost(struct post *posts, size_t *next, size_t count, void **message)
{
    for (*message = NULL; !*message && *next < count; (*next)++) {
        *message = posts[*next].message;
        if (posts[*next].descriptor >= 0)
            close(posts[*next].descriptor);
    }
    return *message != NULL;
}

void *io_take_lost_message(struct io *io)
{
    void *message = NULL;
    if (!take_lost(io->posts, &io->posts_next, io->posts_count, &message))
        (void)take_lost(io->mailbox.posts, &io->mailbox.posts_next, io->mailbox.posts_count,
                        &message);
    return message;
}

/* The two arrays of messages change places: the lock is held for a moment only, and nothing is
 * allocated. */
static void take_posts(struct io *io)
{
    struct mailbox *mailbox = &io->mailbox;
    struct post *emptied = io->posts;
    size_t capacity = io->posts_capacity;
    io->posts = mailbox->posts;
    io->posts_count = mailbox->posts_count;
    io->posts_capacity = mailbox->posts_capacity;
    io->posts_next = 0;
    mailbox->posts = emptied;
    mailbox->posts_count = mailbox->posts_next = 0;
    mailbox->posts_capacity = capacity;
}

static void on_bell(evutil_socket_t descriptor, short what, void *argument)
{
    struct io *io = argument;
    (void)descriptor, (void)what;
    deliver(io); /* earlier ones first; and only emptied arrays may change places */
    if (is_full(io)) {
        event_active(&io->bell_event, EV_READ,
                     0); /* it is edge-triggered: nobody would ring again */
        return;
    }
    pthread_mutex_lock(&io->mailbox.lock);
    io->mailbox.rung = false;
    while (!list_is_empty(&io->mailbox.done)) {
        struct list *link = io->mailbox.done.next;
        list_remove(link);
        list_append(&io->ready, link);
    }
    take_posts(io);
    pthread_mutex_unlock(&io->mailbox.lock);
    deliver(io);
}

void io_wake(struct io *io)
{
    int saved = errno;
    atomic_store(&io->woken, true);
    ring(io);
    errno = saved;
}

void io_connect_workers(struct io **ios, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct io *io = ios[i];
        io->workers = memory_resize(io->workers, count * sizeof io->workers[0]);
        memcpy(io->workers, ios, count * sizeof io->workers[0]);
        io->workers_count = count;
    }
}

/* ---- clock and chance ---- */

uint64_t io_now_ns(struct io *io)
{
    struct timespec now;
    (void)io;
    clock_gettime(CLOCK_BOOTTIME, &now); /* IO-5 */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int64_t io_wall_us(struct io *io)
{
    struct timespec now;
    (void)io;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint64_t io_random(struct io *io)
{
    uint64_t number;
    if (io->chance_left == 0) {
        /* At most 256 bytes: never cut short by a signal. */
        if (getrandom(io->chance, sizeof io->chance, 0) != (ssize_t)sizeof io->chance)
            fatal("no random numbers: %s", strerror(errno));
        io->chance_left = sizeof io->chance;
    }
    io->chance_left -= sizeof number;
    memcpy(&number, io->chance + io->chance_left, sizeof number);
    return number;
}

static void read_boot_id(struct io *io, const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = descriptor < 0 ? -1 : read(descriptor, io->boot_id, IO_BOOT_ID_SIZE - 1);
    if (size <= 0)
        fatal("cannot read the boot id in %s: %s", path, strerror(errno));
    close(descriptor);
    io->boot_id[size] = 0;
    io->boot_id[strcspn(io->boot_id, "\r\n")] = 0;
}

void io_boot_id(struct io *io, char out[IO_BOOT_ID_SIZE])
{
    memcpy(out, io->boot_id, IO_BOOT_ID_SIZE);
}

void io_counters(struct io *io, struct io_counters *out)
{
    *out = io->counters;
}

/* ---- life ---- */

static struct event_base *create_base(void)
{
    struct event_config *config = event_config_new();
    if (!config)
        fatal("out of memory for the event loop");
    /* Time is ours alone (see real_private.h), so libevent need not read a clock at each turn. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV |
                                      EVENT_BASE_FLAG_NO_CACHE_TIME |
                                      EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    event_config_require_features(config, EV_FEATURE_O1 | EV_FEATURE_ET);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    if (!base)
        fatal("cannot make an event loop: %s", strerror(errno));
    return base;
}

static void mailbox_init(struct io *io)
{
    pthread_mutex_init(&io->mailbox.lock, NULL);
    list_init(&io->mailbox.done);
    io->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (io->bell < 0)
        fatal("cannot make an eventfd: %s", strerror(errno));
    /* Edge-triggered: each ringing is an edge, so that the counter never has to be read back. */
    event_assign(&io->bell_event, io->base, io->bell, EV_READ | EV_PERSIST | EV_ET, on_bell, io);
    event_add(&io->bell_event, NULL);
}

struct io *io_create(const struct io_real_options *options)
{
    struct io *io = memory_zeroed(1, sizeof *io);
    io->worker = options->worker;
    io->base = create_base();
    list_init(&io->ready);
    mailbox_init(io);
    timers_init(io);
    streams_init(io);
    for (int i = 0; i < LANES; i++)
        lane_init(&io->lanes[i], io);
    read_boot_id(io,
                 options->boot_id_file ? options->boot_id_file : "/proc/sys/kernel/random/boot_id");
    if (io->worker == 0)
        io_connect_workers(&io, 1); /* a lonely worker can post to itself */
    return io;
}

static void drop_jobs(struct list *jobs)
{
    while (!list_is_empty(jobs)) {
        struct job *job = list_item(jobs->next, struct job, link);
        list_remove(&job->link);
        if (job->kind != JOB_SYNC) /* that one is part of its file */
            job_destroy(job);
    }
}

/* Connections that were given and that nobody took. */
static void drop_given(const struct post *posts, size_t first, size_t count)
{
    for (size_t i = first; i < count; i++)
        if (posts[i].descriptor >= 0)
            close(posts[i].descriptor);
}

void io_destroy(struct io *io)
{
    if (!io)
        return;
    for (int i = 0; i < LANES; i++)
        lane_deinit(&io->lanes[i]);
    files_deinit(io);
    drop_jobs(&io->mailbox.done);
    drop_jobs(&io->ready);
    streams_deinit(io);
    timers_deinit(io);
    locks_deinit(io);
    event_del(&io->bell_event);
    event_base_free(io->base);
    close(io->bell);
    pthread_mutex_destroy(&io->mailbox.lock);
    drop_given(io->posts, io->posts_next, io->posts_count);
    drop_given(io->mailbox.posts, io->mailbox.posts_next, io->mailbox.posts_count);
    memory_free(io->mailbox.posts);
    memory_free(io->posts);
    memory_free(io->workers);
    memory_free(io);
}
