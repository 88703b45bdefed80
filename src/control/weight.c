/* The weight of a node is what it was last started with: each node looks at its record, and where
 * that says another one, reports its own to the leader of `system`. */
#include "control/inside.h"

#include <stdio.h>

#define KIND "weight:"

static unsigned weight_of(unsigned said)
{
    return said ? said : CONTROL_WEIGHT_DEFAULT;
}

void weight_tick(struct control *control)
{
    const struct node_formation *formation = node_formation(control->node);
    const struct control_node *self = catalogue_find_node(&control->catalogue, formation->self);
    char key[CONTROL_REPORT_KEY_SIZE], text[16];
    unsigned weight = weight_of(control->options.weight);
    if (control->options.follows || !control->has_catalogue || !self ||
        weight_of(self->weight) == weight)
        return;
    snprintf(key, sizeof key, KIND "%llu", (unsigned long long)formation->self.value);
    snprintf(text, sizeof text, "%u", weight);
    if (control_is_reported(control, key))
        (void)control_report(control, key, slice_of_text(text));
}

/* ---- on the leader of `system` ---- */

static void set_weight(struct keyspace_work *work, struct control_node *node, unsigned weight)
{
    struct record records[2];
    if (weight_of(node->weight) == weight) {
        reply_ok(work->call->reply);
        return;
    }
    node->weight = weight;
    record_of_node(&records[0], node);
    keyspace_write(work, records, 1);
}

void weight_execute(struct command_call *call, struct slice key, struct slice text)
{
    struct keyspace_work work = {.call = call};
    struct control_node *node = NULL;
    int64_t id = 0, weight = 0;
    size_t size = strlen(KIND);
    catalogue_init(&work.catalogue);
    catalogue_read_store(&work.catalogue, call->store);
    if (!slice_to_i64(slice_of(key.at + size, key.size - size), &id) && id > 0)
        node = catalogue_find_node(&work.catalogue, (struct node_id){(uint64_t)id});
    if (!node || slice_to_i64(text, &weight) || weight < 1 || weight > CONTROL_WEIGHT_MAX)
        keyspace_fail(&work,
                      "ERR there is no such node, or its weight is not a number from 1 to %d",
                      CONTROL_WEIGHT_MAX);
    else
        set_weight(&work, node, (unsigned)weight);
    catalogue_deinit(&work.catalogue);
}
