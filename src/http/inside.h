/* inside.h - private to http/. */
#ifndef HOLDFAST_HTTP_INSIDE_H
#define HOLDFAST_HTTP_INSIDE_H

#include "http/http.h"

#define HTTP_WHY_SIZE 200

/* By CLOCK_BOOTTIME, as io_now_ns. */
uint64_t http_now_ns(void);
/* HTTP-1 */
bool http_is_live(const struct http_facts *facts);

/* ---- question.c ---- */

enum health_kind {
    HEALTH_PRIMARY,
    HEALTH_REPLICA,
    HEALTH_READ_ONLY,
    HEALTH_RUNNING
};

#define LAG_ANY UINT64_MAX

struct question {
    enum health_kind kind;
    char keyspace[CLUSTER_NAME_SIZE]; /* "": that of the partition */
    bool is_named;                    /* a keyspace or a partition was asked for */
    bool is_one;                      /* of all partitions only `group` */
    struct group_id group;
    bool has_lag;
    uint64_t lag_bytes_max, lag_ns_max; /* LAG_ANY: any */
};

/* What stands behind the path's question mark, NULL: nothing. False: `why` is one line. */
bool question_read(enum health_kind kind, const char *query, struct question *out,
                   char why[HTTP_WHY_SIZE]);

/* ---- map.c ---- */

/* NULL: there is none of that id, of that name (in any case). */
const struct http_partition *http_map_find(const struct http_map *map, struct group_id group);
const struct http_keyspace *http_map_named(const struct http_map *map, const char *name);
const struct http_keyspace *http_map_keyspace(const struct http_map *map, uint64_t id);

/* ---- health.c ---- */

/* True: 200. `out` gets the answer as a JSON object either way. */
bool health_judge(const struct http_facts *facts, const struct http_map *map,
                  const struct question *question, struct buffer *out);
/* The same for a question that could not be read. */
void health_refuse(const char *why, struct buffer *out);

#endif
