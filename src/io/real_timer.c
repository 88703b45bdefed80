/* real_timer.c - sixteen deadlines and one timerfd on the clock that counts suspension (IO-5).
 *
 * Setting a timer is a store. The timerfd is set only before the loop may wait and only when it
 * would ring too late: a deadline that moves away leaves it, at the price of one wake-up for
 * nothing. */
#include "io/real_private.h"

#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

void io_timer_set(struct io *io, unsigned timer, uint64_t deadline_ns)
{
    assert(timer < IO_TIMERS_MAX);
    io->timers.deadlines[timer] = deadline_ns;
}

void io_timer_cancel(struct io *io, unsigned timer)
{
    io_timer_set(io, timer, UINT64_MAX);
}

static unsigned earliest_timer(const struct timers *timers)
{
    unsigned best = 0;
    for (unsigned i = 1; i < IO_TIMERS_MAX; i++)
        if (timers->deadlines[i] < timers->deadlines[best])
            best = i;
    return best;
}

void timers_fire(struct io *io, uint64_t now_ns)
{
    struct timers *timers = &io->timers;
    while (!is_full(io)) {
        unsigned timer = earliest_timer(timers);
        if (timers->deadlines[timer] > now_ns || timers->deadlines[timer] == UINT64_MAX)
            break;
        timers->deadlines[timer] = UINT64_MAX;
        emit(io, (struct io_event){.kind = IO_TIMER, .tag = timer});
    }
    if (io->resume_ns <= now_ns)
        streams_resume_accepting(io, now_ns);
}

/* UINT64_MAX disarms. Setting it also takes back a ring that nobody has seen yet. */
static void set_descriptor(struct timers *timers, uint64_t deadline_ns)
{
    struct itimerspec when = {0};
    if (deadline_ns != UINT64_MAX) {
        if (deadline_ns == 0)
            deadline_ns = 1; /* zero would disarm */
        when.it_value.tv_sec = (time_t)(deadline_ns / 1000000000u);
        when.it_value.tv_nsec = (long)(deadline_ns % 1000000000u);
    }
    if (timerfd_settime(timers->descriptor, TFD_TIMER_ABSTIME, &when, NULL) != 0)
        fatal("cannot set the timer: %s", strerror(errno));
    timers->armed_ns = deadline_ns;
}

void timers_arm(struct io *io)
{
    struct timers *timers = &io->timers;
    uint64_t deadline_ns = timers->deadlines[earliest_timer(timers)];
    if (io->resume_ns < deadline_ns)
        deadline_ns = io->resume_ns;
    if (deadline_ns < timers->armed_ns)
        set_descriptor(timers, deadline_ns);
}

/* Only to quiet it: the gather looks at the clock itself, and arms anew what is still to come. */
static void on_ring(evutil_socket_t descriptor, short what, void *argument)
{
    struct io *io = argument;
    (void)descriptor, (void)what;
    set_descriptor(&io->timers, UINT64_MAX);
}

void timers_init(struct io *io)
{
    struct timers *timers = &io->timers;
    for (unsigned i = 0; i < IO_TIMERS_MAX; i++)
        timers->deadlines[i] = UINT64_MAX;
    io->resume_ns = UINT64_MAX;
    timers->armed_ns = UINT64_MAX;
    timers->descriptor = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timers->descriptor < 0)
        fatal("cannot make a timer: %s", strerror(errno));
    event_assign(&timers->event, io->base, timers->descriptor, EV_READ | EV_PERSIST, on_ring, io);
    event_add(&timers->event, NULL);
}

void timers_deinit(struct io *io)
{
    event_del(&io->timers.event);
    close(io->timers.descriptor);
}
