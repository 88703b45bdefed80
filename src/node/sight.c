/* Who is heard, and who is silent for longer than usual (CLUSTER-12): everything that arrives from
 * a node counts, whatever link it came by.
 *
 * A suspected leader gets no requests handed on, and its followers ask for pre-votes early. Nothing
 * else follows: pre-votes need their quorum, promises and leases end when they end (RAFT-10, R11).
 */
#include "node/inside.h"

#include <stdio.h>

#define NS_PER_MS      1000000ull
#define REPORT_LASTS   (10000 * NS_PER_MS)
#define SMOOTHING      8 /* of round trips: RFC 6298 */
#define SMOOTHING_WIDE 4

static struct seen *find(const struct node *node, struct node_id id)
{
    for (size_t i = 0; i < node->seen_count; i++)
        if (node_id_equal(node->seen[i].node, id))
            return (struct seen *)&node->seen[i];
    return NULL;
}

static struct cluster_patience patience_of(const struct node *node)
{
    const struct node_timing *timing = &node->options.timing;
    return (struct cluster_patience){.pace_ns = 2 * timing->heartbeat_ns,
                                     .floor_ns = timing->election_min_ns / 4 * 3,
                                     .ceiling_ns = timing->election_max_ns};
}

/* NULL: no member, or this node itself. */
static struct seen *seen_of(struct node *node, struct node_id id)
{
    struct seen *seen = find(node, id);
    if (seen || node_id_equal(id, node->formation.self) || !node_member(node, id) ||
        node->seen_count == NODE_MEMBERS_MAX)
        return seen;
    struct cluster_patience patience = patience_of(node);
    seen = &node->seen[node->seen_count++];
    *seen = (struct seen){.node = id};
    cluster_detector_init(&seen->detector, &patience);
    return seen;
}

void sight_hear(struct node *node, struct node_id id)
{
    struct seen *seen = seen_of(node, id);
    if (seen && seen->detector.heard_ns != node->turn.now_ns) /* once a turn */
        cluster_detector_hear(&seen->detector, node->turn.now_ns);
}

void sight_refuse(struct node *node, struct node_id id)
{
    struct seen *seen = seen_of(node, id);
    if (seen)
        cluster_detector_refuse(&seen->detector);
}

void sight_link_up(struct node *node, struct node_id id)
{
    struct seen *seen = seen_of(node, id);
    if (seen)
        seen->up_ns = node->turn.now_ns;
}

bool sight_is_steady(const struct node *node, struct node_id id)
{
    const struct seen *seen = find(node, id);
    return seen && node->turn.now_ns >= seen->up_ns + node->options.timing.election_max_ns;
}

void sight_note_round_trip(struct node *node, struct node_id id, uint64_t began_ns)
{
    struct seen *seen = seen_of(node, id);
    if (!seen || !began_ns || node->turn.now_ns < began_ns)
        return;
    uint64_t took_ns = node->turn.now_ns - began_ns, usual_ns = seen->round_trip_ns;
    uint64_t off_ns = took_ns > usual_ns ? took_ns - usual_ns : usual_ns - took_ns;
    if (!usual_ns) {
        seen->round_trip_ns = took_ns;
        seen->round_trip_off_ns = took_ns / 2;
        return;
    }
    seen->round_trip_off_ns += off_ns / SMOOTHING_WIDE - seen->round_trip_off_ns / SMOOTHING_WIDE;
    seen->round_trip_ns += took_ns / SMOOTHING - usual_ns / SMOOTHING;
}

/* ---- suspicion ---- */

bool sight_is_suspected(const struct node *node, struct node_id id)
{
    const struct seen *seen = find(node, id);
    return seen && seen->suspected_ns;
}

static void say(struct seen *seen, uint64_t silent_ns, uint32_t phi)
{
    if (seen->suspected_ns)
        snprintf(seen->line, sizeof seen->line,
                 "node %llu is suspected: nothing was heard of it for %llu ms (phi %u.%u)",
                 (unsigned long long)seen->node.value, (unsigned long long)(silent_ns / NS_PER_MS),
                 phi / 1000, phi / 100 % 10);
    else
        snprintf(seen->line, sizeof seen->line, "node %llu is heard again: suspected for %llu ms",
                 (unsigned long long)seen->node.value, (unsigned long long)(silent_ns / NS_PER_MS));
}

static void suspect(struct node *node, struct seen *seen)
{
    uint64_t now_ns = node->turn.now_ns;
    seen->suspected_ns = now_ns;
    seen->suspected_us = node->turn.wall_us;
    seen->suspicions++;
    say(seen, now_ns - seen->detector.heard_ns, cluster_detector_phi(&seen->detector, now_ns));
    for (size_t i = 0; i < node->group_count; i++)
        replica_suspect_leader(node->groups[i]->replica, &node->turn, seen->node);
}

static void trust(struct seen *seen, uint64_t now_ns)
{
    uint64_t silent_ns = now_ns - seen->suspected_ns;
    seen->suspected_ns = 0;
    seen->suspected_us = 0;
    say(seen, silent_ns, 0);
}

/* After all that has arrived was heard. */
void sight_tick(struct node *node)
{
    uint64_t now_ns = node->turn.now_ns;
    for (size_t i = 0; i < node->seen_count; i++) {
        struct seen *seen = &node->seen[i];
        bool suspected = cluster_detector_suspects(&seen->detector, now_ns);
        if (suspected && !seen->suspected_ns)
            suspect(node, seen);
        else if (!suspected && seen->suspected_ns)
            trust(seen, now_ns);
    }
}

/* It moves away with all that is heard, and wakes the worker only where nothing is. */
uint64_t sight_deadline_ns(const struct node *node)
{
    uint64_t deadline = UINT64_MAX;
    for (size_t i = 0; i < node->seen_count; i++) {
        uint64_t due_ns = cluster_detector_due_ns(&node->seen[i].detector);
        if (!node->seen[i].suspected_ns && due_ns < deadline)
            deadline = due_ns;
    }
    return deadline;
}

bool sight_take_line(struct node *node, char out[NODE_WHY_SIZE])
{
    for (size_t i = 0; i < node->seen_count; i++) {
        if (!node->seen[i].line[0])
            continue;
        snprintf(out, NODE_WHY_SIZE, "%s", node->seen[i].line);
        node->seen[i].line[0] = 0;
        return true;
    }
    return false;
}

void sight_sleep(struct node *node, uint64_t ns)
{
    for (size_t i = 0; i < node->seen_count; i++)
        cluster_detector_sleep(&node->seen[i].detector, ns, node->turn.now_ns);
}

/* ---- what others ask ---- */

void node_set_level(struct node *node, unsigned level)
{
    node->level = level;
}

const struct node_timing *node_timing(const struct node *node)
{
    return &node->options.timing;
}

void node_note_pause(struct node *node, uint64_t ns)
{
    node->pauses.count++;
    node->pauses.last_ns = ns;
    node->pauses.last_us = node->turn.wall_us;
    sight_sleep(node, ns);
}

const struct node_pauses *node_pauses(const struct node *node)
{
    return &node->pauses;
}

bool node_report_failures(struct node *node, struct node_id id, unsigned failed)
{
    struct seen *seen = seen_of(node, id);
    if (seen)
        cluster_detector_report(&seen->detector, failed, node->turn.now_ns, REPORT_LASTS);
    return seen != NULL;
}

bool node_look(const struct node *node, struct node_id id, struct node_sight *out)
{
    const struct seen *seen = find(node, id);
    uint64_t now_ns = node->turn.now_ns;
    if (!seen || !seen->detector.heard_ns)
        return false;
    const struct cluster_detector *detector = &seen->detector;
    bool reported = detector->heard_ns < detector->reported_until_ns;
    *out = (struct node_sight){
        .suspected_since_ms = seen->suspected_ns ? seen->suspected_us / 1000 : 0,
        .suspicions = seen->suspicions,
        .phi = cluster_detector_phi(detector, now_ns),
        .reported = reported ? detector->reported : 0,
        .silent_ns = now_ns > detector->heard_ns ? now_ns - detector->heard_ns : 0,
        .round_trip_ns = seen->round_trip_ns,
        .slow_round_trip_ns = seen->round_trip_ns + 4 * seen->round_trip_off_ns};
    return true;
}
