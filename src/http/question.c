/* What a load balancer asks behind the path: ?keyspace=NAME&partition=ID&lag=N[kB|MB|GB] or
 * lag=Nms. A word that is not known is refused: a misspelled one would be answered for something
 * else. */
#include "http/inside.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define DIGITS_MAX 15

static bool refuse(char why[HTTP_WHY_SIZE], const char *line)
{
    snprintf(why, HTTP_WHY_SIZE, "%s", line);
    return false;
}

/* The digits at the front; *rest is what follows. False: none, or too many. */
static bool read_number(const char *text, uint64_t *out, const char **rest)
{
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > DIGITS_MAX)
        return false;
    *out = strtoull(text, NULL, 10);
    *rest = text + digits;
    return true;
}

static bool read_lag(const char *text, struct question *out)
{
    static const struct {
        const char *name;
        uint64_t bytes, ns;
    } units[] = {{"", 1, 0},          {"B", 1, 0},         {"kB", 1u << 10, 0},
                 {"MB", 1u << 20, 0}, {"GB", 1u << 30, 0}, {"ms", 0, 1000000}};
    uint64_t number;
    const char *unit;
    if (!read_number(text, &number, &unit))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!slice_is_word(slice_of_text(unit), units[i].name))
            continue;
        out->has_lag = true;
        if (units[i].ns && number < UINT64_MAX / units[i].ns)
            out->lag_ns_max = number * units[i].ns;
        if (units[i].bytes && number < UINT64_MAX / units[i].bytes)
            out->lag_bytes_max = number * units[i].bytes;
        return true;
    }
    return false;
}

static bool read_partition(const char *text, struct question *out)
{
    const char *rest;
    out->is_named = out->is_one = true;
    return read_number(text, &out->group.value, &rest) && !*rest;
}

static bool read_keyspace(const char *text, struct question *out)
{
    out->is_named = true;
    return text[0] &&
           snprintf(out->keyspace, sizeof out->keyspace, "%s", text) < (int)sizeof out->keyspace;
}

static bool read_one(const struct evkeyval *pair, struct question *out, char why[HTTP_WHY_SIZE])
{
    if (strcmp(pair->key, "keyspace") == 0)
        return read_keyspace(pair->value, out) ||
               refuse(why, "keyspace takes a name: KEYSPACE LIST shows all");
    if (strcmp(pair->key, "partition") == 0)
        return read_partition(pair->value, out) ||
               refuse(why, "partition takes a number: KEYSPACE INFO shows those of a keyspace");
    if (strcmp(pair->key, "lag") == 0)
        return read_lag(pair->value, out) ||
               refuse(why, "lag takes bytes as N, NkB, NMB or NGB, or a time as Nms");
    return refuse(why, "unknown parameter: there are keyspace, partition and lag");
}

bool question_read(enum health_kind kind, const char *query, struct question *out,
                   char why[HTTP_WHY_SIZE])
{
    struct evkeyvalq pairs;
    struct evkeyval *pair;
    bool holds = true;
    *out = (struct question){.kind = kind, .lag_bytes_max = LAG_ANY, .lag_ns_max = LAG_ANY};
    if (query && query[0]) {
        if (evhttp_parse_query_str(query, &pairs))
            return refuse(why, "the query cannot be read: give name=value, joined by &");
        TAILQ_FOREACH(pair, &pairs, next)
        holds = holds && read_one(pair, out, why);
        evhttp_clear_headers(&pairs);
    }
    if (!out->keyspace[0] && !out->is_one)
        memcpy(out->keyspace, "default", sizeof "default");
    return holds;
}
