#include "wal/log.h"

#include "base/memory.h"

#include <stdio.h>

#define DIR_SIZE_MAX (IO_PATH_SIZE - 32)

static enum status say(enum status status, char why[WAL_WHY_SIZE], const char *name,
                       const char *text)
{
    snprintf(why, WAL_WHY_SIZE, "%.120s: %s", name, text);
    return status;
}

/* What the operator can mend is said instead of what went wrong because of it. */
static const char *cause_or(enum status status, const char *text)
{
    return status == STATUS_EXHAUSTED || status == STATUS_DENIED ? status_text(status) : text;
}

static enum status header_read(struct wal *wal, struct wal_segment *segment, const char *name,
                               char why[WAL_WHY_SIZE])
{
    uint8_t bytes[WAL_SEGMENT_HEADER_SIZE];
    struct wal_segment_header header;
    size_t got = 0;
    if (io_file_read(wal->io, segment->file, bytes, sizeof bytes, 0, &got))
        return say(STATUS_IO, why, name, "cannot be read");
    if (got < sizeof bytes)
        return STATUS_OK;
    enum status status = wal_segment_header_load(bytes, &header);
    if (status == STATUS_FOREIGN) {
        snprintf(why, WAL_WHY_SIZE, "%s: format %u of the log; this program knows %u", name,
                 header.version, WAL_VERSION);
        return status;
    }
    if (status)
        return STATUS_OK; /* no header: whether that is damage, the walk's end decides */
    if (wal->has_log && !wal_log_id_equal(wal->log, header.log))
        return say(STATUS_FOREIGN, why, name, "belongs to another log than its neighbours");
    if (header.file_id != segment->file_id)
        return say(STATUS_DAMAGED, why, name, "holds the bytes of another file of the log");
    wal->log = header.log;
    wal->has_log = true;
    segment->header = header;
    if (header.life >= wal->next_life) {
        wal->next_life = header.life + 1;
        wal->first_life = header.first_life;
    }
    return STATUS_OK;
}

/* Its space may be what the next segment needs. */
static enum status draft_remove(struct wal *wal, const char *name, char why[WAL_WHY_SIZE])
{
    char path[IO_PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", wal->dir, name);
    if (io_file_remove(wal->io, path) == STATUS_IO)
        return say(STATUS_IO, why, name, "cannot be removed");
    return STATUS_OK;
}

static enum status file_found(struct wal *wal, const char *name, char why[WAL_WHY_SIZE])
{
    uint64_t file_id;
    bool is_draft;
    struct wal_segment *segment;
    if (!wal_file_id_of_name(name, &file_id, &is_draft))
        return STATUS_OK;
    if (is_draft)
        return draft_remove(wal, name, why);
    enum status status = wal_segment_open(wal, file_id, &segment);
    if (status)
        return say(STATUS_IO, why, name, cause_or(status, "cannot be opened"));
    if (file_id >= wal->next_file_id)
        wal->next_file_id = file_id + 1;
    if (!wal->recovery.found.count)
        wal_doubt_note(wal, WAL_NEVER); /* should this process hear no more of the sync */
    wal_files_add(&wal->recovery.found, segment);
    if (io_file_refresh(wal->io, segment->file)) /* WAL-1: what is recovered is on the disk */
        return say(STATUS_IO, why, name, "cannot be synced; check the disk");
    return header_read(wal, segment, name, why);
}

static enum status files_find(struct wal *wal, char why[WAL_WHY_SIZE])
{
    char *names = NULL;
    size_t count = 0;
    uint64_t left = wal->doubt.position;
    enum status status = io_dir_list(wal->io, wal->dir, &names, &count);
    if (status)
        return say(STATUS_IO, why, wal->dir, cause_or(status, "cannot be listed"));
    const char *name = names;
    for (size_t i = 0; !status && i < count; i++, name += strlen(name) + 1)
        status = file_found(wal, name, why);
    memory_free(names);
    if (status != STATUS_IO && wal->recovery.found.count)
        wal_doubt_note(wal, left);
    return status;
}

/* The directory's own name must be durable, or all that it holds goes with it (WAL-1). */
static enum status dir_name_sync(struct wal *wal)
{
    char parent[IO_PATH_SIZE];
    const char *slash = strrchr(wal->dir, '/');
    int size = slash ? (int)(slash - wal->dir) : 0;
    if (slash)
        snprintf(parent, sizeof parent, "%.*s/", size, wal->dir);
    else
        snprintf(parent, sizeof parent, ".");
    return io_dir_sync(wal->io, parent);
}

static enum status dir_take(struct wal *wal, char why[WAL_WHY_SIZE])
{
    enum status status = io_dir_make(wal->io, wal->dir);
    if (status)
        return say(status == STATUS_NO_SPACE ? status : STATUS_IO, why, wal->dir,
                   cause_or(status, "cannot be made"));
    status = io_dir_lock(wal->io, wal->dir);
    if (status == STATUS_IN_USE)
        return say(status, why, wal->dir, "is used by another process");
    if (status)
        return say(status, why, wal->dir, cause_or(status, "cannot be locked"));
    status = dir_name_sync(wal);
    if (status)
        return say(STATUS_IO, why, wal->dir,
                   cause_or(status, "the directory above it cannot be synced"));
    return STATUS_OK;
}

static struct wal *wal_of_options(struct io *io, const struct wal_options *options)
{
    struct wal *wal = memory_zeroed(1, sizeof *wal);
    uint64_t size = options->segment_size ? options->segment_size : WAL_SEGMENT_SIZE_DEFAULT;
    wal->io = io;
    wal->dir = memory_copy_text(options->dir);
    wal->segment_size = size < WAL_SEGMENT_SIZE_MIN ? WAL_SEGMENT_SIZE_MIN : size;
    wal->tag = options->tag;
    wal->interval_ns = options->interval_ns;
    wal->faults = options->faults;
    wal->next_file_id = wal->next_life = 1;
    wal->interval_due_ns = WAL_NEVER;
    wal_batch_init(&wal->open);
    buffer_init(&wal->run, 256);
    return wal;
}

enum status wal_open(struct io *io, const struct wal_options *options, struct wal **out,
                     char why[WAL_WHY_SIZE])
{
    if (strlen(options->dir) > DIR_SIZE_MAX)
        return say(STATUS_INVALID, why, options->dir, "the name is too long");
    struct wal *wal = wal_of_options(io, options);
    enum status status = dir_take(wal, why);
    if (!status) {
        wal_doubt_find(wal);
        status = files_find(wal, why);
    }
    if (status) {
        wal_close(wal);
        return status;
    }
    wal->was_empty = !wal->has_log;
    *out = wal;
    return STATUS_OK;
}

void wal_close(struct wal *wal)
{
    if (!wal)
        return;
    wal_files_close(wal, &wal->recovery.found);
    wal_files_close(wal, &wal->chain);
    wal_files_close(wal, &wal->spares);
    wal_doubt_close(wal);
    wal_reads_deinit(wal);
    wal_files_deinit(&wal->recovery.found);
    wal_files_deinit(&wal->chain);
    wal_files_deinit(&wal->spares);
    wal_groups_deinit(wal);
    memory_free(wal->recovery.window.bytes);
    buffer_deinit(&wal->open.bytes);
    buffer_deinit(&wal->run);
    memory_free(wal->dir);
    memory_free(wal);
}
