/* bench-floor leader|follower synced|written|early PORT LOG [FOLLOWER_PORT...]: prints "port N" and
 * serves until killed. A leader alone is one node; with two followers it is three. */
#include "floor.h"
#include "base/checksum.h"
#include "base/memory.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

enum {
    ARGUMENTS_MAX = 4
};

struct floor {
    bool leads, is_early;
    struct floor_sockets sockets;
    struct floor_ring ring;
    struct floor_log log;
    struct floor_store store;
    struct floor_socket *listener, *wake, *followers[FLOOR_FOLLOWERS_MAX], *leader;
    size_t follower_count;
    uint64_t accepted[FLOOR_FOLLOWERS_MAX]; /* last index that each follower has on disk */
    uint64_t last, durable, commit, applied;
    uint64_t batched; /* last index that was sent and handed to the log */
    uint64_t told;    /* a follower's: last index that its leader knows to be durable here */
    struct floor_socket *waiting[FLOOR_PENDING_MAX]; /* by index: whom the answer goes to */
};

/* A frame: entries, and how far the leader has committed. */
struct floor_frame {
    uint64_t size, commit;
};

/* ---- leader: requests ---- */

static void append(struct floor *floor, struct floor_socket *client, struct floor_text key,
                   struct floor_text value)
{
    struct floor_entry head = {.size = (uint32_t)(key.size + value.size),
                               .key_size = (uint32_t)key.size,
                               .index = ++floor->last,
                               .term = 1};
    uint8_t *place = floor_ring_extend(&floor->ring, sizeof head + head.size);
    memcpy(place + sizeof head, key.at, key.size);
    memcpy(place + sizeof head + key.size, value.at, value.size);
    head.checksum = checksum(place + sizeof head, head.size);
    memcpy(place, &head, sizeof head);
    floor->waiting[head.index % FLOOR_PENDING_MAX] = client;
}

static void answer_get(struct floor *floor, struct floor_socket *client, struct floor_text key)
{
    struct floor_text value;
    char head[32];
    if (!floor_store_get(&floor->store, key, &value)) {
        floor_sockets_answer(&floor->sockets, client, "$-1\r\n", 5);
        return;
    }
    int size = snprintf(head, sizeof head, "$%zu\r\n", value.size);
    floor_sockets_answer(&floor->sockets, client, head, (size_t)size);
    floor_sockets_answer(&floor->sockets, client, value.at, value.size);
    floor_sockets_answer(&floor->sockets, client, "\r\n", 2);
}

/* `mark`, digits, CR LF; NULL: not all of it is here. */
static const uint8_t *take_number(const uint8_t *at, const uint8_t *end, uint8_t mark, size_t *out)
{
    *out = 0;
    if (at >= end || *at != mark)
        return NULL;
    for (at++; at < end && *at != '\r'; at++)
        *out = *out * 10 + (size_t)(*at - '0');
    return at + 2 <= end ? at + 2 : NULL;
}

/* Bytes of one request at `at`; 0: not all of it is here. */
static size_t take_request(const uint8_t *at, const uint8_t *end,
                           struct floor_text arguments[ARGUMENTS_MAX], size_t *count)
{
    const uint8_t *start = at;
    at = take_number(at, end, '*', count);
    if (!at || *count > ARGUMENTS_MAX)
        return 0;
    for (size_t i = 0; i < *count; i++) {
        at = take_number(at, end, '$', &arguments[i].size);
        if (!at || arguments[i].size + 2 > (size_t)(end - at))
            return 0;
        arguments[i].at = at;
        at += arguments[i].size + 2;
    }
    return (size_t)(at - start);
}

static void on_client(struct floor *floor, struct floor_socket *client)
{
    struct floor_text arguments[ARGUMENTS_MAX];
    size_t used = 0, count, size;
    if (!floor_socket_read(client))
        return;
    const uint8_t *end = client->in + client->in_size;
    while ((size = take_request(client->in + used, end, arguments, &count))) {
        used += size;
        if (count == 3)
            append(floor, client, arguments[1], arguments[2]);
        else if (count == 2)
            answer_get(floor, client, arguments[1]);
        else
            floor_sockets_answer(&floor->sockets, client, "+PONG\r\n", 7);
    }
    floor_socket_consume(client, used);
}

/* ---- leader: replication ---- */

static void on_follower(struct floor *floor, struct floor_socket *follower)
{
    size_t number = follower == floor->followers[0] ? 0 : 1, used = 0;
    if (!floor_socket_read(follower))
        return;
    for (; used + sizeof(uint64_t) <= follower->in_size; used += sizeof(uint64_t))
        memcpy(&floor->accepted[number], follower->in + used, sizeof(uint64_t));
    floor_socket_consume(follower, used);
}

/* What one of one or two of three have on disk. */
static uint64_t quorum_of(const struct floor *floor)
{
    uint64_t own = floor->durable, a = floor->accepted[0], b = floor->accepted[1];
    if (floor->follower_count == 0 || floor->is_early)
        return own;
    uint64_t more = a > b ? a : b, less = a > b ? b : a;
    uint64_t with_own = own < more ? own : more;
    return with_own > less ? with_own : less;
}

static void start_log(struct floor *floor)
{
    struct floor_ring *ring = &floor->ring;
    if (ring->end == ring->batched || floor_log_is_busy(&floor->log))
        return;
    const uint8_t *batch = floor_ring_place(ring, ring->batched);
    if (floor->log.is_synced) {
        floor_log_start(&floor->log, batch, (size_t)(ring->end - ring->batched), floor->last);
    } else {
        floor_log_write(&floor->log, batch, (size_t)(ring->end - ring->batched));
        floor->durable = floor->last;
    }
    ring->batched = ring->end;
    floor->batched = floor->last;
}

static void lead_on(struct floor *floor)
{
    struct floor_ring *ring = &floor->ring;
    struct floor_frame frame = {ring->end - ring->batched, floor->commit};
    bool settled = floor->follower_count == 0 || floor->commit >= floor->batched;
    if (!frame.size || !settled || floor_log_is_busy(&floor->log))
        return;
    for (size_t i = 0; i < floor->follower_count; i++)
        floor_socket_write(floor->followers[i], &frame, sizeof frame,
                           floor_ring_place(ring, ring->batched), frame.size);
    start_log(floor);
}

/* ---- follower ---- */

static void take_frame(struct floor *floor, const uint8_t *entries, size_t size)
{
    uint8_t *place = floor_ring_extend(&floor->ring, size);
    memcpy(place, entries, size);
    for (size_t used = 0; used < size; floor->last++) {
        struct floor_entry head;
        memcpy(&head, place + used, sizeof head);
        if (checksum(place + used + sizeof head, head.size) != head.checksum)
            fatal("a damaged entry");
        used += sizeof head + head.size;
    }
}

static void on_leader(struct floor *floor, struct floor_socket *leader)
{
    size_t used = 0;
    struct floor_frame frame;
    floor->leader = leader;
    if (!floor_socket_read(leader))
        exit(0);
    while (leader->in_size - used >= sizeof frame) {
        memcpy(&frame, leader->in + used, sizeof frame);
        if (leader->in_size - used - sizeof frame < frame.size)
            break;
        take_frame(floor, leader->in + used + sizeof frame, frame.size);
        floor->commit = frame.commit;
        used += sizeof frame + frame.size;
    }
    floor_socket_consume(leader, used);
}

static void tell_leader(struct floor *floor)
{
    if (floor->durable > floor->told && floor->leader) {
        floor->told = floor->durable;
        floor_socket_write(floor->leader, &floor->told, sizeof floor->told, NULL, 0);
    }
}

/* ---- the turn ---- */

static void apply(struct floor *floor, uint64_t upto)
{
    while (floor->applied < upto) {
        const uint8_t *place = floor_ring_place(&floor->ring, floor->ring.applied);
        struct floor_entry head;
        memcpy(&head, place, sizeof head);
        const uint8_t *key = place + sizeof head;
        floor_store_set(&floor->store, (struct floor_text){key, head.key_size},
                        (struct floor_text){key + head.key_size, head.size - head.key_size});
        floor->ring.applied += sizeof head + head.size;
        floor->applied++;
        if (floor->leads)
            floor_sockets_answer(&floor->sockets,
                                 floor->waiting[floor->applied % FLOOR_PENDING_MAX], "+OK\r\n", 5);
    }
}

static void on_event(struct floor *floor, struct floor_socket *socket)
{
    if (socket->kind == FLOOR_LISTENER) {
        int fd = accept4(socket->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            floor_socket_add(&floor->sockets, fd, floor->leads ? FLOOR_CLIENT : FLOOR_PEER);
    } else if (socket->kind == FLOOR_WAKE) {
        floor->durable = floor_log_take_durable(&floor->log);
    } else if (socket->kind == FLOOR_CLIENT) {
        on_client(floor, socket);
    } else if (floor->leads) {
        on_follower(floor, socket);
    } else {
        on_leader(floor, socket);
    }
}

static void turn(struct floor *floor)
{
    struct epoll_event events[FLOOR_EVENTS_MAX];
    int count = epoll_wait(floor->sockets.epoll, events, FLOOR_EVENTS_MAX, -1);
    for (int i = 0; i < count; i++)
        on_event(floor, events[i].data.ptr);
    if (floor->leads) {
        floor->commit = quorum_of(floor);
        lead_on(floor);
        floor->commit = quorum_of(floor);
        apply(floor, floor->commit);
        floor_sockets_flush(&floor->sockets);
    } else {
        start_log(floor);
        tell_leader(floor);
        apply(floor, floor->commit < floor->durable ? floor->commit : floor->durable);
    }
}

static void start(struct floor *floor, const char *level, uint16_t port, const char *log_path)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    floor->sockets.epoll = epoll_create1(EPOLL_CLOEXEC);
    floor_ring_open(&floor->ring);
    floor_store_open(&floor->store);
    floor_log_open(&floor->log, log_path, strcmp(level, "synced") == 0);
    floor->is_early = strcmp(level, "early") == 0;
    floor->wake = floor_socket_add(&floor->sockets, floor->log.wake_fd, FLOOR_WAKE);
    floor->listener = floor_socket_add(&floor->sockets, floor_socket_listen(port), FLOOR_LISTENER);
    getsockname(floor->listener->fd, (struct sockaddr *)&address, &size);
    printf("port %u\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int count, char **words)
{
    if (count < 5 || count > 5 + FLOOR_FOLLOWERS_MAX) {
        fprintf(stderr, "bench-floor leader|follower synced|written|early PORT LOG "
                        "[FOLLOWER_PORT...]\n");
        return 2;
    }
    struct floor *floor = memory_zeroed(1, sizeof *floor);
    signal(SIGPIPE, SIG_IGN);
    floor->leads = strcmp(words[1], "leader") == 0;
    for (int i = 5; i < count; i++)
        floor->follower_count++;
    start(floor, words[2], (uint16_t)strtoul(words[3], NULL, 10), words[4]);
    for (size_t i = 0; i < floor->follower_count; i++) {
        int fd = floor_socket_connect((uint16_t)strtoul(words[5 + i], NULL, 10));
        floor->followers[i] = floor_socket_add(&floor->sockets, fd, FLOOR_PEER);
    }
    for (;;)
        turn(floor);
}
