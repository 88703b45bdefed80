/* ALERTS: what is wrong now, everywhere. Any node is asked, and asks all workers of all nodes what
 * they have raised; who could not be asked is named. ADMIN-5
 *
 *     ALERTS FACTS -> ADMIN_ALERT_ITEMS of the sender, then so many items for each; more than are
 *                     known here are passed over, so that a later build may send more */
#include "admin/inside.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define TOLD_MAX  200 /* in an answer; the others are counted */
#define TEXT_MAX  (1u << 20)
#define ITEMS_MAX 64

struct told {
    int64_t numbers[6];    /* severity, partition, replica, node, since_ms, raised_ms */
    struct slice texts[4]; /* name, keyspace, text, cure; borrowed from the answers */
    struct node_id by;
};

struct gathered {
    struct told *all; /* owned */
    size_t count, capacity;
    struct node_id *asked, *not_asked; /* owned */
    size_t asked_count, not_asked_count;
};

enum {
    SEVERITY,
    PARTITION,
    REPLICA,
    NODE,
    SINCE,
    RAISED
};
enum {
    NAME,
    KEYSPACE,
    TEXT,
    CURE
};

/* ---- gathering ---- */

/* Several may tell of one thing, while its leader changes say: who raised it first is told. */
static void keep(struct gathered *gathered, const struct told *told)
{
    for (size_t i = 0; i < gathered->count; i++) {
        struct told *other = &gathered->all[i];
        if (!slice_equal(other->texts[NAME], told->texts[NAME]) ||
            memcmp(&other->numbers[PARTITION], &told->numbers[PARTITION], 3 * sizeof(int64_t)) != 0)
            continue;
        if (told->numbers[RAISED] < other->numbers[RAISED])
            *other = *told;
        return;
    }
    if (gathered->count == gathered->capacity) {
        gathered->capacity = gathered->capacity ? 2 * gathered->capacity : 16;
        gathered->all = memory_resize(gathered->all, gathered->capacity * sizeof *gathered->all);
    }
    gathered->all[gathered->count++] = *told;
}

static bool is_text(const struct resp_item *item)
{
    return item->type == '$' || item->type == '+';
}

static bool is_whole(const struct resp_item *items)
{
    static const unsigned texts = 1u << 1 | 1u << 2 | 1u << 8 | 1u << 9;
    for (unsigned i = 0; i < ADMIN_ALERT_ITEMS; i++)
        if ((texts >> i & 1) ? !is_text(&items[i]) : items[i].type != ':')
            return false;
    return items[0].integer >= 0;
}

static struct told told_of(const struct resp_item *items, struct node_id by)
{
    static const unsigned numbers[] = {0, 3, 4, 5, 6, 7}, texts[] = {1, 2, 8, 9};
    struct told told = {.by = by};
    for (unsigned i = 0; i < 6; i++)
        told.numbers[i] = items[numbers[i]].integer;
    for (unsigned i = 0; i < 4; i++)
        told.texts[i] = items[texts[i]].bytes;
    return told;
}

/* False: no answer to this question, from an older build say. */
static bool read_answer(struct gathered *gathered, struct slice bytes, struct node_id by)
{
    struct resp_item head, size, items[ITEMS_MAX];
    if (resp_item_take(&bytes, &head) || head.type != '*' || resp_item_take(&bytes, &size) ||
        size.type != ':' || size.integer < ADMIN_ALERT_ITEMS || size.integer > ITEMS_MAX)
        return false;
    for (int64_t at = 1; at + size.integer <= head.integer; at += size.integer) {
        for (int64_t i = 0; i < size.integer; i++)
            if (resp_item_take(&bytes, &items[i]))
                return true; /* what came whole holds */
        if (!is_whole(items))
            return true;
        struct told told = told_of(items, by);
        keep(gathered, &told);
    }
    return true;
}

static bool is_in(const struct node_id *list, size_t count, struct node_id node)
{
    for (size_t i = 0; i < count; i++)
        if (node_id_equal(list[i], node))
            return true;
    return false;
}

static void note_asked(struct gathered *gathered, struct node_id node)
{
    if (!is_in(gathered->asked, gathered->asked_count, node))
        gathered->asked[gathered->asked_count++] = node;
}

/* A node of which one worker does not answer is named, too: what that one would tell is missing. */
static void note_missing(struct gathered *gathered, struct node_id node)
{
    if (!is_in(gathered->not_asked, gathered->not_asked_count, node))
        gathered->not_asked[gathered->not_asked_count++] = node;
}

static int by_severity(const void *a, const void *b)
{
    const struct told *one = a, *other = b;
    if (one->numbers[SEVERITY] != other->numbers[SEVERITY])
        return one->numbers[SEVERITY] > other->numbers[SEVERITY] ? -1 : 1;
    if (one->numbers[RAISED] != other->numbers[RAISED])
        return one->numbers[RAISED] < other->numbers[RAISED] ? -1 : 1;
    return one->numbers[PARTITION] < other->numbers[PARTITION] ? -1 : 1;
}

static void gather(struct gathered *gathered, struct slice own, struct node_id self,
                   const struct control_answer *answers, size_t count)
{
    gathered->asked = memory_zeroed(count + 1, sizeof *gathered->asked);
    gathered->not_asked = memory_zeroed(count + 1, sizeof *gathered->not_asked);
    note_asked(gathered, self);
    (void)!read_answer(gathered, own, self);
    for (size_t i = 0; i < count; i++)
        if (answers[i].is_there &&
            read_answer(gathered, slice_of_buffer(&answers[i].bytes), answers[i].node))
            note_asked(gathered, answers[i].node);
        else
            note_missing(gathered, answers[i].node);
    if (gathered->count)
        qsort(gathered->all, gathered->count, sizeof *gathered->all, by_severity);
}

/* ---- telling ---- */

static void tell_ids(const char *name, const struct node_id *ids, size_t count, struct reply *reply)
{
    reply_text(reply, name);
    reply_array(reply, count);
    for (size_t i = 0; i < count; i++)
        reply_integer(reply, (int64_t)ids[i].value);
}

static void pair_known(const char *name, int64_t number, int64_t unknown, struct reply *reply)
{
    reply_text(reply, name);
    if (number == unknown)
        reply_null(reply); /* ADMIN-2 */
    else
        reply_integer(reply, number);
}

static void pair_bytes(const char *name, struct slice bytes, struct reply *reply)
{
    reply_text(reply, name);
    if (bytes.size)
        reply_bulk(reply, bytes);
    else
        reply_null(reply);
}

static void tell_alert(const struct told *told, struct reply *reply)
{
    reply_map(reply, 11);
    pair_bytes("alert", told->texts[NAME], reply);
    reply_text(reply, "severity");
    reply_text(reply, cluster_severity_word((enum cluster_severity)told->numbers[SEVERITY]));
    pair_bytes("keyspace", told->texts[KEYSPACE], reply);
    pair_known("partition", told->numbers[PARTITION], -1, reply);
    pair_known("replica", told->numbers[REPLICA], 0, reply);
    pair_known("node", told->numbers[NODE], 0, reply);
    pair_known("since_ms", told->numbers[SINCE], 0, reply);
    pair_known("raised_ms", told->numbers[RAISED], 0, reply);
    pair_known("told_by", (int64_t)told->by.value, 0, reply);
    pair_bytes("text", told->texts[TEXT], reply);
    pair_bytes("do", told->texts[CURE], reply);
}

static void print_alert(const struct told *told, struct buffer *text)
{
    char raised[CLUSTER_TIME_SIZE];
    cluster_time_text(told->numbers[RAISED], raised);
    buffer_print(text, "%s %.*s (raised %s): %.*s. To do: %.*s\n",
                 cluster_severity_word((enum cluster_severity)told->numbers[SEVERITY]),
                 (int)told->texts[NAME].size, (const char *)told->texts[NAME].at, raised,
                 (int)told->texts[TEXT].size, (const char *)told->texts[TEXT].at,
                 (int)told->texts[CURE].size, (const char *)told->texts[CURE].at);
}

static void tell_text(const struct gathered *gathered, size_t shown, struct reply *reply)
{
    struct buffer text;
    buffer_init(&text, TEXT_MAX);
    for (size_t i = 0; i < shown; i++)
        print_alert(&gathered->all[i], &text);
    if (shown < gathered->count)
        buffer_print(&text, "and %zu more\n", gathered->count - shown);
    if (!gathered->count)
        buffer_print(&text, "no alert%s\n",
                     gathered->not_asked_count ? " of those that could be asked" : "");
    for (size_t i = 0; i < gathered->not_asked_count; i++)
        buffer_print(&text, "%s%llu%s", i ? ", " : "what only these nodes know is missing: ",
                     (unsigned long long)gathered->not_asked[i].value,
                     i + 1 == gathered->not_asked_count ? "\n" : "");
    reply_text(reply, "text");
    reply_bulk(reply, slice_of_buffer(&text));
    buffer_deinit(&text);
}

static void tell(const struct gathered *gathered, struct reply *reply)
{
    size_t shown = gathered->count < TOLD_MAX ? gathered->count : TOLD_MAX;
    reply_map(reply, 5);
    tell_ids("asked", gathered->asked, gathered->asked_count, reply);
    tell_ids("not_asked", gathered->not_asked, gathered->not_asked_count, reply);
    reply_text(reply, "left_out");
    reply_integer(reply, (int64_t)(gathered->count - shown));
    reply_text(reply, "alerts");
    reply_array(reply, shown);
    for (size_t i = 0; i < shown; i++)
        tell_alert(&gathered->all[i], reply);
    tell_text(gathered, shown, reply);
}

/* ---- the verb ---- */

static void ask_all(struct server_call *call)
{
    struct admin *admin = call->owner;
    const struct control_answer *answers;
    struct slice words[] = {slice_of_text("ALERTS"), slice_of_text("FACTS")};
    struct gathered gathered = {0};
    struct buffer own;
    size_t count;
    call->later = call->works = control_survey(admin->control, words, 2, &answers, &count) != 0;
    if (call->later)
        return;
    buffer_init(&own, CONTROL_ANSWER_MAX);
    struct reply facts = {.out = &own, .protocol = 2};
    admin_tell_alerts(admin, &facts);
    gather(&gathered, slice_of_buffer(&own), node_formation(admin->node)->self, answers, count);
    tell(&gathered, call->reply);
    buffer_deinit(&own);
    memory_free(gathered.all);
    memory_free(gathered.asked);
    memory_free(gathered.not_asked);
}

void admin_serve_alerts(struct server_call *call)
{
    bool of_here = call->count == 2 && slice_is_word(call->arguments[1], "FACTS");
    if (!of_here && call->count != 1)
        reply_error(call->reply, "ERR ALERTS takes no arguments");
    else if (!node_is_started(call->node))
        reply_error(call->reply, "TRYAGAIN this node waits for the nodes named by --join");
    else if (of_here)
        admin_tell_alerts(call->owner, call->reply);
    else
        ask_all(call);
}
