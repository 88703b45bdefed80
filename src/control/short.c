/* short.c - SHORT degrade is never silent: who leads a partition that acknowledges its writes with
 * fewer copies than its contract asks for says so in the node's log and to `system`.
 *
 * Records: short:GROUP-nNODE, what NODE last saw while it led: its term, and whether it was short.
 * Each has one writer; of a group the one of the highest term counts. */
#include "control/inside.h"

#include "base/memory.h"

#include <jansson.h>

#include <stdio.h>

#define LOOK_EVERY_NS (100 * 1000000ull)

static bool may_be_short(const struct cluster_contract *contract)
{
    return contract->short_of == CLUSTER_SHORT_DEGRADE &&
           cluster_ack_copies(contract) > cluster_commit_quorum(contract);
}

bool control_is_short(const struct cluster_contract *contract, const struct replica *replica,
                      uint64_t now_ns)
{
    return may_be_short(contract) &&
           replica_voters_heard(replica, now_ns) < cluster_ack_copies(contract);
}

/* ---- at the leader ---- */

static struct short_group *find_group(struct control *control, struct group_id group)
{
    for (size_t i = 0; i < control->shorts.group_count; i++)
        if (group_id_equal(control->shorts.groups[i].group, group))
            return &control->shorts.groups[i];
    return NULL;
}

static struct short_group *ensure_group(struct control *control, struct group_id group)
{
    struct shorts *shorts = &control->shorts;
    struct short_group *found = find_group(control, group);
    if (found)
        return found;
    shorts->groups =
        memory_resize(shorts->groups, (shorts->group_count + 1) * sizeof *shorts->groups);
    found = &shorts->groups[shorts->group_count++];
    *found = (struct short_group){.group = group};
    return found;
}

/* What was said in an earlier term another leader may have said otherwise since. */
static void report_state(struct control *control, struct short_group *seen, uint64_t term)
{
    char key[CONTROL_REPORT_KEY_SIZE], text[96];
    if (seen->reported_term == term && seen->reported_short == seen->is_short)
        return;
    snprintf(key, sizeof key, "short:%llu-n%llu", (unsigned long long)seen->group.value,
             (unsigned long long)node_formation(control->node)->self.value);
    snprintf(text, sizeof text, "{\"version\":1,\"term\":%llu,\"short\":%s}",
             (unsigned long long)term, seen->is_short ? "true" : "false");
    if (!control_report(control, key, slice_of_text(text)))
        return; /* no room now: at a later look */
    seen->reported_term = term;
    seen->reported_short = seen->is_short;
}

static void look_at(struct control *control, const struct control_keyspace *keyspace,
                    const struct replica *replica)
{
    uint64_t now_ns = node_turn(control->node)->now_ns;
    struct short_group *seen = find_group(control, replica_group(replica));
    if (!replica_is_serving(replica) || !may_be_short(&keyspace->contract)) {
        if (seen)
            seen->is_short = false;
        if (!seen || !replica_is_serving(replica))
            return;
    }
    seen = ensure_group(control, replica_group(replica));
    seen->keyspace = keyspace->id;
    seen->is_short = control_is_short(&keyspace->contract, replica, now_ns);
    report_state(control, seen, raft_view(replica_raft(replica))->term);
}

static size_t count_short(const struct shorts *shorts, uint64_t keyspace)
{
    size_t count = 0;
    for (size_t i = 0; i < shorts->group_count; i++)
        count += shorts->groups[i].keyspace == keyspace && shorts->groups[i].is_short;
    return count;
}

static bool *told_of(struct shorts *shorts, uint64_t keyspace)
{
    for (size_t i = 0; i < shorts->keyspace_count; i++)
        if (shorts->keyspaces[i].id == keyspace)
            return &shorts->keyspaces[i].told;
    shorts->keyspaces =
        memory_resize(shorts->keyspaces, (shorts->keyspace_count + 1) * sizeof *shorts->keyspaces);
    struct short_keyspace *added = &shorts->keyspaces[shorts->keyspace_count++];
    *added = (struct short_keyspace){.id = keyspace};
    return &added->told;
}

/* One line when the first partition of it that is led here begins, and one when the last ends. */
static void tell(struct control *control, const struct control_keyspace *keyspace)
{
    char word[CLUSTER_WORD_SIZE];
    size_t count = count_short(&control->shorts, keyspace->id);
    bool *told = told_of(&control->shorts, keyspace->id);
    if ((count > 0) == *told || control->line[0])
        return; /* or the line before has not been taken yet */
    *told = count > 0;
    if (*told)
        snprintf(control->line, sizeof control->line,
                 "keyspace %s: too few replicas can be reached, writes are acknowledged with fewer "
                 "copies than ACK %s (SHORT degrade)",
                 keyspace->name, cluster_ack_word(&keyspace->contract, word));
    else
        snprintf(control->line, sizeof control->line,
                 "keyspace %s: no partition that is led here acknowledges with fewer copies any "
                 "more",
                 keyspace->name);
}

/* The replicas that can be reached are counted anew with every heartbeat: those wake this node. */
void short_tick(struct control *control)
{
    struct node *node = control->node;
    const struct control_catalogue *catalogue = &control->catalogue;
    uint64_t now_ns = node_turn(node)->now_ns;
    bool any = control->shorts.group_count > 0;
    if (!control->has_catalogue || now_ns < control->shorts.next_ns)
        return;
    control->shorts.next_ns = now_ns + LOOK_EVERY_NS;
    for (size_t i = 0; i < catalogue->keyspace_count; i++)
        any = any ||
              (!catalogue->keyspaces[i].dropped && may_be_short(&catalogue->keyspaces[i].contract));
    for (size_t i = 0; any && i < node_group_count(node); i++) {
        const struct replica *replica = node_group_at(node, i);
        const struct control_keyspace *keyspace =
            catalogue_find_keyspace(catalogue, replica_group(replica));
        if (keyspace)
            look_at(control, keyspace, replica);
    }
    for (size_t i = 0; any && i < catalogue->keyspace_count; i++)
        if (!catalogue->keyspaces[i].dropped)
            tell(control, &catalogue->keyspaces[i]);
}

void short_deinit(struct control *control)
{
    memory_free(control->shorts.groups);
    memory_free(control->shorts.keyspaces);
}

/* ---- KEYSPACE INFO, on the leader of `system` ---- */

struct short_last {
    uint64_t group, term;
    bool is_short;
};

static size_t take_last(struct short_last *last, size_t count, const struct short_last *one)
{
    size_t at = 0;
    while (at < count && last[at].group != one->group)
        at++;
    if (at == count || one->term > last[at].term)
        last[at] = *one;
    return at == count ? count + 1 : count;
}

static bool read_one(const struct control_reported *reported, struct short_last *out)
{
    unsigned long long group = 0, node = 0;
    char key[CONTROL_REPORT_KEY_SIZE];
    snprintf(key, sizeof key, "%.*s", (int)reported->key.size, (const char *)reported->key.at);
    json_t *root = json_loadb((const char *)reported->text.at, reported->text.size, 0, NULL);
    bool whole = root && sscanf(key, "short:%llu-n%llu", &group, &node) == 2;
    if (whole)
        *out =
            (struct short_last){.group = group,
                                .term = (uint64_t)json_integer_value(json_object_get(root, "term")),
                                .is_short = json_is_true(json_object_get(root, "short"))};
    json_decref(root);
    return whole;
}

size_t short_count(struct store *store, const struct control_catalogue *catalogue,
                   uint64_t keyspace)
{
    struct control_reported *reported;
    size_t count = control_reported(store, "short:", &reported), groups = 0, found = 0;
    struct short_last *last = memory_zeroed(count + 1, sizeof *last), one;
    for (size_t i = 0; i < count; i++) {
        if (!read_one(&reported[i], &one))
            continue;
        const struct control_partition *partition =
            catalogue_find_group(catalogue, (struct group_id){one.group});
        if (partition && partition->keyspace == keyspace && !partition->dropped)
            groups = take_last(last, groups, &one);
    }
    for (size_t i = 0; i < groups; i++)
        found += last[i].is_short;
    memory_free(last);
    memory_free(reported);
    return found;
}
