/* replay_ask.c - LOSS REPLAY at the node that is asked: it asks the leader of the partition again
 * and again until that is done with it. A question is the same however often it is put, so a change
 * of leader in between costs time and nothing else. One is under way at a time. */
#include "control/inside.h"

#include <stdio.h>

#define ASK_AGAIN_NS   (20 * 1000000ull)
#define ASK_TIMEOUT_NS (300 * 1000000ull)
#define UNHEARD_NS     (5 * 1000000000ull)  /* without a leader */
#define LIMIT_NS       (60 * 1000000000ull) /* altogether */
#define UNUSED_NS      (2 * 1000000000ull)  /* its client is gone */
#define ANSWER_MAX     (128u << 20)

void replay_ask_deinit(struct control *control)
{
    buffer_deinit(&control->replay_ask.answer);
}

static void close_ask(struct replay_ask *ask)
{
    buffer_deinit(&ask->answer);
    *ask = (struct replay_ask){.epoch = ask->epoch};
}

static void answer_with(struct replay_ask *ask, const char *error)
{
    struct reply reply = {.out = &ask->answer, .protocol = 2};
    buffer_reset(&ask->answer);
    reply_error(&reply, "%s", error);
    ask->is_answered = true;
}

static void take(struct control *control, struct slice bytes)
{
    struct replay_ask *ask = &control->replay_ask;
    struct slice from = bytes;
    struct resp_item item;
    char word[40];
    unsigned long long node;
    ask->is_sent = false;
    if (resp_item_take(&from, &item))
        return;
    if (item.type != '+') {
        buffer_reset(&ask->answer);
        ask->is_answered = !buffer_append(&ask->answer, bytes.at, bytes.size);
        return;
    }
    snprintf(word, sizeof word, "%.*s", (int)item.bytes.size, (const char *)item.bytes.at);
    if (sscanf(word, "ELSEWHERE %llu", &node) == 1)
        node_hint_leader(control->node, ask->wish.group, (struct node_id){node});
    else
        ask->is_heard = true;
}

static void ask_here(struct control *control)
{
    struct buffer out;
    buffer_init(&out, ANSWER_MAX);
    struct reply reply = {.out = &out, .protocol = 2};
    replay_serve(control, &control->replay_ask.wish, &reply);
    take(control, slice_of_buffer(&out));
    buffer_deinit(&out);
}

static void ask_leader(struct control *control)
{
    struct replay_ask *ask = &control->replay_ask;
    char numbers[3][24];
    const uint64_t values[3] = {ask->wish.group.value, ask->wish.term, ask->wish.ticket};
    struct slice words[6] = {slice_of_text("LEDGER"), slice_of_text("REPLAY")};
    for (size_t i = 0; i < 3; i++)
        words[2 + i] = slice_of(numbers[i], text_of_i64((int64_t)values[i], numbers[i]));
    words[5] = slice_of_text(ask->wish.overwrites ? "OVERWRITE" : "KEEP");
    struct question question = {.session = QUESTION_SESSION(QUESTION_REPLAY),
                                .epoch = ask->epoch + 1,
                                .words = words,
                                .count = 6};
    ask->is_sent =
        question_send(control, node_leader_elsewhere(control->node, ask->wish.group), &question);
    ask->epoch += ask->is_sent;
}

bool replay_handle_peer(struct control *control, const struct wire_forward_reply *reply)
{
    struct replay_ask *ask = &control->replay_ask;
    if (reply->session != QUESTION_SESSION(QUESTION_REPLAY))
        return false;
    if (!ask->wish.ticket || !ask->is_sent || reply->epoch != ask->epoch)
        return true; /* it came too late */
    if (reply->outcome == WIRE_OUTCOME_DONE)
        take(control, reply->reply);
    else
        ask->is_sent = false;
    ask->next_ns = node_turn(control->node)->now_ns + ASK_AGAIN_NS;
    return true;
}

/* Who hears nothing in time is told what is true then. */
static void look_at_time(struct replay_ask *ask, uint64_t now_ns)
{
    if (now_ns > ask->used_ns + UNUSED_NS)
        close_ask(ask);
    else if (!ask->is_heard && now_ns > ask->began_ns + UNHEARD_NS)
        answer_with(ask, "TRYAGAIN no leader of the partition answered; nothing was replayed");
    else if (now_ns > ask->began_ns + LIMIT_NS)
        answer_with(ask, "UNKNOWNOUTCOME the replay took too long: some writes may be replayed; "
                         "send it again, none is replayed twice");
}

void replay_ask_tick(struct control *control)
{
    struct replay_ask *ask = &control->replay_ask;
    uint64_t now_ns = node_turn(control->node)->now_ns;
    if (!ask->wish.ticket || now_ns < ask->next_ns)
        return;
    if (!ask->is_answered)
        look_at_time(ask, now_ns);
    else if (now_ns > ask->used_ns + UNUSED_NS)
        close_ask(ask);
    if (!ask->wish.ticket || ask->is_answered) {
        ask->next_ns = now_ns + UNUSED_NS;
        return;
    }
    const struct replica *replica = node_group(control->node, ask->wish.group);
    ask->next_ns = now_ns + ASK_AGAIN_NS;
    if (replica && replica_is_serving(replica))
        ask_here(control);
    else
        ask_leader(control);
    if (ask->is_sent)
        ask->next_ns = now_ns + ASK_TIMEOUT_NS;
}

uint64_t replay_ask_deadline_ns(const struct control *control)
{
    const struct replay_ask *ask = &control->replay_ask;
    return ask->wish.ticket ? ask->next_ns : UINT64_MAX;
}

static bool is_of(const struct replay_ask *ask, struct group_id group, uint64_t term,
                  bool overwrites)
{
    return ask->wish.ticket && group_id_equal(ask->wish.group, group) && ask->wish.term == term &&
           ask->wish.overwrites == overwrites;
}

enum status control_replay(struct control *control, struct group_id group, uint64_t term,
                           bool overwrites, struct buffer *out)
{
    struct replay_ask *ask = &control->replay_ask;
    uint64_t now_ns = node_turn(control->node)->now_ns;
    if (!ask->wish.ticket) {
        *ask = (struct replay_ask){.wish = {.group = group,
                                            .term = term,
                                            .overwrites = overwrites,
                                            .ticket = io_random(control->io) >> 1 | 1},
                                   .epoch = ask->epoch,
                                   .began_ns = now_ns,
                                   .next_ns = now_ns};
        buffer_init(&ask->answer, ANSWER_MAX);
    }
    if (!is_of(ask, group, term, overwrites))
        return STATUS_AGAIN;
    ask->used_ns = now_ns;
    if (!ask->is_answered)
        return STATUS_AGAIN;
    enum status status = buffer_append(out, ask->answer.at, ask->answer.size);
    close_ask(ask);
    return status;
}
