/* ids.h - numbers that must not be mixed up are one-field structs. Floor 0.
 *
 * A node id and a partition id (= group id; 0 is the system group) are given once per cluster and
 * never reused; a replica id rises per group and is never reused (R5: raft peers are replica ids,
 * not nodes). Zero means "none" for node and replica. */
#ifndef HOLDFAST_BASE_IDS_H
#define HOLDFAST_BASE_IDS_H

#include <stdbool.h>
#include <stdint.h>

struct node_id {
    uint64_t value;
};
struct group_id {
    uint64_t value;
};
struct replica_id {
    uint64_t value;
};
struct cluster_id {
    uint64_t high, low;
}; /* random, 128 bits */

static inline bool node_id_equal(struct node_id a, struct node_id b)
{
    return a.value == b.value;
}
static inline bool group_id_equal(struct group_id a, struct group_id b)
{
    return a.value == b.value;
}
static inline bool replica_id_equal(struct replica_id a, struct replica_id b)
{
    return a.value == b.value;
}
static inline bool cluster_id_equal(struct cluster_id a, struct cluster_id b)
{
    return a.high == b.high && a.low == b.low;
}

#define GROUP_SYSTEM ((struct group_id){0})

#endif
