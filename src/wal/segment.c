#include "wal/log.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

void wal_files_add(struct wal_files *files, struct wal_segment *segment)
{
    if (files->count == files->capacity) {
        files->capacity = files->capacity ? files->capacity * 2 : 4;
        files->at = memory_resize(files->at, files->capacity * sizeof *files->at);
    }
    files->at[files->count++] = segment;
}

struct wal_segment *wal_files_remove(struct wal_files *files, size_t at)
{
    struct wal_segment *segment = files->at[at];
    assert(at < files->count);
    files->count--;
    memmove(files->at + at, files->at + at + 1, (files->count - at) * sizeof *files->at);
    return segment;
}

void wal_files_close(struct wal *wal, struct wal_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        io_file_close(wal->io, files->at[i]->file);
}

void wal_files_deinit(struct wal_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        memory_free(files->at[i]);
    memory_free(files->at);
    *files = (struct wal_files){0};
}

void wal_file_path(const struct wal *wal, uint64_t file_id, char path[IO_PATH_SIZE])
{
    int size =
        snprintf(path, IO_PATH_SIZE, "%s/%016llx.wal", wal->dir, (unsigned long long)file_id);
    assert(size > 0 && size < IO_PATH_SIZE);
}

bool wal_file_id_of_name(const char *name, uint64_t *out, bool *is_draft)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 16; i++) {
        char c = name[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *out = value;
    *is_draft = strcmp(name + 16, ".wal.tmp") == 0;
    return (*is_draft || strcmp(name + 16, ".wal") == 0) && value != 0;
}

enum status wal_segment_open(struct wal *wal, uint64_t file_id, struct wal_segment **out)
{
    char path[IO_PATH_SIZE];
    struct io_file file;
    uint64_t size = 0;
    wal_file_path(wal, file_id, path);
    enum status status = io_file_open(wal->io, path, IO_FILE_WRITE, &file);
    if (status)
        return status;
    status = io_file_size(wal->io, file, &size);
    if (status) {
        io_file_close(wal->io, file);
        return status;
    }
    struct wal_segment *segment = memory_zeroed(1, sizeof *segment);
    segment->file_id = file_id;
    segment->size = size / IO_BLOCK_SIZE * IO_BLOCK_SIZE;
    segment->file = file;
    *out = segment;
    return STATUS_OK;
}

/* The end mark: what cuts a file short takes this first, not records; and it shows at a glance
 * whether a file is whole. Nothing relies on it: a full disk does without. */
static enum status mark_end(struct wal *wal, const struct wal_segment *segment)
{
    char mark[WAL_END_MARK_SIZE + 1];
    int length = snprintf(mark, sizeof mark, "holdfast log file %016llx ends at %020llu\n",
                          (unsigned long long)segment->file_id, (unsigned long long)segment->size);
    memset(mark + length, '.', sizeof mark - (size_t)length);
    struct slice piece = slice_of(mark, WAL_END_MARK_SIZE);
    enum status status = io_file_write(wal->io, segment->file, &piece, 1, segment->size);
    return status == STATUS_IO ? STATUS_IO : STATUS_OK;
}

uint64_t wal_segment_size_now(const struct wal *wal)
{
    uint64_t size = wal->segment_size, free_bytes;
    if (io_space(wal->io, wal->dir, &free_bytes) == STATUS_OK && free_bytes / 8 < size)
        size = free_bytes / 8;
    if (size < WAL_SEGMENT_SIZE_MIN)
        size = WAL_SEGMENT_SIZE_MIN;
    return wal_round_up(size, IO_BLOCK_SIZE);
}

static enum status fill_with_zeros(struct wal *wal, struct io_file file, uint64_t size)
{
    size_t step = 256u << 10;
    uint8_t *zeros = memory_zeroed(1, step);
    enum status status = STATUS_OK;
    for (uint64_t offset = 0; !status && offset < size; offset += step) {
        struct slice piece = slice_of(zeros, size - offset < step ? size - offset : step);
        status = io_file_write(wal->io, file, &piece, 1, offset);
    }
    memory_free(zeros);
    return status;
}

/* Not synced: the first batch's sync does it. The name must be durable before that batch is said to
 * be (WAL-1). */
enum status wal_spare_create(struct wal *wal)
{
    char path[IO_PATH_SIZE];
    struct io_file file;
    struct wal_segment *segment;
    uint64_t file_id = wal->next_file_id++, size = wal_segment_size_now(wal);
    if (size > WAL_FIRST_SEGMENT_SIZE)
        size = WAL_FIRST_SEGMENT_SIZE;
    wal_file_path(wal, file_id, path);
    enum status status = io_file_open(wal->io, path, IO_FILE_CREATE, &file);
    if (status)
        return status;
    status = fill_with_zeros(wal, file, size);
    io_file_close(wal->io, file);
    if (!status)
        status = io_dir_sync(wal->io, wal->dir);
    if (!status)
        status = wal_segment_open(wal, file_id, &segment);
    if (!status) {
        wal_files_add(&wal->spares, segment);
        return mark_end(wal, segment);
    }
    return io_file_remove(wal->io, path) == STATUS_IO ? STATUS_IO : status;
}

bool wal_spare_find(const struct wal *wal, uint64_t size, size_t *at)
{
    bool found = false;
    for (size_t i = 0; i < wal->spares.count; i++) {
        uint64_t has = wal->spares.at[i]->size;
        if (has >= size && (!found || has < wal->spares.at[*at]->size)) {
            *at = i;
            found = true;
        }
    }
    return found;
}

/* A file that comes back after a power cut because its removal was not durable is a spare again: no
 * harm (V4). A removal that fails wastes space only. */
void wal_spare_keep(struct wal *wal, struct wal_segment *segment)
{
    char path[IO_PATH_SIZE];
    bool fits = segment->size >= WAL_SEGMENT_SIZE_MIN && segment->size <= 2 * wal->segment_size;
    if (fits && wal->spares.count < WAL_SPARES_MAX) {
        wal_files_add(&wal->spares, segment);
        return;
    }
    wal_file_path(wal, segment->file_id, path);
    io_file_close(wal->io, segment->file);
    if (io_file_remove(wal->io, path) == STATUS_IO)
        wal->failed = true;
    memory_free(segment);
}

void wal_prepare_consider(struct wal *wal, uint64_t now_ns)
{
    char path[IO_PATH_SIZE];
    size_t at = 0;
    bool wanted = wal->prepare_wanted ? !wal_spare_find(wal, wal->prepare_wanted, &at)
                                      : wal->spares.count == 0;
    if (!wanted || wal->preparing || wal->failed || now_ns < wal->prepare_retry_ns)
        return;
    uint64_t size = wal_segment_size_now(wal);
    if (size < wal->prepare_wanted)
        size = wal_round_up(wal->prepare_wanted, IO_BLOCK_SIZE);
    wal->preparing = true;
    wal->prepare_retry_ns = 0;
    wal->prepare_file_id = wal->next_file_id++;
    wal_file_path(wal, wal->prepare_file_id, path);
    io_file_prepare_start(wal->io, path, size, wal->tag + WAL_TAG_PREPARE);
}

/* WAL-7: a full disk is not fatal; the next attempt may choose a smaller size. */
enum status wal_prepare_done(struct wal *wal, enum status status)
{
    struct wal_segment *segment;
    wal->preparing = false;
    wal->disk_is_full = status == STATUS_NO_SPACE;
    if (wal->disk_is_full) {
        wal->prepare_retry_ns = io_now_ns(wal->io) + WAL_PREPARE_RETRY_NS;
        return STATUS_OK;
    }
    if (!status)
        status = wal_segment_open(wal, wal->prepare_file_id, &segment);
    if (status)
        return STATUS_IO;
    wal_files_add(&wal->spares, segment);
    if (mark_end(wal, segment))
        return STATUS_IO;
    wal_prepare_consider(wal, io_now_ns(wal->io));
    return STATUS_OK;
}

/* The segment that is being written is never free: were the next opening torn, its states would be
 * the only ones. */
uint64_t wal_first_life_needed(const struct wal *wal)
{
    size_t i = 0;
    if (!wal->chain.count)
        return wal->next_life;
    while (i + 1 < wal->chain.count && wal->chain.at[i]->places == 0 &&
           !wal->chain.at[i]->has_set_aside)
        i++;
    return wal->chain.at[i]->header.life;
}

void wal_recycle(struct wal *wal)
{
    size_t at = 0;
    while (wal->chain.count > 1) {
        struct wal_segment *oldest = wal->chain.at[0];
        if (oldest->header.life >= wal->first_life_durable || oldest->reads)
            break;
        assert(oldest->places == 0 && !oldest->has_set_aside); /* LEDGER-1 */
        wal_spare_keep(wal, wal_files_remove(&wal->chain, 0));
    }
    if (wal->disk_is_full && wal_spare_find(wal, wal->prepare_wanted, &at))
        wal->disk_is_full = false;
}
