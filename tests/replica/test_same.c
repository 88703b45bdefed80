/* REPLICA-3 and REPLICA-5: replicas that have executed the same entries hold the same, whatever
 * happened to the entries that were cut and to their clocks. */
#include "tests/server/stage.h"

#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#include <string.h>

/* ---- REPLICA-5, looked at after each turn ---- */

#define INDEX_MAX 8192

/* The digest of the default group after an entry; of one index there may be entries of more terms,
 * but only those of the newest term that was seen are kept. */
struct digests {
    uint64_t term[INDEX_MAX], digest[INDEX_MAX];
    uint64_t compared;
};

static void compare_digests(struct stage *stage, unsigned node)
{
    struct digests *digests = stage->watched;
    struct replica *replica = stage_replica(stage, node, GROUP_DEFAULT);
    if (!replica || !replica_executed(replica))
        return;
    uint64_t index = replica_executed(replica);
    uint64_t term = raft_term_at(replica_raft(replica), index);
    uint64_t digest = store_digest(replica_store(replica));
    assert_true(index < INDEX_MAX);
    if (term > digests->term[index]) {
        digests->term[index] = term;
        digests->digest[index] = digest;
    } else if (term == digests->term[index]) {
        assert_true(digest == digests->digest[index]); /* REPLICA-5 */
        digests->compared++;
    }
}

static void random_request(struct stage *stage, unsigned client, struct random *random)
{
    static const char *const forms[] = {
        "SET k%u v%u",           "INCRBY n%u %u",  "APPEND k%u x%u", "DEL k%u n%u",
        "SET k%u v PX %u",       "PEXPIRE n%u %u", "LPUSH l%u %u",   "RPOP l%u",
        "MSET k%u a n%u 5",      "PERSIST k%u",    "GETDEL k%u",     "SET n%u %u NX",
        "SET k%u v%u PX 40 GET", "LTRIM l%u 0 %u", "GET k%u",        "DBSIZE",
    };
    char line[128];
    const char *form = forms[random_below(random, sizeof forms / sizeof forms[0])];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(line, sizeof line, form, (unsigned)random_below(random, 12),
             (unsigned)random_below(random, 120) + 1);
#pragma GCC diagnostic pop
    stage_say(stage, client, "%s", line);
}

static void disturb(struct stage *stage, struct random *random)
{
    unsigned node = (unsigned)random_below(random, 3);
    switch (random_below(random, 8)) {
    case 0: stage_isolate(stage, node); break;
    case 1: stage_heal(stage); break;
    case 2:
        if (stage->nodes[node].worker)
            stage_kill(stage, node);
        break;
    case 3:
        if (stage->nodes[node].worker)
            stage_power_cut(stage, node);
        break;
    case 4:
        if (stage_leader(stage) != STAGE_NONE)
            stage_step_down(stage, stage_leader(stage));
        break;
    case 5:
        world_clock_jump(stage->world, stage->nodes[node].machine,
                         (int64_t)random_below(random, 800000) - 400000);
        break;
    default:
        for (unsigned i = 0; i < 3; i++)
            if (!stage->nodes[i].worker)
                assert_true(stage_start(stage, i));
    }
}

static void settle(struct stage *stage)
{
    stage_heal(stage);
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (!stage->nodes[i].worker)
            assert_true(stage_start(stage, i));
    assert_true(stage_wait(stage, stage_has_leader, NULL, 30 * STAGE_SECOND));
    assert_true(stage_wait(stage, stage_is_converged, NULL, 30 * STAGE_SECOND));
}

static void check_digests(uint64_t seed, uint32_t faults)
{
    struct stage *stage =
        stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed, .faults = faults});
    struct digests *digests = memory_zeroed(1, sizeof *digests);
    struct random random;
    random_init(&random, seed);
    stage->watched = digests;
    stage->watch = compare_digests;
    for (unsigned round = 0; round < 8; round++) {
        unsigned node = (unsigned)random_below(&random, 3);
        if (!stage->nodes[node].worker)
            continue;
        unsigned client = stage_connect(stage, node);
        for (unsigned i = 0; i < 12; i++) {
            for (unsigned k = 0; k < 4; k++)
                random_request(stage, client, &random);
            stage_run(stage, random_below(&random, 20 * STAGE_MS));
        }
        disturb(stage, &random);
        stage_run(stage, random_below(&random, STAGE_SECOND));
    }
    settle(stage);
    assert_true(digests->compared > 100);
    stage_destroy(stage);
    memory_free(digests);
}

static void same_index_same_digest(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        check_digests(seed, 0);
}

/* ---- REPLICA-3 ---- */

/* The old leader has executed what nobody else has; it comes back. */
static void executed_entries_that_are_cut(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned old = stage_leader(stage), client = stage_connect(stage, old);
    assert_string_equal("OK", stage_ask(stage, client, "SET a committed"));
    assert_string_equal("1", stage_ask(stage, client, "INCR n"));
    stage_isolate(stage, old);
    stage_say(stage, client, "SET a lost");
    stage_say(stage, client, "SET only-there 1");
    stage_say(stage, client, "INCR n");
    stage_say(stage, client, "DEL n");
    stage_run(stage, 20 * STAGE_MS);
    struct replica *replica = stage_replica(stage, old, GROUP_DEFAULT);
    uint64_t executed = replica_executed(replica);
    assert_true(executed > raft_view(replica_raft(replica))->commit);
    assert_true(stage_wait(stage, stage_has_other_leader, &old, 10 * STAGE_SECOND));
    unsigned other = stage_connect(stage, stage_leader(stage));
    assert_string_equal("2", stage_ask(stage, other, "INCR n"));
    for (unsigned i = 0; i < 10; i++)
        assert_string_equal("OK", stage_ask(stage, other, "SET b 1"));
    stage_heal(stage);
    assert_true(stage_wait(stage, stage_is_converged, NULL, 20 * STAGE_SECOND)); /* REPLICA-3 */
    unsigned there = stage_connect(stage, old);
    assert_string_equal("committed", stage_ask(stage, there, "GET a"));
    assert_string_equal("nil", stage_ask(stage, there, "GET only-there"));
    assert_string_equal("2", stage_ask(stage, there, "GET n"));
    stage_destroy(stage);
}

/* ---- expiry goes by the log ---- */

struct presence {
    bool was_there[3];
    uint64_t executed[3];
    unsigned vanished;
};

/* A key leaves a store only in a turn in which that replica executed an entry (or began anew). */
static void watch_key(struct stage *stage, unsigned node)
{
    struct presence *presence = stage->watched;
    struct replica *replica = stage_replica(stage, node, GROUP_DEFAULT);
    struct store_key key = store_key_of(0, slice_of_text("k"));
    if (!replica)
        return;
    bool is_there = store_find(replica_store(replica), &key) != NULL;
    if (presence->was_there[node] && !is_there) {
        presence->vanished++;
        assert_true(replica_executed(replica) != presence->executed[node]); /* REPLICA-5 */
    }
    presence->was_there[node] = is_there;
    presence->executed[node] = replica_executed(replica);
}

static bool all_vanished(struct stage *stage, void *argument)
{
    (void)stage;
    return ((struct presence *)argument)->vanished == 3;
}

static void expired_keys_go_by_the_log(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    struct presence presence = {0};
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    assert_string_equal("OK", stage_ask(stage, client, "SET k v PX 300"));
    assert_true(stage_wait(stage, stage_is_converged, NULL, STAGE_SECOND));
    stage->watched = &presence;
    stage->watch = watch_key;
    world_clock_jump(stage->world, stage->nodes[stage_follower(stage)].machine, 3600 * 1000000ll);
    stage_run(stage, 200 * STAGE_MS);
    assert_int_equal(0, presence.vanished); /* a follower's clock decides nothing */
    assert_true(stage_wait(stage, all_vanished, &presence, 2 * STAGE_SECOND));
    assert_string_equal("nil", stage_ask(stage, client, "GET k"));
    stage_destroy(stage);
}

/* The leader is alone when the deadline passes: followers keep the key until a leader's DEL. */
static void followers_wait_for_the_deletion(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    struct presence presence = {0};
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    assert_string_equal("OK", stage_ask(stage, client, "SET k v PX 100"));
    assert_true(stage_wait(stage, stage_is_converged, NULL, STAGE_SECOND));
    stage->watched = &presence;
    stage->watch = watch_key;
    stage_isolate(stage, leader);
    stage_run(stage, 300 * STAGE_MS);
    for (unsigned i = 0; i < 3; i++)
        assert_true(i == leader || presence.was_there[i]);
    assert_true(stage_wait(stage, stage_has_other_leader, &leader, 10 * STAGE_SECOND));
    assert_string_equal("nil",
                        stage_ask(stage, stage_connect(stage, stage_leader(stage)), "GET k"));
    stage_heal(stage);
    assert_true(stage_wait(stage, stage_is_converged, NULL, 10 * STAGE_SECOND));
    stage_destroy(stage);
}

/* REPLICA-4: the leader's wall clock jumps by a day; a key's life is a matter of elapsed time. */
static void jumps_of_the_clock_expire_nothing(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    assert_string_equal("OK", stage_ask(stage, client, "SET k v EX 30"));
    world_clock_jump(stage->world, stage->nodes[leader].machine, 86400 * 1000000ll);
    stage_run(stage, 2 * STAGE_SECOND);
    assert_string_equal("v", stage_ask(stage, client, "GET k"));
    for (unsigned i = 0; i < 3; i++) /* now all of them: still 5 % of the elapsed time at most */
        world_clock_jump(stage->world, stage->nodes[i].machine, 86400 * 1000000ll);
    stage_run(stage, 10 * STAGE_SECOND);
    assert_string_equal("v", stage_ask(stage, client, "GET k")); /* REPLICA-4 */
    for (unsigned i = 0; i < 3; i++)
        world_clock_jump(stage->world, stage->nodes[i].machine, -10 * 86400 * 1000000ll);
    stage_run(stage, 21 * STAGE_SECOND);
    assert_string_equal("nil", stage_ask(stage, client, "GET k"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(executed_entries_that_are_cut),
        cmocka_unit_test(expired_keys_go_by_the_log),
        cmocka_unit_test(followers_wait_for_the_deletion),
        cmocka_unit_test(jumps_of_the_clock_expire_nothing),
        cmocka_unit_test(same_index_same_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
