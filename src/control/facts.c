/* What a node says of itself, each time it is started: its weight, and the feature level that its
 * build can read (R21). Each node looks at its record, and where that says otherwise, reports it to
 * the leader of `system`. NODE RAISE takes the cluster to the level that all of them can read. */
#include "control/inside.h"

#include <stdio.h>

static const struct fact {
    const char *kind;
    unsigned most;
} facts[] = {{"weight:", CONTROL_WEIGHT_MAX}, {"features:", 1000}};

enum {
    WEIGHT,
    FEATURES,
    FACTS
};

static unsigned *fact_of(struct control_node *node, size_t at)
{
    return at == WEIGHT ? &node->weight : &node->features;
}

/* A record without one is of a node of the default weight, or of a build without levels. */
static unsigned meant(size_t at, unsigned said)
{
    return at == WEIGHT && !said ? CONTROL_WEIGHT_DEFAULT : said;
}

static void look(struct control *control, struct node_id self, struct control_node *node, size_t at)
{
    char key[CONTROL_REPORT_KEY_SIZE], text[16];
    unsigned is = meant(at, at == WEIGHT ? control->options.weight : CONTROL_FEATURE_LEVEL);
    if (meant(at, *fact_of(node, at)) == is)
        return;
    snprintf(key, sizeof key, "%s%llu", facts[at].kind, (unsigned long long)self.value);
    snprintf(text, sizeof text, "%u", is);
    if (control_is_reported(control, key))
        (void)control_report(control, key, slice_of_text(text));
}

void facts_tick(struct control *control)
{
    const struct node_formation *formation = node_formation(control->node);
    struct control_node *self = catalogue_find_node(&control->catalogue, formation->self);
    if (control->options.follows || !control->has_catalogue || !self)
        return;
    for (size_t at = 0; at < FACTS; at++)
        look(control, formation->self, self, at);
}

/* ---- on the leader of `system` ---- */

static void set(struct keyspace_work *work, struct control_node *node, size_t at, unsigned value)
{
    struct record records[2];
    if (meant(at, *fact_of(node, at)) == value) {
        reply_ok(work->call->reply);
        return;
    }
    *fact_of(node, at) = value;
    record_of_node(&records[0], node);
    keyspace_write(work, records, 1);
}

static void execute(struct command_call *call, struct slice id_text, size_t at, struct slice text)
{
    struct keyspace_work work = {.call = call};
    struct control_node *node = NULL;
    int64_t id = 0, value = 0;
    catalogue_init(&work.catalogue);
    catalogue_read_store(&work.catalogue, call->store);
    if (!slice_to_i64(id_text, &id) && id > 0)
        node = catalogue_find_node(&work.catalogue, (struct node_id){(uint64_t)id});
    if (!node || slice_to_i64(text, &value) || value < 1 || value > facts[at].most)
        keyspace_fail(&work, "ERR there is no such node, or that is not a number from 1 to %u",
                      facts[at].most);
    else
        set(&work, node, at, (unsigned)value);
    catalogue_deinit(&work.catalogue);
}

bool facts_execute(struct command_call *call, struct slice key, struct slice text)
{
    for (size_t at = 0; at < FACTS; at++) {
        size_t size = strlen(facts[at].kind);
        if (key.size <= size || memcmp(key.at, facts[at].kind, size) != 0)
            continue;
        execute(call, slice_of(key.at + size, key.size - size), at, text);
        return true;
    }
    return false;
}

bool control_may_raise(const struct control_catalogue *catalogue)
{
    bool all = catalogue->node_count > 0;
    for (size_t i = 0; i < catalogue->node_count; i++)
        all &= catalogue->members[i].duty == CONTROL_DUTY_REMOVED ||
               catalogue->members[i].features >= CONTROL_FEATURE_LEVEL;
    return all && catalogue->level < CONTROL_FEATURE_LEVEL;
}

void facts_raise(struct keyspace_work *work)
{
    const struct control_catalogue *catalogue = &work->catalogue;
    struct record records[2];
    for (size_t i = 0; i < catalogue->node_count; i++) {
        const struct control_node *node = &catalogue->members[i];
        if (node->duty == CONTROL_DUTY_REMOVED || node->features >= CONTROL_FEATURE_LEVEL)
            continue;
        keyspace_fail(
            work,
            "ERR node %llu (%s) was last started with an earlier build, which cannot read "
            "feature level %d: start it with this one, or NODE REMOVE it, first",
            (unsigned long long)node->member.id.value, node->member.client_address,
            CONTROL_FEATURE_LEVEL);
        return;
    }
    if (catalogue->level >= CONTROL_FEATURE_LEVEL) {
        reply_ok(work->call->reply);
        return;
    }
    work->catalogue.level = CONTROL_FEATURE_LEVEL;
    record_of_features(&records[0], CONTROL_FEATURE_LEVEL);
    keyspace_write(work, records, 1);
}
