#include "holdfast/answer.h"

#include "holdfast/ask.h"
#include "holdfast/list.h"
#include "holdfast/merge.h"
#include "holdfast/verbs.h"
#include "holdfast/waiting.h"
#include "resp/resp.h"

#include <ctype.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIMEOUT_MS  8000 /* longer than a node waits for a leader and for a commit */
#define WORDLESS_MS 600  /* who waits for longer is told for whom */
#define AGAIN_MS    100
#define PATIENCE_MS 10000
#define NAME_SIZE   64
#define DEPTH_MAX   8

/* ---- reading ---- */

static json_t *take(struct slice *reply, unsigned depth);

static json_t *take_map(struct slice *reply, int64_t count, unsigned depth)
{
    json_t *map = json_object();
    for (int64_t i = 0; i < count; i++) {
        struct resp_item key;
        char name[NAME_SIZE];
        if (resp_item_take(reply, &key))
            break;
        if (key.type == ':')
            snprintf(name, sizeof name, "%lld", (long long)key.integer);
        else
            snprintf(name, sizeof name, "%.*s", (int)key.bytes.size, (const char *)key.bytes.at);
        json_object_set_new(map, name, take(reply, depth + 1));
    }
    return map;
}

static json_t *take_list(struct slice *reply, int64_t count, unsigned depth)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < count && reply->size; i++)
        json_array_append_new(list, take(reply, depth + 1));
    return list;
}

/* Bytes that are no text are shown as what of them is. */
static json_t *text_of(struct slice bytes)
{
    json_t *text = json_stringn((const char *)bytes.at, bytes.size);
    if (text)
        return text;
    json_t *spelled = json_string("");
    for (size_t i = 0; i < bytes.size; i++) {
        char byte[8];
        bool plain = bytes.at[i] >= 32 && bytes.at[i] < 127;
        snprintf(byte, sizeof byte, plain ? "%c" : "\\x%02x", bytes.at[i]);
        json_t *more = json_sprintf("%s%s", json_string_value(spelled), byte);
        json_decref(spelled);
        spelled = more;
    }
    return spelled;
}

/* What JSON has no number for (inf, nan) stays a word. */
static json_t *real_of(struct slice bytes)
{
    char text[64], *end;
    snprintf(text, sizeof text, "%.*s", (int)bytes.size, (const char *)bytes.at);
    double value = strtod(text, &end);
    return *end || end == text || !isfinite(value) ? text_of(bytes) : json_real(value);
}

static json_t *take(struct slice *reply, unsigned depth)
{
    struct resp_item item;
    if (depth > DEPTH_MAX || resp_item_take(reply, &item))
        return json_null();
    switch (item.type) {
    case '%': return take_map(reply, item.integer, depth);
    case '*':
    case '~':
    case '>': return take_list(reply, item.integer, depth);
    case ':': return json_integer(item.integer);
    case '#': return json_boolean(item.integer);
    case ',': return real_of(item.bytes);
    case '_': return json_null();
    case '=': /* three letters and a colon say what kind of text it is */
        return text_of(item.bytes.size < 4 ? item.bytes
                                           : slice_of(item.bytes.at + 4, item.bytes.size - 4));
    default: return text_of(item.bytes);
    }
}

json_t *answer_read(struct slice reply)
{
    return take(&reply, 0);
}

/* ---- for people ---- */

static bool is_table(const json_t *value)
{
    return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

/* One line of any value; what is nested stands as JSON. */
static void cell_of(const json_t *value, char out[TABLE_CELL_SIZE])
{
    char *nested = NULL;
    if (json_is_string(value) && json_string_length(value))
        snprintf(out, TABLE_CELL_SIZE, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(out, TABLE_CELL_SIZE, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(out, TABLE_CELL_SIZE, "%.1f", json_real_value(value));
    else if (json_is_boolean(value))
        snprintf(out, TABLE_CELL_SIZE, "%s", json_is_true(value) ? "yes" : "no");
    else if (json_is_array(value) || json_is_object(value))
        nested = json_dumps(value, JSON_COMPACT);
    else
        snprintf(out, TABLE_CELL_SIZE, "-");
    if (nested)
        snprintf(out, TABLE_CELL_SIZE, "%s", nested);
    free(nested);
    for (char *at = out; *at; at++) /* a key may be anything; the terminal obeys control bytes */
        if ((unsigned char)*at < 32 || *at == 127)
            *at = '?';
}

/* A number under a name that ends so is a time of the clock, not a length of time, past this. */
#define CLOCK_MS_MIN 1000000000000

static bool is_time(const char *name, const json_t *value)
{
    size_t size = strlen(name);
    return size > 3 && strcmp(name + size - 3, "_ms") == 0 && json_is_integer(value) &&
           json_integer_value(value) >= CLOCK_MS_MIN;
}

static void named_cell(const json_t *object, const char *name, char out[TABLE_CELL_SIZE])
{
    const json_t *value = json_object_get(object, name);
    struct tm parts;
    time_t seconds = (time_t)(json_integer_value(value) / 1000);
    if (is_time(name, value) && gmtime_r(&seconds, &parts))
        strftime(out, TABLE_CELL_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts);
    else
        cell_of(value, out);
}

static void title_of(const char *name, const json_t *value, char out[TABLE_CELL_SIZE])
{
    size_t size = strlen(name) - (is_time(name, value) ? 3 : 0);
    snprintf(out, TABLE_CELL_SIZE, "%.*s", (int)size, name);
    for (char *at = out; *at; at++)
        *at = (char)(*at == '_' ? ' ' : toupper((unsigned char)*at));
}

/* The names of the first row are the columns; a table within the table has no place there, it is
 * shown by --json. */
static void print_table(const json_t *rows)
{
    char titles[TABLE_COLUMNS_MAX][TABLE_CELL_SIZE], cells[TABLE_COLUMNS_MAX][TABLE_CELL_SIZE];
    const char *names[TABLE_COLUMNS_MAX + 1] = {0}, *shown[TABLE_COLUMNS_MAX + 1] = {0};
    size_t count = 0, i;
    const char *name;
    json_t *value, *row;
    struct table table;
    json_object_foreach(json_array_get(rows, 0), name, value)
    {
        if (count == TABLE_COLUMNS_MAX)
            break;
        if (is_table(value))
            continue;
        title_of(name, value, titles[count]);
        names[count] = name;
        shown[count] = titles[count];
        count++;
    }
    table_init(&table, shown);
    json_array_foreach(rows, i, row)
    {
        for (size_t k = 0; k < count; k++) {
            named_cell(row, names[k], cells[k]);
            shown[k] = cells[k];
        }
        table_add_row(&table, shown);
    }
    list_print_table(&table);
}

static void print_object(const json_t *object)
{
    const char *name;
    json_t *value;
    char cell[TABLE_CELL_SIZE];
    json_object_foreach((json_t *)object, name, value)
    {
        if (is_table(value))
            continue;
        named_cell(object, name, cell);
        printf("%-16s %s\n", name, json_is_string(value) ? merge_text(object, name) : cell);
    }
    json_object_foreach((json_t *)object, name, value)
    {
        if (!is_table(value))
            continue;
        printf("\n%s\n", name);
        print_table(value);
    }
}

void answer_print(const json_t *answer, const char *nothing)
{
    char cell[TABLE_CELL_SIZE];
    if (json_is_array(answer) && !json_array_size(answer)) {
        printf("%s\n", nothing);
    } else if (is_table(answer)) {
        print_table(answer);
    } else if (json_is_object(answer)) {
        print_object(answer);
    } else if (json_is_array(answer)) {
        size_t i;
        json_t *item;
        json_array_foreach(answer, i, item)
        {
            cell_of(item, cell);
            printf("%s\n", cell);
        }
    } else if (json_is_string(answer)) {
        const char *text = json_string_value(answer);
        size_t size = strlen(text);
        printf("%s%s", text, size && text[size - 1] == '\n' ? "" : "\n");
    } else {
        cell_of(answer, cell);
        printf("%s\n", cell);
    }
}

void answer_print_json(const json_t *answer)
{
    json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    printf("\n");
}

/* ---- asking ---- */

static bool has_at(struct slice text, size_t at, const char *part)
{
    size_t size = strlen(part);
    return text.size >= at + size && memcmp(text.at + at, part, size) == 0;
}

/* What stands behind "ERR " is a verb or an option in capitals, then what it takes. */
static bool is_form(struct slice text)
{
    size_t at = 4;
    while (at < text.size &&
           (isupper(text.at[at]) || (text.at[at] == ' ' && isupper(text.at[at - 1]) &&
                                     at + 1 < text.size && isupper(text.at[at + 1]))))
        at++;
    return at > 4 && (has_at(text, at, " takes ") || has_at(text, at, " knows ") ||
                      has_at(text, at, " lacks "));
}

bool answer_is_of_use(struct slice text)
{
    static const char *const starts[] = {"ERR wrong number of arguments", "ERR unknown subcommand",
                                         "ERR option ", "ERR give ", "ERR syntax error"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (has_at(text, 0, starts[i]))
            return true;
    return has_at(text, 0, "ERR ") && is_form(text);
}

static int refused(const char *address, struct slice verb, struct slice text)
{
    static const char unknown[] = "ERR unknown command";
    size_t prefix = text.size > 4 && memcmp(text.at, "ERR ", 4) == 0 ? 4 : 0;
    if (text.size >= sizeof unknown - 1 && memcmp(text.at, unknown, sizeof unknown - 1) == 0)
        return complain(EXIT_TROUBLE,
                        "the server at %s does not know '%.*s': it is older than this program",
                        address, (int)verb.size, (const char *)verb.at);
    return complain(answer_is_of_use(text) ? EXIT_USAGE : EXIT_TROUBLE, "%.*s",
                    (int)(text.size - prefix), (const char *)text.at + prefix);
}

/* TRYAGAIN promises that nothing happened: a leader is being elected, or the cluster has just
 * formed. Whoever types a command waits for that, and a script need not know of it. */
static bool is_passing(const struct ask *ask)
{
    struct slice text = slice_of_buffer(&ask->answer);
    static const char again[] = "TRYAGAIN ";
    return ask->status == STATUS_REFUSED && text.size >= sizeof again - 1 &&
           memcmp(text.at, again, sizeof again - 1) == 0;
}

/* WHY and WHATIF ask around, and answer without a leader. */
static bool needs_leader(const struct slice *words, size_t count)
{
    return !slice_is_word(words[0], "WHY") && !slice_is_word(words[0], "WHATIF") &&
           !(count > 1 && slice_is_word(words[1], "WHY"));
}

static void ask_patiently(struct ask *ask, const char *address, const struct slice *words,
                          size_t count)
{
    bool told = !needs_leader(words, count);
    for (int waited_ms = 0;; waited_ms += AGAIN_MS) {
        ask_init(ask, ASK_WORDS, address, "");
        ask->words = words;
        ask->word_count = count;
        ask_begin(ask, 1);
        if (!ask_go_on(ask, 1, WORDLESS_MS))
            told = told || waiting_tell(address);
        (void)ask_go_on(ask, 1, TIMEOUT_MS - WORDLESS_MS);
        ask_stop(ask, 1, TIMEOUT_MS);
        if (!is_passing(ask) || waited_ms >= PATIENCE_MS)
            return;
        ask_deinit(ask);
        (void)poll(NULL, 0, AGAIN_MS);
    }
}

json_t *answer_ask(const char *address, const struct slice *words, size_t count, int *code)
{
    struct ask ask;
    json_t *answer = NULL;
    ask_patiently(&ask, address, words, count);
    *code = EXIT_GOOD;
    if (ask.status == STATUS_OK)
        answer = answer_read(slice_of_buffer(&ask.answer));
    else if (ask.status == STATUS_REFUSED)
        *code = refused(address, words[0], slice_of_buffer(&ask.answer));
    else if (ask.status == STATUS_INVALID)
        *code = complain(ask.misnamed ? EXIT_USAGE : EXIT_TROUBLE,
                         "%s: %s; -a HOST:PORT names a holdfast node", address, ask.why);
    else
        *code =
            complain(EXIT_TROUBLE, "%s: %s; is holdfastd running there? -a HOST:PORT names another",
                     address, ask.why);
    ask_deinit(&ask);
    return answer;
}
