/* list.c - the files that are there, and which of them stay. */
#include "snapshot/inside.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

enum status snapshot_say(enum status status, char why[SNAPSHOT_WHY_SIZE], const char *name,
                         const char *text)
{
    snprintf(why, SNAPSHOT_WHY_SIZE, "%.120s: %s", name, text);
    return status;
}

/* ---- one file ---- */

struct snapshot_file *snapshot_file_create(const struct snapshots *snapshots, struct buffer *header)
{
    struct snapshot_file *file = memory_zeroed(1, sizeof *file);
    struct snapshot *snapshot = &file->snapshot;
    file->refs = 1;
    file->header = *header;
    buffer_init(header, header->size_max);
    snapshot->header = slice_of_buffer(&file->header);
    enum status status =
        snapshot_header_load(snapshot->header, snapshots->cluster, &snapshot->meta);
    assert(status == STATUS_OK);
    snapshot->size = snapshot->header.size;
    file->seed = snapshot_header_seed(snapshot->header);
    int size = snprintf(file->path, sizeof file->path, "%s/%016llx-%016llx.snap", snapshots->dir,
                        (unsigned long long)snapshot->meta.group.value,
                        (unsigned long long)snapshot->meta.index);
    assert(size > 0 && size < IO_PATH_SIZE);
    return file;
}

struct snapshot_file *snapshot_file_ref(struct snapshot_file *file)
{
    file->refs++;
    return file;
}

void snapshot_file_unref(struct snapshot_file *file)
{
    assert(file->refs > 0);
    if (--file->refs)
        return;
    buffer_deinit(&file->header);
    memory_free(file->chunks);
    memory_free(file);
}

const char *snapshot_file_name(const struct snapshot_file *file)
{
    return strrchr(file->path, '/') + 1;
}

/* Where the next chunk must begin (N3). */
static struct store_position next_position(const struct snapshot *snapshot)
{
    if (!snapshot->count)
        return (struct store_position){.slot = 0};
    return snapshot_position_after(snapshot->chunks[snapshot->count - 1].last);
}

enum status snapshot_file_add(struct snapshot_file *file,
                              const struct snapshot_chunk_header *header)
{
    struct snapshot *snapshot = &file->snapshot;
    struct store_position next = next_position(snapshot);
    struct snapshot_chunk chunk = header->chunk;
    if (header->number != snapshot->count || header->number >= SNAPSHOT_CHUNKS_MAX ||
        chunk.first.slot != next.slot || chunk.first.hash != next.hash)
        return STATUS_DAMAGED;
    if (snapshot->count == file->capacity) {
        file->capacity = file->capacity ? file->capacity * 2 : 8;
        file->chunks = memory_resize(file->chunks, file->capacity * sizeof *file->chunks);
    }
    chunk.offset = snapshot->size;
    file->chunks[snapshot->count++] = chunk;
    snapshot->chunks = file->chunks;
    snapshot->size += chunk.size;
    snapshot->keys += chunk.keys;
    snapshot->content += chunk.content;
    snapshot->raw_size += chunk.raw_size;
    return STATUS_OK;
}

/* ---- all of them ---- */

/* By the term first: one of a history that an unsure election made void may reach further (R4), and
 * is older all the same. */
static bool is_before(const struct snapshot_file *a, const struct snapshot_file *b)
{
    const struct snapshot_meta *x = &a->snapshot.meta, *y = &b->snapshot.meta;
    if (x->group.value != y->group.value)
        return x->group.value < y->group.value;
    return x->term != y->term ? x->term < y->term : x->index < y->index;
}

static void drop_at(struct snapshots *snapshots, size_t at)
{
    snapshot_file_unref(snapshots->files[at]);
    memmove(snapshots->files + at, snapshots->files + at + 1,
            (--snapshots->count - at) * sizeof *snapshots->files);
}

void snapshot_list_add(struct snapshots *snapshots, struct snapshot_file *file)
{
    size_t at = 0;
    for (size_t i = snapshots->count; i-- > 0;)
        if (strcmp(snapshots->files[i]->path, file->path) == 0)
            drop_at(snapshots, i); /* a bad one of that name, or a void one, was replaced */
    while (at < snapshots->count && is_before(snapshots->files[at], file))
        at++;
    if (snapshots->count == snapshots->capacity) {
        snapshots->capacity = snapshots->capacity ? snapshots->capacity * 2 : 8;
        snapshots->files =
            memory_resize(snapshots->files, snapshots->capacity * sizeof(struct snapshot_file *));
    }
    memmove(snapshots->files + at + 1, snapshots->files + at,
            (snapshots->count - at) * sizeof *snapshots->files);
    snapshots->files[at] = file;
    snapshots->count++;
}

void snapshots_newest_two(const struct snapshots *snapshots, struct group_id group,
                          const struct snapshot **newer, const struct snapshot **older)
{
    *newer = *older = NULL;
    for (size_t i = snapshots->count; i-- > 0 && !*older;) {
        const struct snapshot_file *file = snapshots->files[i];
        if (file->is_bad || !group_id_equal(file->snapshot.meta.group, group))
            continue;
        if (*newer)
            *older = &file->snapshot;
        else
            *newer = &file->snapshot;
    }
}

/* Removes those of the group before `keep` (NULL: all), in the background. One that comes back
 * because its removal was not durable is found at the next open and goes again with the next
 * snapshot. */
static void remove_before(struct snapshots *snapshots, struct group_id group,
                          const struct snapshot *keep)
{
    size_t kept = 0;
    bool goes = true;
    for (size_t i = 0; i < snapshots->count; i++) {
        struct snapshot_file *file = snapshots->files[i];
        goes &= &file->snapshot != keep;
        if (goes && group_id_equal(file->snapshot.meta.group, group)) {
            io_file_remove_start(snapshots->io, file->path, snapshots->tag + SNAPSHOT_TAG_REMOVE);
            snapshot_file_unref(file);
        } else {
            snapshots->files[kept++] = file;
        }
    }
    snapshots->count = kept;
}

void snapshot_list_prune(struct snapshots *snapshots, struct group_id group)
{
    const struct snapshot *newer, *older;
    _Static_assert(SNAPSHOT_KEPT == 2, "newest_two");
    snapshots_newest_two(snapshots, group, &newer, &older);
    if (older)
        remove_before(snapshots, group, older);
    snapshot_spares_drop(snapshots, group);
}

bool snapshots_is_writing(const struct snapshots *snapshots, struct group_id group)
{
    for (size_t i = 0; i < SNAPSHOT_WRITERS_MAX; i++)
        if (snapshots->writers[i] &&
            group_id_equal(snapshots->writers[i]->file->snapshot.meta.group, group))
            return true;
    return false;
}

void snapshots_forget(struct snapshots *snapshots, struct group_id group)
{
    for (size_t i = 0; i < SNAPSHOT_WRITERS_MAX; i++)
        assert(!snapshots->writers[i] || snapshots->writers[i]->ended ||
               !group_id_equal(snapshots->writers[i]->file->snapshot.meta.group, group));
    remove_before(snapshots, group, NULL);
    snapshot_spares_drop(snapshots, group);
}

void snapshot_list_complain(struct snapshots *snapshots, const char *why)
{
    size_t count = snapshots->complaint_count + 1;
    snapshots->complaints = memory_resize(snapshots->complaints, count * sizeof(char *));
    snapshots->complaints[snapshots->complaint_count++] = memory_copy_text(why);
}

const char *snapshots_complaint(const struct snapshots *snapshots, size_t number)
{
    return number < snapshots->complaint_count ? snapshots->complaints[number] : NULL;
}

void snapshot_list_spoil(struct snapshots *snapshots, struct snapshot_file *file, const char *why)
{
    if (!file->is_bad)
        snapshot_list_complain(snapshots, why);
    file->is_bad = true;
}

void snapshot_list_deinit(struct snapshots *snapshots)
{
    for (size_t i = 0; i < snapshots->count; i++)
        snapshot_file_unref(snapshots->files[i]);
    snapshot_spares_deinit(snapshots);
    for (size_t i = 0; i < snapshots->complaint_count; i++)
        memory_free(snapshots->complaints[i]);
    memory_free(snapshots->files);
    memory_free(snapshots->complaints);
}
