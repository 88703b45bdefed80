/* real_lane.c - a background thread with a queue: one for each file that syncs, one for each kind
 * of slow work. */
#include "io/real_private.h"

#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

void lane_init(struct lane *lane, struct io *io)
{
    pthread_condattr_t attributes;
    lane->io = io;
    list_init(&lane->jobs);
    pthread_mutex_init(&lane->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* for lane_rest */
    pthread_cond_init(&lane->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    atomic_store(&lane->ended, false);
    lane->started = false;
}

/* NULL when the lane is to end. */
static struct job *take_job(struct lane *lane)
{
    struct job *job = NULL;
    pthread_mutex_lock(&lane->lock);
    while (list_is_empty(&lane->jobs) && !atomic_load(&lane->ended))
        pthread_cond_wait(&lane->changed, &lane->lock);
    if (!atomic_load(&lane->ended)) {
        job = list_item(lane->jobs.next, struct job, link);
        list_remove(&job->link);
    }
    pthread_mutex_unlock(&lane->lock);
    return job;
}

static void *run_lane(void *argument)
{
    struct lane *lane = argument;
    struct job *job;
    while ((job = take_job(lane))) {
        job_run(job, lane);
        mailbox_add_done(lane->io, job);
    }
    return NULL;
}

/* Signals are for the thread that gathers. */
static void start_thread(struct lane *lane)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&lane->thread, NULL, run_lane, lane);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        fatal("cannot start a thread: %s", strerror(error));
    pthread_setname_np(lane->thread, "io-lane");
    lane->started = true;
}

void lane_submit(struct lane *lane, struct job *job)
{
    pthread_mutex_lock(&lane->lock);
    list_append(&lane->jobs, &job->link);
    pthread_mutex_unlock(&lane->lock);
    if (lane->started)
        pthread_cond_signal(&lane->changed);
    else
        start_thread(lane);
}

void lane_rest(struct lane *lane, uint64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(ns / 1000000000u);
    until.tv_nsec = (long)(ns % 1000000000u);
    pthread_mutex_lock(&lane->lock);
    while (!atomic_load(&lane->ended))
        if (pthread_cond_timedwait(&lane->changed, &lane->lock, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&lane->lock);
}

void lane_deinit(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    atomic_store(&lane->ended, true);
    pthread_mutex_unlock(&lane->lock);
    pthread_cond_signal(&lane->changed);
    if (lane->started)
        pthread_join(lane->thread, NULL);
    while (!list_is_empty(&lane->jobs)) {
        struct job *job = list_item(lane->jobs.next, struct job, link);
        list_remove(&job->link);
        if (job->kind != JOB_SYNC) /* that one is part of its file */
            job_destroy(job);
    }
    pthread_cond_destroy(&lane->changed);
    pthread_mutex_destroy(&lane->lock);
}
