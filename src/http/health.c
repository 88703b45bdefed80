/* /primary, /replica, /read-only and /health: from what the workers show, judged by this thread's
 * own look at the clock.
 *
 * HTTP-2 rests on three things. A lease is shown by its end, so an old one says no (REPLICA-10).
 * The clock is read after the lease was. And of several partitions all are looked at twice: between
 * two looks that find the same leases in the same terms, all of them were held at one moment. */
#include "http/inside.h"

#include <stdarg.h>
#include <stdio.h>

#define ROWS_MAX  64 /* partitions that an answer shows */
#define NS_PER_MS 1000000u

struct row {
    struct replica_sight sight;
    uint64_t now_ns; /* when it was looked at */
};

struct tally {
    size_t wanted, here, leads, ready; /* partitions that were asked about */
    uint64_t terms;                    /* of those that it leads, their sum */
    bool fails;
    struct row failing; /* the first that is not as it was asked for */
    size_t row_count;
    struct row rows[ROWS_MAX];
};

/* ---- one partition ---- */

static bool is_led(const struct row *row)
{
    return row->now_ns < row->sight.lease_until_ns; /* HTTP-2 */
}

static bool is_heard(const struct row *row)
{
    return row->sight.heard_ns && row->now_ns < row->sight.heard_ns + REPLICA_SILENT_NS;
}

static uint64_t lag_ns(const struct row *row)
{
    uint64_t level_ns = row->sight.level_ns;
    if (!level_ns)
        return REPLICA_UNKNOWN;
    return row->now_ns > level_ns ? row->now_ns - level_ns : 0;
}

static bool is_within(const struct row *row, const struct question *question)
{
    const struct replica_sight *sight = &row->sight;
    if (!question->has_lag)
        return sight->lag_entries <= REPLICA_READY_LAG;
    bool bytes =
        question->lag_bytes_max == LAG_ANY ||
        (sight->lag_bytes != REPLICA_UNKNOWN && sight->lag_bytes <= question->lag_bytes_max);
    bool time = question->lag_ns_max == LAG_ANY ||
                (lag_ns(row) != REPLICA_UNKNOWN && lag_ns(row) <= question->lag_ns_max);
    return bytes && time;
}

static bool is_ready(const struct row *row, const struct question *question)
{
    const struct replica_sight *sight = &row->sight;
    return !sight->leads && !sight->loads && !sight->unsure && is_heard(row) &&
           is_within(row, question);
}

static bool is_as_asked(const struct row *row, const struct question *question)
{
    switch (question->kind) {
    case HEALTH_PRIMARY: return is_led(row);
    case HEALTH_REPLICA:
    case HEALTH_READ_ONLY: return is_led(row) || is_ready(row, question);
    case HEALTH_RUNNING: return true;
    }
    return false;
}

/* ---- all of them ---- */

static bool is_wanted(const struct http_map *map, const struct question *question,
                      const struct http_keyspace *keyspace, struct group_id group)
{
    const struct http_partition *partition = http_map_find(map, group);
    return partition && partition->keyspace == keyspace->id &&
           (!question->is_one || group_id_equal(group, question->group));
}

static void add(struct tally *tally, const struct question *question, const struct row *row)
{
    bool led = is_led(row);
    tally->here++;
    tally->leads += led;
    tally->terms += led ? row->sight.term : 0;
    tally->ready += !led && is_ready(row, question);
    if (!tally->fails && !is_as_asked(row, question)) {
        tally->fails = true;
        tally->failing = *row;
    }
    if (tally->row_count < ROWS_MAX)
        tally->rows[tally->row_count++] = *row;
}

static void look(const struct http_facts *facts, const struct http_map *map,
                 const struct question *question, const struct http_keyspace *keyspace,
                 struct tally *tally)
{
    *tally = (struct tally){.wanted = question->is_one};
    for (size_t i = 0; !question->is_one && i < map->partition_count; i++)
        tally->wanted += map->partitions[i].keyspace == keyspace->id;
    for (unsigned worker = 0; worker == 0 || worker < facts->workers; worker++)
        for (size_t i = 0; i < facts->shown_count; i++) {
            struct row row;
            if (!replica_look(&facts->shown[worker][i], &row.sight) ||
                !is_wanted(map, question, keyspace, row.sight.group))
                continue;
            row.now_ns = http_now_ns(); /* HTTP-2: later than the lease was read */
            add(tally, question, &row);
        }
}

static bool holds(const struct tally *tally, enum health_kind kind)
{
    bool all = tally->wanted && tally->leads + tally->ready == tally->wanted;
    switch (kind) {
    case HEALTH_PRIMARY: return all && tally->leads == tally->wanted;
    case HEALTH_REPLICA: return all && tally->leads < tally->wanted;
    case HEALTH_READ_ONLY: return all;
    case HEALTH_RUNNING: return tally->here > 0;
    }
    return false;
}

/* ---- the answer ---- */

static void say_failing(const struct row *row, const struct question *question, char *why)
{
    const struct replica_sight *sight = &row->sight;
    unsigned long long group = sight->group.value;
    if (sight->leads && sight->lease_until_ns)
        snprintf(why, HTTP_WHY_SIZE, "its lease on partition %llu is over", group);
    else if (question->kind == HEALTH_PRIMARY || sight->leads)
        snprintf(why, HTTP_WHY_SIZE, "it does not lead partition %llu", group);
    else if (sight->loads)
        snprintf(why, HTTP_WHY_SIZE, "partition %llu is loaded from a snapshot", group);
    else if (!is_heard(row))
        snprintf(why, HTTP_WHY_SIZE, "the leader of partition %llu was not heard for 1.5 s", group);
    else if (sight->unsure)
        snprintf(why, HTTP_WHY_SIZE,
                 "partition %llu may lack entries after a power cut: it waits for its leader",
                 group);
    else
        snprintf(why, HTTP_WHY_SIZE, "partition %llu is too far behind its leader", group);
}

static void say_why(const struct tally *tally, const struct question *question, bool good,
                    char why[HTTP_WHY_SIZE])
{
    if (good && question->kind == HEALTH_RUNNING)
        snprintf(why, HTTP_WHY_SIZE, "its workers turn");
    else if (good)
        snprintf(why, HTTP_WHY_SIZE, "of %zu partitions it leads %zu and follows %zu",
                 tally->wanted, tally->leads, tally->ready);
    else if (holds(tally, question->kind))
        snprintf(why, HTTP_WHY_SIZE, "leadership is moving");
    else if (tally->fails)
        say_failing(&tally->failing, question, why);
    else if (tally->here < tally->wanted)
        snprintf(why, HTTP_WHY_SIZE, "it has a replica of %zu of %zu partitions", tally->here,
                 tally->wanted);
    else
        snprintf(why, HTTP_WHY_SIZE, "it leads all %zu partitions: ask /primary", tally->wanted);
}

static void print_number(struct buffer *out, const char *name, uint64_t number)
{
    if (number == REPLICA_UNKNOWN)
        buffer_print(out, ",\"%s\":null", name);
    else
        buffer_print(out, ",\"%s\":%llu", name, (unsigned long long)number);
}

static const char *state_of(const struct row *row)
{
    const struct replica_sight *sight = &row->sight;
    if (sight->loads)
        return "bootstrapping";
    bool ready = is_led(row) || (!sight->leads && !sight->unsure && is_heard(row) &&
                                 sight->lag_entries <= REPLICA_READY_LAG);
    return ready ? "ready" : "catching_up";
}

static void print_row(struct buffer *out, const struct row *row)
{
    const struct replica_sight *sight = &row->sight;
    bool led = is_led(row);
    uint64_t ns = sight->leads ? (led ? 0 : REPLICA_UNKNOWN) : lag_ns(row);
    buffer_print(out, "{\"partition\":%llu,\"role\":\"%s\",\"state\":\"%s\",\"term\":%llu",
                 (unsigned long long)sight->group.value, sight->leads ? "leader" : "follower",
                 state_of(row), (unsigned long long)sight->term);
    if (sight->leads)
        print_number(out, "lease_ms", led ? (sight->lease_until_ns - row->now_ns) / NS_PER_MS : 0);
    print_number(out, "lag_entries", sight->lag_entries);
    print_number(out, "lag_bytes", sight->lag_bytes);
    print_number(out, "lag_ms", ns == REPLICA_UNKNOWN ? ns : ns / NS_PER_MS);
    buffer_print(out, "}");
}

static void print_tally(struct buffer *out, const struct tally *tally)
{
    buffer_print(out, ",\"partitions\":%zu,\"here\":%zu,\"leads\":%zu,\"ready\":%zu,\"replicas\":[",
                 tally->wanted, tally->here, tally->leads, tally->ready);
    for (size_t i = 0; i < tally->row_count; i++) {
        buffer_print(out, i ? ",\n " : "\n ");
        print_row(out, &tally->rows[i]);
    }
    buffer_print(out, "]");
    if (tally->here > tally->row_count)
        buffer_print(out, ",\"more\":%zu", tally->here - tally->row_count);
}

static bool refuse(const struct http_map *map, const char *why, struct buffer *out)
{
    buffer_print(out, "{\"ok\":false,\"node\":%llu,\"why\":\"%s\"}\n",
                 (unsigned long long)(map ? map->node.value : 0), why);
    return false;
}

void health_refuse(const char *why, struct buffer *out)
{
    (void)refuse(NULL, why, out);
}

static const struct http_keyspace *find_keyspace(const struct http_map *map,
                                                 const struct question *question)
{
    const struct http_partition *partition =
        question->is_one ? http_map_find(map, question->group) : NULL;
    const struct http_keyspace *named =
        question->keyspace[0] ? http_map_named(map, question->keyspace) : NULL;
    if (!question->is_one)
        return named;
    if (!partition || (question->keyspace[0] && !(named && named->id == partition->keyspace)))
        return NULL;
    return http_map_keyspace(map, partition->keyspace);
}

static bool judge(const struct http_facts *facts, const struct http_map *map,
                  const struct question *question, struct buffer *out)
{
    const struct http_keyspace *keyspace = find_keyspace(map, question);
    struct tally tally, again;
    char why[HTTP_WHY_SIZE];
    if (!keyspace)
        return refuse(map,
                      "this node knows of no such keyspace or partition: KEYSPACE LIST and "
                      "KEYSPACE INFO show what there is",
                      out);
    look(facts, map, question, keyspace, &tally);
    look(facts, map, question, keyspace, &again); /* HTTP-2 */
    bool good = holds(&tally, question->kind) && holds(&again, question->kind) &&
                tally.leads == again.leads && tally.terms == again.terms;
    if (!question->is_named && question->kind == HEALTH_RUNNING)
        good = true;
    say_why(&again, question, good, why);
    buffer_print(out, "{\"ok\":%s,\"node\":%llu,\"why\":\"%s\",\"keyspace\":\"%s\"",
                 good ? "true" : "false", (unsigned long long)map->node.value, why, keyspace->name);
    print_tally(out, &again);
    buffer_print(out, "}\n");
    return good;
}

bool health_judge(const struct http_facts *facts, const struct http_map *map,
                  const struct question *question, struct buffer *out)
{
    if (!map)
        return refuse(map, "not part of a cluster yet", out);
    if (!http_is_live(facts) && question->kind == HEALTH_RUNNING)
        return refuse(map, "a worker does not turn", out);
    return judge(facts, map, question, out);
}
