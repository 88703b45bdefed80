/* Requests. */
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

void workload_init(struct workload *workload, struct history *history, struct spaces *spaces,
                   unsigned read_percent, uint64_t seed)
{
    workload->history = history;
    workload->spaces = spaces;
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

/* A short text that nobody else writes; now and then a longer one. losses.c finds it in the
 * leaders' entries. */
static const char *draw_value(struct workload *workload, char text[96], struct operation *operation)
{
    operation->written = workload->next_value;
    int size = snprintf(text, 96, "v%llu.", (unsigned long long)workload->next_value++);
    if (below(workload, 8) == 0)
        for (uint64_t more = below(workload, 60); more; more--)
            text[size++] = 'x';
    text[size] = 0;
    operation->argument = value_of_string(slice_of_text(text));
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
    add(draft, draw_value(workload, draft->text[0], &draft->operation));
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
        add(draft, draw_value(workload, draft->text[0], &draft->operation));
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
    add(draft, draw_value(workload, draft->text[0], &draft->operation));
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

static void send_words(struct buffer *out, const char *first, const char *second, const char *third)
{
    const char *words[] = {first, second, third};
    struct slice arguments[3];
    size_t count = 0;
    for (; count < 3 && words[count]; count++)
        arguments[count] = slice_of_text(words[count]);
    resp_request(out, arguments, count);
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
    once->space = request->space;
    once->life = request->life;
    once->state = ONCE_ASKED;
    (void)!buffer_append(out, once->bytes.at, once->bytes.size);
}

static void give_up(struct workload *workload, struct once *once, uint64_t now_ns)
{
    once->state = ONCE_FREE;
    history_return(workload->history, once->id, OUTCOME_UNKNOWN, NULL, now_ns);
}

/* One of the request's keyspace; those of keyspaces that were dropped end here. */
static struct once *find_lost(struct workload *workload, const struct request *request)
{
    struct once *found = NULL;
    for (size_t i = 0; i < ONCES_MAX; i++) {
        struct once *once = &workload->onces[i];
        if (once->state != ONCE_LOST)
            continue;
        if (!spaces_is_open(workload->spaces, once->space, once->life))
            give_up(workload, once, request->asked_ns);
        else if (!found && once->space == request->space && once->life == request->life)
            found = once;
    }
    return found;
}

static bool ask_again(struct workload *workload, struct request *request, struct buffer *out)
{
    struct once *once = find_lost(workload, request);
    if (!once || below(workload, 2))
        return false;
    request->kind = REQUEST_ONE;
    request->ids[request->count++] = once->id;
    request->once = once;
    once->state = ONCE_ASKED;
    (void)!buffer_append(out, once->bytes.at, once->bytes.size);
    return true;
}

void workload_end(struct workload *workload, uint64_t now_ns)
{
    struct once *once;
    while ((once = find_once(workload, ONCE_LOST)) != NULL)
        give_up(workload, once, now_ns);
}

/* ---- pairs: {name}a and {name}b, only ever changed and read together ---- */

struct pair_names {
    char a[HISTORY_NAME_SIZE + 4], b[HISTORY_NAME_SIZE + 4];
};

static struct pair_names pair_of(const struct history_key *key)
{
    struct pair_names names;
    snprintf(names.a, sizeof names.a, "{%s}a", key->name);
    snprintf(names.b, sizeof names.b, "{%s}b", key->name);
    return names;
}

static void send_transaction(struct request *request, const char *verb,
                             const struct pair_names *names, const char *number, struct buffer *out)
{
    send_words(out, "MULTI", NULL, NULL);
    send_words(out, verb, names->a, number);
    send_words(out, verb, names->b, number);
    send_words(out, "EXEC", NULL, NULL);
    request->replies = 4;
}

static void ask_pair(struct workload *workload, struct request *request, uint32_t key, bool reads,
                     struct buffer *out)
{
    struct pair_names names = pair_of(&workload->history->keys[key]);
    struct operation operation = {.kind = OPERATION_GET};
    uint64_t what = below(workload, 16), number = 1 + below(workload, 9);
    char text[24];
    request->kind = REQUEST_PAIR;
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    if (reads && what < 8) {
        send_words(out, "MGET", names.a, names.b);
    } else if (reads) {
        send_transaction(request, "GET", &names, NULL, out);
    } else if (what == 0) {
        operation.kind = OPERATION_DEL;
        send_words(out, "DEL", names.a, names.b);
    } else {
        operation.kind = OPERATION_ADD;
        operation.argument = value_of_number(number);
        send_transaction(request, "INCRBY", &names, text, out);
    }
    record(workload, request, key, &operation);
}

/* ---- what was watched and read is set, if nobody else has ---- */

static void ask_watch(struct workload *workload, struct request *request, uint32_t key,
                      struct buffer *out)
{
    const char *name = workload->history->keys[key].name;
    struct operation operation = {.kind = OPERATION_GET};
    request->kind = REQUEST_WATCH;
    request->replies = 2;
    send_words(out, "WATCH", name, NULL);
    send_words(out, "GET", name, NULL);
    record(workload, request, key, &operation);
}

void workload_ask_cas(struct workload *workload, const struct operation_id *read,
                      struct request *request, struct buffer *out)
{
    char text[96];
    const struct operation *found = history_operation(workload->history, *read);
    struct operation operation = {.kind = OPERATION_CAS, .expected = found->result};
    (void)draw_value(workload, text, &operation);
    request->kind = REQUEST_CAS;
    request->replies = 3;
    send_words(out, "MULTI", NULL, NULL);
    send_words(out, "SET", workload->history->keys[read->key].name, text);
    send_words(out, "EXEC", NULL, NULL);
    record(workload, request, read->key, &operation);
}

/* ---- requests that are no operations ---- */

void workload_ask_select(struct workload *workload, struct request *request, struct buffer *out)
{
    request->kind = REQUEST_SELECT;
    send_words(out, "SELECT", workload->spaces->at[request->space].name, NULL);
}

bool workload_ask_change(struct workload *workload, struct request *request, struct buffer *out)
{
    unsigned space = 0;
    if (!spaces_ask(workload->spaces, request->asked_ns, &space, out))
        return false;
    request->kind = REQUEST_CHANGE;
    request->changed = (uint8_t)space;
    return true;
}

static void ask_wait(struct workload *workload, struct request *request, struct buffer *out)
{
    static const char *const wanted[] = {"0", "1", "QUORUM", "ALL"};
    request->kind = REQUEST_WAIT;
    request->strict = below(workload, 2);
    send_words(out, "WAIT", wanted[below(workload, 2) + 2 * request->strict], "300");
}

void workload_ask_for(struct workload *workload, uint32_t key, struct request *request,
                      struct buffer *out)
{
    struct draft draft = {.count = 0};
    if (workload->history->keys[key].kind == KEY_PAIR) {
        ask_pair(workload, request, key, true, out);
        return;
    }
    draw_read(&draft, &workload->history->keys[key]);
    request->kind = REQUEST_ONE;
    record(workload, request, key, &draft.operation);
    send(&draft, out);
}

/* MSET or MGET of string keys: for the history, one operation on each. One MSET goes to one
 * partition.
 */
static bool ask_many(struct workload *workload, struct request *request, bool only_read,
                     struct buffer *out)
{
    struct draft draft = {.count = 0};
    struct history *history = workload->history;
    bool one_partition = workload->spaces->at[request->space].partitions == 1;
    bool writes = !only_read && below(workload, 2) == 0 && one_partition;
    request->kind = writes ? REQUEST_SET_MANY : REQUEST_GET_MANY;
    add(&draft, writes ? "MSET" : "MGET");
    for (uint32_t slot = 0; slot < history->slot_count && request->count < REQUEST_KEYS_MAX;
         slot++) {
        if (history_space_of_slot(history, slot) != request->space)
            continue;
        uint32_t key = history_key_of_slot(history, slot);
        if (history->keys[key].kind != KEY_STRING)
            continue;
        struct operation operation = {.kind = writes ? OPERATION_SET : OPERATION_GET};
        add(&draft, history->keys[key].name);
        if (writes)
            add(&draft, draw_value(workload, draft.text[request->count], &operation));
        record(workload, request, key, &operation);
    }
    if (request->count)
        send(&draft, out);
    return request->count > 0;
}

static uint32_t draw_key(struct workload *workload, unsigned space)
{
    struct history *history = workload->history;
    uint32_t slots[HISTORY_SLOTS_MAX], count = 0;
    for (uint32_t slot = 0; slot < history->slot_count; slot++)
        if (history_space_of_slot(history, slot) == space)
            slots[count++] = slot;
    return history_key_of_slot(history, slots[below(workload, count)]);
}

/* What looks at several keys, in several partitions where there are such. */
static bool ask_of_all(struct workload *workload, struct request *request, bool only_read,
                       struct buffer *out)
{
    uint64_t what = below(workload, 100);
    if (what == 0) {
        request->kind = REQUEST_SIZE;
        send_words(out, "DBSIZE", NULL, NULL);
        return true;
    }
    if (what == 1 && !only_read) {
        ask_wait(workload, request, out);
        return true;
    }
    return what < 8 && ask_many(workload, request, only_read, out);
}

void workload_ask(struct workload *workload, struct request *request, bool only_read,
                  struct buffer *out)
{
    static void (*const writes[])(struct workload *, struct draft *, const char *) = {
        draw_string_write, draw_counter_write, draw_list_write, draw_lease_write};
    struct draft draft = {.count = 0};
    if (!only_read && ask_again(workload, request, out))
        return;
    if (ask_of_all(workload, request, only_read, out))
        return;
    uint32_t key = draw_key(workload, request->space);
    const struct history_key *chosen = &workload->history->keys[key];
    bool reads = only_read || below(workload, 100) < workload->read_percent;
    if (chosen->kind == KEY_PAIR) {
        ask_pair(workload, request, key, reads, out);
        return;
    }
    if (chosen->kind == KEY_STRING && !only_read && below(workload, 8) == 0) {
        ask_watch(workload, request, key, out);
        return;
    }
    request->kind = REQUEST_ONE;
    if (reads)
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
