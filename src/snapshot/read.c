/* read.c - chunks from a file: all at once at a start, one by one for a peer. */
#include "snapshot/inside.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <zstd.h>

/* ---- one chunk's bytes ---- */

enum status snapshot_chunk_check(const struct snapshot_chunk *chunk, uint64_t seed, uint32_t number,
                                 struct slice bytes)
{
    struct snapshot_chunk_header header;
    if (bytes.size != chunk->size || bytes.size < SNAPSHOT_CHUNK_HEADER_SIZE ||
        snapshot_chunk_header_load(bytes.at, seed, &header))
        return STATUS_DAMAGED;
    const struct snapshot_chunk *found = &header.chunk;
    if (header.number != number || found->size != chunk->size || found->keys != chunk->keys ||
        found->content != chunk->content || found->raw_size != chunk->raw_size ||
        found->first.slot != chunk->first.slot || found->first.hash != chunk->first.hash ||
        found->last.slot != chunk->last.slot || found->last.hash != chunk->last.hash)
        return STATUS_DAMAGED; /* N3: the table says otherwise */
    const uint8_t *payload = bytes.at + SNAPSHOT_CHUNK_HEADER_SIZE;
    size_t size = bytes.size - SNAPSHOT_CHUNK_HEADER_SIZE;
    return checksum(payload, size) == header.body ? STATUS_OK : STATUS_DAMAGED;
}

/* N4 */
static enum status load_records(const struct snapshot_chunk *chunk, struct slice records,
                                struct store *store)
{
    uint64_t keys = 0, content = 0;
    if (records.size != chunk->raw_size || store_load(store, records, &keys, &content) ||
        keys != chunk->keys || content != chunk->content)
        return STATUS_DAMAGED;
    return STATUS_OK;
}

enum status snapshot_chunk_load(const struct snapshot_chunk *chunk, struct slice bytes,
                                struct store *store)
{
    assert(bytes.size == chunk->size);
    struct slice payload =
        slice_of(bytes.at + SNAPSHOT_CHUNK_HEADER_SIZE, bytes.size - SNAPSHOT_CHUNK_HEADER_SIZE);
    if (load_u32(bytes.at + 8) == SNAPSHOT_STORED)
        return load_records(chunk, payload, store);
    uint8_t *raw = memory_allocate(chunk->raw_size);
    size_t size = ZSTD_decompress(raw, chunk->raw_size, payload.at, payload.size);
    enum status status = STATUS_DAMAGED;
    if (!ZSTD_isError(size))
        status = load_records(chunk, slice_of(raw, size), store);
    memory_free(raw);
    return status;
}

/* ---- everything, at a start ---- */

/* The door's pointer is the first member of ours. */
static struct snapshot_file *file_of(const struct snapshots *snapshots,
                                     const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshots->count; i++)
        if (&snapshots->files[i]->snapshot == snapshot)
            return snapshots->files[i];
    return NULL;
}

static enum status load_chunk(struct snapshots *snapshots, const struct snapshot_file *file,
                              struct io_file handle, uint32_t number, struct buffer *bytes,
                              struct store *store)
{
    const struct snapshot_chunk *chunk = &file->chunks[number];
    size_t got = 0;
    buffer_reset(bytes);
    if (buffer_reserve(bytes, chunk->size))
        return STATUS_DAMAGED;
    if (io_file_read(snapshots->io, handle, bytes->at, chunk->size, chunk->offset, &got))
        return STATUS_IO;
    bytes->size = got;
    struct slice whole = slice_of_buffer(bytes);
    enum status status = snapshot_chunk_check(chunk, file->seed, number, whole);
    return status ? status : snapshot_chunk_load(chunk, whole, store);
}

static enum status load_chunks(struct snapshots *snapshots, const struct snapshot_file *file,
                               struct io_file handle, struct store *store)
{
    struct buffer bytes;
    enum status status = STATUS_OK;
    buffer_init(&bytes, file->snapshot.size);
    for (uint32_t i = 0; !status && i < file->snapshot.count; i++)
        status = load_chunk(snapshots, file, handle, i, &bytes, store);
    buffer_deinit(&bytes);
    return status;
}

static enum status spoiled(struct snapshots *snapshots, struct snapshot_file *file,
                           enum status status, char why[SNAPSHOT_WHY_SIZE])
{
    (void)snapshot_say(status, why, snapshot_file_name(file),
                       status == STATUS_DAMAGED ? "a chunk is damaged" : "cannot be read");
    if (status == STATUS_DAMAGED)
        snapshot_list_spoil(snapshots, file, why);
    return status;
}

enum status snapshot_load(struct snapshots *snapshots, const struct snapshot *snapshot,
                          struct store *store, char why[SNAPSHOT_WHY_SIZE])
{
    struct io_file handle;
    struct snapshot_file *file = file_of(snapshots, snapshot);
    assert(file);
    if (io_file_open(snapshots->io, file->path, IO_FILE_READ, &handle))
        return spoiled(snapshots, file, STATUS_IO, why);
    enum status status = load_chunks(snapshots, file, handle, store);
    io_file_close(snapshots->io, handle);
    return status ? spoiled(snapshots, file, status, why) : STATUS_OK;
}

/* ---- one by one, in the background ---- */

struct snapshot_reader {
    struct snapshots *snapshots;
    unsigned number;
    struct snapshot_file *file;
    struct io_file handle;
    uint32_t chunk;
    enum status status; /* of the last read; AGAIN: under way */
    bool ended;         /* by its owner, while a read is under way */
    struct buffer bytes;
};

enum status snapshot_reader_open_file(struct snapshots *snapshots, struct snapshot_file *file,
                                      struct snapshot_reader **out, char why[SNAPSHOT_WHY_SIZE])
{
    struct io_file handle;
    unsigned number = 0;
    while (number < SNAPSHOT_READERS_MAX && snapshots->readers[number])
        number++;
    if (number == SNAPSHOT_READERS_MAX)
        return snapshot_say(STATUS_IN_USE, why, snapshot_file_name(file), "too many readers");
    enum status status = io_file_open(snapshots->io, file->path, IO_FILE_READ, &handle);
    if (status)
        return snapshot_say(status == STATUS_NOT_FOUND ? status : STATUS_IO, why,
                            snapshot_file_name(file), "cannot be opened");
    struct snapshot_reader *reader = memory_zeroed(1, sizeof *reader);
    reader->snapshots = snapshots;
    reader->number = number;
    reader->file = snapshot_file_ref(file);
    reader->handle = handle;
    reader->status = STATUS_NOT_FOUND; /* nothing was read yet */
    buffer_init(&reader->bytes, SIZE_MAX);
    snapshots->readers[number] = reader;
    *out = reader;
    return STATUS_OK;
}

enum status snapshot_reader_open(struct snapshots *snapshots, const struct snapshot *snapshot,
                                 struct snapshot_reader **out, char why[SNAPSHOT_WHY_SIZE])
{
    struct snapshot_file *file = file_of(snapshots, snapshot);
    assert(file);
    return snapshot_reader_open_file(snapshots, file, out, why);
}

const struct snapshot *snapshot_reader_of(const struct snapshot_reader *reader)
{
    return &reader->file->snapshot;
}

void snapshot_read_start(struct snapshot_reader *reader, uint32_t number)
{
    struct snapshots *snapshots = reader->snapshots;
    assert(reader->status != STATUS_AGAIN && number < reader->file->snapshot.count);
    const struct snapshot_chunk *chunk = &reader->file->chunks[number];
    buffer_reset(&reader->bytes);
    enum status status = buffer_reserve(&reader->bytes, chunk->size);
    assert(status == STATUS_OK); /* bounded by the size of the file */
    reader->chunk = number;
    reader->status = STATUS_AGAIN;
    io_file_read_start(snapshots->io, reader->handle, reader->bytes.at, chunk->size, chunk->offset,
                       snapshots->tag + SNAPSHOT_TAG_READER + reader->number);
}

static void reader_destroy(struct snapshot_reader *reader)
{
    struct snapshots *snapshots = reader->snapshots;
    snapshots->readers[reader->number] = NULL;
    io_file_close(snapshots->io, reader->handle);
    buffer_deinit(&reader->bytes);
    snapshot_file_unref(reader->file);
    memory_free(reader);
}

void snapshot_reader_handle_event(struct snapshot_reader *reader, const struct io_event *event)
{
    const struct snapshot_file *file = reader->file;
    if (event->kind != IO_READ_DONE || reader->status != STATUS_AGAIN)
        return;
    if (reader->ended) {
        reader_destroy(reader);
        return;
    }
    reader->bytes.size = event->status ? 0 : event->position;
    reader->status = event->status;
    if (!event->status)
        reader->status = snapshot_chunk_check(&file->chunks[reader->chunk], file->seed,
                                              reader->chunk, slice_of_buffer(&reader->bytes));
}

enum status snapshot_read_result(struct snapshot_reader *reader, struct slice *bytes,
                                 char why[SNAPSHOT_WHY_SIZE])
{
    if (reader->status == STATUS_OK)
        *bytes = slice_of_buffer(&reader->bytes);
    else if (reader->status != STATUS_AGAIN)
        (void)spoiled(reader->snapshots, reader->file, reader->status, why);
    return reader->status;
}

void snapshot_reader_close(struct snapshot_reader *reader)
{
    if (!reader)
        return;
    if (reader->status == STATUS_AGAIN)
        reader->ended = true; /* the memory is the io's until the read is done */
    else
        reader_destroy(reader);
}

/* What the io still reads into cannot be freed: a read that outlives its directory is left to the
 * end of the process. */
void snapshot_readers_deinit(struct snapshots *snapshots)
{
    for (size_t i = 0; i < SNAPSHOT_READERS_MAX; i++) {
        struct snapshot_reader *reader = snapshots->readers[i];
        if (!reader)
            continue;
        if (reader->status == STATUS_AGAIN && io_file_reads_pending(snapshots->io, reader->handle))
            buffer_init(&reader->bytes, 0);
        reader_destroy(reader);
    }
}
