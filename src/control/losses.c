/* losses.c - the records of losses, put together from what nodes have told `system` (loss.c), and
 * LOSS LIST there. */
#include "control/inside.h"

#include "base/memory.h"

#include <jansson.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- one line of the list ---- */

struct loss {
    struct group_id group;
    uint64_t term;
    int64_t begun_us;
    uint64_t previous, by, next_term; /* of the opening; 0: not known */
    bool opened, discarded;
    bool returned, restarted, may_lack; /* the previous leader's node */
    uint64_t undecided; /* a node that cannot tell yet what is lost of what it has; 0: none */
    bool has_counts;
    uint64_t acknowledged, not,
        possibly; /* of the previous leader's node, else the most of a node */
    uint64_t counted_by;
    uint64_t awaited;                 /* a node that has to be heard of; 0: none */
    uint64_t first, last;             /* indexes of what nodes have */
    uint64_t nodes[RAFT_MEMBERS_MAX]; /* that have entries */
    size_t node_count;
    bool was_kept;     /* some node had entries, discarded by now or not */
    bool was_replayed; /* what was listed then, `writes` of them */
    uint64_t replayed, skipped, writes;
};

/* A node is back, with a log that ended in `term`; all of it is decided since `decided`. */
struct came_back {
    struct group_id group;
    uint64_t term, node, decided;
    bool restarted, may_lack;
};

struct losses {
    struct loss *at;
    size_t count, capacity;
    struct came_back *back;
    size_t back_count, back_capacity;
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
    uint64_t node = number_of(root, "node"), first = number_of(root, "first");
    loss->was_kept = true;
    if (flag_of(root, "discarded"))
        return;
    if (first && (!loss->first || first < loss->first))
        loss->first = first;
    if (number_of(root, "last") > loss->last)
        loss->last = number_of(root, "last");
    if (loss->node_count < RAFT_MEMBERS_MAX)
        loss->nodes[loss->node_count++] = node;
    if (flag_of(root, "undecided"))
        loss->undecided = node;
    if (flag_of(root, "undecided") || !(acknowledged + possibly + number_of(root, "not")))
        return; /* all of it is restored, or may be (LEDGER-4) */
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

static void add_return(struct losses *losses, struct group_id group, uint64_t term,
                       const json_t *root)
{
    if (losses->back_count == losses->back_capacity) {
        losses->back_capacity = losses->back_capacity ? 2 * losses->back_capacity : 16;
        losses->back = memory_resize(losses->back, losses->back_capacity * sizeof *losses->back);
    }
    losses->back[losses->back_count++] = (struct came_back){.group = group,
                                                            .term = term,
                                                            .node = number_of(root, "node"),
                                                            .decided = number_of(root, "term"),
                                                            .restarted = flag_of(root, "restarted"),
                                                            .may_lack = flag_of(root, "may_lack")};
}

/* LEDGER-5: whoever led next may have died before anybody heard of it. */
static void open_by_return(struct losses *losses, struct group_id group, uint64_t term,
                           const struct control_reported *reported, const json_t *root)
{
    if (!flag_of(root, "led"))
        return;
    struct loss *loss = loss_of(losses, group, term, reported->at_us);
    loss->opened = true;
    if (!loss->previous)
        loss->previous = number_of(root, "node");
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
    if (number_of(root, "node"))
        loss->previous = number_of(root, "node");
    loss->by = number_of(root, "by");
    loss->next_term = number_of(root, "term");
}

/* `pass` 0: what says who led, whose counts count then; 1: the rest. */
static void add_record(struct losses *losses, const struct control_reported *reported, int pass)
{
    unsigned long long group = 0, term = 0, node = 0;
    char key[CONTROL_REPORT_KEY_SIZE], kind = 0;
    snprintf(key, sizeof key, "%.*s", (int)reported->key.size, (const char *)reported->key.at);
    int found = sscanf(key, "loss:%llu-%llu-%c%llu", &group, &term, &kind, &node);
    json_t *root = json_loadb((const char *)reported->text.at, reported->text.size, 0, NULL);
    if (found >= 2 && root && kind == 'r') {
        if (pass == 0)
            open_by_return(losses, (struct group_id){group}, term, reported, root);
        else
            add_return(losses, (struct group_id){group}, term, root);
    } else if (found >= 2 && root && (found == 2 || kind == 's') == (pass == 0)) {
        struct loss *loss = loss_of(losses, (struct group_id){group}, term, reported->at_us);
        if (found == 2)
            add_opening(loss, root);
        else if (kind == 'n')
            add_counts(loss, root);
        else if (kind == 's' && !loss->previous)
            loss->previous = number_of(root, "node");
        else if (kind == 'p')
            add_replay(loss, root);
        loss->discarded |= kind == 'd';
    }
    json_decref(root);
}

/* Whoever led is among the voters. When each of them is back, and what it had of that term or of
 * those before is decided, the term has no entry left that nobody knows of. */
static const struct came_back *find_back(const struct losses *losses, const struct loss *loss,
                                         uint64_t node)
{
    for (size_t i = losses->back_count; i-- > 0;) {
        const struct came_back *back = &losses->back[i];
        bool covers = loss->previous ? back->term == loss->term
                                     : back->term <= loss->term && back->decided > loss->term;
        if (group_id_equal(back->group, loss->group) && back->node == node && covers)
            return back;
    }
    return NULL;
}

static void wait_for(const struct losses *losses, struct loss *loss, uint64_t node)
{
    const struct came_back *back = find_back(losses, loss, node);
    if (!back && !loss->awaited)
        loss->awaited = node;
    loss->returned &= back != NULL;
    loss->restarted |= back && back->restarted;
    loss->may_lack |= back && back->may_lack;
}

static void judge(const struct losses *losses, const struct control_catalogue *catalogue,
                  struct loss *loss)
{
    const struct control_partition *partition = catalogue_find_group(catalogue, loss->group);
    const struct raft_configuration *voters = partition ? partition_wanted(partition) : NULL;
    loss->returned = true;
    if (loss->previous) {
        wait_for(losses, loss, loss->previous);
        return;
    }
    for (size_t i = 0; voters && i < voters->member_count; i++)
        if (voters->members[i].kind == RAFT_VOTER)
            wait_for(losses, loss, voters->members[i].node.value);
    if (voters && voters->member_count)
        return;
    /* As it was born, which the formation says: those nodes and perhaps some more. */
    for (size_t i = 0; i < catalogue->node_count; i++)
        if (catalogue->members[i].duty != CONTROL_DUTY_REMOVED)
            wait_for(losses, loss, catalogue->members[i].member.id.value);
}

static bool is_known(const struct loss *loss)
{
    return loss->opened && loss->returned && !loss->may_lack && !loss->undecided;
}

/* Closed and empty: nothing was lost. Discarded, and no node has anything of it. */
static bool is_shown(const struct loss *loss)
{
    if (loss->has_counts || loss->undecided)
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

static void read_losses(struct store *store, const struct control_catalogue *catalogue,
                        struct losses *losses)
{
    struct control_reported *reported;
    size_t count = control_reported(store, "loss:", &reported);
    *losses = (struct losses){0};
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++)
            add_record(losses, &reported[i], pass);
    memory_free(reported);
    for (size_t i = 0; i < losses->count; i++)
        judge(losses, catalogue, &losses->at[i]);
}

static void forget_losses(struct losses *losses)
{
    memory_free(losses->at);
    memory_free(losses->back);
}

size_t loss_count_open(struct store *store, const struct control_catalogue *catalogue,
                       uint64_t keyspace)
{
    struct losses losses;
    size_t open = 0;
    read_losses(store, catalogue, &losses);
    for (size_t i = 0; i < losses.count; i++) {
        const struct control_partition *partition =
            catalogue_find_group(catalogue, losses.at[i].group);
        open += partition && partition->keyspace == keyspace && is_shown(&losses.at[i]) &&
                !is_replayed(&losses.at[i]);
    }
    forget_losses(&losses);
    return open;
}

size_t control_losses_open(const struct control *control)
{
    struct replica *replica = node_group(control->node, GROUP_SYSTEM);
    struct losses losses;
    size_t open = 0;
    if (!replica)
        return 0;
    read_losses(replica_store(replica), &control->catalogue, &losses);
    for (size_t i = 0; i < losses.count; i++)
        open += is_shown(&losses.at[i]) && !is_replayed(&losses.at[i]);
    forget_losses(&losses);
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

enum state {
    STATE_UNKNOWN,
    STATE_POSSIBLY,
    STATE_EXACT,
    STATE_REPLAYED
};

static enum state state_of(const struct loss *loss)
{
    bool known = is_known(loss);
    return is_replayed(loss)          ? STATE_REPLAYED
           : known && loss->restarted ? STATE_POSSIBLY
           : known                    ? STATE_EXACT
                                      : STATE_UNKNOWN;
}

static void tell_why(struct reply *reply, const struct loss *loss)
{
    unsigned long long node = loss->undecided ? loss->undecided
                              : loss->awaited ? loss->awaited
                                              : loss->previous;
    char text[CONTROL_LINE_SIZE];
    const char *format = "node %llu, which led, is back and knows what it had answered";
    if (state_of(loss) == STATE_REPLAYED)
        format = "all that was kept of it was proposed again";
    else if (state_of(loss) == STATE_POSSIBLY)
        format = loss->previous
                     ? "node %llu, which led, was restarted: nobody knows what it had answered"
                     : "all voters were restarted: nobody knows what was answered";
    else if (loss->undecided)
        format = "node %llu does not know yet what its group has of what it set aside";
    else if (!loss->opened)
        format = "no later leader has said yet whom it followed";
    else if (!loss->returned)
        format = loss->previous
                     ? "node %llu, which led, has not come back since"
                     : "nobody knows which node led, and node %llu has not said what it had";
    else if (loss->may_lack)
        format = loss->previous ? "the machine of node %llu, which led, went down, or its disk "
                                  "failed: its log may lack the end"
                                : "machines went down, or disks failed: the log of the one that "
                                  "led may lack the end";
    snprintf(text, sizeof text, format, node);
    reply_text(reply, "why");
    reply_text(reply, text);
}

static void tell(struct reply *reply, const struct control_catalogue *catalogue,
                 const struct loss *loss)
{
    static const char *const states[] = {"unknown", "possibly", "exact", "replayed"};
    const struct control_keyspace *keyspace = catalogue_find_keyspace(catalogue, loss->group);
    bool known = is_known(loss);
    char id[48];
    snprintf(id, sizeof id, "%llu-%llu", (unsigned long long)loss->group.value,
             (unsigned long long)loss->term);
    reply_map(reply, 18);
    reply_text(reply, "id");
    reply_text(reply, id);
    reply_text(reply, "keyspace");
    reply_text(reply, keyspace ? keyspace->name : "");
    pair_number(reply, "partition", loss->group.value, true);
    pair_number(reply, "begun_ms", (uint64_t)loss->begun_us / 1000, true);
    pair_number(reply, "previous_leader", loss->previous, loss->previous != 0);
    pair_number(reply, "leader", loss->by, loss->by != 0);
    pair_number(reply, "term", loss->term, true);
    pair_number(reply, "next_term", loss->next_term, loss->next_term != 0);
    pair_number(reply, "first_index", loss->first, loss->first != 0);
    pair_number(reply, "last_index", loss->last, loss->last != 0);
    reply_text(reply, "state");
    reply_text(reply, states[state_of(loss)]);
    /* Never 0 for what nobody knows (R10): then "at least", or null. */
    pair_number(reply, "acknowledged", loss->acknowledged, loss->has_counts || known);
    pair_number(reply, "not_acknowledged", loss->not, loss->has_counts || known);
    pair_number(reply, "possibly", loss->possibly, loss->has_counts || known);
    tell_why(reply, loss);
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
    read_losses(call->store, catalogue, &losses);
    for (size_t i = 0; i < losses.count; i++)
        shown += is_shown(&losses.at[i]) && is_of(catalogue, &losses.at[i], keyspace);
    reply_array(call->reply, shown);
    for (size_t i = 0; i < losses.count; i++)
        if (is_shown(&losses.at[i]) && is_of(catalogue, &losses.at[i], keyspace))
            tell(call->reply, catalogue, &losses.at[i]);
    forget_losses(&losses);
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

static void execute_one(struct command_call *call, const struct control_catalogue *catalogue)
{
    struct losses losses;
    const struct loss *found = NULL;
    size_t shown = 0;
    char id[48], wanted[48];
    read_losses(call->store, catalogue, &losses);
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
    forget_losses(&losses);
}

static void execute_list(struct command_call *call, const struct control_catalogue *catalogue)
{
    const struct control_keyspace *keyspace =
        call->count == 3 ? catalogue_find_name(catalogue, call->arguments[2]) : NULL;
    if (call->count == 3 && !keyspace)
        fail(call, "ERR there is no such keyspace: KEYSPACE LIST shows all");
    else
        tell_list(call, catalogue, keyspace);
}

void control_execute_loss(struct command_call *call)
{
    struct slice word = call->arguments[1];
    struct control_catalogue catalogue;
    bool names_one =
        call->count == 3 && (slice_is_word(word, "SHOW") || slice_is_word(word, "DISCARD"));
    names_one |=
        slice_is_word(word, "REPLAY") &&
        (call->count == 3 || (call->count == 4 && slice_is_word(call->arguments[3], "OVERWRITE")));
    catalogue_init(&catalogue);
    catalogue_read_store(&catalogue, call->store);
    if (names_one)
        execute_one(call, &catalogue);
    else if (slice_is_word(word, "LIST") && call->count <= 3)
        execute_list(call, &catalogue);
    else
        fail(call, "ERR LOSS knows LIST [keyspace], SHOW id, REPLAY id [OVERWRITE] and DISCARD id");
    catalogue_deinit(&catalogue);
}
