/* BOOT-6, BOOT-7, SNAP-6: a bootstrap that is interrupted again and again, and of whom it asks. */
#include "tests/server/stage.h"

#include "replica/bootstrap/bootstrap.h"
#include "replica/log/log.h"

#include <string.h>

#define OFTEN         .snapshot_log_bytes = 2000, .snapshot_period_ns = STAGE_SECOND / 500
#define KEYS          400
#define INTERRUPTIONS 10
#define A_FEW         3 /* chunks, and then it is interrupted */

struct course {
    struct stage *stage;
    unsigned away, client, written;
    uint64_t taken; /* by earlier processes of `away` */
    uint64_t goal;
    uint64_t mark;
    unsigned marks; /* other ones that it was given */
};

static struct bootstrap *bootstrap_of(const struct course *course)
{
    return stage_replica(course->stage, course->away, GROUP_DEFAULT)->bootstrap;
}

static const struct raft_view *view_of(struct stage *stage, unsigned node)
{
    return raft_view(replica_raft(stage_replica(stage, node, GROUP_DEFAULT)));
}

static void write_all(struct course *course, const char *what)
{
    char line[64];
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(line, sizeof line, "SET k%u %s%u", i, what, i);
        assert_string_equal("OK", stage_ask(course->stage, course->client, line));
    }
}

/* A node is away until the log of the leader does not go back to it; it has nothing of what was
 * written last. */
static void begin(struct course *course, uint64_t seed)
{
    struct stage *stage =
        stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed, OFTEN});
    *course = (struct course){.stage = stage, .away = stage_follower(stage)};
    course->client = stage_connect(stage, stage_leader(stage));
    assert_string_equal("OK", stage_ask(stage, course->client, "SET first 1"));
    uint64_t last = view_of(stage, course->away)->last_index;
    stage_kill(stage, course->away);
    stage_run(stage, 10 * STAGE_SECOND);
    write_all(course, "a");
    write_all(course, "b");
    stage_run(stage, STAGE_SECOND); /* both others have snapshots of that */
    assert_true(view_of(stage, stage_leader(stage))->first_index > last + 1);
}

static uint64_t taken(const struct course *course)
{
    struct replica *replica = stage_replica(course->stage, course->away, GROUP_DEFAULT);
    return course->taken + (replica ? replica->bootstrap->taken : 0);
}

static bool has_taken(struct stage *stage, void *argument)
{
    const struct course *course = argument;
    struct replica *replica = stage_replica(stage, course->away, GROUP_DEFAULT);
    return replica && replica->bootstrap->receiving.state == BOOTSTRAP_RECEIVING &&
           taken(course) >= course->goal;
}

static bool is_whole(struct stage *stage, void *unused)
{
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (!stage->nodes[i].worker || !worker_is_ready(stage->nodes[i].worker))
            return false;
    return stage_is_converged(stage, unused);
}

static bool has_another_mark(struct stage *stage, void *argument)
{
    const struct course *course = argument;
    struct replica *replica = stage_replica(stage, course->away, GROUP_DEFAULT);
    const struct bootstrap_receiving *receiving = &replica->bootstrap->receiving;
    return receiving->index && receiving->index != course->mark;
}

static uint32_t chunks_of_newest(const struct course *course)
{
    const struct snapshot *newer, *older;
    struct node *node = worker_node(course->stage->nodes[course->away].worker);
    snapshots_newest_two(node_turn(node)->snapshots->files, GROUP_DEFAULT, &newer, &older);
    assert_non_null(newer);
    return newer->count;
}

static void restart(struct course *course, unsigned node)
{
    if (node == course->away)
        course->taken = taken(course);
    stage_kill(course->stage, node);
    assert_true(stage_start(course->stage, node));
}

static unsigned source_of(const struct course *course)
{
    struct replica_id source = bootstrap_of(course)->receiving.source;
    for (unsigned i = 0; i < 3; i++) {
        struct replica *replica = stage_replica(course->stage, i, GROUP_DEFAULT);
        if (replica && replica_id_equal(replica_self(replica), source))
            return i;
    }
    fail_msg("it asks nobody");
    return STAGE_NONE;
}

/* The source ends, and nobody has that mark any more: two newer ones have come. */
static void another_mark(struct course *course)
{
    unsigned source = source_of(course);
    course->mark = bootstrap_of(course)->receiving.index;
    stage_isolate(course->stage, course->away); /* or it would be done before */
    for (unsigned i = 0; i < 4; i++) {
        assert_string_equal("OK", stage_ask(course->stage, course->client, "SET one x"));
        stage_run(course->stage, STAGE_SECOND / 2);
    }
    restart(course, source);
    assert_true(stage_wait(course->stage, stage_has_leader, NULL, 10 * STAGE_SECOND));
    course->client = stage_connect(course->stage, stage_leader(course->stage));
    stage_heal(course->stage);
    assert_true(stage_wait(course->stage, has_another_mark, course, 60 * STAGE_SECOND));
    course->marks++;
}

static void interrupt(struct course *course, unsigned number)
{
    switch (number % 4) {
    case 0: restart(course, course->away); break;
    case 1: restart(course, source_of(course)); break;
    case 2:
        stage_isolate(course->stage, course->away);
        stage_run(course->stage, 3 * STAGE_SECOND);
        stage_heal(course->stage);
        break;
    default: another_mark(course);
    }
}

/* BOOT-6: ten times, by the end of either side and of the link: nothing that was taken comes again,
 * whether the next source has that mark or another one. */
static void no_chunk_is_taken_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct course course;
        begin(&course, seed);
        assert_true(stage_start(course.stage, course.away));
        for (unsigned i = 0; i < INTERRUPTIONS; i++) {
            course.goal = taken(&course) + A_FEW;
            assert_true(stage_wait(course.stage, has_taken, &course, 60 * STAGE_SECOND));
            interrupt(&course, i);
        }
        assert_true(stage_wait(course.stage, is_whole, NULL, 60 * STAGE_SECOND));
        uint32_t count = chunks_of_newest(&course);
        assert_true(taken(&course) >= A_FEW * INTERRUPTIONS);
        assert_true(taken(&course) <= count + course.marks); /* BOOT-6: a key was set each time */
        stage_destroy(course.stage);
    }
}

static bool receives(struct stage *stage, void *argument)
{
    const struct course *course = argument;
    struct replica *replica = stage_replica(stage, course->away, GROUP_DEFAULT);
    return replica && replica->bootstrap->receiving.state == BOOTSTRAP_RECEIVING &&
           replica->bootstrap->taken >= A_FEW;
}

/* BOOT-7: another follower gives it, while the leader has work of its own. */
static void the_leader_is_asked_last(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct course course;
        begin(&course, seed);
        assert_true(stage_start(course.stage, course.away));
        assert_true(stage_wait(course.stage, receives, &course, 10 * STAGE_SECOND));
        assert_int_not_equal(stage_leader(course.stage), source_of(&course)); /* BOOT-7 */
        assert_true(stage_wait(course.stage, is_whole, NULL, 60 * STAGE_SECOND));
        stage_destroy(course.stage);
    }
}

/* Where nobody else is there, the leader gives it. */
static void the_leader_gives_it_too(void **state)
{
    (void)state;
    struct course course;
    begin(&course, 1);
    unsigned other = 3 - course.away - stage_leader(course.stage);
    assert_true(stage_start(course.stage, course.away));
    assert_true(stage_wait(course.stage, receives, &course, 10 * STAGE_SECOND));
    stage_kill(course.stage, other);
    course.goal = taken(&course) + A_FEW;
    assert_true(stage_wait(course.stage, has_taken, &course, 10 * STAGE_SECOND));
    assert_int_equal(stage_leader(course.stage), source_of(&course));
    assert_true(stage_start(course.stage, other));
    assert_true(stage_wait(course.stage, is_whole, NULL, 60 * STAGE_SECOND));
    assert_true(taken(&course) <= chunks_of_newest(&course));
    stage_destroy(course.stage);
}

static bool lacks_some(struct stage *stage, void *argument)
{
    const struct course *course = argument;
    struct replica *replica = stage_replica(stage, course->away, GROUP_DEFAULT);
    return replica && replica_known_commit(replica) > replica_applied(replica) + 1000;
}

/* Who gets the log knows from the first entry on how much is missing, and says so. */
static void what_is_missing_of_the_log_is_told(void **state)
{
    (void)state;
    struct replica_progress progress;
    struct stage *stage = stage_formed(3);
    struct course course = {.stage = stage, .away = stage_follower(stage)};
    course.client = stage_connect(stage, stage_leader(stage));
    stage_kill(stage, course.away);
    for (unsigned i = 0; i < 6; i++)
        write_all(&course, "a");
    assert_true(stage_start(stage, course.away));
    assert_true(stage_wait(stage, lacks_some, &course, 10 * STAGE_SECOND));
    assert_false(worker_is_ready(stage->nodes[course.away].worker));
    struct replica *replica = stage_replica(stage, course.away, GROUP_DEFAULT);
    struct node *node = worker_node(stage->nodes[course.away].worker);
    replica_measure(replica, node_turn(node));
    assert_true(replica_progress(replica, node_turn(node)->now_ns, &progress));
    assert_true(progress.percent < 100);
    assert_true(stage_wait(stage, is_whole, NULL, 60 * STAGE_SECOND));
    stage_run(stage, STAGE_SECOND);
    assert_false(replica_progress(replica, node_turn(node)->now_ns, &progress));
    stage_destroy(stage);
}

/* STATUS of who receives a snapshot has how much of it. */
static void how_much_has_come_is_told(void **state)
{
    (void)state;
    struct course course;
    begin(&course, 1);
    assert_true(stage_start(course.stage, course.away));
    assert_true(stage_wait(course.stage, receives, &course, 10 * STAGE_SECOND));
    stage_run(course.stage, STAGE_SECOND / 100);
    unsigned client = stage_connect(course.stage, course.away);
    const char *said = stage_ask(course.stage, client, "STATUS");
    assert_non_null(strstr(said, "\"state\":\"bootstrapping\""));
    assert_non_null(strstr(said, "\"percent\":"));
    assert_non_null(strstr(said, "\"bytes_per_second\":null,\"eta_ms\":null")); /* too early */
    stage_destroy(course.stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_chunk_is_taken_twice),
        cmocka_unit_test(the_leader_is_asked_last),
        cmocka_unit_test(the_leader_gives_it_too),
        cmocka_unit_test(what_is_missing_of_the_log_is_told),
        cmocka_unit_test(how_much_has_come_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
