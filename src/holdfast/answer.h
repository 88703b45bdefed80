/* answer.h - replies of RESP3 as JSON, and JSON for people. */
#ifndef HOLDFAST_HOLDFAST_ANSWER_H
#define HOLDFAST_HOLDFAST_ANSWER_H

#include "base/bytes.h"

#include <jansson.h>
#include <stdbool.h>

/* The value at the front of a whole reply; maps are objects, whatever else holds others a list. The
 * caller's. */
json_t *answer_read(struct slice reply);

/* As text: a list of objects is a table, an object is its names and values, tables in it last.
 * `nothing` stands for an empty list. */
void answer_print(const json_t *answer, const char *nothing);
void answer_print_json(const json_t *answer);

/* The text of an error reply: was the command line wrong, whatever the cluster's state? */
bool answer_is_of_use(struct slice text);

/* Sends words to a node in RESP3 and waits, through TRYAGAIN for up to 10 s more; for whom, stderr
 * tells within a second. The answer is the caller's; NULL: *code is the exit code, and the line on
 * stderr says what to do. */
json_t *answer_ask(const char *address, const struct slice *words, size_t count, int *code);

#endif
