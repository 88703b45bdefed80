/* http.h - health for load balancers and orchestrators: /livez and /readyz; and /metrics. Floor 9;
 * used by holdfastd.
 *
 * libevent's evhttp on its own thread with its own base. It shares nothing with the worker but the
 * facts below, which the worker publishes and the thread reads, and the page of metrics: the thread
 * asks by metrics_wanted, the worker gives it (http_give_metrics). Answers: 200 or 503 with one
 * line of text, or the page; GET and HEAD; anything else 404 or 405. Promise HTTP-1: /livez depends
 * on nothing but the worker's turns going on; never on quorum (restart loops), nor on who waits for
 * metrics. */
#ifndef HOLDFAST_HTTP_HTTP_H
#define HOLDFAST_HTTP_HTTP_H

#include "base/bytes.h"
#include "base/status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HTTP_WORKERS_MAX 16

struct http_facts {
    unsigned workers; /* set before the start; 0: 1 */
    atomic_bool ready;
    _Atomic(const char *) reason; /* why it is not; static text, NULL before the first turn */
    /* clock of each worker's last turn; it turns at least each 200 ms */
    atomic_uint_fast64_t turn_ns[HTTP_WORKERS_MAX];
    atomic_bool metrics_wanted; /* set here, cleared by who then gives the page */
};

struct http;

/* Starts the thread. IN_USE, INVALID or IO with one line in `why`. `facts` outlives it. */
MUST_USE enum status http_start(const char *address, struct http_facts *facts, struct http **out,
                                char why[128]);
void http_stop(struct http *http); /* NULL is fine */

/* The page for whoever waits for /metrics; its bytes are taken, `page` is empty afterwards. Called
 * by the worker's thread; does not block. After two seconds without it they are told 503. */
void http_give_metrics(struct http *http, struct buffer *page);

#endif
