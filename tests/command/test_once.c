/* ONCE as a command: what ran is answered again and not run again (ONCE-2), whatever it answered
 * and over whichever protocol; the follower's table is the leader's (COMMAND-1, in stage.c). */
#include "tests/command/stage.h"

#include <stdio.h>

static void runs_once(void **state)
{
    (void)state;
    STAGE_PLAY({"ONCE c 1 INCR n", ":1"}, {"ONCE c 1 INCR n", ":1"}, {"GET n", "$1 1"},
               {"ONCE c 2 INCR n", ":2"}, {"ONCE c 1 INCR n", ":1"}, {"ONCE d 1 INCR n", ":3"},
               {"once c 2 incr n", ":2"}, {"@db 3", ""}, {"ONCE c 2 INCR n", ":2"},
               {"GET n", "$-1"});
}

/* What changed nothing, and what failed, was an answer too. */
static void answers_without_effect_are_kept(void **state)
{
    (void)state;
    STAGE_PLAY({"SET k v", "+OK"}, {"ONCE c 1 SET k w NX", "$-1"}, {"DEL k", ":1"},
               {"ONCE c 1 SET k w NX", "$-1"}, {"EXISTS k", ":0"}, {"ONCE c 2 DEL k", ":0"},
               {"SET k v", "+OK"}, {"ONCE c 2 DEL k", ":0"}, {"EXISTS k", ":1"},
               {"ONCE c 3 LPUSH k 1",
                "-WRONGTYPE Operation against a key holding the wrong kind of value"},
               {"DEL k", ":1"},
               {"ONCE c 3 LPUSH k 1",
                "-WRONGTYPE Operation against a key holding the wrong kind of value"});
}

static void either_protocol_is_answered(void **state)
{
    (void)state;
    STAGE_PLAY({"ZADD z 1 a 2 b 3 c", ":3"}, {"ONCE c 1 ZPOPMIN z 2", "*4 $1 a $1 1 $1 b $1 2"},
               {"ONCE c 2 ZPOPMIN z", "*2 $1 c $1 3"}, {"ONCE c 3 LPOP l 2", "*-1"},
               {"ONCE c 4 LPOP l", "$-1"}, {"ONCE c 5 ZADD z INCR 1.5 m", "$3 1.5"},
               {"ONCE c 6 SPOP s 1", "*0"}, {"@resp 3", ""},
               {"ONCE c 1 ZPOPMIN z 2", "*2 *2 $1 a ,1 *2 $1 b ,2"},
               {"ONCE c 2 ZPOPMIN z", "*2 $1 c ,3"}, {"ONCE c 3 LPOP l 2", "_"},
               {"ONCE c 4 LPOP l", "_"}, {"ONCE c 5 ZADD z INCR 1.5 m", ",1.5"},
               {"ONCE c 6 SPOP s 1", "~0"}, {"ONCE c 7 ZPOPMAX z 1", "*1 *2 $1 m ,1.5"},
               {"@resp 2", ""}, {"ONCE c 7 ZPOPMAX z 1", "*2 $1 m $3 1.5"});
}

static void keys_past_their_deadline_go_first(void **state)
{
    (void)state;
    STAGE_PLAY({"SET n 7 PX 10", "+OK"}, {"@ms 20", ""}, {"ONCE c 1 INCR n", ":1"},
               {"SET n 9 PX 10", "+OK"}, {"@ms 20", ""}, {"ONCE c 1 INCR n", ":1"},
               {"EXISTS n", ":0"});
}

static void what_is_closed_never_runs(void **state)
{
    struct stage stage;
    char line[64];
    (void)state;
    stage_open(&stage, 2);
    for (int i = 1; i <= STORE_ONCE_WINDOW + 1; i++) {
        snprintf(line, sizeof line, "ONCE c %d INCR n", i);
        stage_run(&stage, line);
    }
    assert_memory_equal("-FORGOTTEN number 1 ", stage_run(&stage, "ONCE c 1 INCR n"), 20);
    assert_string_equal(":2", stage_run(&stage, "ONCE c 2 INCR n"));
    assert_string_equal(":66", stage_run(&stage, "ONCE c 66 OPEN 60 INCR n"));
    assert_memory_equal("-FORGOTTEN number 59 ", stage_run(&stage, "ONCE c 59 INCR n"), 21);
    assert_string_equal(":60", stage_run(&stage, "ONCE c 60 INCR n"));
    assert_string_equal("+OK", stage_run(&stage, "FLUSHALL"));
    assert_string_equal(":60", stage_run(&stage, "ONCE c 60 INCR n"));
    assert_memory_equal("-FORGOTTEN", stage_run(&stage, "ONCE c 59 INCR n"), 10);
    stage.now_us += STORE_ONCE_IDLE_US;
    assert_string_equal(":1", stage_run(&stage, "ONCE d 1 INCR n")); /* c falls silent */
    assert_memory_equal("-FORGOTTEN", stage_run(&stage, "ONCE c 60 INCR n"), 10);
    assert_string_equal(":2", stage_run(&stage, "ONCE c 67 INCR n"));
    assert_string_equal("$1 2", stage_run(&stage, "GET n"));
    stage_close(&stage);
}

static void a_full_disk_leaves_nothing(void **state)
{
    struct stage stage;
    (void)state;
    stage_open(&stage, 2);
    assert_string_equal(":1", stage_run(&stage, "ONCE c 1 INCR n"));
    stage.may_write = false;
    assert_string_equal("", stage_run(&stage, "ONCE c 2 INCR n"));
    assert_true(stage.refused);
    assert_string_equal("", stage_run(&stage, "ONCE c 3 DEL nothing"));
    assert_true(stage.refused); /* its answer would have to be kept */
    assert_string_equal(":1", stage_run(&stage, "ONCE c 1 INCR n"));
    stage.may_write = true;
    assert_string_equal(":2", stage_run(&stage, "ONCE c 2 INCR n"));
    stage_close(&stage);
}

static void a_long_reply_is_told_once(void **state)
{
    struct stage stage;
    char text[STORE_ONCE_REPLY_MAX + 1];
    (void)state;
    memset(text, 'x', sizeof text);
    const struct slice set[] = {slice_of_text("SET"), slice_of_text("k"),
                                slice_of(text, sizeof text)};
    stage_open(&stage, 2);
    stage_run_arguments(&stage, set, 3);
    assert_true(strlen(stage_run(&stage, "ONCE c 1 GETDEL k")) > sizeof text);
    assert_memory_equal("-ERR the command ran, and its reply is larger",
                        stage_run(&stage, "ONCE c 1 GETDEL k"), 45);
    assert_string_equal(":0", stage_run(&stage, "EXISTS k"));
    stage_close(&stage);
}

static void forms(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"ONCE c 0 INCR n",
         "-ERR ONCE takes sequence numbers from 1 on, not '0': ONCE client number [OPEN lowest] "
         "command"},
        {"ONCE c x INCR n",
         "-ERR ONCE takes sequence numbers from 1 on, not 'x': ONCE client number [OPEN lowest] "
         "command"},
        {"ONCE '' 1 INCR n", "-ERR a client id has 1 to 128 bytes: ''"},
        {"ONCE c 5 OPEN 6 INCR n", "-ERR OPEN takes the lowest number not answered yet, not '6'"},
        {"ONCE c 1 NOSUCH n", "-ERR unknown command 'NOSUCH'"},
        {"ONCE c 1 INCR", "-ERR wrong number of arguments for 'INCR' command"},
        {"ONCE c 1 GET n",
         "-ERR ONCE is for commands that write data: 'GET' is none, send it without "
         "ONCE"},
        {"ONCE c 1 _ZPUT n a b", "-ERR unknown command '_ZPUT'"},
        {"ONCE c 1 OPEN n", "-ERR unknown command 'OPEN'"});
}

/* Bytes of an entry that no leader would have written are refused, and leave no trace. */
static void bad_entries(void **state)
{
    static const char *const texts[][5] = {
        {"", "1", "0", "5", ":1\r\n"},   {"c", "0", "0", "5", ":1\r\n"},
        {"c", "x", "0", "5", ":1\r\n"},  {"c", "1", "-1", "5", ":1\r\n"},
        {"c", "1", "0", "-5", ":1\r\n"}, {"known", "1", "0", "5", ":1\r\n"}};
    struct stage stage;
    uint8_t count[VARINT_SIZE_MAX];
    (void)state;
    stage_open(&stage, 2);
    stage_run(&stage, "ONCE known 1 INCR n");
    uint64_t digest = store_digest(stage.follower);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct slice words[5];
        struct effect effect = {.out = &stage.effects};
        for (size_t k = 0; k < 5; k++)
            words[k] = slice_of_text(texts[i][k]);
        buffer_reset(&stage.effects);
        buffer_reset(&stage.payload);
        effect_add(&effect, 39, 0, words, 5);
        assert_int_equal(STATUS_OK,
                         buffer_append(&stage.payload, count, effect_count_store(&effect, count)));
        assert_int_equal(STATUS_OK,
                         buffer_append(&stage.payload, stage.effects.at, stage.effects.size));
        assert_int_equal(STATUS_INVALID, command_apply(stage.table, stage.follower,
                                                       slice_of_buffer(&stage.payload), 7));
        assert_true(digest == store_digest(stage.follower));
    }
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_once),
        cmocka_unit_test(answers_without_effect_are_kept),
        cmocka_unit_test(either_protocol_is_answered),
        cmocka_unit_test(keys_past_their_deadline_go_first),
        cmocka_unit_test(what_is_closed_never_runs),
        cmocka_unit_test(a_full_disk_leaves_nothing),
        cmocka_unit_test(a_long_reply_is_told_once),
        cmocka_unit_test(forms),
        cmocka_unit_test(bad_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
