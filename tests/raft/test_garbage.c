/* Nothing from outside can make raft assert: messages, heartbeats, configurations and state records
 * of random content, with raft_validate after each. GARBAGE_SEED=n begins elsewhere. */
#include "base/random.h"
#include "tests/raft/bench.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES 60000

static uint64_t number(struct random *random)
{
    switch (random_below(random, 8)) {
    case 0: return random_next(random);
    case 1: return UINT64_MAX - random_below(random, 3);
    default: return random_below(random, 12);
    }
}

static void receive_garbage(struct bench *bench, struct random *random)
{
    uint64_t terms[16];
    struct raft_event event = {.kind = RAFT_RECEIVE, .entry_terms = terms};
    struct raft_message *m = &event.message;
    *m = bench_from(1 + random_below(random, 4), (enum raft_message_kind)random_below(random, 11),
                    number(random));
    if (random_below(random, 4) && bench_view(bench)->term < 1000000)
        m->term = bench_view(bench)->term + random_below(random, 2);
    m->index = number(random);
    m->log_term = number(random);
    m->last_index = m->index + random_below(random, 4);
    m->commit = number(random);
    m->acked = number(random);
    m->written = number(random);
    m->persisted = number(random);
    m->round = number(random);
    m->lease_remaining_ns = number(random);
    m->wall_us = (int64_t)number(random);
    m->granted = random_below(random, 2);
    m->transfer = random_below(random, 2);
    m->unsure = random_below(random, 2);
    m->everybody = random_below(random, 2);
    for (size_t i = 0; i < 16; i++)
        terms[i] = random_below(random, 3) ? m->log_term : number(random);
    bench_step(bench, event);
}

/* A snapshot comes from outside, too. */
static void install_garbage(struct bench *bench, struct random *random)
{
    struct raft_term_start starts[4];
    struct raft_configuration configuration = bench->configuration;
    for (size_t i = 0; i < 4; i++)
        starts[i] = (struct raft_term_start){1 + i + random_below(random, 2),
                                             1 + i * random_below(random, 4)};
    configuration.index = number(random);
    configuration.commit_quorum = 1 + (uint32_t)random_below(random, 3);
    bench_step(bench, (struct raft_event){.kind = RAFT_SNAPSHOT_INSTALLED,
                                          .index = number(random),
                                          .term = number(random),
                                          .configurations = &configuration,
                                          .terms = starts,
                                          .term_count = random_below(random, 5)});
}

/* Our own events, at any time. */
static void own_event(struct bench *bench, struct random *random)
{
    struct raft_event event = {.from = {random_below(random, 6)}, .index = number(random)};
    const struct raft_view *view = bench_view(bench);
    uint64_t done = view->commit < view->persisted ? view->commit : view->persisted;
    event.kind = random_below(random, 2) ? RAFT_SNAPSHOT_SENT : RAFT_TRANSFER;
    if (random_below(random, 8) == 0 && done >= view->first_index) {
        event.kind = RAFT_COMPACTED;
        event.index = view->first_index + random_below(random, done - view->first_index + 1);
    }
    bench_step(bench, event);
}

static void other_event(struct bench *bench, struct random *random)
{
    uint64_t from = random_below(random, 6);
    switch (random_below(random, 8)) {
    case 6: install_garbage(bench, random); break;
    case 7: own_event(bench, random); break;
    case 0: bench_heartbeat(bench, from, number(random), number(random)); break;
    case 1: bench_heartbeat_answer(bench, from, number(random), number(random)); break;
    case 2: bench_event(bench, RAFT_CAMPAIGN); break;
    case 3: bench_event(bench, RAFT_ROUND); break;
    case 4: bench_event(bench, RAFT_PROPOSE); break;
    default: bench_wait(bench, random_below(random, 3 * BENCH_TIMEOUT)); break;
    }
    if (random_below(random, 3) == 0)
        bench_persist(bench);
}

static void random_messages(void **state)
{
    static const uint64_t terms[] = {1, 1, 2, 2, 3};
    struct bench bench;
    struct random random;
    const char *seed = getenv("GARBAGE_SEED");
    (void)state;
    random_init(&random, seed ? strtoull(seed, NULL, 10) : 1);
    bench_start(&bench, 3, 3, 0, terms, 5);
    for (size_t i = 0; i < MESSAGES; i++) {
        if (i % 500 == 0) {
            bench_stop(&bench);
            bench_start(&bench, 3, 3, 0, terms, 5);
            if (random_below(&random, 2))
                bench_elect(&bench);
        }
        bench_clear(&bench);
        if (random_below(&random, 4))
            receive_garbage(&bench, &random);
        else
            other_event(&bench, &random);
    }
    bench_stop(&bench);
}

/* What decodes is valid and encodes to the same bytes; nothing else happens. RAFT-12. */
static void random_configurations(void **state)
{
    struct random random;
    struct buffer valid, copy;
    struct raft_configuration c = {.joint = true,
                                   .commit_quorum = 2,
                                   .election_quorum = 2,
                                   .old_commit_quorum = 1,
                                   .old_election_quorum = 1,
                                   .member_count = 3};
    (void)state;
    random_init(&random, 2);
    for (size_t i = 0; i < 3; i++)
        c.members[i] = (struct raft_member){{i + 300},          {i + 1},    RAFT_VOTER,
                                            i ? 0 : RAFT_VOTER, (uint8_t)i, i == 1};
    buffer_init(&valid, 4096);
    buffer_init(&copy, 4096);
    raft_configuration_encode(&c, &valid);
    for (size_t i = 0; i < 50000; i++) {
        uint8_t bytes[256];
        struct raft_configuration out;
        size_t size = random_below(&random, 4) ? valid.size : random_below(&random, valid.size + 1);
        memcpy(bytes, valid.at, size);
        for (uint64_t flips = random_below(&random, 3); flips && size; flips--)
            bytes[random_below(&random, size)] = (uint8_t)random_below(&random, 6);
        if (raft_configuration_decode(slice_of(bytes, size), &out))
            continue;
        buffer_reset(&copy);
        raft_configuration_encode(&out, &copy);
        assert_true(slice_equal(slice_of_buffer(&copy), slice_of(bytes, size)));
    }
    buffer_deinit(&valid);
    buffer_deinit(&copy);
}

static void quorums_that_do_not_meet(void **state)
{
    static const struct {
        uint32_t commit, election;
        bool valid;
    } rows[] = {{3, 3, true}, {2, 4, true},  {1, 5, true},  {2, 3, false}, {5, 2, false},
                {5, 3, true}, {0, 5, false}, {6, 5, false}, {1, 4, false}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[64] = {1, 0, (uint8_t)rows[i].commit, (uint8_t)rows[i].election, 5};
        size_t size = 5;
        for (uint8_t id = 1; id <= 5; id++) {
            bytes[size++] = id;
            bytes[size++] = id;
            bytes[size++] = RAFT_VOTER;
            size += 2;
        }
        struct raft_configuration out;
        assert_int_equal(raft_configuration_decode(slice_of(bytes, size), &out) == STATUS_OK,
                         rows[i].valid);
    }
}

static void damaged_state_record(void **state)
{
    struct bench bench;
    struct buffer bytes;
    struct raft_state out;
    (void)state;
    bench_start(&bench, 3, 3, 2, NULL, 0);
    buffer_init(&bytes, 100);
    raft_state_encode(bench.raft, &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_equal(raft_state_decode(slice_of(bytes.at, size), &out), STATUS_INVALID);
    assert_int_equal(raft_state_decode(slice_of_buffer(&bytes), &out), STATUS_OK);
    assert_int_equal(out.term, 3);
    assert_int_equal(out.vote.value, 2);
    bytes.at[0] = 9;
    assert_int_equal(raft_state_decode(slice_of_buffer(&bytes), &out), STATUS_INVALID);
    buffer_deinit(&bytes);
    bench_stop(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_messages),
        cmocka_unit_test(random_configurations),
        cmocka_unit_test(quorums_that_do_not_meet),
        cmocka_unit_test(damaged_state_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
