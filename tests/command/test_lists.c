/* Lists: every reply and every error. */
#include "base/random.h"
#include "tests/command/stage.h"

#include <stdio.h>

#define WRONG_TYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NO_INTEGER "-ERR value is not an integer or out of range"
#define SYNTAX     "-ERR syntax error"
#define NO_AMOUNT  "-ERR value is out of range, must be positive"
#define NO_KEY     "-ERR no such key"
#define NO_KEYS    "-ERR numkeys should be greater than 0"
#define NO_COUNT   "-ERR count should be greater than 0"

static void popping(void **state)
{
    (void)state;
    STAGE_PLAY({"LPOP n", "$-1"}, {"RPOP n", "$-1"}, {"LPOP n 2", "*-1"}, {"LPOP n 0", "*-1"},
               {"RPUSH l a b c d e", ":5"}, {"LPOP l", "$1 a"}, {"RPOP l", "$1 e"},
               {"LPOP l 0", "*0"}, {"LPOP l 2", "*2 $1 b $1 c"}, {"RPOP l 5", "*1 $1 d"},
               {"EXISTS l", ":0"}, {"RPUSH l a b c d", ":4"}, {"RPOP l 3", "*3 $1 d $1 c $1 b"},
               {"LPOP l -1", NO_AMOUNT}, {"LPOP l x", NO_AMOUNT},
               {"LPOP l 1 2", "-ERR wrong number of arguments for 'lpop' command"},
               {"LPOP l 9223372036854775807", "*1 $1 a"}, {"EXISTS l", ":0"}, {"SET s v", "+OK"},
               {"LPOP s", WRONG_TYPE}, {"RPOP s 1", WRONG_TYPE}, {"RPOP s x", NO_AMOUNT},
               {"RPUSH l a", ":1"}, {"EXPIRE l 100", ":1"}, {"RPUSH l b", ":2"},
               {"LPOP l 1", "*1 $1 a"}, {"TTL l", ":100"});
}

static void popping_the_first(void **state)
{
    (void)state;
    STAGE_PLAY({"LMPOP 1 n LEFT", "*-1"}, {"LMPOP 2 n m RIGHT COUNT 3", "*-1"},
               {"RPUSH l a b c d", ":4"}, {"LMPOP 2 n l LEFT", "*2 $1 l *1 $1 a"},
               {"LMPOP 2 n l right COUNT 2", "*2 $1 l *2 $1 d $1 c"},
               {"LMPOP 1 l LEFT COUNT 10", "*2 $1 l *1 $1 b"}, {"EXISTS l", ":0"},
               {"RPUSH l a", ":1"}, {"LMPOP 0 l LEFT", NO_KEYS}, {"LMPOP x l LEFT", NO_KEYS},
               {"LMPOP -1 l LEFT", NO_KEYS}, {"LMPOP 2 l LEFT", SYNTAX}, {"LMPOP 9 l LEFT", SYNTAX},
               {"LMPOP 1 l MIDDLE", SYNTAX}, {"LMPOP 1 l LEFT COUNT", SYNTAX},
               {"LMPOP 1 l LEFT COUNT 0", NO_COUNT}, {"LMPOP 1 l LEFT COUNT x", NO_COUNT},
               {"LMPOP 1 l LEFT COUNT 1 COUNT 1", SYNTAX}, {"LMPOP 1 l LEFT FOO 1", SYNTAX},
               {"LMPOP 9223372036854775807 l LEFT", SYNTAX}, {"SET s v", "+OK"},
               {"LMPOP 2 s l LEFT", WRONG_TYPE}, {"LMPOP 2 l s LEFT", "*2 $1 l *1 $1 a"},
               {"LMPOP 1 l", "-arity"});
}

static void moving(void **state)
{
    (void)state;
    STAGE_PLAY({"LMOVE n m LEFT RIGHT", "$-1"}, {"RPOPLPUSH n m", "$-1"}, {"RPUSH l a b c", ":3"},
               {"LMOVE l m LEFT RIGHT", "$1 a"}, {"LMOVE l m RIGHT LEFT", "$1 c"},
               {"LRANGE m 0 -1", "*2 $1 c $1 a"}, {"RPOPLPUSH l m", "$1 b"}, {"EXISTS l", ":0"},
               {"LRANGE m 0 -1", "*3 $1 b $1 c $1 a"}, {"LMOVE m m LEFT RIGHT", "$1 b"},
               {"LRANGE m 0 -1", "*3 $1 c $1 a $1 b"}, {"LMOVE m m left left", "$1 c"},
               {"RPOPLPUSH m m", "$1 b"}, {"LRANGE m 0 -1", "*3 $1 b $1 c $1 a"},
               {"RPUSH o x", ":1"}, {"EXPIRE o 100", ":1"}, {"LMOVE o o LEFT RIGHT", "$1 x"},
               {"TTL o", ":100"}, {"LMOVE m l UP RIGHT", SYNTAX}, {"LMOVE m l LEFT DOWN", SYNTAX},
               {"SET s v", "+OK"}, {"LMOVE s l LEFT LEFT", WRONG_TYPE},
               {"LMOVE m s LEFT LEFT", WRONG_TYPE}, {"LMOVE n s LEFT LEFT", "$-1"},
               {"RPOPLPUSH s n", WRONG_TYPE}, {"LLEN m", ":3"});
}

static void setting(void **state)
{
    (void)state;
    STAGE_PLAY({"LSET n 0 x", NO_KEY}, {"RPUSH l a b c", ":3"}, {"LSET l 0 x", "+OK"},
               {"LSET l -1 z", "+OK"}, {"LSET l 1 \"\"", "+OK"},
               {"LRANGE l 0 -1", "*3 $1 x $0  $1 z"}, {"LSET l 3 x", "-ERR index out of range"},
               {"LSET l -4 x", "-ERR index out of range"}, {"LSET l x x", NO_INTEGER},
               {"SET s v", "+OK"}, {"LSET s x x", WRONG_TYPE}, {"LSET n x x", NO_KEY});
}

static void inserting(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"LINSERT n BEFORE a x", ":0"}, {"RPUSH l a b a", ":3"}, {"LINSERT l BEFORE b x", ":4"},
        {"LINSERT l after a y", ":5"}, {"LINSERT l AFTER z q", ":-1"},
        {"LINSERT l BETWEEN a q", SYNTAX}, {"LRANGE l 0 -1", "*5 $1 a $1 y $1 x $1 b $1 a"},
        {"LINSERT l BEFORE a first", ":6"}, {"LINSERT l AFTER b last", ":7"},
        {"LRANGE l 0 -1", "*7 $5 first $1 a $1 y $1 x $1 b $4 last $1 a"}, {"SET s v", "+OK"},
        {"LINSERT s BEFORE a x", WRONG_TYPE}, {"LINSERT s BETWEEN a x", SYNTAX});
}

static void removing(void **state)
{
    (void)state;
    STAGE_PLAY({"LREM n 0 a", ":0"}, {"RPUSH l a b a c a b a", ":7"}, {"LREM l 2 a", ":2"},
               {"LRANGE l 0 -1", "*5 $1 b $1 c $1 a $1 b $1 a"}, {"LREM l -1 a", ":1"},
               {"LRANGE l 0 -1", "*4 $1 b $1 c $1 a $1 b"}, {"LREM l 0 b", ":2"},
               {"LRANGE l 0 -1", "*2 $1 c $1 a"}, {"LREM l 0 z", ":0"}, {"LREM l x a", NO_INTEGER},
               {"LREM l -9223372036854775808 c", ":1"}, {"LREM l 9223372036854775807 a", ":1"},
               {"EXISTS l", ":0"}, {"SET s v", "+OK"}, {"LREM s 0 a", WRONG_TYPE},
               {"LREM s x a", NO_INTEGER});
}

static void trimming(void **state)
{
    (void)state;
    STAGE_PLAY({"LTRIM n 0 1", "+OK"}, {"RPUSH l a b c d e", ":5"}, {"LTRIM l 0 -1", "+OK"},
               {"LTRIM l 1 3", "+OK"}, {"LRANGE l 0 -1", "*3 $1 b $1 c $1 d"},
               {"LTRIM l -2 100", "+OK"}, {"LRANGE l 0 -1", "*2 $1 c $1 d"},
               {"LTRIM l x 1", NO_INTEGER}, {"LTRIM l 1 x", NO_INTEGER},
               {"LTRIM l -100 100", "+OK"}, {"LTRIM l 5 10", "+OK"}, {"EXISTS l", ":0"},
               {"RPUSH l a b", ":2"}, {"LTRIM l 1 0", "+OK"}, {"EXISTS l", ":0"},
               {"SET s v", "+OK"}, {"LTRIM s 0 1", WRONG_TYPE}, {"LTRIM s x 1", NO_INTEGER});
}

static void searching(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"LPOS n a", "$-1"}, {"LPOS n a COUNT 0", "*0"}, {"RPUSH l a b c 1 2 3 c c", ":8"},
        {"LPOS l c", ":2"}, {"LPOS l z", "$-1"}, {"LPOS l z COUNT 1", "*0"},
        {"LPOS l c RANK 2", ":6"}, {"LPOS l c RANK -1", ":7"}, {"LPOS l c RANK 9", "$-1"},
        {"LPOS l c COUNT 2", "*2 :2 :6"}, {"LPOS l c COUNT 0", "*3 :2 :6 :7"},
        {"LPOS l c RANK -1 COUNT 2", "*2 :7 :6"}, {"LPOS l c RANK -2 COUNT 0", "*2 :6 :2"},
        {"LPOS l c COUNT 0 MAXLEN 1", "*0"}, {"LPOS l c COUNT 0 MAXLEN 7", "*2 :2 :6"},
        {"LPOS l c RANK -1 COUNT 0 MAXLEN 1", "*1 :7"},
        {"LPOS l c RANK -1 COUNT 0 MAXLEN 0", "*3 :7 :6 :2"},
        {"LPOS l c RANK 0", "-ERR RANK can't be zero: use 1 to start from the first match, 2 from "
                            "the second ... or use negative to start from the end of the list"},
        {"LPOS l c RANK x", NO_INTEGER}, {"LPOS l c RANK -9223372036854775807", "$-1"},
        {"LPOS l c COUNT -1", "-ERR COUNT can't be negative"},
        {"LPOS l c COUNT x", "-ERR COUNT can't be negative"},
        {"LPOS l c MAXLEN -1", "-ERR MAXLEN can't be negative"}, {"LPOS l c RANK", SYNTAX},
        {"LPOS l c FOO 1", SYNTAX}, {"SET s v", "+OK"}, {"LPOS s a", WRONG_TYPE},
        {"LPOS s a RANK 0", "-ERR RANK can't be zero: use 1 to start from the first match, 2 from "
                            "the second ... or use negative to start from the end of the list"});
}

/* ---- beside an array: lists longer than what is looked at at a time ---- */

#define LENGTH_MAX 1200

struct model {
    int at[LENGTH_MAX];
    size_t count;
};

static void model_remove(struct model *model, size_t place)
{
    model->count--;
    memmove(model->at + place, model->at + place + 1, (model->count - place) * sizeof(int));
}

static void model_insert(struct model *model, size_t place, int value)
{
    memmove(model->at + place + 1, model->at + place, (model->count - place) * sizeof(int));
    model->at[place] = value;
    model->count++;
}

static void expect_integer(struct stage *stage, const char *line, long long expected)
{
    char reply[32];
    snprintf(reply, sizeof reply, ":%lld", expected);
    assert_string_equal(stage_run(stage, line), reply);
}

static void expect_element(struct slice *rest, int expected)
{
    struct resp_item item;
    int64_t value;
    assert_int_equal(resp_item_take(rest, &item), STATUS_OK);
    assert_int_equal(slice_to_i64(item.bytes, &value), STATUS_OK);
    assert_int_equal(value, expected);
}

/* LRANGE answers the model's elements. */
static void check_contents(struct stage *stage, const struct model *model)
{
    struct resp_item item;
    stage_run(stage, "LRANGE l 0 -1");
    struct slice rest = slice_of_buffer(&stage->out);
    assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
    assert_int_equal(item.integer, model->count);
    for (size_t i = 0; i < model->count; i++)
        expect_element(&rest, model->at[i]);
}

static void remove_some(struct stage *stage, struct model *model, struct random *random)
{
    int value = (int)random_below(random, 7), count = (int)random_below(random, 200) - 100;
    size_t wanted = count ? (size_t)(count < 0 ? -count : count) : SIZE_MAX, removed = 0;
    char line[64];
    for (size_t i = 0, all = model->count; i < all && removed < wanted; i++) {
        size_t place = count < 0 ? all - 1 - i : i - removed;
        if (model->at[place] == value) {
            model_remove(model, place);
            removed++;
        }
    }
    snprintf(line, sizeof line, "LREM l %d %d", count, value);
    expect_integer(stage, line, (long long)removed);
}

static void search(struct stage *stage, const struct model *model, struct random *random)
{
    int value = (int)random_below(random, 7);
    size_t rank = 1 + random_below(random, 150), seen = 0;
    bool from_tail = random_below(random, 2);
    long long found = -1;
    char line[64];
    for (size_t i = 0; i < model->count && found < 0; i++) {
        size_t place = from_tail ? model->count - 1 - i : i;
        if (model->at[place] == value && ++seen == rank)
            found = (long long)place;
    }
    snprintf(line, sizeof line, "LPOS l %d RANK %s%zu", value, from_tail ? "-" : "", rank);
    if (found < 0)
        assert_string_equal(stage_run(stage, line), "$-1");
    else
        expect_integer(stage, line, found);
}

static void insert_one(struct stage *stage, struct model *model, struct random *random)
{
    int pivot = (int)random_below(random, 7);
    bool behind = random_below(random, 2);
    size_t place = 0;
    char line[64];
    while (place < model->count && model->at[place] != pivot)
        place++;
    snprintf(line, sizeof line, "LINSERT l %s %d 9", behind ? "AFTER" : "BEFORE", pivot);
    if (place == model->count || model->count == LENGTH_MAX)
        return;
    model_insert(model, place + behind, 9);
    expect_integer(stage, line, (long long)model->count);
}

/* Takes both ends by trimming and popping. */
static void shorten(struct stage *stage, struct model *model, struct random *random)
{
    size_t head = random_below(random, 20), tail = random_below(random, 100);
    char line[64];
    if (model->count <= head + tail)
        return;
    snprintf(line, sizeof line, "LTRIM l %zu -1", head);
    assert_string_equal(stage_run(stage, line), "+OK");
    for (size_t i = 0; i < head; i++)
        model_remove(model, 0);
    snprintf(line, sizeof line, "RPOP l %zu", tail);
    stage_run(stage, line);
    struct slice rest = slice_of_buffer(&stage->out);
    struct resp_item item;
    assert_int_equal(resp_item_take(&rest, &item), STATUS_OK);
    assert_int_equal(item.integer, tail);
    for (size_t i = 0; i < tail; i++)
        expect_element(&rest, model->at[--model->count]);
}

static void fill(struct stage *stage, struct model *model, struct random *random)
{
    char line[64];
    while (model->count < LENGTH_MAX - 100) {
        int value = (int)random_below(random, 7);
        snprintf(line, sizeof line, "RPUSH l %d", value);
        model_insert(model, model->count, value);
        expect_integer(stage, line, (long long)model->count);
    }
}

static void beside_an_array(void **state)
{
    static void (*const steps[])(struct stage *, struct model *,
                                 struct random *) = {remove_some, insert_one, shorten, insert_one};
    struct stage stage;
    struct random random;
    struct model model = {.count = 0};
    (void)state;
    stage_open(&stage, 2);
    random_init(&random, 8);
    for (int round = 0; round < 400; round++) {
        if (model.count < 100)
            fill(&stage, &model, &random);
        steps[random_below(&random, 4)](&stage, &model, &random);
        search(&stage, &model, &random);
        check_contents(&stage, &model);
    }
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(popping),         cmocka_unit_test(popping_the_first),
        cmocka_unit_test(moving),          cmocka_unit_test(setting),
        cmocka_unit_test(inserting),       cmocka_unit_test(removing),
        cmocka_unit_test(trimming),        cmocka_unit_test(searching),
        cmocka_unit_test(beside_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
