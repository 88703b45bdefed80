/* journey.h - the story of one write through three nodes, as the nodes themselves note it: stage,
 * file, function. The golden text is tests/golden/journey.txt. */
#ifndef HOLDFAST_SIM_JOURNEY_H
#define HOLDFAST_SIM_JOURNEY_H

#include <stdio.h>

/* 0, or 1 when a stage is missing. */
int journey_run(FILE *out);

#endif
