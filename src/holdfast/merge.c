#include "holdfast/merge.h"

#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

json_int_t merge_number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

const char *merge_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text && text[0] ? text : "-";
}

json_t *merge_find(const json_t *list, const char *name, json_int_t value)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (json_is_integer(json_object_get(item, name)) && merge_number(item, name) == value)
            return item;
    }
    return NULL;
}

json_t *merge_read_view(const char *text, size_t size)
{
    json_t *view = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_array(json_object_get(view, "nodes")) &&
        json_is_array(json_object_get(view, "keyspaces")) &&
        json_is_array(json_object_get(view, "partitions")))
        return view;
    json_decref(view);
    return NULL;
}

/* ---- a view among the views ---- */

struct views {
    json_t *const *at;
    size_t count;
};

static bool same_cluster(const json_t *a, const json_t *b)
{
    return json_equal(json_object_get(a, "cluster_id"), json_object_get(b, "cluster_id"));
}

/* What node `id` itself says; NULL: it did not answer. */
static const json_t *view_of(struct views views, json_int_t id)
{
    for (size_t i = 0; i < views.count; i++)
        if (views.at[i] && same_cluster(views.at[i], views.at[0]) &&
            merge_number(views.at[i], "node") == id)
            return views.at[i];
    return NULL;
}

static json_t *partition_in(const json_t *view, json_int_t id)
{
    return merge_find(json_object_get(view, "partitions"), "id", id);
}

static bool is_text(const json_t *object, const char *name, const char *wanted)
{
    return strcmp(merge_text(object, name), wanted) == 0;
}

/* ---- nodes ---- */

/* Who answers is up. Of the others their peers know more than a refused connection of ours says. */
static const char *node_state(struct views views, json_int_t id)
{
    if (view_of(views, id))
        return "up";
    for (size_t i = 0; i < views.count; i++) {
        json_t *nodes = json_object_get(views.at[i], "nodes");
        if (views.at[i] && same_cluster(views.at[i], views.at[0]) &&
            is_text(merge_find(nodes, "id", id), "state", "up"))
            return "up";
    }
    return "down";
}

/* What a node says of itself in its list of nodes; NULL: it did not answer. */
static const json_t *own_node(struct views views, json_int_t id)
{
    return merge_find(json_object_get(view_of(views, id), "nodes"), "id", id);
}

/* A field of the answer is there even when nobody knows it. */
static void copy(json_t *to, const char *name, const json_t *from)
{
    json_t *value = json_object_get(from, name);
    if (value)
        json_object_set(to, name, value);
    else
        json_object_set_new(to, name, json_null());
}

/* Suspicion is of a pair of nodes: whoever answers says whom it suspects. */
static json_t *suspected_by(struct views views, json_int_t id)
{
    json_t *result = json_array();
    for (size_t i = 0; i < views.count; i++) {
        const json_t *seen = merge_find(json_object_get(views.at[i], "nodes"), "id", id);
        if (!views.at[i] || !same_cluster(views.at[i], views.at[0]) ||
            merge_number(seen, "suspected_since_ms") <= 0)
            continue;
        json_t *made = json_object();
        copy(made, "node", views.at[i]);
        json_object_set(made, "since_ms", json_object_get(seen, "suspected_since_ms"));
        copy(made, "phi", seen);
        json_array_append_new(result, made);
    }
    return result;
}

static json_t *merge_nodes(struct views views)
{
    static const char *const copied[] = {"id", "addr", "site", "zone"};
    json_t *result = json_array(), *node;
    size_t i;
    json_array_foreach(json_object_get(views.at[0], "nodes"), i, node)
    {
        json_t *made = json_object();
        for (size_t k = 0; k < sizeof copied / sizeof copied[0]; k++)
            copy(made, copied[k], node);
        const char *state = node_state(views, merge_number(node, "id"));
        json_object_set_new(made, "state", json_string(state));
        copy(made, "disk", own_node(views, merge_number(node, "id")));
        copy(made, "duty", node);
        json_object_set_new(made, "suspected_by", suspected_by(views, merge_number(node, "id")));
        copy(made, "timing", view_of(views, merge_number(node, "id")));
        copy(made, "pauses", view_of(views, merge_number(node, "id")));
        json_array_append_new(result, made);
    }
    return result;
}

/* ---- partitions ---- */

/* How much a view's word counts about a partition: a leader's own, then any that knows a leader. */
static int weight(const json_t *view, const json_t *partition)
{
    json_int_t leader = merge_number(partition, "leader");
    if (leader == 0)
        return 0;
    return leader == merge_number(view, "node") ? 2 : 1;
}

/* An old leader that was cut off still believes in itself: the higher term is right. */
static const json_t *best_view(struct views views, json_int_t id)
{
    const json_t *best = NULL;
    json_int_t best_term = -1;
    int best_weight = -1;
    for (size_t i = 0; i < views.count; i++) {
        const json_t *partition = partition_in(views.at[i], id);
        if (!partition || !same_cluster(views.at[i], views.at[0]))
            continue;
        json_int_t term = merge_number(partition, "term");
        int its_weight = weight(views.at[i], partition);
        if ((its_weight > 0) > (best_weight > 0) ||
            ((its_weight > 0) == (best_weight > 0) &&
             (term > best_term || (term == best_term && its_weight > best_weight)))) {
            best = views.at[i];
            best_term = term;
            best_weight = its_weight;
        }
    }
    return best;
}

/* A leader sees from outside that a replica is down or lagging; all else the replica knows best. */
static const json_t *who_knows_state(const json_t *led, const json_t *own)
{
    if (led && (!own || is_text(led, "state", "down") || is_text(led, "state", "lagging")))
        return led;
    return own;
}

static json_t *merge_replica(struct views views, const json_t *best, json_int_t partition_id,
                             const json_t *replica)
{
    json_int_t id = merge_number(replica, "id");
    const json_t *own_partition =
        partition_in(view_of(views, merge_number(replica, "node")), partition_id);
    const json_t *own = merge_find(json_object_get(own_partition, "replicas"), "id", id);
    bool leads = weight(best, partition_in(best, partition_id)) == 2;
    const json_t *led = leads ? replica : NULL, *knows = who_knows_state(led, own);
    json_t *made = json_object();
    copy(made, "id", replica);
    copy(made, "node", replica);
    copy(made, "role", replica);
    copy(made, "state", knows);
    copy(made, "since_ms", knows);
    if (knows)
        copy(made, "because", knows);
    else
        json_object_set_new(made, "because", json_string("neither it nor a leader answers"));
    if (json_object_get(own, "percent")) {
        copy(made, "percent", own);
        copy(made, "bytes_per_second", own);
        copy(made, "eta_ms", own);
    }
    copy(made, "applied", own);
    copy(made, "lag_entries", led);
    copy(made, "lag_ms", led);
    return made;
}

static json_t *merge_partition(struct views views, json_int_t id)
{
    static const char *const copied[] = {"keyspace", "id", "slots", "leader", "term"};
    const json_t *best = best_view(views, id), *partition = partition_in(best, id);
    json_t *made = json_object(), *replicas = json_array(), *replica;
    size_t i;
    for (size_t k = 0; k < sizeof copied / sizeof copied[0]; k++)
        copy(made, copied[k], partition);
    json_array_foreach(json_object_get(partition, "replicas"), i, replica)
    {
        json_array_append_new(replicas, merge_replica(views, best, id, replica));
    }
    json_object_set_new(made, "replicas", replicas);
    return made;
}

/* A node holds some of the partitions; together they hold all. Ascending ids. */
static json_t *merge_partitions(struct views views)
{
    json_t *result = json_array(), *partition;
    for (size_t k = 0; k < views.count; k++) {
        size_t i, place = 0;
        if (!views.at[k] || !same_cluster(views.at[k], views.at[0]))
            continue;
        json_array_foreach(json_object_get(views.at[k], "partitions"), i, partition)
        {
            json_int_t id = merge_number(partition, "id");
            if (merge_find(result, "id", id))
                continue;
            for (place = 0; place < json_array_size(result); place++)
                if (merge_number(json_array_get(result, place), "id") > id)
                    break;
            json_array_insert_new(result, place, merge_partition(views, id));
        }
    }
    return result;
}

/* Each node counts those that it tells; null when none of them says, as older ones do not. */
static json_t *merge_alerts(struct views views)
{
    static const char *const names[] = {"critical", "warning", "info"};
    json_int_t counts[3] = {0};
    bool is_known = false;
    for (size_t i = 0; i < views.count; i++) {
        const json_t *alerts = json_object_get(views.at[i], "alerts");
        if (!views.at[i] || !same_cluster(views.at[i], views.at[0]) || !json_is_object(alerts))
            continue;
        is_known = true;
        for (size_t k = 0; k < 3; k++)
            counts[k] += merge_number(alerts, names[k]);
    }
    return is_known ? json_pack("{s:I,s:I,s:I}", names[0], counts[0], names[1], counts[1], names[2],
                                counts[2])
                    : json_null();
}

json_t *merge_views(json_t *const *at, size_t count)
{
    struct views views = {at, count};
    json_t *result = json_object();
    copy(result, "cluster_id", at[0]);
    json_object_set_new(result, "nodes", merge_nodes(views));
    json_object_set_new(result, "keyspaces", json_deep_copy(json_object_get(at[0], "keyspaces")));
    json_object_set_new(result, "partitions", merge_partitions(views));
    json_object_set_new(result, "alerts", merge_alerts(views));
    return result;
}

size_t merge_count_led(const json_t *merged, const json_t *placement)
{
    size_t i, led = 0;
    const json_t *partitions = json_object_get(merged, "partitions");
    json_t *place;
    json_array_foreach(placement, i, place)
    {
        led += merge_number(merge_find(partitions, "id", merge_number(place, "partition")),
                            "leader") > 0;
    }
    return led;
}
