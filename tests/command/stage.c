#include "tests/command/stage.h"

#include <stdio.h>
#include <stdlib.h>

#define HASH_SEED  0x1234567
#define START_US   INT64_C(1800000000000000)
#define SHOWN_MAX  (64u << 20)
#define EFFECT_MAX (16u << 20)

void stage_open(struct stage *stage, int protocol)
{
    *stage = (struct stage){.now_us = START_US, .may_write = true};
    stage->table = command_table_create(NULL, 0);
    stage->leader = store_create(HASH_SEED);
    stage->follower = store_create(HASH_SEED);
    resp_parser_init(&stage->parser, 0);
    buffer_init(&stage->out, SHOWN_MAX);
    buffer_init(&stage->effects, EFFECT_MAX);
    buffer_init(&stage->payload, EFFECT_MAX + VARINT_SIZE_MAX);
    buffer_init(&stage->line, SHOWN_MAX);
    buffer_init(&stage->shown, SHOWN_MAX);
    stage->reply = (struct reply){.out = &stage->out, .protocol = protocol};
}

void stage_close(struct stage *stage)
{
    store_validate(stage->leader);
    store_validate(stage->follower);
    command_table_destroy(stage->table);
    store_destroy(stage->leader);
    store_destroy(stage->follower);
    resp_parser_deinit(&stage->parser);
    buffer_deinit(&stage->out);
    buffer_deinit(&stage->effects);
    buffer_deinit(&stage->payload);
    buffer_deinit(&stage->line);
    buffer_deinit(&stage->shown);
}

struct slice stage_payload(const struct stage *stage)
{
    return slice_of_buffer(&stage->payload);
}

static void add(struct buffer *buffer, const void *bytes, size_t size)
{
    enum status status = buffer_append(buffer, bytes, size);
    assert_int_equal(status, STATUS_OK);
}

/* COMMAND-1: the effect makes the follower's store what the leader's is. */
static void apply_effect(struct stage *stage, const struct effect *effect)
{
    uint8_t count[VARINT_SIZE_MAX];
    buffer_reset(&stage->payload);
    if (effect->count) {
        add(&stage->payload, count, effect_count_store(effect, count));
        add(&stage->payload, stage->effects.at, stage->effects.size);
        assert_int_equal(command_check(stage->table, stage_payload(stage)), STATUS_OK);
        assert_int_equal(
            command_apply(stage->table, stage->follower, stage_payload(stage), stage->now_us),
            STATUS_OK);
    } else {
        assert_int_equal(stage->effects.size, 0);
    }
    assert_int_equal(store_digest(stage->leader), store_digest(stage->follower));
}

static void execute(struct stage *stage, const struct command *command,
                    const struct slice *arguments, size_t count,
                    const struct store_once_request *once)
{
    struct effect effect = {.out = &stage->effects};
    struct command_call call = {.table = stage->table,
                                .command = command,
                                .store = stage->leader,
                                .database = stage->database,
                                .now_us = stage->now_us,
                                .arguments = arguments,
                                .count = count,
                                .once = once,
                                .value_size_max = stage->value_size_max,
                                .reply = &stage->reply,
                                .effect = stage->is_follower ? NULL : &effect,
                                .may_write = stage->may_write};
    buffer_reset(&stage->effects);
    command_execute(&call);
    stage->refused = call.refused;
    stage->effect_count = effect.count;
    assert_int_equal(call.failed, stage->reply.failed);
    if (call.refused || !stage->may_write) {
        assert_int_equal(effect.count, 0);
        assert_true(!call.refused || stage->out.size == 0);
    }
    apply_effect(stage, &effect);
}

static void execute_once(struct stage *stage, const struct slice *arguments, size_t count)
{
    struct store_once_request once;
    char why[COMMAND_ONCE_WHY_SIZE];
    size_t inner = command_take_once(stage->table, arguments, count, &once, why);
    if (inner)
        execute(stage, command_find(stage->table, arguments[inner]), arguments + inner,
                count - inner, &once);
    else
        reply_error(&stage->reply, "%s", why);
}

void stage_run_arguments(struct stage *stage, const struct slice *arguments, size_t count)
{
    const struct command *command = command_find(stage->table, arguments[0]);
    buffer_reset(&stage->out);
    stage->reply.failed = false;
    if (slice_is_word(arguments[0], "COMMAND"))
        command_describe(stage->table, arguments, count, &stage->reply);
    else if (slice_is_word(arguments[0], "ONCE") && count >= 4)
        execute_once(stage, arguments, count);
    else if (!command)
        reply_error(&stage->reply, "unknown");
    else if (!command_arity_fits(command, count))
        reply_error(&stage->reply, "arity");
    else
        execute(stage, command, arguments, count, NULL);
    size_t size = 0;
    if (stage->out.size) {
        assert_int_equal(resp_reply_size(slice_of_buffer(&stage->out), &size), STATUS_OK);
        assert_int_equal(size, stage->out.size); /* RESP-3: one whole reply */
    }
}

static bool run_stage_direction(struct stage *stage)
{
    int64_t value;
    if (stage->parser.count != 2 || stage->parser.arguments[0].at[0] != '@')
        return false;
    assert_int_equal(slice_to_i64(stage->parser.arguments[1], &value), STATUS_OK);
    if (slice_is_word(stage->parser.arguments[0], "@ms"))
        stage->now_us += value * 1000;
    else if (slice_is_word(stage->parser.arguments[0], "@db"))
        stage->database = (uint8_t)value;
    else if (slice_is_word(stage->parser.arguments[0], "@resp"))
        stage->reply.protocol = (int)value;
    else if (slice_is_word(stage->parser.arguments[0], "@limit"))
        stage->value_size_max = (size_t)value;
    else
        return false;
    return true;
}

static const char *show(struct stage *stage)
{
    buffer_reset(&stage->shown);
    for (size_t i = 0; i < stage->out.size; i++) {
        uint8_t c = stage->out.at[i];
        if (c == '\r' && i + 2 == stage->out.size)
            break;
        if (c != '\r')
            add(&stage->shown, c == '\n' ? (const uint8_t *)" " : &stage->out.at[i], 1);
    }
    add(&stage->shown, "", 1);
    return (const char *)stage->shown.at;
}

const char *stage_run(struct stage *stage, const char *line)
{
    size_t consumed, need;
    buffer_reset(&stage->line);
    add(&stage->line, line, strlen(line));
    add(&stage->line, "\r\n", 2);
    assert_int_equal(resp_parse(&stage->parser, slice_of_buffer(&stage->line), &consumed, &need),
                     STATUS_OK);
    buffer_reset(&stage->out);
    if (!run_stage_direction(stage))
        stage_run_arguments(stage, stage->parser.arguments, stage->parser.count);
    return show(stage);
}

void stage_play(struct stage *stage, const struct step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *reply = stage_run(stage, steps[i].line);
        if (strcmp(reply, steps[i].reply) != 0)
            fail_msg("step %zu: %s\n  expected %s\n  got      %s", i, steps[i].line, steps[i].reply,
                     reply);
    }
}
