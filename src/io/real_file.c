/* real_file.c - files: written and read in place, synced and read ahead by lanes.
 *
 * A closed file keeps its descriptor until the jobs under way are back, and then goes: nobody ever
 * waits for a sync to close. */
#include "io/real_private.h"

#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum status status_of_errno(int number)
{
    switch (number) {
    case ENOENT: return STATUS_NOT_FOUND;
    case EEXIST: return STATUS_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return STATUS_NO_SPACE;
    default: return STATUS_IO;
    }
}

/* For calls that make or open a name, at the start of a program: what an operator can mend. */
enum status status_of_name_errno(int number)
{
    switch (number) {
    case EACCES:
    case EPERM:
    case EROFS: return STATUS_DENIED;
    case EMFILE:
    case ENFILE: return STATUS_EXHAUSTED;
    case ENOTDIR: return STATUS_NOT_FOUND;
    default: return status_of_errno(number);
    }
}

/* For calls whose only expected troubles are these two. */
static enum status write_failure(int number)
{
    return status_of_errno(number) == STATUS_NO_SPACE ? STATUS_NO_SPACE : STATUS_IO;
}

/* ---- whole runs of bytes ---- */

enum status write_whole(int descriptor, const uint8_t *bytes, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t n = pwrite(descriptor, bytes, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? write_failure(errno) : STATUS_IO;
        bytes += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return STATUS_OK;
}

enum status read_whole(int descriptor, uint8_t *into, size_t size, uint64_t offset, size_t *got)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(descriptor, into + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return STATUS_IO;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *got = done;
    return STATUS_OK;
}

/* Drops `size` bytes from the front; returns how many vectors are used up. */
static size_t advance(struct iovec *vectors, size_t count, size_t size)
{
    size_t i = 0;
    while (i < count && size >= vectors[i].iov_len)
        size -= vectors[i++].iov_len;
    if (i < count) {
        vectors[i].iov_base = (char *)vectors[i].iov_base + size;
        vectors[i].iov_len -= size;
    }
    return i;
}

static enum status write_vectors(int descriptor, struct iovec *vectors, size_t count,
                                 uint64_t offset)
{
    count -= advance(vectors, 0, 0);
    while (count > 0) {
        ssize_t n = pwritev(descriptor, vectors, (int)count, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return write_failure(errno);
        size_t used = advance(vectors, count, (size_t)n);
        if (n == 0 && used == 0)
            return STATUS_IO;
        vectors += used;
        count -= used;
        offset += (uint64_t)n;
    }
    return STATUS_OK;
}

/* ---- the table ---- */

/* NULL: it was closed, and nothing of it is under way. */
static struct file *find(struct io *io, struct io_file handle)
{
    if (handle.generation == 0 || handle.index >= REAL_FILES_MAX)
        return NULL;
    struct file *file = io->files[handle.index];
    return file && file->handle.generation == handle.generation ? file : NULL;
}

static struct file *file_at(struct io *io, struct io_file handle)
{
    struct file *file = find(io, handle);
    assert(file && !file->closed); /* using a closed file is a mistake of ours */
    return file;
}

static void file_destroy(struct io *io, struct file *file)
{
    io->files[file->handle.index] = NULL;
    lane_deinit(&file->lane);
    close(file->descriptor);
    memory_free(file);
}

static void destroy_if_idle(struct io *io, struct file *file)
{
    if (file->closed && !file->syncing && file->reading == 0)
        file_destroy(io, file);
}

static struct file *file_create(struct io *io, int descriptor)
{
    uint32_t index = 0;
    while (index < REAL_FILES_MAX && io->files[index])
        index++;
    if (index == REAL_FILES_MAX)
        return NULL;
    struct file *file = memory_zeroed(1, sizeof *file);
    if (++io->file_generation == 0)
        io->file_generation = 1;
    file->handle = (struct io_file){index, io->file_generation};
    file->descriptor = descriptor;
    file->sync.kind = JOB_SYNC;
    file->sync.file = file->handle;
    file->sync.descriptor = descriptor;
    list_init(&file->sync.link);
    lane_init(&file->lane, io);
    io->files[index] = file;
    return file;
}

/* In two rounds: while a lane lives, it may put its sync among those of other files. */
void files_deinit(struct io *io)
{
    for (uint32_t i = 0; i < REAL_FILES_MAX; i++)
        if (io->files[i])
            lane_deinit(&io->files[i]->lane);
    for (uint32_t i = 0; i < REAL_FILES_MAX; i++) {
        struct file *file = io->files[i];
        if (!file)
            continue;
        io->files[i] = NULL;
        list_remove(&file->sync.link); /* it may have come back into the mailbox */
        close(file->descriptor);
        memory_free(file);
    }
}

/* ---- the door ---- */

enum status io_file_open(struct io *io, const char *path, enum io_file_open_mode mode,
                         struct io_file *out)
{
    int flags = O_CLOEXEC;
    switch (mode) {
    case IO_FILE_READ: flags |= O_RDONLY; break;
    case IO_FILE_WRITE: flags |= O_RDWR; break;
    case IO_FILE_CREATE: flags |= O_RDWR | O_CREAT | O_EXCL; break;
    }
    int descriptor = open(path, flags, 0640);
    if (descriptor < 0)
        return status_of_name_errno(errno);
    struct file *file = file_create(io, descriptor);
    if (!file) {
        close(descriptor);
        return STATUS_IO;
    }
    *out = file->handle;
    return STATUS_OK;
}

void io_file_close(struct io *io, struct io_file handle)
{
    struct file *file = find(io, handle);
    if (!file)
        return;
    file->closed = true;
    destroy_if_idle(io, file);
}

enum status io_file_size(struct io *io, struct io_file handle, uint64_t *out)
{
    struct file *file = file_at(io, handle);
    struct stat found;
    if (file->failed || fstat(file->descriptor, &found) != 0)
        return STATUS_IO;
    *out = (uint64_t)found.st_size;
    return STATUS_OK;
}

enum status io_file_write(struct io *io, struct io_file handle, const struct slice *pieces,
                          size_t count, uint64_t offset)
{
    struct file *file = file_at(io, handle);
    enum status status = file->failed ? STATUS_IO : STATUS_OK; /* IO-4 */
    struct iovec vectors[IO_WRITE_PIECES_MAX];
    io->counters.file_writes++;
    while (count > 0 && status == STATUS_OK) {
        size_t n = count < IO_WRITE_PIECES_MAX ? count : IO_WRITE_PIECES_MAX;
        size_t size = 0;
        for (size_t i = 0; i < n; i++) {
            vectors[i] = (struct iovec){(void *)(uintptr_t)pieces[i].at, pieces[i].size};
            size += pieces[i].size;
        }
        status = write_vectors(file->descriptor, vectors, n, offset);
        pieces += n;
        count -= n;
        offset += size;
    }
    return status;
}

enum status io_file_read(struct io *io, struct io_file handle, uint8_t *into, size_t size,
                         uint64_t offset, size_t *got)
{
    struct file *file = file_at(io, handle);
    if (file->failed)
        return STATUS_IO; /* IO-4 */
    return read_whole(file->descriptor, into, size, offset, got);
}

/* Dropping is advice, and taken for pages that are clean, unmapped and idle: after the sync these
 * are. A filesystem without a disk (tmpfs) has nothing to drop. */
enum status io_file_refresh(struct io *io, struct io_file handle)
{
    struct file *file = file_at(io, handle);
    io->counters.syncs++;
    if (file->failed || fdatasync(file->descriptor) != 0) {
        file->failed = true; /* IO-4 */
        return STATUS_IO;
    }
    (void)posix_fadvise(file->descriptor, 0, 0, POSIX_FADV_DONTNEED);
    return STATUS_OK;
}

void io_file_read_start(struct io *io, struct io_file handle, uint8_t *into, size_t size,
                        uint64_t offset, uint64_t tag)
{
    struct file *file = file_at(io, handle);
    struct job *job = job_create(JOB_READ, tag);
    job->file = handle;
    job->descriptor = file->descriptor;
    job->bytes = into;
    job->size = size;
    job->offset = offset;
    file->reading++;
    lane_submit(&io->lanes[LANE_READ], job);
}

unsigned io_file_reads_pending(struct io *io, struct io_file handle)
{
    struct file *file = find(io, handle);
    return file ? file->reading : 0;
}

void io_file_sync_start(struct io *io, struct io_file handle, uint64_t upto, uint64_t tag)
{
    struct file *file = file_at(io, handle);
    assert(!file->syncing);
    file->syncing = true;
    file->sync.tag = tag;
    file->sync.position = upto;
    io->counters.syncs++;
    if (file->failed) { /* IO-4: never asked again; the kernel would say that all is well */
        list_append(&io->ready, &file->sync.link);
        return;
    }
    atomic_fetch_add(&io->syncs_started, 1);
    lane_submit(&file->lane, &file->sync);
}

static void finish_sync(struct io *io, struct file *file)
{
    file->syncing = false;
    if (file->sync.status != STATUS_OK)
        file->failed = true;
    if (file->closed) {
        io->counters.late_completions++; /* IO-2 */
        return;
    }
    emit(io, (struct io_event){.kind = IO_SYNCED,
                               .status = file->failed ? STATUS_IO : STATUS_OK,
                               .tag = file->sync.tag,
                               .position = file->sync.position});
}

static void finish_read(struct io *io, struct file *file, struct job *job)
{
    file->reading--;
    if (file->closed)
        io->counters.late_completions++; /* IO-2 */
    else
        emit(io, (struct io_event){.kind = IO_READ_DONE,
                                   .status = file->failed ? STATUS_IO : job->status,
                                   .tag = job->tag,
                                   .position = file->failed ? 0 : job->position});
    job_destroy(job);
}

void files_finish(struct io *io, struct job *job)
{
    struct file *file = find(io, job->file);
    assert(file); /* it stays while a job of it is under way */
    if (job->kind == JOB_SYNC)
        finish_sync(io, file);
    else
        finish_read(io, file, job);
    destroy_if_idle(io, file);
}
