/* What a replica had answered early and drops, because its group goes on without it or because it
 * must truncate, is in the ledger; and what the group has committed all the same does not count as
 * lost (R10, LEDGER-1, LEDGER-4). */
#include "failover.h"

#include "replica/ledger/ledger.h"

#include <string.h>

struct scene {
    struct stage *stage;
    unsigned old, kept; /* nodes: that is removed; that keeps its copy */
    unsigned client;    /* of `kept` */
    uint64_t term;      /* of what is lost */
    char id[48], show[80];
};

static bool leads(struct stage *stage, void *node)
{
    return leader(stage) == *(unsigned *)node;
}

/* The member that the placement wants to lead stays when the group has fewer copies. */
static const struct raft_member *preferred(struct stage *stage)
{
    const struct raft_configuration *members =
        raft_configuration(replica_raft(stage_replica(stage, leader(stage), FAST_GROUP)));
    for (size_t i = 0; i < members->member_count; i++)
        if (members->members[i].priority)
            return &members->members[i];
    fail_msg("nobody is preferred");
    return NULL;
}

static unsigned node_of(struct stage *stage, struct node_id id)
{
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (node_id_equal(node_formation(worker_node(stage->nodes[i].worker))->self, id))
            return i;
    return STAGE_NONE;
}

static struct scene scene_of(unsigned nodes)
{
    struct scene scene = {.stage = stage_formed(nodes)};
    struct stage *stage = scene.stage;
    char request[80];
    unsigned client = stage_connect(stage, 0);
    snprintf(request, sizeof request,
             "KEYSPACE CREATE fast REPLICAS %u ACK async FAILOVER available", nodes);
    expect(stage, client, request, "OK");
    assert_true(stage_wait(stage, has_leader, NULL, 5 * STAGE_SECOND));
    scene.kept = node_of(stage, preferred(stage)->node);
    scene.old = (scene.kept + 1) % nodes;
    scene.client = stage_connect(stage, scene.kept);
    expect(stage, scene.client, "SELECT fast", "OK");
    expect(stage, scene.client, "SET k 0", "OK");
    stage_run(stage, 300 * STAGE_MS);
    return scene;
}

static void lead_with(struct scene *scene, unsigned node)
{
    struct stage *stage = scene->stage;
    unsigned now = leader(stage);
    if (now != node)
        replica_transfer(stage_replica(stage, now, FAST_GROUP),
                         node_turn(worker_node(stage->nodes[now].worker)),
                         replica_self(stage_replica(stage, node, FAST_GROUP)));
    assert_true(stage_wait(stage, leads, &node, 5 * STAGE_SECOND));
    stage_run(stage, 200 * STAGE_MS);
}

static void name_term(struct scene *scene, uint64_t term)
{
    scene->term = term;
    snprintf(scene->id, sizeof scene->id, "2-%llu", (unsigned long long)term);
    snprintf(scene->show, sizeof scene->show, "LOSS SHOW %s", scene->id);
}

static bool is_alone(struct stage *stage, void *argument)
{
    const struct scene *scene = argument;
    const struct raft *raft = replica_raft(stage_replica(stage, scene->kept, FAST_GROUP));
    const struct raft_configuration *members = raft_configuration(raft);
    return members->member_count == 1 && !members->joint &&
           raft_view(raft)->commit >= members->index;
}

static void shrink(struct scene *scene)
{
    expect(scene->stage, scene->client, "KEYSPACE ALTER fast REPLICAS 1", "OK");
    assert_true(stage_wait(scene->stage, is_alone, scene, 20 * STAGE_SECOND));
}

static bool is_removed(struct stage *stage, void *argument)
{
    const struct scene *scene = argument;
    return stage->nodes[scene->old].worker && !stage_replica(stage, scene->old, FAST_GROUP);
}

static const struct ledger_cut *cut_of(struct scene *scene)
{
    struct worker *worker = scene->stage->nodes[scene->old].worker;
    return ledger_find(node_ledger(worker_node(worker)), FAST_GROUP, scene->term);
}

static bool is_decided(struct stage *stage, void *argument)
{
    const struct ledger_cut *cut = cut_of(argument);
    (void)stage;
    return cut && cut->decided;
}

/* A leader that is cut off answers a write; the others go on with one copy, which is not its. */
static struct scene answered_by_the_removed(void)
{
    struct scene scene = scene_of(3);
    struct stage *stage = scene.stage;
    lead_with(&scene, scene.old);
    name_term(&scene, fast_view(stage, scene.old)->term);
    unsigned client = stage_connect(stage, scene.old);
    expect(stage, client, "SELECT fast", "OK");
    expect(stage, client, "SET k 1", "OK");
    stage_run(stage, 200 * STAGE_MS);
    stage_isolate(stage, scene.old);
    stage_say(stage, client, "SET lost 1");
    assert_string_equal("OK", stage_reply(stage, client, 100 * STAGE_MS));
    assert_true(stage_wait(stage, has_leader_but, &scene.old, 10 * STAGE_SECOND));
    shrink(&scene);
    return scene;
}

static void a_removed_leader_sets_aside(void **state)
{
    (void)state;
    struct scene scene = answered_by_the_removed();
    struct stage *stage = scene.stage;
    char replay[80];
    stage_heal(stage);
    assert_true(stage_wait(stage, is_removed, &scene, 10 * STAGE_SECOND));
    expect_list(stage, scene.client, scene.id,
                "state exact acknowledged 1 not_acknowledged 0 possibly 0");
    expect_words(stage, scene.client, scene.show, "command SET lost 1");
    expect_words(stage, scene.client, scene.show, "judged acknowledged");
    stage_kill(stage, scene.old);
    assert_true(stage_start(stage, scene.old));
    stage_run(stage, 2 * STAGE_SECOND);
    assert_true(list_has(stage, scene.client, scene.id, "state exact acknowledged 1"));
    snprintf(replay, sizeof replay, "LOSS REPLAY %s", scene.id);
    expect_words(stage, scene.client, replay, "replayed 1 ");
    expect(stage, scene.client, "GET lost", "1");
    stage_destroy(stage);
}

/* LEDGER-1: whichever call of the node is the last one while it lets go of its replica. */
static void a_crash_at_each_step(void **state)
{
    (void)state;
    for (unsigned call = 1; call <= 16; call++) {
        struct scene scene = answered_by_the_removed();
        struct stage *stage = scene.stage;
        world_crash_at_call(stage->world, stage->nodes[scene.old].machine, call, call % 2);
        stage_heal(stage);
        stage_run(stage, 3 * STAGE_SECOND);
        world_crash_at_call(stage->world, stage->nodes[scene.old].machine, 0, false);
        if (!stage->nodes[scene.old].worker)
            assert_true(stage_start(stage, scene.old));
        assert_true(stage_wait(stage, is_removed, &scene, 10 * STAGE_SECOND));
        assert_true(stage_wait(stage, is_decided, &scene, 10 * STAGE_SECOND));
        const struct ledger_cut *cut = cut_of(&scene);
        assert_int_equal(1, ledger_verdicts(cut, LEDGER_ACKNOWLEDGED) +
                                ledger_verdicts(cut, LEDGER_POSSIBLY)); /* the others are there */
        expect_list(stage, scene.client, scene.id, "first_index");
        stage_destroy(stage);
    }
}

struct place {
    unsigned node;
    uint64_t index;
};

static bool has_entry(struct stage *stage, void *argument)
{
    const struct place *place = argument;
    return fast_view(stage, place->node)->last_index >= place->index;
}

static bool nothing_is_listed(struct stage *stage, void *argument)
{
    const struct scene *scene = argument;
    return strcmp(stage_ask(stage, scene->client, "LOSS LIST fast"), "") == 0;
}

/* It has an entry, and never hears that it is committed: unknown until the group has said so, and
 * not lost then. */
static void a_removed_follower_asks(void **state)
{
    (void)state;
    struct scene scene = scene_of(3);
    struct stage *stage = scene.stage;
    lead_with(&scene, scene.kept);
    name_term(&scene, fast_view(stage, scene.kept)->term);
    struct place place = {scene.old, fast_view(stage, scene.kept)->last_index + 1};
    stage_say(stage, scene.client, "SET kept 1");
    assert_true(stage_wait(stage, has_entry, &place, STAGE_SECOND));
    stage_isolate(stage, scene.old);
    assert_string_equal("OK", stage_reply(stage, scene.client, 100 * STAGE_MS));
    assert_true(fast_view(stage, scene.old)->commit < place.index);
    shrink(&scene);
    stage_run(stage, STAGE_SECOND);
    stage_kill(stage, scene.kept); /* the only one that can say it */
    stage_heal(stage);
    scene.client = stage_connect(stage, (scene.kept + 2) % 3);
    assert_true(stage_wait(stage, is_removed, &scene, 20 * STAGE_SECOND));
    expect_list(stage, scene.client, scene.id, "state unknown acknowledged nil");
    assert_true(list_has(stage, scene.client, scene.id, "does not know yet"));
    assert_true(stage_start(stage, scene.kept));
    assert_true(stage_wait(stage, is_decided, &scene, 20 * STAGE_SECOND));
    assert_int_equal(1, cut_of(&scene)->count);
    assert_int_equal(LEDGER_RESTORED, cut_of(&scene)->items[0].verdict); /* LEDGER-4 */
    stage_run(stage, STAGE_SECOND);
    assert_true(nothing_is_listed(stage, &scene));
    expect_words(stage, scene.client, scene.show, "judged restored");
    expect(stage, scene.client, "SELECT fast", "OK");
    expect(stage, scene.client, "GET kept", "1");
    stage_kill(stage, scene.old);
    assert_true(stage_start(stage, scene.old));
    assert_true(cut_of(&scene)->decided); /* LEDGER-3: it need not ask again */
    assert_int_equal(LEDGER_RESTORED, cut_of(&scene)->items[0].verdict);
    stage_destroy(stage);
}

/* ---- cut, and brought back ---- */

static void cut_between(struct stage *stage, unsigned some, unsigned others)
{
    for (unsigned i = 0; i < stage->options.nodes; i++)
        for (unsigned k = 0; k < stage->options.nodes; k++)
            if ((some >> i & 1) && (others >> k & 1) && i != k)
                world_cut_both(stage->world, stage->nodes[i].machine, stage->nodes[k].machine);
}

/* Of the nodes that `watched` names, the first that leads a later term is cut off in that turn. */
struct election {
    unsigned among;
    uint64_t term;
    unsigned elected;
};

static void cut_off_the_elected(struct stage *stage, unsigned node)
{
    struct election *election = stage->watched;
    if (election->elected != STAGE_NONE || !(election->among >> node & 1) ||
        !stage->nodes[node].worker)
        return;
    const struct raft_view *view = fast_view(stage, node);
    if (view->role != RAFT_LEADER || view->term <= election->term)
        return;
    election->elected = node;
    stage_isolate(stage, node);
}

static bool is_elected(struct stage *stage, void *argument)
{
    (void)stage;
    return ((struct election *)argument)->elected != STAGE_NONE;
}

struct sight {
    unsigned node;
    uint64_t term;
};

static bool has_log_of(struct stage *stage, void *argument)
{
    const struct sight *sight = argument;
    return fast_view(stage, sight->node)->last_term >= sight->term;
}

/* Not the leadership of before, whose lease may run yet. */
static bool leads_after(struct stage *stage, void *argument)
{
    const struct sight *sight = argument;
    return fast_view(stage, sight->node)->term > sight->term &&
           replica_is_serving(stage_replica(stage, sight->node, FAST_GROUP));
}

/* The entry is on two of five. Another is elected without it, and reaches only one of the two, who
 * cuts it; then the first leads again, and brings it back. */
static void cut_and_brought_back(void **state)
{
    (void)state;
    struct scene scene = scene_of(5);
    struct stage *stage = scene.stage;
    unsigned first = scene.kept, second = scene.old, all = 31;
    unsigned rest = all & ~(1u << first) & ~(1u << second);
    lead_with(&scene, first);
    name_term(&scene, fast_view(stage, first)->term);
    struct place place = {second, fast_view(stage, first)->last_index + 1};
    struct election election = {.among = rest, .term = scene.term, .elected = STAGE_NONE};
    stage->watch = cut_off_the_elected;
    stage->watched = &election;
    cut_between(stage, 1u << first | 1u << second, rest);
    expect(stage, scene.client, "SET back 1", "OK");
    assert_true(stage_wait(stage, has_entry, &place, STAGE_SECOND));
    assert_true(stage_wait(stage, is_elected, &election, 10 * STAGE_SECOND));
    stage->watch = NULL;
    struct sight sight = {second, fast_view(stage, election.elected)->term};
    cut_between(stage, 1u << second, all);
    world_heal_both(stage->world, stage->nodes[second].machine,
                    stage->nodes[election.elected].machine);
    assert_true(stage_wait(stage, has_log_of, &sight, 10 * STAGE_SECOND));
    assert_true(cut_of(&scene) && cut_of(&scene)->count == 1);
    assert_int_equal(LEDGER_POSSIBLY, cut_of(&scene)->items[0].verdict);
    cut_between(stage, 1u << second | 1u << election.elected, all);
    for (unsigned i = 0; i < 5; i++)
        if ((rest >> i & 1) && i != election.elected) {
            assert_true(fast_view(stage, i)->last_term < sight.term); /* it reached nobody else */
            world_heal_both(stage->world, stage->nodes[i].machine, stage->nodes[first].machine);
        }
    struct sight later = {first, sight.term};
    assert_true(stage_wait(stage, leads_after, &later, 20 * STAGE_SECOND));
    expect(stage, scene.client, "GET back", "1");
    assert_false(cut_of(&scene)->decided); /* who cut it does not know it yet */
    stage_heal(stage);
    assert_true(stage_wait(stage, is_decided, &scene, 20 * STAGE_SECOND));
    assert_int_equal(LEDGER_RESTORED, cut_of(&scene)->items[0].verdict); /* LEDGER-4 */
    for (unsigned i = 0; i < 100 && !nothing_is_listed(stage, &scene); i++)
        stage_run(stage, 100 * STAGE_MS);
    assert_true(nothing_is_listed(stage, &scene));
    expect_words(stage, scene.client, scene.show, "judged restored");
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_removed_leader_sets_aside),
        cmocka_unit_test(a_crash_at_each_step),
        cmocka_unit_test(a_removed_follower_asks),
        cmocka_unit_test(cut_and_brought_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
