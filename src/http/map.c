/* Which partitions there are and whose, copied for the thread that knows no catalogue. */
#include "http/inside.h"

#include "base/memory.h"

/* `system` and `default` are there before their records are. */
static void add_first(const struct control_catalogue *catalogue, struct http_map *map)
{
    static const struct http_keyspace firsts[] = {{KEYSPACE_SYSTEM, "system"},
                                                  {KEYSPACE_DEFAULT, "default"}};
    for (uint64_t id = KEYSPACE_SYSTEM; id <= KEYSPACE_DEFAULT; id++) {
        if (catalogue_find_group(catalogue, (struct group_id){id}))
            continue;
        map->keyspaces[map->keyspace_count++] = firsts[id];
        map->partitions[map->partition_count++] = (struct http_partition){{id}, id};
    }
}

struct http_map *http_map_of(const struct control_catalogue *catalogue, struct node_id node)
{
    size_t keyspaces = catalogue->keyspace_count + 2, partitions = catalogue->partition_count + 2;
    struct http_map *map = memory_zeroed(1, sizeof *map + keyspaces * sizeof *map->keyspaces +
                                                partitions * sizeof *map->partitions);
    map->node = node;
    map->partitions = (struct http_partition *)(map + 1);
    map->keyspaces = (struct http_keyspace *)(map->partitions + partitions);
    add_first(catalogue, map);
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        const struct control_partition *from = &catalogue->partitions[i];
        if (!from->dropped)
            map->partitions[map->partition_count++] =
                (struct http_partition){from->group, from->keyspace};
    }
    for (size_t i = 0; i < catalogue->keyspace_count; i++) {
        const struct control_keyspace *from = &catalogue->keyspaces[i];
        struct http_keyspace *to = &map->keyspaces[map->keyspace_count];
        if (from->dropped)
            continue;
        to->id = from->id;
        memcpy(to->name, from->name, sizeof to->name);
        map->keyspace_count++;
    }
    return map;
}

const struct http_partition *http_map_find(const struct http_map *map, struct group_id group)
{
    size_t first = 0, last = map->partition_count;
    while (first < last) {
        size_t middle = first + (last - first) / 2;
        if (map->partitions[middle].group.value < group.value)
            first = middle + 1;
        else
            last = middle;
    }
    bool found =
        first < map->partition_count && group_id_equal(map->partitions[first].group, group);
    return found ? &map->partitions[first] : NULL;
}

const struct http_keyspace *http_map_keyspace(const struct http_map *map, uint64_t id)
{
    for (size_t i = 0; i < map->keyspace_count; i++)
        if (map->keyspaces[i].id == id)
            return &map->keyspaces[i];
    return NULL;
}

const struct http_keyspace *http_map_named(const struct http_map *map, const char *name)
{
    for (size_t i = 0; i < map->keyspace_count; i++)
        if (slice_is_word(slice_of_text(map->keyspaces[i].name), name))
            return &map->keyspaces[i];
    return NULL;
}
