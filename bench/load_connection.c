/* One connection: its batch goes out with one write, its replies are counted as they come. */
#include "base/memory.h"
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_SIZE = 64 << 10,
    CONNECTION_BYTES_MAX = 1 << 28
};

/* Still blocking: +OK or nothing. */
static bool select_database(int fd, uint64_t database)
{
    char text[64], answer[5];
    int size = snprintf(text, sizeof text, "*2\r\n$6\r\nSELECT\r\n$%d\r\n%llu\r\n",
                        database > 9 ? 2 : 1, (unsigned long long)database);
    return write(fd, text, (size_t)size) == size &&
           recv(fd, answer, sizeof answer, MSG_WAITALL) == sizeof answer &&
           memcmp(answer, "+OK\r\n", sizeof answer) == 0;
}

static int open_socket(const struct load_target *target, uint64_t database)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(target->port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, target->host, &address.sin_addr) != 1 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) ||
        (database && !select_database(fd, database)) || fcntl(fd, F_SETFL, O_NONBLOCK)) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

bool load_connect(struct load *load, struct load_connection *connection, size_t index)
{
    const struct load_target *target = &load->settings.targets[index % load->settings.target_count];
    connection->fd = open_socket(target, load->settings.database);
    if (connection->fd < 0) {
        load_fail(load, "cannot connect to %s:%u, or not select database %llu there", target->host,
                  target->port, (unsigned long long)load->settings.database);
        return false;
    }
    buffer_init(&connection->in, CONNECTION_BYTES_MAX);
    buffer_init(&connection->out, CONNECTION_BYTES_MAX);
    connection->numbers = memory_allocate(load->settings.pipeline * sizeof *connection->numbers);
    if (load->settings.protocol == LOAD_GRPC)
        grpc_open(connection);
    /* Edges: one registration serves reading and, rarely, writing that did not fit. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event);
    return true;
}

void load_disconnect(struct load_connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    buffer_deinit(&connection->in);
    buffer_deinit(&connection->out);
    memory_free(connection->numbers);
}

static void send_out(struct load *load, struct load_connection *connection)
{
    struct buffer *out = &connection->out;
    while (connection->sent < out->size) {
        ssize_t size =
            write(connection->fd, out->at + connection->sent, out->size - connection->sent);
        if (size < 0 && errno == EAGAIN)
            return;
        if (size < 0) {
            load_fail(load, "write: %s", strerror(errno));
            return;
        }
        connection->sent += (size_t)size;
    }
    connection->sent = 0;
    buffer_reset(out);
}

/* ---- batches ---- */

static bool has_more(struct load *load)
{
    const struct load_settings *settings = &load->settings;
    if (settings->operation == LOAD_VERIFY) {
        while (load->next_number < load->acked_size && !load->acked[load->next_number])
            load->next_number++;
        return load->next_number < load->acked_size;
    }
    return !settings->operations || load->issued < settings->operations;
}

static bool has_wait(const struct load_settings *settings)
{
    return settings->copies &&
           (settings->operation == LOAD_SETWAIT || settings->operation == LOAD_UNIQ);
}

uint64_t load_key(struct load *load, const struct load_connection *connection)
{
    switch (load->settings.operation) {
    case LOAD_UNIQ:
    case LOAD_VERIFY: return connection->numbers[connection->number_count - 1];
    case LOAD_FILL: return load->issued;
    default: return random_below(&load->random, load->settings.keys);
    }
}

void load_start_batch(struct load *load, struct load_connection *connection)
{
    connection->number_count = connection->number_next = 0;
    connection->set_answered = false;
    for (uint64_t i = 0; i < load->settings.pipeline && !load->stopping && has_more(load); i++) {
        bool is_numbered =
            load->settings.operation == LOAD_UNIQ || load->settings.operation == LOAD_VERIFY;
        if (is_numbered)
            connection->numbers[connection->number_count++] = load->next_number++;
        if (load->settings.protocol == LOAD_GRPC)
            grpc_add_request(load, connection);
        else
            resp_add_request(load, connection);
        if (has_wait(&load->settings))
            resp_add_wait(load, connection);
        load->issued++;
        connection->awaited++;
    }
    if (!connection->awaited)
        return;
    connection->started_ns = load_now_ns();
    send_out(load, connection);
}

/* ---- answers ---- */

static void note_error(struct load *load, struct slice text)
{
    size_t size = 0;
    while (size < text.size && size + 1 < sizeof load->last_error && text.at[size] >= ' ')
        size++;
    load->errors++;
    memcpy(load->last_error, text.at, size);
    load->last_error[size] = 0;
}

static void remember_acked(struct load *load, uint64_t number)
{
    if (number >= load->acked_size) {
        uint64_t size = load->acked_size ? load->acked_size : 1 << 20;
        while (size <= number)
            size *= 2;
        load->acked = memory_resize(load->acked, size);
        memset(load->acked + load->acked_size, 0, size - load->acked_size);
        load->acked_size = size;
    }
    load->acked[number] = 1;
    load->acknowledged++;
}

/* True: the request is settled; false: its WAIT is still to answer. */
static bool settle_pair(struct load *load, struct load_connection *connection,
                        const struct load_answer *answer, bool *succeeded)
{
    if (!connection->set_answered) {
        connection->set_answered = true;
        connection->set_succeeded = *succeeded;
        return false;
    }
    connection->set_answered = false;
    bool enough = *succeeded && answer->integer >= (int64_t)load->settings.copies;
    load->too_few_copies += !enough;
    *succeeded = enough && connection->set_succeeded;
    return true;
}

static void settle(struct load *load, struct load_connection *connection,
                   const struct load_answer *answer, uint64_t now_ns)
{
    bool succeeded = !answer->is_error;
    if (has_wait(&load->settings) && !settle_pair(load, connection, answer, &succeeded))
        return;
    if (load->settings.operation == LOAD_GET)
        load->hits += succeeded && !answer->is_null;
    if (load->settings.operation == LOAD_VERIFY)
        load->missing += !succeeded || answer->integer != 1;
    if (load->settings.operation == LOAD_UNIQ && succeeded)
        remember_acked(load, connection->numbers[connection->number_next]);
    connection->number_next++;
    connection->awaited--;
    load->done++;
    latency_count(&load->latency, now_ns - connection->started_ns);
}

static void take_answers(struct load *load, struct load_connection *connection)
{
    struct slice in = slice_of_buffer(&connection->in);
    uint64_t now_ns = load_now_ns();
    for (;;) {
        struct load_answer answer = load->settings.protocol == LOAD_GRPC
                                        ? grpc_take_answer(connection, in)
                                        : resp_take_answer(in);
        if (!answer.size)
            break;
        if (answer.is_error)
            note_error(load, slice_of(in.at, answer.size));
        if (answer.is_reply && connection->awaited)
            settle(load, connection, &answer, now_ns);
        in = slice_of(in.at + answer.size, in.size - answer.size);
    }
    buffer_consume(&connection->in, connection->in.size - in.size);
}

static void receive(struct load *load, struct load_connection *connection)
{
    struct buffer *in = &connection->in;
    size_t room;
    ssize_t size;
    do {
        if (buffer_reserve(in, READ_SIZE)) {
            load_fail(load, "a reply of more than %d bytes", CONNECTION_BYTES_MAX);
            return;
        }
        room = in->capacity - in->size;
        size = read(connection->fd, in->at + in->size, room);
        if (size > 0)
            in->size += (size_t)size;
    } while (size > 0 && (size_t)size == room);
    if (size == 0 || (size < 0 && errno != EAGAIN))
        load_fail(load, "the server closed a connection: %s", size ? strerror(errno) : "end");
    take_answers(load, connection);
}

void load_on_ready(struct load *load, struct load_connection *connection, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(load, connection);
    if (!connection->awaited && !load->stopping)
        load_start_batch(load, connection);
    else if (connection->out.size)
        send_out(load, connection);
}
