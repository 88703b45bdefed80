/* holdfast status: asks one node, then all that it names, and shows what they know together. */
#include "holdfast/health.h"
#include "holdfast/list.h"
#include "holdfast/merge.h"
#include "holdfast/progress.h"
#include "holdfast/sights.h"
#include "holdfast/verbs.h"
#include "holdfast/view.h"

#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WATCH_EVERY_MS     1000
#define PROGRESS_CELL_SIZE 64

static void print_help(void)
{
    printf("holdfast [-a HOST:PORT] status [--json] [--watch]   the health of the cluster\n\n"
           "Asks the node at -a (default " DEFAULT_ADDRESS "), then every node it names, and\n"
           "merges what they answer. What nobody knows is null (-). DONE says how much of its\n"
           "snapshot, or of its log, a replica has that is not current, how fast it comes, and\n"
           "in how many seconds it will be there if that goes on; a bar on a terminal.\n"
           "Below the tables: which node suspects which and since when (phi: how unlikely such a\n"
           "silence is), the timing profile and the one that suits the measured round trips, and\n"
           "which process stood still. With --json they are of each node in nodes.\n"
           "--watch asks each second until Ctrl-C: the whole table on a terminal, else one line\n"
           "whenever the health is another.\n\n"
           "Exit code: 0 healthy, 3 not healthy, 1 no answer, 2 wrong use.\n");
}

/* ---- showing ---- */

/* "42% 81 MB/s 12 s", as much of it as is known; "-": it is current, or nobody knows. */
static const char *progress_cell(const json_t *replica, char out[PROGRESS_CELL_SIZE])
{
    const json_t *rate = json_object_get(replica, "bytes_per_second");
    const json_t *eta = json_object_get(replica, "eta_ms");
    if (!json_is_integer(json_object_get(replica, "percent")))
        return "-";
    int used =
        snprintf(out, PROGRESS_CELL_SIZE, "%lld%%", (long long)merge_number(replica, "percent"));
    if (json_is_integer(rate))
        used += snprintf(out + used, PROGRESS_CELL_SIZE - (size_t)used, " %.1f MB/s",
                         (double)json_integer_value(rate) / 1e6);
    if (json_is_integer(eta))
        snprintf(out + used, PROGRESS_CELL_SIZE - (size_t)used, " %lld s",
                 (long long)((json_integer_value(eta) + 999) / 1000));
    return out;
}

static void add_replica_row(struct table *table, const json_t *partition, const json_t *replica)
{
    static const char *const names[] = {"node",    "role",        "state",  "since_ms",
                                        "applied", "lag_entries", "lag_ms", "because"};
    char rooms[8][LIST_NUMBER_SIZE], replica_name[2 * LIST_NUMBER_SIZE], term[LIST_NUMBER_SIZE];
    char done[PROGRESS_CELL_SIZE];
    const char *cells[TABLE_COLUMNS_MAX] = {merge_text(partition, "keyspace"), replica_name,
                                            list_cell(partition, "term", term)};
    snprintf(replica_name, sizeof replica_name, "%lld/%lld",
             (long long)merge_number(partition, "id"), (long long)merge_number(replica, "id"));
    for (size_t k = 0; k < 8; k++)
        cells[3 + k + (k > 2)] = list_cell(replica, names[k], rooms[k]);
    cells[6] = progress_cell(replica, done);
    if (merge_number(replica, "since_ms") > 0)
        cells[7] = list_time(merge_number(replica, "since_ms"), rooms[3]);
    table_add_row(table, cells);
}

static void print_replicas(const json_t *merged)
{
    static const char *const titles[] = {"KEYSPACE", "REPLICA", "TERM",  "NODE",    "ROLE",
                                         "STATE",    "DONE",    "SINCE", "APPLIED", "LAG",
                                         "LAG MS",   "BECAUSE", NULL};
    struct table table;
    size_t i, k;
    json_t *partition, *replica;
    table_init(&table, titles);
    json_array_foreach(json_object_get(merged, "partitions"), i, partition)
    {
        json_array_foreach(json_object_get(partition, "replicas"), k, replica)
        {
            add_replica_row(&table, partition, replica);
        }
    }
    list_print_table(&table);
}

/* How much of a snapshot it has, or of the log; nothing where nobody knows. */
static void print_bar(const json_t *partition, const json_t *replica)
{
    char line[PROGRESS_LINE_SIZE], done[PROGRESS_CELL_SIZE], what[128];
    bool loads = strcmp(merge_text(replica, "state"), "bootstrapping") == 0;
    if (!json_is_integer(json_object_get(replica, "percent")))
        return;
    snprintf(what, sizeof what, "of 100 percent of %s  replica %lld/%lld on node %lld: %s",
             loads ? "a snapshot" : "the log", (long long)merge_number(partition, "id"),
             (long long)merge_number(replica, "id"), (long long)merge_number(replica, "node"),
             progress_cell(replica, done));
    progress_line(line, (uint64_t)merge_number(replica, "percent"), 100, what);
    printf("%s\n", line);
}

/* A bar for each replica that is not ready. */
static void print_bars(const json_t *merged)
{
    size_t i, k;
    json_t *partition, *replica;
    json_array_foreach(json_object_get(merged, "partitions"), i, partition)
    {
        json_array_foreach(json_object_get(partition, "replicas"), k, replica)
        {
            if (strcmp(merge_text(replica, "state"), "ready") != 0)
                print_bar(partition, replica);
        }
    }
}

static void print_sights(const json_t *merged)
{
    struct buffer lines;
    buffer_init(&lines, SIGHTS_SIZE_MAX);
    sights_tell(merged, &lines);
    printf("\n%.*s", (int)lines.size, (const char *)lines.at);
    buffer_deinit(&lines);
}

static void print_alerts(const json_t *alerts)
{
    long long critical = merge_number(alerts, "critical"),
              warning = merge_number(alerts, "warning");
    long long all = critical + warning + merge_number(alerts, "info");
    if (all)
        printf("%lld alert%s, %lld critical, %lld warning: holdfast alerts lists %s\n", all,
               all == 1 ? "" : "s", critical, warning, all == 1 ? "it" : "them");
}

static void print_for_people(const json_t *merged, const json_t *first, const struct health *health)
{
    static const char *const node_titles[] = {"NODE",  "ADDRESS", "SITE", "ZONE",
                                              "STATE", "DUTY",    "DISK", NULL};
    static const char *const node_names[] = {"id", "addr", "site", "zone", "state", "duty", "disk"};
    static const char *const space_titles[] = {"KEYSPACE", "DB",   "MODE", "REPLICAS", "PARTITIONS",
                                               "ACK",      "READ", "SYNC", "FAILOVER", NULL};
    static const char *const space_names[] = {"name", "db",   "mode", "replicas", "partitions",
                                              "ack",  "read", "sync", "failover"};
    bool waits = merge_text(first, "waits_for")[0] != '-';
    printf("%s%s%s\n", health->sentence, waits ? ": " : "",
           waits ? merge_text(first, "waits_for") : "");
    print_alerts(json_object_get(merged, "alerts"));
    if (json_array_size(json_object_get(merged, "nodes")) == 0)
        return;
    list_print(json_object_get(merged, "nodes"), node_titles, node_names);
    list_print(json_object_get(merged, "keyspaces"), space_titles, space_names);
    print_replicas(merged);
    print_sights(merged);
    if (isatty(STDOUT_FILENO))
        print_bars(merged);
}

static int show(const json_t *merged, const json_t *first, bool as_json)
{
    struct health health = health_of(merged);
    if (as_json) {
        json_dumpf(merged, stdout, JSON_INDENT(2));
        printf("\n");
    } else {
        print_for_people(merged, first, &health);
    }
    return health.good ? EXIT_GOOD : EXIT_UNHEALTHY;
}

/* ---- watching ---- */

static void watch_once(const char *address, bool is_terminal, char said[HEALTH_SENTENCE_SIZE])
{
    int code;
    json_t *first = view_ask_first(address, &code);
    json_t *merged = first ? view_ask_others(first) : NULL;
    struct health health = {.sentence = "no answer"};
    if (merged)
        health = health_of(merged);
    if (is_terminal) {
        printf("\033[H\033[J");
        if (merged) {
            print_for_people(merged, first, &health);
        }
    } else if (strcmp(said, health.sentence) != 0) {
        printf("%s\n", health.sentence);
    }
    (void)fflush(stdout);
    memcpy(said, health.sentence, HEALTH_SENTENCE_SIZE);
    json_decref(merged);
    json_decref(first);
}

/* Until a signal ends the program. */
static int watch(const char *address)
{
    char said[HEALTH_SENTENCE_SIZE] = "";
    bool is_terminal = isatty(STDOUT_FILENO);
    do
        watch_once(address, is_terminal, said);
    while (poll(NULL, 0, WATCH_EVERY_MS) == 0 && !ferror(stdout));
    return EXIT_TROUBLE;
}

int status_main(int count, char **words, const char *address)
{
    static const struct option known[] = {{"json", no_argument, NULL, 'j'},
                                          {"watch", no_argument, NULL, 'w'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    bool as_json = false, watches = false;
    int letter;
    optind = 0;
    while ((letter = getopt_long(count, words, "+:ha:", known, NULL)) != -1) {
        if (letter == 'h') {
            print_help();
            return EXIT_GOOD;
        }
        if (letter == 'j')
            as_json = true;
        else if (letter == 'w')
            watches = true;
        else if (letter == 'a')
            address = optarg;
        else
            return complain_option("status ", letter, words);
    }
    if (optind < count)
        return complain(EXIT_USAGE, "status takes no '%.60s'; holdfast status --help shows its use",
                        words[optind]);
    if (watches && as_json)
        return complain(EXIT_USAGE, "status: --watch is for people, --json for programs: give one");
    if (watches)
        return watch(address);
    int code;
    json_t *first = view_ask_first(address, &code);
    if (!first)
        return code;
    json_t *merged = view_ask_others(first);
    code = show(merged, first, as_json);
    json_decref(merged);
    json_decref(first);
    return code;
}
