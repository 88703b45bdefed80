/* The table itself: names, numbers, keys, patterns, and what COMMAND tells of it. */
#include "tests/command/stage.h"

#include <stdio.h>

#define GOLDEN "tests/golden/command-numbers.txt"

/* ---- names ---- */

static void any_case(void **state)
{
    struct command_table *table = command_table_create(NULL, 0);
    (void)state;
    static const char *const unknown[] = {"",      "GE",           "GETT",      "G\x05T",
                                          "[ET",   "incrbyfloatx", "_SETUNTIL", "_DEADLINE",
                                          "_ZPUT", "_COPYFROM",    "\307ET"};
    for (size_t i = 0; i < command_count(table); i++) {
        const struct command *command = command_at(table, i);
        char name[32];
        size_t size = strlen(command->name);
        for (size_t flip = 0; flip < 4; flip++) {
            for (size_t j = 0; j < size; j++) {
                char c = command->name[j];
                bool lower = flip == 1 || (flip == 2 && j % 2) || (flip == 3 && j % 3);
                name[j] = lower && c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
            }
            assert_ptr_equal(command_find(table, slice_of(name, size)), command);
        }
        name[size] = '\0'; /* a zero byte is a byte */
        assert_null(command_find(table, slice_of(name, size + 1)));
        assert_ptr_equal(command_by_number(table, command->number), command);
        if (i)
            assert_true(strcmp(command_at(table, i - 1)->name, command->name) < 0);
    }
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_null(command_find(table, slice_of_text(unknown[i])));
    assert_null(command_find(table, slice_of("a name of more bytes than any", 29)));
    assert_null(command_by_number(table, 0));
    assert_null(command_by_number(table, 65535));
    assert_null(command_by_number(table, UINT64_MAX));
    command_table_destroy(table);
}

static void rows_of_others(void **state)
{
    static const struct command extra[] = {
        {1000, "PING", -1, COMMAND_CONNECTION | COMMAND_FAST, 0, 0, 0, "@fast", NULL, NULL, NULL,
         NULL, 7},
        {65535, "CLIENT-KEEPALIVE-SECS", 1, COMMAND_ADMIN, 0, 0, 0, NULL, NULL, NULL, NULL, NULL,
         8},
    };
    struct command_table *table = command_table_create(extra, 2);
    struct command_table *plain = command_table_create(NULL, 0);
    (void)state;
    assert_int_equal(command_count(table), command_count(plain) + 2);
    assert_ptr_equal(command_find(table, slice_of_text("ping")), &extra[0]);
    assert_ptr_equal(command_find(table, slice_of_text("client-keepalive-secs")), &extra[1]);
    assert_ptr_equal(command_by_number(table, 65535), &extra[1]);
    command_table_destroy(table);
    command_table_destroy(plain);
}

/* ---- COMMAND-4: numbers are for ever ---- */

static void golden_numbers(void **state)
{
    struct command_table *table = command_table_create(NULL, 0);
    FILE *file = fopen(GOLDEN, "r");
    unsigned number, last = 0;
    char name[64];
    size_t lines = 0, rows = 0;
    (void)state;
    if (!file)
        fail_msg("cannot open %s: run the test in the source root", GOLDEN);
    while (fscanf(file, "%u %63s", &number, name) == 2) {
        const struct command *command = command_by_number(table, number);
        assert_true(number > last);
        last = number;
        lines++;
        if (!command || strcmp(command->name, name) != 0)
            fail_msg("number %u belongs to %s for ever", number, name);
    }
    assert_true(feof(file));
    fclose(file);
    for (number = 0; number <= UINT16_MAX; number++) {
        rows += command_by_number(table, number) != NULL;
        if (number > last && command_by_number(table, number))
            fail_msg("add to %s: %u %s", GOLDEN, number, command_by_number(table, number)->name);
    }
    assert_int_equal(lines, rows);
    command_table_destroy(table);
}

/* Every row is whole: what clients read of it, and no row both reads and writes. */
static void rows_are_whole(void **state)
{
    struct command_table *table = command_table_create(NULL, 0);
    (void)state;
    for (size_t i = 0; i < command_count(table); i++) {
        const struct command *command = command_at(table, i);
        bool writes = command->flags & COMMAND_WRITE, reads = command->flags & COMMAND_READ;
        bool fast = command->flags & COMMAND_FAST, whole = command->flags & COMMAND_WHOLE;
        assert_true(writes != reads);
        assert_non_null(command->execute);
        assert_true((strstr(command->categories, "@fast") != NULL) == fast);
        assert_true((strstr(command->categories, "@slow") != NULL) != fast);
        assert_true((strstr(command->categories, "@write") != NULL) == writes);
        bool named =
            command->first_key > 0 || (command->flags & (COMMAND_COUNTED_1 | COMMAND_COUNTED_2));
        assert_true(whole || named); /* SORT and COPY are both: they name a part of their keys */
        assert_true(!whole || !named || !(command->flags & COMMAND_EFFECT));
        assert_true(!(command->flags & COMMAND_EFFECT) || writes);
        assert_true(strlen(command->summary) && strlen(command->group) && strlen(command->since));
    }
    command_table_destroy(table);
}

/* ---- arity and keys ---- */

/* Requests as text; the keys of each as text too. */
static void keys_of_requests(void **state)
{
    static const struct {
        const char *request, *keys;
        bool fits;
    } cases[] = {
        {"GET k", "k", true},
        {"GET", "", false},
        {"GET k x", "k", false},
        {"SET k v EX 5 GET", "k", true},
        {"SET k", "k", false},
        {"DEL a b c", "a b c", true},
        {"MSET a 1 b 2", "a b", true},
        {"MSET a 1 b", "a b", true},
        {"DBSIZE", "", true},
        {"LRANGE k 0 1", "k", true},
        {"FLUSHALL ASYNC x", "", true},
        {"OBJECT ENCODING k", "k", true},
        {"OBJECT HELP", "", true},
        {"BITOP AND d a b", "d a b", true},
        {"RENAME a b", "a b", true},
        {"COPY a b DB 3", "a b", true},
        {"SUNIONSTORE d a b", "d a b", true},
        {"ZRANGESTORE d z 0 1", "d z", true},
        {"LMPOP 2 a b LEFT", "a b", true},
        {"LMPOP 9 a b LEFT", "a b LEFT", true},
        {"LMPOP 0 a LEFT", "", true},
        {"LMPOP -1 a LEFT", "", true},
        {"LMPOP x a LEFT", "", true},
        {"LMPOP 9223372036854775807 a LEFT", "a LEFT", true},
        {"ZINTERCARD 1 a", "a", true},
        {"ZINTERCARD 1 a LIMIT 1", "a", true},
        {"ZUNION 3 a b c WEIGHTS 1 2 3", "a b c", true},
        {"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "d a b", true},
        {"ZUNIONSTORE d 0 a", "d", true},
        {"ZUNIONSTORE d x a", "d", true},
        {"ZUNIONSTORE d", "d", false},
        {"SORT k", "k", true},
        {"SORT k STORE d", "k d", true},
        {"SORT k STORE d STORE e", "k e", true},
        {"SORT k BY STORE GET STORE LIMIT STORE 1 STORE d", "k d", true},
        {"SORT k ASC STORE", "k", true},
        {"SORT_RO k STORE d", "k", true},
    };
    struct command_table *table = command_table_create(NULL, 0);
    struct resp_parser parser;
    (void)state;
    resp_parser_init(&parser, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[128], keys[128] = "";
        size_t consumed, need, at = 0, size = 0;
        snprintf(line, sizeof line, "%s\r\n", cases[i].request);
        assert_int_equal(resp_parse(&parser, slice_of_text(line), &consumed, &need), STATUS_OK);
        const struct command *command = command_find(table, parser.arguments[0]);
        assert_int_equal(command_arity_fits(command, parser.count), cases[i].fits);
        while ((at = command_next_key(command, parser.arguments, parser.count, at)) != 0)
            size += (size_t)snprintf(keys + size, sizeof keys - size, "%s%.*s", size ? " " : "",
                                     (int)parser.arguments[at].size, parser.arguments[at].at);
        assert_string_equal(keys, cases[i].keys);
    }
    resp_parser_deinit(&parser);
    command_table_destroy(table);
}

/* Which requests touch more than they name: what waits for all keys, and what no partition can do
 * alone. */
static void whole_requests(void **state)
{
    static const struct {
        const char *request;
        bool whole;
    } cases[] = {
        {"GET k", false},
        {"DBSIZE", true},
        {"FLUSHALL", true},
        {"RANDOMKEY", true},
        {"SCAN 0", true},
        {"KEYS get", true},
        {"SORT k", false},
        {"SORT k ALPHA", false},
        {"SORT k STORE d", false},
        {"SORT k by w*", true},
        {"SORT k GET #", true},
        {"SORT_RO k LIMIT 0 1", false},
        {"SORT_RO k GET w*", true},
        {"COPY db by", false},
        {"COPY a b REPLACE", false},
        {"COPY a b REPLACE DB 3", true},
        {"ZUNION 2 a b", false},
    };
    struct command_table *table = command_table_create(NULL, 0);
    struct resp_parser parser;
    (void)state;
    resp_parser_init(&parser, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[64];
        size_t consumed, need;
        snprintf(line, sizeof line, "%s\r\n", cases[i].request);
        assert_int_equal(resp_parse(&parser, slice_of_text(line), &consumed, &need), STATUS_OK);
        const struct command *command = command_find(table, parser.arguments[0]);
        assert_int_equal(command_is_whole(command, parser.arguments, parser.count), cases[i].whole);
    }
    resp_parser_deinit(&parser);
    command_table_destroy(table);
}

/* ---- patterns ---- */

static void patterns(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"*", "", true},
        {"*", "abc", true},
        {"", "", true},
        {"", "a", false},
        {"a", "a", true},
        {"a", "A", false},
        {"a*", "abc", true},
        {"*c", "abc", true},
        {"*b*", "abc", true},
        {"a*c", "abcbc", true},
        {"a*d", "abc", false},
        {"**", "", true},
        {"?", "", false},
        {"?", "a", true},
        {"a?c", "abc", true},
        {"[ab]", "b", true},
        {"[ab]", "c", false},
        {"[^ab]", "c", true},
        {"[^ab]", "a", false},
        {"[a-c]", "b", true},
        {"[c-a]", "b", true},
        {"[a-c]x", "bx", true},
        {"[\\]]", "]", true},
        {"[]a", "a", false},
        {"[a", "a", true},
        {"[", "a", false},
        {"[^", "a", true},
        {"[a-", "a", true},
        {"[a-]", "-", false},
        {"[a-]b", "ab", false},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"\\", "\\", true},
        {"a\\", "a\\", true},
        {"user:*:x", "user:1:x", true},
        {"*a*a*a*b", "aaaaaaaaaaaaaaaaaaaa", false},
        {"*[0-9]", "key7", true},
        {"*\\", "a\\", true},
        {"h[^e]llo", "hallo", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (command_glob(slice_of_text(cases[i].pattern), slice_of_text(cases[i].text), false) !=
            cases[i].matches)
            fail_msg("%s against %s", cases[i].pattern, cases[i].text);
    assert_true(command_glob(slice_of_text("G[E-F]T*"), slice_of_text("getex"), true));
    assert_false(command_glob(slice_of_text("G*"), slice_of_text("getex"), false));
}

/* What takes other matchers longer than the universe lasts. */
static void hostile_pattern(void **state)
{
    char pattern[2001], text[20001];
    (void)state;
    for (size_t i = 0; i < 2000; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[2000] = 'b';
    memset(text, 'a', sizeof text);
    assert_false(command_glob(slice_of(pattern, 2001), slice_of(text, sizeof text), false));
}

/* ---- COMMAND ---- */

static void describes(void **state)
{
    (void)state;
    STAGE_PLAY(
        {"COMMAND COUNT", ":136"},
        {"COMMAND COUNT x", "-ERR wrong number of arguments for 'command|count' command"},
        {"COMMAND INFO mset x",
         "*2 *10 $4 mset :-3 *2 +write +denyoom :1 :-1 :2 *3 +@write +@string +@slow *0 *1 *6 "
         "$5 flags *2 +RW +update $12 begin_search *4 $4 type $5 index $4 spec *2 $5 index :1 "
         "$9 find_keys *4 $4 type $5 range $4 spec *6 $7 lastkey :-1 $7 keystep :2 $5 limit :0 "
         "*0 $-1"},
        {"COMMAND INFO dbsize",
         "*1 *10 $6 dbsize :1 *2 +readonly +fast :0 :0 :0 *3 +@keyspace +@read +@fast *0 *0 *0"},
        {"COMMAND DOCS Get none",
         "*2 $3 get *6 $7 summary $26 Answer the string of a key $5 since $5 1.0.0 $5 group "
         "$6 string"},
        {"COMMAND INFO zunionstore",
         "*1 *10 $11 zunionstore :-4 *3 +write +denyoom +movablekeys :1 :1 :1 *3 +@write "
         "+@sortedset +@slow *0 *2 *6 $5 flags *2 +RW +update $12 begin_search *4 $4 type $5 index "
         "$4 spec *2 $5 index :1 $9 find_keys *4 $4 type $5 range $4 spec *6 $7 lastkey :0 "
         "$7 keystep :1 $5 limit :0 *6 $5 flags *2 +RO +access $12 begin_search *4 $4 type "
         "$5 index $4 spec *2 $5 index :2 $9 find_keys *4 $4 type $6 keynum $4 spec *6 "
         "$9 keynumidx :0 $8 firstkey :1 $7 keystep :1 *0"},
        {"COMMAND INFO sort",
         "*1 *10 $4 sort :-2 *3 +write +denyoom +movablekeys :1 :1 :1 *6 +@write +@set "
         "+@sortedset +@list +@slow +@dangerous *0 *2 *6 $5 flags *2 +RW +update $12 begin_search "
         "*4 $4 type $5 index $4 spec *2 $5 index :1 $9 find_keys *4 $4 type $5 range $4 spec *6 "
         "$7 lastkey :0 $7 keystep :1 $5 limit :0 *6 $5 flags *2 +RW +update $12 begin_search *4 "
         "$4 type $7 unknown $4 spec *0 $9 find_keys *4 $4 type $7 unknown $4 spec *0 *0"},
        {"COMMAND GETKEYS mset a b c d", "*2 $1 a $1 c"},
        {"COMMAND GETKEYS zunionstore d 2 a b weights 1 2", "*3 $1 d $1 a $1 b"},
        {"COMMAND GETKEYS lmpop 2 a b left", "*2 $1 a $1 b"},
        {"COMMAND GETKEYS sort a by w* store d", "*2 $1 a $1 d"},
        {"COMMAND GETKEYS nope a", "-ERR Invalid command specified"},
        {"COMMAND GETKEYS dbsize x", "-ERR The command has no key arguments"},
        {"COMMAND GETKEYS get a b", "-ERR Invalid number of arguments specified for command"},
        {"COMMAND GETKEYS", "-ERR wrong number of arguments for 'command|getkeys' command"},
        {"COMMAND FOO", "-ERR unknown subcommand 'FOO'. Try COMMAND HELP."},
        {"COMMAND LIST FILTERBY PATTERN G*T", "*3 $3 get $6 getbit $6 getset"},
        {"COMMAND LIST FILTERBY ACLCAT dangerous",
         "*5 $8 flushall $7 flushdb $4 keys $4 sort $7 sort_ro"},
        {"COMMAND LIST FILTERBY ACLCAT none", "*0"}, {"COMMAND LIST FILTERBY MODULE x", "*0"},
        {"COMMAND LIST FILTERBY FOO x", "-ERR syntax error"},
        {"COMMAND LIST x", "-ERR syntax error"});
}

static void describes_in_resp3(void **state)
{
    static const struct step steps[] = {
        {"COMMAND INFO get x",
         "*2 *10 $3 get :2 ~2 +readonly +fast :1 :1 :1 ~3 +@read +@string +@fast ~0 ~1 %3 "
         "$5 flags ~2 +RO +access $12 begin_search %2 $4 type $5 index $4 spec %1 $5 index :1 "
         "$9 find_keys %2 $4 type $5 range $4 spec %3 $7 lastkey :0 $7 keystep :1 $5 limit :0 "
         "~0 _"},
        {"COMMAND DOCS get", "%1 $3 get %3 $7 summary $26 Answer the string of a key $5 since "
                             "$5 1.0.0 $5 group $6 string"},
        {"COMMAND GETKEYS get a", "*1 $1 a"},
    };
    struct stage stage;
    (void)state;
    stage_open(&stage, 3);
    stage_play(&stage, steps, sizeof steps / sizeof *steps);
    stage_close(&stage);
}

/* The long answers are whole replies too (the stage checks it), one entry for each row. */
static void describes_all(void **state)
{
    static const char *const lines[] = {"COMMAND", "COMMAND INFO", "COMMAND DOCS", "COMMAND LIST",
                                        "COMMAND HELP"};
    (void)state;
    for (int protocol = 2; protocol <= 3; protocol++) {
        struct stage stage;
        stage_open(&stage, protocol);
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
            stage_run(&stage, lines[i]);
        assert_memory_equal(stage_run(&stage, "COMMAND"), "*136 *10 $6 append :3 ", 22);
        stage_close(&stage);
    }
}

/* What is named as absent is, and has no effect on what is merely misspelt. */
static void test_absent_commands(void **state)
{
    static const struct {
        const char *name, *use;
    } names[] = {
        {"BLPOP", "use the same command without B"}, {"blpop", "use the same command without B"},
        {"EVAL", "use WATCH, MULTI and EXEC"},       {"SUBSCRIBE", "use a list"},
        {"CLUSTER", "any node takes any command"},   {"ACL", NULL}};
    static const char *const others[] = {"", " ", "BLPO", "BLPOPX", "BLPOP BRPOP", "NOSUCH", "GET"};
    (void)state;
    struct command_table *table = command_table_create(NULL, 0);
    const char *use;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_true(command_is_absent(slice_of_text(names[i].name), &use));
        assert_null(command_find(table, slice_of_text(names[i].name)));
        assert_int_equal(names[i].use == NULL, use == NULL);
        if (use)
            assert_memory_equal(names[i].use, use, strlen(names[i].use));
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(command_is_absent(slice_of_text(others[i]), &use));
    for (size_t i = 0; i < command_count(table); i++)
        assert_false(command_is_absent(slice_of_text(command_at(table, i)->name), &use));
    command_table_destroy(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent_commands), cmocka_unit_test(any_case),
        cmocka_unit_test(rows_of_others),       cmocka_unit_test(golden_numbers),
        cmocka_unit_test(rows_are_whole),       cmocka_unit_test(keys_of_requests),
        cmocka_unit_test(whole_requests),       cmocka_unit_test(patterns),
        cmocka_unit_test(hostile_pattern),      cmocka_unit_test(describes),
        cmocka_unit_test(describes_in_resp3),   cmocka_unit_test(describes_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
