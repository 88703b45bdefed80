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

/* What a leader knows of its followers; nothing of one that never answered (METRICS-2). */
static void take_followers(struct metrics_sample *sample, struct metrics_partition *partition,
                           const struct raft *raft, uint64_t now_ns)
{
    const struct raft_configuration *members = raft_configuration(raft);
    uint64_t commit = raft_view(raft)->commit;
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
        follower->heard = !raft_progress(raft, members->members[i].replica, &progress) &&
                          progress.last_contact_ns;
        if (follower->heard && commit > progress.persisted)
            follower->lag_entries = commit - progress.persisted;
        if (follower->lag_entries && progress.behind_since_ns && now_ns > progress.behind_since_ns)
            follower->lag_ns = now_ns - progress.behind_since_ns;
        sample->follower_count++;
        partition->follower_count++;
    }
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
        .loads = replica_bootstrap_percent(replica) >= 0,
        .term = view->term,
        .commit = view->commit,
        .applied = replica_applied(replica),
        .last = view->last_index,
        .elections = view->elections,
        .bytes = store_memory_bytes(store),
    };
    if (place && place->dropped)
        return; /* on its way out */
    for (uint8_t database = 0; database < STORE_DATABASES; database++)
        partition->keys += store_count(store, database);
    if (partition->leads)
        take_followers(sample, partition, raft, now_ns);
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

struct metrics_sample *metrics_take(struct io *io, struct server *server, struct node *node,
                                    struct control *control, const char *dir)
{
    struct metrics_sample *sample = memory_zeroed(1, sizeof *sample);
    const struct wal *wal = node_wal(node);
    uint64_t now_ns = io_now_ns(io);
    server_facts(server, &sample->server);
    server_address(server, sample->address);
    sample->up_ns = now_ns - sample->server.started_ns;
    sample->log = *wal_facts(wal);
    sample->room = wal_room(wal);
    sample->disk_is_full = wal_disk_is_full(wal);
    sample->free_is_known = io_space(io, dir, &sample->free_bytes) == STATUS_OK;
    take_self(sample, node);
    take_keyspaces(sample, control);
    if (!sample->self.value)
        return pack(sample);
    take_links(sample, node);
    sample->partitions = memory_zeroed(node_group_count(node) + 1, sizeof *sample->partitions);
    for (size_t i = 0; i < node_group_count(node); i++)
        take_partition(sample, node_group_at(node, i), control_catalogue(control), now_ns);
    return pack(sample);
}
