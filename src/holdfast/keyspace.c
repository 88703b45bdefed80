/* holdfast keyspace: KEYSPACE with its options as flags. Any node takes it. */
#include "base/memory.h"
#include "holdfast/ask.h"
#include "holdfast/list.h"
#include "holdfast/merge.h"
#include "holdfast/verbs.h"
#include "resp/resp.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TIMEOUT_MS 8000 /* longer than a node waits for a leader and for a commit */
#define WORDS_MAX  64

enum shape {
    SHAPE_OK,   /* a status */
    SHAPE_TEXT, /* lines */
    SHAPE_ONE,  /* a map */
    SHAPE_LIST  /* maps */
};

static const struct form {
    const char *verb;
    bool named, options;
    enum shape shape;
} forms[] = {
    {"create", true, true, SHAPE_OK}, {"list", false, false, SHAPE_LIST},
    {"info", true, false, SHAPE_ONE}, {"explain", true, false, SHAPE_TEXT},
    {"alter", true, true, SHAPE_OK},  {"drop", true, false, SHAPE_OK},
};
#define FORMS (sizeof forms / sizeof forms[0])

static void print_help(void)
{
    printf("holdfast [-a HOST:PORT] keyspace VERB ... [--json]   databases with a contract each\n\n"
           "  create NAME [option ...]   a new keyspace\n"
           "  list                       all of them\n"
           "  info NAME                  its contract and where it is\n"
           "  explain NAME               what the contract promises, in plain words\n"
           "  alter NAME [option ...]    --db, --short, and an --ack of the same quorums\n"
           "  drop NAME                  it and all that is in it\n\n"
           "  --mode leader              the only one in this version\n"
           "  --replicas N               default 3, or 1 in a cluster of less than three nodes\n"
           "  --partitions P             default 1\n"
           "  --ack LEVEL                async, local, semisync:K, quorum (default), all\n"
           "  --failover safe|available  default safe\n"
           "  --sync WHEN                always (default), interval:MS, os\n"
           "  --short refuse|degrade     default refuse\n"
           "  --db N                     the database number that opens it, 1 to 15\n"
           "  --spread host|zone|site    replicas on different ones, or not at all\n"
           "  --prefer site=NAME         where it is led, if that site is up\n\n"
           "Exit code: 0 done, 1 refused or no answer, 2 wrong use.\n");
}

/* ---- reading the words ---- */

struct request {
    const struct form *form;
    const char *address, *name;
    bool json, help;
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
        return complain(EXIT_USAGE, "keyspace needs one of create, list, info, explain, alter and "
                                    "drop; holdfast keyspace --help tells more");
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

/* ---- the answer as JSON ---- */

static json_t *take_value(struct slice *reply);

/* RESP2 has no maps: these are arrays of names and values in turn. */
static json_t *take_map(struct slice *reply)
{
    struct resp_item item;
    json_t *map = json_object();
    if (resp_item_take(reply, &item) || item.type != '*')
        return map;
    for (int64_t i = 0; i + 1 < item.integer; i += 2) {
        struct resp_item key;
        char name[64];
        if (resp_item_take(reply, &key))
            break;
        snprintf(name, sizeof name, "%.*s", (int)key.bytes.size, (const char *)key.bytes.at);
        json_object_set_new(map, name, take_value(reply));
    }
    return map;
}

static json_t *take_maps(struct slice *reply)
{
    struct resp_item item;
    json_t *list = json_array();
    if (resp_item_take(reply, &item) || item.type != '*')
        return list;
    for (int64_t i = 0; i < item.integer; i++)
        json_array_append_new(list, take_map(reply));
    return list;
}

/* Within a map: a scalar, a list of numbers, or the list of maps `placement`. */
static json_t *take_value(struct slice *reply)
{
    struct resp_item item;
    struct slice ahead = *reply;
    if (resp_item_take(&ahead, &item))
        return json_null();
    if (item.type == '*' && ahead.size && ahead.at[0] == '*')
        return take_maps(reply);
    *reply = ahead;
    if (item.type == ':')
        return json_integer(item.integer);
    if (item.type == '_')
        return json_null();
    if (item.type != '*')
        return json_stringn((const char *)item.bytes.at, item.bytes.size);
    json_t *numbers = json_array();
    for (int64_t i = 0; i < item.integer; i++)
        json_array_append_new(numbers, take_value(reply));
    return numbers;
}

static json_t *read_answer(const struct request *request, struct slice reply)
{
    if (request->form->shape == SHAPE_LIST)
        return take_maps(&reply);
    if (request->form->shape == SHAPE_ONE)
        return take_map(&reply);
    json_t *made = json_object();
    const char *name = request->form->shape == SHAPE_TEXT ? "text" : "result";
    json_object_set_new(made, "name", json_string(request->name));
    json_object_set_new(made, name, take_value(&reply));
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
        json_dumpf(answer, stdout, JSON_INDENT(2));
        printf("\n");
    } else if (request->form->shape == SHAPE_LIST) {
        list_print(answer, titles, names);
    } else if (request->form->shape == SHAPE_ONE) {
        print_one(answer);
    } else if (request->form->shape == SHAPE_TEXT) {
        printf("%s", merge_text(answer, "text"));
    } else {
        printf("%s\n", merge_text(answer, "result"));
    }
}

static int ask_cluster(const struct request *request)
{
    struct ask ask;
    int code = EXIT_GOOD;
    ask_init(&ask, ASK_WORDS, request->address, "KEYSPACE");
    ask.words = request->words;
    ask.word_count = request->count;
    ask_all(&ask, 1, TIMEOUT_MS);
    struct slice text = slice_of_buffer(&ask.answer);
    if (ask.status == STATUS_OK) {
        json_t *answer = read_answer(request, text);
        show(request, answer);
        json_decref(answer);
    } else if (ask.status == STATUS_REFUSED) {
        size_t prefix = text.size > 4 && memcmp(text.at, "ERR ", 4) == 0 ? 4 : 0;
        code = complain(EXIT_TROUBLE, "%.*s", (int)(text.size - prefix),
                        (const char *)text.at + prefix);
    } else if (ask.status == STATUS_INVALID) {
        code = complain(EXIT_TROUBLE, "%s: %s; -a HOST:PORT names a holdfast node",
                        request->address, ask.why);
    } else {
        code =
            complain(EXIT_TROUBLE, "%s: %s; is holdfastd running there? -a HOST:PORT names another",
                     request->address, ask.why);
    }
    ask_deinit(&ask);
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
