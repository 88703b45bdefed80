/* reply.c - abstract reply events to bytes of the connection's protocol. An item is written whole
 * or not at all (RESP-3); the maximum of the buffer is the caller's. */
#include "resp/resp.h"

#include <stdarg.h>
#include <stdio.h>

#define ERROR_SIZE_MAX 1024
#define HEADER_SIZE    24 /* letter, 20 digits with sign, CR LF */

/* Room for one item, or NULL. */
static uint8_t *room(struct reply *reply, size_t size)
{
    if (!reply || reply->overflowed)
        return NULL;
    struct buffer *out = reply->out;
    if (out->capacity - out->size < size && buffer_reserve(out, size)) {
        reply->overflowed = true;
        return NULL;
    }
    return out->at + out->size;
}

static size_t put_header(uint8_t *at, char letter, int64_t value)
{
    at[0] = (uint8_t)letter;
    if (value >= 0 && value < 10) {
        memcpy(at + 1, (uint8_t[]){(uint8_t)('0' + value), '\r', '\n'}, 3);
        return 4;
    }
    size_t size = 1 + text_of_i64(value, (char *)at + 1);
    memcpy(at + size, "\r\n", 2);
    return size + 2;
}

static void write_header(struct reply *reply, char letter, int64_t value)
{
    uint8_t *at = room(reply, HEADER_SIZE);
    if (at)
        reply->out->size += put_header(at, letter, value);
}

static void write_fixed(struct reply *reply, const char *bytes, size_t size)
{
    uint8_t *at = room(reply, size);
    if (!at)
        return;
    memcpy(at, bytes, size);
    reply->out->size += size;
}

/* Letter, text on one line, CR LF. */
static void write_line(struct reply *reply, char letter, struct slice text)
{
    uint8_t *at = room(reply, text.size + 3);
    if (!at)
        return;
    *at++ = (uint8_t)letter;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.at[i];
        *at++ = c == '\r' || c == '\n' ? ' ' : c;
    }
    memcpy(at, "\r\n", 2);
    reply->out->size += text.size + 3;
}

static void write_counted(struct reply *reply, char letter, struct slice mark, struct slice bytes)
{
    uint8_t *at = room(reply, HEADER_SIZE + mark.size + bytes.size + 2);
    if (!at)
        return;
    size_t size = put_header(at, letter, (int64_t)(mark.size + bytes.size));
    if (mark.size)
        memcpy(at + size, mark.at, mark.size);
    size += mark.size;
    if (bytes.size)
        memcpy(at + size, bytes.at, bytes.size);
    size += bytes.size;
    memcpy(at + size, "\r\n", 2);
    reply->out->size += size + 2;
}

static bool is_newer(const struct reply *reply)
{
    return reply && reply->protocol >= 3;
}

static bool is_kept(const struct reply *reply)
{
    return reply && reply->protocol == REPLY_KEPT;
}

void reply_status(struct reply *reply, const char *text)
{
    write_line(reply, '+', slice_of_text(text));
}

void reply_ok(struct reply *reply)
{
    write_fixed(reply, "+OK\r\n", 5);
}

void reply_error(struct reply *reply, const char *format, ...)
{
    char text[ERROR_SIZE_MAX];
    if (!reply)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reply->failed = true;
    write_line(reply, '-', slice_of_text(text));
}

void reply_integer(struct reply *reply, int64_t value)
{
    write_header(reply, ':', value);
}

void reply_bulk(struct reply *reply, struct slice bytes)
{
    write_counted(reply, '$', slice_of(NULL, 0), bytes);
}

void reply_text(struct reply *reply, const char *text)
{
    reply_bulk(reply, slice_of_text(text));
}

void reply_null(struct reply *reply)
{
    if (is_newer(reply))
        write_fixed(reply, "_\r\n", 3);
    else
        write_fixed(reply, "$-1\r\n", 5);
}

void reply_null_array(struct reply *reply)
{
    if (is_kept(reply))
        write_fixed(reply, "N\r\n", 3);
    else if (is_newer(reply))
        write_fixed(reply, "_\r\n", 3);
    else
        write_fixed(reply, "*-1\r\n", 5);
}

void reply_boolean(struct reply *reply, bool value)
{
    if (is_newer(reply))
        write_fixed(reply, value ? "#t\r\n" : "#f\r\n", 4);
    else
        reply_integer(reply, value);
}

static void write_double(struct reply *reply, struct slice text)
{
    if (is_newer(reply))
        write_line(reply, ',', text);
    else
        reply_bulk(reply, text);
}

void reply_double(struct reply *reply, double value)
{
    char text[TEXT_OF_DOUBLE_MAX];
    write_double(reply, slice_of(text, text_of_double(value, text)));
}

void reply_verbatim(struct reply *reply, struct slice text)
{
    if (is_newer(reply))
        write_counted(reply, '=', slice_of("txt:", 4), text);
    else
        reply_bulk(reply, text);
}

void reply_array(struct reply *reply, size_t count)
{
    write_header(reply, '*', (int64_t)count);
}

void reply_map(struct reply *reply, size_t count)
{
    if (is_newer(reply))
        write_header(reply, '%', (int64_t)count);
    else
        write_header(reply, '*', (int64_t)count * 2);
}

void reply_set(struct reply *reply, size_t count)
{
    write_header(reply, is_newer(reply) ? '~' : '*', (int64_t)count);
}

void reply_push(struct reply *reply, size_t count)
{
    write_header(reply, is_newer(reply) ? '>' : '*', (int64_t)count);
}

void reply_pairs(struct reply *reply, size_t count)
{
    if (is_kept(reply))
        write_header(reply, 'P', (int64_t)count);
    else
        reply_array(reply, is_newer(reply) ? count : 2 * count);
}

void reply_pair(struct reply *reply)
{
    if (is_kept(reply))
        write_fixed(reply, "p\r\n", 3);
    else if (is_newer(reply))
        reply_array(reply, 2);
}

/* ---- what was kept ---- */

/* Letter and line of the first item, and the bytes behind the line of a bulk. */
static bool take_kept(struct slice *kept, char *letter, struct slice *line, struct slice *bytes)
{
    const uint8_t *end = kept->size ? memchr(kept->at, '\r', kept->size) : NULL;
    size_t size = end ? (size_t)(end - kept->at) : 0;
    int64_t length;
    if (!size || kept->size < size + 2)
        return false;
    *letter = (char)kept->at[0];
    *line = slice_of(kept->at + 1, size - 1);
    *kept = slice_of(kept->at + size + 2, kept->size - size - 2);
    *bytes = slice_of(NULL, 0);
    if (*letter != '$' && *letter != '=')
        return true;
    struct slice after;
    return !slice_to_i64(*line, &length) && length >= 0 &&
           !slice_take(kept, (size_t)length, bytes) && !slice_take(kept, 2, &after);
}

static bool write_container(struct reply *reply, char letter, size_t count)
{
    switch (letter) {
    case '*': reply_array(reply, count); return true;
    case '%': reply_map(reply, count); return true;
    case '~': reply_set(reply, count); return true;
    case '>': reply_push(reply, count); return true;
    case 'P': reply_pairs(reply, count); return true;
    default: return false;
    }
}

static bool write_item(struct reply *reply, char letter, struct slice line, struct slice bytes)
{
    int64_t number = 0;
    switch (letter) {
    case '+': write_line(reply, '+', line); return true;
    case '-': reply_error(reply, "%.*s", (int)line.size, (const char *)line.at); return true;
    case '$': reply_bulk(reply, bytes); return true;
    case '=':
        if (bytes.size < 4)
            return false;
        reply_verbatim(reply, slice_of(bytes.at + 4, bytes.size - 4));
        return true;
    case '_': reply_null(reply); return true;
    case 'N': reply_null_array(reply); return true;
    case '#': reply_boolean(reply, slice_equal(line, slice_of_text("t"))); return true;
    case ',': write_double(reply, line); return true;
    case 'p': reply_pair(reply); return true;
    default: break;
    }
    if (slice_to_i64(line, &number))
        return false;
    if (letter == ':')
        reply_integer(reply, number);
    return letter == ':' || (number >= 0 && write_container(reply, letter, (size_t)number));
}

void reply_kept(struct reply *reply, struct slice kept)
{
    size_t before = reply->out->size;
    struct slice line, bytes;
    char letter;
    bool good = kept.size > 0;
    while (good && kept.size)
        good = take_kept(&kept, &letter, &line, &bytes) && write_item(reply, letter, line, bytes);
    if (good)
        return;
    reply->out->size = before;
    reply_error(reply, "ERR the command ran, and its reply was kept in a form that this version "
                       "cannot read");
}
