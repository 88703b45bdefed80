/* Parts of strings, bits and fields of bits: every reply and every error. */
#include "base/random.h"
#include "tests/command/stage.h"

#include <stdio.h>

#define WRONG_TYPE "-WRONGTYPE Operation against a key holding the wrong kind of value"
#define NO_INTEGER "-ERR value is not an integer or out of range"
#define SYNTAX     "-ERR syntax error"
#define NO_BIT     "-ERR bit offset is not an integer or out of range"
#define NO_FIELD                                                                                   \
    "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but "   \
    "i64 is."
#define TOO_LONG "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"

static void parts(void **state)
{
    (void)state;
    STAGE_PLAY({"SETRANGE k 0 \"\"", ":0"}, {"EXISTS k", ":0"}, {"SETRANGE k 3 abc", ":6"},
               {"GET k", "$6 \x00\x00\x00"
                         "abc"},
               {"STRLEN k", ":6"}, {"SETRANGE k 1 \"\\xff\"", ":6"},
               {"GETRANGE k 0 1", "$2 \x00\xff"}, {"SETRANGE k 0 \"\"", ":6"},
               {"EXPIRE k 10", ":1"}, {"SETRANGE k 4 \"BCDE\"", ":8"}, {"TTL k", ":10"},
               {"SETRANGE k -1 x", "-ERR offset is out of range"}, {"SETRANGE k x x", NO_INTEGER},
               {"SETRANGE k 536870911 xx", TOO_LONG},
               {"SETRANGE k 9223372036854775807 x", TOO_LONG}, {"SETRANGE n 536870912 x", TOO_LONG},
               {"EXISTS n", ":0"}, {"RPUSH l a", ":1"}, {"SETRANGE l 0 x", WRONG_TYPE},
               {"SETRANGE l x x", NO_INTEGER}, {"SETRANGE k 0", "-arity"});
}

static void ranges(void **state)
{
    (void)state;
    STAGE_PLAY({"SET k \"This is a string\"", "+OK"}, {"GETRANGE k 0 3", "$4 This"},
               {"GETRANGE k -3 -1", "$3 ing"}, {"GETRANGE k 0 -1", "$16 This is a string"},
               {"GETRANGE k 10 100", "$6 string"}, {"GETRANGE k 16 20", "$0 "},
               {"GETRANGE k 5 4", "$0 "}, {"GETRANGE k -100 -200", "$0 "},
               {"GETRANGE k -100 2", "$3 Thi"}, {"GETRANGE k 0 -100", "$1 T"},
               {"GETRANGE k 9223372036854775807 9223372036854775807", "$0 "},
               {"GETRANGE k -9223372036854775808 -9223372036854775808", "$1 T"},
               {"SUBSTR k -6 -1", "$6 string"}, {"GETRANGE n 0 -1", "$0 "},
               {"GETRANGE k x 1", NO_INTEGER}, {"GETRANGE k 1 x", NO_INTEGER},
               {"SET e \"\"", "+OK"}, {"GETRANGE e 0 -1", "$0 "}, {"RPUSH l a", ":1"},
               {"GETRANGE l 0 1", WRONG_TYPE}, {"SUBSTR l 0 x", NO_INTEGER});
}

static void one_bit(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"SETBIT k 7 1", ":0"}, {"GET k", "$1 \x01"}, {"SETBIT k 7 1", ":1"},
        {"SETBIT k 7 0", ":1"}, {"GET k", "$1 \x00"}, {"SETBIT k 23 0", ":0"}, {"STRLEN k", ":3"},
        {"GETBIT k 7", ":0"}, {"GETBIT k 100", ":0"}, {"GETBIT n 0", ":0"}, {"SETBIT k 1 1", ":0"},
        {"GETBIT k 1", ":1"}, {"SETBIT k 1 2", "-ERR bit is not an integer or out of range"},
        {"SETBIT k 1 -1", "-ERR bit is not an integer or out of range"},
        {"SETBIT k 1 x", "-ERR bit is not an integer or out of range"}, {"SETBIT k -1 1", NO_BIT},
        {"SETBIT k x 1", NO_BIT}, {"SETBIT k 4294967296 1", NO_BIT}, {"SETBIT k #1 1", NO_BIT},
        {"GETBIT k 4294967296", NO_BIT}, {"GETBIT k 4294967295", ":0"}, {"EXPIRE k 10", ":1"},
        {"SETBIT k 2 1", ":0"}, {"TTL k", ":10"}, {"RPUSH l a", ":1"}, {"SETBIT l 0 1", WRONG_TYPE},
        {"GETBIT l 0", WRONG_TYPE});
}

static void counting_bits(void **state)
{
    (void)state;
    STAGE_PLAY({"BITCOUNT n", ":0"}, {"BITCOUNT n x", ":0"}, {"SET k foobar", "+OK"},
               {"BITCOUNT k", ":26"}, {"BITCOUNT k 0 0", ":4"}, {"BITCOUNT k 1 1", ":6"},
               {"BITCOUNT k 1 1 BYTE", ":6"}, {"BITCOUNT k 5 30 BIT", ":17"},
               {"BITCOUNT k 0 -1 bit", ":26"}, {"BITCOUNT k -2 -1", ":7"}, {"BITCOUNT k 3 2", ":0"},
               {"BITCOUNT k -1 -5", ":0"}, {"BITCOUNT k -100 100", ":26"},
               {"BITCOUNT k 8 8 BIT", ":0"}, {"BITCOUNT k 9 9 BIT", ":1"}, {"BITCOUNT k 1", SYNTAX},
               {"BITCOUNT k 1 2 FOO", SYNTAX}, {"BITCOUNT k 1 2 BIT 3", SYNTAX},
               {"BITCOUNT k x 2", NO_INTEGER},
               {"SET k "
                "\"\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff"
                "\\xff\\xff\\xff\\xff\"",
                "+OK"},
               {"BITCOUNT k", ":160"}, {"BITCOUNT k 3 155 BIT", ":153"}, {"RPUSH l a", ":1"},
               {"BITCOUNT l", WRONG_TYPE});
}

static void bit_positions(void **state)
{
    (void)state;
    STAGE_PLAY({"BITPOS n 1", ":-1"}, {"BITPOS n 0", ":0"}, {"BITPOS n 0 5 6", ":0"},
               {"SET k \"\\xff\\xf0\\x00\"", "+OK"}, {"BITPOS k 0", ":12"}, {"BITPOS k 1 2", ":-1"},
               {"BITPOS k 1", ":0"}, {"BITPOS k 0 0 0", ":-1"}, {"BITPOS k 0 1", ":12"},
               {"BITPOS k 0 0 -1 BIT", ":12"}, {"BITPOS k 0 3 11 BIT", ":-1"},
               {"BITPOS k 0 3 12 BIT", ":12"}, {"BITPOS k 1 12 20 BIT", ":-1"},
               {"BITPOS k 1 -16 -1 BIT", ":8"}, {"BITPOS k 0 5", ":-1"},
               {"SET k \"\\xff\\xff\\xff\"", "+OK"}, {"BITPOS k 0", ":24"}, {"BITPOS k 0 1", ":24"},
               {"BITPOS k 0 1 -1", ":-1"}, {"BITPOS k 0 0 23 BIT", ":-1"},
               {"SET k "
                "\"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"
                "\\x00\\x00\\x01\"",
                "+OK"},
               {"BITPOS k 1", ":151"}, {"BITPOS k 0", ":0"}, {"BITPOS k 1 0 -2", ":-1"},
               {"BITPOS k 2", "-ERR The bit argument must be 1 or 0."}, {"BITPOS k x", NO_INTEGER},
               {"BITPOS k 1 x", NO_INTEGER}, {"BITPOS k 1 1 x", NO_INTEGER},
               {"BITPOS k 1 1 2 FOO", SYNTAX}, {"BITPOS k 1 1 2 BIT x", SYNTAX},
               {"SET e \"\"", "+OK"}, {"BITPOS e 0", ":-1"}, {"BITPOS e 1", ":-1"},
               {"RPUSH l a", ":1"}, {"BITPOS l 0", WRONG_TYPE});
}

static void combining_bits(void **state)
{
    (void)state;
    STAGE_PLAY({"SET a \"\\xf0\\x0f\"", "+OK"}, {"SET b \"\\xff\"", "+OK"},
               {"BITOP AND d a b", ":2"}, {"GETRANGE d 0 -1", "$2 \xf0\x00"},
               {"BITOP or d a b", ":2"}, {"BITCOUNT d", ":12"}, {"BITOP XOR d a b n", ":2"},
               {"BITCOUNT d", ":8"}, {"BITOP NOT d a", ":2"}, {"BITCOUNT d", ":8"},
               {"GETBIT d 0", ":0"}, {"EXPIRE d 10", ":1"}, {"BITOP NOT d d", ":2"},
               {"TTL d", ":-1"}, {"BITCOUNT d", ":8"}, {"BITOP AND d n m", ":0"},
               {"EXISTS d", ":0"}, {"BITOP AND d n m", ":0"},
               {"BITOP NOT d a b", "-ERR BITOP NOT must be called with a single source key."},
               {"BITOP FOO d a", SYNTAX}, {"BITOP NOT d", "-arity"}, {"RPUSH l a", ":1"},
               {"BITOP AND d a l", WRONG_TYPE}, {"EXISTS d", ":0"}, {"BITOP OR l a", ":2"},
               {"TYPE l", "+string"});
}

static void fields(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"BITFIELD k INCRBY i5 100 1 GET u4 0", "*2 :1 :0"}, {"STRLEN k", ":14"},
        {"BITFIELD k SET u8 #0 255 GET u8 #0 GET i8 #0", "*3 :0 :255 :-1"},
        {"BITFIELD k GET i64 0 GET u63 1", "*2 :-72057594037927936 :9151314442816847872"},
        {"BITFIELD k SET i64 3 -2 GET i64 3", "*2 :-576460752303423488 :-2"},
        {"BITFIELD k GET u1 1000", "*1 :0"}, {"BITFIELD k", "*0"}, {"BITFIELD n GET u8 0", "*1 :0"},
        {"EXISTS n", ":0"}, {"BITFIELD_RO k GET i64 3 GET u8 #1", "*2 :-2 :255"},
        {"BITFIELD_RO k GET u8 0 SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand"},
        {"BITFIELD_RO k SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand"},
        {"BITFIELD k GET", SYNTAX}, {"BITFIELD k GET u8", SYNTAX}, {"BITFIELD k SET u8 0", SYNTAX},
        {"BITFIELD k SET u8 0 x", NO_INTEGER}, {"BITFIELD k SET u64 0 1", NO_FIELD},
        {"BITFIELD k GET i65 0", NO_FIELD}, {"BITFIELD k GET u0 0", NO_FIELD},
        {"BITFIELD k GET x8 0", NO_FIELD}, {"BITFIELD k GET u8 -1", NO_BIT},
        {"BITFIELD k GET u8 #x", NO_BIT}, {"BITFIELD k GET u8 #9223372036854775807", NO_BIT},
        {"BITFIELD k GET u8 4294967296", NO_BIT}, {"BITFIELD k SET u8 4294967290 1", TOO_LONG},
        {"BITFIELD k OVERFLOW FOO SET u8 0 1", "-ERR Invalid OVERFLOW type specified"},
        {"BITFIELD k OVERFLOW", SYNTAX}, {"BITFIELD k FOO", SYNTAX}, {"EXPIRE k 10", ":1"},
        {"BITFIELD k SET u8 0 1", "*1 :255"}, {"TTL k", ":10"}, {"RPUSH l a", ":1"},
        {"BITFIELD l GET u8 0", WRONG_TYPE}, {"BITFIELD_RO l GET u8 0", WRONG_TYPE},
        {"BITFIELD l SET u8 0 1", WRONG_TYPE});
}

static void overflows(void **state)
{
    (void)state;
    STAGE_PLAY({"BITFIELD k SET u8 0 250 INCRBY u8 0 10", "*2 :0 :4"},
               {"BITFIELD k OVERFLOW SAT INCRBY u8 0 1000 INCRBY u8 0 -1000", "*2 :255 :0"},
               {"BITFIELD k SET i8 8 127 INCRBY i8 8 1", "*2 :0 :-128"},
               {"BITFIELD k OVERFLOW SAT INCRBY i8 8 -100 INCRBY i8 8 127 INCRBY i8 8 127",
                "*3 :-128 :-1 :126"},
               {"BITFIELD k OVERFLOW FAIL INCRBY i8 8 1 GET i8 8", "*2 :127 :127"},
               {"BITFIELD k OVERFLOW FAIL SET u2 20 4 OVERFLOW WRAP SET u2 20 5 GET u2 20",
                "*3 $-1 :0 :1"},
               {"BITFIELD k SET i64 64 9223372036854775807 INCRBY i64 64 1",
                "*2 :0 :-9223372036854775808"},
               {"BITFIELD k OVERFLOW SAT INCRBY i64 64 -1 GET i64 64",
                "*2 :-9223372036854775808 :-9223372036854775808"},
               {"BITFIELD k OVERFLOW SAT SET u8 0 -1 GET u8 0", "*2 :0 :255"},
               {"BITFIELD k SET u8 0 -1 GET u8 0", "*2 :255 :255"},
               {"BITFIELD k SET i4 0 -9 GET i4 0", "*2 :-1 :7"},
               {"BITFIELD k SET u63 70 9223372036854775807 GET u63 70 INCRBY u63 70 1",
                "*3 :0 :9223372036854775807 :0"});
}

/* ---- beside a row of bits that is looked at one by one ---- */

#define BYTES 40

static bool bit(const uint8_t *bytes, size_t at)
{
    return bytes[at / 8] >> (7 - at % 8) & 1;
}

static void expect(struct stage *stage, const char *line, long long expected)
{
    char reply[32];
    snprintf(reply, sizeof reply, ":%lld", expected);
    assert_string_equal(stage_run(stage, line), reply);
}

static void check_range(struct stage *stage, const uint8_t *bytes, size_t first, size_t last,
                        bool by_bit)
{
    size_t unit = by_bit ? 1 : 8, begin = first * unit, end = (last + 1) * unit;
    long long count = 0, places[2] = {-1, -1};
    char line[64];
    for (size_t i = begin; i < end; i++) {
        count += bit(bytes, i);
        if (places[bit(bytes, i)] < 0)
            places[bit(bytes, i)] = (long long)i;
    }
    snprintf(line, sizeof line, "BITCOUNT k %zu %zu %s", first, last, by_bit ? "BIT" : "BYTE");
    expect(stage, line, count);
    for (int wanted = 0; wanted < 2; wanted++) {
        snprintf(line, sizeof line, "BITPOS k %d %zu %zu %s", wanted, first, last,
                 by_bit ? "BIT" : "BYTE");
        expect(stage, line, places[wanted]);
    }
}

static void all_ranges(void **state)
{
    struct stage stage;
    struct random random;
    (void)state;
    stage_open(&stage, 2);
    random_init(&random, 4);
    for (int round = 0; round < 300; round++) {
        uint8_t bytes[BYTES];
        struct slice arguments[3] = {slice_of_text("SET"), slice_of_text("k"),
                                     slice_of(bytes, BYTES)};
        memset(bytes, round % 3 ? 0 : 0xff, BYTES);
        for (uint64_t i = random_below(&random, 6); i > 0; i--)
            bytes[random_below(&random, BYTES)] = (uint8_t)random_next(&random);
        stage_run_arguments(&stage, arguments, 3);
        for (int i = 0; i < 20; i++) {
            bool by_bit = i % 2;
            size_t units = by_bit ? BYTES * 8 : BYTES;
            size_t first = random_below(&random, units);
            check_range(&stage, bytes, first, first + random_below(&random, units - first), by_bit);
        }
    }
    stage_close(&stage);
}

/* Fields of any width anywhere, beside the same row. */
static void all_fields(void **state)
{
    struct stage stage;
    struct random random;
    uint8_t bytes[BYTES] = {0};
    char line[128], reply[64];
    (void)state;
    stage_open(&stage, 2);
    random_init(&random, 5);
    for (int round = 0; round < 3000; round++) {
        unsigned width = 1 + (unsigned)random_below(&random, 63);
        size_t at = random_below(&random, BYTES * 8 - width);
        uint64_t before = 0, value = random_next(&random) & ((UINT64_C(1) << width) - 1);
        for (size_t i = 0; i < width; i++) {
            uint8_t mask = (uint8_t)(0x80 >> (at + i) % 8), *byte = &bytes[(at + i) / 8];
            before = before << 1 | ((*byte & mask) != 0);
            *byte = (uint8_t)(value >> (width - 1 - i) & 1 ? *byte | mask : *byte & ~mask);
        }
        snprintf(line, sizeof line, "BITFIELD k SET u%u %zu %llu", width, at,
                 (unsigned long long)value);
        snprintf(reply, sizeof reply, "*1 :%llu", (unsigned long long)before);
        assert_string_equal(stage_run(&stage, line), reply);
    }
    struct store_key key = store_key_of(0, slice_of_text("k"));
    struct slice string = store_entry_string(store_find(stage.leader, &key));
    assert_memory_equal(string.at, bytes, string.size);
    stage_close(&stage);
}

/* The leader's limit; the follower, which applies what passed it, has none (COMMAND-1). */
static void no_command_passes_the_longest_string(void **state)
{
    (void)state;
    STAGE_PLAY({"@limit 8", ""}, {"SETRANGE k 7 x", ":8"}, {"SETRANGE k 8 x", TOO_LONG},
               {"SETRANGE n 536870911 x", TOO_LONG}, {"APPEND k y", TOO_LONG},
               {"SETBIT b 63 1", ":0"}, {"SETBIT b 64 1", TOO_LONG},
               {"SETBIT n 4294967295 1", TOO_LONG}, {"BITFIELD b SET u8 56 1", "*1 :1"},
               {"BITFIELD b SET u8 57 1", TOO_LONG}, {"EXISTS n", ":0"}, {"STRLEN k", ":8"},
               {"STRLEN b", ":8"}, {"GETBIT b 64", ":0"}, {"GETRANGE k 8 9", "$0 "},
               {"@limit 4", ""}, {"GETRANGE k 7 7", "$1 x"}, {"SETRANGE k 3 y", ":8"},
               {"SETRANGE k 4 y", TOO_LONG});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_command_passes_the_longest_string),
        cmocka_unit_test(parts),
        cmocka_unit_test(ranges),
        cmocka_unit_test(one_bit),
        cmocka_unit_test(counting_bits),
        cmocka_unit_test(bit_positions),
        cmocka_unit_test(combining_bits),
        cmocka_unit_test(fields),
        cmocka_unit_test(overflows),
        cmocka_unit_test(all_ranges),
        cmocka_unit_test(all_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
