/* REPLICA-1 as clients see it: nothing is answered that could be taken back. A leader that has lost
 * its followers still executes; its replies wait. */
#include "stage.h"

#include <string.h>

#define LEASE_NS (400 * STAGE_MS) /* of node_timing_default: the shortest election time-out */

struct scene {
    struct stage *stage;
    unsigned leader, a, b;
};

/* A leader, two clients on it, key k = 0 committed, and then its followers are gone. */
static struct scene cut_off_leader(bool readindex_reads)
{
    struct scene scene = {.stage = stage_formed_with(&(struct stage_options){
                              .nodes = 3, .readindex_reads = readindex_reads})};
    scene.leader = stage_leader(scene.stage);
    scene.a = stage_connect(scene.stage, scene.leader);
    scene.b = stage_connect(scene.stage, scene.leader);
    assert_string_equal("OK", stage_ask(scene.stage, scene.a, "SET k 0"));
    assert_string_equal("OK", stage_ask(scene.stage, scene.b, "SET other 0"));
    stage_isolate(scene.stage, scene.leader);
    return scene;
}

/* What no client may be told, for as long as the cut lasts. */
static void expect_trouble(struct scene *scene, unsigned client)
{
    const char *reply = stage_reply(scene->stage, client, 8 * STAGE_SECOND);
    assert_true(strncmp(reply, "-TRYAGAIN", 9) == 0 || strncmp(reply, "-UNKNOWNOUTCOME", 15) == 0);
}

static void write_waits_for_its_commit(void **state)
{
    (void)state;
    struct scene scene = cut_off_leader(false);
    stage_say(scene.stage, scene.a, "SET k 1");
    assert_string_equal("(none)", stage_reply(scene.stage, scene.a, 300 * STAGE_MS));
    expect_trouble(&scene, scene.a); /* REPLICA-1 */
    stage_destroy(scene.stage);
}

static void read_waits_for_the_commit_of_what_it_saw(void **state)
{
    (void)state;
    struct scene scene = cut_off_leader(false);
    stage_say(scene.stage, scene.a, "SET k 1");
    stage_run(scene.stage, 5 * STAGE_MS);
    stage_say(scene.stage, scene.b, "GET k");
    assert_string_equal("(none)", stage_reply(scene.stage, scene.b, 200 * STAGE_MS));
    expect_trouble(&scene, scene.b); /* REPLICA-1 */
    expect_trouble(&scene, scene.a);
    stage_destroy(scene.stage);
}

/* Another key is answered under the lease and not one moment longer. */
static void read_of_another_key_needs_the_lease(void **state)
{
    (void)state;
    struct scene scene = cut_off_leader(false);
    stage_say(scene.stage, scene.a, "SET k 1");
    stage_run(scene.stage, 5 * STAGE_MS);
    stage_say(scene.stage, scene.b, "GET other");
    assert_string_equal("0", stage_reply(scene.stage, scene.b, 50 * STAGE_MS));
    stage_run(scene.stage, LEASE_NS);
    stage_say(scene.stage, scene.b, "GET other");
    expect_trouble(&scene, scene.b); /* REPLICA-1, R11 */
    stage_destroy(scene.stage);
}

static void read_needs_a_round_without_leases(void **state)
{
    (void)state;
    struct scene scene = cut_off_leader(true);
    stage_say(scene.stage, scene.b, "GET other");
    expect_trouble(&scene, scene.b); /* REPLICA-1 */
    stage_heal(scene.stage);
    assert_true(stage_wait(scene.stage, stage_is_converged, NULL, 20 * STAGE_SECOND));
    assert_string_equal("0", stage_ask(scene.stage, scene.b, "GET other"));
    stage_destroy(scene.stage);
}

/* A write that did nothing tells what it saw: it is a read. */
static void refused_write_waits_like_a_read(void **state)
{
    (void)state;
    struct scene scene = cut_off_leader(false);
    stage_say(scene.stage, scene.a, "SET new 1");
    stage_run(scene.stage, 5 * STAGE_MS);
    stage_say(scene.stage, scene.b, "SET new 2 NX");
    assert_string_equal("(none)", stage_reply(scene.stage, scene.b, 200 * STAGE_MS));
    expect_trouble(&scene, scene.b); /* REPLICA-1 */
    stage_destroy(scene.stage);
}

/* The leader's process stops in the turn that has just gathered a read, and its clock with it; when
 * it goes on, another leads and has acknowledged a write. What it answers, into `reply`. */
static void read_across_a_stop(uint32_t faults, char reply[STAGE_TEXT_SIZE])
{
    struct stage *stage = stage_formed_with(&(struct stage_options){.nodes = 3, .faults = faults});
    unsigned leader = stage_leader(stage), reader = stage_connect(stage, leader);
    assert_string_equal("OK", stage_ask(stage, reader, "SET k 0"));
    world_pause_in_turn(stage->world, stage->nodes[leader].machine, stage->clients_machine);
    stage_say(stage, reader, "GET k");
    assert_true(stage_wait(stage, stage_has_other_leader, &leader, 5 * STAGE_SECOND));
    unsigned writer = stage_connect(stage, stage_leader(stage));
    assert_string_equal("OK", stage_ask(stage, writer, "SET k 1"));
    world_resume(stage->world, stage->nodes[leader].machine);
    snprintf(reply, STAGE_TEXT_SIZE, "%s", stage_reply(stage, reader, 8 * STAGE_SECOND));
    stage_destroy(stage);
}

static void lease_is_judged_when_the_reply_goes(void **state)
{
    (void)state;
    char reply[STAGE_TEXT_SIZE];
    read_across_a_stop(0, reply);
    assert_true(strncmp(reply, "-TRYAGAIN", 9) == 0); /* REPLICA-1, R11 */
}

/* Judged by the time at which the turn began, it lets the old value go: the test above can fail. */
static void lease_of_the_turns_beginning_is_too_old(void **state)
{
    (void)state;
    char reply[STAGE_TEXT_SIZE];
    read_across_a_stop(REPLICA_FAULT_LEASE_BEFORE, reply);
    assert_string_equal("0", reply);
}

/* More keys than the gate table takes by name: every read waits. */
static void write_of_many_keys_holds_every_read(void **state)
{
    (void)state;
    struct scene scene = cut_off_leader(false);
    char line[2048] = "MSET";
    for (unsigned i = 0; i < 100; i++)
        snprintf(line + strlen(line), sizeof line - strlen(line), " m%u x", i);
    stage_say(scene.stage, scene.a, "%s", line);
    stage_run(scene.stage, 5 * STAGE_MS);
    stage_say(scene.stage, scene.b, "GET m99");
    assert_string_equal("(none)", stage_reply(scene.stage, scene.b, 100 * STAGE_MS));
    expect_trouble(&scene, scene.b); /* REPLICA-1 */
    stage_destroy(scene.stage);
}

static void whole_reads_wait_for_everything(void **state)
{
    (void)state;
    struct scene scene = cut_off_leader(false);
    stage_say(scene.stage, scene.a, "SET new 1");
    stage_run(scene.stage, 5 * STAGE_MS);
    stage_say(scene.stage, scene.b, "DBSIZE");
    assert_string_equal("(none)", stage_reply(scene.stage, scene.b, 100 * STAGE_MS));
    expect_trouble(&scene, scene.b); /* REPLICA-1 */
    stage_destroy(scene.stage);
}

/* The cut ends in time: the same replies come after all, in order. */
static void replies_come_when_the_cut_ends(void **state)
{
    (void)state;
    struct scene scene = cut_off_leader(false);
    stage_say(scene.stage, scene.a, "SET k 1");
    stage_run(scene.stage, 5 * STAGE_MS);
    stage_say(scene.stage, scene.b, "GET k");
    assert_string_equal("(none)", stage_reply(scene.stage, scene.b, 100 * STAGE_MS));
    stage_heal(scene.stage);
    assert_string_equal("OK", stage_reply(scene.stage, scene.a, 2 * STAGE_SECOND));
    assert_string_equal("1", stage_reply(scene.stage, scene.b, 2 * STAGE_SECOND));
    stage_destroy(scene.stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_waits_for_its_commit),
        cmocka_unit_test(read_waits_for_the_commit_of_what_it_saw),
        cmocka_unit_test(read_of_another_key_needs_the_lease),
        cmocka_unit_test(read_needs_a_round_without_leases),
        cmocka_unit_test(refused_write_waits_like_a_read),
        cmocka_unit_test(lease_is_judged_when_the_reply_goes),
        cmocka_unit_test(lease_of_the_turns_beginning_is_too_old),
        cmocka_unit_test(write_of_many_keys_holds_every_read),
        cmocka_unit_test(whole_reads_wait_for_everything),
        cmocka_unit_test(replies_come_when_the_cut_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
