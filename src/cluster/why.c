/* Reasons as lines: what is so, by which rule, for whom it waits, since when. CLUSTER-11 */
#include "cluster/cluster.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const words[CLUSTER_WHY_END] = {
    [CLUSTER_WHY_NO_LEADER] = "no-leader",
    [CLUSTER_WHY_MISSING] = "missing",
    [CLUSTER_WHY_NOT_ASKED] = "not-asked",
    [CLUSTER_WHY_NOT_SERVING] = "not-serving",
    [CLUSTER_WHY_DISK_FULL] = "disk-full",
    [CLUSTER_WHY_SHORT] = "short",
    [CLUSTER_WHY_DEGRADED] = "degraded",
    [CLUSTER_WHY_UNREACHED] = "unreached",
    [CLUSTER_WHY_DAMAGED] = "damaged",
    [CLUSTER_WHY_DOWN] = "down",
    [CLUSTER_WHY_UNLED] = "unled",
    [CLUSTER_WHY_UNSURE] = "unsure",
    [CLUSTER_WHY_VOID] = "void",
    [CLUSTER_WHY_BOOTSTRAPPING] = "bootstrapping",
    [CLUSTER_WHY_CATCHING_UP] = "catching-up",
    [CLUSTER_WHY_LAGGING] = "lagging",
    [CLUSTER_WHY_OUT_OF_SYNC] = "out-of-sync",
    [CLUSTER_WHY_LEARNER] = "learner",
    [CLUSTER_WHY_CHANGE] = "change",
    [CLUSTER_WHY_UNCONFIRMED] = "unconfirmed",
    [CLUSTER_WHY_READY] = "ready",
    [CLUSTER_WHY_LED] = "led",
    [CLUSTER_WHY_FOLLOWS] = "follows",
    [CLUSTER_WHY_DISK_STALLED] = "disk-stalled",
    [CLUSTER_WHY_SUSPECTED] = "suspected",
};

const char *cluster_why_word(enum cluster_rule rule)
{
    bool is_known = (unsigned)rule < CLUSTER_WHY_END && words[rule];
    return is_known ? words[rule] : "unknown";
}

bool cluster_why_is_well(enum cluster_rule rule)
{
    return rule == CLUSTER_WHY_READY || rule == CLUSTER_WHY_LED || rule == CLUSTER_WHY_FOLLOWS;
}

/* ---- time ---- */

/* Days since 1970 as a date of the Gregorian calendar (H. Hinnant, "chrono-compatible low-level
 * date algorithms"): years begin in March, so that the leap day is the last one. */
static void date_of(int64_t days, int *year, int *month, int *day)
{
    int64_t shifted = days + 719468;
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    int64_t of_era = shifted - era * 146097;
    int64_t years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * years + years / 4 - years / 100);
    int64_t from_march = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * from_march + 2) / 5 + 1);
    *month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    *year = (int)(years + era * 400 + (*month <= 2));
}

void cluster_time_text(int64_t ms, char out[CLUSTER_TIME_SIZE])
{
    int64_t seconds = ms / 1000, days = seconds / 86400, rest = seconds % 86400;
    int year, month, day;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    date_of(days, &year, &month, &day);
    snprintf(out, CLUSTER_TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02dZ", year, month, day,
             (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
}

static void print_since(const struct cluster_finding *finding, struct buffer *out)
{
    char text[CLUSTER_TIME_SIZE];
    if (finding->since_ms > 0) {
        cluster_time_text(finding->since_ms, text);
        buffer_print(out, " since %s", text);
    } else {
        buffer_print(out, " (since when is not known)");
    }
}

/* ---- subjects ---- */

struct line {
    const struct cluster_finding *finding;
    const char *keyspace, *address;
    struct buffer *out;
};

static void say_partition(const struct line *line)
{
    buffer_print(line->out, "partition %" PRIu64 " of %s", line->finding->group.value,
                 line->keyspace);
}

static void say_replica(const struct line *line)
{
    buffer_print(line->out, "replica %" PRIu64 "/%" PRIu64 " of %s, on node %" PRIu64 ",",
                 line->finding->group.value, line->finding->replica.value, line->keyspace,
                 line->finding->node.value);
}

static void say_peer(const struct line *line)
{
    buffer_print(line->out, "node %" PRIu64, line->finding->peer.value);
    if (line->address[0])
        buffer_print(line->out, " at %s", line->address);
}

/* ---- of a partition ---- */

static void say_no_leader(const struct line *line)
{
    const struct cluster_finding *finding = line->finding;
    say_partition(line);
    buffer_print(line->out, " has no leader");
    print_since(finding, line->out);
    buffer_print(line->out,
                 ": an election needs %" PRIu64 " of its voters, and %" PRIu64 " can be asked",
                 finding->need, finding->have);
    if (finding->have >= finding->need)
        buffer_print(line->out, "; it goes on by itself");
}

static void say_missing(const struct line *line)
{
    say_partition(line);
    buffer_print(line->out, " waits for ");
    say_peer(line);
    buffer_print(line->out, ", a voter, which cannot be reached");
    print_since(line->finding, line->out);
}

static void say_not_asked(const struct line *line)
{
    say_partition(line);
    buffer_print(line->out, " is led by ");
    say_peer(line);
    buffer_print(line->out, ", which cannot be asked from here");
    print_since(line->finding, line->out);
    buffer_print(line->out, ": what it knows is missing here");
}

static void say_not_serving(const struct line *line)
{
    say_partition(line);
    buffer_print(line->out, ": its leader, node %" PRIu64 ", ", line->finding->node.value);
    if (line->finding->peer.value) {
        buffer_print(line->out, "hands over to ");
        say_peer(line);
    } else {
        buffer_print(line->out, "waits for a quorum to commit the first entry of its term");
    }
    print_since(line->finding, line->out);
}

static void say_short(const struct line *line)
{
    const struct cluster_finding *finding = line->finding;
    bool refuses = finding->rule == CLUSTER_WHY_SHORT;
    say_partition(line);
    buffer_print(line->out,
                 refuses ? " is read-only" : " acknowledges writes with fewer copies than its ACK");
    print_since(finding, line->out);
    buffer_print(line->out,
                 ": %" PRIu64 " copies can be reached, and a write needs %" PRIu64 " (SHORT %s)",
                 finding->have, finding->need, refuses ? "refuse" : "degrade");
}

static void say_change(const struct line *line)
{
    const struct cluster_finding *finding = line->finding;
    say_partition(line);
    buffer_print(line->out, " changes its members");
    if (!finding->peer.value) {
        buffer_print(line->out, ": its leader, node %" PRIu64 ", %s", finding->node.value,
                     finding->need ? "is done with that, and waits for the leader of keyspace "
                                     "system to hear of it"
                                   : "has yet to commit that");
        return;
    }
    buffer_print(line->out, " and waits for ");
    say_peer(line);
    if (finding->have)
        buffer_print(line->out, ", whose copy lacks %" PRIu64 " entries", finding->have);
    else
        buffer_print(line->out, finding->need ? ", which cannot be reached"
                                              : ", whose copy has not caught up");
    print_since(finding, line->out);
}

/* ---- of a node ---- */

static void say_node(const struct line *line, const char *what, const char *cure)
{
    buffer_print(line->out, "node %" PRIu64 "%s", line->finding->node.value, what);
    print_since(line->finding, line->out);
    buffer_print(line->out, "%s", cure);
}

static void say_unreached(const struct line *line)
{
    say_peer(line);
    buffer_print(line->out, " cannot be reached from node %" PRIu64, line->finding->node.value);
    print_since(line->finding, line->out);
}

static void say_suspected(const struct line *line)
{
    uint64_t phi = line->finding->have;
    buffer_print(line->out, "node %" PRIu64 " is suspected by ", line->finding->node.value);
    say_peer(line);
    print_since(line->finding, line->out);
    buffer_print(line->out,
                 ": nothing is heard of it (phi %" PRIu64 ".%" PRIu64 "), and no requests are "
                 "handed on to it until something is",
                 phi / 1000, phi / 100 % 10);
}

/* ---- of a replica ---- */

static void say_down(const struct line *line)
{
    say_replica(line);
    buffer_print(line->out, " is down: its leader, ");
    say_peer(line);
    buffer_print(line->out, ", has not heard it");
    print_since(line->finding, line->out);
}

static void say_bootstrapping(const struct line *line)
{
    say_replica(line);
    buffer_print(line->out, " is not ready");
    print_since(line->finding, line->out);
    buffer_print(line->out, ": it receives a snapshot");
    if (line->finding->need)
        buffer_print(line->out, ", %" PRIu64 " %% of it are there", line->finding->have);
}

static void say_of_replica(const struct line *line, const char *what, const char *behind)
{
    say_replica(line);
    buffer_print(line->out, " %s", what);
    print_since(line->finding, line->out);
    buffer_print(line->out, "%s", behind);
}

static void say_entries(const struct line *line, const char *what, const char *behind)
{
    say_of_replica(line, what, "");
    buffer_print(line->out, ": %" PRIu64 " entries %s", line->finding->have, behind);
}

static void say_learner(const struct line *line)
{
    if (!line->finding->need) {
        say_entries(line, "does not vote yet",
                    "are missing; the new copies become voters together, when all have caught up");
        return;
    }
    say_replica(line);
    buffer_print(line->out,
                 " does not vote: it is a reader, which KEYSPACE ALTER %s REPLICAS may "
                 "make a voter",
                 line->keyspace);
}

static void tell_replica(const struct line *line)
{
    switch (line->finding->rule) {
    case CLUSTER_WHY_DOWN: say_down(line); break;
    case CLUSTER_WHY_BOOTSTRAPPING: say_bootstrapping(line); break;
    case CLUSTER_WHY_UNLED:
        say_of_replica(line, "hears no leader", ", and there is one: it is cut off from it");
        break;
    case CLUSTER_WHY_UNSURE:
        say_of_replica(line, "neither votes nor leads",
                       ": a power cut may have taken entries from it (SYNC is not always), and it "
                       "waits for a leader to bring it to its commit index");
        break;
    case CLUSTER_WHY_VOID:
        say_of_replica(line, "takes nothing more",
                       ": an election went on without what it has as committed; it sets that "
                       "aside and begins anew");
        break;
    case CLUSTER_WHY_CATCHING_UP:
        say_entries(line, "is not ready", "of its log are not applied yet");
        break;
    case CLUSTER_WHY_LAGGING: say_entries(line, "lags behind", "are not on its disk yet"); break;
    case CLUSTER_WHY_LEARNER: say_learner(line); break;
    case CLUSTER_WHY_OUT_OF_SYNC:
        say_of_replica(line, "is out of the in-sync set",
                       ": ACK all does not wait for it until it has everything");
        break;
    default: say_of_replica(line, "is ready", ""); break;
    }
}

static void tell_rest(const struct line *line)
{
    switch (line->finding->rule) {
    case CLUSTER_WHY_NO_LEADER: say_no_leader(line); break;
    case CLUSTER_WHY_MISSING: say_missing(line); break;
    case CLUSTER_WHY_NOT_ASKED: say_not_asked(line); break;
    case CLUSTER_WHY_NOT_SERVING: say_not_serving(line); break;
    case CLUSTER_WHY_SHORT:
    case CLUSTER_WHY_DEGRADED: say_short(line); break;
    case CLUSTER_WHY_CHANGE: say_change(line); break;
    case CLUSTER_WHY_UNREACHED: say_unreached(line); break;
    case CLUSTER_WHY_DISK_FULL:
        say_node(line, " has a full disk",
                 ": what is left of its log's files is filled, then it takes no writes; free some "
                 "space, no restart is needed");
        break;
    case CLUSTER_WHY_DISK_STALLED:
        say_node(line, " has a disk that stands still",
                 ": a sync took longer than a second, and it hands over what it leads; look at "
                 "the disk and at what else writes to it");
        break;
    case CLUSTER_WHY_SUSPECTED: say_suspected(line); break;
    case CLUSTER_WHY_DAMAGED:
        say_node(line, " has no replica",
                 ": its log was damaged or lost, and it waits for the leader of system to take it "
                 "back");
        break;
    case CLUSTER_WHY_UNCONFIRMED:
        buffer_print(line->out, "what is told here may be old: the leader of keyspace system "
                                "cannot be asked");
        break;
    default:
        say_partition(line);
        buffer_print(line->out, " is led by node %" PRIu64, line->finding->node.value);
        break;
    }
}

void cluster_why_tell(const struct cluster_finding *finding, const char *keyspace,
                      const char *address, struct buffer *out)
{
    struct line line = {finding, keyspace, address, out};
    if (finding->replica.value && finding->rule != CLUSTER_WHY_CHANGE)
        tell_replica(&line);
    else
        tell_rest(&line);
}
