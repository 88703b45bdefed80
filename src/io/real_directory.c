/* real_directory.c - names: files that appear, move and go, directories, the lock of a data
 * directory, free space. */
#include "io/real_private.h"

#include "base/memory.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NAMES_SIZE_MAX (64u << 20)

static enum status status_of_result(int result)
{
    return result == 0 ? STATUS_OK : status_of_errno(errno);
}

static void set_path(struct job *job, const char *path)
{
    size_t size = strlen(path);
    assert(size < sizeof job->path);
    memcpy(job->path, path, size + 1);
}

void io_file_prepare_start(struct io *io, const char *path, uint64_t size, uint64_t tag)
{
    struct job *job = job_create(JOB_PREPARE, tag);
    set_path(job, path);
    job->size = size;
    lane_submit(&io->lanes[LANE_PREPARE], job);
}

void io_file_save_start(struct io *io, const char *path, struct slice bytes, uint64_t tag)
{
    struct job *job = job_create(JOB_SAVE, tag);
    assert(bytes.size <= REAL_SAVE_SIZE_MAX);
    set_path(job, path);
    job->bytes = memory_allocate(bytes.size);
    if (bytes.size > 0)
        memcpy(job->bytes, bytes.at, bytes.size);
    job->size = bytes.size;
    lane_submit(&io->lanes[LANE_SAVE], job);
}

void io_file_publish_start(struct io *io, const char *from, const char *to, uint64_t tag)
{
    struct job *job = job_create(JOB_PUBLISH, tag);
    set_path(job, to);
    job->from = memory_copy_text(from);
    lane_submit(&io->lanes[LANE_NAMES], job);
}

void io_file_remove_start(struct io *io, const char *path, uint64_t tag)
{
    struct job *job = job_create(JOB_REMOVE, tag);
    set_path(job, path);
    lane_submit(&io->lanes[LANE_NAMES], job);
}

enum status io_file_remove(struct io *io, const char *path)
{
    (void)io;
    return status_of_result(unlink(path));
}

enum status io_file_rename(struct io *io, const char *from, const char *to)
{
    (void)io;
    return status_of_result(rename(from, to));
}

enum status io_dir_make(struct io *io, const char *path)
{
    struct stat found;
    (void)io;
    if (mkdir(path, 0750) == 0)
        return STATUS_OK;
    if (errno == EEXIST && stat(path, &found) == 0 && S_ISDIR(found.st_mode))
        return STATUS_OK;
    return status_of_name_errno(errno);
}

enum status sync_directory(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return status_of_name_errno(errno);
    enum status status = status_of_result(fsync(descriptor));
    close(descriptor);
    return status;
}

enum status sync_directory_of(const char *path)
{
    char directory[IO_PATH_SIZE];
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) : 0;
    assert(size < sizeof directory);
    memcpy(directory, path, size);
    directory[size] = 0;
    if (size == 0)
        return sync_directory(slash ? "/" : ".");
    return sync_directory(directory);
}

enum status io_dir_sync(struct io *io, const char *path)
{
    (void)io;
    return sync_directory(path);
}

/* The kernel drops the lock with the process, however it ends; the pid inside is for people only.
 */
enum status io_dir_lock(struct io *io, const char *path)
{
    char name[IO_PATH_SIZE + 8], pid[24];
    assert(io->locks_count < REAL_LOCKS_MAX);
    snprintf(name, sizeof name, "%s/lock", path);
    int descriptor = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (descriptor < 0)
        return status_of_name_errno(errno);
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        enum status status = errno == EWOULDBLOCK ? STATUS_IN_USE : STATUS_IO;
        close(descriptor);
        return status;
    }
    int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(descriptor, 0) == 0) /* a full disk is no reason against a lock */
        (void)write_whole(descriptor, (const uint8_t *)pid, (size_t)size, 0);
    io->locks[io->locks_count++] = descriptor;
    return STATUS_OK;
}

void locks_deinit(struct io *io)
{
    while (io->locks_count > 0)
        close(io->locks[--io->locks_count]);
}

static enum status add_names(DIR *directory, struct buffer *names, size_t *count)
{
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry)
            return errno == 0 ? STATUS_OK : STATUS_IO;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        enum status status = buffer_append(names, entry->d_name, strlen(entry->d_name) + 1);
        if (status != STATUS_OK)
            return status;
        (*count)++;
    }
}

enum status io_dir_list(struct io *io, const char *path, char **names, size_t *count)
{
    struct buffer found;
    size_t found_count = 0;
    (void)io;
    DIR *directory = opendir(path);
    if (!directory)
        return status_of_name_errno(errno);
    buffer_init(&found, NAMES_SIZE_MAX);
    enum status status = add_names(directory, &found, &found_count);
    closedir(directory);
    if (status == STATUS_OK) {
        *names = memory_allocate(found.size);
        if (found.size > 0)
            memcpy(*names, found.at, found.size);
        *count = found_count;
    }
    buffer_deinit(&found);
    return status;
}

enum status io_space(struct io *io, const char *path, uint64_t *free_bytes)
{
    struct statvfs found;
    (void)io;
    if (statvfs(path, &found) != 0)
        return status_of_errno(errno);
    *free_bytes = (uint64_t)found.f_bavail * found.f_frsize;
    return STATUS_OK;
}
