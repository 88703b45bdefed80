#include "tests/wal/fake_io.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

#define SECTOR      512
#define FILES_MAX   256
#define HANDLES_MAX 256
#define PENDING_MAX 64

struct version {
    size_t block;
    uint8_t bytes[IO_BLOCK_SIZE];
};

struct fake_file {
    char path[IO_PATH_SIZE];
    bool is_there, is_durable_name, was_removed; /* was_removed: and may come back */
    uint8_t *content, *durable;                  /* both of `capacity`, zeros past the sizes */
    size_t size, durable_size, capacity;
    struct version *versions;
    size_t version_count, version_capacity;
};

struct handle {
    struct fake_file *file; /* NULL: free */
    uint32_t generation;
};

enum pending_kind {
    PENDING_SYNC,
    PENDING_PREPARE,
    PENDING_READ
};

struct pending {
    enum pending_kind kind;
    uint64_t tag, position;
    struct fake_file *file;
    uint32_t handle;
    size_t versions; /* that the sync covers */
    char path[IO_PATH_SIZE];
    uint8_t *into;
    size_t size;
};

struct io {
    struct random random;
    uint64_t now_ns, space, boots;
    uint64_t written_end; /* where the last write ended */
    uint64_t calls[FAKE_CALLS], calls_all, cut_at;
    bool off, held[FAKE_CALLS], locked;
    char dir[IO_PATH_SIZE];
    bool dir_is_durable;
    uint64_t fail_at[FAKE_CALLS];
    enum status fail_status[FAKE_CALLS];
    struct fake_file *files[FILES_MAX];
    struct handle handles[HANDLES_MAX];
    struct pending pending[PENDING_MAX];
    size_t pending_count;
};

uint64_t fake_io_written_end(const struct io *io)
{
    return io->written_end;
}

struct io *fake_io_create(uint64_t seed)
{
    struct io *io = memory_zeroed(1, sizeof *io);
    random_init(&io->random, seed);
    io->now_ns = 1000000000;
    io->space = 1u << 30;
    io->boots = 1;
    return io;
}

static void file_free(struct fake_file *file)
{
    memory_free(file->content);
    memory_free(file->durable);
    memory_free(file->versions);
    memory_free(file);
}

void fake_io_destroy(struct io *io)
{
    for (size_t i = 0; i < FILES_MAX; i++)
        if (io->files[i])
            file_free(io->files[i]);
    memory_free(io);
}

/* ---- faults ---- */

void fake_io_fail(struct io *io, enum fake_call call, uint64_t nth, enum status status)
{
    io->fail_at[call] = io->calls[call] + nth;
    io->fail_status[call] = status;
}

uint64_t fake_io_calls(const struct io *io, enum fake_call call)
{
    return io->calls[call];
}

uint64_t fake_io_calls_all(const struct io *io)
{
    return io->calls_all;
}

void fake_io_cut_at(struct io *io, uint64_t nth)
{
    io->cut_at = nth;
}

bool fake_io_is_off(const struct io *io)
{
    return io->off;
}

static enum status enter(struct io *io, enum fake_call call)
{
    io->calls_all++;
    io->calls[call]++;
    if (io->calls_all == io->cut_at)
        io->off = true;
    if (io->off)
        return STATUS_IO;
    return io->calls[call] == io->fail_at[call] ? io->fail_status[call] : STATUS_OK;
}

void fake_io_advance(struct io *io, uint64_t ns)
{
    io->now_ns += ns;
}

void fake_io_set_space(struct io *io, uint64_t bytes)
{
    io->space = bytes;
}

void fake_io_hold(struct io *io, enum fake_call call, bool held)
{
    io->held[call] = held;
}

/* ---- files ---- */

static struct fake_file *file_find(struct io *io, const char *path)
{
    for (size_t i = 0; i < FILES_MAX; i++)
        if (io->files[i] && io->files[i]->is_there && strcmp(io->files[i]->path, path) == 0)
            return io->files[i];
    return NULL;
}

static struct fake_file *file_make(struct io *io, const char *path)
{
    size_t i = 0;
    while (i < FILES_MAX && io->files[i])
        i++;
    assert(i < FILES_MAX);
    struct fake_file *file = io->files[i] = memory_zeroed(1, sizeof *file);
    snprintf(file->path, sizeof file->path, "%s", path);
    file->is_there = true;
    return file;
}

static void file_grow(struct fake_file *file, size_t size)
{
    if (size > file->capacity) {
        size_t capacity = (size + IO_BLOCK_SIZE - 1) / IO_BLOCK_SIZE * IO_BLOCK_SIZE;
        file->content = memory_resize(file->content, capacity);
        file->durable = memory_resize(file->durable, capacity);
        memset(file->content + file->capacity, 0, capacity - file->capacity);
        memset(file->durable + file->capacity, 0, capacity - file->capacity);
        file->capacity = capacity;
    }
    if (size > file->size)
        file->size = size;
}

static uint64_t space_taken(const struct io *io)
{
    uint64_t taken = 0;
    for (size_t i = 0; i < FILES_MAX; i++)
        if (io->files[i] && io->files[i]->is_there)
            taken += io->files[i]->size;
    return taken;
}

static void version_add(struct fake_file *file, size_t block)
{
    if (file->version_count == file->version_capacity) {
        file->version_capacity = file->version_capacity ? file->version_capacity * 2 : 16;
        file->versions =
            memory_resize(file->versions, file->version_capacity * sizeof *file->versions);
    }
    struct version *version = &file->versions[file->version_count++];
    version->block = block;
    memcpy(version->bytes, file->content + block * IO_BLOCK_SIZE, IO_BLOCK_SIZE);
}

static void versions_sync(struct fake_file *file, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memcpy(file->durable + file->versions[i].block * IO_BLOCK_SIZE, file->versions[i].bytes,
               IO_BLOCK_SIZE);
    file->version_count -= count;
    if (file->version_count)
        memmove(file->versions, file->versions + count,
                file->version_count * sizeof *file->versions);
    file->durable_size = file->size;
}

static struct fake_file *file_of(struct io *io, struct io_file file)
{
    assert(file.index < HANDLES_MAX && io->handles[file.index].generation == file.generation);
    assert(io->handles[file.index].file);
    return io->handles[file.index].file;
}

enum status io_file_open(struct io *io, const char *path, enum io_file_open_mode mode,
                         struct io_file *out)
{
    uint32_t i = 0;
    enum status status = enter(io, FAKE_OTHER);
    struct fake_file *file = file_find(io, path);
    if (status)
        return status;
    if (mode == IO_FILE_CREATE ? file != NULL : file == NULL)
        return mode == IO_FILE_CREATE ? STATUS_EXISTS : STATUS_NOT_FOUND;
    if (!file)
        file = file_make(io, path);
    while (i < HANDLES_MAX && io->handles[i].file)
        i++;
    assert(i < HANDLES_MAX);
    io->handles[i].file = file;
    *out = (struct io_file){i, ++io->handles[i].generation};
    return STATUS_OK;
}

void io_file_close(struct io *io, struct io_file file)
{
    struct handle *handle = &io->handles[file.index];
    if (handle->generation == file.generation)
        handle->file = NULL;
    for (size_t i = 0; i < io->pending_count;)
        if (io->pending[i].kind != PENDING_PREPARE && io->pending[i].handle == file.index)
            io->pending[i] = io->pending[--io->pending_count];
        else
            i++;
}

enum status io_file_size(struct io *io, struct io_file file, uint64_t *out)
{
    enum status status = enter(io, FAKE_OTHER);
    if (!status)
        *out = file_of(io, file)->size;
    return status;
}

enum status io_file_write(struct io *io, struct io_file handle, const struct slice *pieces,
                          size_t count, uint64_t offset)
{
    struct fake_file *file = file_of(io, handle);
    enum status status = enter(io, FAKE_WRITE);
    uint64_t size = 0, at = offset;
    for (size_t i = 0; i < count; i++)
        size += pieces[i].size;
    if (!status && offset + size > file->size &&
        space_taken(io) + offset + size - file->size > io->space)
        status = STATUS_NO_SPACE;
    if (io->off)
        return status;
    if (status)
        size = random_below(&io->random,
                            size); /* a part got through, as "nothing that counts" allows */
    io->written_end = offset + size;
    file_grow(file, offset + size);
    for (size_t i = 0; i < count && at < offset + size; i++) {
        uint64_t rest = offset + size - at;
        uint64_t piece = pieces[i].size < rest ? pieces[i].size : rest;
        memcpy(file->content + at, pieces[i].at, piece);
        at += piece;
    }
    for (size_t block = offset / IO_BLOCK_SIZE; block * IO_BLOCK_SIZE < offset + size; block++)
        version_add(file, block);
    return status;
}

static size_t read_at(const struct fake_file *file, uint8_t *into, size_t size, uint64_t offset)
{
    size_t fits = offset < file->size ? file->size - offset : 0;
    if (fits > size)
        fits = size;
    if (fits)
        memcpy(into, file->content + offset, fits);
    return fits;
}

enum status io_file_read(struct io *io, struct io_file file, uint8_t *into, size_t size,
                         uint64_t offset, size_t *got)
{
    enum status status = enter(io, FAKE_READ);
    if (!status)
        *got = read_at(file_of(io, file), into, size, offset);
    return status;
}

enum status io_file_remove(struct io *io, const char *path)
{
    enum status status = enter(io, FAKE_OTHER);
    struct fake_file *file = file_find(io, path);
    if (status || !file)
        return status ? status : STATUS_NOT_FOUND;
    file->is_there = false;
    file->was_removed = file->is_durable_name;
    return STATUS_OK;
}

/* ---- directories ---- */

enum status io_dir_make(struct io *io, const char *path)
{
    enum status status = enter(io, FAKE_OTHER);
    if (!status && strcmp(io->dir, path) != 0) {
        snprintf(io->dir, sizeof io->dir, "%s", path);
        io->dir_is_durable = false;
    }
    return status;
}

enum status io_dir_lock(struct io *io, const char *path)
{
    (void)path;
    enum status status = enter(io, FAKE_OTHER);
    if (!status && io->locked)
        return STATUS_IN_USE;
    if (!status)
        io->locked = true;
    return status;
}

enum status io_dir_sync(struct io *io, const char *path)
{
    enum status status = enter(io, FAKE_DIR_SYNC);
    if (!status && strcmp(path, io->dir) != 0) {
        io->dir_is_durable = true; /* of the one directory that the tests use, it was the parent */
        return STATUS_OK;
    }
    for (size_t i = 0; !status && i < FILES_MAX; i++)
        if (io->files[i]) {
            io->files[i]->is_durable_name = io->files[i]->is_there;
            io->files[i]->was_removed = false;
        }
    return status;
}

enum status io_dir_list(struct io *io, const char *path, char **names, size_t *count)
{
    enum status status = enter(io, FAKE_OTHER);
    size_t size = strlen(path) + 1, used = 0;
    if (status)
        return status;
    *names = memory_zeroed(FILES_MAX, IO_PATH_SIZE);
    *count = 0;
    for (size_t i = 0; i < FILES_MAX; i++) {
        const struct fake_file *file = io->files[i];
        if (!file || !file->is_there || strncmp(file->path, path, size - 1) != 0)
            continue;
        size_t length = strlen(file->path + size) + 1;
        memcpy(*names + used, file->path + size, length);
        used += length;
        ++*count;
    }
    return STATUS_OK;
}

enum status io_space(struct io *io, const char *path, uint64_t *free_bytes)
{
    (void)path;
    uint64_t taken = space_taken(io);
    enum status status = enter(io, FAKE_OTHER);
    if (!status)
        *free_bytes = io->space > taken ? io->space - taken : 0;
    return status;
}

enum status io_file_refresh(struct io *io, struct io_file handle)
{
    struct fake_file *file = file_of(io, handle);
    enum status status = enter(io, FAKE_SYNC);
    if (io->off)
        return status;
    if (!status)
        versions_sync(file, file->version_count);
    file->version_count = 0;
    if (!status && file->capacity)
        memcpy(file->content, file->durable, file->capacity);
    return status;
}

/* ---- in the background ---- */

static struct pending *pending_add(struct io *io, enum pending_kind kind, uint64_t tag)
{
    assert(io->pending_count < PENDING_MAX);
    struct pending *pending = &io->pending[io->pending_count++];
    *pending = (struct pending){.kind = kind, .tag = tag};
    return pending;
}

void io_file_sync_start(struct io *io, struct io_file file, uint64_t upto, uint64_t tag)
{
    struct pending *pending = pending_add(io, PENDING_SYNC, tag);
    pending->position = upto;
    pending->file = file_of(io, file);
    pending->handle = file.index;
    pending->versions = pending->file->version_count;
}

void io_file_prepare_start(struct io *io, const char *path, uint64_t size, uint64_t tag)
{
    struct pending *pending = pending_add(io, PENDING_PREPARE, tag);
    snprintf(pending->path, sizeof pending->path, "%s", path);
    pending->size = size;
}

void io_file_read_start(struct io *io, struct io_file file, uint8_t *into, size_t size,
                        uint64_t offset, uint64_t tag)
{
    struct pending *pending = pending_add(io, PENDING_READ, tag);
    pending->file = file_of(io, file);
    pending->handle = file.index;
    pending->into = into;
    pending->size = size;
    pending->position = offset;
}

unsigned io_file_reads_pending(struct io *io, struct io_file file)
{
    unsigned count = 0;
    for (size_t i = 0; i < io->pending_count; i++)
        count += io->pending[i].kind == PENDING_READ && io->pending[i].handle == file.index;
    return count;
}

static void prepare(struct io *io, const char *path, size_t size)
{
    struct fake_file *file = file_find(io, path);
    if (file)
        file->is_there = file->is_durable_name = false;
    file = file_make(io, path);
    file_grow(file, size);
    file->durable_size = size;
    file->is_durable_name = true;
}

static void sync_complete(struct io *io, const struct pending *pending, struct io_event *event)
{
    event->kind = IO_SYNCED;
    event->position = pending->position;
    event->status = enter(io, FAKE_SYNC);
    if (!event->status)
        versions_sync(pending->file, pending->versions);
    else if (!io->off)
        pending->file->version_count = 0; /* clean for ever, and not on the disk */
}

static void prepare_complete(struct io *io, const struct pending *pending, struct io_event *event)
{
    event->kind = IO_FILE_DONE;
    event->status = enter(io, FAKE_PREPARE);
    if (!event->status && space_taken(io) + pending->size > io->space)
        event->status = STATUS_NO_SPACE;
    if (!event->status)
        prepare(io, pending->path, pending->size);
}

static void read_complete(struct io *io, const struct pending *pending, struct io_event *event)
{
    event->kind = IO_READ_DONE;
    event->status = enter(io, FAKE_READ);
    if (!event->status)
        event->position = read_at(pending->file, pending->into, pending->size, pending->position);
}

static bool pending_choose(struct io *io, size_t *at)
{
    size_t start = io->pending_count ? random_below(&io->random, io->pending_count) : 0;
    for (size_t i = 0; i < io->pending_count; i++) {
        *at = (start + i) % io->pending_count;
        enum pending_kind kind = io->pending[*at].kind;
        if (!(kind == PENDING_SYNC && io->held[FAKE_SYNC]) &&
            !(kind == PENDING_PREPARE && io->held[FAKE_PREPARE]))
            return true;
    }
    return false;
}

bool fake_io_step(struct io *io, struct io_event *event)
{
    size_t at;
    if (io->off || !pending_choose(io, &at))
        return false;
    struct pending pending = io->pending[at];
    io->pending[at] = io->pending[--io->pending_count];
    *event = (struct io_event){.tag = pending.tag};
    switch (pending.kind) {
    case PENDING_SYNC: sync_complete(io, &pending, event); break;
    case PENDING_PREPARE: prepare_complete(io, &pending, event); break;
    case PENDING_READ: read_complete(io, &pending, event); break;
    }
    return !io->off;
}

/* ---- the crash ---- */

static void block_choose(struct fake_file *file, size_t at, enum fake_loss loss,
                         struct random *random)
{
    const struct version *version = &file->versions[at];
    uint8_t *durable = file->durable + version->block * IO_BLOCK_SIZE;
    size_t size = 0;
    if (loss == FAKE_LOSE_SOME) {
        size_t choice = random_below(random, 16);
        size = choice < 4 ? SECTOR * random_below(random, 9) : choice < 8 ? 0 : IO_BLOCK_SIZE;
        if (choice == 15) { /* the write was under way when the power went: nothing that was in the
                               block can be read */
            memset(durable, (int)random_below(random, 256), IO_BLOCK_SIZE);
            return;
        }
    } else if (loss == FAKE_KEEP_LAST && at + 2 >= file->version_count) {
        size = IO_BLOCK_SIZE;
    }
    memcpy(durable, version->bytes, size);
}

/* A later version over an earlier one that came through, whole or torn, or not at all: every
 * mixture that a disk can leave. */
static void file_crash(struct fake_file *file, enum fake_loss loss, struct random *random)
{
    for (size_t i = 0; i < file->version_count; i++)
        block_choose(file, i, loss, random);
    if (loss != FAKE_LOSE_ALL)
        file->durable_size = file->size;
    if (!file->is_durable_name && file->is_there)
        file->is_there = loss != FAKE_LOSE_ALL && random_below(random, 2);
    if (file->was_removed)
        file->is_there = random_below(random, 2);
    if (file->capacity > file->durable_size)
        memset(file->durable + file->durable_size, 0, file->capacity - file->durable_size);
    if (file->capacity)
        memcpy(file->content, file->durable, file->capacity);
    file->size = file->durable_size;
    file->version_count = 0;
    file->is_durable_name = file->is_there;
    file->was_removed = false;
}

static void prepares_crash(struct io *io, struct random *random)
{
    for (size_t i = 0; i < io->pending_count; i++) {
        const struct pending *pending = &io->pending[i];
        size_t choice = random_below(random, 3);
        if (pending->kind == PENDING_PREPARE && choice)
            prepare(io, pending->path, choice == 1 ? pending->size : pending->size / 3);
    }
}

static void dir_crash(struct io *io, enum fake_loss loss, struct random *random)
{
    if (io->dir_is_durable || loss == FAKE_LOSE_NOTHING)
        return;
    bool stays = loss != FAKE_LOSE_ALL && random_below(random, 2);
    for (size_t i = 0; !stays && i < FILES_MAX; i++)
        if (io->files[i])
            io->files[i]->is_there = io->files[i]->is_durable_name = io->files[i]->was_removed =
                false;
    io->dir[0] = 0;
}

void fake_io_crash(struct io *io, enum fake_loss loss, struct random *random)
{
    prepares_crash(io, random);
    dir_crash(io, loss, random);
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (!io->files[i])
            continue;
        if (loss != FAKE_LOSE_NOTHING) /* what a dead process wrote stays as volatile as it was */
            file_crash(io->files[i], loss, random);
        if (!io->files[i]->is_there && !io->files[i]->was_removed) {
            file_free(io->files[i]);
            io->files[i] = NULL;
        }
    }
    for (size_t i = 0; i < HANDLES_MAX; i++) {
        io->handles[i].file = NULL;
        io->handles[i].generation++;
    }
    memset(io->fail_at, 0, sizeof io->fail_at);
    memset(io->held, 0, sizeof io->held);
    io->pending_count = 0;
    io->off = io->locked = false;
    io->cut_at = 0;
    io->boots += loss != FAKE_LOSE_NOTHING;
}

/* ---- for tests of damage ---- */

uint8_t *fake_io_bytes(struct io *io, const char *path, size_t *size)
{
    struct fake_file *file = file_find(io, path);
    if (!file)
        return NULL;
    *size = file->size;
    return file->content;
}

void fake_io_damage_done(struct io *io, const char *path)
{
    struct fake_file *file = file_find(io, path);
    if (file->size)
        memcpy(file->durable, file->content, file->size);
    file->version_count = 0;
}

size_t fake_io_names(struct io *io, char paths[][IO_PATH_SIZE], size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < FILES_MAX && count < max; i++)
        if (io->files[i] && io->files[i]->is_there)
            memcpy(paths[count++], io->files[i]->path, IO_PATH_SIZE);
    return count;
}

void fake_io_put(struct io *io, const char *path, const uint8_t *bytes, size_t size)
{
    prepare(io, path, size);
    struct fake_file *file = file_find(io, path);
    if (size) {
        memcpy(file->content, bytes, size);
        memcpy(file->durable, bytes, size);
    }
}

void fake_io_forget(struct io *io, const char *path)
{
    struct fake_file *file = file_find(io, path);
    file->is_there = file->is_durable_name = false;
}

/* ---- clock and chance ---- */

uint64_t io_now_ns(struct io *io)
{
    return io->now_ns;
}

uint64_t io_random(struct io *io)
{
    return random_next(&io->random);
}

void io_boot_id(struct io *io, char out[IO_BOOT_ID_SIZE])
{
    snprintf(out, IO_BOOT_ID_SIZE, "boot-%llu", (unsigned long long)io->boots);
}
