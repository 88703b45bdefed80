/* io_sim_task.c - io.h: what the disk does in the background: syncs, reads, prepares, saves, names.
 *
 * A task ends when its happening comes; until then a crash or power cut decides what it left. Saves
 * and prepares each have one lane per io, publishing and removing share one; the draft that saves
 * and prepares rename at the end has its name from the start, so a crash leaves it behind. */
#include "sim/parts.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

#define SAVE_SIZE_MAX (1u << 20)

/* ---- making and freeing ---- */

static struct task *task_make(struct io *io, enum task_kind kind, uint64_t tag)
{
    struct task *task = memory_zeroed(1, sizeof *task);
    task->happening.kind = HAPPENING_TASK;
    task->io = io;
    task->kind = kind;
    task->tag = tag;
    list_append(&io->tasks, &task->in_io);
    return task;
}

static void task_free(struct task *task)
{
    struct io *io = task->io;
    agenda_drop(&io->world->agenda, &task->happening);
    list_remove(&task->in_io);
    covering_drop(&task->covering);
    inode_release(&io->machine->disk, task->inode);
    memory_free(task->bytes);
    memory_free(task);
}

static uint64_t draw_latency(struct io *io)
{
    return draw_between(&io->world->disk, io->machine->disk_min_ns, io->machine->disk_max_ns);
}

static void finish_at(struct task *task, uint64_t at_ns)
{
    agenda_put(&task->io->world->agenda, &task->happening, at_ns);
}

/* The counts that a sweep or a plan sets on syncs. */
enum status sync_fault(struct io *io)
{
    io->machine->counters.syncs++;
    if (!is_due_now(&io->machine->fail_sync_in))
        return STATUS_OK;
    world_trace(io->world, TRACE_FAULT, io->machine, TRACE_SYNC, 0, 0);
    return STATUS_IO;
}

static struct pending_event event_of_file(const struct task *task, enum io_event_kind kind)
{
    return (struct pending_event){
        .event = {.kind = kind,
                  .status = task->status,
                  .tag = task->tag,
                  .position = task->position},
        .subject = SUBJECT_FILE,
        .index = task->file.index,
        .generation = task->file.generation,
    };
}

/* ---- syncs ---- */

void io_file_sync_start(struct io *io, struct io_file handle, uint64_t upto, uint64_t tag)
{
    if (!io_touches_outside(io))
        return;
    struct file *file = file_at(io, handle);
    struct task *task = task_make(io, TASK_SYNC, tag);
    assert(!file->syncing);
    file->syncing = true;
    io->counters.syncs++;
    task->file = handle;
    task->position = upto;
    task->inode = file->inode;
    inode_hold(file->inode);
    world_trace(io->world, TRACE_SYNC, io->machine, upto, file->inode->dirty_count, 0);
    if (file->failed) { /* IO-4: the disk is not asked again */
        task->status = STATUS_IO;
        finish_at(task, io->world->now_ns);
        return;
    }
    task->status = disk_call(io) == STATUS_OK ? sync_fault(io) : STATUS_IO;
    inode_sync_begin(file->inode, &task->covering);
    uint64_t at_ns = io->world->now_ns + draw_latency(io);
    if (at_ns < file->inode->synced_until_ns)
        at_ns = file->inode->synced_until_ns;
    file->inode->synced_until_ns = at_ns;
    finish_at(task, at_ns);
}

static void finish_sync(struct task *task)
{
    struct io *io = task->io;
    struct file *file = &io->files[task->file.index];
    if (task->status == STATUS_OK)
        inode_sync_end(&io->machine->disk, task->inode, &task->covering); /* IO-3 */
    else
        file->failed = true; /* IO-4 */
    world_trace(io->world, TRACE_SYNCED, io->machine, task->position, task->status, 0);
    struct pending_event pending = event_of_file(task, IO_SYNCED);
    file->syncing = false;
    if (file->closed)
        io->counters.late_completions++; /* IO-2 */
    else
        io_pend(io, &pending);
    file_settle(io, file);
}

/* ---- reads ---- */

void io_file_read_start(struct io *io, struct io_file handle, uint8_t *into, size_t size,
                        uint64_t offset, uint64_t tag)
{
    struct file *file = file_at(io, handle);
    if (file == NULL || io_is_gone(io))
        return;
    struct task *task = task_make(io, TASK_READ, tag);
    file->reads_pending++;
    io->machine->counters.file_reads++;
    task->file = handle;
    task->inode = file->inode;
    inode_hold(file->inode);
    task->into = into;
    task->size = size;
    task->offset = offset;
    finish_at(task, io->world->now_ns + draw_latency(io));
}

static void finish_read(struct task *task)
{
    struct io *io = task->io;
    struct file *file = &io->files[task->file.index];
    task->status = file->failed ? STATUS_IO : STATUS_OK;
    if (task->status == STATUS_OK) /* also for a closed file: the caller still keeps the memory */
        task->position = inode_read(task->inode, task->into, task->size, task->offset);
    world_trace(io->world, TRACE_READ, io->machine, task->offset, task->position, 0);
    struct pending_event pending = event_of_file(task, IO_READ_DONE);
    file->reads_pending--;
    if (file->closed)
        io->counters.late_completions++; /* IO-2 */
    else
        io_pend(io, &pending);
    file_settle(io, file);
}

/* ---- saves and prepares ---- */

/* The draft: a new empty file under the other name, whatever was there. */
static enum status make_draft(struct task *task)
{
    struct disk *disk = &task->io->machine->disk;
    struct inode *inode;
    snprintf(task->other, sizeof task->other, "%.*s.tmp", IO_PATH_SIZE - 6, task->path);
    enum status status = disk_remove(disk, task->other);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        status = disk_make(disk, task->other, false, &inode);
    if (status != STATUS_OK)
        return STATUS_IO;
    task->inode = inode;
    inode_hold(inode);
    return STATUS_OK;
}

static enum status fill_draft(struct task *task)
{
    struct disk *disk = &task->io->machine->disk;
    struct slice bytes = slice_of(task->bytes, task->size);
    if (task->kind == TASK_PREPARE)
        return inode_reserve(disk, task->inode, task->prepare_size);
    return inode_write(disk, task->inode, &bytes, 1, 0);
}

static void begin_draft(struct task *task)
{
    struct io *io = task->io;
    task->status = disk_call(io);
    if (task->status == STATUS_OK)
        task->status = make_draft(task);
    if (task->status == STATUS_OK)
        task->status = fill_draft(task);
    if (task->status == STATUS_OK)
        task->status = sync_fault(io);
    if (task->status == STATUS_OK && task->kind == TASK_SAVE)
        inode_sync_begin(task->inode, &task->covering);
}

/* A task that changes names has its lane's name from the first of its kinds. */
static enum task_kind lane_of(enum task_kind kind)
{
    return kind == TASK_REMOVE ? TASK_PUBLISH : kind;
}

static void begin(struct task *task)
{
    task->begun = true;
    if (lane_of(task->kind) == TASK_PUBLISH)
        task->status = disk_call(task->io) == STATUS_OK ? STATUS_OK : STATUS_IO;
    else
        begin_draft(task);
}

/* The oldest waiting one of this lane, if none is under way. */
static void lane_go_on(struct io *io, enum task_kind lane)
{
    for (struct list *link = io->tasks.next; link != &io->tasks; link = link->next) {
        struct task *task = list_item(link, struct task, in_io);
        if (lane_of(task->kind) != lane)
            continue;
        if (!task->begun) {
            begin(task);
            finish_at(task, io->world->now_ns + task->takes_ns);
        }
        return;
    }
}

void io_file_save_start(struct io *io, const char *path, struct slice bytes, uint64_t tag)
{
    assert(bytes.size <= SAVE_SIZE_MAX);
    if (!io_touches_outside(io))
        return;
    struct task *task = task_make(io, TASK_SAVE, tag);
    task->bytes = memory_allocate(bytes.size);
    task->size = bytes.size;
    if (bytes.size > 0)
        memcpy(task->bytes, bytes.at, bytes.size);
    bool readable = path_normalize(path, task->path) == STATUS_OK;
    assert(readable);
    world_trace(io->world, TRACE_SAVE, io->machine, bytes.size, 0,
                checksum(task->bytes, bytes.size) ^ checksum(task->path, strlen(task->path)));
    task->takes_ns = 2 * draw_latency(io);
    lane_go_on(io, TASK_SAVE);
}

void io_file_prepare_start(struct io *io, const char *path, uint64_t size, uint64_t tag)
{
    if (!io_touches_outside(io))
        return;
    struct task *task = task_make(io, TASK_PREPARE, tag);
    uint64_t speed = io->world->options.disk_bytes_per_second;
    task->takes_ns = 2 * draw_latency(io);
    if (speed > 0)
        task->takes_ns += (uint64_t)((double)size / (double)speed * 1e9);
    task->prepare_size = size;
    bool readable = path_normalize(path, task->path) == STATUS_OK;
    assert(readable);
    world_trace(io->world, TRACE_PREPARE, io->machine, size, 0,
                checksum(task->path, strlen(task->path)));
    lane_go_on(io, TASK_PREPARE);
}

/* ---- names ---- */

static struct task *names_task_make(struct io *io, enum task_kind kind, const char *path,
                                    uint64_t tag)
{
    struct task *task = task_make(io, kind, tag);
    bool readable = path_normalize(path, task->path) == STATUS_OK;
    assert(readable);
    task->takes_ns = draw_latency(io);
    world_trace(io->world, kind == TASK_PUBLISH ? TRACE_RENAME : TRACE_REMOVE, io->machine, 1, 0,
                checksum(task->path, strlen(task->path)));
    return task;
}

void io_file_publish_start(struct io *io, const char *from, const char *to, uint64_t tag)
{
    if (!io_touches_outside(io))
        return;
    struct task *task = names_task_make(io, TASK_PUBLISH, to, tag);
    bool readable = path_normalize(from, task->other) == STATUS_OK;
    assert(readable);
    lane_go_on(io, TASK_PUBLISH);
}

void io_file_remove_start(struct io *io, const char *path, uint64_t tag)
{
    if (!io_touches_outside(io))
        return;
    names_task_make(io, TASK_REMOVE, path, tag);
    lane_go_on(io, TASK_PUBLISH);
}

/* The directory's sync is a step of its own: a cut in between leaves the new name volatile. */
static enum status give_name(struct task *task, bool sync)
{
    struct disk *disk = &task->io->machine->disk;
    char directory[IO_PATH_SIZE];
    if (disk_rename(disk, task->other, task->path) != STATUS_OK)
        return STATUS_IO;
    path_parent(task->path, directory);
    if (sync)
        disk_sync_directory(disk, directory);
    return STATUS_OK;
}

static enum status remove_name(struct task *task)
{
    enum status status = disk_remove(&task->io->machine->disk, task->path);
    return status == STATUS_OK || status == STATUS_NOT_FOUND ? STATUS_OK : STATUS_IO;
}

static void finish_names(struct task *task)
{
    struct io *io = task->io;
    if (task->status == STATUS_OK)
        task->status = task->kind == TASK_PUBLISH ? give_name(task, true) : remove_name(task);
    world_trace(io->world, TRACE_FILE_DONE, io->machine, task->status, 1, 0);
    io_pend_simple(io, IO_FILE_DONE, task->status, task->tag, 0);
}

/* The kernel may have come to any step of it. */
static void end_names(struct task *task, bool clean)
{
    uint64_t steps = clean ? 2 : random_below(&task->io->world->disk, 3);
    if (!task->begun || task->status != STATUS_OK || steps == 0)
        return;
    if (task->kind == TASK_PUBLISH)
        (void)give_name(task, steps == 2);
    else
        (void)remove_name(task);
}

static void publish_draft(struct task *task)
{
    struct disk *disk = &task->io->machine->disk;
    inode_sync_end(disk, task->inode, &task->covering);
    enum status status = disk_rename(disk, task->other, task->path);
    if (status != STATUS_OK) {
        task->status = STATUS_IO;
        (void)disk_remove(disk, task->other);
        return;
    }
    disk_sync_name(disk, task->path);
}

static void finish_draft(struct task *task)
{
    struct io *io = task->io;
    if (task->status == STATUS_OK)
        publish_draft(task);
    else if (task->inode != NULL)
        (void)disk_remove(&io->machine->disk, task->other);
    world_trace(io->world, TRACE_FILE_DONE, io->machine, task->status, 0, 0);
    io_pend_simple(io, IO_FILE_DONE, task->status, task->tag, 0);
}

/* ---- the end of a task ---- */

void task_happens(struct task *task)
{
    struct io *io = task->io;
    const struct machine *machine = io->machine;
    enum task_kind kind = task->kind;
    if (io->world->now_ns < machine->stalled_until_ns) {
        finish_at(task, machine->stalled_until_ns);
        return;
    }
    if (machine->syncs_held && task->kind == TASK_SYNC) {
        task->parked = true;
        return;
    }
    switch (task->kind) {
    case TASK_SYNC: finish_sync(task); break;
    case TASK_READ: finish_read(task); break;
    case TASK_PREPARE:
    case TASK_SAVE: finish_draft(task); break;
    case TASK_PUBLISH:
    case TASK_REMOVE: finish_names(task); break;
    }
    task_free(task);
    if (kind != TASK_SYNC && kind != TASK_READ)
        lane_go_on(io, lane_of(kind));
}

void tasks_release_held(struct io *io)
{
    for (struct list *link = io->tasks.next; link != &io->tasks; link = link->next) {
        struct task *task = list_item(link, struct task, in_io);
        if (task->parked)
            finish_at(task, io->world->now_ns);
        task->parked = false;
    }
}

/* ---- the end of a process ---- */

static void end_sync(struct task *task, bool power)
{
    struct io *io = task->io;
    struct disk *disk = &io->machine->disk;
    if (task->status != STATUS_OK)
        covering_drop(&task->covering);
    else if (power)
        inode_sync_cut(disk, task->inode, &task->covering);
    else if (random_next(&io->world->disk) % 2 == 0) /* the kernel may finish what was asked */
        inode_sync_end(disk, task->inode, &task->covering);
    else
        inode_sync_undo(task->inode, &task->covering);
}

static void end_draft(struct task *task, bool clean)
{
    if (!task->begun || task->inode == NULL)
        return;
    if (task->status == STATUS_OK && (clean || random_next(&task->io->world->disk) % 3 == 0))
        publish_draft(task);
    else if (clean)
        (void)disk_remove(&task->io->machine->disk, task->other);
    else
        inode_sync_undo(task->inode, &task->covering); /* the draft stays behind */
}

void tasks_end(struct io *io, bool clean, bool power)
{
    while (!list_is_empty(&io->tasks)) {
        struct task *task = list_item(io->tasks.next, struct task, in_io);
        switch (task->kind) {
        case TASK_SYNC: end_sync(task, power); break;
        case TASK_READ: break;
        case TASK_PREPARE:
        case TASK_SAVE: end_draft(task, clean); break;
        case TASK_PUBLISH:
        case TASK_REMOVE: end_names(task, clean); break;
        }
        task_free(task);
    }
    for (size_t i = 0; i < io->file_count; i++) {
        io->files[i].syncing = false;
        io->files[i].reads_pending = 0;
    }
}
