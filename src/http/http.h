/* http.h - health for load balancers and orchestrators: /livez, /readyz, /primary, /replica,
 * /read-only and /health; and /metrics. Floor 9; used by holdfastd.
 *
 * libevent's evhttp on its own thread with its own base. It shares nothing with the workers but the
 * facts below, which they publish and the thread reads: what each replica shows (replica_shown),
 * the map of partitions (http_give_map), and the page of metrics: the thread asks by
 * metrics_wanted, the worker gives it (http_give_metrics). Answers: 200 or 503 with a line of text
 * or a JSON object that says why, or the page; GET, HEAD and OPTIONS; anything else 404 or 405.
 * What is asked and when it is 200: docs/health.md.
 *
 * Promises. HTTP-1: /livez depends on nothing but the worker's turns going on; never on quorum
 * (restart loops), nor on who waits for metrics. HTTP-2: /primary is never 200 at two nodes at one
 * time: the answer is made while the lease on every partition that was asked about is held, by a
 * look at the clock that comes after the look at the lease. Not promised: how long after that an
 * answer arrives; it says how long its leases last. */
#ifndef HOLDFAST_HTTP_HTTP_H
#define HOLDFAST_HTTP_HTTP_H

#include "base/bytes.h"
#include "base/status.h"
#include "control/control.h"
#include "replica/replica.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HTTP_WORKERS_MAX 16

struct http_facts {
    unsigned workers; /* set before the start, as the next two; 0: 1 */
    const struct replica_shown
        *shown[HTTP_WORKERS_MAX]; /* `shown_count` of each worker; borrowed */
    size_t shown_count;
    atomic_bool ready;
    _Atomic(const char *) reason; /* why it is not; static text, NULL before the first turn */
    /* clock of each worker's last turn; it turns at least each 200 ms */
    atomic_uint_fast64_t turn_ns[HTTP_WORKERS_MAX];
    atomic_bool metrics_wanted; /* set here, cleared by who then gives the page */
};

/* Which partitions there are, and whose. */
struct http_keyspace {
    uint64_t id;
    char name[CLUSTER_NAME_SIZE];
};
struct http_partition {
    struct group_id group;
    uint64_t keyspace;
};
struct http_map {
    struct node_id node; /* this one */
    size_t keyspace_count, partition_count;
    struct http_keyspace *keyspaces;
    struct http_partition *partitions; /* in the order of their ids */
};

/* The living ones of the catalogue. The caller's, one allocation: it goes with memory_free. */
struct http_map *http_map_of(const struct control_catalogue *catalogue, struct node_id node);

struct http;

/* Starts the thread. IN_USE, INVALID or IO with one line in `why`. `facts` outlives it. */
MUST_USE enum status http_start(const char *address, struct http_facts *facts, struct http **out,
                                char why[128]);
void http_stop(struct http *http); /* NULL is fine */

/* The page for whoever waits for /metrics; its bytes are taken, `page` is empty afterwards. Called
 * by the worker's thread; does not block. After two seconds without it they are told 503. */
void http_give_metrics(struct http *http, struct buffer *page);

/* A newer map, once the node is part of a cluster; it is taken. By one thread; does not block. */
void http_give_map(struct http *http, struct http_map *map);

#endif
