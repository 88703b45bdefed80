/* The catalogue: the records of the system keyspace, read. */
#include "control/inside.h"

#include "base/memory.h"

#include <stdlib.h>

#define FIRST_FREE_ID 2 /* behind `system` and `default` */

void catalogue_init(struct control_catalogue *catalogue)
{
    *catalogue =
        (struct control_catalogue){.next_keyspace = FIRST_FREE_ID, .next_group = FIRST_FREE_ID};
}

void catalogue_deinit(struct control_catalogue *catalogue)
{
    memory_free(catalogue->nodes);
    memory_free(catalogue->keyspaces);
    memory_free(catalogue->partitions);
    catalogue_init(catalogue);
}

static bool has_prefix(struct slice key, const char *prefix)
{
    size_t size = strlen(prefix);
    return key.size > size && memcmp(key.at, prefix, size) == 0;
}

void catalogue_add(struct control_catalogue *catalogue, struct slice key, struct slice text)
{
    struct cluster_member node;
    struct control_keyspace keyspace;
    struct control_partition partition;
    if (has_prefix(key, "node:") && record_read_node(text, &node)) {
        catalogue->nodes =
            memory_resize(catalogue->nodes, (catalogue->node_count + 1) * sizeof *catalogue->nodes);
        catalogue->nodes[catalogue->node_count++] = node;
    } else if (has_prefix(key, "keyspace:") && record_read_keyspace(text, &keyspace)) {
        catalogue->keyspaces = memory_resize(
            catalogue->keyspaces, (catalogue->keyspace_count + 1) * sizeof *catalogue->keyspaces);
        catalogue->keyspaces[catalogue->keyspace_count++] = keyspace;
    } else if (has_prefix(key, "partition:") && record_read_partition(text, &partition)) {
        catalogue->partitions =
            memory_resize(catalogue->partitions,
                          (catalogue->partition_count + 1) * sizeof *catalogue->partitions);
        catalogue->partitions[catalogue->partition_count++] = partition;
    } else if (slice_equal(key, slice_of_text("counters"))) {
        (void)record_read_counters(text, catalogue);
    }
}

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_node(const void *a, const void *b)
{
    return compare(((const struct cluster_member *)a)->id.value,
                   ((const struct cluster_member *)b)->id.value);
}

static int by_keyspace(const void *a, const void *b)
{
    return compare(((const struct control_keyspace *)a)->id,
                   ((const struct control_keyspace *)b)->id);
}

static int by_group(const void *a, const void *b)
{
    return compare(((const struct control_partition *)a)->group.value,
                   ((const struct control_partition *)b)->group.value);
}

/* The first two keyspaces of a cluster that an earlier version formed do not say how many replicas
 * they have: it follows from the number of nodes (DESIGN section 9). */
static void fill_replicas(struct control_catalogue *catalogue)
{
    for (size_t i = 0; i < catalogue->keyspace_count; i++) {
        struct control_keyspace *keyspace = &catalogue->keyspaces[i];
        if (keyspace->contract.replicas)
            continue;
        bool five = keyspace->id == KEYSPACE_SYSTEM && catalogue->node_count >= 5;
        keyspace->contract.replicas = five ? 5 : catalogue->node_count >= 3 ? 3 : 1;
    }
}

void catalogue_finish(struct control_catalogue *catalogue)
{
    if (catalogue->node_count)
        qsort(catalogue->nodes, catalogue->node_count, sizeof *catalogue->nodes, by_node);
    if (catalogue->keyspace_count)
        qsort(catalogue->keyspaces, catalogue->keyspace_count, sizeof *catalogue->keyspaces,
              by_keyspace);
    if (catalogue->partition_count)
        qsort(catalogue->partitions, catalogue->partition_count, sizeof *catalogue->partitions,
              by_group);
    fill_replicas(catalogue);
}

void catalogue_read_store(struct control_catalogue *catalogue, struct store *store)
{
    struct store_entry *entries[STORE_WALK_MAX + 16];
    uint8_t databases[STORE_WALK_MAX + 16];
    uint64_t cursor = 0;
    do {
        size_t count = 0;
        cursor = store_walk(store, cursor, STORE_WALK_MAX, entries, databases, &count);
        for (size_t i = 0; i < count; i++)
            if (databases[i] == 0 && store_entry_type(entries[i]) == STORE_STRING)
                catalogue_add(catalogue, store_entry_key(entries[i]),
                              store_entry_string(entries[i]));
    } while (cursor);
    catalogue_finish(catalogue);
}

/* ---- finding ---- */

const struct control_keyspace *catalogue_find_name(const struct control_catalogue *catalogue,
                                                   struct slice name)
{
    for (size_t i = 0; i < catalogue->keyspace_count; i++)
        if (!catalogue->keyspaces[i].dropped && slice_is_word(name, catalogue->keyspaces[i].name))
            return &catalogue->keyspaces[i];
    return NULL;
}

const struct control_keyspace *catalogue_find_database(const struct control_catalogue *catalogue,
                                                       unsigned database)
{
    for (size_t i = 0; database && i < catalogue->keyspace_count; i++)
        if (!catalogue->keyspaces[i].dropped &&
            catalogue->keyspaces[i].contract.database == database)
            return &catalogue->keyspaces[i];
    return NULL;
}

const struct control_keyspace *catalogue_find_id(const struct control_catalogue *catalogue,
                                                 uint64_t id)
{
    for (size_t i = 0; i < catalogue->keyspace_count; i++)
        if (catalogue->keyspaces[i].id == id)
            return &catalogue->keyspaces[i];
    return NULL;
}

static int group_to_partition(const void *group, const void *partition)
{
    return compare(((const struct group_id *)group)->value,
                   ((const struct control_partition *)partition)->group.value);
}

const struct control_partition *catalogue_find_group(const struct control_catalogue *catalogue,
                                                     struct group_id group)
{
    if (!catalogue->partition_count)
        return NULL;
    return bsearch(&group, catalogue->partitions, catalogue->partition_count,
                   sizeof *catalogue->partitions, group_to_partition);
}

const struct control_partition *catalogue_find_slot(const struct control_catalogue *catalogue,
                                                    uint64_t keyspace, unsigned slot)
{
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        const struct control_partition *partition = &catalogue->partitions[i];
        if (partition->keyspace == keyspace && !partition->dropped &&
            partition->first_slot <= slot && slot <= partition->last_slot)
            return partition;
    }
    return NULL;
}
