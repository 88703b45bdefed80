/* worker.h - one worker: everything a node is, or its share of it, behind one entry, `worker_turn`.
 * Floor 10; used by holdfastd and by the simulator.
 *
 * A program's thread loops io_gather + worker_turn; the simulator calls worker_turn itself. Between
 * two turns nothing happens. Turn: events -> links -> timers -> requests -> persist and send ->
 * apply -> release -> write.
 *
 * A node has one or more workers. Each has its own io, log, links, groups and clients; they share
 * nothing and post messages (others.c). Group g lives on worker g mod their number. Worker 0 has
 * what there is once: the directory's lock, formation, group 0 (`system`), both listeners.
 *
 * Promises. WORKER-1: a worker waits for nothing but its events; worker_turn sets the one timer
 * that wakes it. WORKER-2: a worker begins once worker 0 has begun and this worker's own log holds
 * the identity; no other worker sends it anything before. WORKER-3: a directory is opened by as
 * many workers as made it, or not at all. WORKER-4: of each partition with a replica here whoever
 * asks for changes hears the newest leader and state, also when many changed before he asked; and
 * a worker that ends leads nothing. */
#ifndef HOLDFAST_WORKER_WORKER_H
#define HOLDFAST_WORKER_WORKER_H

#include "admin/admin.h"
#include "base/status.h"
#include "io/io.h"
#include "metrics/metrics.h"
#include "node/node.h"

#define WORKER_COUNT_MAX PEER_WORKERS_MAX /* of one node */
#define WORKER_LINE_SIZE 640
#define WORKER_LINES_MAX 64

struct worker;

/* What hooks are run for. */
enum worker_news {
    WORKER_NEWS_LEADER,
    WORKER_NEWS_STATE,
    WORKER_NEWS_ALERT
};
#define WORKER_NEWS_COUNT (WORKER_NEWS_ALERT + 1)

/* Of a partition that has a replica on this worker, or had one until now; an alert may be of a
 * node, or of the cluster. */
struct worker_change {
    struct group_id partition;
    char keyspace[CLUSTER_NAME_SIZE]; /* ALERT: "-": of no partition */
    /* LEADER: leader or follower, what this node is. STATE: of its replica, as in `status`, or
     * dropped. ALERT: raised or cleared. Static. */
    const char *what;
    struct node_id node; /* LEADER: who leads, 0: not known. STATE: this node. ALERT: which node it
                            is about, 0: none */
    uint64_t term;
    char address[WIRE_ADDRESS_SIZE]; /* of that node, for clients; "-": no node */
    /* ALERT: which; of a replica, 0: none; "critical" ...; the line of WHY. */
    const char *alert, *severity; /* static; NULL: no alert */
    struct replica_id replica;
    char text[CLUSTER_LINE_SIZE];
};

struct worker_options {
    const char *dir;
    const char *listen, *peer_listen; /* HOST:PORT */
    const char *client_address;       /* "" : listen */
    const char *peer_address;         /* "" : peer_listen */
    const char *join;                 /* "" : none */
    uint64_t replace_after_ns; /* a member that is down for so long is replaced; 0: none is */
    bool begins_anew; /* an empty directory takes the place of a member's that is lost for good */
    const char *site, *zone, *host;
    unsigned weight;                  /* its share of replicas; 0: CONTROL_WEIGHT_DEFAULT */
    const struct node_timing *timing; /* NULL: node_timing_default */
    bool readindex_reads;             /* strong reads by rounds instead of the lease */
    uint64_t wal_segment_size;        /* 0: default */
    uint64_t snapshot_log_bytes, snapshot_period_ns; /* 0: defaults */
    size_t bulk_size_max;                            /* 0: RESP_BULK_SIZE_MAX */
    uint64_t hold_ns, ack_timeout_ns;                /* 0: defaults */
    uint32_t faults;                                 /* enum replica_fault; 0 in a program */
    const struct admin_option *shown;                /* CONFIG GET; borrowed for life */
    size_t shown_count;
    uint64_t process;                     /* id of this process, for INFO */
    unsigned worker, workers;             /* which of how many; 0 workers: 1 */
    bool watches[WORKER_NEWS_COUNT];      /* changes of that kind are asked for */
    struct replica_shown *replicas_shown; /* see node_options.shown; NULL: nobody looks */
};

/* Opens, recovers, listens. `why` is one line for people. Blocks. Worker 0 of a node first, then
 * the others, each on an io of its own; no turn before all are there. AGAIN: a log was damaged, and
 * the directory begins anew: all workers are to be created once more, on new ios. */
MUST_USE enum status worker_create(struct io *io, const struct worker_options *options,
                                   struct worker **out, char why[WORKER_LINE_SIZE]);
void worker_destroy(struct worker *worker);

/* One turn. False: the worker has ended, see worker_failure: "" after a stop that was asked for. */
bool worker_turn(struct worker *worker, const struct io_event *events, size_t count);
const char *worker_failure(const struct worker *worker);

/* Begins a graceful end: no new clients, what waits is answered, the log is marked clean. */
void worker_stop(struct worker *worker);

/* Every replica placed here is ready: /readyz. Formed and its groups know a leader. Worker 0 knows
 * it of all workers of its node, a tenth of a second late; another only of itself. */
bool worker_is_ready(const struct worker *worker);
/* NULL: it is ready; else why not, in static words. */
const char *worker_unready(const struct worker *worker);
/* Lines for the operator's log, oldest first; false: none. */
bool worker_take_line(struct worker *worker, char out[WORKER_LINE_SIZE]);

/* A change that was not told yet; false: none. It stays until worker_change_is_told, or becomes
 * newer. WORKER-4 */
bool worker_next_change(struct worker *worker, enum worker_news news, struct worker_change *out);
void worker_change_is_told(struct worker *worker, enum worker_news news,
                           const struct worker_change *change);

/* Its numbers now, for /metrics; the caller's. Between two turns. */
struct metrics_sample *worker_measure(struct worker *worker);
/* Worker 0: those of all workers of the node. take: how many, this one's first; 0: not all have
 * answered yet. They are the caller's. */
void worker_ask_samples(struct worker *worker);
size_t worker_take_samples(struct worker *worker, struct metrics_sample *out[WORKER_COUNT_MAX]);

/* For oracles and tests. is_settled: no growth or change of a contract is under way, as far as this
 * worker knows, and its groups have the members that they are to have. */
bool worker_is_settled(const struct worker *worker);
struct node *worker_node(struct worker *worker);
struct control *worker_control(struct worker *worker);
/* The newest that it knows; borrowed until its next turn. */
const struct control_catalogue *worker_catalogue(const struct worker *worker);
struct server *worker_server(struct worker *worker);
void worker_validate(struct worker *worker);

#endif
