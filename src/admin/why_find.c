/* What this worker knows of reasons: of its own replicas, and as their leader of the others. It
 * says what is well, too: whoever asks must tell "nothing is wrong" from "nobody said".
 *
 *     WHY FACTS KEYSPACE|PARTITION|NODE id -> version, then FINDING_NUMBERS for each finding */
#include "admin/inside.h"

#include "base/memory.h"

#define FACTS_VERSION   1
#define FINDING_NUMBERS 8
#define FINDINGS_MAX    (1u << 20)

struct finder {
    struct admin *admin;
    struct admin_findings *findings;
    uint64_t now_ns;
    int64_t wall_ms;
    bool tells_each;                           /* what is well of each replica, too */
    const struct control_partition *partition; /* of the group that is looked at; NULL: unknown */
    struct replica *replica;
    const struct raft_configuration *members;
};

void admin_add_finding(struct admin_findings *findings, const struct cluster_finding *finding)
{
    if (findings->count == FINDINGS_MAX)
        return;
    if (findings->count == findings->capacity) {
        findings->capacity = findings->capacity ? 2 * findings->capacity : 16;
        findings->list = memory_resize(findings->list, findings->capacity * sizeof *findings->list);
    }
    findings->list[findings->count++] = *finding;
}

/* ---- one finding ---- */

static struct node_id own_node(const struct finder *finder)
{
    return node_formation(finder->admin->node)->self;
}

/* Of the whole group. */
static struct cluster_finding of_group(const struct finder *finder, enum cluster_rule rule)
{
    return (struct cluster_finding){
        .rule = rule, .group = replica_group(finder->replica), .node = own_node(finder)};
}

static struct cluster_finding of_member(const struct finder *finder, enum cluster_rule rule,
                                        const struct raft_member *member)
{
    return (struct cluster_finding){.rule = rule,
                                    .group = replica_group(finder->replica),
                                    .replica = member->replica,
                                    .node = member->node,
                                    .peer = own_node(finder)};
}

static void add(const struct finder *finder, const struct cluster_finding *finding)
{
    admin_add_finding(finder->findings, finding);
}

static int64_t wall_of(const struct finder *finder, uint64_t at_ns)
{
    return at_ns && at_ns <= finder->now_ns
               ? finder->wall_ms - (int64_t)((finder->now_ns - at_ns) / 1000000)
               : 0;
}

static int64_t state_since(const struct finder *finder, const struct raft_member *member,
                           enum admin_state state)
{
    return admin_state_since_ms(finder->admin, replica_group(finder->replica), member->replica,
                                state);
}

static int64_t mark_since(const struct finder *finder, struct replica_id replica,
                          enum admin_mark mark)
{
    return admin_mark_since_ms(finder->admin, replica_group(finder->replica), replica, mark);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return !a ? b : !b || a < b ? a : b;
}

/* ---- a leader, of its followers ---- */

static bool is_silent(const struct finder *finder, const struct raft_member *member,
                      const struct raft_progress *progress)
{
    uint64_t contact_ns = progress->last_contact_ns;
    return !contact_ns || finder->now_ns > contact_ns + ADMIN_SILENT_MS_MAX * 1000000ull ||
           !admin_reaches(finder->admin, member->node);
}

/* A leader that was elected since begins to count with its election: its links may know more. */
static int64_t silent_since(const struct finder *finder, const struct raft_member *member,
                            const struct raft_progress *progress)
{
    return earlier(wall_of(finder, progress->last_contact_ns),
                   admin_unreached_since_ms(finder->admin, member->node));
}

static bool is_reader(const struct finder *finder, const struct raft_member *member)
{
    return partition_reads(finder->partition, member->replica);
}

static void find_trouble(const struct finder *finder, const struct raft_member *member,
                         const struct raft_progress *progress)
{
    const struct raft_view *view = raft_view(replica_raft(finder->replica));
    struct cluster_finding finding = of_member(finder, CLUSTER_WHY_DOWN, member);
    if (is_silent(finder, member, progress)) {
        finding.since_ms = silent_since(finder, member, progress);
        add(finder, &finding);
    } else if (progress->snapshot_index) {
        finding.rule = CLUSTER_WHY_BOOTSTRAPPING;
        finding.since_ms = state_since(finder, member, ADMIN_STATE_BOOTSTRAPPING);
        add(finder, &finding);
    } else if ((member->kind == RAFT_VOTER || is_reader(finder, member)) &&
               progress->persisted + ADMIN_LAG_ENTRIES_MAX < view->commit) {
        finding.rule = CLUSTER_WHY_LAGGING;
        finding.have = view->commit - progress->persisted;
        finding.since_ms = wall_of(finder, progress->behind_since_ns);
        add(finder, &finding);
    } else if (finder->tells_each) {
        finding.rule = CLUSTER_WHY_READY;
        finding.since_ms = state_since(finder, member, ADMIN_STATE_READY);
        add(finder, &finding);
    }
}

static void find_role(const struct finder *finder, const struct raft_member *member,
                      const struct raft_progress *progress)
{
    struct cluster_finding finding = of_member(finder, CLUSTER_WHY_OUT_OF_SYNC, member);
    if (member->out_of_sync) {
        finding.since_ms = mark_since(finder, member->replica, ADMIN_MARK_OUT_OF_SYNC);
        add(finder, &finding);
    }
    if (member->kind == RAFT_LEARNER && !is_reader(finder, member)) {
        finding.rule = CLUSTER_WHY_LEARNER;
        finding.have = progress->lag;
        finding.since_ms = mark_since(finder, member->replica, ADMIN_MARK_LEARNER);
        add(finder, &finding);
    }
}

static void find_followers(const struct finder *finder)
{
    const struct raft *raft = replica_raft(finder->replica);
    for (size_t i = 0; i < finder->members->member_count; i++) {
        const struct raft_member *member = &finder->members->members[i];
        struct raft_progress progress;
        if (raft_progress(raft, member->replica, &progress))
            continue; /* itself */
        find_trouble(finder, member, &progress);
        find_role(finder, member, &progress);
    }
}

/* ---- a leader, of the change that its group is to make ---- */

static void wait_for(const struct finder *finder, const struct raft_member *member,
                     const struct raft_progress *progress)
{
    struct cluster_finding finding = of_group(finder, CLUSTER_WHY_CHANGE);
    bool is_there = admin_reaches(finder->admin, member->node);
    finding.replica = member->replica;
    finding.peer = member->node;
    if (progress && !is_silent(finder, member, progress)) {
        finding.have = progress->lag;
        finding.since_ms = mark_since(finder, member->replica, ADMIN_MARK_LEARNER);
    } else {
        finding.need = !is_there || progress;
        finding.since_ms = progress ? silent_since(finder, member, progress)
                                    : admin_unreached_since_ms(finder->admin, member->node);
    }
    add(finder, &finding);
}

/* R18: a copy counts from the moment on in which all of them can. For a reader only one waits that
 * it is to replace. */
static bool waits_for_copy(const struct finder *finder, const struct raft_member *wanted)
{
    const struct raft_member *now = raft_find_member(finder->members, wanted->replica);
    struct raft_progress progress;
    if (!now) {
        wait_for(finder, wanted, NULL);
        return true;
    }
    bool reads = wanted->kind == RAFT_LEARNER &&
                 finder->members->member_count <= finder->partition->wanted.member_count;
    if (now->kind != RAFT_LEARNER || reads ||
        raft_progress(replica_raft(finder->replica), now->replica, &progress) || progress.caught_up)
        return false;
    wait_for(finder, now, &progress);
    return true;
}

/* The voters of both halves are asked to commit a change. */
static bool waits_for_voter(const struct finder *finder, const struct raft_member *member)
{
    struct raft_progress progress;
    bool votes = member->kind != RAFT_LEARNER || member->old_kind == RAFT_VOTER;
    if (!votes || raft_progress(replica_raft(finder->replica), member->replica, &progress) ||
        !is_silent(finder, member, &progress))
        return false;
    wait_for(finder, member, &progress);
    return true;
}

/* It has become what is wanted, and `system` does not know that yet. */
static bool is_done(const struct finder *finder)
{
    const struct raft_configuration *now = finder->members, *wanted = &finder->partition->wanted;
    bool done = !now->joint && now->member_count == wanted->member_count &&
                now->index <= raft_view(replica_raft(finder->replica))->commit;
    for (size_t i = 0; done && i < wanted->member_count; i++) {
        const struct raft_member *member = raft_find_member(now, wanted->members[i].replica);
        done = member && member->kind == wanted->members[i].kind;
    }
    return done;
}

static void find_change(const struct finder *finder)
{
    const struct control_partition *partition = finder->partition;
    bool waits = false;
    if (!partition || partition->dropped || partition->settled == partition->change)
        return;
    for (size_t i = 0; i < partition->wanted.member_count; i++)
        waits |= waits_for_copy(finder, &partition->wanted.members[i]);
    bool is_open = finder->members->index > raft_view(replica_raft(finder->replica))->commit;
    for (size_t i = 0; !waits && is_open && i < finder->members->member_count; i++)
        waits |= waits_for_voter(finder, &finder->members->members[i]);
    if (waits)
        return;
    struct cluster_finding finding = of_group(finder, CLUSTER_WHY_CHANGE);
    finding.need = is_done(finder);
    add(finder, &finding);
}

/* ---- a leader, of its group ---- */

static void find_short(const struct finder *finder)
{
    struct group_id group = replica_group(finder->replica);
    struct cluster_finding finding = of_group(finder, CLUSTER_WHY_SHORT);
    finding.have = replica_voters_heard(finder->replica, finder->now_ns);
    finding.need = admin_copies_needed(finder->admin, finder->replica);
    finding.since_ms = mark_since(finder, replica_self(finder->replica), ADMIN_MARK_SHORT);
    if (finding.have >= finding.need)
        return;
    if (admin_degrades(finder->admin, group) && finding.have >= finder->members->commit_quorum)
        finding.rule = CLUSTER_WHY_DEGRADED;
    add(finder, &finding);
}

/* Since when all of it are ready is since when the last of them is. */
static void say_led(const struct finder *finder)
{
    struct cluster_finding finding = of_group(finder, CLUSTER_WHY_LED);
    bool is_known = true;
    for (size_t i = 0; i < finder->members->member_count; i++) {
        int64_t since_ms = state_since(finder, &finder->members->members[i], ADMIN_STATE_READY);
        is_known = is_known && since_ms;
        if (since_ms > finding.since_ms)
            finding.since_ms = since_ms;
    }
    if (!is_known)
        finding.since_ms = 0;
    finding.have = replica_voters(finder->replica);
    finding.need = raft_view(replica_raft(finder->replica))->term;
    add(finder, &finding);
}

static void find_as_leader(const struct finder *finder)
{
    const struct raft_view *view = raft_view(replica_raft(finder->replica));
    struct cluster_finding finding = of_group(finder, CLUSTER_WHY_NOT_SERVING);
    say_led(finder);
    if (!replica_is_serving(finder->replica)) {
        finding.peer = raft_node_of(finder->members, view->transfer_to);
        add(finder, &finding);
    } else {
        find_short(finder);
    }
    find_followers(finder);
    find_change(finder);
}

/* ---- of the replica that is here ---- */

static void find_own(const struct finder *finder)
{
    const struct raft_view *view = raft_view(replica_raft(finder->replica));
    struct raft_member self = {.replica = replica_self(finder->replica), .node = own_node(finder)};
    enum admin_state state = admin_state_of(finder->replica, &self, true, finder->now_ns);
    struct cluster_finding finding = of_member(finder, CLUSTER_WHY_UNSURE, &self);
    int percent = replica_bootstrap_percent(finder->replica);
    finding.peer.value = 0;
    finding.since_ms = state_since(finder, &self, state);
    if (view->unsure)
        add(finder, &finding);
    finding.rule = CLUSTER_WHY_VOID;
    if (view->void_from)
        add(finder, &finding);
    if (percent >= 0) {
        finding.rule = CLUSTER_WHY_BOOTSTRAPPING;
        finding.have = (uint64_t)percent;
        finding.need = 100;
        add(finder, &finding);
    } else if (state == ADMIN_STATE_CATCHING_UP && view->leader.value) {
        finding.rule = CLUSTER_WHY_CATCHING_UP;
        finding.have = view->commit - replica_applied(finder->replica);
        add(finder, &finding);
    } else if (state == ADMIN_STATE_READY && view->role == RAFT_LEADER && finder->tells_each) {
        finding.rule = CLUSTER_WHY_READY;
        add(finder, &finding);
    }
}

static void find_as_follower(const struct finder *finder)
{
    const struct raft_view *view = raft_view(replica_raft(finder->replica));
    struct raft_member self = {.replica = replica_self(finder->replica), .node = own_node(finder)};
    struct cluster_finding finding = of_member(finder, CLUSTER_WHY_FOLLOWS, &self);
    finding.peer = replica_leader_node(finder->replica);
    finding.need = view->term;
    if (!view->leader.value) {
        finding.rule = CLUSTER_WHY_UNLED;
        finding.since_ms = mark_since(finder, self.replica, ADMIN_MARK_UNLED);
    }
    add(finder, &finding);
}

/* ---- the scope ---- */

static bool is_in(const struct finder *finder, const struct admin_scope *scope)
{
    struct group_id group = replica_group(finder->replica);
    struct node_id node = {scope->id};
    switch (scope->kind) {
    case ADMIN_SCOPE_ALL: return true;
    case ADMIN_SCOPE_KEYSPACE: /* the first two are their keyspaces */
        return finder->partition ? finder->partition->keyspace == scope->id
                                 : group.value <= GROUP_DEFAULT.value && group.value == scope->id;
    case ADMIN_SCOPE_PARTITION: return group.value == scope->id;
    case ADMIN_SCOPE_NODE:
        return raft_find_member_on(finder->members, node) ||
               (finder->partition && raft_find_member_on(&finder->partition->wanted, node));
    }
    return false;
}

/* Whether it carries anything of the scope is for who asks to say. */
static void find_of_node(struct admin *admin, struct admin_findings *findings)
{
    struct cluster_finding finding = {.rule = CLUSTER_WHY_DAMAGED,
                                      .node = node_formation(admin->node)->self};
    if (control_waits_to_be_taken_back(admin->control))
        admin_add_finding(findings, &finding);
    enum node_disk disk = node_disk(admin->node);
    finding.rule = disk == NODE_DISK_FULL ? CLUSTER_WHY_DISK_FULL : CLUSTER_WHY_DISK_STALLED;
    finding.since_ms = admin->disk_sick_since_ms;
    if (disk != NODE_DISK_WELL)
        admin_add_finding(findings, &finding);
}

/* Who is suspected here: whether anything depends on it is for who asks to say, too. */
static void find_suspected(struct admin *admin, struct admin_findings *findings)
{
    const struct node_formation *formation = node_formation(admin->node);
    struct node_sight sight;
    for (size_t i = 0; i < formation->member_count; i++) {
        struct cluster_finding finding = {.rule = CLUSTER_WHY_SUSPECTED,
                                          .node = formation->members[i].id,
                                          .peer = formation->self};
        if (!node_look(admin->node, finding.node, &sight) || !sight.suspected_since_ms)
            continue;
        finding.since_ms = sight.suspected_since_ms;
        finding.have = sight.phi;
        admin_add_finding(findings, &finding);
    }
}

void admin_find(struct admin *admin, const struct admin_scope *scope,
                struct admin_findings *findings)
{
    struct node *node = admin->node;
    admin->next_look_ns = 0; /* a state that is told is a state that was seen */
    admin_tick(admin, node);
    struct finder finder = {.admin = admin,
                            .findings = findings,
                            .now_ns = node_turn(node)->now_ns,
                            .wall_ms = node_turn(node)->wall_us / 1000,
                            .tells_each = scope->kind == ADMIN_SCOPE_PARTITION ||
                                          scope->kind == ADMIN_SCOPE_NODE};
    find_of_node(admin, findings);
    find_suspected(admin, findings);
    for (size_t i = 0; i < node_group_count(node); i++) {
        finder.replica = node_group_at(node, i);
        finder.members = raft_configuration(replica_raft(finder.replica));
        finder.partition =
            catalogue_find_group(control_catalogue(admin->control), replica_group(finder.replica));
        if (!is_in(&finder, scope) || (finder.partition && finder.partition->dropped))
            continue;
        find_own(&finder);
        if (raft_view(replica_raft(finder.replica))->role == RAFT_LEADER)
            find_as_leader(&finder);
        else
            find_as_follower(&finder);
    }
}

/* ---- from node to node ---- */

void admin_tell_findings(const struct admin_findings *findings, struct reply *reply)
{
    reply_array(reply, 1 + FINDING_NUMBERS * findings->count);
    reply_integer(reply, FACTS_VERSION);
    for (size_t i = 0; i < findings->count; i++) {
        const struct cluster_finding *finding = &findings->list[i];
        reply_integer(reply, finding->rule);
        reply_integer(reply, (int64_t)finding->group.value);
        reply_integer(reply, (int64_t)finding->replica.value);
        reply_integer(reply, (int64_t)finding->node.value);
        reply_integer(reply, (int64_t)finding->peer.value);
        reply_integer(reply, finding->since_ms);
        reply_integer(reply, (int64_t)finding->have);
        reply_integer(reply, (int64_t)finding->need);
    }
}

/* A rule that this version does not know is passed over: false. */
static bool take_finding(const int64_t *numbers, struct cluster_finding *out)
{
    for (size_t i = 0; i < FINDING_NUMBERS; i++)
        if (numbers[i] < 0)
            return false;
    *out = (struct cluster_finding){.rule = (enum cluster_rule)numbers[0],
                                    .group = {(uint64_t)numbers[1]},
                                    .replica = {(uint64_t)numbers[2]},
                                    .node = {(uint64_t)numbers[3]},
                                    .peer = {(uint64_t)numbers[4]},
                                    .since_ms = numbers[5],
                                    .have = (uint64_t)numbers[6],
                                    .need = (uint64_t)numbers[7]};
    return numbers[0] > 0 && numbers[0] < CLUSTER_WHY_END;
}

bool admin_read_findings(struct slice bytes, struct admin_findings *findings)
{
    struct resp_item item, version;
    struct cluster_finding finding;
    if (resp_item_take(&bytes, &item) || item.type != '*' || resp_item_take(&bytes, &version) ||
        version.type != ':' || version.integer != FACTS_VERSION)
        return false;
    for (int64_t i = 1; i + FINDING_NUMBERS <= item.integer; i += FINDING_NUMBERS) {
        int64_t numbers[FINDING_NUMBERS];
        for (size_t k = 0; k < FINDING_NUMBERS; k++) {
            struct resp_item number;
            if (resp_item_take(&bytes, &number) || number.type != ':')
                return true; /* what came whole holds */
            numbers[k] = number.integer;
        }
        if (take_finding(numbers, &finding))
            admin_add_finding(findings, &finding);
    }
    return true;
}
