#include "tests/http/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(0, bind(fd, (struct sockaddr *)&address, size));
    assert_int_equal(0, getsockname(fd, (struct sockaddr *)&address, &size));
    close(fd);
    return ntohs(address.sin_port);
}

struct http *start(struct http_facts *facts, uint16_t *port)
{
    char address[32], why[128] = "";
    struct http *http = NULL;
    enum status status = STATUS_IN_USE;
    for (unsigned tries = 0; tries < 20 && status == STATUS_IN_USE; tries++) {
        *port = free_port();
        snprintf(address, sizeof address, "127.0.0.1:%u", *port);
        status = http_start(address, facts, &http, why);
    }
    assert_int_equal(STATUS_OK, status);
    return http;
}

void ask(uint16_t port, const char *request, char answer[2048])
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 8};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(0, connect(fd, (struct sockaddr *)&address, sizeof address));
    assert_int_equal((int)strlen(request), send(fd, request, strlen(request), MSG_NOSIGNAL));
    size_t used = 0;
    ssize_t got;
    while (used < 2047 && (got = recv(fd, answer + used, 2047 - used, 0)) > 0)
        used += (size_t)got;
    answer[used] = 0;
    close(fd);
}

int code_of(uint16_t port, const char *method, const char *path)
{
    char request[256], answer[2048];
    int code = 0;
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             method, path);
    ask(port, request, answer);
    assert_int_equal(1, sscanf(answer, "HTTP/1.1 %d", &code));
    return code;
}
