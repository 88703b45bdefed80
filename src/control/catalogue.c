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
    memory_free(catalogue->members);
    memory_free(catalogue->keyspaces);
    memory_free(catalogue->partitions);
    memory_free(catalogue->by_slot);
    catalogue_init(catalogue);
}

static bool has_prefix(struct slice key, const char *prefix)
{
    size_t size = strlen(prefix);
    return key.size > size && memcmp(key.at, prefix, size) == 0;
}

/* Room for one more; returns the array, moved perhaps. */
static void *room_for(void *at, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return at;
    *capacity = *capacity ? 2 * *capacity : 8;
    return memory_resize(at, *capacity * size);
}

static void add_node(struct control_catalogue *catalogue, const struct control_node *node)
{
    size_t count = catalogue->node_count++;
    catalogue->members =
        room_for(catalogue->members, count, &catalogue->node_capacity, sizeof *catalogue->members);
    catalogue->members[count] = *node;
}

/* Placement looks at the nodes that serve, and at nothing of their addresses. */
static void list_places(struct control_catalogue *catalogue)
{
    catalogue->place_count = 0;
    catalogue->nodes =
        memory_resize(catalogue->nodes, (catalogue->node_count + 1) * sizeof *catalogue->nodes);
    for (size_t i = 0; i < catalogue->node_count; i++) {
        const struct node_member *member = &catalogue->members[i].member;
        if (catalogue->members[i].duty != CONTROL_DUTY_SERVES)
            continue;
        struct cluster_member *out = &catalogue->nodes[catalogue->place_count++];
        *out = (struct cluster_member){.id = member->id};
        memcpy(out->site, member->site, sizeof out->site);
        memcpy(out->zone, member->zone, sizeof out->zone);
        memcpy(out->host, member->host, sizeof out->host);
    }
}

void catalogue_add(struct control_catalogue *catalogue, struct slice key, struct slice text)
{
    struct control_node node;
    struct control_keyspace keyspace;
    struct control_partition partition;
    if (has_prefix(key, "node:") && record_read_node(text, &node)) {
        add_node(catalogue, &node);
    } else if (has_prefix(key, "keyspace:") && record_read_keyspace(text, &keyspace)) {
        catalogue->keyspaces = room_for(catalogue->keyspaces, catalogue->keyspace_count,
                                        &catalogue->keyspace_capacity, sizeof keyspace);
        catalogue->keyspaces[catalogue->keyspace_count++] = keyspace;
    } else if (has_prefix(key, "partition:") && record_read_partition(text, &partition)) {
        catalogue->partitions = room_for(catalogue->partitions, catalogue->partition_count,
                                         &catalogue->partition_capacity, sizeof partition);
        catalogue->partitions[catalogue->partition_count++] = partition;
    } else if (slice_equal(key, slice_of_text("features"))) {
        (void)record_read_features(text, catalogue);
    } else if (slice_equal(key, slice_of_text("counters"))) {
        (void)record_read_counters(text, catalogue);
    }
}

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_member(const void *a, const void *b)
{
    return compare(((const struct control_node *)a)->member.id.value,
                   ((const struct control_node *)b)->member.id.value);
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

static int by_slot(const void *a, const void *b)
{
    const struct control_partition *one = *(const struct control_partition *const *)a;
    const struct control_partition *other = *(const struct control_partition *const *)b;
    int keyspaces = compare(one->keyspace, other->keyspace);
    return keyspaces ? keyspaces : compare(one->first_slot, other->first_slot);
}

/* Each request looks for the partition of its slot, and there may be thousands. */
static void index_slots(struct control_catalogue *catalogue)
{
    catalogue->by_slot =
        memory_resize(catalogue->by_slot, catalogue->partition_count * sizeof *catalogue->by_slot);
    catalogue->living_count = 0;
    for (size_t i = 0; i < catalogue->partition_count; i++)
        if (!catalogue->partitions[i].dropped)
            catalogue->by_slot[catalogue->living_count++] = &catalogue->partitions[i];
    if (catalogue->living_count)
        qsort(catalogue->by_slot, catalogue->living_count, sizeof *catalogue->by_slot, by_slot);
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
    if (catalogue->node_count) {
        qsort(catalogue->members, catalogue->node_count, sizeof *catalogue->members, by_member);
        uint64_t last = catalogue->members[catalogue->node_count - 1].member.id.value;
        if (catalogue->next_node.value <= last)
            catalogue->next_node.value = last + 1;
    }
    list_places(catalogue);
    if (catalogue->keyspace_count)
        qsort(catalogue->keyspaces, catalogue->keyspace_count, sizeof *catalogue->keyspaces,
              by_keyspace);
    if (catalogue->partition_count)
        qsort(catalogue->partitions, catalogue->partition_count, sizeof *catalogue->partitions,
              by_group);
    index_slots(catalogue);
    fill_replicas(catalogue);
    load_count(catalogue);
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

const struct raft_configuration *partition_wanted(const struct control_partition *partition)
{
    return partition->wanted.member_count ? &partition->wanted : &partition->initial;
}

bool partition_reads(const struct control_partition *partition, struct replica_id replica)
{
    const struct raft_member *member =
        partition ? raft_find_member(&partition->wanted, replica) : NULL;
    return member && member->kind == RAFT_LEARNER;
}

/* ---- finding ---- */

struct control_node *catalogue_find_node(const struct control_catalogue *catalogue,
                                         struct node_id node)
{
    for (size_t i = 0; i < catalogue->node_count; i++)
        if (node_id_equal(catalogue->members[i].member.id, node))
            return &catalogue->members[i];
    return NULL;
}

const struct control_node *control_member(const struct control_catalogue *catalogue,
                                          struct node_id node)
{
    return catalogue_find_node(catalogue, node);
}

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

static int id_to_keyspace(const void *id, const void *keyspace)
{
    return compare(*(const uint64_t *)id, ((const struct control_keyspace *)keyspace)->id);
}

const struct control_keyspace *catalogue_find_id(const struct control_catalogue *catalogue,
                                                 uint64_t id)
{
    if (!catalogue->keyspace_count)
        return NULL;
    return bsearch(&id, catalogue->keyspaces, catalogue->keyspace_count,
                   sizeof *catalogue->keyspaces, id_to_keyspace);
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

const struct control_keyspace *catalogue_find_keyspace(const struct control_catalogue *catalogue,
                                                       struct group_id group)
{
    const struct control_partition *partition = catalogue_find_group(catalogue, group);
    return partition ? catalogue_find_id(catalogue, partition->keyspace) : NULL;
}

const struct control_partition *catalogue_find_slot(const struct control_catalogue *catalogue,
                                                    uint64_t keyspace, unsigned slot)
{
    size_t low = 0, high = catalogue->living_count;
    while (low < high) { /* the first that begins behind the slot */
        size_t middle = low + (high - low) / 2;
        const struct control_partition *partition = catalogue->by_slot[middle];
        bool behind = partition->keyspace > keyspace ||
                      (partition->keyspace == keyspace && partition->first_slot > slot);
        if (behind)
            high = middle;
        else
            low = middle + 1;
    }
    const struct control_partition *found = low ? catalogue->by_slot[low - 1] : NULL;
    return found && found->keyspace == keyspace && slot <= found->last_slot ? found : NULL;
}
