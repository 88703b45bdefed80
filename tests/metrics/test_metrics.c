/* METRICS-1: the page stays small however many partitions there are. METRICS-2: what is not known
 * is left out. Every page is read by a strict reader of the text format. */
#include "metrics/inside.h"

#include "base/memory.h"
#include "tests/server/stage.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX  512
#define DEFAULT   "{keyspace=\"default\",partition=\"1\""
#define LINES_MAX 4096

/* ---- the reader ---- */

static size_t name_size(const char *text)
{
    size_t size = 0;
    while (isalnum((unsigned char)text[size]) || text[size] == '_' || text[size] == ':')
        size++;
    return size;
}

/* Answers what follows the labels; fails on anything that the format does not allow. */
static const char *skip_labels(const char *at)
{
    if (*at != '{')
        return at;
    do {
        at++;
        size_t size = name_size(at);
        assert_true(size && !isdigit((unsigned char)at[0]) && at[size] == '=');
        assert_int_equal('"', at[size + 1]);
        for (at += size + 2; *at != '"'; at++) {
            assert_true(*at && *at != '\n');
            if (*at == '\\')
                assert_non_null(strchr("\\\"n", *++at));
        }
        at++;
    } while (*at == ',');
    assert_int_equal('}', *at);
    return at + 1;
}

struct page {
    char (*lines)[LINE_MAX]; /* of values: name and labels */
    double values[LINES_MAX];
    size_t count;
    char family[LINE_MAX], type[32];
};

/* A value belongs to the family that was declared last. */
static void read_value(struct page *page, const char *line)
{
    size_t size = name_size(line), family = strlen(page->family);
    bool is_part = strcmp(page->type, "histogram") == 0;
    assert_true(size >= family && memcmp(line, page->family, family) == 0);
    assert_true(size == family || (is_part && line[family] == '_'));
    const char *end = skip_labels(line + size);
    char *rest;
    assert_int_equal(' ', *end);
    assert_true(page->count < LINES_MAX && (size_t)(end - line) < LINE_MAX);
    page->values[page->count] = strtod(end + 1, &rest);
    assert_true(rest > end + 1 && !*rest);
    snprintf(page->lines[page->count], LINE_MAX, "%.*s", (int)(end - line), line);
    for (size_t i = 0; i < page->count; i++)
        assert_string_not_equal(page->lines[i], page->lines[page->count]);
    page->count++;
}

static void read_line(struct page *page, const char *line)
{
    char name[LINE_MAX];
    if (strncmp(line, "# HELP ", 7) == 0) {
        assert_int_equal(1, sscanf(line + 7, "%511s", name));
        assert_true(strncmp(name, "holdfast_", 9) == 0);
        assert_true(strlen(line) > 7 + strlen(name) + 1);
        for (size_t i = 0; i < page->count; i++) /* a family stands together */
            assert_false(strncmp(page->lines[i], name, strlen(name)) == 0 &&
                         !page->lines[i][strlen(name)]);
        memcpy(page->family, name, sizeof name);
        page->type[0] = 0;
    } else if (strncmp(line, "# TYPE ", 7) == 0) {
        assert_int_equal(2, sscanf(line + 7, "%511s %31s", name, page->type));
        assert_string_equal(page->family, name);
        assert_int_equal(strcmp(page->type, "counter") == 0,
                         strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0);
    } else {
        assert_true(page->type[0]);
        read_value(page, line);
    }
}

static void read_page(struct page *page, const struct metrics_sample *const *samples, size_t count)
{
    static const struct metrics_process process = {.version = "1", .resident_bytes = 4096};
    struct buffer text;
    memset(page, 0, sizeof *page);
    page->lines = memory_zeroed(LINES_MAX, LINE_MAX);
    buffer_init(&text, METRICS_PAGE_SIZE_MAX);
    metrics_render(&process, samples, count, &text);
    assert_int_equal(STATUS_OK, buffer_append(&text, "", 1));
    for (char *line = (char *)text.at, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        read_line(page, line);
    }
    buffer_deinit(&text);
}

/* -1: there is no such value. */
static double value_of(const struct page *page, const char *line)
{
    for (size_t i = 0; i < page->count; i++)
        if (strcmp(page->lines[i], line) == 0)
            return page->values[i];
    return -1;
}

/* ---- pages of living nodes ---- */

static void measure(struct stage *stage, unsigned node, struct page *page)
{
    struct metrics_sample *sample = worker_measure(stage->nodes[node].worker);
    const struct metrics_sample *samples[] = {sample};
    read_page(page, samples, 1);
    memory_free(sample);
}

static void of_a_leader_and_a_follower(void **state)
{
    struct page page;
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    unsigned client = stage_connect(stage, leader), other = stage_connect(stage, follower);
    for (int i = 0; i < 5; i++)
        stage_ask(stage, client, "INCR a");
    stage_ask(stage, client, "LPUSH a 1");
    stage_ask(stage, other, "SET b 1");
    stage_ask(stage, other, "NONSENSE");
    assert_true(stage_wait(stage, stage_is_converged, NULL, 5 * STAGE_SECOND));
    measure(stage, leader, &page);
    assert_true(value_of(&page, "holdfast_writes_acknowledged_total") == 6);
    assert_true(value_of(&page, "holdfast_errors_total{prefix=\"WRONGTYPE\"}") == 1);
    assert_true(value_of(&page, "holdfast_keyspace_keys_here{keyspace=\"default\"}") == 2);
    assert_true(value_of(&page, "holdfast_keyspace_leaders_here{keyspace=\"default\"}") == 1);
    assert_true(
        value_of(&page, "holdfast_partition_leader{keyspace=\"default\",partition=\"1\"}") == 1);
    assert_true(value_of(&page, "holdfast_log_sync_seconds_count") > 0);
    assert_true(value_of(&page, "holdfast_log_sync_seconds_bucket{le=\"+Inf\"}") ==
                value_of(&page, "holdfast_log_sync_seconds_count"));
    assert_true(value_of(&page, "holdfast_log_wait_seconds_count") > 0);
    assert_true(value_of(&page, "holdfast_turn_seconds_count{worker=\"0\"}") > 0);
    assert_true(value_of(&page, "holdfast_lease_remaining_seconds" DEFAULT "}") > 0.2);
    assert_true(value_of(&page, "holdfast_replica_state" DEFAULT ",state=\"ready\"}") == 1);
    assert_true(value_of(&page, "holdfast_replica_state" DEFAULT ",state=\"catching_up\"}") == 0);
    assert_true(value_of(&page, "holdfast_replica_lag_entries" DEFAULT "}") == -1); /* it leads */
    assert_true(
        value_of(&page, "holdfast_keyspace_followers{keyspace=\"default\",state=\"ready\"}") == 2);
    memory_free(page.lines);
    measure(stage, follower, &page);
    assert_true(value_of(&page, "holdfast_lease_remaining_seconds" DEFAULT "}") == -1);
    assert_true(value_of(&page, "holdfast_replica_lag_entries" DEFAULT "}") == 0);
    assert_true(value_of(&page, "holdfast_replica_lag_bytes" DEFAULT "}") == 0);
    assert_true(value_of(&page, "holdfast_replica_lag_seconds" DEFAULT "}") < 0.2);
    assert_true(value_of(&page, "holdfast_replica_progressing" DEFAULT "}") == 1);
    assert_true(value_of(&page, "holdfast_forwarded_total") >= 1);
    assert_true(value_of(&page, "holdfast_errors_total{prefix=\"ERR\"}") == 1);
    assert_true(value_of(&page, "holdfast_connections") == 1);
    assert_true(
        value_of(&page, "holdfast_partition_leader{keyspace=\"default\",partition=\"1\"}") == 0);
    for (size_t i = 0; i < page.count; i++) /* METRICS-2: it knows nothing of others' logs */
        assert_null(strstr(page.lines[i], "holdfast_follower_lag_entries{keyspace=\"default\""));
    memory_free(page.lines);
    stage_destroy(stage);
}

static void a_follower_that_is_cut_off_lags(void **state)
{
    struct page page;
    char line[LINE_MAX], link[LINE_MAX];
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    stage_isolate(stage, follower);
    unsigned client = stage_connect(stage, leader);
    for (int i = 0; i < 20; i++)
        stage_ask(stage, client, "INCR a");
    stage_run(stage, 3 * STAGE_SECOND);
    measure(stage, leader, &page);
    snprintf(line, sizeof line,
             "holdfast_follower_lag_entries{keyspace=\"default\",partition=\"1\",node=\"%u\"}",
             follower + 1);
    snprintf(link, sizeof link, "holdfast_link_up{node=\"%u\",link=\"data\"}", follower + 1);
    assert_true(value_of(&page, line) >= 20);
    assert_true(value_of(&page, "holdfast_keyspace_lag_entries_most{keyspace=\"default\"}") ==
                value_of(&page, line));
    assert_true(value_of(&page, "holdfast_keyspace_lag_seconds_most{keyspace=\"default\"}") > 2);
    assert_true(value_of(&page, link) == 0);
    snprintf(link, sizeof link, "holdfast_link_resets_total{node=\"%u\",link=\"data\"}",
             follower + 1);
    assert_true(value_of(&page, link) >= 1);
    memory_free(page.lines);
    stage_destroy(stage);
}

/* What it lacks is told in entries, bytes and time, and that it stands still. */
static void one_that_stands_still_is_told(void **state)
{
    struct page page;
    char line[LINE_MAX];
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned leader = stage_leader(stage), follower = stage_follower(stage);
    unsigned client = stage_connect(stage, leader);
    stage_isolate(stage, follower);
    for (int i = 0; i < 100; i++)
        stage_ask(stage, client, "APPEND a 0123456789012345678901234567890123456789");
    stage_run(stage, 2 * STAGE_SECOND);
    measure(stage, leader, &page);
    snprintf(line, sizeof line, "holdfast_follower_lag_bytes" DEFAULT ",node=\"%u\"}",
             follower + 1);
    assert_in_range((uint64_t)value_of(&page, line), 100 * 80, 100 * 160);
    snprintf(line, sizeof line, "holdfast_follower_progressing" DEFAULT ",node=\"%u\"}",
             follower + 1);
    assert_true(value_of(&page, line) == 1); /* not for long yet */
    memory_free(page.lines);
    stage_run(stage, 4 * STAGE_SECOND);
    measure(stage, leader, &page);
    assert_true(value_of(&page, line) == 0);
    assert_true(value_of(&page, "holdfast_keyspace_stalled_here{keyspace=\"default\"}") == 1);
    assert_true(
        value_of(&page, "holdfast_keyspace_followers{keyspace=\"default\",state=\"down\"}") == 1);
    memory_free(page.lines);
    measure(stage, follower, &page);
    assert_true(value_of(&page, "holdfast_replica_lag_seconds" DEFAULT "}") > 5);
    memory_free(page.lines);
    stage_destroy(stage);
}

/* Of a new leader, how the old one was missed and how long it took. */
static void a_failover_is_counted(void **state)
{
    struct page page;
    (void)state;
    struct stage *stage = stage_formed(3);
    unsigned old = stage_leader(stage);
    stage_kill(stage, old);
    assert_true(stage_wait(stage, stage_has_other_leader, &old, 10 * STAGE_SECOND));
    measure(stage, stage_leader(stage), &page);
    assert_true(value_of(&page, "holdfast_failovers_total{reason=\"refused link\"}") >= 1);
    assert_true(value_of(&page, "holdfast_failovers_total{reason=\"hand-over\"}") == 0);
    assert_true(value_of(&page, "holdfast_keyspace_failovers_total{keyspace=\"default\"}") == 1);
    assert_true(value_of(&page, "holdfast_failover_seconds_count") >= 1);
    double mean = value_of(&page, "holdfast_failover_seconds_sum") /
                  value_of(&page, "holdfast_failover_seconds_count");
    assert_true(mean > 0.05 && mean < 1.5);
    memory_free(page.lines);
    stage_destroy(stage);
}

static void before_a_cluster_is_formed(void **state)
{
    struct page page;
    (void)state;
    struct stage *stage = stage_create(&(struct stage_options){.nodes = 3});
    assert_true(stage_start(stage, 0));
    stage_run(stage, STAGE_SECOND);
    measure(stage, 0, &page);
    assert_true(value_of(&page, "holdfast_partitions_here") == 0);
    for (size_t i = 0; i < page.count; i++)
        if (strncmp(page.lines[i], "holdfast_node_info{", 19) == 0)
            assert_non_null(strstr(page.lines[i], "{node=\"\",cluster=\"\"")); /* METRICS-2 */
    memory_free(page.lines);
    stage_destroy(stage);
}

/* ---- many partitions ---- */

/* Two workers with `count` partitions each, all led here, each with two followers. */
static size_t series_with(size_t count)
{
    struct page page;
    struct metrics_keyspace keyspace = {
        .id = 7, .name = "a \"b\" \\c", .partitions = 2048, .replicas = 3};
    struct metrics_sample samples[2] = {{.self = {1}}, {.self = {1}, .worker = 1}};
    const struct metrics_sample *const both[] = {&samples[0], &samples[1]};
    for (size_t i = 0; i < 2; i++) {
        struct metrics_sample *sample = &samples[i];
        sample->keyspaces = &keyspace;
        sample->keyspace_count = 1;
        sample->partition_count = count;
        sample->partitions = memory_zeroed(count, sizeof *sample->partitions);
        sample->followers = memory_zeroed(2 * count, sizeof *sample->followers);
        for (size_t k = 0; k < count; k++) {
            sample->partitions[k] = (struct metrics_partition){.group = {2 * k + i},
                                                               .keyspace = 7,
                                                               .leads = 1,
                                                               .keys = 3,
                                                               .first_follower = 2 * k,
                                                               .follower_count = 2};
            for (size_t f = 0; f < 2; f++)
                sample->followers[2 * k + f] =
                    (struct metrics_follower){.node = {2 + f}, .heard = true, .lag_entries = k};
        }
    }
    read_page(&page, both, 2);
    const char *most = "holdfast_keyspace_lag_entries_most{keyspace=\"a \\\"b\\\" \\\\c\"}";
    const char *keys = "holdfast_keyspace_keys_here{keyspace=\"a \\\"b\\\" \\\\c\"}";
    assert_true(value_of(&page, most) == (double)(count - 1));
    assert_true(value_of(&page, keys) == (double)(6 * count));
    memory_free(page.lines);
    for (size_t i = 0; i < 2; i++) {
        memory_free(samples[i].partitions);
        memory_free(samples[i].followers);
    }
    return page.count;
}

static void many_partitions_are_few_series(void **state)
{
    (void)state;
    size_t few = series_with(1), some = series_with(METRICS_PARTITIONS_MAX / 2);
    size_t many = series_with(METRICS_PARTITIONS_MAX / 2 + 1), most = series_with(1024);
    assert_int_equal(some, few + 18 * (METRICS_PARTITIONS_MAX - 2));
    assert_true(many < few); /* METRICS-1 */
    assert_int_equal(many, most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_a_leader_and_a_follower),
        cmocka_unit_test(a_follower_that_is_cut_off_lags),
        cmocka_unit_test(one_that_stands_still_is_told),
        cmocka_unit_test(a_failover_is_counted),
        cmocka_unit_test(before_a_cluster_is_formed),
        cmocka_unit_test(many_partitions_are_few_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
