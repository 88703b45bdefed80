/* io_sim_file.c - io.h: files and names, over the model of disk.h. What runs in the background is
 * in io_sim_task.c. */
#include "sim/parts.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

static const struct io_file file_nobody = {UINT32_MAX, 1};

/* ---- faults by count ---- */

bool is_due_now(uint64_t *countdown)
{
    return *countdown > 0 && --*countdown == 0;
}

enum status disk_call(struct io *io)
{
    struct machine *machine = io->machine;
    if (io_is_gone(io))
        return STATUS_OK;
    machine->counters.disk_calls++;
    if (!is_due_now(&machine->fail_disk_call_in))
        return STATUS_OK;
    world_trace(io->world, TRACE_FAULT, machine, machine->counters.disk_calls, 0, 0);
    return machine->fail_disk_call_status;
}

/* Of a call that needs no space. */
static enum status disk_call_plain(struct io *io)
{
    return disk_call(io) == STATUS_OK ? STATUS_OK : STATUS_IO;
}

/* A call that blocks makes the turn longer. */
static void charge_blocking(struct io *io)
{
    struct world *world = io->world;
    const struct machine *machine = io->machine;
    uint64_t from = io->busy_until_ns > world->now_ns ? io->busy_until_ns : world->now_ns;
    if (from < machine->stalled_until_ns)
        from = machine->stalled_until_ns;
    io->busy_until_ns =
        from + draw_between(&world->disk, machine->disk_min_ns, machine->disk_max_ns);
}

static uint64_t path_sum(const char *path)
{
    return checksum(path, strlen(path));
}

/* ---- slots ---- */

static struct file *file_find(struct io *io, struct io_file handle)
{
    if (handle.index >= io->file_count)
        return NULL;
    struct file *file = &io->files[handle.index];
    return file->used && file->generation == handle.generation ? file : NULL;
}

/* NULL in a process that is gone; else the caller's handle is good, or it is a mistake of ours. */
struct file *file_at(struct io *io, struct io_file handle)
{
    struct file *file = file_find(io, handle);
    if (io_is_gone(io))
        return file != NULL && !file->closed ? file : NULL;
    assert(file != NULL && !file->closed);
    return file;
}

bool file_is_open(struct io *io, uint32_t index, uint32_t generation)
{
    const struct file *file = file_find(io, (struct io_file){index, generation});
    return file != NULL && !file->closed;
}

static struct file *file_make(struct io *io, struct inode *inode, bool writable)
{
    size_t index = 0;
    while (index < io->file_count && io->files[index].used)
        index++;
    if (index == io->file_count) {
        size_t count = io->file_count == 0 ? 16 : io->file_count * 2;
        io->files = memory_resize(io->files, count * sizeof *io->files);
        memset(io->files + io->file_count, 0, (count - io->file_count) * sizeof *io->files);
        io->file_count = count;
    }
    struct file *file = &io->files[index];
    uint32_t generation = file->generation + 1;
    *file = (struct file){
        .index = (uint32_t)index, .generation = generation, .used = true, .writable = writable};
    file->inode = inode;
    inode_hold(inode);
    return file;
}

void file_settle(struct io *io, struct file *file)
{
    if (!file->closed || file->syncing || file->reads_pending > 0)
        return;
    inode_release(&io->machine->disk, file->inode);
    file->inode = NULL;
    file->used = false;
}

void files_close_all(struct io *io)
{
    for (size_t i = 0; i < io->file_count; i++) {
        struct file *file = &io->files[i];
        if (!file->used)
            continue;
        assert(!file->syncing && file->reads_pending == 0);
        file->closed = true;
        file_settle(io, file);
    }
    for (size_t i = 0; i < io->lock_count; i++) {
        io->locks[i]->lock_holder = NULL;
        inode_unref(&io->machine->disk, io->locks[i]);
    }
    memory_free(io->locks);
    io->locks = NULL;
    io->lock_count = 0;
}

/* ---- opening ---- */

static enum status open_inode(struct io *io, const char *path, enum io_file_open_mode mode,
                              struct inode **out)
{
    struct disk *disk = &io->machine->disk;
    if (mode == IO_FILE_CREATE) {
        if (disk_find(disk, path) == NULL && !io_touches_outside(io))
            return STATUS_OK; /* with nothing to show */
        return disk_make(disk, path, false, out);
    }
    *out = disk_find(disk, path);
    if (*out == NULL)
        return STATUS_NOT_FOUND;
    return (*out)->is_directory ? STATUS_IO : STATUS_OK;
}

enum status io_file_open(struct io *io, const char *path, enum io_file_open_mode mode,
                         struct io_file *out)
{
    char normal[IO_PATH_SIZE];
    struct inode *inode = NULL;
    enum status status = mode == IO_FILE_CREATE ? disk_call(io) : disk_call_plain(io);
    if (status == STATUS_OK && path_normalize(path, normal) != STATUS_OK)
        status = STATUS_IO;
    if (status == STATUS_OK)
        status = open_inode(io, normal, mode, &inode);
    if (status != STATUS_OK)
        return status;
    if (inode == NULL || io->dead) {
        *out = file_nobody;
        return STATUS_OK;
    }
    const struct file *file = file_make(io, inode, mode != IO_FILE_READ);
    world_trace(io->world, TRACE_OPEN, io->machine, mode, file->index, path_sum(normal));
    *out = (struct io_file){file->index, file->generation};
    return STATUS_OK;
}

void io_file_close(struct io *io, struct io_file handle)
{
    struct file *file = file_find(io, handle);
    if (file == NULL || file->closed)
        return;
    file->closed = true;
    file_settle(io, file);
}

enum status io_file_size(struct io *io, struct io_file handle, uint64_t *out)
{
    const struct file *file = file_at(io, handle);
    if (file == NULL) {
        *out = 0;
        return STATUS_OK;
    }
    if (file->failed)
        return STATUS_IO; /* IO-4 */
    *out = file->inode->size;
    return STATUS_OK;
}

/* ---- bytes ---- */

/* A write that fails may have got some way: what it leaves is a prefix. */
static void write_part(struct io *io, struct inode *inode, const struct slice *pieces, size_t count,
                       uint64_t offset)
{
    struct random *random = &io->world->disk;
    if (count == 0 || random_next(random) % 2 == 0)
        return;
    size_t whole = random_below(random, count);
    struct slice last = pieces[whole];
    enum status status = inode_write(&io->machine->disk, inode, pieces, whole, offset);
    for (size_t i = 0; i < whole; i++)
        offset += pieces[i].size;
    if (last.size > 0 && status == STATUS_OK) {
        last.size = random_below(random, last.size);
        (void)inode_write(&io->machine->disk, inode, &last, 1, offset);
    }
}

enum status io_file_write(struct io *io, struct io_file handle, const struct slice *pieces,
                          size_t count, uint64_t offset)
{
    struct machine *machine = io->machine;
    if (!io_touches_outside(io))
        return STATUS_OK;
    struct file *file = file_at(io, handle);
    uint64_t size = 0, sum = 0;
    assert(file->writable);
    io->counters.file_writes++;
    machine->counters.file_writes++;
    enum status status = disk_call(io);
    if (is_due_now(&machine->fail_write_in))
        status = STATUS_IO;
    if (file->failed)
        return STATUS_IO; /* IO-4 */
    for (size_t i = 0; i < count; i++) {
        size += pieces[i].size;
        sum = checksum_seeded(pieces[i].at, pieces[i].size, sum);
    }
    world_trace(io->world, TRACE_WRITE, machine, offset, size, sum);
    if (status != STATUS_OK) {
        write_part(io, file->inode, pieces, count, offset);
        return status;
    }
    status = inode_write(&machine->disk, file->inode, pieces, count, offset);
    if (status == STATUS_OK)
        machine->counters.written_bytes += size;
    return status;
}

enum status io_file_read(struct io *io, struct io_file handle, uint8_t *into, size_t size,
                         uint64_t offset, size_t *got)
{
    const struct file *file = file_at(io, handle);
    if (file == NULL) {
        *got = 0;
        return STATUS_OK;
    }
    if (file->failed)
        return STATUS_IO; /* IO-4 */
    io->machine->counters.file_reads++;
    charge_blocking(io);
    *got = inode_read(file->inode, into, size, offset);
    return STATUS_OK;
}

enum status io_file_refresh(struct io *io, struct io_file handle)
{
    struct covering covering;
    if (!io_touches_outside(io))
        return STATUS_OK;
    struct file *file = file_at(io, handle);
    io->counters.syncs++;
    charge_blocking(io);
    if (file->failed)
        return STATUS_IO; /* IO-4 */
    enum status status = disk_call_plain(io);
    if (!status)
        status = sync_fault(io);
    world_trace(io->world, TRACE_SYNC, io->machine, 0, file->inode->dirty_count, status);
    inode_sync_begin(file->inode, &covering);
    if (status) {
        file->failed = true;
        covering_drop(&covering);
        return STATUS_IO;
    }
    inode_sync_end(&io->machine->disk, file->inode, &covering);
    inode_drop_cache(file->inode);
    return STATUS_OK;
}

unsigned io_file_reads_pending(struct io *io, struct io_file handle)
{
    const struct file *file = file_find(io, handle);
    return file == NULL ? 0 : file->reads_pending;
}

/* ---- names ---- */

/* Counts, looks for faults and reads the path. *does: whether to go on. */
static enum status begin_name_call(struct io *io, const char *path, char normal[IO_PATH_SIZE],
                                   bool *does)
{
    *does = false;
    if (!io_touches_outside(io))
        return STATUS_OK;
    enum status status = disk_call_plain(io);
    if (status == STATUS_OK && path_normalize(path, normal) != STATUS_OK)
        status = STATUS_IO;
    *does = status == STATUS_OK;
    return status;
}

enum status io_file_remove(struct io *io, const char *path)
{
    char normal[IO_PATH_SIZE];
    bool does;
    enum status status = begin_name_call(io, path, normal, &does);
    if (!does)
        return status;
    world_trace(io->world, TRACE_REMOVE, io->machine, 0, 0, path_sum(normal));
    return disk_remove(&io->machine->disk, normal);
}

enum status io_file_rename(struct io *io, const char *from, const char *to)
{
    char normal[IO_PATH_SIZE], normal_to[IO_PATH_SIZE];
    bool does;
    enum status status = begin_name_call(io, from, normal, &does);
    if (!does)
        return status;
    if (path_normalize(to, normal_to) != STATUS_OK)
        return STATUS_IO;
    world_trace(io->world, TRACE_RENAME, io->machine, 0, 0, path_sum(normal) ^ path_sum(normal_to));
    return disk_rename(&io->machine->disk, normal, normal_to);
}

enum status io_dir_make(struct io *io, const char *path)
{
    char normal[IO_PATH_SIZE];
    struct disk *disk = &io->machine->disk;
    struct inode *inode;
    bool does;
    enum status status = begin_name_call(io, path, normal, &does);
    if (!does)
        return status;
    world_trace(io->world, TRACE_DIR, io->machine, 1, 0, path_sum(normal));
    status = disk_make(disk, normal, true, &inode);
    if (status == STATUS_EXISTS && disk_find(disk, normal)->is_directory)
        return STATUS_OK;
    return status;
}

enum status io_dir_sync(struct io *io, const char *path)
{
    char normal[IO_PATH_SIZE];
    struct disk *disk = &io->machine->disk;
    bool does;
    enum status status = begin_name_call(io, path, normal, &does);
    if (!does)
        return status;
    const struct inode *directory = disk_find(disk, normal);
    if (directory == NULL)
        return STATUS_NOT_FOUND;
    if (!directory->is_directory)
        return STATUS_IO;
    world_trace(io->world, TRACE_DIR, io->machine, 2, 0, path_sum(normal));
    charge_blocking(io);
    disk_sync_directory(disk, normal);
    return STATUS_OK;
}

enum status io_dir_lock(struct io *io, const char *path)
{
    char normal[IO_PATH_SIZE], name[IO_PATH_SIZE + 8];
    struct disk *disk = &io->machine->disk;
    bool does;
    enum status status = begin_name_call(io, path, normal, &does);
    if (!does)
        return status;
    snprintf(name, sizeof name, "%s/lock", normal);
    if (path_normalize(name, normal) != STATUS_OK)
        return STATUS_IO;
    struct inode *inode = disk_find(disk, normal);
    if (inode == NULL)
        status = disk_make(disk, normal, false, &inode);
    if (status != STATUS_OK)
        return status;
    if (inode->lock_holder != NULL)
        return STATUS_IN_USE;
    inode->lock_holder = io;
    inode_ref(inode);
    io->locks = memory_resize(io->locks, (io->lock_count + 1) * sizeof *io->locks);
    io->locks[io->lock_count++] = inode;
    return STATUS_OK;
}

/* ---- looking at directories ---- */

/* The last part of a path directly inside `directory`; NULL for deeper ones. */
static const char *name_inside(const char *path, const char *directory)
{
    size_t size = strcmp(directory, "/") == 0 ? 0 : strlen(directory);
    const char *name = path + size + 1;
    return strchr(name, '/') == NULL ? name : NULL;
}

static bool is_below(const char *path, const char *directory)
{
    size_t size = strcmp(directory, "/") == 0 ? 0 : strlen(directory);
    return strncmp(path, directory, size) == 0 && path[size] == '/' && path[size + 1] != 0;
}

static size_t collect_names(const struct disk *disk, const char *directory, char *into,
                            size_t *size)
{
    size_t count = 0;
    *size = 0;
    for (size_t i = disk_first_inside(disk, directory); i < disk->names.count; i++) {
        const char *path = disk->names.list[i].path;
        if (!is_below(path, directory))
            break;
        const char *name = name_inside(path, directory);
        if (name == NULL)
            continue;
        if (into != NULL)
            memcpy(into + *size, name, strlen(name) + 1);
        *size += strlen(name) + 1;
        count++;
    }
    return count;
}

enum status io_dir_list(struct io *io, const char *path, char **names, size_t *count)
{
    char normal[IO_PATH_SIZE];
    const struct disk *disk = &io->machine->disk;
    size_t size;
    if (path_normalize(path, normal) != STATUS_OK)
        return STATUS_IO;
    const struct inode *directory = disk_find(disk, normal);
    if (directory == NULL)
        return STATUS_NOT_FOUND;
    if (!directory->is_directory)
        return STATUS_IO;
    collect_names(disk, normal, NULL, &size);
    *names = memory_allocate(size);
    *count = collect_names(disk, normal, *names, &size);
    return STATUS_OK;
}

enum status io_space(struct io *io, const char *path, uint64_t *free_bytes)
{
    char normal[IO_PATH_SIZE];
    const struct disk *disk = &io->machine->disk;
    if (path_normalize(path, normal) != STATUS_OK || disk_find(disk, normal) == NULL)
        return STATUS_NOT_FOUND;
    if (disk->capacity == 0)
        *free_bytes = DISK_FILE_SIZE_MAX;
    else
        *free_bytes = disk->used < disk->capacity ? disk->capacity - disk->used : 0;
    return STATUS_OK;
}
