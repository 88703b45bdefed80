/* inside.h - what the files of peer/ share. Private to peer/.
 *
 * A *connection* is one stream with its buffers; it sits in a slot of a fixed table, and the slot
 * with its generation is the io tag, so that an event gathered before a close cannot reach the next
 * tenant of the slot. A *link* (node, data or control) outlives its connections: it has at most
 * one. A connection without a link is a *stranger*. Nothing is told at once: a link that has
 * changed stands in `changed` until peer_next has told it. */
#ifndef HOLDFAST_PEER_INSIDE_H
#define HOLDFAST_PEER_INSIDE_H

#include "base/list.h"
#include "peer/peer.h"

#define SLOTS              1024 /* a power of two; 2 * PEER_PEERS_MAX + STRANGERS_MAX + some */
#define GENERATIONS        (65536 / SLOTS)
#define LISTENER_SLOT      0
#define STRANGERS_MAX      64
#define STRANGER_BYTES_MAX 4096
#define STRANGER_NS        (2000 * NS_PER_MS)
#define REFUSED_EVERY_NS   (50 * NS_PER_MS)
#define LINES_MAX          16
#define LINE_EVERY_NS      (1000 * NS_PER_MS)
#define REFUSALS_EVERY_NS  (60000 * NS_PER_MS)
#define NS_PER_MS          1000000ull

#define READ_SIZE    (256u << 10) /* the shared read buffer, and what a link may read in a turn */
#define FRAME_TARGET (256u << 10) /* an open frame past this is closed and another one begun */
#define KEPT_SIZE    (4u << 20)   /* an empty buffer larger than this gives its memory back */
#define OVERRUN_MAX  (16u << 20)  /* past a used-up room, for small messages that nobody counts */
#define FRAME_MARGIN (64u << 10)  /* headers of the messages that fill a room */

enum connection_state {
    CONNECTION_FREE = 0,
    CONNECTION_CONNECTING,
    CONNECTION_GREETING, /* open; the other side's hello is awaited */
    CONNECTION_UP,
};

struct connection {
    unsigned slot, generation;
    enum connection_state state;
    bool accepted;          /* by us; else we connected */
    bool is_local;          /* to another worker of this node: there is no stream */
    struct peer_link *link; /* NULL: a stranger */
    struct io_stream stream;
    uint64_t deadline_ns;       /* CONNECTING, GREETING: given up then */
    uint64_t heard_ns, sent_ns; /* UP: when bytes last came, went */
    bool ended;                 /* the io saw its end: what can be read is the rest */
    bool looked;                /* silent past its time, and looked at once more since */

    struct buffer partial; /* the beginning of a frame, between turns */
    size_t needed;         /* size of that frame, as far as it is known */
    struct list ready;     /* in peer_set.ready: may have bytes */

    struct buffer out; /* closed frames, then perhaps the open one */
    size_t sent;       /* of `out` */
    struct wire_frame frame;
    bool frame_is_open;
    bool blocked;      /* the stream is full; WRITABLE is awaited */
    struct list dirty; /* in peer_set.dirty: to be written by the next peer_flush */
};

struct peer_link {
    struct peer_node *node;
    enum wire_link kind;
    struct connection *connection; /* NULL: none */
    uint64_t attempt_ns, connect_at_ns;
    uint64_t incarnation; /* of the other side when it was last up; 0: never */
    unsigned refusals;    /* in a row: closed by the other side instead of a hello */
    uint64_t refused_ns;  /* when a refusal was last told */
    uint64_t resets;      /* it was up, and was lost */
    bool told_up, is_newer, is_refused, is_other_incarnation;
    struct list changed;
};

/* Frames on their way from one worker to another of the same node: one allocation. */
struct peer_post {
    struct list link; /* the receiver's, among what it has not read */
    unsigned worker;  /* the sender */
    enum wire_link kind;
    size_t size;
    uint8_t bytes[];
};

struct peer_node { /* a peer: one worker of a node */
    struct peer_id id;
    unsigned workers; /* as its node said last */
    bool is_gone;     /* its node has fewer workers now */
    char *address;    /* owned */
    char client_address[WIRE_ADDRESS_SIZE];
    struct peer_link links[2]; /* WIRE_LINK_DATA - 1, WIRE_LINK_CONTROL - 1 */
};

/* Lines for the operator that wait to be taken. Each costs a token; a token comes back each
 * LINE_EVERY_NS, so that a flood of strangers is not a flood of lines. */
struct lines {
    char text[LINES_MAX][PEER_LINE_SIZE];
    char taken[PEER_LINE_SIZE];
    unsigned first, count, tokens;
    uint64_t refilled_ns, dropped;
};

/* Connections of no link that were refused: the first is a line, those after it a count each
 * REFUSALS_EVERY_NS. */
struct refusals {
    uint64_t next_ns, count; /* count: since the last line */
    char last[PEER_LINE_SIZE / 2];
};

/* The connection that is being read. Messages are borrowed from `room` or `whole`, never from a
 * connection, so that losing one mid-way takes nothing from under the owner. */
struct reader {
    struct connection *from; /* NULL: none */
    struct slice bytes;      /* arrived and not yet taken apart */
    struct slice messages;   /* what is left of the current frame */
    size_t budget;           /* bytes that it may still read in this turn */
    bool drained;            /* the last read found the end of what was there */
    uint8_t *room;           /* READ_SIZE bytes */
    struct buffer whole;     /* a frame too large for `room` */
    struct peer_post *post;  /* owned: `bytes` are of it; NULL: not of a post */
};

struct peer_set {
    struct io *io;
    struct peer_options options; /* defaults filled in; client_address is `client_address` */
    char client_address[WIRE_ADDRESS_SIZE];
    struct io_stream listener;
    size_t node_count, stranger_count;
    struct peer_node *nodes[PEER_PEERS_MAX];
    unsigned slots_used;                  /* all those past it were never taken */
    struct connection connections[SLOTS]; /* [LISTENER_SLOT] is never used */
    struct list ready, dirty, changed, posts;
    struct reader reader;
    struct lines lines;
    struct refusals refusals;
    uint64_t armed_ns; /* deadline of the timer; UINT64_MAX: none */
    bool timer_fired;
};

/* set.c */
struct peer_node *set_node(const struct peer_set *set, struct peer_id id); /* NULL: not known */
struct connection *set_up_connection(const struct peer_set *set, struct peer_id id,
                                     enum wire_link link);
/* A hello said how many workers a known node has. */
void set_workers(struct peer_set *set, struct node_id id, unsigned workers);

/* connection.c */
struct connection *connection_accept(struct peer_set *set, struct io_stream stream);
struct connection *connection_open(struct peer_set *set, enum connection_state state);
void connection_connected(struct peer_set *set, struct connection *connection, enum status status);
/* Checks the first message of a connection. Afterwards it is up, or gone with a line. */
void connection_greet(struct peer_set *set, struct connection *connection,
                      const struct wire_message *message);
/* Closes it; its link, if any, hears of it. */
void connection_lose(struct peer_set *set, struct connection *connection);
/* The same, with a line "<who>: <why>". */
void connection_refuse(struct peer_set *set, struct connection *connection, const char *why);
bool connection_is_stranger(const struct connection *connection);
void link_connect(struct peer_set *set, struct peer_link *link);
void link_close(struct peer_set *set, struct peer_link *link);
bool link_is_up(const struct peer_link *link);
bool link_connects(const struct peer_set *set, const struct peer_link *link);
const char *link_name(enum wire_link kind);
void link_changed(struct peer_set *set, struct peer_link *link);

/* local.c */
/* A connection that worker 0 accepted and whose hello asks for this worker. */
void local_adopt(struct peer_set *set, const struct io_event *event);
/* True: the hello asks for another worker, which has the connection now. */
bool local_give(struct peer_set *set, struct connection *connection,
                const struct wire_hello *hello);
void local_write(struct peer_set *set, struct connection *connection);
void local_receive(struct peer_set *set, struct peer_post *post);
/* The connection that a post belongs to; NULL: it is down. */
struct connection *local_connection(const struct peer_set *set, const struct peer_post *post);
void local_deinit(struct peer_set *set);

/* read.c */
void connection_mark_ready(struct peer_set *set, struct connection *connection);
void reader_forget(struct reader *reader, const struct connection *connection);
void reader_release(struct reader *reader); /* what was handed out is dealt with */

/* write.c */
struct wire_frame *connection_frame(struct peer_set *set, struct connection *connection);
size_t connection_waiting(const struct connection *connection);
/* Closes the open frame and writes what waits. It may lose the connection. */
void connection_write(struct peer_set *set, struct connection *connection, uint64_t now_ns);
void empty_buffer(struct buffer *buffer);

/* deadline.c */
void deadline_want(struct peer_set *set, uint64_t deadline_ns);
void deadlines_run(struct peer_set *set);

/* line.c */
void line_say(struct peer_set *set, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *line_take(struct lines *lines); /* NULL: none */
void line_refusal(struct peer_set *set, const char *address, const char *why);
/* The count, when it is due. Answers when it is, UINT64_MAX: there is none. */
uint64_t line_refusals(struct peer_set *set, uint64_t now_ns);

#endif
