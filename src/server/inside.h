/* inside.h - private to server/. */
#ifndef HOLDFAST_SERVER_INSIDE_H
#define HOLDFAST_SERVER_INSIDE_H

#include "base/list.h"
#include "resp/resp.h"
#include "server/server.h"

#define READ_SIZE         (64u << 10)
#define ARRIVALS_MAX      STORE_PREFETCH_MAX
#define ARRIVED_MAX       (4 * READ_SIZE) /* bytes of one look at the clients */
#define REPLY_SIZE_MAX    (1u << 30)
#define REPLY_FORWARD_MAX (256u << 20)
#define INPUT_SIZE_MAX    (576u << 20)
#define UNSENT_PAUSE      (1u << 20) /* replies that wait in a client before its input is paused */
#define PENDING_PAUSE     4096 /* requests under way of one client before its input is paused */
#define DOUBT_NS          100000000u /* what may have lain for longer may be of who has left */
#define FORWARDS_FIRST    16 /* requests of one client on their way before any reply has come */
#define FORWARDS_MIN      8  /* and however large the replies are */
#define REMOTE_BUCKETS    4096
#define CLIENT_NAME_SIZE  64
#define ROUTE_WHY_SIZE    256

enum pending_kind {
    PENDING_READY,     /* reply known */
    PENDING_GATED,     /* reply known, gate shut */
    PENDING_FORWARDED, /* another node answers */
    PENDING_REROUTE,   /* refused by that node: to be routed again (R16) */
    PENDING_WAIT,      /* for copies: WAIT */
    PENDING_REFUSED,   /* remote: to be refused when its turn comes */
};

/* What a WAIT asks for. */
struct wait {
    bool strict, aof;       /* QUORUM or ALL; WAITAOF */
    unsigned copies, local; /* strict: of all replicas; else of the others, and of the leader */
    uint64_t index, term;   /* of the newest write before it; index 0: none */
    uint64_t limit_ns, deadline_ns;
};

struct scatter; /* scatter.c */

/* A write that was acknowledged, maybe before its commit; index 0: none. */
struct token {
    struct group_id group;
    uint64_t term, index;
};
struct tokens {
    struct token *list; /* owned */
    size_t count, capacity;
};

struct pending {
    enum pending_kind kind;
    bool writes; /* the command may write: its loss is UNKNOWNOUTCOME */
    bool once;   /* it stands behind ONCE: it may be sent again (SERVER-7) */
    bool unsure; /* it was sent before, and may have run then */
    bool staged; /* the reply lies in session.out in order; else in `own` */
    uint8_t database;
    int protocol;
    size_t size;       /* of the staged reply */
    struct buffer own; /* reply, when not staged */
    struct replica_gate gate;
    struct wait *wait; /* owned; PENDING_WAIT */
    struct group_id group;
    uint64_t since_ns;
    uint64_t again_ns;     /* refused: not before, unless another leader is known by then */
    struct peer_id target; /* forwarded to */
    uint8_t ack;           /* the client's: wire_ack */
    struct token token;    /* what the connection was last told of in this group */
    uint32_t epoch;
    uint64_t sequence;
    struct buffer request;   /* forwarded, or ONCE: kept until answered */
    struct scatter *scatter; /* of a request to several partitions it is one part; never staged */
    size_t part;             /* which */
};

/* The newest write of a session to each group, as far as it was made at this node; index 0: it was
 * forwarded. A table by group, at most half of it used. */
struct written {
    struct group_id group;
    bool used;
    uint64_t index, term;
};
struct writes {
    struct written *at; /* owned */
    size_t count, capacity;
};

/* What WATCH saw, where the leader is. */
struct watched {
    uint64_t hash, version;
};
struct watches {
    uint64_t epoch, term;
    struct watched *list; /* owned */
    size_t count, capacity;
};

/* A line of requests with their replies in order: a client's client, or one that another node
 * forwards. */
struct session {
    struct list busy; /* in server.busy while anything is pending */
    struct pending *ring;
    size_t head, count, capacity;
    size_t unstaged; /* pendings whose reply is not in `out` */
    struct buffer out;
    size_t sent, released; /* out: [0, sent) written, [sent, released) may be written */
    struct watches watches;
    struct writes writes; /* for WAIT */
    struct token told;    /* the newest that WRITELOST was answered for */
    bool remote;
    bool large; /* its last reply was, and so may be its next */
};

/* What a client has queued since MULTI, and what it watches. */
struct transaction {
    bool open, failed;
    struct buffer
        requests; /* for each: how many arguments, the arguments, as varint size + bytes */
    size_t count, words;
    uint64_t epoch, watched; /* of WATCH: see transaction.c */
};

/* What a client has on its way to one node: in the order of (epoch, sequence). */
struct lane {
    struct peer_id target;
    bool broken; /* its link was lost: the next forward begins an epoch */
    uint32_t epoch;
    uint64_t next_sequence;
    size_t count;    /* on their way in this epoch */
    uint64_t groups; /* theirs, a bit for each id modulo 64; all 0 when none is on its way */
};

struct client {
    struct session session;
    struct io_stream stream;
    uint32_t index, generation;
    bool late;  /* its requests come too late to run: TRYAGAIN, and never an effect after its end */
    bool ended; /* it left while they waited */
    bool at_end;  /* its end was read while they waited */
    bool doubted; /* it may have come, with its first request, long before it was accepted */
    bool used, has_arrived, closing, paused, wants_write, held, dirty_listed;
    bool deferred; /* held until a later turn has room for what it asks for */
    bool works;    /* what it waits for is under way, and bounds its own time */
    uint64_t held_since_ns;
    struct resp_parser parser;
    struct transaction transaction;
    uint8_t ack; /* wire_ack; CONTRACT: none was asked for */
    struct tokens tokens;
    struct buffer input;
    int protocol;
    uint64_t keyspace;      /* that SELECT opened */
    uint8_t database;       /* in it; other keyspaces than `default` have only 0 */
    uint64_t select_ticket; /* of the SELECT that waits for the catalogue; 0: none does */
    bool settled;           /* it stays with this worker */
    bool moves;             /* as soon as what it sent is put aside */
    unsigned moves_to;
    uint64_t id;
    char name[CLIENT_NAME_SIZE], library[CLIENT_NAME_SIZE], library_version[CLIENT_NAME_SIZE];
    struct list dirty, held_link;
    uint32_t epoch;     /* the newest of its lanes' */
    struct lane *lanes; /* owned */
    size_t lane_count;
    size_t forwards_max; /* on their way at once; rises with each reply, falls with a large one */
    uint64_t opened_ns, heard_ns; /* heard: when something last arrived; 0: nothing yet */
};

/* Clients that spoke HTTP: the first is a line, those after it a count each minute. */
struct misdirected {
    uint64_t next_ns, count; /* count: since the last line */
    char address[IO_ADDRESS_SIZE];
};

/* What one client sent, in the server's read buffer until it runs. */
struct arrival {
    struct client *client;
    uint32_t generation;
    size_t offset, size;
};

/* The leader's side of a forwarded client. */
struct remote {
    struct session session;
    struct peer_id origin;
    uint64_t id;
    uint32_t epoch;
    uint64_t expected;
    bool refusing;
    struct buffer aside; /* requests that wait for a later turn, see portion.c */
    struct list waits;   /* in portion.remotes while there are any */
    struct remote *next;
};

struct leader_seen {
    struct group_id group;
    struct node_id leader;
    uint64_t since_ns, looked_ns;
};

/* What a turn has copied for replies, and who waits for a later one (portion.c). */
struct portion {
    size_t bytes, last; /* of this turn, of the last one */
    size_t clients;     /* of this node: held, and `deferred` */
    struct list remotes;
    uint64_t lately_ns;   /* until then large replies were made lately */
    bool serves;          /* those who wait have their moment */
    bool progress, turns; /* one of them ran in this turn; who of them comes first changes */
};

struct server {
    struct io *io;
    struct node *node;
    const struct command_table *commands;
    struct server_options options;
    struct server_verbs tables[SERVER_VERBS_MAX];
    size_t table_count;
    struct io_stream listener;
    bool listening, draining;
    struct client **clients; /* by index; NULL or unused slots are free */
    uint32_t client_capacity;
    uint32_t free_hint;
    struct list busy, dirty, held;
    struct remote **remotes;                     /* REMOTE_BUCKETS chains */
    uint8_t *read_buffer;                        /* ARRIVED_MAX bytes, `arrived` of them used */
    size_t arrived, arrival_count, arrival_next; /* next: the one after that which is parsed */
    struct arrival arrivals[ARRIVALS_MAX];
    struct resp_parser ahead; /* looks at requests behind the one that runs */
    size_t forwards_ahead;    /* of so many the keys were fetched ahead */
    uint64_t next_client_id;
    uint64_t turn_ns, lag_ns; /* this turn's beginning; how long what it reads may have lain then */
    uint64_t doubt_until_ns;
    uint64_t moved, copied, written; /* of turn and log when gates were last looked at */
    uint64_t next_walk_ns;
    uint64_t release_ns;         /* the clock, read after everything of this turn has run */
    struct leader_seen *leaders; /* of groups that requests went to; owned */
    bool acks_wanted;     /* a reply waits for another number of copies than its commit needs */
    uint64_t heard_at_ns; /* when `heard` was counted: once a turn */
    unsigned heard;
    struct group_id heard_group;
    bool fresh; /* something became pending since the last release */
    struct portion portion;
    struct server_facts facts;
    struct misdirected misdirected;
    struct slice *forward_arguments; /* scratch for received requests */
    size_t forward_arguments_capacity;
    struct buffer forward_request; /* scratch */
};

/* session.c */
#define SESSION_DROPPED "ERR the keyspace was dropped while the request was under way"
void session_init(struct session *session, bool remote);
void session_deinit(struct session *session);
struct pending *session_at(struct session *session, size_t i); /* 0: oldest */
/* Opens a reply: it is written into what session_reply answers, then session_close_reply makes it
 * pending or ready. */
struct reply session_reply(struct session *session, struct pending *scratch, int protocol);
struct pending *session_push(struct server *server, struct session *session,
                             const struct pending *pending);
void session_pop(struct session *session);
/* A write ran: WAIT will ask for it, and its gate may want more copies than its commit needs. */
void session_note_write(struct server *server, struct session *session, struct pending *pending);
/* The newest write to a group; index 0 or NULL: none that was made here. */
void session_note_group(struct session *session, struct group_id group, uint64_t index,
                        uint64_t term);
const struct written *session_written(const struct session *session, struct group_id group);
void session_set_reply(struct pending *pending, struct slice bytes);
/* Gives each staged reply bytes of its own. */
void session_unstage(struct session *session);
void session_fail(struct server *server, struct session *session, struct pending *pending,
                  const char *error);
/* Moves open replies from the front to [.., released) or to the other node. */
void session_release(struct server *server, struct session *session);

/* input.c */
void client_event(struct server *server, struct client *client, const struct io_event *event);
void client_parse(struct server *server, struct client *client);
void client_run_arrivals(struct server *server);

/* client.c */
struct client *client_accept(struct server *server, struct io_stream stream); /* NULL: no room */
void client_close(struct server *server, struct client *client);
void client_mark_dirty(struct server *server, struct client *client);
void client_write(struct server *server, struct client *client);
bool client_has_enough(const struct client *client); /* to do, before more is read */
void client_set_pause(struct server *server, struct client *client);
void client_end_input(struct server *server, struct client *client);
struct client *client_of_session(struct session *session);
struct client *client_find(struct server *server, uint64_t session_id);
uint64_t client_session_id(const struct client *client);

enum routed {
    ROUTED_DONE,
    ROUTED_HOLD
};

/* A request that goes to the leader and that server/ runs there (COMMAND_ROUTED). */
struct routed_call {
    const struct command *command;
    const struct slice *arguments;
    size_t count;
    struct reply *reply;
};

/* routed.c */
/* The client's answer is this error; nothing is sent anywhere. */
enum routed routed_answer(struct server *server, struct client *client, const char *error);
/* As route_run, once the replica is known to serve. */
bool routed_run(struct server *server, struct session *session, struct pending *pending,
                const struct routed_call *call);
/* Where the client is: checks EXEC and WATCH, and sends what the leader is to run. */
enum routed routed_start(struct server *server, struct client *client,
                         const struct command *command, const struct slice *arguments,
                         size_t count);
/* False: too few replicas can be reached for this write; an error was replied (SHORT refuse). */
bool routed_has_copies(struct server *server, const struct replica *replica,
                       const struct pending *pending, struct reply *reply);

/* server.c */
/* How long what is handled now may have lain unread, and whether that was long (SERVER-6). */
uint64_t server_age_ns(const struct server *server);
bool server_is_in_doubt(const struct server *server);

/* portion.c */
struct portion_request {
    struct group_id group;
    uint8_t database;
    const struct command *command;
    const struct slice *arguments;
    size_t count;
};
void portion_note(struct server *server, struct session *session, size_t size); /* of a reply */
/* It is to run in a later turn; a client of this node is held until then. */
bool portion_defers(struct server *server, const struct session *session,
                    const struct portion_request *request);
void portion_wait(struct server *server, struct client *client, bool waits);
/* The same for a client of another node: true, its request stands in line. */
bool portion_takes_aside(struct server *server, struct remote *remote,
                         const struct wire_forward *forward);
/* Once a turn: those who stand in line, the others first next time. */
void portion_serve(struct server *server);
bool portion_is_due(const struct server *server); /* the next turn goes on at once */
void portion_end_turn(struct server *server);

/* token.c */
#define TOKEN_LOST "WRITELOST"
void tokens_deinit(struct tokens *tokens);
struct token token_of(const struct client *client, struct group_id group);
/* The newer one stays. */
void token_note(struct client *client, const struct token *token);
void token_forget(struct client *client, const struct token *token);
/* Of a reply that goes out; index 0: none. */
struct token token_of_write(const struct pending *pending);
/* At the leader: what the connection was told of is cut, and it has not heard so yet. */
bool token_is_lost(struct session *session, const struct replica *replica,
                   const struct pending *pending);

/* wait.c */
bool wait_run(struct server *server, struct session *session, struct pending *pending,
              struct replica *replica, const struct routed_call *call);
/* True: the reply is there. */
bool wait_settle(struct server *server, struct session *session, struct pending *pending);
/* How long the answer may take by its own wish. */
uint64_t wait_patience_ns(const struct command *command, const struct slice *arguments,
                          size_t count);

/* once.c */
/* Checks the form, and sends it as a data command. */
enum routed once_start(struct server *server, struct client *client, const struct command *command,
                       const struct slice *arguments, size_t count);
/* From ONCE to the request behind it; false: malformed, or a command that this version lacks. */
bool once_unwrap(const struct server *server, struct routed_call *call,
                 struct store_once_request *request);
/* A client's request whose fate is unknown: true, it will be sent again; false: it is no ONCE, or
 * has waited as long as a write may. */
bool once_goes_again(struct server *server, struct session *session, struct pending *pending);

/* transaction.c */
enum routed transaction_exec(struct server *server, struct client *client,
                             const struct command *command);
enum routed transaction_watch(struct server *server, struct client *client,
                              const struct command *command, const struct slice *arguments,
                              size_t count);
void transaction_init(struct transaction *transaction);
void transaction_deinit(struct transaction *transaction);
void transaction_end(struct transaction *transaction); /* nothing queued, nothing watched */
/* A request between MULTI and EXEC. */
void transaction_queue(struct client *client, const struct command *command,
                       const struct slice *arguments, size_t count, struct reply *reply);
bool transaction_run(struct server *server, struct session *session, struct pending *pending,
                     struct replica *replica, const struct routed_call *call);
void transaction_serve_multi(struct server_call *call);
void transaction_serve_discard(struct server_call *call);
void transaction_serve_unwatch(struct server_call *call);
void watches_deinit(struct watches *watches);

/* route.c */
#define ROUTE_NO_SPACE                                                                             \
    "MISCONF no space left on the leader's disk: writes are refused, reads go on; free some "      \
    "space, no restart is needed"
enum routed route_request(struct server *server, struct client *client,
                          const struct slice *arguments, size_t count);
/* unled.c: why nobody leads the group, as the error of a request that waited for a leader. False:
 * not known here, or an election is under way. */
bool unled_tell(struct server *server, struct group_id group, char why[ROUTE_WHY_SIZE]);
enum routed route_data(struct server *server, struct client *client, const struct command *command,
                       const struct slice *arguments, size_t count);
/* A verb that another node asks of this one (COMMAND_PEER). False: it is the leader's to run. */
bool route_serve_peer(struct server *server, struct session *session, struct pending *pending,
                      const struct command *command, const struct slice *arguments, size_t count);
void route_push_reply(struct server *server, struct session *session, struct pending *pending,
                      const struct reply *reply, size_t before);
void route_hold(struct server *server, struct client *client);
/* What waited or was delayed is not run when the client has left meanwhile: it may have asked
 * somebody else since. */
void route_look_for_end(struct server *server, struct client *client);
void route_retry(struct server *server, struct client *client);
void route_retry_held(struct server *server);
/* Runs on this node's replica into the session; false: not serving. */
bool route_run(struct server *server, struct session *session, struct pending *pending,
               const struct command *command, const struct slice *arguments, size_t count);

/* keyspace.c */
void keyspace_serve_select(struct server_call *call);
/* The group that a request of this client is for; false: `why` is the error to reply. */
bool keyspace_find_group(struct server *server, const struct client *client,
                         const struct command *command, const struct slice *arguments, size_t count,
                         struct group_id *group, char why[ROUTE_WHY_SIZE]);

/* False: the request leads from one keyspace to another, `why` is the error to reply. */
bool keyspace_takes(struct server *server, const struct client *client,
                    const struct command *command, const struct slice *arguments, size_t count,
                    char why[ROUTE_WHY_SIZE]);
/* Where a key of this client lives, if its leader is here; NULL: elsewhere. For prefetching. */
struct store *keyspace_store_here(struct server *server, const struct client *client,
                                  const struct store_key *key);

/* The cursor behind the group's slots, for SCAN; 0: its keyspace ends there. */
uint64_t keyspace_beyond(struct server *server, struct group_id group);
/* At the leader of pending->group: what this write is acknowledged with, by contract and client. */
void keyspace_choose_ack(struct server *server, const struct replica *replica,
                         struct pending *pending);
void keyspace_serve_ack(struct server_call *call);

/* facts.c */
/* Counts an error reply by its first word. */
void server_note_error(struct server *server, struct slice reply);

/* leader.c */
/* The group of a forwarded request has another leader than the one it went to, for a while. */
bool leader_has_moved(struct server *server, const struct pending *pending, uint64_t now_ns);

/* scatter.c */
/* NULL: the request is for one partition, or for none that could be told. */
struct scatter *scatter_plan(struct server *server, const struct client *client,
                             const struct command *command, const struct slice *arguments,
                             size_t count);
/* Takes the plan. HOLD: nothing has begun. */
enum routed scatter_start(struct server *server, struct client *client, struct scatter *scatter,
                          const struct command *command, const struct slice *arguments,
                          size_t count);
/* The part's reply is known; with the last one the whole answer is handed on. */
void scatter_take(struct server *server, struct session *session, const struct pending *pending);
void scatter_unref(struct scatter *scatter);

/* lane.c */
/* `pending` becomes one that is on its way to `target`, with its place in the order there. */
void lane_enter(struct client *client, struct pending *pending, struct peer_id target);
/* It was answered, or given up. */
void lane_leave(struct client *client, const struct pending *pending);
void lane_break(struct client *client, struct peer_id target);
/* A request to `group` would overtake another that is on its way to it by another node. `target`:
 * where it is to go; 0: it runs here. */
bool lane_is_awaited(struct client *client, struct group_id group, struct peer_id target);
void lanes_close(struct server *server, struct client *client); /* tells the nodes, too */

/* move.c */
/* A connection goes once, by its first request for a key, to the worker that has the key's group.
 * True: it is about to; the request runs there. */
bool client_moves(struct server *server, struct client *client, struct group_id group);
void client_move(struct server *server, struct client *client);
void client_arrive(struct server *server, const struct io_event *event);

/* forward.c */
/* Pushes the pending and sends it; false: the link takes nothing now, nothing happened. */
bool forward_send(struct server *server, struct client *client, struct pending *pending,
                  struct peer_id target);
bool forward_is_dropped(struct server *server, struct group_id group); /* with its keyspace */
/* A refused request: runs here or goes to the present leader; false: neither is possible yet. */
bool forward_again(struct server *server, struct client *client, struct pending *pending);
/* `behind`: what came with it, for looking ahead. */
void forward_receive(struct server *server, struct peer_id origin,
                     const struct wire_forward *forward, struct slice behind);
/* In its turn; refused: nothing of it is done. */
void forward_run(struct server *server, struct remote *remote, const struct wire_forward *forward,
                 bool refused);
struct slice *forward_scratch(struct server *server, size_t count); /* until the next call */
void forward_answered(struct server *server, const struct wire_forward_reply *reply);
void forward_link_down(struct server *server, struct peer_id peer);
void forward_emit(struct server *server, struct remote *remote, struct pending *pending,
                  struct slice reply, enum wire_outcome outcome);
void forward_drop_origin(struct server *server, struct peer_id origin);
void forward_drop_all(struct server *server);
void forward_close_remote(struct server *server, struct peer_id origin, uint64_t id);
struct remote *forward_remote_of(struct session *session);

/* verbs.c */
extern const struct server_verb server_own_verbs[];
extern const size_t server_own_verb_count;

#endif
