/* real_address.c - "host:port" to socket addresses and back. IPv6 hosts stand in brackets. */
#include "io/real_private.h"

#include "base/memory.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

struct parts {
    char host[IO_ADDRESS_SIZE];
    char port[6];
    bool in_brackets;
};

static bool take_port(const char *text, struct parts *out)
{
    size_t size = strlen(text);
    if (size == 0 || size >= sizeof out->port || strspn(text, "0123456789") != size)
        return false;
    memcpy(out->port, text, size + 1);
    unsigned number = 0;
    for (size_t i = 0; i < size; i++)
        number = number * 10 + (unsigned)(text[i] - '0');
    return number <= 65535;
}

static bool split(const char *address, struct parts *out)
{
    size_t size = strnlen(address, IO_ADDRESS_SIZE);
    if (size == IO_ADDRESS_SIZE)
        return false;
    const char *colon = strrchr(address, ':');
    if (!colon || !take_port(colon + 1, out))
        return false;
    const char *host = address;
    size_t host_size = (size_t)(colon - address);
    out->in_brackets = host_size >= 2 && host[0] == '[' && host[host_size - 1] == ']';
    if (out->in_brackets) {
        host++;
        host_size -= 2;
    }
    memcpy(out->host, host, host_size);
    out->host[host_size] = 0;
    if (out->in_brackets)
        return strchr(out->host, ':') != NULL;
    return strpbrk(out->host, ":[] \t\r\n/") == NULL; /* a bare IPv6 address would be ambiguous */
}

static void copy_found(const struct addrinfo *found, struct addresses **out)
{
    struct addresses *addresses = memory_zeroed(1, sizeof *addresses);
    for (; found && addresses->count < REAL_ADDRESSES_MAX; found = found->ai_next) {
        if (found->ai_family != AF_INET && found->ai_family != AF_INET6)
            continue;
        memcpy(&addresses->list[addresses->count].at, found->ai_addr, found->ai_addrlen);
        addresses->list[addresses->count++].size = found->ai_addrlen;
    }
    if (addresses->count == 0) {
        memory_free(addresses);
        addresses = NULL;
    }
    *out = addresses;
}

bool address_resolve(const char *address, bool names, bool passive, struct addresses **out)
{
    struct parts parts;
    struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const char *host = parts.host;
    if (!split(address, &parts))
        return false;
    if (parts.host[0] == 0 || strcmp(parts.host, "*") == 0) {
        if (!passive)
            return false;
        host = "0.0.0.0";
    }
    wanted.ai_flags = AI_NUMERICSERV;
    if (!names || parts.in_brackets)
        wanted.ai_flags |= AI_NUMERICHOST;
    *out = NULL;
    int error = getaddrinfo(host, parts.port, &wanted, &found);
    if (error)
        return !parts.in_brackets;
    copy_found(found, out);
    freeaddrinfo(found);
    return true;
}

void address_format(const struct sockaddr_storage *address, char out[IO_ADDRESS_SIZE])
{
    char host[INET6_ADDRSTRLEN];
    out[0] = 0;
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(out, IO_ADDRESS_SIZE, "%s:%u", host, ntohs(v4->sin_port));
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        if (mapped)
            inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], host, sizeof host);
        else
            inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(out, IO_ADDRESS_SIZE, mapped ? "%s:%u" : "[%s]:%u", host, ntohs(v6->sin6_port));
    }
}
