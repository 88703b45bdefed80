/* Requests: what is understood, and with which words the rest is refused. */
#include "base/random.h"
#include "tests/resp/transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct slice text_of(struct buffer *out)
{
    transcript_add(out, "", 1);
    out->size--;
    return slice_of_buffer(out);
}

static void expect(struct slice input, const char *expected)
{
    struct buffer out;
    buffer_init(&out, TRANSCRIPT_SIZE_MAX);
    transcript_of_two(&out, input, input.size, 0);
    assert_string_equal((const char *)text_of(&out).at, expected);
    buffer_deinit(&out);
    transcript_check_cuts(input); /* RESP-2 */
}

#define EXPECT(input, expected) expect(slice_of(input, sizeof(input) - 1), expected)

static void requests_of_bulks(void **state)
{
    (void)state;
    EXPECT("*1\r\n$4\r\nPING\r\n", "[PING]");
    EXPECT("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n", "[SET|k|]");
    EXPECT("*2\r\n$3\r\nGET\r\n$12\r\nabcdefghijkl\r\n*1\r\n$4\r\nPING\r\n",
           "[GET|abcdefghijkl][PING]");
    EXPECT("*2\r\n$3\r\nGET\r\n$4\r\n\r\n\r\n\r\n", "[GET|\r\n\r\n]");
    EXPECT("*0\r\n*-1\r\n*-5\r\n*1\r\n$1\r\na\r\n", "[][][][a]");
    EXPECT("*11\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n"
           "$1\r\nh\r\n$1\r\ni\r\n$1\r\nj\r\n$1\r\nk\r\n",
           "[a|b|c|d|e|f|g|h|i|j|k]");
    EXPECT("*2\r\n$3\r\nGET\r\n$4\r\nab", "");
}

static void inline_requests(void **state)
{
    (void)state;
    EXPECT("PING\r\n", "[PING]");
    EXPECT("PING\nPING \n", "[PING][PING]");
    EXPECT("\r\n\r\n  \r\nPING\r\n", "[][][][PING]");
    EXPECT("  SET  a \t b \r\n*1\r\n$1\r\nx\r\n", "[SET|a|b][x]");
    EXPECT("SET a \"b c\" 'd e'\r\n", "[SET|a|b c|d e]");
    EXPECT("ECHO a\"b c\"\r\n", "[ECHO|ab c]");
    EXPECT("ECHO \"\" ''\r\n", "[ECHO||]");
    EXPECT("ECHO \"\\x41\\n\\q\\xZZ\\\"\\\\\"\r\n", "[ECHO|A\nqxZZ\"\\]");
    EXPECT("ECHO 'a\\'b\\n'\r\n", "[ECHO|a'b\\n]");
    EXPECT("ECHO \"\\x4a\\x4B\\x\"\r\n", "[ECHO|JKx]");
}

static void errors_of_redis(void **state)
{
    (void)state;
    EXPECT("*\r\n", "!invalid multibulk length");
    EXPECT("*03\r\n", "!invalid multibulk length");
    EXPECT("*abc\r\n", "!invalid multibulk length");
    EXPECT("*1x\r\n", "!invalid multibulk length");
    EXPECT("*+1\r\n", "!invalid multibulk length");
    EXPECT("*2147483648\r\n", "!invalid multibulk length");
    EXPECT("*9223372036854775808\r\n", "!invalid multibulk length");
    EXPECT("*1048577\r\n", "!invalid multibulk length");
    EXPECT("*1\r\n$-1\r\n", "!invalid bulk length");
    EXPECT("*1\r\n$04\r\nPING\r\n", "!invalid bulk length");
    EXPECT("*1\r\n$536870913\r\n", "!invalid bulk length");
    EXPECT("*1\r\n$99999999999999999999\r\n", "!invalid bulk length");
    EXPECT("*1\r\nX\r\n", "!expected '$', got 'X'");
    EXPECT("*2\r\n$1\r\na\r\n*1\r\n", "!expected '$', got '*'");
    EXPECT("PING \"a\r\n", "!unbalanced quotes in request");
    EXPECT("PING \"a\"b\r\n", "!unbalanced quotes in request");
    EXPECT("PING 'a\r\n", "!unbalanced quotes in request");
    EXPECT("PING \"a\\\r\n", "!unbalanced quotes in request");
    EXPECT("PING\r\n*1\r\n$x\r\n", "[PING]!invalid bulk length");
}

/* Redis overlooks these; the rest of such a stream would be read as commands. */
static void errors_of_ours(void **state)
{
    (void)state;
    EXPECT("*1\r\n$4\r\nPINGXX*1\r\n$4\r\nPING\r\n", "!bulk without CRLF at its end");
    EXPECT("*1\r\n$4\r\nPING\rX", "!bulk without CRLF at its end");
    EXPECT("*1\rX$4\r\nPING\r\n", "!invalid multibulk length");
    EXPECT("*1\r\n$4\rXPING\r\n", "!invalid bulk length");
}

/* Lines end at their maximum whether or not the end has arrived. */
static void long_lines(void **state)
{
    static const struct {
        const char *start;
        char filling;
        const char *end, *expected;
    } cases[] = {
        {"", 'a', "", "!too big inline request"},
        {"", 'a', "\r\n", "!too big inline request"},
        {"*", '1', "", "!too big mbulk count string"},
        {"*", '1', "\r\n", "!too big mbulk count string"},
        {"*1\r\n$", '1', "", "!too big bulk count string"},
        {"*1\r\n$", '1', "\r\n", "!too big bulk count string"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer input, out;
        buffer_init(&input, 1u << 20);
        buffer_init(&out, TRANSCRIPT_SIZE_MAX);
        transcript_add(&input, cases[i].start, strlen(cases[i].start));
        for (size_t j = 0; j <= RESP_INLINE_SIZE_MAX; j++)
            transcript_add(&input, &cases[i].filling, 1);
        transcript_add(&input, cases[i].end, strlen(cases[i].end));
        transcript_of_two(&out, slice_of_buffer(&input), input.size, 0);
        assert_string_equal((const char *)text_of(&out).at, cases[i].expected);
        for (size_t step = 1000; step < 70000; step += 9001) {
            transcript_of_steps(&out, slice_of_buffer(&input), step, 0);
            assert_string_equal((const char *)text_of(&out).at, cases[i].expected);
        }
        buffer_deinit(&input);
        buffer_deinit(&out);
    }
}

/* RESP-1: memory follows what has come, not what was said. */
static void announced_is_not_allocated(void **state)
{
    static const char text[] = "*1048576\r\n$536870912\r\nabc";
    struct resp_parser parser;
    size_t consumed, need = 0;
    (void)state;
    resp_parser_init(&parser, 0);
    assert_int_equal(resp_parse(&parser, slice_of(text, sizeof text - 1), &consumed, &need),
                     STATUS_AGAIN);
    assert_int_equal(need, 22 + 536870912 + 2);
    assert_true(parser.capacity <= 16);
    resp_parser_deinit(&parser);
}

/* What a giant needed is given back before the next request. */
static void giants_leave_nothing(void **state)
{
    struct resp_parser parser;
    struct buffer input;
    size_t consumed, need;
    (void)state;
    resp_parser_init(&parser, 0);
    buffer_init(&input, 8u << 20);
    transcript_add(&input, "*100000\r\n", 9);
    for (int i = 0; i < 100000; i++)
        transcript_add(&input, "$1\r\na\r\n", 7);
    assert_int_equal(resp_parse(&parser, slice_of_buffer(&input), &consumed, &need), STATUS_OK);
    assert_int_equal(parser.count, 100000);
    assert_int_equal(consumed, input.size);
    assert_int_equal(resp_parse(&parser, slice_of("PING\r\n", 6), &consumed, &need), STATUS_OK);
    assert_true(parser.capacity < 100);
    buffer_deinit(&input);
    resp_parser_deinit(&parser);
}

static void expect_within(size_t bulk_size_max, const char *input, const char *expected)
{
    struct buffer out;
    buffer_init(&out, TRANSCRIPT_SIZE_MAX);
    transcript_of_two(&out, slice_of_text(input), strlen(input), bulk_size_max);
    assert_string_equal((const char *)text_of(&out).at, expected);
    buffer_deinit(&out);
    transcript_check_cuts_of(slice_of_text(input), bulk_size_max);
}

/* What is too large is refused once, when its size is read; the stream goes on behind it. */
static void the_longest_argument_is_the_callers_choice(void **state)
{
    (void)state;
    expect_within(20, "*1\r\n$20\r\nabcdefghijklmnopqrst\r\n", "[abcdefghijklmnopqrst]");
    expect_within(20, "*1\r\n$21\r\nabcdefghijklmnopqrstu\r\nPING\r\n", "?[PING]");
    expect_within(20, "*2\r\n$1\r\nk\r\n$22\r\nabcdefghijklmnopqrst\r\n\r\nPING\r\n", "?[PING]");
    expect_within(20, "*2\r\n$21\r\nabcdefghijklmnopqrstu\r\n$1\r\nk\r\n*1\r\n$1\r\nb\r\n", "?[b]");
    expect_within(20, "*2\r\n$21\r\nabcdefghijklmnopqrstu\r\nPING\r\n", "?!expected '$', got 'P'");
    expect_within(20, "*1\r\n$21\r\nlo", "?");
}

/* A request of many arguments ends at twice the longest one. */
static void the_longest_request_follows_from_it(void **state)
{
    (void)state;
    expect_within(12, "*3\r\n$1\r\na\r\n$1\r\nb\r\n$0\r\n\r\nPING\r\n", "[a|b|][PING]");
    expect_within(12, "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\nPING\r\n", "?[PING]");
    expect_within(12, "*9\r\n$1\r\na\r\n$9\r\nbbbbbbbbb\r\n$1\r\nc\r\n", "?");
}

/* RESP-1: of what is skipped nothing is kept, and no more than a read is asked for. */
static void what_is_skipped_needs_no_room(void **state)
{
    static const char text[] = "*2\r\n$101\r\nabc";
    struct resp_parser parser;
    size_t consumed, need;
    (void)state;
    resp_parser_init(&parser, 100);
    assert_int_equal(resp_parse(&parser, slice_of_text(text), &consumed, &need), STATUS_TOO_LARGE);
    assert_non_null(strstr(parser.too_large, "proto-max-bulk-len"));
    assert_int_equal(consumed, 10);
    assert_int_equal(resp_parse(&parser, slice_of_text("abc"), &consumed, &need), STATUS_AGAIN);
    assert_int_equal(consumed, 3);
    assert_int_equal(need, 4);
    resp_parser_deinit(&parser);
}

static void lost_stays_lost(void **state)
{
    struct resp_parser parser;
    size_t consumed, need;
    (void)state;
    resp_parser_init(&parser, 0);
    assert_int_equal(resp_parse(&parser, slice_of("*x\r\n", 4), &consumed, &need), STATUS_INVALID);
    assert_int_equal(resp_parse(&parser, slice_of("PING\r\n", 6), &consumed, &need),
                     STATUS_INVALID);
    resp_parser_deinit(&parser);
}

/* ---- random and mutated streams: RESP-1, RESP-2 ---- */

static void add_random_bytes(struct buffer *out, struct random *random)
{
    static const char letters[] = "*$\r\n0123456789-ab \"'\\x";
    size_t size = random_below(random, 40);
    for (size_t i = 0; i < size; i++)
        transcript_add(out, &letters[random_below(random, sizeof letters - 1)], 1);
}

static void add_random_request(struct buffer *out, struct random *random)
{
    struct slice arguments[5];
    static const uint8_t bytes[] = "key\r\n value with $9 *3 \"quotes' and more";
    size_t count = 1 + random_below(random, 5);
    for (size_t i = 0; i < count; i++)
        arguments[i] = slice_of(bytes, random_below(random, sizeof bytes));
    resp_request(out, arguments, count);
}

static void mutate(struct buffer *out, struct random *random)
{
    if (out->size == 0)
        return;
    for (uint64_t i = random_below(random, 3); i > 0; i--)
        out->at[random_below(random, out->size)] = (uint8_t)random_next(random);
    if (random_below(random, 4) == 0)
        out->size = random_below(random, out->size);
}

static void random_streams(void **state)
{
    struct random random;
    struct buffer input;
    (void)state;
    buffer_init(&input, 1u << 20);
    random_init(&random, 2026);
    for (int round = 0; round < 1200; round++) {
        buffer_reset(&input);
        for (uint64_t i = random_below(&random, 3) + 1; i > 0; i--) {
            if (random_below(&random, 4) == 0)
                add_random_bytes(&input, &random);
            else
                add_random_request(&input, &random);
        }
        if (random_below(&random, 2))
            mutate(&input, &random);
        transcript_check_cuts(slice_of_buffer(&input));
    }
    buffer_deinit(&input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_bulks),
        cmocka_unit_test(inline_requests),
        cmocka_unit_test(errors_of_redis),
        cmocka_unit_test(errors_of_ours),
        cmocka_unit_test(long_lines),
        cmocka_unit_test(announced_is_not_allocated),
        cmocka_unit_test(giants_leave_nothing),
        cmocka_unit_test(lost_stays_lost),
        cmocka_unit_test(the_longest_argument_is_the_callers_choice),
        cmocka_unit_test(the_longest_request_follows_from_it),
        cmocka_unit_test(what_is_skipped_needs_no_room),
        cmocka_unit_test(random_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
