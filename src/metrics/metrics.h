/* metrics.h - what a node measures of itself, as text for Prometheus. Floor 9; used by worker/ and
 * holdfastd.
 *
 *   each worker, when asked: metrics_take -> sample      all samples: metrics_render -> the page
 *
 * Promises. METRICS-1 The number of series is bounded whatever the number of partitions: past
 * METRICS_PARTITIONS_MAX replicas on this node only the sums of each keyspace are shown. METRICS-2
 * What is not known is left out, never 0. Names
 * and labels are listed in docs/metrics.md. Taking is linear in the replicas of the worker and
 * copies numbers only. */
#ifndef HOLDFAST_METRICS_METRICS_H
#define HOLDFAST_METRICS_METRICS_H

#include "control/control.h"
#include "server/server.h"

#define METRICS_PARTITIONS_MAX 64
#define METRICS_PAGE_SIZE_MAX  (4u << 20)

/* Of the process, filled in by the program. */
struct metrics_process {
    const char *version;
    double cpu_seconds;
    uint64_t resident_bytes;
    bool ready;
};

struct metrics_sample;

/* The parts of a worker that are looked at; all are borrowed. */
struct metrics_of {
    struct io *io;
    struct server *server;
    struct node *node;
    struct control *control;
    const char *dir; /* where its log lies */
    unsigned worker;
    const struct durations *turns;
    unsigned alerts[CLUSTER_SEVERITIES]; /* that it has raised */
};

/* One worker's numbers now. The caller's, one allocation: it may be posted, and goes with
 * memory_free. */
struct metrics_sample *metrics_take(const struct metrics_of *of);

/* Appends the page; `out` is bounded by METRICS_PAGE_SIZE_MAX or more. */
void metrics_render(const struct metrics_process *process,
                    const struct metrics_sample *const *samples, size_t count, struct buffer *out);

#endif
