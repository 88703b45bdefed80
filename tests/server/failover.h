/* failover.h - what tests of failovers ask of the first keyspace that is made, which is `fast` in
 * most of them. */
#ifndef HOLDFAST_TEST_SERVER_FAILOVER_H
#define HOLDFAST_TEST_SERVER_FAILOVER_H

#include "stage.h"

/* Its partition, the first one. */
#define FAST_GROUP ((struct group_id){2})

/* The reply begins so. */
void expect(struct stage *stage, unsigned client, const char *request, const char *reply);
/* It has those words somewhere. */
void expect_words(struct stage *stage, unsigned client, const char *request, const char *words);

/* A node other than `old` that serves FAST_GROUP; STAGE_NONE. */
unsigned leader_but(struct stage *stage, unsigned old);
/* For stage_wait; `old` points to a number. */
bool has_leader_but(struct stage *stage, void *old);
unsigned leader(struct stage *stage);
bool has_leader(struct stage *stage, void *unused);

const struct raft_view *fast_view(struct stage *stage, unsigned node);

/* The record `id` of LOSS LIST has those words. */
bool list_has(struct stage *stage, unsigned client, const char *id, const char *words);
/* The same, within ten seconds. */
void expect_list(struct stage *stage, unsigned client, const char *id, const char *words);

#endif
