/* cost.h - what one operation costs in calls to the outside: counted in the simulator, where the
 * same code always counts the same. The golden text is tests/golden/cost.txt. */
#ifndef HOLDFAST_SIM_COST_H
#define HOLDFAST_SIM_COST_H

#include <stdio.h>

/* 0, or 1 when the cluster did not answer. */
int cost_run(FILE *out);

#endif
