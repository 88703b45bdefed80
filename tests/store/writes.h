/* writes.h - random writes of every kind on a store, for tests that look at it as a whole. */
#ifndef HOLDFAST_TEST_STORE_WRITES_H
#define HOLDFAST_TEST_STORE_WRITES_H

#include "base/random.h"
#include "store/store.h"

#define WRITES_DATABASES 3

struct writes {
    struct store *store; /* owned */
    struct random random;
    uint64_t hash_seed;
    unsigned names, crowds;
    uint32_t clears_in; /* one of so many writes empties something; 0: none */
};

/* Of `names` keys in three databases; `crowds` of ten of them are in one slot. */
void writes_init(struct writes *writes, uint64_t seed, unsigned names, unsigned crowds);
void writes_deinit(struct writes *writes);
void writes_one(struct writes *writes);

/* Makes and removes keys of an empty store, so that its memory is not that of a new one. */
void writes_touch(struct store *store, struct random *random);

#endif
