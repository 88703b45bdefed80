/* oracle.h - what must hold inside and between the nodes, looked up after each of their turns.
 *
 *   one leader per term                                           RAFT-1
 *   a quorum of voters, of both halves of a joint configuration, has what is committed and has
 *   heard of the term that is led                                 RAFT-8, RAFT-9, RAFT-15
 *   a leader has all that was committed, or says that it cannot know (R4)   RAFT-3, RAFT-17
 *   committed entries are the same for ever, and logs that agree at an index agree before it
 *                                                                 RAFT-3, RAFT-7
 *   the commit index of a process never goes back                 RAFT-7
 *   what a node called persisted is there after its restart, or it says that it is unsure   WAL-1
 *   the terms of an election's quorum survive restarts            RAFT-5
 *   equal state at equal index                                    REPLICA-5
 *   and the same configuration in force there                     REPLICA-8
 *   entry times rise                                              REPLICA-4
 *   a snapshot is of what is committed, and equal to all others of its mark   BOOT-3, SNAP-5
 *   no replica is seen again whose log was damaged                NODE-10
 *
 * A restarted node learns its commit index again; everything that it then calls committed is
 * compared once more. */
#ifndef HOLDFAST_SIM_ORACLE_H
#define HOLDFAST_SIM_ORACLE_H

#include "sim/verdict.h"

#include "node/node.h"

#define ORACLE_NODES_MAX  8
#define ORACLE_GROUPS_MAX 64 /* those of higher ids are not looked at */

struct oracle;

struct oracle_facts {
    uint64_t leaders;          /* elections won, all groups */
    uint64_t digests;          /* comparisons of two stores at one index */
    uint64_t snapshots;        /* comparisons of two snapshots of one mark */
    uint64_t committed;        /* entries, all groups */
    uint64_t unsure_elections; /* R4: what was lost before them is unknown */
    uint64_t failovers;        /* elections after the first, of all groups but system and default */
};

struct oracle *oracle_create(unsigned nodes, struct verdict *verdict);
void oracle_destroy(struct oracle *oracle);

/* A new process of this node; then after each of its turns. */
void oracle_started(struct oracle *oracle, unsigned node);
/* It died in the middle of a turn. */
void oracle_died(struct oracle *oracle, unsigned node);
/* Its log was damaged: it has nothing any more. */
void oracle_began_anew(struct oracle *oracle, unsigned node);
void oracle_turned(struct oracle *oracle, unsigned node, struct node *inside);
/* A group ended in that turn: what its replica said in it nobody has looked at. */
void oracle_dropped(struct oracle *oracle, unsigned node, struct node *inside);
/* The workers of two living nodes that have `group`: its logs. Linear in what is not yet committed
 * on both. */
void oracle_compare_logs(struct oracle *oracle, struct group_id group, struct node *one,
                         struct node *other);
/* An entry of the agreed log. */
bool oracle_is_committed(const struct oracle *oracle, struct group_id group, uint64_t index,
                         uint64_t term);
struct oracle_facts oracle_facts(const struct oracle *oracle);

#endif
