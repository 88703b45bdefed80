/* One test for each sentence of Ongaro's dissertation (2014) about terms, elections, votes and
 * leases that binds raft/. The section stands above each test; the sentences are told in our words.
 */
#include "tests/raft/bench.h"

static const uint64_t ones[] = {1, 1, 1};

/* 3.3: a server that sees a newer term takes it over and is a follower. */
static void newer_term_makes_a_follower(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    struct raft_message message = bench_from(2, RAFT_ACCEPT, 9);
    bench_receive(&bench, message);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    assert_int_equal(bench_view(&bench)->term, 9);
    bench_stop(&bench);
}

/* 3.3: a request with a stale term is rejected, and the answer carries the newer term. */
static void stale_term_is_rejected(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 5, 0, ones, 3);
    bench_append(&bench, 2, 4, 3, 1, NULL, 0, 3);
    const struct raft_message *answer = bench_sent(&bench, RAFT_ACCEPT, 2);
    assert_non_null(answer);
    assert_false(answer->granted);
    assert_int_equal(answer->term, 5);
    assert_int_equal(bench_view(&bench)->commit, 0);
    bench_vote(&bench, 3, 4, 9, 4);
    answer = bench_sent(&bench, RAFT_VOTE_ANSWER, 3);
    assert_false(answer->granted);
    assert_int_equal(answer->term, 5);
    bench_stop(&bench);
}

/* 3.4: servers begin as followers, and stay so while they hear a leader. */
static void follower_while_a_leader_is_heard(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    for (int i = 0; i < 20; i++) {
        bench_wait(&bench, BENCH_TIMEOUT / 2);
        bench_heartbeat(&bench, 2, 1, 1);
        assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
        assert_int_equal(bench_view(&bench)->leader.value, 2);
    }
    bench_stop(&bench);
}

/* 3.4: who hears nothing for an election timeout begins an election (9.6: with a pre-vote). */
static void silence_begins_an_election(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_wait(&bench, BENCH_TIMEOUT - 1);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    bench_wait(&bench, BENCH_TIMEOUT + 1);
    assert_int_equal(bench_view(&bench)->role, RAFT_PRE_CANDIDATE);
    assert_non_null(bench_sent(&bench, RAFT_PRE_VOTE, 2));
    assert_non_null(bench_sent(&bench, RAFT_PRE_VOTE, 3));
    bench_stop(&bench);
}

/* 9.6: the term rises only after a won pre-vote. */
static void term_waits_for_the_pre_vote(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    for (int i = 0; i < 10; i++)
        bench_wait(&bench, 3 * BENCH_TIMEOUT);
    assert_int_equal(bench_view(&bench)->term, 1);
    assert_null(bench_sent(&bench, RAFT_VOTE, 2));
    bench_grant(&bench, 2, RAFT_PRE_VOTE_ANSWER);
    bench_grant(&bench, 3, RAFT_PRE_VOTE_ANSWER);
    assert_int_equal(bench_view(&bench)->term, 2);
    assert_int_equal(bench_view(&bench)->role, RAFT_CANDIDATE);
    assert_non_null(bench_sent(&bench, RAFT_VOTE, 2));
    bench_stop(&bench);
}

/* 9.6: a pre-vote is refused while a leader is heard; nothing changes by being asked. */
static void pre_vote_changes_nothing(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_heartbeat(&bench, 2, 1, 1);
    bench_pre_vote(&bench, 3, 9, 9, 8);
    assert_false(bench_sent(&bench, RAFT_PRE_VOTE_ANSWER, 3)->granted);
    assert_int_equal(bench_view(&bench)->term, 1);
    assert_int_equal(bench_view(&bench)->leader.value, 2);
    bench.now_ns += BENCH_TIMEOUT;
    bench_pre_vote(&bench, 3, 9, 9, 8);
    const struct raft_message *answer = bench_sent(&bench, RAFT_PRE_VOTE_ANSWER, 3);
    assert_true(answer->granted);
    assert_int_equal(answer->index, 3);
    assert_int_equal(answer->log_term, 1);
    assert_int_equal(bench_view(&bench)->term, 1);
    bench_stop(&bench);
}

static void make_candidate(struct bench *bench)
{
    bench->now_ns += 3 * BENCH_TIMEOUT;
    bench_event(bench, RAFT_CAMPAIGN);
    for (size_t i = 2; i <= bench->configuration.member_count; i++)
        bench_grant(bench, i, RAFT_PRE_VOTE_ANSWER);
    assert_int_equal(bench_view(bench)->role, RAFT_CANDIDATE);
}

/* 3.4: a candidate votes for itself and asks all others. RAFT-5: once that is durable. */
static void candidate_votes_for_itself_first(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench.saves = false;
    make_candidate(&bench);
    assert_null(bench_sent(&bench, RAFT_VOTE, 2));
    bench_grant(&bench, 2,
                RAFT_VOTE_ANSWER); /* of an impossible haste: the own vote does not count yet */
    assert_int_equal(bench_view(&bench)->role, RAFT_CANDIDATE);
    bench_save(&bench);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    bench_stop(&bench);
}

/* 3.4: it wins with the votes of a majority of the full cluster, not with fewer. */
static void majority_elects(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 5, 1, 0, ones, 3);
    make_candidate(&bench);
    bench_grant(&bench, 2, RAFT_VOTE_ANSWER);
    bench_grant(&bench, 2, RAFT_VOTE_ANSWER); /* the same voter twice is one vote */
    assert_int_equal(bench_view(&bench)->role, RAFT_CANDIDATE);
    bench_grant(&bench, 9, RAFT_VOTE_ANSWER); /* not a member */
    assert_int_equal(bench_view(&bench)->role, RAFT_CANDIDATE);
    bench_grant(&bench, 4, RAFT_VOTE_ANSWER);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    assert_true(bench.outputs.round_wanted); /* 3.4: it tells everybody at once */
    bench_stop(&bench);
}

/* 3.4: one vote for each term, first come first served; the same candidate may ask again. RAFT-1.
 */
static void one_vote_in_a_term(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_vote(&bench, 2, 2, 3, 1);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 2)->granted);
    bench_vote(&bench, 3, 2, 5, 1);
    assert_false(bench_sent(&bench, RAFT_VOTE_ANSWER, 3)->granted);
    bench_clear(&bench);
    bench_vote(&bench, 2, 2, 3, 1);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 2)->granted);
    bench_stop(&bench);
}

/* 3.4, 3.8: term and vote are on stable storage before the answer. RAFT-5. */
static void vote_is_durable_before_the_answer(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench.saves = false;
    bench_vote(&bench, 2, 2, 3, 1);
    assert_true(bench.outputs.save_state);
    assert_null(bench_sent(&bench, RAFT_VOTE_ANSWER, 2));
    bench_save(&bench);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 2)->granted);
    bench_stop(&bench);
}

/* 3.8: the vote survives a restart. */
static void vote_survives_a_restart(void **state)
{
    struct bench bench;
    struct buffer bytes;
    struct raft_state saved;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_vote(&bench, 2, 2, 3, 1);
    buffer_init(&bytes, 100);
    raft_state_encode(bench.raft, &bytes);
    assert_int_equal(raft_state_decode(slice_of_buffer(&bytes), &saved), STATUS_OK);
    buffer_deinit(&bytes);
    bench_stop(&bench);
    assert_int_equal(saved.self.value, 1);
    bench_start(&bench, 3, saved.term, saved.vote.value, ones, 3);
    bench_vote(&bench, 3, 2, 3, 1);
    assert_false(bench_sent(&bench, RAFT_VOTE_ANSWER, 3)->granted);
    bench_vote(&bench, 2, 2, 3, 1);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 2)->granted);
    bench_stop(&bench);
}

/* 3.4: a candidate that hears a leader of its term or a newer one gives up; of an older one it goes
 * on. */
static void candidate_yields_to_a_leader(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    make_candidate(&bench);
    bench_append(&bench, 2, 1, 3, 1, NULL, 0, 0);
    assert_int_equal(bench_view(&bench)->role, RAFT_CANDIDATE);
    bench_append(&bench, 2, 2, 3, 1, NULL, 0, 0);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    assert_int_equal(bench_view(&bench)->leader.value, 2);
    bench_stop(&bench);
}

/* 3.4: with a split vote nobody wins; each tries again after a time drawn at random. */
static void split_vote_is_tried_again(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    make_candidate(&bench);
    bench_receive(&bench, bench_from(2, RAFT_VOTE_ANSWER, 2));
    bench_receive(&bench, bench_from(3, RAFT_VOTE_ANSWER, 2));
    assert_int_not_equal(bench_view(&bench)->role, RAFT_LEADER);
    bench_clear(&bench);
    bench_wait(&bench, 2 * BENCH_TIMEOUT);
    assert_non_null(bench_sent(&bench, RAFT_PRE_VOTE, 2));
    bench_stop(&bench);
}

/* 3.4: timeouts are drawn from a fixed interval, so that they differ. */
static void timeouts_are_random(void **state)
{
    struct bench bench;
    uint64_t first = 0;
    bool differ = false;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    for (int i = 0; i < 100; i++) {
        bench_append(&bench, 2, 2 + (uint64_t)i, 3, 1, NULL, 0, 0);
        uint64_t timeout = bench_view(&bench)->deadline_ns - bench.now_ns;
        assert_in_range(timeout, BENCH_TIMEOUT, 2 * BENCH_TIMEOUT);
        differ = differ || (first && timeout != first);
        first = timeout;
    }
    assert_true(differ);
    bench_stop(&bench);
}

/* 3.6.1: a vote is refused when the voter's log is more up to date: first the last terms decide,
 * then the lengths. */
static void votes_only_for_an_up_to_date_log(void **state)
{
    static const uint64_t terms[] = {1, 2, 2};
    static const struct {
        uint64_t last, term;
        bool granted;
    } rows[] = {{3, 2, true}, {4, 2, true}, {2, 2, false}, {9, 1, false}, {1, 3, true}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench bench;
        bench_start(&bench, 3, 4, 0, terms, 3);
        bench_pre_vote(&bench, 2, 5, rows[i].last, rows[i].term);
        assert_int_equal(bench_sent(&bench, RAFT_PRE_VOTE_ANSWER, 2)->granted, rows[i].granted);
        bench_vote(&bench, 2, 5, rows[i].last, rows[i].term);
        assert_int_equal(bench_sent(&bench, RAFT_VOTE_ANSWER, 2)->granted, rows[i].granted);
        assert_int_equal(bench_view(&bench)->term,
                         5); /* refused or not, the newer term is taken over */
        bench_stop(&bench);
    }
}

/* 4.2.3: who has heard a leader within the minimum election timeout gives no vote and keeps its
 * term. RAFT-10. */
static void no_vote_while_a_leader_is_live(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_heartbeat(&bench, 2, 1, 1);
    bench.now_ns += BENCH_TIMEOUT - 1;
    bench_vote(&bench, 3, 2, 3, 1);
    assert_false(bench_sent(&bench, RAFT_VOTE_ANSWER, 3)->granted);
    assert_int_equal(bench_view(&bench)->term, 1);
    assert_int_equal(bench_view(&bench)->leader.value, 2);
    bench.now_ns += 1;
    bench_vote(&bench, 3, 2, 3, 1);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 3)->granted);
    bench_stop(&bench);
}

/* 3.10, 4.2.3: a vote that the leader itself asked for is not refused for its sake. */
static void transfer_is_not_refused(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_heartbeat(&bench, 2, 1, 1);
    struct raft_message message = bench_from(3, RAFT_VOTE, 2);
    message.index = 3;
    message.log_term = 1;
    message.transfer = true;
    message.round = 1;
    bench_receive(&bench, message);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 3)->granted);
    bench_stop(&bench);
}

/* 4.2.3: a leader that a quorum answers is not deposed by a candidate either. */
static void live_leader_gives_no_vote(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_event(&bench, RAFT_ROUND);
    bench_heartbeat_answer(&bench, 2, 2, bench_view(&bench)->round);
    bench_vote(&bench, 3, 3, 9, 2);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    assert_int_equal(bench_view(&bench)->term, 2);
    bench_stop(&bench);
}

/* 4.1: votes are given to candidates that the own configuration does not name. */
static void votes_for_an_unknown_candidate(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_vote(&bench, 8, 2, 4, 1);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 8)->granted);
    bench_stop(&bench);
}

/* 4.2.1: who is no voter never campaigns, but votes when asked (it may not know yet that it
 * counts). RAFT-8. */
static void learner_votes_but_never_runs(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_stop(&bench);
    struct raft_configuration c = bench.configuration;
    c.members[0].kind = RAFT_LEARNER;
    c.commit_quorum = c.election_quorum = 2;
    struct raft_restart restart = {
        .term = 1, .configuration_count = 1, .configurations = &c, .now_ns = bench.now_ns};
    bench.raft = raft_create(&bench.options, &restart);
    bench_heartbeat(&bench, 3, 1, 1);
    assert_int_equal(bench_view(&bench)->leader.value, 3);
    bench_wait(&bench, 10 * BENCH_TIMEOUT); /* it may have been removed: it knows no leader now */
    assert_int_equal(bench_view(&bench)->leader.value, 0);
    assert_true(bench_view(&bench)->deadline_ns == UINT64_MAX);
    bench_event(&bench, RAFT_CAMPAIGN);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    assert_int_equal(bench.sent_count, 0);
    bench_vote(&bench, 2, 2, 0, 0);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 2)->granted);
    bench_stop(&bench);
}

/* 6.2: a leader steps down when an election timeout passes without a round of heartbeats to a
 * majority. */
static void leader_without_a_quorum_steps_down(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_wait(&bench, BENCH_TIMEOUT);
    bench_event(&bench, RAFT_ROUND);
    bench_heartbeat_answer(&bench, 3, 2, bench_view(&bench)->round);
    bench_wait(&bench, 2 * BENCH_TIMEOUT - 1);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    bench_wait(&bench, 1);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    bench_stop(&bench);
}

/* 6.4: a read waits for an entry of the own term to be committed, and for a round begun after it.
 * RAFT-11. */
static void read_needs_a_later_round(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 5, 1, 0, ones, 3);
    bench_elect(&bench);
    assert_false(raft_is_serving(bench.raft));
    bench_accept(&bench, 2, 4);
    bench_accept(&bench, 3, 4);
    assert_true(raft_is_serving(bench.raft));
    bench_event(&bench, RAFT_ROUND);
    uint64_t round = bench_view(&bench)->round;
    bench_heartbeat_answer(&bench, 2, 2, round - 1);
    bench_heartbeat_answer(&bench, 3, 2, round - 1);
    assert_true(bench_view(&bench)->confirmed_round < round);
    bench_heartbeat_answer(&bench, 2, 2, round);
    bench_heartbeat_answer(&bench, 9, 2, round);
    assert_true(bench_view(&bench)->confirmed_round < round);
    bench_heartbeat_answer(&bench, 3, 2, round);
    assert_int_equal(bench_view(&bench)->confirmed_round, round);
    assert_int_equal(bench_view(&bench)->confirmed_start_ns, bench.now_ns);
    bench_stop(&bench);
}

/* 6.4.1: the lease runs from the start of the confirmed round for the minimum election timeout less
 * the drift. RAFT-10. */
static void lease_runs_from_the_start_of_the_round(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_accept(&bench, 2, 4);
    assert_false(raft_lease_is_valid(bench.raft, bench.now_ns));
    bench_event(&bench, RAFT_ROUND);
    uint64_t start = bench.now_ns, lease = BENCH_TIMEOUT - BENCH_TIMEOUT / 1000;
    bench.now_ns += 30 * BENCH_MS;
    bench_heartbeat_answer(&bench, 2, 2, bench_view(&bench)->round);
    assert_int_equal(bench_view(&bench)->lease_until_ns, start + lease);
    assert_true(raft_lease_is_valid(bench.raft, start + lease - 1));
    assert_false(raft_lease_is_valid(bench.raft, start + lease));
    bench_event(&bench, RAFT_STEP_DOWN);
    assert_false(raft_lease_is_valid(bench.raft, start));
    bench_stop(&bench);
}

/* R11: a restarted voter gives no vote for one minimum election timeout; alone it need not wait. */
static void restarted_voter_withholds_its_vote(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_stop(&bench);
    bench.options.restarted = true;
    struct raft_restart restart = {.term = 1,
                                   .configuration_count = 1,
                                   .configurations = &bench.configuration,
                                   .now_ns = bench.now_ns};
    bench.raft = raft_create(&bench.options, &restart);
    bench.now_ns += BENCH_TIMEOUT - 1;
    bench_vote(&bench, 2, 2, 3, 1);
    assert_false(bench_sent(&bench, RAFT_VOTE_ANSWER, 2)->granted);
    assert_int_equal(bench_view(&bench)->term, 1);
    bench.now_ns += 1;
    bench_vote(&bench, 2, 2, 3, 1);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 2)->granted);
    bench_stop(&bench);
    bench.configuration.member_count = bench.configuration.commit_quorum =
        bench.configuration.election_quorum = 1;
    bench.raft = raft_create(&bench.options, &restart);
    bench_wait(&bench, 0);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    bench_stop(&bench);
}

/* R11: a refused link hastens the pre-vote; the real vote still waits for the promise of the
 * voters. */
static void lost_link_shortens_no_promise(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_heartbeat(&bench, 2, 1, 1);
    uint64_t heard = bench.now_ns;
    bench.now_ns += 10 * BENCH_MS;
    bench_step(&bench, (struct raft_event){.kind = RAFT_PEER_LOST, .from = {2}});
    assert_true(bench_view(&bench)->deadline_ns <= bench.now_ns + BENCH_TIMEOUT / 4);
    bench_pre_vote(&bench, 3, 2, 3, 1);
    const struct raft_message *answer = bench_sent(&bench, RAFT_PRE_VOTE_ANSWER, 3);
    assert_true(answer->granted);
    assert_int_equal(answer->lease_remaining_ns, heard + BENCH_TIMEOUT - bench.now_ns);
    bench_vote(&bench, 3, 2, 3, 1);
    assert_false(bench_sent(&bench, RAFT_VOTE_ANSWER, 3)->granted);
    bench_event(&bench, RAFT_CAMPAIGN);
    bench_grant(&bench, 3, RAFT_PRE_VOTE_ANSWER);
    bench_wait(&bench, heard + BENCH_TIMEOUT - bench.now_ns - 1);
    assert_int_equal(bench_view(&bench)->role, RAFT_PRE_CANDIDATE);
    bench_wait(&bench, 1);
    assert_int_equal(bench_view(&bench)->role, RAFT_CANDIDATE);
    bench_stop(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newer_term_makes_a_follower),
        cmocka_unit_test(stale_term_is_rejected),
        cmocka_unit_test(follower_while_a_leader_is_heard),
        cmocka_unit_test(silence_begins_an_election),
        cmocka_unit_test(term_waits_for_the_pre_vote),
        cmocka_unit_test(pre_vote_changes_nothing),
        cmocka_unit_test(candidate_votes_for_itself_first),
        cmocka_unit_test(majority_elects),
        cmocka_unit_test(one_vote_in_a_term),
        cmocka_unit_test(vote_is_durable_before_the_answer),
        cmocka_unit_test(vote_survives_a_restart),
        cmocka_unit_test(candidate_yields_to_a_leader),
        cmocka_unit_test(split_vote_is_tried_again),
        cmocka_unit_test(timeouts_are_random),
        cmocka_unit_test(votes_only_for_an_up_to_date_log),
        cmocka_unit_test(no_vote_while_a_leader_is_live),
        cmocka_unit_test(transfer_is_not_refused),
        cmocka_unit_test(live_leader_gives_no_vote),
        cmocka_unit_test(votes_for_an_unknown_candidate),
        cmocka_unit_test(learner_votes_but_never_runs),
        cmocka_unit_test(leader_without_a_quorum_steps_down),
        cmocka_unit_test(read_needs_a_later_round),
        cmocka_unit_test(lease_runs_from_the_start_of_the_round),
        cmocka_unit_test(restarted_voter_withholds_its_vote),
        cmocka_unit_test(lost_link_shortens_no_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
