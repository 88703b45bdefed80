#include "wire/layout.h"

#include <assert.h>

void wire_request_encode(const struct slice *arguments, size_t count, struct buffer *out)
{
    assert(count >= 1);
    size_t size = varint_size(count);
    for (size_t i = 0; i < count; i++)
        size += varint_size(arguments[i].size) + arguments[i].size;
    enum status status = buffer_reserve(out, size);
    assert(status == STATUS_OK); /* the request was read from a client within its own maximum */
    uint8_t *at = out->at + out->size;
    at += varint_store(at, count);
    for (size_t i = 0; i < count; i++) {
        at += varint_store(at, arguments[i].size);
        put_slice(&at, arguments[i]);
    }
    out->size += size;
}

static enum status argument_take(struct slice *from, struct slice *out)
{
    uint64_t size;
    if (varint_take(from, &size) || size > from->size)
        return STATUS_INVALID;
    return slice_take(from, (size_t)size, out);
}

bool wire_request_is_valid(struct slice request)
{
    uint64_t count;
    struct slice argument;
    if (varint_take(&request, &count) || count == 0)
        return false;
    for (; count > 0; count--) /* ends early: each argument takes at least one byte */
        if (argument_take(&request, &argument))
            return false;
    return request.size == 0;
}

enum status wire_request_take(struct slice request, struct slice *arguments, size_t max,
                              size_t *count)
{
    uint64_t wanted;
    if (varint_take(&request, &wanted) || wanted == 0 || wanted > max)
        return STATUS_INVALID;
    for (uint64_t i = 0; i < wanted; i++)
        if (argument_take(&request, &arguments[i]))
            return STATUS_INVALID;
    if (request.size != 0)
        return STATUS_INVALID;
    *count = (size_t)wanted;
    return STATUS_OK;
}

bool wire_request_guess_key(struct slice request, struct slice *key)
{
    uint64_t count;
    return !varint_take(&request, &count) && count > 1 && !argument_take(&request, key) &&
           !argument_take(&request, key);
}
