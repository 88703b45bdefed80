/* parse.c - requests: pieces of a stream to arguments. One left-to-right automaton, whose decisions
 * depend on the bytes up to the place it has reached and never on how they were cut (RESP-2);
 * `take_plain_bulks` is the same automaton for the case that all is there and nothing is odd. */
#include "base/memory.h"
#include "resp/resp.h"
#include "resp/words.h"

#include <assert.h>
#include <stdio.h>

/* Room in the arrays that a parser keeps between requests. */
#define KEPT_ARGUMENTS_MAX 1024u
#define KEPT_INLINE_MAX    (16u << 10)

void resp_parser_init(struct resp_parser *parser, size_t bulk_size_max)
{
    assert(bulk_size_max <= RESP_BULK_SIZE_MAX);
    *parser = (struct resp_parser){.bulk_size = -1};
    parser->bulk_size_max = (int64_t)(bulk_size_max ? bulk_size_max : RESP_BULK_SIZE_MAX);
    parser->request_size_max = 2 * (size_t)parser->bulk_size_max;
    if (parser->request_size_max > RESP_REQUEST_SIZE_MAX)
        parser->request_size_max = RESP_REQUEST_SIZE_MAX;
    buffer_init(&parser->inline_text, RESP_INLINE_SIZE_MAX);
}

void resp_parser_restart(struct resp_parser *parser)
{
    parser->position = parser->line = parser->count = 0;
    parser->wanted = 0;
    parser->bulk_size = -1;
    parser->skipping = false;
    parser->skip_left = 0;
}

static void release_arrays(struct resp_parser *parser)
{
    memory_free(parser->offsets);
    memory_free(parser->sizes);
    memory_free(parser->arguments);
    parser->offsets = parser->sizes = NULL;
    parser->arguments = NULL;
    parser->capacity = 0;
}

void resp_parser_deinit(struct resp_parser *parser)
{
    release_arrays(parser);
    buffer_deinit(&parser->inline_text);
}

/* Arrays follow what has arrived, never what was announced (RESP-1). */
static __attribute__((noinline)) void grow_arrays(struct resp_parser *parser)
{
    size_t capacity = parser->capacity ? parser->capacity * 2 : 8;
    assert(parser->capacity < RESP_ARGUMENTS_MAX); /* RESP-1 */
    parser->offsets = memory_resize(parser->offsets, capacity * sizeof *parser->offsets);
    parser->sizes = memory_resize(parser->sizes, capacity * sizeof *parser->sizes);
    parser->arguments = memory_resize(parser->arguments, capacity * sizeof *parser->arguments);
    parser->capacity = capacity;
}

static inline void add_argument(struct resp_parser *parser, size_t offset, size_t size)
{
    if (parser->count == parser->capacity)
        grow_arrays(parser);
    parser->offsets[parser->count] = offset;
    parser->sizes[parser->count++] = size;
}

static enum status lose(struct resp_parser *parser, const char *error)
{
    parser->error = error;
    return STATUS_INVALID;
}

/* The stream is not lost: where the request ends can still be told. */
static enum status refuse(struct resp_parser *parser, const char *why)
{
    parser->skipping = true;
    parser->too_large = why;
    return STATUS_TOO_LARGE;
}

static inline enum status check_request_size(struct resp_parser *parser, size_t size)
{
    if (size <= parser->request_size_max)
        return STATUS_OK;
    return refuse(parser, "ERR request exceeds twice the maximum size of a string "
                          "(proto-max-bulk-len): send it in parts");
}

static inline enum status finish(struct resp_parser *parser, const uint8_t *base, size_t end,
                                 size_t *consumed)
{
    for (size_t i = 0; i < parser->count; i++)
        parser->arguments[i] = slice_of(base + parser->offsets[i], parser->sizes[i]);
    parser->wanted = 0;
    parser->bulk_size = -1;
    parser->position = parser->line = 0;
    *consumed = end;
    return STATUS_OK;
}

/* ---- lines ---- */

/* The line under way ends at the first `mark`: OK and its length without it; AGAIN; TOO_LARGE. */
static enum status find_line(struct resp_parser *parser, struct slice input, uint8_t mark,
                             size_t *size)
{
    size_t limit = parser->line + RESP_INLINE_SIZE_MAX + 1;
    size_t end = input.size < limit ? input.size : limit;
    const uint8_t *found = NULL;
    if (parser->position < end)
        found = memchr(input.at + parser->position, mark, end - parser->position);
    if (!found) {
        parser->position = end;
        return end == limit ? STATUS_TOO_LARGE : STATUS_AGAIN;
    }
    parser->position = (size_t)(found - input.at);
    *size = parser->position - parser->line;
    return STATUS_OK;
}

/* A header: one letter, a number, CR LF. OK: *value, and the line is behind us. INVALID: no number
 * or no LF. */
static enum status take_header(struct resp_parser *parser, struct slice input, int64_t *value)
{
    size_t size;
    enum status status = find_line(parser, input, '\r', &size);
    if (status)
        return status;
    if (input.size == parser->position + 1)
        return STATUS_AGAIN; /* the LF is on its way; `position` stays on the CR */
    struct slice digits = slice_of(input.at + parser->line + 1, size - 1);
    if (input.at[parser->position + 1] != '\n' || slice_to_i64(digits, value))
        return STATUS_INVALID;
    parser->line = parser->position += 2;
    return STATUS_OK;
}

static enum status take_count(struct resp_parser *parser, struct slice input)
{
    int64_t value;
    enum status status = take_header(parser, input, &value);
    if (status == STATUS_AGAIN)
        return status;
    if (status == STATUS_TOO_LARGE)
        return lose(parser, "too big mbulk count string");
    if (status || value > (int64_t)RESP_ARGUMENTS_MAX)
        return lose(parser, "invalid multibulk length");
    parser->wanted = value > 0 ? value : 0;
    return STATUS_OK;
}

static enum status take_bulk_size(struct resp_parser *parser, struct slice input)
{
    int64_t value;
    if (input.size == parser->line)
        return STATUS_AGAIN;
    if (input.at[parser->line] != '$') {
        snprintf(parser->error_text, sizeof parser->error_text, "expected '$', got '%c'",
                 input.at[parser->line]);
        return lose(parser, parser->error_text);
    }
    enum status status = take_header(parser, input, &value);
    if (status == STATUS_AGAIN)
        return status;
    if (status == STATUS_TOO_LARGE)
        return lose(parser, "too big bulk count string");
    if (status || value < 0 || value > (int64_t)RESP_BULK_SIZE_MAX)
        return lose(parser, "invalid bulk length");
    parser->bulk_size = value;
    parser->skip_left = (uint64_t)value + 2;
    if (parser->skipping)
        return STATUS_OK;
    if (value > parser->bulk_size_max)
        return refuse(parser, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return check_request_size(parser, parser->line + (size_t)parser->skip_left);
}

/* The bytes of the bulk whose size is known, with their CR LF. Redis skips these two unseen; we
 * look: after a wrong size the rest of the stream would be read as commands. */
static enum status take_bulk_bytes(struct resp_parser *parser, struct slice input)
{
    size_t size = (size_t)parser->bulk_size, tail = parser->line + size;
    if ((tail < input.size && input.at[tail] != '\r') ||
        (tail + 1 < input.size && input.at[tail + 1] != '\n'))
        return lose(parser, "bulk without CRLF at its end");
    if (input.size < tail + 2)
        return STATUS_AGAIN;
    add_argument(parser, parser->line, size);
    parser->line = parser->position = parser->line + size + 2;
    parser->bulk_size = -1;
    return STATUS_OK;
}

/* ---- what is too large ---- */

static enum status skip_bulk_bytes(struct resp_parser *parser, size_t size)
{
    size_t rest = size - parser->line;
    size_t part = parser->skip_left < rest ? (size_t)parser->skip_left : rest;
    parser->line = parser->position = parser->line + part;
    parser->skip_left -= part;
    if (parser->skip_left)
        return STATUS_AGAIN;
    parser->bulk_size = -1;
    parser->count++;
    return STATUS_OK;
}

/* What has gone is not looked at again: the next input begins behind it. */
static void let_go(struct resp_parser *parser, size_t *consumed)
{
    *consumed = parser->line;
    parser->position -= parser->line;
    parser->line = 0;
    if ((int64_t)parser->count == parser->wanted)
        resp_parser_restart(parser);
}

/* Follows the sizes through to the end of the request, and keeps none of its bytes. */
static enum status skip(struct resp_parser *parser, struct slice input, size_t *consumed)
{
    enum status status = STATUS_OK;
    while (!status && (int64_t)parser->count < parser->wanted) {
        if (parser->bulk_size < 0)
            status = take_bulk_size(parser, input);
        if (!status)
            status = skip_bulk_bytes(parser, input.size);
    }
    if (status == STATUS_INVALID)
        return status;
    let_go(parser, consumed);
    return STATUS_AGAIN;
}

/* ---- the common case ---- */

/* A number of up to 8 digits without leading zero, CR and LF, all present before `end`: moves *at
 * behind it. False: something else; the careful path decides what. */
static inline bool take_plain_number(const uint8_t **at, const uint8_t *end, size_t *value)
{
    const uint8_t *p = *at;
    if (end - p < 12)
        return false;
    size_t number = (size_t)*p - '0';
    if (number > 9 || (number == 0 && p[1] != '\r'))
        return false;
    p++;
    for (int i = 0; i < 7; i++) {
        size_t digit = (size_t)*p - '0';
        if (digit > 9)
            break;
        number = number * 10 + digit;
        p++;
    }
    if (p[0] != '\r' || p[1] != '\n')
        return false;
    *at = p + 2;
    *value = number;
    return true;
}

/* A size of one digit, as most are, may also stand right before the end of the input. */
static inline bool take_plain_size(const uint8_t **at, const uint8_t *end, size_t *value)
{
    const uint8_t *p = *at;
    if (end - p >= 3 && (size_t)p[0] - '0' <= 9 && p[1] == '\r' && p[2] == '\n') {
        *value = (size_t)p[0] - '0';
        *at = p + 3;
        return true;
    }
    return take_plain_number(at, end, value);
}

/* Takes whole bulks as long as nothing is odd; stops in front of the first that is. */
static inline void take_plain_bulks(struct resp_parser *parser, struct slice input)
{
    const uint8_t *p = input.at + parser->line, *end = input.at + input.size;
    while ((int64_t)parser->count < parser->wanted && p < end && *p == '$') {
        const uint8_t *at = p + 1;
        size_t size;
        if (!take_plain_size(&at, end, &size) || (int64_t)size > parser->bulk_size_max ||
            (size_t)(end - at) < size + 2 || at[size] != '\r' || at[size + 1] != '\n')
            break;
        add_argument(parser, (size_t)(at - input.at), size);
        p = at + size + 2;
    }
    parser->line = parser->position = (size_t)(p - input.at);
}

/* ---- inline ---- */

static enum status parse_inline(struct resp_parser *parser, struct slice input, size_t *consumed)
{
    size_t size;
    enum status status = find_line(parser, input, '\n', &size);
    if (status == STATUS_TOO_LARGE)
        return lose(parser, "too big inline request");
    if (status)
        return status;
    size_t end = size + 1;
    if (size && input.at[size - 1] == '\r')
        size--;
    struct resp_words words = {slice_of(input.at, size), 0, &parser->inline_text};
    buffer_reset(words.out);
    /* No word is longer than the line: the text does not move while words are added. */
    if (buffer_reserve(words.out, size))
        return lose(parser, "too big inline request");
    for (;;) {
        size_t start = words.out->size;
        status = resp_words_next(&words);
        if (status == STATUS_END)
            return finish(parser, words.out->at, end, consumed);
        if (status)
            return lose(parser, "unbalanced quotes in request");
        add_argument(parser, start, words.out->size - start);
    }
}

/* ---- requests ---- */

/* A lower bound of the request's size: through the bulk under way, and no further, because what
 * comes behind it is only announced. */
static size_t size_needed(const struct resp_parser *parser, struct slice input)
{
    size_t next = input.size + 1;
    if (parser->bulk_size < 0)
        return next;
    size_t end = parser->line + (size_t)parser->bulk_size + 2;
    return end > next ? end : next;
}

/* What a giant request needed is not kept for the next. */
static void begin(struct resp_parser *parser)
{
    parser->count = 0;
    if (parser->capacity > KEPT_ARGUMENTS_MAX)
        release_arrays(parser);
    if (parser->inline_text.capacity > KEPT_INLINE_MAX)
        buffer_deinit(&parser->inline_text);
}

static enum status parse_bulks(struct resp_parser *parser, struct slice input)
{
    while ((int64_t)parser->count < parser->wanted) {
        enum status status = STATUS_OK;
        if (parser->bulk_size < 0)
            take_plain_bulks(parser, input);
        status = check_request_size(parser, parser->line);
        if (status)
            return status;
        if ((int64_t)parser->count == parser->wanted)
            break;
        if (parser->bulk_size < 0)
            status = take_bulk_size(parser, input);
        if (!status)
            status = take_bulk_bytes(parser, input);
        if (status)
            return status;
    }
    return STATUS_OK;
}

static enum status parse_rest(struct resp_parser *parser, struct slice input, size_t *consumed)
{
    enum status status = STATUS_OK;
    if (parser->skipping)
        return skip(parser, input, consumed);
    if (!parser->wanted) {
        if (input.at[0] != '*')
            return parse_inline(parser, input, consumed);
        status = take_count(parser, input);
    }
    if (!status)
        status = parse_bulks(parser, input);
    if (!status)
        return finish(parser, input.at, parser->line, consumed);
    return status;
}

/* The count of a request that begins now, if it is all there and plain. */
static inline void take_plain_count(struct resp_parser *parser, struct slice input)
{
    const uint8_t *at = input.at + 1, *end = input.at + input.size;
    size_t wanted;
    if (parser->position || input.at[0] != '*' || !take_plain_size(&at, end, &wanted) ||
        wanted == 0 || wanted > RESP_ARGUMENTS_MAX)
        return;
    parser->wanted = (int64_t)wanted;
    parser->line = parser->position = (size_t)(at - input.at);
}

/* RESP-1: every path consumes input, asks for more, or loses the stream. */
enum status resp_parse(struct resp_parser *parser, struct slice input, size_t *consumed,
                       size_t *need)
{
    *consumed = 0;
    if (parser->error)
        return STATUS_INVALID;
    if (input.size == 0) {
        *need = 1;
        return STATUS_AGAIN;
    }
    assert(parser->position <= input.size); /* RESP-2: the caller kept what was looked at */
    if (!parser->wanted) {
        begin(parser);
        take_plain_count(parser, input);
    }
    enum status status = parse_rest(parser, input, consumed);
    if (status == STATUS_AGAIN)
        *need = parser->skipping || *consumed ? input.size + 1 : size_needed(parser, input);
    else if (status == STATUS_TOO_LARGE)
        let_go(parser, consumed);
    return status;
}
