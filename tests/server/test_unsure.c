/* Power cuts of every subset of a keyspace's nodes, with SYNC os and interval: what was
 * acknowledged is there, or its leader says that it came to power by an election of unsure voters
 * (R4, RAFT-17).
 */
#include "stage.h"
#include "store/store.h"

#include <string.h>

#define WRITES 30

static const struct group_id group = {2};

struct trial {
    unsigned nodes, mask;    /* whose power is cut */
    const char *sync, *then; /* then: what it is altered to, with a write after that */
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

/* What it says from now on holds, and one write more is made under it. */
static void alter(struct stage *stage, const struct trial *trial)
{
    unsigned client = stage_connect(stage, 0);
    stage_say(stage, client, "KEYSPACE ALTER lax SYNC %s", trial->then);
    assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    for (unsigned i = 0; strstr(stage_ask(stage, client, "KEYSPACE INFO lax"), "changing"); i++) {
        assert_true(i < 100);
        stage_run(stage, 20 * STAGE_MS);
    }
    for (unsigned i = 0; i < trial->nodes; i++)
        assert_true((replica_sync(stage_replica(stage, i, group)) == WAL_SYNC_ALWAYS) ==
                    (strcmp(trial->then, "always") == 0)); /* REPLICA-9 */
    assert_string_equal("OK", stage_ask(stage, client, "SELECT lax"));
    assert_string_equal("OK", stage_ask(stage, client, "SET more 1"));
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
    if (trial->then)
        alter(stage, trial);
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

/* Raised: what was written before is synced, and nobody is in doubt. Lowered: doubt from there on.
 */
static void a_level_that_changes(void **state)
{
    (void)state;
    for (unsigned mask = 1; mask < 8; mask++) {
        struct trial raised = {.nodes = 3, .mask = mask, .sync = "os", .then = "always"};
        struct outcome outcome = run(&raised);
        assert_int_equal(WRITES, outcome.found);
        assert_false(outcome.told);
        struct trial lowered = {.nodes = 3, .mask = mask, .sync = "always", .then = "os"};
        outcome = run(&lowered);
        assert_int_equal(WRITES, outcome.found); /* before the change: they were synced */
        if (count_of(mask) != 2) /* two of three: the leader may be the third, and goes on */
            assert_true(outcome.told == (mask == 7));
    }
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

/* ---- a learner that knows more (RAFT-19) ---- */

struct cast {
    unsigned leader, client;
    unsigned learner; /* has what the voters lose */
    unsigned absent;  /* another one, cut off: the change waits for it */
    bool votes[STAGE_NODES_MAX];
};

static bool learns_all(struct stage *stage, void *argument)
{
    struct cast *cast = argument;
    struct replica *learner = stage_replica(stage, cast->learner, group);
    return is_led(stage, &cast->leader) && learner &&
           replica_executed(learner) ==
               raft_view(replica_raft(stage_replica(stage, cast->leader, group)))->commit;
}

static void grow(struct stage *stage, struct cast *cast, const char *sync)
{
    unsigned client = stage_connect(stage, 0);
    stage_say(stage, client, "KEYSPACE CREATE lax REPLICAS 3 SYNC %s", sync);
    assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    assert_string_equal("OK", stage_ask(stage, client, "SELECT lax"));
    assert_true(stage_wait(stage, is_led, &cast->leader, 5 * STAGE_SECOND));
    cast->learner = cast->absent = STAGE_NONE;
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        cast->votes[i] = stage_replica(stage, i, group) != NULL;
        if (!cast->votes[i])
            *(cast->learner == STAGE_NONE ? &cast->learner : &cast->absent) = i;
    }
    assert_string_equal("OK", stage_ask(stage, client, "KEYSPACE ALTER lax REPLICAS 5"));
    stage_isolate(stage, cast->absent);
    assert_true(stage_wait(stage, learns_all, cast, 10 * STAGE_SECOND));
    cast->client = stage_connect(stage, cast->leader);
    assert_string_equal("OK", stage_ask(stage, cast->client, "SELECT lax"));
}

static void write_more(struct stage *stage, unsigned client, unsigned count)
{
    static char value[1001];
    memset(value, 'x', sizeof value - 1);
    for (unsigned i = 1; i <= count; i++) {
        stage_say(stage, client, "SET key%u %s%u", i % 7, value, i);
        assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
    }
}

static bool is_equal(struct stage *stage, void *argument)
{
    struct cast *cast = argument;
    if (!is_led(stage, &cast->leader))
        return false;
    struct replica *all[2] = {stage_replica(stage, cast->leader, group),
                              stage_replica(stage, cast->learner, group)};
    return all[1] && replica_executed(all[0]) == replica_executed(all[1]) &&
           raft_view(replica_raft(all[0]))->last_term ==
               raft_view(replica_raft(all[1]))->last_term &&
           store_digest(replica_store(all[0])) == store_digest(replica_store(all[1]));
}

static void cut_voters(struct stage *stage, const struct cast *cast)
{
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (cast->votes[i])
            stage_power_cut(stage, i);
    for (unsigned i = 0; i < stage->options.nodes; i++)
        assert_true(!cast->votes[i] || stage_start(stage, i));
}

/* All voters lose their tails together; the learner runs on, or is killed a little later, while it
 * finds out. It ends with what the voters have, not with what it knew. True: it knew more. */
static bool check_learner(const char *sync, uint64_t snapshot_log_bytes, unsigned kill_ms,
                          uint64_t seed)
{
    struct cast cast;
    struct stage *stage =
        stage_formed_with(&(struct stage_options){.nodes = 5,
                                                  .seed = seed,
                                                  .snapshot_log_bytes = snapshot_log_bytes,
                                                  .snapshot_period_ns = 100 * STAGE_MS});
    grow(stage, &cast, sync);
    write_more(stage, cast.client, 60);
    uint64_t known = replica_executed(stage_replica(stage, cast.learner, group));
    cut_voters(stage, &cast);
    if (kill_ms) {
        stage_run(stage, kill_ms * STAGE_MS);
        stage_kill(stage, cast.learner);
        assert_true(stage_start(stage, cast.learner));
    }
    assert_true(stage_wait(stage, is_led, &cast.leader, 20 * STAGE_SECOND));
    struct raft_history history =
        raft_view(replica_raft(stage_replica(stage, cast.leader, group)))->history;
    assert_true(stage_wait(stage, is_equal, &cast, 20 * STAGE_SECOND));
    stage_kill(stage, cast.learner);
    assert_true(stage_start(stage, cast.learner));
    assert_true(stage_wait(stage, is_equal, &cast, 10 * STAGE_SECOND));
    stage_destroy(stage);
    return history.term && history.index <= known;
}

static void a_learner_that_knows_more_begins_anew(void **state)
{
    (void)state;
    unsigned knew = 0;
    for (uint64_t seed = 301; seed <= 308; seed++)
        knew += check_learner(seed % 2 ? "os" : "interval:1000", 0, 0, seed);
    assert_true(knew >= 2); /* else this shows nothing */
}

static void with_snapshots_of_what_is_void(void **state)
{
    (void)state;
    unsigned knew = 0;
    for (unsigned i = 0; i < 16; i++)
        knew += check_learner("os", 8000, i % 4 ? 300 + 50 * i : 0, 400 + i);
    assert_true(knew >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_learner_that_knows_more_begins_anew),
        cmocka_unit_test(with_snapshots_of_what_is_void),
        cmocka_unit_test(every_subset_of_three),
        cmocka_unit_test(a_level_that_changes),
        cmocka_unit_test(subsets_of_five),
        cmocka_unit_test(voters_that_are_sure_of_themselves_lose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
