/* health.h - one sentence, and whether it is a good one. */
#ifndef HOLDFAST_HOLDFAST_HEALTH_H
#define HOLDFAST_HOLDFAST_HEALTH_H

#include <jansson.h>
#include <stdbool.h>

#define HEALTH_SENTENCE_SIZE 512

struct health {
    bool good; /* every node up, every partition with a leader that is up, every replica ready */
    char sentence[HEALTH_SENTENCE_SIZE];
};

/* `merged` is what merge_views answered. */
struct health health_of(const json_t *merged);

#endif
