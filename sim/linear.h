/* linear.h - is the history of one key linearizable? Wing and Gong's search with Lowe's memo
 * ("Testing for linearizability", 2016); keys are independent, so each is judged alone.
 *
 * The model of a key is one value: absent, or a string, number or list. A deadline is a window: the
 * value may be gone from `earliest` on, and must be gone after `latest`; once gone it never comes
 * back. The window is as wide as group time may differ from the world's clock (R12); with
 * `tolerance_ns` HISTORY_NEVER it has no ends. */
#ifndef HOLDFAST_SIM_LINEAR_H
#define HOLDFAST_SIM_LINEAR_H

#include "sim/history.h"

enum linear_answer {
    LINEAR_YES,
    LINEAR_NO,
    LINEAR_UNDECIDED, /* the search was given up after `steps_max` */
};

/* `stuck`: after NO, the operation that no order explains, in the best order that was found. */
enum linear_answer linear_check(const struct history_key *key, uint64_t tolerance_ns,
                                uint64_t steps_max, uint32_t *stuck);

#endif
