/* COMMAND-1 as a property: random commands on a leader, their effects on a follower, while time
 * goes on and keys end. The stage compares the stores after every command. COMMAND-3: the same
 * commands at the same times give the same bytes. */
#include "base/checksum.h"
#include "base/random.h"
#include "tests/command/stage.h"

#include <stdio.h>

#define COMMANDS 10000

struct writer {
    char text[512];
    size_t size;
    struct random random;
};

/* K key of any type; as a rule L key of a list, H of a hash, T of a set, Z of a sorted set. V
 * value, N small number, I index, C small count, S seconds, M milliseconds, A a moment in
 * milliseconds; the rest as it stands. */
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
    "@ms 40",         "PEXPIRE H M",    "PEXPIRE T M",     "PEXPIRE Z M",
};

static const char *const more_forms[] = {
    "SETRANGE K C V",
    "GETRANGE K I I",
    "SETBIT K C 1",
    "SETBIT K C 0",
    "GETBIT K C",
    "BITCOUNT K I I BIT",
    "BITPOS K 0 I",
    "BITOP XOR K K K",
    "BITOP NOT K K",
    "BITFIELD K INCRBY i7 C N GET u9 C",
    "BITFIELD K OVERFLOW FAIL SET u3 C C OVERFLOW SAT INCRBY i4 C N",
    "RENAME K K",
    "RENAMENX H H",
    "RENAME Z T",
    "COPY K K",
    "COPY L K REPLACE DB 3",
    "COPY T Z DB 0 REPLACE",
    "COPY Z K REPLACE",
    "RANDOMKEY",
    "OBJECT ENCODING K",
    "SORT L ALPHA STORE L",
    "SORT T BY key:* STORE K",
    "SORT Z ALPHA BY nosort LIMIT C C STORE L",
    "SORT L ALPHA BY key:* GET # GET list:* LIMIT 0 3",
    "SORT_RO Z BY key:* DESC",
    "LPOP L",
    "RPOP L C",
    "LMPOP 2 L L RIGHT COUNT 3",
    "LSET L I V",
    "LREM L N V",
    "LTRIM L I I",
    "LINSERT L BEFORE V V",
    "LPOS L V RANK -1 COUNT 0",
    "LMOVE L L LEFT RIGHT",
    "RPOPLPUSH L L",
    "HSET H V V",
    "HSET H V V V V V V",
    "HMSET H V V",
    "HSETNX H V V",
    "HDEL H V V",
    "HINCRBY H V N",
    "HINCRBYFLOAT H V N",
    "HGETALL H",
    "HMGET H V V",
    "HRANDFIELD H N WITHVALUES",
    "HSCAN H 0 COUNT 3",
    "SADD T V V V",
    "SADD T N N",
    "SREM T V V",
    "SMOVE T T V",
    "SPOP T",
    "SPOP T C",
    "SRANDMEMBER T N",
    "SMEMBERS T",
    "SINTER T T",
    "SINTERSTORE T T T",
    "SUNIONSTORE T T T",
    "SUNIONSTORE K T",
    "SDIFFSTORE T T T",
    "SINTERCARD 2 T T",
    "SSCAN T 0",
    "ZADD Z N V N V",
    "ZADD Z XX CH N V N V",
    "ZADD Z GT INCR N V",
    "ZADD Z NX N V",
    "ZINCRBY Z N V",
    "ZREM Z V V",
    "ZRANK Z V WITHSCORE",
    "ZRANGE Z I I REV WITHSCORES",
    "ZRANGEBYSCORE Z (N +inf LIMIT 1 2",
    "ZRANGESTORE Z Z I I",
    "ZRANGESTORE K Z N +inf BYSCORE LIMIT 0 2",
    "ZREMRANGEBYRANK Z I I",
    "ZREMRANGEBYSCORE Z N N",
    "ZREMRANGEBYLEX Z - (b",
    "ZPOPMIN Z",
    "ZPOPMAX Z C",
    "ZMPOP 2 Z Z MIN COUNT 2",
    "ZRANDMEMBER Z N WITHSCORES",
    "ZUNIONSTORE Z 2 Z T WEIGHTS N N",
    "ZINTERSTORE Z 2 Z Z AGGREGATE MAX",
    "ZDIFFSTORE Z 2 Z T",
    "ZUNION 2 Z T WITHSCORES",
    "ZINTERCARD 2 Z Z",
    "ZSCAN Z 0",
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
        writer->size += (size_t)snprintf(at, room, "%0*d", choice == 6 ? 60 : 7,
                                         (int)random_below(&writer->random, 200));
}

static void write_letter(struct writer *writer, char letter, int64_t now_us)
{
    struct random *random = &writer->random;
    char *at = writer->text + writer->size;
    size_t room = sizeof writer->text - writer->size;
    uint64_t some = random_below(random, 12);
    static const char letters[] = "LHTZ";
    static const char *const kinds[] = {"list", "hash", "set", "sorted"};
    const char *kind = strchr(letters, letter);
    int written = 0;
    if (kind) {
        const char *name = some < 11 ? kinds[kind - letters] : "key";
        writer->size += (size_t)snprintf(at, room, "%s:%d", name, (int)some % 3);
        return;
    }
    switch (letter) {
    case 'K': written = snprintf(at, room, "key:%d", (int)some); break;
    case 'V': write_value(writer); break;
    case 'N': written = snprintf(at, room, "%d", (int)some - 5); break;
    case 'C': written = snprintf(at, room, "%d", (int)some); break;
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
    size_t first = sizeof forms / sizeof *forms, all = first + sizeof more_forms / sizeof *forms;
    size_t choice = random_below(&writer->random, all);
    const char *form = choice < first ? forms[choice] : more_forms[choice - first];
    if (strncmp(form, "FLUSH", 5) == 0 && random_below(&writer->random, 40))
        form = "GET K";
    writer->size = 0;
    for (const char *at = form; *at; at++) {
        bool alone = (at == form || at[-1] == ' ') && (at[1] == ' ' || at[1] == '\0');
        if (alone && strchr("KLHTZVNICSMA", *at))
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
