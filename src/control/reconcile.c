/* The leader of a group brings it to what the catalogue wants: learners for the copies that are
 * missing, one joint change when all of them have caught up (R18), and then the report that it is
 * done. It also keeps the in-sync set (R15). Who leads next goes on from what is in the log: there
 * is no state here that it would need. */
#include "control/inside.h"

#include <stdarg.h>
#include <stdio.h>

#define LOOK_EVERY_NS      (20 * 1000000ull)
#define SYNC_LOOK_EVERY_NS (100 * 1000000ull)
#define INSYNC_TIMEOUT_NS  (2000 * 1000000ull)

static void say(struct control *control, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct control *control, const char *format, ...)
{
    va_list arguments;
    if (control->line[0])
        return; /* the one before has not been taken yet */
    va_start(arguments, format);
    vsnprintf(control->line, sizeof control->line, format, arguments);
    va_end(arguments);
}

bool control_take_event(struct control *control, char out[CONTROL_LINE_SIZE])
{
    if (!control->line[0])
        return false;
    memcpy(out, control->line, CONTROL_LINE_SIZE);
    control->line[0] = 0;
    return true;
}

/* ---- towards what is wanted ---- */

static bool has_become(const struct raft_configuration *now,
                       const struct raft_configuration *wanted)
{
    bool same = !now->joint && now->member_count == wanted->member_count &&
                now->commit_quorum == wanted->commit_quorum &&
                now->election_quorum == wanted->election_quorum &&
                (!wanted->sync || now->sync == wanted->sync);
    for (size_t i = 0; same && i < wanted->member_count; i++) {
        const struct raft_member *member = raft_find_member(now, wanted->members[i].replica);
        same = member && member->kind == wanted->members[i].kind &&
               member->priority == wanted->members[i].priority;
    }
    return same;
}

/* A reader that goes, goes when those that are to come are there: until then it is as good as they.
 */
static void keep_readers(const struct raft_configuration *now,
                         const struct raft_configuration *wanted, struct raft_configuration *next)
{
    for (size_t i = 0; i < now->member_count && next->member_count < RAFT_MEMBERS_MAX; i++)
        if (now->members[i].kind == RAFT_LEARNER &&
            !raft_find_member(wanted, now->members[i].replica))
            next->members[next->member_count++] = now->members[i];
}

/* Beside the voters that there are, learners for those that are to come. False: there is nothing to
 * add. */
static bool add_learners(const struct raft_configuration *now,
                         const struct raft_configuration *wanted, struct raft_configuration *next)
{
    bool adds = false;
    *next = (struct raft_configuration){.commit_quorum = now->commit_quorum,
                                        .election_quorum = now->election_quorum,
                                        .sync = now->sync};
    for (size_t i = 0; i < now->member_count; i++)
        if (now->members[i].kind != RAFT_LEARNER ||
            raft_find_member(wanted, now->members[i].replica))
            next->members[next->member_count++] = now->members[i];
    for (size_t i = 0; i < wanted->member_count; i++) {
        if (raft_find_member(now, wanted->members[i].replica) ||
            next->member_count == RAFT_MEMBERS_MAX)
            continue;
        next->members[next->member_count] = wanted->members[i];
        next->members[next->member_count++].kind = RAFT_LEARNER;
        adds = true;
    }
    keep_readers(now, wanted, next);
    return adds;
}

/* R18: a replica whose node was given up stays while its own leader hears it: who gave it up may be
 * the one that is cut off. */
static bool hears_given_up(const struct control *control, const struct replica *replica,
                           const struct raft_configuration *wanted)
{
    const struct raft *raft = replica_raft(replica);
    const struct raft_configuration *now = raft_configuration(raft);
    uint64_t now_ns = node_turn(control->node)->now_ns;
    for (size_t i = 0; i < now->member_count; i++) {
        const struct control_node *node =
            catalogue_find_node(&control->catalogue, now->members[i].node);
        struct raft_progress progress;
        bool goes = node && node->duty == CONTROL_DUTY_AWAY &&
                    !raft_find_member(wanted, now->members[i].replica);
        if (goes && !raft_progress(raft, now->members[i].replica, &progress) &&
            now_ns < progress.last_contact_ns + INSYNC_TIMEOUT_NS)
            return true;
    }
    return false;
}

/* R18: a copy counts from the moment on in which all of them can. Of those that are to vote, or to
 * read. */
static bool all_have_caught_up(const struct replica *replica,
                               const struct raft_configuration *wanted, enum raft_member_kind kind)
{
    const struct raft *raft = replica_raft(replica);
    const struct raft_configuration *now = raft_configuration(raft);
    for (size_t i = 0; i < now->member_count; i++) {
        const struct raft_member *member = &now->members[i];
        const struct raft_member *to_be = raft_find_member(wanted, member->replica);
        struct raft_progress progress;
        if (member->kind != RAFT_LEARNER || !to_be || to_be->kind != kind)
            continue;
        if (raft_progress(raft, member->replica, &progress) || !progress.caught_up)
            return false;
    }
    return true;
}

/* The report is repeated until it is known to be committed: the event is said with the first. */
static void tell_placement(struct control *control, const struct control_partition *partition)
{
    char name[64], text[CONTROL_LINE_SIZE];
    size_t voters = wanted_voters(&partition->wanted);
    size_t used = (size_t)snprintf(text, sizeof text, "its replicas are on nodes");
    for (size_t i = 0; i < partition->wanted.member_count && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s %llu",
                                 i == voters ? "; its readers on"
                                 : i         ? ","
                                             : "",
                                 (unsigned long long)partition->wanted.members[i].node.value);
    snprintf(name, sizeof name, "placement-%llu-%llu", (unsigned long long)partition->group.value,
             (unsigned long long)partition->change);
    struct control_event event = {.name = name,
                                  .kind = "placement",
                                  .group = partition->group,
                                  .has_group = true,
                                  .at_ms = node_turn(control->node)->wall_us / 1000,
                                  .text = text};
    if (!control_tell_event(control, &event))
        return;
    control->told_group = partition->group;
    control->told_change = partition->change;
}

static void report(struct control *control, const struct control_partition *partition)
{
    char key[CONTROL_REPORT_KEY_SIZE], text[24];
    snprintf(key, sizeof key, "settled:%llu", (unsigned long long)partition->group.value);
    snprintf(text, sizeof text, "%llu", (unsigned long long)partition->change);
    if (control_is_reported(control, key))
        (void)control_report(control, key, slice_of_text(text));
    if (partition->lead_change == partition->change) /* PARTITION TRANSFER */
        node_prefer_soon(control->node, partition->group);
    if (partition->change != control->told_change ||
        !group_id_equal(partition->group, control->told_group))
        tell_placement(control, partition);
}

/* The next configuration on the way there; false: it waits. CONTROL-20 */
static bool next_step(const struct control *control, const struct replica *replica,
                      const struct raft_configuration *wanted, struct raft_configuration *next)
{
    const struct raft_configuration *now = raft_configuration(replica_raft(replica));
    if (hears_given_up(control, replica, wanted))
        return false;
    if (add_learners(now, wanted, next))
        return true;
    if (!all_have_caught_up(replica, wanted, RAFT_VOTER))
        return false;
    *next = *wanted;
    if (!all_have_caught_up(replica, wanted, RAFT_LEARNER))
        keep_readers(now, wanted, next);
    return !has_become(now, next);
}

static void bring_on(struct control *control, struct replica *replica,
                     const struct control_partition *partition)
{
    struct replica_turn *turn = node_turn(control->node);
    struct raft_configuration next;
    const char *why = NULL;
    bool even = partition->keyspace > KEYSPACE_DEFAULT; /* asked for by somebody */
    if (!next_step(control, replica, &partition->wanted, &next))
        return;
    enum status status = replica_change(replica, turn, &next, even, &why);
    if (status == STATUS_INVALID)
        say(control, "partition %llu does not get the members that it is to have: %s",
            (unsigned long long)partition->group.value, why);
}

/* NULL: nothing is to be done for that group here, or not now. */
static const struct control_partition *open_change(const struct control *control,
                                                   const struct replica *replica)
{
    const struct control_partition *partition =
        catalogue_find_group(&control->catalogue, replica_group(replica));
    const struct raft *raft = replica_raft(replica);
    const struct raft_configuration *now = raft_configuration(raft);
    bool open = partition && !partition->dropped && partition->settled < partition->change;
    bool may = replica_is_serving(replica) && !now->joint && now->index <= raft_view(raft)->commit;
    return open && may ? partition : NULL;
}

/* CONTROL-12: the catalogue that this node knows may be older than what the group has become under
 * another leader, and would bring it back. So the leader of `system` is asked first, in every term
 * anew. */
static bool is_sure(struct control *control, uint64_t terms)
{
    if (control->change_ticket && control->change_terms == terms)
        return control_is_confirmed(control, control->change_ticket);
    control->change_ticket = control_ask(control);
    control->change_terms = terms;
    return control_is_confirmed(control, control->change_ticket);
}

static void bring_on_all(struct control *control)
{
    struct node *node = control->node;
    uint64_t terms = 0;
    control->is_changing = false;
    for (size_t i = 0; i < node_group_count(node); i++) {
        struct replica *replica = node_group_at(node, i);
        if (!open_change(control, replica))
            continue;
        control->is_changing = true;
        terms += replica_group(replica).value + raft_view(replica_raft(replica))->term;
    }
    if (!control->is_changing || !is_sure(control, terms))
        return;
    control->change_ticket = 0;
    for (size_t i = 0; i < node_group_count(node); i++) {
        struct replica *replica = node_group_at(node, i);
        const struct control_partition *partition = open_change(control, replica);
        if (partition && has_become(raft_configuration(replica_raft(replica)), &partition->wanted))
            report(control, partition);
        else if (partition)
            bring_on(control, replica, partition);
    }
}

bool control_is_settled(const struct control *control)
{
    const struct control_catalogue *catalogue = &control->catalogue;
    for (size_t i = 0; i < catalogue->partition_count; i++) {
        const struct control_partition *partition = &catalogue->partitions[i];
        if (partition->dropped || !partition->change)
            continue;
        struct replica *replica = node_group(control->node, partition->group);
        if (partition->settled < partition->change ||
            (replica && !has_become(raft_configuration(replica_raft(replica)), &partition->wanted)))
            return false;
    }
    return true;
}

/* ---- the in-sync set ---- */

/* Behind or silent for longer than the time-out: it is out; where nothing is written nobody is ever
 * behind. Back when it is heard and has everything, or under load as soon as it keeps up. */
static bool is_out(const struct raft *raft, const struct raft_member *member, uint64_t now_ns)
{
    struct raft_progress progress;
    if (raft_progress(raft, member->replica, &progress))
        return false; /* the leader itself */
    uint64_t behind_ns = progress.behind_since_ns ? now_ns - progress.behind_since_ns : 0;
    uint64_t silent_ns = now_ns - progress.last_contact_ns;
    if (!member->out_of_sync)
        return behind_ns >= INSYNC_TIMEOUT_NS || silent_ns >= INSYNC_TIMEOUT_NS;
    if (silent_ns >= INSYNC_TIMEOUT_NS / 4)
        return true;
    bool has_all = !progress.lag && !progress.behind_since_ns;
    return !has_all && !(progress.caught_up && behind_ns < INSYNC_TIMEOUT_NS / 4);
}

static void tell_sync(struct control *control, const struct replica *replica,
                      const struct raft_member *member, bool out)
{
    char name[80];
    const struct raft_view *view = raft_view(replica_raft(replica));
    snprintf(name, sizeof name, "in-sync-%llu-%llu-%llu",
             (unsigned long long)replica_group(replica).value,
             (unsigned long long)member->replica.value, (unsigned long long)view->last_index);
    struct control_event event = {
        .name = name,
        .kind = "in-sync",
        .node = member->node,
        .group = replica_group(replica),
        .has_group = true,
        .replica = member->replica,
        .at_ms = node_turn(control->node)->wall_us / 1000,
        .text = out ? "out of the in-sync set: behind or silent for 2 s, or being stopped"
                    : "back in the in-sync set"};
    (void)control_tell_event(control, &event);
}

static void keep_in_sync(struct control *control, struct replica *replica)
{
    const struct raft *raft = replica_raft(replica);
    const struct raft_configuration *now = raft_configuration(raft);
    struct replica_turn *turn = node_turn(control->node);
    for (size_t i = 0; i < now->member_count; i++) {
        struct raft_member member = now->members[i];
        bool voter = member.kind == RAFT_VOTER || member.old_kind == RAFT_VOTER;
        bool ends = node_state_of(control->node, member.node) & WIRE_NODE_ENDS;
        bool out = voter && (ends || is_out(raft, &member, turn->now_ns));
        if (!voter || out == member.out_of_sync)
            continue;
        if (replica_set_sync(replica, turn, member.replica, !out))
            return;
        tell_sync(control, replica, &member, out);
        say(control, "replica %llu of partition %llu, on node %llu, is %s the in-sync set",
            (unsigned long long)member.replica.value,
            (unsigned long long)replica_group(replica).value, (unsigned long long)member.node.value,
            out ? "out of" : "back in");
        return; /* one change at a time */
    }
}

/* ---- time ---- */

void reconcile_tick(struct control *control)
{
    struct node *node = control->node;
    uint64_t now_ns = node_turn(node)->now_ns;
    if (control->has_changes && now_ns >= control->next_look_ns) {
        control->next_look_ns = now_ns + LOOK_EVERY_NS;
        bring_on_all(control);
    }
    if (now_ns < control->next_sync_look_ns)
        return;
    control->next_sync_look_ns = now_ns + SYNC_LOOK_EVERY_NS;
    for (size_t i = 0; i < node_group_count(node); i++)
        if (replica_is_serving(node_group_at(node, i)))
            keep_in_sync(control, node_group_at(node, i));
}

/* What the in-sync set needs comes with heartbeats: they wake this node often enough. */
uint64_t reconcile_deadline_ns(const struct control *control)
{
    return control->has_changes && control->is_changing ? control->next_look_ns : UINT64_MAX;
}
