/* Which conditions are alerts, and when one is raised and cleared. CLUSTER-15 */
#include "cluster/cluster.h"

#include <assert.h>

#define SECOND 1000000000ull

static const struct cluster_alert_rule rules[CLUSTER_ALERTS] = {
    [CLUSTER_ALERT_NO_LEADER] = {"no-leader",
                                 "start the nodes again that it waits for: holdfast why partition "
                                 "names them",
                                 CLUSTER_CRITICAL, 5 * SECOND, 2 * SECOND, 0},
    [CLUSTER_ALERT_READ_ONLY] = {"read-only",
                                 "bring its nodes back, or let holdfast keyspace alter ask for "
                                 "fewer copies",
                                 CLUSTER_CRITICAL, 10 * SECOND, 3 * SECOND, 0},
    [CLUSTER_ALERT_NOT_SERVING] = {"not-serving",
                                   "see holdfast why partition: whom its leader waits for",
                                   CLUSTER_CRITICAL, 10 * SECOND, 3 * SECOND, 0},
    [CLUSTER_ALERT_NODE_DOWN] = {"node-down",
                                 "start it again, or replace it: holdfast node replace, or remove",
                                 CLUSTER_CRITICAL, 10 * SECOND, 3 * SECOND, 0},
    [CLUSTER_ALERT_DISK_FULL] = {"disk-full", "free some space there; no restart is needed",
                                 CLUSTER_CRITICAL, 3 * SECOND, 2 * SECOND, 0},
    [CLUSTER_ALERT_DISK_STALLED] = {"disk-stalled",
                                    "look at that disk and at what else writes to it",
                                    CLUSTER_CRITICAL, 3 * SECOND, 2 * SECOND, 0},
    [CLUSTER_ALERT_NODE_DAMAGED] = {"node-damaged",
                                    "look at its disk; keyspace system must have a leader to take "
                                    "it back",
                                    CLUSTER_CRITICAL, 10 * SECOND, 3 * SECOND, 0},
    [CLUSTER_ALERT_LOSS] = {"loss",
                            "holdfast loss list shows them; holdfast loss replay or discard "
                            "settles each",
                            CLUSTER_CRITICAL, 5 * SECOND, 3 * SECOND, 0},
    [CLUSTER_ALERT_DEGRADED] = {"degraded",
                                "bring its nodes back: holdfast status shows who is down",
                                CLUSTER_WARNING, 10 * SECOND, 3 * SECOND, 0},
    [CLUSTER_ALERT_REPLICA_DOWN] = {"replica-down", "look at the log of its node; it is reached",
                                    CLUSTER_WARNING, 30 * SECOND, 5 * SECOND, 0},
    [CLUSTER_ALERT_REPLICA_LAGGING] = {"replica-lagging",
                                       "look at the disk and the network of its node",
                                       CLUSTER_WARNING, 60 * SECOND, 10 * SECOND, 0},
    [CLUSTER_ALERT_BOOTSTRAP_STUCK] = {"bootstrap-stuck",
                                       "see holdfast why replica, and the log of its node",
                                       CLUSTER_WARNING, 10 * SECOND, 3 * SECOND, 110 * SECOND},
    [CLUSTER_ALERT_CHANGE_STUCK] = {"change-stuck", "see holdfast why partition: whom it waits for",
                                    CLUSTER_WARNING, 10 * SECOND, 3 * SECOND, 290 * SECOND},
    [CLUSTER_ALERT_NODE_SUSPECTED] = {"node-suspected",
                                      "look at the network between the nodes: holdfast node list "
                                      "shows what each hears",
                                      CLUSTER_WARNING, 5 * SECOND, 3 * SECOND, 0},
    [CLUSTER_ALERT_NODE_AWAY] = {"node-away", "start it again, or holdfast node remove it for good",
                                 CLUSTER_WARNING, 5 * SECOND, 3 * SECOND, 0},
    [CLUSTER_ALERT_NODE_DRAINED] = {"node-drained",
                                    "holdfast node undrain it, or stop and remove it; holdfast why "
                                    "node says what does not leave it",
                                    CLUSTER_INFO, 5 * SECOND, 3 * SECOND, 0},
    [CLUSTER_ALERT_FEATURE_LEVEL] = {"feature-level",
                                     "holdfast node raise, when no build before is wanted back",
                                     CLUSTER_INFO, 60 * SECOND, 3 * SECOND, 0},
};

const char *cluster_severity_word(enum cluster_severity severity)
{
    static const char *const words[CLUSTER_SEVERITIES] = {"info", "warning", "critical"};
    return (unsigned)severity < CLUSTER_SEVERITIES ? words[severity] : "unknown";
}

const struct cluster_alert_rule *cluster_alert_rule(enum cluster_alert_kind kind)
{
    assert((unsigned)kind < CLUSTER_ALERTS);
    return &rules[kind];
}

bool cluster_alert_of(const struct cluster_finding *finding, enum cluster_alert_kind *out)
{
    switch (finding->rule) {
    case CLUSTER_WHY_NO_LEADER: *out = CLUSTER_ALERT_NO_LEADER; return true;
    case CLUSTER_WHY_SHORT: *out = CLUSTER_ALERT_READ_ONLY; return true;
    case CLUSTER_WHY_NOT_SERVING: *out = CLUSTER_ALERT_NOT_SERVING; return true;
    case CLUSTER_WHY_UNREACHED: *out = CLUSTER_ALERT_NODE_DOWN; return true;
    case CLUSTER_WHY_DISK_FULL: *out = CLUSTER_ALERT_DISK_FULL; return true;
    case CLUSTER_WHY_DISK_STALLED: *out = CLUSTER_ALERT_DISK_STALLED; return true;
    case CLUSTER_WHY_DAMAGED: *out = CLUSTER_ALERT_NODE_DAMAGED; return true;
    case CLUSTER_WHY_DEGRADED: *out = CLUSTER_ALERT_DEGRADED; return true;
    case CLUSTER_WHY_DOWN: *out = CLUSTER_ALERT_REPLICA_DOWN; return true;
    case CLUSTER_WHY_LAGGING: *out = CLUSTER_ALERT_REPLICA_LAGGING; return true;
    case CLUSTER_WHY_CHANGE: *out = CLUSTER_ALERT_CHANGE_STUCK; return true;
    case CLUSTER_WHY_BOOTSTRAPPING: *out = CLUSTER_ALERT_BOOTSTRAP_STUCK; return finding->need > 0;
    default: return false; /* well, on its way, or said by another */
    }
}

/* ---- hysteresis ---- */

static uint64_t time_since(const struct cluster_alert *alert, uint64_t now_ns)
{
    uint64_t ns = alert->looked_ns ? now_ns - alert->looked_ns : 0;
    return ns < CLUSTER_ALERT_LOOK_NS ? ns : CLUSTER_ALERT_LOOK_NS;
}

/* Of a rule about progress: whether it stood still for long enough. */
static bool stands(struct cluster_alert *alert, const struct cluster_alert_rule *rule, bool is_so,
                   uint64_t progress, uint64_t ns)
{
    bool same = is_so && alert->progress == progress + 1;
    alert->stood_ns = same ? alert->stood_ns + ns : 0;
    alert->progress = is_so ? progress + 1 : 0;
    return is_so && alert->stood_ns >= rule->still_ns;
}

enum cluster_alert_change cluster_alert_step(struct cluster_alert *alert,
                                             const struct cluster_alert_rule *rule, bool is_so,
                                             uint64_t progress, uint64_t now_ns)
{
    assert(rule->raise_after_ns > rule->clear_after_ns && now_ns >= alert->looked_ns);
    uint64_t ns = time_since(alert, now_ns);
    bool holds = rule->still_ns ? stands(alert, rule, is_so, progress, ns) : is_so;
    alert->lasted_ns = alert->looked_ns && holds == alert->holds ? alert->lasted_ns + ns : 0;
    alert->holds = holds;
    alert->looked_ns = now_ns;
    uint64_t wanted_ns = holds ? rule->raise_after_ns : rule->clear_after_ns;
    if (holds == alert->is_raised || alert->lasted_ns < wanted_ns)
        return CLUSTER_ALERT_SAME;
    alert->is_raised = holds; /* CLUSTER-15 */
    return holds ? CLUSTER_ALERT_RAISED : CLUSTER_ALERT_CLEARED;
}

bool cluster_alert_is_over(const struct cluster_alert *alert)
{
    return !alert->is_raised && !alert->holds && !alert->progress;
}
