/* The log begins again at its start when it is full: all of its blocks were written once before, so
 * that a sync has no allocation to make durable. */
#include "base/memory.h"
#include "floor.h"

#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static void write_batch(struct floor_log *log)
{
    static const uint8_t zeros[FLOOR_BLOCK];
    size_t size = (log->batch_size + FLOOR_BLOCK - 1) & ~(size_t)(FLOOR_BLOCK - 1);
    struct iovec parts[2] = {{(void *)log->batch, log->batch_size},
                             {(void *)zeros, size - log->batch_size}};
    if (log->offset + size > FLOOR_LOG_SIZE)
        log->offset = 0;
    if (pwritev(log->fd, parts, 2, (off_t)log->offset) != (ssize_t)size || fdatasync(log->fd))
        fatal("cannot write the log");
    log->offset += size;
}

void floor_log_write(struct floor_log *log, const uint8_t *batch, size_t size)
{
    if (log->offset + size > FLOOR_LOG_SIZE)
        log->offset = 0;
    if (pwrite(log->fd, batch, size, (off_t)log->offset) != (ssize_t)size)
        fatal("cannot write the log");
    log->offset += size;
}

static void *sync_each_second(void *argument)
{
    const struct floor_log *log = argument;
    const struct timespec second = {.tv_sec = 1};
    while (nanosleep(&second, NULL) == 0)
        if (fdatasync(log->fd))
            fatal("cannot sync the log");
    return NULL;
}

static void *serve(void *argument)
{
    struct floor_log *log = argument;
    const uint64_t one = 1;
    for (;;) {
        pthread_mutex_lock(&log->mutex);
        while (!log->is_busy)
            pthread_cond_wait(&log->changed, &log->mutex);
        pthread_mutex_unlock(&log->mutex);
        write_batch(log);
        pthread_mutex_lock(&log->mutex);
        log->is_busy = false;
        log->durable_last = log->batch_last;
        pthread_mutex_unlock(&log->mutex);
        if (write(log->wake_fd, &one, sizeof one) < 0)
            fatal("cannot wake the worker");
    }
    return NULL;
}

static void fill(int fd)
{
    size_t size = 1 << 20;
    uint8_t *bytes = memory_allocate(size);
    memset(bytes, 1, size);
    for (uint64_t offset = 0; offset < FLOOR_LOG_SIZE; offset += size)
        if (pwrite(fd, bytes, size, (off_t)offset) != (ssize_t)size)
            fatal("cannot fill the log");
    memory_free(bytes);
    fsync(fd);
}

void floor_log_open(struct floor_log *log, const char *path, bool is_synced)
{
    log->is_synced = is_synced;
    log->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    log->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (log->fd < 0 || log->wake_fd < 0)
        fatal("cannot open %s", path);
    fill(log->fd);
    pthread_mutex_init(&log->mutex, NULL);
    pthread_cond_init(&log->changed, NULL);
    if (pthread_create(&log->thread, NULL, is_synced ? serve : sync_each_second, log))
        fatal("cannot start a thread");
}

bool floor_log_is_busy(struct floor_log *log)
{
    return __atomic_load_n(&log->is_busy, __ATOMIC_ACQUIRE);
}

void floor_log_start(struct floor_log *log, const uint8_t *batch, size_t size, uint64_t last)
{
    pthread_mutex_lock(&log->mutex);
    log->batch = batch;
    log->batch_size = size;
    log->batch_last = last;
    log->is_busy = true;
    pthread_cond_signal(&log->changed);
    pthread_mutex_unlock(&log->mutex);
}

uint64_t floor_log_take_durable(struct floor_log *log)
{
    uint64_t count, durable;
    (void)!read(log->wake_fd, &count, sizeof count);
    pthread_mutex_lock(&log->mutex);
    durable = log->durable_last;
    pthread_mutex_unlock(&log->mutex);
    return durable;
}
