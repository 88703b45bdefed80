/* peer.h - links to other workers: who is connected, what waits to be sent, what has arrived. Floor
 * 4; used by node/, server/, worker/.
 *
 * A peer is a worker of a node. Each pair of workers of two nodes has two links: data (appends,
 * accepts, forwards) and control (heartbeats, votes), so that a beat never queues behind megabytes.
 * The node with the lower id connects, the other accepts; both may send. Worker 0 listens for its
 * node and gives the connection to the worker that the hello asks for. How many workers a node has
 * its hellos say; a group lives on worker (group id mod that number). Workers of one node have the
 * same links, made of messages (io_post) instead of bytes on a stream. A link is up once both
 * hellos have been checked: cluster, ids, version. Messages are added to the open frame of a link
 * during a turn; peer_flush closes and writes all frames, one write for each link. What arrives is
 * handed out as messages.
 *
 *     connector   CONNECTING --CONNECTED: sends hello--> GREETING --hello checked--> UP
 *     acceptor    ACCEPTED: GREETING, a stranger --hello checked: sends hello--> UP
 *
 * Promises.
 * PEER-1 a message is delivered at most once and in the order of its link, or the link goes down
 * and everybody hears of it (PEER_DOWN).
 * PEER-2 memory for each link is bounded (peer_room): what does not fit is not sent, the owner asks
 * again later. In the other direction a link holds at most one incomplete frame, and of that what
 * has arrived.
 * PEER-3 a half-open link is noticed: idle messages each idle_ns, down after silence_ns; after
 * healing a link is up again within one retry_ns + connect time (which connect_timeout_ns bounds).
 * Who is refused again and again (connected, and closed instead of greeted) makes growing pauses,
 * up to 64 retry_ns.
 * PEER-4 bytes from a stranger (wrong cluster, id, version, malformed) close that connection with
 * one line for the operator (a flood of lines is thinned out and counted), and harm nothing else: a
 * stranger holds 4 KiB and 2 s at most, there are never more than 64 of them.
 * Non-promises: delivery. Sources: DESIGN section 6 hot-path decisions; R5, R6; bug classes 14, 45.
 */
#ifndef HOLDFAST_PEER_PEER_H
#define HOLDFAST_PEER_PEER_H

#include "base/ids.h"
#include "base/status.h"
#include "io/io.h"
#include "wire/wire.h"

#define PEER_PEERS_MAX   448
#define PEER_WORKERS_MAX 16 /* of one node */
#define PEER_LINE_SIZE   200

struct peer_set;

struct peer_id {
    struct node_id node;
    unsigned worker;
};
static inline struct peer_id peer_at(struct node_id node, unsigned worker)
{
    return (struct peer_id){node, worker};
}
static inline bool peer_id_equal(struct peer_id a, struct peer_id b)
{
    return node_id_equal(a.node, b.node) && a.worker == b.worker;
}

struct peer_options {
    struct cluster_id cluster;
    struct node_id self;
    unsigned worker, workers; /* which of its node this is; 0 workers: 1 */
    uint64_t incarnation;
    const char *client_address; /* ours, for the hello */
    uint64_t tag;               /* io tags used: tag .. tag + 65535 */
    unsigned timer;             /* io timer slot it may use */
    uint64_t idle_ns, silence_ns, retry_ns,
        connect_timeout_ns; /* 0: defaults 200 ms, 1.2 s, 100 ms, 500 ms */
    size_t buffered_max;    /* per link and direction; 0: 64 MiB over the largest frame */
};

/* `client_address` is copied. */
struct peer_set *peer_create(struct io *io, const struct peer_options *options);
void peer_destroy(struct peer_set *peers); /* NULL is fine */

/* Listens for other nodes, with `tag` of the options of a set that is made later. Who connects
 * before peer_adopt waits unread; of more than 64 the oldest is closed. *out is the caller's.
 * Errors and `why` as io_listen. */
struct peer_listener;
MUST_USE enum status peer_listen(struct io *io, uint64_t tag, const char *address,
                                 struct peer_listener **out, char why[128]);
bool peer_listener_handle_event(struct peer_listener *listener, const struct io_event *event);
void peer_listener_destroy(struct peer_listener *listener); /* NULL is fine */
/* Takes the listener, and who waits there: hellos of nodes that are not known yet are refused. */
void peer_adopt(struct peer_set *peers, struct peer_listener *listener);
/* "host:port" where it listens (the port that the kernel chose); "" when it does not. */
void peer_listen_address(const struct peer_set *peers, char out[IO_ADDRESS_SIZE]);

/* Makes `node` known at `peer_address`; links to each of its workers are kept from now on. Again
 * with another address: reconnects. Our own id is passed over; so is a peer past PEER_PEERS_MAX,
 * with a line. */
void peer_add(struct peer_set *peers, struct node_id node, const char *peer_address);
/* Its links are closed at once; no happening of it comes afterwards. */
void peer_remove(struct peer_set *peers, struct node_id node);

/* Another worker of this node takes part, or does no more: the links to it go up or down. */
void peer_set_local(struct peer_set *peers, unsigned worker, bool up);

/* Where `node` has `group`, if it has it: worker 0 until a hello has said how many there are. */
struct peer_id peer_of(const struct peer_set *peers, struct node_id node, struct group_id group);
bool peer_is_up(const struct peer_set *peers, struct peer_id peer, enum wire_link link);
/* How often links of that kind to the workers of `node` were up and were lost. */
uint64_t peer_resets(const struct peer_set *peers, struct node_id node, enum wire_link link);
/* Where that node serves clients, from its hello; "" when unknown. */
const char *peer_client_address(const struct peer_set *peers, struct node_id node);

/* The open frame of a link for this turn; NULL when the link is down. Messages are added with
 * wire_add_*. Whoever adds much asks peer_room first; small messages are taken past that, but where
 * far too much waits (16 MiB past the room) the link is taken down here. One message may not pass
 * WIRE_FRAME_SIZE_MAX. Borrowed until the next call of a function that may write or read:
 * peer_flush, peer_next, peer_handle_event; ask again rather than keep it. */
struct wire_frame *peer_frame(struct peer_set *peers, struct peer_id peer, enum wire_link link);
/* How many more bytes the link takes now (buffered_max less what waits, and never more than still
 * fits into the open frame); 0 when down. */
size_t peer_room(const struct peer_set *peers, struct peer_id peer, enum wire_link link);
/* Bytes that wait on the link: who sends much that has no hurry keeps this small. */
size_t peer_waiting(const struct peer_set *peers, struct peer_id peer, enum wire_link link);

/* Closes the frames and writes them; what the kernel does not take waits for WRITABLE. Once at the
 * end of a turn, and again whenever it pays. */
void peer_flush(struct peer_set *peers);

/* Every peer that is known, in no order; NULL: none of that number. Borrowed for the moment. */
const struct peer_id *peer_known(const struct peer_set *peers, size_t i);

/* True if the event was one of its own. Then peer_next hands out what it brought. */
bool peer_handle_event(struct peer_set *peers, const struct io_event *event);

enum peer_happening_kind {
    PEER_MESSAGE = 1,
    PEER_UP,
    PEER_DOWN,
    PEER_REFUSED /* connection refused: nobody listens there now */,
    PEER_LINE,
    PEER_HEARD /* it had nothing to say, and said so */
};
struct peer_happening {
    enum peer_happening_kind kind;
    struct node_id node;
    unsigned worker; /* of that node: see peer_at */
    enum wire_link link;
    bool other_incarnation;      /* UP: not the start of the node that this link knew before */
    struct wire_message message; /* MESSAGE: borrowed until the next peer_next */
    struct slice behind;         /* MESSAGE: what comes next of the same frame; the same */
    const char *line; /* LINE: for the operator's log, borrowed until the next peer_next */
};
/* False: nothing more now. Call until false after each batch of events: it is here that streams are
 * read (at most 256 KiB of each link in a turn) and that deadlines are looked at. */
bool peer_next(struct peer_set *peers, struct peer_happening *out);

void peer_validate(const struct peer_set *peers); /* asserts all relations; tests, simulator */

#endif
