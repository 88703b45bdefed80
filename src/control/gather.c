/* gather.c - what all nodes have set aside of one term of one group, merged here: the entries lie
 * on the nodes that had to cut them, and any node may be asked.
 *
 *     control_gather -> LEDGER ITEMS group term, to every other node -> answers merged, or time-out
 *
 * One question is under way at a time. An answer is a flat array: for each entry its index, group
 * time, level, verdict and bytes. */
#include "control/inside.h"

#include "base/memory.h"
#include "replica/ledger/ledger.h"

#include <stdio.h>

#define GATHER_TIMEOUT_NS (500 * 1000000ull)
#define GATHER_KEPT_NS    (100 * 1000000ull) /* for who asked, and must ask again */
#define ITEM_WORDS        5

void gather_deinit(struct control *control)
{
    ledger_destroy(control->gather.found);
}

static void merge_own(struct control *control)
{
    struct gather *gather = &control->gather;
    struct ledger *own = node_ledger(control->node);
    if (gather->discards)
        (void)ledger_discard(own, gather->group, gather->term);
    const struct ledger_cut *cut = ledger_find(own, gather->group, gather->term);
    for (size_t i = 0; cut && i < cut->count; i++)
        ledger_merge(gather->found, gather->group, gather->term, &cut->items[i]);
}

static bool ask(struct control *control, struct node_id node)
{
    struct gather *gather = &control->gather;
    char group[24], term[24];
    snprintf(group, sizeof group, "%llu", (unsigned long long)gather->group.value);
    snprintf(term, sizeof term, "%llu", (unsigned long long)gather->term);
    struct slice words[] = {slice_of_text("LEDGER"),
                            slice_of_text(gather->discards ? "DISCARD" : "ITEMS"),
                            slice_of_text(group), slice_of_text(term)};
    struct question question = {.session = QUESTION_SESSION(QUESTION_GATHER),
                                .epoch = gather->epoch,
                                .words = words,
                                .count = 4};
    return question_send(control, peer_of(node_peers(control->node), node, gather->group),
                         &question);
}

static void begin(struct control *control, struct group_id group, uint64_t term, bool discards)
{
    struct gather *gather = &control->gather;
    const struct node_formation *formation = node_formation(control->node);
    ledger_destroy(gather->found);
    gather->found = ledger_create(control->io, "", 0, node_turn(control->node)->commands);
    gather->group = group;
    gather->term = term;
    gather->discards = discards;
    gather->is_under_way = true;
    gather->epoch++;
    gather->began_ns = node_turn(control->node)->now_ns;
    gather->waits_for = gather->missing = 0;
    merge_own(control);
    for (size_t i = 0; i < formation->member_count; i++) {
        struct node_id node = formation->members[i].id;
        bool asked = ask(control, node); /* of this node: another worker, if the group is there */
        gather->waits_for += asked;
        gather->missing += !asked && !node_id_equal(node, formation->self);
    }
}

/* Whoever has not answered until now is missing. */
static bool is_over(struct control *control, uint64_t now_ns)
{
    struct gather *gather = &control->gather;
    bool over = !gather->waits_for || now_ns >= gather->began_ns + GATHER_TIMEOUT_NS;
    if (over && gather->is_under_way) {
        gather->is_under_way = false;
        gather->missing += gather->waits_for;
        gather->ended_ns = now_ns;
    }
    return over;
}

enum status control_gather(struct control *control, struct group_id group, uint64_t term,
                           bool discards, const struct ledger_cut **out, size_t *missing)
{
    struct gather *gather = &control->gather;
    uint64_t now_ns = node_turn(control->node)->now_ns;
    bool same = group_id_equal(gather->group, group) && gather->term == term &&
                gather->discards == discards && gather->epoch;
    bool busy = gather->is_under_way && !is_over(control, now_ns);
    if (busy)
        return STATUS_AGAIN;
    if (!same || now_ns > gather->ended_ns + GATHER_KEPT_NS) {
        begin(control, group, term, discards);
        if (!is_over(control, now_ns))
            return STATUS_AGAIN;
    }
    *out = ledger_find(gather->found, group, term);
    *missing = gather->missing;
    gather->ended_ns = 0; /* the next question is asked anew */
    return STATUS_OK;
}

static void take_answer(struct gather *gather, struct slice reply)
{
    struct resp_item item, word[ITEM_WORDS];
    if (resp_item_take(&reply, &item) || item.type != '*')
        return;
    for (int64_t i = 0; i + ITEM_WORDS <= item.integer; i += ITEM_WORDS) {
        for (size_t k = 0; k < ITEM_WORDS; k++)
            if (resp_item_take(&reply, &word[k]))
                return;
        struct ledger_item one = {.index = (uint64_t)word[0].integer,
                                  .time_us = word[1].integer,
                                  .ack = (uint8_t)word[2].integer,
                                  .verdict = (enum ledger_verdict)word[3].integer,
                                  .bytes = word[4].bytes};
        if (one.verdict >= LEDGER_ACKNOWLEDGED && one.verdict <= LEDGER_RESTORED)
            ledger_merge(gather->found, gather->group, gather->term, &one);
    }
}

bool gather_handle_peer(struct control *control, const struct wire_forward_reply *reply)
{
    struct gather *gather = &control->gather;
    if (reply->session != QUESTION_SESSION(QUESTION_GATHER))
        return false;
    if (!gather->is_under_way || reply->epoch != gather->epoch || !gather->waits_for)
        return true; /* it came too late */
    gather->waits_for--;
    if (reply->outcome == WIRE_OUTCOME_DONE)
        take_answer(gather, reply->reply);
    else
        gather->missing++;
    return true;
}

/* ---- LEDGER, at the node that is asked ---- */

static void tell_items(const struct ledger_cut *cut, struct reply *reply)
{
    reply_array(reply, cut ? ITEM_WORDS * cut->count : 0);
    for (size_t i = 0; cut && i < cut->count; i++) {
        reply_integer(reply, (int64_t)cut->items[i].index);
        reply_integer(reply, cut->items[i].time_us);
        reply_integer(reply, cut->items[i].ack);
        reply_integer(reply, cut->items[i].verdict);
        reply_bulk(reply, cut->items[i].bytes);
    }
}

static bool is_number(struct slice word, int64_t least, int64_t *out)
{
    return !slice_to_i64(word, out) && *out >= least;
}

void control_serve_ledger(struct control *control, const struct slice *arguments, size_t count,
                          struct reply *reply)
{
    struct ledger *ledger = node_ledger(control->node);
    int64_t group, term, ticket = 0;
    bool replays = slice_is_word(arguments[1], "REPLAY");
    if (count != (replays ? 6 : 4) || !is_number(arguments[2], 0, &group) ||
        !is_number(arguments[3], 1, &term) || (replays && !is_number(arguments[4], 1, &ticket))) {
        reply_error(reply, "ERR LEDGER takes a partition and a term, REPLAY a ticket and how, too");
        return;
    }
    struct group_id id = {(uint64_t)group};
    if (replays) {
        struct replay_wish wish = {id, (uint64_t)term, (uint64_t)ticket,
                                   slice_is_word(arguments[5], "OVERWRITE")};
        replay_serve(control, &wish, reply);
        return;
    }
    if (slice_is_word(arguments[1], "COMMITTED")) {
        restored_serve(control, id, (uint64_t)term, reply);
        return;
    }
    if (slice_is_word(arguments[1], "DISCARD"))
        (void)ledger_discard(ledger, id, (uint64_t)term);
    tell_items(ledger_find(ledger, id, (uint64_t)term), reply);
}
