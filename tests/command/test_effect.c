/* Effects: what is shipped, what is not, what is refused, and bytes that nobody shipped. */
#include "base/memory.h"
#include "base/random.h"
#include "tests/command/stage.h"

#include <stdio.h>

/* ---- COMMAND-2: nothing changed, nothing shipped ---- */

static const char *const idle_lines[] = {
    "GET k",
    "GET n",
    "SET k v NX",
    "SET n v XX",
    "SET k v NX GET",
    "SETNX k v",
    "SET n v EXAT 1",
    "GETDEL n",
    "GETEX k",
    "GETEX n EX 5",
    "GETEX k PERSIST",
    "STRLEN k",
    "APPEND k \"\"",
    "APPEND l x",
    "INCR k",
    "INCRBYFLOAT k x",
    "MSETNX n 1 k 2",
    "MSET a 1 b",
    "DEL n m",
    "UNLINK n",
    "EXISTS k l",
    "EXPIRE n 10",
    "EXPIRE k 10 XX",
    "EXPIRE k 10 GT",
    "EXPIRE k x",
    "PERSIST k",
    "TTL k",
    "RPUSHX n a",
    "LPUSHX n a",
    "RPUSH k a",
    "LRANGE l 0 -1",
    "LINDEX l 0",
    "DBSIZE",
    "KEYS *",
    "SCAN 0",
    "TYPE k",
    "SET k v EX 0",
    "SET k v FOO",
    "GETSET l v",
    "FLUSHALL foo",
    "SET k v EX 5 PX 5",
    "SET l v GET",
    "COMMAND COUNT",
    "SETRANGE k 0 \"\"",
    "SETRANGE n 0 \"\"",
    "SETRANGE l 0 x",
    "GETRANGE k 0 1",
    "SETBIT k 0 0",
    "SETBIT k 0 2",
    "GETBIT k 0",
    "BITCOUNT k",
    "BITPOS k 1",
    "BITOP AND n n m",
    "BITOP AND n l",
    "BITFIELD k GET u8 0",
    "BITFIELD k",
    "BITFIELD_RO k GET u8 0",
    "RENAME n k",
    "RENAME k k",
    "RENAMENX k l",
    "COPY n k",
    "COPY k l",
    "COPY k k",
    "RANDOMKEY",
    "OBJECT ENCODING k",
    "SORT k",
    "SORT l",
    "SORT l ALPHA",
    "SORT n STORE m",
    "SORT_RO l ALPHA",
    "LPOP n",
    "LPOP l 0",
    "RPOP k",
    "LMPOP 1 n LEFT",
    "LSET l 5 x",
    "LSET n 0 x",
    "LREM l 0 x",
    "LTRIM l 0 -1",
    "LTRIM n 0 1",
    "LINSERT l BEFORE x y",
    "LPOS l a",
    "LMOVE n l LEFT LEFT",
    "LMOVE l l LEFT RIGHT",
    "RPOPLPUSH l l",
    "RPOPLPUSH l k",
    "HSET k a 1",
    "HSET h f",
    "HSETNX h f x",
    "HDEL h x",
    "HDEL n x",
    "HINCRBY h f 1",
    "HINCRBYFLOAT h f x",
    "HGETALL h",
    "HRANDFIELD h 5",
    "HSCAN h 0",
    "SADD s a b",
    "SADD k a",
    "SREM s x",
    "SREM n x",
    "SMOVE s d x",
    "SMOVE s s a",
    "SMOVE n d x",
    "SPOP n",
    "SPOP n 2",
    "SPOP s 0",
    "SRANDMEMBER s 5",
    "SMEMBERS s",
    "SINTER s n",
    "SINTERSTORE n s m",
    "SUNIONSTORE n m",
    "SDIFFSTORE n s s",
    "SDIFFSTORE n k",
    "ZADD z 1 m",
    "ZADD z NX 2 m",
    "ZADD z XX 2 x",
    "ZADD n XX 2 x",
    "ZADD z GT 0 m",
    "ZADD z LT 2 m",
    "ZADD z INCR 0 m",
    "ZADD z 1 x y",
    "ZADD z x y",
    "ZINCRBY z 0 m",
    "ZINCRBY i -inf m",
    "ZREM z x",
    "ZREM n x",
    "ZREMRANGEBYRANK z 5 6",
    "ZREMRANGEBYSCORE z 5 6",
    "ZREMRANGEBYLEX n - +",
    "ZPOPMIN n",
    "ZPOPMAX z 0",
    "ZMPOP 1 n MIN",
    "ZRANGE z 0 -1",
    "ZRANGESTORE n z 5 6",
    "ZUNIONSTORE n 1 m",
    "ZINTERSTORE n 2 z m",
    "ZDIFFSTORE n 2 z z",
    "ZUNIONSTORE n 1 k",
    "ZSCAN z 0",
};

static void changes_nothing(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "SET k v");
    stage_run(&stage, "RPUSH l a");
    stage_run(&stage, "HSET h f v");
    stage_run(&stage, "SADD s a b");
    stage_run(&stage, "ZADD z 1 m");
    stage_run(&stage, "ZADD i inf m");
    uint64_t digest = store_digest(stage.leader);
    for (int may_write = 1; may_write >= 0; may_write--) {
        stage.may_write = may_write;
        for (size_t i = 0; i < sizeof idle_lines / sizeof *idle_lines; i++) {
            stage_run(&stage, idle_lines[i]);
            assert_int_equal(stage.effect_count, 0);
            assert_false(stage.refused);
            assert_true(stage.out.size > 0);
            assert_int_equal(store_digest(stage.leader), digest);
        }
    }
    stage.may_write = true;
    stage_run(&stage, "FLUSHALL");
    assert_int_equal(stage.effect_count, 1);
    stage_run(&stage, "FLUSHALL");
    assert_int_equal(stage.effect_count, 0);
    stage_run(&stage, "FLUSHDB");
    assert_int_equal(stage.effect_count, 0);
    stage_close(&stage);
}

/* ---- may_write = false ---- */

static const char *const changing_lines[] = {
    "SET k w",        "SET n w NX",      "SET k w GET",  "SET k w EX 5",    "SETEX k 5 w",
    "GETSET k w",     "GETDEL k",        "GETEX k EX 5", "GETEX t PERSIST", "APPEND k x",
    "INCR i",         "INCRBYFLOAT i 1", "MSET a 1 b 2", "MSETNX a 1 b 2",  "DEL n k",
    "UNLINK k",       "EXPIRE k 5",      "EXPIRE k -5",  "PERSIST t",       "RPUSH l b",
    "RPUSH n b",      "LPUSHX l b",      "FLUSHALL",     "FLUSHDB",         "SET k w EXAT 1",
    "GETEX k EXAT 1",
};

static const char *const changing_collections[] = {
    "SETRANGE k 0 x",
    "SETBIT k 1 0",
    "BITOP NOT n k",
    "BITOP AND k n",
    "BITFIELD k SET u8 0 1",
    "RENAME k n",
    "RENAMENX k n",
    "COPY k n",
    "COPY k i REPLACE",
    "SORT l ALPHA STORE n",
    "SORT n STORE k",
    "LPOP l",
    "RPOP l 5",
    "LMPOP 1 l LEFT",
    "LSET l 0 x",
    "LREM l 0 a",
    "LTRIM l 1 0",
    "LINSERT l BEFORE a x",
    "LMOVE l n LEFT LEFT",
    "RPOPLPUSH l n",
    "HSET h f v",
    "HMSET h f v",
    "HSETNX h g v",
    "HDEL h f",
    "HINCRBY h n 1",
    "HINCRBYFLOAT h n 1",
    "SADD s x",
    "SREM s a",
    "SMOVE s n a",
    "SPOP s",
    "SPOP s 1",
    "SPOP s 9",
    "SINTERSTORE n s",
    "SUNIONSTORE k n",
    "SDIFFSTORE n s",
    "ZADD z 2 m",
    "ZADD z INCR 1 m",
    "ZINCRBY z 1 m",
    "ZREM z m",
    "ZREMRANGEBYRANK z 0 0",
    "ZREMRANGEBYSCORE z 0 9",
    "ZREMRANGEBYLEX z - +",
    "ZPOPMIN z",
    "ZPOPMAX z 2",
    "ZMPOP 1 z MAX",
    "ZRANGESTORE n z 0 -1",
    "ZUNIONSTORE n 1 z",
    "ZINTERSTORE n 1 z",
    "ZDIFFSTORE n 1 z",
};

static void expect_refusals(struct stage *stage, const char *const *lines, size_t count)
{
    uint64_t digest = store_digest(stage->leader);
    stage->may_write = false;
    for (size_t i = 0; i < count; i++) {
        stage_run(stage, lines[i]);
        if (!stage->refused)
            fail_msg("not refused: %s", lines[i]);
        assert_int_equal(stage->out.size, 0);
        assert_int_equal(store_digest(stage->leader), digest);
    }
}

static void refused_leaves_no_trace(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "MSET k v i 1");
    stage_run(&stage, "SET t v EX 1000");
    stage_run(&stage, "RPUSH l a");
    stage_run(&stage, "HSET h f v");
    stage_run(&stage, "SADD s a b");
    stage_run(&stage, "ZADD z 1 m");
    expect_refusals(&stage, changing_lines, sizeof changing_lines / sizeof *changing_lines);
    expect_refusals(&stage, changing_collections,
                    sizeof changing_collections / sizeof *changing_collections);
    stage_close(&stage);
}

/* A read that meets a key past its deadline would have to log its deletion. */
static void refused_reads(void **state)
{
    static const char *const lines[] = {"GET e",
                                        "MGET k e",
                                        "EXISTS k k e",
                                        "TTL e",
                                        "KEYS *",
                                        "SCAN 0 COUNT 100",
                                        "TYPE e",
                                        "SET e v NX",
                                        "DEL e",
                                        "LLEN e",
                                        "HGETALL e",
                                        "SINTER e",
                                        "ZUNION 2 e n",
                                        "RENAME k e",
                                        "COPY k e",
                                        "SORT l BY *e",
                                        "SORT l BY *e STORE d",
                                        "SORT_RO l ALPHA GET *e",
                                        "OBJECT ENCODING e",
                                        "LMPOP 2 n e LEFT"};
    static const char *const served[] = {"GET k", "MGET k n", "DBSIZE", "SET k v NX"};
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "SET k v");
    stage_run(&stage, "RPUSH l \"\"");
    stage_run(&stage, "SET e v PX 10");
    stage.now_us += 10000;
    uint64_t digest = store_digest(stage.leader);
    stage.may_write = false;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        stage_run(&stage, lines[i]);
        assert_true(stage.refused);
        assert_int_equal(store_digest(stage.leader), digest);
    }
    for (size_t i = 0; i < sizeof served / sizeof *served; i++) {
        stage_run(&stage, served[i]);
        assert_false(stage.refused);
        assert_true(stage.out.size > 0);
    }
    stage_close(&stage);
}

/* Who is not the leader hides and removes nothing. */
static void followers_hide(void **state)
{
    static const struct step steps[] = {
        {"GET e", "$-1"},     {"EXISTS e k", ":1"},        {"KEYS *", "*1 $1 k"},
        {"TTL e", ":-2"},     {"MGET k e", "*2 $1 v $-1"}, {"SCAN 0 COUNT 50", "*2 $1 0 *1 $1 k"},
        {"DBSIZE", ":2"},     {"RANDOMKEY", "$1 k"},       {"OBJECT ENCODING e", "$-1"},
        {"LLEN e", ":0"},     {"HGETALL e", "*0"},         {"SCARD e", ":0"},
        {"ZUNION 1 e", "*0"}, {"SORT_RO e", "*0"},         {"GETRANGE e 0 -1", "$0 "},
    };
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "SET k v");
    stage_run(&stage, "SET e v PX 10");
    stage.now_us += 10000;
    stage.is_follower = true;
    stage_play(&stage, steps, sizeof steps / sizeof *steps);
    stage_close(&stage);
}

/* ---- bytes ---- */

static void expect_payload(struct stage *stage, const char *line, const char *bytes, size_t size)
{
    stage_run(stage, line);
    assert_int_equal(stage->payload.size, size);
    assert_memory_equal(stage->payload.at, bytes, size);
}

#define PAYLOAD(line, bytes) expect_payload(&stage, line, bytes, sizeof(bytes) - 1)

/* Logs hold these bytes for ever. */
static void golden_bytes(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    PAYLOAD("SET k v", "\1\1\0\2\1k\1v");
    PAYLOAD("SET k v PXAT 1800000000250", "\1\x08\0\3\1k\1v\x08\x90\x50\x9c\x28\x17\x65\x06\x00");
    PAYLOAD("SET n 5 EX 100 NX", "\1\x08\0\3\1n\1"
                                 "5\x08\x00\x61\x8e\x2e\x17\x65\x06\x00");
    PAYLOAD("INCR n", "\1\3\0\2\1n\1"
                      "1");
    PAYLOAD("DECRBY n 10", "\1\3\0\2\1n\3-10");
    PAYLOAD("PERSIST n", "\1\x09\0\2\1n\x08\0\0\0\0\0\0\0\0");
    PAYLOAD("INCRBYFLOAT n 0.5", "\1\1\0\2\1n\4-3.5");
    PAYLOAD("APPEND n x", "\1\4\0\2\1n\1x");
    PAYLOAD("MSET a 1 b 2", "\1\5\0\4\1a\1"
                            "1\1b\1"
                            "2");
    PAYLOAD("DEL n x a b", "\2\2\0\1\1n\2\0\2\1a\1b");
    PAYLOAD("RPUSH l a b", "\1\6\0\3\1l\1a\1b");
    PAYLOAD("LPUSHX l c", "\1\7\0\2\1l\1c");
    PAYLOAD("EXPIRE l -1", "\1\2\0\1\1l");
    stage.database = 9;
    PAYLOAD("GETSET k v", "\1\1\x09\2\1k\1v");
    PAYLOAD("FLUSHDB", "\1\x0b\x09\0");
    PAYLOAD("GET k", "");
    stage.database = 0;
    PAYLOAD("FLUSHALL ASYNC", "\1\x0a\0\0");
    stage_close(&stage);
}

static void golden_bytes_of_collections(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    PAYLOAD("SETRANGE k 1 ab", "\1\x0c\0\3\1k\1"
                               "1\2ab");
    PAYLOAD("SETBIT k 7 1", "\1\x0d\0\3\1k\1"
                            "7\1"
                            "1");
    PAYLOAD("BITOP NOT n k", "\1\x0e\0\3\3NOT\1n\1k");
    PAYLOAD("BITFIELD k SET u8 0 1", "\1\x0f\0\5\1k\3SET\2u8\1"
                                     "0\1"
                                     "1");
    PAYLOAD("RENAMENX k m", "\1\x10\0\2\1k\1m");
    PAYLOAD("COPY m k DB 3", "\1\x11\3\3\1k\1m\1\0");
    PAYLOAD("RPUSH l b a c d e", "\1\6\0\6\1l\1b\1a\1c\1d\1e");
    PAYLOAD("LPOP l", "\1\x12\0\1\1l");
    PAYLOAD("LMPOP 1 l RIGHT COUNT 2", "\1\x13\0\2\1l\1"
                                       "2");
    PAYLOAD("LSET l -1 x", "\1\x14\0\3\1l\2-1\1x");
    PAYLOAD("LINSERT l AFTER a y", "\1\x17\0\4\1l\5AFTER\1a\1y");
    PAYLOAD("LREM l 0 x", "\1\x15\0\3\1l\1"
                          "0\1x");
    PAYLOAD("LTRIM l 0 0", "\1\x16\0\3\1l\1"
                           "0\1"
                           "0");
    PAYLOAD("RPOPLPUSH l q", "\1\x18\0\4\1l\1q\5RIGHT\4LEFT");
    PAYLOAD("SORT q ALPHA STORE n", "\2\2\0\1\1n\6\0\2\1n\1a");
    PAYLOAD("HSETNX h f 1", "\1\x19\0\3\1h\1f\1"
                            "1");
    PAYLOAD("HINCRBYFLOAT h f 0.5", "\1\x19\0\3\1h\1f\3"
                                    "1.5");
    PAYLOAD("HDEL h f x", "\1\x1a\0\3\1h\1f\1x");
    PAYLOAD("SADD s a", "\1\x1b\0\2\1s\1a");
    PAYLOAD("SMOVE s t a", "\2\x1c\0\2\1s\1a\x1b\0\2\1t\1a");
    PAYLOAD("SPOP t", "\1\x1c\0\2\1t\1a");
    PAYLOAD("ZADD z NX 1.5 a", "\1\x20\0\3\1z\x08\0\0\0\0\0\0\xf8\x3f\1a");
    PAYLOAD("ZINCRBY z 0.5 a", "\1\x20\0\3\1z\x08\0\0\0\0\0\0\0\x40\1a");
    PAYLOAD("ZUNIONSTORE y 1 z", "\1\x24\0\3\1y\1"
                                 "1\1z");
    PAYLOAD("ZREM z a", "\1\x21\0\2\1z\1a");
    PAYLOAD("ZPOPMAX y", "\1\x22\0\3\1y\1"
                         "0\1"
                         "0");
    stage_close(&stage);
}

/* The keys that SORT looks at are in no row: those that have ended go in front of what it does. */
static void deletion_of_unnamed_keys(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "RPUSH l 1 2");
    stage_run(&stage, "SET w2 5 PX 10");
    stage_run(&stage, "SET w1 9");
    stage.now_us += 10000;
    PAYLOAD("SORT l BY w* STORE d", "\2\2\0\1\2w2\6\0\3\1d\1"
                                    "2\1"
                                    "1");
    stage.database = 3;
    stage_run(&stage, "SET k v PX 10");
    stage.database = 0;
    stage.now_us += 10000;
    PAYLOAD("COPY w1 k DB 3", "\2\2\3\1\1k\x11\3\3\1k\2w1\1\0");
    stage_close(&stage);
}

/* COMMAND-5: the deletion of what had ended stands in front, for an error and a read too. */
static void deletion_in_front(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "SET k v PX 10");
    stage.now_us += 10000;
    PAYLOAD("SET k w", "\2\2\0\1\1k\1\0\2\1k\1w");
    stage_run(&stage, "SET k v PX 10");
    stage.now_us += 10000;
    PAYLOAD("INCRBY k x", "\1\2\0\1\1k");
    assert_true(stage.reply.failed);
    stage_run(&stage, "SET k v PX 10");
    stage.now_us += 10000;
    PAYLOAD("MGET n k k", "\1\2\0\1\1k");
    stage_close(&stage);
}

/* A command that does not fit into one entry is an error before it is a change. */
static void too_large_for_an_entry(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    uint64_t digest = store_digest(stage.leader);
    stage.effects.size_max = 100;
    stage_run(&stage, "SET k 0123456789012345678901234567890123456789012345678901234567890123456789"
                      "01234567890123456789");
    assert_true(stage.reply.failed);
    assert_int_equal(stage.effect_count, 0);
    assert_int_equal(store_digest(stage.leader), digest);
    assert_string_equal(stage_run(&stage, "SET k v"),
                        "-ERR the command is too large for one log entry");
    stage.effects.size_max = 1000;
    assert_string_equal(stage_run(&stage, "SET k v"), "+OK");
    stage_close(&stage);
}

/* KEYS over more ended keys than one entry can delete: an error, no torn reply, and progress. */
static void too_many_ended_keys(void **state)
{
    struct stage stage;
    char line[40];
    (void)state;
    stage_open(&stage, 2);
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof line, "SET ended:%d v PX 10", i);
        stage_run(&stage, line);
    }
    stage_run(&stage, "SET living v");
    stage.now_us += 10000;
    buffer_deinit(&stage.effects);
    stage.effects.size_max = 512;
    int errors = 0;
    while (stage_run(&stage, "KEYS *")[0] == '-') {
        assert_true(stage.effect_count > 0);
        assert_true(++errors < 100);
    }
    assert_true(errors > 0);
    assert_string_equal(stage_run(&stage, "KEYS *"), "*1 $6 living");
    stage_close(&stage);
}

/* ---- keys of an effect, for the gate ---- */

static void effect_keys(void **state)
{
    struct stage stage;
    uint64_t hashes[4];
    size_t count;
    bool whole;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "MSET a 1 b 2 c 3");
    assert_int_equal(command_effect_keys(stage.table, stage.leader, stage_payload(&stage), hashes,
                                         4, &count, &whole),
                     STATUS_OK);
    assert_int_equal(count, 3);
    assert_false(whole);
    for (size_t i = 0; i < 3; i++) {
        struct store_key key = store_key_of(0, slice_of(&"abc"[i], 1));
        assert_int_equal(hashes[i], store_key_hash(stage.leader, &key));
    }
    assert_int_equal(command_effect_keys(stage.table, stage.leader, stage_payload(&stage), hashes,
                                         2, &count, &whole),
                     STATUS_OK);
    assert_true(whole);
    assert_int_equal(count, 2);
    stage_run(&stage, "FLUSHALL");
    assert_int_equal(command_effect_keys(stage.table, stage.leader, stage_payload(&stage), hashes,
                                         4, &count, &whole),
                     STATUS_OK);
    assert_true(whole);
    assert_int_equal(command_effect_keys(stage.table, stage.leader, slice_of("\1\1", 2), hashes, 4,
                                         &count, &whole),
                     STATUS_INVALID);
    stage_close(&stage);
}

/* ---- active expiry ---- */

static void active_expiry(void **state)
{
    struct stage stage;
    struct effect effect;
    uint8_t count[VARINT_SIZE_MAX];
    char line[40];
    (void)state;
    stage_open(&stage, 2);
    for (int i = 0; i < 50; i++) {
        stage.database = (uint8_t)(i % 16);
        snprintf(line, sizeof line, "SET key:%d v PX %d", i, i + 1);
        stage_run(&stage, line);
    }
    stage.now_us += 40 * 1000;
    for (size_t expected = 30; expected; expected = expected == 30 ? 10 : 0) {
        buffer_reset(&stage.effects);
        buffer_reset(&stage.payload);
        effect = (struct effect){.out = &stage.effects};
        assert_int_equal(command_expire(stage.table, stage.leader, stage.now_us, 30, &effect),
                         expected);
        assert_int_equal(effect.count, expected);
        assert_false(buffer_append(&stage.payload, count, effect_count_store(&effect, count)));
        assert_false(buffer_append(&stage.payload, stage.effects.at, stage.effects.size));
        assert_int_equal(
            command_apply(stage.table, stage.follower, stage_payload(&stage), stage.now_us),
            STATUS_OK);
        assert_int_equal(store_digest(stage.leader), store_digest(stage.follower));
    }
    effect = (struct effect){.out = &stage.effects};
    assert_int_equal(command_expire(stage.table, stage.leader, stage.now_us, 30, &effect), 0);
    assert_int_equal(effect.count, 0);
    stage_close(&stage);
}

/* ---- bytes that nobody shipped ---- */

#define INVALID(bytes)                                                                             \
    do {                                                                                           \
        struct slice payload = slice_of(bytes, sizeof(bytes) - 1);                                 \
        assert_int_equal(command_check(stage.table, payload), STATUS_INVALID);                     \
        assert_int_equal(command_apply(stage.table, stage.leader, payload, 1), STATUS_INVALID);    \
    } while (0)

static void malformed(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    INVALID("");
    INVALID("\0");
    INVALID("\1");
    INVALID("\1\1\0\2\1k\2v");              /* cut off */
    INVALID("\1\1\x10\2\1k\1v");            /* no such database */
    INVALID("\1\1\0\1\1k");                 /* arity */
    INVALID("\1\x7f\0\0");                  /* no such number */
    INVALID("\1\x80\1\0\1\1k");             /* GET */
    INVALID("\1\xa1\1\0\1\1*");             /* KEYS */
    INVALID("\1\1\0\x80\x80\x80\x80\x08k"); /* more arguments than bytes */
    INVALID("\1\2\0\1\xff\xff\xff\xff\x7fk");
    INVALID("\x81\0\2\0\1\1k"); /* a number longer than needed */
    stage_close(&stage);
}

#define OF(bytes)                                                                                  \
    {                                                                                              \
        bytes, sizeof(bytes) - 1                                                                   \
    }

/* Well-formed, and true of another store only. */
static void of_another_store(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"\1\2\0\1\1n", 6},
        {"\1\3\0\2\1s\1"
         "1",
         8},
        {"\1\4\0\2\1l\1x", 8},
        {"\1\6\0\2\1s\1x", 8},
        {"\1\x09\0\2\1s\1x", 8},
        {"\1\x09\0\2\1n\x08\1\0\0\0\0\0\0\0", 15},
        {"\1\5\0\3\1a\1b\1c", 10},
        {"\1\x08\0\3\1k\1v\0", 9},
        {"\1\x08\0\3\1k\1v\x08\0\0\0\0\0\0\0\0", 17},
        OF("\1\x0c\0\3\1l\1"
           "1\2ab"),                                    /* SETRANGE of a list */
        OF("\1\x0d\0\3\1s\1\x31\1\x31"),                /* a bit that is set already */
        OF("\1\x0e\0\3\3NOT\1n\1n"),                    /* BITOP of nothing */
        OF("\1\x0f\0\1\1s"),                            /* no field */
        OF("\1\x10\0\2\1n\1k"),                         /* no key to rename */
        OF("\1\x10\0\2\1s\1s"),                         /* to itself */
        OF("\1\x11\0\3\1k\1n\1\0"),                     /* no key to copy */
        OF("\1\x11\0\3\1s\1s\1\0"),                     /* to itself */
        OF("\1\x11\0\3\1k\1s\1\x10"),                   /* no such database */
        OF("\1\x11\0\3\1k\1s\0"),                       /* none */
        OF("\1\x12\0\1\1n"),                            /* LPOP of nothing */
        OF("\1\x12\0\3\1l\1\x31\1\x31"),                /* arguments */
        OF("\1\x14\0\3\1l\1\x39\1x"),                   /* no such place */
        OF("\1\x15\0\3\1l\1\x30\1x"),                   /* no such element */
        OF("\1\x16\0\3\1l\1\x30\2-1"),                  /* nothing to trim */
        OF("\1\x17\0\4\1l\5AFTER\1x\1y"),               /* no such element */
        OF("\1\x18\0\4\1n\1l\4LEFT\4LEFT"),             /* no such list */
        OF("\1\x19\0\3\1s\1f\1v"),                      /* HSET of a string */
        OF("\1\x19\0\4\1h\1f\1v\1g"),                   /* no value */
        OF("\1\x1a\0\2\1h\1x"),                         /* no such field */
        OF("\1\x1b\0\2\1t\1a"),                         /* a member that is there */
        OF("\1\x1c\0\2\1t\1x"),                         /* one that is not */
        OF("\1\x1d\0\2\1n\1m"),                         /* nothing, stored nowhere */
        OF("\1\x1d\0\2\1n\1s"),                         /* SINTERSTORE of a string */
        OF("\1\x20\0\3\1z\1x\1a"),                      /* no score */
        OF("\1\x20\0\3\1z\x08\0\0\0\0\0\0\xf8\x7f\1a"), /* not a number */
        OF("\1\x20\0\4\1z\x08\0\0\0\0\0\0\xf8\x3f\1a\1x"),
        OF("\1\x21\0\2\1z\1x"),             /* no such member */
        OF("\1\x22\0\3\1z\1\x38\1\x39"),    /* no such ranks */
        OF("\1\x23\0\4\1n\1z\1\x38\1\x39"), /* an empty range, stored nowhere */
        OF("\1\x24\0\3\1n\1\x31\1m"),       /* nothing, stored nowhere */
    };
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "SET s text");
    stage_run(&stage, "RPUSH l a");
    stage_run(&stage, "HSET h f v");
    stage_run(&stage, "SADD t a");
    stage_run(&stage, "ZADD z 1 m");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice payload = slice_of(cases[i].bytes, cases[i].size);
        assert_int_equal(command_check(stage.table, payload), STATUS_OK);
        if (command_apply(stage.table, stage.leader, payload, 1) != STATUS_INVALID)
            fail_msg("case %zu was applied", i);
    }
    stage_close(&stage);
}

static void mutate(struct buffer *bytes, struct random *random)
{
    for (uint64_t i = random_below(random, 3) + 1; i > 0; i--) {
        uint8_t *at = &bytes->at[random_below(random, bytes->size)];
        *at = random_below(random, 2) ? (uint8_t)random_next(random)
                                      : (uint8_t)(*at + random_below(random, 3) - 1);
    }
    if (random_below(random, 8) == 0)
        bytes->size = random_below(random, bytes->size);
}

static const char *const mutated_lines[] = {"SET k v",
                                            "SET k v EX 50",
                                            "INCR n",
                                            "APPEND k x",
                                            "MSET a 1 b 2",
                                            "DEL k n",
                                            "RPUSH l a b",
                                            "LPUSH l c",
                                            "EXPIRE l 5",
                                            "PERSIST l",
                                            "FLUSHDB",
                                            "FLUSHALL",
                                            "SETRANGE k 2 xyz",
                                            "SETBIT k 9 1",
                                            "BITOP OR k k j",
                                            "BITFIELD k INCRBY i5 3 1",
                                            "RENAME k j",
                                            "COPY k j REPLACE DB 2",
                                            "LPOP l",
                                            "RPOP l 2",
                                            "LSET l 0 z",
                                            "LREM l 1 a",
                                            "LTRIM l 1 5",
                                            "LINSERT l BEFORE a x",
                                            "LMOVE l l LEFT RIGHT",
                                            "HSET h f v g w",
                                            "HDEL h f",
                                            "SADD s a b c",
                                            "SREM s a",
                                            "SUNIONSTORE t s t",
                                            "SINTERSTORE t s t",
                                            "SDIFFSTORE t s t",
                                            "ZADD z 1 a 2 b",
                                            "ZADD z 7 a",
                                            "ZREM z a",
                                            "ZREMRANGEBYRANK z 0 0",
                                            "ZRANGESTORE y z 0 1",
                                            "ZUNIONSTORE y 2 y z",
                                            "ZINTERSTORE y 2 y z",
                                            "ZDIFFSTORE y 2 z y",
                                            "SORT l ALPHA STORE l"};

/* No bytes reach an assertion, here or in the store; what the check lets through may be applied.
 * Each mutant is a block of its own size, so that a sanitizer sees every look outside. */
static void mutated(void **state)
{
    struct stage stage;
    struct random random;
    struct buffer mutant;
    (void)state;
    stage_open(&stage, 2);
    random_init(&random, 99);
    buffer_init(&mutant, 1000);
    struct store *victim = store_create(5);
    for (int round = 0; round < 30000; round++) {
        stage_run(
            &stage,
            mutated_lines[random_below(&random, sizeof mutated_lines / sizeof *mutated_lines)]);
        if (!stage.payload.size)
            continue;
        buffer_reset(&mutant);
        assert_false(buffer_append(&mutant, stage.payload.at, stage.payload.size));
        mutate(&mutant, &random);
        uint8_t *block = memory_allocate(mutant.size);
        memcpy(block, mutant.at, mutant.size);
        struct slice payload = slice_of(block, mutant.size);
        if (command_check(stage.table, payload) == STATUS_OK) {
            uint64_t hashes[8];
            size_t count;
            bool whole;
            assert_int_equal(
                command_effect_keys(stage.table, victim, payload, hashes, 8, &count, &whole),
                STATUS_OK);
            (void)!command_apply(stage.table, victim, payload, (int64_t)random_next(&random));
        }
        memory_free(block);
    }
    store_validate(victim);
    store_destroy(victim);
    buffer_deinit(&mutant);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_nothing),
        cmocka_unit_test(refused_leaves_no_trace),
        cmocka_unit_test(refused_reads),
        cmocka_unit_test(followers_hide),
        cmocka_unit_test(golden_bytes),
        cmocka_unit_test(golden_bytes_of_collections),
        cmocka_unit_test(deletion_of_unnamed_keys),
        cmocka_unit_test(deletion_in_front),
        cmocka_unit_test(too_large_for_an_entry),
        cmocka_unit_test(too_many_ended_keys),
        cmocka_unit_test(effect_keys),
        cmocka_unit_test(active_expiry),
        cmocka_unit_test(malformed),
        cmocka_unit_test(of_another_store),
        cmocka_unit_test(mutated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
