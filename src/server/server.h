/* server.h - clients: connections, routing, forwarding, order of replies. Floor 8; used by admin/,
 * control/'s verbs through tables, worker/.
 *
 *   read -> parse -> admit, route -> run here | forward to the leader | hold -> gate -> release in
 * order -> one write
 *
 * Promises.
 * SERVER-1  Replies leave a connection in the order of its requests, each only when its gate is
 * open (REPLICA-1). SERVER-2  R16: a forwarded or held write is sent again only if its first
 * receiver proved that it did not append it; otherwise UNKNOWNOUTCOME. One connection keeps order
 * per partition. SERVER-3  A request that finds no leader is held for hold_ns, then TRYAGAIN: it
 * had and will have no effect. SERVER-4  Memory of a client is bounded: input by the request's
 * maximum and by what has arrived, replies by pausing its input. SERVER-5  No bytes from a client
 * stop the server or harm another client. SERVER-6  A request that had to wait (a hold, a refusal,
 * a process that was stopped) is not run once its client has left: no write comes later than its
 * client's next one elsewhere. SERVER-7  A request behind ONCE whose fate is unknown is sent again
 * until it is answered or has waited as long as a write may; it has one effect. SERVER-8  What a
 * turn copies for large replies is bounded for all clients together; they take turns, and small
 * requests beside them do not wait. Verbs that other floors serve are handed down as tables at
 * start (struct server_verb). */
#ifndef HOLDFAST_SERVER_SERVER_H
#define HOLDFAST_SERVER_SERVER_H

#include "base/status.h"
#include "command/command.h"
#include "control/control.h"
#include "io/io.h"
#include "node/node.h"
#include "peer/peer.h"

struct server;

struct server_call {
    struct server *server;
    struct node *node;
    struct io *io;
    void *owner; /* of the verb's table */
    const struct command *command;
    const struct slice *arguments; /* [0] is the name */
    size_t count;
    struct reply *reply;
    bool later; /* out: not now; nothing was replied, and the same request comes again */
    bool works; /* out, with later: it is under way, and bounds its own time: it is not given up */
    bool pass;  /* out, of a verb with execute: not served here, it goes on as a data command */
};

struct server_verb {
    /* `serve` is filled in by server_create. With both, serve is asked first and may pass it on.
     * With execute it is a data command, of the system
     * keyspace, that the table's owner brings along (COMMAND_SYSTEM). */
    struct command row;
    void (*serve)(struct server_call *call);
};

struct server_verbs {
    const struct server_verb *verbs;
    size_t count;
    void *owner;
};

struct server_options {
    uint64_t tag;            /* io tags used: tag .. tag + 2^32 - 1 */
    size_t clients_max;      /* 0: 10000 */
    size_t bulk_size_max;    /* longest argument that a client may send; 0: RESP_BULK_SIZE_MAX */
    uint64_t hold_ns;        /* 0: 1 s */
    uint64_t ack_timeout_ns; /* 0: 5 s */
    uint32_t faults;
    unsigned worker, workers; /* of this node; 0 workers: 1 */
    struct control *control;  /* borrowed: keyspaces and their partitions */
    /* CLIENT LIST of all workers, by whoever can ask them: false with call->later. NULL: of this
     * one. */
    bool (*tell_clients)(void *owner, struct server_call *call, struct buffer *out);
    void *clients_owner;
};

#define SERVER_VERBS_MAX 8

/* The command table of the built-in commands, the server's own verbs and those of `tables`. Both
 * are the caller's: *rows lives as long as the table and goes with memory_free. */
struct command_table *server_build_table(const struct server_verbs *tables, size_t count,
                                         struct command **rows);

struct server *server_create(struct io *io, struct node *node, const struct command_table *commands,
                             const struct server_verbs *tables, size_t count,
                             const struct server_options *options);
void server_destroy(struct server *server);

MUST_USE enum status server_listen(struct server *server, const char *address, char why[128]);
/* The port that it really listens on, as "host:port". */
void server_address(const struct server *server, char out[IO_ADDRESS_SIZE]);

bool server_handle_event(struct server *server, const struct io_event *event);
/* Runs what clients have sent; once after the events of a turn. */
void server_run(struct server *server);
/* What is read in this turn may have lain for `lag_ns`: the process was stopped, or the machine, or
 * too busy. Clients may have given up meanwhile; whoever has left is not served (SERVER-6). */
void server_begin_turn(struct server *server, uint64_t lag_ns);
void server_handle_peer(struct server *server, const struct peer_happening *happening);
/* Held requests are tried again, time-outs answered. */
void server_tick(struct server *server);
/* Opens gates, answers other nodes, writes to clients. Once at the end of a turn, before
 * node_flush. */
void server_release(struct server *server);
uint64_t server_deadline_ns(const struct server *server);
/* No new clients; true once nothing waits for an answer any more. */
bool server_drain(struct server *server);

/* Error replies by their first word; what is not in the list is the last, "other". */
#define SERVER_ERRORS 16
extern const char *const server_error_names[SERVER_ERRORS];

struct server_facts {
    uint64_t connections, connections_total, commands_total, errors_total;
    uint64_t errors[SERVER_ERRORS];
    uint64_t writes_acknowledged_total; /* requests that changed something, answered as leader */
    uint64_t forwarded_total, refused_total, unknown_total, held;
    uint64_t started_ns;
};
void server_facts(const struct server *server, struct server_facts *out);
/* The lines of CLIENT LIST for the clients of this worker. */
void server_tell_clients(struct server *server, struct buffer *out);
/* Bytes of replies that wait here for clients of other nodes. */
size_t server_staged_bytes(const struct server *server);
/* Bytes of replies that the last turn made. */
size_t server_portion_bytes(const struct server *server);

/* A line for the operator's log; false: none. */
#define SERVER_LINE_SIZE 200
bool server_take_line(struct server *server, char out[SERVER_LINE_SIZE]);
const struct command_table *server_commands(const struct server *server);

#endif
