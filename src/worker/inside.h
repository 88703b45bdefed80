/* inside.h - private to worker/. */
#ifndef HOLDFAST_WORKER_INSIDE_H
#define HOLDFAST_WORKER_INSIDE_H

#include "control/control.h"
#include "server/server.h"
#include "worker/worker.h"

#define TAG_WAL      (1ull << 40)
#define TAG_PEER     (2ull << 40)
#define TAG_CONTROL  (3ull << 40)
#define TAG_SERVER   (4ull << 40)
#define TAG_SNAPSHOT (5ull << 40)
#define TAG_OTHERS   (6ull << 40)
#define TAG_ADMIN    (7ull << 40)
#define TAG_LEDGER   (9ull << 40)

/* What a worker knows of the others of its node, and they of it. */
struct others {
    unsigned self, count;
    uint32_t begun;       /* bits of workers that have begun and not ended */
    bool told, may_begin; /* told: the others know that this one has begun */
    uint64_t epoch;       /* of the catalogue that the others were told of */
    const char *said;     /* why this one is not ready, as worker 0 was told; NULL: it is */
    uint64_t next_say_ns;
    /* worker 0: what it has of the others */
    const char *unready[PEER_WORKERS_MAX];
    unsigned asked[PEER_WORKERS_MAX];                 /* for a sample, and not answered yet */
    struct metrics_sample *samples[PEER_WORKERS_MAX]; /* owned */
    bool measures;                                    /* samples are wanted */
};

/* A partition as it was last told, or is about to be. */
struct watched {
    struct group_id group;
    struct node_id leader;
    uint64_t term;
    bool leads;
    const char *state; /* static; NULL: not seen yet */
    bool gone;         /* its replica is; forgotten once that is told */
    bool news[WORKER_NEWS_COUNT];
};

struct watch {
    bool wanted[WORKER_NEWS_COUNT];
    struct watched *all; /* owned */
    size_t count, capacity;
    size_t next[WORKER_NEWS_COUNT]; /* where the next one is looked for */
    uint64_t next_look_ns;
};

struct worker {
    struct io *io;
    struct control *control;
    struct node *node;
    struct server *server;
    struct command_table *commands;
    struct command *rows; /* owned; behind the table */
    struct admin admin;
    struct others others;
    struct watch watch;
    bool stopping, ending;
    uint64_t stop_deadline_ns, hand_over_until_ns;
    uint64_t due_ns;  /* when the next turn was to begin at the latest */
    uint64_t took_ns; /* the turn before this one */
    uint64_t lag_ns;  /* how late the turn before this one began, and how long it took */
    char failure[WORKER_LINE_SIZE];
    char (*lines)[WORKER_LINE_SIZE];
    size_t line_first, line_count;
    char waits_for[CONTROL_LINE_SIZE];
    struct node_id leader;
    bool said_ready, said_full;
    struct durations turns; /* how long they took */
};

/* others.c */
/* True: it was for this part, or for nobody: what came with it is gone. */
bool others_handle_event(struct worker *worker, const struct io_event *event);
void others_tick(struct worker *worker);
/* NULL: all are ready, as far as this worker 0 was told; else why not, in static words. */
const char *others_unready(const struct worker *worker);
void others_deinit(struct worker *worker);
void others_end(struct worker *worker); /* nothing of this worker comes after it */

/* watch.c */
void watch_tick(struct worker *worker);
void watch_end(struct worker *worker); /* WORKER-4: it leads nothing any more */
void watch_deinit(struct worker *worker);

#endif
