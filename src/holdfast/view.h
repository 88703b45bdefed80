/* view.h - what all nodes of a cluster say together. */
#ifndef HOLDFAST_HOLDFAST_VIEW_H
#define HOLDFAST_HOLDFAST_VIEW_H

#include <jansson.h>

/* The view of the node at `address`; NULL after the line that says why not, with the exit
 * code. The caller's. */
json_t *view_ask_first(const char *address, int *code);
/* `first` and what every other node that it names answers, merged. The caller's. */
json_t *view_ask_others(json_t *first);
/* Both; NULL, without a line, when the node does not answer. */
json_t *view_ask(const char *address);

#endif
