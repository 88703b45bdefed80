/* Power cuts of every subset of a keyspace's nodes, with SYNC os and interval: what was
 * acknowledged is there, or its leader says that it came to power by an election of unsure voters
 * (R4, RAFT-17).
 */
#include "stage.h"

#include <string.h>

#define WRITES 30

static const struct group_id group = {2};

struct trial {
    unsigned nodes, mask; /* whose power is cut */
    const char *sync;
    uint32_t faults;
    enum way {
        AT_ONCE, /* they are back before anything else happens */
        LATE,    /* the others have the time to elect one of them */
        ALONE,   /* they are back, and cannot reach the others for a while */
    } way;
};

struct outcome {
    unsigned found; /* elements of the list */
    bool told;      /* the leader does not know what was lost */
};

static bool is_led(struct stage *stage, void *argument)
{
    unsigned *leader = argument;
    for (*leader = 0; *leader < stage->options.nodes; ++*leader) {
        struct replica *replica = stage_replica(stage, *leader, group);
        if (replica && replica_is_serving(replica))
            return true;
    }
    return false;
}

static void write_all(struct stage *stage, const struct trial *trial)
{
    unsigned client = stage_connect(stage, 0);
    stage_say(stage, client, "KEYSPACE CREATE lax REPLICAS %u SYNC %s", trial->nodes, trial->sync);
    assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    assert_string_equal("OK", stage_ask(stage, client, "SELECT lax"));
    for (unsigned i = 1; i <= WRITES; i++) {
        char length[16];
        snprintf(length, sizeof length, "%u", i);
        stage_say(stage, client, "RPUSH list %u", i);
        assert_string_equal(length, stage_reply(stage, client, 5 * STAGE_SECOND));
    }
}

static void cut_power(struct stage *stage, const struct trial *trial)
{
    for (unsigned i = 0; i < trial->nodes; i++) {
        if (trial->mask >> i & 1)
            stage_power_cut(stage, i);
        else if (trial->way == ALONE)
            stage_isolate(stage, i);
    }
    if (trial->way == LATE)
        stage_run(stage, 3 * STAGE_SECOND);
    for (unsigned i = 0; i < trial->nodes; i++)
        if (trial->mask >> i & 1)
            assert_true(stage_start(stage, i));
    if (trial->way == ALONE)
        stage_run(stage, 3 * STAGE_SECOND);
}

static struct outcome look(struct stage *stage)
{
    struct outcome outcome = {0};
    unsigned leader = 0;
    assert_true(stage_wait(stage, is_led, &leader, 20 * STAGE_SECOND));
    unsigned client = stage_connect(stage, leader);
    assert_string_equal("OK", stage_ask(stage, client, "SELECT lax"));
    const char *length = stage_ask(stage, client, "LLEN list");
    assert_int_equal(1, sscanf(length, "%u", &outcome.found));
    assert_true(stage_wait(stage, is_led, &leader, STAGE_SECOND));
    outcome.told = raft_view(replica_raft(stage_replica(stage, leader, group)))->unsure_election;
    return outcome;
}

static unsigned count_of(unsigned mask)
{
    return (unsigned)__builtin_popcount(mask);
}

/* One of those whose power was cut, that leads although it cannot know what was lost. */
static unsigned unsure_leader(struct stage *stage, const struct trial *trial)
{
    for (unsigned i = 0; i < trial->nodes; i++) {
        struct replica *replica = stage_replica(stage, i, group);
        if ((trial->mask >> i & 1) && replica && replica_is_serving(replica))
            return i;
    }
    return STAGE_NONE;
}

static struct outcome run(const struct trial *trial)
{
    struct stage *stage = stage_formed_with(&(struct stage_options){
        .nodes = trial->nodes, .seed = 100 + trial->mask, .faults = trial->faults});
    write_all(stage, trial);
    cut_power(stage, trial);
    if (trial->way == ALONE && count_of(trial->mask) < trial->nodes && !trial->faults)
        assert_int_equal(STAGE_NONE, unsure_leader(stage, trial)); /* not everybody has answered */
    struct outcome outcome = {0};
    if (unsure_leader(stage, trial) == STAGE_NONE)
        stage_heal(stage);
    outcome = look(stage);
    stage_destroy(stage);
    return outcome;
}

static void check(const struct trial *trial)
{
    struct outcome outcome = run(trial);
    if (outcome.found != WRITES && !outcome.told)
        fail_msg("SYNC %s, nodes %x of %u: %u of %u writes, and nobody says so", trial->sync,
                 trial->mask, trial->nodes, outcome.found, WRITES);
    if (count_of(trial->mask) <= (trial->nodes - 1) / 2)
        assert_false(outcome.told); /* enough voters are sure */
}

static void every_subset_of_three(void **state)
{
    (void)state;
    static const char *const levels[] = {"os", "interval:1000"};
    for (unsigned level = 0; level < 2; level++)
        for (unsigned mask = 1; mask < 8; mask++)
            for (unsigned way = AT_ONCE; way <= ALONE; way++)
                check(&(struct trial){
                    .nodes = 3, .mask = mask, .sync = levels[level], .way = (enum way)way});
}

static void subsets_of_five(void **state)
{
    (void)state;
    static const unsigned masks[] = {0x03, 0x11, 0x07, 0x15, 0x0f, 0x1e, 0x1f};
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++)
        check(
            &(struct trial){.nodes = 5, .mask = masks[i], .sync = "os", .way = (enum way)(i % 3)});
}

/* The same with voters that do not know of their doubt: then something is lost in silence, or all
 * this shows nothing. */
static void voters_that_are_sure_of_themselves_lose(void **state)
{
    (void)state;
    unsigned lost = 0;
    for (unsigned mask = 1; mask < 8; mask++) {
        struct outcome outcome = run(&(struct trial){.nodes = 3,
                                                     .mask = mask,
                                                     .sync = "os",
                                                     .faults = REPLICA_FAULT_UNSURE_VOTES,
                                                     .way = ALONE});
        lost += outcome.found != WRITES && !outcome.told;
    }
    assert_true(lost > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_subset_of_three),
        cmocka_unit_test(subsets_of_five),
        cmocka_unit_test(voters_that_are_sure_of_themselves_lose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
