/* What nodes report to `system`: records by key in a database of their own, which the catalogue
 * never reads. Each is sent to the leader of `system` one at a time and again until it is committed
 * there; the leader sets the same record only once, so a repetition changes nothing (CONTROL-8).
 *
 * A stored record: 16 hex digits, the group time at which its key was first reported, then the
 * text. Times rise strictly (R12), so they are the order too. */
#include "control/inside.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define REPORT_DATABASE   1
#define REPORT_TIMEOUT_NS (500 * 1000000ull)
#define REPORT_AGAIN_NS   (100 * 1000000ull)
#define TIME_DIGITS       16

/* How many records of a kind are kept. Past that the oldest goes, or a new one is refused, and its
 * node keeps it waiting. */
static const struct report_kind {
    const char *name;
    size_t max;
    bool oldest_goes;
} kinds[] = {
    {"failover:", CONTROL_FAILOVERS_MAX, true},
    {"failover-cut:", CONTROL_FAILOVERS_MAX, true},
    {"loss:", CONTROL_LOSSES_MAX, false},
    {"short:", CONTROL_SHORTS_MAX, true},
    {"event:", CONTROL_EVENTS_MAX, true},
    {"settled:", 0, false},  /* not kept: it changes the catalogue (wanted.c) */
    {"readmit:", 0, false},  /* the same (readmit.c) */
    {"away:", 0, false},     /* the same (duty.c) */
    {"weight:", 0, false},   /* the same (facts.c) */
    {"features:", 0, false}, /* the same (facts.c) */
};

static const struct report_kind *kind_of(struct slice key)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t size = strlen(kinds[i].name);
        if (key.size > size && memcmp(key.at, kinds[i].name, size) == 0)
            return &kinds[i];
    }
    return NULL;
}

static bool may_be_reported(struct slice key, struct slice text)
{
    return kind_of(key) && key.size < CONTROL_REPORT_KEY_SIZE &&
           text.size <= CONTROL_REPORT_TEXT_MAX;
}

/* ---- reading ---- */

static int by_time(const void *a, const void *b)
{
    const struct control_reported *left = a, *right = b;
    return left->at_us < right->at_us ? -1 : left->at_us > right->at_us;
}

static bool read_stored(const struct store_entry *entry, struct control_reported *out)
{
    struct slice value = store_entry_string(entry);
    char digits[TIME_DIGITS + 1];
    if (value.size < TIME_DIGITS)
        return false;
    memcpy(digits, value.at, TIME_DIGITS);
    digits[TIME_DIGITS] = 0;
    out->key = store_entry_key(entry);
    out->at_us = strtoll(digits, NULL, 16);
    out->text = slice_of(value.at + TIME_DIGITS, value.size - TIME_DIGITS);
    return true;
}

static bool has_prefix(struct slice key, const char *prefix)
{
    size_t size = strlen(prefix);
    return key.size > size && memcmp(key.at, prefix, size) == 0;
}

size_t control_reported(struct store *store, const char *kind, struct control_reported **out)
{
    struct store_entry *entries[STORE_WALK_MAX + 16];
    uint8_t databases[STORE_WALK_MAX + 16];
    struct control_reported *found = NULL, one;
    size_t count = 0, capacity = 0;
    uint64_t cursor = 0;
    do {
        size_t walked = 0;
        cursor = store_walk(store, cursor, STORE_WALK_MAX, entries, databases, &walked);
        for (size_t i = 0; i < walked; i++) {
            if (databases[i] != REPORT_DATABASE || !has_prefix(store_entry_key(entries[i]), kind) ||
                !read_stored(entries[i], &one))
                continue;
            if (count == capacity) {
                capacity = capacity ? 2 * capacity : 16;
                found = memory_resize(found, capacity * sizeof *found);
            }
            found[count++] = one;
        }
    } while (cursor);
    if (count)
        qsort(found, count, sizeof *found, by_time);
    *out = found;
    return count;
}

/* ---- REPORT key text, on the leader of `system` ---- */

/* False: refused or failed, and nothing was changed by it. */
static bool change(struct command_call *call, const struct slice *words, size_t count)
{
    struct command_call inner = *call;
    struct buffer out;
    buffer_init(&out, 4096);
    struct reply reply = {.out = &out, .protocol = 2};
    inner.command = command_find(call->table, words[0]);
    inner.database = REPORT_DATABASE;
    inner.arguments = words;
    inner.count = count;
    inner.reply = &reply;
    command_execute(&inner);
    call->refused |= inner.refused;
    buffer_deinit(&out);
    return !inner.refused && !inner.failed;
}

static void fail(struct command_call *call, const char *error)
{
    call->failed = true;
    reply_error(call->reply, "%s", error);
}

/* Room for one more of the kind; false: the reply is written, or the call refused. */
static bool make_room(struct command_call *call, const struct report_kind *kind)
{
    struct control_reported *kept;
    if (store_count(call->store, REPORT_DATABASE) < kind->max)
        return true;
    size_t count = control_reported(call->store, kind->name, &kept);
    bool fits = count < kind->max;
    if (!fits && kind->oldest_goes) {
        char key[CONTROL_REPORT_KEY_SIZE]; /* the record goes while it is named */
        memcpy(key, kept[0].key.at, kept[0].key.size);
        struct slice words[] = {slice_of_text("DEL"), slice_of(key, kept[0].key.size)};
        fits = change(call, words, 2);
    } else if (!fits) {
        fail(call, "ERR as many records of this kind are kept as may be");
    }
    memory_free(kept);
    return fits;
}

static void set(struct command_call *call, struct slice key, struct slice text, int64_t at_us)
{
    char value[TIME_DIGITS + CONTROL_REPORT_TEXT_MAX + 1];
    snprintf(value, sizeof value, "%016llx", (unsigned long long)at_us);
    memcpy(value + TIME_DIGITS, text.at, text.size);
    struct slice words[] = {slice_of_text("SET"), key, slice_of(value, TIME_DIGITS + text.size)};
    if (change(call, words, 3))
        reply_ok(call->reply);
    else if (!call->refused)
        fail(call, "ERR the record is too large for one log entry");
}

/* settled:GROUP, and the number of the change. */
static void settle_change(struct command_call *call, struct slice key, struct slice text)
{
    int64_t group, change;
    size_t size = strlen("settled:");
    if (slice_to_i64(slice_of(key.at + size, key.size - size), &group) || group < 0 ||
        slice_to_i64(text, &change) || change < 1)
        fail(call, "ERR a settled change has a group and a number");
    else
        wanted_settle(call, (uint64_t)group, (uint64_t)change);
}

void report_keep(struct command_call *call, struct slice key, struct slice text)
{
    struct store_key place = store_key_of(REPORT_DATABASE, key);
    struct control_reported old;
    struct store_entry *entry = store_find(call->store, &place);
    bool known = entry && read_stored(entry, &old);
    if (known && slice_equal(old.text, text))
        reply_ok(call->reply); /* CONTROL-8 */
    else if (known || make_room(call, kind_of(key)))
        set(call, key, text, known ? old.at_us : call->now_us);
}

void control_execute_report(struct command_call *call)
{
    struct slice key = call->arguments[1], text = call->arguments[2];
    if (!may_be_reported(key, text)) {
        fail(call,
             "ERR nodes report failovers, losses and copies that are short, and nothing else");
        return;
    }
    if (has_prefix(key, "settled:"))
        settle_change(call, key, text);
    else if (has_prefix(key, "readmit:"))
        readmit_execute(call, key, text);
    else if (has_prefix(key, "away:"))
        duty_take_report(call, key, text);
    else if (!facts_execute(call, key, text))
        report_keep(call, key, text);
}

/* ---- the node that reports ---- */

struct report {
    struct list link; /* in reports.waiting, the oldest first */
    char key[CONTROL_REPORT_KEY_SIZE];
    size_t key_size, size;
    char text[]; /* `size` bytes */
};

static struct report *first_of(const struct control *control)
{
    struct list *link = control->reports.waiting.next;
    return link == &control->reports.waiting ? NULL : list_item(link, struct report, link);
}

static struct report *find(const struct control *control, const char *key)
{
    const struct list *waiting = &control->reports.waiting;
    for (struct list *link = waiting->next; link != waiting; link = link->next) {
        struct report *report = list_item(link, struct report, link);
        if (strcmp(report->key, key) == 0)
            return report;
    }
    return NULL;
}

static void forget(struct control *control, struct report *report)
{
    list_remove(&report->link);
    memory_free(report);
    control->reports.count--;
}

void report_init(struct control *control)
{
    list_init(&control->reports.waiting);
}

void report_deinit(struct control *control)
{
    struct report *report;
    while ((report = first_of(control)) != NULL)
        forget(control, report);
}

bool control_report(struct control *control, const char *key, struct slice text)
{
    struct reports *reports = &control->reports;
    struct report *old = find(control, key);
    if (!may_be_reported(slice_of_text(key), text) ||
        (!old && reports->count == CONTROL_REPORTS_MAX))
        return false;
    if (old && old == first_of(control))
        reports->is_sent = false; /* what is on its way is no longer the newest */
    if (old)
        forget(control, old);
    struct report *report = memory_allocate(sizeof *report + text.size);
    list_init(&report->link);
    report->key_size = (size_t)snprintf(report->key, sizeof report->key, "%s", key);
    report->size = text.size;
    if (text.size)
        memcpy(report->text, text.at, text.size);
    list_append(&reports->waiting, &report->link);
    reports->count++;
    return true;
}

bool control_is_reported(const struct control *control, const char *key)
{
    return !find(control, key);
}

/* The first is committed in `system`, or goes behind the others: one that is refused for long must
 * not hold them up. */
static void settle(struct control *control, bool accepted)
{
    struct reports *reports = &control->reports;
    struct report *report = first_of(control);
    reports->is_sent = reports->is_here = false;
    if (accepted) {
        forget(control, report);
        return;
    }
    list_remove(&report->link);
    list_append(&reports->waiting, &report->link);
    reports->retry_ns = node_turn(control->node)->now_ns + REPORT_AGAIN_NS;
}

static void fill(const struct report *report, struct slice words[3])
{
    words[0] = slice_of_text("REPORT");
    words[1] = slice_of(report->key, report->key_size);
    words[2] = slice_of(report->text, report->size);
}

static bool run_here(struct control *control, struct replica *replica, const struct report *report)
{
    struct slice words[3];
    struct buffer out;
    buffer_init(&out, 4096);
    fill(report, words);
    struct reply reply = {.out = &out, .protocol = 2};
    struct replica_turn *turn = node_turn(control->node);
    struct command_call call = {.command = command_find(turn->commands, words[0]),
                                .arguments = words,
                                .count = 3,
                                .reply = &reply};
    enum replica_outcome outcome = replica_execute(replica, turn, &call, &control->reports.gate);
    buffer_deinit(&out);
    control->reports.is_here = true;
    return outcome == REPLICA_RAN && !reply.failed;
}

static bool send_to_leader(struct control *control, const struct report *report)
{
    struct slice words[3];
    fill(report, words);
    struct question question = {.session = QUESTION_SESSION(QUESTION_REPORT),
                                .epoch = control->reports.epoch + 1,
                                .writes = true,
                                .words = words,
                                .count = 3};
    if (!question_send(control, node_leader_elsewhere(control->node, GROUP_SYSTEM), &question))
        return false;
    control->reports.epoch++;
    return true;
}

static void send(struct control *control)
{
    struct reports *reports = &control->reports;
    struct replica *replica = node_group(control->node, GROUP_SYSTEM);
    bool here = replica && replica_is_serving(replica);
    const struct report *report = first_of(control);
    reports->sent_ns = node_turn(control->node)->now_ns;
    reports->is_sent = here ? run_here(control, replica, report) : send_to_leader(control, report);
    if (!reports->is_sent)
        settle(control, false);
}

/* A record that was written here waits for its commit, as any reply does. */
static void look_at_gate(struct control *control)
{
    struct replica *replica = node_group(control->node, GROUP_SYSTEM);
    struct replica_turn *turn = node_turn(control->node);
    if (!replica) {
        settle(control, false);
        return;
    }
    switch (replica_gate(replica, turn, &control->reports.gate, io_now_ns(control->io))) {
    case REPLICA_GATE_OPEN: settle(control, true); return;
    case REPLICA_GATE_WAITS: return;
    case REPLICA_GATE_UNCONFIRMED: turn->round_wanted = true; return;
    case REPLICA_GATE_CUT:
    case REPLICA_GATE_LOST: settle(control, false); return;
    }
}

bool report_handle_peer(struct control *control, const struct wire_forward_reply *reply)
{
    struct reports *reports = &control->reports;
    if (reply->session != QUESTION_SESSION(QUESTION_REPORT))
        return false;
    if (!reports->is_sent || reports->is_here || reply->epoch != reports->epoch)
        return true; /* it came too late */
    if (reply->outcome == WIRE_OUTCOME_REFUSED)
        node_hint_leader(control->node, GROUP_SYSTEM, reply->leader);
    settle(control, reply->outcome == WIRE_OUTCOME_DONE &&
                        slice_equal(reply->reply, slice_of_text("+OK\r\n")));
    return true;
}

void report_tick(struct control *control)
{
    struct reports *reports = &control->reports;
    uint64_t now_ns = node_turn(control->node)->now_ns;
    if (reports->is_sent && reports->is_here)
        look_at_gate(control);
    if (reports->is_sent && now_ns >= reports->sent_ns + REPORT_TIMEOUT_NS)
        settle(control, false);
    if (!reports->is_sent && reports->count && now_ns >= reports->retry_ns)
        send(control);
}

uint64_t report_deadline_ns(const struct control *control)
{
    const struct reports *reports = &control->reports;
    if (reports->is_sent)
        return reports->sent_ns + REPORT_TIMEOUT_NS;
    return reports->count ? reports->retry_ns : UINT64_MAX;
}
