/* Keys, deadlines, lists and whole databases: every reply and every error. */
#include "tests/command/stage.h"

#include <stdio.h>

#define WRONG_TYPE  "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NO_INTEGER  "-ERR value is not an integer or out of range"
#define SYNTAX      "-ERR syntax error"
#define BAD_TIME(c) "-ERR invalid expire time in '" c "' command"
#define NX_ALONE    "-ERR NX and XX, GT or LT options at the same time are not compatible"

static void deleting_and_counting(void **state)
{
    (void)state;
    STAGE_PLAY({"DEL a", ":0"}, {"MSET a 1 b 2 c 3 d 4", "+OK"}, {"EXISTS a b a x", ":3"},
               {"TOUCH a x b", ":2"}, {"DEL a x b a", ":2"}, {"UNLINK x c d", ":2"},
               {"DBSIZE", ":0"}, {"TYPE a", "+none"}, {"SET a 1", "+OK"}, {"TYPE a", "+string"},
               {"RPUSH l 1", ":1"}, {"TYPE l", "+list"}, {"DEL", "-arity"}, {"DEL l", ":1"},
               {"SET \"\" empty", "+OK"}, {"GET \"\"", "$5 empty"}, {"DEL \"\"", ":1"});
}

static void expiring(void **state)
{
    (void)state;
    STAGE_PLAY({"EXPIRE k 10", ":0"}, {"TTL k", ":-2"}, {"PTTL k", ":-2"}, {"EXPIRETIME k", ":-2"},
               {"SET k v", "+OK"}, {"TTL k", ":-1"}, {"PTTL k", ":-1"}, {"PEXPIRETIME k", ":-1"},
               {"EXPIRE k 10", ":1"}, {"TTL k", ":10"}, {"PTTL k", ":10000"},
               {"EXPIRETIME k", ":1800000010"}, {"PEXPIRETIME k", ":1800000010000"},
               {"@ms 400", ""}, {"PTTL k", ":9600"}, {"TTL k", ":10"}, {"@ms 200", ""},
               {"TTL k", ":9"}, {"PERSIST k", ":1"}, {"PERSIST k", ":0"}, {"PERSIST n", ":0"},
               {"PEXPIRE k 1500", ":1"}, {"PTTL k", ":1500"}, {"EXPIREAT k 1800000100", ":1"},
               {"EXPIRETIME k", ":1800000100"}, {"PEXPIREAT k 1800000100499", ":1"},
               {"PEXPIRETIME k", ":1800000100499"}, {"EXPIRETIME k", ":1800000100"},
               {"EXPIRE k 0", ":1"}, {"EXISTS k", ":0"}, {"SET k v", "+OK"}, {"EXPIRE k -5", ":1"},
               {"EXISTS k", ":0"}, {"SET k v", "+OK"}, {"EXPIREAT k 1000", ":1"},
               {"EXISTS k", ":0"}, {"SET k v", "+OK"}, {"PEXPIREAT k -9223372036854775808", ":1"},
               {"EXISTS k", ":0"});
}

static void expire_errors(void **state)
{
    (void)state;
    STAGE_PLAY({"SET k v", "+OK"}, {"EXPIRE k x", NO_INTEGER}, {"EXPIRE k 1.5", NO_INTEGER},
               {"EXPIRE k 9223372036854775807", BAD_TIME("expire")},
               {"EXPIRE k -9223372036854775808", BAD_TIME("expire")},
               {"PEXPIRE k 9223372036854775807", BAD_TIME("pexpire")},
               {"EXPIREAT k 9223372036854775807", BAD_TIME("expireat")},
               {"PEXPIREAT k 9223372036854775807", BAD_TIME("pexpireat")},
               {"EXPIRE k 10 FOO", "-ERR Unsupported option FOO"}, {"EXPIRE k 10 NX XX", NX_ALONE},
               {"EXPIRE k 10 NX GT", NX_ALONE}, {"EXPIRE k 10 LT NX", NX_ALONE},
               {"EXPIRE k 10 GT LT", "-ERR GT and LT options at the same time are not compatible"},
               {"EXPIRE n 9223372036854775807", BAD_TIME("expire")}, {"EXPIRE k", "-arity"},
               {"TTL k", ":-1"});
}

static void expire_conditions(void **state)
{
    (void)state;
    STAGE_PLAY({"SET k v", "+OK"}, {"EXPIRE k 100 XX", ":0"}, {"EXPIRE k 100 GT", ":0"},
               {"EXPIRE k 100 nx", ":1"}, {"EXPIRE k 50 NX", ":0"}, {"EXPIRE k 50 GT", ":0"},
               {"EXPIRE k 100 GT", ":0"}, {"EXPIRE k 200 gt", ":1"}, {"EXPIRE k 300 LT", ":0"},
               {"EXPIRE k 200 LT", ":0"}, {"EXPIRE k 20 LT", ":1"}, {"TTL k", ":20"},
               {"EXPIRE k 30 XX GT", ":1"}, {"TTL k", ":30"}, {"PERSIST k", ":1"},
               {"EXPIRE k 40 XX LT", ":0"}, {"EXPIRE k 40 LT", ":1"}, {"TTL k", ":40"},
               {"EXPIRE k -1 GT", ":0"}, {"EXPIRE k -1 LT", ":1"}, {"EXISTS k", ":0"});
}

/* A key past its deadline is gone for every command, and its deletion is in the effect. */
static void keys_that_ended(void **state)
{
    (void)state;
    STAGE_PLAY({"SET a v PX 100", "+OK"}, {"SET b v PX 100", "+OK"}, {"@ms 99", ""},
               {"GET a", "$1 v"}, {"PTTL a", ":1"}, {"@ms 1", ""}, {"DBSIZE", ":2"},
               {"GET a", "$-1"}, {"DBSIZE", ":1"}, {"MGET b b", "*2 $-1 $-1"}, {"DBSIZE", ":0"},
               {"SET a 5 PX 10", "+OK"}, {"@ms 10", ""}, {"INCR a", ":1"}, {"TTL a", ":-1"},
               {"SET a 5 PX 10", "+OK"}, {"@ms 10", ""}, {"SET a 6 KEEPTTL", "+OK"},
               {"TTL a", ":-1"}, {"SET a 5 PX 10", "+OK"}, {"@ms 10", ""},
               {"SET a 6 NX GET", "$-1"}, {"SET a 5 PX 10", "+OK"}, {"@ms 10", ""}, {"DEL a", ":0"},
               {"SET a 5 PX 10", "+OK"}, {"@ms 10", ""}, {"RPUSH a x", ":1"},
               {"PEXPIRE a 10", ":1"}, {"@ms 10", ""}, {"LRANGE a 0 -1", "*0"},
               {"SET a 5 PX 10", "+OK"}, {"@ms 10", ""}, {"KEYS *", "*0"}, {"SET a 5 PX 10", "+OK"},
               {"@ms 10", ""}, {"SCAN 0", "*2 $1 0 *0"}, {"DBSIZE", ":0"});
}

static void lists(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"RPUSH l b c", ":2"}, {"LPUSH l a z", ":4"}, {"LRANGE l 0 -1", "*4 $1 z $1 a $1 b $1 c"},
        {"LLEN l", ":4"}, {"LLEN n", ":0"}, {"LRANGE l 1 2", "*2 $1 a $1 b"},
        {"LRANGE l -2 -1", "*2 $1 b $1 c"}, {"LRANGE l -100 0", "*1 $1 z"},
        {"LRANGE l 3 100", "*1 $1 c"}, {"LRANGE l 4 5", "*0"}, {"LRANGE l 2 1", "*0"},
        {"LRANGE n 0 -1", "*0"}, {"LRANGE l x 1", NO_INTEGER}, {"LRANGE l 1 x", NO_INTEGER},
        {"LINDEX l 0", "$1 z"}, {"LINDEX l -1", "$1 c"}, {"LINDEX l 4", "$-1"},
        {"LINDEX l -5", "$-1"}, {"LINDEX l x", NO_INTEGER}, {"LINDEX n x", "$-1"},
        {"RPUSHX n a", ":0"}, {"LPUSHX n a", ":0"}, {"EXISTS n", ":0"}, {"RPUSHX l d e", ":6"},
        {"LPUSHX l y", ":7"}, {"LINDEX l 0", "$1 y"}, {"SET s v", "+OK"}, {"RPUSH s a", WRONG_TYPE},
        {"LPUSHX s a", WRONG_TYPE}, {"LLEN s", WRONG_TYPE}, {"LRANGE s 0 -1", WRONG_TYPE},
        {"LRANGE s x 1", NO_INTEGER}, {"LINDEX s x", WRONG_TYPE}, {"RPUSH l", "-arity"},
        {"RPUSH l \"\"", ":8"}, {"LINDEX l -1", "$0 "});
}

static void databases(void **state)
{
    (void)state;
    STAGE_PLAY({"SET k 0", "+OK"}, {"@db 3", ""}, {"GET k", "$-1"}, {"SET k 3", "+OK"},
               {"DBSIZE", ":1"}, {"KEYS *", "*1 $1 k"}, {"FLUSHDB", "+OK"}, {"DBSIZE", ":0"},
               {"@db 0", ""}, {"GET k", "$1 0"}, {"@db 3", ""}, {"FLUSHALL ASYNC", "+OK"},
               {"@db 0", ""}, {"DBSIZE", ":0"}, {"FLUSHALL", "+OK"}, {"FLUSHDB SYNC", "+OK"},
               {"FLUSHALL now", SYNTAX}, {"FLUSHDB a b", SYNTAX}, {"DBSIZE x", "-arity"});
}

static void keys_and_scan(void **state)
{
    (void)state;
    STAGE_PLAY({"KEYS *", "*0"}, {"SCAN 0", "*2 $1 0 *0"}, {"SET one 1", "+OK"},
               {"KEYS o*", "*1 $3 one"}, {"KEYS x*", "*0"},
               {"SCAN 0 COUNT 100", "*2 $1 0 *1 $3 one"},
               {"SCAN 0 MATCH x* COUNT 100", "*2 $1 0 *0"},
               {"SCAN 0 TYPE string", "*2 $1 0 *1 $3 one"}, {"SCAN 0 type LIST", "*2 $1 0 *0"},
               {"SCAN 0 TYPE zset", "*2 $1 0 *0"}, {"SCAN x", "-ERR invalid cursor"},
               {"SCAN -1", "-ERR invalid cursor"}, {"SCAN \" 1\"", "-ERR invalid cursor"},
               {"SCAN 18446744073709551616", "-ERR invalid cursor"}, {"SCAN 0 COUNT", SYNTAX},
               {"SCAN 0 COUNT 0", SYNTAX}, {"SCAN 0 COUNT x", NO_INTEGER}, {"SCAN 0 FOO 1", SYNTAX},
               {"SCAN 0 MATCH", SYNTAX});
}

/* Every key once and only once while nothing changes, whatever the page; any cursor is answered. */
static void scan_in_pages(void **state)
{
    static const unsigned pages[] = {1, 7, 10, 64, 100, 1000000};
    struct stage stage;
    char line[64];
    (void)state;
    stage_open(&stage, 2);
    for (int i = 0; i < 500; i++) {
        snprintf(line, sizeof line, "SET key:%d %d%s", i, i, i % 3 ? "" : " PX 10");
        stage_run(&stage, line);
    }
    stage.now_us += 10000;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        uint64_t seen = 0;
        struct resp_item item;
        char cursor[24] = "0";
        do {
            snprintf(line, sizeof line, "SCAN %s COUNT %u", cursor, pages[i]);
            stage_run(&stage, line);
            struct slice rest = slice_of_buffer(&stage.out);
            for (int j = 0; j < 2; j++)
                assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
            snprintf(cursor, sizeof cursor, "%.*s", (int)item.bytes.size, item.bytes.at);
            assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
            seen += (uint64_t)item.integer;
        } while (strcmp(cursor, "0") != 0);
        assert_int_equal(seen, 333);
    }
    assert_string_equal(stage_run(&stage, "DBSIZE"), ":333");
    stage_run(&stage, "SCAN 18446744073709551615");
    stage_run(&stage, "SCAN 12345678901234567");
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deleting_and_counting),
        cmocka_unit_test(expiring),
        cmocka_unit_test(expire_errors),
        cmocka_unit_test(expire_conditions),
        cmocka_unit_test(keys_that_ended),
        cmocka_unit_test(lists),
        cmocka_unit_test(databases),
        cmocka_unit_test(keys_and_scan),
        cmocka_unit_test(scan_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
