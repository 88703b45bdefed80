/* One test for each sentence of Ongaro's dissertation (2014), section 3.10, about handing
 * leadership over, and for what R11 and R17 add to it. RAFT-13. */
#include "tests/raft/bench.h"

static const uint64_t ones[] = {1, 1, 1};

/* Leader of term 2; entry 4 is its no-op, committed; round 1 is confirmed by 2 and 3. */
static void lead(struct bench *bench)
{
    bench_start(bench, 3, 1, 0, ones, 3);
    bench_elect(bench);
    bench_accept(bench, 2, 4);
    bench_accept(bench, 3, 4);
    bench_event(bench, RAFT_ROUND);
    bench_heartbeat_answer(bench, 2, 2, bench_view(bench)->round);
    bench_heartbeat_answer(bench, 3, 2, bench_view(bench)->round);
    bench_clear(bench);
    assert_true(raft_lease_is_valid(bench->raft, bench->now_ns));
}

static void hand_over(struct bench *bench, uint64_t to)
{
    bench_step(bench, (struct raft_event){.kind = RAFT_TRANSFER, .from = {to}});
}

/* A round that begins a moment later is confirmed by both others. */
static void confirm_a_round(struct bench *bench)
{
    bench->now_ns += 1;
    bench_event(bench, RAFT_ROUND);
    uint64_t round = bench_view(bench)->round;
    bench_heartbeat_answer(bench, 2, 2, round);
    bench_heartbeat_answer(bench, 3, 2, round);
}

/* 3.10: the prior leader stops accepting what clients want. */
static void no_proposals_while_handing_over(void **state)
{
    struct bench bench;
    (void)state;
    lead(&bench);
    hand_over(&bench, 2);
    assert_int_equal(bench_view(&bench)->transfer_to.value, 2);
    bench_event(&bench, RAFT_PROPOSE);
    assert_int_equal(bench_view(&bench)->last_index, 4);
    assert_false(raft_is_serving(bench.raft));
    bench_stop(&bench);
}

/* R11: the lease is given up when the other is asked, and no round brings it back meanwhile. */
static void lease_is_given_up_first(void **state)
{
    struct bench bench;
    (void)state;
    lead(&bench);
    hand_over(&bench, 2);
    assert_null(bench_sent(&bench, RAFT_RUN_NOW, 2));
    assert_int_not_equal(bench_view(&bench)->lease_until_ns, 0);
    confirm_a_round(&bench);
    assert_int_equal(bench_view(&bench)->lease_until_ns, 0);
    uint64_t round = bench_view(&bench)->round;
    assert_int_equal(bench_sent(&bench, RAFT_RUN_NOW, 2)->round, round);
    bench_event(&bench, RAFT_ROUND);
    assert_int_equal(bench_view(&bench)->round, round);
    bench_heartbeat_answer(&bench, 3, 2, round);
    assert_int_equal(bench_view(&bench)->lease_until_ns, 0);
    bench_stop(&bench);
}

/* 3.10: it brings the target's log up to its own first, then asks it to run. */
static void target_is_brought_up_to_date(void **state)
{
    struct bench bench;
    (void)state;
    lead(&bench);
    bench_event(&bench, RAFT_PROPOSE);
    bench_persist(&bench);
    hand_over(&bench, 3);
    bench_accept(&bench, 2, 5);
    confirm_a_round(&bench);
    assert_null(bench_sent(&bench, RAFT_RUN_NOW, 3));
    bench_accept(&bench, 3, 5);
    assert_true(bench_sent(&bench, RAFT_RUN_NOW, 3)->transfer);
    bench_stop(&bench);
}

/* RAFT-20: who waits for this leader is answered before another may begin: a read by a round that
 * begins after it, ... */
static void reads_are_answered_first(void **state)
{
    struct bench bench;
    (void)state;
    lead(&bench);
    bench_event(&bench,
                RAFT_ROUND); /* at the same time as the last read, maybe: it proves nothing */
    hand_over(&bench, 2);
    bench_heartbeat_answer(&bench, 2, 2, bench_view(&bench)->round);
    assert_null(bench_sent(&bench, RAFT_RUN_NOW, 2));
    bench_clear(&bench);
    bench.now_ns += 1;
    bench_heartbeat_answer(&bench, 3, 2, bench_view(&bench)->round);
    assert_null(bench_sent(&bench, RAFT_RUN_NOW, 2));
    assert_true(bench.outputs.round_wanted);
    confirm_a_round(&bench);
    assert_non_null(bench_sent(&bench, RAFT_RUN_NOW, 2));
    bench_stop(&bench);
}

/* ... a write by its commit, although the target has it already, ... */
static void writes_are_committed_first(void **state)
{
    struct bench bench;
    (void)state;
    lead(&bench);
    bench_event(&bench, RAFT_PROPOSE);
    hand_over(&bench, 3);
    bench_accept_written(&bench, 3, 5, 4); /* not synced there yet, nor here */
    confirm_a_round(&bench);
    assert_null(bench_sent(&bench, RAFT_RUN_NOW, 3));
    bench_persist(&bench);
    bench_accept(&bench, 2, 5);
    bench_wait(&bench, BENCH_TIMEOUT / 2);
    assert_non_null(bench_sent(&bench, RAFT_RUN_NOW, 3));
    bench_stop(&bench);
}

/* ... and one that asks for all copies by all that are in sync, but not for ever. */
static void copies_are_waited_for(void **state)
{
    struct bench bench;
    (void)state;
    for (int late = 0; late < 2; late++) {
        lead(&bench);
        bench_event(&bench, RAFT_PROPOSE);
        bench_persist(&bench);
        hand_over(&bench, 2);
        bench_accept(&bench, 2, 5);
        confirm_a_round(&bench);
        assert_int_equal(bench_view(&bench)->commit, 5);
        assert_null(bench_sent(&bench, RAFT_RUN_NOW, 2));
        if (late)
            bench_wait(&bench, BENCH_TIMEOUT / 2);
        else
            bench_accept(&bench, 3, 5);
        assert_non_null(bench_sent(&bench, RAFT_RUN_NOW, 2));
        bench_stop(&bench);
    }
}

/* 3.7: whatever is lost is sent again. */
static void lost_request_is_sent_again(void **state)
{
    struct bench bench;
    (void)state;
    lead(&bench);
    hand_over(&bench, 2);
    confirm_a_round(&bench);
    bench_clear(&bench);
    bench.now_ns += BENCH_TIMEOUT / 4 - 1;
    bench_event(&bench, RAFT_ROUND);
    assert_null(bench_sent(&bench, RAFT_RUN_NOW, 2));
    bench.now_ns += 1;
    bench_event(&bench, RAFT_ROUND);
    assert_non_null(bench_sent(&bench, RAFT_RUN_NOW, 2));
    bench_stop(&bench);
}

/* 3.10: when the transfer is not done after about an election timeout, it leads on. The lease comes
 * back with a later round only. */
static void leads_on_after_a_timeout(void **state)
{
    struct bench bench;
    (void)state;
    lead(&bench);
    hand_over(&bench, 2);
    confirm_a_round(&bench);
    uint64_t round = bench_view(&bench)->round;
    assert_int_equal(bench_view(&bench)->deadline_ns, bench.now_ns + BENCH_TIMEOUT);
    bench_wait(&bench, BENCH_TIMEOUT - 1);
    assert_int_equal(bench_view(&bench)->transfer_to.value, 2);
    bench_wait(&bench, 1);
    assert_int_equal(bench_view(&bench)->transfer_to.value, 0);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    assert_true(raft_is_serving(bench.raft));
    assert_true(bench.outputs.round_wanted);
    bench_heartbeat_answer(&bench, 2, 2, round);
    assert_false(raft_lease_is_valid(bench.raft, bench.now_ns));
    bench_event(&bench, RAFT_ROUND);
    bench_heartbeat_answer(&bench, 2, 2, round + 1);
    assert_true(raft_lease_is_valid(bench.raft, bench.now_ns));
    bench_event(&bench, RAFT_PROPOSE);
    assert_int_equal(bench_view(&bench)->last_index, 5);
    bench_stop(&bench);
}

/* 3.10: the target's campaign makes the leader a follower, and it may vote for it. */
static void leader_votes_for_the_target(void **state)
{
    struct bench bench;
    (void)state;
    lead(&bench);
    hand_over(&bench, 2);
    struct raft_message vote = bench_from(2, RAFT_VOTE, 3);
    vote.index = 4;
    vote.log_term = 2;
    vote.transfer = true;
    vote.round = bench_view(&bench)->round;
    bench_receive(&bench, vote);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    assert_int_equal(bench_view(&bench)->transfer_to.value, 0);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 2)->granted);
    bench_stop(&bench);
}

/* 3.10: the target starts its election at once, without waiting for a timeout. */
static void target_runs_at_once(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 2, 0, ones, 3);
    bench_heartbeat(&bench, 2, 2, 7);
    struct raft_message message = bench_from(2, RAFT_RUN_NOW, 2);
    message.transfer = true;
    message.round = 7;
    bench_receive(&bench, message);
    assert_int_equal(bench_view(&bench)->role, RAFT_PRE_CANDIDATE);
    assert_int_equal(bench_sent(&bench, RAFT_PRE_VOTE, 3)->round, 7);
    bench_heartbeat(&bench, 2, 2, 7); /* it still calls everybody together while it waits */
    assert_int_equal(bench_view(&bench)->role, RAFT_PRE_CANDIDATE);
    bench_grant(&bench, 3, RAFT_PRE_VOTE_ANSWER);
    assert_int_equal(bench_view(&bench)->role, RAFT_CANDIDATE);
    assert_true(bench_sent(&bench, RAFT_VOTE, 3)->transfer);
    assert_int_equal(bench_sent(&bench, RAFT_VOTE, 3)->round, 7);
    bench_stop(&bench);
}

/* A later round of the leader takes back what it allowed: from the target ... */
static void late_request_does_not_run(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 2, 0, ones, 3);
    bench_heartbeat(&bench, 2, 2, 8);
    struct raft_message message = bench_from(2, RAFT_RUN_NOW, 2);
    message.transfer = true;
    message.round = 7;
    bench_receive(&bench, message);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    message.round = 8;
    bench_receive(&bench, message);
    assert_int_equal(bench_view(&bench)->role, RAFT_PRE_CANDIDATE);
    bench_heartbeat(&bench, 2, 2, 9);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    bench_stop(&bench);
}

/* ... and from the voters. */
static void late_campaign_is_an_ordinary_one(void **state)
{
    static const struct {
        uint64_t round;
        bool granted;
    } rows[] = {{7, false}, {8, true}, {9, true}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bench bench;
        bench_start(&bench, 3, 2, 0, ones, 3);
        bench_heartbeat(&bench, 2, 2, 8);
        struct raft_message message = bench_from(3, RAFT_PRE_VOTE, 3);
        message.index = 3;
        message.log_term = 1;
        message.transfer = true;
        message.round = rows[i].round;
        bench_receive(&bench, message);
        assert_int_equal(bench_sent(&bench, RAFT_PRE_VOTE_ANSWER, 3)->granted, rows[i].granted);
        message.kind = RAFT_VOTE;
        bench_receive(&bench, message);
        assert_int_equal(bench_sent(&bench, RAFT_VOTE_ANSWER, 3)->granted, rows[i].granted);
        assert_int_equal(bench_view(&bench)->term, rows[i].granted ? 3 : 2);
        bench_stop(&bench);
    }
}

/* R11: a promise that a restart has forgotten cannot be released. */
static void restarted_voter_still_withholds(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_stop(&bench);
    bench.options.restarted = true;
    struct raft_restart restart = {.term = 2,
                                   .configuration_count = 1,
                                   .configurations = &bench.configuration,
                                   .now_ns = bench.now_ns};
    bench.raft = raft_create(&bench.options, &restart);
    bench_heartbeat(&bench, 2, 2, 7);
    struct raft_message vote = bench_from(3, RAFT_VOTE, 3);
    vote.transfer = true;
    vote.round = 7;
    bench_receive(&bench, vote);
    assert_false(bench_sent(&bench, RAFT_VOTE_ANSWER, 3)->granted);
    bench.now_ns += BENCH_TIMEOUT;
    bench_heartbeat(&bench, 2, 2, 7);
    bench_receive(&bench, vote);
    assert_true(bench_sent(&bench, RAFT_VOTE_ANSWER, 3)->granted);
    bench_stop(&bench);
}

/* R17: to nobody in particular is to the most advanced one; among equals the priority decides. */
static void best_candidate_is_chosen(void **state)
{
    struct bench bench;
    (void)state;
    lead(&bench);
    bench_event(&bench, RAFT_PROPOSE);
    bench_persist(&bench);
    bench_accept(&bench, 3, 5);
    hand_over(&bench, 0);
    assert_int_equal(bench_view(&bench)->transfer_to.value, 3);
    confirm_a_round(&bench);
    bench_wait(&bench, BENCH_TIMEOUT / 2);
    assert_non_null(bench_sent(&bench, RAFT_RUN_NOW, 3));
    bench_stop(&bench);
    lead(&bench);
    hand_over(&bench, 0);
    assert_int_equal(bench_view(&bench)->transfer_to.value, 2); /* equals: the lower id */
    bench_stop(&bench);
}

/* Nobody is asked who could not lead: a stranger, this replica, one that is not heard. */
static void impossible_targets_are_refused(void **state)
{
    struct bench bench;
    (void)state;
    lead(&bench);
    hand_over(&bench, 1);
    hand_over(&bench, 9);
    assert_int_equal(bench_view(&bench)->transfer_to.value, 0);
    bench.now_ns += 2 * BENCH_TIMEOUT - 1;
    bench_heartbeat_answer(&bench, 3, 2, bench_view(&bench)->round);
    bench.now_ns += 1;
    hand_over(&bench, 2);
    assert_int_equal(bench_view(&bench)->transfer_to.value, 0);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    hand_over(&bench, 0);
    assert_int_equal(bench_view(&bench)->transfer_to.value, 3);
    hand_over(&bench, 2); /* one at a time */
    assert_int_equal(bench_view(&bench)->transfer_to.value, 3);
    bench_stop(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_proposals_while_handing_over),
        cmocka_unit_test(lease_is_given_up_first),
        cmocka_unit_test(target_is_brought_up_to_date),
        cmocka_unit_test(reads_are_answered_first),
        cmocka_unit_test(writes_are_committed_first),
        cmocka_unit_test(copies_are_waited_for),
        cmocka_unit_test(lost_request_is_sent_again),
        cmocka_unit_test(leads_on_after_a_timeout),
        cmocka_unit_test(leader_votes_for_the_target),
        cmocka_unit_test(target_runs_at_once),
        cmocka_unit_test(late_request_does_not_run),
        cmocka_unit_test(late_campaign_is_an_ordinary_one),
        cmocka_unit_test(restarted_voter_still_withholds),
        cmocka_unit_test(best_candidate_is_chosen),
        cmocka_unit_test(impossible_targets_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
