/* What replies mean for the history. */
#include "sim/workload.h"

static bool begins(struct slice text, const char *word)
{
    size_t size = strlen(word);
    return text.size >= size && memcmp(text.at, word, size) == 0;
}

/* True: its operation goes on. TRYAGAIN speaks of one attempt only. */
static bool once_goes_on(const struct request *request, enum operation_outcome outcome)
{
    struct once *once = request->once;
    if (!once)
        return false;
    once->unsure |= outcome == OUTCOME_UNKNOWN;
    once->state = outcome == OUTCOME_REFUSED && !once->unsure ? ONCE_FREE : ONCE_LOST;
    return once->state == ONCE_LOST;
}

static void end_all(struct workload *workload, const struct request *request,
                    enum operation_outcome outcome, uint64_t now_ns)
{
    if (once_goes_on(request, outcome))
        return;
    for (unsigned i = 0; i < request->count; i++)
        history_return(workload->history, request->ids[i], outcome, NULL, now_ns);
}

void workload_lose(struct workload *workload, const struct request *request, uint64_t now_ns)
{
    if (request->kind == REQUEST_CHANGE)
        spaces_lose(workload->spaces, request->changed, now_ns);
    end_all(workload, request, OUTCOME_UNKNOWN, now_ns);
}

/* Nothing happened, as the server promises. EXECABORT: a request was refused when it was queued. */
static bool is_refusal(struct slice text)
{
    return begins(text, "TRYAGAIN") || begins(text, "MISCONF") || begins(text, "NOREPLICAS") ||
           begins(text, "EXECABORT");
}

/* An error that needs a keyspace that has gone. */
static bool is_of_the_dropped(const struct workload *workload, const struct request *request,
                              struct slice text)
{
    return !spaces_is_open(workload->spaces, request->space, request->life) &&
           (begins(text, "ERR keyspace ") || begins(text, "ERR the keyspace was dropped") ||
            begins(text, "ERR partition ") || begins(text, "ERR there is no keyspace"));
}

/* An earlier write of the connection was cut; this request did not run. Where nothing is answered
 * before its commit, and no power cut takes what was, that cannot be. */
static bool is_told_of_a_loss(const struct workload *workload, const struct request *request,
                              struct slice text)
{
    const struct space *space = &workload->spaces->at[request->space];
    return begins(text, "WRITELOST") && (space->early || space->lax_sync);
}

static const char *take_error(struct workload *workload, const struct request *request,
                              struct slice text, uint64_t now_ns, bool *refused)
{
    *refused = true;
    if (is_refusal(text) || is_told_of_a_loss(workload, request, text)) {
        end_all(workload, request, OUTCOME_REFUSED, now_ns);
        return NULL;
    }
    end_all(workload, request, OUTCOME_UNKNOWN, now_ns);
    if (request->once && begins(text, "FORGOTTEN")) { /* it came back too late: nobody can tell */
        request->once->state = ONCE_FREE;
        history_return(workload->history, request->once->id, OUTCOME_UNKNOWN, NULL, now_ns);
        return NULL;
    }
    bool fits = begins(text, "UNKNOWNOUTCOME") || is_of_the_dropped(workload, request, text) ||
                (request->kind == REQUEST_WAIT && begins(text, "UNBLOCKED"));
    return fits ? NULL : "an error that this request cannot meet";
}

/* What a string reply says of a key: counters are numbers. */
static bool value_of_item(const struct history_key *key, const struct resp_item *item,
                          struct value *value)
{
    *value = (struct value){0};
    if (item->type == '_')
        return true;
    if (item->type != '$')
        return false;
    int64_t number;
    *value = value_of_string(item->bytes);
    if (key->kind != KEY_COUNTER)
        return true;
    if (slice_to_i64(item->bytes, &number))
        return false;
    *value = value_of_number((uint64_t)number);
    return true;
}

static bool take_list(struct slice reply, int64_t count, struct value *value)
{
    *value = (struct value){0};
    for (; count > 0; count--) {
        struct resp_item item;
        if (resp_item_take(&reply, &item) || item.type != '$')
            return false;
        *value = value_push(*value, value_of_string(item.bytes));
    }
    return true;
}

/* `rest`: what follows the first item. */
static bool take_result(const struct history_key *key, enum operation_kind kind,
                        const struct resp_item *item, struct slice rest, struct value *result)
{
    *result = (struct value){0};
    switch (kind) {
    case OPERATION_SET: return item->type == '+';
    case OPERATION_SET_NX:
    case OPERATION_SET_XX:
        result->present = item->type == '+';
        return item->type == '+' || item->type == '_';
    case OPERATION_SET_GET:
    case OPERATION_GET: return value_of_item(key, item, result);
    case OPERATION_RANGE: return item->type == '*' && take_list(rest, item->integer, result);
    default: *result = value_of_number((uint64_t)item->integer); return item->type == ':';
    }
}

static const char *take_one(struct workload *workload, const struct request *request, unsigned at,
                            const struct resp_item *item, struct slice rest, uint64_t now_ns)
{
    struct operation_id id = request->ids[at];
    enum operation_kind kind = history_operation(workload->history, id)->kind;
    struct value result;
    if (request->once)
        request->once->state = ONCE_FREE;
    if (!take_result(&workload->history->keys[id.key], kind, item, rest, &result)) {
        history_return(workload->history, id, OUTCOME_UNKNOWN, NULL, now_ns);
        return "a reply of the wrong type";
    }
    history_return(workload->history, id, OUTCOME_DONE, &result, now_ns);
    return NULL;
}

static const char *take_many(struct workload *workload, const struct request *request,
                             const struct resp_item *first, struct slice rest, uint64_t now_ns)
{
    const char *wrong = NULL;
    if (first->type != '*' || first->integer != request->count) {
        end_all(workload, request, OUTCOME_UNKNOWN, now_ns);
        return "not as many values as keys";
    }
    for (unsigned i = 0; i < request->count; i++) {
        struct resp_item item = {.type = 0};
        if (resp_item_take(&rest, &item))
            item.type = 0;
        const char *found = take_one(workload, request, i, &item, rest, now_ns);
        wrong = wrong ? wrong : found;
    }
    return wrong;
}

/* ---- transactions ---- */

static bool take_number(struct slice *from, struct value *value)
{
    struct resp_item item;
    int64_t number;
    if (resp_item_take(from, &item))
        return false;
    *value = (struct value){0};
    if (item.type == '_')
        return true;
    if (item.type != ':' && (item.type != '$' || slice_to_i64(item.bytes, &number)))
        return false;
    *value = value_of_number((uint64_t)(item.type == ':' ? item.integer : number));
    return true;
}

/* Both halves, or how many of them a DEL has met. */
static const char *take_pair(struct workload *workload, const struct request *request,
                             const struct resp_item *first, struct slice rest, uint64_t now_ns)
{
    struct value a = {0}, b = {0};
    const char *wrong = NULL;
    if (first->type == '_') { /* EXEC, and somebody had changed what this connection watched */
        end_all(workload, request, OUTCOME_REFUSED, now_ns);
        return NULL;
    }
    if (first->type == ':' && first->integer % 2 == 0)
        a = b = value_of_number((uint64_t)first->integer / 2);
    else if (first->type == ':')
        wrong = "half of a pair was there";
    else if (first->type != '*' || first->integer != 2 || !take_number(&rest, &a) ||
             !take_number(&rest, &b))
        wrong = "not two numbers";
    if (!wrong && !value_equal(a, b))
        wrong = "the halves of a pair differ";
    history_return(workload->history, request->ids[0], wrong ? OUTCOME_UNKNOWN : OUTCOME_DONE, &a,
                   now_ns);
    return wrong;
}

static const char *take_cas(struct workload *workload, const struct request *request,
                            const struct resp_item *first, struct slice rest, uint64_t now_ns)
{
    struct value done = {.present = true};
    struct resp_item item = {.type = 0};
    if (first->type == '_') {
        end_all(workload, request, OUTCOME_REFUSED, now_ns);
        return NULL;
    }
    bool fits = first->type == '*' && first->integer == 1 && !resp_item_take(&rest, &item) &&
                item.type == '+';
    history_return(workload->history, request->ids[0], fits ? OUTCOME_DONE : OUTCOME_UNKNOWN, &done,
                   now_ns);
    return fits ? NULL : "not the answer of one SET";
}

/* ---- what is no operation ---- */

static const char *check_wait(const struct workload *workload, const struct request *request,
                              const struct resp_item *item)
{
    const struct space *space = &workload->spaces->at[request->space];
    int64_t least = request->strict ? space->replicas_min / 2 + 1 : 0;
    /* While it changes there are voters of before beside those to come. */
    int64_t most = (int64_t)workload->spaces->nodes - !request->strict;
    return item->type == ':' && item->integer >= least && item->integer <= most
               ? NULL
               : "WAIT counts copies that cannot be";
}

static const char *check_size(const struct workload *workload, const struct request *request,
                              const struct resp_item *item)
{
    int64_t most = 2 * (int64_t)workload->history->names[request->space]; /* pairs */
    bool current = spaces_is_open(workload->spaces, request->space, request->life);
    return item->type == ':' && item->integer >= 0 && (item->integer <= most || !current)
               ? NULL
               : "DBSIZE counts keys that nobody wrote";
}

static const char *take_success(struct workload *workload, const struct request *request,
                                const struct resp_item *item, struct slice rest, uint64_t now_ns)
{
    const char *wrong = NULL;
    switch (request->kind) {
    case REQUEST_SELECT: return item->type == '+' ? NULL : "not a status";
    case REQUEST_CHANGE:
        return spaces_answer(workload->spaces, workload->history, request->changed,
                             slice_of(NULL, 0), now_ns);
    case REQUEST_WAIT: return check_wait(workload, request, item);
    case REQUEST_SIZE: return check_size(workload, request, item);
    case REQUEST_GET_MANY: return take_many(workload, request, item, rest, now_ns);
    case REQUEST_PAIR: return take_pair(workload, request, item, rest, now_ns);
    case REQUEST_CAS: return take_cas(workload, request, item, rest, now_ns);
    default: break;
    }
    for (unsigned i = 0; i < request->count && !wrong; i++)
        wrong = take_one(workload, request, i, item, rest, now_ns);
    return wrong;
}

const char *workload_begin_answer(struct request *request, struct slice reply)
{
    struct resp_item item;
    request->replies--;
    if (resp_item_take(&reply, &item))
        return "malformed";
    request->failed |= item.type == '-';
    return item.type == '+' || item.type == '-' ? NULL : "not a status";
}

const char *workload_answer(struct workload *workload, const struct request *request,
                            struct slice reply, uint64_t now_ns, bool *wrote, bool *refused)
{
    struct resp_item item;
    if (resp_item_take(&reply, &item))
        return "malformed";
    if (item.type == '-' && request->kind == REQUEST_CHANGE)
        return spaces_answer(workload->spaces, workload->history, request->changed, item.bytes,
                             now_ns);
    if (item.type == '-')
        return take_error(workload, request, item.bytes, now_ns, refused);
    const char *wrong = take_success(workload, request, &item, reply, now_ns);
    *wrote = !wrong && request->count &&
             operation_writes(history_operation(workload->history, request->ids[0])->kind);
    return wrong;
}
