#include "tests/raft/bench.h"

void bench_start(struct bench *bench, size_t voters, uint64_t term, uint64_t vote,
                 const uint64_t *terms, uint64_t last)
{
    uint32_t majority = (uint32_t)voters / 2 + 1;
    struct raft_term_start starts[BENCH_TERMS_MAX];
    *bench = (struct bench){.now_ns = 1000 * BENCH_MS, .saves = true};
    bench->configuration.commit_quorum = bench->configuration.election_quorum = majority;
    for (size_t i = 0; i < voters; i++)
        bench->configuration.members[bench->configuration.member_count++] =
            (struct raft_member){.replica = {i + 1}, .node = {i + 1}, .kind = RAFT_VOTER};
    bench->options = (struct raft_options){.group = {7},
                                           .self = {1},
                                           .election_timeout_min_ns = BENCH_TIMEOUT,
                                           .election_timeout_max_ns = 2 * BENCH_TIMEOUT,
                                           .drift_ppm = 1000,
                                           .inflight_entries_max = 8,
                                           .inflight_bytes_max = 1000,
                                           .random_seed = 1};
    struct raft_restart restart = {.term = term,
                                   .vote = {vote},
                                   .last_index = last,
                                   .terms = starts,
                                   .configuration_count = 1,
                                   .configurations = &bench->configuration,
                                   .now_ns = bench->now_ns};
    for (uint64_t i = 1; i <= last; i++)
        if (i == 1 || terms[i - 1] != terms[i - 2])
            starts[restart.term_count++] = (struct raft_term_start){terms[i - 1], i};
    bench->raft = raft_create(&bench->options, &restart);
}

void bench_stop(struct bench *bench)
{
    raft_destroy(bench->raft);
}

void bench_clear(struct bench *bench)
{
    bench->sent_count = 0;
}

void bench_step(struct bench *bench, struct raft_event event)
{
    event.now_ns = bench->now_ns;
    event.wall_us = 1000000;
    raft_step(bench->raft, &event, &bench->outputs);
    raft_validate(bench->raft);
    for (size_t i = 0; i < bench->outputs.message_count; i++)
        bench->sent[bench->sent_count++] = bench->outputs.messages[i];
    if (bench->outputs.save_state && bench->saves)
        bench_save(bench);
}

void bench_event(struct bench *bench, enum raft_event_kind kind)
{
    bench_step(bench, (struct raft_event){.kind = kind});
}

void bench_wait(struct bench *bench, uint64_t ns)
{
    bench->now_ns += ns;
    bench_event(bench, RAFT_TICK);
}

void bench_save(struct bench *bench)
{
    uint64_t version = bench_view(bench)->state_version;
    bench_step(bench, (struct raft_event){.kind = RAFT_STATE_SAVED, .version = version});
}

struct raft_message bench_from(uint64_t from, enum raft_message_kind kind, uint64_t term)
{
    return (struct raft_message){
        .kind = kind, .group = {7}, .from = {from}, .to = {1}, .term = term};
}

void bench_receive(struct bench *bench, struct raft_message message)
{
    bench_step(bench, (struct raft_event){.kind = RAFT_RECEIVE, .message = message});
}

void bench_append(struct bench *bench, uint64_t from, uint64_t term, uint64_t previous,
                  uint64_t previous_term, const uint64_t *terms, uint64_t count, uint64_t commit)
{
    struct raft_event event = {.kind = RAFT_RECEIVE,
                               .message = bench_from(from, RAFT_APPEND, term)};
    event.message.index = previous;
    event.message.log_term = previous_term;
    event.message.last_index = previous + count;
    event.message.commit = commit;
    event.entry_terms = terms;
    bench_step(bench, event);
}

static void ask(struct bench *bench, struct raft_message message, uint64_t last, uint64_t last_term)
{
    message.index = last;
    message.log_term = last_term;
    bench_receive(bench, message);
}

void bench_vote(struct bench *bench, uint64_t from, uint64_t term, uint64_t last,
                uint64_t last_term)
{
    ask(bench, bench_from(from, RAFT_VOTE, term), last, last_term);
}

void bench_pre_vote(struct bench *bench, uint64_t from, uint64_t term, uint64_t last,
                    uint64_t last_term)
{
    ask(bench, bench_from(from, RAFT_PRE_VOTE, term), last, last_term);
}

void bench_grant(struct bench *bench, uint64_t from, enum raft_message_kind kind)
{
    uint64_t term = bench_view(bench)->term + (kind == RAFT_PRE_VOTE_ANSWER);
    struct raft_message message = bench_from(from, kind, term);
    message.granted = true;
    bench_receive(bench, message);
}

void bench_accept_written(struct bench *bench, uint64_t from, uint64_t written, uint64_t persisted)
{
    struct raft_message message = bench_from(from, RAFT_ACCEPT, bench_view(bench)->term);
    message.granted = true;
    message.written = written;
    message.persisted = persisted;
    bench_receive(bench, message);
}

void bench_accept(struct bench *bench, uint64_t from, uint64_t index)
{
    bench_accept_written(bench, from, index, index);
}

void bench_heartbeat(struct bench *bench, uint64_t from, uint64_t term, uint64_t round)
{
    bench_step(bench, (struct raft_event){
                          .kind = RAFT_HEARTBEAT, .from = {from}, .term = term, .round = round});
}

void bench_heartbeat_answer(struct bench *bench, uint64_t from, uint64_t term, uint64_t round)
{
    bench_step(bench, (struct raft_event){.kind = RAFT_HEARTBEAT_ANSWER,
                                          .from = {from},
                                          .term = term,
                                          .round = round,
                                          .agreed = true});
}

void bench_persist(struct bench *bench)
{
    bench->ticket++;
    bench_step(bench, (struct raft_event){.kind = RAFT_WRITTEN, .ticket = bench->ticket});
    bench_step(bench, (struct raft_event){.kind = RAFT_PERSISTED, .ticket = bench->ticket});
}

void bench_elect(struct bench *bench)
{
    size_t voters = bench->configuration.member_count;
    bench->now_ns += 3 * BENCH_TIMEOUT;
    bench_event(bench, RAFT_CAMPAIGN);
    for (size_t i = 2; i <= voters; i++)
        bench_grant(bench, i, RAFT_PRE_VOTE_ANSWER);
    for (size_t i = 2; i <= voters; i++)
        bench_grant(bench, i, RAFT_VOTE_ANSWER);
    assert_int_equal(bench_view(bench)->role, RAFT_LEADER);
    bench_event(bench, RAFT_PROPOSE);
    bench_persist(bench);
    bench_clear(bench);
}

const struct raft_message *bench_sent(const struct bench *bench, enum raft_message_kind kind,
                                      uint64_t to)
{
    for (size_t i = bench->sent_count; i > 0; i--)
        if (bench->sent[i - 1].kind == kind && bench->sent[i - 1].to.value == to)
            return &bench->sent[i - 1];
    return NULL;
}

const struct raft_view *bench_view(const struct bench *bench)
{
    return raft_view(bench->raft);
}
