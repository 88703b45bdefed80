/* Many clients ask for large values at once: a turn copies for some of them and no more, nobody is
 * passed over, and small requests beside them do not wait (SERVER-8). */
#include "stage.h"

#include "base/memory.h"

#include <string.h>

#define VALUE_SIZE   (1u << 20)
#define READERS      20
#define GETS         6
#define PORTION_MOST ((4u << 20) + 2 * VALUE_SIZE)
#define CROWD_BYTES  ((size_t)READERS * GETS * VALUE_SIZE)

static size_t most;       /* bytes that one turn made */
static uint64_t made;     /* all turns together */
static unsigned observed; /* the leader */

static void watch(struct stage *stage, unsigned node)
{
    if (node != observed || !stage_server(stage, node))
        return;
    size_t bytes = server_portion_bytes(stage_server(stage, node));
    most = bytes > most ? bytes : most;
    made += bytes;
}

static void set_large_value(struct stage *stage, unsigned client)
{
    stage_send_large(stage, client, "m", VALUE_SIZE);
    assert_string_equal("OK", stage_reply(stage, client, 20 * STAGE_SECOND));
}

static bool is_working(struct stage *stage, void *unused)
{
    (void)stage;
    (void)unused;
    return made > 2 * VALUE_SIZE;
}

/* The readers ask at one moment, each for all at once. */
static struct stage *stage_with_crowd(bool at_leader, unsigned readers[READERS], unsigned *other)
{
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage);
    *other = stage_connect(stage, leader);
    set_large_value(stage, *other);
    assert_string_equal("OK", stage_ask(stage, *other, "SET small 1"));
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = stage_connect(stage, at_leader ? leader : stage_follower(stage));
        assert_string_equal("PONG", stage_ask(stage, readers[i], "PING"));
    }
    most = 0;
    made = 0;
    observed = leader;
    stage->watch = watch;
    for (unsigned i = 0; i < READERS; i++)
        for (unsigned k = 0; k < GETS; k++)
            stage_say(stage, readers[i], "GET m");
    assert_true(stage_wait(stage, is_working, NULL, STAGE_SECOND));
    return stage;
}

/* As much of it as the stage shows. */
static void takes_value(struct stage *stage, unsigned client)
{
    const char *reply = stage_reply(stage, client, STAGE_SECOND);
    assert_true(strlen(reply) > 1000 && reply[0] == 'v' && reply[1000] == 'v');
}

static void turns_are_shared(bool at_leader)
{
    unsigned readers[READERS], other;
    struct stage *stage = stage_with_crowd(at_leader, readers, &other);
    assert_string_equal("1", stage_ask(stage, other, "GET small"));
    assert_true(made < CROWD_BYTES / 2); /* it was answered in between */
    for (unsigned k = 0; k < GETS; k++)
        for (unsigned i = 0; i < READERS; i++)
            takes_value(stage, readers[i]);
    assert_true(made >= CROWD_BYTES);
    assert_true(most <= PORTION_MOST); /* SERVER-8 */
    stage_destroy(stage);
}

static void among_clients_of_the_leader(void **state)
{
    (void)state;
    turns_are_shared(true);
}

static void among_clients_of_another_node(void **state)
{
    (void)state;
    turns_are_shared(false);
}

/* What a client sent behind its large requests runs behind them, in their order, and once. */
static void order_is_kept(void **state)
{
    (void)state;
    unsigned readers[READERS], other;
    struct stage *stage = stage_with_crowd(false, readers, &other);
    for (unsigned i = 0; i < READERS; i++) {
        stage_say(stage, readers[i], "INCR n%u", i);
        stage_say(stage, readers[i], "STRLEN m");
        stage_say(stage, readers[i], "INCR n%u", i);
    }
    for (unsigned i = 0; i < READERS; i++) {
        for (unsigned k = 0; k < GETS; k++)
            takes_value(stage, readers[i]);
        assert_string_equal("1", stage_reply(stage, readers[i], STAGE_SECOND));
        assert_string_equal("1048576", stage_reply(stage, readers[i], STAGE_SECOND));
        assert_string_equal("2", stage_reply(stage, readers[i], STAGE_SECOND));
    }
    stage_destroy(stage);
}

/* Who leaves while its requests stand in line takes them along. */
static void who_leaves_is_forgotten(void **state)
{
    (void)state;
    unsigned readers[READERS], other;
    struct stage *stage = stage_with_crowd(false, readers, &other);
    for (unsigned i = 0; i < READERS; i++)
        stage_disconnect(stage, readers[i]);
    stage_run(stage, 2 * STAGE_SECOND);
    assert_int_equal(0, server_staged_bytes(stage_server(stage, observed)));
    assert_string_equal("1", stage_ask(stage, other, "GET small"));
    assert_int_equal(observed, stage_leader(stage));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(among_clients_of_the_leader),
        cmocka_unit_test(among_clients_of_another_node),
        cmocka_unit_test(order_is_kept),
        cmocka_unit_test(who_leaves_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
