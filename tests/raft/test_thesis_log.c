/* One test for each sentence of Ongaro's dissertation (2014) about the log, commitment and
 * configurations that binds raft/. The section stands above each test; the sentences are told in
 * our words. */
#include "tests/raft/bench.h"

static const uint64_t ones[] = {1, 1, 1};

static bool next_append(const struct bench *bench, uint64_t peer, struct raft_message *message,
                        uint64_t *first, uint64_t *last)
{
    return raft_next_append(bench->raft, (struct replica_id){peer}, false, message, first, last) ==
           RAFT_NEXT_ENTRIES;
}

static void sent(struct bench *bench, uint64_t peer, uint64_t index, uint64_t bytes)
{
    bench_step(bench, (struct raft_event){
                          .kind = RAFT_SENT, .from = {peer}, .index = index, .bytes = bytes});
}

/* 3.5: the leader appends a command as a new entry and sends it to the others; the entry has the
 * leader's term. */
static void leader_appends_and_sends(void **state)
{
    struct bench bench;
    struct raft_message message;
    uint64_t first, last;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_event(&bench, RAFT_PROPOSE);
    assert_int_equal(bench_view(&bench)->last_index, 5);
    assert_int_equal(raft_term_at(bench.raft, 5), 2);
    assert_true(next_append(&bench, 2, &message, &first, &last));
    assert_int_equal(message.kind, RAFT_APPEND);
    assert_int_equal(message.index, 3);
    assert_int_equal(message.log_term, 1);
    assert_int_equal(first, 4);
    assert_int_equal(last, 5);
    bench_stop(&bench);
}

/* 3.5: only a leader appends what clients want. */
static void follower_refuses_proposals(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_event(&bench, RAFT_PROPOSE);
    assert_int_equal(bench_view(&bench)->last_index, 3);
    bench_stop(&bench);
}

/* 3.5: an entry is committed when the leader has it on a majority; the own durable copy counts like
 * another (10.2.1). */
static void majority_commits(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 5, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_accept(&bench, 2, 4);
    assert_int_equal(bench_view(&bench)->commit, 0);
    bench_accept(&bench, 3, 4);
    assert_int_equal(bench_view(&bench)->commit, 4); /* 3.5: and all entries before it */
    bench_event(&bench, RAFT_PROPOSE);
    bench_accept(&bench, 2, 5);
    bench_accept(&bench, 3, 5);
    assert_int_equal(bench_view(&bench)->commit, 4); /* two of five: the own disk is not done */
    bench_accept(&bench, 4, 5);
    assert_int_equal(bench_view(&bench)->commit, 5); /* a majority without the leader's disk */
    bench_stop(&bench);
}

/* 3.5: the leader tells the highest committed index in its appends; the follower goes by it, as far
 * as it matches. */
static void follower_learns_the_commit(void **state)
{
    static const uint64_t twos[] = {2, 2};
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_append(&bench, 2, 2, 2, 1, NULL, 0, 9);
    assert_int_equal(bench_view(&bench)->commit, 2);
    bench_append(&bench, 2, 2, 3, 1, twos, 2, 4);
    assert_int_equal(bench_view(&bench)->commit, 4);
    bench_append(&bench, 2, 2, 3, 1, NULL, 0, 3); /* an old one, late: RAFT-7 */
    assert_int_equal(bench_view(&bench)->commit, 4);
    bench_stop(&bench);
}

/* 3.5: a follower without the previous entry refuses; where a term conflicts the hint spares a
 * round trip for each entry. */
static void append_needs_the_previous_entry(void **state)
{
    static const uint64_t terms[] = {1, 1, 4, 4, 4};
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 4, 0, terms, 5);
    bench_append(&bench, 2, 6, 9, 6, NULL, 0, 0);
    const struct raft_message *answer = bench_sent(&bench, RAFT_ACCEPT, 2);
    assert_false(answer->granted);
    assert_int_equal(answer->index, 9);
    assert_int_equal(answer->written, 5);
    assert_int_equal(answer->log_term, 4);
    bench_append(&bench, 2, 6, 5, 3, NULL, 0, 0); /* the leader has only term 3 there */
    answer = bench_sent(&bench, RAFT_ACCEPT, 2);
    assert_false(answer->granted);
    assert_int_equal(answer->written, 2); /* past all of term 4 in one step */
    bench_append(&bench, 2, 6, 2, 1, NULL, 0, 0);
    assert_true(bench_sent(&bench, RAFT_ACCEPT, 2)->granted);
    bench_stop(&bench);
}

/* 3.5: conflicting entries are deleted with all that follow, the leader's take their place. */
static void conflicts_are_overwritten(void **state)
{
    static const uint64_t terms[] = {1, 2, 2, 2}, news[] = {1, 3};
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 2, 0, terms, 4);
    bench.saves = false;
    bench_append(&bench, 2, 3, 0, 0, news, 2, 0);
    assert_int_equal(bench.outputs.truncate_from, 2);
    assert_int_equal(bench_view(&bench)->accepted_from, 2);
    assert_int_equal(bench_view(&bench)->last_index, 2);
    assert_int_equal(raft_term_at(bench.raft, 1), 1);
    assert_int_equal(raft_term_at(bench.raft, 2), 3);
    assert_int_equal(bench_view(&bench)->persisted, 1);
    bench_stop(&bench);
}

/* 3.5: what is there already is not deleted: a late or repeated append changes nothing. */
static void repeated_append_is_harmless(void **state)
{
    static const uint64_t twos[] = {2, 2, 2};
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_append(&bench, 2, 2, 3, 1, twos, 3, 0);
    assert_int_equal(bench_view(&bench)->last_index, 6);
    bench_append(&bench, 2, 2, 3, 1, twos, 1, 0);
    assert_int_equal(bench_view(&bench)->last_index, 6);
    assert_int_equal(bench_view(&bench)->accepted_from, 0);
    assert_int_equal(bench.outputs.truncate_from, 0);
    assert_int_equal(bench_sent(&bench, RAFT_ACCEPT, 2)->written, 6);
    bench_stop(&bench);
}

/* 3.5: a new leader begins with next just past its last entry, and goes back on a refusal until the
 * logs agree. */
static void leader_finds_where_logs_agree(void **state)
{
    static const uint64_t terms[] = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6}; /* figure 3.6 */
    struct bench bench;
    struct raft_message message;
    uint64_t first, last;
    (void)state;
    bench_start(&bench, 3, 7, 0, terms, 10);
    bench_elect(&bench);
    assert_true(next_append(&bench, 2, &message, &first, &last));
    assert_int_equal(message.index, 10);
    sent(&bench, 2, last, 10);
    assert_false(next_append(&bench, 2, &message, &first, &last)); /* one probe at a time */
    struct raft_message refusal =
        bench_from(2, RAFT_ACCEPT, 8); /* follower (f): 1 1 1 2 2 2 3 3 3 3 3 */
    refusal.index = 10;
    refusal.written = 9;
    refusal.log_term = 3;
    bench_receive(&bench, refusal);
    assert_true(next_append(&bench, 2, &message, &first, &last));
    assert_int_equal(message.index, 3); /* the leader has nothing of terms 2 and 3: one step */
    assert_int_equal(message.log_term, 1);
    bench_accept(&bench, 2, 11);
    struct raft_progress progress;
    assert_int_equal(raft_progress(bench.raft, (struct replica_id){2}, &progress), STATUS_OK);
    assert_false(progress.probing);
    assert_int_equal(progress.next, 12);
    bench_stop(&bench);
}

/* 3.5, 3.7: an answer that comes late or twice does no harm: it is not about the probe that is out.
 */
static void late_refusal_is_ignored(void **state)
{
    struct bench bench;
    struct raft_progress progress;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    sent(&bench, 2, 4, 10);
    struct raft_message refusal = bench_from(2, RAFT_ACCEPT, 2);
    refusal.index = 3;
    refusal.written = 1;
    refusal.log_term = 1;
    bench_receive(&bench, refusal);
    sent(&bench, 2, 4, 10);
    refusal.written = 0;
    refusal.log_term = 0;
    bench_receive(&bench, refusal);
    assert_int_equal(raft_progress(bench.raft, (struct replica_id){2}, &progress), STATUS_OK);
    assert_int_equal(progress.next, 2);
    bench_accept(&bench, 2, 4);
    bench_receive(&bench, refusal);
    assert_int_equal(raft_progress(bench.raft, (struct replica_id){2}, &progress), STATUS_OK);
    assert_int_equal(progress.written, 4);
    assert_int_equal(progress.persisted, 4);
    bench_stop(&bench);
}

/* 3.6: what is committed is never deleted, whatever a message says. RAFT-7. */
static void committed_entries_stay(void **state)
{
    static const uint64_t news[] = {3, 3};
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_append(&bench, 2, 2, 3, 1, NULL, 0, 3);
    assert_int_equal(bench_view(&bench)->commit, 3);
    bench_append(&bench, 3, 3, 1, 1, news, 2, 3);
    assert_int_equal(bench_view(&bench)->last_index, 3);
    assert_int_equal(raft_term_at(bench.raft, 2), 1);
    bench_stop(&bench);
}

/* 3.5: a leader never deletes or overwrites its own entries; another leader in its term cannot be.
 * RAFT-2. */
static void leader_keeps_its_log(void **state)
{
    static const uint64_t twos[] = {2, 2, 2, 2};
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_append(&bench, 3, 2, 0, 0, twos, 4, 4);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    assert_int_equal(raft_term_at(bench.raft, 1), 1);
    assert_int_equal(bench_view(&bench)->last_index, 4);
    bench_stop(&bench);
}

/* 3.6.2: an entry of an older term is not committed by counting its copies, only with one of the
 * own term. RAFT-4. */
static void older_terms_commit_with_the_own(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_accept(&bench, 2, 3);
    bench_accept(&bench, 3, 3);
    assert_int_equal(bench_view(&bench)->commit, 0);
    bench_accept(&bench, 2, 4);
    assert_int_equal(bench_view(&bench)->commit, 4);
    bench_stop(&bench);
}

/* 3.7: requests are tried again for ever; a follower that was away gets what it lacks. */
static void lost_appends_are_sent_again(void **state)
{
    struct bench bench;
    struct raft_message message;
    uint64_t first, last;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_accept(&bench, 2, 4);
    bench_event(&bench, RAFT_PROPOSE);
    assert_true(next_append(&bench, 2, &message, &first, &last));
    sent(&bench, 2, last, 10);
    assert_false(next_append(&bench, 2, &message, &first, &last));
    bench_wait(&bench, BENCH_TIMEOUT / 2);
    assert_true(next_append(&bench, 2, &message, &first, &last));
    assert_int_equal(first, 5);
    bench_stop(&bench);
}

/* 3.7, 3.8: what was said to be durable was lost with the connection, and all entries are there:
 * who has them is asked again, or the last entry waits for the next one. */
static void lost_news_of_durability_is_asked_for(void **state)
{
    struct bench bench;
    struct raft_message message;
    uint64_t first, last;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_accept_written(&bench, 2, 4, 3);
    assert_false(next_append(&bench, 2, &message, &first, &last));
    bench_wait(&bench, BENCH_TIMEOUT / 2);
    assert_true(next_append(&bench, 2, &message, &first, &last));
    assert_true(first > last); /* nothing is sent twice */
    assert_int_equal(message.index, 4);
    sent(&bench, 2, 4, 0);
    bench_accept_written(&bench, 2, 4, 3); /* its disk is slow: not asked at each tick */
    bench_wait(&bench, BENCH_TIMEOUT / 10);
    assert_false(next_append(&bench, 2, &message, &first, &last));
    bench_accept(&bench, 2, 4);
    assert_int_equal(bench_view(&bench)->commit, 4);
    bench_wait(&bench, BENCH_TIMEOUT / 2);
    assert_false(next_append(&bench, 2, &message, &first, &last));
    bench_stop(&bench);
}

/* 3.8: entries are durable before they are counted. A follower says persisted only then, and only
 * what this leader has. */
static void accept_follows_the_disk(void **state)
{
    static const uint64_t terms[] = {1, 1, 1, 1, 1, 1}, news[] = {2};
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, terms, 6);
    bench_append(&bench, 2, 2, 6, 1, news, 1, 0);
    assert_null(bench_sent(&bench, RAFT_ACCEPT, 2));
    bench_persist(&bench);
    assert_int_equal(bench_sent(&bench, RAFT_ACCEPT, 2)->persisted, 7);
    bench_append(&bench, 3, 3, 4, 1, NULL, 0, 0); /* a newer leader has matched 4 so far */
    assert_int_equal(bench_sent(&bench, RAFT_ACCEPT, 3)->written, 4);
    assert_int_equal(bench_sent(&bench, RAFT_ACCEPT, 3)->persisted, 4);
    bench_stop(&bench);
}

/* 3.8 with asynchronous writes: a completed write counts only for what was not truncated since.
 * RAFT-6. */
static void late_write_of_truncated_entries(void **state)
{
    static const uint64_t twos[] = {2, 2, 2}, threes[] = {3, 3, 3};
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_append(&bench, 2, 2, 3, 1, twos, 3, 0);
    bench_step(&bench, (struct raft_event){.kind = RAFT_WRITTEN, .ticket = 1});
    bench_append(&bench, 3, 3, 4, 2, threes, 2, 0);
    bench_step(&bench, (struct raft_event){.kind = RAFT_WRITTEN, .ticket = 2});
    bench_step(&bench, (struct raft_event){.kind = RAFT_PERSISTED, .ticket = 1});
    assert_int_equal(bench_view(&bench)->persisted,
                     4); /* entry 4 of term 2 stayed; 5 and 6 are others now */
    bench_step(&bench, (struct raft_event){.kind = RAFT_PERSISTED, .ticket = 2});
    assert_int_equal(bench_view(&bench)->persisted, 6);
    bench_stop(&bench);
}

/* 3.8: the answer to a newer term waits for the term to be durable. RAFT-5. */
static void accept_waits_for_the_term(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench.saves = false;
    bench_append(&bench, 2, 2, 3, 1, NULL, 0, 0);
    assert_null(bench_sent(&bench, RAFT_ACCEPT, 2));
    assert_false(raft_agrees(bench.raft, (struct replica_id){2}, 2));
    bench_save(&bench);
    assert_true(bench_sent(&bench, RAFT_ACCEPT, 2)->granted);
    assert_true(raft_agrees(bench.raft, (struct replica_id){2}, 2));
    bench_stop(&bench);
}

/* 10.2.1: appends follow each other without waiting, within the window of entries and of bytes. */
static void window_holds_back(void **state)
{
    struct bench bench;
    struct raft_message message;
    uint64_t first, last;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_accept(&bench, 2, 4);
    for (int i = 0; i < 20; i++)
        bench_event(&bench, RAFT_PROPOSE);
    assert_true(next_append(&bench, 2, &message, &first, &last));
    assert_int_equal(first, 5);
    assert_int_equal(last, 12); /* eight entries */
    sent(&bench, 2, 6, 100);
    assert_true(next_append(&bench, 2, &message, &first, &last));
    assert_int_equal(first, 7);
    sent(&bench, 2, 7, 900);
    assert_false(next_append(&bench, 2, &message, &first, &last)); /* a thousand bytes */
    bench_accept(&bench, 2, 6);
    assert_true(next_append(&bench, 2, &message, &first, &last));
    assert_int_equal(first, 8);
    bench_stop(&bench);
}

static struct raft_configuration joint_of(const struct raft_configuration *from)
{
    struct raft_configuration c = *from;
    c.joint = true;
    c.old_commit_quorum = c.commit_quorum;
    c.old_election_quorum = c.election_quorum;
    for (size_t i = 0; i < c.member_count; i++)
        c.members[i].old_kind = c.members[i].kind;
    c.members[2].kind = 0; /* 1 2 3 -> 1 2 4 */
    c.members[c.member_count++] =
        (struct raft_member){.replica = {4}, .node = {4}, .kind = RAFT_VOTER};
    return c;
}

/* 4.1: a configuration is used from the append on; 4.3: while joint, commits need a majority of
 * each half. RAFT-9. */
static void joint_needs_both_halves(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    struct raft_configuration joint = joint_of(&bench.configuration);
    struct raft_event change = {.kind = RAFT_PROPOSE_CONFIGURATION, .configurations = &joint};
    bench_step(&bench, change);
    assert_int_equal(bench_view(&bench)->last_index,
                     4); /* refused: nothing of the own term is committed */
    bench_accept(&bench, 2, 4);
    bench_step(&bench, change);
    assert_true(raft_configuration(bench.raft)->joint);
    assert_int_equal(raft_configuration(bench.raft)->index, 5);
    bench_persist(&bench);
    bench_accept(&bench, 3, 5);
    assert_int_equal(bench_view(&bench)->commit, 4); /* 1 and 3: a majority of the old half only */
    bench_accept(&bench, 4, 5);
    assert_int_equal(bench_view(&bench)->commit, 5);
    bench_event(&bench, RAFT_PROPOSE);
    bench_persist(&bench);
    bench_accept(&bench, 4, 6);
    assert_int_equal(bench_view(&bench)->commit, 5); /* 1 and 4: a majority of the new half only */
    bench_accept(&bench, 3, 6);
    assert_int_equal(bench_view(&bench)->commit, 6);
    bench_stop(&bench);
}

/* 4.1: a configuration that is truncated gives way to the one before it. */
static void truncated_configuration_rolls_back(void **state)
{
    static const uint64_t twos[] = {2}, threes[] = {3};
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    struct raft_configuration joint = joint_of(&bench.configuration);
    const uint64_t index = 4;
    struct raft_event event = {.kind = RAFT_RECEIVE, .message = bench_from(2, RAFT_APPEND, 2)};
    event.message.index = 3;
    event.message.log_term = 1;
    event.message.last_index = 4;
    event.entry_terms = twos;
    event.configuration_count = 1;
    event.configuration_indexes = &index;
    event.configurations = &joint;
    bench_step(&bench, event);
    assert_true(raft_configuration(bench.raft)->joint);
    bench_append(&bench, 3, 3, 3, 1, threes, 1, 0);
    assert_false(raft_configuration(bench.raft)->joint);
    assert_int_equal(raft_configuration(bench.raft)->member_count, 3);
    bench_stop(&bench);
}

/* 4.2.2: a leader that is not in the new configuration steps down once that is committed. */
static void removed_leader_steps_down(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_accept(&bench, 2, 4);
    struct raft_configuration joint = joint_of(&bench.configuration),
                              without = {.commit_quorum = 2, .election_quorum = 2};
    joint.members[2].kind = RAFT_VOTER;
    joint.members[0].kind = 0; /* 1 2 3 -> 2 3 4 */
    bench_step(&bench,
               (struct raft_event){.kind = RAFT_PROPOSE_CONFIGURATION, .configurations = &joint});
    bench_persist(&bench);
    bench_accept(&bench, 2, 5);
    bench_accept(&bench, 3, 5);
    assert_int_equal(bench_view(&bench)->commit, 5);
    for (uint64_t id = 2; id <= 4; id++)
        without.members[without.member_count++] =
            (struct raft_member){.replica = {id}, .node = {id}, .kind = RAFT_VOTER};
    bench_step(&bench,
               (struct raft_event){.kind = RAFT_PROPOSE_CONFIGURATION, .configurations = &without});
    bench_persist(&bench);
    bench_accept(&bench, 2, 6);
    assert_int_equal(bench_view(&bench)->role,
                     RAFT_LEADER); /* its own copy does not count any more */
    bench_accept(&bench, 4, 6);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    assert_int_equal(bench_view(&bench)->commit, 6);
    bench_wait(&bench, 10 * BENCH_TIMEOUT);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    bench_stop(&bench);
}

/* 4.1: entries are taken from a leader that the own configuration does not name. */
static void unknown_leader_is_followed(void **state)
{
    static const uint64_t twos[] = {2};
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_append(&bench, 9, 2, 3, 1, twos, 1, 0);
    assert_int_equal(bench_view(&bench)->leader.value, 9);
    assert_int_equal(bench_view(&bench)->last_index, 4);
    bench_stop(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leader_appends_and_sends),
        cmocka_unit_test(follower_refuses_proposals),
        cmocka_unit_test(majority_commits),
        cmocka_unit_test(follower_learns_the_commit),
        cmocka_unit_test(append_needs_the_previous_entry),
        cmocka_unit_test(conflicts_are_overwritten),
        cmocka_unit_test(repeated_append_is_harmless),
        cmocka_unit_test(leader_finds_where_logs_agree),
        cmocka_unit_test(late_refusal_is_ignored),
        cmocka_unit_test(committed_entries_stay),
        cmocka_unit_test(leader_keeps_its_log),
        cmocka_unit_test(older_terms_commit_with_the_own),
        cmocka_unit_test(lost_appends_are_sent_again),
        cmocka_unit_test(lost_news_of_durability_is_asked_for),
        cmocka_unit_test(accept_follows_the_disk),
        cmocka_unit_test(late_write_of_truncated_entries),
        cmocka_unit_test(accept_waits_for_the_term),
        cmocka_unit_test(window_holds_back),
        cmocka_unit_test(joint_needs_both_halves),
        cmocka_unit_test(truncated_configuration_rolls_back),
        cmocka_unit_test(removed_leader_steps_down),
        cmocka_unit_test(unknown_leader_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
