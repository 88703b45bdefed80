/* Hashes: every reply and every error. */
#include "tests/command/stage.h"

#include <stdio.h>

#define WRONG_TYPE   "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NO_INTEGER   "-ERR value is not an integer or out of range"
#define SYNTAX       "-ERR syntax error"
#define NO_FLOAT     "-ERR value is not a valid float"
#define OUT_OF_RANGE "-ERR value is out of range"
#define BAD_HSET     "-ERR wrong number of arguments for 'hset' command"
#define NO_CURSOR    "-ERR invalid cursor"

static void setting(void **state)
{
    (void)state;
    STAGE_PLAY({"HSET h a 1", ":1"}, {"HSET h a 2 b 3", ":1"}, {"HGET h a", "$1 2"},
               {"HSET h \"\" empty", ":1"}, {"HGET h \"\"", "$5 empty"}, {"HSET h a 1 a 2", ":0"},
               {"HGET h a", "$1 2"}, {"HMSET h c 4 d 5", "+OK"}, {"HLEN h", ":5"},
               {"HSET h a", "-arity"}, {"HSET h a 1 b", BAD_HSET},
               {"HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command"},
               {"HSETNX h a 9", ":0"}, {"HSETNX h e 9", ":1"}, {"HGET h e", "$1 9"},
               {"HSETNX n a 1", ":1"}, {"HGET n a", "$1 1"}, {"SET s v", "+OK"},
               {"HSET s a 1", WRONG_TYPE}, {"HMSET s a 1", WRONG_TYPE},
               {"HSETNX s a 1", WRONG_TYPE}, {"HSET s a 1 b", BAD_HSET}, {"EXPIRE h 100", ":1"},
               {"HSET h z 1", ":1"}, {"TTL h", ":100"});
}

static void reading(void **state)
{
    (void)state;
    STAGE_PLAY({"HGET n a", "$-1"}, {"HMGET n a b", "*2 $-1 $-1"}, {"HGETALL n", "*0"},
               {"HKEYS n", "*0"}, {"HVALS n", "*0"}, {"HLEN n", ":0"}, {"HEXISTS n a", ":0"},
               {"HSTRLEN n a", ":0"}, {"HSET h a 1", ":1"}, {"HGETALL h", "*2 $1 a $1 1"},
               {"HKEYS h", "*1 $1 a"}, {"HVALS h", "*1 $1 1"}, {"HSET h b two", ":1"},
               {"HMGET h a x b a", "*4 $1 1 $-1 $3 two $1 1"}, {"HGET h x", "$-1"},
               {"HEXISTS h a", ":1"}, {"HEXISTS h x", ":0"}, {"HSTRLEN h b", ":3"},
               {"HSTRLEN h x", ":0"}, {"SET s v", "+OK"}, {"HGET s a", WRONG_TYPE},
               {"HMGET s a", WRONG_TYPE}, {"HGETALL s", WRONG_TYPE}, {"HKEYS s", WRONG_TYPE},
               {"HVALS s", WRONG_TYPE}, {"HLEN s", WRONG_TYPE}, {"HEXISTS s a", WRONG_TYPE},
               {"HSTRLEN s a", WRONG_TYPE}, {"HMGET h", "-arity"});
}

static void removing(void **state)
{
    (void)state;
    STAGE_PLAY({"HDEL n a", ":0"}, {"HSET h a 1 b 2 c 3", ":3"}, {"HDEL h x", ":0"},
               {"HDEL h a x a b", ":2"}, {"HDEL h c c d", ":1"}, {"EXISTS h", ":0"},
               {"SET s v", "+OK"}, {"HDEL s a", WRONG_TYPE}, {"HDEL h", "-arity"});
}

static void counting(void **state)
{
    (void)state;
    STAGE_PLAY({"HINCRBY h n 5", ":5"}, {"HINCRBY h n -7", ":-2"}, {"HINCRBY h n 0", ":-2"},
               {"HGET h n", "$2 -2"}, {"HINCRBY h n x", NO_INTEGER},
               {"HINCRBY h n 1.5", NO_INTEGER},
               {"HINCRBY h n -9223372036854775807", "-ERR increment or decrement would overflow"},
               {"HSET h m 9223372036854775807", ":1"},
               {"HINCRBY h m 1", "-ERR increment or decrement would overflow"},
               {"HINCRBY h m -1", ":9223372036854775806"}, {"HSET h t text", ":1"},
               {"HINCRBY h t 1", "-ERR hash value is not an integer"}, {"SET s v", "+OK"},
               {"HINCRBY s n 1", WRONG_TYPE}, {"HINCRBY s n x", NO_INTEGER});
}

static void counting_fractions(void **state)
{
    (void)state;
    STAGE_PLAY({"HINCRBYFLOAT h f 10.5", "$4 10.5"}, {"HINCRBYFLOAT h f 0.1", "$4 10.6"},
               {"HINCRBYFLOAT h f -10.6", "$1 0"}, {"HINCRBYFLOAT h f 5.0e3", "$4 5000"},
               {"HGET h f", "$4 5000"}, {"HINCRBYFLOAT h f x", NO_FLOAT},
               {"HINCRBYFLOAT h f nan", NO_FLOAT},
               {"HINCRBYFLOAT h f inf", "-ERR value is NaN or Infinity"},
               {"HINCRBYFLOAT h f \"\"", NO_FLOAT}, {"HSET h t text", ":1"},
               {"HINCRBYFLOAT h t 1", "-ERR hash value is not a float"}, {"HSET h i inf", ":1"},
               {"HINCRBYFLOAT h i 1", "-ERR increment would produce NaN or Infinity"},
               {"SET s v", "+OK"}, {"HINCRBYFLOAT s f 1", WRONG_TYPE},
               {"HINCRBYFLOAT s f x", NO_FLOAT});
}

static void scanning(void **state)
{
    (void)state;
    STAGE_PLAY({"HSCAN n 0", "*2 $1 0 *0"}, {"HSCAN n x", NO_CURSOR},
               {"HSCAN n 0 FOO", "*2 $1 0 *0"}, {"HSET h a 1", ":1"},
               {"HSCAN h 0", "*2 $1 0 *2 $1 a $1 1"}, {"HSCAN h 0 MATCH b*", "*2 $1 0 *0"},
               {"HSCAN h 0 MATCH a* COUNT 5", "*2 $1 0 *2 $1 a $1 1"},
               {"HSCAN h 0 COUNT 0", SYNTAX}, {"HSCAN h 0 COUNT x", NO_INTEGER},
               {"HSCAN h 0 COUNT", SYNTAX}, {"HSCAN h 0 TYPE hash", SYNTAX},
               {"HSCAN h x", NO_CURSOR}, {"HSCAN h -1", NO_CURSOR}, {"SET s v", "+OK"},
               {"HSCAN s 0", WRONG_TYPE}, {"HSCAN s 0 FOO", WRONG_TYPE});
}

static void picking(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"HRANDFIELD n", "$-1"}, {"HRANDFIELD n 5", "*0"}, {"HRANDFIELD n -5 WITHVALUES", "*0"},
        {"HSET h a 1", ":1"}, {"HRANDFIELD h", "$1 a"}, {"HRANDFIELD h 0", "*0"},
        {"HRANDFIELD h 5", "*1 $1 a"}, {"HRANDFIELD h -3", "*3 $1 a $1 a $1 a"},
        {"HRANDFIELD h 5 WITHVALUES", "*2 $1 a $1 1"},
        {"HRANDFIELD h -2 withvalues", "*4 $1 a $1 1 $1 a $1 1"}, {"HRANDFIELD h x", NO_INTEGER},
        {"HRANDFIELD h -9223372036854775808", "-ERR value is out of range, value must between "
                                              "-9223372036854775807 and 9223372036854775807"},
        {"HRANDFIELD h 4611686018427387904 WITHVALUES", OUT_OF_RANGE},
        {"HRANDFIELD h 1 FOO", SYNTAX}, {"HRANDFIELD h 1 WITHVALUES x", SYNTAX}, {"SET s v", "+OK"},
        {"HRANDFIELD s", WRONG_TYPE}, {"HRANDFIELD s 1", WRONG_TYPE},
        {"HRANDFIELD s x", NO_INTEGER});
}

/* ---- every member once, whatever the page ---- */

static uint64_t scan_pages(struct stage *stage, const char *command, unsigned page)
{
    struct resp_item item;
    char cursor[24] = "0", line[64];
    uint64_t seen = 0;
    do {
        snprintf(line, sizeof line, "%s %s COUNT %u", command, cursor, page);
        stage_run(stage, line);
        struct slice rest = slice_of_buffer(&stage->out);
        for (int i = 0; i < 2; i++)
            assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
        snprintf(cursor, sizeof cursor, "%.*s", (int)item.bytes.size, item.bytes.at);
        assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
        seen += (uint64_t)item.integer;
    } while (strcmp(cursor, "0") != 0);
    return seen;
}

static void scans_in_pages(void **state)
{
    static const unsigned pages[] = {1, 7, 64, 100, 1000000}, sizes[] = {5, 100, 1000};
    struct stage stage;
    char line[64];
    (void)state;
    stage_open(&stage, 2);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (unsigned member = 0; member < sizes[i]; member++) {
            snprintf(line, sizeof line, "HSET h f%u %u", member, member);
            stage_run(&stage, line);
            snprintf(line, sizeof line, "SADD s m%u", member);
            stage_run(&stage, line);
            snprintf(line, sizeof line, "ZADD z %u m%u", member % 50, member);
            stage_run(&stage, line);
        }
        for (size_t j = 0; j < sizeof pages / sizeof *pages; j++) {
            assert_int_equal(scan_pages(&stage, "HSCAN h", pages[j]), 2 * sizes[i]);
            assert_int_equal(scan_pages(&stage, "SSCAN s", pages[j]), sizes[i]);
            assert_int_equal(scan_pages(&stage, "ZSCAN z", pages[j]), 2 * sizes[i]);
        }
    }
    stage_run(&stage, "HSCAN h 18446744073709551615");
    stage_run(&stage, "SSCAN s 12345678901234567");
    stage_run(&stage, "ZSCAN z 9223372036854775807");
    stage_close(&stage);
}

/* HGETALL, HKEYS and HVALS go through all pages in one order. */
static void whole_hashes(void **state)
{
    struct stage stage;
    struct resp_item item;
    char line[64];
    bool seen[500] = {false};
    (void)state;
    stage_open(&stage, 3);
    for (int i = 0; i < 500; i++) {
        snprintf(line, sizeof line, "HSET h %d v%d", i, i);
        stage_run(&stage, line);
    }
    stage_run(&stage, "HGETALL h");
    struct slice rest = slice_of_buffer(&stage.out);
    assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
    assert_int_equal(item.type, '%');
    assert_int_equal(item.integer, 500);
    for (int i = 0; i < 500; i++) {
        int64_t field, value;
        assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
        assert_int_equal(slice_to_i64(item.bytes, &field), STATUS_OK);
        assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
        assert_int_equal(slice_to_i64(slice_of(item.bytes.at + 1, item.bytes.size - 1), &value),
                         STATUS_OK);
        assert_int_equal(field, value);
        assert_false(seen[field]);
        seen[field] = true;
    }
    assert_memory_equal(stage_run(&stage, "HKEYS h"), "*500 ", 5);
    assert_memory_equal(stage_run(&stage, "HVALS h"), "*500 ", 5);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting),
        cmocka_unit_test(reading),
        cmocka_unit_test(removing),
        cmocka_unit_test(counting),
        cmocka_unit_test(counting_fractions),
        cmocka_unit_test(scanning),
        cmocka_unit_test(picking),
        cmocka_unit_test(scans_in_pages),
        cmocka_unit_test(whole_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
