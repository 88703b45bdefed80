/* holdfast status: asks one node, then all that it names, and shows what they know together. */
#include "base/memory.h"
#include "holdfast/ask.h"
#include "holdfast/health.h"
#include "holdfast/list.h"
#include "holdfast/merge.h"
#include "holdfast/verbs.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_TIMEOUT_MS  3000
#define OTHERS_TIMEOUT_MS 1000

static void print_help(void)
{
    printf("holdfast [-a HOST:PORT] status [--json]   the health of the cluster\n\n"
           "Asks the node at -a (default " DEFAULT_ADDRESS "), then every node it names, and\n"
           "merges what they answer. What nobody knows is null (-).\n\n"
           "Exit code: 0 healthy, 3 not healthy, 1 no answer, 2 wrong use.\n");
}

/* ---- asking ---- */

/* The asked node's view; NULL after the line that says why not. */
static json_t *ask_first(const char *address)
{
    struct ask ask;
    json_t *view = NULL;
    ask_init(&ask, ASK_COMMAND, address, "STATUS");
    ask_all(&ask, 1, FIRST_TIMEOUT_MS);
    if (ask.status == STATUS_OK)
        view = merge_read_view((const char *)ask.answer.at, ask.answer.size);
    if (ask.status == STATUS_CLOSED || ask.status == STATUS_AGAIN)
        complain(EXIT_TROUBLE, "%s: %s; is holdfastd running there? -a HOST:PORT names another",
                 address, ask.why);
    else if (ask.status == STATUS_INVALID)
        complain(EXIT_TROUBLE, "%s: %s; -a HOST:PORT names a holdfast node", address, ask.why);
    else if (!view)
        complain(EXIT_TROUBLE, "%s is a server, but not a holdfast node; -a HOST:PORT names one",
                 address);
    ask_deinit(&ask);
    return view;
}

static json_t *ask_others(json_t *first)
{
    json_t *nodes = json_object_get(first, "nodes"), *node;
    size_t count = json_array_size(nodes), i, asked = 0;
    json_t **views = memory_zeroed(count + 1, sizeof *views);
    struct ask *asks = memory_zeroed(count + 1, sizeof *asks);
    json_array_foreach(nodes, i, node)
    {
        if (merge_number(node, "id") != merge_number(first, "node"))
            ask_init(&asks[asked++], ASK_COMMAND, merge_text(node, "addr"), "STATUS");
    }
    ask_all(asks, asked, OTHERS_TIMEOUT_MS);
    views[0] = first;
    for (i = 0; i < asked; i++) {
        if (asks[i].status == STATUS_OK)
            views[i + 1] = merge_read_view((const char *)asks[i].answer.at, asks[i].answer.size);
        ask_deinit(&asks[i]);
    }
    json_t *merged = merge_views(views, asked + 1);
    for (i = 1; i <= asked; i++)
        json_decref(views[i]);
    memory_free(asks);
    memory_free(views);
    return merged;
}

/* ---- showing ---- */

static void add_replica_row(struct table *table, const json_t *partition, const json_t *replica)
{
    static const char *const names[] = {"node",    "role",        "state",  "since_ms",
                                        "applied", "lag_entries", "lag_ms", "because"};
    char rooms[8][LIST_NUMBER_SIZE], replica_name[2 * LIST_NUMBER_SIZE], term[LIST_NUMBER_SIZE];
    const char *cells[TABLE_COLUMNS_MAX] = {merge_text(partition, "keyspace"), replica_name,
                                            list_cell(partition, "term", term)};
    snprintf(replica_name, sizeof replica_name, "%lld/%lld",
             (long long)merge_number(partition, "id"), (long long)merge_number(replica, "id"));
    for (size_t k = 0; k < 8; k++)
        cells[3 + k] = list_cell(replica, names[k], rooms[k]);
    time_t since = (time_t)(merge_number(replica, "since_ms") / 1000);
    struct tm parts;
    if (since && gmtime_r(&since, &parts))
        strftime(rooms[3], LIST_NUMBER_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts);
    table_add_row(table, cells);
}

static void print_replicas(const json_t *merged)
{
    static const char *const titles[] = {"KEYSPACE", "REPLICA", "TERM",    "NODE",
                                         "ROLE",     "STATE",   "SINCE",   "APPLIED",
                                         "LAG",      "LAG MS",  "BECAUSE", NULL};
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

static void print_for_people(const json_t *merged, const json_t *first, const struct health *health)
{
    static const char *const node_titles[] = {"NODE",  "ADDRESS", "SITE", "ZONE",
                                              "STATE", "DISK",    NULL};
    static const char *const node_names[] = {"id", "addr", "site", "zone", "state", "disk"};
    static const char *const space_titles[] = {"KEYSPACE", "DB",   "MODE", "REPLICAS", "PARTITIONS",
                                               "ACK",      "READ", "SYNC", "FAILOVER", NULL};
    static const char *const space_names[] = {"name", "db",   "mode", "replicas", "partitions",
                                              "ack",  "read", "sync", "failover"};
    bool waits = merge_text(first, "waits_for")[0] != '-';
    printf("%s%s%s\n", health->sentence, waits ? ": " : "",
           waits ? merge_text(first, "waits_for") : "");
    if (json_array_size(json_object_get(merged, "nodes")) == 0)
        return;
    list_print(json_object_get(merged, "nodes"), node_titles, node_names);
    list_print(json_object_get(merged, "keyspaces"), space_titles, space_names);
    print_replicas(merged);
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

int status_main(int count, char **words, const char *address)
{
    static const struct option known[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool as_json = false;
    int letter;
    optind = 0;
    while ((letter = getopt_long(count, words, "+:ha:", known, NULL)) != -1) {
        if (letter == 'h') {
            print_help();
            return EXIT_GOOD;
        }
        if (letter == 'j')
            as_json = true;
        else if (letter == 'a')
            address = optarg;
        else
            return complain_option("status ", letter, words);
    }
    if (optind < count)
        return complain(EXIT_USAGE, "status takes no '%.60s'; holdfast status --help shows its use",
                        words[optind]);
    json_t *first = ask_first(address);
    if (!first)
        return EXIT_TROUBLE;
    json_t *merged = ask_others(first);
    int code = show(merged, first, as_json);
    json_decref(merged);
    json_decref(first);
    return code;
}
