/* R4: a replica that may have lost entries which it had said to be persisted. One test for each
 * sentence of the rule. RAFT-17. */
#include "tests/raft/bench.h"

static const uint64_t ones[] = {1, 1, 1};

/* Replica 1 of `voters`, unsure, with entries 1 to 3 of term 1 left. */
static void start_unsure(struct bench *bench, size_t voters)
{
    const struct raft_term_start start = {1, 1};
    bench_start(bench, voters, 1, 0, ones, 3);
    bench_stop(bench);
    struct raft_restart restart = {.term = 1,
                                   .unsure = true,
                                   .last_index = 3,
                                   .terms = &start,
                                   .term_count = 1,
                                   .configuration_count = 1,
                                   .configurations = &bench->configuration,
                                   .now_ns = bench->now_ns};
    bench->raft = raft_create(&bench->options, &restart);
    bench_event(bench, RAFT_TICK);
    assert_true(bench_view(bench)->unsure);
}

static void vote_for(struct bench *bench, bool everybody)
{
    struct raft_message vote = bench_from(2, RAFT_VOTE, 2);
    vote.index = 3;
    vote.log_term = 1;
    vote.everybody = everybody;
    bench_receive(bench, vote);
}

/* It does not vote, but in an election that every voter answers. */
static void votes_only_with_everybody(void **state)
{
    struct bench bench;
    (void)state;
    start_unsure(&bench, 3);
    bench_pre_vote(&bench, 2, 2, 3, 1);
    assert_true(bench_sent(&bench, RAFT_PRE_VOTE_ANSWER, 2)->unsure);
    vote_for(&bench, false);
    assert_false(bench_sent(&bench, RAFT_VOTE_ANSWER, 2)->granted);
    vote_for(&bench, true);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 2)->granted);
    bench_stop(&bench);
}

static void answer(struct bench *bench, uint64_t from, enum raft_message_kind kind, bool unsure)
{
    struct raft_message message =
        bench_from(from, kind, bench_view(bench)->term + (kind == RAFT_PRE_VOTE_ANSWER));
    message.granted = true;
    message.unsure = unsure;
    message.index = 3;
    message.log_term = 1;
    bench_receive(bench, message);
}

/* A candidate does not count what unsure voters would do; with all of them it needs every vote, and
 * its view says what kind of election it was. */
static void everybody_elects(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench.now_ns += 3 * BENCH_TIMEOUT;
    bench_event(&bench, RAFT_CAMPAIGN);
    answer(&bench, 2, RAFT_PRE_VOTE_ANSWER, true);
    bench_wait(&bench, 20 * BENCH_MS);
    assert_int_equal(bench_view(&bench)->role, RAFT_PRE_CANDIDATE);
    answer(&bench, 3, RAFT_PRE_VOTE_ANSWER, true);
    assert_int_equal(bench_view(&bench)->role, RAFT_CANDIDATE);
    assert_true(bench_sent(&bench, RAFT_VOTE, 2)->everybody);
    answer(&bench, 2, RAFT_VOTE_ANSWER, true);
    assert_int_equal(bench_view(&bench)->role, RAFT_CANDIDATE);
    answer(&bench, 3, RAFT_VOTE_ANSWER, true);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    assert_true(bench_view(&bench)->unsure_election);
    bench_event(&bench, RAFT_STEP_DOWN);
    assert_false(bench_view(&bench)->unsure_election);
    bench_stop(&bench);
}

/* Enough sure voters elect as ever. */
static void sure_voters_elect(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench.now_ns += 3 * BENCH_TIMEOUT;
    bench_event(&bench, RAFT_CAMPAIGN);
    answer(&bench, 2, RAFT_PRE_VOTE_ANSWER, true);
    answer(&bench, 3, RAFT_PRE_VOTE_ANSWER, false);
    assert_int_equal(bench_view(&bench)->role, RAFT_CANDIDATE);
    assert_false(bench_sent(&bench, RAFT_VOTE, 2)->everybody);
    answer(&bench, 3, RAFT_VOTE_ANSWER, false);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    assert_false(bench_view(&bench)->unsure_election);
    bench_stop(&bench);
}

/* It does not lead, however many would have it, unless everybody answers. */
static void unsure_candidate_needs_everybody(void **state)
{
    struct bench bench;
    (void)state;
    start_unsure(&bench, 5);
    bench.now_ns += 3 * BENCH_TIMEOUT;
    bench_event(&bench, RAFT_CAMPAIGN);
    for (uint64_t id = 2; id <= 4; id++)
        answer(&bench, id, RAFT_PRE_VOTE_ANSWER, false);
    bench_wait(&bench, 20 * BENCH_MS);
    assert_int_equal(bench_view(&bench)->role, RAFT_PRE_CANDIDATE);
    answer(&bench, 5, RAFT_PRE_VOTE_ANSWER, false);
    assert_int_equal(bench_view(&bench)->role, RAFT_CANDIDATE);
    bench_stop(&bench);
}

/* Nor is leadership handed to it. */
static void no_transfer_to_an_unsure_one(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    struct raft_message accept = bench_from(2, RAFT_ACCEPT, 2);
    accept.granted = accept.unsure = true;
    accept.written = 4;
    bench_receive(&bench, accept);
    bench_step(&bench, (struct raft_event){.kind = RAFT_TRANSFER, .from = {2}});
    assert_int_equal(bench_view(&bench)->transfer_to.value, 0);
    bench_stop(&bench);
}

/* Its old log is not counted; what it gets now is. */
static void old_log_is_not_counted(void **state)
{
    static const uint64_t twos[] = {2};
    struct bench bench;
    (void)state;
    start_unsure(&bench, 3);
    bench_append(&bench, 2, 2, 3, 1, NULL, 0, 0);
    const struct raft_message *accept = bench_sent(&bench, RAFT_ACCEPT, 2);
    assert_true(accept->unsure);
    assert_int_equal(accept->written, 3);
    assert_int_equal(accept->persisted, 0);
    bench_append(&bench, 2, 2, 3, 1, twos, 1, 0);
    bench_persist(&bench);
    assert_int_equal(bench_sent(&bench, RAFT_ACCEPT, 2)->persisted, 4);
    bench_stop(&bench);
}

/* The leader that hears of it counts what it had said no more, and begins anew. */
static void leader_forgets_the_old_word(void **state)
{
    struct bench bench;
    struct raft_progress progress;
    struct raft_message message;
    uint64_t first, last;
    const struct replica_id two = {2};
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_event(&bench, RAFT_PROPOSE); /* entry 5, not yet durable here */
    bench_accept(&bench, 2, 5);
    struct raft_message reject = bench_from(2, RAFT_ACCEPT, 2);
    reject.unsure = true;
    reject.index = 5;
    reject.written = 3;
    reject.log_term = 1;
    bench_receive(&bench, reject);
    assert_int_equal(raft_progress(bench.raft, two, &progress), STATUS_OK);
    assert_int_equal(progress.persisted, 0);
    bench_persist(&bench);
    assert_int_equal(bench_view(&bench)->commit, 4); /* not 5: that is on one disk only */
    assert_int_equal(raft_next_append(bench.raft, two, false, &message, &first, &last),
                     RAFT_NEXT_ENTRIES);
    assert_true(message.unsure);
    bench_accept(&bench, 2, 5);
    assert_int_equal(bench_view(&bench)->commit, 5);
    bench_stop(&bench);
}

static void append_of_a_leader_that_knows(struct bench *bench, uint64_t previous,
                                          uint64_t previous_term, uint64_t commit)
{
    struct raft_event event = {.kind = RAFT_RECEIVE, .message = bench_from(2, RAFT_APPEND, 2)};
    event.message.index = event.message.last_index = previous;
    event.message.log_term = previous_term;
    event.message.commit = commit;
    event.message.unsure = true;
    bench_step(bench, event);
}

/* Sure again when a leader that knows of it has brought it to its commit index, and an entry of
 * that leader's term is among that. */
static void sure_at_the_commit_of_a_leader(void **state)
{
    static const uint64_t twos[] = {2, 2};
    struct bench bench;
    (void)state;
    start_unsure(&bench, 3);
    bench_append(&bench, 2, 2, 3, 1, twos, 1, 4); /* from before it knew: its commit may be older */
    bench_persist(&bench);
    assert_int_equal(bench_view(&bench)->commit, 4);
    assert_true(bench_view(&bench)->unsure);
    append_of_a_leader_that_knows(&bench, 4, 2, 5);
    assert_true(bench_view(&bench)->unsure); /* it has 4 of 5 */
    bench_append(&bench, 2, 2, 4, 2, twos, 1, 5);
    assert_true(bench_view(&bench)->unsure); /* 5 is not durable */
    bench_clear(&bench);
    bench_persist(&bench);
    assert_false(bench_view(&bench)->unsure);
    assert_false(bench_sent(&bench, RAFT_ACCEPT, 2)->unsure);
    bench.now_ns += 2 * BENCH_TIMEOUT;
    struct raft_message vote = bench_from(3, RAFT_VOTE, 3);
    vote.index = 5;
    vote.log_term = 2;
    bench_receive(&bench, vote);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 3)->granted);
    bench_stop(&bench);
}

/* Its old log counts from the commit index of a leader that knows on, and no sooner: that leader
 * may have nothing more to send, and need its word for the first entry of its term. */
static void old_log_counts_for_a_leader_that_knows(void **state)
{
    struct bench bench;
    (void)state;
    start_unsure(&bench, 3);
    bench_append(&bench, 2, 2, 2, 1, NULL, 0, 0);
    append_of_a_leader_that_knows(&bench, 2, 1, 3);
    assert_int_equal(bench_sent(&bench, RAFT_ACCEPT, 2)->persisted, 0); /* it has 2 of 3 */
    append_of_a_leader_that_knows(&bench, 3, 1, 3);
    assert_int_equal(bench_sent(&bench, RAFT_ACCEPT, 2)->persisted, 3);
    assert_true(bench_sent(&bench, RAFT_ACCEPT, 2)->unsure); /* counted, and not sure for that */
    bench_append(&bench, 3, 3, 3, 1, NULL, 0, 0);            /* the next leader does not know yet */
    assert_int_equal(bench_sent(&bench, RAFT_ACCEPT, 3)->persisted, 0);
    bench_stop(&bench);
}

/* Who says for the first time that it is unsure is told of the commit index at once, though it
 * lacks nothing. */
static void doubt_is_answered(void **state)
{
    struct bench bench;
    struct raft_message message;
    uint64_t first, last;
    const struct replica_id two = {2};
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    struct raft_message accept = bench_from(2, RAFT_ACCEPT, 2);
    accept.granted = accept.unsure = true;
    accept.written = 4;
    bench_receive(&bench, accept);
    assert_int_equal(raft_next_append(bench.raft, two, false, &message, &first, &last),
                     RAFT_NEXT_ENTRIES);
    assert_true(message.unsure);
    assert_int_equal(message.index, 4);
    bench_step(&bench, (struct raft_event){.kind = RAFT_SENT, .from = two, .index = 4});
    bench_receive(&bench, accept);
    assert_int_equal(raft_next_append(bench.raft, two, false, &message, &first, &last),
                     RAFT_NEXT_NOTHING);
    bench_stop(&bench);
}

/* An entry of an older term is not enough: its leader may not know yet what is committed. */
static void older_commit_is_not_enough(void **state)
{
    struct bench bench;
    (void)state;
    start_unsure(&bench, 3);
    append_of_a_leader_that_knows(&bench, 3, 1, 3);
    assert_int_equal(bench_view(&bench)->commit, 3);
    assert_true(bench_view(&bench)->unsure);
    bench_stop(&bench);
}

/* It is remembered over a restart in between, and forgotten with it. */
static void state_record_says_so(void **state)
{
    struct bench bench;
    struct buffer bytes;
    struct raft_state saved;
    (void)state;
    start_unsure(&bench, 3);
    assert_true(bench_view(&bench)->state_version > 0); /* it was asked to be saved */
    buffer_init(&bytes, 100);
    raft_state_encode(bench.raft, &bytes);
    assert_int_equal(raft_state_decode(slice_of_buffer(&bytes), &saved), STATUS_OK);
    assert_true(saved.unsure);
    assert_int_equal(saved.term, 1);
    bench_stop(&bench);
    bench_start(&bench, 3, 1, 0, ones, 3);
    buffer_reset(&bytes);
    raft_state_encode(bench.raft, &bytes);
    assert_int_equal(raft_state_decode(slice_of_buffer(&bytes), &saved), STATUS_OK);
    assert_false(saved.unsure);
    buffer_deinit(&bytes);
    bench_stop(&bench);
}

/* Alone it is everybody. */
static void alone_it_is_everybody(void **state)
{
    struct bench bench;
    (void)state;
    start_unsure(&bench, 1);
    bench_event(&bench, RAFT_CAMPAIGN);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    assert_true(bench_view(&bench)->unsure_election);
    bench_event(&bench, RAFT_PROPOSE);
    bench_persist(&bench);
    assert_false(bench_view(&bench)->unsure);
    bench_stop(&bench);
}

/* RAFT-19: committed through 3, and the leader of an unsure election has its first entry there. */
static void what_is_void_is_given_up(void **state)
{
    struct bench bench;
    static const uint64_t next[] = {2, 2};
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_append(&bench, 2, 1, 3, 1, NULL, 0, 3);
    assert_int_equal(bench_view(&bench)->commit, 3);
    bench_clear(&bench);
    struct raft_message append = bench_from(3, RAFT_APPEND, 2);
    struct raft_event event = {.kind = RAFT_RECEIVE, .entry_terms = next};
    append.index = 2;
    append.log_term = 1;
    append.last_index = 3;
    append.history = (struct raft_history){2, 3};
    event.message = append;
    bench_step(&bench, event);
    assert_int_equal(bench_view(&bench)->void_from, 3);
    assert_int_equal(bench_view(&bench)->last_index, 3); /* nothing is cut before it is set aside */
    assert_null(bench_sent(&bench, RAFT_ACCEPT, 3));
    bench_step(&bench, (struct raft_event){.kind = RAFT_BEGIN_ANEW,
                                           .configurations = &bench.configuration});
    assert_int_equal(bench_view(&bench)->last_index, 0);
    assert_int_equal(bench_view(&bench)->commit, 0);
    bench_step(&bench, event); /* sent again: it wants all */
    const struct raft_message *reject = bench_sent(&bench, RAFT_ACCEPT, 3);
    assert_non_null(reject);
    assert_false(reject->granted);
    assert_int_equal(reject->written, 0);
    bench_stop(&bench);
}

/* RAFT-19: a member that has not heard of the new history sends what is void. */
static void snapshots_of_another_history(void **state)
{
    struct bench bench;
    uint64_t from = 0;
    static const struct raft_term_start of_it[] = {{1, 1}, {2, 3}}, old[] = {{1, 1}},
                                        other[] = {{2, 3}};
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 2);
    bench_append(&bench, 2, 1, 2, 1, NULL, 0, 2);
    struct raft_message offer = bench_from(3, RAFT_SNAPSHOT_OFFER, 2);
    offer.index = 5;
    offer.log_term = 2;
    offer.history = (struct raft_history){2, 3};
    bench_receive(&bench, offer);
    assert_int_equal(bench_view(&bench)->offered_index, 5);
    struct raft_term_start last = {2, 6};
    assert_int_equal(raft_judge_snapshot(bench.raft, last, of_it, 2, &from), RAFT_KINSHIP_SAME);
    last.term = 1;
    assert_int_equal(raft_judge_snapshot(bench.raft, last, old, 1, &from), RAFT_KINSHIP_FOREIGN);
    last.term = 2; /* it has the history, and not what is committed here */
    assert_int_equal(raft_judge_snapshot(bench.raft, last, other, 1, &from), RAFT_KINSHIP_VOID);
    assert_int_equal(from, 1);
    bench_step(&bench, (struct raft_event){.kind = RAFT_FOUND_VOID, .index = from});
    assert_int_equal(bench_view(&bench)->void_from, 1);
    bench_stop(&bench);
}

/* RAFT-19: leaders are who must know it, after a restart, too. */
static void history_is_in_the_state_record(void **state)
{
    struct bench bench;
    struct buffer bytes;
    struct raft_state saved;
    (void)state;
    start_unsure(&bench, 1);
    bench_event(&bench, RAFT_CAMPAIGN);
    buffer_init(&bytes, 100);
    raft_state_encode(bench.raft, &bytes);
    assert_int_equal(raft_state_decode(slice_of_buffer(&bytes), &saved), STATUS_OK);
    assert_int_equal(saved.history.term, 2);
    assert_int_equal(saved.history.index, 4);
    assert_true(saved.unsure);
    memset(bytes.at + 25, 0, 8); /* an index without a term */
    assert_int_equal(raft_state_decode(slice_of_buffer(&bytes), &saved), STATUS_INVALID);
    buffer_deinit(&bytes);
    bench_stop(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(votes_only_with_everybody),
        cmocka_unit_test(everybody_elects),
        cmocka_unit_test(sure_voters_elect),
        cmocka_unit_test(unsure_candidate_needs_everybody),
        cmocka_unit_test(no_transfer_to_an_unsure_one),
        cmocka_unit_test(old_log_is_not_counted),
        cmocka_unit_test(leader_forgets_the_old_word),
        cmocka_unit_test(sure_at_the_commit_of_a_leader),
        cmocka_unit_test(older_commit_is_not_enough),
        cmocka_unit_test(old_log_counts_for_a_leader_that_knows),
        cmocka_unit_test(doubt_is_answered),
        cmocka_unit_test(state_record_says_so),
        cmocka_unit_test(alone_it_is_everybody),
        cmocka_unit_test(what_is_void_is_given_up),
        cmocka_unit_test(snapshots_of_another_history),
        cmocka_unit_test(history_is_in_the_state_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
