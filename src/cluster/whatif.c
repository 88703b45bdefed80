/* What the loss of nodes would mean for the groups of a keyspace. Each is looked at in two worlds:
 * in that of fears whom nobody sees is down, and a leader whom nobody knows is none; in that of
 * hopes they are there. A change of members that may be anywhere is in the one where it is worst,
 * in the other where it is best. What is the same in both is known. CLUSTER-10 */
#include "cluster/cluster.h"

#include "base/memory.h"

#include <assert.h>

#define NOBODY SIZE_MAX

struct scene { /* a group, and its members' nodes in the same order */
    const struct cluster_group *group;
    const struct cluster_seen_node *nodes[CLUSTER_VOTES_MAX]; /* NULL: not known */
};

struct world {
    const struct scene *scene;
    bool hopes, after; /* after the loss */
    bool halves[2];    /* that are asked: the new one, the old one */
};

/* ---- one world ---- */

static bool is_lost(const struct scene *scene, size_t i)
{
    return scene->nodes[i] && scene->nodes[i]->lost;
}

static enum cluster_sight sight_of(const struct scene *scene, size_t i)
{
    return scene->nodes[i] ? scene->nodes[i]->sight : CLUSTER_SIGHT_NONE;
}

static bool is_up(const struct world *world, size_t i)
{
    enum cluster_sight sight = sight_of(world->scene, i);
    if (world->after && is_lost(world->scene, i))
        return false;
    return sight == CLUSTER_SIGHT_UP || (sight == CLUSTER_SIGHT_NONE && world->hopes);
}

static bool votes_in(const struct cluster_group *group, size_t i, unsigned half)
{
    return half ? group->votes[i].voted : group->votes[i].votes;
}

static unsigned quorum_of(const struct cluster_group *group, unsigned half, bool election)
{
    if (half)
        return election ? group->old_election : group->old_commit;
    return election ? group->election : group->commit;
}

static unsigned left_in(const struct world *world, unsigned half)
{
    const struct cluster_group *group = world->scene->group;
    unsigned left = 0;
    for (size_t i = 0; i < group->vote_count; i++)
        left += votes_in(group, i, half) && is_up(world, i);
    return left;
}

static bool has_quorum(const struct world *world, bool election)
{
    for (unsigned half = 0; half < 2; half++)
        if (world->halves[half] &&
            left_in(world, half) < quorum_of(world->scene->group, half, election))
            return false;
    return true;
}

/* The known one, if it is up and has a vote here. */
static size_t place_of_leader(const struct world *world)
{
    const struct cluster_group *group = world->scene->group;
    for (size_t i = 0; i < group->vote_count; i++) {
        bool votes = (world->halves[0] && group->votes[i].votes) ||
                     (world->halves[1] && group->votes[i].voted);
        if (votes && node_id_equal(group->votes[i].node, group->leader) && is_up(world, i))
            return i;
    }
    return NOBODY;
}

static bool leads_on(const struct world *world)
{
    if (!world->scene->group->leader.value)
        return world->hopes;
    return place_of_leader(world) != NOBODY;
}

static bool goes_on(const struct world *world)
{
    return has_quorum(world, false) && (leads_on(world) || has_quorum(world, true));
}

static unsigned copies_in(const struct world *world)
{
    unsigned copies = UINT32_MAX;
    for (unsigned half = 0; half < 2; half++)
        if (world->halves[half] && left_in(world, half) < copies)
            copies = left_in(world, half);
    return copies;
}

/* ---- the fewest further nodes whose loss stops it ---- */

struct strike {
    unsigned count;
    bool has_anybody; /* one of them is the leader, whoever that is then: it is not in the list */
    size_t node_count;
    struct node_id nodes[CLUSTER_VOTES_MAX];
};

static void hit(struct strike *strike, struct node_id node)
{
    strike->nodes[strike->node_count++] = node;
    strike->count++;
}

/* Below the commit quorum of that half it stops at once, below that of an election if the leader is
 * among them. */
static void strike_half(const struct world *world, unsigned half, bool election,
                        struct strike *strike)
{
    const struct cluster_group *group = world->scene->group;
    unsigned left = left_in(world, half), quorum = quorum_of(group, half, election);
    size_t leader = election ? place_of_leader(world) : NOBODY;
    *strike = (struct strike){.has_anybody = election && leader == NOBODY};
    if (strike->has_anybody) {
        strike->count = 1;
        left -= left > 0;
    } else if (election) {
        hit(strike, group->votes[leader].node);
        left -= votes_in(group, leader, half);
    }
    for (size_t i = 0; i < group->vote_count && left >= quorum; i++) {
        if (i == leader || !votes_in(group, i, half) || !is_up(world, i))
            continue;
        hit(strike, group->votes[i].node);
        left--;
    }
}

/* It goes on in this world. */
static void find_strike(const struct world *world, struct strike *out)
{
    *out = (struct strike){.count = UINT32_MAX};
    for (unsigned way = 0; way < 4; way++) {
        struct strike strike;
        if (!world->halves[way % 2])
            continue;
        strike_half(world, way % 2, way / 2, &strike);
        if (strike.count < out->count)
            *out = strike;
    }
    assert(out->count > 0 && out->count < UINT32_MAX);
}

/* ---- both worlds ---- */

struct view { /* of a group, in one of them */
    bool keeps, commits, elects, goes_on;
    unsigned copies, may_fail;
};

static struct view view_of(const struct world *world)
{
    struct view view = {.commits = has_quorum(world, false),
                        .elects = has_quorum(world, true),
                        .goes_on = goes_on(world)};
    struct strike strike;
    view.keeps = view.commits && view.elects;
    if (!view.goes_on)
        return view;
    find_strike(world, &strike);
    view.copies = copies_in(world);
    view.may_fail = strike.count - 1;
    return view;
}

static struct world world_of(const struct scene *scene, bool after, bool hopes)
{
    return (struct world){
        .scene = scene, .hopes = hopes, .after = after, .halves = {true, scene->group->joint}};
}

static unsigned pick(unsigned a, unsigned b, bool larger)
{
    return (a > b) == larger ? a : b;
}

/* The better of two in each respect, or the worse. */
static struct view merge(const struct view *a, const struct view *b, bool better)
{
    return (struct view){.keeps = pick(a->keeps, b->keeps, better),
                         .commits = pick(a->commits, b->commits, better),
                         .elects = pick(a->elects, b->elects, better),
                         .goes_on = pick(a->goes_on, b->goes_on, better),
                         .copies = pick(a->copies, b->copies, better),
                         .may_fail = pick(a->may_fail, b->may_fail, better)};
}

/* A change that may be anywhere has one half, or the other, or both. */
static struct view bound(const struct scene *scene, bool after, bool hopes)
{
    struct world world = world_of(scene, after, hopes);
    struct view view = view_of(&world);
    for (unsigned half = 0; scene->group->is_open && half < 2; half++) {
        world.halves[half] = true;
        world.halves[!half] = false;
        struct view alone = view_of(&world);
        view = merge(&view, &alone, hopes);
    }
    return view;
}

/* ---- adding up ---- */

static void add_range(struct cluster_range *range, bool least, bool most)
{
    range->least += least;
    range->most += most;
}

static void lower(unsigned *value, unsigned by)
{
    if (by < *value)
        *value = by;
}

/* A group that may go on. Where it may stop even so, no further failure is borne for certain. */
static void note_margins(struct cluster_outlook *outlook, const struct scene *scene,
                         const struct view *worst, const struct view *best)
{
    bool is_least = worst->may_fail < outlook->may_fail.least ||
                    (worst->may_fail == outlook->may_fail.least && !outlook->fewest_count);
    lower(&outlook->copies.least, worst->copies);
    lower(&outlook->copies.most, best->copies);
    lower(&outlook->may_fail.least, worst->may_fail);
    lower(&outlook->may_fail.most, best->may_fail);
    if (!is_least)
        return;
    outlook->fewest_count = 0;
    struct world world = world_of(scene, true, false);
    struct strike strike;
    if (!worst->goes_on || scene->group->is_open)
        return;
    find_strike(&world, &strike);
    if (strike.has_anybody)
        return;
    outlook->fewest_count = strike.node_count;
    memcpy(outlook->fewest, strike.nodes, strike.node_count * sizeof strike.nodes[0]);
}

static bool is_touched(const struct scene *scene)
{
    for (size_t i = 0; i < scene->group->vote_count; i++)
        if (is_lost(scene, i))
            return true;
    return false;
}

/* What was so before does not count. */
static void note_new(struct cluster_outlook *outlook, const struct scene *scene,
                     const struct view *worst, const struct view *best)
{
    struct view before_worst = bound(scene, false, false);
    struct view before_best = bound(scene, false, true);
    if (!is_touched(scene))
        return;
    add_range(&outlook->new_stop, !best->goes_on && before_worst.goes_on,
              !worst->goes_on && before_best.goes_on);
    add_range(&outlook->new_lose_election, !best->elects && before_worst.elects,
              !worst->elects && before_best.elects);
}

/* Who is missed already. */
static void note_missing(struct cluster_outlook *outlook, const struct scene *scene)
{
    const struct cluster_group *group = scene->group;
    for (size_t i = 0; i < group->vote_count; i++) {
        enum cluster_sight sight = sight_of(scene, i);
        bool votes = group->votes[i].votes || group->votes[i].voted;
        if (!votes || is_lost(scene, i))
            continue;
        if (sight == CLUSTER_SIGHT_DOWN && !outlook->down.value)
            outlook->down = group->votes[i].node;
        if (sight == CLUSTER_SIGHT_NONE && !outlook->unseen.value)
            outlook->unseen = group->votes[i].node;
    }
}

/* ---- what is acknowledged ---- */

/* Disks that have an acknowledged write, at least; one at the leader where none need have it. */
static unsigned disks_of_write(const struct cluster_contract *contract, unsigned commit)
{
    unsigned copies = cluster_ack_copies(contract);
    bool early = contract->failover == CLUSTER_FAILOVER_AVAILABLE && copies < commit;
    if (early)
        return copies ? copies : 1;
    if (contract->ack == CLUSTER_ACK_ALL || contract->short_of == CLUSTER_SHORT_DEGRADE)
        return commit;
    return copies > commit ? copies : commit;
}

static bool may_lack(const struct cluster_outlook *outlook, const struct scene *scene,
                     unsigned half)
{
    const struct cluster_group *group = scene->group;
    unsigned commit = quorum_of(group, half, false), lost = 0;
    unsigned disks = disks_of_write(outlook->contract, commit);
    if (outlook->before)
        lower(&disks, disks_of_write(outlook->before, commit));
    for (size_t i = 0; i < group->vote_count; i++)
        lost += votes_in(group, i, half) && is_lost(scene, i);
    return lost >= disks;
}

/* The leader has whatever was acknowledged: while it is not lost nothing is. */
static void note_risk(struct cluster_outlook *outlook, const struct scene *scene)
{
    const struct cluster_group *group = scene->group;
    bool all = true, is_known = false, is_safe = false;
    for (size_t i = 0; i < group->vote_count; i++) {
        bool leads = node_id_equal(group->votes[i].node, group->leader) && group->leader.value;
        all = all && is_lost(scene, i);
        is_known |= leads;
        is_safe |= leads && !is_lost(scene, i);
    }
    if (all) {
        outlook->gone++;
        return;
    }
    bool risks =
        !is_safe && (may_lack(outlook, scene, 0) || (group->joint && may_lack(outlook, scene, 1)));
    add_range(&outlook->at_risk, risks && is_known, risks);
}

/* ---- the door ---- */

void cluster_outlook_init(struct cluster_outlook *outlook, const struct cluster_contract *contract,
                          const struct cluster_contract *before,
                          const struct cluster_seen_node *nodes, size_t count)
{
    struct cluster_member *left = memory_zeroed(count + 1, sizeof *left);
    size_t left_count = 0;
    *outlook = (struct cluster_outlook){.contract = contract,
                                        .before = before,
                                        .copies = {UINT32_MAX, UINT32_MAX},
                                        .may_fail = {UINT32_MAX, UINT32_MAX}};
    for (size_t i = 0; i < count; i++)
        if (!nodes[i].lost)
            left[left_count++] = nodes[i].member;
    outlook->places_left =
        contract->spread ? cluster_domain_count(left, left_count, contract->spread) : left_count;
    memory_free(left);
}

static void set_scene(struct scene *scene, const struct cluster_group *group,
                      const struct cluster_seen_node *nodes, size_t count)
{
    *scene = (struct scene){.group = group};
    for (size_t i = 0; i < group->vote_count; i++)
        for (size_t k = 0; k < count; k++)
            if (node_id_equal(nodes[k].member.id, group->votes[i].node))
                scene->nodes[i] = &nodes[k];
}

void cluster_outlook_add(struct cluster_outlook *outlook, const struct cluster_seen_node *nodes,
                         size_t count, const struct cluster_group *group)
{
    struct scene scene;
    assert(group->vote_count > 0 && group->vote_count <= CLUSTER_VOTES_MAX);
    assert(group->joint || !group->is_open);
    set_scene(&scene, group, nodes, count);
    struct view worst = bound(&scene, true, false), best = bound(&scene, true, true);
    assert(best.goes_on || !worst.goes_on); /* CLUSTER-10 */
    outlook->groups++;
    add_range(&outlook->keep, worst.keeps, best.keeps);
    add_range(&outlook->lose_commit, !best.commits, !worst.commits);
    add_range(&outlook->lose_election, !best.elects, !worst.elects);
    add_range(&outlook->stop, !best.goes_on, !worst.goes_on);
    note_new(outlook, &scene, &worst, &best);
    if (best.goes_on)
        note_margins(outlook, &scene, &worst, &best);
    note_risk(outlook, &scene);
    note_missing(outlook, &scene);
}

bool cluster_outlook_goes_on(const struct cluster_outlook *outlook)
{
    return outlook->stop.least < outlook->groups;
}
