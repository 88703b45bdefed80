/* world.h - up to three nodes with their peer_sets on a fake network, and what they were told.
 *
 * Node ids are 1, 2, 3 on hosts 0, 1, 2; host 3 is free for strangers. Messages are FORWARD_CLOSE
 * with a rising number as session, or FORWARD_REPLY with many bytes. */
#ifndef HOLDFAST_TEST_PEER_WORLD_H
#define HOLDFAST_TEST_PEER_WORLD_H

#include "peer/peer.h"
#include "tests/peer/fake_io.h"

#define WORLD_NODES 3
#define STRANGER    3
#define MS          1000000ull
#define WORLD_TAG   7000000ull
#define WORLD_TIMER 5

/* What node `at` was told about node `of`, on each link ([0] data, [1] control). */
struct told {
    unsigned up[2], down[2], refused[2], heard[2], other_incarnation[2];
    uint64_t messages[2], next[2]; /* next: the session that FORWARD_CLOSE must carry */
    uint64_t bytes[2];
};

struct world {
    struct fake_network *network;
    struct peer_set *sets[WORLD_NODES];
    uint64_t incarnations[WORLD_NODES];
    struct told told[WORLD_NODES + 1][WORLD_NODES + 1]; /* by node id */
    uint64_t sent[WORLD_NODES + 1][WORLD_NODES + 1][2];
    unsigned lines[WORLD_NODES + 1];
    char line[WORLD_NODES + 1][PEER_LINE_SIZE]; /* the newest */
    size_t buffered_max;
    size_t largest_batch; /* most messages in one pull-out */
};

struct world *world_create(uint64_t seed);
void world_destroy(struct world *world);

/* Starts the process of a node: it listens and knows nobody. */
void world_start(struct world *world, unsigned node);
void world_start_as(struct world *world, unsigned node, struct peer_options options);
struct peer_options world_options(const struct world *world, unsigned node);
void world_stop(struct world *world, unsigned node);          /* as kill -9 */
void world_meet(struct world *world, unsigned a, unsigned b); /* they learn of each other */
const char *world_address(unsigned node);

/* All nodes 1 .. count started, everybody knows everybody, everything is up. */
struct world *world_of(unsigned count);

void world_turn(struct world *world); /* a millisecond; every node that runs takes a turn */
void world_run(struct world *world, uint64_t ms);
void world_cut(struct world *world, unsigned a, unsigned b, bool cut); /* both ways */

bool world_is_up(const struct world *world, unsigned at, unsigned of);
/* Turns until both links of each see the other up; returns the milliseconds, or fails. */
uint64_t world_until_up(struct world *world, unsigned a, unsigned b, uint64_t limit_ms);

/* Adds one numbered message; false when there was no frame. */
bool world_send(struct world *world, unsigned from, unsigned to, enum wire_link link);
bool world_send_bytes(struct world *world, unsigned from, unsigned to, size_t size);

#endif
