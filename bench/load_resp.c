/* Requests and replies of the Redis protocol. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

static void add(struct load_connection *connection, const void *bytes, size_t size)
{
    (void)!buffer_append(&connection->out, bytes, size); /* its maximum holds any batch */
}

static void add_key_command(struct load_connection *connection, const char *command,
                            const char *prefix, uint64_t number)
{
    char text[96];
    int size = snprintf(text, sizeof text, "*2\r\n$%zu\r\n%s\r\n$16\r\n%s:%012llu\r\n",
                        strlen(command), command, prefix, (unsigned long long)number);
    add(connection, text, (size_t)size);
}

/* Six bits of chance in each byte: letters and what is next to them. */
static void make_distinct(struct load *load)
{
    uint64_t bits = 0;
    for (uint64_t i = 0; i < load->settings.value_size; i++, bits >>= 6) {
        bits = i % 10 ? bits : random_next(&load->random);
        load->value[i] = (uint8_t)('@' + (bits & 63));
    }
}

static void add_set(struct load *load, struct load_connection *connection, const char *prefix,
                    uint64_t number)
{
    char text[96];
    int size =
        snprintf(text, sizeof text, "*3\r\n$3\r\nSET\r\n$16\r\n%s:%012llu\r\n$%llu\r\n", prefix,
                 (unsigned long long)number, (unsigned long long)load->settings.value_size);
    add(connection, text, (size_t)size);
    if (load->settings.distinct)
        make_distinct(load);
    add(connection, load->value, load->settings.value_size);
    add(connection, "\r\n", 2);
}

void resp_add_request(struct load *load, struct load_connection *connection)
{
    uint64_t number = load_key(load, connection);
    switch (load->settings.operation) {
    case LOAD_PING: add(connection, "*1\r\n$4\r\nPING\r\n", 14); break;
    case LOAD_GET: add_key_command(connection, "GET", "key", number); break;
    case LOAD_INCR: add_key_command(connection, "INCR", "ctr", number); break;
    case LOAD_VERIFY: add_key_command(connection, "EXISTS", "unq", number); break;
    case LOAD_UNIQ: add_set(load, connection, "unq", number); break;
    case LOAD_SET:
    case LOAD_FILL:
    case LOAD_SETWAIT: add_set(load, connection, "key", number); break;
    }
}

void resp_add_wait(struct load *load, struct load_connection *connection)
{
    char copies[24], wait_ms[24], text[96];
    int copies_size =
        snprintf(copies, sizeof copies, "%llu", (unsigned long long)load->settings.copies);
    int wait_size =
        snprintf(wait_ms, sizeof wait_ms, "%llu", (unsigned long long)load->settings.wait_ms);
    int size = snprintf(text, sizeof text, "*3\r\n$4\r\nWAIT\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n",
                        copies_size, copies, wait_size, wait_ms);
    add(connection, text, (size_t)size);
}

struct load_answer resp_take_answer(struct slice in)
{
    struct load_answer answer = {0};
    const uint8_t *end = in.size ? memchr(in.at, '\n', in.size) : NULL;
    if (!end)
        return answer;
    size_t line = (size_t)(end - in.at) + 1;
    answer.is_reply = true;
    answer.is_error = in.at[0] == '-';
    if (in.at[0] == ':' || in.at[0] == '$') /* strtoll stops at the CR at the latest */
        answer.integer = strtoll((const char *)in.at + 1, NULL, 10);
    answer.is_null = in.at[0] == '_' || (in.at[0] == '$' && answer.integer < 0);
    if (in.at[0] == '$' && answer.integer >= 0)
        line += (size_t)answer.integer + 2;
    answer.size = line <= in.size ? line : 0;
    return answer;
}
