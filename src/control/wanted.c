/* What partitions are to become: written into the catalogue by those who change it (a join,
 * KEYSPACE ALTER), and closed when the leader of a partition reports that it is so. Who brings it
 * about: reconcile.c. */
#include "control/inside.h"

#include "base/memory.h"

#include <assert.h>

uint8_t wanted_sync(const struct cluster_contract *contract)
{
    switch (contract->sync) {
    case CLUSTER_SYNC_ALWAYS: return WAL_SYNC_ALWAYS + 1;
    case CLUSTER_SYNC_INTERVAL: return WAL_SYNC_INTERVAL + 1;
    case CLUSTER_SYNC_OS: return WAL_SYNC_OS + 1;
    }
    return WAL_SYNC_ALWAYS + 1;
}

/* `system` and `default` begin where the formation says: the first nodes, one by one. From their
 * first change on it stands in the record. */
void wanted_write_birth(const struct control_catalogue *catalogue,
                        const struct control_keyspace *keyspace,
                        struct control_partition *partition)
{
    unsigned replicas = keyspace->contract.replicas;
    struct raft_configuration *initial = &partition->initial;
    if (!initial->member_count) {
        initial->member_count = replicas;
        initial->commit_quorum = initial->election_quorum = replicas / 2 + 1;
        for (size_t i = 0; i < replicas; i++)
            initial->members[i] = (struct raft_member){
                .replica = {i + 1}, .node = catalogue->members[i].member.id, .kind = RAFT_VOTER};
    }
    if (partition->next_replica.value <= initial->member_count)
        partition->next_replica.value = initial->member_count + 1;
}

/* R5: who stays keeps his id, and so does who is called back before the change that was to remove
 * him is done; who comes gets one that nobody had. */
static void name_members(struct control_partition *partition,
                         const struct raft_configuration *present, const struct wanted_place *place)
{
    struct raft_configuration *wanted = &partition->wanted;
    wanted->member_count = place->count;
    for (size_t i = 0; i < place->count; i++) {
        struct replica_id replica = raft_replica_on(present, place->nodes[i]);
        if (!replica.value)
            replica.value = partition->next_replica.value++;
        wanted->members[i] =
            (struct raft_member){.replica = replica,
                                 .node = place->nodes[i],
                                 .kind = i < place->voters ? RAFT_VOTER : RAFT_LEARNER,
                                 .priority = i == 0};
    }
}

size_t wanted_voters(const struct raft_configuration *wanted)
{
    size_t count = 0;
    for (size_t i = 0; i < wanted->member_count; i++)
        count += wanted->members[i].kind == RAFT_VOTER;
    return count;
}

static void add_member(struct raft_configuration *all, const struct raft_member *member)
{
    if (!raft_find_member(all, member->replica) && all->member_count < RAFT_MEMBERS_MAX)
        all->members[all->member_count++] = *member;
}

void wanted_present(const struct control_partition *partition, struct raft_configuration *out)
{
    const struct raft_configuration *was = partition_wanted(partition);
    const struct raft_configuration *before = &partition->before;
    *out = (struct raft_configuration){.member_count = 0};
    for (size_t i = 0; i < was->member_count; i++)
        if (!before->member_count || raft_find_member(before, was->members[i].replica))
            add_member(out, &was->members[i]);
    for (size_t i = 0; i < before->member_count; i++)
        add_member(out, &before->members[i]);
    for (size_t i = 0; i < was->member_count; i++)
        add_member(out, &was->members[i]);
}

void wanted_set_nodes(const struct control_keyspace *before,
                      const struct control_keyspace *keyspace, struct control_partition *partition,
                      const struct wanted_place *place)
{
    struct raft_configuration present;
    uint8_t sync = partition_wanted(partition)->sync;
    wanted_present(partition, &present);
    if (sync || before->contract.sync != keyspace->contract.sync)
        sync = wanted_sync(&keyspace->contract);
    partition->wanted =
        (struct raft_configuration){.commit_quorum = cluster_commit_quorum(&keyspace->contract),
                                    .election_quorum = cluster_election_quorum(&keyspace->contract),
                                    .sync = sync};
    name_members(partition, &present, place);
    partition->before = present;
    partition->change++;
    partition->joiner = (struct node_id){0};
}

static bool serves(const struct control_catalogue *catalogue, struct node_id node)
{
    for (size_t i = 0; i < catalogue->place_count; i++)
        if (node_id_equal(catalogue->nodes[i].id, node))
            return true;
    return false;
}

/* What was wanted before the open change is wanted again: it asked for the same, and the nodes
 * serve. */
static bool goes_back(const struct control_catalogue *catalogue,
                      const struct control_keyspace *before,
                      const struct control_keyspace *keyspace,
                      const struct control_partition *partition)
{
    const struct cluster_contract *old = before->changing ? &before->before : &before->contract;
    const struct cluster_contract *new = &keyspace->contract;
    size_t voters = wanted_voters(&partition->before);
    unsigned readers = (unsigned)(partition->before.member_count - voters);
    bool open = partition->settled < partition->change;
    if (!open || voters != new->replicas || cluster_readers(new, readers) != readers ||
        old->spread != new->spread || old->replicas != new->replicas ||
        strcmp(old->prefer_site, new->prefer_site) != 0)
        return false;
    for (size_t i = 0; i < partition->before.member_count; i++)
        if (!serves(catalogue, partition->before.members[i].node))
            return false;
    return true;
}

static void place_as(const struct raft_configuration *members, struct wanted_place *out)
{
    *out = (struct wanted_place){.voters = wanted_voters(members)};
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < members->member_count; i++)
            if ((members->members[i].kind == RAFT_VOTER) == !pass)
                out->nodes[out->count++] = members->members[i].node;
}

/* What no other node can take stays with one that is down and expected back. */
static void keep_away(const struct control_catalogue *catalogue,
                      const struct raft_configuration *was, size_t most, struct wanted_place *out)
{
    for (size_t i = 0; i < was->member_count && out->count < most; i++) {
        const struct control_node *node = catalogue_find_node(catalogue, was->members[i].node);
        if (was->members[i].kind == RAFT_LEARNER && node && node->duty == CONTROL_DUTY_AWAY)
            out->nodes[out->count++] = node->member.id;
    }
}

/* As many readers as there are now, as far as the contract and the nodes allow: how many between
 * its least and its most is not the planner's affair. A voter goes before a reader. */
static void place_by_plan(const struct control_catalogue *catalogue,
                          const struct control_keyspace *keyspace,
                          const struct control_partition *partition,
                          const struct raft_configuration *present, struct wanted_place *out)
{
    const struct raft_configuration *was = partition_wanted(partition);
    struct wanted_place now;
    place_as(present, &now);
    struct cluster_ask ask = {.contract = &keyspace->contract,
                              .nodes = catalogue->nodes,
                              .count = catalogue->place_count,
                              .turn = partition->group.value,
                              .now = now.nodes,
                              .now_count = now.voters,
                              .readers = now.nodes + now.voters,
                              .reader_count = now.count - now.voters};
    unsigned readers =
        cluster_readers(&keyspace->contract, (unsigned)(was->member_count - wanted_voters(was)));
    cluster_plan_voters(&ask, out->nodes);
    out->voters = keyspace->contract.replicas;
    out->count = out->voters + cluster_plan_readers(&ask, out->nodes, out->voters, readers,
                                                    out->nodes + out->voters);
    keep_away(catalogue, was, out->voters + readers, out);
}

bool wanted_lacks_readers(const struct control_catalogue *catalogue,
                          const struct control_keyspace *keyspace,
                          const struct control_partition *partition)
{
    const struct raft_configuration *wanted = partition_wanted(partition);
    if (partition->dropped ||
        wanted->member_count - wanted_voters(wanted) >= keyspace->contract.readers_min)
        return false;
    for (size_t i = 0; i < catalogue->place_count; i++)
        if (!raft_find_member_on(wanted, catalogue->nodes[i].id))
            return true;
    return false;
}

void wanted_set(const struct control_catalogue *catalogue, const struct control_keyspace *before,
                const struct control_keyspace *keyspace, struct control_partition *partition)
{
    struct wanted_place place;
    struct raft_configuration present;
    wanted_write_birth(catalogue, before, partition);
    wanted_present(partition, &present);
    struct raft_configuration was = *partition_wanted(partition);
    if (goes_back(catalogue, before, keyspace,
                  partition)) /* also where it is placed otherwise today */
        place_as(&partition->before, &place);
    else
        place_by_plan(catalogue, keyspace, partition, &present, &place);
    load_move(catalogue, &was, place.nodes, place.count);
    wanted_set_nodes(before, keyspace, partition, &place);
}

/* ---- a node has begun anew (R4) ---- */

static bool is_named(const struct control_partition *partition, struct replica_id replica)
{
    const struct raft_configuration *all[] = {&partition->initial, &partition->wanted,
                                              &partition->before};
    for (size_t k = 0; k < 3; k++)
        if (raft_find_member(all[k], replica))
            return true;
    return false;
}

bool partition_has_lost(const struct control_partition *partition, struct replica_id replica)
{
    for (size_t i = 0; i < partition->gone_count; i++)
        if (replica_id_equal(partition->gone[i], replica))
            return true;
    return false;
}

/* Ids that nothing names any more need no note: they are never given again (R5). */
static void note_gone(struct control_partition *partition, struct replica_id replica)
{
    size_t kept = 0;
    for (size_t i = 0; i < partition->gone_count; i++)
        if (is_named(partition, partition->gone[i]))
            partition->gone[kept++] = partition->gone[i];
    partition->gone_count = kept;
    if (replica.value && !partition_has_lost(partition, replica) && kept < RAFT_MEMBERS_MAX)
        partition->gone[partition->gone_count++] = replica;
}

/* False: that node has no replica in it. */
static bool replace(struct raft_configuration *configuration, struct node_id node,
                    struct replica_id by)
{
    const struct raft_member *member = raft_find_member_on(configuration, node);
    if (member)
        configuration->members[member - configuration->members].replica = by;
    return member;
}

/* A reader alone leads nobody. */
static bool has_another(const struct raft_configuration *configuration, struct node_id node)
{
    for (size_t i = 0; i < configuration->member_count; i++)
        if (configuration->members[i].kind == RAFT_VOTER &&
            !node_id_equal(configuration->members[i].node, node))
            return true;
    return false;
}

/* Another one in its place, in what is wanted and in what may be wanted back. */
static void replace_wanted(struct control_partition *partition, struct node_id node)
{
    struct raft_configuration wanted = *partition_wanted(partition);
    bool open = partition->settled < partition->change;
    /* Nobody could give it back what it had. */
    bool alone = !has_another(&wanted, node) && !(open && has_another(&partition->before, node));
    bool was_wanted = !alone && replace(&wanted, node, partition->next_replica);
    bool may_be = replace(&partition->before, node, partition->next_replica);
    partition->next_replica.value += was_wanted || may_be;
    if (!was_wanted)
        return;
    if (!open)
        partition->before = wanted; /* there is no way back to the one that is void */
    partition->wanted = wanted;
    partition->change++;
}

bool wanted_replace(const struct control_catalogue *catalogue, struct control_partition *partition,
                    struct node_id node)
{
    const struct control_keyspace *keyspace = catalogue_find_id(catalogue, partition->keyspace);
    if (!keyspace || partition->dropped)
        return false;
    wanted_write_birth(catalogue, keyspace, partition);
    struct replica_id void_ones[] = {raft_replica_on(&partition->initial, node),
                                     raft_replica_on(&partition->before, node),
                                     raft_replica_on(partition_wanted(partition), node)};
    replace_wanted(partition, node);
    for (size_t i = 0; i < 3; i++)
        if (is_named(partition, void_ones[i]))
            note_gone(partition, void_ones[i]);
    return void_ones[0].value || void_ones[1].value || void_ones[2].value;
}

bool wanted_is_settled(const struct control_catalogue *catalogue, uint64_t keyspace)
{
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        const struct control_partition *partition = &catalogue->partitions[i];
        if (partition->keyspace == keyspace && !partition->dropped &&
            partition->settled < partition->change)
            return false;
    }
    return true;
}

/* ---- the leader of a partition says that it is done ---- */

static struct control_partition *find_open(struct control_catalogue *catalogue, uint64_t group,
                                           uint64_t change)
{
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        struct control_partition *partition = &catalogue->partitions[i];
        if (partition->group.value == group && !partition->dropped)
            return partition->change == change && partition->settled < change ? partition : NULL;
    }
    return NULL;
}

/* A report of a change that another one has overtaken says nothing any more. */
void wanted_settle(struct command_call *call, uint64_t group, uint64_t change)
{
    struct keyspace_work work = {.call = call};
    struct record *records = memory_zeroed(3, sizeof *records);
    size_t count = 0;
    catalogue_init(&work.catalogue);
    catalogue_read_store(&work.catalogue, call->store);
    struct control_partition *partition = find_open(&work.catalogue, group, change);
    if (partition) {
        const struct control_keyspace *found =
            catalogue_find_id(&work.catalogue, partition->keyspace);
        partition->settled = change;
        partition->before.member_count = 0;
        record_of_partition(&records[count++], partition);
        if (found && found->changing && wanted_is_settled(&work.catalogue, found->id)) {
            struct control_keyspace keyspace = *found;
            keyspace.changing = false;
            record_of_keyspace(&records[count++], &keyspace);
        }
        keyspace_write(&work, records, count);
    } else {
        reply_ok(call->reply);
    }
    catalogue_deinit(&work.catalogue);
    memory_free(records);
}
