#include "holdfast/ask.h"
#include "holdfast/dev.h"
#include "holdfast/merge.h"

#include <stdio.h>
#include <string.h>

bool watch_is_ready(struct dev *dev)
{
    struct ask asks[DEV_NODES_MAX];
    bool all = true;
    for (size_t i = 0; i < dev->count; i++)
        ask_init(&asks[i], ASK_PAGE, dev->nodes[i].http_address, "/readyz");
    ask_all(asks, dev->count, WATCH_TIMEOUT_MS);
    for (size_t i = 0; i < dev->count; i++) {
        dev->nodes[i].ready = asks[i].status == STATUS_OK;
        all = all && dev->nodes[i].ready;
        ask_deinit(&asks[i]);
    }
    return all;
}

static int64_t number_or_unknown(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
}

/* Its replica of keyspace default: the row that people look for. */
static void learn(struct dev_node *node, const json_t *merged)
{
    const json_t *found = NULL, *partition, *member;
    size_t i;
    json_array_foreach(json_object_get(merged, "nodes"), i, member)
    {
        if (strcmp(merge_text(member, "addr"), node->address) == 0)
            found = member;
    }
    json_array_foreach(json_object_get(merged, "partitions"), i, partition)
    {
        if (found && strcmp(merge_text(partition, "keyspace"), "default") == 0)
            found = merge_find(json_object_get(partition, "replicas"), "node",
                               merge_number(found, "id"));
    }
    snprintf(node->role, sizeof node->role, "%s", merge_text(found, "role"));
    snprintf(node->state, sizeof node->state, "%s",
             node->pid ? merge_text(found, "state") : "down");
    node->applied = number_or_unknown(found, "applied");
    node->lag = number_or_unknown(found, "lag_entries");
}

static void learn_all(struct dev *dev, json_t *const *views, size_t count)
{
    json_t *merged = count ? merge_views(views, count) : NULL;
    for (size_t i = 0; i < dev->count; i++)
        learn(&dev->nodes[i], merged);
    if (merged)
        dev->health = health_of(merged);
    else
        snprintf(dev->health.sentence, sizeof dev->health.sentence, "no node answers");
    json_decref(merged);
}

void watch_nodes(struct dev *dev)
{
    struct ask asks[DEV_NODES_MAX];
    json_t *views[DEV_NODES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < dev->count; i++)
        ask_init(&asks[i], ASK_COMMAND, dev->nodes[i].address, "STATUS");
    ask_all(asks, dev->count, WATCH_TIMEOUT_MS);
    for (size_t i = 0; i < dev->count; i++) {
        json_t *view = asks[i].status == STATUS_OK
                           ? merge_read_view((const char *)asks[i].answer.at, asks[i].answer.size)
                           : NULL;
        if (view)
            views[count++] = view;
        ask_deinit(&asks[i]);
    }
    learn_all(dev, views, count);
    for (size_t i = 0; i < count; i++)
        json_decref(views[i]);
}
