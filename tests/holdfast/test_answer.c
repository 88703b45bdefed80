/* Replies of RESP3 become JSON, whatever they hold. */
#include "holdfast/answer.h"

#include "holdfast/progress.h"
#include "holdfast/waiting.h"

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void reads_as(const char *reply, const char *expected)
{
    json_t *answer = answer_read(slice_of_text(reply));
    char *text = json_dumps(answer, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(expected, text);
    free(text);
    json_decref(answer);
}

static void scalars(void **state)
{
    (void)state;
    reads_as("+OK\r\n", "\"OK\"");
    reads_as(":-7\r\n", "-7");
    reads_as("_\r\n", "null");
    reads_as("$-1\r\n", "null");
    reads_as("#t\r\n", "true");
    reads_as(",1.5\r\n", "1.5");
    reads_as(",inf\r\n", "\"inf\"");
    reads_as("$2\r\nab\r\n", "\"ab\"");
    reads_as("=6\r\ntxt:ab\r\n", "\"ab\"");
    reads_as("$3\r\na\xff\n\r\n", "\"a\\\\xff\\\\x0a\""); /* bytes that are no text */
}

static void nested(void **state)
{
    (void)state;
    reads_as("%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n:2\r\n%1\r\n+c\r\n_\r\n",
             "{\"a\":1,\"b\":[2,{\"c\":null}]}");
    reads_as("*2\r\n%1\r\n:5\r\n+x\r\n%0\r\n", "[{\"5\":\"x\"},{}]");
    reads_as("*0\r\n", "[]");
}

static void torn_and_deep_replies_end(void **state)
{
    char deep[4 * 40 + 1] = "";
    (void)state;
    for (int i = 0; i < 40; i++)
        memcpy(deep + 4 * i, "*1\r\n", 5);
    json_t *answer = answer_read(slice_of_text(deep));
    assert_true(json_is_array(answer));
    json_decref(answer);
    answer = answer_read(slice_of_text("%3\r\n+a\r\n"));
    assert_true(json_is_object(answer));
    json_decref(answer);
}

static void errors_of_use(void **state)
{
    static const struct {
        const char *text;
        bool of_use;
    } errors[] = {{"ERR wrong number of arguments: KEYSPACE CREATE takes a name", true},
                  {"ERR unknown subcommand 'FOO': NODE knows LIST", true},
                  {"ERR option 'BOGUS' is not known: MODE, REPLICAS", true},
                  {"ERR option ACK lacks its value: give one, as in ACK quorum", true},
                  {"ERR REPLICAS takes a number from 1 to 7, not 'x'", true},
                  {"ERR LOSS knows LIST [keyspace], SHOW id", true},
                  {"ERR COUNT lacks its value: COUNT n, a number from 1 on", true},
                  {"ERR WHY takes KEYSPACE name, NODE id", true},
                  {"ERR node 3 takes no replica: it is being drained", false},
                  {"ERR READERS 2 of keyspace carts: partition 2 has 2", false},
                  {"ERR keyspace carts exists: KEYSPACE INFO carts shows it", false},
                  {"ERR there is no keyspace 'x': KEYSPACE LIST shows all", false},
                  {"TRYAGAIN no leader answered in time", false},
                  {"ERR ", false},
                  {"", false}};
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        assert_int_equal(errors[i].of_use, answer_is_of_use(slice_of_text(errors[i].text)));
}

static void line_of(const char *text, const char *wanted)
{
    struct buffer line;
    json_t *view = text ? json_loads(text, 0, NULL) : NULL;
    buffer_init(&line, 4096);
    assert_int_equal(wanted[0] != 0, waiting_line(view, &line));
    assert_int_equal(0, buffer_append(&line, "", 1));
    assert_string_equal(wanted, (const char *)line.at);
    buffer_deinit(&line);
    json_decref(view);
}

static void whom_it_waits_for(void **state)
{
    (void)state;
    line_of(NULL, "");
    line_of("{\"nodes\":[{\"id\":1,\"addr\":\"h:1\",\"state\":\"up\"},{\"id\":2,\"addr\":\"h:2\","
            "\"state\":\"down\"},{\"id\":3,\"addr\":\"h:3\",\"state\":\"down\"}],\"partitions\":[{"
            "\"keyspace\":\"system\",\"id\":0,\"leader\":null}]}",
            "waiting for a leader of keyspace system; node 2 at h:2, node 3 at h:3 cannot be "
            "reached from there");
    line_of("{\"nodes\":[{\"id\":1,\"addr\":\"h:1\",\"state\":\"up\"}],\"partitions\":[{"
            "\"keyspace\":\"system\",\"id\":0,\"leader\":1}]}",
            "");
}

static void bars(void **state)
{
    char line[PROGRESS_LINE_SIZE];
    (void)state;
    progress_line(line, 0, 3, "of 3");
    assert_string_equal("[..............................] 0 of 3", line);
    progress_line(line, 1, 3, "of 3");
    assert_string_equal("[##########....................] 1 of 3", line);
    progress_line(line, 7, 3, "of 3"); /* what grew meanwhile is full */
    assert_string_equal("[##############################] 7 of 3", line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars),
        cmocka_unit_test(nested),
        cmocka_unit_test(torn_and_deep_replies_end),
        cmocka_unit_test(bars),
        cmocka_unit_test(errors_of_use),
        cmocka_unit_test(whom_it_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
