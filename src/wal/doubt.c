/* What an earlier run had only written may be missing: after a power cut, and after a sync that
 * failed, for recovery reads the disk and not what that sync left in the cache (decision 0012).
 *
 * A start on another boot id shows the first. For the second the file `doubt` has a position: a
 * sync of what had been called written, or told by the owner, up to there, was begun. It is put
 * down before the sync, for a process that is killed meanwhile hears of no failure, and nobody else
 * does. A log that ends before it has lost something. The file needs no sync: the cache that still
 * has it is the one that lies, and with another boot the first rule holds. A start, which syncs
 * before it can know how far the log reaches, puts down a position behind all, and then the old one
 * again.
 *
 * The next start that makes anything durable writes its run without a boot id, so that every later
 * start doubts, too, until the owner has noted it where it matters. */
#include "wal/log.h"

#include <stdio.h>

static enum status open_as(struct wal *wal, enum io_file_open_mode mode)
{
    char path[IO_PATH_SIZE];
    snprintf(path, sizeof path, "%s/doubt", wal->dir);
    enum status status = io_file_open(wal->io, path, mode, &wal->doubt.file);
    wal->doubt.is_open = status == STATUS_OK;
    return status;
}

/* As well as it can be: it counts on a disk that fails only. */
void wal_doubt_note(struct wal *wal, uint64_t position)
{
    uint8_t bytes[8];
    struct slice piece = slice_of(bytes, sizeof bytes);
    store_u64(bytes, position);
    if (!wal->doubt.is_open && open_as(wal, IO_FILE_CREATE))
        return;
    if (io_file_write(wal->io, wal->doubt.file, &piece, 1, 0) == STATUS_OK)
        wal->doubt.position = position;
}

void wal_doubt_find(struct wal *wal)
{
    uint8_t bytes[8];
    size_t got = 0;
    if (open_as(wal, IO_FILE_WRITE))
        return;
    bool is_whole = !io_file_read(wal->io, wal->doubt.file, bytes, sizeof bytes, 0, &got) &&
                    got == sizeof bytes;
    wal->doubt.position = is_whole ? load_u64(bytes) : WAL_NEVER;
}

/* The run's own record is durable, and says it now. */
void wal_doubt_settle(struct wal *wal)
{
    if (wal->doubt.position > wal->durable_position)
        wal_doubt_note(wal, 0);
}

void wal_doubt_close(struct wal *wal)
{
    if (wal->doubt.is_open)
        io_file_close(wal->io, wal->doubt.file);
    wal->doubt.is_open = false;
}
