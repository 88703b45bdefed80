/* KEYSPACE, the verb itself and what only tells. */
#include "control/inside.h"

#include <stdarg.h>
#include <stdio.h>

void keyspace_fail(struct keyspace_work *work, const char *format, ...)
{
    char text[CLUSTER_LINE_SIZE + 64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    work->call->failed = true;
    reply_error(work->call->reply, "%s", text);
}

const struct control_keyspace *keyspace_named(struct keyspace_work *work)
{
    struct slice name = work->call->arguments[2];
    const struct control_keyspace *keyspace = catalogue_find_name(&work->catalogue, name);
    if (!keyspace)
        keyspace_fail(work, "ERR there is no keyspace '%.*s': KEYSPACE LIST shows all",
                      (int)(name.size < 64 ? name.size : 64), (const char *)name.at);
    return keyspace;
}

/* ---- answers ---- */

static void pair(struct reply *reply, const char *name, const char *value)
{
    reply_text(reply, name);
    reply_text(reply, value);
}

static void pair_number(struct reply *reply, const char *name, uint64_t value)
{
    reply_text(reply, name);
    reply_integer(reply, (int64_t)value);
}

#define CONTRACT_PAIRS 14

static void tell_contract(struct reply *reply, const struct control_keyspace *keyspace)
{
    const struct cluster_contract *contract = &keyspace->contract;
    char word[CLUSTER_WORD_SIZE];
    pair(reply, "name", keyspace->name);
    pair_number(reply, "id", keyspace->id);
    pair(reply, "mode", "leader");
    pair_number(reply, "replicas", contract->replicas);
    pair_number(reply, "partitions", contract->partitions);
    pair(reply, "ack", cluster_ack_word(contract, word));
    pair(reply, "failover", cluster_failover_word(contract));
    pair(reply, "read", "strong");
    pair(reply, "sync", cluster_sync_word(contract, word));
    pair(reply, "short", cluster_short_word(contract));
    reply_text(reply, "db");
    if (contract->database)
        reply_integer(reply, contract->database);
    else
        reply_null(reply);
    pair(reply, "spread", cluster_spread_word(contract));
    pair(reply, "prefer", contract->prefer_site);
    pair(reply, "readers", cluster_readers_word(contract, word));
}

static size_t living_partitions(const struct control_catalogue *catalogue, uint64_t keyspace)
{
    size_t count = 0;
    for (size_t i = 0; i < catalogue->partition_count; i++)
        count += catalogue->partitions[i].keyspace == keyspace && !catalogue->partitions[i].dropped;
    return count;
}

/* Nodes whose copies are on their way; what else a change waits for is its leader's affair. */
static void add_coming(const struct control_catalogue *catalogue,
                       const struct control_partition *partition, struct buffer *text)
{
    for (size_t i = 0; i < partition->wanted.member_count; i++) {
        struct node_id node = partition->wanted.members[i].node;
        bool there = false;
        for (size_t k = 0; k < partition->before.member_count; k++)
            there |= node_id_equal(partition->before.members[k].node, node);
        for (size_t k = 0; !there && k < catalogue->node_count; k++)
            if (node_id_equal(catalogue->members[k].member.id, node))
                buffer_print(text, "%snode %llu at %s", text->size ? ", " : "",
                             (unsigned long long)node.value,
                             catalogue->members[k].member.client_address);
    }
}

/* For whom: null where nothing is waited for. */
static void tell_wait(struct reply *reply, const struct control_catalogue *catalogue,
                      const struct control_partition *partition)
{
    struct buffer text;
    bool open = partition->settled < partition->change;
    bool alone = partition->keyspace <= KEYSPACE_DEFAULT && catalogue->place_count == 2;
    reply_text(reply, "waits_for");
    buffer_init(&text, 4096);
    if (open)
        add_coming(catalogue, partition, &text);
    if (text.size)
        buffer_print(&text, " to catch up");
    else if (open)
        buffer_print(&text, "its leader to commit the change");
    else if (alone)
        buffer_print(&text, "a third node: with three there are three copies");
    if (text.size)
        reply_bulk(reply, slice_of_buffer(&text));
    else
        reply_null(reply);
    buffer_deinit(&text);
}

static void tell_partition(struct reply *reply, const struct control_catalogue *catalogue,
                           const struct control_keyspace *keyspace,
                           const struct control_partition *partition)
{
    char slots[32];
    const struct raft_configuration *wanted = partition_wanted(partition);
    snprintf(slots, sizeof slots, "%u-%u", partition->first_slot, partition->last_slot);
    reply_map(reply, 6);
    pair_number(reply, "partition", partition->group.value);
    pair(reply, "slots", slots);
    /* Those of the formation have no record before their first change: they are on the first nodes.
     */
    bool first = !wanted->member_count;
    size_t count = first ? keyspace->contract.replicas : wanted_voters(wanted);
    reply_text(reply, "nodes");
    reply_array(reply, count);
    for (size_t i = 0; i < count; i++)
        reply_integer(reply, (int64_t)(first ? catalogue->members[i].member.id.value
                                             : wanted->members[i].node.value));
    pair(reply, "state", partition->settled < partition->change ? "changing" : "settled");
    tell_wait(reply, catalogue, partition);
    reply_text(reply, "readers");
    reply_array(reply, first ? 0 : wanted->member_count - count);
    for (size_t i = count; !first && i < wanted->member_count; i++)
        reply_integer(reply, (int64_t)wanted->members[i].node.value);
}

static void tell_info(struct keyspace_work *work)
{
    const struct control_keyspace *keyspace = keyspace_named(work);
    const struct control_catalogue *catalogue = &work->catalogue;
    struct reply *reply = work->call->reply;
    if (!keyspace)
        return;
    reply_map(reply, CONTRACT_PAIRS + 5);
    tell_contract(reply, keyspace);
    pair_number(reply, "commit_quorum", cluster_commit_quorum(&keyspace->contract));
    pair_number(reply, "election_quorum", cluster_election_quorum(&keyspace->contract));
    pair_number(reply, "losses_open", loss_count_open(work->call->store, catalogue, keyspace->id));
    pair_number(reply, "short_partitions", short_count(work->call->store, catalogue, keyspace->id));
    reply_text(reply, "placement");
    reply_array(reply, living_partitions(catalogue, keyspace->id));
    for (size_t i = 0; i < catalogue->partition_count; i++)
        if (catalogue->partitions[i].keyspace == keyspace->id && !catalogue->partitions[i].dropped)
            tell_partition(reply, catalogue, keyspace, &catalogue->partitions[i]);
}

static void tell_list(struct keyspace_work *work)
{
    const struct control_catalogue *catalogue = &work->catalogue;
    size_t living = 0;
    for (size_t i = 0; i < catalogue->keyspace_count; i++)
        living += !catalogue->keyspaces[i].dropped;
    reply_array(work->call->reply, living);
    for (size_t i = 0; i < catalogue->keyspace_count; i++) {
        if (catalogue->keyspaces[i].dropped)
            continue;
        reply_map(work->call->reply, CONTRACT_PAIRS);
        tell_contract(work->call->reply, &catalogue->keyspaces[i]);
    }
}

static void tell_explain(struct keyspace_work *work)
{
    const struct control_keyspace *keyspace = keyspace_named(work);
    struct buffer text;
    if (!keyspace)
        return;
    buffer_init(&text, 1u << 16);
    if (keyspace->changing) { /* of each partition one of the two is true */
        static const char now[] = "changing: not every partition has the new contract yet. Until "
                                  "then this holds where it has not come:\n";
        static const char then[] = "and this once it has:\n";
        (void)!buffer_append(&text, now, sizeof now - 1);
        cluster_explain(&keyspace->before, &text);
        (void)!buffer_append(&text, then, sizeof then - 1);
    }
    cluster_explain(&keyspace->contract, &text);
    reply_verbatim(work->call->reply, slice_of_buffer(&text));
    buffer_deinit(&text);
}

/* The verb RECORDS, for nodes without a replica of `system`: every record, as key and text in turn.
 * Each of them asks each second: nothing is read of what it gets. False: another verb, or the first
 * records are not written. */
static bool tell_records(struct command_call *call)
{
    struct store_entry *entries[STORE_WALK_MAX + 16];
    uint8_t databases[STORE_WALK_MAX + 16];
    struct store *store = call->store;
    struct store_key last = store_key_of(0, slice_of_text("partition:1"));
    uint64_t cursor = 0;
    if (call->count != 2 || !slice_is_word(call->arguments[1], "RECORDS") ||
        !store_find(store, &last))
        return false;
    reply_array(call->reply, 2 * store_count(store, 0));
    do {
        size_t count = 0;
        cursor = store_walk(store, cursor, STORE_WALK_MAX, entries, databases, &count);
        for (size_t i = 0; i < count; i++) {
            if (databases[i] != 0)
                continue;
            reply_bulk(call->reply, store_entry_key(entries[i]));
            bool text = store_entry_type(entries[i]) == STORE_STRING;
            reply_bulk(call->reply, text ? store_entry_string(entries[i]) : slice_of_text(""));
        }
    } while (cursor);
    return true;
}

/* ---- the verb ---- */

static const struct keyspace_verb {
    const char *name;
    size_t least, most; /* arguments, with KEYSPACE and the verb */
    const char *use;
    void (*run)(struct keyspace_work *work);
} verbs[] = {
    {"CREATE", 3, SIZE_MAX, "a name, then options with their values (REPLICAS 3 ACK quorum)",
     keyspace_create},
    {"LIST", 2, 2, "nothing", tell_list},
    {"INFO", 3, 3, "the name of a keyspace", tell_info},
    {"EXPLAIN", 3, 3, "the name of a keyspace", tell_explain},
    {"ALTER", 5, SIZE_MAX,
     "the name of a keyspace, then what to change, with its value (ACK all REPLICAS 3)",
     keyspace_alter},
    {"DROP", 3, 3, "the name of a keyspace", keyspace_drop},
};

void control_execute_keyspace(struct command_call *call)
{
    struct keyspace_work work = {.call = call};
    struct slice word = call->arguments[1];
    size_t i = 0, count = sizeof verbs / sizeof verbs[0];
    if (tell_records(call))
        return;
    while (i < count && !slice_is_word(word, verbs[i].name))
        i++;
    catalogue_init(&work.catalogue);
    catalogue_read_store(&work.catalogue, call->store);
    if (!work.catalogue.node_count)
        keyspace_fail(&work, "TRYAGAIN the cluster has just formed and writes its first records; "
                             "the command did not run");
    else if (i == count)
        keyspace_fail(&work,
                      "ERR unknown subcommand '%.*s': KEYSPACE knows CREATE, LIST, INFO, EXPLAIN, "
                      "WHY, ALTER and DROP",
                      (int)(word.size < 64 ? word.size : 64), (const char *)word.at);
    else if (call->count < verbs[i].least || call->count > verbs[i].most)
        keyspace_fail(&work, "ERR wrong number of arguments: KEYSPACE %s takes %s", verbs[i].name,
                      verbs[i].use);
    else
        verbs[i].run(&work);
    catalogue_deinit(&work.catalogue);
}
