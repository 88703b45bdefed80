/* What has no hurry: snapshots, a piece at a time, after the replies of a turn are on their way. */
#include "node/inside.h"

#include <stdio.h>

#define LOOK_EVERY_NS     (20 * 1000000ull)
#define LOOKS             16
#define LOG_BYTES_DEFAULT (64ull << 20)
#define PERIOD_NS_DEFAULT (600 * 1000000000ull)

enum status node_open_snapshots(struct node *node, char why[NODE_WHY_SIZE])
{
    char path[IO_PATH_SIZE], line[SNAPSHOT_WHY_SIZE] = "";
    struct replica_snapshots *share = &node->snapshots;
    node_snapshots_dir(node, path);
    struct snapshots_options options = {.dir = path,
                                        .cluster = node->formation.cluster,
                                        .tag = node->options.tag_snapshots,
                                        .share = node->options.worker,
                                        .shares = node->options.workers};
    uint64_t log_bytes = node->options.snapshot_log_bytes;
    uint64_t period_ns = node->options.snapshot_period_ns;
    share->log_bytes = log_bytes ? log_bytes : LOG_BYTES_DEFAULT;
    share->period_ns = period_ns ? period_ns : PERIOD_NS_DEFAULT;
    enum status status = node_make_dir(node, path);
    if (status) {
        node_say_unmade(path, status, why);
        return status;
    }
    status = snapshots_open(node->io, &options, &share->files, line);
    if (status)
        snprintf(why, NODE_WHY_SIZE, "the snapshots in %s do not open: %.200s", path, line);
    return status;
}

bool node_handle_snapshot_event(struct node *node, const struct io_event *event)
{
    struct replica_snapshots *share = &node->snapshots;
    if (!share->files || !snapshots_handle_event(share->files, event))
        return false;
    share->next_step_ns = node->next_look_ns = 0;
    return true;
}

/* A few of all groups: nothing happens to most of them, and of what has happened a snapshot is due
 * some time. */
static void look_at_some(struct node *node)
{
    for (size_t i = 0; i < LOOKS && i < node->group_count; i++) {
        struct group *group = node->groups[node->next_look++ % node->group_count];
        replica_rest(group->replica, &node->turn);
        if (!replica_is_at_rest(group->replica))
            awake_mark(node, group);
    }
}

void node_rest(struct node *node)
{
    bool looks = node->turn.now_ns >= node->next_look_ns;
    if (!node->started)
        return;
    node->snapshots.wake_ns = UINT64_MAX;
    for (struct list *link = node->awake.next; link != &node->awake; link = link->next) {
        struct replica *replica = list_item(link, struct group, awake)->replica;
        if (looks || !replica_is_at_rest(replica))
            replica_rest(replica, &node->turn);
    }
    if (looks)
        look_at_some(node);
    if (looks)
        node->next_look_ns = node->turn.now_ns + LOOK_EVERY_NS;
    if (node->turn.damaged)
        node_fail(node,
                  "no snapshot in %s/snapshots holds, and the log begins behind them: this node "
                  "stays out, the others go on",
                  node->dir);
}

/* A piece that may be done now, or the next look where something is under way; what is due only
 * then is noticed with the turns that there are: each heartbeat is one. */
uint64_t node_rest_deadline_ns(const struct node *node)
{
    return node->started ? node->snapshots.wake_ns : UINT64_MAX;
}

bool node_take_line(struct node *node, char out[NODE_WHY_SIZE])
{
    struct replica_snapshots *share = &node->snapshots;
    if (sight_take_line(node, out) || room_take_line(node, out))
        return true;
    const char *complaint =
        share->files ? snapshots_complaint(share->files, node->said_complaints) : NULL;
    if (complaint) {
        node->said_complaints++;
        snprintf(out, NODE_WHY_SIZE, "%s/snapshots/%s; it is not used", node->dir, complaint);
        return true;
    }
    if (!share->line[0])
        return false;
    snprintf(out, NODE_WHY_SIZE, "%s", share->line);
    share->line[0] = 0;
    return true;
}
