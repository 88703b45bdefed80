/* Replies: the bytes of each event in both protocols, and reading them back (RESP-3). */
#include "base/memory.h"
#include "base/random.h"
#include "resp/resp.h"

#include <math.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct sheet {
    struct buffer out;
    struct reply reply;
};

static void open_sheet(struct sheet *sheet, int protocol)
{
    buffer_init(&sheet->out, 1u << 20);
    sheet->reply = (struct reply){.out = &sheet->out, .protocol = protocol};
}

static void write_scalars(struct reply *reply)
{
    reply_status(reply, "PONG");
    reply_ok(reply);
    reply_error(reply, "ERR a\r\nb '%s'", "x");
    reply_integer(reply, 7);
    reply_integer(reply, INT64_MIN);
    reply_bulk(reply, slice_of("a\0b", 3));
    reply_text(reply, "");
    reply_null(reply);
    reply_null_array(reply);
    reply_boolean(reply, true);
    reply_boolean(reply, false);
    reply_double(reply, 1.5);
    reply_double(reply, -INFINITY);
    reply_double(reply, NAN);
    reply_verbatim(reply, slice_of_text("hi"));
}

static void write_containers(struct reply *reply)
{
    reply_array(reply, 0);
    reply_array(reply, 12);
    reply_map(reply, 2);
    reply_set(reply, 3);
    reply_push(reply, 1);
}

static void expect_bytes(int protocol, void (*write)(struct reply *), const char *expected,
                         size_t size)
{
    struct sheet sheet;
    open_sheet(&sheet, protocol);
    write(&sheet.reply);
    assert_int_equal(sheet.out.size, size);
    assert_memory_equal(sheet.out.at, expected, size);
    assert_false(sheet.reply.overflowed);
    buffer_deinit(&sheet.out);
}

#define EXPECT(protocol, write, bytes) expect_bytes(protocol, write, bytes, sizeof(bytes) - 1)

static void scalars(void **state)
{
    (void)state;
    EXPECT(
        2, write_scalars,
        "+PONG\r\n+OK\r\n-ERR a  b 'x'\r\n:7\r\n:-9223372036854775808\r\n$3\r\na\0b\r\n$0\r\n\r\n"
        "$-1\r\n*-1\r\n:1\r\n:0\r\n$3\r\n1.5\r\n$4\r\n-inf\r\n$3\r\nnan\r\n$2\r\nhi\r\n");
    EXPECT(
        3, write_scalars,
        "+PONG\r\n+OK\r\n-ERR a  b 'x'\r\n:7\r\n:-9223372036854775808\r\n$3\r\na\0b\r\n$0\r\n\r\n"
        "_\r\n_\r\n#t\r\n#f\r\n,1.5\r\n,-inf\r\n,nan\r\n=6\r\ntxt:hi\r\n");
}

static void containers(void **state)
{
    (void)state;
    EXPECT(2, write_containers, "*0\r\n*12\r\n*4\r\n*3\r\n*1\r\n");
    EXPECT(3, write_containers, "*0\r\n*12\r\n%2\r\n~3\r\n>1\r\n");
}

static void write_pairs(struct reply *reply)
{
    reply_pairs(reply, 2);
    for (int i = 0; i < 2; i++) {
        reply_pair(reply);
        reply_integer(reply, i);
        reply_double(reply, 0.5);
    }
}

static void pairs(void **state)
{
    (void)state;
    EXPECT(2, write_pairs, "*4\r\n:0\r\n$3\r\n0.5\r\n:1\r\n$3\r\n0.5\r\n");
    EXPECT(3, write_pairs, "*2\r\n*2\r\n:0\r\n,0.5\r\n*2\r\n:1\r\n,0.5\r\n");
}

/* Kept and told later is the same as told at once, over both protocols. */
static void what_is_kept_is_told(void **state)
{
    void (*const writers[])(struct reply *) = {write_scalars, write_containers, write_pairs};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct sheet kept;
        open_sheet(&kept, REPLY_KEPT);
        writers[i](&kept.reply);
        for (int protocol = 2; protocol <= 3; protocol++) {
            struct sheet at_once, later;
            open_sheet(&at_once, protocol);
            open_sheet(&later, protocol);
            writers[i](&at_once.reply);
            reply_kept(&later.reply, slice_of_buffer(&kept.out));
            assert_int_equal(at_once.reply.failed, later.reply.failed);
            assert_true(slice_equal(slice_of_buffer(&at_once.out), slice_of_buffer(&later.out)));
            buffer_deinit(&at_once.out);
            buffer_deinit(&later.out);
        }
        buffer_deinit(&kept.out);
    }
}

static void what_cannot_be_read_is_an_error(void **state)
{
    const char *const texts[] = {"",
                                 "x",
                                 "?1\r\n",
                                 ":1",
                                 ":x\r\n",
                                 "*-1\r\n",
                                 "=3\r\n",
                                 "=3\r\nabc\r\n",
                                 "$5\r\nabc\r\n",
                                 "+a\r\n$",
                                 "\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sheet sheet;
        open_sheet(&sheet, 3);
        reply_kept(&sheet.reply, slice_of_text(texts[i]));
        assert_true(sheet.reply.failed);
        assert_memory_equal("-ERR the command ran", sheet.out.at, 20);
        buffer_deinit(&sheet.out);
    }
}

static void errors_are_counted_and_cut(void **state)
{
    struct sheet sheet;
    char text[3000];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    open_sheet(&sheet, 2);
    assert_false(sheet.reply.failed);
    reply_error(&sheet.reply, "ERR %s", text);
    assert_true(sheet.reply.failed);
    assert_true(sheet.out.size < 1100);
    assert_memory_equal(sheet.out.at + sheet.out.size - 2, "\r\n", 2);
    buffer_deinit(&sheet.out);
}

static void nobody_listens(void **state)
{
    (void)state;
    write_scalars(NULL);
    write_containers(NULL);
}

/* An item is written whole or not at all; after the first that does not fit nothing comes. */
static void overflow(void **state)
{
    struct sheet sheet;
    (void)state;
    open_sheet(&sheet, 2);
    sheet.out.size_max = 64;
    reply_ok(&sheet.reply);
    reply_bulk(&sheet.reply, slice_of((const uint8_t[100]){0}, 100));
    assert_true(sheet.reply.overflowed);
    reply_ok(&sheet.reply);
    assert_int_equal(sheet.out.size, 5);
    buffer_deinit(&sheet.out);
}

/* ---- the other side ---- */

static void requests(void **state)
{
    struct buffer out;
    const struct slice arguments[] = {slice_of_text("SET"), slice_of_text("k"), slice_of_text("")};
    (void)state;
    buffer_init(&out, 1000);
    resp_request(&out, arguments, 3);
    assert_int_equal(out.size, 26);
    assert_memory_equal(out.at, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n", out.size);
    buffer_deinit(&out);
}

static void reply_sizes(void **state)
{
    static const struct {
        const char *input;
        enum status status;
        size_t size;
    } cases[] = {
        {"+OK\r\n:1\r\n", STATUS_OK, 5},
        {"$3\r\nabc\r\nX", STATUS_OK, 9},
        {"$-1\r\n", STATUS_OK, 5},
        {"*-1\r\n", STATUS_OK, 5},
        {"*2\r\n*1\r\n:1\r\n%1\r\n+a\r\n~0\r\n:5\r\n", STATUS_OK, 24},
        {"_\r\n", STATUS_OK, 3},
        {"#t\r\n", STATUS_OK, 4},
        {"=6\r\ntxt:hi\r\n", STATUS_OK, 12},
        {"", STATUS_AGAIN, 0},
        {"*2\r\n:1\r\n", STATUS_AGAIN, 0},
        {"$3\r\nab", STATUS_AGAIN, 0},
        {"$3\r\nabc\r", STATUS_AGAIN, 0},
        {"+OK\r", STATUS_AGAIN, 0},
        {"$3\r\nabcde", STATUS_INVALID, 0},
        {"+OK\rX", STATUS_INVALID, 0},
        {"$-2\r\n", STATUS_INVALID, 0},
        {"%-1\r\n", STATUS_INVALID, 0},
        {"*4294967296\r\n", STATUS_INVALID, 0},
        {":x\r\n", STATUS_INVALID, 0},
        {"#x\r\n", STATUS_INVALID, 0},
        {"?\r\n", STATUS_INVALID, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = 0;
        enum status status = resp_reply_size(slice_of_text(cases[i].input), &size);
        assert_int_equal(status, cases[i].status);
        assert_int_equal(size, cases[i].size);
    }
}

static void items(void **state)
{
    struct slice input = slice_of_text("%1\r\n+a\r\n$-1\r\n#t\r\n=5\r\ntxt:x\r\n");
    struct resp_item item;
    (void)state;
    assert_int_equal(resp_item_take(&input, &item), STATUS_OK);
    assert_int_equal(item.type, '%');
    assert_int_equal(item.integer, 1);
    assert_int_equal(resp_item_take(&input, &item), STATUS_OK);
    assert_int_equal(item.type, '+');
    assert_memory_equal(item.bytes.at, "a", 1);
    assert_int_equal(resp_item_take(&input, &item), STATUS_OK);
    assert_int_equal(item.type, '_');
    assert_int_equal(resp_item_take(&input, &item), STATUS_OK);
    assert_int_equal(item.type, '#');
    assert_int_equal(item.integer, 1);
    assert_int_equal(resp_item_take(&input, &item), STATUS_OK);
    assert_int_equal(item.type, '=');
    assert_int_equal(item.bytes.size, 5);
    assert_int_equal(resp_item_take(&input, &item), STATUS_AGAIN);
}

/* RESP-3: whatever is written can be read back; cut anywhere, it is incomplete and nothing else. */
static void written_is_read(void **state)
{
    (void)state;
    for (int protocol = 2; protocol <= 3; protocol++) {
        struct sheet sheet;
        open_sheet(&sheet, protocol);
        reply_array(&sheet.reply, 16);
        write_scalars(&sheet.reply);
        reply_map(&sheet.reply, 1);
        reply_ok(&sheet.reply);
        reply_null(&sheet.reply);
        size_t size = 0;
        assert_int_equal(resp_reply_size(slice_of_buffer(&sheet.out), &size), STATUS_OK);
        assert_int_equal(size, sheet.out.size);
        for (size_t cut = 0; cut < sheet.out.size; cut++)
            assert_int_equal(resp_reply_size(slice_of(sheet.out.at, cut), &size), STATUS_AGAIN);
        buffer_deinit(&sheet.out);
    }
}

static void random_replies(void **state)
{
    static const char letters[] = "+-:$*%~>_#,(=!\r\n0123456789tf";
    struct random random;
    (void)state;
    random_init(&random, 7);
    for (int round = 0; round < 200000; round++) {
        char text[24];
        size_t size = random_below(&random, sizeof text), found;
        for (size_t i = 0; i < size; i++)
            text[i] = letters[random_below(&random, sizeof letters - 1)];
        if (resp_reply_size(slice_of(text, size), &found) == STATUS_OK)
            assert_true(found <= size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars),
        cmocka_unit_test(containers),
        cmocka_unit_test(pairs),
        cmocka_unit_test(what_is_kept_is_told),
        cmocka_unit_test(what_cannot_be_read_is_an_error),
        cmocka_unit_test(errors_are_counted_and_cut),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(overflow),
        cmocka_unit_test(requests),
        cmocka_unit_test(reply_sizes),
        cmocka_unit_test(items),
        cmocka_unit_test(written_is_read),
        cmocka_unit_test(random_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
