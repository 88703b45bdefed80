/* Changes of the configuration: the sentences of Ongaro's dissertation (2014), 4.2.1 to 4.3, that
 * are not in test_thesis_log.c, and R2, R15, R18 of the design. */
#include "tests/raft/bench.h"

#include <string.h>

static const uint64_t ones[] = {1, 1, 1};

static struct raft_configuration set_of(const char *voters, uint32_t commit, uint32_t election)
{
    struct raft_configuration c = {.commit_quorum = commit, .election_quorum = election};
    for (; *voters; voters++) {
        uint64_t id = (uint64_t)(*voters - '0');
        c.members[c.member_count++] =
            (struct raft_member){.replica = {id}, .node = {id}, .kind = RAFT_VOTER};
    }
    return c;
}

static void add(struct raft_configuration *c, uint64_t id, enum raft_member_kind kind)
{
    c->members[c->member_count++] =
        (struct raft_member){.replica = {id}, .node = {id}, .kind = kind};
}

/* Leader of term 2 of 1, 2, 3; its no-op, entry 4, is committed. */
static void lead(struct bench *bench)
{
    bench_start(bench, 3, 1, 0, ones, 3);
    bench_elect(bench);
    bench_accept(bench, 2, 4);
    bench_accept(bench, 3, 4);
    bench_clear(bench);
}

static void propose(struct bench *bench, const struct raft_configuration *c)
{
    bench_step(bench, (struct raft_event){.kind = RAFT_PROPOSE_CONFIGURATION, .configurations = c});
    bench_persist(bench);
}

static void settle(struct bench *bench)
{
    const struct raft_configuration *c = raft_configuration(bench->raft);
    for (size_t i = 0; i < c->member_count; i++)
        if (c->members[i].replica.value != 1)
            bench_accept(bench, c->members[i].replica.value, bench_view(bench)->last_index);
}

/* 4.3, R18: what a change may be, and why not. RAFT-15. */
static void wanted_configurations(void **state)
{
    static const struct {
        const char *now, *wanted;
        uint32_t commit, election;
        bool even;
        const char *why; /* NULL: possible */
        bool joint;
    } rows[] = {
        {"1", "123", 2, 2, false, NULL, true},
        {"123", "12345", 3, 3, false, NULL, true},
        {"123", "456", 2, 2, false, NULL, true},
        {"123", "123", 1, 3, false, NULL, true}, /* R2: only the quorums */
        {"123", "123", 2, 2, false, "nothing changes", false},
        {"1", "12", 2, 2, false, "two or four voters were not asked for", false},
        {"1", "12", 2, 2, true, NULL, true},
        {"123", "1234", 3, 3, false, "two or four voters were not asked for", false},
        {"12345", "1", 1, 1, false, NULL, true},
        {"123", "", 1, 1, false, "no voter has the data", false},
        {"123", "145", 1, 2, false, "do not overlap", false},
        {"123", "145", 2, 1, false, "do not overlap", false},
        {"123", "144", 2, 2, false, "named twice", false},
        {"123", "140", 2, 2, false, "has no id", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t majority = (uint32_t)strlen(rows[i].now) / 2 + 1;
        struct raft_configuration now = set_of(rows[i].now, majority, majority), out;
        struct raft_configuration wanted = set_of(rows[i].wanted, rows[i].commit, rows[i].election);
        const char *why;
        enum status status = raft_configuration_change(&now, &wanted, rows[i].even, &out, &why);
        assert_int_equal(status == STATUS_OK, rows[i].why == NULL);
        if (status) {
            assert_non_null(strstr(why, rows[i].why));
            continue;
        }
        assert_int_equal(out.joint, rows[i].joint);
        assert_int_equal(out.old_election_quorum, majority);
        struct raft_configuration left;
        raft_configuration_leave(&out, &left);
        assert_int_equal(left.member_count, wanted.member_count);
        assert_int_equal(left.commit_quorum, wanted.commit_quorum);
        assert_int_equal(raft_configuration_change(&out, &wanted, true, &left, &why),
                         STATUS_INVALID); /* one at a time */
    }
}

/* 4.2.1: learners need no joint configuration; a learner that becomes a voter does. */
static void learners_change_at_once(void **state)
{
    struct raft_configuration now = set_of("123", 2, 2), wanted = now, out;
    const char *why;
    (void)state;
    add(&wanted, 4, RAFT_LEARNER);
    assert_int_equal(raft_configuration_change(&now, &wanted, false, &out, &why), STATUS_OK);
    assert_false(out.joint);
    now = out;
    add(&wanted, 5, RAFT_VOTER);
    wanted.members[3].kind = RAFT_VOTER;
    wanted.commit_quorum = wanted.election_quorum = 3;
    assert_int_equal(raft_configuration_change(&now, &wanted, false, &out, &why), STATUS_OK);
    assert_true(out.joint);
    assert_int_equal(out.members[3].old_kind, RAFT_LEARNER);
    wanted = set_of("123", 2, 2);
    assert_int_equal(raft_configuration_change(&now, &wanted, false, &out, &why), STATUS_OK);
    assert_int_equal(out.member_count, 3); /* a learner just goes */
}

/* Both halves together fit into one configuration, or the change is refused. */
static void too_many_members_on_the_way(void **state)
{
    struct raft_configuration now = {.commit_quorum = 5, .election_quorum = 5}, wanted = now, out;
    const char *why;
    (void)state;
    for (uint64_t id = 1; id <= 9; id++) {
        add(&now, id, RAFT_VOTER);
        add(&wanted, id + 9, RAFT_VOTER);
    }
    assert_int_equal(raft_configuration_change(&now, &wanted, false, &out, &why), STATUS_INVALID);
    wanted.members[0].replica.value = 1;
    wanted.members[1].replica.value = 2;
    assert_int_equal(raft_configuration_change(&now, &wanted, false, &out, &why), STATUS_OK);
    assert_int_equal(out.member_count, RAFT_MEMBERS_MAX);
}

/* 4.3: once the joint configuration is committed the leader goes on to the new one; before that,
 * and after it, nothing is to be left. */
static void leader_is_told_to_leave(void **state)
{
    struct bench bench;
    struct raft_configuration wanted = set_of("145", 2, 2), joint, next;
    const char *why;
    (void)state;
    lead(&bench);
    assert_int_equal(raft_configuration_change(&bench.configuration, &wanted, false, &joint, &why),
                     STATUS_OK);
    propose(&bench, &joint);
    assert_false(bench_view(&bench)->leave_joint);
    raft_configuration_leave(&joint, &next);
    propose(&bench, &next);
    assert_int_equal(bench_view(&bench)->last_index, 5); /* refused: not committed */
    settle(&bench);
    assert_true(bench_view(&bench)->leave_joint);
    wanted = set_of("123", 2, 2);
    propose(&bench, &wanted); /* not back, either */
    assert_int_equal(bench_view(&bench)->last_index, 5);
    propose(&bench, &next);
    assert_false(bench_view(&bench)->leave_joint);
    assert_int_equal(raft_configuration(bench.raft)->member_count, 3);
    bench_stop(&bench);
}

/* 4.2.2: who is not in its newest configuration runs as long as that is not committed; its own vote
 * does not count. */
static void removed_but_needed(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_stop(&bench);
    struct raft_configuration both[2] = {bench.configuration, set_of("234", 2, 2)};
    struct raft_term_start start = {1, 1};
    both[1].index = 3;
    struct raft_restart restart = {.term = 1,
                                   .last_index = 3,
                                   .terms = &start,
                                   .term_count = 1,
                                   .configuration_count = 2,
                                   .configurations = both,
                                   .now_ns = bench.now_ns};
    bench.raft = raft_create(&bench.options, &restart);
    bench_wait(&bench, 2 * BENCH_TIMEOUT);
    assert_int_equal(bench_view(&bench)->role, RAFT_PRE_CANDIDATE);
    bench_grant(&bench, 2, RAFT_PRE_VOTE_ANSWER);
    bench_wait(&bench, 20 * BENCH_MS);
    assert_int_equal(bench_view(&bench)->role, RAFT_PRE_CANDIDATE);
    bench_grant(&bench, 3, RAFT_PRE_VOTE_ANSWER);
    bench_wait(&bench, 20 * BENCH_MS);
    assert_int_equal(bench_view(&bench)->role, RAFT_CANDIDATE);
    bench_append(&bench, 2, 2, 3, 1, NULL, 0, 3); /* it is committed: never again */
    bench_wait(&bench, 10 * BENCH_TIMEOUT);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    bench_stop(&bench);
}

/* 6.2 with 4.2.2: leading one single other voter, it is not its own quorum. */
static void leader_outside_needs_the_others(void **state)
{
    struct bench bench;
    struct raft_configuration wanted = set_of("2", 1, 1), joint, next;
    const char *why;
    (void)state;
    lead(&bench);
    assert_int_equal(raft_configuration_change(&bench.configuration, &wanted, false, &joint, &why),
                     STATUS_OK);
    propose(&bench, &joint);
    settle(&bench);
    raft_configuration_leave(&joint, &next);
    propose(&bench, &next);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    bench_wait(&bench, 2 * BENCH_TIMEOUT);
    assert_int_equal(bench_view(&bench)->role, RAFT_FOLLOWER);
    bench_stop(&bench);
}

/* R11: alone now, but not always: a voter that is gone may hold a lease of this one's promise. */
static void alone_since_lately_withholds(void **state)
{
    struct bench bench;
    (void)state;
    bench_start(&bench, 2, 1, 0, ones, 3);
    bench_stop(&bench);
    struct raft_configuration both[2] = {bench.configuration, set_of("1", 1, 1)};
    struct raft_term_start start = {1, 1};
    both[1].index = 3;
    bench.options.restarted = true;
    struct raft_restart restart = {.term = 1,
                                   .last_index = 3,
                                   .terms = &start,
                                   .term_count = 1,
                                   .configuration_count = 2,
                                   .configurations = both,
                                   .now_ns = bench.now_ns};
    bench.raft = raft_create(&bench.options, &restart);
    bench_event(&bench, RAFT_CAMPAIGN);
    bench_wait(&bench, BENCH_TIMEOUT - 1);
    assert_int_not_equal(bench_view(&bench)->role, RAFT_LEADER);
    bench_wait(&bench, 1);
    assert_int_equal(bench_view(&bench)->role, RAFT_LEADER);
    bench_stop(&bench);
}

/* 4.2.1: a round is what the log had when it began; the next one has what came meanwhile. */
static void learner_catches_up_in_rounds(void **state)
{
    struct bench bench;
    struct raft_progress progress;
    const struct replica_id two = {2};
    struct raft_event sent = {.kind = RAFT_SENT, .from = {2}, .index = 4};
    (void)state;
    bench_start(&bench, 3, 1, 0, ones, 3);
    bench_elect(&bench);
    bench_step(&bench, sent);
    bench_event(&bench, RAFT_PROPOSE);
    bench.now_ns += BENCH_TIMEOUT;
    bench_accept(&bench, 2, 4);
    assert_int_equal(raft_progress(bench.raft, two, &progress), STATUS_OK);
    assert_int_equal(progress.catch_up_rounds, 1);
    assert_int_equal(progress.catch_up_ns, BENCH_TIMEOUT);
    assert_false(progress.caught_up); /* too long */
    assert_int_equal(progress.lag, 1);
    bench.now_ns += BENCH_MS;
    bench_accept(&bench, 2, 5);
    assert_int_equal(raft_progress(bench.raft, two, &progress), STATUS_OK);
    assert_int_equal(progress.catch_up_ns, BENCH_MS);
    assert_true(progress.caught_up);
    bench_event(&bench, RAFT_PROPOSE);
    sent.index = 6;
    bench_step(&bench, sent);
    bench_event(&bench, RAFT_ROUND);
    bench_heartbeat_answer(&bench, 2, 2, bench_view(&bench)->round);
    bench_wait(&bench, BENCH_TIMEOUT);
    assert_int_equal(raft_progress(bench.raft, two, &progress), STATUS_OK);
    assert_false(progress.caught_up); /* the one under way is too long already */
    bench_stop(&bench);
}

/* R15: since when a voter lacks what the log had. */
static void voter_falls_behind(void **state)
{
    struct bench bench;
    struct raft_progress progress;
    const struct replica_id two = {2};
    (void)state;
    lead(&bench);
    bench_event(&bench, RAFT_ROUND);
    assert_int_equal(raft_progress(bench.raft, two, &progress), STATUS_OK);
    assert_int_equal(progress.behind_since_ns, 0);
    bench_event(&bench, RAFT_PROPOSE);
    bench_event(&bench, RAFT_ROUND);
    uint64_t since = bench.now_ns;
    bench.now_ns += 10 * BENCH_MS;
    bench_event(&bench, RAFT_PROPOSE);
    bench_event(&bench, RAFT_ROUND);
    assert_int_equal(raft_progress(bench.raft, two, &progress), STATUS_OK);
    assert_int_equal(progress.behind_since_ns, since);
    bench_accept(&bench, 2, 5);
    assert_int_equal(raft_progress(bench.raft, two, &progress), STATUS_OK);
    assert_int_equal(progress.behind_since_ns, 0);
    bench_stop(&bench);
}

/* The contract's levels: local, semisync:k, all; written or persisted. */
static void copies_are_counted(void **state)
{
    struct bench bench;
    (void)state;
    lead(&bench);
    bench_event(&bench, RAFT_PROPOSE);
    assert_int_equal(raft_acked_by(bench.raft, 1, true), 4);
    assert_int_equal(raft_acked_by(bench.raft, 1, false), 5);
    bench_accept(&bench, 2, 5);
    assert_int_equal(raft_acked_by(bench.raft, 2, true), 4); /* the leader's is one of them */
    bench_persist(&bench);
    assert_int_equal(raft_acked_by(bench.raft, 1, true), 5);
    assert_int_equal(raft_acked_by(bench.raft, 2, true), 5);
    assert_int_equal(raft_acked_by(bench.raft, 3, true), 4);
    assert_int_equal(raft_acked_by(bench.raft, RAFT_COPIES_ALL, true), 4);
    assert_int_equal(raft_acked_by(bench.raft, 4, true), 0); /* there are not so many */
    assert_int_equal(raft_acked_by(bench.raft, 0, true), 0);
    bench_event(&bench, RAFT_STEP_DOWN);
    assert_int_equal(raft_acked_by(bench.raft, 1, true), 0);
    bench_stop(&bench);
}

/* R15: out of the in-sync set with the commit, RAFT-16; back with the append. */
static void in_sync_set(void **state)
{
    struct bench bench;
    struct raft_configuration out, in;
    const struct replica_id three = {3};
    (void)state;
    lead(&bench);
    assert_int_equal(raft_configuration_set_sync(&bench.configuration, three, true, &out),
                     STATUS_INVALID);
    assert_int_equal(raft_configuration_set_sync(&bench.configuration, three, false, &out),
                     STATUS_OK);
    propose(&bench, &out);
    assert_int_equal(raft_acked_by(bench.raft, RAFT_COPIES_ALL, true), 4);
    bench_accept(&bench, 2, 5);
    assert_int_equal(bench_view(&bench)->commit, 5);
    assert_int_equal(raft_acked_by(bench.raft, RAFT_COPIES_ALL, true), 5);
    assert_int_equal(raft_configuration_set_sync(&out, three, true, &in), STATUS_OK);
    propose(&bench, &in);
    assert_int_equal(raft_acked_by(bench.raft, RAFT_COPIES_ALL, true), 4);
    bench_stop(&bench);
}

static void assert_bytes(const struct raft_configuration *c, const uint8_t *expected, size_t size)
{
    struct buffer bytes;
    struct raft_configuration back;
    buffer_init(&bytes, 200);
    raft_configuration_encode(c, &bytes);
    assert_int_equal(bytes.size, size);
    assert_memory_equal(bytes.at, expected, size);
    assert_int_equal(raft_configuration_decode(slice_of_buffer(&bytes), &back), STATUS_OK);
    assert_int_equal(back.members[1].out_of_sync, c->members[1].out_of_sync);
    assert_int_equal(back.sync, c->sync);
    buffer_deinit(&bytes);
}

/* Version 3 has a sync, whether flags are set or not. */
static void encoded_sync(void **state)
{
    static const uint8_t sync[] = {3, 0, 2, 2, 2, 1, 1, 1, 0, 0, 0, 2, 2, 1, 0, 0, 0, 3};
    uint8_t other[sizeof sync + 1];
    struct raft_configuration c = set_of("12", 2, 2), wanted = c, out;
    const char *why;
    (void)state;
    c.sync = 3;
    assert_bytes(&c, sync, sizeof sync);
    memcpy(other, sync, sizeof sync);
    for (int bad = 0; bad < 3; bad++) {
        other[sizeof sync - 1] = bad == 0 ? 0 : bad == 1 ? 4 : 3;
        assert_int_equal(
            raft_configuration_decode(slice_of(other, sizeof sync + (bad == 2 ? 1 : 0)), &out),
            STATUS_INVALID);
    }
    assert_int_equal(raft_configuration_decode(slice_of(sync, sizeof sync - 1), &out),
                     STATUS_INVALID);
    /* It goes along, and is a change of its own without a joint configuration. */
    assert_int_equal(raft_configuration_change(&c, &wanted, true, &out, &why), STATUS_INVALID);
    wanted.sync = 1;
    assert_int_equal(raft_configuration_change(&c, &wanted, true, &out, &why), STATUS_OK);
    assert_false(out.joint);
    assert_int_equal(out.sync, 1);
    wanted = set_of("123", 2, 2);
    assert_int_equal(raft_configuration_change(&c, &wanted, true, &out, &why), STATUS_OK);
    assert_true(out.joint);
    raft_configuration_leave(&out, &wanted);
    assert_int_equal(wanted.sync, 3);
}

/* The format: version 2 only where a flag is set; without one it is not accepted. */
static void encoded_bytes(void **state)
{
    static const uint8_t plain[] = {1, 0, 2, 2, 2, 1, 1, 1, 0, 0, 2, 2, 1, 0, 7};
    static const uint8_t flags[] = {2, 0, 2, 2, 2, 1, 1, 1, 0, 0, 0, 2, 2, 1, 0, 7, 1};
    uint8_t none[sizeof flags];
    struct raft_configuration c = set_of("12", 2, 2), out;
    (void)state;
    c.members[1].priority = 7;
    assert_bytes(&c, plain, sizeof plain);
    c.members[1].out_of_sync = true;
    assert_bytes(&c, flags, sizeof flags);
    memcpy(none, flags, sizeof none);
    none[sizeof none - 1] = 0;
    assert_int_equal(raft_configuration_decode(slice_of(none, sizeof none), &out), STATUS_INVALID);
    none[sizeof none - 1] = 2;
    assert_int_equal(raft_configuration_decode(slice_of(none, sizeof none), &out), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded_bytes),
        cmocka_unit_test(encoded_sync),
        cmocka_unit_test(wanted_configurations),
        cmocka_unit_test(learners_change_at_once),
        cmocka_unit_test(too_many_members_on_the_way),
        cmocka_unit_test(leader_is_told_to_leave),
        cmocka_unit_test(removed_but_needed),
        cmocka_unit_test(leader_outside_needs_the_others),
        cmocka_unit_test(alone_since_lately_withholds),
        cmocka_unit_test(learner_catches_up_in_rounds),
        cmocka_unit_test(voter_falls_behind),
        cmocka_unit_test(copies_are_counted),
        cmocka_unit_test(in_sync_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
