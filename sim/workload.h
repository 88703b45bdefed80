/* workload.h - which request comes next, its bytes, and what its reply means for the history.
 *
 * Some writes stand behind ONCE. One whose fate is unknown does not end there: it is asked again,
 * over any connection, until an answer comes, and is one operation for the history. A second effect
 * of it, or an answer that is not of its one effect, makes the history impossible (ONCE-1, ONCE-2).
 */
#ifndef HOLDFAST_SIM_WORKLOAD_H
#define HOLDFAST_SIM_WORKLOAD_H

#include "sim/history.h"
#include "sim/spaces.h"

#include "base/random.h"
#include "resp/resp.h"

#define REQUEST_KEYS_MAX 3

enum request_kind {
    REQUEST_ONE,      /* one operation */
    REQUEST_GET_MANY, /* MGET: a read of each key */
    REQUEST_SET_MANY, /* MSET: a write of each key */
    REQUEST_SIZE,     /* DBSIZE */
    REQUEST_PAIR,     /* both keys of a pair, in one request or a transaction */
    REQUEST_WATCH,    /* WATCH and GET; a CAS follows */
    REQUEST_CAS,      /* MULTI, SET, EXEC */
    REQUEST_WAIT,     /* WAIT */
    REQUEST_SELECT,   /* opens the keyspace `space` */
    REQUEST_CHANGE,   /* KEYSPACE CREATE or DROP of `changed` */
};

/* A write behind ONCE that has no answer yet. */
#define ONCES_MAX    16
#define ONCE_CLIENTS 4
enum once_state {
    ONCE_FREE,
    ONCE_ASKED, /* over a connection */
    ONCE_LOST,  /* its fate is unknown: to be asked again */
};
struct once {
    enum once_state state;
    struct operation_id id;
    bool unsure; /* an earlier attempt may have run */
    uint8_t space;
    unsigned life;
    struct buffer bytes;
};

struct request {
    enum request_kind kind;
    struct operation_id ids[REQUEST_KEYS_MAX];
    unsigned count;
    struct once *once; /* NULL: none */
    uint16_t connection, node;
    uint8_t space, changed; /* keyspaces */
    bool strict;            /* WAIT: QUORUM or ALL */
    bool failed;            /* a reply before the last one was an error */
    unsigned life;          /* of `space` */
    unsigned replies;       /* that are still to come before the last one, and it */
    uint64_t asked_ns;
};

struct workload {
    struct history *history;
    struct spaces *spaces;
    struct random random;
    unsigned read_percent;
    uint64_t next_value; /* every written value is unique */
    struct once onces[ONCES_MAX];
    uint64_t once_numbers[ONCE_CLIENTS]; /* the highest of each client id */
    uint16_t once_count;
};

void workload_init(struct workload *workload, struct history *history, struct spaces *spaces,
                   unsigned read_percent, uint64_t seed);
void workload_deinit(struct workload *workload);

/* Draws a request, records its beginning and appends its bytes. connection, node, space, life,
 * asked_ns are set, replies is 1. */
void workload_ask(struct workload *workload, struct request *request, bool only_read,
                  struct buffer *out);
/* A plain read of this key. */
void workload_ask_for(struct workload *workload, uint32_t key, struct request *request,
                      struct buffer *out);

/* Sets the key that a WATCH request has read as `read`. */
void workload_ask_cas(struct workload *workload, const struct operation_id *read,
                      struct request *request, struct buffer *out);
void workload_ask_select(struct workload *workload, struct request *request, struct buffer *out);
/* False: no keyspace is to be created or dropped now. */
bool workload_ask_change(struct workload *workload, struct request *request, struct buffer *out);

/* A reply while replies > 1. NULL, or what is wrong with it. */
const char *workload_begin_answer(struct request *request, struct slice reply);
/* NULL, or what is wrong with the last reply. wrote: success of a write; refused: TRYAGAIN and
 * such. */
const char *workload_answer(struct workload *workload, const struct request *request,
                            struct slice reply, uint64_t now_ns, bool *wrote, bool *refused);
/* Nothing is asked any more: what was not answered stays unknown. No request is under way. */
void workload_end(struct workload *workload, uint64_t now_ns);
/* No reply will come. */
void workload_lose(struct workload *workload, const struct request *request, uint64_t now_ns);

#endif
