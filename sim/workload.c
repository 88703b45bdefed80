/* Requests and replies. */
#include "sim/workload.h"

#include <stdio.h>

#define MS               1000000ull
#define ONCE_PERCENT     25
#define ONCE_CONNECTIONS 30000 /* numbers from here on are no connections */

struct draft {
    struct operation operation;
    struct slice arguments[2 + 2 * REQUEST_KEYS_MAX];
    size_t count;
    char text[REQUEST_KEYS_MAX][96]; /* values */
    char number[24];
};

void workload_init(struct workload *workload, struct history *history, unsigned read_percent,
                   uint64_t seed)
{
    workload->history = history;
    workload->read_percent = read_percent;
    workload->next_value = 1;
    random_init(&workload->random, seed ^ 0x3012c10ad);
    for (size_t i = 0; i < ONCES_MAX; i++)
        buffer_init(&workload->onces[i].bytes, 4096);
}

void workload_deinit(struct workload *workload)
{
    for (size_t i = 0; i < ONCES_MAX; i++)
        buffer_deinit(&workload->onces[i].bytes);
}

static uint64_t below(struct workload *workload, uint64_t bound)
{
    return random_below(&workload->random, bound);
}

/* ---- asking ---- */

static void add(struct draft *draft, const char *text)
{
    draft->arguments[draft->count++] = slice_of_text(text);
}

/* A short text that nobody else writes; now and then a longer one. */
static const char *draw_value(struct workload *workload, char text[96])
{
    int size = snprintf(text, 96, "v%llu.", (unsigned long long)workload->next_value++);
    if (below(workload, 8) == 0)
        for (uint64_t more = below(workload, 60); more; more--)
            text[size++] = 'x';
    text[size] = 0;
    return text;
}

static void set(struct workload *workload, struct draft *draft, const char *key)
{
    static const enum operation_kind forms[] = {OPERATION_SET,    OPERATION_SET,
                                                OPERATION_SET,    OPERATION_SET_NX,
                                                OPERATION_SET_XX, OPERATION_SET_GET};
    static const char *const words[] = {NULL, "NX", "XX", "GET"};
    draft->operation.kind = forms[below(workload, 6)];
    add(draft, "SET");
    add(draft, key);
    add(draft, draw_value(workload, draft->text[0]));
    draft->operation.argument = value_of_string(draft->arguments[2]);
    if (draft->operation.kind != OPERATION_SET)
        add(draft, words[draft->operation.kind - OPERATION_SET]);
}

static void simple(struct draft *draft, enum operation_kind kind, const char *name, const char *key)
{
    draft->operation.kind = kind;
    add(draft, name);
    add(draft, key);
}

static void draw_string_write(struct workload *workload, struct draft *draft, const char *key)
{
    switch (below(workload, 8)) {
    case 0: simple(draft, OPERATION_DEL, "DEL", key); break;
    case 1:
    case 2:
        simple(draft, OPERATION_APPEND, "APPEND", key);
        add(draft, draw_value(workload, draft->text[0]));
        draft->operation.argument = value_of_string(draft->arguments[2]);
        break;
    default: set(workload, draft, key);
    }
}

static void draw_counter_write(struct workload *workload, struct draft *draft, const char *key)
{
    uint64_t what = below(workload, 12);
    if (what == 0) {
        simple(draft, OPERATION_DEL, "DEL", key);
        return;
    }
    uint64_t number = what == 1 ? workload->next_value++ * 1000 : 1 + below(workload, 9);
    snprintf(draft->number, sizeof draft->number, "%llu", (unsigned long long)number);
    simple(draft, what == 1 ? OPERATION_SET : OPERATION_ADD, what == 1 ? "SET" : "INCRBY", key);
    add(draft, draft->number);
    draft->operation.argument = value_of_number(number);
}

static void draw_list_write(struct workload *workload, struct draft *draft, const char *key)
{
    if (below(workload, 16) == 0) {
        simple(draft, OPERATION_DEL, "DEL", key);
        return;
    }
    simple(draft, OPERATION_PUSH, "RPUSH", key);
    add(draft, draw_value(workload, draft->text[0]));
    draft->operation.argument = value_of_string(draft->arguments[2]);
}

static void draw_lease_write(struct workload *workload, struct draft *draft, const char *key)
{
    uint64_t ttl_ms = 100 + below(workload, 3000);
    snprintf(draft->number, sizeof draft->number, "%llu", (unsigned long long)ttl_ms);
    switch (below(workload, 6)) {
    case 0: simple(draft, OPERATION_DEL, "DEL", key); return;
    case 1: simple(draft, OPERATION_EXPIRE, "PEXPIRE", key); break;
    case 2: draw_string_write(workload, draft, key); return;
    default: set(workload, draft, key); add(draft, "PX");
    }
    add(draft, draft->number);
    draft->operation.ttl_ns = ttl_ms * MS;
}

static void draw_read(struct draft *draft, const struct history_key *key)
{
    if (key->kind != KEY_LIST) {
        simple(draft, OPERATION_GET, "GET", key->name);
        return;
    }
    simple(draft, OPERATION_RANGE, "LRANGE", key->name);
    add(draft, "0");
    add(draft, "-1");
}

static void record(struct workload *workload, struct request *request, uint32_t key,
                   struct operation *operation)
{
    operation->connection = request->connection;
    operation->node = request->node;
    request->ids[request->count++] =
        history_invoke(workload->history, key, operation, request->asked_ns);
}

static void send(const struct draft *draft, struct buffer *out)
{
    resp_request(out, draft->arguments, draft->count);
}

/* ---- ONCE ---- */

static struct once *find_once(struct workload *workload, enum once_state state)
{
    for (size_t i = 0; i < ONCES_MAX; i++)
        if (workload->onces[i].state == state)
            return &workload->onces[i];
    return NULL;
}

/* Bytes of the request in a table, so that it can be asked again. It is bound by no other request
 * of its connection, since it may take effect after any of them: a connection of its own. */
static void ask_once(struct workload *workload, struct once *once, struct request *request,
                     uint32_t key, struct draft *draft, struct buffer *out)
{
    struct slice words[3 + sizeof draft->arguments / sizeof draft->arguments[0]];
    char name[16], number[24];
    uint64_t client = below(workload, ONCE_CLIENTS);
    snprintf(name, sizeof name, "client-%u", (unsigned)client);
    snprintf(number, sizeof number, "%llu", (unsigned long long)++workload->once_numbers[client]);
    words[0] = slice_of_text("ONCE");
    words[1] = slice_of_text(name);
    words[2] = slice_of_text(number);
    memcpy(words + 3, draft->arguments, draft->count * sizeof *words);
    buffer_reset(&once->bytes);
    resp_request(&once->bytes, words, 3 + draft->count);
    uint16_t connection = request->connection;
    request->connection = (uint16_t)(ONCE_CONNECTIONS + workload->once_count++ % ONCE_CONNECTIONS);
    record(workload, request, key, &draft->operation);
    request->connection = connection;
    request->once = once;
    once->id = request->ids[0];
    once->unsure = false;
    once->state = ONCE_ASKED;
    (void)!buffer_append(out, once->bytes.at, once->bytes.size);
}

static bool ask_again(struct workload *workload, struct request *request, struct buffer *out)
{
    struct once *once = find_once(workload, ONCE_LOST);
    if (!once || below(workload, 2))
        return false;
    request->kind = REQUEST_ONE;
    request->ids[request->count++] = once->id;
    request->once = once;
    once->state = ONCE_ASKED;
    (void)!buffer_append(out, once->bytes.at, once->bytes.size);
    return true;
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

void workload_end(struct workload *workload, uint64_t now_ns)
{
    struct once *once;
    while ((once = find_once(workload, ONCE_LOST)) != NULL) {
        once->state = ONCE_FREE;
        history_return(workload->history, once->id, OUTCOME_UNKNOWN, NULL, now_ns);
    }
}

void workload_ask_for(struct workload *workload, uint32_t key, struct request *request,
                      struct buffer *out)
{
    struct draft draft = {.count = 0};
    draw_read(&draft, &workload->history->keys[key]);
    request->kind = REQUEST_ONE;
    record(workload, request, key, &draft.operation);
    send(&draft, out);
}

/* MSET or MGET of string keys: for the history, one operation on each. */
static bool ask_many(struct workload *workload, struct request *request, bool only_read,
                     struct buffer *out)
{
    struct draft draft = {.count = 0};
    struct history *history = workload->history;
    bool writes = !only_read && below(workload, 2) == 0;
    request->kind = writes ? REQUEST_SET_MANY : REQUEST_GET_MANY;
    add(&draft, writes ? "MSET" : "MGET");
    for (uint32_t slot = 0; slot < history->slot_count && request->count < REQUEST_KEYS_MAX;
         slot++) {
        uint32_t key = history_key_of_slot(history, slot);
        if (history->keys[key].kind != KEY_STRING)
            continue;
        struct operation operation = {.kind = writes ? OPERATION_SET : OPERATION_GET};
        add(&draft, history->keys[key].name);
        if (writes) {
            add(&draft, draw_value(workload, draft.text[request->count]));
            operation.argument = value_of_string(draft.arguments[draft.count - 1]);
        }
        record(workload, request, key, &operation);
    }
    if (request->count)
        send(&draft, out);
    return request->count > 0;
}

void workload_ask(struct workload *workload, struct request *request, bool only_read,
                  struct buffer *out)
{
    static void (*const writes[])(struct workload *, struct draft *, const char *) = {
        draw_string_write, draw_counter_write, draw_list_write, draw_lease_write};
    struct draft draft = {.count = 0};
    struct history *history = workload->history;
    if (!only_read && ask_again(workload, request, out))
        return;
    uint64_t what = below(workload, 100);
    if (what == 0) {
        request->kind = REQUEST_SIZE;
        add(&draft, "DBSIZE");
        send(&draft, out);
        return;
    }
    if (what < 8 && ask_many(workload, request, only_read, out))
        return;
    uint32_t key = history_key_of_slot(history, (uint32_t)below(workload, history->slot_count));
    const struct history_key *chosen = &history->keys[key];
    request->kind = REQUEST_ONE;
    if (only_read || below(workload, 100) < workload->read_percent)
        draw_read(&draft, chosen);
    else
        writes[chosen->kind](workload, &draft, chosen->name);
    struct once *once = find_once(workload, ONCE_FREE);
    if (once && operation_writes(draft.operation.kind) && chosen->kind != KEY_LEASE &&
        below(workload, 100) < ONCE_PERCENT) {
        ask_once(workload, once, request, key, &draft, out);
        return;
    }
    record(workload, request, key, &draft.operation);
    send(&draft, out);
}

/* ---- answers ---- */

static bool begins(struct slice text, const char *word)
{
    size_t size = strlen(word);
    return text.size >= size && memcmp(text.at, word, size) == 0;
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
    end_all(workload, request, OUTCOME_UNKNOWN, now_ns);
}

static const char *take_error(struct workload *workload, const struct request *request,
                              struct slice text, uint64_t now_ns, bool *refused)
{
    *refused = true;
    if (begins(text, "TRYAGAIN") || begins(text, "MISCONF") || begins(text, "NOREPLICAS")) {
        end_all(workload, request, OUTCOME_REFUSED, now_ns);
        return NULL;
    }
    end_all(workload, request, OUTCOME_UNKNOWN, now_ns);
    if (request->once && begins(text, "FORGOTTEN")) { /* it came back too late: nobody can tell */
        request->once->state = ONCE_FREE;
        history_return(workload->history, request->once->id, OUTCOME_UNKNOWN, NULL, now_ns);
        return NULL;
    }
    return begins(text, "UNKNOWNOUTCOME") ? NULL : "an error that this request cannot meet";
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

const char *workload_answer(struct workload *workload, const struct request *request,
                            struct slice reply, uint64_t now_ns, bool *wrote, bool *refused)
{
    struct resp_item item;
    if (resp_item_take(&reply, &item))
        return "malformed";
    if (item.type == '-')
        return take_error(workload, request, item.bytes, now_ns, refused);
    if (request->kind == REQUEST_SIZE)
        return item.type == ':' && item.integer >= 0 &&
                       item.integer <= (int64_t)workload->history->key_count
                   ? NULL
                   : "DBSIZE counts keys that nobody wrote";
    if (request->kind == REQUEST_GET_MANY)
        return take_many(workload, request, &item, reply, now_ns);
    const char *wrong = NULL;
    for (unsigned i = 0; i < request->count && !wrong; i++)
        wrong = take_one(workload, request, i, &item, reply, now_ns);
    *wrote =
        !wrong && operation_writes(history_operation(workload->history, request->ids[0])->kind);
    return wrong;
}
