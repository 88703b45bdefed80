/* losses.h - whether the ledger has what was lost: all of it, and nothing else (R10, LEDGER-1 to
 * LEDGER-3).
 *
 * FAILOVER available lets a write be answered that the next leader does not have. Each value that a
 * client writes is in no other request, so it can be found in the entries of the leaders: this
 * notes where each has stood. In the end a write that was acknowledged stands at one of its places
 * in the agreed log, or is in the ledger of a node as acknowledged or possibly so, or LOSS LIST
 * says of its term that nobody knows. What LOSS LIST says must be there for whatever a ledger has;
 * and what a ledger has is in the agreed log if it says so, and only then.
 *
 * Not judged: keyspaces that answer nothing early, those that power cuts may rob (R4) when they
 * have, earlier lives; and writes whose value does not show (DEL, counters, deadlines). */
#ifndef HOLDFAST_SIM_LOSSES_H
#define HOLDFAST_SIM_LOSSES_H

#include "sim/cluster.h"
#include "sim/spaces.h"

struct losses;

struct losses_facts {
    uint64_t listed;  /* acknowledged, lost, and in a ledger */
    uint64_t unknown; /* acknowledged, lost, and of a term that nobody knows of */
};

struct losses *losses_create(void);
void losses_destroy(struct losses *losses);

/* After each turn of a worker of that node. */
void losses_turned(struct losses *losses, unsigned node, struct node *inside);

/* Every ledger's cuts are decided, and in LOSS LIST: what was reported has arrived. */
bool losses_are_told(const struct cluster *cluster);

/* All are up and equal. */
struct losses_facts losses_check(const struct losses *losses, const struct cluster *cluster,
                                 const struct history *history, const struct spaces *spaces,
                                 const struct spaces_fate *fate);

#endif
