/* Groups that come and go: nothing before its note is durable (NODE-6), nothing of a dropped one
 * afterwards (NODE-7). */
#include "tests/server/stage.h"

#include "base/memory.h"
#include "node/inside.h"

#include <string.h>

static const struct group_id group = {2};

static struct node_partition on_the_only_node(struct group_id id)
{
    struct node_partition partition = {
        .group = id, .initial = {.commit_quorum = 1, .election_quorum = 1, .member_count = 1}};
    partition.initial.members[0] =
        (struct raft_member){.replica = {1}, .node = {1}, .kind = RAFT_VOTER};
    return partition;
}

static struct node *node_of(struct stage *stage)
{
    return worker_node(stage->nodes[0].worker);
}

static bool serves(struct stage *stage, void *unused)
{
    struct replica *replica = stage_replica(stage, 0, group);
    (void)unused;
    return replica && replica_is_serving(replica);
}

static void restart(struct stage *stage)
{
    stage_kill(stage, 0);
    assert_true(stage_start(stage, 0));
    assert_true(stage_wait(stage, stage_has_leader, NULL, 5 * STAGE_SECOND));
}

static void nothing_before_the_note_is_durable(void **state)
{
    struct node_partition partition = on_the_only_node(group);
    (void)state;
    struct stage *stage = stage_formed(1);
    world_hold_syncs(stage->world, stage->nodes[0].machine, true);
    node_add_partition(node_of(stage), &partition);
    assert_true(node_is_placed(node_of(stage), group));
    assert_false(stage_wait(stage, serves, NULL, STAGE_SECOND)); /* NODE-6 */
    assert_null(stage_replica(stage, 0, group));
    world_hold_syncs(stage->world, stage->nodes[0].machine, false);
    assert_true(stage_wait(stage, serves, NULL, 5 * STAGE_SECOND));
    restart(stage);
    assert_true(stage_wait(stage, serves, NULL, 5 * STAGE_SECOND));
    stage_destroy(stage);
}

static void a_dropped_id_never_comes_back(void **state)
{
    struct node_partition partition = on_the_only_node(group);
    (void)state;
    struct stage *stage = stage_formed(1);
    node_add_partition(node_of(stage), &partition);
    assert_true(stage_wait(stage, serves, NULL, 5 * STAGE_SECOND));
    node_drop_partition(node_of(stage), group);
    assert_null(stage_replica(stage, 0, group));
    node_add_partition(node_of(stage), &partition);
    assert_false(node_is_placed(node_of(stage), group)); /* NODE-7 */
    stage_run(stage, STAGE_SECOND);
    restart(stage);
    assert_null(stage_replica(stage, 0, group));
    node_add_partition(node_of(stage), &partition);
    assert_false(node_is_placed(node_of(stage), group)); /* NODE-7 */
    stage_destroy(stage);
}

/* Dropped between its note and its birth. */
static void dropped_before_it_lived(void **state)
{
    struct node_partition partition = on_the_only_node(group);
    (void)state;
    struct stage *stage = stage_formed(1);
    world_hold_syncs(stage->world, stage->nodes[0].machine, true);
    node_add_partition(node_of(stage), &partition);
    stage_run(stage, STAGE_MS);
    node_drop_partition(node_of(stage), group);
    world_hold_syncs(stage->world, stage->nodes[0].machine, false);
    assert_false(stage_wait(stage, serves, NULL, STAGE_SECOND));
    restart(stage);
    assert_null(stage_replica(stage, 0, group));
    stage_destroy(stage);
}

/* More drops than are kept one by one: the oldest are remembered as "all up to". */
static void many_drops(void **state)
{
    (void)state;
    struct stage *stage = stage_formed(1);
    uint64_t first = 2, last = first + NODE_DROPPED_MAX + 10;
    for (uint64_t i = first; i <= last; i++) {
        struct node_partition partition = on_the_only_node((struct group_id){i});
        node_add_partition(node_of(stage), &partition);
        node_drop_partition(node_of(stage), (struct group_id){i});
        if (i % 64 == 0)
            stage_run(stage, 10 * STAGE_MS);
    }
    stage_run(stage, STAGE_SECOND);
    restart(stage);
    for (uint64_t i = first; i <= last; i += i < 20 ? 1 : 500) {
        struct node_partition partition = on_the_only_node((struct group_id){i});
        node_add_partition(node_of(stage), &partition);
        assert_false(node_is_placed(node_of(stage), (struct group_id){i})); /* NODE-7 */
    }
    stage_destroy(stage);
}

/* One of the formation, which no note names: a later one may come in its place, and is what is
 * there at each start. */
static void one_of_the_formation_ends(void **state)
{
    struct node_partition later = {
        .group = {1}, .initial = {.commit_quorum = 2, .election_quorum = 2, .member_count = 3}};
    later.initial.members[0] =
        (struct raft_member){.replica = {7}, .node = {1}, .kind = RAFT_LEARNER};
    for (uint64_t i = 2; i <= 3; i++)
        later.initial.members[i - 1] =
            (struct raft_member){.replica = {i}, .node = {i}, .kind = RAFT_VOTER};
    later.initial.commit_quorum = later.initial.election_quorum = 2;
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned client = stage_connect(stage, 2);
    assert_string_equal("OK", stage_ask(stage, client, "SET a 1"));
    node_remove_replica(node_of(stage), GROUP_DEFAULT);
    assert_null(stage_replica(stage, 0, GROUP_DEFAULT));
    stage_run(stage, STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++) {
        stage_kill(stage, 0);
        assert_true(stage_start(stage, 0));
        stage_run(stage, STAGE_SECOND);
        assert_null(stage_replica(stage, 0, GROUP_DEFAULT)); /* NODE-9 */
    }
    node_add_partition(node_of(stage), &later);
    stage_run(stage, STAGE_SECOND);
    for (unsigned i = 0; i < 3; i++) {
        struct replica *replica = stage_replica(stage, 0, GROUP_DEFAULT);
        assert_non_null(replica);
        assert_int_equal(7, replica_self(replica).value);
        stage_kill(stage, 0);
        assert_true(stage_start(stage, 0));
        stage_run(stage, STAGE_SECOND);
    }
    stage_destroy(stage);
}

/* ---- notes that somebody else wrote ---- */

struct written {
    struct buffer bytes[8];
    struct wal_record records[8];
    size_t count;
};

static void add_note(struct written *written, struct node *node)
{
    struct buffer *bytes = &written->bytes[written->count];
    buffer_init(bytes, 65536);
    placed_encode(node, bytes);
    written->records[written->count++] = (struct wal_record){
        .kind = WAL_IDENTITY, .index = IDENTITY_PLACED, .payload = slice_of_buffer(bytes)};
}

static void add_entry(struct written *written, uint64_t index)
{
    struct buffer *bytes = &written->bytes[written->count];
    struct slice nothing[2] = {{NULL, 0}, {NULL, 0}};
    struct wire_entry entry = {.kind = WIRE_ENTRY_NOOP,
                               .group = group,
                               .index = index,
                               .term = 1,
                               .time_us = (int64_t)index};
    buffer_init(bytes, 4096);
    assert_int_equal(STATUS_OK, wire_entry_encode(&entry, nothing, bytes));
    written->records[written->count++] = (struct wal_record){.kind = WAL_ENTRY,
                                                             .group = group,
                                                             .index = index,
                                                             .term = 1,
                                                             .payload = slice_of_buffer(bytes)};
}

/* Puts the records into the log of a running node and starts it anew. */
static bool starts_with(const struct written *written)
{
    struct stage *stage = stage_formed(1);
    for (size_t i = 0; i < written->count; i++)
        wal_append(node_wal(node_of(stage)), &written->records[i], WAL_SYNC_ALWAYS);
    stage_run(stage, STAGE_SECOND);
    stage_kill(stage, 0);
    bool started = stage_start(stage, 0);
    if (!started) /* NODE-5 */
        assert_non_null(strstr(stage->nodes[0].why, "holds a record that does not fit"));
    stage_destroy(stage);
    return started;
}

static void deinit(struct written *written)
{
    for (size_t i = 0; i < written->count; i++)
        buffer_deinit(&written->bytes[i]);
}

/* A node in which the group is placed, or dropped; only its note is of interest. */
static void note_of(struct written *written, bool dropped)
{
    struct node *node = memory_zeroed(1, sizeof *node);
    struct placed placed = {.partition = on_the_only_node(group), .here = true};
    struct group_id gone[1] = {group};
    node->placed = &placed;
    node->placed_count = dropped ? 0 : 1;
    node->dropped = gone;
    node->dropped_count = dropped ? 1 : 0;
    add_note(written, node);
    memory_free(node);
}

/* The first records of a dropped group went with their segment: what is left of it begins in the
 * middle. That is damage for a group that is still here, and nothing for one that is not. */
static void the_rest_of_a_dropped_group(void **state)
{
    struct written written = {.count = 0};
    (void)state;
    note_of(&written, false);
    add_entry(&written, 1);
    add_entry(&written, 2);
    assert_true(starts_with(&written));
    add_entry(&written, 5);
    assert_false(starts_with(&written)); /* NODE-5 */
    note_of(&written, true);
    assert_true(starts_with(&written)); /* NODE-7 */
    add_entry(&written, 6);
    assert_true(starts_with(&written));
    deinit(&written);
}

/* As a log says it whose older notes are gone: that one of the formation was removed, and that
 * another one is here. */
static void one_note_of_both(void **state)
{
    struct written written = {.count = 0};
    struct node *node = memory_zeroed(1, sizeof *node);
    struct placed placed = {.partition = on_the_only_node(GROUP_DEFAULT), .here = true};
    struct removed removed = {.group = GROUP_DEFAULT, .replica = {1}};
    (void)state;
    placed.partition.initial.members[0].replica.value = 7;
    node->placed = &placed;
    node->removed = &removed;
    node->placed_count = node->removed_count = 1;
    add_note(&written, node);
    struct stage *stage = stage_formed(1);
    wal_append(node_wal(node_of(stage)), &written.records[0], WAL_SYNC_ALWAYS);
    stage_run(stage, STAGE_SECOND);
    stage_kill(stage, 0);
    assert_true(stage_start(stage, 0));
    stage_run(stage, STAGE_SECOND);
    assert_int_equal(7, replica_self(stage_replica(stage, 0, GROUP_DEFAULT)).value);
    assert_int_equal(2, node_group_count(node_of(stage)));
    stage_destroy(stage);
    memory_free(node);
    deinit(&written);
}

static void notes_that_do_not_fit(void **state)
{
    struct written written = {.count = 0};
    (void)state;
    note_of(&written, false);
    struct slice good = written.records[0].payload;
    uint8_t bytes[512];
    assert_true(good.size + 1 < sizeof bytes);
    memcpy(bytes, good.at, good.size);
    bytes[good.size] = 0;
    for (size_t size = 0; size <= good.size + 1; size++) { /* cut off anywhere, or too long */
        written.records[0].payload = slice_of(bytes, size);
        assert_int_equal(size == good.size, starts_with(&written));
    }
    written.records[0].payload = good;
    written.bytes[0].at[0] = 9; /* a version to come */
    assert_false(starts_with(&written));
    deinit(&written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_before_the_note_is_durable),
        cmocka_unit_test(a_dropped_id_never_comes_back),
        cmocka_unit_test(dropped_before_it_lived),
        cmocka_unit_test(many_drops),
        cmocka_unit_test(one_of_the_formation_ends),
        cmocka_unit_test(the_rest_of_a_dropped_group),
        cmocka_unit_test(one_note_of_both),
        cmocka_unit_test(notes_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
