/* hooks.h - programs of the operator that are run when leadership or a state changes: to move a
 * virtual IP, to change a record of a name server, to call somebody.
 *
 * A hook is the path of a program; no shell reads it. It is started with these arguments:
 *
 *   leader-change KEYSPACE PARTITION leader|follower NODE TERM ADDRESS
 *   state-change  KEYSPACE PARTITION STATE           NODE TERM ADDRESS
 *   alert raised|cleared SEVERITY NAME KEYSPACE PARTITION REPLICA NODE TEXT
 *
 * the first two of a partition that has a replica on this node. In the first, the fourth is what
 * this node is now, and NODE and ADDRESS are the leader's: 0 and - while none is known. In the
 * second NODE is this one. An alert says - for what it is not about. Its input is empty, its output
 * goes to the log of this process.
 *
 * Promises. HOOK-1 No worker waits for a hook, whatever that does: it fills a place, or comes again
 * later. HOOK-2 Of each hook one process runs at a time, for HOOKS_LIMIT_NS at most: then it is
 * killed, with what it started in its process group. HOOK-3 The last run for a partition was told
 * the newest of it, and of an alert as well; what changed again before it could be told is told
 * once. Non-promises: a hook
 * comes a moment after the change and fences nothing; one that fails is not run again. */
#ifndef HOLDFAST_HOLDFASTD_HOOKS_H
#define HOLDFAST_HOLDFASTD_HOOKS_H

#include "worker/worker.h"

#define HOOKS_WAITING_MAX 256 /* partitions or alerts, for each hook */
#define HOOKS_LIMIT_NS    (10 * 1000000000ull)

struct hooks;

struct hooks_options {
    const char *paths[WORKER_NEWS_COUNT]; /* by enum worker_news; "" : none; borrowed for life */
    uint64_t limit_ns;                    /* 0: HOOKS_LIMIT_NS */
};

/* Starts the thread; NULL when there is no hook. */
struct hooks *hooks_start(const struct hooks_options *options);

/* From any thread. False: as many as may wait do; to be given again. */
MUST_USE bool hooks_give(struct hooks *hooks, enum worker_news news,
                         const struct worker_change *change);

/* What was given is still run, for one limit in all; what is left then is dropped with a line in
 * the log. Blocks until then. NULL is fine. */
void hooks_stop(struct hooks *hooks);

#endif
