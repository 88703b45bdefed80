/* progress.c - how far a replica is that is not current. */
#include "replica/replica.h"

#include "replica/bootstrap/bootstrap.h"
#include "replica/log/log.h"

#define CURRENT_ENTRIES 1000 /* missing: no more than a busy group has under way */

uint64_t replica_known_commit(const struct replica *replica)
{
    const struct raft_view *view = raft_view(replica->raft);
    return view->told_commit > view->commit ? view->told_commit : view->commit;
}

static bool has_snapshot_to_come(const struct replica *replica)
{
    return replica_is_loading(replica) || replica_wants_snapshot(replica);
}

bool replica_is_current(const struct replica *replica)
{
    return !has_snapshot_to_come(replica) &&
           replica->executed + CURRENT_ENTRIES >= replica_known_commit(replica);
}

void replica_measure(struct replica *replica, const struct replica_turn *turn)
{
    struct bootstrap_point point = {.at_ns = turn->now_ns,
                                    .phase = BOOTSTRAP_FOLLOWS,
                                    .done = replica->executed,
                                    .of = replica_known_commit(replica),
                                    .bytes = replica->executed_bytes};
    bool loads = has_snapshot_to_come(replica);
    if (replica_is_current(replica)) {
        bootstrap_meter_reset(&replica->bootstrap->meter);
        return;
    }
    if (loads)
        bootstrap_point(replica->bootstrap, &point);
    bootstrap_meter_note(&replica->bootstrap->meter, &point);
}

bool replica_progress(const struct replica *replica, uint64_t now_ns, struct replica_progress *out)
{
    return bootstrap_meter_tell(&replica->bootstrap->meter, now_ns, out);
}

int replica_bootstrap_percent(const struct replica *replica)
{
    struct bootstrap_point point = {.of = 0};
    if (!has_snapshot_to_come(replica))
        return -1;
    bootstrap_point(replica->bootstrap, &point);
    return point.of ? (int)(100 * point.done / point.of) : 0;
}
