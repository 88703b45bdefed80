/* What the newer protocol answers in another shape: maps, sets, doubles, pairs, nulls. */
#include "tests/command/stage.h"

static void hashes(void **state)
{
    (void)state;
    STAGE_PLAY_AS(3, {"HSET h a 1", ":1"}, {"HGETALL h", "%1 $1 a $1 1"}, {"HGETALL n", "%0"},
                  {"HKEYS h", "*1 $1 a"}, {"HGET h x", "_"}, {"HMGET h a x", "*2 $1 1 _"},
                  {"HRANDFIELD n", "_"}, {"HRANDFIELD h 1", "*1 $1 a"},
                  {"HRANDFIELD h 1 WITHVALUES", "*1 *2 $1 a $1 1"},
                  {"HRANDFIELD h -2 WITHVALUES", "*2 *2 $1 a $1 1 *2 $1 a $1 1"},
                  {"HINCRBYFLOAT h f 0.5", "$3 0.5"}, {"HSCAN n 0", "*2 $1 0 *0"});
}

static void sets(void **state)
{
    (void)state;
    STAGE_PLAY_AS(3, {"SADD s a", ":1"}, {"SMEMBERS s", "~1 $1 a"}, {"SMEMBERS n", "~0"},
                  {"SISMEMBER s a", ":1"}, {"SMISMEMBER s a b", "*2 :1 :0"},
                  {"SINTER s", "~1 $1 a"}, {"SUNION s n", "~1 $1 a"}, {"SDIFF s n", "~1 $1 a"},
                  {"SRANDMEMBER s", "$1 a"}, {"SRANDMEMBER n", "_"}, {"SRANDMEMBER s 1", "*1 $1 a"},
                  {"SPOP n", "_"}, {"SPOP n 1", "~0"}, {"SPOP s 0", "~0"}, {"SPOP s 1", "~1 $1 a"},
                  {"SADD s b", ":1"}, {"SPOP s", "$1 b"}, {"SSCAN n 0", "*2 $1 0 *0"});
}

static void sorted_sets(void **state)
{
    (void)state;
    STAGE_PLAY_AS(
        3, {"ZADD z 1 a 2.5 b", ":2"}, {"ZADD z INCR 1 c", ",1"}, {"ZADD z NX INCR 1 c", "_"},
        {"ZINCRBY z 0.5 c", ",1.5"}, {"ZSCORE z b", ",2.5"}, {"ZSCORE z x", "_"},
        {"ZMSCORE z a x", "*2 ,1 _"}, {"ZRANGE z 0 -1", "*3 $1 a $1 c $1 b"},
        {"ZRANGE z 0 -1 WITHSCORES", "*3 *2 $1 a ,1 *2 $1 c ,1.5 *2 $1 b ,2.5"},
        {"ZRANGEBYSCORE z -inf +inf WITHSCORES LIMIT 0 1", "*1 *2 $1 a ,1"},
        {"ZREVRANGE z 0 0 WITHSCORES", "*1 *2 $1 b ,2.5"}, {"ZRANK z x", "_"},
        {"ZUNION 1 z WITHSCORES", "*3 *2 $1 a ,1 *2 $1 c ,1.5 *2 $1 b ,2.5"},
        {"ZINTER 2 z n WITHSCORES", "*0"}, {"ZDIFF 1 z", "*3 $1 a $1 c $1 b"},
        {"ZPOPMIN z", "*2 $1 a ,1"}, {"ZPOPMAX z 1", "*1 *2 $1 b ,2.5"}, {"ZPOPMIN n", "*0"},
        {"ZPOPMIN n 1", "*0"}, {"ZMPOP 1 n MIN", "_"}, {"ZMPOP 1 z MAX", "*2 $1 z *1 *2 $1 c ,1.5"},
        {"ZADD z -inf a", ":1"}, {"ZRANDMEMBER z", "$1 a"}, {"ZRANDMEMBER n", "_"},
        {"ZRANDMEMBER z 1 WITHSCORES", "*1 *2 $1 a ,-inf"}, {"ZRANDMEMBER z -1", "*1 $1 a"},
        {"ZSCAN z 0", "*2 $1 0 *2 $1 a $4 -inf"}, {"ZSCAN n 0", "*2 $1 0 *0"});
}

static void ranks(void **state)
{
    (void)state;
    STAGE_PLAY_AS(3, {"ZADD z 1.5 a", ":1"}, {"ZRANK z a WITHSCORE", "*2 :0 ,1.5"},
                  {"ZRANK z b WITHSCORE", "_"}, {"ZRANK z b", "_"});
}

static void lists_and_strings(void **state)
{
    (void)state;
    STAGE_PLAY_AS(3, {"LPOP n", "_"}, {"LPOP n 2", "_"}, {"LMPOP 1 n LEFT", "_"},
                  {"LMOVE n m LEFT LEFT", "_"}, {"LPOS n a", "_"}, {"LPOS n a COUNT 0", "*0"},
                  {"RPUSH l 1", ":1"}, {"LPOS l x", "_"}, {"LMPOP 1 l LEFT", "*2 $1 l *1 $1 1"},
                  {"RPUSH l 1", ":1"}, {"SORT l GET n*", "*1 _"},
                  {"BITFIELD k OVERFLOW FAIL SET u1 0 2 GET u1 0", "*2 _ :0"},
                  {"OBJECT ENCODING n", "_"}, {"RANDOMKEY", "$1 l"});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes),
        cmocka_unit_test(sets),
        cmocka_unit_test(sorted_sets),
        cmocka_unit_test(ranks),
        cmocka_unit_test(lists_and_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
