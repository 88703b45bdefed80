/* verdict.h - the first thing that an oracle of a run found wrong. */
#ifndef HOLDFAST_SIM_VERDICT_H
#define HOLDFAST_SIM_VERDICT_H

#include <stdbool.h>

struct verdict {
    bool failed;
    char oracle[24]; /* which one: a word of docs/testing.md */
    char line[2400];
};

/* Only the first finding is kept: later ones are its consequences. */
void verdict_fail(struct verdict *verdict, const char *oracle, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
