/* What the server has done, in numbers. */
#include "server/inside.h"

const char *const server_error_names[SERVER_ERRORS] = {
    "ERR",       "WRONGTYPE", "TRYAGAIN", "UNKNOWNOUTCOME", "MISCONF",   "NOREPLICAS",
    "EXECABORT", "CROSSSLOT", "NOPROTO",  "NOAUTH",         "WRONGPASS", "READONLY",
    "UNBLOCKED", "WRITELOST", "STALE",    "other",
};

void server_note_error(struct server *server, struct slice reply)
{
    size_t size = 0, kind = 0;
    while (size + 1 < reply.size && reply.at[size + 1] >= 'A' && reply.at[size + 1] <= 'Z')
        size++;
    struct slice word = slice_of(reply.at + 1, size);
    while (kind < SERVER_ERRORS - 1 &&
           !(reply.size && reply.at[0] == '-' &&
             slice_equal(word, slice_of_text(server_error_names[kind]))))
        kind++;
    server->facts.errors_total++;
    server->facts.errors[kind]++;
}

void server_facts(const struct server *server, struct server_facts *out)
{
    *out = server->facts;
}
