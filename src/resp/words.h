/* words.h - an inline command's text as words, with the quotes of redis-cli. Private to resp/. */
#ifndef HOLDFAST_RESP_WORDS_H
#define HOLDFAST_RESP_WORDS_H

#include "base/bytes.h"

struct resp_words {
    struct slice line;
    size_t position;
    struct buffer *out; /* borrowed; has room for the rest of the line */
};

/* Appends the next word to `out`. END: no more words. INVALID: a quote that is not closed, or that
 * is not followed by space. */
MUST_USE enum status resp_words_next(struct resp_words *words);

#endif
