/* draft.c - a file under way: written, synced a little at a time, confirmed, given its name.
 *
 *     FILLING -> SETTLING -> WAITING -> PUBLISHING -> PUBLISHED      or FAILED from each of them */
#include "snapshot/inside.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

/* ---- beginning ---- */

static bool is_under_way(const struct snapshots *snapshots, struct group_id group)
{
    for (size_t i = 0; i < SNAPSHOT_WRITERS_MAX; i++)
        if (snapshots->writers[i] &&
            group_id_equal(snapshots->writers[i]->file->snapshot.meta.group, group))
            return true;
    return false;
}

static enum status refuse(const struct snapshots *snapshots, const struct snapshot_file *file,
                          unsigned *number, char why[SNAPSHOT_WHY_SIZE])
{
    const struct snapshot *newer, *older;
    const char *name = snapshot_file_name(file);
    struct group_id group = file->snapshot.meta.group;
    snapshots_newest_two(snapshots, group, &newer, &older);
    if (newer && newer->meta.index >= file->snapshot.meta.index)
        return snapshot_say(STATUS_EXISTS, why, name, "there is a newer one");
    if (is_under_way(snapshots, group))
        return snapshot_say(STATUS_IN_USE, why, name, "another one of this group is under way");
    for (*number = 0; *number < SNAPSHOT_WRITERS_MAX; ++*number)
        if (!snapshots->writers[*number])
            return STATUS_OK;
    return snapshot_say(STATUS_IN_USE, why, name, "too many are under way");
}

static enum status open_draft(struct snapshot_writer *writer, const char *ending,
                              char why[SNAPSHOT_WHY_SIZE])
{
    struct snapshots *snapshots = writer->snapshots;
    const struct snapshot_meta *meta = &writer->file->snapshot.meta;
    int size =
        snprintf(writer->draft, sizeof writer->draft, "%s/%016llx-%016llx-%llu.%s", snapshots->dir,
                 (unsigned long long)meta->group.value, (unsigned long long)meta->index,
                 (unsigned long long)++snapshots->drafts, ending);
    assert(size > 0 && size < IO_PATH_SIZE);
    enum status status =
        io_file_open(snapshots->io, writer->draft, IO_FILE_CREATE, &writer->handle);
    if (status)
        return snapshot_say(status == STATUS_NO_SPACE ? status : STATUS_IO, why,
                            snapshot_file_name(writer->file), "its draft cannot be made");
    status = snapshot_draft_write(writer, &writer->file->snapshot.header, 1);
    if (status) {
        memcpy(why, writer->why, SNAPSHOT_WHY_SIZE);
        io_file_close(snapshots->io, writer->handle);
        io_file_remove_start(snapshots->io, writer->draft, snapshots->tag + SNAPSHOT_TAG_REMOVE);
    }
    return status;
}

enum status snapshot_draft_open(struct snapshots *snapshots, struct group_id group,
                                struct buffer *header, const char *ending,
                                struct snapshot_writer **out, char why[SNAPSHOT_WHY_SIZE])
{
    unsigned number = 0;
    struct snapshot_file *file = snapshot_file_create(snapshots, header);
    assert(group_id_equal(file->snapshot.meta.group, group));
    enum status status = refuse(snapshots, file, &number, why);
    if (status) {
        snapshot_file_unref(file);
        return status;
    }
    struct snapshot_writer *writer = memory_zeroed(1, sizeof *writer);
    writer->snapshots = snapshots;
    writer->number = number;
    writer->file = file;
    buffer_init(&writer->table, (size_t)SNAPSHOT_CHUNKS_MAX * SNAPSHOT_CHUNK_HEADER_SIZE);
    status = open_draft(writer, ending, why);
    if (status) {
        snapshot_file_unref(file);
        memory_free(writer);
        return status;
    }
    snapshots->writers[number] = writer;
    *out = writer;
    return STATUS_OK;
}

/* ---- writing ---- */

enum status snapshot_draft_fail(struct snapshot_writer *writer, enum status status,
                                const char *text)
{
    writer->state = SNAPSHOT_FAILED;
    writer->failure = status;
    return snapshot_say(status, writer->why, snapshot_file_name(writer->file), text);
}

enum status snapshot_draft_write(struct snapshot_writer *writer, const struct slice *pieces,
                                 size_t count)
{
    enum status status =
        io_file_write(writer->snapshots->io, writer->handle, pieces, count, writer->written);
    if (status == STATUS_NO_SPACE)
        return snapshot_draft_fail(writer, status, "no space left for it");
    if (status)
        return snapshot_draft_fail(writer, STATUS_IO, "cannot be written");
    for (size_t i = 0; i < count; i++)
        writer->written += pieces[i].size;
    return STATUS_OK;
}

static void start_sync(struct snapshot_writer *writer)
{
    assert(!writer->syncing);
    writer->syncing = true;
    writer->sync_started = writer->written;
    io_file_sync_start(writer->snapshots->io, writer->handle, writer->written,
                       writer->snapshots->tag + SNAPSHOT_TAG_WRITER + writer->number);
}

bool snapshot_draft_is_ahead(struct snapshot_writer *writer)
{
    if (!writer->syncing && writer->written - writer->synced >= SNAPSHOT_SYNC_SIZE)
        start_sync(writer);
    return writer->written - writer->synced >= SNAPSHOT_AHEAD_SIZE;
}

enum status snapshot_draft_finish(struct snapshot_writer *writer)
{
    struct snapshot *snapshot = &writer->file->snapshot;
    uint8_t bytes[SNAPSHOT_FOOTER_SIZE];
    assert(writer->state == SNAPSHOT_FILLING && writer->written == snapshot->size);
    snapshot->size += writer->table.size + SNAPSHOT_FOOTER_SIZE;
    struct snapshot_footer footer = {
        .count = snapshot->count,
        .keys = snapshot->keys,
        .content = snapshot->content,
        .raw_size = snapshot->raw_size,
        .size = snapshot->size,
        .table = checksum_seeded(writer->table.at, writer->table.size, writer->file->seed),
    };
    snapshot_footer_store(bytes, writer->file->seed, &footer);
    struct slice pieces[2] = {slice_of_buffer(&writer->table), slice_of(bytes, sizeof bytes)};
    enum status status = snapshot_draft_write(writer, pieces, 2);
    if (!status)
        writer->state = SNAPSHOT_SETTLING;
    buffer_deinit(&writer->table);
    return status;
}

/* ---- what comes after ---- */

static enum status settle(struct snapshot_writer *writer)
{
    if (writer->syncing)
        return STATUS_AGAIN;
    if (writer->synced < writer->written) {
        start_sync(writer);
        return STATUS_AGAIN;
    }
    io_file_close(writer->snapshots->io, writer->handle);
    writer->state = SNAPSHOT_WAITING;
    return STATUS_OK;
}

enum status snapshot_draft_settle(struct snapshot_writer *writer)
{
    struct snapshots *snapshots = writer->snapshots;
    switch (writer->state) {
    case SNAPSHOT_FILLING: assert(false); return STATUS_INVALID;
    case SNAPSHOT_SETTLING: return settle(writer);
    case SNAPSHOT_WAITING:
        if (!writer->confirmed)
            return STATUS_AGAIN;
        assert(writer->synced == writer->written); /* SNAP-1: bytes first, then the name */
        writer->state = SNAPSHOT_PUBLISHING;
        io_file_publish_start(snapshots->io, writer->draft, writer->file->path,
                              snapshots->tag + SNAPSHOT_TAG_WRITER + writer->number);
        return STATUS_AGAIN;
    case SNAPSHOT_PUBLISHING: return STATUS_AGAIN;
    case SNAPSHOT_PUBLISHED: return STATUS_END;
    case SNAPSHOT_FAILED: return writer->failure;
    }
    return STATUS_INVALID;
}

static void synced(struct snapshot_writer *writer, const struct io_event *event)
{
    writer->syncing = false;
    if (event->status) { /* what was written is lost perhaps; a second sync would lie (IO-4) */
        writer->sync_started = writer->synced;
        if (writer->state != SNAPSHOT_FAILED)
            (void)snapshot_draft_fail(writer, STATUS_IO, "cannot be synced; check the disk");
        return;
    }
    assert(event->position == writer->sync_started);
    writer->synced = event->position;
}

static void published(struct snapshot_writer *writer, const struct io_event *event)
{
    struct snapshots *snapshots = writer->snapshots;
    assert(writer->state == SNAPSHOT_PUBLISHING);
    if (event->status) {
        (void)snapshot_draft_fail(writer, STATUS_IO, "its name cannot be made durable");
    } else {
        writer->state = SNAPSHOT_PUBLISHED; /* SNAP-4 */
        snapshot_list_add(snapshots, snapshot_file_ref(writer->file));
        snapshot_list_prune(snapshots, writer->file->snapshot.meta.group);
    }
    if (writer->ended)
        snapshot_writer_destroy(writer);
}

void snapshot_draft_handle_event(struct snapshot_writer *writer, const struct io_event *event)
{
    if (event->kind == IO_SYNCED)
        synced(writer, event);
    else if (event->kind == IO_FILE_DONE)
        published(writer, event);
}
