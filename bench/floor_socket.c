#include "base/memory.h"
#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    CLIENT_INPUT = 64 << 10,
    PEER_INPUT = 4 << 20
};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int floor_socket_listen(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 512))
        fatal("cannot listen on port %u", port);
    return fd;
}

int floor_socket_connect(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        fatal("cannot connect to port %u", port);
    return fd;
}

struct floor_socket *floor_socket_add(struct floor_sockets *sockets, int fd, enum floor_kind kind)
{
    struct floor_socket *socket = memory_zeroed(1, sizeof *socket);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = socket};
    int one = 1;
    socket->fd = fd;
    socket->kind = kind;
    socket->in_capacity = kind == FLOOR_PEER ? PEER_INPUT : CLIENT_INPUT;
    socket->in = memory_allocate(socket->in_capacity);
    if (kind == FLOOR_CLIENT || kind == FLOOR_PEER)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_ctl(sockets->epoll, EPOLL_CTL_ADD, fd, &event);
    return socket;
}

bool floor_socket_read(struct floor_socket *socket)
{
    ssize_t size =
        read(socket->fd, socket->in + socket->in_size, socket->in_capacity - socket->in_size);
    if (size <= 0) {
        if (size == 0 || errno != EAGAIN)
            close(socket->fd);
        return false;
    }
    socket->in_size += (size_t)size;
    return true;
}

void floor_socket_consume(struct floor_socket *socket, size_t size)
{
    socket->in_size -= size;
    memmove(socket->in, socket->in + size, socket->in_size);
}

static void await_room(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLOUT};
    if (poll(&wanted, 1, 10000) != 1)
        fatal("a connection takes nothing for ten seconds");
}

void floor_socket_write(struct floor_socket *socket, const void *head, size_t head_size,
                        const void *body, size_t body_size)
{
    struct iovec parts[2] = {{(void *)head, head_size}, {(void *)body, body_size}};
    size_t left = head_size + body_size;
    while (left) {
        ssize_t size = writev(socket->fd, parts, 2);
        if (size < 0 && errno == EAGAIN) {
            await_room(socket->fd);
            continue;
        }
        if (size < 0)
            return;
        left -= (size_t)size;
        for (int i = 0; i < 2; i++) {
            size_t gone = (size_t)size < parts[i].iov_len ? (size_t)size : parts[i].iov_len;
            parts[i].iov_base = (uint8_t *)parts[i].iov_base + gone;
            parts[i].iov_len -= gone;
            size -= (ssize_t)gone;
        }
    }
}

void floor_sockets_answer(struct floor_sockets *sockets, struct floor_socket *socket,
                          const void *bytes, size_t size)
{
    if (socket->out_size + size > socket->out_capacity) {
        socket->out_capacity = 2 * (socket->out_size + size);
        socket->out = memory_resize(socket->out, socket->out_capacity);
    }
    memcpy(socket->out + socket->out_size, bytes, size);
    socket->out_size += size;
    if (!socket->is_dirty) {
        socket->is_dirty = true;
        if (sockets->dirty_count == FLOOR_DIRTY_MAX)
            floor_sockets_flush(sockets);
        sockets->dirty[sockets->dirty_count++] = socket;
    }
}

static void flush(struct floor_socket *socket)
{
    size_t sent = 0;
    socket->is_dirty = false;
    while (sent < socket->out_size) {
        ssize_t size = write(socket->fd, socket->out + sent, socket->out_size - sent);
        if (size < 0 && errno == EAGAIN)
            await_room(socket->fd);
        else if (size < 0)
            break;
        else
            sent += (size_t)size;
    }
    socket->out_size = 0;
}

void floor_sockets_flush(struct floor_sockets *sockets)
{
    for (size_t i = 0; i < sockets->dirty_count; i++)
        flush(sockets->dirty[i]);
    sockets->dirty_count = 0;
}
