/* restored.c - which entries that were set aside here are in their group's log all the same: a
 * leader cut them whose own entries came to nothing, or a replica that was removed could not know
 * that they were committed. What a group has committed says it for good (LEDGER-4): the replica
 * here tells, or, where there is none that can, one of the group's members, who are asked in turn.
 *
 *     LEDGER COMMITTED group term -> first index, last index, whether that is all; or nothing
 *
 * One question is under way at a time. */
#include "control/inside.h"

#include "replica/ledger/ledger.h"

#include <stdio.h>

#define LOOK_EVERY_NS  (100 * 1000000ull)
#define ASK_TIMEOUT_NS (500 * 1000000ull)
#define SPAN_WORDS     3

/* ---- which are open ---- */

/* Nobody can be asked of a partition that was dropped. */
static const struct control_partition *partition_of(const struct control *control,
                                                    const struct ledger_cut *cut)
{
    const struct control_partition *partition =
        catalogue_find_group(&control->catalogue, cut->group);
    return partition && !partition->dropped ? partition : NULL;
}

static bool is_open(const struct control *control, const struct ledger_cut *cut)
{
    return !cut->decided && !cut->discarded && partition_of(control, cut);
}

static bool find_here(const struct control *control, struct group_id group, uint64_t term,
                      struct ledger_span *out)
{
    const struct replica *replica = node_group(control->node, group);
    return replica && replica_committed_of(replica, term, out);
}

static void look_here(struct control *control, const struct ledger_cut *cut)
{
    struct ledger_span span;
    if (find_here(control, cut->group, cut->term, &span))
        ledger_decide(node_ledger(control->node), cut->group, cut->term, &span);
}

/* ---- asking ---- */

/* The next one in turn that nothing here can tell of; NULL: none. */
static const struct ledger_cut *choose(struct control *control)
{
    struct restoring *restoring = &control->restoring;
    const struct ledger *ledger = node_ledger(control->node);
    size_t count = ledger_count(ledger);
    struct ledger_span span;
    for (size_t i = 0; i < count; i++) {
        const struct ledger_cut *cut = ledger_at(ledger, (restoring->next_cut + i) % count);
        if (!is_open(control, cut) || find_here(control, cut->group, cut->term, &span))
            continue;
        restoring->next_cut = (restoring->next_cut + i + 1) % count;
        return cut;
    }
    return NULL;
}

static bool send(struct control *control, const struct ledger_cut *cut)
{
    struct restoring *restoring = &control->restoring;
    const struct raft_configuration *members = partition_wanted(partition_of(control, cut));
    char group[24], term[24];
    if (!members->member_count)
        return false;
    struct node_id node = members->members[restoring->attempts++ % members->member_count].node;
    snprintf(group, sizeof group, "%llu", (unsigned long long)cut->group.value);
    snprintf(term, sizeof term, "%llu", (unsigned long long)cut->term);
    struct slice words[] = {slice_of_text("LEDGER"), slice_of_text("COMMITTED"),
                            slice_of_text(group), slice_of_text(term)};
    struct question question = {.session = QUESTION_SESSION(QUESTION_COMMITTED),
                                .epoch = ++restoring->epoch,
                                .words = words,
                                .count = 4};
    return question_send(control, peer_of(node_peers(control->node), node, cut->group), &question);
}

static void ask(struct control *control, uint64_t now_ns)
{
    struct restoring *restoring = &control->restoring;
    if (restoring->is_asking && now_ns < restoring->asked_ns + ASK_TIMEOUT_NS)
        return;
    const struct ledger_cut *cut = choose(control);
    restoring->is_asking = cut && send(control, cut);
    if (!restoring->is_asking)
        return;
    restoring->asked_ns = now_ns;
    restoring->group = cut->group;
    restoring->term = cut->term;
}

/* False: that node cannot say. */
static bool read_span(struct slice reply, struct ledger_span *out)
{
    struct resp_item item, words[SPAN_WORDS];
    if (resp_item_take(&reply, &item) || item.type != '*' || item.integer != SPAN_WORDS)
        return false;
    for (size_t i = 0; i < SPAN_WORDS; i++)
        if (resp_item_take(&reply, &words[i]) || words[i].type != ':' || words[i].integer < 0)
            return false;
    *out = (struct ledger_span){.first = (uint64_t)words[0].integer,
                                .last = (uint64_t)words[1].integer,
                                .whole = words[2].integer != 0};
    return true;
}

bool restored_handle_peer(struct control *control, const struct wire_forward_reply *reply)
{
    struct restoring *restoring = &control->restoring;
    struct ledger_span span;
    if (reply->session != QUESTION_SESSION(QUESTION_COMMITTED))
        return false;
    if (!restoring->is_asking || reply->epoch != restoring->epoch)
        return true; /* it came too late */
    restoring->is_asking = false;
    if (reply->outcome != WIRE_OUTCOME_DONE || !read_span(reply->reply, &span))
        return true;
    ledger_decide(node_ledger(control->node), restoring->group, restoring->term, &span);
    if (span.whole)
        restoring->next_ns = 0; /* the next one at once */
    return true;
}

void restored_serve(struct control *control, struct group_id group, uint64_t term,
                    struct reply *reply)
{
    struct ledger_span span;
    if (!node_is_started(control->node) || !find_here(control, group, term, &span)) {
        reply_array(reply, 0);
        return;
    }
    reply_array(reply, SPAN_WORDS);
    reply_integer(reply, (int64_t)span.first);
    reply_integer(reply, (int64_t)span.last);
    reply_integer(reply, span.whole);
}

/* ---- time ---- */

void restored_tick(struct control *control)
{
    struct restoring *restoring = &control->restoring;
    const struct ledger *ledger = node_ledger(control->node);
    uint64_t now_ns = node_turn(control->node)->now_ns;
    if (now_ns < restoring->next_ns)
        return;
    restoring->next_ns = now_ns + LOOK_EVERY_NS;
    restoring->is_waiting = false;
    for (size_t i = 0; i < ledger_count(ledger); i++) {
        const struct ledger_cut *cut = ledger_at(ledger, i);
        if (is_open(control, cut))
            look_here(control, cut);
        restoring->is_waiting |= is_open(control, cut);
    }
    if (restoring->is_waiting)
        ask(control, now_ns);
}

/* What is set aside while nothing waits comes with heartbeats: they wake this node often enough. */
uint64_t restored_deadline_ns(const struct control *control)
{
    return control->restoring.is_waiting ? control->restoring.next_ns : UINT64_MAX;
}
