/* SERVER-1: replies leave a connection in the order of its requests, wherever they run. */
#include "stage.h"

#include "base/random.h"
#include "server/server.h"

#include <string.h>

#define REQUESTS 600
#define KEYS     8

/* Sends a random pipeline of writes, reads and PINGs and checks each reply against a model. */
static void check_pipeline(struct stage *stage, unsigned client, uint64_t seed)
{
    static char expected[REQUESTS][32];
    int64_t values[KEYS] = {0};
    struct random random;
    random_init(&random, seed);
    for (unsigned i = 0; i < KEYS; i++)
        assert_string_equal("OK",
                            (stage_say(stage, client, "SET %llu:%u 0", (unsigned long long)seed, i),
                             stage_reply(stage, client, STAGE_SECOND)));
    for (unsigned i = 0; i < REQUESTS; i++) {
        unsigned key = (unsigned)random_below(&random, KEYS);
        switch (random_below(&random, 4)) {
        case 0:
            stage_say(stage, client, "PING %u", i);
            snprintf(expected[i], sizeof expected[i], "%u", i);
            break;
        case 1:
            values[key] = i;
            stage_say(stage, client, "SET %llu:%u %u", (unsigned long long)seed, key, i);
            snprintf(expected[i], sizeof expected[i], "OK");
            break;
        case 2:
            stage_say(stage, client, "INCRBY %llu:%u 1000", (unsigned long long)seed, key);
            values[key] += 1000;
            snprintf(expected[i], sizeof expected[i], "%lld", (long long)values[key]);
            break;
        default:
            stage_say(stage, client, "GET %llu:%u", (unsigned long long)seed, key);
            snprintf(expected[i], sizeof expected[i], "%lld", (long long)values[key]);
        }
    }
    for (unsigned i = 0; i < REQUESTS; i++)
        assert_string_equal(expected[i], stage_reply(stage, client, 5 * STAGE_SECOND));
}

static void pipeline_on_the_leader(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    check_pipeline(stage, stage_connect(stage, stage_leader(stage)), 1); /* SERVER-1 */
    stage_destroy(stage);
}

static void pipeline_through_a_follower(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned follower = stage_follower(stage);
    check_pipeline(stage, stage_connect(stage, follower), 2); /* SERVER-1 */
    struct server_facts facts;
    server_facts(stage_server(stage, follower), &facts);
    assert_true(facts.forwarded_total > REQUESTS / 2);
    stage_destroy(stage);
}

/* The leader moves by itself in the middle of a pipeline: counters still rise one by one, however
 * the requests were routed, and each ran once. R16 */
static void check_hand_over(unsigned at_reply, bool through_follower, uint64_t seed)
{
    struct stage *stage =
        stage_formed_with(&(struct stage_options){.nodes = 3, .seed = seed, .hold_ns = 0});
    unsigned leader = stage_leader(stage);
    unsigned client = stage_connect(stage, through_follower ? stage_follower(stage) : leader);
    for (unsigned i = 0; i < 100; i++)
        stage_say(stage, client, "INCR n");
    char expected[16];
    unsigned last = 0, failed = 0;
    for (unsigned i = 0; i < 100; i++) {
        if (i == at_reply)
            stage_step_down(stage, leader);
        const char *reply = stage_reply(stage, client, 10 * STAGE_SECOND);
        if (reply[0] == '-') {
            assert_memory_equal("-TRYAGAIN", reply, 9); /* proved: it did not run */
            failed++;
            continue;
        }
        snprintf(expected, sizeof expected, "%u", ++last);
        assert_string_equal(expected, reply);
    }
    assert_true(failed < 100);
    snprintf(expected, sizeof expected, "%u", last);
    assert_string_equal(expected, stage_ask(stage, client, "GET n"));
    stage_destroy(stage);
}

static void order_over_a_hand_over(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        check_hand_over(0, true, seed);
        check_hand_over(30, true, seed);
        check_hand_over(0, false, seed);
        check_hand_over(30, false, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipeline_on_the_leader),
        cmocka_unit_test(pipeline_through_a_follower),
        cmocka_unit_test(order_over_a_hand_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
