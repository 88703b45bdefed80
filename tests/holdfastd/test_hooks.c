/* Hooks are shell scripts here that write down what they were told: HOOK-1..3. */
#include "holdfastd/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND_NS 1000000000ull
#define TEXT_SIZE 16384

struct place {
    char folder[64], hook[96], told[96], gate[96];
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* `body` may use $told, a file to write to, and $gate, a file that the test makes. */
static void make_hook(struct place *place, const char *body)
{
    snprintf(place->folder, sizeof place->folder, "/tmp/holdfast-hooks-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->hook, sizeof place->hook, "%s/hook", place->folder);
    snprintf(place->told, sizeof place->told, "%s/told", place->folder);
    snprintf(place->gate, sizeof place->gate, "%s/gate", place->folder);
    FILE *file = fopen(place->hook, "we");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\ntold=%s gate=%s\n%s\n", place->told, place->gate, body);
    assert_int_equal(0, fclose(file));
    assert_int_equal(0, chmod(place->hook, 0755));
}

static void remove_place(const struct place *place)
{
    unlink(place->hook);
    unlink(place->told);
    unlink(place->gate);
    assert_int_equal(0, rmdir(place->folder));
}

static const char *read_told(const struct place *place, char text[TEXT_SIZE])
{
    int descriptor = open(place->told, O_RDONLY | O_CLOEXEC);
    ssize_t got = descriptor < 0 ? 0 : read(descriptor, text, TEXT_SIZE - 1);
    if (descriptor >= 0)
        close(descriptor);
    text[got] = 0;
    return text;
}

static void wait_told(const struct place *place, const char *wanted, char text[TEXT_SIZE])
{
    uint64_t end_ns = now_ns() + 8 * SECOND_NS;
    while (!strstr(read_told(place, text), wanted) && now_ns() < end_ns)
        sched_yield();
    assert_non_null(strstr(text, wanted));
}

static void open_gate(const struct place *place)
{
    int descriptor = open(place->gate, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(descriptor >= 0);
    close(descriptor);
}

static struct hooks *start(const char *leader, const char *state, uint64_t limit_ns)
{
    struct hooks_options options = {.paths = {leader, state, ""}, /* by enum worker_news */
                                    .limit_ns = limit_ns};
    return hooks_start(&options);
}

static struct worker_change change_of(uint64_t partition, const char *what, uint64_t term)
{
    struct worker_change change = {.partition = {partition},
                                   .what = what,
                                   .node = {2},
                                   .term = term,
                                   .keyspace = "carts",
                                   .address = "10.0.0.2:6379"};
    return change;
}

static void give(struct hooks *hooks, enum worker_news news, uint64_t partition, const char *what,
                 uint64_t term)
{
    struct worker_change change = change_of(partition, what, term);
    assert_true(hooks_give(hooks, news, &change));
}

static void what_a_hook_is_told(void **state)
{
    struct place place;
    char text[TEXT_SIZE];
    (void)state;
    make_hook(&place, "echo \"$# $*\" >>$told");
    struct hooks *hooks = start(place.hook, place.hook, 0);
    give(hooks, WORKER_NEWS_LEADER, 7, "follower", 12);
    wait_told(&place, "\n", text);
    assert_string_equal("7 leader-change carts 7 follower 2 12 10.0.0.2:6379\n", text);
    give(hooks, WORKER_NEWS_STATE, 7, "catching_up", 13);
    hooks_stop(hooks);
    read_told(&place, text);
    assert_non_null(strstr(text, "7 state-change carts 7 catching_up 2 13 10.0.0.2:6379\n"));
    remove_place(&place);
}

static struct worker_change alert_of(const char *what, uint64_t node, const char *text)
{
    static const char name[] = "node-down";
    struct worker_change change = {
        .what = what, .alert = name, .severity = "critical", .keyspace = "-", .node = {node}};
    snprintf(change.text, sizeof change.text, "%s", text);
    return change;
}

static void what_a_hook_of_alerts_is_told(void **state)
{
    struct place place;
    char text[TEXT_SIZE];
    (void)state;
    make_hook(&place, "echo \"$# $*\" >>$told");
    struct hooks_options options = {.paths = {"", "", place.hook}};
    struct hooks *hooks = hooks_start(&options);
    struct worker_change change = alert_of("raised", 3, "node 3 cannot be reached");
    assert_true(hooks_give(hooks, WORKER_NEWS_ALERT, &change));
    wait_told(&place, "\n", text);
    assert_string_equal("9 alert raised critical node-down - - - 3 node 3 cannot be reached\n",
                        text);
    change.partition.value = 7;
    change.replica.value = 2;
    snprintf(change.keyspace, sizeof change.keyspace, "carts");
    assert_true(hooks_give(hooks, WORKER_NEWS_ALERT, &change));
    hooks_stop(hooks);
    read_told(&place, text);
    assert_non_null(strstr(text, "9 alert raised critical node-down carts 7 2 3 node 3 cannot"));
    remove_place(&place);
}

/* HOOK-3: of each alert the newest, and one does not stand in the place of another. */
static void the_newest_of_each_alert_is_told(void **state)
{
    struct place place;
    char text[TEXT_SIZE];
    (void)state;
    make_hook(&place, "echo \"$2 $8\" >>$told; while [ ! -e $gate ]; do :; done");
    struct hooks_options options = {.paths = {"", "", place.hook}};
    struct hooks *hooks = hooks_start(&options);
    struct worker_change first = alert_of("raised", 1, ""), second = alert_of("raised", 2, ""),
                         over = alert_of("cleared", 2, ""), third = alert_of("raised", 3, "");
    assert_true(hooks_give(hooks, WORKER_NEWS_ALERT, &first));
    wait_told(&place, "raised 1\n", text);
    assert_true(hooks_give(hooks, WORKER_NEWS_ALERT, &second));
    assert_true(hooks_give(hooks, WORKER_NEWS_ALERT, &third));
    assert_true(hooks_give(hooks, WORKER_NEWS_ALERT, &over));
    open_gate(&place);
    hooks_stop(hooks);
    assert_string_equal("raised 1\ncleared 2\nraised 3\n", read_told(&place, text));
    remove_place(&place);
}

/* Its input is empty, none of our files and sockets is open in it, and it hears of a broken
 * pipe. */
static void what_a_hook_has_of_us(void **state)
{
    struct place place;
    char text[TEXT_SIZE];
    int extra = fcntl(0, F_DUPFD, 100); /* without CLOEXEC */
    (void)state;
    assert_true(extra >= 100);
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    make_hook(&place, "cat >>$told; for fd in /proc/$$/fd/*; do echo ${fd##*/} >>$told; done\n"
                      "grep SigIgn /proc/$$/status >>$told");
    struct hooks *hooks = start(place.hook, "", 0);
    give(hooks, WORKER_NEWS_LEADER, 1, "leader", 1);
    hooks_stop(hooks);
    /* 10 is the script, 3 the folder that is listed. */
    const char *status = strstr(read_told(&place, text), "SigIgn:");
    unsigned long long ignored = 0;
    assert_memory_equal("0\n1\n10\n2\n3\nSigIgn:", text, 18);
    assert_int_equal(1, sscanf(status, "SigIgn: %llx", &ignored));
    assert_false(ignored >> (SIGPIPE - 1) & 1);
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    close(extra);
    remove_place(&place);
}

/* HOOK-2 and HOOK-3: while one runs, what comes for the same partition becomes one. */
static void the_newest_is_told(void **state)
{
    struct place place;
    char text[TEXT_SIZE];
    (void)state;
    make_hook(
        &place,
        "mkdir $gate.run || echo two at once >>$told; echo began $3 $6 >>$told\n"
        "while [ ! -e $gate ] && [ $((i += 1)) -lt 3000 ]; do sleep 0.01; done; rmdir $gate.run");
    struct hooks *hooks = start(place.hook, "", 0);
    give(hooks, WORKER_NEWS_LEADER, 1, "leader", 1);
    wait_told(&place, "began 1 1\n", text);
    for (uint64_t term = 2; term <= 50; term++) {
        give(hooks, WORKER_NEWS_LEADER, 1, "follower", term);
        give(hooks, WORKER_NEWS_LEADER, 2, "follower", term);
    }
    open_gate(&place);
    wait_told(&place, "began 2 50\n", text);
    hooks_stop(hooks);
    assert_string_equal("began 1 1\nbegan 1 50\nbegan 2 50\n", read_told(&place, text));
    remove_place(&place);
}

/* HOOK-1: the giver is told that there is no room, at once. */
static void no_room(void **state)
{
    struct place place;
    char text[TEXT_SIZE];
    (void)state;
    make_hook(&place, "echo began >>$told; while [ ! -e $gate ] && [ $((i += 1)) -lt 3000 ]; do "
                      "sleep 0.01; done");
    struct hooks *hooks = start(place.hook, "", 0);
    give(hooks, WORKER_NEWS_LEADER, 0, "leader", 1);
    wait_told(&place, "began\n", text);
    for (uint64_t partition = 1; partition <= HOOKS_WAITING_MAX; partition++)
        give(hooks, WORKER_NEWS_LEADER, partition, "leader", 1);
    struct worker_change change = change_of(HOOKS_WAITING_MAX + 1, "leader", 1);
    assert_false(hooks_give(hooks, WORKER_NEWS_LEADER, &change)); /* HOOK-1 */
    give(hooks, WORKER_NEWS_LEADER, 3, "leader", 2);              /* one that waits is changed */
    open_gate(&place);
    hooks_stop(hooks);
    remove_place(&place);
}

/* HOOK-2: it is killed, with its children, and the next one runs. */
static void one_that_hangs(void **state)
{
    struct place place;
    char text[TEXT_SIZE];
    int child = 0;
    (void)state;
    make_hook(&place, "[ $3 = 2 ] && echo next >>$told && exit 0\n"
                      "sleep 30 & echo $! >>$told; wait");
    struct hooks *hooks = start(place.hook, "", SECOND_NS / 5);
    give(hooks, WORKER_NEWS_LEADER, 1, "leader", 1);
    give(hooks, WORKER_NEWS_LEADER, 2, "leader", 1);
    wait_told(&place, "next\n", text);
    assert_int_equal(1, sscanf(text, "%d", &child));
    uint64_t end_ns = now_ns() + 8 * SECOND_NS;
    char path[64], status[64] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", child);
    do { /* dead, or gone: its new parent may take its time */
        FILE *file = fopen(path, "re");
        status[0] = 0;
        if (file && fscanf(file, "%*d (%*[^)]) %60s", status) != 1)
            status[0] = 0;
        if (file)
            (void)fclose(file);
    } while (status[0] && status[0] != 'Z' && now_ns() < end_ns);
    assert_true(!status[0] || status[0] == 'Z');
    hooks_stop(hooks);
    remove_place(&place);
}

/* An end lets run what was given, and waits for no more than one limit. */
static void an_end_has_a_limit(void **state)
{
    struct place place;
    char text[TEXT_SIZE];
    (void)state;
    make_hook(&place, "echo began $3 >>$told; exec sleep 30");
    struct hooks *hooks = start(place.hook, "", SECOND_NS / 5);
    for (uint64_t partition = 1; partition <= 100; partition++)
        give(hooks, WORKER_NEWS_LEADER, partition, "follower", 1);
    uint64_t begun_ns = now_ns();
    hooks_stop(hooks);
    assert_true(now_ns() - begun_ns < 8 * SECOND_NS); /* not a hundred limits */
    assert_non_null(strstr(read_told(&place, text), "began 1\n"));
    assert_null(strstr(text, "began 50\n"));
    remove_place(&place);
}

/* The first process of a container is the parent of every orphan. */
static void orphans_are_waited_for(void **state)
{
    struct place place;
    char text[TEXT_SIZE], path[64];
    int orphan = 0;
    (void)state;
    assert_int_equal(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
    make_hook(&place, "[ $3 = 2 ] || { sleep 0.05 & echo $! >>$told; }");
    struct hooks *hooks = start(place.hook, "", 0);
    give(hooks, WORKER_NEWS_LEADER, 1, "leader", 1);
    wait_told(&place, "\n", text);
    assert_int_equal(1, sscanf(text, "%d", &orphan));
    snprintf(path, sizeof path, "/proc/%d", orphan);
    struct worker_change change = change_of(2, "leader", 1);
    uint64_t end_ns = now_ns() + 8 * SECOND_NS;
    while (access(path, F_OK) == 0 && now_ns() < end_ns) /* with the end of each hook */
        (void)!hooks_give(hooks, WORKER_NEWS_LEADER, &change);
    assert_int_equal(-1, access(path, F_OK));
    hooks_stop(hooks);
    assert_int_equal(0, prctl(PR_SET_CHILD_SUBREAPER, 0));
    remove_place(&place);
}

static void one_that_cannot_run(void **state)
{
    struct place place;
    char text[TEXT_SIZE];
    (void)state;
    make_hook(&place, "echo ran >>$told; exit 3");
    struct hooks *hooks = start(place.folder, place.hook, 0);
    give(hooks, WORKER_NEWS_LEADER, 1, "leader", 1); /* a directory: a line in the log, no more */
    give(hooks, WORKER_NEWS_LEADER, 2, "leader", 1);
    give(hooks, WORKER_NEWS_STATE, 1, "ready", 1);
    hooks_stop(hooks);
    assert_string_equal("ran\n", read_told(&place, text));
    remove_place(&place);
}

static void none(void **state)
{
    (void)state;
    assert_null(start("", "", 0));
    hooks_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_hook_is_told),
        cmocka_unit_test(what_a_hook_of_alerts_is_told),
        cmocka_unit_test(the_newest_of_each_alert_is_told),
        cmocka_unit_test(what_a_hook_has_of_us),
        cmocka_unit_test(the_newest_is_told),
        cmocka_unit_test(no_room),
        cmocka_unit_test(one_that_hangs),
        cmocka_unit_test(an_end_has_a_limit),
        cmocka_unit_test(one_that_cannot_run),
        cmocka_unit_test(none),
        cmocka_unit_test(orphans_are_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
