/* One test for each sentence of Ongaro's dissertation (2014), chapter 5, about compaction and
 * snapshots that binds raft/, and for R3 and R10. RAFT-14. */
#include "tests/raft/bench.h"

static const uint64_t ones[] = {1, 1, 1, 1, 1, 1};

/* Leader of term 2, entries 1 to 7 committed, 1 to 5 compacted. Replica 3 has answered nothing. */
static void lead(struct bench *bench)
{
    bench_start(bench, 3, 1, 0, ones, 6);
    bench_elect(bench);
    bench_accept(bench, 2, 7);
    bench_step(bench, (struct raft_event){.kind = RAFT_COMPACTED, .index = 5});
    assert_int_equal(bench_view(bench)->first_index, 6);
}

static struct raft_message refusal(uint64_t index)
{
    struct raft_message message = bench_from(3, RAFT_ACCEPT, 2);
    message.index = index;
    return message;
}

static enum raft_next next(struct bench *bench, struct raft_message *message)
{
    uint64_t first, last;
    return raft_next_append(bench->raft, (struct replica_id){3}, false, message, &first, &last);
}

static void offered(struct bench *bench, uint64_t index)
{
    bench_step(bench, (struct raft_event){.kind = RAFT_SNAPSHOT_SENT, .from = {3}, .index = index});
}

/* 5.1: terms and configuration of what is discarded stay known; nothing else changes. */
static void compaction_keeps_the_terms(void **state)
{
    struct bench bench;
    const struct raft_term_start *starts;
    (void)state;
    lead(&bench);
    assert_int_equal(raft_term_at(bench.raft, 2), 1);
    assert_int_equal(raft_term_starts(bench.raft, 6, &starts), 1);
    assert_int_equal(raft_term_starts(bench.raft, 7, &starts), 2);
    assert_int_equal(starts[1].first_index, 7);
    assert_int_equal(raft_configuration_at(bench.raft, 5)->member_count, 3);
    assert_null(raft_configuration_at(bench.raft, 4));
    assert_int_equal(bench_view(&bench)->last_index, 7);
    assert_int_equal(bench_view(&bench)->commit, 7);
    bench_step(&bench, (struct raft_event){.kind = RAFT_COMPACTED, .index = 3});
    assert_int_equal(bench_view(&bench)->first_index, 6);
    bench_stop(&bench);
}

/* 5.3: a follower that needs what is discarded is sent a snapshot instead. */
static void follower_too_far_behind_gets_an_offer(void **state)
{
    struct bench bench;
    struct raft_message message;
    struct raft_progress progress;
    (void)state;
    lead(&bench);
    assert_int_equal(next(&bench, &message), RAFT_NEXT_ENTRIES); /* 6 is there: it may have that */
    bench_step(&bench, (struct raft_event){.kind = RAFT_SENT, .from = {3}, .index = 7});
    bench_receive(&bench, refusal(6));
    assert_int_equal(next(&bench, &message), RAFT_NEXT_SNAPSHOT);
    assert_int_equal(message.kind, RAFT_SNAPSHOT_OFFER);
    assert_int_equal(message.index, 5);
    assert_int_equal(message.log_term, 1);
    offered(&bench, 5);
    assert_int_equal(next(&bench, &message), RAFT_NEXT_NOTHING);
    assert_int_equal(raft_progress(bench.raft, (struct replica_id){3}, &progress), STATUS_OK);
    assert_int_equal(progress.snapshot_index, 5);
    bench_stop(&bench);
}

/* 3.7: an offer that is lost is sent again; an answer that it is not there yet changes nothing. */
static void lost_offer_is_sent_again(void **state)
{
    struct bench bench;
    struct raft_message message, answer = bench_from(3, RAFT_SNAPSHOT_ANSWER, 2);
    (void)state;
    lead(&bench);
    offered(&bench, 5);
    answer.index = 5;
    bench_receive(&bench, answer);
    assert_int_equal(next(&bench, &message), RAFT_NEXT_NOTHING);
    bench_wait(&bench, BENCH_TIMEOUT / 2);
    assert_int_equal(next(&bench, &message), RAFT_NEXT_SNAPSHOT);
    bench_stop(&bench);
}

/* 5.3: after the snapshot come the entries behind it. */
static void entries_follow_the_snapshot(void **state)
{
    struct bench bench;
    struct raft_message message, answer = bench_from(3, RAFT_SNAPSHOT_ANSWER, 2);
    struct raft_progress progress;
    (void)state;
    lead(&bench);
    offered(&bench, 5);
    answer.index = answer.written = answer.persisted = 5;
    answer.granted = true;
    bench_receive(&bench, answer);
    assert_int_equal(next(&bench, &message), RAFT_NEXT_ENTRIES);
    assert_int_equal(message.index, 5);
    assert_int_equal(message.log_term, 1);
    assert_int_equal(raft_progress(bench.raft, (struct replica_id){3}, &progress), STATUS_OK);
    assert_int_equal(progress.snapshot_index, 0);
    bench_stop(&bench);
}

static struct raft_message offer(uint64_t term, uint64_t index, uint64_t log_term)
{
    struct raft_message message = bench_from(2, RAFT_SNAPSHOT_OFFER, term);
    message.index = index;
    message.log_term = log_term;
    message.acked = 4;
    return message;
}

static void install(struct bench *bench, uint64_t index, uint64_t term)
{
    struct raft_term_start starts[2] = {{1, 1}, {term, 4}};
    bench_step(bench, (struct raft_event){.kind = RAFT_SNAPSHOT_INSTALLED,
                                          .index = index,
                                          .term = term,
                                          .configurations = &bench->configuration,
                                          .terms = starts,
                                          .term_count = term == 1 ? 1 : 2});
}

/* Figure 5.3: an offer of a stale term is refused; one of the current leader is heard as it is. */
static void offer_is_heard_like_an_append(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 3, 0, ones, 3);
    bench_receive(&bench, offer(2, 9, 2));
    assert_int_equal(bench_sent(&bench, RAFT_SNAPSHOT_ANSWER, 2)->term, 3);
    assert_int_equal(bench_view(&bench)->offered_index, 0);
    bench.now_ns += BENCH_TIMEOUT;
    bench_receive(&bench, offer(4, 9, 2));
    assert_int_equal(bench_view(&bench)->leader.value, 2);
    assert_int_equal(bench_view(&bench)->term, 4);
    assert_true(bench_view(&bench)->deadline_ns >= bench.now_ns + BENCH_TIMEOUT);
    assert_int_equal(bench_view(&bench)->offered_index, 9);
    assert_int_equal(bench_view(&bench)->offered_term, 2);
    assert_int_equal(bench_view(&bench)->acked, 4);
    assert_false(bench_sent(&bench, RAFT_SNAPSHOT_ANSWER, 2)->granted);
    bench_stop(&bench);
}

/* Figure 5.3: the whole log is discarded when it ends before the snapshot or conflicts with it;
 * what is cut is told (R10). */
static void snapshot_replaces_another_log(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 6);
    bench_append(&bench, 2, 1, 3, 1, NULL, 0, 3); /* 3 are committed, 4 to 6 are not */
    bench_step(&bench, (struct raft_event){.kind = RAFT_WRITTEN, .ticket = 1});
    bench_receive(&bench, offer(2, 5, 2));
    install(&bench, 5, 2);
    assert_int_equal(bench.outputs.truncate_from, 4);
    const struct raft_view *view = bench_view(&bench);
    assert_int_equal(view->first_index, 6);
    assert_int_equal(view->last_index, 5);
    assert_int_equal(view->last_term, 2);
    assert_int_equal(view->commit, 5);
    assert_int_equal(view->persisted, 5);
    assert_int_equal(view->offered_index, 0);
    assert_int_equal(raft_term_at(bench.raft, 4), 2);
    assert_int_equal(raft_term_at(bench.raft, 3), 1);
    assert_int_equal(bench_sent(&bench, RAFT_ACCEPT, 2)->persisted, 5);
    bench_step(&bench, (struct raft_event){.kind = RAFT_PERSISTED, .ticket = 1}); /* RAFT-6 */
    assert_int_equal(view->persisted, 5);
    bench_stop(&bench);
}

/* Figure 5.3: entries behind a snapshot whose last entry the log has are kept. */
static void log_behind_the_snapshot_is_kept(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 6);
    install(&bench, 5, 1);
    assert_int_equal(bench.outputs.truncate_from, 0);
    assert_int_equal(bench_view(&bench)->last_index, 6);
    assert_int_equal(bench_view(&bench)->commit, 5);
    bench_receive(&bench, offer(1, 6, 1)); /* it is there already: no bytes are needed */
    assert_true(bench_sent(&bench, RAFT_SNAPSHOT_ANSWER, 2)->granted);
    assert_int_equal(bench_sent(&bench, RAFT_SNAPSHOT_ANSWER, 2)->written, 6);
    assert_int_equal(bench_view(&bench)->commit, 6);
    assert_int_equal(bench_view(&bench)->offered_index, 0);
    bench_stop(&bench);
}

/* 5.3: what is still on offer when appends have brought it is forgotten by who is elected with it:
 * a leader needs nobody's snapshot, and commits past it. */
static void leader_forgets_the_offer(void **state)
{
    static const uint64_t twos[] = {2, 2};
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_receive(&bench, offer(2, 5, 2));
    bench_append(&bench, 2, 2, 3, 1, twos, 2, 3); /* that they are committed is not said */
    bench_persist(&bench);
    assert_int_equal(bench_view(&bench)->offered_index, 5);
    bench_elect(&bench);
    assert_int_equal(bench_view(&bench)->offered_index, 0);
    bench_accept(&bench, 2, 6);
    assert_int_equal(bench_view(&bench)->commit, 6);
    bench_stop(&bench);
}

/* An older snapshot, or one of another history, changes nothing. RAFT-7. */
static void foreign_snapshot_is_ignored(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 6);
    bench_append(&bench, 2, 1, 6, 1, NULL, 0, 5);
    install(&bench, 4, 2);
    install(&bench, 9, 2); /* says that entry 5, which is committed, is of term 2 */
    bench_receive(&bench, offer(3, 5, 2));
    assert_int_equal(bench_view(&bench)->last_index, 6);
    assert_int_equal(bench_view(&bench)->commit, 5);
    assert_int_equal(bench_view(&bench)->first_index, 1);
    assert_int_equal(bench_view(&bench)->offered_index, 0);
    bench_stop(&bench);
}

/* 5.3: the configuration of the snapshot is the one in force; 4.1: an uncommitted newer one of the
 * log that is replaced goes. */
static void snapshot_brings_its_configuration(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    struct raft_configuration now = bench.configuration;
    bench.configuration.members[2].replica.value = 8;
    bench.configuration.index = 4;
    install(&bench, 7, 2);
    assert_int_equal(raft_configuration(bench.raft)->index, 4);
    assert_int_equal(raft_configuration(bench.raft)->members[2].replica.value, 8);
    bench_append(&bench, 2, 2, 7, 2, NULL, 0, 7);
    assert_int_equal(bench_sent(&bench, RAFT_ACCEPT, 2)->written, 7);
    assert_int_equal(now.members[2].replica.value, 3);
    bench_stop(&bench);
}

/* 5.1: after a restart the log begins behind the snapshot, and so does the commit index. */
static void restart_behind_a_snapshot(void **state)
{
    static const struct raft_term_start starts[] = {{1, 1}, {2, 4}};
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_stop(&bench);
    struct raft_restart restart = {.term = 2,
                                   .snapshot_index = 5,
                                   .last_index = 6,
                                   .terms = starts,
                                   .term_count = 2,
                                   .configuration_count = 1,
                                   .configurations = &bench.configuration,
                                   .now_ns = bench.now_ns};
    bench.configuration.index = 5;
    bench.raft = raft_create(&bench.options, &restart);
    raft_validate(bench.raft);
    assert_int_equal(bench_view(&bench)->first_index, 6);
    assert_int_equal(bench_view(&bench)->commit, 5);
    static const uint64_t older[] = {2, 2, 2}; /* a leader that probes far back */
    bench_append(&bench, 2, 2, 3, 1, older, 3, 6);
    assert_int_equal(bench_view(&bench)->accepted_from, 0);
    assert_int_equal(bench_view(&bench)->commit, 6);
    assert_int_equal(raft_configuration(bench.raft)->member_count, 3);
    bench_stop(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compaction_keeps_the_terms),
        cmocka_unit_test(follower_too_far_behind_gets_an_offer),
        cmocka_unit_test(lost_offer_is_sent_again),
        cmocka_unit_test(entries_follow_the_snapshot),
        cmocka_unit_test(offer_is_heard_like_an_append),
        cmocka_unit_test(snapshot_replaces_another_log),
        cmocka_unit_test(log_behind_the_snapshot_is_kept),
        cmocka_unit_test(leader_forgets_the_offer),
        cmocka_unit_test(foreign_snapshot_is_ignored),
        cmocka_unit_test(snapshot_brings_its_configuration),
        cmocka_unit_test(restart_behind_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
