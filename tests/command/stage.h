/* stage.h - a leader's store, a follower's, and commands as lines of text: for the tests of
 * command/. Every command that is run is applied to the follower, and the two stores must be equal
 * afterwards (COMMAND-1). */
#ifndef HOLDFAST_TEST_COMMAND_STAGE_H
#define HOLDFAST_TEST_COMMAND_STAGE_H

#include "command/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct stage {
    struct command_table *table;
    struct store *leader, *follower;
    struct resp_parser parser;
    struct buffer out, effects, payload, line, shown;
    struct reply reply;
    int64_t now_us;
    uint8_t database;
    bool may_write;
    bool is_follower; /* reads without being leader */
    size_t value_size_max;

    uint32_t effect_count; /* of the last command */
    bool refused;
};

void stage_open(struct stage *stage, int protocol);
void stage_close(struct stage *stage);

/* Runs one line (inline syntax, quotes as in redis-cli); the reply with its line ends as spaces,
 * good until the next call. "@ms 500" lets time pass instead, "@db 3" selects, "@resp 3" is
 * the protocol from here on, "@limit 9" the longest string that the leader lets grow. */
const char *stage_run(struct stage *stage, const char *line);
void stage_run_arguments(struct stage *stage, const struct slice *arguments, size_t count);

/* The last effect as a payload. */
struct slice stage_payload(const struct stage *stage);

struct step {
    const char *line, *reply;
};
void stage_play(struct stage *stage, const struct step *steps, size_t count);

/* A whole script on a fresh stage. */
#define STAGE_PLAY_AS(protocol, ...)                                                               \
    do {                                                                                           \
        static const struct step steps[] = {__VA_ARGS__};                                          \
        struct stage stage;                                                                        \
        stage_open(&stage, protocol);                                                              \
        stage_play(&stage, steps, sizeof steps / sizeof *steps);                                   \
        stage_close(&stage);                                                                       \
    } while (0)
#define STAGE_PLAY(...) STAGE_PLAY_AS(2, __VA_ARGS__)

#endif
