/* client.h - the server on a port of the kernel's choice, and one request at a time. */
#ifndef HOLDFAST_TEST_HTTP_CLIENT_H
#define HOLDFAST_TEST_HTTP_CLIENT_H

#include "http/http.h"

#define SECOND_NS 1000000000ull

uint64_t now_ns(void); /* the clock of io */
struct http *start(struct http_facts *facts, uint16_t *port);
/* The whole answer; "" when the connection ended without one. */
void ask(uint16_t port, const char *request, char answer[2048]);
int code_of(uint16_t port, const char *method, const char *path);

#endif
