/* stage.h - one to five whole workers on simulated machines, and clients that speak with them.
 *
 * Virtual time, one seed, one thread: a test says what happens, lets time go on until a condition
 * holds (with a deadline), and looks. After each turn of a node its worker is validated.
 *
 *     stage = stage_formed(3);
 *     client = stage_connect(stage, stage_leader(stage));
 *     assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
 *     stage_destroy(stage);
 *
 * Requests are inline text, so they have no spaces inside arguments; stage_send takes raw bytes. */
#ifndef HOLDFAST_TEST_SERVER_STAGE_H
#define HOLDFAST_TEST_SERVER_STAGE_H

#include "sim/world.h"
#include "worker/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define STAGE_NODES_MAX   5
#define STAGE_OTHERS_MAX  2
#define STAGE_CLIENTS_MAX 32
#define STAGE_TEXT_SIZE   8192
#define STAGE_NONE        UINT32_MAX
#define STAGE_SECOND      WORLD_SECOND
#define STAGE_MS          WORLD_MS

struct stage_node {
    struct machine_id machine;
    struct worker *worker;                   /* worker 0; NULL: not running */
    struct worker *others[STAGE_OTHERS_MAX]; /* workers 1, 2 */
    unsigned workers;                        /* of its next start */
    bool begins_anew;                        /* the same: --begin-anew yes */
    const char *site, *zone, *host;          /* of its first start; NULL: not said */
    unsigned weight;                         /* of its next start; 0: not said */
    const struct node_timing *timing;        /* the same; NULL: that of the stage */
    char listen[IO_ADDRESS_SIZE], peer_listen[IO_ADDRESS_SIZE];
    char join[STAGE_NODES_MAX * IO_ADDRESS_SIZE];
    char why[WORKER_LINE_SIZE];  /* why it did not start or has stopped; "" else */
    char anew[WORKER_LINE_SIZE]; /* why it began anew, when it last did */
    char lines[STAGE_TEXT_SIZE]; /* what it told the operator since its start */
    /* What hooks would be told since its start: "leader KEYSPACE PARTITION WHAT NODE ADDRESS\n", or
     * "state ...", or "alert raised|cleared SEVERITY NAME KEYSPACE NODE\n". */
    char changes[STAGE_TEXT_SIZE];
    bool holds_changes; /* nobody takes them now */
    unsigned deaths;    /* by world_crash_at_call */
};

struct stage_client {
    struct io_stream stream;
    bool open, connected, ended; /* ended: the other side closed */
    bool deaf;                   /* reads nothing */
    struct buffer input, output;
    char reply[STAGE_TEXT_SIZE];
};

struct stage_options {
    unsigned nodes;
    unsigned workers; /* of each node; 0: 1 */
    uint64_t seed;    /* 0: 1 */
    uint32_t faults;
    bool readindex_reads;
    uint64_t hold_ns, ack_timeout_ns;
    bool watches;                                    /* see changes above */
    size_t bulk_size_max;                            /* 0: RESP_BULK_SIZE_MAX */
    uint64_t snapshot_log_bytes, snapshot_period_ns; /* 0: defaults */
    uint64_t replace_after_ns;                       /* 0: nobody is replaced by itself */
    const struct node_timing *timing;
};

struct stage {
    struct world *world;
    struct stage_options options;
    struct stage_node nodes[STAGE_NODES_MAX];
    struct machine_id clients_machine;
    struct stage_client clients[STAGE_CLIENTS_MAX];
    unsigned client_count;
    void (*watch)(struct stage *stage, unsigned node); /* after each turn of a node; or NULL */
    void *watched;                                     /* the test's own, for `watch` */
};

/* Machines that are on, without processes. */
struct stage *stage_create(const struct stage_options *options);
/* A cluster that has formed and has a leader that serves. */
struct stage *stage_formed(unsigned nodes);
struct stage *stage_formed_with(const struct stage_options *options);
void stage_destroy(struct stage *stage);

/* ---- nodes, numbered from 0 ---- */

/* False: it did not start, see `why`. Switches the machine on. */
bool stage_start(struct stage *stage, unsigned node);
/* NULL: not running. */
struct worker *stage_worker(struct stage *stage, unsigned node, unsigned worker);
void stage_kill(struct stage *stage, unsigned node);
void stage_power_cut(struct stage *stage, unsigned node);
/* Cuts a node off from the other nodes; clients still reach it. */
void stage_isolate(struct stage *stage, unsigned node);
void stage_heal(struct stage *stage);
/* Gives up leadership of both groups. */
void stage_step_down(struct stage *stage, unsigned node);

/* The node that serves `default` in the highest term; STAGE_NONE. */
unsigned stage_leader(struct stage *stage);
unsigned stage_follower(struct stage *stage); /* a running node that is not the leader */
struct replica *stage_replica(struct stage *stage, unsigned node, struct group_id group);
struct server *stage_server(struct stage *stage, unsigned node);
/* All running nodes have executed and committed the same entries, with equal digests. */
bool stage_is_converged(struct stage *stage, void *unused);

/* ---- time ---- */

typedef bool stage_condition(struct stage *stage, void *argument);
/* False: `ns` have passed and it does not hold. */
bool stage_wait(struct stage *stage, stage_condition *holds, void *argument, uint64_t ns);
void stage_run(struct stage *stage, uint64_t ns);
bool stage_has_leader(struct stage *stage, void *unused);
/* `argument` points to the number of a node: another one leads. */
bool stage_has_other_leader(struct stage *stage, void *argument);

/* ---- clients ---- */

unsigned stage_connect(struct stage *stage, unsigned node);
void stage_disconnect(struct stage *stage, unsigned client);
void stage_deafen(struct stage *stage, unsigned client, bool deaf);
void stage_send(struct stage *stage, unsigned client, const void *bytes, size_t size);
void stage_say(struct stage *stage, unsigned client, const char *format, ...)
    __attribute__((format(printf, 3, 4))); /* one line */
/* A SET of `size` bytes; the reply is the caller's. */
void stage_send_large(struct stage *stage, unsigned client, const char *key, size_t size);
/* The next reply, in the client's own memory: items with a space between, nil for null, errors with
 * their minus. "(none)" when there is none in `ns`, "(closed)" when there will be none. */
const char *stage_reply(struct stage *stage, unsigned client, uint64_t ns);
const char *stage_ask(struct stage *stage, unsigned client, const char *request);
bool stage_is_closed(struct stage *stage, unsigned client, uint64_t ns);

#endif
