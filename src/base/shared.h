/* shared.h - a number that one thread writes and any thread reads at any moment. Floor 0.
 *
 * Whoever sees a number sees also what its writer had set before it. Zeroed memory is 0. */
#ifndef HOLDFAST_BASE_SHARED_H
#define HOLDFAST_BASE_SHARED_H

#include <stdint.h>

struct shared {
    uint64_t number; /* by the two functions alone */
};

static inline uint64_t shared_get(const struct shared *shared)
{
    return __atomic_load_n(&shared->number, __ATOMIC_ACQUIRE);
}

/* By its one writer. A number that stays is not written: others keep it in their caches. */
static inline void shared_set(struct shared *shared, uint64_t number)
{
    if (__atomic_load_n(&shared->number, __ATOMIC_RELAXED) != number)
        __atomic_store_n(&shared->number, number, __ATOMIC_RELEASE);
}

#endif
