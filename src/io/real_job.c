/* real_job.c - what lanes do: it runs in their threads and touches nothing but the job in hand. */
#include "io/real_private.h"

#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ZERO_PIECE  (1u << 20)
#define ZERO_BURST  (8u << 20) /* written between two syncs of a preparation */
#define REST_NS_MAX 100000000u
#define DROP_BEHIND (256u << 10)

struct job *job_create(enum job_kind kind, uint64_t tag)
{
    struct job *job = memory_zeroed(1, sizeof *job);
    list_init(&job->link);
    job->kind = kind;
    job->tag = tag;
    job->descriptor = -1;
    return job;
}

void job_destroy(struct job *job)
{
    if (job->kind == JOB_SAVE)
        memory_free(job->bytes);
    memory_free(job->from);
    memory_free(job->answers);
    memory_free(job);
}

/* ---- files that appear whole or not at all ---- */

static void draft_path(const struct job *job, char out[IO_PATH_SIZE + 8])
{
    snprintf(out, IO_PATH_SIZE + 8, "%s.tmp", job->path);
}

/* The draft may be a leftover of a crash. */
static int open_draft(const char *path)
{
    return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
}

static enum status publish(const struct job *job, const char *draft)
{
    if (rename(draft, job->path) != 0)
        return status_of_errno(errno);
    enum status status = sync_directory_of(job->path);
    if (status != STATUS_OK)
        unlink(job->path);
    return status;
}

static enum status sync_bytes(int descriptor)
{
    return fdatasync(descriptor) == 0 ? STATUS_OK : status_of_errno(errno);
}

/* What has been synced is not read again soon: its pages go back, and the next write takes them
 * while they are warm. A log then needs no page cache of its own size, and the programs beside it
 * keep theirs. A failed sync drops nothing, and nothing of what follows the position is lost. */
static void drop_behind(struct job *job)
{
    if (job->position < job->offset)
        job->offset = 0; /* the file began a new life */
    if (job->position - job->offset < DROP_BEHIND)
        return;
    uint64_t end = job->position / IO_BLOCK_SIZE * IO_BLOCK_SIZE;
    (void)posix_fadvise(job->descriptor, (off_t)job->offset, (off_t)(end - job->offset),
                        POSIX_FADV_DONTNEED);
    job->offset = end;
}

/* ---- preparing ---- */

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static enum status write_burst(int descriptor, const uint8_t *zeros, uint64_t from, uint64_t to)
{
    enum status status = STATUS_OK;
    for (uint64_t at = from; at < to && status == STATUS_OK; at += ZERO_PIECE) {
        size_t size = to - at < ZERO_PIECE ? (size_t)(to - at) : ZERO_PIECE;
        status = write_whole(descriptor, zeros, size, at);
    }
    return status == STATUS_OK ? sync_bytes(descriptor) : status;
}

/* Zeros through the page cache would be copied once for nothing: each byte of the log has been a
 * zero before. A file system that cannot write past its cache says so at the first block. */
static void go_past_the_cache(int descriptor, const uint8_t *zeros, uint64_t size)
{
    int flags = fcntl(descriptor, F_GETFL);
    if (size == 0 || size % IO_BLOCK_SIZE || flags < 0 ||
        fcntl(descriptor, F_SETFL, flags | O_DIRECT) != 0)
        return;
    if (pwrite(descriptor, zeros, IO_BLOCK_SIZE, 0) < 0 && errno == EINVAL)
        (void)fcntl(descriptor, F_SETFL, flags);
}

/* In bursts, each followed by as long a rest when somebody else is syncing: the disk is shared with
 * the log, whose syncs are what clients wait for. */
static enum status write_zeros(struct job *job, struct lane *lane, int descriptor)
{
    uint8_t *memory = memory_zeroed(1, ZERO_PIECE + IO_BLOCK_SIZE);
    uint8_t *zeros = memory + IO_BLOCK_SIZE - (uintptr_t)memory % IO_BLOCK_SIZE;
    enum status status = STATUS_OK;
    go_past_the_cache(descriptor, zeros, job->size);
    for (uint64_t at = 0; at < job->size && status == STATUS_OK; at += ZERO_BURST) {
        uint64_t to = at + ZERO_BURST < job->size ? at + ZERO_BURST : job->size;
        uint64_t syncs = atomic_load(&lane->io->syncs_started);
        uint64_t begin_ns = monotonic_ns();
        status = write_burst(descriptor, zeros, at, to);
        uint64_t took_ns = monotonic_ns() - begin_ns;
        if (syncs != atomic_load(&lane->io->syncs_started))
            lane_rest(lane, took_ns < REST_NS_MAX ? took_ns : REST_NS_MAX);
        if (atomic_load(&lane->ended))
            status = STATUS_IO; /* nobody waits for it any more */
    }
    memory_free(memory);
    return status;
}

/* Early news of a full disk, and neighbouring blocks; a file system without it says so and does not
 * matter. */
static enum status reserve(int descriptor, uint64_t size)
{
    if (size == 0 || fallocate(descriptor, 0, 0, (off_t)size) == 0)
        return STATUS_OK;
    enum status status = status_of_errno(errno);
    return status == STATUS_NO_SPACE ? status : STATUS_OK;
}

static enum status prepare(struct job *job, struct lane *lane)
{
    char draft[IO_PATH_SIZE + 8];
    draft_path(job, draft);
    int descriptor = open_draft(draft);
    if (descriptor < 0)
        return status_of_errno(errno);
    enum status status = reserve(descriptor, job->size);
    if (status == STATUS_OK)
        status = write_zeros(job, lane, descriptor);
    close(descriptor);
    if (status == STATUS_OK)
        status = publish(job, draft);
    if (status != STATUS_OK)
        unlink(draft);
    return status;
}

/* ---- saving ---- */

static enum status save(struct job *job)
{
    char draft[IO_PATH_SIZE + 8];
    draft_path(job, draft);
    int descriptor = open_draft(draft);
    if (descriptor < 0)
        return status_of_errno(errno);
    enum status status = write_whole(descriptor, job->bytes, job->size, 0);
    if (status == STATUS_OK)
        status = sync_bytes(descriptor);
    close(descriptor);
    if (status == STATUS_OK && rename(draft, job->path) != 0)
        status = status_of_errno(errno);
    if (status != STATUS_OK) {
        unlink(draft);
        return status;
    }
    return sync_directory_of(job->path);
}

/* ---- names ---- */

static enum status give_name(const struct job *job)
{
    if (rename(job->from, job->path) != 0)
        return status_of_errno(errno);
    return sync_directory_of(job->path);
}

static enum status remove_name(const struct job *job)
{
    if (unlink(job->path) == 0 || errno == ENOENT)
        return STATUS_OK;
    return status_of_errno(errno);
}

/* ---- all ---- */

static enum status read_bytes(struct job *job)
{
    size_t got = 0;
    enum status status = read_whole(job->descriptor, job->bytes, job->size, job->offset, &got);
    job->position = got;
    return status;
}

void job_run(struct job *job, struct lane *lane)
{
    switch (job->kind) {
    case JOB_SYNC:
        job->status = sync_bytes(job->descriptor);
        if (job->status == STATUS_OK)
            drop_behind(job);
        break;
    case JOB_READ: job->status = read_bytes(job); break;
    case JOB_PREPARE: job->status = prepare(job, lane); break;
    case JOB_SAVE: job->status = save(job); break;
    case JOB_PUBLISH: job->status = give_name(job); break;
    case JOB_REMOVE: job->status = remove_name(job); break;
    case JOB_LOOKUP: {
        bool readable = address_resolve(job->path, true, false, &job->answers);
        assert(readable); /* io_connect has read it already */
        break;
    }
    }
    /* In the background a missing directory is a failure like any other. */
    if (job->status != STATUS_OK && job->status != STATUS_NO_SPACE)
        job->status = STATUS_IO;
}
