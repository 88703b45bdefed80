/* One worker's numbers, copied in one go between two phases of its turn. */
#include "metrics/inside.h"

#include "base/memory.h"

#include <stdio.h>

static void take_self(struct metrics_sample *sample, struct node *node)
{
    const struct node_formation *formation = node_formation(node);
    sample->incarnation = node_incarnation(node);
    if (!formation || !node_is_started(node))
        return;
    const struct node_member *self = node_member(node, formation->self);
    sample->self = formation->self;
    sample->cluster = formation->cluster;
    if (!self)
        return;
    snprintf(sample->site, sizeof sample->site, "%s", self->site);
    snprintf(sample->zone, sizeof sample->zone, "%s", self->zone);
    snprintf(sample->host, sizeof sample->host, "%s", self->host);
}

static void take_links(struct metrics_sample *sample, struct node *node)
{
    const struct node_formation *formation = node_formation(node);
    struct peer_set *peers = node_peers(node);
    sample->links = memory_zeroed(formation->member_count, sizeof *sample->links);
    for (size_t i = 0; i < formation->member_count; i++) {
        struct node_id id = formation->members[i].id;
        if (node_id_equal(id, sample->self))
            continue;
        struct metrics_link *link = &sample->links[sample->link_count++];
        link->node = id;
        for (int kind = 0; kind < 2; kind++) {
            enum wire_link which = (enum wire_link)(WIRE_LINK_DATA + kind);
            link->up[kind] = peer_is_up(peers, peer_at(id, 0), which);
            link->resets[kind] = peer_resets(peers, id, which);
        }
    }
}

static void take_keyspaces(struct metrics_sample *sample, const struct control *control)
{
    const struct control_catalogue *catalogue = control_catalogue(control);
    sample->keyspaces = memory_zeroed(catalogue->keyspace_count + 1, sizeof *sample->keyspaces);
    for (size_t i = 0; i < catalogue->keyspace_count; i++) {
        const struct control_keyspace *from = &catalogue->keyspaces[i];
        if (from->dropped)
            continue;
        struct metrics_keyspace *keyspace = &sample->keyspaces[sample->keyspace_count++];
        keyspace->id = from->id;
        memcpy(keyspace->name, from->name, sizeof keyspace->name);
        keyspace->partitions = from->contract.partitions;
        keyspace->replicas = from->contract.replicas;
    }
}

const char *const metrics_state_names[METRICS_STATES] = {"bootstrapping", "catching_up", "ready"};
const char *const metrics_follower_state_names[METRICS_FOLLOWER_STATES] = {
    "bootstrapping", "lagging", "ready", "down"};

static enum metrics_follower_state follower_state(const struct raft_progress *progress,
                                                  uint64_t commit, uint64_t now_ns)
{
    if (now_ns > progress->last_contact_ns + REPLICA_SILENT_NS)
        return METRICS_FOLLOWER_DOWN;
    if (progress->snapshot_index)
        return METRICS_FOLLOWER_BOOTSTRAPPING;
    return progress->persisted + REPLICA_READY_LAG < commit ? METRICS_FOLLOWER_LAGGING
                                                            : METRICS_FOLLOWER_READY;
}

static void measure_follower(struct metrics_follower *follower, const struct replica *replica,
                             const struct raft_progress *progress, uint64_t now_ns)
{
    uint64_t commit = raft_view(replica_raft(replica))->commit;
    follower->heard = true;
    follower->state = follower_state(progress, commit, now_ns);
    follower->progresses = replica_peer_is_progressing(progress, commit, now_ns);
    follower->lag_bytes = replica_peer_behind(replica, progress);
    if (commit > progress->persisted)
        follower->lag_entries = commit - progress->persisted;
    if (follower->lag_entries && progress->behind_since_ns && now_ns > progress->behind_since_ns)
        follower->lag_ns = now_ns - progress->behind_since_ns;
}

/* What a leader knows of its followers; nothing of one that never answered (METRICS-2). */
static void take_followers(struct metrics_sample *sample, struct metrics_partition *partition,
                           const struct replica *replica, uint64_t now_ns)
{
    const struct raft *raft = replica_raft(replica);
    const struct raft_configuration *members = raft_configuration(raft);
    partition->first_follower = sample->follower_count;
    sample->followers =
        memory_resize(sample->followers,
                      (sample->follower_count + members->member_count) * sizeof *sample->followers);
    for (size_t i = 0; i < members->member_count; i++) {
        struct metrics_follower *follower = &sample->followers[sample->follower_count];
        struct raft_progress progress = {0};
        if (node_id_equal(members->members[i].node, sample->self))
            continue;
        *follower = (struct metrics_follower){.node = members->members[i].node};
        if (!raft_progress(raft, members->members[i].replica, &progress) &&
            progress.last_contact_ns)
            measure_follower(follower, replica, &progress, now_ns);
        sample->follower_count++;
        partition->follower_count++;
    }
}

/* What it says of itself. */
static void take_own(struct metrics_partition *partition, const struct replica *replica,
                     uint64_t now_ns)
{
    struct replica_sight sight = {0};
    int percent = replica_bootstrap_percent(replica);
    (void)!replica_look(replica_shown(replica), &sight);
    bool ready = sight.leads || (!sight.unsure && sight.lag_entries <= REPLICA_READY_LAG);
    partition->loads = percent >= 0;
    partition->percent = percent >= 0 ? (unsigned)percent : 0;
    partition->state = sight.loads ? METRICS_BOOTSTRAPPING
                       : ready     ? METRICS_READY
                                   : METRICS_CATCHING_UP;
    if (sight.lease_until_ns > now_ns)
        partition->lease_ns = sight.lease_until_ns - now_ns;
    bool follows = !sight.leads && !sight.loads;
    partition->lag_entries = follows ? sight.lag_entries : REPLICA_UNKNOWN;
    partition->lag_bytes = follows ? sight.lag_bytes : REPLICA_UNKNOWN;
    partition->lag_ns = REPLICA_UNKNOWN;
    if (follows && sight.level_ns)
        partition->lag_ns = now_ns > sight.level_ns ? now_ns - sight.level_ns : 0;
    partition->progresses = replica_is_progressing(replica, now_ns);
}

static void take_partition(struct metrics_sample *sample, struct replica *replica,
                           const struct control_catalogue *catalogue, uint64_t now_ns)
{
    struct metrics_partition *partition = &sample->partitions[sample->partition_count];
    const struct raft *raft = replica_raft(replica);
    const struct raft_view *view = raft_view(raft);
    const struct store *store = replica_store(replica);
    struct group_id group = replica_group(replica);
    const struct control_partition *place = catalogue_find_group(catalogue, group);
    *partition = (struct metrics_partition){
        .group = group,
        .keyspace = place ? place->keyspace : group.value, /* the first two are their keyspaces */
        .leads = view->role == RAFT_LEADER,
        .led = view->leader.value != 0,
        .term = view->term,
        .commit = view->commit,
        .applied = replica_applied(replica),
        .last = view->last_index,
        .elections = view->elections,
        .bytes = store_memory_bytes(store),
        .counts = *replica_counts(replica),
    };
    take_own(partition, replica, now_ns);
    if (place && place->dropped)
        return; /* on its way out */
    for (uint8_t database = 0; database < STORE_DATABASES; database++)
        partition->keys += store_count(store, database);
    if (partition->leads)
        take_followers(sample, partition, replica, now_ns);
    sample->partition_count++;
}

static void *put(uint8_t **at, const void *from, size_t size)
{
    uint8_t *to = *at;
    if (size)
        memcpy(to, from, size);
    *at += size;
    return to;
}

/* As one allocation, which may go from worker to worker: what it owns is behind it. The lists have
 * the alignment of 8 bytes and sizes of as many. */
static struct metrics_sample *pack(struct metrics_sample *loose)
{
    size_t links = loose->link_count * sizeof *loose->links;
    size_t keyspaces = loose->keyspace_count * sizeof *loose->keyspaces;
    size_t partitions = loose->partition_count * sizeof *loose->partitions;
    size_t followers = loose->follower_count * sizeof *loose->followers;
    struct metrics_sample *sample =
        memory_allocate(sizeof *sample + links + keyspaces + partitions + followers);
    uint8_t *at = (uint8_t *)(sample + 1);
    *sample = *loose;
    sample->links = put(&at, loose->links, links);
    sample->keyspaces = put(&at, loose->keyspaces, keyspaces);
    sample->partitions = put(&at, loose->partitions, partitions);
    sample->followers = put(&at, loose->followers, followers);
    memory_free(loose->links);
    memory_free(loose->keyspaces);
    memory_free(loose->partitions);
    memory_free(loose->followers);
    memory_free(loose);
    return sample;
}

struct metrics_sample *metrics_take(const struct metrics_of *of)
{
    struct metrics_sample *sample = memory_zeroed(1, sizeof *sample);
    struct node *node = of->node;
    const struct wal *wal = node_wal(node);
    uint64_t now_ns = io_now_ns(of->io);
    server_facts(of->server, &sample->server);
    server_address(of->server, sample->address);
    sample->worker = of->worker;
    sample->turns = *of->turns;
    memcpy(sample->alerts, of->alerts, sizeof sample->alerts);
    sample->tally = node_turn(node)->tally;
    sample->up_ns = now_ns - sample->server.started_ns;
    sample->log = *wal_facts(wal);
    sample->room = wal_room(wal);
    sample->disk_is_full = wal_disk_is_full(wal);
    sample->free_is_known = io_space(of->io, of->dir, &sample->free_bytes) == STATUS_OK;
    take_self(sample, node);
    take_keyspaces(sample, of->control);
    if (!sample->self.value)
        return pack(sample);
    take_links(sample, node);
    sample->partitions = memory_zeroed(node_group_count(node) + 1, sizeof *sample->partitions);
    for (size_t i = 0; i < node_group_count(node); i++)
        take_partition(sample, node_group_at(node, i), control_catalogue(of->control), now_ns);
    return pack(sample);
}
