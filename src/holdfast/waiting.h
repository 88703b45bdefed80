/* waiting.h - whom a command waits for. */
#ifndef HOLDFAST_HOLDFAST_WAITING_H
#define HOLDFAST_HOLDFAST_WAITING_H

#include "base/bytes.h"

#include <jansson.h>
#include <stdbool.h>

/* One line on stderr, as the node at `address` sees it. Blocks for at most 300 ms. False: it knows
 * a leader of keyspace system, or does not tell, and no line was written. */
bool waiting_tell(const char *address);
/* The line without its end, of that node's own view; false as above. */
bool waiting_line(const json_t *view, struct buffer *out);

#endif
