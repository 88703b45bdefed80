/* SERVER-4 and SERVER-5: what one client does costs a bounded amount, and nobody else anything. */
#include "stage.h"

#include "base/memory.h"
#include "base/random.h"
#include "server/inside.h"

#include <string.h>

#define VALUE_SIZE 100000

static const struct client *client_at(struct stage *stage, unsigned node, unsigned nth)
{
    const struct server *server = stage_server(stage, node);
    for (uint32_t i = 0; i < server->client_capacity; i++) {
        const struct client *client = server->clients[i];
        if (client && client->used && nth-- == 0)
            return client;
    }
    return NULL;
}

static void set_large_value(struct stage *stage, unsigned client, const char *key)
{
    stage_send_large(stage, client, key, VALUE_SIZE);
    assert_string_equal("OK", stage_reply(stage, client, 5 * STAGE_SECOND));
}

/* It asks for 200 MB and reads nothing: what waits for it stays bounded, its input stops,
 * others are served; when it reads again everything comes. */
static void client_that_does_not_read(void **state)
{
    enum {
        ASKED = 2000
    };
    (void)state;
    struct stage *stage = stage_formed(1);
    unsigned greedy = stage_connect(stage, 0), other = stage_connect(stage, 0);
    set_large_value(stage, greedy, "k");
    stage_deafen(stage, greedy, true);
    for (unsigned i = 0; i < ASKED; i++)
        stage_say(stage, greedy, "GET k");
    for (unsigned i = 0; i < 50; i++) {
        stage_run(stage, 10 * STAGE_MS);
        const struct client *client = client_at(stage, 0, 0);
        /* What is sent already goes in pieces of UNSENT_PAUSE. SERVER-4 */
        assert_true(client->session.out.size < 2 * UNSENT_PAUSE + 2 * VALUE_SIZE);
        assert_true(client->session.count <= PENDING_PAUSE + 1);
        assert_true(client->input.capacity <= 4 * READ_SIZE);
    }
    assert_true(client_at(stage, 0, 0)->paused);
    assert_string_equal("PONG", stage_ask(stage, other, "PING"));
    stage_deafen(stage, greedy, false);
    for (unsigned i = 0; i < ASKED; i++)
        assert_int_equal('v', stage_reply(stage, greedy, 5 * STAGE_SECOND)[0]);
    assert_false(client_at(stage, 0, 0)->paused);
    stage_destroy(stage);
}

static size_t waiting_bytes(const struct client *client)
{
    size_t bytes = client->session.out.size;
    for (size_t i = 0; i < client->session.count; i++)
        bytes += session_at((struct session *)&client->session, i)->own.size;
    return bytes;
}

/* The same through a follower: the replies before tell how many may be on their way. */
static void check_follower(unsigned small, unsigned large, size_t forwards_max)
{
    enum {
        ASKED = 500
    };
    struct stage *stage = stage_formed(3);
    unsigned follower = stage_follower(stage), greedy = stage_connect(stage, follower);
    set_large_value(stage, greedy, "k");
    for (unsigned i = 0; i < small; i++)
        stage_say(stage, greedy, "GET nothing");
    for (unsigned i = 0; i < small; i++)
        assert_string_equal("nil", stage_reply(stage, greedy, 5 * STAGE_SECOND));
    for (unsigned i = 0; i < large; i++)
        assert_int_equal('v', stage_ask(stage, greedy, "GET k")[0]);
    stage_deafen(stage, greedy, true);
    for (unsigned i = 0; i < ASKED; i++)
        stage_say(stage, greedy, "GET k");
    for (unsigned i = 0; i < 50; i++) {
        stage_run(stage, 10 * STAGE_MS);
        assert_true(waiting_bytes(client_at(stage, follower, 0)) <
                    2 * UNSENT_PAUSE + (forwards_max + FORWARDS_MIN) * VALUE_SIZE); /* SERVER-4 */
    }
    assert_true(client_at(stage, follower, 0)->paused);
    stage_deafen(stage, greedy, false);
    for (unsigned i = 0; i < ASKED; i++)
        assert_int_equal('v', stage_reply(stage, greedy, 5 * STAGE_SECOND)[0]);
    stage_destroy(stage);
}

static void client_of_a_follower_that_does_not_read(void **state)
{
    (void)state;
    check_follower(0, 0, FORWARDS_FIRST + 1);
    check_follower(1000, 1, UNSENT_PAUSE / VALUE_SIZE);
}

/* Small replies, many requests: the number under way is bounded too. */
static void client_that_only_writes(void **state)
{
    enum {
        ASKED = 60000
    };
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), client = stage_connect(stage, leader);
    assert_string_equal("PONG", stage_ask(stage, client, "PING"));
    stage_isolate(stage, leader);
    for (unsigned i = 0; i < ASKED; i++)
        stage_say(stage, client, "INCR n");
    size_t most = 0;
    for (unsigned i = 0; i < 300; i++) {
        stage_run(stage, STAGE_MS / 5);
        const struct client *at = client_at(stage, leader, 0);
        most = at->session.count > most ? at->session.count : most;
        assert_true(at->session.count <= PENDING_PAUSE + 1); /* SERVER-4 */
    }
    assert_true(most > PENDING_PAUSE / 2);
    stage_heal(stage);
    char expected[16];
    for (unsigned i = 1; i <= ASKED; i++) {
        snprintf(expected, sizeof expected, "%u", i);
        assert_string_equal(expected, stage_reply(stage, client, 10 * STAGE_SECOND));
    }
    stage_destroy(stage);
}

/* Half a gigabyte is announced, a few bytes come: only what came takes memory. */
static void request_that_is_only_announced(void **state)
{
    static const char head[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$500000000\r\nabc";
    (void)state;
    struct stage *stage = stage_formed(1);
    unsigned client = stage_connect(stage, 0);
    stage_send(stage, client, head, sizeof head - 1);
    stage_run(stage, 50 * STAGE_MS);
    assert_true(client_at(stage, 0, 0)->input.capacity <= 4 * READ_SIZE); /* SERVER-4 */
    stage_destroy(stage);
}

/* It is answered at once, the rest goes by unkept, and the connection goes on. */
static void value_that_is_too_long(void **state)
{
    static const char head[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5000000\r\n";
    static const uint8_t piece[50000];
    (void)state;
    struct stage *stage =
        stage_formed_with(&(struct stage_options){.nodes = 1, .bulk_size_max = 4 * READ_SIZE});
    unsigned client = stage_connect(stage, 0);
    stage_send(stage, client, head, sizeof head - 1);
    assert_non_null(strstr(stage_reply(stage, client, STAGE_SECOND), "proto-max-bulk-len"));
    for (unsigned i = 0; i < 100; i++) {
        stage_send(stage, client, (const char *)piece, sizeof piece);
        stage_run(stage, STAGE_MS);
        assert_true(client_at(stage, 0, 0)->input.capacity <= 4 * READ_SIZE); /* SERVER-4 */
    }
    stage_send(stage, client, "\r\n", 2);
    assert_string_equal("PONG", stage_ask(stage, client, "PING"));
    assert_string_equal("0", stage_ask(stage, client, "EXISTS k"));
    stage_destroy(stage);
}

/* What a transaction holds is one entry: it ends where a request does, and then it does not run. */
static void transaction_that_is_too_long(void **state)
{
    (void)state;
    struct stage *stage =
        stage_formed_with(&(struct stage_options){.nodes = 1, .bulk_size_max = VALUE_SIZE});
    unsigned client = stage_connect(stage, 0);
    assert_string_equal("OK", stage_ask(stage, client, "MULTI"));
    char *value = memory_zeroed(1, VALUE_SIZE + 1);
    memset(value, 'v', VALUE_SIZE);
    for (unsigned i = 0; i < 5; i++) {
        stage_send_large(stage, client, "k", VALUE_SIZE);
        const char *reply = stage_reply(stage, client, STAGE_SECOND);
        assert_non_null(strstr(reply, i == 1 ? "proto-max-bulk-len" : "QUEUED"));
        assert_true(client_at(stage, 0, 0)->transaction.requests.size < 3 * VALUE_SIZE);
    }
    assert_memory_equal("-EXECABORT", stage_ask(stage, client, "EXEC"), 10);
    assert_string_equal("OK", stage_ask(stage, client, "MULTI"));
    stage_send(stage, client, "*2\r\n$3\r\nGET\r\n$100001\r\n", 23);
    stage_send(stage, client, value, VALUE_SIZE + 1);
    stage_send(stage, client, "\r\n", 2);
    assert_non_null(strstr(stage_reply(stage, client, STAGE_SECOND), "proto-max-bulk-len"));
    assert_memory_equal("-EXECABORT", stage_ask(stage, client, "EXEC"), 10);
    memory_free(value);
    stage_destroy(stage);
}

/* ---- SERVER-5 ---- */

static void malformed_bytes_close_only_their_client(void **state)
{
    static const char *const bad[] = {
        "*3\r\n$3\r\nSET\r\n$-5\r\n",
        "*99999999999\r\n",
        "*1\r\n:3\r\n",
        "*2\r\n$3\r\nGET\r\n$9999999999999\r\n",
        "*1048577\r\n",
        "SET 'a\r\n",
    };
    (void)state;
    struct stage *stage = stage_formed(1);
    unsigned other = stage_connect(stage, 0);
    assert_string_equal("OK", stage_ask(stage, other, "SET a 1"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        unsigned client = stage_connect(stage, 0);
        stage_say(stage, client, "PING");
        stage_send(stage, client, bad[i], strlen(bad[i]));
        stage_say(stage, client, "PING");
        assert_string_equal("PONG", stage_reply(stage, client, STAGE_SECOND));
        assert_memory_equal("-ERR Protocol error", stage_reply(stage, client, STAGE_SECOND), 19);
        assert_string_equal("(closed)", stage_reply(stage, client, STAGE_SECOND)); /* SERVER-5 */
        assert_string_equal("1", stage_ask(stage, other, "GET a"));
    }
    stage_destroy(stage);
}

/* Random bytes, half of them looking like requests; the cluster goes on. */
static void storm_of_garbage(void **state)
{
    static const char letters[] = "*$\r\n0123456789-+:GETSPINGa \"'\\x\0\xff";
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned follower = stage_follower(stage);
    unsigned other = stage_connect(stage, follower);
    struct random random;
    random_init(&random, 7);
    for (unsigned i = 0; i < 28; i++) {
        char bytes[2000];
        unsigned client = stage_connect(stage, i % 3);
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = letters[random_below(&random, sizeof letters - 1)];
        stage_send(stage, client, bytes, random_below(&random, sizeof bytes));
        stage_run(stage, 5 * STAGE_MS);
        assert_string_equal("OK", stage_ask(stage, other, "SET a 1")); /* SERVER-5 */
        stage_disconnect(stage, client);
    }
    stage_destroy(stage);
}

/* Words that no command has, wrong arities, and what only nodes may say to nodes. */
static void nonsense_is_answered(void **state)
{
    static const char *const requests[] = {
        "NOSUCH a b",    "GET",        "SET a",   "NODE",           "NODE PROMISE a b c",
        "CLIENT NOSUCH", "SELECT 99",  "HELLO 9", "CONFIG SET a b", "MSET a",
        "NODE NOSUCH x", "EXPIRE a b", "ECHO"};
    (void)state;
    struct stage *stage = stage_formed(1);
    unsigned client = stage_connect(stage, 0);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        assert_int_equal('-', stage_ask(stage, client, requests[i])[0]);
    assert_string_equal("PONG", stage_ask(stage, client, "PING"));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_that_does_not_read),
        cmocka_unit_test(client_of_a_follower_that_does_not_read),
        cmocka_unit_test(client_that_only_writes),
        cmocka_unit_test(request_that_is_only_announced),
        cmocka_unit_test(value_that_is_too_long),
        cmocka_unit_test(transaction_that_is_too_long),
        cmocka_unit_test(malformed_bytes_close_only_their_client),
        cmocka_unit_test(storm_of_garbage),
        cmocka_unit_test(nonsense_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
