/* survey.c - one question to all: each worker of every other node, and the other workers of this
 * one, are asked the same, and who asked gets what each said.
 *
 *     control_survey -> a verb of COMMAND_PEER, to every peer -> their answers, or time-out
 *
 * One question is under way at a time. Whom nobody reaches, who is older than the question, and who
 * does not answer in time, is in the list, and not there. */
#include "control/inside.h"

#include "base/memory.h"

#define SURVEY_TIMEOUT_NS (500 * 1000000ull)
#define SURVEY_KEPT_NS    (100 * 1000000ull) /* for who asked, and must ask again */

void survey_deinit(struct control *control)
{
    struct survey *survey = &control->survey;
    for (size_t i = 0; i < survey->count; i++)
        buffer_deinit(&survey->answers[i].bytes);
    memory_free(survey->answers);
    survey->answers = NULL;
    survey->count = 0;
    buffer_deinit(&survey->asked);
}

static void ask(struct control *control, const struct peer_id *peer,
                const struct question *question)
{
    struct survey *survey = &control->survey;
    struct control_answer *answer = &survey->answers[survey->count++];
    *answer = (struct control_answer){.node = peer->node, .worker = peer->worker};
    buffer_init(&answer->bytes, CONTROL_ANSWER_MAX);
    answer->is_awaited = question_send(control, *peer, question);
    survey->waits_for += answer->is_awaited;
}

static void begin(struct control *control, const struct slice *words, size_t count,
                  struct slice asked)
{
    struct survey *survey = &control->survey;
    struct peer_set *peers = node_peers(control->node);
    size_t known = 0;
    survey_deinit(control);
    buffer_init(&survey->asked, CONTROL_SURVEY_MAX);
    (void)!buffer_append(&survey->asked, asked.at, asked.size); /* it fits, see below */
    while (peer_known(peers, known))
        known++;
    survey->answers = memory_zeroed(known + 1, sizeof *survey->answers);
    survey->waits_for = 0;
    survey->is_under_way = true;
    survey->began_ns = node_turn(control->node)->now_ns;
    struct question question = {.session = QUESTION_SESSION(QUESTION_SURVEY),
                                .epoch = ++survey->epoch,
                                .words = words,
                                .count = count};
    for (size_t i = 0; i < known; i++)
        ask(control, peer_known(peers, i), &question);
}

/* Whoever has not answered until now is not there. */
static bool is_over(struct survey *survey, uint64_t now_ns)
{
    bool over = !survey->waits_for || now_ns >= survey->began_ns + SURVEY_TIMEOUT_NS;
    if (over && survey->is_under_way) {
        survey->is_under_way = false;
        survey->waits_for = 0;
        survey->ended_ns = now_ns;
    }
    return over;
}

static enum status settle(struct control *control, const struct slice *words, size_t count,
                          struct slice asked)
{
    struct survey *survey = &control->survey;
    uint64_t now_ns = node_turn(control->node)->now_ns;
    bool same = survey->epoch && slice_equal(slice_of_buffer(&survey->asked), asked);
    if (survey->is_under_way && !is_over(survey, now_ns))
        return STATUS_AGAIN;
    if (same && survey->ended_ns && now_ns <= survey->ended_ns + SURVEY_KEPT_NS)
        return STATUS_OK;
    begin(control, words, count, asked);
    return is_over(survey, now_ns) ? STATUS_OK : STATUS_AGAIN;
}

enum status control_survey(struct control *control, const struct slice *words, size_t count,
                           const struct control_answer **out, size_t *found)
{
    struct buffer asked;
    buffer_init(&asked, CONTROL_SURVEY_MAX);
    wire_request_encode(words, count, &asked);
    enum status status = settle(control, words, count, slice_of_buffer(&asked));
    buffer_deinit(&asked);
    if (status)
        return status;
    *out = control->survey.answers;
    *found = control->survey.count;
    control->survey.ended_ns = 0; /* the next question is asked anew */
    return STATUS_OK;
}

static struct control_answer *find(struct survey *survey, const struct peer_happening *happening)
{
    for (size_t i = 0; i < survey->count; i++)
        if (node_id_equal(survey->answers[i].node, happening->node) &&
            survey->answers[i].worker == happening->worker)
            return &survey->answers[i];
    return NULL;
}

bool survey_handle_peer(struct control *control, const struct peer_happening *happening)
{
    struct survey *survey = &control->survey;
    const struct wire_forward_reply *reply = &happening->message.forward_reply;
    if (reply->session != QUESTION_SESSION(QUESTION_SURVEY))
        return false;
    struct control_answer *answer = find(survey, happening);
    if (!survey->is_under_way || reply->epoch != survey->epoch || !answer || !answer->is_awaited)
        return true; /* it came too late */
    answer->is_awaited = false;
    survey->waits_for--;
    answer->is_there = reply->outcome == WIRE_OUTCOME_DONE &&
                       !buffer_append(&answer->bytes, reply->reply.at, reply->reply.size);
    return true;
}
