#include "wal/log.h"

#include "base/memory.h"

#define WINDOW_SIZE (1u << 20)

static bool window_has(const struct wal_window *window, const struct wal_segment *segment,
                       uint64_t offset, size_t size)
{
    return window->segment == segment && offset >= window->offset &&
           offset + size <= window->offset + window->size;
}

enum status wal_window_load(struct wal *wal, struct wal_segment *segment, uint64_t offset,
                            size_t size, const uint8_t **out)
{
    struct wal_window *window = &wal->recovery.window;
    if (offset + size > segment->size)
        return STATUS_END;
    if (!window_has(window, segment, offset, size)) {
        size_t want = size > WINDOW_SIZE ? size : WINDOW_SIZE, got = 0;
        if (want > segment->size - offset)
            want = segment->size - offset;
        if (want > window->capacity) {
            window->bytes = memory_resize(window->bytes, want);
            window->capacity = want;
        }
        window->segment = NULL;
        if (io_file_read(wal->io, segment->file, window->bytes, want, offset, &got))
            return STATUS_IO;
        window->segment = segment;
        window->offset = offset;
        window->size = got;
        if (got < size)
            return STATUS_END;
    }
    *out = window->bytes + (offset - window->offset);
    return STATUS_OK;
}

/* V2; a header is enough: what it says was a fact when it was written, whether its records came
 * through or not (V6). */
static void statement_take(struct wal *wal, struct wal_segment *segment, uint64_t offset,
                           const uint8_t *at, struct wal_scan *scan)
{
    struct wal_batch_header header;
    if (wal_batch_header_load(at, &header) || header.file_id != segment->file_id ||
        header.offset != offset || (wal->has_log && !wal_log_id_equal(header.log, wal->log)))
        return;
    scan->saw_tail |= header.sequence > wal->sequence;
    if (header.durable_through > scan->durable_through) {
        scan->durable_through = header.durable_through;
        scan->segment = segment;
        scan->offset = offset;
    }
}

static enum status segment_scan(struct wal *wal, struct wal_segment *segment, uint64_t from,
                                struct wal_scan *scan)
{
    const uint8_t *at;
    uint64_t offset = wal_round_up(from, WAL_BATCH_ALIGN);
    while (offset + WAL_BATCH_HEADER_SIZE <= segment->size) {
        enum status status = wal_window_load(wal, segment, offset, WAL_BATCH_HEADER_SIZE, &at);
        if (status)
            return status == STATUS_END ? STATUS_OK : status;
        const struct wal_window *window = &wal->recovery.window;
        uint64_t loaded = window->offset + window->size - WAL_BATCH_HEADER_SIZE;
        for (; offset <= loaded; offset += WAL_BATCH_ALIGN, at += WAL_BATCH_ALIGN)
            if (load_u32(at) == WAL_BATCH_MAGIC)
                statement_take(wal, segment, offset, at, scan);
    }
    return STATUS_OK;
}

enum status wal_scan_behind(struct wal *wal, struct wal_scan *out)
{
    struct wal_scan scan = {0};
    struct wal_segment *last = wal_last_segment(wal);
    enum status status = last ? segment_scan(wal, last, wal->end, &scan) : STATUS_OK;
    for (size_t i = 0; !status && i < wal->recovery.found.count; i++)
        status = segment_scan(wal, wal->recovery.found.at[i], 0, &scan);
    if (!status)
        *out = scan;
    return status;
}
