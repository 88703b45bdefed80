/* Options: flags `--name value`, or lines `name value` of a file; flags win. */
#include "holdfastd/options.h"

#include "worker/worker.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *name, *argument, *words;
} known[] = {
    {"dir", "DIR", "where log and identity are kept (default ./holdfast-data)"},
    {"listen", "HOST:PORT", "clients connect here (default 127.0.0.1:6379)"},
    {"peer-listen", "HOST:PORT", "other nodes connect here (default: client port + 10000)"},
    {"http-listen", "HOST:PORT",
     "health (/primary, /readyz ...) and /metrics (default: client port + 1000)"},
    {"join", "HOST:PORT,...", "client addresses of all nodes; the same list on every node"},
    {"begin-anew", "yes|no",
     "a member's directory is lost for good: this empty one takes its place (with --join)"},
    {"site", "NAME", "fault domain, outermost"},
    {"zone", "NAME", "fault domain inside the site"},
    {"host", "NAME", "fault domain inside the zone"},
    {"weight", "N", "its share of replicas beside other nodes, 1 to 1000 (default 100)"},
    {"workers", "N", "threads that serve, 1 to 16, or auto: one for each core (default 1)"},
    {"timing", "lan|wan",
     "heartbeats and elections for a data centre, or for sites up to 100 ms apart (default lan)"},
    {"replace-after", "SECONDS",
     "a member that is down for so long is replaced elsewhere; 0: never (default 300)"},
    {"on-leader-change", "PROGRAM",
     "run when another node leads a partition; docs/deploy.md names its arguments"},
    {"on-state-change", "PROGRAM", "run when the state of a replica of this node changes"},
    {"on-alert", "PROGRAM", "run when an alert is raised or over; holdfast alerts lists them"},
    {"boot-id-file", "PATH", "instead of the kernel's boot id (tests of power cuts)"},
    {"proto-max-bulk-len", "BYTES",
     "longest value; a request may have twice as much (default 16mb)"},
    {"snapshot-log-bytes", "BYTES", "log after which a snapshot is written (default 64mb)"},
    {"snapshot-seconds", "N", "time after which one is written (default 600)"},
    {"wal-segment-size", "BYTES", "size of a log segment (default 64mb, less on a small disk)"},
};
#define REPLACE_AFTER_S 300
#define KNOWN           (sizeof known / sizeof known[0])
_Static_assert(KNOWN <= OPTIONS_MAX, "make OPTIONS_MAX larger");

/* Named by the design, not served yet: refused with the reason instead of "unknown". */
static const char *const later[] = {"sentinel-listen", "requirepass", "user", "aclfile", "tls-",
                                    "masterauth",      "maxmemory"};

/* Redis's names for what is said in another way here. */
static const struct {
    const char *name, *instead;
} elsewhere[] = {
    {"port", "give --listen HOST:PORT"},
    {"bind", "give --listen HOST:PORT"},
    {"replicaof", "give --join with the address of a member"},
    {"slaveof", "give --join with the address of a member"},
    {"cluster-enabled", "every node is ready for others: see --join"},
    {"daemonize", "it stays in the foreground; a service manager puts it behind"},
    {"logfile", "the log goes to stderr: redirect that"},
    {"appendonly", "every write is logged; how it is synced is up to the keyspace"},
    {"appendfsync", "it is up to the keyspace: holdfast keyspace create NAME --sync ..."},
    {"save", "see --snapshot-seconds and --snapshot-log-bytes"},
    {"databases", "there are 16; holdfast keyspace create makes more"},
};

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
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        if (strcasecmp(elsewhere[i].name, name) == 0) {
            snprintf(why, 400, "%sunknown option '%.60s': %s", where, name, elsewhere[i].instead);
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

/* ---- one value ---- */

static enum status check_address(const char *name, const char *value, char why[400])
{
    const char *colon = strrchr(value, ':');
    char *end = NULL;
    long port = colon && isdigit((unsigned char)colon[1]) ? strtol(colon + 1, &end, 10) : -1;
    bool bare_v6 = colon && value[0] != '[' && memchr(value, ':', (size_t)(colon - value));
    bool graphic = true;
    for (const char *at = value; *at; at++)
        graphic &= (unsigned char)*at > ' ' && *at != 127;
    if (!end || *end || !graphic || colon == value || port > 65535 || strlen(value) > 60 ||
        bare_v6) {
        snprintf(why, 400, "--%s: '%.60s' is not HOST:PORT (example: %s)", name, value,
                 bare_v6 ? "[::1]:6379" : "127.0.0.1:6379");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status check_size(const char *name, const char *value, uint64_t least, uint64_t most,
                              char why[400])
{
    uint64_t size = 0;
    if (size_of(value, &size) && size >= least && size <= most)
        return STATUS_OK;
    char low[16], high[16];
    snprintf(low, sizeof low, least >= 1 << 20 ? "%llumb" : "%llukb",
             (unsigned long long)(least >= 1 << 20 ? least >> 20 : least >> 10));
    snprintf(high, sizeof high, most >= 1ull << 30 ? "%llugb" : "%llumb",
             (unsigned long long)(most >> (most >= 1ull << 30 ? 30 : 20)));
    snprintf(why, 400, "--%s: '%.40s' is not a size from %s to %s", name, value, low, high);
    return STATUS_INVALID;
}

static enum status check_seconds(const char *name, const char *value, char why[400])
{
    char *end;
    long seconds = isdigit((unsigned char)value[0]) ? strtol(value, &end, 10) : -1;
    if (seconds >= 1 && seconds <= 86400 && !*end)
        return STATUS_OK;
    snprintf(why, 400, "--%s: '%.40s' is not a number of seconds from 1 to 86400", name, value);
    return STATUS_INVALID;
}

static enum status check_replace(const char *name, const char *value, char why[400])
{
    char *end;
    long seconds = isdigit((unsigned char)value[0]) ? strtol(value, &end, 10) : -1;
    if (seconds >= 0 && seconds <= 604800 && !*end)
        return STATUS_OK;
    snprintf(why, 400, "--%s: '%.40s' is not a number of seconds from 0 (never) to 604800", name,
             value);
    return STATUS_INVALID;
}

/* Names are shown on terminals and in JSON. */
static enum status check_name(const char *name, const char *value, char why[400])
{
    bool good = strlen(value) <= 60;
    for (const char *at = value; *at; at++)
        good &= (unsigned char)*at > ' ' && *at != 127 && !strchr("\"\\,", *at);
    if (good)
        return STATUS_OK;
    snprintf(why, 400,
             "--%s: at most 60 characters, no spaces, quotes, commas or control characters", name);
    return STATUS_INVALID;
}

static enum status check_boot_id(const char *name, const char *path, char why[400])
{
    char line[64];
    errno = 0;
    FILE *file = fopen(path, "r");
    bool good = file && fgets(line, sizeof line, file) && !isspace((unsigned char)line[0]);
    int number = !file || ferror(file) ? errno : 0;
    if (file)
        fclose(file);
    if (good)
        return STATUS_OK;
    snprintf(why, 400, "--%s: cannot read %.200s: %s; give a file whose first line is the id", name,
             path, number ? strerror(number) : "there is no boot id in it");
    return STATUS_INVALID;
}

/* 0: not a number of workers. */
static unsigned workers_of(const char *text)
{
    char *end;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (strcasecmp(text, "auto") == 0)
        return cores < 1 ? 1 : cores > WORKER_COUNT_MAX ? WORKER_COUNT_MAX : (unsigned)cores;
    long number = isdigit((unsigned char)text[0]) ? strtol(text, &end, 10) : 0;
    return number >= 1 && number <= WORKER_COUNT_MAX && !*end ? (unsigned)number : 0;
}

unsigned options_workers(const struct options *options)
{
    const char *value = options_get(options, "workers");
    return value[0] ? workers_of(value) : 1;
}

uint64_t options_replace_after_ns(const struct options *options)
{
    const char *value = options_get(options, "replace-after");
    return (value[0] ? strtoull(value, NULL, 10) : REPLACE_AFTER_S) * 1000000000ull;
}

static enum status check_workers(const char *name, const char *value, char why[400])
{
    if (workers_of(value))
        return STATUS_OK;
    snprintf(why, 400, "--%s: '%.20s' is not a number from 1 to %d, nor auto", name, value,
             WORKER_COUNT_MAX);
    return STATUS_INVALID;
}

static enum status check_weight(const char *name, const char *value, char why[400])
{
    char *end;
    long weight = isdigit((unsigned char)value[0]) ? strtol(value, &end, 10) : 0;
    if (weight >= 1 && weight <= CONTROL_WEIGHT_MAX && !*end)
        return STATUS_OK;
    snprintf(why, 400, "--%s: '%.20s' is not a number from 1 to %d; the default is %d", name, value,
             CONTROL_WEIGHT_MAX, CONTROL_WEIGHT_DEFAULT);
    return STATUS_INVALID;
}

static enum status check_timing(const char *name, const char *value, char why[400])
{
    if (cluster_timing_find(value))
        return STATUS_OK;
    snprintf(why, 400, "--%s: '%.20s' is neither lan nor wan", name, value);
    return STATUS_INVALID;
}

const struct cluster_timing *options_timing(const struct options *options)
{
    return cluster_timing_find(options_get(options, "timing"));
}

static enum status check_yes(const char *name, const char *value, char why[400])
{
    if (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)
        return STATUS_OK;
    snprintf(why, 400, "--%s: '%.20s' is neither yes nor no", name, value);
    return STATUS_INVALID;
}

/* It is started as it is named, wherever this process stands. */
static enum status check_program(const char *name, const char *path, char why[400])
{
    struct stat found;
    if (path[0] == '/' && stat(path, &found) == 0 && S_ISREG(found.st_mode) &&
        access(path, X_OK) == 0)
        return STATUS_OK;
    snprintf(why, 400,
             "--%s: '%.200s' is not the whole path of a program that this user may run: give one "
             "that begins with /, or chmod +x it",
             name, path);
    return STATUS_INVALID;
}

static enum status check(const char *name, const char *value, char why[400])
{
    if (strstr(name, "listen"))
        return check_address(name, value, why);
    if (strcmp(name, "workers") == 0)
        return check_workers(name, value, why);
    if (strcmp(name, "timing") == 0)
        return check_timing(name, value, why);
    if (strcmp(name, "begin-anew") == 0)
        return check_yes(name, value, why);
    if (strcmp(name, "weight") == 0)
        return check_weight(name, value, why);
    if (strcmp(name, "snapshot-log-bytes") == 0)
        return check_size(name, value, 1u << 20, 1ull << 40, why);
    if (strcmp(name, "snapshot-seconds") == 0)
        return check_seconds(name, value, why);
    if (strcmp(name, "replace-after") == 0)
        return check_replace(name, value, why);
    if (strcmp(name, "wal-segment-size") == 0)
        return check_size(name, value, 256u << 10, 1u << 30, why);
    if (strcmp(name, "proto-max-bulk-len") == 0)
        return check_size(name, value, 1u << 20, 512u << 20, why);
    if (strcmp(name, "site") == 0 || strcmp(name, "zone") == 0 || strcmp(name, "host") == 0)
        return check_name(name, value, why);
    if (strncmp(name, "on-", 3) == 0)
        return check_program(name, value, why);
    if (strcmp(name, "boot-id-file") == 0)
        return check_boot_id(name, value, why);
    return STATUS_OK;
}

/* `where` is file and line, or "". */
static enum status set(struct options *options, const char *name, const char *value,
                       const char *where, char why[400])
{
    char trouble[400];
    int i = find(name);
    if (i < 0)
        return refuse(name, where, why);
    if (strlen(value) >= OPTION_VALUE_SIZE || !value[0]) {
        snprintf(why, 400, "%s--%s: the value is empty or too long: give %s, 1 to %d characters",
                 where, known[i].name, known[i].argument, OPTION_VALUE_SIZE - 1);
        return STATUS_INVALID;
    }
    if (check(known[i].name, value, trouble)) {
        snprintf(why, 400, "%.180s%.219s", where, trouble);
        return STATUS_INVALID;
    }
    memcpy(options->values[i], value, strlen(value) + 1);
    return STATUS_OK;
}

/* ---- the file ---- */

#define SPACE " \t\r\n\v\f"

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

/* A word, or what stands in quotes; `rest` is what stands behind it and is no comment. NULL: a
 * quote that opens and does not close, or the other way round. */
static char *cut_value(char *text, const char **rest)
{
    bool quoted = is_quote(text[0]);
    char *end = quoted ? strchr(text + 1, text[0]) : text + strcspn(text, SPACE);
    if (!end || (!quoted && end > text && is_quote(end[-1])))
        return NULL;
    const char *behind = end + quoted;
    size_t space = strspn(behind, SPACE);
    *rest = space && behind[space] == '#' ? "" : behind + space;
    *end = 0;
    return text + quoted;
}

static enum status read_value(struct options *options, const char *name, char *text,
                              const char *where, char why[400])
{
    const char *rest = "";
    char *value = cut_value(text, &rest);
    if (!value) {
        snprintf(why, 400, "%s'%.60s': unbalanced quotes: close them, or leave them out", where,
                 name);
        return STATUS_INVALID;
    }
    if (*rest) {
        snprintf(why, 400,
                 "%s'%.60s': '%.60s' stands behind the value: put a value with spaces in quotes, "
                 "begin a comment with white space and #",
                 where, name, rest);
        return STATUS_INVALID;
    }
    return set(options, name, value, where, why);
}

static enum status read_line(struct options *options, char *line, const char *where, char why[400])
{
    line[strcspn(line, "\r\n")] = 0;
    char *name = line + strspn(line, SPACE);
    if (!*name || *name == '#')
        return STATUS_OK;
    char *value = name + strcspn(name, SPACE);
    if (*value)
        *value++ = 0;
    if (find(name) < 0)
        return refuse(name, where, why);
    value += strspn(value, SPACE);
    if (*value == '#')
        *value = 0;
    return read_value(options, name, value, where, why);
}

static enum status read_file(struct options *options, const char *path, char why[400])
{
    char line[OPTION_VALUE_SIZE + 128], where[200];
    int number = 0;
    FILE *file = fopen(path, "r");
    if (!file) {
        snprintf(why, 400,
                 "cannot read the config file %.200s: %s; give another, or --option value", path,
                 strerror(errno));
        return STATUS_NOT_FOUND;
    }
    enum status status = STATUS_OK;
    errno = 0;
    while (!status && fgets(line, sizeof line, file)) {
        snprintf(where, sizeof where, "%.150s line %d: ", path, ++number);
        if (!strchr(line, '\n') && !feof(file)) {
            snprintf(why, 400, "%sit is too long", where);
            status = STATUS_INVALID;
        } else {
            status = read_line(options, line, where, why);
        }
    }
    if (!status && ferror(file)) { /* a directory opens, and does not read */
        snprintf(why, 400, "cannot read the config file %.200s: %s; give a file", path,
                 strerror(errno));
        status = STATUS_INVALID;
    }
    fclose(file);
    return status;
}

/* ---- all ---- */

/* Port 0 stays 0: then the kernel chooses all of them. */
static enum status derive(struct options *options, const char *name, const char *what, int more,
                          char why[400])
{
    char *value = options->values[find(name)];
    const char *listen = options_get(options, "listen"), *colon = strrchr(listen, ':');
    if (value[0])
        return STATUS_OK;
    long port = strtol(colon + 1, NULL, 10);
    if (port)
        port += more;
    if (port > 65535) {
        snprintf(why, 400, "--listen %.60s: the %s port would be %ld; give --%s", listen, what,
                 port, name);
        return STATUS_INVALID;
    }
    char host[64]; /* bounded by check_address() */
    snprintf(host, sizeof host, "%.*s", (int)(colon - listen), listen);
    snprintf(value, OPTION_VALUE_SIZE, "%s:%ld", host, port);
    return STATUS_OK;
}

/* Three that are served apart; port 0 is another one each time. */
static enum status check_distinct(const struct options *options, char why[400])
{
    static const char *const names[] = {"listen", "peer-listen", "http-listen"};
    for (size_t i = 0; i < 3; i++)
        for (size_t j = i + 1; j < 3; j++) {
            const char *value = options_get(options, names[i]), *port = strrchr(value, ':');
            if (strcmp(port, ":0") == 0 || strcmp(value, options_get(options, names[j])) != 0)
                continue;
            snprintf(why, 400, "--%s and --%s are both %.60s: give them different ports", names[i],
                     names[j], value);
            return STATUS_INVALID;
        }
    return STATUS_OK;
}

/* As redis shows it: in bytes. */
static enum status settle_bulk_len(struct options *options, char why[400])
{
    char *value = options->values[find("proto-max-bulk-len")];
    if (!value[0]) {
        enum status status = set(options, "proto-max-bulk-len", "16mb", "", why);
        if (status)
            return status;
    }
    snprintf(value, OPTION_VALUE_SIZE, "%llu",
             (unsigned long long)options_size(options, "proto-max-bulk-len"));
    return STATUS_OK;
}

/* Anything in it may be of an identity, whose start is told more by what it finds. */
static bool is_empty(const char *path)
{
    const struct dirent *entry = NULL;
    DIR *directory = opendir(path);
    if (!directory)
        return errno == ENOENT;
    bool empty = true;
    while (empty && (entry = readdir(directory)) != NULL)
        empty = entry->d_name[0] == '.' || strcmp(entry->d_name, "lost+found") == 0;
    (void)closedir(directory);
    return empty;
}

/* Alone it would make a new cluster, and nothing of what was lost would come back. */
static enum status check_anew(const struct options *options, char why[400])
{
    if (strcmp(options_get(options, "begin-anew"), "yes") != 0 || options_get(options, "join")[0] ||
        !is_empty(options_get(options, "dir")))
        return STATUS_OK;
    snprintf(why, 400, "--begin-anew needs --join: name the members of the cluster");
    return STATUS_INVALID;
}

static void show(struct options *options)
{
    snprintf(options->values[find("workers")], OPTION_VALUE_SIZE, "%u", options_workers(options));
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
    if (i < count && words[i][0] != '-')
        status = read_file(options, words[i++], why);
    while (!status && i < count) {
        const char *word = words[i++];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            options->help = true;
            continue;
        }
        if (strcmp(word, "--version") == 0) {
            options->version = true;
            continue;
        }
        if (strncmp(word, "--", 2) != 0 || !word[2]) {
            snprintf(why, 400,
                     "'%.60s' is not an option; options begin with --, holdfastd --help "
                     "lists them",
                     word);
            return STATUS_INVALID;
        }
        if (find(word + 2) < 0)
            return refuse(word + 2, "", why);
        if (i == count) {
            snprintf(why, 400, "%.60s needs a value: %s", word, known[find(word + 2)].argument);
            return STATUS_INVALID;
        }
        status = set(options, word + 2, words[i++], "", why);
    }
    return status;
}

/* CONFIG GET shows them. */
static const struct {
    const char *name, *value;
} defaults[] = {
    {"listen", "127.0.0.1:6379"}, {"dir", "./holdfast-data"}, {"snapshot-log-bytes", "64mb"},
    {"snapshot-seconds", "600"},  {"weight", "100"},          {"timing", "lan"},
};

enum status options_read(struct options *options, int count, char **words, char why[400])
{
    enum status status = read_words(options, count, words, why);
    if (status)
        return status;
    for (size_t i = 0; !status && i < sizeof defaults / sizeof defaults[0]; i++)
        if (!options_get(options, defaults[i].name)[0])
            status = set(options, defaults[i].name, defaults[i].value, "", why);
    if (status)
        return status;
    status = derive(options, "peer-listen", "peer", 10000, why);
    if (!status)
        status = derive(options, "http-listen", "health", 1000, why);
    if (!status)
        status = check_distinct(options, why);
    if (!status)
        status = settle_bulk_len(options, why);
    if (!status)
        status = check_anew(options, why);
    if (!status)
        show(options);
    return status;
}

const char *options_get(const struct options *options, const char *name)
{
    return options->values[find(name)];
}

void options_print_help(void)
{
    printf("holdfastd [FILE] [--option value ...]   a replicated state server\n\n"
           "Without --join an empty directory becomes a cluster of one, ready to serve.\n"
           "FILE has one `option value` a line; a value with spaces stands in quotes, # behind "
           "white\nspace begins a comment; flags win over it.\n\n");
    for (size_t i = 0; i < KNOWN; i++)
        printf("  --%-18s %-14s %s\n", known[i].name, known[i].argument, known[i].words);
    printf("  --help (-h), --version\n");
}
