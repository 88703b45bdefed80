/* sights.h - what the nodes notice of each other's silence and of their own, as lines: who suspects
 * whom, the times by which they judge and those that would suit, who stood still. */
#ifndef HOLDFAST_HOLDFAST_SIGHTS_H
#define HOLDFAST_HOLDFAST_SIGHTS_H

#include "base/bytes.h"

#include <jansson.h>

#define SIGHTS_SIZE_MAX 65536

/* `merged` is what merge_views answered; what an older node does not say has no line. */
void sights_tell(const json_t *merged, struct buffer *out);

#endif
