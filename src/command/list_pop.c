/* list_pop.c - elements leave lists at their ends, for a client or for another list. */
#include "command/call.h"

#include <assert.h>

/* ---- replying an end ---- */

#define BLOCK 64

static void reply_head(struct command_call *call, const struct store_entry *entry, size_t count)
{
    struct store_list_walk walk;
    struct slice element;
    store_list_walk_init(&walk, entry, 0);
    for (size_t i = 0; i < count && store_list_walk_next(&walk, &element); i++)
        reply_bulk(call->reply, element);
}

/* The last element first. Lists are walked forwards: a block at a time, turned round. */
static void reply_tail(struct command_call *call, const struct store_entry *entry, size_t count)
{
    struct slice elements[BLOCK];
    size_t end = store_list_length(entry);
    while (count) {
        struct store_list_walk walk;
        size_t size = count < BLOCK ? count : BLOCK, found = 0;
        store_list_walk_init(&walk, entry, end - size);
        while (found < size && store_list_walk_next(&walk, &elements[found]))
            found++;
        while (found)
            reply_bulk(call->reply, elements[--found]);
        end -= size;
        count -= size;
    }
}

static void reply_end(struct command_call *call, const struct store_entry *entry, bool at_head,
                      size_t count)
{
    if (!call->reply)
        return;
    if (at_head)
        reply_head(call, entry, count);
    else
        reply_tail(call, entry, count);
}

/* ---- LPOP, RPOP, LMPOP ---- */

/* 0 < count <= length. Ships LPOP or RPOP with the number that there were. */
static void drop_end(struct command_call *call, const struct store_key *key, size_t length,
                     bool at_head, size_t count)
{
    char text[21];
    if (count == length)
        store_remove(call->store, key);
    else if (count == 1)
        store_list_pop(call->store, key, at_head, NULL);
    else
        store_list_keep(call->store, key, at_head ? count : 0,
                        at_head ? length - 1 : length - 1 - count);
    size_t size = text_of_i64((int64_t)count, text);
    struct slice shipped[2] = {key->bytes, slice_of(text, size)};
    command_ship(call, at_head ? NUMBER_LPOP : NUMBER_RPOP, shipped, count == 1 ? 1 : 2);
}

static void pop_one(struct command_call *call, bool at_head)
{
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    if (!command_lookup_typed(call, &key, STORE_LIST, &entry))
        return;
    if (!entry) {
        command_note_unchanged(call);
        reply_null(call->reply);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    size_t length = store_list_length(entry);
    reply_end(call, entry, at_head, 1);
    drop_end(call, &key, length, at_head, 1);
}

static void pop_many(struct command_call *call, bool at_head)
{
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    int64_t wanted;
    if (!command_amount(call, 2, &wanted) || !command_lookup_typed(call, &key, STORE_LIST, &entry))
        return;
    if (!entry || !wanted) {
        command_note_unchanged(call);
        if (entry)
            reply_array(call->reply, 0);
        else
            reply_null_array(call->reply);
        return;
    }
    if (!command_can_change(call, sizeof(char[21])))
        return;
    size_t length = store_list_length(entry);
    size_t count = (uint64_t)wanted < length ? (size_t)wanted : length;
    reply_array(call->reply, count);
    reply_end(call, entry, at_head, count);
    drop_end(call, &key, length, at_head, count);
}

static void pop(struct command_call *call, bool at_head)
{
    if (call->count > 3)
        command_fail_arity(call);
    else if (call->count == 3)
        pop_many(call, at_head);
    else
        pop_one(call, at_head);
}

static void execute_lpop(struct command_call *call)
{
    pop(call, true);
}

static void execute_rpop(struct command_call *call)
{
    pop(call, false);
}

static void execute_lmpop(struct command_call *call)
{
    struct command_pop wanted;
    struct store_key key;
    struct store_entry *entry = NULL;
    if (!command_take_pop(call, "LEFT", "RIGHT", &wanted))
        return;
    for (size_t i = 0; i < wanted.keys && !entry; i++) {
        key = command_key(call, 2 + i);
        if (!command_lookup_typed(call, &key, STORE_LIST, &entry))
            return;
    }
    if (!entry) {
        reply_null_array(call->reply);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    size_t length = store_list_length(entry);
    size_t count = (uint64_t)wanted.count < length ? (size_t)wanted.count : length;
    reply_array(call->reply, 2);
    reply_bulk(call->reply, key.bytes);
    reply_array(call->reply, count);
    reply_end(call, entry, !wanted.at_second, count);
    drop_end(call, &key, length, !wanted.at_second, count);
}

/* ---- LMOVE, RPOPLPUSH ---- */

struct list_move {
    bool from_head, to_head;
};

static bool take_end(struct command_call *call, size_t argument, bool *at_head)
{
    *at_head = slice_is_word(call->arguments[argument], "LEFT");
    if (*at_head || slice_is_word(call->arguments[argument], "RIGHT"))
        return true;
    command_fail_syntax(call);
    return false;
}

static void ship_move(struct command_call *call, const struct list_move *move)
{
    struct slice arguments[4] = {call->arguments[1], call->arguments[2],
                                 slice_of_text(move->from_head ? "LEFT" : "RIGHT"),
                                 slice_of_text(move->to_head ? "LEFT" : "RIGHT")};
    command_ship(call, NUMBER_LMOVE, arguments, 4);
}

static void move_element(struct command_call *call, const struct store_key *from,
                         const struct store_key *to, const struct list_move *move)
{
    struct buffer element;
    buffer_init(&element, STORE_VALUE_SIZE_MAX);
    bool there = store_list_pop(call->store, from, move->from_head, &element);
    assert(there);
    store_list_push(call->store, to, move->to_head, slice_of_buffer(&element));
    ship_move(call, move);
    reply_bulk(call->reply, slice_of_buffer(&element));
    buffer_deinit(&element);
}

/* A list of one element that is its own destination stays as it is, its deadline included. */
static void move_between(struct command_call *call, const struct list_move *move)
{
    struct store_key from = command_key(call, 1), to = command_key(call, 2);
    struct store_entry *source, *destination;
    if (!command_lookup_typed(call, &from, STORE_LIST, &source))
        return;
    if (!source) {
        command_note_unchanged(call);
        reply_null(call->reply);
        return;
    }
    if (!command_lookup_typed(call, &to, STORE_LIST, &destination))
        return;
    bool stays = source == destination &&
                 (store_list_length(source) == 1 || move->from_head == move->to_head);
    if (stays) {
        command_note_unchanged(call);
        reply_end(call, source, move->from_head, 1);
    } else if (command_can_change(call, sizeof "LEFT" + sizeof "RIGHT")) {
        move_element(call, &from, &to, move);
    }
}

static void execute_lmove(struct command_call *call)
{
    struct list_move move;
    if (take_end(call, 3, &move.from_head) && take_end(call, 4, &move.to_head))
        move_between(call, &move);
}

static void execute_rpoplpush(struct command_call *call)
{
    const struct list_move move = {.from_head = false, .to_head = true};
    move_between(call, &move);
}

/* ---- rows ---- */

#define FAST_POP   (COMMAND_WRITE | COMMAND_FAST | COMMAND_EFFECT)
#define MOVE       (COMMAND_WRITE | COMMAND_DENY_OOM)
#define SLOW_WRITE "@write @list @slow"
#define FAST_WRITE "@write @list @fast"

static const struct command rows[] = {
    {NUMBER_LPOP, "LPOP", -2, FAST_POP, 1, 1, 1, FAST_WRITE,
     "Take elements from the head of a list", "list", "1.0.0", execute_lpop, 0},
    {NUMBER_RPOP, "RPOP", -2, FAST_POP, 1, 1, 1, FAST_WRITE,
     "Take elements from the tail of a list", "list", "1.0.0", execute_rpop, 0},
    {NUMBER_LMPOP, "LMPOP", -4, COMMAND_WRITE | COMMAND_COUNTED_1, 0, 0, 0, SLOW_WRITE,
     "Take elements from an end of the first list that is there", "list", "7.0.0", execute_lmpop,
     0},
    {NUMBER_LMOVE, "LMOVE", 5, MOVE | COMMAND_EFFECT, 1, 2, 1, SLOW_WRITE,
     "Move an element from an end of a list to an end of a list", "list", "6.2.0", execute_lmove,
     0},
    {NUMBER_RPOPLPUSH, "RPOPLPUSH", 3, MOVE, 1, 2, 1, SLOW_WRITE,
     "Move the last element of a list to the head of a list", "list", "1.2.0", execute_rpoplpush,
     0},
};

struct command_family command_family_list_pop(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
