/* Sorted sets: every reply and every error. */
#include "base/random.h"
#include "tests/command/stage.h"

#include <stdio.h>

#define WRONG_TYPE   "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NO_INTEGER   "-ERR value is not an integer or out of range"
#define SYNTAX       "-ERR syntax error"
#define NO_FLOAT     "-ERR value is not a valid float"
#define NO_AMOUNT    "-ERR value is out of range, must be positive"
#define NO_BOUND     "-ERR min or max is not a float"
#define NO_LEX       "-ERR min or max not valid string range item"
#define NO_KEYS      "-ERR numkeys should be greater than 0"
#define NO_COUNT     "-ERR count should be greater than 0"
#define OUT_OF_RANGE "-ERR value is out of range"
#define NO_CURSOR    "-ERR invalid cursor"
#define NO_LIMIT     "-ERR LIMIT can't be negative"
#define NO_WEIGHT    "-ERR weight value is not a float"
#define GT_ALONE     "-ERR GT, LT, and/or NX options at the same time are not compatible"

static void adding(void **state)
{
    (void)state;
    STAGE_PLAY({"ZADD z 1 a", ":1"}, {"ZADD z 1 a 2 b", ":1"}, {"ZADD z 3 b", ":0"},
               {"ZADD z CH 4 b 5 c", ":2"}, {"ZADD z CH 4 b", ":0"}, {"ZADD z XX 9 d", ":0"},
               {"ZCARD z", ":3"}, {"ZADD z XX CH 9 a 9 d", ":1"}, {"ZSCORE z a", "$1 9"},
               {"ZADD z NX 1 a 1 d", ":1"}, {"ZSCORE z a", "$1 9"}, {"ZADD z GT 8 a", ":0"},
               {"ZADD z GT CH 10 a", ":1"}, {"ZADD z LT CH 12 a", ":0"}, {"ZADD z LT CH 2 a", ":1"},
               {"ZADD z GT 7 e", ":1"}, {"ZADD z XX GT 8 f", ":0"}, {"ZADD z 1.5 a 2.5 a", ":0"},
               {"ZSCORE z a", "$3 2.5"}, {"ZADD z inf i -inf j +inf k", ":3"},
               {"ZMSCORE z i j k x", "*4 $3 inf $4 -inf $3 inf $-1"}, {"ZADD z -0 o", ":1"},
               {"ZSCORE z o", "$1 0"}, {"ZADD n XX 1 a", ":0"}, {"EXISTS n", ":0"},
               {"EXPIRE z 100", ":1"}, {"ZADD z 1 zz", ":1"}, {"TTL z", ":100"});
}

static void adding_wrongly(void **state)
{
    (void)state;
    STAGE_PLAY({"ZADD z 1 a", ":1"}, {"ZADD z x a", NO_FLOAT}, {"ZADD z 1 b nan c", NO_FLOAT},
               {"ZADD z \"\" a", NO_FLOAT}, {"ZADD z \" 1\" a", NO_FLOAT},
               {"ZADD z 1e400 a", NO_FLOAT}, {"ZADD z 1", "-arity"}, {"ZADD z NX", "-arity"},
               {"ZADD z NX 1", SYNTAX}, {"ZADD z 1 a 2", SYNTAX}, {"ZADD z FOO 1 a", SYNTAX},
               {"ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible"},
               {"ZADD z NX GT 1 a", GT_ALONE}, {"ZADD z GT LT 1 a", GT_ALONE},
               {"ZADD z LT NX 1 a", GT_ALONE},
               {"ZADD z INCR 1 a 2 b", "-ERR INCR option supports a single increment-element pair"},
               {"ZCARD z", ":1"}, {"SET s v", "+OK"}, {"ZADD s 1 a", WRONG_TYPE},
               {"ZADD s x a", NO_FLOAT}, {"ZADD s XX 1 a", WRONG_TYPE},
               {"ZINCRBY s 1 a", WRONG_TYPE});
}

static void increasing(void **state)
{
    (void)state;
    STAGE_PLAY({"ZADD z INCR 1.5 a", "$3 1.5"}, {"ZADD z INCR 1.5 a", "$1 3"},
               {"ZADD z NX INCR 1 a", "$-1"}, {"ZADD z NX INCR 1 b", "$1 1"},
               {"ZADD z XX INCR 1 c", "$-1"}, {"ZADD z XX INCR 1 b", "$1 2"},
               {"ZADD z GT INCR -1 a", "$-1"}, {"ZADD z GT INCR 0 a", "$-1"},
               {"ZADD z GT INCR 1 a", "$1 4"}, {"ZADD z LT INCR 1 a", "$-1"},
               {"ZADD z INCR 0 a", "$1 4"}, {"ZADD z inf i", ":1"},
               {"ZADD z INCR -inf i", "-ERR resulting score is not a number (NaN)"},
               {"ZINCRBY z -inf i", "-ERR resulting score is not a number (NaN)"},
               {"ZINCRBY z 2 a", "$1 6"}, {"ZINCRBY z -2.25 new", "$5 -2.25"},
               {"ZINCRBY z x a", NO_FLOAT}, {"ZINCRBY z nan a", NO_FLOAT},
               {"ZINCRBY z 0.1 t", "$3 0.1"}, {"ZINCRBY z 0.2 t", "$19 0.30000000000000004"},
               {"ZINCRBY z 1e21 big", "$5 1e+21"}, {"ZSCORE z big", "$5 1e+21"});
}

static void members(void **state)
{
    (void)state;
    STAGE_PLAY({"ZADD z 1 a 2 b 2 c 3 d", ":4"}, {"ZSCORE z a", "$1 1"}, {"ZSCORE z x", "$-1"},
               {"ZSCORE n a", "$-1"}, {"ZMSCORE z a x d", "*3 $1 1 $-1 $1 3"},
               {"ZMSCORE n a", "*1 $-1"}, {"ZCARD n", ":0"}, {"ZRANK z a", ":0"},
               {"ZRANK z c", ":2"}, {"ZREVRANK z d", ":0"}, {"ZREVRANK z b", ":2"},
               {"ZRANK z x", "$-1"}, {"ZRANK n a", "$-1"}, {"ZREM z x", ":0"},
               {"ZREM z a x a", ":1"}, {"ZRANK z b", ":0"}, {"ZREM n a", ":0"},
               {"ZREM z b c d e", ":3"}, {"EXISTS z", ":0"}, {"SET s v", "+OK"},
               {"ZSCORE s a", WRONG_TYPE}, {"ZMSCORE s a", WRONG_TYPE}, {"ZCARD s", WRONG_TYPE},
               {"ZRANK s a", WRONG_TYPE}, {"ZREVRANK s a", WRONG_TYPE}, {"ZREM s a", WRONG_TYPE});
}

static void ranges_by_rank(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"ZRANGE n 0 -1", "*0"}, {"ZADD z 1 a 2 b 2 c 3.5 d", ":4"},
        {"ZRANGE z 0 -1", "*4 $1 a $1 b $1 c $1 d"}, {"ZRANGE z 1 2", "*2 $1 b $1 c"},
        {"ZRANGE z -2 -1", "*2 $1 c $1 d"}, {"ZRANGE z 0 0 WITHSCORES", "*2 $1 a $1 1"},
        {"ZRANGE z -1 -1 withscores", "*2 $1 d $3 3.5"}, {"ZRANGE z 2 1", "*0"},
        {"ZRANGE z 4 9", "*0"}, {"ZRANGE z -100 100", "*4 $1 a $1 b $1 c $1 d"},
        {"ZRANGE z 0 1 REV", "*2 $1 d $1 c"},
        {"ZRANGE z 0 -1 REV WITHSCORES", "*8 $1 d $3 3.5 $1 c $1 2 $1 b $1 2 $1 a $1 1"},
        {"ZREVRANGE z 0 1", "*2 $1 d $1 c"}, {"ZREVRANGE z -1 -1 WITHSCORES", "*2 $1 a $1 1"},
        {"ZREVRANGE z 5 9", "*0"}, {"ZRANGE z x 1", NO_INTEGER}, {"ZRANGE z 1 x", NO_INTEGER},
        {"ZRANGE z 0 -1 LIMIT 1 1",
         "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"},
        {"ZRANGE z 0 -1 LIMIT 1 -1", "*4 $1 a $1 b $1 c $1 d"}, {"ZRANGE z 0 -1 FOO", SYNTAX},
        {"ZRANGE z 0 -1 REV REV", SYNTAX}, {"ZREVRANGE z 0 -1 REV", SYNTAX},
        {"ZREVRANGE z 0 -1 BYSCORE", SYNTAX}, {"SET s v", "+OK"}, {"ZRANGE s 0 -1", WRONG_TYPE},
        {"ZREVRANGE s 0 -1", WRONG_TYPE}, {"ZRANGE s x 1", NO_INTEGER});
}

static void ranges_by_score(void **state)
{
    (void)state;
    STAGE_PLAY({"ZADD z 1 a 2 b 3 c 4 d", ":4"}, {"ZRANGEBYSCORE z 2 3", "*2 $1 b $1 c"},
               {"ZRANGEBYSCORE z (2 (4", "*1 $1 c"},
               {"ZRANGEBYSCORE z (2 +inf WITHSCORES", "*4 $1 c $1 3 $1 d $1 4"},
               {"ZRANGEBYSCORE z -inf inf LIMIT 1 2", "*2 $1 b $1 c"},
               {"ZRANGEBYSCORE z -inf +inf LIMIT 1 -1", "*3 $1 b $1 c $1 d"},
               {"ZRANGEBYSCORE z -inf +inf LIMIT 9 1", "*0"},
               {"ZRANGEBYSCORE z -inf +inf LIMIT -1 1", "*0"},
               {"ZRANGEBYSCORE z -inf +inf LIMIT 0 0", "*0"}, {"ZRANGEBYSCORE z 3 2", "*0"},
               {"ZRANGEBYSCORE z (2 2", "*0"}, {"ZRANGEBYSCORE z (2 (2", "*0"},
               {"ZREVRANGEBYSCORE z +inf -inf", "*4 $1 d $1 c $1 b $1 a"},
               {"ZREVRANGEBYSCORE z 3 (1 WITHSCORES", "*4 $1 c $1 3 $1 b $1 2"},
               {"ZREVRANGEBYSCORE z 4 1 LIMIT 1 2", "*2 $1 c $1 b"},
               {"ZREVRANGEBYSCORE z 1 4", "*0"}, {"ZRANGE z 2 3 BYSCORE", "*2 $1 b $1 c"},
               {"ZRANGE z (3 1 BYSCORE REV", "*2 $1 b $1 a"},
               {"ZRANGE z 3 (1 BYSCORE REV LIMIT 0 1 WITHSCORES", "*2 $1 c $1 3"},
               {"ZRANGEBYSCORE z x 1", NO_BOUND}, {"ZRANGEBYSCORE z 1 nan", NO_BOUND},
               {"ZRANGEBYSCORE z ((1 2", NO_BOUND}, {"ZRANGEBYSCORE z 1 2 LIMIT 1", SYNTAX},
               {"ZRANGEBYSCORE z 1 2 LIMIT x 1", NO_INTEGER},
               {"ZRANGEBYSCORE z 1 2 BYSCORE", SYNTAX}, {"ZRANGE z 1 2 BYSCORE BYLEX", SYNTAX},
               {"ZRANGEBYSCORE n 1 2", "*0"}, {"ZCOUNT z 2 3", ":2"}, {"ZCOUNT z (2 +inf", ":2"},
               {"ZCOUNT z 4 1", ":0"}, {"ZCOUNT n 1 2", ":0"}, {"ZCOUNT z x 1", NO_BOUND},
               {"SET s v", "+OK"}, {"ZRANGEBYSCORE s 1 2", WRONG_TYPE},
               {"ZCOUNT s 1 2", WRONG_TYPE}, {"ZCOUNT s x 2", NO_BOUND});
}

static void ranges_by_bytes(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"ZADD z 0 a 0 b 0 c 0 d 0 e", ":5"}, {"ZRANGEBYLEX z - +", "*5 $1 a $1 b $1 c $1 d $1 e"},
        {"ZRANGEBYLEX z [b (d", "*2 $1 b $1 c"}, {"ZRANGEBYLEX z (b [d", "*2 $1 c $1 d"},
        {"ZRANGEBYLEX z - (c", "*2 $1 a $1 b"}, {"ZRANGEBYLEX z [cc +", "*2 $1 d $1 e"},
        {"ZRANGEBYLEX z + -", "*0"}, {"ZRANGEBYLEX z - + LIMIT 1 2", "*2 $1 b $1 c"},
        {"ZREVRANGEBYLEX z + -", "*5 $1 e $1 d $1 c $1 b $1 a"},
        {"ZREVRANGEBYLEX z [d (b", "*2 $1 d $1 c"},
        {"ZREVRANGEBYLEX z + - LIMIT 1 2", "*2 $1 d $1 c"},
        {"ZRANGE z [b [c BYLEX", "*2 $1 b $1 c"}, {"ZRANGE z [c [b BYLEX REV", "*2 $1 c $1 b"},
        {"ZRANGE z - + BYLEX LIMIT 3 9", "*2 $1 d $1 e"},
        {"ZRANGE z [b [c BYLEX WITHSCORES",
         "-ERR syntax error, WITHSCORES not supported in combination with BYLEX"},
        {"ZRANGEBYLEX z b c", NO_LEX}, {"ZRANGEBYLEX z \"\" +", NO_LEX},
        {"ZRANGEBYLEX z -x +", NO_LEX},
        {"ZRANGEBYLEX z - + WITHSCORES",
         "-ERR syntax error, WITHSCORES not supported in combination with BYLEX"},
        {"ZLEXCOUNT z - +", ":5"}, {"ZLEXCOUNT z [b (d", ":2"}, {"ZLEXCOUNT z (d [b", ":0"},
        {"ZLEXCOUNT n - +", ":0"}, {"ZLEXCOUNT z b c", NO_LEX}, {"SET s v", "+OK"},
        {"ZRANGEBYLEX s - +", WRONG_TYPE}, {"ZLEXCOUNT s - +", WRONG_TYPE},
        {"ZLEXCOUNT s x +", NO_LEX});
}

static void ranges_stored(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"ZADD z 1 a 2 b 3 c 4 d", ":4"}, {"ZRANGESTORE d z 1 2", ":2"},
        {"ZRANGE d 0 -1 WITHSCORES", "*4 $1 b $1 2 $1 c $1 3"},
        {"ZRANGESTORE d z (1 3 BYSCORE", ":2"}, {"ZRANGE d 0 -1", "*2 $1 b $1 c"},
        {"ZRANGESTORE d z 4 1 BYSCORE REV LIMIT 1 2", ":2"}, {"ZRANGE d 0 -1", "*2 $1 b $1 c"},
        {"EXPIRE d 100", ":1"}, {"ZRANGESTORE d z 0 0", ":1"}, {"TTL d", ":-1"},
        {"ZRANGESTORE d z 8 9", ":0"}, {"EXISTS d", ":0"}, {"ZRANGESTORE d z 8 9", ":0"},
        {"ZRANGESTORE d n 0 -1", ":0"}, {"ZRANGESTORE d z 0 -1 WITHSCORES", SYNTAX},
        {"ZRANGESTORE d z x 1", NO_INTEGER},
        {"ZRANGESTORE d z 0 -1 LIMIT 0 1",
         "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"},
        {"ZRANGESTORE z z 1 -2", ":2"}, {"ZRANGE z 0 -1", "*2 $1 b $1 c"}, {"SET s v", "+OK"},
        {"ZRANGESTORE d s 0 -1", WRONG_TYPE}, {"ZRANGESTORE s z 0 -1", ":2"}, {"TYPE s", "+zset"},
        {"ZRANGESTORE s n 0 -1", ":0"}, {"EXISTS s", ":0"});
}

static void removing_ranges(void **state)
{
    (void)state;
    STAGE_PLAY({"ZADD z 1 a 2 b 3 c 4 d 5 e 6 f", ":6"}, {"ZREMRANGEBYRANK z 0 0", ":1"},
               {"ZREMRANGEBYRANK z -1 -1", ":1"}, {"ZREMRANGEBYRANK z 8 9", ":0"},
               {"ZREMRANGEBYRANK z x 1", NO_INTEGER}, {"ZREMRANGEBYSCORE z (2 3", ":1"},
               {"ZREMRANGEBYSCORE z 3 2", ":0"}, {"ZREMRANGEBYSCORE z x 2", NO_BOUND},
               {"ZRANGE z 0 -1", "*3 $1 b $1 d $1 e"}, {"ZREMRANGEBYSCORE z -inf +inf", ":3"},
               {"EXISTS z", ":0"}, {"ZREMRANGEBYRANK z 0 -1", ":0"}, {"ZADD z 0 a 0 b 0 c", ":3"},
               {"ZREMRANGEBYLEX z [b (c", ":1"}, {"ZREMRANGEBYLEX z x c", NO_LEX},
               {"ZRANGE z 0 -1", "*2 $1 a $1 c"}, {"ZREMRANGEBYLEX z - +", ":2"},
               {"EXISTS z", ":0"}, {"SET s v", "+OK"}, {"ZREMRANGEBYRANK s 0 1", WRONG_TYPE},
               {"ZREMRANGEBYSCORE s 0 1", WRONG_TYPE}, {"ZREMRANGEBYLEX s - +", WRONG_TYPE},
               {"ZREMRANGEBYRANK s x 1", NO_INTEGER});
}

static void popping(void **state)
{
    (void)state;
    STAGE_PLAY({"ZPOPMIN n", "*0"}, {"ZPOPMAX n 2", "*0"}, {"ZADD z 1 a 2 b 3 c 4 d 5 e", ":5"},
               {"ZPOPMIN z", "*2 $1 a $1 1"}, {"ZPOPMAX z", "*2 $1 e $1 5"},
               {"ZPOPMIN z 2", "*4 $1 b $1 2 $1 c $1 3"}, {"ZPOPMAX z 0", "*0"},
               {"ZPOPMAX z 9", "*2 $1 d $1 4"}, {"EXISTS z", ":0"}, {"ZADD z 1 a", ":1"},
               {"ZPOPMIN z -1", NO_AMOUNT}, {"ZPOPMIN z x", NO_AMOUNT}, {"ZPOPMIN z 1 2", SYNTAX},
               {"SET s v", "+OK"}, {"ZPOPMIN s", WRONG_TYPE}, {"ZPOPMAX s 1", WRONG_TYPE},
               {"ZPOPMIN s 0", WRONG_TYPE}, {"ZMPOP 1 n MIN", "*-1"}, {"ZADD y 1 a 2 b 3 c", ":3"},
               {"ZMPOP 2 n y MIN", "*2 $1 y *1 *2 $1 a $1 1"},
               {"ZMPOP 2 n y MAX COUNT 5", "*2 $1 y *2 *2 $1 c $1 3 *2 $1 b $1 2"},
               {"EXISTS y", ":0"}, {"ZMPOP 1 z MIN COUNT 0", NO_COUNT},
               {"ZMPOP 1 z MIDDLE", SYNTAX}, {"ZMPOP 0 z MIN", NO_KEYS}, {"ZMPOP 2 z MIN", SYNTAX},
               {"ZMPOP 1 z MIN COUNT 1 COUNT 1", SYNTAX}, {"ZMPOP 2 n s MIN", WRONG_TYPE},
               {"ZMPOP 2 z s MIN", "*2 $1 z *1 *2 $1 a $1 1"});
}

static void picking(void **state)
{
    (void)state;
    STAGE_PLAY({"ZRANDMEMBER n", "$-1"}, {"ZRANDMEMBER n 3", "*0"}, {"ZADD z 1.5 a", ":1"},
               {"ZRANDMEMBER z", "$1 a"}, {"ZRANDMEMBER z 0", "*0"}, {"ZRANDMEMBER z 5", "*1 $1 a"},
               {"ZRANDMEMBER z -2", "*2 $1 a $1 a"},
               {"ZRANDMEMBER z 5 WITHSCORES", "*2 $1 a $3 1.5"},
               {"ZRANDMEMBER z -2 WITHSCORES", "*4 $1 a $3 1.5 $1 a $3 1.5"},
               {"ZRANDMEMBER z x", NO_INTEGER}, {"ZRANDMEMBER z 1 FOO", SYNTAX},
               {"ZRANDMEMBER z 4611686018427387904 WITHSCORES", OUT_OF_RANGE}, {"SET s v", "+OK"},
               {"ZRANDMEMBER s", WRONG_TYPE}, {"ZRANDMEMBER s 1", WRONG_TYPE});
}

static void scanning(void **state)
{
    (void)state;
    STAGE_PLAY({"ZSCAN n 0", "*2 $1 0 *0"}, {"ZADD z 1.5 a", ":1"},
               {"ZSCAN z 0", "*2 $1 0 *2 $1 a $3 1.5"}, {"ZSCAN z 0 MATCH b*", "*2 $1 0 *0"},
               {"ZSCAN z 0 COUNT 9", "*2 $1 0 *2 $1 a $3 1.5"}, {"ZSCAN z 0 FOO", SYNTAX},
               {"ZSCAN z x", NO_CURSOR}, {"SET s v", "+OK"}, {"ZSCAN s 0", WRONG_TYPE});
}

static void together(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"ZADD a 1 x 2 y 3 z", ":3"}, {"ZADD b 10 y 20 z 30 w", ":3"}, {"SADD s y q", ":2"},
        {"ZUNION 2 a b", "*4 $1 x $1 y $1 z $1 w"},
        {"ZUNION 2 a b WITHSCORES", "*8 $1 x $1 1 $1 y $2 12 $1 z $2 23 $1 w $2 30"},
        {"ZUNION 2 a b WEIGHTS 2 0.5 WITHSCORES", "*8 $1 x $1 2 $1 y $1 9 $1 w $2 15 $1 z $2 16"},
        {"ZUNION 2 a b AGGREGATE MAX WITHSCORES", "*8 $1 x $1 1 $1 y $2 10 $1 z $2 20 $1 w $2 30"},
        {"ZUNION 2 a b AGGREGATE MIN WEIGHTS 1 -1 WITHSCORES",
         "*8 $1 w $3 -30 $1 z $3 -20 $1 y $3 -10 $1 x $1 1"},
        {"ZUNION 2 a s WITHSCORES", "*8 $1 q $1 1 $1 x $1 1 $1 y $1 3 $1 z $1 3"},
        {"ZUNION 2 n s WITHSCORES", "*4 $1 q $1 1 $1 y $1 1"},
        {"ZUNION 2 a a WITHSCORES", "*6 $1 x $1 2 $1 y $1 4 $1 z $1 6"},
        {"ZINTER 2 a b", "*2 $1 y $1 z"}, {"ZINTER 2 a b WITHSCORES", "*4 $1 y $2 12 $1 z $2 23"},
        {"ZINTER 3 a b s WITHSCORES", "*2 $1 y $2 13"},
        {"ZINTER 2 a b WEIGHTS 0 1 AGGREGATE SUM WITHSCORES", "*4 $1 y $2 10 $1 z $2 20"},
        {"ZINTER 2 a n", "*0"}, {"ZINTER 2 a a WITHSCORES", "*6 $1 x $1 2 $1 y $1 4 $1 z $1 6"},
        {"ZDIFF 2 a b", "*1 $1 x"}, {"ZDIFF 2 a b WITHSCORES", "*2 $1 x $1 1"},
        {"ZDIFF 2 a s", "*2 $1 x $1 z"}, {"ZDIFF 2 n a", "*0"}, {"ZDIFF 2 a a", "*0"},
        {"ZINTERCARD 2 a b", ":2"}, {"ZINTERCARD 2 a b LIMIT 1", ":1"},
        {"ZINTERCARD 2 a b LIMIT 0", ":2"}, {"ZINTERCARD 2 a n", ":0"}, {"ZADD i inf x", ":1"},
        {"ZADD j -inf x", ":1"}, {"ZUNION 2 i j WITHSCORES", "*2 $1 x $1 0"},
        {"ZINTER 2 i j WITHSCORES", "*2 $1 x $1 0"},
        {"ZUNION 1 i WEIGHTS 0 WITHSCORES", "*2 $1 x $1 0"});
}

static void together_wrongly(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"ZADD a 1 x", ":1"}, {"SET k v", "+OK"},
        {"ZUNION 0 a", "-ERR at least 1 input key is needed for 'zunion' command"},
        {"ZUNION -1 a", "-ERR at least 1 input key is needed for 'zunion' command"},
        {"ZUNION x a", NO_INTEGER}, {"ZUNION 2 a", SYNTAX},
        {"ZUNION 9223372036854775807 a", SYNTAX}, {"ZUNION 1 a FOO", SYNTAX},
        {"ZUNION 1 a WEIGHTS", SYNTAX}, {"ZUNION 1 a WEIGHTS x", NO_WEIGHT},
        {"ZUNION 1 a WEIGHTS nan", NO_WEIGHT}, {"ZUNION 1 a WEIGHTS 1 2", SYNTAX},
        {"ZUNION 1 a AGGREGATE", SYNTAX}, {"ZUNION 1 a AGGREGATE AVG", SYNTAX},
        {"ZUNION 2 a k", WRONG_TYPE}, {"ZINTER 1 k", WRONG_TYPE}, {"ZDIFF 1 k", WRONG_TYPE},
        {"ZDIFF 1 a WEIGHTS 1", SYNTAX}, {"ZDIFF 1 a AGGREGATE SUM", SYNTAX},
        {"ZINTERCARD 1 a LIMIT -1", NO_LIMIT}, {"ZINTERCARD 1 a LIMIT", SYNTAX},
        {"ZINTERCARD 1 a WITHSCORES", SYNTAX},
        {"ZINTERCARD 0 a", "-ERR at least 1 input key is needed for 'zintercard' command"},
        {"ZINTERCARD 1 k", WRONG_TYPE},
        {"ZUNIONSTORE d 0 a", "-ERR at least 1 input key is needed for 'zunionstore' command"},
        {"ZUNIONSTORE d 1 a WITHSCORES", SYNTAX}, {"ZINTERSTORE d 2 a", SYNTAX},
        {"ZDIFFSTORE d 1 a WEIGHTS 1", SYNTAX}, {"ZUNIONSTORE d 1 k", WRONG_TYPE},
        {"EXISTS d", ":0"});
}

static void together_stored(void **state)
{
    (void)state;
    STAGE_PLAY({"ZADD a 1 x 2 y 3 z", ":3"}, {"ZADD b 10 y 20 z 30 w", ":3"},
               {"ZUNIONSTORE d 2 a b", ":4"},
               {"ZRANGE d 0 -1 WITHSCORES", "*8 $1 x $1 1 $1 y $2 12 $1 z $2 23 $1 w $2 30"},
               {"ZINTERSTORE d 2 a b WEIGHTS 2 3 AGGREGATE MAX", ":2"},
               {"ZRANGE d 0 -1 WITHSCORES", "*4 $1 y $2 30 $1 z $2 60"}, {"EXPIRE d 100", ":1"},
               {"ZDIFFSTORE d 2 a b", ":1"}, {"ZRANGE d 0 -1 WITHSCORES", "*2 $1 x $1 1"},
               {"TTL d", ":-1"}, {"ZINTERSTORE d 2 a n", ":0"}, {"EXISTS d", ":0"},
               {"ZINTERSTORE d 2 a n", ":0"}, {"ZUNIONSTORE a 2 a b", ":4"}, {"ZCARD a", ":4"},
               {"ZDIFFSTORE a 2 a a", ":0"}, {"EXISTS a", ":0"}, {"SET k v", "+OK"},
               {"ZUNIONSTORE k 1 b", ":3"}, {"TYPE k", "+zset"});
}

static void ranks_with_scores(void **state)
{
    (void)state;
    STAGE_PLAY({"ZADD z 1.5 a 2 b", ":2"}, {"ZRANK z b WITHSCORE", "*2 :1 $1 2"},
               {"ZREVRANK z a withscore", "*2 :1 $3 1.5"}, {"ZRANK z x WITHSCORE", "*-1"},
               {"ZRANK n x WITHSCORE", "*-1"}, {"ZRANK z a FOO", SYNTAX},
               {"ZRANK z a WITHSCORE x", "-ERR wrong number of arguments for 'zrank' command"},
               {"SET s v", "+OK"}, {"ZRANK s a WITHSCORE", WRONG_TYPE});
}

static void shortest_scores(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"ZADD z 0.1 a 100 b 1e20 c 123456.7891234567 d 1e-7 e 5e-324 f 17179869184 g -0.5 h",
         ":8"},
        {"ZMSCORE z a b c d e f g h", "*8 $3 0.1 $3 100 $5 1e+20 $20 1.234567891234567e+5 $4 1e-7 "
                                      "$6 5e-324 $11 17179869184 $4 -0.5"});
}

/* ---- beside an array ---- */

#define MEMBERS 400

/* Score of member number i; 0: absent. Members are "m100" and up, so that texts and numbers have
 * one order. */
struct model {
    int scores[MEMBERS];
};

static bool is_before(const struct model *model, size_t a, size_t b)
{
    if (model->scores[a] != model->scores[b])
        return model->scores[a] < model->scores[b];
    return a < b;
}

static long long model_rank(const struct model *model, size_t member)
{
    long long rank = 0;
    for (size_t i = 0; i < MEMBERS; i++)
        rank += model->scores[i] && is_before(model, i, member);
    return rank;
}

static long long model_count(const struct model *model, int low, int high)
{
    long long count = 0;
    for (size_t i = 0; i < MEMBERS; i++)
        count += model->scores[i] && model->scores[i] >= low && model->scores[i] <= high;
    return count;
}

static void expect(struct stage *stage, const char *line, long long expected)
{
    char reply[32];
    snprintf(reply, sizeof reply, ":%lld", expected);
    assert_string_equal(stage_run(stage, line), reply);
}

static void change(struct stage *stage, struct model *model, struct random *random)
{
    size_t member = random_below(random, MEMBERS);
    int score = 1 + (int)random_below(random, 60), low = score, high = score + 2;
    bool there = model->scores[member] != 0;
    char line[64];
    if (random_below(random, 40) == 0) {
        snprintf(line, sizeof line, "ZREMRANGEBYSCORE z %d %d", low, high);
        expect(stage, line, model_count(model, low, high));
        for (size_t i = 0; i < MEMBERS; i++)
            if (model->scores[i] >= low && model->scores[i] <= high)
                model->scores[i] = 0;
    } else if (random_below(random, 3) == 0) {
        snprintf(line, sizeof line, "ZREM z m%zu", 100 + member);
        model->scores[member] = 0;
        expect(stage, line, there);
    } else {
        snprintf(line, sizeof line, "ZADD z %d m%zu", score, 100 + member);
        model->scores[member] = score;
        expect(stage, line, !there);
    }
}

static void look(struct stage *stage, const struct model *model, struct random *random)
{
    size_t member = random_below(random, MEMBERS);
    int low = (int)random_below(random, 60), high = low + (int)random_below(random, 20);
    long long all = model_count(model, 1, 60);
    char line[64];
    snprintf(line, sizeof line, "ZCOUNT z %d %d", low, high);
    expect(stage, line, model_count(model, low, high));
    snprintf(line, sizeof line, "ZCOUNT z (%d (%d", low, high);
    expect(stage, line, high > low ? model_count(model, low + 1, high - 1) : 0);
    if (!model->scores[member])
        return;
    snprintf(line, sizeof line, "ZRANK z m%zu", 100 + member);
    expect(stage, line, model_rank(model, member));
    snprintf(line, sizeof line, "ZREVRANK z m%zu", 100 + member);
    expect(stage, line, all - 1 - model_rank(model, member));
}

/* A page of ZRANGEBYSCORE, or of its reverse, has the members of those ranks. */
static void look_at_page(struct stage *stage, const struct model *model, struct random *random)
{
    int low = 1 + (int)random_below(random, 60), high = low + (int)random_below(random, 20);
    long long skip = (long long)random_below(random, 30),
              take = (long long)random_below(random, 90);
    long long count = model_count(model, low, high), first = model_count(model, 1, low - 1);
    bool reversed = random_below(random, 2);
    char line[96];
    struct resp_item item;
    snprintf(line, sizeof line, "ZRANGE z %d %d BYSCORE %sLIMIT %lld %lld", reversed ? high : low,
             reversed ? low : high, reversed ? "REV " : "", skip, take);
    stage_run(stage, line);
    struct slice rest = slice_of_buffer(&stage->out);
    assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
    long long left = count > skip ? count - skip : 0;
    assert_int_equal(item.integer, left < take ? left : take);
    for (long long i = 0, answered = item.integer; i < answered; i++) {
        int64_t number;
        assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
        assert_int_equal(slice_to_i64(slice_of(item.bytes.at + 1, item.bytes.size - 1), &number),
                         STATUS_OK);
        long long rank = reversed ? first + count - 1 - skip - i : first + skip + i;
        assert_int_equal(model_rank(model, (size_t)number - 100), rank);
    }
}

static void beside_an_array(void **state)
{
    struct stage stage;
    struct random random;
    struct model model = {{0}};
    (void)state;
    stage_open(&stage, 2);
    random_init(&random, 6);
    for (int round = 0; round < 4000; round++) {
        change(&stage, &model, &random);
        look(&stage, &model, &random);
        if (round % 20 == 0)
            look_at_page(&stage, &model, &random);
    }
    stage_close(&stage);
}

/* ---- large ones together ---- */

static void large_ones_together(void **state)
{
    static const struct step steps[] = {{"ZINTERCARD 3 two three five", ":67"},
                                        {"ZINTERCARD 2 two three LIMIT 50", ":50"},
                                        {"ZINTERSTORE d 3 two three five WEIGHTS 1 2 3", ":67"},
                                        {"ZSCORE d 30", "$3 180"},
                                        {"ZUNIONSTORE d 3 two three five", ":1466"},
                                        {"ZSCORE d 12", "$2 24"},
                                        {"ZSCORE d 1995", "$4 3990"},
                                        {"ZUNIONSTORE d 3 two three five AGGREGATE MIN", ":1466"},
                                        {"ZSCORE d 12", "$2 12"},
                                        {"ZDIFFSTORE d 3 two three five", ":533"},
                                        {"ZSCORE d 8", "$1 8"},
                                        {"ZSCORE d 6", "$-1"},
                                        {"ZREMRANGEBYRANK d 10 -11", ":513"}};
    struct stage stage;
    char line[64];
    (void)state;
    stage_open(&stage, 2);
    for (int i = 0; i < 2000; i++) {
        static const struct {
            const char *key;
            int step;
        } sets[] = {{"two", 2}, {"three", 3}, {"five", 5}};
        for (size_t j = 0; j < 3; j++)
            if (i % sets[j].step == 0) {
                snprintf(line, sizeof line, "ZADD %s %d %d", sets[j].key, i, i);
                stage_run(&stage, line);
            }
    }
    stage_play(&stage, steps, sizeof steps / sizeof *steps);
    assert_memory_equal(stage_run(&stage, "ZUNION 2 two three"), "*1333 ", 6);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adding),
        cmocka_unit_test(adding_wrongly),
        cmocka_unit_test(increasing),
        cmocka_unit_test(members),
        cmocka_unit_test(ranges_by_rank),
        cmocka_unit_test(ranges_by_score),
        cmocka_unit_test(ranges_by_bytes),
        cmocka_unit_test(ranges_stored),
        cmocka_unit_test(removing_ranges),
        cmocka_unit_test(popping),
        cmocka_unit_test(picking),
        cmocka_unit_test(scanning),
        cmocka_unit_test(together),
        cmocka_unit_test(together_wrongly),
        cmocka_unit_test(together_stored),
        cmocka_unit_test(ranks_with_scores),
        cmocka_unit_test(shortest_scores),
        cmocka_unit_test(beside_an_array),
        cmocka_unit_test(large_ones_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
