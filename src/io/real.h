/* real.h - makes the real implementation of io.h. Only programs and tests may use it. */
#ifndef HOLDFAST_IO_REAL_H
#define HOLDFAST_IO_REAL_H

#include "io/io.h"

struct io_real_options {
    const char *boot_id_file; /* NULL: the kernel's */
    unsigned worker;          /* this one's number */
};

/* One io for each worker thread. NULL never: what cannot be had is fatal. */
struct io *io_create(const struct io_real_options *options);
void io_destroy(struct io *io); /* closes everything, ends its threads; NULL is fine */

/* Makes `ios[i]` the target of io_post(.., i, ..) of all of them. Before the loops start. */
void io_connect_workers(struct io **ios, unsigned count);

/* Messages that were posted to it and never handed out, once no loop runs any more: NULL when there
 * are no more. The caller frees them. */
void *io_take_lost_message(struct io *io);

/* Wakes io_gather from a signal handler or another thread: it returns an IO_MESSAGE with message
 * NULL. Async-signal-safe. */
void io_wake(struct io *io);

#endif
