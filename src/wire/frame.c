#include "wire/layout.h"

#include "base/checksum.h"

#include <assert.h>

static uint64_t frame_checksum(const uint8_t *frame, size_t size)
{
    return checksum_seeded(frame + WIRE_FRAME_HEADER_SIZE, size - WIRE_FRAME_HEADER_SIZE,
                           load_u64(frame));
}

void wire_frame_open(struct wire_frame *frame, struct buffer *out)
{
    enum status status = buffer_reserve(out, WIRE_FRAME_HEADER_SIZE);
    assert(status == STATUS_OK); /* whoever opens a frame has asked for room */
    *frame = (struct wire_frame){.out = out, .start = out->size};
    memset(out->at + out->size, 0, WIRE_FRAME_HEADER_SIZE);
    out->size += WIRE_FRAME_HEADER_SIZE;
}

bool wire_frame_is_empty(const struct wire_frame *frame)
{
    return frame->out->size == frame->start + WIRE_FRAME_HEADER_SIZE;
}

void wire_frame_close(struct wire_frame *frame)
{
    struct buffer *out = frame->out;
    assert(out->size >= frame->start + WIRE_FRAME_HEADER_SIZE);
    if (wire_frame_is_empty(frame)) {
        out->size = frame->start;
        return;
    }
    size_t size = out->size - frame->start;
    assert(size <= WIRE_FRAME_SIZE_MAX);
    uint8_t *start = out->at + frame->start;
    store_u32(start, (uint32_t)size);
    start[4] = WIRE_VERSION;
    store_u64(start + 8, frame_checksum(start, size));
}

/* As much of the header as is there: garbage must not be waited for. */
static enum status header_check(struct slice input, size_t *length)
{
    *length = WIRE_FRAME_HEADER_SIZE;
    if (input.size >= 4) {
        *length = load_u32(input.at);
        if (*length < WIRE_FRAME_HEADER_SIZE + WIRE_MESSAGE_HEADER_SIZE ||
            *length > WIRE_FRAME_SIZE_MAX)
            return STATUS_INVALID;
    }
    if (input.size > 4 && input.at[4] != WIRE_VERSION) /* WIRE-2 */
        return STATUS_FOREIGN;
    for (size_t i = 5; i < 8 && i < input.size; i++)
        if (input.at[i] != 0)
            return STATUS_INVALID;
    return STATUS_OK;
}

enum status wire_frame_take(struct slice input, size_t *size, struct slice *messages)
{
    size_t length;
    enum status status = header_check(input, &length);
    if (status)
        return status;
    if (input.size < length) {
        *size = length;
        return STATUS_AGAIN;
    }
    if (load_u64(input.at + 8) != frame_checksum(input.at, length))
        return STATUS_DAMAGED;
    *size = length;
    *messages = slice_of(input.at + WIRE_FRAME_HEADER_SIZE, length - WIRE_FRAME_HEADER_SIZE);
    return STATUS_OK;
}
