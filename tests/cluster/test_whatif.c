/* CLUSTER-10: what the loss of nodes would mean, held against a brute force over every world that
 * may be and every further failure; and what is said of it. */
#include "base/memory.h"
#include "base/random.h"
#include "cluster/cluster.h"

#include <stdio.h>

#include <cmocka.h>

#define NODES_MAX  6
#define GROUPS_MAX 3
#define SEEDS      10000

struct cluster {
    struct cluster_contract contract;
    struct cluster_seen_node nodes[NODES_MAX];
    size_t node_count, group_count;
    struct cluster_group groups[GROUPS_MAX];
};

/* ---- the brute force ---- */

/* One way the world may be: who is up, which halves are asked, whether an unknown leader leads. */
struct may_be {
    unsigned up; /* bits of nodes */
    bool halves[2], leads;
};

static unsigned place_of(const struct cluster *cluster, struct node_id id)
{
    for (unsigned i = 0; i < cluster->node_count; i++)
        if (node_id_equal(cluster->nodes[i].member.id, id))
            return i;
    return NODES_MAX;
}

static unsigned voters_of(const struct cluster *cluster, const struct cluster_group *group,
                          unsigned half)
{
    unsigned bits = 0;
    for (size_t i = 0; i < group->vote_count; i++)
        if (half ? group->votes[i].voted : group->votes[i].votes)
            bits |= 1u << place_of(cluster, group->votes[i].node);
    return bits;
}

static unsigned count_of(unsigned bits)
{
    return (unsigned)__builtin_popcount(bits);
}

static bool has(const struct cluster *cluster, const struct cluster_group *group,
                const struct may_be *world, unsigned up, bool election)
{
    unsigned quorums[2] = {election ? group->election : group->commit,
                           election ? group->old_election : group->old_commit};
    for (unsigned half = 0; half < 2; half++)
        if (world->halves[half] && count_of(voters_of(cluster, group, half) & up) < quorums[half])
            return false;
    return true;
}

static unsigned all_voters(const struct cluster *cluster, const struct cluster_group *group,
                           const struct may_be *world)
{
    return (world->halves[0] ? voters_of(cluster, group, 0) : 0) |
           (world->halves[1] ? voters_of(cluster, group, 1) : 0);
}

static bool serves(const struct cluster *cluster, const struct cluster_group *group,
                   const struct may_be *world, unsigned up, bool is_led)
{
    return has(cluster, group, world, up, false) &&
           (is_led || has(cluster, group, world, up, true));
}

/* Bits of those who may lead there; 0: somebody has to be elected first. */
static unsigned leaders_of(const struct cluster *cluster, const struct cluster_group *group,
                           const struct may_be *world)
{
    unsigned up = all_voters(cluster, group, world) & world->up;
    if (group->leader.value)
        return up & 1u << place_of(cluster, group->leader);
    return world->leads ? up : 0;
}

static bool goes_on(const struct cluster *cluster, const struct cluster_group *group,
                    const struct may_be *world)
{
    return serves(cluster, group, world, world->up, leaders_of(cluster, group, world));
}

/* It goes on: the most further failures that cannot stop it, whichever they are and whoever leads.
 */
static unsigned bears(const struct cluster *cluster, const struct cluster_group *group,
                      const struct may_be *world)
{
    unsigned leaders = leaders_of(cluster, group, world), least = NODES_MAX + 1;
    if (!leaders)
        leaders = all_voters(cluster, group, world) & world->up;
    for (unsigned leader = 0; leader < cluster->node_count; leader++)
        for (unsigned lost = 1; leaders >> leader & 1 && lost < 1u << cluster->node_count; lost++) {
            bool is_led = !(lost >> leader & 1);
            if ((lost & world->up) == lost && count_of(lost) < least &&
                !serves(cluster, group, world, world->up & ~lost, is_led))
                least = count_of(lost);
        }
    return least - 1;
}

static unsigned copies_of(const struct cluster *cluster, const struct cluster_group *group,
                          const struct may_be *world)
{
    unsigned copies = NODES_MAX;
    for (unsigned half = 0; half < 2; half++) {
        unsigned left = count_of(voters_of(cluster, group, half) & world->up);
        if (world->halves[half] && left < copies)
            copies = left;
    }
    return copies;
}

struct bounds {
    struct cluster_range keep, commit, election, go_on, copies, may_fail;
};

static void widen(struct cluster_range *range, unsigned value)
{
    range->least = value < range->least ? value : range->least;
    range->most = value > range->most ? value : range->most;
}

static void look_at(const struct cluster *cluster, const struct cluster_group *group,
                    const struct may_be *world, struct bounds *bounds)
{
    bool commit = has(cluster, group, world, world->up, false);
    bool election = has(cluster, group, world, world->up, true);
    bool on = goes_on(cluster, group, world);
    widen(&bounds->keep, commit && election);
    widen(&bounds->commit, commit);
    widen(&bounds->election, election);
    widen(&bounds->go_on, on);
    widen(&bounds->copies, on ? copies_of(cluster, group, world) : 0);
    widen(&bounds->may_fail, on ? bears(cluster, group, world) : 0);
}

/* Every world that may be, after the loss or before it. */
static void each_world(const struct cluster *cluster, const struct cluster_group *group, bool after,
                       void (*each)(const struct cluster *cluster,
                                    const struct cluster_group *group, const struct may_be *world,
                                    struct bounds *bounds),
                       struct bounds *bounds)
{
    static const bool ways[3][2] = {{true, true}, {true, false}, {false, true}};
    for (unsigned up = 0; up < 1u << cluster->node_count; up++) {
        bool may = true;
        for (unsigned i = 0; i < cluster->node_count; i++) {
            const struct cluster_seen_node *node = &cluster->nodes[i];
            bool is = up >> i & 1, gone = after && node->lost;
            may = may && !(is && (gone || node->sight == CLUSTER_SIGHT_DOWN)) &&
                  !(!is && !gone && node->sight == CLUSTER_SIGHT_UP);
        }
        for (unsigned way = 0; may && way < 6; way++) {
            struct may_be world = {
                .up = up, .halves = {ways[way / 2][0], ways[way / 2][1]}, .leads = way % 2};
            bool is_config = group->is_open || (way / 2 == (group->joint ? 0 : 1));
            if (is_config)
                each(cluster, group, &world, bounds);
        }
    }
}

static const struct cluster_range nothing = {UINT32_MAX, 0};

static struct bounds bounds_of(const struct cluster *cluster, const struct cluster_group *group,
                               bool after)
{
    struct bounds bounds = {nothing, nothing, nothing, nothing, nothing, nothing};
    each_world(cluster, group, after, look_at, &bounds);
    return bounds;
}

/* ---- clusters at random ---- */

static void draw_half(struct random *random, size_t voters, unsigned *commit, unsigned *election)
{
    unsigned half = (unsigned)voters / 2 + 1;
    *commit = 1 + (unsigned)random_below(random, half);
    *election = (unsigned)voters - *commit + 1;
    if (*election < half)
        *election = half;
}

static void draw_group(struct random *random, const struct cluster *cluster,
                       struct cluster_group *group)
{
    size_t voters[2] = {0, 0};
    *group = (struct cluster_group){.joint = random_below(random, 3) == 0};
    group->is_open = group->joint && random_below(random, 2);
    for (size_t i = 0; i < cluster->node_count; i++) {
        struct cluster_vote vote = {.node = cluster->nodes[i].member.id,
                                    .votes = random_below(random, 3) > 0,
                                    .voted = group->joint && random_below(random, 3) > 0};
        if (vote.votes + vote.voted == 0 && random_below(random, 2))
            continue;
        group->votes[group->vote_count++] = vote;
        voters[0] += vote.votes;
        voters[1] += vote.voted;
    }
    if (!voters[0] || (group->joint && !voters[1])) {
        draw_group(random, cluster, group);
        return;
    }
    draw_half(random, voters[0], &group->commit, &group->election);
    if (group->joint)
        draw_half(random, voters[1], &group->old_commit, &group->old_election);
    if (random_below(random, 4))
        group->leader = cluster->nodes[random_below(random, cluster->node_count)].member.id;
}

static void draw(uint64_t seed, struct cluster *cluster)
{
    struct random random;
    unsigned unseen = 0;
    random_init(&random, seed);
    *cluster = (struct cluster){.contract = {.replicas = 3, .partitions = 1}};
    cluster->contract.ack = CLUSTER_ACK_QUORUM;
    cluster->node_count = 2 + random_below(&random, NODES_MAX - 1);
    for (size_t i = 0; i < cluster->node_count; i++) {
        struct cluster_seen_node *node = &cluster->nodes[i];
        uint64_t lot = random_below(&random, 8);
        node->member.id.value = 10 * (i + 1);
        node->sight = lot < 5                  ? CLUSTER_SIGHT_UP
                      : lot < 7 || unseen == 2 ? CLUSTER_SIGHT_DOWN
                                               : CLUSTER_SIGHT_NONE;
        unseen += node->sight == CLUSTER_SIGHT_NONE;
        node->lost = random_below(&random, 4) == 0;
    }
    cluster->group_count = 1 + random_below(&random, GROUPS_MAX);
    for (size_t i = 0; i < cluster->group_count; i++)
        draw_group(&random, cluster, &cluster->groups[i]);
}

static void look_ahead(const struct cluster *cluster, struct cluster_outlook *outlook)
{
    cluster_outlook_init(outlook, &cluster->contract, NULL, cluster->nodes, cluster->node_count);
    for (size_t i = 0; i < cluster->group_count; i++)
        cluster_outlook_add(outlook, cluster->nodes, cluster->node_count, &cluster->groups[i]);
}

/* ---- the comparison ---- */

static void expect_range(uint64_t seed, const char *what, struct cluster_range expected,
                         struct cluster_range found)
{
    if (expected.least != found.least || expected.most != found.most)
        fail_msg("seed %llu: %s is %u to %u, not %u to %u", (unsigned long long)seed, what,
                 expected.least, expected.most, found.least, found.most);
}

static void add_not(struct cluster_range *range, struct cluster_range holds)
{
    range->least += !holds.most;
    range->most += !holds.least;
}

static void lower(struct cluster_range *range, struct cluster_range by)
{
    range->least = by.least < range->least ? by.least : range->least;
    range->most = by.most < range->most ? by.most : range->most;
}

/* CLUSTER-10: the bounds are those of all worlds, no wider and no narrower. */
static void test_bounds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct cluster cluster;
        struct cluster_outlook outlook;
        struct cluster_range keep = {0, 0}, commit = {0, 0}, election = {0, 0}, stop = {0, 0};
        struct cluster_range copies = {UINT32_MAX, UINT32_MAX}, may_fail = copies;
        draw(seed, &cluster);
        look_ahead(&cluster, &outlook);
        for (size_t i = 0; i < cluster.group_count; i++) {
            struct bounds bounds = bounds_of(&cluster, &cluster.groups[i], true);
            keep.least += bounds.keep.least;
            keep.most += bounds.keep.most;
            add_not(&commit, bounds.commit);
            add_not(&election, bounds.election);
            add_not(&stop, bounds.go_on);
            if (!bounds.go_on.most)
                continue;
            lower(&copies, bounds.copies);
            lower(&may_fail, bounds.may_fail);
        }
        expect_range(seed, "keep", keep, outlook.keep);
        expect_range(seed, "lose_commit", commit, outlook.lose_commit);
        expect_range(seed, "lose_election", election, outlook.lose_election);
        expect_range(seed, "stop", stop, outlook.stop);
        expect_range(seed, "copies", copies, outlook.copies);
        expect_range(seed, "may_fail", may_fail, outlook.may_fail);
    }
}

/* The nodes that are named stop something that goes on, in the worst world; and they are as few as
 * that takes. */
static void test_fewest(void **state)
{
    unsigned named = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct cluster cluster;
        struct cluster_outlook outlook;
        draw(seed, &cluster);
        look_ahead(&cluster, &outlook);
        struct may_be world = {.halves = {true, false}};
        unsigned lost = 0;
        bool stops = false;
        for (unsigned i = 0; i < cluster.node_count; i++)
            if (cluster.nodes[i].sight == CLUSTER_SIGHT_UP && !cluster.nodes[i].lost)
                world.up |= 1u << i;
        for (size_t i = 0; i < outlook.fewest_count; i++)
            lost |= 1u << place_of(&cluster, outlook.fewest[i]);
        for (size_t i = 0; i < cluster.group_count; i++) {
            const struct cluster_group *group = &cluster.groups[i];
            world.halves[1] = group->joint;
            unsigned leaders = leaders_of(&cluster, group, &world);
            stops |=
                !group->is_open && goes_on(&cluster, group, &world) &&
                !serves(&cluster, group, &world, world.up & ~lost, !leaders || leaders & ~lost);
        }
        if (!outlook.fewest_count)
            continue;
        named++;
        assert_int_equal(outlook.may_fail.least + 1, outlook.fewest_count);
        if (!stops)
            fail_msg("seed %llu: those named stop nothing", (unsigned long long)seed);
    }
    assert_true(named > SEEDS / 10);
}

/* What would be new is never said of a group that may have been so before, and never left out where
 * it is certain. */
static void test_new(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct cluster cluster;
        struct cluster_outlook outlook;
        unsigned certain = 0;
        draw(seed, &cluster);
        for (size_t i = 0; i < cluster.node_count; i++) /* one world, so that "before" is one */
            if (cluster.nodes[i].sight == CLUSTER_SIGHT_NONE)
                cluster.nodes[i].sight = CLUSTER_SIGHT_UP;
        for (size_t i = 0; i < cluster.group_count; i++) {
            cluster.groups[i].is_open = false;
            cluster.groups[i].leader = cluster.groups[i].votes[0].node;
            struct bounds now = bounds_of(&cluster, &cluster.groups[i], false);
            struct bounds then = bounds_of(&cluster, &cluster.groups[i], true);
            certain += now.go_on.least && !then.go_on.most;
        }
        look_ahead(&cluster, &outlook);
        expect_range(seed, "new_stop", (struct cluster_range){certain, certain}, outlook.new_stop);
    }
}

/* A write lies on at least so many voters with the leader among them: may all of those be lost? */
static bool may_be_lost(const struct cluster *cluster, const struct cluster_group *group,
                        unsigned disks, struct node_id leader)
{
    unsigned lost = 0, voters = voters_of(cluster, group, 0);
    for (unsigned i = 0; i < NODES_MAX; i++)
        lost |= (unsigned)cluster->nodes[i].lost << i;
    for (unsigned with = 1; with < 1u << cluster->node_count; with++)
        if ((with & voters) == with && count_of(with) >= disks && (with & lost) == with &&
            with >> place_of(cluster, leader) & 1)
            return true;
    return false;
}

static void test_risk(void **state)
{
    static const enum cluster_ack acks[] = {CLUSTER_ACK_ASYNC, CLUSTER_ACK_LOCAL,
                                            CLUSTER_ACK_QUORUM, CLUSTER_ACK_ALL};
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct cluster cluster;
        struct cluster_outlook outlook;
        draw(seed, &cluster);
        struct cluster_group *group = &cluster.groups[0];
        cluster.group_count = 1;
        cluster.contract.ack = acks[seed % 4];
        cluster.contract.failover = CLUSTER_FAILOVER_AVAILABLE;
        cluster.contract.replicas = 5;
        *group = (struct cluster_group){.commit = 3, .election = 3, .vote_count = 0};
        for (size_t i = 0; i < cluster.node_count && i < 5; i++)
            group->votes[group->vote_count++] =
                (struct cluster_vote){.node = cluster.nodes[i].member.id, .votes = true};
        group->leader = group->votes[seed % 2].node; /* there are at least two */
        look_ahead(&cluster, &outlook);
        unsigned disks = cluster_ack_copies(&cluster.contract);
        disks = cluster.contract.ack == CLUSTER_ACK_ALL ? 3 : disks ? disks : 1;
        bool all = true;
        for (size_t i = 0; i < group->vote_count; i++)
            all &= cluster.nodes[i].lost;
        bool expected = !all && may_be_lost(&cluster, group, disks, group->leader);
        assert_int_equal(all, outlook.gone);
        assert_int_equal(expected, outlook.at_risk.least);
        assert_int_equal(expected, outlook.at_risk.most);
    }
}

/* ---- what is said ---- */

static void three(struct cluster *cluster, const char *contract)
{
    char why[CLUSTER_LINE_SIZE], text[128];
    struct slice words[16];
    size_t count = 0;
    *cluster = (struct cluster){.contract = cluster_contract_default, .node_count = 3};
    struct cluster_member members[3];
    snprintf(text, sizeof text, "%s", contract);
    for (char *at = text; *at;) {
        size_t size = strcspn(at, " ");
        words[count++] = slice_of(at, size);
        at += size + (at[size] == ' ');
    }
    assert_int_equal(STATUS_OK, cluster_contract_read(words, count, &cluster->contract, why));
    for (size_t i = 0; i < 3; i++) {
        cluster->nodes[i].member.id.value = i + 1;
        snprintf(cluster->nodes[i].member.zone, CLUSTER_NAME_SIZE, "%c", (char)('a' + i));
        cluster->nodes[i].sight = CLUSTER_SIGHT_UP;
        members[i] = cluster->nodes[i].member;
    }
    assert_int_equal(STATUS_OK, cluster_contract_check(&cluster->contract, members, 3, why));
    struct cluster_group *group = &cluster->groups[cluster->group_count++];
    *group = (struct cluster_group){.commit = cluster_commit_quorum(&cluster->contract),
                                    .election = cluster_election_quorum(&cluster->contract),
                                    .leader = {1}};
    for (size_t i = 0; i < cluster->contract.replicas; i++)
        group->votes[group->vote_count++] = (struct cluster_vote){.node = {i + 1}, .votes = true};
}

static void lose(struct cluster *cluster, const char *text)
{
    char why[CLUSTER_LINE_SIZE];
    struct slice words[16];
    size_t count = 0;
    for (const char *at = text; *at;) {
        size_t size = strcspn(at, " ");
        words[count++] = slice_of(at, size);
        at += size + (at[size] == ' ');
    }
    enum status status = cluster_lose_read(words, count, cluster->nodes, cluster->node_count, why);
    if (status)
        fail_msg("%s", why);
}

static void expect_text(const struct cluster *cluster, const char *expected)
{
    struct cluster_outlook outlook;
    struct buffer text;
    look_ahead(cluster, &outlook);
    buffer_init(&text, 4096);
    cluster_outlook_tell(&outlook, "carts", &text);
    (void)!buffer_append(&text, "", 1);
    assert_string_equal(expected, (const char *)text.at);
    buffer_deinit(&text);
}

static void test_lines(void **state)
{
    struct cluster cluster;
    (void)state;
    three(&cluster, "REPLICAS 3");
    lose(&cluster, "LOSE node 2");
    expect_text(&cluster,
                "carts: goes on with 2 copies; ACK quorum, all; READ strong; no further node may "
                "fail: the loss of node 1 would stop it\n"
                "carts: REPLICAS 3 could not be met again: 2 nodes would be left\n");
    lose(&cluster, "LOSE node 2 AND zone a");
    expect_text(&cluster,
                "carts: reads and writes stop; too few voters are left for a commit\n"
                "carts: acknowledged writes of 1 of 1 partition may have no copy but those: with "
                "those disks they would be gone\n"
                "carts: REPLICAS 3 could not be met again: 1 node would be left\n");
    lose(&cluster, "LOSE zone c");
    cluster.nodes[0].sight = CLUSTER_SIGHT_DOWN;
    expect_text(&cluster,
                "carts: reads and writes stop; too few voters are left for a commit (node 1 is "
                "down as it is)\n"
                "carts: REPLICAS 3 could not be met again: 2 nodes would be left\n");
    cluster.nodes[0].sight = CLUSTER_SIGHT_NONE;
    expect_text(&cluster,
                "carts: may stop (nobody here sees whether node 1 is up), or goes on with 0 to 2 "
                "copies; no ACK level for certain, perhaps quorum, all; READ strong; too few "
                "voters may be left for a commit; no further node may fail\n"
                "carts: REPLICAS 3 could not be met again: 2 nodes would be left\n");
    three(&cluster, "REPLICAS 3 ACK local");
    lose(&cluster, "LOSE node 2");
    expect_text(
        &cluster,
        "carts: goes on with 2 copies; ACK local, semisync:1, quorum, all; READ strong; no further "
        "node may fail: the loss of node 1 would stop it\n"
        "carts: 1 of 1 partition could not elect another leader: what goes on of them does "
        "so while its leader lives\n"
        "carts: REPLICAS 3 could not be met again: 2 nodes would be left\n");
    three(&cluster, "REPLICAS 3 ACK semisync:2");
    lose(&cluster, "LOSE node 3");
    expect_text(&cluster,
                "carts: goes on with 2 copies; ACK all; READ strong; no further node may fail: the "
                "loss of node 1 would stop it\n"
                "carts: writes with its ACK semisync:2 are refused: they need 3 copies; reads go "
                "on (SHORT refuse)\n"
                "carts: REPLICAS 3 could not be met again: 2 nodes would be left\n");
    three(&cluster, "REPLICAS 1");
    lose(&cluster, "LOSE node 1");
    expect_text(&cluster,
                "carts: reads and writes stop; too few voters are left for a commit\n"
                "carts: every copy of 1 of 1 partition is among what would be lost: with those "
                "disks everything in it\n");
}

static void expect_refusal(const struct cluster *cluster, const char *expected)
{
    struct cluster_outlook outlook;
    char why[CLUSTER_LINE_SIZE] = "";
    look_ahead(cluster, &outlook);
    assert_int_equal(expected[0] != 0, cluster_outlook_refuses(&outlook, "carts", why));
    assert_string_equal(expected, why);
}

static void test_refusals(void **state)
{
    struct cluster cluster;
    (void)state;
    three(&cluster, "REPLICAS 3");
    lose(&cluster, "LOSE node 2");
    expect_refusal(&cluster, "");
    cluster.nodes[2].sight = CLUSTER_SIGHT_DOWN;
    expect_refusal(&cluster, "keyspace carts would stop: too few voters of 1 of its 1 partition "
                             "would be left: bring node 3 back first");
    lose(&cluster, "LOSE node 3"); /* it is gone as it is */
    expect_refusal(&cluster, "");
    cluster.nodes[1].sight = CLUSTER_SIGHT_NONE;
    cluster.nodes[2].sight = CLUSTER_SIGHT_UP;
    expect_refusal(&cluster, "keyspace carts might stop: too few voters of 1 of its 1 partition "
                             "would be left: ask where node 2 can be seen");
    three(&cluster, "REPLICAS 1");
    lose(&cluster, "LOSE node 1");
    expect_refusal(&cluster, "keyspace carts would lose every copy of 1 of its 1 partition: move "
                             "them first, or raise REPLICAS");
    three(&cluster, "REPLICAS 3 ACK local");
    lose(&cluster, "LOSE node 3");
    expect_refusal(&cluster, "keyspace carts could not elect another leader for 1 of its 1 "
                             "partition: add a node first, or lower REPLICAS");
    lose(&cluster, "LOSE node 2");
    cluster.nodes[1].sight = CLUSTER_SIGHT_DOWN;
    expect_refusal(&cluster, "");
}

static void test_words(void **state)
{
    static const struct {
        const char *text, *says;
    } table[] = {{"node 2", "with AND between two"},
                 {"LOSE", "with AND between two"},
                 {"LOSE node", "with AND between two"},
                 {"LOSE node 2 OR node 3", "'OR': LOSE takes"},
                 {"LOSE rack 2", "'rack': LOSE takes"},
                 {"LOSE node two", "'two': a node is named by its number"},
                 {"LOSE node 9", "'9': there is no such node; holdfast status"},
                 {"LOSE zone z", "'z': no node was started with that --zone"},
                 {"LOSE site a", "'a': no node was started with that --site"},
                 {"LOSE zone a AND host b", "'b': no node was started with that --host"}};
    struct cluster cluster;
    char why[CLUSTER_LINE_SIZE];
    (void)state;
    three(&cluster, "REPLICAS 3");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct slice words[16];
        size_t count = 0;
        for (const char *at = table[i].text; *at;) {
            size_t size = strcspn(at, " ");
            words[count++] = slice_of(at, size);
            at += size + (at[size] == ' ');
        }
        assert_int_equal(STATUS_INVALID, cluster_lose_read(words, count, cluster.nodes, 3, why));
        if (!strstr(why, table[i].says))
            fail_msg("%s: %s", table[i].text, why);
    }
    lose(&cluster, "lose Node 1 and ZONE c");
    assert_true(cluster.nodes[0].lost && !cluster.nodes[1].lost && cluster.nodes[2].lost);
    lose(&cluster, "LOSE node 2"); /* and no longer those of before */
    assert_true(!cluster.nodes[0].lost && cluster.nodes[1].lost && !cluster.nodes[2].lost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_fewest),
        cmocka_unit_test(test_new),    cmocka_unit_test(test_risk),
        cmocka_unit_test(test_lines),  cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
