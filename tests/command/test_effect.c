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
};

static void changes_nothing(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "SET k v");
    stage_run(&stage, "RPUSH l a");
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

static void refused_leaves_no_trace(void **state)
{
    static const char *const lines[] = {
        "SET k w",        "SET n w NX",      "SET k w GET",  "SET k w EX 5",    "SETEX k 5 w",
        "GETSET k w",     "GETDEL k",        "GETEX k EX 5", "GETEX t PERSIST", "APPEND k x",
        "INCR i",         "INCRBYFLOAT i 1", "MSET a 1 b 2", "MSETNX a 1 b 2",  "DEL n k",
        "UNLINK k",       "EXPIRE k 5",      "EXPIRE k -5",  "PERSIST t",       "RPUSH l b",
        "RPUSH n b",      "LPUSHX l b",      "FLUSHALL",     "FLUSHDB",         "SET k w EXAT 1",
        "GETEX k EXAT 1",
    };
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "MSET k v i 1");
    stage_run(&stage, "SET t v EX 1000");
    stage_run(&stage, "RPUSH l a");
    uint64_t digest = store_digest(stage.leader);
    stage.may_write = false;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        stage_run(&stage, lines[i]);
        assert_true(stage.refused);
        assert_int_equal(stage.out.size, 0);
        assert_int_equal(store_digest(stage.leader), digest);
    }
    stage_close(&stage);
}

/* A read that meets a key past its deadline would have to log its deletion. */
static void refused_reads(void **state)
{
    static const char *const lines[] = {"GET e",  "MGET k e",   "EXISTS k k e",
                                        "TTL e",  "KEYS *",     "SCAN 0 COUNT 100",
                                        "TYPE e", "SET e v NX", "DEL e"};
    static const char *const served[] = {"GET k", "MGET k n", "DBSIZE", "SET k v NX"};
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "SET k v");
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
        {"GET e", "$-1"}, {"EXISTS e k", ":1"},        {"KEYS *", "*1 $1 k"},
        {"TTL e", ":-2"}, {"MGET k e", "*2 $1 v $-1"}, {"SCAN 0 COUNT 50", "*2 $1 0 *1 $1 k"},
        {"DBSIZE", ":2"},
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
    };
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "SET s text");
    stage_run(&stage, "RPUSH l a");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice payload = slice_of(cases[i].bytes, cases[i].size);
        assert_int_equal(command_check(stage.table, payload), STATUS_OK);
        assert_int_equal(command_apply(stage.table, stage.leader, payload, 1), STATUS_INVALID);
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

/* No bytes reach an assertion, here or in the store; what the check lets through may be applied.
 * Each mutant is a block of its own size, so that a sanitizer sees every look outside. */
static void mutated(void **state)
{
    static const char *const lines[] = {
        "SET k v",     "SET k v EX 50", "INCR n",     "APPEND k x", "MSET a 1 b 2", "DEL k n",
        "RPUSH l a b", "LPUSH l c",     "EXPIRE l 5", "PERSIST l",  "FLUSHDB",      "FLUSHALL"};
    struct stage stage;
    struct random random;
    struct buffer mutant;
    (void)state;
    stage_open(&stage, 2);
    random_init(&random, 99);
    buffer_init(&mutant, 1000);
    struct store *victim = store_create(5);
    for (int round = 0; round < 30000; round++) {
        stage_run(&stage, lines[random_below(&random, sizeof lines / sizeof *lines)]);
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
