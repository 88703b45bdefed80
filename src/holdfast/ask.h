/* ask.h - one question to each of many addresses at once; nothing waits longer than the deadline.
 *
 *     ask_init -> ask_all -> read status, answer -> ask_deinit
 *
 * A node that is paused accepts connections and never answers: that is why the deadline is for all
 * of them together. */
#ifndef HOLDFAST_HOLDFAST_ASK_H
#define HOLDFAST_HOLDFAST_ASK_H

#include "base/bytes.h"
#include "base/status.h"

#include <stdbool.h>

#define ASK_ANSWER_SIZE_MAX (8u << 20)

enum ask_kind {
    ASK_COMMAND, /* a RESP command of one word; the answer is its text */
    ASK_WORDS,   /* one of `word_count` words, in RESP3; the answer is the reply as it came */
    ASK_PAGE,    /* a path by HTTP; only the status line matters */
};

struct ask {
    enum ask_kind kind;
    const char *address;       /* borrowed, HOST:PORT */
    const char *question;      /* borrowed; of ASK_WORDS the first word */
    const struct slice *words; /* borrowed; set by the caller behind ask_init */
    size_t word_count;
    /* OK; REFUSED: it answered an error (`answer` has its text) or not 200; CLOSED: nobody is
     * there; AGAIN: no answer in time; INVALID: no such address, or it speaks something else */
    enum status status;
    char why[80]; /* of a status that is not OK, for people */
    struct buffer answer;
    /* while under way */
    int socket;
    struct buffer request, input;
    size_t sent;
    bool connected;
    bool misnamed; /* its address is not HOST:PORT: wrong use */
};

void ask_init(struct ask *ask, enum ask_kind kind, const char *address, const char *question);
void ask_deinit(struct ask *ask);

/* Blocks until all have ended, at most `timeout_ms`. */
void ask_all(struct ask *asks, size_t count, int timeout_ms);
/* The same in parts: begin, then go on until it is true that all have ended, or stop asking. */
void ask_begin(struct ask *asks, size_t count);
bool ask_go_on(struct ask *asks, size_t count, int timeout_ms);
void ask_stop(struct ask *asks, size_t count, int timeout_ms);

#endif
