/* ADMIN-1: nobody is called master without a lease. ADMIN-2: what is not known is null. */
#include "tests/server/stage.h"

#include <stdio.h>
#include <string.h>

static bool says_master(struct stage *stage, unsigned client)
{
    return strncmp("master", stage_ask(stage, client, "ROLE"), 6) == 0;
}

static bool info_says_master(struct stage *stage, unsigned client)
{
    return strstr(stage_ask(stage, client, "INFO replication"), "role:master") != NULL;
}

/* One client on each node asks for ever: at no moment do two nodes say master, and the old one
 * stops before the new one begins. */
static void one_master_at_a_time(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed});
        unsigned old = stage_leader(stage), clients[3];
        for (unsigned i = 0; i < 3; i++)
            clients[i] = stage_connect(stage, i);
        assert_true(says_master(stage, clients[old]));
        assert_true(info_says_master(stage, clients[old]));
        stage_isolate(stage, old);
        uint64_t begin_ns = world_now_ns(stage->world), last_old_ns = 0, first_new_ns = 0;
        while (!first_new_ns && world_now_ns(stage->world) < begin_ns + 10 * STAGE_SECOND) {
            for (unsigned i = 0; i < 3; i++) {
                bool master = i == old && seed % 2 ? info_says_master(stage, clients[i])
                                                   : says_master(stage, clients[i]);
                if (master && i == old)
                    last_old_ns = world_now_ns(stage->world);
                else if (master)
                    first_new_ns = world_now_ns(stage->world);
            }
        }
        assert_true(last_old_ns > begin_ns); /* the lease outlives the cut for a while */
        assert_true(last_old_ns < begin_ns + STAGE_SECOND);
        assert_true(first_new_ns > last_old_ns); /* ADMIN-1 */
        assert_false(says_master(stage, clients[old]));
        stage_destroy(stage);
    }
}

/* The lease of a paused machine is over when it wakes up, whatever it remembers. */
static void no_master_after_a_pause(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned old = stage_leader(stage), client = stage_connect(stage, old);
    assert_true(says_master(stage, client));
    world_pause(stage->world, stage->nodes[old].machine);
    stage_say(stage, client, "ROLE");
    assert_true(stage_wait(stage, stage_has_other_leader, &old, 10 * STAGE_SECOND));
    world_resume(stage->world, stage->nodes[old].machine);
    assert_memory_equal("slave", stage_reply(stage, client, 5 * STAGE_SECOND), 5); /* ADMIN-1 */
    stage_destroy(stage);
}

static void slave_names_its_master(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    char expected[64];
    snprintf(expected, sizeof expected, "slave 10.0.0.%u 6379 connected ", leader + 1);
    const char *reply = stage_ask(stage, stage_connect(stage, follower), "ROLE");
    assert_memory_equal(expected, reply, strlen(expected));
    reply = stage_ask(stage, stage_connect(stage, leader), "ROLE");
    assert_non_null(strstr(reply, "10.0.0."));
    stage_destroy(stage);
}

/* ---- ADMIN-2 ---- */

static const char *status_of(struct stage *stage, unsigned node)
{
    return stage_ask(stage, stage_connect(stage, node), "STATUS");
}

static void before_formation(void **state)
{
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
    assert_true(stage_start(stage, 0));
    stage_run(stage, STAGE_SECOND);
    const char *status = status_of(stage, 0);
    assert_non_null(strstr(status, "\"cluster_id\":null")); /* ADMIN-2 */
    assert_non_null(strstr(status, "\"node\":null"));
    assert_non_null(strstr(status, "\"partitions\":[]"));
    assert_non_null(strstr(status, "\"waits_for\":\"waiting for 10.0.0.2:6379"));
    assert_memory_equal("slave  0 connect -1", stage_ask(stage, stage_connect(stage, 0), "ROLE"),
                        19);
    stage_destroy(stage);
}

/* The part of a STATUS about a member of `default`. */
static const char *member_part(const char *status, unsigned replica)
{
    char key[32];
    const char *part = strstr(status, "{\"keyspace\":\"default\"");
    assert_non_null(part);
    snprintf(key, sizeof key, "{\"id\":%u,", replica);
    part = strstr(part, key);
    assert_non_null(part);
    return part;
}

static bool part_has(const char *part, const char *text)
{
    const char *at = strstr(part, text), *end = strchr(part, '}');
    return at && at < end;
}

static void a_follower_does_not_know_the_others(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    stage_run(stage, STAGE_SECOND);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    const char *status = status_of(stage, follower);
    for (unsigned i = 0; i < 3; i++) {
        const char *part = member_part(status, i + 1);
        assert_true(part_has(part, "\"lag_entries\":null")); /* ADMIN-2 */
        assert_true(part_has(part, "\"lag_ms\":null"));
        assert_int_equal(i != follower, part_has(part, "\"state\":null"));
        assert_int_equal(i != follower, part_has(part, "\"applied\":null"));
    }
    status = status_of(stage, leader);
    for (unsigned i = 0; i < 3; i++) {
        const char *part = member_part(status, i + 1);
        assert_true(part_has(part, "\"lag_entries\":0"));
        assert_true(part_has(part, "\"state\":\"ready\""));
        assert_int_equal(i != leader, part_has(part, "\"applied\":null"));
    }
    stage_destroy(stage);
}

static void a_silent_follower_is_down(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    stage_kill(stage, follower);
    stage_run(stage, 3 * STAGE_SECOND);
    const char *status = status_of(stage, leader);
    assert_true(part_has(member_part(status, follower + 1), "\"state\":\"down\""));
    assert_false(part_has(member_part(status, follower + 1), "\"lag_ms\":0"));
    stage_destroy(stage);
}

/* No leader anywhere: it is null, not a number. */
static void no_leader_is_null(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned survivor = stage_follower(stage);
    for (unsigned i = 0; i < 3; i++)
        if (i != survivor)
            stage_kill(stage, i);
    stage_run(stage, 5 * STAGE_SECOND);
    assert_non_null(strstr(status_of(stage, survivor), "\"leader\":null")); /* ADMIN-2 */
    const char *info = stage_ask(stage, stage_connect(stage, survivor), "INFO replication");
    assert_non_null(strstr(info, "master_link_status:down"));
    stage_kill(stage, survivor);
    assert_true(stage_start(stage, survivor)); /* what of its log counts, only a leader can say */
    stage_run(stage, 3 * STAGE_SECOND);
    const char *status = status_of(stage, survivor);
    assert_true(part_has(member_part(status, survivor + 1), "\"catching_up\""));
    assert_true(part_has(member_part(status, survivor + 1), "it waits for a leader"));
    stage_destroy(stage);
}

static void replicas_have_one_digest(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    char first[64] = "";
    unsigned client = stage_connect(stage, stage_leader(stage));
    for (unsigned i = 0; i < 2; i++) {
        assert_string_equal("OK", stage_ask(stage, client, i ? "SET b 2 EX 1000" : "SET a 1"));
        stage_run(stage, STAGE_SECOND);
        for (unsigned node = 0; node < 3; node++) {
            const char *digest = stage_ask(stage, stage_connect(stage, node), "DEBUG DIGEST");
            assert_int_equal(16, strlen(digest));
            if (node == 0) {
                assert_string_not_equal(first, digest);
                snprintf(first, sizeof first, "%s", digest);
            }
            assert_string_equal(first, digest);
        }
    }
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_master_at_a_time),
        cmocka_unit_test(no_master_after_a_pause),
        cmocka_unit_test(slave_names_its_master),
        cmocka_unit_test(before_formation),
        cmocka_unit_test(a_follower_does_not_know_the_others),
        cmocka_unit_test(a_silent_follower_is_down),
        cmocka_unit_test(no_leader_is_null),
        cmocka_unit_test(replicas_have_one_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
