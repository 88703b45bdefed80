/* transcript.h - a stream of requests, parsed in pieces, as text: for the tests of resp/. */
#ifndef HOLDFAST_TEST_RESP_TRANSCRIPT_H
#define HOLDFAST_TEST_RESP_TRANSCRIPT_H

#include "base/memory.h"
#include "resp/resp.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define TRANSCRIPT_SIZE_MAX (64u << 20)

static inline void transcript_add(struct buffer *out, const void *bytes, size_t size)
{
    enum status status = buffer_append(out, bytes, size);
    assert(!status);
}

static inline void transcript_add_request(struct buffer *out, const struct resp_parser *parser)
{
    transcript_add(out, "[", 1);
    for (size_t i = 0; i < parser->count; i++) {
        if (i)
            transcript_add(out, "|", 1);
        transcript_add(out, parser->arguments[i].at, parser->arguments[i].size);
    }
    transcript_add(out, "]", 1);
}

/* Parses all that `input` allows, from *at on. Each call sees a block of its own of exactly that
 * size, so that a sanitizer finds every look outside and every pointer kept from an earlier one. */
static inline enum status transcript_feed(struct buffer *out, struct resp_parser *parser,
                                          struct slice input, size_t *at)
{
    for (;;) {
        size_t left = input.size - *at, consumed = 1, need = 0;
        uint8_t *block = malloc(left ? left : 1);
        assert(block);
        if (left)
            memcpy(block, input.at + *at, left);
        enum status status = resp_parse(parser, slice_of(block, left), &consumed, &need);
        assert(consumed <= left);
        if (status == STATUS_OK) {
            assert(consumed > 0); /* RESP-1: no standing still */
            transcript_add_request(out, parser);
        } else if (status == STATUS_AGAIN) {
            assert(consumed == 0 ? need > left : need > consumed);
        } else if (status == STATUS_TOO_LARGE) {
            transcript_add(out, "?", 1);
        } else {
            assert(status == STATUS_INVALID && consumed == 0);
            transcript_add(out, "!", 1);
            transcript_add(out, parser->error, strlen(parser->error));
        }
        free(block);
        *at += consumed; /* of what is too large, too */
        if (status == STATUS_INVALID || (status == STATUS_AGAIN && !consumed))
            return status;
    }
}

/* Feeds the input cut at `cut`; cut == size is whole. */
static inline void transcript_of_two(struct buffer *out, struct slice input, size_t cut,
                                     size_t bulk_size_max)
{
    struct resp_parser parser;
    size_t at = 0;
    resp_parser_init(&parser, bulk_size_max);
    buffer_reset(out);
    if (transcript_feed(out, &parser, slice_of(input.at, cut), &at) == STATUS_AGAIN &&
        cut < input.size)
        transcript_feed(out, &parser, input, &at);
    resp_parser_deinit(&parser);
}

/* Feeds the input in pieces of `step` bytes. */
static inline void transcript_of_steps(struct buffer *out, struct slice input, size_t step,
                                       size_t bulk_size_max)
{
    struct resp_parser parser;
    size_t at = 0, end = 0;
    enum status status = STATUS_AGAIN;
    resp_parser_init(&parser, bulk_size_max);
    buffer_reset(out);
    while (status == STATUS_AGAIN && end < input.size) {
        end = input.size - end > step ? end + step : input.size;
        status = transcript_feed(out, &parser, slice_of(input.at, end), &at);
    }
    resp_parser_deinit(&parser);
}

static inline void transcript_check_cuts_of(struct slice input, size_t bulk_size_max)
{
    struct buffer whole, pieces;
    buffer_init(&whole, TRANSCRIPT_SIZE_MAX);
    buffer_init(&pieces, TRANSCRIPT_SIZE_MAX);
    transcript_of_two(&whole, input, input.size, bulk_size_max);
    for (size_t cut = 0; cut < input.size; cut++) {
        transcript_of_two(&pieces, input, cut, bulk_size_max);
        assert(slice_equal(slice_of_buffer(&whole), slice_of_buffer(&pieces)));
    }
    transcript_of_steps(&pieces, input, 1, bulk_size_max);
    assert(slice_equal(slice_of_buffer(&whole), slice_of_buffer(&pieces)));
    buffer_deinit(&whole);
    buffer_deinit(&pieces);
}

/* RESP-2: every cut gives what the whole gives, also of what is too large. */
static inline void transcript_check_cuts(struct slice input)
{
    transcript_check_cuts_of(input, 0);
    transcript_check_cuts_of(input, 20);
}

#endif
