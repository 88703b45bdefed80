/* workload.h - which request comes next, its bytes, and what its reply means for the history. */
#ifndef HOLDFAST_SIM_WORKLOAD_H
#define HOLDFAST_SIM_WORKLOAD_H

#include "sim/history.h"

#include "base/random.h"
#include "resp/resp.h"

#define REQUEST_KEYS_MAX 3

enum request_kind {
    REQUEST_ONE,      /* one operation */
    REQUEST_GET_MANY, /* MGET: a read of each key */
    REQUEST_SET_MANY, /* MSET: a write of each key */
    REQUEST_SIZE,     /* DBSIZE */
};

struct request {
    enum request_kind kind;
    struct operation_id ids[REQUEST_KEYS_MAX];
    unsigned count;
    uint16_t connection, node;
    uint64_t asked_ns;
};

struct workload {
    struct history *history;
    struct random random;
    unsigned read_percent;
    uint64_t next_value; /* every written value is unique */
};

void workload_init(struct workload *workload, struct history *history, unsigned read_percent,
                   uint64_t seed);

/* Draws a request, records its beginning and appends its bytes. connection, node, asked_ns are set.
 */
void workload_ask(struct workload *workload, struct request *request, bool only_read,
                  struct buffer *out);
/* A plain read of this key. */
void workload_ask_for(struct workload *workload, uint32_t key, struct request *request,
                      struct buffer *out);

/* NULL, or what is wrong with the reply. wrote: success of a write; refused: TRYAGAIN and such. */
const char *workload_answer(struct workload *workload, const struct request *request,
                            struct slice reply, uint64_t now_ns, bool *wrote, bool *refused);
/* No reply will come. */
void workload_lose(struct workload *workload, const struct request *request, uint64_t now_ns);

#endif
