/* Strings and counters: every reply and every error. */
#include "tests/command/stage.h"

#define WRONG_TYPE  "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NO_INTEGER  "-ERR value is not an integer or out of range"
#define NO_FLOAT    "-ERR value is not a valid float"
#define SYNTAX      "-ERR syntax error"
#define BAD_TIME(c) "-ERR invalid expire time in '" c "' command"

static void set_and_get(void **state)
{
    (void)state;
    STAGE_PLAY({"GET k", "$-1"}, {"SET k v", "+OK"}, {"get k", "$1 v"}, {"SET k \"\"", "+OK"},
               {"GET k", "$0 "}, {"STRLEN k", ":0"}, {"SET k abc", "+OK"}, {"STRLEN k", ":3"},
               {"STRLEN none", ":0"}, {"RPUSH l a", ":1"}, {"GET l", WRONG_TYPE},
               {"STRLEN l", WRONG_TYPE}, {"SET l v", "+OK"}, {"GET l", "$1 v"}, {"GET", "-arity"},
               {"SET k", "-arity"}, {"SETX k v", "-unknown"});
}

static void set_conditions(void **state)
{
    (void)state;
    STAGE_PLAY({"SET k 1 XX", "$-1"}, {"SET k 1 NX", "+OK"}, {"SET k 2 NX", "$-1"},
               {"SET k 2 xx", "+OK"}, {"GET k", "$1 2"}, {"SET k 3 NX XX", SYNTAX},
               {"SET k 3 XX NX", SYNTAX}, {"SET k 3 NX NX", "$-1"}, {"SET k 3 GET", "$1 2"},
               {"SET k 4 NX GET", "$1 3"}, {"SET n 1 NX GET", "$-1"}, {"GET n", "$1 1"},
               {"SET m 1 XX GET", "$-1"}, {"EXISTS m", ":0"}, {"SET m 1 GET", "$-1"},
               {"GET m", "$1 1"}, {"RPUSH l a", ":1"}, {"SET l 1 GET", WRONG_TYPE},
               {"SET l 1 NX GET", WRONG_TYPE}, {"SET l 1 NX", "$-1"}, {"LLEN l", ":1"},
               {"SET k v FOO", SYNTAX}, {"SET k v PERSIST", SYNTAX});
}

static void set_expiry(void **state)
{
    (void)state;
    STAGE_PLAY({"SET k v EX 10", "+OK"}, {"PTTL k", ":10000"}, {"SET k v px 1500", "+OK"},
               {"PTTL k", ":1500"}, {"SET k v EXAT 1800000100", "+OK"}, {"TTL k", ":100"},
               {"SET k v PXAT 1800000000250", "+OK"}, {"PTTL k", ":250"},
               {"SET k w KEEPTTL", "+OK"}, {"PTTL k", ":250"}, {"SET k w", "+OK"},
               {"PTTL k", ":-1"}, {"SET k v EX 10 EX 20", "+OK"}, {"TTL k", ":20"},
               {"SET k v EX 10 NX", "$-1"}, {"TTL k", ":20"}, {"SET n v KEEPTTL", "+OK"},
               {"TTL n", ":-1"}, {"SET k v EX", SYNTAX}, {"SET k v EX 10 PX 10", SYNTAX},
               {"SET k v EX 10 KEEPTTL", SYNTAX}, {"SET k v KEEPTTL EX 10", SYNTAX},
               {"SET k v EXAT 10 EX 10", SYNTAX}, {"SET k v EX abc", NO_INTEGER},
               {"SET k v EX 1.5", NO_INTEGER}, {"SET k v EX 0", BAD_TIME("set")},
               {"SET k v PX -1", BAD_TIME("set")}, {"SET k v EXAT 0", BAD_TIME("set")},
               {"SET k v EX 9223372036854775807", BAD_TIME("set")},
               {"SET k v PX 9223372036854775807", BAD_TIME("set")}, {"TTL k", ":20"});
}

/* A deadline that has passed is a deletion, and nothing at all where nothing is. */
static void set_into_the_past(void **state)
{
    (void)state;
    STAGE_PLAY({"SET k v", "+OK"}, {"SET k w EXAT 1000 GET", "$1 v"}, {"GET k", "$-1"},
               {"DBSIZE", ":0"}, {"SET k w PXAT 1000", "+OK"}, {"DBSIZE", ":0"},
               {"SET k v PXAT 1800000000000", "+OK"}, {"DBSIZE", ":0"});
}

static void setnx_setex(void **state)
{
    (void)state;
    STAGE_PLAY({"SETNX k 1", ":1"}, {"SETNX k 2", ":0"}, {"GET k", "$1 1"}, {"SETEX k 10 v", "+OK"},
               {"TTL k", ":10"}, {"PSETEX k 10 v", "+OK"}, {"PTTL k", ":10"},
               {"SETEX k 0 v", BAD_TIME("setex")}, {"PSETEX k -1 v", BAD_TIME("psetex")},
               {"SETEX k x v", NO_INTEGER}, {"GET k", "$1 v"}, {"RPUSH l a", ":1"},
               {"SETNX l 1", ":0"}, {"SETEX l 5 v", "+OK"}, {"TYPE l", "+string"});
}

static void get_and_change(void **state)
{
    (void)state;
    STAGE_PLAY({"GETSET k 1", "$-1"}, {"SET k 1 EX 100", "+OK"}, {"GETSET k 2", "$1 1"},
               {"TTL k", ":-1"}, {"GETDEL k", "$1 2"}, {"GETDEL k", "$-1"}, {"RPUSH l a", ":1"},
               {"GETSET l 1", WRONG_TYPE}, {"GETDEL l", WRONG_TYPE}, {"LLEN l", ":1"});
}

static void getex(void **state)
{
    (void)state;
    STAGE_PLAY({"GETEX k", "$-1"}, {"GETEX k EX abc", "$-1"}, {"GETEX k FOO", SYNTAX},
               {"SET k v", "+OK"}, {"GETEX k", "$1 v"}, {"TTL k", ":-1"}, {"GETEX k EX 10", "$1 v"},
               {"TTL k", ":10"}, {"GETEX k", "$1 v"}, {"TTL k", ":10"}, {"GETEX k PX 500", "$1 v"},
               {"PTTL k", ":500"}, {"GETEX k EXAT 1800000007", "$1 v"}, {"TTL k", ":7"},
               {"GETEX k PXAT 1800000000777", "$1 v"}, {"PTTL k", ":777"},
               {"GETEX k PERSIST", "$1 v"}, {"TTL k", ":-1"}, {"GETEX k PERSIST", "$1 v"},
               {"GETEX k PERSIST EX 5", SYNTAX}, {"GETEX k EX 5 PERSIST", SYNTAX},
               {"GETEX k KEEPTTL", SYNTAX}, {"GETEX k NX", SYNTAX}, {"GETEX k EX", SYNTAX},
               {"GETEX k EX 0", BAD_TIME("getex")}, {"GETEX k EX x", NO_INTEGER},
               {"GETEX k EXAT 1000", "$1 v"}, {"GET k", "$-1"}, {"RPUSH l a", ":1"},
               {"GETEX l EX 5", WRONG_TYPE}, {"TTL l", ":-1"});
}

static void append(void **state)
{
    (void)state;
    STAGE_PLAY({"APPEND k ab", ":2"}, {"APPEND k cd", ":4"}, {"GET k", "$4 abcd"},
               {"APPEND k \"\"", ":4"}, {"APPEND n \"\"", ":0"}, {"EXISTS n", ":1"},
               {"EXPIRE k 10", ":1"}, {"APPEND k e", ":5"}, {"TTL k", ":10"}, {"RPUSH l a", ":1"},
               {"APPEND l b", WRONG_TYPE});
}

static void many(void **state)
{
    (void)state;
    STAGE_PLAY({"MSET a 1 b 2", "+OK"}, {"MGET a b c", "*3 $1 1 $1 2 $-1"},
               {"MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"},
               {"MSETNX c 3 a 4", ":0"}, {"EXISTS c", ":0"}, {"MSETNX c 3 d 4", ":1"},
               {"MGET c d", "*2 $1 3 $1 4"}, {"MSETNX e 1 e 2", ":1"}, {"GET e", "$1 2"},
               {"MSETNX e", "-arity"},
               {"MSETNX x 1 y", "-ERR wrong number of arguments for 'msetnx' command"},
               {"MSET a 1 a 2", "+OK"}, {"GET a", "$1 2"}, {"RPUSH l x", ":1"},
               {"MGET l a", "*2 $-1 $1 2"}, {"MSETNX l 1", ":0"}, {"MSET l 1", "+OK"},
               {"EXPIRE a 10", ":1"}, {"MSET a 3", "+OK"}, {"TTL a", ":-1"});
}

static void integers(void **state)
{
    (void)state;
    STAGE_PLAY({"INCR n", ":1"}, {"INCRBY n 41", ":42"}, {"DECR n", ":41"}, {"DECRBY n 50", ":-9"},
               {"GET n", "$2 -9"}, {"EXPIRE n 10", ":1"}, {"INCR n", ":-8"}, {"TTL n", ":10"},
               {"INCRBY n x", NO_INTEGER}, {"INCRBY n 1.5", NO_INTEGER},
               {"INCRBY n 9223372036854775808", NO_INTEGER}, {"SET n 9223372036854775807", "+OK"},
               {"INCR n", "-ERR increment or decrement would overflow"},
               {"INCRBY n -9223372036854775808", ":-1"},
               {"DECRBY n 9223372036854775807", ":-9223372036854775808"},
               {"DECR n", "-ERR increment or decrement would overflow"},
               {"DECRBY n -9223372036854775808", "-ERR decrement would overflow"},
               {"SET s abc", "+OK"}, {"INCR s", NO_INTEGER}, {"SET s \" 1\"", "+OK"},
               {"INCR s", NO_INTEGER}, {"SET s 01", "+OK"}, {"DECR s", NO_INTEGER},
               {"SET s \"\"", "+OK"}, {"INCR s", NO_INTEGER}, {"RPUSH l a", ":1"},
               {"INCR l", WRONG_TYPE}, {"INCRBY l x", NO_INTEGER});
}

static void floats(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"INCRBYFLOAT f 10.5", "$4 10.5"}, {"INCRBYFLOAT f 0.1", "$4 10.6"},
        {"INCRBYFLOAT f -10.6", "$1 0"}, {"SET f 5.0e3", "+OK"}, {"INCRBYFLOAT f 2.0e2", "$4 5200"},
        {"EXPIRE f 10", ":1"}, {"INCRBYFLOAT f 1", "$4 5201"}, {"TTL f", ":10"},
        {"INCRBYFLOAT f abc", NO_FLOAT}, {"INCRBYFLOAT f \" 1\"", NO_FLOAT},
        {"INCRBYFLOAT f \"1 \"", NO_FLOAT}, {"INCRBYFLOAT f nan", NO_FLOAT},
        {"INCRBYFLOAT f \"\"", NO_FLOAT}, {"INCRBYFLOAT f \"1\\x00\"", NO_FLOAT},
        {"INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity"}, {"GET f", "$4 5201"},
        {"SET s abc", "+OK"}, {"INCRBYFLOAT s 1", NO_FLOAT}, {"RPUSH l a", ":1"},
        {"INCRBYFLOAT l 1", WRONG_TYPE}, {"INCRBYFLOAT l abc", WRONG_TYPE}, {"SET z -0", "+OK"},
        {"INCRBYFLOAT z -0", "$1 0"});
}

/* The longest result there is. */
static void giant_float(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "INCRBYFLOAT f 1e4932");
    assert_int_equal(stage.out.size, 4933 + 9);
    stage_close(&stage);
}

static void nulls_of_resp3(void **state)
{
    static const struct step steps[] = {{"GET k", "_"},         {"SET k v XX", "_"},
                                        {"SET k v", "+OK"},     {"MGET k n", "*2 $1 v _"},
                                        {"GETDEL n", "_"},      {"GETEX n", "_"},
                                        {"LINDEX n 0", "_"},    {"INCRBYFLOAT f 1.5", "$3 1.5"},
                                        {"KEYS k*", "*1 $1 k"}, {"LRANGE n 0 -1", "*0"}};
    struct stage stage;
    (void)state;
    stage_open(&stage, 3);
    stage_play(&stage, steps, sizeof steps / sizeof *steps);
    stage_close(&stage);
}

/* COMMAND-5: the longest string is refused before anything is changed. */
static void too_long_append(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    struct slice arguments[3] = {slice_of_text("APPEND"), slice_of_text("k"),
                                 slice_of(NULL, (size_t)STORE_VALUE_SIZE_MAX)};
    stage_run(&stage, "SET k v");
    stage_run_arguments(&stage, arguments, 3);
    assert_memory_equal(stage.out.at,
                        "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n",
                        stage.out.size);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_and_get),    cmocka_unit_test(set_conditions),
        cmocka_unit_test(set_expiry),     cmocka_unit_test(set_into_the_past),
        cmocka_unit_test(setnx_setex),    cmocka_unit_test(get_and_change),
        cmocka_unit_test(getex),          cmocka_unit_test(append),
        cmocka_unit_test(many),           cmocka_unit_test(integers),
        cmocka_unit_test(floats),         cmocka_unit_test(giant_float),
        cmocka_unit_test(nulls_of_resp3), cmocka_unit_test(too_long_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
