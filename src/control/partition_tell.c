/* PARTITION EXPLAIN, and what PARTITION takes: answered on the newest state of the leader of
 * `system`. */
#include "control/inside.h"

#define EXPLAIN_SIZE_MAX (1u << 16)

/* NULL: the error was replied. */
static const struct control_partition *partition_named(struct keyspace_work *work)
{
    struct slice word = work->call->arguments[2];
    const struct control_partition *partition = NULL;
    int64_t id;
    if (!slice_to_i64(word, &id) && id >= 0)
        partition = catalogue_find_group(&work->catalogue, (struct group_id){(uint64_t)id});
    if (partition && !partition->dropped &&
        catalogue_find_id(&work->catalogue, partition->keyspace))
        return partition;
    keyspace_fail(work,
                  "ERR there is no partition '%.*s': KEYSPACE INFO name shows those of a "
                  "keyspace",
                  (int)(word.size < 32 ? word.size : 32), (const char *)word.at);
    return NULL;
}

static void explain(struct keyspace_work *work, const struct control_partition *partition,
                    const struct control_keyspace *keyspace)
{
    const struct control_catalogue *catalogue = &work->catalogue;
    const struct raft_configuration *wanted = partition_wanted(partition);
    struct node_id now[RAFT_MEMBERS_MAX];
    size_t count = partition_nodes(catalogue, partition, now);
    size_t readers = wanted->member_count - wanted_voters(wanted);
    struct cluster_ask ask = {.contract = &keyspace->contract,
                              .nodes = catalogue->nodes,
                              .count = catalogue->place_count,
                              .turn = partition->group.value,
                              .now = now,
                              .now_count = count - readers,
                              .readers = now + count - readers,
                              .reader_count = readers};
    struct buffer text;
    buffer_init(&text, EXPLAIN_SIZE_MAX);
    buffer_print(&text, "partition %llu: slots %u-%u of keyspace %s%s\n",
                 (unsigned long long)partition->group.value, partition->first_slot,
                 partition->last_slot, keyspace->name,
                 partition->settled < partition->change
                     ? "; it is changing, and this is where it is to be"
                     : "");
    cluster_explain_place(&ask, &text);
    reply_verbatim(work->call->reply, slice_of_buffer(&text));
    buffer_deinit(&text);
}

void control_execute_partition(struct command_call *call)
{
    struct keyspace_work work = {.call = call};
    struct slice word = call->arguments[1];
    bool explains = slice_is_word(word, "EXPLAIN"), transfers = slice_is_word(word, "TRANSFER");
    const struct control_partition *partition = NULL;
    catalogue_init(&work.catalogue);
    catalogue_read_store(&work.catalogue, call->store);
    if (!explains && !transfers)
        keyspace_fail(&work, "ERR unknown subcommand '%.*s': PARTITION knows EXPLAIN and TRANSFER",
                      (int)(word.size < 64 ? word.size : 64), (const char *)word.at);
    else if (explains ? call->count != 3
                      : call->count != 5 || !slice_is_word(call->arguments[3], "TO"))
        keyspace_fail(&work, "ERR wrong number of arguments: PARTITION takes EXPLAIN partition, "
                             "TRANSFER partition TO node");
    else if (!work.catalogue.node_count)
        keyspace_fail(&work, "TRYAGAIN the cluster has just formed and writes its first records");
    else
        partition = partition_named(&work);
    if (partition && transfers)
        lead_transfer(&work, partition);
    else if (partition)
        explain(&work, partition, catalogue_find_id(&work.catalogue, partition->keyspace));
    catalogue_deinit(&work.catalogue);
}
