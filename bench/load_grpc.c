/* Just enough HTTP/2 (RFC 9113) to put and range keys in etcd as its own clients do, which its JSON
 * gateway would make look slower than it is.
 *
 *     frame    length u24 | type u8 | flags u8 | stream u32, all big-endian | payload
 *     message  0 | length u32 big-endian | protobuf
 *
 * The window for what we receive is opened once, for more bytes than any run gets; what we send is
 * a small request for each answer, so that the server's window never closes. An answer is a DATA
 * frame and then HEADERS that end the stream; a refusal is such HEADERS alone. Header compression
 * need not be undone for that. */
#include "load.h"

#include <stdio.h>

enum {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RESET = 3,
    FRAME_SETTINGS = 4
};
enum {
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FRAME_WINDOW = 8
};
enum {
    FLAG_END_STREAM = 1,
    FLAG_ACK = 1,
    FLAG_END_HEADERS = 4
};
enum {
    FRAME_HEAD = 9,
    MESSAGE_HEAD = 5,
    KEY_SIZE = 16
};

static void add(struct load_connection *connection, const void *bytes, size_t size)
{
    (void)!buffer_append(&connection->out, bytes, size); /* its maximum holds any batch */
}

static void store_big(uint8_t *at, uint32_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

static uint32_t load_big(const uint8_t *at, size_t size)
{
    uint32_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

static void add_frame(struct load_connection *connection, uint8_t type, uint8_t flags,
                      uint32_t stream, size_t size)
{
    uint8_t head[FRAME_HEAD] = {0, 0, 0, type, flags};
    store_big(head, (uint32_t)size, 3);
    store_big(head + 5, stream, 4);
    add(connection, head, sizeof head);
}

void grpc_open(struct load_connection *connection)
{
    uint8_t more[4];
    connection->stream = 1;
    add(connection, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    add_frame(connection, FRAME_SETTINGS, 0, 0, 0);
    store_big(more, 0x7fffffff - 65535, 4);
    add_frame(connection, FRAME_WINDOW, 0, 0, sizeof more);
    add(connection, more, sizeof more);
}

/* Indexed fields where RFC 7541 has them, literals that enter no table for the rest. */
static void add_headers(struct load_connection *connection, const char *path)
{
    static const uint8_t tail[] = "\x01\x05"
                                  "bench"
                                  "\x0f\x10\x10"
                                  "application/grpc"
                                  "\x00\x02"
                                  "te"
                                  "\x08"
                                  "trailers";
    uint8_t front[4] = {0x83, 0x86, 0x04, (uint8_t)strlen(path)};
    add_frame(connection, FRAME_HEADERS, FLAG_END_HEADERS, connection->stream,
              sizeof front + strlen(path) + sizeof tail - 1);
    add(connection, front, sizeof front);
    add(connection, path, strlen(path));
    add(connection, tail, sizeof tail - 1);
}

void grpc_add_request(struct load *load, struct load_connection *connection)
{
    bool is_get = load->settings.operation == LOAD_GET;
    size_t value_size = load->settings.value_size;
    uint8_t value_head[1 + VARINT_SIZE_MAX] = {0x12}; /* field 2, bytes */
    size_t value_head_size = 1 + varint_store(value_head + 1, value_size);
    char key[2 + KEY_SIZE + 1];
    snprintf(key, sizeof key, "\x0a\x10key:%012llu",
             (unsigned long long)load_key(load, connection));
    size_t size = sizeof key - 1 + (is_get ? 0 : value_head_size + value_size);
    uint8_t message_head[MESSAGE_HEAD] = {0};
    store_big(message_head + 1, (uint32_t)size, 4);
    add_headers(connection, is_get ? "/etcdserverpb.KV/Range" : "/etcdserverpb.KV/Put");
    add_frame(connection, FRAME_DATA, FLAG_END_STREAM, connection->stream, MESSAGE_HEAD + size);
    add(connection, message_head, sizeof message_head);
    add(connection, key, sizeof key - 1);
    if (!is_get) {
        add(connection, value_head, value_head_size);
        add(connection, load->value, value_size);
    }
    connection->stream += 2;
}

static void answer_matter(struct load_connection *connection, uint8_t type, uint8_t flags,
                          const uint8_t *payload, size_t size)
{
    if (flags & FLAG_ACK || (type != FRAME_SETTINGS && type != FRAME_PING))
        return;
    size_t echoed = type == FRAME_PING ? size : 0;
    add_frame(connection, type, FLAG_ACK, 0, echoed);
    add(connection, payload, echoed);
}

struct load_answer grpc_take_answer(struct load_connection *connection, struct slice in)
{
    struct load_answer answer = {0};
    size_t size = in.size < FRAME_HEAD ? 0 : load_big(in.at, 3);
    if (in.size < FRAME_HEAD + size || in.size < FRAME_HEAD)
        return answer;
    uint8_t type = in.at[3], flags = in.at[4];
    answer.size = FRAME_HEAD + size;
    if (type == FRAME_DATA) {
        connection->bodies++;
    } else if (type == FRAME_HEADERS && flags & FLAG_END_STREAM) {
        answer.is_reply = true;
        answer.is_error = connection->bodies == 0;
        connection->bodies -= !answer.is_error;
    } else if (type == FRAME_RESET || type == FRAME_GOAWAY) {
        answer.is_reply = answer.is_error = true;
    } else {
        answer_matter(connection, type, flags, in.at + FRAME_HEAD, size);
    }
    return answer;
}
