/* What tests of failovers share. */
#include "failover.h"

#include <string.h>

void expect(struct stage *stage, unsigned client, const char *request, const char *reply)
{
    const char *got = stage_ask(stage, client, request);
    if (strncmp(got, reply, strlen(reply)) != 0)
        fail_msg("%s: '%s', not '%s'", request, got, reply);
}

void expect_words(struct stage *stage, unsigned client, const char *request, const char *words)
{
    const char *got = stage_ask(stage, client, request);
    if (!strstr(got, words))
        fail_msg("%s: '%s' lacks '%s'", request, got, words);
}

unsigned leader_but(struct stage *stage, unsigned old)
{
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        struct replica *replica = stage_replica(stage, i, FAST_GROUP);
        if (i != old && replica && replica_is_serving(replica))
            return i;
    }
    return STAGE_NONE;
}

bool has_leader_but(struct stage *stage, void *old)
{
    return leader_but(stage, *(unsigned *)old) != STAGE_NONE;
}

unsigned leader(struct stage *stage)
{
    return leader_but(stage, STAGE_NONE);
}

bool has_leader(struct stage *stage, void *unused)
{
    (void)unused;
    return leader(stage) != STAGE_NONE;
}

const struct raft_view *fast_view(struct stage *stage, unsigned node)
{
    return raft_view(replica_raft(stage_replica(stage, node, FAST_GROUP)));
}

bool list_has(struct stage *stage, unsigned client, const char *id, const char *words)
{
    const char *record = strstr(stage_ask(stage, client, "LOSS LIST fast"), id);
    return record && strstr(record, words);
}

void expect_list(struct stage *stage, unsigned client, const char *id, const char *words)
{
    for (unsigned i = 0; i < 100 && !list_has(stage, client, id, words); i++)
        stage_run(stage, 100 * STAGE_MS);
    if (!list_has(stage, client, id, words))
        fail_msg("%s: '%s' lacks '%s'", id, stage_ask(stage, client, "LOSS LIST fast"), words);
}
