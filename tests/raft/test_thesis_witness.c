/* R14: a witness votes and keeps the tail of the log; it may lead only to hand both over. RAFT-18.
 */
#include "tests/raft/bench.h"

static const uint64_t ones[] = {1, 1, 1};

/* Replica 1 is the witness of three, with entries 1 to 3. */
static void start_witness(struct bench *bench)
{
    const struct raft_term_start start = {1, 1};
    bench_start(bench, 3, 1, 0, ones, 3);
    bench_stop(bench);
    bench->configuration.members[0].kind = RAFT_WITNESS;
    struct raft_restart restart = {.term = 1,
                                   .last_index = 3,
                                   .terms = &start,
                                   .term_count = 1,
                                   .configuration_count = 1,
                                   .configurations = &bench->configuration,
                                   .now_ns = bench->now_ns};
    bench->raft = raft_create(&bench->options, &restart);
}

static void answer_with(struct bench *bench, uint64_t from, uint64_t index)
{
    struct raft_message message = bench_from(from, RAFT_PRE_VOTE_ANSWER, 2);
    message.granted = true;
    message.index = index;
    message.log_term = 1;
    bench_receive(bench, message);
}

/* It votes, and lets the others run first. */
static void votes_and_waits(void **state)
{
    struct bench bench;
    (void)state;
    start_witness(&bench);
    assert_true(bench_view(&bench)->deadline_ns >= bench.now_ns + 3 * BENCH_TIMEOUT);
    bench_vote(&bench, 2, 2, 3, 1);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 2)->granted);
    bench_stop(&bench);
}

/* With an equal log it asks the voter with data to run. */
static void equal_log_is_not_enough(void **state)
{
    struct bench bench;
    (void)state;
    start_witness(&bench);
    bench_wait(&bench, 5 * BENCH_TIMEOUT);
    answer_with(&bench, 2, 3);
    assert_non_null(bench_sent(&bench, RAFT_RUN_NOW, 2));
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    bench_stop(&bench);
}

static void win(struct bench *bench)
{
    start_witness(bench);
    bench_wait(bench, 5 * BENCH_TIMEOUT);
    answer_with(bench, 2, 1);
    answer_with(bench, 3, 2);
    bench_grant(bench, 2, RAFT_VOTE_ANSWER);
    assert_int_equal(bench_view(bench)->role, RAFT_LEADER);
    bench_event(bench, RAFT_PROPOSE); /* its no-op */
    bench_persist(bench);
    assert_int_equal(bench_view(bench)->last_index, 4);
}

static void confirm(struct bench *bench)
{
    bench_event(bench, RAFT_ROUND);
    bench_heartbeat_answer(bench, 2, 2, bench_view(bench)->round);
    bench_heartbeat_answer(bench, 3, 2, bench_view(bench)->round);
}

/* With the best log it wins, serves nothing, and hands over to the most advanced one. */
static void hands_its_tail_over(void **state)
{
    struct bench bench;
    (void)state;
    win(&bench);
    bench_event(&bench, RAFT_PROPOSE);
    assert_int_equal(bench_view(&bench)->last_index, 4);
    bench_accept(&bench, 3, 4);
    assert_int_equal(bench_view(&bench)->commit, 4);
    assert_false(raft_is_serving(bench.raft));
    assert_int_equal(bench_view(&bench)->transfer_to.value, 0);
    confirm(&bench);
    assert_int_equal(bench_view(&bench)->transfer_to.value, 3);
    assert_true(bench_sent(&bench, RAFT_RUN_NOW, 3)->transfer);
    assert_false(raft_lease_is_valid(bench.raft, bench.now_ns));
    bench_stop(&bench);
}

/* It tries for as long as it has a quorum, and no longer. */
static void tries_again_while_it_has_a_quorum(void **state)
{
    struct bench bench;
    (void)state;
    win(&bench);
    confirm(&bench);
    assert_int_not_equal(bench_view(&bench)->transfer_to.value, 0);
    bench_wait(&bench, BENCH_TIMEOUT);
    assert_int_equal(bench_view(&bench)->transfer_to.value, 0);
    confirm(&bench);
    assert_int_not_equal(bench_view(&bench)->transfer_to.value, 0);
    bench_wait(&bench, BENCH_TIMEOUT);
    bench_wait(&bench, 2 * BENCH_TIMEOUT);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    bench_stop(&bench);
}

/* It keeps the tail until every voter with data has it, and hears of that from the leader. */
static void keeps_the_tail(void **state)
{
    struct bench bench;
    struct raft_event event = {.kind = RAFT_RECEIVE, .message = bench_from(2, RAFT_APPEND, 1)};
    (void)state;
    start_witness(&bench);
    event.message.index = event.message.last_index = 3;
    event.message.log_term = 1;
    event.message.commit = 3;
    event.message.persisted = 2;
    bench_step(&bench, event);
    assert_int_equal(bench_view(&bench)->everywhere, 2);
    bench_step(&bench, (struct raft_event){.kind = RAFT_COMPACTED, .index = 2});
    assert_int_equal(bench_view(&bench)->first_index, 3);
    bench_stop(&bench);
}

/* ... who counts the voters with data, and no witness. */
static void leader_says_what_is_everywhere(void **state)
{
    struct bench bench;
    struct raft_message message;
    uint64_t first, last;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_stop(&bench);
    bench.configuration.members[2].kind = RAFT_WITNESS;
    const struct raft_term_start start = {1, 1};
    struct raft_restart restart = {.term = 1,
                                   .last_index = 3,
                                   .terms = &start,
                                   .term_count = 1,
                                   .configuration_count = 1,
                                   .configurations = &bench.configuration,
                                   .now_ns = bench.now_ns};
    bench.raft = raft_create(&bench.options, &restart);
    bench_elect(&bench);
    bench_accept(&bench, 2, 4);
    assert_int_equal(
        raft_next_append(bench.raft, (struct replica_id){3}, false, &message, &first, &last),
        RAFT_NEXT_ENTRIES);
    assert_int_equal(message.persisted, 4);
    bench_event(&bench, RAFT_PROPOSE);
    bench_persist(&bench);
    bench_accept(&bench, 3, 5);
    assert_int_equal(bench_view(&bench)->commit, 5);         /* it counts in the quorum */
    assert_int_equal(raft_acked_by(bench.raft, 2, true), 4); /* and is no copy */
    bench_stop(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(votes_and_waits),     cmocka_unit_test(equal_log_is_not_enough),
        cmocka_unit_test(hands_its_tail_over), cmocka_unit_test(tries_again_while_it_has_a_quorum),
        cmocka_unit_test(keeps_the_tail),      cmocka_unit_test(leader_says_what_is_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
