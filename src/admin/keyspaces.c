/* Keyspaces as STATUS and INFO show them: the catalogue as this node knows it, and what its own
 * replicas hold. */
#include "admin/inside.h"

static const struct control_catalogue *catalogue_of(const struct server_call *call)
{
    const struct admin *admin = call->owner;
    return control_catalogue(admin->control);
}

/* ---- STATUS ---- */

static void add_keyspace(struct buffer *out, const struct control_keyspace *keyspace)
{
    const struct cluster_contract *contract = &keyspace->contract;
    char word[CLUSTER_WORD_SIZE];
    buffer_print(out, "{\"name\":\"%s\",\"mode\":\"leader\",\"id\":%llu,\"ack\":\"%s\"",
                 keyspace->name, (unsigned long long)keyspace->id,
                 cluster_ack_word(contract, word));
    buffer_print(out, ",\"read\":\"strong\",\"sync\":\"%s\",\"failover\":\"%s\",\"short\":\"%s\"",
                 cluster_sync_word(contract, word), cluster_failover_word(contract),
                 cluster_short_word(contract));
    buffer_print(out, ",\"replicas\":%u,\"readers\":\"%s\"", contract->replicas,
                 cluster_readers_word(contract, word));
    buffer_print(out, ",\"partitions\":%u,\"commit_quorum\":%u", contract->partitions,
                 cluster_commit_quorum(contract));
    buffer_print(out, ",\"election_quorum\":%u,\"db\":", cluster_election_quorum(contract));
    if (keyspace->id == KEYSPACE_DEFAULT || contract->database)
        buffer_print(out, "%u}", contract->database);
    else
        buffer_print(out, "null}");
}

void admin_status_keyspaces(struct server_call *call, struct buffer *out)
{
    const struct control_catalogue *catalogue = catalogue_of(call);
    bool first = true;
    buffer_print(out, "[");
    for (size_t i = 0; i < catalogue->keyspace_count; i++) {
        if (catalogue->keyspaces[i].dropped)
            continue;
        buffer_print(out, "%s", first ? "" : ",");
        add_keyspace(out, &catalogue->keyspaces[i]);
        first = false;
    }
    buffer_print(out, "]");
}

/* What the catalogue does not say yet, the formation does: the first two groups. */
void admin_status_place(struct server_call *call, struct group_id group, struct buffer *out)
{
    const struct control_catalogue *catalogue = catalogue_of(call);
    const struct control_partition *partition = catalogue_find_group(catalogue, group);
    const struct control_keyspace *keyspace =
        partition ? catalogue_find_id(catalogue, partition->keyspace) : NULL;
    const char *known = group_id_equal(group, GROUP_SYSTEM)    ? "system"
                        : group_id_equal(group, GROUP_DEFAULT) ? "default"
                                                               : "";
    buffer_print(out, "{\"keyspace\":\"%s\",\"id\":%llu,\"slots\":\"%u-%u\"",
                 keyspace ? keyspace->name : known, (unsigned long long)group.value,
                 partition ? partition->first_slot : 0,
                 partition ? partition->last_slot : CLUSTER_SLOTS - 1);
}

/* ---- INFO ---- */

static void add_database(struct buffer *out, unsigned database, uint64_t keys, uint64_t deadlines)
{
    if (keys)
        buffer_print(out, "db%u:keys=%llu,expires=%llu,avg_ttl=0\r\n", database,
                     (unsigned long long)keys, (unsigned long long)deadlines);
}

/* A number that another keyspace has taken no longer opens a database of `default`. */
static void add_default(struct server_call *call, const struct admin_view *view, struct buffer *out)
{
    for (uint8_t database = 0; view->first && database < STORE_DATABASES; database++)
        if (!catalogue_find_database(catalogue_of(call), database))
            add_database(out, database, view->first->keys[database],
                         view->first->deadlines[database]);
}

/* Sums over the partitions that are here; a keyspace of which nothing is here is left out
 * (ADMIN-2). */
static void add_other(struct server_call *call, const struct admin_view *view, struct buffer *out,
                      const struct control_keyspace *keyspace)
{
    const struct control_catalogue *catalogue = catalogue_of(call);
    uint64_t keys = 0, deadlines = 0;
    unsigned here = 0;
    for (unsigned i = 0; i < view->count; i++)
        for (size_t k = 0; view->shares[i] && k < view->shares[i]->count; k++) {
            const struct admin_count *count = &view->shares[i]->counts[k];
            const struct control_partition *partition =
                catalogue_find_group(catalogue, count->group);
            if (!partition || partition->keyspace != keyspace->id)
                continue;
            here++;
            keys += count->keys;
            deadlines += count->deadlines;
        }
    if (!here)
        return;
    if (keyspace->contract.database)
        add_database(out, keyspace->contract.database, keys, deadlines);
    buffer_print(out, "keyspace_%s:keys=%llu,expires=%llu,partitions_here=%u,partitions=%u\r\n",
                 keyspace->name, (unsigned long long)keys, (unsigned long long)deadlines, here,
                 keyspace->contract.partitions);
}

void admin_info_keyspaces(struct server_call *call, const struct admin_view *view,
                          struct buffer *out)
{
    const struct control_catalogue *catalogue = catalogue_of(call);
    buffer_print(out, "# Keyspace\r\n");
    if (!node_is_started(call->node))
        return;
    add_default(call, view, out);
    for (size_t i = 0; i < catalogue->keyspace_count; i++)
        if (catalogue->keyspaces[i].id > KEYSPACE_DEFAULT && !catalogue->keyspaces[i].dropped)
            add_other(call, view, out, &catalogue->keyspaces[i]);
}
