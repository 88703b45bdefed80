/* What an earlier run had only written may be missing: after a power cut, and after a sync that
 * failed, for recovery reads the disk and not what that sync left in the cache (decision 0012).
 *
 * A start on another boot id shows the first. The second leaves a file named `doubt`, which needs
 * no sync: the cache that still has it is the one that lies, and with another boot the first rule
 * holds. The next start that makes anything durable writes its run without a boot id, so that every
 * later start doubts, too, until the owner has noted it where it matters. */
#include "wal/log.h"

#include <stdio.h>

static void name_of(const struct wal *wal, char path[IO_PATH_SIZE])
{
    snprintf(path, IO_PATH_SIZE, "%s/doubt", wal->dir);
}

/* As well as it can be: a disk on which not even that works is not started again on. */
void wal_doubt_note(struct wal *wal)
{
    char path[IO_PATH_SIZE];
    struct io_file file;
    name_of(wal, path);
    if (io_file_open(wal->io, path, IO_FILE_CREATE, &file) == STATUS_OK)
        io_file_close(wal->io, file);
}

void wal_doubt_find(struct wal *wal)
{
    char path[IO_PATH_SIZE];
    struct io_file file;
    name_of(wal, path);
    wal->doubt_noted = io_file_open(wal->io, path, IO_FILE_READ, &file) == STATUS_OK;
    if (wal->doubt_noted)
        io_file_close(wal->io, file);
}

/* The run's own record says it now. That the name is gone need not be durable. */
void wal_doubt_clear(struct wal *wal)
{
    char path[IO_PATH_SIZE];
    if (!wal->doubt_noted)
        return;
    name_of(wal, path);
    wal->doubt_noted = io_file_remove(wal->io, path) != STATUS_OK;
}
