#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const operations[] = {"set",  "get",     "incr", "ping",
                                         "fill", "setwait", "uniq", "verify"};
static const char *const protocols[] = {"resp", "grpc"};

static bool choose(const char *const *names, size_t count, const char *word, unsigned *out)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], word) == 0) {
            *out = (unsigned)i;
            return true;
        }
    return false;
}

static bool read_number(const char *word, uint64_t most, uint64_t *out)
{
    int64_t value;
    if (slice_to_i64(slice_of_text(word), &value) || value < 0 || (uint64_t)value > most)
        return false;
    *out = (uint64_t)value;
    return true;
}

/* Splits the next comma-separated word off `*rest`; false at the end or when it is too long. */
static bool next_word(const char **rest, char word[64])
{
    size_t size = strcspn(*rest, ",");
    if (size == 0 || size > 63)
        return false;
    memcpy(word, *rest, size);
    word[size] = 0;
    *rest += size + ((*rest)[size] == ',');
    return true;
}

static bool read_targets(struct load_settings *settings, const char *rest)
{
    char word[64];
    while (settings->target_count < LOAD_TARGETS_MAX && next_word(&rest, word)) {
        struct load_target *target = &settings->targets[settings->target_count];
        char *colon = strrchr(word, ':');
        uint64_t port;
        if (!colon || (size_t)(colon - word) >= sizeof target->host ||
            !read_number(colon + 1, 65535, &port))
            return false;
        memcpy(target->host, word, (size_t)(colon - word));
        target->host[colon - word] = 0;
        target->port = (uint16_t)port;
        settings->target_count++;
    }
    return settings->target_count > 0 && !*rest;
}

static bool read_pids(struct load_settings *settings, const char *rest)
{
    char word[64];
    uint64_t pid;
    while (settings->pid_count < LOAD_PIDS_MAX && next_word(&rest, word)) {
        if (!read_number(word, 1u << 30, &pid))
            return false;
        settings->pids[settings->pid_count++] = (int)pid;
    }
    return !*rest;
}

static bool read_seconds(const char *word, double *out)
{
    char *end;
    *out = strtod(word, &end);
    return end != word && !*end && *out > 0 && *out < 86400;
}

static bool read_word_option(struct load_settings *settings, const char *name, const char *value)
{
    unsigned choice;
    if (strcmp(name, "--targets") == 0)
        return read_targets(settings, value);
    if (strcmp(name, "--pids") == 0)
        return read_pids(settings, value);
    if (strcmp(name, "--seconds") == 0)
        return read_seconds(value, &settings->seconds);
    if (strcmp(name, "--label") == 0) {
        settings->label = value;
        return true;
    }
    if (strcmp(name, "--ack-file") == 0) {
        settings->ack_path = value;
        return true;
    }
    if (strcmp(name, "--operation") == 0 && choose(operations, 8, value, &choice)) {
        settings->operation = (enum load_operation)choice;
        return true;
    }
    if (strcmp(name, "--protocol") == 0 && choose(protocols, 2, value, &choice)) {
        settings->protocol = (enum load_protocol)choice;
        return true;
    }
    return false;
}

static bool read_option(struct load_settings *settings, const char *name, const char *value)
{
    const struct {
        const char *name;
        uint64_t *place, most;
    } numbers[] = {
        {"--connections", &settings->connections, 10000},
        {"--pipeline", &settings->pipeline, 10000},
        {"--keys", &settings->keys, 1000000000},
        {"--value-size", &settings->value_size, 1 << 20},
        {"--operations", &settings->operations, UINT64_MAX >> 1},
        {"--copies", &settings->copies, 100},
        {"--distinct", &settings->distinct, 1},
        {"--wait-ms", &settings->wait_ms, 1000000},
        {"--seed", &settings->seed, UINT64_MAX >> 1},
        {"--database", &settings->database, 15},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(name, numbers[i].name) == 0)
            return read_number(value, numbers[i].most, numbers[i].place);
    return read_word_option(settings, name, value);
}

static const char *inconsistency(const struct load_settings *settings)
{
    if (settings->target_count == 0)
        return "--targets is missing";
    if (!settings->connections || !settings->pipeline || !settings->keys || !settings->value_size)
        return "connections, pipeline, keys and value size are at least 1";
    if (settings->operation == LOAD_VERIFY && !settings->ack_path)
        return "verify needs --ack-file";
    if (settings->protocol == LOAD_GRPC && settings->operation != LOAD_SET &&
        settings->operation != LOAD_GET && settings->operation != LOAD_FILL)
        return "over grpc there are only set, get and fill";
    return NULL;
}

bool load_settings_read(struct load_settings *settings, int count, char **words, const char **why)
{
    *settings = (struct load_settings){.connections = 50,
                                       .pipeline = 1,
                                       .keys = 1000000,
                                       .value_size = 64,
                                       .copies = 1,
                                       .seed = 1,
                                       .label = ""};
    for (int i = 1; i < count; i += 2)
        if (i + 1 == count || !read_option(settings, words[i], words[i + 1])) {
            *why = words[i];
            return false;
        }
    *why = inconsistency(settings);
    if (settings->operation == LOAD_FILL)
        settings->operations = settings->keys;
    if (!settings->operations && settings->seconds <= 0)
        settings->seconds = 3;
    return !*why;
}

void load_print_usage(void)
{
    fprintf(stderr,
            "bench-load --targets HOST:PORT[,...] [--operation set|get|incr|ping|fill|setwait|uniq|"
            "verify]\n"
            "    [--protocol resp|grpc] [--connections 50] [--pipeline 1] [--keys 1000000]\n"
            "    [--value-size 64] [--seconds 3] [--operations N] [--copies 1] [--wait-ms 0]\n"
            "    [--pids PID,...] [--ack-file PATH] [--label TEXT] [--seed 1]\n"
            "    [--database 0] [--distinct 0]\n");
}
