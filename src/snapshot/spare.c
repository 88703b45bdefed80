/* spare.c - what was received before, and is used again.
 *
 *     outline of the new one, chunk by chunk:  equal in a spare or a file of the group? --> copied
 *                                              else --> asked for
 *
 * A spare is a part of a snapshot that was received and not finished, on the disk as it was left:
 * header and whole chunks. Two chunks are equal when they cover the same keys' places, have as many
 * keys, and the same content hash and size: the hash seed is the partition's, so it is the same in
 * all of them. The bytes are checked when they are read. */
#include "snapshot/inside.h"

#include "base/memory.h"

#include <assert.h>

#define OUTLINE_SIZE 40 /* u32 last slot, u32 0, u64 last hash, keys, content hash, raw size */

/* ---- the list ---- */

static void remove_at(struct snapshots *snapshots, size_t at)
{
    struct snapshot_file *file = snapshots->spares[at];
    io_file_remove_start(snapshots->io, file->path, snapshots->tag + SNAPSHOT_TAG_REMOVE);
    snapshot_file_unref(file);
    memmove(snapshots->spares + at, snapshots->spares + at + 1,
            (--snapshots->spare_count - at) * sizeof *snapshots->spares);
}

void snapshot_spares_drop(struct snapshots *snapshots, struct group_id group)
{
    for (size_t i = snapshots->spare_count; i-- > 0;)
        if (group_id_equal(snapshots->spares[i]->snapshot.meta.group, group))
            remove_at(snapshots, i);
}

/* A spare is worth what it holds: past SNAPSHOT_SPARES_MAX of a group the smallest one goes. */
void snapshot_spares_add(struct snapshots *snapshots, struct snapshot_file *file)
{
    size_t count = snapshots->spare_count + 1, of_group = 0, smallest = 0;
    snapshots->spares = memory_resize(snapshots->spares, count * sizeof *snapshots->spares);
    snapshots->spares[snapshots->spare_count++] = file;
    for (size_t i = 0; i < count; i++) {
        const struct snapshot *other = &snapshots->spares[i]->snapshot;
        if (!group_id_equal(other->meta.group, file->snapshot.meta.group))
            continue;
        if (!of_group++ || other->raw_size < snapshots->spares[smallest]->snapshot.raw_size)
            smallest = i;
    }
    if (of_group > SNAPSHOT_SPARES_MAX)
        remove_at(snapshots, smallest);
}

void snapshot_spares_deinit(struct snapshots *snapshots)
{
    for (size_t i = 0; i < snapshots->spare_count; i++)
        snapshot_file_unref(snapshots->spares[i]);
    memory_free(snapshots->spares);
}

void snapshot_receive_keep(struct snapshot_writer *writer)
{
    bool has_some = writer && !writer->packer && writer->file->snapshot.count &&
                    (writer->state == SNAPSHOT_FILLING || writer->state == SNAPSHOT_SETTLING ||
                     writer->state == SNAPSHOT_WAITING);
    if (!has_some) {
        snapshot_end(writer);
        return;
    }
    struct snapshot_file *file = snapshot_file_ref(writer->file); /* SNAP-6 */
    struct snapshots *snapshots = writer->snapshots;
    memcpy(file->path, writer->draft, sizeof file->path);
    snapshot_writer_destroy(writer);
    snapshot_spares_add(snapshots, file);
}

/* ---- the outline ---- */

void snapshot_outline_store(const struct snapshot *snapshot, struct buffer *out)
{
    for (uint32_t i = 0; i < snapshot->count; i++) {
        uint8_t at[OUTLINE_SIZE];
        const struct snapshot_chunk *chunk = &snapshot->chunks[i];
        store_u32(at, chunk->last.slot);
        store_u32(at + 4, 0);
        store_u64(at + 8, chunk->last.hash);
        store_u64(at + 16, chunk->keys);
        store_u64(at + 24, chunk->content);
        store_u64(at + 32, chunk->raw_size);
        enum status status = buffer_append(out, at, sizeof at);
        assert(status == STATUS_OK); /* its maximum holds the largest table */
    }
}

enum status snapshot_receive_outline(struct snapshot_writer *writer, struct slice bytes,
                                     uint32_t count)
{
    if (bytes.size != (size_t)count * OUTLINE_SIZE || writer->outline || !count)
        return STATUS_DAMAGED;
    struct store_position next = {.slot = 0};
    writer->outline = memory_zeroed(count, sizeof *writer->outline);
    writer->outline_count = count;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = bytes.at + (size_t)i * OUTLINE_SIZE;
        writer->outline[i] = (struct snapshot_chunk){.first = next,
                                                     .last = {load_u32(at), load_u64(at + 8)},
                                                     .keys = load_u64(at + 16),
                                                     .content = load_u64(at + 24),
                                                     .raw_size = load_u64(at + 32)};
        next = snapshot_position_after(writer->outline[i].last);
    }
    return STATUS_OK;
}

/* ---- equal chunks ---- */

static bool is_equal(const struct snapshot_chunk *a, const struct snapshot_chunk *b)
{
    return a->first.slot == b->first.slot && a->first.hash == b->first.hash &&
           a->last.slot == b->last.slot && a->last.hash == b->last.hash && a->keys == b->keys &&
           a->content == b->content && a->raw_size == b->raw_size;
}

static bool begins_before(const struct snapshot_chunk *a, const struct snapshot_chunk *b)
{
    return a->first.slot != b->first.slot ? a->first.slot < b->first.slot
                                          : a->first.hash < b->first.hash;
}

static bool find_in(const struct snapshot_file *file, const struct snapshot_chunk *wanted,
                    uint32_t *number)
{
    uint32_t from = 0, to = file->snapshot.count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (begins_before(&file->chunks[middle], wanted))
            from = middle + 1;
        else
            to = middle;
    }
    *number = from;
    return from < file->snapshot.count && is_equal(&file->chunks[from], wanted);
}

static bool is_of_use(const struct snapshot_writer *writer, const struct snapshot_file *file)
{
    const struct snapshot_meta *a = &writer->file->snapshot.meta, *b = &file->snapshot.meta;
    return !file->is_bad && file->snapshot.count && group_id_equal(a->group, b->group) &&
           a->hash_seed == b->hash_seed;
}

/* The n-th file in which to look; NULL past the last. */
static struct snapshot_file *place_at(const struct snapshots *snapshots, size_t n)
{
    if (n < snapshots->spare_count)
        return snapshots->spares[n];
    n -= snapshots->spare_count;
    return n < snapshots->count ? snapshots->files[n] : NULL;
}

bool snapshot_receive_may_reuse(const struct snapshot_writer *writer)
{
    struct snapshot_file *file;
    for (size_t i = 0; (file = place_at(writer->snapshots, i)); i++)
        if (is_of_use(writer, file))
            return true;
    return false;
}

/* NULL: nobody here has chunk `number`. */
static struct snapshot_file *find(const struct snapshot_writer *writer, uint32_t number,
                                  uint32_t *there)
{
    struct snapshot_file *file;
    if (number >= writer->outline_count)
        return NULL;
    for (size_t i = 0; (file = place_at(writer->snapshots, i)); i++)
        if (is_of_use(writer, file) && find_in(file, &writer->outline[number], there))
            return file;
    return NULL;
}

uint32_t snapshot_receive_missing(const struct snapshot_writer *writer, uint32_t most)
{
    uint32_t first = writer->file->snapshot.count, count = 0, there;
    if (!writer->outline)
        return most;
    while (count < most && first + count < writer->outline_count &&
           !find(writer, first + count, &there))
        count++;
    return count;
}

/* ---- copying ---- */

static bool is_read_from(const struct snapshot_writer *writer, const struct snapshot_file *file)
{
    return writer->reuse && snapshot_reader_of(writer->reuse) == &file->snapshot;
}

/* OK: the chunk is read. AGAIN: not now. NOT_FOUND: nobody has it, or he cannot be read. */
static enum status begin_read(struct snapshot_writer *writer)
{
    uint32_t there;
    char why[SNAPSHOT_WHY_SIZE];
    enum status status = STATUS_OK;
    struct snapshot_file *file = find(writer, writer->file->snapshot.count, &there);
    if (!file)
        return STATUS_NOT_FOUND;
    if (!is_read_from(writer, file)) {
        snapshot_reader_close(writer->reuse);
        writer->reuse = NULL;
        status = snapshot_reader_open_file(writer->snapshots, file, &writer->reuse, why);
    }
    if (status == STATUS_IN_USE)
        return STATUS_AGAIN;
    if (status) {
        snapshot_list_spoil(writer->snapshots, file, why);
        return STATUS_NOT_FOUND;
    }
    snapshot_read_start(writer->reuse, there);
    writer->reads = true;
    return STATUS_OK;
}

enum status snapshot_receive_reuse(struct snapshot_writer *writer, char why[SNAPSHOT_WHY_SIZE])
{
    struct slice bytes;
    if (writer->state == SNAPSHOT_FAILED)
        return snapshot_receive_chunk(writer, slice_of(NULL, 0), why);
    if (writer->state != SNAPSHOT_FILLING)
        return STATUS_NOT_FOUND;
    enum status status = writer->reads ? STATUS_OK : begin_read(writer);
    if (status)
        return status;
    status = snapshot_read_result(writer->reuse, &bytes, why);
    if (status == STATUS_AGAIN || (!status && snapshot_draft_is_ahead(writer)))
        return STATUS_AGAIN;
    writer->reads = false;
    if (status) { /* named by its directory and not looked at any more: another one, or the peer */
        snapshot_reader_close(writer->reuse);
        writer->reuse = NULL;
        return STATUS_OK;
    }
    status = snapshot_receive_copy(writer, bytes, why);
    if (!status && writer->file->snapshot.count < writer->outline_count)
        (void)begin_read(writer); /* while the turn goes on */
    return status;
}
