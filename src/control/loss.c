/* loss.c - what nodes tell `system` of losses (R10), and LOSS LIST, which reads it.
 *
 * Records, under keys that each have one writer:
 *   loss:GROUP-TERM         a leader was elected after that of TERM, under FAILOVER available:
 * until that one's node is back, nobody knows what it had answered loss:GROUP-TERM-nNODE   what
 * NODE has set aside of TERM loss:GROUP-TERM-rNODE   NODE is back, and all that it had of TERM is
 * decided loss:GROUP-TERM-p       proposed again by an operator loss:GROUP-TERM-d       discarded
 * by one */
#include "control/inside.h"

#include "base/memory.h"
#include "replica/ledger/ledger.h"

#include <jansson.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- reporting ---- */

static bool report(struct control *control, const char *key, json_t *root)
{
    char text[CONTROL_REPORT_TEXT_MAX];
    size_t size = json_dumpb(root, text, sizeof text, JSON_COMPACT);
    json_decref(root);
    return size > 0 && size < sizeof text && control_report(control, key, slice_of(text, size));
}

static bool is_available(const struct control *control, struct group_id group)
{
    const struct control_partition *partition = catalogue_find_group(&control->catalogue, group);
    const struct control_keyspace *keyspace =
        partition ? catalogue_find_id(&control->catalogue, partition->keyspace) : NULL;
    return keyspace && keyspace->contract.failover == CLUSTER_FAILOVER_AVAILABLE;
}

static void key_of(char key[CONTROL_REPORT_KEY_SIZE], struct group_id group, uint64_t term,
                   const char *kind, uint64_t node)
{
    int size = snprintf(key, CONTROL_REPORT_KEY_SIZE, "loss:%llu-%llu",
                        (unsigned long long)group.value, (unsigned long long)term);
    if (kind[0])
        snprintf(key + size, CONTROL_REPORT_KEY_SIZE - (size_t)size, "-%s%llu", kind,
                 (unsigned long long)node);
}

static bool report_note(struct control *control, const struct ledger_note *note)
{
    char key[CONTROL_REPORT_KEY_SIZE];
    uint64_t self = node_formation(control->node)->self.value;
    if (!is_available(control, note->group))
        return true; /* nothing is answered there before its commit */
    if (note->kind == LEDGER_LED) {
        key_of(key, note->group, note->old_term, "", 0);
        return report(control, key,
                      json_pack("{s:i,s:I,s:I,s:I}", "version", 1, "node",
                                (json_int_t)note->node.value, "by", (json_int_t)self, "term",
                                (json_int_t)note->term));
    }
    key_of(key, note->group, note->old_term, "r", self);
    return report(control, key,
                  json_pack("{s:i,s:I,s:b,s:b}", "version", 1, "node", (json_int_t)self,
                            "restarted", (int)note->restarted, "may_lack", (int)note->may_lack));
}

static bool report_cut(struct control *control, const struct ledger_cut *cut)
{
    char key[CONTROL_REPORT_KEY_SIZE];
    uint64_t self = node_formation(control->node)->self.value;
    key_of(key, cut->group, cut->term, "n", self);
    return report(control, key,
                  json_pack("{s:i,s:I,s:I,s:I,s:I,s:b}", "version", 1, "node", (json_int_t)self,
                            "acknowledged", (json_int_t)ledger_verdicts(cut, LEDGER_ACKNOWLEDGED),
                            "not", (json_int_t)ledger_verdicts(cut, LEDGER_NOT), "possibly",
                            (json_int_t)ledger_verdicts(cut, LEDGER_POSSIBLY), "discarded",
                            (int)cut->discarded));
}

/* What cannot be reported now, for want of room, is at a later tick. */
void loss_tick(struct control *control)
{
    struct ledger *ledger = node_ledger(control->node);
    const struct ledger_note *note;
    const struct ledger_cut *cut;
    if (!control->has_catalogue)
        return;
    while ((note = ledger_first_note(ledger)) != NULL && report_note(control, note))
        ledger_drop_note(ledger);
    while ((cut = ledger_unreported(ledger)) != NULL && report_cut(control, cut))
        ledger_set_reported(ledger, cut->group, cut->term);
}

/* ---- one line of the list ---- */

struct loss {
    struct group_id group;
    uint64_t term;
    int64_t begun_us;
    uint64_t previous, by, next_term; /* of the opening; 0: not known */
    bool opened, discarded;
    bool returned, restarted, may_lack; /* the previous leader's node */
    bool has_counts;
    uint64_t acknowledged, not,
        possibly; /* of the previous leader's node, else the most of a node */
    uint64_t counted_by;
    uint64_t returned_nodes[RAFT_MEMBERS_MAX];
    bool returned_restarted[RAFT_MEMBERS_MAX], returned_may_lack[RAFT_MEMBERS_MAX];
    size_t returned_count;
    uint64_t nodes[RAFT_MEMBERS_MAX]; /* that have entries */
    size_t node_count;
    bool was_kept;     /* some node had entries, discarded by now or not */
    bool was_replayed; /* what was listed then, `writes` of them */
    uint64_t replayed, skipped, writes;
};

struct losses {
    struct loss *at;
    size_t count, capacity;
};

static struct loss *loss_of(struct losses *losses, struct group_id group, uint64_t term,
                            int64_t at_us)
{
    for (size_t i = losses->count; i-- > 0;)
        if (group_id_equal(losses->at[i].group, group) && losses->at[i].term == term)
            return &losses->at[i];
    if (losses->count == losses->capacity) {
        losses->capacity = losses->capacity ? 2 * losses->capacity : 16;
        losses->at = memory_resize(losses->at, losses->capacity * sizeof *losses->at);
    }
    struct loss *loss = &losses->at[losses->count++];
    *loss = (struct loss){.group = group, .term = term, .begun_us = at_us};
    return loss;
}

static uint64_t number_of(const json_t *root, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(root, name));
}

static bool flag_of(const json_t *root, const char *name)
{
    return json_is_true(json_object_get(root, name));
}

/* What one node kept says at least so much; two nodes may have kept the same entries. */
static void add_counts(struct loss *loss, const json_t *root)
{
    uint64_t acknowledged = number_of(root, "acknowledged"), possibly = number_of(root, "possibly");
    uint64_t node = number_of(root, "node");
    loss->was_kept = true;
    if (flag_of(root, "discarded"))
        return;
    if (loss->node_count < RAFT_MEMBERS_MAX)
        loss->nodes[loss->node_count++] = node;
    bool better = !loss->has_counts || node == loss->previous ||
                  (loss->counted_by != loss->previous &&
                   acknowledged + possibly > loss->acknowledged + loss->possibly);
    loss->has_counts = true;
    if (!better)
        return;
    loss->counted_by = node;
    loss->acknowledged = acknowledged;
    loss->not = number_of(root, "not");
    loss->possibly = possibly;
}

static void add_return(struct loss *loss, const json_t *root)
{
    size_t at = loss->returned_count;
    if (at == RAFT_MEMBERS_MAX)
        return;
    loss->returned_nodes[at] = number_of(root, "node");
    loss->returned_restarted[at] = flag_of(root, "restarted");
    loss->returned_may_lack[at] = flag_of(root, "may_lack");
    loss->returned_count++;
}

static void add_replay(struct loss *loss, const json_t *root)
{
    loss->was_replayed = true;
    loss->replayed = number_of(root, "replayed");
    loss->skipped = number_of(root, "skipped");
    loss->writes = number_of(root, "writes");
}

static void add_opening(struct loss *loss, const json_t *root)
{
    loss->opened = true;
    loss->previous = number_of(root, "node");
    loss->by = number_of(root, "by");
    loss->next_term = number_of(root, "term");
}

/* `pass` 0: openings, which say whose counts count; 1: the rest. */
static void add_record(struct losses *losses, const struct control_reported *reported, int pass)
{
    unsigned long long group = 0, term = 0, node = 0;
    char key[CONTROL_REPORT_KEY_SIZE], kind = 0;
    snprintf(key, sizeof key, "%.*s", (int)reported->key.size, (const char *)reported->key.at);
    int found = sscanf(key, "loss:%llu-%llu-%c%llu", &group, &term, &kind, &node);
    json_t *root = json_loadb((const char *)reported->text.at, reported->text.size, 0, NULL);
    if (found >= 2 && root && (found == 2) == (pass == 0)) {
        struct loss *loss = loss_of(losses, (struct group_id){group}, term, reported->at_us);
        if (found == 2)
            add_opening(loss, root);
        else if (kind == 'n')
            add_counts(loss, root);
        else if (kind == 'r')
            add_return(loss, root);
        else if (kind == 'p')
            add_replay(loss, root);
        loss->discarded |= kind == 'd';
    }
    json_decref(root);
}

static void judge(struct loss *loss)
{
    for (size_t i = 0; i < loss->returned_count; i++) {
        if (loss->returned_nodes[i] != loss->previous)
            continue;
        loss->returned = true;
        loss->restarted = loss->returned_restarted[i];
        loss->may_lack = loss->returned_may_lack[i];
    }
}

static bool is_known(const struct loss *loss)
{
    return loss->opened && loss->returned && !loss->may_lack;
}

/* Closed and empty: nothing was lost. Discarded, and no node has anything of it. */
static bool is_shown(const struct loss *loss)
{
    if (loss->has_counts && loss->node_count)
        return true;
    return loss->opened && !loss->discarded && !is_known(loss);
}

/* Whoever knows an id may name it until it is settled: LOSS LIST need not show it. */
static bool is_there(const struct loss *loss)
{
    return loss->was_kept || (loss->opened && !is_known(loss));
}

/* Settled: all that the record will ever have was proposed again, or is named as skipped. */
static bool is_replayed(const struct loss *loss)
{
    return loss->was_replayed && is_known(loss) &&
           loss->writes >= loss->acknowledged + loss->not +loss->possibly;
}

static void read_losses(struct store *store, struct losses *losses)
{
    struct control_reported *reported;
    size_t count = control_reported(store, "loss:", &reported);
    *losses = (struct losses){0};
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++)
            add_record(losses, &reported[i], pass);
    memory_free(reported);
    for (size_t i = 0; i < losses->count; i++)
        judge(&losses->at[i]);
}

size_t loss_count_open(struct store *store, const struct control_catalogue *catalogue,
                       uint64_t keyspace)
{
    struct losses losses;
    size_t open = 0;
    read_losses(store, &losses);
    for (size_t i = 0; i < losses.count; i++) {
        const struct control_partition *partition =
            catalogue_find_group(catalogue, losses.at[i].group);
        open += partition && partition->keyspace == keyspace && is_shown(&losses.at[i]) &&
                !is_replayed(&losses.at[i]);
    }
    memory_free(losses.at);
    return open;
}

/* ---- LOSS LIST, on the leader of `system` ---- */

static void pair_number(struct reply *reply, const char *name, uint64_t value, bool known)
{
    reply_text(reply, name);
    if (known)
        reply_integer(reply, (int64_t)value);
    else
        reply_null(reply);
}

static void tell(struct reply *reply, const struct control_catalogue *catalogue,
                 const struct loss *loss)
{
    const struct control_partition *partition = catalogue_find_group(catalogue, loss->group);
    const struct control_keyspace *keyspace =
        partition ? catalogue_find_id(catalogue, partition->keyspace) : NULL;
    bool known = is_known(loss), exact = known && !loss->restarted;
    char id[48];
    snprintf(id, sizeof id, "%llu-%llu", (unsigned long long)loss->group.value,
             (unsigned long long)loss->term);
    reply_map(reply, 13);
    reply_text(reply, "id");
    reply_text(reply, id);
    reply_text(reply, "keyspace");
    reply_text(reply, keyspace ? keyspace->name : "");
    pair_number(reply, "partition", loss->group.value, true);
    pair_number(reply, "begun_ms", (uint64_t)loss->begun_us / 1000, true);
    pair_number(reply, "previous_leader", loss->previous, loss->previous != 0);
    pair_number(reply, "leader", loss->by, loss->by != 0);
    reply_text(reply, "state");
    reply_text(reply, is_replayed(loss) ? "replayed"
                      : exact           ? "exact"
                      : known           ? "possibly"
                                        : "unknown");
    /* Never 0 for what nobody knows (R10): then "at least", or null. */
    pair_number(reply, "acknowledged", loss->acknowledged, loss->has_counts || known);
    pair_number(reply, "not_acknowledged", loss->not, loss->has_counts || known);
    pair_number(reply, "possibly", loss->possibly, loss->has_counts || known);
    pair_number(reply, "replayed", loss->replayed, loss->was_replayed);
    pair_number(reply, "skipped", loss->skipped, loss->was_replayed);
    reply_text(reply, "nodes");
    reply_array(reply, loss->node_count);
    for (size_t i = 0; i < loss->node_count; i++)
        reply_integer(reply, (int64_t)loss->nodes[i]);
}

static bool is_of(const struct control_catalogue *catalogue, const struct loss *loss,
                  const struct control_keyspace *keyspace)
{
    const struct control_partition *partition = catalogue_find_group(catalogue, loss->group);
    return !keyspace || (partition && partition->keyspace == keyspace->id);
}

static void tell_list(struct command_call *call, const struct control_catalogue *catalogue,
                      const struct control_keyspace *keyspace)
{
    struct losses losses;
    size_t shown = 0;
    read_losses(call->store, &losses);
    for (size_t i = 0; i < losses.count; i++)
        shown += is_shown(&losses.at[i]) && is_of(catalogue, &losses.at[i], keyspace);
    reply_array(call->reply, shown);
    for (size_t i = 0; i < losses.count; i++)
        if (is_shown(&losses.at[i]) && is_of(catalogue, &losses.at[i], keyspace))
            tell(call->reply, catalogue, &losses.at[i]);
    memory_free(losses.at);
}

/* ---- one record by its id, where no node has (any more) what is in it ---- */

static void fail(struct command_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void fail(struct command_call *call, const char *format, ...)
{
    char line[CONTROL_LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    call->failed = true;
    reply_error(call->reply, "%s", line);
}

static void discard(struct command_call *call, const struct loss *loss, const char *id)
{
    char key[CONTROL_REPORT_KEY_SIZE];
    int size = snprintf(key, sizeof key, "loss:%s-d", id);
    if (loss->discarded)
        fail(call, "ERR the record %s is discarded already", id);
    else
        report_keep(call, slice_of(key, (size_t)size), slice_of_text("{\"version\":1}"));
}

static void answer_one(struct command_call *call, const struct loss *loss, const char *id)
{
    if (slice_is_word(call->arguments[1], "DISCARD")) {
        discard(call, loss, id);
    } else if (slice_is_word(call->arguments[1], "REPLAY")) {
        fail(call, "ERR no node that can be asked has a write of %s: there is nothing to replay",
             id);
    } else {
        reply_map(call->reply, 2);
        reply_text(call->reply, "nodes_not_asked");
        reply_null(call->reply);
        reply_text(call->reply, "writes");
        reply_array(call->reply, 0);
    }
}

static void execute_one(struct command_call *call)
{
    struct losses losses;
    const struct loss *found = NULL;
    size_t shown = 0;
    char id[48], wanted[48];
    read_losses(call->store, &losses);
    snprintf(wanted, sizeof wanted, "%.*s", (int)call->arguments[2].size,
             (const char *)call->arguments[2].at);
    for (size_t i = 0; i < losses.count && !found; i++) {
        shown += is_shown(&losses.at[i]);
        snprintf(id, sizeof id, "%llu-%llu", (unsigned long long)losses.at[i].group.value,
                 (unsigned long long)losses.at[i].term);
        if (strcmp(id, wanted) == 0 && is_there(&losses.at[i]))
            found = &losses.at[i];
    }
    if (found)
        answer_one(call, found, id);
    else
        fail(call, "ERR there is no record %s: LOSS LIST shows all, %zu now", wanted, shown);
    memory_free(losses.at);
}

static void execute_list(struct command_call *call)
{
    struct control_catalogue catalogue;
    const struct control_keyspace *keyspace = NULL;
    catalogue_init(&catalogue);
    catalogue_read_store(&catalogue, call->store);
    if (call->count == 3)
        keyspace = catalogue_find_name(&catalogue, call->arguments[2]);
    if (call->count == 3 && !keyspace)
        fail(call, "ERR there is no such keyspace: KEYSPACE LIST shows all");
    else
        tell_list(call, &catalogue, keyspace);
    catalogue_deinit(&catalogue);
}

void control_execute_loss(struct command_call *call)
{
    struct slice word = call->arguments[1];
    bool names_one =
        call->count == 3 && (slice_is_word(word, "SHOW") || slice_is_word(word, "DISCARD"));
    names_one |=
        slice_is_word(word, "REPLAY") &&
        (call->count == 3 || (call->count == 4 && slice_is_word(call->arguments[3], "OVERWRITE")));
    if (names_one)
        execute_one(call);
    else if (slice_is_word(word, "LIST") && call->count <= 3)
        execute_list(call);
    else
        fail(call, "ERR LOSS knows LIST [keyspace], SHOW id, REPLAY id [OVERWRITE] and DISCARD id");
}
