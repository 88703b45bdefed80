/* The system keyspace's first records, written by its leader as one entry (CONTROL-4). */
#include "control/inside.h"

#include "base/memory.h"

#include <stdio.h>

#define RECORDS_MAX (NODE_MEMBERS_MAX + 5)

static void write_keyspace(struct record *record, uint64_t id, const char *name, size_t replicas)
{
    struct control_keyspace keyspace = {.id = id, .contract = cluster_contract_default};
    keyspace.contract.replicas = (unsigned)replicas;
    snprintf(keyspace.name, sizeof keyspace.name, "%s", name);
    record_of_keyspace(record, &keyspace);
}

/* Its members follow from the formation, by one rule on every node (node/groups.c). */
static void write_partition(struct record *record, struct group_id group, uint64_t keyspace)
{
    struct control_partition partition = {
        .group = group, .keyspace = keyspace, .last_slot = CLUSTER_SLOTS - 1};
    record_of_partition(record, &partition);
}

/* The others say their weight themselves (facts.c). */
static size_t write_records(const struct control *control, struct record *records)
{
    const struct node_formation *formation = node_formation(control->node);
    size_t count = 0, members = formation->member_count;
    for (size_t i = 0; i < members; i++) {
        struct control_node node = {.member = formation->members[i],
                                    .features = CONTROL_FEATURE_LEVEL};
        if (node_id_equal(node.member.id, formation->self))
            node.weight = control->options.weight;
        record_of_node(&records[count++], &node);
    }
    record_of_features(&records[count++], CONTROL_FEATURE_LEVEL);
    write_keyspace(&records[count++], KEYSPACE_SYSTEM, "system",
                   members >= 5   ? 5
                   : members >= 3 ? 3
                                  : 1);
    write_keyspace(&records[count++], KEYSPACE_DEFAULT, "default", members >= 3 ? 3 : 1);
    write_partition(&records[count++], GROUP_SYSTEM, KEYSPACE_SYSTEM);
    write_partition(&records[count++], GROUP_DEFAULT, KEYSPACE_DEFAULT);
    return count;
}

/* ---- where they are from then on ---- */

static bool is_well_placed(const struct control_catalogue *catalogue,
                           const struct control_keyspace *keyspace,
                           const struct control_partition *partition)
{
    struct node_id now[RAFT_MEMBERS_MAX], best[CLUSTER_REPLICAS_MAX];
    size_t count = partition_nodes(catalogue, partition, now);
    cluster_resize(&keyspace->contract, catalogue->nodes, catalogue->place_count,
                   partition->group.value, now, count, best);
    return memcmp(now, best, count * sizeof now[0]) == 0;
}

/* The rule of birth looks at no fault domain: where these ask for other nodes, the first change of
 * a partition stands in its first record. The records of the partitions are the last ones, in the
 * order of their ids. */
static void place_over_domains(struct record *records, size_t count)
{
    struct control_catalogue catalogue;
    catalogue_init(&catalogue);
    for (size_t i = 0; i < count; i++)
        catalogue_add(&catalogue, slice_of_text(records[i].key), slice_of_text(records[i].text));
    catalogue_finish(&catalogue);
    for (size_t i = 0; i < catalogue.partition_count; i++) {
        struct control_partition partition = catalogue.partitions[i];
        const struct control_keyspace *keyspace = catalogue_find_id(&catalogue, partition.keyspace);
        if (!keyspace || is_well_placed(&catalogue, keyspace, &partition))
            continue;
        wanted_set(&catalogue, keyspace, keyspace, &partition);
        record_of_partition(&records[count - catalogue.partition_count + i], &partition);
    }
    catalogue_deinit(&catalogue);
}

static void write(struct control *control, struct replica *replica, const struct record *records,
                  size_t count)
{
    struct slice arguments[2 * RECORDS_MAX + 1] = {slice_of_text("MSET")};
    size_t words = 1;
    for (size_t i = 0; i < count; i++) {
        arguments[words++] = slice_of_text(records[i].key);
        arguments[words++] = slice_of_text(records[i].text);
    }
    struct buffer out;
    struct replica_gate gate = {.ack = WIRE_ACK_QUORUM};
    buffer_init(&out, 4096);
    struct reply reply = {.out = &out, .protocol = 2};
    struct replica_turn *turn = node_turn(control->node);
    struct command_call call = {.command = command_find(turn->commands, arguments[0]),
                                .arguments = arguments,
                                .count = words,
                                .reply = &reply};
    (void)replica_execute(replica, turn, &call, &gate); /* not now: again at the next step */
    buffer_deinit(&out);
}

static bool is_there(struct replica *replica, const struct record *record)
{
    struct store_key key = store_key_of(0, slice_of_text(record->key));
    const struct store_entry *entry = store_find(replica_store(replica), &key);
    return entry && slice_equal(store_entry_string(entry), slice_of_text(record->text));
}

/* All of them, unless they were written before; then only the node of a cluster of one, which may
 * be elsewhere than at its last start. */
void first_records_step(struct control *control)
{
    struct replica *replica = node_group(control->node, GROUP_SYSTEM);
    struct store_key last = store_key_of(0, slice_of_text("partition:1"));
    if (!replica) {
        control->has_first_records = true;
        return;
    }
    bool alone = node_formation(control->node)->member_count == 1;
    bool written = store_find(replica_store(replica), &last) != NULL;
    if (written ? !alone : !replica_is_serving(replica)) {
        control->has_first_records = written;
        return;
    }
    struct record *records = memory_zeroed(RECORDS_MAX, sizeof *records);
    size_t count = write_records(control, records);
    place_over_domains(records, count);
    control->has_first_records = written && !(alone && !is_there(replica, records));
    if (!control->has_first_records && replica_is_serving(replica))
        write(control, replica, records, written ? 1 : count);
    memory_free(records);
}
