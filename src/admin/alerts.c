/* The alerts of this worker: what is so at each look, since when, and what of it somebody has yet
 * to hear. CLUSTER-15, ADMIN-5 */
#include "admin/inside.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>

#define LOOK_EVERY_NS (1000 * 1000000ull)

struct entry {
    struct admin_alert alert;
    struct cluster_alert state;
    enum cluster_alert_kind kind;
    bool is_so; /* at this look */
    uint64_t progress;
    bool owes_event, owes_line, owes_news; /* of what `alert.is_raised` says */
    int64_t turned_ms;                     /* when it was raised or cleared */
};

struct admin_alerts {
    uint64_t next_look_ns;
    size_t count, capacity;
    struct entry *all; /* owned */
};

/* ---- looking ---- */

static struct entry *find(struct admin_alerts *alerts, const struct admin_condition *condition)
{
    for (size_t i = 0; i < alerts->count; i++) {
        struct entry *entry = &alerts->all[i];
        const struct admin_alert *alert = &entry->alert;
        if (entry->kind == condition->kind && alert->has_group == condition->has_group &&
            group_id_equal(alert->group, condition->group) &&
            replica_id_equal(alert->replica, condition->replica) &&
            node_id_equal(alert->node, condition->node))
            return entry;
    }
    return NULL;
}

/* NULL: as many are there as may be. */
static struct entry *add(struct admin_alerts *alerts, const struct admin_condition *condition)
{
    if (alerts->count == ADMIN_ALERTS_MAX)
        return NULL;
    if (alerts->count == alerts->capacity) {
        alerts->capacity = alerts->capacity ? 2 * alerts->capacity : 16;
        alerts->all = memory_resize(alerts->all, alerts->capacity * sizeof *alerts->all);
    }
    struct entry *entry = &alerts->all[alerts->count++];
    *entry = (struct entry){.kind = condition->kind};
    entry->alert.rule = cluster_alert_rule(condition->kind);
    entry->alert.has_group = condition->has_group;
    entry->alert.group = condition->group;
    entry->alert.replica = condition->replica;
    entry->alert.node = condition->node;
    return entry;
}

static void take_condition(struct admin *admin, const struct admin_condition *condition)
{
    const struct control_keyspace *keyspace =
        condition->has_group
            ? catalogue_find_keyspace(control_catalogue(admin->control), condition->group)
            : NULL;
    struct entry *entry = find(admin->alerts, condition);
    if (!entry)
        entry = add(admin->alerts, condition);
    if (!entry)
        return;
    entry->is_so = true;
    entry->progress = condition->progress;
    entry->alert.since_ms = condition->since_ms;
    snprintf(entry->alert.keyspace, sizeof entry->alert.keyspace, "%s",
             keyspace ? keyspace->name : "");
    memcpy(entry->alert.text, condition->text, sizeof entry->alert.text);
}

/* ---- telling ---- */

static void tell_event(struct admin *admin, struct entry *entry)
{
    const struct admin_alert *alert = &entry->alert;
    char name[80], text[CONTROL_LINE_SIZE];
    snprintf(name, sizeof name, "alert-%u-%llx-%llx-%llx-%llx-%llx%s", (unsigned)entry->kind,
             (unsigned long long)alert->group.value, (unsigned long long)alert->replica.value,
             (unsigned long long)alert->node.value,
             (unsigned long long)node_formation(admin->node)->self.value,
             (unsigned long long)entry->turned_ms, alert->is_raised ? "r" : "c");
    snprintf(text, sizeof text, "%s %s: %s", alert->is_raised ? "raised" : "cleared",
             alert->rule->name, alert->text);
    struct control_event event = {.name = name,
                                  .kind = "alert",
                                  .node = alert->node,
                                  .group = alert->group,
                                  .has_group = alert->has_group,
                                  .replica = alert->replica,
                                  .at_ms = entry->turned_ms,
                                  .text = text};
    if (control_tell_event(admin->control, &event))
        entry->owes_event = false;
}

/* What was cleared before anybody could be told that it was raised is told as cleared. */
static void turn(struct entry *entry, bool is_raised, int64_t wall_ms)
{
    entry->alert.is_raised = is_raised;
    entry->turned_ms = wall_ms;
    if (is_raised)
        entry->alert.raised_ms = wall_ms;
    entry->owes_event = entry->owes_line = entry->owes_news = true;
}

static void step(struct admin *admin, struct entry *entry)
{
    const struct replica_turn *now = node_turn(admin->node);
    enum cluster_alert_change change = cluster_alert_step(
        &entry->state, entry->alert.rule, entry->is_so, entry->progress, now->now_ns);
    if (change)
        turn(entry, change == CLUSTER_ALERT_RAISED, now->wall_us / 1000);
    if (entry->owes_event)
        tell_event(admin, entry);
    assert(entry->alert.is_raised == entry->state.is_raised); /* ADMIN-5 */
}

static bool is_over(const struct admin *admin, const struct entry *entry)
{
    return !entry->is_so && cluster_alert_is_over(&entry->state) && !entry->owes_event &&
           !entry->owes_line && !(entry->owes_news && admin->tells_news);
}

void admin_watch(struct admin *admin)
{
    uint64_t now_ns = node_turn(admin->node)->now_ns;
    size_t kept = 0;
    if (!admin->alerts)
        admin->alerts = memory_zeroed(1, sizeof *admin->alerts);
    struct admin_alerts *alerts = admin->alerts;
    if (!node_is_started(admin->node) || now_ns < alerts->next_look_ns)
        return;
    alerts->next_look_ns = now_ns + LOOK_EVERY_NS;
    for (size_t i = 0; i < alerts->count; i++)
        alerts->all[i].is_so = false;
    admin_find_conditions(admin, take_condition);
    for (size_t i = 0; i < alerts->count; i++)
        step(admin, &alerts->all[i]);
    for (size_t i = 0; i < alerts->count; i++)
        if (!is_over(admin, &alerts->all[i]))
            alerts->all[kept++] = alerts->all[i];
    alerts->count = kept;
}

void admin_forget_alerts(struct admin *admin)
{
    if (admin->alerts)
        memory_free(admin->alerts->all);
    memory_free(admin->alerts);
    admin->alerts = NULL;
}

bool admin_take_line(struct admin *admin, char out[CONTROL_LINE_SIZE])
{
    for (size_t i = 0; admin->alerts && i < admin->alerts->count; i++) {
        struct entry *entry = &admin->alerts->all[i];
        const struct admin_alert *alert = &entry->alert;
        if (!entry->owes_line)
            continue;
        entry->owes_line = false;
        if (alert->is_raised)
            snprintf(out, CONTROL_LINE_SIZE, "%s alert %s: %s",
                     cluster_severity_word(alert->rule->severity), alert->rule->name, alert->text);
        else
            snprintf(out, CONTROL_LINE_SIZE, "alert %s is over: %s", alert->rule->name,
                     alert->text);
        return true;
    }
    return false;
}

const struct admin_alert *admin_next_alert(struct admin *admin)
{
    for (size_t i = 0; admin->alerts && i < admin->alerts->count; i++)
        if (admin->alerts->all[i].owes_news)
            return &admin->alerts->all[i].alert;
    return NULL;
}

void admin_alert_is_told(struct admin *admin, const struct admin_alert *alert)
{
    for (size_t i = 0; i < admin->alerts->count; i++)
        if (&admin->alerts->all[i].alert == alert)
            admin->alerts->all[i].owes_news = false;
}

/* ---- what is raised ---- */

void admin_count_alerts(const struct admin *admin, unsigned out[CLUSTER_SEVERITIES])
{
    for (int i = 0; i < CLUSTER_SEVERITIES; i++)
        out[i] = 0;
    for (size_t i = 0; admin->alerts && i < admin->alerts->count; i++)
        if (admin->alerts->all[i].alert.is_raised)
            out[admin->alerts->all[i].alert.rule->severity]++;
}

static void tell_one(const struct admin_alert *alert, struct reply *reply)
{
    reply_integer(reply, alert->rule->severity);
    reply_text(reply, alert->rule->name);
    reply_text(reply, alert->keyspace);
    reply_integer(reply, alert->has_group ? (int64_t)alert->group.value : -1);
    reply_integer(reply, (int64_t)alert->replica.value);
    reply_integer(reply, (int64_t)alert->node.value);
    reply_integer(reply, alert->since_ms);
    reply_integer(reply, alert->raised_ms);
    reply_text(reply, alert->text);
    reply_text(reply, alert->rule->cure);
}

void admin_tell_alerts(const struct admin *admin, struct reply *reply)
{
    unsigned counts[CLUSTER_SEVERITIES], count = 0;
    admin_count_alerts(admin, counts);
    for (int i = 0; i < CLUSTER_SEVERITIES; i++)
        count += counts[i];
    reply_array(reply, 1 + (size_t)ADMIN_ALERT_ITEMS * count);
    reply_integer(reply, ADMIN_ALERT_ITEMS);
    for (size_t i = 0; count && i < admin->alerts->count; i++)
        if (admin->alerts->all[i].alert.is_raised)
            tell_one(&admin->alerts->all[i].alert, reply);
}
