/* progress.h - how far something is that takes longer than a second.
 *
 * On stderr, so that stdout stays what the verb answers: on a terminal a bar that is drawn over and
 * over and goes in the end, else a line when it is further by a tenth. Nothing in the first
 * second. */
#ifndef HOLDFAST_HOLDFAST_PROGRESS_H
#define HOLDFAST_HOLDFAST_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROGRESS_LINE_SIZE 160

struct progress {
    uint64_t began_ms;
    bool is_terminal, is_drawn;
    unsigned tenths; /* told last, in a log */
};

void progress_init(struct progress *progress);
/* `of` is not 0; `what` follows the numbers: "of 12 partitions have a leader". */
void progress_show(struct progress *progress, uint64_t done, uint64_t of, const char *what);
void progress_end(struct progress *progress);

/* "[######......] 6 " and the rest, for who draws himself. */
void progress_line(char out[PROGRESS_LINE_SIZE], uint64_t done, uint64_t of, const char *what);

#endif
