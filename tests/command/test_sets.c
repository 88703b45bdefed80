/* Sets: every reply and every error. */
#include "base/memory.h"
#include "tests/command/stage.h"

#include <stdio.h>

#define WRONG_TYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NO_INTEGER "-ERR value is not an integer or out of range"
#define SYNTAX     "-ERR syntax error"
#define NO_AMOUNT  "-ERR value is out of range, must be positive"
#define NO_KEYS    "-ERR numkeys should be greater than 0"
#define NO_CURSOR  "-ERR invalid cursor"
#define NO_LIMIT   "-ERR LIMIT can't be negative"
#define FEW_KEYS   "-ERR Number of keys can't be greater than number of args"

static void members(void **state)
{
    (void)state;
    STAGE_PLAY({"SADD s a", ":1"}, {"SADD s a b c b", ":2"}, {"SADD s a b", ":0"},
               {"SCARD s", ":3"}, {"SISMEMBER s a", ":1"}, {"SISMEMBER s x", ":0"},
               {"SISMEMBER n a", ":0"}, {"SMISMEMBER s a x c", "*3 :1 :0 :1"},
               {"SMISMEMBER n a b", "*2 :0 :0"}, {"SCARD n", ":0"}, {"SMEMBERS n", "*0"},
               {"SREM s x", ":0"}, {"SREM s a x a", ":1"}, {"SREM n a", ":0"},
               {"SREM s b c d", ":2"}, {"EXISTS s", ":0"}, {"SADD s \"\"", ":1"},
               {"SMEMBERS s", "*1 $0 "}, {"SET k v", "+OK"}, {"SADD k a", WRONG_TYPE},
               {"SREM k a", WRONG_TYPE}, {"SISMEMBER k a", WRONG_TYPE},
               {"SMISMEMBER k a", WRONG_TYPE}, {"SCARD k", WRONG_TYPE}, {"SMEMBERS k", WRONG_TYPE},
               {"SADD s", "-arity"}, {"EXPIRE s 100", ":1"}, {"SADD s x", ":1"}, {"TTL s", ":100"});
}

static void moving(void **state)
{
    (void)state;
    STAGE_PLAY({"SMOVE n d a", ":0"}, {"SADD s a b", ":2"}, {"SMOVE s d x", ":0"},
               {"EXISTS d", ":0"}, {"SMOVE s d a", ":1"}, {"SMEMBERS d", "*1 $1 a"},
               {"SMOVE s d b", ":1"}, {"EXISTS s", ":0"}, {"SCARD d", ":2"}, {"SADD s a", ":1"},
               {"SMOVE s d a", ":1"}, {"EXISTS s", ":0"}, {"SCARD d", ":2"}, {"SMOVE d d a", ":1"},
               {"SMOVE d d x", ":0"}, {"SET k v", "+OK"}, {"SMOVE k d a", WRONG_TYPE},
               {"SMOVE d k a", WRONG_TYPE}, {"SMOVE n k a", ":0"}, {"SMOVE d k x", WRONG_TYPE});
}

static void together(void **state)
{
    (void)state;
    STAGE_PLAY({"SADD a 1 2 3 4", ":4"}, {"SADD b 3 4 5", ":3"}, {"SADD c 4", ":1"},
               {"SINTER a b c", "*1 $1 4"}, {"SINTER a b n", "*0"}, {"SINTER n", "*0"},
               {"SINTER c", "*1 $1 4"}, {"SUNION n m", "*0"}, {"SUNION c c", "*1 $1 4"},
               {"SDIFF n a", "*0"}, {"SDIFF c n", "*1 $1 4"}, {"SDIFF c b", "*0"},
               {"SDIFF a a", "*0"}, {"SET k v", "+OK"}, {"SINTER a k", WRONG_TYPE},
               {"SINTER n k", WRONG_TYPE}, {"SUNION a k", WRONG_TYPE}, {"SDIFF n k", WRONG_TYPE},
               {"SDIFF k", WRONG_TYPE}, {"SINTER", "-arity"});
}

static void stored(void **state)
{
    (void)state;
    STAGE_PLAY({"SADD a 1 2 3 4", ":4"}, {"SADD b 3 4 5", ":3"}, {"SINTERSTORE d a b", ":2"},
               {"SORT d", "*2 $1 3 $1 4"}, {"SUNIONSTORE d a b", ":5"},
               {"SORT d", "*5 $1 1 $1 2 $1 3 $1 4 $1 5"}, {"SDIFFSTORE d a b", ":2"},
               {"SORT d", "*2 $1 1 $1 2"}, {"EXPIRE d 100", ":1"}, {"SDIFFSTORE d b a", ":1"},
               {"SMEMBERS d", "*1 $1 5"}, {"TTL d", ":-1"}, {"SINTERSTORE d a n", ":0"},
               {"EXISTS d", ":0"}, {"SINTERSTORE d a n", ":0"}, {"SET d text", "+OK"},
               {"SUNIONSTORE d a", ":4"}, {"TYPE d", "+set"}, {"SUNIONSTORE a a b", ":5"},
               {"SCARD a", ":5"}, {"SDIFFSTORE a a a", ":0"}, {"EXISTS a", ":0"},
               {"SET k v", "+OK"}, {"SUNIONSTORE d b k", WRONG_TYPE},
               {"SINTERSTORE d k", WRONG_TYPE}, {"SDIFFSTORE k b", ":3"}, {"TYPE k", "+set"});
}

static void counting_common(void **state)
{
    (void)state;
    STAGE_PLAY({"SADD a 1 2 3 4", ":4"}, {"SADD b 3 4 5", ":3"}, {"SINTERCARD 2 a b", ":2"},
               {"SINTERCARD 2 a b LIMIT 1", ":1"}, {"SINTERCARD 2 a b LIMIT 0", ":2"},
               {"SINTERCARD 2 a b LIMIT 9", ":2"}, {"SINTERCARD 2 a n", ":0"},
               {"SINTERCARD 1 a", ":4"}, {"SINTERCARD 0 a", NO_KEYS}, {"SINTERCARD x a", NO_KEYS},
               {"SINTERCARD 3 a b", FEW_KEYS}, {"SINTERCARD 2 a b LIMIT", SYNTAX},
               {"SINTERCARD 2 a b LIMIT -1", NO_LIMIT}, {"SINTERCARD 2 a b LIMIT x", NO_LIMIT},
               {"SINTERCARD 2 a b FOO 1", SYNTAX}, {"SINTERCARD 1 a b", SYNTAX}, {"SET k v", "+OK"},
               {"SINTERCARD 2 a k", WRONG_TYPE}, {"SINTERCARD 2 n k", WRONG_TYPE});
}

static void picking(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"SRANDMEMBER n", "$-1"}, {"SRANDMEMBER n 3", "*0"}, {"SPOP n", "$-1"}, {"SPOP n 3", "*0"},
        {"SADD s a", ":1"}, {"SRANDMEMBER s", "$1 a"}, {"SRANDMEMBER s 0", "*0"},
        {"SRANDMEMBER s 5", "*1 $1 a"}, {"SRANDMEMBER s -3", "*3 $1 a $1 a $1 a"},
        {"SRANDMEMBER s x", NO_INTEGER}, {"SRANDMEMBER s 1 x", SYNTAX},
        {"SRANDMEMBER s -9223372036854775808", "-ERR value is out of range, value must between "
                                               "-9223372036854775807 and 9223372036854775807"},
        {"SPOP s 0", "*0"}, {"SPOP s -1", NO_AMOUNT}, {"SPOP s x", NO_AMOUNT},
        {"SPOP s 1 x", SYNTAX}, {"SPOP s", "$1 a"}, {"EXISTS s", ":0"}, {"SADD s a", ":1"},
        {"SPOP s 1", "*1 $1 a"}, {"EXISTS s", ":0"}, {"SADD s a", ":1"}, {"SPOP s 100", "*1 $1 a"},
        {"EXISTS s", ":0"}, {"SET k v", "+OK"}, {"SPOP k", WRONG_TYPE}, {"SPOP k 1", WRONG_TYPE},
        {"SPOP k x", NO_AMOUNT}, {"SRANDMEMBER k", WRONG_TYPE}, {"SRANDMEMBER k 1", WRONG_TYPE});
}

static void scanning(void **state)
{
    (void)state;
    STAGE_PLAY({"SSCAN n 0", "*2 $1 0 *0"}, {"SADD s a", ":1"}, {"SSCAN s 0", "*2 $1 0 *1 $1 a"},
               {"SSCAN s 0 MATCH b*", "*2 $1 0 *0"},
               {"SSCAN s 0 MATCH a COUNT 3", "*2 $1 0 *1 $1 a"}, {"SSCAN s 0 COUNT 0", SYNTAX},
               {"SSCAN s 0 TYPE set", SYNTAX}, {"SSCAN s y", NO_CURSOR}, {"SET k v", "+OK"},
               {"SSCAN k 0", WRONG_TYPE});
}

/* ---- large sets ---- */

/* Multiples of `step` below `end`. */
static void add_multiples(struct stage *stage, const char *key, int step, int end)
{
    char line[64];
    for (int i = 0; i < end; i += step) {
        snprintf(line, sizeof line, "SADD %s %d", key, i);
        stage_run(stage, line);
    }
}

static void large_ones_together(void **state)
{
    static const struct step steps[] = {{"SINTERCARD 3 two three five", ":67"},
                                        {"SINTERCARD 2 two three LIMIT 50", ":50"},
                                        {"SINTERSTORE d two three five", ":67"},
                                        {"SISMEMBER d 30", ":1"},
                                        {"SISMEMBER d 15", ":0"},
                                        {"SUNIONSTORE d two three five", ":1466"},
                                        {"SISMEMBER d 7", ":0"},
                                        {"SISMEMBER d 9", ":1"},
                                        {"SDIFFSTORE d two three five", ":533"},
                                        {"SISMEMBER d 4", ":1"},
                                        {"SISMEMBER d 10", ":0"},
                                        {"SDIFFSTORE d d two", ":0"}};
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    add_multiples(&stage, "two", 2, 2000);
    add_multiples(&stage, "three", 3, 2000);
    add_multiples(&stage, "five", 5, 2000);
    stage_play(&stage, steps, sizeof steps / sizeof *steps);
    assert_memory_equal(stage_run(&stage, "SINTER two three five"), "*67 ", 4);
    assert_memory_equal(stage_run(&stage, "SUNION two three five"), "*1466 ", 6);
    assert_memory_equal(stage_run(&stage, "SDIFF two three five"), "*533 ", 5);
    stage_close(&stage);
}

/* ---- chance ---- */

/* Numbers that a reply answers: each marked once, all of them below `end`. */
static size_t take_different(struct stage *stage, const char *line, bool *seen, size_t end)
{
    struct resp_item item;
    int64_t number;
    stage_run(stage, line);
    struct slice rest = slice_of_buffer(&stage->out);
    assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
    size_t count = (size_t)item.integer;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
        assert_int_equal(slice_to_i64(item.bytes, &number), STATUS_OK);
        assert_true(number >= 0 && (size_t)number < end && !seen[number]);
        seen[number] = true;
    }
    return count;
}

static void picks_differ(void **state)
{
    struct stage stage;
    char line[64];
    (void)state;
    stage_open(&stage, 2);
    add_multiples(&stage, "s", 1, 100);
    for (size_t want = 0; want <= 110; want++) {
        bool seen[100] = {false};
        snprintf(line, sizeof line, "SRANDMEMBER s %zu", want);
        stage.now_us++;
        assert_int_equal(take_different(&stage, line, seen, 100), want < 100 ? want : 100);
    }
    stage_close(&stage);
}

/* Time is the chance: as it goes on, every member's turn comes, and the same time picks the same.
 */
static void every_member_is_picked(void **state)
{
    struct stage stage;
    bool seen[20] = {false};
    char first[32];
    (void)state;
    stage_open(&stage, 2);
    add_multiples(&stage, "s", 1, 20);
    for (int i = 0; i < 500; i++) {
        stage.now_us++;
        snprintf(first, sizeof first, "%s", stage_run(&stage, "SRANDMEMBER s"));
        assert_string_equal(stage_run(&stage, "SRANDMEMBER s"), first);
        bool one[20] = {false};
        assert_int_equal(take_different(&stage, "SRANDMEMBER s 1", one, 20), 1);
        for (int j = 0; j < 20; j++)
            seen[j] |= one[j];
    }
    for (int i = 0; i < 20; i++)
        assert_true(seen[i]);
    stage_close(&stage);
}

static void pops_until_empty(void **state)
{
    struct stage stage;
    bool seen[1000] = {false};
    (void)state;
    stage_open(&stage, 2);
    add_multiples(&stage, "s", 1, 1000);
    for (size_t left = 1000; left;) {
        stage.now_us++;
        size_t popped = take_different(&stage, "SPOP s 77", seen, 1000);
        assert_int_equal(popped, left < 77 ? left : 77);
        left -= popped;
    }
    assert_string_equal(stage_run(&stage, "EXISTS s"), ":0");
    stage_close(&stage);
}

/* More members than one command of an effect may name: several go into one entry. */
static void pops_more_than_one_command_holds(void **state)
{
    enum {
        MEMBERS = 80000
    };
    struct stage stage;
    bool *seen = memory_zeroed(MEMBERS, sizeof *seen);
    struct slice *arguments = memory_allocate((MEMBERS + 2) * sizeof *arguments);
    char(*texts)[8] = memory_allocate(MEMBERS * sizeof *texts);
    (void)state;
    stage_open(&stage, 2);
    arguments[0] = slice_of_text("SADD");
    arguments[1] = slice_of_text("s");
    for (size_t i = 0; i < MEMBERS; i++)
        arguments[i + 2] =
            slice_of(texts[i], (size_t)snprintf(texts[i], sizeof texts[i], "%zu", i));
    stage_run_arguments(&stage, arguments, MEMBERS + 2);
    assert_int_equal(take_different(&stage, "SPOP s 70000", seen, MEMBERS), 70000);
    assert_int_equal(stage.effect_count, 2);
    assert_int_equal(take_different(&stage, "SPOP s 70000", seen, MEMBERS), MEMBERS - 70000);
    assert_int_equal(stage.effect_count, 1);
    stage_close(&stage);
    memory_free(texts);
    memory_free(arguments);
    memory_free(seen);
}

/* Nobody counts for minutes to find out that a reply does not fit. */
static void endless_picks(void **state)
{
    (void)state;
    STAGE_PLAY({"SADD s a", ":1"}, {"HSET h f v", ":1"}, {"ZADD z 1 m", ":1"},
               {"SRANDMEMBER s -9223372036854775807", "-ERR value is out of range"},
               {"HRANDFIELD h -100000000", "-ERR value is out of range"},
               {"ZRANDMEMBER z -100000000 WITHSCORES", "-ERR value is out of range"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),          cmocka_unit_test(moving),
        cmocka_unit_test(together),         cmocka_unit_test(stored),
        cmocka_unit_test(counting_common),  cmocka_unit_test(picking),
        cmocka_unit_test(scanning),         cmocka_unit_test(large_ones_together),
        cmocka_unit_test(picks_differ),     cmocka_unit_test(every_member_is_picked),
        cmocka_unit_test(pops_until_empty), cmocka_unit_test(pops_more_than_one_command_holds),
        cmocka_unit_test(endless_picks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
