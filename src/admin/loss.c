/* LOSS SHOW and DISCARD: served by whichever node is asked, which asks all others for what they had
 * to cut. LOSS LIST goes on to `system`. */
#include "admin/inside.h"

#include "replica/ledger/ledger.h"

#include <stdio.h>

/* An id is PARTITION-TERM. */
static bool read_id(struct slice word, struct group_id *group, uint64_t *term)
{
    const uint8_t *dash = word.size ? memchr(word.at, '-', word.size) : NULL;
    size_t size = dash ? (size_t)(dash - word.at) : 0;
    int64_t first = 0, second = 0;
    if (!dash || slice_to_i64(slice_of(word.at, size), &first) ||
        slice_to_i64(slice_of(dash + 1, word.size - size - 1), &second) || first < 0 || second < 1)
        return false;
    *group = (struct group_id){(uint64_t)first};
    *term = (uint64_t)second;
    return true;
}

static const char *level_word(uint8_t ack, char text[24])
{
    snprintf(text, 24, "semisync:%u", ack ? ack - 1u : 0u);
    return ack == WIRE_ACK_ASYNC ? "async" : ack == 1 ? "local" : text;
}

static const char *verdict_word(enum ledger_verdict verdict)
{
    return verdict == LEDGER_ACKNOWLEDGED ? "acknowledged"
           : verdict == LEDGER_NOT        ? "not"
           : verdict == LEDGER_RESTORED   ? "restored"
                                          : "possibly";
}

/* ---- SHOW ---- */

struct lines {
    struct reply *reply; /* NULL: they are only counted */
    const struct ledger_item *item;
    size_t count;
};

static void tell_facts(struct lines *lines)
{
    char text[24];
    reply_text(lines->reply, "index");
    reply_integer(lines->reply, (int64_t)lines->item->index);
    reply_text(lines->reply, "time_ms");
    reply_integer(lines->reply, lines->item->time_us / 1000);
    reply_text(lines->reply, "level");
    reply_text(lines->reply, level_word(lines->item->ack, text));
    reply_text(lines->reply, "judged");
    reply_text(lines->reply, verdict_word(lines->item->verdict));
}

static void tell_command(void *owner, const struct command *command, uint8_t database,
                         const struct slice *arguments, size_t count)
{
    struct lines *lines = owner;
    size_t key = command_next_key(command, arguments, count, 0);
    lines->count++;
    if (!lines->reply)
        return;
    reply_map(lines->reply, 7);
    reply_text(lines->reply, "key");
    if (key)
        reply_bulk(lines->reply, arguments[key]);
    else
        reply_null(lines->reply);
    reply_text(lines->reply, "database");
    reply_integer(lines->reply, database);
    reply_text(lines->reply, "command");
    reply_array(lines->reply, count);
    for (size_t i = 0; i < count; i++)
        reply_bulk(lines->reply, arguments[i]);
    tell_facts(lines);
}

/* An entry that was not kept has one line without a command. */
static void tell_item(struct server_call *call, struct lines *lines)
{
    struct slice bytes = lines->item->bytes;
    struct wire_entry entry;
    if (bytes.size && !wire_entry_take(&bytes, &entry)) {
        (void)!command_effect_each(server_commands(call->server), entry.payload, tell_command,
                                   lines);
        return;
    }
    lines->count++;
    if (!lines->reply)
        return;
    reply_map(lines->reply, 7);
    reply_text(lines->reply, "key");
    reply_null(lines->reply);
    reply_text(lines->reply, "database");
    reply_null(lines->reply);
    reply_text(lines->reply, "command");
    reply_null(lines->reply);
    tell_facts(lines);
}

static size_t tell_items(struct server_call *call, const struct ledger_cut *cut,
                         struct reply *reply)
{
    struct lines lines = {.reply = reply};
    for (size_t i = 0; cut && i < cut->count; i++) {
        lines.item = &cut->items[i];
        tell_item(call, &lines);
    }
    return lines.count;
}

static void show(struct server_call *call, const struct ledger_cut *cut, size_t missing)
{
    reply_map(call->reply, 2);
    reply_text(call->reply, "nodes_not_asked");
    reply_integer(call->reply, (int64_t)missing);
    reply_text(call->reply, "writes");
    reply_array(call->reply, tell_items(call, cut, NULL));
    (void)tell_items(call, cut, call->reply);
}

/* ---- REPLAY ---- */

static void tell_skipped(struct reply *reply, struct slice from, size_t count)
{
    struct resp_item words[CONTROL_REPLAY_WORDS];
    reply_text(reply, "skipped_keys");
    reply_array(reply, count);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < CONTROL_REPLAY_WORDS; k++)
            if (resp_item_take(&from, &words[k]))
                return; /* cannot be: it was counted */
        reply_map(reply, 4);
        reply_text(reply, "key");
        if (words[0].type == '_')
            reply_null(reply);
        else
            reply_bulk(reply, words[0].bytes);
        reply_text(reply, "database");
        if (words[1].integer < 0)
            reply_null(reply);
        else
            reply_integer(reply, words[1].integer);
        reply_text(reply, "index");
        reply_integer(reply, words[2].integer);
        reply_text(reply, "why");
        reply_text(reply, control_skip_word(words[3].integer));
    }
}

/* False: there was nothing to replay. */
static bool tell_replay(struct reply *reply, struct slice id, struct slice answer)
{
    static const char *const names[CONTROL_REPLAY_NUMBERS] = {
        "replayed", "replayed_before", "not_acknowledged", "skipped", "nodes_not_asked", "writes"};
    struct slice from = answer;
    struct resp_item all, numbers[CONTROL_REPLAY_NUMBERS];
    if (resp_item_take(&from, &all) || all.type != '*') {
        reply_error(reply, "%.*s", (int)all.bytes.size, (const char *)all.bytes.at);
        return true;
    }
    for (size_t i = 0; i < CONTROL_REPLAY_NUMBERS; i++)
        if (resp_item_take(&from, &numbers[i]))
            return false;
    if (!numbers[CONTROL_REPLAY_NUMBERS - 1].integer)
        return false;
    reply_map(reply, CONTROL_REPLAY_NUMBERS + 2);
    reply_text(reply, "id");
    reply_bulk(reply, id);
    for (size_t i = 0; i < CONTROL_REPLAY_NUMBERS; i++) {
        reply_text(reply, names[i]);
        reply_integer(reply, numbers[i].integer);
    }
    tell_skipped(reply, from,
                 (size_t)(all.integer - CONTROL_REPLAY_NUMBERS) / CONTROL_REPLAY_WORDS);
    return true;
}

static void replay(struct server_call *call, struct group_id group, uint64_t term)
{
    const struct admin *admin = call->owner;
    bool overwrites = call->count == 4;
    struct buffer answer;
    const struct control_partition *partition =
        catalogue_find_group(control_catalogue(admin->control), group);
    if (partition && partition->dropped) {
        reply_error(call->reply, "ERR partition %llu was dropped with its keyspace",
                    (unsigned long long)group.value);
        return;
    }
    if (!partition) {
        call->pass = true; /* a record of it cannot be either, and `system` says so */
        return;
    }
    buffer_init(&answer, 256u << 20);
    call->later = control_replay(admin->control, group, term, overwrites, &answer) != 0;
    call->works = call->later;
    if (!call->later)
        call->pass = !tell_replay(call->reply, call->arguments[2], slice_of_buffer(&answer));
    buffer_deinit(&answer);
}

/* ---- the verb ---- */

/* What a node that cannot be asked has kept is listed again when it is back. `system` notes the
 * rest, and knows whether there is such a record at all. */
static void show_or_discard(struct server_call *call, struct group_id group, uint64_t term,
                            bool discards)
{
    const struct admin *admin = call->owner;
    const struct ledger_cut *cut = NULL;
    size_t missing = 0;
    call->later = control_gather(admin->control, group, term, discards, &cut, &missing) != 0;
    call->pass = !call->later && (discards || !cut || !cut->count);
    if (!call->later && !call->pass)
        show(call, cut, missing);
}

void admin_serve_loss(struct server_call *call)
{
    struct slice word = call->arguments[1];
    bool discards = slice_is_word(word, "DISCARD"), replays = slice_is_word(word, "REPLAY");
    bool is_whole = call->count == 3 ||
                    (replays && call->count == 4 && slice_is_word(call->arguments[3], "OVERWRITE"));
    struct group_id group;
    uint64_t term;
    if ((!slice_is_word(word, "SHOW") && !discards && !replays) || !is_whole) {
        call->pass = true;
        return;
    }
    if (!node_is_started(call->node)) {
        reply_error(call->reply, "TRYAGAIN this node waits for the nodes named by --join");
        return;
    }
    if (!read_id(call->arguments[2], &group, &term))
        reply_error(call->reply, "ERR an id is PARTITION-TERM, as LOSS LIST shows it");
    else if (replays)
        replay(call, group, term);
    else
        show_or_discard(call, group, term, discards);
}

void admin_serve_ledger(struct server_call *call)
{
    const struct admin *admin = call->owner;
    control_serve_ledger(admin->control, call->arguments, call->count, call->reply);
}
