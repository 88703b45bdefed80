/* What a client is told about itself and about what it asked wrongly; in the words of redis. */
#include "stage.h"

#include <string.h>

#define SHOWN 30 /* bytes of an error that stage.h keeps */

static void check(struct stage *stage, unsigned client, const char *request, const char *reply)
{
    const char *got = stage_ask(stage, client, request);
    size_t size = strlen(reply) < SHOWN ? strlen(reply) : SHOWN;
    if (strncmp(got, reply, size) != 0)
        print_error("%s: %s\n", request, got);
    assert_int_equal(0, strncmp(got, reply, size));
}

/* One user without a password: both ways to name it agree, and nobody else is let in. */
static void who_may_come_in(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(1);
    unsigned client = stage_connect(stage, 0);
    check(stage, client, "HELLO 3 AUTH any any SETNAME me", "-WRONGPASS");
    check(stage, client, "HELLO", "server redis version 7.0.15 proto 2"); /* nothing has changed */
    check(stage, client, "HELLO 2 SETNAME me AUTH any any", "-WRONGPASS");
    assert_string_equal("", stage_ask(stage, client, "CLIENT GETNAME"));
    check(stage, client, "AUTH any any", "-WRONGPASS");
    check(stage, client, "AUTH any", "-ERR AUTH <password> called without any password");
    check(stage, client, "AUTH a b c", "-ERR syntax error");
    check(stage, client, "AUTH default any", "OK");
    check(stage, client, "HELLO 3 AUTH default any SETNAME me", "server redis");
    check(stage, client, "CLIENT GETNAME", "me");
    stage_destroy(stage);
}

static void wrong_use_is_named(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(1);
    unsigned client = stage_connect(stage, 0);
    check(stage, client, "CLIENT HELP", "CLIENT <subcommand>");
    check(stage, client, "NODE PROBE x y z", "-ERR wrong number of arguments");
    check(stage, client, "NODE PROMISE x", "-ERR wrong number of arguments");
    check(stage, client, "NODE NOSUCH", "-ERR unknown subcommand");
    check(stage, client, "CONFIG GET", "-ERR wrong number of arguments");
    check(stage, client, "CONFIG SET a b", "-ERR only CONFIG GET is available");
    check(stage, client, "COMMAND GETKEYS PING", "-ERR The command has no key arguments");
    check(stage, client, "COMMAND GETKEYS", "-ERR wrong number of arguments");
    stage_destroy(stage);
}

static void idle_and_age_are_measured(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(1);
    unsigned idle = stage_connect(stage, 0), client = stage_connect(stage, 0);
    check(stage, idle, "CLIENT SETNAME idle", "OK");
    stage_run(stage, 3 * STAGE_SECOND);
    check(stage, client, "PING", "PONG");
    const char *list = stage_ask(stage, client, "CLIENT LIST");
    assert_non_null(strstr(list, "name=idle age=3 idle=3 "));
    assert_non_null(strstr(list, "age=3 idle=0 "));
    stage_destroy(stage);
}

/* What a page in a browser can make it send: no command behind the head runs. */
static void http_is_shown_the_door(void **state)
{
    static const char *const heads[] = {"POST / HTTP/1.1\r\n", "GET x\r\nHost: localhost\r\n"};
    (void)state;
    struct stage *stage = stage_formed(1);
    unsigned other = stage_connect(stage, 0);
    for (size_t i = 0; i < 2; i++) {
        unsigned client = stage_connect(stage, 0);
        stage_send(stage, client, heads[i], strlen(heads[i]));
        stage_say(stage, client, "SET evil 1");
        if (i)
            assert_string_equal("nil", stage_reply(stage, client, STAGE_SECOND));
        assert_string_equal("(closed)", stage_reply(stage, client, STAGE_SECOND));
    }
    assert_string_equal("nil", stage_ask(stage, other, "GET evil"));
    const char *line = strstr(stage->nodes[0].lines, "closed 1 connection that sent POST or Host:");
    assert_non_null(line);
    assert_null(strstr(line + 1, "closed 1 "));
    stage_run(stage, 61 * STAGE_SECOND);
    assert_non_null(strstr(line + 1, "closed 1 ")); /* the count, a minute later */
    assert_null(strstr(stage_ask(stage, other, "COMMAND LIST"), "post"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_come_in),
        cmocka_unit_test(wrong_use_is_named),
        cmocka_unit_test(idle_and_age_are_measured),
        cmocka_unit_test(http_is_shown_the_door),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
