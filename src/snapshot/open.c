/* open.c - the directory at a start, and events later. */
#include "snapshot/inside.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_ROOM    64 /* of a file, with the slash */
#define DIR_SIZE_MAX (IO_PATH_SIZE - NAME_ROOM)

/* ---- names ---- */

static bool take_hex(const char **name, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 16; i++) {
        char c = (*name)[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *name += 16;
    *out = value;
    return true;
}

struct found_name {
    uint64_t group, index, number; /* number: of a draft or a part */
    bool is_draft, is_part;
};

static bool name_is_ours(const char *name, struct found_name *out)
{
    char *end = NULL;
    const char *rest = name;
    *out = (struct found_name){.group = 0};
    if (!take_hex(&rest, &out->group) || *rest++ != '-' || !take_hex(&rest, &out->index))
        return false;
    if (strcmp(rest, ".snap") == 0)
        return true;
    if (rest[0] != '-' || rest[1] == '.')
        return false;
    out->number = strtoull(rest + 1, &end, 10);
    out->is_part = strcmp(end, "." SNAPSHOT_PART) == 0;
    size_t size = strlen(rest), ending = sizeof SNAPSHOT_DRAFT;
    out->is_draft = size > ending && strcmp(rest + size - ending, "." SNAPSHOT_DRAFT) == 0;
    return out->is_draft || out->is_part;
}

/* ---- one file ---- */

struct finding {
    struct snapshots *snapshots;
    struct io_file handle;
    uint64_t size;
    struct buffer header, table;
    uint8_t footer[SNAPSHOT_FOOTER_SIZE];
};

static enum status read_at(struct finding *finding, uint8_t *into, size_t size, uint64_t offset)
{
    size_t got = 0;
    if (io_file_read(finding->snapshots->io, finding->handle, into, size, offset, &got))
        return STATUS_IO;
    return got == size ? STATUS_OK : STATUS_DAMAGED;
}

static enum status read_more(struct finding *finding, struct buffer *buffer, size_t size,
                             uint64_t offset)
{
    if (offset > finding->size || size > finding->size - offset || buffer_reserve(buffer, size))
        return STATUS_DAMAGED; /* nothing is allocated that the file cannot fill */
    enum status status = read_at(finding, buffer->at + buffer->size, size, offset);
    if (!status)
        buffer->size += size;
    return status;
}

static enum status find_header(struct finding *finding)
{
    size_t size;
    enum status status = read_more(finding, &finding->header, SNAPSHOT_HEADER_SIZE, 0);
    if (!status)
        status = snapshot_header_size(slice_of_buffer(&finding->header), &size);
    if (!status)
        status =
            read_more(finding, &finding->header, size - SNAPSHOT_HEADER_SIZE, SNAPSHOT_HEADER_SIZE);
    return status;
}

/* N3: the table leads from the header to itself, without a gap. */
static enum status find_chunks(struct finding *finding, struct snapshot_file *file)
{
    struct snapshot_footer footer;
    struct snapshot *snapshot = &file->snapshot;
    if (finding->size < snapshot->size + SNAPSHOT_FOOTER_SIZE)
        return STATUS_DAMAGED;
    uint64_t end = finding->size - SNAPSHOT_FOOTER_SIZE;
    enum status status = read_at(finding, finding->footer, SNAPSHOT_FOOTER_SIZE, end);
    if (!status)
        status = snapshot_footer_load(finding->footer, file->seed, &footer);
    if (status)
        return status;
    size_t table_size = (size_t)footer.count * SNAPSHOT_CHUNK_HEADER_SIZE;
    if (footer.size != finding->size || table_size > end - snapshot->size)
        return STATUS_DAMAGED;
    status = read_more(finding, &finding->table, table_size, end - table_size);
    if (status)
        return status;
    if (checksum_seeded(finding->table.at, table_size, file->seed) != footer.table)
        return STATUS_DAMAGED;
    for (uint32_t i = 0; !status && i < footer.count; i++) {
        struct snapshot_chunk_header header;
        const uint8_t *at = finding->table.at + (size_t)i * SNAPSHOT_CHUNK_HEADER_SIZE;
        status = snapshot_chunk_header_load(at, file->seed, &header);
        if (!status)
            status = snapshot_file_add(file, &header);
    }
    if (status || snapshot->size != end - table_size || snapshot->keys != footer.keys ||
        snapshot->content != footer.content || snapshot->raw_size != footer.raw_size)
        return STATUS_DAMAGED;
    snapshot->size = finding->size;
    return STATUS_OK;
}

/* Header, cluster and group of it hold; what follows is looked at by the caller. */
static enum status find_begin(struct finding *finding, const char **what)
{
    struct snapshot_meta meta;
    struct io *io = finding->snapshots->io;
    *what = "cannot be read";
    if (io_file_size(io, finding->handle, &finding->size))
        return STATUS_IO;
    enum status status = find_header(finding);
    *what = status == STATUS_FOREIGN ? "of a newer format" : "its header is damaged";
    if (status)
        return status;
    status =
        snapshot_header_load(slice_of_buffer(&finding->header), finding->snapshots->cluster, &meta);
    if (status == STATUS_FOREIGN)
        *what = "of another cluster";
    return status;
}

static enum status find_whole(struct finding *finding, const char *path, const char **what,
                              struct snapshot_file **out)
{
    enum status status = find_begin(finding, what);
    if (status)
        return status;
    struct snapshot_file *file = snapshot_file_create(finding->snapshots, &finding->header);
    *what = "holds the bytes of another snapshot";
    status = strcmp(file->path, path) == 0 ? STATUS_OK : STATUS_DAMAGED;
    if (!status) {
        *what = "it is not whole, or its table is damaged";
        status = find_chunks(finding, file);
    }
    if (status)
        snapshot_file_unref(file);
    else
        *out = file;
    return status;
}

static enum status find_file(struct snapshots *snapshots, const char *path, const char **what,
                             struct snapshot_file **out)
{
    struct finding finding = {.snapshots = snapshots};
    *what = "cannot be opened";
    if (io_file_open(snapshots->io, path, IO_FILE_READ, &finding.handle))
        return STATUS_IO;
    buffer_init(&finding.header, SNAPSHOT_HEADER_MAX);
    buffer_init(&finding.table, (size_t)SNAPSHOT_CHUNKS_MAX * SNAPSHOT_CHUNK_HEADER_SIZE);
    enum status status = find_whole(&finding, path, what, out);
    buffer_deinit(&finding.header);
    buffer_deinit(&finding.table);
    io_file_close(snapshots->io, finding.handle);
    if (status == STATUS_IO)
        *what = "cannot be read";
    return status;
}

/* ---- parts ---- */

/* The chunks that were written whole before it was left. */
static void find_some(struct finding *finding, struct snapshot_file *file)
{
    struct snapshot_chunk_header header;
    uint8_t head[SNAPSHOT_CHUNK_HEADER_SIZE];
    while (!read_at(finding, head, sizeof head, file->snapshot.size) &&
           !snapshot_chunk_header_load(head, file->seed, &header) &&
           header.chunk.size <= finding->size - file->snapshot.size &&
           !snapshot_file_add(file, &header))
        ;
}

/* False: nothing of it is of use. */
static bool find_part(struct snapshots *snapshots, const char *path)
{
    const char *what;
    struct snapshot_file *file = NULL;
    struct finding finding = {.snapshots = snapshots};
    if (io_file_open(snapshots->io, path, IO_FILE_READ, &finding.handle))
        return false;
    buffer_init(&finding.header, SNAPSHOT_HEADER_MAX);
    if (!find_begin(&finding, &what)) {
        file = snapshot_file_create(snapshots, &finding.header);
        snprintf(file->path, sizeof file->path, "%s", path);
        find_some(&finding, file);
    }
    buffer_deinit(&finding.header);
    io_file_close(snapshots->io, finding.handle);
    bool is_of_use = file && file->snapshot.count;
    if (is_of_use)
        snapshot_spares_add(snapshots, file);
    else if (file)
        snapshot_file_unref(file);
    return is_of_use;
}

/* What it was to become is there. */
static void drop_old_parts(struct snapshots *snapshots)
{
    for (size_t i = snapshots->spare_count; i-- > 0 && i < snapshots->spare_count;) {
        const struct snapshot *newer, *older;
        const struct snapshot_meta *meta = &snapshots->spares[i]->snapshot.meta;
        snapshots_newest_two(snapshots, meta->group, &newer, &older);
        if (newer && newer->meta.index >= meta->index) {
            snapshot_spares_drop(snapshots, meta->group);
            i = snapshots->spare_count;
        }
    }
}

/* ---- the directory ---- */

static enum status name_found(struct snapshots *snapshots, const char *name,
                              char why[SNAPSHOT_WHY_SIZE])
{
    char path[IO_PATH_SIZE];
    struct found_name found;
    const char *what;
    struct snapshot_file *file;
    if (!name_is_ours(name, &found))
        return STATUS_OK;
    if (strlen(name) >= NAME_ROOM || found.group % snapshots->shares != snapshots->share)
        return STATUS_OK;
    snprintf(path, sizeof path, "%s/%s", snapshots->dir, name);
    if (found.number > snapshots->drafts && found.number < UINT64_MAX / 2)
        snapshots->drafts = found.number; /* the next name is free */
    if (found.is_draft ||
        (found.is_part &&
         !find_part(snapshots, path))) { /* SNAP-1: its space may be what the next one needs */
        if (io_file_remove(snapshots->io, path) == STATUS_IO)
            return snapshot_say(STATUS_IO, why, name, "cannot be removed");
        return STATUS_OK;
    }
    if (found.is_part)
        return STATUS_OK;
    if (find_file(snapshots, path, &what, &file) == STATUS_OK) {
        snapshot_list_add(snapshots, file);
    } else { /* SNAP-2: named, never used; and never removed by a start */
        char complaint[SNAPSHOT_WHY_SIZE];
        (void)snapshot_say(STATUS_DAMAGED, complaint, name, what);
        snapshot_list_complain(snapshots, complaint);
    }
    return STATUS_OK;
}

static enum status names_find(struct snapshots *snapshots, char why[SNAPSHOT_WHY_SIZE])
{
    char *names = NULL;
    size_t count = 0;
    if (io_dir_list(snapshots->io, snapshots->dir, &names, &count))
        return snapshot_say(STATUS_IO, why, snapshots->dir, "cannot be listed");
    enum status status = STATUS_OK;
    const char *name = names;
    for (size_t i = 0; !status && i < count; i++, name += strlen(name) + 1)
        status = name_found(snapshots, name, why);
    memory_free(names);
    return status;
}

/* SNAP-4: a name that the last process gave may not be durable yet, and the log before it may be
 * released from now on. The directory's own name is made so, too. */
static enum status dir_take(struct snapshots *snapshots, char why[SNAPSHOT_WHY_SIZE])
{
    char parent[IO_PATH_SIZE];
    const char *slash = strrchr(snapshots->dir, '/');
    int size = slash ? (int)(slash - snapshots->dir) : 0;
    enum status status = io_dir_make(snapshots->io, snapshots->dir);
    if (status)
        return snapshot_say(status == STATUS_NO_SPACE ? status : STATUS_IO, why, snapshots->dir,
                            "cannot be made");
    if (slash)
        snprintf(parent, sizeof parent, "%.*s/", size, snapshots->dir);
    else
        snprintf(parent, sizeof parent, ".");
    if (io_dir_sync(snapshots->io, parent) || io_dir_sync(snapshots->io, snapshots->dir))
        return snapshot_say(STATUS_IO, why, snapshots->dir, "cannot be synced");
    return STATUS_OK;
}

enum status snapshots_open(struct io *io, const struct snapshots_options *options,
                           struct snapshots **out, char why[SNAPSHOT_WHY_SIZE])
{
    if (strlen(options->dir) > DIR_SIZE_MAX)
        return snapshot_say(STATUS_INVALID, why, options->dir, "the name is too long");
    struct snapshots *snapshots = memory_zeroed(1, sizeof *snapshots);
    snapshots->io = io;
    snapshots->dir = memory_copy_text(options->dir);
    snapshots->cluster = options->cluster;
    snapshots->tag = options->tag;
    snapshots->share = options->share;
    snapshots->shares = options->shares ? options->shares : 1;
    snapshots->aside_max = options->aside_max ? options->aside_max : SNAPSHOT_ASIDE_DEFAULT;
    enum status status = dir_take(snapshots, why);
    if (!status)
        status = names_find(snapshots, why);
    if (status) {
        snapshots_close(snapshots);
        return status;
    }
    drop_old_parts(snapshots);
    *out = snapshots;
    return status;
}

void snapshots_close(struct snapshots *snapshots)
{
    if (!snapshots)
        return;
    for (size_t i = 0; i < SNAPSHOT_WRITERS_MAX; i++)
        if (snapshots->writers[i])
            snapshot_writer_destroy(snapshots->writers[i]);
    snapshot_readers_deinit(snapshots);
    snapshot_list_deinit(snapshots);
    memory_free(snapshots->dir);
    memory_free(snapshots);
}

bool snapshots_handle_event(struct snapshots *snapshots, const struct io_event *event)
{
    bool is_of_files =
        event->kind == IO_SYNCED || event->kind == IO_READ_DONE || event->kind == IO_FILE_DONE;
    uint64_t tag = event->tag - snapshots->tag;
    if (!is_of_files || event->tag < snapshots->tag || tag >= SNAPSHOT_TAGS)
        return false;
    if (tag < SNAPSHOT_TAG_READER) {
        if (snapshots->writers[tag])
            snapshot_draft_handle_event(snapshots->writers[tag], event);
    } else if (tag < SNAPSHOT_TAG_REMOVE) {
        struct snapshot_reader *reader = snapshots->readers[tag - SNAPSHOT_TAG_READER];
        if (reader)
            snapshot_reader_handle_event(reader, event);
    }
    return true; /* a removal that failed wastes space, no more */
}

/* ---- for people and tests ---- */

static void put_line(struct buffer *text, const char *line)
{
    enum status status = buffer_append(text, line, strlen(line));
    (void)status; /* a text that is full is cut */
}

void snapshots_dump(const struct snapshots *snapshots, struct buffer *text)
{
    char line[256];
    for (size_t i = 0; i < snapshots->count; i++) {
        const struct snapshot_file *file = snapshots->files[i];
        const struct snapshot *snapshot = &file->snapshot;
        snprintf(line, sizeof line, "group %llu index %llu term %llu: %llu keys, %u chunks%s\n",
                 (unsigned long long)snapshot->meta.group.value,
                 (unsigned long long)snapshot->meta.index, (unsigned long long)snapshot->meta.term,
                 (unsigned long long)snapshot->keys, snapshot->count,
                 file->is_bad ? ", damaged" : "");
        put_line(text, line);
    }
    for (size_t i = 0; i < snapshots->complaint_count; i++) {
        put_line(text, snapshots->complaints[i]);
        put_line(text, "\n");
    }
}

static void validate_writer(const struct snapshots *snapshots, size_t number)
{
    const struct snapshot_writer *writer = snapshots->writers[number];
    assert(writer->snapshots == snapshots && writer->number == number);
    assert(writer->synced <= writer->sync_started && writer->sync_started <= writer->written);
    assert(writer->syncing || writer->synced == writer->sync_started);
    assert(writer->state < SNAPSHOT_WAITING || writer->state == SNAPSHOT_FAILED ||
           writer->synced == writer->written);
    assert(writer->state < SNAPSHOT_PUBLISHING || writer->state == SNAPSHOT_FAILED ||
           writer->confirmed); /* SNAP-4 */
    assert(!writer->ended || writer->state == SNAPSHOT_PUBLISHING);
}

void snapshots_validate(const struct snapshots *snapshots)
{
    for (size_t i = 0; i < snapshots->count; i++) {
        const struct snapshot_file *file = snapshots->files[i];
        const struct snapshot *before = i ? &snapshots->files[i - 1]->snapshot : NULL;
        assert(file->refs > 0 && file->snapshot.chunks == file->chunks);
        assert(!before || before->meta.group.value < file->snapshot.meta.group.value ||
               (group_id_equal(before->meta.group, file->snapshot.meta.group) &&
                before->meta.index < file->snapshot.meta.index));
    }
    for (size_t i = 0; i < SNAPSHOT_WRITERS_MAX; i++)
        if (snapshots->writers[i])
            validate_writer(snapshots, i);
}
