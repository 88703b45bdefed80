/* client.c - the other side of the protocol: requests out, replies in. What a reply announces is
 * believed for counting only; nothing is allocated for it. */
#include "resp/resp.h"

#include <assert.h>

#define LINE_SIZE_MAX (64u << 10)

static void append_header(struct buffer *out, char letter, size_t value)
{
    char text[24];
    size_t size = 1;
    text[0] = letter;
    size += text_of_i64((int64_t)value, text + 1);
    memcpy(text + size, "\r\n", 2);
    enum status status = buffer_append(out, text, size + 2);
    assert(!status); /* the caller sized its own request buffer */
}

void resp_request(struct buffer *out, const struct slice *arguments, size_t count)
{
    append_header(out, '*', count);
    for (size_t i = 0; i < count; i++) {
        append_header(out, '$', arguments[i].size);
        enum status status = buffer_append(out, arguments[i].at, arguments[i].size);
        if (!status)
            status = buffer_append(out, "\r\n", 2);
        assert(!status);
    }
}

/* The rest of the line behind the letter, and moves `*input` behind its CR LF. */
static enum status take_line(struct slice *input, struct slice *line)
{
    size_t span = input->size < LINE_SIZE_MAX ? input->size : LINE_SIZE_MAX;
    const uint8_t *end = span ? memchr(input->at, '\r', span) : NULL;
    if (!end)
        return span == LINE_SIZE_MAX ? STATUS_INVALID : STATUS_AGAIN;
    size_t size = (size_t)(end - input->at);
    if (input->size < size + 2)
        return STATUS_AGAIN;
    if (end[1] != '\n')
        return STATUS_INVALID;
    *line = slice_of(input->at, size);
    *input = slice_of(end + 2, input->size - size - 2);
    return STATUS_OK;
}

static enum status take_counted(struct slice *input, int64_t size, struct slice *bytes)
{
    if (size < 0 || size > (int64_t)RESP_BULK_SIZE_MAX)
        return STATUS_INVALID;
    if (input->size < (size_t)size + 2)
        return STATUS_AGAIN;
    if (memcmp(input->at + size, "\r\n", 2) != 0)
        return STATUS_INVALID;
    *bytes = slice_of(input->at, (size_t)size);
    *input = slice_of(input->at + size + 2, input->size - (size_t)size - 2);
    return STATUS_OK;
}

static enum status read_boolean(struct resp_item *item)
{
    if (item->bytes.size != 1 || (item->bytes.at[0] != 't' && item->bytes.at[0] != 'f'))
        return STATUS_INVALID;
    item->integer = item->bytes.at[0] == 't';
    return STATUS_OK;
}

static enum status read_sized(struct slice *rest, struct resp_item *item)
{
    if (slice_to_i64(item->bytes, &item->integer))
        return STATUS_INVALID;
    bool container = !strchr("$=!", item->type);
    if (item->integer == -1 && (item->type == '$' || item->type == '*')) {
        *item = (struct resp_item){.type = '_'};
        return STATUS_OK;
    }
    if (container)
        return item->integer < 0 || item->integer > INT32_MAX ? STATUS_INVALID : STATUS_OK;
    return take_counted(rest, item->integer, &item->bytes);
}

static enum status read_item(struct slice *rest, struct resp_item *item)
{
    switch (item->type) {
    case '+':
    case '-':
    case ',':
    case '(': return STATUS_OK;
    case '_': return item->bytes.size ? STATUS_INVALID : STATUS_OK;
    case '#': return read_boolean(item);
    case ':': return slice_to_i64(item->bytes, &item->integer);
    case '$':
    case '=':
    case '!':
    case '*':
    case '%':
    case '~':
    case '>': return read_sized(rest, item);
    default: return STATUS_INVALID;
    }
}

enum status resp_item_take(struct slice *input, struct resp_item *item)
{
    struct resp_item next = {0};
    if (input->size == 0)
        return STATUS_AGAIN;
    next.type = (char)input->at[0];
    if (next.type == '\0' || !strchr("+-:$*%~>_#,(=!", next.type))
        return STATUS_INVALID;
    struct slice rest = slice_of(input->at + 1, input->size - 1);
    enum status status = take_line(&rest, &next.bytes);
    if (!status)
        status = read_item(&rest, &next);
    if (status)
        return status;
    *input = rest;
    *item = next;
    return STATUS_OK;
}

enum status resp_reply_size(struct slice input, size_t *size)
{
    struct slice rest = input;
    uint64_t missing = 1;
    while (missing) {
        struct resp_item item;
        enum status status = resp_item_take(&rest, &item);
        if (status)
            return status;
        missing--;
        if (item.type == '*' || item.type == '~' || item.type == '>')
            missing += (uint64_t)item.integer;
        else if (item.type == '%')
            missing += 2 * (uint64_t)item.integer;
        if (missing > (uint64_t)INT64_MAX / 2)
            return STATUS_INVALID;
    }
    *size = input.size - rest.size;
    return STATUS_OK;
}
