/* resp.h - RESP2, RESP3 and inline text <-> arguments and replies. Pure. Floor 1; used by command/,
 * server/, programs, sim.
 *
 * Requests come in pieces; the parser remembers how far it got, so that no byte is looked at twice
 * however a request is cut. Arguments are offsets into the caller's bytes while a request is
 * incomplete and become slices when it is whole. Replies are written as abstract events and
 * rendered at once for the protocol of the connection, into a buffer of the caller's.
 *
 * Promises. RESP-1 no input makes the parser assert, loop or allocate past its maxima. RESP-2 what
 * the parser consumed is never needed again; pieces and whole give the same arguments. RESP-3 every
 * rendered reply is well-formed for its protocol. Sources: Redis protocol specification 2 and 3;
 * ECOSYSTEM 1.3. */
#ifndef HOLDFAST_RESP_RESP_H
#define HOLDFAST_RESP_RESP_H

#include "base/bytes.h"
#include "base/status.h"

#define RESP_ARGUMENTS_MAX    (1u << 20)
#define RESP_BULK_SIZE_MAX    (512u << 20)
#define RESP_REQUEST_SIZE_MAX (544u << 20)
#define RESP_INLINE_SIZE_MAX  (64u << 10)

struct resp_parser {
    size_t position; /* bytes of the unconsumed input already looked at */
    size_t line;     /* where the header, bulk or inline text under way begins */
    int64_t bulk_size_max;
    size_t request_size_max;
    bool skipping;             /* the rest of a request that is too large is not looked at */
    uint64_t skip_left;        /* bytes of the bulk under way that are still to go unseen */
    int64_t wanted, bulk_size; /* arguments of the request under way (0: none); size of the bulk
                                  under way (-1: not read) */
    size_t count, capacity;    /* arguments found so far; room in the arrays */
    size_t *offsets, *sizes;   /* owned */
    struct slice *arguments;   /* owned; valid after OK until the next call */
    struct buffer inline_text; /* unquoted inline arguments */
    const char *error;         /* after INVALID: the text behind "ERR Protocol error: " */
    const char *too_large;     /* after TOO_LARGE: the error reply */
    char error_text[32];       /* where an error that quotes the input is written */
};

/* A longer argument is refused as soon as its size is read, and a request of more than twice as
 * many bytes when it becomes that long; at most RESP_BULK_SIZE_MAX, 0: that. */
void resp_parser_init(struct resp_parser *parser, size_t bulk_size_max);
void resp_parser_deinit(struct resp_parser *parser);

void resp_parser_restart(struct resp_parser *parser); /* as new, keeps its memory */

/* Looks at `input`, which begins at the first unconsumed byte and holds at least what it held at
 * the last call. OK: one request, parser->arguments[0 .. count-1], borrowed from `input` (inline
 * ones from the parser); *consumed bytes may go after use; count 0: an empty line or *0, skip it.
 * AGAIN: incomplete; *consumed is 0 (but for what is skipped); *need is a lower bound of the whole
 * size, through the bulk under way, for reserving at most what has been announced. TOO_LARGE: the
 * request under way is refused, parser->too_large says why; *consumed bytes may go at once, the
 * rest goes by AGAIN. INVALID: the stream is lost; parser->error says why. */
MUST_USE enum status resp_parse(struct resp_parser *parser, struct slice input, size_t *consumed,
                                size_t *need);

/* ---- replies ---- */

/* A NULL reply swallows everything. */
struct reply {
    struct buffer *out; /* borrowed */
    int protocol;       /* 2 or 3, or REPLY_KEPT */
    bool failed;        /* an error was written (statistics, MULTI) */
    bool overflowed; /* `out` reached its maximum: it holds a torn reply, nothing was added since;
                        the caller closes */
};

void reply_status(struct reply *reply, const char *text); /* +text */
void reply_ok(struct reply *reply);
/* -text: begins with its prefix ("ERR ...", "WRONGTYPE ..."). CR and LF inside become spaces. */
void reply_error(struct reply *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void reply_integer(struct reply *reply, int64_t value);
void reply_bulk(struct reply *reply, struct slice bytes);
void reply_text(struct reply *reply, const char *text); /* a bulk */
void reply_null(struct reply *reply);                   /* $-1 or _ */
void reply_null_array(struct reply *reply);             /* *-1 or _ */
void reply_boolean(struct reply *reply, bool value);    /* :1 or #t */
void reply_double(struct reply *reply, double value);
void reply_verbatim(struct reply *reply, struct slice text); /* bulk or =txt: */
/* Containers: `count` items follow (a map: count pairs, flat in RESP2). */
void reply_array(struct reply *reply, size_t count);
void reply_map(struct reply *reply, size_t count);
void reply_set(struct reply *reply, size_t count);
void reply_push(struct reply *reply, size_t count);
/* `count` pairs, each begun with reply_pair: flat in RESP2, arrays of two in RESP3. */
void reply_pairs(struct reply *reply, size_t count);
void reply_pair(struct reply *reply);

/* The protocol of a reply that is kept and told later, maybe over another protocol: the bytes of
 * RESP3, and 'N' for a null array, 'P' for pairs, 'p' for one. They stand in entries and snapshots:
 * letters may be added, none changes its meaning. */
#define REPLY_KEPT 4
/* Writes what was kept. Bytes that cannot be read become an error. */
void reply_kept(struct reply *reply, struct slice kept);

/* ---- the other side: for the command line, the simulator's clients, the bench ---- */

/* Appends a request as an array of bulks. */
void resp_request(struct buffer *out, const struct slice *arguments, size_t count);

/* Size of the first whole reply in `input` (nested ones included), AGAIN when incomplete, INVALID
 * when malformed. */
MUST_USE enum status resp_reply_size(struct slice input, size_t *size);

/* Walks a whole reply: one item at a time, depth first. */
struct resp_item {
    char type;          /* + - : $ * % ~ > _ # , ( = ! ; a RESP2 null is '_' */
    struct slice bytes; /* text of + - $ = ! ( , */
    int64_t integer;    /* : # and the count of * % ~ > */
};
MUST_USE enum status resp_item_take(struct slice *input, struct resp_item *item);

#endif
