/* PARTITION TRANSFER: another node is to lead a partition, now and from then on. The catalogue
 * names it as the first candidate; the leader makes that its configuration, and hands over as soon
 * as it may (RAFT-20): clients wait a moment, and nothing fails. */
#include "control/inside.h"

/* NULL: the error was replied. */
static const struct control_node *node_named(struct keyspace_work *work, struct slice word)
{
    const struct control_node *node = NULL;
    int64_t id;
    if (!slice_to_i64(word, &id) && id > 0)
        node = catalogue_find_node(&work->catalogue, (struct node_id){(uint64_t)id});
    if (!node || node->duty == CONTROL_DUTY_REMOVED)
        keyspace_fail(work, "ERR there is no node '%.*s': NODE LIST shows all",
                      (int)(word.size < 32 ? word.size : 32), (const char *)word.at);
    else if (node->duty != CONTROL_DUTY_SERVES)
        keyspace_fail(work, "ERR node %llu %s, so it leads nothing: NODE UNDRAIN %llu first",
                      (unsigned long long)node->member.id.value,
                      node->duty == CONTROL_DUTY_AWAY ? "is away" : "drains",
                      (unsigned long long)node->member.id.value);
    else
        return node;
    return NULL;
}

/* The same nodes, that one first. False: it has no copy that could lead. */
static bool put_first(const struct raft_configuration *wanted, struct node_id first,
                      struct wanted_place *out)
{
    const struct raft_member *found = raft_find_member_on(wanted, first);
    *out = (struct wanted_place){.voters = wanted_voters(wanted), .count = 1, .nodes = {first}};
    for (int readers = 0; readers < 2; readers++)
        for (size_t i = 0; i < wanted->member_count && out->count < RAFT_MEMBERS_MAX; i++) {
            const struct raft_member *member = &wanted->members[i];
            if (member != found && (member->kind != RAFT_VOTER) == readers)
                out->nodes[out->count++] = member->node;
        }
    return found && found->kind == RAFT_VOTER;
}

void lead_transfer(struct keyspace_work *work, const struct control_partition *named)
{
    const struct control_keyspace *keyspace = catalogue_find_id(&work->catalogue, named->keyspace);
    const struct control_node *node = node_named(work, work->call->arguments[4]);
    struct control_partition partition = *named;
    struct wanted_place place;
    struct record records[2];
    if (!node)
        return;
    wanted_write_birth(&work->catalogue, keyspace, &partition);
    if (partition.settled < partition.change) {
        keyspace_fail(work,
                      "TRYAGAIN partition %llu is being changed: once that is done (WHY PARTITION "
                      "%llu says what it waits for), send this again",
                      (unsigned long long)named->group.value,
                      (unsigned long long)named->group.value);
        return;
    }
    if (!put_first(partition_wanted(&partition), node->member.id, &place)) {
        keyspace_fail(work,
                      "ERR node %llu has no copy of partition %llu that could lead: KEYSPACE INFO "
                      "%s shows who has, and REPLICA MOVE brings one there",
                      (unsigned long long)node->member.id.value,
                      (unsigned long long)named->group.value, keyspace->name);
        return;
    }
    wanted_set_nodes(keyspace, keyspace, &partition, &place);
    partition.lead_change = partition.change;
    record_of_partition(&records[0], &partition);
    keyspace_write(work, records, 1);
}
