/* random.h - a small deterministic generator (xoshiro256**, Blackman and Vigna 2018). The seed
 * decides everything; whoever owns one decides where the seed comes from (io_random in a program,
 * the run's seed in the simulator). Floor 0. */
#ifndef HOLDFAST_BASE_RANDOM_H
#define HOLDFAST_BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_init(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
uint64_t random_below(struct random *random, uint64_t bound); /* 0 .. bound - 1; bound > 0 */

#endif
