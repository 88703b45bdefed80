/* load.h - the inside of bench-load: a closed-loop load generator for servers of the Redis protocol
 * and, for one competitor, of gRPC.
 *
 * Each connection sends a batch of `pipeline` requests, waits for all their replies, and sends the
 * next: what is measured is how much a fixed number of waiting clients gets done. One thread; the
 * servers' CPU time is read from /proc at both ends of the run.
 *
 *     load_options.c     settings from the command line
 *     load_resp.c        a request's bytes; where a reply ends and what it says
 *     load_grpc.c        the same
 *     load_connection.c  batches, reading, writing
 *     load_report.c      CPU seconds, the JSON line
 *     load.c             the run
 *
 * `uniq` writes each key once and remembers in a file which were acknowledged; `verify` asks for
 * all of these. With `setwait` and `uniq` each write is followed by WAIT `copies`, unless copies is
 * 0. */
#ifndef HOLDFAST_BENCH_LOAD_H
#define HOLDFAST_BENCH_LOAD_H

#include "base/bytes.h"
#include "base/random.h"
#include "latency.h"

#define LOAD_TARGETS_MAX  16
#define LOAD_PIDS_MAX     16
#define LOAD_SILENCE_S    10 /* no reply at all for so long ends the run as failed */
#define LOAD_FAILURE_SIZE 160

enum load_operation {
    LOAD_SET,
    LOAD_GET,
    LOAD_INCR,
    LOAD_PING,
    LOAD_FILL, /* SET of each key once, in order */
    LOAD_SETWAIT,
    LOAD_UNIQ,
    LOAD_VERIFY,
};

enum load_protocol {
    LOAD_RESP,
    LOAD_GRPC
};

struct load_target {
    char host[48];
    uint16_t port;
};

struct load_settings {
    struct load_target targets[LOAD_TARGETS_MAX]; /* connections take them in turn */
    size_t target_count;
    enum load_operation operation;
    enum load_protocol protocol;
    uint64_t connections, pipeline, keys, value_size, seed;
    uint64_t operations; /* 0: no limit */
    double seconds;      /* 0: no limit */
    uint64_t copies, wait_ms;
    uint64_t distinct;            /* not 0: each SET has a value of its own, which does not pack */
    uint64_t database;            /* selected by each connection before the run; 0: none */
    const char *label, *ack_path; /* borrowed from the command line */
    int pids[LOAD_PIDS_MAX];
    size_t pid_count;
};

struct load_connection {
    int fd;
    struct buffer in, out;
    size_t sent;         /* of out */
    uint64_t awaited;    /* requests of the batch without an answer */
    uint64_t started_ns; /* when the batch was sent */
    uint64_t *numbers;   /* owned; unique numbers of the batch, in order */
    size_t number_count, number_next;
    bool set_answered, set_succeeded; /* the SET of a SET and WAIT pair */
    uint32_t stream;                  /* gRPC: the next request's; odd */
    uint64_t bodies;                  /* gRPC: answers with a body whose stream is still open */
};

struct load {
    struct load_settings settings;
    struct load_connection *connections; /* owned */
    struct random random;
    struct latency latency;
    uint8_t *value; /* owned; settings.value_size bytes */
    int epoll;
    uint64_t issued, done, errors, too_few_copies, hits, missing, acknowledged;
    uint64_t next_number;
    uint8_t *acked; /* owned; one byte for each unique number */
    uint64_t acked_size;
    bool stopping;
    char failure[LOAD_FAILURE_SIZE];    /* not empty: the run is worth nothing */
    char last_error[LOAD_FAILURE_SIZE]; /* of the replies */
    uint64_t began_ns, ended_ns, cpu_before_ns[LOAD_PIDS_MAX];
};

/* What the front of a connection's input holds. */
struct load_answer {
    size_t size;   /* bytes; 0: not all of it is here */
    bool is_reply; /* false: protocol matter, answers nothing */
    bool is_error, is_null;
    int64_t integer; /* of a RESP integer, or the length of a string */
};

/* load_options.c: false: `why` is one line. */
bool load_settings_read(struct load_settings *settings, int count, char **words, const char **why);
void load_print_usage(void);

/* load_resp.c */
void resp_add_request(struct load *load, struct load_connection *connection);
void resp_add_wait(struct load *load, struct load_connection *connection);
struct load_answer resp_take_answer(struct slice in);

/* load_grpc.c */
void grpc_open(struct load_connection *connection);
void grpc_add_request(struct load *load, struct load_connection *connection);
struct load_answer grpc_take_answer(struct load_connection *connection, struct slice in);

/* load_connection.c */
bool load_connect(struct load *load, struct load_connection *connection, size_t index);
void load_start_batch(struct load *load, struct load_connection *connection);
void load_on_ready(struct load *load, struct load_connection *connection, uint32_t events);
void load_disconnect(struct load_connection *connection);
uint64_t load_key(struct load *load, const struct load_connection *connection);

/* load_report.c */
uint64_t load_now_ns(void);
uint64_t load_cpu_ns(int pid);
void load_report(const struct load *load);

/* load.c */
void load_fail(struct load *load, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
