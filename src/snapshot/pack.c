/* pack.c - from a view to chunks.
 *
 *     view --SNAPSHOT_STEP_SIZE--> raw --SNAPSHOT_PACK_SIZE--> packed      a step does one of
 * these, or both for a small chunk
 *
 * A chunk that does not get smaller is stored as it is; so `raw` is kept until the chunk is used.
 */
#include "snapshot/inside.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <assert.h>
#include <zstd.h>

#define LEVEL       1 /* the turn's time is worth more than the disk's room */
#define KEEP_MEMORY ((size_t)8 << 20)
#define EMPTY_MAX   16 /* ranges without keys that a step goes through */

struct snapshot_packer {
    struct store_view *view; /* owned */
    ZSTD_CCtx *zstd;         /* owned */
    struct buffer raw, packed;
    size_t taken; /* of `raw`, by the packing */
    bool is_full; /* the chunk has all its keys */
    bool is_made;
    struct store_position next; /* what no piece has covered yet */
    struct snapshot_chunk_header header;
};

struct snapshot_packer *snapshot_packer_create(struct store *store, size_t aside_max)
{
    struct snapshot_packer *packer = memory_zeroed(1, sizeof *packer);
    packer->zstd = ZSTD_createCCtx();
    if (!packer->zstd)
        fatal("out of memory");
    size_t result = ZSTD_CCtx_setParameter(packer->zstd, ZSTD_c_compressionLevel, LEVEL);
    assert(!ZSTD_isError(result));
    packer->view = store_view_begin(store, aside_max); /* SNAP-3 */
    buffer_init(&packer->raw, SNAPSHOT_RAW_MAX);
    buffer_init(&packer->packed, SIZE_MAX);
    return packer;
}

void snapshot_packer_destroy(struct snapshot_packer *packer)
{
    if (!packer)
        return;
    store_view_end(packer->view);
    ZSTD_freeCCtx(packer->zstd);
    buffer_deinit(&packer->raw);
    buffer_deinit(&packer->packed);
    memory_free(packer);
}

/* Packs raw bytes up to `end`; the frame ends with the chunk. */
static void pack(struct snapshot_packer *packer, size_t end, ZSTD_EndDirective directive)
{
    ZSTD_inBuffer in = {.src = packer->raw.at, .size = end, .pos = packer->taken};
    struct buffer *packed = &packer->packed;
    size_t left;
    do {
        enum status status = buffer_reserve(packed, ZSTD_CStreamOutSize());
        assert(status == STATUS_OK); /* it has no bound but memory */
        ZSTD_outBuffer out = {.dst = packed->at, .size = packed->capacity, .pos = packed->size};
        left = ZSTD_compressStream2(packer->zstd, &out, &in, directive);
        if (ZSTD_isError(left))
            fatal("zstd: %s", ZSTD_getErrorName(left));
        packed->size = out.pos;
    } while (in.pos < in.size || (directive == ZSTD_e_end && left > 0));
    packer->taken = end;
}

/* More of the chunk's keys. SNAP-5: where it ends depends on the keys alone, with the first one
 * that fills it, however they come in steps: a view that has to look at much gives less in one. */
static enum status take(struct snapshot_packer *packer, uint16_t slot_last)
{
    struct store_piece piece;
    size_t room = SNAPSHOT_CHUNK_SIZE - packer->raw.size;
    enum status status = store_view_next(packer->view, slot_last,
                                         room < SNAPSHOT_STEP_SIZE ? room : SNAPSHOT_STEP_SIZE,
                                         &packer->raw, &piece);
    if (status)
        return status;
    struct snapshot_chunk *chunk = &packer->header.chunk;
    chunk->last = piece.last;
    chunk->keys += piece.keys;
    chunk->content += piece.content;
    packer->next = snapshot_position_after(piece.last);
    bool at_end = packer->next.slot > slot_last;
    packer->is_full = packer->raw.size && (at_end || packer->raw.size >= SNAPSHOT_CHUNK_SIZE);
    return STATUS_OK;
}

/* A range without keys is no step of its own: a small store would take a turn for each. */
static enum status take_some(struct snapshot_packer *packer)
{
    enum status status = STATUS_OK;
    for (unsigned i = 0; i < EMPTY_MAX && packer->next.slot != STORE_SLOTS; i++) {
        status = take(packer, (uint16_t)(packer->next.slot | (SNAPSHOT_RANGE_SLOTS - 1)));
        if (status || packer->raw.size)
            break;
    }
    return status;
}

static struct slice payload_of(const struct snapshot_packer *packer)
{
    return slice_of_buffer(packer->header.codec == SNAPSHOT_STORED ? &packer->raw
                                                                   : &packer->packed);
}

static void make(struct snapshot_packer *packer)
{
    struct snapshot_chunk_header *header = &packer->header;
    pack(packer, packer->raw.size, ZSTD_e_end);
    header->codec = packer->packed.size < packer->raw.size ? SNAPSHOT_ZSTD : SNAPSHOT_STORED;
    struct slice payload = payload_of(packer);
    header->body = checksum(payload.at, payload.size);
    header->chunk.raw_size = packer->raw.size;
    header->chunk.size = SNAPSHOT_CHUNK_HEADER_SIZE + payload.size;
    packer->is_made = true;
}

enum status snapshot_packer_step(struct snapshot_packer *packer)
{
    assert(!packer->is_made);
    size_t left = packer->raw.size - packer->taken;
    if (left > SNAPSHOT_PACK_SIZE) {
        pack(packer, packer->taken + SNAPSHOT_PACK_SIZE, ZSTD_e_continue);
        return STATUS_OK;
    }
    if (packer->is_full) {
        make(packer);
        return STATUS_OK;
    }
    if (left >= SNAPSHOT_STEP_SIZE)
        pack(packer, packer->raw.size, ZSTD_e_continue);
    if (packer->next.slot == STORE_SLOTS)
        return STATUS_END;
    enum status status = take_some(packer);
    if (!status && packer->is_full && packer->raw.size < SNAPSHOT_STEP_SIZE)
        make(packer);
    return status;
}

struct snapshot_chunk_header *snapshot_packer_chunk(struct snapshot_packer *packer,
                                                    struct slice *payload)
{
    if (!packer->is_made)
        return NULL;
    *payload = payload_of(packer);
    return &packer->header;
}

static void empty(struct buffer *buffer)
{
    buffer_reset(buffer);
    if (buffer->capacity > KEEP_MEMORY)
        buffer_deinit(buffer);
}

void snapshot_packer_next(struct snapshot_packer *packer)
{
    assert(packer->is_made);
    empty(&packer->raw);
    empty(&packer->packed);
    packer->taken = 0;
    packer->is_made = packer->is_full = false;
    packer->header = (struct snapshot_chunk_header){.chunk.first = packer->next};
}
