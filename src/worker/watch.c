/* Who leads the partitions of this worker, and in which state its replicas are, for hooks: each
 * look compares with the last one. What was not told yet is marked in the table of what was seen,
 * so that it needs no queue and the newest is all there is. WORKER-4 */
#include "worker/inside.h"

#include "base/memory.h"

#include <stdio.h>

#define LOOK_EVERY_NS (100 * 1000000ull) /* at as many groups as follow; at more, less often */
#define LOOK_GROUPS   128
#define WATCHED_FIRST 16

/* `hint`: where it was the last time; groups seldom come and go. NULL: not seen yet. */
static struct watched *find(struct watch *watch, struct group_id group, size_t hint)
{
    if (hint < watch->count && group_id_equal(watch->all[hint].group, group))
        return &watch->all[hint];
    for (size_t i = 0; i < watch->count; i++)
        if (group_id_equal(watch->all[i].group, group))
            return &watch->all[i];
    return NULL;
}

static struct watched *add(struct watch *watch, struct group_id group)
{
    if (watch->count == watch->capacity) {
        watch->capacity = watch->capacity ? 2 * watch->capacity : WATCHED_FIRST;
        watch->all = memory_resize(watch->all, watch->capacity * sizeof watch->all[0]);
    }
    struct watched *watched = &watch->all[watch->count++];
    *watched = (struct watched){.group = group};
    return watched;
}

static void note(const struct watch *watch, struct watched *watched, enum worker_news news)
{
    watched->news[news] |= watch->wanted[news];
}

static void note_leader(const struct watch *watch, struct watched *watched, struct node_id leader,
                        bool leads, uint64_t term)
{
    bool same = node_id_equal(watched->leader, leader) && watched->leads == leads &&
                (!leader.value || watched->term == term);
    watched->leader = leader;
    watched->leads = leads;
    watched->term = term;
    if (!same)
        note(watch, watched, WORKER_NEWS_LEADER);
}

static void note_state(const struct watch *watch, struct watched *watched, const char *state)
{
    if (watched->state != state)
        note(watch, watched, WORKER_NEWS_STATE);
    watched->state = state;
}

static void look_at(struct worker *worker, struct replica *replica, size_t hint)
{
    struct watch *watch = &worker->watch;
    const struct raft_view *view = raft_view(replica_raft(replica));
    struct group_id group = replica_group(replica);
    struct watched *watched = find(watch, group, hint);
    if (!watched)
        watched = add(watch, group);
    watched->gone = false;
    struct node_id leader = node_known_leader_of(worker->node, group);
    note_leader(watch, watched, leader, view->role == RAFT_LEADER, view->term);
    note_state(watch, watched, admin_own_state(replica));
}

static bool has_news(const struct watched *watched)
{
    bool any = false;
    for (size_t i = 0; i < WORKER_NEWS_COUNT; i++)
        any |= watched->news[i];
    return any;
}

/* Replicas that have left this node: told, then forgotten. */
static void look_for_gone(struct worker *worker)
{
    struct watch *watch = &worker->watch;
    size_t kept = 0;
    for (size_t i = 0; i < watch->count; i++) {
        struct watched *watched = &watch->all[i];
        if (!watched->gone && !node_group(worker->node, watched->group)) {
            note_leader(watch, watched, (struct node_id){0}, false, watched->term);
            note_state(watch, watched, "dropped");
            watched->gone = true;
        }
        if (!watched->gone || has_news(watched))
            watch->all[kept++] = *watched;
    }
    watch->count = kept;
}

void watch_tick(struct worker *worker)
{
    struct watch *watch = &worker->watch;
    uint64_t now_ns = node_turn(worker->node)->now_ns;
    size_t count = node_group_count(worker->node);
    if (!(watch->wanted[WORKER_NEWS_LEADER] || watch->wanted[WORKER_NEWS_STATE]) ||
        !node_is_started(worker->node) || now_ns < watch->next_look_ns)
        return;
    watch->next_look_ns = now_ns + LOOK_EVERY_NS * (1 + count / LOOK_GROUPS);
    for (size_t i = 0; i < count; i++)
        look_at(worker, node_group_at(worker->node, i), i);
    look_for_gone(worker);
}

void watch_end(struct worker *worker)
{
    struct watch *watch = &worker->watch;
    for (size_t i = 0; i < watch->count; i++) {
        struct watched *watched = &watch->all[i];
        if (watched->leads)
            note_leader(watch, watched, (struct node_id){0}, false, watched->term);
    }
}

void watch_deinit(struct worker *worker)
{
    memory_free(worker->watch.all);
}

/* ---- telling ---- */

/* False: the catalogue does not say yet whose partition it is. */
static bool describe(struct worker *worker, const struct watched *watched, enum worker_news news,
                     struct worker_change *out)
{
    const struct control_catalogue *catalogue = control_catalogue(worker->control);
    const struct control_partition *partition = catalogue_find_group(catalogue, watched->group);
    const struct control_keyspace *keyspace =
        partition ? catalogue_find_id(catalogue, partition->keyspace) : NULL;
    if (!keyspace)
        return false;
    bool of_leader = news == WORKER_NEWS_LEADER;
    *out = (struct worker_change){.partition = watched->group, .term = watched->term};
    out->node = of_leader ? watched->leader : node_formation(worker->node)->self;
    out->what = !of_leader ? watched->state : watched->leads ? "leader" : "follower";
    const struct node_member *member = node_member(worker->node, out->node);
    snprintf(out->keyspace, sizeof out->keyspace, "%s", keyspace->name);
    snprintf(out->address, sizeof out->address, "%s", member ? member->client_address : "-");
    return true;
}

static bool next_alert(struct worker *worker, struct worker_change *out)
{
    const struct admin_alert *alert =
        worker->watch.wanted[WORKER_NEWS_ALERT] ? admin_next_alert(&worker->admin) : NULL;
    if (!alert)
        return false;
    const struct node_member *member = node_member(worker->node, alert->node);
    *out = (struct worker_change){.partition = alert->group,
                                  .replica = alert->replica,
                                  .node = alert->node,
                                  .what = alert->is_raised ? "raised" : "cleared",
                                  .alert = alert->rule->name,
                                  .severity = cluster_severity_word(alert->rule->severity)};
    snprintf(out->keyspace, sizeof out->keyspace, "%s",
             alert->has_group && alert->keyspace[0] ? alert->keyspace : "-");
    snprintf(out->address, sizeof out->address, "%s", member ? member->client_address : "-");
    snprintf(out->text, sizeof out->text, "%s", alert->text);
    return true;
}

bool worker_next_change(struct worker *worker, enum worker_news news, struct worker_change *out)
{
    struct watch *watch = &worker->watch;
    if (news == WORKER_NEWS_ALERT)
        return next_alert(worker, out);
    for (size_t i = 0; i < watch->count; i++) {
        size_t at = (watch->next[news] + i) % watch->count;
        if (!watch->all[at].news[news] || !describe(worker, &watch->all[at], news, out))
            continue;
        watch->next[news] = at;
        return true;
    }
    return false;
}

void worker_change_is_told(struct worker *worker, enum worker_news news,
                           const struct worker_change *change)
{
    struct watch *watch = &worker->watch;
    if (news == WORKER_NEWS_ALERT) { /* it is the same until it is told */
        admin_alert_is_told(&worker->admin, admin_next_alert(&worker->admin));
        return;
    }
    struct watched *watched = find(watch, change->partition, watch->next[news]);
    if (!watched)
        return;
    watched->news[news] = false;
    watch->next[news]++;
}
