#include "holdfast/ask.h"

#include "base/memory.h"
#include "holdfast/verbs.h"
#include "resp/resp.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void ask_init(struct ask *ask, enum ask_kind kind, const char *address, const char *question)
{
    *ask = (struct ask){.kind = kind,
                        .address = address,
                        .question = question,
                        .status = STATUS_AGAIN,
                        .socket = -1};
    buffer_init(&ask->answer, ASK_ANSWER_SIZE_MAX);
    buffer_init(&ask->request, 4096);
    buffer_init(&ask->input, ASK_ANSWER_SIZE_MAX);
}

void ask_deinit(struct ask *ask)
{
    if (ask->socket >= 0)
        close(ask->socket);
    buffer_deinit(&ask->answer);
    buffer_deinit(&ask->request);
    buffer_deinit(&ask->input);
}

static void end(struct ask *ask, enum status status, const char *why)
{
    if (ask->socket >= 0)
        close(ask->socket);
    ask->socket = -1;
    ask->status = status;
    snprintf(ask->why, sizeof ask->why, "%s", why);
}

/* ---- connecting ---- */

/* getaddrinfo takes 99999, and connects somewhere else. */
static bool has_port(const char *address)
{
    const char *colon = strrchr(address, ':');
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    return digits && digits <= 5 && !colon[1 + digits] && strtol(colon + 1, NULL, 10) <= 65535;
}

static struct addrinfo *resolve(const char *address)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    size_t size = colon ? (size_t)(colon - address) : 0;
    if (size == 0 || size >= sizeof host)
        return NULL;
    bool bracketed = address[0] == '[' && address[size - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(size - 2 * bracketed), address + bracketed);
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    return getaddrinfo(host, colon + 1, &wanted, &found) == 0 ? found : NULL;
}

static void write_request(struct ask *ask)
{
    if (ask->kind == ASK_COMMAND) {
        struct slice word = slice_of_text(ask->question);
        resp_request(&ask->request, &word, 1);
        return;
    }
    if (ask->kind == ASK_WORDS) {
        struct slice hello[] = {slice_of_text("HELLO"), slice_of_text("3")};
        resp_request(&ask->request, hello, 2);
        resp_request(&ask->request, ask->words, ask->word_count);
        return;
    }
    char text[512];
    int size = snprintf(text, sizeof text, "GET %.100s HTTP/1.0\r\nHost: %.100s\r\n\r\n",
                        ask->question, ask->address);
    (void)!buffer_append(&ask->request, text, (size_t)size); /* fits */
}

static void begin(struct ask *ask)
{
    struct addrinfo *found = has_port(ask->address) ? resolve(ask->address) : NULL;
    if (!found) {
        ask->misnamed = !has_port(ask->address);
        end(ask, STATUS_INVALID,
            has_port(ask->address) ? "no such host" : "it is not HOST:PORT, the port up to 65535");
        return;
    }
    write_request(ask);
    ask->socket =
        socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, found->ai_protocol);
    if (ask->socket < 0 ||
        (connect(ask->socket, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS))
        end(ask, STATUS_CLOSED, strerror(errno));
    freeaddrinfo(found);
}

static bool finish_connect(struct ask *ask)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(ask->socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error) {
        end(ask, STATUS_CLOSED, strerror(error));
        return false;
    }
    ask->connected = true;
    return true;
}

/* ---- the answer ---- */

/* What stands before the reply is the answer to HELLO. */
static enum status find_reply(const struct ask *ask, struct slice *input, size_t *size)
{
    enum status status = resp_reply_size(*input, size);
    if (status || ask->kind != ASK_WORDS)
        return status;
    *input = slice_of(input->at + *size, input->size - *size);
    return resp_reply_size(*input, size);
}

static void take_reply(struct ask *ask)
{
    struct slice input = slice_of_buffer(&ask->input), whole;
    struct resp_item item;
    size_t size = 0;
    enum status status = find_reply(ask, &input, &size);
    whole = input;
    if (status == STATUS_AGAIN)
        return;
    if (!status)
        status = resp_item_take(&input, &item);
    if (status) {
        end(ask, STATUS_INVALID, "it does not speak the Redis protocol");
        return;
    }
    bool refused = item.type == '-' || item.type == '!';
    struct slice kept = item.bytes;
    if (ask->kind == ASK_WORDS && !refused)
        kept = slice_of(whole.at, size);
    else if (!strchr("+-$=!", item.type))
        status = STATUS_INVALID;
    if (status || buffer_append(&ask->answer, kept.at, kept.size)) {
        end(ask, STATUS_INVALID, "an answer of another kind");
        return;
    }
    end(ask, refused ? STATUS_REFUSED : STATUS_OK, refused ? "it answered an error" : "");
}

static void take_page(struct ask *ask)
{
    if (ask->input.size < strlen("HTTP/1.1 200"))
        return;
    bool good = memcmp(ask->input.at + strlen("HTTP/1.1 "), "200", 3) == 0;
    end(ask, good ? STATUS_OK : STATUS_REFUSED, good ? "" : "not 200");
}

static void receive(struct ask *ask)
{
    if (buffer_reserve(&ask->input, 4096)) {
        end(ask, STATUS_INVALID, "the answer is too long");
        return;
    }
    size_t room = ask->input.capacity - ask->input.size;
    ssize_t got = recv(ask->socket, ask->input.at + ask->input.size, room, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        end(ask, STATUS_CLOSED, got ? strerror(errno) : "it closed the connection");
        return;
    }
    ask->input.size += (size_t)got;
    if (ask->kind == ASK_PAGE)
        take_page(ask);
    else
        take_reply(ask);
}

static void send_rest(struct ask *ask)
{
    ssize_t wrote =
        send(ask->socket, ask->request.at + ask->sent, ask->request.size - ask->sent, MSG_NOSIGNAL);
    if (wrote >= 0)
        ask->sent += (size_t)wrote;
    else if (errno != EAGAIN && errno != EINTR)
        end(ask, STATUS_CLOSED, strerror(errno));
}

static void step(struct ask *ask)
{
    if (!ask->connected && !finish_connect(ask))
        return;
    if (ask->sent < ask->request.size)
        send_rest(ask);
    else
        receive(ask);
}

/* ---- all of them ---- */

void ask_begin(struct ask *asks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        begin(&asks[i]);
}

bool ask_go_on(struct ask *asks, size_t count, int timeout_ms)
{
    struct pollfd *polled = memory_zeroed(count ? count : 1, sizeof *polled);
    uint64_t deadline = now_ms() + (uint64_t)timeout_ms;
    bool open;
    for (;;) {
        open = false;
        for (size_t i = 0; i < count; i++) {
            bool sends = asks[i].sent < asks[i].request.size;
            polled[i] = (struct pollfd){.fd = asks[i].socket, .events = sends ? POLLOUT : POLLIN};
            open |= asks[i].socket >= 0;
        }
        uint64_t now = now_ms();
        if (!open || now >= deadline)
            break;
        if (poll(polled, count, (int)(deadline - now)) <= 0)
            continue;
        for (size_t i = 0; i < count; i++)
            if (polled[i].revents && asks[i].socket >= 0)
                step(&asks[i]);
    }
    memory_free(polled);
    return !open;
}

void ask_stop(struct ask *asks, size_t count, int timeout_ms)
{
    char why[80];
    snprintf(why, sizeof why, "no answer within %d ms", timeout_ms);
    for (size_t i = 0; i < count; i++)
        if (asks[i].socket >= 0)
            end(&asks[i], STATUS_AGAIN, why);
}

void ask_all(struct ask *asks, size_t count, int timeout_ms)
{
    ask_begin(asks, count);
    (void)ask_go_on(asks, count, timeout_ms);
    ask_stop(asks, count, timeout_ms);
}
