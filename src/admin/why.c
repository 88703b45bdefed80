/* WHY: what stands in the way of a keyspace, a partition, a replica, a node (ADMIN-3). Any node is
 * asked, and asks all workers of all nodes what they know; of each group its leader's word counts,
 * and each replica's own of itself. Where no leader answers, this node says so, and who is missing.
 *
 *     WHY KEYSPACE name, KEYSPACE WHY name ... -> the catalogue is confirmed -> WHY FACTS, to all
 * -> one list, judged group by group -> lines */
#include "admin/inside.h"

#include "base/memory.h"

#include <stdio.h>

#define TOLD_MAX 200 /* findings in an answer; the others are counted */
#define TEXT_MAX (1u << 20)

/* ---- what is asked for ---- */

static bool take_id(struct slice word, uint64_t least, uint64_t *out)
{
    int64_t id;
    if (slice_to_i64(word, &id) || id < 0 || (uint64_t)id < least)
        return false;
    *out = (uint64_t)id;
    return true;
}

/* A replica is PARTITION/REPLICA. */
static bool take_replica(struct slice word, struct admin_target *out)
{
    const uint8_t *slash = word.size ? memchr(word.at, '/', word.size) : NULL;
    size_t size = slash ? (size_t)(slash - word.at) : 0;
    return slash && take_id(slice_of(word.at, size), 0, &out->scope.id) &&
           take_id(slice_of(slash + 1, word.size - size - 1), 1, &out->replica.value);
}

/* The first two are what they are before the catalogue is known. */
static bool take_keyspace(const struct control_catalogue *catalogue, struct slice word,
                          struct admin_target *out)
{
    const struct control_keyspace *keyspace = catalogue_find_name(catalogue, word);
    out->scope.id = keyspace ? keyspace->id : KEYSPACE_DEFAULT;
    if (slice_is_word(word, "system"))
        out->scope.id = KEYSPACE_SYSTEM;
    return keyspace || slice_is_word(word, "system") || slice_is_word(word, "default");
}

static void refuse(struct server_call *call, struct slice word, const char *says)
{
    reply_error(call->reply, "ERR '%.*s': %s", (int)(word.size < 64 ? word.size : 64),
                (const char *)word.at, says);
}

static bool is_partition(const struct server_call *call, uint64_t id)
{
    const struct admin *admin = call->owner;
    const struct control_partition *partition =
        catalogue_find_group(control_catalogue(admin->control), (struct group_id){id});
    return partition ? !partition->dropped : node_group(call->node, (struct group_id){id}) != NULL;
}

/* False: the error was replied. */
static bool read_target(struct server_call *call, struct slice kind, struct slice word,
                        struct admin_target *out)
{
    const struct admin *admin = call->owner;
    const struct control_catalogue *catalogue = control_catalogue(admin->control);
    *out = (struct admin_target){.scope.kind = ADMIN_SCOPE_PARTITION};
    const char *says = NULL;
    if (slice_is_word(kind, "KEYSPACE")) {
        out->scope.kind = ADMIN_SCOPE_KEYSPACE;
        if (!take_keyspace(catalogue, word, out))
            says = "there is no such keyspace; KEYSPACE LIST shows all";
    } else if (slice_is_word(kind, "NODE")) {
        out->scope.kind = ADMIN_SCOPE_NODE;
        if (!take_id(word, 1, &out->scope.id) ||
            !node_member(call->node, (struct node_id){out->scope.id}))
            says = "there is no such node; holdfast status lists them";
    } else if (slice_is_word(kind, "REPLICA")) {
        if (!take_replica(word, out))
            says = "a replica is PARTITION/REPLICA, as 2/1";
    } else if (!slice_is_word(kind, "PARTITION")) {
        refuse(call, kind, "WHY takes KEYSPACE name, NODE id, PARTITION id or REPLICA p/r");
        return false;
    } else if (!take_id(word, 0, &out->scope.id)) {
        says = "a partition is named by its number";
    }
    if (!says && out->scope.kind == ADMIN_SCOPE_PARTITION && !is_partition(call, out->scope.id))
        says = "there is no such partition; KEYSPACE INFO name shows those of a keyspace";
    if (says && !catalogue->keyspace_count)
        reply_error(call->reply, "TRYAGAIN this node does not know the cluster's records yet: the "
                                 "leader of keyspace system does not answer");
    else if (says)
        refuse(call, word, says);
    return !says;
}

/* ---- telling ---- */

static const char *keyspace_of(const struct admin_inquiry *inquiry, struct group_id group)
{
    const struct control_partition *partition = catalogue_find_group(inquiry->catalogue, group);
    const struct control_keyspace *keyspace =
        partition ? catalogue_find_id(inquiry->catalogue, partition->keyspace) : NULL;
    return keyspace                               ? keyspace->name
           : group_id_equal(group, GROUP_SYSTEM)  ? "system"
           : group_id_equal(group, GROUP_DEFAULT) ? "default"
                                                  : "?";
}

static void print_line(const struct admin_inquiry *inquiry, const struct cluster_finding *finding,
                       struct buffer *out)
{
    const struct node_member *peer =
        finding->peer.value ? node_member(inquiry->admin->node, finding->peer) : NULL;
    cluster_why_tell(finding, keyspace_of(inquiry, finding->group),
                     peer ? peer->client_address : "", out);
}

static void print_well(const struct admin_inquiry *inquiry, struct buffer *out)
{
    char since[CLUSTER_TIME_SIZE];
    const struct admin_target *target = &inquiry->target;
    bool is_replica = target->replica.value, one = inquiry->groups == 1;
    if (!inquiry->groups) {
        buffer_print(out, "nothing: it carries no replica\n");
        return;
    }
    if (is_replica)
        buffer_print(out, "nothing: it is ready");
    else if (target->scope.kind == ADMIN_SCOPE_NODE)
        buffer_print(out, "nothing: its %zu replica%s ready", inquiry->groups,
                     one ? " is" : "s are");
    else
        buffer_print(out, "nothing: every copy of its %zu partition%s is ready", inquiry->groups,
                     one ? "" : "s");
    if (inquiry->is_known && inquiry->since_ms) {
        cluster_time_text(inquiry->since_ms, since);
        buffer_print(out, " since %s", since);
    } else {
        buffer_print(out, " (since when is not known)");
    }
    if (is_replica)
        buffer_print(out, " and votes; node %llu leads", (unsigned long long)inquiry->leader.value);
    buffer_print(out, "\n");
}

static void tell_finding(const struct admin_inquiry *inquiry, const struct cluster_finding *finding,
                         struct reply *reply)
{
    struct buffer line;
    const uint64_t ids[] = {finding->replica.value, finding->node.value, finding->peer.value};
    static const char *const names[] = {"replica", "node", "peer"};
    bool has_group = !admin_is_of_node(finding->rule) && finding->rule != CLUSTER_WHY_UNCONFIRMED;
    buffer_init(&line, 4096);
    print_line(inquiry, finding, &line);
    reply_map(reply, 7);
    reply_text(reply, "rule");
    reply_text(reply, cluster_why_word(finding->rule));
    reply_text(reply, "partition");
    if (has_group)
        reply_integer(reply, (int64_t)finding->group.value);
    else
        reply_null(reply);
    for (size_t i = 0; i < 3; i++) {
        reply_text(reply, names[i]);
        if (ids[i])
            reply_integer(reply, (int64_t)ids[i]);
        else
            reply_null(reply);
    }
    reply_text(reply, "since_ms");
    if (finding->since_ms)
        reply_integer(reply, finding->since_ms);
    else
        reply_null(reply); /* ADMIN-2 */
    reply_text(reply, "text");
    reply_bulk(reply, slice_of_buffer(&line));
    buffer_deinit(&line);
}

static void tell_text(const struct admin_inquiry *inquiry, size_t shown, struct reply *reply)
{
    struct buffer text;
    buffer_init(&text, TEXT_MAX);
    for (size_t i = 0; i < shown; i++) {
        print_line(inquiry, &inquiry->out.list[i], &text);
        buffer_print(&text, "\n");
    }
    if (shown < inquiry->out.count)
        buffer_print(&text, "and %zu more\n", inquiry->out.count - shown);
    if (!inquiry->out.count)
        print_well(inquiry, &text);
    reply_text(reply, "text");
    reply_bulk(reply, slice_of_buffer(&text));
    buffer_deinit(&text);
}

static void tell_ids(const char *name, const struct node_id *ids, size_t count, struct reply *reply)
{
    reply_text(reply, name);
    reply_array(reply, count);
    for (size_t i = 0; i < count; i++)
        reply_integer(reply, (int64_t)ids[i].value);
}

static void tell(const struct admin_inquiry *inquiry, struct reply *reply)
{
    size_t count = inquiry->out.count, shown = count < TOLD_MAX ? count : TOLD_MAX;
    bool is_since = !count && inquiry->is_known && inquiry->since_ms;
    reply_map(reply, 6);
    tell_ids("asked", inquiry->asked, inquiry->asked_count, reply);
    tell_ids("not_asked", inquiry->not_asked, inquiry->not_asked_count, reply);
    reply_text(reply, "ready_since_ms");
    if (is_since)
        reply_integer(reply, inquiry->since_ms);
    else
        reply_null(reply);
    reply_text(reply, "left_out");
    reply_integer(reply, (int64_t)(count - shown));
    reply_text(reply, "findings");
    reply_array(reply, shown);
    for (size_t i = 0; i < shown; i++)
        tell_finding(inquiry, &inquiry->out.list[i], reply);
    tell_text(inquiry, shown, reply);
}

static void inquire(struct server_call *call, const struct admin_target *target, bool is_sure,
                    const struct control_answer *answers, size_t count)
{
    struct admin *admin = call->owner;
    struct admin_inquiry inquiry = {
        .admin = admin, .catalogue = control_catalogue(admin->control), .target = *target};
    admin_inquire(&inquiry, answers, count);
    if (admin_is_nobody(&inquiry)) {
        reply_error(call->reply,
                    "ERR partition %llu has no replica %llu: holdfast status --json lists those "
                    "that it has",
                    (unsigned long long)target->scope.id,
                    (unsigned long long)target->replica.value);
    } else {
        admin_judge(&inquiry, is_sure);
        tell(&inquiry, call->reply);
    }
    admin_inquiry_deinit(&inquiry);
}

/* ---- the verbs ---- */

static const char *const scope_words[] = {"KEYSPACE", "PARTITION", "NODE"};

static void serve(struct server_call *call, struct slice kind, struct slice word)
{
    struct admin *admin = call->owner;
    const struct control_answer *answers;
    struct admin_target target;
    char id[24];
    size_t count;
    bool is_sure;
    if (!node_is_started(call->node)) {
        reply_error(call->reply, "TRYAGAIN this node waits for the nodes named by --join");
        return;
    }
    if (!admin_confirm(call, &is_sure))
        return;
    if (!read_target(call, kind, word, &target)) {
        admin_confirm_end(call);
        return; /* the error was replied */
    }
    struct slice words[] = {slice_of_text("WHY"), slice_of_text("FACTS"),
                            slice_of_text(scope_words[target.scope.kind]),
                            slice_of(id, text_of_i64((int64_t)target.scope.id, id))};
    call->later = call->works = control_survey(admin->control, words, 4, &answers, &count) != 0;
    if (call->later)
        return;
    admin_confirm_end(call);
    inquire(call, &target, is_sure, answers, count);
}

/* What another node asks of this worker: answered at once. */
static void serve_facts(struct server_call *call)
{
    struct admin *admin = call->owner;
    struct admin_findings findings = {0};
    struct admin_scope scope = {ADMIN_SCOPE_KEYSPACE, 0};
    size_t i = 0;
    while (i < 3 && !slice_is_word(call->arguments[2], scope_words[i]))
        i++;
    if (i == 3 || !take_id(call->arguments[3], 0, &scope.id)) {
        reply_error(call->reply, "ERR WHY FACTS takes KEYSPACE, PARTITION or NODE, and its number");
        return;
    }
    if (!node_is_started(call->node)) {
        reply_error(call->reply, "TRYAGAIN this worker has not begun");
        return;
    }
    scope.kind = (enum admin_scope_kind)i;
    admin_find(admin, &scope, &findings);
    admin_tell_findings(&findings, call->reply);
    memory_free(findings.list);
}

void admin_serve_why(struct server_call *call)
{
    if (call->count == 4 && slice_is_word(call->arguments[1], "FACTS"))
        serve_facts(call);
    else if (call->count == 3)
        serve(call, call->arguments[1], call->arguments[2]);
    else
        reply_error(call->reply,
                    "ERR WHY takes KEYSPACE name, NODE id, PARTITION id or REPLICA p/r");
}

bool admin_serves_why(struct server_call *call)
{
    if (!slice_is_word(call->arguments[1], "WHY"))
        return false;
    if (call->count == 3)
        serve(call, call->arguments[0], call->arguments[2]);
    else
        reply_error(call->reply, "ERR wrong number of arguments: %s WHY takes one",
                    call->command->name);
    return true;
}

void admin_pass_but_why(struct server_call *call)
{
    call->pass = !admin_serves_why(call);
}
