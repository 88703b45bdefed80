/* forget.c - a disk that can lose its power, for real processes: loaded into a node by LD_PRELOAD,
 * it notes what each write replaced and what each sync covered, for power_cuts.py, which puts back
 * what was not synced, sector by sector.
 *
 * Journal (HOLDFAST_FORGET names it), one record for each call on a file under HOLDFAST_FORGET_DIR:
 *     u32 kind   u32 length of the name   u64 offset   u64 size   name   the bytes replaced (kind
 * 1) kind 1  a write of `size` bytes at `offset`; noted before it is done kind 2  a sync that has
 * succeeded; `offset`: where the journal ended when it began Not modelled: names and sizes of
 * files, which stay. */
#undef _FILE_OFFSET_BITS /* with it one name of each call below stands for the other */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define NAME_SIZE 512

enum kind {
    KIND_WRITE = 1,
    KIND_SYNC = 2
};

struct head {
    uint32_t kind, name_size;
    uint64_t offset, size;
};

typedef ssize_t write_call(int, const void *, size_t, off_t);
typedef ssize_t writev_call(int, const struct iovec *, int, off_t);
typedef int sync_call(int);

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset);
ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off_t offset);
ssize_t pwritev(int descriptor, const struct iovec *pieces, int count, off_t offset);
ssize_t pwritev64(int descriptor, const struct iovec *pieces, int count, off_t offset);
int fsync(int descriptor);
int fdatasync(int descriptor);

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* -1: none is kept. One for the life of the process. */
static int journal(void)
{
    static int descriptor = -2;
    const char *path = getenv("HOLDFAST_FORGET");
    if (descriptor == -2)
        descriptor = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    return descriptor;
}

/* 0: not one of the files that forget. */
static size_t name_of(int descriptor, char name[NAME_SIZE])
{
    char link[64] = "/proc/self/fd/", digits[16];
    const char *dir = getenv("HOLDFAST_FORGET_DIR");
    size_t count = 0;
    for (unsigned left = (unsigned)descriptor; left || !count; left /= 10)
        digits[count++] = (char)('0' + left % 10);
    for (size_t at = strlen(link); count; at++)
        link[at] = digits[--count];
    ssize_t size = readlink(link, name, NAME_SIZE - 1);
    name[size > 0 ? size : 0] = 0;
    bool forgets = dir && size > 0 && strncmp(name, dir, strlen(dir)) == 0;
    return forgets ? (size_t)size : 0;
}

static void note(enum kind kind, const char *name, size_t name_size, uint64_t offset,
                 const void *bytes, size_t size)
{
    struct head head = {(uint32_t)kind, (uint32_t)name_size, offset, size};
    struct iovec pieces[] = {
        {&head, sizeof head}, {(void *)name, name_size}, {(void *)bytes, bytes ? size : 0}};
    if (writev(journal(), pieces, 3) < 0)
        abort();
}

static void note_write(int descriptor, size_t size, off_t offset)
{
    char name[NAME_SIZE];
    size_t name_size = journal() >= 0 ? name_of(descriptor, name) : 0;
    if (!name_size || !size)
        return;
    uint8_t *old = calloc(1, size);
    int reader = open(name, O_RDONLY | O_CLOEXEC); /* the descriptor itself may only write */
    if (!old || reader < 0 || pread(reader, old, size, offset) < 0)
        abort();
    close(reader);
    note(KIND_WRITE, name, name_size, (uint64_t)offset, old, size);
    free(old);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t offset)
{
    note_write(descriptor, size, offset);
    return ((write_call *)real("pwrite"))(descriptor, bytes, size, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t size, off_t offset)
{
    return pwrite(descriptor, bytes, size, offset);
}

ssize_t pwritev(int descriptor, const struct iovec *pieces, int count, off_t offset)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    note_write(descriptor, size, offset);
    return ((writev_call *)real("pwritev"))(descriptor, pieces, count, offset);
}

ssize_t pwritev64(int descriptor, const struct iovec *pieces, int count, off_t offset)
{
    return pwritev(descriptor, pieces, count, offset);
}

static int sync_with(const char *call, int descriptor)
{
    char name[NAME_SIZE];
    size_t name_size = journal() >= 0 ? name_of(descriptor, name) : 0;
    off_t begin = name_size ? lseek(journal(), 0, SEEK_END) : 0;
    int result = ((sync_call *)real(call))(descriptor);
    if (name_size && result == 0)
        note(KIND_SYNC, name, name_size, (uint64_t)begin, NULL, 0);
    return result;
}

int fsync(int descriptor)
{
    return sync_with("fsync", descriptor);
}

int fdatasync(int descriptor)
{
    return sync_with("fdatasync", descriptor);
}
