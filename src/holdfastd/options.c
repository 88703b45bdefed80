/* Options: flags `--name value`, or lines `name value` of a file in redis.conf syntax; flags win.
 */
#include "holdfastd/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name, *argument, *words;
} known[] = {
    {"dir", "DIR", "where log and identity are kept (default ./holdfast-data)"},
    {"listen", "HOST:PORT", "clients connect here (default 127.0.0.1:6379)"},
    {"peer-listen", "HOST:PORT", "other nodes connect here (default: client port + 10000)"},
    {"http-listen", "HOST:PORT", "/livez and /readyz (default: client port + 1000)"},
    {"join", "HOST:PORT,...", "client addresses of all nodes; the same list on every node"},
    {"site", "NAME", "fault domain, outermost"},
    {"zone", "NAME", "fault domain inside the site"},
    {"host", "NAME", "fault domain inside the zone"},
    {"workers", "N", "1 in this version"},
    {"boot-id-file", "PATH", "instead of the kernel's boot id (tests of power cuts)"},
    {"wal-segment-size", "BYTES", "size of a log segment (default 64mb, less on a small disk)"},
};
#define KNOWN (sizeof known / sizeof known[0])
_Static_assert(KNOWN <= OPTIONS_MAX, "make OPTIONS_MAX larger");

/* Named by the design, not served yet: refused with the reason instead of "unknown". */
static const char *const later[] = {"sentinel-listen", "requirepass", "user", "aclfile", "tls-",
                                    "masterauth",      "maxmemory"};

static int find(const char *name)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (strcasecmp(known[i].name, name) == 0)
            return (int)i;
    return -1;
}

static enum status refuse(const char *name, const char *where, char why[400])
{
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (strncasecmp(later[i], name, strlen(later[i])) == 0) {
            snprintf(why, 400, "%s'%.60s' is not available in this version; remove it", where,
                     name);
            return STATUS_INVALID;
        }
    snprintf(why, 400, "%sunknown option '%.60s'; holdfastd --help lists them", where, name);
    return STATUS_INVALID;
}

/* Redis's sizes: 1k = 1000, 1kb = 1024. False: not a size. */
static bool size_of(const char *text, uint64_t *out)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {{"", 1},        {"b", 1},        {"k", 1000},          {"kb", 1024},
                 {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000ull}, {"gb", 1 << 30}};
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    for (size_t i = 0; end != text && i < sizeof units / sizeof units[0]; i++)
        if (strcasecmp(end, units[i].suffix) == 0) {
            *out = value * units[i].factor;
            return value < (1ull << 40);
        }
    return false;
}

uint64_t options_size(const struct options *options, const char *name)
{
    uint64_t size = 0;
    return size_of(options_get(options, name), &size) ? size : 0;
}

static enum status check(const char *name, const char *value, char why[400])
{
    const char *colon = strrchr(value, ':');
    if (strstr(name, "listen")) {
        char *end = NULL;
        long port = colon ? strtol(colon + 1, &end, 10) : -1;
        if (!colon || colon == value || !end || *end || end == colon + 1 || port < 0 ||
            port > 65535 || strlen(value) > 60) {
            snprintf(why, 400, "--%s: '%.60s' is not HOST:PORT (example: 127.0.0.1:6379)", name,
                     value);
            return STATUS_INVALID;
        }
    }
    if (strcmp(name, "workers") == 0 && strcmp(value, "1") != 0) {
        snprintf(why, 400, "--workers %.20s: this version runs one worker; give 1 or leave it out",
                 value);
        return STATUS_INVALID;
    }
    uint64_t size = 0;
    if (strcmp(name, "wal-segment-size") == 0 &&
        (!size_of(value, &size) || size < (256u << 10) || size > (1u << 30))) {
        snprintf(why, 400, "--%s: a size from 256kb to 1gb", name);
        return STATUS_INVALID;
    }
    bool is_name =
        strcmp(name, "site") == 0 || strcmp(name, "zone") == 0 || strcmp(name, "host") == 0;
    if (is_name && (strlen(value) > 60 || strpbrk(value, " \t\"\\,"))) {
        snprintf(why, 400, "--%s: at most 60 characters, no spaces, quotes or commas", name);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status set(struct options *options, const char *name, const char *value,
                       const char *where, char why[400])
{
    int i = find(name);
    if (i < 0)
        return refuse(name, where, why);
    if (strlen(value) >= OPTION_VALUE_SIZE || !value[0]) {
        snprintf(why, 400, "%s--%s: the value is empty or too long", where, known[i].name);
        return STATUS_INVALID;
    }
    enum status status = check(known[i].name, value, why);
    if (!status)
        memcpy(options->values[i], value, strlen(value) + 1);
    return status;
}

/* ---- the file ---- */

static char *unquote(char *text)
{
    size_t size = strlen(text);
    while (size && isspace((unsigned char)text[size - 1]))
        text[--size] = 0;
    bool quoted = size >= 2 && (text[0] == '"' || text[0] == '\'') && text[size - 1] == text[0];
    if (!quoted)
        return text;
    text[size - 1] = 0;
    return text + 1;
}

static enum status read_file(struct options *options, const char *path, char why[400])
{
    char line[OPTION_VALUE_SIZE + 128], where[200];
    int number = 0;
    FILE *file = fopen(path, "r");
    if (!file) {
        snprintf(why, 400, "cannot read the config file %.200s", path);
        return STATUS_NOT_FOUND;
    }
    enum status status = STATUS_OK;
    while (!status && fgets(line, sizeof line, file)) {
        char *name = line + strspn(line, " \t\r\n");
        number++;
        if (!*name || *name == '#')
            continue;
        char *value = name + strcspn(name, " \t\r\n");
        if (*value)
            *value++ = 0;
        value += strspn(value, " \t");
        snprintf(where, sizeof where, "%.150s line %d: ", path, number);
        status = set(options, name, unquote(value), where, why);
    }
    fclose(file);
    return status;
}

/* ---- all ---- */

static void derive(struct options *options, const char *name, int more)
{
    char *value = options->values[find(name)];
    const char *listen = options_get(options, "listen"), *colon = strrchr(listen, ':');
    if (value[0])
        return;
    long port = strtol(colon + 1, NULL, 10);
    port = port && port + more < 65536 ? port + more : 0; /* 0: the kernel chooses */
    char host[64];                                        /* bounded by check() */
    snprintf(host, sizeof host, "%.*s", (int)(colon - listen), listen);
    snprintf(value, OPTION_VALUE_SIZE, "%s:%ld", host, port);
}

static void show(struct options *options)
{
    for (size_t i = 0; i < KNOWN; i++)
        options->shown[options->shown_count++] =
            (struct admin_option){known[i].name, options->values[i]};
    options->shown[options->shown_count++] = (struct admin_option){"appendonly", "yes"};
    options->shown[options->shown_count++] = (struct admin_option){"save", ""};
    options->shown[options->shown_count++] = (struct admin_option){"maxmemory", "0"};
    options->shown[options->shown_count++] = (struct admin_option){"databases", "16"};
}

static enum status read_words(struct options *options, int count, char **words, char why[400])
{
    int i = 1;
    enum status status = STATUS_OK;
    if (i < count && strncmp(words[i], "--", 2) != 0)
        status = read_file(options, words[i++], why);
    while (!status && i < count) {
        const char *word = words[i++];
        if (strcmp(word, "--help") == 0 || strcmp(word, "--version") == 0) {
            options->help |= word[2] == 'h';
            options->version |= word[2] == 'v';
            continue;
        }
        if (strncmp(word, "--", 2) != 0 || !word[2]) {
            snprintf(why, 400, "'%.60s' is not an option; options begin with --", word);
            return STATUS_INVALID;
        }
        if (find(word + 2) < 0)
            return refuse(word + 2, "", why);
        if (i == count) {
            snprintf(why, 400, "%.60s needs a value", word);
            return STATUS_INVALID;
        }
        status = set(options, word + 2, words[i++], "", why);
    }
    return status;
}

enum status options_read(struct options *options, int count, char **words, char why[400])
{
    enum status status = read_words(options, count, words, why);
    if (status)
        return status;
    if (!options_get(options, "listen")[0])
        status = set(options, "listen", "127.0.0.1:6379", "", why);
    if (!status && !options_get(options, "dir")[0])
        status = set(options, "dir", "./holdfast-data", "", why);
    if (status)
        return status;
    derive(options, "peer-listen", 10000);
    derive(options, "http-listen", 1000);
    show(options);
    return STATUS_OK;
}

const char *options_get(const struct options *options, const char *name)
{
    return options->values[find(name)];
}

void options_print_help(void)
{
    printf("holdfastd [FILE] [--option value ...]   a replicated state server\n\n"
           "Without --join an empty directory becomes a cluster of one, ready to serve.\n"
           "FILE has one `option value` a line; flags win over it.\n\n");
    for (size_t i = 0; i < KNOWN; i++)
        printf("  --%-17s %-14s %s\n", known[i].name, known[i].argument, known[i].words);
    printf("  --help, --version\n");
}
