/* COMMAND-1 as a property: random commands on a leader, their effects on a follower, while time
 * goes on and keys end. The stage compares the stores after every command. COMMAND-3: the same
 * commands at the same times give the same bytes. */
#include "base/checksum.h"
#include "base/random.h"
#include "tests/command/stage.h"

#include <stdio.h>

#define COMMANDS 6000

struct writer {
    char text[512];
    size_t size;
    struct random random;
};

/* K key, L key of a list as a rule, V value, N small number, I index, S seconds, M milliseconds,
 * A a moment in milliseconds; the rest as it stands. */
static const char *const forms[] = {
    "SET K V",        "SET K V NX",     "SET K V XX GET",  "SET K V EX S",
    "SET K V PX M",   "SET K V PXAT A", "SET K V KEEPTTL", "SET K V GET EX S",
    "SETNX K V",      "SETEX K S V",    "PSETEX K M V",    "GETSET K V",
    "GETDEL K",       "GETEX K PX M",   "GETEX K PERSIST", "GETEX K PXAT A",
    "GET K",          "STRLEN K",       "MGET K K K",      "MSET K V K V",
    "MSETNX K V K V", "APPEND K V",     "INCR K",          "DECR K",
    "INCRBY K N",     "DECRBY K N",     "INCRBYFLOAT K N", "DEL K",
    "DEL K K L K",    "UNLINK K L",     "EXISTS K K",      "TOUCH K",
    "TYPE K",         "EXPIRE K S",     "PEXPIRE K M",     "PEXPIRE K M NX",
    "PEXPIRE K M GT", "PEXPIRE K M LT", "PEXPIREAT K A",   "PERSIST K",
    "PTTL K",         "PEXPIRETIME K",  "RPUSH L V",       "RPUSH L V V V V V V",
    "LPUSH L V V",    "RPUSHX L V",     "LPUSHX K V",      "LRANGE L I I",
    "LLEN L",         "LINDEX L I",     "PEXPIRE L M",     "DBSIZE",
    "KEYS *1*",       "SCAN 0 COUNT 7", "FLUSHDB",         "FLUSHALL",
    "@db 0",          "@db 3",          "@ms 1",           "@ms 7",
    "@ms 40",
};

static void write_value(struct writer *writer)
{
    static const char *const values[] = {"1", "-7", "abc", "\"\"", "9223372036854775807", "2.5"};
    char *at = writer->text + writer->size;
    size_t room = sizeof writer->text - writer->size;
    uint64_t choice = random_below(&writer->random, 8);
    if (choice < 6)
        writer->size += (size_t)snprintf(at, room, "%s", values[choice]);
    else
        writer->size += (size_t)snprintf(at, room, "%0*d", choice == 6 ? 60 : 7, (int)choice);
}

static void write_letter(struct writer *writer, char letter, int64_t now_us)
{
    struct random *random = &writer->random;
    char *at = writer->text + writer->size;
    size_t room = sizeof writer->text - writer->size;
    uint64_t some = random_below(random, 12);
    int written = 0;
    switch (letter) {
    case 'K': written = snprintf(at, room, "key:%d", (int)some); break;
    case 'L': written = snprintf(at, room, some < 10 ? "list:%d" : "key:%d", (int)some % 4); break;
    case 'V': write_value(writer); break;
    case 'N': written = snprintf(at, room, "%d", (int)some - 5); break;
    case 'I': written = snprintf(at, room, "%d", (int)some * 3 - 12); break;
    case 'S': written = snprintf(at, room, "%d", (int)some / 4); break;
    case 'M': written = snprintf(at, room, "%d", (int)some * 9 - 2); break;
    case 'A':
        written = snprintf(at, room, "%lld", (long long)(now_us / 1000) + (long long)some * 9 - 20);
        break;
    }
    writer->size += (size_t)written;
}

static void write_command(struct writer *writer, int64_t now_us)
{
    size_t choice = random_below(&writer->random, sizeof forms / sizeof *forms);
    bool flushes = strncmp(forms[choice], "FLUSH", 5) == 0;
    const char *form = flushes && random_below(&writer->random, 20) ? "GET K" : forms[choice];
    writer->size = 0;
    for (const char *at = form; *at; at++) {
        bool alone = (at == form || at[-1] == ' ') && (at[1] == ' ' || at[1] == '\0');
        if (alone && strchr("KLVNISMA", *at))
            write_letter(writer, *at, now_us);
        else
            writer->text[writer->size++] = *at;
    }
    writer->text[writer->size] = '\0';
}

static uint64_t run(uint64_t seed)
{
    struct stage stage;
    struct writer writer;
    uint64_t trace = seed, effects = 0;
    stage_open(&stage, 2 + (int)(seed % 2));
    random_init(&writer.random, seed);
    for (int i = 0; i < COMMANDS; i++) {
        write_command(&writer, stage.now_us);
        stage.may_write = random_below(&writer.random, 16) != 0;
        stage_run(&stage, writer.text);
        effects += stage.effect_count;
        stage.effect_count = 0;
        trace = checksum_seeded(stage.out.at, stage.out.size, trace);
        trace = checksum_seeded(stage.effects.at, stage.effects.size, trace);
        if (i % 500 == 0)
            store_validate(stage.follower);
    }
    assert_true(effects > COMMANDS / 10);
    trace ^= store_digest(stage.leader);
    stage_close(&stage);
    return trace;
}

/* COMMAND-1 */
static void follower_is_leader(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++)
        run(seed);
}

/* COMMAND-3 */
static void same_again(void **state)
{
    (void)state;
    assert_int_equal(run(77), run(77));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follower_is_leader),
        cmocka_unit_test(same_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
