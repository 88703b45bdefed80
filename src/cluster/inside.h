/* inside.h - private to cluster/. */
#ifndef HOLDFAST_CLUSTER_INSIDE_H
#define HOLDFAST_CLUSTER_INSIDE_H

#include "cluster/cluster.h"

/* ---- domain.c ---- */

/* Of sites, zones, hosts. */
bool domain_is_named(const struct cluster_member *node, enum cluster_spread level);
bool domain_is_shared(const struct cluster_member *a, const struct cluster_member *b,
                      enum cluster_spread level);
/* Does any node that stays name one? */
bool domain_is_known(const struct cluster_member *nodes, size_t count, enum cluster_spread level);
size_t domain_count_staying(const struct cluster_member *nodes, size_t count);

/* ---- choose.c ---- */

#define LEAF_NEW SIZE_MAX

/* A node that may have a copy. */
struct leaf {
    const struct cluster_member *node; /* borrowed */
    size_t turn;                       /* its place in the order from the turn-th node on */
    size_t now; /* its place among those that have a copy; LEAF_NEW: it has none */
};

/* What speaks against a choice: less of an earlier kind outweighs all that follow. The squares of
 * the copies in each domain, added up, are least where the domains are even. */
enum choice_cost {
    CHOICE_SHARED = 0, /* copies that are not in a domain of their own, of the level of SPREAD */
    CHOICE_LEAVING,    /* copies that stay on a node that leaves */
    CHOICE_ELSEWHERE,  /* -1: one is in the preferred site */
    CHOICE_SITES,      /* the squares of sites, of zones, of hosts */
    CHOICE_ZONES,
    CHOICE_HOSTS,
    CHOICE_MOVES, /* copies that are new */
    CHOICE_KEPT,  /* the places of those that are not: who is in front rather keeps it */
    CHOICE_LOAD,  /* of the nodes of the new ones, over their weight */
    CHOICE_TURN,
    CHOICE_COSTS
};

struct choice {
    bool possible;
    size_t count;
    size_t leaves[CLUSTER_REPLICAS_MAX];
    int64_t costs[CHOICE_COSTS];
};

/* Leaves of a domain side by side, at each level. */
void choose_sort(struct leaf *leaves, size_t count);
/* As many of the sorted leaves as the contract says, or all; the best there are. CLUSTER-6 */
void choose(const struct cluster_ask *ask, const struct leaf *leaves, size_t count,
            struct choice *out);

/* ---- placement.c ---- */

/* The place of a node among those that have a copy; LEAF_NEW: it has none. */
size_t place_now(const struct cluster_ask *ask, struct node_id node);
/* For one more copy, as far as that is known. */
bool place_has_room(const struct cluster_ask *ask, const struct cluster_member *node);
unsigned place_weight(const struct cluster_member *node);
bool place_is_preferred(const struct cluster_contract *contract, const struct cluster_member *node);

/* ---- leads.c ---- */

/* Puts another member in front of its place where that makes the leads of the keyspace more even
 * over weight; as even as they can be. CLUSTER-3 */
void leads_level(const struct cluster_contract *contract, const struct cluster_member *nodes,
                 size_t count, struct cluster_place *places);

#endif
