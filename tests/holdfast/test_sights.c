/* What the nodes notice of silence: merged from all of them, and told in lines. */
#include "holdfast/sights.h"

#include "holdfast/merge.h"

#include <cmocka.h>
#include <string.h>

#define VIEW(node, nodes, more)                                                                    \
    "{\"cluster_id\":\"c\",\"node\":" node ",\"nodes\":[" nodes "],\"keyspaces\":[],"              \
    "\"partitions\":[]" more "}"
#define LAN                                                                                        \
    "\"profile\":\"lan\",\"heartbeat_ms\":60,\"election_min_ms\":400,\"election_max_ms\":800"
#define WAN                                                                                        \
    "\"profile\":\"wan\",\"heartbeat_ms\":80,\"election_min_ms\":2000,\"election_max_ms\":4000"
#define STILL "\"pauses\":{\"count\":2,\"last_ms\":812,\"last_at_ms\":1795338301000}"
#define AWAKE "\"pauses\":{\"count\":0,\"last_ms\":null,\"last_at_ms\":null}"

/* Both hear of each other; the second one is silent for the first. */
#define NODES                                                                                      \
    "{\"id\":1,\"addr\":\"n1:1\",\"state\":\"up\",\"phi\":null,\"suspected_since_ms\":null},"      \
    "{\"id\":2,\"addr\":\"n2:1\",\"state\":\"up\",\"phi\":9.3,"                                    \
    "\"suspected_since_ms\":1795338301000}"
#define WELL                                                                                       \
    "{\"id\":1,\"addr\":\"n1:1\",\"state\":\"up\",\"phi\":0.1,\"suspected_since_ms\":null},"       \
    "{\"id\":2,\"addr\":\"n2:1\",\"state\":\"up\",\"phi\":null,\"suspected_since_ms\":null}"

static json_t *merge(const char *one, const char *other)
{
    json_t *views[] = {merge_read_view(one, strlen(one)),
                       other ? merge_read_view(other, strlen(other)) : NULL};
    json_t *merged = merge_views(views, 2);
    json_decref(views[0]);
    json_decref(views[1]);
    return merged;
}

static void assert_told(const char *one, const char *other, const char *wanted)
{
    struct buffer out;
    json_t *merged = merge(one, other);
    buffer_init(&out, SIGHTS_SIZE_MAX);
    sights_tell(merged, &out);
    assert_int_equal(0, buffer_append(&out, "", 1));
    assert_string_equal(wanted, (const char *)out.at);
    buffer_deinit(&out);
    json_decref(merged);
}

static void test_a_suspicion_names_both(void **state)
{
    (void)state;
    assert_told(VIEW("1", NODES, ",\"timing\":{" LAN ",\"suggested\":null}," AWAKE),
                VIEW("2", WELL, ",\"timing\":{" LAN ",\"suggested\":{" LAN "}}," AWAKE),
                "node 2 at n2:1 is suspected by node 1 since 2026-11-22T09:05:01Z (phi 9.3)\n"
                "timing lan (heartbeats each 60 ms, elections after 400 to 800 ms) on node 1, 2\n");
}

static void test_other_times_are_suggested(void **state)
{
    (void)state;
    assert_told(
        VIEW("1", WELL,
             ",\"timing\":{" LAN ",\"slow_round_trip_ms\":90.12,\"suggested\":{" WAN "}}," AWAKE),
        VIEW("2", WELL, ",\"timing\":{" WAN ",\"suggested\":null}," STILL),
        "timing lan (heartbeats each 60 ms, elections after 400 to 800 ms) on node 1\n"
        "timing wan (heartbeats each 80 ms, elections after 2000 to 4000 ms) on node 2\n"
        "node 1 at n1:1 measures round trips of 90.1 ms: --timing wan suits them (heartbeats each "
        "80 ms, elections after 2000 to 4000 ms)\n"
        "node 2 at n2:1 stood still 2 times since its start, the last until 2026-11-22T09:05:01Z, "
        "for 812 ms\n");
}

/* Nor does one that is silent; in JSON that is null. */
static void test_an_older_node_says_nothing(void **state)
{
    (void)state;
    const char *older = VIEW("1", "{\"id\":1,\"addr\":\"n1:1\",\"state\":\"up\"}", "");
    assert_told(older, NULL, "");
    json_t *merged = merge(older, NULL),
           *node = json_array_get(json_object_get(merged, "nodes"), 0);
    assert_true(json_is_null(json_object_get(node, "timing")));
    assert_true(json_is_null(json_object_get(node, "pauses")));
    assert_int_equal(0, json_array_size(json_object_get(node, "suspected_by")));
    json_decref(merged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_suspicion_names_both),
        cmocka_unit_test(test_other_times_are_suggested),
        cmocka_unit_test(test_an_older_node_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
