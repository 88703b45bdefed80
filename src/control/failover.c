/* failover.c - the flight records: what the new leader of a group saw of its failover, and what
 * each replica cut from its log for it, as reports (CONTROL-8), and FAILOVERS, which tells them.
 *
 * Records are JSON, version 1: "failover:GROUP:TERM" of the leader of that term, said when it
 * serves and again with its first write; "failover-cut:GROUP:TERM:NODE" of who cut. */
#include "control/inside.h"

#include "base/memory.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FAILOVER_AGAIN_NS (100 * 1000000ull)
#define FAILOVER_COUNT    100 /* told when nobody says how many */
#define RECORD_VERSION    1

/* ---- what this node reports ---- */

/* Milliseconds from one reading of the clock to another; null: not yet. */
static json_t *between(uint64_t from_ns, uint64_t to_ns)
{
    if (!to_ns)
        return json_null();
    return json_real((double)(int64_t)(to_ns - from_ns) / 1e6);
}

static json_t *votes_of(const struct replica_flight *flight)
{
    json_t *votes = json_array();
    for (size_t i = 0; i < flight->vote_count; i++) {
        const struct replica_flight_vote *vote = &flight->votes[i];
        json_array_append_new(
            votes,
            json_pack("{s:I,s:b,s:I,s:I,s:o}", "node", (json_int_t)vote->node.value, "granted",
                      (int)vote->granted, "last_index", (json_int_t)vote->index, "last_term",
                      (json_int_t)vote->term, "after_ms", between(flight->begun_ns, vote->at_ns)));
    }
    return votes;
}

static json_t *json_of_flight(struct control *control, struct group_id group,
                              const struct replica_flight *flight)
{
    const struct replica_turn *turn = node_turn(control->node);
    int64_t begun_ms = (turn->wall_us - (int64_t)((turn->now_ns - flight->begun_ns) / 1000)) / 1000;
    return json_pack("{s:i,s:I,s:I,s:I,s:I,s:s,s:I,s:o,s:i,s:I,s:I,s:o,s:o,s:o,s:o}", "version",
                     RECORD_VERSION, "partition", (json_int_t)group.value, "term",
                     (json_int_t)flight->term, "leader",
                     (json_int_t)node_formation(control->node)->self.value, "previous",
                     (json_int_t)flight->previous.value, "reason",
                     replica_suspicion_name(flight->suspicion), "detected_ms", (json_int_t)begun_ms,
                     "silent_ms", between(flight->heard_ns, flight->begun_ns), "attempts",
                     (int)flight->attempts, "last_index", (json_int_t)flight->last_index,
                     "last_term", (json_int_t)flight->last_term, "votes", votes_of(flight),
                     "elected_after_ms", between(flight->begun_ns, flight->elected_ns),
                     "serving_after_ms", between(flight->begun_ns, flight->serving_ns),
                     "first_write_after_ms", between(flight->begun_ns, flight->first_write_ns));
}

/* Takes `record`. False: to be said later. */
static bool report(struct control *control, const char *key, json_t *record)
{
    char text[CONTROL_REPORT_TEXT_MAX];
    size_t size = json_dumpb(record, text, sizeof text, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(record);
    return size > 0 && size <= sizeof text && control_report(control, key, slice_of(text, size));
}

static const char *keyspace_of(const struct control_catalogue *catalogue, struct group_id group)
{
    const struct control_keyspace *keyspace = catalogue_find_keyspace(catalogue, group);
    return keyspace ? keyspace->name : "?";
}

/* One line for each failover; those that nobody has taken yet are one line and a number. */
static void note_line(struct control *control, struct group_id group,
                      const struct replica_flight *flight)
{
    if (control->failover_line[0])
        control->failovers_more++;
    else
        snprintf(control->failover_line, sizeof control->failover_line,
                 "leads partition %" PRIu64 " of keyspace %s in term %" PRIu64
                 " after node %" PRIu64
                 " (%s): not heard for %.0f ms, elected after %.0f ms, serving after %.0f ms",
                 group.value, keyspace_of(&control->catalogue, group), flight->term,
                 flight->previous.value, replica_suspicion_name(flight->suspicion),
                 (double)(flight->begun_ns - flight->heard_ns) / 1e6,
                 (double)(flight->elected_ns - flight->begun_ns) / 1e6,
                 (double)(flight->serving_ns - flight->begun_ns) / 1e6);
}

bool control_take_line(struct control *control, char out[CONTROL_LINE_SIZE])
{
    if (!control->failover_line[0])
        return false;
    snprintf(out, CONTROL_LINE_SIZE, "%s", control->failover_line);
    control->failover_line[0] = 0;
    if (control->failovers_more)
        snprintf(control->failover_line, sizeof control->failover_line,
                 "%" PRIu64 " more failovers: FAILOVERS tells them", control->failovers_more);
    control->failovers_more = 0;
    return true;
}

/* CONTROL-9: the key is the leadership, so it is one record however often it is said. False:
 * something is left to be said. */
static bool tell_news(struct control *control, struct replica *replica)
{
    struct group_id group = replica_group(replica);
    unsigned news = replica_news(replica);
    char key[CONTROL_REPORT_KEY_SIZE];
    if (news & REPLICA_NEWS_FAILOVER) {
        const struct replica_flight *flight = replica_flight(replica);
        snprintf(key, sizeof key, "failover:%" PRIu64 ":%" PRIu64, group.value, flight->term);
        if (!report(control, key, json_of_flight(control, group, flight)))
            return false;
        if (!flight->first_write_ns)
            note_line(control, group, flight);
        replica_news_told(replica, REPLICA_NEWS_FAILOVER);
    }
    if (news & REPLICA_NEWS_CUT) {
        const struct replica_flight_cut *cut = replica_flight_cut(replica);
        uint64_t self = node_formation(control->node)->self.value;
        snprintf(key, sizeof key, "failover-cut:%" PRIu64 ":%" PRIu64 ":%" PRIu64, group.value,
                 cut->term, self);
        if (!report(control, key,
                    json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:I}", "version", RECORD_VERSION,
                              "partition", (json_int_t)group.value, "term", (json_int_t)cut->term,
                              "node", (json_int_t)self, "from", (json_int_t)cut->from, "entries",
                              (json_int_t)cut->entries, "executed", (json_int_t)cut->executed)))
            return false;
        replica_news_told(replica, REPLICA_NEWS_CUT);
    }
    return true;
}

void failover_tick(struct control *control)
{
    const struct replica_turn *turn = node_turn(control->node);
    bool again = control->failover_retry_ns && turn->now_ns >= control->failover_retry_ns;
    if (turn->flights == control->flights_seen && !again)
        return;
    control->flights_seen = turn->flights;
    control->failover_retry_ns = 0;
    for (size_t i = 0; i < node_group_count(control->node); i++) {
        struct replica *replica = node_group_at(control->node, i);
        if (replica_news(replica) && !tell_news(control, replica))
            control->failover_retry_ns = turn->now_ns + FAILOVER_AGAIN_NS;
    }
}

uint64_t failover_deadline_ns(const struct control *control)
{
    return control->failover_retry_ns ? control->failover_retry_ns : UINT64_MAX;
}

/* ---- FAILOVERS [COUNT n] [keyspace], on the leader of `system` ---- */

struct failovers {
    struct command_call *call;
    struct control_catalogue catalogue;
    int64_t count;
    const struct slice *keyspace; /* NULL: all */
    struct control_reported *records, *cuts;
    size_t record_count, cut_count;
};

static bool fail(struct command_call *call, const char *error)
{
    call->failed = true;
    reply_error(call->reply, "%s", error);
    return false;
}

/* False: the error was replied. The two stand in any order. */
static bool take_arguments(struct failovers *failovers)
{
    struct command_call *call = failovers->call;
    bool counted = false;
    failovers->count = FAILOVER_COUNT;
    for (size_t at = 1; at < call->count; at++) {
        if (!counted && slice_is_word(call->arguments[at], "COUNT")) {
            counted = true;
            if (++at == call->count)
                return fail(call, "ERR COUNT lacks its value: COUNT n, a number from 1 on");
            if (slice_to_i64(call->arguments[at], &failovers->count) || failovers->count < 1)
                return fail(call, "ERR COUNT takes a number from 1 on");
        } else if (!failovers->keyspace) {
            failovers->keyspace = &call->arguments[at];
        } else {
            return fail(call, "ERR FAILOVERS takes [COUNT n] [keyspace]");
        }
    }
    return !failovers->keyspace ||
           catalogue_find_name(&failovers->catalogue, *failovers->keyspace) ||
           fail(call, "ERR there is no such keyspace: KEYSPACE LIST shows all");
}

static bool is_asked_for(const struct failovers *failovers, const json_t *record)
{
    struct group_id group = {(uint64_t)json_integer_value(json_object_get(record, "partition"))};
    return !failovers->keyspace ||
           slice_is_word(*failovers->keyspace, keyspace_of(&failovers->catalogue, group));
}

static json_t *load(const struct control_reported *reported)
{
    return json_loadb((const char *)reported->text.at, reported->text.size, 0, NULL);
}

static void tell_member(struct reply *reply, const json_t *record, const char *name)
{
    const json_t *value = json_object_get(record, name);
    reply_text(reply, name);
    if (json_is_string(value))
        reply_text(reply, json_string_value(value));
    else if (json_is_integer(value))
        reply_integer(reply, json_integer_value(value));
    else if (json_is_real(value))
        reply_double(reply, json_real_value(value));
    else if (json_is_boolean(value))
        reply_boolean(reply, json_is_true(value));
    else
        reply_null(reply);
}

static void tell_members(struct reply *reply, const json_t *record, const char *const *names)
{
    size_t count = 0;
    while (names[count])
        count++;
    reply_map(reply, count);
    for (size_t i = 0; i < count; i++)
        tell_member(reply, record, names[i]);
}

/* What was cut for the leader of that term. */
static void tell_cuts(const struct failovers *failovers, const json_t *record)
{
    static const char *const names[] = {"node", "from", "entries", "executed", NULL};
    struct reply *reply = failovers->call->reply;
    char prefix[CONTROL_REPORT_KEY_SIZE];
    int size = snprintf(prefix, sizeof prefix, "failover-cut:%" PRIu64 ":%" PRIu64 ":",
                        (uint64_t)json_integer_value(json_object_get(record, "partition")),
                        (uint64_t)json_integer_value(json_object_get(record, "term")));
    json_t *found = json_array();
    for (size_t i = 0; i < failovers->cut_count; i++) {
        const struct control_reported *cut = &failovers->cuts[i];
        if (cut->key.size > (size_t)size && memcmp(cut->key.at, prefix, (size_t)size) == 0)
            json_array_append_new(found, load(cut));
    }
    reply_text(reply, "cut");
    reply_array(reply, json_array_size(found));
    for (size_t i = 0; i < json_array_size(found); i++)
        tell_members(reply, json_array_get(found, i), names);
    json_decref(found);
}

static void tell_failover(const struct failovers *failovers, const json_t *record)
{
    static const char *const names[] = {"partition",
                                        "term",
                                        "leader",
                                        "previous",
                                        "reason",
                                        "detected_ms",
                                        "silent_ms",
                                        "attempts",
                                        "last_index",
                                        "last_term",
                                        "elected_after_ms",
                                        "serving_after_ms",
                                        "first_write_after_ms"};
    static const char *const of_vote[] = {"node",      "granted",  "last_index",
                                          "last_term", "after_ms", NULL};
    struct reply *reply = failovers->call->reply;
    const json_t *votes = json_object_get(record, "votes");
    size_t count = sizeof names / sizeof names[0];
    struct group_id group = {(uint64_t)json_integer_value(json_object_get(record, "partition"))};
    reply_map(reply, count + 3);
    reply_text(reply, "keyspace");
    reply_text(reply, keyspace_of(&failovers->catalogue, group));
    for (size_t i = 0; i < count; i++)
        tell_member(reply, record, names[i]);
    reply_text(reply, "votes");
    reply_array(reply, json_array_size(votes));
    for (size_t i = 0; i < json_array_size(votes); i++)
        tell_members(reply, json_array_get(votes, i), of_vote);
    tell_cuts(failovers, record);
}

/* The newest first. */
static void tell_all(const struct failovers *failovers)
{
    json_t *chosen = json_array();
    for (size_t i = failovers->record_count; i > 0; i--) {
        json_t *record = load(&failovers->records[i - 1]);
        bool fits = record && (int64_t)json_array_size(chosen) < failovers->count &&
                    is_asked_for(failovers, record);
        if (fits)
            json_array_append(chosen, record);
        json_decref(record);
    }
    reply_array(failovers->call->reply, json_array_size(chosen));
    for (size_t i = 0; i < json_array_size(chosen); i++)
        tell_failover(failovers, json_array_get(chosen, i));
    json_decref(chosen);
}

void control_execute_failovers(struct command_call *call)
{
    struct failovers failovers = {.call = call};
    catalogue_init(&failovers.catalogue);
    catalogue_read_store(&failovers.catalogue, call->store);
    if (take_arguments(&failovers)) {
        failovers.record_count = control_reported(call->store, "failover:", &failovers.records);
        failovers.cut_count = control_reported(call->store, "failover-cut:", &failovers.cuts);
        tell_all(&failovers);
        memory_free(failovers.records);
        memory_free(failovers.cuts);
    }
    catalogue_deinit(&failovers.catalogue);
}
