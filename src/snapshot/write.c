/* write.c - snapshots cut here, and snapshots that come from elsewhere. */
#include "snapshot/inside.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

/* ---- cut here ---- */

enum status snapshot_begin(struct snapshots *snapshots, const struct snapshot_meta *meta,
                           struct store *store, struct snapshot_writer **out,
                           char why[SNAPSHOT_WHY_SIZE])
{
    struct buffer header;
    assert(meta->index > 0 && meta->term > 0);
    if (!store_view_may_begin(store)) {
        snprintf(why, SNAPSHOT_WHY_SIZE, "the store cannot be looked at yet");
        return STATUS_IN_USE;
    }
    buffer_init(&header, SNAPSHOT_HEADER_MAX);
    enum status status = snapshot_header_store(snapshots->cluster, meta, &header);
    if (status) {
        snprintf(why, SNAPSHOT_WHY_SIZE, "what stands beside the keys is larger than %u bytes",
                 SNAPSHOT_HEADER_MAX);
        return status;
    }
    status = snapshot_draft_open(snapshots, meta->group, &header, SNAPSHOT_DRAFT, out, why);
    buffer_deinit(&header);
    if (!status)
        (*out)->packer = snapshot_packer_create(store, snapshots->aside_max);
    return status;
}

/* A part of the chunk that is made, at most SNAPSHOT_PACK_SIZE: what is left of it. */
static size_t cut_piece(struct slice *pieces, const struct slice whole[2], uint64_t done)
{
    size_t count = 0, room = SNAPSHOT_PACK_SIZE;
    for (size_t i = 0; i < 2 && room; i++) {
        if (done >= whole[i].size) {
            done -= whole[i].size;
            continue;
        }
        size_t left = whole[i].size - done;
        pieces[count] = slice_of(whole[i].at + done, left < room ? left : room);
        room -= pieces[count++].size;
        done = 0;
    }
    return count;
}

/* The writer's file has been told of a chunk when its last byte is written. */
static enum status write_chunk(struct snapshot_writer *writer, struct snapshot_chunk_header *header,
                               struct slice payload)
{
    struct snapshot_file *file = writer->file;
    uint8_t head[SNAPSHOT_CHUNK_HEADER_SIZE];
    struct slice pieces[2], whole[2] = {slice_of(head, sizeof head), payload};
    header->number = file->snapshot.count;
    snapshot_chunk_store(head, file->seed, header);
    size_t count = cut_piece(pieces, whole, writer->written - file->snapshot.size);
    enum status status = snapshot_draft_write(writer, pieces, count);
    if (status || writer->written < file->snapshot.size + header->chunk.size)
        return status;
    if (buffer_append(&writer->table, head, sizeof head))
        return snapshot_draft_fail(writer, STATUS_TOO_LARGE, "too many chunks");
    status = snapshot_file_add(file, header);
    assert(status == STATUS_OK);
    snapshot_packer_next(writer->packer);
    return STATUS_OK;
}

static enum status fill(struct snapshot_writer *writer)
{
    struct slice payload;
    if (snapshot_draft_is_ahead(writer))
        return STATUS_AGAIN;
    struct snapshot_chunk_header *header = snapshot_packer_chunk(writer->packer, &payload);
    if (header)
        return write_chunk(writer, header, payload);
    enum status status = snapshot_packer_step(writer->packer);
    if (status == STATUS_TOO_LARGE)
        return snapshot_draft_fail(writer, status,
                                   "given up: too much changed meanwhile, or a key is too large");
    if (status != STATUS_END)
        return status;
    snapshot_packer_destroy(writer->packer); /* writes cost nothing more from here on */
    writer->packer = NULL;
    return snapshot_draft_finish(writer);
}

enum status snapshot_step(struct snapshot_writer *writer, char why[SNAPSHOT_WHY_SIZE])
{
    enum status status = writer->state != SNAPSHOT_FILLING ? snapshot_draft_settle(writer)
                         : writer->packer                  ? fill(writer)
                                                           : STATUS_AGAIN; /* chunks come */
    if (writer->state == SNAPSHOT_FAILED)
        memcpy(why, writer->why, SNAPSHOT_WHY_SIZE);
    return status;
}

void snapshot_confirm(struct snapshot_writer *writer)
{
    writer->confirmed = true;
}

/* ---- from elsewhere ---- */

static const char *header_trouble(enum status status)
{
    return status == STATUS_FOREIGN ? "the snapshot sent is of another cluster or a newer format"
                                    : "the header of the snapshot sent is damaged";
}

enum status snapshot_receive_begin(struct snapshots *snapshots, struct group_id group,
                                   struct slice header, struct snapshot_writer **out,
                                   char why[SNAPSHOT_WHY_SIZE])
{
    struct snapshot_meta meta;
    struct buffer copy;
    enum status status = snapshot_header_load(header, snapshots->cluster, &meta);
    if (status) {
        snprintf(why, SNAPSHOT_WHY_SIZE, "%s", header_trouble(status));
        return status;
    }
    if (!group_id_equal(meta.group, group) || !meta.index || !meta.term) {
        snprintf(why, SNAPSHOT_WHY_SIZE, "the snapshot sent is of another group");
        return STATUS_INVALID;
    }
    buffer_init(&copy, SNAPSHOT_HEADER_MAX);
    status = buffer_append(&copy, header.at, header.size);
    assert(status == STATUS_OK); /* snapshot_header_load knows the same maximum */
    status = snapshot_draft_open(snapshots, group, &copy, SNAPSHOT_PART, out, why);
    buffer_deinit(&copy);
    return status;
}

const struct snapshot_meta *snapshot_receive_meta(const struct snapshot_writer *writer)
{
    return &writer->file->snapshot.meta;
}

uint32_t snapshot_receive_next(const struct snapshot_writer *writer)
{
    return writer->file->snapshot.count;
}

uint64_t snapshot_receive_bytes(const struct snapshot_writer *writer)
{
    return writer->file->snapshot.size;
}

static enum status add_chunk(struct snapshot_writer *writer,
                             const struct snapshot_chunk_header *header, struct slice pieces[2])
{
    struct snapshot_file *file = writer->file;
    struct store_position next = {.slot = 0};
    if (file->snapshot.count)
        next = snapshot_position_after(file->chunks[file->snapshot.count - 1].last);
    if (header->chunk.first.slot != next.slot || header->chunk.first.hash != next.hash)
        return STATUS_DAMAGED;
    if (buffer_append(&writer->table, pieces[0].at, pieces[0].size))
        return snapshot_draft_fail(writer, STATUS_TOO_LARGE, "too many chunks");
    enum status status = snapshot_draft_write(writer, pieces, 2);
    if (status)
        return status;
    return snapshot_file_add(file, header);
}

static void split(struct slice bytes, struct slice pieces[2])
{
    pieces[0] = slice_of(bytes.at, SNAPSHOT_CHUNK_HEADER_SIZE);
    pieces[1] =
        slice_of(bytes.at + SNAPSHOT_CHUNK_HEADER_SIZE, bytes.size - SNAPSHOT_CHUNK_HEADER_SIZE);
}

static enum status receive(struct snapshot_writer *writer, struct slice bytes)
{
    struct slice pieces[2];
    struct snapshot_chunk_header header;
    struct snapshot_file *file = writer->file;
    if (bytes.size < SNAPSHOT_CHUNK_HEADER_SIZE ||
        snapshot_chunk_header_load(bytes.at, file->seed, &header) ||
        snapshot_chunk_check(&header.chunk, file->seed, file->snapshot.count, bytes))
        return STATUS_DAMAGED;
    split(bytes, pieces);
    return add_chunk(writer, &header, pieces);
}

/* The payload is the same; number and seed are this file's. */
enum status snapshot_receive_copy(struct snapshot_writer *writer, struct slice bytes,
                                  char why[SNAPSHOT_WHY_SIZE])
{
    struct slice pieces[2];
    struct snapshot_chunk_header header;
    uint8_t head[SNAPSHOT_CHUNK_HEADER_SIZE];
    uint64_t seed = snapshot_header_seed(snapshot_reader_of(writer->reuse)->header);
    enum status status = snapshot_chunk_header_load(bytes.at, seed, &header);
    assert(status == STATUS_OK); /* the reader has checked it */
    split(bytes, pieces);
    header.number = writer->file->snapshot.count;
    snapshot_chunk_store(head, writer->file->seed, &header);
    pieces[0] = slice_of(head, sizeof head);
    status = add_chunk(writer, &header, pieces);
    if (status)
        memcpy(why, writer->why, SNAPSHOT_WHY_SIZE);
    return status;
}

enum status snapshot_receive_chunk(struct snapshot_writer *writer, struct slice bytes,
                                   char why[SNAPSHOT_WHY_SIZE])
{
    assert(!writer->packer && writer->state != SNAPSHOT_SETTLING);
    enum status status = writer->failure;
    if (writer->state != SNAPSHOT_FAILED) {
        if (snapshot_draft_is_ahead(writer))
            return STATUS_AGAIN;
        status = receive(writer, bytes);
    }
    if (writer->state == SNAPSHOT_FAILED)
        memcpy(why, writer->why, SNAPSHOT_WHY_SIZE);
    else if (status)
        (void)snapshot_say(status, why, snapshot_file_name(writer->file), "a chunk came damaged");
    return status;
}

enum status snapshot_receive_end(struct snapshot_writer *writer, uint32_t count, uint64_t keys,
                                 uint64_t content, char why[SNAPSHOT_WHY_SIZE])
{
    const struct snapshot *snapshot = &writer->file->snapshot;
    assert(!writer->packer);
    enum status status = writer->failure;
    if (writer->state == SNAPSHOT_FILLING) {
        if (snapshot->count != count || snapshot->keys != keys || snapshot->content != content)
            status = snapshot_draft_fail(writer, STATUS_DAMAGED,
                                         "its chunks are not what the sender has");
        else
            status = snapshot_draft_finish(writer);
    }
    if (writer->state == SNAPSHOT_FAILED)
        memcpy(why, writer->why, SNAPSHOT_WHY_SIZE);
    return status;
}

/* ---- the end ---- */

void snapshot_writer_destroy(struct snapshot_writer *writer)
{
    struct snapshots *snapshots = writer->snapshots;
    snapshots->writers[writer->number] = NULL;
    snapshot_packer_destroy(writer->packer);
    snapshot_reader_close(writer->reuse);
    memory_free(writer->outline);
    io_file_close(snapshots->io, writer->handle);
    buffer_deinit(&writer->table);
    snapshot_file_unref(writer->file);
    memory_free(writer);
}

void snapshot_end(struct snapshot_writer *writer)
{
    if (!writer)
        return;
    struct snapshots *snapshots = writer->snapshots;
    if (writer->state == SNAPSHOT_PUBLISHING) {
        writer->ended = true; /* its event will end it: the tag stays taken */
        return;
    }
    io_file_close(snapshots->io, writer->handle);
    if (writer->failure == STATUS_NO_SPACE)
        snapshot_spares_drop(snapshots, writer->file->snapshot.meta.group);
    if (writer->state != SNAPSHOT_PUBLISHED)
        io_file_remove_start(snapshots->io, writer->draft, snapshots->tag + SNAPSHOT_TAG_REMOVE);
    snapshot_writer_destroy(writer);
}
