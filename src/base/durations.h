/* durations.h - how long something took, counted in buckets. Floor 0; plain numbers of one owner.
 */
#ifndef HOLDFAST_BASE_DURATIONS_H
#define HOLDFAST_BASE_DURATIONS_H

#include <stddef.h>
#include <stdint.h>

#define DURATIONS_BUCKETS 18

/* Upper ends of the buckets; the last one has none. */
extern const uint64_t durations_end_us[DURATIONS_BUCKETS - 1];

struct durations {
    uint64_t count, sum_ns, in[DURATIONS_BUCKETS];
};

void durations_add(struct durations *durations, uint64_t ns);
/* Adds all of `more`. */
void durations_join(struct durations *durations, const struct durations *more);

#endif
