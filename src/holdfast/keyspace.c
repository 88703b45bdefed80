/* holdfast keyspace: KEYSPACE with its options as flags. Any node takes it. */
#include "holdfast/answer.h"
#include "holdfast/list.h"
#include "holdfast/merge.h"
#include "holdfast/progress.h"
#include "holdfast/verbs.h"
#include "holdfast/view.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define WORDS_MAX     64
#define PATIENCE_MS   10000 /* no further partition has found a leader for so long */
#define LOOK_EVERY_MS 100

struct request;
static int wait_for_leaders(const struct request *request);
static int wait_for_change(const struct request *request);

enum shape {
    SHAPE_OK,   /* a status */
    SHAPE_TEXT, /* lines */
    SHAPE_TOLD, /* a map with lines in it */
    SHAPE_ONE,  /* a map */
    SHAPE_LIST  /* maps */
};

static const struct form {
    const char *verb;
    bool named, options;
    enum shape shape;
    int (*wait)(const struct request *request); /* NULL: it is done when it is answered */
} forms[] = {
    {"create", true, true, SHAPE_OK, wait_for_leaders},
    {"list", false, false, SHAPE_LIST, NULL},
    {"info", true, false, SHAPE_ONE, NULL},
    {"explain", true, false, SHAPE_TEXT, NULL},
    {"why", true, false, SHAPE_TOLD, NULL},
    {"alter", true, true, SHAPE_OK, wait_for_change},
    {"drop", true, false, SHAPE_OK, NULL},
};
#define FORMS (sizeof forms / sizeof forms[0])

static void print_help(void)
{
    printf(
        "holdfast [-a HOST:PORT] keyspace VERB ... [--json]   databases with a contract each\n\n"
        "  create NAME [option ...]   a new keyspace; returns when every partition has a leader\n"
        "  list                       all of them\n"
        "  info NAME                  its contract and where it is\n"
        "  explain NAME               what the contract promises, in plain words\n"
        "  why NAME                   what stands in its way now, whom it waits for, since when\n"
        "  alter NAME [option ...]    all options but --mode and --partitions; returns when every\n"
        "                             partition has the new contract\n"
        "  drop NAME                  it and all that is in it\n\n"
        "  --mode leader              the only one in this version\n"
        "  --replicas N               default 3, or 1 in a cluster of less than three nodes\n"
        "  --readers N|MIN..MAX       copies beside them that never vote; default 0\n"
        "  --partitions P             default 1\n"
        "  --ack LEVEL                async, local, semisync:K, quorum (default), all\n"
        "  --failover safe|available  default safe\n"
        "  --sync WHEN                always (default), interval:MS, os\n"
        "  --short refuse|degrade     default refuse\n"
        "  --db N                     the database number that opens it, 1 to 15\n"
        "  --spread host|zone|site    replicas on different ones, or not at all; none: take it "
        "back\n"
        "  --prefer site=NAME         where it is led, if that site is up; none: take it back\n"
        "  --no-wait                  create, alter: return as soon as it is decided\n\n"
        "  holdfast keyspace create carts --mode leader --replicas 3 --ack quorum --sync always\n"
        "  holdfast keyspace explain carts\n\n"
        "Exit code: 0 done, 1 refused or no answer, 2 wrong use.\n");
}

/* ---- reading the words ---- */

struct request {
    const struct form *form;
    const char *address, *name;
    bool json, help, no_wait;
    struct slice words[WORDS_MAX];
    size_t count;
};

static const char *next_word(int count, char **words, int *at)
{
    return *at + 1 < count ? words[++*at] : NULL;
}

/* --ack quorum or --ack=quorum becomes ACK quorum. */
static int take_option(struct request *request, int count, char **words, int *at)
{
    const char *name = words[*at] + 2, *equals = strchr(name, '=');
    size_t size = equals ? (size_t)(equals - name) : strlen(name);
    const char *value = equals ? equals + 1 : NULL;
    bool known = request->form && request->form->options && size > 0;
    if (!known || request->count + 2 > WORDS_MAX)
        return complain(EXIT_USAGE, "unknown option '%.60s'; holdfast keyspace --help lists them",
                        words[*at]);
    if (!value)
        value = next_word(count, words, at);
    if (!value)
        return complain(EXIT_USAGE, "--%.60s needs a value; holdfast keyspace --help shows how",
                        name);
    request->words[request->count++] = slice_of(name, size);
    request->words[request->count++] = slice_of_text(value);
    return EXIT_GOOD;
}

static int take_verb(struct request *request, const char *word)
{
    for (size_t i = 0; i < FORMS; i++)
        if (strcmp(word, forms[i].verb) == 0)
            request->form = &forms[i];
    if (!request->form)
        return complain(EXIT_USAGE, "keyspace needs one of create, list, info, explain, why, alter "
                                    "and drop; holdfast keyspace --help tells more");
    request->words[request->count++] = slice_of_text("KEYSPACE");
    request->words[request->count++] = slice_of_text(word);
    return EXIT_GOOD;
}

static int take_word(struct request *request, const char *word)
{
    if (!request->form)
        return take_verb(request, word);
    if (!request->form->named || request->name)
        return complain(EXIT_USAGE,
                        "keyspace %s takes no '%.60s'; holdfast keyspace --help shows "
                        "its use",
                        request->form->verb, word);
    request->name = word;
    request->words[request->count++] = slice_of_text(word);
    return EXIT_GOOD;
}

static int read_words(struct request *request, int count, char **words)
{
    int code = EXIT_GOOD;
    for (int i = 1; i < count && code == EXIT_GOOD && !request->help; i++) {
        const char *word = words[i];
        if (strcmp(word, "--json") == 0)
            request->json = true;
        else if (strcmp(word, "--no-wait") == 0)
            request->no_wait = true;
        else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
            request->help = true;
        else if (strcmp(word, "-a") == 0)
            request->address = next_word(count, words, &i);
        else if (strncmp(word, "--", 2) == 0)
            code = take_option(request, count, words, &i);
        else
            code = take_word(request, word);
        if (!request->address)
            code = complain(EXIT_USAGE, "-a needs a value; holdfast keyspace --help shows how");
    }
    if (code || request->help)
        return code;
    if (!request->form)
        return take_verb(request, "");
    if (request->form->named && !request->name)
        return complain(EXIT_USAGE,
                        "keyspace %s needs the name of a keyspace; holdfast keyspace "
                        "--help shows its use",
                        request->form->verb);
    return EXIT_GOOD;
}

/* What is only a word or a text gets its name, for --json. */
static json_t *name_answer(const struct request *request, json_t *answer)
{
    enum shape shape = request->form->shape;
    if (shape == SHAPE_LIST || shape == SHAPE_ONE || shape == SHAPE_TOLD)
        return answer;
    json_t *made = json_object();
    json_object_set_new(made, "name", json_string(request->name));
    json_object_set_new(made, request->form->shape == SHAPE_TEXT ? "text" : "result", answer);
    return made;
}

/* ---- showing ---- */

static void print_one(const json_t *answer)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)answer, name, value)
    {
        char room[LIST_NUMBER_SIZE];
        if (!json_is_array(value))
            printf("%-16s %s\n", name, list_cell(answer, name, room));
    }
    size_t i, k;
    json_t *place, *node;
    json_array_foreach(json_object_get(answer, "placement"), i, place)
    {
        printf("%-16s %lld: slots %s on nodes", "partition",
               (long long)merge_number(place, "partition"), merge_text(place, "slots"));
        json_array_foreach(json_object_get(place, "nodes"), k, node)
        {
            printf(" %lld", (long long)json_integer_value(node));
        }
        json_array_foreach(json_object_get(place, "readers"), k, node)
        {
            printf("%s %lld", k ? "" : ", readers on", (long long)json_integer_value(node));
        }
        if (json_is_string(json_object_get(place, "waits_for")))
            printf(", waits for %s", merge_text(place, "waits_for"));
        printf("\n");
    }
}

static void show(const struct request *request, const json_t *answer)
{
    static const char *const titles[] = {"KEYSPACE", "ID",       "DB",   "REPLICAS", "PARTITIONS",
                                         "ACK",      "FAILOVER", "SYNC", "SHORT",    NULL};
    static const char *const names[] = {"name", "id",       "db",   "replicas", "partitions",
                                        "ack",  "failover", "sync", "short"};
    if (request->json) {
        answer_print_json(answer);
    } else if (request->form->shape == SHAPE_LIST) {
        list_print(answer, titles, names);
    } else if (request->form->shape == SHAPE_ONE) {
        print_one(answer);
    } else if (request->form->shape == SHAPE_TEXT || request->form->shape == SHAPE_TOLD) {
        printf("%s", merge_text(answer, "text"));
    } else {
        printf("%s\n", merge_text(answer, "result"));
    }
}

/* ---- waiting ---- */

/* KEYSPACE INFO; NULL: no answer. The caller owns it. */
static json_t *ask_info(const struct request *request)
{
    struct slice words[] = {slice_of_text("KEYSPACE"), slice_of_text("INFO"),
                            slice_of_text(request->name)};
    int code;
    return answer_ask(request->address, words, 3, &code);
}

/* The keyspace is made; it serves when its partitions have leaders. */
static int wait_for_leaders(const struct request *request)
{
    struct progress progress;
    char what[64];
    json_t *info = NULL;
    size_t led = 0, of = 0;
    uint64_t moved_ms = now_ms();
    progress_init(&progress);
    while (!of || led < of) {
        size_t before = led;
        if (!info)
            info = ask_info(request);
        const json_t *placement = json_object_get(info, "placement");
        json_t *view = view_ask(request->address);
        of = json_array_size(placement);
        if (view)
            led = merge_count_led(view, placement);
        json_decref(view);
        if (led > before)
            moved_ms = now_ms();
        snprintf(what, sizeof what, "of %zu partition%s a leader", of, of == 1 ? " has" : "s have");
        if (of)
            progress_show(&progress, led, of, what);
        if (now_ms() - moved_ms > PATIENCE_MS)
            break;
        if (!of || led < of)
            poll(NULL, 0, LOOK_EVERY_MS);
    }
    json_decref(info);
    progress_end(&progress);
    if (of && led == of)
        return EXIT_GOOD;
    return complain(
        EXIT_TROUBLE,
        "%s is made, but not all of its partitions have a leader (%zu of %zu); holdfast "
        "status says what they wait for",
        request->name, led, of);
}

/* How far a change is: partitions that have the new contract, entries that new copies lack. */
struct change {
    size_t settled, of;
    uint64_t lacking;
    char waits_for[256];
};

static void look_at_settled(const struct request *request, struct change *change)
{
    size_t i;
    json_t *place, *info = ask_info(request);
    if (!info)
        return;
    change->settled = change->of = 0;
    json_array_foreach(json_object_get(info, "placement"), i, place)
    {
        bool settled = strcmp(merge_text(place, "state"), "settled") == 0;
        if (!settled && change->settled == change->of)
            snprintf(change->waits_for, sizeof change->waits_for, "%s",
                     merge_text(place, "waits_for"));
        change->settled += settled;
        change->of++;
    }
    json_decref(info);
}

static void look_at_copies(const struct request *request, struct change *change)
{
    size_t i, k;
    json_t *partition, *replica, *view = view_ask(request->address);
    change->lacking = 0;
    json_array_foreach(json_object_get(view, "partitions"), i, partition)
    {
        if (strcasecmp(merge_text(partition, "keyspace"), request->name) != 0)
            continue;
        json_array_foreach(json_object_get(partition, "replicas"), k, replica)
        {
            const char *role = merge_text(replica, "role");
            if (strcmp(role, "learner") == 0 || strcmp(role, "reader") == 0)
                change->lacking += (uint64_t)merge_number(replica, "lag_entries");
        }
    }
    json_decref(view);
}

/* The contract is decided; it holds when every partition has it. */
static int wait_for_change(const struct request *request)
{
    struct progress progress;
    struct change change = {.of = 0};
    uint64_t moved_ms = now_ms();
    char what[96];
    progress_init(&progress);
    do {
        struct change before = change;
        if (before.of)
            poll(NULL, 0, LOOK_EVERY_MS);
        look_at_settled(request, &change);
        if (change.settled < change.of)
            look_at_copies(request, &change);
        if (change.settled > before.settled || change.lacking != before.lacking)
            moved_ms = now_ms();
        snprintf(what, sizeof what, "of %zu partition%s changed, new copies lack %llu entries",
                 change.of, change.of == 1 ? "" : "s", (unsigned long long)change.lacking);
        if (change.of)
            progress_show(&progress, change.settled, change.of, what);
    } while (change.settled < change.of && now_ms() - moved_ms <= PATIENCE_MS);
    progress_end(&progress);
    if (change.settled == change.of)
        return EXIT_GOOD;
    return complain(EXIT_TROUBLE,
                    "%s is changing: %zu of its %zu partitions wait, the first for %s; it goes on "
                    "by itself, holdfast keyspace info %s shows it",
                    request->name, change.of - change.settled, change.of, change.waits_for,
                    request->name);
}

static int ask_cluster(const struct request *request)
{
    int code = EXIT_GOOD;
    json_t *answer = answer_ask(request->address, request->words, request->count, &code);
    if (!answer)
        return code;
    answer = name_answer(request, answer);
    if (request->form->wait && !request->no_wait)
        code = request->form->wait(request);
    show(request, answer);
    json_decref(answer);
    return code;
}

int keyspace_main(int count, char **words, const char *address)
{
    struct request request = {.address = address};
    int code = read_words(&request, count, words);
    if (code == EXIT_GOOD && request.help)
        print_help();
    else if (code == EXIT_GOOD)
        code = ask_cluster(&request);
    return code;
}
