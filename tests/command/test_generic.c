/* Renaming, copying, picking, sorting of keys of any type: every reply and every error. */
#include "base/random.h"
#include "tests/command/stage.h"

#include <stdio.h>

#define WRONG_TYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NO_INTEGER "-ERR value is not an integer or out of range"
#define SYNTAX     "-ERR syntax error"
#define NO_KEY     "-ERR no such key"
#define NO_NUMBERS "-ERR One or more scores can't be converted into double"

static void renaming(void **state)
{
    (void)state;
    STAGE_PLAY({"RENAME n m", NO_KEY}, {"RENAME n n", NO_KEY}, {"RENAMENX n n", NO_KEY},
               {"SET a 1", "+OK"}, {"EXPIRE a 100", ":1"}, {"RENAME a b", "+OK"}, {"GET b", "$1 1"},
               {"TTL b", ":100"}, {"EXISTS a", ":0"}, {"RENAME b b", "+OK"}, {"RENAMENX b b", ":0"},
               {"SET c 3", "+OK"}, {"RENAMENX b c", ":0"}, {"GET c", "$1 3"}, {"RENAME b c", "+OK"},
               {"GET c", "$1 1"}, {"TTL c", ":100"}, {"RPUSH l x y", ":2"}, {"RENAME l c", "+OK"},
               {"LRANGE c 0 -1", "*2 $1 x $1 y"}, {"TTL c", ":-1"}, {"RENAMENX c d", ":1"},
               {"EXISTS c d", ":1"}, {"RENAME d", "-arity"});
}

static void copying(void **state)
{
    (void)state;
    STAGE_PLAY({"COPY n m", ":0"}, {"SET a 1", "+OK"}, {"EXPIRE a 100", ":1"}, {"COPY a b", ":1"},
               {"GET b", "$1 1"}, {"TTL b", ":100"}, {"SET a 2", "+OK"}, {"GET b", "$1 1"},
               {"COPY a b", ":0"}, {"COPY a b REPLACE", ":1"}, {"GET b", "$1 2"},
               {"COPY a a", "-ERR source and destination objects are the same"},
               {"COPY a a REPLACE", "-ERR source and destination objects are the same"},
               {"COPY a b FOO", SYNTAX}, {"COPY a b DB", SYNTAX}, {"COPY a b DB x", NO_INTEGER},
               {"COPY a b DB -1", "-ERR DB index is out of range"},
               {"COPY a b DB 16", "-ERR DB index is out of range"}, {"RPUSH l x y", ":2"},
               {"COPY l b replace", ":1"}, {"LRANGE b 0 -1", "*2 $1 x $1 y"}, {"TTL b", ":-1"},
               {"RPUSH b z", ":3"}, {"LLEN l", ":2"}, {"HSET h f v", ":1"}, {"COPY h h2", ":1"},
               {"HGET h2 f", "$1 v"}, {"SADD s m", ":1"}, {"COPY s s2", ":1"},
               {"SMEMBERS s2", "*1 $1 m"}, {"ZADD z 1.5 m", ":1"}, {"COPY z z2", ":1"},
               {"ZSCORE z2 m", "$3 1.5"});
}

static void objects(void **state)
{
    (void)state;
    STAGE_PLAY({"OBJECT ENCODING n", "$-1"}, {"SET i 12", "+OK"}, {"OBJECT ENCODING i", "$3 int"},
               {"SET s abc", "+OK"}, {"OBJECT encoding s", "$6 embstr"},
               {"SET r 012345678901234567890123456789012345678901234", "+OK"},
               {"OBJECT ENCODING r", "$3 raw"},
               {"SET r 01234567890123456789012345678901234567890123", "+OK"},
               {"OBJECT ENCODING r", "$6 embstr"}, {"RPUSH l a", ":1"},
               {"OBJECT ENCODING l", "$9 quicklist"}, {"HSET h f v", ":1"},
               {"OBJECT ENCODING h", "$8 listpack"},
               {"HSET h f 01234567890123456789012345678901234567890123456789012345678901234", ":0"},
               {"OBJECT ENCODING h", "$9 hashtable"}, {"SADD t 1 2 3", ":3"},
               {"OBJECT ENCODING t", "$6 intset"}, {"SADD t a", ":1"},
               {"OBJECT ENCODING t", "$9 hashtable"}, {"ZADD z 1 m", ":1"},
               {"OBJECT ENCODING z", "$8 listpack"},
               {"ZADD z 1 01234567890123456789012345678901234567890123456789012345678901234", ":1"},
               {"OBJECT ENCODING z", "$8 skiplist"}, {"OBJECT REFCOUNT s", ":1"},
               {"OBJECT REFCOUNT n", "$-1"},
               {"OBJECT FREQ s", "-ERR An LFU maxmemory policy is not selected, access frequency "
                                 "not tracked. Please note that when switching between policies at "
                                 "runtime LRU and LFU data will take some time to adjust."},
               {"OBJECT FREQ n", "$-1"},
               {"OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command"},
               {"OBJECT HELP x", "-ERR wrong number of arguments for 'object|help' command"},
               {"OBJECT FOO", "-ERR unknown subcommand 'FOO'. Try OBJECT HELP."},
               {"OBJECT", "-arity"});
}

static void sorting(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"SORT n", "*0"}, {"RPUSH l 3 1 10 2", ":4"}, {"SORT l", "*4 $1 1 $1 2 $1 3 $2 10"},
        {"SORT l DESC", "*4 $2 10 $1 3 $1 2 $1 1"}, {"SORT l ALPHA", "*4 $1 1 $2 10 $1 2 $1 3"},
        {"SORT l ALPHA desc", "*4 $1 3 $1 2 $2 10 $1 1"}, {"SORT l LIMIT 1 2", "*2 $1 2 $1 3"},
        {"SORT l LIMIT 2 -1", "*2 $1 3 $2 10"}, {"SORT l LIMIT -5 2", "*2 $1 1 $1 2"},
        {"SORT l LIMIT 9 2", "*0"}, {"SORT l LIMIT 0 0", "*0"},
        {"SORT l BY nosort", "*4 $1 3 $1 1 $2 10 $1 2"},
        {"SORT l BY nosort DESC", "*4 $1 2 $2 10 $1 1 $1 3"},
        {"SORT l BY nosort DESC LIMIT 1 2", "*2 $2 10 $1 1"},
        {"SORT l BY nosort LIMIT 1 2", "*2 $1 1 $2 10"}, {"SORT_RO l", "*4 $1 1 $1 2 $1 3 $2 10"},
        {"SORT_RO l STORE d", SYNTAX}, {"SORT l STORE", SYNTAX}, {"SORT l LIMIT 1", SYNTAX},
        {"SORT l LIMIT 1 x", NO_INTEGER}, {"SORT l FOO", SYNTAX}, {"SORT l BY", SYNTAX},
        {"SORT l GET", SYNTAX}, {"RPUSH l x", ":5"}, {"SORT l", NO_NUMBERS},
        {"SORT l ALPHA", "*5 $1 1 $2 10 $1 2 $1 3 $1 x"},
        {"SORT l BY nosort", "*5 $1 3 $1 1 $2 10 $1 2 $1 x"}, {"SET s v", "+OK"},
        {"SORT s", WRONG_TYPE}, {"SORT s FOO", SYNTAX}, {"HSET h f v", ":1"},
        {"SORT h", WRONG_TYPE}, {"RPUSH m 5 1.5 -2 \"\" 0x10", ":5"},
        {"SORT m", "*5 $2 -2 $0  $3 1.5 $1 5 $4 0x10"}, {"RPUSH m inf", ":6"},
        {"SORT m", "*6 $2 -2 $0  $3 1.5 $1 5 $4 0x10 $3 inf"}, {"RPUSH m nan", ":7"},
        {"SORT m", NO_NUMBERS});
}

static void sorting_by_keys(void **state)
{
    (void)state;
    STAGE_PLAY({"RPUSH l 1 2 3", ":3"}, {"MSET w1 30 w2 20 w3 10 n1 one n3 three", "+OK"},
               {"SORT l BY w*", "*3 $1 3 $1 2 $1 1"},
               {"SORT l BY w* DESC GET n*", "*3 $3 one $-1 $5 three"},
               {"SORT l BY w* GET # GET n* GET w*",
                "*9 $1 3 $5 three $2 10 $1 2 $-1 $2 20 $1 1 $3 one $2 30"},
               {"SORT l BY w* GET nostar GET #", "*6 $-1 $1 3 $-1 $1 2 $-1 $1 1"},
               {"SORT l BY v*", "*3 $1 1 $1 2 $1 3"}, {"SORT l BY v* DESC", "*3 $1 3 $1 2 $1 1"},
               {"HSET h1 f c x 7", ":2"}, {"HSET h2 f a x 8", ":2"}, {"HSET h3 f b", ":1"},
               {"SORT l BY h*->f ALPHA", "*3 $1 2 $1 3 $1 1"},
               {"SORT l BY h*->f ALPHA DESC GET h*->x", "*3 $1 7 $-1 $1 8"},
               {"SORT l BY h*->", "*3 $1 1 $1 2 $1 3"}, {"SORT l BY h*", "*3 $1 1 $1 2 $1 3"},
               {"SORT l BY n*", NO_NUMBERS}, {"SORT l BY n* ALPHA", "*3 $1 2 $1 1 $1 3"},
               {"DEL n1", ":1"}, {"SORT l BY n* ALPHA", "*3 $1 1 $1 2 $1 3"},
               {"SORT l BY w* STORE w*", ":3"}, {"LRANGE w* 0 -1", "*3 $1 3 $1 2 $1 1"});
}

static void sorting_sets(void **state)
{
    (void)state;
    STAGE_PLAY({"SADD s 3 1 2", ":3"}, {"SORT s", "*3 $1 1 $1 2 $1 3"},
               {"SORT s DESC", "*3 $1 3 $1 2 $1 1"}, {"ZADD z 1 b 2 a 3 c", ":3"},
               {"SORT z ALPHA", "*3 $1 a $1 b $1 c"}, {"SORT z BY nosort", "*3 $1 b $1 a $1 c"},
               {"SORT z BY nosort DESC", "*3 $1 c $1 a $1 b"},
               {"SORT z BY nosort LIMIT 1 1", "*1 $1 a"},
               {"SORT z BY nosort DESC LIMIT 0 2", "*2 $1 c $1 a"},
               {"SORT s BY nosort STORE d", ":3"}, {"LRANGE d 0 -1", "*3 $1 1 $1 2 $1 3"});
}

static void sorting_into(void **state)
{
    (void)state;
    STAGE_PLAY({"RPUSH l 3 1 2", ":3"}, {"SET d x", "+OK"}, {"EXPIRE d 100", ":1"},
               {"SORT l STORE d", ":3"}, {"LRANGE d 0 -1", "*3 $1 1 $1 2 $1 3"}, {"TTL d", ":-1"},
               {"SORT l STORE l", ":3"}, {"LRANGE l 0 -1", "*3 $1 1 $1 2 $1 3"},
               {"SORT l GET nokey* GET # STORE d", ":6"},
               {"LRANGE d 0 -1", "*6 $0  $1 1 $0  $1 2 $0  $1 3"}, {"SORT n STORE d", ":0"},
               {"EXISTS d", ":0"}, {"SORT n STORE d", ":0"}, {"SORT l LIMIT 5 5 STORE l", ":0"},
               {"EXISTS l", ":0"});
}

static void copying_between_databases(void **state)
{
    (void)state;
    STAGE_PLAY({"SET a 1", "+OK"}, {"EXPIRE a 100", ":1"}, {"COPY a b DB 3", ":1"},
               {"EXISTS b", ":0"}, {"@db 3", ""}, {"GET b", "$1 1"}, {"TTL b", ":100"},
               {"COPY b b", "-ERR source and destination objects are the same"},
               {"COPY b a DB 0", ":0"}, {"COPY b a DB 0 REPLACE", ":1"}, {"COPY b b DB 5", ":1"},
               {"@db 5", ""}, {"GET b", "$1 1"}, {"TTL b", ":100"}, {"SET e v PX 10", "+OK"},
               {"@ms 10", ""}, {"@db 3", ""}, {"COPY b e DB 5", ":1"}, {"@db 5", ""},
               {"GET e", "$1 1"});
}

static void keys_that_ended(void **state)
{
    (void)state;
    STAGE_PLAY({"SET a 1 PX 10", "+OK"}, {"SET b 2", "+OK"}, {"@ms 10", ""}, {"RENAME a b", NO_KEY},
               {"GET b", "$1 2"}, {"SET a 1 PX 10", "+OK"}, {"@ms 10", ""}, {"RENAMENX b a", ":1"},
               {"GET a", "$1 2"}, {"SET b 1 PX 10", "+OK"}, {"@ms 10", ""}, {"COPY a b", ":1"},
               {"GET b", "$1 2"}, {"RPUSH l 1 2", ":2"}, {"MSET w1 5 w2 4", "+OK"},
               {"SORT l BY w* GET n*", "*2 $-1 $-1"}, {"PEXPIRE w1 10", ":1"}, {"@ms 10", ""},
               {"SORT l BY w*", "*2 $1 1 $1 2"}, {"DBSIZE", ":4"}, {"SET n1 x PX 10", "+OK"},
               {"@ms 10", ""}, {"SORT l GET n* STORE d", ":2"}, {"LRANGE d 0 -1", "*2 $0  $0 "},
               {"SET n2 x PX 10", "+OK"}, {"@ms 10", ""}, {"SORT_RO l GET n*", "*2 $-1 $-1"},
               {"OBJECT ENCODING n2", "$-1"}, {"SADD s a", ":1"}, {"SADD t a b", ":2"},
               {"PEXPIRE s 10", ":1"}, {"@ms 10", ""}, {"SINTERCARD 2 s t", ":0"},
               {"SDIFFSTORE t t s", ":2"}, {"SCARD t", ":2"}, {"ZADD z 1 m", ":1"},
               {"PEXPIRE z 10", ":1"}, {"@ms 10", ""}, {"ZUNIONSTORE y 2 z t", ":2"},
               {"ZCARD y", ":2"}, {"SET l v PX 10", "+OK"}, {"@ms 10", ""},
               {"LMOVE l l LEFT LEFT", "$-1"});
}

static void some_key(void **state)
{
    (void)state;
    STAGE_PLAY({"RANDOMKEY", "$-1"}, {"SET a 1", "+OK"}, {"RANDOMKEY", "$1 a"}, {"@db 3", ""},
               {"RANDOMKEY", "$-1"}, {"@db 0", ""}, {"SET b 1 PX 10", "+OK"}, {"@ms 10", ""},
               {"RANDOMKEY", "$1 a"}, {"FLUSHALL", "+OK"}, {"SET b 1 PX 10", "+OK"}, {"@ms 10", ""},
               {"RANDOMKEY", "$-1"}, {"RANDOMKEY x", "-arity"});
}

static void scanning_types(void **state)
{
    (void)state;
    STAGE_PLAY({"SET a 1", "+OK"}, {"SCAN 0 COUNT 100 TYPE string", "*2 $1 0 *1 $1 a"},
               {"SCAN 0 COUNT 100 TYPE hash", "*2 $1 0 *0"}, {"FLUSHALL", "+OK"},
               {"HSET a f v", ":1"}, {"SCAN 0 COUNT 100 TYPE hash", "*2 $1 0 *1 $1 a"},
               {"TYPE a", "+hash"}, {"FLUSHALL", "+OK"}, {"SADD a m", ":1"},
               {"SCAN 0 COUNT 100 TYPE set", "*2 $1 0 *1 $1 a"}, {"TYPE a", "+set"},
               {"FLUSHALL", "+OK"}, {"ZADD a 1 m", ":1"},
               {"SCAN 0 COUNT 100 TYPE zset", "*2 $1 0 *1 $1 a"}, {"TYPE a", "+zset"},
               {"SCAN 0 COUNT 100 TYPE string", "*2 $1 0 *0"});
}

static void object_answers(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"SET s v", "+OK"},
        {"OBJECT IDLETIME s", "-ERR idle time is not tracked: reads leave no mark on a key"},
        {"OBJECT IDLETIME n", "$-1"},
        {"OBJECT HELP",
         "*11 +OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are: +ENCODING <key> +   "
         " How Redis would hold the value of a key. +FREQ <key> +    How often a key is used: not "
         "tracked. +IDLETIME <key> +    How long a key has not been used: not tracked. +REFCOUNT "
         "<key> +    How many share the value of a key. +HELP +    These lines."});
}

/* ---- large ones ---- */

static void sorts_many(void **state)
{
    struct stage stage;
    struct random random;
    struct resp_item item;
    char line[64];
    int64_t last = INT64_MIN, number;
    (void)state;
    stage_open(&stage, 2);
    random_init(&random, 3);
    for (int i = 0; i < 3000; i++) {
        snprintf(line, sizeof line, "RPUSH l %d", (int)random_below(&random, 100000) - 50000);
        stage_run(&stage, line);
    }
    assert_string_equal(stage_run(&stage, "SORT l STORE d"), ":3000");
    stage_run(&stage, "LRANGE d 0 -1");
    struct slice rest = slice_of_buffer(&stage.out);
    assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
        assert_int_equal(slice_to_i64(item.bytes, &number), STATUS_OK);
        assert_true(number >= last);
        last = number;
    }
    stage_close(&stage);
}

/* Values of every type, small and large, keep all they have under another key. */
static void copies_are_equal(void **state)
{
    static const char *const forms[] = {"RPUSH k e%d", "HSET k f%d v%d", "SADD k m%d",
                                        "ZADD k %d m%d", "APPEND k bytes%d"};
    static const unsigned sizes[] = {1, 30, 2000};
    struct stage stage;
    char line[64];
    (void)state;
    stage_open(&stage, 2);
    for (size_t i = 0; i < 5 * 3; i++) {
        for (int j = 0; j < (int)sizes[i % 3]; j++) {
            snprintf(line, sizeof line, forms[i / 3], j, j);
            stage_run(&stage, line);
        }
        stage_run(&stage, "EXPIRE k 1000");
        uint64_t digest = store_digest(stage.leader);
        assert_string_equal(stage_run(&stage, "COPY k copy"), ":1");
        assert_string_equal(stage_run(&stage, "DEL k"), ":1");
        assert_string_equal(stage_run(&stage, "RENAME copy k"), "+OK");
        assert_int_equal(store_digest(stage.leader), digest);
        stage_run(&stage, "FLUSHALL");
    }
    stage_close(&stage);
}

/* Chance reaches every key of a database among others. */
static void every_key_is_picked(void **state)
{
    struct stage stage;
    bool seen[30] = {false};
    char line[64];
    int number;
    (void)state;
    stage_open(&stage, 2);
    for (int i = 0; i < 300; i++) {
        stage.database = i % 10 ? 1 : 0;
        snprintf(line, sizeof line, "SET key:%d v", i / 10);
        stage_run(&stage, line);
    }
    stage.database = 0;
    for (int i = 0; i < 2000; i++) {
        stage.now_us += 1000;
        assert_int_equal(sscanf(stage_run(&stage, "RANDOMKEY"), "$%*d key:%d", &number), 1);
        seen[number] = true;
    }
    for (int i = 0; i < 30; i++)
        assert_true(seen[i]);
    stage_close(&stage);
}

/* What a request makes of other keys has the limit of what it may carry, 64 bytes for each element
 * beside its own (record 0032): refused before anything is changed, and what fits is made. */
#define TOO_MUCH                                                                                   \
    "-ERR this would make more of other keys than twice the maximum size of a string "             \
    "(proto-max-bulk-len; each element counts 64 bytes more): nothing was done; do it in parts"

static void made_of_sets(void **state)
{
    (void)state;
    STAGE_PLAY({"SADD a 1 2", ":2"}, {"SADD b 2 3", ":2"}, {"SADD s 1 2 3 4", ":4"},
               {"SET d kept", "+OK"}, {"@limit 100", ""}, {"SUNIONSTORE d a b", TOO_MUCH},
               {"SUNIONSTORE d s", TOO_MUCH}, {"SDIFFSTORE d s a", TOO_MUCH},
               {"SINTERSTORE d s s", TOO_MUCH}, {"GET d", "$4 kept"}, {"SINTERSTORE d s a", ":2"},
               {"SDIFFSTORE d a s", ":0"}, {"SUNIONSTORE d a", ":2"},
               {"COPY s d REPLACE", TOO_MUCH}, {"COPY a d REPLACE", ":1"}, {"@limit 1000", ""},
               {"SUNIONSTORE d a b s", ":4"}, {"COPY s d REPLACE", ":1"});
}

static void made_of_sorted_sets(void **state)
{
    (void)state;
    STAGE_PLAY({"ZADD a 1 1 2 2", ":2"}, {"ZADD b 2 2 3 3", ":2"}, {"ZADD z 1 1 2 2 3 3 4 4", ":4"},
               {"SET d kept", "+OK"}, {"@limit 100", ""}, {"ZUNIONSTORE d 2 a b", TOO_MUCH},
               {"ZINTERSTORE d 2 z z", TOO_MUCH}, {"ZDIFFSTORE d 2 z a", TOO_MUCH},
               {"ZRANGESTORE d z 0 -1", TOO_MUCH}, {"COPY z d REPLACE", TOO_MUCH},
               {"GET d", "$4 kept"}, {"ZRANGESTORE d z 0 1", ":2"}, {"ZINTERSTORE d 2 z a", ":2"},
               {"ZUNIONSTORE d 1 a", ":2"}, {"@limit 1000", ""}, {"ZUNIONSTORE d 2 a z", ":4"});
}

static void made_of_others(void **state)
{
    (void)state;
    STAGE_PLAY({"RPUSH l 3 1 2 4", ":4"}, {"RPUSH two 2 1", ":2"}, {"HSET h 1 a 2 b 3 c 4 d", ":4"},
               {"SET w1 0123456789012345678901234567890123456789", "+OK"},
               {"SET w2 0123456789012345678901234567890123456789", "+OK"}, {"@limit 100", ""},
               {"SORT l STORE d", TOO_MUCH}, {"COPY l d", TOO_MUCH}, {"COPY h d", TOO_MUCH},
               {"SORT two BY nosort GET w* STORE d", TOO_MUCH}, {"EXISTS d", ":0"},
               {"SORT two STORE d", ":2"}, {"COPY w1 v", ":1"}, {"SORT l LIMIT 0 1", "*1 $1 1"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renaming),
        cmocka_unit_test(copying),
        cmocka_unit_test(objects),
        cmocka_unit_test(sorting),
        cmocka_unit_test(sorting_by_keys),
        cmocka_unit_test(sorting_sets),
        cmocka_unit_test(sorting_into),
        cmocka_unit_test(copying_between_databases),
        cmocka_unit_test(keys_that_ended),
        cmocka_unit_test(some_key),
        cmocka_unit_test(scanning_types),
        cmocka_unit_test(object_answers),
        cmocka_unit_test(sorts_many),
        cmocka_unit_test(copies_are_equal),
        cmocka_unit_test(every_key_is_picked),
        cmocka_unit_test(made_of_sets),
        cmocka_unit_test(made_of_sorted_sets),
        cmocka_unit_test(made_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
