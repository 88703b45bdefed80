/* bench.h - one raft under test, replica 1; the test plays all the others and the disk. */
#ifndef HOLDFAST_TEST_RAFT_BENCH_H
#define HOLDFAST_TEST_RAFT_BENCH_H

#include "raft/raft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SENT_MAX        512
#define BENCH_MS        1000000ull
#define BENCH_TIMEOUT   (100 * BENCH_MS) /* the minimum; the maximum is twice that */
#define BENCH_TERMS_MAX 64

struct bench {
    struct raft *raft;
    struct raft_configuration configuration;
    struct raft_options options;
    uint64_t now_ns, ticket;
    struct raft_outputs outputs;
    struct raft_message sent[SENT_MAX]; /* since bench_clear */
    size_t sent_count;
    bool saves; /* term and vote are durable at once */
};

/* `terms` are the terms of entries 1 .. last, durable. */
void bench_start(struct bench *bench, size_t voters, uint64_t term, uint64_t vote,
                 const uint64_t *terms, uint64_t last);
void bench_stop(struct bench *bench);
void bench_step(struct bench *bench, struct raft_event event);
void bench_event(struct bench *bench, enum raft_event_kind kind);
void bench_wait(struct bench *bench, uint64_t ns); /* and one tick */
void bench_save(struct bench *bench);
void bench_clear(struct bench *bench);

struct raft_message bench_from(uint64_t from, enum raft_message_kind kind, uint64_t term);
void bench_receive(struct bench *bench, struct raft_message message);
/* An append after entry `previous`@`previous_term` with `count` entries of these terms. */
void bench_append(struct bench *bench, uint64_t from, uint64_t term, uint64_t previous,
                  uint64_t previous_term, const uint64_t *terms, uint64_t count, uint64_t commit);
void bench_vote(struct bench *bench, uint64_t from, uint64_t term, uint64_t last,
                uint64_t last_term);
void bench_pre_vote(struct bench *bench, uint64_t from, uint64_t term, uint64_t last,
                    uint64_t last_term);
void bench_grant(struct bench *bench, uint64_t from, enum raft_message_kind kind);
/* What it has written, and what of that is durable. */
void bench_accept_written(struct bench *bench, uint64_t from, uint64_t written, uint64_t persisted);
void bench_accept(struct bench *bench, uint64_t from, uint64_t index); /* both */
void bench_heartbeat(struct bench *bench, uint64_t from, uint64_t term, uint64_t round);
void bench_heartbeat_answer(struct bench *bench, uint64_t from, uint64_t term, uint64_t round);
void bench_persist(struct bench *bench); /* everything appended so far */
void bench_elect(
    struct bench *bench); /* leader of the next term, no-op proposed and durable here */

const struct raft_message *bench_sent(const struct bench *bench, enum raft_message_kind kind,
                                      uint64_t to);
const struct raft_view *bench_view(const struct bench *bench);

#endif
