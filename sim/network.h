/* network.h - connections as two kernels and the wire between them see them. Private to sim/.
 *
 *     end 0 (dialled)  -- flow: bytes queued, in segments with arrival times -->  end 1 (listened)
 *                      <-- flow -------------------------------------------------
 *
 * A flow's bytes lie in one ring: first those that have arrived and wait to be read, then those
 * under way. The window is over both, so a reader that does not read stops the writer. An end lives
 * in the kernel: its process may be gone (END_GONE) while its last bytes, end or reset still
 * travel; what arrives at such an end is answered by a reset. A power cut makes ends GONE without a
 * word. A connection is freed when both ends are gone.
 *
 * Held: the first segment was due but the way is cut or the machine off. It goes on when the
 * sender's kernel tries again after that ends (200 ms, doubled each time, at most 120 s), or the
 * sender's side dies after give_up_ns. */
#ifndef HOLDFAST_SIM_NETWORK_H
#define HOLDFAST_SIM_NETWORK_H

#include "base/list.h"
#include "io/io.h"
#include "sim/agenda.h"

struct world;
struct machine;
struct stream;

enum segment_kind {
    SEGMENT_BYTES,
    SEGMENT_END,
    SEGMENT_RESET
};

struct segment {
    uint64_t at_ns;
    uint32_t size;
    enum segment_kind kind;
};

struct flow {
    uint8_t *ring; /* owned */
    size_t capacity, head;
    size_t size;              /* all bytes in the ring */
    size_t arrived;           /* the first of them */
    struct segment *segments; /* a ring; owned */
    size_t segment_head, segment_count, segment_capacity;
    uint64_t last_at_ns;    /* arrival of the newest segment: order is kept */
    uint64_t held_since_ns; /* while held */
    bool held, credit_held;
    bool full; /* the sender met the end of the window and has not heard of room since */
    struct happening arrive, credit, give_up;
};

enum end_state {
    END_ABSENT,  /* not made yet */
    END_DIALING, /* the client's side before the answer */
    END_WAITING, /* the server's side before it is accepted */
    END_OPEN,
    END_GONE,
};

struct end {
    struct connection *connection;
    struct machine *machine; /* NULL only when the dialled host is unknown */
    struct stream *stream;   /* OPEN and DIALING: the process's */
    enum end_state state;
    bool ended; /* the other side's end has arrived */
    bool reset; /* dead: its kernel knows of a reset or gave up */
    uint16_t port;
    struct flow out;
};

enum dial_stage {
    DIAL_ASK,    /* on its way to the listener */
    DIAL_ANSWER, /* on its way back */
    DIAL_REFUSE, /* likewise */
    DIAL_THANK,  /* the listener's side learns that it stands */
    DIAL_FAIL,   /* nobody of that name */
    DIAL_DONE,
};

struct connection {
    struct list link; /* in world->connections */
    struct world *world;
    struct end ends[2];
    bool loopback; /* both sides call themselves 127.0.0.1 */
    char dialled[IO_ADDRESS_SIZE];
    struct happening dial;
    enum dial_stage stage;
    uint64_t dial_from_ns;
    unsigned dial_tries;
    struct listener *listener; /* while end 1 is WAITING; borrowed */
    struct list waiting;       /* in it */
    bool is_acceptable;        /* the handshake is done */
};

struct listener {
    struct list link;    /* in the machine's */
    struct list waiting; /* connections, oldest first */
    struct stream *stream;
    unsigned waiting_count, acceptable_count;
    uint16_t port;
    bool loopback_only, any_host;
};

#define LISTENER_WAITING_MAX 1024

static inline struct end *end_other(struct end *end)
{
    struct connection *connection = end->connection;
    return &connection->ends[end == &connection->ends[0]];
}

/* ---- flow.c ---- */

void flow_init(struct flow *flow);
void flow_deinit(struct flow *flow, struct world *world);
size_t flow_room(const struct flow *flow); /* for the sender, by the window */
void flow_send(struct end *from, const struct slice *pieces, size_t count, size_t size);
void flow_send_mark(struct end *from, enum segment_kind kind); /* END or RESET, after the bytes */
size_t flow_take(struct end *to, uint8_t *into, size_t size);  /* reads what has arrived there */
void flow_discard_arrived(struct end *to);
void flow_discard_travelling(struct end *from);
void flow_silence(struct end *from); /* nothing of it will happen any more */
void flow_arrives(struct flow *flow);
void flow_has_credit(struct flow *flow);
void flow_gives_up(struct flow *flow);
void flow_goes_on(struct flow *flow);          /* its way was healed */
void flow_other_way_healed(struct flow *flow); /* the answers' way was */

/* ---- connection.c ---- */

uint64_t path_delay_ns(struct machine *from, struct machine *to);
bool path_is_cut(const struct machine *from, const struct machine *to);
struct connection *connection_dial(struct machine *from, struct machine *to, uint16_t port);
void connection_dials_on(struct connection *connection);
void connection_free(struct connection *connection);

/* The process lets go of this end. `reset`: as a kernel does when bytes were left unread. May free
 * the connection. */
void end_close(struct end *end, bool reset);
void end_vanish(struct end *end); /* its machine lost power. May free the connection */
void end_set_reset(
    struct end *end); /* it is dead from now on; its process is told, the other side not */
void listener_close(struct listener *listener); /* frees it; who waits is reset */
struct connection *listener_accept(struct listener *listener);
struct listener *listener_find(struct machine *machine, uint16_t port, bool loopback);
void machine_vanish_connections(struct machine *machine);
void machine_heal(struct machine *from, struct machine *to); /* what was held on this way goes on */

#endif
