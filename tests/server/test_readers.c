/* Readers: copies that never vote. They come and go by contract and by command, stay readers while
 * voters change, and nobody waits for them (CLUSTER-13, CONTROL-20, RAFT-8). */
#include "stage.h"

#include "control/control.h"

#include <string.h>

#define CARTS ((struct group_id){2}) /* the first partition of `carts` */

static void expect(struct stage *stage, unsigned client, const char *request, const char *reply)
{
    const char *got = stage_ask(stage, client, request);
    if (strcmp(got, reply) != 0)
        fail_msg("%s: '%s', not '%s'", request, got, reply);
}

static void expect_in(struct stage *stage, unsigned client, const char *request, const char *part)
{
    const char *got = stage_ask(stage, client, request);
    if (!strstr(got, part))
        fail_msg("%s: '%s' is not in '%s'", request, part, got);
}

static bool all_settled(struct stage *stage, void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < stage->options.nodes; i++)
        if (stage->nodes[i].worker && !worker_is_settled(stage->nodes[i].worker))
            return false;
    return true;
}

static void settle(struct stage *stage)
{
    stage_run(stage, STAGE_SECOND); /* every node knows what is asked */
    assert_true(stage_wait(stage, all_settled, NULL, 60 * STAGE_SECOND));
}

static const struct control_partition *record_of(struct stage *stage, struct group_id group)
{
    const struct control_partition *found = NULL;
    for (unsigned i = 0; i < stage->options.nodes && !found; i++)
        if (stage->nodes[i].worker)
            found = catalogue_find_group(control_catalogue(worker_control(stage->nodes[i].worker)),
                                         group);
    return found;
}

/* That of the leader; NULL: none serves. */
static const struct raft_configuration *members_of(struct stage *stage, struct group_id group)
{
    for (unsigned i = 0; i < stage->options.nodes; i++) {
        struct replica *replica = stage->nodes[i].worker ? stage_replica(stage, i, group) : NULL;
        if (replica && replica_is_serving(replica))
            return raft_configuration(replica_raft(replica));
    }
    return NULL;
}

static bool is_led(struct stage *stage, void *group)
{
    return members_of(stage, *(struct group_id *)group) != NULL;
}

/* The group is what its record says: so many that vote, so many that read, each on its own node. */
static void expect_members(struct stage *stage, struct group_id group, size_t voters,
                           size_t readers)
{
    assert_true(stage_wait(stage, is_led, &group, 10 * STAGE_SECOND));
    const struct raft_configuration *now = members_of(stage, group);
    const struct raft_configuration *wanted = partition_wanted(record_of(stage, group));
    size_t votes = 0, reads = 0;
    assert_false(now->joint);
    for (size_t i = 0; i < now->member_count; i++) {
        const struct raft_member *member = raft_find_member(wanted, now->members[i].replica);
        votes += now->members[i].kind == RAFT_VOTER;
        reads += now->members[i].kind == RAFT_LEARNER;
        assert_non_null(member);
        assert_int_equal(member->kind, now->members[i].kind);
        for (size_t k = 0; k < i; k++)
            assert_false(node_id_equal(now->members[i].node, now->members[k].node));
    }
    assert_int_equal(votes, voters);
    assert_int_equal(reads, readers);
    assert_int_equal(wanted->member_count, voters + readers);
}

/* The node of its first reader, from 0. */
static unsigned reader_of(struct stage *stage, struct group_id group)
{
    const struct raft_configuration *wanted = partition_wanted(record_of(stage, group));
    for (size_t i = 0; i < wanted->member_count; i++)
        if (wanted->members[i].kind == RAFT_LEARNER)
            return (unsigned)wanted->members[i].node.value - 1;
    return STAGE_NONE;
}

static unsigned voter_of(struct stage *stage, struct group_id group, size_t which)
{
    return (unsigned)partition_wanted(record_of(stage, group))->members[which].node.value - 1;
}

static unsigned node_without(struct stage *stage, struct group_id group)
{
    unsigned node = 0;
    while (
        raft_find_member_on(partition_wanted(record_of(stage, group)), (struct node_id){node + 1}))
        node++;
    return node;
}

/* What the reader has applied is what the leader has. */
static bool reader_is_equal(struct stage *stage, void *argument)
{
    struct group_id group = *(struct group_id *)argument;
    struct replica *reader = stage_replica(stage, reader_of(stage, group), group);
    for (unsigned i = 0; i < stage->options.nodes && reader; i++) {
        struct replica *replica = stage->nodes[i].worker ? stage_replica(stage, i, group) : NULL;
        if (replica && replica_is_serving(replica))
            return store_digest(replica_store(replica)) == store_digest(replica_store(reader));
    }
    return false;
}

static struct stage *stage_with(const char *words, uint64_t replace_after_ns)
{
    struct stage *stage = stage_formed_with(
        &(struct stage_options){.nodes = 5, .replace_after_ns = replace_after_ns});
    unsigned client = stage_connect(stage, 0);
    char request[128];
    snprintf(request, sizeof request, "KEYSPACE CREATE carts %s", words);
    expect(stage, client, request, "OK");
    settle(stage);
    expect(stage, client, "SELECT carts", "OK");
    expect(stage, client, "SET a 1", "OK");
    stage_disconnect(stage, client);
    return stage;
}

static void readers_come_with_their_keyspace(void **state)
{
    (void)state;
    struct stage *stage = stage_with("REPLICAS 3 READERS 1..2 PARTITIONS 5", 0);
    unsigned client = stage_connect(stage, 0);
    size_t least = SIZE_MAX, most = 0;
    for (unsigned i = 0; i < 5; i++) {
        struct group_id group = {2 + i};
        expect_members(stage, group, 3, 1);
        assert_true(stage_wait(stage, reader_is_equal, &group, 10 * STAGE_SECOND));
        assert_int_equal(2, members_of(stage, group)->commit_quorum);
    }
    for (unsigned i = 0; i < 5; i++) { /* as even as if they voted */
        size_t copies = node_group_count(worker_node(stage->nodes[i].worker));
        least = copies < least ? copies : least;
        most = copies > most ? copies : most;
    }
    assert_true(most <= least + 1);
    expect_in(stage, client, "KEYSPACE INFO carts", "readers 1..2 commit_quorum 2");
    expect_in(stage, client, "KEYSPACE INFO carts", "state settled waits_for nil readers ");
    expect_in(stage, client, "KEYSPACE EXPLAIN carts",
              "readers: 1..2 more copies of each partition");
    expect_in(stage, client, "PARTITION EXPLAIN 2", "has a reader, which does not vote");
    expect_in(stage, client, "PARTITION EXPLAIN 2", "3 replicas, READERS 1..2, SPREAD none: the");
    expect_in(stage, client, "PARTITION EXPLAIN 2", "plan: nothing would move");
    expect_in(stage, client, "EVENTS COUNT 40", "; its readers on ");
    stage_disconnect(stage, client);
    client = stage_connect(stage, reader_of(stage, CARTS));
    expect_in(stage, client, "STATUS", "\"role\":\"reader\"");
    char request[32];
    snprintf(request, sizeof request, "REPLICA WHY 2/%u",
             (unsigned)replica_self(stage_replica(stage, reader_of(stage, CARTS), CARTS)).value);
    expect_in(stage, client, request, "does not vote: it is a reader");
    expect_in(stage, client, "KEYSPACE WHY carts", "nothing");
    stage_destroy(stage);
}

/* RAFT-8: neither for a write nor against one. */
static void no_write_waits_for_a_reader_or_is_held_by_one(void **state)
{
    (void)state;
    struct stage *stage = stage_with("REPLICAS 3 READERS 2 ACK all", 0);
    unsigned reader = reader_of(stage, CARTS), asked = voter_of(stage, CARTS, 0);
    unsigned client = stage_connect(stage, asked);
    expect_members(stage, CARTS, 3, 2);
    expect(stage, client, "SELECT carts", "OK");
    stage_isolate(stage, reader);
    stage_say(stage, client, "SET b 1");
    assert_string_equal("OK", stage_reply(stage, client, STAGE_SECOND / 4));
    stage_heal(stage);
    stage_run(stage, STAGE_SECOND);
    /* With its two readers it is three of five, and one vote of three: nothing is acknowledged. */
    stage_kill(stage, voter_of(stage, CARTS, 1));
    stage_kill(stage, voter_of(stage, CARTS, 2));
    stage_say(stage, client, "SET c 1");
    const char *reply = stage_reply(stage, client, 4 * STAGE_SECOND);
    assert_true(strcmp(reply, "OK") != 0);
    stage_destroy(stage);
}

static void a_reader_stays_one(void **state)
{
    (void)state;
    struct stage *stage = stage_with("REPLICAS 3 READERS 1", 0);
    unsigned reader = reader_of(stage, CARTS), empty = node_without(stage, CARTS);
    struct replica_id same = replica_self(stage_replica(stage, reader, CARTS));
    unsigned client = stage_connect(stage, empty);
    char request[48];
    expect(stage, client, "SELECT carts", "OK");
    for (unsigned round = 0; round < 3; round++) { /* the voters are others each time */
        unsigned to = node_without(stage, CARTS);
        const struct raft_member *voter =
            &partition_wanted(record_of(stage, CARTS))->members[round % 3];
        snprintf(request, sizeof request, "REPLICA MOVE 2/%u TO %u", (unsigned)voter->replica.value,
                 to + 1);
        expect(stage, client, request, "OK");
        settle(stage);
        expect_members(stage, CARTS, 3, 1);
    }
    assert_int_equal(reader, reader_of(stage, CARTS));
    assert_true(replica_id_equal(same, replica_self(stage_replica(stage, reader, CARTS))));
    stage_kill(stage, reader);
    assert_true(stage_start(stage, reader));
    settle(stage);
    expect(stage, client, "SET a 2", "OK");
    struct group_id group = CARTS;
    assert_true(stage_wait(stage, reader_is_equal, &group, 10 * STAGE_SECOND));
    stage_destroy(stage);
}

static void readers_change_by_contract(void **state)
{
    (void)state;
    struct stage *stage = stage_with("REPLICAS 3", 0);
    unsigned client = stage_connect(stage, 1);
    expect(stage, client, "KEYSPACE ALTER carts READERS 1..2", "OK");
    settle(stage);
    expect_members(stage, CARTS, 3, 1);
    expect(stage, client, "KEYSPACE ALTER carts READERS 2", "OK");
    settle(stage);
    expect_members(stage, CARTS, 3, 2);
    /* A copy that is there is given a vote, none is made anew. */
    unsigned reader = reader_of(stage, CARTS);
    struct replica_id first = replica_self(stage_replica(stage, reader, CARTS));
    expect(stage, client, "KEYSPACE ALTER carts REPLICAS 4 READERS 1", "OK");
    settle(stage);
    expect_members(stage, CARTS, 4, 1);
    assert_true(replica_id_equal(first, replica_self(stage_replica(stage, reader, CARTS))));
    expect(stage, client, "KEYSPACE ALTER carts REPLICAS 2 READERS 3", "OK"); /* and taken */
    settle(stage);
    expect_members(stage, CARTS, 2, 3);
    assert_true(replica_id_equal(first, replica_self(stage_replica(stage, reader, CARTS))));
    expect(stage, client, "KEYSPACE ALTER carts REPLICAS 3 READERS 2", "OK"); /* the quorums stay */
    settle(stage);
    expect_members(stage, CARTS, 3, 2);
    expect(stage, client, "KEYSPACE ALTER carts READERS 0", "OK");
    settle(stage);
    expect_members(stage, CARTS, 3, 0);
    expect(stage, client, "SELECT carts", "OK");
    expect(stage, client, "GET a", "1");
    stage_destroy(stage);
}

static void readers_change_by_command(void **state)
{
    (void)state;
    struct stage *stage = stage_with("REPLICAS 3 READERS 0..1", 0);
    unsigned client = stage_connect(stage, 1), to = node_without(stage, CARTS);
    char request[48];
    expect_members(stage, CARTS, 3, 0);
    snprintf(request, sizeof request, "REPLICA ADD 2 ON %u", to + 1);
    expect(stage, client, request, "OK");
    settle(stage);
    expect_members(stage, CARTS, 3, 1);
    assert_int_equal(to, reader_of(stage, CARTS));
    expect_in(stage, client, request, "has a replica of partition 2 already");
    snprintf(request, sizeof request, "REPLICA ADD 2 ON %u", node_without(stage, CARTS) + 1);
    expect_in(stage, client, request, "KEYSPACE ALTER carts READERS 0..2 allows another");
    expect_in(stage, client, "REPLICA REMOVE 2/1", "votes, and REPLICA REMOVE takes readers");
    expect_in(stage, client, "REPLICA REMOVE 2/9", "partition 2 has no replica 9");
    expect_in(stage, client, "REPLICA ADD 1 ON 4", "default belongs to every cluster");
    expect_in(stage, client, "REPLICA ADD 77 ON 4", "there is no partition 77");
    expect_in(stage, client, "REPLICA ADD 2 TO 4", "REPLICA ADD takes partition ON node");
    /* What somebody added stays when the partition is placed anew. */
    snprintf(request, sizeof request, "REPLICA MOVE 2/1 TO %u", node_without(stage, CARTS) + 1);
    expect(stage, client, request, "OK");
    settle(stage);
    expect_members(stage, CARTS, 3, 1);
    expect(stage, client, "KEYSPACE ALTER carts ACK semisync:1 SYNC interval:1000", "OK");
    settle(stage);
    expect_members(stage, CARTS, 3, 1);
    snprintf(request, sizeof request, "REPLICA REMOVE 2/%u",
             (unsigned)replica_self(stage_replica(stage, to, CARTS)).value);
    expect(stage, client, request, "OK");
    settle(stage);
    expect_members(stage, CARTS, 3, 0);
    assert_null(stage_replica(stage, to, CARTS));
    expect(stage, client, "KEYSPACE ALTER carts READERS 1", "OK");
    settle(stage);
    snprintf(request, sizeof request, "REPLICA REMOVE 2/%u",
             (unsigned)replica_self(stage_replica(stage, reader_of(stage, CARTS), CARTS)).value);
    expect_in(stage, client, request, "KEYSPACE ALTER carts READERS 0..1 allows one fewer");
    stage_destroy(stage);
}

static void a_reader_leaves_with_its_node(void **state)
{
    (void)state;
    struct stage *stage = stage_with("REPLICAS 3 READERS 1", 0);
    unsigned reader = reader_of(stage, CARTS), empty = node_without(stage, CARTS);
    unsigned client = stage_connect(stage, voter_of(stage, CARTS, 0));
    char request[48];
    stage_kill(stage, empty); /* where its copy is to go */
    snprintf(request, sizeof request, "NODE DRAIN %u", reader + 1);
    expect(stage, client, request, "OK");
    stage_run(stage, 5 * STAGE_SECOND);
    assert_non_null(raft_find_member_on(members_of(stage, CARTS), (struct node_id){reader + 1}));
    assert_true(stage_start(stage, empty));
    settle(stage);
    expect_members(stage, CARTS, 3, 1);
    assert_int_equal(empty, reader_of(stage, CARTS));
    assert_null(stage_replica(stage, reader, CARTS));
    snprintf(request, sizeof request, "NODE DRAIN %u", empty + 1);
    expect_in(stage, client, request,
              "keyspace carts: READERS 1 beside REPLICAS 3 needs 4 nodes, and the cluster has 3: "
              "READERS 0 works");
    stage_destroy(stage);
}

/* CONTROL-20 */
static void no_voter_waits_for_a_reader(void **state)
{
    (void)state;
    struct stage *stage = stage_with("REPLICAS 3 READERS 0..1", 0);
    unsigned down = node_without(stage, CARTS), to = down + 1;
    unsigned client = stage_connect(stage, voter_of(stage, CARTS, 0));
    char request[48];
    while (raft_find_member_on(partition_wanted(record_of(stage, CARTS)), (struct node_id){to + 1}))
        to++;
    stage_kill(stage, down);
    snprintf(request, sizeof request, "REPLICA ADD 2 ON %u", down + 1);
    expect(stage, client, request, "OK");
    settle(stage); /* it is a member, and who it is has no copy yet */
    expect_members(stage, CARTS, 3, 1);
    snprintf(request, sizeof request, "REPLICA MOVE 2/2 TO %u", to + 1);
    expect(stage, client, request, "OK");
    settle(stage);
    expect_members(stage, CARTS, 3, 1);
    assert_non_null(raft_find_member_on(members_of(stage, CARTS), (struct node_id){to + 1}));
    assert_true(stage_start(stage, down));
    struct group_id group = CARTS;
    assert_true(stage_wait(stage, reader_is_equal, &group, 10 * STAGE_SECOND));
    stage_destroy(stage);
}

/* Where a node is lost and no other is free, a reader votes, and has the data. */
static void a_reader_takes_the_place_of_a_voter(void **state)
{
    (void)state;
    struct stage *stage = stage_with("REPLICAS 3 READERS 2", 5 * STAGE_SECOND);
    unsigned lost = voter_of(stage, CARTS, 1), kept = 0;
    unsigned client = stage_connect(stage, reader_of(stage, CARTS));
    struct raft_configuration before = *members_of(stage, CARTS);
    stage_kill(stage, lost);
    stage_run(stage, 20 * STAGE_SECOND);
    settle(stage);
    expect_members(stage, CARTS, 3, 1);
    const struct raft_configuration *now = members_of(stage, CARTS);
    for (size_t i = 0; i < now->member_count; i++) {
        const struct raft_member *was = raft_find_member(&before, now->members[i].replica);
        assert_non_null(was); /* none is made anew */
        kept += was->kind == now->members[i].kind;
    }
    assert_int_equal(kept, 3); /* and one of the readers votes */
    assert_null(raft_find_member_on(now, (struct node_id){lost + 1}));
    expect(stage, client, "SELECT carts", "OK");
    expect(stage, client, "SET a 3", "OK");
    assert_true(stage_start(stage, lost)); /* it comes back as what is missing */
    stage_run(stage, 20 * STAGE_SECOND);
    settle(stage);
    expect_members(stage, CARTS, 3, 2);
    stage_destroy(stage);
}

/* What no other node can take stays where it is expected back. */
static void a_reader_that_is_down_is_kept(void **state)
{
    (void)state;
    struct stage *stage = stage_with("REPLICAS 3 READERS 2", 5 * STAGE_SECOND);
    unsigned reader = reader_of(stage, CARTS);
    unsigned client = stage_connect(stage, voter_of(stage, CARTS, 0));
    struct replica_id same = replica_self(stage_replica(stage, reader, CARTS));
    stage_kill(stage, reader);
    stage_run(stage, 20 * STAGE_SECOND);
    expect_in(stage, client, "NODE LIST", "away");
    settle(stage);
    expect_members(stage, CARTS, 3, 2);
    assert_non_null(raft_find_member(members_of(stage, CARTS), same));
    assert_true(stage_start(stage, reader));
    stage_run(stage, 10 * STAGE_SECOND);
    settle(stage);
    assert_true(replica_id_equal(same, replica_self(stage_replica(stage, reader, CARTS))));
    stage_destroy(stage);
}

/* R4: the only voter began anew. A reader has what it had, and cannot lead. */
static void a_reader_is_no_voter_where_those_are_lost(void **state)
{
    (void)state;
    struct stage *stage = stage_with("REPLICAS 1 READERS 1", 0);
    const struct control_partition *partition = record_of(stage, CARTS);
    struct raft_member voter = partition_wanted(partition)->members[0];
    unsigned node = (unsigned)voter.node.value - 1;
    stage_kill(stage, node);
    world_wipe_disk(stage->world, stage->nodes[node].machine);
    stage->nodes[node].begins_anew = true;
    assert_true(stage_start(stage, node));
    stage_run(stage, 20 * STAGE_SECOND);
    partition = record_of(stage, CARTS);
    assert_int_equal(1, partition->gone_count); /* and nobody is made in its place */
    assert_true(replica_id_equal(voter.replica, partition->gone[0]));
    assert_non_null(raft_find_member(partition_wanted(partition), voter.replica));
    stage_destroy(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_come_with_their_keyspace),
        cmocka_unit_test(no_write_waits_for_a_reader_or_is_held_by_one),
        cmocka_unit_test(a_reader_stays_one),
        cmocka_unit_test(readers_change_by_contract),
        cmocka_unit_test(readers_change_by_command),
        cmocka_unit_test(a_reader_leaves_with_its_node),
        cmocka_unit_test(no_voter_waits_for_a_reader),
        cmocka_unit_test(a_reader_takes_the_place_of_a_voter),
        cmocka_unit_test(a_reader_that_is_down_is_kept),
        cmocka_unit_test(a_reader_is_no_voter_where_those_are_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
